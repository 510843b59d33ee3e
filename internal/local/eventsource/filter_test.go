package eventsource

import (
	"encoding/json"
	"testing"
)

// Rules are those of https://docs.aws.amazon.com/lambda/latest/dg/invocation-eventfiltering.html#filtering-syntax.
func TestFilters(t *testing.T) {
	const record = `{"dynamodb": {"Keys": {"pk": {"S": "users"}}, "NewImage": {"event": {"B": "e30="}, "n": {"N": "5"}}}, "n": 5, "none": null, "empty": "", "list": ["a", "b"], "yes": true}`
	for _, c := range []struct {
		pattern string
		let     bool
	}{
		{`{"dynamodb": {"NewImage": {"event": {"B": [{"exists": true}]}}}}`, true},
		{`{"dynamodb": {"NewImage": {"other": {"B": [{"exists": true}]}}}}`, false},
		{`{"dynamodb": {"NewImage": {"other": {"B": [{"exists": false}]}}}}`, true},
		{`{"dynamodb": {"OldImage": {"event": {"B": [{"exists": false}]}}}}`, true},
		{`{"dynamodb": {"NewImage": [{"exists": true}]}}`, false}, // not of a leaf
		{`{"dynamodb": {"Keys": {"pk": {"S": ["posts", "users"]}}}}`, true},
		{`{"dynamodb": {"Keys": {"pk": {"S": ["posts"]}}}}`, false},
		{`{"dynamodb": {"Keys": {"pk": {"S": [{"prefix": "us"}]}}}}`, true},
		{`{"dynamodb": {"Keys": {"pk": {"S": [{"suffix": "us"}]}}}}`, false},
		{`{"dynamodb": {"Keys": {"pk": {"S": [{"equals-ignore-case": "USERS"}]}}}}`, true},
		{`{"dynamodb": {"Keys": {"pk": {"S": [{"anything-but": ["posts"]}]}}}}`, true},
		{`{"dynamodb": {"Keys": {"pk": {"S": [{"anything-but": "users"}]}}}}`, false},
		{`{"missing": [{"anything-but": ["posts"]}]}`, false},
		{`{"n": [5]}`, true},
		{`{"n": ["5"]}`, false},
		{`{"n": [{"numeric": [">", 4, "<=", 5]}]}`, true},
		{`{"n": [{"numeric": ["=", 4]}]}`, false},
		{`{"n": [{"numeric": ["<", 4]}, {"numeric": [">=", 5]}]}`, true},
		{`{"none": [null]}`, true},
		{`{"missing": [null]}`, false},
		{`{"empty": [""], "yes": [true]}`, true},
		{`{"list": ["b"]}`, true},
		{`{"list": ["c"]}`, false},
		{`{"$or": [{"n": [4]}, {"yes": [true]}]}`, true},
		{`{"$or": [{"n": [4]}, {"yes": [false]}]}`, false},
		{`{}`, true},
	} {
		f, err := parse([]string{c.pattern})
		if err != nil {
			t.Errorf("%s: %v", c.pattern, err)
			continue
		}
		var of object
		if err := json.Unmarshal([]byte(record), &of); err != nil {
			t.Fatal(err)
		}
		if got := f.let(of); got != c.let {
			t.Errorf("%s: %v, want %v", c.pattern, got, c.let)
		}
	}
	if f, err := parse([]string{`{"a": [1]}`, `{"b": [1]}`}); err != nil || !f.let(object{"b": 1.0}) || f.let(object{}) {
		t.Errorf("of two patterns one is enough, and none is not: %v", err)
	}
}

func TestFiltersOfBodies(t *testing.T) {
	for _, c := range []struct {
		pattern, body string
		let           bool
	}{
		{`{"body": {"type": ["posts.created"]}}`, `{"type": "posts.created"}`, true},
		{`{"body": {"type": ["posts.created"]}}`, `{"type": "posts.deleted"}`, false},
		{`{"body": {"type": ["posts.created"]}}`, `posts.created`, false},
		{`{"body": ["posts.created"]}`, `posts.created`, true},
		{`{"body": [{"prefix": "posts"}]}`, `posts.created`, true},
		{`{"body": ["posts.created"]}`, `{"type": "posts.created"}`, false},
	} {
		f, err := parse([]string{c.pattern})
		if got := f.ofBody(c.body); err != nil || got != c.let {
			t.Errorf("%s with %s: %v, %v", c.pattern, c.body, got, err)
		}
	}
	if !filters(nil).ofBody("x") {
		t.Error("a message is left out without a pattern")
	}
}

func TestUnknownRules(t *testing.T) {
	for pattern, want := range map[string]string{
		`[]`:                               "the pattern [] is no JSON object",
		`{"a": 1}`:                         `the pattern of "a" must be an object or a list`,
		`{"a": [{"wildcard": "*"}]}`:       `the rule {"wildcard":"*"} of "a" is not known here`,
		`{"a": {"b": [{"exists": "no"}]}}`: `the rule {"exists":"no"} of "b" is not known here`,
		`{"a": [{"numeric": [">"]}]}`:      `the rule {"numeric":[">"]} of "a" is not known here`,
		`{"a": [["b"]]}`:                   `the pattern of "a" has a list in a list`,
		`{"$or": [{"a": 1}]}`:              `the pattern of "a" must be an object or a list`,
	} {
		if _, err := parse([]string{pattern}); err == nil || err.Error() != want {
			t.Errorf("%s: %v, want %s", pattern, err, want)
		}
	}
}

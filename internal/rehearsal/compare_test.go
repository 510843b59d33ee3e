package rehearsal

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"testing"
)

// with is an answer of status 200 with headers, which are written as "Name: value", and a body.
func with(body string, headers ...string) Answer {
	a := Answer{Status: 200, Header: http.Header{}, Body: []byte(body)}
	for _, header := range headers {
		name, value, _ := strings.Cut(header, ": ")
		a.Header.Add(name, value)
	}
	return a
}

// paths are JSON paths of a test.
func paths(t *testing.T, texts ...string) (all []JSONPath) {
	t.Helper()
	for _, text := range texts {
		path, err := ParseJSONPath(text)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, path)
	}
	return all
}

// TestCompare compares an answer with the first one.
func TestCompare(t *testing.T) {
	const kept = `{"id":1,"items":[{"n":1.0},{"n":2}],"at":"12:00"}`
	for name, test := range map[string]struct {
		expect       Expect
		first, other Answer
		problem      Problem
		detail       string
	}{
		"the same":                 {Expect{}, with("a"), with("a"), fine, ""},
		"another body":             {Expect{}, with("abc"), with("abd"), otherBody, `differs at byte 2: "abd", not "abc"`},
		"a longer body":            {Expect{}, with("abc"), with("abcd"), otherBody, `differs at byte 3: "abcd", not "abc"`},
		"no body":                  {Expect{}, with("abc"), with(""), otherBody, `differs at byte 0: "", not "abc"`},
		"another status":           {Expect{}, with("a"), Answer{Status: 201, Body: []byte("a")}, otherStatus, `status 201, not 200: "a"`},
		"a failure":                {Expect{}, with("a"), Answer{Status: 500}, serverError, `status 500, not 200: ""`},
		"an expected status":       {Expect{Status: []int{200, 404}}, with("a"), Answer{Status: 404}, fine, ""},
		"a status nobody expects":  {Expect{Status: []int{200, 404}}, with("a"), Answer{Status: 410}, otherStatus, `status 410, not 200: ""`},
		"another content type":     {Expect{}, with("a", "Content-Type: text/plain"), with("b", "Content-Type: text/html"), otherType, `content type "text/html", not "text/plain"`},
		"no content type":          {Expect{}, with("a", "Content-Type: text/plain"), with("a"), otherType, `content type "", not "text/plain"`},
		"another header":           {Expect{}, with("a", "X-Total: 5"), with("a", "X-Total: 6"), otherHeader, `header X-Total is "6", not "5"`},
		"a header less":            {Expect{}, with("a", "Cache-Control: no-store"), with("a"), otherHeader, `header Cache-Control is missing, not "no-store"`},
		"a header more":            {Expect{}, with("a"), with("a", "Location: /b"), otherHeader, `header Location is "/b", not missing`},
		"a value less":             {Expect{}, with("a", "Vary: A", "Vary: B"), with("a", "Vary: A"), otherHeader, `header Vary is "A", not "A, B"`},
		"two other headers":        {Expect{}, with("a"), with("a", "X-B: 1", "X-A: 1"), otherHeader, `header X-A is "1", not missing`},
		"a body and its Etag":      {Expect{}, with("a", "Etag: 1"), with("b", "Etag: 2"), otherBody, `differs at byte 0: "b", not "a"`},
		"a header without meaning": {Expect{}, with("a", "Date: 1", "Server: x", "Connection: close"), with("a", "X-Request-Id: 7", "Content-Length: 1"), fine, ""},
		"a front's headers":        {Expect{}, with("a", "Via: 1", "X-Amzn-Remapped-Date: 1", "X-Amzn-Requestid: 1"), with("a", "Age: 1", "X-Amzn-Remapped-Server: x"), fine, ""},
		"a renamed header":         {Expect{}, with("a", "X-Amzn-Remapped-Www-Authenticate: Basic"), with("a", "X-Amzn-Remapped-Www-Authenticate: Bearer"), otherHeader, `header X-Amzn-Remapped-Www-Authenticate is "Bearer", not "Basic"`},
		"an ignored header":        {Expect{IgnoreHeaders: []string{"x-total", "LOCATION"}}, with("a", "X-Total: 5"), with("a", "Location: /b"), fine, ""},
		"a cookie's value":         {Expect{}, with("a", "Set-Cookie: s=1; Path=/; HttpOnly; Expires=Mon"), with("a", "Set-Cookie: s=2; expires=Tue; httponly; path=/"), fine, ""},
		"a cookie's attribute":     {Expect{}, with("a", "Set-Cookie: s=1; HttpOnly"), with("a", "Set-Cookie: s=1"), otherHeader, `header Set-Cookie is "s=1", not "s=1; HttpOnly"`},
		"an attribute's value":     {Expect{}, with("a", "Set-Cookie: s=1; SameSite=Lax"), with("a", "Set-Cookie: s=1; SameSite=None"), otherHeader, `header Set-Cookie is "s=1; SameSite=None", not "s=1; SameSite=Lax"`},
		"another cookie":           {Expect{}, with("a", "Set-Cookie: s=1"), with("a", "Set-Cookie: t=1"), otherHeader, `header Set-Cookie is "t=1", not "s=1"`},
		"the order of cookies":     {Expect{}, with("a", "Set-Cookie: s=1", "Set-Cookie: t=1"), with("a", "Set-Cookie: t=1", "Set-Cookie: s=1"), fine, ""},
		"a balancer's cookie":      {Expect{}, with("a"), with("a", "Set-Cookie: AWSALBTG=x; Path=/", "Set-Cookie: AWSALB=x", "Set-Cookie: AWSALBCORS=x", "Set-Cookie: AWSALBTGCORS=x"), fine, ""},
		"JSON in other bytes":      {Expect{}, with(kept), with(kept + " "), otherBody, `differs at byte 49: …"at\":\"12:00\"} ", not …"at\":\"12:00\"}"`},
		"the same JSON":            {Expect{JSON: true}, with(kept), with(` {"at":"12:00", "items":[{"n":1},{"n":2e0}], "id":1}`), fine, ""},
		"another value":            {Expect{JSON: true}, with(kept), with(`{"at":"12:00", "items":[{"n":1},{"n":3}], "id":1}`), otherBody, `$.items[1].n is 3, not 2`},
		"another type":             {Expect{JSON: true}, with(kept), with(`{"at":"12:00", "items":[{"n":1},{"n":2}], "id":"1"}`), otherBody, `$.id is "1", not 1`},
		"a member less":            {Expect{JSON: true}, with(kept), with(`{"items":[{"n":1},{"n":2}], "id":1}`), otherBody, `$.at is missing, not "12:00"`},
		"a member more":            {Expect{JSON: true}, with(`{}`), with(`{"a b":null}`), otherBody, `$['a b'] is null, not missing`},
		"an element less":          {Expect{JSON: true}, with(`[1,2]`), with(`[1]`), otherBody, `$ is [1], not [1,2]`},
		"another order":            {Expect{JSON: true}, with(`{"a":[1,2]}`), with(`{"a":[2,1]}`), otherBody, `the order of $.a differs`},
		"a large number":           {Expect{JSON: true}, with(`[9007199254740993]`), with(`[9007199254740992]`), otherBody, `$[0] is 9007199254740992, not 9007199254740993`},
		"null and nothing":         {Expect{JSON: true}, with(`{"a":null}`), with(`{}`), otherBody, `$.a is missing, not null`},
		"no JSON any more":         {Expect{JSON: true}, with(`{"a":1}`), with(`{"a":1`), otherBody, `differs at byte 6: "{\"a\":1", not "{\"a\":1}"`},
		"two values":               {Expect{JSON: true}, with(`{}`), with(`{}{}`), otherBody, `differs at byte 2: "{}{}", not "{}"`},
		"never JSON":               {Expect{JSON: true}, with(`a`), with(`a `), otherBody, `differs at byte 1: "a ", not "a"`},
		"an ignored value":         {Expect{IgnoreJSON: paths(t, "$.at")}, with(kept), with(strings.Replace(kept, "12:00", "12:01", 1)), fine, ""},
		"an ignored member less":   {Expect{IgnoreJSON: paths(t, "$.at")}, with(`{"a":1,"at":2}`), with(`{"a":1}`), fine, ""},
		"an ignored member more":   {Expect{IgnoreJSON: paths(t, "$.at")}, with(`{"a":1}`), with(`{"a":1,"at":2}`), fine, ""},
		"what is not ignored":      {Expect{IgnoreJSON: paths(t, "$.at")}, with(`{"a":1,"at":2}`), with(`{"a":2,"at":3}`), otherBody, `$.a is 2, not 1`},
		"nothing that is ignored":  {Expect{IgnoreJSON: paths(t, "$.at")}, with(`{"a":1}`), with(`{"a": 1}`), otherBody, `differs at byte 5: "{\"a\": 1}", not "{\"a\":1}"`},
		"ignored elements":         {Expect{IgnoreJSON: paths(t, "$.items[*].n")}, with(kept), with(strings.Replace(kept, "2}", "3}", 1)), fine, ""},
		"an ignored element":       {Expect{IgnoreJSON: paths(t, "$[0]")}, with(`[1,2]`), with(`[3,2]`), fine, ""},
		"an element too many":      {Expect{IgnoreJSON: paths(t, "$[*]")}, with(`[1,2]`), with(`[3]`), otherBody, `$ is ["anything"], not ["anything","anything"]`},
		"anywhere":                 {Expect{IgnoreJSON: paths(t, "$..at")}, with(`{"a":[{"at":1,"b":{"at":2}}]}`), with(`{"a":[{"at":3,"b":{"at":4}}]}`), fine, ""},
		"all of it":                {Expect{IgnoreJSON: paths(t, "$")}, with(`{"a":1}`), with(`[]`), fine, ""},
		"an ignored body":          {Expect{IgnoreBody: true}, with("a"), with("b"), fine, ""},
		"its status":               {Expect{IgnoreBody: true}, with("a"), Answer{Status: 404}, otherStatus, `status 404, not 200: ""`},
	} {
		c := NewComparison(test.expect)
		if err := c.Learn(test.first); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		c.Seal()
		if p, detail := c.Judge(test.other); p != test.problem || detail != test.detail {
			t.Errorf("%s: %v, %s; want %v, %s", name, p, detail, test.problem, test.detail)
		}
		if p, detail := c.Judge(test.first); p != fine {
			t.Errorf("%s: the first answer is not like itself: %v, %s", name, p, detail)
		}
	}
}

// What differs by itself is learned from the answers of the first phase. It has to be there, and of the same
// type, in the later ones.
func TestCompareLearns(t *testing.T) {
	for name, test := range map[string]struct {
		learned      []Answer
		parts        string
		alike, other []Answer
	}{
		"nothing": {[]Answer{with("a"), with("a")}, "", nil, []Answer{with("b")}},
		"a header": {[]Answer{with("a", "Etag: 1"), with("a", "Etag: 2"), with("a", "Etag: 3")}, "header Etag", []Answer{with("a", "Etag: 9")},
			[]Answer{with("a"), with("b", "Etag: 1"), with("a", "Etag: 1", "X-A: 1")}},
		"a header that is there at times":   {[]Answer{with("a"), with("a", "X-A: 1")}, "header X-A", []Answer{with("a"), with("a", "X-A: 2")}, nil},
		"a header that is missing at times": {[]Answer{with("a", "X-A: 1"), with("a", "X-A: 2"), with("a")}, "header X-A", []Answer{with("a"), with("a", "X-A: 3")}, []Answer{with("b")}},
		"a value":                           {[]Answer{with(`{"a":1,"t":"x"}`), with(`{"a":1,"t":"y"}`)}, "$.t", []Answer{with(`{"a":1,"t":"z"}`)}, []Answer{with(`{"a":1}`), with(`{"a":1,"t":2}`), with(`{"a":2,"t":"x"}`)}},
		"a value that is null at times":     {[]Answer{with(`{"a":1,"t":"x"}`), with(`{"a":1,"t":"y"}`), with(`{"a":1,"t":null}`)}, "$.t", []Answer{with(`{"a":1,"t":3}`)}, nil},
		"a member that is there at times":   {[]Answer{with(`{"a":1}`), with(`{"a":1,"t":null}`)}, "$.t", []Answer{with(`{"a":1,"t":3}`), with(`{"a":1}`)}, []Answer{with(`{}`)}},
		"values of elements": {[]Answer{with(`[{"id":1,"a":1},{"id":2,"a":2}]`), with(`[{"id":3,"a":1},{"id":4,"a":2}]`)}, "$[*].id", []Answer{with(`[{"id":5,"a":1},{"id":6,"a":2}]`)},
			[]Answer{with(`[{"id":5,"a":1},{"id":6,"a":3}]`), with(`[{"id":5,"a":1}]`), with(`[{"a":1},{"id":6,"a":2}]`)}},
		"an order": {[]Answer{with(`{"a":[1,2,3]}`), with(`{"a":[3,2,1]}`)}, "order of $.a", []Answer{with(`{"a":[2,3,1]}`)}, []Answer{with(`{"a":[2,3]}`), with(`{"a":[2,3,3]}`)}},
		"an order of all": {[]Answer{with(`[{"n":1},{"n":2}]`), with(`[{"n":2},{"n":1}]`)}, "order of $", []Answer{with(`[{"n":1},{"n":2}]`)},
			[]Answer{with(`[{"n":1},{"n":1}]`)}},
		"an order and a value": {[]Answer{with(`{"a":[1,2],"t":1}`), with(`{"a":[2,1],"t":2}`)}, "order of $.a, $.t", []Answer{with(`{"a":[2,1],"t":3}`)}, nil},
		"a length":             {[]Answer{with(`{"a":[1]}`), with(`{"a":[1,2]}`)}, "$.a", []Answer{with(`{"a":[]}`)}, []Answer{with(`{"a":1}`)}},
		"a strange name":       {[]Answer{with(`{"a'b\\\n":1}`), with(`{"a'b\\\n":2}`)}, `$['a\'b\\\n']`, []Answer{with(`{"a'b\\\n":3}`)}, nil},
	} {
		c := NewComparison(Expect{})
		for _, a := range test.learned {
			if err := c.Learn(a); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		c.Seal()
		for _, a := range slices.Concat(test.alike, test.learned) {
			if p, detail := c.Judge(a); p != fine {
				t.Errorf("%s: %s, %v: %v, %s", name, a.Body, a.Header, p, detail)
			}
		}
		for _, a := range test.other {
			if p, _ := c.Judge(a); p == fine {
				t.Errorf("%s: %s, %v is no difference", name, a.Body, a.Header)
			}
		}
		var parts []string
		for _, ignored := range c.Ignored(3) {
			parts = append(parts, ignored.Part)
			if !ignored.Learned || len(ignored.Example) != 2 || ignored.Example[0] == ignored.Example[1] || ignored.Route != 3 {
				t.Errorf("%s: %+v", name, ignored)
			}
		}
		if got := strings.Join(parts, ", "); got != test.parts {
			t.Errorf("%s: ignored %s, want %s", name, got, test.parts)
		}
	}
}

// Some answers are no measure of others.
func TestCompareNeedsAMeasure(t *testing.T) {
	many := func(n int) Answer {
		var members []string
		for i := range maxLearned + 1 {
			members = append(members, fmt.Sprintf(`"k%d":%d`, i, i+n))
		}
		return with("{" + strings.Join(members, ",") + "}")
	}
	const each = "answers differently each time, so a change would not show: leave this route out, or ignore the answer's body with --ignore-body "
	for want, test := range map[string]struct {
		expect  Expect
		answers []Answer
	}{
		"gives no answer: nobody there":               {Expect{}, []Answer{{Problem: refused, Err: errors.New("nobody there")}}},
		`answers with status 503: "down"`:             {Expect{}, []Answer{{Status: 503, Body: []byte("down")}}},
		`answers with status 401, not 200 or 201: ""`: {Expect{Status: []int{200, 201}}, []Answer{{Status: 401}}},
		each + "(status 201, not 200)":                {Expect{}, []Answer{with("a"), {Status: 201}}},
		each + `(differs at byte 0: "b", not "a")`:    {Expect{}, []Answer{with("a"), with("b")}},
		each + `(differs at byte 0: "[]", not "a")`:   {Expect{}, []Answer{with("a"), with("[]")}},
		each + `($ is [1], not {"a":1})`:              {Expect{}, []Answer{with(`{"a":1}`), with("[1]")}},
		each + `($.k9 is 10, not 9)`:                  {Expect{}, []Answer{many(0), many(1)}},
		each + `($ is [1], not [])`:                   {Expect{}, []Answer{with(`[]`), with("[1]")}},
		"":                                            {Expect{Status: []int{200, 404}}, []Answer{with("a"), {Status: 404}, with("a")}},
		each + `(differs at byte 1: "a", not "ab")`:   {Expect{IgnoreJSON: paths(t, "$.a")}, []Answer{with("ab"), with("a")}},
	} {
		c := NewComparison(test.expect)
		var err error
		for i, a := range test.answers {
			if err = c.Learn(a); err != nil && i < len(test.answers)-1 {
				t.Errorf("%s: %v too early", want, err)
			}
		}
		if text := fmt.Sprint(err); err != nil && !strings.HasPrefix(text, want) || (err == nil) != (want == "") {
			t.Errorf("error %v, want %s", err, want)
		}
	}
}

// What you ignore is reported with an example. What never differed is said to be so.
func TestCompareReports(t *testing.T) {
	c := NewComparison(Expect{IgnoreHeaders: []string{"X-A", "X-B", "X-C"}, IgnoreJSON: paths(t, "$.a", "$.b", "$.c", "$.d"), IgnoreBody: false})
	_ = c.Learn(with(`{"a":1,"b":2,"c":[3]}`, "X-A: 1", "X-B: 2"))
	c.Seal()
	c.Judge(with(`{"a":1,"b":5,"d":4}`, "X-A: 1", "X-B: 3"))
	c.Judge(with(`{"a":1,"b":6}`, "X-A: 1", "X-B: 4"))
	want := []Ignored{
		{0, "header X-A", false, false, nil},
		{0, "header X-B", false, false, []string{`"2"`, `"3"`}},
		{0, "header X-C", false, true, nil},
		{0, "$.a", false, false, nil},
		{0, "$.b", false, false, []string{"2", "5"}},
		{0, "$.c", false, false, []string{"[3]", "missing"}},
		{0, "$.d", false, true, []string{"missing", "4"}},
	}
	if got := c.Ignored(0); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("ignored\n%v\nwant\n%v", got, want)
	}
	long := NewComparison(Expect{IgnoreJSON: paths(t, "$.a")})
	_ = long.Learn(with(`{"a":"<` + strings.Repeat("é", 99) + `"}`))
	long.Seal()
	long.Judge(with(`{}`))
	if got, want := long.Ignored(0)[0].Example[0], `"<`+strings.Repeat("é", 35)+"…"; got != want {
		t.Errorf("example %s, want %s", got, want)
	}
	later := NewComparison(Expect{IgnoreJSON: paths(t, "$[*]")})
	_ = later.Learn(with("[1,2]"))
	later.Seal()
	later.Judge(with("[1,3]"))
	if got := later.Ignored(0); fmt.Sprint(got) != "[{0 $[*] false false [2 3]}]" {
		t.Errorf("ignored %v", got)
	}
	b := NewComparison(Expect{IgnoreBody: true})
	_ = b.Learn(with("one"))
	b.Seal()
	b.Judge(with("one"))
	if got := b.Ignored(1); fmt.Sprint(got) != "[{1 body false false []}]" {
		t.Errorf("ignored %v", got)
	}
	b.Judge(with("two"))
	if got := b.Ignored(1); fmt.Sprint(got) != `[{1 body false false ["one" "two"]}]` {
		t.Errorf("ignored %v", got)
	}
}

func TestParseJSONPath(t *testing.T) {
	for _, text := range []string{"", "a", "$.", "$[", "$.a b", "generatedAt"} {
		_, err := ParseJSONPath(text)
		if err == nil || !strings.HasPrefix(err.Error(), fmt.Sprintf("JSON path %q: ", text)) || !strings.HasSuffix(err.Error(), "; it looks like $.generatedAt or $.items[*].id") ||
			strings.Contains(err.Error(), "jsonpath") {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// Before the walk a source learns, between its two baselines, and afterwards it judges.
func TestComparedSource(t *testing.T) {
	c := NewCompared(Request{Path: "/a"}, Expect{}, 7)
	answers := []Answer{with(`{"t":1}`), with(`{"t":2}`)}
	ask := func(_ context.Context, route int, r *Request) Answer {
		if route != 0 || r.Path != "/a" {
			t.Errorf("asks %d, %v", route, r)
		}
		a := answers[0]
		answers = answers[1:]
		return a
	}
	if err := c.Baseline(t.Context(), ask); err != nil {
		t.Fatal(err)
	}
	if p, _ := c.Next().Judge.Judge(with(`{"t":1}`, "X-A: 1")); p != fine {
		t.Errorf("the trial has the problem %v", p)
	}
	if err := c.Baseline(t.Context(), ask); err != nil {
		t.Fatal(err)
	}
	call := c.Next()
	for body, want := range map[string]Problem{`{"t":3}`: fine, `{"u":3}`: otherBody} {
		if p, _ := call.Judge.Judge(with(body)); p != want {
			t.Errorf("%s: %v", body, p)
		}
	}
	if c.Weight() != 7 || len(c.Routes()) != 1 || call.Request != c.Routes()[0] || call.Route != 0 {
		t.Errorf("%+v", c)
	}
	if r := c.Result(nil); !r.Loose || len(r.Ignored) != 2 {
		t.Errorf("result %+v", r)
	}
	for want, other := range map[string]Answer{"false": with("[1]"), "true": with("[1 ]"), "true ": {Status: 404}, "false ": with("[2]")} {
		c := NewCompared(Request{Path: "/a"}, Expect{JSON: true, Status: []int{200, 404}, IgnoreHeaders: []string{"X-A"}}, 1)
		_ = c.comparison.Learn(with("[1]"))
		c.comparison.Seal()
		c.comparison.Judge(other)
		if got := fmt.Sprint(c.Result(nil).Loose); got != strings.TrimSpace(want) {
			t.Errorf("%+v: loose is %v", other, got)
		}
	}
	failing := NewCompared(Request{Path: "/a", Method: "PUT"}, Expect{}, 1)
	if err := failing.Baseline(t.Context(), func(context.Context, int, *Request) Answer { return Answer{Status: 500} }); err == nil || err.Error() != `PUT /a answers with status 500: ""` {
		t.Errorf("error %v", err)
	}
}

// The mask takes no body that the slow comparison does not take, whatever is in the gaps, and takes all in which only
// values are others.
func TestMask(t *testing.T) {
	const body = ` {"a/~b" : "x\\\"]}," ,"list":[ {"id":-1.5e3,"n":1}, {"id":{"x":[1,"}"]},"n":2}],"t":true, "gone":[[]] }`
	c := NewComparison(Expect{IgnoreJSON: paths(t, "$.gone")})
	rules := paths(t, `$["a/~b"]`, "$.list[*].id", "$.t")
	for _, path := range rules {
		c.rules = append(c.rules, &rule{JSONPath: path, mode: anyValue, learned: true})
	}
	_ = c.Learn(with(body))
	c.Seal()
	if n := len(c.mask.gaps); n != 5 {
		t.Fatalf("%d gaps", n)
	}
	c.Judge(with(strings.Replace(body, "[[]]", "7", 1))) // an example
	for _, change := range [][2]string{
		{"", ""}, {`"x\\\"]},"`, `""`}, {`"x\\\"]},"`, `"\\\\"`}, {"-1.5e3", "0"}, {`{"x":[1,"}"]}`, "{}"}, {"true", "false"}, {"[[]]", "null"}, {"[[]]", `{"a":[1,2]}`},
	} {
		if other := strings.Replace(body, change[0], change[1], 1); !c.mask.matches([]byte(other)) {
			t.Errorf("%s does not match", other)
		}
	}
	for _, change := range [][2]string{
		{"true", `"true"`}, {"true", "tru"}, {"true", ""}, {`"n":1`, `"n":2`}, {"-1.5e3", "1.2.3"}, {"-1.5e3", "1,2"}, {"[[]]", "[[]"}, {"[[]]", "[[]]]"}, {`"x\\\"]},"`, `"x`}, {` {`, `{`}, {body, ""}, {body, ` {"a/~b" : "`},
	} {
		if other := strings.Replace(body, change[0], change[1], 1); c.mask.matches([]byte(other)) {
			t.Errorf("%s matches", other)
		}
	}
	random := rand.New(rand.NewPCG(1, 2))
	slow := NewComparison(Expect{})
	slow.first, slow.value, slow.isJSON, slow.sealed, slow.rules, slow.masked, slow.parts = c.first, c.value, true, true, c.rules, c.masked, c.parts
	matched := 0
	for range 20_000 {
		other := []byte(body)
		for range 1 + random.IntN(3) {
			i, n := random.IntN(len(other)), random.IntN(3)
			other = slices.Replace(other, i, min(i+n, len(other)), []byte(`{}[]",:\ 1e-t`)[random.IntN(13)])
		}
		if c.mask.matches(other) {
			matched++
			if p, detail := slow.judgeBody(other); p != fine {
				t.Errorf("%s matches: %s", other, detail)
			}
		}
	}
	if matched < 100 {
		t.Errorf("only %d bodies matched", matched)
	}
	c.rules[1].mode = anyOrder
	if newMask([]byte(body), c.value, c.rules) != nil {
		t.Error("a mask has an order")
	}
}

// BenchmarkJudge is what a comparison costs: of an answer with the same bytes, and of one in which a value differs
// that is not compared.
func BenchmarkJudge(b *testing.B) {
	body := func(at int) string {
		var items []string
		for i := range 20 {
			items = append(items, fmt.Sprintf(`{"id":%d,"name":"product %d","price":%d.5}`, i, i, i))
		}
		return fmt.Sprintf(`{"generatedAt":%d,"items":[%s]}`, at, strings.Join(items, ","))
	}
	headers := []string{"Content-Type: application/json", "Date: today", "Cache-Control: no-store", "Etag: 1", "Vary: Accept", "X-Total: 20"}
	first, other := with(body(1), headers...), with(body(2), headers...)
	for name, answers := range map[string][]Answer{"bytes": {first, first}, "value": {first, other}} {
		c := NewComparison(Expect{})
		for _, a := range answers {
			if err := c.Learn(a); err != nil {
				b.Fatal(err)
			}
		}
		c.Seal()
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				c.Judge(answers[1])
			}
		})
	}
}

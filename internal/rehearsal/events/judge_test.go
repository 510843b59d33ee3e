package events

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

// parse reads events, as in "a1 a2! b1": key, number, and "!" for other data, "~" for a snapshot.
func parse(text string) (all []Event) {
	for word := range strings.FieldsSeq(text) {
		e := Event{Key: word[:1], Type: "a.changed", Data: json.RawMessage(`{"n":` + word[1:2] + `}`)}
		fmt.Sscan(word[1:2], &e.Sequence)
		if strings.HasSuffix(word, "!") {
			e.Data = json.RawMessage(`{"n":"other"}`)
		}
		if strings.HasSuffix(word, "~") {
			e.Type, e.Run = "a.snapshot", "1"
		}
		all = append(all, e)
	}
	return all
}

func kinds(problems []Problem) string {
	var all []string
	for _, p := range problems {
		all = append(all, p.Key+": "+p.Kind)
	}
	return strings.Join(all, ", ")
}

func TestSequences(t *testing.T) {
	for _, test := range []struct {
		got        string
		want       string
		unordered  string // if it is another problem without an order
		duplicates int
	}{
		{"", "", "", 0},
		{"a1 b1 a2 a3 b2", "", "", 0},
		{"a1 a1 a2 a1 a2 a3", "", "", 3},
		{"a1 a3", "a: lost event", "a: lost event", 0},
		{"a2 a3", "a: lost event", "a: lost event", 0},
		{"a1 a3 a2", "a: event out of order", "", 0},
		{"a1 a3 a2 b2", "a: event out of order, b: lost event", "b: lost event", 0},
		{"a1 a2 a2!", "a: two events of one number", "a: two events of one number", 0},
		{"a1 a2 a2~ a3 a1~", "", "", 0},
		{"a1 a3~", "a: lost event", "a: lost event", 0},
	} {
		problems, duplicates := Sequences(parse(test.got), true)
		if kinds(problems) != test.want || duplicates != test.duplicates {
			t.Errorf("%s: %s and %d duplicates, want %s and %d", test.got, kinds(problems), duplicates, test.want, test.duplicates)
		}
		if problems, _ := Sequences(parse(test.got), false); kinds(problems) != test.unordered {
			t.Errorf("%s without an order: %s, want %s", test.got, kinds(problems), test.unordered)
		}
	}
	problems, _ := Sequences(parse("a1 a5"), true)
	if want := "Of the events of a, numbers 2, 3, 4 did not come, and number 5 did."; problems[0].Text != want {
		t.Errorf("%q, want %q", problems[0].Text, want)
	}
}

func TestFold(t *testing.T) {
	gone := Event{Key: "b", Type: "b.deleted", Sequence: 2}
	fold := Fold(append(parse("a1 a3 a2 b1"), gone))
	if fold["a"].Sequence != 3 || string(fold["a"].Data) != `{"n":3}` || fold["b"].Data != nil || fold["b"].Sequence != 2 {
		t.Errorf("the fold is %v", fold)
	}
}

func TestStored(t *testing.T) {
	fold := map[string]Record{
		"posts/1": {2, json.RawMessage(`{"thread":1,"text":"a","user":1}`), false},
		"posts/2": {3, nil, false},
		"users/1": {1, json.RawMessage(`{"id":1,"name":"Ada"}`), false},
		"posts/3": {1, json.RawMessage(`{"text":"lon"}`), true},
	}
	for _, test := range []struct{ stored, want string }{
		{`{"posts/1":{"thread":1,"text":"a","user":1},"users/1":{"id":1,"name":"Ada"},"posts/3":{"text":"long"}}`, ""},
		{`{"posts/1":{"thread":1,"text":"b","user":1},"users/1":{"id":1,"name":"Ada"},"posts/3":{"text":"other"}}`, "posts/1: events say otherwise, posts/3: events say otherwise"},
		{`{"posts/2":{"text":"back"},"posts/9":{},"posts/1":{"user":1,"text":"a","thread":1},"posts/3":{"text":"lon"}}`,
			"posts/2: events say otherwise, posts/9: change without an event, users/1: event without a change"},
	} {
		var stored map[string]json.RawMessage
		if err := json.Unmarshal([]byte(test.stored), &stored); err != nil {
			t.Fatal(err)
		}
		if got := kinds(Stored(fold, stored)); got != test.want {
			t.Errorf("%s: %s, want %s", test.stored, got, test.want)
		}
	}
}

// Dead letters are those of the poison and no others, in order.
func TestDeadLetters(t *testing.T) {
	for _, test := range []struct{ dead, sent, want string }{
		{"", "", ""},
		{"p1 q1 p2", "p1 p2 q1", ""},
		{"", "p1", "p: poison not in the dead-letter queue"},
		{"p1", "p1 p2", "p: poison not in the dead-letter queue"},
		{"p2 p1", "p1 p2", "p: poison not in the dead-letter queue"},
		{"p1 p1", "p1", "p: poison not in the dead-letter queue"},
		{"p1 q7", "p1", "q: unexpected dead letter"},
		{"q1 q2", "", "q: unexpected dead letter"},
	} {
		if got := kinds(DeadLetters("dev-feed.fifo", parse(test.dead), parse(test.sent))); got != test.want {
			t.Errorf("%q of %q: %s, want %s", test.dead, test.sent, got, test.want)
		}
	}
}

func TestFeed(t *testing.T) {
	long := strings.Repeat("é", 101)
	feed, err := Feed(map[string]Record{
		"users/1":    {1, json.RawMessage(`{"id":1,"name":"Ada"}`), false},
		"threads/1":  {1, json.RawMessage(`{"id":1,"title":"Looms","createdBy":1}`), false},
		"threads/12": {1, json.RawMessage(`{"id":12,"title":"Alone","createdBy":7}`), false},
		"threads/3":  {2, nil, false},
		"posts/9":    {1, json.RawMessage(`{"thread":1,"text":"first","user":1}`), false},
		"posts/10":   {1, json.RawMessage(`{"thread":1,"text":"` + long + `","user":2}`), false},
		"posts/11":   {2, nil, false},
		"posts/13":   {1, json.RawMessage(`{"thread":3,"text":"of a thread that is gone","user":2}`), false},
	})
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(feed)
	if want := `[{"id":1,"title":"Looms","author":"Ada","posts":2,"latest":{"id":10,"user":2,"text":"` + long[:200] + `"}},` +
		`{"id":12,"title":"Alone","author":null,"posts":0,"latest":null}]`; err != nil || string(text) != want {
		t.Errorf("the feed is %s, want %s", text, want)
	}
	if problems := SameFeed("The feed", feed, feed); len(problems) > 0 {
		t.Errorf("the same feed has %v", problems)
	}
	other := []Thread{feed[1], {ID: 1, Title: "Looms"}, {ID: 20}}
	if got, want := kinds(SameFeed("The feed", feed, other)), "threads/1: wrong row in the read model, threads/20: wrong row in the read model, : wrong row in the read model"; got != want {
		t.Errorf("another feed has %s, want %s", got, want)
	}
	if got := kinds(SameFeed("The feed", feed, feed[:1])); got != "threads/12: wrong row in the read model" {
		t.Errorf("a short feed has %s", got)
	}
}

func TestDecode(t *testing.T) {
	const raw = `{"specversion":"1.0","id":"posts/7#3","source":"/api/posts","type":"posts.deleted","subject":"posts/7","sequence":"3","time":"2026-01-02T03:04:05Z","data":null}`
	envelope, err := json.Marshal(map[string]string{"Type": "Notification", "Message": raw})
	if err != nil {
		t.Fatal(err)
	}
	for _, body := range []string{raw, string(envelope)} {
		e, err := Decode([]byte(body))
		if err != nil || e.String() != "posts/7#3 (posts.deleted)" || !e.Deleted() || e.Data != nil || e.Time.Minute() != 4 {
			t.Errorf("%s is read as %+v, %v", body, e, err)
		}
	}
	for body, want := range map[string]string{
		"hello":                               "the body is no CloudEvent: ",
		`{"specversion":"0.3"}`:               `the body is no CloudEvent of version 1.0: its specversion is "0.3"`,
		strings.Replace(raw, `"3"`, `"0"`, 1): `event posts/7#3 has the sequence "0"`,
		strings.Replace(raw, `"subject"`, `"about"`, 1): "the event has no id or no subject",
	} {
		if _, err := Decode([]byte(body)); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s: %v, want %s", body, err, want)
		}
	}
}

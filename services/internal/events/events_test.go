package events

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var whole = Event{
	ID: "posts/7#3", Source: "/api/posts", Type: "posts.changed", Subject: "posts/7", Time: time.Date(2026, 11, 28, 3, 0, 0, 5000, time.UTC),
	Sequence: 3, DataSchema: "posts/1", Data: json.RawMessage(`{"text":"<&> 한 \u0000"}`),
}

// An event is read as it was written: raw, in the envelope of SNS, and by a consumer that does not know all of its members.
func TestRoundTrip(t *testing.T) {
	deleted := whole
	deleted.Data = nil
	for name, e := range map[string]Event{"whole": whole, "deleted": deleted} {
		text, err := e.Encode()
		if err != nil {
			t.Fatal(err)
		}
		wrapped, err := json.Marshal(map[string]any{"Type": "Notification", "MessageId": "x", "Subject": "s", "Message": string(text)})
		if err != nil {
			t.Fatal(err)
		}
		newer := strings.Replace(string(text), "{", `{"new":[1],`, 1)
		for form, message := range map[string]string{"raw": string(text), "wrapped": string(wrapped), "newer": newer} {
			got, err := Decode([]byte(message))
			if diff := cmp.Diff(e, got); err != nil || diff != "" {
				t.Errorf("%s, %s: %v, %s", name, form, err, diff)
			}
		}
	}
	// SQS refuses these characters.
	odd := whole
	odd.Data = json.RawMessage("\"\uFFFE\uFFFF\"")
	if text, err := odd.Encode(); err != nil || !strings.Contains(string(text), `"\ufffe\uffff"`) {
		t.Error(string(text), err)
	}
}

func TestDecodeRefuses(t *testing.T) {
	text, err := whole.Encode()
	if err != nil {
		t.Fatal(err)
	}
	for message, want := range map[string]string{
		"":                "no JSON object",
		"[]":              "no JSON object",
		"{}":              "its specversion is",
		`{"Message": {}}`: "has no text in Message",
		`{"Message":"x"}`: "no JSON object",
		strings.Replace(string(text), `"1.0"`, `"0.3"`, 1):                    `no CloudEvent 1.0: its specversion is "0.3"`,
		strings.Replace(string(text), `"subject":"posts/7",`, ``, 1):          "needs an id, a source, a type, a subject and a time",
		strings.Replace(string(text), `"sequence":"3"`, `"sequence":"x"`, 1):  `has the sequence "x"`,
		strings.Replace(string(text), `"sequence":"3"`, `"sequence":"0"`, 1):  `has the sequence "0"`,
		strings.Replace(string(text), `"sequence":"3"`, `"sequence":3`, 1):    "no CloudEvent",
		strings.Replace(string(text), `"time":"2026`, `"time":"yesterday`, 1): "no CloudEvent",
	} {
		if _, err := Decode([]byte(message)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", message, err, want)
		}
	}
}

// A message has room for 250 KiB. What does not fit is cut, and the event says where the record is.
func TestFit(t *testing.T) {
	small, err := whole.Fit("/api/posts/7")
	if err != nil || small.Truncated || small.DataRef != "" {
		t.Error(small, err)
	}
	large := whole
	text, err := json.Marshal(map[string]any{"thread": 9007199254740991, "text": strings.Repeat("한", 100<<10)})
	if err != nil {
		t.Fatal(err)
	}
	large.Data = text
	cut, err := large.Fit("/api/posts/7")
	if err != nil || !cut.Truncated || cut.DataRef != "/api/posts/7" || !strings.Contains(string(cut.Data), `"thread":9007199254740991`) {
		t.Error(cut.Truncated, cut.DataRef, err)
	}
	if encoded, err := cut.Encode(); err != nil || len(encoded) > maxMessage {
		t.Error(len(encoded), err)
	}
}

// Whatever the texts are, a message of SNS has room for what is left of them.
func TestLongTexts(t *testing.T) {
	for name, text := range map[string]string{
		"letters": strings.Repeat("x", 300<<10), "Korean": strings.Repeat("한", 100<<10), "control characters": strings.Repeat("\x01", 65<<10),
		"quotes": "a" + strings.Repeat(`"`, 150<<10), "markup": strings.Repeat("<&>", 100<<10), "none": strings.Repeat("\uffff", 100<<10), "mixed": strings.Repeat("\x01é\"<x\uffff", 40<<10),
	} {
		data, err := plain(map[string]any{"thread": 1, "text": text, "short": "<", "user": 9007199254740991})
		if err != nil {
			t.Fatal(err)
		}
		e, err := Event{ID: "posts/7#1", Source: "/api/posts", Type: "posts.created", Subject: "posts/7", Time: time.Now(), Sequence: 1, DataSchema: "posts/1", Data: data}.Fit("/api/posts/7")
		if err != nil || !e.Truncated {
			t.Fatal(name, e.Truncated, err)
		}
		raw, err := e.Encode()
		if err != nil || len(raw) > maxMessage {
			t.Fatal(name, len(raw), err)
		}
		got, err := Decode(raw)
		if err != nil || !got.Truncated || got.DataRef != "/api/posts/7" {
			t.Fatal(name, got.Truncated, got.DataRef, err)
		}
		var left struct {
			Text, Short string
			User        int64
		}
		if err := json.Unmarshal(got.Data, &left); err != nil || left.User != 9007199254740991 || left.Short != "<" || !strings.HasPrefix(text, left.Text) || len(left.Text) < maxText/7 {
			t.Error(name, err, len(left.Text))
		}
	}
	many := Event{ID: "posts/7#1", Time: time.Now(), Data: []byte(`{"a":["` + strings.Repeat("x", maxMessage) + `"]}`)}
	if _, err := many.Fit("/api/posts/7"); err == nil || !strings.Contains(err.Error(), "posts/7#1 has 256") {
		t.Error(err)
	}
}

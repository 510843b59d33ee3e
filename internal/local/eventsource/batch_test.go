package eventsource

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html#services-sqs-batchfailurereporting-conditions
func TestFailures(t *testing.T) {
	for answer, want := range map[string]string{
		``:                            "[] false",
		`null`:                        "[] false",
		`{}`:                          "[] false",
		`{"batchItemFailures": null}`: "[] false",
		`{"batchItemFailures": []}`:   "[] false",
		`{"batchItemFailures": [{"itemIdentifier": "b"}, {"itemIdentifier": "a"}]}`: "[b a] false",
		`{"batchItemFailures": [{"itemIdentifier": "b"}, {"itemIdentifier": ""}]}`:  "[] true",
		`{"batchItemFailures": [{"itemIdentifier": null}]}`:                         "[] true",
		`{"batchItemFailures": [{"id": "a"}]}`:                                      "[] true",
		`{"batchItemFailures": [{"itemIdentifier": "z"}]}`:                          "[] true",
		`{"batchItemFailures": [{`:                                                  "[] true",
		`"done"`:                                                                    "[] true",
	} {
		failed, whole := failures([]byte(answer), []string{"a", "b", "c"})
		if got := fmt.Sprint(failed, " ", whole); got != want {
			t.Errorf("%s: %s, want %s", answer, got, want)
		}
	}
}

func of(ids string) (all []record) {
	for _, id := range strings.Split(ids, "") {
		if id != "" {
			all = append(all, record{id: id})
		}
	}
	return all
}

func ids(records []record) (all string) {
	for _, one := range records {
		all += one.id
	}
	return all
}

// What becomes of a batch of a stream.
func TestAfter(t *testing.T) {
	failed := func(id string) string { return `{"batchItemFailures": [{"itemIdentifier": "` + id + `"}]}` }
	for _, c := range []struct {
		what    string
		rules   rules
		batch   string
		tries   int
		answer  string
		crashed bool
		want    string // further batches with their tries, and what is given up
	}{
		{"a success", rules{retries: -1}, "abcd", 0, `{}`, false, "[] "},
		{"failures that nobody asks for", rules{retries: -1}, "abcd", 0, failed("b"), false, "[] "},
		{"a crash", rules{retries: -1}, "abcd", 3, ``, true, "[abcd 4] "},
		{"a crash, halved", rules{bisect: true, retries: 0}, "abcd", 0, ``, true, "[ab 0 cd 0] "},
		{"an odd batch, halved", rules{bisect: true, retries: -1}, "abc", 1, ``, true, "[a 1 bc 1] "},
		{"one record cannot be halved", rules{bisect: true, retries: -1}, "a", 1, ``, true, "[a 2] "},
		{"the last try", rules{bisect: true, retries: 1}, "a", 1, ``, true, "[] a"},
		{"no second try", rules{retries: 0}, "ab", 0, ``, true, "[] ab"},
		{"a part", rules{partial: true, retries: -1}, "abcd", 0, failed("c"), false, "[cd 1] "},
		{"the first of several", rules{partial: true, retries: -1}, "abcd", 0, `{"batchItemFailures": [{"itemIdentifier": "d"}, {"itemIdentifier": "b"}]}`, false, "[bcd 1] "},
		{"a part with halves", rules{partial: true, bisect: true, retries: -1}, "abcd", 0, failed("c"), false, "[cd 1] "},
		{"the first one with halves", rules{partial: true, bisect: true, retries: -1}, "abcd", 1, failed("a"), false, "[ab 1 cd 1] "},
		{"a part, tried too often", rules{partial: true, retries: 2}, "abcd", 2, failed("c"), false, "[] cd"},
		{"an answer that is none", rules{partial: true, retries: -1}, "abcd", 0, failed("z"), false, "[abcd 1] "},
		{"a partial success", rules{partial: true, retries: -1}, "abcd", 0, ``, false, "[] "},
	} {
		again, gaveUp := c.rules.after(batch{of(c.batch), c.tries}, []byte(c.answer), c.crashed)
		var all []string
		for _, b := range again {
			all = append(all, fmt.Sprint(ids(b.records), " ", b.tries))
		}
		if got := fmt.Sprint(all, " ", ids(gaveUp)); got != c.want {
			t.Errorf("%s: %q, want %q", c.what, got, c.want)
		}
	}
}

// With halves, one bad record is found in as many steps as the batch can be halved, and nothing else is given up.
func TestBisect(t *testing.T) {
	r, todo, gone, runs := rules{bisect: true, retries: 2}, []batch{{records: of("abcdefgh")}}, "", 0
	done := ""
	for len(todo) > 0 {
		b := todo[0]
		runs++
		crashed := strings.Contains(ids(b.records), "f")
		again, gaveUp := r.after(b, nil, crashed)
		if !crashed {
			done += ids(b.records)
		}
		gone += ids(gaveUp)
		todo = append(again, todo[1:]...)
	}
	if done != "abcdegh" || gone != "f" || runs != 9 {
		t.Errorf("done %s, given up %s, in %d invocations", done, gone, runs)
	}
}

func TestExpired(t *testing.T) {
	now := time.Now()
	b := batch{records: []record{{id: "a", created: now.Add(-time.Hour)}, {id: "b", created: now.Add(-time.Minute)}, {id: "c", created: now}}, tries: 2}
	for age, want := range map[time.Duration]string{-time.Second: " abc", 2 * time.Minute: "a bc", time.Second: "ab c", 0: "ab c"} {
		old, left := rules{maxAge: age}.expired(b, now)
		if got := ids(old) + " " + ids(left.records); got != want || left.tries != 2 {
			t.Errorf("%v: %q, want %q", age, got, want)
		}
	}
}

func TestFits(t *testing.T) {
	for _, c := range []struct {
		have, size, one int
		want            bool
	}{{0, 0, maxPayload + 1, true}, {1, 10, 10, true}, {3, 10, 10, false}, {1, maxPayload, 1, false}} {
		if got := fits(c.have, c.size, c.one, 3); got != c.want {
			t.Errorf("%+v: %v", c, got)
		}
	}
	if pause(0) != 100*time.Millisecond || pause(3) != 800*time.Millisecond || pause(1000) != 10*time.Second {
		t.Error("the pauses are", pause(0), pause(3), pause(1000))
	}
}

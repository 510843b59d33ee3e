package collection

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"cutover/internal/rehearsal"
	"cutover/internal/rehearsal/step"
)

// What is not a collection as the configuration says is refused before the load, with the answer that shows it.
func TestBaselineErrors(t *testing.T) {
	notes := func(change func(*Config)) func() Config {
		return func() Config {
			c := ofNotes()
			change(&c)
			return c
		}
	}
	orders := func(change func(*Config)) func() Config {
		return func() Config {
			c := ofOrders()
			change(&c)
			return c
		}
	}
	answers := func(fits, body string) fault {
		return one(1, fits, func(_ *world, _ *shop, out http.ResponseWriter, _ *http.Request) {
			answer(out, 200, json.RawMessage(body))
		})
	}
	for want, test := range map[string]struct {
		config func() Config
		wrong  fault
	}{
		`note: POST /notes answers with status 500: ""`:                                                                  {ofNotes, one(1, "POST", func(_ *world, _ *shop, out http.ResponseWriter, _ *http.Request) { out.WriteHeader(500) })},
		`note: POST /notes answers with status 202: ""`:                                                                  {ofNotes, one(1, "POST", func(_ *world, _ *shop, out http.ResponseWriter, _ *http.Request) { out.WriteHeader(202) })},
		`note: POST /notes has no answer: connection reset by peer`:                                                      {ofNotes, one(1, "POST", func(_ *world, _ *shop, out http.ResponseWriter, _ *http.Request) { out.WriteHeader(noAnswer) })},
		`note: POST /notes answers with status 201: `:                                                                    {notes(func(c *Config) { c.Create.Expect.Status = []int{200} }), nil},
		`note: POST /notes: the answer has no id at $.number: "{\"id\":1,`:                                               {notes(func(c *Config) { c.ID = mustPath("$.number") }), nil},
		`note: POST /notes: the answer has no id at $: "{\"id\":1,`:                                                      {notes(func(c *Config) { c.ID = mustPath("$") }), nil},
		`note: POST /notes: the answer has no id in header Location: "{\"id\":1}\n"`:                                     {notes(func(c *Config) { c.ID = nil }), answers("POST", `{"id":1}`)},
		`note: /notes/{{id}} answers with status 404: `:                                                                  {ofNotes, one(1, "GET /notes/", func(_ *world, _ *shop, out http.ResponseWriter, _ *http.Request) { answer(out, 404, 1) })},
		`note: /notes/{{id}} does not have the value c0ffee-1 that was written, in the answer: "{\"text\":\"c0ffee-9\"}`: {ofNotes, answers("GET /notes/", `{"text":"c0ffee-9"}`)},
		`note: /notes/{{id}} does not have the value c0ffee-1 that was written, at $.at: "{\"id\":1,`:                    {notes(func(c *Config) { c.Value.JSON = mustPath("$.at") }), nil},
		`order: /orders/{{id}} does not have the value 2 that was written, at $.id: `: {orders(func(c *Config) { c.Value.JSON = mustPath("$.id") }), one(1, "", func(_ *world, s *shop, out http.ResponseWriter, r *http.Request) {
			s.last += 2
			s.mux.ServeHTTP(out, r)
		})},
		`note: /notes: the list is no JSON: "nothing"`: {ofNotes, one(1, "GET /notes", func(_ *world, s *shop, out http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/notes" {
				s.mux.ServeHTTP(out, r)
				return
			}
			_, _ = out.Write([]byte("nothing"))
		})},
		`note: /notes has the new note 1 0 times, by $.text of $[*]: "[{\"id\":1,`:                                               {notes(func(c *Config) { c.Items.ID = mustPath("$.text") }), nil},
		`note: /notes has the new note 1 0 times, by $.id of $.all[*]: "[{\"id\":1,`:                                             {notes(func(c *Config) { c.Items.All = mustPath("$.all[*]") }), nil},
		`note: /notes does not have the value c0ffee-1 that was written to note 1`:                                               {notes(func(c *Config) { c.Items.Value = mustPath("$.at") }), nil},
		`note: POST /notes, sent again with its X-Key, makes another note: without such a header, leave out idempotencyKey`:      {notes(func(c *Config) { c.IdempotencyKey = "X-Key" }), nil},
		`note: /notes/{{id}} does not have the value c0ffee-2 that was written, in the answer: "{\"id\":1,\"text\":\"c0ffee-1\"`: {ofNotes, one(1, "PUT", not)},
		`note: /notes/{{id}} answers with status 200: "{\"id\":1,`:                                                               {ofNotes, one(1, "DELETE", not)},
		`order: PUT /cart the answer with status 200 has no header X-Token for {{token}}`:                                        {orders(func(c *Config) { c.Before[0].Capture = []step.Capture{{Name: "token", Header: "X-Token"}} }), nil},
		`order: POST /orders answers with status 409: "\"the cart is empty\"`:                                                    {orders(func(c *Config) { c.Before = nil }), nil},
	} {
		s := newShop()
		w := newWorld(t, test.config(), 1, s)
		if test.wrong != nil {
			s.wrong = func(s *shop, out http.ResponseWriter, r *http.Request) bool { return test.wrong(w, s, out, r) }
		}
		if err := w.baseline(); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("error\n%v\nwant\n%s", err, want)
		}
	}
}

// How a collection behaves is learned in the first phase.
func TestBaselineLearns(t *testing.T) {
	for _, test := range []struct {
		config           func() Config
		upserts, lenient bool
		private          bool
	}{
		{config: ofNotes}, {config: ofNotes, upserts: true}, {config: ofNotes, lenient: true}, {config: ofOrders, private: true},
	} {
		s := newShop()
		s.upserts = test.upserts
		w := newWorld(t, test.config(), 1, s)
		s.wrong = func(s *shop, out http.ResponseWriter, r *http.Request) bool {
			if !test.lenient || r.Method != "DELETE" {
				return false
			}
			s.mux.ServeHTTP(nothing{http.Header{}}, r)
			out.WriteHeader(204)
			return true
		}
		if err := w.baseline(); err != nil {
			t.Fatal(err)
		}
		if want := (rules{upserts: test.upserts, deletesAbsent: test.lenient}); w.c.rules != want || w.c.private != test.private {
			t.Errorf("%+v, private %v; want %+v, %v", w.c.rules, w.c.private, want, test.private)
		}
		if len(s.notes) > 0 {
			t.Errorf("%d notes are left", len(s.notes))
		}
	}
}

func TestValues(t *testing.T) {
	text, number, path := values{mark: "c0ffee-", created: true, last: 40}, values{Value: Value{From: 3, To: 5}, created: true}, mustPath("$.a")
	if got := []any{text.variable(40), text.variable(1), number.variable(4)}; !slices.Equal(got, []any{"c0ffee-14", "c0ffee-1", json.Number("4")}) {
		t.Errorf("the variables are %v", got)
	}
	var all []state
	for range 4 {
		all = append(all, number.next())
	}
	if !slices.Equal(all, []state{4, 5, 3, 4}) || text.next() != 41 {
		t.Errorf("the numbers are %v", all)
	}
	later := values{mark: "c0ffee-", replaced: true, last: 40}
	if later.born(7) != 0 || text.born(7) != 7 {
		t.Error("what a resource is that was created")
	}
	for content, want := range map[string]state{
		"c0ffee-14": 40, "<p>c0ffee-14</p>": 40, "x c0ffee-1, c0ffee-2": 1, "c0ffee-15": 41, "c0ffee-16": foreign, "c0ffee-": foreign, "c0ffee--1": foreign, "c0ffee-0": foreign,
		"c0ffee-zzzzzzzzzzzzzzzzzzzz": foreign, "": foreign, "c0ff": foreign,
	} {
		if got := text.in(content); got != want {
			t.Errorf("%s is %d, not %d", content, got, want)
		}
		decoded := map[string]any{"a": content, "b": "c0ffee-2"}
		if got := text.at(path, decoded); got != want {
			t.Errorf("%s at a place is %d, not %d", content, got, want)
		}
		if got := text.within([]any{nil, 1, map[string]any{"z": content}}); got != want && (want != foreign || got != present) {
			t.Errorf("%s within a list is %d, not %d", content, got, want)
		}
		if got := later.in(content); want == foreign && !strings.Contains(content, "c0ffee-") && got != 0 {
			t.Errorf("%s, if a create has no value, is %d", content, got)
		}
	}
	for content, want := range map[string]state{`{"a":4}`: 4, `{"a":"4"}`: 4, `{"a":3}`: 3, `{"a":5}`: 5, `{"a":2}`: foreign, `{"a":6}`: foreign, `{"a":4.5}`: foreign, `{"a":null}`: foreign, `{}`: foreign, `4`: foreign} {
		decoded, _ := rehearsal.DecodeJSON([]byte(content))
		if got := number.at(path, decoded); got != want {
			t.Errorf("%s is %d, not %d", content, got, want)
		}
	}
	for s, want := range map[state]string{absent: "nothing", foreign: "what nobody wrote", 40: "c0ffee-14"} {
		if got := text.text(s); got != want {
			t.Errorf("%d is called %s", s, got)
		}
	}
	if got := later.text(0); got != "what it was created with" {
		t.Errorf("0 is called %s", got)
	}
	none := ofNotes()
	none.Create, none.Replace = a("POST", "/notes", `{}`), nil
	c := New(none)
	if got := c.valueOf([]byte("c0ffee-1")); got != 0 || c.values.born(7) != 0 {
		t.Errorf("without values, a content is %d", got)
	}
}

func TestIDOf(t *testing.T) {
	c := New(ofNotes())
	for body, want := range map[string]any{`{"id":17}`: json.Number("17"), `{"id":"a/b"}`: "a/b", `{"id":true}`: nil, `{"id":[1]}`: nil, `{"id":null}`: nil, `{"id":""}`: nil, `{}`: nil, `x`: nil} {
		if got := c.idOf(rehearsal.Answer{Body: []byte(body)}); got != want {
			t.Errorf("%s has the id %v, not %v", body, got, want)
		}
	}
	c.ID = nil
	for location, want := range map[string]any{
		"/notes/17": "17", "/notes/17/": "17", "https://shop.example.com/notes/a%2Fb?x=1": "a/b", "17": "17", "": nil, "/": nil, "https://shop.example.com": nil, "%zz": nil,
	} {
		if got := c.idOf(rehearsal.Answer{Header: http.Header{"Location": {location}}}); got != want {
			t.Errorf("%s has the id %v, not %v", location, got, want)
		}
	}
}

// told by the time of a request: its number is a second.
func seconds(seq int) rehearsal.Handled {
	switch {
	case seq < 0:
		return rehearsal.Handled{Service: "api", Stage: "monolith"}
	case seq < 10:
		return rehearsal.Handled{Service: "api", Stage: "monolith", At: time.Duration(seq) * time.Second}
	case seq < 20:
		return rehearsal.Handled{Stage: "monolith → switched", At: time.Duration(seq) * time.Second}
	}
	return rehearsal.Handled{Service: "orders", Stage: "switched", At: time.Duration(seq) * time.Second}
}

func TestRows(t *testing.T) {
	config := ofNotes()
	config.Value.JSON = mustPath("$.text")
	c := New(config)
	c.values.mark = "c0ffee-"
	tell := teller{c, seconds}
	create := operation{action: creating, status: 201, value: 1, seq: beforeWalk, call: 1, end: 2}
	f := failure{kind: lost, id: "a/b\x1b", ack: create, operations: []operation{create}}
	for n := range 30 {
		f.operations = append(f.operations, operation{action: reading, status: 200, value: 1, seq: n, call: int64(10*n + 5), end: int64(10*n + 6)})
	}
	f.operations[12] = operation{action: replacing, outcome: unknown, value: 2, seq: 11, call: 111, end: never}
	f.operations[13].action = listing
	f.operations[15] = operation{action: deleting, outcome: missing, status: 404, value: absent, seq: 14, call: 141, end: 142}
	f.operations[16].value = foreign
	f.operations[17] = operation{action: reading, status: 404, value: absent, seq: 16, call: 161, end: 162}
	f.operations[18] = operation{action: reading, status: 200, value: 1, seq: afterLoad, call: 171, end: 172}
	f.wrong = f.operations[17]
	want := `before    monolith             api     POST /notes c0ffee-1          201
…
8.000 s   monolith             api     GET /notes/a%2Fb%1B           200 c0ffee-1
9.000 s   monolith             api     GET /notes/a%2Fb%1B           200 c0ffee-1
10.000 s  monolith → switched  -       GET /notes/a%2Fb%1B           200 c0ffee-1
11.000 s  monolith → switched  -       PUT /notes/a%2Fb%1B c0ffee-2  no answer, so it may be done or not
12.000 s  monolith → switched  -       GET /notes                    200 c0ffee-1
13.000 s  monolith → switched  -       GET /notes/a%2Fb%1B           200 c0ffee-1
14.000 s  monolith → switched  -       DELETE /notes/a%2Fb%1B        404
15.000 s  monolith → switched  -       GET /notes/a%2Fb%1B           200 what nobody wrote
16.000 s  monolith → switched  -       GET /notes/a%2Fb%1B           404                                  ←
after     after the load       -       GET /notes/a%2Fb%1B           200 c0ffee-1
18.000 s  monolith → switched  -       GET /notes/a%2Fb%1B           200 c0ffee-1
19.000 s  monolith → switched  -       GET /notes/a%2Fb%1B           200 c0ffee-1
`
	got := strings.Join(tell.rows(f), "\n")
	if !strings.HasPrefix(got, want) || !strings.HasSuffix(got, "\n…") || strings.Count(got, "\n") > maxRows+3 {
		t.Errorf("rows\n%s\nwant\n%s", got, want)
	}
}

func TestSentences(t *testing.T) {
	config := ofNotes()
	config.IdempotencyKey = "X-Key"
	c := New(config)
	c.values.mark = "c0ffee-"
	early, none, late, last := 1, 11, 21, afterLoad
	o := func(seq int, s state) operation { return operation{action: replacing, seq: seq, value: s} }
	read := func(seq int, s state) operation { return operation{action: reading, seq: seq, value: s} }
	for _, test := range []struct {
		failure
		want string
	}{
		{failure{kind: lost, ack: o(early, 1), wrong: o(late, absent)}, "the note 7 that api acknowledged in monolith is unknown to orders in switched"},
		{failure{kind: lost, ack: o(none, 1), wrong: operation{action: replacing, outcome: missing, seq: none, value: 2}}, "the note 7 that was acknowledged in monolith → switched is unknown in monolith → switched"},
		{failure{kind: lost, ack: o(early, 1), wrong: o(last, absent)}, "the note 7 that api acknowledged in monolith is unknown after the load"},
		{failure{kind: stale, later: true, ack: o(early, 1), wrong: o(late, absent)}, "the note 7 that api acknowledged in monolith is unknown to orders in switched, and is there later"},
		{failure{kind: stale, later: true, ack: o(early, 2), wrong: o(late, 1)}, "orders in switched answers c0ffee-1 for note 7, although c0ffee-2 was acknowledged by api in monolith, and is there later"},
		{failure{kind: lost, ack: o(none, 2), wrong: o(none, 1)}, "an answer in monolith → switched answers c0ffee-1 for note 7, although c0ffee-2 was acknowledged in monolith → switched"},
		{failure{kind: lost, ack: o(early, 2), wrong: o(last, 1)}, "an answer after the load answers c0ffee-1 for note 7, although c0ffee-2 was acknowledged by api in monolith"},
		{failure{kind: stale, ack: read(early, 2), wrong: o(late, 1)}, "orders in switched answers c0ffee-1 for note 7, although c0ffee-2 was answered by api in monolith"},
		{failure{kind: stale, ack: read(none, 2), wrong: o(none, 1)}, "an answer in monolith → switched answers c0ffee-1 for note 7, although c0ffee-2 was answered in monolith → switched"},
		{failure{kind: unlisted, ack: o(early, 2), wrong: o(late, absent)}, "orders in switched does not list the note 7 that api acknowledged in monolith"},
		{failure{kind: listedTwice, ack: o(early, 2), wrong: o(late, absent)}, "orders in switched lists the note 7 that api acknowledged in monolith more than once"},
		{failure{kind: back, ack: o(early, absent), wrong: o(late, 2)}, "orders in switched answers with note 7, although its deletion was acknowledged by api in monolith"},
		{failure{kind: sameID, ack: o(early, 2), wrong: o(late, 3)}, "orders in switched gives a new note the id 7 of the one that api acknowledged in monolith"},
		{failure{kind: foreignText, ack: o(early, 2), wrong: o(late, 3)}, "orders in switched answers c0ffee-3 for the note 7 that api acknowledged in monolith: that was never written to it"},
		{failure{kind: doneTwice, other: "8", ack: o(early, 2), wrong: operation{action: creating, seq: late}}, "orders in switched made note 8 for a create that was sent again with its X-Key: note 7 was acknowledged by api in monolith"},
		{failure{kind: doneTwice, other: "8", ack: o(early, 2), wrong: o(late, 2)}, "orders in switched lists note 8 as well as the note 7 that api acknowledged in monolith: both are of one create"},
		{failure{kind: doneTwice, wrong: o(late, 2)}, "orders in switched lists note 7, which no create was answered with"},
		{failure{kind: unordered, ack: o(early, 2), wrong: o(late, 2)}, "the answers about the note 7 that api acknowledged in monolith fit together in no order"},
	} {
		test.id = "7"
		if got := (teller{c, seconds}).sentence(test.failure); got != test.want {
			t.Errorf("%s\nwant\n%s", got, test.want)
		}
	}
}

// A check that is not decided is neither passed nor failed.
func TestUndecided(t *testing.T) {
	c := New(ofNotes())
	c.limit = 20 * time.Millisecond
	c.counts[creating] = 1
	u := c.newUser()
	r := c.opened(&creation{user: u}, "1", operation{action: creating, value: 1})
	c.examine(suspect{history: crowd(), resource: r})
	result := c.Result(seconds)
	if want := []string{"note: the history of 1 note was not decided within 20ms: lower the rate."}; !slices.Equal(result.Undecided, want) || len(result.Findings) > 0 {
		t.Errorf("undecided %q, findings %v", result.Undecided, result.Findings)
	}
	if len(c.open)+len(u.resources)+len(c.hot)+len(c.due) > 0 {
		t.Error("the resource is asked again")
	}
	// What cannot be explained in time is found all the same.
	c.failed = []failure{{suspect: &suspect{history: crowd(), id: "1"}}}
	if result = c.Result(seconds); len(result.Findings) != 1 || result.Findings[0].Kind != unordered {
		t.Errorf("findings %v", result.Findings)
	}
	if result = New(ofNotes()).Result(seconds); !slices.Equal(result.Undecided, []string{"note: no create was acknowledged, so nothing is known about writes."}) {
		t.Errorf("without a create: %q", result.Undecided)
	}
}

func TestGaps(t *testing.T) {
	config := ofNotes()
	config.List = nil
	c := New(config)
	c.counts[reading], c.counts[creating] = 7, 2
	want := []string{
		"note: whether one create makes two is not checked: name list or idempotencyKey",
		"note: PUT /notes/{{id}} had no answer that is right or wrong", "note: DELETE /notes/{{id}} had no answer that is right or wrong",
	}
	result := c.Result(seconds)
	if !slices.Equal(result.Gaps, want) || !slices.Equal(result.Checked, []string{"2 notes created, deleted 0 times, read 7 times, replaced 0 times."}) || !result.Loose {
		t.Errorf("gaps %q, checked %q", result.Gaps, result.Checked)
	}
	config.IdempotencyKey, config.Replace, config.Delete = "X-Key", nil, nil
	if gaps := New(config).gaps(); !slices.Equal(gaps, []string{"note: /notes/{{id}} had no answer that is right or wrong"}) {
		t.Errorf("gaps %q", gaps)
	}
	// A list that grows without end is read no more. In pages, it may be longer.
	for _, test := range []struct {
		elements, pages int
		read            bool
	}{{maxListed, 1, true}, {maxListed + 1, 1, false}, {maxPaged, 4, true}, {maxPaged + 1, 4, false}, {maxPaged + 1, 1, false}} {
		c = New(ofNotes())
		j := listed{c: c}
		for page := range test.pages {
			var elements []string
			for i := page * test.elements / test.pages; i < (page+1)*test.elements/test.pages; i++ {
				elements = append(elements, fmt.Sprintf(`{"id": %d}`, i))
			}
			a := rehearsal.Answer{Body: []byte("[" + strings.Join(elements, ",") + "]"), Header: http.Header{}}
			if page < test.pages-1 {
				a.Header.Set("Link", fmt.Sprintf(`</notes?after=%d>; rel="next"`, page))
			}
			if problem := j.add(a); problem != "" {
				t.Error(problem)
			}
		}
		if c.lists != test.read || len(j.items) != test.elements || j.next != "" {
			t.Errorf("%+v: read again %v, %d elements, next %q", test, c.lists, len(j.items), j.next)
		}
	}
	if !slices.Contains(c.gaps(), "note: the list was read until it had more than 1000 elements, or 10000 in pages") {
		t.Errorf("gaps %q", c.gaps())
	}
}

// At the end everything is read once more and deleted.
func TestFinish(t *testing.T) {
	s := newShop()
	w := newWorld(t, ofNotes(), 1, s)
	if err := w.baseline(); err != nil {
		t.Fatal(err)
	}
	w.load(300)
	w.end()
	if len(s.notes) > 0 || len(w.results.Findings) > 0 {
		w.tell()
		t.Errorf("%d notes are left", len(s.notes))
	}
	// What was lost after the last request of the load is found.
	w = newWorld(t, ofNotes(), 1, s)
	if err := w.baseline(); err != nil {
		t.Fatal(err)
	}
	w.load(300)
	open := len(s.notes)
	clear(s.notes)
	w.end()
	if f := w.results.Findings; len(f) != 1 || f[0].Kind != lost || f[0].Stage != "" || f[0].Count != open || !strings.HasSuffix(f[0].Text, " that api acknowledged in monolith is unknown after the load") {
		w.tell()
		t.Errorf("of %d notes", open)
	}
	// A server that does not answer is not asked for ever.
	w = newWorld(t, ofNotes(), 1, s)
	if err := w.baseline(); err != nil {
		t.Fatal(err)
	}
	w.load(300)
	asked := 0
	s.wrong = func(_ *shop, out http.ResponseWriter, _ *http.Request) bool {
		asked++
		out.WriteHeader(noAnswer)
		return true
	}
	if w.end(); asked != maxFinish || len(w.results.Findings) > 0 {
		t.Errorf("asked %d times", asked)
	}
}

// A create without an answer is found in the list by its value. From then on it has to be there.
func TestUnknownCreate(t *testing.T) {
	for _, isLost := range []bool{false, true} {
		s := newShop()
		w := newWorld(t, ofNotes(), 1, s)
		if err := w.baseline(); err != nil {
			t.Fatal(err)
		}
		c := w.c
		call := c.create()
		got := s.serve(call.Request)
		id := fmt.Sprint(s.last)
		call.Judge.Judge(rehearsal.Answer{Problem: rehearsal.ServerError, Err: http.ErrHandlerTimeout})
		if got.Status != 201 || len(c.unknown) != 1 || len(c.open) != 0 {
			t.Fatalf("%d creates without an answer, %d notes are open", len(c.unknown), len(c.open))
		}
		list := c.listOf(c.users[0], nil)
		list.Judge.Judge(s.serve(list.Request))
		if len(c.unknown) != 0 || c.users[0].resources[id] == nil {
			t.Fatalf("%d creates without an answer, open is %v", len(c.unknown), slices.Collect(maps.Keys(c.users[0].resources)))
		}
		if isLost {
			clear(s.notes)
		}
		w.end()
		if w.kinds() != map[bool]string{true: lost}[isLost] {
			w.tell()
			t.Errorf("lost %v: found %s", isLost, w.kinds())
		}
	}
}

// Failures beyond a number are counted only.
func TestManyFailures(t *testing.T) {
	c := New(ofNotes())
	for n := range maxFailures + 3 {
		c.fail(failure{kind: back, id: fmt.Sprint(n), ack: operation{call: int64(n)}})
	}
	f := c.Result(seconds).Findings
	if len(f) != 1 || f[0].Count != maxFailures || !strings.HasSuffix(f[0].Detail[len(f[0].Detail)-1], "3 notes more with contradictory answers are not told apart.") || !strings.Contains(f[0].Text, "note 0,") {
		t.Errorf("%+v", f)
	}
}

// What is wrong with a history, and what it contradicts.
func TestExplain(t *testing.T) {
	base := operation{action: reading, value: 5, seq: 98, call: -2, end: -1}
	for _, test := range []struct {
		first      state // absent, or what the read before saw
		history    string
		kind       string
		later      bool
		ack, wrong int // numbers of the requests; the create's is 99, and that of the read before 98
	}{
		{absent, "1-2 create 1, 3-4 read -", lost, false, 0, 1},
		{absent, "1-2 create 1, 3-4 read -, 5-6 read -", lost, false, 0, 1},
		{absent, "1-2 create 1, 3-4 read -, 5-6 replace !", lost, false, 0, 1},
		{absent, "1-2 create 1, 3-4 read -, 5-6 read 1", stale, true, 0, 1},
		{absent, "1-2 create 1, 3-4 replace !, 5-6 read 1", stale, true, 0, 1},
		{absent, "1-2 create 1, 3-4 read -, 5-6 replace 2", stale, true, 0, 1},
		{absent, "1-2 create 1, 3-4 list -", lost, false, 0, 1},
		{absent, "1-2 create 1, 3-4 list -, 5-6 read -", lost, false, 0, 1},
		{absent, "1-2 create 1, 3-4 list -, 5-6 list -, 7-8 read 1", unlisted, true, 0, 1},
		{absent, "1-2 create 1, 3-4 replace 2, 5-6 read 1", stale, false, 1, 2},
		{absent, "1-2 create 1, 3-4 replace 2, 5-6 read 1, 7-8 read 2", stale, true, 1, 2},
		{absent, "1-2 create 1, 3-4 replace 2, 5-6 read 1, 7-8 read 1", lost, false, 1, 2},
		{absent, "1-2 create 1, 3-4 replace 2, 5-6 read 1, 7-8 replace 3", stale, false, 1, 2},
		{absent, "1-2 create 1, 3-4 replace 2, 5-6 replace 3, 7-8 read 1", stale, false, 2, 3},
		{absent, "1-2 create 1, 3-6 replace 2, 4-5 replace 3, 7-8 read 1", stale, false, 1, 3},
		{absent, "1-2 create 1, 3- replace 2, 4-5 read 2, 6-7 read 1", stale, false, 2, 3},
		{absent, "1-2 create 1, 3-4 replace 2, 5-6 read 2, 7-8 read 1", stale, false, 1, 3},
		{absent, "1-2 create 1, 3-4 read 1, 5-6 list 1, 7-8 read -", lost, false, 0, 3},
		{absent, "1-2 create 1, 3-4 delete, 5-6 read 1", back, false, 1, 2},
		{absent, "1-2 create 1, 3-4 delete, 5-6 delete", back, false, 1, 2},
		{absent, "1-2 create 1, 3-6 delete !, 4-5 list -", lost, false, 0, 1},
		{absent, "1-2 create 1, 3-4 read ?", foreignText, false, 0, 1},
		{absent, "1-2 create 1, 3-4 read 9", foreignText, false, 0, 1},
		{absent, "1-2 create 1, 3-4 create 2", sameID, false, 0, 1},
		{absent, "1-2 create 1 #a, 3-4 replace 2 if a #b, 5-6 replace 3 if a #c", ignored, false, 1, 2},
		{absent, "1-2 create 1 #a, 3-4 replace 2 if a #b, 5-6 delete - if a", ignored, false, 1, 2},
		{absent, "1-2 create 1 #a, 3-4 replace 2 if a #b, 5-6 replace != if b", refused, false, 1, 2},
		{absent, "1-2 create 1 #a, 3-4 replace 2 if a #b, 5-6 delete != if b", refused, false, 1, 2},
		{absent, "1-2 create 1 #a, 3-4 replace 2 if a #a", wrongTag, false, 0, 1},
		{absent, "1-2 create 1 #a, 3-4 replace 2 #a", wrongTag, false, 0, 1},
		{absent, "1-2 create 1 #a, 3-4 replace 2 #b, 5-6 read 2 #a", wrongTag, false, 1, 2},
		{absent, "1-2 create 1 #a, 3-4 replace 2 #b, 5-6 read ... #a", wrongTag, false, 1, 2},
		{absent, "1-2 create 1 #a, 3-4 replace 2 #b, 5-6 list -, 7-8 read ... #b", unlisted, true, 0, 2},
		{5, "1-2 read -", lost, false, 99, 0},
		{5, "1-2 read 1", stale, false, 98, 0},
		{5, "1-2 read 4", stale, false, 98, 0},
		{5, "1-2 read 9", foreignText, false, 99, 0},
		{5, "1-2 replace 6, 3-4 read 5, 5-6 read 5", lost, false, 0, 1},
		{5, "1-2 delete, 3-4 read 5", back, false, 0, 1},
	} {
		s := suspect{history: told(t, test.first, test.history), id: "7"}
		s.created = s.operations[0]
		if test.first != absent {
			s.created, s.base, s.earlier = operation{action: creating, value: 1, seq: 99, call: -9, end: -8}, &base, []state{1, 4}
		}
		f := s.explain(long)
		if f.kind != test.kind || f.later != test.later || f.ack.seq != test.ack || f.wrong.seq != test.wrong || f.id != "7" {
			t.Errorf("%s: %s, later %v: %d contradicts %d", test.history, f.kind, f.later, f.wrong.seq, f.ack.seq)
		}
		if len(f.operations) != len(s.operations)+map[bool]int{true: 1}[test.first != absent] {
			t.Errorf("%s: %d operations are told", test.history, len(f.operations))
		}
	}
}

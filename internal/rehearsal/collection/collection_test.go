package collection

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"cutover/internal/nightly"
)

// A server that does all right passes, however its answers overlap and get lost. What is remembered has bounds.
func TestHonest(t *testing.T) {
	chosen := func() Config {
		c := ofNotes()
		c.Create, c.ID = a("PUT", "/notes/{{id}}", `{"text": "{{value}}"}`), nil
		return c
	}
	located := func() Config {
		c := ofNotes()
		c.ID, c.IdempotencyKey, c.List = nil, "Idempotency-Key", nil
		return c
	}
	for name, config := range map[string]func() Config{"notes": ofNotes, "orders": ofOrders, "chosen ids": chosen, "idempotent": located} {
		for _, status := range []int{200, noAnswer, 500} {
			t.Run(fmt.Sprint(name, " ", status), func(t *testing.T) {
				if status == noAnswer {
					nightly.Test(t, "it sends 1,800 requests, some without an answer")
				}
				t.Parallel()
				for seed := range uint64(2) {
					s := newShop()
					s.upserts = name == "chosen ids"
					w := newWorld(t, config(), seed, s)
					if err := w.baseline(); err != nil {
						t.Fatal(err)
					}
					s.wrong = func(s *shop, out http.ResponseWriter, r *http.Request) bool {
						if status == 200 || w.random.IntN(40) > 0 {
							return false
						}
						if w.random.IntN(2) == 0 { // it is done, and not answered
							s.mux.ServeHTTP(nothing{http.Header{}}, r)
						}
						out.WriteHeader(status)
						return true
					}
					w.load(900)
					s.wrong = nil
					w.isBounded()
					w.end()
					if len(w.results.Findings)+len(w.results.Undecided) > 0 || status == 200 && len(w.problems) > 0 {
						w.tell()
						t.Fatalf("seed %d: an honest server does not pass", seed)
					}
				}
			})
		}
	}
}

// isBounded fails the test if more is remembered than an hour has place for.
func (w *world) isBounded() {
	c := w.c
	users := map[*user]bool{}
	for r := range c.open {
		users[r.user] = true
		if len(r.operations) > 2*window || len(r.earlier) > maxEarlier {
			w.t.Errorf("a resource has %d operations, and %d values from before", len(r.operations), len(r.earlier))
		}
	}
	if most := c.Hot + c.Cold + maxDue + w.most; len(c.open) > most || len(c.due) > most || len(users) > most || len(c.users) > maxUsers {
		w.t.Errorf("%d resources are open, %d have a script, of %d users; %d users create", len(c.open), len(c.due), len(users), len(c.users))
	}
	if len(c.ready) > w.most || len(c.gone) > maxGone || len(c.gone) != len(c.deleted) || len(c.unknown) > maxUnknown {
		w.t.Errorf("%d creates go on, %d resources are deleted, %d creates have no answer", len(c.ready), len(c.deleted), len(c.unknown))
	}
}

// nothing is a client that is gone.
type nothing struct{ header http.Header }

func (n nothing) Header() http.Header       { return n.header }
func (nothing) Write(b []byte) (int, error) { return len(b), nil }
func (nothing) WriteHeader(int)             {}

// fault is something that the shop does wrong in phase switched. The request is nil at the switch. It returns true if it has
// answered.
type fault func(w *world, s *shop, out http.ResponseWriter, r *http.Request) bool

// at does something at the switch.
func at(do func(s *shop)) fault {
	return func(_ *world, s *shop, _ http.ResponseWriter, r *http.Request) bool {
		if r == nil {
			do(s)
		}
		return false
	}
}

// one answers one of so many requests that fit.
func one(of int, fits string, do func(w *world, s *shop, out http.ResponseWriter, r *http.Request)) fault {
	return func(w *world, s *shop, out http.ResponseWriter, r *http.Request) bool {
		if r == nil || !strings.HasPrefix(r.Method+" "+r.URL.Path, fits) || w.random.IntN(of) > 0 {
			return false
		}
		do(w, s, out, r)
		return true
	}
}

// not answers as if it had been done.
func not(_ *world, s *shop, out http.ResponseWriter, r *http.Request) {
	notes, orders, keys := maps.Clone(s.notes), maps.Clone(s.orders), maps.Clone(s.keys)
	s.mux.ServeHTTP(out, r)
	s.notes, s.orders, s.keys = notes, orders, keys
}

// from answers from an older copy of the notes.
func from(_ *world, s *shop, out http.ResponseWriter, r *http.Request) {
	now := s.notes
	s.notes = s.copies[0]
	s.mux.ServeHTTP(out, r)
	s.notes = now
}

// copying keeps the notes as they were some requests ago.
func copying(f fault) fault {
	return func(w *world, s *shop, out http.ResponseWriter, r *http.Request) bool {
		if s.copies = append(s.copies, maps.Clone(s.notes)); len(s.copies) > 20 {
			s.copies = s.copies[1:]
		}
		return f(w, s, out, r)
	}
}

// changed answers with another body.
func changed(change func(s *shop, body string) string) func(*world, *shop, http.ResponseWriter, *http.Request) {
	return func(_ *world, s *shop, out http.ResponseWriter, r *http.Request) {
		got := httptest.NewRecorder()
		s.mux.ServeHTTP(got, r)
		maps.Copy(out.Header(), got.Header())
		out.WriteHeader(got.Code)
		_, _ = out.Write([]byte(change(s, got.Body.String())))
	}
}

// again does a create a second time.
func again(_ *world, s *shop, out http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	r.Body = io.NopCloser(bytes.NewReader(body))
	s.mux.ServeHTTP(nothing{http.Header{}}, r)
	r.Body = io.NopCloser(bytes.NewReader(body))
	r.Header.Del("Idempotency-Key")
	s.mux.ServeHTTP(out, r)
}

var firstElement = regexp.MustCompile(`\{[^{}]*\},`)

func TestFaults(t *testing.T) {
	with := func(change func(*Config)) func() Config {
		return func() Config {
			c := ofNotes()
			change(&c)
			return c
		}
	}
	idempotent := with(func(c *Config) { c.IdempotencyKey = "Idempotency-Key" })
	// One of each kind.
	few := []string{"orders in memory", "a delete is lost", "a read is stale", "a create is doubled", "an id is given twice", "a list misses an element",
		"a list has an element twice", "a condition is ignored", "a condition is refused", "a tag stays", "no content"}
	for name, test := range map[string]struct {
		config func() Config
		wrong  fault
		// kind is what is found most often, with the text in its sentence. Others may be found, too.
		kind, text, others string
	}{
		"orders in memory": {ofOrders, at(func(s *shop) { s.orders = map[int]*order{} }),
			lost, " that api acknowledged in monolith is unknown to orders in switched", ""},
		"notes in memory": {ofNotes, at(func(s *shop) { s.notes = map[string]*note{} }),
			lost, " that api acknowledged in monolith is unknown to orders in switched", ""},
		"notes in memory, and ids begin again": {ofNotes, at(func(s *shop) { s.notes, s.last = map[string]*note{}, 0 }),
			lost, " that api acknowledged in monolith is unknown to orders in switched", stale + unlisted + sameID + foreignText},
		"some notes are lost": {ofNotes, at(func(s *shop) {
			for id := range s.notes {
				if strings.HasSuffix(id, "7") {
					delete(s.notes, id)
				}
			}
		}), lost, " that api acknowledged in monolith is unknown to orders in switched", ""},
		"a create is lost":    {ofNotes, one(10, "POST /notes", not), lost, " that orders acknowledged in switched is unknown to orders in switched", ""},
		"an order is lost":    {ofOrders, one(10, "POST /orders", not), lost, " that orders acknowledged in switched is unknown to orders in switched", ""},
		"a replace is lost":   {ofNotes, one(10, "PUT /notes", not), lost, " was acknowledged by orders in switched", stale},
		"a delete is lost":    {ofNotes, one(5, "DELETE /notes", not), back, ", although its deletion was acknowledged by orders in switched", ""},
		"a read is stale":     {ofNotes, copying(one(4, "GET /notes/", from)), stale, " was acknowledged by orders in switched", lost + back}, // a read after the load, too
		"a create is doubled": {ofNotes, one(10, "POST /notes", again), doneTwice, ": both are of one create", ""},
		"an order is doubled": {ofOrders, one(10, "POST /orders", func(_ *world, s *shop, out http.ResponseWriter, r *http.Request) {
			s.mux.ServeHTTP(out, r)
			twin := *s.orders[s.last]
			s.last++
			twin.ID = s.last
			s.orders[twin.ID] = &twin
		}), doneTwice, ", which no create was answered with", ""},
		"idempotency keys of before are unknown": {idempotent, at(func(s *shop) { s.keys = map[string]string{} }),
			doneTwice, "for a create that was sent again with its Idempotency-Key: ", ""},
		"idempotency keys are not kept": {idempotent, one(1, "POST /notes", func(_ *world, s *shop, out http.ResponseWriter, r *http.Request) {
			r.Header.Del("Idempotency-Key")
			s.mux.ServeHTTP(out, r)
		}), doneTwice, "for a create that was sent again with its Idempotency-Key: ", ""},
		"an id is given twice": {ofNotes, one(10, "POST /notes", func(_ *world, s *shop, out http.ResponseWriter, r *http.Request) {
			last := s.last
			s.last, _ = strconv.Atoi(slices.Min(slices.Collect(maps.Keys(s.notes))))
			s.last--
			s.mux.ServeHTTP(out, r)
			s.last = last
		}), sameID, "orders in switched gives a new note the id ", lost + stale + foreignText},
		"a list misses an element": {ofNotes, one(5, "GET /notes", changed(func(_ *shop, body string) string {
			return strings.Replace(body, firstElement.FindString(body), "", 1)
		})), unlisted, "orders in switched does not list the note ", ""},
		"a list has an element twice": {ofNotes, one(5, "GET /notes", changed(func(_ *shop, body string) string {
			return strings.Replace(body, "[", "["+firstElement.FindString(body), 1)
		})), listedTwice, " more than once", ""},
		"a list is stale": {ofNotes, copying(one(5, "GET /notes", func(w *world, s *shop, out http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/notes" {
				s.mux.ServeHTTP(out, r)
				return
			}
			from(w, s, out, r)
		})), stale, " was acknowledged by orders in switched", unlisted + back + lost},
		"a condition is ignored": {ofPosts, one(1, "PUT /posts/", func(_ *world, s *shop, out http.ResponseWriter, r *http.Request) {
			if id, _ := strconv.Atoi(path.Base(r.URL.Path)); s.posts[id].tag > 0 {
				r.Header.Set("If-Match", strconv.Quote(strconv.Itoa(s.posts[id].tag)))
			}
			s.mux.ServeHTTP(out, r)
		}), ignored, "orders in switched changes post ", stale + wrongTag},
		"a condition is refused": {ofPosts, one(10, "PUT /posts/", func(_ *world, _ *shop, out http.ResponseWriter, _ *http.Request) { out.WriteHeader(412) }),
			refused, "orders in switched answers 412 for post ", ""},
		"a tag stays": {ofPosts, one(2, "PUT /posts/", func(_ *world, s *shop, out http.ResponseWriter, r *http.Request) {
			s.mux.ServeHTTP(out, r)
			id, _ := strconv.Atoi(path.Base(r.URL.Path))
			if p, has := s.posts[id]; has && out.Header().Get("Etag") != "" {
				p.tag--
				s.posts[id] = p
			}
		}), wrongTag, " with the ETag of another content than c0ffee-", ignored + refused + stale},
		"a tag of another": {ofPosts, one(1, "GET /posts/", func(_ *world, s *shop, out http.ResponseWriter, r *http.Request) {
			got := httptest.NewRecorder()
			s.mux.ServeHTTP(got, r)
			maps.Copy(out.Header(), got.Header())
			if got.Header().Get("Etag") != "" {
				out.Header().Set("Etag", `"0"`)
			}
			out.WriteHeader(got.Code)
			_, _ = out.Write(got.Body.Bytes())
		}), wrongTag, "orders in switched answers 200 for post ", refused},
		"unchanged although it is not": {ofPosts, one(1, "GET /posts/", func(_ *world, _ *shop, out http.ResponseWriter, r *http.Request) { out.WriteHeader(304) }),
			back, ", although its deletion was acknowledged by ", wrongTag},
		"a page is left out": {ofPosts, one(10, "GET /posts", func(_ *world, s *shop, out http.ResponseWriter, r *http.Request) {
			if after, _ := strconv.Atoi(r.FormValue("after")); r.URL.Path == "/posts" {
				r.Form.Set("after", strconv.Itoa(after+2))
			}
			s.mux.ServeHTTP(out, r)
		}), unlisted, "orders in switched does not list the post ", ""},
		"a key is forgotten": {ofPosts, at(func(s *shop) { s.keys = map[string]string{} }),
			doneTwice, "for a create that was sent again with its Idempotency-Key: ", ""},
		"content of another": {ofNotes, one(10, "PUT /notes", func(w *world, s *shop, out http.ResponseWriter, r *http.Request) {
			r.URL.Path = fmt.Sprint("/notes/", slices.Max(slices.Collect(maps.Keys(s.notes))))
			s.mux.ServeHTTP(out, r)
		}), lost, " was acknowledged by orders in switched", foreignText + stale},
		"no content": {ofNotes, one(10, "GET /notes/", changed(func(_ *shop, body string) string { return strings.Replace(body, "c0ffee", "coffee", 1) })),
			foreignText, "orders in switched answers what nobody wrote for the note ", ""},
	} {
		t.Run(name, func(t *testing.T) {
			if !slices.Contains(few, name) {
				nightly.Test(t, "it finds one more mistake of a kind")
			}
			t.Parallel()
			s := newShop()
			w := newWorld(t, test.config(), 1, s)
			if err := w.baseline(); err != nil {
				t.Fatal(err)
			}
			w.load(400)
			w.switched = w.seq
			test.wrong(w, s, nil, nil)
			s.wrong = func(s *shop, out http.ResponseWriter, r *http.Request) bool { return test.wrong(w, s, out, r) }
			w.load(600)
			w.end()
			if findings := w.results.Findings; len(findings) == 0 || len(w.results.Undecided) > 0 || findings[0].Kind != test.kind || !strings.Contains(findings[0].Text, test.text) {
				w.tell()
				t.Fatalf("%s is not what is found most often", test.kind)
			}
			for _, f := range w.results.Findings {
				if f.Kind != test.kind && !strings.Contains(test.others, f.Kind) {
					w.tell()
					t.Errorf("found: %s", f.Kind)
				}
			}
		})
	}
}

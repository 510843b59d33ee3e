package collection

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"cutover/internal/rehearsal"
	"cutover/internal/rehearsal/step"
)

// shop is a server with a collection of notes, /notes, that everybody sees, and one of orders, /orders, of which each session
// has its own. It has faults.
type shop struct {
	notes  map[string]*note
	orders map[int]*order
	posts  map[int]post
	last   int
	keys   map[string]string // ids by Idempotency-Key
	// wrong is what the server does wrong, and when: see [fault].
	wrong  func(s *shop, w http.ResponseWriter, r *http.Request) (handled bool)
	copies []map[string]*note // older ones
	mux    *http.ServeMux
	// upserts says that a note is created by being replaced.
	upserts bool
}

type note struct {
	ID   any    `json:"id"`
	Text string `json:"text"`
	At   string `json:"at"`
}

type order struct {
	ID       int `json:"id"`
	Quantity int `json:"quantity"`
	session  string
	cart     int
}

func newShop() *shop {
	s := &shop{notes: map[string]*note{}, orders: map[int]*order{}, posts: map[int]post{}, keys: map[string]string{}, mux: http.NewServeMux()}
	s.handleNotes()
	s.handleOrders()
	s.handlePosts()
	return s
}

func (s *shop) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if s.wrong != nil && s.wrong(s, w, r) {
		return
	}
	s.mux.ServeHTTP(w, r)
}

func answer(w http.ResponseWriter, status int, value any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(value)
}

// handleNotes has the notes.
func (s *shop) handleNotes() {
	text := func(r *http.Request) string {
		var n note
		_ = json.NewDecoder(r.Body).Decode(&n)
		return n.Text
	}
	one := func(handle func(w http.ResponseWriter, r *http.Request, id string, n note)) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			id := r.PathValue("id")
			if s.notes[id] == nil && !(s.upserts && r.Method == "PUT") {
				answer(w, 404, "no such note")
				return
			}
			n := note{ID: id}
			if s.notes[id] != nil {
				n = *s.notes[id]
			}
			handle(w, r, id, n)
		}
	}
	created := func(w http.ResponseWriter, status int, id string) {
		w.Header().Set("Location", "/notes/"+id)
		answer(w, status, s.notes[id])
	}
	s.mux.HandleFunc("POST /notes", func(w http.ResponseWriter, r *http.Request) {
		key := r.Header.Get("Idempotency-Key")
		if id := s.keys[key]; id != "" {
			created(w, 200, id)
			return
		}
		s.last++
		id := strconv.Itoa(s.last)
		s.notes[id] = &note{ID: s.last, Text: text(r), At: "t" + id}
		if key != "" {
			s.keys[key] = id
		}
		created(w, 201, id)
	})
	s.mux.HandleFunc("GET /notes/{id}", one(func(w http.ResponseWriter, _ *http.Request, _ string, n note) { answer(w, 200, n) }))
	s.mux.HandleFunc("PUT /notes/{id}", one(func(w http.ResponseWriter, r *http.Request, id string, n note) {
		n.Text = text(r)
		s.notes[id] = &n
		answer(w, 200, n)
	}))
	s.mux.HandleFunc("DELETE /notes/{id}", one(func(w http.ResponseWriter, _ *http.Request, id string, _ note) {
		delete(s.notes, id)
		w.WriteHeader(204)
	}))
	s.mux.HandleFunc("GET /notes", func(w http.ResponseWriter, _ *http.Request) {
		list := []*note{}
		for _, id := range slices.Sorted(maps.Keys(s.notes)) {
			list = append(list, s.notes[id])
		}
		answer(w, 200, list)
	})
}

// handleOrders has the orders: a session is what its cookie says, and has a cart. The same cart is one order, however often it
// is sent.
func (s *shop) handleOrders() {
	session := func(r *http.Request) (name string, cart, quantity int) {
		if cookie, err := r.Cookie("session"); err == nil {
			_, _ = fmt.Sscanf(cookie.Value, "%d-%d-%s", &quantity, &cart, &name)
		}
		return name, cart, quantity
	}
	keep := func(w http.ResponseWriter, name string, cart, quantity int) {
		w.Header().Set("Set-Cookie", fmt.Sprintf("session=%d-%d-%s; Path=/", quantity, cart, name))
	}
	s.mux.HandleFunc("PUT /cart", func(w http.ResponseWriter, r *http.Request) {
		name, cart, _ := session(r)
		if name == "" {
			s.last++
			name = fmt.Sprint("s", s.last)
		}
		var content order
		_ = json.NewDecoder(r.Body).Decode(&content)
		keep(w, name, cart, content.Quantity)
		answer(w, 200, content)
	})
	s.mux.HandleFunc("POST /orders", func(w http.ResponseWriter, r *http.Request) {
		name, cart, quantity := session(r)
		if quantity == 0 {
			answer(w, 409, "the cart is empty")
			return
		}
		s.last++
		o := &order{s.last, quantity, name, cart}
		for _, placed := range s.orders {
			if placed.session == name && placed.cart == cart {
				o = placed
			}
		}
		s.orders[o.ID] = o
		keep(w, name, cart+1, 0)
		w.Header().Set("Location", fmt.Sprint("/orders/", o.ID))
		answer(w, 201, o)
	})
	s.mux.HandleFunc("GET /orders/{id}", func(w http.ResponseWriter, r *http.Request) {
		var id int
		_, _ = fmt.Sscan(r.PathValue("id"), &id)
		if name, _, _ := session(r); s.orders[id] == nil || s.orders[id].session != name {
			answer(w, 404, "no such order")
			return
		}
		answer(w, 200, s.orders[id])
	})
	s.mux.HandleFunc("GET /orders", func(w http.ResponseWriter, r *http.Request) {
		list := []*order{}
		name, _, _ := session(r)
		for _, o := range s.orders {
			if o.session == name {
				list = append(list, o)
			}
		}
		slices.SortFunc(list, func(a, b *order) int { return a.ID - b.ID })
		answer(w, 200, list)
	})
}

// serve gives the shop's answer to a request.
func (s *shop) serve(r *rehearsal.Request) rehearsal.Answer {
	method := r.Method
	if method == "" {
		method = "GET"
	}
	in := httptest.NewRequest(method, r.Path, bytes.NewReader(r.Body))
	in.Header = r.Header
	out := httptest.NewRecorder()
	s.ServeHTTP(out, in)
	if out.Code == noAnswer {
		return rehearsal.Answer{Problem: rehearsal.ServerError, Err: errors.New("connection reset by peer")}
	}
	return rehearsal.Answer{Status: out.Code, Header: out.Header(), Body: out.Body.Bytes()}
}

// noAnswer is the status with which the shop gives none.
const noAnswer = 999

func a(method, path, body string) step.Step {
	r := rehearsal.Request{Method: method, Path: path, Header: http.Header{}}
	if body != "" {
		r.Body = []byte(body)
		r.Header.Set("Content-Type", "application/json")
	}
	return step.Step{Request: r}
}

func some(method, path, body string) *step.Step {
	s := a(method, path, body)
	return &s
}

// ofNotes is the collection of notes, with all that a collection may have.
func ofNotes() Config {
	return Config{
		Name: "note", Hot: 2, Cold: 20,
		Create:  a("POST", "/notes", `{"text": "{{value}}"}`),
		Read:    some("", "/notes/{{id}}", ""),
		Replace: some("PUT", "/notes/{{id}}", `{"text": "{{value}}"}`),
		Delete:  some("DELETE", "/notes/{{id}}", ""),
		List:    some("", "/notes", ""),
		ID:      mustPath("$.id"),
	}
}

// ofOrders is the collection of orders, which are never changed.
func ofOrders() Config {
	return Config{
		Name: "order", Hot: 2, Cold: 20,
		Before: []step.Step{a("PUT", "/cart", `{"quantity": "{{value}}"}`)},
		Create: a("POST", "/orders", ""),
		Read:   some("", "/orders/{{id}}", ""),
		List:   some("", "/orders", ""),
		Value:  Value{From: 1, To: 99, JSON: mustPath("$.quantity")},
	}
}

// world is a rehearsal of a collection in which nothing takes time: at each moment a request is sent, takes effect, or is
// answered, as chance has it.
type world struct {
	t      testing.TB
	shop   *shop
	c      *Collection
	random *rand.Rand
	// most is the number of requests at a time.
	most     int
	flying   []flight
	seq      int
	switched int // number of the first request that is sent in phase switched
	problems map[string]int
	watch    func() // after each moment
	judged   func(rehearsal.Call, rehearsal.Answer)
	results  rehearsal.Result
}

// flight is a request without an answer.
type flight struct {
	call   rehearsal.Call
	seq    int
	answer *rehearsal.Answer
}

func newWorld(t testing.TB, config Config, seed uint64, s *shop) *world {
	t.Helper()
	config.Check(func(problem string, field ...string) { t.Fatal(field, problem) })
	c := New(config)
	c.random = rand.New(rand.NewPCG(seed, 1))
	c.values.mark = "c0ffee-"
	return &world{t: t, shop: s, c: c, random: rand.New(rand.NewPCG(seed, 2)), most: 6, problems: map[string]int{}, switched: 1 << 30, watch: func() {}, judged: func(rehearsal.Call, rehearsal.Answer) {}}
}

func (w *world) ask(_ context.Context, _ int, r *rehearsal.Request) rehearsal.Answer {
	a := w.shop.serve(r)
	a.Seq = -1
	return a
}

// baseline takes both.
func (w *world) baseline() error {
	for range 2 {
		if err := w.c.Baseline(w.t.Context(), w.ask); err != nil {
			return err
		}
	}
	return nil
}

// load sends so many requests, and waits for the answers.
func (w *world) load(requests int) {
	for last := w.seq + requests; w.seq < last || len(w.flying) > 0; w.watch() {
		if w.seq < last && len(w.flying) < w.most && w.random.IntN(3) == 0 {
			w.flying = append(w.flying, flight{call: w.c.Next(), seq: w.seq})
			w.seq++
			continue
		}
		if len(w.flying) == 0 {
			continue
		}
		i := w.random.IntN(len(w.flying))
		f := &w.flying[i]
		if f.answer == nil {
			a := w.shop.serve(f.call.Request)
			f.answer = &a
			continue
		}
		f.answer.Seq = f.seq
		call, answer := f.call, *f.answer
		w.judged(call, answer)
		w.flying = slices.Delete(w.flying, i, i+1)
		if p, text := call.Judge.Judge(answer); p != rehearsal.Fine || answer.Problem != rehearsal.Fine {
			w.problems[fmt.Sprintf("%v: %s", p, text)]++
		}
	}
}

// end finishes the rehearsal.
func (w *world) end() {
	w.c.Finish(w.t.Context(), w.ask)
	w.results = w.c.Result(func(seq int) rehearsal.Handled {
		h := rehearsal.Handled{Service: "api", Stage: "monolith", At: time.Duration(max(0, seq)) * time.Millisecond}
		if seq >= w.switched {
			h.Service, h.Stage = "orders", "switched"
		}
		return h
	})
}

// kinds are the findings, each once.
func (w *world) kinds() string {
	var kinds []string
	for _, f := range w.results.Findings {
		kinds = append(kinds, f.Kind)
	}
	slices.Sort(kinds)
	return strings.Join(slices.Compact(kinds), ", ")
}

// tell logs what is found.
func (w *world) tell() {
	for text, n := range w.problems {
		w.t.Logf("%d × %s", n, text)
	}
	for _, f := range w.results.Findings {
		w.t.Logf("%s in %s, %d ×: %s\n  %s", f.Kind, f.Stage, f.Count, f.Text, strings.Join(f.Detail, "\n  "))
	}
	w.t.Logf("undecided %q, gaps %q", w.results.Undecided, w.results.Gaps)
}

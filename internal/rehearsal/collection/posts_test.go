package collection

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"

	"cutover/internal/rehearsal"
)

// post has an entity tag, and a number that is in lists only.
type post struct {
	Text string `json:"text"`
	tag  int
}

// handlePosts has the posts: changes need an If-Match, one that is not there is read with 204, and a list has pages of ten.
func (s *shop) handlePosts() {
	tagged := func(w http.ResponseWriter, status, id int) {
		w.Header().Set("Etag", strconv.Quote(strconv.Itoa(s.posts[id].tag)))
		w.Header().Set("Location", fmt.Sprint("/posts/", id))
		answer(w, status, s.posts[id])
	}
	one := func(missing int, handle func(w http.ResponseWriter, r *http.Request, id int)) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			id, _ := strconv.Atoi(r.PathValue("id"))
			tag := ""
			if p, has := s.posts[id]; has {
				tag = strconv.Quote(strconv.Itoa(p.tag))
			}
			switch asks := r.Header.Get("If-Match"); {
			case tag == "":
				w.WriteHeader(missing)
			case r.Method != "GET" && asks == "":
				w.WriteHeader(428)
			case r.Method != "GET" && asks != tag:
				w.WriteHeader(412)
			case r.Method == "GET" && r.Header.Get("If-None-Match") == tag:
				w.Header().Set("Etag", tag)
				w.WriteHeader(304)
			default:
				handle(w, r, id)
			}
		}
	}
	s.mux.HandleFunc("POST /posts", func(w http.ResponseWriter, r *http.Request) {
		var p post
		_ = json.NewDecoder(r.Body).Decode(&p)
		key := r.Header.Get("Idempotency-Key")
		id, has := s.keys[key]
		n, _ := strconv.Atoi(id)
		if !has {
			s.last++
			n, p.tag = s.last, 1
			s.posts[n], s.keys[key] = p, strconv.Itoa(n)
		}
		w.Header().Set("Etag", `"1"`)
		w.Header().Set("Location", fmt.Sprint("/posts/", n))
		answer(w, 201, p)
	})
	s.mux.HandleFunc("GET /posts/{id}", one(204, func(w http.ResponseWriter, _ *http.Request, id int) { tagged(w, 200, id) }))
	s.mux.HandleFunc("PUT /posts/{id}", one(404, func(w http.ResponseWriter, r *http.Request, id int) {
		p := post{tag: s.posts[id].tag + 1}
		_ = json.NewDecoder(r.Body).Decode(&p)
		s.posts[id] = p
		tagged(w, 200, id)
	}))
	s.mux.HandleFunc("DELETE /posts/{id}", one(404, func(w http.ResponseWriter, _ *http.Request, id int) {
		delete(s.posts, id)
		w.WriteHeader(204)
	}))
	s.mux.HandleFunc("GET /posts", func(w http.ResponseWriter, r *http.Request) {
		type element struct {
			ID   int    `json:"id"`
			Text string `json:"text"`
		}
		list := []element{}
		after, _ := strconv.Atoi(r.FormValue("after"))
		for _, id := range slices.Sorted(maps.Keys(s.posts)) {
			if id <= after {
				continue
			}
			if len(list) == 10 {
				w.Header().Set("Link", fmt.Sprintf(`</help>; rel="help", <?after=%d>; rel="next"`, list[9].ID))
				break
			}
			list = append(list, element{id, s.posts[id].Text})
		}
		answer(w, 200, list)
	})
}

// ofPosts is the collection of posts, with conditions everywhere.
func ofPosts() Config {
	c := Config{
		Name: "post", Hot: 2, Cold: 20, IdempotencyKey: "Idempotency-Key",
		Create:  a("POST", "/posts", `{"text": "{{value}}"}`),
		Read:    some("", "/posts/{{id}}", ""),
		Replace: some("PUT", "/posts/{{id}}", `{"text": "{{value}}"}`),
		Delete:  some("DELETE", "/posts/{{id}}", ""),
		List:    some("", "/posts", ""),
	}
	c.Read.Request.Header.Set("If-None-Match", "{{etag}}")
	c.Replace.Request.Header.Set("If-Match", "{{etag}}")
	c.Delete.Request.Header.Set("If-Match", "{{etag}}")
	return c
}

// What depends on entity tags is as right as the rest: the answers 412, 304, 204 and 409 lose nothing.
func TestConditions(t *testing.T) {
	s := newShop()
	w := newWorld(t, ofPosts(), 1, s)
	if err := w.baseline(); err != nil {
		t.Fatal(err)
	}
	statuses := map[string]int{}
	s.wrong = func(s *shop, out http.ResponseWriter, r *http.Request) bool {
		if r.Method == "POST" && w.random.IntN(10) == 0 { // is done later, or never
			if w.random.IntN(2) == 0 {
				s.mux.ServeHTTP(nothing{http.Header{}}, r)
			}
			out.WriteHeader(noAnswer)
			return true
		}
		_, isKnown := s.keys[r.Header.Get("Idempotency-Key")]
		if r.Method == "POST" && isKnown && w.c.open != nil && w.random.IntN(2) == 0 && !answered(w.c, r.Header.Get("Idempotency-Key")) {
			out.WriteHeader(409)
			return true
		}
		return false
	}
	judged := func(c rehearsal.Call, a rehearsal.Answer) {
		statuses[fmt.Sprint(c.Request.Method, " ", a.Status, " ", a.Header.Get("Link") != "")]++
	}
	w.judged = judged
	w.load(3000)
	s.wrong = nil
	w.end()
	for text := range w.problems {
		if text != fmt.Sprintf("%v: ", rehearsal.Fine) {
			t.Errorf("lost: %s", text)
		}
	}
	isHeader := func(i rehearsal.Ignored) bool { return strings.HasPrefix(i.Part, "header") }
	if len(w.results.Findings)+len(w.results.Undecided)+len(w.results.Gaps) > 0 || slices.ContainsFunc(w.results.Ignored, isHeader) {
		w.tell()
		t.Errorf("an honest server does not pass; ignored %v", w.results.Ignored)
	}
	for _, status := range []string{"PUT 200 false", "PUT 412 false", " 304 false", " 204 false", " 200 false", " 200 true", "DELETE 204 false", "POST 409 false", "POST 201 false"} {
		if statuses[status] == 0 {
			t.Errorf("no answer is %s: %v", status, statuses)
		}
	}
	if len(s.posts) > 30 {
		t.Errorf("%d posts are left", len(s.posts))
	}
}

// answered says whether a create was answered.
func answered(c *Collection, key string) bool {
	for r := range c.open {
		if r.uuid == key && r.created.outcome == done {
			return true
		}
	}
	return false
}

// Each element of a list is as old as the page that has it.
func TestPages(t *testing.T) {
	c := New(ofPosts())
	call := c.listOf(c.newUser(), nil)
	j := call.Judge.(*judging).judge.(*listed)
	call.Judge.Judge(rehearsal.Answer{Status: 200, Seq: 7, Body: []byte(`[{"id": 1}]`), Header: http.Header{"Link": {`<?after=1>; rel=next`}}})
	between := c.tick()
	if call = c.nextPage(); call.Request.Path != "/posts?after=1" || len(c.pages) > 0 {
		t.Errorf("the next page is %s, and %d more", call.Request.Path, len(c.pages))
	}
	call.Judge.Judge(rehearsal.Answer{Status: 200, Seq: 8, Body: []byte(`[{"id": 2}, {"id": 1}]`)})
	one, two := j.items["1"], j.items["2"]
	if one.times != 2 || two.times != 1 || one.page.call < between || two.page.call < between || two.page.end <= two.page.call || two.page.seq != 8 || c.counts[listing] != 1 {
		t.Errorf("%+v, %+v, %d lists", one, two, c.counts[listing])
	}
	if j.o.call >= between || j.o.end < two.page.end {
		t.Errorf("the list is %+v", j.o)
	}
	for link, want := range map[string]string{
		`</a?x=1>; rel="next"`: "/a?x=1", `<b>; title="a, b"; rel="prev next"`: "/x/b", `<https://example.com/c?d>; REL=Next`: "/c?d",
		`</a>; rel="prev"`: "", `</a>`: "", "": "", `</a>; rel="first", </b>; rel="next"`: "/b",
	} {
		if got := nextPage("/x/y?z", []string{link}); got != want {
			t.Errorf("%s: %q, want %q", link, got, want)
		}
	}
	// A list whose pages go on for ever is wrong.
	j = &listed{c: c}
	if problem := j.add(rehearsal.Answer{Body: []byte("[]"), Header: http.Header{"Link": {`</posts>; rel="next"`}}}); problem != "" {
		t.Error(problem)
	}
	if problem := j.add(rehearsal.Answer{Body: []byte("[]"), Header: http.Header{"Link": {`</posts>; rel="next"`}}}); problem == "" {
		t.Error("a page that leads to itself is right")
	}
}

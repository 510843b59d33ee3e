package apitest

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
)

// details are tests of more than a status, for each kind.
var details = map[string]func(*records){
	"a record is what was written":            life,
	"a repeated POST gets the first answer":   repeats,
	"lists have pages":                        pages,
	"a record moves between lists":            moves,
	"ids are in a media type of their own":    mediaType,
	"one of several writers wins":             race,
	"each POST gets an id":                    births,
	"the methods of a path":                   methods,
	"several conditions and wrong parameters": conditions,
	"every mistake has its place":             mistakes,
}

// shown is the record as the answers have it.
func (r *records) shown(id json.Number, fields map[string]any) string {
	names := map[string][]string{"users": {"username", "name", "bio"}, "threads": {"title", "createdBy"}, "posts": {"thread", "text", "user"}}[r.kind]
	var b strings.Builder
	if r.kind != "posts" {
		fmt.Fprintf(&b, `"id":%s,`, id)
	}
	for _, name := range names {
		fmt.Fprintf(&b, `"%s":%s,`, name, encode(fields[name]))
	}
	return "{" + strings.TrimSuffix(b.String(), ",") + "}"
}

func (r *records) get(path string, header ...string) answer {
	r.t.Helper()
	return r.send(request{method: "GET", path: path, header: fields(header)})
}

func (r *records) want(what string, a answer, status int, body, etag string) {
	r.t.Helper()
	if a.status != status || a.body != body || a.header.Get("Etag") != etag {
		r.t.Errorf("%s: %s: %d %s %s, want %d %s %s", r.kind, what, a.status, a.header.Get("Etag"), a.body, status, etag, body)
	}
}

func life(r *records) {
	m := r.make()
	first := r.shown(m.id, m.fields)
	r.want("POST", m.answer, 201, first, `"1"`)
	if m.path != "/api/"+r.kind+"/"+string(m.id) {
		r.t.Errorf("Location %s", m.path)
	}
	r.want("GET", r.get(m.path), 200, first, `"1"`)
	changed := with(m.fields, text[r.kind], "other\u0000 </text> \\ \u2029")
	second := r.shown(m.id, changed)
	q := request{method: "PUT", path: m.path, body: encode(changed), header: map[string]string{"If-Match": `"7", "1"`}}
	r.want("PUT", r.send(q), 200, second, `"2"`)
	r.want("GET after PUT", r.get(m.path), 200, second, `"2"`)
	if a := r.get(m.path, "If-None-Match", `"1"`); a.status != 200 {
		r.t.Errorf("a changed record is answered with %d", a.status)
	}
	if list := r.find(m); list != second {
		r.t.Errorf("the list has %s", list)
	}
	r.want("DELETE", r.send(request{method: "DELETE", path: m.path}), 204, "", "")
	r.want("GET after DELETE", r.get(m.path), 204, "", "")
	if list := r.find(m); list != "" {
		r.t.Errorf("the list has %s", list)
	}
}

// find returns the record as the list has it, or "".
func (r *records) find(m made) (found string) {
	r.t.Helper()
	for path := "/api/" + r.kind + "?limit=200"; path != ""; {
		a := r.get(path, "Accept", "application/vnd.cutover.v2+json")
		var list []json.RawMessage
		if err := json.Unmarshal([]byte(a.body), &list); err != nil {
			r.t.Fatalf("%s: %v: %d %s", path, err, a.status, a.body)
		}
		for _, raw := range list {
			var record struct{ ID json.Number }
			if err := json.Unmarshal(raw, &record); err != nil {
				r.t.Fatal(err)
			}
			if record.ID == m.id {
				if found != "" {
					r.t.Errorf("%s is in the list twice", m.path)
				}
				found = string(raw)
				if r.kind == "posts" {
					found = "{" + strings.TrimPrefix(found, fmt.Sprintf(`{"id":%s,`, m.id))
				}
			}
		}
		path = next(a)
	}
	return found
}

// next is the path of the next page, or "".
func next(a answer) string {
	path, ok := strings.CutSuffix(a.header.Get("Link"), `>; rel="next"`)
	if !ok {
		return ""
	}
	return strings.TrimPrefix(path, "<")
}

func repeats(r *records) {
	r.n++
	q := request{method: "POST", path: "/api/" + r.kind, body: encode(r.fields()), header: map[string]string{"Idempotency-Key": fmt.Sprintf(`"first-%d-%d"`, r.run, r.n)}}
	first := r.send(q)
	location := first.header.Get("Location")
	r.send(request{method: "DELETE", path: location})
	for range 2 {
		again := r.send(q)
		first.header.Del("Date")
		again.header.Del("Date")
		if again.status != 201 || again.body != first.body || !maps.EqualFunc(again.header, first.header, slices.Equal) {
			r.t.Errorf("%s: the first answer is %v, the next %v", r.kind, first, again)
		}
	}
	if a := r.get(location); a.status != 204 {
		r.t.Errorf("%s: the repeat has made the deleted record again: %v", r.kind, a)
	}
	q.header["Idempotency-Key"] += "2"
	if other := r.send(q); other.status != 201 || other.header.Get("Location") == location {
		r.t.Errorf("%s: another key: %v", r.kind, other)
	}
}

func pages(r *records) {
	if r.kind == "posts" {
		return
	}
	m := r.make()
	list, other, refer := r.referring()
	fields := refer(m.id)
	var want []string
	add := func() {
		want = append(want, other.send(request{method: "POST", path: "/api/" + other.kind, body: encode(fields)}).body)
	}
	for range 5 {
		add()
	}
	whole := other.get(list + string(m.id))
	if whole.status != 200 || whole.body != "["+strings.Join(want, ",")+"]" || whole.header.Get("Link") != "" {
		r.t.Errorf("%s: %v, want %s", list, whole, want)
	}
	var got []string
	page := 0
	for path := list + string(m.id) + "?limit=2"; path != ""; page++ {
		a := other.get(path)
		var records []json.RawMessage
		if err := json.Unmarshal([]byte(a.body), &records); err != nil || len(records) > 2 {
			r.t.Fatalf("%s: %v %v", path, a, err)
		}
		for _, raw := range records {
			got = append(got, string(raw))
		}
		if page == 0 {
			add() // during the reading, behind what was read
		}
		path = next(a)
	}
	if page != 3 || !slices.Equal(got, want) {
		r.t.Errorf("%s in %d pages: %s, want %s", list, page, got, want)
	}
	a := other.get(list + string(m.id) + "?limit=2")
	_, cursor, _ := strings.Cut(next(a), "?")
	if wrong := other.get(list + nobody + "?" + cursor); wrong.status != 400 {
		r.t.Errorf("the cursor of another list: %v", wrong)
	}
	if rest := other.get(next(a)[:strings.Index(next(a), "?")] + "?" + strings.Join(slices.DeleteFunc(strings.Split(cursor, "&"), func(p string) bool { return strings.HasPrefix(p, "limit") }), "&")); rest.body != "["+strings.Join(want[2:], ",")+"]" {
		r.t.Errorf("a page without a limit: %v", rest)
	}
}

// moves gives a record another reference.
func moves(r *records) {
	if r.kind == "users" {
		return
	}
	m, n := r.make(), r.make()
	name := map[string]string{"threads": "createdBy", "posts": "thread"}[r.kind]
	list := map[string]string{"threads": "/api/threads/by-user/", "posts": "/api/posts/in-thread/"}[r.kind]
	old, other := fmt.Sprint(m.fields[name]), fmt.Sprint(n.fields[name])
	for _, to := range []string{other, old, other} {
		a := r.send(request{method: "PUT", path: m.path, body: encode(with(m.fields, name, json.Number(to))), header: map[string]string{"If-Match": "*"}})
		if a.status != 200 {
			r.t.Fatal(a)
		}
		in := map[string]bool{old: to == old, other: to == other}
		for id, want := range in {
			if got := strings.Contains(r.get(list+id).body, a.body); got != want {
				r.t.Errorf("%s: moved to %s: in %s: %t", r.kind, to, id, got)
			}
		}
	}
	r.send(request{method: "DELETE", path: m.path})
	if list := r.get(list + other); list.body != "["+n.answer.body+"]" {
		r.t.Errorf("%s: after the deletion: %v", r.kind, list)
	}
}

func mediaType(r *records) {
	if r.kind != "posts" {
		return
	}
	m := r.make()
	path := "/api/posts/in-thread/" + fmt.Sprint(m.fields["thread"])
	plain := r.get(path, "Accept", "*/*")
	ids := r.get(path, "Accept", "text/html, application/vnd.cutover.v2+json;q=0.5")
	if plain.body != "["+m.body+"]" || plain.header.Get("Content-Type") != "application/json; charset=utf-8" || plain.header.Get("Vary") != "Accept" {
		r.t.Error(plain)
	}
	if want := fmt.Sprintf(`[{"id":%s,%s]`, m.id, m.body[1:]); ids.body != want || ids.header.Get("Content-Type") != "application/vnd.cutover.v2+json; charset=utf-8" || ids.header.Get("Vary") != "Accept" {
		r.t.Errorf("%v, want %s", ids, want)
	}
	if plain.header.Get("Etag") == ids.header.Get("Etag") {
		r.t.Error("both have one ETag")
	}
	if none := r.get(path, "Accept", "application/vnd.cutover.v2+json; q=0.0"); none.body != plain.body {
		r.t.Error(none)
	}
}

// together sends requests at the same time.
func (r *records) together(n int, q func(i int) request) []answer {
	answers := make([]answer, n)
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() { answers[i] = r.send(q(i)) })
	}
	all.Wait()
	return answers
}

func race(r *records) {
	const writers = 8
	m := r.make()
	answers := r.together(writers, func(i int) request {
		return request{method: "PUT", path: m.path, body: encode(with(m.fields, text[r.kind], fmt.Sprint("writer ", i))), header: map[string]string{"If-Match": m.etag}}
	})
	won := 0
	for _, a := range answers {
		if a.status == 200 {
			won++
			r.want("the winner's record", r.get(m.path), 200, a.body, `"2"`)
		} else if a.status != 412 {
			r.t.Error(a)
		}
	}
	if won != 1 {
		r.t.Errorf("%s: %d of %d writers won", r.kind, won, writers)
	}
	r.n++
	q := request{method: "POST", path: "/api/" + r.kind, body: encode(r.fields()), header: map[string]string{"Idempotency-Key": fmt.Sprint("race-", r.run, "-", r.n)}}
	places := map[string]bool{}
	for _, a := range r.together(writers, func(int) request { return q }) {
		switch a.status {
		case http.StatusCreated:
			places[a.header.Get("Location")] = true
		case http.StatusConflict:
			if a.header.Get("Retry-After") != "1" {
				r.t.Errorf("no Retry-After: %v", a)
			}
		default:
			r.t.Error(a)
		}
	}
	if len(places) != 1 {
		r.t.Errorf("%s: one key has made %v", r.kind, places)
	}
}

func births(r *records) {
	f := r.fields()
	seen := map[string]bool{}
	for _, a := range r.together(20, func(int) request { return request{method: "POST", path: "/api/" + r.kind, body: encode(f)} }) {
		place := a.header.Get("Location")
		if a.status != 201 || seen[place] {
			r.t.Errorf("%s: %v", r.kind, a)
		}
		seen[place] = true
	}
}

func methods(r *records) {
	m := r.make()
	want := map[string]string{"/api/" + r.kind: "HEAD, GET, POST", m.path: "HEAD, GET, PUT, DELETE"}
	if r.kind != "users" {
		want["/api/"+r.kind+"/by-user/1"] = "HEAD, GET"
	}
	for path, methods := range want {
		for method, status := range map[string]int{"OPTIONS": 204, "PATCH": 405, "TRACE": 501} {
			if a := r.send(request{method: method, path: path}); a.status != status || a.header.Get("Allow") != methods {
				r.t.Errorf("%s %s: %v, want %d, Allow %s", method, path, a, status, methods)
			}
		}
	}
}

func conditions(r *records) {
	m := r.make()
	for header, status := range map[[2]string]int{
		{"If-None-Match", `"1"`}: 304, {"If-None-Match", `W/"1"`}: 304, {"If-None-Match", `"0" , "1"`}: 304, {"If-None-Match", "*"}: 304,
		{"If-None-Match", `"11"`}: 200, {"If-None-Match", "1"}: 200, {"If-Match", `"1"`}: 200, {"If-Match", `W/"1"`}: 412, {"If-Match", ""}: 200,
	} {
		if a := r.get(m.path, header[0], header[1]); a.status != status {
			r.t.Errorf("%s: %s: %v, want %d", r.kind, header, a, status)
		}
	}
	for query, status := range map[string]int{
		"?limit=0": 400, "?limit=-1": 400, "?limit=": 400, "?limit=01": 400, "?limit=1.5": 400, "?limit=x": 400, "?limit=200": 200, "?after=": 400, "?after=%00": 400, "?other=1": 200, "?x=%zz": 200,
	} {
		if a := r.get("/api/" + r.kind + query); a.status != status && !(a.status == 413 && !strings.Contains(query, "limit")) {
			r.t.Errorf("%s: %s: %d, want %d", r.kind, query, a.status, status)
		}
	}
	for mediaType, status := range map[string]int{"application/json; charset=UTF-8": 201, "Application/JSON": 201, "application/json;charset=latin1": 415, "application/json; charset": 415, "application/jsonx": 415} {
		if a := r.send(request{method: "POST", path: "/api/" + r.kind, body: encode(r.fields()), header: map[string]string{"Content-Type": mediaType}}); a.status != status {
			r.t.Errorf("%s: %s: %v, want %d", r.kind, mediaType, a, status)
		}
	}
	// A character that is longer in an answer counts as it is there.
	if a := r.send(request{method: "POST", path: "/api/" + r.kind, body: encode(with(r.fields(), text[r.kind], "\u2028")), header: map[string]string{"Content-Encoding": "identity"}}); a.status != 201 || !strings.Contains(a.body, `\u2028`) {
		r.t.Errorf("%s: %v", r.kind, a)
	}
	if a := r.send(request{method: "POST", path: "/api/posts", body: strings.ReplaceAll(encode(with(r.of("posts").fields(), "text", strings.Repeat("\u2028", 80_000))), `\u2028`, "\u2028")}); a.status != 413 || !strings.Contains(a.body, "The record has more than") {
		r.t.Errorf("a record that is too long: %d %.300s", a.status, a.body)
	}
	for key, status := range map[string]int{"k": 201, `""`: 400, strings.Repeat("k", 255): 201} {
		if a := r.send(request{method: "POST", path: "/api/" + r.kind, body: encode(r.fields()), header: map[string]string{"Idempotency-Key": key}}); a.status != status && !(status == 201 && a.status == 422) { // of another run
			r.t.Errorf("%s: key %s: %v, want %d", r.kind, key, a, status)
		}
	}
}

func mistakes(r *records) {
	a := r.send(request{method: "POST", path: "/api/" + r.kind, body: `{"a/~b":1,"` + text[r.kind] + `":"\ud800","id":5}`})
	var p struct {
		Errors []struct{ Pointer, Detail string }
	}
	if err := json.Unmarshal([]byte(a.body), &p); err != nil {
		r.t.Fatal(err)
	}
	var got []string
	for _, e := range p.Errors {
		got = append(got, e.Pointer+" "+e.Detail)
	}
	want := map[string][]string{
		"users":   {"/username is missing", "/name has half of a surrogate pair", "/id is given by the service: leave it out", "/a~1~0b is no field of a user"},
		"threads": {"/title has half of a surrogate pair", "/createdBy is missing", "/id is given by the service: leave it out", "/a~1~0b is no field of a thread"},
		"posts":   {"/thread is missing", "/text has half of a surrogate pair", "/user is missing", "/id is given by the service: leave it out", "/a~1~0b is no field of a post"},
	}[r.kind]
	if a.status != 422 || !slices.Equal(got, want) {
		r.t.Errorf("%s: %d %q, want %q", r.kind, a.status, got, want)
	}
	for _, value := range []string{`"1"`, "0", "-1", "1.0", "1e0", "9007199254740992", "null", "true", "[]"} {
		if r.kind == "users" {
			break
		}
		name := map[string]string{"threads": "createdBy", "posts": "user"}[r.kind]
		body := encode(with(r.fields(), name, json.RawMessage(value)))
		if a := r.send(request{method: "POST", path: "/api/" + r.kind, body: body}); a.status != 422 || !strings.Contains(a.body, `{"pointer":"/`+name+`"`) {
			r.t.Errorf("%s: %s is %s: %v", r.kind, name, value, a)
		}
	}
}

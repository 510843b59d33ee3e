// Package apitest has the contract of the forum's API with a store, for each way to serve it: a monolith or
// microservices, over any store. The document docs/api.md shows the statuses.
package apitest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

// Kinds are the kinds of records.
var Kinds = []string{"users", "threads", "posts"}

// Row is a case of the contract: how a method answers for each kind.
type Row struct {
	Method, Case string
	// Status and Path are by kind. A path has names in braces, as in the OpenAPI document.
	Status map[string]int
	Path   map[string]string
}

// Table renders the cases as Markdown.
func Table(rows []Row) string {
	var b strings.Builder
	b.WriteString("| method | case | users | threads | posts |\n|---|---|---|---|---|\n")
	for _, row := range rows {
		fmt.Fprintf(&b, "| %s | %s |", row.Method, row.Case)
		for _, kind := range Kinds {
			if status, ok := row.Status[kind]; ok {
				fmt.Fprintf(&b, " %d |", status)
			} else {
				b.WriteString(" |")
			}
		}
		b.WriteString("\n")
	}
	return b.String()
}

// Test holds services against the contract. The addresses are by kind, as in "http://localhost:8080", and all
// the same for a monolith. The services may have other records, and get further ones. Test returns the cases
// with the statuses that the services answered.
func Test(t *testing.T, addresses map[string]string) (rows []Row) {
	s := &session{addresses: addresses, run: time.Now().UnixNano()}
	for _, c := range cases {
		row := Row{c.method, c.what, map[string]int{}, map[string]string{}}
		t.Run(c.method+" "+c.what, func(t *testing.T) {
			for i, kind := range Kinds {
				if c.want[i] == 0 {
					continue
				}
				one := &records{session: s, t: t, kind: kind}
				q := c.ask(one)
				q.method = c.method
				got := one.send(q)
				if got.status != c.want[i] {
					t.Errorf("%s: %s %s is answered with %d %s, want %d", kind, q.method, q.path, got.status, got.body, c.want[i])
				}
				got.check(t, kind, q)
				if got.status == http.StatusCreated && len(q.body) > 100<<10 { // or a list becomes too long
					one.send(request{method: http.MethodDelete, path: got.header.Get("Location")})
				}
				row.Status[kind], row.Path[kind] = got.status, template(q.path)
			}
		})
		rows = append(rows, row)
	}
	for name, test := range details {
		t.Run(name, func(t *testing.T) {
			for _, kind := range Kinds {
				test(&records{session: s, t: t, kind: kind})
			}
		})
	}
	return rows
}

// session is a run of the contract.
type session struct {
	addresses map[string]string
	run       int64
	n         int
}

// records makes records of a kind.
type records struct {
	*session
	t    *testing.T
	kind string
}

// request is what is sent.
type request struct {
	method, path string
	header       map[string]string
	body         string
}

// answer is what is answered.
type answer struct {
	status int
	header http.Header
	body   string
}

var client = &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{DisableCompression: true}}

func (r *records) send(q request) answer {
	r.t.Helper()
	kind := strings.Split(q.path, "/")[2]
	kind, _, _ = strings.Cut(kind, "?")
	out, err := http.NewRequestWithContext(r.t.Context(), q.method, r.addresses[kind]+q.path, strings.NewReader(q.body))
	if err != nil {
		r.t.Fatal(err)
	}
	if q.method == http.MethodPost || q.method == http.MethodPut {
		out.Header.Set("Content-Type", "application/json")
	}
	for name, value := range q.header {
		if value == "" {
			out.Header.Del(name)
		} else {
			out.Header.Set(name, value)
		}
	}
	in, err := client.Do(out)
	if err != nil {
		r.t.Fatalf("%s %s: %v", q.method, q.path, err)
	}
	defer in.Body.Close()
	body, err := io.ReadAll(in.Body)
	if err != nil {
		r.t.Fatalf("%s %s: %v", q.method, q.path, err)
	}
	return answer{in.StatusCode, in.Header, string(body)}
}

// of returns the same for another kind.
func (r *records) of(kind string) *records { return &records{r.session, r.t, kind} }

// fields are those of a new record. Those that it refers to are made.
func (r *records) fields() map[string]any {
	r.n++
	text := fmt.Sprintf("%d-%d <&> \u2028 \"한국어\"", r.run, r.n)
	switch r.kind {
	case "users":
		return map[string]any{"username": text, "name": "Ada", "bio": ""}
	case "threads":
		return map[string]any{"title": text, "createdBy": r.of("users").make().id}
	default:
		thread := r.of("threads").make()
		return map[string]any{"thread": thread.id, "text": text, "user": thread.fields["createdBy"]}
	}
}

// made is a record that was made.
type made struct {
	id         json.Number
	path, etag string
	fields     map[string]any
	answer
}

func (r *records) make() made {
	r.t.Helper()
	fields := r.fields()
	a := r.send(request{method: "POST", path: "/api/" + r.kind, body: encode(fields)})
	if a.status != http.StatusCreated {
		r.t.Fatalf("POST /api/%s %v is answered with %d %s", r.kind, fields, a.status, a.body)
	}
	path := a.header.Get("Location")
	return made{json.Number(path[strings.LastIndex(path, "/")+1:]), path, a.header.Get("Etag"), fields, a}
}

// referring is the kind and list of the records that may refer to one of the kind, and makes such a record.
func (r *records) referring() (list string, other *records, fields func(id json.Number) map[string]any) {
	if r.kind == "users" {
		return "/api/threads/by-user/", r.of("threads"), func(id json.Number) map[string]any {
			return map[string]any{"title": "t", "createdBy": id}
		}
	}
	return "/api/posts/in-thread/", r.of("posts"), func(id json.Number) map[string]any {
		return map[string]any{"thread": id, "text": "t", "user": r.of("users").make().id}
	}
}

func encode(v any) string {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		panic(err)
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// with returns fields with one more, or without one if the value is nil.
func with(fields map[string]any, name string, value any) map[string]any {
	fields = maps.Clone(fields)
	if fields[name] = value; value == nil {
		delete(fields, name)
	}
	return fields
}

// text is the field of a kind with a text that must be there.
var text = map[string]string{"users": "name", "threads": "title", "posts": "text"}

// template is the path with names in braces.
func template(path string) string {
	path, _, _ = strings.Cut(path, "?")
	parts := strings.Split(path, "/")[2:]
	name := strings.TrimSuffix(parts[0], "s") + "Id"
	if len(parts) == 3 {
		name = strings.TrimPrefix(strings.TrimPrefix(parts[1], "by-"), "in-") + "Id"
	}
	if len(parts) > 1 {
		parts[len(parts)-1] = "{" + name + "}"
	}
	return "/api/" + strings.Join(parts, "/")
}

// check holds an answer against what every answer of its status must have.
func (a answer) check(t *testing.T, kind string, q request) {
	t.Helper()
	wrong := func(what string) {
		t.Errorf("%s: %s %s: %s: %d %v %s", kind, q.method, q.path, what, a.status, a.header, a.body)
	}
	problem := func() {
		var p struct {
			Type, Title, Detail string
			Status              int
			Errors              []struct {
				Pointer *string
				Detail  string
			}
		}
		err := json.Unmarshal([]byte(a.body), &p)
		if a.header.Get("Content-Type") != "application/problem+json" || err != nil || p.Type != "about:blank" || p.Title != http.StatusText(a.status) || p.Status != a.status || p.Detail == "" {
			wrong("no problem document")
		}
		for _, e := range p.Errors {
			if e.Pointer == nil || *e.Pointer != "" && (*e.Pointer)[0] != '/' || e.Detail == "" {
				wrong("a mistake without its place")
			}
		}
	}
	if a.status == 404 && a.body == "Not Found" { // an unknown path
		return
	}
	switch a.status {
	case 200, 201:
		if a.header.Get("Etag") == "" || !strings.HasPrefix(a.header.Get("Content-Type"), "application/") || q.method != "HEAD" && !json.Valid([]byte(a.body)) {
			wrong("no record")
		}
		if a.status == 201 && !strings.HasPrefix(a.header.Get("Location"), "/api/"+kind+"/") {
			wrong("no Location")
		}
	case 204, 304:
		if a.body != "" || a.header.Get("Content-Type") != "" || a.status == 304 && a.header.Get("Etag") == "" {
			wrong("a body, or no ETag")
		}
	case 405, 501:
		if !slices.Contains(strings.Split(a.header.Get("Allow"), ", "), "GET") {
			wrong("no Allow")
		}
	default:
		problem()
	}
}

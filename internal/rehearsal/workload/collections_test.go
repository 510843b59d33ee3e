package workload

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"cutover/internal/rehearsal"
	"cutover/internal/rehearsal/collection"
)

// collectionOf is the first collection of a routes file.
func collectionOf(t *testing.T, text string, o Options) collection.Config {
	t.Helper()
	o.Writes = true
	w, err := read(t, text, o)
	if err != nil {
		t.Fatal(err)
	}
	return w.Sources[0].(*collection.Collection).Config
}

// Each field of a collection has its effect.
func TestCollection(t *testing.T) {
	c := collectionOf(t, `
compare: json
ignore: {headers: [X-File]}
collections:
  - name: order
    weight: 7
    begin:
      - method: POST
        path: /login
        json: {user: ann}
        capture: {token: {json: $.token}, place: {header: Location}, sid: {cookie: sid}, csrf: {match: 'csrf=(\w+)'}}
    before:
      - {method: PUT, path: /cart/3, host: shop.example, headers: {Authorization: "Bearer {{token}}"}, json: {quantity: "{{value}}", csrf: "{{csrf}}"}}
    create: {path: /orders, body: "{{uuid}} {{place}} {{sid}}", status: [201, 202], compare: bytes, ignore: {json: [$.total], headers: [X-Step]}}
    read: {path: "/orders/{{id}}"}
    replace: {path: "/orders/{{id}}", json: {quantity: "{{value}}"}}
    delete: {path: "/orders/{{id}}"}
    list: {path: /orders}
    id: $.number
    value: {from: 1, to: 9, json: "$.lines[0].quantity"}
    items: {all: "$.all[*]", id: $.no, value: $.sum}
    idempotencyKey: Idempotency-Key
    hot: 0
    cold: 5
`, Options{Ignore: Ignore{Headers: []string{"X-Flag"}, Bodies: []string{"/orders/?"}}})
	if c.Name != "order" || c.Weight != 7 || c.Hot != 0 || c.Cold != 5 || c.IdempotencyKey != "Idempotency-Key" {
		t.Errorf("%+v", c)
	}
	var got []string
	for _, s := range append(c.Begin, c.Before...) {
		got = append(got, fmt.Sprint(s.Request.Method, " ", s.Request.Host, s.Request.Path, " ", s.Request.Header, " ", string(s.Request.Body)))
		for _, capture := range s.Capture {
			if capture.JSON != nil {
				got = append(got, "json "+capture.Name+" "+capture.JSON.String())
			} else {
				got = append(got, fmt.Sprint(capture.Name, " ", capture.Header, capture.Cookie, capture.Match))
			}
		}
	}
	if want := []string{
		`POST /login map[Content-Type:[application/json]] {"user":"ann"}`, `csrf csrf=(\w+)`, "place Location<nil>", "sid sid<nil>", "json token $.token",
		`PUT shop.example/cart/3 map[Authorization:[Bearer {{token}}] Content-Type:[application/json]] {"csrf":"{{csrf}}","quantity":"{{value}}"}`,
	}; !slices.Equal(got, want) {
		t.Errorf("%q\nwant %q", got, want)
	}
	if r, e := c.Create.Request, c.Create.Expect; r.String() != "POST /orders" || string(r.Body) != "{{uuid}} {{place}} {{sid}}" || !slices.Equal(e.Status, []int{201, 202}) ||
		e.JSON || !slices.Equal(e.IgnoreHeaders, []string{"X-Step", "X-File", "X-Flag"}) || len(e.IgnoreJSON) != 1 || e.IgnoreBody {
		t.Errorf("create is %+v, expects %+v", r, e)
	}
	for want, s := range map[string]string{
		"/orders/{{id}}": c.Read.Request.String(), "PUT /orders/{{id}}": c.Replace.Request.String(), "DELETE /orders/{{id}}": c.Delete.Request.String(), "/orders": c.List.Request.String(),
		"$.number": c.ID.String(), "1 9 $.lines[0].quantity": fmt.Sprint(c.Value.From, c.Value.To, " ", c.Value.JSON), "$.all[*] $.no $.sum": fmt.Sprint(c.Items.All, " ", c.Items.ID, " ", c.Items.Value),
	} {
		if s != want {
			t.Errorf("%s, want %s", s, want)
		}
	}
	if e := c.Read.Expect; !e.JSON || !e.IgnoreBody || !slices.Equal(e.IgnoreHeaders, []string{"X-File", "X-Flag"}) {
		t.Errorf("read expects %+v", e)
	}
}

// A collection needs no more than this, and what it does not say has a default.
func TestCollectionDefaults(t *testing.T) {
	c := collectionOf(t, `collections: [{name: note, create: {path: /notes, json: {text: "{{value}}"}}, read: {path: "/notes/{{id}}"}}]`, Options{})
	if c.Weight != 1 || c.Hot != 2 || c.Cold != 100 || c.ID != nil || c.Value != (collection.Value{}) || c.Items.All.String() != "$[*]" || c.Items.ID.String() != "$.id" || c.Items.Value != nil {
		t.Errorf("%+v", c)
	}
	if c.Replace != nil || c.Delete != nil || c.List != nil || c.Read.Request.Method != "" || c.Create.Expect.JSON {
		t.Errorf("%+v", c)
	}
}

// A collection is written to with --writes only.
func TestCollectionWithoutWrites(t *testing.T) {
	w, err := read(t, `{requests: [path: /a], collections: [{name: note, create: {path: /notes}, list: {path: /notes}}]}`, Options{})
	if err != nil || len(w.Sources) != 1 || !slices.Equal(w.Gaps, []string{"note: a collection is written to with --writes only"}) {
		t.Errorf("%d sources, gaps %q, %v", len(w.Sources), w.Gaps, err)
	}
	if got := fmt.Sprint(w.Unsent); got != "[POST /notes /notes]" {
		t.Errorf("not sent: %s", got)
	}
}

func TestCollectionErrors(t *testing.T) {
	for text, want := range map[string]string{
		`collections:
  - {name: a, create: {path: /a}}
  - name: b
    create: {path: "/b/{{ID}}", headers: {X: "{{x y}}"}}
    read: {path: /b}
    replace: {path: "/b/{{id}}"}
    list: {path: "/b/{{id}}"}
    value: {from: 5, to: 3}
    idempotencyKey: a b
  - name: c
    begin: [{path: "/c/{{id}}", capture: {id: {json: $.a}, t-1: {json: "$[", header: X}, u: {match: "("}, v: {}}}]
    create: {path: c, json: {a: "{{u}}"}, body: x}
    read: {path: "/c/{{id}}", json: {a: "{{nobody}}"}}
    value: {to: 3}
    id: "$["
`: `shop.yaml:2:5: collections[0]: has neither read nor list: without one, nothing shows what was written
shop.yaml:4:13: collections[1].create: there is no {{ID}} yet: choose from id, value, uuid
shop.yaml:4:42: collections[1].create.headers: "{{x y}}": write a variable as in {{name}}, with letters, digits and _
shop.yaml:5:11: collections[1].read: has no {{id}}: it must be about one b
shop.yaml:6:14: collections[1].replace: has no {{value}}: nothing would show what was written
shop.yaml:7:11: collections[1].list: has {{id}}: a list is of all
shop.yaml:8:12: collections[1].value: from 5 is more than to 3
shop.yaml:9:21: collections[1].idempotencyKey: "a b": must be the name of a header
shop.yaml:11:13: collections[2].begin[0]: there is no {{id}} yet: choose from value, uuid
shop.yaml:11:47: collections[2].begin[0].capture.id: {{id}} has a meaning of its own: choose another name
shop.yaml:11:65: collections[2].begin[0].capture.t-1: "t-1": a variable has letters, digits and _
shop.yaml:11:65: collections[2].begin[0].capture.t-1: must have one of json, header, cookie and match
shop.yaml:11:72: collections[2].begin[0].capture.t-1.json: JSON path "$[": unexpected eof at position 3; it looks like $.generatedAt or $.items[*].id
shop.yaml:11:101: collections[2].begin[0].capture.u.match: error parsing regexp: missing closing ): ` + "`(`" + `
shop.yaml:11:110: collections[2].begin[0].capture.v: must have one of json, header, cookie and match
shop.yaml:12:13: collections[2].create: has more than one of body, bodyFile and json: leave one
shop.yaml:12:20: collections[2].create.path: route "c": must be a path as in a request line, for example /api/users
shop.yaml:13:11: collections[2].read: there is no {{nobody}} yet: choose from etag, id, t-1, u, uuid, v, value
shop.yaml:14:12: collections[2].value: a number needs json, its place in the answer to read
shop.yaml:15:9: collections[2].id: JSON path "$[": unexpected eof at position 3; it looks like $.generatedAt or $.items[*].id`,
		"collections: [{name: a, create: {path: /a}, list: {path: /a}, value: {to: 3}}]":          `shop.yaml:1:15: collections[0].items: a number needs value, its place in an element`,
		"collections: [{name: a, create: {path: /a}, read: {path: '/a/{{id}}'}, value: {to: 3}}]": `shop.yaml:1:79: collections[0].value: a number needs json, its place in the answer to read`,
		"collections: [{name: a, create: {path: /a}, lists: {path: /a}}]":                         `shop.yaml:1:45: collections[0]: there is no key "lists": do you mean "list"?`,
		"collections: [{create: {path: /a, weight: 1}}]":                                          `shop.yaml:1:15: collections[0]: name is missing` + "\n" + `shop.yaml:1:35: collections[0].create: there is no key "weight": choose from body, bodyFile, capture, compare, headers, host, ignore, json, method, name, path, safe, status`,
		"collections: []": "shop.yaml:1:14: collections: must not be empty",
		"collections: [{name: a, create: {path: /a, capture: {x: {jsn: a}}}, cold: 0, hot: -1, value: {to: 0}}]": `shop.yaml:1:58: collections[0].create.capture.x: there is no key "jsn": do you mean "json"?
shop.yaml:1:75: collections[0].cold: 0 is too small: the least is 1
shop.yaml:1:83: collections[0].hot: -1 is too small: the least is 0
shop.yaml:1:99: collections[0].value.to: 0 is too small: the least is 1`,
	} {
		_, err := read(t, text, Options{Writes: true})
		if err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s\nerror\n%v\nwant\n%s", text, err, want)
		}
	}
}

// The example of a shop is one.
func TestShopsFile(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", "..", "examples", "shop", "routes.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	w, err := read(t, string(text), Options{Writes: true})
	if err != nil {
		t.Fatal(err)
	}
	asked := 0
	for _, s := range w.Sources {
		_ = s.Baseline(t.Context(), func(context.Context, int, *rehearsal.Request) rehearsal.Answer {
			asked++
			return rehearsal.Answer{Status: 200}
		})
	}
	if asked < len(w.Sources) {
		t.Errorf("%d requests of %d sources", asked, len(w.Sources))
	}
}

// The files in the document are right.
func TestDocumentsFiles(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", "..", "docs", "rehearsal.md"))
	if err != nil {
		t.Fatal(err)
	}
	blocks := strings.Split(string(text), "```yaml\n")[1:]
	for _, block := range blocks {
		file, _, _ := strings.Cut(block, "```")
		if _, err := read(t, file, Options{Writes: true}); err != nil {
			t.Errorf("%s\n%v", file, err)
		}
	}
	if len(blocks) < 2 {
		t.Errorf("the document has %d files", len(blocks))
	}
}

// The forum's file can be read, and has the commands that come first.
func TestForumFile(t *testing.T) {
	b := New(Options{Writes: true})
	if err := b.File("../../../deployment/forum.yaml"); err != nil {
		t.Fatal(err)
	}
	w, err := b.Build("")
	if err != nil || len(w.Gaps) > 0 {
		t.Fatal(err, w.Gaps)
	}
	if len(w.Prepare) != 1 || w.Prepare[0].String() != "api seed" {
		t.Errorf("prepare: %v", w.Prepare)
	}
	writes := 0
	for _, route := range w.Routes() {
		if route.Writes() {
			writes++
		}
	}
	if writes != 15 { // three kinds of writes to five collections
		t.Errorf("%d kinds of requests write", writes)
	}
	if err := b.File("../../../deployment/events.yaml"); err != nil {
		t.Fatal(err)
	}
	if w, err = b.Build(""); err != nil || len(w.Gaps) > 0 {
		t.Fatal(err, w.Gaps)
	}
}

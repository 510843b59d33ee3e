package workload

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"cutover/internal/rehearsal"
)

// read reads a routes file with the given text. The file's name in errors is shop.yaml.
func read(t *testing.T, text string, o Options) (rehearsal.Workload, error) {
	t.Helper()
	t.Chdir(t.TempDir())
	for name, text := range map[string]string{"shop.yaml": text, "order.json": `{"from": "a file"}`} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	b := New(o)
	if err := b.File("shop.yaml"); err != nil {
		return rehearsal.Workload{}, err
	}
	return b.Build("shop.yaml")
}

// The schema is one, in the draft that it names.
func TestSchema(t *testing.T) {
	schema()
	var document any
	if err := json.Unmarshal(schemaText, &document); err != nil {
		t.Fatal(err)
	}
	if err := jsonschema.NewCompiler().MustCompile("https://json-schema.org/draft/2020-12/schema").Validate(document); err != nil {
		t.Error(err)
	}
}

// Each field of a routes file has its effect.
func TestFile(t *testing.T) {
	w, err := read(t, `
requests:
  - path: /api/products?page=2
  - {name: log in, method: POST, path: /login, json: {user: ann, n: 1.50, t: 2026-01-01, x: 0x10, on: yes, none: null, list: [1, a]}, safe: true, weight: 3, status: 200}
  - method: POST
    path: /api/orders
    host: shop.example
    headers: {X-Tenant: blue, X-Version: 1.0, X-Flag: true, Accept: [a, b], Content-Type: application/vnd.order+json}
    json: &order
      id: 12345678901234567890
  - {method: PUT, path: /api/orders/1, bodyFile: order.json, status: [200, 2.04e2]}
  - {method: PATCH, path: /api/orders/1, body: ""}
  - method: DELETE
    path: /api/orders/1
    json: *order
  - method: PUT
    path: /api/orders/2
    json:
      <<: *order
      n: 1
`, Options{Writes: true})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, s := range w.Sources {
		r := s.Routes()[0]
		got = append(got, fmt.Sprintf("%s %s host=%q %v %s weight=%d safe=%v", r.Method, r, r.Host, r.Header, r.Body, s.Weight(), r.Safe))
	}
	want := []string{
		` /api/products?page=2 host="" map[]  weight=1 safe=false`,
		`POST log in host="" map[Content-Type:[application/json]] {"list":[1,"a"],"n":1.50,"none":null,"on":"yes","t":"2026-01-01","user":"ann","x":16} weight=3 safe=true`,
		`POST POST shop.example/api/orders host="shop.example" map[Accept:[a b] Content-Type:[application/vnd.order+json] X-Flag:[true] X-Tenant:[blue] X-Version:[1.0]] {"id":12345678901234567890} weight=1 safe=false`,
		`PUT PUT /api/orders/1 host="" map[] {"from": "a file"} weight=1 safe=false`,
		`PATCH PATCH /api/orders/1 host="" map[]  weight=1 safe=false`,
		`DELETE DELETE /api/orders/1 host="" map[Content-Type:[application/json]] {"id":12345678901234567890} weight=1 safe=false`,
		`PUT PUT /api/orders/2 host="" map[Content-Type:[application/json]] {"id":12345678901234567890,"n":1} weight=1 safe=false`,
	}
	if !slices.Equal(got, want) {
		t.Errorf("requests\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if w.About != "shop.yaml" || len(w.Gaps) > 0 {
		t.Errorf("about %q, gaps %q", w.About, w.Gaps)
	}
}

// judged says how the first source of a routes file judges an answer that follows a first one.
func judged(t *testing.T, text string, o Options, first, other rehearsal.Answer) rehearsal.Problem {
	t.Helper()
	w, err := read(t, text, o)
	if err != nil {
		t.Fatal(err)
	}
	ask := func(context.Context, int, *rehearsal.Request) rehearsal.Answer { return first }
	for range 2 {
		if err := w.Sources[0].Baseline(t.Context(), ask); err != nil {
			return rehearsal.ServerError
		}
	}
	p, _ := w.Sources[0].Next().Judge.Judge(other)
	return p
}

// What is not compared comes from the request, from the whole file, and from the options.
func TestFileExpects(t *testing.T) {
	path, err := rehearsal.ParseJSONPath("$.o")
	if err != nil {
		t.Fatal(err)
	}
	o := Options{Ignore: Ignore{Headers: []string{"X-O"}, JSON: []rehearsal.JSONPath{path}, Bodies: []string{"/bodies/*"}}}
	answer := func(status int, body string, headers ...string) rehearsal.Answer {
		a := rehearsal.Answer{Status: status, Body: []byte(body), Header: http.Header{}}
		for _, name := range headers {
			a.Header.Set(name, "v")
		}
		return a
	}
	all := []string{"X-O", "X-F", "X-R", "X-Z"}
	first := answer(200, `{"o":1,"f":1,"r":1,"z":1}`, all...)
	values := func(o, f, r, z int) rehearsal.Answer {
		return answer(200, fmt.Sprintf(`{"o":%d,"f":%d,"r":%d,"z":%d}`, o, f, r, z), all...)
	}
	headers := func(names ...string) rehearsal.Answer { return answer(200, string(first.Body), names...) }
	spaced := answer(200, " "+string(first.Body), all...)
	type answers = []rehearsal.Answer
	for _, test := range []struct {
		request      string
		more         string // of the file
		alike, other answers
	}{
		{"path: /a", "", answers{values(2, 2, 1, 1), headers("X-R", "X-Z")}, answers{values(1, 1, 2, 1), headers("X-O", "X-F", "X-Z"), answer(201, "")}},
		{"{path: /a, ignore: {headers: [x-r], json: [$.r]}}", "", answers{values(2, 2, 2, 1), headers("X-Z")}, answers{values(1, 1, 1, 2), headers("X-O", "X-F", "X-R")}},
		{"{path: /a, ignore: {body: true}}", "", answers{answer(200, "x", "X-R", "X-Z")}, answers{answer(404, "", "X-R", "X-Z")}},
		{"path: /bodies/1?a=b", "", answers{answer(200, "x", "X-R", "X-Z")}, answers{answer(200, "x", "X-Z")}},
		{"{path: /a, status: [200, 404]}", "", answers{answer(404, "")}, answers{answer(410, "")}},
		{"{path: /a, status: 404}", "", nil, answers{first}},
		{"{path: /a, ignore: {json: [$.z]}}", "compare: json", answers{spaced}, nil},
	} {
		text := "requests:\n  - " + test.request + "\n  - path: /bodies/0\nignore: {headers: [X-F], json: [$.f]}\n" + test.more
		for _, a := range test.alike {
			if p := judged(t, text, o, first, a); p != rehearsal.Fine {
				t.Errorf("%s: %s %v has the problem %v", test.request, a.Body, a.Header, p)
			}
		}
		for _, a := range test.other {
			if p := judged(t, text, o, first, a); p == rehearsal.Fine {
				t.Errorf("%s: %s %v has no problem", test.request, a.Body, a.Header)
			}
		}
	}
	for text, want := range map[string]bool{
		"requests: [path: /a]": false, "requests: [{path: /a, compare: json}]": true, "{requests: [path: /a], compare: json}": true,
		"{requests: [{path: /a, compare: bytes}], compare: json}": false,
	} {
		if got := judged(t, text, Options{}, first, spaced) == rehearsal.Fine; got != want {
			t.Errorf("%s: compares as JSON: %v", text, got)
		}
	}
	if judged(t, "requests: [path: /a]", Options{JSON: true}, first, spaced) != rehearsal.Fine {
		t.Error("the option to compare as JSON has no effect")
	}
}

// All that is wrong with a file is said at once, each with its place.
func TestFileErrors(t *testing.T) {
	for text, want := range map[string]string{
		"":                                    "shop.yaml:1:1: the file is empty",
		"# nothing":                           "shop.yaml:1:1: the file is empty",
		"a: [":                                "shop.yaml:1:1: this is no YAML: did not find expected node content",
		"a:\n  - b\n c: d":                    "shop.yaml:2:1: this is no YAML: did not find expected key",
		"a: \x00":                             "shop.yaml:1:1: this is no YAML: control characters are not allowed",
		"a: *b":                               "shop.yaml:1:1: this is no YAML: unknown anchor 'b' referenced",
		"requests":                            "shop.yaml:1:1: must be a mapping, not a text",
		"- path: /a":                          "shop.yaml:1:1: must be a mapping, not a list",
		"{}":                                  "shop.yaml:1:1: the file has no requests, sessions, collections or streams",
		"requests: []":                        "shop.yaml:1:11: requests: must not be empty",
		"requests: /a":                        "shop.yaml:1:11: requests: must be a list, not a text",
		"requests: [/a]":                      "shop.yaml:1:12: requests[0]: must be a mapping, not a text",
		"requests: [{path: /a, weight: 2.0}]": "shop.yaml:1:31: requests[0].weight: 2.0: write a whole number, as in 3",
		"requests: [path: ~]":                 "shop.yaml:1:18: requests[0].path: must be a text, not nothing",
		"requests:\n- path: /a\n---\nrequests: []": "shop.yaml:3:1: the file has a second document: leave one",
		"requests:\n- path: /a\n  path: /b":        "shop.yaml:3:3: the key \"path\" is there twice",
		"requests:\n- ? [a]\n  : b":                "shop.yaml:2:5: a key must be a text",
		"requests:\n- path: /a\n  json: .inf":      "shop.yaml:3:9: .inf is no number of JSON: put it in quotation marks",
		"requests:\n- <<: /a\n  path: /b":          "shop.yaml:2:7: << takes an alias of a mapping",
		"requests: [path: /a]\ncompare: xml\nignore: {body: true}\nanswers: []": `shop.yaml:2:10: compare: must be bytes or json, not xml
shop.yaml:3:10: ignore: there is no key "body": choose from headers, json
shop.yaml:4:1: there is no key "answers": choose from collections, compare, ignore, prepare, requests, sessions, streams`,
		`requests:
  - method: get
    paht: /a
    weight: 0
    status: 20x
  - path: c
  - path: a
    weight: 1001
    headers: {Host: a, "b c": 1, d: {}}
    status: [200, 600, 1.5]
`: `shop.yaml:2:5: requests[0]: path is missing
shop.yaml:3:5: requests[0]: there is no key "paht": do you mean "path"?
shop.yaml:4:13: requests[0].weight: 0 is too small: the least is 1
shop.yaml:5:13: requests[0].status: must be a whole number or a list, not a text
shop.yaml:6:11: requests[1].path: route "c": must be a path as in a request line, for example /api/users
shop.yaml:8:13: requests[2].weight: 1001 is too large: the most is 1000
shop.yaml:9:37: requests[2].headers.d: must be true or false or a number or a text or a list, not a mapping
shop.yaml:10:19: requests[2].status[1]: 600 is too large: the most is 599
shop.yaml:10:24: requests[2].status[2]: must be a whole number, not a number`,
		`requests:
  - path: a
    method: get
    headers:
      Host: a
    ignore: {json: [$.a, "$["], headers: [A, "B C"]}
  - {path: /b, host: a b, body: x, json: 1}
  - {path: /c, bodyFile: none.json, method: PUT}
  - path: /d
  - {path: /d, method: GET, weight: 2}
ignore: {json: [x]}
`: `shop.yaml:2:11: requests[0].path: route "a": must be a path as in a request line, for example /api/users
shop.yaml:3:13: requests[0].method: method "get": must be the name of a method in capital letters, for example POST
shop.yaml:5:7: requests[0].headers: header Host: the rehearsal sets it by itself
shop.yaml:6:26: requests[0].ignore.json[1]: JSON path "$[": unexpected eof at position 3; it looks like $.generatedAt or $.items[*].id
shop.yaml:6:46: requests[0].ignore.headers[1]: "B C": must be the name of a header
shop.yaml:7:5: requests[1]: has more than one of body, bodyFile and json: leave one
shop.yaml:7:22: requests[1].host: host "a b": must be a host name, for example shop.example.com
shop.yaml:8:26: requests[2].bodyFile: open none.json: no such file or directory
shop.yaml:10:5: requests[4]: /d is the request of line 9: change one, or give that one a weight
shop.yaml:11:17: ignore.json[0]: JSON path "x": unexpected identifier at position 1; it looks like $.generatedAt or $.items[*].id`,
	} {
		_, err := read(t, strings.ReplaceAll(text, `\x00`, "\x00"), Options{})
		if err == nil || err.Error() != want {
			t.Errorf("%s\nerror\n%v\nwant\n%s", text, err, want)
		}
	}
}

// A file can make much of itself by aliases. It is refused before it fills the memory.
func TestFileIsBounded(t *testing.T) {
	text := "a: &a0 [1,1,1,1,1,1,1,1,1,1]\n"
	for i := range 9 {
		text += fmt.Sprintf("b%d: &a%d [%s]\n", i, i+1, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*a%d,", i), 10), ","))
	}
	for text, want := range map[string]string{
		text: "the file has too many values, with those of aliases: the most is 500000",
		"requests: " + strings.Repeat("[", 5000) + strings.Repeat("]", 5000): "there are more than 100 levels of lists and mappings: is an alias within what it stands for?",
		"requests: &a [*a, *a]":                     "there are more than 100 levels of lists and mappings: is an alias within what it stands for?",
		"requests:\n- path: /a\n  json: &a {b: *a}": "there are more than 100 levels of lists and mappings: is an alias within what it stands for?",
	} {
		_, err := read(t, text, Options{})
		if err == nil || !strings.HasPrefix(err.Error(), "shop.yaml:") || !strings.HasSuffix(err.Error(), ": "+want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("error %.1000v, want %s", err, want)
		}
	}
}

// The name of a file with a body begins at the directory of the routes file, or at the root.
func TestBodyFile(t *testing.T) {
	other := filepath.Join(t.TempDir(), "other.json")
	if err := os.WriteFile(other, []byte(`{"from": "a file"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"order.json", other} {
		w, err := read(t, "requests: [{path: /a, method: POST, bodyFile: "+name+"}]", Options{Writes: true})
		if err != nil || string(w.Sources[0].Routes()[0].Body) != `{"from": "a file"}` {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// What may change something is sent if you say so, and is a gap otherwise.
func TestWrites(t *testing.T) {
	const text = "requests: [path: /a, {path: /b, method: POST}, {path: /c, method: POST, safe: true}, {path: /d, method: HEAD}]"
	for writes, want := range map[bool]string{true: "4 [] []", false: "3 [POST /b: a request that may change something is sent with --writes only] [POST /b]"} {
		w, err := read(t, text, Options{Writes: writes})
		if got := fmt.Sprint(len(w.Sources), " ", w.Gaps, " ", w.Unsent); err != nil || got != want {
			t.Errorf("%s, %v", got, err)
		}
	}
	if _, err := read(t, "requests: [{path: /b, method: POST}]", Options{}); err == nil || err.Error() != "there is nothing to request\nPOST /b: a request that may change something is sent with --writes only" {
		t.Errorf("error %v", err)
	}
	if _, err := read(t, "requests: [path: /a]", Options{Ignore: Ignore{Bodies: []string{"/a", "/b*"}}}); err == nil || err.Error() != "--ignore-body /b*: no request has such a path" {
		t.Errorf("error %v", err)
	}
	if _, err := read(t, "requests: [path: /a]", Options{Ignore: Ignore{Headers: []string{"A", "B C"}}}); err == nil || err.Error() != `--ignore-header "B C": must be the name of a header` {
		t.Errorf("error %v", err)
	}
	if _, err := New(Options{}).Build(""); err == nil || err.Error() != "there is nothing to request" {
		t.Errorf("error %v", err)
	}
	if err := New(Options{}).File(filepath.Join(t.TempDir(), "none")); !os.IsNotExist(err) {
		t.Errorf("error %v", err)
	}
}

package workload

import (
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
)

// petstore has what documents of version 3.0 have: a server with a variable, parameters of a path, references, a login.
const petstore = `
openapi: 3.0.3
info: {title: Pets, version: 1.0.0}
servers:
  - url: https://{stage}.pets.example/v1/
    variables: {stage: {default: api, enum: [api, test]}}
  - url: https://other.example
security: [{key: []}]
paths:
  /pets:
    get:
      operationId: listPets
      parameters:
        - {name: limit, in: query, schema: {type: integer, default: 10}}
        - {name: status, in: query, required: true, schema: {type: string, enum: [sold, free]}}
        - {name: tags, in: query, example: [a, b c], schema: {type: array, items: {type: string}}}
        - {name: X-Tenant, in: header, example: blue, schema: {type: string}}
        - {name: Accept, in: header, example: text/html, schema: {type: string}}
      responses: {'200': {description: ok}}
    post:
      requestBody:
        required: true
        content:
          application/xml: {schema: {$ref: '#/components/schemas/Pet'}}
          application/json: {schema: {$ref: '#/components/schemas/Pet'}}
      responses: {'201': {description: made}}
  /pets/{petId}:
    parameters:
      - {name: petId, in: path, required: true, schema: {type: integer, minimum: 7}}
    get:
      security: []
      responses: {'200': {description: ok}}
    delete:
      responses: {'204': {description: gone}}
  /pets/{petId}/photo:
    parameters: [{$ref: '#/components/parameters/id'}]
    get:
      security: [{key: []}, {}]
      servers: [{url: /photos}]
      responses: {'200': {description: ok}}
components:
  parameters:
    id: {name: petId, in: path, required: true, example: 12, schema: {type: integer}}
  securitySchemes:
    key: {type: apiKey, in: header, name: X-Key}
  schemas:
    Pet:
      type: object
      required: [name, kind]
      properties:
        id: {type: integer, readOnly: true, example: 4}
        name: {type: string, example: Rex & Co}
        kind: {type: string, enum: [dog, cat]}
        note: {type: string}
        parent: {$ref: '#/components/schemas/Pet'}
`

func TestOpenAPI(t *testing.T) {
	file := fileOf(t, "pets.yaml", petstore)
	w, err := loaded(t, Options{Writes: true}, file)
	if err != nil {
		t.Fatal(err)
	}
	same(t, "requests", sent(w), `
api.pets.example/v1/pets?status=sold&tags=a&tags=b%20c x1 map[X-Tenant:[blue]]
POST api.pets.example/v1/pets x1 map[Content-Type:[application/json]] {"kind":"dog","name":"Rex & Co"}
api.pets.example/v1/pets/7 x1 map[]
/photos/pets/12/photo x1 map[]`)
	same(t, "gaps", strings.Join(w.Gaps, "\n"), `
pets.yaml: 3 requests sent without what key asks for (send it with --header), such as GET /pets
pets.yaml: 2 requests sent with values that were made up, as there is no example, such as DELETE /pets/{petId} (petId)
pets.yaml: 1 request left out (what was deleted cannot be deleted again: write a collection in a routes file): DELETE api.pets.example/v1/pets/7`)
	w, err = loaded(t, Options{Header: http.Header{"X-Key": {"1"}}}, file)
	if err != nil || strings.Contains(strings.Join(w.Gaps, "\n"), "asks for") || len(w.Sources) != 3 || len(w.Unsent) != 2 {
		t.Errorf("with the key: %q, %v", w.Gaps, err)
	}
}

// Version 3.1 has types in lists, constants, and examples in schemas. Examples of one name belong together.
func TestOpenAPI31(t *testing.T) {
	file := fileOf(t, "a.json", `{
	"openapi": "3.1.0", "info": {"title": "a", "version": "1"},
	"paths": {
		"/orders/{id}": {"get": {"parameters": [
			{"name": "id", "in": "path", "required": true, "schema": {"type": ["string", "null"]}, "examples": {"first": {"value": "a/b"}, "second": {"value": 2}}},
			{"name": "page", "in": "query", "schema": {"type": "integer"}, "examples": {"second": {"value": 3}, "third": {"externalValue": "x"}}}]}},
		"/v/{c}/{e}/{n}": {"get": {"parameters": [
			{"name": "c", "in": "path", "required": true, "schema": {"const": "now"}},
			{"name": "e", "in": "path", "required": true, "schema": {"type": "string", "examples": ["x", "y"]}},
			{"name": "n", "in": "path", "required": true, "schema": {"type": "number", "exclusiveMinimum": 5}}]}},
		"/form": {"post": {"requestBody": {"required": true, "content": {"application/x-www-form-urlencoded": {"schema": {"type": "object", "required": ["a", "b"], "properties": {"a": {"type": "string", "example": "1 2"}, "b": {"type": "boolean", "default": true}}}}}}}}
	},
	"webhooks": {"new": {"post": {}}}
}`)
	w, err := loaded(t, Options{Writes: true}, file)
	if err != nil {
		t.Fatal(err)
	}
	same(t, "requests", sent(w), `
POST /form x1 map[Content-Type:[application/x-www-form-urlencoded]] a=1+2&b=true
/orders/a%2Fb?page=3 x1 map[]
/orders/2?page=3 x1 map[]
/v/now/x/6 x1 map[]`)
	same(t, "gaps", strings.Join(w.Gaps, "\n"), `a.json: 1 request sent with values that were made up, as there is no example: GET /v/{c}/{e}/{n} (n)`)
}

// References may lead to other files, and in circles.
func TestReferences(t *testing.T) {
	file := fileOf(t, "a.yaml", `
openapi: 3.0.0
info: {title: a, version: '1'}
paths:
  /a: {$ref: 'paths/a.yaml'}
  /b:
    post:
      requestBody: {required: true, content: {application/json: {schema: {$ref: '#/components/schemas/Endless'}}}}
  /c:
    post:
      requestBody: {required: true, content: {application/json: {schema: {$ref: '#/components/schemas/Tree'}}}}
components:
  schemas:
    Endless: {type: object, required: [next], properties: {next: {$ref: '#/components/schemas/Endless'}}}
    Tree: {type: object, required: [name, children], properties: {name: {type: string}, children: {type: array, items: {$ref: '#/components/schemas/Tree'}}}}
`)
	if err := os.Mkdir("paths", 0o700); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"paths/a.yaml":          "get:\n  parameters: [{$ref: 'parameters.yaml#/page'}]\n",
		"paths/parameters.yaml": "page: {name: page, in: query, example: 2, schema: {type: integer}}\n",
	} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	w, err := loaded(t, Options{Writes: true}, file)
	if err != nil {
		t.Fatal(err)
	}
	if got := sent(w); !strings.HasPrefix(got, "/a?page=2 x1 map[]\nPOST /c ") || !strings.HasSuffix(got, `"name":"1"}`+strings.Repeat(`],"name":"1"}`, strings.Count(got, "children")-1)) && !strings.Contains(got, `{"children":[],"name":"1"}`) {
		t.Errorf("requests %s", got)
	}
	same(t, "gaps", strings.Join(w.Gaps[:1], "\n"), `a.yaml: 1 request left out (body: the schema has no end, and no example): POST /b`)
}

// What is wrong with a document is said in plain words, with its place.
func TestDocumentsThatAreWrong(t *testing.T) {
	const head = "openapi: 3.0.0\ninfo: {title: a, version: '1'}\n"
	for text, want := range map[string]string{
		head + "paths: []": "a.yaml:3:1: paths: must not be a list",
		head + "paths:\n  /a:\n    get:\n      parameters: 3\n    post:\n      requestBody: []":   "a.yaml:6:1: paths./a.get.parameters: must not be a whole number\na.yaml:8:1: paths./a.post.requestBody: must not be a list",
		head + "paths:\n  /a:\n    get:\n      parameters: [{$ref: '#/components/parameters/x'}]": "a.yaml:6:21: $ref #/components/parameters/x leads nowhere",
		head + "paths:\n  /a: {$ref: 'https://a.invalid/a.yaml'}":                                 "a.yaml:4:8: $ref https://a.invalid/a.yaml: save it as a file beside the document, and name that",
		head + "paths:\n  /a: {$ref: none.yaml}":                                                  "a.yaml:4:8: $ref none.yaml leads nowhere",
		"openapi: 3.0.0\npaths: &a\n  /a: *a":                                                     "a.yaml:1:1: this is no YAML: anchor \"a\" value contains itself",
		"openapi: 3.0\npaths: {}":                                                                 "a.yaml:1:1: openapi: must not be a number: put it in quotation marks",
		head + "paths: {}":                                                                        "a.yaml:1:1: the document has no operations in paths",
		"openapi: 3.0.0\npaths:\n  /a: {get: [}":                                                  "a.yaml:2:1: this is no YAML: did not find expected node content",
		"{\"openapi\": \"3.0.0\",\n \"paths\": {":                                                 "a.yaml:3:1: this is no YAML: did not find expected node content",
	} {
		_, err := loaded(t, Options{}, fileOf(t, "a.yaml", text))
		if err == nil {
			t.Errorf("%s: no error", text)
			continue
		}
		same(t, text, err.Error(), want)
	}
}

func TestSerialize(t *testing.T) {
	list, object := []any{"a", 2.0}, map[string]any{"x": "1 2", "y": true}
	yes, no := true, false
	for _, test := range []struct {
		in, style string
		explode   *bool
		value     any
		want      string
	}{
		{"path", "", nil, "a b/c", "a%20b%2Fc"}, {"path", "", nil, list, "a,2"}, {"path", "", nil, object, "x,1%202,y,true"}, {"path", "simple", &yes, object, "x=1%202,y=true"},
		{"path", "label", nil, 5.0, ".5"}, {"path", "label", nil, list, ".a,2"}, {"path", "label", &yes, list, ".a.2"}, {"path", "label", &yes, object, ".x=1%202.y=true"},
		{"path", "matrix", nil, 5.5, ";p=5.5"}, {"path", "matrix", nil, list, ";p=a,2"}, {"path", "matrix", &yes, list, ";p=a;p=2"}, {"path", "matrix", &yes, object, ";x=1%202;y=true"},
		{"query", "", nil, "a&b+c d", "p=a%26b%2Bc%20d"}, {"query", "", nil, list, "p=a&p=2"}, {"query", "", nil, object, "x=1%202&y=true"},
		{"query", "form", &no, list, "p=a,2"}, {"query", "form", &no, object, "p=x,1%202,y,true"}, {"query", "spaceDelimited", &no, list, "p=a%202"}, {"query", "pipeDelimited", &no, list, "p=a%7C2"},
		{"query", "deepObject", &yes, object, "p%5Bx%5D=1%202&p%5By%5D=true"}, {"query", "", nil, nil, "p="},
		{"header", "", nil, list, "a,2"}, {"header", "", nil, "a b", "a b"}, {"cookie", "", nil, "a", "p=a"}, {"query", "nonsense", nil, "a", "p=a"},
	} {
		p := &openapi3.Parameter{Name: "p", In: test.in, Style: test.style, Explode: test.explode}
		if got, err := serialize(p, test.value); err != nil || got != test.want {
			t.Errorf("%s %s %v: %s, %v, want %s", test.in, test.style, test.value, got, err, test.want)
		}
	}
	if _, err := serialize(&openapi3.Parameter{Name: "p", In: "path"}, 12345678901234567.0); err == nil {
		t.Error("a number that lost digits is taken")
	}
}

// The rehearsal takes the document of the forum's API, with an example for each value.
func TestForumAPI(t *testing.T) {
	w, err := loaded(t, Options{Writes: true}, "../../../api/openapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if len(w.Gaps) != 1 || !strings.Contains(w.Gaps[0], "3 requests left out (what was deleted cannot be deleted again") {
		t.Errorf("gaps: %q", w.Gaps)
	}
	for _, want := range []string{"/api/posts/in-thread/1 x1", `POST /api/threads x1 map[Content-Type:[application/json]] {"createdBy":1,"title":"The best loom"}`, "PUT /api/posts/1 x1 map[Content-Type:[application/json] If-Match:[*]]"} {
		if !strings.Contains(sent(w), want) {
			t.Errorf("%s is not sent:\n%s", want, sent(w))
		}
	}
}

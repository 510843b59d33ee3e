package workload

import (
	"bytes"
	"cmp"
	_ "embed"
	"encoding/json"
	"fmt"
	"net/http"
	"path/filepath"
	"strconv"
	"sync"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"golang.org/x/net/http/httpguts"

	"cutover/internal/rehearsal"
)

//go:embed routes.schema.json
var schemaText []byte

// schema is that of routes files.
var schema = sync.OnceValue(func() *jsonschema.Schema {
	const name = "routes.schema.json"
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(schemaText))
	if err != nil {
		panic(err) // a test reads it
	}
	compiler := jsonschema.NewCompiler()
	if err := compiler.AddResource(name, document); err != nil {
		panic(err)
	}
	return compiler.MustCompile(name)
})

// entry is a request of the file.
type entry struct {
	Name     string            `json:"name"`
	Method   string            `json:"method"`
	Path     string            `json:"path"`
	Host     string            `json:"host"`
	Headers  map[string]values `json:"headers"`
	Body     *string           `json:"body"`
	BodyFile string            `json:"bodyFile"`
	JSON     json.RawMessage   `json:"json"`
	Safe     bool              `json:"safe"`
	Weight   int               `json:"weight"`
	Status   statuses          `json:"status"`
	Compare  string            `json:"compare"`
	Ignore   ignored           `json:"ignore"`
}

type ignored struct {
	Headers []string `json:"headers"`
	JSON    []string `json:"json"`
	Body    bool     `json:"body"`
}

// values is a value or a list. What is no text is taken as JSON.
type values []string

func (v *values) UnmarshalJSON(text []byte) error {
	return oneOrMore(text, func(value json.RawMessage) error {
		var s string
		if json.Unmarshal(value, &s) != nil {
			s = string(value)
		}
		*v = append(*v, s)
		return nil
	})
}

// statuses is a status or a list.
type statuses []int

func (s *statuses) UnmarshalJSON(text []byte) error {
	return oneOrMore(text, func(value json.RawMessage) error {
		n, err := strconv.ParseFloat(string(value), 64) // 2e2 is an integer of JSON
		*s = append(*s, int(n))
		return err
	})
}

func oneOrMore(text []byte, add func(json.RawMessage) error) error {
	var list []json.RawMessage
	if json.Unmarshal(text, &list) != nil {
		list = []json.RawMessage{text}
	}
	for _, value := range list {
		if err := add(value); err != nil {
			return err
		}
	}
	return nil
}

// routes adds the requests of a routes file.
func (b *Builder) routes(name string, text []byte) error {
	d := readYAML(name, text)
	if len(d.errs) > 0 {
		return d.err()
	}
	d.validate(schema())
	if d.count("requests")+d.count("collections")+d.count("sessions")+d.count("streams") == 0 && len(d.errs) == 0 {
		d.refuseAt(nil, "the file has no requests, sessions, collections or streams")
	}
	d.decode(&d.compare, "compare")
	var everywhere ignored
	d.decode(&everywhere, "ignore")
	d.everywhere = d.ignore(everywhere, []string{"ignore"})
	lines := map[string]int{}
	for i := range d.count("requests") {
		at := []string{"requests", strconv.Itoa(i)}
		var e entry
		if !d.decode(&e, at...) {
			continue
		}
		request := d.request(e, at)
		request.Check(func(field, problem string) { d.refuseAt(append(at, field), problem) })
		line := d.nodes[pointerOf(at)].Line
		if first := lines[request.Key()]; first > 0 {
			d.refuseAt(at, fmt.Sprintf("%s is the request of line %d: change one, or give that one a weight", &request, first))
		}
		lines[request.Key()] = line
		b.Add(request, d.expect(e, at), max(1, e.Weight))
	}
	for i := range d.count("prepare") {
		var e struct {
			Service string   `json:"service"`
			Command []string `json:"command"`
		}
		if d.decode(&e, "prepare", strconv.Itoa(i)) {
			b.workload.Prepare = append(b.workload.Prepare, rehearsal.Command{Service: e.Service, Args: e.Command})
		}
	}
	b.collections(d)
	b.sessions(d)
	b.streams(d)
	return d.err()
}

// expect reads what is expected of the answers to a request.
func (d *document) expect(e entry, at []string) rehearsal.Expect {
	expect := d.ignore(e.Ignore, append(at, "ignore"))
	expect.JSON = cmp.Or(e.Compare, d.compare) == "json"
	expect.Status = e.Status
	expect.IgnoreHeaders = append(expect.IgnoreHeaders, d.everywhere.IgnoreHeaders...)
	expect.IgnoreJSON = append(expect.IgnoreJSON, d.everywhere.IgnoreJSON...)
	return expect
}

// ignore reads what is not compared.
func (d *document) ignore(i ignored, at []string) rehearsal.Expect {
	e := rehearsal.Expect{IgnoreHeaders: i.Headers, IgnoreBody: i.Body}
	for n, name := range i.Headers {
		if !httpguts.ValidHeaderFieldName(name) {
			d.refuseAt(append(at, "headers", strconv.Itoa(n)), fmt.Sprintf("%q: must be the name of a header", name))
		}
	}
	for n, text := range i.JSON {
		path, err := rehearsal.ParseJSONPath(text)
		if err != nil {
			d.refuseAt(append(at, "json", strconv.Itoa(n)), err.Error())
		}
		e.IgnoreJSON = append(e.IgnoreJSON, path)
	}
	return e
}

// request reads a request.
func (d *document) request(e entry, at []string) rehearsal.Request {
	r := rehearsal.Request{Name: e.Name, Method: e.Method, Path: e.Path, Host: e.Host, Safe: e.Safe, Header: http.Header{}}
	for name, list := range e.Headers {
		for _, value := range list {
			r.Header.Add(name, value)
		}
	}
	bodies := 0
	if e.Body != nil {
		r.Body = []byte(*e.Body)
		bodies++
	}
	if e.JSON != nil {
		r.Body = e.JSON
		bodies++
		if r.Header.Get("Content-Type") == "" {
			r.Header.Set("Content-Type", "application/json")
		}
	}
	if e.BodyFile != "" {
		bodies++
		file := filepath.FromSlash(e.BodyFile)
		if !filepath.IsAbs(file) {
			file = filepath.Join(filepath.Dir(d.file), file)
		}
		var err error
		if r.Body, err = readFile(file); err != nil {
			d.refuseAt(append(at, "bodyFile"), err.Error())
		}
	}
	if bodies > 1 {
		d.refuseAt(at, "has more than one of body, bodyFile and json: leave one")
	}
	return r
}

package workload

import (
	"cmp"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"

	"cutover/internal/rehearsal"
	"cutover/internal/rehearsal/collection"
	"cutover/internal/rehearsal/step"
)

// collectionEntry is a collection of a routes file.
type collectionEntry struct {
	Name           string      `json:"name"`
	Weight         int         `json:"weight"`
	Begin          []stepEntry `json:"begin"`
	Before         []stepEntry `json:"before"`
	Create         stepEntry   `json:"create"`
	Read           *stepEntry  `json:"read"`
	Replace        *stepEntry  `json:"replace"`
	Delete         *stepEntry  `json:"delete"`
	List           *stepEntry  `json:"list"`
	ID             string      `json:"id"`
	IdempotencyKey string      `json:"idempotencyKey"`
	Hot            *int        `json:"hot"`
	Cold           int         `json:"cold"`
	Value          struct {
		From int64  `json:"from"`
		To   int64  `json:"to"`
		JSON string `json:"json"`
	} `json:"value"`
	Items struct {
		All   string `json:"all"`
		ID    string `json:"id"`
		Value string `json:"value"`
	} `json:"items"`
}

// stepEntry is a request of a virtual user.
type stepEntry struct {
	entry
	Capture map[string]captureEntry `json:"capture"`
}

// captureEntry says where a value is in an answer.
type captureEntry struct {
	JSON   string `json:"json"`
	Header string `json:"header"`
	Cookie string `json:"cookie"`
	Match  string `json:"match"`
}

// collections adds the collections of a routes file.
func (b *Builder) collections(d *document) {
	for i := range d.count("collections") {
		at := []string{"collections", strconv.Itoa(i)}
		var e collectionEntry
		if !d.decode(&e, at...) {
			continue
		}
		config := b.collection(d, e, at)
		config.Check(d.refuseBelow(at))
		switch {
		case len(d.errs) > 0:
		case !b.Writes:
			b.Gap("%s: a collection is written to with --writes only", e.Name)
			b.workload.Unsent = append(b.workload.Unsent, collection.New(config).Routes()...)
		default:
			b.AddSource(collection.New(config))
		}
	}
}

// collection reads a collection.
func (b *Builder) collection(d *document, e collectionEntry, at []string) collection.Config {
	one := func(e *stepEntry, name, method string) *step.Step {
		if e == nil {
			return nil
		}
		e.Method = cmp.Or(e.Method, method)
		s := b.step(d, *e, below(at, name))
		return &s
	}
	hot := 2
	if e.Hot != nil {
		hot = *e.Hot
	}
	return collection.Config{
		Name: e.Name, Weight: max(1, e.Weight), Hot: hot, Cold: cmp.Or(e.Cold, 100), IdempotencyKey: e.IdempotencyKey,
		Begin: b.steps(d, e.Begin, below(at, "begin")), Before: b.steps(d, e.Before, below(at, "before")),
		Create: *one(&e.Create, "create", "POST"), Read: one(e.Read, "read", ""), List: one(e.List, "list", ""),
		Replace: one(e.Replace, "replace", "PUT"), Delete: one(e.Delete, "delete", "DELETE"),
		ID:    d.path(e.ID, below(at, "id")),
		Value: collection.Value{From: e.Value.From, To: e.Value.To, JSON: d.path(e.Value.JSON, below(at, "value", "json"))},
		Items: collection.Items{
			All: d.path(e.Items.All, below(at, "items", "all")), ID: d.path(e.Items.ID, below(at, "items", "id")), Value: d.path(e.Items.Value, below(at, "items", "value")),
		},
	}
}

// step reads a request of a virtual user.
func (b *Builder) step(d *document, e stepEntry, at []string) step.Step {
	s := step.Step{Request: d.request(e.entry, at)}
	s.Request.Header = b.header(s.Request.Header)
	s.Expect = b.Expect(*s.Route(), d.expect(e.entry, at))
	for _, name := range slices.Sorted(maps.Keys(e.Capture)) {
		s.Capture = append(s.Capture, d.capture(name, e.Capture[name], below(at, "capture", name)))
	}
	return s
}

func notAName(name string) string {
	return fmt.Sprintf("%q: a variable has letters, digits and _", name)
}

// capture reads where a value is in an answer.
func (d *document) capture(name string, e captureEntry, at []string) step.Capture {
	c := step.Capture{Name: name, Header: e.Header, Cookie: e.Cookie, JSON: d.path(e.JSON, below(at, "json"))}
	if !step.IsName(name) {
		d.refuseAt(at, notAName(name))
	}
	given := 0
	for _, text := range []string{e.JSON, e.Header, e.Cookie, e.Match} {
		if text != "" {
			given++
		}
	}
	if given != 1 {
		d.refuseAt(at, "must have one of json, header, cookie and match")
	}
	if e.Match != "" {
		var err error
		if c.Match, err = regexp.Compile(e.Match); err != nil {
			d.refuseAt(below(at, "match"), err.Error())
		}
	}
	return c
}

// path reads a JSON path. Nothing is none.
func (d *document) path(text string, at []string) *rehearsal.JSONPath {
	if text == "" {
		return nil
	}
	path, err := rehearsal.ParseJSONPath(text)
	if err != nil {
		d.refuseAt(at, err.Error())
	}
	return &path
}

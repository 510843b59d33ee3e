package rehearsal

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/theory/jsonpath"
	"github.com/theory/jsonpath/spec"
)

// JSONPath selects parts of a JSON body, as RFC 9535 has it.
type JSONPath struct {
	text string
	path *jsonpath.Path
}

// ParseJSONPath reads a path such as $.items[*].id.
func ParseJSONPath(text string) (JSONPath, error) {
	path, err := jsonpath.Parse(text)
	if err != nil {
		_, why, _ := strings.Cut(err.Error(), "jsonpath: ")
		return JSONPath{}, fmt.Errorf("JSON path %q: %s; it looks like $.generatedAt or $.items[*].id", text, why)
	}
	return JSONPath{text, path}, nil
}

// String is the path.
func (p JSONPath) String() string { return p.text }

// Select returns the values that the path selects.
func (p JSONPath) Select(value any) []any { return p.path.Select(value) }

// DecodeJSON reads a body that is a JSON object or array. Numbers keep their text.
func DecodeJSON(body []byte) (value any, ok bool) {
	if trimmed := bytes.TrimLeft(body, " \t\r\n"); len(trimmed) == 0 || trimmed[0] != '{' && trimmed[0] != '[' {
		return nil, false
	}
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.UseNumber()
	if decoder.Decode(&value) != nil {
		return nil, false
	}
	_, err := decoder.Token()
	return value, err == io.EOF
}

// rule leaves a part of JSON bodies out of the comparison.
type rule struct {
	JSONPath
	mode    mode
	learned bool
	noted   atomic.Bool // says that there is an example
}

// mode is what a rule does with a value.
type mode int

const (
	leaveOut mode = iota // the value may be anything, or be missing
	anyValue             // of the same type
	anyOrder             // of an array's elements
)

// part is what reports call the rule.
func (r *rule) part() string {
	if r.mode == anyOrder {
		return "order of " + r.text
	}
	return r.text
}

// ignored stands for a value that is not compared.
type ignored string

// apply changes a value into one that is compared. It returns the value, and the number of parts that it left out.
func (r *rule) apply(value any) (any, int) {
	nodes := r.path.SelectLocated(value)
	for _, node := range nodes {
		value = replace(value, node.Path, r.mode)
	}
	return value, len(nodes)
}

func replace(value any, path spec.NormalizedPath, m mode) any {
	if len(path) == 0 {
		switch elements, isArray := value.([]any); {
		case m == anyValue:
			return ignored("any " + typeOf(value))
		case m == anyOrder && isArray:
			slices.SortFunc(elements, func(a, b any) int { return strings.Compare(canonical(a), canonical(b)) })
			return elements
		case m == anyOrder:
			return value
		}
		return ignored("anything")
	}
	switch step := path[0].(type) {
	case spec.Name:
		if object, ok := value.(map[string]any); ok {
			if member, ok := object[string(step)]; ok {
				object[string(step)] = replace(member, path[1:], m)
				if len(path) == 1 && m == leaveOut {
					delete(object, string(step))
				}
			}
		}
	case spec.Index:
		if array, ok := value.([]any); ok && int(step) < len(array) {
			array[step] = replace(array[step], path[1:], m)
		}
	}
	return value
}

// difference is a place at which two values differ.
type difference struct {
	at    []any // names of members and indexes of elements
	a, b  any   // absent if there is none
	order bool  // says that arrays have the same elements in another order
}

// absent stands for a member that is missing.
type absent struct{}

// differ calls yield for each difference, until it returns false.
func differ(a, b any, at []any, yield func(difference) bool) (goOn bool) {
	here := difference{at: at, a: a, b: b}
	switch a := a.(type) {
	case map[string]any:
		b, ok := b.(map[string]any)
		if !ok {
			return yield(here)
		}
		for _, name := range slices.Sorted(maps.Keys(a)) {
			other, has := b[name]
			if at := append(slices.Clip(at), name); !has && !yield(difference{at: at, a: a[name], b: absent{}}) || has && !differ(a[name], other, at, yield) {
				return false
			}
		}
		for _, name := range slices.Sorted(maps.Keys(b)) {
			if _, has := a[name]; !has && !yield(difference{at: append(slices.Clip(at), name), a: absent{}, b: b[name]}) {
				return false
			}
		}
		return true
	case []any:
		b, ok := b.([]any)
		if !ok || len(a) != len(b) {
			return yield(here)
		}
		same := true
		for i := range a {
			same = same && differ(a[i], b[i], nil, func(difference) bool { return false })
		}
		if !same && sameElements(a, b) {
			here.order = true
			return yield(here)
		}
		for i := range a {
			if !differ(a[i], b[i], append(slices.Clip(at), i), yield) {
				return false
			}
		}
		return true
	case json.Number:
		if b, ok := b.(json.Number); ok && sameNumber(string(a), string(b)) {
			return true
		}
	}
	switch b.(type) {
	case map[string]any, []any:
		return yield(here)
	}
	return a == b || yield(here)
}

// sameNumber compares two numbers of JSON. Integers have to have the same digits; others are
// compared as most readers read them, as 64-bit floating-point numbers.
func sameNumber(a, b string) bool {
	if a == b || !strings.ContainsAny(a+b, ".eE") {
		return a == b
	}
	x, errX := strconv.ParseFloat(a, 64)
	y, errY := strconv.ParseFloat(b, 64)
	return errX == nil && errY == nil && x == y
}

func sameElements(a, b []any) bool {
	texts := func(values []any) (all []string) {
		for _, value := range values {
			all = append(all, canonical(value))
		}
		slices.Sort(all)
		return all
	}
	return slices.Equal(texts(a), texts(b))
}

// canonical is a value's text, with sorted members.
func canonical(value any) string {
	if _, missing := value.(absent); missing {
		return "missing"
	}
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	_ = e.Encode(value) // it came from JSON
	return strings.TrimSuffix(b.String(), "\n")
}

// excerpt is the beginning of a value's text, for people.
func excerpt(value any) string {
	const most = 72
	text := canonical(value)
	if len(text) > most {
		text = strings.ToValidUTF8(text[:most], "") + "…"
	}
	return text
}

func typeOf(value any) string {
	switch value := value.(type) {
	case map[string]any:
		return "object"
	case []any:
		return "array"
	case string:
		return "string"
	case json.Number:
		return "number"
	case bool:
		return "boolean"
	case absent:
		return "missing"
	case ignored:
		return string(value)
	}
	return "null"
}

var simpleName = regexp.MustCompile(`^[A-Za-z_][A-Za-z_0-9]*$`)

// pathOf writes a place as a JSON path. A general one has all elements of an array for each.
func pathOf(at []any, general bool) string {
	var b strings.Builder
	b.WriteString("$")
	for _, step := range at {
		switch step := step.(type) {
		case string:
			if simpleName.MatchString(step) {
				b.WriteString("." + step)
			} else {
				b.WriteString(strings.TrimPrefix(spec.Normalized(spec.Name(step)).String(), "$"))
			}
		case int:
			if general {
				b.WriteString("[*]")
			} else {
				fmt.Fprintf(&b, "[%d]", step)
			}
		}
	}
	return b.String()
}

// text says a difference in a few words.
func (d difference) text() string {
	at := pathOf(d.at, false)
	if d.order {
		return "the order of " + at + " differs"
	}
	return fmt.Sprintf("%s is %s, not %s", at, excerpt(d.b), excerpt(d.a))
}

// learn returns the rule that leaves a difference out.
func (d difference) learn() (*rule, error) {
	path, err := ParseJSONPath(pathOf(d.at, true))
	if err != nil {
		return nil, err
	}
	r := &rule{JSONPath: path, learned: true}
	switch {
	case d.order:
		r.mode = anyOrder
	case typeOf(d.a) == typeOf(d.b):
		r.mode = anyValue
	}
	return r, nil
}

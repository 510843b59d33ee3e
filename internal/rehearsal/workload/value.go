package workload

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
)

// Where a value is from.
const (
	madeUp      = iota // nobody has named it
	fromSchema         // it is a default, or one of few
	fromExample        // it is an example
)

// value is a value for a parameter or a body.
type value struct {
	value any
	from  int
	err   error // there is none
}

// valueOf is the value of an example: the example of that name, the example, the first one, or what the schema says.
func valueOf(example any, examples openapi3.Examples, schema *openapi3.SchemaRef, name string) value {
	if e := examples[name]; e != nil && e.Value != nil && e.Value.Value != nil {
		return value{value: e.Value.Value, from: fromExample}
	}
	if example != nil {
		return value{value: example, from: fromExample}
	}
	for _, other := range slices.Sorted(maps.Keys(examples)) {
		if e := examples[other]; e != nil && e.Value != nil && e.Value.Value != nil {
			return value{value: e.Value.Value, from: fromExample}
		}
	}
	return sample(schema, 0)
}

// maxDepth is how deep a schema may be that has no end.
const maxDepth = 20

// sample is a value that a schema takes.
func sample(ref *openapi3.SchemaRef, depth int) value {
	if ref == nil || ref.Value == nil {
		return value{value: "1"}
	}
	s := ref.Value
	if depth > maxDepth {
		return value{err: errors.New("the schema has no end, and no example")}
	}
	switch {
	case s.Example != nil:
		return value{value: s.Example, from: fromExample}
	case len(s.Examples) > 0:
		return value{value: s.Examples[0], from: fromExample}
	case s.Const != nil:
		return value{value: s.Const, from: fromSchema}
	case s.Default != nil:
		return value{value: s.Default, from: fromSchema}
	case len(s.Enum) > 0:
		return value{value: s.Enum[0], from: fromSchema}
	case len(s.AllOf) > 0 || s.Type.Permits("object") && len(s.Properties) > 0 || s.Type.Is("object"):
		return sampleObject(s, depth)
	case len(s.OneOf) > 0:
		return sample(s.OneOf[0], depth+1)
	case len(s.AnyOf) > 0:
		return sample(s.AnyOf[0], depth+1)
	}
	switch kind := typeOf(s); kind {
	case "array":
		v := sample(s.Items, depth+1)
		if v.err != nil && s.MinItems == 0 {
			return value{value: []any{}}
		}
		return value{value: slices.Repeat([]any{v.value}, max(1, int(min(s.MinItems, 100)))), from: v.from, err: v.err}
	case "integer", "number":
		return value{value: number(s, kind == "integer")}
	case "boolean":
		return value{value: true}
	case "null":
		return value{}
	}
	return sampleText(s)
}

// typeOf is the first type of a schema that is not null.
func typeOf(s *openapi3.Schema) string {
	if s.Type == nil {
		return ""
	}
	types := slices.Clone(s.Type.Slice())
	if len(types) > 1 {
		types = slices.DeleteFunc(types, func(t string) bool { return t == "null" })
	}
	if len(types) == 0 {
		return ""
	}
	return types[0]
}

// sampleObject is an object with what must be there, and with what has an example.
func sampleObject(s *openapi3.Schema, depth int) value {
	object, from := map[string]any{}, fromExample
	for _, part := range s.AllOf {
		v := sample(part, depth+1)
		members, isObject := v.value.(map[string]any)
		switch {
		case v.err != nil:
			return v
		case isObject:
			maps.Copy(object, members)
		case len(s.AllOf) == 1: // a reference with a description beside it
			return v
		}
		from = min(from, v.from)
	}
	for _, name := range slices.Sorted(maps.Keys(s.Properties)) {
		property := s.Properties[name]
		if property == nil || property.Value == nil || property.Value.ReadOnly {
			continue
		}
		required := slices.Contains(s.Required, name)
		v := sample(property, depth+1)
		switch {
		case required && v.err != nil:
			return value{err: v.err}
		case required || v.err == nil && v.from == fromExample:
			object[name] = v.value
			from = min(from, v.from)
		}
	}
	if len(object) == 0 {
		from = madeUp
	}
	return value{value: object, from: from}
}

// number is a number that a schema takes, 1 if it does.
func number(s *openapi3.Schema, whole bool) float64 {
	n, step := 1.0, 1.0
	if s.MultipleOf != nil && *s.MultipleOf > 0 {
		step = *s.MultipleOf
		n = step
	}
	least, most := math.Inf(-1), math.Inf(1)
	if s.Min != nil {
		least = *s.Min
	}
	if s.Max != nil {
		most = *s.Max
	}
	aboveLeast, belowMost := s.ExclusiveMin.IsTrue(), s.ExclusiveMax.IsTrue()
	if bound := s.ExclusiveMin.Value; bound != nil && *bound >= least {
		least, aboveLeast = *bound, true
	}
	if bound := s.ExclusiveMax.Value; bound != nil && *bound <= most {
		most, belowMost = *bound, true
	}
	if n < least || n == least && aboveLeast {
		if n = math.Ceil(least/step) * step; n == least && aboveLeast {
			n += step
		}
	}
	if n > most || n == most && belowMost {
		if n = math.Floor(most/step) * step; n == most && belowMost {
			n -= step
		}
		if !whole && s.MultipleOf == nil && (n < least || n == least && aboveLeast) {
			n = least + (most-least)/2
		}
	}
	return n
}

// formats are texts of formats (https://spec.openapis.org/registry/format/).
var formats = map[string]string{
	"date": "2026-01-01", "date-time": "2026-01-01T00:00:00Z", "time": "00:00:00Z", "duration": "P1D", "uuid": "00000000-0000-4000-8000-000000000001",
	"email": "user@example.com", "hostname": "example.com", "ipv4": "192.0.2.1", "ipv6": "2001:db8::1",
	"uri": "https://example.com/", "url": "https://example.com/", "uri-reference": "/", "byte": "MQ==",
}

// sampleText is a text that a schema takes.
func sampleText(s *openapi3.Schema) value {
	text, has := formats[s.Format]
	if !has {
		text = "1"
	}
	if missing := int(min(s.MinLength, 10_000)) - len(text); missing > 0 {
		text += strings.Repeat("1", missing)
	}
	if s.MaxLength != nil && uint64(len(text)) > *s.MaxLength {
		text = text[:*s.MaxLength]
	}
	if s.Pattern != "" {
		// Not each pattern of JavaScript is one of Go.
		if pattern, err := regexp.Compile(s.Pattern); err == nil && !pattern.MatchString(text) {
			return value{err: fmt.Errorf("there is no example that matches %s", s.Pattern)}
		}
	}
	return value{value: text}
}

// exact refuses numbers that lost digits when they were read.
func exact(v any) error {
	switch v := v.(type) {
	case float64:
		if math.Abs(v) > 1<<53 {
			return errors.New("a number over 9007199254740992 loses digits: write the example as a text, or the request in a routes file")
		}
	case []any:
		for _, element := range v {
			if err := exact(element); err != nil {
				return err
			}
		}
	case map[string]any:
		for _, name := range slices.Sorted(maps.Keys(v)) {
			if err := exact(v[name]); err != nil {
				return err
			}
		}
	}
	return nil
}

// plain is a value as text.
func plain(v any) (string, error) {
	switch v := v.(type) {
	case nil:
		return "", nil
	case string:
		return v, nil
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64), exact(v)
	}
	text, err := encode(v)
	return string(text), err
}

// serialize writes the value of a parameter, in the style that the parameter has
// (https://spec.openapis.org/oas/v3.1.1.html#style-values).
func serialize(p *openapi3.Parameter, v any) (string, error) {
	how, err := p.SerializationMethod()
	if err != nil || p.Content != nil {
		how = &openapi3.SerializationMethod{Style: map[string]string{"path": "simple", "header": "simple"}[p.In], Explode: true}
	}
	escape := func(text string) string { return text }
	switch p.In {
	case "path":
		escape = url.PathEscape
	case "query":
		escape = escapeQuery
	}
	name := escape(p.Name)
	list, pairs, err := parts(v, escape)
	if err != nil {
		return "", err
	}
	separators := map[string]string{"label": ".", "spaceDelimited": "%20", "pipeDelimited": "%7C"}
	between := separators[how.Style]
	if between == "" || !how.Explode && how.Style == "label" {
		between = ","
	}
	switch {
	case how.Style == "deepObject" && pairs != nil:
		for i, pair := range pairs {
			pairs[i][0] = name + "%5B" + pair[0] + "%5D"
		}
		return joined(pairs, "=", "&"), nil
	case how.Style == "label":
		return "." + flat(list, pairs, how.Explode, between), nil
	case how.Style == "matrix" && how.Explode:
		return ";" + joined(named(name, list, pairs), "=", ";"), nil
	case how.Style == "matrix":
		return ";" + name + "=" + flat(list, pairs, false, ","), nil
	case p.In == "path" || p.In == "header":
		return flat(list, pairs, how.Explode, ","), nil
	case how.Explode && p.In == "query":
		return joined(named(name, list, pairs), "=", "&"), nil
	}
	return name + "=" + flat(list, pairs, false, between), nil
}

// parts are the elements of a value, or the members of an object.
func parts(v any, escape func(string) string) (list []string, pairs [][2]string, err error) {
	var errs []error
	text := func(v any) string {
		text, err := plain(v)
		errs = append(errs, err)
		return escape(text)
	}
	switch v := v.(type) {
	case []any:
		for _, element := range v {
			list = append(list, text(element))
		}
	case map[string]any:
		pairs = [][2]string{}
		for _, name := range slices.Sorted(maps.Keys(v)) {
			pairs = append(pairs, [2]string{escape(name), text(v[name])})
		}
	default:
		list = []string{text(v)}
	}
	return list, pairs, errors.Join(errs...)
}

// named gives each element the name of its parameter.
func named(name string, list []string, pairs [][2]string) [][2]string {
	for _, element := range list {
		pairs = append(pairs, [2]string{name, element})
	}
	return pairs
}

// flat is a list, or an object as a list.
func flat(list []string, pairs [][2]string, explode bool, between string) string {
	if pairs == nil {
		return strings.Join(list, between)
	}
	if explode {
		return joined(pairs, "=", between)
	}
	return joined(pairs, between, between)
}

func joined(pairs [][2]string, equals, between string) string {
	var all []string
	for _, pair := range pairs {
		all = append(all, pair[0]+equals+pair[1])
	}
	return strings.Join(all, between)
}

package workload

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/big"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/agnivade/levenshtein"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
	"go.yaml.in/yaml/v3"
	"golang.org/x/text/language"
	"golang.org/x/text/message"

	"cutover/internal/rehearsal"
)

// document is a YAML file with the places of its values.
type document struct {
	file  string
	value any                   // as JSON has it
	nodes map[string]*yaml.Node // of values, by their JSON pointer
	keys  map[string]*yaml.Node // of the keys of members, by the pointer of the member
	left  int                   // nodes that the file may still have
	errs  []problem
	wrong [][]string // pointers of what a schema does not take

	// What a routes file says about all answers.
	compare    string
	everywhere rehearsal.Expect
}

// problem is an error at a place.
type problem struct {
	line, column int
	text         string
}

const (
	// maxNodes bounds what aliases can make of a file.
	maxNodes = 500_000
	// maxLevels bounds what an alias can make of a file that contains the alias.
	maxLevels = 100
)

// readYAML reads a file.
func readYAML(file string, text []byte) *document {
	d := &document{file: file, nodes: map[string]*yaml.Node{}, keys: map[string]*yaml.Node{}, left: maxNodes}
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	var root, second yaml.Node
	switch err := decoder.Decode(&root); {
	case err == io.EOF:
		d.refuse(&yaml.Node{Line: 1, Column: 1}, "the file is empty")
		return d
	case err != nil:
		d.syntax(err)
		return d
	}
	if err := decoder.Decode(&second); err == nil {
		d.refuse(&second, "the file has a second document: leave one")
	} else if err != io.EOF {
		d.syntax(err)
	}
	d.value = d.convert(root.Content[0], "", 0)
	return d
}

var yamlLine = regexp.MustCompile(`^yaml: (?:line (\d+): )?(?s:(.*))$`)

// syntax adds an error of the YAML reader, which knows the line.
func (d *document) syntax(err error) {
	parts := yamlLine.FindStringSubmatch(err.Error())
	if parts == nil {
		parts = []string{"", "1", err.Error()}
	}
	line, _ := strconv.Atoi(parts[1])
	d.refuse(&yaml.Node{Line: max(1, line), Column: 1}, "this is no YAML: "+parts[2])
}

// refuse adds an error at a node.
func (d *document) refuse(at *yaml.Node, text string) {
	d.errs = append(d.errs, problem{at.Line, at.Column, text})
}

// below is a place in a place.
func below(at []string, names ...string) []string { return append(slices.Clip(at), names...) }

// refuseBelow adds errors at places in a place.
func (d *document) refuseBelow(at []string) func(problem string, field ...string) {
	return func(problem string, field ...string) { d.refuseAt(below(at, field...), problem) }
}

// refuseAt adds an error at a place, which is named as in requests[2].path.
func (d *document) refuseAt(pointer []string, text string) {
	node := d.nodes[pointerOf(pointer)]
	for up := pointer; node == nil; { // what is missing is an error of its parent
		up = up[:len(up)-1]
		node = d.nodes[pointerOf(up)]
	}
	d.refuse(node, placeOf(pointer)+text)
}

func pointerOf(pointer []string) string { return strings.Join(pointer, "\x00") }

// placeOf names a place for people.
func placeOf(pointer []string) string {
	var b strings.Builder
	for _, step := range pointer {
		if _, err := strconv.Atoi(step); err == nil {
			fmt.Fprintf(&b, "[%s]", step)
		} else if b.Len() > 0 {
			b.WriteString("." + step)
		} else {
			b.WriteString(step)
		}
	}
	if b.Len() > 0 {
		b.WriteString(": ")
	}
	return b.String()
}

// err returns all errors, by their places.
func (d *document) err() error {
	slices.SortStableFunc(d.errs, func(a, b problem) int { return cmp.Or(a.line-b.line, a.column-b.column) })
	var errs []error
	for _, p := range slices.Compact(d.errs) {
		errs = append(errs, fmt.Errorf("%s:%d:%d: %s", d.file, p.line, p.column, p.text))
	}
	return errors.Join(errs...)
}

// convert returns the value of a node, as JSON has it. Scalars keep their text.
func (d *document) convert(n *yaml.Node, pointer string, depth int) any {
	d.nodes[pointer] = n
	switch d.left--; {
	case d.left < -1: // it is refused
		return nil
	case d.left == -1:
		d.refuse(n, fmt.Sprintf("the file has too many values, with those of aliases: the most is %d", maxNodes))
		return nil
	case depth > maxLevels:
		d.refuse(n, fmt.Sprintf("there are more than %d levels of lists and mappings: is an alias within what it stands for?", maxLevels))
		d.left = -1
		return nil
	}
	below := func(key string) string { return strings.TrimPrefix(pointer+"\x00"+key, "\x00") }
	switch n.Kind {
	case yaml.AliasNode:
		value := d.convert(n.Alias, pointer, depth+1)
		d.nodes[pointer] = n
		return value
	case yaml.SequenceNode:
		values := []any{}
		for i, element := range n.Content {
			values = append(values, d.convert(element, below(strconv.Itoa(i)), depth+1))
		}
		return values
	case yaml.MappingNode:
		return d.mapping(n, below, depth)
	}
	return d.scalar(n)
}

// mapping returns a mapping. The members of merged mappings ("<<") are those that it does not have itself.
func (d *document) mapping(n *yaml.Node, below func(key string) string, depth int) map[string]any {
	members, merged := map[string]any{}, map[string]any{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		switch {
		case key.ShortTag() == "!!merge":
			other, ok := d.convert(value, below("<<"), depth+1).(map[string]any)
			if !ok {
				d.refuse(value, "<< takes an alias of a mapping")
			}
			maps.Copy(merged, other)
		case key.Kind != yaml.ScalarNode:
			d.refuse(key, "a key must be a text")
		default:
			if d.keys[below(key.Value)] != nil {
				if _, twice := members[key.Value]; twice {
					d.refuse(key, fmt.Sprintf("the key %q is there twice", key.Value))
				}
			}
			d.keys[below(key.Value)] = key
			members[key.Value] = d.convert(value, below(key.Value), depth+1)
		}
	}
	for key, value := range merged {
		if _, has := members[key]; !has {
			members[key] = value
		}
	}
	return members
}

func (d *document) scalar(n *yaml.Node) any {
	switch n.ShortTag() {
	case "!!null":
		return nil
	case "!!bool":
		var value bool
		_ = n.Decode(&value)
		return value
	case "!!int", "!!float":
		if json.Valid([]byte(n.Value)) {
			return json.Number(n.Value)
		}
		var number float64
		if value, ok := new(big.Int).SetString(n.Value, 0); ok {
			return json.Number(value.String())
		}
		if err := n.Decode(&number); err == nil {
			if text, err := json.Marshal(number); err == nil {
				return json.Number(text)
			}
		}
		d.refuse(n, fmt.Sprintf("%s is no number of JSON: put it in quotation marks", n.Value))
		return nil
	}
	return n.Value // a time, too
}

// validate adds what a schema does not take.
func (d *document) validate(schema *jsonschema.Schema) {
	var wrong *jsonschema.ValidationError
	if err := schema.Validate(d.value); !errors.As(err, &wrong) {
		return
	}
	leaves := []*jsonschema.ValidationError{wrong}
	for len(leaves) > 0 {
		e := leaves[0]
		if leaves = append(leaves[1:], e.Causes...); len(e.Causes) == 0 {
			d.wrong = append(d.wrong, e.InstanceLocation)
			d.explain(schema, e)
		}
	}
}

// explain adds an error of the schema in our words.
func (d *document) explain(schema *jsonschema.Schema, e *jsonschema.ValidationError) {
	at := e.InstanceLocation
	switch k := e.ErrorKind.(type) {
	case *kind.AdditionalProperties:
		for _, name := range k.Properties {
			key := cmp.Or(d.keys[pointerOf(below(at, name))], d.nodes[pointerOf(at)])
			d.refuse(key, fmt.Sprintf("%sthere is no key %q: %s", placeOf(at), name, nearest(name, propertiesAt(schema, at))))
		}
	case *kind.Required:
		for _, name := range k.Missing {
			d.refuseAt(at, fmt.Sprintf("%s is missing", name))
		}
	case *kind.Type:
		d.refuseAt(at, fmt.Sprintf("must be %s, not %s", withArticles(k.Want), withArticles([]string{k.Got})))
	case *kind.Enum:
		var choices []string
		for _, choice := range k.Want {
			choices = append(choices, fmt.Sprint(choice))
		}
		d.refuseAt(at, fmt.Sprintf("must be %s, not %v", strings.Join(choices, " or "), k.Got))
	case *kind.Minimum:
		d.refuseAt(at, fmt.Sprintf("%s is too small: the least is %s", k.Got.RatString(), k.Want.RatString()))
	case *kind.Maximum:
		d.refuseAt(at, fmt.Sprintf("%s is too large: the most is %s", k.Got.RatString(), k.Want.RatString()))
	case *kind.MinItems, *kind.MinLength:
		d.refuseAt(at, "must not be empty")
	default:
		d.refuseAt(at, k.LocalizedString(message.NewPrinter(language.English)))
	}
}

// count is the number of elements of a list. It is 0 if there is none.
func (d *document) count(pointer ...string) int {
	list, _ := d.at(pointer).([]any)
	return len(list)
}

// decode reads what is at a place. It returns false if nothing is there, or if the schema does not take it.
func (d *document) decode(into any, pointer ...string) bool {
	value := d.at(pointer)
	below := func(wrong []string) bool {
		return len(wrong) >= len(pointer) && slices.Equal(wrong[:len(pointer)], pointer)
	}
	if value == nil || slices.ContainsFunc(d.wrong, below) {
		return false
	}
	text, err := json.Marshal(value)
	if err == nil {
		err = json.Unmarshal(text, into)
	}
	var wrong *json.UnmarshalTypeError
	switch {
	case errors.As(err, &wrong): // 1.0 is an integer of a schema
		d.refuseAt(append(slices.Clip(pointer), strings.Split(wrong.Field, ".")...), fmt.Sprintf("%s: write a whole number, as in 3", strings.TrimPrefix(wrong.Value, "number ")))
	case err != nil:
		d.refuseAt(pointer, "cannot be read") // the schema is not as strict as what is read
	}
	return err == nil
}

// at is the value at a place, or nil.
func (d *document) at(pointer []string) any {
	value := d.value
	for _, step := range pointer {
		switch v := value.(type) {
		case map[string]any:
			value = v[step]
		case []any:
			i, err := strconv.Atoi(step)
			if err != nil || i >= len(v) {
				return nil
			}
			value = v[i]
		default:
			return nil
		}
	}
	return value
}

func withArticles(types []string) string {
	var texts []string
	for _, name := range types {
		switch name {
		case "object":
			name = "a mapping"
		case "array":
			name = "a list"
		case "string":
			name = "a text"
		case "integer":
			name = "a whole number"
		case "number":
			name = "a number"
		case "boolean":
			name = "true or false"
		case "null":
			name = "nothing"
		}
		texts = append(texts, name)
	}
	return strings.Join(texts, " or ")
}

// propertiesAt are the keys that a schema takes at a place.
func propertiesAt(schema *jsonschema.Schema, at []string) []string {
	for _, step := range below(at, "") {
		for schema.Ref != nil {
			schema = schema.Ref
		}
		if step == "" {
			break
		}
		if property := schema.Properties[step]; property != nil {
			schema = property
		} else if items, ok := schema.Items2020, schema.Items2020 != nil; ok {
			schema = items
		} else if members, ok := schema.AdditionalProperties.(*jsonschema.Schema); ok {
			schema = members
		} else {
			return nil
		}
	}
	return slices.Sorted(maps.Keys(schema.Properties))
}

// nearest suggests the name that somebody may have meant, or lists all.
func nearest(name string, names []string) string {
	if len(names) == 0 {
		return "remove it"
	}
	near := slices.MinFunc(names, func(a, b string) int {
		return levenshtein.ComputeDistance(name, a) - levenshtein.ComputeDistance(name, b)
	})
	if levenshtein.ComputeDistance(name, near) <= 2 {
		return fmt.Sprintf("do you mean %q?", near)
	}
	return "choose from " + strings.Join(names, ", ")
}

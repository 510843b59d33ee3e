package assembly

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Value is a value in the properties of a resource. Its methods read it as what it must be. They
// refuse another value as a problem, and return the default or the zero value.
type Value struct {
	reader *Reader
	path   string
	keyed  bool // the object stands for a list of keys and values
	raw    any  // as decoded or as resolved; nil if absent
}

// unusable stands for a value that has been refused already.
type unusable struct{}

// resolve evaluates a function call; anything else it returns as it is.
func (v Value) resolve() any {
	object, _ := v.raw.(map[string]any)
	if _, _, call := intrinsic(object); !call || v.keyed {
		return v.raw
	}
	resolved, err := v.reader.assembly.Resolve(v.reader.resource.Stack, v.reader.resource.LogicalID, v.path, v.raw)
	if err != nil {
		v.reader.add(v.path, err)
		return unusable{}
	}
	return resolved
}

// named is like resolve. A text that is the ARN of what exists already refers to its resource.
func (v Value) named() any {
	value := v.resolve()
	if text, ok := value.(string); ok && v.reader.assembly != nil {
		if existing := v.reader.assembly.arns[text]; existing != nil {
			return Ref{Resource: existing}
		}
	}
	return value
}

// Refuse says why the value cannot be used, unless it or a value around it is refused already.
func (v Value) Refuse(format string, args ...any) {
	if v.resolve() != (unusable{}) {
		v.reader.add(v.path, v.reader.resource.Errorf(v.path, format, args...))
	}
}

func (v Value) mismatch(found any, expected string) {
	v.Refuse("expected %s, found %s", expected, kind(found))
}

// Need refuses an absent value. Of the result nothing else is refused then.
func (v Value) Need(expected string) Value {
	if !v.Present() {
		v.mismatch(nil, expected)
		v.raw = unusable{}
	}
	return v
}

// Raw is the value as decoded by encoding/json, functions unevaluated.
func (v Value) Raw() any { return v.raw }

// Evaluated is the value as [Assembly.Resolve] returns it; nil if it is absent or refused.
func (v Value) Evaluated() any {
	if value := v.resolve(); value != (any)(unusable{}) {
		return value
	}
	return nil
}

func (v Value) Names() []string {
	switch members := v.resolve().(type) {
	case nil:
	case map[string]any:
		return slices.Sorted(maps.Keys(members))
	default:
		v.mismatch(members, "an object")
	}
	return nil
}

// Present says whether the template has the value, and neither null nor AWS::NoValue.
func (v Value) Present() bool { return v.resolve() != nil }

// member returns a member without marking it as read.
func (v Value) member(name string, raw any) Value {
	path := join(v.path, name)
	if v.keyed {
		path = v.path + " (" + name + ")"
	}
	return Value{reader: v.reader, path: path, raw: raw}
}

// Field returns a member of an object; of what is absent, an absent value.
func (v Value) Field(name string) Value {
	switch members := v.resolve().(type) {
	case map[string]any:
		v.reader.look(v, members).read[name] = true
		return v.member(name, members[name])
	case nil:
		return v.member(name, nil)
	default:
		v.mismatch(members, "an object")
		return v.member(name, unusable{})
	}
}

// Attributes returns a list of objects with a Key and a Value as one object.
func (v Value) Attributes() Value {
	members := map[string]any{}
	for _, element := range v.List() {
		if key := element.Field("Key").Need("a key").Text(""); key != "" {
			members[key] = element.Field("Value").raw
		}
	}
	return Value{reader: v.reader, path: v.path, keyed: true, raw: members}
}

// List returns the elements of a list, none if it is absent.
func (v Value) List() []Value {
	switch list := v.resolve().(type) {
	case nil:
	case []any:
		var elements []Value
		for i, raw := range list {
			element := Value{reader: v.reader, path: fmt.Sprintf("%s[%d]", v.path, i), raw: raw}
			if element.Present() {
				elements = append(elements, element)
			}
		}
		return elements
	default:
		v.mismatch(list, "a list")
	}
	return nil
}

// Some returns the elements of a list that must not be empty.
func (v Value) Some() []Value {
	list := v.List()
	if len(list) == 0 {
		v.mismatch(v.resolve(), "a list that is not empty")
	}
	return list
}

// Text returns a string, number or boolean as text, and what is absent as the default.
func (v Value) Text(absent string) string {
	switch value := v.resolve().(type) {
	case nil:
		return absent
	case string:
		return value
	case float64:
		return strconv.FormatFloat(value, 'f', -1, 64)
	case bool:
		return strconv.FormatBool(value)
	default:
		v.mismatch(value, "a string that is known before the deployment")
	}
	return absent
}

// Mixed is like [Value.Text]. Of a text that depends on the deployment it returns the parts.
func (v Value) Mixed() (text string, parts Text) {
	switch value := v.named().(type) {
	case Ref, Piece:
		return "", Text{value}
	case Text:
		return "", value
	}
	return v.Text(""), nil
}

// OneOf returns one of some strings, the first of them for what is absent.
func (v Value) OneOf(names ...string) string {
	text := v.Text(names[0])
	if !slices.Contains(names, text) {
		v.Refuse("%q is none of %s", text, strings.Join(names, ", "))
		return names[0]
	}
	return text
}

func (v Value) Texts() []string {
	var texts []string
	for _, element := range v.List() {
		texts = append(texts, element.Text(""))
	}
	return texts
}

// Int returns a whole number in a range, both ends included. The number may be a string.
func (v Value) Int(absent, from, to int) int {
	value := v.resolve()
	number, err := 0.0, error(nil)
	switch value := value.(type) {
	case nil:
		return absent
	case float64:
		number = value
	case string:
		number, err = strconv.ParseFloat(value, 64)
	default:
		err = strconv.ErrSyntax
	}
	if err != nil || number != float64(int(number)) || int(number) < from || int(number) > to {
		v.mismatch(value, fmt.Sprintf("a whole number from %d to %d", from, to))
		return absent
	}
	return int(number)
}

// Seconds returns a whole number of seconds in a range, both ends included.
func (v Value) Seconds(absent, from, to int) time.Duration {
	return time.Duration(v.Int(absent, from, to)) * time.Second
}

// Bool returns a boolean, which CloudFormation also takes as a string.
func (v Value) Bool(absent bool) bool {
	value := v.resolve()
	switch value {
	case nil:
		return absent
	case true, "true":
		return true
	case false, "false":
		return false
	}
	v.mismatch(value, "true or false")
	return absent
}

// Resource returns the resource of a type by Ref or an attribute; nil if absent, or a problem.
func (v Value) Resource(resourceType string, attributes ...string) *Resource {
	found := v.Elsewhere(resourceType, attributes...)
	if value := v.named(); found == nil && value != nil {
		if arn, ok := value.(string); ok && balancing.MatchString(arn) {
			v.Refuse("no template has %s: run `cutover adopt`, which describes what exists already in %s", arn, ExistingFile)
		} else {
			v.mismatch(value, "a resource of the assembly of type "+resourceType)
		}
	}
	return found
}

// Elsewhere is like [Value.Resource], but refuses nothing. The value may be outside the assembly.
func (v Value) Elsewhere(resourceType string, attributes ...string) *Resource {
	ref, _ := v.named().(Ref)
	if ref.Resource == nil || ref.Resource.Type != resourceType || ref.Attribute != "" && !slices.Contains(attributes, ref.Attribute) {
		return nil
	}
	return ref.Resource
}

// Keyed returns a text with a resource's key, "stack/logical id", for what a deployment creates.
func (v Value) Keyed() string {
	literal, parts := v.Mixed()
	for _, part := range parts {
		if ref, ok := part.(Ref); ok {
			part = ref.Resource
		}
		literal += fmt.Sprint(part)
	}
	return literal
}

// Identity returns what the value names: a string as it is, a resource as "stack/logical id".
func (v Value) Identity(absent string) string {
	if ref, ok := v.named().(Ref); ok {
		return ref.Resource.String()
	}
	return v.Text(absent)
}

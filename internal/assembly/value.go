package assembly

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// Reader reads the properties of resources into typed values and gathers
// everything that is wrong with them, each with its place.
//
// Intrinsic functions are evaluated where a value is asked for and not before,
// so that one that cannot be evaluated is an error only if it matters.
type Reader struct {
	assembly *Assembly
	errs     []error
}

// NewReader returns a reader of the assembly's resources.
func NewReader(a *Assembly) *Reader { return &Reader{assembly: a} }

// Err is everything that was refused so far, a line each; nil if nothing was.
func (r *Reader) Err() error { return errors.Join(r.errs...) }

// add keeps an error. A value that is asked for twice fails twice.
func (r *Reader) add(err error) {
	if !slices.ContainsFunc(r.errs, func(e error) bool { return e.Error() == err.Error() }) {
		r.errs = append(r.errs, err)
	}
}

// Existing returns the resources of a type without those whose condition does
// not hold.
func (r *Reader) Existing(resourceType string) []*Resource {
	return slices.DeleteFunc(r.assembly.Resources(resourceType), func(resource *Resource) bool {
		exists, err := resource.Exists(r.assembly)
		if err != nil {
			r.add(err)
		}
		return !exists
	})
}

// Properties returns the properties of a resource, an object.
func (r *Reader) Properties(resource *Resource) Value {
	return Value{reader: r, resource: resource, path: "Properties", raw: resource.Properties}
}

// Value is a value somewhere in the properties of a resource. Its methods read
// it as what it must be; where it is not, they refuse it, which [Reader.Err]
// then tells, and return the default or the zero value.
type Value struct {
	reader   *Reader
	resource *Resource
	path     string
	raw      any // as decoded or as resolved; nil if absent
}

// unusable stands for a value that has been refused already.
type unusable struct{}

// resolve evaluates a function call; anything else it returns as it is.
func (v Value) resolve() any {
	object, _ := v.raw.(map[string]any)
	if _, _, call := intrinsic(object); !call {
		return v.raw
	}
	resolved, err := v.reader.assembly.Resolve(v.resource.Stack, v.resource.LogicalID, v.path, v.raw)
	if err != nil {
		v.reader.add(err)
		return unusable{}
	}
	return resolved
}

// Refuse says that the value cannot be used, and why.
func (v Value) Refuse(format string, args ...any) {
	v.reader.add(v.resource.Errorf(v.path, format, args...))
}

func (v Value) mismatch(found any, expected string) {
	if found != (unusable{}) {
		v.Refuse("expected %s, found %s", expected, kind(found))
	}
}

// Raw is the value as decoded by encoding/json, functions unevaluated.
func (v Value) Raw() any { return v.raw }

// Present says whether there is anything: whether the template has the value
// and it is neither null nor AWS::NoValue.
func (v Value) Present() bool { return v.resolve() != nil }

// Field returns a member of an object; of what is absent, an absent value.
func (v Value) Field(name string) Value {
	field := Value{reader: v.reader, resource: v.resource, path: join(v.path, name)}
	switch object := v.resolve().(type) {
	case map[string]any:
		field.raw = object[name]
	case nil:
	case unusable:
		field.raw = object
	default:
		v.mismatch(object, "an object")
		field.raw = unusable{}
	}
	return field
}

// Only refuses the members of an object that are not among the names, with a
// reason of its own for those that why has one for.
func (v Value) Only(why map[string]string, names ...string) {
	object, _ := v.resolve().(map[string]any)
	for _, name := range slices.Sorted(maps.Keys(object)) {
		if slices.Contains(names, name) || !v.Field(name).filled() {
			continue
		}
		reason := why[name]
		if reason == "" {
			reason = "what it does is not known here"
		}
		v.Field(name).Refuse("not honoured: %s", reason)
	}
}

// filled says whether a value asks for anything. An empty list or object, which
// CDK writes now and then, and false do not.
func (v Value) filled() bool {
	switch value := v.resolve().(type) {
	case nil:
		return false
	case bool:
		return value
	case []any:
		return len(value) > 0
	case map[string]any:
		return len(value) > 0
	}
	return true
}

// List returns the elements of a list, none if it is absent.
func (v Value) List() []Value {
	switch list := v.resolve().(type) {
	case nil:
	case []any:
		var elements []Value
		for i, raw := range list {
			element := Value{reader: v.reader, resource: v.resource, path: fmt.Sprintf("%s[%d]", v.path, i), raw: raw}
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

// Text returns a string, number or boolean as text, and what is absent as the
// default.
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

// Texts returns a list of strings.
func (v Value) Texts() []string {
	var texts []string
	for _, element := range v.List() {
		texts = append(texts, element.Text(""))
	}
	return texts
}

// Int returns a whole number in a range, both ends included, which
// CloudFormation also takes as a string.
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

// Bool returns a boolean, which CloudFormation also takes as a string.
func (v Value) Bool(absent bool) bool {
	switch value := v.resolve().(type) {
	case nil:
		return absent
	case bool:
		return value
	case string:
		if value == "true" || value == "false" {
			return value == "true"
		}
		v.mismatch(value, "true or false")
	default:
		v.mismatch(value, "true or false")
	}
	return absent
}

// Resource returns the resource of a type that the value identifies, by Ref or
// by one of the attributes. Anything else is refused; what is absent is nil.
func (v Value) Resource(resourceType string, attributes ...string) *Resource {
	switch value := v.resolve().(type) {
	case nil:
		return nil
	case Ref:
		if value.Resource.Type == resourceType && (value.Attribute == "" || slices.Contains(attributes, value.Attribute)) {
			return value.Resource
		}
		v.mismatch(value, "a resource of the assembly of type "+resourceType)
	default:
		v.mismatch(value, "a resource of the assembly of type "+resourceType)
	}
	return nil
}

// Split cuts a text at a separator. In its parts a resource stands for its name as
// in [Value.Identity], whatever that holds.
func (v Value) Split(separator string) []string {
	var text Text
	switch value := v.resolve().(type) {
	case nil:
		return nil
	case Text:
		text = value
	case string, Ref:
		text = Text{value}
	default:
		v.mismatch(value, "a string")
		return nil
	}
	parts := []string{""}
	for _, one := range text {
		pieces := []string{""}
		switch one := one.(type) {
		case Ref:
			pieces[0] = one.Resource.String()
		case string:
			pieces = strings.Split(one, separator)
		}
		parts[len(parts)-1] += pieces[0]
		parts = append(parts, pieces[1:]...)
	}
	return parts
}

// Identity returns what the value names: a string as it is, a resource as
// "stack/logical id".
func (v Value) Identity(absent string) string {
	if ref, ok := v.resolve().(Ref); ok {
		return ref.Resource.String()
	}
	return v.Text(absent)
}

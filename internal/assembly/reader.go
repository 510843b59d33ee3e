package assembly

import (
	"cmp"
	"errors"
	"maps"
	"slices"
)

// Reader reads a resource's properties, and gathers the problems and the unread settings.
//
// Functions are evaluated when asked for. Errors of a function matter only then.
type Reader struct {
	assembly *Assembly
	resource *Resource
	problems []Problem
	objects  []*object // that were looked into, in that order
}

// Problem is a value that cannot be used.
type Problem struct {
	// Property is the path that was asked for. Err may name the place that a function leads to.
	Property string
	Err      error
}

// Setting is a member of an object that the template sets and nobody has read.
type Setting struct {
	Resource *Resource
	// Property is the path of the member, Name its last part.
	Property, Name string
	// Value is what the template has, evaluated where that is possible.
	Value any
}

// NotHonoured returns an [*Error] about the setting. The reason "" says that it is not known.
func (s Setting) NotHonoured(reason string) error {
	return s.Resource.Errorf(s.Property, "not honoured: %s", cmp.Or(reason, "what it does is not known here"))
}

// object is a value of which members were read.
type object struct {
	value   Value
	members map[string]any
	read    map[string]bool
}

// NewReader returns a reader of a resource of the assembly.
func NewReader(a *Assembly, resource *Resource) *Reader {
	return &Reader{assembly: a, resource: resource}
}

// Problems are the values that were refused so far.
func (r *Reader) Problems() []Problem { return r.problems }

// add keeps an error. A value that is asked for twice fails twice.
func (r *Reader) add(property string, err error) {
	if !slices.ContainsFunc(r.problems, func(p Problem) bool { return p.Property == property && p.Err.Error() == err.Error() }) {
		r.problems = append(r.problems, Problem{property, err})
	}
}

// Settings are the members that nobody has read, of all objects of which somebody
// has read another. Null, false, an empty list and an empty object set nothing.
func (r *Reader) Settings() []Setting {
	var settings []Setting
	for _, o := range r.objects {
		for _, name := range slices.Sorted(maps.Keys(o.members)) {
			if o.read[name] {
				continue
			}
			v := o.value.member(name, o.members[name])
			value, err := r.assembly.Resolve(r.resource.Stack, r.resource.LogicalID, v.path, v.raw)
			if err != nil {
				value = v.raw
			}
			if filled(value) {
				settings = append(settings, Setting{r.resource, v.path, name, value})
			}
		}
	}
	return settings
}

// filled says whether a value asks for anything.
func filled(value any) bool {
	list, isList := value.([]any)
	object, isObject := value.(map[string]any)
	return value != nil && value != false && (!isList || len(list) > 0) && (!isObject || len(object) > 0)
}

// Properties returns the properties of the resource, an object.
func (r *Reader) Properties() Value {
	return Value{reader: r, path: "Properties", raw: r.resource.Properties}
}

// look remembers that members of an object are read.
func (r *Reader) look(v Value, members map[string]any) *object {
	// Readers go from one object to the next: the last ones are asked about most.
	for _, o := range slices.Backward(r.objects) {
		if o.value.path == v.path {
			return o
		}
	}
	o := &object{v, members, map[string]bool{}}
	r.objects = append(r.objects, o)
	return o
}

// Join joins errors as [errors.Join] does, each message once.
func Join(errs ...error) error {
	var all []error
	var add func(error)
	add = func(err error) {
		if several, ok := err.(interface{ Unwrap() []error }); ok {
			for _, one := range several.Unwrap() {
				add(one)
			}
		} else if err != nil && !slices.ContainsFunc(all, func(e error) bool { return e.Error() == err.Error() }) {
			all = append(all, err)
		}
	}
	for _, err := range errs {
		add(err)
	}
	return errors.Join(all...)
}

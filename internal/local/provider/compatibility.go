package provider

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"cutover/internal/model"
)

// Compatibility is what becomes of a setting of AWS on this machine. A document has all of them.
type Compatibility struct {
	// Setting is a property, an attribute, or the last part of several. Here says what happens with it, and
	// Why is empty if nothing has to be said.
	Setting, Here, Why string
}

// Settings are what the tables of a provider say, by setting: those that are passed over, with the only value
// or "" for any; and the reasons of those that a deployment warns of, that are listed, and that are refused.
func Settings(passed, warned, listed, refused map[string]string) []Compatibility {
	all := map[string]Compatibility{}
	for name, only := range passed {
		one := Compatibility{name, "has no effect", ""}
		if only != "" {
			one.Here, one.Why = "only `"+only+"`", refused[name]
		}
		all[name] = one
	}
	for name, why := range refused {
		if _, ok := all[name]; !ok {
			all[name] = Compatibility{name, "refused", why}
		}
	}
	for name, why := range warned {
		all[name] = Compatibility{name, "left out, with a warning", why}
	}
	for name, why := range listed {
		all[name] = Compatibility{name, "passed over, and listed", why}
	}
	return slices.SortedFunc(maps.Values(all), bySetting)
}

// Ignored are the settings of two tables that are refused nowhere: those that are passed over, with the only value or "" for
// any, and those that are listed.
func Ignored(passed, listed map[string]string) map[string]string {
	all := maps.Clone(passed)
	for name := range listed {
		all[name] = ""
	}
	return all
}

func bySetting(a, b Compatibility) int {
	return cmp.Or(strings.Compare(strings.ToLower(a.Setting), strings.ToLower(b.Setting)), strings.Compare(a.Setting, b.Setting))
}

// Limit is a setting of a resource that is honoured with some values.
type Limit[T any] struct {
	// Property is the setting's path below the properties.
	Property string
	Value    func(T) string
	Values   []string
	// Why is the reason to refuse other values. Empty: the error lists the values.
	Why string
}

// Check refuses the other value of a resource.
func (l Limit[T]) Check(b *model.Base, of T) error {
	return b.Only(l.Property, l.Value(of), l.Why, l.Values...)
}

// Limits are what such settings say in the document.
func Limits[T any](limits []Limit[T]) (all []Compatibility) {
	for _, l := range limits {
		all = append(all, Compatibility{l.Property, "only `" + strings.Join(l.Values, "`, `") + "`", l.Why})
	}
	return all
}

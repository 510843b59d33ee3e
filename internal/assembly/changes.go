package assembly

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
)

// Change is a difference between the templates of two assemblies.
type Change struct {
	// Type is that of the resource. Empty if the difference is outside of the resources.
	Type string
	// Line begins with "+" for a resource that is created, "-" for a deleted one, and "~" for a leaf
	// that is updated: "~ STACK RESOURCE PATH OLD -> NEW".
	Line string
}

// Changes lists the lines of [Differences].
func Changes(from, to *Assembly) (lines []string) {
	for _, change := range Differences(from, to) {
		lines = append(lines, change.Line)
	}
	return lines
}

// Differences lists every difference between the templates of two assemblies, ordered by stack and
// place. Hashes of assets count.
func Differences(from, to *Assembly) (all []Change) {
	add := func(kind any, lines ...string) {
		name, _ := kind.(string)
		for _, line := range lines {
			all = append(all, Change{name, line})
		}
	}
	templates := func(a *Assembly) map[string]any {
		m := map[string]any{}
		for _, stack := range a.Stacks {
			m[stack.Name] = stack.Template
		}
		return m
	}
	members(templates(from), templates(to), func(stack string, before, after any) {
		members(before, after, func(section string, before, after any) {
			if section != "Resources" {
				add(nil, compare(stack, section, before, after)...)
				return
			}
			members(before, after, func(id string, before, after any) {
				was, had := before.(map[string]any)
				is, has := after.(map[string]any)
				switch {
				case !had:
					add(is["Type"], fmt.Sprintf("+ %s %s %s", stack, id, is["Type"]))
				case !has:
					add(was["Type"], fmt.Sprintf("- %s %s %s", stack, id, was["Type"]))
				default:
					members(was, is, func(attribute string, before, after any) {
						add(is["Type"], compare(stack+" "+id, attribute, before, after)...)
					})
				}
			})
		})
	})
	return all
}

// compare has a line for every leaf in which two different values differ.
func compare(place, path string, before, after any) (lines []string) {
	_, object := before.(map[string]any)
	_, still := after.(map[string]any)
	if object && still {
		members(before, after, func(name string, before, after any) {
			lines = append(lines, compare(place, path+"."+name, before, after)...)
		})
		return lines
	}
	was, _ := before.([]any)
	is, ok := after.([]any)
	if was == nil || !ok || len(was) != len(is) {
		return []string{fmt.Sprintf("~ %s %s %v -> %v", place, path, before, after)}
	}
	for i := range was {
		if !reflect.DeepEqual(was[i], is[i]) {
			lines = append(lines, compare(place, fmt.Sprintf("%s[%d]", path, i), was[i], is[i])...)
		}
	}
	return lines
}

// members calls f with the members of two objects that differ, in the order of their names.
func members(before, after any, f func(name string, before, after any)) {
	was, _ := before.(map[string]any)
	is, _ := after.(map[string]any)
	all := map[string]any{}
	maps.Copy(all, was)
	maps.Copy(all, is)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if !reflect.DeepEqual(was[name], is[name]) {
			f(name, was[name], is[name])
		}
	}
}

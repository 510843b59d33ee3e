package assembly

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
)

// Changes lists every difference between the templates of two assemblies, a line each, ordered by
// stack and place. "+" begins a resource that is created, "-" a deleted one, and "~" a leaf that is
// updated: "~ STACK RESOURCE PATH OLD -> NEW". Hashes of assets count.
func Changes(from, to *Assembly) (lines []string) {
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
				compare(&lines, stack, section, before, after)
				return
			}
			members(before, after, func(id string, before, after any) {
				was, had := before.(map[string]any)
				is, has := after.(map[string]any)
				switch {
				case !had:
					lines = append(lines, fmt.Sprintf("+ %s %s %s", stack, id, is["Type"]))
				case !has:
					lines = append(lines, fmt.Sprintf("- %s %s %s", stack, id, was["Type"]))
				default:
					members(was, is, func(attribute string, before, after any) {
						compare(&lines, stack+" "+id, attribute, before, after)
					})
				}
			})
		})
	})
	return lines
}

// compare adds a line for every leaf in which two different values differ.
func compare(lines *[]string, place, path string, before, after any) {
	_, object := before.(map[string]any)
	_, still := after.(map[string]any)
	if object && still {
		members(before, after, func(name string, before, after any) { compare(lines, place, path+"."+name, before, after) })
		return
	}
	was, _ := before.([]any)
	is, ok := after.([]any)
	if was == nil || !ok || len(was) != len(is) {
		*lines = append(*lines, fmt.Sprintf("~ %s %s %v -> %v", place, path, before, after))
		return
	}
	for i := range was {
		if !reflect.DeepEqual(was[i], is[i]) {
			compare(lines, place, fmt.Sprintf("%s[%d]", path, i), was[i], is[i])
		}
	}
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

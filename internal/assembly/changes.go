package assembly

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
)

// Changes lists every difference between the templates of two assemblies, a line
// each, ordered by stack and place. A line begins with "+" for a resource that is
// created, "-" for one that is deleted, and "~" for one leaf of a value that is
// updated, as "~ STACK RESOURCE PATH OLD -> NEW". Hashes of assets count.
func Changes(from, to *Assembly) []string {
	templates := func(a *Assembly) map[string]any {
		m := map[string]any{}
		for _, stack := range a.Stacks {
			m[stack.Name] = stack.Template
		}
		return m
	}
	before, after := templates(from), templates(to)
	var lines []string
	for _, stack := range union(before, after) {
		b, _ := before[stack].(map[string]any)
		a, _ := after[stack].(map[string]any)
		if reflect.DeepEqual(b, a) { // as most are
			continue
		}
		for _, section := range union(b, a) {
			if section != "Resources" {
				compare(&lines, stack, section, b[section], a[section])
				continue
			}
			resourcesBefore, _ := b[section].(map[string]any)
			resourcesAfter, _ := a[section].(map[string]any)
			for _, id := range union(resourcesBefore, resourcesAfter) {
				was, had := resourcesBefore[id].(map[string]any)
				is, has := resourcesAfter[id].(map[string]any)
				switch {
				case !had:
					lines = append(lines, fmt.Sprintf("+ %s %s %s", stack, id, is["Type"]))
				case !has:
					lines = append(lines, fmt.Sprintf("- %s %s %s", stack, id, was["Type"]))
				default:
					for _, attribute := range union(was, is) {
						compare(&lines, stack+" "+id, attribute, was[attribute], is[attribute])
					}
				}
			}
		}
	}
	return lines
}

// compare adds a line for every leaf in which two values differ.
func compare(lines *[]string, place, path string, before, after any) {
	if reflect.DeepEqual(before, after) {
		return
	}
	beforeMap, ok1 := before.(map[string]any)
	afterMap, ok2 := after.(map[string]any)
	if ok1 && ok2 {
		for _, key := range union(beforeMap, afterMap) {
			compare(lines, place, path+"."+key, beforeMap[key], afterMap[key])
		}
		return
	}
	beforeList, ok1 := before.([]any)
	afterList, ok2 := after.([]any)
	if ok1 && ok2 && len(beforeList) == len(afterList) {
		for i := range beforeList {
			compare(lines, place, fmt.Sprintf("%s[%d]", path, i), beforeList[i], afterList[i])
		}
		return
	}
	*lines = append(*lines, fmt.Sprintf("~ %s %s %v -> %v", place, path, before, after))
}

func union(a, b map[string]any) []string {
	keys := maps.Clone(a)
	if keys == nil {
		keys = map[string]any{}
	}
	maps.Copy(keys, b)
	return slices.Sorted(maps.Keys(keys))
}

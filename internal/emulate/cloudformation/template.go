package cloudformation

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"cutover/internal/assembly"
)

// A tree is a JSON value: map[string]any, []any, string, bool, json.Number or nil. A number keeps its digits, so that it
// passes through unchanged.
type tree = any

// parseTemplate reads a template in JSON or YAML. The CDK CLI sends YAML in a request, and JSON by way of the staging
// bucket.
func parseTemplate(body string) (map[string]any, error) {
	document := body
	if !strings.HasPrefix(strings.TrimSpace(body), "{") {
		var v any
		if err := yaml.Unmarshal([]byte(body), &v); err != nil {
			return nil, validation("Template format error: YAML not well-formed: %v", err)
		}
		document = encode(v)
	}
	var v tree
	if err := decodeJSON(document, &v); err != nil {
		return nil, validation("Template format error: JSON not well-formed: %v", err)
	}
	t, ok := v.(map[string]any)
	if !ok {
		return nil, validation("Template format error: the template is not an object")
	}
	if len(section(t, "Resources")) == 0 {
		return nil, validation("Template format error: At least one Resources member must be defined.")
	}
	return t, nil
}

// section returns an object of a template, empty if it is missing.
func section(t map[string]any, name string) map[string]any {
	m, _ := t[name].(map[string]any)
	return m
}

// definition returns a resource of a template, empty if it is missing.
func definition(template map[string]any, logical string) map[string]any {
	return section(section(template, "Resources"), logical)
}

// dependencyOrder returns the logical ids of a template's resources, each after all on which it depends. Resources that
// do not depend on each other are ordered by name.
func dependencyOrder(template map[string]any) ([]string, error) {
	resources := section(template, "Resources")
	order, circle := assembly.Order(slices.Sorted(maps.Keys(resources)), func(name string) []string {
		needs := strings.Split(str(section(resources, name), "DependsOn"), ",")
		assembly.References(section(resources, name)["Properties"], func(id, _ string) { needs = append(needs, id) })
		slices.Sort(needs)
		return slices.DeleteFunc(slices.Compact(needs), func(id string) bool { return resources[id] == nil })
	})
	if circle != nil {
		return nil, validation("Circular dependency between resources: [%s]", circle[0])
	}
	return order, nil
}

// text is v as CloudFormation writes it where a string is wanted. A list becomes its elements with commas between them.
func text(v tree) string {
	switch v := v.(type) {
	case nil, absent:
		return ""
	case string:
		return v
	case bool:
		return strconv.FormatBool(v)
	case json.Number:
		return v.String()
	case []any:
		words := make([]string, len(v))
		for i, x := range v {
			words[i] = text(x)
		}
		return strings.Join(words, ",")
	}
	return encode(v)
}

// str is the named property as a string.
func str(p map[string]any, name string) string { return text(p[name]) }

// items is the named property as a list.
func items(p map[string]any, name string) []any {
	l, _ := p[name].([]any)
	return l
}

func truth(v tree) bool { return text(v) == "true" }

// encode is v as JSON with sorted keys. Equal trees have equal encodings.
func encode(v tree) string {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return fmt.Sprint(v)
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// decodeJSON reads a JSON document as a tree.
func decodeJSON(document string, v any) error {
	d := json.NewDecoder(strings.NewReader(document))
	d.UseNumber()
	return d.Decode(v)
}

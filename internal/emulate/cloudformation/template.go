package cloudformation

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// A tree is a JSON value: map[string]any, []any, string, bool, json.Number or nil. A number keeps its digits, so that it
// passes through unchanged.
type tree = any

// parseTemplate reads a template in JSON or YAML. The CDK CLI sends YAML in a request, and JSON by way of the staging
// bucket.
func parseTemplate(body string) (map[string]any, error) {
	var v any
	if strings.HasPrefix(strings.TrimSpace(body), "{") {
		if err := decodeJSON(body, &v); err != nil {
			return nil, validation("Template format error: JSON not well-formed: %v", err)
		}
	} else if err := yaml.Unmarshal([]byte(body), &v); err != nil {
		return nil, validation("Template format error: YAML not well-formed: %v", err)
	}
	t, ok := normalize(v).(map[string]any)
	if !ok {
		return nil, validation("Template format error: the template is not an object")
	}
	if len(section(t, "Resources")) == 0 {
		return nil, validation("Template format error: At least one Resources member must be defined.")
	}
	return t, nil
}

// normalize makes a tree of what the YAML decoder returns.
func normalize(v any) tree {
	switch v := v.(type) {
	case map[string]any:
		for k, x := range v {
			v[k] = normalize(x)
		}
		return v
	case []any:
		for i, x := range v {
			v[i] = normalize(x)
		}
		return v
	case int:
		return json.Number(strconv.Itoa(v))
	case float64:
		return json.Number(strconv.FormatFloat(v, 'g', -1, 64))
	}
	return v
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

// logicalID is the logical id at the beginning of a reference, such as Vpc.CidrBlock.
var logicalID = regexp.MustCompile(`^[A-Za-z0-9]+`)

// dependencies adds the logical ids to which v refers, and perhaps other names.
func dependencies(v tree, into map[string]bool) {
	switch v := v.(type) {
	case []any:
		for _, x := range v {
			dependencies(x, into)
		}
	case map[string]any:
		for k, x := range v {
			switch k {
			case "Ref", "Fn::GetAtt":
				into[logicalID.FindString(text(x))] = true
			case "Fn::Sub":
				// With variables of its own, the format is the first of a list.
				for _, m := range placeholder.FindAllStringSubmatch(text(x), -1) {
					into[logicalID.FindString(strings.TrimSpace(m[2]))] = true
				}
			}
			dependencies(x, into)
		}
	}
}

// dependencyOrder returns the logical ids of a template's resources, each after all on which it depends. Resources that
// do not depend on each other are ordered by name.
func dependencyOrder(template map[string]any) (order []string, err error) {
	resources := section(template, "Resources")
	state := map[string]int{} // 1: its dependencies are being visited, 2: done
	var visit func(name string) error
	visit = func(name string) error {
		switch state[name] {
		case 1:
			return validation("Circular dependency between resources: [%s]", name)
		case 2:
			return nil
		}
		state[name] = 1
		found := map[string]bool{}
		dependencies(section(resources, name)["Properties"], found)
		for _, d := range strings.Split(str(section(resources, name), "DependsOn"), ",") {
			found[d] = true
		}
		for _, d := range slices.Sorted(maps.Keys(found)) {
			if _, ok := resources[d]; ok {
				if err := visit(d); err != nil {
					return err
				}
			}
		}
		state[name] = 2
		order = append(order, name)
		return nil
	}
	for _, name := range slices.Sorted(maps.Keys(resources)) {
		if err := visit(name); err != nil {
			return nil, err
		}
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

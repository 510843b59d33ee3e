package cloudformation

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"cutover/internal/assembly"
)

// A tree is a JSON value: map[string]any, []any, string, bool, json.Number or nil. Numbers keep the digits they were
// written with, so that a value that only passes through is never reformatted.
type tree = any

// parseTemplate reads a template in JSON or YAML. The CDK CLI sends YAML when it sends the template in the request,
// and JSON when it uploaded the template to the staging bucket.
func parseTemplate(body string) (map[string]any, error) {
	var v any
	if strings.HasPrefix(strings.TrimSpace(body), "{") {
		d := json.NewDecoder(strings.NewReader(body))
		d.UseNumber()
		if err := d.Decode(&v); err != nil {
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

// normalize turns what the YAML decoder returns into a tree.
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

// absent is what AWS::NoValue evaluates to: the property, or the list element, that holds it is left out.
type absent struct{}

// errUnknown is returned for the value of a resource that does not exist yet.
var errUnknown = errors.New("known after the deployment")

// A scope evaluates the intrinsic functions of one template.
type scope struct {
	template  map[string]any
	pseudo    map[string]any
	params    map[string]any
	resources map[string]*resource

	stackOutput  func(stack, output string) (string, error) // Fn::GetStackOutput
	exported     func(name string) (string, error)          // Fn::ImportValue
	ssmParameter func(name string) (string, error)          // {{resolve:ssm:…}}

	open map[string]bool // conditions under evaluation, to find a cycle
}

// eval resolves every intrinsic function in v.
func (s *scope) eval(v tree) (tree, error) {
	switch v := v.(type) {
	case string:
		return s.dynamic(v)
	case []any:
		out := make([]any, 0, len(v))
		for _, x := range v {
			e, err := s.eval(x)
			if err != nil {
				return nil, err
			}
			if e != (absent{}) {
				out = append(out, e)
			}
		}
		return out, nil
	case map[string]any:
		if len(v) == 1 {
			for name, arg := range v {
				if name == "Ref" || name == "Condition" || strings.HasPrefix(name, "Fn::") {
					return s.call(name, arg)
				}
			}
		}
		out := make(map[string]any, len(v))
		for k, x := range v {
			e, err := s.eval(x)
			if err != nil {
				return nil, err
			}
			if e != (absent{}) {
				out[k] = e
			}
		}
		return out, nil
	}
	return v, nil
}

func (s *scope) call(name string, arg tree) (tree, error) {
	if name == "Condition" {
		// Condition is a function inside of the Conditions section and inside of Fn::And and its like, and an ordinary
		// key elsewhere (in an IAM policy, where its value is an object).
		if c, ok := arg.(string); ok {
			return s.condition(c)
		}
		e, err := s.eval(arg)
		return map[string]any{"Condition": e}, err
	}
	// These must not have their arguments evaluated first.
	switch name {
	case "Ref":
		return s.ref(text(arg))
	case "Fn::GetAtt":
		var logical, attr string
		if l, ok := arg.([]any); ok && len(l) == 2 {
			a, err := s.eval(l[1])
			if err != nil {
				return nil, err
			}
			logical, attr = text(l[0]), text(a)
		} else {
			logical, attr, _ = strings.Cut(text(arg), ".")
		}
		return s.attribute(logical, attr)
	case "Fn::If":
		l, err := list(name, arg, 3)
		if err != nil {
			return nil, err
		}
		c, err := s.condition(text(l[0]))
		if err != nil {
			return nil, err
		}
		if c {
			return s.eval(l[1])
		}
		return s.eval(l[2])
	case "Fn::Sub":
		return s.sub(arg)
	}
	arg, err := s.eval(arg)
	if err != nil {
		return nil, err
	}
	switch name {
	case "Fn::Join":
		l, err := list(name, arg, 2)
		if err != nil {
			return nil, err
		}
		parts, ok := l[1].([]any)
		if !ok {
			return nil, validation("Template error: every Fn::Join object requires two parameters, (1) a string delimiter and (2) a list of strings to be joined")
		}
		words := make([]string, len(parts))
		for i, p := range parts {
			words[i] = text(p)
		}
		return strings.Join(words, text(l[0])), nil
	case "Fn::Split":
		l, err := list(name, arg, 2)
		if err != nil {
			return nil, err
		}
		var out []any
		for _, w := range strings.Split(text(l[1]), text(l[0])) {
			out = append(out, w)
		}
		return out, nil
	case "Fn::Select":
		l, err := list(name, arg, 2)
		if err != nil {
			return nil, err
		}
		from, _ := l[1].([]any)
		i, err := strconv.Atoi(text(l[0]))
		if err != nil || i < 0 || i >= len(from) {
			return nil, validation("Template error: Fn::Select cannot select nonexistent value at index %s", text(l[0]))
		}
		return from[i], nil
	case "Fn::FindInMap":
		l, err := list(name, arg, 3)
		if err != nil {
			return nil, err
		}
		top, _ := section(s.template, "Mappings")[text(l[0])].(map[string]any)
		second, _ := top[text(l[1])].(map[string]any)
		v, ok := second[text(l[2])]
		if !ok {
			return nil, validation("Template error: Unable to get mapping for %s::%s::%s", text(l[0]), text(l[1]), text(l[2]))
		}
		return v, nil
	case "Fn::GetAZs":
		region := text(arg)
		if region == "" {
			region = text(s.pseudo["AWS::Region"])
		}
		var zones []any
		for _, z := range "abc" {
			zones = append(zones, region+string(z))
		}
		return zones, nil
	case "Fn::Base64":
		return base64.StdEncoding.EncodeToString([]byte(text(arg))), nil
	case "Fn::ImportValue":
		return s.exported(text(arg))
	case "Fn::GetStackOutput":
		m, _ := arg.(map[string]any)
		stack, output := text(m["StackName"]), text(m["OutputName"])
		if stack == "" || output == "" {
			return nil, validation("Template error: Fn::GetStackOutput requires StackName and OutputName")
		}
		if r := text(m["Region"]); r != "" && r != text(s.pseudo["AWS::Region"]) {
			return nil, validation("Template error: Fn::GetStackOutput of another region (%s) is beyond the emulator", r)
		}
		return s.stackOutput(stack, output)
	case "Fn::Equals":
		l, err := list(name, arg, 2)
		if err != nil {
			return nil, err
		}
		return encode(l[0]) == encode(l[1]), nil
	case "Fn::Not":
		l, err := list(name, arg, 1)
		if err != nil {
			return nil, err
		}
		return !truth(l[0]), nil
	case "Fn::And", "Fn::Or":
		l, _ := arg.([]any)
		for _, x := range l {
			if truth(x) == (name == "Fn::Or") {
				return name == "Fn::Or", nil
			}
		}
		return name == "Fn::And", nil
	case "Fn::Contains":
		l, err := list(name, arg, 2)
		if err != nil {
			return nil, err
		}
		from, _ := l[0].([]any)
		return slices.ContainsFunc(from, func(x any) bool { return text(x) == text(l[1]) }), nil
	}
	return nil, validation("Template error: the emulator does not know the function %s", name)
}

func (s *scope) ref(name string) (tree, error) {
	if name == "AWS::NoValue" {
		return absent{}, nil
	}
	if v, ok := s.pseudo[name]; ok {
		return v, nil
	}
	if v, ok := s.params[name]; ok {
		return v, nil
	}
	if r := s.resources[name]; r != nil {
		return r.physical, nil
	}
	if _, ok := section(s.template, "Resources")[name]; ok {
		return nil, errUnknown
	}
	return nil, validation("Template format error: Unresolved resource dependencies [%s] in the Resources block of the template", name)
}

func (s *scope) attribute(logical, attr string) (tree, error) {
	r := s.resources[logical]
	if r == nil {
		if _, ok := section(s.template, "Resources")[logical]; ok {
			return nil, errUnknown
		}
		return nil, validation("Template error: instance of Fn::GetAtt references undefined resource %s", logical)
	}
	if v, ok := r.attrs[attr]; ok {
		return v, nil
	}
	if known(r.typ) {
		return nil, validation("Template error: resource %s does not support attribute type %s in Fn::GetAtt", logical, attr)
	}
	return s.recordedAttribute(r, attr), nil
}

// recordedAttribute makes up the attribute of a resource that is recorded and nothing more: an ARN for what is named
// like one, else a value that shows where it came from.
func (s *scope) recordedAttribute(r *resource, attr string) string {
	if strings.HasSuffix(attr, "Arn") {
		service := "custom"
		if p := strings.Split(r.typ, "::"); len(p) == 3 {
			service = strings.ToLower(p[1])
		}
		return fmt.Sprintf("arn:aws:%s:%s:%s:%s", service, s.pseudo["AWS::Region"], s.pseudo["AWS::AccountId"], r.physical)
	}
	return r.physical + "." + attr
}

var placeholder = regexp.MustCompile(`\$\{(!?)([^}]+)\}`)

func (s *scope) sub(arg tree) (tree, error) {
	var own map[string]any
	format, isText := arg.(string)
	if !isText {
		l, err := list("Fn::Sub", arg, 2)
		if err != nil {
			return nil, err
		}
		format = text(l[0])
		own, _ = l[1].(map[string]any)
	}
	var failed error
	out := placeholder.ReplaceAllStringFunc(format, func(m string) string {
		p := placeholder.FindStringSubmatch(m)
		if p[1] == "!" {
			return "${" + p[2] + "}"
		}
		name := strings.TrimSpace(p[2])
		var v tree
		var err error
		if x, ok := own[name]; ok {
			v, err = s.eval(x)
		} else if logical, attr, ok := strings.Cut(name, "."); ok {
			v, err = s.attribute(logical, attr)
		} else {
			v, err = s.ref(name)
		}
		if err != nil && failed == nil {
			failed = err
		}
		return text(v)
	})
	if failed != nil {
		return nil, failed
	}
	return s.dynamic(out)
}

var dynamicReference = regexp.MustCompile(`\{\{resolve:([a-z-]+):([^}]*)\}\}`)

// dynamic resolves the dynamic references in a string.
func (s *scope) dynamic(v string) (tree, error) {
	if !strings.Contains(v, "{{resolve:") {
		return v, nil
	}
	var failed error
	out := dynamicReference.ReplaceAllStringFunc(v, func(m string) string {
		p := dynamicReference.FindStringSubmatch(m)
		if p[1] != "ssm" {
			failed = validation("Template error: the emulator does not know the dynamic reference %s", m)
			return ""
		}
		name, _, _ := strings.Cut(p[2], ":")
		value, err := s.ssmParameter(name)
		if err != nil {
			failed = err
		}
		return value
	})
	return out, failed
}

func (s *scope) condition(name string) (bool, error) {
	c, ok := section(s.template, "Conditions")[name]
	if !ok {
		return false, validation("Template error: unresolved condition dependency %s", name)
	}
	if s.open[name] {
		return false, validation("Template error: the condition %s refers to itself", name)
	}
	if s.open == nil {
		s.open = map[string]bool{}
	}
	s.open[name] = true
	defer delete(s.open, name)
	v, err := s.eval(c)
	return truth(v), err
}

// rules evaluates the template's Rules section, which CloudFormation does before it touches anything.
func (s *scope) rules() error {
	rules := section(s.template, "Rules")
	for _, name := range slices.Sorted(maps.Keys(rules)) {
		rule, _ := rules[name].(map[string]any)
		if c, ok := rule["RuleCondition"]; ok {
			v, err := s.eval(c)
			if err != nil {
				return err
			}
			if !truth(v) {
				continue
			}
		}
		assertions, _ := rule["Assertions"].([]any)
		for _, a := range assertions {
			m, _ := a.(map[string]any)
			v, err := s.eval(m["Assert"])
			if err != nil {
				return err
			}
			if !truth(v) {
				return validation("Template error: Rule %s failed: %s", name, text(m["AssertDescription"]))
			}
		}
	}
	return nil
}

// dependencyOrder returns the logical ids of a template's resources so that each comes after all it depends on, and
// what each depends on. Resources that do not depend on each other are ordered by name.
func dependencyOrder(template map[string]any) (order []string, needs map[string][]string, err error) {
	resources := section(template, "Resources")
	needs = map[string][]string{}
	for name, r := range resources {
		m, _ := r.(map[string]any)
		found := map[string]bool{}
		assembly.References(m["Properties"], func(id, _ string) { found[id] = true })
		switch d := m["DependsOn"].(type) {
		case string:
			found[d] = true
		case []any:
			for _, x := range d {
				found[text(x)] = true
			}
		}
		for _, d := range slices.Sorted(maps.Keys(found)) {
			if _, ok := resources[d]; ok {
				needs[name] = append(needs[name], d)
			}
		}
	}
	order, circle := assembly.Order(slices.Sorted(maps.Keys(resources)), func(name string) []string { return needs[name] })
	if circle != nil {
		return nil, nil, validation("Circular dependency between resources: [%s]", circle[0])
	}
	return order, needs, nil
}

func list(function string, v tree, n int) ([]any, error) {
	l, ok := v.([]any)
	if !ok || len(l) != n {
		return nil, validation("Template error: %s requires a list of %d", function, n)
	}
	return l, nil
}

// text is v as CloudFormation writes it where a string is wanted.
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

func truth(v tree) bool { return text(v) == "true" }

// encode is v as JSON with sorted keys, so that equal trees have equal encodings.
func encode(v tree) string {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return fmt.Sprint(v)
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// decodeJSON reads a JSON document into v with numbers as json.Number.
func decodeJSON(r io.Reader, v any) error {
	d := json.NewDecoder(r)
	d.UseNumber()
	return d.Decode(v)
}

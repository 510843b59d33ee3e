package cloudformation

import (
	"cmp"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// absent is the value of AWS::NoValue. The property or the list element with this value is left out.
type absent struct{}

// errUnknown is the error for the value of a resource that does not exist yet.
var errUnknown = errors.New("known after the deployment")

// A scope evaluates the intrinsic functions of one template. It stands for CloudFormation during a deployment, when
// physical ids and attributes are known. Its functions return no errors: the scope keeps the first one until [scope.take].
type scope struct {
	engine    *Engine
	ctx       context.Context
	template  map[string]any
	pseudo    map[string]any // pseudo parameters
	params    map[string]any
	resources map[string]*resource

	imports []string        // names of the exports that were read
	open    map[string]bool // conditions under evaluation, to find a cycle
	err     error
}

// take returns the first error since the last call.
func (s *scope) take() error {
	err := s.err
	s.err = nil
	return err
}

// value keeps an error, and returns the value otherwise.
func (s *scope) value(v tree, err error) tree {
	if err == nil {
		return v
	}
	if s.err == nil {
		s.err = err
	}
	return nil
}

func (s *scope) fail(format string, args ...any) tree {
	return s.value(nil, validation(format, args...))
}

// eval resolves every intrinsic function in v.
func (s *scope) eval(v tree) tree {
	switch v := v.(type) {
	case string:
		return s.dynamic(v)
	case []any:
		out := make([]any, 0, len(v))
		for _, x := range v {
			if e := s.eval(x); e != (absent{}) {
				out = append(out, e)
			}
		}
		return out
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
			if e := s.eval(x); e != (absent{}) {
				out[k] = e
			}
		}
		return out
	}
	return v
}

// call evaluates one function. The first ones take their arguments as they are written, the others evaluated.
func (s *scope) call(name string, arg tree) tree {
	switch name {
	case "Condition":
		// A function in the Conditions section and in Fn::And and its like. Elsewhere, as in an IAM policy, an ordinary key:
		// its value is an object there.
		if c, ok := arg.(string); ok {
			return s.condition(c)
		}
		return map[string]any{"Condition": s.eval(arg)}
	case "Ref":
		return s.ref(text(arg))
	case "Fn::GetAtt":
		if l, ok := arg.([]any); ok && len(l) == 2 {
			return s.attribute(text(l[0]), text(s.eval(l[1])))
		}
		logical, attr, _ := strings.Cut(text(arg), ".")
		return s.attribute(logical, attr)
	case "Fn::If":
		if l := s.operands(name, arg, 3); l == nil {
			return nil
		} else if s.condition(text(l[0])) {
			return s.eval(l[1])
		} else {
			return s.eval(l[2])
		}
	case "Fn::Sub":
		return s.sub(arg)
	}
	f, ok := functions[name]
	if !ok {
		return s.fail("Template error: the emulator does not know the function %s", name)
	}
	arg = s.eval(arg)
	l := []any{arg}
	if f.operands != noList {
		l = s.operands(name, arg, f.operands)
	}
	if s.err != nil {
		return nil
	}
	return f.eval(s, l)
}

// Operands other than a list of some length.
const (
	noList  = 0
	anyList = -1
)

func (s *scope) operands(function string, arg tree, n int) []any {
	l, ok := arg.([]any)
	if !ok || n != anyList && len(l) != n {
		s.fail("Template error: %s requires a list of %d", function, n)
		return nil
	}
	return l
}

// functions are those whose operands are evaluated first.
var functions = map[string]struct {
	operands int
	eval     func(s *scope, l []any) tree
}{
	"Fn::Join": {2, func(s *scope, l []any) tree {
		parts, ok := l[1].([]any)
		if !ok {
			return s.fail("Template error: every Fn::Join object requires two parameters, (1) a string delimiter and (2) a list of strings to be joined")
		}
		words := make([]string, len(parts))
		for i, p := range parts {
			words[i] = text(p)
		}
		return s.dynamic(strings.Join(words, text(l[0])))
	}},
	"Fn::Split": {2, func(_ *scope, l []any) tree {
		var out []any
		for w := range strings.SplitSeq(text(l[1]), text(l[0])) {
			out = append(out, w)
		}
		return out
	}},
	"Fn::Select": {2, func(s *scope, l []any) tree {
		from, _ := l[1].([]any)
		i, err := strconv.Atoi(text(l[0]))
		if err != nil || i < 0 || i >= len(from) {
			return s.fail("Template error: Fn::Select cannot select nonexistent value at index %s", text(l[0]))
		}
		return from[i]
	}},
	"Fn::FindInMap": {3, func(s *scope, l []any) tree {
		v, ok := section(section(section(s.template, "Mappings"), text(l[0])), text(l[1]))[text(l[2])]
		if !ok {
			return s.fail("Template error: Unable to get mapping for %s::%s::%s", text(l[0]), text(l[1]), text(l[2]))
		}
		return v
	}},
	"Fn::GetAZs": {noList, func(s *scope, l []any) tree {
		region := cmp.Or(text(l[0]), str(s.pseudo, "AWS::Region"))
		return []any{region + "a", region + "b", region + "c"}
	}},
	"Fn::Base64":      {noList, func(_ *scope, l []any) tree { return base64.StdEncoding.EncodeToString([]byte(text(l[0]))) }},
	"Fn::ImportValue": {noList, func(s *scope, l []any) tree { return s.value(s.exported(text(l[0]))) }},
	"Fn::GetStackOutput": {noList, func(s *scope, l []any) tree {
		m, _ := l[0].(map[string]any)
		stack, output := str(m, "StackName"), str(m, "OutputName")
		if stack == "" || output == "" {
			return s.fail("Template error: Fn::GetStackOutput requires StackName and OutputName")
		}
		if r := str(m, "Region"); r != "" && r != str(s.pseudo, "AWS::Region") {
			return s.fail("Template error: Fn::GetStackOutput of another region (%s) is beyond the emulator", r)
		}
		return s.value(s.stackOutput(stack, output))
	}},
	"Fn::Equals": {2, func(_ *scope, l []any) tree { return encode(l[0]) == encode(l[1]) }},
	"Fn::Not":    {1, func(_ *scope, l []any) tree { return !truth(l[0]) }},
	"Fn::And":    {anyList, func(_ *scope, l []any) tree { return !slices.ContainsFunc(l, func(x any) bool { return !truth(x) }) }},
	"Fn::Or":     {anyList, func(_ *scope, l []any) tree { return slices.ContainsFunc(l, truth) }},
	"Fn::Contains": {2, func(_ *scope, l []any) tree {
		from, _ := l[0].([]any)
		return slices.ContainsFunc(from, func(x any) bool { return text(x) == text(l[1]) })
	}},
}

// stackOutput evaluates Fn::GetStackOutput.
func (s *scope) stackOutput(stack, output string) (string, error) {
	from := s.engine.find(stack)
	if from == nil || from.status == "REVIEW_IN_PROGRESS" {
		return "", validation("Template error: Fn::GetStackOutput: stack %s does not exist", stack)
	}
	for _, o := range from.outputs {
		if *o.OutputKey == output {
			return *o.OutputValue, nil
		}
	}
	return "", validation("Template error: Fn::GetStackOutput: stack %s has no output %s", stack, output)
}

// exported evaluates Fn::ImportValue.
func (s *scope) exported(name string) (string, error) {
	for _, from := range s.engine.stacks {
		if value, ok := exports(from.outputs)[name]; ok && !from.deleted() {
			s.imports = append(s.imports, name)
			return value, nil
		}
	}
	return "", validation("No export named %s found. Rollback requested by user.", name)
}

func (s *scope) ref(name string) tree {
	if name == "AWS::NoValue" {
		return absent{}
	}
	if v, ok := s.pseudo[name]; ok {
		return v
	}
	if v, ok := s.params[name]; ok {
		return v
	}
	if r := s.resources[name]; r != nil {
		return r.physical
	}
	if _, ok := section(s.template, "Resources")[name]; ok {
		return s.value(nil, errUnknown)
	}
	return s.fail("Template format error: Unresolved resource dependencies [%s] in the Resources block of the template", name)
}

func (s *scope) attribute(logical, attr string) tree {
	r := s.resources[logical]
	if r == nil {
		if _, ok := section(s.template, "Resources")[logical]; ok {
			return s.value(nil, errUnknown)
		}
		return s.fail("Template error: instance of Fn::GetAtt references undefined resource %s", logical)
	}
	if v := r.attrs[attr]; v != nil {
		return v
	}
	switch h := handlerOf(r.typ); {
	case h == recorded:
		return s.recordedAttribute(r, attr)
	case attr == h.ref:
		return r.physical
	case slices.Contains(h.same, attr):
		return r.props[attr]
	}
	return s.fail("Template error: resource %s does not support attribute type %s in Fn::GetAtt", logical, attr)
}

// recordedAttribute makes up the attribute of a resource that is only recorded: an ARN for a name like one, else a value
// that shows its origin.
func (s *scope) recordedAttribute(r *resource, attr string) string {
	if !strings.HasSuffix(attr, "Arn") {
		return r.physical + "." + attr
	}
	service := "custom"
	if p := strings.Split(r.typ, "::"); len(p) == 3 {
		service = strings.ToLower(p[1])
	}
	return fmt.Sprintf("arn:aws:%s:%s:%s:%s", service, s.pseudo["AWS::Region"], s.pseudo["AWS::AccountId"], r.physical)
}

// replaceAll replaces each match of a pattern by the value of its groups.
func replaceAll(pattern *regexp.Regexp, v string, value func(groups []string) tree) string {
	return pattern.ReplaceAllStringFunc(v, func(m string) string { return text(value(pattern.FindStringSubmatch(m))) })
}

var placeholder = regexp.MustCompile(`\$\{(!?)([^}]+)\}`)

func (s *scope) sub(arg tree) tree {
	var own map[string]any
	format, isText := arg.(string)
	if !isText {
		l := s.operands("Fn::Sub", arg, 2)
		if l == nil {
			return nil
		}
		format = text(l[0])
		own, _ = l[1].(map[string]any)
	}
	return s.dynamic(replaceAll(placeholder, format, func(m []string) tree {
		if m[1] == "!" {
			return "${" + m[2] + "}"
		}
		name := strings.TrimSpace(m[2])
		if x, ok := own[name]; ok {
			return s.eval(x)
		}
		if logical, attr, ok := strings.Cut(name, "."); ok {
			return s.attribute(logical, attr)
		}
		return s.ref(name)
	}))
}

var dynamicReference = regexp.MustCompile(`\{\{resolve:([a-z-]+):([^}]*)\}\}`)

// dynamic resolves the dynamic references in a string.
func (s *scope) dynamic(v string) tree {
	return replaceAll(dynamicReference, v, func(m []string) tree {
		switch m[1] {
		case "ssm":
			name, _, _ := strings.Cut(m[2], ":")
			return s.value(s.engine.ssmParameter(s.ctx, name))
		case "secretsmanager":
			return s.value(s.engine.secret(s.ctx, m[2]))
		}
		return s.fail("Template error: the emulator does not know the dynamic reference %s", m[0])
	})
}

func (s *scope) condition(name string) bool {
	c, ok := section(s.template, "Conditions")[name]
	if !ok {
		s.fail("Template error: unresolved condition dependency %s", name)
		return false
	}
	if s.open[name] {
		s.fail("Template error: the condition %s refers to itself", name)
		return false
	}
	s.open[name] = true
	defer delete(s.open, name)
	return truth(s.eval(c))
}

// plan returns the logical ids of the resources that the template asks for, each after all on which it depends.
func (s *scope) plan() ([]string, error) {
	s.checkRules()
	order, err := dependencyOrder(s.template)
	s.value(nil, err)
	order = slices.DeleteFunc(order, func(logical string) bool { return !s.includes(definition(s.template, logical)) })
	return order, s.take()
}

// includes tells whether a resource or an output exists: its condition holds, or it has none.
func (s *scope) includes(definition map[string]any) bool {
	c, ok := definition["Condition"]
	return !ok || s.condition(text(c))
}

// checkRules evaluates the template's Rules section. CloudFormation does so before it changes anything.
func (s *scope) checkRules() {
	rules := section(s.template, "Rules")
	for _, name := range slices.Sorted(maps.Keys(rules)) {
		rule := section(rules, name)
		if c, ok := rule["RuleCondition"]; ok && !truth(s.eval(c)) {
			continue
		}
		for _, a := range items(rule, "Assertions") {
			if a, _ := a.(map[string]any); !truth(s.eval(a["Assert"])) {
				s.fail("Template error: Rule %s failed: %s", name, str(a, "AssertDescription"))
			}
		}
	}
}

package assembly

import (
	"regexp"
	"slices"
	"strings"
)

// placeholder is a variable of Fn::Sub, as in ${Name} and ${Name.Attribute}; ${!Literal} is none.
var placeholder = regexp.MustCompile(`\$\{([^!][^}]*)\}`)

// References calls f with each name and attribute in a value, of Ref, Fn::GetAtt and Fn::Sub.
func References(value any, f func(id, attribute string)) {
	calls(value, func(name string, argument any) {
		list, _ := argument.([]any)
		text, isText := argument.(string)
		switch {
		case name == "Ref" && isText:
			f(text, "")
		case name == "Fn::GetAtt" && (isText || len(list) == 2):
			f(attributeOf(argument))
		case name == "Fn::Sub":
			var own map[string]any
			if len(list) == 2 {
				text, _ = list[0].(string)
				own, _ = list[1].(map[string]any)
			}
			for _, match := range placeholder.FindAllStringSubmatch(text, -1) {
				if own[match[1]] == nil {
					f(attributeOf(strings.TrimSpace(match[1])))
				}
			}
		}
	})
}

// Reads is the number of places in a stack's resources and outputs that read from another stack.
func (a *Assembly) Reads(stack, other *Stack) int {
	n := 0
	calls([]any{stack.Template["Resources"], stack.Template["Outputs"]}, func(function string, argument any) {
		switch function {
		case "Fn::GetStackOutput":
			if object, _ := argument.(map[string]any); object["StackName"] == other.Name {
				n++
			}
		case "Fn::ImportValue":
			name, _ := a.Resolve(stack, "", function, argument)
			text, _ := name.(string)
			if slices.ContainsFunc(a.exports[text], func(output *Output) bool { return output.Stack == other }) {
				n++
			}
		}
	})
	return n
}

// calls calls f with the name and the argument of every function call, and of other members.
func calls(value any, f func(name string, argument any)) {
	switch value := value.(type) {
	case []any:
		for _, element := range value {
			calls(element, f)
		}
	case map[string]any:
		for name, argument := range value {
			f(name, argument)
			calls(argument, f)
		}
	}
}

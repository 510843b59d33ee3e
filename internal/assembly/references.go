package assembly

import (
	"regexp"
	"slices"
	"strings"
)

// placeholder is a variable of Fn::Sub, as in ${Name} and ${Name.Attribute};
// ${!Literal} is none.
var placeholder = regexp.MustCompile(`\$\{([^!][^}]*)\}`)

// References calls f with every name of a resource or parameter in a value, and with the
// attribute that the value asks for.
func References(value any, f func(id, attribute string)) {
	switch value := value.(type) {
	case []any:
		for _, element := range value {
			References(element, f)
		}
	case map[string]any:
		for key, argument := range value {
			list, _ := argument.([]any)
			text, isText := argument.(string)
			switch {
			case key == "Ref" && isText:
				f(text, "")
			case key == "Fn::GetAtt" && isText:
				id, attribute, _ := strings.Cut(text, ".")
				f(id, attribute)
			case key == "Fn::GetAtt" && len(list) == 2:
				id, _ := list[0].(string)
				attribute, _ := list[1].(string)
				f(id, attribute)
			case key == "Fn::Sub":
				var own map[string]any
				if len(list) == 2 {
					text, _ = list[0].(string)
					own, _ = list[1].(map[string]any)
					References(list[1], f)
				}
				for _, match := range placeholder.FindAllStringSubmatch(text, -1) {
					if id, attribute, _ := strings.Cut(match[1], "."); own[match[1]] == nil {
						f(id, attribute)
					}
				}
			default:
				References(argument, f)
			}
		}
	}
}

// Reads is the number of places in the resources and outputs of a stack that read a value
// of another stack.
func (a *Assembly) Reads(stack, other *Stack) int {
	n := 0
	var count func(value any)
	count = func(value any) {
		switch value := value.(type) {
		case []any:
			for _, element := range value {
				count(element)
			}
		case map[string]any:
			for key, argument := range value {
				switch key {
				case "Fn::GetStackOutput":
					if object, _ := argument.(map[string]any); object["StackName"] == other.Name {
						n++
					}
				case "Fn::ImportValue":
					name, _ := a.Resolve(stack, "", key, argument)
					text, _ := name.(string)
					if slices.ContainsFunc(a.exports[text], func(output *Output) bool { return output.Stack == other }) {
						n++
					}
				default:
					count(argument)
				}
			}
		}
	}
	count(stack.Template["Resources"])
	count(stack.Template["Outputs"])
	return n
}

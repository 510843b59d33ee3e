package assembly

import (
	"regexp"
	"strings"
)

// placeholder is a variable of Fn::Sub, as in ${Name} and ${Name.Attribute};
// ${!Literal} is none.
var placeholder = regexp.MustCompile(`\$\{([^!][^}]*)\}`)

// Calls calls f with every function call in a value of a template, as decoded by
// encoding/json: with the function's name and its argument. f is called with the other
// members of objects, too.
func Calls(value any, f func(name string, argument any)) {
	switch value := value.(type) {
	case []any:
		for _, element := range value {
			Calls(element, f)
		}
	case map[string]any:
		for name, argument := range value {
			f(name, argument)
			Calls(argument, f)
		}
	}
}

// References calls f with every name of a resource or parameter in a value, by Ref,
// Fn::GetAtt and Fn::Sub, and with the attribute that the value asks for.
func References(value any, f func(id, attribute string)) {
	dotted := func(name string) {
		id, attribute, _ := strings.Cut(name, ".")
		f(id, attribute)
	}
	Calls(value, func(name string, argument any) {
		list, _ := argument.([]any)
		text, isText := argument.(string)
		switch {
		case name == "Ref" && isText:
			f(text, "")
		case name == "Fn::GetAtt" && isText:
			dotted(text)
		case name == "Fn::GetAtt" && len(list) == 2:
			id, _ := list[0].(string)
			attribute, _ := list[1].(string)
			f(id, attribute)
		case name == "Fn::Sub":
			var own map[string]any
			if len(list) == 2 {
				text, _ = list[0].(string)
				own, _ = list[1].(map[string]any)
			}
			for _, match := range placeholder.FindAllStringSubmatch(text, -1) {
				if own[match[1]] == nil {
					dotted(strings.TrimSpace(match[1]))
				}
			}
		}
	})
}

package assembly

import (
	"regexp"
	"slices"
	"strings"
)

// Ref identifies a resource, in place of the name, id or ARN that only a deployment makes. Equal
// values mean the same resource.
type Ref struct {
	Resource *Resource
	// Attribute is that of Fn::GetAtt, empty for Ref.
	Attribute string
}

func (r Ref) String() string {
	if r.Attribute == "" {
		return r.Resource.String()
	}
	return r.Resource.String() + "." + r.Attribute
}

// ref evaluates Ref, to a resource, a parameter or a pseudo parameter.
// https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/pseudo-parameter-reference.html
func (r *resolver) ref(path, id string) any {
	if resource := r.stack.Resource(id); resource != nil {
		return Ref{Resource: resource}
	}
	if parameter, ok := r.stack.Parameters[id]; ok {
		return r.parameter(path, id, parameter)
	}
	value, pseudo := r.stack.pseudo()[id]
	switch {
	case id == "AWS::NoValue":
		return nil
	case value != "":
		return value
	case id == "AWS::StackId":
		r.fail(path, "%[1]s is only known at deployment: give a value with --parameters %[1]s=VALUE", id)
	case pseudo:
		r.fail(path, "%[1]s is only known at deployment: the stack was synthesized without an account and a region; give a value with --parameters %[1]s=VALUE", id)
	case strings.HasPrefix(id, "AWS::"):
		r.fail(path, "%s is only known at deployment", id)
	}
	r.fail(path, "%q is neither a resource nor a parameter of the template", id)
	return nil
}

// partitionOf returns a region's partition and domain of services, empty where not known.
// https://docs.aws.amazon.com/whitepapers/latest/aws-fault-isolation-boundaries/partitions.html
func partitionOf(region string) (partition, suffix string) {
	switch {
	case region == "", strings.Contains(region, "-iso"), strings.HasPrefix(region, "eusc-"):
		return "", ""
	case strings.HasPrefix(region, "cn-"):
		return "aws-cn", "amazonaws.com.cn"
	case strings.HasPrefix(region, "us-gov-"):
		return "aws-us-gov", "amazonaws.com"
	}
	return "aws", "amazonaws.com"
}

// getAtt evaluates Fn::GetAtt in both forms, [id, attribute] and "id.attribute".
func (r *resolver) getAtt(path string, argument any) any {
	id, attribute := attributeOf(argument)
	if id == "" || attribute == "" {
		r.fail(path, "expected [logical id, attribute], both known")
	}
	resource := r.stack.Resource(id)
	if resource == nil {
		r.fail(path, "%q is not a resource of the template", id)
	}
	return Ref{Resource: resource, Attribute: attribute}
}

// attributeOf returns the parts of an argument of Fn::GetAtt, empty where they are not known.
func attributeOf(argument any) (id, attribute string) {
	switch argument := argument.(type) {
	case string:
		id, attribute, _ = strings.Cut(argument, ".")
	case []any:
		if len(argument) == 2 {
			id, _ = argument[0].(string)
			attribute, _ = argument[1].(string)
		}
	}
	return id, attribute
}

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

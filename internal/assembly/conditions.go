package assembly

import "fmt"

// Exists evaluates the condition of the resource, if it has one.
func (r *Resource) Exists(a *Assembly) (exists bool, err error) {
	if r.Condition == "" {
		return true, nil
	}
	defer failed(&err)
	return a.resolver(r.Stack, r.LogicalID).namedCondition("Condition", r.Condition), nil
}

func (r *resolver) namedCondition(path, name string) bool {
	condition, ok := r.stack.Conditions[name]
	if !ok {
		r.fail(path, "the template has no condition %q", name)
	}
	return r.elsewhere(r.stack, name).condition("Conditions", condition)
}

// https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/intrinsic-function-reference-conditions.html
func (r *resolver) condition(path string, condition any) bool {
	defer r.enter(path)()
	object, _ := condition.(map[string]any)
	name, argument, _ := intrinsic(object)
	if name == "" {
		r.fail(path, "expected a condition, found %s", kind(condition))
	}
	path = join(path, name)
	if name == "Condition" {
		return r.namedCondition(path, r.text(path, argument, "the name of a condition"))
	}
	list, ok := argument.([]any)
	if !ok {
		r.fail(path, "expected a list, found %s", kind(argument))
	}
	switch {
	case name == "Fn::Equals" && len(list) == 2:
		return r.evaluated(path+"[0]", list[0]) == r.evaluated(path+"[1]", list[1])
	case name == "Fn::Not" && len(list) == 1:
		return !r.condition(path+"[0]", list[0])
	case (name == "Fn::And" || name == "Fn::Or") && len(list) > 0:
		for i, operand := range list {
			if r.condition(fmt.Sprintf("%s[%d]", path, i), operand) == (name == "Fn::Or") {
				return name == "Fn::Or"
			}
		}
		return name == "Fn::And"
	}
	r.fail(path, "%s with %d operands cannot be evaluated", name, len(list))
	return false
}

package assembly

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// Ref is the identity of a resource. It stands for the name, id or ARN that the
// resource has after the deployment. Two values that mean the same resource are equal
// before the resource exists.
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

// Text is a string of which parts are only known after a deployment. Its
// elements are strings and [Ref]s; there are at least two.
type Text []any

func (t Text) String() string {
	var b strings.Builder
	for _, part := range t {
		if ref, ok := part.(Ref); ok {
			b.WriteString("${" + ref.String() + "}")
		} else {
			b.WriteString(part.(string))
		}
	}
	return b.String()
}

const (
	// maxSteps bounds the work of one resolution: a template of a few lines can
	// otherwise describe a value of any size, by joining a value to itself again
	// and again. The largest legal template (1 MB) stays far below.
	maxSteps = 1_000_000
	// maxDepth bounds how far functions and outputs may refer to each other.
	maxDepth = 500
)

// Resolve evaluates the intrinsic functions in a value of a stack's template.
// The place, a logical id and the path of the value within it, is what an error
// will name.
//
// The result has the shapes of decoded JSON (nil, bool, float64, string, []any,
// map[string]any), and [Ref] and [Text] where it depends on what a deployment
// creates. References to other stacks of the assembly (Fn::GetStackOutput,
// Fn::ImportValue) are followed to the resource that is meant. AWS::NoValue
// removes its key or element as CloudFormation does; as a whole it is nil.
//
// Resolve evaluates:
//
//   - Ref, Fn::GetAtt, Fn::GetStackOutput, Fn::ImportValue, Fn::Join, Fn::Sub,
//     Fn::Select, Fn::Split, Fn::If and conditions
//   - parameters that have a default
//   - pseudo parameters, if the stack has the account and region for them
//
// Anything else is an [*Error].
//
// The functions are documented at
// https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/intrinsic-function-reference.html
func (a *Assembly) Resolve(stack *Stack, logicalID, property string, value any) (any, error) {
	r := &resolver{assembly: a, steps: new(int), place: Error{Stack: stack.Name, LogicalID: logicalID}, stack: stack}
	return r.value(property, value)
}

// Resolve evaluates one property of the resource, by its name at the top level;
// nil if the resource does not have it. See [Assembly.Resolve].
func (r *Resource) Resolve(a *Assembly, property string) (any, error) {
	return a.Resolve(r.Stack, r.LogicalID, "Properties."+property, r.Properties[property])
}

// Exists evaluates the condition of the resource, if it has one.
func (r *Resource) Exists(a *Assembly) (bool, error) {
	if r.Condition == "" {
		return true, nil
	}
	rs := &resolver{assembly: a, steps: new(int), place: Error{Stack: r.Stack.Name, LogicalID: r.LogicalID}, stack: r.Stack}
	return rs.namedCondition("Condition", r.Condition)
}

// resolver is one resolution, at one place of one stack.
type resolver struct {
	assembly *Assembly
	stack    *Stack
	place    Error
	depth    int
	steps    *int // shared by all that one resolution leads to
}

// elsewhere continues the resolution at another place.
func (r *resolver) elsewhere(stack *Stack, logicalID string) *resolver {
	return &resolver{assembly: r.assembly, stack: stack, place: Error{Stack: stack.Name, LogicalID: logicalID}, depth: r.depth, steps: r.steps}
}

func (r *resolver) errorf(path, format string, args ...any) error {
	err := r.place
	err.Property, err.Reason = path, fmt.Sprintf(format, args...)
	return &err
}

func (r *resolver) tooLarge(path string) error {
	return r.errorf(path, "the value is too large: it takes more than %d steps to work out", maxSteps)
}

// enter accounts for one more value; its result undoes the nesting.
func (r *resolver) enter(path string) (leave func(), err error) {
	if *r.steps++; *r.steps > maxSteps {
		return nil, r.tooLarge(path)
	}
	if r.depth++; r.depth > maxDepth {
		return nil, r.errorf(path, "references are nested more than %d deep; does a value refer to itself?", maxDepth)
	}
	return func() { r.depth-- }, nil
}

func (r *resolver) value(path string, value any) (any, error) {
	leave, err := r.enter(path)
	if err != nil {
		return nil, err
	}
	defer leave()
	switch value := value.(type) {
	case []any:
		list := make([]any, 0, len(value))
		for i, element := range value {
			resolved, err := r.value(fmt.Sprintf("%s[%d]", path, i), element)
			if err != nil {
				return nil, err
			}
			if resolved != nil {
				list = append(list, resolved)
			}
		}
		return list, nil
	case map[string]any:
		if name, argument, ok := intrinsic(value); ok {
			return r.call(path, name, argument)
		}
		object := make(map[string]any, len(value))
		for _, key := range slices.Sorted(maps.Keys(value)) {
			resolved, err := r.value(join(path, key), value[key])
			if err != nil {
				return nil, err
			}
			if resolved != nil {
				object[key] = resolved
			}
		}
		return object, nil
	}
	return value, nil
}

// intrinsic returns the key and the value of an object that has just one, and
// whether that makes it a function call.
func intrinsic(value map[string]any) (name string, argument any, ok bool) {
	if len(value) != 1 {
		return "", nil, false
	}
	for name, argument = range value {
	}
	return name, argument, name == "Ref" || strings.HasPrefix(name, "Fn::")
}

func (r *resolver) call(path, name string, argument any) (any, error) {
	path = join(path, name)
	switch name {
	case "Ref":
		id, ok := argument.(string)
		if !ok {
			return nil, r.errorf(path, "expected a logical id, found %s", kind(argument))
		}
		return r.ref(path, id)
	case "Fn::GetAtt":
		return r.getAtt(path, argument)
	case "Fn::GetStackOutput":
		return r.getStackOutput(path, argument)
	case "Fn::ImportValue":
		return r.importValue(path, argument)
	case "Fn::Join":
		return r.join(path, argument)
	case "Fn::Sub":
		return r.sub(path, argument)
	case "Fn::Split":
		return r.split(path, argument)
	case "Fn::Select":
		return r.selectOne(path, argument)
	case "Fn::If":
		list, ok := argument.([]any)
		if !ok || len(list) != 3 {
			return nil, r.errorf(path, "expected [condition, value if true, value if false]")
		}
		condition, ok := list[0].(string)
		if !ok {
			return nil, r.errorf(path, "expected the name of a condition, found %s", kind(list[0]))
		}
		holds, err := r.namedCondition(path, condition)
		if err != nil {
			return nil, err
		}
		if holds {
			return r.value(path+"[1]", list[1])
		}
		return r.value(path+"[2]", list[2])
	}
	return nil, r.errorf(path, "%s is not a function that can be evaluated before a deployment", name)
}

// ref evaluates Ref, to a resource, a parameter or a pseudo parameter.
// https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/pseudo-parameter-reference.html
func (r *resolver) ref(path, id string) (any, error) {
	if resource := r.stack.Resource(id); resource != nil {
		return Ref{Resource: resource}, nil
	}
	if parameter, ok := r.stack.Parameters[id]; ok {
		return r.parameter(path, id, parameter)
	}
	known := func(value string) (any, error) {
		if value == "" {
			return nil, r.errorf(path, "%s is only known at deployment: the stack was synthesized without an account and a region", id)
		}
		return value, nil
	}
	switch id {
	case "AWS::NoValue":
		return nil, nil
	case "AWS::StackName":
		return r.stack.Name, nil
	case "AWS::AccountId":
		return known(r.stack.Account)
	case "AWS::Region":
		return known(r.stack.Region)
	case "AWS::Partition":
		partition, _ := partitionOf(r.stack.Region)
		return known(partition)
	case "AWS::URLSuffix":
		_, suffix := partitionOf(r.stack.Region)
		return known(suffix)
	}
	if strings.HasPrefix(id, "AWS::") {
		return nil, r.errorf(path, "%s is only known at deployment", id)
	}
	return nil, r.errorf(path, "%q is neither a resource nor a parameter of the template", id)
}

// partitionOf returns the partition of a region and the domain of its services,
// empty where they are not known.
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

func (r *resolver) parameter(path, id string, p Parameter) (any, error) {
	switch {
	case strings.HasPrefix(p.Type, "AWS::SSM::Parameter::Value<"):
		return nil, r.errorf(path, "parameter %q is read from the Parameter Store (%v) at deployment", id, p.Default)
	case p.Default == nil:
		return nil, r.errorf(path, "parameter %q has no default", id)
	}
	text, err := r.literal(path, p.Default)
	if err != nil {
		return nil, err
	}
	if p.Type == "CommaDelimitedList" || strings.HasPrefix(p.Type, "List<") {
		list := []any{}
		for element := range strings.SplitSeq(text, ",") {
			list = append(list, strings.TrimSpace(element))
		}
		return list, nil
	}
	return text, nil
}

// getAtt evaluates Fn::GetAtt in both forms, [id, attribute] and "id.attribute".
func (r *resolver) getAtt(path string, argument any) (any, error) {
	var id, attribute string
	switch argument := argument.(type) {
	case string:
		id, attribute, _ = strings.Cut(argument, ".")
	case []any:
		if len(argument) == 2 {
			id, _ = argument[0].(string)
			attribute, _ = argument[1].(string)
		}
	}
	if id == "" || attribute == "" {
		return nil, r.errorf(path, "expected [logical id, attribute], both known")
	}
	resource := r.stack.Resource(id)
	if resource == nil {
		return nil, r.errorf(path, "%q is not a resource of the template", id)
	}
	return Ref{Resource: resource, Attribute: attribute}, nil
}

// getStackOutput evaluates Fn::GetStackOutput, by which CDK refers to another
// stack without an export.
// https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/intrinsic-function-reference-getstackoutput.html
func (r *resolver) getStackOutput(path string, argument any) (any, error) {
	object, ok := argument.(map[string]any)
	if !ok {
		return nil, r.errorf(path, "expected an object with StackName and OutputName, found %s", kind(argument))
	}
	field := func(name string) (string, error) {
		value, err := r.value(join(path, name), object[name])
		if err != nil {
			return "", err
		}
		return r.literal(join(path, name), value)
	}
	stackName, err := field("StackName")
	if err != nil {
		return nil, err
	}
	outputName, err := field("OutputName")
	if err != nil {
		return nil, err
	}
	// CDK writes the consumer's own region out as a Ref: it need not be known.
	region := r.stack.Region
	ref, _ := object["Region"].(map[string]any)
	if object["Region"] != nil && ref["Ref"] != "AWS::Region" {
		if region, err = field("Region"); err != nil {
			return nil, err
		}
	}
	var producers []*Stack
	for _, stack := range r.assembly.Stacks {
		if stack.Name == stackName && (stack.Region == region || stack.Region == "" || region == "") {
			producers = append(producers, stack)
		}
	}
	switch {
	case len(producers) == 0:
		return nil, r.errorf(path, "there is no stack %q in the assembly", stackName)
	case len(producers) > 1:
		return nil, r.errorf(path, "the assembly has %d stacks %q, and which is meant depends on the deployment", len(producers), stackName)
	}
	output := producers[0].Outputs[outputName]
	if output == nil {
		return nil, r.errorf(path, "stack %q has no output %q", stackName, outputName)
	}
	return r.output(path, output)
}

func (r *resolver) output(path string, output *Output) (any, error) {
	at := r.elsewhere(output.Stack, output.LogicalID)
	if output.Condition != "" {
		exists, err := at.namedCondition("Condition", output.Condition)
		if err != nil {
			return nil, err
		}
		if !exists {
			return nil, r.errorf(path, "output %q of stack %q is left out: its condition %q does not hold", output.LogicalID, output.Stack.Name, output.Condition)
		}
	}
	return at.value("Value", output.Value)
}

// importValue evaluates Fn::ImportValue.
// https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/intrinsic-function-reference-importvalue.html
func (r *resolver) importValue(path string, argument any) (any, error) {
	resolved, err := r.value(path, argument)
	if err != nil {
		return nil, err
	}
	name, err := r.literal(path, resolved)
	if err != nil {
		return nil, err
	}
	// An export is known within one account and region.
	var producers []*Output
	for _, output := range r.assembly.exports[name] {
		s := output.Stack
		if (s.Region == r.stack.Region || s.Region == "" || r.stack.Region == "") &&
			(s.Account == r.stack.Account || s.Account == "" || r.stack.Account == "") {
			producers = append(producers, output)
		}
	}
	switch {
	case len(producers) == 1:
		return r.output(path, producers[0])
	case len(producers) > 1:
		return nil, r.errorf(path, "the export %q exists %d times in the assembly", name, len(producers))
	case len(r.assembly.unnamed) > 0:
		return nil, r.errorf(path, "no stack of the assembly exports %q, unless it is %s, whose name is only known at deployment",
			name, strings.Join(r.assembly.unnamed, " or "))
	}
	return nil, r.errorf(path, "no stack of the assembly exports %q", name)
}

// indexExports finds the names of all exports.
func (a *Assembly) indexExports() {
	a.exports = map[string][]*Output{}
	for _, stack := range a.Stacks {
		for _, id := range slices.Sorted(maps.Keys(stack.Outputs)) {
			output := stack.Outputs[id]
			if output.ExportName == nil {
				continue
			}
			name, err := a.Resolve(stack, id, "Export.Name", output.ExportName)
			if text, ok := name.(string); ok && err == nil {
				a.exports[text] = append(a.exports[text], output)
			} else {
				a.unnamed = append(a.unnamed, stack.Name+"/"+id)
			}
		}
	}
}

// list evaluates an argument that must be a list of a certain length; -1 for any.
func (r *resolver) list(path string, argument any, length int, form string) ([]any, error) {
	list, ok := argument.([]any)
	if !ok || length >= 0 && len(list) != length {
		return nil, r.errorf(path, "expected %s", form)
	}
	return list, nil
}

func (r *resolver) join(path string, argument any) (any, error) {
	const form = `["delimiter", [values]]`
	list, err := r.list(path, argument, 2, form)
	if err != nil {
		return nil, err
	}
	delimiter, ok := list[0].(string)
	if !ok {
		return nil, r.errorf(path+"[0]", "expected a string as the delimiter, found %s", kind(list[0]))
	}
	resolved, err := r.value(path+"[1]", list[1])
	if err != nil {
		return nil, err
	}
	elements, err := r.list(path+"[1]", resolved, -1, "a list of known length")
	if err != nil {
		return nil, err
	}
	var text Text
	for i, element := range elements {
		if i > 0 {
			text = append(text, delimiter)
		}
		if text, err = r.append(text, fmt.Sprintf("%s[1][%d]", path, i), element); err != nil {
			return nil, err
		}
	}
	return simplify(text), nil
}

// sub evaluates Fn::Sub: "text ${name} ${resource.attribute} ${!literal}", alone
// or with a map of further names.
// https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/intrinsic-function-reference-sub.html
func (r *resolver) sub(path string, argument any) (any, error) {
	var variables map[string]any
	format, ok := argument.(string)
	if list, isList := argument.([]any); isList && len(list) == 2 {
		format, ok = list[0].(string)
		if variables, _ = list[1].(map[string]any); variables == nil {
			ok = false
		}
	}
	if !ok {
		return nil, r.errorf(path, `expected "text" or ["text", {names}]`)
	}
	var text Text
	for {
		before, rest, found := strings.Cut(format, "${")
		text = append(text, before)
		if !found {
			return simplify(text), nil
		}
		name, after, closed := strings.Cut(rest, "}")
		if !closed {
			return nil, r.errorf(path, "${ is not closed in %q", format)
		}
		format = after
		if literal, ok := strings.CutPrefix(name, "!"); ok {
			text = append(text, "${"+literal+"}")
			continue
		}
		name = strings.TrimSpace(name)
		var value any
		var err error
		if variable, ok := variables[name]; ok {
			value, err = r.value(join(path, name), variable)
		} else if strings.Contains(name, ".") {
			value, err = r.getAtt(path, name)
		} else {
			value, err = r.ref(path, name)
		}
		if err != nil {
			return nil, err
		}
		if text, err = r.append(text, path, value); err != nil {
			return nil, err
		}
	}
}

func (r *resolver) split(path string, argument any) (any, error) {
	list, err := r.list(path, argument, 2, `["delimiter", text]`)
	if err != nil {
		return nil, err
	}
	delimiter, ok := list[0].(string)
	if !ok || delimiter == "" {
		return nil, r.errorf(path+"[0]", "expected a string as the delimiter, found %s", kind(list[0]))
	}
	resolved, err := r.value(path+"[1]", list[1])
	if err != nil {
		return nil, err
	}
	text, err := r.append(nil, path+"[1]", resolved)
	if err != nil {
		return nil, err
	}
	pieces := []Text{{}}
	for _, part := range text {
		literal, ok := part.(string)
		if !ok {
			// CDK passes lists between stacks joined by "||", because no name, id
			// or ARN has a bar in it. Any other delimiter may be in the value.
			if !strings.Contains(delimiter, "|") {
				return nil, r.errorf(path, "cannot be split at %q: the value of %v is only known after the deployment", delimiter, part)
			}
			pieces[len(pieces)-1] = append(pieces[len(pieces)-1], part)
			continue
		}
		for i, piece := range strings.Split(literal, delimiter) {
			if *r.steps++; *r.steps > maxSteps {
				return nil, r.tooLarge(path)
			}
			if i > 0 {
				pieces = append(pieces, Text{})
			}
			pieces[len(pieces)-1] = append(pieces[len(pieces)-1], piece)
		}
	}
	result := make([]any, len(pieces))
	for i, piece := range pieces {
		result[i] = simplify(piece)
	}
	return result, nil
}

func (r *resolver) selectOne(path string, argument any) (any, error) {
	list, err := r.list(path, argument, 2, "[index, [values]]")
	if err != nil {
		return nil, err
	}
	resolved, err := r.value(path+"[0]", list[0])
	if err != nil {
		return nil, err
	}
	digits, err := r.literal(path+"[0]", resolved)
	if err != nil {
		return nil, err
	}
	index, err := strconv.Atoi(digits)
	if err != nil {
		return nil, r.errorf(path+"[0]", "expected an index, found %q", digits)
	}
	resolved, err = r.value(path+"[1]", list[1])
	if err != nil {
		return nil, err
	}
	elements, err := r.list(path+"[1]", resolved, -1, "a list of known length")
	if err != nil {
		return nil, err
	}
	if index < 0 || index >= len(elements) {
		return nil, r.errorf(path, "index %d is out of range: the list has %d elements", index, len(elements))
	}
	return elements[index], nil
}

// namedCondition evaluates a condition of the template.
func (r *resolver) namedCondition(path, name string) (bool, error) {
	condition, ok := r.stack.Conditions[name]
	if !ok {
		return false, r.errorf(path, "the template has no condition %q", name)
	}
	return r.elsewhere(r.stack, name).condition("Conditions", condition)
}

// condition evaluates a condition function.
// https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/intrinsic-function-reference-conditions.html
func (r *resolver) condition(path string, condition any) (bool, error) {
	leave, err := r.enter(path)
	if err != nil {
		return false, err
	}
	defer leave()
	object, _ := condition.(map[string]any)
	name, argument, _ := intrinsic(object)
	if name == "" {
		return false, r.errorf(path, "expected a condition, found %s", kind(condition))
	}
	path = join(path, name)
	if name == "Condition" {
		other, ok := argument.(string)
		if !ok {
			return false, r.errorf(path, "expected the name of a condition, found %s", kind(argument))
		}
		return r.namedCondition(path, other)
	}
	list, ok := argument.([]any)
	if !ok {
		return false, r.errorf(path, "expected a list, found %s", kind(argument))
	}
	switch {
	case name == "Fn::Equals" && len(list) == 2:
		return r.equals(path, list)
	case name == "Fn::Not" && len(list) == 1:
		holds, err := r.condition(path+"[0]", list[0])
		return !holds, err
	case (name == "Fn::And" || name == "Fn::Or") && len(list) > 0:
		for i, operand := range list {
			holds, err := r.condition(fmt.Sprintf("%s[%d]", path, i), operand)
			if err != nil || holds == (name == "Fn::Or") {
				return holds, err
			}
		}
		return name == "Fn::And", nil
	}
	return false, r.errorf(path, "%s with %d operands cannot be evaluated", name, len(list))
}

func (r *resolver) equals(path string, operands []any) (bool, error) {
	var texts [2]string
	for i, operand := range operands {
		at := fmt.Sprintf("%s[%d]", path, i)
		value, err := r.value(at, operand)
		if err != nil {
			return false, err
		}
		if texts[i], err = r.literal(at, value); err != nil {
			return false, err
		}
	}
	return texts[0] == texts[1], nil
}

// append adds a resolved value to a text. Strings, numbers and booleans become
// text as in CloudFormation.
func (r *resolver) append(text Text, path string, value any) (Text, error) {
	added := Text{value}
	switch value := value.(type) {
	case string, Ref:
	case float64:
		added[0] = strconv.FormatFloat(value, 'f', -1, 64)
	case bool:
		added[0] = strconv.FormatBool(value)
	case Text:
		added = value
	default:
		return nil, r.errorf(path, "expected a string, found %s", kind(value))
	}
	for _, part := range added {
		literal, _ := part.(string)
		if *r.steps += 1 + len(literal)/16; *r.steps > maxSteps {
			return nil, r.tooLarge(path)
		}
	}
	return append(text, added...), nil
}

// literal returns a resolved value as a string that is wholly known.
func (r *resolver) literal(path string, value any) (string, error) {
	text, err := r.append(nil, path, value)
	if err != nil {
		return "", err
	}
	literal, ok := simplify(text).(string)
	if !ok {
		return "", r.errorf(path, "the value of %v is only known after the deployment", value)
	}
	return literal, nil
}

// simplify merges neighbouring strings, and returns what is no mixture as the
// string or the [Ref] that it is.
func simplify(text Text) any {
	var merged Text
	var literal strings.Builder
	flush := func() {
		if literal.Len() > 0 {
			merged = append(merged, literal.String())
			literal.Reset()
		}
	}
	for _, part := range text {
		if s, ok := part.(string); ok {
			literal.WriteString(s)
		} else {
			flush()
			merged = append(merged, part)
		}
	}
	flush()
	switch len(merged) {
	case 0:
		return ""
	case 1:
		return merged[0]
	}
	return merged
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

// kind names what a decoded or resolved value is, for errors.
func kind(value any) string {
	switch value := value.(type) {
	case nil:
		return "nothing"
	case bool:
		return fmt.Sprintf("the boolean %t", value)
	case float64:
		return "the number " + strconv.FormatFloat(value, 'f', -1, 64)
	case string:
		return strconv.Quote(value)
	case []any:
		return fmt.Sprintf("a list of %d", len(value))
	case map[string]any:
		if name, _, ok := intrinsic(value); ok {
			return "a call of " + name
		}
		return "an object"
	case Ref, Text:
		return fmt.Sprintf("%v, which is only known after the deployment", value)
	}
	return fmt.Sprintf("%v", value)
}

package assembly

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
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

// Text is a string with parts that only a deployment tells: at least two strings and [Ref]s.
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
	// maxSteps bounds a resolution: a short template can join a value to itself again and again.
	// The largest legal template (1 MB) stays far below.
	maxSteps = 1_000_000
	// maxDepth bounds how far functions and outputs may refer to each other.
	maxDepth = 500
)

// Resolve evaluates the intrinsic functions in a value. Errors name the logical id and path.
//
// The result has the shapes of decoded JSON, and [Ref] and [Text] where it depends on a deployment.
// References to other stacks of the assembly are followed to the resource. AWS::NoValue removes its
// key or element as CloudFormation does; as a whole it is nil.
//
// Resolve evaluates:
//
//   - Ref, Fn::GetAtt, Fn::GetStackOutput, Fn::ImportValue, Fn::Join, Fn::Sub,
//     Fn::Select, Fn::Split, Fn::FindInMap, Fn::If and conditions
//   - parameters that have a default, or a value given to [Read]
//   - pseudo parameters, if the stack has the account and region for them
//
// Anything else is an [*Error].
// https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/intrinsic-function-reference.html
func (a *Assembly) Resolve(stack *Stack, logicalID, property string, value any) (resolved any, err error) {
	defer failed(&err)
	return a.resolver(stack, logicalID).value(property, value), nil
}

// Resolve evaluates a property of the resource by [Assembly.Resolve]; nil if there is none.
func (r *Resource) Resolve(a *Assembly, property string) (any, error) {
	return a.Resolve(r.Stack, r.LogicalID, "Properties."+property, r.Properties[property])
}

// Exists evaluates the condition of the resource, if it has one.
func (r *Resource) Exists(a *Assembly) (exists bool, err error) {
	if r.Condition == "" {
		return true, nil
	}
	defer failed(&err)
	return a.resolver(r.Stack, r.LogicalID).namedCondition("Condition", r.Condition), nil
}

// resolver is one resolution at one place. Its methods panic with an [*Error]: see [failed].
type resolver struct {
	assembly *Assembly
	stack    *Stack
	place    Error
	depth    int
	steps    *int // shared by all that one resolution leads to
}

func (a *Assembly) resolver(stack *Stack, logicalID string) *resolver {
	return &resolver{assembly: a, stack: stack, place: Error{Stack: stack.Name, LogicalID: logicalID}, steps: new(int)}
}

// elsewhere continues the resolution at another place.
func (r *resolver) elsewhere(stack *Stack, logicalID string) *resolver {
	other := r.assembly.resolver(stack, logicalID)
	other.depth, other.steps = r.depth, r.steps
	return other
}

func (r *resolver) fail(path, format string, args ...any) {
	err := r.place
	err.Property, err.Reason = path, fmt.Sprintf(format, args...)
	panic(&err)
}

// failed takes the error with which a resolution ended.
func failed(err *error) {
	switch e := recover().(type) {
	case nil:
	case *Error:
		*err = e
	default:
		panic(e)
	}
}

// count adds to the work of the resolution.
func (r *resolver) count(path string, steps int) {
	if *r.steps += steps; *r.steps > maxSteps {
		r.fail(path, "the value is too large: it takes more than %d steps to work out", maxSteps)
	}
}

// enter accounts for one more value; its result undoes the nesting.
func (r *resolver) enter(path string) (leave func()) {
	r.count(path, 1)
	if r.depth++; r.depth > maxDepth {
		r.fail(path, "references are nested more than %d deep; does a value refer to itself?", maxDepth)
	}
	return func() { r.depth-- }
}

func (r *resolver) value(path string, value any) any {
	defer r.enter(path)()
	switch value := value.(type) {
	case []any:
		list := make([]any, 0, len(value))
		for i, element := range value {
			if resolved := r.value(fmt.Sprintf("%s[%d]", path, i), element); resolved != nil {
				list = append(list, resolved)
			}
		}
		return list
	case map[string]any:
		if name, argument, ok := intrinsic(value); ok {
			return r.call(join(path, name), name, argument)
		}
		object := make(map[string]any, len(value))
		for _, key := range slices.Sorted(maps.Keys(value)) {
			if strings.HasPrefix(key, "Fn::ForEach::") {
				r.fail(join(path, key), "the macro AWS::LanguageExtensions changes the template when it is deployed: the loop is not evaluated")
			}
			if resolved := r.value(join(path, key), value[key]); resolved != nil {
				object[key] = resolved
			}
		}
		return object
	}
	return value
}

// intrinsic returns the only key of an object with its value, and whether it is a function call.
func intrinsic(value map[string]any) (name string, argument any, ok bool) {
	if len(value) != 1 {
		return "", nil, false
	}
	for name, argument = range value {
	}
	return name, argument, name == "Ref" || strings.HasPrefix(name, "Fn::")
}

func (r *resolver) call(path, name string, argument any) any {
	switch name {
	case "Ref":
		return r.ref(path, r.text(path, argument, "a logical id"))
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
	case "Fn::FindInMap":
		return r.findInMap(path, argument)
	case "Fn::If":
		list := r.list(path, argument, 3, "[condition, value if true, value if false]")
		if r.namedCondition(path, r.text(path, list[0], "the name of a condition")) {
			return r.value(path+"[1]", list[1])
		}
		return r.value(path+"[2]", list[2])
	}
	r.fail(path, "%s is not a function that can be evaluated before a deployment", name)
	return nil
}

// findInMap evaluates Fn::FindInMap. The values of mappings have no functions.
// https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/intrinsic-function-reference-findinmap.html
func (r *resolver) findInMap(path string, argument any) (value any) {
	value = r.stack.Template["Mappings"]
	var keys []string
	for i, key := range r.list(path, argument, 3, "[name of a mapping, top-level key, second-level key]") {
		place := fmt.Sprintf("%s[%d]", path, i)
		found := r.value(place, key)
		text, ok := found.(string)
		if !ok {
			r.fail(place, "expected a text that is known before a deployment, found %v", found)
		}
		keys = append(keys, strconv.Quote(text))
		object, _ := value.(map[string]any)
		if value = object[text]; value == nil {
			r.fail(path, "the mappings of the template have nothing for [%s]", strings.Join(keys, ", "))
		}
	}
	return value
}

// text returns an argument that must be a string as it stands.
func (r *resolver) text(path string, argument any, what string) string {
	text, ok := argument.(string)
	if !ok {
		r.fail(path, "expected %s, found %s", what, kind(argument))
	}
	return text
}

// list returns an argument that must be a list of a certain length; -1 for any.
func (r *resolver) list(path string, argument any, length int, form string) []any {
	list, ok := argument.([]any)
	if !ok || length >= 0 && len(list) != length {
		r.fail(path, "expected %s", form)
	}
	return list
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

func (r *resolver) parameter(path, id string, p Parameter) any {
	text, given := r.stack.given[id]
	switch {
	case given:
	case strings.HasPrefix(p.Type, "AWS::SSM::Parameter::Value<"):
		r.fail(path, "parameter %[1]q is read from the Parameter Store (%[2]v) at deployment: give a value with --parameters %[1]s=VALUE", id, p.Default)
	case p.Default == nil:
		r.fail(path, "parameter %[1]q has no default: give a value with --parameters %[1]s=VALUE", id)
	default:
		text = r.literal(path, p.Default)
	}
	if p.Type != "CommaDelimitedList" && !strings.HasPrefix(strings.TrimPrefix(p.Type, "AWS::SSM::Parameter::Value<"), "List<") {
		return text
	}
	list := []any{}
	for element := range strings.SplitSeq(text, ",") {
		list = append(list, strings.TrimSpace(element))
	}
	return list
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

// getStackOutput evaluates Fn::GetStackOutput, CDK's reference to a stack without an export.
// https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/intrinsic-function-reference-getstackoutput.html
func (r *resolver) getStackOutput(path string, argument any) any {
	object, ok := argument.(map[string]any)
	if !ok {
		r.fail(path, "expected an object with StackName and OutputName, found %s", kind(argument))
	}
	field := func(name string) string {
		return r.evaluated(join(path, name), object[name])
	}
	stackName, outputName := field("StackName"), field("OutputName")
	// CDK writes the consumer's own region out as a Ref: it need not be known.
	region := r.stack.Region
	ref, _ := object["Region"].(map[string]any)
	if object["Region"] != nil && ref["Ref"] != "AWS::Region" {
		region = field("Region")
	}
	var producers []*Stack
	for _, stack := range r.assembly.Stacks {
		if stack.Name == stackName && mayEqual(stack.Region, region) {
			producers = append(producers, stack)
		}
	}
	switch len(producers) {
	case 0:
		r.fail(path, "there is no stack %q in the assembly", stackName)
	case 1:
	default:
		r.fail(path, "the assembly has %d stacks %q, and which is meant depends on the deployment", len(producers), stackName)
	}
	output := producers[0].Outputs[outputName]
	if output == nil {
		r.fail(path, "stack %q has no output %q", stackName, outputName)
	}
	return r.output(path, output)
}

// mayEqual compares two accounts or regions, either of which may be left to the deployment.
func mayEqual(a, b string) bool { return a == b || a == "" || b == "" }

func (r *resolver) output(path string, output *Output) any {
	at := r.elsewhere(output.Stack, output.LogicalID)
	if output.Condition != "" && !at.namedCondition("Condition", output.Condition) {
		r.fail(path, "output %q of stack %q is left out: its condition %q does not hold", output.LogicalID, output.Stack.Name, output.Condition)
	}
	return at.value("Value", output.Value)
}

// https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/intrinsic-function-reference-importvalue.html
func (r *resolver) importValue(path string, argument any) any {
	name := r.evaluated(path, argument)
	// An export is known within one account and region.
	var producers []*Output
	for _, output := range r.assembly.exports[name] {
		if mayEqual(output.Stack.Region, r.stack.Region) && mayEqual(output.Stack.Account, r.stack.Account) {
			producers = append(producers, output)
		}
	}
	switch {
	case len(producers) == 1:
		return r.output(path, producers[0])
	case len(producers) > 1:
		r.fail(path, "the export %q exists %d times in the assembly", name, len(producers))
	case len(r.assembly.unnamed) > 0:
		r.fail(path, "no stack of the assembly exports %q, unless it is %s, whose name is only known at deployment",
			name, strings.Join(r.assembly.unnamed, " or "))
	}
	r.fail(path, "no stack of the assembly exports %q", name)
	return nil
}

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

func (r *resolver) join(path string, argument any) any {
	list := r.list(path, argument, 2, `["delimiter", [values]]`)
	delimiter := r.text(path+"[0]", list[0], "a string as the delimiter")
	var text Text
	for i, element := range r.list(path+"[1]", r.value(path+"[1]", list[1]), -1, "a list of known length") {
		if i > 0 {
			text = append(text, delimiter)
		}
		text = r.append(text, fmt.Sprintf("%s[1][%d]", path, i), element)
	}
	return simplify(text)
}

// sub evaluates Fn::Sub: "text ${name} ${resource.attribute} ${!literal}", or with more names.
// https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/intrinsic-function-reference-sub.html
func (r *resolver) sub(path string, argument any) any {
	var variables map[string]any
	format, ok := argument.(string)
	if list, isList := argument.([]any); isList && len(list) == 2 {
		format, ok = list[0].(string)
		if variables, _ = list[1].(map[string]any); variables == nil {
			ok = false
		}
	}
	if !ok {
		r.fail(path, `expected "text" or ["text", {names}]`)
	}
	var text Text
	for {
		before, rest, found := strings.Cut(format, "${")
		text = append(text, before)
		if !found {
			return simplify(text)
		}
		name, after, closed := strings.Cut(rest, "}")
		if !closed {
			r.fail(path, "${ is not closed in %q", format)
		}
		format = after
		if literal, ok := strings.CutPrefix(name, "!"); ok {
			text = append(text, "${"+literal+"}")
			continue
		}
		name = strings.TrimSpace(name)
		var value any
		if variable, ok := variables[name]; ok {
			value = r.value(join(path, name), variable)
		} else if strings.Contains(name, ".") {
			value = r.getAtt(path, name)
		} else {
			value = r.ref(path, name)
		}
		text = r.append(text, path, value)
	}
}

func (r *resolver) split(path string, argument any) any {
	list := r.list(path, argument, 2, `["delimiter", text]`)
	const form = "a string as the delimiter"
	delimiter := r.text(path+"[0]", list[0], form)
	if delimiter == "" {
		r.fail(path+"[0]", "expected %s, found %s", form, kind(delimiter))
	}
	pieces := []Text{{}}
	for _, part := range r.append(nil, path+"[1]", r.value(path+"[1]", list[1])) {
		literal, ok := part.(string)
		if !ok {
			// CDK joins lists by "||": no name, id or ARN has a bar. They may have others.
			if !strings.Contains(delimiter, "|") {
				r.fail(path, "cannot be split at %q: the value of %v is only known after the deployment", delimiter, part)
			}
			pieces[len(pieces)-1] = append(pieces[len(pieces)-1], part)
			continue
		}
		for i, piece := range strings.Split(literal, delimiter) {
			r.count(path, 1)
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
	return result
}

func (r *resolver) selectOne(path string, argument any) any {
	list := r.list(path, argument, 2, "[index, [values]]")
	digits := r.evaluated(path+"[0]", list[0])
	index, err := strconv.Atoi(digits)
	if err != nil {
		r.fail(path+"[0]", "expected an index, found %q", digits)
	}
	elements := r.list(path+"[1]", r.value(path+"[1]", list[1]), -1, "a list of known length")
	if index < 0 || index >= len(elements) {
		r.fail(path, "index %d is out of range: the list has %d elements", index, len(elements))
	}
	return elements[index]
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

// append adds a resolved value to a text, as text like CloudFormation's.
func (r *resolver) append(text Text, path string, value any) Text {
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
		r.fail(path, "expected a string, found %s", kind(value))
	}
	for _, part := range added {
		literal, _ := part.(string)
		r.count(path, 1+len(literal)/16)
	}
	return append(text, added...)
}

// evaluated evaluates a value that must be a string which is wholly known.
func (r *resolver) evaluated(path string, value any) string {
	return r.literal(path, r.value(path, value))
}

// literal returns a resolved value as a string that is wholly known.
func (r *resolver) literal(path string, value any) string {
	literal, ok := simplify(r.append(nil, path, value)).(string)
	if !ok {
		r.fail(path, "the value of %v is only known after the deployment", value)
	}
	return literal
}

// simplify merges neighbouring strings. A text of one part becomes that part.
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

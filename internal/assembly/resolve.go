package assembly

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

const (
	// maxSteps bounds a resolution: a short template can join a value to itself again and again.
	// The largest legal template (1 MB) stays far below.
	maxSteps = 1_000_000
	// maxDepth bounds how far functions and outputs may refer to each other.
	maxDepth = 500
)

// Resolve evaluates the intrinsic functions in a value. Errors name the logical id and path.
//
// The result has the shapes of decoded JSON, and [Ref], [Piece] and [Text] where it depends on a deployment.
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

func (r *resolver) selectOne(path string, argument any) any {
	list := r.list(path, argument, 2, "[index, [values]]")
	digits := r.evaluated(path+"[0]", list[0])
	index, err := strconv.Atoi(digits)
	if err != nil {
		r.fail(path+"[0]", "expected an index, found %q", digits)
	}
	value, delimiter := r.several(path+"[1]", list[1])
	if _, later := value.(Ref); index >= 0 && (later || delimiter != "") {
		return Piece{value, delimiter, index}
	}
	elements := r.list(path+"[1]", value, -1, "a list of known length")
	if index < 0 || index >= len(elements) {
		r.fail(path, "index %d is out of range: the list has %d elements", index, len(elements))
	}
	return elements[index]
}

// several evaluates the list of Fn::Select. If the list is what Fn::Split makes of a text that only a deployment tells, several
// returns the text and the delimiter.
func (r *resolver) several(path string, argument any) (value any, delimiter string) {
	object, _ := argument.(map[string]any)
	name, split, _ := intrinsic(object)
	if name != "Fn::Split" {
		return r.value(path, argument), ""
	}
	path = join(path, name)
	delimiter, text := r.splits(path, split)
	switch text.(type) {
	case Ref, Piece:
		if !strings.Contains(delimiter, "|") { // CDK joins lists by it
			return text, delimiter
		}
	}
	return r.cut(path, delimiter, text), ""
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
	case Ref, Piece, Text:
		return fmt.Sprintf("%v, which is only known after the deployment", value)
	}
	return fmt.Sprintf("%v", value)
}

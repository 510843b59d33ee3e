package assembly

import (
	"maps"
	"slices"
	"strings"
)

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
	if len(producers) == 0 {
		r.fail(path, "there is no stack %q in the assembly", stackName)
	}
	if len(producers) > 1 {
		r.fail(path, "the assembly has %d stacks %q, and which is meant depends on the deployment", len(producers), stackName)
	}
	output := producers[0].Outputs[outputName]
	if output == nil {
		r.fail(path, "stack %q has no output %q", stackName, outputName)
	}
	return r.output(path, output)
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

func (r *resolver) output(path string, output *Output) any {
	at := r.elsewhere(output.Stack, output.LogicalID)
	if output.Condition != "" && !at.namedCondition("Condition", output.Condition) {
		r.fail(path, "output %q of stack %q is left out: its condition %q does not hold", output.LogicalID, output.Stack.Name, output.Condition)
	}
	return at.value("Value", output.Value)
}

// mayEqual compares two accounts or regions, either of which may be left to the deployment.
func mayEqual(a, b string) bool { return a == b || a == "" || b == "" }

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

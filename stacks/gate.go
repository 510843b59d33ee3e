package stacks

import (
	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsssm"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"

	"cutover/config"
)

// The interlock between the phases: see [migration.State]. The Gate stack is
// deployed first, and the Phase stack last. The Gate claims the new state twice:
//   - under the names that Phase has blocked when the last deployment was complete;
//   - under the names that Gate has blocked when the last deployment began.
//
// A parameter's name can exist only once. So CloudFormation itself refuses a phase
// out of turn, in the Gate stack, before anything with traffic changes.
const reached, begun = "reached", "begun"

// newGate adds the first stack of every deployment.
func newGate(scope constructs.Construct, s config.Settings) awscdk.Stack {
	stack := newStack(scope, s, gateStack, "Refuses a phase that does not follow the deployed one", nil)
	if !s.Gate {
		// A stack needs a resource. This name is never blocked.
		newState(stack, s, "GateIsOff", begun, "off", "The gate is off: nothing is refused")
		return stack
	}
	// CloudFormation prints the id when it refuses, so the id is the sentence that is false then.
	for _, state := range s.State().Claims() {
		newState(stack, s, config.Pascal(state)+"FollowsTheDeployedPhase", reached, state, "Claimed by the deployment")
		newState(stack, s, config.Pascal(state)+"FollowsTheBegunPhase", begun, state, "Claimed by the deployment")
	}
	newBlocks(stack, s, begun)
	return stack
}

// newPhase adds the last stack of every deployment.
func newPhase(scope constructs.Construct, s config.Settings) awscdk.Stack {
	stack := newStack(scope, s, phaseStack, "The phase that is deployed, and what must not follow it", nil)
	awsssm.NewCfnParameter(stack, jsii.String("Parameter"), &awsssm.CfnParameterProps{
		Name:        jsii.String(phaseParameter(s)),
		Type:        jsii.String("String"),
		Value:       jsii.String(s.Phase.String()),
		Description: jsii.String("The phase of the migration that is deployed"),
	})
	output(stack, "Phase", "The phase of the migration that is deployed", jsii.String(s.Phase.String()))
	newBlocks(stack, s, reached)
	return stack
}

// newBlocks holds the names of the states that must not follow.
func newBlocks(stack awscdk.Stack, s config.Settings, after string) {
	for _, state := range s.State().Blocks() {
		newState(stack, s, "NotNextTo"+config.Pascal(state), after, state, "Must not follow this phase")
	}
}

func newState(stack awscdk.Stack, s config.Settings, id, after, state, description string) {
	awsssm.NewCfnParameter(stack, jsii.String(id), &awsssm.CfnParameterProps{
		Name:        jsii.String(stateParameter(s, after, state)),
		Type:        jsii.String("String"),
		Value:       jsii.String(state),
		Description: jsii.String(description),
	})
}

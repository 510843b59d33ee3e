package stacks

import (
	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsssm"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"

	"cutover/internal/config"
	"cutover/internal/migration"
)

// The interlock between the phases: see [migration.Claims]. The Gate stack is
// deployed first and claims the new state; the Phase stack is deployed last and
// holds the states that must not come next. A parameter's name can exist once,
// so CloudFormation itself refuses a phase out of turn, in the Gate stack and
// before anything that carries traffic is touched.

// newGate adds the first stack of every deployment.
func newGate(scope constructs.Construct, s config.Settings) awscdk.Stack {
	stack := newStack(scope, s, gateStack, "Refuses a phase that does not follow the deployed one", nil)
	if !s.Gate {
		// A stack needs a resource. This name is never blocked.
		newState(stack, s, "GateIsOff", "off", "The gate is off: nothing is refused")
		return stack
	}
	for _, state := range migration.Claims(s.Phase, s.Shift) {
		// What CloudFormation prints when it refuses is this id: it should read as
		// what does not hold.
		newState(stack, s, pascal(state)+"FollowsTheDeployedPhase", state, "Claimed by the deployment")
	}
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
	for _, state := range migration.Blocks(s.Phase) {
		newState(stack, s, "Block"+pascal(state), state, "Must not follow the deployed phase")
	}
	return stack
}

func newState(stack awscdk.Stack, s config.Settings, id, state, description string) {
	awsssm.NewCfnParameter(stack, jsii.String(id), &awsssm.CfnParameterProps{
		Name:        jsii.String(stateParameter(s, state)),
		Type:        jsii.String("String"),
		Value:       jsii.String(state),
		Description: jsii.String(description),
	})
}

package stacks

import (
	"slices"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsssm"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"

	"cutover/config"
	"cutover/migration"
)

// newGate adds the first stacks of every deployment: one, and one for each further load balancer if
// services have places of their own. They refuse a phase that does not follow the deployed one: see
// [migration.Lock].
func newGate(scope constructs.Construct, s config.Settings, locks []migration.Lock) []awscdk.Stack {
	var gates []awscdk.Stack
	for _, lock := range locks {
		stack := newStack(scope, s, gateStack+config.Pascal(lock.Balancer), "Refuses a phase that does not follow the deployed one", nil)
		if !s.Gate {
			// A stack needs a resource. This name is never blocked.
			addParameters(stack, s, []migration.Parameter{{ID: "GateIsOff", Name: migration.GateOff(lock.Balancer), Value: "off", Description: "The gate is off: nothing is refused"}})
		} else {
			addParameters(stack, s, ofScheme(s, lock.Gate))
			if s.Internal && lock.Balancer == "" {
				addParameters(stack, s, migration.NotInternetFacing())
			}
		}
		gates = append(gates, stack)
	}
	return gates
}

// newPhase adds the last stacks of every deployment, as many as [newGate].
func newPhase(scope constructs.Construct, s config.Settings, locks []migration.Lock) []awscdk.Stack {
	var phases []awscdk.Stack
	for _, lock := range locks {
		stack := newStack(scope, s, phaseStack+config.Pascal(lock.Balancer), "The phase that is deployed, and what must not follow it", nil)
		addParameters(stack, s, ofScheme(s, lock.Last))
		if lock.Balancer == "" {
			if s.Internal {
				addParameters(stack, s, []migration.Parameter{{ID: "Scheme", Name: config.SchemeParameter, Value: config.Internal, Description: "The load balancers have addresses in the VPC only"}})
			}
			output(stack, "Phase", "The phase of the migration that is deployed", jsii.String(s.Phase.String()))
		}
		phases = append(phases, stack)
	}
	return phases
}

// ofScheme gives parameters the names that they have with the load balancers' scheme.
func ofScheme(s config.Settings, parameters []migration.Parameter) []migration.Parameter {
	parameters = slices.Clone(parameters)
	for i := range parameters {
		if s.Internal {
			parameters[i].Name = migration.Internal(parameters[i].Name)
		}
	}
	return parameters
}

func addParameters(stack awscdk.Stack, s config.Settings, parameters []migration.Parameter) {
	for _, p := range parameters {
		props := &awsssm.CfnParameterProps{
			Name:        jsii.String("/" + s.Env + "/" + p.Name),
			Type:        jsii.String("String"),
			Value:       jsii.String(p.Value),
			Description: jsii.String(p.Description),
		}
		if p.ID == migration.PlacesID {
			props.Tier = jsii.String("Intelligent-Tiering") // advanced if it is long, and free otherwise
		}
		awsssm.NewCfnParameter(stack, jsii.String(p.ID), props)
	}
}

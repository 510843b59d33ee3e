package strangler

import (
	"maps"
	"slices"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsssm"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"

	"cutover/migration"
)

// GateProps are the properties of a [Gate].
type GateProps struct {
	// Migration whose places the gate watches. It has to be in the stack of the gate.
	Migration Migration `field:"required" json:"migration" yaml:"migration"`
	// ParameterPrefix begins the names of the gate's parameters, as in "/prod/shop". Each gate of an
	// account and region needs one of its own.
	//
	// Default: a slash and the name of the stack.
	//
	ParameterPrefix *string `field:"optional" json:"parameterPrefix" yaml:"parameterPrefix"`
}

// Gate refuses a deployment in which a service leaves a place out, forward or back: the service would
// get requests before its tasks run, or its tasks would stop while it gets requests. A service may go
// from "monolith" to "parallel", and from there to any share or to "switched". It comes back the same
// way. A new service may begin in any place.
//
// The deployment itself refuses, whoever starts it. The gate has SSM parameters, and the rules of the
// migration wait for them. Their names stand for places, and a name can exist only once. A place out of
// turn needs a name that the deployed place holds. So CloudFormation fails with the error AlreadyExists,
// and rolls the stack back before it has changed a rule or an ECS service. The logical id of the
// parameter says which place must not follow.
//
// See: https://docs.aws.amazon.com/systems-manager/latest/userguide/systems-manager-parameter-store.html
type Gate interface {
	constructs.Construct
}

// NewGate adds a [Gate] to the stack of its migration.
func NewGate(scope constructs.Construct, id *string, props *GateProps) Gate {
	g := constructs.NewConstruct(scope, id)
	w := wrong{construct: g}
	if props == nil {
		props = &GateProps{}
	}
	w.required("Migration", props.Migration)
	w.panicIfAny()
	stack := awscdk.Stack_Of(g)
	if of := awscdk.Stack_Of(props.Migration); *of.Node().Path() != *stack.Node().Path() {
		w.add("the migration is in the stack %s: the gate has to be there, too", *of.Node().Path())
		w.panicIfAny()
	}
	prefix := props.ParameterPrefix
	if prefix == nil {
		prefix = jsii.String("/" + *stack.StackName())
	}
	places := *props.Migration.Places()
	for _, service := range slices.Sorted(maps.Keys(places)) {
		var claim awsssm.StringParameter
		for _, p := range migration.Guard(service, w.place(service, places[service])) {
			parameter := awsssm.NewStringParameter(g, jsii.String(p.ID), &awsssm.StringParameterProps{
				ParameterName: jsii.String(*prefix + "/" + p.Name),
				StringValue:   jsii.String(p.Value),
				Description:   jsii.String(p.Description),
				SimpleName:    jsii.Bool(false),
			})
			if claim == nil {
				claim = parameter
			} else { // so that CloudFormation's error is about the claim
				parameter.Node().AddDependency(claim)
			}
		}
	}
	w.panicIfAny()
	props.Migration.Node().AddDependency(g)
	return g
}

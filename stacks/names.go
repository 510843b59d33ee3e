package stacks

import (
	"fmt"

	"cutover/config"
)

// The names of this file are a contract with what is deployed: a stack or a
// construct that gets another name is replaced, and a parameter that gets
// another name is lost to whoever reads it.

// Stacks that are no service's, by the end of their names.
const (
	gateStack     = "Gate"
	networkStack  = "Network"
	registryStack = "Registry"
	clusterStack  = "Cluster"
	routingStack  = "Routing"
	phaseStack    = "Phase"
	watchStack    = "Watch"
)

// stackName is the full name of a stack: the environment and the part.
func stackName(s config.Settings, part string) string {
	return s.Env + "-" + part
}

// routingOf is the stack of a load balancer, "Routing" for the first one.
func routingOf(balancer string) string {
	return routingStack + config.Pascal(balancer)
}

// phaseParameter is the SSM parameter that says which phase is deployed.
func phaseParameter(s config.Settings) string {
	return "/" + s.Env + "/phase"
}

// stateParameter is the SSM parameter that keeps a state to one holder, after a
// deployment that was begun or one that was reached.
func stateParameter(s config.Settings, after, state string) string {
	return fmt.Sprintf("/%s/phase-gate/%s/%s", s.Env, after, state)
}

// logGroup is the name of a service's log group.
func logGroup(s config.Settings, service string) string {
	return "/ecs/" + s.Name(service)
}

// alarmName is the name of an alarm, at one of several load balancers if it says
// which. It is given, so that the dashboard can show an alarm that it knows no value
// of: those of a stack are limited. Those that compare services have the names of the
// canary package.
func alarmName(s config.Settings, about, balancer string) string {
	if balancer != "" {
		about += "-at-" + balancer
	}
	return s.Env + "-" + about
}

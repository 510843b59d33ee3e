package stacks

import (
	"cmp"

	"cutover/config"
)

// The names of this file are a contract with deployed stacks. A stack or a construct with another
// name is replaced. Readers of a parameter with another name do not find it.

// The ends of the names of stacks that belong to no service.
const (
	gateStack      = "Gate"
	networkStack   = "Network"
	registryStack  = "Registry"
	discoveryStack = "Discovery"
	clusterStack   = "Cluster"
	filesStack     = "Files"
	dataStack      = "Data"
	eventsStack    = "Events"
	relaysStack    = "Relays"
	brokerStack    = "Broker"
	zoneStack      = "Zone"
	routingStack   = "Routing"
	frontStack     = "Front"
	uiStack        = "Ui"
	// apiGatewayAccountStack outlives the environment.
	apiGatewayAccountStack = "ApiGatewayAccount"
	phaseStack             = "Phase"
	watchStack             = "Watch"
)

// stackName is the full name of a stack: environment and part.
func stackName(s config.Settings, part string) string {
	return s.Env + "-" + part
}

// routingOf is the stack of a load balancer: "Routing" for the first one.
func routingOf(balancer string) string {
	return routingStack + config.Pascal(balancer)
}

// domainMetadata is the key of a load balancer's metadata with the name by which clients reach it.
const domainMetadata = "cutover:domain"

// clusterOf is the name of the ECS cluster.
func clusterOf(s config.Settings) string { return cmp.Or(s.ClusterName, s.Env) }

// functionStack is the stack of a service's function.
func functionStack(service string) string { return config.Pascal(service) + "Function" }

// logGroup is the name of a service's log group.
func logGroup(s config.Settings, service string) string {
	return "/ecs/" + s.Name(service)
}

// functionLogGroup is the name of the log group of a pair on Lambda.
func functionLogGroup(s config.Settings, pair string) string { return "/aws/lambda/" + s.Name(pair) }

// alarmName is the name of an alarm. With a balancer, it is the alarm at one of several load
// balancers. Alarms have given names, so that the dashboard needs no outputs of their stacks, whose
// number is limited. Alarms that compare services have the names of the canary package.
func alarmName(s config.Settings, about, balancer string) string {
	if balancer != "" {
		about += "-at-" + balancer
	}
	return s.Env + "-" + about
}

// Package stacks renders a deployment as CDK stacks. It decides nothing about
// the migration: what a phase looks like comes from the migration package, what
// may be configured from the config package.
//
// A deployment has one stack for each part that changes for its own reason.
// Each is deployed after those it needs:
//
//	Gate                 refuses a phase that does not follow the deployed one
//	Network              VPC, and who may talk to whom in it
//	Registry             image repositories, one per service
//	Cluster              ECS cluster on EC2 instances         Network
//	Routing              load balancer, listeners, rules,     Gate, Network
//	                     target groups
//	Routing…             the same of a further load balancer  Gate, Network
//	Api, Users, …        one per service                      Cluster, Registry, its Routing;
//	                                                          the monolith's all of them
//	Phase                the phase that is deployed, and      every service
//	                     what must not follow it
//	Watch                dashboard, saved log queries         every service, every Routing
//
// With the settings for it, each Routing also has the bucket of the load balancer's
// access logs, the first one the topic that all alarms tell, and every service's
// stack its alarms, of which some compare it with the monolith and take a deployment
// of it back. Watch is there unless its setting is off.
//
// A cut-over touches the Routing stacks alone, apart from the two that keep the
// record; those of services that scale are deployed after it, when the traffic has
// moved, because the phase decides who has their counts (migration.Tasks). A service's
// stack may be deployed by itself.
//
// Values pass from stack to stack by weak references (Fn::GetStackOutput): the
// stack that reads one looks it up whenever it is deployed, and the stack that
// has it may change or drop it at any time. Nothing is exported, so a service can
// be added or removed without an "export is in use".
//
// What cdk-nag would report of a resource and is meant to be so is suppressed where
// the resource is made, with the reason.
//
// Names of stacks, resources, parameters and outputs are a contract; names.go has
// those that are chosen, and tests pin them.
package stacks

// Package stacks renders a deployment as CDK stacks. It decides nothing about the migration: the
// migration package defines the phases, and the config package the settings.
//
// A deployment has a stack for each part that changes for its own reason. CDK
// deploys a stack after the stacks that it needs:
//
//	Gate, Gate…          refuse a phase that does not follow the deployed one
//	Network              VPC, and who may talk to whom in it
//	Registry             image repositories, one per service
//	Cluster              ECS cluster on EC2 instances         Network
//	Routing              load balancer, listeners, rules,     Gate, Network
//	                     target groups
//	Routing…             the same of a further load balancer  Gate, Network
//	Data                 tables and databases of services,    Gate, Network; with alarms the
//	                     if there are any                     first Routing
//	Api, Users, …        one per service                      Cluster, Registry, its Routing;
//	                                                          the monolith's all of them
//	Phase, Phase…        the phase that is deployed, and      every service
//	                     what must not follow it
//	Watch                dashboard, saved log queries         every service, every Routing
//
// If services have places of their own, each further load balancer has a Gate and a Phase, too. Once
// the monolith is removed, its stack has its log group alone, and each Routing waits for it: the
// monolith's service goes before its target groups.
//
// Settings add resources:
//   - accessLogs: each Routing has a bucket for the load balancer's access logs;
//   - alarms: the first Routing has the topic of all alarms, and each service's stack
//     its alarms. Some alarms compare the service with the monolith, and roll a
//     deployment of the service back. The alarm of the database is in Data.
//
// Watch is there unless its setting is off.
//
// A cut-over changes the Routing stacks, and the stacks that keep the record. The stacks of
// services that scale follow when the traffic has moved, for the phase decides who sets their
// counts (migration.Tasks). A service's stack may be deployed by itself.
//
// Stacks pass values by weak references (Fn::GetStackOutput). The stack that reads a value looks it
// up at each deployment. The stack that has the value may change or drop it at any time. Nothing is
// exported, so nobody who adds or removes a service sees "export is in use".
//
// A finding of cdk-nag that is intended is suppressed beside the resource, with the reason.
//
// Names of stacks, resources, parameters and outputs are a contract. names.go has the
// chosen names, and tests pin them.
package stacks

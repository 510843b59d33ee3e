// Package strangler moves services out of a monolith that runs already, one by one, behind the load
// balancer that it has. Its constructs are used as those of aws-cdk-lib are:
//
//   - [Migration] adds a listener rule for each service.
//   - [Gate] refuses a place that does not follow the deployed one.
//   - [Service] is a service on Fargate, with its target group.
//
// A service is in one of these places. A deployment moves it to the next one, or back:
//
//	monolith  the monolith answers. The tasks of a [Service] do not run.
//	parallel  the monolith answers, and the service runs beside it.
//	10%       the service answers this share of its requests, the monolith the others.
//	switched  the service answers.
//
// Nothing of what exists is changed: neither the listener's default action and its other rules, nor the
// monolith and its target group.
//
// A construct that is used in a wrong way panics, as the constructs of aws-cdk-lib do. The message has
// the construct's path and all that is wrong.
package strangler

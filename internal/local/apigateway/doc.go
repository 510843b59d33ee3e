// Package apigateway stands for REST APIs of API Gateway on this machine. It listens at an address for each API, with the
// stage in the path as on AWS:
//
//	http://localhost:8081/live/api/users
//
// A request goes through these steps, in this order. What is decided without asking anybody is in plain functions.
//
//   - route.go: the resource and the method
//   - authorize.go: the signature, if the method asks for one
//   - validate.go: parameters and body, if the method has a validator
//   - throttle.go: the rate of the method
//   - cache.go: an answer that is kept
//   - proxy.go: the integration with a load balancer, HTTP_PROXY
//   - event.go: the integration with a function, AWS_PROXY
//
// What is not evaluated is refused by name, in honoured.go.
package apigateway

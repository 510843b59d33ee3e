package local

import (
	"maps"

	"cutover/internal/local/alb"
	"cutover/internal/local/apigateway"
	"cutover/internal/local/cloudfront"
	"cutover/internal/local/discovery"
	"cutover/internal/local/ecs"
	"cutover/internal/local/eventbridge"
	"cutover/internal/local/eventsource"
	"cutover/internal/local/lambda"
	"cutover/internal/local/provider"
	"cutover/internal/local/ssm"
)

// Status is a local deployment as it is at one moment.
type Status struct {
	// Deploying says that an assembly is being deployed.
	Deploying bool                 `json:"deploying"`
	Listeners []alb.ListenerStatus `json:"listeners"`
	Services  []ecs.ServiceStatus  `json:"services"`
	Groups    []alb.GroupStatus    `json:"targetGroups"`
	// Functions are those of Lambda that load balancers invoke.
	Functions []lambda.FunctionStatus `json:"functions,omitempty"`
	// EventSources are event source mappings of functions.
	EventSources []eventsource.Status `json:"eventSources,omitempty"`
	// APIs are the stages of REST APIs of API Gateway.
	APIs []apigateway.StageStatus `json:"apis,omitempty"`
	// Distributions are those of CloudFront.
	Distributions cloudfront.Status `json:"distributions,omitempty"`
	// Discovery has the names by which tasks find each other; nil if there are none.
	Discovery *discovery.Status `json:"discovery,omitempty"`
	// Parameters are the values of SSM parameters by name. A value that refers to other resources is
	// empty.
	Parameters ssm.Values `json:"parameters,omitempty"`
	// Stores are tables and databases that tasks keep data in.
	Stores []provider.StoreStatus `json:"stores,omitempty"`
	// Messaging has topics, queues and message brokers.
	Messaging []provider.MessageStatus `json:"messaging,omitempty"`
	// Schedules are those that start tasks.
	Schedules []eventbridge.Status `json:"schedules,omitempty"`
	// Others is the status of other kinds of resources.
	Others []any `json:"others,omitempty"`
	// Warnings say what decides about requests on AWS and is not evaluated here, and what never runs
	// on AWS, by place.
	Warnings []string `json:"warnings,omitempty"`
	// PassedOver are settings that have no effect here, although AWS heeds them.
	PassedOver []provider.PassedOver `json:"passedOver,omitempty"`
	// NotRun counts the resources without a provider, by type. They are deployed on AWS only.
	NotRun map[string]int `json:"notRun"`
}

// Status returns what runs.
func (r *Runner) Status() Status {
	status := Status{Deploying: r.deploying.Load(), NotRun: map[string]int{}}
	for _, p := range r.providers {
		switch one := p.Status().(type) {
		case nil:
		case alb.Status:
			status.Listeners, status.Groups = one.Listeners, one.Groups
		case discovery.Status:
			status.Discovery = &one
		case []ecs.ServiceStatus:
			status.Services = one
		case []eventbridge.Status:
			status.Schedules = one
		case []lambda.FunctionStatus:
			status.Functions = one
		case []eventsource.Status:
			status.EventSources = one
		case []apigateway.StageStatus:
			status.APIs = one
		case cloudfront.Status:
			status.Distributions = one
		case []provider.StoreStatus:
			status.Stores = append(status.Stores, one...)
		case []provider.MessageStatus:
			status.Messaging = append(status.Messaging, one...)
		case ssm.Values:
			status.Parameters = one
		default:
			status.Others = append(status.Others, one)
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	status.Warnings, status.PassedOver = r.warnings, r.over
	maps.Copy(status.NotRun, r.elsewhere)
	return status
}

// URL is where clients ask for a path on this machine. See [alb.Provider.URL].
func (r *Runner) URL(path string) string { return r.balancers.URL(path) }

// Package cost estimates what the templates of an assembly cost in a month, at list
// prices and without traffic. It says how much each service causes.
//
// The prices are in prices.json, with their date, region and sources. Package model says
// which prices a type of resources has.
package cost

import (
	"fmt"
	"maps"
	"slices"

	"cutover/internal/model"
)

// Estimate is what one environment costs in a month.
type Estimate struct {
	// Environment is the resources' tag "environment". It is empty without the tag.
	Environment string `json:"environment"`
	// Lines say what is paid for. They add up to Total.
	Lines []Line `json:"lines"`
	// Services say who causes the cost. They add up to Total. The last one is [Shared].
	Services []Service `json:"services"`
	Total    Cents     `json:"total"`
	// Traffic are the prices that depend on traffic, which is not in Total.
	Traffic []string `json:"traffic,omitempty"`
	// Calls say what services pay for finding and calling each other: what of Total, and what by traffic.
	Calls []string `json:"calls,omitempty"`
	// Functions say of each function what its requests cost, and above how many a task costs less.
	Functions []string `json:"functions,omitempty"`
	// Events say what a million events cost at topics, relays and queues, and what a month costs more for them.
	Events []string `json:"events,omitempty"`
	// Fronts say what a million requests cost before the load balancer, and without a front.
	Fronts []string `json:"fronts,omitempty"`
	// Unpriced is what is missing in Total, with its number: mostly types without a known price.
	Unpriced []string `json:"unpriced,omitempty"`
	// Unknown are values that cannot be read before a deployment, with their places. The estimate
	// has their defaults instead.
	Unknown []string `json:"unknown,omitempty"`
}

// Line is one kind of thing that is paid for.
type Line struct {
	// Name is what is paid for, without its number, like "instance t3.small".
	Name string `json:"name"`
	// Item is what is paid for, with its number.
	Item string `json:"item"`
	// Price is the number of units and the price of one.
	Price  string `json:"price"`
	Amount Cents  `json:"amount"`
}

// Service is what a service causes: the resources with its name in their tag "service", and a share
// of the instances and their volumes, by its tasks' CPU or memory (whichever is more).
type Service struct {
	Name   string  `json:"name"`
	Tasks  int     `json:"tasks"`
	Share  float64 `json:"share"` // of the instances, from 0 to 1
	Amount Cents   `json:"amount"`
}

// Shared is the [Service] for the rest: load balancer, network, and what no task reserves.
const Shared = "shared"

// Prices are prices in US dollars besides those of the list, or in their place: of an instance type
// or a task on Fargate ([Line.Name]) for an hour, of a volume type for a GB and month, of anything else for
// one and a month, by the name that [Estimate.Unpriced] has for it.
type Prices map[string]float64

// Read estimates by [ReadAt] at the prices of the list.
func Read(m *model.Model) ([]Estimate, error) { return ReadAt(m, nil) }

// ReadAt estimates the environments of an assembly, in the order of their names. What has no price is
// listed. The error names prices of one's own that nothing in the assembly has.
func ReadAt(m *model.Model, own Prices) ([]Estimate, error) {
	environments := map[string]*environment{}
	used := map[string]bool{}
	for _, stack := range m.Assembly.Stacks {
		for _, resource := range stack.Resources {
			exists, err := resource.Exists(m.Assembly)
			if err == nil && !exists {
				continue
			}
			name := model.Tag(resource, "environment")
			e := environments[name]
			if e == nil {
				e = &environment{name: name, own: own, used: used, unpriced: map[string]int{}, traffic: map[string]bool{}}
				environments[name] = e
			}
			e.note(stack.Macros(), err, e.add(m, resource))
		}
	}
	// Some resources take no tags. They belong to the environment if there is only one.
	if untagged := environments[""]; untagged != nil && len(environments) == 2 {
		delete(environments, "")
		for _, e := range environments {
			e.merge(untagged)
		}
	}
	var estimates []Estimate
	for _, name := range slices.Sorted(maps.Keys(environments)) {
		estimate := environments[name].estimate()
		estimate.Events = events(m, name)
		estimates = append(estimates, estimate)
	}
	for _, name := range slices.Sorted(maps.Keys(own)) {
		if !used[name] {
			return estimates, fmt.Errorf("a price is given for %q, and nothing in the assembly has that price: name an instance type, a volume type, a task on Fargate as in its line, or what is listed as not in the estimate", name)
		}
	}
	return estimates, nil
}

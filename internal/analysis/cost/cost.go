// Package cost estimates what the templates of an assembly cost in a month: at
// list prices, without traffic, and how much of it each service causes.
//
// The prices are in prices.json, with their date, region and sources. Which prices a
// type of resources has, package model says.
package cost

import (
	"maps"
	"slices"

	"cutover/internal/assembly"
	"cutover/internal/model"
)

// Estimate is what one environment costs in a month.
type Estimate struct {
	// Environment is what the tag "environment" of its resources says; empty for
	// those without one.
	Environment string `json:"environment"`
	// Lines are what is paid for, and add up to Total.
	Lines []Line `json:"lines"`
	// Services are who causes it, and add up to Total. The last one is [Shared].
	Services []Service `json:"services"`
	Total    Cents     `json:"total"`
	// Traffic are the prices of what only traffic tells the amount of.
	Traffic []string `json:"traffic,omitempty"`
	// Unpriced is what else there is, with its number: mostly types of resources of
	// which nothing is known here.
	Unpriced []string `json:"unpriced,omitempty"`
}

// Line is one kind of thing that is paid for.
type Line struct {
	// Name is what it is, without its number, as in "instance t3.small".
	Name string `json:"name"`
	// Item is what it is, with its number.
	Item string `json:"item"`
	// Price is how the amount comes about.
	Price  string `json:"price"`
	Amount Cents  `json:"amount"`
}

// Service is the part that one service causes: the resources that have its name
// in their tag "service", and its share of the instances and their volumes. The
// share is that of the CPU or of the memory that its tasks reserve, whichever is
// larger.
type Service struct {
	Name   string  `json:"name"`
	Tasks  int     `json:"tasks"`
	Share  float64 `json:"share"` // of the instances, from 0 to 1
	Amount Cents   `json:"amount"`
}

// Shared is the name of the [Service] for what no service causes by itself: the
// load balancer, the network, and the part of the instances that no task reserves.
const Shared = "shared"

// Read estimates the environments of an assembly, in the order of their names.
// Its error has a line for everything whose price is not known but belongs in the
// estimate, such as an instance type.
func Read(m *model.Model) ([]Estimate, error) {
	environments := map[string]*environment{}
	var errs []error
	for _, stack := range m.Assembly.Stacks {
		for _, resource := range stack.Resources {
			exists, err := resource.Exists(m.Assembly)
			if err != nil {
				return nil, err
			}
			if !exists {
				continue
			}
			name := model.Tag(resource, "environment")
			e := environments[name]
			if e == nil {
				e = &environment{name: name, unpriced: map[string]int{}, traffic: map[string]bool{}}
				environments[name] = e
			}
			errs = append(errs, e.add(m, resource))
		}
	}
	// Resources that take no tags are part of an environment that is there.
	if untagged := environments[""]; untagged != nil && len(environments) == 2 {
		delete(environments, "")
		for _, e := range environments {
			e.merge(untagged)
		}
	}
	var estimates []Estimate
	for _, name := range slices.Sorted(maps.Keys(environments)) {
		estimates = append(estimates, environments[name].estimate())
	}
	return estimates, assembly.Join(errs...)
}

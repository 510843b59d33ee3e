package main

import (
	"slices"

	"cutover/config"
	"cutover/internal/listing"
	"cutover/migration"
)

// rootRoutes returns the paths that a service of the first load balancer keeps from the monolith by
// the setting rootService, as the list beside an assembly says. There are none without a list, or if
// --route names the routes.
func (o *rehearse) rootRoutes(assembly string) []string {
	list, err := listing.Read(assembly)
	if len(o.routes) > 0 || err != nil || !slices.ContainsFunc(list.Services, func(s config.Service) bool { return s.Name == list.RootService && s.LoadBalancer == "" }) {
		return nil
	}
	return migration.RootPaths(list.Monolith.Paths)
}

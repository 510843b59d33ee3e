package main

import (
	"slices"
	"strings"

	"cutover/config"
	"cutover/internal/listing"
	"cutover/migration"
)

// defaultRoutes returns what to request without --route, as the list beside an assembly says: its
// requests, or else the beginning of each path pattern of the services. With them come the root paths
// that a service keeps from the monolith by the setting rootService. All are of the first load
// balancer, which a rehearsal asks. There are none without a list.
func defaultRoutes(assembly string) []string {
	list, err := listing.Read(assembly)
	if err != nil {
		return nil
	}
	routes := list.Requests
	if len(routes) == 0 {
		for _, service := range list.Migration().Services {
			for _, route := range service.Routes {
				if service.LoadBalancer == "" {
					routes = append(routes, beginnings(route.Match)...)
				}
			}
		}
	}
	if slices.ContainsFunc(list.Services, func(s config.Service) bool { return s.Name == list.RootService && s.LoadBalancer == "" }) {
		routes = append(routes, migration.RootPaths(list.Monolith.Paths)...)
	}
	var once []string
	for _, route := range routes {
		if !slices.Contains(once, route) {
			once = append(once, route)
		}
	}
	return once
}

// beginnings are the path patterns of a route up to their first wildcard. A request without headers, a
// query and a host of its own does not meet a route with such conditions.
func beginnings(m migration.Match) (paths []string) {
	if len(m.Hosts)+len(m.Headers)+len(m.Query) > 0 || len(m.Methods) > 0 && !slices.Contains(m.Methods, "GET") {
		return nil
	}
	for _, path := range m.Paths {
		if i := strings.IndexAny(path, "*?"); i >= 0 {
			path = path[:i]
		}
		if path != "" && path != "/" {
			paths = append(paths, path)
		}
	}
	return paths
}

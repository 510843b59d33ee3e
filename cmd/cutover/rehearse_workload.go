package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"cutover/config"
	"cutover/internal/listing"
	"cutover/internal/rehearsal"
	"cutover/internal/rehearsal/workload"
	"cutover/migration"
)

// asking has the flags about what a rehearsal requests, and how it compares the answers.
type asking struct {
	paths         []string
	files         []string
	writes        bool
	compare       string
	ignoreHeaders []string
	ignoreJSON    []string
	ignoreBodies  []string
}

func (a *asking) flags(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringSliceVar(&a.paths, "route", nil, "`PATHS` to request (default: the requests of the list of services, or else the beginnings of its paths)")
	flags.StringArrayVar(&a.files, "routes", nil, "send the requests of this routes `FILE`, in YAML")
	flags.BoolVar(&a.writes, "writes", false, "also send requests that may change something, such as POST")
	flags.StringVar(&a.compare, "compare", "bytes", "how to compare bodies: bytes or json")
	flags.StringSliceVar(&a.ignoreHeaders, "ignore-header", nil, "do not compare the headers of these `NAMES`")
	flags.StringArrayVar(&a.ignoreJSON, "ignore-json", nil, "do not compare what this JSON `PATH` selects, as $.generatedAt")
	flags.StringSliceVar(&a.ignoreBodies, "ignore-body", nil, "do not compare the bodies of these `PATHS`, which may have * and ?")
}

// given says whether a flag names what to request.
func (a *asking) given() bool { return len(a.paths)+len(a.files) > 0 }

// options are those of all requests.
func (a *asking) options() (o workload.Options, err error) {
	if a.compare != "json" && a.compare != "bytes" && a.compare != "" {
		return o, fmt.Errorf("--compare %s: choose from bytes, json", a.compare)
	}
	o = workload.Options{Writes: a.writes, JSON: a.compare == "json", Ignore: workload.Ignore{Headers: a.ignoreHeaders, Bodies: a.ignoreBodies}}
	if o.Ignore.JSON, err = workload.ParseJSONPaths(a.ignoreJSON); err != nil {
		err = fmt.Errorf("--ignore-json: %w", err)
	}
	return o, err
}

// workload is what the flags name.
func (a *asking) workload() (rehearsal.Workload, error) {
	o, err := a.options()
	if err != nil || !a.given() {
		return rehearsal.Workload{}, err
	}
	b := workload.New(o)
	b.Paths(a.paths)
	var errs []error
	for _, file := range a.files {
		errs = append(errs, b.File(file))
	}
	if err := errors.Join(errs...); err != nil {
		return rehearsal.Workload{}, fmt.Errorf("--routes:\n%w", err)
	}
	return b.Build(strings.Join(a.files, ", "))
}

// defaultWorkload is what an assembly says, if no flag names anything.
func (a *asking) defaultWorkload(assembly string) (rehearsal.Workload, error) {
	o, err := a.options()
	if err != nil {
		return rehearsal.Workload{}, err
	}
	paths, about := defaultRoutes(assembly)
	if len(paths) == 0 {
		return rehearsal.Workload{}, errors.New("the list of services has nothing to request: name paths with --route or --routes, or in Requests of the list")
	}
	b := workload.New(o)
	b.Paths(paths)
	return b.Build(about)
}

// defaultRoutes returns what to request without --route, as the list beside an assembly says: its
// requests, or else the beginning of each path pattern of the services. With them come the root paths
// that a service keeps from the monolith by the setting rootService. All are of the first load
// balancer, which a rehearsal asks. There are none without a list. If nobody has chosen the requests, the second
// result says so.
func defaultRoutes(assembly string) (paths []string, about string) {
	list, err := listing.Read(assembly)
	if err != nil {
		return nil, ""
	}
	routes := list.Requests
	if len(routes) == 0 {
		about = "the beginnings of the services' paths, because the list of services names no requests"
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
	return once, about
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

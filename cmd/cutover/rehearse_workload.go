package main

import (
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"cutover/config"
	"cutover/internal/assembly"
	"cutover/internal/listing"
	"cutover/internal/model"
	"cutover/internal/rehearsal"
	"cutover/internal/rehearsal/workload"
	"cutover/internal/rules"
	"cutover/migration"
)

// asking has the flags about what a rehearsal requests, and how it compares the answers.
type asking struct {
	paths         []string
	files         []string
	headers       []string
	hosts         []string
	writes        bool
	compare       string
	ignoreHeaders []string
	ignoreJSON    []string
	ignoreBodies  []string

	named *rehearsal.Workload // what the flags name, once it is read
}

func (a *asking) flags(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringSliceVar(&a.paths, "route", nil, "`PATHS` to request (default: the requests of the list of services, or else some that meet its rules)")
	flags.StringArrayVar(&a.files, "routes", nil, "send the requests of this `FILE`: a routes file, a recording (HAR) or an OpenAPI 3 document")
	flags.StringArrayVar(&a.headers, "header", nil, "send this `HEADER` with each request that does not have its own, as 'Authorization: Bearer abc'")
	flags.StringSliceVar(&a.hosts, "recorded-host", nil, "send the requests of a recording to these `HOSTS` (default: that of its first request)")
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
		return o, fmt.Errorf("--ignore-json: %w", err)
	}
	o.Hosts, o.Header = a.hosts, http.Header{}
	for _, header := range a.headers {
		name, value, ok := strings.Cut(header, ":")
		if !ok || name == "" {
			return o, fmt.Errorf("--header %q: must be a name and a value, as in 'X-Tenant: blue'", header)
		}
		o.Header.Add(name, strings.TrimSpace(value))
	}
	if len(a.hosts) > 0 && len(a.files) == 0 {
		return o, errors.New("--recorded-host is for recordings: name one with --routes")
	}
	return o, nil
}

// workload is what the flags name. Files are read once: they may be large, or pipes.
func (a *asking) workload() (rehearsal.Workload, error) {
	if a.named != nil {
		return *a.named, nil
	}
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
	w, err := b.Build(strings.Join(a.files, ", "))
	if err == nil {
		a.named = &w
	}
	return w, err
}

// defaultWorkload is what the assemblies of the walk say, if no flag names anything.
func (a *asking) defaultWorkload(assemblies []string) (rehearsal.Workload, error) {
	o, err := a.options()
	if err != nil {
		return rehearsal.Workload{}, err
	}
	b := workload.New(o)
	about, err := addDefaults(b, assemblies)
	if err != nil {
		return rehearsal.Workload{}, err
	}
	w, err := b.Build(about)
	if err != nil {
		err = fmt.Errorf("%w: name paths with --route, or a file with --routes", err)
	}
	return w, err
}

// addDefaults adds what to request without --route and --routes. If nobody has chosen the requests, the text says so.
func addDefaults(b *workload.Builder, assemblies []string) (about string, err error) {
	list, err := listing.Read(assemblies[0])
	if errors.Is(err, fs.ErrNotExist) {
		return "one request for each path of the listener rules, because nothing else says what to request", derive(b, assemblies)
	}
	if err != nil {
		return "", err
	}
	return addListed(b, list)
}

// addListed adds what the list of services says: its routes file if services have stores, its requests, or else one for
// each path pattern of the services. With them come the root paths that a service keeps from the monolith by the setting
// rootService. All are of the first load balancer.
func addListed(b *workload.Builder, list listing.List) (about string, err error) {
	switch {
	case list.StoreRoutes != "":
		b.Writes, about = true, list.StoreRoutes
		err = b.File(list.StoreRoutes)
		if err == nil && list.EventRoutes != "" {
			about += ", " + list.EventRoutes
			err = b.File(list.EventRoutes)
		}
	case len(list.Requests) > 0:
		b.Paths(list.Requests)
	default:
		about = "one request for each path of the services, because the list of services names no requests"
		for _, service := range list.Migration().Services {
			for _, route := range service.Routes {
				if service.LoadBalancer == "" {
					b.Meet(route.Match)
				}
			}
		}
	}
	if slices.ContainsFunc(list.Services, func(s config.Service) bool { return s.Name == list.RootService && s.LoadBalancer == "" }) {
		for _, path := range migration.RootPaths(list.Monolith.Paths) {
			b.Meet(migration.Match{Paths: []string{path}})
		}
	}
	return about, err
}

// derive adds what the rules of the assemblies say.
func derive(b *workload.Builder, assemblies []string) error {
	var tables []*rules.Table
	var groups map[string]bool // that have somebody to answer in the first phase
	for i, dir := range assemblies {
		a, err := assembly.Read(dir)
		if err != nil {
			return err
		}
		m := model.Read(a)
		table, err := rules.Build(m)
		if err != nil {
			return err
		}
		tables = append(tables, table.Fronted(m))
		if i == 0 {
			groups = (&phaseRules{Model: m}).peopled()
		}
	}
	b.Derive(tables, func(rule *rules.Rule) (n int) {
		if fixed := rule.Action.FixedResponse; rule.Action.Redirect != nil || fixed != nil && fixed.StatusCode < 500 {
			return 1 // the load balancer itself
		}
		for _, to := range rule.Action.Forward {
			if to.Weight > 0 && groups[to.TargetGroup.Key()] {
				n++
			}
		}
		return n
	})
	return nil
}

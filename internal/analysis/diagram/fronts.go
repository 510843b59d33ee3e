package diagram

import (
	"slices"
	"strings"

	"cutover/internal/model"
	"cutover/internal/rules"
)

// fronts adds CloudFront and API Gateway, and where they send requests.
func (d *drawing) fronts(m *model.Model, table *rules.Table) {
	behind := map[string]bool{} // APIs behind a distribution, by key
	for _, distribution := range m.Distributions {
		d.add(distribution.Resource.Stack.Name, distribution.Key(), "CloudFront", "[", "]")
		d.connect(client, distribution.Key(), "")
		patterns := map[string][]string{} // by what is behind
		var order []string
		for _, b := range distribution.Behaviors {
			if b.Origin == nil {
				continue
			}
			to := ""
			switch o := b.Origin; {
			case o.Bucket != nil:
				to = o.Bucket.Key()
				d.add(o.Bucket.Resource.Stack.Name, to, "page", "[(", ")]")
			case o.API != nil:
				to = o.API.Key()
				behind[to] = true
			case o.LoadBalancer != nil:
				to = listener(table, o.LoadBalancer, map[string]int{"https-only": o.HTTPSPort}[o.Protocol], o.HTTPPort)
			}
			if to == "" {
				continue // somebody else's
			}
			if !slices.Contains(order, to) {
				order = append(order, to)
			}
			if b.Pattern == "*" {
				patterns[to] = append(patterns[to], "else")
			} else {
				patterns[to] = append(patterns[to], b.Pattern)
			}
		}
		for _, to := range order {
			d.connect(distribution.Key(), to, strings.Join(patterns[to], " or "))
		}
	}
	for _, api := range m.RestAPIs {
		d.api(m, table, api, behind[api.Key()])
	}
}

// api adds a REST API. Behind a distribution, only those call the API itself who sign their requests: a signature is for the API's name.
func (d *drawing) api(m *model.Model, table *rules.Table, api *model.RestAPI, behind bool) {
	n := d.add(api.Resource.Stack.Name, api.Key(), "API Gateway", "[", "]")
	if len(n.with) == 0 {
		for _, stage := range m.APIStages {
			if stage.API == api {
				n.with = append(n.with, "stage "+stage.Name)
				if stage.CacheGB != "" {
					n.with = append(n.with, "with a cache")
				}
			}
		}
	}
	signed := slices.ContainsFunc(api.Methods, func(a *model.APIMethod) bool { return a.Authorization != "NONE" })
	switch {
	case !behind:
		d.connect(client, api.Key(), "")
	case signed:
		d.connect(client, api.Key(), "signed requests")
	}
	for _, method := range api.Methods {
		i := method.Integration
		if to := listener(table, i.Target, i.Port); to != "" {
			d.connect(api.Key(), to, map[bool]string{true: "VPC link"}[i.Link != nil])
		}
		if f := m.FunctionTarget(i.Function).Function; f != nil {
			d.add(f.Resource.Stack.Name, f.Key(), "Lambda function "+f.Name, "[", "]")
			d.connect(api.Key(), f.Key(), "")
		}
	}
}

// listener is the key of the listener of a load balancer at the first of some ports that is not 0; empty if there is none.
func listener(table *rules.Table, lb *model.LoadBalancer, ports ...int) string {
	for _, port := range ports {
		for _, l := range table.Listeners {
			if lb != nil && l.LoadBalancer == lb && l.Port == port {
				return l.Key()
			}
		}
	}
	return ""
}

package provider

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"cutover/internal/rules"
	"cutover/internal/words"
)

// Front takes requests of clients before a load balancer, and sends them on: a stage of API Gateway, a distribution of
// CloudFront. It does not change.
type Front interface {
	// Key is the key of the resource, "stack/logical id".
	Key() string
	// Name is as in "API Gateway forum, stage live".
	Name() string
	// URL is where clients ask on this machine, without a path; empty if the front does not run.
	URL() string
	// Base is the beginning of each path, as in "/live"; empty if there is none.
	Base() string
	// Leads has the keys of all resources that requests may go to: other fronts, load balancers, functions, buckets.
	Leads() []string
	// Hop says what the front does with a request, without sending it.
	Hop(request rules.Request) Hop
}

// Fronted is a provider that has fronts. Its fronts are those that run now.
type Fronted interface{ Fronts() []Front }

// Hop is what a front does with a request, and why.
type Hop struct {
	// By is the front. [Hops] sets it.
	By Front `json:"-"`
	// Front is the name of the front, and Request is "METHOD PATH?QUERY" as the front gets it.
	Front   string `json:"front"`
	Request string `json:"request"`
	// Does says what the front does, as in "sends it to the load balancer dev-Routing/LoadBalancer".
	Does string `json:"does"`
	// Why has a line for each thing that decides.
	Why []string `json:"why"`
	// Signed says that the front takes the request with a signature for its own name alone.
	Signed bool `json:"signed,omitempty"`
	// Next is the key of the resource that the request goes to; empty if the front answers.
	Next string `json:"next,omitempty"`
	// Sent is the request as Next gets it. Its port is that of the template.
	Sent rules.Request `json:"-"`
}

// Outermost are the fronts that no other one leads to.
func Outermost(fronts []Front) []Front {
	return slices.DeleteFunc(slices.Clone(fronts), func(f Front) bool {
		return slices.ContainsFunc(fronts, func(other Front) bool { return slices.Contains(other.Leads(), f.Key()) })
	})
}

// Hops are the hops of a request from its first front on. The last hop has the resource that is no front.
func Hops(fronts []Front, first Front, request rules.Request) (hops []Hop) {
	for at := first; len(hops) <= len(fronts); {
		hop := at.Hop(request)
		hop.By = at
		hops = append(hops, hop)
		i := slices.IndexFunc(fronts, func(f Front) bool { return f.Key() == hop.Next })
		if i < 0 {
			break
		}
		at, request = fronts[i], hop.Sent
	}
	return hops
}

// RawURL is a URL whose path and query are sent as they are.
func RawURL(scheme, host, path, query string) *url.URL {
	u := &url.URL{Scheme: scheme, Host: host, RawQuery: query}
	decoded, err := url.PathUnescape(path)
	if u.Path, u.RawPath = decoded, path; err != nil || u.EscapedPath() != path {
		u.Path, u.RawPath, u.Opaque = "", "", path
		if strings.HasPrefix(path, "//") {
			u.Opaque = "//" + host + path
		}
	}
	return u
}

// OldAnswers warns that a front still answers out of its cache from before a deployment of a stack, until a time: they may be
// answers of a service that does not answer any more.
func OldAnswers(stack, front string, answers int, now, until time.Time) Event {
	return Event{
		Time: now, Kind: "stack", Subject: stack, State: Warning,
		Message: fmt.Sprintf("%s answers from before the deployment out of its cache: %s, for up to %s more", front, words.Count(answers, "answer"), until.Sub(now).Round(time.Second)),
	}
}

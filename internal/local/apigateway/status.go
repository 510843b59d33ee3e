package apigateway

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"cutover/internal/local/provider"
)

// StageStatus is a stage as it is at one moment.
type StageStatus struct {
	// API is the name of the API, and Stage that of the stage.
	API   string `json:"api"`
	Stage string `json:"stage"`
	// URL is where clients ask, with the stage.
	URL string `json:"url"`
	// Deployment is the logical id of the deployment that the stage has.
	Deployment string        `json:"deployment"`
	Routes     []RouteStatus `json:"routes"`
	Counts
	// CacheEntries is how many answers are kept.
	CacheEntries int `json:"cacheEntries"`
	// Half of the answers took at most P50, and 99 of 100 at most P99; 0 without answers.
	P50 time.Duration `json:"p50Nanoseconds"`
	P99 time.Duration `json:"p99Nanoseconds"`
	// Credentials is the file with the credentials of a user who may invoke the API; empty if no method asks for a
	// signature.
	Credentials string `json:"credentials,omitempty"`
}

// RouteStatus is a resource with one of its methods.
type RouteStatus struct {
	// Method is as in GET or ANY, and Path as in /api/users/{proxy+}.
	Method string `json:"method"`
	Path   string `json:"path"`
	// Does says what answers, as in "load balancer dev-Routing/LoadBalancer" or "function dev-UsersFunction/Live".
	Does string `json:"does"`
	// Authorization is NONE or AWS_IAM.
	Authorization string `json:"authorization"`
	// Rate and Burst are the limits of requests, and 0 without any.
	Rate  float64 `json:"rate,omitempty"`
	Burst int     `json:"burst,omitempty"`
	// TTL is how long answers are kept, and 0 if they are not.
	TTL time.Duration `json:"ttlNanoseconds,omitempty"`
}

// Status implements [provider.Provider]. It returns a list of [StageStatus], by key.
func (p *Provider) Status() any {
	p.mu.Lock()
	stages := p.stages
	p.mu.Unlock()
	if len(stages) == 0 {
		return nil
	}
	all := []StageStatus{}
	for _, key := range stages.Keys() {
		s := stages[key]
		one := StageStatus{
			API: s.spec.API.Name, Stage: s.spec.Name, URL: p.url(s) + "/" + s.spec.Name, Deployment: s.spec.Deployment.Resource.LogicalID,
			Routes: s.routes(), CacheEntries: s.cache.entries(),
		}
		s.mu.Lock()
		one.Counts, one.P50, one.P99 = s.counts, s.took.Percentile(0.5), s.took.Percentile(0.99)
		s.mu.Unlock()
		if file := credentialsFile(p.options.Dir); slices.ContainsFunc(one.Routes, func(r RouteStatus) bool { return r.Authorization == "AWS_IAM" }) {
			if _, err := os.Stat(file); err == nil {
				one.Credentials = file
			}
		}
		all = append(all, one)
	}
	return all
}

func (p *Provider) url(s *stage) string {
	return fmt.Sprintf("http://localhost:%d", p.Port(s.spec.API.Key()))
}

// Fronts implements [provider.Fronted].
func (p *Provider) Fronts() (all []provider.Front) {
	p.mu.Lock()
	stages := p.stages
	p.mu.Unlock()
	for _, key := range stages.Keys() {
		all = append(all, front{stages[key], p.url(stages[key])})
	}
	return all
}

// routes are the methods, by path and method.
func (s *stage) routes() []RouteStatus {
	all := []RouteStatus{}
	for _, m := range s.definition.api.Methods {
		method := m.Method
		settings := s.spec.SettingsOf(m, method)
		one := RouteStatus{Method: method, Path: m.Of.Path(), Authorization: m.Authorization, Does: "load balancer " + next(&m.Integration), TTL: s.spec.Keeps(m, method)}
		if m.Integration.Type == "AWS_PROXY" {
			one.Does = "function " + m.Integration.Function
		}
		if settings.Throttled {
			one.Rate, one.Burst = settings.Rate, settings.Burst
		}
		all = append(all, one)
	}
	slices.SortFunc(all, func(a, b RouteStatus) int { return strings.Compare(a.Path+" "+a.Method, b.Path+" "+b.Method) })
	return all
}

package apigateway

import (
	"cmp"
	"fmt"
	"hash/fnv"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"cutover/internal/local/latency"
	"cutover/internal/local/provider"
	"cutover/internal/model"
	"cutover/internal/rules"
)

// stage is a stage as it is deployed. Another deployment or other settings make another stage, which keeps the state.
type stage struct {
	spec       *model.APIStage
	definition *definition
	*state
}

// state is what a stage keeps over its deployments.
type state struct {
	throttle throttle
	cache    cache

	mu     sync.Mutex
	counts Counts
	took   latency.Counts
}

// Counts are requests of a stage so far. Errors4XX has those that were throttled.
type Counts struct {
	Requests    int `json:"requests"`
	Errors4XX   int `json:"errors4xx"`
	Errors5XX   int `json:"errors5xx"`
	Throttled   int `json:"throttled"`
	CacheHits   int `json:"cacheHits"`
	CacheMisses int `json:"cacheMisses"`
}

// note counts a request at its end.
func (s *state) note(status int, took time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.counts.Requests++
	switch {
	case status >= 500:
		s.counts.Errors5XX++
	case status >= 400:
		s.counts.Errors4XX++
	}
	s.took.Note(took)
}

func (s *state) noteThrottled() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.counts.Throttled++
}

func (s *state) noteCache(hit bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if hit {
		s.counts.CacheHits++
	} else {
		s.counts.CacheMisses++
	}
}

// id is an id of API Gateway for a resource: ten letters and digits.
func id(key string) string {
	const letters = "0123456789abcdefghijklmnopqrstuvwxyz"
	sum := fnv.New64a()
	sum.Write([]byte(key))
	number, text := sum.Sum64(), make([]byte, 10)
	for i := range text {
		text[i] = letters[number%uint64(len(letters))]
		number /= uint64(len(letters))
	}
	return string(text)
}

// account is that of a resource.
func account(r *model.Base) string { return cmp.Or(r.Resource.Stack.Account, provider.Account) }

// arn is the ARN that invoking a method of a stage needs a permission for.
// https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-control-access-using-iam-policies-to-invoke-api.html
func (s *stage) arn(method, path string) string {
	api := s.definition.api
	return fmt.Sprintf("arn:aws:%s:%s:%s:%s/%s/%s%s", SigningName, api.Resource.Stack.Region, account(&api.Base), id(api.Key()), s.spec.Name, method, path)
}

// front is a stage as others see it.
type front struct {
	*stage
	url string
}

// Fronts are the stages of a model, without an address.
func Fronts(m *model.Model) (all []provider.Front) {
	for _, spec := range m.APIStages {
		if spec.API != nil {
			all = append(all, front{stage: &stage{spec, define(spec.API), &state{}}})
		}
	}
	return all
}

// Key implements [provider.Front].
func (f front) Key() string { return f.spec.Key() }

// Name implements [provider.Front].
func (f front) Name() string {
	return fmt.Sprintf("API Gateway %s, stage %s", f.spec.API.Name, f.spec.Name)
}

// URL implements [provider.Front].
func (f front) URL() string { return f.url }

// Base implements [provider.Front].
func (f front) Base() string { return "/" + f.spec.Name }

// Leads implements [provider.Front].
func (f front) Leads() (all []string) {
	for _, method := range f.definition.api.Methods {
		if next := next(&method.Integration); next != "" && !slices.Contains(all, next) {
			all = append(all, next)
		}
	}
	return all
}

// next is the key of what an integration asks.
func next(i *model.Integration) string {
	if i.Type == "AWS_PROXY" {
		return i.Function
	}
	if i.Target != nil {
		return i.Target.Key()
	}
	return ""
}

// Hop implements [provider.Front]. The request has the stage in its path.
func (f front) Hop(asked rules.Request) provider.Hop {
	method := overridden(cmp.Or(asked.Method, http.MethodGet), asked.Header)
	hop := provider.Hop{Front: f.Name(), Request: method + " " + uri(asked.Path, asked.Query)}
	path, ok := below(f.spec.Name, asked.Path)
	if !ok {
		hop.Does = refused(errForbidden)
		hop.Why = []string{fmt.Sprintf("the path does not begin with the stage, /%s", f.spec.Name)}
		return hop
	}
	found := f.definition.find(method, path)
	if found == nil {
		hop.Does = refused(errNoRoute)
		hop.Why = []string{fmt.Sprintf("no resource of the API is for %s %s", method, path)}
		return hop
	}
	of, settings := found.method, f.spec.SettingsOf(found.method, method)
	why := func(format string, args ...any) { hop.Why = append(hop.Why, fmt.Sprintf(format, args...)) }
	why("resource %s is the most specific one for %s, and has the method %s", of.Of.Path(), path, of.Method)
	for _, name := range names(of.Of.Path()) {
		name = strings.TrimSuffix(name, "+")
		why("{%s} is %q", name, found.path[name])
	}
	if hop.Signed = of.Authorization == "AWS_IAM"; hop.Signed {
		why("the method needs a signature of %s, by somebody who may do %s on %s", SigningName, invoke, f.arn(method, path))
	} else {
		why("the method needs no authorization")
	}
	if settings.Throttled {
		why("at most %g requests a second, and %d at once", settings.Rate, settings.Burst)
	}
	r := &request{method: method, path: path, query: asked.Query, header: asked.Header, host: asked.Host}
	if ttl := f.spec.Keeps(of, method); ttl > 0 {
		kept := "no answer is kept for it now"
		if f.cache.get(cacheKey(found, method, r)) != nil {
			kept = "an answer is kept for it now: the client gets that one"
		}
		why("answers are kept for %v, told apart by %s; %s", ttl, cmp.Or(strings.Join(of.Integration.CacheKey, ", "), "nothing"), kept)
	}
	i := &of.Integration
	hop.Next, hop.Sent = next(i), asked
	hop.Sent.Method, hop.Sent.Path = integrationMethod(i, method), path
	if i.Type == "AWS_PROXY" {
		hop.Does = "invokes the function " + i.Function
		return hop
	}
	hop.Sent.Path, hop.Sent.Query = integrationPath(found, r), integrationQuery(found, r)
	hop.Sent.Header, hop.Sent.Host, hop.Sent.Port = integrationHeader(found, r, droppedByHTTP), i.Host, i.Port
	hop.Does = fmt.Sprintf("sends %s %s to the load balancer %s, port %d", hop.Sent.Method, uri(hop.Sent.Path, hop.Sent.Query), hop.Next, i.Port)
	return hop
}

func uri(path, query string) string {
	if query != "" {
		return path + "?" + query
	}
	return path
}

// refused says in words what the client gets.
func refused(r refusal) string { return fmt.Sprintf("answers %d %s", r.status, r.message) }

package cloudfront

import (
	"cmp"
	"fmt"
	"maps"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"

	"cutover/internal/local/provider"
	"cutover/internal/model"
	"cutover/internal/rules"
)

// way is a distribution that says what it does with a request.
type way struct {
	d *distribution
	// cache is nil if the distribution does not run.
	cache *cache
}

// Fronts implements [provider.Fronted]. They are in the order of the stacks.
func (p *Provider) Fronts() (all []provider.Front) {
	running := p.running()
	for _, key := range running.Keys() {
		all = append(all, way{running[key].distribution.Load(), running[key].cache})
	}
	return all
}

// Fronts are the distributions of an assembly that does not run. The error says what is not honoured here.
func Fronts(m *model.Model) ([]provider.Front, error) {
	p := New(Options{}).Plan(m, nil).(*plan)
	if err := p.honoured(); err != nil {
		return nil, err
	}
	var all []provider.Front
	for _, key := range p.wanted.Keys() {
		d, err := p.compile(p.wanted[key])
		if err != nil {
			return nil, err
		}
		all = append(all, way{d: d})
	}
	return all, nil
}

// Key implements [provider.Front].
func (w way) Key() string { return w.d.Key() }

// Name implements [provider.Front].
func (w way) Name() string { return "CloudFront " + w.d.Distribution.Name }

// URL implements [provider.Front].
func (w way) URL() string { return w.d.url }

// Base implements [provider.Front].
func (w way) Base() string { return "" }

// Leads implements [provider.Front].
func (w way) Leads() (keys []string) {
	for _, b := range w.d.behaviors {
		keys = append(keys, b.origin.next)
	}
	return keys
}

// Hop implements [provider.Front].
func (w way) Hop(asked rules.Request) provider.Hop {
	d := w.d
	r := &request{method: cmp.Or(asked.Method, http.MethodGet), path: cmp.Or(asked.Path, "/"), query: asked.Query, header: http.Header{}, ip: "127.0.0.1", id: identity()}
	maps.Copy(r.header, asked.Header)
	r.header.Set("Host", cmp.Or(asked.Host, d.domain))
	if asked.SourceIP.IsValid() {
		r.ip = asked.SourceIP.String()
	}
	hop := provider.Hop{Front: w.Name(), Request: r.method + " " + r.uri()}
	why := func(format string, args ...any) { hop.Why = append(hop.Why, fmt.Sprintf(format, args...)) }
	if path := d.place(r.path); path != r.path {
		why("the default root object is %s", path)
		r.path = path
	}
	b := d.at(r.path)
	for _, other := range d.behaviors {
		if other == b {
			break
		}
		why("behavior %s does not match %s", other.Pattern, rules.Normalize(r.path))
	}
	if b.Pattern == "*" {
		why("the default behavior takes it")
	} else {
		why("behavior %s matches", b.Pattern)
	}
	switch {
	case !d.Enabled:
		hop.Does = "answers 403: the distribution is disabled"
		return hop
	case !slices.Contains(b.Methods, r.method):
		hop.Does = "answers 403: the behavior takes " + strings.Join(b.Methods, ", ")
		return hop
	}
	if b.request != nil {
		before := r.uri()
		answer, err := b.request.request(d, r)
		switch {
		case err != nil:
			hop.Does = "answers 503 or 502: " + err.Error()
			return hop
		case answer != nil:
			hop.Does = fmt.Sprintf("answers %d by the function %s, without its origin", answer.status, b.request.name)
			return hop
		case r.uri() != before:
			why("the function %s makes %s of %s", b.request.name, r.uri(), before)
		default:
			why("the function %s leaves the path as it is", b.request.name)
		}
	}
	if w.kept(b, r, why) {
		hop.Does = "answers from its cache"
		return hop
	}
	sent := originRequest(b, r)
	if policy := b.OriginRequestPolicy; policy == nil {
		why("no origin request policy: the origin gets the Host %s, and of the viewer's headers, cookies and query what the cache policy tells apart", sent.header.Get("Host"))
	} else {
		why("origin request policy %s: the origin gets the Host %s, %s of the viewer, %s and %s", policy.Name, sent.header.Get("Host"),
			which(policy.Headers, "headers"), which(policy.Cookies, "cookies"), which(policy.Query, "parameters of the query"))
	}
	hop.Does, hop.Next = fmt.Sprintf("sends %s %s to %s", sent.method, sent.uri(), b.origin.next), b.origin.next
	hop.Sent = rules.Request{Port: port(d.Distribution, b.Origin), Method: sent.method, Host: sent.header.Get("Host"), Path: sent.path, Query: sent.query, Header: sent.header, SourceIP: netip.AddrFrom4([4]byte{127, 0, 0, 1})}
	return hop
}

// which says which of some things a selection has.
func which(s model.Selection, things string) string {
	names := strings.Join(s.Names, ", ")
	switch s.Behavior {
	case "all", "allViewer":
		return "all " + things
	case "allExcept":
		return "all " + things + " but " + names
	case "whitelist":
		return "the " + things + " " + names
	}
	return "no " + things
}

// kept says what the cache does with a request, and whether it answers.
func (w way) kept(b *behavior, r *request, why func(string, ...any)) bool {
	c := b.CachePolicy
	switch {
	case !b.cacheable(r.method):
		why("the answer to %s is not kept", r.method)
		return false
	case !c.Keeps():
		why("cache policy %s keeps no answer", c.Name)
	default:
		why("cache policy %s keeps an answer for as long as it says, from %s to %s, and for %s if it says nothing", c.Name, c.MinTTL, c.MaxTTL, max(c.MinTTL, c.TTL))
	}
	var kept []string
	for _, status := range keptErrors {
		if life := errorLifetime(w.d.ErrorResponses, status, nil); life > 0 {
			kept = append(kept, fmt.Sprintf("%d for %s", status, life))
		}
	}
	if len(kept) > 0 {
		why("errors are kept: %s", strings.Join(kept, ", "))
	}
	if w.cache == nil {
		return false
	}
	if e := w.cache.get(cacheKey(c, r)); e != nil && e.serves(b, r.method, time.Now()) {
		why("the cache has an answer of %s ago with status %d, for %s more", time.Since(e.stored).Round(time.Second), e.status, time.Until(e.fresh).Round(time.Second))
		return true
	}
	return false
}

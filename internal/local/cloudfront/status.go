package cloudfront

import (
	"maps"
	"time"

	"cutover/internal/local/provider"
)

// Status are the distributions at one moment.
type Status []DistributionStatus

// DistributionStatus is a distribution and its behaviors in the order in which they are tried.
type DistributionStatus struct {
	Key  string `json:"key"`
	Name string `json:"name"`
	// URL is where viewers ask on this machine.
	URL       string           `json:"url"`
	Behaviors []BehaviorStatus `json:"behaviors"`
	// Objects and Bytes are what is in the cache.
	Objects int `json:"objects"`
	Bytes   int `json:"bytes"`
}

// BehaviorStatus is a behavior and its requests since the distribution began. The last one is the default.
type BehaviorStatus struct {
	Pattern string `json:"pattern"`
	// Origin is the key of what is behind it.
	Origin string `json:"origin"`
	// Cache is the name of the cache policy.
	Cache    string `json:"cachePolicy"`
	Requests int    `json:"requests"`
	// Hits were answered without the origin, or with its word that nothing has changed. Errors are statuses from 400 on.
	Hits   int `json:"hits"`
	Misses int `json:"misses"`
	Errors int `json:"errors"`
	// P50 and P99 are how long answers took.
	P50 time.Duration `json:"p50Nanoseconds"`
	P99 time.Duration `json:"p99Nanoseconds"`
}

// Status implements [provider.Provider], with a [Status]; nil without distributions.
func (p *Provider) Status() any {
	var all Status
	running := p.running()
	for _, key := range running.Keys() {
		f := running[key]
		d := f.distribution.Load()
		one := DistributionStatus{Key: key, Name: d.Name, URL: d.url}
		one.Objects, one.Bytes = f.cache.contents()
		f.mu.Lock()
		for _, b := range d.behaviors {
			status := BehaviorStatus{Pattern: b.Pattern, Origin: b.origin.next, Cache: b.CachePolicy.Name}
			if c := f.counts[b.Pattern]; c != nil {
				status.Requests, status.Hits, status.Misses, status.Errors = c.requests, c.hits, c.misses, c.errors
				status.P50, status.P99 = c.took.Percentile(0.5), c.took.Percentile(0.99)
			}
			one.Behaviors = append(one.Behaviors, status)
		}
		f.mu.Unlock()
		all = append(all, one)
	}
	if all == nil {
		return nil
	}
	return all
}

func (p *Provider) running() provider.Resources[*front] {
	p.mu.Lock()
	defer p.mu.Unlock()
	return maps.Clone(p.fronts)
}

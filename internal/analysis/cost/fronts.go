package cost

import (
	"fmt"
	"slices"
	"strings"

	"cutover/internal/model"
)

// fronts are what requests pass before the load balancer.
type fronts struct{ api, acl, distribution bool }

func (f fronts) or(other fronts) fronts {
	return fronts{f.api || other.api, f.acl || other.acl, f.distribution || other.distribution}
}

// stage leaves out the prices that a stage does not have.
func (e *environment) stage(v *model.APIStage, keys []string) ([]string, error) {
	e.fronts.api = true
	if v.CacheGB != "0.5" {
		keys = without(keys, "apiCache")
		if v.CacheGB != "" {
			e.unpriced["cache of "+v.CacheGB+" GB"]++
		}
	}
	if !v.Tracing {
		keys = without(keys, "traces")
	}
	if !slices.ContainsFunc(v.Settings, func(s model.MethodSettings) bool { return s.Metrics }) {
		keys = without(keys, "apiMetrics")
	}
	return keys, v.Problem("CacheClusterEnabled", "CacheClusterSize", "TracingEnabled", "MethodSettings")
}

// webACL counts the rules of a web ACL.
func (e *environment) webACL(v *model.WebACL, service string, keys []string) ([]string, error) {
	e.fronts.acl = true
	if v.Rules > 0 {
		e.things = append(e.things, thing{"webACLRule", v.Rules, service, ""})
	}
	return without(keys, "webACLRule"), v.Problem("Rules")
}

// prices are what a million requests cost at each front. There are none without a front.
func (f fronts) prices() []string {
	var all []string
	price := func(key string) string { return decimal(prices.Traffic[key].Price) }
	if f.api {
		text := "API Gateway: a million requests cost US$ " + price("apiRequests")
		if f.acl {
			text += ", and " + price("webACLRequests") + " more for AWS WAF"
		}
		all = append(all, text+". An answer of the cache costs the same")
	}
	if f.distribution {
		text := fmt.Sprintf("CloudFront: a million requests cost US$ %s, and a GB %s", price("distributionRequests"), price("distributionTransfer"))
		if f.api {
			text += ". Requests that go on to API Gateway cost its price, too"
		}
		all = append(all, text+". The free tier (10 million requests and 1 TB a month) is not counted")
	}
	if all != nil {
		all = append(all, "without a front, requests have no price of their own: the load balancer costs "+price("loadBalancerCapacity")+" for a capacity unit and hour, in which it takes 1 GB")
	}
	return all
}

// FrontTable is what a million requests cost by each way, in Markdown, if an answer has this many bytes, and the clients
// are in the internet. What tasks and functions cost comes on top.
func FrontTable(bytes int) string {
	gigabytes := float64(bytes) * 1e6 / 1e9
	traffic := func(key string, units float64) Cents { return amount(1, units*prices.Traffic[key].Price) }
	var b strings.Builder
	b.WriteString("| a million requests through | requests, US$ | transfer, US$ | together |\n|---|---|---|---|\n")
	for _, way := range []struct {
		name     string
		requests []string
		transfer []string
	}{
		{"the load balancer alone", nil, []string{"loadBalancerCapacity", "apiTransfer"}},
		{"API Gateway", []string{"apiRequests"}, []string{"loadBalancerCapacity", "apiTransfer"}},
		{"API Gateway with a web ACL", []string{"apiRequests", "webACLRequests"}, []string{"loadBalancerCapacity", "apiTransfer"}},
		{"API Gateway, to a function without the load balancer", []string{"apiRequests"}, []string{"apiTransfer"}},
		{"CloudFront", []string{"distributionRequests"}, []string{"loadBalancerCapacity", "distributionTransfer"}},
		{"CloudFront and API Gateway", []string{"distributionRequests", "apiRequests"}, []string{"loadBalancerCapacity", "distributionTransfer"}},
		{"CloudFront and API Gateway with a web ACL", []string{"distributionRequests", "apiRequests", "webACLRequests"}, []string{"loadBalancerCapacity", "distributionTransfer"}},
		{"CloudFront, for the page", []string{"distributionRequests", "edgeFunctions"}, []string{"distributionTransfer"}},
	} {
		var requests, transfer Cents
		for _, key := range way.requests {
			requests += traffic(key, 1)
		}
		for _, key := range way.transfer {
			transfer += traffic(key, gigabytes)
		}
		fmt.Fprintf(&b, "| %s | %v | %v | %v |\n", way.name, requests, transfer, requests+transfer)
	}
	return b.String()
}

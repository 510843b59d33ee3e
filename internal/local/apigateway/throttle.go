package apigateway

import (
	"sync"

	"golang.org/x/time/rate"

	"cutover/internal/model"
)

// throttle has a token bucket for each method of a stage.
// https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-request-throttling.html
type throttle struct {
	mu      sync.Mutex
	buckets map[string]*rate.Limiter // by the method of the request and the path of the resource
}

// allow says whether a request may go on now.
func (t *throttle) allow(of *model.APIMethod, method string, settings model.MethodSettings) bool {
	if !settings.Throttled {
		return true
	}
	if of.Method == "ANY" {
		method = "ANY"
	}
	key := method + " " + of.Of.Path()
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.buckets == nil {
		t.buckets = map[string]*rate.Limiter{}
	}
	bucket := t.buckets[key]
	if bucket == nil {
		bucket = rate.NewLimiter(rate.Limit(settings.Rate), settings.Burst)
		t.buckets[key] = bucket
	}
	if bucket.Limit() != rate.Limit(settings.Rate) || bucket.Burst() != settings.Burst {
		bucket.SetLimit(rate.Limit(settings.Rate))
		bucket.SetBurst(settings.Burst)
	}
	return bucket.Allow()
}

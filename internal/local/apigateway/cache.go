package apigateway

import (
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"
)

// answer is what a client gets.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-caching.html
const maxCached = 1_048_576 // bytes of an answer

// cache keeps answers of a stage. Each one is kept for a time, whatever its status is: there are reports, but no
// documentation, as in https://exchangetuts.com/prevent-caching-of-non-200-responses-in-aws-api-gateway-1640428563668979.
type cache struct {
	mu    sync.Mutex
	kept  map[string]kept
	sweep time.Time // when answers whose time is over are given up next
}

type kept struct {
	answer       *answer
	until        time.Time
	method, path string // of the request
}

func (c *cache) get(key string) *answer {
	c.mu.Lock()
	defer c.mu.Unlock()
	one, ok := c.kept[key]
	if !ok || !time.Now().Before(one.until) {
		return nil
	}
	return one.answer
}

// put keeps an answer, and gives up those whose time is over.
func (c *cache) put(key string, r *request, a *answer, ttl time.Duration) {
	if len(a.body) > maxCached {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	if c.kept == nil {
		c.kept = map[string]kept{}
	}
	if !now.Before(c.sweep) { // not each time: there may be many
		maps.DeleteFunc(c.kept, func(_ string, one kept) bool { return !now.Before(one.until) })
		c.sweep = now.Add(ttl)
	}
	c.kept[key] = kept{a, now.Add(ttl), r.method, r.path}
}

// fresh are the answers that still serve, and until when the last of them does. Of says which requests count.
func (c *cache) fresh(now time.Time, of func(method, path string) bool) (answers int, until time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, one := range c.kept {
		if now.Before(one.until) && of(one.method, one.path) {
			answers++
			if one.until.After(until) {
				until = one.until
			}
		}
	}
	return answers, until
}

// entries is how many answers are kept.
func (c *cache) entries() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.kept)
}

// cacheKey tells answers apart: by the namespace, the method, and the parameters of the cache key alone. A path parameter
// counts only if it is one of them.
// https://docs.aws.amazon.com/apigateway/latest/api/API_Integration.html#apigw-Type-Integration-cacheKeyParameters
func cacheKey(found *route, method string, r *request) string {
	i := &found.method.Integration
	namespace := i.CacheNamespace
	if namespace == "" {
		namespace = found.method.Of.Path()
	}
	key := []string{namespace, method}
	for _, name := range slices.Sorted(slices.Values(i.CacheKey)) {
		key = append(key, name, strings.Join(r.values(found, i.Parameters, name), "\x00"))
	}
	for at := range key {
		key[at] = url.QueryEscape(key[at])
	}
	return strings.Join(key, "&")
}

// invalidates says whether the client asks for a new answer.
// https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-caching.html#invalidate-method-caching
func invalidates(header http.Header) bool {
	for _, value := range header["Cache-Control"] {
		for directive := range strings.SplitSeq(value, ",") {
			if strings.EqualFold(strings.TrimSpace(directive), "max-age=0") {
				return true
			}
		}
	}
	return false
}

// clear gives up all answers.
func (c *cache) clear() {
	c.mu.Lock()
	defer c.mu.Unlock()
	clear(c.kept)
}

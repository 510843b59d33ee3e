package cloudfront

import (
	"container/list"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"cutover/internal/rules"
)

// What the cache keeps at most. AWS documents no size; it keeps objects of up to 30 GB.
const (
	maxObject = 16 << 20
	maxCache  = 256 << 20
)

// entry is an answer of an origin in the cache. It does not change: a refreshed answer is another entry.
type entry struct {
	key    string
	status int
	header http.Header
	body   []byte
	// stored is when the origin sent the answer, and fresh is until when it serves.
	stored, fresh time.Time
	// page says that the body is the page of an error response. Its status is the one for viewers.
	page bool
}

// serves says whether the entry is the answer of a behavior. One that keeps no answers has kept errors only. AWS does not say what
// becomes of others that were kept before.
func (e *entry) serves(b *behavior, method string, now time.Time) bool {
	return now.Before(e.fresh) && (b.keeps(method) || e.status >= 400 || e.page)
}

func (e *entry) size() int { return len(e.body) + 1024 }

// cache is what a distribution keeps. It outlives deployments.
type cache struct {
	mu      sync.Mutex
	entries map[string]*list.Element // of *entry, the latest used first
	used    *list.List
	bytes   int
	// fetching has a channel for each key that is asked for at the origin now. It is closed when the answer is kept, or
	// is known not to be.
	fetching map[string]chan struct{}
}

func newCache() *cache {
	return &cache{entries: map[string]*list.Element{}, used: list.New(), fetching: map[string]chan struct{}{}}
}

// get returns what is kept of a key, fresh or not; nil if nothing is.
func (c *cache) get(key string) *entry {
	c.mu.Lock()
	defer c.mu.Unlock()
	at := c.entries[key]
	if at == nil {
		return nil
	}
	c.used.MoveToFront(at)
	return at.Value.(*entry)
}

// put keeps an answer. What was not used for the longest time makes room.
func (c *cache) put(e *entry) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.remove(c.entries[e.key])
	c.entries[e.key] = c.used.PushFront(e)
	for c.bytes += e.size(); c.bytes > maxCache; {
		c.remove(c.used.Back())
	}
}

// drop forgets what is kept of a key.
func (c *cache) drop(key string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.remove(c.entries[key])
}

func (c *cache) remove(at *list.Element) {
	if at != nil {
		e := c.used.Remove(at).(*entry)
		delete(c.entries, e.key)
		c.bytes -= e.size()
	}
}

// fetch says that a key is asked for at the origin. If somebody asks already, the channel tells when that is over, and done
// is nil.
// https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/RequestAndResponseBehaviorCustomOrigin.html#request-custom-traffic-spikes
func (c *cache) fetch(key string) (others <-chan struct{}, done func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if others := c.fetching[key]; others != nil {
		return others, nil
	}
	over := make(chan struct{})
	c.fetching[key] = over
	return nil, sync.OnceFunc(func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.fetching, key)
		close(over)
	})
}

// fresh are the answers that still serve, without errors, and until when the last of them does. Of says which paths count.
func (c *cache) fresh(now time.Time, of func(path string) bool) (answers int, until time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for key, at := range c.entries {
		e := at.Value.(*entry)
		if e.status < 400 && now.Before(e.fresh) && of(pathOf(key)) {
			answers++
			if e.fresh.After(until) {
				until = e.fresh
			}
		}
	}
	return answers, until
}

// pathOf is the path in a key. See [cacheKey].
func pathOf(key string) string { return strings.Split(key, "\n")[1] }

// invalidate forgets what is kept of some paths. A path may end in *.
// https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/invalidation-specifying-objects.html
func (c *cache) invalidate(paths []string) {
	var patterns []rules.Pattern
	for _, path := range paths {
		patterns = append(patterns, rules.NewPattern(path))
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for key, at := range c.entries {
		if slices.ContainsFunc(patterns, func(p rules.Pattern) bool { return p.Match(pathOf(key)) }) {
			c.remove(at)
		}
	}
}

// contents are the sizes of what is kept.
func (c *cache) contents() (objects, bytes int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.entries), c.bytes
}

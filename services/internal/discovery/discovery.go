// Package discovery calls services that are found by SRV records. AWS Cloud Map has such records for ECS
// tasks in bridge mode, in which each task has a port of its own: the record of a name has the address and
// port of each healthy task.
//
// Use [Transport] in an HTTP client. The address of a service is a URL as in USERS_URL:
//
//	client := &http.Client{Transport: &discovery.Transport{}, Timeout: 5 * time.Second}
//	response, err := client.Get(os.Getenv("USERS_URL") + "/api/users/1") // http+srv://users.dev.internal
//
// The client of another protocol asks [Resolver] for the targets of a name.
//
// https://docs.aws.amazon.com/AmazonECS/latest/developerguide/service-discovery.html
package discovery

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Resolver finds the targets of names and keeps what it has found. The zero value is ready. Several
// goroutines may use a Resolver.
type Resolver struct {
	// Life is how long an answer is used, beside the time that DNS servers keep it. Go's resolver does not
	// tell the TTL of a record. Default: 1 s.
	Life time.Duration
	// Lookup asks for the SRV records of a name. Default: that of [net.DefaultResolver].
	Lookup func(ctx context.Context, name string) ([]*net.SRV, error)

	mu      sync.Mutex
	answers map[string]*answer
}

// answer is what DNS has said, or will say. The resolver's lock guards the time.
type answer struct {
	ready   chan struct{} // closed when there are records or an error
	records []*net.SRV
	err     error
	until   time.Time // zero before it is ready
}

const (
	defaultLife = time.Second
	// lookupTime bounds a lookup, which is for all that wait for it.
	lookupTime = 5 * time.Second
)

// Resolve returns the targets of a name as "host:port", in the order in which to try them: those of the lowest
// priority first, and at random by their weights (RFC 2782). If DNS does not answer, the targets
// of its last answer are returned. The error is DNS's, or says that the name has no targets: no task is healthy.
func (r *Resolver) Resolve(ctx context.Context, name string) ([]string, error) {
	found := r.answer(name)
	select {
	case <-found.ready:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	if found.err != nil {
		return nil, found.err
	}
	return order(found.records), nil
}

// answer returns the answer for a name, and asks for a new one if there is none that may be used.
func (r *Resolver) answer(name string) *answer {
	r.mu.Lock()
	defer r.mu.Unlock()
	last := r.answers[name]
	if last != nil && (last.until.IsZero() || time.Now().Before(last.until)) {
		return last
	}
	if r.answers == nil {
		r.answers = map[string]*answer{}
	}
	next := &answer{ready: make(chan struct{})}
	r.answers[name] = next
	go r.ask(name, next, last)
	return next
}

func (r *Resolver) ask(name string, next, last *answer) {
	ctx, cancel := context.WithTimeout(context.Background(), lookupTime)
	defer cancel()
	lookup := r.Lookup
	if lookup == nil {
		lookup = func(ctx context.Context, name string) ([]*net.SRV, error) {
			_, records, err := net.DefaultResolver.LookupSRV(ctx, "", "", name)
			return records, err
		}
	}
	next.records, next.err = lookup(ctx, name)
	var said *net.DNSError
	if next.err != nil && last != nil && len(last.records) > 0 && !(errors.As(next.err, &said) && said.IsNotFound) {
		next.records, next.err = last.records, nil // what was right is better than nothing
	}
	// The root as the only target says that there is no service.
	next.records = slices.DeleteFunc(slices.Clone(next.records), func(record *net.SRV) bool { return record.Target == "." })
	if next.err == nil && len(next.records) == 0 {
		next.err = fmt.Errorf("%s has no targets", name)
	}
	r.mu.Lock()
	next.until = time.Now().Add(cmp.Or(r.Life, defaultLife))
	r.mu.Unlock()
	close(next.ready)
}

// forget lets the next call of Resolve ask DNS again.
func (r *Resolver) forget(name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if last := r.answers[name]; last != nil && !last.until.IsZero() {
		last.until = time.Now()
	}
}

// order returns the targets of records in the order in which to try them.
func order(records []*net.SRV) (targets []string) {
	type turn struct {
		*net.SRV
		after float64
	}
	var turns []turn
	for _, record := range records {
		// The least of exponentially distributed times is each record's with the probability of its
		// weight. A weight of 0 is a small one.
		turns = append(turns, turn{record, rand.ExpFloat64() / max(float64(record.Weight), 0.01)})
	}
	slices.SortFunc(turns, func(a, b turn) int {
		return cmp.Or(cmp.Compare(a.Priority, b.Priority), cmp.Compare(a.after, b.after))
	})
	for _, t := range turns {
		targets = append(targets, net.JoinHostPort(strings.TrimSuffix(t.Target, "."), strconv.Itoa(int(t.Port))))
	}
	return targets
}

// Transport sends the requests of an [http.Client]. It finds the targets of "http+srv" URLs by SRV records.
// Requests with other URLs go to Base as they are.
type Transport struct {
	// Base sends a request to a target. Default: as [http.DefaultTransport], and a connection has 2 s to be
	// there, because targets are near.
	Base http.RoundTripper
	// Resolver finds targets.
	Resolver Resolver
}

const (
	scheme = "http+srv"
	// attempts is how many targets get a request at most.
	attempts    = 3
	connectTime = 2 * time.Second
)

var defaultBase = sync.OnceValue(func() http.RoundTripper {
	base := http.DefaultTransport.(*http.Transport).Clone()
	base.DialContext = (&net.Dialer{Timeout: connectTime}).DialContext
	return base
})

// RoundTrip sends a request to the first target of its URL. If a target cannot be reached, the request goes
// to another one, to three at most. A request that may have been sent goes to another target only if its
// method is idempotent (RFC 9110, 9.2.2). A body that cannot be read again keeps to the first target.
func (t *Transport) RoundTrip(r *http.Request) (*http.Response, error) {
	base := t.Base
	if base == nil {
		base = defaultBase()
	}
	if r.URL.Scheme != scheme {
		return base.RoundTrip(r)
	}
	name := r.URL.Hostname()
	var targets []string
	err := fmt.Errorf("%s: SRV records have the port: leave it out", r.URL.Host)
	if r.URL.Port() == "" {
		targets, err = t.Resolver.Resolve(r.Context(), name)
	}
	if err != nil {
		if r.Body != nil {
			r.Body.Close()
		}
		return nil, err
	}
	for i, target := range targets[:min(attempts, len(targets))] {
		attempt := r.WithContext(r.Context())
		url := *r.URL
		url.Scheme, url.Host = "http", target
		attempt.URL, attempt.Host = &url, cmp.Or(r.Host, name)
		if i > 0 && r.GetBody != nil {
			if attempt.Body, err = r.GetBody(); err != nil {
				return nil, err
			}
		}
		var response *http.Response
		if response, err = base.RoundTrip(attempt); err == nil {
			return response, nil
		}
		t.Resolver.forget(name)
		if r.Context().Err() != nil || !repeatable(r, err) {
			break
		}
	}
	return nil, err
}

// repeatable says whether a request that has failed may go to another target.
func repeatable(r *http.Request, err error) bool {
	if r.Body != nil && r.Body != http.NoBody && r.GetBody == nil {
		return false
	}
	var connecting *net.OpError
	if errors.As(err, &connecting) && connecting.Op == "dial" {
		return true // nothing was sent
	}
	return slices.Contains([]string{"", http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace, http.MethodPut, http.MethodDelete}, r.Method)
}

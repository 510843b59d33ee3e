package discovery

import (
	"fmt"
	"slices"
	"time"

	"cutover/internal/local/provider"
)

// How a proxy of Service Connect ejects tasks. AWS names outlier detection and no figures; these are the defaults of its
// proxy, Envoy: "The number of consecutive 5xx responses or local origin errors that are mapped to 5xx error codes before a
// consecutive 5xx ejection occurs. Defaults to 5", and a base time of 30 s. Envoy multiplies the time with the number of
// ejections, and ejects 10 percent of the hosts but at least one; whether that holds on ECS is not known, and it does not
// hold here. If all tasks are ejected, requests go to all of them.
// https://www.envoyproxy.io/docs/envoy/latest/api-v3/config/cluster/v3/outlier_detection.proto
const (
	failuresToEject = 5
	ejection        = 30 * time.Second
)

// host is what the proxy of a task knows of a task that it calls.
type host struct {
	failures int // in a row
	first    time.Time
	until    time.Time   // that it is left out
	back     *time.Timer // nil if it is not left out
}

func (h *host) ejected() bool { return h.back != nil }

func (h *host) stop() {
	if h.back != nil {
		h.back.Stop()
	}
}

// pick chooses a task, one after the other: preferably none that was tried, and none that is ejected. It is nil if
// no task is there.
func (n *name) pick(tried []string) *instance {
	p := n.caller.provider
	p.mu.Lock()
	defer p.mu.Unlock()
	all := p.targets(n.target)
	left := all
	for _, out := range []func(*instance) bool{
		func(i *instance) bool { h := n.hosts[i.task]; return h != nil && h.ejected() },
		func(i *instance) bool { return slices.Contains(tried, i.task) },
	} {
		if rest := slices.DeleteFunc(slices.Clone(left), out); len(rest) > 0 {
			left = rest
		}
	}
	if len(left) == 0 {
		return nil
	}
	for !slices.Contains(left, all[n.turn%len(all)]) {
		n.turn++
	}
	i := all[n.turn%len(all)]
	n.turn++
	if !i.unhealthy.IsZero() && !n.told["unhealthy "+i.task] {
		n.told["unhealthy "+i.task] = true
		n.event(provider.Warning, fmt.Sprintf("%v leads to %v, which is not healthy: Service Connect looks at failures, not at health checks", n, i))
	}
	return i
}

// note notes how a request or a connection to a task went, and ejects the task if it fails again and again.
func (n *name) note(i *instance, failure error) {
	p := n.caller.provider
	p.mu.Lock()
	defer p.mu.Unlock()
	h := n.hosts[i.task]
	if h == nil {
		h = &host{}
		n.hosts[i.task] = h
	}
	if failure == nil {
		h.failures = 0
		return
	}
	if h.failures++; h.failures == 1 {
		h.first = time.Now()
	}
	if h.failures < failuresToEject || h.ejected() || n.caller.ctx.Err() != nil {
		return
	}
	h.failures = 0
	h.back = time.AfterFunc(ejection, func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		h.back = nil
		n.event("", fmt.Sprintf("%v leads to %v again", n, i))
	})
	n.event("EJECTED", fmt.Sprintf("%v leaves %v out for %v: it failed %d times in a row, within %v; the last time: %v",
		n, i, ejection, failuresToEject, time.Since(h.first).Round(time.Millisecond), failure))
}

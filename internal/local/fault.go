package local

import (
	"context"
	"fmt"
	"slices"

	"cutover/internal/local/ecs"
	"cutover/internal/local/provider"
)

// FaultKinds are the kinds of harm that [Runner.Fault] does: to the tasks of a service, to its stores, and to its
// topics and queues.
func FaultKinds() (all []provider.FaultKind) {
	for _, kind := range ecs.FaultKinds() {
		all = append(all, kind.FaultKind)
	}
	return slices.Concat(all, provider.StoreFaults, provider.EventFaults)
}

// FunctionFaults are the kinds of [FaultKinds] that can be done to a function, besides those of its stores: it has
// no tasks.
var FunctionFaults = []string{"kill"}

// Fault does harm to a service, both by name, until the returned function is called. That function returns when
// all is steady again, or with the context's error. A fault of stores meets each service that uses them. Of a
// function, "kill" ends its execution environments.
func (r *Runner) Fault(ctx context.Context, kind, service string) (clear func(context.Context) error, err error) {
	is := func(k provider.FaultKind) bool { return k.Name == kind }
	if !slices.ContainsFunc(slices.Concat(provider.StoreFaults, provider.EventFaults), is) {
		if kind == FunctionFaults[0] {
			if ended, known := r.functions.Kill(service); known {
				return ended, nil
			}
		}
		return r.services.Fault(ctx, kind, service)
	}
	for _, p := range r.providers {
		if faulter, ok := p.(provider.Faulter); ok && slices.ContainsFunc(faulter.Faults(), is) {
			if clear, err := faulter.Fault(ctx, kind, service); clear != nil || err != nil {
				return clear, err
			}
		}
	}
	return nil, fmt.Errorf("service %q has no store, topic or queue on this machine for the fault %s", service, kind)
}

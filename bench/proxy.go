package main

import (
	"context"
	"fmt"
	"io"

	"cutover/internal/assembly"
	"cutover/internal/local/discovery"
	"cutover/internal/local/ecs"
	"cutover/internal/local/provider"
	"cutover/internal/model"
)

// serveProxy runs the proxy of a task until the context ends. The assembly in the directory has one
// service with a name in Service Connect, and one that calls it. The first line of out is the address.
func serveProxy(ctx context.Context, out io.Writer, dir, target string) error {
	a, err := assembly.Read(dir)
	if err != nil {
		return err
	}
	m := model.Read(a)
	names := discovery.New(func(provider.Event) {})
	plan := names.Plan(m, nil)
	for _, stack := range a.Stacks {
		if err := plan.Update(ctx, stack.Name); err != nil {
			return err
		}
	}
	var caller ecs.Caller
	for _, service := range m.Services {
		switch {
		case service.Connect == nil:
		case len(service.Connect.Endpoints) > 0:
			names.Register("called", service, true, func(string, int) string { return target })
		default:
			caller = ecs.Caller{Task: "caller", Name: service.Name, Service: service, Known: names.Known(service)}
		}
	}
	if caller.Service == nil || len(caller.Known) != 1 {
		return fmt.Errorf("%s: want a service that calls one other by Service Connect, and there are %q", dir, caller.Known)
	}
	known, _, err := names.Open(caller)
	if err != nil {
		return err
	}
	fmt.Fprintln(out, known[0].Address)
	<-ctx.Done()
	names.Close(caller.Task)
	return names.Stop(context.Background())
}

package local

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"cutover/internal/local/ecs"
	"cutover/internal/local/provider"
	"cutover/internal/model"
)

// FaultKinds are the kinds of harm that [Runner.Fault] does: to the tasks of a service, to its stores, and to its
// topics and queues.
func FaultKinds() (all []provider.FaultKind) {
	for _, kind := range ecs.FaultKinds() {
		all = append(all, kind.FaultKind)
	}
	return slices.Concat(all, provider.StoreFaults, provider.EventFaults, provider.BrokerFaults, []provider.FaultKind{rebuilding})
}

// Rebuild is the name of a kind of fault.
const Rebuild = "rebuild"

// rebuilding is the kind of "harm" that has a read model made anew while it serves.
var rebuilding = provider.FaultKind{Name: Rebuild, Lossless: true, Once: true, Does: "what the service makes of events is made anew, by its command rebuild; all records are published again"}

// rebuild has a service begin anew, and the services that publish tell of all their records.
func (r *Runner) rebuild(ctx context.Context, service string) error {
	run := time.Now().UTC().Format("20060102T150405.000000Z")
	commands := [][]string{{service, "rebuild", run}}
	for _, s := range r.Having("PUBLISHES") {
		commands = append(commands, []string{s, "republish", run})
	}
	for _, c := range commands {
		said := ""
		exit, err := r.Run(ctx, c[0], c[1:], func(_ string, line ecs.LogLine) { said = line.Text })
		if err == nil && exit != 0 {
			err = fmt.Errorf("exit code %d: %s", exit, said)
		}
		if err != nil {
			return fmt.Errorf("running %s: %w", strings.Join(c, " "), err)
		}
	}
	return nil
}

// Having are the services that have a variable of their own, as POSTS_PUBLISHES is of posts. The variable is named without the service.
func (r *Runner) Having(variable string) (services []string) {
	for _, s := range model.Read(r.Assembly()).Services {
		name := strings.ToUpper(strings.ReplaceAll(s.Name, "-", "_")) + "_" + variable
		if s.TaskDefinition != nil && slices.ContainsFunc(s.TaskDefinition.Containers, func(c model.Container) bool {
			return slices.ContainsFunc(c.Environment, func(v model.Variable) bool { return v.Name == name })
		}) {
			services = append(services, s.Name)
		}
	}
	return services
}

// FunctionFaults are the kinds of [FaultKinds] that can be done to a function, besides those of its stores: it has
// no tasks.
var FunctionFaults = []string{"kill"}

// Fault does harm to a service, both by name, until the returned function is called. That function returns when
// all is steady again, or with the context's error. A fault of stores meets each service that uses them. Of a
// function, "kill" ends its execution environments. A program that runs already, and stands for a target group, is not harmed.
func (r *Runner) Fault(ctx context.Context, kind, service string) (clear func(context.Context) error, err error) {
	if at := r.options.Targets[service]; at != nil {
		return nil, fmt.Errorf("%v stands for the target group %s, and was not started here, so nothing here harms it: start it with --run %[2]s=COMMAND in place of --target", at, service)
	}
	if kind == Rebuild {
		return func(context.Context) error { return nil }, r.rebuild(ctx, service)
	}
	is := func(k provider.FaultKind) bool { return k.Name == kind }
	if !slices.ContainsFunc(slices.Concat(provider.StoreFaults, provider.EventFaults, provider.BrokerFaults), is) {
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
	return nil, fmt.Errorf("service %q has no store, topic, queue or broker on this machine for the fault %s", service, kind)
}

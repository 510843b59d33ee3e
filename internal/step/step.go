// Package step takes a deployment one step of its migration on, or back: it
// knows where cdk.json and AWS are, what the next step does, whether it may be
// taken, and how cdk.json says so.
package step

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"cutover/config"
	"cutover/migration"
)

// Position is where a deployment is in its migration, or goes.
type Position struct {
	Phase migration.Phase
	// Shift is the percentage that a microservice takes over, by service.
	Shift map[string]int
}

// String is the phase with the shift, as in "parallel, users=10".
func (p Position) String() string {
	if len(p.Shift) == 0 {
		return p.Phase.String()
	}
	return p.Phase.String() + ", " + p.ShiftText()
}

// ShiftText is the shift as the context key takes it, as in "users=10,posts=5".
func (p Position) ShiftText() string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(p.Shift)) {
		parts = append(parts, fmt.Sprintf("%s=%d", name, p.Shift[name]))
	}
	return strings.Join(parts, ",")
}

// State is what the interlock knows of the position.
func (p Position) State() migration.State {
	return migration.State{Phase: p.Phase, Shift: len(p.Shift) > 0}
}

// ReadContext fills in the defaults of a deployment, and reads the environment and
// the position from a context. If env is not empty, it replaces the context's.
// Mistakes in the context are reported all at once, as a synthesis reports them.
func ReadContext(d config.Deployment, context map[string]any, env string) (config.Deployment, string, Position, error) {
	context = maps.Clone(context)
	// These are checked with an account, which nobody needs here.
	delete(context, "vpcId")
	delete(context, "certificateArn")
	if env != "" {
		context["env"] = env
	}
	// What a task reserves is no part of a step. With the least allowed, tasks fit on
	// any instances.
	d.Monolith = least(d.Monolith)
	d.Services = slices.Clone(d.Services)
	for i := range d.Services {
		d.Services[i] = least(d.Services[i])
	}
	d, settings, err := config.Load(d, context, func(string) string { return "" })
	return d, settings.Env, Position{settings.Phase, settings.Shift}, err
}

func least(s config.Service) config.Service {
	s.CPU, s.MemoryReservationMiB = 2, 6
	return s
}

// Next returns the step forward from a position. With a canary, "users=10", it
// is that shift, which replaces one that is set.
func Next(d config.Deployment, from Position, canary string) (Position, error) {
	if canary == "" {
		if from.Phase == migration.Retired {
			return from, errors.New("there is no phase after retired: the migration is complete")
		}
		return Position{Phase: from.Phase + 1}, nil
	}
	switch from.Phase {
	case migration.Monolith:
		return from, errors.New("--canary: in monolith the microservices do not run yet: go to parallel and deploy that first")
	case migration.Switched, migration.Retired:
		return from, fmt.Errorf("--canary: in %s the microservices have all of their traffic: a canary has its place in parallel", from.Phase)
	}
	_, _, to, err := ReadContext(d, map[string]any{"phase": migration.Parallel.String(), "shift": canary}, "")
	switch {
	case err != nil:
		return from, fmt.Errorf("--canary: %w", err)
	case len(to.Shift) == 0:
		return from, errors.New("--canary: it names no service: give SERVICE=PERCENT, as in users=10")
	case maps.Equal(from.Shift, to.Shift):
		return from, fmt.Errorf("--canary: %s is set already", from.ShiftText())
	}
	return to, nil
}

// Back returns the step back from a position. From a shift it is to take the
// shift away: the microservices that it sends requests to may not stop before.
func Back(from Position) (Position, error) {
	if len(from.Shift) > 0 {
		return Position{Phase: from.Phase}, nil
	}
	if from.Phase == migration.Monolith {
		return from, errors.New("there is no phase before monolith: the migration has not begun")
	}
	return Position{Phase: from.Phase - 1}, nil
}

// Check refuses a move from a position that is not the one that is deployed: its
// own deployment would be left out.
func Check(env string, from Position, deployed Deployed) error {
	if !deployed.Exists {
		return nil // a new environment may begin in any phase
	}
	where := env + " in " + deployed.Region
	switch {
	case deployed.Begun != deployed.Reached:
		return fmt.Errorf("%s is in %s, and a deployment of %s was begun and is not complete: wait for it, or deploy again", where, deployed.Reached, deployed.Begun)
	case from.Phase != deployed.Reached.Phase, deployed.Exact && from.State() != deployed.Reached:
		return fmt.Errorf("cdk.json says %s and %s is in %s: deploy what cdk.json says first, or make it say what is deployed", from, where, deployed.Reached)
	}
	return nil
}

// Follows refuses the deployment of a position out of turn, as the deployment
// itself does. A deployment that goes on or was interrupted counts, too.
func Follows(env string, to Position, deployed Deployed) error {
	if !deployed.Exists {
		return nil // a new environment may begin in any phase
	}
	for _, state := range []migration.State{deployed.Reached, deployed.Begun} {
		if !migration.Follows(state, to.State()) {
			return fmt.Errorf("cdk.json says %s, which does not follow %s, where %s in %s is: deploy one step at a time", to, state, env, deployed.Region)
		}
	}
	return nil
}

// Changes says in words what the deployment of a position does after that of
// another, a line each: where the paths go, what is dropped, what starts and
// stops. The deployment is one that [ReadContext] has filled in.
func Changes(d config.Deployment, from, to Position) []string {
	before := d.Plan(config.Settings{Phase: from.Phase, Shift: from.Shift})
	after := d.Plan(config.Settings{Phase: to.Phase, Shift: to.Shift})
	var lines []string
	asked := func(p migration.Plan) map[string]bool { // who gets requests
		names := map[string]bool{}
		add := func(targets []migration.Target) {
			for _, target := range targets {
				names[target.Group] = names[target.Group] || target.Weight > 0
			}
		}
		for _, b := range p.Balancers {
			add(b.Default)
		}
		for _, service := range d.Services {
			for _, path := range service.Paths {
				add(p.At(service.LoadBalancer).Answers(path))
			}
		}
		return names
	}
	at := func(balancer string) string {
		if balancer == "" {
			return ""
		}
		return " at " + balancer
	}
	askedBefore, askedAfter := asked(before), asked(after)
	for _, service := range d.All() {
		was, is := before.Tasks[service.Name], after.Tasks[service.Name]
		switch {
		case was == is:
		case was.Count == 0 && askedAfter[service.Name]:
			lines = append(lines, fmt.Sprintf("%s starts, with %s", service.Name, tasks(is.Count)))
		case was.Count == 0:
			lines = append(lines, fmt.Sprintf("%s starts, with %s, and gets no requests yet", service.Name, tasks(is.Count)))
		case is.Count == 0:
			lines = append(lines, fmt.Sprintf("%s stops; its service stays, without tasks", service.Name))
		case is.Kept:
			lines = append(lines, fmt.Sprintf("%s scales, from %d to %s", service.Name, is.Count, tasks(is.Max)))
		default:
			lines = append(lines, fmt.Sprintf("%s runs %s, however many it has been scaled to", service.Name, tasks(is.Count)))
		}
	}
	for _, service := range d.Services {
		was, is := before.At(service.LoadBalancer), after.At(service.LoadBalancer)
		for _, path := range service.Paths {
			what := path + at(service.LoadBalancer)
			if line := goes(what, is.Answers(path)); line != goes(what, was.Answers(path)) {
				lines = append(lines, line)
			}
		}
	}
	for i, b := range after.Balancers {
		if !slices.Equal(before.Balancers[i].Default, b.Default) {
			targets := slices.DeleteFunc(slices.Clone(b.Default), func(t migration.Target) bool { return t.Weight == 0 })
			lines = append(lines, goes("everything else"+at(b.Name), targets))
		}
	}
	for _, service := range d.All() {
		if askedBefore[service.Name] && !askedAfter[service.Name] && after.Tasks[service.Name].Count > 0 {
			lines = append(lines, fmt.Sprintf("%s gets nothing any more, and goes on running", service.Name))
		}
	}
	return lines
}

func tasks(n int) string {
	if n == 1 {
		return "1 task"
	}
	return fmt.Sprintf("%d tasks", n)
}

// goes says where requests go.
func goes(what string, targets []migration.Target) string {
	if len(targets) == 1 {
		if targets[0].Group == migration.DropGroup {
			return what + " is answered with 503"
		}
		return what + " goes to " + targets[0].Group
	}
	var parts []string
	for _, target := range targets { // of a shift, whose weights add up to 100
		parts = append(parts, fmt.Sprintf("%d %% to %s", target.Weight, target.Group))
	}
	return what + " goes " + strings.Join(parts, " and ")
}

package migration_test

import (
	"maps"
	"reflect"
	"slices"
	"testing"

	"cutover/migration"
)

// A load balancer's stack is updated like this: CloudFormation creates and updates in any order, and
// deletes at the end, in any order. The stacks of the services follow. So at each moment, some of
// the changes of a step are done and others are not.

// shop has a service that takes some requests from another one, and a service with testers.
func shop(keepRest bool) migration.Migration {
	return migration.Migration{
		KeepRest: keepRest,
		Monolith: migration.Service{Name: "shop", Tasks: 1, Routes: []migration.Route{{Match: migration.Match{Paths: []string{"/api*"}}}}},
		Services: []migration.Service{
			{Name: "writes", Tasks: 1, Routes: []migration.Route{
				{Name: "users", Order: 5, Match: migration.Match{Paths: []string{"/api/users*"}, Methods: []string{"POST"}}},
			}},
			{Name: "users", Tasks: 1, Root: true, Routes: []migration.Route{{Order: 10, Match: migration.Match{Paths: []string{"/api/users*"}}}}},
			{Name: "posts", Tasks: 1, Routes: []migration.Route{
				{Order: 20, Match: migration.Match{Paths: []string{"/api/posts*"}}, Testers: map[string][]string{"X-Tester": {"yes"}}},
			}},
		},
	}
}

// positions lists the positions of a migration: places of all kinds, and one phase for all.
func positions(m migration.Migration) []migration.Position {
	places := []migration.Place{{}, {Phase: migration.Parallel}, {Phase: migration.Parallel, Shifted: true, Percent: 10}, {Phase: migration.Switched}}
	var all []migration.Position
	for _, writes := range places {
		for _, users := range places {
			for _, posts := range places {
				all = append(all, migration.At(map[string]migration.Place{"writes/users": writes, "users": users, "posts": posts}, migration.Monolith))
			}
		}
	}
	for _, phase := range migration.Phases() {
		if phase >= migration.Retired && m.KeepRest {
			break
		}
		all = append(all, migration.Position{Phase: phase})
		if phase >= migration.Retired {
			all = append(all, migration.Position{Phase: phase}.Each(m.Services))
		}
	}
	return append(all, migration.Position{Phase: migration.Parallel, Shift: map[string]int{"users": 10, "posts": 100}})
}

// action is a listener rule, or the default action of a listener, which has no ID.
type action struct{ service, route, id string }

func actions(b migration.Balancer) map[action]migration.Rule {
	all := map[action]migration.Rule{{}: {Priority: 100000, Targets: b.Default}}
	for _, r := range b.Rules {
		all[action{r.Service, r.Route, r.ID}] = r
	}
	return all
}

// answering is a load balancer with these actions.
func answering(all map[action]migration.Rule) migration.Balancer {
	var b migration.Balancer
	for of, r := range all {
		if of == (action{}) {
			b.Default = r.Targets
		} else {
			b.Rules = append(b.Rules, r)
		}
	}
	slices.SortFunc(b.Rules, func(x, y migration.Rule) int { return x.Priority - y.Priority })
	return b
}

// subsets calls what with each subset of the changes.
func subsets(changes []action, what func(done []action)) {
	for bits := range 1 << len(changes) {
		var done []action
		for i, change := range changes {
			if bits>>i&1 == 1 {
				done = append(done, change)
			}
		}
		what(done)
	}
}

// moments calls what with the load balancer at each moment of an update.
func moments(before, after migration.Balancer, what func(migration.Balancer)) {
	from, to := actions(before), actions(after)
	var set, gone []action
	for of, r := range to {
		if was, ok := from[of]; !ok || !reflect.DeepEqual(was, r) {
			set = append(set, of)
		}
	}
	for of := range from {
		if _, stays := to[of]; !stays {
			gone = append(gone, of)
		}
	}
	// A rule is there only with the rules that have to be before it.
	complete := func(now map[action]migration.Rule) bool {
		for _, r := range now {
			for _, priority := range r.After {
				if !slices.ContainsFunc(slices.Collect(maps.Values(now)), func(other migration.Rule) bool { return other.Priority == priority }) {
					return false
				}
			}
		}
		return true
	}
	at := func(set, gone []action) {
		now := maps.Clone(from)
		for _, of := range set {
			now[of] = to[of]
		}
		for _, of := range gone {
			delete(now, of)
		}
		if complete(now) {
			what(answering(now))
		}
	}
	subsets(set, func(done []action) { at(done, nil) })
	subsets(gone, func(done []action) { at(set, done) })
}

// TestEveryMomentOfAnUpdate: at no moment of a step that the gate allows does a request go to a
// service that has no task. At no moment do two rules have one priority. A request goes to a service
// that answered it before or answers it afterwards, or for a moment to the monolith.
func TestEveryMomentOfAnUpdate(t *testing.T) {
	t.Parallel()
	for _, keepRest := range []bool{false, true} {
		m := shop(keepRest)
		probes := []migration.Match{{Paths: []string{"/"}}, {Paths: []string{"/api/tags"}}, {Paths: []string{"/api/"}}}
		for _, s := range m.Services {
			for _, r := range s.Routes {
				probes = append(probes, r.Match)
				if r.Testers != nil {
					probes = append(probes, migration.Match{Paths: r.Paths, Headers: r.Testers})
				}
			}
		}
		steps := 0
		for _, from := range positions(m) {
			for _, next := range positions(m) {
				if !m.Follows(m.State(from), m.State(next)) {
					continue
				}
				steps++
				before, after := m.Plan(from), m.Plan(next)
				moments(before.At(""), after.At(""), func(b migration.Balancer) {
					for i := range b.Rules[1:] {
						if b.Rules[i].Priority == b.Rules[i+1].Priority {
							t.Fatalf("%v → %v: two rules have the priority %d", from, next, b.Rules[i].Priority)
						}
					}
					for _, probe := range probes {
						for _, target := range b.Answers(probe) {
							to := func(b migration.Balancer) bool {
								return slices.ContainsFunc(b.Answers(probe), func(t migration.Target) bool { return t.Group == target.Group })
							}
							if !to(before.At("")) && !to(after.At("")) && target.Group != m.Monolith.Name {
								t.Fatalf("%v → %v: %v goes to %s on the way", from, next, probe, target.Group)
							}
							// The tasks are still those before.
							if target.Group != migration.DropGroup && before.Tasks[target.Group].Count == 0 {
								t.Fatalf("%v → %v: %v goes to %s, which has no task", from, next, probe, target.Group)
							}
						}
					}
				})
				for _, probe := range probes {
					for _, target := range after.At("").Answers(probe) {
						if target.Group != migration.DropGroup && after.Tasks[target.Group].Count == 0 {
							t.Fatalf("%v: %v goes to %s, which has no task", next, probe, target.Group)
						}
					}
				}
			}
		}
		if steps < 500 {
			t.Errorf("only %d steps are looked at", steps)
		}
	}
}

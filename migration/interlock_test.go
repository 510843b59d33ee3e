package migration_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"cutover/migration"
)

type state = migration.State

// forum has two services, and so all that two services can do to one another.
var forum = migration.Migration{Monolith: api, Services: []migration.Service{threads, users}}

var (
	monolithState = state{Phase: migration.Monolith}
	parallelState = state{Phase: migration.Parallel}
	shiftState    = state{Phase: migration.Parallel, Shift: true}
	switchedState = state{Phase: migration.Switched}
	keptState     = state{Phase: migration.Switched, KeepRest: true}
	retiredState  = state{Phase: migration.Retired}
	removedState  = state{Phase: migration.Removed}
)

// follows is the whole rule of one phase for all, written out: what may be deployed after what.
var follows = map[state][]state{
	monolithState: {monolithState, parallelState},
	parallelState: {monolithState, parallelState, shiftState, switchedState, keptState},
	shiftState:    {parallelState, shiftState, switchedState, keptState},
	switchedState: {parallelState, shiftState, switchedState, keptState, retiredState},
	keptState:     {parallelState, shiftState, switchedState, keptState},
	retiredState:  {switchedState, keptState, retiredState, removedState},
	removedState:  {retiredState, removedState},
}

// next is the rule of the traffic of one service.
var next = map[string][]string{
	"monolith": {"monolith", "parallel"},
	"parallel": {"monolith", "parallel", "shift", "switched"},
	"shift":    {"parallel", "shift", "switched"},
	"switched": {"parallel", "shift", "switched"},
}

// apart lists the states in which each service has a place of its own.
func apart() (all []state) {
	for one := range next {
		for other := range next {
			at := state{Phase: migration.Switched, Places: "threads=" + one + ",users=" + other}
			for _, place := range []string{one, other} {
				switch place {
				case "monolith":
					at.Phase = migration.Monolith
				case "parallel", "shift":
					at.Phase = min(at.Phase, migration.Parallel)
				}
			}
			all = append(all, at)
		}
	}
	const done = "threads=switched,users=switched"
	return append(all, state{Phase: migration.Switched, KeepRest: true, Places: done},
		state{Phase: migration.Retired, Places: done}, state{Phase: migration.Removed, Places: done})
}

// forAll is the state of one phase for all in which the services are where they are, too. A state
// with a share is none: a phase for all does not say which services have one.
func forAll(s state) (state, bool) {
	if s.Places == "" {
		return s, true
	}
	for _, all := range []state{monolithState, parallelState, switchedState, keptState, retiredState, removedState} {
		place := min(all.Phase, migration.Switched).String()
		if s.Places == "threads="+place+",users="+place && s.Phase == all.Phase && s.KeepRest == all.KeepRest {
			return all, true
		}
	}
	return state{}, false
}

// services returns where the services are: "monolith", "parallel", "shift" or "switched".
func services(s state) []string {
	if s.Places == "" {
		place := min(s.Phase, migration.Switched).String()
		if s.Shift {
			place = "shift"
		}
		return []string{place, place}
	}
	var places []string
	for part := range strings.SplitSeq(s.Places, ",") {
		_, place, _ := strings.Cut(part, "=")
		places = append(places, place)
	}
	return places
}

// legal says whether a state may follow another one.
func legal(after, to state) bool {
	was, is := services(after), services(to)
	for i := range was {
		if !slices.Contains(next[was[i]], is[i]) {
			return false
		}
	}
	whole := func(s state) state { // once all services are switched
		if s.Phase < migration.Switched {
			return parallelState // anything before
		}
		return state{Phase: s.Phase, KeepRest: s.KeepRest}
	}
	return slices.Contains(follows[whole(after)], whole(to))
}

// names is what stacks hold: a name for each of their resources.
type names map[string]string

func held(locks []migration.Lock, of func(migration.Lock) []migration.Parameter) names {
	n := names{}
	for _, lock := range locks {
		for _, p := range of(lock) {
			id := lock.Balancer + " " + p.ID
			if n[id] != "" {
				panic("two parameters have the id " + id)
			}
			n[id] = p.Name
		}
	}
	return n
}

// taken does what CloudFormation does with a stack whose resources have names that can exist once:
// it creates what is new, and deletes what is gone only when everything was created.
func taken(stack, next, other names) bool {
	exists := map[string]bool{}
	for _, names := range []names{stack, other} {
		for _, name := range names {
			exists[name] = true
		}
	}
	for id, name := range next {
		if stack[id] != name && exists[name] {
			return false
		}
		exists[name] = true
	}
	return true
}

// Deployments that end after their first stack or go through to the last one, in every order: what
// is taken follows both what was begun and what was reached. What follows both is taken, unless it
// passes from one phase for all to places or back.
func TestInterlock(t *testing.T) {
	gates, lasts := map[state]names{}, map[state]names{}
	all := apart()
	for s := range follows {
		all = append(all, s)
	}
	for _, s := range all {
		locks := forum.Locks(s)
		gates[s] = held(locks, func(l migration.Lock) []migration.Parameter { return l.Gate })
		lasts[s] = held(locks, func(l migration.Lock) []migration.Parameter { return l.Last })
	}
	type deployed struct{ begun, reached state }
	var todo []deployed
	for _, s := range all {
		todo = append(todo, deployed{s, s}) // a new environment may begin anywhere
	}
	seen := map[deployed]bool{}
	for len(todo) > 0 {
		at := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		if seen[at] {
			continue
		}
		seen[at] = true
		if !taken(lasts[at.reached], lasts[at.begun], gates[at.begun]) {
			t.Fatalf("the last stack of %v is refused after %v", at.begun, at.reached)
		}
		todo = append(todo, deployed{at.begun, at.begun})
		for _, to := range all {
			want := legal(at.begun, to) && legal(at.reached, to)
			passes := (at.begun.Places == "") != (to.Places == "") || (at.reached.Places == "") != (to.Places == "")
			got := taken(gates[at.begun], gates[to], lasts[at.reached])
			if got {
				todo = append(todo, deployed{to, at.reached})
			}
			switch {
			// The names of one phase for all are older than removed. Retired counts once it was begun.
			case at.reached == switchedState && to == removedState && (at.begun == retiredState || at.begun == removedState):
			// The way back from retired to a rest that the monolith has leads over switched.
			case to.KeepRest && !got && at.begun.Phase == migration.Retired:
			case got && !want:
				t.Fatalf("after %v was begun and %v reached, %v is taken", at.begun, at.reached, to)
			case !got && want && !passes:
				t.Fatalf("after %v was begun and %v reached, %v is refused", at.begun, at.reached, to)
			case at.begun != at.reached:
			case got != forum.Follows(at.begun, to):
				t.Fatalf("%v is taken after %v: %t, and Follows says %t", to, at.begun, got, !got)
			case passes && !got:
				// In one place, services pass over and move nothing.
				from, ok := forAll(at.begun)
				over, ok2 := forAll(to)
				if ok && ok2 && from == over && from.Phase <= migration.Switched {
					t.Fatalf("%v does not pass over to %v", at.begun, to)
				}
			}
		}
	}
	if len(seen) < 150 {
		t.Errorf("only %d pairs of states were seen", len(seen))
	}
}

// What a pair of deployments leaves behind tells them apart: a state that was reached, and the one
// that was begun after it.
func TestDeployed(t *testing.T) {
	all := apart()
	for s := range follows {
		all = append(all, s)
	}
	for _, from := range all {
		for _, to := range all {
			values := map[string]string{}
			for _, lock := range forum.Locks(from) {
				for _, p := range lock.Last {
					values[p.Name] = p.Value
				}
			}
			for _, lock := range forum.Locks(to) {
				for _, p := range lock.Gate {
					values[p.Name] = p.Value
				}
			}
			got, err := forum.Deployed(values)
			if !forum.Follows(from, to) { // what nothing leaves behind is not taken for a deployment
				if got.Exact && got.Reached == from && got.Begun == to {
					t.Fatalf("%v after %v, which is refused: %+v, %v\n%v", to, from, got, err, values)
				}
				continue
			}
			if err != nil || got != (migration.Deployed{Exists: true, Reached: from, Begun: to, Exact: true}) {
				t.Fatalf("%v after %v: %+v, %v\n%v", to, from, got, err, values)
			}
		}
	}
	for text, values := range map[string]map[string]string{
		"exists false, exact false <nil>": {"phase-gate/begun/monolith": "monolith"},
		"exists true, exact false <nil>":  {"phase": "parallel", "phase-gate/reached/retired": "retired"},
		`exists false, exact false phase: "x" is not a phase: choose one of monolith, parallel, switched, retired, removed`: {"phase": "x"},
		`exists false, exact false phase-places: "x" is not SERVICE=STATE`:                                                  {"phase-places": "x"},
		`exists false, exact false phase-gate/places: "users=x" is not a state of a service`:                                {"phase-gate/places": "users=x"},
	} {
		deployed, err := forum.Deployed(values)
		if got := fmt.Sprintf("exists %t, exact %t %v", deployed.Exists, deployed.Exact, err); got != text {
			t.Errorf("%v: %s, want %s", values, got, text)
		}
	}
	// Names of which one begins with the other.
	m := migration.Migration{Monolith: api}
	for _, key := range [][2]string{{"users", ""}, {"users", "writes"}, {"users-old", ""}} {
		m.Services = append(m.Services, migration.Service{Name: key[0], Routes: []migration.Route{{Name: key[1]}}})
	}
	s := m.State(migration.At(map[string]migration.Place{"users": {Phase: migration.Parallel}, "users/writes": {}, "users-old": {}}, migration.Monolith))
	left := map[string]string{}
	for _, lock := range m.Locks(s) {
		for _, p := range append(lock.Gate, lock.Last...) {
			left[p.Name] = p.Value
		}
	}
	if got, err := m.Deployed(left); got != (migration.Deployed{Exists: true, Reached: s, Begun: s, Exact: true}) || err != nil {
		t.Errorf("%v is read as %+v, %v", s, got, err)
	}
	// A first deployment that is not complete, with services in several places.
	values := map[string]string{"phase": "places", "phase-gate/places": "threads=monolith,users=parallel"}
	if got, err := forum.Deployed(values); got.Exists || err != nil {
		t.Errorf("%v: %+v, %v", values, got, err)
	}
}

// The parameters of a stack stay below 500 resources with as many routes as a load balancer has
// rules for, and those of one load balancer stand in stacks of their own.
func TestLocksOfManyServices(t *testing.T) {
	m := migration.Migration{Monolith: api}
	places := map[string]migration.Place{}
	for i := range 5 * 98 {
		// As long as names can be, and a name of a route as long again.
		s := migration.Service{Name: fmt.Sprintf("a-service-with-a-name-%010d", i), Routes: []migration.Route{{Name: fmt.Sprintf("a-route-with-a-long-name-%07d", i), Order: i%98 + 1}}}
		if n := i / 98; n > 0 {
			s.LoadBalancer = fmt.Sprintf("further-%d", n)
		}
		if i == 0 { // 99 routes and the monolith's have the 100 rules of a load balancer
			s.Routes = append(s.Routes, migration.Route{Name: "another-route", Order: 99})
		}
		m.Services = append(m.Services, s)
		for _, r := range s.Routes {
			places[migration.Key(s.Name, r.Name)] = migration.Place{Phase: migration.Switched}
		}
	}
	most := 0
	for _, phase := range []migration.Phase{migration.Switched, migration.Retired, migration.Removed} {
		locks := m.Locks(m.State(migration.At(places, phase)))
		if len(locks) != 5 {
			t.Fatalf("%v: %d stacks", phase, len(locks))
		}
		for _, lock := range locks {
			most = max(most, len(lock.Gate))
			if len(lock.Gate) > 500 || len(lock.Last) > 500 {
				t.Errorf("%v: %d and %d parameters at %q", phase, len(lock.Gate), len(lock.Last), lock.Balancer)
			}
			for _, p := range slices.Concat(lock.Gate, lock.Last) {
				if len(p.Value) > 4096 && p.ID != migration.PlacesID || len(p.Value) > 8192 || len(p.Name) > 1000 {
					t.Errorf("the value of %s has %d characters", p.Name, len(p.Value))
				}
			}
		}
	}
	if most != 500 {
		t.Errorf("the largest stack has %d parameters, want 500", most)
	}
	// Nothing is lost or named twice.
	count := map[string]int{}
	for _, lock := range m.Locks(m.State(migration.At(places, migration.Switched))) {
		for _, p := range lock.Gate {
			count[p.Name]++
		}
	}
	if n := slices.Max(slices.Collect(maps.Values(count))); n != 1 || count["phase-gate-further-4/begun/a-service-with-a-name-0000000489/a-route-with-a-long-name-0000489/switched"] != 1 {
		t.Errorf("a name is there %d times", n)
	}
}

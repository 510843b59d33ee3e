package migration_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"cutover/internal/migration"
)

var (
	api     = migration.Service{Name: "api", Paths: []string{"/api*"}, Tasks: 1}
	users   = migration.Service{Name: "users", Paths: []string{"/api/users*"}, Order: 10, Tasks: 2}
	threads = migration.Service{Name: "threads", Paths: []string{"/api/threads*", "/t/*"}, Order: 20, Tasks: 3}
)

// show writes a plan the way a person would note it down.
func show(p migration.Plan) string {
	var b strings.Builder
	targets := func(targets []migration.Target) string {
		var parts []string
		for _, t := range targets {
			parts = append(parts, fmt.Sprintf("%s:%d", t.Group, t.Weight))
		}
		return strings.Join(parts, " ")
	}
	for _, r := range p.Rules {
		fmt.Fprintf(&b, "%5d %s -> %s\n", r.Priority, strings.Join(r.Paths, " "), targets(r.Targets))
	}
	fmt.Fprintf(&b, "default -> %s\n", targets(p.Default))
	for _, name := range p.Groups {
		if tasks, ok := p.Tasks[name]; ok {
			fmt.Fprintf(&b, "%s: %d tasks\n", name, tasks)
		} else {
			fmt.Fprintf(&b, "%s: no service\n", name)
		}
	}
	return b.String()
}

func TestPlan(t *testing.T) {
	tests := []struct {
		phase migration.Phase
		shift map[string]int
		want  string
	}{
		{phase: migration.Monolith, want: `
10000 /api* -> api:1
20010 /api/users* -> users:1
20020 /api/threads* /t/* -> threads:1
default -> api:1 drop-traffic:0
api: 1 tasks
users: 0 tasks
threads: 0 tasks
drop-traffic: no service
`},
		{phase: migration.Parallel, want: `
10000 /api* -> api:1
20010 /api/users* -> users:1
20020 /api/threads* /t/* -> threads:1
default -> api:1 drop-traffic:0
api: 1 tasks
users: 2 tasks
threads: 3 tasks
drop-traffic: no service
`},
		{phase: migration.Parallel, shift: map[string]int{"users": 10, "threads": 0}, want: `
 1010 /api/users* -> users:10 api:90
 1020 /api/threads* /t/* -> threads:0 api:100
10000 /api* -> api:1
20010 /api/users* -> users:1
20020 /api/threads* /t/* -> threads:1
default -> api:1 drop-traffic:0
api: 1 tasks
users: 2 tasks
threads: 3 tasks
drop-traffic: no service
`},
		{phase: migration.Switched, want: `
20010 /api/users* -> users:1
20020 /api/threads* /t/* -> threads:1
default -> api:0 drop-traffic:1
api: 1 tasks
users: 2 tasks
threads: 3 tasks
drop-traffic: no service
`},
		{phase: migration.Retired, want: `
20010 /api/users* -> users:1
20020 /api/threads* /t/* -> threads:1
default -> api:0 drop-traffic:1
api: 0 tasks
users: 2 tasks
threads: 3 tasks
drop-traffic: no service
`},
	}
	for _, test := range tests {
		t.Run(fmt.Sprint(test.phase, test.shift), func(t *testing.T) {
			got := "\n" + show(migration.NewPlan(test.phase, api, []migration.Service{users, threads}, test.shift))
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// Adding or removing a service must not move another's rule.
func TestPrioritiesDoNotDependOnOthers(t *testing.T) {
	priorities := func(services ...migration.Service) map[string]int {
		m := map[string]int{}
		for _, r := range migration.NewPlan(migration.Parallel, api, services, map[string]int{"users": 5, "threads": 5}).Rules {
			m[r.Service+r.ID] = r.Priority
		}
		return m
	}
	all := priorities(users, threads)
	for name, priority := range priorities(threads) {
		if all[name] != priority {
			t.Errorf("%s moved from %d to %d when a service was removed", name, all[name], priority)
		}
	}
}

func TestParsePhase(t *testing.T) {
	for _, p := range migration.Phases() {
		if got, err := migration.ParsePhase(p.String()); err != nil || got != p {
			t.Errorf("ParsePhase(%q) = %v, %v", p, got, err)
		}
	}
	if _, err := migration.ParsePhase("Phase(7)"); err == nil {
		t.Error("ParsePhase takes what is no phase")
	}
	if got := migration.Phase(7).String(); got != "Phase(7)" {
		t.Errorf("String of no phase is %q", got)
	}
}

// Every pair of states that a deployment may be in and be taken to: a phase,
// with or without a shift. The table is the whole rule, written out.
func TestInterlock(t *testing.T) {
	type state struct {
		phase migration.Phase
		shift bool
	}
	monolith, parallel, shifted := state{migration.Monolith, false}, state{migration.Parallel, false}, state{migration.Parallel, true}
	switched, retired := state{migration.Switched, false}, state{migration.Retired, false}
	allowed := map[state][]state{
		monolith: {monolith, parallel},
		parallel: {monolith, parallel, shifted, switched},
		shifted:  {monolith, parallel, shifted, switched},
		switched: {parallel, shifted, switched, retired},
		retired:  {switched, retired},
	}
	claims := func(s state) []string {
		if s.shift {
			return migration.Claims(s.phase, map[string]int{"users": 10})
		}
		return migration.Claims(s.phase, nil)
	}
	for from, next := range allowed {
		for to := range allowed {
			blocks := migration.Blocks(from.phase)
			refused := slices.ContainsFunc(claims(to), func(claim string) bool { return slices.Contains(blocks, claim) })
			if want := !slices.Contains(next, to); refused != want {
				t.Errorf("from %v to %v: refused %t, want %t", from, to, refused, want)
			}
		}
		// What is deployed holds both, so no name may be in both.
		for _, claim := range claims(from) {
			if slices.Contains(migration.Blocks(from.phase), claim) {
				t.Errorf("%v claims %q and blocks it", from, claim)
			}
		}
	}
}

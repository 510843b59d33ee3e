package migration_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"cutover/migration"
)

// placed is a position of routes, as in "users=10%,threads=switched,api=retired".
func placed(t *testing.T, text string) migration.Position {
	t.Helper()
	places, monolith := map[string]migration.Place{}, migration.Monolith
	for part := range strings.SplitSeq(text, ",") {
		key, value, _ := strings.Cut(part, "=")
		var err error
		if key == "api" {
			monolith, err = migration.ParsePhase(value)
		} else {
			places[key], err = migration.ParsePlace(value)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return migration.At(places, monolith)
}

func TestPlanOfPlaces(t *testing.T) {
	writing := users
	writing.Routes = []migration.Route{
		{Match: users.Routes[0].Match, Order: 10, Testers: map[string][]string{"Cookie": {"*canary=1*"}}},
		{Name: "writes", Order: 5, Match: migration.Match{Paths: []string{"/api/users*"}, Methods: []string{"POST", "PUT"}, Headers: map[string][]string{"X-Team": {"a"}}},
			Testers: map[string][]string{"X-Tester": {"yes"}}},
	}
	press := threads
	press.LoadBalancer = "press"
	two := migration.Migration{Monolith: api, Services: []migration.Service{users, threads}}
	kept := two
	kept.KeepRest = true
	routes := migration.Migration{Monolith: api, Services: []migration.Service{writing}}
	balancers := migration.Migration{Monolith: api, Services: []migration.Service{users, press}}
	beside := migration.Migration{Monolith: api, Services: []migration.Service{writing, threads}, KeepRest: true, Existing: true, Priorities: migration.Window{First: 100, Last: 199}}
	for _, test := range []struct {
		name string
		m    migration.Migration
		at   migration.Position
		want string
	}{
		{"a share", two, placed(t, "users=10%,threads=monolith"), `
 1010 /api/users* -> users:10 api:90
10000 /api* -> api:1
20020 /api/threads* or /t/* -> threads:1
default -> api:1 drop-traffic:0
api: 1 tasks
users: 2 tasks
threads: 0 tasks
drop-traffic: no service
`},
		{"switched beside one that has a share of nothing", two, placed(t, "users=switched,threads=0%"), `
 1010 /api/users* -> users:1
 1020 /api/threads* or /t/* -> threads:0 api:100
10000 /api* -> api:1
default -> api:1 drop-traffic:0
api: 1 tasks
users: 2 tasks
threads: 3 tasks
drop-traffic: no service
`},
		{"all are switched", two, placed(t, "users=switched,threads=switched"), `
 1010 /api/users* -> users:1
 1020 /api/threads* or /t/* -> threads:1
default -> api:0 drop-traffic:1
api: 1 tasks
users: 2 tasks
threads: 3 tasks
drop-traffic: no service
`},
		{"retired", two, placed(t, "users=switched,threads=switched,api=retired"), `
 1010 /api/users* -> users:1
 1020 /api/threads* or /t/* -> threads:1
default -> api:0 drop-traffic:1
api: 0 tasks
users: 2 tasks
threads: 3 tasks
drop-traffic: no service
`},
		{"removed", two, placed(t, "users=switched,threads=switched,api=removed"), `
 1010 /api/users* -> users:1
 1020 /api/threads* or /t/* -> threads:1
default -> drop-traffic:1
users: 2 tasks
threads: 3 tasks
drop-traffic: no service
`},
		{"removed, one phase for all", two, migration.Position{Phase: migration.Removed}, `
20010 /api/users* -> users:1
20020 /api/threads* or /t/* -> threads:1
default -> drop-traffic:1
users: 2 tasks
threads: 3 tasks
drop-traffic: no service
`},
		{"the rest stays, all are switched", kept, placed(t, "users=switched,threads=switched"), `
 1010 /api/users* -> users:1
 1020 /api/threads* or /t/* -> threads:1
10000 /api* -> api:1
default -> api:1 drop-traffic:0
api: 1 tasks
users: 2 tasks
threads: 3 tasks
drop-traffic: no service
`},
		{"the rest stays, one phase for all", kept, migration.Position{Phase: migration.Switched}, `
 1010 /api/users* -> users:1
 1020 /api/threads* or /t/* -> threads:1
10000 /api* -> api:1
default -> api:1 drop-traffic:0
api: 1 tasks
users: 2 tasks
threads: 3 tasks
drop-traffic: no service
`},
		{"the rest stays, a share of one phase for all", kept, migration.Position{Phase: migration.Parallel, Shift: map[string]int{"threads": 5}}, `
 1020 /api/threads* or /t/* -> threads:5 api:95
10000 /api* -> api:1
20010 /api/users* -> users:1
default -> api:1 drop-traffic:0
api: 1 tasks
users: 2 tasks
threads: 3 tasks
drop-traffic: no service
`},
		{"some of the requests first", routes, placed(t, "users=monolith,users/writes=switched"), `
 1005 /api/users* with method POST or PUT and header X-Team a -> users:1
10000 /api* -> api:1
20010 /api/users* -> users:1
default -> api:1 drop-traffic:0
api: 1 tasks
users: 2 tasks
drop-traffic: no service
`},
		{"testers before everybody", routes, placed(t, "users=0%,users/writes=0%"), `
    5 /api/users* with method POST or PUT and header X-Team a and header X-Tester yes -> users:1
   10 /api/users* with header Cookie *canary=1* -> users:1
 1005 /api/users* with method POST or PUT and header X-Team a -> users:0 api:100
 1010 /api/users* -> users:0 api:100
10000 /api* -> api:1
default -> api:1 drop-traffic:0
api: 1 tasks
users: 2 tasks
drop-traffic: no service
`},
		{"no testers without a share", routes, placed(t, "users=parallel,users/writes=switched"), `
 1005 /api/users* with method POST or PUT and header X-Team a -> users:1
10000 /api* -> api:1
20010 /api/users* -> users:1
default -> api:1 drop-traffic:0
api: 1 tasks
users: 2 tasks
drop-traffic: no service
`},
		// One service is not switched, so no load balancer drops anything.
		{"a load balancer that is done", balancers, placed(t, "users=switched,threads=parallel"), `
 1010 /api/users* -> users:1
10000 /api* -> api:1
default -> api:1 drop-traffic:0
api: 1 tasks
users: 2 tasks
drop-traffic: no service
at press
10000 /api* -> api:1
20020 /api/threads* or /t/* -> threads:1
default -> api:1 drop-traffic:0
api-press: 1 tasks
threads-press: 3 tasks
drop-traffic-press: no service
`},
		{"removed at each load balancer", balancers, placed(t, "users=switched,threads=switched,api=removed"), `
 1010 /api/users* -> users:1
default -> drop-traffic:1
users: 2 tasks
drop-traffic: no service
at press
 1020 /api/threads* or /t/* -> threads:1
default -> drop-traffic:1
threads-press: 3 tasks
drop-traffic-press: no service
`},
		{"beside a monolith that exists, parked", beside, placed(t, "threads=parallel"), `
  154 /api/users* with method POST or PUT and header X-Team a -> users:0 api:100
  159 any path with host users.parked.invalid -> users:1
  169 any path with host threads.parked.invalid -> threads:1
default -> api:1
users: 0 tasks
threads: 3 tasks
`},
		{"beside a monolith that exists", beside, placed(t, "users=10%,users/writes=parallel,threads=switched"), `
  109 /api/users* with header Cookie *canary=1* -> users:1
  154 /api/users* with method POST or PUT and header X-Team a -> users:0 api:100
  159 /api/users* -> users:10 api:90
  169 /api/threads* or /t/* -> threads:1
default -> api:1
users: 2 tasks
threads: 3 tasks
`},
	} {
		t.Run(test.name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, "\n"+show(test.m.Plan(test.at))); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
	// The rules for testers are copies: the list of services stays as it was.
	if got := writing.Routes[1].Headers; len(got) != 1 {
		t.Errorf("the route has the headers %v", got)
	}
}

// The root service takes the root paths over only when nothing is left to the monolith.
func TestRootOfPlaces(t *testing.T) {
	root := users
	root.Root = true
	m := migration.Migration{Monolith: api, Services: []migration.Service{root, threads}}
	for text, want := range map[string]string{
		"users=switched,threads=parallel":               "[{api 1}]",
		"users=switched,threads=switched":               "[{users 1}]",
		"users=switched,threads=switched,api=removed":   "[{users 1}]",
		"users=switched,threads=switched, and the rest": "[{api 1}]",
	} {
		text, m.KeepRest = strings.CutSuffix(text, ", and the rest")
		if got := fmt.Sprint(m.Plan(placed(t, text)).At("").Answers(path("/api/"))); got != want {
			t.Errorf("%s, keeps the rest %t: /api/ goes to %s, want %s", text, m.KeepRest, got, want)
		}
	}
}

// How many tasks a service runs that scales: by the furthest of its routes.
func TestTasksOfPlaces(t *testing.T) {
	scaling := migration.Service{Name: "scaling", Tasks: 2, MaxTasks: 6, Routes: []migration.Route{{Order: 1, Match: path("/s*")}, {Name: "late", Order: 2, Match: path("/l*")}}}
	monolith := api
	monolith.MaxTasks = 4
	for _, test := range []struct {
		at            string
		keepRest      bool
		scaling, api_ migration.Tasks
	}{
		{at: "scaling=monolith,scaling/late=monolith", api_: migration.Tasks{Count: 1, Max: 4, Kept: true}},
		{at: "scaling=monolith,scaling/late=parallel", scaling: migration.Tasks{Count: 2, Max: 6}, api_: migration.Tasks{Count: 1, Max: 4, Kept: true}},
		{at: "scaling=0%,scaling/late=monolith", scaling: migration.Tasks{Count: 2, Max: 6, Kept: true}, api_: migration.Tasks{Count: 1, Max: 4, Kept: true}},
		{at: "scaling=switched,scaling/late=monolith", scaling: migration.Tasks{Count: 2, Max: 6, Kept: true}, api_: migration.Tasks{Count: 1, Max: 4, Kept: true}},
		{at: "scaling=switched,scaling/late=switched", scaling: migration.Tasks{Count: 2, Max: 6, Kept: true}, api_: migration.Tasks{Count: 4}},
		{at: "scaling=switched,scaling/late=switched", keepRest: true, scaling: migration.Tasks{Count: 2, Max: 6, Kept: true}, api_: migration.Tasks{Count: 1, Max: 4, Kept: true}},
		{at: "scaling=switched,scaling/late=switched,api=retired", scaling: migration.Tasks{Count: 2, Max: 6, Kept: true}},
	} {
		m := migration.Migration{Monolith: monolith, Services: []migration.Service{scaling}, KeepRest: test.keepRest}
		if diff := cmp.Diff(map[string]migration.Tasks{"api": test.api_, "scaling": test.scaling}, m.Plan(placed(t, test.at)).Tasks); diff != "" {
			t.Errorf("%s, keeps the rest %t (-want +got):\n%s", test.at, test.keepRest, diff)
		}
	}
	m := migration.Migration{Monolith: monolith, Services: []migration.Service{scaling}}
	if tasks, ok := m.Plan(placed(t, "scaling=switched,scaling/late=switched,api=removed")).Tasks["api"]; ok {
		t.Errorf("a removed monolith has %v", tasks)
	}
}

// situation is a position of a migration.
type situation struct {
	migration.Migration
	migration.Position
}

// asked lists the groups that get requests, of the services and of everything else.
func (s situation) asked() (groups []string) {
	b := s.Plan(s.Position).At("")
	for _, match := range []migration.Match{path("/api/users*"), path("/api/threads*"), path("/api*"), path("/other")} {
		for _, target := range b.Answers(match) {
			if target.Group != migration.DropGroup {
				groups = append(groups, target.Group)
			}
		}
	}
	return groups
}

// everywhere lists all positions of two services with and without the rest, one phase for all too.
func everywhere(t *testing.T) (all []situation) {
	t.Helper()
	one := migration.Service{Name: "threads", Tasks: 1, Routes: []migration.Route{{Match: path("/api/threads*"), Order: 20}}}
	drops := migration.Migration{Monolith: api, Services: []migration.Service{one, users}}
	keeps := drops
	keeps.KeepRest = true
	for _, m := range []migration.Migration{drops, keeps} {
		for _, phase := range migration.Phases() {
			if phase <= migration.Switched || !m.KeepRest {
				all = append(all, situation{m, migration.Position{Phase: phase}})
			}
		}
		all = append(all, situation{m, migration.Position{Phase: migration.Parallel, Shift: map[string]int{"users": 10}}})
		places := []string{"monolith", "parallel", "0%", "10%", "switched"}
		for _, one := range places {
			for _, other := range places {
				all = append(all, situation{m, placed(t, "threads="+one+",users="+other)})
			}
		}
	}
	for _, phase := range []string{"retired", "removed"} {
		all = append(all, situation{drops, placed(t, "threads=switched,users=switched,api="+phase)})
	}
	return all
}

// What holds in every position: every group is attached to the load balancer, no two rules have one
// priority, a rule never changes its priority, and requests go only to services that run.
func TestEveryPosition(t *testing.T) {
	priorities := map[string]int{}
	for _, at := range everywhere(t) {
		plan := at.Plan(at.Position)
		b := plan.At("")
		attached, taken := map[string]bool{}, map[int]string{}
		for _, target := range b.Default {
			attached[target.Group] = true
		}
		for _, rule := range b.Rules {
			for _, target := range rule.Targets {
				attached[target.Group] = true
			}
			id := rule.Service + rule.Route + rule.ID
			if other := taken[rule.Priority]; other != "" {
				t.Errorf("%v: %s and %s have the priority %d", at.Position, id, other, rule.Priority)
			}
			taken[rule.Priority] = id
			if before, ok := priorities[id]; ok && before != rule.Priority {
				t.Errorf("%v: the priority of %s is %d, and was %d", at.Position, id, rule.Priority, before)
			}
			priorities[id] = rule.Priority
		}
		if want := slices.Sorted(slices.Values(b.Groups)); !slices.Equal(slices.Sorted(maps.Keys(attached)), want) {
			t.Errorf("%v: the groups %v are attached, want %v", at.Position, slices.Sorted(maps.Keys(attached)), want)
		}
		for _, group := range at.asked() {
			if plan.Tasks[group].Count == 0 {
				t.Errorf("%v: requests go to %s, which has no task", at.Position, group)
			}
		}
	}
}

// No step that the interlock takes stops tasks that get requests, or sends requests to tasks that do
// not run: CloudFormation changes the rules and the counts one after the other.
func TestLegalStepsLoseNothing(t *testing.T) {
	all, legal := everywhere(t), 0
	for _, from := range all {
		for _, to := range all {
			if !from.Follows(from.State(from.Position), to.State(to.Position)) {
				continue
			}
			legal++
			before, after := from.Plan(from.Position), to.Plan(to.Position)
			for _, group := range append(from.asked(), to.asked()...) {
				if before.Tasks[group].Count == 0 || after.Tasks[group].Count == 0 {
					t.Errorf("from %v to %v: %s gets requests, and has no task before or after", from.Position, to.Position, group)
				}
			}
		}
	}
	if legal < 500 {
		t.Errorf("only %d steps are legal", legal)
	}
}

// Finishing a share changes weights only: the rules keep their ids and priorities.
func TestFinishingAShareChangesWeights(t *testing.T) {
	ids := func(text string) (ids []string) {
		for _, rule := range forum.Plan(placed(t, text)).At("").Rules {
			ids = append(ids, fmt.Sprint(rule.Service, rule.ID, rule.Priority))
		}
		return ids
	}
	for _, other := range []string{"monolith", "parallel", "5%"} {
		if diff := cmp.Diff(ids("users=10%,threads="+other), ids("users=switched,threads="+other)); diff != "" {
			t.Errorf("threads in %s (-share +switched):\n%s", other, diff)
		}
	}
}

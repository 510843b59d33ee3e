package migration_test

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"cutover/migration"
)

var (
	api     = migration.Service{Name: "api", Routes: []migration.Route{{Match: migration.Match{Paths: []string{"/api*"}}}}, Tasks: 1}
	users   = migration.Service{Name: "users", Routes: []migration.Route{{Match: migration.Match{Paths: []string{"/api/users*"}}, Order: 10}}, Tasks: 2}
	threads = migration.Service{Name: "threads", Routes: []migration.Route{{Match: migration.Match{Paths: []string{"/api/threads*", "/t/*"}}, Order: 20}}, Tasks: 3}
)

func planOf(phase migration.Phase, shift map[string]int, monolith migration.Service, services []migration.Service) migration.Plan {
	return migration.Migration{Monolith: monolith, Services: services}.Plan(migration.Position{Phase: phase, Shift: shift})
}

func path(pattern string) migration.Match { return migration.Match{Paths: []string{pattern}} }

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
	for _, balancer := range p.Balancers {
		if balancer.Name != "" {
			fmt.Fprintf(&b, "at %s\n", balancer.Name)
		}
		for _, r := range balancer.Rules {
			fmt.Fprintf(&b, "%5d %s -> %s\n", r.Priority, r.Match, targets(r.Targets))
		}
		fmt.Fprintf(&b, "default -> %s\n", targets(balancer.Default))
		for _, group := range balancer.Groups {
			if tasks, ok := p.Tasks[group]; ok {
				fmt.Fprintf(&b, "%s: %d tasks\n", balancer.GroupName(group), tasks.Count)
			} else {
				fmt.Fprintf(&b, "%s: no service\n", balancer.GroupName(group))
			}
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
20020 /api/threads* or /t/* -> threads:1
default -> api:1 drop-traffic:0
api: 1 tasks
users: 0 tasks
threads: 0 tasks
drop-traffic: no service
`},
		{phase: migration.Parallel, want: `
10000 /api* -> api:1
20010 /api/users* -> users:1
20020 /api/threads* or /t/* -> threads:1
default -> api:1 drop-traffic:0
api: 1 tasks
users: 2 tasks
threads: 3 tasks
drop-traffic: no service
`},
		{phase: migration.Parallel, shift: map[string]int{"users": 10, "threads": 0}, want: `
 1010 /api/users* -> users:10 api:90
 1020 /api/threads* or /t/* -> threads:0 api:100
10000 /api* -> api:1
20010 /api/users* -> users:1
20020 /api/threads* or /t/* -> threads:1
default -> api:1 drop-traffic:0
api: 1 tasks
users: 2 tasks
threads: 3 tasks
drop-traffic: no service
`},
		{phase: migration.Switched, want: `
20010 /api/users* -> users:1
20020 /api/threads* or /t/* -> threads:1
default -> api:0 drop-traffic:1
api: 1 tasks
users: 2 tasks
threads: 3 tasks
drop-traffic: no service
`},
		{phase: migration.Retired, want: `
20010 /api/users* -> users:1
20020 /api/threads* or /t/* -> threads:1
default -> api:0 drop-traffic:1
api: 0 tasks
users: 2 tasks
threads: 3 tasks
drop-traffic: no service
`},
	}
	for _, test := range tests {
		t.Run(fmt.Sprint(test.phase, test.shift), func(t *testing.T) {
			got := "\n" + show(planOf(test.phase, test.shift, api, []migration.Service{users, threads}))
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
	for _, phase := range []migration.Phase{migration.Monolith, migration.Switched, migration.Retired} {
		with := planOf(phase, map[string]int{"users": 10}, api, []migration.Service{users, threads})
		without := planOf(phase, nil, api, []migration.Service{users, threads})
		if diff := cmp.Diff(without, with); diff != "" {
			t.Errorf("a shift in %s changes something (-without +with):\n%s", phase, diff)
		}
	}
}

// The root paths go to a service that runs, from the switch on. Until then they are the monolith's.
func TestRootService(t *testing.T) {
	root, news := users, migration.Service{Name: "news", LoadBalancer: "press", Routes: []migration.Route{{Match: migration.Match{Paths: []string{"/api/news*"}}, Order: 999}}, Tasks: 1, Root: true}
	root.Root = true
	for _, phase := range migration.Phases() {
		want := map[string]string{"/": "[{api 1}]", "/api": "[{api 1}]", "/api/": "[{api 1}]", "/api/x": "[{api 1}]", "/x": "[{api 1}]"}
		if phase >= migration.Switched {
			want = map[string]string{"/": "[{users 1}]", "/api": "[{users 1}]", "/api/": "[{users 1}]", "/api/x": "[{drop-traffic 1}]", "/x": "[{drop-traffic 1}]"}
		}
		plan := planOf(phase, nil, api, []migration.Service{root, threads, news})
		for path, targets := range want {
			if got := fmt.Sprint(plan.At("").Answers(migration.Match{Paths: []string{path}})); got != targets {
				t.Errorf("%v: %s goes to %s, want %s", phase, path, got, targets)
			}
		}
		without := planOf(phase, nil, api, []migration.Service{users, threads, news})
		if diff := cmp.Diff(without.At("").Default, plan.At("").Default); diff != "" {
			t.Errorf("%v: the rest goes elsewhere (-without +with):\n%s", phase, diff)
		}
		// It is there before the switch, too: see TestEveryMomentOfAnUpdate.
		if got := len(plan.At("").Rules) - len(without.At("").Rules); got != 1 {
			t.Errorf("%v: %d more rules, want 1", phase, got)
		}
	}
	// At the load balancer of the service, in a window of its own.
	rules := planOf(migration.Retired, nil, api, []migration.Service{threads, news}).At("press").Rules
	want := migration.Rule{ID: "Root", Service: "news", Priority: 30999, Match: migration.Match{Paths: []string{"/", "/api", "/api/"}}, Targets: []migration.Target{{Group: "news", Weight: 1}}}
	if diff := cmp.Diff(want, rules[len(rules)-1]); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestRootPaths(t *testing.T) {
	for paths, want := range map[string]string{
		"/api*":         "/ /api /api/",
		"/api/*":        "/ /api /api/",
		"/api* /v2/*":   "/ /api /api/ /v2 /v2/",
		"/api* /api/*":  "/ /api /api/",
		"/*":            "/",
		"/status":       "/",
		"/a*/b* /c?*":   "/",
		"/shop/api*":    "/ /shop/api /shop/api/",
		"/api** /web/*": "/ /web /web/",
	} {
		if got := strings.Join(migration.RootPaths(strings.Fields(paths)), " "); got != want {
			t.Errorf("%s: %s, want %s", paths, got, want)
		}
	}
}

// What the template of a service has in each phase: a count, or autoscaling between
// two, or autoscaling beside a count that it agrees with.
func TestTasks(t *testing.T) {
	steady := migration.Service{Name: "steady", Routes: []migration.Route{{Match: migration.Match{Paths: []string{"/s*"}}, Order: 10}}, Tasks: 2}
	scaling := migration.Service{Name: "scaling", Routes: []migration.Route{{Match: migration.Match{Paths: []string{"/t*"}}, Order: 20}}, Tasks: 2, MaxTasks: 6}
	write := func(t migration.Tasks) string {
		switch {
		case t.Max == 0 && !t.Kept:
			return fmt.Sprintf("%d", t.Count)
		case t.Kept:
			return fmt.Sprintf("%d to %d", t.Count, t.Max)
		}
		return fmt.Sprintf("%d, then to %d", t.Count, t.Max)
	}
	tests := []struct {
		phase                              migration.Phase
		shift                              map[string]int
		steady, scaling, steadyM, scalingM string // as microservices, and as the monolith
	}{
		{phase: migration.Monolith, steady: "0", scaling: "0", steadyM: "2", scalingM: "2 to 6"},
		{phase: migration.Parallel, steady: "2", scaling: "2, then to 6", steadyM: "2", scalingM: "2 to 6"},
		{phase: migration.Parallel, shift: map[string]int{"scaling": 0}, steady: "2", scaling: "2 to 6", steadyM: "2", scalingM: "2 to 6"},
		{phase: migration.Parallel, shift: map[string]int{"steady": 10}, steady: "2", scaling: "2, then to 6", steadyM: "2", scalingM: "2 to 6"},
		{phase: migration.Switched, steady: "2", scaling: "2 to 6", steadyM: "2", scalingM: "6"},
		{phase: migration.Retired, steady: "2", scaling: "2 to 6", steadyM: "0", scalingM: "0"},
		{phase: migration.Removed, steady: "2", scaling: "2 to 6", steadyM: "0", scalingM: "0"},
	}
	for _, test := range tests {
		plan := planOf(test.phase, test.shift, api, []migration.Service{steady, scaling})
		as := func(monolith migration.Service) string {
			return write(planOf(test.phase, nil, monolith, []migration.Service{users}).Tasks[monolith.Name])
		}
		got := []string{write(plan.Tasks["steady"]), write(plan.Tasks["scaling"]), as(steady), as(scaling)}
		if diff := cmp.Diff([]string{test.steady, test.scaling, test.steadyM, test.scalingM}, got); diff != "" {
			t.Errorf("%v %v (-want +got):\n%s", test.phase, test.shift, diff)
		}
	}
}

// Behind several load balancers each moves its own services, and the monolith is
// behind all of them. Orders and paths of different ones do not meet.
func TestPlanOfSeveralLoadBalancers(t *testing.T) {
	orders := migration.Service{Name: "orders", LoadBalancer: "shop", Routes: []migration.Route{{Match: migration.Match{Paths: []string{"/api/users*"}}, Order: 10}}, Tasks: 1}
	news := migration.Service{Name: "news", LoadBalancer: "press", Routes: []migration.Route{{Match: migration.Match{Paths: []string{"/api/news*"}}, Order: 5}}, Tasks: 1}
	tests := []struct {
		phase migration.Phase
		shift map[string]int
		want  string
	}{
		{phase: migration.Parallel, shift: map[string]int{"orders": 10}, want: `
10000 /api* -> api:1
20010 /api/users* -> users:1
default -> api:1 drop-traffic:0
api: 1 tasks
users: 2 tasks
drop-traffic: no service
at press
10000 /api* -> api:1
20005 /api/news* -> news:1
default -> api:1 drop-traffic:0
api-press: 1 tasks
news-press: 1 tasks
drop-traffic-press: no service
at shop
 1010 /api/users* -> orders:10 api:90
10000 /api* -> api:1
20010 /api/users* -> orders:1
default -> api:1 drop-traffic:0
api-shop: 1 tasks
orders-shop: 1 tasks
drop-traffic-shop: no service
`},
		{phase: migration.Retired, want: `
20010 /api/users* -> users:1
default -> api:0 drop-traffic:1
api: 0 tasks
users: 2 tasks
drop-traffic: no service
at press
20005 /api/news* -> news:1
default -> api:0 drop-traffic:1
api-press: 0 tasks
news-press: 1 tasks
drop-traffic-press: no service
at shop
20010 /api/users* -> orders:1
default -> api:0 drop-traffic:1
api-shop: 0 tasks
orders-shop: 1 tasks
drop-traffic-shop: no service
`},
	}
	for _, test := range tests {
		got := "\n" + show(planOf(test.phase, test.shift, api, []migration.Service{orders, users, news}))
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%v (-want +got):\n%s", test.phase, diff)
		}
	}
	// The first one is there even if nothing but the monolith is behind it.
	alone := planOf(migration.Monolith, nil, api, []migration.Service{news})
	if got := alone.At("").Answers(path("/api/news*")); fmt.Sprint(len(alone.Balancers), got) != "2 [{api 1}]" {
		t.Errorf("%d load balancers, and at the first one the path goes to %v", len(alone.Balancers), got)
	}
}

// Adding or removing a service must not move another's rule.
func TestPrioritiesDoNotDependOnOthers(t *testing.T) {
	priorities := func(services ...migration.Service) map[string]int {
		m := map[string]int{}
		for _, r := range planOf(migration.Parallel, map[string]int{"users": 5, "threads": 5}, api, services).At("").Rules {
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

func TestAnswers(t *testing.T) {
	tests := []struct {
		phase   migration.Phase
		shift   map[string]int
		pattern string
		want    string
	}{
		{phase: migration.Parallel, pattern: "/api/users*", want: "[{api 1}]"},
		{phase: migration.Parallel, pattern: "/t/*", want: "[{threads 1}]"}, // which the monolith's rule does not take
		{phase: migration.Parallel, shift: map[string]int{"users": 10}, pattern: "/api/users*", want: "[{users 10} {api 90}]"},
		{phase: migration.Parallel, shift: map[string]int{"users": 0}, pattern: "/api/users*", want: "[{api 100}]"},
		{phase: migration.Switched, pattern: "/api/users*", want: "[{users 1}]"},
		{phase: migration.Switched, pattern: "/api*", want: "[{drop-traffic 1}]"},
	}
	for _, test := range tests {
		got := fmt.Sprint(planOf(test.phase, test.shift, api, []migration.Service{users, threads}).At("").Answers(path(test.pattern)))
		if got != test.want {
			t.Errorf("%v %v: %s goes to %s, want %s", test.phase, test.shift, test.pattern, got, test.want)
		}
	}
}

func TestCovers(t *testing.T) {
	for _, test := range []struct {
		wide, narrow string
		want         bool
	}{
		{"/api*", "/api/users*", true},
		{"/api/users*", "/api*", false},
		{"/api/users", "/api/users", true},
		{"/api/users", "/api/users*", false},
		{"/api/users*", "/api/users", true}, // * takes no character, too
		{"/a?c", "/abc", true},
		{"/a?c", "/a?c", true},
		{"/abc", "/a?c", false},
		{"/a?c", "/a*c", false},
		{"/a?", "/a", false},
		{"/a?", "/abc", false},
		{"/a*c", "/a?c", true},
		{"/a?*", "/a*?", true},
		{"/a*?", "/a?*", true},
		{"/a?*", "/a*b", true},
		{"/a?*", "/a*", false},
		{"/*b*d", "/abcbd", true},
		{"/*b*d", "/abcd*", false},
		{"/*aa", "/aaa", true},
		{"/*a*a?", "/a*aa*", false}, // not /aXaa
		{"*", "", true},
		{"", "*", false},
	} {
		if got := migration.Covers(test.wide, test.narrow); got != test.want {
			t.Errorf("%s covers %s: %t, want %t", test.wide, test.narrow, got, test.want)
		}
	}
}

// Of all short patterns, those cover others that match every path that the others match. Paths of
// eight characters tell patterns of three apart.
func TestCoversShortPatterns(t *testing.T) {
	texts := func(alphabet string, length int) []string {
		all := []string{""}
		for from := 0; len(all[from]) < length; from++ {
			for _, c := range alphabet {
				all = append(all, all[from]+string(c))
			}
		}
		return all
	}
	paths := texts("ax", 8) // x is in no pattern
	patterns := texts("a*?", 3)
	matching := make([]map[int]bool, len(patterns))
	for i, pattern := range patterns {
		matching[i] = map[int]bool{}
		expression := regexp.MustCompile("^" + strings.NewReplacer("*", ".*", "?", ".").Replace(pattern) + "$")
		for p, text := range paths {
			if expression.MatchString(text) {
				matching[i][p] = true
			}
		}
	}
	for i, wide := range patterns {
		for j, narrow := range patterns {
			want, both := true, false
			for p := range matching[j] {
				want, both = want && matching[i][p], both || matching[i][p]
			}
			if got := path(wide).Meets(path(narrow)); got != both {
				t.Errorf("%q meets %q: %t, want %t", wide, narrow, got, both)
			}
			if got := migration.Covers(wide, narrow); got != want {
				t.Errorf("%q covers %q: %t, want %t", wide, narrow, got, want)
			}
		}
	}
}

// Patterns meet if a text matches both.
func TestMeets(t *testing.T) {
	for _, test := range []struct {
		a, b string
		want bool
	}{
		{"/api/users*", "/api/users/admin*", true},
		{"/api/users*", "/api/posts*", false},
		{"/api/*/x", "/api/users*", true},
		{"/a*", "/ab", true},
		{"/a", "/ab", false},
		{"/ab", "/a", false},
		{"/a?", "/ab", true},
		{"/a?", "/a", false},
		{"/a", "/a?", false},
		{"/*a", "/b*", true},
		{"/a*b", "/a*c", false},
		{"/a*b", "/*cb", true},
		{"*", "", true},
		{"", "", true},
		{"/*x*", "/abc", false},
		{"/?*", "/", false},
		{"/" + strings.Repeat("a*", 5) + "b", "/" + strings.Repeat("*a", 5), false},
	} {
		match := func(pattern string) migration.Match { return migration.Match{Paths: []string{"/other", pattern}} }
		if got := match(test.a).Meets(migration.Match{Paths: []string{test.b}}); got != test.want {
			t.Errorf("%s meets %s: %t, want %t", test.a, test.b, got, test.want)
		}
	}
	reads := migration.Match{Paths: []string{"/u*"}, Methods: []string{"GET", "HEAD"}, Hosts: []string{"a.example"}, Headers: map[string][]string{"X-Beta": {"1*"}}}
	for want, others := range map[bool][]migration.Match{
		true:  {{}, {Methods: []string{"GET"}}, {Hosts: []string{"A.*"}}, {Headers: map[string][]string{"x-beta": {"1a"}}}, {Headers: map[string][]string{"X-Other": {"2"}}}, {Query: map[string][]string{"q": {"1"}}}},
		false: {{Methods: []string{"POST"}}, {Hosts: []string{"b.example"}}, {Headers: map[string][]string{"x-beta": {"2"}}}, {Paths: []string{"/v"}}},
	} {
		for _, other := range others {
			if reads.Meets(other) != want || other.Meets(reads) != want {
				t.Errorf("%v meets %v: %t, want %t", reads, other, !want, want)
			}
		}
	}
}

// A route that is still the monolith's keeps its requests if one with a higher order that takes them,
// too, is not. The rules that take them are created before that one's.
func TestRoutesThatMeet(t *testing.T) {
	route := func(name string, order int, paths ...string) migration.Service {
		return migration.Service{Name: name, Tasks: 1, Routes: []migration.Route{{Order: order, Match: migration.Match{Paths: paths}}}}
	}
	m := migration.Migration{Monolith: api, Services: []migration.Service{route("users", 20, "/api/users*"), route("admin", 10, "/api/users/admin*"), route("posts", 5, "/api/posts*")}}
	phases := []string{"monolith", "parallel", "0%", "10%", "switched"}
	for _, users := range phases {
		for _, admin := range phases {
			places := map[string]migration.Place{}
			for name, text := range map[string]string{"users": users, "admin": admin, "posts": "monolith"} {
				place, err := migration.ParsePlace(text)
				if err != nil {
					t.Fatal(err)
				}
				places[name] = place
			}
			b := m.Plan(migration.At(places, migration.Monolith)).At("")
			want := map[string]string{"monolith": "[{api 1}]", "parallel": "[{api 1}]", "0%": "[{api 100}]", "10%": "[{NAME 10} {api 90}]", "switched": "[{NAME 1}]"}
			for name, path := range map[string]string{"users": "/api/users/1", "admin": "/api/users/admin/1"} {
				if got, want := fmt.Sprint(b.Answers(migration.Match{Paths: []string{path}})), strings.ReplaceAll(want[places[name].String()], "NAME", name); got != want {
					t.Errorf("users %s, admin %s: %s goes to %s, want %s", users, admin, path, got, want)
				}
			}
			for _, rule := range b.Rules {
				want := ""
				if rule.Priority == 1020 {
					want = "[1010]"
				}
				if got := fmt.Sprint(rule.After); got != want && got+want != "[]" {
					t.Errorf("users %s, admin %s: rule %d comes after %s, want %s", users, admin, rule.Priority, got, want)
				}
			}
		}
	}
	// A shift of one phase for all takes no requests of the other service, either.
	b := m.Plan(migration.Position{Phase: migration.Parallel, Shift: map[string]int{"users": 10}}).At("")
	if got := fmt.Sprint(b.Answers(path("/api/users/admin/1"))); got != "[{api 1}]" {
		t.Errorf("the path of another service goes to %s", got)
	}
}

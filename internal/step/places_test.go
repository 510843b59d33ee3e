package step_test

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"cutover/config"
	"cutover/internal/step"
	"cutover/migration"
)

// routed has a service with two routes, the first of which has no name, and one
// with two that have names, of which one is for testers first.
var routed = config.Deployment{
	Monolith: given.Monolith,
	Services: []config.Service{
		given.Services[0],
		{Name: "posts", Routes: []config.Route{
			{Order: 20, Paths: []string{"/api/posts*"}, Methods: []string{"GET"}},
			{Name: "writes", Order: 30, Paths: []string{"/api/posts*"}},
		}},
		{Name: "threads", Routes: []config.Route{
			{Name: "old", Order: 40, Paths: []string{"/api/threads/1*"}, Testers: map[string][]string{"X-Tester": {"1"}}},
			{Name: "rest", Order: 50, Paths: []string{"/api/threads*"}},
		}},
	},
}

// in returns the app in places, or in a phase for all.
func in(t *testing.T, d config.Deployment, phase any, more ...string) step.App {
	t.Helper()
	context := map[string]any{"phase": phase}
	for _, pair := range more {
		key, value, _ := strings.Cut(pair, "=")
		context[key] = value
	}
	app, err := step.ReadContext(d, context, "")
	if err != nil {
		t.Fatal(err)
	}
	return app
}

// Every step of services with places of their own: what changes of the places, or
// why the step is refused.
func TestStepsOfEach(t *testing.T) {
	const all = "users=switched,posts=switched,threads=switched"
	tests := []struct {
		from, step, want string // the step is "next", "back" or "canary", and names
		rest             string
		does             []string
	}{
		{from: "users=monolith", step: "next", want: "users=parallel, posts=parallel, posts/writes=parallel, threads/old=parallel, threads/rest=parallel"},
		{from: "users=parallel,posts=50%,threads=switched", step: "next", want: "users=switched, posts=switched, posts/writes=switched"},
		{from: "users=parallel", step: "next users", want: "users=switched", does: []string{"/api/users* goes to users"}},
		{from: "users=0%", step: "next users", want: "users=switched"},
		{from: "users=monolith", step: "next users posts", want: "users=parallel, posts=parallel, posts/writes=parallel"},
		{from: "posts=parallel,posts/writes=monolith", step: "next posts", want: "posts=switched, posts/writes=parallel"},
		{from: "posts=parallel", step: "next posts/writes", want: "posts/writes=switched", does: []string{"/api/posts* goes to posts"}},
		{from: "posts=parallel", step: "next posts/writes posts", want: "posts=switched, posts/writes=switched"},
		{from: "threads/rest=parallel", step: "next threads/rest", want: "threads/rest=switched"},
		{from: "threads/old=switched,threads/rest=parallel", step: "next threads", want: "threads/rest=switched"},
		{from: "users=parallel,posts=switched,threads=switched", step: "next users", want: "users=switched", does: []string{
			"/api/users* goes to users", "everything else is answered with 503", "api gets nothing any more, and goes on running",
		}},
		{from: "users=parallel,posts=switched,threads=switched", rest: "monolith", step: "next users", want: "users=switched", does: []string{"/api/users* goes to users"}},
		{from: all, step: "next", want: "api=retired", does: []string{"api stops; its service stays, without tasks"}},
		{from: all + ",api=retired", step: "next", want: "api=removed", does: []string{
			"the service of api, its target groups and its roles are deleted: this is the point of no return",
			"its images and logs stay, and a step back creates the rest anew",
		}},
		{from: all + ",api=removed", step: "next", want: "there is no phase after removed: the migration is complete"},
		{from: all, rest: "monolith", step: "next", want: `there is no phase after switched: the monolith api keeps the rest, as "rest": "monolith" says`},
		{from: "switched", rest: "monolith", step: "next", want: `there is no phase after switched: the monolith api keeps the rest, as "rest": "monolith" says`},
		{from: "parallel", rest: "monolith", step: "next", want: "switched"},

		{from: all + ",api=removed", step: "back", want: "api=retired", does: []string{"the service of api, its target groups and its roles are created anew, without tasks"}},
		{from: all + ",api=retired", step: "back", want: "api=running", does: []string{"api starts, with 1 task, and gets no requests yet"}},
		{from: all, step: "back", want: "users=parallel, posts=parallel, posts/writes=parallel, threads/old=parallel, threads/rest=parallel"},
		{from: "users=10%,posts=parallel", step: "back", want: "users=parallel, posts=monolith, posts/writes=monolith"},
		{from: "users=monolith", step: "back", want: "there is no phase before monolith: the migration has not begun"},
		{from: "users=switched,posts=10%", step: "back users", want: "users=parallel", does: []string{
			"/api/users* goes to api", "users gets nothing any more, and goes on running",
		}},
		{from: "users=10%", step: "back users", want: "users=parallel"},
		{from: "users=parallel", step: "back users", want: "users=monolith", does: []string{"users stops; its service stays, without tasks"}},
		{from: "posts=10%", step: "back posts/writes", want: "posts/writes=parallel"},

		{from: all, step: "next users", want: "--service: users is in switched, its last place"},
		{from: "users=switched", step: "next posts users", want: "--service: users is in switched, its last place"},
		{from: "users=parallel", step: "back posts", want: "--service: posts is in monolith, its first place"},
		{from: all + ",api=retired", step: "next users", want: "--service: users is in switched, its last place"},
		{from: all + ",api=retired", step: "back users", want: "--service: api is retired: it has to run before a service goes back: go back without --service first, to switched"},
		{from: "users=parallel", step: "next usres", want: `--service: there is no microservice or route "usres": choose from users, posts, posts/writes, threads, threads/old, threads/rest`},
		{from: "users=parallel", step: "next users/writes", want: `--service: there is no microservice or route "users/writes": choose from users, posts, posts/writes, threads, threads/old, threads/rest`},
		{from: all, step: "next api", want: "--service: api is the monolith: it retires with the next step after each service is switched"},

		// One phase for all passes over first.
		{from: "parallel", step: "next users", want: "posts=parallel, posts/writes=parallel, threads/old=parallel, threads/rest=parallel, users=parallel", does: nil},
		{from: "switched", step: "back users", want: "posts=switched, posts/writes=switched, threads/old=switched, threads/rest=switched, users=switched"},
		{from: "monolith", step: "back users", want: "--service: users is in monolith, its first place"},
		{from: "switched", step: "next users", want: "--service: users is in switched, its last place"},
		{from: "retired", step: "back users", want: "--service: api is retired: it has to run before a service goes back: go back without --service first, to switched"},
		{from: "removed", step: "back users", want: "--service: api is removed: it has to run before a service goes back: go back without --service first, to switched"},

		{from: "users=parallel", step: "canary users=10", want: "users=10%", does: []string{"/api/users* goes 10 % to users and 90 % to api"}},
		{from: "users=10%,posts=parallel", step: "canary users=50%, posts = 5", want: "users=50%, posts=5%, posts/writes=5%"},
		{from: "posts=parallel,posts/writes=switched", step: "canary posts/writes=5", want: "--canary: posts/writes is switched and has all of its traffic: a canary is for parallel"},
		{from: "posts=parallel,posts/writes=monolith", step: "canary posts=5", want: "--canary: posts/writes is in monolith and does not run yet: go to parallel and deploy that first"},
		{from: "threads=parallel", step: "canary threads/old=0", want: "threads/old=0%", does: []string{
			"/api/threads/1* with header X-Tester 1 goes to threads",
		}},
		{from: "threads/old=0%", step: "back", want: "threads/old=parallel", does: []string{
			"/api/threads/1* with header X-Tester 1 goes to api", "threads gets nothing any more, and goes on running",
		}},
		{from: "users=10%", step: "canary users=10", want: "--canary: users=10 is set already"},
		{from: "users=10%", step: "canary users", want: `--canary: "users" is not SERVICE=PERCENT, as in users=10`},
		{from: "users=10%", step: "canary users=101", want: `--canary: users=101 is not a percentage: use a whole number from 0 to 100`},
		{from: "users=10%", step: "canary users=1,users=2", want: "--canary: users is named twice"},
		{from: "users=10%", step: "canary users=10%%", want: "--canary: users=10%% is not a percentage: use a whole number from 0 to 100"},
		{from: "users=10%", step: "canary =10", want: `--canary: "=10" is not SERVICE=PERCENT, as in users=10`},
		{from: "users=10%", step: "canary usres=10", want: `--canary: there is no microservice or route "usres": choose from users, posts, posts/writes, threads, threads/old, threads/rest`},
		{from: "posts=10%,users=10%", step: "canary posts/writes=20,users=30,posts=5", want: "users=30%, posts=5%, posts/writes=20%"},
	}
	for _, test := range tests {
		t.Run(test.from+" "+test.rest+" "+test.step, func(t *testing.T) {
			var more []string
			if test.rest != "" {
				more = []string{"rest=" + test.rest}
			}
			app := in(t, routed, test.from, more...)
			kind, rest, _ := strings.Cut(test.step, " ")
			to, err := step.Next(app, strings.Fields(rest))
			switch kind {
			case "back":
				to, err = step.Back(app, strings.Fields(rest))
			case "canary":
				to, err = step.Canary(app, rest)
			}
			if err != nil {
				if to.String() != app.At.String() {
					t.Errorf("refused, and moves to %v", to)
				}
				if !strings.HasPrefix(err.Error(), test.want) {
					t.Errorf("refused: %v, want %s", err, test.want)
				}
				return
			}
			if got := step.Moved(app, to); got != test.want {
				t.Errorf("moves %s, want %s", got, test.want)
			}
			if !app.Migration.Follows(app.Migration.State(app.At), app.Migration.State(to)) {
				t.Errorf("the interlock refuses %v after %v", to, app.At)
			}
			does := step.Changes(app.Migration, app.At, to)
			if step.Passes(app.At, to) && does != nil {
				t.Errorf("passing over does %q", does)
			}
			if diff := gocmp.Diff(test.does, does); test.does != nil && diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
	app := in(t, given, "parallel", "shift=users=10")
	if _, err := step.Next(app, []string{"threads"}); err == nil || err.Error() != "--service: users=10 is a shift of one phase for all: remove the shift with `phase back`, and deploy that first" {
		t.Errorf("with a shift: %v", err)
	}
}

func TestRows(t *testing.T) {
	for _, test := range []struct {
		phase, rest string
		want        []string // name, place, who answers, next, back
	}{
		{"monolith", "drop", []string{"users|monolith|api|parallel|", "threads|monolith|api; 503|parallel|", "api|running|everything else: api||"}},
		{"users=10%,threads=parallel", "drop", []string{"users|10%|10 % users, 90 % api|switched|parallel", "threads|parallel|api; threads|switched|monolith", "api|running|everything else: api||"}},
		{"users=switched", "drop", []string{"users|switched|users||parallel", "threads|monolith|api; 503|parallel|", "api|running|everything else: api||"}},
		{"switched", "drop", []string{"users|switched|users||parallel", "threads|switched|threads||parallel", "api|running|everything else: 503|retired|"}},
		{"switched", "monolith", []string{"users|switched|users||parallel", "threads|switched|threads||parallel", "api|running|everything else: api||"}},
		{"retired", "drop", []string{"users|switched|users||", "threads|switched|threads||", "api|retired|everything else: 503|removed|running"}},
		{"users=switched,threads=switched,api=removed", "drop", []string{"users|switched|users||", "threads|switched|threads||", "api|removed|everything else: 503||retired"}},
	} {
		var got []string
		for _, row := range step.Rows(in(t, given, test.phase, "rest="+test.rest)) {
			got = append(got, strings.Join([]string{row.Name, row.Place, row.Answers, row.Next, row.Back}, "|"))
		}
		if diff := gocmp.Diff(test.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.phase, diff)
		}
	}
	rows := step.Rows(in(t, routed, "threads=0%,posts/writes=switched"))
	var got []string
	for _, row := range rows {
		got = append(got, row.Name+": "+row.Answers)
	}
	want := []string{"users: api", "posts: api", "posts/writes: posts", "threads/old: api; testers: threads", "threads/rest: api", "api: everything else: api"}
	if diff := gocmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// deployedIn is what AWS tells after a deployment of one position was complete and
// another one was begun.
func deployedIn(t *testing.T, reached, begun step.App, off bool) step.Deployed {
	t.Helper()
	values := map[string]string{}
	for _, lock := range begun.Migration.Locks(begun.Migration.State(begun.At)) {
		for _, p := range lock.Gate {
			values["/dev/"+p.Name] = p.Value
		}
	}
	if off {
		values = map[string]string{"/dev/phase-gate/begun/off": "off"}
	}
	for _, lock := range reached.Migration.Locks(reached.Migration.State(reached.At)) {
		for _, p := range lock.Last {
			values["/dev/"+p.Name] = p.Value
		}
	}
	d, err := step.Read(begun.Migration, "dev", "us-east-1", values)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// What is refused says which service is where, and what comes next for it.
func TestTurnsOfEach(t *testing.T) {
	const done = "users=switched,threads=switched"
	for _, test := range []struct{ deployed, to, want string }{
		{"users=parallel", "users=switched,threads=parallel", ""},
		{"users=monolith", "users=switched,threads=parallel", "dev in us-east-1 has users in monolith: parallel comes next"},
		{"users=monolith", "users=switched,threads=10%", "dev in us-east-1 has users, threads in monolith: parallel comes next"},
		{"users=10%,threads=switched", "users=monolith", "dev in us-east-1 has users in shift: parallel is the way back; threads in switched: parallel is the way back"},
		{"users=switched,threads=parallel", done + ",api=retired", "dev in us-east-1 has threads in parallel: api can be retired only after each service is switched"},
		{"users=10%", done + ",api=removed", "dev in us-east-1 has threads in monolith: api can be removed only after each service is switched; users in shift: api can be removed only after each service is switched"},
		{done, done + ",api=removed", "dev in us-east-1 has api in switched: retired comes next, and then removed"},
		{done + ",api=removed", done, "dev in us-east-1 has api in removed: retired is the way back"},
		{done + ",api=retired", "users=parallel,threads=switched", "dev in us-east-1 has api in retired: users may go back only after it runs again"},
		{done + ",rest", done + ",api=retired", `dev in us-east-1 has the rest in api: api retires only after a deployment with "rest": "drop"`},
		{"switched,rest", "retired", `dev in us-east-1 is in switched, the rest with the monolith: parallel is the way back, and api retires only after a deployment with "rest": "drop"`},
		{"parallel", "users=parallel", "dev in us-east-1 is in parallel, one phase for all: first deploy the same for each service, threads=parallel, users=parallel, which moves nothing"},
		{"parallel", "users=parallel,threads=parallel", ""},
		{"shift", "users=10%,threads=parallel", "dev in us-east-1 is in parallel with a shift, one phase for all: services get places of their own in monolith, parallel or switched, without a shift"},
		{"retired", done + ",api=retired", "dev in us-east-1 is in retired, one phase for all: services get places of their own in monolith, parallel or switched, without a shift"},
		{"users=parallel", "parallel", "dev in us-east-1 is in threads=monolith, users=parallel, a place for each service: one phase for all follows once each service has the same place, and no share, and is that place first"},
		{"users=parallel,threads=parallel", "parallel", ""},
	} {
		app := func(text string) step.App {
			phase, rest := strings.CutSuffix(text, ",rest")
			more := []string{"rest=drop"}
			if rest {
				more[0] = "rest=monolith"
			}
			if phase == "shift" {
				phase, more = "parallel", append(more, "shift=users=10")
			}
			return in(t, given, phase, more...)
		}
		from, to := app(test.deployed), app(test.to)
		got := ""
		if err := step.OutOfTurn(to.Migration, "dev", to.Migration.State(to.At), deployedIn(t, from, from, false)); err != nil {
			got = err.Error()
		}
		if got != test.want {
			t.Errorf("%s to %s:\n%s, want\n%s", test.deployed, test.to, got, test.want)
		}
	}
}

// A new service or route has no names in the gate. So it may begin in any place, unless that loses
// requests.
func TestFirstPlaces(t *testing.T) {
	const refuses = "and dev in us-east-1 does not have %s yet, which would get requests before the tasks run: begin in monolith or parallel"
	old, next := given, given // given has users and threads
	next.Services = append(slices.Clone(given.Services), config.Service{Name: "tags", Order: 60, Paths: []string{"/api/tags*"}})
	routes := given
	routes.Services = slices.Clone(given.Services)
	routes.Services[0] = config.Service{Name: "users", Routes: []config.Route{
		{Order: 10, Paths: []string{"/api/users*"}}, {Name: "old", Order: 61, Paths: []string{"/api/people*"}}, {Name: "v2", Order: 62, Hosts: []string{"v2.example.com"}}}}
	further := given
	further.Services = append(slices.Clone(given.Services), config.Service{Name: "tags", Order: 60, Paths: []string{"/api/tags*"}, LoadBalancer: "press"})
	const done = "users=switched,threads=switched"
	for _, test := range []struct {
		name     string
		next     config.Deployment
		from, to string
		rest     string
		early    string // routes that lose requests
		want     string // a part of another refusal
	}{
		{name: "monolith", next: next, from: "users=switched", to: "users=switched"},
		{name: "parallel", next: next, from: "users=switched", to: "users=switched,tags=parallel"},
		{name: "a share", next: next, from: "users=switched", to: "users=switched,tags=10%", early: "tags"},
		{name: "for testers", next: next, from: "users=switched", to: "users=switched,tags=0%"},
		{name: "switched", next: next, from: "users=monolith", to: "tags=switched", early: "tags"},
		{name: "all run", next: next, from: "users=parallel,threads=parallel", to: "users=switched,threads=switched,tags=switched", early: "tags"},
		{name: "the monolith has the rest", next: next, rest: "monolith", from: done, to: done + ",tags=switched", early: "tags"},
		{name: "the rest is dropped", next: next, from: done, to: done + ",tags=switched"},
		{name: "the rest is not dropped any more", next: next, from: done, to: done + ",tags=parallel"},
		{name: "retired", next: next, from: done + ",api=retired", to: done + ",tags=switched,api=retired"},
		{name: "the monolith does not run", next: next, from: done + ",api=retired", to: done + ",tags=parallel", want: "tags"},
		{name: "retires", next: next, from: done, to: done + ",tags=switched,api=retired"},
		{name: "a route of a service that runs", next: routes, from: "users=parallel", to: "users=parallel,users/old=switched"},
		{name: "routes of a service that does not run", next: routes, from: "threads=parallel", to: "users/old=switched,users/v2=50%,threads=parallel", early: "users/old, users/v2"},
		{name: "a new load balancer", next: further, from: "users=switched", to: "users=switched,tags=switched"},
		{name: "out of turn, too", next: next, from: "users=monolith", to: "users=switched,tags=switched", want: "dev in us-east-1 has users in monolith: parallel comes next"},
		{name: "a service that goes", next: old, from: done, to: done},
	} {
		t.Run(test.name, func(t *testing.T) {
			more := "rest=" + cmp.Or(test.rest, "drop")
			before := in(t, old, test.from, more)
			app := in(t, test.next, test.to, more)
			err := step.Follows(app, app.At, deployedIn(t, before, before, false))
			want := test.want
			if test.early != "" {
				want = fmt.Sprintf(refuses, test.early)
			}
			if want == "" != (err == nil) || err != nil && !strings.Contains(err.Error(), want) {
				t.Errorf("%v, want %q", err, want)
			}
		})
	}
}

// CloudFormation creates rules before it deletes others. So a step may take too many for a moment.
func TestRulesOfAStep(t *testing.T) {
	d := config.Deployment{Monolith: given.Monolith}
	var all []string
	for i := range 90 {
		name := fmt.Sprintf("s%02d", i)
		all = append(all, name)
		d.Services = append(d.Services, config.Service{Name: name, Order: i + 1, Paths: []string{"/api/" + name + "/*"}})
	}
	places := func(n int, place string) string { return strings.Join(all[:n], "="+place+",") + "=" + place }
	const refused = "the first load balancer: the step needs %d listener rules for a moment, since CloudFormation creates rules before it deletes others, and a load balancer can have 100: %s"
	const fewer, over = "move fewer services in one deployment", "pass over in monolith or parallel, where the rules stay"
	for _, test := range []struct {
		from, to any
		want     string
	}{
		{places(90, "parallel"), places(9, "switched") + "," + places(90, "parallel")[len(places(9, "parallel"))+1:], ""},
		{places(90, "parallel"), places(10, "switched") + "," + places(90, "parallel")[len(places(10, "parallel"))+1:], fmt.Sprintf(refused, 101, fewer)},
		{"parallel", places(90, "parallel"), ""},
		{"switched", places(90, "switched"), fmt.Sprintf(refused, 180, over)},
		{"parallel", "switched", ""},
	} {
		in := func(phase any) step.App { return in(t, d, phase, "maxInstances=20") }
		from, to := in(test.from), in(test.to)
		for what, err := range map[string]error{
			"Follows":   step.Follows(to, to.At, deployedIn(t, from, from, false)),
			"CheckStep": to.Deployment.CheckStep(from.Migration, from.At, to.At),
		} {
			got := ""
			if err != nil {
				got = err.Error()
			}
			if got != test.want {
				t.Errorf("%s of %s:\n%s, want\n%s", what, to.At, got, test.want)
			}
		}
	}
}

// cdk.json and AWS have to be in the same places before a step.
func TestCheckOfEach(t *testing.T) {
	for _, test := range []struct{ from, reached, begun, want string }{
		{"users=10%", "users=20%", "users=20%", ""},
		{"users=parallel", "users=monolith", "users=monolith", "cdk.json says users=parallel and dev in us-east-1 is in users=monolith: deploy what cdk.json says first, or make it say what is deployed"},
		{"users=parallel,threads=switched", "users=parallel", "users=parallel", "cdk.json says threads=switched and dev in us-east-1 is in threads=monolith: deploy"},
		{"users=parallel", "users=parallel", "users=10%", "dev in us-east-1 is in users=parallel, and a deployment of users=shift was begun and is not complete: wait for it, or deploy again"},
		{"users=parallel", "parallel", "parallel", "cdk.json says threads=monolith, users=parallel and dev in us-east-1 is in parallel: deploy"},
		{"users=monolith", "monolith", "monolith", "cdk.json says threads=monolith, users=monolith and dev in us-east-1 is in monolith: deploy"},
		{"monolith", "users=monolith", "users=monolith", "cdk.json says monolith and dev in us-east-1 is in threads=monolith, users=monolith: deploy"},
	} {
		for _, off := range []bool{false, true} {
			if off && test.reached != test.begun {
				continue // not known with the gate off
			}
			app := in(t, given, test.from)
			got := ""
			if err := step.Check(app, deployedIn(t, in(t, given, test.reached), in(t, given, test.begun), off)); err != nil {
				got = err.Error()
			}
			if !strings.HasPrefix(got, test.want) || test.want == "" && got != "" {
				t.Errorf("%s on %s, gate off %t:\n%s, want\n%s", test.from, test.reached, off, got, test.want)
			}
		}
	}
	// The rest counts, and is named.
	app := in(t, given, "switched", "rest=monolith")
	err := step.Check(app, deployedIn(t, in(t, given, "switched"), in(t, given, "switched"), false))
	if want := "cdk.json says switched, the rest with the monolith and dev in us-east-1 is in switched: deploy"; err == nil || !strings.HasPrefix(err.Error(), want) {
		t.Errorf("%v, want %s", err, want)
	}
	// A service that is new is not deployed yet.
	err = step.Check(in(t, routed, "users=monolith"), deployedIn(t, in(t, given, "users=monolith"), in(t, given, "users=monolith"), false))
	if err == nil || !strings.Contains(err.Error(), "cdk.json says posts=monolith, ") {
		t.Errorf("a new service: %v", err)
	}
}

func TestEditOfPlaces(t *testing.T) {
	for _, test := range []struct{ name, text, step, want string }{
		{"a word becomes a place for each", `{"context": {"phase": "parallel", "shift": {}}}`, "next users", `{"context": {"phase": "posts=parallel,posts/writes=parallel,threads/old=parallel,threads/rest=parallel,users=parallel"}}`},
		{"a text", `{"context": {"phase": "users=parallel,posts=10%", "zones": 2}}`, "next users", `{"context": {"phase": "users=switched,posts=10%", "zones": 2}}`},
		{"a text with spaces", `{"context": {"phase": "users=parallel, posts=10%"}}`, "next threads", `{"context": {"phase": "users=parallel, posts=10%, threads=parallel"}}`},
		{"a text with spaces elsewhere", `{"context": {"phase": " users = parallel"}}`, "next users", `{"context": {"phase": "users=switched"}}`},
		{"a text of which routes part", `{"context": {"phase": "threads=parallel,users=parallel"}}`, "next threads/old", `{"context": {"phase": "threads/old=switched,threads/rest=parallel,users=parallel"}}`},
		{"the route without a name parts", `{"context": {"phase": "posts=parallel"}}`, "next posts/writes", `{"context": {"phase": "posts=parallel,posts/writes=switched"}}`},
		{"routes that are named", `{"context": {"phase": "posts/writes=10%,posts=switched"}}`, "next posts/writes", `{"context": {"phase": "posts/writes=switched,posts=switched"}}`},
		{"routes that were not named", `{"context": {"phase": "users=parallel"}}`, "next posts/writes", `{"context": {"phase": "users=parallel,posts=monolith,posts/writes=parallel"}}`},
		{"the monolith retires", `{"context": {"phase": "users=switched,posts=switched,threads=switched"}}`, "next", `{"context": {"phase": "users=switched,posts=switched,threads=switched,api=retired"}}`},
		{"the monolith is removed", `{"context": {"phase": "api=retired,users=switched,posts=switched,threads=switched"}}`, "next", `{"context": {"phase": "api=removed,users=switched,posts=switched,threads=switched"}}`},
		{"the monolith is back", `{"context": {"phase": "api=retired,users=switched,posts=switched,threads=switched"}}`, "back", `{"context": {"phase": "users=switched,posts=switched,threads=switched"}}`},

		{"an object", "{\"context\": {\"phase\": {\n    \"users\" :\t\"parallel\" ,\n    \"posts\": \"10%\"\n  }, \"zones\": 2}}", "next users", "{\"context\": {\"phase\": {\n    \"users\" :\t\"switched\" ,\n    \"posts\": \"10%\"\n  }, \"zones\": 2}}"},
		{"an object that grows", "{\"context\": {\"phase\": {\n    \"users\": \"parallel\",\n    \"posts\": \"10%\"\n  }}}", "next threads", "{\"context\": {\"phase\": {\n    \"users\": \"parallel\",\n    \"posts\": \"10%\",\n    \"threads\": \"parallel\"\n  }}}"},
		{"one member", "{\"context\": {\"phase\": {\r\n\t\"users\":\"parallel\"\r\n}}}", "next", "{\"context\": {\"phase\": {\r\n\t\"users\":\"switched\",\r\n\t\"posts\":\"parallel\",\r\n\t\"threads\":\"parallel\"\r\n}}}"},
		{"one line", `{"context": {"phase": {"users": "parallel"}}}`, "next threads", `{"context": {"phase": {"users": "parallel", "threads": "parallel"}}}`},
		{"one line, close", `{"context":{"phase":{"users":"parallel","posts":"10%"}}}`, "next threads", `{"context":{"phase":{"users":"parallel","posts":"10%","threads":"parallel"}}}`},
		{"an object of which routes part", "{\"context\": {\"phase\": {\n  \"users\": \"parallel\",\n  \"threads\": \"parallel\"\n}}}", "next threads/old", "{\"context\": {\"phase\": {\n  \"users\": \"parallel\",\n  \"threads/old\": \"switched\",\n  \"threads/rest\": \"parallel\"\n}}}"},
		{"an object's monolith", "{\"context\": {\"phase\": {\n  \"api\": \"retired\",\n  \"users\": \"switched\",\n  \"posts\": \"switched\",\n  \"threads\": \"switched\"\n}}}", "back", "{\"context\": {\"phase\": {\n  \"users\": \"switched\",\n  \"posts\": \"switched\",\n  \"threads\": \"switched\"\n}}}"},
		{"an object's monolith at the end", "{\"context\": {\"phase\": {\n  \"users\": \"switched\",\n  \"posts\": \"switched\",\n  \"threads\": \"switched\",\n  \"api\": \"retired\"\n}}}", "back", "{\"context\": {\"phase\": {\n  \"users\": \"switched\",\n  \"posts\": \"switched\",\n  \"threads\": \"switched\"\n}}}"},
		{"a name with an escape", `{"context": {"phase": {"us\u0065rs": "parallel"}}}`, "next users", `{"context": {"phase": {"us\u0065rs": "switched"}}}`},
		{"named twice", `{"context": {"phase": {"users": "monolith", "users": "parallel"}}}`, "next users", `phase: "users" is there twice: remove one`},
	} {
		t.Run(test.name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "cdk.json")
			if err := os.WriteFile(file, []byte(test.text), 0o600); err != nil {
				t.Fatal(err)
			}
			f, err := step.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			app, err := step.ReadContext(routed, f.Context, "")
			if err != nil {
				t.Fatal(err)
			}
			names := strings.Fields(test.step)
			to, err := step.Next(app, names[1:])
			if names[0] == "back" {
				to, err = step.Back(app, names[1:])
			}
			if err != nil {
				t.Fatal(err)
			}
			edited, err := f.Edit(app, to)
			got := ""
			if err != nil {
				got = err.Error()
			} else {
				got = string(edited.Text)
			}
			if diff := gocmp.Diff(test.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// However places are written, what is edited reads as the position that was meant, and
// the members of services that stay are what they were.
func TestEditedPlacesReadBack(t *testing.T) {
	places := []string{"monolith", "parallel", "0%", "switched"}
	names := []string{"users", "posts", "posts/writes", "threads", "threads/old", "threads/rest"}
	file := filepath.Join(t.TempDir(), "cdk.json")
	for n := 1; n < 4096; n += 61 {
		object, pairs := map[string]string{}, []string{}
		for i, name := range names { // the name is left out, or in some place
			if k := n >> (2 * i) & 3; k > 0 {
				object[name] = places[(k+n)%len(places)]
				pairs = append(pairs, name+"="+object[name])
			}
		}
		if len(pairs) == 0 {
			continue
		}
		var phase any = strings.Join(pairs, ",")
		if n%2 == 0 {
			phase = object
		}
		text, _ := json.MarshalIndent(map[string]any{"context": map[string]any{"phase": phase, "zones": 2}}, "", "  ")
		if err := os.WriteFile(file, text, 0o600); err != nil {
			t.Fatal(err)
		}
		f, err := step.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		app, err := step.ReadContext(routed, f.Context, "")
		if err != nil {
			t.Fatal(err)
		}
		name := names[n%len(names)]
		to, err := step.Next(app, []string{name})
		if n%3 == 0 || err != nil {
			to, err = step.Back(app, []string{name})
		}
		if err != nil {
			continue // in its first place
		}
		edited, err := f.Edit(app, to)
		if err != nil {
			t.Fatal(err)
		}
		again, err := step.ReadContext(routed, edited.Context, "")
		if err != nil || again.At.String() != to.String() {
			t.Fatalf("%s of %s is edited to %s, which reads as %v (%v), want %v", name, text, edited.Text, again.At, err, to)
		}
		service, _, _ := strings.Cut(name, "/")
		lines := strings.Split(string(edited.Text), "\n")
		for line := range strings.SplitSeq(string(text), "\n") {
			kept := slices.Contains(lines, line) || slices.Contains(lines, line+",")
			if _, isObject := phase.(map[string]string); isObject && !kept && !strings.Contains(line, `"`+service) {
				t.Fatalf("%s of %s is edited to %s: %q is gone", name, text, edited.Text, line)
			}
		}
	}
}

// The places of a state that was deployed, with shares of 0.
func TestPosition(t *testing.T) {
	app := in(t, routed, "users=10%,posts=switched,threads/old=parallel")
	state := app.Migration.State(app.At)
	if got, want := step.Position(app.Migration, state).String(), "posts=switched, posts/writes=switched, threads/old=parallel, threads/rest=monolith, users=0%"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	places := step.Places(app.Migration, state)
	want := map[string]string{"users": "shift", "posts": "switched", "posts/writes": "switched", "threads/old": "parallel", "threads/rest": "monolith", "api": "running"}
	if !maps.Equal(places, want) {
		t.Errorf("%v, want %v", places, want)
	}
	shifted := in(t, given, "parallel", "shift=users=10")
	if got := fmt.Sprint(step.Places(shifted.Migration, shifted.Migration.State(shifted.At))); got != "map[api:running threads:parallel or shift users:parallel or shift]" {
		t.Error(got)
	}
	retired := in(t, given, "users=switched,threads=switched,api=removed")
	if at := step.Position(retired.Migration, retired.Migration.State(retired.At)); at.Phase != migration.Removed {
		t.Errorf("%v", at)
	}
	parallel := func(p migration.Place) bool { return p.Phase == migration.Parallel }
	for i, want := range []string{"users", "", "threads/old"} {
		if got := strings.Join(step.Names(app, app.Migration.Services[i], parallel), " "); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

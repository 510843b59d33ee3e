package review_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"cutover/config"
	"cutover/internal/analysis/review"
	"cutover/internal/assembly"
)

// shop is a migration with all that a route can have: users has testers, posts two routes, and news
// is behind a load balancer of its own and scales.
func shop() config.Deployment {
	return config.Deployment{
		Monolith: config.Service{Name: "api", Paths: []string{"/api*"}, Tasks: 1},
		Services: []config.Service{
			{Name: "users", Paths: []string{"/api/users*"}, Order: 10, Tasks: 1, Testers: map[string][]string{"x-canary": {"1"}}},
			{Name: "posts", Tasks: 2, Routes: []config.Route{
				{Name: "reads", Order: 20, Paths: []string{"/api/posts*"}, Methods: []string{"GET"}},
				{Name: "writes", Order: 21, Paths: []string{"/api/posts*"}, Methods: []string{"POST"}},
			}},
			{Name: "news", Paths: []string{"/api/news*"}, Order: 10, Tasks: 2, MaxTasks: 6, LoadBalancer: "press"},
		},
	}
}

// where is a deployment at a position, as the setting phase has it.
func where(t *testing.T, d config.Deployment, phase string) review.Side {
	t.Helper()
	at, err := d.Position(map[string]any{"phase": phase})
	if err != nil {
		t.Fatal(err)
	}
	return review.Side{Migration: d.Migration(), At: at}
}

// told is the part of a review about a move, without the headline.
func told(m review.Move) string {
	text := (&review.Report{Move: m}).Markdown()
	_, text, _ = strings.Cut(text, "### Phase\n\n")
	text, _, _ = strings.Cut(text, "\n### ")
	return strings.TrimSuffix(text, "\n")
}

var nothing = review.Pair{Before: &assembly.Assembly{}, After: &assembly.Assembly{}}

func moveOf(before, after review.Side) review.Move {
	return review.NewMove(before, after, nothing, false, []string{"a change"})
}

// What a step of services with places of their own does is said for each of them.
func TestMoves(t *testing.T) {
	keep := shop()
	keep.KeepRest = true
	tests := []struct {
		name     string
		d        config.Deployment
		from, to string
		want     string
	}{
		{"begins", shop(), "monolith", "monolith", "The phase stays monolith."},
		{"stays", shop(), "users=switched", "users=switched",
			"Each service stays in its place: news=monolith, posts/reads=monolith, posts/writes=monolith, users=switched."},
		{"starts", shop(), "users=10%", "users=10%,posts=parallel,news=parallel", `
After this, in news=parallel, posts/reads=parallel, posts/writes=parallel instead of news=monolith, posts/reads=monolith, posts/writes=monolith:

- posts/reads: starts with 2 tasks, gets no requests yet; the way back is one step
- posts/writes: gets no requests yet; the way back is one step
- news: starts with 2 tasks, gets no requests yet; the way back is one step
- stays in 10%: users
- everything else goes to api, as before`},
		{"a share of one, the end for the other", shop(), "users=parallel,posts=10%,news=10%", "users=0%,posts=switched,news=switched", `
After this, in news=switched, posts/reads=switched, posts/writes=switched, users=0% instead of news=10%, posts/reads=10%, posts/writes=10%, users=parallel:

- users: from none to 0 % of its traffic, and testers; the way back is one step
- posts/reads: from 10 % to all of its traffic; the way back is one step
- posts/writes: from 10 % to all of its traffic; the way back is one step
- news: from 10 % to all of its traffic; the way back is one step
- everything else goes to api, as before`},
		{"back", shop(), "users=10%,posts=switched,news=5%", "users=parallel,posts=50%,news=1%", `
After this, in news=1%, posts/reads=50%, posts/writes=50%, users=parallel instead of news=5%, posts/reads=switched, posts/writes=switched, users=10%:

- users: from 10 % to none of its traffic, and no testers; api answers the rest
- posts/reads: from all to 50 % of its traffic; api answers the rest
- posts/writes: from all to 50 % of its traffic; api answers the rest
- news: from 5 % to 1 % of its traffic; api answers the rest
- everything else goes to api, as before`},
		{"stops, and one route goes", shop(), "users=parallel,posts/reads=parallel,posts/writes=parallel,news=parallel", "users=monolith,posts/reads=monolith,posts/writes=parallel,news=50%", `
After this, in news=50%, posts/reads=monolith, users=monolith instead of news=parallel, posts/reads=parallel, users=parallel:

- users: stops; its service stays, without tasks
- posts/reads: gets no requests, as before
- news: from none to 50 % of its traffic; scales from 2 to 6 tasks; the way back is one step
- stays in parallel: posts/writes
- everything else goes to api, as before`},
		{"the last", shop(), "users=parallel,posts=switched,news=switched", "users=switched,posts=switched,news=switched", `
After this, in users=switched instead of users=parallel:

- users: from none to all of its traffic; the way back is one step
- stays in switched: posts/reads, posts/writes, news
- everything else is answered with 503
- api gets nothing any more, and goes on running`},
		{"the last, with the rest", keep, "users=parallel,posts=switched,news=switched", "users=switched,posts=switched,news=switched", `
After this, in users=switched instead of users=parallel:

- users: from none to all of its traffic; the way back is one step
- stays in switched: posts/reads, posts/writes, news
- everything else goes to api, as before`},
		{"retires", shop(), "users=switched,posts=switched,news=switched", "users=switched,posts=switched,news=switched,api=retired", `
After this, in api=retired instead of api=running:

- stays in switched: users, posts/reads, posts/writes, news
- api stops; its service stays, without tasks
- everything else is answered with 503, as before`},
		{"the monolith comes back", shop(), "users=switched,posts=switched,news=switched,api=retired", "users=switched,posts=switched,news=switched", `
After this, in api=running instead of api=retired:

- stays in switched: users, posts/reads, posts/writes, news
- api starts with 1 task
- everything else is answered with 503, as before`},
		{"passes over", shop(), "parallel", "users=parallel,posts=parallel,news=parallel", `
After this, in news=parallel, posts/reads=parallel, posts/writes=parallel, users=parallel instead of parallel:

- passes over to a place for each service, and moves nothing: each request is answered as before`},
		{"passes back", shop(), "users=switched,posts=switched,news=switched", "switched", `
After this, in switched instead of news=switched, posts/reads=switched, posts/writes=switched, users=switched:

- passes over to one phase for all, and moves nothing: each request is answered as before`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			m := moveOf(where(t, test.d, test.from), where(t, test.d, test.to))
			if diff := cmp.Diff(strings.Split(strings.TrimPrefix(test.want, "\n"), "\n"), strings.Split(told(m), "\n")); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if m.OutOfTurn || len(m.Turns)+len(m.Early)+len(m.NoReturn)+len(m.Left) > 0 {
				t.Errorf("%+v", m)
			}
		})
	}
}

// A step out of turn names the service, where it is, and what comes next.
func TestTurns(t *testing.T) {
	keep := shop()
	keep.KeepRest = true
	const pass = "between one phase for all and a place for each service, a deployment moves nothing: first bring all services to one place (monolith, parallel or switched), then pass over in a deployment of its own"
	all := "users=switched,posts=switched,news=switched"
	tests := []struct {
		name          string
		before, after config.Deployment
		from, to      string
		want          []string
	}{
		{"too far", shop(), shop(), "users=monolith", "users=switched", []string{"users is in monolith, and switched does not follow: parallel comes next"}},
		{"a share too early", shop(), shop(), "users=monolith", "users=0%", []string{"users is in monolith, and 0% does not follow: parallel comes next"}},
		{"two of four", shop(), shop(), "users=10%,posts=switched,news=parallel", "users=monolith,posts/reads=monolith,posts/writes=10%,news=monolith", []string{
			"posts/reads is in switched, and monolith does not follow: a share or parallel is the way back",
			"users is in 10%, and monolith does not follow: another share or switched comes next, or parallel to go back",
		}},
		{"at a load balancer", shop(), shop(), "news=switched", "news=monolith", []string{"news is in switched, and monolith does not follow: a share or parallel is the way back"}},
		{"passes over and steps", shop(), shop(), "monolith", "users=parallel", []string{pass}},
		{"passes over with a share", shop(), shop(), "parallel", "users=10%,posts=parallel,news=parallel", []string{pass}},
		{"passes back and steps", shop(), shop(), "users=parallel", "parallel", []string{pass}},
		{"retired too early", shop(), shop(), "users=parallel,posts=switched,news=switched", all + ",api=retired",
			[]string{"api cannot be retired yet: first deploy each service as switched, and the rest as dropped"}},
		{"removed too early", shop(), shop(), all, all + ",api=removed", []string{"api runs, and removed does not follow: retired comes next"}},
		{"back too far", shop(), shop(), all + ",api=removed", all, []string{"api is removed: retired comes first on the way back"}},
		{"retired, and the rest was kept", keep, shop(), all, all + ",api=retired",
			[]string{"api cannot be retired yet: first deploy each service as switched, and the rest as dropped"}},
		{"the rest too early", shop(), keep, all + ",api=retired", all,
			[]string{"api gets the rest before it runs: first deploy switched, then let the monolith keep the rest"}},
		{"the rest too early, with one phase for all", shop(), keep, "retired", "switched",
			[]string{"api gets the rest before it runs: first deploy switched, then let the monolith keep the rest"}},
		{"one phase for all", shop(), shop(), "monolith", "switched", nil},
		{"back from retired", shop(), shop(), all + ",api=retired", "users=parallel,posts=switched,news=switched",
			[]string{"users is in switched, and parallel does not follow: the monolith has to run first"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			m := moveOf(where(t, test.before, test.from), where(t, test.after, test.to))
			if diff := cmp.Diff(test.want, append([]string(nil), m.Turns...)); diff != "" || !m.OutOfTurn {
				t.Errorf("out of turn: %t (-want +got):\n%s", m.OutOfTurn, diff)
			}
			if strings.Contains(told(m), "the way back is one step") {
				t.Errorf("it promises a way back:\n%s", told(m))
			}
		})
	}
	r := review.Report{Move: moveOf(where(t, shop(), "users=monolith"), where(t, shop(), "users=switched"))}
	text := r.Markdown()
	for _, want := range []string{
		"- **The services move out of turn, from users=monolith to users=switched: the deployment will be refused before anything changes.**\n",
		"What does not follow:\n\n- users is in monolith, and switched does not follow: parallel comes next\n\nAfter this, in users=switched instead of users=monolith:\n",
	} {
		if !strings.Contains(text, want) || r.Found("turn") != 1 {
			t.Errorf("%d findings, and it lacks %q:\n%s", r.Found("turn"), want, text)
		}
	}
}

// What is new has no names in the gate, so nothing refuses it. If somebody answered its requests,
// they are lost until it runs.
func TestEarly(t *testing.T) {
	tags := config.Service{Name: "tags", Paths: []string{"/api/tags*"}, Order: 40, Tasks: 1}
	with := func(services ...config.Service) config.Deployment {
		d := shop()
		d.Services = append(d.Services, services...)
		return d
	}
	early := func(key string) []string {
		return []string{key + " is new and gets requests at once. They are answered with 503 until it runs, and nothing refuses that: begin with monolith or parallel"}
	}
	routed := shop()
	routed.Services[0] = config.Service{Name: "users", Tasks: 1, Routes: []config.Route{
		{Order: 10, Paths: []string{"/api/users*"}}, {Name: "old", Order: 11, Paths: []string{"/api/people*"}}}}
	all := "users=switched,posts=switched,news=switched"
	tests := []struct {
		name     string
		after    config.Deployment
		from, to string
		want     []string
	}{
		{"in monolith", with(tags), "monolith", "monolith", nil},
		{"in parallel", with(tags), "users=switched", "users=switched,tags=parallel", nil},
		{"switched", with(tags), "users=switched", "users=switched,tags=switched", early("tags")},
		{"a share", with(tags), "users=switched", "users=switched,tags=10%", early("tags")},
		{"nobody answered before", with(tags), all, all + ",tags=switched", nil},
		{"nobody answered before, with one phase for all", with(tags), "switched", "switched", nil},
		{"a route of a service that runs", routed, "users=parallel", "users=parallel,users/old=switched", nil},
		{"a route of a service that does not run", routed, "users=monolith", "users/old=switched", early("users/old")},
		{"a new load balancer", with(config.Service{Name: "tags", LoadBalancer: "other", Paths: []string{"/api/tags*"}, Order: 40, Tasks: 1}), "users=switched", "users=switched,tags=switched", nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			m := moveOf(where(t, shop(), test.from), where(t, test.after, test.to))
			r := review.Report{Move: m}
			if diff := cmp.Diff(test.want, append([]string(nil), m.Early...)); diff != "" || m.OutOfTurn || r.Found("turn") != len(test.want) {
				t.Errorf("out of turn: %t (-want +got):\n%s", m.OutOfTurn, diff)
			}
			if strings.Contains(r.Markdown(), "**Requests are lost: ") != (len(test.want) > 0) {
				t.Error(r.Markdown())
			}
		})
	}
	m := moveOf(where(t, shop(), "users=switched"), where(t, with(tags), "users=switched,tags=parallel"))
	if text := told(m); !strings.Contains(text, "After this, in tags=parallel instead of nothing:\n\n- tags: is new; starts with 1 task, gets no requests yet\n") {
		t.Error(text)
	}
	// A service that goes.
	if text := told(moveOf(where(t, with(tags), "users=switched,tags=parallel"), where(t, shop(), "users=switched"))); !strings.Contains(text, "After this, in nothing instead of tags=parallel:\n") {
		t.Error(text)
	}
}

// The removal of the monolith says what goes, what stays, and what a step back does.
func TestNoReturn(t *testing.T) {
	stack := func(name string, resources ...string) *assembly.Stack {
		s := &assembly.Stack{Name: name}
		for _, r := range resources {
			id, kind, _ := strings.Cut(r, " ")
			s.Resources = append(s.Resources, &assembly.Resource{Stack: s, LogicalID: id, Type: kind})
		}
		return s
	}
	pair := review.Pair{
		Before: &assembly.Assembly{Stacks: []*assembly.Stack{
			stack("dev-Api", "Service AWS::ECS::Service", "Role AWS::IAM::Role", "Other AWS::IAM::Role", "Logs AWS::Logs::LogGroup"),
			stack("dev-Routing", "Api AWS::ElasticLoadBalancingV2::TargetGroup", "Users AWS::ElasticLoadBalancingV2::TargetGroup"),
			stack("dev-Gate", "NotNextToParallel AWS::SSM::Parameter"), stack("dev-GatePress", "Places AWS::SSM::Parameter"), stack("dev-PhasePress", "Places AWS::SSM::Parameter"),
			stack("dev-Gateway", "Users AWS::ElasticLoadBalancingV2::TargetGroup")}},
		After: &assembly.Assembly{Stacks: []*assembly.Stack{
			stack("dev-Api", "Logs AWS::Logs::LogGroup"), stack("dev-Routing", "Users AWS::ElasticLoadBalancingV2::TargetGroup"), stack("dev-Gate")}},
	}
	all := "users=switched,posts=switched,news=switched,"
	for _, way := range [][2]string{{"retired", "removed"}, {all + "api=retired", all + "api=removed"}} {
		m := review.NewMove(where(t, shop(), way[0]), where(t, shop(), way[1]), pair, false, nil)
		r := review.Report{Move: m}
		text := r.Markdown()
		for _, want := range []string{
			"- **This is the point of no return: the monolith is deleted.**\n",
			"The monolith is removed. **This is the point of no return:**\n\n" +
				"- deleted: the service of api with all that only it needs (1 AWS::ECS::Service, 1 AWS::ElasticLoadBalancingV2::TargetGroup, 2 AWS::IAM::Role)\n" +
				"- kept: the log group of api, and its repository with the images\n" +
				"- a step back to retired creates the service of api anew, with new target groups and roles, and without tasks\n",
			":\n\n- each request is answered as before\n",
			"\ndev-GatePress, dev-PhasePress stay behind, because `cdk deploy` deletes no stack. Delete them by hand, or a later deployment may be refused.\n",
		} {
			if !strings.Contains(text, want) || m.OutOfTurn {
				t.Errorf("%s: it lacks %q:\n%s", way, want, text)
			}
		}
		for _, other := range [][2]string{{way[1], way[1]}, {way[1], way[0]}, {way[0], way[0]}} {
			if m := moveOf(where(t, shop(), other[0]), where(t, shop(), other[1])); len(m.NoReturn) > 0 || m.OutOfTurn {
				t.Errorf("%s: %+v", other, m)
			}
		}
	}
	m := moveOf(where(t, shop(), all+"api=removed"), where(t, shop(), all+"api=retired"))
	if !strings.Contains(told(m), "- the service of api, its target groups and its roles are created anew, without tasks\n") {
		t.Error(told(m))
	}
}

// Places are long, so findings of a deployment do not repeat them.
func TestWhere(t *testing.T) {
	m := moveOf(where(t, shop(), "users=10%"), where(t, shop(), "users=switched"))
	r := review.Report{Phases: []string{"monolith", "parallel"}, Deployment: "users=10% → users=switched", Move: m,
		Stacks: []review.Stack{stack("dev-Users", "[~] x", "parallel", "users=10% → users=switched"), stack("dev-Posts", "[~] x", "monolith", "parallel", "users=10% → users=switched")}}
	text := r.Markdown()
	for _, want := range []string{
		"<summary>dev-Users, in parallel, this deployment: 1 change<", "<summary>dev-Posts, in all phases: 1 change<",
		"As `cdk diff` has it, in monolith, parallel and users=10% → users=switched. A deployment of this goes through **users=10% → users=switched**.\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("it lacks %q:\n%s", want, text)
		}
	}
}

// The name of a position with many services is short.
func TestNames(t *testing.T) {
	d := shop()
	for i := range 9 {
		d.Services = append(d.Services, config.Service{Name: string(rune('a' + i)), Paths: []string{"/x"}, Order: 100 + i, Tasks: 1})
	}
	for _, test := range [][4]string{
		{"parallel", "users=switched", "parallel", "a=monolith, b=monolith, c=monolith, d=monolith, e=monolith, f=monolith and 7 more"},
		{"users=10%", "users=switched", "users=10%", "users=switched"},
		{"users=10%", "users=10%", "a=monolith, b=monolith, c=monolith, d=monolith, e=monolith, f=monolith and 7 more", "a=monolith, b=monolith, c=monolith, d=monolith, e=monolith, f=monolith and 7 more"},
	} {
		from, to := review.Names(where(t, d, test[0]), where(t, d, test[1]))
		if from != test[2] || to != test[3] {
			t.Errorf("%s to %s: %s, %s", test[0], test[1], from, to)
		}
	}
}

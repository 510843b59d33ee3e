package local

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"cutover/internal/canary"
	"cutover/internal/local/alb"
	"cutover/internal/nightly"
)

// What was measured is what went through in the periods asked for, and nothing of
// before.
func TestTraffic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		traffic := newTraffic()
		ask := func(group string, n, status int, took time.Duration) {
			now := time.Now()
			for range n {
				x := alb.Exchange{Group: group, Status: status, Dispatched: now}
				if took > 0 {
					x.Answered = now.Add(took)
				}
				traffic.countRequest(x)
			}
		}
		health := func(from, to alb.State) {
			traffic.noteHealth(alb.Event{Group: "users", From: from, To: to})
		}
		check := func(what string, seconds int64, want ...canary.Round) {
			t.Helper()
			rounds := traffic.rounds("users", "api", seconds)
			for i := range rounds { // they are told of by the class
				for _, s := range []*canary.Sample{&rounds[i].Service, &rounds[i].Monolith} {
					s.P99 = s.P99.Round(10 * time.Millisecond)
				}
			}
			if !reflect.DeepEqual(rounds, want) {
				t.Errorf("%s: %+v, want %+v", what, rounds, want)
			}
		}
		none := canary.Sample{}
		of := func(service, monolith canary.Sample) canary.Round {
			return canary.Round{Service: service, Monolith: monolith}
		}

		ask("users", 5, 500, 0)
		traffic.forget()
		check("at once", 1)
		time.Sleep(time.Second)
		check("in the first second", 1)
		ask("users", 98, 200, 20*time.Millisecond)
		ask("users", 2, 503, 0)
		ask("users", 1, 502, 0)
		ask("users", 2, 500, 300*time.Millisecond)
		ask("api", 99, 200, 50*time.Millisecond)
		ask("api", 1, 460, 800*time.Millisecond)
		users := canary.Sample{Requests: 103, Errors: 5, P99: 300 * time.Millisecond}
		api := canary.Sample{Requests: 100, P99: 50 * time.Millisecond}
		check("before the second is over", 1)
		time.Sleep(time.Second)
		check("after a second", 1, of(users, api))
		check("two seconds", 2)
		ask("users", 3, 200, 20*time.Millisecond)
		time.Sleep(time.Second)
		few := canary.Sample{Requests: 3, P99: 20 * time.Millisecond}
		check("after two seconds", 1, of(users, api), of(few, none))
		both := users
		both.Requests += few.Requests
		check("two seconds together", 2, of(both, api))
		time.Sleep(time.Second)
		check("a second later", 1, of(few, none), of(none, none))

		// The fewest at any moment of the period.
		health(alb.Initial, alb.Unhealthy)
		time.Sleep(2 * time.Second)
		check("unhealthy for a while", 1, of(none, none), of(canary.Sample{Unhealthy: 1}, none))
		health(alb.Unhealthy, alb.Draining)
		time.Sleep(time.Second)
		check("and no more", 1, of(canary.Sample{Unhealthy: 1}, none), of(none, none))
		health(alb.Healthy, alb.Unhealthy)
		health(alb.Healthy, alb.Unhealthy)
		time.Sleep(time.Hour)
		check("unhealthy for an hour", 60, of(canary.Sample{Unhealthy: 2}, none), of(canary.Sample{Unhealthy: 2}, none))
		health(alb.Unhealthy, alb.Healthy)
		traffic.forget()
		time.Sleep(121 * time.Second)
		check("the longest", 60, of(canary.Sample{Unhealthy: 1}, none), of(canary.Sample{Unhealthy: 1}, none))
	})
}

// shift gives a service a percentage of its paths, as the app does.
func shift(service string, percent float64) func(templates) {
	return ahead(service, 1000, map[string]float64{service: percent, "api": 100 - percent})
}

// ahead copies the rule of a service to a window of priorities before the monolith's rule, with
// weights of target groups and with more conditions.
func ahead(service string, window float64, weights map[string]float64, more ...any) func(templates) {
	return func(a templates) {
		resources := a["dev-Routing"]["Resources"].(map[string]any)
		groups := map[string]string{} // logical id, by name
		a.resources("AWS::ElasticLoadBalancingV2::TargetGroup", func(_, id string, properties map[string]any) {
			groups[properties["Name"].(string)] = id
		})
		var targets []any
		for _, name := range slices.Sorted(maps.Keys(weights)) {
			targets = append(targets, map[string]any{"TargetGroupArn": map[string]any{"Ref": groups[name]}, "Weight": weights[name]})
		}
		a.resources("AWS::ElasticLoadBalancingV2::ListenerRule", func(_, id string, properties map[string]any) {
			priority := properties["Priority"].(float64) - 20000
			if priority > 0 && strings.Contains(fmt.Sprint(properties["Actions"]), groups[service]) {
				resources[fmt.Sprint(id, window)] = map[string]any{"Type": "AWS::ElasticLoadBalancingV2::ListenerRule", "Properties": map[string]any{
					"ListenerArn": properties["ListenerArn"], "Priority": window + priority, "Conditions": slices.Concat(properties["Conditions"].([]any), more),
					"Actions": []any{map[string]any{"Type": "forward", "ForwardConfig": map[string]any{"TargetGroups": targets}}},
				}}
			}
		})
	}
}

// monolithAlone leaves the other services without tasks, where only rules are looked at.
func (a templates) monolithAlone() {
	a.resources("AWS::ECS::Service", func(stack, _ string, properties map[string]any) {
		if stack != "dev-Api" {
			properties["DesiredCount"] = 0.0
		}
	})
}

// Beside the monolith's rule, a service that is switched is compared, and one that has a share.
// The testers of a service make no canary.
func TestCanariesOfPlaces(t *testing.T) {
	t.Parallel()
	d := start(t, stateDir(t), nil)
	tester := map[string]any{"Field": "http-header", "HttpHeaderConfig": map[string]any{"HttpHeaderName": "X-Tester", "Values": []any{"1"}}}
	alone := func(service string) map[string]float64 { return map[string]float64{service: 1} }
	d.deploy(forum(t, "parallel", templates.monolithAlone, ahead("posts", 1000, alone("posts")),
		ahead("users", 0, alone("users"), tester), shift("users", 10),
		ahead("threads", 0, alone("threads"), tester), shift("threads", 0)))
	check := func(want ...string) {
		t.Helper()
		found, err := d.Canaries(Compared{Monolith: []string{"api"}}, time.Second)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, c := range found.Canaries {
			got = append(got, fmt.Sprintf("%s %g %v %t", c.Service, c.Percent, c.Shares, c.Switched))
		}
		if !slices.Equal(got, want) {
			t.Errorf("the canaries are %q, want %q", got, want)
		}
	}
	check("users 10 map[1010:10] false", "posts 100 map[1030:100] true")
	// The first rule holds requests of users back for the monolith, beside the rules of others.
	d.deploy(forum(t, "parallel", templates.monolithAlone, ahead("users", 1000, alone("api")), shift("threads", 10), ahead("posts", 1000, alone("posts"))))
	check("threads 10 map[1020:10] false", "posts 100 map[1030:100] true")
}

// A service that moves to another compute is compared with itself: the new ECS service with the old one.
// Here threads is the new one of users, and then of the monolith.
func TestCanariesOfComputes(t *testing.T) {
	nightly.Test(t, "it deploys eight positions of a move")
	t.Parallel()
	d := start(t, stateDir(t), nil)
	tester := map[string]any{"Field": "http-header", "HttpHeaderConfig": map[string]any{"HttpHeaderName": "X-Tester", "Values": []any{"1"}}}
	to := func(api, users, threads float64) map[string]float64 {
		all := map[string]float64{"users": users, "threads": threads}
		if api > 0 {
			all["api"] = api
		}
		return all
	}
	check := func(compared Compared, want ...string) {
		t.Helper()
		found, err := d.Canaries(compared, time.Second)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, c := range found.Canaries {
			got = append(got, fmt.Sprintf("%s with %s %g %t", c.Service, c.With, c.Percent, c.Switched))
			if c.Compute != (compared.Old[c.Service] == c.With) {
				t.Errorf("%s with %s: of the compute %t", c.Service, c.With, c.Compute)
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("the canaries are %q, want %q", got, want)
		}
	}
	users := Compared{Monolith: []string{"api"}, Old: map[string]string{"threads": "users"}}
	// Behind the monolith's rule, nobody asks them. Ahead of it, the share of the service is that of both.
	d.deploy(forum(t, "parallel", templates.monolithAlone, ahead("users", 15000, to(0, 3, 1))))
	check(users)
	d.deploy(forum(t, "parallel", templates.monolithAlone, ahead("users", 1000, to(6, 3, 1))))
	check(users, "threads with users 25 false", "users with api 40 false")
	d.deploy(forum(t, "parallel", templates.monolithAlone, ahead("users", 0, to(0, 3, 1), tester), ahead("users", 1000, to(6, 3, 1))))
	check(users, "threads with users 25 false", "users with api 40 false")
	d.deploy(forum(t, "parallel", templates.monolithAlone, ahead("users", 1000, to(0, 3, 1))))
	check(users, "threads with users 25 false", "users with api 100 true")
	d.deploy(forum(t, "parallel", templates.monolithAlone, ahead("users", 1000, to(0, 4, 0))))
	check(users, "users with api 100 true")
	// Once the new one has it all, nothing of the old one is left to compare with the monolith.
	d.deploy(forum(t, "parallel", templates.monolithAlone, ahead("users", 1000, to(0, 0, 4))))
	check(users, "threads with users 100 true", "threads with api 100 true")
	// Without the monolith, a service still is compared with itself.
	check(Compared{Monolith: []string{"none"}, Old: users.Old}, "threads with users 100 true")
	check(Compared{Old: users.Old}, "threads with users 100 true")
	// The monolith moves as well: posts is the new one of it.
	api := Compared{Monolith: []string{"api", "posts"}, Old: map[string]string{"posts": "api"}}
	d.deploy(forum(t, "parallel", templates.monolithAlone, ahead("users", 1000, map[string]float64{"api": 30, "posts": 10, "users": 60})))
	check(api, "posts with api 25 false", "users with api 60 false")
	d.deploy(forum(t, "parallel", templates.monolithAlone, ahead("posts", 0, map[string]float64{"api": 3, "posts": 1})))
	check(api, "posts with api 25 false")
}

// A canary that does as the monolith does may go on; one that fails, or is late,
// is found out.
func TestCanary(t *testing.T) {
	nightly.Test(t, "it measures a canary under load")
	t.Parallel()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	fault := filepath.Join(t.TempDir(), "fault")
	d := start(t, stateDir(t), map[string]string{"users": fmt.Sprintf("%s=server FAULT='%s' exec '%s'", roleVariable, fault, program)})
	const period = 10 * time.Second // a busy machine sends fewer requests than asked, and a round needs 50
	canaries := func(want string) []Canary {
		t.Helper()
		found, err := d.Canaries(Compared{Monolith: []string{"api"}}, period)
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, c := range found.Canaries {
			names = append(names, fmt.Sprintf("%s %g", c.Service, c.Percent))
			if c.Switched != (c.Percent == 100) {
				t.Errorf("%s is switched: %v", c.Service, c.Switched)
			}
		}
		if got := strings.Join(names, ", "); got != want {
			t.Fatalf("the canaries are %q, want %q", got, want)
		}
		return found.Canaries
	}
	// judged waits until the verdict is that one, and returns its reason.
	judged := func(want canary.Verdict) (reason string) {
		t.Helper()
		defer func() {
			if t.Failed() {
				t.Log(reason)
			}
		}()
		until(t, "the verdict is "+string(want), func() bool {
			c := canaries("users 50")[0]
			verdict, reasons := canary.Decide(canary.Subject{Service: c.Service, Monolith: "api", Length: period, Rounds: c.Rounds}.Judge())
			reason = strings.Join(reasons, "\n")
			return verdict == want
		})
		return reason
	}
	if _, err := d.Canaries(Compared{Monolith: []string{"api"}}, period); err == nil || !strings.Contains(err.Error(), `there is no service "api"`) {
		t.Errorf("before a deployment: %v", err)
	}
	if _, err := d.Canaries(Compared{Monolith: []string{"api"}}, 90*time.Second); err == nil || !strings.Contains(err.Error(), "1m30s cannot be measured here: choose whole seconds, up to 1m0s") {
		t.Errorf("a long period: %v", err)
	}
	d.deploy(forum(t, "parallel"))
	canaries("")
	canaried := forum(t, "parallel", shift("users", 50))
	d.deploy(canaried)
	if c := canaries("users 50")[0]; len(c.Rounds) > 1 {
		t.Errorf("rounds of before the canary count: %v", c.Rounds)
	}
	if reason := judged(canary.Wait); !strings.Contains(reason, "users ha") {
		t.Errorf("it waits because of %q", reason)
	}
	loadOf(t, d.url(80), 150) // a third of them for users, of which the canary gets half
	if reason := judged(canary.GoOn); !strings.Contains(reason, "users answered 0.0 % of ") {
		t.Errorf("it goes on because of %q", reason)
	}
	write := func(text string) {
		if err := os.WriteFile(fault, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("failing")
	if reason := judged(canary.Back); !strings.Contains(reason, "users answered ") || !strings.Contains(reason, "% of ") {
		t.Errorf("it goes back because of %q", reason)
	}
	write("late")
	until(t, "it is late and nothing else", func() bool {
		return strings.HasPrefix(judged(canary.Back), "users has a p99 of ")
	})
	// What was measured of the one that fails does not count for the next.
	if err := os.Remove(fault); err != nil {
		t.Fatal(err)
	}
	d.deploy(canaried)
	if reason := judged(canary.GoOn); !strings.Contains(reason, "users has a p99 of ") {
		t.Errorf("it goes on because of %q", reason)
	}
	d.deploy(forum(t, "switched"))
	canaries("users 100, threads 100, posts 100")
	d.deploy(forum(t, "retired"))
	if _, err := d.Canaries(Compared{Monolith: []string{"api"}}, period); err == nil || !strings.Contains(err.Error(), "api has no tasks any more") {
		t.Errorf("when the monolith is retired: %v", err)
	}
}

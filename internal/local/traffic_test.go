package local

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"cutover/internal/canary"
	"cutover/internal/local/alb"
)

// A p99 is what it is called, within 1/32.
func TestLatencyClasses(t *testing.T) {
	for _, d := range []time.Duration{0, 1, 999, 15 * time.Microsecond, 16 * time.Microsecond, 31 * time.Microsecond, 32 * time.Microsecond, 33 * time.Microsecond,
		999 * time.Microsecond, time.Millisecond, 1500 * time.Microsecond, 99 * time.Millisecond, 150 * time.Millisecond, time.Second, 59 * time.Second, 2 * time.Minute} {
		got := classLatency(latencyClass(d))
		if difference := (got - d).Abs(); difference > d/32+time.Microsecond {
			t.Errorf("%v is taken for %v", d, got)
		}
	}
	for class := range latencies {
		if got := latencyClass(classLatency(class)); got != class {
			t.Errorf("the middle of class %d, %v, is in class %d", class, classLatency(class), got)
		}
	}
	if got := latencyClass(time.Hour); got != latencies-1 {
		t.Errorf("an hour is in class %d of %d", got, latencies)
	}
}

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
	return func(a templates) {
		resources := a["dev-Routing"]["Resources"].(map[string]any)
		group := func(of string) (id string) {
			a.resources("AWS::ElasticLoadBalancingV2::TargetGroup", func(_, other string, properties map[string]any) {
				if properties["Name"] == of {
					id = other
				}
			})
			return id
		}
		a.resources("AWS::ElasticLoadBalancingV2::ListenerRule", func(_, id string, properties map[string]any) {
			forward := properties["Actions"].([]any)[0].(map[string]any)
			if strings.Contains(fmt.Sprint(forward), group(service)) {
				weighted := func(of string, weight float64) any {
					return map[string]any{"TargetGroupArn": map[string]any{"Ref": group(of)}, "Weight": weight}
				}
				resources[id+"Shift"] = map[string]any{"Type": "AWS::ElasticLoadBalancingV2::ListenerRule", "Properties": map[string]any{
					"ListenerArn": properties["ListenerArn"], "Conditions": properties["Conditions"], "Priority": properties["Priority"].(float64) - 19000,
					"Actions": []any{map[string]any{"Type": "forward", "ForwardConfig": map[string]any{
						"TargetGroups": []any{weighted(service, percent), weighted("api", 100-percent)},
					}}},
				}}
			}
		})
	}
}

// A canary that does as the monolith does may go on; one that fails, or is late,
// is found out.
func TestCanary(t *testing.T) {
	t.Parallel()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	fault := filepath.Join(t.TempDir(), "fault")
	d := start(t, stateDir(t), map[string]string{"users": fmt.Sprintf("%s=server FAULT='%s' exec '%s'", roleVariable, fault, program)})
	const period = time.Second
	canaries := func(want string) []Canary {
		t.Helper()
		found, err := d.Canaries("api", period)
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
		until(t, "the verdict is "+string(want), func() bool {
			c := canaries("users 50")[0]
			verdict, reasons := canary.Decide(canary.Subject{Service: c.Service, Monolith: "api", Length: period, Rounds: c.Rounds}.Judge())
			reason = strings.Join(reasons, "\n")
			return verdict == want
		})
		return reason
	}
	if _, err := d.Canaries("api", period); err == nil || !strings.Contains(err.Error(), `there is no service "api"`) {
		t.Errorf("before a deployment: %v", err)
	}
	if _, err := d.Canaries("api", 90*time.Second); err == nil || !strings.Contains(err.Error(), "1m30s cannot be measured here: choose whole seconds, up to 1m0s") {
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
	loadOf(t, d.url(80), 600) // a third of them for users, of which the canary gets half
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
	if _, err := d.Canaries("api", period); err == nil || !strings.Contains(err.Error(), "api has no tasks any more") {
		t.Errorf("when the monolith is retired: %v", err)
	}
}

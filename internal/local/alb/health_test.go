package alb

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"cutover/internal/model"
)

// clinic is a group without sockets, whose targets are as healthy as it says.
type clinic struct {
	*group
	mu      sync.Mutex
	reasons map[string]string // by address; empty passes
	probes  int
	events  []string
	start   time.Time
}

func newClinic(config model.TargetGroup) *clinic {
	c := &clinic{reasons: map[string]string{}, start: time.Now()}
	c.group = &group{key: "G", probe: c.probe, events: &events{deliver: func(e Event) {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.events = append(c.events, fmt.Sprintf("%gs %s %s->%s %s", e.Time.Sub(c.start).Seconds(), e.Target, e.From, e.To, e.Reason))
	}}}
	c.configure(config, true)
	return c
}

func (c *clinic) probe(_ context.Context, address string, _ model.HealthCheck) (reason, description string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.probes++
	return c.reasons[address], ""
}

func (c *clinic) set(address, reason string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.reasons[address] = reason
}

func (c *clinic) add(t *testing.T, id string) {
	t.Helper()
	if err := c.register(id, id); err != nil {
		t.Fatal(err)
	}
	synctest.Wait()
}

func (c *clinic) expect(t *testing.T, want ...string) {
	t.Helper()
	synctest.Wait()
	c.mu.Lock()
	defer c.mu.Unlock()
	if !slices.Equal(c.events, want) {
		t.Errorf("events are\n%s\nwant\n%s", strings.Join(c.events, "\n"), strings.Join(want, "\n"))
	}
	c.events = nil
}

// after lets time pass and what is due in it happen.
func after(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

var sixSeconds = model.TargetGroup{
	Health:              model.HealthCheck{Interval: 6 * time.Second, Timeout: 5 * time.Second, Healthy: 3, Unhealthy: 2, Codes: []model.CodeRange{{From: 200, To: 200}}},
	DeregistrationDelay: 30 * time.Second, MinHealthy: 1,
}

// https://docs.aws.amazon.com/elasticloadbalancing/latest/application/target-group-health-checks.html
func testThresholds(t *testing.T, _ *bench) {
	synctest.Test(t, func(t *testing.T) {
		c := newClinic(sixSeconds)
		defer c.close()
		// One success is enough for a new target.
		c.add(t, "x")
		c.expect(t, "0s x unused->initial Elb.InitialHealthChecking", "0s x initial->healthy ")
		// It takes two failures to give it up, and three successes to take it back.
		c.set("x", timeoutReason)
		after(6 * time.Second)
		c.expect(t)
		after(6 * time.Second)
		c.expect(t, "12s x healthy->unhealthy Target.Timeout")
		c.set("x", "")
		after(12 * time.Second)
		c.set("x", failedHealthChecks) // interrupted
		after(6 * time.Second)
		if got := c.status()[0]; got.Reason != failedHealthChecks || got.Description != "Health checks failed" {
			t.Errorf("the reason stays %s, %s", got.Reason, got.Description)
		}
		c.set("x", "")
		after(12 * time.Second)
		c.expect(t)
		after(6 * time.Second)
		c.expect(t, "48s x unhealthy->healthy ")

		// A new target that fails from the beginning.
		c.set("y", failedHealthChecks)
		c.add(t, "y")
		c.expect(t, "48s y unused->initial Elb.InitialHealthChecking")
		after(6 * time.Second)
		c.expect(t, "54s y initial->unhealthy Target.FailedHealthChecks")

		// Checks follow changed settings, and end when no rule uses the group.
		faster := sixSeconds
		faster.Health.Interval, faster.Health.Healthy = time.Second, 2
		c.set("y", "")
		c.configure(faster, true)
		after(time.Second)
		c.expect(t, "55s y unhealthy->healthy ")
		c.configure(faster, false)
		c.expect(t, "55s x healthy->unused Target.NotInUse", "55s y healthy->unused Target.NotInUse")
		c.mu.Lock()
		probes := c.probes
		c.mu.Unlock()
		after(time.Minute)
		if c.probes != probes {
			t.Errorf("%d checks of a group that is not in use", c.probes-probes)
		}
		<-c.deregister("y")
		c.configure(faster, true)
		c.expect(t, "115s y unused->draining Target.DeregistrationInProgress", "115s y draining->unused Target.NotRegistered",
			"115s x unused->initial Elb.InitialHealthChecking", "115s x initial->healthy ")
	})
}

// A check fails when its own timeout is over, and the next one comes an interval after its begin.
func testCheckTimeout(t *testing.T, _ *bench) {
	synctest.Test(t, func(t *testing.T) {
		c := newClinic(sixSeconds)
		defer c.close()
		c.group.probe = func(ctx context.Context, _ string, _ model.HealthCheck) (reason, description string) {
			<-ctx.Done()
			return timeoutReason, ""
		}
		c.add(t, "x")
		c.expect(t, "0s x unused->initial Elb.InitialHealthChecking")
		after(11*time.Second - 1)
		c.expect(t)
		after(1)
		c.expect(t, "11s x initial->unhealthy Target.Timeout")
	})
}

func TestRegister(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClinic(sixSeconds)
		defer c.close()
		c.add(t, "x")
		c.add(t, "x")
		if err := c.register("x", "elsewhere"); err == nil || !strings.Contains(err.Error(), "registered with address x") {
			t.Errorf("another address: %v", err)
		}
		if got := c.status(); len(got) != 1 {
			t.Errorf("targets are %+v", got)
		}
		if c.deregister("unknown") != nil {
			t.Error("an unknown target can be deregistered")
		}
	})
}

// https://docs.aws.amazon.com/elasticloadbalancing/latest/application/edit-target-group-attributes.html#deregistration-delay
func testDraining(t *testing.T, _ *bench) {
	synctest.Test(t, func(t *testing.T) {
		c := newClinic(sixSeconds)
		defer c.close()
		c.add(t, "x")
		c.add(t, "y")
		busy := c.pick("x")
		<-c.deregister("y") // nothing in flight
		drained := c.deregister("x")
		c.expect(t, "0s x unused->initial Elb.InitialHealthChecking", "0s x initial->healthy ", "0s y unused->initial Elb.InitialHealthChecking", "0s y initial->healthy ",
			"0s y healthy->draining Target.DeregistrationInProgress", "0s y draining->unused Target.NotRegistered", "0s x healthy->draining Target.DeregistrationInProgress")
		if c.pick("x") != nil || c.pick("") != nil {
			t.Error("a draining target gets a request")
		}
		if c.deregister("x") != drained {
			t.Error("deregistered twice, it drains twice")
		}
		// One of the same name is another target.
		c.add(t, "x")
		if got := c.status(); len(got) != 2 || got[0].State != Healthy || got[1].State != Draining {
			t.Errorf("targets are %+v", got)
		}
		after(29 * time.Second)
		if busy.pool.isCut() {
			t.Error("cut off before the delay has passed")
		}
		after(time.Second)
		if !busy.pool.isCut() {
			t.Error("not cut off after the delay")
		}
		busy.release()
		<-drained
	})
}

// https://docs.aws.amazon.com/elasticloadbalancing/latest/application/edit-target-group-attributes.html#slow-start-mode
func testSlowStart(t *testing.T, _ *bench) {
	synctest.Test(t, func(t *testing.T) {
		config := sixSeconds
		config.SlowStart = 100 * time.Second
		c := newClinic(config)
		defer c.close()
		share := func(id string) float64 {
			got := 0
			for range 4000 {
				target := c.pick("")
				if target.ID == id {
					got++
				}
				target.release()
			}
			return float64(got) / 4000
		}
		near := func(what string, got, want float64) {
			t.Helper()
			if got < want-0.05 || got > want+0.05 {
				t.Errorf("%s gets %.3f of the requests, want about %.3f", what, got, want)
			}
		}
		// The first of a group has nobody to spare it.
		c.add(t, "old")
		near("the only target", share("old"), 1)
		c.add(t, "new")
		near("a new target", share("new"), 0)
		after(50 * time.Second)
		near("a target half way, which counts half as much", share("new"), 0.5/1.5)
		after(50 * time.Second)
		near("a target after slow start", share("new"), 0.5)
		// It begins again after the target was unhealthy.
		c.set("new", failedHealthChecks)
		after(12 * time.Second)
		c.set("new", "")
		after(18 * time.Second)
		near("a target that comes back", share("new"), 0)
	})
}

// https://docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-target-groups.html#target-group-health
func testFailover(t *testing.T, _ *bench) {
	synctest.Test(t, func(t *testing.T) {
		config := sixSeconds
		config.MinHealthyPercent = 50
		c := newClinic(config)
		defer c.close()
		for i := range 4 {
			c.add(t, fmt.Sprint(i))
		}
		for sick, want := range []int{4, 3, 2, 4, 4} {
			if sick > 0 {
				c.set(fmt.Sprint(sick-1), failedHealthChecks)
				after(12 * time.Second)
			}
			got := map[string]bool{}
			for range 8 {
				target := c.pick("")
				got[target.ID] = true
				target.release()
			}
			if len(got) != want {
				t.Errorf("with %d of 4 unhealthy, %d get requests, want %d", sick, len(got), want)
			}
		}
	})
}

// The check itself, over the network.
func testProbe(t *testing.T, _ *bench) {
	var agent, host string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/created":
			w.WriteHeader(201)
		case "/moved":
			http.Redirect(w, r, "/created", http.StatusFound)
		case "/hangs":
			<-r.Context().Done()
		case "/query":
			agent, host = r.UserAgent(), r.Host
			if r.URL.RawQuery != "deep=1" || !r.Close {
				w.WriteHeader(500)
			}
		}
	}))
	defer server.Close()
	secure := httptest.NewTLSServer(server.Config.Handler)
	defer secure.Close()
	closed, _ := net.Listen("tcp", "127.0.0.1:0")
	closed.Close()
	address := server.Listener.Addr().String()
	tests := []struct {
		name, address, want string
		check               model.HealthCheck
	}{
		{"passes", address, "", model.HealthCheck{Path: "/query?deep=1"}},
		{"another code", address, "Target.ResponseCodeMismatch Health checks failed with these codes: [201]", model.HealthCheck{Path: "/created"}},
		{"a matching range", address, "", model.HealthCheck{Path: "/created", Codes: []model.CodeRange{{From: 200, To: 200}, {From: 201, To: 299}}}},
		{"redirects are not followed", address, "Target.ResponseCodeMismatch Health checks failed with these codes: [302]", model.HealthCheck{Path: "/moved", Codes: []model.CodeRange{{From: 200, To: 299}}}},
		{"too slow", address, "Target.Timeout ", model.HealthCheck{Path: "/hangs", Timeout: 20 * time.Millisecond}},
		{"nobody there", closed.Addr().String(), "Target.FailedHealthChecks ", model.HealthCheck{Path: "/"}},
		{"another port", closed.Addr().String(), "", model.HealthCheck{Path: "/", Port: server.Listener.Addr().(*net.TCPAddr).Port}},
		{"TLS with any certificate", secure.Listener.Addr().String(), "", model.HealthCheck{Path: "/", Protocol: "HTTPS"}},
		{"TLS is not there", address, "Target.FailedHealthChecks ", model.HealthCheck{Path: "/", Protocol: "HTTPS"}},
	}
	for _, test := range tests {
		if test.check.Timeout == 0 {
			test.check.Timeout = 10 * time.Second
		}
		if test.check.Codes == nil {
			test.check.Codes = []model.CodeRange{{From: 200, To: 200}}
		}
		ctx, cancel := context.WithTimeout(context.Background(), test.check.Timeout)
		reason, description := probe(ctx, test.address, test.check)
		cancel()
		if got := strings.TrimPrefix(reason+" "+description, " "); got != test.want {
			t.Errorf("%s: %q, want %q", test.name, got, test.want)
		}
	}
	if agent != "ELB-HealthChecker/2.0" || host != address {
		t.Errorf("a check comes from %q for %q", agent, host)
	}
}

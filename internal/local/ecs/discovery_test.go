package ecs

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"cutover/internal/model"
)

// names is a discovery that notes what it is asked.
type names struct {
	*world
	known string // a name that exists
	err   error
	last  Caller
	at    string // the address of the container main, port 3000
}

func (n *names) Known(*model.Service) []string { return []string{n.known} }

func (n *names) Open(of Caller) ([]Name, string, error) {
	n.note("open %s %s %s", of.Name, of.Service.Key(), of.Known)
	n.mu.Lock()
	defer n.mu.Unlock()
	n.last = of
	return []Name{{Host: n.known}}, "dns", n.err
}

func (n *names) Close(string) { n.note("close") }

func (n *names) Register(_ string, s *model.Service, healthy bool, address func(string, int) string) {
	n.note("found %s healthy %v", s.Name, healthy)
	n.mu.Lock()
	defer n.mu.Unlock()
	n.at = address("main", 3000) + address("left out", 1)
}

func (n *names) Health(_ string, healthy bool) { n.note("healthy %v", healthy) }
func (n *names) Deregister(string)             { n.note("lost") }

func newNames(t *testing.T) *names {
	n := &names{world: newWorld(t), known: "posts"}
	n.options.Discovery = n
	return n
}

// A task has names before its containers start, is found when it runs, and is lost before it is asked to stop.
// Its names end last.
func TestOrderOfNames(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newNames(t)
		w.draining = 20 * time.Second
		w.apply(spec("v1", 1))
		w.finish()
		want := []string{
			"0s open users stack/Service [posts]", "0s start v1-1", "0s register v1-1:80 in stack/Group", "0s found users healthy true",
			"12s lost", "12s deregister v1-1", "32s drained v1-1", "32s SIGTERM v1-1", "32s close",
		}
		if got := w.after("open"); !slices.Equal(got, want) {
			t.Errorf("order is %q, want %q", got, want)
		}
		if r := w.started[0]; !slices.Equal(r.Names, []Name{{Host: "posts"}}) || r.DNS != "dns" || r.Task != w.last.Task {
			t.Errorf("the driver got %+v", r)
		}
		if w.at != "v1-1:80" {
			t.Errorf("the addresses are %q", w.at)
		}
	})
}

// The health checks of containers are told, and those that cannot run count as passed.
func TestHealthOfNames(t *testing.T) {
	for image, want := range map[string][]string{
		"v1":     {"0s found users healthy false", "10s healthy true", "30s healthy false", "50s healthy true"},
		"noexec": {"0s found users healthy false", "0s healthy true"},
	} {
		synctest.Test(t, func(t *testing.T) {
			w := newNames(t)
			s := spec(image, 1, checked, noBalancer)
			s.TaskDefinition.Containers[0].HealthCheck.Retries = 2
			s.HealthCheckGracePeriod = time.Hour
			w.apply(s)
			if image == "v1" {
				w.container("v1-1").setSick(true)
				time.Sleep(35 * time.Second)
				w.container("v1-1").setSick(false)
				time.Sleep(10 * time.Second)
			}
			got := slices.DeleteFunc(w.after("found"), func(line string) bool { return !strings.Contains(line, "healthy") })
			slices.Sort(got)
			if known := len(got) == 1 && strings.HasSuffix(got[0], "healthy true"); image == "noexec" && known {
				got = want // it was known before the task ran
			}
			if !slices.Equal(got, want) {
				t.Errorf("%s: %q, want %q", image, got, want)
			}
			w.finish()
		})
	}
}

// All tasks of a deployment find what existed when it began. A change of names is a new deployment.
func TestNamesOfDeployments(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newNames(t)
		opened := func() (all []string) {
			for _, line := range w.after("open") {
				if strings.Contains(line, "open") {
					all = append(all, line[len(line)-3:])
				}
			}
			return all
		}
		w.known = "1"
		w.apply(spec("v1", 1, noBalancer))
		w.known = "2"
		w.apply(spec("v1", 2, noBalancer))
		if got := fmt.Sprint(opened()); got != "[[1] [1]]" {
			t.Errorf("more tasks of a deployment know %v", got)
		}
		connect := &model.ServiceConnect{NamespaceKey: "dev"}
		w.apply(spec("v1", 2, noBalancer, func(s *model.Service) { s.Connect = connect }))
		w.known = "3"
		w.apply(spec("v1", 2, noBalancer, func(s *model.Service) { s.Connect = connect }))
		w.apply(spec("v1", 2, noBalancer, func(s *model.Service) { s.Connect, s.Registries = connect, []model.Registry{{ServiceID: "r"}} }))
		w.known = "4"
		if err := w.Redeploy("stack/Service"); err != nil {
			t.Fatal(err)
		}
		w.apply(spec("v1", 2, noBalancer, func(s *model.Service) { s.Connect, s.Registries = connect, []model.Registry{{ServiceID: "r"}} }))
		if got := fmt.Sprint(opened()); got != "[[1] [1] [2] [2] [3] [3] [4] [4]]" {
			t.Errorf("the tasks know %v", got)
		}
		if w.last.Service.Connect != connect {
			t.Error("a task is one of an older service")
		}
		w.finish()
	})
}

// A task without its names does not start.
func TestNamesThatCannotBeHad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newNames(t)
		w.err = errors.New("too many open files")
		s := spec("v1", 1, noBalancer)
		if err := w.Apply(t.Context(), s); !errors.Is(err, ErrDeploymentFailed) || !strings.Contains(err.Error(), "too many open files") {
			t.Errorf("the error is %v", err)
		}
		if len(w.started) > 0 {
			t.Error("a container was started")
		}
		w.finish()
	})
}

// A task of its own has names, too.
func TestNamesOfATaskOfItsOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newNames(t)
		if r := w.RunTask(t.Context(), "stack/Nightly", "nightly", spec("done", 1).TaskDefinition); r.Failed {
			t.Errorf("it failed: %+v", r)
		}
		if got := w.after("open"); got[0] != "0s open nightly  []" || got[len(got)-1] != "3s close" || len(w.started[0].Names) != 1 {
			t.Errorf("order is %q", got)
		}
	})
}

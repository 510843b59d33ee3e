package local

import (
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"cutover/internal/nightly"
)

// Load on one service scales that one alone, a deployment in between leaves the count
// as it is, and without load it goes back. A count that a phase sets is the count.
func TestScaling(t *testing.T) {
	nightly.Test(t, "it waits for minutes of autoscaling")
	t.Parallel()
	d := &deployment{t: t}
	options := d.options(stateDir(t), nil)
	options.ScalingPeriod = 300 * time.Millisecond // so 4.5 s without load scale in
	d.begin(options)
	all := scaling("Users", "Threads", "Posts")
	d.deploy(forum(t, "switched", all))
	counts := func() []int {
		var n []int
		for _, name := range []string{"users", "threads", "posts", "api"} {
			n = append(n, service(d, name).DesiredCount)
		}
		return n
	}
	if got := counts(); !slices.Equal(got, []int{1, 1, 1, 1}) {
		t.Fatalf("without load there are to be %v tasks", got)
	}

	// Of one service alone, up to 100 requests a second: a task is to have 2.
	client := &http.Client{Timeout: 20 * time.Second}
	url := d.url(80) + "/api/users/3"
	stop, stopped := make(chan struct{}), make(chan struct{})
	lost := 0
	go func() {
		defer close(stopped)
		ticker := time.NewTicker(10 * time.Millisecond)
		defer ticker.Stop()
		for {
			select {
			case <-stop:
				return
			case <-ticker.C:
			}
			if answer, err := get(client, url); err != nil || answer != "200 "+forumAnswers()["/api/users/3"] {
				lost++
			}
		}
	}()
	halt := sync.OnceFunc(func() { close(stop); <-stopped })
	defer halt()
	scaled := func(n int) func() bool {
		return func() bool { s := service(d, "users"); return s.DesiredCount == n && s.RunningCount == n && s.Steady }
	}
	until(t, "three tasks of users", scaled(3))

	// A new image, or whatever else changes its task definition, and the others as they were.
	changed := func(a templates) {
		a.containers(func(name string, definition map[string]any) {
			if name == "users" {
				definition["StopTimeout"] = 21.0
			}
		})
	}
	before := d.tasks()
	d.deploy(forum(t, "switched", all, changed))
	after := d.tasks()
	if got := counts(); !slices.Equal(got, []int{3, 1, 1, 1}) {
		t.Errorf("after a deployment under load there are to be %v tasks, want three of users and one of the others", got)
	}
	if len(after["users"]) != 3 || slices.ContainsFunc(after["users"], func(id string) bool { return slices.Contains(before["users"], id) }) {
		t.Errorf("the deployment left the tasks %v, and there were %v", after["users"], before["users"])
	}
	for _, name := range []string{"threads", "posts", "api"} {
		if !slices.Equal(after[name], before[name]) {
			t.Errorf("the tasks of %s are %v and were %v", name, after[name], before[name])
		}
	}

	halt()
	if lost > 0 {
		t.Errorf("%d requests were lost", lost)
	}
	until(t, "one task of users", scaled(1))
	var scaledServices []string
	for _, e := range d.told() {
		if e.Kind == "scaling" && !slices.Contains(scaledServices, e.Subject) {
			scaledServices = append(scaledServices, e.Subject)
		}
	}
	if !slices.Equal(scaledServices, []string{"users"}) {
		t.Errorf("%v have scaled, want users alone", scaledServices)
	}
	status := service(d, "users").Scaling
	if status == nil || status.Last == nil || status.Last.To != 1 || len(status.Policies) != 2 {
		t.Errorf("the status of users is %+v", status)
	}

	// Without autoscaling in the template the count is the template's.
	d.deploy(forum(t, "switched", scaling("Threads"), func(a templates) {
		a["dev-Users"]["Resources"].(map[string]any)["ServiceD69D759B"].(map[string]any)["Properties"].(map[string]any)["DesiredCount"] = 2.0
	}))
	if s := service(d, "users"); s.DesiredCount != 2 || s.Scaling != nil {
		t.Errorf("users are to be %d, and scale: %+v", s.DesiredCount, s.Scaling)
	}
}

package local

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"cutover/internal/nightly"
)

// harm does a fault and waits until the deployment has recovered.
func (d *deployment) harm(kind, service string) {
	d.t.Helper()
	ctx, cancel := context.WithTimeout(d.t.Context(), limit)
	defer cancel()
	clear, err := d.Fault(ctx, kind, service)
	if err == nil {
		err = clear(ctx)
	}
	if err != nil {
		d.t.Fatalf("%s: %v", kind, err)
	}
}

// Neither an instance that is drained nor an image that does not run costs a
// request. A fault that ends half of the tasks leaves the other half.
func TestFaults(t *testing.T) {
	nightly.Test(t, "it does four faults under load")
	t.Parallel()
	d := start(t, stateDir(t), nil)
	assembly := forum(t, "switched", func(a templates) {
		a.resources("AWS::ECS::Service", func(stack, _ string, properties map[string]any) {
			if stack != "dev-Api" {
				properties["DesiredCount"] = 2.0
			}
		})
	})
	d.deploy(assembly)
	stop := loadOf(t, d.url(80), 100)
	before := d.tasks()
	d.harm("drain", "users")
	drained := d.tasks()
	if len(drained["users"]) != 2 || slices.ContainsFunc(drained["users"], func(id string) bool { return slices.Contains(before["users"], id) }) {
		t.Errorf("tasks of users are %v and were %v: they were not replaced", drained["users"], before["users"])
	}
	d.harm("bad-image", "users")
	after := d.tasks()
	if !slices.Equal(after["users"], drained["users"]) {
		t.Errorf("tasks of users are %v and were %v: a bad image replaced them", after["users"], drained["users"])
	}
	for _, service := range []string{"api", "threads", "posts"} {
		if !slices.Equal(after[service], before[service]) {
			t.Errorf("tasks of %s are %v and were %v", service, after[service], before[service])
		}
	}
	if !d.happened("deployment", "users", "FAILED") {
		t.Error("no deployment failed")
	}
	if requests, lost := stop(); len(lost) > 0 || requests == 0 {
		t.Errorf("%d of %d requests were lost: %s", len(lost), requests, strings.Join(lost[:min(len(lost), 5)], "\n"))
	}
	// What was deployed before is still what is deployed.
	d.deploy(assembly)
	if again := d.tasks(); !slices.Equal(again["users"], after["users"]) {
		t.Errorf("tasks of users are %v after the same assembly, and were %v", again["users"], after["users"])
	}

	d.harm("kill-half", "users")
	halved := d.tasks()["users"]
	kept := slices.DeleteFunc(slices.Clone(halved), func(id string) bool { return !slices.Contains(after["users"], id) })
	if len(halved) != 2 || len(kept) != 1 {
		t.Errorf("tasks of users are %v and were %v", halved, after["users"])
	}
	if response, err := http.Get(d.url(80) + "/api/users/1"); err != nil || response.StatusCode != http.StatusOK {
		t.Errorf("afterwards the answer is %v (%v)", response, err)
	}

	// Of two tasks one hangs: the load balancer asks them in turns.
	clear, err := d.Fault(t.Context(), "hang-half", "users")
	if err != nil {
		t.Fatal(err)
	}
	client := http.Client{Timeout: 2 * time.Second}
	answered, hanging := 0, 0
	for try := 0; try < 20 && (answered == 0 || hanging == 0); try++ {
		if response, err := client.Get(d.url(80) + "/api/users/1"); err != nil {
			hanging++
		} else if response.Body.Close(); response.StatusCode == http.StatusOK {
			answered++
		}
	}
	if answered == 0 || hanging == 0 {
		t.Errorf("%d requests were answered and %d not", answered, hanging)
	}
	if err := clear(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestFaultRefusals(t *testing.T) {
	t.Parallel()
	d := start(t, stateDir(t), shopCommands(t))
	d.deploy(shop(t, templates.still))
	for _, test := range []struct{ kind, service, want string }{
		{"kill", "users", `there is no service "users": choose from `},
		{"melt", d.Status().Services[0].Name, `there is no fault "melt": choose from kill, kill-half, oom, `},
	} {
		if _, err := d.Fault(t.Context(), test.kind, test.service); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s of %s: %v, want %q", test.kind, test.service, err, test.want)
		}
	}
}

//go:build linux

package lambda

import (
	"context"
	"errors"
	"testing"
)

// A function whose environments are killed gives no result for what it was asked, and starts others.
func TestKill(t *testing.T) {
	t.Parallel()
	d := newDeployment(t)
	d.mustDeploy(app{})
	first := d.mustInvoke(event{Do: "echo"})
	d.until("the environment is idle", func() bool { return d.status().Idle == 1 })
	if _, known := d.Kill("nobody"); known {
		t.Error("there is a function of no name")
	}
	ended, known := d.Kill("users")
	if !known {
		t.Fatal("there is no function users")
	}
	canceled, cancel := context.WithCancel(t.Context())
	if err := ended(t.Context()); err != nil {
		t.Fatal(err)
	}
	if s := d.status(); s.Idle+s.Busy != 0 {
		t.Errorf("after the end of its environments the function is %+v", s)
	}
	if second := d.mustInvoke(event{Do: "echo"}); second.PID == first.PID || d.status().ColdStarts != 2 {
		t.Errorf("process %d answered before and %d afterwards, with %d cold starts", first.PID, second.PID, d.status().ColdStarts)
	}
	// What waits for the end heeds its context: nothing has ended yet.
	p := &Provider{live: map[*version]bool{{function: &function{spec: d.Provider.model.Functions[0]}, environments: map[*environment]bool{{ended: make(chan struct{})}: true}}: true}}
	ended, _ = p.Kill("users")
	cancel()
	if err := ended(canceled); !errors.Is(err, context.Canceled) {
		t.Errorf("the wait ends with %v", err)
	}
}

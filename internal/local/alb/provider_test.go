package alb

import (
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"

	"cutover/internal/assembly"
	"cutover/internal/local/provider"
	"cutover/internal/model"
)

// A load balancer has its address as soon as its stack is updated, and the plan gives
// up sockets that no stack has got to.
func TestProvider(t *testing.T) {
	balancer, err := New(Options{})
	if err != nil {
		t.Fatal(err)
	}
	p := NewProvider(balancer, Ports{Free: true}, StandIns{}, func(e provider.Event) { t.Errorf("told %v", e) })
	defer p.Stop(t.Context())
	m := model.Read(read(t, template{}.json(t)))
	next := p.Plan(m, nil).(*plan)
	give := func(logicalID, attribute string) (any, error) {
		return next.Attribute(assembly.Ref{Resource: m.Assembly.Stack("S").Resource(logicalID), Attribute: attribute})
	}
	if err := next.Check(); err != nil {
		t.Fatal(err)
	}
	opened := next.Take("S/Listener")
	address := opened.Addr().String()
	next.Put("S/Listener", opened)
	if _, err := give("Lb", "DNSName"); !errors.Is(err, provider.ErrNotYet) {
		t.Errorf("before the update the address is %v, want it not to exist yet", err)
	}
	if err := next.Close(); err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatalf("the plan still has its socket: %v", err)
	}
	ln.Close()

	if err := errors.Join(next.Check(), next.Update(t.Context(), "S"), next.Clean(t.Context(), "S"), next.Close()); err != nil {
		t.Fatal(err)
	}
	url := p.Status().(Status).Listeners[0].URL
	id := shortID("S/Lb")
	for _, c := range []struct{ logicalID, attribute, want string }{
		{"Lb", "DNSName", strings.TrimPrefix(url, "http://")},
		{"Lb", "", "arn:aws:elasticloadbalancing:local:000000000000:loadbalancer/app/forum/" + id},
		{"Lb", "LoadBalancerFullName", "app/forum/" + id},
		{"Lb", "LoadBalancerName", "forum"},
		{"A", "TargetGroupName", "a"},
		{"A", "TargetGroupFullName", "targetgroup/a/" + shortID("S/A")},
	} {
		if got, err := give(c.logicalID, c.attribute); err != nil || got != c.want {
			t.Errorf("%s.%s is %v, %v, want %s", c.logicalID, c.attribute, got, err, c.want)
		}
	}
	for _, c := range [][2]string{{"Lb", "Novelty"}, {"Listener", ""}} {
		if got, err := give(c[0], c[1]); err == nil || errors.Is(err, provider.ErrNotYet) {
			t.Errorf("%v is %v, %v, want it never to be given", c, got, err)
		}
	}

	// Without the stack everything goes.
	gone := p.Plan(model.Read(&assembly.Assembly{}), nil)
	if err := errors.Join(gone.Check(), gone.Clean(t.Context(), "S")); err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(p.Status()); got != "{[] []}" {
		t.Errorf("left is %s", got)
	}
}

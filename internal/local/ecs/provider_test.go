package ecs

import (
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"

	"cutover/internal/assembly"
	"cutover/internal/local/provider"
	"cutover/internal/model"
)

// A variable of a container's environment that refers to a resource is refused by its
// place if nothing gives the value, and not if the value does not exist yet.
func TestEnvironmentOfResources(t *testing.T) {
	files := maps.Clone(shop)
	files["Web.json"] = strings.Replace(files["Web.json"], `{"Ref": "AWS::Region"}`, `{"Fn::Join": ["", ["x-", {"Ref": "Task"}]]}`, 1)
	m := modelOf(t, files)
	p := NewProvider(newWorld(t).Scheduler, Given{})
	for _, c := range []struct {
		err  error
		want string
	}{
		{errors.New("unheard of"), "shop-web/Task/Properties.ContainerDefinitions[0].Environment[1].Value: R: unheard of"},
		{fmt.Errorf("the task: %w", provider.ErrNotYet), "<nil>"},
		{nil, "<nil>"},
	} {
		var asked any
		next := p.Plan(m, func(value any) (string, error) {
			asked = value
			return "filled in", c.err
		}).(*plan)
		if got := fmt.Sprint(next.Check()); got != c.want {
			t.Errorf("the check says %s, want %s", got, c.want)
		}
		if got := fmt.Sprint(asked); got != "x-${shop-web/Task}" {
			t.Errorf("filled in was %s", got)
		}
		service, err := next.fill(next.services["shop-web/Service"])
		if !errors.Is(err, c.err) {
			t.Errorf("the error is %v, want %v", err, c.err)
		}
		if got := service.TaskDefinition.Containers[0].Environment[1].Value; err == nil && got != "filled in" {
			t.Errorf("the value is %q", got)
		}
		if got := next.services["shop-web/Service"].TaskDefinition.Containers[0].Environment[1].Value; got != "" {
			t.Errorf("the plan's own value is %q, want it to be filled in anew each time", got)
		}
	}
}

func TestAttributesOfServices(t *testing.T) {
	m := modelOf(t, shop)
	next := NewProvider(newWorld(t).Scheduler, Given{}).Plan(m, nil)
	service, cluster := m.Services[0].Resource, m.Clusters[0].Resource
	for _, c := range []struct {
		ref  assembly.Ref
		want string
	}{
		{assembly.Ref{Resource: service, Attribute: "Name"}, "Service"},
		{assembly.Ref{Resource: service}, "arn:aws:ecs:local:000000000000:service/Cluster/Service"},
		{assembly.Ref{Resource: cluster}, "Cluster"},
		{assembly.Ref{Resource: cluster, Attribute: "Arn"}, "arn:aws:ecs:local:000000000000:cluster/Cluster"},
	} {
		if got, err := next.Attribute(c.ref); err != nil || got != c.want {
			t.Errorf("%v is %v, %v, want %s", c.ref, got, err, c.want)
		}
	}
	if got, err := next.Attribute(assembly.Ref{Resource: service, Attribute: "Novelty"}); err == nil {
		t.Errorf("an attribute that services do not have is %v", got)
	}
}

// Two mistakes name the same containers, each once.
func TestMistakenNames(t *testing.T) {
	m := modelOf(t, shop)
	m.TaskDefinitions = append(m.TaskDefinitions, m.TaskDefinitions...)
	next := NewProvider(newWorld(t).Scheduler, Given{Replaced: []string{"wbe"}, Without: []string{"bew"}}).Plan(m, nil).(*plan)
	const want = "there is no container \"wbe\" to run a command in place of: choose from cache, web\n" +
		"there is no container \"bew\" to leave out: choose from cache, web"
	if got := fmt.Sprint(next.mistaken()); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	m.OutsideFunctions = []*model.Function{{Base: m.Services[0].Base, Name: "orders", Invoked: true}}
	next = NewProvider(newWorld(t).Scheduler, Given{Replaced: []string{"order", "orders"}}).Plan(m, nil).(*plan)
	if got := fmt.Sprint(next.mistaken()); got != `there is no container or function "order" to run a command in place of: choose from cache, orders, web` {
		t.Errorf("with a function: %s", got)
	}
}

// Tasks are registered with the target groups of load balancers that run here, and with no others.
func TestRegisteredHere(t *testing.T) {
	files := maps.Clone(shop)
	m := modelOf(t, files)
	if got := here(m.Services[0]); got != m.Services[0] {
		t.Error("a service with one target group is another one here")
	}
	udp := *m.Services[0].LoadBalancers[0].TargetGroup
	udp.Protocol = "UDP"
	both := *m.Services[0]
	both.LoadBalancers = append([]model.ServiceLoadBalancer{{Container: "web", Port: 8080, TargetGroup: &udp}}, both.LoadBalancers...)
	if got := here(&both); len(got.LoadBalancers) != 1 || got.LoadBalancers[0].TargetGroup == &udp || len(both.LoadBalancers) != 2 {
		t.Errorf("the service has %v here, and %v in the model", got.LoadBalancers, both.LoadBalancers)
	}
}

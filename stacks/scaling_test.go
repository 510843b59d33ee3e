package stacks_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"cutover/config"
	"cutover/deployment"
	"cutover/internal/analysis/controls"
	"cutover/internal/analysis/cost"
	"cutover/internal/assembly"
	"cutover/internal/model"
	"cutover/internal/nightly"
	"cutover/migration"
)

// scaled is the deployment with the monolith and the first service scaling, and the
// others as they are.
func scaled() config.Deployment {
	d := changed(first, func(s *config.Service) { s.MaxTasks, s.TargetCPUPercent, s.RequestsPerTask = 6, 50, 600 })
	d.Monolith.Tasks, d.Monolith.MaxTasks = 2, 4
	return d
}

// The stacks of what scales, and of the rest.
var (
	firstStack    = "dev-" + config.Pascal(first.Name)
	monolithStack = "dev-" + config.Pascal(monolith.Name)
)

func synthScaled(t *testing.T, change settings) *assembly.Assembly {
	t.Helper()
	return synthDeployment(t, scaled(), change)
}

// TestScaling states all of what scales in a template, by what CloudFormation gets.
func TestScaling(t *testing.T) {
	a := synthScaled(t, settings{"phase": "switched"})
	var got []string
	for _, r := range a.Resources("AWS::ApplicationAutoScaling::ScalableTarget") {
		got = append(got, r.String())
	}
	equal(t, "scalable targets", []string{firstStack + "/Scaling"}, got)
	target := a.Stack(firstStack).Resource("Scaling")
	equal(t, "the bounds", object{
		"ServiceNamespace": "ecs", "ScalableDimension": "ecs:service:DesiredCount", "MinCapacity": 1.0, "MaxCapacity": 6.0,
		"ResourceId": "service/${dev-Cluster/ClusterEB0386A7}/${" + firstStack + "/ServiceD69D759B.Name}",
	}, known(t, a, target))
	policy := func(id, label string, metric string, value float64) {
		t.Helper()
		r := a.Stack(firstStack).Resource(id)
		if r == nil {
			t.Fatalf("there is no policy %s", id)
		}
		spec := object{"PredefinedMetricType": metric}
		if label != "" {
			spec["ResourceLabel"] = label
		}
		equal(t, id, object{
			"PolicyName": id, "PolicyType": "TargetTrackingScaling", "ScalingTargetId": firstStack + "/Scaling",
			"TargetTrackingScalingPolicyConfiguration": object{"PredefinedMetricSpecification": spec, "TargetValue": value},
		}, known(t, a, r))
	}
	policy("ScaleByCPU", "", "ECSServiceAverageCPUUtilization", 50)
	policy("ScaleByRequests", "${dev-Routing/LoadBalancerBE9EEC3A.LoadBalancerFullName}/${"+targetGroup(t, a, first.Name).String()+".TargetGroupFullName}", "ALBRequestCountPerTarget", 600)
	equal(t, "policies", 2, len(a.Resources("AWS::ApplicationAutoScaling::ScalingPolicy")))

	// What a new image changes has no count to reset: there is none to begin with.
	if count, ok := a.Stack(firstStack).Resource("ServiceD69D759B").Properties["DesiredCount"]; ok {
		t.Errorf("the template has the count %v", count)
	}
	for _, service := range deployment.Forum.All() {
		stack, want := "dev-"+config.Pascal(service.Name), any(1.0)
		switch service.Name {
		case first.Name:
			continue
		case monolith.Name:
			want = 4.0
		}
		equal(t, stack, want, a.Stack(stack).Resource("ServiceD69D759B").Properties["DesiredCount"])
	}

	// The default of CPU, and the monolith while it has the traffic.
	a = synthScaled(t, settings{"phase": "parallel"})
	api := a.Stack(monolithStack)
	if count, ok := api.Resource("ServiceD69D759B").Properties["DesiredCount"]; ok {
		t.Errorf("the monolith's template has the count %v", count)
	}
	equal(t, "the monolith's least", any(2.0), api.Resource("Scaling").Properties["MinCapacity"])
	configuration := api.Resource("ScaleByCPU").Properties["TargetTrackingScalingPolicyConfiguration"].(object)
	equal(t, "the monolith's target", any(60.0), configuration["TargetValue"])
	if api.Resource("ScaleByRequests") != nil {
		t.Error("the monolith scales by requests, and was not asked to")
	}
}

// known returns the properties of a resource with what a deployment creates as text.
func known(t *testing.T, a *assembly.Assembly, r *assembly.Resource) object {
	t.Helper()
	var write func(any) any
	write = func(value any) any {
		switch value := value.(type) {
		case fmt.Stringer:
			return value.String()
		case object:
			written := object{}
			for key, one := range value {
				written[key] = write(one)
			}
			return written
		}
		return value
	}
	properties, err := a.Resolve(r.Stack, r.LogicalID, "Properties", r.Properties)
	if err != nil {
		t.Fatal(err)
	}
	return write(properties).(object)
}

// TestPhaseChangesOfServicesThatScale states what a step changes in the stacks of
// the services, as TestPhaseChanges does for those that do not scale: beside the
// scaling of the monolith and the users it is the same.
func TestPhaseChangesOfServicesThatScale(t *testing.T) {
	nightly.Test(t, "it synthesizes services that scale five times more")
	tests := []struct {
		from, to settings
		want     []string
	}{
		{settings{"phase": "monolith"}, settings{"phase": "parallel"}, []string{
			"+ " + firstStack + " ScaleByCPU AWS::ApplicationAutoScaling::ScalingPolicy",
			"+ " + firstStack + " ScaleByRequests AWS::ApplicationAutoScaling::ScalingPolicy",
			"+ " + firstStack + " Scaling AWS::ApplicationAutoScaling::ScalableTarget",
		}},
		// The shift of a service that does not scale is nothing to those that do.
		{settings{"phase": "parallel"}, settings{"phase": "parallel", "shift": last.Name + "=10"}, nil},
		{settings{"phase": "parallel"}, settings{"phase": "parallel", "shift": first.Name + "=10"}, []string{
			"~ " + firstStack + " ServiceD69D759B Properties.DesiredCount 1 -> <nil>",
		}},
		// After a shift a cut-over is the two changes in dev-Routing, and the monolith's
		// readiness to have everything back.
		{settings{"phase": "parallel", "shift": first.Name + "=10"}, settings{"phase": "switched"}, []string{
			"- " + monolithStack + " ScaleByCPU AWS::ApplicationAutoScaling::ScalingPolicy",
			"- " + monolithStack + " Scaling AWS::ApplicationAutoScaling::ScalableTarget",
			"~ " + monolithStack + " ServiceD69D759B Properties.DesiredCount <nil> -> 4",
		}},
		{settings{"phase": "parallel"}, settings{"phase": "switched"}, []string{
			"- " + monolithStack + " ScaleByCPU AWS::ApplicationAutoScaling::ScalingPolicy",
			"- " + monolithStack + " Scaling AWS::ApplicationAutoScaling::ScalableTarget",
			"~ " + monolithStack + " ServiceD69D759B Properties.DesiredCount <nil> -> 4",
			"~ " + firstStack + " ServiceD69D759B Properties.DesiredCount 1 -> <nil>",
		}},
		{settings{"phase": "switched"}, settings{"phase": "retired"}, nil},
	}
	steady := func(from, to settings) []string { // of main.go
		var lines []string
		for _, line := range assembly.Changes(synth(t, from), synth(t, to)) {
			if !strings.Contains(line, " "+monolithStack+" ") {
				lines = append(lines, line)
			}
		}
		return lines
	}
	for _, test := range tests {
		t.Run(fmt.Sprintf("%v to %v", test.from, test.to), func(t *testing.T) {
			want := append(steady(test.from, test.to), test.want...)
			if test.to["phase"] == "retired" {
				want = append(want, "~ "+monolithStack+" ServiceD69D759B Properties.DesiredCount 4 -> 0")
			}
			got := assembly.Changes(synthScaled(t, test.from), synthScaled(t, test.to))
			slices.Sort(want)
			slices.Sort(got)
			equal(t, "changes", want, got)
		})
	}
}

// What scales meets the security controls, grants nobody anything, and costs its
// alarms: two for each policy.
func TestScalingInProduction(t *testing.T) {
	nightly.Test(t, "it synthesizes production with autoscaling")
	plain, scales := synth(t, production(migration.Switched)), synthScaled(t, production(migration.Switched))
	for _, control := range controls.All {
		for _, finding := range control.Check(model.Read(scales)) {
			t.Errorf("%s: %v", control.ID, finding)
		}
	}
	equal(t, "types that the table of controls says nothing about", []string(nil), controls.Unlisted(model.Read(scales)))
	for _, kind := range []string{"AWS::IAM::Role", "AWS::IAM::Policy"} {
		equal(t, kind, len(plain.Resources(kind)), len(scales.Resources(kind)))
	}
	alarms := func(a *assembly.Assembly) (n int) {
		estimates, err := cost.Read(model.Read(a))
		if err != nil {
			t.Fatal(err)
		}
		for _, line := range estimates[0].Lines {
			if _, err := fmt.Sscanf(line.Item, "%d alarms on a metric", &n); err == nil {
				return n
			}
		}
		t.Fatal("there are no alarms")
		return 0
	}
	equal(t, "more alarms", 4, alarms(scales)-alarms(plain))
}

// A service is deployed after the load balancer: by the time that its count leaves
// its template, or returns to it, its traffic has moved.
func TestCountsFollowTraffic(t *testing.T) {
	a := synthScaled(t, settings{"phase": migration.Switched.String()})
	for _, stack := range []string{monolithStack, firstStack} {
		if !slices.Contains(a.Stack(stack).DependsOn, a.Stack("dev-Routing")) {
			t.Errorf("%s does not wait for the rules", stack)
		}
	}
}

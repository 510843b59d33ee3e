package stacks_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"cutover/config"
	"cutover/deployment"
	"cutover/internal/assembly"
	"cutover/internal/canary"
	"cutover/internal/nightly"
	"cutover/migration"
)

// canaryAlarms returns the alarms that compare microservices in something, by the
// service.
func canaryAlarms(t *testing.T, a *assembly.Assembly, kind string) map[string]*assembly.Resource {
	t.Helper()
	found := map[string]*assembly.Resource{}
	for _, alarm := range a.Resources("AWS::CloudWatch::Alarm") {
		if name, _ := alarm.Properties["AlarmName"].(string); strings.HasSuffix(name, "-canary-"+kind) {
			found[strings.TrimSuffix(strings.TrimPrefix(name, "prod-"), "-canary-"+kind)] = alarm
		}
	}
	return found
}

// The alarms look at what the canary package compares: the metrics of the service's and
// of the monolith's target group, at the same load balancer.
func TestCanaryAlarms(t *testing.T) {
	a := synth(t, production(migration.Parallel))
	for i, kind := range canary.Kinds() {
		for service, alarm := range canaryAlarms(t, a, string(kind)) {
			want := canary.Alarms(canary.Group{Name: service}, canary.Group{Name: monolith.Name})[i]
			expressions, got := []string{}, []canary.Metric{}
			for _, m := range listOf(property(t, a, alarm, "Metrics")) {
				id := m["Id"].(string)
				stat, ok := m["MetricStat"].(object)
				if !ok {
					expressions = append(expressions, m["Expression"].(string))
					continue
				}
				metric := stat["Metric"].(object)
				equal(t, alarm.String()+" "+id+" period", any(60.0), stat["Period"])
				equal(t, alarm.String()+" "+id+" namespace", any("AWS/ApplicationELB"), metric["Namespace"])
				equal(t, alarm.String()+" "+id+" is returned", any(false), m["ReturnData"])
				dimensions := map[string]string{}
				for _, d := range listOf(metric["Dimensions"]) {
					dimensions[d["Name"].(string)] = d["Value"].(string)
				}
				equal(t, alarm.String()+" "+id+" load balancer", "prod-Routing/LoadBalancerBE9EEC3A.LoadBalancerFullName", dimensions["LoadBalancer"])
				whose := dimensions["TargetGroup"]
				for _, name := range []string{service, monolith.Name} {
					if whose == targetGroup(t, a, name).String()+".TargetGroupFullName" {
						whose = name
					}
				}
				got = append(got, canary.Metric{ID: id, Service: whose, Name: metric["MetricName"].(string), Statistic: stat["Stat"].(string)})
			}
			byID := func(a, b canary.Metric) int { return strings.Compare(a.ID, b.ID) }
			slices.SortFunc(got, byID)
			slices.SortFunc(want.Metrics, byID)
			equal(t, alarm.String()+" metrics", want.Metrics, got)
			equal(t, alarm.String()+" expressions", []string{want.Expression}, expressions)
		}
	}
}

// Each microservice is compared in three things, and a deployment of it is taken
// back at any of them; one of the monolith at its own errors. All that is the same
// in every phase that has a monolith, so that a change of phase touches no alarm but those that say
// whether there has to be a task.
func TestCanaryAlarmsInEveryPhase(t *testing.T) {
	nightly.Test(t, "it synthesizes alarms in every phase")
	compared := names(deployment.Forum.Services)
	var before []string
	for _, phase := range migration.Phases()[:migration.Removed] {
		a := synth(t, production(phase))
		topic := resource(t, a, "prod-Routing", "AWS::SNS::Topic")
		var got []string
		for _, kind := range []string{"errors", "latency", "unhealthy"} {
			alarms := canaryAlarms(t, a, kind)
			for _, service := range compared {
				alarm := alarms[service]
				if alarm == nil || len(alarms) != len(compared) {
					t.Fatalf("%v: compared in %s are %v", phase, kind, alarms)
				}
				value := func(name string) any { return property(t, a, alarm, name) }
				equal(t, alarm.String()+" tells", any([]any{topic.String()}), value("AlarmActions"))
				got = append(got, fmt.Sprint(value("AlarmName"), " ", value("ComparisonOperator"), " ", value("Threshold"), " ", value("EvaluationPeriods"), " times, missing ", value("TreatMissingData"),
					" ", value("Metrics"), " ", value("AlarmDescription")))
			}
		}
		for i, service := range names(deployment.Forum.All()) {
			stack := "prod-" + config.Pascal(service)
			want := []any{stack + "/CanaryErrorsAlarm000E2535", stack + "/CanaryLatencyAlarm211F73C8", stack + "/CanaryUnhealthyAlarm7DA6EA8C"}
			if i == 0 { // the monolith
				want = []any{stack + "/ErrorsAlarm39B3548B"}
			}
			configuration := property(t, a, resource(t, a, stack, "AWS::ECS::Service"), "DeploymentConfiguration").(object)
			equal(t, service+" is rolled back by", any(object{"AlarmNames": want, "Enable": true, "Rollback": true}), configuration["Alarms"])
		}
		if before == nil {
			before = got
			var want []string
			for _, kind := range []string{"errors GreaterThanThreshold 1", "latency GreaterThanThreshold 1.5", "unhealthy GreaterThanThreshold 0"} {
				for _, service := range compared {
					want = append(want, "prod-"+service+"-canary-"+kind+" 2 times, missing notBreaching ")
				}
			}
			for i, want := range want {
				if !strings.HasPrefix(got[i], want) {
					t.Errorf("%s, want %s", got[i], want)
				}
			}
		}
		equal(t, phase.String(), before, got)
	}
	if alarms := synth(t, settings{}).Resources("AWS::CloudWatch::Alarm"); len(alarms) > 0 {
		t.Errorf("by default there are %v", alarms)
	}
	for _, r := range synth(t, settings{}).Resources("AWS::ECS::Service") {
		if alarms := r.Properties["DeploymentConfiguration"].(object)["Alarms"]; alarms != nil {
			t.Errorf("by default %s is rolled back by %v", r, alarms)
		}
	}
}

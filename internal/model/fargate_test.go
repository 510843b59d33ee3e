package model

import (
	"fmt"
	"testing"
)

// A service is on Fargate by its strategy, or else its launch type, or else its cluster's strategy.
func TestFargate(t *testing.T) {
	const onDemand, spot, both = `{"CapacityProvider": "FARGATE", "Weight": 1}`, `{"CapacityProvider": "FARGATE_SPOT"}`, `{"CapacityProvider": "FARGATE", "Base": 1, "Weight": 1}, {"CapacityProvider": "FARGATE_SPOT", "Weight": 3}`
	strategy := func(items string) string { return `"CapacityProviderStrategy": [` + items + `]` }
	cluster := func(items string) string {
		return `"C": {"Type": "AWS::ECS::Cluster", "Properties": {"DefaultCapacityProviderStrategy": [` + items + `]}}`
	}
	associated := func(items, to string) string {
		return `"C": {"Type": "AWS::ECS::Cluster"}, "A": {"Type": "AWS::ECS::ClusterCapacityProviderAssociations", "Properties": {"Cluster": ` + to + `, "DefaultCapacityProviderStrategy": [` + items + `]}}`
	}
	for _, test := range []struct{ service, cluster, want string }{
		{`"LaunchType": "FARGATE"`, cluster(""), "false 0"},
		{`"LaunchType": "EC2"`, cluster(onDemand), "none"},
		{`"LaunchType": "EXTERNAL"`, cluster(onDemand), "none"},
		{`"DesiredCount": 1`, cluster(""), "none"},
		{`"DesiredCount": 1`, cluster(spot), "true 8"},
		{`"DesiredCount": 1`, associated(spot, `{"Ref": "C"}`), "true 8"},
		{`"DesiredCount": 1`, associated(spot, `"another"`), "none"},
		{strategy(onDemand), cluster(spot), "false 0"},
		{strategy(spot), cluster(""), "true 8"},
		{strategy(both), cluster(""), "true 5"}, // of 7 after the first, 5.25
		{strategy(`{"CapacityProvider": "FARGATE", "Weight": 1}, {"CapacityProvider": "FARGATE_SPOT", "Base": 2, "Weight": 1}`), cluster(""), "true 5"},
		{strategy(`{"CapacityProvider": "FARGATE_SPOT", "Base": 20}, {"CapacityProvider": "FARGATE", "Weight": 1}`), cluster(""), "true 8"},
		{strategy(`{"CapacityProvider": "FARGATE", "Base": 20, "Weight": 1}, {"CapacityProvider": "FARGATE_SPOT", "Weight": 1}`), cluster(""), "true 0"},
		{strategy(`{"CapacityProvider": "FARGATE", "Weight": 1}, {"CapacityProvider": "FARGATE_SPOT", "Weight": 0}`), cluster(""), "false 0"},
		{strategy(`{"CapacityProvider": "FARGATE"}, {"CapacityProvider": "FARGATE_SPOT"}`), cluster(""), "false 0"},
		{strategy(`{"CapacityProvider": "mine", "Weight": 1}`), cluster(spot), "none"},
	} {
		m := read(t, test.cluster+`, "S": {"Type": "AWS::ECS::Service", "Properties": {"Cluster": {"Ref": "C"}, `+test.service+`}}`)
		got := "none"
		if on, err := m.Fargate(m.Services[0]); err != nil {
			got = err.Error()
		} else if on != nil {
			got = fmt.Sprint(on.Spot(), " ", on.OnSpot(8))
		}
		if got != test.want {
			t.Errorf("%s of %s: %s, want %s", test.service, test.cluster, got, test.want)
		}
	}
	m := read(t, `"S": {"Type": "AWS::ECS::Service", "Properties": {"LaunchType": "FARGATE", "TaskDefinition": {"Ref": "T"}}},
		"T": {"Type": "AWS::ECS::TaskDefinition", "Properties": {"EphemeralStorage": {"SizeInGiB": 201}, "RuntimePlatform": {"CpuArchitecture": "ARM64"}}}`)
	if on, err := m.Fargate(m.Services[0]); err == nil || !on.ARM || on.Windows || on.PlatformVersion != "LATEST" {
		t.Errorf("%+v, %v", on, err)
	}
	if settings := m.TaskDefinitions[0].Settings; len(settings) == 0 {
		t.Error("the settings of Fargate are not told as settings that nobody reads")
	}
}

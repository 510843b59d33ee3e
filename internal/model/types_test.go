package model

import (
	"slices"
	"testing"
)

func TestReplaces(t *testing.T) {
	for _, test := range []struct {
		resourceType    string
		changed         []string
		replaces, known bool
	}{
		{SSMParameter, nil, false, true},
		{SSMParameter, []string{"Value"}, false, true},
		{SSMParameter, []string{"Value", "Name"}, true, true},
		{ECSTaskDefinition, []string{"Tags"}, false, true},
		{ECSTaskDefinition, []string{"Cpu"}, true, true},
		{ECSTaskDefinition, nil, false, true},
		{"X::Y::Z", []string{"Name"}, false, false},
	} {
		if replaces, known := Replaces(test.resourceType, test.changed...); replaces != test.replaces || known != test.known {
			t.Errorf("%s %v: %v, known %v, want %v, %v", test.resourceType, test.changed, replaces, known, test.replaces, test.known)
		}
	}
	if !Moves(EC2LaunchTemplate, "LatestVersionNumber") || Moves(EC2LaunchTemplate, "LaunchTemplateId") {
		t.Error("of a launch template LatestVersionNumber moves, and nothing else")
	}
}

func TestCosts(t *testing.T) {
	for resourceType, want := range map[string][]string{ELBLoadBalancer: {"loadBalancer", "publicIPv4", "loadBalancerCapacity"}, IAMRole: {}} {
		if prices, known := Costs(resourceType); !known || !slices.Equal(prices, want) {
			t.Errorf("%s costs %q, known %v, want %q", resourceType, prices, known, want)
		}
	}
	if _, known := Costs("AWS::RDS::DBProxy"); known {
		t.Error("the price of a proxy is known")
	}
}

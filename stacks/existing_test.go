package stacks_test

import (
	"fmt"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"cutover/config"
	"cutover/internal/golden"
)

// besideShop are two services that move out of a shop that exists. Orders is on Fargate, catalog on instances of the shop's cluster.
func besideShop() config.Deployment {
	image := config.Registry{Name: "123456789012.dkr.ecr.eu-central-1.amazonaws.com/team:1"}
	return config.Deployment{
		Monolith: config.Service{Name: "shop"},
		Services: []config.Service{
			{Name: "orders", Paths: []string{"/api/orders*"}, Order: 10, Compute: config.Fargate{}, Image: image, Command: []string{"orders"}},
			{Name: "catalog", Paths: []string{"/api/catalog*"}, Order: 20, Compute: config.EC2{NetworkMode: "awsvpc"}, Image: image, Command: []string{"catalog"}},
		},
	}
}

const (
	existingListener = "arn:aws:elasticloadbalancing:eu-central-1:123456789012:listener/app/shop/0123456789abcdef/fedcba9876543210"
	existingGroup    = "arn:aws:elasticloadbalancing:eu-central-1:123456789012:targetgroup/shop-monolith/00112233445566ff"
)

// existingSettings are settings of all that exists already, with a change.
func existingSettings(change settings) settings {
	s := settings{
		"listenerArn": existingListener, "monolithTargetGroupArn": existingGroup, "rulePriorities": "100-199",
		"vpcId": "vpc-0a1b2c3d", "subnetIds": "subnet-0a1b2c3d,subnet-1a1b2c3d", "loadBalancerSecurityGroupIds": "sg-0a1b2c3d",
		"taskSecurityGroupIds": "sg-1a1b2c3d", "clusterName": "shop", "capacityProvider": "shop-instances",
	}
	maps.Copy(s, change)
	return s
}

// existingPlaces are positions in which each service is in each place.
var existingPlaces = []string{
	"monolith", "parallel", "switched",
	"orders=parallel", "orders=10%", "orders=switched", "orders=switched,catalog=parallel", "orders=switched,catalog=50%",
}

func TestGoldensOfExisting(t *testing.T) {
	a := synthDeployment(t, besideShop(), existingSettings(settings{"phase": "orders=switched,catalog=10%"}))
	for _, stack := range a.Stacks {
		golden.Compare(t, filepath.Join(goldenDir, "existing", stack.Name+".json"), goldenTemplate(t, stack))
	}
}

// What exists already is named where a template uses it, and nowhere else: no resource is it, changes it or is attached to it.
func TestNothingExistingIsTouched(t *testing.T) {
	// The places of a template where something that exists may be named, by a type of a resource and the path in it.
	uses := regexp.MustCompile(`^(` + strings.Join([]string{
		`AWS::ElasticLoadBalancingV2::ListenerRule Properties.ListenerArn`,
		`AWS::ElasticLoadBalancingV2::ListenerRule Properties.Actions.0.ForwardConfig.TargetGroups.1.TargetGroupArn`, // of a share
		`AWS::ElasticLoadBalancingV2::TargetGroup Properties.VpcId`,
		`AWS::EC2::SecurityGroup Properties.VpcId`,
		`AWS::EC2::SecurityGroup Properties.SecurityGroupIngress.0.SourceSecurityGroupId`,
		`AWS::ECS::Service Properties.Cluster`,
		`AWS::ECS::Service Properties.CapacityProviderStrategy.0.CapacityProvider`,
		`AWS::ECS::Service Properties.NetworkConfiguration.AwsvpcConfiguration.(Subnets.[01]|SecurityGroups.1)`,
	}, "|") + `)$`)
	existing := []string{existingListener, existingGroup, "vpc-0a1b2c3d", "subnet-0a1b2c3d", "subnet-1a1b2c3d", "sg-0a1b2c3d", "sg-1a1b2c3d", "shop", "shop-instances"}
	rules := map[string]string{}
	for _, phase := range existingPlaces {
		a := synthDeployment(t, besideShop(), existingSettings(settings{"phase": phase}))
		for _, stack := range a.Stacks {
			for _, r := range stack.Resources {
				var walk func(path string, v any)
				walk = func(path string, v any) {
					switch v := v.(type) {
					case map[string]any:
						for key, one := range v {
							walk(path+"."+key, one)
						}
					case []any:
						for i, one := range v {
							walk(fmt.Sprint(path, ".", i), one)
						}
					case string:
						if at := r.Type + " " + strings.TrimPrefix(path, "."); slices.Contains(existing, v) && !uses.MatchString(at) {
							t.Errorf("%s: %s %s: %s has %s", phase, stack.Name, r.LogicalID, at, v)
						}
					}
				}
				walk("", stack.Template["Resources"].(map[string]any)[r.LogicalID])
				switch r.Type {
				case "AWS::ElasticLoadBalancingV2::LoadBalancer", "AWS::ElasticLoadBalancingV2::Listener", "AWS::ECS::Cluster", "AWS::EC2::VPC", "AWS::EC2::Subnet",
					"AWS::EC2::SecurityGroupEgress", "AWS::EC2::SecurityGroupIngress", "AWS::ElasticLoadBalancingV2::ListenerCertificate":
					t.Errorf("%s: %s has a %s", phase, stack.Name, r.Type)
				case "AWS::ElasticLoadBalancingV2::ListenerRule":
					p := stack.Template["Resources"].(map[string]any)[r.LogicalID].(map[string]any)["Properties"].(map[string]any)
					if was, known := rules[r.LogicalID]; known && was != fmt.Sprint(p["Priority"]) {
						t.Errorf("%s: the priority of %s is %v, and was %s", phase, r.LogicalID, p["Priority"], was)
					}
					rules[r.LogicalID] = fmt.Sprint(p["Priority"])
				}
			}
		}
		if names := stackNames(a); slices.Contains(names, "dev-Shop") || slices.Contains(names, "dev-Network") || slices.Contains(names, "dev-Cluster") {
			t.Errorf("%s: the stacks are %v", phase, names)
		}
	}
	if want := map[string]string{"OrdersServiceRule": "159", "CatalogServiceRule": "169"}; !maps.Equal(trimmed(rules), want) {
		t.Errorf("the rules have the priorities %v, want %v", rules, want)
	}
}

// trimmed leaves out what CDK puts behind an id.
func trimmed(ids map[string]string) map[string]string {
	all := map[string]string{}
	for id, value := range ids {
		all[id[:len(id)-8]] = value
	}
	return all
}

package stacks_test

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"cutover/config"
	"cutover/internal/assembly"
	"cutover/internal/golden"
	"cutover/internal/nightly"
	"cutover/stacks"
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
	places := existingPlaces
	if !nightly.Runs() {
		places = places[len(places)-1:]
	}
	for _, phase := range places {
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

// The settings are compared with what `cutover adopt` wrote, before anything is synthesized.
func TestSettingsFitWhatExists(t *testing.T) {
	template := `{
  "Metadata": {"cutover:existing": {"account": "123456789012", "region": "eu-central-1"}},
  "Resources": {
    "LoadBalancer": {"Type": "AWS::ElasticLoadBalancingV2::LoadBalancer", "Metadata": {"cutover:arn": "arn:lb"}},
    "Listener": {"Type": "AWS::ElasticLoadBalancingV2::Listener", "Properties": {"LoadBalancerArn": {"Ref": "LoadBalancer"}}, "Metadata": {"cutover:arn": "` + existingListener + `"}},
    "Other": {"Type": "AWS::ElasticLoadBalancingV2::Listener", "Properties": {"LoadBalancerArn": {"Ref": "LoadBalancer"}}, "Metadata": {"cutover:arn": "arn:other"}},
    "Group": {"Type": "AWS::ElasticLoadBalancingV2::TargetGroup", "Properties": {"VpcId": "vpc-0a1b2c3d"}, "Metadata": {"cutover:arn": "` + existingGroup + `"}},
    "Rule": {"Type": "AWS::ElasticLoadBalancingV2::ListenerRule", "Properties": {"ListenerArn": {"Ref": "Listener"}, "Priority": 99}, "Metadata": {"cutover:arn": "arn:rule"}},
    "RuleOfOther": {"Type": "AWS::ElasticLoadBalancingV2::ListenerRule", "Properties": {"ListenerArn": {"Ref": "Other"}, "Priority": 150}, "Metadata": {"cutover:arn": "arn:rule-of-other"}}
  }
}`
	for _, test := range []struct{ name, old, new, want string }{
		{name: "it fits"},
		{name: "no file", old: template},
		{name: "a damaged file", old: `"Resources"`, new: `"Resources`, want: "existing.template.json"},
		{name: "another listener", old: existingListener, new: "arn:listener", want: "listenerArn: existing.template.json does not describe " + existingListener + ": run `cutover adopt` again"},
		{name: "another target group", old: existingGroup, new: "arn:group", want: "monolithTargetGroupArn: existing.template.json does not describe " + existingGroup + ": run `cutover adopt` again"},
		{name: "another VPC", old: "vpc-0a1b2c3d", new: "vpc-1a1b2c3d", want: "vpcId: vpc-0a1b2c3d is not the VPC of the monolith's target group, which is vpc-1a1b2c3d"},
		{name: "a priority that is taken", old: `"Priority": 99`, new: `"Priority": 100`, want: "rulePriorities: 100-199 has a rule of others, with priority 100: choose another window, or run `cutover adopt` again"},
	} {
		t.Run(test.name, func(t *testing.T) {
			d, s, err := config.Load(besideShop(), existingSettings(settings{"domain": "shop.example.com"}), os.Getenv)
			if err != nil {
				t.Fatal(err)
			}
			t.Chdir(t.TempDir())
			if text := strings.Replace(template, test.old, test.new, 1); text != "" {
				if err := os.WriteFile(assembly.ExistingFile, []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			existing, err := stacks.ReadExisting(d, s)
			if got := fmt.Sprint(err); test.want == "" && err != nil || test.want != "" && !strings.Contains(got, test.want) {
				t.Errorf("%v, want %s", err, test.want)
			}
			if err != nil || test.old == template {
				return
			}
			dir := t.TempDir()
			if err := stacks.WriteExisting(dir, existing, s); err != nil {
				t.Fatal(err)
			}
			written, err := assembly.ReadExisting(dir)
			if err != nil || written.Described("arn:lb").Metadata["cutover:domain"] != "shop.example.com" {
				t.Errorf("written: %+v, %v", written, err)
			}
		})
	}
}

// With alarms, scaling, a function and a table the services stand beside the monolith, too. Metrics and scaling count the requests of
// the load balancer that exists.
func TestEverythingBesideWhatExists(t *testing.T) {
	nightly.Test(t, "it synthesizes every option beside what exists")
	d := besideShop()
	d.Services[0].Name, d.Services[0].MaxTasks, d.Services[0].RequestsPerTask = "vpc", 4, 100 // no id of what is imported
	d.Services = append(d.Services, config.Service{
		Name: "quotes", Paths: []string{"/api/quotes*"}, Order: 30, Compute: config.Lambda{}, Image: config.GoPackage{Dir: "services/users"}, Store: config.DynamoDB{},
	})
	a := synthDeployment(t, d, existingSettings(settings{
		"phase": "vpc=10%,quotes=switched", "env": "prod", "taskSecurityGroupIds": "sg-0a1b2c3d", "domain": "shop.example.com",
		"certificateArn": "arn:aws:acm:eu-central-1:123456789012:certificate/00000000-0000-0000-0000-000000000000",
	}))
	balancer, monolith := "app/shop/0123456789abcdef", "targetgroup/shop-monolith/00112233445566ff"
	template := string(goldenTemplate(t, a.Stack("prod-Vpc")))
	for what, want := range map[string]string{"the load balancer": balancer, "the monolith": monolith, "the label of the requests": `"` + balancer + `/"`} {
		if !strings.Contains(template, want) {
			t.Errorf("prod-Vpc does not have %s, %s", what, want)
		}
	}
	equal(t, "the address", "https://shop.example.com", a.Stack("prod-Routing").Template["Outputs"].(object)["Url"].(object)["Value"])
}

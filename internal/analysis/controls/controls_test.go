package controls_test

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"cutover/internal/analysis/controls"
	"cutover/internal/assembly"
	"cutover/internal/model"
)

// good meets every control, with the least that it takes.
const good = `{
	"Vpc": {"Type": "AWS::EC2::VPC", "Properties": {"CidrBlock": "10.0.0.0/16"}},
	"Closed": {"Type": "Custom::VpcRestrictDefaultSG", "Properties": {"DefaultSecurityGroupId": {"Fn::GetAtt": ["Vpc", "DefaultSecurityGroup"]}}},
	"FlowLog": {"Type": "AWS::EC2::FlowLog", "Properties": {"ResourceId": {"Ref": "Vpc"}, "ResourceType": "VPC"}},
	"SubnetA": {"Type": "AWS::EC2::Subnet", "Properties": {"AvailabilityZone": {"Fn::Select": [0, {"Fn::GetAZs": ""}]}}},
	"SubnetB": {"Type": "AWS::EC2::Subnet", "Properties": {"AvailabilityZone": {"Fn::Select": [1, {"Fn::GetAZs": ""}]}}},
	"Firewall": {"Type": "AWS::EC2::SecurityGroup", "Properties": {"SecurityGroupIngress": [{"CidrIp": "0.0.0.0/0", "IpProtocol": "tcp", "FromPort": 443, "ToPort": 443}]}},
	"Rule": {"Type": "AWS::EC2::SecurityGroupIngress", "Properties": {"SourceSecurityGroupId": {"Ref": "Firewall"}, "IpProtocol": "tcp", "FromPort": 1, "ToPort": 65535}},
	"Template": {"Type": "AWS::EC2::LaunchTemplate", "Properties": {"LaunchTemplateData": {
		"MetadataOptions": {"HttpTokens": "required"},
		"NetworkInterfaces": [{"AssociatePublicIpAddress": false}],
		"BlockDeviceMappings": [{"DeviceName": "/dev/xvda", "Ebs": {"Encrypted": true}}]}}},
	"Group": {"Type": "AWS::AutoScaling::AutoScalingGroup", "Properties": {
		"VPCZoneIdentifier": [{"Ref": "SubnetA"}, {"Ref": "SubnetB"}],
		"MixedInstancesPolicy": {"LaunchTemplate": {
			"LaunchTemplateSpecification": {"LaunchTemplateId": {"Ref": "Template"}},
			"Overrides": [{"InstanceType": "t3.small"}, {"InstanceType": "t3.medium"}]}}}},
	"Provider": {"Type": "AWS::ECS::CapacityProvider", "Properties": {"AutoScalingGroupProvider": {"ManagedTerminationProtection": "ENABLED"}}},
	"Cluster": {"Type": "AWS::ECS::Cluster", "Properties": {"ClusterSettings": [{"Name": "containerInsights", "Value": "enabled"}]}},
	"Repository": {"Type": "AWS::ECR::Repository", "Properties": {
		"ImageScanningConfiguration": {"ScanOnPush": true}, "ImageTagMutability": "IMMUTABLE", "LifecyclePolicy": {"LifecyclePolicyText": "{}"}}},
	"Task": {"Type": "AWS::ECS::TaskDefinition", "Properties": {"NetworkMode": "bridge", "ContainerDefinitions": [{
		"Name": "shop", "User": "65532:65532", "ReadonlyRootFilesystem": true,
		"LogConfiguration": {"LogDriver": "awslogs"}, "Environment": [{"Name": "PORT", "Value": "3000"}]}]}},
	"Service": {"Type": "AWS::ECS::Service", "Properties": {"ServiceName": "shop"}},
	"Balancer": {"Type": "AWS::ElasticLoadBalancingV2::LoadBalancer", "Properties": {
		"Subnets": [{"Ref": "SubnetA"}, {"Ref": "SubnetB"}],
		"LoadBalancerAttributes": [
			{"Key": "routing.http.drop_invalid_header_fields.enabled", "Value": "true"},
			{"Key": "access_logs.s3.enabled", "Value": "true"},
			{"Key": "deletion_protection.enabled", "Value": "true"},
			{"Key": "routing.http.desync_mitigation_mode", "Value": "defensive"}]}},
	"Http": {"Type": "AWS::ElasticLoadBalancingV2::Listener", "Properties": {"Port": 80, "Protocol": "HTTP",
		"DefaultActions": [{"Type": "redirect", "RedirectConfig": {"Protocol": "HTTPS", "Port": "443", "StatusCode": "HTTP_301"}}]}},
	"Https": {"Type": "AWS::ElasticLoadBalancingV2::Listener", "Properties": {"Port": 443, "Protocol": "HTTPS", "SslPolicy": "ELBSecurityPolicy-TLS13-1-2-Res-PQ-2025-09",
		"DefaultActions": [{"Type": "fixed-response"}]}}
}`

// read returns the assembly of one stack with the resources of good, changed: a
// key is the path of a value, from the resource's properties on, and nil takes it
// away. A resource alone is replaced or taken away as a whole.
func read(t *testing.T, change map[string]any) *model.Model {
	t.Helper()
	var resources map[string]any
	if err := json.Unmarshal([]byte(good), &resources); err != nil {
		t.Fatal(err)
	}
	for path, value := range change {
		id, rest, deep := strings.Cut(path, ".")
		if !deep {
			set(resources, id, value)
			continue
		}
		var at any = resources[id].(map[string]any)["Properties"]
		steps := strings.Split(rest, ".")
		for _, step := range steps[:len(steps)-1] {
			if i, err := strconv.Atoi(step); err == nil {
				at = at.([]any)[i]
			} else {
				at = at.(map[string]any)[step]
			}
		}
		set(at.(map[string]any), steps[len(steps)-1], value)
	}
	dir := t.TempDir()
	for name, content := range map[string]any{
		"manifest.json": map[string]any{"artifacts": map[string]any{"shop": map[string]any{
			"type": "aws:cloudformation:stack", "environment": "aws://unknown-account/unknown-region", "properties": map[string]any{"templateFile": "shop.json"},
		}}},
		"shop.json": map[string]any{"Resources": resources},
	} {
		text, err := json.Marshal(content)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	a, err := assembly.Read(dir)
	if err != nil {
		t.Fatal(err)
	}
	return model.Read(a)
}

func set(object map[string]any, key string, value any) {
	if value == nil {
		delete(object, key)
	} else {
		object[key] = value
	}
}

type object = map[string]any

func refs(ids ...string) []any {
	var list []any
	for _, id := range ids {
		list = append(list, object{"Ref": id})
	}
	return list
}

func TestViolations(t *testing.T) {
	open := func(from, to any) []any {
		return []any{object{"CidrIp": "0.0.0.0/0", "IpProtocol": "tcp", "FromPort": from, "ToPort": to}}
	}
	configuration := object{"Type": "AWS::AutoScaling::LaunchConfiguration", "Properties": object{"AssociatePublicIpAddress": true}}
	tests := []struct {
		control string
		change  map[string]any
		want    []string
	}{
		{"AutoScaling.2", object{"Group.VPCZoneIdentifier": refs("SubnetA")}, []string{"shop/Group is in one zone"}},
		{"AutoScaling.2", object{"SubnetB.AvailabilityZone": object{"Fn::Select": []any{0, object{"Fn::GetAZs": ""}}}}, []string{"shop/Group is in one zone"}},
		{"AutoScaling.2", object{"Group.VPCZoneIdentifier": []any{"subnet-1", "subnet-2"}}, []string{
			"shop/Group is in a subnet whose zone is not known",
			`cannot be told from the template: shop/Group/Properties.VPCZoneIdentifier[0]: expected a resource of the assembly of type AWS::EC2::Subnet, found "subnet-1"` + "\n" +
				`shop/Group/Properties.VPCZoneIdentifier[1]: expected a resource of the assembly of type AWS::EC2::Subnet, found "subnet-2"`}},
		{"AutoScaling.2", object{"Group": nil}, []string{"there is no AWS::AutoScaling::AutoScalingGroup"}},
		{"AutoScaling.3", object{"Group.MixedInstancesPolicy": nil, "Group.LaunchConfigurationName": object{"Ref": "Old"}, "Old": configuration},
			[]string{"shop/Old allows version 1 of the metadata service"}},
		{"AutoScaling.3", object{"Group.MixedInstancesPolicy": nil}, []string{"shop/Group does not say how instances are launched"}},
		{"AutoScaling.5", object{"Group.MixedInstancesPolicy": nil, "Group.LaunchConfigurationName": object{"Ref": "Old"}, "Old": configuration},
			[]string{"shop/Old gives instances public addresses"}},
		{"AutoScaling.6", object{"Group.MixedInstancesPolicy.LaunchTemplate.Overrides": []any{object{"InstanceType": "t3.small"}}}, []string{"shop/Group has one instance type"}},
		{"AutoScaling.6", object{"Group.VPCZoneIdentifier": refs("SubnetB")}, []string{"shop/Group is in one zone"}},
		{"AutoScaling.9", object{"Group.MixedInstancesPolicy": nil, "Group.LaunchConfigurationName": "old"}, []string{"shop/Group uses no launch template"}},
		{"EC2.2", object{"Closed": nil}, []string{"shop/Vpc keeps the rules of its default security group"}},
		{"EC2.2", object{"Vpc": nil, "Closed": nil, "FlowLog": nil}, []string{"there is no AWS::EC2::VPC"}},
		{"EC2.6", object{"FlowLog": nil}, []string{"shop/Vpc has no flow log"}},
		{"EC2.6", object{"Other": object{"Type": "AWS::EC2::VPC"}}, []string{"shop/Other has no flow log"}},
		{"EC2.8", object{"Template.LaunchTemplateData.MetadataOptions.HttpTokens": "optional"}, []string{"shop/Template allows version 1 of the metadata service"}},
		{"EC2.8", object{"Alone": object{"Type": "AWS::EC2::Instance"}}, []string{"shop/Alone is an instance of no Auto Scaling group"}},
		{"EC2.9", object{"Template.LaunchTemplateData.NetworkInterfaces.0.AssociatePublicIpAddress": true}, []string{"shop/Template gives instances public addresses"}},
		{"EC2.9", object{"Template.LaunchTemplateData.NetworkInterfaces": nil}, []string{"shop/Template leaves it to the subnet whether instances have public addresses"}},
		{"EC2.18", object{"Firewall.SecurityGroupIngress": open(80, 81)}, []string{"shop/Firewall lets anybody reach port 81"}},
		{"EC2.18", object{"Rule": object{"Type": "AWS::EC2::SecurityGroupIngress", "Properties": object{"CidrIpv6": "::/0", "IpProtocol": "-1"}}},
			[]string{"shop/Rule lets anybody reach port 0"}},
		{"EC2.19", object{"Firewall.SecurityGroupIngress": open(2900, 3100)}, []string{"shop/Firewall lets anybody reach port 3000"}},
		{"EC2.19", object{"Firewall": nil, "Rule": nil}, []string{"there is no AWS::EC2::SecurityGroup"}},
		{"EC2.170", object{"Template.LaunchTemplateData.MetadataOptions": nil}, []string{"shop/Template allows version 1 of the metadata service"}},
		{"EC2.181", object{"Template.LaunchTemplateData.BlockDeviceMappings.0.Ebs.Encrypted": false}, []string{"shop/Template does not encrypt /dev/xvda"}},
		{"EC2.181", object{"Template.LaunchTemplateData.BlockDeviceMappings": nil}, []string{"shop/Template leaves its volumes to the image"}},
		{"ECR.1", object{"Repository.ImageScanningConfiguration": nil}, []string{"shop/Repository does not scan images"}},
		{"ECR.2", object{"Repository.ImageTagMutability": nil}, []string{"shop/Repository lets a tag move to another image"}},
		{"ECR.3", object{"Repository.LifecyclePolicy": nil}, []string{"shop/Repository has no lifecycle policy"}},
		{"ECS.2", object{"Service.NetworkConfiguration": object{"AwsvpcConfiguration": object{"AssignPublicIp": "ENABLED"}}}, []string{"shop/Service gives its tasks public addresses"}},
		{"ECS.3", object{"Task.PidMode": "host"}, []string{"shop/Task shares the instance's processes"}},
		{"ECS.4", object{"Task.ContainerDefinitions.0.Privileged": true}, []string{"shop/Task container shop is privileged"}},
		{"ECS.5", object{"Task.ContainerDefinitions.0.ReadonlyRootFilesystem": nil}, []string{"shop/Task container shop can write to its root file system"}},
		{"ECS.5", object{"Task.ContainerDefinitions": nil}, []string{"shop/Task has no container"}},
		{"ECS.8", object{"Task.ContainerDefinitions.0.Environment": []any{object{"Name": "AWS_SECRET_ACCESS_KEY", "Value": "x"}}},
			[]string{"shop/Task container shop has credentials in AWS_SECRET_ACCESS_KEY"}},
		{"ECS.9", object{"Task.ContainerDefinitions.0.LogConfiguration": nil}, []string{"shop/Task container shop has no log driver"}},
		{"ECS.12", object{"Cluster.ClusterSettings.0.Value": "disabled"}, []string{"shop/Cluster has Container Insights disabled"}},
		{"ECS.12", object{"Cluster.ClusterSettings": nil}, []string{"shop/Cluster does not say whether it uses Container Insights"}},
		{"ECS.17", object{"Task.NetworkMode": "host"}, []string{"shop/Task uses the instance's network"}},
		{"ECS.19", object{"Provider.AutoScalingGroupProvider": nil}, []string{"shop/Provider does not protect instances that have tasks"}},
		{"ECS.20", object{"Task.ContainerDefinitions.0.User": nil}, []string{"shop/Task container shop runs as root"}},
		{"ECS.20", object{"Task.ContainerDefinitions.0.User": "0:65532"}, []string{"shop/Task container shop runs as root"}},
		{"ELB.1", object{"Http.DefaultActions.0.Type": "forward"}, []string{"shop/Http answers over plain HTTP"}},
		{"ELB.1", object{"Http.DefaultActions.0.RedirectConfig.Protocol": "HTTP"}, []string{"shop/Http answers over plain HTTP"}},
		{"ELB.4", object{"Balancer.LoadBalancerAttributes": nil}, []string{"shop/Balancer passes invalid headers on"}},
		{"ELB.5", object{"Balancer.LoadBalancerAttributes.1.Value": "false"}, []string{"shop/Balancer does not log requests"}},
		{"ELB.6", object{"Balancer.LoadBalancerAttributes.2.Value": "false"}, []string{"shop/Balancer is not protected from being deleted"}},
		{"ELB.12", object{"Balancer.LoadBalancerAttributes.3.Value": "monitor"}, []string{"shop/Balancer only monitors requests that a target may understand otherwise"}},
		{"ELB.13", object{"Balancer.Subnets": refs("SubnetA")}, []string{"shop/Balancer is in one zone"}},
		{"ELB.17", object{"Https.SslPolicy": nil}, []string{"shop/Https has the policy none"}},
		{"ELB.17", object{"Https.SslPolicy": "ELBSecurityPolicy-2016-08"}, []string{"shop/Https has the policy ELBSecurityPolicy-2016-08"}},
		{"ELB.17", object{"Https": nil}, []string{"no listener has HTTPS"}},
	}
	violated := map[string]bool{}
	for _, test := range tests {
		violated[test.control] = true
		i := slices.IndexFunc(controls.All, func(c controls.Control) bool { return c.ID == test.control })
		if i < 0 {
			t.Errorf("there is no control %s", test.control)
			continue
		}
		var got []string
		for _, finding := range controls.All[i].Check(read(t, test.change)) {
			got = append(got, finding.String())
		}
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%s with %v (-want +got):\n%s", test.control, slices.Sorted(maps.Keys(test.change)), diff)
		}
	}
	for _, control := range controls.All {
		if !violated[control.ID] {
			t.Errorf("no template of the table violates %s", control.ID)
		}
		if findings := control.Check(read(t, nil)); len(findings) > 0 {
			t.Errorf("%s: the template that should meet it does not: %v", control.ID, findings)
		}
		// Nothing to look at is not met.
		if findings := control.Check(empty(t)); len(findings) == 0 {
			t.Errorf("%s is met by a template without resources", control.ID)
		}
	}
}

// empty is an assembly with none of the resources.
func empty(t *testing.T) *model.Model {
	t.Helper()
	var resources map[string]any
	if err := json.Unmarshal([]byte(good), &resources); err != nil {
		t.Fatal(err)
	}
	for id := range resources {
		resources[id] = nil
	}
	resources["Parameter"] = object{"Type": "AWS::SSM::Parameter"}
	return read(t, resources)
}

func TestURL(t *testing.T) {
	for _, control := range controls.All {
		if control.ID == "EC2.181" {
			if want := "https://docs.aws.amazon.com/securityhub/latest/userguide/ec2-controls.html#ec2-181"; control.URL() != want {
				t.Errorf("got %s, want %s", control.URL(), want)
			}
			return
		}
	}
	t.Error("there is no EC2.181")
}

package local

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"cutover/internal/local/provider"
)

// fargate is an assembly of one service on Fargate: a site behind an Application Load Balancer, and its
// sidecar behind a Network Load Balancer. The site tells where the sidecar is.
func fargate(t *testing.T, section string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	group := func(protocol, more string) string {
		return fmt.Sprintf(`{"Type": "AWS::ElasticLoadBalancingV2::TargetGroup", "Properties": {"Port": 80, "Protocol": %q, "TargetType": "ip", "VpcId": "v", "HealthCheckIntervalSeconds": 5, "HealthCheckTimeoutSeconds": 4,
			"TargetGroupAttributes": [{"Key": "deregistration_delay.timeout_seconds", "Value": "5"}]%s}}`, protocol, more)
	}
	listener := func(balancer, protocol, group string) string {
		return fmt.Sprintf(`{"Type": "AWS::ElasticLoadBalancingV2::Listener", "Properties": {"LoadBalancerArn": {"Ref": %q}, "Port": 80, "Protocol": %q, "DefaultActions": [{"Type": "forward", "TargetGroupArn": {"Ref": %q}}]}}`, balancer, protocol, group)
	}
	for name, text := range map[string]string{
		"manifest.json": `{"artifacts": {"S": {"type": "aws:cloudformation:stack", "environment": "aws://unknown-account/unknown-region", "properties": {"templateFile": "S.json"}}}}`,
		"S.json": `{"Resources": {
			"Queue": {"Type": "AWS::SQS::Queue"}, "Cluster": {"Type": "AWS::ECS::Cluster"},
			"Alb": {"Type": "AWS::ElasticLoadBalancingV2::LoadBalancer", "Properties": {"Subnets": ["a", "b"]}},
			"Nlb": {"Type": "AWS::ElasticLoadBalancingV2::LoadBalancer", "Properties": {"Type": "network", "Subnets": ["a"]}},
			"Requests": ` + listener("Alb", "HTTP", "Sites") + `, "Flows": ` + listener("Nlb", "TCP", "Sidecars") + `,
			"Sites": ` + group("HTTP", `, "HealthCheckPath": "/ping", "Matcher": {"HttpCode": "204"}`) + `, "Sidecars": ` + group("TCP", "") + `,
			"Task": {"Type": "AWS::ECS::TaskDefinition", "Properties": {"NetworkMode": "awsvpc", "RequiresCompatibilities": ["FARGATE"], "Cpu": "512", "Memory": "1024", "EphemeralStorage": {"SizeInGiB": 30}, "ContainerDefinitions": [
				{"Name": "site", "Image": "site", "PortMappings": [{"ContainerPort": 3000, "Name": "site"}], "Environment": [{"Name": "QUEUE", "Value": {"Fn::GetAtt": ["Queue", "QueueName"]}}, {"Name": "SECTION", "Value": "http://localhost:4000/` + section + `"}]},
				{"Name": "sidecar", "Image": "sidecar", "PortMappings": [{"ContainerPort": 4000, "HostPort": 4000}], "Environment": [{"Name": "SECTION", "Value": "sidecar"}]}]}},
			"Site": {"Type": "AWS::ECS::Service", "Properties": {"Cluster": {"Ref": "Cluster"}, "TaskDefinition": {"Ref": "Task"}, "LaunchType": "FARGATE", "PlatformVersion": "LATEST", "DesiredCount": 2,
				"NetworkConfiguration": {"AwsvpcConfiguration": {"AssignPublicIp": "ENABLED", "Subnets": ["a"], "SecurityGroups": ["g"]}},
				"ServiceConnectConfiguration": {"Enabled": true, "Namespace": "n", "Services": [{"PortName": "site", "ClientAliases": [{"Port": 80}]}]},
				"LoadBalancers": [{"ContainerName": "site", "ContainerPort": 3000, "TargetGroupArn": {"Ref": "Sites"}}, {"ContainerName": "sidecar", "ContainerPort": 4000, "TargetGroupArn": {"Ref": "Sidecars"}}]}},
			"Scaling": {"Type": "AWS::ApplicationAutoScaling::ScalableTarget", "Properties": {"ServiceNamespace": "ecs", "ScalableDimension": "ecs:service:DesiredCount", "MinCapacity": 1, "MaxCapacity": 4,
				"ResourceId": {"Fn::Join": ["/", ["service", {"Ref": "Cluster"}, {"Fn::GetAtt": ["Site", "Name"]}]]}}},
			"Policy": {"Type": "AWS::ApplicationAutoScaling::ScalingPolicy", "Properties": {"PolicyType": "StepScaling", "ScalingTargetId": {"Ref": "Scaling"}, "StepScalingPolicyConfiguration": {"AdjustmentType": "ChangeInCapacity"}}}}}`,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// Tasks of Fargate run, each with ports of its own; their containers reach each other at localhost; and both
// kinds of load balancers lead to them. What has no effect is told.
func TestFargate(t *testing.T) {
	t.Parallel()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	server := fmt.Sprintf("%s=server exec '%s'", roleVariable, program)
	if testing.Short() {
		t.Skip("slow: it waits for health checks")
	}
	d := &deployment{t: t}
	options := d.options(stateDir(t), map[string]string{"site": `[ -z "${QUEUE+set}" ] && ` + server, "sidecar": server})
	options.Replaced = []string{"site", "sidecar"}
	d.begin(options)
	d.deploy(fargate(t, "first"))
	byTCP := ""
	for _, listener := range d.Status().Listeners {
		if listener.Protocol == "TCP" {
			byTCP = strings.Replace(listener.URL, "tcp://", "http://", 1)
		}
	}
	ask := func(url string) string {
		t.Helper()
		answer, err := get(http.DefaultClient, url)
		if err != nil {
			t.Fatalf("%s: %v", url, err)
		}
		return answer
	}
	sidecars := map[string]bool{}
	for range 10 {
		url := strings.Fields(ask(d.URL("/")))[1]
		if answer := ask(url); !strings.HasPrefix(url, "http://127.0.0.1:") || !strings.Contains(answer, "sidecar GET /first") {
			t.Fatalf("the site leads to %s, which answers %q", url, answer)
		}
		sidecars[url] = true
	}
	if len(sidecars) != 2 {
		t.Errorf("two tasks have the sidecars %v", sidecars)
	}
	if answer := ask(byTCP + "/over"); !strings.Contains(answer, "sidecar GET /over") {
		t.Errorf("over TCP the answer is %q", answer)
	}
	status := d.Status()
	if want := "S/Site: its policy S/Policy scales by an alarm"; len(status.Warnings) != 1 || !strings.HasPrefix(status.Warnings[0], want) {
		t.Errorf("the warnings are %q, want one: %q", status.Warnings, want)
	}
	for _, want := range []string{"QUEUE", "NetworkConfiguration", "PlatformVersion", "EphemeralStorage"} {
		if !slices.ContainsFunc(status.PassedOver, func(o provider.PassedOver) bool { return o.Setting == want }) {
			t.Errorf("%s is not listed", want)
		}
	}
	d.deploy(fargate(t, "second"))
	if answer := ask(d.URL("/")); !strings.Contains(answer, "/second GET /") {
		t.Errorf("after the update the answer is %q", answer)
	}
}

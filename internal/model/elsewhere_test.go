package model

import (
	"fmt"
	"strings"
	"testing"

	"cutover/internal/capacity"
	"time"
)

// An app unlike ours is read as far as it can be: what cannot be read disturbs only
// those that ask for it.
func TestAppsOfOthers(t *testing.T) {
	m := read(t, `
		"Lb": {"Type": "AWS::ElasticLoadBalancingV2::LoadBalancer", "Properties": {"Type": "network", "Scheme": "internal", "LoadBalancerAttributes": [{"Key": "idle_timeout.timeout_seconds", "Value": "5000"}, {"Key": "new", "Value": "x"}]}},
		"Tcp": {"Type": "AWS::ElasticLoadBalancingV2::Listener", "Properties": {"Port": 443, "Protocol": "TLS", "LoadBalancerArn": {"Ref": "Lb"}, "DefaultActions": [{"Type": "forward", "TargetGroupArn": {"Ref": "Ip"}}]}},
		"Sso": {"Type": "AWS::ElasticLoadBalancingV2::Listener", "Properties": {"Port": 80, "Protocol": "HTTP", "LoadBalancerArn": "arn:x", "DefaultActions": [{"Type": "authenticate-oidc"}]}},
		"Ip": {"Type": "AWS::ElasticLoadBalancingV2::TargetGroup", "Properties": {"Protocol": "TCP", "TargetType": "ip", "HealthCheckProtocol": "TCP", "HealthCheckIntervalSeconds": "often"}},
		"Gone": {"Type": "AWS::ElasticLoadBalancingV2::TargetGroup", "Condition": "Never"},
		"Perhaps": {"Type": "AWS::ElasticLoadBalancingV2::TargetGroup", "Condition": "Missing"},
		"Service": {"Type": "AWS::ECS::Service", "Properties": {"LaunchType": "FARGATE", "Cluster": "arn:cluster", "TaskDefinition": {"Ref": "Task"}, "DesiredCount": "many",
			"NetworkConfiguration": {"AwsvpcConfiguration": {"AssignPublicIp": "ENABLED", "Subnets": ["subnet-1"]}},
			"LoadBalancers": [{"ContainerName": "web", "ContainerPort": 80, "TargetGroupArn": {"Ref": "Gone"}}]}},
		"Task": {"Type": "AWS::ECS::TaskDefinition", "Properties": {"NetworkMode": "awsvpc", "Cpu": "512", "Memory": "1024", "RequiresCompatibilities": ["FARGATE"], "ContainerDefinitions": [
			{"Name": "web", "Image": {"Fn::Sub": "${Repo.RepositoryUri}:1"}, "PortMappings": [{"ContainerPort": 80}], "Environment": [{"Name": "HOST", "Value": {"Fn::Sub": "http://${Lb.DNSName}"}}, {"Name": "SELF", "Value": {"Ref": "Lb"}}, {"Name": "ON", "Value": true}]},
			{"Name": "agent", "Image": "agent:1", "Essential": false, "Secrets": [{"Name": "KEY", "ValueFrom": "x"}]}]}},
		"Repo": {"Type": "AWS::ECR::Repository"},
		"Table": {"Type": "AWS::ApplicationAutoScaling::ScalableTarget", "Properties": {"ServiceNamespace": "dynamodb", "ResourceId": "table/t"}},
		"Parameter": {"Type": "AWS::SSM::Parameter", "Properties": {"Name": "/a", "Value": {"Fn::GetAtt": ["Lb", "DNSName"]}}}`)
	check := func(what string, got, want any) {
		t.Helper()
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%s: %v, want %v", what, got, want)
		}
	}
	lb, tcp, sso, service, task := m.LoadBalancers[0], m.Listeners[1], m.Listeners[0], m.Services[0], m.TaskDefinitions[0]
	check("load balancer", fmt.Sprint(lb.Type, lb.Internal, lb.IdleTimeout), fmt.Sprint("network", true, time.Minute))
	check("its problem", lb.Problem("LoadBalancerAttributes"), `S/Lb/Properties.LoadBalancerAttributes (idle_timeout.timeout_seconds): expected a whole number from 1 to 4000, found "5000"`)
	check("no problem", lb.Problem("Name", "Load"), nil)
	check("its setting", lb.Settings[0].Property+"="+fmt.Sprint(lb.Settings[0].Value), "Properties.LoadBalancerAttributes (new)=x")
	check("listener", fmt.Sprint(tcp, tcp.LoadBalancer == lb, tcp.Default.Action, tcp.Default.Listener == tcp), "TLS:443 true Ip true")
	check("listener of another load balancer", fmt.Sprint(sso.LoadBalancer == nil, sso.Problem("Port", "LoadBalancerArn")), "true <nil>")
	if err := sso.Problem(); err == nil || !strings.Contains(err.Error(), `DefaultActions[0].Type: "authenticate-oidc"`) {
		t.Errorf("an action that nobody knows: %v", err)
	}
	check("target groups", len(m.TargetGroups), 2)
	check("a condition that cannot be told", m.TargetGroups[1].Problem("Name"), `S/Perhaps/Condition: the template has no condition "Missing"`)
	check("health check", m.TargetGroups[0].Health.Interval, 30*time.Second)

	check("service", fmt.Sprint(service.LaunchType, service.Cluster == nil, service.ClusterID, *service.DesiredCount, service.PublicAddresses, service.TaskDefinition == task), "FARGATEtruearn:cluster0 true true")
	check("left out", service.Problem("LoadBalancers"), "S/Service/Properties.LoadBalancers[0].TargetGroupArn: S/Gone is left out of its template: its condition does not hold")
	check("its target group", service.LoadBalancers[0].TargetGroup == nil, true)
	check("not passed over", service.Unsupported(map[string]string{"Subnets": "[]"}, nil, "NetworkConfiguration"), "S/Service/Properties.NetworkConfiguration.AwsvpcConfiguration.Subnets: [subnet-1] is not honoured: only [] is known here")
	check("passed over", service.Unsupported(map[string]string{"AwsvpcConfiguration": ""}, nil, "NetworkConfiguration"), nil)

	web := task.Containers[0]
	check("the task as a whole", fmt.Sprint(task.CPU, task.MemoryMiB, web.CPULimit, web.MemoryMiB), "512 1024 0 0")
	check("what the task reserves", fmt.Sprint(task.Reserves()), fmt.Sprint(capacity.Resources{CPU: 512, MemoryMiB: 1024, Interfaces: 1}))
	check("image", web.Image.Unknown, "it is in a repository that a deployment creates")
	check("environment", web.Environment, "[{HOST  http://${S/Lb.DNSName} false} {SELF  ${S/Lb} false} {ON true  false}]")
	check("secrets", task.Containers[1].Secrets, "[{KEY x   false x}]")
	check("scaling", fmt.Sprint(m.ScalableTargets[0].Namespace, m.ScalableTargets[0].Service == nil, m.ScalableTargets[0].Problem()), "dynamodbtrue <nil>")
	check("parameter", fmt.Sprint(m.Parameters[0].Name, m.Parameters[0].Value, m.Parameters[0].Parts[0]), "/aS/Lb.DNSName")
}

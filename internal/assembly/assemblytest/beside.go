package assemblytest

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"cutover/internal/assembly"
)

// The ARNs of what exists already in [Beside].
const (
	balancing    = "arn:aws:elasticloadbalancing:eu-central-1:123456789012:"
	ListenerARN  = balancing + "listener/app/entrance/0123456789abcdef/1111111111111111"
	ShopGroupARN = balancing + "targetgroup/shop/2222222222222222"
)

// existing is a load balancer with the monolith shop, reports of somebody else, and rules of their own.
const existing = `{
	"Description": "What exists already",
	"Metadata": {"cutover:existing": {"account": "123456789012", "region": "eu-central-1"}},
	"Resources": {
		"LoadBalancer": {"Type": "AWS::ElasticLoadBalancingV2::LoadBalancer", "Metadata": {"cutover:arn": "BALANCINGloadbalancer/app/entrance/0123456789abcdef"},
			"Properties": {"Name": "entrance", "Scheme": "internet-facing", "Type": "application", "SecurityGroups": ["sg-0a"], "Subnets": ["subnet-0a", "subnet-0b"]}},
		"ListenerHttp80": {"Type": "AWS::ElasticLoadBalancingV2::Listener", "Metadata": {"cutover:arn": "LISTENER"},
			"Properties": {"LoadBalancerArn": {"Ref": "LoadBalancer"}, "Port": 80, "Protocol": "HTTP", "DefaultActions": [{"Type": "forward", "TargetGroupArn": {"Ref": "TargetGroupShop"}}]}},
		"RuleHttp80Priority10": {"Type": "AWS::ElasticLoadBalancingV2::ListenerRule", "Metadata": {"cutover:arn": "BALANCINGlistener-rule/app/entrance/10"},
			"Properties": {"ListenerArn": {"Ref": "ListenerHttp80"}, "Priority": 10, "Conditions": [{"Field": "path-pattern", "PathPatternConfig": {"Values": ["/admin*"]}}],
				"Actions": [{"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "403", "ContentType": "text/plain", "MessageBody": "staff only"}}]}},
		"RuleHttp80Priority20": {"Type": "AWS::ElasticLoadBalancingV2::ListenerRule", "Metadata": {"cutover:arn": "BALANCINGlistener-rule/app/entrance/20"},
			"Properties": {"ListenerArn": {"Ref": "ListenerHttp80"}, "Priority": 20, "Conditions": [{"Field": "path-pattern", "PathPatternConfig": {"Values": ["/reports/*"]}}],
				"Actions": [{"Type": "forward", "TargetGroupArn": {"Ref": "TargetGroupReports"}}]}},
		"RuleHttp80Priority3000": {"Type": "AWS::ElasticLoadBalancingV2::ListenerRule", "Metadata": {"cutover:arn": "BALANCINGlistener-rule/app/entrance/3000"},
			"Properties": {"ListenerArn": {"Ref": "ListenerHttp80"}, "Priority": 3000, "Conditions": [{"Field": "path-pattern", "PathPatternConfig": {"Values": ["/api/*"]}}],
				"Actions": [{"Type": "forward", "TargetGroupArn": {"Ref": "TargetGroupShop"}}]}},
		"TargetGroupShop": {"Type": "AWS::ElasticLoadBalancingV2::TargetGroup", "Metadata": {"cutover:arn": "SHOP"},
			"Properties": {"Name": "shop", "Protocol": "HTTP", "Port": 8080, "TargetType": "instance", "VpcId": "vpc-0a", "HealthCheckPath": "/ping",
				"HealthCheckIntervalSeconds": 5, "HealthCheckTimeoutSeconds": 4, "Matcher": {"HttpCode": "200-299"}}},
		"TargetGroupReports": {"Type": "AWS::ElasticLoadBalancingV2::TargetGroup", "Metadata": {"cutover:arn": "BALANCINGtargetgroup/reports/3333333333333333"},
			"Properties": {"Name": "reports", "TargetType": "lambda"}},
		"TargetGroupUnused": {"Type": "AWS::ElasticLoadBalancingV2::TargetGroup", "Metadata": {"cutover:arn": "BALANCINGtargetgroup/unused/4444444444444444"},
			"Properties": {"Name": "unused", "Protocol": "HTTPS", "Port": 443, "TargetType": "ip", "VpcId": "vpc-0a"}}}}`

// beside is the service orders with a rule at the listener that exists already: its conditions, and its action.
const beside = `{
	"Parameters": {"Listener": {"Type": "String", "Default": "LISTENER"}},
	"Resources": {
		"Group": {"Type": "AWS::ElasticLoadBalancingV2::TargetGroup",
			"Properties": {"Name": "orders", "Protocol": "HTTP", "Port": 80, "TargetType": "instance", "VpcId": "vpc-0a", "HealthCheckPath": "/ping",
				"HealthCheckIntervalSeconds": 5, "HealthCheckTimeoutSeconds": 4, "Matcher": {"HttpCode": "200-299"},
				"TargetGroupAttributes": [{"Key": "deregistration_delay.timeout_seconds", "Value": "5"}]}},
		"Rule": {"Type": "AWS::ElasticLoadBalancingV2::ListenerRule",
			"Properties": {"ListenerArn": {"Ref": "Listener"}, "Priority": 1500, "Conditions": [%s], "Actions": [%s]}},
		"Task": {"Type": "AWS::ECS::TaskDefinition",
			"Properties": {"Family": "orders", "NetworkMode": "bridge", "ContainerDefinitions": [{"Name": "orders", "Image": "public.ecr.aws/shop/orders:1", "Memory": 128,
				"PortMappings": [{"ContainerPort": 3000}]}]}},
		"Service": {"Type": "AWS::ECS::Service", "DependsOn": ["Rule"],
			"Properties": {"ServiceName": "orders", "Cluster": "dev", "TaskDefinition": {"Ref": "Task"}, "DesiredCount": %d, "HealthCheckGracePeriodSeconds": 60,
				"LoadBalancers": [{"ContainerName": "orders", "ContainerPort": 3000, "TargetGroupArn": {"Ref": "Group"}}]}}}}`

// Beside writes an assembly for each position of a service, orders, that takes paths over from a monolith which exists already:
// in the directories monolith, parallel, share and switched. What exists already is described there. In monolith and parallel the
// rule of the service is parked; in share half of the requests go to the service.
func Beside(t testing.TB, dir string) {
	t.Helper()
	const paths, parked = `{"Field": "path-pattern", "PathPatternConfig": {"Values": ["/api/orders*"]}}`, `{"Field": "host-header", "HostHeaderConfig": {"Values": ["orders.parked.invalid"]}}`
	const forward = `{"Type": "forward", "TargetGroupArn": {"Ref": "Group"}}`
	const share = `{"Type": "forward", "ForwardConfig": {"TargetGroups": [{"TargetGroupArn": {"Ref": "Group"}, "Weight": 50}, {"TargetGroupArn": "SHOP", "Weight": 50}]}}`
	fill := strings.NewReplacer("LISTENER", ListenerARN, "SHOP", ShopGroupARN, "BALANCING", balancing)
	for position, template := range map[string]string{
		"monolith": fmt.Sprintf(beside, parked, forward, 0), "parallel": fmt.Sprintf(beside, parked, forward, 1),
		"share": fmt.Sprintf(beside, paths, share, 1), "switched": fmt.Sprintf(beside, paths, forward, 1),
	} {
		files := map[string]string{
			"manifest.json": `{"artifacts": {"dev-Orders": {"type": "aws:cloudformation:stack", "environment": "aws://unknown-account/unknown-region",
				"properties": {"templateFile": "dev-Orders.template.json"}}}}`,
			"dev-Orders.template.json": fill.Replace(template),
			assembly.ExistingFile:      fill.Replace(existing),
			"deployment.json": fill.Replace(`{"version": 2, "sources": {}, "monolith": {"name": "storefront", "tasks": 1}, "keepRest": true, "existing": "SHOP", "priorities": {"First": 1000, "Last": 1999},
				"services": [{"name": "orders", "order": 500, "paths": ["/api/orders*"], "tasks": 1}], "requests": ["/api/orders", "/api/orders/1", "/home"]}`),
		}
		at := filepath.Join(dir, position)
		if err := os.MkdirAll(at, 0o700); err != nil {
			t.Fatal(err)
		}
		for name, text := range files {
			if err := os.WriteFile(filepath.Join(at, name), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
}

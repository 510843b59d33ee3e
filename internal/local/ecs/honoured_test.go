package ecs

import (
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	ours "cutover/deployment"
	"cutover/internal/assembly"
	"cutover/internal/golden"
	"cutover/internal/model"
)

// shop is an app unlike ours: classic names, exports between its stacks, an
// account and a region, an image from elsewhere and the bootstrap's repository.
var shop = map[string]string{
	"manifest.json": `{"artifacts": {
		"Net": {"type": "aws:cloudformation:stack", "environment": "aws://123456789012/eu-west-1", "properties": {"templateFile": "Net.json", "stackName": "shop-net"}},
		"Web.assets": {"type": "cdk:asset-manifest", "properties": {"file": "Web.assets.json"}},
		"Web": {"type": "aws:cloudformation:stack", "environment": "aws://123456789012/eu-west-1", "properties": {"templateFile": "Web.json", "stackName": "shop-web"},
			"dependencies": ["Net", "Web.assets"]}}}`,
	"Net.json": `{"Resources": {"Tg": {"Type": "AWS::ElasticLoadBalancingV2::TargetGroup"}, "Cluster": {"Type": "AWS::ECS::Cluster"}},
		"Outputs": {"Tg": {"Value": {"Ref": "Tg"}, "Export": {"Name": "tg"}}, "C": {"Value": {"Ref": "Cluster"}, "Export": {"Name": "cluster"}}}}`,
	"Web.assets.json": `{"dockerImages": {"abc": {"source": {"directory": "asset.abc"}, "destinations": {"here": {
		"repositoryName": "cdk-hnb659fds-container-assets-${AWS::AccountId}-${AWS::Region}", "imageTag": "abc"}}}}}`,
	"Web.json": `{
		"Parameters": {"Count": {"Type": "Number", "Default": 4}},
		"Conditions": {"Never": {"Fn::Equals": ["a", "b"]}},
		"Resources": {
			"Hidden": {"Type": "AWS::ECS::Service", "Condition": "Never", "Properties": {"LaunchType": "FARGATE"}},
			"Service": {"Type": "AWS::ECS::Service", "Properties": {
				"Cluster": {"Fn::ImportValue": "cluster"}, "TaskDefinition": {"Ref": "Task"}, "LaunchType": "EC2", "DesiredCount": {"Ref": "Count"},
				"DeploymentConfiguration": {"MaximumPercent": 150, "MinimumHealthyPercent": "50", "Alarms": {"AlarmNames": ["alarm"], "Enable": true, "Rollback": true},
					"DeploymentCircuitBreaker": {"Enable": true, "Rollback": false, "ResetOnHealthyTask": false, "ThresholdConfiguration": {"Type": "COUNT", "Value": 7}}},
				"HealthCheckGracePeriodSeconds": 60,
				"LoadBalancers": [{"ContainerName": "web", "ContainerPort": 8080, "TargetGroupArn": {"Fn::ImportValue": "tg"}}]}},
			"Task": {"Type": "AWS::ECS::TaskDefinition", "Properties": {
				"NetworkMode": "bridge", "RequiresCompatibilities": ["EC2", "EXTERNAL"],
				"ContainerDefinitions": [
					{"Name": "web", "Memory": 512, "MemoryReservation": 128, "Cpu": 10, "Essential": true,
						"Image": {"Fn::Sub": "123456789012.dkr.ecr.eu-west-1.${AWS::URLSuffix}/cdk-hnb659fds-container-assets-123456789012-eu-west-1:abc"},
						"Environment": [{"Name": "A", "Value": "1"}, {"Name": "R", "Value": {"Ref": "AWS::Region"}}],
						"EntryPoint": ["/web"], "Command": ["serve"], "WorkingDirectory": "/srv", "User": "1000",
						"PortMappings": [{"ContainerPort": 8080, "Protocol": "tcp"}, {"ContainerPort": 9090, "HostPort": 0}],
						"ReadonlyRootFilesystem": true, "DockerSecurityOptions": ["no-new-privileges"], "Privileged": false, "MountPoints": [],
						"LinuxParameters": {"Capabilities": {"Add": ["NET_ADMIN"], "Drop": ["ALL"]}, "InitProcessEnabled": true},
						"Ulimits": [{"Name": "nofile", "SoftLimit": 1024, "HardLimit": 2048}], "DockerLabels": {"k": "v"},
						"HealthCheck": {"Command": ["CMD-SHELL", "curl -f localhost"], "Interval": 15, "Timeout": 4, "Retries": 2, "StartPeriod": 20},
						"StopTimeout": 60, "LogConfiguration": {"LogDriver": "awslogs", "Options": {"awslogs-group": {"Fn::GetAtt": ["X", "Y"]}}}},
					{"Name": "cache", "Image": "redis:7", "Memory": 64, "Essential": false}]}}}}`,
}

// read plans the services of an assembly of such files.
func read(t *testing.T, files map[string]string) ([]*model.Service, error) {
	t.Helper()
	next := NewProvider(nil, Given{}).Plan(modelOf(t, files), nil).(*plan)
	return slices.Collect(maps.Values(next.services)), next.refused
}

func modelOf(t *testing.T, files map[string]string) *model.Model {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	a, err := assembly.Read(dir)
	if err != nil {
		t.Fatal(err)
	}
	return model.Read(a)
}

func TestServices(t *testing.T) {
	services, err := read(t, shop)
	if err != nil {
		t.Fatal(err)
	}
	if len(services) != 1 {
		t.Fatalf("there are %d services, want one: the condition of the other does not hold", len(services))
	}
	got, definition := *services[0], *services[0].TaskDefinition
	asset := got.TaskDefinition.Containers[0].Image.Asset
	if asset == nil || asset.ID != "abc" {
		t.Errorf("the image's asset is %+v", asset)
	}
	got.TaskDefinition.Containers[0].Image.Asset = nil
	if key := got.TaskDefinition.Key(); key != "shop-web/Task" {
		t.Errorf("the task definition is %s", key)
	}
	if key := got.Key(); key != "shop-web/Service" {
		t.Errorf("the service is %s", key)
	}
	if key := got.LoadBalancers[0].TargetGroup.Key(); key != "shop-net/Tg" {
		t.Errorf("the target group is %s", key)
	}
	got.Base, got.Cluster, got.LoadBalancers[0].TargetGroup = model.Base{}, nil, nil
	definition.Base, got.TaskDefinition = model.Base{}, &definition
	four := 4
	want := model.Service{
		Name: "Service", ClusterID: "shop-net/Cluster", DesiredCount: &four,
		MinimumHealthyPercent: 50, MaximumPercent: 150, HealthCheckGracePeriod: time.Minute,
		CircuitBreaker: model.CircuitBreaker{Enable: true, Cumulative: true, Threshold: model.Threshold{Type: model.Count, Value: 7}},
		LoadBalancers:  []model.ServiceLoadBalancer{{Container: "web", Port: 8080}},
		LaunchType:     "EC2", Scheduling: "REPLICA", Controller: "ECS", Strategy: "ROLLING", Alarms: true,
		TaskDefinition: &model.TaskDefinition{Family: "Task", NetworkMode: "bridge", Compatibilities: []string{"EC2", "EXTERNAL"}, OperatingSystem: "LINUX", Containers: []model.Container{
			{
				Name: "web", Essential: true, MemoryMiB: 512, MemoryReservationMiB: 128, CPUShares: 10,
				Image:       model.Image{Reference: "cdk-hnb659fds-container-assets-${AWS::AccountId}-${AWS::Region}:abc"},
				Environment: []model.Variable{{Name: "A", Value: "1"}, {Name: "R", Value: "eu-west-1"}},
				EntryPoint:  []string{"/web"}, Command: []string{"serve"}, WorkingDirectory: "/srv", User: "1000",
				Ports: model.TCP(8080, 9090), ReadonlyRootFilesystem: true, SecurityOptions: []string{"no-new-privileges"},
				AddedCapabilities: []string{"NET_ADMIN"}, DroppedCapabilities: []string{"ALL"}, Init: true,
				Ulimits: []model.Ulimit{{Name: "nofile", Soft: 1024, Hard: 2048}}, Labels: map[string]string{"k": "v"},
				HealthCheck: &model.ContainerHealthCheck{Command: []string{"CMD-SHELL", "curl -f localhost"}, Interval: 15 * time.Second, Timeout: 4 * time.Second, Retries: 2, StartPeriod: 20 * time.Second},
				StopTimeout: time.Minute, LogDriver: "awslogs",
			},
			{Name: "cache", MemoryMiB: 64, Image: model.Image{Reference: "redis:7"}, StopTimeout: 30 * time.Second},
		}},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

// Our own templates, as they are reviewed.
func TestGoldenTemplates(t *testing.T) {
	for phase, want := range map[string]struct{ monolith, service int }{"monolith": {1, 0}, "parallel": {1, 1}, "retired": {0, 1}} {
		counts := map[string]int{ours.Forum.Monolith.Name: want.monolith}
		for _, service := range ours.Forum.Services {
			counts[service.Name] = want.service
		}
		m := model.Read(golden.Read(t, "../../..", phase))
		if err := Check(m); err != nil {
			t.Fatal(err)
		}
		got := map[string]int{}
		for _, s := range m.Services {
			got[s.Name] = *s.DesiredCount
			c := s.TaskDefinition.Containers[0]
			if s.ClusterID != "dev-Cluster/ClusterEB0386A7" || len(s.LoadBalancers) != 1 || !s.CircuitBreaker.Rollback ||
				c.MemoryReservationMiB != 256 || !slices.Equal(c.Ports, model.TCP(3000)) || c.HealthCheck == nil {
				t.Errorf("%s: %+v", phase, s)
			}
		}
		if !reflect.DeepEqual(got, counts) {
			t.Errorf("%s: counts are %v, want %v", phase, got, counts)
		}
	}
}

func TestRefused(t *testing.T) {
	for _, test := range []struct{ old, new, want string }{
		{`"LaunchType": "EC2"`, `"LaunchType": "EXTERNAL"`, `shop-web/Service/Properties.LaunchType: "EXTERNAL" is not honoured: there is no machine of your own to stand for here`},
		{`"LaunchType": "EC2"`, `"DeploymentController": {"Type": "CODE_DEPLOY"}`, `DeploymentController.Type: "CODE_DEPLOY"`},
		{`"LaunchType": "EC2"`, `"VpcLatticeConfigurations": [{}]`, `Properties.VpcLatticeConfigurations: not honoured: there is no VPC Lattice here`},
		{`"LaunchType": "EC2"`, `"ServiceConnectConfiguration": {"Enabled": true, "Namespace": "n", "Services": [{"PortName": "p"}]}`, `shop-web/Service/Properties.ServiceConnectConfiguration.Services[0].PortName: shop-web/Task has no port mapping of the name "p"`},
		{`"LaunchType": "EC2"`, `"ServiceConnectConfiguration": {"Enabled": true, "Namespace": "n", "Services": [{"Tls": {"KmsKey": "k"}}]}`, `Services[0].Tls: not honoured: connections between tasks are not encrypted here`},
		{`"LaunchType": "EC2"`, `"ServiceConnectConfiguration": {"Enabled": true, "Namespace": "n", "Novelty": 1}`, `ServiceConnectConfiguration.Novelty: not honoured: what it does is not known here`},
		{`"LaunchType": "EC2"`, `"ServiceConnectConfiguration": {"Enabled": true, "Namespace": "n", "Services": [{"PortName": "p", "ClientAliases": [{"Port": 1, "TestTrafficRules": {"Header": {"Name": "x"}}}]}]}`, `TestTrafficRules: not honoured: they are for blue/green deployments`},
		{`"LaunchType": "EC2"`, `"ServiceRegistries": [{"RegistryArn": "r", "Novelty": 1, "ContainerName": "web", "ContainerPort": 8080}]`, `ServiceRegistries[0].Novelty: not honoured: what it does is not known here`},
		{`"LaunchType": "EC2"`, `"Novelty": 1`, `Properties.Novelty: not honoured: what it does is not known here`},
		{`"LaunchType": "EC2", "DesiredCount": {"Ref": "Count"}`, `"DesiredCount": -1`, `DesiredCount: expected a whole number from 0 to 5000, found the number -1`},
		{`"TaskDefinition": {"Ref": "Task"}`, `"TaskDefinition": "arn:aws:ecs:x"`, `TaskDefinition: expected a resource of the assembly of type AWS::ECS::TaskDefinition, found "arn:aws:ecs:x"`},
		{`"TaskDefinition": {"Ref": "Task"},`, ``, `a service needs a task definition`},
		{`"MaximumPercent": 150`, `"MaximumPercent": 99`, `MaximumPercent: expected a whole number from 100`},
		{`"MaximumPercent": 150`, `"Strategy": "BLUE_GREEN"`, `Strategy: "BLUE_GREEN" is not honoured: only ROLLING`},
		{`"AlarmNames": ["alarm"]`, `"Novelty": 1`, `Alarms.Novelty: not honoured: what it does is not known here`},
		{`"COUNT"`, `"GUESS"`, `"GUESS" is none of BOUNDED_PERCENT`},
		{`"ContainerPort": 8080, "TargetGroupArn"`, `"ContainerPort": 80, "TargetGroupArn"`, `shop-web/Task has no container "web" that maps port 80`},
		{`{"Fn::ImportValue": "tg"}`, `{"Ref": "Task"}`, `TargetGroupArn: expected a resource of the assembly of type AWS::ElasticLoadBalancingV2::TargetGroup`},
		{`"NetworkMode": "bridge"`, `"NetworkMode": "default"`, `shop-web/Task/Properties.NetworkMode: "default" is not honoured: it is for Windows; only bridge, awsvpc, host, none are known here`},
		{`"NetworkMode": "bridge"`, `"NetworkMode": "awsvpc", "ProxyConfiguration": {"Type": "APPMESH"}`, `shop-web/Task/Properties.ProxyConfiguration: not honoured: it is for App Mesh, which AWS has ended on 2026-09-30`},
		{`["EC2", "EXTERNAL"]`, `["EXTERNAL"]`, `shop-web/Task/Properties.RequiresCompatibilities: EXTERNAL is not honoured: choose from EC2, FARGATE`},
		{`"NetworkMode": "bridge"`, `"NetworkMode": "awsvpc", "RuntimePlatform": {"OperatingSystemFamily": "WINDOWS_SERVER_2022_CORE"}`, `shop-web/Task/Properties.RuntimePlatform.OperatingSystemFamily: "WINDOWS_SERVER_2022_CORE" is not honoured`},
		{`"StopTimeout": 60`, `"EnvironmentFiles": [{}]`, `ContainerDefinitions[0].EnvironmentFiles: not honoured: there is no S3`},
		{`"StopTimeout": 60`, `"RestartPolicy": {"Enabled": true}`, `ContainerDefinitions[0].RestartPolicy: not honoured: only tasks are replaced here`},
		{`"StopTimeout": 60`, `"Novelty": 1`, `ContainerDefinitions[0].Novelty: not honoured: what it does is not known here`},
		{`"Essential": true`, `"Essential": false`, `at least one essential container`},
		{`"Memory": 64, `, ``, `ContainerDefinitions[1]: a container needs Memory or MemoryReservation`},
		{`"Name": "cache"`, `"Name": "web"`, `another container is called "web" too`},
		{`"MemoryReservation": 128`, `"MemoryReservation": 1024`, `1024 MiB are more than Memory`},
		{`["CMD-SHELL", "curl -f localhost"]`, `["curl"]`, `expected CMD and a command`},
		{`"Interval": 15`, `"Interval": 1`, `Interval: expected a whole number from 5 to 300`},
		{`{"Ref": "AWS::Region"}`, `{"Ref": "AWS::StackId"}`, `AWS::StackId is only known at deployment`},
		{`"Image": "redis:7", `, ``, `a container needs an image`},
		{`"Image": "redis:7", `, `"Image": "", `, `a container needs an image`},
		{`"Environment": [`, `"Environment": 1, "X": [`, `Environment: expected a list, found the number 1`},
	} {
		if !strings.Contains(shop["Web.json"], test.old) {
			t.Fatalf("the template has no %s", test.old)
		}
		changed := map[string]string{}
		for name, text := range shop {
			changed[name] = strings.Replace(text, test.old, test.new, 1)
		}
		services, err := read(t, changed)
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: error is %v, want one with %q", test.new, err, test.want)
		}
		if len(services) > 0 {
			t.Errorf("%s: services are %v besides an error", test.new, services)
		}
	}
}

// What is for the network and the machines of AWS runs, and is listed where it has an effect there.
func TestNetworkIsPassedOver(t *testing.T) {
	const service, task = "shop-web/Service/Properties.", "shop-web/Task/Properties."
	for _, test := range []struct{ old, new, places string }{
		{`"LaunchType": "EC2"`, `"LaunchType": "FARGATE", "PlatformVersion": "1.4.0", "NetworkConfiguration": {"AwsvpcConfiguration": {"AssignPublicIp": "ENABLED", "Subnets": ["s"], "SecurityGroups": ["g"]}}`,
			service + "NetworkConfiguration.AwsvpcConfiguration.SecurityGroups, " + service + "NetworkConfiguration.AwsvpcConfiguration.Subnets, " + service + "PlatformVersion"},
		{`"LaunchType": "EC2"`, `"CapacityProviderStrategy": [{"CapacityProvider": "FARGATE", "Weight": 1}, {"CapacityProvider": "FARGATE_SPOT"}]`, service + "CapacityProviderStrategy[1].CapacityProvider"},
		{`"LaunchType": "EC2"`, `"ServiceConnectConfiguration": {"Enabled": true, "Namespace": "n", "LogConfiguration": {"LogDriver": "awslogs"}, "AccessLogConfiguration": {"Format": "JSON"}}, "ServiceRegistries": [{"RegistryArn": "r", "ContainerName": "web", "ContainerPort": 8080}]`,
			service + "ServiceConnectConfiguration.AccessLogConfiguration"},
		{`"NetworkMode": "bridge"`, `"NetworkMode": "awsvpc", "Cpu": "256", "EphemeralStorage": {"SizeInGiB": 30}, "RuntimePlatform": {"CpuArchitecture": "ARM64", "OperatingSystemFamily": "LINUX"}`,
			task + "Cpu, " + task + "EphemeralStorage, " + task + "RuntimePlatform.CpuArchitecture"},
		{`["EC2", "EXTERNAL"]`, `["FARGATE"]`, ""},
		{`"NetworkMode": "bridge"`, `"NetworkMode": "host"`, task + "NetworkMode"},
		{`"NetworkMode": "bridge"`, `"NetworkMode": "none"`, ""},
		{`{"ContainerPort": 9090, "HostPort": 0}`, `{"ContainerPortRange": "9090-9099", "Protocol": "udp"}`, task + "ContainerDefinitions[0].PortMappings[1].ContainerPortRange"},
	} {
		files := maps.Clone(shop)
		if !strings.Contains(files["Web.json"], test.old) {
			t.Fatalf("the template has no %s", test.old)
		}
		files["Web.json"] = strings.Replace(files["Web.json"], test.old, test.new, 1)
		next := NewProvider(newWorld(t).Scheduler, Given{}).Plan(modelOf(t, files), func(any) (string, error) { return "", nil }).(*plan)
		if err := next.Check(); err != nil {
			t.Errorf("%s: %v", test.new, err)
			continue
		}
		var places []string
		for _, over := range next.PassedOver() {
			places = append(places, over.Place)
		}
		slices.Sort(places)
		if got := strings.Join(places, ", "); got != test.places {
			t.Errorf("%s: passed over is %s, want %s", test.new, got, test.places)
		}
	}
}

// Scaling is found by a service's name as well as by a reference to it.
func TestScalingIsRead(t *testing.T) {
	target := `"Scaling": {"Type": "AWS::ApplicationAutoScaling::ScalableTarget", "Properties": {"ServiceNamespace": "ecs",
		"ScalableDimension": "ecs:service:DesiredCount", "MinCapacity": 2, "MaxCapacity": 9, "ResourceId": ID}},
		"Other": {"Type": "AWS::ApplicationAutoScaling::ScalableTarget", "Properties": {"ServiceNamespace": "dynamodb", "ResourceId": "table/t"}},
		"OfOther": {"Type": "AWS::ApplicationAutoScaling::ScalingPolicy", "Properties": {"ScalingTargetId": {"Ref": "Other"}, "PolicyType": "StepScaling"}},
		"ByCPU": {"Type": "AWS::ApplicationAutoScaling::ScalingPolicy", "Properties": {"PolicyType": "TargetTrackingScaling", "ScalingTargetId": {"Ref": "Scaling"},
			"TargetTrackingScalingPolicyConfiguration": {"TargetValue": 62.5, "ScaleInCooldown": 60,
				"PredefinedMetricSpecification": {"PredefinedMetricType": "ECSServiceAverageCPUUtilization"}}}},
		"ByRequests": {"Type": "AWS::ApplicationAutoScaling::ScalingPolicy", "Properties": {"PolicyType": "TargetTrackingScaling",
			"ServiceNamespace": "ecs", "ScalableDimension": "ecs:service:DesiredCount", "ResourceId": ID,
			"TargetTrackingScalingPolicyConfiguration": {"TargetValue": "300", "DisableScaleIn": true,
				"PredefinedMetricSpecification": {"PredefinedMetricType": "ALBRequestCountPerTarget", "ResourceLabel": {"Fn::Select": [0, {"Fn::Split": ["x", {"Ref": "Task"}]}]}}}}},
		`
	with := func(id string, replace ...string) map[string]string {
		app := map[string]string{}
		for name, text := range shop {
			app[name] = text
		}
		text := strings.ReplaceAll(target, "ID", id)
		text = strings.NewReplacer(replace...).Replace(text)
		app["Web.json"] = strings.Replace(app["Web.json"], `"Resources": {`, `"Resources": {`+text, 1)
		return app
	}
	const named = `{"Fn::Join": ["", ["service/", {"Fn::ImportValue": "cluster"}, "/", {"Fn::GetAtt": ["Service", "Name"]}]]}`
	want := &model.ScalableTarget{Namespace: "ecs", Min: 2, Max: 9, Policies: []*model.ScalingPolicy{
		{Type: model.TargetTracking, Metric: model.MetricCPU, TargetValue: 62.5, OutCooldown: 5 * time.Minute, InCooldown: time.Minute},
		{Type: model.TargetTracking, Metric: model.MetricRequests, TargetValue: 300, OutOnly: true, OutCooldown: 5 * time.Minute, InCooldown: 5 * time.Minute},
	}}
	for _, id := range []string{named, `{"Fn::Join": ["/", ["service", {"Fn::ImportValue": "cluster"}, "Service"]]}`} {
		services, err := read(t, with(id))
		if err != nil {
			t.Fatal(err)
		}
		if got := services[0].Scaling; digest(got) != digest(want) || got.Service != services[0] {
			t.Errorf("%s: %s of %v, want %s", id, digest(got), got.Service, digest(want))
		}
	}
	for _, test := range []struct{ old, new, want string }{
		{`"MinCapacity": 2`, `"MinCapacity": 10`, "shop-web/Scaling/Properties.MinCapacity: 10 is more than MaxCapacity, 9"},
		{`"MinCapacity": 2`, `"MinCapacity": 2, "SuspendedState": {"DynamicScalingInSuspended": true}`, "SuspendedState: not honoured: nothing is suspended here"},
		{`62.5`, `"much"`, `TargetValue: "much": it must be a number above 0`},
		{`"DisableScaleIn": true`, `"CustomizedMetricSpecification": {"MetricName": "x"}`, "CustomizedMetricSpecification: not honoured: AWS refuses it beside a predefined metric"},
	} {
		if _, err := read(t, with(named, test.old, test.new)); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: error is %v, want one with %q", test.new, err, test.want)
		}
	}
	// A policy that waits for something that is not measured here is left out, whatever else it says.
	for _, replace := range [][]string{
		{`"PolicyType": "TargetTrackingScaling", "Sca`, `"PolicyType": "StepScaling", "StepScalingPolicyConfiguration": {"AdjustmentType": "ChangeInCapacity"}, "Sca`},
		{`ECSServiceAverageCPU`, `ECSServiceAverageMemory`},
		{`"PredefinedMetricSpecification": {"PredefinedMetricType": "ECSServiceAverageCPUUtilization"}`, `"CustomizedMetricSpecification": {"MetricName": "x"}`},
	} {
		services, err := read(t, with(named, replace...))
		if err != nil {
			t.Fatal(err)
		}
		if got := services[0].Scaling; len(got.Policies) != 1 || got.Policies[0].Metric != model.MetricRequests || got.Min != 2 || got.Max != 9 {
			t.Errorf("%s: the scaling is %s", replace[1], digest(got))
		}
		if all := services[0].Scaling.Policies[0].Target.Policies; len(all) != 2 {
			t.Errorf("%s: the model itself has %d policies, want both", replace[1], len(all))
		}
	}
	daemon := with(named)
	daemon["Web.json"] = strings.Replace(daemon["Web.json"], `"LaunchType": "EC2"`, `"LaunchType": "EC2", "SchedulingStrategy": "DAEMON"`, 1)
	if _, err := read(t, daemon); err == nil || !strings.Contains(err.Error(), "shop-web/Service/Properties.SchedulingStrategy: DAEMON is not honoured with scaling: a daemon has one task on each instance") {
		t.Errorf("a daemon that scales: %v", err)
	}
	if _, err := read(t, with(`"service/other/Nobody"`)); err == nil || !strings.Contains(err.Error(), "shop-web/Scaling/Properties.ResourceId: service/other/Nobody names no service of the assembly") {
		t.Errorf("a target of nothing: %v", err)
	}
}

func TestImages(t *testing.T) {
	for _, test := range []struct{ image, asset, reference, unknown string }{
		{`"nginx"`, "", "nginx", ""},
		{`"public.ecr.aws/x/y:abc"`, "", "public.ecr.aws/x/y:abc", ""},
		{`{"Fn::Sub": "${AWS::AccountId}.dkr.ecr.${AWS::Region}.${AWS::URLSuffix}/cdk-hnb659fds-container-assets-${AWS::AccountId}-${AWS::Region}:abc"}`, "abc",
			"cdk-hnb659fds-container-assets-${AWS::AccountId}-${AWS::Region}:abc", ""},
		{`{"Fn::Sub": "${AWS::AccountId}.dkr.ecr.${AWS::Region}.amazonaws.com/mine:1"}`, "", "mine:1", "in the registry of the account that is deployed to"},
		{`{"Fn::Join": ["", [{"Fn::GetAtt": ["Repo", "RepositoryUri"]}, ":latest"]]}`, "", "", "in a repository that a deployment creates"},
		{`{"Fn::GetAZs": "a"}`, "", "", "Fn::GetAZs is not a function"},
	} {
		app := map[string]string{
			"manifest.json": `{"artifacts": {
				"A": {"type": "cdk:asset-manifest", "properties": {"file": "a.json"}},
				"S": {"type": "aws:cloudformation:stack", "environment": "aws://unknown-account/unknown-region", "properties": {"templateFile": "s.json"}, "dependencies": ["A"]}}}`,
			"a.json": shop["Web.assets.json"],
			"s.json": `{"Resources": {"Repo": {"Type": "AWS::ECR::Repository"},
				"S": {"Type": "AWS::ECS::Service", "Properties": {"TaskDefinition": {"Ref": "T"}}},
				"T": {"Type": "AWS::ECS::TaskDefinition", "Properties": {"Cpu": "512", "Memory": "1024", "ContainerDefinitions": [{"Name": "c", "Image": ` + test.image + `}]}}}}`,
		}
		services, err := read(t, app)
		if err != nil {
			t.Fatal(err)
		}
		c := services[0].TaskDefinition.Containers[0]
		asset := ""
		if c.Image.Asset != nil {
			asset = c.Image.Asset.ID
		}
		if asset != test.asset || c.Image.Reference != test.reference || (c.Image.Unknown == "") != (test.unknown == "") || !strings.Contains(c.Image.Unknown, test.unknown) {
			t.Errorf("%s: %+v", test.image, c.Image)
		}
		if c.CPULimit != 512 || c.MemoryMiB != 1024 || services[0].DesiredCount != nil || services[0].MaximumPercent != 200 {
			t.Errorf("defaults: %+v", services[0])
		}
	}
}

// Whatever a template holds, it is read or refused.
func FuzzServices(f *testing.F) {
	f.Add(shop["Web.json"])
	f.Add(`{"Resources": {"S": {"Type": "AWS::ECS::Service", "Properties": {"LoadBalancers": {"Ref": "S"}, "TaskDefinition": {"Ref": "S"}}}}}`)
	f.Add(`{"Resources": {"S": {"Type": "AWS::ECS::Service", "Properties": {"TaskDefinition": {"Ref": "T"}}},
		"T": {"Type": "AWS::ECS::TaskDefinition", "Properties": {"ContainerDefinitions": [{"HealthCheck": {"Command": []}, "DockerLabels": {"Ref": "AWS::NoValue"}}]}}}}`)
	f.Add(strings.Replace(shop["Web.json"], `"Resources": {`, `"Resources": {"P": {"Type": "AWS::ApplicationAutoScaling::ScalingPolicy", "Properties": {"PolicyType": "TargetTrackingScaling", "ScalingTargetId": {"Ref": "T"},
		"TargetTrackingScalingPolicyConfiguration": {"TargetValue": "NaN", "PredefinedMetricSpecification": {"PredefinedMetricType": "ALBRequestCountPerTarget"}}}},
		"T": {"Type": "AWS::ApplicationAutoScaling::ScalableTarget", "Properties": {"ServiceNamespace": "ecs", "ResourceId": "service/x/Service", "MinCapacity": 1, "MaxCapacity": 2}},`, 1))
	dir := f.TempDir()
	for name, text := range shop {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			f.Fatal(err)
		}
	}
	f.Fuzz(func(t *testing.T, template string) {
		if err := os.WriteFile(filepath.Join(dir, "Web.json"), []byte(template), 0o644); err != nil {
			t.Fatal(err)
		}
		a, err := assembly.Read(dir)
		if err != nil {
			t.Skip()
		}
		m := model.Read(a)
		err = Check(m)
		if err != nil && !strings.Contains(err.Error(), "shop-") {
			t.Errorf("the error does not say where: %v", err)
		}
		if err != nil {
			return
		}
		for _, s := range m.Services {
			if revision(s) == "" || len(s.TaskDefinition.Containers) == 0 {
				t.Errorf("read %+v", s)
			}
			for _, c := range s.TaskDefinition.Containers {
				if c.Name == "" || c.HealthCheck != nil && len(command(c.HealthCheck.Command)) == 0 {
					t.Errorf("read %+v", c)
				}
			}
		}
	})
}

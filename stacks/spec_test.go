package stacks_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"cutover/config"
	"cutover/deployment"
	"cutover/internal/assembly"
	"cutover/internal/golden"
	"cutover/migration"
)

// The numbers and names that the deployment promises, looked up in what
// CloudFormation is given. Nothing here is taken from the code that wrote it.

// property resolves a property of a resource to plain values, with references to
// resources as texts.
func property(t *testing.T, a *assembly.Assembly, r *assembly.Resource, name string) any {
	t.Helper()
	value, err := r.Resolve(a, name)
	if err != nil {
		t.Fatal(err)
	}
	return plain(value)
}

// plain turns references into texts, so that a test can write them down.
func plain(value any) any {
	switch v := value.(type) {
	case fmt.Stringer:
		return v.String()
	case []any:
		list := make([]any, len(v))
		for i := range v {
			list[i] = plain(v[i])
		}
		return list
	case map[string]any:
		m := map[string]any{}
		for key := range v {
			m[key] = plain(v[key])
		}
		return m
	}
	return value
}

func equal(t *testing.T, what string, want, got any) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

type object = map[string]any

func TestRepositories(t *testing.T) {
	a := inPhase(t, migration.Monolith)
	found := map[string]bool{}
	for _, r := range a.Resources("AWS::ECR::Repository") {
		name := property(t, a, r, "RepositoryName").(string)
		found[name] = true
		equal(t, name+" tags", "IMMUTABLE", property(t, a, r, "ImageTagMutability"))
		equal(t, name+" scan", object{"ScanOnPush": true}, property(t, a, r, "ImageScanningConfiguration"))
		equal(t, name+" encryption", object{"EncryptionType": "AES256"}, property(t, a, r, "EncryptionConfiguration"))
		equal(t, name+" lifecycle", object{"LifecyclePolicyText": `{"rules":[{"rulePriority":1,"description":"Images that no tag names",` +
			`"selection":{"tagStatus":"untagged","countType":"sinceImagePushed","countNumber":14,"countUnit":"days"},"action":{"type":"expire"}}]}`},
			property(t, a, r, "LifecyclePolicy"))
		statements := listOf(r.Properties["RepositoryPolicyText"].(object)["Statement"])
		if len(statements) != 1 {
			t.Fatalf("%s: %d policy statements, want 1", name, len(statements))
		}
		equal(t, name+" may be pushed to by", any(object{"AWS": object{"Fn::Sub": "arn:${AWS::Partition}:iam::${AWS::AccountId}:role/cdk-hnb659fds-image-publishing-role-${AWS::AccountId}-${AWS::Region}"}}),
			statements[0]["Principal"])
		equal(t, name+" and by these actions", any([]any{
			"ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:CompleteLayerUpload", "ecr:DescribeImages", "ecr:DescribeRepositories",
			"ecr:GetDownloadUrlForLayer", "ecr:InitiateLayerUpload", "ecr:PutImage", "ecr:UploadLayerPart",
		}), statements[0]["Action"])
		equal(t, name+" allows", any("Allow"), statements[0]["Effect"])
	}
	equal(t, "repositories", slices.Sorted(slices.Values(names(deployment.Forum.All()))), slices.Sorted(maps.Keys(found)))
}

func TestImagesGoToTheServicesOwnRepository(t *testing.T) {
	a := inPhase(t, migration.Monolith)
	for _, service := range names(deployment.Forum.All()) {
		stack := a.Stack("dev-" + config.Pascal(service))
		if len(stack.Images) != 1 {
			t.Fatalf("%s has %d images, want 1", stack.Name, len(stack.Images))
		}
		image := stack.Images[0]
		equal(t, service+" platform", "linux/amd64", image.Platform)
		if len(image.Destinations) != 1 {
			t.Fatalf("%s has %d destinations, want 1", stack.Name, len(image.Destinations))
		}
		equal(t, service+" repository", service, image.Destinations[0].Repository)
		if tag := image.Destinations[0].Tag; !strings.HasPrefix(tag, "v1-") {
			t.Errorf("%s: tag %q does not begin with v1-", service, tag)
		}
	}
}

func TestTaskDefinitions(t *testing.T) {
	a := inPhase(t, migration.Parallel)
	for _, service := range names(deployment.Forum.All()) {
		r := resource(t, a, "dev-"+config.Pascal(service), "AWS::ECS::TaskDefinition")
		equal(t, service+" family", any(service), property(t, a, r, "Family"))
		equal(t, service+" network", any("bridge"), property(t, a, r, "NetworkMode"))
		equal(t, service+" compatibility", any([]any{"EC2"}), property(t, a, r, "RequiresCompatibilities"))
		containers := r.Properties["ContainerDefinitions"].([]any)
		if len(containers) != 1 {
			t.Fatalf("%s has %d containers, want 1", service, len(containers))
		}
		container := maps.Clone(containers[0].(object))
		image := fmt.Sprint(container["Image"].(object)["Fn::Sub"])
		if prefix := "${AWS::AccountId}.dkr.ecr.${AWS::Region}.${AWS::URLSuffix}/" + service + ":v1-"; !strings.HasPrefix(image, prefix) {
			t.Errorf("%s: image %s does not begin with %s", service, image, prefix)
		}
		delete(container, "Image")
		equal(t, service+" container", object{
			"Name": service, "Essential": true,
			"Cpu": 256.0, "MemoryReservation": 256.0, "Memory": 512.0,
			"LogConfiguration": object{"LogDriver": "awslogs", "Options": object{
				"awslogs-group":         object{"Ref": resource(t, a, r.Stack.Name, "AWS::Logs::LogGroup").LogicalID},
				"awslogs-stream-prefix": service, "awslogs-region": object{"Ref": "AWS::Region"},
				"mode": "non-blocking", // a full buffer does not stop the service
			}},
			"PortMappings":           []any{object{"ContainerPort": 3000.0, "HostPort": 0.0, "Protocol": "tcp"}},
			"Environment":            []any{object{"Name": "PORT", "Value": "3000"}, object{"Name": "STOP_TIMEOUT", "Value": "15s"}},
			"HealthCheck":            object{"Command": []any{"CMD", "/" + service, "healthcheck"}, "Interval": 10.0, "Timeout": 5.0, "Retries": 3.0},
			"StopTimeout":            20.0,
			"User":                   "65532:65532",
			"ReadonlyRootFilesystem": true,
			"DockerSecurityOptions":  []any{"no-new-privileges"},
			"LinuxParameters":        object{"Capabilities": object{"Drop": []any{"ALL"}}},
		}, container)
	}
}

func TestServices(t *testing.T) {
	a := inPhase(t, migration.Parallel)
	for _, service := range names(deployment.Forum.All()) {
		stack := "dev-" + config.Pascal(service)
		r := resource(t, a, stack, "AWS::ECS::Service")
		got := object{}
		for name := range r.Properties {
			got[name] = property(t, a, r, name)
		}
		delete(got, "Tags")
		group := targetGroup(t, a, service)
		equal(t, service, object{
			"ServiceName":              service,
			"Cluster":                  "dev-Cluster/" + resource(t, a, "dev-Cluster", "AWS::ECS::Cluster").LogicalID,
			"TaskDefinition":           stack + "/" + resource(t, a, stack, "AWS::ECS::TaskDefinition").LogicalID,
			"CapacityProviderStrategy": []any{object{"CapacityProvider": "dev-Cluster/" + resource(t, a, "dev-Cluster", "AWS::ECS::CapacityProvider").LogicalID, "Weight": 1.0}},
			"SchedulingStrategy":       "REPLICA",
			"DesiredCount":             1.0,
			"DeploymentConfiguration": object{
				"MinimumHealthyPercent": 100.0, "MaximumPercent": 200.0,
				"DeploymentCircuitBreaker": object{"Enable": true, "Rollback": true},
			},
			"PlacementStrategies": []any{
				object{"Type": "spread", "Field": "attribute:ecs.availability-zone"},
				object{"Type": "binpack", "Field": "MEMORY"},
			},
			"LoadBalancers":                 []any{object{"ContainerName": service, "ContainerPort": 3000.0, "TargetGroupArn": group.String()}},
			"HealthCheckGracePeriodSeconds": 15.0,
			"EnableECSManagedTags":          true,
			"PropagateTags":                 "SERVICE",
		}, got)
	}
}

// A service is created after what it needs exists.
func TestServicesWaitForTheirExecutionPolicy(t *testing.T) {
	a := inPhase(t, migration.Monolith)
	for _, r := range a.Resources("AWS::ECS::Service") {
		if !slices.Contains(r.DependsOn, resource(t, a, r.Stack.Name, "AWS::IAM::Policy").LogicalID) {
			t.Errorf("%s does not depend on its execution role's policy: %v", r, r.DependsOn)
		}
	}
}

// AWS services that act for somebody else's account cannot assume a role of ours.
func TestTrustsAreForThisAccount(t *testing.T) {
	a := inPhase(t, migration.Monolith)
	count := map[string]int{}
	for _, role := range a.Resources("AWS::IAM::Role") {
		for _, s := range listOf(role.Properties["AssumeRolePolicyDocument"].(object)["Statement"]) {
			principal := s["Principal"].(object)["Service"].(string)
			count[principal]++
			switch principal {
			case "ecs-tasks.amazonaws.com", "vpc-flow-logs.amazonaws.com":
				equal(t, role.String(), any(object{"StringEquals": object{"aws:SourceAccount": object{"Ref": "AWS::AccountId"}}}), s["Condition"])
			}
		}
	}
	equal(t, "trusts", map[string]int{"ecs-tasks.amazonaws.com": 2 * len(deployment.Forum.All()), "vpc-flow-logs.amazonaws.com": 1, "ec2.amazonaws.com": 1, "lambda.amazonaws.com": 1}, count)
}

// Each service has roles of its own: the task's is empty, the execution role can
// pull from the service's repository and write to its log group.
func TestRoles(t *testing.T) {
	a := inPhase(t, migration.Monolith)
	for _, service := range names(deployment.Forum.All()) {
		stack := "dev-" + config.Pascal(service)
		definition := resource(t, a, stack, "AWS::ECS::TaskDefinition")
		policy := resource(t, a, stack, "AWS::IAM::Policy")
		taskRole, executionRole := property(t, a, definition, "TaskRoleArn"), property(t, a, definition, "ExecutionRoleArn")
		if taskRole == executionRole {
			t.Errorf("%s: one role for the task and its execution", service)
		}
		roles := property(t, a, policy, "Roles").([]any)
		if len(roles) != 1 || fmt.Sprint(executionRole) != fmt.Sprint(roles[0])+".Arn" {
			t.Errorf("%s: the policy is that of %v, want the execution role %v alone", service, roles, executionRole)
		}
		for _, role := range a.Resources("AWS::IAM::Role") {
			if role.Stack.Name == stack && (role.Properties["ManagedPolicyArns"] != nil || role.Properties["Policies"] != nil) {
				t.Errorf("%s has policies of its own", role)
			}
		}
		var got []string
		for _, s := range listOf(policy.Properties["PolicyDocument"].(object)["Statement"]) {
			got = append(got, fmt.Sprintf("%v %v on %v", s["Effect"], s["Action"], s["Resource"]))
		}
		log := resource(t, a, stack, "AWS::Logs::LogGroup").LogicalID
		equal(t, service+" execution role", []string{
			"Allow [ecr:BatchCheckLayerAvailability ecr:BatchGetImage ecr:GetDownloadUrlForLayer] on map[Fn::Join:[ [arn: map[Ref:AWS::Partition] :ecr: map[Ref:AWS::Region] : map[Ref:AWS::AccountId] :repository/" + service + "]]]",
			"Allow ecr:GetAuthorizationToken on *",
			"Allow [logs:CreateLogStream logs:PutLogEvents] on map[Fn::GetAtt:[" + log + " Arn]]",
		}, got)
	}
}

func TestTargetGroups(t *testing.T) {
	a := inPhase(t, migration.Monolith)
	var groups []string
	for _, r := range a.Resources("AWS::ElasticLoadBalancingV2::TargetGroup") {
		got := object{}
		for name := range r.Properties {
			got[name] = property(t, a, r, name)
		}
		groups = append(groups, got["Name"].(string))
		delete(got, "Name")
		delete(got, "Tags")
		equal(t, r.String(), object{
			"Protocol": "HTTP", "Port": 80.0, "TargetType": "instance",
			"VpcId":           "dev-Network/" + resource(t, a, "dev-Network", "AWS::EC2::VPC").LogicalID,
			"HealthCheckPath": "/", "Matcher": object{"HttpCode": "200"},
			"HealthyThresholdCount": 2.0, "UnhealthyThresholdCount": 2.0,
			"HealthCheckTimeoutSeconds": 5.0, "HealthCheckIntervalSeconds": 6.0,
			"TargetGroupAttributes": []any{
				object{"Key": "deregistration_delay.timeout_seconds", "Value": "15"},
				object{"Key": "stickiness.enabled", "Value": "false"},
			},
		}, got)
	}
	slices.Sort(groups)
	equal(t, "target groups", slices.Sorted(slices.Values(append(names(deployment.Forum.All()), "drop-traffic"))), groups)
}

// In every phase each target group is attached to the listener: without that
// its ECS service could neither be created, nor updated, nor rolled back.
func TestEveryTargetGroupIsAttachedInEveryPhase(t *testing.T) {
	for _, phase := range migration.Phases() {
		a := synthApp(t, settings{"phase": phase.String()})
		attached := map[string]bool{}
		collect := func(actions any) {
			for _, action := range actions.([]any) {
				action := action.(object)
				if arn, ok := action["TargetGroupArn"].(string); ok {
					attached[arn] = true
				}
				if forward, ok := action["ForwardConfig"].(object); ok {
					for _, group := range forward["TargetGroups"].([]any) {
						attached[group.(object)["TargetGroupArn"].(string)] = true
					}
				}
			}
		}
		for _, r := range a.Resources("AWS::ElasticLoadBalancingV2::Listener") {
			collect(property(t, a, r, "DefaultActions"))
		}
		for _, r := range a.Resources("AWS::ElasticLoadBalancingV2::ListenerRule") {
			collect(property(t, a, r, "Actions"))
		}
		for _, r := range a.Resources("AWS::ElasticLoadBalancingV2::TargetGroup") {
			if !attached[r.String()] {
				t.Errorf("%s: %s is attached to nothing", phase, r)
			}
		}
	}
}

func TestInstances(t *testing.T) {
	a := inPhase(t, migration.Monolith)
	template := resource(t, a, "dev-Cluster", "AWS::EC2::LaunchTemplate").Properties["LaunchTemplateData"].(object)
	equal(t, "metadata", any(object{"HttpTokens": "required", "HttpPutResponseHopLimit": 1.0}), template["MetadataOptions"])
	equal(t, "disk", any([]any{object{"DeviceName": "/dev/xvda", "Ebs": object{"Encrypted": true, "VolumeSize": 30.0, "VolumeType": "gp3"}}}), template["BlockDeviceMappings"])
	equal(t, "type", any("t3.small"), template["InstanceType"])
	if script := fmt.Sprint(template["UserData"]); !strings.Contains(script, "\necho ECS_TASK_PIDS_LIMIT=256 >> /etc/ecs/ecs.config") {
		t.Errorf("the user data sets no limit of processes:\n%s", script)
	}
	if template["KeyName"] != nil {
		t.Errorf("the instances have an SSH key: %v", template["KeyName"])
	}
	image := a.Stack("dev-Cluster").Parameters[template["ImageId"].(object)["Ref"].(string)]
	equal(t, "image", assembly.Parameter{
		Type:    "AWS::SSM::Parameter::Value<AWS::EC2::Image::Id>",
		Default: "/aws/service/ecs/optimized-ami/amazon-linux-2023/recommended/image_id",
	}, image)

	group := resource(t, a, "dev-Cluster", "AWS::AutoScaling::AutoScalingGroup")
	equal(t, "least", any("2"), property(t, a, group, "MinSize"))
	equal(t, "most", any("4"), property(t, a, group, "MaxSize"))
	equal(t, "protection", any(true), property(t, a, group, "NewInstancesProtectedFromScaleIn"))
	if subnets := property(t, a, group, "VPCZoneIdentifier").([]any); len(subnets) != 2 {
		t.Errorf("instances in subnets %v, want 2", subnets)
	}

	provider := resource(t, a, "dev-Cluster", "AWS::ECS::CapacityProvider")
	equal(t, "capacity provider", any(object{
		"AutoScalingGroupArn":          group.String(),
		"ManagedScaling":               object{"Status": "ENABLED", "TargetCapacity": 100.0},
		"ManagedTerminationProtection": "ENABLED",
		"ManagedDraining":              "ENABLED",
	}), property(t, a, provider, "AutoScalingGroupProvider"))
	equal(t, "Container Insights", any([]any{object{"Name": "containerInsights", "Value": "enabled"}}),
		property(t, a, resource(t, a, "dev-Cluster", "AWS::ECS::Cluster"), "ClusterSettings"))
}

// Only the load balancer is open, and only it reaches the containers.
func TestOpenPorts(t *testing.T) {
	a := inPhase(t, migration.Monolith)
	var got []string
	for _, r := range a.Resources("AWS::EC2::SecurityGroup") {
		for _, rule := range listOf(property(t, a, r, "SecurityGroupIngress")) {
			got = append(got, fmt.Sprintf("%s from %v: %v-%v", r.LogicalID, rule["CidrIp"], rule["FromPort"], rule["ToPort"]))
		}
	}
	for _, r := range a.Resources("AWS::EC2::SecurityGroupIngress") {
		got = append(got, fmt.Sprintf("%v from %v: %v-%v", property(t, a, r, "GroupId"), property(t, a, r, "SourceSecurityGroupId"), property(t, a, r, "FromPort"), property(t, a, r, "ToPort")))
	}
	slices.Sort(got)
	equal(t, "open ports", []string{
		"LoadBalancerSecurityGroup3036A0FC from 0.0.0.0/0: 80-80",
		"dev-Network/InstanceSecurityGroup896E10BF.GroupId from dev-Network/LoadBalancerSecurityGroup3036A0FC.GroupId: 32768-65535",
	}, got)
}

func TestNetwork(t *testing.T) {
	a := inPhase(t, migration.Monolith)
	count := func(resourceType string) int { return len(a.Resources(resourceType)) }
	equal(t, "subnets", 4, count("AWS::EC2::Subnet"))
	equal(t, "NAT gateways", 1, count("AWS::EC2::NatGateway"))
	equal(t, "closed default security groups", 1, count("Custom::VpcRestrictDefaultSG"))
	equal(t, "flow logs", any("REJECT"), property(t, a, resource(t, a, "dev-Network", "AWS::EC2::FlowLog"), "TrafficType"))
	if endpoint := resource(t, a, "dev-Network", "AWS::EC2::VPCEndpoint"); property(t, a, endpoint, "VpcEndpointType") != "Gateway" {
		t.Errorf("%s is no gateway", endpoint)
	}
	for _, r := range a.Resources("AWS::EC2::Subnet") {
		if public := property(t, a, r, "MapPublicIpOnLaunch"); public != false {
			t.Errorf("%s gives out public addresses", r)
		}
	}
}

// The load balancer closes an idle connection before a service does, which keeps it for
// 75 s. Otherwise the load balancer would write to closed connections, and answer 502.
func TestIdleTimeout(t *testing.T) {
	equal(t, "load balancer", any("60"), attributes(t, inPhase(t, migration.Monolith))["idle_timeout.timeout_seconds"])
}

// Clients follow a switch at once: no action and no target group keeps a client where the client was.
func TestNothingIsSticky(t *testing.T) {
	assemblies := []*assembly.Assembly{synthApp(t, goldenContext(deployment.App, golden.Canary)), synthApp(t, production(migration.Parallel))}
	for _, phase := range migration.Phases() {
		assemblies = append(assemblies, synthApp(t, settings{"phase": phase.String()}))
	}
	for _, a := range assemblies {
		weighted := 0
		for _, r := range append(a.Resources("AWS::ElasticLoadBalancingV2::Listener"), a.Resources("AWS::ElasticLoadBalancingV2::ListenerRule")...) {
			for _, key := range []string{"DefaultActions", "Actions"} {
				for _, action := range listOf(r.Properties[key]) {
					if forward, ok := action["ForwardConfig"].(object); ok {
						weighted++
						equal(t, r.String()+" has only targets", []string{"TargetGroups"}, slices.Sorted(maps.Keys(forward)))
					}
				}
			}
		}
		if weighted == 0 {
			t.Errorf("%s has no weighted action", a.Dir)
		}
	}
}

// Everything that CloudFormation can tag tells its environment. The rest is part of something with a
// tag, or CDK's own.
func TestEnvironmentTags(t *testing.T) {
	untaggable := strings.Fields(`AWS::CloudWatch::Dashboard AWS::EC2::Route AWS::EC2::SecurityGroupEgress AWS::EC2::SecurityGroupIngress
		AWS::EC2::SubnetRouteTableAssociation AWS::EC2::VPCGatewayAttachment AWS::ECS::ClusterCapacityProviderAssociations
		AWS::EFS::MountTarget AWS::ElasticLoadBalancingV2::Listener AWS::ElasticLoadBalancingV2::ListenerRule AWS::IAM::InstanceProfile AWS::IAM::Policy
		AWS::Lambda::Function AWS::Logs::QueryDefinition AWS::S3::BucketPolicy AWS::SNS::TopicPolicy Custom::VpcRestrictDefaultSG`)
	for env, a := range map[string]*assembly.Assembly{"dev": synthApp(t, settings{}), "prod": synthApp(t, production(migration.Parallel))} {
		for _, stack := range a.Stacks {
			for _, r := range stack.Resources {
				if slices.Contains(untaggable, r.Type) || strings.Contains(r.LogicalID, "CustomResourceProvider") {
					continue
				}
				tags := listOf(r.Properties["Tags"])
				if of, ok := r.Properties["Tags"].(object); ok { // an SSM parameter's
					tags = []object{{"Key": "environment", "Value": of["environment"]}}
				}
				for _, name := range []string{"FileSystemTags", "AccessPointTags"} { // of EFS
					tags = append(tags, listOf(r.Properties[name])...)
				}
				for _, specification := range listOf(r.Properties["TagSpecifications"]) { // a launch template's
					tags = append(tags, listOf(specification["Tags"])...)
				}
				if !slices.ContainsFunc(tags, func(tag object) bool { return tag["Key"] == "environment" && tag["Value"] == env }) {
					t.Errorf("%s has no tag with the environment %s: %v", r, env, tags)
				}
			}
		}
	}
}

// What a service costs can be told apart: its resources, and through ECS its
// tasks, carry its name.
func TestCostTags(t *testing.T) {
	a := inPhase(t, migration.Monolith)
	tagged := func(r *assembly.Resource) string {
		for _, tag := range listOf(r.Properties["Tags"]) {
			if tag["Key"] == "service" {
				return tag["Value"].(string)
			}
		}
		return ""
	}
	for _, service := range names(deployment.Forum.All()) {
		for _, r := range a.Stack("dev-" + config.Pascal(service)).Resources {
			if got := tagged(r); r.Type != "AWS::IAM::Policy" && got != service {
				t.Errorf("%s is tagged %q, want %q", r, got, service)
			}
		}
		if group := targetGroup(t, a, service); tagged(group) != service {
			t.Errorf("%s is not tagged", group)
		}
	}
	for _, r := range a.Resources("AWS::ECR::Repository") {
		if tagged(r) != r.Properties["RepositoryName"] {
			t.Errorf("%s is tagged %q", r, tagged(r))
		}
	}
}

func targetGroup(t *testing.T, a *assembly.Assembly, name string) *assembly.Resource {
	t.Helper()
	for _, r := range a.Resources("AWS::ElasticLoadBalancingV2::TargetGroup") {
		if r.Properties["Name"] == name {
			return r
		}
	}
	t.Fatalf("there is no target group %s", name)
	return nil
}

func listOf(value any) []object {
	var list []object
	if values, ok := value.([]any); ok {
		for _, v := range values {
			list = append(list, v.(object))
		}
	}
	return list
}

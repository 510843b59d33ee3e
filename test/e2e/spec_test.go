package e2e

import (
	"encoding/json"
	"maps"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	ecrtypes "github.com/aws/aws-sdk-go-v2/service/ecr/types"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	ecstypes "github.com/aws/aws-sdk-go-v2/service/ecs/types"
	elb "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	elbtypes "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"
)

var serviceNames = []string{"api", "posts", "threads", "users"}

// unchanging checks what is the same in every phase.
func unchanging(t *testing.T, a *account) {
	for name, status := range a.stacks(t) {
		if !slices.Contains([]string{"CREATE_COMPLETE", "UPDATE_COMPLETE"}, status) {
			t.Errorf("stack %s: %s", name, status)
		}
	}
	if got := slices.Sorted(maps.Keys(a.stacks(t))); !slices.Equal(got, append([]string{"CDKToolkit"}, everyStack...)) {
		t.Errorf("stacks: %q", got)
	}
	t.Run("load balancer", func(t *testing.T) { loadBalancer(t, a) })
	t.Run("target groups", func(t *testing.T) { groups(t, a) })
	t.Run("repositories", func(t *testing.T) { repositories(t, a) })
	t.Run("cluster", func(t *testing.T) { cluster(t, a) })
	for _, s := range a.services(t) {
		t.Run("service "+*s.ServiceName, func(t *testing.T) { service(t, a, s) })
	}
}

// equal compares one value with its literal.
func equal[T comparable](t *testing.T, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s: %v, want %v", what, got, want)
	}
}

func loadBalancer(t *testing.T, a *account) {
	lbs := a.loadBalancers(t)
	if len(lbs) != 1 {
		t.Fatalf("load balancers: %d, want 1", len(lbs))
	}
	lb := lbs[0]
	equal(t, "type", lb.Type, elbtypes.LoadBalancerTypeEnumApplication)
	equal(t, "scheme", lb.Scheme, elbtypes.LoadBalancerSchemeEnumInternetFacing)
	equal(t, "zones", len(lb.AvailabilityZones), 2)
	out, err := a.elb.DescribeLoadBalancerAttributes(a.ctx, &elb.DescribeLoadBalancerAttributesInput{LoadBalancerArn: lb.LoadBalancerArn})
	attributes := map[string]string{}
	for _, x := range must(t, out, err).Attributes {
		attributes[*x.Key] = aws.ToString(x.Value)
	}
	equal(t, "invalid headers dropped", attributes["routing.http.drop_invalid_header_fields.enabled"], "true")
	equal(t, "desync mitigation", attributes["routing.http.desync_mitigation_mode"], "defensive")
}

func groups(t *testing.T, a *account) {
	var names []string
	for _, g := range a.targetGroups(t) {
		name := *g.TargetGroupName
		names = append(names, name)
		equal(t, name+" protocol", g.Protocol, elbtypes.ProtocolEnumHttp)
		equal(t, name+" port", *g.Port, 80)
		equal(t, name+" target type", g.TargetType, elbtypes.TargetTypeEnumInstance)
		equal(t, name+" healthy threshold", *g.HealthyThresholdCount, 2)
		equal(t, name+" unhealthy threshold", *g.UnhealthyThresholdCount, 2)
		equal(t, name+" timeout", *g.HealthCheckTimeoutSeconds, 5)
		equal(t, name+" interval", *g.HealthCheckIntervalSeconds, 6)
		if len(g.LoadBalancerArns) == 0 {
			t.Errorf("%s: no load balancer, so its service could not be created", name)
		}
		out, err := a.elb.DescribeTargetGroupAttributes(a.ctx, &elb.DescribeTargetGroupAttributesInput{TargetGroupArn: g.TargetGroupArn})
		for _, x := range must(t, out, err).Attributes {
			if *x.Key == "deregistration_delay.timeout_seconds" && name != "drop-traffic" {
				equal(t, name+" deregistration delay", *x.Value, "15")
			}
		}
		health, err := a.elb.DescribeTargetHealth(a.ctx, &elb.DescribeTargetHealthInput{TargetGroupArn: g.TargetGroupArn})
		if n := len(must(t, health, err).TargetHealthDescriptions); name == "drop-traffic" && n > 0 {
			t.Errorf("drop-traffic has %d targets, want none", n)
		}
	}
	slices.Sort(names)
	if want := []string{"api", "drop-traffic", "posts", "threads", "users"}; !slices.Equal(names, want) {
		t.Errorf("target groups %q, want %q", names, want)
	}
}

func repositories(t *testing.T, a *account) {
	out, err := a.ecr.DescribeRepositories(a.ctx, &ecr.DescribeRepositoriesInput{})
	var names []string
	for _, r := range must(t, out, err).Repositories {
		name := *r.RepositoryName
		if strings.HasPrefix(name, "cdk-hnb659fds-container-assets-") {
			images, err := a.ecr.ListImages(a.ctx, &ecr.ListImagesInput{RepositoryName: &name})
			equal(t, "images in the bootstrap's repository", len(must(t, images, err).ImageIds), 0)
			continue
		}
		names = append(names, name)
		equal(t, name+" tags", r.ImageTagMutability, ecrtypes.ImageTagMutabilityImmutable)
		equal(t, name+" scan on push", r.ImageScanningConfiguration.ScanOnPush, true)
		equal(t, name+" encryption", r.EncryptionConfiguration.EncryptionType, ecrtypes.EncryptionTypeAes256)

		images, err := a.ecr.ListImages(a.ctx, &ecr.ListImagesInput{RepositoryName: &name})
		ids := must(t, images, err).ImageIds
		if len(ids) != 1 || !strings.HasPrefix(aws.ToString(ids[0].ImageTag), "v1-") {
			t.Errorf("%s: images %v, want one with a tag that begins with v1-", name, ids)
		}
		lifecycle, err := a.ecr.GetLifecyclePolicy(a.ctx, &ecr.GetLifecyclePolicyInput{RepositoryName: &name})
		if text := *must(t, lifecycle, err).LifecyclePolicyText; strings.Contains(text, `"tagged"`) || strings.Contains(text, `"any"`) {
			t.Errorf("%s: the lifecycle could expire a tagged image: %s", name, text)
		}
		policy, err := a.ecr.GetRepositoryPolicy(a.ctx, &ecr.GetRepositoryPolicyInput{RepositoryName: &name})
		publisher(t, name, *must(t, policy, err).PolicyText)
	}
	if !slices.Equal(slices.Sorted(slices.Values(names)), serviceNames) {
		t.Errorf("repositories %q, want %q", names, serviceNames)
	}
}

// publisher checks that a repository's policy lets the bootstrap's image-publishing role push, and allows nothing else.
func publisher(t *testing.T, repository, text string) {
	t.Helper()
	if u, err := url.QueryUnescape(text); err == nil {
		text = u
	}
	var policy struct {
		Statement []struct {
			Effect    string
			Principal map[string]any
			Action    []string
		}
	}
	if err := json.Unmarshal([]byte(text), &policy); err != nil {
		t.Errorf("%s: policy %s: %v", repository, text, err)
		return
	}
	if len(policy.Statement) != 1 {
		t.Errorf("%s: policy has %d statements, want 1", repository, len(policy.Statement))
		return
	}
	s := policy.Statement[0]
	role := "arn:aws:iam::123456789012:role/cdk-hnb659fds-image-publishing-role-123456789012-us-east-1"
	if s.Effect != "Allow" || !reflect.DeepEqual(s.Principal, map[string]any{"AWS": role}) {
		t.Errorf("%s: policy says %s for %v, want Allow for %s alone", repository, s.Effect, s.Principal, role)
	}
	for _, action := range []string{"ecr:PutImage", "ecr:InitiateLayerUpload", "ecr:UploadLayerPart", "ecr:CompleteLayerUpload",
		"ecr:BatchCheckLayerAvailability", "ecr:DescribeImages", "ecr:DescribeRepositories"} {
		if !slices.Contains(s.Action, action) {
			t.Errorf("%s: policy does not allow %s", repository, action)
		}
	}
	for _, action := range s.Action {
		if strings.Contains(action, "*") || strings.Contains(action, "Delete") {
			t.Errorf("%s: policy allows %s", repository, action)
		}
	}
}

func cluster(t *testing.T, a *account) {
	out, err := a.ecs.DescribeClusters(a.ctx, &ecs.DescribeClustersInput{Clusters: []string{"dev"}, Include: []ecstypes.ClusterField{ecstypes.ClusterFieldSettings}})
	clusters := must(t, out, err).Clusters
	if len(clusters) != 1 {
		t.Fatalf("clusters named dev: %d, want 1", len(clusters))
	}
	insights := ""
	for _, s := range clusters[0].Settings {
		if s.Name == ecstypes.ClusterSettingNameContainerInsights {
			insights = *s.Value
		}
	}
	if insights != "enabled" && insights != "enhanced" {
		t.Errorf("Container Insights: %q, want enabled or enhanced", insights)
	}
	if len(clusters[0].CapacityProviders) != 1 {
		t.Fatalf("capacity providers %q, want one", clusters[0].CapacityProviders)
	}
	found, err := a.ecs.DescribeCapacityProviders(a.ctx, &ecs.DescribeCapacityProvidersInput{CapacityProviders: clusters[0].CapacityProviders})
	group := must(t, found, err).CapacityProviders[0].AutoScalingGroupProvider
	equal(t, "managed scaling", group.ManagedScaling.Status, ecstypes.ManagedScalingStatusEnabled)
	equal(t, "managed termination protection", group.ManagedTerminationProtection, ecstypes.ManagedTerminationProtectionEnabled)
	equal(t, "managed draining", group.ManagedDraining, ecstypes.ManagedDrainingEnabled)
}

// definition returns a service's task definition with its tags.
func (a *account) definition(t *testing.T, s ecstypes.Service) (*ecstypes.TaskDefinition, []ecstypes.Tag) {
	t.Helper()
	out, err := a.ecs.DescribeTaskDefinition(a.ctx, &ecs.DescribeTaskDefinitionInput{TaskDefinition: s.TaskDefinition,
		Include: []ecstypes.TaskDefinitionField{ecstypes.TaskDefinitionFieldTags}})
	must(t, out, err)
	return out.TaskDefinition, out.Tags
}

func service(t *testing.T, a *account, s ecstypes.Service) {
	name := *s.ServiceName
	equal(t, "status", *s.Status, "ACTIVE")
	equal(t, "minimum healthy percent", *s.DeploymentConfiguration.MinimumHealthyPercent, 100)
	equal(t, "maximum percent", *s.DeploymentConfiguration.MaximumPercent, 200)
	equal(t, "circuit breaker", s.DeploymentConfiguration.DeploymentCircuitBreaker.Enable, true)
	equal(t, "rollback", s.DeploymentConfiguration.DeploymentCircuitBreaker.Rollback, true)
	equal(t, "propagated tags", s.PropagateTags, ecstypes.PropagateTagsService)
	equal(t, "service tag", tagged(s.Tags), name)
	equal(t, "capacity providers", len(s.CapacityProviderStrategy), 1)
	placement := []ecstypes.PlacementStrategy{
		{Type: ecstypes.PlacementStrategyTypeSpread, Field: aws.String("attribute:ecs.availability-zone")},
		{Type: ecstypes.PlacementStrategyTypeBinpack, Field: aws.String("MEMORY")},
	}
	if !reflect.DeepEqual(s.PlacementStrategy, placement) {
		t.Errorf("placement: %v, want spread over zones, then binpack on memory", s.PlacementStrategy)
	}
	if len(s.LoadBalancers) != 1 {
		t.Fatalf("load balancers: %d, want 1", len(s.LoadBalancers))
	}
	equal(t, "container", *s.LoadBalancers[0].ContainerName, name)
	equal(t, "container port", *s.LoadBalancers[0].ContainerPort, 3000)
	for _, g := range a.targetGroups(t) {
		if *g.TargetGroupArn == *s.LoadBalancers[0].TargetGroupArn {
			equal(t, "target group", *g.TargetGroupName, name)
		}
	}

	d, tags := a.definition(t, s)
	equal(t, "family", *d.Family, name)
	equal(t, "revision", d.Revision, 1)
	equal(t, "network mode", d.NetworkMode, ecstypes.NetworkModeBridge)
	equal(t, "task definition's service tag", tagged(tags), name)
	if d.TaskRoleArn == nil || d.ExecutionRoleArn == nil || *d.TaskRoleArn == *d.ExecutionRoleArn {
		t.Error("a task role and an execution role of its own are missing")
	}
	if len(d.ContainerDefinitions) != 1 {
		t.Fatalf("containers: %d, want 1", len(d.ContainerDefinitions))
	}
	c := d.ContainerDefinitions[0]
	equal(t, "container name", *c.Name, name)
	equal(t, "cpu", c.Cpu, 256)
	equal(t, "memory reservation", *c.MemoryReservation, 256)
	equal(t, "hard memory limit", *c.Memory, 512)
	equal(t, "essential", *c.Essential, true)
	if want := []ecstypes.PortMapping{{ContainerPort: aws.Int32(3000), HostPort: aws.Int32(0), Protocol: ecstypes.TransportProtocolTcp}}; !reflect.DeepEqual(c.PortMappings, want) {
		t.Errorf("port mappings: %v, want container 3000 to host 0, tcp", c.PortMappings)
	}
	if user := aws.ToString(c.User); user == "" || strings.HasPrefix(user, "0") || strings.HasPrefix(user, "root") {
		t.Errorf("user %q, want a number other than 0", user)
	}
	equal(t, "read-only root file system", aws.ToBool(c.ReadonlyRootFilesystem), true)
	equal(t, "privileged", aws.ToBool(c.Privileged), false)
	if c.LinuxParameters == nil || c.LinuxParameters.Capabilities == nil || !slices.Equal(c.LinuxParameters.Capabilities.Drop, []string{"ALL"}) {
		t.Error("capabilities are not all dropped")
	}
	if !slices.Contains(c.DockerSecurityOptions, "no-new-privileges") {
		t.Errorf("security options %q, want no-new-privileges", c.DockerSecurityOptions)
	}
	equal(t, "stop timeout", *c.StopTimeout, 20)
	if want := []string{"CMD", "/" + name, "healthcheck"}; c.HealthCheck == nil || !slices.Equal(c.HealthCheck.Command, want) {
		t.Errorf("health check: %v, want %q", c.HealthCheck, want)
	}
	equal(t, "log driver", c.LogConfiguration.LogDriver, ecstypes.LogDriverAwslogs)
	equal(t, "log group", c.LogConfiguration.Options["awslogs-group"], "/ecs/"+name)
	if prefix := "123456789012.dkr.ecr.us-east-1.amazonaws.com/" + name + ":v1-"; !strings.HasPrefix(*c.Image, prefix) {
		t.Errorf("image %s, want one that begins with %s", *c.Image, prefix)
	}
}

func tagged(tags []ecstypes.Tag) string {
	for _, t := range tags {
		if *t.Key == "service" {
			return *t.Value
		}
	}
	return ""
}

// destroyed checks that only the bootstrap is left.
func destroyed(t *testing.T, a *account) {
	if got := slices.Sorted(maps.Keys(a.stacks(t))); !slices.Equal(got, []string{"CDKToolkit"}) {
		t.Errorf("stacks left: %q, want CDKToolkit alone", got)
	}
	if left := a.parameters(t, "/dev"); len(left) > 0 {
		t.Errorf("parameters left: %v", left)
	}
	equal(t, "load balancers left", len(a.loadBalancers(t)), 0)
	equal(t, "target groups left", len(a.targetGroups(t)), 0)
	// A deleted cluster is described as inactive for a while.
	clusters, err := a.ecs.DescribeClusters(a.ctx, &ecs.DescribeClustersInput{Clusters: []string{"dev"}})
	for _, c := range must(t, clusters, err).Clusters {
		equal(t, "status of the deleted cluster", *c.Status, "INACTIVE")
		equal(t, "services left in it", c.ActiveServicesCount, 0)
	}
	definitions, err := a.ecs.ListTaskDefinitions(a.ctx, &ecs.ListTaskDefinitionsInput{Status: ecstypes.TaskDefinitionStatusActive})
	equal(t, "active task definitions left", len(must(t, definitions, err).TaskDefinitionArns), 0)
	// In an environment other than production the repositories go with their images.
	repositories, err := a.ecr.DescribeRepositories(a.ctx, &ecr.DescribeRepositoriesInput{})
	for _, r := range must(t, repositories, err).Repositories {
		if !strings.HasPrefix(*r.RepositoryName, "cdk-hnb659fds-container-assets-") {
			t.Errorf("repository left: %s", *r.RepositoryName)
		}
	}
}

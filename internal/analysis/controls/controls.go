// Package controls says whether an assembly would meet controls of AWS Security Hub for load
// balancers, ECS on EC2, images and network, as far as a template can tell.
//
// A control is met only by resources that exist. A missing resource is a finding: it may
// have another type than the one that is looked for.
package controls

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"cutover/internal/assembly"
	"cutover/internal/model"
)

// Control is a control of AWS Security Hub.
type Control struct {
	// ID and Title are as Security Hub has them.
	ID, Title string

	check check
}

// URL is the address of the control's documentation.
func (c Control) URL() string {
	service, number, _ := strings.Cut(strings.ToLower(c.ID), ".")
	return fmt.Sprintf("https://docs.aws.amazon.com/securityhub/latest/userguide/%s-controls.html#%[1]s-%s", service, number)
}

// Check returns what does not meet the control, nothing if all does.
func (c Control) Check(m *model.Model) []Finding {
	r := &report{Model: m}
	c.check(r)
	if err := assembly.Join(r.unknown...); err != nil {
		r.findings = append(r.findings, Finding{Problem: "cannot be told from the template: " + err.Error()})
	}
	return r.findings
}

// Finding is one thing that does not meet a control.
type Finding struct {
	// Resource is "stack/logical id"; empty when a resource is missing.
	Resource string
	Problem  string
}

func (f Finding) String() string {
	if f.Resource == "" {
		return f.Problem
	}
	return f.Resource + " " + f.Problem
}

// check adds to a report what does not meet a control.
type check func(*report)

type report struct {
	*model.Model
	findings []Finding
	unknown  []error
}

// resource is any value of the model.
type resource interface {
	Key() string
	Problem(properties ...string) error
}

// find adds a finding unless the problem is "". It was looked for by these properties.
func (r *report) find(v resource, problem string, properties ...string) {
	if problem != "" {
		r.findings = append(r.findings, Finding{Resource: v.Key(), Problem: problem})
	}
	r.unknown = append(r.unknown, v.Problem(properties...))
}

// some returns the resources of a type. That there is none is a finding.
func some[T resource](r *report, resourceType string) []T {
	var found []T
	for _, one := range r.Assembly.Resources(resourceType) {
		if v, ok := r.Value(one).(T); ok {
			found = append(found, v)
		}
	}
	if len(found) == 0 {
		r.findings = append(r.findings, Finding{Problem: "there is no " + resourceType})
	}
	return found
}

// every makes the check of every resource of a type by a function, which looks at these properties.
func every[T resource](resourceType string, problem func(T) string, properties ...string) check {
	return func(r *report) {
		for _, v := range some[T](r, resourceType) {
			r.find(v, problem(v), properties...)
		}
	}
}

// unless returns the problem if the condition does not hold.
func unless(holds bool, problem string) string {
	if holds {
		return ""
	}
	return problem
}

// needs makes the function that returns the problem where the condition does not hold.
func needs[T any](condition func(T) bool, problem string) func(T) string {
	return func(v T) string { return unless(condition(v), problem) }
}

// All are the controls, by service and number.
var All = []Control{
	{"AutoScaling.2", "Amazon EC2 Auto Scaling group should cover multiple Availability Zones", every(model.EC2AutoScalingGroup, func(g *model.AutoScalingGroup) string {
		return oneZone(g.Subnets)
	}, "VPCZoneIdentifier")},
	{"AutoScaling.3", "Auto Scaling group launch configurations should configure EC2 instances to require Instance Metadata Service Version 2 (IMDSv2)", launched(requiresTokens, "MetadataOptions")},
	{"AutoScaling.5", "Amazon EC2 instances launched using Auto Scaling group launch configurations should not have Public IP addresses", launched(noPublicAddress, "NetworkInterfaces", "AssociatePublicIpAddress")},
	{"AutoScaling.6", "Auto Scaling groups should use multiple instance types in multiple Availability Zones", every(model.EC2AutoScalingGroup, func(g *model.AutoScalingGroup) string {
		if problem := oneZone(g.Subnets); problem != "" {
			return problem
		}
		return unless(len(slices.Compact(slices.Sorted(slices.Values(g.InstanceTypes)))) > 1, "has one instance type")
	}, "VPCZoneIdentifier", "MixedInstancesPolicy")},
	{"AutoScaling.9", "Amazon EC2 Auto Scaling groups should use Amazon EC2 launch templates",
		every(model.EC2AutoScalingGroup, needs(func(g *model.AutoScalingGroup) bool { return g.Launch != nil && g.Launch.Template() }, "uses no launch template"), "LaunchTemplate", "MixedInstancesPolicy")},
	{"EC2.2", "VPC default security groups should not allow inbound or outbound traffic",
		every(model.EC2VPC, needs(func(v *model.VPC) bool { return v.DefaultGroupClosed }, "keeps the rules of its default security group"))},
	{"EC2.6", "VPC flow logging should be enabled in all VPCs",
		every(model.EC2VPC, needs(func(v *model.VPC) bool { return v.FlowLog }, "has no flow log"))},
	{"EC2.8", "EC2 instances should use Instance Metadata Service Version 2 (IMDSv2)", launched(requiresTokens, "MetadataOptions")},
	{"EC2.9", "Amazon EC2 instances should not have a public IPv4 address", launched(noPublicAddress, "NetworkInterfaces", "AssociatePublicIpAddress")},
	{"EC2.18", "Security groups should only allow unrestricted incoming traffic for authorized ports", openPorts(func(port int) bool { return port != 80 && port != 443 })},
	{"EC2.19", "Security groups should not allow unrestricted access to ports with high risk", openPorts(highRisk)},
	{"EC2.170", "EC2 launch templates should use Instance Metadata Service Version 2 (IMDSv2)", every(model.EC2LaunchTemplate, requiresTokens, "LaunchTemplateData.MetadataOptions")},
	{"EC2.181", "EC2 launch templates should enable encryption for attached EBS volumes", every(model.EC2LaunchTemplate, encryptedVolumes, "LaunchTemplateData.BlockDeviceMappings")},
	{"ECR.1", "ECR private repositories should have image scanning configured",
		every(model.ECRRepository, needs(func(r *model.Repository) bool { return r.ScanOnPush }, "does not scan images"), "ImageScanningConfiguration")},
	{"ECR.2", "ECR private repositories should have tag immutability configured",
		every(model.ECRRepository, needs(func(r *model.Repository) bool { return r.Immutable }, "lets a tag move to another image"), "ImageTagMutability")},
	{"ECR.3", "ECR repositories should have at least one lifecycle policy configured",
		every(model.ECRRepository, needs(func(r *model.Repository) bool { return r.Lifecycle != "" }, "has no lifecycle policy"), "LifecyclePolicy")},
	{"ECS.2", "ECS services should not have public IP addresses assigned to them automatically",
		every(model.ECSService, needs(func(s *model.Service) bool { return !s.PublicAddresses }, "gives its tasks public addresses"), "NetworkConfiguration")},
	{"ECS.3", "ECS task definitions should not share the host's process namespace",
		every(model.ECSTaskDefinition, needs(func(d *model.TaskDefinition) bool { return d.PidMode != "host" }, "shares the instance's processes"), "PidMode")},
	{"ECS.4", "ECS containers should run as non-privileged",
		containers(needs(func(c model.Container) bool { return !c.Privileged }, "is privileged"), "Privileged")},
	{"ECS.5", "ECS task definitions should configure containers to be limited to read-only access to root filesystems",
		containers(needs(func(c model.Container) bool { return c.ReadonlyRootFilesystem }, "can write to its root file system"), "ReadonlyRootFilesystem")},
	{"ECS.8", "Secrets should not be passed as container environment variables", containers(noCredentials, "Environment")},
	{"ECS.9", "ECS task definitions should have a logging configuration",
		containers(needs(func(c model.Container) bool { return c.LogDriver != "" }, "has no log driver"), "LogConfiguration")},
	{"ECS.12", "ECS clusters should use Container Insights", every(model.ECSCluster, func(c *model.Cluster) string {
		switch c.ContainerInsights {
		case "":
			return "does not say whether it uses Container Insights"
		case "disabled":
			return "has Container Insights disabled"
		}
		return ""
	}, "ClusterSettings")},
	{"ECS.17", "ECS task definitions should not use host network mode",
		every(model.ECSTaskDefinition, needs(func(d *model.TaskDefinition) bool { return d.NetworkMode != "host" }, "uses the instance's network"), "NetworkMode")},
	{"ECS.19", "ECS capacity providers should have managed termination protection enabled",
		every(model.ECSCapacityProvider, needs(func(p *model.CapacityProvider) bool { return p.TerminationProtection }, "does not protect instances that have tasks"), "AutoScalingGroupProvider")},
	{"ECS.20", "ECS Task Definitions should configure non-root users in Linux container definitions", containers(func(c model.Container) string {
		user, _, _ := strings.Cut(c.User, ":")
		return unless(user != "root" && user != "0" && user != "", "runs as root")
	}, "User")},
	{"ELB.1", "Application Load Balancer should be configured to redirect all HTTP requests to HTTPS", redirected},
	{"ELB.4", "Application Load Balancer should be configured to drop invalid http headers",
		every(model.ELBLoadBalancer, needs(func(lb *model.LoadBalancer) bool { return lb.DropInvalidHeaders }, "passes invalid headers on"), attributes)},
	{"ELB.5", "Application and Classic Load Balancers logging should be enabled",
		every(model.ELBLoadBalancer, needs(func(lb *model.LoadBalancer) bool { return lb.AccessLogs }, "does not log requests"), attributes)},
	{"ELB.6", "Application, Gateway, and Network Load Balancers should have deletion protection enabled",
		every(model.ELBLoadBalancer, needs(func(lb *model.LoadBalancer) bool { return lb.DeletionProtection }, "is not protected from being deleted"), attributes)},
	{"ELB.12", "Application Load Balancer should be configured with defensive or strictest desync mitigation mode",
		every(model.ELBLoadBalancer, needs(func(lb *model.LoadBalancer) bool { return lb.DesyncMitigation != "monitor" }, "only monitors requests that a target may understand otherwise"), attributes)},
	{"ELB.13", "Application, Network and Gateway Load Balancers should span multiple Availability Zones", every(model.ELBLoadBalancer, func(lb *model.LoadBalancer) string {
		return oneZone(lb.Subnets)
	}, "Subnets", "SubnetMappings")},
	{"ELB.17", "Application and Network Load Balancers with listeners should use recommended security policies", recommendedPolicies},
}

// attributes are those of a load balancer.
const attributes = "LoadBalancerAttributes"

// containers makes the check of every container. The function looks at these members.
func containers(problem func(model.Container) string, members ...string) check {
	return func(r *report) {
		for _, d := range some[*model.TaskDefinition](r, model.ECSTaskDefinition) {
			if len(d.Containers) == 0 {
				r.findings = append(r.findings, Finding{d.Key(), "has no container"})
			}
			for _, c := range d.Containers {
				if text := problem(c); text != "" {
					r.findings = append(r.findings, Finding{d.Key(), fmt.Sprintf("container %s %s", c.Name, text)})
				}
			}
			r.unknown = append(r.unknown, d.ContainerProblem(members...))
		}
	}
}

// noCredentials looks for the names that Security Hub looks for.
func noCredentials(c model.Container) string {
	for _, variable := range c.Environment {
		switch variable.Name {
		case "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "ECS_ENGINE_AUTH_DATA":
			return "has credentials in " + variable.Name
		}
	}
	return ""
}

// redirected finds listeners without encryption that do not redirect to HTTPS by default.
func redirected(r *report) {
	for _, l := range some[*model.Listener](r, model.ELBListener) {
		to := l.Default.Action.Redirect
		r.find(l, unless(l.Protocol != "HTTP" || to != nil && to.Protocol == "HTTPS", "answers over plain HTTP"), "Protocol")
	}
}

// recommended are the policies that the documentation of ELB.17 lists.
var recommended = map[string]bool{
	"ELBSecurityPolicy-TLS13-1-3-2021-06":             true,
	"ELBSecurityPolicy-TLS13-1-3-FIPS-2023-04":        true,
	"ELBSecurityPolicy-TLS13-1-2-Res-2021-06":         true,
	"ELBSecurityPolicy-TLS13-1-2-Res-FIPS-2023-04":    true,
	"ELBSecurityPolicy-TLS13-1-2-Res-PQ-2025-09":      true,
	"ELBSecurityPolicy-TLS13-1-3-PQ-2025-09":          true,
	"ELBSecurityPolicy-TLS13-1-2-Res-FIPS-PQ-2025-09": true,
	"ELBSecurityPolicy-TLS13-1-3-FIPS-PQ-2025-09":     true,
}

// recommendedPolicies does not accept a deployment without encryption. Security Hub skips it.
func recommendedPolicies(r *report) {
	encrypted := false
	for _, l := range some[*model.Listener](r, model.ELBListener) {
		https := l.Protocol == "HTTPS"
		encrypted = encrypted || https
		r.find(l, unless(!https || recommended[l.SecurityPolicy], "has the policy "+cmp.Or(l.SecurityPolicy, "none")), "Protocol", "SslPolicy")
	}
	if !encrypted {
		r.findings = append(r.findings, Finding{Problem: "no listener has HTTPS"})
	}
}

// oneZone says so if the subnets are not in two zones at least.
func oneZone(subnets []*model.Subnet) string {
	zones := map[string]bool{}
	for _, subnet := range subnets {
		if subnet == nil {
			return "is in a subnet whose zone is not known"
		}
		zones[subnet.Zone] = true
	}
	return unless(len(zones) > 1, "is in one zone")
}

// launched checks these members of the launch template or configuration of every group. An instance
// outside a group is a finding: nothing is known about it.
func launched(problem func(*model.Launch) string, members ...string) check {
	return func(r *report) {
		for _, g := range some[*model.AutoScalingGroup](r, model.EC2AutoScalingGroup) {
			if g.Launch == nil {
				r.find(g, "does not say how instances are launched", "LaunchTemplate", "MixedInstancesPolicy", "LaunchConfigurationName")
				continue
			}
			var properties []string
			for _, member := range members {
				properties = append(properties, g.Launch.Property(member))
			}
			r.find(g.Launch, problem(g.Launch), properties...)
		}
		for _, instance := range r.Instances {
			r.find(instance, "is an instance of no Auto Scaling group")
		}
	}
}

func requiresTokens(l *model.Launch) string {
	return unless(l.TokensRequired, "allows version 1 of the metadata service")
}

func noPublicAddress(l *model.Launch) string {
	for _, public := range l.PublicAddresses {
		if public == nil {
			return "leaves it to the subnet whether instances have public addresses"
		}
		if *public {
			return "gives instances public addresses"
		}
	}
	return ""
}

func encryptedVolumes(l *model.Launch) string {
	if len(l.Volumes) == 0 {
		return "leaves its volumes to the image"
	}
	for _, volume := range l.Volumes {
		if !volume.Encrypted {
			return "does not encrypt " + volume.Device
		}
	}
	return ""
}

// highRisk are the ports that the documentation of EC2.19 lists.
func highRisk(port int) bool {
	switch port {
	case 20, 21, 22, 23, 25, 110, 135, 143, 445, 1433, 1434, 3000, 3306, 3389, 4333, 5000, 5432, 5500, 5601, 8080, 8088, 8888, 9200, 9300:
		return true
	}
	return false
}

// openPorts finds rules of security groups that let anybody reach a forbidden port.
func openPorts(forbidden func(port int) bool) check {
	return func(r *report) {
		for _, g := range some[*model.SecurityGroup](r, model.EC2SecurityGroup) {
			r.find(g, "", "SecurityGroupIngress")
		}
		for _, rule := range r.SecurityGroupRules {
			if !rule.Ingress {
				continue
			}
			problem := ""
			for port := rule.FromPort; port <= rule.ToPort && problem == "" && (rule.IPv4 == "0.0.0.0/0" || rule.IPv6 == "::/0"); port++ {
				if forbidden(port) {
					problem = fmt.Sprintf("lets anybody reach port %d", port)
				}
			}
			r.find(rule, problem, "CidrIp", "CidrIpv6", "IpProtocol", "FromPort", "ToPort")
		}
	}
}

// Package controls says whether what an assembly would deploy meets controls of
// AWS Security Hub. They are the ones that apply to load balancers, ECS on EC2
// instances, their images and their network, each as its documentation defines
// it, as far as a template can tell.
//
// A control is met only by resources that were looked at: where there is none,
// that is a finding, for it may as well have another name than the one expected.
package controls

import (
	"cmp"
	"fmt"
	"strings"

	"cutover/internal/assembly"
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
func (c Control) Check(a *assembly.Assembly) []Finding {
	r := &report{assembly: a, reader: assembly.NewReader(a)}
	c.check(r)
	if err := r.reader.Err(); err != nil {
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
	assembly *assembly.Assembly
	reader   *assembly.Reader
	findings []Finding
}

// find adds a finding unless the problem is "".
func (r *report) find(resource *assembly.Resource, problem string) {
	if problem != "" {
		r.findings = append(r.findings, Finding{Resource: resource.String(), Problem: problem})
	}
}

// each calls a function with the properties of every resource of a type. That
// there is none is a finding.
func (r *report) each(resourceType string, visit func(*assembly.Resource, assembly.Value)) {
	resources := r.reader.Existing(resourceType)
	if len(resources) == 0 {
		r.findings = append(r.findings, Finding{Problem: "there is no " + resourceType})
	}
	for _, resource := range resources {
		visit(resource, r.reader.Properties(resource))
	}
}

// every makes the check of every resource of a type by a function that returns
// its problem, "" if there is none.
func every(resourceType string, problem func(assembly.Value) string) check {
	return func(r *report) {
		r.each(resourceType, func(resource *assembly.Resource, p assembly.Value) { r.find(resource, problem(p)) })
	}
}

// unless returns the problem if the condition does not hold.
func unless(holds bool, problem string) string {
	if holds {
		return ""
	}
	return problem
}

// All are the controls, by service and number.
var All = []Control{
	{"AutoScaling.2", "Amazon EC2 Auto Scaling group should cover multiple Availability Zones", groupsInSeveralZones},
	{"AutoScaling.3", "Auto Scaling group launch configurations should configure EC2 instances to require Instance Metadata Service Version 2 (IMDSv2)", launched(requiresTokens)},
	{"AutoScaling.5", "Amazon EC2 instances launched using Auto Scaling group launch configurations should not have Public IP addresses", launched(noPublicAddress)},
	{"AutoScaling.6", "Auto Scaling groups should use multiple instance types in multiple Availability Zones", severalTypesInSeveralZones},
	{"AutoScaling.9", "Amazon EC2 Auto Scaling groups should use Amazon EC2 launch templates", every("AWS::AutoScaling::AutoScalingGroup", func(p assembly.Value) string {
		return unless(launchTemplate(p) != nil, "uses no launch template")
	})},
	{"EC2.2", "VPC default security groups should not allow inbound or outbound traffic", defaultGroupsClosed},
	{"EC2.6", "VPC flow logging should be enabled in all VPCs", flowLogs},
	{"EC2.8", "EC2 instances should use Instance Metadata Service Version 2 (IMDSv2)", launched(requiresTokens)},
	{"EC2.9", "Amazon EC2 instances should not have a public IPv4 address", launched(noPublicAddress)},
	{"EC2.18", "Security groups should only allow unrestricted incoming traffic for authorized ports", openPorts(func(port int) bool { return port != 80 && port != 443 })},
	{"EC2.19", "Security groups should not allow unrestricted access to ports with high risk", openPorts(highRisk)},
	{"EC2.170", "EC2 launch templates should use Instance Metadata Service Version 2 (IMDSv2)", every("AWS::EC2::LaunchTemplate", func(p assembly.Value) string {
		return requiresTokens(p.Field("LaunchTemplateData"))
	})},
	{"EC2.181", "EC2 launch templates should enable encryption for attached EBS volumes", every("AWS::EC2::LaunchTemplate", encryptedVolumes)},
	{"ECR.1", "ECR private repositories should have image scanning configured", every("AWS::ECR::Repository", func(p assembly.Value) string {
		return unless(p.Field("ImageScanningConfiguration").Field("ScanOnPush").Bool(false), "does not scan images")
	})},
	{"ECR.2", "ECR private repositories should have tag immutability configured", every("AWS::ECR::Repository", func(p assembly.Value) string {
		return unless(p.Field("ImageTagMutability").Text("MUTABLE") == "IMMUTABLE", "lets a tag move to another image")
	})},
	{"ECR.3", "ECR repositories should have at least one lifecycle policy configured", every("AWS::ECR::Repository", func(p assembly.Value) string {
		return unless(p.Field("LifecyclePolicy").Field("LifecyclePolicyText").Text("") != "", "has no lifecycle policy")
	})},
	{"ECS.2", "ECS services should not have public IP addresses assigned to them automatically", every("AWS::ECS::Service", func(p assembly.Value) string {
		address := p.Field("NetworkConfiguration").Field("AwsvpcConfiguration").Field("AssignPublicIp").Text("DISABLED")
		return unless(address == "DISABLED", "gives its tasks public addresses")
	})},
	{"ECS.3", "ECS task definitions should not share the host's process namespace", every("AWS::ECS::TaskDefinition", func(p assembly.Value) string {
		return unless(p.Field("PidMode").Text("") != "host", "shares the instance's processes")
	})},
	{"ECS.4", "ECS containers should run as non-privileged", containers(func(c assembly.Value) string {
		return unless(!c.Field("Privileged").Bool(false), "is privileged")
	})},
	{"ECS.5", "ECS task definitions should configure containers to be limited to read-only access to root filesystems", containers(func(c assembly.Value) string {
		return unless(c.Field("ReadonlyRootFilesystem").Bool(false), "can write to its root file system")
	})},
	{"ECS.8", "Secrets should not be passed as container environment variables", containers(noCredentials)},
	{"ECS.9", "ECS task definitions should have a logging configuration", containers(func(c assembly.Value) string {
		return unless(c.Field("LogConfiguration").Field("LogDriver").Text("") != "", "has no log driver")
	})},
	{"ECS.12", "ECS clusters should use Container Insights", every("AWS::ECS::Cluster", containerInsights)},
	{"ECS.17", "ECS task definitions should not use host network mode", every("AWS::ECS::TaskDefinition", func(p assembly.Value) string {
		return unless(p.Field("NetworkMode").Text("bridge") != "host", "uses the instance's network")
	})},
	{"ECS.19", "ECS capacity providers should have managed termination protection enabled", every("AWS::ECS::CapacityProvider", func(p assembly.Value) string {
		protection := p.Field("AutoScalingGroupProvider").Field("ManagedTerminationProtection").Text("DISABLED")
		return unless(protection == "ENABLED", "does not protect instances that have tasks")
	})},
	{"ECS.20", "ECS Task Definitions should configure non-root users in Linux container definitions", containers(func(c assembly.Value) string {
		user, _, _ := strings.Cut(c.Field("User").Text("root"), ":")
		return unless(user != "root" && user != "0" && user != "", "runs as root")
	})},
	{"ELB.1", "Application Load Balancer should be configured to redirect all HTTP requests to HTTPS", redirected},
	{"ELB.4", "Application Load Balancer should be configured to drop invalid http headers", attribute("routing.http.drop_invalid_header_fields.enabled", "true")},
	{"ELB.5", "Application and Classic Load Balancers logging should be enabled", attribute("access_logs.s3.enabled", "true")},
	{"ELB.6", "Application, Gateway, and Network Load Balancers should have deletion protection enabled", attribute("deletion_protection.enabled", "true")},
	{"ELB.12", "Application Load Balancer should be configured with defensive or strictest desync mitigation mode", attribute("routing.http.desync_mitigation_mode", "defensive", "strictest")},
	{"ELB.13", "Application, Network and Gateway Load Balancers should span multiple Availability Zones", balancersInSeveralZones},
	{"ELB.17", "Application and Network Load Balancers with listeners should use recommended security policies", recommendedPolicies},
}

// containers makes the check of every container of every task definition.
func containers(problem func(assembly.Value) string) check {
	return func(r *report) {
		r.each("AWS::ECS::TaskDefinition", func(resource *assembly.Resource, p assembly.Value) {
			list := p.Field("ContainerDefinitions").List()
			r.find(resource, unless(len(list) > 0, "has no container"))
			for _, container := range list {
				if text := problem(container); text != "" {
					r.find(resource, fmt.Sprintf("container %s %s", container.Field("Name").Text(""), text))
				}
			}
		})
	}
}

// noCredentials looks for the names that Security Hub looks for.
func noCredentials(container assembly.Value) string {
	for _, variable := range container.Field("Environment").List() {
		switch name := variable.Field("Name").Text(""); name {
		case "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "ECS_ENGINE_AUTH_DATA":
			return "has credentials in " + name
		}
	}
	return ""
}

func containerInsights(p assembly.Value) string {
	for _, setting := range p.Field("ClusterSettings").List() {
		if setting.Field("Name").Text("") == "containerInsights" {
			return unless(setting.Field("Value").Text("disabled") != "disabled", "has Container Insights disabled")
		}
	}
	return "does not say whether it uses Container Insights"
}

// attribute makes the check that an attribute of every load balancer has one of
// the values.
func attribute(key string, values ...string) check {
	return every("AWS::ElasticLoadBalancingV2::LoadBalancer", func(p assembly.Value) string {
		found := "not set"
		for _, attribute := range p.Field("LoadBalancerAttributes").List() {
			if attribute.Field("Key").Text("") == key {
				found = attribute.Field("Value").Text("")
			}
		}
		for _, value := range values {
			if found == value {
				return ""
			}
		}
		return fmt.Sprintf("has %s %s", key, found)
	})
}

// redirected wants the default action of every listener without encryption to be
// a redirection to HTTPS.
func redirected(r *report) {
	r.each("AWS::ElasticLoadBalancingV2::Listener", func(resource *assembly.Resource, p assembly.Value) {
		if p.Field("Protocol").Text("HTTP") != "HTTP" {
			return
		}
		for _, action := range p.Field("DefaultActions").List() {
			to := action.Field("RedirectConfig").Field("Protocol").Text("")
			r.find(resource, unless(action.Field("Type").Text("") == "redirect" && to == "HTTPS", "answers over plain HTTP"))
		}
	})
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

// recommendedPolicies takes a load balancer without encryption for one that does
// not meet the control, which Security Hub would not look at.
func recommendedPolicies(r *report) {
	encrypted := 0
	r.each("AWS::ElasticLoadBalancingV2::Listener", func(resource *assembly.Resource, p assembly.Value) {
		if p.Field("Protocol").Text("HTTP") != "HTTPS" {
			return
		}
		encrypted++
		policy := p.Field("SslPolicy").Text("none")
		r.find(resource, unless(recommended[policy], "has the policy "+policy))
	})
	if encrypted == 0 {
		r.findings = append(r.findings, Finding{Problem: "no listener has HTTPS"})
	}
}

func balancersInSeveralZones(r *report) {
	r.each("AWS::ElasticLoadBalancingV2::LoadBalancer", func(resource *assembly.Resource, p assembly.Value) {
		r.find(resource, oneZone(p.Field("Subnets")))
	})
}

func groupsInSeveralZones(r *report) {
	r.each("AWS::AutoScaling::AutoScalingGroup", func(resource *assembly.Resource, p assembly.Value) {
		r.find(resource, oneZone(p.Field("VPCZoneIdentifier")))
	})
}

func severalTypesInSeveralZones(r *report) {
	groupsInSeveralZones(r)
	r.each("AWS::AutoScaling::AutoScalingGroup", func(resource *assembly.Resource, p assembly.Value) {
		types := map[string]bool{}
		for _, override := range p.Field("MixedInstancesPolicy").Field("LaunchTemplate").Field("Overrides").List() {
			types[override.Field("InstanceType").Text("")] = true
		}
		r.find(resource, unless(len(types) > 1, "has one instance type"))
	})
}

// oneZone says so if the subnets of a list are not in two zones at least.
func oneZone(subnets assembly.Value) string {
	zones := map[string]bool{}
	for _, subnet := range subnets.List() {
		resource := subnet.Resource("AWS::EC2::Subnet", "SubnetId")
		if resource == nil {
			return "is in a subnet whose zone is not known"
		}
		// Which zone it is is known only at the deployment, and may be the call of a
		// function here.
		zones[fmt.Sprint(resource.Properties["AvailabilityZone"])] = true
	}
	return unless(len(zones) > 1, "is in one zone")
}

// launchTemplate returns the properties of an Auto Scaling group's launch
// template, nil if it has none.
func launchTemplate(group assembly.Value) *assembly.Resource {
	plain := group.Field("LaunchTemplate").Field("LaunchTemplateId")
	mixed := group.Field("MixedInstancesPolicy").Field("LaunchTemplate").Field("LaunchTemplateSpecification").Field("LaunchTemplateId")
	return cmp.Or(plain.Resource("AWS::EC2::LaunchTemplate", "LaunchTemplateId"), mixed.Resource("AWS::EC2::LaunchTemplate", "LaunchTemplateId"))
}

// launched makes the check of how the instances of every Auto Scaling group are
// launched, by a launch template or the older launch configuration. Instances
// outside of a group are a finding: nothing is known about them.
func launched(problem func(assembly.Value) string) check {
	return func(r *report) {
		r.each("AWS::AutoScaling::AutoScalingGroup", func(resource *assembly.Resource, p assembly.Value) {
			if template := launchTemplate(p); template != nil {
				r.find(template, problem(r.reader.Properties(template).Field("LaunchTemplateData")))
				return
			}
			if configuration := p.Field("LaunchConfigurationName").Resource("AWS::AutoScaling::LaunchConfiguration"); configuration != nil {
				r.find(configuration, problem(r.reader.Properties(configuration)))
				return
			}
			r.find(resource, "does not say how instances are launched")
		})
		for _, instance := range r.reader.Existing("AWS::EC2::Instance") {
			r.find(instance, "is an instance of no Auto Scaling group")
		}
	}
}

func requiresTokens(p assembly.Value) string {
	return unless(p.Field("MetadataOptions").Field("HttpTokens").Text("optional") == "required", "allows version 1 of the metadata service")
}

func noPublicAddress(p assembly.Value) string {
	addresses := []assembly.Value{p.Field("AssociatePublicIpAddress")} // of a launch configuration
	if interfaces := p.Field("NetworkInterfaces").List(); len(interfaces) > 0 {
		addresses = nil
		for _, i := range interfaces {
			addresses = append(addresses, i.Field("AssociatePublicIpAddress"))
		}
	}
	for _, address := range addresses {
		if !address.Present() {
			return "leaves it to the subnet whether instances have public addresses"
		}
		if address.Bool(true) {
			return "gives instances public addresses"
		}
	}
	return ""
}

func encryptedVolumes(p assembly.Value) string {
	volumes := p.Field("LaunchTemplateData").Field("BlockDeviceMappings").List()
	if len(volumes) == 0 {
		return "leaves its volumes to the image"
	}
	for _, volume := range volumes {
		if !volume.Field("Ebs").Field("Encrypted").Bool(false) {
			return fmt.Sprintf("does not encrypt %s", volume.Field("DeviceName").Text(""))
		}
	}
	return ""
}

// defaultGroupsClosed wants the custom resource by which CDK takes the rules of a
// VPC's default security group away.
func defaultGroupsClosed(r *report) {
	closed := map[*assembly.Resource]bool{}
	for _, resource := range r.reader.Existing("Custom::VpcRestrictDefaultSG") {
		closed[r.reader.Properties(resource).Field("DefaultSecurityGroupId").Resource("AWS::EC2::VPC", "DefaultSecurityGroup")] = true
	}
	r.each("AWS::EC2::VPC", func(resource *assembly.Resource, _ assembly.Value) {
		r.find(resource, unless(closed[resource], "keeps the rules of its default security group"))
	})
}

func flowLogs(r *report) {
	logged := map[*assembly.Resource]bool{}
	for _, resource := range r.reader.Existing("AWS::EC2::FlowLog") {
		logged[r.reader.Properties(resource).Field("ResourceId").Resource("AWS::EC2::VPC", "VpcId")] = true
	}
	r.each("AWS::EC2::VPC", func(resource *assembly.Resource, _ assembly.Value) {
		r.find(resource, unless(logged[resource], "has no flow log"))
	})
}

// highRisk are the ports that the documentation of EC2.19 lists.
func highRisk(port int) bool {
	switch port {
	case 20, 21, 22, 23, 25, 110, 135, 143, 445, 1433, 1434, 3000, 3306, 3389, 4333, 5000, 5432, 5500, 5601, 8080, 8088, 8888, 9200, 9300:
		return true
	}
	return false
}

// openPorts makes the check of the rules of security groups that let anybody in:
// they must not have such a port.
func openPorts(forbidden func(port int) bool) check {
	return func(r *report) {
		rule := func(resource *assembly.Resource, v assembly.Value) {
			if v.Field("CidrIp").Text("") != "0.0.0.0/0" && v.Field("CidrIpv6").Text("") != "::/0" {
				return
			}
			from, to := v.Field("FromPort").Int(0, -1, 65535), v.Field("ToPort").Int(65535, -1, 65535)
			if v.Field("IpProtocol").Text("-1") == "-1" {
				from, to = 0, 65535
			}
			for port := from; port <= to; port++ {
				if forbidden(port) {
					r.find(resource, fmt.Sprintf("lets anybody reach port %d", port))
					return
				}
			}
		}
		r.each("AWS::EC2::SecurityGroup", func(resource *assembly.Resource, p assembly.Value) {
			for _, v := range p.Field("SecurityGroupIngress").List() {
				rule(resource, v)
			}
		})
		for _, resource := range r.reader.Existing("AWS::EC2::SecurityGroupIngress") {
			rule(resource, r.reader.Properties(resource))
		}
	}
}

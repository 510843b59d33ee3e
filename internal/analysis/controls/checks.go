package controls

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"cutover/internal/assembly"
	"cutover/internal/model"
)

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

// credentials looks for variables with credentials. What their values are does not matter.
func credentials(r *report) {
	containers(noCredentials)(r)
	for _, d := range r.TaskDefinitions {
		for _, p := range d.Problems {
			if strings.Contains(p.Property, ".Environment") && !strings.Contains(p.Property, ".Value") {
				r.unknown = append(r.unknown, p.Err)
			}
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

var (
	encryptedFiles = needs(func(f *model.FileSystem) bool { return f.Encrypted }, "is not encrypted")
	backedUp       = needs(func(f *model.FileSystem) bool { return f.Backups }, "has no automatic backups")
)

// privateMountTargets finds mount targets in subnets that give out public addresses.
func privateMountTargets(r *report) {
	for _, target := range some[*model.MountTarget](r, model.EFSMountTarget) {
		r.find(target, publicSubnet(r, []*model.Subnet{target.Subnet}), "SubnetId")
	}
}

// publicSubnet says so if one of the subnets gives out public addresses.
func publicSubnet(r *report, subnets []*model.Subnet) string {
	for _, subnet := range subnets {
		if subnet == nil {
			return "is in a subnet that is not known"
		}
		reader := assembly.NewReader(r.Assembly, subnet.Resource)
		if reader.Properties().Field("MapPublicIpOnLaunch").Bool(false) {
			return "is in a subnet that gives out public addresses"
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

// administration are the ports that the documentation of EC2.53 and EC2.54 names.
func administration(port int) bool { return port == 22 || port == 3389 }

// protectedStacks finds stacks that CloudFormation would delete.
func protectedStacks(r *report) {
	for _, stack := range r.Assembly.Stacks {
		if !stack.TerminationProtection {
			r.findings = append(r.findings, Finding{stack.Name, "has no termination protection"})
		}
	}
}

// addressesInUse finds elastic addresses that no NAT gateway has.
func addressesInUse(r *report) {
	used := map[string]bool{}
	for _, gateway := range r.Assembly.Resources(model.EC2NatGateway) {
		used[text(assembly.NewReader(r.Assembly, gateway).Properties().Field("AllocationId").Evaluated())] = true
	}
	for _, address := range r.resources(model.EC2EIP) {
		if !used[address.String()+".AllocationId"] {
			r.findings = append(r.findings, Finding{address.String(), "belongs to no NAT gateway"})
		}
	}
}

// text writes a value down. References are "stack/logical id.attribute".
func text(value any) string { return fmt.Sprint(value) }

// untagged says so if the properties have no tag.
func untagged(p assembly.Value) string {
	tags := p.Field("Tags")
	return unless(len(tags.List()) > 0, "has no tag")
}

// tags reports whether the specifications of a launch template have a tag for a kind of resource.
func tags(specifications assembly.Value, kind string) bool {
	return slices.ContainsFunc(specifications.List(), func(v assembly.Value) bool {
		return v.Field("ResourceType").Text("") == kind && len(v.Field("Tags").List()) > 0
	})
}

// launchesUntagged makes the function that finds launch templates without a tag for a kind of resource.
func launchesUntagged(kind string) func(assembly.Value) string {
	return needs(func(p assembly.Value) bool {
		return tags(p.Field("LaunchTemplateData").Field("TagSpecifications"), kind)
	}, "gives each "+kind+" no tag")
}

func isRoot(c model.Container) bool {
	user, _, _ := strings.Cut(c.User, ":")
	return strings.Trim(user, "0") == "" || user == "root"
}

// hostRoot finds containers in the instance's network that run as root and are not privileged: the
// control leaves privileged ones to ECS.4.
func hostRoot(r *report) {
	for _, d := range some[*model.TaskDefinition](r, model.ECSTaskDefinition) {
		problem := ""
		if d.NetworkMode == "host" && slices.ContainsFunc(d.Containers, func(c model.Container) bool { return !c.Privileged && isRoot(c) }) {
			problem = "has a root container in the instance's network"
		}
		r.find(d, problem, "NetworkMode")
		r.unknown = append(r.unknown, d.ContainerProblem("User", "Privileged"))
	}
}

// latestPlatform finds services on Fargate with another platform version than the latest one. The
// documentation of ECS.10 names the versions beside LATEST.
func latestPlatform(r *report) {
	for _, s := range some[*model.Service](r, model.ECSService) {
		on, err := r.Fargate(s)
		problem := ""
		if on != nil && on.PlatformVersion != "LATEST" && on.PlatformVersion != map[bool]string{false: "1.4.0", true: "1.0.0"}[on.Windows] {
			problem = "uses version " + on.PlatformVersion + " of Fargate's platform"
		}
		r.find(s, problem, "LaunchType")
		r.unknown = append(r.unknown, err)
	}
}

// decryptsAll says whether an action decrypts with every key: the documentation of KMS.1 and KMS.2 names
// kms:Decrypt and kms:ReEncryptFrom.
func decryptsAll(action, on string) bool {
	switch strings.ToLower(action) {
	case "*", "kms:*", "kms:decrypt", "kms:reencryptfrom", "kms:reencrypt*":
		return on == "*"
	}
	return false
}

// statement is a statement of a policy as the template has it. A member that is no text depends on
// what a deployment makes: it names something of this account.
type statement struct {
	effect, actions, resources, principals []string
	fixed                                  bool // a condition holds it to fixed accounts or sources
}

func statements(document any) []statement {
	of, _ := document.(map[string]any)
	var all []statement
	for _, one := range listOf(of["Statement"]) {
		s, _ := one.(map[string]any)
		principals := s["Principal"]
		if kinds, ok := principals.(map[string]any); ok {
			principals = kinds["AWS"]
		}
		if s["NotPrincipal"] != nil { // everybody else
			principals = "*"
		}
		all = append(all, statement{texts(s["Effect"]), texts(s["Action"]), texts(s["Resource"]), texts(principals), fixed(s["Condition"])})
	}
	return all
}

// fixed says whether a condition holds a statement to accounts or sources without a wildcard. Such a policy is not public
// (https://docs.aws.amazon.com/config/latest/developerguide/kms-key-policy-no-public-access.html).
func fixed(condition any) bool {
	operators, _ := condition.(map[string]any)
	for operator, keys := range operators {
		of, _ := keys.(map[string]any)
		for key, values := range of {
			if slices.Contains([]string{"StringEquals", "ArnEquals", "ArnLike"}, operator) &&
				slices.Contains([]string{"kms:calleraccount", "aws:principalaccount", "aws:sourceaccount", "aws:sourcearn"}, strings.ToLower(key)) &&
				!slices.ContainsFunc(texts(values), func(value string) bool { return strings.ContainsAny(value, "*?$") }) {
				return true
			}
		}
	}
	return false
}

// listOf returns the elements of a list, or the value where IAM takes one alone.
func listOf(value any) []any {
	if list, ok := value.([]any); ok {
		return list
	}
	return []any{value}
}

// texts are the members that are texts.
func texts(value any) []string {
	var found []string
	for _, one := range listOf(value) {
		if s, ok := one.(string); ok {
			found = append(found, s)
		}
	}
	return found
}

func (s statement) allows() bool { return slices.Contains(s.effect, "Allow") }

// grants makes the check that no role is allowed what is forbidden, on a resource.
func grants(forbidden func(action, on string) bool, problem string) check {
	return func(r *report) {
		look := func(resource *assembly.Resource, document any) {
			for _, s := range statements(document) {
				for _, action := range s.actions {
					if s.allows() && slices.ContainsFunc(append(s.resources, "another"), func(on string) bool { return forbidden(action, on) }) {
						r.findings = append(r.findings, Finding{resource.String(), problem})
						return
					}
				}
			}
		}
		for _, role := range r.resources(model.IAMRole) {
			for _, policy := range listOf(role.Properties["Policies"]) {
				if of, ok := policy.(map[string]any); ok {
					look(role, of["PolicyDocument"])
				}
			}
		}
		for _, policy := range append(r.Assembly.Resources(model.IAMPolicy), r.Assembly.Resources(model.IAMManagedPolicy)...) {
			look(policy, policy.Properties["PolicyDocument"])
		}
	}
}

// notPublic makes the check that policies let in neither everybody nor another account, by a text, unless a condition says from where.
// Each resource of the type needs a policy, in this property.
func notPublic(resourceType, policyType, property string) check {
	return func(r *report) {
		all, policies := r.resources(resourceType), r.Assembly.Resources(policyType)
		for _, policy := range policies {
			for _, s := range statements(policy.Properties[property]) {
				if s.allows() && len(s.principals) > 0 && !s.fixed {
					r.findings = append(r.findings, Finding{policy.String(), "lets in " + s.principals[0]})
				}
			}
		}
		if missing := len(all) - len(policies); missing > 0 {
			r.findings = append(r.findings, Finding{Problem: fmt.Sprintf("%d of type %s have no policy", missing, resourceType)})
		}
	}
}

func noLifecycle(p assembly.Value) string {
	return unless(len(p.Field("LifecycleConfiguration").Field("Rules").List()) > 0, "has no lifecycle")
}

// runtimes are those of Node.js and Python that the documentation of Lambda.2 lists, and the one without a language that Lambda
// supports until June 2029, which the control does not look at
// (https://docs.aws.amazon.com/lambda/latest/dg/runtimes-provided.html).
var runtimes = []string{"nodejs20.x", "nodejs22.x", "nodejs24.x", "python3.10", "python3.11", "python3.12", "python3.13", "python3.14", "provided.al2023"}

// buckets makes the check of every bucket.
func buckets(problem func(r *report, bucket *assembly.Resource, p assembly.Value) string) check {
	return func(r *report) {
		for _, bucket := range r.resources(model.S3Bucket) {
			reader := assembly.NewReader(r.Assembly, bucket)
			if text := problem(r, bucket, reader.Properties()); text != "" {
				r.findings = append(r.findings, Finding{bucket.String(), text})
			}
			for _, p := range reader.Problems() {
				r.unknown = append(r.unknown, p.Err)
			}
		}
	}
}

// takesDistributionLogs says whether a distribution logs to a bucket.
// https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/standard-logging-legacy-s3.html
func takesDistributionLogs(r *report, bucket *assembly.Resource) bool {
	return slices.ContainsFunc(r.Distributions, func(d *model.Distribution) bool {
		logging := assembly.NewReader(r.Assembly, d.Resource).Properties().Field("DistributionConfig").Field("Logging")
		return logging.Field("Bucket").Elsewhere(model.S3Bucket, "RegionalDomainName", "DomainName") == bucket
	})
}

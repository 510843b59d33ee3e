package controls

import (
	"slices"
	"strings"

	"cutover/internal/assembly"
	"cutover/internal/model"
)

// All are the controls for the resource types of the templates, and for what these resources make
// beside them: instances with their volumes and interfaces, and the network ACL of a VPC. They are in
// the order of Security Hub's services and numbers
// (https://docs.aws.amazon.com/securityhub/latest/userguide/securityhub-controls-reference.html, as of
// 2026). Controls that ask an account are left out: no template answers them.
var All = slices.Concat(apiGateway, autoScaling, cloudFormation, cloudFront, cloudWatch, ourOwn, dynamoDB, ec2, ecr, ecs, efs, elb, iam, kms, lambda, mq, rds, s3, secretsManager, sns, sqs, ssm, waf)

// met is a control that the default profile meets.
func met(id, resourceType, title string, check check) Control {
	return Control{ID: id, Title: title, Type: resourceType, check: check}
}

// set is a control that a setting makes the deployment meet.
func set(id, resourceType, title, setting, reason string, check check) Control {
	return Control{ID: id, Title: title, Type: resourceType, Setting: setting, Reason: reason, check: check}
}

// optional is a control that the default profile meets, for what not every deployment has.
func optional(of, id, resourceType, title string, check check) Control {
	return Control{ID: id, Title: title, Type: resourceType, Optional: of, check: check}
}

// argued is a control for which there is a reason.
func argued(id, resourceType, title, reason string) Control {
	return Control{ID: id, Title: title, Type: resourceType, Reason: reason}
}

// tagged is the control that asks for any tag.
func tagged(id, resourceType string) Control {
	return met(id, resourceType, "has a tag", plain(resourceType, untagged))
}

// When a deployment has what a control is about.
const (
	volumes   = "a service has volumes"
	images    = "a service has an image that is built here"
	aTable    = "a service has a table"
	aDatabase = "a service has a database"
	anAPI     = "API Gateway is before the load balancer"
	aPage     = "the page is on"
	anACL     = "a web ACL is on"
	aTopic    = "alarms or events are on"
	aQueue    = "a service consumes, works or publishes from a table"
	aBroker   = "a service uses a message broker"
	aFront    = "a front is before the load balancer"
)

// Reasons that several controls have.
const (
	noEndpoint  = "not met: instances reach AWS through the NAT gateway, encrypted; interface endpoints are paid by the hour, each in each zone"
	noIncidents = "does not apply: nothing here calls Incident Manager"
	noAlarms    = "by default there is no alarm"
	noBucket    = "by default there is no bucket of access logs"
	cleartext   = "not met: HTTP between the load balancer and the tasks is cleartext; it stays in the VPC, between two security groups; TLS would need a certificate in each container, and its renewal"
	replaced    = "does not apply: instances are not patched but replaced, by the newest machine image"
	ownFunction = "not met: CDK's own functions, which run only when the network or the page is deployed"
)

var autoScaling = []Control{
	argued("AutoScaling.1", model.EC2AutoScalingGroup, "uses the health checks of its load balancer", "does not apply: ECS registers tasks at the load balancer, so the group has none"),
	met("AutoScaling.2", model.EC2AutoScalingGroup, "is in several zones", every(model.EC2AutoScalingGroup, func(g *model.AutoScalingGroup) string {
		return oneZone(g.Subnets)
	}, "VPCZoneIdentifier")),
	met("AutoScaling.3", model.EC2LaunchConfiguration, "launches instances with version 2 of the metadata service", launched(requiresTokens, "MetadataOptions")),
	met("AutoScaling.5", model.EC2LaunchConfiguration, "launches instances without public addresses", launched(noPublicAddress, "NetworkInterfaces", "AssociatePublicIpAddress")),
	met("AutoScaling.6", model.EC2AutoScalingGroup, "uses several instance types in several zones", every(model.EC2AutoScalingGroup, func(g *model.AutoScalingGroup) string {
		if problem := oneZone(g.Subnets); problem != "" {
			return problem
		}
		return unless(len(slices.Compact(slices.Sorted(slices.Values(g.InstanceTypes)))) > 1, "has one instance type")
	}, "VPCZoneIdentifier", "MixedInstancesPolicy")),
	met("AutoScaling.9", model.EC2AutoScalingGroup, "uses a launch template",
		every(model.EC2AutoScalingGroup, needs(func(g *model.AutoScalingGroup) bool { return g.Launch != nil && g.Launch.Template() }, "uses no launch template"), "LaunchTemplate", "MixedInstancesPolicy")),
	tagged("AutoScaling.10", model.EC2AutoScalingGroup),
}

var cloudFormation = []Control{
	argued("CloudFormation.2", model.CloudFormationStack, "has a tag", "not met: the resources have the tags, and a stack costs nothing that a tag would tell apart"),
	set("CloudFormation.3", model.CloudFormationStack, "has termination protection", "deletionProtection", "an environment for trying things has to go away without a detour", protectedStacks),
	argued("CloudFormation.4", model.CloudFormationStack, "is deployed with a service role", "met by CDK: the command line hands over the role of the bootstrap"),
}

var cloudWatch = []Control{
	set("CloudWatch.15", model.CloudWatchAlarm, "tells somebody when it goes off", "alarms", noAlarms,
		plain(model.CloudWatchAlarm, needs(func(p assembly.Value) bool { return len(p.Field("AlarmActions").List()) > 0 }, "tells nobody"))),
	set("CloudWatch.16", model.LogGroup, "keeps logs for a year", "logRetentionDays", "a month is enough to look back in an environment for trying things",
		plain(model.LogGroup, needs(func(p assembly.Value) bool {
			days := p.Field("RetentionInDays").Int(0, 0, 1<<20)
			return days == 0 || days >= 365 // without a number the logs stay for ever
		}, "keeps logs for less than a year"))),
	set("CloudWatch.17", model.CloudWatchAlarm, "has its actions enabled", "alarms", noAlarms,
		plain(model.CloudWatchAlarm, needs(func(p assembly.Value) bool { return p.Field("ActionsEnabled").Bool(true) }, "has its actions disabled"))),
	argued("cloudwatch-log-group-encrypted", model.LogGroup, "is encrypted with a key of one's own", "not met: CloudWatch Logs encrypts with AWS's key; the logs hold no secret, and each service would need a grant for the key"),
}

var ec2 = []Control{
	met("EC2.2", model.EC2SecurityGroup, "has no rules if it is the default one of a VPC",
		every(model.EC2VPC, needs(func(v *model.VPC) bool { return v.DefaultGroupClosed }, "keeps the rules of its default security group"))),
	met("EC2.3", model.EC2Volume, "is encrypted", every(model.EC2LaunchTemplate, encryptedVolumes, "LaunchTemplateData.BlockDeviceMappings")),
	argued("EC2.4", model.EC2Instance, "is removed when it is stopped for long", "met by the group: it replaces an instance that stops"),
	met("EC2.6", model.EC2VPC, "logs its traffic",
		every(model.EC2VPC, needs(func(v *model.VPC) bool { return v.FlowLog }, "has no flow log"))),
	met("EC2.8", model.EC2Instance, "uses version 2 of the metadata service", launched(requiresTokens, "MetadataOptions")),
	met("EC2.9", model.EC2Instance, "has no public address", launched(noPublicAddress, "NetworkInterfaces", "AssociatePublicIpAddress")),
	argued("EC2.10", model.EC2VPC, "has an interface endpoint for Amazon EC2", noEndpoint),
	met("EC2.12", model.EC2EIP, "is in use", addressesInUse),
	met("EC2.13", model.EC2SecurityGroup, "does not open port 22 to everybody", openPorts(func(port int) bool { return port == 22 })),
	met("EC2.14", model.EC2SecurityGroup, "does not open port 3389 to everybody", openPorts(func(port int) bool { return port == 3389 })),
	met("EC2.15", model.EC2Subnet, "gives out no public addresses",
		plain(model.EC2Subnet, needs(func(p assembly.Value) bool { return !p.Field("MapPublicIpOnLaunch").Bool(false) }, "gives out public addresses"))),
	argued("EC2.16", model.EC2NetworkACL, "is in use", "met: the only network ACL is the VPC's default one, which all subnets use"),
	met("EC2.17", model.EC2Instance, "has one network interface", launched(func(l *model.Launch) string {
		return unless(len(l.PublicAddresses) == 1, "gives instances several network interfaces")
	}, "NetworkInterfaces")),
	met("EC2.18", model.EC2SecurityGroup, "opens only ports 80 and 443 to everybody", openPorts(func(port int) bool { return port != 80 && port != 443 })),
	met("EC2.19", model.EC2SecurityGroup, "opens no port with a high risk to everybody", openPorts(highRisk)),
	argued("EC2.21", model.EC2NetworkACL, "does not let everybody in to ports 22 and 3389", "not met: the default network ACL lets all in; the security groups decide, and neither opens these ports"),
	argued("EC2.22", model.EC2SecurityGroup, "is in use", "met while the stacks exist: one is the load balancers', one the instances', one the tasks' of each service on Fargate, and one the VPC link's"),
	argued("EC2.24", model.EC2Instance, "is not paravirtual", "met by the machine image, which is made for hardware virtualization"),
	met("EC2.25", model.EC2LaunchTemplate, "gives instances no public addresses", every(model.EC2LaunchTemplate, noPublicAddress, "LaunchTemplateData.NetworkInterfaces")),
	argued("EC2.28", model.EC2Volume, "has backups", "does not apply: instances and containers keep no data"),
	argued("EC2.35", model.EC2Interface, "has a tag", "not met: the load balancer, the NAT gateway and the instances make their interfaces themselves"),
	tagged("EC2.37", model.EC2EIP),
	met("EC2.38", model.EC2Instance, "has a tag", plain(model.EC2LaunchTemplate, launchesUntagged("instance"))),
	tagged("EC2.39", model.EC2InternetGateway),
	tagged("EC2.40", model.EC2NatGateway),
	argued("EC2.41", model.EC2NetworkACL, "has a tag", "not met: CloudFormation cannot tag the VPC's default network ACL"),
	tagged("EC2.42", model.EC2RouteTable),
	tagged("EC2.43", model.EC2SecurityGroup),
	tagged("EC2.44", model.EC2Subnet),
	met("EC2.45", model.EC2Volume, "has a tag", plain(model.EC2LaunchTemplate, launchesUntagged("volume"))),
	tagged("EC2.46", model.EC2VPC),
	tagged("EC2.48", model.EC2FlowLog),
	met("EC2.53", model.EC2SecurityGroup, "opens no port of remote administration to all IPv4 addresses", openPorts(administration)),
	met("EC2.54", model.EC2SecurityGroup, "opens no port of remote administration to all IPv6 addresses", openPorts(administration)),
	argued("EC2.55", model.EC2VPC, "has an interface endpoint for ECR's API", noEndpoint),
	argued("EC2.56", model.EC2VPC, "has an interface endpoint for Docker's registry", noEndpoint+"; the layers of images come through S3's gateway endpoint"),
	argued("EC2.57", model.EC2VPC, "has an interface endpoint for Systems Manager", noEndpoint),
	argued("EC2.58", model.EC2VPC, "has an interface endpoint for Incident Manager's contacts", noIncidents),
	argued("EC2.60", model.EC2VPC, "has an interface endpoint for Incident Manager", noIncidents),
	met("EC2.170", model.EC2LaunchTemplate, "requires version 2 of the metadata service", every(model.EC2LaunchTemplate, requiresTokens, "LaunchTemplateData.MetadataOptions")),
	met("EC2.175", model.EC2LaunchTemplate, "has a tag", plain(model.EC2LaunchTemplate, needs(func(p assembly.Value) bool { return tags(p.Field("TagSpecifications"), "launch-template") }, "has no tag"))),
	argued("EC2.180", model.EC2Interface, "checks the source and destination of packets", "met: AWS's default, which no template changes; a NAT gateway's interface is AWS's"),
	met("EC2.181", model.EC2LaunchTemplate, "encrypts volumes", every(model.EC2LaunchTemplate, encryptedVolumes, "LaunchTemplateData.BlockDeviceMappings")),
}

var ecr = []Control{
	optional(images, "ECR.1", model.ECRRepository, "scans images",
		every(model.ECRRepository, needs(func(r *model.Repository) bool { return r.ScanOnPush }, "does not scan images"), "ImageScanningConfiguration")),
	optional(images, "ECR.2", model.ECRRepository, "does not let tags move",
		every(model.ECRRepository, needs(func(r *model.Repository) bool { return r.Immutable }, "lets a tag move to another image"), "ImageTagMutability")),
	optional(images, "ECR.3", model.ECRRepository, "has a lifecycle policy",
		every(model.ECRRepository, needs(func(r *model.Repository) bool { return r.Lifecycle != "" }, "has no lifecycle policy"), "LifecyclePolicy")),
	argued("ECR.5", model.ECRRepository, "is encrypted with a key of one's own", "not met: ECR encrypts with AWS's key; images hold no secret, and another key later would replace the repository"),
}

var ecs = []Control{
	met("ECS.1", model.ECSTaskDefinition, "has no root container in the instance's network", hostRoot),
	met("ECS.2", model.ECSService, "gives tasks no public addresses",
		every(model.ECSService, needs(func(s *model.Service) bool { return !s.PublicAddresses }, "gives its tasks public addresses"), "NetworkConfiguration")),
	met("ECS.3", model.ECSTaskDefinition, "does not share the instance's processes",
		every(model.ECSTaskDefinition, needs(func(d *model.TaskDefinition) bool { return d.PidMode != "host" }, "shares the instance's processes"), "PidMode")),
	met("ECS.4", model.ECSTaskDefinition, "has no privileged container",
		containers(needs(func(c model.Container) bool { return !c.Privileged }, "is privileged"), "Privileged")),
	met("ECS.5", model.ECSTaskDefinition, "has a root file system that nobody can write to",
		containers(needs(func(c model.Container) bool { return c.ReadonlyRootFilesystem }, "can write to its root file system"), "ReadonlyRootFilesystem")),
	met("ECS.8", model.ECSTaskDefinition, "has no credentials in variables", credentials),
	met("ECS.9", model.ECSTaskDefinition, "logs",
		containers(needs(func(c model.Container) bool { return c.LogDriver != "" }, "has no log driver"), "LogConfiguration")),
	met("ECS.10", model.ECSService, "uses the latest platform version of Fargate, if any", latestPlatform),
	met("ECS.12", model.ECSCluster, "uses Container Insights", every(model.ECSCluster, func(c *model.Cluster) string {
		switch c.ContainerInsights {
		case "":
			return "does not say whether it uses Container Insights"
		case "disabled":
			return "has Container Insights disabled"
		}
		return ""
	}, "ClusterSettings")),
	tagged("ECS.13", model.ECSService),
	tagged("ECS.14", model.ECSCluster),
	tagged("ECS.15", model.ECSTaskDefinition),
	met("ECS.17", model.ECSTaskDefinition, "does not use the instance's network",
		every(model.ECSTaskDefinition, needs(func(d *model.TaskDefinition) bool { return d.NetworkMode != "host" }, "uses the instance's network"), "NetworkMode")),
	met("ECS.18", model.ECSTaskDefinition, "encrypts what goes to EFS volumes, if any", plain(model.ECSTaskDefinition, func(p assembly.Value) string {
		return unless(!slices.ContainsFunc(p.Field("Volumes").List(), func(v assembly.Value) bool {
			efs := v.Field("EFSVolumeConfiguration")
			return efs.Present() && efs.Field("TransitEncryption").Text("DISABLED") != "ENABLED"
		}), "has an EFS volume without encryption on the way")
	})),
	met("ECS.19", model.ECSCapacityProvider, "protects instances that have tasks",
		every(model.ECSCapacityProvider, needs(func(p *model.CapacityProvider) bool { return p.TerminationProtection }, "does not protect instances that have tasks"), "AutoScalingGroupProvider")),
	met("ECS.20", model.ECSTaskDefinition, "does not run as root", containers(needs(func(c model.Container) bool { return !isRoot(c) }, "runs as root"), "User")),
	met("ECS.21", model.ECSTaskDefinition, "does not run as an administrator of Windows", containers(func(c model.Container) string {
		return unless(c.User != "" && !strings.EqualFold(c.User, "containeradministrator"), "may run as an administrator of Windows")
	}, "User")),
}

// efs are the controls of volumes (https://docs.aws.amazon.com/securityhub/latest/userguide/efs-controls.html).
var efs = []Control{
	optional(volumes, "EFS.1", model.EFSFileSystem, "is encrypted with a key of KMS", every(model.EFSFileSystem, encryptedFiles, "Encrypted")),
	optional(volumes, "EFS.2", model.EFSFileSystem, "is in a backup plan", every(model.EFSFileSystem, backedUp, "BackupPolicy")),
	optional(volumes, "EFS.3", model.EFSAccessPoint, "has a root directory of its own",
		every(model.EFSAccessPoint, needs(func(a *model.AccessPoint) bool { return a.Directory != "/" }, "shows the whole file system"), "RootDirectory")),
	optional(volumes, "EFS.4", model.EFSAccessPoint, "decides the user",
		every(model.EFSAccessPoint, needs(func(a *model.AccessPoint) bool { return a.User != "" }, "lets clients choose their user"), "PosixUser")),
	optional(volumes, "EFS.5", model.EFSAccessPoint, "has a tag",
		plain(model.EFSAccessPoint, needs(func(p assembly.Value) bool { return len(p.Field("AccessPointTags").List()) > 0 }, "has no tag"))),
	optional(volumes, "EFS.6", model.EFSFileSystem, "is mounted from no subnet that gives out public addresses", privateMountTargets),
	optional(volumes, "EFS.7", model.EFSFileSystem, "has automatic backups", every(model.EFSFileSystem, backedUp, "BackupPolicy")),
	optional(volumes, "EFS.8", model.EFSFileSystem, "is encrypted", every(model.EFSFileSystem, encryptedFiles, "Encrypted")),
}

var elb = []Control{
	set("ELB.1", model.ELBLoadBalancer, "redirects HTTP to HTTPS", "certificateArn", "HTTPS needs a certificate, and so a domain name, which a new deployment does not have", redirected),
	met("ELB.4", model.ELBLoadBalancer, "drops invalid headers",
		every(model.ELBLoadBalancer, needs(func(lb *model.LoadBalancer) bool { return lb.DropInvalidHeaders }, "passes invalid headers on"), attributes)),
	set("ELB.5", model.ELBLoadBalancer, "logs requests", "accessLogs", "the services log every request themselves; the load balancer's own lines need a bucket and its storage",
		every(model.ELBLoadBalancer, needs(func(lb *model.LoadBalancer) bool { return lb.AccessLogs }, "does not log requests"), attributes)),
	set("ELB.6", model.ELBLoadBalancer, "is protected from being deleted", "deletionProtection", "an environment for trying things has to go away without a detour",
		every(model.ELBLoadBalancer, needs(func(lb *model.LoadBalancer) bool { return lb.DeletionProtection }, "is not protected from being deleted"), attributes)),
	met("ELB.12", model.ELBLoadBalancer, "mitigates desync",
		every(model.ELBLoadBalancer, needs(func(lb *model.LoadBalancer) bool { return lb.DesyncMitigation != "monitor" }, "only monitors requests that a target may understand otherwise"), attributes)),
	met("ELB.13", model.ELBLoadBalancer, "is in several zones", every(model.ELBLoadBalancer, func(lb *model.LoadBalancer) string {
		return oneZone(lb.Subnets)
	}, "Subnets", "SubnetMappings")),
	argued("ELB.16", model.ELBLoadBalancer, "has a web ACL of AWS WAF", "not met: what to block depends on the app, and a web ACL is paid by its rules and requests; associate yours with the load balancer"),
	set("ELB.17", model.ELBListener, "has a recommended TLS policy", "certificateArn", "as ELB.1: there is no HTTPS whose policy could be looked at", recommendedPolicies),
	argued("ELB.18", model.ELBListener, "uses HTTPS", "not met: with a certificate HTTP stays on port 80, and only redirects; without one HTTP answers"),
	argued("ELB.21", model.ELBTargetGroup, "checks health by HTTPS", cleartext),
	argued("ELB.22", model.ELBTargetGroup, "uses HTTPS", cleartext),
}

var iam = []Control{
	met("IAM.1", model.IAMPolicy, "does not allow all actions", grants(func(action, on string) bool { return action == "*" && on == "*" }, "allows all actions")),
	met("IAM.21", model.IAMPolicy, "does not allow all actions of a service", grants(func(action, _ string) bool { return strings.HasSuffix(action, ":*") }, "allows all actions of a service")),
	argued("IAM.24", model.IAMRole, "has a tag", "not met: CDK's own function has a role without a tag; every other role has one"),
	met("IAM.27", model.IAMRole, "does not have AWSCloudShellFullAccess", func(r *report) {
		for _, role := range r.resources(model.IAMRole) {
			if strings.Contains(text(role.Properties["ManagedPolicyArns"]), "AWSCloudShellFullAccess") {
				r.findings = append(r.findings, Finding{role.String(), "has AWSCloudShellFullAccess"})
			}
		}
	}),
}

var kms = []Control{
	met("KMS.1", model.IAMPolicy, "does not allow to decrypt with all keys", grants(decryptsAll, "allows to decrypt with all keys")),
	met("KMS.2", model.IAMRole, "does not allow to decrypt with all keys, in an inline policy", grants(decryptsAll, "allows to decrypt with all keys")),
	argued("KMS.3", model.KMSKey, "is not deleted by mistake", "met: a key goes only with its stack, that of events not even then unless `dataProtection` is off"),
	optional(aTopic, "KMS.4", model.KMSKey, "is rotated",
		plain(model.KMSKey, needs(func(p assembly.Value) bool { return p.Field("EnableKeyRotation").Bool(false) }, "is not rotated"))),
	optional(aTopic, "KMS.5", model.KMSKey, "is not public", notPublic(model.KMSKey, model.KMSKey, "KeyPolicy")),
}

var lambda = []Control{
	met("Lambda.1", model.LambdaFunction, "may not be called by the public", func(r *report) {
		r.resources(model.LambdaFunction)
		for _, permission := range r.FunctionPermissions {
			// Without a source, a load balancer or an API of any account may call it.
			if !permission.ByLoadBalancers() && !permission.By(model.APIGateway) || permission.Unlimited() {
				r.findings = append(r.findings, Finding{permission.Resource.String(), "lets somebody call a function"})
			}
		}
	}),
	met("Lambda.2", model.LambdaFunction, "has a supported runtime", plain(model.LambdaFunction, func(p assembly.Value) string {
		runtime := p.Field("Runtime").Text("")
		// The control passes over images.
		return unless(slices.Contains(runtimes, runtime) || p.Field("PackageType").Text("") == "Image", "has the runtime "+runtime)
	})),
	argued("Lambda.3", model.LambdaFunction, "is in a VPC", "not met: a service's function calls only public endpoints, and needs no way into the VPC; CDK's own functions call the APIs of Amazon EC2 and S3"),
	argued("Lambda.5", model.LambdaFunction, "is in several zones, if in a VPC", "does not apply: no function is in a VPC"),
	argued("Lambda.6", model.LambdaFunction, "has a tag", ownFunction+"; a service's function has tags"),
	argued("Lambda.7", model.LambdaFunction, "is traced by X-Ray", ownFunction+"; a service's function traces by OpenTelemetry if it is set up, as a task does"),
}

var s3 = []Control{
	argued("S3.1", model.S3Bucket, "is blocked for the public by its account", "does not apply: it asks the account; each bucket blocks public access itself (S3.8)"),
	set("S3.2", model.S3Bucket, "cannot be read by the public", "accessLogs", noBucket, notPublic(model.S3Bucket, model.S3BucketPolicy, "PolicyDocument")),
	set("S3.3", model.S3Bucket, "cannot be written by the public", "accessLogs", noBucket, notPublic(model.S3Bucket, model.S3BucketPolicy, "PolicyDocument")),
	set("S3.5", model.S3Bucket, "refuses requests without TLS", "accessLogs", noBucket, plain(model.S3BucketPolicy, func(p assembly.Value) string {
		for _, s := range p.Field("PolicyDocument").Field("Statement").List() {
			if s.Field("Effect").Text("") == "Deny" && s.Field("Condition").Field("Bool").Field("aws:SecureTransport").Text("") == "false" {
				return ""
			}
		}
		return "lets in requests without TLS"
	})),
	set("S3.6", model.S3Bucket, "is closed to other accounts", "accessLogs", noBucket, notPublic(model.S3Bucket, model.S3BucketPolicy, "PolicyDocument")),
	argued("S3.7", model.S3Bucket, "is copied to another region", "not met: the lines of requests are not worth their storage twice, and the page comes from this repository"),
	set("S3.8", model.S3Bucket, "blocks public access", "accessLogs", noBucket, plain(model.S3Bucket, func(p assembly.Value) string {
		block := p.Field("PublicAccessBlockConfiguration")
		for _, name := range []string{"BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets"} {
			if !block.Field(name).Bool(false) {
				return "does not have " + name
			}
		}
		return ""
	})),
	argued("S3.9", model.S3Bucket, "logs requests to it", "not met: a bucket of access logs is written by their delivery alone, and logs of that would call for logs in turn; the page's bucket is read by CloudFront alone, which logs requests"),
	set("S3.10", model.S3Bucket, "has a lifecycle if it keeps versions", "accessLogs", noBucket, plain(model.S3Bucket, func(p assembly.Value) string {
		return unless(p.Field("VersioningConfiguration").Field("Status").Text("") != "Enabled" || noLifecycle(p) == "", "has no lifecycle")
	})),
	argued("S3.11", model.S3Bucket, "tells of events", "not met: each event would be a new line of the access log, or a file of the page while it is deployed"),
	set("S3.12", model.S3Bucket, "uses no access control lists, unless CloudFront logs to it, which needs one", "accessLogs", noBucket, buckets(func(r *report, bucket *assembly.Resource, p assembly.Value) string {
		rules := p.Field("OwnershipControls").Field("Rules").List()
		return unless(len(rules) == 1 && rules[0].Field("ObjectOwnership").Text("") == "BucketOwnerEnforced" || takesDistributionLogs(r, bucket), "lets access control lists decide")
	})),
	set("S3.13", model.S3Bucket, "has a lifecycle, unless it has the page, whose versions stay for the way back", "accessLogs", noBucket, buckets(func(r *report, bucket *assembly.Resource, p assembly.Value) string {
		files := slices.ContainsFunc(r.BucketFiles, func(f *model.BucketFiles) bool { return f.Bucket != nil && f.Bucket.Resource == bucket })
		return unless(files || noLifecycle(p) == "", "has no lifecycle")
	})),
	argued("S3.14", model.S3Bucket, "keeps versions", "not met: no object is written twice, and nobody but the delivery of logs and the deployment of the page may write; a version of the page has a directory of its own"),
	argued("S3.15", model.S3Bucket, "locks its objects", "not met: the lines go after their time; a lock is for evidence that even the owner must not delete"),
	argued("S3.17", model.S3Bucket, "is encrypted with a key of KMS", "not met: load balancers write access logs only to buckets with S3's own keys, and the page is public"),
	argued("S3.20", model.S3Bucket, "needs MFA for deletions", "does not apply: this needs versions (S3.14)"),
}

// sns are the controls of topics, of alarms and of events (https://docs.aws.amazon.com/securityhub/latest/userguide/sns-controls.html). SNS.2 is
// retired.
var sns = []Control{
	optional(aTopic, "SNS.1", model.SNSTopic, "is encrypted with a key of KMS",
		plain(model.SNSTopic, needs(func(p assembly.Value) bool { return p.Field("KmsMasterKeyId").Present() }, "has no key"))),
	optional(aTopic, "SNS.3", model.SNSTopic, "has a tag", plain(model.SNSTopic, untagged)),
	optional(aTopic, "SNS.4", model.SNSTopic, "is not public", notPublic(model.SNSTopic, model.SNSTopicPolicy, "PolicyDocument")),
}

// sqs are the controls of queues (https://docs.aws.amazon.com/securityhub/latest/userguide/sqs-controls.html).
var sqs = []Control{
	optional(aQueue, "SQS.1", model.SQSQueue, "is encrypted",
		every(model.SQSQueue, needs(func(q *model.Queue) bool { return q.KeyID != "" || q.Managed }, "is not encrypted"), "KmsMasterKeyId", "SqsManagedSseEnabled")),
	optional(aQueue, "SQS.2", model.SQSQueue, "has a tag", plain(model.SQSQueue, untagged)),
	optional(aQueue, "SQS.3", model.SQSQueue, "is not public", notPublic(model.SQSQueue, model.SQSQueuePolicy, "PolicyDocument")),
}

var ssm = []Control{
	argued("SSM.1", model.EC2Instance, "is managed by Systems Manager", "met: the machine image has the agent, and the instances' role lets it register"),
	argued("SSM.2", model.EC2Instance, "has its patches", replaced),
	argued("SSM.3", model.EC2Instance, "follows its associations", replaced+"; there is no association"),
}

package stacks_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslogs"
	"github.com/aws/jsii-runtime-go"

	"cutover/config"
	"cutover/deployment"
	"cutover/internal/assembly"
	"cutover/internal/nightly"
	"cutover/migration"
	"cutover/stacks"
)

// Each setting, in terms of what it changes in the templates.

// Settings that do not touch each other are in one map. One synthesis shows them all.
var (
	several = settings{"arch": "arm64", "@aws-cdk/core:bootstrapQualifier": "forum1234", "dashboard": "off"}
	sizes   = settings{
		"zones": 3.0, "natGateways": "3", "minInstances": "3", "maxInstances": "6", "instanceType": "m7i.large,m7a.large", "logRetentionDays": "365",
		"removalPolicy": "retain",
	}
	guarded = settings{"certificateArn": certificate, "accessLogs": "on", "deletionProtection": "on"}
	alarmed = settings{"alarms": "on", "phase": "retired"}
)

func TestCertificate(t *testing.T) {
	a := synth(t, guarded)
	var https *assembly.Resource
	for _, listener := range a.Resources("AWS::ElasticLoadBalancingV2::Listener") {
		switch listener.Properties["Port"] {
		case 80.0:
			equal(t, "port 80", any([]any{object{"Type": "redirect", "RedirectConfig": object{"Protocol": "HTTPS", "Port": "443", "StatusCode": "HTTP_301"}}}),
				listener.Properties["DefaultActions"])
		case 443.0:
			https = listener
			equal(t, "certificates", any([]any{object{"CertificateArn": certificate}}), listener.Properties["Certificates"])
			equal(t, "policy", any("ELBSecurityPolicy-TLS13-1-2-Res-PQ-2025-09"), listener.Properties["SslPolicy"])
			equal(t, "attributes", any([]any{object{"Key": "routing.http.response.strict_transport_security.header_value", "Value": "max-age=31536000"}}),
				listener.Properties["ListenerAttributes"])
		}
	}
	if https == nil {
		t.Fatal("there is no listener on port 443")
	}
	for _, rule := range a.Resources("AWS::ElasticLoadBalancingV2::ListenerRule") {
		equal(t, rule.String(), any(https.String()), property(t, a, rule, "ListenerArn"))
	}
	group := a.Stack("dev-Network").Resource("LoadBalancerSecurityGroup3036A0FC")
	var ports []any
	for _, rule := range listOf(group.Properties["SecurityGroupIngress"]) {
		ports = append(ports, rule["FromPort"])
	}
	equal(t, "open ports", []any{80.0, 443.0}, ports)
	if url := fmt.Sprint(a.Stack("dev-Routing").Outputs["Url"].Value); !strings.Contains(url, "https://") {
		t.Errorf("Url is %s", url)
	}
}

func TestArm64(t *testing.T) {
	a := synth(t, several)
	for _, service := range names(deployment.Forum.All()) {
		equal(t, service, "linux/arm64", a.Stack("dev-" + config.Pascal(service)).Images[0].Platform)
	}
	template := resource(t, a, "dev-Cluster", "AWS::EC2::LaunchTemplate").Properties["LaunchTemplateData"].(object)
	equal(t, "type", any("t4g.small"), template["InstanceType"])
	equal(t, "image", any("/aws/service/ecs/optimized-ami/amazon-linux-2023/arm64/recommended/image_id"),
		a.Stack("dev-Cluster").Parameters[template["ImageId"].(object)["Ref"].(string)].Default)
}

func TestSizes(t *testing.T) {
	a := synth(t, sizes)
	equal(t, "subnets", 6, len(a.Resources("AWS::EC2::Subnet")))
	equal(t, "NAT gateways", 3, len(a.Resources("AWS::EC2::NatGateway")))
	group := resource(t, a, "dev-Cluster", "AWS::AutoScaling::AutoScalingGroup")
	equal(t, "least", group.Properties["MinSize"], any("3"))
	equal(t, "most", group.Properties["MaxSize"], any("6"))
	equal(t, "zones of the instances", 3, len(group.Properties["VPCZoneIdentifier"].([]any)))
	template := resource(t, a, "dev-Cluster", "AWS::EC2::LaunchTemplate").Properties["LaunchTemplateData"].(object)
	equal(t, "type", any("m7i.large"), template["InstanceType"])
	equal(t, "types, the preferred one first", any(object{
		"InstancesDistribution": object{"OnDemandAllocationStrategy": "prioritized"},
		"LaunchTemplate": object{
			"LaunchTemplateSpecification": object{
				"LaunchTemplateId": "dev-Cluster/LaunchTemplate04EC5460", "Version": "dev-Cluster/LaunchTemplate04EC5460.LatestVersionNumber",
			},
			"Overrides": []any{object{"InstanceType": "m7i.large"}, object{"InstanceType": "m7a.large"}},
		},
	}), property(t, a, group, "MixedInstancesPolicy"))
	for _, log := range a.Resources("AWS::Logs::LogGroup") {
		equal(t, log.String(), log.Properties["RetentionInDays"], any(365.0))
	}
}

// TestWhatDestroyLeaves pins what stays when every stack is destroyed: what is
// paid for by the amount that is stored, and nothing that is paid for by the hour.
func TestWhatDestroyLeaves(t *testing.T) {
	kept := []string{
		fmt.Sprint(len(deployment.Forum.All()), " AWS::ECR::Repository"),  // images that may be deployed elsewhere or again
		fmt.Sprint(len(deployment.Forum.All())+1, " AWS::Logs::LogGroup"), // of the services, and of the network's flow logs
	}
	bucket := []string{"1 AWS::S3::Bucket"} // access logs, which always stay
	for _, test := range []struct {
		change settings
		want   []string
	}{
		{settings{}, nil},
		{sizes, kept},
		{guarded, bucket},
		{settings{"env": "prod"}, slices.Concat(kept, bucket)},
	} {
		count := map[string]int{}
		a := synth(t, test.change)
		for _, stack := range a.Stacks {
			for _, r := range stack.Resources {
				if r.DeletionPolicy != "" && r.DeletionPolicy != "Delete" {
					count[r.Type]++
				}
			}
		}
		var got []string
		for resourceType, n := range count {
			got = append(got, fmt.Sprint(n, " ", resourceType))
		}
		slices.SortFunc(got, func(a, b string) int { return strings.Compare(a[strings.Index(a, " "):], b[strings.Index(b, " "):]) })
		equal(t, fmt.Sprint(test.change), test.want, got)
	}
}

func TestRemovalPolicy(t *testing.T) {
	for _, test := range []struct {
		change  settings
		policy  string
		emptied any
	}{
		{settings{}, "Delete", true},
		{sizes, "Retain", nil},
		{settings{"env": "prod"}, "Retain", nil},
		{settings{"env": "prod", "removalPolicy": "destroy"}, "Delete", true},
	} {
		a := synth(t, test.change)
		for _, r := range append(a.Resources("AWS::ECR::Repository"), a.Resources("AWS::Logs::LogGroup")...) {
			equal(t, fmt.Sprint(test.change, r), test.policy, r.DeletionPolicy)
		}
		for _, r := range a.Resources("AWS::ECR::Repository") {
			// Left out, the repository has to be empty before it can be deleted.
			if got := r.Properties["EmptyOnDelete"]; got != test.emptied && (got != false || test.emptied != nil) {
				t.Errorf("%v: %s is emptied: %v", test.change, r, got)
			}
		}
	}
}

// attributes are those of the load balancer.
func attributes(t *testing.T, a *assembly.Assembly) object {
	t.Helper()
	attributes := object{}
	for _, attribute := range property(t, a, a.Resources("AWS::ElasticLoadBalancingV2::LoadBalancer")[0], "LoadBalancerAttributes").([]any) {
		attributes[attribute.(object)["Key"].(string)] = attribute.(object)["Value"]
	}
	return attributes
}

// The setting protects the load balancer and all stacks.
func TestDeletionProtection(t *testing.T) {
	for _, test := range []struct {
		change settings
		want   bool
	}{{settings{}, false}, {guarded, true}, {production(migration.Parallel), true}} {
		a := synth(t, test.change)
		equal(t, fmt.Sprint(test.change), any(fmt.Sprint(test.want)), attributes(t, a)["deletion_protection.enabled"])
		for _, stack := range a.Stacks {
			equal(t, fmt.Sprint(test.change, " ", stack.Name), test.want, stack.TerminationProtection)
		}
	}
}

// The periods that the settings allow are those of which the template knows the number.
func TestLogRetention(t *testing.T) {
	stack := awscdk.NewStack(awscdk.NewApp(nil), jsii.String("Logs"), nil)
	known := stacks.RetentionDays()
	for days := 1; days <= 4000; days++ {
		if !nightly.Runs() && !slices.ContainsFunc(known, func(one int) bool { return days-1 <= one && one <= days+1 }) {
			continue
		}
		_, s, err := config.Load(deployment.Forum, settings{"logRetentionDays": float64(days)}, func(string) string { return "" })
		equal(t, fmt.Sprintf("%d days are allowed", days), slices.Contains(known, days), err == nil)
		if err == nil {
			group := stacks.NewLogGroup(stack, fmt.Sprint("For", days), s, nil)
			equal(t, fmt.Sprintf("%d days", days), float64(days), *group.Node().DefaultChild().(awslogs.CfnLogGroup).RetentionInDays())
		}
	}
}

// The log delivery writes access logs to their bucket, below the account's own
// prefix, and nobody else writes to it.
func TestAccessLogs(t *testing.T) {
	if buckets := synth(t, settings{}).Resources("AWS::S3::Bucket"); len(buckets) > 0 {
		t.Errorf("by default there is a bucket: %v", buckets)
	}
	a := synth(t, guarded)
	bucket := resource(t, a, "dev-Routing", "AWS::S3::Bucket")
	equal(t, "enabled", any("true"), attributes(t, a)["access_logs.s3.enabled"])
	equal(t, "bucket", any(bucket.String()), attributes(t, a)["access_logs.s3.bucket"])

	all := object{"BlockPublicAcls": true, "BlockPublicPolicy": true, "IgnorePublicAcls": true, "RestrictPublicBuckets": true}
	equal(t, "public access", any(all), property(t, a, bucket, "PublicAccessBlockConfiguration"))
	equal(t, "encryption", any(object{"ServerSideEncryptionConfiguration": []any{object{"ServerSideEncryptionByDefault": object{"SSEAlgorithm": "AES256"}}}}),
		property(t, a, bucket, "BucketEncryption"))
	equal(t, "ownership", any(object{"Rules": []any{object{"ObjectOwnership": "BucketOwnerEnforced"}}}), property(t, a, bucket, "OwnershipControls"))
	equal(t, "expiry", any(30.0), property(t, a, bucket, "LifecycleConfiguration").(object)["Rules"].([]any)[0].(object)["ExpirationInDays"])
	equal(t, "deletion", "Retain", bucket.DeletionPolicy)

	policy := resource(t, a, "dev-Routing", "AWS::S3::BucketPolicy")
	arn := object{"Fn::GetAtt": []any{bucket.LogicalID, "Arn"}}
	anything := []any{arn, object{"Fn::Join": []any{"", []any{arn, "/*"}}}}
	delivery := "logdelivery.elasticloadbalancing.amazonaws.com"
	equal(t, "policy", any([]any{
		object{"Effect": "Deny", "Principal": object{"AWS": "*"}, "Action": "s3:*", "Resource": anything,
			"Condition": object{"Bool": object{"aws:SecureTransport": "false"}}},
		object{"Effect": "Deny", "Principal": object{"AWS": "*"}, "Action": "s3:*", "Resource": anything,
			"Condition": object{"NumericLessThan": object{"s3:TlsVersion": 1.2}}},
		object{"Sid": "LogDelivery", "Effect": "Allow", "Principal": object{"Service": delivery}, "Action": "s3:PutObject",
			"Resource": object{"Fn::Join": []any{"", []any{arn, "/AWSLogs/", object{"Ref": "AWS::AccountId"}, "/*"}}}},
		object{"Sid": "NobodyElseWrites", "Effect": "Deny", "Principal": object{"AWS": "*"}, "Action": "s3:PutObject", "Resource": anything[1],
			"Condition": object{"StringNotEquals": object{"aws:PrincipalServiceName": delivery}}},
	}), policy.Properties["PolicyDocument"].(object)["Statement"])
	if balancer := resource(t, a, "dev-Routing", "AWS::ElasticLoadBalancingV2::LoadBalancer"); !slices.Contains(balancer.DependsOn, policy.LogicalID) {
		t.Errorf("%s does not wait for the policy that lets it write: %v", balancer, balancer.DependsOn)
	}
}

// Every alarm tells the topic, which is encrypted and takes what comes encrypted.
func TestAlarms(t *testing.T) {
	if alarms := synth(t, settings{}).Resources("AWS::CloudWatch::Alarm"); len(alarms) > 0 {
		t.Errorf("by default there are alarms: %v", alarms)
	}
	a := synth(t, alarmed)
	topic := resource(t, a, "dev-Routing", "AWS::SNS::Topic")
	key := resource(t, a, "dev-Routing", "AWS::KMS::Key")
	equal(t, "key", any(key.String()+".Arn"), property(t, a, topic, "KmsMasterKeyId"))
	equal(t, "rotation", any(true), property(t, a, key, "EnableKeyRotation"))
	ours := object{"StringEquals": object{"aws:SourceAccount": object{"Ref": "AWS::AccountId"}}}
	statements := listOf(resource(t, a, "dev-Routing", "AWS::SNS::TopicPolicy").Properties["PolicyDocument"].(object)["Statement"])
	equal(t, "topic's policy", []object{
		{"Sid": "AllowPublishThroughSSLOnly", "Effect": "Deny", "Principal": "*", "Action": "sns:Publish", "Resource": object{"Ref": topic.LogicalID},
			"Condition": object{"Bool": object{"aws:SecureTransport": "false"}}},
		{"Sid": "Alarms", "Effect": "Allow", "Principal": object{"Service": "cloudwatch.amazonaws.com"}, "Action": "sns:Publish",
			"Resource": object{"Ref": topic.LogicalID}, "Condition": ours},
	}, statements)
	equal(t, "alarms may use the key", object{
		"Sid": "Alarms", "Effect": "Allow", "Principal": object{"Service": "cloudwatch.amazonaws.com"}, "Action": []any{"kms:Decrypt", "kms:GenerateDataKey*"},
		"Resource": "*", "Condition": ours,
	}, listOf(key.Properties["KeyPolicy"].(object)["Statement"])[1])

	var got []string
	for _, alarm := range a.Resources("AWS::CloudWatch::Alarm") {
		equal(t, alarm.String()+" tells", any([]any{topic.String()}), property(t, a, alarm, "AlarmActions"))
		value := func(name string) any { return property(t, a, alarm, name) }
		metric, statistic := value("MetricName"), value("Statistic")
		if statistic == nil {
			statistic = value("ExtendedStatistic")
		}
		if strings.Contains(alarm.LogicalID, "Canary") { // see TestCanaryAlarms
			continue
		}
		if metric == nil { // computed from others
			metric, statistic = listOf(value("Metrics"))[0]["Expression"], "of sums"
		}
		for _, dimension := range listOf(value("Dimensions")) {
			metric = fmt.Sprintf("%v %v", metric, dimension["Value"])
		}
		got = append(got, fmt.Sprintf("%s %v: %v, %v, %v %v, %v times, missing %v", alarm.Stack.Name, value("AlarmName"), metric, statistic,
			value("ComparisonOperator"), value("Threshold"), value("EvaluationPeriods"), value("TreatMissingData")))
	}
	balancer := "dev-Routing/LoadBalancerBE9EEC3A.LoadBalancerFullName"
	var want []string
	for _, service := range names(deployment.Forum.All()) {
		missing := "breaching"
		if service == monolith.Name { // retired: it has no task, and need not have one
			missing = "notBreaching"
		}
		of := balancer + " " + targetGroup(t, a, service).String() + ".TargetGroupFullName"
		for _, line := range []string{
			"errors-of-" + service + ": HTTPCode_Target_5XX_Count " + of + ", Sum, GreaterThanOrEqualToThreshold 10, 1 times, missing notBreaching",
			"no-task-of-" + service + ": HealthyHostCount " + of + ", Maximum, LessThanThreshold 1, 3 times, missing " + missing,
			"latency-of-" + service + ": TargetResponseTime " + of + ", p99, GreaterThanOrEqualToThreshold 1, 3 times, missing notBreaching",
		} {
			want = append(want, "dev-"+config.Pascal(service)+" dev-"+line)
		}
	}
	want = append(want, "dev-Routing dev-load-balancer-errors: FILL(all, 0) - FILL(unavailable, 0), of sums, GreaterThanOrEqualToThreshold 10, 1 times, missing notBreaching")
	slices.Sort(got)
	slices.Sort(want)
	equal(t, "alarms", want, got)
}

// Production without a certificate can be deployed, and whoever does is told.
func TestProductionWithoutACertificate(t *testing.T) {
	warned := func(context settings) bool {
		text, err := os.ReadFile(filepath.Join(synth(t, context).Dir, "validation-report.json"))
		if err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
		return bytes.Contains(text, []byte("Clients are answered over plain HTTP: set certificateArn for HTTPS"))
	}
	if !warned(settings{"env": "prod"}) {
		t.Error("there is no warning")
	}
	if warned(production(migration.Monolith)) {
		t.Error("there is a warning in spite of the certificate")
	}
	if warned(settings{}) {
		t.Error("there is a warning outside of production")
	}
}

func TestServiceOptions(t *testing.T) {
	d := changed(first, func(s *config.Service) {
		s.CPU, s.MemoryReservationMiB, s.MemoryLimitMiB, s.Tasks = 512, 128, 192, 3
		s.Environment = map[string]string{"LOG_LEVEL": "debug"}
	})
	a, stack := synthDeployment(t, d, settings{"phase": "parallel"}), "dev-"+config.Pascal(first.Name)
	container := resource(t, a, stack, "AWS::ECS::TaskDefinition").Properties["ContainerDefinitions"].([]any)[0].(object)
	equal(t, "CPU", any(512.0), container["Cpu"])
	equal(t, "memory", any(128.0), container["MemoryReservation"])
	equal(t, "most memory", any(192.0), container["Memory"])
	equal(t, "environment", any([]any{object{"Name": "LOG_LEVEL", "Value": "debug"}, object{"Name": "PORT", "Value": "3000"}, object{"Name": "STOP_TIMEOUT", "Value": "15s"}}), container["Environment"])
	equal(t, "tasks", any(3.0), resource(t, a, stack, "AWS::ECS::Service").Properties["DesiredCount"])
}

// maybeTwice are the names that may be there twice, by type and property, and why.
var maybeTwice = map[string]string{
	"AWS::ECS::Service ServiceName":     "it is unique in the cluster",
	"AWS::IAM::Policy PolicyName":       "it is unique in the role that has the policy",
	"AWS::CloudWatch::Alarm MetricName": "it is what is measured",
	"AWS::EC2::VPCEndpoint ServiceName": "it is what the endpoint leads to",
}

// physicalNames returns what an account and region can have only once: the stacks, what
// they export, and every property that is called a name, each with the resource that has it.
func physicalNames(t *testing.T, a *assembly.Assembly) map[string]string {
	t.Helper()
	found := map[string]string{}
	add := func(kind, name, of string) {
		if other, taken := found[kind+" "+name]; taken {
			t.Errorf("%s and %s have the same %s %s", other, of, kind, name)
		}
		found[kind+" "+name] = of
	}
	for _, stack := range a.Stacks {
		add("stack", stack.Name, stack.Name)
		for id, output := range stack.Outputs {
			if output.ExportName != nil {
				add("export", fmt.Sprint(output.ExportName), stack.Name+"/"+id)
			}
		}
		for _, r := range stack.Resources {
			for key, raw := range r.Properties {
				kind := r.Type + " " + key
				if !strings.HasSuffix(key, "Name") && key != "Family" || maybeTwice[kind] != "" {
					continue
				}
				// A name that depends on the account or region is the same for all of them; one
				// that is another resource's is not given here.
				value, err := r.Resolve(a, key)
				name, literal := value.(string)
				if err != nil {
					name, literal = fmt.Sprint(raw), true
				}
				if literal {
					add(kind, name, r.String())
				}
			}
		}
	}
	return found
}

// TestEnvironmentsInOneAccount: dev, staging and prod are deployed side by side,
// and no name is there twice.
func TestEnvironmentsInOneAccount(t *testing.T) {
	nightly.Test(t, "it synthesizes two environments")
	prod := production(migration.Parallel)
	prod["namePrefix"] = "prod-"
	all := map[string]string{}
	kinds := map[string]bool{}
	for _, context := range []settings{alarmed, {"env": "staging", "namePrefix": "staging-", "alarms": "on"}, prod} {
		found := physicalNames(t, synth(t, context))
		if len(found) < 30 {
			t.Fatalf("%v has only %d names: %v", context, len(found), found)
		}
		for name, of := range found {
			if other, taken := all[name]; taken {
				t.Errorf("%s and %s have the same %s", other, of, name)
			}
			all[name] = of
			kind, _, _ := strings.Cut(name, " ")
			kinds[kind] = true
		}
	}
	for _, kind := range []string{"stack", "AWS::ECR::Repository", "AWS::ECS::Cluster", "AWS::ECS::TaskDefinition", "AWS::ElasticLoadBalancingV2::TargetGroup", "AWS::Logs::LogGroup", "AWS::Logs::QueryDefinition", "AWS::SSM::Parameter", "AWS::CloudWatch::Alarm", "AWS::CloudWatch::Dashboard"} {
		if !kinds[kind] {
			t.Errorf("no name of a kind %s was found: does the test see them?", kind)
		}
	}
	// What the prefix is for.
	dev, same := physicalNames(t, synth(t, alarmed)), 0
	for name := range physicalNames(t, synth(t, production(migration.Parallel))) {
		if dev[name] != "" {
			same++
		}
	}
	if want := 4*len(deployment.Forum.All()) + 1; same != want {
		t.Errorf("without a prefix %d names are the same, want %d: a repository, a target group, a task family and a log group of each service, and drop-traffic", same, want)
	}
}

// existingVPC is the context of a deployment into an existing VPC, with what the
// command line found there, as it keeps it in cdk.context.json.
func existingVPC(t *testing.T, publicSubnets, privateSubnets []string) settings {
	t.Helper()
	t.Setenv("CDK_DEFAULT_ACCOUNT", "123456789012")
	t.Setenv("CDK_DEFAULT_REGION", "us-east-1")
	group := func(kind string, ids []string) object {
		var subnets []any
		for i, id := range ids {
			subnets = append(subnets, object{
				"subnetId": id, "cidr": "10.0.0.0/24", "availabilityZone": fmt.Sprintf("us-east-1%c", 'a'+i), "routeTableId": "rtb-0123456789abcdef0",
			})
		}
		return object{"name": kind, "type": kind, "subnets": subnets}
	}
	return settings{
		"vpcId": "vpc-0123456789abcdef0",
		"vpc-provider:account=123456789012:filter.vpc-id=vpc-0123456789abcdef0:region=us-east-1:returnAsymmetricSubnets=true": object{
			"vpcId": "vpc-0123456789abcdef0", "vpcCidrBlock": "10.0.0.0/16", "ownerAccountId": "123456789012", "availabilityZones": []any{},
			"subnetGroups": []any{group("Public", publicSubnets), group("Private", privateSubnets)},
		},
	}
}

func TestExistingVPC(t *testing.T) {
	public := []string{"subnet-0000000000000000a", "subnet-0000000000000000b"}
	private := []string{"subnet-0000000000000000c", "subnet-0000000000000000d"}
	a := synth(t, existingVPC(t, public, private))
	equal(t, "new VPCs", 0, len(a.Resources("AWS::EC2::VPC")))
	equal(t, "load balancer", any([]any{public[0], public[1]}),
		resource(t, a, "dev-Routing", "AWS::ElasticLoadBalancingV2::LoadBalancer").Properties["Subnets"])
	equal(t, "instances", any([]any{private[0], private[1]}),
		resource(t, a, "dev-Cluster", "AWS::AutoScaling::AutoScalingGroup").Properties["VPCZoneIdentifier"])
	for _, group := range a.Resources("AWS::ElasticLoadBalancingV2::TargetGroup") {
		equal(t, group.String(), any("vpc-0123456789abcdef0"), group.Properties["VpcId"])
	}
}

func TestBootstrapQualifier(t *testing.T) {
	a := synth(t, several)
	for _, r := range a.Resources("AWS::ECR::Repository") {
		principal := fmt.Sprint(listOf(r.Properties["RepositoryPolicyText"].(object)["Statement"])[0]["Principal"])
		if !strings.Contains(principal, "role/cdk-forum1234-image-publishing-role-") {
			t.Errorf("%s admits %s", r, principal)
		}
	}
}

// What CDK refuses, and so what its own validation of the templates finds, is an
// error with a message and not a panic with a stack.
func TestCDKErrorsAreReadable(t *testing.T) {
	context := cdkContext(t, existingVPC(t, []string{"no-subnet-a", "no-subnet-b"}, []string{"no-subnet-c", "no-subnet-d"}))
	err := synthTo(deployment.Forum, context, filepath.Join(scratch, "refused"), true)
	if err == nil {
		t.Fatal("subnets that are none were taken")
	}
	if text := err.Error(); !strings.HasPrefix(text, "CDK refused the stacks: ValidationFailed: Validation failed.") || strings.Contains(text, "\n") {
		t.Errorf("the error is\n%s", text)
	}
}

package controls_test

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"cutover/internal/analysis/controls"
	"cutover/internal/assembly"
	"cutover/internal/model"
)

// good meets every control, with the least that it takes.
const good = `{
	"Vpc": {"Type": "AWS::EC2::VPC", "Properties": {"CidrBlock": "10.0.0.0/16", "Tags": [{"Key": "app", "Value": "shop"}]}},
	"Closed": {"Type": "Custom::VpcRestrictDefaultSG", "Properties": {"DefaultSecurityGroupId": {"Fn::GetAtt": ["Vpc", "DefaultSecurityGroup"]}}},
	"FlowLog": {"Type": "AWS::EC2::FlowLog", "Properties": {"ResourceId": {"Ref": "Vpc"}, "ResourceType": "VPC", "Tags": [{"Key": "app", "Value": "shop"}]}},
	"SubnetA": {"Type": "AWS::EC2::Subnet", "Properties": {"AvailabilityZone": {"Fn::Select": [0, {"Fn::GetAZs": ""}]}, "Tags": [{"Key": "app", "Value": "shop"}]}},
	"SubnetB": {"Type": "AWS::EC2::Subnet", "Properties": {"AvailabilityZone": {"Fn::Select": [1, {"Fn::GetAZs": ""}]}, "Tags": [{"Key": "app", "Value": "shop"}]}},
	"Firewall": {"Type": "AWS::EC2::SecurityGroup", "Properties": {"SecurityGroupIngress": [{"CidrIp": "0.0.0.0/0", "IpProtocol": "tcp", "FromPort": 443, "ToPort": 443}], "Tags": [{"Key": "app", "Value": "shop"}]}},
	"Rule": {"Type": "AWS::EC2::SecurityGroupIngress", "Properties": {"SourceSecurityGroupId": {"Ref": "Firewall"}, "IpProtocol": "tcp", "FromPort": 1, "ToPort": 65535}},
	"Template": {"Type": "AWS::EC2::LaunchTemplate", "Properties": {"TagSpecifications": [{"ResourceType": "launch-template", "Tags": [{"Key": "app", "Value": "shop"}]}], "LaunchTemplateData": {
		"TagSpecifications": [{"ResourceType": "instance", "Tags": [{"Key": "app", "Value": "shop"}]}, {"ResourceType": "volume", "Tags": [{"Key": "app", "Value": "shop"}]}],
		"MetadataOptions": {"HttpTokens": "required"},
		"NetworkInterfaces": [{"AssociatePublicIpAddress": false}],
		"BlockDeviceMappings": [{"DeviceName": "/dev/xvda", "Ebs": {"Encrypted": true}}]}}},
	"Group": {"Type": "AWS::AutoScaling::AutoScalingGroup", "Properties": {
		"VPCZoneIdentifier": [{"Ref": "SubnetA"}, {"Ref": "SubnetB"}],
		"MixedInstancesPolicy": {"LaunchTemplate": {
			"LaunchTemplateSpecification": {"LaunchTemplateId": {"Ref": "Template"}},
			"Overrides": [{"InstanceType": "t3.small"}, {"InstanceType": "t3.medium"}]}}, "Tags": [{"Key": "app", "Value": "shop"}]}},
	"Provider": {"Type": "AWS::ECS::CapacityProvider", "Properties": {"AutoScalingGroupProvider": {"ManagedTerminationProtection": "ENABLED"}}},
	"Cluster": {"Type": "AWS::ECS::Cluster", "Properties": {"ClusterSettings": [{"Name": "containerInsights", "Value": "enabled"}], "Tags": [{"Key": "app", "Value": "shop"}]}},
	"Repository": {"Type": "AWS::ECR::Repository", "Properties": {
		"ImageScanningConfiguration": {"ScanOnPush": true}, "ImageTagMutability": "IMMUTABLE", "LifecyclePolicy": {"LifecyclePolicyText": "{}"}}},
	"Task": {"Type": "AWS::ECS::TaskDefinition", "Properties": {"NetworkMode": "bridge", "Tags": [{"Key": "app", "Value": "shop"}], "ContainerDefinitions": [{
		"Name": "shop", "User": "65532:65532", "ReadonlyRootFilesystem": true,
		"LogConfiguration": {"LogDriver": "awslogs"}, "Environment": [{"Name": "PORT", "Value": "3000"}]}]}},
	"Service": {"Type": "AWS::ECS::Service", "Properties": {"ServiceName": "shop", "Tags": [{"Key": "app", "Value": "shop"}]}},
	"Front": {"Type": "AWS::EC2::SecurityGroup", "Properties": {"Tags": [{"Key": "app", "Value": "shop"}]}},
	"Inner": {"Type": "AWS::EC2::SecurityGroup", "Properties": {"SecurityGroupIngress": [{"SourceSecurityGroupId": {"Fn::GetAtt": ["Front", "GroupId"]}, "IpProtocol": "tcp", "FromPort": 80, "ToPort": 80}], "Tags": [{"Key": "app", "Value": "shop"}]}},
	"Link": {"Type": "AWS::ApiGatewayV2::VpcLink", "Properties": {"SecurityGroupIds": [{"Fn::GetAtt": ["Front", "GroupId"]}], "SubnetIds": [{"Ref": "SubnetA"}, {"Ref": "SubnetB"}]}},
	"Api": {"Type": "AWS::ApiGateway::RestApi"},
	"Method": {"Type": "AWS::ApiGateway::Method", "Properties": {"RestApiId": {"Ref": "Api"}, "ResourceId": {"Fn::GetAtt": ["Api", "RootResourceId"]}, "HttpMethod": "ANY", "Integration": {"Type": "HTTP_PROXY", "ConnectionType": "VPC_LINK",
		"ConnectionId": {"Ref": "Link"}, "IntegrationTarget": {"Ref": "Balancer"}, "Uri": {"Fn::Sub": "http://${Balancer.DNSName}/"}}}},
	"Stage": {"Type": "AWS::ApiGateway::Stage", "Properties": {"RestApiId": {"Ref": "Api"}, "StageName": "live", "TracingEnabled": true, "MethodSettings": [
		{"ResourcePath": "/*", "HttpMethod": "*", "LoggingLevel": "ERROR"}, {"ResourcePath": "/~1api", "HttpMethod": "GET", "LoggingLevel": "INFO", "CachingEnabled": true, "CacheDataEncrypted": true}]}},
	"Acl": {"Type": "AWS::WAFv2::WebACL", "Properties": {"Rules": [{"Name": "common", "VisibilityConfig": {"CloudWatchMetricsEnabled": true}}]}},
	"Association": {"Type": "AWS::WAFv2::WebACLAssociation", "Properties": {"WebACLArn": {"Fn::GetAtt": ["Acl", "Arn"]}, "ResourceArn": {"Fn::Sub": "arn:${AWS::Partition}:apigateway:${AWS::Region}::/restapis/${Api}/stages/${Stage}"}}},
	"Access": {"Type": "AWS::CloudFront::OriginAccessControl"},
	"Distribution": {"Type": "AWS::CloudFront::Distribution", "Properties": {"Tags": [{"Key": "app", "Value": "shop"}], "DistributionConfig": {"DefaultRootObject": "index.html", "Logging": {"Bucket": {"Fn::GetAtt": ["Lines", "RegionalDomainName"]}},
		"DefaultCacheBehavior": {"TargetOriginId": "page", "ViewerProtocolPolicy": "redirect-to-https"}, "CacheBehaviors": [{"PathPattern": "/api*", "TargetOriginId": "api", "ViewerProtocolPolicy": "https-only"}],
		"Origins": [
			{"Id": "page", "DomainName": {"Fn::GetAtt": ["Page", "RegionalDomainName"]}, "OriginAccessControlId": {"Fn::GetAtt": ["Access", "Id"]}, "S3OriginConfig": {"OriginAccessIdentity": ""}},
			{"Id": "api", "DomainName": "api.example", "CustomOriginConfig": {"OriginProtocolPolicy": "https-only", "OriginSSLProtocols": ["TLSv1.2"]}},
			{"Id": "vpc", "DomainName": {"Fn::GetAtt": ["Balancer", "DNSName"]}, "VpcOriginConfig": {"VpcOriginId": {"Fn::GetAtt": ["Way", "Id"]}}}],
		"ViewerCertificate": {"AcmCertificateArn": "arn:aws:acm:us-east-1:1:certificate/a", "SslSupportMethod": "sni-only", "MinimumProtocolVersion": "TLSv1.2_2025"}}}},
	"Way": {"Type": "AWS::CloudFront::VpcOrigin", "Properties": {"VpcOriginEndpointConfig": {"Arn": {"Ref": "Balancer"}}}},
	"Page": {"Type": "AWS::S3::Bucket", "Properties": {
		"PublicAccessBlockConfiguration": {"BlockPublicAcls": true, "BlockPublicPolicy": true, "IgnorePublicAcls": true, "RestrictPublicBuckets": true},
		"OwnershipControls": {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]}}},
	"PagePolicy": {"Type": "AWS::S3::BucketPolicy", "Properties": {"PolicyDocument": {"Statement": [{"Effect": "Deny", "Principal": {"AWS": "*"}, "Action": "s3:*", "Condition": {"Bool": {"aws:SecureTransport": "false"}}}]}}},
	"PageFiles": {"Type": "Custom::CDKBucketDeployment", "Properties": {"DestinationBucketName": {"Ref": "Page"}}},
	"Lines": {"Type": "AWS::S3::Bucket", "Properties": {
		"PublicAccessBlockConfiguration": {"BlockPublicAcls": true, "BlockPublicPolicy": true, "IgnorePublicAcls": true, "RestrictPublicBuckets": true},
		"OwnershipControls": {"Rules": [{"ObjectOwnership": "BucketOwnerPreferred"}]},
		"LifecycleConfiguration": {"Rules": [{"Status": "Enabled", "ExpirationInDays": 30}]}}},
	"LinesPolicy": {"Type": "AWS::S3::BucketPolicy", "Properties": {"PolicyDocument": {"Statement": [{"Effect": "Deny", "Principal": {"AWS": "*"}, "Action": "s3:*", "Condition": {"Bool": {"aws:SecureTransport": "false"}}}]}}},
	"Balancer": {"Type": "AWS::ElasticLoadBalancingV2::LoadBalancer", "Properties": {
		"SecurityGroups": [{"Fn::GetAtt": ["Inner", "GroupId"]}], "Subnets": [{"Ref": "SubnetA"}, {"Ref": "SubnetB"}],
		"LoadBalancerAttributes": [
			{"Key": "routing.http.drop_invalid_header_fields.enabled", "Value": "true"},
			{"Key": "access_logs.s3.enabled", "Value": "true"},
			{"Key": "deletion_protection.enabled", "Value": "true"},
			{"Key": "routing.http.desync_mitigation_mode", "Value": "defensive"}]}},
	"Http": {"Type": "AWS::ElasticLoadBalancingV2::Listener", "Properties": {"Port": 80, "Protocol": "HTTP",
		"DefaultActions": [{"Type": "redirect", "RedirectConfig": {"Protocol": "HTTPS", "Port": "443", "StatusCode": "HTTP_301"}}]}},
	"Https": {"Type": "AWS::ElasticLoadBalancingV2::Listener", "Properties": {"Port": 443, "Protocol": "HTTPS", "SslPolicy": "ELBSecurityPolicy-TLS13-1-2-Res-PQ-2025-09",
		"DefaultActions": [{"Type": "fixed-response"}]}},
	"Address": {"Type": "AWS::EC2::EIP", "Properties": {"Domain": "vpc", "Tags": [{"Key": "app", "Value": "shop"}]}},
	"Nat": {"Type": "AWS::EC2::NatGateway", "Properties": {"AllocationId": {"Fn::GetAtt": ["Address", "AllocationId"]}, "Tags": [{"Key": "app", "Value": "shop"}]}},
	"Internet": {"Type": "AWS::EC2::InternetGateway", "Properties": {"Tags": [{"Key": "app", "Value": "shop"}]}},
	"Routes": {"Type": "AWS::EC2::RouteTable", "Properties": {"VpcId": {"Ref": "Vpc"}, "Tags": [{"Key": "app", "Value": "shop"}]}},
	"Role": {"Type": "AWS::IAM::Role", "Properties": {"Policies": [{"PolicyDocument": {"Statement": [{"Effect": "Allow", "Action": "ecs:Poll", "Resource": "*"}]}}]}},
	"Policy": {"Type": "AWS::IAM::Policy", "Properties": {"Roles": [{"Ref": "Role"}], "PolicyDocument": {"Statement": {"Effect": "Allow", "Action": ["kms:Decrypt"], "Resource": {"Fn::GetAtt": ["Key", "Arn"]}}}}},
	"Function": {"Type": "AWS::Lambda::Function", "Properties": {"Runtime": "nodejs24.x"}},
	"Files": {"Type": "AWS::EFS::FileSystem", "Properties": {"Encrypted": true, "BackupPolicy": {"Status": "ENABLED"}}},
	"Point": {"Type": "AWS::EFS::AccessPoint", "Properties": {"FileSystemId": {"Ref": "Files"}, "RootDirectory": {"Path": "/data"}, "PosixUser": {"Uid": "65532", "Gid": "65532"},
		"AccessPointTags": [{"Key": "app", "Value": "shop"}]}},
	"Target": {"Type": "AWS::EFS::MountTarget", "Properties": {"FileSystemId": {"Ref": "Files"}, "SubnetId": {"Ref": "SubnetA"}}},
	"Table": {"Type": "AWS::DynamoDB::GlobalTable", "Properties": {"BillingMode": "PAY_PER_REQUEST", "Replicas": [{"Region": {"Ref": "AWS::Region"}, "DeletionProtectionEnabled": true,
		"PointInTimeRecoverySpecification": {"PointInTimeRecoveryEnabled": true}, "Tags": [{"Key": "app", "Value": "shop"}]}]}},
	"SubnetGroup": {"Type": "AWS::RDS::DBSubnetGroup", "Properties": {"SubnetIds": [{"Ref": "SubnetA"}, {"Ref": "SubnetB"}], "Tags": [{"Key": "app", "Value": "shop"}]}},
	"Parameters": {"Type": "AWS::RDS::DBClusterParameterGroup", "Properties": {"Parameters": {"rds.force_ssl": "1"}}},
	"Database": {"Type": "AWS::RDS::DBCluster", "Properties": {"DBClusterParameterGroupName": {"Ref": "Parameters"}, "Engine": "aurora-postgresql", "MasterUsername": "somebody", "Port": 5433, "DBSubnetGroupName": {"Ref": "SubnetGroup"}, "StorageEncrypted": true,
		"DeletionProtection": true, "EnableCloudwatchLogsExports": ["postgresql"], "EnableIAMDatabaseAuthentication": true, "BackupRetentionPeriod": 7, "CopyTagsToSnapshot": true, "Tags": [{"Key": "app", "Value": "shop"}]}},
	"Writer": {"Type": "AWS::RDS::DBInstance", "Properties": {"DBClusterIdentifier": {"Ref": "Database"}, "PubliclyAccessible": false, "MonitoringInterval": 60, "Tags": [{"Key": "app", "Value": "shop"}]}},
	"Reader": {"Type": "AWS::RDS::DBInstance", "Properties": {"DBClusterIdentifier": {"Ref": "Database"}, "PubliclyAccessible": false, "MonitoringInterval": 60, "Tags": [{"Key": "app", "Value": "shop"}]}},
	"ClusterEvents": {"Type": "AWS::RDS::EventSubscription", "Properties": {"SourceType": "db-cluster", "EventCategories": ["maintenance", "failure"]}},
	"InstanceEvents": {"Type": "AWS::RDS::EventSubscription", "Properties": {"SourceType": "db-instance", "EventCategories": ["maintenance", "failure", "configuration change"]}},
	"ParameterEvents": {"Type": "AWS::RDS::EventSubscription", "Properties": {"SourceType": "db-parameter-group"}},
	"GroupEvents": {"Type": "AWS::RDS::EventSubscription", "Properties": {"SourceType": "db-security-group", "EventCategories": ["configuration change", "failure"]}},
	"Log": {"Type": "AWS::Logs::LogGroup", "Properties": {"RetentionInDays": 365}},
	"Alarm": {"Type": "AWS::CloudWatch::Alarm", "Properties": {"AlarmActions": [{"Ref": "Topic"}]}},
	"Key": {"Type": "AWS::KMS::Key", "Properties": {"EnableKeyRotation": true, "KeyPolicy": {"Statement": [
		{"Effect": "Allow", "Principal": {"AWS": {"Fn::Sub": "arn:aws:iam::${AWS::AccountId}:root"}}, "Action": "kms:*", "Resource": "*"},
		{"Effect": "Deny", "Principal": "*", "Action": "kms:*", "Resource": "*"}]}}},
	"Topic": {"Type": "AWS::SNS::Topic", "Properties": {"KmsMasterKeyId": {"Fn::GetAtt": ["Key", "Arn"]}, "Tags": [{"Key": "app", "Value": "shop"}]}},
	"TopicPolicy": {"Type": "AWS::SNS::TopicPolicy", "Properties": {"PolicyDocument": {"Statement": [{"Effect": "Allow", "Principal": {"Service": "cloudwatch.amazonaws.com"}, "Action": "sns:Publish"}]}}},
	"Bucket": {"Type": "AWS::S3::Bucket", "Properties": {
		"PublicAccessBlockConfiguration": {"BlockPublicAcls": true, "BlockPublicPolicy": true, "IgnorePublicAcls": true, "RestrictPublicBuckets": true},
		"OwnershipControls": {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]},
		"LifecycleConfiguration": {"Rules": [{"Status": "Enabled", "ExpirationInDays": 30}]}}},
	"BucketPolicy": {"Type": "AWS::S3::BucketPolicy", "Properties": {"PolicyDocument": {"Statement": [
		{"Effect": "Deny", "Principal": {"AWS": "*"}, "Action": "s3:*", "Condition": {"Bool": {"aws:SecureTransport": "false"}}}]}}}
}`

// read returns the assembly of one stack with the resources of good, changed: a
// key is the path of a value, from the resource's properties on, and nil takes it
// away. A resource alone is replaced or taken away as a whole. "(stack)" takes the stack's protection.
func read(t *testing.T, change map[string]any) *model.Model {
	t.Helper()
	var resources map[string]any
	if err := json.Unmarshal([]byte(good), &resources); err != nil {
		t.Fatal(err)
	}
	_, deletable := change["(stack)"]
	for path, value := range change {
		id, rest, deep := strings.Cut(path, ".")
		if id == "(stack)" {
			continue
		}
		if !deep {
			set(resources, id, value)
			continue
		}
		var at any = resources[id].(map[string]any)["Properties"]
		steps := strings.Split(rest, ".")
		for _, step := range steps[:len(steps)-1] {
			if i, err := strconv.Atoi(step); err == nil {
				at = at.([]any)[i]
			} else {
				at = at.(map[string]any)[step]
			}
		}
		set(at.(map[string]any), steps[len(steps)-1], value)
	}
	dir := t.TempDir()
	for name, content := range map[string]any{
		"manifest.json": map[string]any{"artifacts": map[string]any{"shop": map[string]any{
			"type": "aws:cloudformation:stack", "environment": "aws://unknown-account/unknown-region", "properties": map[string]any{"templateFile": "shop.json", "terminationProtection": !deletable},
		}}},
		"shop.json": map[string]any{"Resources": resources},
	} {
		text, err := json.Marshal(content)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	a, err := assembly.Read(dir)
	if err != nil {
		t.Fatal(err)
	}
	return model.Read(a)
}

func set(object map[string]any, key string, value any) {
	if value == nil {
		delete(object, key)
	} else {
		object[key] = value
	}
}

type object = map[string]any

func refs(ids ...string) []any {
	var list []any
	for _, id := range ids {
		list = append(list, object{"Ref": id})
	}
	return list
}

func TestViolations(t *testing.T) {
	open := func(from, to any) []any {
		return []any{object{"CidrIp": "0.0.0.0/0", "IpProtocol": "tcp", "FromPort": from, "ToPort": to}}
	}
	configuration := object{"Type": "AWS::AutoScaling::LaunchConfiguration", "Properties": object{"AssociatePublicIpAddress": true}}
	second := func(member string, value any) map[string]any { // container that meets all but this
		c := object{"Name": "agent", "Essential": false, "User": "65532:65532", "ReadonlyRootFilesystem": true, "LogConfiguration": object{"LogDriver": "awslogs"}}
		set(c, member, value)
		return object{"Task.ContainerDefinitions": []any{object{"Name": "shop", "User": "65532:65532", "ReadonlyRootFilesystem": true, "LogConfiguration": object{"LogDriver": "awslogs"}}, c}}
	}
	type violation struct {
		control string
		change  map[string]any
		want    []string
	}
	tests := []violation{
		{"AutoScaling.2", object{"Group.VPCZoneIdentifier": refs("SubnetA")}, []string{"shop/Group is in one zone"}},
		{"AutoScaling.2", object{"SubnetB.AvailabilityZone": object{"Fn::Select": []any{0, object{"Fn::GetAZs": ""}}}}, []string{"shop/Group is in one zone"}},
		{"AutoScaling.2", object{"Group.VPCZoneIdentifier": []any{"subnet-1", "subnet-2"}}, []string{
			"shop/Group is in a subnet whose zone is not known",
			`cannot be told from the template: shop/Group/Properties.VPCZoneIdentifier[0]: expected a resource of the assembly of type AWS::EC2::Subnet, found "subnet-1"` + "\n" +
				`shop/Group/Properties.VPCZoneIdentifier[1]: expected a resource of the assembly of type AWS::EC2::Subnet, found "subnet-2"`}},
		{"AutoScaling.2", object{"Group": nil}, []string{"there is no AWS::AutoScaling::AutoScalingGroup"}},
		{"AutoScaling.3", object{"Group.MixedInstancesPolicy": nil, "Group.LaunchConfigurationName": object{"Ref": "Old"}, "Old": configuration},
			[]string{"shop/Old allows version 1 of the metadata service"}},
		{"AutoScaling.3", object{"Group.MixedInstancesPolicy": nil}, []string{"shop/Group does not say how instances are launched"}},
		{"AutoScaling.5", object{"Group.MixedInstancesPolicy": nil, "Group.LaunchConfigurationName": object{"Ref": "Old"}, "Old": configuration},
			[]string{"shop/Old gives instances public addresses"}},
		{"AutoScaling.6", object{"Group.MixedInstancesPolicy.LaunchTemplate.Overrides": []any{object{"InstanceType": "t3.small"}}}, []string{"shop/Group has one instance type"}},
		{"AutoScaling.6", object{"Group.VPCZoneIdentifier": refs("SubnetB")}, []string{"shop/Group is in one zone"}},
		{"AutoScaling.9", object{"Group.MixedInstancesPolicy": nil, "Group.LaunchConfigurationName": "old"}, []string{"shop/Group uses no launch template"}},
		{"EC2.2", object{"Closed": nil}, []string{"shop/Vpc keeps the rules of its default security group"}},
		{"EC2.2", object{"Vpc": nil, "Closed": nil, "FlowLog": nil}, []string{"there is no AWS::EC2::VPC"}},
		{"EC2.6", object{"FlowLog": nil}, []string{"shop/Vpc has no flow log"}},
		{"EC2.6", object{"Other": object{"Type": "AWS::EC2::VPC"}}, []string{"shop/Other has no flow log"}},
		{"EC2.8", object{"Template.LaunchTemplateData.MetadataOptions.HttpTokens": "optional"}, []string{"shop/Template allows version 1 of the metadata service"}},
		{"EC2.8", object{"Alone": object{"Type": "AWS::EC2::Instance"}}, []string{"shop/Alone is an instance of no Auto Scaling group"}},
		{"EC2.9", object{"Template.LaunchTemplateData.NetworkInterfaces.0.AssociatePublicIpAddress": true}, []string{"shop/Template gives instances public addresses"}},
		{"EC2.9", object{"Template.LaunchTemplateData.NetworkInterfaces": nil}, []string{"shop/Template leaves it to the subnet whether instances have public addresses"}},
		{"EC2.18", object{"Firewall.SecurityGroupIngress": open(80, 81)}, []string{"shop/Firewall lets anybody reach port 81"}},
		{"EC2.18", object{"Rule": object{"Type": "AWS::EC2::SecurityGroupIngress", "Properties": object{"CidrIpv6": "::/0", "IpProtocol": "-1"}}},
			[]string{"shop/Rule lets anybody reach port 0"}},
		{"EC2.19", object{"Firewall.SecurityGroupIngress": open(2900, 3100)}, []string{"shop/Firewall lets anybody reach port 3000"}},
		{"EC2.19", object{"Firewall": nil, "Rule": nil, "Front": nil, "Inner": nil}, []string{"there is no AWS::EC2::SecurityGroup"}},
		{"EC2.170", object{"Template.LaunchTemplateData.MetadataOptions": nil}, []string{"shop/Template allows version 1 of the metadata service"}},
		{"EC2.181", object{"Template.LaunchTemplateData.BlockDeviceMappings.0.Ebs.Encrypted": false}, []string{"shop/Template does not encrypt /dev/xvda"}},
		{"EC2.181", object{"Template.LaunchTemplateData.BlockDeviceMappings": nil}, []string{"shop/Template leaves its volumes to the image"}},
		{"ECR.1", object{"Repository.ImageScanningConfiguration": nil}, []string{"shop/Repository does not scan images"}},
		{"ECR.2", object{"Repository.ImageTagMutability": nil}, []string{"shop/Repository lets a tag move to another image"}},
		{"ECR.3", object{"Repository.LifecyclePolicy": nil}, []string{"shop/Repository has no lifecycle policy"}},
		{"ECS.2", object{"Service.NetworkConfiguration": object{"AwsvpcConfiguration": object{"AssignPublicIp": "ENABLED"}}}, []string{"shop/Service gives its tasks public addresses"}},
		{"ECS.3", object{"Task.PidMode": "host"}, []string{"shop/Task shares the instance's processes"}},
		{"ECS.4", object{"Task.ContainerDefinitions.0.Privileged": true}, []string{"shop/Task container shop is privileged"}},
		{"ECS.5", object{"Task.ContainerDefinitions.0.ReadonlyRootFilesystem": nil}, []string{"shop/Task container shop can write to its root file system"}},
		{"ECS.5", object{"Task.ContainerDefinitions": nil}, []string{"shop/Task has no container"}},
		{"ECS.8", object{"Task.ContainerDefinitions.0.Environment": []any{object{"Name": "AWS_SECRET_ACCESS_KEY", "Value": "x"}}},
			[]string{"shop/Task container shop has credentials in AWS_SECRET_ACCESS_KEY"}},
		{"ECS.8", object{"Task.ContainerDefinitions.0.Environment": []any{object{"Name": "ARN", "Value": object{"Fn::Sub": "arn:${AWS::Partition}:x"}}}}, nil}, // only the name counts
		{"ECS.8", object{"Task.ContainerDefinitions.0.Environment": []any{object{"Name": object{"Ref": "AWS::Partition"}, "Value": "x"}}},
			[]string{"cannot be told from the template: shop/Task/Properties.ContainerDefinitions[0].Environment[0].Name.Ref: AWS::Partition is only known at deployment: the stack was synthesized without an account and a region; give a value with --parameters AWS::Partition=VALUE"}},
		{"ECS.9", object{"Task.ContainerDefinitions.0.LogConfiguration": nil}, []string{"shop/Task container shop has no log driver"}},
		{"ECS.12", object{"Cluster.ClusterSettings.0.Value": "disabled"}, []string{"shop/Cluster has Container Insights disabled"}},
		{"ECS.12", object{"Cluster.ClusterSettings": nil}, []string{"shop/Cluster does not say whether it uses Container Insights"}},
		{"ECS.17", object{"Task.NetworkMode": "host"}, []string{"shop/Task uses the instance's network"}},
		{"ECS.19", object{"Provider.AutoScalingGroupProvider": nil}, []string{"shop/Provider does not protect instances that have tasks"}},
		{"ECS.20", object{"Task.ContainerDefinitions.0.User": nil}, []string{"shop/Task container shop runs as root"}},
		{"ECS.20", object{"Task.ContainerDefinitions.0.User": "0:65532"}, []string{"shop/Task container shop runs as root"}},
		{"ECS.20", object{"Task.ContainerDefinitions.0.User": "root"}, []string{"shop/Task container shop runs as root"}},
		{"ECS.20", object{"Task.ContainerDefinitions.0.User": "00:1"}, []string{"shop/Task container shop runs as root"}},
		{"ECS.20", object{"Task.ContainerDefinitions.0.User": "1000"}, nil},
		{"ECS.20", object{"Task.ContainerDefinitions.0.User": "node"}, nil},
		{"ECS.1", object{"Task.NetworkMode": "host", "Task.ContainerDefinitions": []any{object{"Name": "shop", "User": "1"}, object{"Name": "agent"}}}, []string{"shop/Task has a root container in the instance's network"}},
		{"ECS.4", second("Privileged", true), []string{"shop/Task container agent is privileged"}},
		{"ECS.5", second("ReadonlyRootFilesystem", false), []string{"shop/Task container agent can write to its root file system"}},
		{"ECS.8", second("Environment", []any{object{"Name": "AWS_ACCESS_KEY_ID", "Value": "x"}}), []string{"shop/Task container agent has credentials in AWS_ACCESS_KEY_ID"}},
		{"ECS.8", second("Secrets", []any{object{"Name": "AWS_ACCESS_KEY_ID", "ValueFrom": "x"}}), nil}, // no value in the template
		{"ECS.9", second("LogConfiguration", nil), []string{"shop/Task container agent has no log driver"}},
		{"ECS.20", second("User", "root:root"), []string{"shop/Task container agent runs as root"}},
		{"EFS.1", object{"Files.Encrypted": nil}, []string{"shop/Files is not encrypted"}},
		{"EFS.2", object{"Files.BackupPolicy.Status": "DISABLED"}, []string{"shop/Files has no automatic backups"}},
		{"EFS.3", object{"Point.RootDirectory": nil}, []string{"shop/Point shows the whole file system"}},
		{"EFS.4", object{"Point.PosixUser": nil}, []string{"shop/Point lets clients choose their user"}},
		{"EFS.5", object{"Point.AccessPointTags": nil}, []string{"shop/Point has no tag"}},
		{"EFS.6", object{"SubnetA.MapPublicIpOnLaunch": true}, []string{"shop/Target is in a subnet that gives out public addresses"}},
		{"EFS.6", object{"SubnetB.MapPublicIpOnLaunch": true}, nil},
		{"EFS.6", object{"Target.SubnetId": "subnet-1"}, []string{"shop/Target is in a subnet that is not known"}},
		{"EFS.7", object{"Files.BackupPolicy": nil}, []string{"shop/Files has no automatic backups"}},
		{"EFS.8", object{"Files.Encrypted": false}, []string{"shop/Files is not encrypted"}},
		{"ELB.1", object{"Http.DefaultActions.0.Type": "forward"}, []string{"shop/Http answers over plain HTTP"}},
		{"ELB.1", object{"Http.DefaultActions.0.RedirectConfig.Protocol": "HTTP"}, []string{"shop/Http answers over plain HTTP"}},
		{"ELB.4", object{"Balancer.LoadBalancerAttributes": nil}, []string{"shop/Balancer passes invalid headers on"}},
		{"ELB.5", object{"Balancer.LoadBalancerAttributes.1.Value": "false"}, []string{"shop/Balancer does not log requests"}},
		{"ELB.6", object{"Balancer.LoadBalancerAttributes.2.Value": "false"}, []string{"shop/Balancer is not protected from being deleted"}},
		{"ELB.12", object{"Balancer.LoadBalancerAttributes.3.Value": "monitor"}, []string{"shop/Balancer only monitors requests that a target may understand otherwise"}},
		{"ELB.13", object{"Balancer.Subnets": refs("SubnetA")}, []string{"shop/Balancer is in one zone"}},
		{"ELB.17", object{"Https.SslPolicy": nil}, []string{"shop/Https has the policy none"}},
		{"ELB.17", object{"Https.SslPolicy": "ELBSecurityPolicy-2016-08"}, []string{"shop/Https has the policy ELBSecurityPolicy-2016-08"}},
		{"ELB.17", object{"Https": nil}, []string{"no listener has HTTPS"}},
		{"CloudFormation.3", object{"(stack)": nil}, []string{"shop has no termination protection"}},
		{"CloudWatch.15", object{"Alarm.AlarmActions": nil}, []string{"shop/Alarm tells nobody"}},
		{"CloudWatch.16", object{"Log.RetentionInDays": 364}, []string{"shop/Log keeps logs for less than a year"}},
		{"CloudWatch.16", object{"Log.RetentionInDays": nil}, nil}, // for ever
		{"CloudWatch.17", object{"Alarm.ActionsEnabled": false}, []string{"shop/Alarm has its actions disabled"}},
		{"EC2.3", object{"Template.LaunchTemplateData.BlockDeviceMappings.0.Ebs.Encrypted": nil}, []string{"shop/Template does not encrypt /dev/xvda"}},
		{"EC2.12", object{"Nat": nil}, []string{"shop/Address belongs to no NAT gateway"}},
		{"EC2.13", object{"Firewall.SecurityGroupIngress": open(22, 22)}, []string{"shop/Firewall lets anybody reach port 22"}},
		{"EC2.14", object{"Firewall.SecurityGroupIngress": open(3389, 3389)}, []string{"shop/Firewall lets anybody reach port 3389"}},
		{"EC2.15", object{"SubnetA.MapPublicIpOnLaunch": true}, []string{"shop/SubnetA gives out public addresses"}},
		{"EC2.17", object{"Template.LaunchTemplateData.NetworkInterfaces": []any{object{}, object{}}}, []string{"shop/Template gives instances several network interfaces"}},
		{"EC2.25", object{"Template.LaunchTemplateData.NetworkInterfaces.0.AssociatePublicIpAddress": true}, []string{"shop/Template gives instances public addresses"}},
		{"EC2.38", object{"Template.LaunchTemplateData.TagSpecifications.0.ResourceType": "volume"}, []string{"shop/Template gives each instance no tag"}},
		{"EC2.45", object{"Template.LaunchTemplateData.TagSpecifications.1.Tags": nil}, []string{"shop/Template gives each volume no tag"}},
		{"EC2.53", object{"Firewall.SecurityGroupIngress": open(1, 22)}, []string{"shop/Firewall lets anybody reach port 22"}},
		{"EC2.54", object{"Rule": object{"Type": "AWS::EC2::SecurityGroupIngress", "Properties": object{"CidrIpv6": "::/0", "IpProtocol": "tcp", "FromPort": 3000, "ToPort": 4000}}},
			[]string{"shop/Rule lets anybody reach port 3389"}},
		{"EC2.175", object{"Template.TagSpecifications": nil}, []string{"shop/Template has no tag"}},
		{"ECS.1", object{"Task.NetworkMode": "host", "Task.ContainerDefinitions.0.User": "0"}, []string{"shop/Task has a root container in the instance's network"}},
		{"ECS.1", object{"Task.NetworkMode": "host", "Task.ContainerDefinitions.0.User": "0", "Task.ContainerDefinitions.0.Privileged": true}, nil},
		{"ECS.1", object{"Task.ContainerDefinitions.0.User": "0"}, nil},
		{"ECS.10", object{"Service.LaunchType": "FARGATE", "Service.PlatformVersion": "1.3.0"}, []string{"shop/Service uses version 1.3.0 of Fargate's platform"}},
		{"ECS.10", object{"Service.LaunchType": "FARGATE", "Service.PlatformVersion": "1.4.0"}, nil},
		{"ECS.10", object{"Service.LaunchType": "FARGATE", "Service.PlatformVersion": "LATEST"}, nil},
		{"ECS.10", object{"Service.CapacityProviderStrategy": []object{{"CapacityProvider": "FARGATE_SPOT", "Weight": 1}}, "Service.PlatformVersion": "1.0.0"}, []string{"shop/Service uses version 1.0.0 of Fargate's platform"}},
		{"ECS.10", object{"Service.LaunchType": "FARGATE", "Service.PlatformVersion": "1.0.0", "Service.TaskDefinition": object{"Ref": "Task"}, "Task.RuntimePlatform": object{"OperatingSystemFamily": "WINDOWS_SERVER_2022_CORE"}}, nil},
		{"ECS.10", object{"Service.PlatformVersion": "1.3.0"}, nil},
		{"ECS.18", object{"Task.Volumes": []any{object{"Name": "v", "EFSVolumeConfiguration": object{"FilesystemId": "fs-1"}}}}, []string{"shop/Task has an EFS volume without encryption on the way"}},
		{"ECS.18", object{"Task.Volumes": []any{object{"Name": "v", "EFSVolumeConfiguration": object{"FilesystemId": "fs-1", "TransitEncryption": "ENABLED"}}, object{"Name": "w"}}}, nil},
		{"ECS.21", object{"Task.ContainerDefinitions.0.User": "ContainerAdministrator"}, []string{"shop/Task container shop may run as an administrator of Windows"}},
		{"ECS.21", object{"Task.ContainerDefinitions.0.User": nil}, []string{"shop/Task container shop may run as an administrator of Windows"}},
		{"IAM.1", object{"Role.Policies.0.PolicyDocument.Statement.0.Action": "*"}, []string{"shop/Role allows all actions"}},
		{"IAM.1", object{"Policy.PolicyDocument.Statement.Action": []any{"*"}}, nil}, // on one key
		{"IAM.1", object{"Role.Policies.0.PolicyDocument.Statement.0.Action": "*", "Role.Policies.0.PolicyDocument.Statement.0.Effect": "Deny"}, nil},
		{"IAM.21", object{"Policy.PolicyDocument.Statement.Action": []any{"kms:Decrypt", "s3:*"}}, []string{"shop/Policy allows all actions of a service"}},
		{"IAM.27", object{"Role.ManagedPolicyArns": []any{"arn:aws:iam::aws:policy/AWSCloudShellFullAccess"}}, []string{"shop/Role has AWSCloudShellFullAccess"}},
		{"KMS.1", object{"Policy.PolicyDocument.Statement.Resource": "*"}, []string{"shop/Policy allows to decrypt with all keys"}},
		{"KMS.1", object{"Managed": object{"Type": "AWS::IAM::ManagedPolicy", "Properties": object{"PolicyDocument": object{"Statement": []any{object{"Effect": "Allow", "Action": "kms:ReEncryptFrom", "Resource": "*"}}}}}},
			[]string{"shop/Managed allows to decrypt with all keys"}},
		{"KMS.2", object{"Role.Policies.0.PolicyDocument.Statement.0.Action": []any{"ecs:Poll", "kms:*"}}, []string{"shop/Role allows to decrypt with all keys"}},
		{"KMS.4", object{"Key.EnableKeyRotation": nil}, []string{"shop/Key is not rotated"}},
		{"KMS.5", object{"Key.KeyPolicy.Statement.0.Principal": "*"}, []string{"shop/Key lets in *"}},
		{"KMS.5", object{"Key.KeyPolicy.Statement.0.Principal": "*", "Key.KeyPolicy.Statement.0.Condition": object{"StringEquals": object{"kms:CallerAccount": object{"Ref": "AWS::AccountId"}}}}, nil},
		{"KMS.5", object{"Key.KeyPolicy.Statement.0.Principal": "*", "Key.KeyPolicy.Statement.0.Condition": object{"StringLike": object{"kms:CallerAccount": "*"}, "StringEquals": object{"aws:PrincipalTag/environment": "dev"}}}, []string{"shop/Key lets in *"}},
		{"KMS.5", object{"Key.KeyPolicy.Statement.0.Principal": "*", "Key.KeyPolicy.Statement.0.Condition": object{"ArnLike": object{"aws:SourceArn": "arn:aws:sns:*:*:*"}}}, []string{"shop/Key lets in *"}},
		{"KMS.5", object{"Key.KeyPolicy.Statement.0.Principal": nil, "Key.KeyPolicy.Statement.0.NotPrincipal": object{"AWS": "arn:aws:iam::1:root"}}, []string{"shop/Key lets in *"}},
		{"KMS.5", object{"Key.KeyPolicy.Statement.0.Principal.AWS": "arn:aws:iam::123456789012:root"}, []string{"shop/Key lets in arn:aws:iam::123456789012:root"}},
		{"Lambda.1", object{"Permission": object{"Type": "AWS::Lambda::Permission"}}, []string{"shop/Permission lets somebody call a function"}},
		{"Lambda.1", object{"Permission": object{"Type": "AWS::Lambda::Permission", "Properties": object{"Action": "lambda:InvokeFunction", "Principal": "elasticloadbalancing.amazonaws.com"}}}, []string{"shop/Permission lets somebody call a function"}},
		{"Lambda.1", object{"Permission": object{"Type": "AWS::Lambda::Permission", "Properties": object{"Action": "lambda:InvokeFunction", "Principal": "*", "SourceAccount": "123456789012"}}}, []string{"shop/Permission lets somebody call a function"}},
		{"Lambda.1", object{"Permission": object{"Type": "AWS::Lambda::Permission", "Properties": object{"Action": "lambda:InvokeFunction", "Principal": "elasticloadbalancing.amazonaws.com", "SourceArn": "arn:aws:elasticloadbalancing:us-east-1:123456789012:targetgroup/shop/*"}}}, nil},
		{"Lambda.2", object{"Function.Runtime": "provided.al2023"}, nil},
		{"Lambda.2", object{"Function.Runtime": "nodejs18.x"}, []string{"shop/Function has the runtime nodejs18.x"}},
		{"Lambda.2", object{"Function.Runtime": nil, "Function.PackageType": "Image"}, nil},
		{"S3.2", object{"BucketPolicy": nil}, []string{"1 of type AWS::S3::Bucket have no policy"}},
		{"S3.3", object{"BucketPolicy.PolicyDocument.Statement.0.Effect": "Allow"}, []string{"shop/BucketPolicy lets in *"}},
		{"S3.5", object{"BucketPolicy.PolicyDocument.Statement.0.Condition": nil}, []string{"shop/BucketPolicy lets in requests without TLS"}},
		{"S3.5", object{"BucketPolicy.PolicyDocument.Statement.0.Effect": "Allow"}, []string{"shop/BucketPolicy lets in requests without TLS"}},
		{"S3.6", object{"BucketPolicy.PolicyDocument.Statement.0.Effect": "Allow", "BucketPolicy.PolicyDocument.Statement.0.Principal.AWS": []any{"arn:aws:iam::1:root"}}, []string{"shop/BucketPolicy lets in arn:aws:iam::1:root"}},
		{"S3.10", object{"Bucket.LifecycleConfiguration": nil, "Bucket.VersioningConfiguration": object{"Status": "Enabled"}}, []string{"shop/Bucket has no lifecycle"}},
		{"S3.12", object{"Bucket.OwnershipControls.Rules.0.ObjectOwnership": "ObjectWriter"}, []string{"shop/Bucket lets access control lists decide"}},
		{"S3.12", object{"Bucket.OwnershipControls": nil}, []string{"shop/Bucket lets access control lists decide"}},
		{"S3.13", object{"Bucket.LifecycleConfiguration.Rules": []any{}}, []string{"shop/Bucket has no lifecycle"}},
		{"DynamoDB.1", object{"Table.BillingMode": nil}, []string{"shop/Table has provisioned capacity"}},
		{"DynamoDB.2", object{"Table.Replicas.0.PointInTimeRecoverySpecification.PointInTimeRecoveryEnabled": false}, []string{"shop/Table has no point-in-time recovery"}},
		{"DynamoDB.5", object{"Table.Replicas.0.Tags": nil}, []string{"shop/Table has no tag"}},
		{"DynamoDB.6", object{"Table.Replicas.0.DeletionProtectionEnabled": nil}, []string{"shop/Table is not protected from being deleted"}},
		{"RDS.2", object{"Writer.PubliclyAccessible": true}, []string{"shop/Writer may have a public address"}},
		{"RDS.2", object{"Writer.PubliclyAccessible": nil}, []string{"shop/Writer may have a public address"}},
		{"RDS.3", object{"Database.StorageEncrypted": nil}, []string{"shop/Reader is not encrypted", "shop/Writer is not encrypted"}},
		{"RDS.3", object{"Writer.DBClusterIdentifier": nil}, []string{"shop/Writer belongs to no cluster that is known"}},
		{"RDS.6", object{"Reader.MonitoringInterval": nil}, []string{"shop/Reader has no Enhanced Monitoring"}},
		{"RDS.6", object{"Reader.MonitoringInterval": nil, "Database.MonitoringInterval": 60}, nil},
		{"RDS.7", object{"Database.DeletionProtection": false}, []string{"shop/Database is not protected from being deleted"}},
		{"RDS.9", object{"Database.EnableCloudwatchLogsExports": nil}, []string{"shop/Reader keeps its logs", "shop/Writer keeps its logs"}},
		{"RDS.10", object{"Database.EnableIAMDatabaseAuthentication": false}, []string{"shop/Reader takes no tokens of IAM", "shop/Writer takes no tokens of IAM"}},
		{"RDS.11", object{"Database.BackupRetentionPeriod": 6}, []string{"shop/Reader keeps backups for less than a week", "shop/Writer keeps backups for less than a week"}},
		{"RDS.12", object{"Database.EnableIAMDatabaseAuthentication": nil}, []string{"shop/Database takes no tokens of IAM"}},
		{"RDS.13", object{"Writer.AutoMinorVersionUpgrade": false}, []string{"shop/Writer does not upgrade itself"}},
		{"RDS.15", object{"Reader": nil}, []string{"shop/Database has instances in one zone"}},
		{"RDS.15", object{"SubnetGroup.SubnetIds": refs("SubnetA")}, []string{"shop/Database has instances in one zone"}},
		{"RDS.16", object{"Database.CopyTagsToSnapshot": nil}, []string{"shop/Database does not copy its tags to snapshots"}},
		{"RDS.18", object{"Database.DBSubnetGroupName": nil}, []string{"shop/Reader names no subnets", "shop/Writer names no subnets"}},
		{"RDS.19", object{"ClusterEvents.EventCategories": []any{"maintenance"}}, []string{"shop/ClusterEvents does not tell of failure"}},
		{"RDS.19", object{"ClusterEvents.Enabled": false}, []string{"shop/ClusterEvents does not tell of failure"}},
		{"RDS.19", object{"ClusterEvents.EventCategories": nil, "InstanceEvents.Enabled": false}, nil},
		{"RDS.20", object{"InstanceEvents.EventCategories": []any{"failure", "maintenance"}}, []string{"shop/InstanceEvents does not tell of configuration change"}},
		{"RDS.21", object{"ParameterEvents.EventCategories": []any{"failure"}}, []string{"shop/ParameterEvents does not tell of configuration change"}},
		{"RDS.22", object{"GroupEvents.EventCategories": []any{"failure"}}, []string{"shop/GroupEvents does not tell of configuration change"}},
		{"RDS.23", object{"Database.Port": nil}, []string{"shop/Reader is at the default port", "shop/Writer is at the default port"}},
		{"RDS.23", object{"Database.Port": 3306}, []string{"shop/Reader is at the default port", "shop/Writer is at the default port"}},
		{"RDS.24", object{"Database.MasterUsername": "postgres"}, []string{"shop/Database has the usual administrator"}},
		{"RDS.24", object{"Database.MasterUsername": nil}, []string{"shop/Database has the usual administrator"}},
		{"RDS.25", object{"Database.MasterUsername": "admin"}, []string{"shop/Reader has the usual administrator", "shop/Writer has the usual administrator"}},
		{"RDS.27", object{"Database.StorageEncrypted": false}, []string{"shop/Database is not encrypted"}},
		{"RDS.35", object{"Database.AutoMinorVersionUpgrade": false}, []string{"shop/Database does not upgrade itself"}},
		{"RDS.37", object{"Database.EnableCloudwatchLogsExports": []any{"instance"}}, []string{"shop/Database keeps its logs"}},
		{"RDS.38", object{"Parameters.Parameters": nil}, []string{"shop/Reader takes connections without encryption", "shop/Writer takes connections without encryption"}},
		{"RDS.46", object{"SubnetB.MapPublicIpOnLaunch": true}, []string{"shop/Reader is in a subnet that gives out public addresses", "shop/Writer is in a subnet that gives out public addresses"}},
		{"RDS.46", object{"SubnetGroup.SubnetIds": []any{"subnet-1"}}, []string{"shop/Reader is in a subnet that is not known", "shop/Writer is in a subnet that is not known"}},
		{"RDS.46", object{"Database.DBSubnetGroupName": nil}, []string{"shop/Reader is in subnets that are not known", "shop/Writer is in subnets that are not known"}},
		{"RDS.50", object{"Database.BackupRetentionPeriod": nil}, []string{"shop/Database keeps backups for less than a week"}},
		{"MQ.3", object{"Broker": object{"Type": "AWS::AmazonMQ::Broker"}}, []string{"shop/Broker does not upgrade itself"}},
		{"MQ.4", object{"Broker": object{"Type": "AWS::AmazonMQ::Broker"}}, []string{"shop/Broker has no tag"}},
		{"MQ.6", object{"Broker": object{"Type": "AWS::AmazonMQ::Broker", "Properties": object{"DeploymentMode": "SINGLE_INSTANCE"}}}, []string{"shop/Broker has one node"}},
		{"mq-no-public-access", object{"Broker": object{"Type": "AWS::AmazonMQ::Broker", "Properties": object{"PubliclyAccessible": true}}}, []string{"shop/Broker may be reached from the internet"}},
		{"SQS.1", object{"Queue": object{"Type": "AWS::SQS::Queue", "Properties": object{"SqsManagedSseEnabled": false}}}, []string{"shop/Queue is not encrypted"}},
		{"SQS.2", object{"Queue": object{"Type": "AWS::SQS::Queue"}}, []string{"shop/Queue has no tag"}},
		{"SQS.3", object{"Queue": object{"Type": "AWS::SQS::Queue"}}, []string{"1 of type AWS::SQS::Queue have no policy"}},
		{"SNS.1", object{"Topic.KmsMasterKeyId": nil}, []string{"shop/Topic has no key"}},
		{"SNS.4", object{"TopicPolicy.PolicyDocument.Statement.0.Principal": "*"}, []string{"shop/TopicPolicy lets in *"}},
	}
	// The old door: what the load balancer admits past its fronts.
	inner := func(rule object) object {
		maps.Copy(rule, object{"IpProtocol": "tcp", "FromPort": 80, "ToPort": 80})
		return object{"Inner.SecurityGroupIngress": []any{object{"SourceSecurityGroupId": object{"Fn::GetAtt": []any{"Front", "GroupId"}}}, rule}}
	}
	door := func(who string) []string {
		return []string{"shop/Balancer admits " + who + " past its front: set directAccess to off"}
	}
	tests = append(tests,
		violation{"APIGateway.1", object{"Stage.MethodSettings": nil}, []string{"shop/Stage has no execution log for all methods"}},
		violation{"APIGateway.1", object{"Stage.MethodSettings.0.LoggingLevel": "OFF"}, []string{"shop/Stage has no execution log for * *"}},
		violation{"APIGateway.1", object{"Stage.MethodSettings.1.LoggingLevel": nil}, []string{"shop/Stage has no execution log for GET /api"}},
		violation{"APIGateway.3", object{"Stage.TracingEnabled": nil}, []string{"shop/Stage is not traced"}},
		violation{"APIGateway.4", object{"Association": nil}, []string{"shop/Stage has no web ACL"}},
		violation{"APIGateway.4", object{"Association.ResourceArn": object{"Fn::Sub": "arn:${AWS::Partition}:apigateway:${AWS::Region}::/restapis/${Api}/stages/other"}}, []string{"shop/Stage has no web ACL"}},
		violation{"APIGateway.4", object{"Association.ResourceArn": object{"Fn::Join": []any{"", []any{"arn:aws:apigateway:us-east-1::/restapis/", object{"Ref": "Api"}, "/stages/", object{"Ref": "Stage"}}}}}, nil},
		violation{"APIGateway.5", object{"Stage.MethodSettings.1.CacheDataEncrypted": false}, []string{"shop/Stage does not encrypt the cache of GET /api"}},
		violation{"APIGateway.5", object{"Stage.MethodSettings.1.CacheDataEncrypted": nil, "Stage.MethodSettings.1.CachingEnabled": nil}, nil},
		violation{"CloudFront.1", object{"Distribution.DistributionConfig.DefaultRootObject": nil}, []string{"shop/Distribution has no default root object"}},
		violation{"CloudFront.3", object{"Distribution.DistributionConfig.DefaultCacheBehavior.ViewerProtocolPolicy": "allow-all"}, []string{"shop/Distribution answers over plain HTTP for all other paths"}},
		violation{"CloudFront.3", object{"Distribution.DistributionConfig.CacheBehaviors.0.ViewerProtocolPolicy": nil}, []string{"shop/Distribution answers over plain HTTP for /api*"}},
		violation{"CloudFront.5", object{"Distribution.DistributionConfig.Logging": nil}, []string{"shop/Distribution does not log requests"}},
		violation{"CloudFront.7", object{"Distribution.DistributionConfig.ViewerCertificate": nil}, []string{"shop/Distribution has CloudFront's certificate"}},
		violation{"CloudFront.8", object{"Distribution.DistributionConfig.ViewerCertificate.SslSupportMethod": "vip"}, []string{"shop/Distribution has an address of its own"}},
		violation{"CloudFront.8", object{"Distribution.DistributionConfig.ViewerCertificate": nil}, nil},
		violation{"CloudFront.9", object{"Distribution.DistributionConfig.Origins.1.CustomOriginConfig.OriginProtocolPolicy": "match-viewer"}, []string{"shop/Distribution asks by plain HTTP (api)"}},
		violation{"CloudFront.10", object{"Distribution.DistributionConfig.Origins.1.CustomOriginConfig.OriginSSLProtocols": []any{"SSLv3", "TLSv1.2"}}, []string{"shop/Distribution uses SSL 3 (api)"}},
		violation{"CloudFront.12", object{"Distribution.DistributionConfig.Origins.0.DomainName": "gone.s3.amazonaws.com"}, []string{"shop/Distribution is no bucket of the templates (page)"}},
		violation{"CloudFront.13", object{"Distribution.DistributionConfig.Origins.0.OriginAccessControlId": nil}, []string{"shop/Distribution has no origin access control (page)"}},
		violation{"CloudFront.15", object{"Distribution.DistributionConfig.ViewerCertificate.MinimumProtocolVersion": "TLSv1"}, []string{"shop/Distribution has the policy TLSv1"}},
		violation{"CloudFront.15", object{"Distribution.DistributionConfig.ViewerCertificate.MinimumProtocolVersion": nil}, []string{"shop/Distribution has the policy none"}},
		violation{"CloudFront.15", object{"Distribution.DistributionConfig.ViewerCertificate": nil}, nil},
		violation{"Cutover.1", inner(object{"CidrIp": "0.0.0.0/0"}), door("anybody")},
		violation{"Cutover.1", inner(object{"CidrIpv6": "::/0"}), door("anybody")},
		violation{"Cutover.1", inner(object{"CidrIp": object{"Fn::GetAtt": []any{"Vpc", "CidrBlock"}}}), door("10.0.0.0/16")},
		violation{"Cutover.1", inner(object{"SourceSecurityGroupId": object{"Fn::GetAtt": []any{"Firewall", "GroupId"}}}), door("shop/Firewall")},
		violation{"Cutover.1", inner(object{"SourcePrefixListId": "pl-1"}), nil}, // CloudFront's
		violation{"Cutover.1", object{"Way": nil, "Distribution": nil, "Inner.SecurityGroupIngress": []any{object{"SourcePrefixListId": "pl-1", "IpProtocol": "tcp"}}}, door("pl-1")},
		violation{"Cutover.1", object{"Balancer.SecurityGroups": []any{"sg-1"}}, door("whom its security groups admit, which are not known")},
		violation{"Cutover.1", object{"Balancer.SecurityGroups": refs("Firewall"), "Method": nil, "Way": nil, "Distribution": nil}, nil}, // no front
		// A service that calls through the load balancer is no door.
		violation{"Cutover.1", object{"Task.NetworkMode": "awsvpc", "Service.TaskDefinition": object{"Ref": "Task"}, "Service.NetworkConfiguration": object{"AwsvpcConfiguration": object{"SecurityGroups": refs("Firewall")}},
			"Inner.SecurityGroupIngress": []any{object{"SourceSecurityGroupId": object{"Fn::GetAtt": []any{"Firewall", "GroupId"}}, "IpProtocol": "tcp"}}}, nil},
		violation{"S3.10", object{"Bucket.LifecycleConfiguration": nil}, nil}, // no versions
		violation{"S3.12", object{"Distribution.DistributionConfig.Logging": nil}, []string{"shop/Lines lets access control lists decide"}},
		violation{"S3.13", object{"PageFiles": nil}, []string{"shop/Page has no lifecycle"}},
		violation{"WAF.10", object{"Acl.Rules": nil}, []string{"shop/Acl has no rule"}},
		violation{"WAF.12", object{"Acl.Rules.0.VisibilityConfig": nil}, []string{"shop/Acl has no metrics for common"}},
		violation{"Lambda.1", object{"Permission": object{"Type": "AWS::Lambda::Permission", "Properties": object{"Action": "lambda:InvokeFunction", "Principal": "apigateway.amazonaws.com", "SourceArn": "arn:aws:execute-api:us-east-1:1:a/live/*/*"}}}, nil},
		violation{"Lambda.1", object{"Permission": object{"Type": "AWS::Lambda::Permission", "Properties": object{"Action": "lambda:InvokeFunction", "Principal": "apigateway.amazonaws.com"}}}, []string{"shop/Permission lets somebody call a function"}},
	)
	for control, id := range map[string]string{
		"AutoScaling.10": "Group", "EC2.37": "Address", "EC2.39": "Internet", "EC2.40": "Nat", "EC2.42": "Routes", "EC2.43": "Firewall", "EC2.44": "SubnetB", "EC2.46": "Vpc",
		"EC2.48": "FlowLog", "ECS.13": "Service", "ECS.14": "Cluster", "ECS.15": "Task", "SNS.3": "Topic",
		"RDS.28": "Database", "RDS.30": "Writer", "RDS.33": "SubnetGroup", "CloudFront.14": "Distribution",
	} {
		tests = append(tests, violation{control, object{id + ".Tags": nil}, []string{"shop/" + id + " has no tag"}})
	}
	for _, part := range []string{"BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets"} {
		tests = append(tests, violation{"S3.8", object{"Bucket.PublicAccessBlockConfiguration." + part: false}, []string{"shop/Bucket does not have " + part}})
	}
	violated := map[string]bool{}
	for _, test := range tests {
		violated[test.control] = violated[test.control] || len(test.want) > 0
		i := slices.IndexFunc(controls.All, func(c controls.Control) bool { return c.ID == test.control })
		if i < 0 {
			t.Errorf("there is no control %s", test.control)
			continue
		}
		var got []string
		for _, finding := range controls.All[i].Check(read(t, test.change)) {
			got = append(got, finding.String())
		}
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%s with %v (-want +got):\n%s", test.control, slices.Sorted(maps.Keys(test.change)), diff)
		}
	}
	meets, nothing := read(t, nil), empty(t)
	for _, control := range controls.All {
		if control.Argued() {
			if findings := control.Check(nothing); len(findings) > 0 {
				t.Errorf("%s is argued, and checked: %v", control.ID, findings)
			}
			continue
		}
		if !violated[control.ID] {
			t.Errorf("no template of the table violates %s", control.ID)
		}
		if findings := control.Check(meets); len(findings) > 0 {
			t.Errorf("%s: the template that should meet it does not: %v", control.ID, findings)
		}
		// Nothing to look at is not met, unless a deployment may do without.
		if findings := control.Check(nothing); (len(findings) == 0) != (control.Optional != "") {
			t.Errorf("%s, optional %q: a template without resources has the findings %v", control.ID, control.Optional, findings)
		}
	}
}

// empty is an assembly with none of the resources.
func empty(t *testing.T) *model.Model {
	t.Helper()
	var resources map[string]any
	if err := json.Unmarshal([]byte(good), &resources); err != nil {
		t.Fatal(err)
	}
	for id := range resources {
		resources[id] = nil
	}
	resources["Parameter"], resources["(stack)"] = object{"Type": "AWS::SSM::Parameter"}, nil
	return read(t, resources)
}

// Each control is there once, in the order of the numbers, with a title, a type and what goes with its state.
func TestTable(t *testing.T) {
	last := map[string]int{} // number by service
	for _, c := range controls.All {
		service, number, ok := strings.Cut(c.ID, ".")
		if n, _ := strconv.Atoi(number); ok && n <= last[service] {
			t.Errorf("%s comes after %s.%d", c.ID, service, last[service])
		} else {
			last[service] = n
		}
		if c.Title == "" || !strings.HasPrefix(c.Type, "AWS::") {
			t.Errorf("%s has the title %q and the type %q", c.ID, c.Title, c.Type)
		}
		state, _, _ := strings.Cut(strings.TrimPrefix(c.Reason, "not "), " ")
		switch state = strings.TrimSuffix(state, ":"); {
		case c.Argued() && (c.Setting != "" || state != "met" && state != "does"):
			t.Errorf("%s is argued: %q, and has the setting %q: say that it is met, is not met or does not apply", c.ID, c.Reason, c.Setting)
		case !c.Argued() && (c.Setting == "") != (c.Reason == ""):
			t.Errorf("%s has the setting %q and the reason %q", c.ID, c.Setting, c.Reason)
		}
	}
}

// What the table says nothing about is told.
func TestUnlisted(t *testing.T) {
	if got := controls.Unlisted(read(t, nil)); got != nil {
		t.Errorf("%v, want none", got)
	}
	stream := object{"Type": "AWS::Kinesis::Stream"}
	if got := controls.Unlisted(read(t, object{"Stream": stream, "Another": stream})); !slices.Equal(got, []string{"AWS::Kinesis::Stream"}) {
		t.Errorf("%v, want the stream's type", got)
	}
}

func TestURL(t *testing.T) {
	for id, want := range map[string]string{
		"EC2.181":                        "https://docs.aws.amazon.com/securityhub/latest/userguide/ec2-controls.html#ec2-181",
		"cloudwatch-log-group-encrypted": "https://docs.aws.amazon.com/config/latest/developerguide/cloudwatch-log-group-encrypted.html",
	} {
		if i := slices.IndexFunc(controls.All, func(c controls.Control) bool { return c.ID == id }); i < 0 {
			t.Errorf("there is no %s", id)
		} else if got := controls.All[i].URL(); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

// With all services on Fargate there are no instances to look at. With one service elsewhere, or an
// instance, there are.
func TestWithoutInstances(t *testing.T) {
	gone := func(more object) object {
		change := object{"Group": nil, "Template": nil, "Provider": nil, "Service.LaunchType": "FARGATE"}
		maps.Copy(change, more)
		return change
	}
	failed := func(m *model.Model) (ids []string) {
		for _, control := range controls.All {
			if len(control.Check(m)) > 0 {
				ids = append(ids, control.ID)
			}
		}
		return ids
	}
	ofInstances := []string{"AutoScaling.2", "AutoScaling.3", "AutoScaling.5", "AutoScaling.6", "AutoScaling.9", "AutoScaling.10",
		"EC2.3", "EC2.8", "EC2.9", "EC2.17", "EC2.25", "EC2.38", "EC2.45", "EC2.170", "EC2.175", "EC2.181", "ECS.19"}
	if got := failed(read(t, gone(nil))); got != nil {
		t.Errorf("all services on Fargate fail %v", got)
	}
	another := object{"Another": object{"Type": "AWS::ECS::Service", "Properties": object{"Tags": []object{{"Key": "app", "Value": "shop"}}}}}
	if diff := cmp.Diff(ofInstances, failed(read(t, gone(another)))); diff != "" {
		t.Errorf("another service on EC2 (-want +got):\n%s", diff)
	}
	if got := failed(read(t, gone(object{"Machine": object{"Type": "AWS::EC2::Instance"}}))); !slices.Contains(got, "EC2.8") {
		t.Errorf("an instance beside Fargate fails %v", got)
	}
}

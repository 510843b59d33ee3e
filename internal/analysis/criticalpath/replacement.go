package criticalpath

import (
	"slices"

	"cutover/internal/assembly"
)

// replaced are the properties by type for whose sake CloudFormation makes a
// resource anew, as the page of each type says ("Update requires: Replacement"):
// https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-template-resource-type-ref.html.
// Parts of a property count with the whole of it.
var replaced = map[string][]string{
	"AWS::ApplicationAutoScaling::ScalableTarget":   {"ResourceId", "ScalableDimension", "ServiceNamespace"},
	"AWS::ApplicationAutoScaling::ScalingPolicy":    {"PolicyName", "ResourceId", "ScalableDimension", "ScalingTargetId", "ServiceNamespace"},
	"AWS::AutoScaling::AutoScalingGroup":            {"AutoScalingGroupName", "InstanceId"},
	"AWS::CloudWatch::Alarm":                        {"AlarmName"},
	"AWS::CloudWatch::Dashboard":                    {"DashboardName"},
	"AWS::EC2::EIP":                                 {"Address", "Domain", "IpamPoolId", "NetworkBorderGroup", "TransferAddress"},
	"AWS::EC2::FlowLog":                             {allBut, "Tags"},
	"AWS::EC2::InternetGateway":                     {},
	"AWS::EC2::LaunchTemplate":                      {"LaunchTemplateName"},
	"AWS::EC2::NatGateway":                          {"AllocationId", "AvailabilityMode", "ConnectivityType", "PrivateIpAddress", "SubnetId", "VpcId"},
	"AWS::EC2::Route":                               {"DestinationCidrBlock", "DestinationIpv6CidrBlock", "DestinationPrefixListId", "RouteTableId"},
	"AWS::EC2::RouteTable":                          {"VpcId"},
	"AWS::EC2::SecurityGroup":                       {"GroupDescription", "GroupName", "VpcId"},
	"AWS::EC2::SecurityGroupEgress":                 {allBut, "Description"},
	"AWS::EC2::SecurityGroupIngress":                {allBut, "Description"},
	"AWS::EC2::Subnet":                              {allBut, "AssignIpv6AddressOnCreation", "EnableDns64", "EnableLniAtDeviceIndex", "MapPublicIpOnLaunch", "PrivateDnsNameOptionsOnLaunch", "Tags"},
	"AWS::EC2::SubnetRouteTableAssociation":         {allBut},
	"AWS::EC2::VPC":                                 {"CidrBlock", "Ipv4IpamPoolId", "Ipv4NetmaskLength"},
	"AWS::EC2::VPCEndpoint":                         {"ResourceConfigurationArn", "ServiceName", "ServiceNetworkArn", "ServiceRegion", "VpcEndpointType", "VpcId"},
	"AWS::EC2::VPCGatewayAttachment":                {"VpcId"},
	"AWS::ECR::Repository":                          {"EncryptionConfiguration", "RepositoryName"},
	"AWS::ECS::CapacityProvider":                    {"Name"},
	"AWS::ECS::Cluster":                             {"ClusterName"},
	"AWS::ECS::ClusterCapacityProviderAssociations": {"Cluster"},
	serviceType:                                     {"Cluster", "DeploymentController", "LaunchType", "Role", "SchedulingStrategy", "ServiceName"},
	taskDefinitionType:                              {allBut, "Tags"},
	"AWS::ElasticLoadBalancingV2::Listener":         {"LoadBalancerArn"},
	"AWS::ElasticLoadBalancingV2::ListenerRule":     {"ListenerArn"},
	"AWS::ElasticLoadBalancingV2::LoadBalancer":     {"Name", "Scheme", "Type"},
	targetGroupType:                                 {"IpAddressType", "Name", "Port", "Protocol", "ProtocolVersion", "TargetType", "VpcId"},
	"AWS::IAM::InstanceProfile":                     {"InstanceProfileName", "Path"},
	"AWS::IAM::Policy":                              {},
	"AWS::IAM::Role":                                {"Path", "RoleName"},
	"AWS::KMS::Key":                                 {},
	"AWS::Lambda::Function":                         {"FunctionName", "PackageType", "TenancyConfig"},
	"AWS::Logs::LogGroup":                           {"LogGroupName"},
	"AWS::Logs::QueryDefinition":                    {},
	"AWS::S3::Bucket":                               {"BucketName", "BucketNamePrefix", "BucketNamespace", "ObjectLockEnabled"},
	"AWS::S3::BucketPolicy":                         {"Bucket"},
	"AWS::SNS::Topic":                               {"FifoTopic", "TopicName"},
	"AWS::SNS::TopicPolicy":                         {},
	"AWS::SSM::Parameter":                           {"Name"},
}

// allBut stands before the properties that can be updated in place, where they are
// the fewer.
const allBut = "all but"

// moving are attributes that have another value when their resource is updated in
// place.
// https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-ec2-launchtemplate.html
var moving = map[string][]string{
	"AWS::EC2::LaunchTemplate": {"LatestVersionNumber"},
}

// replaces says whether the changes make CloudFormation replace a resource. Of a
// type that it does not know it takes for granted that they do not.
func (d *deployment) replaces(was, is *assembly.Resource, changed []string) bool {
	if was.Type != is.Type {
		return true
	}
	names, known := replaced[is.Type]
	if !known && len(changed) > 0 {
		d.unknown["whether an update replaces "+is.Type] = true
	}
	updatable := len(names) > 0 && names[0] == allBut
	return slices.ContainsFunc(changed, func(name string) bool { return slices.Contains(names, name) != updatable })
}

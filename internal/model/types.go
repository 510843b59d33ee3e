package model

import (
	"cmp"
	"maps"
	"slices"

	"cutover/internal/assembly"
)

// Names of the resource types that something reads. No other package spells one.
const (
	MQBroker = "AWS::AmazonMQ::Broker"

	APIGatewayAccount    = "AWS::ApiGateway::Account"
	APIGatewayDeployment = "AWS::ApiGateway::Deployment"
	APIGatewayMethod     = "AWS::ApiGateway::Method"
	APIGatewayModel      = "AWS::ApiGateway::Model"
	APIGatewayResource   = "AWS::ApiGateway::Resource"
	APIGatewayRestAPI    = "AWS::ApiGateway::RestApi"
	APIGatewayStage      = "AWS::ApiGateway::Stage"
	APIGatewayValidator  = "AWS::ApiGateway::RequestValidator"
	// APIGatewayVPCLink is a VPC link V2, which REST APIs have, too.
	APIGatewayVPCLink = "AWS::ApiGatewayV2::VpcLink"

	EC2AutoScalingGroup    = "AWS::AutoScaling::AutoScalingGroup"
	EC2LaunchConfiguration = "AWS::AutoScaling::LaunchConfiguration"

	CloudFormationStack = "AWS::CloudFormation::Stack"

	CloudFrontCachePolicy           = "AWS::CloudFront::CachePolicy"
	CloudFrontDistribution          = "AWS::CloudFront::Distribution"
	CloudFrontFunction              = "AWS::CloudFront::Function"
	CloudFrontOriginAccessControl   = "AWS::CloudFront::OriginAccessControl"
	CloudFrontOriginRequestPolicy   = "AWS::CloudFront::OriginRequestPolicy"
	CloudFrontResponseHeadersPolicy = "AWS::CloudFront::ResponseHeadersPolicy"
	CloudFrontVPCOrigin             = "AWS::CloudFront::VpcOrigin"
	// BucketDeployment is CDK's resource that copies files into a bucket.
	BucketDeployment = "Custom::CDKBucketDeployment"

	CloudWatchAlarm = "AWS::CloudWatch::Alarm"

	EC2FlowLog              = "AWS::EC2::FlowLog"
	EC2Instance             = "AWS::EC2::Instance"
	EC2LaunchTemplate       = "AWS::EC2::LaunchTemplate"
	EC2SecurityGroup        = "AWS::EC2::SecurityGroup"
	EC2SecurityGroupEgress  = "AWS::EC2::SecurityGroupEgress"
	EC2SecurityGroupIngress = "AWS::EC2::SecurityGroupIngress"
	EC2Subnet               = "AWS::EC2::Subnet"
	EC2VPC                  = "AWS::EC2::VPC"
	EC2VPCEndpoint          = "AWS::EC2::VPCEndpoint"
	// DefaultGroupRestriction is CDK's resource that empties a VPC's default security group.
	DefaultGroupRestriction = "Custom::VpcRestrictDefaultSG"

	DynamoDBTable       = "AWS::DynamoDB::Table"
	DynamoDBGlobalTable = "AWS::DynamoDB::GlobalTable"

	CloudMapHTTPNamespace    = "AWS::ServiceDiscovery::HttpNamespace"
	CloudMapPrivateNamespace = "AWS::ServiceDiscovery::PrivateDnsNamespace"
	CloudMapPublicNamespace  = "AWS::ServiceDiscovery::PublicDnsNamespace"
	CloudMapService          = "AWS::ServiceDiscovery::Service"

	ECRRepository       = "AWS::ECR::Repository"
	ECSCapacityProvider = "AWS::ECS::CapacityProvider"
	ECSCluster          = "AWS::ECS::Cluster"
	// ECSClusterCapacityProviders says which capacity providers a cluster has, and which by default.
	ECSClusterCapacityProviders = "AWS::ECS::ClusterCapacityProviderAssociations"
	ECSService                  = "AWS::ECS::Service"
	ECSTaskDefinition           = "AWS::ECS::TaskDefinition"

	EFSAccessPoint = "AWS::EFS::AccessPoint"
	EFSFileSystem  = "AWS::EFS::FileSystem"
	EFSMountTarget = "AWS::EFS::MountTarget"

	ELBListener     = "AWS::ElasticLoadBalancingV2::Listener"
	ELBListenerRule = "AWS::ElasticLoadBalancingV2::ListenerRule"
	ELBLoadBalancer = "AWS::ElasticLoadBalancingV2::LoadBalancer"
	ELBTargetGroup  = "AWS::ElasticLoadBalancingV2::TargetGroup"

	Route53RecordSet = "AWS::Route53::RecordSet"

	IAMInstanceProfile = "AWS::IAM::InstanceProfile"
	IAMManagedPolicy   = "AWS::IAM::ManagedPolicy"
	IAMPolicy          = "AWS::IAM::Policy"
	IAMRole            = "AWS::IAM::Role"

	AppAutoScalingTarget = "AWS::ApplicationAutoScaling::ScalableTarget"
	AppAutoScalingPolicy = "AWS::ApplicationAutoScaling::ScalingPolicy"

	EventsRule        = "AWS::Events::Rule"
	SchedulerSchedule = "AWS::Scheduler::Schedule"

	KMSAlias = "AWS::KMS::Alias"

	LambdaAlias       = "AWS::Lambda::Alias"
	LambdaEventSource = "AWS::Lambda::EventSourceMapping"
	LambdaFunction    = "AWS::Lambda::Function"
	LambdaPermission  = "AWS::Lambda::Permission"
	LambdaVersion     = "AWS::Lambda::Version"

	RDSCluster               = "AWS::RDS::DBCluster"
	RDSClusterParameterGroup = "AWS::RDS::DBClusterParameterGroup"
	RDSEventSubscription     = "AWS::RDS::EventSubscription"
	RDSInstance              = "AWS::RDS::DBInstance"
	RDSSubnetGroup           = "AWS::RDS::DBSubnetGroup"

	SecretsManagerAttachment = "AWS::SecretsManager::SecretTargetAttachment"
	SecretsManagerRotation   = "AWS::SecretsManager::RotationSchedule"
	SecretsManagerSecret     = "AWS::SecretsManager::Secret"
	SSMParameter             = "AWS::SSM::Parameter"

	SNSSubscription = "AWS::SNS::Subscription"
	SQSQueue        = "AWS::SQS::Queue"
	SQSQueuePolicy  = "AWS::SQS::QueuePolicy"

	WAFWebACL            = "AWS::WAFv2::WebACL"
	WAFWebACLAssociation = "AWS::WAFv2::WebACLAssociation"
	WAFLogging           = "AWS::WAFv2::LoggingConfiguration"
)

// facts are what AWS documents of a resource type.
type facts struct {
	// replacing are the properties whose change replaces the resource; nil if not known.
	replacing func(property string) bool
	// costs are keys of prices in package cost: [] if free or paid by its parts, nil if not known.
	costs []string
	// moving are attributes that get another value when the resource is updated in place.
	moving []string
}

// Keeps says whether a resource of a type has data that go with it: a replacement loses them, unless a
// policy of the template keeps the old resource or a snapshot of it.
// "Doing so might result in the deletion of your DynamoDB table" and "you lose the data when AWS
// CloudFormation replaces your DB cluster" are in the pages of both types. An instance of a cluster has none of the data: they are in the
// cluster's volume. A broker has the messages of its queues.
func Keeps(r *assembly.Resource) bool {
	switch r.Type {
	case DynamoDBTable, DynamoDBGlobalTable, RDSCluster, EFSFileSystem, MQBroker:
		return true
	case RDSInstance:
		return r.Properties["DBClusterIdentifier"] == nil
	}
	return false
}

// Kept says what CloudFormation does with a resource that leaves its template: "Delete", "Retain" or
// "Snapshot". A policy that a template does not name is Delete, but Snapshot for a DB cluster, and for a
// DB instance outside of one.
// https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-attribute-deletionpolicy.html
func Kept(r *assembly.Resource) string {
	if (r.Type == RDSCluster || r.Type == RDSInstance) && Keeps(r) {
		return cmp.Or(r.DeletionPolicy, "Snapshot")
	}
	return cmp.Or(r.DeletionPolicy, "Delete")
}

// only and allBut are the named properties, or all others.
func only(names ...string) func(string) bool {
	return func(name string) bool { return slices.Contains(names, name) }
}
func allBut(names ...string) func(string) bool {
	return func(name string) bool { return !slices.Contains(names, name) }
}

var free = []string{}

// clusterReplacing and instanceReplacing are the properties of databases whose change replaces them, each
// with what replaces them only in some cases.
var (
	clusterReplacing = []string{
		"AvailabilityZones", "ClusterScalabilityType", "DBClusterIdentifier", "DBSubnetGroupName", "DBSystemId", "DatabaseName", "Engine", "EngineMode",
		"GlobalClusterIdentifier", "KmsKeyId", "MasterUsername", "PubliclyAccessible", "RestoreToTime", "RestoreType", "SnapshotIdentifier",
		"SourceDBClusterIdentifier", "SourceDbClusterResourceId", "SourceRegion", "StorageEncrypted", "UseLatestRestorableTime",
	}
	instanceReplacing = []string{
		"AvailabilityZone", "BackupTarget", "CharacterSetName", "CustomIAMInstanceProfile", "DBClusterIdentifier", "DBClusterSnapshotIdentifier",
		"DBInstanceIdentifier", "DBName", "DBSnapshotIdentifier", "DBSubnetGroupName", "DBSystemId", "Engine", "KmsKeyId", "MasterUsername", "NcharCharacterSetName",
		"Port", "SourceDBInstanceIdentifier", "SourceRegion", "StorageEncrypted", "Timezone",
	}
)

// types is the one table of facts. Which property replaces is on the page of each type
// ("Update requires: Replacement"); parts of a property count with the whole property:
// https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-template-resource-type-ref.html.
// What runs on this machine is not in the table: the providers of the local target say so.
var types = map[string]facts{
	APIGatewayAccount:                       {only(), free, nil},
	APIGatewayDeployment:                    {only("DeploymentCanarySettings", "RestApiId"), free, nil},
	APIGatewayMethod:                        {only("HttpMethod", "ResourceId", "RestApiId"), free, nil},
	APIGatewayModel:                         {only("ContentType", "Name", "RestApiId"), free, nil},
	APIGatewayValidator:                     {only("Name", "RestApiId"), free, nil},
	APIGatewayResource:                      {only("ParentId", "PathPart", "RestApiId"), free, nil},
	APIGatewayRestAPI:                       {only(), free, nil}, // its stages cost
	APIGatewayStage:                         {only("RestApiId", "StageName"), []string{"apiRequests", "apiTransfer", "apiCache", "apiMetrics", "traces"}, nil},
	APIGatewayVPCLink:                       {only("SecurityGroupIds", "SubnetIds"), free, nil}, // the page of prices has none for it
	DynamoDBTable:                           {only("ImportSourceSpecification", "KeySchema", "TableName"), []string{"tableWrites", "tableReads", "tableStorage", "tableBackups"}, nil},
	DynamoDBGlobalTable:                     {only("KeySchema", "LocalSecondaryIndexes", "TableName"), []string{"tableWrites", "tableReads", "tableStorage", "tableBackups"}, nil},
	EC2AutoScalingGroup:                     {only("AutoScalingGroupName", "InstanceId"), free, nil}, // its instances cost
	EC2LaunchConfiguration:                  {nil, free, nil},
	"AWS::AutoScaling::LifecycleHook":       {nil, free, nil},
	"AWS::CDK::Metadata":                    {nil, free, nil},
	CloudFrontCachePolicy:                   {only(), free, nil},
	CloudFrontDistribution:                  {only(), []string{"distributionRequests", "distributionTransfer", "originTransfer"}, nil},
	CloudFrontFunction:                      {only("Name"), []string{"edgeFunctions"}, nil},
	CloudFrontOriginAccessControl:           {only(), free, nil},
	CloudFrontOriginRequestPolicy:           {only(), free, nil},
	CloudFrontResponseHeadersPolicy:         {only(), free, nil},
	CloudFrontVPCOrigin:                     {only(), free, nil},
	BucketDeployment:                        {nil, free, nil},
	CloudWatchAlarm:                         {only("AlarmName"), []string{"alarm"}, nil},
	"AWS::CloudWatch::Dashboard":            {only("DashboardName"), []string{"dashboard"}, nil},
	"AWS::EC2::EIP":                         {only("Address", "Domain", "IpamPoolId", "NetworkBorderGroup", "TransferAddress"), []string{"publicIPv4"}, nil},
	EC2FlowLog:                              {allBut("Tags"), free, nil},
	"AWS::EC2::InternetGateway":             {only(), free, nil},
	EC2LaunchTemplate:                       {only("LaunchTemplateName"), free, []string{"LatestVersionNumber"}}, // https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-ec2-launchtemplate.html
	"AWS::EC2::NatGateway":                  {only("AllocationId", "AvailabilityMode", "ConnectivityType", "PrivateIpAddress", "SubnetId", "VpcId"), []string{"natGateway", "gatewayTraffic"}, nil},
	"AWS::EC2::Route":                       {only("DestinationCidrBlock", "DestinationIpv6CidrBlock", "DestinationPrefixListId", "RouteTableId"), free, nil},
	EC2RouteTable:                           {only("VpcId"), free, nil},
	EC2SecurityGroup:                        {only("GroupDescription", "GroupName", "VpcId"), free, nil},
	EC2SecurityGroupEgress:                  {allBut("Description"), free, nil},
	EC2SecurityGroupIngress:                 {allBut("Description"), free, nil},
	EC2Subnet:                               {allBut("AssignIpv6AddressOnCreation", "EnableDns64", "EnableLniAtDeviceIndex", "MapPublicIpOnLaunch", "PrivateDnsNameOptionsOnLaunch", "Tags"), free, nil},
	"AWS::EC2::SubnetRouteTableAssociation": {allBut(), free, nil},
	EC2VPC:                                  {only("CidrBlock", "Ipv4IpamPoolId", "Ipv4NetmaskLength", "VpcEncryptionControl"), free, nil},
	EC2VPCEndpoint:                          {only("ResourceConfigurationArn", "ServiceName", "ServiceNetworkArn", "ServiceRegion", "VpcEndpointType", "VpcId"), []string{"endpoint"}, nil},
	"AWS::EC2::VPCGatewayAttachment":        {only("VpcId"), free, nil},
	DefaultGroupRestriction:                 {nil, free, nil},
	CloudMapHTTPNamespace:                   {only("Name"), free, nil},
	CloudMapPrivateNamespace:                {only("Name", "Vpc"), []string{"hostedZone", "dnsQueries"}, nil},
	CloudMapPublicNamespace:                 {only("Name"), []string{"hostedZone", "dnsQueries"}, nil},
	CloudMapService:                         {only("HealthCheckCustomConfig", "Name", "NamespaceId", "Type"), free, nil}, // ECS registers tasks, and tells their health, without a charge
	ECRRepository:                           {only("EncryptionConfiguration", "RepositoryName"), []string{"images"}, nil},
	ECSCapacityProvider:                     {only("ClusterName", "Name"), free, nil},
	ECSCluster:                              {only("ClusterName"), []string{"insightsMetric"}, nil},
	ECSClusterCapacityProviders:             {only("Cluster"), free, nil},
	ECSService:                              {only("Cluster", "DeploymentController", "LaunchType", "Role", "SchedulingStrategy", "ServiceName"), free, nil}, // its tasks share the instances
	ECSTaskDefinition:                       {allBut("Tags"), []string{"secretReads"}, nil},
	EFSAccessPoint:                          {only("ClientToken", "FileSystemId", "PosixUser", "RootDirectory"), free, nil},
	EFSFileSystem:                           {only("AvailabilityZoneName", "Encrypted", "KmsKeyId", "PerformanceMode"), []string{"fileStorage", "fileReads", "fileWrites", "fileBackups"}, nil},
	EFSMountTarget:                          {only("FileSystemId", "IpAddress", "IpAddressType", "Ipv6Address", "SubnetId"), free, nil},
	ELBListener:                             {only("LoadBalancerArn"), free, nil},
	ELBListenerRule:                         {only("ListenerArn"), free, nil},
	ELBLoadBalancer:                         {only("Name", "Scheme", "Type"), []string{"loadBalancer", "publicIPv4", "loadBalancerCapacity"}, nil},
	ELBTargetGroup:                          {only("IpAddressType", "Name", "Port", "Protocol", "ProtocolVersion", "TargetType", "VpcId"), free, nil},
	EventsRule:                              {only("EventBusName", "Name"), free, nil},
	SchedulerSchedule:                       {only("Name"), free, nil}, // up to 14 million invocations a month: https://aws.amazon.com/eventbridge/pricing/
	IAMInstanceProfile:                      {only("InstanceProfileName", "Path"), free, nil},
	IAMManagedPolicy:                        {nil, free, nil},
	IAMPolicy:                               {only(), free, nil},
	IAMRole:                                 {only("Path", "RoleName"), free, nil},
	KMSAlias:                                {only("AliasName"), free, nil},
	KMSKey:                                  {only(), []string{"key"}, nil},
	LambdaAlias:                             {only("FunctionName", "Name"), free, nil},
	LambdaEventSource:                       {only("AmazonManagedKafkaEventSourceConfig", "EventSourceArn", "SelfManagedEventSource", "SelfManagedKafkaEventSourceConfig", "StartingPosition", "StartingPositionTimestamp"), free, nil},
	LambdaFunction:                          {only("FunctionName", "PackageType", "TenancyConfig"), []string{"functionRequests", "functionSecondsX86", "functionSecondsARM"}, nil},
	"AWS::Lambda::LayerVersion":             {allBut(), free, nil},
	LambdaPermission:                        {nil, free, nil},
	LambdaVersion:                           {only("CodeSha256", "Description", "FunctionName", "ProvisionedConcurrencyConfig", "RuntimePolicy"), free, nil},
	"AWS::Logs::LogGroup":                   {only("LogGroupName"), []string{"logs"}, nil},
	"AWS::Logs::MetricFilter":               {only("FilterName", "LogGroupName"), []string{"metric"}, nil},
	"AWS::Logs::QueryDefinition":            {only(), free, nil},
	Route53RecordSet:                        {only("HostedZoneId", "HostedZoneName", "Name"), free, nil}, // queries for an alias of a distribution are free: https://aws.amazon.com/route53/pricing/
	"AWS::S3::Bucket":                       {only("BucketName", "BucketNamePrefix", "BucketNamespace", "ObjectLockEnabled"), []string{"storage"}, nil},
	"AWS::S3::BucketPolicy":                 {only("Bucket"), free, nil},
	SNSSubscription:                         {only("Endpoint", "Protocol", "TopicArn"), free, nil},
	SNSTopic:                                {only("FifoTopic", "TopicName"), []string{"topicRequests", "orderedTopicRequests", "orderedTopicDeliveries", "keyRequests"}, nil},
	SNSTopicPolicy:                          {only(), free, nil},
	SQSQueue:                                {only("FifoQueue", "QueueName"), []string{"queueRequests", "orderedQueueRequests"}, nil},
	SQSQueuePolicy:                          {only(), free, nil},
	AppAutoScalingTarget:                    {only("ResourceId", "ScalableDimension", "ServiceNamespace"), free, nil},
	AppAutoScalingPolicy:                    {only("PolicyName", "ResourceId", "ScalableDimension", "ScalingTargetId", "ServiceNamespace"), []string{"alarm"}, nil},
	RDSCluster:                              {only(clusterReplacing...), []string{"databaseStorage", "databaseRequests", "databaseBackups"}, nil},
	RDSClusterParameterGroup:                {only("DBClusterParameterGroupName", "Description", "Family"), free, nil},
	RDSEventSubscription:                    {only("SnsTopicArn", "SubscriptionName"), free, nil},
	RDSInstance:                             {only(instanceReplacing...), []string{"databaseCapacity"}, nil},
	RDSSubnetGroup:                          {only("DBSubnetGroupName"), free, nil},
	"AWS::SecretsManager::ResourcePolicy":   {only("SecretId"), free, nil},
	SecretsManagerRotation:                  {only("SecretId"), free, nil},
	SecretsManagerAttachment:                {only("SecretId"), free, nil},
	SecretsManagerSecret:                    {only("Name"), []string{"secret"}, nil},
	SSMParameter:                            {only("Name"), free, nil}, // in the standard tier
	WAFWebACL:                               {only("Name", "Scope"), []string{"webACL", "webACLRule", "webACLRequests"}, nil},
	WAFWebACLAssociation:                    {only("ResourceArn", "WebACLArn"), free, nil},
	WAFLogging:                              {only("ResourceArn"), free, nil},

	MQBroker:                       {only("AuthenticationStrategy", "BrokerName", "DeploymentMode", "EncryptionOptions", "EngineType", "PubliclyAccessible", "StorageType", "SubnetIds"), nil, nil},
	"AWS::AmazonMQ::Configuration": {only("AuthenticationStrategy", "EngineType", "EngineVersion", "Name"), free, []string{"Revision"}},
	"AWS::AmazonMQ::ConfigurationAssociation": {only("Broker"), free, nil},
}

// Types are the names of all types that the table has.
func Types() []string { return slices.Sorted(maps.Keys(types)) }

// Replaces says whether these changes replace a resource. known is false for an unknown type.
func Replaces(resourceType string, changed ...string) (replaces, known bool) {
	p := types[resourceType].replacing
	return p != nil && slices.ContainsFunc(changed, p), p != nil
}

// Moves says whether an attribute gets another value when its resource is updated in place.
func Moves(resourceType, attribute string) bool {
	return slices.Contains(types[resourceType].moving, attribute)
}

// Costs returns the keys of a type's prices in package cost, and whether they are known.
func Costs(resourceType string) (prices []string, known bool) {
	prices = types[resourceType].costs
	return prices, prices != nil
}

package model

// Names of the resource types that only the security controls read.
const (
	EC2EIP             = "AWS::EC2::EIP"
	EC2InternetGateway = "AWS::EC2::InternetGateway"
	EC2NatGateway      = "AWS::EC2::NatGateway"
	EC2NetworkACL      = "AWS::EC2::NetworkAcl"
	EC2Interface       = "AWS::EC2::NetworkInterface"
	EC2RouteTable      = "AWS::EC2::RouteTable"
	EC2Volume          = "AWS::EC2::Volume"

	KMSKey         = "AWS::KMS::Key"
	LogGroup       = "AWS::Logs::LogGroup"
	S3Bucket       = "AWS::S3::Bucket"
	S3BucketPolicy = "AWS::S3::BucketPolicy"
	SNSTopic       = "AWS::SNS::Topic"
	SNSTopicPolicy = "AWS::SNS::TopicPolicy"
)

// withoutControls are the types for which AWS Security Hub has no control: each page of its user guide
// ("Security Hub CSPM controls for Amazon EC2" and so on) names the resource type of a control. What is
// part of another resource counts there.
var withoutControls = map[string]bool{
	APIGatewayAccount:                               true,
	APIGatewayDeployment:                            true,
	APIGatewayMethod:                                true, // APIGateway.8 is about routes of version 2
	APIGatewayModel:                                 true,
	APIGatewayValidator:                             true,
	APIGatewayResource:                              true,
	APIGatewayRestAPI:                               true,
	APIGatewayVPCLink:                               true,
	AppAutoScalingPolicy:                            true,
	AppAutoScalingTarget:                            true,
	"AWS::CDK::Metadata":                            true,
	BucketDeployment:                                true, // CDK's, for the page
	CloudFrontCachePolicy:                           true,
	CloudFrontFunction:                              true, // part of its distribution
	CloudFrontOriginAccessControl:                   true, // CloudFront.13
	CloudFrontOriginRequestPolicy:                   true,
	CloudFrontResponseHeadersPolicy:                 true,
	CloudFrontVPCOrigin:                             true,
	CloudMapHTTPNamespace:                           true,
	CloudMapPrivateNamespace:                        true, // Route53.2 is about public zones
	CloudMapService:                                 true,
	"AWS::CloudWatch::Dashboard":                    true,
	"AWS::EC2::Route":                               true, // part of its table
	EC2SecurityGroupEgress:                          true, // part of its group
	EC2SecurityGroupIngress:                         true,
	"AWS::EC2::SubnetRouteTableAssociation":         true,
	EC2VPCEndpoint:                                  true, // EC2.10, .55 and so on ask the VPC for endpoints
	"AWS::EC2::VPCGatewayAttachment":                true,
	"AWS::ECS::ClusterCapacityProviderAssociations": true,
	EFSMountTarget:                                  true, // part of its file system
	ELBListenerRule:                                 true,
	IAMInstanceProfile:                              true,
	LambdaAlias:                                     true, // part of its function
	"AWS::Lambda::LayerVersion":                     true,
	KMSAlias:                                        true,
	LambdaEventSource:                               true,
	LambdaPermission:                                true, // Lambda.1
	LambdaVersion:                                   true,
	"AWS::Logs::MetricFilter":                       true, // part of its log group
	"AWS::Logs::QueryDefinition":                    true,
	RDSClusterParameterGroup:                        true,
	"AWS::SecretsManager::ResourcePolicy":           true, // part of its secret
	SecretsManagerRotation:                          true,
	"AWS::SecretsManager::SecretTargetAttachment":   true,
	Route53RecordSet:                                true, // part of its zone, which Route53.2 is about
	S3BucketPolicy:                                  true, // part of its bucket
	SNSSubscription:                                 true, // part of its topic
	SNSTopicPolicy:                                  true,
	SQSQueuePolicy:                                  true, // part of its queue
	SSMParameter:                                    true, // SSM.4 and so on are about documents
	WAFWebACLAssociation:                            true, // APIGateway.4
	WAFLogging:                                      true, // WAF.11
	DefaultGroupRestriction:                         true, // CDK's, for EC2.2
}

// WithoutControls reports whether AWS Security Hub has no control for a resource type, as far as known.
func WithoutControls(resourceType string) bool { return withoutControls[resourceType] }

package model

import (
	"strings"

	"cutover/internal/assembly"
)

// arns are ARNs by type, from the account and region on, as
// https://docs.aws.amazon.com/service-authorization/latest/reference/reference_policies_actions-resources-contextkeys.html
// has them. {Property} stands for the property, or for "${stack/logical id}" where the
// template leaves the name to the deployment.
var arns = map[string]string{
	EC2AutoScalingGroup:   "autoscaling:REGION:ACCOUNT:autoScalingGroup:{}",
	ECRRepository:         "ecr:REGION:ACCOUNT:repository/{RepositoryName}",
	ECSCluster:            "ecs:REGION:ACCOUNT:cluster/{ClusterName}",
	ECSService:            "ecs:REGION:ACCOUNT:service/{ServiceName}",
	ECSTaskDefinition:     "ecs:REGION:ACCOUNT:task-definition/{Family}",
	EFSAccessPoint:        "elasticfilesystem:REGION:ACCOUNT:access-point/{}",
	EFSFileSystem:         "elasticfilesystem:REGION:ACCOUNT:file-system/{}",
	ELBLoadBalancer:       "elasticloadbalancing:REGION:ACCOUNT:loadbalancer/app/{Name}",
	ELBTargetGroup:        "elasticloadbalancing:REGION:ACCOUNT:targetgroup/{Name}",
	IAMRole:               "iam::ACCOUNT:role/{RoleName}",
	SSMParameter:          "ssm:REGION:ACCOUNT:parameter{Name}",
	DynamoDBTable:         "dynamodb:REGION:ACCOUNT:table/{TableName}",
	DynamoDBGlobalTable:   "dynamodb:REGION:ACCOUNT:table/{TableName}",
	RDSCluster:            "rds:REGION:ACCOUNT:cluster:{DBClusterIdentifier}",
	RDSInstance:           "rds:REGION:ACCOUNT:db:{DBInstanceIdentifier}",
	KMSKey:                "kms:REGION:ACCOUNT:key/{}",
	LambdaFunction:        "lambda:REGION:ACCOUNT:function:{FunctionName}",
	"AWS::Logs::LogGroup": "logs:REGION:ACCOUNT:log-group:{LogGroupName}:*",
	"AWS::S3::Bucket":     "s3:::{BucketName}",
	SNSTopic:              "sns:REGION:ACCOUNT:{TopicName}",
	SQSQueue:              "sqs:REGION:ACCOUNT:{QueueName}",
	SecretsManagerSecret:  "secretsmanager:REGION:ACCOUNT:secret:{Name}",
}

// ARN returns a resource's ARN in an account and region, empty for types that no policy names.
func ARN(r *assembly.Resource, account, region string) string {
	form, known := arns[r.Type]
	if !known {
		return ""
	}
	before, _, _ := strings.Cut(form, "{")
	_, after, _ := strings.Cut(form, "}")
	name := Name(r)
	if r.Type == SSMParameter && !strings.HasPrefix(name, "/") {
		name = "/" + name
	}
	return "arn:aws:" + strings.NewReplacer("REGION", region, "ACCOUNT", account).Replace(before) + name + after
}

// Name returns the name of a resource as its ARN has it: "${stack/logical id}" if the template leaves
// the name to the deployment.
func Name(r *assembly.Resource) string {
	_, rest, _ := strings.Cut(arns[r.Type], "{")
	property, _, _ := strings.Cut(rest, "}")
	if name, ok := r.Properties[property].(string); ok {
		return name
	}
	return "${" + r.String() + "}"
}

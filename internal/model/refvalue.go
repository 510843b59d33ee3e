package model

import (
	"fmt"
	"hash/fnv"

	"cutover/internal/assembly"
)

// refProperties has the property that Ref returns, for types that only their name stands for in a container's
// environment. The "Return values" on the page of each type say so:
// https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-template-resource-type-ref.html.
var refProperties = map[string]string{
	CloudWatchAlarm: "AlarmName", ECRRepository: "RepositoryName", IAMRole: "RoleName", LambdaFunction: "FunctionName", LogGroup: "LogGroupName", S3Bucket: "BucketName",
	"AWS::DynamoDB::Table": "TableName", "AWS::Events::EventBus": "Name", KMSAlias: "AliasName", "AWS::Kinesis::Stream": "Name",
	"AWS::RDS::DBCluster": "DBClusterIdentifier", "AWS::RDS::DBInstance": "DBInstanceIdentifier",
}

// RefValue returns what Ref of a resource is on AWS: the name that the template gives the resource, or for a
// log group, a secret and a file system a name that is made up. It is empty if it is not known.
func RefValue(a *assembly.Assembly, r *assembly.Resource, account, region string) string {
	if value, err := r.Resolve(a, refProperties[r.Type]); err == nil && refProperties[r.Type] != "" {
		if name, ok := value.(string); ok && name != "" {
			return name
		}
	}
	switch r.Type {
	case LogGroup:
		return readable(r)
	case EFSFileSystem:
		sum := fnv.New64a()
		sum.Write([]byte(r.String()))
		return fmt.Sprintf("fs-%017x", sum.Sum64())
	case SecretsManagerSecret:
		name, _ := r.Properties["Name"].(string)
		if name == "" {
			name = readable(r)
		}
		return fmt.Sprintf("arn:aws:secretsmanager:%s:%s:secret:%s-000000", region, account, name)
	}
	return ""
}

package isolation

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// stocked is a service with all that a container can be handed.
const stocked = `
	"Task": {"Type": "AWS::IAM::Role", "Properties": {` + trust + `}},
	"Execution": {"Type": "AWS::IAM::Role", "Properties": {` + trust + `}},
	"Asked": {"Type": "AWS::IAM::Policy", "Metadata": {"cdk_nag": {"rules_to_suppress": [{"id": "AwsSolutions-IAM4", "reason": "another rule"}, {"id": "AwsSolutions-IAM5", "reason": "all | orders"}]}},
		"Properties": {"PolicyName": "p", "Roles": [{"Ref": "Task"}], "PolicyDocument": {"Statement": [
			{"Effect": "Allow", "Action": "dynamodb:Get*", "Resource": {"Fn::Join": ["", ["arn:aws:dynamodb:us-east-1:123456789012:table/", {"Ref": "Table"}]]}},
			{"Effect": "Allow", "Action": "elasticfilesystem:ClientMount", "Resource": {"Fn::Sub": "arn:aws:elasticfilesystem:us-east-1:123456789012:file-system/${Files}"},
				"Condition": {"StringEquals": {"elasticfilesystem:AccessPointArn": {"Fn::Sub": "arn:aws:elasticfilesystem:us-east-1:123456789012:access-point/${Point}"}}}}]}}},
	"Reads": {"Type": "AWS::IAM::Policy", "Metadata": {"cdk_nag": {"rules_to_suppress": [{"id": "AwsSolutions-IAM5", "reason": "no reason for this role"}]}},
		"Properties": {"PolicyName": "q", "Roles": [{"Ref": "Execution"}], "PolicyDocument": {"Statement": [
			{"Effect": "Allow", "Action": "secretsmanager:GetSecretValue", "Resource": ["arn:aws:secretsmanager:us-east-1:123456789012:secret:db-??????", "arn:aws:secretsmanager:us-east-1:123456789012:secret:*-??????"]},
			{"Effect": "Allow", "Action": "ssm:GetParameters", "Resource": "arn:aws:ssm:us-east-1:123456789012:parameter/a-??????"}]}}},
	"Table": {"Type": "AWS::DynamoDB::Table", "Properties": {"TableName": "orders"}},
	"Made": {"Type": "AWS::SecretsManager::Secret"},
	"Files": {"Type": "AWS::EFS::FileSystem", "Properties": {"FileSystemPolicy": {"Statement": [{"Effect": "Deny", "Action": "*", "Principal": {"AWS": "*"}}]}}},
	"Point": {"Type": "AWS::EFS::AccessPoint", "Properties": {"FileSystemId": {"Ref": "Files"}, "RootDirectory": {"Path": "/data"}}},
	"Images": {"Type": "AWS::ECR::Repository", "Properties": {"RepositoryName": "shop"}},
	"Definition": {"Type": "AWS::ECS::TaskDefinition", "Properties": {"Family": "shop", "TaskRoleArn": {"Fn::GetAtt": ["Task", "Arn"]}, "ExecutionRoleArn": {"Fn::GetAtt": ["Execution", "Arn"]},
		"Volumes": [{"Name": "data", "EFSVolumeConfiguration": {"FilesystemId": {"Ref": "Files"}, "AuthorizationConfig": {"AccessPointId": {"Ref": "Point"}}}},
			{"Name": "theirs", "EFSVolumeConfiguration": {"FilesystemId": "fs-1", "AuthorizationConfig": {"AccessPointId": "fsap-2"}}},
			{"Name": "whole", "EFSVolumeConfiguration": {"FilesystemId": "fs-3"}},
			{"Name": "host", "Host": {"SourcePath": "/var/run"}}, {"Name": "own"}],
		"ContainerDefinitions": [
			{"Name": "shop", "Image": {"Fn::Sub": "${AWS::AccountId}.dkr.ecr.us-east-1.amazonaws.com/shop:v1"}, "Links": ["cache:redis"],
				"Secrets": [{"Name": "PW", "ValueFrom": {"Fn::Sub": "arn:${AWS::Partition}:secretsmanager:${AWS::Region}:${AWS::AccountId}:secret:db:password::"}},
					{"Name": "ALL", "ValueFrom": "arn:aws:secretsmanager:us-east-1:123456789012:secret:all-abcdef"}, {"Name": "TOKEN", "ValueFrom": "/shop/token"},
					{"Name": "OURS", "ValueFrom": {"Fn::Join": ["", [{"Ref": "Made"}, ":key::"]]}}],
				"MountPoints": [{"SourceVolume": "whole", "ContainerPath": "/w"}, {"SourceVolume": "data", "ContainerPath": "/data"}, {"SourceVolume": "host", "ContainerPath": "/run"}]},
			{"Name": "cache", "Image": "redis:7.4", "Essential": false, "PortMappings": [{"ContainerPort": 6379}, {"ContainerPort": 8125, "Protocol": "udp"}],
				"RepositoryCredentials": {"CredentialsParameter": "arn:aws:secretsmanager:us-east-1:123456789012:secret:hub-abcdef"},
				"MountPoints": [{"SourceVolume": "data", "ContainerPath": "/ro", "ReadOnly": true}, {"SourceVolume": "theirs", "ContainerPath": "/t"}, {"SourceVolume": "own", "ContainerPath": "/o"}]}]}}`

func TestHanded(t *testing.T) {
	i := mustRead(t, stocked)
	const files = "dev-S/Files"
	for _, test := range []struct {
		what      string
		want, got any
	}{
		{"secrets", []Secret{
			{"shop", "PW", "arn:aws:secretsmanager:us-east-1:123456789012:secret:db", "password"},
			{"shop", "ALL", "arn:aws:secretsmanager:us-east-1:123456789012:secret:all-abcdef", ""},
			{"shop", "TOKEN", "/shop/token", ""},
			{"shop", "OURS", "arn:aws:secretsmanager:us-east-1:123456789012:secret:${dev-S/Made}", "key"},
			{"shop: cache", "", "arn:aws:secretsmanager:us-east-1:123456789012:secret:hub-abcdef", ""},
		}, i.Secrets},
		{"directories", []Directory{
			{"`/` of `fs-3`", "shop", "/w", false},
			{"`/data` of `" + files + "`", "shop", "/data", false},
			{"`/data` of `" + files + "`", "shop: cache", "/ro", true},
			{"`/var/run` of the instance", "shop", "/run", false},
			{"`own` of shop", "shop: cache", "/o", false},
			{"that of `fsap-2` of `fs-1`", "shop: cache", "/t", false},
		}, i.Directories},
		{"links", []Link{{"shop", "shop: cache", "tcp 6379, udp 8125"}}, i.Links},
		{"images", []Image{{"shop: cache", "redis:7.4"}}, i.Images},
	} {
		if diff := cmp.Diff(test.want, test.got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.what, diff)
		}
	}
}

// A wildcard that a service asks for has its reason. No other role is excused by one.
func TestReasons(t *testing.T) {
	i := mustRead(t, stocked)
	wide := []string{
		"shop: execution may do secretsmanager:GetSecretValue on arn:aws:secretsmanager:us-east-1:123456789012:secret:*-??????",
		"shop: execution may do ssm:GetParameters on arn:aws:ssm:us-east-1:123456789012:parameter/a-??????",
	}
	if diff := cmp.Diff(wide, i.TooWide()); diff != "" {
		t.Errorf("too wide (-want +got):\n%s", diff)
	}
	text := Document(i, i, []string{"shop"})
	for _, want := range []string{
		"| shop: task | may | `dynamodb:Get*` | `arn:aws:dynamodb:us-east-1:123456789012:table/orders` |  |\n",
		"| shop: task | may | `elasticfilesystem:ClientMount` | `arn:aws:elasticfilesystem:us-east-1:123456789012:file-system/${dev-S/Files}` | elasticfilesystem:AccessPointArn StringEquals arn:aws:elasticfilesystem:us-east-1:123456789012:access-point/${dev-S/Point} |\n",
		"| anybody | may not | `*` | `arn:aws:elasticfilesystem:us-east-1:123456789012:file-system/${dev-S/Files}` |  |\n",
		"| `dynamodb:Get*` | `arn:aws:dynamodb:us-east-1:123456789012:table/orders` | all \\| orders |\n",
		"| `secretsmanager:GetSecretValue` | `arn:aws:secretsmanager:us-east-1:123456789012:secret:db-??????` | Secrets Manager adds six characters to the name of a secret |\n",
		"| `secretsmanager:GetSecretValue`<br>`ssm:GetParameters` | `arn:aws:secretsmanager:us-east-1:123456789012:secret:*-??????`<br>`arn:aws:ssm:us-east-1:123456789012:parameter/a-??????` | **no reason is given** |\n",
		"A task without a line may do nothing.\n",
		"| `arn:aws:elasticfilesystem:us-east-1:123456789012:file-system/${dev-S/Files}` | `elasticfilesystem:ClientMount` |\n",
		"| `arn:aws:dynamodb:us-east-1:123456789012:table/orders` | `dynamodb:Get*` |\n",
		"\n## What containers are handed\n\n**Secrets.** ECS reads them",
		"| shop | `PW` | `arn:aws:secretsmanager:us-east-1:123456789012:secret:db` | `password` |\n",
		"| shop: cache | the login of its registry | `arn:aws:secretsmanager:us-east-1:123456789012:secret:hub-abcdef` |  |\n",
		"| `/data` of `dev-S/Files` | shop | `/data` | read and write |\n| `/data` of `dev-S/Files` | shop: cache | `/ro` | read |\n",
		"| shop | shop: cache | tcp 6379, udp 8125 |\n",
		"| shop: cache | `redis:7.4` |\n",
		"on one instance. Docker keeps them apart but for the links above, and\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the document lacks %q:\n%s", want, text)
		}
	}
	// There is nothing to say of a service that asks for nothing.
	plain := mustRead(t, shop)
	text = Document(plain, plain, []string{"shop"})
	if strings.Contains(text, "handed") || strings.Contains(text, "links") || !strings.Contains(text, "no line: a task may do nothing.\n") {
		t.Errorf("the document of a service without anything:\n%s", text)
	}
}

// What cannot be read of secrets and volumes is an error: the document has all of them or none.
func TestUnreadable(t *testing.T) {
	for _, test := range []struct{ members, want string }{
		{`"Secrets": [{"Name": "A", "ValueFrom": {"Fn::Nope": 1}}]`, "Secrets[0].ValueFrom"},
		{`"Secrets": "x"`, "Secrets"},
		{`"Links": 5`, "Links"},
		{`"MountPoints": [{"SourceVolume": ["a"]}]`, "MountPoints"},
	} {
		_, err := read(t, `"D": {"Type": "AWS::ECS::TaskDefinition", "Properties": {"Family": "shop", "ContainerDefinitions": [{"Name": "shop", "Image": "a:1", `+test.members+`}]}}`)
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: the error is %v, want it to name %q", test.members, err, test.want)
		}
	}
}

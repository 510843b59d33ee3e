package model

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const someBroker = `
	"User": {"Type": "AWS::SecretsManager::Secret", "Properties": {"Name": "dev/broker", "GenerateSecretString": {
		"SecretStringTemplate": "{\"username\":\"cutover\"}", "GenerateStringKey": "password", "PasswordLength": 20, "ExcludePunctuation": true}}},
	"Broker": {"Type": "AWS::AmazonMQ::Broker", "Properties": {"BrokerName": "dev", "EngineType": "RABBITMQ", "EngineVersion": "4.2", "HostInstanceType": "mq.m7g.medium",
		"DeploymentMode": "CLUSTER_MULTI_AZ", "PubliclyAccessible": false, "AutoMinorVersionUpgrade": true, "Logs": {"General": true}, "EncryptionOptions": {"UseAwsOwnedKey": false, "KmsKeyId": "key"},
		"SubnetIds": [{"Ref": "Subnet"}, "subnet-1"], "SecurityGroups": [{"Fn::GetAtt": ["Group", "GroupId"]}, "sg-1"],
		"Users": [{"Username": "cutover", "Password": {"Fn::Join": ["", ["{{resolve:secretsmanager:", {"Ref": "User"}, ":SecretString:password::}}"]]}}]}},
	"Url": {"Type": "AWS::SecretsManager::Secret", "Properties": {"Name": "dev/broker-url", "SecretString": {"Fn::Join": ["", ["amqps://cutover:{{resolve:secretsmanager:", {"Ref": "User"}, ":SecretString:password::}}@",
		{"Fn::Select": [1, {"Fn::Split": ["//", {"Fn::Select": [0, {"Fn::GetAtt": ["Broker", "AmqpEndpoints"]}]}]}]}]]}}},
	"Subnet": {"Type": "AWS::EC2::Subnet"}, "Group": {"Type": "AWS::EC2::SecurityGroup"},`

func TestBrokers(t *testing.T) {
	m := read(t, someBroker+`
		"Active": {"Type": "AWS::AmazonMQ::Broker", "Properties": {"EngineType": "ACTIVEMQ", "Users": [{}]}}`)
	var got []string
	for _, b := range m.Brokers {
		got = append(got, fmt.Sprint(b.Name, " ", b.Engine, " ", b.Version, " ", b.InstanceType, " ", b.Mode, " ", b.Public, b.MinorUpgrades, b.GeneralLogs, b.AuditLogs, " ", b.KeyID, " ", len(b.Subnets), len(b.SecurityGroups), " ", b.Users, " ", b.Problem()))
	}
	if diff := cmp.Diff([]string{
		"Active ACTIVEMQ   SINGLE_INSTANCE false false false false  0 0 [{ }] S/Active/Properties.Users[0].Username: expected a name, found nothing\nS/Active/Properties.Users[0].Password: expected a password, found nothing",
		"dev RABBITMQ 4.2 mq.m7g.medium CLUSTER_MULTI_AZ false true true false key 2 1 [{cutover {{resolve:secretsmanager:${S/User}:SecretString:password::}}}] <nil>",
	}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if len(m.Brokers[1].Settings) > 0 {
		t.Errorf("unread: %v", m.Brokers[1].Settings)
	}
}

// A task uses the broker whose address it has, in a variable or in a secret that it names in any way.
func TestUsesOfBrokers(t *testing.T) {
	for at, want := range map[string]bool{
		`"Secrets": [{"Name": "U", "ValueFrom": {"Ref": "Url"}}]`:                                                                                             true,
		`"Secrets": [{"Name": "U", "ValueFrom": "arn:aws:secretsmanager:eu-west-1:1:secret:dev/broker-url"}]`:                                                 true,
		`"Secrets": [{"Name": "U", "ValueFrom": "arn:aws:secretsmanager:eu-west-1:1:secret:dev/broker-url-AbCdEf:x::"}]`:                                      true,
		`"Secrets": [{"Name": "U", "ValueFrom": {"Fn::Join": ["", [{"Ref": "Url"}, ":x::"]]}}]`:                                                               true,
		`"Environment": [{"Name": "U", "Value": {"Fn::Select": [0, {"Fn::GetAtt": ["Broker", "AmqpEndpoints"]}]}}]`:                                           true,
		`"Secrets": [{"Name": "U", "ValueFrom": {"Fn::Sub": "arn:${AWS::Partition}:secretsmanager:${AWS::Region}:${AWS::AccountId}:secret:dev/broker-url"}}]`: true,
		`"Secrets": [{"Name": "U", "ValueFrom": {"Ref": "User"}}]`:                                                                                            false,
		`"Secrets": [{"Name": "U", "ValueFrom": "arn:aws:secretsmanager:eu-west-1:1:secret:dev/broker"}]`:                                                     false,
		`"Secrets": [{"Name": "U", "ValueFrom": "arn:aws:ssm:eu-west-1:1:parameter/dev/broker-url"}]`:                                                         false,
		`"Secrets": [{"Name": "U", "ValueFrom": {"Ref": "Loop"}}], "Environment": [{"Name": "U", "Value": {"Ref": "Group"}}]`:                                 false,
	} {
		m := read(t, someBroker+`"Loop": {"Type": "AWS::SecretsManager::Secret", "Properties": {"SecretString": {"Fn::Sub": "{{resolve:secretsmanager:${Loop}}}"}}},
			"Task": {"Type": "AWS::ECS::TaskDefinition", "Properties": {"ContainerDefinitions": [{"Name": "a", "Image": "a", `+at+`}, {"Name": "b", "Image": "b", `+at+`}]}}`)
		if got := m.BrokersOf(m.TaskDefinitions[0]); (len(got) == 1) != want {
			t.Errorf("%s: %v, want %t", at, got, want)
		}
	}
}

func TestGeneratedSecrets(t *testing.T) {
	m := read(t, `
		"All": {"Type": "AWS::SecretsManager::Secret", "Properties": {"GenerateSecretString": {"PasswordLength": 12, "ExcludeCharacters": "abc", "ExcludeLowercase": true, "ExcludeUppercase": true, "ExcludeNumbers": true,
			"ExcludePunctuation": true, "IncludeSpace": true, "RequireEachIncludedType": false, "GenerateStringKey": "k", "SecretStringTemplate": "{}"}}},
		"Attached": {"Type": "AWS::SecretsManager::Secret", "Properties": {"GenerateSecretString": {}}},
		"Attachment": {"Type": "AWS::SecretsManager::SecretTargetAttachment", "Properties": {"SecretId": {"Ref": "Attached"}, "TargetId": "db", "TargetType": "AWS::RDS::DBInstance"}},
		"Half": {"Type": "AWS::SecretsManager::Secret", "Properties": {"GenerateSecretString": {"GenerateStringKey": "k"}}},
		"Plain": {"Type": "AWS::SecretsManager::Secret", "Properties": {"SecretString": "s"}},
		"Rotated": {"Type": "AWS::SecretsManager::Secret"},
		"Rotation": {"Type": "AWS::SecretsManager::RotationSchedule", "Properties": {"SecretId": {"Ref": "Rotated"}}}`)
	var got []string
	for _, s := range m.Secrets {
		made := "none"
		if s.Generated != nil {
			made = fmt.Sprintf("%+v", *s.Generated)
		}
		got = append(got, fmt.Sprint(s.Key(), " ", s.Value, " ", made, " ", s.ChangedBy))
	}
	if diff := cmp.Diff([]string{
		"S/All  {Length:12 Key:k Template:{} Without:abc WithoutLower:true WithoutUpper:true WithoutDigits:true WithoutPunctuation:true Space:true Each:false} <nil>",
		"S/Attached  {Length:32 Key: Template: Without: WithoutLower:false WithoutUpper:false WithoutDigits:false WithoutPunctuation:false Space:false Each:true} S/Attachment",
		"S/Half  {Length:32 Key:k Template: Without: WithoutLower:false WithoutUpper:false WithoutDigits:false WithoutPunctuation:false Space:false Each:true} <nil>",
		"S/Plain s none <nil>", "S/Rotated  none S/Rotation",
	}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if err := m.Secrets[2].Problem(); err == nil || !strings.Contains(err.Error(), "need each other") {
		t.Errorf("a key without a template: %v", err)
	}
}

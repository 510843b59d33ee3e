package emulate

import (
	"strings"
	"testing"

	cfntypes "github.com/aws/aws-sdk-go-v2/service/cloudformation/types"
	"github.com/google/go-cmp/cmp"

	"cutover/internal/nightly"
)

// A broker with a configuration. CAPITALS are replaced.
const brokerTemplate = `{
	"Resources": {
		"Vpc": {"Type": "AWS::EC2::VPC", "Properties": {"CidrBlock": "10.0.0.0/16"}},
		"A": {"Type": "AWS::EC2::Subnet", "Properties": {"VpcId": {"Ref": "Vpc"}, "CidrBlock": "10.0.0.0/24"}},
		"B": {"Type": "AWS::EC2::Subnet", "Properties": {"VpcId": {"Ref": "Vpc"}, "CidrBlock": "10.0.1.0/24"}},
		"Group": {"Type": "AWS::EC2::SecurityGroup", "Properties": {"GroupDescription": "of the broker", "VpcId": {"Ref": "Vpc"}}},
		"Password": {"Type": "AWS::SecretsManager::Secret", "Properties": {"GenerateSecretString": {"GenerateStringKey": "password", "SecretStringTemplate": "{}", "ExcludeCharacters": ",:=", "PasswordLength": LENGTH}}},
		"Configuration": {"Type": "AWS::AmazonMQ::Configuration", "Properties": {"Name": "rabbit", "EngineType": "RABBITMQ", "EngineVersion": "3.13", "Data": "DATA"}},
		"Broker": {"Type": "AWS::AmazonMQ::Broker", "Properties": {"BrokerName": "NAMED", "EngineType": "RABBITMQ", "EngineVersion": "3.13", "HostInstanceType": "SIZE", "DeploymentMode": "MODE",
			"PubliclyAccessible": false, "AutoMinorVersionUpgrade": true, "EncryptionOptions": {"UseAwsOwnedKey": true}, "Logs": {"General": LOGGED}, "SubnetIds": SUBNETS, "SecurityGroups": [{"Ref": "Group"}],
			"Configuration": {"Id": {"Ref": "Configuration"}, "Revision": {"Fn::GetAtt": ["Configuration", "Revision"]}},
			"Users": [{"Username": "USER", "Password": {"Fn::Sub": "{{resolve:secretsmanager:${Password}:SecretString:password}}"}}], "Tags": [{"Key": "environment", "Value": "VALUE"}]}}
	},
	"Outputs": {"Broker": {"Value": {"Ref": "Broker"}}, "Arn": {"Value": {"Fn::GetAtt": ["Broker", "Arn"]}}, "Endpoint": {"Value": {"Fn::Select": [0, {"Fn::GetAtt": ["Broker", "AmqpEndpoints"]}]}},
		"Of": {"Value": {"Fn::GetAtt": ["Broker", "ConfigurationId"]}}, "Configuration": {"Value": {"Ref": "Configuration"}}, "Revision": {"Value": {"Fn::GetAtt": ["Broker", "ConfigurationRevision"]}}}
}`

func brokerStack(changes ...string) string {
	return strings.NewReplacer(append(changes, "LENGTH", "30", "DATA", "Y29uc3VtZXJfdGltZW91dCA9IDE4MDAwMDA=", "NAMED", "broker", "SIZE", "mq.m5.large", "MODE", "SINGLE_INSTANCE", "LOGGED", "true",
		"SUBNETS", `[{"Ref": "A"}]`, "USER", "admin", "VALUE", "test")...).Replace(brokerTemplate)
}

// TestBroker: a broker arrives at Amazon MQ with its configuration.
func TestBroker(t *testing.T) {
	nightly.Test(t, "it deploys and updates a message broker on an emulated AWS")
	a := services(t)
	cfn, destroy := stacks(t, a)
	deploy := deploying(t, cfn, "broker")
	refuses := refusing(t, "broker", deploy, destroy)
	for _, refused := range []struct {
		name, reason string
		changes      []string
	}{
		{"a short password", "12 to 250 characters", []string{"LENGTH", "8"}},
		{"two subnets of one instance", "Exactly 1 subnet", []string{"SUBNETS", `[{"Ref": "A"}, {"Ref": "B"}]`}},
		{"a subnet that is not there", "does not exist", []string{"SUBNETS", `["subnet-none"]`}},
		{"a cluster of small instances", "does not support deployment mode", []string{"MODE", "CLUSTER_MULTI_AZ", "SIZE", "mq.t3.micro", "SUBNETS", `[{"Ref": "A"}, {"Ref": "B"}]`}},
		{"a standby", "not supported by RabbitMQ", []string{"MODE", "ACTIVE_STANDBY_MULTI_AZ"}},
		{"a log of an audit", "Audit logging is not supported", []string{"LOGGED", `true, "Audit": true`}},
	} {
		refuses(refused.name, brokerStack(refused.changes...), refused.reason)
	}
	if status, reason := deploy(cfntypes.ChangeSetTypeCreate, brokerStack()); status != "CREATE_COMPLETE" {
		t.Fatal(status, reason)
	}
	first := outputs(t, cfn, "broker")
	if first["Endpoint"] != "amqps://mockmq:5671" || first["Of"] != first["Configuration"] || first["Revision"] != "2" || !strings.HasPrefix(first["Arn"], "arn:aws:mq:us-east-1:123456789012:broker:") {
		t.Errorf("outputs %v", first)
	}
	type picture struct {
		BrokerName, DeploymentMode, EngineType, HostInstanceType string
		PubliclyAccessible, AutoMinorVersionUpgrade              bool
		Logs                                                     struct{ General bool }
		EncryptionOptions                                        struct{ UseAwsOwnedKey bool }
		Users                                                    []struct{ Username string }
		Tags                                                     map[string]string
		Configurations                                           struct{ Current struct{ Revision any } }
	}
	var got, again picture
	read(t, a, "mq", "/v1/brokers/"+first["Broker"], &got)
	if got.BrokerName != "broker" || got.DeploymentMode != "SINGLE_INSTANCE" || got.PubliclyAccessible || !got.AutoMinorVersionUpgrade || !got.Logs.General || !got.EncryptionOptions.UseAwsOwnedKey ||
		len(got.Users) != 1 || got.Users[0].Username != "admin" || got.Tags["environment"] != "test" {
		t.Errorf("broker %+v", got)
	}
	if status, reason := deploy(cfntypes.ChangeSetTypeUpdate, brokerStack("VALUE", "changed", "DATA", "YSA9IGI=", "LOGGED", "false", "USER", "other")); status != "UPDATE_ROLLBACK_COMPLETE" || !strings.Contains(reason, "Users may not change") {
		t.Errorf("another user: %s (%s), want a rollback", status, reason)
	}
	read(t, a, "mq", "/v1/brokers/"+first["Broker"], &again)
	if diff := cmp.Diff(got, again); diff != "" {
		t.Errorf("after the rollback (-want +got):\n%s", diff)
	}
	if status, reason := deploy(cfntypes.ChangeSetTypeUpdate, brokerStack("VALUE", "changed", "DATA", "YSA9IGI=", "LOGGED", "false")); status != "UPDATE_COMPLETE" {
		t.Fatal(status, reason)
	}
	second := outputs(t, cfn, "broker")
	again = picture{}
	read(t, a, "mq", "/v1/brokers/"+second["Broker"], &again)
	if second["Broker"] != first["Broker"] || second["Revision"] == first["Revision"] || again.Logs.General || again.Tags["environment"] != "changed" {
		t.Errorf("changed to %v, %+v", second, again)
	}
	if status, reason := deploy(cfntypes.ChangeSetTypeUpdate, brokerStack("NAMED", "other")); status != "UPDATE_COMPLETE" {
		t.Fatal(status, reason)
	}
	if third := outputs(t, cfn, "broker"); third["Broker"] == first["Broker"] {
		t.Error("the broker is the one before, with another name")
	}
	if left := destroy("broker"); left != "" {
		t.Fatal(left)
	}
	var list struct{ BrokerSummaries []any }
	if read(t, a, "mq", "/v1/brokers", &list); len(list.BrokerSummaries) != 0 {
		t.Errorf("left: %v", list)
	}
}

package stacks_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"cutover/config"
	"cutover/internal/assembly"
)

// alike has services that differ in nothing but their names. Their images are in a registry.
func alike(n int) config.Deployment {
	image := config.Registry{Name: "registry.example.com/shop:1"}
	d := config.Deployment{Monolith: config.Service{Name: "shop", Paths: []string{"/api*"}, Image: image}}
	for i := range n {
		name := fmt.Sprintf("s%02d", i)
		d.Services = append(d.Services, config.Service{Name: name, Paths: []string{"/api/" + name + "*"}, Order: i + 1, Image: image})
	}
	return d
}

// inShort shortens what is long and there often.
var inShort = strings.NewReplacer(
	"TaskDefinitionB36D86D9 Properties.ContainerDefinitions[0].", "container ",
	"TaskDefinitionExecutionRoleDefaultPolicy1F3406F5 Properties.PolicyDocument.Statement [map[Action:[logs:CreateLogStream logs:PutLogEvents] Effect:Allow Resource:map[Fn::GetAtt:[LogGroupF5B46931 Arn]]]]", "execution role ",
	"[map[Action:[logs:CreateLogStream logs:PutLogEvents] Effect:Allow Resource:map[Fn::GetAtt:[LogGroupF5B46931 Arn]]] ", "[",
	"map[Ref:AWS::Partition]", "PARTITION", "map[Ref:AWS::Region]", "REGION", "map[Ref:AWS::AccountId]", "ACCOUNT",
	"TaskDefinitionB36D86D9 Properties.", "task definition ", "ServiceD69D759B Properties.", "service ",
)

// TestEachOption states what each option of a service changes in the templates, and so that the option
// changes nothing else.
func TestEachOption(t *testing.T) {
	const key = "arn:aws:kms:us-east-1:123456789012:key/00000000-0000-0000-0000-000000000000"
	secret := func(secret config.Secret) func(*config.Service) {
		return func(s *config.Service) { s.Secrets = map[string]config.Secret{"KEY": secret} }
	}
	tests := []struct {
		change func(*config.Service)
		want   []string
	}{
		{func(s *config.Service) { s.Port = 8080 }, []string{
			"~ service LoadBalancers[0].ContainerPort 3000 -> 8080",
			"~ container Environment[0].Value 3000 -> 8080",
			"~ container PortMappings[0].ContainerPort 3000 -> 8080",
		}},
		{func(s *config.Service) { s.HealthCheck.Path = "/healthz?x=1" }, []string{"~ target group HealthCheckPath / -> /healthz?x=1"}},
		{func(s *config.Service) { s.HealthCheck.Codes = "200-204,301" }, []string{"~ target group Matcher.HttpCode 200 -> 200-204,301"}},
		{func(s *config.Service) { s.HealthCheck.Command = []string{"CMD", "/check"} }, []string{
			"~ container HealthCheck <nil> -> map[Command:[CMD /check] Interval:10 Retries:3 Timeout:5]",
		}},
		{func(s *config.Service) { s.HealthCheck.Command = []string{"NONE"} }, nil},
		{func(s *config.Service) { s.HealthCheck.GracePeriodSeconds = 120 }, []string{"~ service HealthCheckGracePeriodSeconds 15 -> 120"}},
		{func(s *config.Service) { s.Command = []string{"node", "server.js"} }, []string{"~ container Command <nil> -> [node server.js]"}},
		{func(s *config.Service) { s.Environment = map[string]string{"LEVEL": "${level} in ${AWS::Region}"} }, []string{
			"~ container Environment [map[Name:PORT Value:3000]] -> [map[Name:LEVEL Value:map[Fn::Join:[ [${level} in  REGION]]]] map[Name:PORT Value:3000]]",
		}},
		{secret(config.Secret{SecretsManager: "shop/key", KMSKey: key}), []string{
			"~ container Secrets <nil> -> [map[Name:KEY ValueFrom:map[Fn::Join:[ [arn: PARTITION :secretsmanager: REGION : ACCOUNT :secret:shop/key]]]]]",
			"~ execution role  -> [map[Action:secretsmanager:GetSecretValue Effect:Allow Resource:map[Fn::Join:[ [arn: PARTITION :secretsmanager: REGION : ACCOUNT :secret:shop/key-??????]]]] " +
				"map[Action:kms:Decrypt Effect:Allow Resource:" + key + "]]",
		}},
		{secret(config.Secret{SecretsManager: "arn:aws:secretsmanager:us-east-1:123456789012:secret:key-AbCdEf", Key: "user"}), []string{
			"~ container Secrets <nil> -> [map[Name:KEY ValueFrom:arn:aws:secretsmanager:us-east-1:123456789012:secret:key-AbCdEf:user::]]",
			"~ execution role  -> [map[Action:secretsmanager:GetSecretValue Effect:Allow Resource:arn:aws:secretsmanager:us-east-1:123456789012:secret:key-AbCdEf]]",
		}},
		{secret(config.Secret{SecretsManager: "arn:aws:secretsmanager:us-east-1:123456789012:secret:key"}), []string{
			"~ container Secrets <nil> -> [map[Name:KEY ValueFrom:arn:aws:secretsmanager:us-east-1:123456789012:secret:key]]",
			"~ execution role  -> [map[Action:secretsmanager:GetSecretValue Effect:Allow Resource:arn:aws:secretsmanager:us-east-1:123456789012:secret:key-??????]]",
		}},
		{secret(config.Secret{Parameter: "plain"}), []string{
			"~ container Secrets <nil> -> [map[Name:KEY ValueFrom:map[Fn::Join:[ [arn: PARTITION :ssm: REGION : ACCOUNT :parameter/plain]]]]]",
			"~ execution role  -> [map[Action:ssm:GetParameters Effect:Allow Resource:map[Fn::Join:[ [arn: PARTITION :ssm: REGION : ACCOUNT :parameter/plain]]]]]",
		}},
		{secret(config.Secret{Parameter: "arn:aws:ssm:us-east-1:123456789012:parameter/shop/key"}), []string{
			"~ container Secrets <nil> -> [map[Name:KEY ValueFrom:arn:aws:ssm:us-east-1:123456789012:parameter/shop/key]]",
			"~ execution role  -> [map[Action:ssm:GetParameters Effect:Allow Resource:arn:aws:ssm:us-east-1:123456789012:parameter/shop/key]]",
		}},
		{func(s *config.Service) { s.User = "node" }, []string{"~ container User 65532:65532 -> node"}},
		{func(s *config.Service) {
			s.WritablePaths = []config.WritablePath{{Path: "/tmp"}, {Path: "/run", SizeMiB: 1}}
		}, []string{
			"~ container LinuxParameters.Tmpfs <nil> -> [map[ContainerPath:/tmp MountOptions:[noexec nosuid nodev] Size:64] map[ContainerPath:/run MountOptions:[noexec nosuid nodev] Size:1]]",
		}},
		{func(s *config.Service) { s.Ulimits = []config.Ulimit{{Name: "nofile", Soft: 1, Hard: 2}} }, []string{
			"~ container Ulimits <nil> -> [map[HardLimit:2 Name:nofile SoftLimit:1]]",
		}},
		{func(s *config.Service) { s.DeregistrationDelaySeconds = 30 }, []string{
			"~ container StopTimeout 20 -> 35",
			"~ target group TargetGroupAttributes[0].Value 15 -> 30",
		}},
		{func(s *config.Service) { s.StopTimeoutSeconds = 100 }, []string{"~ container StopTimeout 20 -> 100"}},
		{func(s *config.Service) { s.Alarms.LatencyMilliseconds = 1500 }, []string{
			"~ LatencyAlarm5394FC57 Properties.AlarmDescription NAME is slow: one request in a hundred takes a second or more, for 15 minutes -> NAME is slow: one request in a hundred takes 1.5 s or more, for 15 minutes",
			"~ LatencyAlarm5394FC57 Properties.Threshold 1 -> 1.5",
		}},
		{func(s *config.Service) { s.Alarms.Errors = 1 }, []string{
			"~ ErrorsAlarm39B3548B Properties.AlarmDescription NAME answers with 5xx: 10 times or more in 5 minutes -> NAME answers with 5xx: once or more in 5 minutes",
			"~ ErrorsAlarm39B3548B Properties.Threshold 10 -> 1",
		}},
		{func(s *config.Service) { s.CPU, s.MemoryReservationMiB, s.MemoryLimitMiB = 128, 100, 300 }, []string{
			"~ container Cpu 256 -> 128", "~ container Memory 512 -> 300", "~ container MemoryReservation 256 -> 100",
		}},
		{func(s *config.Service) {
			s.Image = config.Registry{Name: "123456789012.dkr.ecr.us-west-2.amazonaws.com/a/b:1"}
		}, []string{
			"~ container Image registry.example.com/shop:1 -> 123456789012.dkr.ecr.us-west-2.amazonaws.com/a/b:1",
			"~ TaskDefinitionExecutionRoleDefaultPolicy1F3406F5 Metadata.cdk_nag <nil> -> map[rules_to_suppress:[map[applies_to:[Resource::*] id:AwsSolutions-IAM5 reason:ecr:GetAuthorizationToken knows no resources]]]",
			"~ execution role  -> [map[Action:[ecr:BatchCheckLayerAvailability ecr:BatchGetImage ecr:GetDownloadUrlForLayer] Effect:Allow Resource:map[Fn::Join:[ [arn: PARTITION :ecr:us-west-2:123456789012:repository/a/b]]]] " +
				"map[Action:ecr:GetAuthorizationToken Effect:Allow Resource:*]]",
		}},
		{func(s *config.Service) {
			s.Image = config.Registry{Name: "registry.example.com/shop:1", Credentials: "arn:aws:secretsmanager:us-east-1:123456789012:secret:login-AbCdEf"}
		}, []string{
			"~ container RepositoryCredentials <nil> -> map[CredentialsParameter:arn:aws:secretsmanager:us-east-1:123456789012:secret:login-AbCdEf]",
			"~ execution role  -> [map[Action:secretsmanager:GetSecretValue Effect:Allow Resource:arn:aws:secretsmanager:us-east-1:123456789012:secret:login-AbCdEf]]",
		}},
	}
	before, after := alike(len(tests)), alike(len(tests))
	for i, test := range tests {
		test.change(&after.Services[i])
	}
	context := settings{"phase": "parallel", "alarms": "on"}
	got := make([][]string, len(tests))
	for _, line := range assembly.Changes(synthQuickly(t, before, context), synthQuickly(t, after, context)) {
		fields := strings.SplitN(line, " ", 4)
		var i int
		if _, err := fmt.Sscanf(fields[1], "dev-S%d", &i); err == nil {
			line = fields[0] + " " + fields[2] + " " + fields[3]
		} else if _, err := fmt.Sscanf(fields[2], "S%02d", &i); err == nil && fields[1] == "dev-Routing" {
			line = fields[0] + " target group " + strings.TrimPrefix(fields[3], "Properties.")
		} else {
			t.Errorf("no option is about this: %s", line)
			continue
		}
		got[i] = append(got[i], strings.ReplaceAll(inShort.Replace(line), after.Services[i].Name, "NAME"))
	}
	const reason = "~ TaskDefinitionB36D86D9 Metadata.cdk_nag.rules_to_suppress[0].reason What differs between environments is configured by variables. " +
		"None is secret; a secret would come from Secrets Manager -> What differs between environments is configured by variables. What is secret comes from Secrets Manager or Parameter Store"
	for i, test := range tests {
		if after.Services[i].Secrets != nil {
			test.want = append(test.want, reason)
		}
		equal(t, fmt.Sprintf("option %d", i), slices.Sorted(slices.Values(test.want)), slices.Sorted(slices.Values(got[i])))
	}
}

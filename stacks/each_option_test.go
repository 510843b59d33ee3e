package stacks_test

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"cutover/config"
	"cutover/internal/assembly"
	"cutover/internal/nightly"
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
	"RoleDefaultPolicy5FFB7DAB Properties.PolicyDocument.Statement [map[Action:[logs:CreateLogStream logs:PutLogEvents] Effect:Allow Resource:map[Fn::GetAtt:[LogGroupF5B46931 Arn]]]] ", "function's role ",
	"Function76856677 Properties.", "function ",
	"TaskDefinitionB36D86D9 Properties.", "task definition ", "ServiceD69D759B Properties.", "service ",
)

// TestEachOption states what each option of a service changes in the templates, and so that the option
// changes nothing else.
func TestEachOption(t *testing.T) {
	nightly.Test(t, "it synthesizes a service for each option, before and after")
	const key = "arn:aws:kms:us-east-1:123456789012:key/00000000-0000-0000-0000-000000000000"
	secret := func(secret config.Secret) func(*config.Service) {
		return func(s *config.Service) { s.Secrets = map[string]config.Secret{"KEY": secret} }
	}
	type option struct {
		change func(*config.Service)
		want   []string
	}
	function := func(s *config.Service) { s.Image, s.Compute = config.GoPackage{Dir: "services/users"}, onLambda }
	lambda := func(compute config.Lambda) func(*config.Service) {
		return func(s *config.Service) { s.Compute = compute }
	}
	version := func(want ...string) []string {
		return append(want, "~ Alias325C5727 Properties.FunctionVersion.Fn::GetAtt[0] FunctionVERSION -> FunctionVERSION",
			"+ FunctionVERSION AWS::Lambda::Version", "- FunctionVERSION AWS::Lambda::Version")
	}
	tasks := []option{
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
		{func(s *config.Service) { s.Store = config.DynamoDB{} }, []string{
			"+ TaskDefinitionTaskRoleDefaultPolicy282E8624 AWS::IAM::Policy",
			"+ ThrottlesAlarmE43723A6 AWS::CloudWatch::Alarm",
			"+ table AWS::DynamoDB::GlobalTable",
			"~ ServiceD69D759B DependsOn [TaskDefinitionExecutionRoleDefaultPolicy1F3406F5 TaskDefinitionExecutionRole8D61C2FB TaskDefinitionTaskRoleFD40A61D] -> [TaskDefinitionExecutionRoleDefaultPolicy1F3406F5 TaskDefinitionExecutionRole8D61C2FB TaskDefinitionTaskRoleDefaultPolicy282E8624 TaskDefinitionTaskRoleFD40A61D]",
			"~ container Environment [map[Name:PORT Value:3000]] -> [map[Name:AWS_REGION Value:REGION] map[Name:PORT Value:3000] map[Name:NAME_TABLE Value:dev-NAME]]",
		}},
		{function, []string{
			"+ Alias325C5727 AWS::Lambda::Alias",
			"+ Function76856677 AWS::Lambda::Function",
			"+ FunctionVERSION AWS::Lambda::Version",
			"+ LambdaCanaryErrorsAlarm73FAE5B5 AWS::CloudWatch::Alarm",
			"+ LambdaCanaryLatencyAlarm3DFE033C AWS::CloudWatch::Alarm",
			"+ LambdaConcurrencyAlarm801E48EA AWS::CloudWatch::Alarm",
			"+ LambdaDurationAlarmA8007F1F AWS::CloudWatch::Alarm",
			"+ LambdaErrorsAlarm8ED74A7D AWS::CloudWatch::Alarm",
			"+ LambdaFailuresAlarmD80B29A0 AWS::CloudWatch::Alarm",
			"+ LambdaLatencyAlarm19BFED24 AWS::CloudWatch::Alarm",
			"+ LambdaThrottlesAlarm13DE03A1 AWS::CloudWatch::Alarm",
			"+ LogGroupF5B46931 AWS::Logs::LogGroup",
			"+ Permission AWS::Lambda::Permission",
			"+ Role1ABCC5F0 AWS::IAM::Role",
			"+ RoleDefaultPolicy5FFB7DAB AWS::IAM::Policy",
			"+ repository AWS::ECR::Repository",
			"+ target group AWS::ElasticLoadBalancingV2::TargetGroup",
			"- CanaryErrorsAlarm000E2535 AWS::CloudWatch::Alarm",
			"- CanaryLatencyAlarm211F73C8 AWS::CloudWatch::Alarm",
			"- CanaryUnhealthyAlarm7DA6EA8C AWS::CloudWatch::Alarm",
			"- ErrorsAlarm39B3548B AWS::CloudWatch::Alarm",
			"- LatencyAlarm5394FC57 AWS::CloudWatch::Alarm",
			"- NoTaskAlarmCA15201B AWS::CloudWatch::Alarm",
			"- ServiceD69D759B AWS::ECS::Service",
			"- TaskDefinitionB36D86D9 AWS::ECS::TaskDefinition",
			"- TaskDefinitionExecutionRole8D61C2FB AWS::IAM::Role",
			"- TaskDefinitionExecutionRoleDefaultPolicy1F3406F5 AWS::IAM::Policy",
			"- TaskDefinitionTaskRoleFD40A61D AWS::IAM::Role",
			"- target group AWS::ElasticLoadBalancingV2::TargetGroup",
			"~ target group Actions[0].TargetGroupArn.Ref NAME -> NAMELambda",
		}},
	}
	functions := []option{
		{lambda(config.Lambda{MemoryMiB: 1769}), version("~ function MemorySize 256 -> 1769")},
		{lambda(config.Lambda{TimeoutSeconds: 60}), version(
			"~ LambdaDurationAlarmA8007F1F Properties.AlarmDescription NAME-lambda is close to its time-out: one request in a hundred takes 8 s or more, for 15 minutes -> NAME-lambda is close to its time-out: one request in a hundred takes 48 s or more, for 15 minutes",
			"~ LambdaDurationAlarmA8007F1F Properties.Threshold 8000 -> 48000",
			"~ function Timeout 10 -> 60",
		)},
		{lambda(config.Lambda{Concurrency: 100}), []string{
			"~ LambdaConcurrencyAlarm801E48EA Properties.AlarmDescription NAME-lambda is close to its concurrency: 40 of 50 execution environments or more are in use, for 15 minutes -> NAME-lambda is close to its concurrency: 80 of 100 execution environments or more are in use, for 15 minutes",
			"~ LambdaConcurrencyAlarm801E48EA Properties.Threshold 40 -> 80",
			"~ LambdaThrottlesAlarm13DE03A1 Properties.AlarmDescription Lambda refuses requests of NAME-lambda, once or more in 5 minutes: its 50 execution environments are in use, or the account has no more -> Lambda refuses requests of NAME-lambda, once or more in 5 minutes: its 100 execution environments are in use, or the account has no more",
			"~ function ReservedConcurrentExecutions 50 -> 100",
		}},
		{func(s *config.Service) { s.Environment = map[string]string{"LEVEL": "${level} in ${AWS::Region}"} }, version("~ function Environment <nil> -> map[Variables:map[LEVEL:map[Fn::Join:[ [${level} in  REGION]]]]]")},
		{secret(config.Secret{SecretsManager: "shop/key", KMSKey: key}), version(
			"~ function Environment <nil> -> map[Variables:map[CUTOVER_SECRETS:map[Fn::Join:[ [{\"KEY\":\"arn: PARTITION :secretsmanager: REGION : ACCOUNT :secret:shop/key\"}]]]]]",
			"~ function's role -> [map[Action:secretsmanager:GetSecretValue Effect:Allow Resource:map[Fn::Join:[ [arn: PARTITION :secretsmanager: REGION : ACCOUNT :secret:shop/key-??????]]]] map[Action:kms:Decrypt Effect:Allow Resource:arn:aws:kms:us-east-1:123456789012:key/00000000-0000-0000-0000-000000000000]]",
		)},
		{secret(config.Secret{Parameter: "/shop/key"}), version(
			"~ function Environment <nil> -> map[Variables:map[CUTOVER_SECRETS:map[Fn::Join:[ [{\"KEY\":\"arn: PARTITION :ssm: REGION : ACCOUNT :parameter/shop/key\"}]]]]]",
			"~ function's role -> [map[Action:ssm:GetParameter Effect:Allow Resource:map[Fn::Join:[ [arn: PARTITION :ssm: REGION : ACCOUNT :parameter/shop/key]]]]]",
		)},
		{func(s *config.Service) {
			s.Permissions = []config.Statement{{Actions: []string{"sqs:SendMessage"}, Resources: []string{"arn:aws:sqs:us-east-1:123456789012:users"}}}
		}, []string{"~ function's role -> [map[Action:sqs:SendMessage Effect:Allow Resource:arn:aws:sqs:us-east-1:123456789012:users]]"}},
		{func(s *config.Service) { s.Store = config.DynamoDB{} }, version(
			"+ ThrottlesAlarmE43723A6 AWS::CloudWatch::Alarm",
			"+ table AWS::DynamoDB::GlobalTable",
			"~ function Environment <nil> -> map[Variables:map[NAME_TABLE:dev-NAME]]",
			"~ function's role -> [map[Action:[dynamodb:BatchGetItem dynamodb:ConditionCheckItem dynamodb:DeleteItem dynamodb:GetItem dynamodb:PutItem dynamodb:Query dynamodb:UpdateItem] Effect:Allow Resource:map[Fn::Join:[ [arn: PARTITION :dynamodb: REGION : ACCOUNT :table/dev-NAME]]]]]",
		)},
		{func(s *config.Service) { s.Alarms.LatencyMilliseconds = 1500 }, []string{
			"~ LambdaLatencyAlarm19BFED24 Properties.AlarmDescription NAME-lambda is slow: one request in a hundred takes a second or more, for 15 minutes -> NAME-lambda is slow: one request in a hundred takes 1.5 s or more, for 15 minutes",
			"~ LambdaLatencyAlarm19BFED24 Properties.Threshold 1 -> 1.5",
		}},
		// What is about tasks.
		{func(s *config.Service) { s.Port, s.CPU, s.User = 8080, 128, "1:1" }, nil},
		{func(s *config.Service) { s.HealthCheck.Path, s.DeregistrationDelaySeconds = "/healthz", 30 }, nil},
	}
	tests := slices.Concat(tasks, functions)
	before, after := alike(len(tests)), alike(len(tests))
	for i, test := range tests {
		if i >= len(tasks) {
			function(&before.Services[i])
			function(&after.Services[i])
		}
		test.change(&after.Services[i])
	}
	context := settings{"phase": "parallel", "alarms": "on"}
	got := make([][]string, len(tests))
	var elsewhere []string
	of := map[string]string{"dev-Routing": " target group ", "dev-Data": " table ", "dev-Registry": " repository "}
	anyName, idHash := regexp.MustCompile(`\b[Ss]\d\d`), regexp.MustCompile(`\b(NAME\w*?)[0-9A-F]{8}\b`)
	for _, line := range assembly.Changes(synthQuickly(t, before, context), synthQuickly(t, after, context)) {
		line = hash.ReplaceAllString(line, "VERSION")
		fields := strings.SplitN(line, " ", 4)
		switch {
		case ofInterlock(fields[1]), fields[1] == "dev-Watch": // they have all services in one value
			continue
		case slices.Contains([]string{"Description", "Parameters", "Rules"}, fields[2]), strings.HasPrefix(fields[2], "Outputs"): // of a stack
			continue
		}
		var i int
		if _, err := fmt.Sscanf(fields[1], "dev-S%d", &i); err == nil {
			line = fields[0] + " " + fields[2] + " " + fields[3]
		} else if _, err := fmt.Sscanf(fields[2], "S%02d", &i); err == nil && of[fields[1]] != "" {
			line = fields[0] + of[fields[1]] + strings.TrimPrefix(fields[3], "Properties.")
		} else {
			elsewhere = append(elsewhere, anyName.ReplaceAllString(inShort.Replace(line), "NAME"))
			continue
		}
		line = regexp.MustCompile(`(?i)\b`+after.Services[i].Name).ReplaceAllString(inShort.Replace(line), "NAME")
		got[i] = append(got[i], idHash.ReplaceAllString(line, "$1"))
	}
	// The monolith uses the tables, too.
	equal(t, "elsewhere", []string{
		"+ dev-Network VpcDynamoDB6FB9CBF5 AWS::EC2::VPCEndpoint",
		"~ dev-Shop ServiceD69D759B DependsOn [TaskDefinitionExecutionRoleDefaultPolicy1F3406F5 TaskDefinitionExecutionRole8D61C2FB TaskDefinitionTaskRoleFD40A61D] -> [TaskDefinitionExecutionRoleDefaultPolicy1F3406F5 TaskDefinitionExecutionRole8D61C2FB TaskDefinitionTaskRoleDefaultPolicy282E8624 TaskDefinitionTaskRoleFD40A61D]",
		"~ dev-Shop container Environment [map[Name:PORT Value:3000]] -> [map[Name:AWS_REGION Value:REGION] map[Name:PORT Value:3000] map[Name:NAME_TABLE Value:dev-NAME] map[Name:NAME_TABLE Value:dev-NAME]]",
		"+ dev-Shop TaskDefinitionTaskRoleDefaultPolicy282E8624 AWS::IAM::Policy",
	}, elsewhere)
	const reason = "~ TaskDefinitionB36D86D9 Metadata.cdk_nag.rules_to_suppress[0].reason What differs between environments is configured by variables. " +
		"None is secret; a secret would come from Secrets Manager -> What differs between environments is configured by variables. What is secret comes from Secrets Manager or Parameter Store"
	for i, test := range tests {
		if after.Services[i].Secrets != nil && i < len(tasks) {
			test.want = append(test.want, reason)
		}
		equal(t, fmt.Sprintf("option %d", i), slices.Sorted(slices.Values(test.want)), slices.Sorted(slices.Values(got[i])))
	}
}

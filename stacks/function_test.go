package stacks_test

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"cutover/config"
	"cutover/internal/analysis/controls"
	"cutover/internal/analysis/isolation"
	"cutover/internal/assembly"
	"cutover/internal/golden"
	"cutover/internal/model"
	"cutover/internal/nightly"
	"cutover/migration"
)

var onLambda = config.Lambda{}

// TestFunctionBeforeLoadBalancer pins the order of the stacks: the target group names the function's alias, and
// the function's permission names the target group by what is known before.
func TestFunctionBeforeLoadBalancer(t *testing.T) {
	nightly.Test(t, "it synthesizes one more deployment")
	a := atStop(t, stop{onEC2, onLambda, ""})
	var order []string
	for _, stack := range a.Stacks {
		order = append(order, stack.Name)
	}
	text := strings.Join(order, " ")
	if function, routing := strings.Index(text, "dev-UsersFunction"), strings.Index(text, "dev-Routing"); function < 0 || function > routing {
		t.Errorf("the stacks are %s, want dev-UsersFunction before dev-Routing", text)
	}
	group := a.Stack("dev-Routing").Resource("UsersLambda3F4CC07E")
	if group == nil || group.Type != model.ELBTargetGroup || group.Properties["TargetType"] != "lambda" {
		t.Fatalf("the target group is %+v", group)
	}
}

// TestFunctionArchitecture: a function runs on the architecture that its program is compiled for.
func TestFunctionArchitecture(t *testing.T) {
	nightly.Test(t, "it synthesizes two architectures")
	for arch, want := range map[string]string{"amd64": "[x86_64]", "arm64": "[arm64]"} {
		a := synthQuickly(t, usersOnLambda(), settings{"phase": "switched", "arch": arch})
		equal(t, arch, want, fmt.Sprint(resource(t, a, "dev-UsersFunction", "AWS::Lambda::Function").Properties["Architectures"]))
	}
}

// usersOnLambda is the forum with users on Lambda alone, its records in a table.
func usersOnLambda() config.Deployment {
	return changed(first, func(s *config.Service) { s.Compute = onLambda })
}

// TestGoldensOfFunction compares the stacks that know of the function.
func TestGoldensOfFunction(t *testing.T) {
	a := synthDeployment(t, usersOnLambda(), settings{"phase": "switched", "store": "dynamodb", "alarms": "on"})
	for _, part := range []string{"UsersFunction", "Users", "Routing"} {
		stack := a.Stack("dev-" + part)
		golden.Compare(t, filepath.Join(goldenDir, "function", stack.Name+".json"), goldenTemplate(t, stack))
	}
}

const (
	toLambdaGroup = "+ dev-Routing UsersLambda3F4CC07E AWS::ElasticLoadBalancingV2::TargetGroup"
	ec2Group      = "+ dev-Routing Users0A0EEA89 AWS::ElasticLoadBalancingV2::TargetGroup"
	fargateGroup  = "+ dev-Routing UsersFargateA116CD25 AWS::ElasticLoadBalancingV2::TargetGroup"
	// lambdaLogs are where saved queries look.
	lambdaLogs = "Properties.LogGroupNames [/ecs/api /ecs/users /ecs/threads /ecs/posts] -> [/ecs/api /ecs/users /ecs/threads /ecs/posts /aws/lambda/users-lambda]"
)

// beside is the rule of a service when a second group of a weight comes, and without when the first one of no weight goes.
func beside(group, next string) []string {
	return []string{
		"~ dev-Routing UsersServiceRuleF8E4FD22 Properties.Actions[0].ForwardConfig <nil> -> map[TargetGroups:[map[TargetGroupArn:map[Ref:" + group + "] Weight:1] map[TargetGroupArn:map[Ref:" + next + "] Weight:0]]]",
		"~ dev-Routing UsersServiceRuleF8E4FD22 Properties.Actions[0].TargetGroupArn map[Ref:" + group + "] -> <nil>",
	}
}

func alone(group, next string) []string {
	return []string{
		"~ dev-Routing UsersServiceRuleF8E4FD22 Properties.Actions[0].ForwardConfig map[TargetGroups:[map[TargetGroupArn:map[Ref:" + group + "] Weight:0] map[TargetGroupArn:map[Ref:" + next + "] Weight:1]]] -> <nil>",
		"~ dev-Routing UsersServiceRuleF8E4FD22 Properties.Actions[0].TargetGroupArn <nil> -> map[Ref:" + next + "]",
	}
}

// function is what comes with a function, beside its target group.
var function = []string{
	"+ dev-UsersFunction Alias325C5727 AWS::Lambda::Alias",
	"+ dev-UsersFunction Function76856677 AWS::Lambda::Function",
	"+ dev-UsersFunction FunctionCurrentVersion AWS::Lambda::Version",
	"+ dev-UsersFunction LogGroupF5B46931 AWS::Logs::LogGroup",
	"+ dev-UsersFunction Permission AWS::Lambda::Permission",
	"+ dev-UsersFunction Role1ABCC5F0 AWS::IAM::Role",
	"+ dev-UsersFunction RoleDefaultPolicy5FFB7DAB AWS::IAM::Policy",
	"~ dev-Watch WhatFails " + lambdaLogs,
	"~ dev-Watch WhatHappened " + lambdaLogs,
	"~ dev-Watch WhatIsSlow " + lambdaLogs,
	"+ dev-Watch WhatStartsCold AWS::Logs::QueryDefinition",
}

// TestFunctionChanges states what each step to Lambda and back may change, as [TestComputeChanges] does for EC2 and
// Fargate. Only the first step and the last one touch the function, when it has no traffic: in all others, and on
// both sides of them, it stays as it is.
func TestFunctionChanges(t *testing.T) {
	nightly.Test(t, "it synthesizes moves to Lambda and back step by step")
	gone := func(lines []string) (all []string) {
		for _, line := range lines {
			all = append(all, reverse(line))
		}
		return all
	}
	shifted := []string{weights + "[0].Weight 1 -> 9", weights + "[1].Weight 0 -> 1"}
	switched := []string{weights + "[0].Weight 9 -> 0"}
	fargate := slices.DeleteFunc(slices.Clone(fargatePair), func(line string) bool { return strings.Contains(line, " dev-Routing ") })
	ec2 := slices.DeleteFunc(slices.Clone(ec2Pair), func(line string) bool { return strings.Contains(line, " dev-Routing ") })
	for _, one := range []struct {
		way  []stop
		want [][]string
	}{
		{way(onEC2, onLambda), [][]string{
			slices.Concat(function, []string{toLambdaGroup}, beside("Users0A0EEA89", "UsersLambda3F4CC07E")),
			nil, shifted, switched,
			{reverse(toEC2Group), "- " + ec2Service},
			slices.Concat(gone(ec2), []string{reverse(ec2Group)}, alone("Users0A0EEA89", "UsersLambda3F4CC07E")),
		}},
		{way(onLambda, onEC2), [][]string{
			slices.Concat(ec2, []string{ec2Group}, beside("UsersLambda3F4CC07E", "Users0A0EEA89")),
			{toEC2Group, "+ " + ec2Service},
			shifted, switched, nil,
			slices.Concat(gone(function), []string{reverse(toLambdaGroup)}, alone("UsersLambda3F4CC07E", "Users0A0EEA89")),
		}},
		{way(onFargate, onLambda), [][]string{
			slices.Concat(function, []string{toLambdaGroup}, beside("UsersFargateA116CD25", "UsersLambda3F4CC07E")),
			nil, shifted, switched,
			{reverse(toFargateGroup), "- " + fargateService},
			slices.Concat(gone(fargate), []string{reverse(fargateGroup)}, alone("UsersFargateA116CD25", "UsersLambda3F4CC07E")),
		}},
		{way(onLambda, onFargate), [][]string{
			slices.Concat(fargate, []string{fargateGroup}, beside("UsersLambda3F4CC07E", "UsersFargateA116CD25")),
			{toFargateGroup, "+ " + fargateService},
			shifted, switched, nil,
			slices.Concat(gone(function), []string{reverse(toLambdaGroup)}, alone("UsersLambda3F4CC07E", "UsersFargateA116CD25")),
		}},
	} {
		for i, want := range one.want {
			got := functionChanges(atStop(t, one.way[i]), atStop(t, one.way[i+1]))
			slices.Sort(want)
			equal(t, fmt.Sprintf("%v → %v", one.way[i], one.way[i+1]), want, got)
		}
	}
}

// functionChanges are what a step changes, sorted: beside the interlock, the dashboard, and what a stack says of
// itself. The version of a function is without its hash.
func functionChanges(from, to *assembly.Assembly) (lines []string) {
	for _, line := range assembly.Changes(from, to) {
		words := strings.Fields(line)
		switch {
		case words[1] == "dev-GateCompute", words[1] == "dev-PhaseCompute", strings.Contains(line, "Properties.DashboardBody"):
		case words[0] == "~" && words[1] == "dev-UsersFunction" && slices.Contains([]string{"Description", "Outputs", "Parameters", "Rules"}, words[2]):
		default:
			lines = append(lines, string(hash.ReplaceAll([]byte(line), []byte("CurrentVersion"))))
		}
	}
	slices.Sort(lines)
	return lines
}

// functions is a deployment with all that a function may have: the monolith and its services' tables, users with
// secrets, permissions, a table and calls.
func functions() config.Deployment {
	d := changed(first, func(s *config.Service) {
		s.Compute = config.Lambda{MemoryMiB: 1769, TimeoutSeconds: 60, Concurrency: 100}
		s.Environment = map[string]string{"LEVEL": "debug in ${AWS::Region}"}
		s.Secrets = map[string]config.Secret{
			"PASSWORD": {SecretsManager: "shop/users", Key: "password"},
			"SESSION":  {SecretsManager: "arn:aws:secretsmanager:us-east-1:123456789012:secret:session-AbCdEf", KMSKey: "arn:aws:kms:us-east-1:123456789012:key/00000000-0000-0000-0000-000000000000"},
			"LICENCE":  {Parameter: "/shop/licence"},
		}
		s.Permissions = []config.Statement{{Actions: []string{"sqs:SendMessage"}, Resources: []string{"arn:${AWS::Partition}:sqs:${AWS::Region}:${AWS::AccountId}:users"}}}
	})
	d.Monolith.Compute = config.Lambda{}
	return d
}

// synthFunctions synthesizes these functions in production, with cdk-nag's reports and CDK's validation.
func synthFunctions(t *testing.T) *assembly.Assembly {
	t.Helper()
	dir := filepath.Join(scratch, "functions")
	if _, err := os.Stat(dir); err != nil {
		context := production(migration.Parallel)
		context["store"], context["domain"] = "dynamodb", "api.example.com"
		if err := synthTo(functions(), cdkContext(t, context), dir, true); err != nil {
			t.Fatal(err)
		}
	}
	a, err := assembly.Read(dir)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// inAccount reads an assembly again, as it is in an account: so the values of AWS are known.
func inAccount(t *testing.T, a *assembly.Assembly) *assembly.Assembly {
	t.Helper()
	a, err := assembly.Read(a.Dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range a.Stacks {
		s.Account, s.Region = isolation.Account, isolation.Region
	}
	return a
}

// filled fills in the values of that account.
func filled(text string) string {
	return strings.NewReplacer("${AWS::Partition}", "aws", "${AWS::Region}", isolation.Region, "${AWS::AccountId}", isolation.Account).Replace(text)
}

// TestNagOfFunctions reads what cdk-nag says of functions. All that is beside them meets the controls as before.
func TestNagOfFunctions(t *testing.T) {
	nightly.Test(t, "cdk-nag writes reports")
	a := synthFunctions(t)
	checkNag(t, "functions", a)
	m := model.Read(a)
	for _, control := range controls.All {
		for _, finding := range control.Check(m) {
			t.Errorf("%s: %v", control.ID, finding)
		}
	}
	// A function may do with its own things what a task may, and read what the list gives it.
	const may = "users-lambda: function may do "
	equal(t, "what is not its own", []string{
		may + "kms:Decrypt on arn:aws:kms:us-east-1:123456789012:key/00000000-0000-0000-0000-000000000000",
		may + "secretsmanager:GetSecretValue on arn:aws:secretsmanager:us-east-1:123456789012:secret:session-AbCdEf",
		may + "secretsmanager:GetSecretValue on arn:aws:secretsmanager:us-east-1:123456789012:secret:shop/users-??????",
		may + "sqs:SendMessage on arn:aws:sqs:us-east-1:123456789012:users",
		may + "ssm:GetParameter on arn:aws:ssm:us-east-1:123456789012:parameter/shop/licence",
	}, isolated(t, a).Foreign(names(functions().All())))
}

// TestFunctionsOfTwoLoadBalancers: each load balancer may call a function by its own target group, and nobody else may.
func TestFunctionsOfTwoLoadBalancers(t *testing.T) {
	nightly.Test(t, "it synthesizes one more deployment")
	d := usersOnLambda()
	d.Monolith.Compute, d.Services[len(d.Services)-1].LoadBalancer = onLambda, "press"
	a := inAccount(t, synthDeployment(t, d, settings{"phase": "parallel", "alarms": "on"}))
	var got []string
	for _, r := range a.Resources("AWS::Lambda::Permission") {
		got = append(got, fmt.Sprintf("%s: %v %v %v by %v", r, property(t, a, r, "Principal"), property(t, a, r, "Action"), property(t, a, r, "FunctionName"), property(t, a, r, "SourceArn")))
	}
	slices.Sort(got)
	line := func(function, id, group string) string {
		return fmt.Sprintf(filled("dev-%s/%s: elasticloadbalancing.amazonaws.com lambda:InvokeFunction dev-%s/Alias325C5727 by arn:${AWS::Partition}:elasticloadbalancing:${AWS::Region}:${AWS::AccountId}:targetgroup/%s/*"), function, id, function, group)
	}
	equal(t, "permissions", []string{
		line("ApiFunction", "Permission", "api-lambda"), line("ApiFunction", "PermissionPress", "api-lambda-press"), line("UsersFunction", "Permission", "users-lambda"),
	}, got)
	var targets []string
	for _, r := range a.Resources(model.ELBTargetGroup) {
		if r.Properties["TargetType"] == "lambda" {
			for _, target := range listOf(property(t, a, r, "Targets")) {
				targets = append(targets, fmt.Sprintf("%v: %v", r.Properties["Name"], target["Id"]))
			}
			for _, no := range []string{"Port", "Protocol", "VpcId", "HealthCheckPath"} {
				if r.Properties[no] != nil {
					t.Errorf("%s has %s, which a function has not", r, no)
				}
			}
		}
	}
	slices.Sort(targets)
	equal(t, "targets", []string{"api-lambda-press: dev-ApiFunction/Alias325C5727", "api-lambda: dev-ApiFunction/Alias325C5727", "users-lambda: dev-UsersFunction/Alias325C5727"}, targets)
}

// TestFunctionReads: a function may read its secrets and nothing else, and its variables say where they are.
func TestFunctionReads(t *testing.T) {
	a := inAccount(t, synthFunctions(t))
	of := resource(t, a, "prod-UsersFunction", "AWS::Lambda::Function")
	variables := property(t, a, of, "Environment").(object)["Variables"].(object)
	equal(t, "variables", object{
		"LEVEL": filled("debug in ${AWS::Region}"), "USERS_TABLE": "prod-users", "THREADS_URL": "https://api.example.com", "POSTS_URL": "https://api.example.com",
		"CUTOVER_SECRETS": filled(`{"LICENCE":"arn:${AWS::Partition}:ssm:${AWS::Region}:${AWS::AccountId}:parameter/shop/licence",` +
			`"PASSWORD":"arn:${AWS::Partition}:secretsmanager:${AWS::Region}:${AWS::AccountId}:secret:shop/users:password::",` +
			`"SESSION":"arn:aws:secretsmanager:us-east-1:123456789012:secret:session-AbCdEf"}`),
	}, variables)
	var may []string
	for _, r := range a.Stack("prod-UsersFunction").Resources {
		if r.Type == "AWS::IAM::Policy" {
			for _, statement := range listOf(property(t, a, r, "PolicyDocument").(object)["Statement"]) {
				may = append(may, fmt.Sprint(statement["Action"], " ", statement["Resource"]))
			}
		}
		if r.Type == "AWS::IAM::Role" && r.Properties["ManagedPolicyArns"] != nil {
			t.Errorf("%s has managed policies: %v", r, r.Properties["ManagedPolicyArns"])
		}
	}
	slices.Sort(may)
	equal(t, "the role may", []string{
		filled("[dynamodb:BatchGetItem dynamodb:ConditionCheckItem dynamodb:DeleteItem dynamodb:GetItem dynamodb:PutItem dynamodb:Query dynamodb:UpdateItem] arn:${AWS::Partition}:dynamodb:${AWS::Region}:${AWS::AccountId}:table/prod-users"),
		"[logs:CreateLogStream logs:PutLogEvents] prod-UsersFunction/LogGroupF5B46931.Arn",
		"kms:Decrypt arn:aws:kms:us-east-1:123456789012:key/00000000-0000-0000-0000-000000000000",
		filled("secretsmanager:GetSecretValue [arn:aws:secretsmanager:us-east-1:123456789012:secret:session-AbCdEf arn:${AWS::Partition}:secretsmanager:${AWS::Region}:${AWS::AccountId}:secret:shop/users-??????]"),
		filled("sqs:SendMessage arn:${AWS::Partition}:sqs:${AWS::Region}:${AWS::AccountId}:users"),
		filled("ssm:GetParameter arn:${AWS::Partition}:ssm:${AWS::Region}:${AWS::AccountId}:parameter/shop/licence"),
	}, may)
	// A function uses its table from its first request.
	if !slices.Contains(a.Stack("prod-UsersFunction").DependsOn, a.Stack("prod-Data")) {
		t.Error("prod-UsersFunction does not wait for prod-Data")
	}
}

// TestFunctionAsset: what is uploaded holds the program alone, and the program's digest decides on its name: it is the
// same on every machine. CDK makes a digest of the digest.
func TestFunctionAsset(t *testing.T) {
	a := atStop(t, stop{onEC2, onLambda, ""})
	text, err := os.ReadFile(filepath.Join(a.Dir, "dev-UsersFunction.assets.json"))
	if err != nil {
		t.Fatal(err)
	}
	var manifest struct {
		Files map[string]struct {
			Source struct{ Path, Packaging string }
		}
	}
	if err := json.Unmarshal(text, &manifest); err != nil {
		t.Fatal(err)
	}
	zips := 0
	for name, file := range manifest.Files {
		if file.Source.Packaging != "zip" {
			continue
		}
		zips++
		entries, err := os.ReadDir(filepath.Join(a.Dir, file.Source.Path))
		if err != nil || len(entries) != 1 || entries[0].Name() != "bootstrap" {
			t.Fatalf("the zip has %v, %v", entries, err)
		}
		program, err := os.ReadFile(filepath.Join(a.Dir, file.Source.Path, "bootstrap"))
		if err != nil {
			t.Fatal(err)
		}
		digest := fmt.Sprintf("%x", sha256.Sum256(program))
		equal(t, "the name of the zip", fmt.Sprintf("%x", sha256.Sum256([]byte(digest))), name)
		if info, err := entries[0].Info(); err != nil || info.Mode()&0o111 == 0 {
			t.Errorf("Lambda cannot execute %v, %v", info, err)
		}
	}
	equal(t, "zips", 1, zips)
}

// TestDashboardOfFunctions: two rows show the functions, and saved queries look into their logs.
func TestDashboardOfFunctions(t *testing.T) {
	a := atStop(t, stop{onEC2, onLambda, ""})
	var got []string
	for _, line := range readDashboard(t, a, "dev-Watch").show() {
		if strings.Contains(line, "AWS/Lambda") {
			got = append(got, line)
		}
	}
	of := " FunctionName users-lambda Resource users-lambda:live "
	equal(t, "lines", []string{
		"Functions: invocations a minute: users-lambda: AWS/Lambda Invocations" + of + "Sum",
		"Functions: crashes and time-outs a minute: users-lambda: AWS/Lambda Errors" + of + "Sum",
		"Functions: requests that Lambda refused, a minute: users-lambda: AWS/Lambda Throttles" + of + "Sum",
		"Functions: execution environments in use: users-lambda: AWS/Lambda ConcurrentExecutions" + of + "Maximum",
		"Functions: duration in milliseconds, p50: users-lambda: AWS/Lambda Duration" + of + "p50",
		"Functions: duration in milliseconds, p99: users-lambda: AWS/Lambda Duration" + of + "p99",
	}, got)
	const logs = "/aws/lambda/users-lambda"
	for id, want := range map[string]string{
		"WhatFails": "[/ecs/api /ecs/users /ecs/threads /ecs/posts " + logs + "]", "WhatStartsCold": "[" + logs + "]",
	} {
		equal(t, id, want, fmt.Sprint(a.Stack("dev-Watch").Resource(id).Properties["LogGroupNames"]))
	}
}

// TestImageFunction has a function of an image that is built here, and one of an image in a repository.
func TestImageFunction(t *testing.T) {
	nightly.Test(t, "it synthesizes a function of an image, and cdk-nag writes reports")
	const account, digest = "210987654321", "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
	on := config.Lambda{RuntimeClient: true}
	d := changed(first, func(s *config.Service) {
		s.Compute, s.Image, s.Command = on, config.Dockerfile{Dir: "stacks/testdata/orders", File: "images/Dockerfile"}, []string{"app.handler"}
	})
	d.Services[1].Compute, d.Services[1].Image = on, config.Registry{Name: account + ".dkr.ecr.eu-west-1.amazonaws.com/shop/threads@" + digest}
	d.Services[2].Compute, d.Services[2].Image = on, config.Registry{Name: account + ".dkr.ecr.eu-west-1.amazonaws.com/ecr:1.2"} // a name that the registry's has, too
	dir := filepath.Join(scratch, "functions-of-images")
	context := production(migration.Switched)
	context["store"], context["domain"] = "dynamodb", "api.example.com"
	if err := synthTo(d, cdkContext(t, context), dir, true); err != nil {
		t.Fatal(err)
	}
	a, err := assembly.Read(dir)
	if err != nil {
		t.Fatal(err)
	}
	checkNag(t, "functions of images", a)
	for _, control := range controls.All {
		for _, finding := range control.Check(model.Read(a)) {
			t.Errorf("%s: %v", control.ID, finding)
		}
	}
	function := func(stack string) *model.Function {
		t.Helper()
		for _, f := range model.Read(a).Functions {
			if f.Resource.Stack.Name == stack {
				return f
			}
		}
		t.Fatalf("%s has no function", stack)
		return nil
	}
	users := function("prod-UsersFunction")
	if users.PackageType != "Image" || users.Image.Asset == nil || !slices.Equal(users.Command, []string{"app.handler"}) || users.Runtime != "" || users.Handler != "" {
		t.Errorf("the function of an image is %+v", users)
	}
	if users.Image.Asset != nil && !strings.HasPrefix(users.Image.Reference, "users:v1-") {
		t.Errorf("its image is %s, want one of the repository of the service", users.Image.Reference)
	}
	if threads := function("prod-ThreadsFunction"); threads.Image.Reference != account+".dkr.ecr.eu-west-1."+"amazonaws.com/shop/threads@"+digest {
		t.Errorf("the image of a repository is %+v", threads.Image)
	}
	if posts := function("prod-PostsFunction"); posts.Image.Reference != account+".dkr.ecr.eu-west-1.amazonaws.com/ecr:1.2" {
		t.Errorf("the image with a tag is %+v", posts.Image)
	}
	if slices.Contains(a.Stack("prod-PostsFunction").DependsOn, a.Stack("prod-Registry")) {
		t.Error("prod-PostsFunction waits for prod-Registry, which does not have the repository of its image")
	}
	policy, err := json.Marshal(a.Stack("prod-Registry").Resource("Users0A0EEA89").Properties["RepositoryPolicyText"])
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{`"lambda.amazonaws.com"`, `"ecr:BatchGetImage","ecr:GetDownloadUrlForLayer"`, `"aws:SourceArn"`, `:function:users-lambda"`} {
		if !strings.Contains(string(policy), part) {
			t.Errorf("the policy of the repository is %s, want %s in it", policy, part)
		}
	}
	if !slices.Contains(a.Stack("prod-UsersFunction").DependsOn, a.Stack("prod-Registry")) {
		t.Error("prod-UsersFunction does not wait for dev-Registry, which has the repository of its image")
	}
}

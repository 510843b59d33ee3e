package stacks

import (
	"maps"
	"slices"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	elb "github.com/aws/aws-cdk-go/awscdk/v2/awselasticloadbalancingv2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslambda"
	"github.com/aws/aws-cdk-go/awscdk/v2/awss3assets"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"

	"cutover/config"
	"cutover/internal/build"
	"cutover/migration"
)

// Function is a service on Lambda, in a stack of its own. Its target group names the alias as the target:
// CloudFormation knows no other way. So the stack goes before that of the load balancer, which says the
// opposite of an ECS service.
type Function struct {
	Stack awscdk.Stack
	// Alias is what load balancers call. It is the same for all versions.
	Alias awslambda.Alias
}

// AliasName is the name of the alias of each function.
const AliasName = "live"

// newFunctions adds the stack of each service with a pair on Lambda, and returns the functions by pair. A
// monolith that is removed has none.
func newFunctions(scope constructs.Construct, d config.Deployment, s config.Settings, plan migration.Plan, images func() (map[string]string, error), on needs) (map[string]*Function, error) {
	functions := map[string]*Function{}
	for _, service := range deployed(d, s) {
		one, ok := service.Function()
		if !ok {
			continue
		}
		contexts, err := images()
		if err != nil {
			return nil, err
		}
		code, digest, err := build.Bootstrap(contexts[service.Name])
		if err != nil {
			return nil, err
		}
		p := &pair{ServiceProps: &ServiceProps{Service: service, Deployment: d}, Pair: one}
		functions[one.Name] = newFunction(scope, s, p, plan, code, digest)
		on.afterGates(functions[one.Name].Stack)
	}
	return functions, nil
}

// functionsAfterTables lets a function wait for its table, which it uses from its first request. If there is a database
// with alarms, the tables are in a stack after that of the load balancer, which has the topic, and so after the function.
func functionsAfterTables(functions map[string]*Function, d config.Deployment, s config.Settings, data *Data) {
	if s.Alarms && len(config.StoresIn[config.AuroraPostgreSQL](d)) > 0 {
		return
	}
	for _, service := range d.All() {
		one, is := service.Function()
		if f := functions[one.Name]; is && f != nil && len(d.StoresOf(service, s.Position)) > 0 {
			depend(f.Stack, data.Stack, "a function uses its table from its first request")
		}
	}
}

// newFunction adds the stack of a function, whose program is in the directory code and has a digest.
func newFunction(scope constructs.Construct, s config.Settings, p *pair, plan migration.Plan, code, digest string) *Function {
	compute := p.Compute.(config.Lambda)
	name := s.Name(p.Name)
	f := &Function{Stack: newStack(scope, s, functionStack(p.Service.Name), "Function of "+p.Service.Name, nil)}
	tagService(f.Stack, p.Service.Name)
	logs := newLogGroup(f.Stack, "LogGroup", s, jsii.String(functionLogGroup(s, p.Name)))
	// AWS's managed policy would let the function write to the logs of all others.
	role := awsiam.NewRole(f.Stack, jsii.String("Role"), &awsiam.RoleProps{AssumedBy: awsiam.NewServicePrincipal(jsii.String("lambda.amazonaws.com"), nil)})
	allow := func(resource *string, actions ...string) {
		role.AddToPrincipalPolicy(awsiam.NewPolicyStatement(&awsiam.PolicyStatementProps{Actions: jsii.Strings(actions...), Resources: &[]*string{resource}}))
	}
	allow(logs.LogGroupArn(), "logs:CreateLogStream", "logs:PutLogEvents")
	permit(role, p.Service.Permissions)
	p.grantStores(f.Stack, s, role)
	architecture := awslambda.Architecture_X86_64()
	if s.Arch == "arm64" {
		architecture = awslambda.Architecture_ARM_64()
	}
	of := awslambda.NewFunction(f.Stack, jsii.String("Function"), &awslambda.FunctionProps{
		FunctionName: jsii.String(name),
		Description:  jsii.String("Service " + p.Service.Name + ", behind the load balancer"),
		Runtime:      awslambda.Runtime_PROVIDED_AL2023(),
		Handler:      jsii.String("bootstrap"),
		Architecture: architecture,
		// Other machines and file systems would give the directory another hash.
		Code: awslambda.Code_FromAsset(jsii.String(code), &awss3assets.AssetOptions{
			AssetHash: jsii.String(digest), AssetHashType: awscdk.AssetHashType_CUSTOM,
		}),
		Role:                         role,
		LogGroup:                     logs,
		MemorySize:                   jsii.Number(compute.MemoryMiB),
		Timeout:                      awscdk.Duration_Seconds(jsii.Number(compute.TimeoutSeconds)),
		ReservedConcurrentExecutions: jsii.Number(compute.Concurrency),
		Environment:                  p.functionVariables(s, allow),
	})
	of.Node().AddDependency(role) // without its policy the function could not log
	f.Alias = awslambda.NewAlias(f.Stack, jsii.String("Alias"), &awslambda.AliasProps{AliasName: jsii.String(AliasName), Version: of.CurrentVersion()})
	for _, b := range plan.Balancers {
		if !slices.Contains(b.Groups, p.Name) {
			continue
		}
		// The target group comes later, and its ARN ends with what only AWS knows. Its name is known.
		awslambda.NewCfnPermission(f.Stack, jsii.String("Permission"+config.Pascal(b.Name)), &awslambda.CfnPermissionProps{
			Action:        jsii.String("lambda:InvokeFunction"),
			FunctionName:  f.Alias.FunctionArn(),
			Principal:     jsii.String("elasticloadbalancing.amazonaws.com"),
			SourceAccount: awscdk.Aws_ACCOUNT_ID(),
			SourceArn: f.Stack.FormatArn(&awscdk.ArnComponents{
				Service: jsii.String("elasticloadbalancing"), Resource: jsii.String("targetgroup"), ResourceName: jsii.String(s.Name(b.GroupName(p.Name)) + "/*"),
			}),
		})
	}
	output(f.Stack, "AliasArn", "What the load balancer calls", f.Alias.FunctionArn())
	return f
}

// functionVariables are the variables of a function, which may read what they name.
func (p *pair) functionVariables(s config.Settings, allow func(resource *string, actions ...string)) *map[string]*string {
	for _, name := range slices.Sorted(maps.Keys(p.Service.Secrets)) {
		secret := p.Service.Secrets[name]
		_, readable := secret.ARN()
		if secret.Parameter != "" {
			allow(substituted(readable), "ssm:GetParameter")
		} else {
			allow(substituted(readable), "secretsmanager:GetSecretValue")
		}
		if secret.KMSKey != "" {
			allow(substituted(secret.KMSKey), "kms:Decrypt")
		}
	}
	read := map[string]bool{}
	for _, call := range p.Deployment.CallsOf(p.Service, s.Position) {
		balancer := call.Callee.LoadBalancer
		if s.Domain != "" && balancer == "" || read[balancer] {
			continue // by the domain, or allowed already
		}
		read[balancer] = true
		_, readable := s.URLParameter(balancer).ARN()
		allow(substituted(readable), "ssm:GetParameter")
	}
	variables := map[string]*string{}
	for name, value := range p.Deployment.FunctionVariables(p.Service, s) {
		variables[name] = substituted(value)
	}
	return &variables
}

// target makes a target group one for a function
// (https://docs.aws.amazon.com/elasticloadbalancing/latest/application/lambda-functions.html). The construct's
// own way would let anybody's load balancer call the function.
func (f *Function) target(stack awscdk.Stack, id, name string) elb.ApplicationTargetGroup {
	group := elb.NewApplicationTargetGroup(stack, jsii.String(id), &elb.ApplicationTargetGroupProps{
		TargetGroupName: jsii.String(name), TargetType: elb.TargetType_LAMBDA, MultiValueHeadersEnabled: jsii.Bool(true),
		// Each check would be a request that is paid for.
		HealthCheck: &elb.HealthCheck{Enabled: jsii.Bool(false)},
	})
	group.Node().DefaultChild().(elb.CfnTargetGroup).SetTargets(&[]any{
		&elb.CfnTargetGroup_TargetDescriptionProperty{Id: f.Alias.FunctionArn()},
	})
	return group
}

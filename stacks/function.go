package stacks

import (
	"maps"
	"slices"
	"strings"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsecr"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsecrassets"
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

	runtime awslambda.Runtime
	handler *string
	code    awslambda.Code
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
		p := &pair{ServiceProps: &ServiceProps{Service: service, Deployment: d}, Pair: one}
		f := &Function{}
		newStack := func(synthesizer awscdk.IStackSynthesizer) awscdk.Stack {
			return newStack(scope, s, functionStack(service.Name), "Function of "+service.Name, synthesizer)
		}
		switch service.Image.(type) {
		case config.GoPackage:
			contexts, err := images()
			if err != nil {
				return nil, err
			}
			f.Stack = newStack(nil)
			if err := f.runProgram(contexts[service.Name]); err != nil {
				return nil, err
			}
		case config.Dockerfile:
			f.Stack = newStack(ownRepository(s, service.Name))
			depend(f.Stack, on.registry, "its image is pushed to its repository")
			f.runImage(s, service)
		case config.Registry:
			f.Stack = newStack(nil)
			f.runImage(s, service)
		}
		f.add(s, p, plan)
		functions[one.Name] = f
		on.afterGates(f.Stack)
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

// pushedFunction returns the pair of a service on Lambda whose image is pushed to the repository of the service, and
// whether there is one.
func pushedFunction(service config.Service) (config.Pair, bool) {
	pair, is := service.Function()
	_, built := service.Image.(config.Dockerfile)
	return pair, is && built
}

// runProgram has the function run the program in a build context.
func (f *Function) runProgram(context string) (err error) {
	f.runtime, f.handler = awslambda.Runtime_PROVIDED_AL2023(), jsii.String("bootstrap")
	f.code, err = programCode(context)
	return err
}

// programCode is the program in a build context as a function runs it.
func programCode(context string) (awslambda.Code, error) {
	code, digest, err := build.Bootstrap(context)
	if err != nil {
		return nil, err
	}
	// Other machines and file systems would give the directory another hash.
	return awslambda.Code_FromAsset(jsii.String(code), &awss3assets.AssetOptions{AssetHash: jsii.String(digest), AssetHashType: awscdk.AssetHashType_CUSTOM}), nil
}

// architecture is that of functions.
func architecture(s config.Settings) awslambda.Architecture {
	if s.Arch == "arm64" {
		return awslambda.Architecture_ARM_64()
	}
	return awslambda.Architecture_X86_64()
}

// runImage has the function run the image of a service.
func (f *Function) runImage(s config.Settings, service config.Service) {
	f.runtime, f.handler = awslambda.Runtime_FROM_IMAGE(), awslambda.Handler_FROM_IMAGE()
	var command *[]*string
	if len(service.Command) > 0 {
		command = jsii.Strings(service.Command...)
	}
	switch image := service.Image.(type) {
	case config.Dockerfile:
		asset := &awsecrassets.DockerImageAssetProps{}
		ofDockerfile(f.Stack, image, asset)
		f.code = awslambda.Code_FromAssetImage(asset.Directory, &awslambda.AssetImageCodeProps{
			AssetName: jsii.String(service.Name), Platform: platform(s), File: asset.File, Target: asset.Target, BuildArgs: asset.BuildArgs, Exclude: asset.Exclude, Cmd: command,
		})
	case config.Registry:
		repository, _ := image.ECR()
		_, name, _ := strings.Cut(repository, ":repository/")
		_, versioned, _ := strings.Cut(image.Name, "/") // without the registry
		version := strings.TrimPrefix(versioned, name)[1:]
		f.code = awslambda.Code_FromEcrImage(awsecr.Repository_FromRepositoryAttributes(f.Stack, jsii.String("Repository"), &awsecr.RepositoryAttributes{
			RepositoryArn: substituted(repository), RepositoryName: jsii.String(name),
		}), &awslambda.EcrImageCodeProps{TagOrDigest: jsii.String(version), Cmd: command})
	}
}

// add adds what the stack of a function has.
func (f *Function) add(s config.Settings, p *pair, plan migration.Plan) {
	compute := p.Compute.(config.Lambda)
	name := s.Name(p.Name)
	tagService(f.Stack, p.Service.Name)
	logs := newLogGroup(f.Stack, "LogGroup", s, jsii.String(functionLogGroup(s, p.Name)))
	// AWS's managed policy would let the function write to the logs of all others.
	role := awsiam.NewRole(f.Stack, jsii.String("Role"), &awsiam.RoleProps{AssumedBy: awsiam.NewServicePrincipal(jsii.String("lambda.amazonaws.com"), nil)})
	allow := func(resource *string, actions ...string) {
		role.AddToPrincipalPolicy(awsiam.NewPolicyStatement(&awsiam.PolicyStatementProps{Actions: jsii.Strings(actions...), Resources: &[]*string{resource}}))
	}
	allow(logs.LogGroupArn(), "logs:CreateLogStream", "logs:PutLogEvents")
	permit(role, slices.Concat(p.Service.Permissions, p.Deployment.FunctionMayReceive(p.Service, s)))
	p.grantStores(f.Stack, s, role)
	of := awslambda.NewFunction(f.Stack, jsii.String("Function"), &awslambda.FunctionProps{
		FunctionName:                 jsii.String(name),
		Description:                  jsii.String("Service " + p.Service.Name + ", behind the load balancer"),
		Runtime:                      f.runtime,
		Handler:                      f.handler,
		Architecture:                 architecture(s),
		Code:                         f.code,
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

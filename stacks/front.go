package stacks

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsapigateway"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsapigatewayv2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslambda"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslogs"
	"github.com/aws/aws-cdk-go/awscdk/v2/awswafv2"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"

	"cutover/config"
)

// Front is the stack of the REST API before the load balancer.
type Front struct {
	Stack awscdk.Stack
	// API is the REST API.
	API awsapigateway.CfnRestApi
}

// StageName is the name of the REST API's one stage, and the first part of its paths.
const StageName = "live"

// integrationTimeout is how long API Gateway waits for an answer, in milliseconds: its limit
// (https://docs.aws.amazon.com/apigateway/latest/developerguide/limits.html).
const integrationTimeout = 29000

// newAPIGatewayAccount adds the role by which API Gateway writes logs. There is one for all APIs of an account and region:
// deleted, it would end the logs of others, so it is kept.
func newAPIGatewayAccount(scope constructs.Construct, s config.Settings) awscdk.Stack {
	stack := newStack(scope, s, apiGatewayAccountStack, "The role by which API Gateway writes logs, one for an account and region", nil)
	role := awsiam.NewRole(stack, jsii.String("Role"), &awsiam.RoleProps{AssumedBy: awsiam.NewServicePrincipal(jsii.String("apigateway.amazonaws.com"), nil)})
	// API Gateway checks that the role has all actions of AWS's managed policy AmazonAPIGatewayPushToCloudWatchLogs.
	role.AddToPolicy(awsiam.NewPolicyStatement(&awsiam.PolicyStatementProps{
		Actions:   jsii.Strings("logs:CreateLogGroup", "logs:CreateLogStream", "logs:DescribeLogGroups", "logs:DescribeLogStreams", "logs:PutLogEvents", "logs:GetLogEvents", "logs:FilterLogEvents"),
		Resources: jsii.Strings("*"),
	}))
	policy := role.Node().FindChild(jsii.String("DefaultPolicy"))
	suppress(policy, suppression{rule: "AwsSolutions-IAM5", reason: "The role is the account's, for the logs of all its APIs, and AWS refuses one that may write to fewer"})
	account := awsapigateway.NewCfnAccount(stack, jsii.String("Account"), &awsapigateway.CfnAccountProps{CloudWatchRoleArn: role.RoleArn()})
	account.Node().AddDependency(role)
	for _, kept := range []constructs.IConstruct{role, policy} {
		kept.Node().DefaultChild().(awscdk.CfnResource).ApplyRemovalPolicy(awscdk.RemovalPolicy_RETAIN, nil)
	}
	account.ApplyRemovalPolicy(awscdk.RemovalPolicy_RETAIN, nil)
	return stack
}

// NewFront adds the REST API, if the setting front asks for it.
func NewFront(scope constructs.Construct, s config.Settings, d config.Deployment, network *Network, on needs, functions map[string]*Function) (*Front, error) {
	if s.Front != config.APIGateway {
		return nil, nil
	}
	f := &Front{Stack: newStack(scope, s, frontStack, "REST API of API Gateway before the load balancer", nil)}
	depend(f.Stack, newAPIGatewayAccount(scope, s), "a stage with logs needs the account's role")
	subnets := []any{}
	for _, subnet := range *network.VPC.PrivateSubnets() {
		subnets = append(subnets, subnet.SubnetId())
	}
	link := awsapigatewayv2.NewCfnVpcLink(f.Stack, jsii.String("VpcLink"), &awsapigatewayv2.CfnVpcLinkProps{
		Name: jsii.String(s.Name(s.Env)), SecurityGroupIds: &[]any{network.VPCLinkSecurityGroup.SecurityGroupId()}, SubnetIds: &subnets,
	})
	f.API = awsapigateway.NewCfnRestApi(f.Stack, jsii.String("Api"), &awsapigateway.CfnRestApiProps{
		Name: jsii.String(s.Name(s.Env)), Description: jsii.String("Before the load balancer of " + s.Env),
		EndpointConfiguration: &awsapigateway.CfnRestApi_EndpointConfigurationProperty{Types: jsii.Strings("REGIONAL")},
		BinaryMediaTypes:      jsii.Strings("*/*"), // no byte of a body is changed
	})
	suppress(f.API, suppression{rule: "AwsSolutions-APIG2", reason: "The services check what they get, and say what is wrong with it. API Gateway answers in other words, and checks what the list of services says"})
	routing := on.routings[0]
	host := s.Scheme() + s.Domain
	if s.Domain == "" {
		host += *routing.Balancer.LoadBalancerDnsName()
	}
	resources := map[string]*string{"/": f.API.AttrRootResourceId()}
	deployed := []any{}
	var methods []awsapigateway.CfnMethod
	settings := []any{}
	cached := false
	for _, resource := range d.APIResources() {
		id := apiID(resource.Path)
		if resource.Path != "/" {
			above, part := resource.Path[:strings.LastIndex(resource.Path, "/")], resource.Path[strings.LastIndex(resource.Path, "/")+1:]
			if above == "" {
				above = "/"
			}
			one := awsapigateway.NewCfnResource(f.Stack, jsii.String(id+"Resource"), &awsapigateway.CfnResourceProps{
				RestApiId: f.API.Ref(), ParentId: resources[above], PathPart: jsii.String(part),
			})
			resources[resource.Path] = one.Ref()
		}
		for _, method := range resource.Methods {
			props := f.method(host, link, routing, resource, method, functions)
			props.ResourceId = resources[resource.Path]
			schema, err := f.validate(props, id, method)
			if err != nil {
				return nil, err
			}
			of := awsapigateway.NewCfnMethod(f.Stack, jsii.String(id+config.Pascal(strings.ToLower(method.Name))), props)
			methods = append(methods, of)
			deployed = append(deployed, []any{resource.Path, method, schema})
			reason := "The API is public, as that of the load balancer behind: writes are signed if their service says so"
			var suppressions []suppression
			if !method.IAM {
				suppressions = append(suppressions, suppression{rule: "AwsSolutions-APIG4", reason: reason})
			}
			if method.Name != "OPTIONS" {
				suppressions = append(suppressions, suppression{rule: "AwsSolutions-COG4", reason: reason})
			}
			suppress(of, suppressions...)
			if setting := methodSetting(resource.Path, method); setting != nil {
				settings = append(settings, setting)
			}
			cached = cached || method.Cached != nil
		}
	}
	// A deployment is a snapshot of the methods, the VPC link and the load balancer. The id says which, so that a change
	// makes another one, and a rollback leads to the one before.
	snapshot, err := json.Marshal([]any{deployed, s.Scheme(), s.Domain, s.Internal, s.Zones, s.VPCID, s.Name(s.Env)})
	if err != nil {
		panic(err) // text and numbers alone
	}
	deployment := awsapigateway.NewCfnDeployment(f.Stack, jsii.String(fmt.Sprintf("Deployment%X", sha256.Sum256(snapshot))[:len("Deployment")+8]), &awsapigateway.CfnDeploymentProps{RestApiId: f.API.Ref()})
	for _, method := range methods {
		deployment.AddResourceDependency(method, nil)
	}
	f.watch(s, f.addStage(s, deployment, settings, cached), routing.Alarms)
	output(f.Stack, "ApiUrl", "Where API Gateway answers", jsii.String("https://"+*f.host()+"/"+StageName))
	output(f.Stack, "ApiArn", "What a policy of a caller that signs may name, with execute-api:Invoke", f.Stack.FormatArn(&awscdk.ArnComponents{
		Service: jsii.String("execute-api"), Resource: f.API.Ref(), ResourceName: jsii.String(StageName + "/*"),
	}))
	return f, nil
}

// validate lets API Gateway check the bodies of a method by its schema, and returns the schema.
func (f *Front) validate(props *awsapigateway.CfnMethodProps, id string, method config.APIMethod) (schema any, err error) {
	if method.Schema == "" {
		return nil, nil
	}
	text, err := os.ReadFile(filepath.Join(root(), method.Schema))
	if err == nil {
		err = json.Unmarshal(text, &schema)
	}
	if _, object := schema.(map[string]any); err == nil && !object {
		err = errors.New("it is no JSON object")
	}
	if err != nil {
		return nil, fmt.Errorf("API.Validate: the schema %s of %s cannot be read: %w", method.Schema, method.Name, err)
	}
	validator := f.Stack.Node().TryFindChild(jsii.String("Bodies"))
	if validator == nil {
		validator = awsapigateway.NewCfnRequestValidator(f.Stack, jsii.String("Bodies"), &awsapigateway.CfnRequestValidatorProps{RestApiId: f.API.Ref(), ValidateRequestBody: true, ValidateRequestParameters: false})
	}
	model := awsapigateway.NewCfnModel(f.Stack, jsii.String(id+config.Pascal(strings.ToLower(method.Name))+"Body"), &awsapigateway.CfnModelProps{
		RestApiId: f.API.Ref(), ContentType: jsii.String("application/json"), Schema: schema,
	})
	props.RequestValidatorId = validator.(awsapigateway.CfnRequestValidator).Ref()
	props.RequestModels = map[string]any{"application/json": model.Ref()}
	return schema, nil
}

// host is the DNS name of the REST API.
func (f *Front) host() *string {
	// By cfn-lint, Fn::Sub does not take Fn::GetStackOutput, by which dev-Ui has the id.
	return awscdk.Fn_Join(jsii.String(""), &[]*string{f.API.Ref(), jsii.String(".execute-api."), awscdk.Aws_REGION(), jsii.String("."), awscdk.Aws_URL_SUFFIX()})
}

// apiID is the beginning of the ids of what belongs to a resource.
func apiID(path string) string {
	id := "Root"
	for part := range strings.SplitSeq(strings.Trim(path, "/"), "/") {
		if part == "{proxy+}" {
			part = "below"
		}
		id += pascalPart(part)
	}
	return id
}

// pascalPart turns a part of a path into a part of an id. A code of characters that an id cannot have tells parts apart.
func pascalPart(part string) string {
	text := noLetter.ReplaceAllStringFunc(part, func(c string) string { return fmt.Sprintf("x%x", c) })
	if text == "" {
		return ""
	}
	return strings.ToUpper(text[:1]) + text[1:]
}

var noLetter = regexp.MustCompile(`[^A-Za-z0-9]`)

// method is what a method of the REST API does.
func (f *Front) method(host string, link awsapigatewayv2.CfnVpcLink, routing *Routing, resource config.APIResource, method config.APIMethod, functions map[string]*Function) *awsapigateway.CfnMethodProps {
	props := &awsapigateway.CfnMethodProps{RestApiId: f.API.Ref(), HttpMethod: jsii.String(method.Name), AuthorizationType: jsii.String("NONE")}
	if method.IAM {
		props.AuthorizationType = jsii.String(config.AWSIAM)
	}
	parameters, mapped := map[string]any{}, map[string]any{}
	integration := &awsapigateway.CfnMethod_IntegrationProperty{
		Type: jsii.String("HTTP_PROXY"), IntegrationHttpMethod: jsii.String(method.Name),
		ConnectionType: jsii.String("VPC_LINK"), ConnectionId: link.Ref(), IntegrationTarget: routing.Balancer.LoadBalancerArn(),
		Uri: jsii.String(host + strings.Replace(resource.Path, "{proxy+}", "{proxy}", 1)), TimeoutInMillis: jsii.Number(integrationTimeout),
		PassthroughBehavior: jsii.String("WHEN_NO_MATCH"),
	}
	keys := []string{}
	if strings.HasSuffix(resource.Path, config.Proxy) {
		parameters["method.request.path.proxy"] = true
		mapped["integration.request.path.proxy"] = "method.request.path.proxy"
		keys = append(keys, "method.request.path.proxy")
	}
	if method.Direct != "" {
		alias := functions[method.Direct].Alias
		*integration = awsapigateway.CfnMethod_IntegrationProperty{
			Type: jsii.String("AWS_PROXY"), IntegrationHttpMethod: jsii.String("POST"), TimeoutInMillis: jsii.Number(integrationTimeout), PassthroughBehavior: jsii.String("WHEN_NO_MATCH"),
			Uri: awscdk.Fn_Sub(jsii.String("arn:${AWS::Partition}:apigateway:${AWS::Region}:lambda:path/2015-03-31/functions/${Alias}/invocations"), &map[string]*string{"Alias": alias.FunctionArn()}),
		}
		f.permit(method.Direct, alias)
		mapped = map[string]any{}
	}
	if method.Cached != nil {
		for _, name := range method.Cached.Query {
			parameters["method.request.querystring."+name] = false
			keys = append(keys, "method.request.querystring."+name)
		}
		for _, name := range method.Cached.Headers {
			parameters["method.request.header."+name] = false
			keys = append(keys, "method.request.header."+name)
		}
		integration.CacheKeyParameters = jsii.Strings(keys...)
		integration.CacheNamespace = jsii.String(apiID(resource.Path))
	}
	if len(mapped) > 0 {
		integration.RequestParameters = mapped
	}
	if len(parameters) > 0 {
		props.RequestParameters = parameters
	}
	props.Integration = integration
	return props
}

// permit lets the REST API call the alias of a function.
func (f *Front) permit(pair string, alias awslambda.Alias) {
	id := jsii.String(config.Pascal(pair) + "Permission")
	if f.Stack.Node().TryFindChild(id) != nil {
		return
	}
	awslambda.NewCfnPermission(f.Stack, id, &awslambda.CfnPermissionProps{
		Action: jsii.String("lambda:InvokeFunction"), FunctionName: alias.FunctionArn(), Principal: jsii.String("apigateway.amazonaws.com"),
		SourceArn: f.Stack.FormatArn(&awscdk.ArnComponents{Service: jsii.String("execute-api"), Resource: f.API.Ref(), ResourceName: jsii.String(StageName + "/*/*")}),
	})
}

// methodSetting is what the stage does with the requests of a method, if it is more than with all others.
func methodSetting(path string, method config.APIMethod) any {
	if method.Cached == nil && method.RateLimit == 0 {
		return nil
	}
	setting := methodSettings("/"+strings.ReplaceAll(path, "/", "~1"), method.Name)
	if method.Name == config.AnyMethod {
		setting.HttpMethod = jsii.String("*")
	}
	if method.RateLimit > 0 {
		setting.ThrottlingRateLimit, setting.ThrottlingBurstLimit = jsii.Number(method.RateLimit), jsii.Number(method.BurstLimit)
	}
	if method.Cached != nil {
		setting.CachingEnabled, setting.CacheTtlInSeconds = true, jsii.Number(method.Cached.TTLSeconds)
	}
	return setting
}

// methodSettings are what the stage does with the requests of methods.
func methodSettings(path, method string) *awsapigateway.CfnStage_MethodSettingProperty {
	return &awsapigateway.CfnStage_MethodSettingProperty{
		ResourcePath: jsii.String(path), HttpMethod: jsii.String(method),
		LoggingLevel: jsii.String("ERROR"), MetricsEnabled: true, DataTraceEnabled: false,
		CachingEnabled: false, CacheDataEncrypted: true,
	}
}

// accessLog has the fields of a line of the access log, which are the same as in CDK's own format but for the identity
// of the caller and the answer of the load balancer.
var accessLog = map[string]string{
	"requestId": "$context.requestId", "requestTime": "$context.requestTime", "ip": "$context.identity.sourceIp", "user": "$context.identity.userArn",
	"httpMethod": "$context.httpMethod", "path": "$context.path", "resourcePath": "$context.resourcePath", "status": "$context.status",
	"responseLength": "$context.responseLength", "responseLatency": "$context.responseLatency", "integrationStatus": "$context.integration.status",
	"integrationLatency": "$context.integration.latency", "error": "$context.error.message",
}

// addStage adds the stage, its log and its web ACL, and returns the log.
func (f *Front) addStage(s config.Settings, deployment awsapigateway.CfnDeployment, settings []any, cached bool) awslogs.LogGroup {
	logs := newLogGroup(f.Stack, "AccessLog", s, jsii.String("/aws/apigateway/"+s.Name(s.Env)))
	format, err := json.Marshal(accessLog)
	if err != nil {
		panic(err) // text alone
	}
	settings = append([]any{methodSettings("/*", "*")}, settings...)
	props := &awsapigateway.CfnStageProps{
		RestApiId: f.API.Ref(), DeploymentId: deployment.Ref(), StageName: jsii.String(StageName), TracingEnabled: true,
		AccessLogSetting: &awsapigateway.CfnStage_AccessLogSettingProperty{DestinationArn: logs.LogGroupArn(), Format: jsii.String(string(format))},
		MethodSettings:   settings,
	}
	if cached {
		props.CacheClusterEnabled, props.CacheClusterSize = true, jsii.String("0.5")
	}
	stage := awsapigateway.NewCfnStage(f.Stack, jsii.String("Stage"), props)
	if !s.WAF {
		suppress(stage, suppression{rule: "AwsSolutions-APIG3", reason: "The setting waf puts a web ACL there, for what it costs"})
		return logs
	}
	acl := awswafv2.NewCfnWebACL(f.Stack, jsii.String("WebAcl"), &awswafv2.CfnWebACLProps{
		Scope: jsii.String("REGIONAL"), DefaultAction: &awswafv2.CfnWebACL_DefaultActionProperty{Allow: map[string]any{}},
		VisibilityConfig: visible(s.Env),
		Rules: []any{&awswafv2.CfnWebACL_RuleProperty{
			Name: jsii.String("CommonRules"), Priority: jsii.Number(0), VisibilityConfig: visible(s.Env + "-common-rules"),
			OverrideAction: &awswafv2.CfnWebACL_OverrideActionProperty{None: map[string]any{}},
			Statement: &awswafv2.CfnWebACL_StatementProperty{ManagedRuleGroupStatement: &awswafv2.CfnWebACL_ManagedRuleGroupStatementProperty{
				VendorName: jsii.String("AWS"), Name: jsii.String("AWSManagedRulesCommonRuleSet"),
			}},
		}},
	})
	association := awswafv2.NewCfnWebACLAssociation(f.Stack, jsii.String("WebAclAssociation"), &awswafv2.CfnWebACLAssociationProps{
		WebAclArn: acl.AttrArn(),
		ResourceArn: awscdk.Fn_Sub(jsii.String("arn:${AWS::Partition}:apigateway:${AWS::Region}::/restapis/${Api}/stages/${Stage}"),
			&map[string]*string{"Api": f.API.Ref(), "Stage": stage.Ref()}),
	})
	association.AddResourceDependency(stage, nil)
	return logs
}

func visible(name string) *awswafv2.CfnWebACL_VisibilityConfigProperty {
	return &awswafv2.CfnWebACL_VisibilityConfigProperty{CloudWatchMetricsEnabled: true, SampledRequestsEnabled: true, MetricName: jsii.String(name)}
}

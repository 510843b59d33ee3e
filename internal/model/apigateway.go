package model

import (
	"cmp"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"

	"cutover/internal/assembly"
)

// RestAPI is a REST API of API Gateway.
// https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-apigateway-restapi.html
type RestAPI struct {
	Base
	Name string
	// BinaryMediaTypes are the types whose bodies a function gets in Base64, as in */* for all.
	BinaryMediaTypes []string
	// Endpoint is EDGE (the default), REGIONAL or PRIVATE.
	Endpoint string
	// Methods are those of all its resources.
	Methods []*APIMethod
}

// Snapshot is the API as a new deployment finds it when the API was another before, or none (nil). CloudFormation makes the
// deployment before it deletes the methods that left the template. So these are in the deployment, too:
// https://github.com/aws/aws-cdk/issues/14660. Left lists them.
func (a *RestAPI) Snapshot(was *RestAPI) (found *RestAPI, left []*APIMethod) {
	if was == nil {
		return a, nil
	}
	for _, m := range was.Methods {
		if !slices.ContainsFunc(a.Methods, func(is *APIMethod) bool { return is.Name() == m.Name() }) {
			left = append(left, m)
		}
	}
	with := *a
	with.Methods = append(slices.Clone(a.Methods), left...)
	return &with, left
}

// APIResource is a part of the paths of a REST API.
// https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-apigateway-resource.html
type APIResource struct {
	Base
	// API is nil if it is not in the assembly.
	API *RestAPI
	// Parent is nil if it is the root.
	Parent *APIResource
	// Part is the last part of the path: a text, as in users, or a parameter, as in {id}. {proxy+} takes all further parts.
	Part string
}

// Path is as in /api/users/{proxy+}. That of the root, which is nil, is /.
func (r *APIResource) Path() string {
	if r == nil {
		return "/"
	}
	return strings.TrimSuffix(r.Parent.Path(), "/") + "/" + r.Part
}

// APIMethod is what a resource of a REST API does with a method of HTTP.
// https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-apigateway-method.html
type APIMethod struct {
	Base
	// API is nil if it is not in the assembly.
	API *RestAPI
	// Of is nil for the root.
	Of *APIResource
	// Method is as in GET; ANY stands for all that the resource does not have.
	Method string
	// Authorization is NONE (the default), AWS_IAM, CUSTOM or COGNITO_USER_POOLS.
	Authorization string
	// RequiresKey asks for an API key. Default false.
	RequiresKey bool
	// Parameters are those of the request that the integration and the cache may use, as in method.request.querystring.limit,
	// and whether the request has to have them.
	Parameters map[string]bool
	// Validator is nil if the request is not validated.
	Validator *APIValidator
	// Models are the schemas of the body by its Content-Type.
	Models      map[string]*APIModel
	Integration Integration
}

// Name is as in GET /api/users.
func (m *APIMethod) Name() string { return m.Method + " " + m.Of.Path() }

// Integration is where a method sends requests.
// https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-properties-apigateway-method-integration.html
type Integration struct {
	// Type is HTTP_PROXY, AWS_PROXY, HTTP, AWS or MOCK; empty if there is none.
	Type string
	// Method is the one that is sent; ANY for the client's.
	Method string
	// Connection is INTERNET (the default) or VPC_LINK.
	Connection string
	// Link is the VPC link; nil if there is none, or if it is not in the assembly.
	Link *VPCLink
	// Target is the load balancer behind the VPC link; nil if it is none of the assembly.
	Target *LoadBalancer
	// Scheme, Host, Port and Path are those of the URI of an HTTP integration. Host is empty if it is the DNS name of
	// Target. Path has a name in braces for each parameter, as in /api/users/{proxy}.
	Scheme, Host, Path string
	Port               int
	// Function is what an AWS_PROXY integration invokes, as [Model.FunctionTarget] takes it.
	Function string
	// Parameters of the integration's request by what they are made of: integration.request.path.proxy is as in
	// method.request.path.proxy, or a text in single quotes.
	Parameters map[string]string
	// CacheKey are the parameters that tell answers in the cache apart.
	CacheKey []string
	// CacheNamespace has the answers in the cache. Default: one of the resource.
	CacheNamespace string
	// Timeout is the time for an answer. Default 29 s.
	Timeout time.Duration
}

// APIValidator says what of a request is validated.
// https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-apigateway-requestvalidator.html
type APIValidator struct {
	Base
	// Body and Parameters default to false.
	Body, Parameters bool
}

// APIModel is a JSON schema of a body.
// https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-apigateway-model.html
type APIModel struct {
	Base
	// Schema is the schema as decoded; nil if there is none.
	Schema any
}

// APIDeployment is a snapshot of a REST API's resources and methods as they were when the deployment was made.
// https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-apigateway-deployment.html
type APIDeployment struct {
	Base
	// API is nil if it is not in the assembly.
	API *RestAPI
}

// APIStage is a REST API as clients reach it.
// https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-apigateway-stage.html
type APIStage struct {
	Base
	Name string
	// API and Deployment are nil if they are not in the assembly.
	API        *RestAPI
	Deployment *APIDeployment
	// Variables are those of the stage.
	Variables map[string]string
	// CacheGB is the size of the cache, as in 0.5; empty without a cache.
	CacheGB string
	// AccessLogs and Tracing default to false.
	AccessLogs, Tracing bool
	Settings            []MethodSettings
}

// MethodSettings are settings of a stage for some methods.
// https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-properties-apigateway-stage-methodsetting.html
type MethodSettings struct {
	// Path is the path of a resource, or * for all. Method is as in GET, or * for all.
	Path, Method string
	// Rate is how many requests a second there may be, and Burst how many at once. Throttled says that there are limits;
	// without them those of the account apply.
	Throttled bool
	Rate      float64
	Burst     int
	// Cached says that answers are kept for TTL, default 300 s, and Encrypted that they are encrypted.
	Cached, Encrypted bool
	TTL               time.Duration
	// LoggingLevel is OFF (the default), ERROR or INFO. Metrics says that there are detailed metrics.
	LoggingLevel string
	Metrics      bool
}

// APIAccount lets API Gateway write logs, in an account and region.
// https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-apigateway-account.html
type APIAccount struct {
	Base
	// Role is nil if it is not in the assembly.
	Role *Role
}

// VPCLink leads API Gateway into a VPC.
// https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-apigatewayv2-vpclink.html
type VPCLink struct {
	Base
	Name    string
	Network NetworkOf
}

// https://docs.aws.amazon.com/apigateway/latest/developerguide/limits.html
const (
	minIntegrationTimeout     = 50
	maxIntegrationTimeout     = 300_000 // for regional APIs, where AWS has raised the quota of 29 s
	defaultIntegrationTimeout = 29_000
)

// Refused says which security group keeps an integration's requests from its load balancer, as [Model.Refusal] does.
func (m *Model) Refused(i *Integration) string {
	if i.Link == nil || i.Target == nil {
		return ""
	}
	p := assembly.NewReader(m.Assembly, i.Target.Resource).Properties()
	return m.Refusal(i.Link.Network, m.network(p.Field("SecurityGroups"), nil), i.Port)
}

func (m *Model) readAPIs() {
	m.RestAPIs = all(m, APIGatewayRestAPI, (*RestAPI).read)
	m.VPCLinks = all(m, APIGatewayVPCLink, func(l *VPCLink, p assembly.Value) {
		l.Name = name(&l.Base, p.Field("Name"))
		l.Network = m.network(p.Field("SecurityGroupIds"), m.subnets(p.Field("SubnetIds")))
	})
	m.APIAccounts = all(m, APIGatewayAccount, func(a *APIAccount, p assembly.Value) {
		a.Role = elsewhere[Role](m, p.Field("CloudWatchRoleArn"), IAMRole, "Arn")
	})
	validators := all(m, APIGatewayValidator, func(v *APIValidator, p assembly.Value) {
		refer[RestAPI](m, p.Field("RestApiId"), APIGatewayRestAPI, "RestApiId")
		p.Field("Name")
		v.Body, v.Parameters = p.Field("ValidateRequestBody").Bool(false), p.Field("ValidateRequestParameters").Bool(false)
	})
	models := all(m, APIGatewayModel, func(s *APIModel, p assembly.Value) {
		refer[RestAPI](m, p.Field("RestApiId"), APIGatewayRestAPI, "RestApiId")
		p.Field("ContentType").Text("application/json")
		s.Schema = p.Field("Schema").Evaluated()
	})
	m.APIValidators, m.APIModels = validators, models

	parents := map[*APIResource]assembly.Value{}
	m.APIResources = all(m, APIGatewayResource, func(r *APIResource, p assembly.Value) {
		r.API = refer[RestAPI](m, p.Field("RestApiId").Need("an API"), APIGatewayRestAPI, "RestApiId")
		r.Part = p.Field("PathPart").Need("a part of the path").Text("")
		parents[r] = p.Field("ParentId").Need("a resource, or the root of the API")
	})
	for _, r := range m.APIResources { // a parent may be read later
		r.Parent = m.apiResource(parents[r])
	}
	m.APIMethods = all(m, APIGatewayMethod, m.apiMethod)
	m.APIDeployments = all(m, APIGatewayDeployment, func(d *APIDeployment, p assembly.Value) {
		d.API = refer[RestAPI](m, p.Field("RestApiId").Need("an API"), APIGatewayRestAPI, "RestApiId")
	})
	m.APIStages = all(m, APIGatewayStage, m.apiStage)
	for _, method := range m.APIMethods {
		if method.API != nil {
			method.API.Methods = append(method.API.Methods, method)
		}
		if f := m.FunctionTarget(method.Integration.Function).Function; f != nil {
			f.Invoked = true
		}
	}
}

func (a *RestAPI) read(p assembly.Value) {
	a.Name = name(&a.Base, p.Field("Name"))
	a.BinaryMediaTypes = p.Field("BinaryMediaTypes").Texts()
	a.Endpoint = "EDGE"
	for _, kind := range p.Field("EndpointConfiguration").Field("Types").List() {
		a.Endpoint = kind.OneOf("EDGE", "REGIONAL", "PRIVATE")
	}
}

// apiResource is the resource that a value names; nil for the root of an API.
func (m *Model) apiResource(v assembly.Value) *APIResource {
	if v.Elsewhere(APIGatewayRestAPI, "RootResourceId") != nil {
		return nil
	}
	return refer[APIResource](m, v, APIGatewayResource, "ResourceId")
}

func (m *Model) apiMethod(a *APIMethod, p assembly.Value) {
	a.API = refer[RestAPI](m, p.Field("RestApiId").Need("an API"), APIGatewayRestAPI, "RestApiId")
	a.Of = m.apiResource(p.Field("ResourceId").Need("a resource, or the root of the API"))
	a.Method = p.Field("HttpMethod").Need("a method").Text("")
	a.Authorization = p.Field("AuthorizationType").OneOf("NONE", "AWS_IAM", "CUSTOM", "COGNITO_USER_POOLS")
	a.RequiresKey = p.Field("ApiKeyRequired").Bool(false)
	a.Parameters = map[string]bool{}
	for _, name := range p.Field("RequestParameters").Names() {
		a.Parameters[name] = p.Field("RequestParameters").Field(name).Bool(false)
	}
	a.Validator = refer[APIValidator](m, p.Field("RequestValidatorId"), APIGatewayValidator, "RequestValidatorId")
	a.Models = map[string]*APIModel{}
	for _, contentType := range p.Field("RequestModels").Names() {
		a.Models[contentType] = refer[APIModel](m, p.Field("RequestModels").Field(contentType), APIGatewayModel)
	}
	if p.Field("Integration").Present() {
		m.integration(a, p.Field("Integration"))
	}
}

func (m *Model) integration(of *APIMethod, p assembly.Value) {
	i := &of.Integration
	i.Type = p.Field("Type").Need("a type").OneOf("HTTP_PROXY", "AWS_PROXY", "HTTP", "AWS", "MOCK")
	i.Method = p.Field("IntegrationHttpMethod").Text("")
	i.Connection = p.Field("ConnectionType").OneOf("INTERNET", "VPC_LINK")
	i.Link = elsewhere[VPCLink](m, p.Field("ConnectionId"), APIGatewayVPCLink, "VpcLinkId")
	i.Target = elsewhere[LoadBalancer](m, p.Field("IntegrationTarget"), ELBLoadBalancer, "LoadBalancerArn")
	i.Parameters = map[string]string{}
	for _, name := range p.Field("RequestParameters").Names() {
		i.Parameters[name] = p.Field("RequestParameters").Field(name).Text("")
	}
	i.CacheKey = p.Field("CacheKeyParameters").Texts()
	i.CacheNamespace = p.Field("CacheNamespace").Identity("")
	i.Timeout = time.Duration(p.Field("TimeoutInMillis").Int(defaultIntegrationTimeout, minIntegrationTimeout, maxIntegrationTimeout)) * time.Millisecond
	switch i.Type {
	case "HTTP_PROXY", "HTTP":
		i.uri(p.Field("Uri").Need("a URI"))
	case "AWS_PROXY":
		if i.Function = functionOf(p.Field("Uri").Need("a URI")); i.Function == "" { // with a region that only a deployment tells
			for _, r := range m.named(of.Resource, p.Field("Uri").Raw()) {
				if f := m.FunctionTarget(r.String()).Function; f != nil {
					i.Function = r.String()
				}
			}
		}
	}
}

// httpURI is a URI with the host {}, if the host is the DNS name of the target.
var httpURI = regexp.MustCompile(`^(https?)://({}|[^/:{}]+)(?::(\d+))?(/.*)?$`)

func (i *Integration) uri(v assembly.Value) {
	text, parts := v.Mixed()
	for _, part := range parts {
		switch part := part.(type) {
		case string:
			text += part
		case assembly.Ref:
			if i.Target == nil || part.Resource != i.Target.Resource || !ToBalancer(part) {
				v.Refuse("%v is not known: only the DNSName of the integration's own target is", part)
				return
			}
			text += "{}"
		}
	}
	match := httpURI.FindStringSubmatch(text)
	if match == nil {
		v.Refuse("%q is none that is known: it begins with http:// or https:// and a host", text)
		return
	}
	i.Scheme, i.Path, i.Port = match[1], cmp.Or(match[4], "/"), map[string]int{"http": 80, "https": 443}[match[1]]
	if match[2] != "{}" {
		i.Host = match[2]
	}
	if match[3] != "" {
		fmt.Sscan(match[3], &i.Port)
	}
}

// functionOf is what a URI of Lambda invokes: arn:PARTITION:apigateway:REGION:lambda:path/2015-03-31/functions/ARN/invocations.
// https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-api-integration-types.html
func functionOf(v assembly.Value) string {
	const before, after = ":lambda:path/2015-03-31/functions/", "/invocations"
	_, target, found := strings.Cut(v.Keyed(), before)
	target, whole := strings.CutSuffix(target, after)
	if !found || !whole {
		v.Refuse("it invokes no function: an AWS_PROXY integration has the URI arn:PARTITION:apigateway:REGION%sFUNCTION%s", before, after)
		return ""
	}
	return target
}

func (m *Model) apiStage(s *APIStage, p assembly.Value) {
	s.Name = p.Field("StageName").Need("a name").Text("")
	s.API = refer[RestAPI](m, p.Field("RestApiId").Need("an API"), APIGatewayRestAPI, "RestApiId")
	s.Deployment = refer[APIDeployment](m, p.Field("DeploymentId").Need("a deployment"), APIGatewayDeployment, "DeploymentId")
	s.Variables = map[string]string{}
	for _, name := range p.Field("Variables").Names() {
		s.Variables[name] = p.Field("Variables").Field(name).Text("")
	}
	size := p.Field("CacheClusterSize").Text("0.5")
	if p.Field("CacheClusterEnabled").Bool(false) {
		s.CacheGB = size
	}
	s.AccessLogs = p.Field("AccessLogSetting").Present()
	s.Tracing = p.Field("TracingEnabled").Bool(false)
	for _, v := range p.Field("MethodSettings").List() {
		one := MethodSettings{
			Path: settingsPath(v.Field("ResourcePath").Text("/*")), Method: v.Field("HttpMethod").Text("*"),
			Throttled: v.Field("ThrottlingRateLimit").Present() || v.Field("ThrottlingBurstLimit").Present(),
			Burst:     v.Field("ThrottlingBurstLimit").Int(defaultBurst, 0, 1<<31-1),
			Cached:    v.Field("CachingEnabled").Bool(false), Encrypted: v.Field("CacheDataEncrypted").Bool(false),
			TTL:          v.Field("CacheTtlInSeconds").Seconds(300, 0, 3600),
			LoggingLevel: v.Field("LoggingLevel").OneOf("OFF", "ERROR", "INFO"), Metrics: v.Field("MetricsEnabled").Bool(false),
			Rate: defaultRate,
		}
		if rate := v.Field("ThrottlingRateLimit"); rate.Present() {
			number, ok := rate.Evaluated().(float64)
			if !ok || number < 0 {
				rate.Refuse("expected a number of requests a second, found %v", rate.Raw())
			}
			one.Rate = number
		}
		s.Settings = append(s.Settings, one)
	}
}

// Limits of an account in a region, in requests a second and at once.
// https://docs.aws.amazon.com/apigateway/latest/developerguide/limits.html
const defaultRate, defaultBurst = 10_000, 5_000

// settingsPath is the path of a resource in settings: each further slash is ~1.
func settingsPath(path string) string {
	if path == "/*" || path == "*" {
		return "*"
	}
	return "/" + strings.TrimPrefix(strings.ReplaceAll(strings.TrimPrefix(path, "/"), "~1", "/"), "/")
}

// SettingsOf are the settings of a stage for a request that a method of its API takes: those of the resource before those
// of all, and those of the request's method before those of ANY and of all. The most specific ones apply as a whole.
func (s *APIStage) SettingsOf(of *APIMethod, method string) MethodSettings {
	for _, path := range []string{of.Of.Path(), "*"} {
		for _, name := range []string{method, of.Method, "*"} {
			if i := slices.IndexFunc(s.Settings, func(one MethodSettings) bool { return one.Path == path && one.Method == name }); i >= 0 {
				return s.Settings[i]
			}
		}
	}
	return MethodSettings{}
}

// Keeps says for how long the stage keeps answers to a request that a method takes; 0 if it keeps none. It keeps those to GET,
// and to other methods with settings of their own.
// https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-caching.html
func (s *APIStage) Keeps(of *APIMethod, method string) time.Duration {
	settings := s.SettingsOf(of, method)
	if s.CacheGB == "" || !settings.Cached || method != http.MethodGet && settings.Method != method {
		return 0
	}
	return settings.TTL
}

// Kept finds the method that takes a request, and says for how long the stage keeps the answer; 0 if it keeps none.
func (s *APIStage) Kept(routes APIRoutes, method, path string) (found *APIMethod, ttl time.Duration) {
	if found, _ = routes.Find(method, path); found != nil {
		ttl = s.Keeps(found, method)
	}
	return found, ttl
}

// ExecuteAPI is the host name of an API, of which a REST API's is the first part.
// https://docs.aws.amazon.com/apigateway/latest/developerguide/how-to-call-api.html
const ExecuteAPI = ".execute-api."

// APIIn is the REST API whose host name is in a text; nil if there is none.
func (m *Model) APIIn(parts assembly.Text) *RestAPI {
	for i, part := range parts[:max(0, len(parts)-1)] {
		after, _ := parts[i+1].(string)
		ref, _ := part.(assembly.Ref)
		if api, ok := m.values[ref.Resource].(*RestAPI); ok && strings.HasPrefix(after, ExecuteAPI) {
			return api
		}
	}
	return nil
}

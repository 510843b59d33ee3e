package apigateway

import (
	"fmt"
	"net"
	"strings"
	"testing"

	"cutover/internal/local/provider"
)

// What is not evaluated is refused by its name and place, before anything starts.
func TestRefusedSettings(t *testing.T) {
	integration := func(a templates, id string) object { return a.properties(id)["Integration"].(object) }
	add := func(id, resourceType string, properties object) func(templates) {
		return func(a templates) { a["dev-Front"][id] = object{"Type": resourceType, "Properties": properties} }
	}
	set := func(id, property string, value any) func(templates) {
		return func(a templates) { a.properties(id)[property] = value }
	}
	integrate := func(id, property string, value any) func(templates) {
		return func(a templates) { integration(a, id)[property] = value }
	}
	for _, c := range []struct {
		name, want string
		change     func(templates)
	}{
		{"as it is", "", func(templates) {}},
		{"without an effect", "", set("ApiStagelive", "DocumentationVersion", "1")},
		{"an edge-optimized API", `dev-Front/Api49610EDF/Properties.EndpointConfiguration.Types: "EDGE" is not honoured: only regional APIs are served here`, set("Api49610EDF", "EndpointConfiguration", nil)},
		{"a private API", `"PRIVATE" is not honoured`, set("Api49610EDF", "EndpointConfiguration", object{"Types": []any{"PRIVATE"}, "VpcEndpointIds": []any{"vpce-1"}})},
		{"a policy of the API", "dev-Front/Api49610EDF/Properties.Policy: not honoured: the policy of an API is not evaluated here", set("Api49610EDF", "Policy", object{"Statement": []any{object{}}})},
		{"OpenAPI", "Properties.Body: not honoured: definitions in OpenAPI", set("Api49610EDF", "Body", object{"openapi": "3.0.1"})},
		{"compression", "Properties.MinimumCompressionSize: not honoured: bodies are not compressed", set("Api49610EDF", "MinimumCompressionSize", 1)},
		{"an API without its own name", "Properties.DisableExecuteApiEndpoint: not honoured: domain names", set("Api49610EDF", "DisableExecuteApiEndpoint", true)},
		{"an authorizer", `dev-Front/ApiapiANY/Properties.AuthorizationType: "CUSTOM" is not honoured: authorizers are not evaluated here`, set("ApiapiANY", "AuthorizationType", "CUSTOM")},
		{"an API key", `Properties.ApiKeyRequired: "true" is not honoured: usage plans`, set("ApiapiANY", "ApiKeyRequired", true)},
		{"a mapping template", "dev-Front/ApiapiANY/Properties.Integration.RequestTemplates: not honoured: mapping templates", integrate("ApiapiANY", "RequestTemplates", object{"application/json": "{}"})},
		{"MOCK", `Properties.Integration.Type: "MOCK" is not honoured: only HTTP_PROXY to a load balancer and AWS_PROXY`, integrate("ApiapiANY", "Type", "MOCK")},
		{"no integration", `Properties.Integration.Type: "" is not honoured`, func(a templates) { delete(a.properties("ApiapiANY"), "Integration") }},
		{"conversion", "Integration.ContentHandling: not honoured: bodies are not converted", integrate("ApiapiANY", "ContentHandling", "CONVERT_TO_TEXT")},
		{"streaming", "STREAM is not honoured: an answer is sent when it is whole", integrate("ApiapiANY", "ResponseTransferMode", "STREAM")},
		{"buffering", "", integrate("ApiapiANY", "ResponseTransferMode", "BUFFERED")},
		{"a role", "Integration.Credentials: not honoured", integrate("ApiapiANY", "Credentials", "arn:aws:iam::1:role/r")},
		{"the Internet", `Integration.ConnectionType: "INTERNET" is not honoured`, integrate("ApiapiANY", "ConnectionType", nil)},
		{"a VPC link V1", "Integration.ConnectionId: it is no VPC link V2 of the assembly", integrate("ApiapiANY", "ConnectionId", "abc123")},
		{"a load balancer elsewhere", "Integration.IntegrationTarget: it is no load balancer of the assembly", func(a templates) {
			integration(a, "ApiapiANY")["IntegrationTarget"], integration(a, "ApiapiANY")["Uri"] = "arn:aws:elasticloadbalancing:x", "http://example.com/"
		}},
		{"another host", "Integration.Uri", integrate("ApiapiANY", "Uri", object{"Fn::Join": []any{"", []any{"http://", object{"Ref": "VpcLink"}, "/api"}}})},
		{"another scheme", `"ftp://example.com" is none that is known`, integrate("ApiapiANY", "Uri", "ftp://example.com")},
		{"no listener", "the load balancer dev-Routing/LoadBalancerBE9EEC3A has no listener of port 81", integrate("ApiapiANY", "Uri", "http://example.com:81/api")},
		{"TLS to a listener without it", "it begins with https, and the listener is HTTP:80", integrate("ApiapiANY", "Uri", "https://example.com:80/api")},
		{"a domain", "", integrate("ApiapiANY", "Uri", "http://forum.example.com/api")},
		{"a part of the path without a value", "{proxy} has no value: give integration.request.path.proxy in RequestParameters", integrate("ApiapiproxyANY", "RequestParameters", nil)},
		{"a parameter of the context", `Integration.RequestParameters.integration.request.header.X: "context.requestId" is not honoured`, integrate("ApiapiANY", "RequestParameters", object{"integration.request.header.X": "context.requestId"})},
		{"a text", "", integrate("ApiapiANY", "RequestParameters", object{"integration.request.header.X": "'a'"})},
		{"a header that is not declared", "AWS refuses method.request.header.A", integrate("ApiapiANY", "RequestParameters", object{"integration.request.header.X": "method.request.header.A"})},
		{"a cache key that is not declared", "Integration.CacheKeyParameters: AWS refuses method.request.querystring.x", integrate("ApiapiusersGET", "CacheKeyParameters", []any{"method.request.querystring.x"})},
		{"a time-out", "expected a whole number from 50 to 300000", integrate("ApiapiANY", "TimeoutInMillis", 1)},
		{"no function", "it invokes no function", func(a templates) {
			integration(a, "ApiapiANY")["Type"], integration(a, "ApiapiANY")["Uri"] = "AWS_PROXY", "arn:aws:apigateway:x:sns:path//"
		}},
		{"a function elsewhere", "arn:aws:lambda:x:1:function:f does not answer here", func(a templates) {
			integration(a, "ApiapiANY")["Type"], integration(a, "ApiapiANY")["Uri"] = "AWS_PROXY", "arn:aws:apigateway:x:lambda:path/2015-03-31/functions/arn:aws:lambda:x:1:function:f/invocations"
		}},
		{"a canary", "dev-Front/ApiStagelive/Properties.CanarySetting: not honoured: canaries of a stage", set("ApiStagelive", "CanarySetting", object{"PercentTraffic": 10})},
		{"a stage of a deployment", "Properties.StageName: not honoured: only stages with a resource of their own", set("ApiDeployment0123456789", "StageName", "test")},
		{"settings of no resource", "MethodSettings: AWS refuses settings for GET /nothing", set("ApiStagelive", "MethodSettings", []any{object{"ResourcePath": "/~1nothing", "HttpMethod": "GET"}})},
		{"an HTTP API", "dev-Front/Http: AWS::ApiGatewayV2::Api is refused: an HTTP API changes the path of a request", add("Http", "AWS::ApiGatewayV2::Api", object{})},
		{"a route of an HTTP API", "dev-Front/Http: AWS::ApiGatewayV2::Route is refused", add("Http", "AWS::ApiGatewayV2::Route", object{})},
		{"a domain name", "AWS::ApiGateway::DomainName is refused: domain names", add("Domain", "AWS::ApiGateway::DomainName", object{})},
		{"other answers", "AWS::ApiGateway::GatewayResponse is refused", add("Other", "AWS::ApiGateway::GatewayResponse", object{})},
		{"a schema", "dev-Front/Schema/Properties.Schema: it cannot be read", func(a templates) {
			add("Schema", "AWS::ApiGateway::Model", object{"RestApiId": object{"Ref": "Api49610EDF"}, "Schema": object{"type": "nonsense"}})(a)
			add("Validator", "AWS::ApiGateway::RequestValidator", object{"RestApiId": object{"Ref": "Api49610EDF"}, "ValidateRequestBody": true})(a)
			set("ApiapiusersPOST", "RequestValidatorId", object{"Ref": "Validator"})(a)
			set("ApiapiusersPOST", "RequestModels", object{"application/json": object{"Ref": "Schema"}})(a)
		}},
	} {
		p := New(Options{Free: true}).Plan(read(t, c.change), nil).(*plan)
		err := p.Check()
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	}
}

// A client certificate is passed over, and listed.
func TestPassedOver(t *testing.T) {
	p := New(Options{Free: true}).Plan(read(t, func(a templates) { a.properties("ApiStagelive")["ClientCertificateId"] = "abc" }), nil).(*plan)
	if got := fmt.Sprint(p.PassedOver()); got != "[{dev-Front/ApiStagelive/Properties.ClientCertificateId live ClientCertificateId no load balancer asks API Gateway for its certificate here}]" {
		t.Errorf("passed over: %s", got)
	}
	for _, one := range Compatibility() {
		if one.Setting == "" || one.Here == "" {
			t.Errorf("%+v says nothing", one)
		}
	}
}

// An API has the first free port, or the one that is asked for.
func TestPorts(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	p := New(Options{Port: portOf(taken), Events: func(provider.Event) {}})
	if err := p.Plan(read(t), nil).Check(); err == nil || !strings.Contains(err.Error(), "is not free") || !strings.Contains(err.Error(), "choose another port with --port apigateway=PORT") {
		t.Errorf("a port that is not free: %v", err)
	}
	first := New(Options{}).Plan(read(t), nil).(*plan)
	second := New(Options{}).Plan(read(t), nil).(*plan)
	if err := first.Check(); err != nil {
		t.Skip("no port from 8081 to 8089 is free:", err)
	}
	defer first.Close()
	if err := second.Check(); err != nil {
		t.Skip("one port from 8081 to 8089 is free:", err)
	}
	defer second.Close()
	port := func(p *plan) int {
		socket := p.Take("dev-Front/Api49610EDF")
		defer socket.Close()
		return portOf(socket)
	}
	if a, b := port(first), port(second); a < 8081 || b <= a || b > 8089 {
		t.Errorf("the ports are %d and %d", a, b)
	}
}

// A validator refuses requests without a parameter, and bodies that are not of the schema.
func TestValidation(t *testing.T) {
	d := deploy(t, echo, func(a templates) {
		a["dev-Front"]["Schema"] = object{"Type": "AWS::ApiGateway::Model", "Properties": object{"RestApiId": object{"Ref": "Api49610EDF"}, "ContentType": "application/json", "Schema": object{
			"$schema": "http://json-schema.org/draft-04/schema#", "type": "object", "required": []any{"name"}, "properties": object{"name": object{"type": "string"}},
		}}}
		a["dev-Front"]["Validator"] = object{"Type": "AWS::ApiGateway::RequestValidator", "Properties": object{"RestApiId": object{"Ref": "Api49610EDF"}, "ValidateRequestBody": true, "ValidateRequestParameters": true}}
		threads := a.properties("ApiapithreadsproxyANY")
		threads["RequestValidatorId"], threads["RequestModels"] = object{"Ref": "Validator"}, object{"application/json": object{"Ref": "Schema"}}
		threads["RequestParameters"].(object)["method.request.querystring.limit"] = true
		threads["RequestParameters"].(object)["method.request.header.X-Own"] = true
	})
	for _, c := range []struct{ uri, own, contentType, body, want string }{
		{"/live/api/threads/1?limit=1", "x", "application/json", `{"name":"a"}`, "200"},
		{"/live/api/threads/1?limit=1", "x", "text/plain", `?`, "200"},
		{"/live/api/threads/1?limit=1", "x", "", `?`, `400 {"message":"Invalid request body"}`},
		{"/live/api/threads/1?limit=1", "x", "application/json; charset=utf-8", `{"name":1}`, `400 {"message":"Invalid request body"}`},
		{"/live/api/threads/1?limit=", "", "application/json", `{"name":"a"}`, `400 {"message":"Missing required request parameters: [X-Own, limit]"}`},
	} {
		r := d.request("POST", c.uri, c.body)
		r.Header.Set("Content-Type", c.contentType)
		if c.contentType == "" {
			r.Header.Del("Content-Type")
		}
		r.Header.Set("X-Own", c.own)
		response, body := d.do(r)
		if got := fmt.Sprint(response.StatusCode, " ", body); !strings.HasPrefix(got, c.want) {
			t.Errorf("%+v: %s", c, got)
		}
	}
}

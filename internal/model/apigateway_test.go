package model

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"cutover/internal/assembly"
)

const restAPI = `"Api": {"Type": "AWS::ApiGateway::RestApi", "Properties": {"Name": "forum"}},
	"B": {"Type": "AWS::ApiGateway::Resource", "Properties": {"RestApiId": {"Ref": "Api"}, "ParentId": {"Ref": "C"}, "PathPart": "{proxy+}"}},
	"C": {"Type": "AWS::ApiGateway::Resource", "Properties": {"RestApiId": {"Ref": "Api"}, "ParentId": {"Fn::GetAtt": ["Api", "RootResourceId"]}, "PathPart": "users"}},
	"Lb": {"Type": "AWS::ElasticLoadBalancingV2::LoadBalancer", "Properties": {}},
	"Link": {"Type": "AWS::ApiGatewayV2::VpcLink", "Properties": {"Name": "link"}},
	"F": {"Type": "AWS::Lambda::Function", "Properties": {"FunctionName": "f"}},
	"Live": {"Type": "AWS::Lambda::Alias", "Properties": {"Name": "live", "FunctionName": {"Ref": "F"}, "FunctionVersion": "$LATEST"}}`

// method is a template with a method of the resource B.
func apiMethod(integration string) string {
	return restAPI + `, "M": {"Type": "AWS::ApiGateway::Method", "Properties": {"RestApiId": {"Ref": "Api"}, "ResourceId": {"Ref": "B"}, "HttpMethod": "ANY", "Integration": {` + integration + `}}}`
}

// A resource may come before its parent, and an integration names a load balancer or a function.
func TestIntegration(t *testing.T) {
	const link = `"Type": "HTTP_PROXY", "ConnectionType": "VPC_LINK", "ConnectionId": {"Ref": "Link"}, "IntegrationTarget": {"Ref": "Lb"}, "Uri": `
	for _, c := range []struct{ integration, want, problem string }{
		{link + `{"Fn::Join": ["", ["http://", {"Fn::GetAtt": ["Lb", "DNSName"]}, "/users/{proxy}"]]}`, "http://:80/users/{proxy}", ""},
		{link + `{"Fn::Sub": "http://${Lb.DNSName}:8000"}`, "http://:8000/", ""},
		{link + `"https://forum.example.com/x"`, "https://forum.example.com:443/x", ""},
		{link + `{"Fn::Sub": "http://${Link}/x"}`, "", "only the DNSName of the integration's own target is"},
		{link + `"forum.example.com"`, "", "begins with http:// or https:// and a host"},
		{`"Type": "AWS_PROXY", "Uri": {"Fn::Sub": "arn:aws:apigateway:x:lambda:path/2015-03-31/functions/${Live}/invocations"}`, "S/Live", ""},
		{`"Type": "AWS_PROXY", "Uri": {"Fn::Sub": "arn:aws:apigateway:x:lambda:path/2015-03-31/functions/${F.Arn}/invocations"}`, "S/F", ""},
		{`"Type": "AWS_PROXY", "Uri": "arn:aws:apigateway:x:sqs:path/x"`, "", "it invokes no function"},
	} {
		m := read(t, apiMethod(c.integration))
		method := m.RestAPIs[0].Methods[0]
		i := method.Integration
		got := i.Function
		if i.Scheme != "" {
			got = fmt.Sprintf("%s://%s:%d%s", i.Scheme, i.Host, i.Port, i.Path)
		}
		err := method.Problem()
		if got != c.want || c.problem == "" && err != nil || c.problem != "" && (err == nil || !strings.Contains(err.Error(), c.problem)) {
			t.Errorf("%s: %s, %v, want %s, %q", c.integration, got, err, c.want, c.problem)
		}
		if method.Of.Path() != "/users/{proxy+}" || i.Timeout != 29*time.Second || strings.HasPrefix(got, "http") && (i.Link == nil || i.Target == nil) || m.Functions[0].Invoked != (i.Function != "") {
			t.Errorf("%s is %+v of %s", c.integration, i, method.Of.Path())
		}
	}
}

// The settings of one resource go before those of all, and those of one method before those of others.
func TestMethodSettings(t *testing.T) {
	settings := func(path, method, more string) string {
		return `{"ResourcePath": "` + path + `", "HttpMethod": "` + method + `"` + more + `}`
	}
	m := read(t, apiMethod(`"Type": "MOCK"`)+`, "D": {"Type": "AWS::ApiGateway::Deployment", "Properties": {"RestApiId": {"Ref": "Api"}}},
		"Stage": {"Type": "AWS::ApiGateway::Stage", "Properties": {"RestApiId": {"Ref": "Api"}, "DeploymentId": {"Ref": "D"}, "StageName": "live", "CacheClusterEnabled": true, "MethodSettings": [`+
		settings("/*", "*", `, "ThrottlingRateLimit": 0.5`)+","+settings("/*", "PUT", `, "ThrottlingBurstLimit": 7`)+","+
		settings("/~1users~1{proxy+}", "GET", `, "CachingEnabled": true, "CacheTtlInSeconds": 60`)+","+settings("/~1users~1{proxy+}", "ANY", "")+","+settings("/~1", "*", `, "LoggingLevel": "INFO"`)+`]}}`)
	s, of := m.APIStages[0], m.RestAPIs[0].Methods[0]
	if err := s.Problem(); err != nil || s.CacheGB != "0.5" || s.API != m.RestAPIs[0] || s.Deployment != m.APIDeployments[0] {
		t.Errorf("%v: the stage is %+v", err, s)
	}
	for _, c := range []struct {
		of     *APIMethod
		method string
		want   string
	}{
		{of, "GET", "/users/{proxy+} GET cached true 1m0s, throttled false 10000 5000"},
		{of, "PUT", "/users/{proxy+} ANY cached false 5m0s, throttled false 10000 5000"},
		{&APIMethod{Method: "GET"}, "GET", "/ * cached false 5m0s, throttled false 10000 5000"},
		{&APIMethod{Method: "ANY", Of: &APIResource{Part: "x"}}, "PUT", "* PUT cached false 5m0s, throttled true 10000 7"},
		{&APIMethod{Method: "ANY", Of: &APIResource{Part: "x"}}, "GET", "* * cached false 5m0s, throttled true 0.5 5000"},
	} {
		one := s.SettingsOf(c.of, c.method)
		if got := fmt.Sprintf("%s %s cached %v %v, throttled %v %g %d", one.Path, one.Method, one.Cached, one.TTL, one.Throttled, one.Rate, one.Burst); got != c.want {
			t.Errorf("%s of %s: %s, want %s", c.method, c.of.Of.Path(), got, c.want)
		}
	}
}

// The host name of an API is its id and what is behind it.
func TestAPIIn(t *testing.T) {
	m := read(t, restAPI)
	api := m.RestAPIs[0]
	for text, want := range map[string]*RestAPI{
		"${Api}.execute-api.${AWS::Region}.amazonaws.com": api, "https://${Api}.execute-api.x/live": api, "${Api}.example.com": nil, "${Lb}.execute-api.x": nil, "${Api}": nil,
	} {
		value, err := m.Assembly.Resolve(api.Resource.Stack, "Api", "x", map[string]any{"Fn::Sub": text})
		if err != nil {
			continue // the region is not known here
		}
		parts, _ := value.(assembly.Text)
		if got := m.APIIn(parts); got != want {
			t.Errorf("%s names %v", text, got)
		}
	}
}

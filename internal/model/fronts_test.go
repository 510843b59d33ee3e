package model

import (
	"fmt"
	"strings"
	"testing"
)

// api is a REST API with a GET of /, and an ANY and perhaps more methods of others.
const api = `"Api": {"Type": "AWS::ApiGateway::RestApi"},
	"Root": {"Type": "AWS::ApiGateway::Method", "Properties": {"RestApiId": {"Ref": "Api"}, "ResourceId": {"Fn::GetAtt": ["Api", "RootResourceId"]}, "HttpMethod": "GET"}}`

// below adds a resource to the template, with methods.
func below(id, parent, part string, methods ...string) string {
	above := `{"Ref": "` + parent + `"}`
	if parent == "" {
		above = `{"Fn::GetAtt": ["Api", "RootResourceId"]}`
	}
	text := fmt.Sprintf(`, %q: {"Type": "AWS::ApiGateway::Resource", "Properties": {"RestApiId": {"Ref": "Api"}, "ParentId": %s, "PathPart": %q}}`, id, above, part)
	for _, method := range methods {
		text += fmt.Sprintf(`, "%s%s": {"Type": "AWS::ApiGateway::Method", "Properties": {"RestApiId": {"Ref": "Api"}, "ResourceId": {"Ref": %q}, "HttpMethod": %q}}`, id, method, id, method)
	}
	return text
}

func TestMethodOf(t *testing.T) {
	m := read(t, api+below("All", "", "{proxy+}", "ANY")+below("Api1", "", "api")+below("Users", "Api1", "users", "ANY", "POST")+below("One", "Users", "{id}", "GET")+
		below("Me", "Users", "me", "ANY")+below("Below", "Users", "{proxy+}", "ANY", "DELETE"))
	for request, want := range map[string]string{
		"GET /":                "S/Root",
		"POST /":               "",
		"GET /x":               "S/AllANY",
		"GET /api":             "S/AllANY", // a resource without methods takes nothing
		"GET /api/users":       "S/UsersANY",
		"POST /api/users":      "S/UsersPOST",
		"GET /api/users/1":     "S/OneGET",
		"POST /api/users/1":    "",
		"POST /api/users/me":   "S/MeANY",
		"GET /api/users/1/a":   "S/BelowANY",
		"DELETE /api/users/1/": "S/BelowDELETE",
		"GET /api/users/":      "S/BelowANY",
	} {
		name, path, _ := strings.Cut(request, " ")
		got := ""
		if found, _ := m.RestAPIs[0].Routes().Find(name, path); found != nil {
			got = found.Key()
		}
		if got != want {
			t.Errorf("%s: %q, want %q", request, got, want)
		}
	}
}

func TestDoors(t *testing.T) {
	const front = `"Vpc": {"Type": "AWS::EC2::VPC", "Properties": {"CidrBlock": "10.0.0.0/16"}}, "G": {"Type": "AWS::EC2::SecurityGroup", "Properties": {"SecurityGroupIngress": [RULES]}}, "L": {"Type": "AWS::EC2::SecurityGroup"},
		"Lb": {"Type": "AWS::ElasticLoadBalancingV2::LoadBalancer", "Properties": {"Subnets": ["s"], "SecurityGroups": [{"Ref": "G"}]}},
		"Link": {"Type": "AWS::ApiGatewayV2::VpcLink", "Properties": {"SecurityGroupIds": [{"Ref": "L"}]}}, "Way": {"Type": "AWS::CloudFront::VpcOrigin", "Properties": {"VpcOriginEndpointConfig": {"Arn": {"Ref": "Lb"}}}}`
	const page = `, "D": {"Type": "AWS::CloudFront::Distribution", "Properties": {"DistributionConfig": {"DefaultCacheBehavior": {"TargetOriginId": "a"}, "Origins": [{"Id": "a", "DomainName": "lb.example", "VpcOriginConfig": {"VpcOriginId": {"Fn::GetAtt": ["Way", "Id"]}}}]}}}`
	for _, test := range []struct{ rules, more, want string }{
		{`{"SourceSecurityGroupId": {"Ref": "L"}}`, "", "[]"},
		{`{"CidrIp": "0.0.0.0/0"}, {"SourceSecurityGroupId": {"Ref": "L"}}`, "", "[anybody]"},
		{`{"CidrIp": {"Fn::GetAtt": ["Vpc", "CidrBlock"]}}`, "", "[10.0.0.0/16]"},
		{`{"CidrIp": "0.0.0.0/0"}`, ", INTERNAL", "[anybody in the VPC]"},
		{`{"SourcePrefixListId": "pl-1"}`, "", "[pl-1]"},
		{`{"SourcePrefixListId": "pl-1"}`, page, "[]"},
		{`{"SourceSecurityGroupId": "sg-1"}`, "", "[addresses that the deployment tells]"},
		{`{"SourceSecurityGroupId": {"Ref": "G"}}`, "", "[S/G]"},
	} {
		text := strings.Replace(front, "RULES", test.rules, 1)
		if test.more == ", INTERNAL" {
			text, test.more = strings.Replace(text, `"Subnets"`, `"Scheme": "internal", "Subnets"`, 1), ""
		}
		m := read(t, text+test.more)
		var got []string
		for _, door := range m.Doors(m.LoadBalancers[0]) {
			got = append(got, door.Who)
		}
		if fmt.Sprint(got) != test.want {
			t.Errorf("%s: %v, want %s", test.rules, got, test.want)
		}
		if fronted := len(m.Fronted()); (fronted > 0) != (test.more != "") {
			t.Errorf("%s: %d load balancers have a front", test.rules, fronted)
		}
	}
}

// TestAsks: a load balancer asks for a header if no request comes to a target without the secret value that its distribution adds.
func TestAsks(t *testing.T) {
	const header = `{"Field": "http-header", "HttpHeaderConfig": {"HttpHeaderName": "x-origin", "Values": [{"Fn::Sub": "{{resolve:secretsmanager:${Secret}:SecretString:::}}"}]}}`
	const path = `{"Field": "path-pattern", "Values": ["/api*"]}`
	const refused, forward = `{"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "403"}}`, `{"Type": "forward", "TargetGroupArn": {"Ref": "Group"}}`
	const template = `"Secret": {"Type": "AWS::SecretsManager::Secret", "Properties": {}}, "G": {"Type": "AWS::EC2::SecurityGroup", "Properties": {"SecurityGroupIngress": [{"CidrIp": "0.0.0.0/0"}]}},
		"Lb": {"Type": "AWS::ElasticLoadBalancingV2::LoadBalancer", "Properties": {"Subnets": ["s"], "SecurityGroups": [{"Ref": "G"}]}},
		"Group": {"Type": "AWS::ElasticLoadBalancingV2::TargetGroup", "Properties": {"Port": 80, "Protocol": "HTTP", "VpcId": "v"}},
		"Listener": {"Type": "AWS::ElasticLoadBalancingV2::Listener", "Properties": {"LoadBalancerArn": {"Ref": "Lb"}, "Port": 80, "Protocol": "HTTP", "DefaultActions": [DEFAULT]}},
		"Rule": {"Type": "AWS::ElasticLoadBalancingV2::ListenerRule", "Properties": {"ListenerArn": {"Ref": "Listener"}, "Priority": 1, "Conditions": [CONDITIONS], "Actions": [ACTION]}},
		"D": {"Type": "AWS::CloudFront::Distribution", "Properties": {"DistributionConfig": {"DefaultCacheBehavior": {"TargetOriginId": "a"}, "Origins": [{"Id": "a", "DomainName": {"Fn::GetAtt": ["Lb", "DNSName"]},
			"CustomOriginConfig": {"OriginProtocolPolicy": "http-only"}, "OriginCustomHeaders": [{"HeaderName": "X-Origin", "HeaderValue": SENT}]}]}}}`
	const sent = `{"Fn::Join": ["", ["{{resolve:secretsmanager:", {"Ref": "Secret"}, ":SecretString:::}}"]]}`
	for name, test := range map[string]struct{ byDefault, conditions, action, sent, want string }{
		"each rule asks":               {refused, header + "," + path, forward, sent, "x-origin"},
		"a rule does not ask":          {refused, path, forward, sent, ""},
		"a rule that refuses":          {refused, path, refused, sent, ""},
		"the default action forwards":  {forward, header, forward, sent, ""},
		"another value is sent":        {refused, header, forward, `"{{resolve:secretsmanager:other:SecretString:::}}"`, ""},
		"a value that anybody reads":   {refused, strings.Replace(header, `{"Fn::Sub": "{{resolve:secretsmanager:${Secret}:SecretString:::}}"}`, `"plain"`, 1), forward, `"plain"`, ""},
		"one of two values is secret":  {refused, strings.Replace(header, `"Values": [`, `"Values": ["plain", `, 1), forward, sent, ""},
		"a condition cannot be read":   {refused, header + `, {"Field": "colour"}`, forward, sent, ""},
		"another header has the value": {refused, strings.Replace(header, "x-origin", "x-other", 1), forward, sent, ""},
	} {
		m := read(t, strings.NewReplacer("DEFAULT", test.byDefault, "CONDITIONS", test.conditions, "ACTION", test.action, "SENT", test.sent).Replace(template))
		lb := m.LoadBalancers[0]
		if got := m.Asks(lb); got != test.want {
			t.Errorf("%s: %q, want %q", name, got, test.want)
		}
		if doors := len(m.Doors(lb)); (doors == 0) != (test.want != "") {
			t.Errorf("%s: %d doors", name, doors)
		}
	}
}

// A web ACL knows its rules and the stages before which it is.
func TestWebACLs(t *testing.T) {
	m := read(t, api+`, "Stage": {"Type": "AWS::ApiGateway::Stage", "Properties": {"RestApiId": {"Ref": "Api"}, "StageName": "live", "DeploymentId": {"Ref": "Made"}}}, "Made": {"Type": "AWS::ApiGateway::Deployment", "Properties": {"RestApiId": {"Ref": "Api"}}},
		"Acl": {"Type": "AWS::WAFv2::WebACL", "Properties": {"Rules": [{"Name": "a", "VisibilityConfig": {"CloudWatchMetricsEnabled": true}}, {"Name": "b"}]}},
		"Of": {"Type": "AWS::WAFv2::WebACLAssociation", "Properties": {"WebACLArn": {"Fn::GetAtt": ["Acl", "Arn"]}, "ResourceArn": {"Fn::Sub": ["arn:${AWS::Partition}:apigateway:${AWS::Region}::/restapis/${A}/stages/${B}", {"A": {"Ref": "Api"}, "B": {"Ref": "Stage"}}]}}},
		"Elsewhere": {"Type": "AWS::WAFv2::WebACLAssociation", "Properties": {"WebACLArn": {"Fn::GetAtt": ["Acl", "Arn"]}, "ResourceArn": "arn:x"}}`)
	if got := fmt.Sprint(m.WebACLs[0].Rules, m.WebACLs[0].Unmeasured, m.WebACLs[0].Protects); got != "2 [b] [S/Stage]" {
		t.Errorf("the web ACL has %s", got)
	}
}

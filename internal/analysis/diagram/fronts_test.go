package diagram

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// A request goes from the client to CloudFront, API Gateway and the load balancer. What reaches the load balancer past them
// is an arrow of its own.
func TestFronts(t *testing.T) {
	const (
		balancer = `"Listener": {"Type": "AWS::ElasticLoadBalancingV2::Listener", "Properties": {"Port": 80, "Protocol": "HTTP", "LoadBalancerArn": {"Ref": "LB"}, "DefaultActions": [{"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "200"}}]}},
			"Inner": {"Type": "AWS::EC2::SecurityGroup"}, "LB": {"Type": "AWS::ElasticLoadBalancingV2::LoadBalancer", "Properties": {"SecurityGroups": [{"Ref": "Group"}]}}`
		closed = `, "Group": {"Type": "AWS::EC2::SecurityGroup", "Properties": {"SecurityGroupIngress": [{"SourceSecurityGroupId": {"Ref": "Inner"}}]}}`
		opened = `, "Group": {"Type": "AWS::EC2::SecurityGroup", "Properties": {"SecurityGroupIngress": [{"CidrIp": "0.0.0.0/0"}]}}`
		gate   = `, "Link": {"Type": "AWS::ApiGatewayV2::VpcLink", "Properties": {"SecurityGroupIds": [{"Ref": "Inner"}]}}, "Api": {"Type": "AWS::ApiGateway::RestApi"},
			"Made": {"Type": "AWS::ApiGateway::Deployment", "Properties": {"RestApiId": {"Ref": "Api"}}}, "Stage": {"Type": "AWS::ApiGateway::Stage", "Properties": {"RestApiId": {"Ref": "Api"}, "DeploymentId": {"Ref": "Made"}, "StageName": "live", "CacheClusterEnabled": true}},
			"Any": {"Type": "AWS::ApiGateway::Method", "Properties": {"RestApiId": {"Ref": "Api"}, "ResourceId": {"Fn::GetAtt": ["Api", "RootResourceId"]}, "HttpMethod": "ANY", "AuthorizationType": "AUTH", "Integration": {"Type": "HTTP_PROXY", "ConnectionType": "VPC_LINK",
				"ConnectionId": {"Ref": "Link"}, "IntegrationTarget": {"Ref": "LB"}, "Uri": {"Fn::Sub": "http://${LB.DNSName}/"}}}}`
		direct = `, "F": {"Type": "AWS::Lambda::Function", "Properties": {"FunctionName": "users"}}, "Alias": {"Type": "AWS::Lambda::Alias", "Properties": {"FunctionName": {"Ref": "F"}, "Name": "live"}},
			"Get": {"Type": "AWS::ApiGateway::Method", "Properties": {"RestApiId": {"Ref": "Api"}, "ResourceId": {"Fn::GetAtt": ["Api", "RootResourceId"]}, "HttpMethod": "GET",
				"Integration": {"Type": "AWS_PROXY", "Uri": {"Fn::Sub": "arn:aws:apigateway:${AWS::Region}:lambda:path/2015-03-31/functions/${Alias}/invocations"}}}}`
		page = `, "Page": {"Type": "AWS::S3::Bucket"}, "Way": {"Type": "AWS::CloudFront::VpcOrigin", "Properties": {"VpcOriginEndpointConfig": {"Arn": {"Ref": "LB"}}}},
			"Ui": {"Type": "AWS::CloudFront::Distribution", "Properties": {"DistributionConfig": {"DefaultCacheBehavior": {"TargetOriginId": "page"}, "CacheBehaviors": [{"PathPattern": "/api*", "TargetOriginId": "api"}, {"PathPattern": "/v2/*", "TargetOriginId": "api"}], "Origins": [
				{"Id": "page", "DomainName": {"Fn::GetAtt": ["Page", "RegionalDomainName"]}}, {"Id": "api", ORIGIN}]}}}`
		toAPI = `"DomainName": {"Fn::Sub": "${Api}.execute-api.${AWS::Region}.amazonaws.com"}, "CustomOriginConfig": {"OriginProtocolPolicy": "https-only"}`
		toLB  = `"DomainName": {"Fn::GetAtt": ["LB", "DNSName"]}, "VpcOriginConfig": {"VpcOriginId": {"Fn::GetAtt": ["Way", "Id"]}}`
	)
	both := balancer + closed + gate + strings.Replace(page, "ORIGIN", toAPI, 1)
	for _, test := range []struct {
		name, resources string
		want            []string
	}{
		{"none", balancer + opened, []string{"client_1 --> loadbalancerHTTP80_1"}},
		{"API Gateway", balancer + closed + strings.Replace(gate, "AUTH", "AWS_IAM", 1), []string{"client_1 --> APIGateway_1", `APIGateway_1 -->|"VPC link"| loadbalancerHTTP80_1`}},
		{"and the old door", balancer + opened + strings.Replace(gate, "AUTH", "NONE", 1), []string{"client_1 --> APIGateway_1", `APIGateway_1 -->|"VPC link"| loadbalancerHTTP80_1`, `client_1 -->|"past the front"| loadbalancerHTTP80_1`}},
		{"a function of its own", balancer + closed + strings.Replace(gate, "AUTH", "NONE", 1) + direct, []string{"client_1 --> APIGateway_1", `APIGateway_1 -->|"VPC link"| loadbalancerHTTP80_1`, "APIGateway_1 --> Lambdafunctionusers_1"}},
		{"CloudFront before API Gateway", strings.Replace(both, "AUTH", "NONE", 1), []string{"client_1 --> CloudFront_1", `CloudFront_1 -->|"/api* or /v2/*"| APIGateway_1`, `CloudFront_1 -->|"else"| page_1`, `APIGateway_1 -->|"VPC link"| loadbalancerHTTP80_1`}},
		{"that asks for signatures", strings.Replace(both, "AUTH", "AWS_IAM", 1), []string{"client_1 --> CloudFront_1", `CloudFront_1 -->|"/api* or /v2/*"| APIGateway_1`, `CloudFront_1 -->|"else"| page_1`, `client_1 -->|"signed requests"| APIGateway_1`, `APIGateway_1 -->|"VPC link"| loadbalancerHTTP80_1`}},
		{"CloudFront alone", balancer + strings.Replace(closed, `"SourceSecurityGroupId": {"Ref": "Inner"}`, `"SourcePrefixListId": "pl-1"`, 1) + strings.Replace(page, "ORIGIN", toLB, 1), []string{
			"client_1 --> CloudFront_1", `CloudFront_1 -->|"/api* or /v2/*"| loadbalancerHTTP80_1`, `CloudFront_1 -->|"else"| page_1`}},
	} {
		t.Run(test.name, func(t *testing.T) {
			text, err := Requests(Layer{"", read(t, test.resources)})
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for line := range strings.Lines(text) {
				if line = strings.TrimSpace(line); strings.Contains(line, "->") && !strings.HasSuffix(line, " 200_1") {
					got = append(got, line)
				}
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if cache := strings.Contains(text, `"API Gateway<br>stage live<br>with a cache"`); cache != strings.Contains(test.resources, "Stage") {
				t.Errorf("a stage with a cache is drawn: %v", cache)
			}
		})
	}
}

package isolation

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Who reaches a load balancer with a front: the VPC link's group, CloudFront, and whoever the old door admits.
func TestFronts(t *testing.T) {
	const (
		balancer = `"Vpc": {"Type": "AWS::EC2::VPC", "Properties": {"CidrBlock": "10.0.0.0/16"}}, "Lb": {"Type": "AWS::ElasticLoadBalancingV2::LoadBalancer", "Properties": {"SecurityGroups": [{"Ref": "Group"}]}},
			"Group": {"Type": "AWS::EC2::SecurityGroup", "Properties": {"SecurityGroupIngress": [{"IpProtocol": "tcp", "FromPort": 80, "ToPort": 80, WHO}], "SecurityGroupEgress": [{"CidrIp": "255.255.255.255/32", "IpProtocol": "icmp"}]}}`
		link   = `"SourceSecurityGroupId": {"Ref": "Inner"}`
		prefix = `"SourcePrefixListId": "pl-1"`
		gate   = `, "Inner": {"Type": "AWS::EC2::SecurityGroup", "Properties": {"SecurityGroupEgress": [{"DestinationSecurityGroupId": {"Ref": "Group"}, "IpProtocol": "tcp", "FromPort": 80, "ToPort": 80}]}},
			"Link": {"Type": "AWS::ApiGatewayV2::VpcLink", "Properties": {"SecurityGroupIds": [{"Ref": "Inner"}]}}, "Api": {"Type": "AWS::ApiGateway::RestApi"},
			"Any": {"Type": "AWS::ApiGateway::Method", "Properties": {"RestApiId": {"Ref": "Api"}, "ResourceId": {"Fn::GetAtt": ["Api", "RootResourceId"]}, "HttpMethod": "ANY", "Integration": {"Type": "HTTP_PROXY", "ConnectionType": "VPC_LINK",
				"ConnectionId": {"Ref": "Link"}, "IntegrationTarget": {"Ref": "Lb"}, "Uri": {"Fn::Sub": "http://${Lb.DNSName}/"}}}}`
		page = `, "Page": {"Type": "AWS::S3::Bucket"}, "Way": {"Type": "AWS::CloudFront::VpcOrigin", "Properties": {"VpcOriginEndpointConfig": {"Arn": {"Ref": "Lb"}}}},
			"Ui": {"Type": "AWS::CloudFront::Distribution", "Properties": {"DistributionConfig": {"DefaultCacheBehavior": {"TargetOriginId": "page"}, "CacheBehaviors": [{"PathPattern": "/api*", "TargetOriginId": "api"}], "Origins": [
				{"Id": "page", "DomainName": {"Fn::GetAtt": ["Page", "RegionalDomainName"]}}, {"Id": "api", ORIGIN}]}}}`
		toAPI = `"DomainName": {"Fn::Sub": "${Api}.execute-api.${AWS::Region}.amazonaws.com"}, "CustomOriginConfig": {"OriginProtocolPolicy": "https-only"}`
		toLB  = `"DomainName": {"Fn::GetAtt": ["Lb", "DNSName"]}, "VpcOriginConfig": {"VpcOriginId": {"Fn::GetAtt": ["Way", "Id"]}}`
	)
	admits := func(who string) string { return strings.Replace(balancer, "WHO", who, 1) }
	origin := func(of string) string { return strings.Replace(page, "ORIGIN", of, 1) }
	const (
		api    = "Everybody reaches API Gateway (dev-S). It asks the load balancer of dev-S by its VPC link."
		bucket = "Everybody reaches CloudFront (dev-S). It reads the page in the bucket of dev-S, and nobody else may."
		nobody = "The load balancer of dev-S admits nobody else."
	)
	for _, test := range []struct {
		name, resources string
		reaches, ways   []string
	}{
		{"none", admits(`"CidrIp": "0.0.0.0/0"`), []string{"the internet → Group: tcp 80–80"}, nil},
		{"the VPC alone", admits(`"CidrIp": {"Fn::GetAtt": ["Vpc", "CidrBlock"]}`), []string{"the VPC → Group: tcp 80–80"}, nil},
		{"whoever reaches the VPC", strings.Replace(admits(`"CidrIp": "0.0.0.0/0"`), `"SecurityGroups"`, `"Scheme": "internal", "SecurityGroups"`, 1), []string{"the VPC → Group: tcp 80–80"}, nil},
		{"API Gateway", admits(link) + gate, []string{"API Gateway's VPC link → Group: tcp 80–80"}, []string{api, nobody}},
		{"and the old door", admits(`"CidrIp": "0.0.0.0/0"`) + gate, []string{"API Gateway's VPC link → Group: tcp 80–80", "the internet → Group: tcp 80–80"},
			[]string{api, "**The load balancer of dev-S also admits anybody, past its front.** What the front asks for means nothing to them."}},
		{"CloudFront before it", admits(link) + gate + origin(toAPI), []string{"API Gateway's VPC link → Group: tcp 80–80"},
			[]string{"CloudFront (dev-S) asks API Gateway (dev-S) in the internet, by HTTPS.", bucket, api, nobody}},
		{"CloudFront alone", admits(prefix) + origin(toLB), []string{"CloudFront → Group: tcp 80–80"},
			[]string{"CloudFront (dev-S) asks the load balancer of dev-S by a VPC origin.", bucket, nobody}},
	} {
		t.Run(test.name, func(t *testing.T) {
			i := mustRead(t, test.resources)
			var reaches []string
			for _, r := range i.Reaches {
				if !strings.HasSuffix(r.String(), ": any") { // of groups without rules to the outside
					reaches = append(reaches, r.String())
				}
			}
			if diff := cmp.Diff(test.reaches, reaches); diff != "" {
				t.Errorf("who connects to whom (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(test.ways, i.Ways); diff != "" {
				t.Errorf("ways (-want +got):\n%s", diff)
			}
			if told := strings.Contains(Document(i, i, nil), "Before the load balancers"); told != (test.ways != nil) {
				t.Errorf("the document tells of ways: %v", told)
			}
		})
	}
}

// A prefix list is not known without a distribution.
func TestPrefixList(t *testing.T) {
	if _, err := read(t, `"G": {"Type": "AWS::EC2::SecurityGroup", "Properties": {"SecurityGroupIngress": [{"SourcePrefixListId": "pl-1", "IpProtocol": "tcp"}]}}`); err == nil || !strings.Contains(err.Error(), "who pl-1 is, is not known here") {
		t.Errorf("got %v", err)
	}
}

// API Gateway invokes a function that has a permission for it.
func TestDirectFunction(t *testing.T) {
	text := strings.Replace(function, `"Principal": "elasticloadbalancing.amazonaws.com"`, `"Principal": "apigateway.amazonaws.com"`, 1)
	i := mustRead(t, text)
	if document := Document(i, i, []string{"web"}); !strings.Contains(document, "Lambda invokes it for whom the grants name: API Gateway, for its methods.") {
		t.Errorf("the document does not say who invokes the function:\n%s", document)
	}
}

package cost

import (
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestFronts(t *testing.T) {
	const (
		none     = "= 0.00\nshared: 0 tasks, 1.0000, 0.00\n"
		requests = "3.50 per million requests to a REST API\n0.09 per GB from a REST API to the internet, and nothing to CloudFront\n"
		traces   = "5.00 per million traces of X-Ray, which takes a part of the requests\n"
		cloud    = "1.00 per million HTTPS requests to CloudFront\n0.085 per GB from CloudFront to clients\n0.02 per GB of requests from CloudFront to a load balancer or an API\n"
		without  = "without a front, requests have no price of their own: the load balancer costs 0.008 for a capacity unit and hour, in which it takes 1 GB\n"
		free     = ". The free tier (10 million requests and 1 TB a month) is not counted\n"
	)
	stage := func(properties string) string {
		return `"Stage": {"Type": "AWS::ApiGateway::Stage", "Properties": {` + properties + `}}`
	}
	const distribution = `"Ui": {"Type": "AWS::CloudFront::Distribution"}, "Page": {"Type": "AWS::CloudFront::Function"}`
	const acl = `"Acl": {"Type": "AWS::WAFv2::WebACL", "Properties": {"Rules": [{}, {}]}}`
	for _, test := range []struct{ name, resources, want string }{
		{"a stage", stage(`"StageName": "live"`), none + requests +
			"API Gateway: a million requests cost US$ 3.50. An answer of the cache costs the same\n" + without},
		{"with a cache, traces and a service", stage(`"CacheClusterEnabled": true, "CacheClusterSize": "0.5", "TracingEnabled": true, "Tags": [{"Key": "service", "Value": "users"}]`),
			"1 cache of 0.5 GB: 0.02 an hour: 14.60\n= 14.60\nusers: 0 tasks, 0.0000, 14.60\nshared: 0 tasks, 1.0000, 0.00\n" + requests + traces +
				"API Gateway: a million requests cost US$ 3.50. An answer of the cache costs the same\n" + without},
		{"with metrics of its methods, and of its log", stage(`"MethodSettings": [{"MetricsEnabled": true}]`) + `, "Filter": {"Type": "AWS::Logs::MetricFilter"}`,
			"1 metric of a log group: 0.30: 0.30\n= 0.30\nshared: 0 tasks, 1.0000, 0.30\n" + requests + "0.30 per metric of a method of a REST API that is asked, seven a method at most\n" +
				"API Gateway: a million requests cost US$ 3.50. An answer of the cache costs the same\n" + without},
		{"a larger cache", stage(`"CacheClusterEnabled": true, "CacheClusterSize": "1.6"`), none + "not 1 cache of 1.6 GB\n" + requests +
			"API Gateway: a million requests cost US$ 3.50. An answer of the cache costs the same\n" + without},
		{"a size without a cache", stage(`"CacheClusterEnabled": false, "CacheClusterSize": "1.6"`), none + requests +
			"API Gateway: a million requests cost US$ 3.50. An answer of the cache costs the same\n" + without},
		{"a web ACL", stage(`"StageName": "live"`) + ", " + acl,
			"1 web ACL: 5.00: 5.00\n2 rules of a web ACL: 2 × 1.00: 2.00\n= 7.00\nshared: 0 tasks, 1.0000, 7.00\n" + requests + "0.60 per million requests to AWS WAF\n" +
				"API Gateway: a million requests cost US$ 3.50, and 0.60 more for AWS WAF. An answer of the cache costs the same\n" + without},
		{"CloudFront", distribution, none + cloud + "0.10 per million invocations of a function of CloudFront\n" +
			"CloudFront: a million requests cost US$ 1.00, and a GB 0.085" + free + without},
		{"both", distribution + ", " + stage(`"StageName": "live"`), none + cloud + requests + "0.10 per million invocations of a function of CloudFront\n" +
			"API Gateway: a million requests cost US$ 3.50. An answer of the cache costs the same\n" +
			"CloudFront: a million requests cost US$ 1.00, and a GB 0.085. Requests that go on to API Gateway cost its price, too" + free + without},
		{"what costs nothing", `"Link": {"Type": "AWS::ApiGatewayV2::VpcLink"}, "Api": {"Type": "AWS::ApiGateway::RestApi"}, "Method": {"Type": "AWS::ApiGateway::Method"},
			"Account": {"Type": "AWS::ApiGateway::Account"}, "Origin": {"Type": "AWS::CloudFront::VpcOrigin"}, "Files": {"Type": "Custom::CDKBucketDeployment"}, "Name": {"Type": "AWS::Route53::RecordSet"}`, none},
	} {
		t.Run(test.name, func(t *testing.T) {
			estimates, err := Read(readModel(t, map[string]string{"Stack": `{"Resources": {` + test.resources + `}}`}))
			if err != nil {
				t.Fatal(err)
			}
			e := estimates[0]
			got := show(e)
			for _, line := range append(e.Traffic, e.Fronts...) {
				if !strings.Contains(got, line) {
					got += line + "\n"
				}
			}
			lines := func(text string) []string { return sorted(strings.Split(text, "\n")) }
			if diff := cmp.Diff(lines(test.want), lines(got)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// An internal load balancer has no public addresses, and costs what it costs otherwise.
func TestSchemes(t *testing.T) {
	balancer := func(scheme string) Cents {
		estimates, err := Read(readModel(t, map[string]string{"Stack": `{"Resources": {"Lb": {"Type": "AWS::ElasticLoadBalancingV2::LoadBalancer", "Properties": {"Scheme": "` + scheme + `", "Subnets": ["subnet-1", "subnet-2"]}}}}`}))
		if err != nil {
			t.Fatal(err)
		}
		return estimates[0].Total
	}
	if open, closed := balancer("internet-facing"), balancer("internal"); open-closed != amount(2*prices.Hours, prices.Fixed["publicIPv4"].Hour) {
		t.Errorf("a month costs %v with public addresses, and %v without", open, closed)
	}
}

func TestFrontTable(t *testing.T) {
	want := `| a million requests through | requests, US$ | transfer, US$ | together |
|---|---|---|---|
| the load balancer alone | 0.00 | 0.20 | 0.20 |
| API Gateway | 3.50 | 0.20 | 3.70 |
| API Gateway with a web ACL | 4.10 | 0.20 | 4.30 |
| API Gateway, to a function without the load balancer | 3.50 | 0.18 | 3.68 |
| CloudFront | 1.00 | 0.19 | 1.19 |
| CloudFront and API Gateway | 4.50 | 0.19 | 4.69 |
| CloudFront and API Gateway with a web ACL | 5.10 | 0.19 | 5.29 |
| CloudFront, for the page | 1.10 | 0.17 | 1.27 |
`
	if diff := cmp.Diff(want, FrontTable(2000)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// The document says the prices that an estimate has.
func TestDocumentOfFronts(t *testing.T) {
	text, err := os.ReadFile("../../../docs/cost.md")
	if err != nil {
		t.Fatal(err)
	}
	all := strings.Join(strings.Fields(string(text)), " ")
	fixed := func(key string) string { return decimal(prices.Fixed[key].Hour + prices.Fixed[key].Month) }
	month := func(n int, key string) string { return amount(n*prices.Hours, prices.Fixed[key].Hour).String() }
	for _, want := range []string{
		fixed("apiCache") + " an hour, US$ " + month(1, "apiCache") + " a month",
		"A web ACL costs " + fixed("webACL") + " a month, and each of its rules " + fixed("webACLRule") + ". A million requests cost " + decimal(prices.Traffic["webACLRequests"].Price),
		fixed("publicIPv4") + " an hour for each zone: US$ " + month(2, "publicIPv4") + " a month in two zones",
		"Traces of X-Ray** cost " + decimal(prices.Traffic["traces"].Price) + " a million",
		"hosted zone, " + fixed("hostedZone") + " a month",
	} {
		if !strings.Contains(all, want) {
			t.Errorf("it does not say %q", want)
		}
	}
}

package emulate

import (
	"net/http"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	cfntypes "github.com/aws/aws-sdk-go-v2/service/cloudformation/types"

	"cutover/internal/nightly"
)

// A page in a bucket behind a distribution. CAPITALS are replaced.
const pageTemplate = `{
	"Resources": {
		"Bucket": {"Type": "AWS::S3::Bucket", "Properties": {"BucketName": "page", "PublicAccessBlockConfiguration": {"BlockPublicAcls": true, "BlockPublicPolicy": true, "IgnorePublicAcls": true, "RestrictPublicBuckets": true},
			"BucketEncryption": {"ServerSideEncryptionConfiguration": [{"ServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}]}, "VersioningConfiguration": {"Status": "Enabled"},
			"LifecycleConfiguration": {"Rules": [{"Id": "old", "Status": "Enabled", "NoncurrentVersionExpiration": {"NoncurrentDays": 30}, "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 7}}]},
			LOGGED "Tags": [{"Key": "environment", "Value": "VALUE"}]}},
		"Logs": {"Type": "AWS::S3::Bucket", "Properties": {"BucketName": "logs", "AccessControl": "LogDeliveryWrite", OWNERSHIP
			"LifecycleConfiguration": {"Rules": [{"Status": "Enabled", "ExpirationInDays": 30}]}}},
		"Policy": {"Type": "AWS::S3::BucketPolicy", "Properties": {"Bucket": {"Ref": "Bucket"}, "PolicyDocument": {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:GetObject",
			"Principal": {"Service": "cloudfront.amazonaws.com"}, "Resource": {"Fn::Sub": "${Bucket.Arn}/*"}, "Condition": {"StringEquals": {"AWS:SourceArn": {"Fn::Sub": "arn:aws:cloudfront::${AWS::AccountId}:distribution/${Distribution}"}}}}]}}},
		"Function": {"Type": "AWS::CloudFront::Function", "Properties": {"Name": "routes", "AutoPublish": PUBLISHED, "FunctionCode": "function handler(event) { return event.request; } // CODE",
			"FunctionConfig": {"Comment": "routes", "Runtime": "RUNTIME"}}},
		"Control": {"Type": "AWS::CloudFront::OriginAccessControl", "Properties": {"OriginAccessControlConfig": {"Name": "control", "OriginAccessControlOriginType": "s3", "SigningBehavior": "always", "SigningProtocol": "sigv4"}}},
		"Headers": {"Type": "AWS::CloudFront::ResponseHeadersPolicy", "Properties": {"ResponseHeadersPolicyConfig": {"Name": "headers", "SecurityHeadersConfig": {"FrameOptions": {"FrameOption": "DENY", "Override": true}},
			"CustomHeadersConfig": {"Items": [{"Header": "x-a", "Value": "1", "Override": true}]}}}},
		"Cache": {"Type": "AWS::CloudFront::CachePolicy", "Properties": {"CachePolicyConfig": {"Name": "cache", "DefaultTTL": 0, "MaxTTL": SECONDS, "MinTTL": 0, "ParametersInCacheKeyAndForwardedToOrigin": {
			"CookiesConfig": {"CookieBehavior": "none"}, "EnableAcceptEncodingGzip": true, "HeadersConfig": {"HeaderBehavior": "whitelist", "Headers": ["Accept"]}, "QueryStringsConfig": {"QueryStringBehavior": "none"}}}}},
		"Request": {"Type": "AWS::CloudFront::OriginRequestPolicy", "Properties": {"OriginRequestPolicyConfig": {"Name": "request", "CookiesConfig": {"CookieBehavior": "none"}, "HeadersConfig": {"HeaderBehavior": "none"},
			"QueryStringsConfig": {"QueryStringBehavior": "whitelist", "QueryStrings": ["limit", "page"]}}}},
		VPCORIGIN
		"Distribution": {"Type": "AWS::CloudFront::Distribution", DEPENDS "Properties": {"DistributionConfig": {"Enabled": true, "HttpVersion": "http2and3", "IPV6Enabled": true, "DefaultRootObject": "index.html", ALIASES
			"Logging": {"Bucket": {"Fn::GetAtt": ["Logs", "RegionalDomainName"]}, "Prefix": "cdn/"},
			"Origins": [{"Id": "page", "DomainName": {"Fn::GetAtt": ["Bucket", "RegionalDomainName"]}, "OriginPath": "PATH", "OriginAccessControlId": CONTROL, "S3OriginConfig": {"OriginAccessIdentity": ""}},
				{"Id": "api", "DomainName": "api.example.com", "OriginPath": "/live", "OriginCustomHeaders": [{"HeaderName": "x-secret", "HeaderValue": "s"}], "CustomOriginConfig": {"OriginProtocolPolicy": "https-only", "OriginSSLProtocols": ["TLSv1.2"]}}MORE],
			"DefaultCacheBehavior": {"TargetOriginId": "page", "ViewerProtocolPolicy": "redirect-to-https", "Compress": true, "CachePolicyId": CACHEPOLICY, "ResponseHeadersPolicyId": {"Ref": "Headers"},
				"FunctionAssociations": [{"EventType": "viewer-request", "FunctionARN": {"Fn::GetAtt": ["Function", "FunctionARN"]}}]},
			"CacheBehaviors": [{"PathPattern": "/api*", "TargetOriginId": "TARGET", "ViewerProtocolPolicy": "redirect-to-https", "AllowedMethods": ["GET", "HEAD", "OPTIONS", "PUT", "PATCH", "POST", "DELETE"], "CachedMethods": ["GET", "HEAD"],
				"CachePolicyId": "4135ea2d-6df8-44a3-9df3-4b5a84be39ad", "OriginRequestPolicyId": {"Ref": "Request"}}],
			"CustomErrorResponses": [{"ErrorCode": 404, "ErrorCachingMinTTL": 0}]}}}
	},
	"Outputs": {"Distribution": {"Value": {"Ref": "Distribution"}}, "Domain": {"Value": {"Fn::GetAtt": ["Distribution", "DomainName"]}}, "Function": {"Value": {"Ref": "Function"}},
		"Control": {"Value": {"Fn::GetAtt": ["Control", "Id"]}}, "Headers": {"Value": {"Ref": "Headers"}}, "Cache": {"Value": {"Ref": "Cache"}}}
}`

func pageStack(changes ...string) string {
	return strings.NewReplacer(append(changes, "VALUE", "test", "OWNERSHIP", `"OwnershipControls": {"Rules": [{"ObjectOwnership": "BucketOwnerPreferred"}]},`, "PUBLISHED", "true", "CODE", "1",
		"RUNTIME", "cloudfront-js-2.0", "SECONDS", "86400", "LOGGED", "", "VPCORIGIN", "", "DEPENDS", "", "ALIASES", "", "PATH", "/v1", "CONTROL", `{"Fn::GetAtt": ["Control", "Id"]}`, "MORE", "",
		"CACHEPOLICY", `{"Ref": "Cache"}`, "TARGET", "api")...).Replace(pageTemplate)
}

func TestCloudFront(t *testing.T) {
	nightly.Test(t, "it deploys and updates a distribution on an emulated AWS")
	a := services(t)
	cfn, destroy := stacks(t, a)
	deploy := deploying(t, cfn, "page")
	refuses := refusing(t, "page", deploy, destroy)
	for _, refused := range []struct {
		name, reason string
		changes      []string
	}{
		{"an origin that is not there", "NoSuchOrigin", []string{"TARGET", "none"}},
		{"a policy that is not there", "NoSuchCachePolicy", []string{"CACHEPOLICY", `"658327ea-0000-0000-0000-000000000000"`}},
		{"an access control that is not there", "NoSuchOriginAccessControl", []string{"CONTROL", `"none"`}},
		{"a function that is not published", "InvalidFunctionAssociation", []string{"PUBLISHED", "false"}},
		{"a function in another language", "Function: ", []string{"RUNTIME", "nodejs24.x"}},
		{"an origin path without a slash", "OriginPath", []string{"PATH", "v1"}},
		{"an alias without a certificate", "InvalidViewerCertificate", []string{"ALIASES", `"Aliases": ["www.example.com"],`}},
		{"logs to a bucket without access control lists", "does not enable ACL access", []string{"OWNERSHIP", "", `"AccessControl": "LogDeliveryWrite",`, ""}},
		{"a control list of a bucket without control lists", "InvalidBucketAclWithObjectOwnership", []string{"OWNERSHIP", ""}},
		{"a VPC origin without a load balancer", "Origin: ", []string{"VPCORIGIN", `"Origin": {"Type": "AWS::CloudFront::VpcOrigin", "Properties": {"VpcOriginEndpointConfig": {"Name": "o",
			"Arn": "arn:aws:elasticloadbalancing:us-east-1:123456789012:loadbalancer/app/none/1", "HTTPPort": 80, "OriginProtocolPolicy": "http-only"}}},`}},
		{"a path twice", "PathPattern", []string{`"CustomErrorResponses"`, `"CacheBehaviors": [{"PathPattern": "/a", "TargetOriginId": "api", "ViewerProtocolPolicy": "https-only"}, {"PathPattern": "/a", "TargetOriginId": "api", "ViewerProtocolPolicy": "https-only"}], "CustomErrorResponses"`}},
	} {
		refuses(refused.name, pageStack(refused.changes...), refused.reason)
	}
	cdn := func(path string) (string, string) {
		t.Helper()
		body, resp := ask(t, a, http.MethodGet, "cloudfront", "/2020-05-31/"+path, "")
		if resp.StatusCode != http.StatusOK {
			t.Fatal(path, resp.Status, body)
		}
		return body, resp.Header.Get("ETag")
	}
	left := func() {
		t.Helper()
		for _, of := range kinds {
			if list, _ := cdn(of.path); !strings.Contains(list, "<Quantity>0</Quantity>") {
				t.Errorf("left: %s", list)
			}
		}
	}
	left()

	has := func(what, got string, want ...string) {
		t.Helper()
		for _, part := range want {
			if !strings.Contains(got, part) {
				t.Errorf("%s has no %s: %s", what, part, got)
			}
		}
	}
	if status, reason := deploy(cfntypes.ChangeSetTypeCreate, pageStack()); status != "CREATE_COMPLETE" {
		t.Fatal(status, reason)
	}
	made := outputs(t, cfn, "page")
	of := "distribution/" + made["Distribution"]
	got, _ := cdn(of)
	has("distribution", got, "<Status>Deployed</Status>", "<DomainName>"+made["Domain"]+"</DomainName>", "<IsIPV6Enabled>true<", "<OriginPath>/v1</OriginPath>", "<OriginPath>/live</OriginPath>",
		"<OriginAccessControlId>"+made["Control"]+"<", "<Origins><Quantity>2</Quantity><Items><Origin>", "<CustomHeaders><Quantity>1</Quantity><Items><OriginCustomHeader><HeaderName>x-secret<",
		"<OriginSslProtocols><Quantity>1</Quantity><Items><SslProtocol>TLSv1.2<", "<AllowedMethods><Quantity>7</Quantity><Items><Method>GET</Method>", "<CachedMethods><Quantity>2<",
		"<FunctionAssociations><Quantity>1</Quantity><Items><FunctionAssociation><EventType>viewer-request</EventType><FunctionARN>"+made["Function"]+"<", "<PathPattern>/api*<",
		"<CustomErrorResponses><Quantity>1</Quantity><Items><CustomErrorResponse><ErrorCachingMinTTL>0</ErrorCachingMinTTL><ErrorCode>404<",
		"<Logging><Bucket>logs.s3.us-east-1.amazonaws.com</Bucket><Enabled>true</Enabled>", "<CachePolicyId>"+made["Cache"]+"<", "<ResponseHeadersPolicyId>"+made["Headers"]+"<")
	code := func() string { got, _ := cdn("function/routes?Stage=LIVE"); return got }
	has("function", code(), "return event.request; } // 1")
	got, _ = cdn("response-headers-policy/" + made["Headers"])
	has("headers", got, "<FrameOption>DENY<", "<CustomHeadersConfig><Quantity>1</Quantity><Items><ResponseHeadersPolicyCustomHeader><Header>x-a<")
	got, _ = cdn("cache-policy/" + made["Cache"])
	has("cache policy", got, "<MaxTTL>86400<", "<HeadersConfig><HeaderBehavior>whitelist</HeaderBehavior><Headers><Quantity>1</Quantity><Items><Name>Accept<")
	bucket := func(sub string) string { got, _ := ask(t, a, http.MethodGet, "s3", "/page?"+sub, ""); return got }
	has("access block", bucket("publicAccessBlock"), "<RestrictPublicBuckets>true<")
	has("encryption", bucket("encryption"), "<SSEAlgorithm>AES256<")
	has("versioning", bucket("versioning"), "<Status>Enabled<")
	has("lifecycle", bucket("lifecycle"), "<NoncurrentDays>30<", "<DaysAfterInitiation>7<")
	has("ownership", bucket("ownershipControls"), "BucketOwnerEnforced")
	has("policy", bucket("policy"), "distribution/"+made["Distribution"])
	has("tags", bucket("tagging"), "<Value>test<")

	_, etag := cdn(of)
	for _, refused := range []struct{ path, match, code string }{
		{of, "", "InvalidIfMatchVersion"}, {of, "E9", "PreconditionFailed"}, {of, etag, "DistributionNotDisabled"},
		{"function/routes", "E1", "FunctionInUse"}, {"origin-access-control/" + made["Control"], "E1", "OriginAccessControlInUse"},
		{"response-headers-policy/" + made["Headers"], "E1", "ResponseHeadersPolicyInUse"}, {"cache-policy/" + made["Cache"], "E1", "CachePolicyInUse"},
		{"distribution/none", "E1", "NoSuchDistribution"},
	} {
		if body, resp := ask(t, a, http.MethodDelete, "cloudfront", "/2020-05-31/"+refused.path, "", "If-Match", refused.match); resp.StatusCode/100 != 4 || !strings.Contains(body, "<Code>"+refused.code+"<") {
			t.Errorf("deleting %s with %q: %s %s, want %s", refused.path, refused.match, resp.Status, body, refused.code)
		}
	}

	// Everything changes in place, and a failure takes it back.
	before, _ := cdn(of + "/config")
	changed := pageStack("PATH", "/v2", "CODE", "2", "SECONDS", "60", "LOGGED", `"LoggingConfiguration": {"DestinationBucketName": {"Ref": "Logs"}, "LogFilePrefix": "page/"},`, "VALUE", "other")
	failing := strings.Replace(changed, `"Resources": {`, `"Resources": {"Bad": {"Type": "AWS::CloudFront::Function", "DependsOn": "Distribution", "Properties": {"Name": "routes", "FunctionCode": "x", "FunctionConfig": {"Comment": "", "Runtime": "cloudfront-js-2.0"}}},`, 1)
	if status, reason := deploy(cfntypes.ChangeSetTypeUpdate, failing); status != "UPDATE_ROLLBACK_COMPLETE" || !strings.Contains(reason, "AlreadyExists") {
		t.Errorf("%s: %s, want a rollback because the function exists", status, reason)
	}
	if after, _ := cdn(of + "/config"); after != before || !strings.Contains(code(), "// 1") || !strings.Contains(bucket("tagging"), "<Value>test<") {
		t.Errorf("after the rollback: %s %s, want %s", after, code(), before)
	}
	if status, _ := deploy(cfntypes.ChangeSetTypeUpdate, changed); status != "UPDATE_COMPLETE" {
		t.Fatal(status)
	}
	if got := outputs(t, cfn, "page"); got["Distribution"] != made["Distribution"] || got["Function"] != made["Function"] {
		t.Errorf("after the change %v, before %v", got, made)
	}
	got, _ = cdn(of)
	has("changed distribution", got, "<OriginPath>/v2<")
	has("changed function", code(), "// 2")
	got, _ = cdn("cache-policy/" + made["Cache"])
	has("changed cache policy", got, "<MaxTTL>60<")
	has("log", bucket("logging"), "<TargetBucket>logs<", "<TargetPrefix>page/<")
	has("changed tags", bucket("tagging"), "<Value>other<")

	// A bucket with objects stays.
	if body, resp := ask(t, a, http.MethodPut, "s3", "/page/v1/index.html", "x"); resp.StatusCode != http.StatusOK {
		t.Fatal(resp.Status, body)
	}
	if left := destroy("page"); !strings.Contains(left, "DELETE_FAILED") || !strings.Contains(left, "Bucket") {
		t.Errorf("deleting a bucket with an object: %s", left)
	}
	left()
	if _, err := cfn.DescribeStacks(t.Context(), &cloudformation.DescribeStacksInput{StackName: aws.String("page")}); err != nil {
		t.Error(err)
	}
}

// TestAddress: a record names a distribution, and a distribution sends a secret to its origin.
func TestAddress(t *testing.T) {
	nightly.Test(t, "it deploys an address with a certificate on an emulated AWS")
	a := services(t)
	cfn, destroy := stacks(t, a)
	zone, resp := ask(t, a, http.MethodPost, "route53", "/2013-04-01/hostedzone", `<CreateHostedZoneRequest xmlns="https://route53.amazonaws.com/doc/2013-04-01/"><Name>example.com.</Name><CallerReference>1</CallerReference></CreateHostedZoneRequest>`)
	_, id, _ := strings.Cut(zone, "<Id>/hostedzone/")
	id, _, found := strings.Cut(id, "</Id>")
	if !found {
		t.Fatal(resp.Status, zone)
	}
	template := strings.NewReplacer("ZONE", id).Replace(`{"Resources": {
		"Secret": {"Type": "AWS::SecretsManager::Secret", "Properties": {"GenerateSecretString": {"ExcludePunctuation": true, "PasswordLength": 32}}},
		"Distribution": {"Type": "AWS::CloudFront::Distribution", "Properties": {"DistributionConfig": {"Enabled": true, "Aliases": ["www.example.com"],
			"ViewerCertificate": {"AcmCertificateArn": "arn:aws:acm:us-east-1:123456789012:certificate/c", "SslSupportMethod": "sni-only", "MinimumProtocolVersion": "TLSv1.2_2021"},
			"Origins": [{"Id": "api", "DomainName": "api.example.com", "CustomOriginConfig": {"OriginProtocolPolicy": "https-only"},
				"OriginCustomHeaders": [{"HeaderName": "x-secret", "HeaderValue": {"Fn::Join": ["", ["{{resolve:secretsmanager:", {"Ref": "Secret"}, ":SecretString:::}}"]]}}]}],
			"DefaultCacheBehavior": {"TargetOriginId": "api", "ViewerProtocolPolicy": "https-only", "CachePolicyId": "4135ea2d-6df8-44a3-9df3-4b5a84be39ad"}}}},
		"Record": {"Type": "AWS::Route53::RecordSet", "Properties": {"HostedZoneId": "ZONE", "Name": "www.example.com.", "Type": "A",
			"AliasTarget": {"DNSName": {"Fn::GetAtt": ["Distribution", "DomainName"]}, "HostedZoneId": "Z2FDTNDATAQYW2"}}}},
		"Outputs": {"Distribution": {"Value": {"Ref": "Distribution"}}, "Domain": {"Value": {"Fn::GetAtt": ["Distribution", "DomainName"]}}}}`)
	if status, reason := deploying(t, cfn, "address")(cfntypes.ChangeSetTypeCreate, template); status != "CREATE_COMPLETE" {
		t.Fatal(status, reason)
	}
	made := outputs(t, cfn, "address")
	records := func() string {
		body, _ := ask(t, a, http.MethodGet, "route53", "/2013-04-01/hostedzone/"+id+"/rrset", "")
		return body
	}
	if got := records(); !strings.Contains(got, made["Domain"]) {
		t.Errorf("records %s, want one of %s", got, made["Domain"])
	}
	got, _ := ask(t, a, http.MethodGet, "cloudfront", "/2020-05-31/distribution/"+made["Distribution"], "")
	_, secret, _ := strings.Cut(got, "<HeaderValue>")
	if secret, _, _ = strings.Cut(secret, "<"); len(secret) != 32 || !strings.Contains(got, "<CNAME>www.example.com<") || !strings.Contains(got, "<ACMCertificateArn>") {
		t.Errorf("distribution %s", got)
	}
	if left := destroy("address"); left != "" || strings.Contains(records(), "www.example.com") {
		t.Errorf("left: %s %s", left, records())
	}
}

// TestVPCOrigin: CloudFront reaches a private load balancer.
func TestVPCOrigin(t *testing.T) {
	nightly.Test(t, "it deploys an origin in a VPC on an emulated AWS")
	a := services(t)
	cfn, destroy := stacks(t, a)
	template := func(port, enabled string) string {
		return strings.NewReplacer("PORT", port, "ENABLED", enabled).Replace(`{"Resources": {
		"Vpc": {"Type": "AWS::EC2::VPC", "Properties": {"CidrBlock": "10.0.0.0/16"}},
		"A": {"Type": "AWS::EC2::Subnet", "Properties": {"VpcId": {"Ref": "Vpc"}, "CidrBlock": "10.0.0.0/24", "AvailabilityZone": "us-east-1a"}},
		"B": {"Type": "AWS::EC2::Subnet", "Properties": {"VpcId": {"Ref": "Vpc"}, "CidrBlock": "10.0.1.0/24", "AvailabilityZone": "us-east-1b"}},
		"Balancer": {"Type": "AWS::ElasticLoadBalancingV2::LoadBalancer", "Properties": {"Scheme": "internal", "Subnets": [{"Ref": "A"}, {"Ref": "B"}]}},
		"Origin": {"Type": "AWS::CloudFront::VpcOrigin", "Properties": {"VpcOriginEndpointConfig": {"Name": "balancer", "Arn": {"Ref": "Balancer"}, "HTTPPort": PORT, "OriginProtocolPolicy": "http-only"}}},
		"Distribution": {"Type": "AWS::CloudFront::Distribution", "Properties": {"DistributionConfig": {"Enabled": ENABLED,
			"Origins": [{"Id": "api", "DomainName": {"Fn::GetAtt": ["Balancer", "DNSName"]}, "VpcOriginConfig": {"VpcOriginId": {"Fn::GetAtt": ["Origin", "Id"]}, "OriginReadTimeout": 60}}],
			"DefaultCacheBehavior": {"TargetOriginId": "api", "ViewerProtocolPolicy": "https-only", "CachePolicyId": "4135ea2d-6df8-44a3-9df3-4b5a84be39ad"}}}}},
		"Outputs": {"Origin": {"Value": {"Ref": "Origin"}}, "Balancer": {"Value": {"Ref": "Balancer"}}, "Distribution": {"Value": {"Ref": "Distribution"}}, "Arn": {"Value": {"Fn::GetAtt": ["Origin", "Arn"]}}}}`)
	}
	deploy := deploying(t, cfn, "origin")
	if status, reason := deploy(cfntypes.ChangeSetTypeCreate, template("80", "true")); status != "CREATE_COMPLETE" {
		t.Fatal(status, reason)
	}
	made := outputs(t, cfn, "origin")
	origin := func() (string, string) {
		body, resp := ask(t, a, http.MethodGet, "cloudfront", "/2020-05-31/vpc-origin/"+made["Origin"], "")
		return body, resp.Header.Get("ETag")
	}
	if got, _ := origin(); !strings.Contains(got, "<Arn>"+made["Arn"]+"<") || !strings.Contains(got, "<Arn>"+made["Balancer"]+"<") || !strings.Contains(got, "<HTTPPort>80<") {
		t.Errorf("origin %s", got)
	}
	if got, _ := ask(t, a, http.MethodGet, "cloudfront", "/2020-05-31/distribution/"+made["Distribution"]+"/config", ""); !strings.Contains(got, "<VpcOriginId>"+made["Origin"]+"<") {
		t.Errorf("distribution %s", got)
	}
	if got, _ := ask(t, a, http.MethodGet, "cloudfront", "/2020-05-31/vpc-origin", ""); strings.Count(got, "<Arn>") != 1 || !strings.Contains(got, "<OriginEndpointArn>"+made["Balancer"]+"<") {
		t.Errorf("list of origins %s", got)
	}
	if status, reason := deploy(cfntypes.ChangeSetTypeUpdate, template("8080", "false")); status != "UPDATE_COMPLETE" {
		t.Fatal(status, reason)
	}
	got, version := origin()
	if !strings.Contains(got, "<HTTPPort>8080<") {
		t.Errorf("changed origin %s", got)
	}
	if body, resp := ask(t, a, http.MethodDelete, "cloudfront", "/2020-05-31/vpc-origin/"+made["Origin"], "", "If-Match", version); resp.StatusCode != http.StatusConflict {
		t.Errorf("deleting an origin in use: %s %s", resp.Status, body)
	}
	if left := destroy("origin"); left != "" {
		t.Error(left)
	}
}

package model

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

func TestDistribution(t *testing.T) {
	m := read(t, `
		"Lb": {"Type": "AWS::ElasticLoadBalancingV2::LoadBalancer"},
		"Api": {"Type": "AWS::ApiGateway::RestApi"},
		"FilesF9C4F2D1": {"Type": "AWS::S3::Bucket"},
		"Policy": {"Type": "AWS::S3::BucketPolicy", "Properties": {"Bucket": {"Ref": "FilesF9C4F2D1"}, "PolicyDocument": {"Statement": [
			{"Effect": "Deny", "Action": "s3:*", "Principal": {"AWS": "*"}, "Resource": "*", "Condition": {"Bool": {"aws:SecureTransport": "false"}}},
			{"Effect": "Allow", "Action": "s3:GetObject", "Principal": {"Service": "cloudfront.amazonaws.com"}, "Resource": "*", "Condition": {"StringEquals": {"AWS:SourceArn": {"Fn::Join": ["", ["arn:aws:cloudfront::1:distribution/", {"Ref": "Page"}]]}}}}]}}},
		"Oac": {"Type": "AWS::CloudFront::OriginAccessControl", "Properties": {"OriginAccessControlConfig": {"Name": "oac", "OriginAccessControlOriginType": "s3", "SigningBehavior": "always", "SigningProtocol": "sigv4"}}},
		"Way": {"Type": "AWS::CloudFront::VpcOrigin", "Properties": {"VpcOriginEndpointConfig": {"Name": "way", "Arn": {"Ref": "Lb"}, "OriginProtocolPolicy": "http-only"}}},
		"Function": {"Type": "AWS::CloudFront::Function", "Properties": {"Name": "f", "AutoPublish": true, "FunctionCode": "function handler(e) { return e.request }", "FunctionConfig": {"Comment": "", "Runtime": "cloudfront-js-2.0"}}},
		"Headers": {"Type": "AWS::CloudFront::ResponseHeadersPolicy", "Properties": {"ResponseHeadersPolicyConfig": {"Name": "h", "RemoveHeadersConfig": {"Items": [{"Header": "Server"}]},
			"CustomHeadersConfig": {"Items": [{"Header": "X-Custom", "Value": "1", "Override": false}]},
			"SecurityHeadersConfig": {"StrictTransportSecurity": {"AccessControlMaxAgeSec": 60, "IncludeSubdomains": true, "Override": true}, "XSSProtection": {"Protection": true, "ModeBlock": true, "Override": true}}}}},
		"Keep": {"Type": "AWS::CloudFront::CachePolicy", "Properties": {"CachePolicyConfig": {"Name": "k", "MinTTL": 0, "DefaultTTL": 5, "MaxTTL": 60, "ParametersInCacheKeyAndForwardedToOrigin": {
			"EnableAcceptEncodingGzip": true, "HeadersConfig": {"HeaderBehavior": "none"}, "CookiesConfig": {"CookieBehavior": "none"}, "QueryStringsConfig": {"QueryStringBehavior": "whitelist", "QueryStrings": ["limit"]}}}}},
		"Page": {"Type": "AWS::CloudFront::Distribution", "Properties": {"DistributionConfig": {"Enabled": true, "DefaultRootObject": "index.html", "PriceClass": "PriceClass_100",
			"CustomErrorResponses": [{"ErrorCode": 404, "ErrorCachingMinTTL": 0}, {"ErrorCode": 500}],
			"DefaultCacheBehavior": {"TargetOriginId": "files", "ViewerProtocolPolicy": "redirect-to-https", "Compress": true, "CachePolicyId": "658327ea-f89d-4fab-a63d-7e88639e58f6", "ResponseHeadersPolicyId": {"Ref": "Headers"},
				"FunctionAssociations": [{"EventType": "viewer-request", "FunctionARN": {"Fn::GetAtt": ["Function", "FunctionARN"]}}]},
			"CacheBehaviors": [
				{"PathPattern": "api*", "TargetOriginId": "api", "ViewerProtocolPolicy": "https-only", "AllowedMethods": ["GET", "HEAD", "POST"], "CachePolicyId": {"Ref": "Keep"}, "OriginRequestPolicyId": "b689b0a8-53d0-40ab-baf2-68738e2966ac"},
				{"PathPattern": "*.png", "TargetOriginId": "way", "ViewerProtocolPolicy": "allow-all", "CachePolicyId": "2e54312d-136d-493c-8eb9-b001f22f67d2"}],
			"Origins": [
				{"Id": "files", "DomainName": {"Fn::GetAtt": ["FilesF9C4F2D1", "RegionalDomainName"]}, "OriginPath": "/abc", "OriginAccessControlId": {"Fn::GetAtt": ["Oac", "Id"]}, "S3OriginConfig": {"OriginAccessIdentity": ""}},
				{"Id": "api", "DomainName": {"Fn::Join": ["", [{"Ref": "Api"}, ".execute-api.eu-west-1.amazonaws.com"]]}, "OriginPath": "/live", "CustomOriginConfig": {"OriginProtocolPolicy": "https-only"}, "OriginCustomHeaders": [{"HeaderName": "X-Secret", "HeaderValue": "{{resolve:ssm:/x}}"}]},
				{"Id": "way", "DomainName": {"Fn::GetAtt": ["Lb", "DNSName"]}, "VpcOriginConfig": {"VpcOriginId": {"Fn::GetAtt": ["Way", "Id"]}}}]}}}`)
	d := m.Distributions[0]
	for i, want := range []string{"/api* api", "*.png way", "* files"} {
		if got := d.Behaviors[i].Pattern + " " + d.Behaviors[i].Origin.ID; !strings.HasPrefix(want, got) {
			t.Errorf("behavior %d is %s, want %s", i, got, want)
		}
	}
	files, api, way := d.Origins[0], d.Origins[1], d.Origins[2]
	reads, lists := m.Reads(d, files)
	page := d.Behaviors[2]
	for what, got := range map[string]string{
		"bucket":       fmt.Sprint(files.Bucket.Name, files.Path.Value, files.Attempts, files.Protocol == "", reads, lists),
		"api":          fmt.Sprint(api.API.Resource.LogicalID, api.Path.Value, api.Headers[0].Name, api.HTTPSPort, api.ReadTimeout),
		"vpc":          fmt.Sprint(way.LoadBalancer == m.LoadBalancers[0], way.Protocol),
		"optimized":    fmt.Sprint(page.CachePolicy.MinTTL, page.CachePolicy.Keeps(), page.CachePolicy.AcceptBrotli, page.Methods),
		"own policy":   fmt.Sprint(d.Behaviors[0].CachePolicy.TTL, d.Behaviors[0].CachePolicy.Query, d.Behaviors[0].OriginRequestPolicy.Name),
		"headers":      fmt.Sprint(page.ResponseHeadersPolicy.Removed, page.ResponseHeadersPolicy.Headers[0].Value, " ", page.ResponseHeadersPolicy.Headers[1].Value, " ", page.ResponseHeadersPolicy.Headers[2].Name),
		"function":     page.ViewerRequest.Code.Value,
		"errors":       fmt.Sprint(d.ErrorResponses[0].TTL, d.ErrorResponses[1].TTL == 10*time.Second),
		"unknown":      fmt.Sprint(d.Behaviors[1].CachePolicy == nil, d.Problem()),
		"its setting":  d.Settings[0].Name,
		"restrictions": d.GeoRestriction,
	} {
		want := map[string]string{
			"bucket": "Files/abc3 true true false", "api": "Api/liveX-Secret443 30s", "vpc": "truehttp-only", "optimized": "1s true true [GET HEAD]",
			"own policy": "5s {whitelist [limit]}AllViewerExceptHostHeader", "headers": "[Server]max-age=60; includeSubDomains 1; mode=block X-Custom",
			"function": "function handler(e) { return e.request }", "errors": "0s true", "its setting": "PriceClass", "restrictions": "none",
			"unknown": `true S/Page/Properties.DistributionConfig.CacheBehaviors[1].CachePolicyId: "2e54312d-136d-493c-8eb9-b001f22f67d2" is no policy of the assembly, and none of the policies of AWS that are known here`,
		}[what]
		if got != want {
			t.Errorf("%s: %s, want %s", what, got, want)
		}
	}
}

// A bucket is read by what its policy admits.
func TestReads(t *testing.T) {
	const read1 = `{"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*", "Principal": {"Service": "cloudfront.amazonaws.com"}`
	for statement, want := range map[string]string{
		`{}`:        "false false",
		read1 + `}`: "true false",
		`{"Effect": "Allow", "Action": ["s3:GetObject", "s3:ListBucket"], "Resource": "*", "Principal": "*"}`: "true true",
		`{"Effect": "Allow", "Action": "s3:*", "Resource": "*", "Principal": {"AWS": "arn:aws:iam::1:root"}}`: "false false",
		read1 + `, "Condition": {"StringEquals": {"AWS:SourceArn": "arn:aws:cloudfront::1:distribution/X"}}}`: "false false",
		read1 + `, "Condition": {"StringEquals": {"aws:sourceVpc": "vpc-1"}}}`:                                "false false",
	} {
		m := readModel(t, statement)
		reads, lists := m.Reads(m.Distributions[0], m.Distributions[0].Origins[0])
		if got := fmt.Sprint(reads, lists); got != want {
			t.Errorf("%s: %s, want %s", statement, got, want)
		}
	}
}

func readModel(t *testing.T, statement string) *Model {
	return read(t, `"B": {"Type": "AWS::S3::Bucket"}, "P": {"Type": "AWS::S3::BucketPolicy", "Properties": {"Bucket": {"Ref": "B"}, "PolicyDocument": {"Statement": [`+statement+`]}}},
		"O": {"Type": "AWS::CloudFront::OriginAccessControl", "Properties": {"OriginAccessControlConfig": {"Name": "o", "OriginAccessControlOriginType": "s3", "SigningBehavior": "always", "SigningProtocol": "sigv4"}}},
		"D": {"Type": "AWS::CloudFront::Distribution", "Properties": {"DistributionConfig": {"Enabled": true, "DefaultCacheBehavior": {"TargetOriginId": "b", "ViewerProtocolPolicy": "https-only"},
			"Origins": [{"Id": "b", "DomainName": {"Fn::GetAtt": ["B", "RegionalDomainName"]}, "OriginAccessControlId": {"Fn::GetAtt": ["O", "Id"]}}]}}}`)
}

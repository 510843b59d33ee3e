package cloudfront

import (
	"fmt"
	"strings"
	"testing"
)

// What is not honoured is refused by its name and place.
func TestRefused(t *testing.T) {
	const d = `"Enabled": true, "Comment": "page"`
	const behavior = `{"PathPattern": "/api/kept*", "TargetOriginId": "way",`
	config := func(more string) change { return change{d, d + ", " + more} }
	of := func(more string) change { return change{behavior, behavior + " " + more + ","} }
	for i, c := range []struct {
		change change
		want   string
	}{
		{of(`"LambdaFunctionAssociations": [{"EventType": "viewer-request", "LambdaFunctionARN": "arn"}]`), "Lambda@Edge does not run here: use a function of CloudFront"},
		{of(`"TrustedKeyGroups": ["k"]`), "signed URLs and cookies are not checked here"},
		{of(`"FieldLevelEncryptionId": "x"`), "no field is encrypted here"},
		{of(`"SmoothStreaming": true`), "only false is known here"},
		{config(`"OriginGroups": {"Quantity": 1, "Items": []}`), "OriginGroups: it is not honoured: no second origin is asked here"},
		{config(`"Restrictions": {"GeoRestriction": {"RestrictionType": "whitelist", "Locations": ["DE"]}}`), `RestrictionType: "whitelist" is not honoured: the country of a viewer is not known here`},
		{config(`"ContinuousDeploymentPolicyId": "x"`), "no part of the requests goes to a second distribution here"},
		{config(`"Strange": 1`), "Strange: not honoured: what it does is not known here"},
		{change{`"FunctionConfig": {"Comment": "routes",`, `"FunctionConfig": {"Comment": "routes", "KeyValueStoreAssociations": [{"KeyValueStoreARN": "arn"}],`}, "there is no key value store here"},
		{change{`"AutoPublish": true`, `"AutoPublish": false`}, `AutoPublish: "false" is not honoured: a distribution runs what is published`},
		{change{`"Runtime": "cloudfront-js-2.0"`, `"Runtime": "cloudfront-js-3.0"`}, "only cloudfront-js-1.0, cloudfront-js-2.0 is known here"},
		{change{`"FunctionCode": "function`, `"FunctionCode": "import cf from 'cloudfront';\nfunction`}, `the module "cloudfront" is not here`},
		{change{`"Id": "files", `, `"Id": "files", "OriginShield": {"Enabled": true, "OriginShieldRegion": "eu-west-1"}, `}, "OriginShield.Enabled: true is not honoured: there is one cache here"},
		{change{`"DomainName": {"Fn::GetStackOutput": {"StackName": "Routing", "OutputName": "PublishOutputRefDns"}}`, `"DomainName": "example.com"`}, ""},
		{change{`{"Fn::GetAtt": ["PageA98A310E", "RegionalDomainName"]}`, `"bucket.s3.amazonaws.com"`}, "Origins[0].DomainName: bucket.s3.amazonaws.com does not answer here"},
		{change{`"OriginPath": "/live"`, `"OriginPath": "/other"`}, `Origins[1].OriginPath: "/other" does not begin with the name of a stage of Routing/Api`},
		{change{`"OriginProtocolPolicy": "http-only"`, `"OriginProtocolPolicy": "https-only"`}, "Origins[2]: CloudFront asks Routing/Lb by HTTPS at port 443, and the load balancer has no such listener"},
		{change{`"CachePolicyId": {"Ref": "Keep"}`, `"ForwardedValues": {"QueryString": true}`}, "CacheBehaviors[0].CachePolicyId: it is missing: give the behavior a cache policy"},
		{change{`"HeaderBehavior": "none"`, `"HeaderBehavior": "whitelist", "Headers": ["CloudFront-Viewer-Country"]`}, "the header CloudFront-Viewer-Country is not honoured"},
		{change{`"SecurityHeadersConfig": {`, `"CorsConfig": {"AccessControlAllowOrigins": {"Items": ["*"]}}, "SecurityHeadersConfig": {`}, "CorsConfig: it is not honoured: no header depends on the Origin"},
		{change{`"AllowedMethods": ["GET", "HEAD", "OPTIONS", "PUT", "PATCH", "POST", "DELETE"]`, `"AllowedMethods": ["GET", "POST"]`}, "AWS refuses GET POST"},
		{change{`"OriginRequestPolicyId": "b689b0a8-53d0-40ab-baf2-68738e2966ac"`, `"OriginRequestPolicyId": "216adef6-5c7f-47e4-b989-5492eafa07d3"`}, "CacheBehaviors[1]: the origin api gets the Host of the viewer, and AWS would answer 403"},
		{change{`"CachePolicyId": "658327ea-f89d-4fab-a63d-7e88639e58f6"`, `"CachePolicyId": "83da9c7e-98b4-4e11-a168-04f0df8e2c65"`}, "DefaultCacheBehavior: the origin files gets the Host of the viewer"},
		{change{`"PathPattern": "/api/v1*"`, `"PathPattern": "/api*"`}, "AWS refuses a second behavior with the pattern /api*"},
		{change{`"DefaultRootObject": "index.html"`, `"DefaultRootObject": "/index.html"`}, "begins with a slash"},
		{change{`"SourceObjectKeys": ["page.zip"]`, `"SourceObjectKeys": ["other.zip"]`}, "Ui/FilesCustomResource4432EA58/Properties.SourceObjectKeys[0]: the object is no asset of the assembly"},
		{change{`"Prune": false`, `"Prune": false, "Exclude": ["*.md"]`}, "all files of a source are copied here"},
		{change{`"SigningBehavior": "always"`, `"SigningBehavior": "always", "Description": ""`}, ""},
		{change{`"OriginAccessControlOriginType": "s3"`, `"OriginAccessControlOriginType": "lambda"`}, "only buckets are signed for here"},
	} {
		next := New(Options{Free: true, Balancers: place(0), APIs: func(string) int { return 0 }}).Plan(read(t, c.change), fill).(*plan)
		err := next.Check()
		if closing := next.Close(); closing != nil {
			t.Error(closing)
		}
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%d, %s: %v, want %q", i, c.change.to, err, c.want)
		}
		if _, err := Fronts(next.model); c.want != "" && err == nil {
			t.Errorf("%d, %s: routes are told", i, c.change.to)
		}
	}
}

func TestPassedOver(t *testing.T) {
	const d = `"Enabled": true, "Comment": "page"`
	next := New(Options{}).Plan(read(t, change{d, d + `, "Logging": {"Bucket": "b", "Prefix": ""}, "WebACLId": "arn", "ViewerCertificate": {"AcmCertificateArn": "arn", "SslSupportMethod": "sni-only"}`}), fill).(*plan)
	if err := next.honoured(); err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, over := range next.PassedOver() {
		all = append(all, strings.TrimPrefix(over.Place, "Ui/Distribution830FAC52/Properties.DistributionConfig."))
	}
	if got, want := fmt.Sprint(all), "[Logging PriceClass ViewerCertificate WebACLId CacheBehaviors[0].ViewerProtocolPolicy CacheBehaviors[1].ViewerProtocolPolicy CacheBehaviors[2].ViewerProtocolPolicy DefaultCacheBehavior.ViewerProtocolPolicy]"; got != want {
		t.Errorf("passed over are %s, want %s", got, want)
	}
}

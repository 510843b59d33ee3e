package stacks

import (
	"crypto/sha256"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awscertificatemanager"
	"github.com/aws/aws-cdk-go/awscdk/v2/awscloudfront"
	"github.com/aws/aws-cdk-go/awscdk/v2/awscloudfrontorigins"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsroute53"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsroute53targets"
	"github.com/aws/aws-cdk-go/awscdk/v2/awss3"
	"github.com/aws/aws-cdk-go/awscdk/v2/awss3assets"
	"github.com/aws/aws-cdk-go/awscdk/v2/awss3deployment"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"

	"cutover/config"
	"cutover/migration"
)

// pageDir has the files of the page, from the root of the repository.
const pageDir = "web"

// errorCodes are the statuses that CloudFront would keep for 10 s if nothing else is said
// (https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/HTTPStatusCodes.html).
var errorCodes = []float64{400, 403, 404, 405, 414, 416, 500, 501, 502, 503, 504}

// UI is the stack of the page.
type UI struct {
	Stack        awscdk.Stack
	Distribution awscloudfront.Distribution
}

// NewUI adds the stack of the page and of CloudFront before it and the API, if the setting ui asks for it.
func NewUI(scope constructs.Construct, s config.Settings, d config.Deployment, on needs, front *Front) (*UI, error) {
	if !s.UI {
		return nil, nil
	}
	digest, names, err := readPage(filepath.Join(root(), pageDir))
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		for _, pattern := range d.UIPatterns() {
			if migration.Covers(pattern, "/"+name) {
				return nil, fmt.Errorf("ui: a browser never gets %s/%s: CloudFront sends /%s to the API, by the path %q: rename the file", pageDir, name, name, pattern)
			}
		}
	}
	stack := newStack(scope, s, uiStack, "The page, and CloudFront before it and the API", nil)
	on.afterGates(stack)
	bucket := awss3.NewBucket(stack, jsii.String("Page"), &awss3.BucketProps{
		BlockPublicAccess: awss3.BlockPublicAccess_BLOCK_ALL(),
		ObjectOwnership:   awss3.ObjectOwnership_BUCKET_OWNER_ENFORCED,
		Encryption:        awss3.BucketEncryption_S3_MANAGED,
		EnforceSSL:        jsii.Bool(true),
		MinimumTLSVersion: jsii.Number(1.2),
		// CloudFormation cannot delete a bucket with files.
		RemovalPolicy: awscdk.RemovalPolicy_RETAIN,
	})
	suppress(bucket, suppression{rule: "AwsSolutions-S1", reason: "CloudFront alone reads the bucket, and keeps the access logs"})
	version := digest[:16]
	files := awss3deployment.NewBucketDeployment(stack, jsii.String("Files"), &awss3deployment.BucketDeploymentProps{
		DestinationBucket: bucket, DestinationKeyPrefix: jsii.String(version),
		Sources: &[]awss3deployment.ISource{awss3deployment.Source_Asset(jsii.String(filepath.Join(root(), pageDir)),
			&awss3assets.AssetOptions{AssetHash: jsii.String(digest), AssetHashType: awscdk.AssetHashType_CUSTOM})},
		// The files of the version before stay, for requests on their way, and for the way back.
		Prune:        jsii.Bool(false),
		CacheControl: &[]awss3deployment.CacheControl{awss3deployment.CacheControl_NoCache()},
		LogGroup:     newLogGroup(stack, "FilesLog", s, nil),
	})
	suppressUpload(stack)

	page := pageBehavior(stack, s, d, bucket, version)
	behaviors := map[string]*awscloudfront.BehaviorOptions{}
	origin := apiOrigin(stack, s, on.routings[0], front)
	for _, pattern := range d.UIPatterns() {
		behaviors[pattern] = &awscloudfront.BehaviorOptions{
			Origin: origin, ViewerProtocolPolicy: awscloudfront.ViewerProtocolPolicy_REDIRECT_TO_HTTPS,
			AllowedMethods: awscloudfront.AllowedMethods_ALLOW_ALL(), Compress: jsii.Bool(false),
			CachePolicy:         awscloudfront.CachePolicy_CACHING_DISABLED(),
			OriginRequestPolicy: awscloudfront.OriginRequestPolicy_ALL_VIEWER_EXCEPT_HOST_HEADER(),
		}
	}
	comment := "Page and API of " + s.Env
	if s.AsksOrigin() {
		// Another text has CloudFormation read the secret again, whenever directAccess changes.
		comment += ", which is reached by no other way"
	}
	props := &awscloudfront.DistributionProps{
		Comment: jsii.String(comment), DefaultBehavior: page, AdditionalBehaviors: &behaviors, DefaultRootObject: jsii.String("index.html"),
		HttpVersion: awscloudfront.HttpVersion_HTTP2_AND_3, EnableIpv6: jsii.Bool(true),
	}
	errors := []*awscloudfront.ErrorResponse{}
	for _, code := range errorCodes {
		errors = append(errors, &awscloudfront.ErrorResponse{HttpStatus: jsii.Number(code), Ttl: awscdk.Duration_Seconds(jsii.Number(0))})
	}
	props.ErrorResponses = &errors
	if s.AccessLogs {
		props.EnableLogging, props.LogBucket = jsii.Bool(true), distributionLogs(stack, s)
	}
	if s.UIDomain != "" {
		props.DomainNames = jsii.Strings(s.UIDomain)
		props.MinimumProtocolVersion = awscloudfront.SecurityPolicyProtocol_TLS_V1_2_2025
		props.Certificate = awscertificatemanager.Certificate_FromCertificateArn(stack, jsii.String("Certificate"), jsii.String(s.UICertificateARN))
	}
	distribution := awscloudfront.NewDistribution(stack, jsii.String("Distribution"), props)
	distribution.Node().AddDependency(files) // a version is there before a request for it
	suppress(distribution, unmet(s)...)
	address := pageAddress(stack, s, distribution)
	output(stack, "UiUrl", "Where the page is", awscdk.Fn_Join(jsii.String(""), &[]*string{jsii.String("https://"), address}))
	watchDistribution(stack, s, distribution, on.routings[0].Alarms)
	return &UI{stack, distribution}, nil
}

// pageBehavior is what CloudFront does with the requests for the page.
func pageBehavior(stack awscdk.Stack, s config.Settings, d config.Deployment, bucket awss3.IBucket, version string) *awscloudfront.BehaviorOptions {
	return &awscloudfront.BehaviorOptions{
		Origin: awscloudfrontorigins.S3BucketOrigin_WithOriginAccessControl(bucket, &awscloudfrontorigins.S3BucketOriginWithOACProps{
			OriginPath: jsii.String("/" + version), OriginAccessLevels: &[]awscloudfront.AccessLevel{awscloudfront.AccessLevel_READ},
		}),
		ViewerProtocolPolicy: awscloudfront.ViewerProtocolPolicy_REDIRECT_TO_HTTPS,
		Compress:             jsii.Bool(true),
		// The path of a file is the same in each version, so each is asked for again.
		CachePolicy: awscloudfront.NewCachePolicy(stack, jsii.String("Revalidate"), &awscloudfront.CachePolicyProps{
			MinTtl: awscdk.Duration_Seconds(jsii.Number(0)), DefaultTtl: awscdk.Duration_Seconds(jsii.Number(0)), MaxTtl: awscdk.Duration_Days(jsii.Number(1)),
			EnableAcceptEncodingGzip: jsii.Bool(true), EnableAcceptEncodingBrotli: jsii.Bool(true),
		}),
		ResponseHeadersPolicy: securityHeaders(stack),
		FunctionAssociations: &[]*awscloudfront.FunctionAssociation{{
			EventType: awscloudfront.FunctionEventType_VIEWER_REQUEST,
			Function: awscloudfront.NewFunction(stack, jsii.String("Routes"), &awscloudfront.FunctionProps{
				Comment: jsii.String("The page's own routes, and what is deployed"), Code: awscloudfront.FunctionCode_FromInline(jsii.String(d.PageFunction(s))),
				Runtime: awscloudfront.FunctionRuntime_JS_2_0(),
			}),
		}},
	}
}

// unmet are the rules that a distribution does not meet, and why.
func unmet(s config.Settings) []suppression {
	suppressions := []suppression{
		{rule: "AwsSolutions-CFR1", reason: "The API is for all countries"},
		{rule: "AwsSolutions-CFR2", reason: "A web ACL of CloudFront exists in us-east-1 alone. The setting waf puts one before the REST API"},
	}
	if !s.AccessLogs {
		suppressions = append(suppressions, suppression{rule: "AwsSolutions-CFR3", reason: "The services log every request. The setting accessLogs adds CloudFront's own lines, for what it costs to keep them"})
	}
	if s.UIDomain == "" {
		suppressions = append(suppressions, suppression{rule: "AwsSolutions-CFR4", reason: "CloudFront's own name has CloudFront's own certificate, and no choice of TLS. The setting uiDomain has"})
	}
	return suppressions
}

// pageAddress is the DNS name of the page. The domain of the settings leads to the distribution.
func pageAddress(stack awscdk.Stack, s config.Settings, distribution awscloudfront.Distribution) *string {
	if s.UIDomain == "" {
		return distribution.DistributionDomainName()
	}
	target := awsroute53.RecordTarget_FromAlias(awsroute53targets.NewCloudFrontTarget(distribution))
	zone := awsroute53.HostedZone_FromHostedZoneAttributes(stack, jsii.String("Zone"), &awsroute53.HostedZoneAttributes{
		HostedZoneId: jsii.String(s.UIHostedZoneID), ZoneName: jsii.String(s.UIDomain),
	})
	awsroute53.NewARecord(stack, jsii.String("Address"), &awsroute53.ARecordProps{Zone: zone, RecordName: jsii.String(s.UIDomain + "."), Target: target})
	awsroute53.NewAaaaRecord(stack, jsii.String("AddressV6"), &awsroute53.AaaaRecordProps{Zone: zone, RecordName: jsii.String(s.UIDomain + "."), Target: target})
	return jsii.String(s.UIDomain)
}

// apiOrigin is where CloudFront sends the requests for the API.
func apiOrigin(stack awscdk.Stack, s config.Settings, routing *Routing, front *Front) awscloudfront.IOrigin {
	// CloudFront waits longer than those behind it: API Gateway for 29 s, the load balancer for 60 s of silence.
	read, idle := awscdk.Duration_Seconds(jsii.Number(60)), awscdk.Duration_Seconds(jsii.Number(5))
	switch {
	case front != nil:
		return awscloudfrontorigins.NewHttpOrigin(front.host(), &awscloudfrontorigins.HttpOriginProps{
			OriginPath: jsii.String("/" + StageName), ProtocolPolicy: awscloudfront.OriginProtocolPolicy_HTTPS_ONLY,
			OriginSslProtocols: &[]awscloudfront.OriginSslPolicy{awscloudfront.OriginSslPolicy_TLS_V1_2}, ReadTimeout: read, KeepaliveTimeout: idle,
		})
	case s.Internal:
		props := &awscloudfrontorigins.VpcOriginWithEndpointProps{
			ProtocolPolicy: awscloudfront.OriginProtocolPolicy_HTTP_ONLY, ReadTimeout: read, KeepaliveTimeout: idle, VpcOriginName: jsii.String(s.Name(s.Env)),
		}
		if s.CertificateARN != "" {
			props.ProtocolPolicy, props.OriginSslProtocols = awscloudfront.OriginProtocolPolicy_HTTPS_ONLY, &[]awscloudfront.OriginSslPolicy{awscloudfront.OriginSslPolicy_TLS_V1_2}
			props.DomainName = jsii.String(s.Domain)
		}
		return awscloudfrontorigins.VpcOrigin_WithApplicationLoadBalancer(routing.Balancer, props)
	}
	return awscloudfrontorigins.NewHttpOrigin(jsii.String(s.Domain), &awscloudfrontorigins.HttpOriginProps{
		ProtocolPolicy: awscloudfront.OriginProtocolPolicy_HTTPS_ONLY, OriginSslProtocols: &[]awscloudfront.OriginSslPolicy{awscloudfront.OriginSslPolicy_TLS_V1_2},
		ReadTimeout: read, KeepaliveTimeout: idle,
		CustomHeaders: &map[string]*string{config.OriginHeader: routing.OriginSecret.SecretValue().UnsafeUnwrap()},
	})
}

// securityHeaders are what browsers are told about the page. Answers of the API stay as they are.
func securityHeaders(stack awscdk.Stack) awscloudfront.ResponseHeadersPolicy {
	return awscloudfront.NewResponseHeadersPolicy(stack, jsii.String("SecurityHeaders"), &awscloudfront.ResponseHeadersPolicyProps{
		Comment: jsii.String("What browsers are told about the page"),
		SecurityHeadersBehavior: &awscloudfront.ResponseSecurityHeadersBehavior{
			ContentSecurityPolicy:   &awscloudfront.ResponseHeadersContentSecurityPolicy{ContentSecurityPolicy: jsii.String(config.ContentSecurityPolicy), Override: jsii.Bool(true)},
			ContentTypeOptions:      &awscloudfront.ResponseHeadersContentTypeOptions{Override: jsii.Bool(true)},
			FrameOptions:            &awscloudfront.ResponseHeadersFrameOptions{FrameOption: awscloudfront.HeadersFrameOption_DENY, Override: jsii.Bool(true)},
			ReferrerPolicy:          &awscloudfront.ResponseHeadersReferrerPolicy{ReferrerPolicy: awscloudfront.HeadersReferrerPolicy_SAME_ORIGIN, Override: jsii.Bool(true)},
			StrictTransportSecurity: &awscloudfront.ResponseHeadersStrictTransportSecurity{AccessControlMaxAge: awscdk.Duration_Days(jsii.Number(365)), Override: jsii.Bool(true)},
		},
	})
}

// distributionLogs is the bucket of CloudFront's access logs, which needs access control lists
// (https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/standard-logging-legacy-s3.html).
func distributionLogs(stack awscdk.Stack, s config.Settings) awss3.Bucket {
	bucket := newLogBucket(stack, s, awss3.ObjectOwnership_BUCKET_OWNER_PREFERRED)
	suppress(bucket, suppression{rule: "AwsSolutions-S1", reason: "The bucket holds access logs: logs of their writing would call for logs in turn"})
	return bucket
}

// suppressUpload says why the function that uploads the page may do what it does.
func suppressUpload(stack awscdk.Stack) {
	const reason = "CDK's own function uploads the page, when it is deployed and at no other time: it reads the bucket of CDK's assets, and writes to the page's bucket"
	for _, child := range *stack.Node().FindAll(constructs.ConstructOrder_PREORDER) {
		cfn, is := child.(awscdk.CfnResource)
		if !is {
			continue
		}
		switch *cfn.CfnResourceType() {
		case "AWS::IAM::Policy":
			suppress(cfn, suppression{rule: "AwsSolutions-IAM5", reason: reason})
		case "AWS::IAM::Role":
			suppress(cfn, suppression{rule: "AwsSolutions-IAM4", reason: reason})
		case "AWS::Lambda::Function":
			suppress(cfn, suppression{rule: "AwsSolutions-L1", reason: "CDK chooses the runtime of its own function"})
		}
	}
}

// readPage returns the SHA-256 of the page's files and their names, which is the same on every machine, and the names.
func readPage(dir string) (digest string, names []string, err error) {
	hash := sha256.New()
	err = filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		names = append(names, filepath.ToSlash(name))
		fmt.Fprintf(hash, "%q %d\n", filepath.ToSlash(name), len(text))
		hash.Write(text)
		return nil
	})
	if err == nil && !slices.Contains(names, "index.html") {
		err = fmt.Errorf("%s has no index.html", dir)
	}
	if err != nil {
		return "", nil, fmt.Errorf("ui: cannot read the page: %w", err)
	}
	return fmt.Sprintf("%x", hash.Sum(nil)), names, nil
}

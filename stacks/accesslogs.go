package stacks

import (
	"github.com/aws/aws-cdk-go/awscdk/v2"
	elb "github.com/aws/aws-cdk-go/awscdk/v2/awselasticloadbalancingv2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/aws-cdk-go/awscdk/v2/awss3"
	"github.com/aws/jsii-runtime-go"

	"cutover/config"
)

// logDelivery writes the access logs of Application Load Balancers
// (https://docs.aws.amazon.com/elasticloadbalancing/latest/application/enable-access-logging.html).
const logDelivery = "logdelivery.elasticloadbalancing.amazonaws.com"

// keepAccessLogs makes the load balancer write a line for every request to a bucket of its own, or to one that exists.
//
// The construct's LogAccessLogs needs to know the region, for in older regions it
// admits an AWS account instead of the service. AWS recommends the service, which
// works in all regions. So this template fits every region.
func keepAccessLogs(stack awscdk.Stack, s config.Settings, balancer elb.ApplicationLoadBalancer) {
	if s.AccessLogsBucket != "" {
		balancer.SetAttribute(jsii.String("access_logs.s3.enabled"), jsii.String("true"))
		balancer.SetAttribute(jsii.String("access_logs.s3.bucket"), jsii.String(s.AccessLogsBucket))
		return
	}
	bucket := newLogBucket(stack, s, awss3.ObjectOwnership_BUCKET_OWNER_ENFORCED)
	suppress(bucket, suppression{rule: "AwsSolutions-S1", reason: "The bucket holds access logs, which only the log delivery writes: logs of that writing would call for logs in turn"})

	bucket.AddToResourcePolicy(awsiam.NewPolicyStatement(&awsiam.PolicyStatementProps{
		Sid:        jsii.String("LogDelivery"),
		Principals: &[]awsiam.IPrincipal{awsiam.NewServicePrincipal(jsii.String(logDelivery), nil)},
		Actions:    jsii.Strings("s3:PutObject"),
		Resources:  &[]*string{bucket.ArnForObjects(jsii.String("AWSLogs/" + *stack.Account() + "/*"))},
	}))
	// Without this, a role of the account with access to every bucket could forge lines.
	bucket.AddToResourcePolicy(awsiam.NewPolicyStatement(&awsiam.PolicyStatementProps{
		Sid:        jsii.String("NobodyElseWrites"),
		Effect:     awsiam.Effect_DENY,
		Principals: &[]awsiam.IPrincipal{awsiam.NewAnyPrincipal()},
		Actions:    jsii.Strings("s3:PutObject"),
		Resources:  &[]*string{bucket.ArnForObjects(jsii.String("*"))},
		Conditions: &map[string]any{"StringNotEquals": map[string]any{"aws:PrincipalServiceName": logDelivery}},
	}))

	balancer.SetAttribute(jsii.String("access_logs.s3.enabled"), jsii.String("true"))
	balancer.SetAttribute(jsii.String("access_logs.s3.bucket"), bucket.BucketName())
	// The load balancer writes a test object at once.
	balancer.Node().AddDependency(bucket.Policy())
}

// newLogBucket adds a bucket of access logs.
func newLogBucket(stack awscdk.Stack, s config.Settings, ownership awss3.ObjectOwnership) awss3.Bucket {
	return awss3.NewBucket(stack, jsii.String("AccessLogs"), &awss3.BucketProps{
		BlockPublicAccess: awss3.BlockPublicAccess_BLOCK_ALL(),
		ObjectOwnership:   ownership,
		// Load balancers write only to buckets with S3's own keys.
		Encryption:        awss3.BucketEncryption_S3_MANAGED,
		EnforceSSL:        jsii.Bool(true),
		MinimumTLSVersion: jsii.Number(1.2),
		LifecycleRules: &[]*awss3.LifecycleRule{{
			Expiration:                          awscdk.Duration_Days(jsii.Number(s.LogRetentionDays)),
			AbortIncompleteMultipartUploadAfter: awscdk.Duration_Days(jsii.Number(1)),
		}},
		// CloudFormation cannot delete a bucket with lines, and the last lines come after
		// what writes them is gone.
		RemovalPolicy: awscdk.RemovalPolicy_RETAIN,
	})
}

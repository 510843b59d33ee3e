package stacks

import (
	"slices"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsecr"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"

	"cutover/config"
)

// NewRegistry adds the stack of the image repositories, one per service. It returns nil if all
// images are in other registries: CloudFormation takes no stack without resources.
func NewRegistry(scope constructs.Construct, d config.Deployment, s config.Settings) awscdk.Stack {
	if !slices.ContainsFunc(d.All(), config.Service.Repository) {
		return nil
	}
	stack := newStack(scope, s, registryStack, "Image repositories, one per service", nil)
	// Made once for all, for each object is a round trip to CDK's process.
	untaggedAge := awscdk.Duration_Days(jsii.Number(14))
	// The role's own policy covers only the bootstrap's repository. Within one account,
	// the repository's policy is enough.
	publish := awsiam.NewPolicyStatement(&awsiam.PolicyStatementProps{
		Sid:        jsii.String("PublishImages"),
		Principals: &[]awsiam.IPrincipal{awsiam.NewArnPrincipal(publishingRole(stack))},
		Actions: jsii.Strings(
			"ecr:BatchCheckLayerAvailability",
			"ecr:BatchGetImage",
			"ecr:CompleteLayerUpload",
			"ecr:DescribeImages",
			"ecr:DescribeRepositories",
			"ecr:GetDownloadUrlForLayer",
			"ecr:InitiateLayerUpload",
			"ecr:PutImage",
			"ecr:UploadLayerPart",
		),
	})
	for _, service := range d.All() {
		if !service.Repository() {
			continue
		}
		repository := awsecr.NewRepository(stack, jsii.String(config.Pascal(service.Name)), &awsecr.RepositoryProps{
			RepositoryName:     jsii.String(s.Name(service.Name)),
			ImageTagMutability: awsecr.TagMutability_IMMUTABLE,
			ImageScanOnPush:    jsii.Bool(true),
			RemovalPolicy:      removalPolicy(s),
			EmptyOnDelete:      jsii.Bool(!s.Retain),
			// Only images without a tag. A deployed image always has a tag, and tags cannot
			// move. So no image can expire that runs or is needed for a rollback.
			LifecycleRules: &[]*awsecr.LifecycleRule{{
				Description: jsii.String("Images that no tag names"),
				TagStatus:   awsecr.TagStatus_UNTAGGED,
				MaxImageAge: untaggedAge,
			}},
		})
		tagService(repository, service.Name)
		// ECR's default, written out for reviews: another key later would replace the repository.
		repository.Node().DefaultChild().(awsecr.CfnRepository).SetEncryptionConfiguration(
			&awsecr.CfnRepository_EncryptionConfigurationProperty{EncryptionType: jsii.String("AES256")})
		repository.AddToResourcePolicy(publish)
		if pair, is := pushedFunction(service); is {
			repository.AddToResourcePolicy(pulledByLambda(stack, s.Name(pair.Name)))
		}
		// A stack may have 200 outputs, which is enough for the services behind one load
		// balancer. The address is ACCOUNT.dkr.ecr.REGION.amazonaws.com and the name.
		if service.LoadBalancer == "" {
			output(stack, config.Pascal(service.Name)+"RepositoryUri", "Where the images of "+service.Name+" are pushed", repository.RepositoryUri())
		}
	}
	return stack
}

// pulledByLambda lets Lambda pull the image of a function
// (https://docs.aws.amazon.com/lambda/latest/dg/images-create.html#gettingstarted-images-permissions).
func pulledByLambda(stack awscdk.Stack, function string) awsiam.PolicyStatement {
	arn := *stack.FormatArn(&awscdk.ArnComponents{
		Service: jsii.String("lambda"), Resource: jsii.String("function"), ResourceName: jsii.String(function), ArnFormat: awscdk.ArnFormat_COLON_RESOURCE_NAME,
	})
	return awsiam.NewPolicyStatement(&awsiam.PolicyStatementProps{
		Sid:        jsii.String("RunFunction"),
		Principals: &[]awsiam.IPrincipal{awsiam.NewServicePrincipal(jsii.String("lambda.amazonaws.com"), nil)},
		Actions:    jsii.Strings("ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"),
		Conditions: &map[string]any{"StringLike": map[string]any{"aws:SourceArn": []string{arn, arn + ":*"}}},
	})
}

package isolation

import "strings"

// wholeResource has the actions that AWS offers no resource for. Their policies have to
// say "*". The text says what that comes to
// (https://docs.aws.amazon.com/service-authorization/latest/reference/reference_policies_actions-resources-contextkeys.html).
var wholeResource = map[string]string{
	"dynamodb:ListStreams":             "tells which streams there are",
	"ecr:GetAuthorizationToken":        "a registry login; which images it can pull is decided by the other actions",
	"ecs:DiscoverPollEndpoint":         "tells the ECS agent which address to poll",
	"ssmmessages:CreateControlChannel": "Session Manager's channel of the instance that asks",
	"ssmmessages:CreateDataChannel":    "Session Manager's channel of the instance that asks",
	"ssmmessages:OpenControlChannel":   "Session Manager's channel of the instance that asks",
	"ssmmessages:OpenDataChannel":      "Session Manager's channel of the instance that asks",
}

// partResource has the actions whose resource gets its id only when it exists.
var partResource = map[string]string{
	"ecs:Poll":                      "container instances have ids that ECS makes; the condition holds it to the cluster",
	"ecs:StartTelemetrySession":     "container instances have ids that ECS makes; the condition holds it to the cluster",
	"ssm:UpdateInstanceInformation": "instances have ids that EC2 makes",
	"logs:CreateLogStream":          "the streams of one log group",
	"logs:PutLogEvents":             "the streams of one log group",
	"logs:DescribeLogStreams":       "the streams of one log group",
}

// family has the actions with a wildcard for which AWS's documents name no narrower ones
// (https://docs.aws.amazon.com/sns/latest/dg/sns-key-management.html).
var family = map[string]string{
	"kms:GenerateDataKey*": "what SNS and SQS ask of a key, to encrypt a message",
}

// addedCharacters end the ARN of a secret that is known by its name
// (https://docs.aws.amazon.com/secretsmanager/latest/userguide/reference_iam-permissions.html).
const addedCharacters = "-??????"

// wildcard says whether a part of a policy stands for more than itself.
func wildcard(text string) bool { return strings.ContainsAny(text, "*?") }

// partly says why an action is allowed on resources with a wildcard, empty if there is no reason.
func partly(action, resource string) string {
	if name, secret := strings.CutSuffix(resource, addedCharacters); secret && !wildcard(name) && action == "secretsmanager:GetSecretValue" {
		return "Secrets Manager adds six characters to the name of a secret"
	}
	return partResource[action]
}

// awsManaged is what policies grant that AWS maintains and templates name. Each is a page of
// https://docs.aws.amazon.com/aws-managed-policy/latest/reference/policy-list.html.
var awsManaged = map[string][]Grant{
	"service-role/AWSLambdaBasicExecutionRole": {
		{Effect: "Allow", Actions: []string{"logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents"}, Resources: []string{"*"}},
	},
	"service-role/AmazonRDSEnhancedMonitoringRole": {
		{Effect: "Allow", Actions: []string{"logs:CreateLogGroup", "logs:PutRetentionPolicy"}, Resources: []string{"arn:aws:logs:*:*:log-group:RDS*"}},
		{Effect: "Allow", Actions: []string{"logs:CreateLogStream", "logs:PutLogEvents", "logs:DescribeLogStreams", "logs:GetLogEvents"}, Resources: []string{"arn:aws:logs:*:*:log-group:RDS*:log-stream:*"}},
	},
}

// Identities that are no role of the templates.
const (
	Anybody    = "anybody"
	Instances  = "instances"
	ourAccount = "the account: whom its own policies allow it"
)

// outsiders are principals that the templates only refer to.
var outsiders = map[string]string{
	"*":                                 Anybody,
	"arn:aws:iam::" + Account + ":root": ourAccount,
	"arn:aws:iam::" + Account + ":role/cdk-hnb659fds-image-publishing-role-" + Account + "-" + Region: "publisher: the role with which `cdk` pushes images",
}

// notOurs are identities of CDK's own functions, of RDS and of API Gateway, with the reason for their wildcards. No container or instance can
// become them.
var notOurs = map[string]string{
	"ApiGatewayAccount/Role":                                                     "API Gateway takes no role that may write fewer logs: it writes those of all APIs of an account",
	"Data/Database/MonitoringRole":                                               "AWS's own policy, given to RDS, which writes what the operating system of the database measures",
	"Network/Custom::VpcRestrictDefaultSGCustomResourceProvider/Role":            "AWS's own policy, given to CDK's function that empties the VPC's default security group while the stack deploys",
	"Ui/Custom::CDKBucketDeployment8693BB64968944B69AAFB0CC9EB8756C/ServiceRole": "CDK's function that uploads the page while the stack deploys: CDK reads its assets, and writes to the page's bucket, with all actions of a kind",
}

// part is an identity without the environment's name that its stack begins with.
func part(identity string) string {
	if _, path, ok := strings.Cut(identity, "-"); ok && strings.Contains(path, "/") {
		return path
	}
	return identity
}

// otherwiseHeld reports whether templates cannot narrow what an identity may do: it is a service of
// AWS, or the account.
func otherwiseHeld(identity string) bool {
	return strings.HasPrefix(identity, "service ") || identity == ourAccount
}

package config

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
)

const (
	maxSecretName    = 512 // https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_CreateSecret.html
	maxParameterName = 1011
	maxLevels        = 15 // of a parameter's name
)

var (
	secretFormat = regexp.MustCompile(`^[A-Za-z0-9/_+=.@-]+$`)
	// A name with several parts begins with a slash
	// (https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_PutParameter.html).
	parameterFormat   = regexp.MustCompile(`^([A-Za-z0-9_.-]+|(/[A-Za-z0-9_.-]+)+)$`)
	reservedParameter = regexp.MustCompile(`(?i)^/?(aws|ssm)`)
	// secretSuffix is what Secrets Manager adds to a secret's name in its ARN.
	secretSuffix = regexp.MustCompile(`-[A-Za-z0-9]{6}$`)
	// arnFormat has the partition, the service, the region, the account and the rest.
	arnFormat = regexp.MustCompile(`^arn:(aws[a-z-]*|\$\{AWS::Partition\}):([a-z0-9-]+):([a-z0-9-]+|\$\{AWS::Region\}):([0-9]{12}|\$\{AWS::AccountId\}):(.+)$`)
	// arnRests are the rests of ARNs, by service.
	arnRests = map[string]*regexp.Regexp{
		"secretsmanager": regexp.MustCompile(`^secret:[A-Za-z0-9/_+=.@-]+$`),
		"ssm":            regexp.MustCompile(`^parameter(/[A-Za-z0-9_.-]+)+$`),
		"kms":            regexp.MustCompile(`^key/[A-Za-z0-9-]+$`),
	}
)

// credentials are variables that must not be in a task definition, which many people may read (control
// ECS.8, https://docs.aws.amazon.com/securityhub/latest/userguide/ecs-controls.html#ecs-8).
var credentials = []string{"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "ECS_ENGINE_AUTH_DATA"}

// environment refuses mistakes in the variables and the secrets of a container.
func (c *containerChecks) environment(one Container, refuse func(string, ...any)) {
	for _, name := range slices.Sorted(maps.Keys(one.Environment)) {
		switch {
		case !variableFormat.MatchString(name):
			refuse("Environment %q is not a variable name: use letters, digits and \"_\", and begin with no digit", name)
		case slices.Contains(credentials, name):
			refuse("Environment %s: many people may read a task definition: let Permissions allow what the service does on AWS, or put the value into Secrets", name)
		}
		checkPlaceholders("Environment "+name, one.Environment[name], refuse)
	}
	for _, name := range slices.Sorted(maps.Keys(one.Secrets)) {
		if !variableFormat.MatchString(name) {
			refuse("Secrets %q is not a variable name: use letters, digits and \"_\", and begin with no digit", name)
		}
		if _, twice := one.Environment[name]; twice {
			refuse("Secrets %s: the variable is in Environment, too, or is set by the deployment: remove one", name)
		}
		c.secret("Secrets "+name, one.Secrets[name], refuse)
	}
}

func (c *containerChecks) secret(field string, secret Secret, refuse func(string, ...any)) {
	switch name, parameter := secret.SecretsManager, secret.Parameter; {
	case (name == "") == (parameter == ""):
		refuse("%s: set either SecretsManager or Parameter", field)
	case isARN(name):
		c.arn(field+": SecretsManager", name, "secretsmanager", refuse)
	case name != "" && (!secretFormat.MatchString(name) || len(name) > maxSecretName):
		refuse("%s: SecretsManager %q is not the name of a secret: use up to %d letters, digits and /_+=.@-", field, name, maxSecretName)
	case secretSuffix.MatchString(name):
		// https://docs.aws.amazon.com/secretsmanager/latest/userguide/troubleshoot.html#ARN_secretnamehyphen
		refuse("%s: SecretsManager %q: the end looks like the six characters that Secrets Manager adds: give the whole ARN", field, name)
	case isARN(parameter):
		c.arn(field+": Parameter", parameter, "ssm", refuse)
	case name == "" && (!parameterFormat.MatchString(parameter) || len(parameter) > maxParameterName):
		refuse("%s: Parameter %q is not the name of a parameter: use letters, digits, \"_\", \".\" and \"-\", and a \"/\" before each part if there are several", field, parameter)
	case strings.Count(parameter, "/") > maxLevels:
		refuse("%s: Parameter %q has %d parts: at most %d are allowed", field, parameter, strings.Count(parameter, "/"), maxLevels)
	case reservedParameter.MatchString(parameter):
		refuse("%s: Parameter %q is refused by AWS: no SSM parameter may begin with \"aws\" or \"ssm\": choose another name", field, parameter)
	}
	if secret.Key != "" && secret.SecretsManager == "" {
		refuse("%s: Key %q: only a secret of Secrets Manager has keys: remove Key", field, secret.Key)
	} else if strings.Contains(secret.Key, ":") {
		refuse("%s: Key %q: a key with a colon cannot be named in a task definition: rename it in the secret", field, secret.Key)
	}
	if secret.KMSKey != "" {
		c.arn(field+": KMSKey", secret.KMSKey, "kms", refuse)
	}
}

// ARN returns the ARN of what ECS reads, and the ARN of what the execution role may read. If the
// characters that Secrets Manager adds are not known, any six may be read
// (https://docs.aws.amazon.com/secretsmanager/latest/userguide/reference_iam-permissions.html). Both may
// have placeholders.
func (s Secret) ARN() (from, readable string) {
	const here = "arn:${AWS::Partition}:%s:${AWS::Region}:${AWS::AccountId}:%s"
	switch {
	case isARN(s.Parameter):
		return s.Parameter, s.Parameter
	case s.Parameter != "":
		from = fmt.Sprintf(here, "ssm", "parameter/"+strings.TrimPrefix(s.Parameter, "/"))
		return from, from
	case isARN(s.SecretsManager):
		from = s.SecretsManager
	default:
		from = fmt.Sprintf(here, "secretsmanager", "secret:"+s.SecretsManager)
	}
	if secretSuffix.MatchString(from) {
		return from, from
	}
	return from, from + "-??????"
}

func isARN(text string) bool { return strings.HasPrefix(text, "arn:") }

// common is a value that must be the same everywhere, and where it was first.
type common struct{ value, at string }

// differs reports whether a value is another one than before. The first one is kept. Empty values and
// placeholders never differ.
func (c *common) differs(value, at string) bool {
	if value == "" || strings.HasPrefix(value, "$") {
		return false
	}
	if c.value == "" {
		*c = common{value, at}
	}
	return value != c.value
}

// home takes the account and the partition from the settings: the certificate is in the account of its
// load balancer.
func (c *containerChecks) home() {
	c.account.differs(c.Account, "the deployment")
	if c.Region != "" {
		c.partition.differs(partitionOf(c.Region), "the deployment")
	}
	if match := certificateFormat.FindStringSubmatch(c.CertificateARN); match != nil {
		c.account.differs(match[3], "certificateArn")
		c.partition.differs(match[1], "certificateArn")
	}
}

// arn refuses what is no ARN of a service, or one of another account or partition.
func (c *containerChecks) arn(field, text, service string, refuse func(string, ...any)) {
	match := arnFormat.FindStringSubmatch(text)
	if match == nil || match[2] != service || !arnRests[service].MatchString(match[5]) {
		example := map[string]string{"secretsmanager": "secret:NAME-SUFFIX", "ssm": "parameter/NAME", "kms": "key/ID"}[service]
		refuse("%s: %q is not an ARN of its kind: it looks like \"arn:aws:%s:REGION:ACCOUNT:%s\"", field, text, service, example)
		return
	}
	partition, region, account := match[1], match[3], match[4]
	at := fmt.Sprintf("%s of service %q", field, c.service)
	if c.account.differs(account, at) {
		refuse("%s: %q is in account %s, and %s is in %s: name one of the same account", field, text, account, c.account.at, c.account.value)
	}
	if of := partitionOf(region); !strings.HasPrefix(region, "$") && !strings.HasPrefix(partition, "$") && partition != of {
		refuse("%s: %q: the region %s is in the partition %s, not in %s: correct the ARN", field, text, region, of, partition)
	} else if c.partition.differs(partition, at) {
		refuse("%s: %q is in the partition %s, and %s is in %s: name one of the same partition", field, text, partition, c.partition.at, c.partition.value)
	}
}

// partitions are those of regions whose names begin in a way of their own
// (https://github.com/aws/aws-sdk-go-v2/blob/main/internal/endpoints/awsrulesfn/partitions.json).
var partitions = []struct{ region, name string }{
	{"cn-", "aws-cn"}, {"us-gov-", "aws-us-gov"}, {"eusc-", "aws-eusc"},
	{"us-iso-", "aws-iso"}, {"us-isob-", "aws-iso-b"}, {"eu-isoe-", "aws-iso-e"}, {"us-isof-", "aws-iso-f"},
}

func partitionOf(region string) string {
	for _, p := range partitions {
		if strings.HasPrefix(region, p.region) {
			return p.name
		}
	}
	return "aws"
}

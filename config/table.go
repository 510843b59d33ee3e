package config

import "slices"

// Setting is a context key: its meaning and its defaults. Environments differ in their defaults,
// and in what is set for them.
type Setting struct {
	// Key is the context key.
	Key string
	// Default is the value in any environment. If Default is empty, Without says what there is
	// instead.
	Default, Without string
	// Production is the value in an environment called "prod", if it differs: prod is protected
	// from mistakes. The key of another setting stands for the value of that setting.
	Production string
	// Meaning is for people, in Markdown.
	Meaning string
}

// Table returns all settings, in the order of the documents.
func Table() []Setting { return slices.Clone(table) }

var table = []Setting{
	{Key: "phase", Default: "monolith",
		Meaning: "`monolith`, `parallel`, `switched`, `retired` or `removed`, for all services; or a place for each, `users=switched,posts=10%` or `{\"users\": \"switched\", \"posts\": \"10%\"}`, where a service that is not named is in `monolith`"},
	{Key: "shift", Without: "none",
		Meaning: "in `parallel`, for all services: percentage of its traffic that a microservice takes over, `users=10,posts=5` or `{\"users\": 10}`"},
	{Key: "compute", Without: "none",
		Meaning: "how far a service is on its way to its `Next` compute: `parallel`, a share, `switched` or `retired`, as in `users=10%` or `{\"users\": \"10%\"}`"},
	{Key: "rest", Default: "drop",
		Meaning: "what no service claims, once all services are switched: `drop` answers with 503, `monolith` keeps the monolith for it"},
	{Key: "rootService", Without: "503",
		Meaning: "microservice that answers the root paths (`/`, `/api`, `/api/`) from `switched` on, such as `users`"},
	{Key: "store", Default: "file",
		Meaning: "where services keep their records, if the list names no store for them: `file` (read-only), `dynamodb` or `postgres`"},
	{Key: "databaseCapacity", Default: "0-2", Production: "0.5-8",
		Meaning: "fewest and most Aurora capacity units of the databases, each 2 GiB of memory; with 0 they pause after 5 minutes without a connection, which `alarms` do not allow; otherwise they stand in two zones"},
	{Key: "dataProtection", Default: "on",
		Meaning: "`off` lets tables and databases be deleted: with their stack, or if their service goes or changes its store"},
	{Key: "env", Default: "dev",
		Meaning: "prefix of the stacks' names, and the cluster's name"},
	{Key: "namePrefix", Without: "none",
		Meaning: "put before repositories, target groups, task definition families and log groups, such as `staging-`; a second environment in an account needs one"},
	{Key: "arch", Default: "amd64",
		Meaning: "`amd64` or `arm64`, for instances and images"},
	{Key: "instanceType", Default: "t3.small,t3.medium",
		Meaning: "in order of preference: the next one is used when AWS has none of those before it; `" + gravitonTypes + "` on arm64"},
	{Key: "minInstances", Default: "2",
		Meaning: "fewest instances"},
	{Key: "maxInstances", Default: "4",
		Meaning: "most instances; all tasks have to fit on them, those of a service that scales at its most"},
	{Key: "zones", Default: "2",
		Meaning: "availability zones, 2 or 3"},
	{Key: "natGateways", Default: "1", Production: "zones",
		Meaning: "1 to the number of zones"},
	{Key: "vpcId", Without: "a new VPC",
		Meaning: "an existing VPC with public and private subnets"},
	{Key: "subnetIds", Without: "all private ones",
		Meaning: "private subnets of the VPC, two or more, as in `subnet-0a1b2c3d,subnet-4e5f6a7b`; with them, nothing is looked up in the account"},
	{Key: "listenerArn", Without: "a new load balancer",
		Meaning: "listener of a load balancer that [exists already](adopt.md): the deployment adds rules, and changes nothing else of it"},
	{Key: "monolithTargetGroupArn", Without: "the list's monolith is deployed",
		Meaning: "target group of the monolith that exists behind the listener"},
	{Key: "rulePriorities", Without: "none",
		Meaning: "priorities of the listener that are free for the deployment's rules, as in `100-199`: two for each order"},
	{Key: "loadBalancerSecurityGroupIds", Without: "none",
		Meaning: "security groups of that load balancer, which tasks admit"},
	{Key: "taskSecurityGroupIds", Without: "none",
		Meaning: "security groups that tasks have besides their own, such as one that a database admits"},
	{Key: "clusterName", Without: "a new cluster",
		Meaning: "ECS cluster that exists already"},
	{Key: "capacityProvider", Without: "none",
		Meaning: "capacity provider of that cluster, for services on EC2"},
	{Key: "certificateArn", Without: "HTTP only",
		Meaning: "ACM certificate: HTTPS on 443, and 80 redirects; browsers stay with HTTPS for a year"},
	{Key: "domain", Without: "the load balancer's own name",
		Meaning: "DNS name that leads to the first load balancer; services that [call others through it](discovery.md) use the name"},
	{Key: "hostedZoneId", Without: "no record",
		Meaning: "hosted zone of Route 53 that has `domain`: the deployment makes the record there"},
	{Key: "front", Default: "none",
		Meaning: "`apigateway` puts a REST API of API Gateway [before the load balancer](fronts.md)"},
	{Key: "scheme", Default: "internet-facing",
		Meaning: "`internal` gives the load balancers addresses in the VPC only; a change replaces them, and a deployed one is refused"},
	{Key: "directAccess", Default: "on",
		Meaning: "`off` closes the load balancer to clients, so that all come by the [front](fronts.md)"},
	{Key: "cloudFrontPrefixListId", Without: "none",
		Meaning: "the region's managed prefix list of CloudFront, as in `pl-3b927c52`: an internal load balancer with `ui` and without `directAccess` admits it alone"},
	{Key: "ui", Default: "off",
		Meaning: "`on` puts a [page](fronts.md#the-page) into a bucket, and CloudFront before the page and the API"},
	{Key: "uiDomain", Without: "the distribution's own name",
		Meaning: "DNS name of the page; it needs `uiHostedZoneId` and `uiCertificateArn`"},
	{Key: "uiHostedZoneId", Without: "none",
		Meaning: "hosted zone of Route 53 that has `uiDomain`"},
	{Key: "uiCertificateArn", Without: "none",
		Meaning: "ACM certificate of `uiDomain`, in `us-east-1`"},
	{Key: "waf", Default: "off",
		Meaning: "`on` puts a web ACL of AWS WAF before the REST API"},
	{Key: "accessLogs", Default: "off", Production: "on",
		Meaning: "`on` keeps the load balancer's access logs, in a bucket that only their delivery can write"},
	{Key: "accessLogsBucket", Without: "a new bucket",
		Meaning: "bucket that exists already, and admits the [delivery of access logs](https://docs.aws.amazon.com/elasticloadbalancing/latest/application/enable-access-logging.html)"},
	{Key: "deletionProtection", Default: "off", Production: "on",
		Meaning: "`on` keeps the load balancer and the stacks from being deleted"},
	{Key: "alarms", Default: "off", Production: "on",
		Meaning: "`on` watches the services and the load balancer, and tells an SNS topic"},
	{Key: "alarmEmail", Without: "none",
		Meaning: "address that hears of `alarms`, once it has confirmed"},
	{Key: "events", Default: "off",
		Meaning: "`on` lets services [publish, consume and work](events.md), as the list says"},
	{Key: "dashboard", Default: "on",
		Meaning: "`off` leaves out the dashboard and the saved log queries"},
	{Key: "logRetentionDays", Default: "30", Production: "365",
		Meaning: "how long logs are kept"},
	{Key: "removalPolicy", Default: "destroy", Production: "retain",
		Meaning: "`retain` keeps images, logs and files when their stacks go"},
	{Key: "phaseGate", Default: "on",
		Meaning: "`off` lets a phase be deployed out of turn"},
}

// gravitonTypes is the default of instanceType on arm64.
const gravitonTypes = "t4g.small,t4g.medium"

// production is the name of the environment whose users are real.
const production = "prod"

// fallback returns the default of a setting in an environment.
func fallback(key, env string) string {
	s := table[slices.IndexFunc(table, func(s Setting) bool { return s.Key == key })]
	if env == production && s.Production != "" {
		return s.Production
	}
	return s.Default
}

// keys are the context keys that are ours.
var keys = func() (keys []string) {
	for _, s := range table {
		keys = append(keys, s.Key)
	}
	return keys
}()

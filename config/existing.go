package config

import (
	"cmp"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"cutover/migration"
)

// Formats of what exists already.
var (
	listenerFormat         = regexp.MustCompile(`^arn:aws[a-z-]*:elasticloadbalancing:([a-z0-9-]+):([0-9]{12}):listener/app/[A-Za-z0-9-]{1,32}/[0-9a-f]{16}/[0-9a-f]{16}$`)
	groupFormat            = regexp.MustCompile(`^arn:aws[a-z-]*:elasticloadbalancing:([a-z0-9-]+):([0-9]{12}):targetgroup/[A-Za-z0-9-]{1,32}/[0-9a-f]{16}$`)
	subnetFormat           = regexp.MustCompile(`^subnet-([0-9a-f]{8}|[0-9a-f]{17})$`)
	securityGroupFormat    = regexp.MustCompile(`^sg-([0-9a-f]{8}|[0-9a-f]{17})$`)
	clusterFormat          = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_-]{0,254}$`)
	capacityProviderFormat = regexp.MustCompile(`^[A-Za-z0-9_-]{1,255}$`)
	bucketFormat           = regexp.MustCompile(`^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$`)
)

// maxTaskGroups is how many security groups a network interface can have
// (https://docs.aws.amazon.com/vpc/latest/userguide/amazon-vpc-limits.html).
const maxTaskGroups = 5

// beside puts the services beside a monolith that exists, if the settings name one. The list gives it a name alone.
func (r *reader) beside(d Deployment) Deployment {
	if d.Existing = cmp.Or(r.text("monolithTargetGroupArn"), r.text("listenerArn")); d.Existing == "" { // existingListener refuses one without the other
		return d
	}
	if r.set("rest") && !d.KeepRest {
		r.refuse("rest: the monolith that exists keeps what no service claims: remove rest")
	}
	d.KeepRest = true
	d.Priorities = r.window()
	return d
}

// nameAlone refuses fields of a monolith that exists, for nothing of it is deployed. The monolith is as the list has it.
func (r *reader) nameAlone(monolith Service) {
	fields := reflect.ValueOf(monolith)
	var given []string
	for i := range fields.NumField() {
		if name := fields.Type().Field(i).Name; name != "Name" && !fields.Field(i).IsZero() {
			given = append(given, name)
		}
	}
	if len(given) > 0 {
		r.refuse("service %q: %s: the monolith exists already (monolithTargetGroupArn), and nothing of it is deployed: give it a Name alone", monolith.Name, strings.Join(given, ", "))
	}
	if !nameFormat.MatchString(monolith.Name) {
		r.refuse("service %q: the name of the monolith has lower-case letters, digits and single hyphens, beginning with a letter", monolith.Name)
	}
}

// window reads the priorities of the listener's rules.
func (r *reader) window() migration.Window {
	const key = "rulePriorities"
	text := r.text(key)
	w, ok := migration.ParseWindow(text)
	switch {
	case text == "":
		r.refuse("%s: it is missing: name the priorities of the listener that are free, as in \"100-199\"", key)
	case !ok || w.MaxOrder() == 0:
		r.refuse("%s: %q is not a window of priorities: it looks like \"100-199\", from 1 to %d", key, text, migration.LastPriority)
		return migration.Window{}
	}
	return w
}

// list reads values between commas, or in a list.
func (r *reader) list(key, what, example string, format *regexp.Regexp) (all []string) {
	var given []any
	switch v := r.context[key].(type) {
	case nil:
	case []any:
		given = v
	case string:
		if v == "" {
			return nil
		}
		for one := range strings.SplitSeq(v, ",") {
			given = append(given, strings.TrimSpace(one))
		}
	default:
		r.refuse("%s: %s is neither a text, as in %q, nor a list of texts", key, show(v), example)
	}
	for _, one := range given {
		text, _ := one.(string)
		switch {
		case !format.MatchString(text):
			r.refuse("%s: %s is not %s: it looks like %q", key, show(one), what, example)
		case slices.Contains(all, text):
			r.refuse("%s: %s is named twice", key, text)
		default:
			all = append(all, text)
		}
	}
	return all
}

// existing reads what exists already.
func (r *reader) existing(d Deployment, s *Settings) {
	s.ListenerARN = r.text("listenerArn")
	s.SubnetIDs = r.list("subnetIds", "a subnet", "subnet-0123456789abcdef0", subnetFormat)
	s.LoadBalancerSecurityGroupIDs = r.list("loadBalancerSecurityGroupIds", "a security group", "sg-0123456789abcdef0", securityGroupFormat)
	s.TaskSecurityGroupIDs = r.list("taskSecurityGroupIds", "a security group", "sg-0123456789abcdef0", securityGroupFormat)
	s.ClusterName, s.CapacityProvider = r.text("clusterName"), r.text("capacityProvider")
	s.HostedZoneID, s.AccessLogsBucket = r.text("hostedZoneId"), r.text("accessLogsBucket")
	r.existingListener(s)
	r.existingCluster(d, s)
	awsvpc := slices.ContainsFunc(d.All(), func(one Service) bool { return slices.ContainsFunc(one.Pairs(), Pair.AwsVPC) })
	switch n := len(s.TaskSecurityGroupIDs); {
	case n >= maxTaskGroups:
		r.refuse("taskSecurityGroupIds: there are %d: a task has one of its own, and at most %d in all", n, maxTaskGroups)
	case n > 0 && !awsvpc:
		r.refuse("taskSecurityGroupIds: no task has security groups: put a service on Fargate, or on EC2 with NetworkMode awsvpc, or remove them")
	}
	switch {
	case s.HostedZoneID == "":
	case !hostedZoneFormat.MatchString(s.HostedZoneID):
		r.refuse("hostedZoneId: %q is not a hosted zone: it looks like \"Z0123456789ABCDEFGHIJ\"", s.HostedZoneID)
	case s.Domain == "":
		r.refuse("hostedZoneId: %s gets no record without a name: set domain", s.HostedZoneID)
	}
	switch {
	case s.AccessLogsBucket == "":
	case !bucketFormat.MatchString(s.AccessLogsBucket):
		r.refuse("accessLogsBucket: %q is not the name of a bucket: it looks like \"my-company-logs\"", s.AccessLogsBucket)
	case !s.AccessLogs:
		r.refuse("accessLogsBucket: there are no access logs for %s: set accessLogs to on", s.AccessLogsBucket)
	}
	switch {
	case len(s.SubnetIDs) == 0:
	case s.VPCID == "":
		r.refuse("subnetIds: %s are of a VPC: set vpcId", strings.Join(s.SubnetIDs, ", "))
	case len(s.SubnetIDs) == 1:
		r.refuse("subnetIds: %s is in one zone: name two subnets or more, in different zones", s.SubnetIDs[0])
	case s.ListenerARN == "" && !s.Internal:
		r.refuse("subnetIds: they are private, and a new load balancer needs public ones: remove subnetIds, and the VPC is looked up; or set scheme to internal, or listenerArn")
	}
}

// beyondListener are settings of a load balancer of one's own.
var beyondListener = []string{
	"front", "scheme", "directAccess", "cloudFrontPrefixListId", "ui", "waf", "accessLogs", "accessLogsBucket", "hostedZoneId", "rootService",
}

// existingListener checks the listener with the monolith behind it.
func (r *reader) existingListener(s *Settings) {
	if s.ListenerARN == "" {
		for _, key := range []string{"monolithTargetGroupArn", "rulePriorities", "loadBalancerSecurityGroupIds"} {
			if r.set(key) {
				r.refuse("%s: %s is about a listener that exists: set listenerArn", key, show(r.context[key]))
			}
		}
		return
	}
	s.AccessLogs, s.DirectAccess = false, true
	monolith := r.text("monolithTargetGroupArn")
	listener, group := listenerFormat.FindStringSubmatch(s.ListenerARN), groupFormat.FindStringSubmatch(monolith)
	switch {
	case listener == nil && strings.Contains(s.ListenerARN, ":listener/net/"):
		r.refuse("listenerArn: %q is of a Network Load Balancer, which has no rules: name a listener of an Application Load Balancer", s.ListenerARN)
	case listener == nil:
		r.refuse("listenerArn: %q is not a listener: it looks like \"arn:aws:elasticloadbalancing:REGION:ACCOUNT:listener/app/NAME/ID/ID\"", s.ListenerARN)
	case monolith == "":
		r.refuse("monolithTargetGroupArn: it is missing: name the target group of the monolith behind the listener")
	case group == nil:
		r.refuse("monolithTargetGroupArn: %q is not a target group: it looks like \"arn:aws:elasticloadbalancing:REGION:ACCOUNT:targetgroup/NAME/ID\"", monolith)
	default:
		certificate := certificateFormat.FindStringSubmatch(s.CertificateARN)
		for i, place := range []struct{ what, deployed string }{{"region", s.Region}, {"account", s.Account}} {
			at := listener[i+1]
			if group[i+1] != at {
				r.refuse("monolithTargetGroupArn: the target group is in %s %s, and the listener in %s: both have to be in one", place.what, group[i+1], at)
			}
			if certificate != nil && certificate[i+2] != at {
				r.refuse("certificateArn: the certificate is in %s %s, and the listener in %s: it cannot be the listener's", place.what, certificate[i+2], at)
			}
			if place.deployed != "" && place.deployed != at {
				r.refuse("listenerArn: the listener is in %s %s but the deployment goes to %s", place.what, at, place.deployed)
			}
		}
	}
	if s.VPCID == "" {
		r.refuse("vpcId: it is missing: name the VPC of the listener's load balancer")
	}
	if len(s.LoadBalancerSecurityGroupIDs) == 0 {
		r.refuse("loadBalancerSecurityGroupIds: they are missing: name the security groups of the listener's load balancer, which tasks admit")
	}
	for _, key := range beyondListener {
		if r.set(key) {
			r.refuse("%s: has no effect on a load balancer that exists: remove %s or listenerArn", key, key)
		}
	}
}

// existingCluster checks the cluster.
func (r *reader) existingCluster(d Deployment, s *Settings) {
	switch {
	case s.ClusterName == "" && s.CapacityProvider != "":
		r.refuse("capacityProvider: %s is of a cluster that exists: set clusterName", s.CapacityProvider)
	case s.ClusterName == "":
		return
	case !clusterFormat.MatchString(s.ClusterName):
		r.refuse("clusterName: %q is not the name of a cluster: it looks like \"shop\"", s.ClusterName)
	case s.VPCID == "":
		r.refuse("clusterName: tasks on %s are in a VPC that exists: set vpcId", s.ClusterName)
	case s.CapacityProvider != "" && !capacityProviderFormat.MatchString(s.CapacityProvider):
		r.refuse("capacityProvider: %q is not the name of a capacity provider", s.CapacityProvider)
	case s.CapacityProvider == "" && d.On(migration.EC2):
		r.refuse("capacityProvider: it is missing: services on EC2 need the one of cluster %s; or put them on Fargate", s.ClusterName)
	case s.CapacityProvider != "" && !d.On(migration.EC2):
		r.refuse("capacityProvider: no service is on EC2: remove it")
	}
	for _, service := range d.All() {
		if service.InBridge() {
			r.refuse("service %q: in bridge mode its port is on the instances of cluster %s, whose security groups are not changed: set NetworkMode to awsvpc, or put it on Fargate", service.Name, s.ClusterName)
		}
	}
	for _, key := range []string{"instanceType", "minInstances", "maxInstances"} {
		if r.set(key) {
			r.refuse("%s: has no effect on the existing cluster %s: remove %s or clusterName", key, s.ClusterName, key)
		}
	}
}

// LooksUp says that synthesis looks the VPC up in the account.
func (s Settings) LooksUp() bool { return s.VPCID != "" && len(s.SubnetIDs) == 0 }

// checkBeside refuses services that cannot stand beside a monolith that exists.
func checkBeside(d Deployment, s Settings, refuse func(string, ...any)) {
	for _, service := range d.Services {
		if service.Name == d.Monolith.Name {
			refuse("service %q: the monolith that exists has this name: rename one", service.Name)
		}
		if service.LoadBalancer != "" {
			refuse("service %q: LoadBalancer %q: all services are behind the listener that exists: remove it", service.Name, service.LoadBalancer)
		}
		for _, route := range service.AllRoutes() {
			if most := d.Priorities.MaxOrder(); route.Order > most && d.Priorities.Last > 0 {
				refuse("%s: Order %d: rulePriorities %s has room for orders up to %d, two priorities for each: make the window wider, or the order lower", title(service, route), route.Order, d.Priorities, most)
			}
		}
	}
	if n := len(d.Migration().Plan(s.Position).Balancers[0].Rules); n > MaxRules {
		refuse("services: they need %d listener rules, and a load balancer can have %d: list fewer", n, MaxRules)
	}
}

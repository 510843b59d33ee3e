package stacks

import (
	"maps"
	"slices"
	"strings"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsec2"
	elb "github.com/aws/aws-cdk-go/awscdk/v2/awselasticloadbalancingv2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsroute53"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssecretsmanager"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsssm"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"

	"cutover/config"
	"cutover/migration"
)

// Routing is the stack that decides where a request to one load balancer goes: the load balancer,
// its listeners and rules, and the target groups. The cut-over happens in this stack.
type Routing struct {
	Stack awscdk.Stack
	// Name of the load balancer; empty for the first one.
	Name string
	// Balancer is nil if the load balancer exists already.
	Balancer elb.ApplicationLoadBalancer
	// TargetGroups has a group for each service, by its name, and one for dropped traffic. That of a monolith that exists is
	// imported.
	TargetGroups map[string]elb.IApplicationTargetGroup
	// Alarms is nil if there are none.
	Alarms *Alarms
	// OriginSecret is what CloudFront alone knows; nil if CloudFront does not ask the load balancer, or asks it in the VPC.
	OriginSecret awssecretsmanager.Secret

	asksOrigin bool // each rule asks for the secret
	// fullName is how metrics name the load balancer, and dnsName how AWS does; dnsName is nil if the load balancer exists already.
	fullName, dnsName *string
}

// NewRouting adds the stack of one load balancer and renders its plan as it is. The first load
// balancer's alarms have the topic of all alarms; they are nil for the first itself.
func NewRouting(scope constructs.Construct, s config.Settings, d config.Deployment, plan migration.Balancer, network *Network, functions map[string]*Function, first *Alarms) *Routing {
	r := &Routing{
		Name:         plan.Name,
		asksOrigin:   s.AsksOrigin(),
		TargetGroups: map[string]elb.IApplicationTargetGroup{},
	}
	if s.ListenerARN == "" {
		r.Stack = newRoutingStack(scope, s, plan.Name)
	} else {
		r.Stack = network.Stack
	}
	times := durations{}
	for _, of := range plan.Groups {
		service, compute := d.Pair(of) // without targets, the defaults
		if f := functions[of]; f != nil {
			group := f.target(r.Stack, config.Pascal(of), s.Name(plan.GroupName(of)))
			tagService(group, service.Name)
			r.TargetGroups[of] = group
			continue
		}
		targetType := elb.TargetType_INSTANCE
		if (config.Pair{Name: of, Compute: compute}).AwsVPC() {
			targetType = elb.TargetType_IP
		}
		// The id is the same at every load balancer, but not the name.
		group := elb.NewApplicationTargetGroup(r.Stack, jsii.String(config.Pascal(of)), &elb.ApplicationTargetGroupProps{
			TargetGroupName:     jsii.String(s.Name(plan.GroupName(of))),
			Vpc:                 network.VPC,
			TargetType:          targetType,
			Protocol:            elb.ApplicationProtocol_HTTP,
			Port:                jsii.Number(80),
			DeregistrationDelay: times.seconds(service.DeregistrationDelaySeconds),
			HealthCheck: &elb.HealthCheck{
				Path:                    jsii.String(service.HealthCheck.Path),
				HealthyHttpCodes:        jsii.String(service.HealthCheck.Codes),
				HealthyThresholdCount:   jsii.Number(2),
				UnhealthyThresholdCount: jsii.Number(2),
				Timeout:                 times.seconds(5),
				Interval:                times.seconds(6),
			},
		})
		if of != migration.DropGroup {
			tagService(group, service.Name)
		}
		r.TargetGroups[of] = group
	}

	if s.ListenerARN != "" {
		r.addToExisting(s, d, plan)
		return r
	}
	balancer := newLoadBalancer(r.Stack, s, network)
	r.Balancer, r.fullName, r.dnsName = balancer, balancer.LoadBalancerFullName(), balancer.LoadBalancerDnsName()
	if plan.Name == "" && s.Domain != "" {
		// Only the setting knows that the domain leads to this load balancer. A local run has to know it, too:
		// otherwise its tasks would call the domain on AWS.
		balancer.Node().DefaultChild().(awscdk.CfnResource).AddMetadata(jsii.String(domainMetadata), s.Domain)
	}
	if s.AccessLogs {
		keepAccessLogs(r.Stack, s, balancer)
	} else {
		suppress(balancer, suppression{rule: "AwsSolutions-ELB2", reason: "The services log every request. The setting accessLogs adds the load balancer's own lines, for what it costs to keep them"})
	}
	if s.Alarms {
		r.Alarms = newAlarms(r, s, d, first)
	}
	action := r.weighted(plan.Default)
	if s.SendsOrigin() {
		r.OriginSecret = newOriginSecret(r.Stack)
	}
	if r.asksOrigin {
		action = elb.ListenerAction_FixedResponse(jsii.Number(403), &elb.FixedResponseOptions{
			ContentType: jsii.String("text/plain"), MessageBody: jsii.String("Forbidden: this load balancer answers its front alone\n"),
		})
	}
	listener := r.listen(s, balancer, action)
	r.addRules(listener, plan)
	if r.asksOrigin {
		elb.NewApplicationListenerRule(r.Stack, jsii.String("OriginRule"), &elb.ApplicationListenerRuleProps{
			Listener: listener, Priority: jsii.Number(migration.LastPriority), Conditions: r.conditions(migration.Match{}), Action: r.weighted(plan.Default),
		})
	}
	if s.HostedZoneID != "" && plan.Name == "" {
		nameInZone(r.Stack, s, balancer)
	}
	url := awscdk.Fn_Join(jsii.String(""), &[]*string{jsii.String(s.Scheme()), balancer.LoadBalancerDnsName()})
	output(r.Stack, "Url", "Where the API answers", url)
	if d.FunctionsCall(plan.Name) && (plan.Name != "" || s.Domain == "") {
		awsssm.NewCfnParameter(r.Stack, jsii.String("UrlParameter"), &awsssm.CfnParameterProps{
			Name: jsii.String(s.URLParameter(plan.Name).Parameter), Type: jsii.String("String"), Value: url,
			Description: jsii.String("Where functions call other services"),
		})
	}
	return r
}

// newRoutingStack adds the stack of a load balancer.
func newRoutingStack(scope constructs.Construct, s config.Settings, balancer string) awscdk.Stack {
	of := ""
	if balancer != "" {
		of = " " + balancer
	}
	return newStack(scope, s, routingOf(balancer), "Where a request goes: load balancer"+of+", listeners, rules, target groups", nil)
}

func newLoadBalancer(stack awscdk.Stack, s config.Settings, network *Network) elb.ApplicationLoadBalancer {
	subnets := awsec2.SubnetType_PUBLIC
	if s.Internal {
		subnets = awsec2.SubnetType_PRIVATE_WITH_EGRESS
	}
	return elb.NewApplicationLoadBalancer(stack, jsii.String("LoadBalancer"), &elb.ApplicationLoadBalancerProps{
		Vpc:                     network.VPC,
		InternetFacing:          jsii.Bool(!s.Internal),
		SecurityGroup:           network.LoadBalancerSecurityGroup,
		VpcSubnets:              &awsec2.SubnetSelection{SubnetType: subnets},
		DeletionProtection:      jsii.Bool(s.DeletionProtection),
		DropInvalidHeaderFields: jsii.Bool(true),
		DesyncMitigationMode:    elb.DesyncMitigationMode_DEFENSIVE,
		// Services keep an idle connection open for 75 s. With a longer time, the load
		// balancer would write to closed connections.
		IdleTimeout: awscdk.Duration_Seconds(jsii.Number(60)),
	})
}

// addToExisting adds the rules to a listener that exists. Nothing else of its load balancer, and nothing of the monolith behind it,
// is in the template.
func (r *Routing) addToExisting(s config.Settings, d config.Deployment, plan migration.Balancer) {
	// The listener's ARN has the load balancer's name for metrics: …:listener/app/shop/0123456789abcdef/….
	parts := strings.Split(s.ListenerARN, "/")
	r.fullName = jsii.String(strings.Join(parts[1:len(parts)-1], "/"))
	monolith := elb.ApplicationTargetGroup_FromTargetGroupAttributes(r.Stack, jsii.String("existing-monolith"), &elb.TargetGroupAttributes{
		TargetGroupArn: jsii.String(d.Existing),
	})
	r.TargetGroups[d.Monolith.Name] = monolith
	if s.Alarms {
		r.Alarms = newAlarms(r, s, d, nil)
	}
	listener := elb.ApplicationListener_FromApplicationListenerAttributes(r.Stack, jsii.String("existing-listener"), &elb.ApplicationListenerAttributes{
		ListenerArn: jsii.String(s.ListenerARN), SecurityGroup: importGroup(r.Stack, "of-listener", s.LoadBalancerSecurityGroupIDs[0]),
	})
	r.addRules(listener, plan)
	awscdk.Annotations_Of(monolith).AcknowledgeWarning(jsii.String("@aws-cdk/aws-elbv2:albTargetGroupCannotRegisterListener"),
		jsii.String("The load balancer reaches the monolith already"))
	if s.Domain != "" {
		output(r.Stack, "Url", "Where the API answers", jsii.String(s.Scheme()+s.Domain))
	}
}

// nameInZone gives the load balancer its name in DNS.
func nameInZone(stack awscdk.Stack, s config.Settings, balancer elb.ApplicationLoadBalancer) {
	awsroute53.NewCfnRecordSet(stack, jsii.String("DnsRecord"), &awsroute53.CfnRecordSetProps{
		HostedZoneId: jsii.String(s.HostedZoneID), Name: jsii.String(s.Domain), Type: jsii.String("A"),
		AliasTarget: &awsroute53.CfnRecordSet_AliasTargetProperty{
			DnsName: balancer.LoadBalancerDnsName(), HostedZoneId: balancer.LoadBalancerCanonicalHostedZoneId(),
		},
	})
}

// addRules renders the rules of the plan.
func (r *Routing) addRules(listener elb.IApplicationListener, plan migration.Balancer) {
	rules := map[int]elb.ApplicationListenerRule{}
	for _, rule := range plan.Rules {
		rules[rule.Priority] = r.addRule(listener, rule)
		for _, before := range rule.After {
			rules[rule.Priority].Node().AddDependency(rules[before])
		}
	}
}

// fullNameOf is how metrics name the target group of a pair.
func (r *Routing) fullNameOf(pair string) *string {
	if group, ours := r.TargetGroups[pair].(elb.ApplicationTargetGroup); ours {
		return group.TargetGroupFullName()
	}
	_, name, _ := strings.Cut(*r.TargetGroups[pair].TargetGroupArn(), ":targetgroup/")
	return jsii.String("targetgroup/" + name)
}

// title is the load balancer's name for people.
func (r *Routing) title() string {
	if r.Name == "" {
		return "first"
	}
	return r.Name
}

// listen adds the listener of the rules. With a certificate the listener is HTTPS, and
// another one redirects HTTP. Without a certificate it is HTTP.
func (r *Routing) listen(s config.Settings, balancer elb.ApplicationLoadBalancer, action elb.ListenerAction) elb.ApplicationListener {
	// Never open: the network's security group decides who may connect.
	http := &elb.BaseApplicationListenerProps{
		Protocol:      elb.ApplicationProtocol_HTTP,
		Port:          jsii.Number(80),
		Open:          jsii.Bool(false),
		DefaultAction: action,
	}
	if s.CertificateARN == "" {
		listener := balancer.AddListener(jsii.String("Http"), http)
		if s.Production() {
			awscdk.Annotations_Of(listener).AddWarningV2(jsii.String("cutover:plainHttp"),
				jsii.String("Clients are answered over plain HTTP: set certificateArn for HTTPS"))
		}
		return listener
	}
	http.DefaultAction = elb.ListenerAction_Redirect(&elb.RedirectOptions{
		Protocol:  jsii.String("HTTPS"),
		Port:      jsii.String("443"),
		Permanent: jsii.Bool(true),
	})
	balancer.AddListener(jsii.String("Http"), http)
	listener := balancer.AddListener(jsii.String("Https"), &elb.BaseApplicationListenerProps{
		Protocol:      elb.ApplicationProtocol_HTTPS,
		Port:          jsii.Number(443),
		Open:          jsii.Bool(false),
		SslPolicy:     elb.SslPolicy_TLS13_12_RES_PQ,
		Certificates:  &[]elb.IListenerCertificate{elb.ListenerCertificate_FromArn(jsii.String(s.CertificateARN))},
		DefaultAction: action,
	})
	// Browsers use HTTPS for this host for a year, even if a link says HTTP
	// (https://docs.aws.amazon.com/elasticloadbalancing/latest/application/header-modification.html#insert-header).
	listener.SetAttribute(jsii.String("routing.http.response.strict_transport_security.header_value"), jsii.String("max-age=31536000"))
	return listener
}

func (r *Routing) addRule(listener elb.IApplicationListener, rule migration.Rule) elb.ApplicationListenerRule {
	props := &elb.ApplicationListenerRuleProps{
		Listener:   listener,
		Priority:   jsii.Number(rule.Priority),
		Conditions: r.conditions(rule.Match),
	}
	if len(rule.Targets) > 1 {
		props.Action = r.weighted(rule.Targets)
	} else {
		props.TargetGroups = &[]elb.IApplicationTargetGroup{r.TargetGroups[rule.Targets[0].Group]}
	}
	return elb.NewApplicationListenerRule(r.Stack, jsii.String(config.RuleID(rule.Service, rule.Route, rule.ID)), props)
}

// newOriginSecret adds what CloudFront sends to the load balancer. It is here, since CloudFront's stack comes later.
func newOriginSecret(stack awscdk.Stack) awssecretsmanager.Secret {
	secret := awssecretsmanager.NewSecret(stack, jsii.String("OriginSecret"), &awssecretsmanager.SecretProps{
		Description: jsii.String("What CloudFront sends to the load balancer in " + config.OriginHeader),
		// Letters and digits are no wildcards of a condition.
		GenerateSecretString: &awssecretsmanager.SecretStringGenerator{ExcludePunctuation: jsii.Bool(true), PasswordLength: jsii.Number(32)},
	})
	suppress(secret, suppression{rule: "AwsSolutions-SMG4", reason: "CloudFormation reads the value in two stacks, one after the other. So a new value takes two deployments, as docs/fronts.md says"})
	return secret
}

// conditions renders what a rule takes, and the secret if the rules ask for it.
func (r *Routing) conditions(match migration.Match) *[]elb.ListenerCondition {
	var all []elb.ListenerCondition
	add := func(values []string, condition func(*[]*string) elb.ListenerCondition) {
		if len(values) > 0 {
			all = append(all, condition(jsii.Strings(values...)))
		}
	}
	add(match.Paths, elb.ListenerCondition_PathPatterns)
	add(match.Hosts, elb.ListenerCondition_HostHeaders)
	add(match.Methods, elb.ListenerCondition_HttpRequestMethods)
	for _, name := range slices.Sorted(maps.Keys(match.Headers)) {
		all = append(all, elb.ListenerCondition_HttpHeader(jsii.String(name), jsii.Strings(match.Headers[name]...)))
	}
	for _, key := range slices.Sorted(maps.Keys(match.Query)) {
		var values []*elb.QueryStringCondition
		for _, value := range match.Query[key] {
			one := &elb.QueryStringCondition{Value: jsii.String(value)}
			if key != "" {
				one.Key = jsii.String(key)
			}
			values = append(values, one)
		}
		all = append(all, elb.ListenerCondition_QueryStrings(&values))
	}
	if r.asksOrigin {
		all = append(all, elb.ListenerCondition_HttpHeader(jsii.String(config.OriginHeader), &[]*string{r.OriginSecret.SecretValue().UnsafeUnwrap()}))
	}
	return &all
}

func (r *Routing) weighted(targets []migration.Target) elb.ListenerAction {
	groups := make([]*elb.WeightedTargetGroup, len(targets))
	for i, target := range targets {
		groups[i] = &elb.WeightedTargetGroup{
			TargetGroup: r.TargetGroups[target.Group],
			Weight:      jsii.Number(target.Weight),
		}
	}
	return elb.ListenerAction_WeightedForward(&groups, nil)
}

package stacks

import (
	"fmt"
	"slices"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslogs"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"

	"cutover/config"
	"cutover/migration"
)

// Add adds all stacks of the deployment to the scope. The deployment and the settings come from
// [config.Load]. The function images returns the Docker build context of each service, by name. Add
// calls it before it adds the stacks that have their programs, and returns its error; with functions, twice.
func Add(scope constructs.Construct, d config.Deployment, s config.Settings, images func() (map[string]string, error)) error {
	return add(scope, d, s, images, true)
}

// AddCore adds only the stacks that answer requests, as [Add] does: the network, the cluster,
// the load balancers and the services.
func AddCore(scope constructs.Construct, d config.Deployment, s config.Settings, images func() (map[string]string, error)) error {
	return add(scope, d, s, images, false)
}

func add(scope constructs.Construct, d config.Deployment, s config.Settings, images func() (map[string]string, error), all bool) error {
	awscdk.Tags_Of(scope).Add(jsii.String("environment"), jsii.String(s.Env), &awscdk.TagProps{
		// cfn-lint allows no tags on these. Each is part of something with a tag.
		ExcludeResourceTypes: jsii.Strings("AWS::CloudFront::VpcOrigin", "AWS::CloudWatch::Dashboard", "AWS::ElasticLoadBalancingV2::Listener", "AWS::ElasticLoadBalancingV2::ListenerRule"),
	})
	if s.Phase == migration.Removed {
		d.Monolith.Calls = nil // nobody is there who calls
	}
	var on needs
	var phases []awscdk.Stack
	var watch awscdk.Stack
	m := d.Migration()
	locks := m.Locks(m.State(s.Position))
	if all {
		on.gates, on.registry = newGate(scope, s, locks), NewRegistry(scope, d, s)
		for i, gate := range on.gates[1:] {
			depend(gate, on.gates[i], "what is about all services is refused first")
		}
	}
	network := NewNetwork(scope, d, s)
	cluster := NewCluster(scope, d, s, network)
	if cluster.Stack != nil && len(m.ComputeLocks(m.State(s.Position))) > 0 {
		on.afterGates(cluster.Stack) // instances go with the last service on EC2
	}
	plan := m.Plan(s.Position)
	functions, err := newFunctions(scope, d, s, plan, images, on)
	if err != nil {
		return err
	}
	var alarms *Alarms
	for _, balancer := range plan.Balancers {
		routing := NewRouting(scope, s, d, balancer, network, functions, alarms)
		on.afterGates(routing.Stack)
		on.routings = append(on.routings, routing)
		alarms = on.routings[0].Alarms
	}
	front, err := NewFront(scope, s, d, network, on, functions)
	if err != nil {
		return err
	}
	if front != nil {
		on.afterGates(front.Stack)
	}
	ui, err := NewUI(scope, s, d, on, front)
	if err != nil {
		return err
	}
	if all {
		phases = newPhase(scope, s, locks)
	}
	on.alike = newAlike(scope, s, network, cluster)
	for _, routing := range on.routings {
		on.alike.balancers[routing.Name] = routing.dnsName
	}
	on.discovery = NewDiscovery(scope, d, s, network)
	on.afterGates(on.discovery.connect)
	on.afterGates(on.discovery.mapped)
	if len(d.VolumeNames()) > 0 {
		on.files = NewFiles(scope, s, d, network)
		on.afterGates(on.files.Stack)
	}
	if on.data = NewData(scope, s, d, network, on.routings[0].Alarms); on.data != nil {
		on.afterGates(on.data.Stack)
		functionsAfterTables(functions, d, s, on.data)
	}
	if on.broker = NewBroker(scope, s, d, network, on.routings[0].Alarms); on.broker != nil {
		on.afterGates(on.broker.Stack)
	}
	contexts, err := images()
	if err != nil {
		return err
	}
	if on.events = NewEvents(scope, s, d, functions, on.routings[0].Alarms); on.events != nil {
		on.afterGates(on.events.Stack)
		if _, err := newRelays(scope, s, d, on.events, on.data, contexts); err != nil {
			return err
		}
	}
	services := addServices(scope, d, s, plan, contexts, on)
	for _, stack := range services {
		for _, phase := range phases {
			depend(phase, stack, "the phase is reached when every service is")
		}
	}
	if all && s.Dashboard {
		watch = NewWatch(scope, d, s, on.routings, ui)
	}
	for _, stack := range services {
		depend(watch, stack, "a saved query needs the log groups that it asks")
	}
	return nil
}

// needs is what the stacks of the services need. The gates and the registry may be missing.
type needs struct {
	gates     []awscdk.Stack
	registry  awscdk.Stack
	routings  []*Routing
	alike     *Alike
	files     *Files
	data      *Data
	events    *Events
	broker    *Broker
	discovery *Discovery
}

// afterGates lets a stack wait until the phase is not refused.
func (n needs) afterGates(stack awscdk.Stack) {
	for _, gate := range n.gates {
		depend(stack, gate, "the phase has to follow the deployed one")
	}
}

// depend lets a stack wait for another one, if there are both.
func depend(stack, on awscdk.Stack, reason string) {
	if stack != nil && on != nil {
		stack.AddStackDependency(on, jsii.String(reason))
	}
}

// addServices adds a stack for each service of the deployment, in its order.
func addServices(scope constructs.Construct, d config.Deployment, s config.Settings, plan migration.Plan, contexts map[string]string, on needs) []awscdk.Stack {
	var stacks []awscdk.Stack
	monolith := d.Migration().Leading(d.Monolith.Name, s.Position)
	if s.Phase == migration.Removed {
		monolith = ""
		stacks = append(stacks, newRemoved(scope, s, d.Monolith.Name, on))
	}
	made := map[string]awscdk.Stack{}
	for _, service := range calleesFirst(d, deployed(d, s)) {
		behind, compared := on.routings, map[string]string{} // the monolith
		if service.Name != d.Monolith.Name {
			at := slices.IndexFunc(on.routings, func(r *Routing) bool { return r.Name == service.LoadBalancer })
			behind = on.routings[at : at+1]
			compared[service.Pairs()[0].Name] = monolith
		}
		if pairs := service.Pairs(); len(pairs) > 1 {
			compared[pairs[1].Name] = pairs[0].Name // the old pair is what the new one must not be worse than
		}
		stack := NewService(scope, s, &ServiceProps{
			Service:  service,
			Compared: compared,
			Tasks:    plan.Tasks,
			Context:  contexts[service.Name],
			Alike:    on.alike,
			Routings: behind,
			Files:    on.files,
			Data:     on.data,
			Broker:   on.broker,

			Discovery:  on.discovery,
			Deployment: d,
		})
		made[service.Name] = stack
		for _, callee := range d.Before(service) {
			depend(stack, made[callee], "a service is deployed after those that it calls")
		}
		if _, proxied := d.Proxy(service); proxied {
			depend(stack, on.discovery.connect, "a proxy has the names of a namespace that exists")
		}
		if _, mapped := service.CloudMap(); mapped {
			depend(stack, on.discovery.mapped, "a task registers in a namespace that exists")
		}
		if on.files != nil && len(service.AllVolumes()) > 0 {
			depend(stack, on.files.Stack, "a task mounts its volumes before it starts")
		}
		if len(d.StoresOf(service, s.Position)) > 0 {
			depend(stack, on.data.Stack, "a task uses its table or database from its start")
		}
		if service.Broker != "" {
			depend(stack, on.broker.Stack, "a task reads the address of the broker before it starts")
		}
		if on.events != nil {
			depend(stack, on.events.Stack, "a worker asks a queue that exists")
		}
		if service.Repository() {
			depend(stack, on.registry, "its image is pushed to its repository")
		}
		for _, routing := range behind {
			depend(stack, routing.Stack, "a service needs a target group that a listener uses")
		}
		stacks = append(stacks, stack)
	}
	return stacks
}

// deployed lists the services that have an ECS service: all of them, or all but a monolith that is
// removed.
func deployed(d config.Deployment, s config.Settings) []config.Service {
	if s.Phase == migration.Removed {
		return d.Services
	}
	return d.All()
}

// newStack makes a stack whose name begins with the environment's. Only the lookup of an
// existing VPC needs an account and a region. Without it, stacks belong to none: the
// reviewed template is deployed, wherever that is.
func newStack(scope constructs.Construct, s config.Settings, part, description string, synthesizer awscdk.IStackSynthesizer) awscdk.Stack {
	name := jsii.String(stackName(s, part))
	props := &awscdk.StackProps{
		StackName:             name,
		Description:           jsii.String(description),
		Synthesizer:           synthesizer,
		TerminationProtection: jsii.Bool(s.DeletionProtection),
	}
	if s.LooksUp() {
		props.Env = &awscdk.Environment{Account: jsii.String(s.Account), Region: jsii.String(s.Region)}
	}
	return awscdk.NewStack(scope, name, props)
}

// retention are the construct's constants for the periods that the settings allow.
var retention = map[int]awslogs.RetentionDays{
	1: awslogs.RetentionDays_ONE_DAY, 3: awslogs.RetentionDays_THREE_DAYS, 5: awslogs.RetentionDays_FIVE_DAYS,
	7: awslogs.RetentionDays_ONE_WEEK, 14: awslogs.RetentionDays_TWO_WEEKS, 30: awslogs.RetentionDays_ONE_MONTH,
	60: awslogs.RetentionDays_TWO_MONTHS, 90: awslogs.RetentionDays_THREE_MONTHS, 120: awslogs.RetentionDays_FOUR_MONTHS,
	150: awslogs.RetentionDays_FIVE_MONTHS, 180: awslogs.RetentionDays_SIX_MONTHS, 365: awslogs.RetentionDays_ONE_YEAR,
	400: awslogs.RetentionDays_THIRTEEN_MONTHS, 545: awslogs.RetentionDays_EIGHTEEN_MONTHS, 731: awslogs.RetentionDays_TWO_YEARS,
	1096: awslogs.RetentionDays_THREE_YEARS, 1827: awslogs.RetentionDays_FIVE_YEARS, 2192: awslogs.RetentionDays_SIX_YEARS,
	2557: awslogs.RetentionDays_SEVEN_YEARS, 2922: awslogs.RetentionDays_EIGHT_YEARS, 3288: awslogs.RetentionDays_NINE_YEARS,
	3653: awslogs.RetentionDays_TEN_YEARS,
}

// newLogGroup makes a log group with the retention of the settings. If the name is nil,
// CloudFormation chooses a name.
func newLogGroup(scope constructs.Construct, id string, s config.Settings, name *string) awslogs.LogGroup {
	return awslogs.NewLogGroup(scope, jsii.String(id), &awslogs.LogGroupProps{
		LogGroupName:  name,
		Retention:     retention[s.LogRetentionDays],
		RemovalPolicy: removalPolicy(s),
	})
}

func removalPolicy(s config.Settings) awscdk.RemovalPolicy {
	if s.Retain {
		return awscdk.RemovalPolicy_RETAIN
	}
	return awscdk.RemovalPolicy_DESTROY
}

// suppression keeps cdk-nag from reporting a rule, and says why. If a rule has several
// findings on one resource, the suppression names its findings. Others are reported.
type suppression struct {
	rule, reason string
	findings     []string
}

// suppress adds the suppressions of a resource to the template.
func suppress(resource constructs.IConstruct, suppressions ...suppression) {
	cfn, ok := resource.(awscdk.CfnResource)
	if !ok {
		cfn = resource.Node().DefaultChild().(awscdk.CfnResource)
	}
	rules := make([]map[string]any, len(suppressions))
	for i, s := range suppressions {
		rules[i] = map[string]any{"id": s.rule, "reason": s.reason}
		if len(s.findings) > 0 {
			rules[i]["applies_to"] = s.findings
		}
	}
	// https://github.com/cdklabs/cdk-nag#suppressing-a-rule
	cfn.AddMetadata(jsii.String("cdk_nag"), map[string]any{"rules_to_suppress": rules})
}

// onlyForThisAccount lets AWS services assume the roles only on behalf of this account. Otherwise
// somebody else's resource could make a service use them. The pages on the roles of tasks and of flow
// logs have the condition
// (https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-iam-roles.html,
// https://docs.aws.amazon.com/vpc/latest/userguide/flow-logs-iam-role.html).
func onlyForThisAccount(roles ...awsiam.IRole) {
	for _, role := range roles {
		role.Node().DefaultChild().(awsiam.CfnRole).AddPropertyOverride(jsii.String("AssumeRolePolicyDocument.Statement.0.Condition"),
			map[string]any{"StringEquals": map[string]any{"aws:SourceAccount": map[string]any{"Ref": "AWS::AccountId"}}})
	}
}

// output adds an output to the stack, for people and scripts.
func output(stack awscdk.Stack, id, description string, value *string) {
	awscdk.NewCfnOutput(stack, jsii.String(id), &awscdk.CfnOutputProps{
		Value:       value,
		Description: jsii.String(description),
	})
}

// tagService tags everything below the scope with the service, for cost allocation.
func tagService(scope constructs.IConstruct, service string) {
	awscdk.Tags_Of(scope).Add(jsii.String("service"), jsii.String(service), nil)
}

// publishingRole returns the ARN of the role with which the CDK command line pushes
// images. The bootstrap stack names the role
// (https://docs.aws.amazon.com/cdk/v2/guide/bootstrapping-customizing.html).
func publishingRole(stack awscdk.Stack) *string {
	qualifier := "hnb659fds"
	if q, ok := stack.Node().TryGetContext(jsii.String("@aws-cdk/core:bootstrapQualifier")).(string); ok {
		qualifier = q
	}
	return awscdk.Fn_Sub(jsii.String(fmt.Sprintf(
		"arn:${AWS::Partition}:iam::${AWS::AccountId}:role/cdk-%s-image-publishing-role-${AWS::AccountId}-${AWS::Region}", qualifier)), nil)
}

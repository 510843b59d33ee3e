// Package model reads each resource of an assembly once, into a typed value:
//
//	m := model.Read(assembly)
//	for _, service := range m.Services {
//		fmt.Println(service.Name, service.TaskDefinition.Family)
//	}
//
// Reading never fails. A value that cannot be read has its default, and its resource
// has a [Problem]. A reader that does not need the value is not disturbed. A member
// that the typed value does not have is a [Setting] of the resource. Readers decide:
//
//   - The local target refuses every problem, and each setting that it does not pass over.
//   - The others ask for the problems of the properties that they use.
//
// A resource whose condition does not hold is not in the model. Lists are in the order of the
// stacks, and of the logical ids within each. Resources that exist already come first, see [Base.Existing]. The name of a resource is its logical id if
// CloudFormation makes up the name.
package model

import (
	"cmp"
	"crypto/sha256"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"cutover/internal/assembly"
)

// Problem is a value that cannot be read.
type Problem = assembly.Problem

// Setting is a member of a resource that its typed value does not have.
type Setting = assembly.Setting

// Model is what templates say. Goroutines may share it: it does not change after [Read].
type Model struct {
	Assembly *assembly.Assembly

	LoadBalancers []*LoadBalancer
	TargetGroups  []*TargetGroup
	Listeners     []*Listener
	// Rules are those of all listeners, without the default rules.
	Rules []*Rule

	// Namespaces and DiscoveryServices are those of AWS Cloud Map.
	Namespaces        []*Namespace
	DiscoveryServices []*DiscoveryService

	Clusters        []*Cluster
	TaskDefinitions []*TaskDefinition
	Services        []*Service
	ScalableTargets []*ScalableTarget
	ScalingPolicies []*ScalingPolicy
	// Schedules are rules of EventBridge and schedules of EventBridge Scheduler.
	Schedules  []*Schedule
	Parameters []*Parameter
	Secrets    []*ManagedSecret

	// Tables are those of DynamoDB, global ones last.
	Tables            []*Table
	DatabaseClusters  []*DatabaseCluster
	DatabaseInstances []*DatabaseInstance

	VPCs           []*VPC
	Subnets        []*Subnet
	Instances      []*Instance
	Endpoints      []*Endpoint
	SecurityGroups []*SecurityGroup
	// SecurityGroupRules are those of groups, then those with a resource of their own.
	SecurityGroupRules []*SecurityGroupRule
	FileSystems        []*FileSystem
	AccessPoints       []*AccessPoint
	LaunchTemplates    []*Launch
	AutoScalingGroups  []*AutoScalingGroup
	Repositories       []*Repository

	Roles            []*Role
	InstanceProfiles []*InstanceProfile
	Policies         []*Policy
	ResourcePolicies []*ResourcePolicy

	// Functions and what belongs to them are those of Lambda.
	Functions           []*Function
	FunctionVersions    []*FunctionVersion
	FunctionAliases     []*FunctionAlias
	FunctionPermissions []*FunctionPermission
	// OutsideFunctions are those that a target group names by an ARN, and that are not in the assembly. What is not in
	// an ARN has its default.
	OutsideFunctions []*Function

	// Topics, Subscriptions, Queues and EventSources carry events.
	Topics         []*Topic
	Subscriptions  []*Subscription
	Queues         []*Queue
	EventSources   []*EventSource
	EncryptionKeys []*EncryptionKey
	// Brokers are those of Amazon MQ.
	Brokers []*Broker

	// Distributions are those of CloudFront, and BucketFiles what deployments copy into buckets.
	Distributions []*Distribution
	Buckets       []*Bucket
	BucketFiles   []*BucketFiles

	WebACLs []*WebACL

	// RestAPIs and what belongs to them are those of API Gateway.
	RestAPIs       []*RestAPI
	APIResources   []*APIResource
	APIMethods     []*APIMethod
	APIValidators  []*APIValidator
	APIModels      []*APIModel
	APIDeployments []*APIDeployment
	APIStages      []*APIStage
	APIAccounts    []*APIAccount
	VPCLinks       []*VPCLink

	values map[*assembly.Resource]any
}

func Read(a *assembly.Assembly) *Model {
	m := &Model{Assembly: a, values: map[*assembly.Resource]any{}}
	// A resource is read before the resources that refer to it.
	m.readNetwork()
	m.readSecurityGroups()
	m.FileSystems = all(m, EFSFileSystem, (*FileSystem).read)
	m.AccessPoints = all(m, EFSAccessPoint, m.accessPoint)
	all(m, EFSMountTarget, m.mountTarget)
	m.LaunchTemplates = all(m, EC2LaunchTemplate, (*Launch).readTemplate)
	all(m, EC2LaunchConfiguration, (*Launch).read)
	m.Repositories = all(m, ECRRepository, (*Repository).read)
	all(m, CloudWatchAlarm, (*Alarm).read)

	m.Roles = all(m, IAMRole, (*Role).read)
	m.InstanceProfiles = all(m, IAMInstanceProfile, func(i *InstanceProfile, p assembly.Value) { i.Roles = m.roles(p) })
	m.Policies = append(all(m, IAMPolicy, m.policy), all(m, IAMManagedPolicy, m.policy)...)
	for _, stack := range a.Stacks {
		for _, resource := range stack.Resources {
			m.resourcePolicy(resource)
		}
	}

	m.LoadBalancers = all(m, ELBLoadBalancer, m.loadBalancer)
	m.TargetGroups = all(m, ELBTargetGroup, (*TargetGroup).read)
	m.AutoScalingGroups = all(m, EC2AutoScalingGroup, m.autoScalingGroup)
	m.Listeners = all(m, ELBListener, m.listener)
	m.Rules = all(m, ELBListenerRule, m.rule)

	m.readKeys()
	m.readMessaging()
	m.readLambda()
	m.readAPIs()
	m.readServiceDiscovery()
	m.Clusters = all(m, ECSCluster, m.cluster)
	all(m, ECSCapacityProvider, (*CapacityProvider).read)
	m.TaskDefinitions = all(m, ECSTaskDefinition, m.taskDefinition)
	m.readDomains()
	m.Services = all(m, ECSService, m.service)
	m.Schedules = append(all(m, EventsRule, m.scheduledRule), all(m, SchedulerSchedule, m.schedule)...)
	m.ScalableTargets = all(m, AppAutoScalingTarget, m.scalableTarget)
	m.ScalingPolicies = all(m, AppAutoScalingPolicy, m.scalingPolicy)
	m.Parameters = all(m, SSMParameter, (*Parameter).read)
	m.readSecrets()
	m.Brokers = all(m, MQBroker, m.broker)
	m.Tables = append(all(m, DynamoDBTable, (*Table).read), all(m, DynamoDBGlobalTable, (*Table).read)...)
	m.EventSources = all(m, LambdaEventSource, m.eventSource)
	m.readDatabases()
	m.readCloudFront()
	m.readWAF()
	distinguish(m.TargetGroups, "Name", func(g *TargetGroup) *string { return &g.Name })
	distinguish(m.Services, "ServiceName", func(s *Service) *string { return &s.Name })
	distinguish(m.Schedules, "Name", func(s *Schedule) *string { return &s.Name })
	return m
}

// Value returns the typed value of a resource; nil if the model has none.
func (m *Model) Value(resource *assembly.Resource) any { return m.values[resource] }

// Base is what all typed values have.
type Base struct {
	Resource *assembly.Resource
	// Problems are the values that could not be read.
	Problems []Problem
	// Settings are the members in the template, at every level, that the value does not have.
	Settings []Setting
}

func (b *Base) base() *Base { return b }

// Key is the resource's place in the assembly, "stack/logical id"; empty without a resource.
func (b *Base) Key() string {
	if b.Resource == nil {
		return ""
	}
	return b.Resource.String()
}

// Existing says that the resource exists already, and that nobody deploys it. See [assembly.Assembly.Existing].
func (b *Base) Existing() bool { return b.Resource != nil && b.Resource.Stack.Existing }

// Errorf returns an [*assembly.Error] about a property, like "DesiredCount".
func (b *Base) Errorf(property, format string, args ...any) error {
	return b.Resource.Errorf("Properties."+property, format, args...)
}

// Problem joins the problems of some properties, or of all. A bad condition concerns them all.
func (b *Base) Problem(properties ...string) error {
	var errs []error
	for _, problem := range b.Problems {
		if within(problem.Property, properties) {
			errs = append(errs, problem.Err)
		}
	}
	return assembly.Join(errs...)
}

// Unsupported joins the problems of some properties, or of all, with an error for
// each setting there that is not passed over.
//
// passed has names of members, or of objects around them, with the only value to pass over, or ""
// for any value and problem. Reasons are by the name of the member, or of an object around it.
func (b *Base) Unsupported(passed, reasons map[string]string, properties ...string) error {
	inPassed := func(objects ...string) bool {
		return slices.ContainsFunc(objects, func(object string) bool {
			object, _, _ = strings.Cut(object, "[")
			only, ok := passed[object]
			return ok && only == ""
		})
	}
	var errs []error
	for _, problem := range b.Problems {
		property, attribute, _ := strings.Cut(strings.TrimPrefix(problem.Property, "Properties."), " (")
		property, _, _ = strings.Cut(property, ".")
		if within(problem.Property, properties) && !inPassed(property, strings.TrimSuffix(attribute, ")")) {
			errs = append(errs, problem.Err)
		}
	}
	for _, setting := range b.Settings {
		only, ok := passed[setting.Name]
		switch {
		case !within(setting.Property, properties), inPassed(strings.Split(setting.Property, ".")...), ok && (only == "" || only == fmt.Sprint(setting.Value)):
		case ok:
			errs = append(errs, setting.Resource.Errorf(setting.Property, "%v is not honoured: %s", setting.Value, cmp.Or(reasons[setting.Name], "only "+only+" is known here")))
		default:
			reason := ""
			for part := range strings.SplitSeq(setting.Property, ".") {
				object, _, _ := strings.Cut(part, "[")
				reason = cmp.Or(reasons[setting.Name], reasons[object], reason)
			}
			errs = append(errs, setting.NotHonoured(reason))
		}
	}
	return assembly.Join(errs...)
}

// Only refuses a value that is not honoured. The reason "" lists the honoured values.
func (b *Base) Only(property, value, reason string, honoured ...string) error {
	if slices.Contains(honoured, value) {
		return nil
	}
	return b.Errorf(property, "%q is not honoured: %s", value, cmp.Or(reason, "only "+strings.Join(honoured, ", ")+" is known here"))
}

// within says whether a path is below one of the properties, or below any if none are given.
func within(path string, properties []string) bool {
	rest, ok := strings.CutPrefix(path, "Properties.")
	return !ok || len(properties) == 0 || slices.ContainsFunc(properties, func(property string) bool {
		after, ok := strings.CutPrefix(rest, property)
		return ok && (after == "" || strings.ContainsAny(after[:1], ".[ "))
	})
}

// Tag returns the value of a tag in a list of tags. It is empty if unset or not known yet.
func Tag(resource *assembly.Resource, key string) string {
	var tags []any
	for _, property := range []string{"Tags", "FileSystemTags", "AccessPointTags"} {
		list, _ := resource.Properties[property].([]any)
		tags = append(tags, list...)
	}
	if resource.Type == DynamoDBGlobalTable { // each replica has tags of its own
		replicas, _ := resource.Properties["Replicas"].([]any)
		for _, replica := range replicas {
			of, _ := replica.(map[string]any)
			list, _ := of["Tags"].([]any)
			tags = append(tags, list...)
		}
	}
	for _, tag := range tags {
		if tag, ok := tag.(map[string]any); ok && tag["Key"] == key {
			value, _ := tag["Value"].(string)
			return value
		}
	}
	return ""
}

func all[T any, P interface {
	*T
	base() *Base
}](m *Model, resourceType string, read func(P, assembly.Value)) []P {
	var values []P
	resources := m.Assembly.Resources(resourceType)
	if existing := m.Assembly.Existing; existing != nil {
		resources = slices.Concat(existing.Of(resourceType), resources)
	}
	for _, resource := range resources {
		exists, err := resource.Exists(m.Assembly)
		if err == nil && !exists {
			continue
		}
		reader, value := assembly.NewReader(m.Assembly, resource), P(new(T))
		b := value.base()
		b.Resource = resource
		read(value, reader.Properties())
		b.Problems, b.Settings = append(b.Problems, reader.Problems()...), reader.Settings()
		if err != nil {
			b.Problems = append(b.Problems, Problem{Property: "Condition", Err: err})
		}
		m.values[resource] = value
		values = append(values, value)
	}
	return values
}

// refer returns what a value identifies by Ref or an attribute, nil if absent, or else a problem.
func refer[T any](m *Model, v assembly.Value, resourceType string, attributes ...string) *T {
	resource := v.Resource(resourceType, attributes...)
	value, ok := m.values[resource].(*T)
	if !ok && resource != nil {
		v.Refuse("%v is left out of its template: its condition does not hold", resource)
	}
	return value
}

// elsewhere is like refer, for a resource that may be outside of the assembly.
func elsewhere[T any](m *Model, v assembly.Value, resourceType string, attributes ...string) *T {
	value, _ := m.values[v.Elsewhere(resourceType, attributes...)].(*T)
	return value
}

// name reads a name. If CloudFormation makes up the name, the logical id stands for it, without the
// hash of CDK.
func name(b *Base, v assembly.Value) string {
	if name := v.Text(""); name != "" {
		return name
	}
	return readable(b.Resource)
}

// MadeUp is a name for a resource that its template leaves to the deployment, in the style of CloudFormation: of the
// stack and the logical id, before an ending such as ".fifo". A name over the most characters is cut. A hash
// then tells it from others, where CloudFormation has random characters.
// https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-properties-name.html
func MadeUp(r *assembly.Resource, ending string, most int) string {
	name := r.Stack.Name + "-" + r.LogicalID
	if len(name)+len(ending) > most {
		end := fmt.Sprintf("-%x", sha256.Sum256([]byte(name)))[:13]
		name = name[:most-len(end)-len(ending)] + end
	}
	return name + ending
}

// hash is the end of a logical id that CDK makes of a construct's path.
// https://docs.aws.amazon.com/cdk/v2/guide/identifiers.html#identifiers-logical-ids
var hash = regexp.MustCompile(`(.)[0-9A-F]{8}$`)

func readable(r *assembly.Resource) string { return hash.ReplaceAllString(r.LogicalID, "$1") }

// distinguish puts the stack before names that stand for made-up ones and that others have, too. In a
// stack, the whole logical id tells two of them apart.
func distinguish[T interface{ base() *Base }](all []T, property string, name func(T) *string) {
	count := func() map[string]int {
		n := map[string]int{}
		for _, one := range all {
			n[*name(one)]++
		}
		return n
	}
	for _, better := range []func(*assembly.Resource) string{
		func(r *assembly.Resource) string { return r.Stack.Name + "/" + readable(r) },
		func(r *assembly.Resource) string { return r.String() },
	} {
		n := count()
		for _, one := range all {
			if r, at := one.base().Resource, name(one); n[*at] > 1 && r.Properties[property] == nil {
				*at = better(r)
			}
		}
	}
}

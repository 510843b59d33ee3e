package review

import (
	"cmp"
	"fmt"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"cutover/config"
	"cutover/internal/assembly"
	"cutover/internal/existing"
	"cutover/internal/model"
	"cutover/migration"
)

// ExistingChange is what a change does to what exists already and is not the deployment's, such as a load balancer of another
// team. It is the same in all of its pairs.
type ExistingChange struct {
	In []string `json:"in"`
	// Of is a resource of a template by its construct path, a setting, or [assembly.ExistingFile].
	Of string `json:"of"`
	// Does is in words what happens, and what to do. Touches says that something that exists already is changed, or that requests
	// on its listener are answered otherwise. Else it was changed by others, and is described anew.
	Does    string `json:"does"`
	Touches bool   `json:"touches"`
}

// Existing lists what the pairs do to what exists already. What touches it comes first. Before and after are the lists of services,
// zero where there is none: they name the monolith's target group, and where rules may be.
func Existing(pairs []Pair, before, after config.Deployment) []ExistingChange {
	of := func(pair Pair) []ExistingChange {
		was, is := read(pair.Before, before), read(pair.After, after)
		if !was.beside() && !is.beside() {
			return nil
		}
		all := touches(was, is)
		all = append(all, was.moves(is)...)
		return append(all, was.drift(is)...)
	}
	return merged(pairs, of)
}

func (c *ExistingChange) told() told { return told{&c.In, c.Of, c.Does, c.Touches} }

// foreign is an assembly as far as it is about what exists already.
type foreign struct {
	*model.Model
	list config.Deployment
	// clusters and providers are the names of those that exist already, as services have them.
	clusters, providers []string
}

func read(a *assembly.Assembly, list config.Deployment) *foreign {
	f := &foreign{Model: model.Read(a), list: list}
	for _, r := range a.Resources(model.ECSService) {
		f.literals(r, func(path, text string) {
			switch path {
			case "Cluster":
				f.clusters = append(f.clusters, text)
			case "CapacityProviderStrategy.CapacityProvider":
				f.providers = append(f.providers, text)
			}
		})
	}
	return f
}

// beside says whether the assembly has parts beside a load balancer or on a cluster that exists already.
func (f *foreign) beside() bool {
	return f.Assembly.Existing != nil || len(f.clusters) > 0 || len(f.listeners()) > 0
}

// literals calls do with each text in the properties of a resource, and with its path there, without the places in lists. What the
// templates make themselves has references in place of texts.
func (f *foreign) literals(r *assembly.Resource, do func(path, text string)) {
	var walk func(path string, v any)
	walk = func(path string, v any) {
		switch v := v.(type) {
		case string:
			do(path, v)
		case []any:
			for _, one := range v {
				walk(path, one)
			}
		case map[string]any:
			for _, key := range slices.Sorted(maps.Keys(v)) {
				walk(strings.TrimPrefix(path+"."+key, "."), v[key])
			}
		}
	}
	for _, property := range slices.Sorted(maps.Keys(r.Properties)) {
		value, err := r.Resolve(f.Assembly, property)
		if err != nil { // a part of it is known at the deployment only
			value = r.Properties[property]
		}
		walk(property, value)
	}
}

// listeners are the ARNs of the listeners that exist already and have rules of ours.
func (f *foreign) listeners() (arns []string) {
	for _, r := range f.Assembly.Resources(model.ELBListenerRule) {
		if arn, _ := f.listenerOf(r); arn != "" && !slices.Contains(arns, arn) {
			arns = append(arns, arn)
		}
	}
	slices.Sort(arns)
	return arns
}

// listenerOf is the ARN of the listener of a rule that exists already, and the rule's priority.
func (f *foreign) listenerOf(r *assembly.Resource) (arn string, priority int) {
	if value, err := r.Resolve(f.Assembly, "ListenerArn"); err == nil {
		arn, _ = value.(string)
	}
	if rule, ok := f.Value(r).(*model.Rule); ok {
		priority = rule.Priority
	}
	return arn, priority
}

// ids are those of what exists already, for nothing else has a literal one in a template.
var ids = regexp.MustCompile(`^(?:(vpc|subnet|sg|rtb|acl|igw|nat)-[0-9a-f]+|arn:[^:]+:elasticloadbalancing:[^:]*:[^:]*:(loadbalancer|listener|listener-rule|targetgroup)/.+|arn:[^:]+:ecs:[^:]*:[^:]*:(cluster)/.+)$`)

// what is the kind of an id, in words.
var what = map[string]string{
	"vpc": "VPC", "subnet": "subnet", "sg": "security group", "rtb": "route table", "acl": "network ACL", "igw": "internet gateway", "nat": "NAT gateway",
	"loadbalancer": "load balancer", "listener": "listener", "listener-rule": "listener rule", "targetgroup": "target group", "cluster": "cluster",
}

// whose is a thing that exists already, by its id.
func whose(id string) string {
	match := ids.FindStringSubmatch(id)
	if match == nil {
		return ""
	}
	return "the " + what[cmp.Or(match[1], match[2], match[3])] + " " + id
}

// uses are the properties that name what exists already and leave it as it is, by the type of their resource.
var uses = map[string][]string{
	model.ELBListenerRule:          {"ListenerArn", "Actions.TargetGroupArn", "Actions.ForwardConfig.TargetGroups.TargetGroupArn"},
	model.ELBTargetGroup:           {"VpcId"},
	model.ELBLoadBalancer:          {"Subnets", "SubnetMappings.SubnetId", "SecurityGroups"},
	model.EC2SecurityGroup:         {"VpcId", "SecurityGroupIngress.SourceSecurityGroupId", "SecurityGroupEgress.DestinationSecurityGroupId"},
	model.EC2SecurityGroupIngress:  {"SourceSecurityGroupId"},
	model.EC2SecurityGroupEgress:   {"DestinationSecurityGroupId"},
	model.EC2AutoScalingGroup:      {"VPCZoneIdentifier"},
	model.EC2LaunchTemplate:        {"LaunchTemplateData.SecurityGroupIds"},
	model.ECSService:               {"Cluster", "NetworkConfiguration.AwsvpcConfiguration.Subnets", "NetworkConfiguration.AwsvpcConfiguration.SecurityGroups"},
	model.ECSTaskDefinition:        {"ContainerDefinitions.Environment.Value"},
	model.EventsRule:               {"Targets.Arn", "Targets.EcsParameters.NetworkConfiguration.AwsVpcConfiguration.Subnets", "Targets.EcsParameters.NetworkConfiguration.AwsVpcConfiguration.SecurityGroups"},
	model.SchedulerSchedule:        {"Target.Arn", "Target.EcsParameters.NetworkConfiguration.AwsvpcConfiguration.Subnets", "Target.EcsParameters.NetworkConfiguration.AwsvpcConfiguration.SecurityGroups"},
	model.APIGatewayVPCLink:        {"SubnetIds", "SecurityGroupIds"},
	model.CloudMapPrivateNamespace: {"Vpc"},
	model.EFSMountTarget:           {"SubnetId", "SecurityGroups"},
	model.LambdaFunction:           {"VpcConfig.SubnetIds", "VpcConfig.SecurityGroupIds"},
	model.MQBroker:                 {"SubnetIds", "SecurityGroups"},
	model.RDSSubnetGroup:           {"SubnetIds"},
	model.SSMParameter:             {"Value"},
}

// touches are the resources that are, change or are attached to what exists already: those that are new, changed, or gone.
func touches(was, is *foreign) (all []ExistingChange) {
	before, after := was.touched(), is.touched()
	add := func(t touch, more string) {
		all = append(all, ExistingChange{Of: place(t.by), Does: t.does + more, Touches: true})
	}
	for _, t := range after {
		if i := slices.IndexFunc(before, t.same); i < 0 || !reflect.DeepEqual(before[i].by.Properties, t.by.Properties) {
			add(t, "")
		}
	}
	for _, t := range before {
		if !slices.ContainsFunc(after, t.same) {
			add(t, ". It goes with this change, and what it has changed does not come back by itself")
		}
	}
	return all
}

// touch is what a resource does to what exists already.
type touch struct {
	by   *assembly.Resource
	does string
}

func (t touch) same(other touch) bool {
	return t.by.String() == other.by.String() && t.does == other.does
}

func (f *foreign) touched() (all []touch) {
	for _, stack := range f.Assembly.Stacks {
		for _, r := range stack.Resources {
			for _, does := range f.touchedBy(r) {
				all = append(all, touch{r, does})
			}
		}
	}
	return all
}

// touchedBy says what a resource does to what exists already.
func (f *foreign) touchedBy(r *assembly.Resource) (all []string) {
	add := func(format string, args ...any) { all = append(all, fmt.Sprintf(format, args...)) }
	f.literals(r, func(path, text string) {
		switch thing := whose(text); {
		case r.Type == model.ECSCluster && path == "ClusterName" && slices.Contains(f.clusters, text):
			add("is called %s, as the cluster that exists already: the deployment fails, or an import takes the cluster over. Remove it from the template", text)
		case r.Type == model.ECSCapacityProvider && path == "Name" && slices.Contains(f.providers, text):
			add("is called %s, as the capacity provider that exists already: the deployment fails, or an import takes it over. Remove it from the template", text)
		case r.Type == model.ECSClusterCapacityProviders && path == "Cluster":
			add("replaces the capacity providers of the cluster %s, which exists already: services of others may find no capacity. Remove it from the template", text)
		case (r.Type == model.ELBLoadBalancer || r.Type == model.ELBTargetGroup) && path == "Name" && f.named(r.Type, text):
			add("is called %s, as one that exists already: the deployment fails, or an import takes it over. Give it another name", text)
		case thing == "" || slices.Contains(uses[r.Type], path):
		case path == "GroupId":
			add("adds a rule to %s, which exists already. Admit it in a group of the deployment, or let its owner add the rule", thing)
		case r.Type == model.ELBListener && path == "LoadBalancerArn":
			add("adds a listener to %s, which exists already. Put rules on a listener that it has, with listenerArn", thing)
		default:
			add("changes %s, which exists already, by %s of a resource of type %s. Nothing but its owner may: remove it from the template", thing, path, r.Type)
		}
	})
	if r.Type != model.ELBListenerRule {
		return all
	}
	arn, priority := f.listenerOf(r)
	if arn == "" || priority == 0 {
		return all
	}
	if holder := f.holder(arn, priority); holder != nil {
		add("has priority %d, which the rule %s has that exists already: AWS refuses it. Take an Order, or rulePriorities, that no rule of others has", priority, holder.Resource.Name())
	}
	if window := f.list.Priorities; window.Last > 0 && !window.Has(priority) {
		add("has priority %d, outside of rulePriorities %s: others may have rules there, or make them. Keep rules within", priority, window)
	}
	return all
}

// named says whether something that exists already has a name.
func (f *foreign) named(kind, name string) bool {
	return f.Assembly.Existing != nil && slices.ContainsFunc(f.Assembly.Existing.Of(kind), func(r *assembly.Resource) bool { return r.Properties["Name"] == name })
}

// holder is the rule that exists already with a priority of a listener; nil if there is none.
func (f *foreign) holder(listener string, priority int) *model.Rule {
	described := f.Assembly.Described(listener)
	for _, rule := range f.Rules {
		if rule.Existing() && rule.Priority == priority && rule.Listener != nil && rule.Listener.Resource == described {
			return rule
		}
	}
	return nil
}

// moves says what it does to requests that the settings name other parts of what exists already.
func (f *foreign) moves(is *foreign) (all []ExistingChange) {
	add := func(setting, format string, args ...any) {
		all = append(all, ExistingChange{Of: setting, Does: fmt.Sprintf(format, args...), Touches: true})
	}
	was, now := f.listeners(), is.listeners()
	switch {
	case len(was) == 0 || slices.Equal(was, now):
	case len(now) == 0:
		add("listenerArn", "goes: the rules on %s are deleted, and its own rules give the requests of all services to the monolith, also those of switched services. First take each service back to monolith", strings.Join(was, ", "))
	default:
		add("listenerArn", "is %s instead of %s: the rules are made there and deleted here. Clients of the old listener meet the monolith again, also for switched services. First take each service back to parallel",
			strings.Join(now, ", "), strings.Join(was, ", "))
	}
	if old, group := f.list.Existing, is.list.Existing; old != "" && group != "" && old != group {
		add("monolithTargetGroupArn", "is %s instead of %s: what rules of the deployment give to the monolith, such as the rest of a share, goes there at once. Rules of others stay as they are, so two monoliths may answer. First take each service to parallel or switched, and let the owner of the listener change its rules",
			group, old)
	}
	if old, window := f.list.Priorities, is.list.Priorities; old.Last > 0 && window.Last > 0 && old != window {
		add("rulePriorities", "is %s instead of %s: each rule gets its new priority in place, one after the other, and goes on taking its requests. %s. Keep the window while services have traffic", window, old, is.between(old, window))
	}
	return all
}

// between says which rules of others are before rules of the deployment on one side of a new window, and behind them on the other.
func (f *foreign) between(old, window migration.Window) string {
	var passed []string
	for _, rule := range f.Rules {
		if rule.Existing() && (rule.Priority > old.First) != (rule.Priority > window.First) {
			passed = append(passed, fmt.Sprint(rule.Priority))
		}
	}
	if len(passed) == 0 {
		return "No rule of others is passed on the way"
	}
	return "On the way they pass rules of others, with priority " + strings.Join(passed, ", ") + ": requests that both take are answered by another one from then on"
}

// drift says what is described otherwise, because others have changed it and it was adopted anew.
func (f *foreign) drift(is *foreign) (all []ExistingChange) {
	add := func(does string) { all = append(all, ExistingChange{Of: assembly.ExistingFile, Does: does}) }
	switch one, other := f.Assembly.Existing, is.Assembly.Existing; {
	case one == nil && other == nil:
	case one == nil:
		add("describes what exists already for the first time")
	case other == nil:
		add("is not there any more: the local target and reviews know nothing of rules of others. Write it anew with cutover adopt")
	default:
		for _, line := range existing.Compare(existing.Of(one), existing.Of(other)) {
			add("is adopted anew: " + line)
		}
	}
	return all
}

// TouchesExisting says whether something is touched that exists already.
func (r *Report) TouchesExisting() bool {
	return slices.ContainsFunc(r.Existing, func(c ExistingChange) bool { return c.Touches })
}

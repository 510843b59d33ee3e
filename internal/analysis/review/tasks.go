package review

import (
	"cmp"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	"cutover/internal/analysis/isolation"
	"cutover/internal/assembly"
	"cutover/internal/model"
	"cutover/internal/plain"
)

// TaskChange is what a deployment does to the tasks of a service that run.
type TaskChange struct {
	// Service is the name of a service, or says whose instances change.
	Service string `json:"service"`
	// Running says that tasks run before the deployment. If none do, the rest happens where tasks run.
	Running bool `json:"running"`
	// Exchanged says that new tasks take the place of running ones.
	Exchanged bool `json:"exchanged"`
	// Warnings say in words what can harm running tasks. Does says what else happens.
	Warnings []string `json:"warnings"`
	Does     []string `json:"does"`
}

func (c *TaskChange) does(format string, a ...any) {
	c.Does = append(c.Does, fmt.Sprintf(format, a...))
}

func (c *TaskChange) warn(format string, a ...any) {
	c.Warnings = append(c.Warnings, fmt.Sprintf(format, a...))
}

// Tasks says what a deployment does to running tasks. Services that are new are left out, and so are those
// that go, unless others call them by a name.
func Tasks(pair Pair) ([]TaskChange, error) {
	d := &deployed{was: model.Read(pair.Before), is: model.Read(pair.After)}
	// What a stranger's template grants may not be known in full. Then some changes are not told.
	d.had, _ = isolation.Read(pair.Before.Dir)
	d.has, _ = isolation.Read(pair.After.Dir)
	if d.had == nil || d.has == nil {
		return nil, fmt.Errorf("%s: an assembly is gone: %s, %s", pair.Name, pair.Before.Dir, pair.After.Dir)
	}
	d.called, d.calls = d.was.Calls(), d.is.Calls()
	changes := d.instances()
	for _, is := range d.is.Services {
		was := same(d.was, is)
		if was == nil {
			continue
		}
		c := taskChange(was, is.Name)
		d.definition(&c, was, is)
		d.directories(&c, was, is)
		d.roles(&c, was, is)
		service(&c, was, is)
		d.names(&c, was, is)
		d.callees(&c, was, is)
		d.compute(&c, was, is)
		for _, lb := range is.LoadBalancers {
			if lb.TargetGroup != nil {
				d.targetGroup(&c, lb.TargetGroup)
			}
		}
		d.alarms(&c, is)
		if len(c.Does)+len(c.Warnings) > 0 {
			changes = append(changes, c)
		}
	}
	for _, was := range d.was.Services { // a deployment deletes no stack
		if same(d.is, was) == nil && d.is.Assembly.Stack(was.Resource.Stack.Name) != nil {
			c := taskChange(was, was.Name)
			if d.names(&c, was, nil); len(c.Warnings) > 0 {
				changes = append(changes, c)
			}
		}
	}
	return changes, nil
}

func taskChange(was *model.Service, name string) TaskChange {
	return TaskChange{Service: name, Running: was.Tasks() > 0 || was.Scheduling == model.Daemon, Warnings: []string{}, Does: []string{}}
}

// deployed are both sides of a deployment.
type deployed struct {
	was, is       *model.Model
	had, has      *isolation.Isolation
	called, calls []model.Call // before and after
}

// same returns the value of the resource that a value is of, in another model; nil if it has none.
func same[T interface{ Key() string }](m *model.Model, value T) T {
	stack, id, _ := strings.Cut(value.Key(), "/")
	var none T
	if s := m.Assembly.Stack(stack); s != nil {
		if v, ok := m.Value(s.Resource(id)).(T); ok {
			return v
		}
	}
	return none
}

// definition says what is new about tasks. Any change of a task definition starts new tasks.
func (d *deployed) definition(c *TaskChange, was, is *model.Service) {
	one, other := was.TaskDefinition, is.TaskDefinition
	if one == nil || other == nil {
		return
	}
	changed := definitionChanges(one.Resource, other.Resource)
	if len(changed) == 0 {
		return
	}
	c.Exchanged = c.Running
	if one.NetworkMode != other.NetworkMode && len(is.LoadBalancers) > 0 {
		c.warn("tasks are in network mode %s instead of %s, in which the load balancer finds them otherwise: the target group is another one. Move the service to another compute and back, and shift the requests", other.NetworkMode, one.NetworkMode)
	}
	c.does("new tasks take the place of the running ones, while at least %d %% of the tasks stay healthy. What changes: %s", is.MinimumHealthyPercent, strings.Join(changed, "; "))
	before, after := one.Reserves(), other.Reserves()
	switch on, _ := d.is.Fargate(is); {
	case before.CPU == after.CPU && before.MemoryMiB == after.MemoryMiB:
	case on != nil:
		c.does("a task has %d CPU units and %d MiB instead of %d and %d, and its price changes with them", after.CPU, after.MemoryMiB, before.CPU, before.MemoryMiB)
	default:
		c.does("a task takes %d CPU units and %d MiB of its instance instead of %d and %d. While both revisions run, instances need room for both", after.CPU, after.MemoryMiB, before.CPU, before.MemoryMiB)
	}
	about := func(member string) bool {
		return slices.ContainsFunc(changed, func(text string) bool { return strings.Contains(text, member) })
	}
	if about(secretsWord) {
		c.does("a task has the values that its secrets had when the task started. A value that you change later reaches the tasks of a later deployment")
	}
	if about(stopWord) {
		c.does("running tasks are stopped with their old timeout, new tasks with the new one")
	}
}

// directories says which files new tasks see.
func (d *deployed) directories(c *TaskChange, was, is *model.Service) {
	of := func(i *isolation.Isolation, s *model.Service) map[string]isolation.Directory {
		all := map[string]isolation.Directory{}
		for _, one := range i.Directories {
			if s.TaskDefinition != nil && strings.HasPrefix(one.Container+": ", s.TaskDefinition.Family+": ") {
				one.Name = strings.ReplaceAll(one.Name, "`", "")
				at := one.Path + " in " + strings.TrimPrefix(one.Container, s.TaskDefinition.Family+": ")
				all[at] = one
			}
		}
		return all
	}
	old, now := of(d.had, was), of(d.has, is)
	both := maps.Clone(old)
	maps.Copy(both, now)
	for _, at := range slices.Sorted(maps.Keys(both)) {
		switch one, other := old[at], now[at]; {
		case other.Name == "":
			c.does("new tasks do not see %s any more, which was at %s. Its files stay", one.Name, at)
		case one.Name != "" && one.Name != other.Name:
			c.warn("new tasks see %s at %s, running tasks see %s until they stop. Nothing is copied", other.Name, at, one.Name)
		case one.Name == "":
			c.does("new tasks see %s at %s", other.Name, at)
		case one.ReadOnly != other.ReadOnly:
			c.does("new tasks may %s at %s", map[bool]string{true: "only read", false: "write, too,"}[other.ReadOnly], at)
		}
	}
	if was.TaskDefinition == nil {
		return
	}
	for _, v := range was.TaskDefinition.Volumes {
		if v.EFS != nil {
			d.lost(c, v.EFS.FileSystem, "the file system of running tasks")
			d.lost(c, v.EFS.AccessPoint, "the access point of running tasks")
		}
	}
}

// lost warns if a deployment deletes or replaces what running tasks have mounted. AWS's pages disagree
// on whether a client of a deleted access point goes on
// (https://docs.aws.amazon.com/efs/latest/ug/delete-access-point.html,
// https://docs.aws.amazon.com/efs/latest/ug/API_DeleteAccessPoint.html).
func (d *deployed) lost(c *TaskChange, key, what string) {
	stack, id, _ := strings.Cut(key, "/")
	before, after := d.was.Assembly.Stack(stack), d.is.Assembly.Stack(stack)
	if before == nil || after == nil { // a deployment deletes no stack
		return
	}
	was, is := before.Resource(id), after.Resource(id)
	switch {
	case was == nil:
	case is == nil && !strings.HasPrefix(was.DeletionPolicy, "Retain"):
		c.warn("%s is deleted before new tasks run: %s. A task that runs may lose its files, and none starts", what, key)
	case is != nil && replaced(was, is):
		c.warn("%s is replaced: %s. New tasks do not see the files of before, if the new one does not have them", what, key)
	}
}

func replaced(was, is *assembly.Resource) bool {
	replaces, _ := model.Replaces(is.Type, changedKeys(was.Properties, is.Properties)...)
	return replaces
}

// roles says what the roles of tasks may do more or less. AWS decides about a permission at each
// request, so a change concerns running tasks
// (https://docs.aws.amazon.com/IAM/latest/UserGuide/id_credentials_temp_control-access_disable-perms.html).
func (d *deployed) roles(c *TaskChange, was, is *model.Service) {
	if was.TaskDefinition == nil || is.TaskDefinition == nil {
		return
	}
	change := func(role string) (gained, lost []permission) {
		old, now := permissions(d.had, was.TaskDefinition.Family+role), permissions(d.has, is.TaskDefinition.Family+role)
		only := func(all, others []permission, effect string) []permission {
			return slices.DeleteFunc(slices.Clone(all), func(one permission) bool { return one.effect != effect || slices.Contains(others, one) })
		}
		return append(only(now, old, "Allow"), only(old, now, "Deny")...), append(only(old, now, "Allow"), only(now, old, "Deny")...)
	}
	mounts := func(p permission) bool { return strings.HasPrefix(p.action, "elasticfilesystem:Client") }
	gained, lost := change(": task")
	for _, line := range together(slices.DeleteFunc(gained, mounts)) { // directories tell of the mounts
		c.does("running tasks, too, may do %s. It may take minutes", line)
	}
	_, needed := change(": execution")
	needed = append(needed, slices.DeleteFunc(slices.Clone(lost), func(p permission) bool { return !mounts(p) })...)
	for _, line := range together(slices.DeleteFunc(lost, mounts)) {
		c.warn("running tasks may not do %s any more, before new tasks take their place. First deploy a version that does without", line)
	}
	for _, line := range together(needed) {
		c.does("a role may not do %s any more. If a task of the old revision needs that, the task does not start again", line)
	}
}

// permission is a grant of one action on one resource.
type permission struct{ effect, action, resource, condition string }

// placeholders stand for the account and the region that isolation gives an assembly.
var placeholders = strings.NewReplacer(":"+isolation.Region+":"+isolation.Account+":", ":${AWS::Region}:${AWS::AccountId}:")

// permissions are the grants of an identity.
func permissions(i *isolation.Isolation, identity string) (all []permission) {
	for _, g := range i.Grants {
		for _, resource := range g.Resources {
			for _, action := range g.Actions {
				if g.Identity == identity {
					all = append(all, permission{g.Effect, action, placeholders.Replace(resource), placeholders.Replace(g.Condition)})
				}
			}
		}
	}
	return all
}

// together writes permissions, a line for each resource and condition.
func together(all []permission) (lines []string) {
	actions := map[permission][]string{}
	for _, p := range all {
		of := permission{resource: p.resource, condition: p.condition}
		if !slices.Contains(actions[of], p.action) {
			actions[of] = append(actions[of], p.action)
		}
	}
	for of, list := range actions {
		line := strings.Join(list, ", ") + " on " + of.resource
		if of.condition != "" {
			line += " if " + of.condition
		}
		lines = append(lines, line)
	}
	slices.Sort(lines)
	return lines
}

// service says what changes of the service itself. What starts new tasks, and what does not, is on
// https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_UpdateService.html.
func service(c *TaskChange, was, is *model.Service) {
	if before, after := was.Tasks(), is.Tasks(); before != after && before*after > 0 {
		c.does("%d tasks run instead of %d", after, before)
	}
	if was.HealthCheckGracePeriod != is.HealthCheckGracePeriod {
		c.does("failed health checks of tasks that start from now on do not count for %d s instead of %d s. No task is exchanged", seconds(is.HealthCheckGracePeriod), seconds(was.HealthCheckGracePeriod))
	}
	for _, lb := range is.LoadBalancers {
		for _, old := range was.LoadBalancers {
			if old.TargetGroup == nil || lb.TargetGroup == nil || old.TargetGroup.Key() != lb.TargetGroup.Key() || old.Port == lb.Port {
				continue
			}
			c.Exchanged = c.Running
			c.does("the target group stays. Running tasks get requests at port %d until they stop, new tasks at port %d", old.Port, lb.Port)
		}
	}
	for _, key := range changedKeys(was.Resource.Properties, is.Resource.Properties) {
		switch key {
		case "PlacementConstraints":
			if where := constraints(is.Resource.Properties[key]); where != "" {
				c.warn("new tasks start only on instances with %s. Without such an instance they wait: replace the instances that run, one after the other", where)
			} else {
				c.does("new tasks start on any instance")
			}
		case "DeploymentConfiguration":
			c.does("the bounds or alarms of deployments change. No task is exchanged")
		case "NetworkConfiguration", "PlatformVersion", "ServiceConnectConfiguration", "ServiceRegistries":
			c.Exchanged = c.Running
			c.does("new tasks take the place of the running ones: the setting %s of the service changes", key)
		case "CapacityProviderStrategy", "DesiredCount", "HealthCheckGracePeriodSeconds", "LoadBalancers", "Tags", "TaskDefinition": // told elsewhere
		default:
			if replaces, _ := model.Replaces(model.ECSService, key); !replaces {
				c.does("the setting %s of the service changes", key)
			}
		}
	}
}

// constraints are the expressions of placement constraints.
func constraints(value any) string {
	var all []string
	list, _ := value.([]any)
	for _, one := range list {
		of, _ := one.(map[string]any)
		all = append(all, fmt.Sprint(cmp.Or(of["Expression"], of["Type"])))
	}
	return strings.Join(all, " and ")
}

// targetGroup says what the load balancer does to running tasks. Its stack is deployed first.
func (d *deployed) targetGroup(c *TaskChange, is *model.TargetGroup) {
	was := same(d.was, is)
	if was == nil {
		return
	}
	changed := changedKeys(was.Resource.Properties, is.Resource.Properties)
	if replaces, _ := model.Replaces(model.ELBTargetGroup, changed...); replaces {
		c.warn("the target group is replaced (%s). New tasks are registered with the new one; a listener must send requests there first", strings.Join(replacing(model.ELBTargetGroup, changed), ", "))
		c.taken(is.Resource, "Name")
	}
	if wider := was.Health.Path == is.Health.Path && within(was.Health.Codes, is.Health.Codes); !wider {
		failing := time.Duration(is.Health.Unhealthy) * is.Health.Interval
		c.warn("the load balancer asks running tasks, too, for %s and takes %s, before new tasks run. A task that answers otherwise is unhealthy after %d checks (%d s), and ECS stops it. First deploy a version that answers both",
			is.Health.Path, codesText(is.Health.Codes), is.Health.Unhealthy, seconds(failing))
	} else if !slices.Equal(was.Health.Codes, is.Health.Codes) {
		c.does("the load balancer takes %s of running tasks, too. No task is exchanged", codesText(is.Health.Codes))
	}
	if was.DeregistrationDelay != is.DeregistrationDelay {
		c.does("requests in flight have %d s instead of %d s when a task is stopped from now on, a running task, too", seconds(is.DeregistrationDelay), seconds(was.DeregistrationDelay))
	}
	for _, key := range changed {
		if key, ok := strings.CutPrefix(key, "HealthCheck"); ok && key != "Path" {
			c.does("health checks change for running tasks, too: %s", scalar(key, "", was.Resource.Properties["HealthCheck"+key], is.Resource.Properties["HealthCheck"+key]))
		}
	}
}

func seconds(d time.Duration) int { return int(d.Seconds()) }

func within(some, all []model.CodeRange) bool {
	return !slices.ContainsFunc(some, func(one model.CodeRange) bool {
		return !slices.ContainsFunc(all, func(other model.CodeRange) bool { return other.From <= one.From && one.To <= other.To })
	})
}

// alarms says which alarms of the service go off otherwise.
func (d *deployed) alarms(c *TaskChange, is *model.Service) {
	name := model.Tag(is.Resource, "service")
	for _, alarm := range d.is.Assembly.Resources(model.CloudWatchAlarm) {
		stack := d.was.Assembly.Stack(alarm.Stack.Name)
		if name == "" || model.Tag(alarm, "service") != name || stack == nil || stack.Resource(alarm.LogicalID) == nil {
			continue
		}
		old, now := stack.Resource(alarm.LogicalID).Properties["Threshold"], alarm.Properties["Threshold"]
		if !reflect.DeepEqual(old, now) {
			c.does("the alarm %s goes off at another %s. No task is exchanged", alarm.Name(), scalar("threshold", "", old, now))
		}
	}
}

// instances says which launch templates change: instances that run keep theirs, unless the policy of
// their group has CloudFormation replace them
// (https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-attribute-updatepolicy.html).
func (d *deployed) instances() []TaskChange {
	changes := []TaskChange{}
	for _, is := range d.is.LaunchTemplates {
		if was := same(d.was, is); was != nil && !reflect.DeepEqual(was.Resource.Properties["LaunchTemplateData"], is.Resource.Properties["LaunchTemplateData"]) {
			c := TaskChange{Service: "instances of " + is.Resource.Stack.Name, Running: true, Warnings: []string{}, Does: []string{}}
			if d.renewed(is) {
				c.warn("CloudFormation replaces the instances that run, and with them their tasks")
			} else {
				c.does("instances that run stay as they are, and so do their tasks. Only new instances have the new launch template: replace the others one after the other")
			}
			changes = append(changes, c)
		}
	}
	return changes
}

// renewed tells whether CloudFormation replaces the instances of a launch template.
func (d *deployed) renewed(launch *model.Launch) bool {
	return slices.ContainsFunc(d.is.AutoScalingGroups, func(g *model.AutoScalingGroup) bool {
		policy := g.Resource.UpdatePolicy
		return g.Launch == launch && (policy["AutoScalingRollingUpdate"] != nil || policy["AutoScalingReplacingUpdate"] != nil)
	})
}

// running says what happens to running tasks.
func (r *Report) running() string {
	var b strings.Builder
	for _, c := range r.Tasks {
		if !c.Running {
			fmt.Fprintf(&b, "- %s: no task runs. Where tasks run, this happens:\n", plain.Markdown(c.Service))
		}
		for _, line := range c.Warnings {
			fmt.Fprintf(&b, "- **%s**\n", plain.Markdown(c.Service+": "+line))
		}
		for _, line := range c.Does {
			fmt.Fprintf(&b, "- %s\n", sentence(c.Service+": "+line))
		}
	}
	return b.String()
}

// exchanged says in the headline whose tasks are exchanged or harmed.
func (r *Report) exchanged() (lines []string) {
	var new, harmed []string
	for _, c := range r.Tasks {
		if c.Exchanged {
			new = append(new, c.Service)
		}
		if c.Running && len(c.Warnings) > 0 {
			harmed = append(harmed, c.Service)
		}
	}
	if len(new) > 0 {
		lines = append(lines, fmt.Sprintf("New tasks take the place of running ones: %s.", few(12, apply(plain.Markdown, new), " services")))
	}
	if len(harmed) > 0 {
		lines = append(lines, fmt.Sprintf("**Running tasks may be harmed: %s.**", few(12, apply(plain.Markdown, harmed), " services")))
	}
	return lines
}

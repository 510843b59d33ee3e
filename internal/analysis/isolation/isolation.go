// Package isolation works out from templates who may do what, and who may connect to whom.
package isolation

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"cutover/internal/assembly"
	"cutover/internal/model"
)

// Account and Region make ARNs whole. They do not say where the deployment goes.
const Account, Region = "123456789012", "us-east-1"

// Isolation is what the templates grant.
type Isolation struct {
	// Grants are sorted by identity, action and resource.
	Grants []Grant
	// Trusts are sorted by role.
	Trusts []Trust
	// Reaches are sorted by both ends.
	Reaches []Reach
	// Resources are those that policies can name, in the order of the stacks.
	Resources []Resource
	// Secrets, Directories, Links and Images are what containers are handed, in the order of the task
	// definitions. Directories are sorted, so that those who share one stand together.
	Secrets     []Secret
	Directories []Directory
	Links       []Link
	Images      []Image
	// Apart are the services whose tasks are on Fargate: each task has a machine and a security group of
	// its own. Interfaces are those on instances whose tasks have a security group of their own (awsvpc).
	// Shared are those whose containers have the security groups of their instances.
	Apart, Interfaces, Shared []string
	// Functions are those of Lambda that a load balancer invokes, or Lambda itself for what comes from a queue or a stream, by name. They
	// are in no VPC.
	Functions []string
	// Polled says that Lambda invokes functions with what comes from a queue or a stream.
	Polled bool
	// Ways say in words how requests get to load balancers, and to functions, that have a front before them.
	Ways []string
	// Joined say in words which tasks have security groups that exist already.
	Joined []string
	// Directly says who reaches each service past the load balancers. All of these are sorted.
	Directly []Direct
	// Stores are the tables and databases, by name, with those that reach them.
	Stores []Store
	// Channels are the topics and queues, by name, with those that publish, send and receive.
	Channels []Channel
	// families are the task definitions of a service, by the service's name.
	families map[string][]string
}

// Resource is what can be kept from somebody.
type Resource struct{ Type, ARN string }

// Trust lets a principal assume a role.
type Trust struct {
	// Role is the identity that the principal gets.
	Role string
	// Kind is "Service", "AWS" or "Federated".
	Kind       string
	Principals []string
	// Condition is empty if the principal may always assume the role.
	Condition string
}

// Read reads the assembly in a directory, as if deployed to [Account] and [Region]. What it cannot
// tell is an error.
func Read(dir string) (*Isolation, error) {
	a, err := assembly.Read(dir)
	if err != nil {
		return nil, err
	}
	for _, stack := range a.Stacks {
		stack.Account, stack.Region = Account, Region
	}
	r := &reader{Model: model.Read(a), isolation: &Isolation{families: map[string][]string{}}}
	r.names()
	r.services()
	r.grants()
	r.reaches()
	r.ways()
	r.directly()
	r.handed()
	r.stores()
	r.channels()
	for _, stack := range a.Stacks {
		for _, resource := range stack.Resources {
			if arn := model.ARN(resource, Account, Region); arn != "" {
				r.isolation.Resources = append(r.isolation.Resources, Resource{resource.Type, arn})
			}
		}
	}
	return r.isolation, errors.Join(r.errs...)
}

type reader struct {
	*model.Model
	isolation *Isolation
	// identities are the roles' names.
	identities map[*assembly.Resource]string
	// groups are the services whose tasks have a security group for themselves.
	groups map[*assembly.Resource][]string
	errs   []error
}

func (r *reader) refuse(resource *assembly.Resource, format string, args ...any) {
	r.errs = append(r.errs, fmt.Errorf("%v: %w", resource, fmt.Errorf(format, args...)))
}

// names gives every role a name that says who has it.
func (r *reader) names() {
	r.identities = map[*assembly.Resource]string{}
	for _, role := range r.Roles {
		r.identities[role.Resource] = strings.TrimSuffix(role.Resource.Path, "/Resource")
	}
	for _, definition := range r.TaskDefinitions {
		service := cmp.Or(model.Tag(definition.Resource, "service"), definition.Family)
		r.isolation.families[service] = append(r.isolation.families[service], definition.Family)
		for use, role := range map[string]*model.Role{"task": definition.TaskRole, "execution": definition.ExecutionRole} {
			if role != nil {
				r.identities[role.Resource] = definition.Family + ": " + use
			}
		}
	}
	for _, f := range r.Functions {
		if f.Role == nil || !f.Invoked {
			continue // CDK's own are named by their paths
		}
		r.isolation.Functions = append(r.isolation.Functions, f.Name)
		r.isolation.families[f.Service()] = append(r.isolation.families[f.Service()], f.Name)
		r.identities[f.Role.Resource] = f.Name + functionRole
	}
	slices.Sort(r.isolation.Functions)
	for _, profile := range r.InstanceProfiles {
		for _, role := range profile.Roles {
			r.identities[role.Resource] = Instances
		}
	}
}

// services says where services run, and which security groups tasks have for themselves.
func (r *reader) services() {
	r.groups = map[*assembly.Resource][]string{}
	for _, s := range r.Services {
		on, err := r.Fargate(s)
		if err != nil {
			r.errs = append(r.errs, err)
		}
		own := s.TaskDefinition != nil && s.TaskDefinition.NetworkMode == "awsvpc"
		switch {
		case on != nil:
			r.isolation.Apart = append(r.isolation.Apart, s.Name)
		case own:
			r.isolation.Interfaces = append(r.isolation.Interfaces, s.Name)
		default:
			r.isolation.Shared = append(r.isolation.Shared, s.Name)
			continue
		}
		network := r.Network(s)
		for _, group := range network.Own {
			r.groups[group] = append(r.groups[group], s.Name)
		}
		for _, id := range network.Existing {
			r.isolation.Joined = append(r.isolation.Joined, "Tasks of "+s.Name+" also have the security group "+id+", which exists already. Whom it admits, and who admits it, is not known here.")
		}
	}
	slices.Sort(r.isolation.Apart)
	slices.Sort(r.isolation.Interfaces)
	slices.Sort(r.isolation.Shared)
	slices.Sort(r.isolation.Joined)
}

// group is the name of a security group: that of the tasks or of the VPC link that have it for themselves, or else its
// construct path in the stack.
func (r *reader) group(resource *assembly.Resource) string {
	if slices.ContainsFunc(r.VPCLinks, func(l *model.VPCLink) bool { return slices.Contains(l.Network.Groups, resource) }) {
		return OfLink
	}
	if services := r.groups[resource]; len(services) > 0 {
		return "tasks of " + strings.Join(services, ", ")
	}
	return resource.Name()
}

// text is an evaluated value as the deployment will have it.
func text(value any) string {
	switch v := value.(type) {
	case assembly.Ref:
		switch arn := model.ARN(v.Resource, Account, Region); {
		case arn == "":
		case v.Attribute == "Arn" || v.Attribute == "" || v.Attribute == "TopicArn":
			return arn
		case v.Attribute == "StreamArn":
			return arn + "/stream/${" + v.String() + "}"
		}
		return "${" + v.String() + "}"
	case assembly.Text:
		var b strings.Builder
		for i, part := range v {
			if ref, ok := part.(assembly.Ref); ok && ref.Attribute == "" && i > 0 {
				part = model.Name(ref.Resource) // an ARN is a beginning
			}
			b.WriteString(text(part))
		}
		return b.String()
	}
	return fmt.Sprint(value)
}

func texts(values []any) []string {
	var all []string
	for _, v := range values {
		all = append(all, text(v))
	}
	return all
}

// May returns the actions that an identity has on a resource.
func (i *Isolation) May(identity, arn string) []string {
	var actions []string
	service := strings.Split(arn, ":")[2]
	for _, g := range i.Grants {
		if g.Identity != identity || g.Effect != "Allow" || !slices.ContainsFunc(g.Resources, func(p string) bool { return model.Matches(p, arn) }) {
			continue
		}
		for _, action := range g.Actions {
			// An action that takes no resource concerns none.
			if (strings.HasPrefix(action, service+":") || strings.HasPrefix(action, "*")) && wholeResource[action] == "" {
				actions = append(actions, action)
			}
		}
	}
	return actions
}

// TooWide returns what is granted on more than AWS makes necessary, and without a reason.
func (i *Isolation) TooWide() []string {
	var wide []string
	for _, g := range i.Grants {
		if g.Effect != "Allow" || notOurs[part(g.Identity)] != "" || otherwiseHeld(g.Identity) {
			continue
		}
		for _, action := range g.Actions {
			if wildcard(action) && !g.reasoned() && family[action] == "" {
				wide = append(wide, fmt.Sprintf("%s may do %s: name the actions", g.Identity, action))
			}
			for _, resource := range g.Resources {
				switch {
				case g.reasoned():
				case resource == "*" && wholeResource[action] == "":
					wide = append(wide, fmt.Sprintf("%s may do %s on everything", g.Identity, action))
				case resource != "*" && wildcard(resource) && partly(action, resource) == "":
					wide = append(wide, fmt.Sprintf("%s may do %s on %s", g.Identity, action, resource))
				}
			}
		}
	}
	return wide
}

// Own are the ARNs of a service's repository and log group.
func Own(service string) []string {
	return []string{
		"arn:aws:ecr:" + Region + ":" + Account + ":repository/" + service,
		"arn:aws:logs:" + Region + ":" + Account + ":log-group:/ecs/" + service + ":*",
	}
}

// Foreign returns what the roles of services may do with anything but [Own] and the log group of their function. [Isolation.Trespasses] has
// the stores, and [Isolation.Misuses] the topics and queues.
func (i *Isolation) Foreign(services []string) []string {
	var foreign []string
	for _, g := range i.Grants {
		family, role, _ := strings.Cut(g.Identity, ": ")
		of := slices.IndexFunc(services, func(service string) bool { return slices.Contains(i.families[service], family) })
		if role != "task" && role != "execution" && role != "function" || of < 0 {
			continue
		}
		own := append(Own(services[of]), "arn:aws:logs:"+Region+":"+Account+":log-group:/aws/lambda/"+family+":*")
		for _, resource := range g.Resources {
			for _, action := range g.Actions {
				if !slices.Contains(own, resource) && !i.isKept(resource) && !(resource == "*" && wholeResource[action] != "") {
					foreign = append(foreign, fmt.Sprintf("%s may do %s on %s", g.Identity, action, resource))
				}
			}
		}
	}
	return foreign
}

package ecs

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"

	"cutover/internal/assembly"
	"cutover/internal/local/provider"
	"cutover/internal/model"
	"cutover/internal/words"
)

// Provider is the provider of services, task definitions, and their scaling.
type Provider struct {
	*Scheduler
	given   Given
	serving sync.Map // names of services, by the target group that their tasks are in
	begun   atomic.Bool
}

// Given is what the user says about the containers of an assembly. The first assembly must have the
// containers that are named.
type Given struct {
	// Replaced names the containers that the driver replaces by a command, Without those that are left
	// out.
	Replaced, Without []string
	// Secrets gives the values of secrets by the name of the variable, or by "container.variable", which
	// goes first. Default: none. SecretsFile is where the user writes them, for errors.
	Secrets     func() (map[string]string, error)
	SecretsFile string
	// Managed is the value of a secret of the assembly, as a plan for it and for text tell. No error has a value. Default: there is none.
	Managed func(m *model.Model, text provider.Text, s *model.ManagedSecret) (string, error)
}

// NewProvider returns a provider that runs services in a scheduler.
func NewProvider(scheduler *Scheduler, given Given) *Provider {
	return &Provider{Scheduler: scheduler, given: given}
}

// Types implements [provider.Provider].
func (p *Provider) Types() []string {
	return []string{model.AppAutoScalingTarget, model.AppAutoScalingPolicy, model.ECSCluster, model.ECSService, model.ECSTaskDefinition}
}

// Status implements [provider.Provider], with the services' status.
func (p *Provider) Status() any { return p.Scheduler.Status() }

// ServiceName is the name of the service with tasks in a target group, by the group's key.
// Empty if there is no such service.
func (p *Provider) ServiceName(group string) string {
	name, _ := p.serving.Load(group)
	text, _ := name.(string)
	return text
}

// Stop implements [provider.Provider]. Tasks that answer requests finish first.
func (p *Provider) Stop(ctx context.Context) error {
	return p.remove(ctx, func(string) bool { return true })
}

// remove removes services by their keys, side by side.
func (p *Provider) remove(ctx context.Context, gone func(key string) bool) error {
	var keys []string
	for _, service := range p.Scheduler.Status() {
		if gone(service.Key) {
			keys = append(keys, service.Key)
		}
	}
	return sideBySide(keys, func(key string) error { return p.Remove(ctx, key) })
}

func sideBySide[T any](all []T, f func(T) error) error {
	errs := make([]error, len(all))
	var calls sync.WaitGroup
	for i, one := range all {
		calls.Go(func() { errs[i] = f(one) })
	}
	calls.Wait()
	return errors.Join(errs...)
}

// Plan implements [provider.Provider].
func (p *Provider) Plan(m *model.Model, text provider.Text) provider.Plan {
	next := &plan{Tasks: p.Tasks(m, text), services: provider.Resources[*model.Service]{}}
	if next.refused = Check(m); next.refused == nil {
		for _, service := range m.Services {
			next.services[service.Key()] = here(service)
		}
		for _, service := range p.standIns(m) {
			next.services[service.Key()] = service
		}
	}
	return next
}

// here is a service without the target groups of load balancers that do not run here, and without the
// policies that scale by what is not measured here.
func here(service *model.Service) *model.Service {
	elsewhere := func(at model.ServiceLoadBalancer) bool { return !at.TargetGroup.Runs() }
	unmeasured := func(p *model.ScalingPolicy) bool { return !p.Measured() }
	registered, changed := *service, false
	if slices.ContainsFunc(service.LoadBalancers, elsewhere) {
		changed = true
		registered.LoadBalancers = slices.DeleteFunc(slices.Clone(service.LoadBalancers), elsewhere)
	}
	if of := service.Scaling; of != nil && slices.ContainsFunc(of.Policies, unmeasured) {
		scaling := *of
		scaling.Policies = slices.DeleteFunc(slices.Clone(of.Policies), unmeasured)
		registered.Scaling, changed = &scaling, true
	}
	if !changed {
		return service
	}
	return &registered
}

// plan has the services of an assembly.
type plan struct {
	*Tasks
	refused  error // what Check says
	services provider.Resources[*model.Service]
}

// Check implements [provider.Plan].
func (p *plan) Check() error {
	if p.refused != nil {
		return p.refused
	}
	var errs []error
	for _, key := range p.services.Keys() {
		service, err := p.fill(p.services[key])
		if !errors.Is(err, provider.ErrNotYet) {
			errs = append(errs, err)
		}
		errs = append(errs, p.check(service))
	}
	return assembly.Join(append(errs, p.mistaken())...)
}

// mistaken refuses names that no container has, before the first update. Later assemblies may have lost
// a container.
func (p *plan) mistaken() error {
	var names []string
	for _, d := range p.model.TaskDefinitions {
		for _, c := range d.Containers {
			names = append(names, c.Name)
		}
	}
	slices.Sort(names)
	names = slices.Compact(names)
	var errs []error
	var groups []string
	for _, group := range p.model.TargetGroups {
		if !group.Existing() {
			continue
		}
		if groups = append(groups, group.Name); slices.Contains(names, group.Name) && slices.Contains(p.given.Replaced, group.Name) {
			errs = append(errs, fmt.Errorf("%q is the name of a container and of a target group that exists already, and a command can stand for one of them: give another name to the container", group.Name))
		}
	}
	refuse := func(given, names []string, what string) {
		for _, name := range given {
			if !slices.Contains(names, name) && !p.begun.Load() {
				errs = append(errs, fmt.Errorf("there is no %s: %s", fmt.Sprintf(what, name), words.Choice(names)))
			}
		}
	}
	all, what := names, "container %q to run a command in place of"
	if functions := p.model.FunctionNames(); len(functions) > 0 {
		all, what = slices.Concat(names, functions), "container or function %q to run a command in place of"
	}
	if len(groups) > 0 {
		all, what = slices.Concat(all, groups), "container, function or target group that exists already %q to run a command in place of"
	}
	slices.Sort(all)
	all = slices.Compact(all)
	refuse(p.given.Replaced, all, what)
	refuse(p.given.Without, names, "container %q to leave out")
	return errors.Join(errs...)
}

// PassedOver implements [provider.Reporter].
func (p *plan) PassedOver() []provider.PassedOver {
	var all []provider.PassedOver
	for _, key := range p.services.Keys() {
		s := p.services[key]
		all = append(all, listedOfService(s)...)
		all = append(all, p.Tasks.PassedOver(s.TaskDefinition)...)
	}
	return append(all, p.unused()...)
}

// unused are the given values of secrets that neither a container nor a function has.
func (p *plan) unused() []provider.PassedOver {
	var all []provider.PassedOver
	functions := p.functionSecrets()
	has := func(name string) bool {
		return slices.Contains(functions, name) || slices.ContainsFunc(p.model.TaskDefinitions, func(d *model.TaskDefinition) bool {
			return slices.ContainsFunc(d.Containers, func(c model.Container) bool {
				return slices.ContainsFunc(c.Secrets, func(s model.Secret) bool { return name == s.Name || name == c.Name+"."+s.Name })
			})
		})
	}
	for _, name := range slices.Sorted(maps.Keys(p.secrets)) {
		if !has(name) {
			all = append(all, provider.PassedOver{Place: "--secret " + name, Subject: "the given secrets", Setting: name, Why: "no container has a secret of this name"})
		}
	}
	return all
}

// functionSecrets are the names by which secrets of functions are given.
func (p *plan) functionSecrets() (names []string) {
	for _, f := range p.model.Functions {
		for _, v := range f.Environment {
			if v.Name != model.SecretsVariable || !f.Invoked {
				continue
			}
			text := v.Value
			if v.Parts != nil {
				text, _ = p.Text(v.Parts) // the function is refused
			}
			secrets, _ := model.FunctionSecrets(text)
			for _, s := range secrets {
				names = append(names, s.Name, f.Service()+"."+s.Name)
			}
		}
	}
	return names
}

// fill is [Tasks.Fill] for a service's task definition.
func (p *plan) fill(of *model.Service) (*model.Service, error) {
	service := *of
	var err error
	service.TaskDefinition, err = p.Fill(of.TaskDefinition)
	for i, at := range of.LoadBalancers {
		if slices.Contains(p.given.Without, at.Container) {
			err = errors.Join(err, of.Errorf(fmt.Sprintf("LoadBalancers[%d]", i), "container %q cannot be left out: requests go to it", at.Container))
		}
	}
	return &service, err
}

// Update implements [provider.Plan].
func (p *plan) Update(ctx context.Context, stack string) error {
	p.begun.Store(true)
	services := p.services.Of(stack)
	for _, service := range services {
		for _, at := range service.LoadBalancers {
			p.serving.Store(at.TargetGroup.Key(), service.Name)
		}
	}
	return sideBySide(services.Keys(), func(key string) error {
		service, err := p.fill(services[key])
		if err != nil {
			return err
		}
		return p.Apply(ctx, service)
	})
}

// Clean implements [provider.Plan].
func (p *plan) Clean(ctx context.Context, stack string) error {
	return p.remove(ctx, func(key string) bool {
		_, kept := p.services[key]
		return provider.StackOf(key) == stack && !kept
	})
}

// Attribute gives the names and ARNs of services and clusters.
func (p *plan) Attribute(ref assembly.Ref) (any, error) {
	arn := func(path string) string { return provider.ARN("ecs", path) }
	given := map[string]string{}
	for _, c := range p.model.Clusters {
		if c.Resource == ref.Resource {
			given = map[string]string{"": c.Name, "Arn": arn("cluster/" + c.Name)}
		}
	}
	for _, s := range p.model.Services {
		if s.Resource == ref.Resource {
			cluster := s.ClusterID
			if s.Cluster != nil {
				cluster = s.Cluster.Name
			}
			path := arn("service/" + cluster + "/" + s.Name)
			given = map[string]string{"": path, "ServiceArn": path, "Name": s.Name}
		}
	}
	value, ok := given[ref.Attribute]
	if !ok {
		return nil, provider.NotGiven(ref)
	}
	return value, nil
}

package ecs

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"cutover/internal/assembly"
	"cutover/internal/local/provider"
	"cutover/internal/model"
	"cutover/internal/words"
)

// Provider is the provider of services, task definitions, and their scaling.
type Provider struct {
	*Scheduler
	replaced []string
	serving  sync.Map // names of services, by the target group that their tasks are in
}

// NewProvider returns a provider that runs services in a scheduler. Replaced names the containers
// that the driver replaces by a command. The first assembly with services must have them.
func NewProvider(scheduler *Scheduler, replaced []string) *Provider {
	return &Provider{Scheduler: scheduler, replaced: replaced}
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
	next := &plan{Provider: p, model: m, text: text, services: provider.Resources[*model.Service]{}}
	if next.err = Check(m); next.err == nil {
		for _, service := range m.Services {
			next.services[service.Key()] = here(service)
		}
	}
	return next
}

// here is a service without the target groups of load balancers that do not run here.
func here(service *model.Service) *model.Service {
	elsewhere := func(at model.ServiceLoadBalancer) bool { return !at.TargetGroup.Application() }
	if !slices.ContainsFunc(service.LoadBalancers, elsewhere) {
		return service
	}
	registered := *service
	registered.LoadBalancers = slices.DeleteFunc(slices.Clone(service.LoadBalancers), elsewhere)
	return &registered
}

// plan has the services of an assembly.
type plan struct {
	*Provider
	model    *model.Model
	text     provider.Text
	err      error // of reading
	services provider.Resources[*model.Service]
}

// Check implements [provider.Plan].
func (p *plan) Check() error {
	if p.err != nil {
		return p.err
	}
	var errs []error
	var containers []string
	for _, key := range p.services.Keys() {
		service, err := p.fill(p.services[key])
		if !errors.Is(err, provider.ErrNotYet) {
			errs = append(errs, err)
		}
		errs = append(errs, p.check(service))
		for _, c := range service.TaskDefinition.Containers {
			containers = append(containers, c.Name)
		}
	}
	slices.Sort(containers)
	for _, name := range p.replaced {
		// Later assemblies may have lost a container.
		if !slices.Contains(containers, name) && len(p.Scheduler.Status()) == 0 {
			errs = append(errs, fmt.Errorf("there is no container %q to run a command in place of: %s", name, words.Choice(slices.Compact(containers))))
		}
	}
	return errors.Join(errs...)
}

// fill fills in variables of the containers' environment that refer to other resources. The error
// is the first variable that nothing ever gives a value, else the first one without a value yet.
func (p *plan) fill(of *model.Service) (*model.Service, error) {
	service, d := *of, *of.TaskDefinition
	service.TaskDefinition, d.Containers = &d, slices.Clone(d.Containers)
	var missing error
	for i := range d.Containers {
		c := &d.Containers[i]
		c.Environment = slices.Clone(c.Environment)
		for j := range c.Environment {
			v := &c.Environment[j]
			if v.Parts == nil {
				continue
			}
			var err error
			if v.Value, err = p.text(v.Parts); err == nil {
				continue
			}
			place := d.Errorf(fmt.Sprintf("ContainerDefinitions[%d].Environment[%d].Value", i, j), "%s", v.Name)
			if err = fmt.Errorf("%w: %w", place, err); !errors.Is(err, provider.ErrNotYet) {
				return &service, err
			}
			missing = cmp.Or(missing, err)
		}
	}
	return &service, missing
}

// Update implements [provider.Plan].
func (p *plan) Update(ctx context.Context, stack string) error {
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

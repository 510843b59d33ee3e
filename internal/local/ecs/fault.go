package ecs

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"syscall"
	"time"

	"cutover/internal/local/provider"
	"cutover/internal/words"
)

// FaultKind is a kind of harm that [Provider.Fault] does to a service.
type FaultKind struct {
	provider.FaultKind
	begin fault
}

// fault begins to do harm to a service. The ending ends the harm.
type fault func(ctx context.Context, p *Provider, service ServiceStatus) (ending, error)

// ending returns when all services are steady again, or with the context's error.
type ending = func(context.Context) error

// FaultKinds are the kinds of harm that there are.
func FaultKinds() []FaultKind { return faultKinds }

var faultKinds = []FaultKind{
	{provider.FaultKind{Name: "kill", Once: true, Does: "every task that runs is killed"}, kill(all)},
	{provider.FaultKind{Name: "kill-half", Once: true, Does: "half of the tasks that run are killed, at least one"}, kill(half)},
	{provider.FaultKind{Name: "oom", Once: true, Does: "every task is killed as the kernel does when memory is out, exit code 137"}, kill(all)},
	{provider.FaultKind{Name: "hang", Does: "every task that runs answers nothing more"}, hang(all)},
	{provider.FaultKind{Name: "hang-half", Does: "half of the tasks that run answer nothing more, at least one"}, hang(half)},
	{provider.FaultKind{Name: "slow", Does: "every task is stopped for most of the time"}, again(slow)},
	{provider.FaultKind{Name: "crash-loop", Does: "every task is killed as soon as it runs"}, again(crash)},
	{provider.FaultKind{Name: "drain", Does: "every task is replaced, as when its instance is set to DRAINING", Lossless: true, Once: true}, drain},
	{provider.FaultKind{Name: "bad-image", Does: "a new image is deployed whose program exits at once", Lossless: true, Once: true}, badImage},
}

// Fault does harm to the tasks of a service, both by name, until the returned function is called.
// That function returns when all services are steady again, or with the context's error.
func (p *Provider) Fault(ctx context.Context, kind, service string) (func(context.Context) error, error) {
	status, err := p.service(service)
	if err != nil {
		return nil, err
	}
	for _, k := range faultKinds {
		if k.Name == kind {
			return k.begin(ctx, p, status)
		}
	}
	var names []string
	for _, k := range faultKinds {
		names = append(names, k.Name)
	}
	return nil, fmt.Errorf("there is no fault %q: %s", kind, words.Choice(names))
}

func all(n int) int  { return n }
func half(n int) int { return (n + 1) / 2 }

// kill kills a share of the tasks that run now.
func kill(share func(n int) int) fault {
	return func(_ context.Context, p *Provider, service ServiceStatus) (ending, error) {
		killed := p.signal(service, syscall.SIGKILL, share)
		return func(ctx context.Context) error {
			// The services are steady until the scheduler has noticed.
			return p.until(ctx, func(all []ServiceStatus) error {
				for _, s := range all {
					for _, task := range s.Tasks {
						if slices.Contains(killed, task.ID) {
							return fmt.Errorf("task %s of service %s has not ended", task.ID, s.Name)
						}
					}
				}
				return unsteady(all)
			})
		}, nil
	}
}

// hang stops a share of the tasks that run now.
func hang(share func(n int) int) fault {
	return func(_ context.Context, p *Provider, service ServiceStatus) (ending, error) {
		p.signal(service, syscall.SIGSTOP, share)
		return func(ctx context.Context) error {
			// Tasks that were replaced meanwhile are gone.
			p.signal(service, syscall.SIGCONT, all)
			return p.steady(ctx)
		}, nil
	}
}

// A slow service runs for slowRun of every slowCycle.
const (
	slowCycle = 100 * time.Millisecond
	slowRun   = 10 * time.Millisecond
)

func slow(p *Provider, service ServiceStatus) {
	p.signal(service, syscall.SIGSTOP, all)
	time.Sleep(slowCycle - slowRun)
	p.signal(service, syscall.SIGCONT, all)
}

func crash(p *Provider, service ServiceStatus) { p.signal(service, syscall.SIGKILL, all) }

// drain replaces the tasks within the service's healthy percents, as ECS empties an instance.
// https://docs.aws.amazon.com/AmazonECS/latest/developerguide/container-instance-draining.html
func drain(_ context.Context, p *Provider, service ServiceStatus) (ending, error) {
	return p.steady, p.Redeploy(service.Key)
}

// badImage deploys an unknown command. Only the circuit breaker ends the deployment.
func badImage(ctx context.Context, p *Provider, service ServiceStatus) (ending, error) {
	p.mu.Lock()
	v := p.Scheduler.services[service.Key]
	if v == nil || v.draining {
		p.mu.Unlock()
		return nil, fmt.Errorf("service %s is being changed: wait for that to end", service.Name)
	}
	good := v.spec
	p.mu.Unlock()
	bad, definition := *good, *good.TaskDefinition
	bad.TaskDefinition, definition.Containers = &definition, slices.Clone(definition.Containers)
	for i, c := range definition.Containers {
		if slices.Contains(p.given.Replaced, c.Name) {
			return nil, fmt.Errorf("container %s of service %s is replaced by a command, which an image does not change", c.Name, service.Name)
		}
		definition.Containers[i].Command = []string{"no-such-command"}
	}
	ctx, stop := context.WithCancel(ctx)
	rolled := make(chan error, 1)
	go func() { rolled <- p.Apply(ctx, &bad) }()
	return func(ctx context.Context) error {
		defer stop()
		var result error
		select {
		case err := <-rolled:
			if err == nil {
				result = fmt.Errorf("the bad image of %s was deployed: its program takes any command", service.Name)
			} else if !errors.Is(err, ErrDeploymentFailed) {
				result = err
			}
		case <-ctx.Done():
			result = fmt.Errorf("the bad image of %s was not rolled back: give the service a circuit breaker with rollback: %w", service.Name, ctx.Err())
		}
		return errors.Join(result, p.Apply(context.WithoutCancel(ctx), good))
	}, nil
}

// again does harm in every slowCycle.
func again(harm func(*Provider, ServiceStatus)) fault {
	return func(ctx context.Context, p *Provider, service ServiceStatus) (ending, error) {
		ctx, stop := context.WithCancel(ctx)
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			for tick := time.Tick(slowCycle); ctx.Err() == nil; {
				if now, err := p.service(service.Name); err == nil {
					harm(p, now)
				}
				select {
				case <-tick:
				case <-ctx.Done():
				}
			}
		}()
		return func(ctx context.Context) error {
			stop()
			<-ended
			return p.steady(ctx)
		}, nil
	}
}

func (p *Provider) service(name string) (ServiceStatus, error) {
	var names []string
	for _, status := range p.Scheduler.Status() {
		if status.Name == name {
			return status, nil
		}
		names = append(names, status.Name)
	}
	return ServiceStatus{}, fmt.Errorf("there is no service %q: %s", name, words.Choice(names))
}

// signal sends a signal to a share of a service's running tasks, and returns their ids. A task
// that ends at the same moment is no error.
func (p *Provider) signal(service ServiceStatus, signal syscall.Signal, share func(n int) int) (tasks []string) {
	for _, task := range service.Tasks {
		if task.LastStatus == Running {
			tasks = append(tasks, task.ID)
		}
	}
	tasks = tasks[:share(len(tasks))]
	for _, task := range tasks {
		p.Signal(task, signal)
	}
	return tasks
}

// steady returns when every service is as it should be.
func (p *Provider) steady(ctx context.Context) error { return p.until(ctx, unsteady) }

func unsteady(all []ServiceStatus) error {
	for _, service := range all {
		if !service.Steady {
			return fmt.Errorf("service %s did not become steady", service.Name)
		}
	}
	return nil
}

// until returns when nothing is amiss.
func (p *Provider) until(ctx context.Context, amiss func([]ServiceStatus) error) error {
	for {
		err := amiss(p.Scheduler.Status())
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", err, ctx.Err())
		case <-time.After(50 * time.Millisecond):
		}
	}
}

package local

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"time"

	"cutover/internal/local/ecs"
)

// FaultKind is a kind of harm that [Runner.Fault] does to a service.
type FaultKind struct {
	Name string
	// Does says what is done.
	Does string
	// Lossless says that no request may be lost to it, not even one to the
	// service itself.
	Lossless bool
	// Once says that it is done in a moment; other kinds last until they are
	// cleared.
	Once bool
	// begin does it, and returns what ends it.
	begin func(r *Runner, ctx context.Context, service ecs.ServiceStatus) (clear func(context.Context) error, err error)
}

// FaultKinds are the kinds of harm that there are.
func FaultKinds() []FaultKind { return faultKinds }

var faultKinds = []FaultKind{
	{Name: "kill", Once: true, Does: "every task that runs is killed", begin: kill(all)},
	{Name: "kill-half", Once: true, Does: "half of the tasks that run are killed, at least one", begin: kill(half)},
	{Name: "oom", Once: true, Does: "every task is killed as the kernel does when memory is out, exit code 137", begin: kill(all)},
	{Name: "hang", Does: "every task that runs answers nothing more", begin: hang},
	{Name: "slow", Does: "every task is stopped for most of the time", begin: slow},
	{Name: "crash-loop", Does: "every task is killed as soon as it runs", begin: crashLoop},
	{Name: "drain", Does: "every task is replaced, as when its instance is set to DRAINING", Lossless: true, Once: true, begin: drain},
	{Name: "bad-image", Does: "a new image is deployed whose program exits at once", Lossless: true, Once: true, begin: badImage},
}

// Fault does harm to the tasks of a service, by the names of both, until clear is
// called. Clear returns when all services are steady again, or with the context's
// error.
func (r *Runner) Fault(ctx context.Context, kind, service string) (clear func(context.Context) error, err error) {
	status, err := r.service(service)
	if err != nil {
		return nil, err
	}
	for _, k := range faultKinds {
		if k.Name == kind {
			return k.begin(r, ctx, status)
		}
	}
	var names []string
	for _, k := range faultKinds {
		names = append(names, k.Name)
	}
	return nil, fmt.Errorf("there is no fault %q: choose from %s", kind, strings.Join(names, ", "))
}

func all(n int) int  { return n }
func half(n int) int { return (n + 1) / 2 }

// kill kills so many of the tasks that run now.
func kill(share func(n int) int) func(*Runner, context.Context, ecs.ServiceStatus) (func(context.Context) error, error) {
	return func(r *Runner, _ context.Context, service ecs.ServiceStatus) (func(context.Context) error, error) {
		killed := r.signal(service, syscall.SIGKILL, share)
		return func(ctx context.Context) error {
			// Until ECS has seen it, all seems well.
			return r.until(ctx, func(all []ecs.ServiceStatus) error {
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

func hang(r *Runner, _ context.Context, service ecs.ServiceStatus) (func(context.Context) error, error) {
	r.signal(service, syscall.SIGSTOP, all)
	return func(ctx context.Context) error {
		// Those that were replaced meanwhile are gone, and what is gone needs no more.
		r.signal(service, syscall.SIGCONT, all)
		return r.steady(ctx)
	}, nil
}

// A slow service is one that is stopped for most of the time: it gets slowRun of
// every slowCycle, so that what takes a moment takes several cycles.
const (
	slowCycle = 100 * time.Millisecond
	slowRun   = 10 * time.Millisecond
)

func slow(r *Runner, ctx context.Context, service ecs.ServiceStatus) (func(context.Context) error, error) {
	return r.again(ctx, service.Name, slowCycle, func(now ecs.ServiceStatus) {
		r.signal(now, syscall.SIGSTOP, all)
		time.Sleep(slowCycle - slowRun)
		r.signal(now, syscall.SIGCONT, all)
	}), nil
}

func crashLoop(r *Runner, ctx context.Context, service ecs.ServiceStatus) (func(context.Context) error, error) {
	return r.again(ctx, service.Name, slowCycle, func(now ecs.ServiceStatus) { r.signal(now, syscall.SIGKILL, all) }), nil
}

// drain replaces the tasks within the service's minimum and maximum healthy
// percent, which is how ECS empties an instance.
// https://docs.aws.amazon.com/AmazonECS/latest/developerguide/container-instance-draining.html
func drain(r *Runner, _ context.Context, service ecs.ServiceStatus) (func(context.Context) error, error) {
	return r.steady, r.services.Redeploy(service.Key)
}

// badImage deploys a task definition whose command the program does not know.
// Nothing else ends that but the circuit breaker.
func badImage(r *Runner, ctx context.Context, service ecs.ServiceStatus) (func(context.Context) error, error) {
	good, ok := r.services.Spec(service.Key)
	if !ok {
		return nil, fmt.Errorf("service %s is being changed: wait for that to end", service.Name)
	}
	bad := good
	bad.TaskDefinition.Containers = slices.Clone(good.TaskDefinition.Containers)
	for i, c := range bad.TaskDefinition.Containers {
		if slices.Contains(r.options.Replaced, c.Name) {
			return nil, fmt.Errorf("container %s of service %s is replaced by a command, which an image does not change", c.Name, service.Name)
		}
		bad.TaskDefinition.Containers[i].Command = []string{"no-such-command"}
	}
	ctx, stop := context.WithCancel(ctx)
	rolled := make(chan error, 1)
	go func() { rolled <- r.services.Apply(ctx, bad) }()
	return func(ctx context.Context) error {
		defer stop()
		var result error
		select {
		case err := <-rolled:
			if err == nil {
				result = fmt.Errorf("the bad image of %s was deployed: its program takes any command", service.Name)
			} else if !errors.Is(err, ecs.ErrDeploymentFailed) {
				result = err
			}
		case <-ctx.Done():
			result = fmt.Errorf("the bad image of %s was not rolled back: give the service a circuit breaker with rollback: %w", service.Name, ctx.Err())
		}
		return errors.Join(result, r.services.Apply(context.WithoutCancel(ctx), good))
	}, nil
}

// again calls f with a service over and over until the function that it returns
// is called.
func (r *Runner) again(ctx context.Context, service string, every time.Duration, f func(ecs.ServiceStatus)) (clear func(context.Context) error) {
	ctx, stop := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		ticker := time.NewTicker(every)
		defer ticker.Stop()
		for ctx.Err() == nil {
			if status, err := r.service(service); err == nil {
				f(status)
			}
			select {
			case <-ticker.C:
			case <-ctx.Done():
			}
		}
	}()
	return func(ctx context.Context) error {
		stop()
		<-ended
		return r.steady(ctx)
	}
}

func (r *Runner) service(name string) (ecs.ServiceStatus, error) {
	var names []string
	for _, status := range r.services.Scheduler.Status() {
		if status.Name == name {
			return status, nil
		}
		names = append(names, status.Name)
	}
	return ecs.ServiceStatus{}, fmt.Errorf("there is no service %q: choose from %s", name, strings.Join(names, ", "))
}

// signal sends a signal to a share of a service's tasks that run, and returns
// their ids. One that ends at the same moment is no error.
func (r *Runner) signal(service ecs.ServiceStatus, signal syscall.Signal, share func(n int) int) (tasks []string) {
	for _, task := range service.Tasks {
		if task.LastStatus == ecs.Running {
			tasks = append(tasks, task.ID)
		}
	}
	tasks = tasks[:share(len(tasks))]
	for _, task := range tasks {
		r.services.Signal(task, signal)
	}
	return tasks
}

// steady returns when every service is as it should be.
func (r *Runner) steady(ctx context.Context) error { return r.until(ctx, unsteady) }

func unsteady(all []ecs.ServiceStatus) error {
	for _, service := range all {
		if !service.Steady {
			return fmt.Errorf("service %s did not become steady", service.Name)
		}
	}
	return nil
}

// until returns when nothing is amiss any more.
func (r *Runner) until(ctx context.Context, amiss func([]ecs.ServiceStatus) error) error {
	for {
		err := amiss(r.services.Scheduler.Status())
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

package local

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"time"

	"cutover/internal/ecs"
)

// FaultKinds are the kinds of harm that [Runner.Fault] does.
func FaultKinds() []string { return []string{"kill", "hang", "slow", "crash-loop", "oom"} }

// A slow service is one that is stopped for most of the time: it gets slowRun of
// every slowCycle, so that what takes a moment takes several cycles.
const (
	slowCycle = 100 * time.Millisecond
	slowRun   = 10 * time.Millisecond
)

// Fault does harm to the tasks of a service, by its name, until clear is called:
//
//	kill        every task that runs now is killed
//	oom         the same, as the kernel does when memory is out: exit code 137
//	hang        every task that runs now answers nothing more
//	slow        every task is stopped for most of the time
//	crash-loop  every task is killed as soon as it runs
//
// Clear returns when all services are steady again, or with the context's error.
func (r *Runner) Fault(ctx context.Context, kind, service string) (clear func(context.Context) error, err error) {
	if _, err := r.service(service); err != nil {
		return nil, err
	}
	steady := func(ctx context.Context) error { return r.steady(ctx) }
	switch kind {
	case "kill", "oom":
		return steady, r.signal(service, syscall.SIGKILL)
	case "hang":
		return func(ctx context.Context) error {
			// Those that were replaced meanwhile are gone, and what is gone needs no more.
			if err := r.signal(service, syscall.SIGCONT); err != nil {
				return err
			}
			return r.steady(ctx)
		}, r.signal(service, syscall.SIGSTOP)
	case "slow":
		return r.again(ctx, slowCycle, func() {
			r.signal(service, syscall.SIGSTOP)
			time.Sleep(slowCycle - slowRun)
			r.signal(service, syscall.SIGCONT)
		}), nil
	case "crash-loop":
		return r.again(ctx, slowCycle, func() { r.signal(service, syscall.SIGKILL) }), nil
	}
	return nil, fmt.Errorf("there is no fault %q: choose from %s", kind, strings.Join(FaultKinds(), ", "))
}

// again calls f over and over until the function that it returns is called.
func (r *Runner) again(ctx context.Context, every time.Duration, f func()) (clear func(context.Context) error) {
	ctx, stop := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		ticker := time.NewTicker(every)
		defer ticker.Stop()
		for ctx.Err() == nil {
			f()
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
	for _, status := range r.scheduler.Status() {
		if status.Name == name {
			return status, nil
		}
		names = append(names, status.Name)
	}
	return ecs.ServiceStatus{}, fmt.Errorf("there is no service %q: choose from %s", name, strings.Join(names, ", "))
}

// signal sends a signal to every task of a service that runs. One that ends at
// the same moment is no error.
func (r *Runner) signal(service string, signal syscall.Signal) error {
	status, err := r.service(service)
	if err != nil {
		return err
	}
	for _, task := range status.Tasks {
		if task.LastStatus == ecs.Running {
			r.scheduler.Signal(task.ID, signal)
		}
	}
	return nil
}

// steady returns when every service is as it should be.
func (r *Runner) steady(ctx context.Context) error {
	for {
		unsteady := slices.DeleteFunc(r.scheduler.Status(), func(s ecs.ServiceStatus) bool { return s.Steady })
		if len(unsteady) == 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("service %s did not become steady: %w", unsteady[0].Name, ctx.Err())
		case <-time.After(50 * time.Millisecond):
		}
	}
}

package local

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"sync"

	"cutover/internal/assembly"
	"cutover/internal/deployable"
	"cutover/internal/local/provider"
	"cutover/internal/model"
)

// stack is a stack that runs.
type stack struct {
	name  string
	plans plans // that the stack reached last
}

// Deploy deploys an assembly as CloudFormation would, after what exists already:
//   - A stack comes after the stacks that it depends on. Other stacks are deployed side by side.
//   - In a stack, creations and changes come first and deletions last.
//   - Only what changed is touched.
//
// Deploy returns when all services are steady. After an error, the stacks that were reached stay as
// they are, and the assembly can be deployed again.
//
// Parameters of the templates have their defaults, or a value given as [assembly.Read] takes it.
func (r *Runner) Deploy(ctx context.Context, dir string, parameters ...string) error {
	if !r.deploying.CompareAndSwap(false, true) {
		return errors.New("another assembly is being deployed: wait for it to end")
	}
	defer r.deploying.Store(false)
	a, err := r.snapshot(dir, parameters)
	if err != nil {
		return err
	}
	m := model.Read(a)
	next := r.plan(m)
	problems := []error{deployable.Refused(m), r.mistakenValues(a), r.nothing(m)}
	for _, plan := range next {
		problems = append(problems, plan.Check())
		if held, ok := plan.(io.Closer); ok {
			defer held.Close()
		}
	}
	if err := errors.Join(problems...); err != nil {
		return errors.Join(fmt.Errorf("the assembly cannot be run here:\n%w", err), os.RemoveAll(a.Dir))
	}
	defer r.traffic.forget()
	r.mu.Lock()
	r.deployed, r.warnings, r.over, r.elsewhere = a, deployable.Warnings(m), next.passedOver(), r.notRun(a, next)
	r.mu.Unlock()
	if err := r.updateStacks(ctx, a, next); err != nil {
		return err
	}
	return r.removeStacks(ctx, a, next)
}

// passedOver are the settings that have no effect here, each once.
func (p plans) passedOver() []provider.PassedOver {
	var all []provider.PassedOver
	for _, plan := range p {
		if reporter, ok := plan.(provider.Reporter); ok {
			for _, over := range reporter.PassedOver() {
				if !slices.Contains(all, over) {
					all = append(all, over)
				}
			}
		}
	}
	return all
}

// nothing refuses a first assembly of which nothing runs here: neither a service, nor a scheduled task,
// nor a listener, nor an API, nor a distribution.
func (r *Runner) nothing(m *model.Model) error {
	if r.Assembly() != nil || len(m.Services) > 0 || len(m.APIStages) > 0 || len(m.Distributions) > 0 || slices.ContainsFunc(m.Schedules, (*model.Schedule).StartsTasks) || slices.ContainsFunc(m.Listeners, (*model.Listener).Runs) {
		return nil
	}
	return fmt.Errorf("the assembly has no ECS service, and %w", deployable.NoListener(m))
}

// update updates a stack, one provider after the other. Reached is how many providers have begun.
func (p plans) update(ctx context.Context, stack string) (reached int, err error) {
	for i, plan := range p {
		if err := plan.Update(ctx, stack); err != nil {
			return i + 1, err
		}
	}
	return len(p), nil
}

// clean deletes the resources of a stack that are not in the plans, the last provider first.
func (p plans) clean(ctx context.Context, stack string) error {
	for _, plan := range slices.Backward(p) {
		if err := plan.Clean(ctx, stack); err != nil {
			return err
		}
	}
	return nil
}

// updateStacks deploys what exists already, and every stack after the stacks that it depends on.
func (r *Runner) updateStacks(ctx context.Context, a *assembly.Assembly, next plans) error {
	if a.Existing != nil {
		if err := r.updateStack(ctx, a.Existing.Name, next); err != nil {
			return fmt.Errorf("%s: %w", a.Existing.Name, err)
		}
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	done := map[string]chan struct{}{}
	for _, stack := range a.Stacks {
		done[stack.Name] = make(chan struct{})
	}
	var (
		mu      sync.Mutex
		failed  []error
		deploys sync.WaitGroup
	)
	for _, stack := range a.Stacks {
		deploys.Go(func() {
			for _, other := range stack.DependsOn {
				select {
				case <-done[other.Name]:
				case <-ctx.Done():
					return
				}
			}
			if ctx.Err() != nil {
				return
			}
			err := r.updateStack(ctx, stack.Name, next)
			if err == nil {
				r.tell(Event{Kind: "stack", Subject: stack.Name, State: "DEPLOYED"})
				close(done[stack.Name])
				return
			}
			r.tell(Event{Kind: "stack", Subject: stack.Name, State: "FAILED", Message: err.Error()})
			mu.Lock()
			defer mu.Unlock()
			if len(failed) == 0 || !errors.Is(err, context.Canceled) { // the first failure cut the others off
				failed = append(failed, fmt.Errorf("%s: %w", stack.Name, err))
			}
			cancel()
		})
	}
	deploys.Wait()
	if len(failed) > 0 {
		return errors.Join(failed...)
	}
	return ctx.Err()
}

// updateStack deploys one stack. If an update fails, the stack is rolled back, as by
// CloudFormation. If the context ends, the stack stays as it is and can be deployed again.
func (r *Runner) updateStack(ctx context.Context, name string, next plans) error {
	s := r.stack(name)
	reached, err := next.update(ctx, name)
	if err != nil && ctx.Err() == nil {
		old := s.plans[:reached]
		_, failed := old.update(ctx, name)
		return errors.Join(err, failed, old.clean(ctx, name))
	}
	if err == nil {
		err = next.clean(ctx, name)
	}
	if err == nil {
		s.plans = next
	}
	return err
}

// stack returns a stack that runs. A new one has empty plans.
func (r *Runner) stack(name string) *stack {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, s := range r.stacks {
		if s.name == name {
			return s
		}
	}
	s := &stack{name, r.plan(model.Read(&assembly.Assembly{}))}
	r.stacks = append(r.stacks, s)
	return s
}

// removeStacks removes stacks that the assembly does not have any more, the newest one first. On
// AWS such stacks stay until a user destroys them; here no command could.
func (r *Runner) removeStacks(ctx context.Context, a *assembly.Assembly, next plans) error {
	r.mu.Lock()
	stacks := slices.Clone(r.stacks)
	r.mu.Unlock()
	for _, gone := range slices.Backward(stacks) {
		if a.Stack(gone.name) != nil || a.Existing != nil && a.Existing.Name == gone.name {
			continue
		}
		if err := next.clean(ctx, gone.name); err != nil {
			return err
		}
		r.mu.Lock()
		r.stacks = slices.DeleteFunc(r.stacks, func(s *stack) bool { return s == gone })
		r.mu.Unlock()
		r.tell(Event{Kind: "stack", Subject: gone.name, State: "REMOVED"})
	}
	return nil
}

//go:build unix

package lambda

import (
	"context"
	"syscall"
)

// Kill ends the execution environments of a function, by its name, as if the machine that they are on failed:
// what they were asked has no result, and the next requests start others. It reports whether there is such a
// function. The returned function waits until they have ended.
func (p *Provider) Kill(name string) (ended func(context.Context) error, known bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, f := range p.functions {
		known = known || f.spec.Name == name
	}
	var killed []*environment
	for v := range p.live {
		for e := range v.environments {
			if v.function.spec.Name == name {
				e.signal(syscall.SIGKILL)
				killed = append(killed, e)
			}
		}
	}
	return func(ctx context.Context) error {
		for _, e := range killed {
			select {
			case <-e.ended:
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}
		return nil
	}, known
}

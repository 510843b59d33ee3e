//go:build unix

package lambda

import (
	"context"
	"slices"
	"syscall"

	"cutover/internal/local/ecs"
	"cutover/internal/model"
)

// replaced is the name by which a command is given in place of a function; empty if none is.
func (p *Provider) replaced(f *model.Function) string {
	for _, name := range []string{f.Name, f.Service()} {
		if slices.Contains(p.options.Replaced, name) {
			return name
		}
	}
	return ""
}

// container is what the driver runs for a function: its image, or a command in place of the function. It is nil for
// code that is here.
func (p *Provider) container(f *model.Function) *model.Container {
	name := p.replaced(f)
	if name == "" && f.PackageType != "Image" {
		return nil
	}
	if name == "" {
		name = f.Name
	}
	return &model.Container{
		Name: name, Image: f.Image, Essential: true, EntryPoint: f.EntryPoint, Command: f.Command, WorkingDirectory: f.WorkingDirectory,
		MemoryMiB: f.MemoryMiB,
	}
}

// task is the task definition that the driver gets with a container.
func task(c model.Container) *model.TaskDefinition {
	return &model.TaskDefinition{NetworkMode: "bridge", Containers: []model.Container{c}}
}

// prepare gets the image of a function, if the driver can do that before the start.
func (p *Provider) prepare(ctx context.Context, f *model.Function) error {
	driver, can := p.options.Driver.(interface {
		Prepare(ctx context.Context, image model.Image, tell func(string)) error
	})
	if c := p.container(f); c == nil || !can {
		return nil
	}
	return driver.Prepare(ctx, f.Image, func(message string) { p.warn(f, nil, message) })
}

// startContainer starts what the driver runs, and calls last when nothing of it is left.
func (p *Provider) startContainer(e *environment, variables []model.Variable, last func()) error {
	v := e.version
	c := *v.runs
	c.Environment = variables
	container, err := p.options.Driver.Start(v.ctx, ecs.StartRequest{
		Service: v.spec.Key(), Task: e.id, Definition: c, TaskDefinition: task(c),
		Output: func(stream, line string) { p.log(v.spec, e, stream, line) },
		Warn:   func(message string) { p.tellOnce(v, e, message) },
		Tell:   func(message string) { p.tellOnce(v, e, message) },
	})
	if err != nil {
		_ = p.options.Driver.Clean(e.id)
		last()
		return err
	}
	e.commands.Lock()
	e.container = container
	e.commands.Unlock()
	if v.ctx.Err() != nil {
		e.signal(syscall.SIGKILL)
	}
	go func() {
		<-container.Done()
		e.commands.Lock()
		e.container = nil
		e.commands.Unlock()
		if exit := container.Exit(); exit != (ecs.Exit{}) {
			e.outcome = exit.String()
		}
		_ = p.options.Driver.Clean(e.id)
		last()
	}()
	return nil
}

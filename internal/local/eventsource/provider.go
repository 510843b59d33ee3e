//go:build unix

package eventsource

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"cutover/internal/assembly"
	"cutover/internal/local/backing/access"
	"cutover/internal/local/provider"
	"cutover/internal/model"
)

// Functions runs functions.
type Functions interface {
	// InvokeMapped runs the function of a key, "stack/logical id", to its end, and returns what it returned and the version that ran. An
	// error is a *lambda.Error.
	InvokeMapped(target string, payload []byte) (result []byte, version string, err error)
}

// Options says how mappings work.
type Options struct {
	// Dir keeps the positions in streams. Required.
	Dir string
	// Access gives mappings the credentials of their functions' roles. Required.
	Access *access.Access
	// Functions runs the functions. Required.
	Functions Functions
	// Events is called with every event. Required.
	Events func(provider.Event)
}

// Provider is the provider of event source mappings.
type Provider struct {
	options Options

	mu       sync.Mutex
	mappings provider.Resources[*mapping]
}

// New returns a provider without mappings.
func New(options Options) *Provider {
	return &Provider{options: options, mappings: provider.Resources[*mapping]{}}
}

// Types implements [provider.Provider].
func (p *Provider) Types() []string { return []string{model.LambdaEventSource} }

// Status implements [provider.Provider]. It returns the mappings as []Status, by key.
func (p *Provider) Status() any {
	p.mu.Lock()
	mappings := p.mappings
	p.mu.Unlock()
	if len(mappings) == 0 {
		return nil
	}
	var all []Status
	for _, key := range mappings.Keys() {
		all = append(all, mappings[key].status(time.Now()))
	}
	return all
}

// Stop implements [provider.Provider]. Positions stay, and invocations finish first.
func (p *Provider) Stop(ctx context.Context) error {
	p.mu.Lock()
	all := p.mappings
	p.mappings = provider.Resources[*mapping]{}
	p.mu.Unlock()
	return endAll(ctx, slices.Collect(maps.Values(all)))
}

// endAll ends mappings side by side.
func endAll(ctx context.Context, all []*mapping) error {
	errs := make([]error, len(all))
	var ends sync.WaitGroup
	for i, m := range all {
		ends.Go(func() { errs[i] = m.end(ctx) })
	}
	ends.Wait()
	return errors.Join(errs...)
}

// Plan implements [provider.Provider].
func (p *Provider) Plan(m *model.Model, text provider.Text) provider.Plan {
	next := &plan{p, text, provider.Resources[*model.EventSource]{}, provider.Resources[*model.EventSource]{}}
	for _, e := range m.EventSources {
		if e.Here() {
			next.wanted[e.Key()] = e
		} else {
			next.elsewhere[e.Key()] = e
		}
	}
	return next
}

// plan has the mappings of an assembly: those that run here, and those whose source or function is not here.
type plan struct {
	*Provider
	text              provider.Text
	wanted, elsewhere provider.Resources[*model.EventSource]
}

// Stands implements [provider.Partial].
func (p *plan) Stands(r *assembly.Resource) bool { return p.wanted[r.String()] != nil }

// Attribute implements [provider.Plan]. AWS makes up the id of a mapping.
func (p *plan) Attribute(ref assembly.Ref) (any, error) { return nil, provider.NotGiven(ref) }

// streamARN is that of a table's stream; empty for a queue.
func (p *plan) streamARN(e *model.EventSource) (string, error) {
	if e.Table == nil {
		return "", nil
	}
	return p.text(assembly.Ref{Resource: e.Table.Resource, Attribute: "StreamArn"})
}

// Update implements [provider.Plan]. A mapping that is the same goes on.
func (p *plan) Update(ctx context.Context, stack string) error {
	wanted := p.wanted.Of(stack)
	for _, key := range wanted.Keys() {
		e := wanted[key]
		stream, err := p.streamARN(e)
		if err != nil {
			return fmt.Errorf("%v: %w", e.Errorf("EventSourceArn", "the value is not known"), err)
		}
		p.mu.Lock()
		before := p.mappings[key]
		p.mu.Unlock()
		now := settings(e, stream)
		if before != nil && before.settings == now {
			continue
		}
		if err := p.permitted(e, stream); err != nil {
			return err
		}
		if before != nil {
			if err := before.end(ctx); err != nil {
				return err
			}
		}
		parsed, err := parse(e.Filters)
		if err != nil {
			return err // Check has said so
		}
		m := p.newMapping(e, now, stream, parsed)
		if e.Table != nil {
			if err := m.locate(ctx, p.file(key)); err != nil {
				return e.Errorf("EventSourceArn", "%v", err)
			}
		}
		if e.Enabled {
			m.begin()
		}
		p.mu.Lock()
		p.mappings = p.mappings.Updated(stack, provider.Resources[*mapping]{key: m})
		p.mu.Unlock()
	}
	return nil
}

// file is where the position of a mapping is kept.
func (p *Provider) file(key string) string {
	return filepath.Join(p.options.Dir, strings.ReplaceAll(key, "/", ".")+".json")
}

// locate finds the position in the stream.
func (m *mapping) locate(ctx context.Context, file string) error {
	at, isNew, err := openPosition(file, m.stream, m.spec.From)
	if m.position = at; err != nil || !isNew {
		return err
	}
	if m.spec.From == latest {
		return m.startAtEnd(ctx)
	}
	return at.save()
}

// Clean implements [provider.Plan]. The position of a mapping that is deleted goes with it.
func (p *plan) Clean(ctx context.Context, stack string) error {
	p.mu.Lock()
	var gone []*mapping
	left := provider.Resources[*mapping]{}
	for key, m := range p.mappings {
		if provider.StackOf(key) == stack && p.wanted[key] == nil {
			gone = append(gone, m)
		} else {
			left[key] = m
		}
	}
	p.mappings = left
	p.mu.Unlock()
	err := endAll(ctx, gone)
	for _, m := range gone {
		if file := p.file(m.spec.Key()); err == nil && m.position != nil {
			err = os.Remove(file)
		}
	}
	return err
}

// permitted refuses a mapping whose function's role may not do what the mapping does, as AWS does when the mapping is made.
// https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html#events-sqs-permissions
// https://docs.aws.amazon.com/lambda/latest/dg/services-dynamodb-eventsourcemapping.html
func (p *plan) permitted(e *model.EventSource, stream string) error {
	role := p.options.Access.As(e.Target.Function.Role)
	actions, resource, policy := []string{"sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"}, "", []model.Statement(nil)
	if e.Queue != nil {
		resource, policy = provider.ARN("sqs", e.Queue.Name), e.Queue.Policy
	} else {
		actions, resource = []string{"dynamodb:DescribeStream", "dynamodb:GetShardIterator", "dynamodb:GetRecords"}, stream
	}
	for _, action := range actions {
		if !role.May(action, resource, policy...) {
			return e.Errorf("FunctionName", "the role of the function %s may not do %s on %s, which the mapping needs", e.Target.Function.Name, action, resource)
		}
	}
	if to := e.OnFailure; to != nil && !role.May("sqs:SendMessage", provider.ARN("sqs", to.Name), to.Policy...) {
		return e.Errorf("DestinationConfig.OnFailure.Destination", "the role of the function %s may not do sqs:SendMessage on %s, which the mapping needs", e.Target.Function.Name, to.Name)
	}
	return nil
}

// settings is all of a mapping that makes another one of it, as text.
func settings(e *model.EventSource, stream string) string {
	role := ""
	if e.Target.Function.Role != nil {
		role = e.Target.Function.Role.Key()
	}
	failure := ""
	if e.OnFailure != nil {
		failure = e.OnFailure.Name
	}
	queue := ""
	if e.Queue != nil {
		queue = fmt.Sprint(e.Queue.Name, e.Queue.Visibility)
	}
	return fmt.Sprintln(target(e.Target), e.Target.Function.Name, role, queue, stream, e.Enabled, e.Batch, e.Window, e.PartialFailures, e.From, e.Filters, e.Bisect, e.Retries, e.MaxAge, e.MaxConcurrency, failure)
}

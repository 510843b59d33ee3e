// Package ssm stands for the Parameter Store on this machine: the parameters of an
// assembly, with unique names. It is the smallest provider of the local target.
package ssm

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"

	"cutover/internal/assembly"
	"cutover/internal/local/provider"
	"cutover/internal/model"
)

// Parameters is the provider of SSM parameters.
// https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-ssm-parameter.html
type Parameters struct {
	mu      sync.Mutex
	holders map[string]string // the key of the resource that holds a name, by the name
}

// New returns a provider without parameters.
func New() *Parameters { return &Parameters{holders: map[string]string{}} }

// Types implements [provider.Provider].
func (p *Parameters) Types() []string { return []string{model.SSMParameter} }

// Status implements [provider.Provider].
func (p *Parameters) Status() any { return nil }

// Stop implements [provider.Provider].
func (p *Parameters) Stop(context.Context) error { return nil }

// Plan implements [provider.Provider].
func (p *Parameters) Plan(m *model.Model, _ provider.Text) provider.Plan {
	next := &plan{Parameters: p, assembly: m.Assembly, names: provider.Resources[string]{}}
	for _, parameter := range m.Assembly.Resources(model.SSMParameter) {
		name, err := parameter.Resolve(m.Assembly, "Name")
		if name, ok := name.(string); ok { // CloudFormation makes up a unique name otherwise
			next.names[parameter.String()] = name
		}
		next.errs = append(next.errs, err)
	}
	return next
}

// plan has the parameters of an assembly.
type plan struct {
	*Parameters
	assembly *assembly.Assembly
	names    provider.Resources[string]
	errs     []error
}

// Check implements [provider.Plan].
func (p *plan) Check() error { return errors.Join(p.errs...) }

// Attribute gives a parameter's name (Ref), Type and Value.
func (p *plan) Attribute(ref assembly.Ref) (any, error) {
	property := cmp.Or(ref.Attribute, "Name")
	value, err := ref.Resource.Resolve(p.assembly, property)
	if value == nil && err == nil || !slices.Contains([]string{"Name", "Type", "Value"}, property) {
		err = provider.NotGiven(ref)
	}
	return value, err
}

// Update takes the names of a stack's parameters. A name has one holder. A name
// that the stack gives up is free after Clean.
func (p *plan) Update(_ context.Context, stack string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	holders := maps.Clone(p.holders)
	var errs []error
	for _, key := range p.names.Of(stack).Keys() {
		name := p.names[key]
		if holder := holders[name]; holder != "" && holder != key {
			errs = append(errs, fmt.Errorf("%s: the SSM parameter %s already exists, by %s", key, name, holder))
		}
		holders[name] = key
	}
	if len(errs) == 0 {
		p.holders = holders
	}
	return errors.Join(errs...)
}

// Clean gives up the names that the stack does not have any more.
func (p *plan) Clean(_ context.Context, stack string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	maps.DeleteFunc(p.holders, func(name, key string) bool {
		return provider.StackOf(key) == stack && p.names[key] != name
	})
	return nil
}

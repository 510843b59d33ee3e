// Package ssm stands for the Parameter Store on this machine: the parameters of an assembly, with
// unique names. It is the smallest provider of the local target.
package ssm

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"

	"cutover/internal/assembly"
	"cutover/internal/local/provider"
	"cutover/internal/model"
)

// Parameters is the provider of SSM parameters.
// https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-ssm-parameter.html
type Parameters struct {
	mu      sync.Mutex
	holders map[string]holder // by name
}

// holder is the resource that holds a name.
type holder struct {
	key   string
	value string // empty if it refers to other resources, or is a secret
}

// New returns a provider without parameters.
func New() *Parameters { return &Parameters{holders: map[string]holder{}} }

// Types implements [provider.Provider].
func (p *Parameters) Types() []string { return []string{model.SSMParameter} }

// Values are the values of the parameters by name. A value that refers to other resources is empty, and
// so is the value of a container's secret.
type Values map[string]string

// Status implements [provider.Provider]. It returns [Values].
func (p *Parameters) Status() any {
	p.mu.Lock()
	defer p.mu.Unlock()
	values := Values{}
	for name, holder := range p.holders {
		values[name] = holder.value
	}
	return values
}

// Stop implements [provider.Provider].
func (p *Parameters) Stop(context.Context) error { return nil }

// Plan implements [provider.Provider].
func (p *Parameters) Plan(m *model.Model, _ provider.Text) provider.Plan {
	next := plan{p, m, provider.Resources[*model.Parameter]{}}
	for _, parameter := range m.Parameters {
		next.wanted[parameter.Key()] = parameter
	}
	return next
}

// plan has the parameters of an assembly.
type plan struct {
	*Parameters
	model  *model.Model
	wanted provider.Resources[*model.Parameter]
}

// Check implements [provider.Plan].
func (p plan) Check() error {
	var errs []error
	for _, key := range p.wanted.Keys() {
		errs = append(errs, p.wanted[key].Problem("Name"))
	}
	return errors.Join(errs...)
}

// Attribute gives a parameter's name (Ref) and Value. The value may refer to other resources.
func (p plan) Attribute(ref assembly.Ref) (any, error) {
	switch parameter := p.wanted[ref.Resource.String()]; {
	case parameter == nil:
	case ref.Attribute == "" && parameter.Name != "":
		return parameter.Name, nil
	case ref.Attribute == "Value" && parameter.Parts != nil:
		return parameter.Parts, nil
	case ref.Attribute == "Value":
		return parameter.Value, parameter.Problem("Value")
	}
	return nil, provider.NotGiven(ref)
}

// Update takes the names of a stack's parameters. A name has one holder. A name that the stack
// gives up is free after Clean.
func (p plan) Update(_ context.Context, stack string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	holders := maps.Clone(p.holders)
	var errs []error
	for _, key := range p.wanted.Of(stack).Keys() {
		name := p.wanted[key].Name
		if name == "" {
			continue // CloudFormation makes up a name, which is unique
		}
		if other := holders[name].key; other != "" && other != key {
			errs = append(errs, fmt.Errorf("%s: the SSM parameter %s already exists, by %s", key, name, other))
		}
		holders[name] = holder{key: key}
		if !p.model.Secret(p.wanted[key]) {
			holders[name] = holder{key, p.wanted[key].Value}
		}
	}
	if len(errs) == 0 {
		p.holders = holders
	}
	return errors.Join(errs...)
}

// Clean gives up the names that the stack does not have any more.
func (p plan) Clean(_ context.Context, stack string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	maps.DeleteFunc(p.holders, func(name string, by holder) bool {
		kept := p.wanted[by.key]
		return provider.StackOf(by.key) == stack && (kept == nil || kept.Name != name)
	})
	return nil
}

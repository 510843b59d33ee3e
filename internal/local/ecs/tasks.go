package ecs

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"cutover/internal/assembly"
	"cutover/internal/local/provider"
	"cutover/internal/local/secrets"
	"cutover/internal/model"
)

// Tasks prepares the task definitions of an assembly for this machine: their variables and secrets get
// values, and containers are left out.
type Tasks struct {
	*Provider
	model   *model.Model
	Text    provider.Text // fills in a value
	secrets map[string]string
	err     error // of reading the given secrets
}

// Tasks returns what prepares the task definitions of an assembly.
func (p *Provider) Tasks(m *model.Model, text provider.Text) *Tasks {
	t := &Tasks{Provider: p, model: m, Text: text}
	if p.given.Secrets != nil {
		t.secrets, t.err = p.given.Secrets()
	}
	return t
}

// Check says what is in the way of the tasks of a definition, a line each.
func (t *Tasks) Check(d *model.TaskDefinition) error {
	if err := definitionErrors(d); err != nil {
		return err
	}
	filled, err := t.Fill(d)
	if errors.Is(err, provider.ErrNotYet) {
		err = nil
	}
	return assembly.Join(err, t.checkContainers(d.Key(), filled))
}

// PassedOver lists the settings of a definition that have no effect here.
func (t *Tasks) PassedOver(d *model.TaskDefinition) []provider.PassedOver {
	all := listedOfTask(d)
	filled, _ := t.Fill(d)
	for i, c := range d.Containers {
		at := fmt.Sprintf("%v/Properties.ContainerDefinitions[%d]", d.Resource, i)
		if slices.Contains(t.given.Without, c.Name) {
			all = append(all, provider.PassedOver{Place: at, Subject: d.Family, Setting: c.Name, Why: "the container is left out, as you asked"})
			continue
		}
		c = filled.Containers[slices.IndexFunc(filled.Containers, func(f model.Container) bool { return f.Name == c.Name })]
		for j, v := range d.Containers[i].Environment {
			if t.unset(c, v) {
				all = append(all, provider.PassedOver{Place: fmt.Sprintf("%s.Environment[%d]", at, j), Subject: c.Name, Setting: v.Name,
					Why: "nothing on this machine stands for what the variable names, so the command in place of the container does not get it: give a value with --value"})
			}
		}
		over, _ := t.options.Driver.Check(filled, c)
		for _, one := range over {
			all = append(all, provider.PassedOver{Place: at + "." + one.Setting, Subject: c.Name, Setting: one.Setting, Why: one.Why})
		}
	}
	return all
}

// Fill returns a definition whose variables and secrets have their values, without the containers that
// are left out. The error joins everything that nothing ever gives a value, or else is the first value
// that does not exist yet, as [provider.ErrNotYet].
func (t *Tasks) Fill(of *model.TaskDefinition) (*model.TaskDefinition, error) {
	d := *of
	d.Containers = nil
	var never []error
	var missing error
	note := func(err error) {
		if errors.Is(err, provider.ErrNotYet) {
			missing = cmp.Or(missing, err)
		} else {
			never = append(never, err)
		}
	}
	if t.err != nil {
		note(t.err)
	}
	out := func(name string) bool { return slices.Contains(t.given.Without, name) }
	for i, c := range of.Containers {
		if out(c.Name) {
			continue
		}
		at := fmt.Sprintf("ContainerDefinitions[%d]", i)
		c.DependsOn = slices.DeleteFunc(slices.Clone(c.DependsOn), func(d model.Dependency) bool { return out(d.Container) })
		c.Links = slices.DeleteFunc(slices.Clone(c.Links), func(link string) bool { name, _, _ := strings.Cut(link, ":"); return out(name) })
		c.Environment, c.Secrets = slices.Clone(c.Environment), slices.Clone(c.Secrets)
		c.Environment = slices.DeleteFunc(c.Environment, func(v model.Variable) bool { return t.unset(c, v) })
		for j := range c.Environment {
			v := &c.Environment[j]
			var err error
			if v.Parts != nil {
				v.Value, err = t.Text(v.Parts)
			}
			if err == nil && model.Dynamic(v.Value) {
				err = errors.New("only CloudFormation resolves a reference in {{}}: use Secrets")
			}
			if err != nil {
				note(fmt.Errorf("%v: %w", of.Errorf(fmt.Sprintf("%s.Environment[%d].Value", at, j), "%s", v.Name), err))
			}
		}
		for j := range c.Secrets {
			s := &c.Secrets[j]
			if s.Parts != nil {
				s.From = s.Parts.String()
			}
			value, err := t.Secret(c, *s)
			s.Here = t.model.BrokerOf(*s) != nil
			if s.Value = value; err != nil {
				note(fmt.Errorf("%v: %w", of.Errorf(fmt.Sprintf("%s.Secrets[%d].ValueFrom", at, j), "container %s", c.Name), err))
			}
		}
		d.Containers = append(d.Containers, c)
	}
	if !slices.ContainsFunc(d.Containers, func(c model.Container) bool { return c.Essential }) {
		never = append(never, of.Errorf("ContainerDefinitions", "no essential container is left: leave one of them in"))
	}
	if err := assembly.Join(never...); err != nil {
		return &d, err
	}
	return &d, missing
}

// unset says whether a variable has no value here, and its container is replaced by a command: the command
// may do without the variable.
func (t *Tasks) unset(c model.Container, v model.Variable) bool {
	if v.Parts == nil || !slices.Contains(t.given.Replaced, c.Name) {
		return false
	}
	_, err := t.Text(v.Parts)
	return errors.Is(err, provider.ErrNoValue)
}

// Secret returns the value of a container's secret: the given one, or else the one of a parameter or secret of the
// assembly. No error has a value.
func (t *Tasks) Secret(c model.Container, s model.Secret) (string, error) {
	for _, name := range []string{c.Name + "." + s.Name, s.Name} {
		if value, ok := t.secrets[name]; ok {
			return value, nil
		}
	}
	parameter, secret, rest := t.source(s)
	var why error
	switch {
	case parameter != nil:
		if parameter.Parts != nil {
			return t.Text(parameter.Parts)
		}
		if err := parameter.Problem("Value"); err == nil && !model.Dynamic(parameter.Value) {
			return parameter.Value, nil
		}
	case secret != nil && t.given.Managed != nil:
		var value string
		if value, why = t.given.Managed(t.model, t.Text, secret); why == nil {
			if key, _, _ := strings.Cut(strings.TrimPrefix(rest, ":"), ":"); key != "" {
				return secrets.Member(value, key)
			}
			return value, nil
		}
		if errors.Is(why, provider.ErrNotYet) {
			return "", why
		}
	}
	hint := ""
	if t.given.SecretsFile != "" {
		hint = fmt.Sprintf(", or in a line %s=VALUE of %s", s.Name, t.given.SecretsFile)
	}
	because := ""
	if why != nil {
		because = fmt.Sprintf(" (%v)", why)
	}
	return "", fmt.Errorf("the secret %s (%s) has no value here%s: give one with --secret %s=VALUE%s", s.Name, s.From, because, s.Name, hint)
}

// source finds the parameter or the secret of the assembly that a container's secret names, with what
// follows the name.
// https://docs.aws.amazon.com/AmazonECS/latest/developerguide/secrets-envvar-secrets-manager.html
func (t *Tasks) source(s model.Secret) (*model.Parameter, *model.ManagedSecret, string) {
	from := s.From
	for i, part := range s.Parts {
		ref, ok := part.(assembly.Ref)
		if !ok {
			continue
		}
		rest := ""
		if i+1 < len(s.Parts) {
			rest = fmt.Sprint(s.Parts[i+1])
		}
		switch resource := t.model.Value(ref.Resource).(type) {
		case *model.Parameter:
			return resource, nil, ""
		case *model.ManagedSecret:
			return nil, resource, rest
		}
	}
	if s.Parts != nil {
		from, _ = t.Text(s.Parts)
	}
	if arn := strings.SplitN(from, ":", 8); len(arn) > 6 {
		if secret := t.model.SecretNamed(from); secret != nil {
			return nil, secret, strings.Join(arn[7:], "")
		}
	}
	arn := strings.SplitN(from, ":", 7)
	if len(arn) == 6 && arn[2] == "ssm" {
		from = strings.TrimPrefix(arn[5], "parameter")
	}
	for _, parameter := range t.model.Parameters {
		if name := parameter.Name; name != "" && strings.TrimPrefix(name, "/") == strings.TrimPrefix(from, "/") {
			return parameter, nil, ""
		}
	}
	return nil, nil, ""
}

// Variables are the environment of a container with the values of its secrets.
func Variables(c model.Container) []model.Variable {
	all := slices.Clone(c.Environment)
	for _, s := range c.Secrets {
		all = append(all, model.Variable{Name: s.Name, Value: s.Value, Here: s.Here})
	}
	return all
}

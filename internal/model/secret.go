package model

import (
	"slices"
	"strings"

	"cutover/internal/assembly"
)

// ManagedSecret is a secret of Secrets Manager.
// https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-secretsmanager-secret.html
type ManagedSecret struct {
	Base
	// Name is empty where CloudFormation makes it up, or where it is only known after the deployment.
	Name string
	// Value is empty where AWS generates it, and where it is only known after the deployment.
	Value string
}

func (s *ManagedSecret) read(p assembly.Value) {
	s.Name, _ = p.Field("Name").Mixed()
	s.Value, _ = p.Field("SecretString").Mixed()
}

// Secret says whether a container has a parameter's value as a secret.
func (m *Model) Secret(p *Parameter) bool {
	name := strings.TrimPrefix(p.Name, "/")
	for _, d := range m.TaskDefinitions {
		for _, c := range d.Containers {
			for _, s := range c.Secrets {
				of := func(part any) bool { ref, ok := part.(assembly.Ref); return ok && ref.Resource == p.Resource }
				if slices.ContainsFunc(s.Parts, of) || name != "" && (strings.TrimPrefix(s.From, "/") == name || strings.HasSuffix(s.From, ":parameter/"+name)) {
					return true
				}
			}
		}
	}
	return false
}

// Dynamic says whether a text has a reference that only CloudFormation resolves, as in
// "{{resolve:secretsmanager:db:SecretString:password}}".
// https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/dynamic-references.html
func Dynamic(text string) bool { return strings.Contains(text, "{{resolve:") }

package model

import (
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

// Dynamic says whether a text has a reference that only CloudFormation resolves, as in
// "{{resolve:secretsmanager:db:SecretString:password}}".
// https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/dynamic-references.html
func Dynamic(text string) bool { return strings.Contains(text, "{{resolve:") }

package model

import (
	"fmt"
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
	// Value is empty where AWS generates it, and where it is only known after the deployment. Then Parts has it.
	Value string
	Parts assembly.Text
	// Generated is how AWS makes the value; nil where the template has it.
	Generated *GeneratedSecret
	// ChangedBy is the rotation schedule or the attachment to a database that gives the secret another value after its creation;
	// nil if there is none.
	ChangedBy *assembly.Resource
}

// GeneratedSecret is how Secrets Manager makes a password.
// https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-properties-secretsmanager-secret-generatesecretstring.html
type GeneratedSecret struct {
	// Length is that of the password. Default: 32.
	Length int
	// Key is the member that the password has in the JSON object Template; empty if the password is the whole value.
	Key, Template string
	// Without are characters that the password does not have.
	Without string
	// WithoutLower, WithoutUpper, WithoutDigits and WithoutPunctuation leave kinds of characters out. All are false by default, and so
	// is Space, which adds the space.
	WithoutLower, WithoutUpper, WithoutDigits, WithoutPunctuation, Space bool
	// Each says that the password has a character of each kind. Default true.
	Each bool
}

func (m *Model) readSecrets() {
	m.Secrets = all(m, SecretsManagerSecret, (*ManagedSecret).read)
	for _, resourceType := range []string{SecretsManagerRotation, SecretsManagerAttachment} {
		all(m, resourceType, func(by *secretChange, p assembly.Value) {
			if secret := elsewhere[ManagedSecret](m, p.Field("SecretId"), SecretsManagerSecret, "Id"); secret != nil {
				secret.ChangedBy = by.Resource
			}
		})
	}
}

// secretChange is a rotation schedule, or an attachment to a database.
type secretChange struct{ Base }

func (s *ManagedSecret) read(p assembly.Value) {
	s.Name, _ = p.Field("Name").Mixed()
	s.Value, s.Parts = p.Field("SecretString").Mixed()
	v := p.Field("GenerateSecretString")
	if !v.Present() {
		return
	}
	s.Generated = &GeneratedSecret{
		Length: v.Field("PasswordLength").Int(32, 1, 4096), Key: v.Field("GenerateStringKey").Text(""), Template: v.Field("SecretStringTemplate").Text(""),
		Without: v.Field("ExcludeCharacters").Text(""), WithoutLower: v.Field("ExcludeLowercase").Bool(false), WithoutUpper: v.Field("ExcludeUppercase").Bool(false),
		WithoutDigits: v.Field("ExcludeNumbers").Bool(false), WithoutPunctuation: v.Field("ExcludePunctuation").Bool(false),
		Space: v.Field("IncludeSpace").Bool(false), Each: v.Field("RequireEachIncludedType").Bool(true),
	}
	if (s.Generated.Key == "") != (s.Generated.Template == "") {
		v.Refuse("GenerateStringKey and SecretStringTemplate need each other")
	}
}

// SecretNamed is the secret of the assembly with a name, or with an ARN. What may follow the name in an ARN, as ":password::" of a
// container's secret, does not count, and neither do the hyphen and the six characters that AWS puts behind it.
// https://docs.aws.amazon.com/secretsmanager/latest/userguide/whats-in-a-secret.html
func (m *Model) SecretNamed(id string) *ManagedSecret {
	name := id
	if arn := strings.SplitN(id, ":", 8); len(arn) > 6 && arn[0] == "arn" {
		if arn[2] != "secretsmanager" {
			return nil
		}
		name = arn[6]
	}
	for _, s := range m.Secrets {
		if s.Name == "" {
			if RefValue(m.Assembly, s.Resource, "", "") == fmt.Sprintf("arn:aws:secretsmanager:::secret:%s", name) {
				return s
			}
			continue
		}
		if end, ok := strings.CutPrefix(name, s.Name); ok && (end == "" || len(end) == 7 && end[0] == '-') {
			return s
		}
	}
	return nil
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

package secrets

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"cutover/internal/assembly"
	"cutover/internal/assembly/assemblytest"
	"cutover/internal/local/provider"
	"cutover/internal/model"
)

// read is the model of a stack S.
func read(t *testing.T, resources string) *model.Model {
	t.Helper()
	a := assemblytest.Read(t, "111111111111/eu-west-1", `{"Resources": {`+resources+`}}`)
	return model.Read(a)
}

func secret(properties string) string {
	return `{"Type": "AWS::SecretsManager::Secret", "Properties": {` + properties + `}}`
}

// fill fills in the ARNs of secrets. What is called Later does not exist yet.
func fill(m *model.Model) provider.Text {
	return func(value any) (string, error) {
		text := ""
		for _, part := range value.(assembly.Text) {
			ref, ok := part.(assembly.Ref)
			switch {
			case !ok:
				text += fmt.Sprint(part)
			case ref.Resource.LogicalID == "Later":
				return "", provider.ErrNotYet
			default:
				text += model.RefValue(m.Assembly, ref.Resource, provider.Account, provider.Region)
			}
		}
		return text, nil
	}
}

// TestValue: what the value of the secret It is, or why it has none.
func TestValue(t *testing.T) {
	const others = `"Plain": {"Type": "AWS::SecretsManager::Secret", "Properties": {"Name": "db/plain", "SecretString": "a$1{{"}},
		"Json": {"Type": "AWS::SecretsManager::Secret", "Properties": {"SecretString": "{\"user\": \"root\", \"port\": 5432}"}}, "Later": {"Type": "AWS::SSM::Parameter"}, `
	for properties, want := range map[string]string{
		`"SecretString": "s"`:                                     "s",
		`"SecretString": {"Ref": "AWS::Region"}`:                  "eu-west-1",
		`"SecretString": "x{{resolve:secretsmanager:db/plain}}y"`: "xa$1{{y",
		`"SecretString": "{{resolve:secretsmanager:db/plain:SecretString}}{{resolve:secretsmanager:db/plain:SecretString:::}}"`:                      "a$1{{a$1{{",
		`"SecretString": "{{resolve:secretsmanager:arn:aws:secretsmanager:eu-west-1:1:secret:db/plain-AbCdEf:SecretString::AWSCURRENT}}"`:            "a$1{{",
		`"SecretString": {"Fn::Sub": "{{resolve:secretsmanager:${Json}:SecretString:user}}:{{resolve:secretsmanager:${Json}:SecretString:port::}}"}`: "root:5432",
		`"SecretString": {"Fn::Sub": "${Later}"}`:                                             provider.ErrNotYet.Error(),
		`"SecretString": {"Fn::Sub": "{{resolve:secretsmanager:${It}}}"}`:                     "S/It/Properties.SecretString: the secret refers to itself",
		`"SecretString": {"Fn::Sub": "{{resolve:secretsmanager:${Json}:SecretString:host}}"}`: `the secret has no key "host"`,
		`"SecretString": "{{resolve:secretsmanager:db/plain:SecretString:user}}"`:             `the secret has no key "user": it is no JSON object`,
		`"SecretString": "{{resolve:secretsmanager:db/plain:SecretString::AWSPREVIOUS}}"`:     "{{resolve:secretsmanager:db/plain:SecretString::AWSPREVIOUS}}: only the version AWSCURRENT is here",
		`"SecretString": "{{resolve:secretsmanager:db/other}}"`:                               "{{resolve:secretsmanager:db/other}}: the assembly has no such secret",
		`"SecretString": "{{resolve:ssm:/x}}"`:                                                "a dynamic reference is not evaluated here: only those to secrets",
		`"SecretString": "{{resolve:secretsmanager:db/plain:SecretBinary}}"`:                  "a dynamic reference is not evaluated here: only those to secrets",
		`"KmsKeyId": "k"`:                                                                  "S/It/Properties.SecretString: the template has no value",
		`"SecretString": {"Fn::GetAZs": ""}`:                                               "S/It/Properties.SecretString.Fn::GetAZs",
		`"GenerateSecretString": {"PasswordLength": 0}`:                                    "S/It/Properties.GenerateSecretString.PasswordLength: expected a whole number",
		`"GenerateSecretString": {"PasswordLength": 3}`:                                    "S/It/Properties.GenerateSecretString: a password of 3 characters cannot have one of each of 4 kinds",
		`"GenerateSecretString": {"GenerateStringKey": "k", "SecretStringTemplate": "no"}`: "S/It/Properties.GenerateSecretString: SecretStringTemplate is no JSON object",
		`"GenerateSecretString": {"ExcludeLowercase": true, "ExcludeUppercase": true, "ExcludeNumbers": true, "ExcludePunctuation": true}`:                                                                                                                     "no character is left for a password",
		`"GenerateSecretString": {"ExcludeLowercase": true, "ExcludeUppercase": true, "ExcludeNumbers": true, "ExcludePunctuation": true, "IncludeSpace": true, "PasswordLength": 3}`:                                                                          "   ",
		`"GenerateSecretString": {"ExcludeLowercase": true, "ExcludeUppercase": true, "ExcludePunctuation": true, "ExcludeCharacters": "012345678", "PasswordLength": 3, "GenerateStringKey": "<k>", "SecretStringTemplate": "{\"n\": 12345678901234567890}"}`: `{"<k>":"999","n":12345678901234567890}`,
	} {
		m := read(t, others+`"It": `+secret(properties))
		got, err := New(t.TempDir()).Value(m, fill(m), m.Value(m.Assembly.Stack("S").Resource("It")).(*model.ManagedSecret))
		if err != nil && !strings.Contains(err.Error(), want) || err == nil && got != want {
			t.Errorf("%s: %q, %v, want %q", properties, got, err, want)
		}
		if err != nil && (strings.Contains(err.Error(), "root") || strings.Contains(err.Error(), "a$1")) {
			t.Errorf("an error shows a value: %v", err)
		}
	}
}

// A generated value stays, until the template wants another one or has the secret no more.
func TestGenerated(t *testing.T) {
	dir := t.TempDir()
	value := func(template string) string {
		t.Helper()
		m := read(t, template)
		got, err := New(dir).Value(m, nil, m.Secrets[0])
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	it := `"It": ` + secret(`"GenerateSecretString": {}`)
	kept := strings.TrimSuffix(`"Kept": `+secret(`"GenerateSecretString": {}`), "}") + `, "DeletionPolicy": "Retain"}`
	first, other := value(it), value(kept)
	for _, kind := range []string{"abcdefghijklmnopqrstuvwxyz", "ABCDEFGHIJKLMNOPQRSTUVWXYZ", "0123456789", punctuation} {
		if len(first) != 32 || !strings.ContainsAny(first, kind) || first == other {
			t.Errorf("the password has %d characters, none of %s, or is that of another secret", len(first), kind)
		}
	}
	if value(it) != first {
		t.Error("the value does not stay")
	}
	info, err := os.Stat(filepath.Join(dir, "secrets", "generated.json"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file: %v, %v", info.Mode(), err)
	}
	second := value(`"It": ` + secret(`"GenerateSecretString": {"PasswordLength": 20}`))
	if len(second) != 20 {
		t.Errorf("with other rules the value has %d characters", len(second))
	}
	clean := func(m *model.Model, stack string) {
		t.Helper()
		p := New(dir)
		if err := errors.Join(p.Plan(m, nil).Update(t.Context(), stack), p.Plan(m, nil).Clean(t.Context(), stack), p.Stop(t.Context())); err != nil {
			t.Fatal(err)
		}
	}
	clean(read(t, `"X": {"Type": "AWS::SSM::Parameter"}`), "Other")
	clean(read(t, it), "S")
	if value(`"It": `+secret(`"GenerateSecretString": {"PasswordLength": 20}`)) != second {
		t.Error("the value has gone before its secret")
	}
	clean(read(t, `"X": {"Type": "AWS::SSM::Parameter"}`), "S")
	if value(`"It": `+secret(`"GenerateSecretString": {"PasswordLength": 20}`)) == second {
		t.Error("the value stays without its secret")
	}
	if value(kept) != other {
		t.Error("the value of a secret has gone that its template keeps")
	}
	if err := os.WriteFile(filepath.Join(dir, "secrets", "generated.json"), []byte("no"), 0o600); err != nil {
		t.Fatal(err)
	}
	m := read(t, it)
	if _, err := New(dir).Value(m, nil, m.Secrets[0]); err == nil || !strings.Contains(err.Error(), "cannot be read") {
		t.Errorf("a broken file: %v", err)
	}
}

// A secret has an ARN, and nothing else.
func TestAttribute(t *testing.T) {
	m := read(t, `"It": `+secret(`"Name": "db", "SecretString": "s"`))
	p := New(t.TempDir()).Plan(m, nil)
	for attribute, want := range map[string]string{"": "arn:aws:secretsmanager:local:000000000000:secret:db-000000", "Id": "arn:aws:secretsmanager:local:000000000000:secret:db-000000", "SecretString": "<nil>"} {
		got, err := p.Attribute(assembly.Ref{Resource: m.Secrets[0].Resource, Attribute: attribute})
		if fmt.Sprint(got) != want || (err != nil) != (want == "<nil>") {
			t.Errorf("%q: %v, %v, want %s", attribute, got, err, want)
		}
	}
}

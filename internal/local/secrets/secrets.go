// Package secrets stands for Secrets Manager on this machine: the secrets of an assembly, with values that the template has, that are
// generated, or that refer to other secrets. A secret has a value when somebody asks for it.
package secrets

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"sync"

	"cutover/internal/assembly"
	"cutover/internal/file"
	"cutover/internal/local/provider"
	"cutover/internal/model"
)

// Secrets is the provider of secrets. It keeps what it generates in a file that only this user reads.
type Secrets struct {
	file string

	mu sync.Mutex
}

// kept is a generated value.
type kept struct {
	// By is the hash of what the template says about the value. If that changes, there is another value, as on AWS.
	By    string `json:"by"`
	Value string `json:"value"`
	// Stays says that the template keeps the secret when the secret leaves it.
	Stays bool `json:"stays,omitempty"`
}

// New returns a provider that keeps generated values below a directory.
func New(dir string) *Secrets { return &Secrets{file: filepath.Join(dir, "secrets", "generated.json")} }

// Types implements [provider.Provider].
func (p *Secrets) Types() []string { return []string{model.SecretsManagerSecret} }

// Status implements [provider.Provider]. No status shows a secret.
func (p *Secrets) Status() any { return nil }

// Stop implements [provider.Provider]. Generated values stay, with the data that they may belong to.
func (p *Secrets) Stop(context.Context) error { return nil }

// Plan implements [provider.Provider].
func (p *Secrets) Plan(m *model.Model, _ provider.Text) provider.Plan {
	next := plan{p, m, provider.Resources[*model.ManagedSecret]{}}
	for _, s := range m.Secrets {
		next.wanted[s.Key()] = s
	}
	return next
}

type plan struct {
	*Secrets
	model  *model.Model
	wanted provider.Resources[*model.ManagedSecret]
}

// Check implements [provider.Plan]. Who asks for a value that a secret cannot have is refused.
func (p plan) Check() error { return nil }

// Attribute gives the ARN.
func (p plan) Attribute(ref assembly.Ref) (any, error) {
	if ref.Attribute == "" || ref.Attribute == "Id" {
		return model.RefValue(p.model.Assembly, ref.Resource, provider.Account, provider.Region), nil
	}
	return nil, provider.NotGiven(ref)
}

// Update implements [provider.Plan].
func (p plan) Update(context.Context, string) error { return nil }

// Clean forgets generated values of secrets that the stack does not have any more, unless the template keeps them.
func (p plan) Clean(_ context.Context, stack string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	all, err := p.read()
	if err != nil {
		return err
	}
	before := len(all)
	maps.DeleteFunc(all, func(key string, k kept) bool {
		return provider.StackOf(key) == stack && p.wanted[key] == nil && !k.Stays
	})
	if len(all) == before {
		return nil
	}
	return p.write(all)
}

func (p *Secrets) read() (map[string]kept, error) {
	all := map[string]kept{}
	text, err := os.ReadFile(p.file)
	if errors.Is(err, fs.ErrNotExist) {
		return all, nil
	}
	if err == nil {
		err = json.Unmarshal(text, &all)
	}
	if err != nil {
		return nil, fmt.Errorf("the generated secrets cannot be read: %w", err)
	}
	return all, nil
}

func (p *Secrets) write(all map[string]kept) error {
	text, err := json.Marshal(all)
	if err == nil {
		err = file.Replace(p.file, text, 0o600)
	}
	if err != nil {
		return fmt.Errorf("the generated secrets cannot be kept: %w", err)
	}
	return nil
}

// Value is the value of a secret of an assembly. Text fills in what other resources tell. The error is [provider.ErrNotYet] if
// only one that does not exist yet is missing. No error has a value.
func (p *Secrets) Value(m *model.Model, text provider.Text, s *model.ManagedSecret) (string, error) {
	return p.value(m, text, s, 0)
}

// maxDepth bounds how far secrets may refer to each other.
const maxDepth = 20

func (p *Secrets) value(m *model.Model, text provider.Text, s *model.ManagedSecret, depth int) (string, error) {
	if depth > maxDepth {
		return "", s.Errorf("SecretString", "the secret refers to itself")
	}
	if err := s.Problem("SecretString", "GenerateSecretString"); err != nil {
		return "", err
	}
	switch {
	case s.ChangedBy != nil:
		return "", fmt.Errorf("%v: %v, which is an %s, gives the secret another value on AWS, and nothing does here", s.Resource, s.ChangedBy, s.ChangedBy.Type)
	case s.Generated != nil:
		return p.generated(s)
	case s.Parts != nil:
		filled, err := text(s.Parts)
		if err != nil {
			return "", err
		}
		return p.resolve(m, text, filled, depth)
	case s.Value == "":
		return "", s.Errorf("SecretString", "the template has no value")
	}
	return p.resolve(m, text, s.Value, depth)
}

// generated is the value that was generated for a secret, or a new one.
func (p *Secrets) generated(s *model.ManagedSecret) (string, error) {
	rules, err := json.Marshal(s.Generated)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(rules)
	by := hex.EncodeToString(sum[:])
	p.mu.Lock()
	defer p.mu.Unlock()
	all, err := p.read()
	if err != nil {
		return "", err
	}
	if one := all[s.Key()]; one.By == by {
		return one.Value, nil
	}
	value, err := generate(*s.Generated)
	if err != nil {
		return "", s.Errorf("GenerateSecretString", "%v", err)
	}
	all[s.Key()] = kept{by, value, model.Kept(s.Resource) != "Delete"}
	return value, p.write(all)
}

// reference matches a dynamic reference to a secret: its name or ARN, SecretString, the key, and the version.
// https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/dynamic-references-secretsmanager.html
var reference = regexp.MustCompile(`\{\{resolve:secretsmanager:(arn:(?:[^:{}]*:){5}[^:{}]+|[^:{}]+)(?::SecretString(?::([^:{}]*)(:[^{}]*)?)?)?\}\}`)

// Resolve replaces the dynamic references to secrets in a text, whose parts text has filled in. Others are refused.
func (p *Secrets) Resolve(m *model.Model, text provider.Text, filled string) (string, error) {
	return p.resolve(m, text, filled, 0)
}

func (p *Secrets) resolve(m *model.Model, text provider.Text, filled string, depth int) (string, error) {
	var errs []error
	resolved := reference.ReplaceAllStringFunc(filled, func(found string) string {
		parts := reference.FindStringSubmatch(found)
		secret := m.SecretNamed(parts[1])
		var value string
		var err error
		switch version := parts[3]; {
		case version != "" && version != ":" && version != "::" && version != ":AWSCURRENT" && version != ":AWSCURRENT:":
			err = fmt.Errorf("%s: only the version AWSCURRENT is here", found)
		case secret == nil:
			err = fmt.Errorf("%s: the assembly has no such secret", found)
		default:
			if value, err = p.value(m, text, secret, depth+1); err == nil && parts[2] != "" {
				value, err = Member(value, parts[2])
			}
		}
		errs = append(errs, err)
		return value
	})
	if err := errors.Join(errs...); err != nil {
		return "", err
	}
	// What a value has is no reference any more.
	if rest := reference.ReplaceAllString(filled, ""); model.Dynamic(rest) {
		return "", errors.New("a dynamic reference is not evaluated here: only those to secrets of the assembly, as {{resolve:secretsmanager:NAME:SecretString:KEY}}, are")
	}
	return resolved, nil
}

// Member returns a member of a secret that is a JSON object. The error does not show the secret.
func Member(secret, key string) (string, error) {
	members := map[string]any{}
	if json.Unmarshal([]byte(secret), &members) != nil {
		return "", fmt.Errorf("the secret has no key %q: it is no JSON object", key)
	}
	switch value := members[key].(type) {
	case nil:
		return "", fmt.Errorf("the secret has no key %q", key)
	case string:
		return value, nil
	default:
		text, err := json.Marshal(value)
		return string(text), err
	}
}

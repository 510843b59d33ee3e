// Package access decides which task may do what with the stores of this machine, as IAM does on AWS. Each task
// has credentials of its own. They stand for the task's role, with the statements of the deployed templates.
package access

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"cutover/internal/assembly"
	"cutover/internal/local/provider"
	"cutover/internal/model"
)

// Access knows the statements of roles and the credentials of tasks and of functions. It is a provider without types of its
// own: nothing else on this machine asks for a role. Its methods may be called by several goroutines.
type Access struct {
	mu      sync.Mutex
	grants  provider.Resources[*grant] // of roles and of policies
	signers map[string]*Signer         // by access key
	tasks   map[string]string          // access keys by task
	user    *Signer                    // nil until it is asked for
	offers  []func() []model.Variable
}

// New returns an Access that knows no role and no task.
func New() *Access {
	return &Access{grants: provider.Resources[*grant]{}, signers: map[string]*Signer{}, tasks: map[string]string{}}
}

// grant is what a resource of a template gives to roles.
type grant struct {
	roles      []string // keys
	statements []model.Statement
	text       provider.Text
}

// Signer is a task, or an execution environment of a function, that signs requests.
type Signer struct {
	// Key, Secret and Session are the access key, the secret access key and the session token.
	Key, Secret, Session string
	// Principal is the ARN of the assumed role, with the task.
	Principal string
	// Task is the id of the task, and Service the service that the role's tag names, or else the role.
	Task, Service string

	access *Access
	role   *model.Role
	values map[string]string // of condition keys, in lower case
}

// Types implements [provider.Provider].
func (a *Access) Types() []string { return nil }

// Status implements [provider.Provider].
func (a *Access) Status() any { return nil }

// Stop implements [provider.Provider].
func (a *Access) Stop(context.Context) error { return nil }

// Offer adds variables that tasks get together with their credentials. If no offer has a variable, tasks get
// no credentials either: then nothing on this machine takes them.
func (a *Access) Offer(variables func() []model.Variable) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.offers = append(a.offers, variables)
}

// credentials are the variables that the SDKs of AWS read, which belong together.
// https://docs.aws.amazon.com/sdkref/latest/guide/environment-variables.html
var credentials = []string{"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"}

// regions are the variables with the region that ECS sets in containers. SDKs read one or the other.
// https://docs.aws.amazon.com/AmazonECS/latest/developerguide/ecs-environment-variables.html
var regions = []string{"AWS_REGION", "AWS_DEFAULT_REGION"}

// Variables are what a container of a task gets besides the variables of its definition: addresses of stores,
// and the credentials of the task if its definition has a role. What the definition itself sets, stays.
func (a *Access) Variables(task string, d *model.TaskDefinition, c model.Container) (all []model.Variable) {
	all = a.offered()
	if len(all) == 0 {
		return nil
	}
	has := func(name string) bool {
		return slices.ContainsFunc(c.Environment, func(v model.Variable) bool { return v.Name == name }) ||
			slices.ContainsFunc(c.Secrets, func(s model.Secret) bool { return s.Name == name })
	}
	if !slices.ContainsFunc(regions, has) {
		all = append(all, inRegion(d.Resource.Stack.Region)...)
	}
	if d.TaskRole != nil && !slices.ContainsFunc(credentials, has) {
		all = append(all, a.signer(task, task, d.TaskRole).credentials()...)
	}
	return slices.DeleteFunc(all, func(v model.Variable) bool { return has(v.Name) })
}

// FunctionVariables are what an execution environment of a function gets besides the function's own variables,
// which go first: addresses of stores, the region, and credentials of its own if the function has a role. Lambda
// refuses functions that set the latter.
// https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html#configuration-envvars-runtime
func (a *Access) FunctionVariables(environment string, f *model.Function) []model.Variable {
	all := append(a.offered(), inRegion(f.Resource.Stack.Region)...)
	if f.Role != nil {
		all = append(all, a.signer(environment, f.Name, f.Role).credentials()...)
	}
	return slices.DeleteFunc(all, func(v model.Variable) bool {
		return slices.ContainsFunc(f.Environment, func(own model.Variable) bool { return own.Name == v.Name })
	})
}

// offered are the addresses of stores.
func (a *Access) offered() (all []model.Variable) {
	a.mu.Lock()
	offers := a.offers
	a.mu.Unlock()
	for _, offer := range offers {
		all = append(all, offer()...)
	}
	return all
}

func inRegion(region string) (all []model.Variable) {
	for _, name := range regions {
		all = append(all, model.Variable{Name: name, Value: region})
	}
	return all
}

// credentials are the variables with what the signer signs with.
func (s *Signer) credentials() (all []model.Variable) {
	for i, value := range []string{s.Key, s.Secret, s.Session} {
		all = append(all, model.Variable{Name: credentials[i], Value: value})
	}
	return all
}

// Forget takes the credentials of a task away.
func (a *Access) Forget(task string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.signers, a.tasks[task])
	delete(a.tasks, task)
}

// Signer returns the task with an access key.
func (a *Access) Signer(key string) (*Signer, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	s, ok := a.signers[key]
	return s, ok
}

// signer makes the credentials of a task or an execution environment, once. The session is what the principal
// is called behind the name of its role.
func (a *Access) signer(task, session string, role *model.Role) *Signer {
	a.mu.Lock()
	defer a.mu.Unlock()
	if key, ok := a.tasks[task]; ok {
		return a.signers[key]
	}
	s := a.As(role)
	s.Key, s.Secret, s.Session = "ASIA"+rand.Text()[:16], rand.Text()+rand.Text()[:14], rand.Text()
	s.Principal += "/" + session
	s.Task = task
	a.signers[s.Key], a.tasks[task] = s, s.Key
	return s
}

// User returns the user of this deployment, who may do everything, as an administrator of the account. The credentials are
// made once.
func (a *Access) User() *Signer {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.user == nil {
		a.user = &Signer{
			Key: "AKIA" + rand.Text()[:16], Secret: rand.Text() + rand.Text()[:14], access: a,
			Principal: "arn:aws:iam::" + provider.Account + ":user/cutover",
		}
		a.signers[a.user.Key] = a.user
	}
	return a.user
}

// UserVariables are what an SDK reads to be the user of this deployment.
func (a *Access) UserVariables() []model.Variable {
	return slices.Concat(a.offered(), inRegion(provider.Region), a.User().credentials())
}

// As returns a signer without credentials, which stands for a role.
func (a *Access) As(role *model.Role) *Signer {
	name, _ := role.Resource.Properties["RoleName"].(string)
	if name == "" {
		name = role.Resource.LogicalID
	}
	s := &Signer{access: a, role: role, Principal: "arn:aws:sts::" + provider.Account + ":assumed-role/" + name}
	s.values = map[string]string{
		// What listens on this machine only stands for an endpoint with TLS.
		"aws:securetransport":  "true",
		"aws:principalarn":     "arn:aws:iam::" + provider.Account + ":role/" + name,
		"aws:principalaccount": provider.Account,
		"aws:resourceaccount":  provider.Account,
		"aws:principaltype":    "AssumedRole",
	}
	tags, _ := role.Resource.Properties["Tags"].([]any)
	for _, tag := range tags {
		if tag, ok := tag.(map[string]any); ok {
			if value, ok := tag["Value"].(string); ok {
				s.values[strings.ToLower(fmt.Sprint("aws:PrincipalTag/", tag["Key"]))] = value
			}
		}
	}
	s.Service = cmp.Or(s.values["aws:principaltag/service"], name)
	return s
}

// Plan implements [provider.Provider].
func (a *Access) Plan(m *model.Model, text provider.Text) provider.Plan {
	return plan{a, grants(m, text)}
}

// Of returns an Access that knows the roles of an assembly, and no task.
func Of(m *model.Model, text provider.Text) *Access {
	a := New()
	a.grants = grants(m, text)
	return a
}

func grants(m *model.Model, text provider.Text) provider.Resources[*grant] {
	all := provider.Resources[*grant]{}
	for _, role := range m.Roles {
		g := &grant{[]string{role.Key()}, slices.Clone(role.Statements), text}
		for _, managed := range role.Managed {
			if ref, ok := managed.(assembly.Ref); ok {
				if policy, ok := m.Value(ref.Resource).(*model.Policy); ok {
					g.statements = append(g.statements, policy.Statements...)
				}
			}
			g.statements = append(g.statements, awsManaged(managed)...)
		}
		all[role.Key()] = g
	}
	for _, policy := range m.Policies {
		g := &grant{nil, policy.Statements, text}
		for _, role := range policy.Roles {
			g.roles = append(g.roles, role.Key())
		}
		all[policy.Key()] = g
	}
	return all
}

// awsManaged are the statements of a policy that AWS maintains, as far as they are about stores.
// https://docs.aws.amazon.com/aws-managed-policy/latest/reference/policy-list.html
func awsManaged(policy any) []model.Statement {
	text := fmt.Sprint(policy)
	allow := func(actions ...any) []model.Statement {
		return []model.Statement{{Effect: "Allow", Actions: actions, Resources: []any{"*"}}}
	}
	switch text[strings.LastIndex(text, "/")+1:] {
	case "AdministratorAccess", "PowerUserAccess":
		return allow("*")
	case "AmazonDynamoDBFullAccess", "AmazonDynamoDBFullAccess_v2":
		return allow("dynamodb:*")
	case "AmazonDynamoDBReadOnlyAccess":
		return allow("dynamodb:BatchGetItem", "dynamodb:Describe*", "dynamodb:List*", "dynamodb:GetItem", "dynamodb:Query", "dynamodb:Scan", "dynamodb:PartiQLSelect")
	}
	return nil
}

// plan has the statements of an assembly.
type plan struct {
	*Access
	wanted provider.Resources[*grant]
}

// Check implements [provider.Plan].
func (p plan) Check() error { return nil }

// Attribute implements [provider.Plan]. No resource is of this provider.
func (p plan) Attribute(ref assembly.Ref) (any, error) { return nil, provider.NotGiven(ref) }

// Update implements [provider.Plan]. Tasks that run have the new statements at once, as on AWS.
func (p plan) Update(_ context.Context, stack string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.grants = p.grants.Updated(stack, p.wanted)
	return nil
}

// Clean implements [provider.Plan].
func (p plan) Clean(_ context.Context, stack string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.grants = p.grants.Cleaned(stack, p.wanted)
	return nil
}

// PassedOver implements [provider.Reporter]. It lists the statements that are not evaluated.
func (p plan) PassedOver() (all []provider.PassedOver) {
	for _, key := range p.wanted.Keys() {
		for _, s := range p.wanted[key].statements {
			if !aboutStores(s) {
				continue
			}
			for _, what := range unknown(s.Condition) {
				all = append(all, provider.PassedOver{Place: key, Subject: key, Setting: what,
					Why: "this condition is not evaluated here: its statement neither allows nor denies anything"})
			}
		}
	}
	return all
}

// May says whether the task, or the user of the deployment, may do an action on a resource, which has a policy of its own or none. An explicit
// Deny goes first. Otherwise one Allow does, of the role or of the resource.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html
func (s *Signer) May(action, resource string, policy ...model.Statement) bool {
	if s.role == nil {
		return true
	}
	s.access.mu.Lock()
	var own []*grant
	for _, g := range s.access.grants {
		if slices.Contains(g.roles, s.role.Key()) {
			own = append(own, g)
		}
	}
	s.access.mu.Unlock()
	allowed := false
	for _, g := range own {
		for _, statement := range g.statements {
			if s.applies(statement, action, resource, g.text) {
				if statement.Effect != "Allow" {
					return false
				}
				allowed = true
			}
		}
	}
	for _, statement := range policy {
		if s.is(statement.Principals["AWS"]) && s.applies(statement, action, resource, plain) {
			if statement.Effect != "Allow" {
				return false
			}
			allowed = true
		}
	}
	return allowed
}

// With returns the signer with more values of condition keys, as a request through a service has them.
func (s *Signer) With(values map[string]string) *Signer {
	with := *s
	with.values = maps.Clone(s.values)
	if with.values == nil {
		with.values = map[string]string{}
	}
	for key, value := range values {
		with.values[strings.ToLower(key)] = value
	}
	return &with
}

// ServiceMay says whether the policy of a resource lets a service of AWS, as in sns.amazonaws.com, do an action on the
// resource for what has an ARN in this account.
func ServiceMay(service, source, action, resource string, policy []model.Statement) bool {
	s := (&Signer{}).With(map[string]string{
		"aws:SecureTransport": "true", "aws:SourceArn": source, "aws:SourceAccount": provider.Account,
		"kms:CallerAccount": provider.Account, "aws:ResourceAccount": provider.Account,
	})
	allowed := false
	for _, statement := range policy {
		about := slices.ContainsFunc(statement.Principals["Service"], func(p any) bool { return p == service })
		if all := statement.Principals["AWS"]; !about && !slices.Contains(all, "*") || !s.applies(statement, action, resource, plain) {
			continue
		}
		if statement.Effect != "Allow" {
			return false
		}
		allowed = true
	}
	return allowed
}

// plain is the text of a value in the policy of a resource. Such a value refers to nothing but roles.
func plain(value any) (string, error) {
	switch value.(type) {
	case assembly.Ref, assembly.Text:
		return "", errors.New("the value refers to a resource")
	}
	return fmt.Sprint(value), nil
}

// is says whether the task is one of the principals of a resource's policy.
func (s *Signer) is(principals []any) bool {
	return slices.ContainsFunc(principals, func(p any) bool {
		if ref, ok := p.(assembly.Ref); ok {
			return ref.Resource.String() == s.role.Key()
		}
		return p == "*" || p == s.values["aws:principalarn"]
	})
}

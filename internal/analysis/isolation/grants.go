package isolation

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"cutover/internal/assembly"
	"cutover/internal/model"
)

// Grant is one statement of a policy, for one identity.
type Grant struct {
	// Identity is whom the statement is for: "users: task", "instances", "anybody", …
	Identity string
	// Effect is Allow or Deny.
	Effect             string
	Actions, Resources []string
	// Condition is empty if the grant holds always.
	Condition string
	// Reason is why a service asks for a wildcard in its task role. Empty for other roles.
	Reason string
}

// reasoned says whether somebody gave a reason for what the grant has of wildcards.
func (g Grant) reasoned() bool { return g.Reason != "" }

// grants reads all statements of all policies, those of AWS that are named included.
func (r *reader) grants() {
	for _, role := range r.Roles {
		r.understood(&role.Base)
		identity := r.identities[role.Resource]
		r.add(role.Resource, identity, role.Statements)
		for _, managed := range role.Managed {
			name := strings.TrimPrefix(text(managed), "arn:aws:iam::aws:policy/")
			grants, ok := awsManaged[name]
			if !ok {
				r.refuse(role.Resource, "has the policy %s: list in awsManaged what it grants, or better grant what is needed", name)
			}
			for _, g := range grants {
				g.Identity = identity
				r.isolation.Grants = append(r.isolation.Grants, g)
			}
		}
		for _, s := range role.Trust {
			for kind, principals := range s.Principals {
				r.isolation.Trusts = append(r.isolation.Trusts, Trust{identity, kind, texts(principals), conditionText(s.Condition)})
			}
		}
	}
	for _, policy := range r.Policies {
		r.understood(&policy.Base)
		for _, role := range policy.Roles {
			r.add(policy.Resource, r.identities[role.Resource], policy.Statements)
		}
	}
	for _, policy := range r.ResourcePolicies {
		r.understood(&policy.Base)
		r.add(policy.Resource, "", policy.Statements)
	}
	for _, permission := range r.FunctionPermissions {
		r.permission(permission)
	}
	for _, stack := range r.Assembly.Stacks {
		for _, resource := range stack.Resources {
			if !model.GrantsKnown(resource.Type) {
				r.refuse(resource, "what %s grants is not known here", resource.Type)
			}
		}
	}
	slices.SortFunc(r.isolation.Grants, func(a, b Grant) int {
		return cmp.Or(cmp.Compare(a.Identity, b.Identity), slices.Compare(a.Actions[:1], b.Actions[:1]), slices.Compare(a.Resources, b.Resources), cmp.Compare(a.Condition, b.Condition))
	})
	slices.SortFunc(r.isolation.Trusts, func(a, b Trust) int { return cmp.Or(cmp.Compare(a.Role, b.Role), cmp.Compare(a.Kind, b.Kind)) })
}

// understood refuses what could not be read, and members of statements that nobody reads.
func (r *reader) understood(b *model.Base) {
	if err := b.Problem(); err != nil {
		r.errs = append(r.errs, err)
	}
	for _, setting := range b.Settings {
		if strings.Contains(setting.Property, "Statement") {
			r.refuse(b.Resource, "a statement with %s: what that comes to is not known here", setting.Name)
		}
	}
}

// add adds statements of a policy. Without principals they are for the identity.
func (r *reader) add(resource *assembly.Resource, identity string, statements []model.Statement) {
	for _, s := range statements {
		g := Grant{Identity: identity, Effect: s.Effect, Actions: texts(s.Actions), Resources: texts(s.Resources), Condition: conditionText(s.Condition)}
		if len(g.Actions) == 0 {
			r.refuse(resource, "a statement without actions")
			continue
		}
		if runs(identity) {
			g.Reason = resource.Reasons["AwsSolutions-IAM5"]
		}
		if len(s.Principals) == 0 {
			r.isolation.Grants = append(r.isolation.Grants, g)
			continue
		}
		// A policy that belongs to its resource need not name the resource.
		if g.Resources == nil || slices.Equal(g.Resources, []string{"*"}) {
			g.Resources = []string{model.ARN(resource, Account, Region)}
		}
		for kind, principals := range s.Principals {
			for _, p := range texts(principals) {
				g.Identity = cmp.Or(outsiders[p], strings.ToLower(kind)+" "+p)
				r.isolation.Grants = append(r.isolation.Grants, g)
			}
		}
	}
}

// permission adds who may invoke a function. A permission that names an alias or a version is for that only. Lambda
// compares the source by StringLike
// (https://docs.aws.amazon.com/lambda/latest/api/API_AddPermission.html).
func (r *reader) permission(p *model.FunctionPermission) {
	r.understood(&p.Base)
	target := r.FunctionTarget(p.Function)
	if target.Function == nil {
		r.refuse(p.Resource, "what %s grants is not known here: FunctionName names no function of the assembly", p.Resource.Type)
		return
	}
	arn := model.ARN(target.Function.Resource, Account, Region)
	switch {
	case target.Alias != nil:
		arn += ":" + target.Alias.Name
	case target.Version != nil:
		arn += ":${" + target.Version.Key() + "}"
	}
	source := p.Source
	if p.Parts != nil {
		source = text(p.Parts)
	}
	var conditions []string
	if source != "" {
		conditions = append(conditions, "aws:SourceArn StringLike "+source)
	}
	if p.Account != "" {
		conditions = append(conditions, "aws:SourceAccount StringEquals "+p.Account)
	}
	identity := "service " + p.Principal
	if !strings.HasSuffix(p.Principal, ".amazonaws.com") {
		identity = cmp.Or(outsiders[p.Principal], "aws "+p.Principal)
	}
	r.isolation.Grants = append(r.isolation.Grants, Grant{
		Identity: identity, Effect: "Allow", Actions: []string{p.Action}, Resources: []string{arn}, Condition: strings.Join(conditions, " and "),
	})
}

// taskRole ends the identity of the containers of a task, functionRole that of a function.
const (
	taskRole     = ": task"
	functionRole = ": function"
)

// runs says whether an identity is that of a program: a task, or a function.
func runs(identity string) bool {
	return strings.HasSuffix(identity, taskRole) || strings.HasSuffix(identity, functionRole)
}

func conditionText(condition map[string]map[string][]any) string {
	var parts []string
	for _, operator := range slices.Sorted(maps.Keys(condition)) {
		for _, key := range slices.Sorted(maps.Keys(condition[operator])) {
			parts = append(parts, fmt.Sprintf("%s %s %s", key, operator, strings.Join(texts(condition[operator][key]), ", ")))
		}
	}
	return strings.Join(parts, " and ")
}

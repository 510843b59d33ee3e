package model

import (
	"regexp"
	"slices"
	"strings"

	"cutover/internal/assembly"
)

// Role is an identity that others assume.
// https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-iam-role.html
type Role struct {
	Base
	// Trust says who may assume the role.
	Trust []Statement
	// Statements are those of the role's own policies.
	Statements []Statement
	// Managed are the ARNs of other policies that the role has: values as in [Statement].
	Managed []any
}

func (r *Role) read(p assembly.Value) {
	r.Trust = statements(p.Field("AssumeRolePolicyDocument"))
	for _, policy := range p.Field("Policies").List() {
		r.Statements = append(r.Statements, statements(policy.Field("PolicyDocument"))...)
	}
	for _, arn := range p.Field("ManagedPolicyArns").List() {
		r.Managed = append(r.Managed, arn.Evaluated())
	}
}

// InstanceProfile gives EC2 instances a role.
type InstanceProfile struct {
	Base
	Roles []*Role
}

// Policy gives roles permissions.
// https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-iam-policy.html
type Policy struct {
	Base
	Roles      []*Role
	Statements []Statement
}

func (m *Model) policy(policy *Policy, p assembly.Value) {
	policy.Roles = m.roles(p)
	policy.Statements = statements(p.Field("PolicyDocument"))
}

func (m *Model) roles(p assembly.Value) []*Role {
	var roles []*Role
	for _, role := range p.Field("Roles").List() {
		if role := refer[Role](m, role, IAMRole); role != nil {
			roles = append(roles, role)
		}
	}
	return roles
}

// ResourcePolicy is the policy of what it is about: a repository, a bucket, a topic, a key.
type ResourcePolicy struct {
	Base
	Statements []Statement
}

func (m *Model) resourcePolicy(resource *assembly.Resource) {
	if exists, _ := resource.Exists(m.Assembly); !exists || strings.HasPrefix(resource.Type, "AWS::IAM::") {
		return
	}
	if resource.Type == EC2VPCEndpoint { // its policy grants nothing
		return
	}
	for _, property := range []string{"RepositoryPolicyText", "PolicyDocument", "KeyPolicy", "ResourcePolicy", "FileSystemPolicy", "Replicas"} {
		if resource.Properties[property] == nil || property == "Replicas" && resource.Type != DynamoDBGlobalTable {
			continue
		}
		reader := assembly.NewReader(m.Assembly, resource)
		policy := &ResourcePolicy{Base: Base{Resource: resource}}
		for _, document := range documents(resource.Type, property, reader.Properties().Field(property)) {
			policy.Statements = append(policy.Statements, statements(document)...)
		}
		if policy.Statements == nil {
			continue
		}
		policy.Problems = reader.Problems()
		policy.Settings = slices.DeleteFunc(reader.Settings(), func(s Setting) bool { return !within(s.Property, []string{property}) })
		m.ResourcePolicies = append(m.ResourcePolicies, policy)
	}
}

// documents are the policies in a property: tables have theirs in an object, and global tables in each
// replica.
func documents(resourceType, property string, v assembly.Value) []assembly.Value {
	switch {
	case resourceType == DynamoDBTable && property == "ResourcePolicy":
		return []assembly.Value{v.Field("PolicyDocument")}
	case resourceType == DynamoDBGlobalTable:
		var all []assembly.Value
		for _, replica := range v.List() {
			all = append(all, replica.Field("ResourcePolicy").Field("PolicyDocument"))
		}
		return all
	}
	return []assembly.Value{v}
}

// Statement is a statement of a policy. Its values are strings, and [assembly.Ref] and
// [assembly.Text] where they depend on what a deployment makes. Members that it does not
// have, like NotAction, are settings of the resource.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements.html
type Statement struct {
	// Effect is Allow or Deny.
	Effect             string
	Actions, Resources []any
	// Principals are by kind, like "Service"; "*" is of kind "AWS". An identity's policy has none.
	Principals map[string][]any
	// Condition has the values by operator and key.
	Condition map[string]map[string][]any
}

func statements(document assembly.Value) []Statement {
	document.Field("Version") // of the language
	var all []Statement
	for _, v := range some(document.Field("Statement")) {
		v.Field("Sid") // a name
		s := Statement{
			Effect: v.Field("Effect").Text(""), Actions: evaluated(v.Field("Action")), Resources: evaluated(v.Field("Resource")),
			Principals: map[string][]any{}, Condition: map[string]map[string][]any{},
		}
		if principal := v.Field("Principal"); principal.Evaluated() == "*" {
			s.Principals["AWS"] = []any{"*"}
		} else {
			for _, kind := range principal.Names() {
				s.Principals[kind] = evaluated(principal.Field(kind))
			}
		}
		for _, operator := range v.Field("Condition").Names() {
			s.Condition[operator] = map[string][]any{}
			for _, key := range v.Field("Condition").Field(operator).Names() {
				s.Condition[operator][key] = evaluated(v.Field("Condition").Field(operator).Field(key))
			}
		}
		all = append(all, s)
	}
	return all
}

// some returns the elements of a list, or the value where IAM takes one alone.
func some(v assembly.Value) []assembly.Value {
	switch v.Evaluated().(type) {
	case nil:
		return nil
	case []any:
		return v.List()
	}
	return []assembly.Value{v}
}

func evaluated(v assembly.Value) []any {
	var values []any
	for _, one := range some(v) {
		values = append(values, one.Evaluated())
	}
	return values
}

// GrantsKnown reports whether the model has all that resources of a type grant by themselves.
func GrantsKnown(resourceType string) bool {
	switch resourceType {
	case IAMRole, IAMPolicy, IAMManagedPolicy, IAMInstanceProfile, LambdaPermission:
		return true
	}
	return !strings.HasPrefix(resourceType, "AWS::IAM::")
}

// Matches reports whether a resource of a policy, with its wildcards, covers an ARN. In a pattern * stands for
// any text and ? for any character.
func Matches(pattern, arn string) bool {
	expression := strings.NewReplacer(`\*`, `.*`, `\?`, `.`).Replace(regexp.QuoteMeta(pattern))
	return regexp.MustCompile("^" + expression + "$").MatchString(arn)
}

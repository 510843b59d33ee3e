package access_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"cutover/internal/assembly"
	"cutover/internal/local/backing/access"
	"cutover/internal/local/provider"
	"cutover/internal/model"
)

// read returns the model of an assembly with a stack of these resources.
func read(t *testing.T, resources map[string]any) *model.Model {
	t.Helper()
	dir := t.TempDir()
	for name, value := range map[string]any{
		"manifest.json": map[string]any{"version": "48.0.0", "artifacts": map[string]any{"S": map[string]any{"type": "aws:cloudformation:stack", "environment": "aws://unknown-account/unknown-region", "properties": map[string]any{"templateFile": "s.json"}}}},
		"s.json":        map[string]any{"Resources": resources},
	} {
		text, err := json.Marshal(value)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	a, err := assembly.Read(dir)
	if err != nil {
		t.Fatal(err)
	}
	a.Locate("000000000000", "local")
	return model.Read(a)
}

type object = map[string]any

func resource(kind string, properties object) object {
	return object{"Type": kind, "Properties": properties}
}

func ref(id string) object { return object{"Ref": id} }

// deployed returns an Access with a stack's roles.
func deployed(t *testing.T, resources object) (*access.Access, *model.Model) {
	t.Helper()
	m := read(t, resources)
	a := access.New()
	text := func(value any) (string, error) {
		if r, ok := value.(assembly.Ref); ok {
			return "arn:aws:dynamodb:local:000000000000:table/" + r.Resource.LogicalID, nil
		}
		return fmt.Sprint(value), nil
	}
	if err := a.Plan(m, text).Update(t.Context(), "S"); err != nil {
		t.Fatal(err)
	}
	return a, m
}

func table(name string) string { return "arn:aws:dynamodb:local:000000000000:table/" + name }

// TestMay: statements of a role allow and deny as IAM evaluates them.
func TestMay(t *testing.T) {
	t.Parallel()
	allow := func(actions, resources any, condition ...object) object {
		s := object{"Effect": "Allow", "Action": actions, "Resource": resources}
		for _, c := range condition {
			s["Condition"] = c
		}
		return s
	}
	deny := func(statement object) object {
		statement = maps.Clone(statement)
		statement["Effect"] = "Deny"
		return statement
	}
	is := func(operator, key string, values ...any) object { return object{operator: object{key: values}} }
	for name, test := range map[string]struct {
		statements []any
		yes, no    []string // "action table"
	}{
		"nothing":           {nil, nil, []string{"dynamodb:GetItem users"}},
		"one table":         {[]any{allow("dynamodb:GetItem", table("users"))}, []string{"dynamodb:GetItem users"}, []string{"dynamodb:GetItem posts", "dynamodb:PutItem users", "dynamodb:GetItem users2", "dynamodb:GetItem user"}},
		"another region":    {[]any{allow("dynamodb:GetItem", "arn:aws:dynamodb:eu-central-1:123456789012:table/users")}, []string{"dynamodb:GetItem users"}, []string{"dynamodb:GetItem posts"}},
		"another service":   {[]any{allow("dynamodb:GetItem", "arn:aws:s3:local:000000000000:table/users")}, nil, []string{"dynamodb:GetItem users"}},
		"no ARN":            {[]any{allow("dynamodb:GetItem", "users")}, nil, []string{"dynamodb:GetItem users"}},
		"case":              {[]any{allow("DynamoDB:getitem", table("users"))}, []string{"dynamodb:GetItem users"}, []string{"dynamodb:GetItem Users"}},
		"wildcards":         {[]any{allow("dynamodb:*Item", table("dev-?-*s"))}, []string{"dynamodb:GetItem dev-a-users", "dynamodb:BatchGetItem dev-b-s"}, []string{"dynamodb:Query dev-a-users", "dynamodb:GetItem dev-ab-users", "dynamodb:GetItem dev-a-user"}},
		"everything":        {[]any{allow("*", "*")}, []string{"dynamodb:GetItem users", "rds-db:connect users"}, nil},
		"a reference":       {[]any{allow("dynamodb:GetItem", []any{object{"Fn::GetAtt": []any{"Users", "Arn"}}})}, []string{"dynamodb:GetItem Users"}, []string{"dynamodb:GetItem Other"}},
		"deny goes first":   {[]any{allow("dynamodb:*", "*"), deny(allow("dynamodb:PutItem", "*"))}, []string{"dynamodb:GetItem users"}, []string{"dynamodb:PutItem users"}},
		"tag":               {[]any{allow("dynamodb:GetItem", "*", is("StringEquals", "aws:PrincipalTag/service", "posts", "users"))}, []string{"dynamodb:GetItem x"}, nil},
		"another tag":       {[]any{allow("dynamodb:GetItem", "*", is("StringEquals", "AWS:PrincipalTag/service", "posts"))}, nil, []string{"dynamodb:GetItem x"}},
		"not the tag":       {[]any{allow("dynamodb:GetItem", "*", is("StringNotEquals", "aws:PrincipalTag/service", "posts", "users"))}, nil, []string{"dynamodb:GetItem x"}},
		"no tag":            {[]any{allow("dynamodb:GetItem", "*", is("StringEquals", "aws:PrincipalTag/team", "a"))}, nil, []string{"dynamodb:GetItem x"}},
		"not no tag":        {[]any{allow("dynamodb:GetItem", "*", is("StringNotEquals", "aws:PrincipalTag/team", "a"))}, []string{"dynamodb:GetItem x"}, nil},
		"if the tag is":     {[]any{allow("dynamodb:GetItem", "*", is("StringEqualsIfExists", "aws:PrincipalTag/team", "a"))}, []string{"dynamodb:GetItem x"}, nil},
		"null":              {[]any{allow("dynamodb:GetItem", "*", is("Null", "aws:PrincipalTag/team", "true"))}, []string{"dynamodb:GetItem x"}, nil},
		"not null":          {[]any{allow("dynamodb:GetItem", "*", is("Null", "aws:PrincipalTag/service", "true"))}, nil, []string{"dynamodb:GetItem x"}},
		"like":              {[]any{allow("dynamodb:GetItem", "*", is("StringLike", "aws:PrincipalTag/service", "u*"))}, []string{"dynamodb:GetItem x"}, nil},
		"not like":          {[]any{allow("dynamodb:GetItem", "*", is("StringNotLike", "aws:PrincipalTag/service", "u*"))}, nil, []string{"dynamodb:GetItem x"}},
		"ignore case":       {[]any{allow("dynamodb:GetItem", "*", is("StringEqualsIgnoreCase", "aws:PrincipalTag/service", "USERS"))}, []string{"dynamodb:GetItem x"}, nil},
		"principal":         {[]any{allow("dynamodb:GetItem", "*", is("ArnLike", "aws:PrincipalArn", "arn:aws:iam::*:role/R*"))}, []string{"dynamodb:GetItem x"}, nil},
		"transport":         {[]any{allow("dynamodb:*", "*"), deny(allow("*", "*", is("Bool", "aws:SecureTransport", false)))}, []string{"dynamodb:GetItem x"}, nil},
		"unknown key":       {[]any{allow("dynamodb:GetItem", "*", is("StringEquals", "dynamodb:LeadingKeys", "a"))}, nil, []string{"dynamodb:GetItem x"}},
		"unknown operator":  {[]any{allow("dynamodb:GetItem", "*", is("ForAllValues:StringEquals", "aws:PrincipalTag/service", "users"))}, nil, []string{"dynamodb:GetItem x"}},
		"unknown deny":      {[]any{allow("dynamodb:GetItem", "*"), deny(allow("*", "*", is("StringNotEquals", "aws:SourceVpce", "a")))}, []string{"dynamodb:GetItem x"}, nil},
		"policy variable":   {[]any{allow("dynamodb:GetItem", table("${!aws:PrincipalTag/service}-x")), allow("dynamodb:Query", table("dev-${aws:PrincipalTag/service}"))}, []string{"dynamodb:Query dev-users"}, []string{"dynamodb:Query dev-posts"}},
		"everything but":    {[]any{object{"Effect": "Allow", "NotAction": "iam:*", "Resource": "*"}}, nil, []string{"dynamodb:GetItem x"}},
		"two parts, one no": {[]any{allow("dynamodb:GetItem", "*", object{"StringEquals": object{"aws:PrincipalTag/service": "users"}, "Bool": object{"aws:SecureTransport": "false"}})}, nil, []string{"dynamodb:GetItem x"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a, m := deployed(t, object{
				"Role":   resource("AWS::IAM::Role", object{"Tags": []any{object{"Key": "service", "Value": "users"}}}),
				"Other":  resource("AWS::IAM::Role", object{}),
				"Users":  resource("AWS::DynamoDB::Table", object{}),
				"Policy": resource("AWS::IAM::Policy", object{"Roles": []any{ref("Role")}, "PolicyDocument": object{"Statement": test.statements}}),
			})
			for _, role := range m.Roles {
				may := func(what string) bool {
					action, name, _ := strings.Cut(what, " ")
					return a.As(role).May(action, table(name))
				}
				for _, what := range test.yes {
					if want := role.Resource.LogicalID == "Role"; may(what) != want {
						t.Errorf("%s may %s: %v", role.Resource.LogicalID, what, !want)
					}
				}
				for _, what := range test.no {
					if may(what) {
						t.Errorf("%s may %s", role.Resource.LogicalID, what)
					}
				}
			}
		})
	}
}

// TestResourcePolicy: the policy of a resource allows by itself, and its Deny goes first.
func TestResourcePolicy(t *testing.T) {
	t.Parallel()
	a, m := deployed(t, object{
		"Role": resource("AWS::IAM::Role", object{
			"Tags":              []any{object{"Key": "service", "Value": "users"}},
			"ManagedPolicyArns": []any{object{"Fn::Join": []any{"", []any{"arn:", ref("AWS::Partition"), ":iam::aws:policy/AmazonDynamoDBReadOnlyAccess"}}}, ref("Own")},
		}),
		"Own": resource("AWS::IAM::ManagedPolicy", object{"PolicyDocument": object{"Statement": object{"Effect": "Allow", "Action": "dynamodb:DeleteItem", "Resource": "*"}}}),
	})
	s := a.As(m.Roles[0])
	if s.Service != "users" {
		t.Errorf("the role is that of %s", s.Service)
	}
	statement := func(effect string, principal any, tag string) model.Statement {
		return model.Statement{Effect: effect, Actions: []any{"dynamodb:*"}, Resources: []any{"*"}, Principals: map[string][]any{"AWS": {principal}},
			Condition: map[string]map[string][]any{"StringEquals": {"aws:PrincipalTag/service": {tag}}}}
	}
	for name, test := range map[string]struct {
		action string
		policy []model.Statement
		want   bool
	}{
		"the role":             {"dynamodb:GetItem", nil, true},
		"a policy of its own":  {"dynamodb:DeleteItem", nil, true},
		"neither":              {"dynamodb:PutItem", nil, false},
		"allowed to all":       {"dynamodb:PutItem", []model.Statement{statement("Allow", "*", "users")}, true},
		"allowed to others":    {"dynamodb:PutItem", []model.Statement{statement("Allow", "*", "posts")}, false},
		"allowed to the role":  {"dynamodb:PutItem", []model.Statement{statement("Allow", assembly.Ref{Resource: m.Roles[0].Resource, Attribute: "Arn"}, "users")}, true},
		"allowed to its ARN":   {"dynamodb:PutItem", []model.Statement{statement("Allow", "arn:aws:iam::000000000000:role/Role", "users")}, true},
		"allowed to a service": {"dynamodb:PutItem", []model.Statement{statement("Allow", "arn:aws:iam::000000000000:role/Other", "users")}, false},
		"denied":               {"dynamodb:GetItem", []model.Statement{statement("Deny", "*", "users")}, false},
		"others denied":        {"dynamodb:GetItem", []model.Statement{statement("Deny", "*", "posts")}, true},
	} {
		if got := s.May(test.action, table("users"), test.policy...); got != test.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// TestVariables: a task with a role gets credentials of its own while a store offers something, and what the
// definition sets stays.
func TestVariables(t *testing.T) {
	t.Parallel()
	container := func(name string, more object) object {
		more["Name"], more["Image"] = name, "x"
		return more
	}
	a, m := deployed(t, object{
		"Role": resource("AWS::IAM::Role", object{}),
		"Task": resource("AWS::ECS::TaskDefinition", object{"TaskRoleArn": object{"Fn::GetAtt": []any{"Role", "Arn"}}, "ContainerDefinitions": []any{
			container("a", object{}), container("own", object{"Environment": []any{object{"Name": "AWS_ACCESS_KEY_ID", "Value": "mine"}, object{"Name": "AWS_REGION", "Value": "eu-central-1"}}}),
		}}),
		"Without": resource("AWS::ECS::TaskDefinition", object{"ContainerDefinitions": []any{container("a", object{})}}),
	})
	with, without := m.TaskDefinitions[0], m.TaskDefinitions[1]
	var offered []model.Variable
	a.Offer(func() []model.Variable { return offered })
	get := func(task string, d *model.TaskDefinition, container int) map[string]string {
		all := map[string]string{}
		for _, v := range a.Variables(task, d, d.Containers[container]) {
			all[v.Name] = v.Value
		}
		return all
	}
	if got := get("1", with, 0); len(got) > 0 {
		t.Errorf("without a store: %v", got)
	}
	offered = []model.Variable{{Name: "STORE", Value: "here"}}
	first, again, second := get("1", with, 0), get("1", with, 0), get("2", with, 0)
	if got := slices.Sorted(maps.Keys(first)); !slices.Equal(got, []string{"AWS_ACCESS_KEY_ID", "AWS_DEFAULT_REGION", "AWS_REGION", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "STORE"}) {
		t.Errorf("a task gets %v", got)
	}
	if !maps.Equal(first, again) || first["AWS_REGION"] != "local" || first["AWS_DEFAULT_REGION"] != "local" {
		t.Errorf("the containers of a task get %v and %v", first, again)
	}
	for _, name := range []string{"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"} {
		if first[name] == second[name] || first[name] == "" {
			t.Errorf("two tasks have %s %q and %q", name, first[name], second[name])
		}
	}
	if got := get("1", with, 1); !maps.Equal(got, map[string]string{"STORE": "here"}) {
		t.Errorf("with credentials and a region of its own: %v", got)
	}
	if got := get("3", without, 0); !maps.Equal(got, map[string]string{"STORE": "here", "AWS_REGION": "local", "AWS_DEFAULT_REGION": "local"}) {
		t.Errorf("without a role: %v", got)
	}
	s, ok := a.Signer(first["AWS_ACCESS_KEY_ID"])
	if !ok || s.Secret != first["AWS_SECRET_ACCESS_KEY"] || s.Session != first["AWS_SESSION_TOKEN"] || s.Principal != "arn:aws:sts::000000000000:assumed-role/Role/1" || s.Task != "1" || s.Service != "Role" {
		t.Errorf("the signer is %+v", s)
	}
	a.Forget("1")
	if _, ok := a.Signer(first["AWS_ACCESS_KEY_ID"]); ok {
		t.Error("a task that has ended still signs")
	}
	if _, ok := a.Signer(second["AWS_ACCESS_KEY_ID"]); !ok {
		t.Error("another task does not sign any more")
	}
}

// TestClean: what leaves the template allows nothing any more, and what is not evaluated is listed.
func TestClean(t *testing.T) {
	t.Parallel()
	statement := object{"Effect": "Allow", "Action": "dynamodb:*", "Resource": "*"}
	a, m := deployed(t, object{"Role": resource("AWS::IAM::Role", object{"Policies": []any{object{"PolicyDocument": object{"Statement": statement}}}})})
	s := a.As(m.Roles[0])
	if !s.May("dynamodb:GetItem", table("x")) {
		t.Error("a policy of the role allows nothing")
	}
	next := a.Plan(read(t, object{}), nil)
	if err := next.Update(t.Context(), "S"); err != nil || !s.May("dynamodb:GetItem", table("x")) {
		t.Error("the statements went before the stack was cleaned", err)
	}
	if err := next.Clean(t.Context(), "Other"); err != nil || !s.May("dynamodb:GetItem", table("x")) {
		t.Error("the statements went with another stack", err)
	}
	if err := next.Clean(t.Context(), "S"); err != nil || s.May("dynamodb:GetItem", table("x")) {
		t.Error("the statements stay", err)
	}
	statement["Condition"] = object{"IpAddress": object{"aws:SourceIp": "10.0.0.0/8"}, "StringLike": object{"aws:PrincipalTag/x": "a"}}
	other := object{"Effect": "Allow", "Action": "s3:*", "Resource": "*", "Condition": statement["Condition"]}
	m = read(t, object{"Role": resource("AWS::IAM::Role", object{"Policies": []any{object{"PolicyDocument": object{"Statement": []any{statement, other}}}}})})
	over := a.Plan(m, nil).(interface{ PassedOver() []provider.PassedOver }).PassedOver()
	if len(over) != 1 || over[0].Setting != "IpAddress aws:SourceIp" || over[0].Place != "S/Role" {
		t.Errorf("passed over: %v", over)
	}
}

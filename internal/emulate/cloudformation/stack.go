package cloudformation

import (
	"context"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation/types"
	"github.com/google/uuid"
)

// A resource is a resource of a stack.
type resource struct {
	logical, typ, physical string
	props, attrs           props
	retain                 bool // DeletionPolicy: Retain, RetainExceptOnCreate
	exceptOnCreate         bool // DeletionPolicy: RetainExceptOnCreate
	retainReplaced         bool // UpdateReplacePolicy: Retain
	snapshot               bool // DeletionPolicy: Snapshot
	updated                time.Time
}

// A stack has the last deployment and its history.
type stack struct {
	id, name, status, reason string
	request                       // deployed last
	protected                bool // termination protection
	outputs                  []types.Output
	resources                map[string]*resource
	order                    []string // logical ids, dependencies first
	imports                  []string // export names
	events                   []types.StackEvent
	created, changed         time.Time
}

// log adds an event of a resource, or of the stack itself if there is none.
func (s *stack) log(r *resource, status, reason string) {
	if r == nil {
		s.status, s.reason = status, reason
		r = &resource{logical: s.name, physical: s.id, typ: "AWS::CloudFormation::Stack"}
	}
	s.events = append(s.events, types.StackEvent{EventId: aws.String(uuid.NewString()), StackId: &s.id, StackName: &s.name,
		LogicalResourceId: &r.logical, PhysicalResourceId: aws.String(r.physical), ResourceType: &r.typ,
		ResourceStatus: types.ResourceStatus(status), ResourceStatusReason: given(reason), Timestamp: aws.Time(time.Now())})
}

// existing returns the stack's resources, each after all on which it depends.
func (s *stack) existing() []*resource {
	var found []*resource
	for _, logical := range s.order {
		if r := s.resources[logical]; r != nil {
			found = append(found, r)
		}
	}
	return found
}

func (s *stack) deleted() bool { return s.status == "DELETE_COMPLETE" }

// A request is the content of a change set.
type request struct {
	body     string
	template map[string]any
	params   map[string]string // as given or defaulted, before SSM parameters are looked up
	resolved map[string]any    // what Ref of a parameter gives
	tags     []types.Tag
	role     string
	imported map[string]string // physical ids of the resources to import, by logical id
}

// request reads a request to create or update a stack.
func (e *Engine) request(ctx context.Context, f url.Values, old *stack) (r request, err error) {
	r = request{role: f.Get("RoleARN"), params: map[string]string{}, resolved: map[string]any{}}
	if r.body, err = e.body(ctx, f, old); err != nil {
		return r, err
	}
	if r.template, err = parseTemplate(r.body); err != nil {
		return r, err
	}
	for _, m := range members(f, "Tags") {
		r.tags = append(r.tags, types.Tag{Key: aws.String(m.Get("Key")), Value: aws.String(m.Get("Value"))})
	}
	declared := section(r.template, "Parameters")
	for _, m := range members(f, "Parameters") {
		name := m.Get("ParameterKey")
		if _, ok := declared[name]; !ok {
			return r, validation("Parameters: [%s] do not exist in the template", name)
		}
		if m.Get("UsePreviousValue") != "true" {
			r.params[name] = m.Get("ParameterValue")
		} else if v, ok := old.params[name]; ok {
			r.params[name] = v
		}
	}
	for _, name := range slices.Sorted(maps.Keys(declared)) {
		if err := e.parameter(ctx, &r, name, section(declared, name)); err != nil {
			return r, err
		}
	}
	if f.Get("ChangeSetType") == "IMPORT" {
		r.imported, err = e.toImport(f, r)
	}
	return r, err
}

// parameter works out the value of one of the template's parameters: as given, as deployed, or the default.
func (e *Engine) parameter(ctx context.Context, r *request, name string, declared map[string]any) (err error) {
	v, ok := r.params[name]
	if !ok {
		d, ok := declared["Default"]
		if !ok {
			return validation("Parameters: [%s] must have values", name)
		}
		v = text(d)
		r.params[name] = v
	}
	allowed := items(declared, "AllowedValues")
	if allowed != nil && !slices.ContainsFunc(allowed, func(a any) bool { return text(a) == v }) {
		return validation("Parameter '%s' must be one of AllowedValues", name)
	}
	typ := str(declared, "Type")
	if strings.HasPrefix(typ, "AWS::SSM::Parameter::Value<") {
		if v, err = e.ssmParameter(ctx, v); err != nil {
			return err
		}
	}
	r.resolved[name] = v
	if strings.Contains(typ, "List") {
		var l []any
		for x := range strings.SplitSeq(v, ",") {
			l = append(l, strings.TrimSpace(x))
		}
		r.resolved[name] = l
	}
	return nil
}

func (e *Engine) ssmParameter(ctx context.Context, name string) (string, error) {
	n, err := e.client.call(ctx, "ssm", "GetParameter", props{"Name": name, "WithDecryption": true})
	if err != nil {
		return "", validation("Unable to fetch parameters [%s] from parameter store for this account. (%v)", name, err)
	}
	return n.all("Value")[0].Text, nil
}

// secret returns what a dynamic reference names: the secret's name or ARN, SecretString, and a key, a stage and a version that may
// be missing (https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/dynamic-references-secretsmanager.html).
func (e *Engine) secret(ctx context.Context, reference string) (string, error) {
	id, rest, _ := strings.Cut(reference, ":SecretString:")
	parts := append(strings.Split(rest, ":"), "", "")
	params := props{"SecretId": strings.TrimSuffix(id, ":SecretString")}
	if stage, version := parts[1], parts[2]; stage != "" {
		params["VersionStage"] = stage
	} else if version != "" {
		params["VersionId"] = version
	}
	n, err := e.client.call(ctx, "secretsmanager", "GetSecretValue", params)
	if err != nil {
		return "", validation("Could not read secret %s: %v", id, err)
	}
	value := n.first("SecretString")
	if parts[0] == "" {
		return value, nil
	}
	var keys props
	if err := decodeJSON(value, &keys); err != nil || keys[parts[0]] == nil {
		return "", validation("Could not find a value associated with JSONKey %s in the secret %s", parts[0], id)
	}
	return text(keys[parts[0]]), nil
}

// scope returns the evaluator for a request against a stack's resources.
func (e *Engine) scope(ctx context.Context, s *stack, r request, resources map[string]*resource) *scope {
	return &scope{engine: e, ctx: ctx, template: r.template, params: r.resolved, resources: resources, open: map[string]bool{},
		pseudo: map[string]any{
			"AWS::AccountId": e.options.Account, "AWS::Region": e.options.Region, "AWS::Partition": "aws",
			"AWS::URLSuffix": "amazonaws.com", "AWS::StackName": s.name, "AWS::StackId": s.id, "AWS::NotificationARNs": []any{},
		}}
}

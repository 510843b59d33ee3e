// Package cloudformation is a CloudFormation service for an emulated AWS. It keeps stacks and change sets, evaluates
// templates, and provisions their resources through the APIs of the other services.
//
// It has the parts that a deployment by the CDK CLI depends on: change sets per stack, updates in place or by replacement,
// creations and updates before deletions, imports of what exists, rollback, parameters (previous values, defaults, SSM parameters), Rules,
// exports, and Fn::GetStackOutput. An operation ends before its request is answered, so the CLI finds the result at its
// first look.
//
// A resource type without a handler (see handlers) is recorded: it gets a physical id, attributes and events, but
// exists nowhere. Custom resources are recorded, too, but for those in customResources. Lambda functions are kept with their
// code, and run for such a custom resource alone.
package cloudformation

import (
	"context"
	"fmt"
	"log"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
)

// Options configure an Engine. All fields are required.
type Options struct {
	Endpoint string // of the other services' APIs, and of S3 with bucket names in the path
	Account  string // 12 digits
	Region   string
	Log      *log.Logger // a line for each change of a stack's status and each failure
}

// An Engine is an http.Handler that answers CloudFormation's API.
type Engine struct {
	options Options
	client  *client

	mu         sync.Mutex
	stacks     []*stack
	changeSets []*changeSet
	recorded   map[string]bool
}

// New returns an engine without stacks.
func New(o Options) *Engine {
	return &Engine{options: o, recorded: map[string]bool{},
		client: &client{endpoint: o.Endpoint, region: o.Region, http: &http.Client{Timeout: time.Minute}}}
}

// Recorded returns the resource types that were deployed but only recorded, sorted.
func (e *Engine) Recorded() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Sorted(maps.Keys(e.recorded))
}

// find returns the stack with that name that is not deleted, or the stack with that id.
func (e *Engine) find(nameOrID string) *stack {
	for _, s := range e.stacks {
		if s.id == nameOrID || s.name == nameOrID && !s.deleted() {
			return s
		}
	}
	return nil
}

func (e *Engine) stack(nameOrID string) (*stack, error) {
	if s := e.find(nameOrID); s != nil {
		return s, nil
	}
	return nil, validation("Stack with id %s does not exist", nameOrID)
}

// arn returns the ARN of a new stack or changeSet.
func (e *Engine) arn(kind, name string) string {
	return fmt.Sprintf("arn:aws:cloudformation:%s:%s:%s/%s/%s", e.options.Region, e.options.Account, kind, name, uuid.NewString())
}

// An operation answers one action of the API with an output of the SDK.
type operation func(e *Engine, ctx context.Context, f url.Values) (any, error)

// operations are the API's actions. They run one at a time.
var operations = map[string]operation{
	"CreateChangeSet":             (*Engine).createChangeSet,
	"DescribeChangeSet":           (*Engine).describeChangeSet,
	"ExecuteChangeSet":            (*Engine).executeChangeSet,
	"DeleteChangeSet":             (*Engine).deleteChangeSet,
	"DeleteStack":                 (*Engine).deleteStack,
	"DescribeStacks":              (*Engine).describeStacks,
	"ListStacks":                  (*Engine).listStacks,
	"DescribeStackEvents":         ofStack(describeStackEvents),
	"DescribeStackResources":      ofStack(describeStackResources),
	"ListStackResources":          ofStack(listStackResources),
	"GetTemplate":                 ofStack(getTemplate),
	"GetTemplateSummary":          (*Engine).getTemplateSummary,
	"UpdateTerminationProtection": ofStack(updateTerminationProtection),
}

// ServeHTTP answers one request of the query protocol.
func (e *Engine) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	if err := req.ParseForm(); err != nil {
		answer(w, "", nil, validation("%v", err))
		return
	}
	action := req.Form.Get("Action")
	operation := operations[action]
	if operation == nil {
		answer(w, action, nil, &Error{Code: "InvalidAction", Message: "the emulator does not know CloudFormation's " + action})
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	// A client that goes away must not leave a deployment half done.
	result, err := operation(e, context.WithoutCancel(req.Context()), req.Form)
	answer(w, action, result, err)
}

// members reads a list of structures from a form.
func members(f url.Values, prefix string) []url.Values {
	var out []url.Values
	for i := 1; ; i++ {
		head := prefix + ".member." + strconv.Itoa(i) + "."
		m := url.Values{}
		for k, v := range f {
			if rest, ok := strings.CutPrefix(k, head); ok {
				m[rest] = v
			}
		}
		if len(m) == 0 {
			return out
		}
		out = append(out, m)
	}
}

// body returns the template of a request, which may be in S3.
func (e *Engine) body(ctx context.Context, f url.Values, old *stack) (string, error) {
	if b := f.Get("TemplateBody"); b != "" {
		return b, nil
	}
	if f.Get("UsePreviousTemplate") == "true" {
		return old.body, nil
	}
	u, err := url.Parse(f.Get("TemplateURL"))
	if err != nil || u.Path == "" {
		return "", validation("Either Template URL or Template Body must be specified.")
	}
	path := u.Path
	if host := u.Hostname(); !strings.HasPrefix(host, "s3.") && strings.Contains(host, ".s3.") {
		bucket, _, _ := strings.Cut(host, ".s3.")
		path = "/" + bucket + path
	}
	b, err := e.client.send(ctx, http.MethodGet, "s3", path, "", nil)
	if err != nil {
		return "", validation("S3 error: %v (template %s)", err, u)
	}
	return string(b), nil
}

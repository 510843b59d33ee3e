package cloudformation

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"

	"cutover/internal/model"
)

// props are the properties of a resource with every function resolved.
type props = map[string]any

// A handler provisions one resource type through the API of its service.
//
// Its functions do not look at errors: after a call has failed, [call.do] does nothing. Nor do they handle an attribute
// that is the physical id or a property; ref and same name those.
type handler struct {
	ref  string   // the attribute that is the physical id
	same []string // the attributes that are the property of the same name

	name  string                   // the property with the resource's name, if there is one
	limit int                      // length of the longest name. Default: 255
	shape func(name string) string // adapts a generated name to the service. Default: no change

	// create makes the resource and returns its physical id. If a call fails, no resource exists.
	create func(c *call, p props) string
	// update changes the resource in place. It gets no change that replaces the resource by package model. A handler
	// without update, put and configure replaces at every change.
	update func(c *call, old, p props)
	// put stands for both create and update, where the service has one operation for both.
	put func(c *call, p props) string
	// configure does what create and update leave open. It runs after either; after create there are no old properties.
	configure func(c *call, old, p props)
	// find reads the attributes of a resource that exists, and fails if there is none with that physical id. Only types with it can
	// be imported.
	find func(c *call)
	// delete removes the resource. It is no failure if the resource is gone.
	delete func(c *call, p props)
}

// handlers are the resource types that the engine provisions.
var handlers = func() map[string]*handler {
	table := map[string]*handler{}
	for _, part := range []map[string]*handler{network, buckets, compute, containers, files, contentDelivery, customResources, data, messaging, keys, brokers, functionTypes, eventSources, balancing, gateway, naming, scaling, identity, others} {
		maps.Copy(table, part)
	}
	for _, h := range table {
		if put := h.put; put != nil {
			h.create, h.update = put, func(c *call, _, p props) { put(c, p) }
		}
	}
	return table
}()

// recorded is the handler of all other types. Their resources get a physical id and attributes, can be referred to, and
// exist nowhere else.
var recorded = &handler{limit: 128, update: tagsOnly, delete: func(*call, props) {}, create: func(c *call, _ props) string { return c.id }}

func handlerOf(typ string) *handler {
	if h := handlers[typ]; h != nil {
		return h
	}
	return recorded
}

// replaces tells whether a change of the property needs a new resource.
func replaces(typ, property string) bool {
	h := handlerOf(typ)
	replaces, _ := model.Replaces(typ, property)
	return h != recorded && (replaces || h.update == nil && h.configure == nil)
}

// nameOf returns the name that a new resource has in its template, or a generated one.
func (h *handler) nameOf(stack string, r *resource) string {
	name := str(r.props, h.name)
	if name == "" {
		if name = generated(stack, r.logical, cmp.Or(h.limit, 255)); h.shape != nil {
			name = h.shape(name)
		}
	}
	return name
}

// tagsOnly is an update in place for a resource with only tags to change.
func tagsOnly(*call, props, props) {}

// created is a create of one call. The answer has the physical id in the element id.
func created(service, action, id string, properties ...string) func(*call, props) string {
	return func(c *call, p props) string {
		params := pick(p, properties...)
		if service == "ec2" {
			params = singular(params)
		}
		return c.do(service, action, params).first(id)
	}
}

// deleted is a delete of one call, with the physical id as its parameter.
func deleted(service, action, param string) func(*call, props) {
	return func(c *call, _ props) { c.do(service, action, props{param: c.id}) }
}

// A call is one run of a handler's function.
type call struct {
	*client
	ctx     context.Context
	account string
	id      string // physical id; of a resource to be created: its name, given or generated
	attrs   props  // attributes that the function finds out
	// properties are those of a resource of any stack, by its type and physical id. Nil if no stack has it.
	properties func(typ, id string) props
	// snapshot says that what is deleted leaves a snapshot behind, if its service has any.
	snapshot bool
	err      error // of the first operation that failed
}

// do runs an operation, unless one has failed before. The answer is never nil.
func (c *call) do(service, action string, params props) *node {
	if c.err != nil {
		return &node{}
	}
	n, err := c.client.call(c.ctx, service, action, params)
	c.err = err
	return n
}

// rest runs an operation of a service whose API has a path for each resource, unless an operation has failed before.
// A deletion may find nothing. The answer is never nil.
func (c *call) rest(service, method, path string, params props) *node {
	if c.err != nil {
		return &node{}
	}
	var given string
	if params != nil {
		given = encode(params)
	}
	body, err := c.send(c.ctx, method, service, path, given, map[string]string{"Content-Type": "application/json"})
	if c.err = err; method == http.MethodDelete {
		c.err = gone(err)
	}
	if c.err != nil || len(body) == 0 {
		return &node{}
	}
	n, err := parse(body)
	c.err = err
	return n
}

// found tells whether an operation finds what it asks for.
func (c *call) found(service, action string, params props) bool {
	if c.err != nil {
		return false
	}
	_, err := c.client.call(c.ctx, service, action, params)
	c.err = gone(err)
	return err == nil
}

// drop runs an operation that takes something away, which may be gone.
func (c *call) drop(service, action string, params props) {
	if c.err == nil {
		c.do(service, action, params)
		c.err = gone(c.err)
	}
}

// refuse fails with an error as the handlers of AWS have it.
func (c *call) refuse(code, format string, args ...any) {
	if c.err == nil {
		c.err = &Error{Code: code, Message: fmt.Sprintf(format, args...)}
	}
}

// only refuses properties that the emulator would drop.
func (c *call) only(p props, known ...string) {
	for _, name := range slices.Sorted(maps.Keys(p)) {
		if !slices.Contains(known, name) {
			c.refuse("NotEmulated", "the emulator does not keep the property %s", name)
		}
	}
}

// gone drops an error that says that a resource does not exist.
func gone(err error) error {
	if e, ok := err.(*Error); ok {
		for _, s := range []string{"NotFound", "NoSuch", "DoesNotExist"} {
			if strings.Contains(e.Code, s) {
				return nil
			}
		}
	}
	return err
}

// generated is the name that CloudFormation gives to a resource without one: stack, logical id and a random part.
func generated(stack, logical string, limit int) string {
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
	var random [12]byte
	for i := range random {
		random[i] = letters[rand.IntN(len(letters))]
	}
	head := stack + "-" + logical
	if most := limit - len(random) - 1; len(head) > most {
		head = strings.TrimRight(head[:most], "-")
	}
	return head + "-" + string(random[:])
}

func (c *call) arn(service, resource string) string {
	return "arn:aws:" + service + ":" + c.region + ":" + c.account + ":" + resource
}

// pick copies the named properties that are present.
func pick(p props, names ...string) props {
	out := props{}
	for _, n := range names {
		if v, ok := p[n]; ok {
			out[n] = v
		}
	}
	return out
}

// withFallback is a property, or another value if the property is not there.
func withFallback(p props, name string, other any) any {
	if v, ok := p[name]; ok {
		return v
	}
	return other
}

// number is a number of a template, which may be a string there.
func number(v any) json.Number { return json.Number(text(v)) }

// with adds parameters to some.
func with(params, more props) props {
	maps.Copy(params, more)
	return params
}

// lower gives properties the names of the ECS and ECR APIs, with a small first letter.
func lower(p props) props {
	return renamed(p, func(name string, _ tree) string {
		if api := otherNames[name]; api != "" {
			return api
		}
		return strings.ToLower(name[:1]) + name[1:]
	}).(props)
}

// otherNames are properties whose name in the API differs in more than the first letter.
var otherNames = map[string]string{"EFSVolumeConfiguration": "efsVolumeConfiguration", "FilesystemId": "fileSystemId", "IAM": "iam"}

// singular gives lists the names of EC2's API.
func singular(p props) props {
	return renamed(p, func(name string, value tree) string {
		if _, ok := value.([]any); ok {
			return strings.TrimSuffix(name, "s")
		}
		return name
	}).(props)
}

// freeForm are the properties whose keys are no names.
var freeForm = []string{"Options", "DockerLabels", "DriverOpts", "Labels"}

func renamed(v tree, name func(name string, value tree) string) tree {
	switch v := v.(type) {
	case []any:
		out := make([]any, len(v))
		for i, x := range v {
			out[i] = renamed(x, name)
		}
		return out
	case map[string]any:
		out := make(map[string]any, len(v))
		for k, x := range v {
			to := name(k, x)
			if !slices.Contains(freeForm, k) {
				x = renamed(x, name)
			}
			out[to] = x
		}
		return out
	}
	return v
}

// without returns the elements of a list that another lacks.
func without(list, other []any) []any {
	return slices.DeleteFunc(slices.Clone(list), func(x any) bool { return slices.Contains(other, x) })
}

// changed picks the properties that have changed, with their new values.
func changed(old, p props) props {
	out := props{}
	for name := range with(maps.Clone(old), p) {
		if differ(old, p, name) {
			out[name] = p[name]
		}
	}
	return out
}

// differ tells whether a property has changed.
func differ(old, p props, name string) bool { return encode(old[name]) != encode(p[name]) }

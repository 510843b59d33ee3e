package apigateway

import (
	"strings"

	"cutover/internal/model"
)

// definition has the resources and methods of an API as a deployment found them. It does not change.
type definition struct {
	api  *model.RestAPI
	root *node
}

// node is a resource.
type node struct {
	// resource is nil for the root.
	resource *model.APIResource
	methods  map[string]*model.APIMethod
	// texts are the resources below by their part of the path. parameter is the one for any other part, and greedy the one
	// for all parts that are left; nil if there is none.
	texts             map[string]*node
	parameter, greedy *node
}

func newNode(r *model.APIResource) *node {
	return &node{resource: r, methods: map[string]*model.APIMethod{}, texts: map[string]*node{}}
}

func define(api *model.RestAPI) *definition {
	d := &definition{api, newNode(nil)}
	for _, method := range api.Methods {
		d.node(method.Of).methods[method.Method] = method
	}
	return d
}

// node is the node of a resource, which is made if it is not there.
func (d *definition) node(r *model.APIResource) *node {
	if r == nil {
		return d.root
	}
	above := d.node(r.Parent)
	at := above.texts[r.Part]
	name, greedy := parameter(r.Part)
	switch {
	case greedy:
		at = above.greedy
	case name != "":
		at = above.parameter
	}
	if at != nil {
		return at
	}
	at = newNode(r)
	switch {
	case greedy:
		above.greedy = at
	case name != "":
		above.parameter = at
	default:
		above.texts[r.Part] = at
	}
	return at
}

// parameter is the name of a path parameter, as in {id} or {proxy+}; empty for a text.
func parameter(part string) (name string, greedy bool) {
	name, ok := strings.CutPrefix(part, "{")
	if !ok {
		return "", false
	}
	name = strings.TrimSuffix(name, "}")
	return strings.TrimSuffix(name, "+"), strings.HasSuffix(name, "+")
}

// route is where a request goes.
type route struct {
	method *model.APIMethod
	// path are the values of the path parameters, as they were sent.
	path map[string]string
}

// find finds the most specific resource for a path below the stage, and its method: a text goes before a parameter, and a
// parameter before all parts that are left. The parts are compared as they were sent. It is nil if there is none.
// https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-method-settings-method-request.html
func (d *definition) find(method, path string) *route {
	var parts []string
	if path = strings.TrimPrefix(path, "/"); path != "" {
		parts = strings.Split(path, "/")
	}
	found := &route{path: map[string]string{}}
	at := d.root.find(parts, found.path)
	if at == nil {
		return nil
	}
	if found.method = at.methods[method]; found.method == nil {
		found.method = at.methods["ANY"]
	}
	if found.method == nil {
		return nil
	}
	return found
}

func (n *node) find(parts []string, values map[string]string) *node {
	if len(parts) == 0 {
		if len(n.methods) == 0 {
			return nil
		}
		return n
	}
	if below := n.texts[parts[0]]; below != nil {
		if found := below.find(parts[1:], values); found != nil {
			return found
		}
	}
	if n.parameter != nil && parts[0] != "" {
		if found := n.parameter.find(parts[1:], values); found != nil {
			name, _ := parameter(n.parameter.resource.Part)
			values[name] = parts[0]
			return found
		}
	}
	if n.greedy != nil && len(n.greedy.methods) > 0 {
		name, _ := parameter(n.greedy.resource.Part)
		values[name] = strings.Join(parts, "/")
		return n.greedy
	}
	return nil
}

// below is the path below a stage, and whether the path is one of the stage.
func below(stage, path string) (rest string, ok bool) {
	rest, ok = strings.CutPrefix(path, "/"+stage)
	if !ok || rest != "" && rest[0] != '/' {
		return "", false
	}
	if rest == "" {
		rest = "/"
	}
	return rest, true
}

package model

import "strings"

// APIRoutes are the resources of a REST API with their methods, as requests find them. They do not change.
type APIRoutes struct{ root *apiNode }

// apiNode is a resource.
type apiNode struct {
	// resource is nil for the root.
	resource *APIResource
	methods  map[string]*APIMethod
	// texts are the resources below by their part of the path. parameter is the one for any other part, and greedy the one
	// for all parts that are left; nil if there is none.
	texts             map[string]*apiNode
	parameter, greedy *apiNode
}

func newAPINode(r *APIResource) *apiNode {
	return &apiNode{resource: r, methods: map[string]*APIMethod{}, texts: map[string]*apiNode{}}
}

// Routes are the routes of the API's methods.
func (a *RestAPI) Routes() APIRoutes {
	routes := APIRoutes{newAPINode(nil)}
	for _, method := range a.Methods {
		routes.node(method.Of).methods[method.Method] = method
	}
	return routes
}

// node is the node of a resource, which is made if it is not there.
func (a APIRoutes) node(r *APIResource) *apiNode {
	if r == nil {
		return a.root
	}
	above := a.node(r.Parent)
	at := above.texts[r.Part]
	name, greedy := pathParameter(r.Part)
	switch {
	case greedy:
		at = above.greedy
	case name != "":
		at = above.parameter
	}
	if at != nil {
		return at
	}
	at = newAPINode(r)
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

// pathParameter is the name of a path parameter, as in {id} or {proxy+}; empty for a text.
func pathParameter(part string) (name string, greedy bool) {
	name, ok := strings.CutPrefix(part, "{")
	if !ok {
		return "", false
	}
	name = strings.TrimSuffix(name, "}")
	return strings.TrimSuffix(name, "+"), strings.HasSuffix(name, "+")
}

// Find finds the most specific resource for a path below the stage, and its method of that name, or else ANY: a text goes
// before a parameter, and a parameter before all parts that are left. The parts are compared as they are sent. The values
// are those of the path parameters. The method is nil if no resource takes the request.
// https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-method-settings-method-request.html
func (a APIRoutes) Find(method, path string) (found *APIMethod, values map[string]string) {
	var parts []string
	if path = strings.TrimPrefix(path, "/"); path != "" {
		parts = strings.Split(path, "/")
	}
	values = map[string]string{}
	at := a.root.find(parts, values)
	if at == nil {
		return nil, nil
	}
	if found = at.methods[method]; found == nil {
		found = at.methods["ANY"]
	}
	return found, values
}

func (n *apiNode) find(parts []string, values map[string]string) *apiNode {
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
			name, _ := pathParameter(n.parameter.resource.Part)
			values[name] = parts[0]
			return found
		}
	}
	if n.greedy != nil && len(n.greedy.methods) > 0 {
		name, _ := pathParameter(n.greedy.resource.Part)
		values[name] = strings.Join(parts, "/")
		return n.greedy
	}
	return nil
}

package apigateway

import (
	"strings"

	"cutover/internal/model"
)

// definition has the resources and methods of an API as a deployment found them. It does not change.
type definition struct {
	// api is as in the template, without methods that were about to leave.
	api    *model.RestAPI
	routes model.APIRoutes
}

func define(api *model.RestAPI) *definition { return &definition{api, api.Routes()} }

// route is where a request goes.
type route struct {
	method *model.APIMethod
	// path are the values of the path parameters, as they were sent.
	path map[string]string
}

// find finds the route of a request, by its path below the stage; nil if there is none. See [model.APIRoutes.Find].
func (d *definition) find(method, path string) *route {
	found, values := d.routes.Find(method, path)
	if found == nil {
		return nil
	}
	return &route{found, values}
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

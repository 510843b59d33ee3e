package server_test

import (
	"maps"
	"slices"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"

	"cutover/assets/data"
	"cutover/services/internal/server"
	"cutover/services/internal/store"
	posts "cutover/services/posts/routes"
	threads "cutover/services/threads/routes"
	users "cutover/services/users/routes"
)

// The OpenAPI document has the routes of the modules with a store, and no others.
func TestOpenAPIHasTheRoutes(t *testing.T) {
	routes, err := server.Routes(users.Users.In(data.API, store.NewMemory()), threads.Threads.In(data.API, store.NewMemory()), posts.Posts.In(data.API, store.NewMemory()))
	if err != nil {
		t.Fatal(err)
	}
	delete(routes, "/")
	delete(routes, "/api/")
	doc, err := openapi3.NewLoader().LoadFromFile("../../../api/openapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for pattern, methods := range routes {
		item := doc.Paths.Value(pattern)
		if item == nil {
			t.Errorf("the document has no %s", pattern)
			continue
		}
		slices.Sort(methods)
		if documented := slices.Sorted(maps.Keys(item.Operations())); !slices.Equal(documented, methods) {
			t.Errorf("%s: the document has %v, the router %v", pattern, documented, methods)
		}
	}
	for path := range doc.Paths.Map() {
		if routes[path] == nil {
			t.Errorf("the router has no %s", path)
		}
	}
}

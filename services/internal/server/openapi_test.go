package server_test

import (
	"maps"
	"slices"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"

	"cutover/assets/data"
	deletions "cutover/services/deletions/routes"
	feed "cutover/services/feed/routes"
	"cutover/services/internal/server"
	"cutover/services/internal/store"
	posts "cutover/services/posts/routes"
	threads "cutover/services/threads/routes"
	users "cutover/services/users/routes"
)

// The OpenAPI document has the routes of the modules with a store and with events, and no others.
func TestOpenAPIHasTheRoutes(t *testing.T) {
	variables := map[string]string{"DELETIONS_WORK_QUEUE": "dev-deletions-work", "DELETIONS_TABLE": "dev-deletions", "AWS_REGION": "eu-central-1", "AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret"}
	routes, err := server.Routes(server.Environment(func(name string) string { return variables[name] }),
		users.Users.In(data.API, store.NewMemory()), threads.Threads.In(data.API, store.NewMemory()), posts.Posts.In(data.API, store.NewMemory()),
		feed.In(store.NewMemory()), deletions.Deletions)
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

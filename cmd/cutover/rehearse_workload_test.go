package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"cutover/internal/listing"
)

// A rehearsal requests what the list says, or else where the paths of the services begin. It asks for the
// root paths, too, if a service of the load balancer that is asked keeps them.
func TestDefaultRoutes(t *testing.T) {
	const users = `{"name": "users", "paths": ["/api/users*", "/u/?/x", "/me"], "order": 10}`
	for list, want := range map[string]string{
		``:                            "", // another app: no list
		`"services": [` + users + `]`: "/api/users /u/ /me",
		`"requests": ["/api/users/1", "/api/carts?all"], "services": [` + users + `]`:                           "/api/users/1 /api/carts?all",
		`"rootService": "users", "requests": ["/x", "/api"], "services": [` + users + `]`:                       "/x /api / /api/",
		`"rootService": "orders", "requests": ["/x"], "services": [` + users + `]`:                              "/x",
		`"rootService": "p", "services": [{"name": "p", "loadBalancer": "press", "paths": ["/p"], "order": 1}]`: "", // at another load balancer
		`"services": [{"name": "all", "paths": ["*", "/*"], "order": 1}, ` + users + `, ` + users + `]`:         "/api/users /u/ /me",
		`"services": [{"name": "x", "routes": [
			{"order": 1, "paths": ["/a"], "methods": ["POST"]}, {"order": 2, "paths": ["/b"], "methods": ["GET", "POST"]},
			{"order": 3, "paths": ["/c"], "headers": {"X": ["1"]}}, {"order": 4, "paths": ["/d"], "hosts": ["d"]}, {"order": 5, "paths": ["/e"], "query": {"e": ["1"]}}]}]`: "/b",
	} {
		dir := t.TempDir()
		if list != "" {
			text := `{"version": 1, ` + list + `, "monolith": {"name": "api", "paths": ["/api*"]}}`
			if err := os.WriteFile(filepath.Join(dir, listing.Name), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		paths, about := defaultRoutes(dir)
		if derived := about != ""; derived != (list != "" && !strings.Contains(list, "requests")) {
			t.Errorf("{%s}: requests are %q", list, about)
		}
		if got := strings.Join(paths, " "); got != want {
			t.Errorf("{%s}: %q, want %q", list, got, want)
		}
	}
}

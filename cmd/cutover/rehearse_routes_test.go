package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"cutover/internal/listing"
)

// A rehearsal asks for the root paths if a service of the load balancer that is asked keeps them.
func TestRootRoutes(t *testing.T) {
	for list, want := range map[string]string{
		``:                        "", // another app: no list
		`"rootService": ""`:       "",
		`"rootService": "users"`:  "/ /api /api/",
		`"rootService": "posts"`:  "", // at another load balancer
		`"rootService": "orders"`: "",
	} {
		dir := t.TempDir()
		if list != "" {
			text := `{"version": 1, ` + list + `, "monolith": {"name": "api", "paths": ["/api*"]}, "services": [{"name": "users"}, {"name": "posts", "loadBalancer": "press"}]}`
			if err := os.WriteFile(filepath.Join(dir, listing.Name), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if got := strings.Join((&rehearse{}).rootRoutes(dir), " "); got != want {
			t.Errorf("{%s}: %q, want %q", list, got, want)
		}
		if got := (&rehearse{routes: []string{"/api/carts"}}).rootRoutes(dir); got != nil {
			t.Errorf("{%s}: beside a route that was asked for: %q", list, got)
		}
	}
}

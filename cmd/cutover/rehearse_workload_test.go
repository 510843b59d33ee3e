package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"cutover/internal/listing"
)

// A rehearsal requests what the list says, or else something for each path of the services. It asks for the
// root paths, too, if a service of the load balancer that is asked keeps them.
func TestDefaultRequests(t *testing.T) {
	const users = `{"name": "users", "paths": ["/api/users*", "/u/?/x", "/me"], "order": 10}`
	for list, want := range map[string]string{
		`"services": [` + users + `]`: "/api/users /u/1/x /me",
		`"requests": ["/api/users/1", "/api/carts?all"], "services": [` + users + `]`:                           "/api/users/1 /api/carts?all",
		`"rootService": "users", "requests": ["/x", "/api"], "services": [` + users + `]`:                       "/x /api / /api/",
		`"rootService": "orders", "requests": ["/x"], "services": [` + users + `]`:                              "/x",
		`"rootService": "p", "services": [{"name": "p", "loadBalancer": "press", "paths": ["/p"], "order": 1}]`: "", // at another load balancer
		`"services": [{"name": "all", "paths": ["*", "/*"], "order": 1}, ` + users + `, ` + users + `]`:         "/ /api/users /u/1/x /me",
		`"services": [{"name": "x", "routes": [
			{"order": 1, "paths": ["/a"], "methods": ["POST"]}, {"order": 2, "paths": ["/b"], "methods": ["GET", "POST"]},
			{"order": 3, "paths": ["/c"], "headers": {"X": ["1"]}}, {"order": 4, "paths": ["/d"], "hosts": ["*.d"]}, {"order": 5, "paths": ["/e"], "query": {"e": ["1"]}}]}]`: "POST /a /b /c www.d/d /e?e=1",
	} {
		dir := t.TempDir()
		text := `{"version": 1, ` + list + `, "monolith": {"name": "api", "paths": ["/api*"]}}`
		if err := os.WriteFile(filepath.Join(dir, listing.Name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		w, err := (&asking{writes: true}).defaultWorkload([]string{dir})
		if want == "" {
			if err == nil || err.Error() != "there is nothing to request: name paths with --route, or a file with --routes" {
				t.Errorf("{%s}: error %v", list, err)
			}
			continue
		}
		if derived := w.About != ""; err != nil || derived != !strings.Contains(list, "requests") {
			t.Errorf("{%s}: requests are %q, %v", list, w.About, err)
		}
		var got []string
		for _, r := range w.Routes() {
			got = append(got, r.String())
		}
		if strings.Join(got, " ") != want {
			t.Errorf("{%s}: %q, want %q", list, got, want)
		}
	}
}

func TestAskingRefuses(t *testing.T) {
	for want, a := range map[string]asking{
		`--header "X-Tenant": must be a name and a value, as in 'X-Tenant: blue'`: {headers: []string{"X-Tenant"}},
		`--header ": blue": must be a name and a value, as in 'X-Tenant: blue'`:   {headers: []string{": blue"}},
		`--recorded-host is for recordings: name one with --routes`:               {hosts: []string{"a"}, paths: []string{"/"}},
	} {
		if _, err := a.workload(); err == nil || err.Error() != want {
			t.Errorf("error %v, want %s", err, want)
		}
	}
	w, err := (&asking{paths: []string{"/"}, headers: []string{"x-a: 1", "X-A:2 : 3"}}).workload()
	if err != nil || len(w.Routes()) != 1 || strings.Join(w.Routes()[0].Header["X-A"], "|") != "1|2 : 3" {
		t.Errorf("%v, %v", w.Routes(), err)
	}
}

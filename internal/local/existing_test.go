package local

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"cutover/internal/assembly/assemblytest"
	"cutover/internal/local/alb"
	"cutover/internal/nightly"
)

// program is one that runs already: it answers with its name and what it was asked for.
func program(t *testing.T, name string, start func(http.Handler) *httptest.Server) *url.URL {
	t.Helper()
	server := start(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%s %s %s ", name, r.Method, r.RequestURI)
	}))
	t.Cleanup(server.Close)
	u, err := alb.ParseTarget(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// command starts the server of this binary, which answers with a name.
func command(t *testing.T, name string) string {
	t.Helper()
	binary, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%s=server SECTION=%s exec '%s'", roleVariable, name, binary)
}

// A load balancer that exists already runs with its rules, and ours among them by their priority. A program that runs already
// stands for one target group, and a command for another.
func TestExisting(t *testing.T) {
	if testing.Short() {
		t.Skip("slow: it waits for health checks")
	}
	t.Parallel()
	beside := t.TempDir()
	assemblytest.Beside(t, beside)
	for _, way := range []struct {
		name  string
		start func(http.Handler) *httptest.Server
	}{{"http", httptest.NewServer}, {"https", httptest.NewTLSServer}} {
		t.Run(way.name, func(t *testing.T) {
			if way.name == "https" {
				nightly.Test(t, "it deploys the same beside a program that speaks HTTPS")
			}
			t.Parallel()
			d := &deployment{t: t}
			options := d.options(stateDir(t), map[string]string{"orders": command(t, "orders"), "reports": command(t, "reports")})
			options.Replaced, options.Targets = []string{"orders", "reports"}, map[string]*url.URL{"shop": program(t, "shop", way.start)}
			d.begin(options)
			for _, step := range []struct {
				position string
				want     map[string]string // by path: what the answer begins with
			}{
				{"parallel", map[string]string{"/": "200 shop ", "/admin/x": "403 staff only", "/reports/1": "200 reports ", "/api/orders": "200 shop ", "/api/items": "200 shop "}},
				{"switched", map[string]string{"/": "200 shop ", "/admin/x": "403 staff only", "/reports/1": "200 reports ", "/api/orders": "200 orders ", "/api/items": "200 shop "}},
			} {
				d.deploy(filepath.Join(beside, step.position))
				at := d.url(80)
				for path, want := range step.want {
					if answer, err := get(http.DefaultClient, at+path); err != nil || !strings.HasPrefix(answer, want) {
						t.Errorf("%s: %s is answered with %q, %v, want %s", step.position, path, answer, err, want)
					}
				}
			}
			d.deploy(filepath.Join(beside, "share"))
			until(t, "both answer in a share", func() bool {
				seen := map[string]bool{}
				for range 20 {
					answer, _ := get(http.DefaultClient, d.url(80)+"/api/orders")
					seen[strings.Fields(answer + " none none")[1]] = true
				}
				return seen["shop"] && seen["orders"]
			})
			if found, err := d.Canaries(Compared{Monolith: []string{"shop"}}, time.Second); err != nil || len(found.Canaries) != 1 || found.Canaries[0].Service != "orders" || found.Canaries[0].Percent != 50 {
				t.Errorf("the canaries are %+v, %v", found, err)
			}
			groups := map[string]string{}
			for _, g := range d.Status().Groups {
				groups[g.Name] = fmt.Sprint(g.Existing)
				for _, target := range g.Targets {
					groups[g.Name] += " " + string(target.State)
				}
			}
			if got := fmt.Sprint(groups); got != "map[orders:false healthy reports:true healthy shop:true healthy unused:true]" {
				t.Errorf("the target groups are %s", got)
			}
			if route, err := d.Route(alb.Asked{Request: "/home"}); err != nil || route.Action != "shop" || len(route.Targets) != 1 || route.Targets[0].Address != options.Targets["shop"].Host {
				t.Errorf("the way of a request is %+v, %v", route, err)
			}
			if _, err := d.Fault(t.Context(), "kill", "shop"); err == nil || !strings.Contains(err.Error(), "was not started here, so nothing here harms it: start it with --run shop=COMMAND") {
				t.Errorf("a fault of what runs already: %v", err)
			}
			before := d.tasks()["reports"]
			ended, err := d.Fault(t.Context(), "kill", "reports")
			if err == nil {
				err = ended(t.Context())
			}
			if after := d.tasks()["reports"]; err != nil || len(before) != 1 || len(after) != 1 || before[0] == after[0] {
				t.Errorf("a fault of a command: %v, tasks %v and then %v", err, before, after)
			}
		})
	}
}

// What stands for others is checked before anything changes.
func TestExistingRefused(t *testing.T) {
	if testing.Short() {
		t.Skip("slow: it starts processes")
	}
	t.Parallel()
	beside := t.TempDir()
	assemblytest.Beside(t, beside)
	shop := program(t, "shop", httptest.NewServer)
	gone := httptest.NewServer(nil)
	gone.Close()
	nobody, err := alb.ParseTarget(gone.URL)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name     string
		targets  map[string]*url.URL
		commands []string
		want     []string
	}{
		{"nothing", nil, nil, []string{
			"nothing here stands for the target group reports, which exists already and gets requests by existing/RuleHttp80Priority20: name a program that runs with --target reports=URL, or start one with --run reports=COMMAND",
			"nothing here stands for the target group shop, which exists already and gets requests by existing/ListenerHttp80"}},
		{"an unknown group", map[string]*url.URL{"stop": shop}, nil, []string{`there is no target group "stop" that exists already: choose from reports, shop, unused`}},
		{"one of ours", map[string]*url.URL{"orders": shop}, nil, []string{`the target group "orders" is deployed, and has tasks of its own: only one that exists already has a target, choose from reports, shop, unused`}},
		{"nobody listens", map[string]*url.URL{"shop": nobody, "reports": shop}, nil, []string{"nothing listens at " + gone.URL + ", which is to stand for the target group shop: start the program first"}},
		{"an unknown command", map[string]*url.URL{"shop": shop, "reports": shop}, []string{"stop"}, []string{`there is no container, function or target group that exists already "stop" to run a command in place of: choose from orders, reports, shop, unused`}},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := &deployment{t: t}
			commands := map[string]string{"orders": "exit 1"}
			for _, name := range c.commands {
				commands[name] = "exit 1"
			}
			options := d.options(stateDir(t), commands)
			options.Targets, options.Replaced = c.targets, append([]string{"orders"}, c.commands...)
			d.begin(options)
			d.refuse(filepath.Join(beside, "parallel"), c.want...)
		})
	}
	d := &deployment{t: t}
	options := d.options(stateDir(t), map[string]string{"catalogue": "exit 1"})
	options.Targets, options.Replaced = map[string]*url.URL{"shop": shop}, []string{"catalogue"}
	d.begin(options)
	d.refuse("testdata/shop", "there is no target group \"shop\" that exists already: `cutover adopt` describes what does in existing.template.json")
}

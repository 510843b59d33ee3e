package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"cutover/internal/listing"
	"cutover/internal/rehearsal/workload"
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

// assemblyOf writes an assembly of one template with an HTTP listener. Its resources are those of a template.
func assemblyOf(t *testing.T, resources string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{
		"manifest.json": `{"artifacts": {"S": {"type": "aws:cloudformation:stack", "environment": "aws://1/eu-west-1", "properties": {"templateFile": "t.json"}}}}`,
		"t.json": `{"Resources": {
			"Api": {"Type": "AWS::ElasticLoadBalancingV2::TargetGroup", "Properties": {"Name": "api", "Targets": [{"Id": "10.0.0.1"}], "TargetType": "ip"}},
			"Gone": {"Type": "AWS::ElasticLoadBalancingV2::TargetGroup", "Properties": {"Name": "gone", "TargetType": "ip"}},
			"Lb": {"Type": "AWS::ElasticLoadBalancingV2::LoadBalancer"},
			"Http": {"Type": "AWS::ElasticLoadBalancingV2::Listener", "Properties": {
				"LoadBalancerArn": {"Ref": "Lb"}, "Port": 80, "Protocol": "HTTP", "DefaultActions": [{"Type": "forward", "TargetGroupArn": {"Ref": "Api"}}]}}` + resources + `}}`,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// ruleOf is a rule with conditions and an action.
func ruleOf(priority int, action string, conditions ...string) string {
	return fmt.Sprintf(`, "Rule%d": {"Type": "AWS::ElasticLoadBalancingV2::ListenerRule", "Properties": {"ListenerArn": {"Ref": "Http"}, "Priority": %[1]d, "Actions": [%s], "Conditions": [%s]}}`,
		priority, action, strings.Join(conditions, ", "))
}

// The routes file of events is sent beside that of stores, and not without events: then the list has none.
func TestListedRoutes(t *testing.T) {
	dir := t.TempDir()
	list := listing.List{}
	for _, name := range []string{"stores", "events"} {
		file := filepath.Join(dir, name+".yaml")
		if err := os.WriteFile(file, []byte("requests:\n  - {method: POST, path: /api/"+name+"}\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if list.EventRoutes = ""; name == "events" {
			list.EventRoutes = file
		} else {
			list.StoreRoutes = file
		}
		b := workload.New(workload.Options{})
		about, err := addListed(b, list)
		if err != nil {
			t.Fatal(err)
		}
		w, err := b.Build(about)
		if err != nil || len(w.Gaps) > 0 {
			t.Fatal(err, w.Gaps)
		}
		if n := len(w.Routes()); name == "stores" && n != 1 || name == "events" && (n != 2 || !strings.HasSuffix(w.About, ", "+file)) {
			t.Errorf("with %s, %d requests are sent, of %s", name, n, w.About)
		}
	}
}

// An app without a list of services is asked for what its rules match. Each request comes to its rule.
func TestDerivedRequests(t *testing.T) {
	const (
		api   = `{"Type": "forward", "TargetGroupArn": {"Ref": "Api"}}`
		gone  = `{"Type": "forward", "TargetGroupArn": {"Ref": "Gone"}}`
		path  = `{"Field": "path-pattern", "PathPatternConfig": {"Values": [%s]}}`
		fixed = `{"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "%d"}}`
	)
	paths := func(values string) string { return fmt.Sprintf(path, values) }
	first := assemblyOf(t, ruleOf(1, api, paths(`"/u", "/u/*/x?", "/u/*"`))+
		ruleOf(2, api, paths(`"/a*"`), `{"Field": "http-request-method", "HttpRequestMethodConfig": {"Values": ["POST", "HEAD"]}}`)+
		ruleOf(3, api, `{"Field": "host-header", "HostHeaderConfig": {"Values": ["*.Shop.example"]}}`)+
		ruleOf(4, api, paths(`"/h"`), `{"Field": "http-header", "HttpHeaderConfig": {"HttpHeaderName": "User-Agent", "Values": ["*Mobile?*"]}}`)+
		ruleOf(5, api, paths(`"/q"`), `{"Field": "query-string", "QueryStringConfig": {"Values": [{"Key": "a b", "Value": "1\\*?"}, {"Key": "c", "Value": "2"}]}}`)+
		ruleOf(6, api, paths(`"/s"`), `{"Field": "source-ip", "SourceIpConfig": {"Values": ["10.0.0.0/8"]}}`)+
		ruleOf(7, api, paths(`"/l"`), `{"Field": "source-ip", "SourceIpConfig": {"Values": ["127.0.0.0/8"]}}`)+
		ruleOf(8, gone, paths(`"/gone"`))+
		ruleOf(9, fmt.Sprintf(fixed, 503), paths(`"/down"`))+
		ruleOf(10, fmt.Sprintf(fixed, 404), paths(`"/none"`))+
		ruleOf(11, `{"Type": "redirect", "RedirectConfig": {"StatusCode": "HTTP_301", "Path": "/new"}}`, paths(`"/old"`))+
		ruleOf(12, api, paths(`"/u/5"`))+ // hidden by the first
		ruleOf(13, api, paths(`"/p*"`))+
		ruleOf(14, api, paths(`"*.png"`)))
	later := assemblyOf(t, ruleOf(1, gone, paths(`"/later/*"`))+ruleOf(2, api, paths(`"/none"`)))
	w, err := (&asking{writes: true}).defaultWorkload([]string{first, later})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, r := range w.Routes() {
		got = append(got, strings.TrimSuffix(fmt.Sprintf("%s %v", r, r.Header), " map[]"))
	}
	want := []string{"/u", "/u/1/x1", "/u/", "HEAD /a", "www.Shop.example/", "/h map[User-Agent:[Mobile1]]", "/q?a%20b=1%2A1", "/l", "/none", "/old", "/p", "/1.png", "/", "/later/"}
	if !slices.Equal(got, want) {
		t.Errorf("requests %q, want %q", got, want)
	}
	if !strings.HasPrefix(w.About, "one request for each path of the listener rules") {
		t.Errorf("about %q", w.About)
	}
	if _, err := (&asking{}).defaultWorkload([]string{t.TempDir()}); err == nil {
		t.Error("an empty directory has requests")
	}
}

package rules

import (
	"cmp"
	"fmt"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"cutover/config"
	"cutover/internal/assembly"
	"cutover/internal/model"
	"cutover/migration"
)

// read makes an assembly of templates, keyed by the names of their stacks.
func read(t testing.TB, templates map[string]string) *assembly.Assembly {
	t.Helper()
	dir := t.TempDir()
	var artifacts []string
	for name, template := range templates {
		artifacts = append(artifacts, fmt.Sprintf(
			`%q: {"type": "aws:cloudformation:stack", "environment": "aws://unknown-account/unknown-region", "properties": {"templateFile": %q}}`,
			name, name+".json"))
		if err := os.WriteFile(filepath.Join(dir, name+".json"), []byte(template), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	manifest := `{"artifacts": {` + strings.Join(artifacts, ",") + `}}`
	if err := os.WriteFile(filepath.Join(dir, "manifest.json"), []byte(manifest), 0o644); err != nil {
		t.Fatal(err)
	}
	a, err := assembly.Read(dir)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// A parked rule is for hosts alone that nobody has.
func TestParked(t *testing.T) {
	for _, c := range []struct {
		conditions []model.Condition
		want       bool
	}{
		{[]model.Condition{{Field: model.HostHeader, Values: []string{"orders.parked.invalid"}}}, true},
		{[]model.Condition{{Field: model.PathPattern, Values: []string{"/*"}}, {Field: model.HostHeader, Values: []string{"a.parked.invalid", "b.parked.invalid"}}}, true},
		{[]model.Condition{{Field: model.HostHeader, Values: []string{"orders.parked.invalid", "shop.example"}}}, false},
		{[]model.Condition{{Field: model.PathPattern, Values: []string{"/orders.parked.invalid"}}}, false},
		{nil, false},
	} {
		if rule := (&Rule{Rule: &model.Rule{Conditions: c.conditions}}); rule.Parked() != c.want {
			t.Errorf("%v: parked is %t, want %t", c.conditions, !c.want, c.want)
		}
	}
}

// groups are target groups that the fixtures forward to.
const groups = `
	"Api": {"Type": "AWS::ElasticLoadBalancingV2::TargetGroup", "Properties": {"Name": "api"}},
	"Users": {"Type": "AWS::ElasticLoadBalancingV2::TargetGroup", "Properties": {"Name": "users"}},
	"Threads": {"Type": "AWS::ElasticLoadBalancingV2::TargetGroup", "Properties": {"Name": "threads"}},
	"Posts": {"Type": "AWS::ElasticLoadBalancingV2::TargetGroup", "Properties": {"Name": "posts"}},
	"Drop": {"Type": "AWS::ElasticLoadBalancingV2::TargetGroup", "Properties": {"Name": "drop-traffic"}}`

// listen is a template: the groups, and a listener on port 80 with a default
// action and rules.
func listen(action string, rules ...string) string {
	template := `{"Resources": {` + groups + `,
		"Lb": {"Type": "AWS::ElasticLoadBalancingV2::LoadBalancer"},
		"Http": {"Type": "AWS::ElasticLoadBalancingV2::Listener", "Properties": {
			"LoadBalancerArn": {"Ref": "Lb"}, "Port": 80, "Protocol": "HTTP", "DefaultActions": [` + action + `]}}`
	for i, rule := range rules {
		template += fmt.Sprintf(`,
		"Rule%d": {"Type": "AWS::ElasticLoadBalancingV2::ListenerRule", "Properties": {"ListenerArn": {"Ref": "Http"}, %s}}`, i, rule)
	}
	return template + `}}`
}

func forward(group string) string {
	return `{"Type": "forward", "TargetGroupArn": {"Ref": "` + group + `"}}`
}

func weighted(group1 string, weight1 int, group2 string, weight2 int) string {
	return fmt.Sprintf(`{"Type": "forward", "ForwardConfig": {"TargetGroups": [
		{"TargetGroupArn": {"Ref": %q}, "Weight": %d}, {"TargetGroupArn": {"Ref": %q}, "Weight": %d}]}}`, group1, weight1, group2, weight2)
}

// on is a rule: what it is about, and what it does then.
func on(priority int, condition, action string) string {
	return fmt.Sprintf(`"Priority": %d, "Conditions": [%s], "Actions": [%s]`, priority, condition, action)
}

func paths(patterns ...string) string {
	return `{"Field": "path-pattern", "PathPatternConfig": {"Values": ["` + strings.Join(patterns, `", "`) + `"]}}`
}

func build(t testing.TB, template string) *Table {
	t.Helper()
	table, err := Build(model.Read(read(t, map[string]string{"S": template})))
	if err != nil {
		t.Fatal(err)
	}
	return table
}

// show has each listener, and below it its rules in their order.
func show(t *Table) string {
	var b strings.Builder
	for _, listener := range t.Listeners {
		fmt.Fprintf(&b, "%s (%s)\n", listener, listener.Resource)
		for _, rule := range listener.Rules {
			fmt.Fprintf(&b, "  %-7s %s -> %s\n", rule.priority(), rule.conditions(), rule.Action)
		}
	}
	return b.String()
}

func ask(t testing.TB, table *Table, request string) Decision {
	t.Helper()
	r, err := ParseRequest(request)
	if err != nil {
		t.Fatal(err)
	}
	decision, err := table.Route(r)
	if err != nil {
		t.Fatal(err)
	}
	if rule, err := decision.Listener.Match(&r); err != nil || rule != decision.Rule {
		t.Errorf("%v: Match finds %v, %v, but Route %v", r, rule, err, decision.Rule)
	}
	return decision
}

// The migration of an API from a monolith to microservices, as three tables.
func TestMigration(t *testing.T) {
	// Out of order, as a template may have them.
	services := []string{
		on(20030, paths("/api/posts*"), forward("Posts")),
		on(20010, paths("/api/users*"), forward("Users")),
		on(20020, paths("/api/threads*"), forward("Threads")),
	}
	monolith := on(10000, paths("/api*"), forward("Api"))
	canary := on(1010, paths("/api/users*"), weighted("Users", 10, "Api", 90))

	before := build(t, listen(weighted("Api", 1, "Drop", 0), append(services, monolith)...))
	shifted := build(t, listen(weighted("Api", 1, "Drop", 0), append(services, monolith, canary)...))
	after := build(t, listen(weighted("Api", 0, "Drop", 1), services...))

	tests := []struct{ request, before, shifted, after string }{
		{"GET /", "api", "api", "drop-traffic"},
		{"GET /api", "api", "api", "drop-traffic"},
		{"GET /api/", "api", "api", "drop-traffic"},
		{"GET /api/users", "api", "users 10%, api 90%", "users"},
		{"GET /api/users/1", "api", "users 10%, api 90%", "users"},
		{"POST /api/users", "api", "users 10%, api 90%", "users"},
		{"GET /api/users?page=2", "api", "users 10%, api 90%", "users"},
		{"GET /api/usersfoo", "api", "users 10%, api 90%", "users"},
		{"GET /api/threads/2", "api", "api", "threads"},
		{"GET /api/posts/in-thread/2", "api", "api", "posts"},
		{"GET /api/posts/by-user/2#top", "api", "api", "posts"},
		{"GET /API/users", "api", "api", "drop-traffic"},
		{"GET /api//users", "api", "api", "drop-traffic"},
		{"GET /api/%75sers", "api", "users 10%, api 90%", "users"},
		{"GET /apiary", "api", "api", "drop-traffic"},
		{"GET /x?/api/users", "api", "api", "drop-traffic"},
		{"GET http://forum.example.com/api/users", "api", "users 10%, api 90%", "users"},
	}
	for _, test := range tests {
		for _, phase := range []struct {
			name  string
			table *Table
			want  string
		}{{"before", before, test.before}, {"shifted", shifted, test.shifted}, {"after", after, test.after}} {
			if got := ask(t, phase.table, test.request).String(); got != phase.want {
				t.Errorf("%s: %s -> %s, want %s", phase.name, test.request, got, phase.want)
			}
		}
	}

	want := `HTTP:80 (S/Http)
  1010    path-pattern /api/users* -> users 10%, api 90%
  10000   path-pattern /api* -> api
  20010   path-pattern /api/users* -> users
  20020   path-pattern /api/threads* -> threads
  20030   path-pattern /api/posts* -> posts
  default anything -> api
`
	if got := show(shifted); got != want {
		t.Errorf("table is\n%swant\n%s", got, want)
	}
	want = `GET /api/posts?x=1 on HTTP:80
  20010   no: path-pattern /api/users*: the request has "/api/posts"
  20020   no: path-pattern /api/threads*: the request has "/api/posts"
  20030   path-pattern /api/posts* -> posts
`
	if got := ask(t, after, "/api/posts?x=1").Explain(); got != want {
		t.Errorf("explanation is\n%swant\n%s", got, want)
	}
	want = `GET example.com/ on HTTP:80
  20010   no: path-pattern /api/users*: the request has "/"
  20020   no: path-pattern /api/threads*: the request has "/"
  20030   no: path-pattern /api/posts*: the request has "/"
  default anything -> drop-traffic
`
	if got := ask(t, after, "http://example.com").Explain(); got != want {
		t.Errorf("explanation is\n%swant\n%s", got, want)
	}
}

func TestWeights(t *testing.T) {
	table := build(t, listen(weighted("Api", 0, "Drop", 1), on(1, paths("/third"), weighted("Users", 1, "Api", 2)), on(2, paths("/sticky"),
		`{"Type": "forward", "ForwardConfig": {"TargetGroups": [{"TargetGroupArn": {"Ref": "Posts"}}],
			"TargetGroupStickinessConfig": {"Enabled": true, "DurationSeconds": 600}}}`)))

	action := ask(t, table, "/").Rule.Action
	if len(action.Forward) != 2 || action.Forward[0].TargetGroup.Name != "api" || action.Forward[0].Weight != 0 || action.Forward[0].Share != 0 || action.Forward[1].Share != 1 {
		t.Errorf("a group with weight 0 must stay in use and get nothing: %+v", action.Forward)
	}
	if got := ask(t, table, "/third").String(); got != "users 33.33%, api 66.67%" {
		t.Errorf("shares are %s", got)
	}
	if action := ask(t, table, "/sticky").Rule.Action; action.StickinessSeconds != 600 || action.String() != "posts" {
		t.Errorf("sticky action is %+v", action)
	}
	if len(table.TargetGroups) != 5 || table.TargetGroups[0].Name != "api" || table.TargetGroups[4].Name != "users" {
		t.Errorf("target groups are %v", table.TargetGroups)
	}
}

func TestConditions(t *testing.T) {
	// Every condition type has one rule, which answers with its own status code.
	code := func(code int) string {
		return fmt.Sprintf(`{"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "%d"}}`, code)
	}
	table := build(t, listen(code(200),
		on(1, paths("/a/?", "/b*c*d"), code(201)),
		on(2, `{"Field": "path-pattern", "Values": ["/short"]}`, code(202)),
		on(3, `{"Field": "host-header", "HostHeaderConfig": {"Values": ["*.Example.com", "other.org"]}}`, code(203)),
		on(4, `{"Field": "http-header", "HttpHeaderConfig": {"HttpHeaderName": "X-Kind", "Values": ["*Mobile*"]}}`, code(204)),
		on(5, `{"Field": "http-request-method", "HttpRequestMethodConfig": {"Values": ["PUT", "DELETE"]}}`, code(205)),
		on(6, `{"Field": "query-string", "QueryStringConfig": {"Values": [{"Key": "version", "Value": "v?"}, {"Value": "100\\*"}]}}`, code(206)),
		on(7, `{"Field": "source-ip", "SourceIpConfig": {"Values": ["10.1.2.3/8", "2001:db8::/32"]}}`, code(207)),
		on(8, paths("/both")+`, {"Field": "http-request-method", "HttpRequestMethodConfig": {"Values": ["POST"]}},
			{"Field": "query-string", "QueryStringConfig": {"Values": [{"Key": "a", "Value": "1"}]}},
			{"Field": "query-string", "QueryStringConfig": {"Values": [{"Key": "b", "Value": "2"}]}}`, code(208)),
	))
	elsewhere := netip.MustParseAddr("192.0.2.1")
	tests := []struct {
		request string
		header  http.Header
		source  string // elsewhere if empty
		want    string
	}{
		{request: "/a/x", want: "201"},
		{request: "/a/", want: "200"},
		{request: "/a/xy", want: "200"},
		{request: "/a//", want: "201"}, // wildcards know no separators
		{request: "/A/x", want: "200"},
		{request: "/bcd", want: "201"},
		{request: "/b/c/c/d", want: "201"},
		{request: "/bdc", want: "200"},
		{request: "/bcd/e", want: "200"},
		{request: "/short", want: "202"},
		{request: "/shorter", want: "200"},
		{request: "http://www.example.com/", want: "203"},
		{request: "http://WWW.EXAMPLE.COM:80/", want: "203"},
		{request: "http://example.com/", want: "200"},
		{request: "http://other.org/", want: "203"},
		{request: "http://other.orga/", want: "200"},
		{request: "/", header: http.Header{"X-Kind": {"a mobile phone"}}, want: "204"},
		{request: "/", header: http.Header{"X-Kind": {"desktop", "MOBILE"}}, want: "204"},
		{request: "/", header: http.Header{"X-Kind": {"desktop"}}, want: "200"},
		{request: "/", header: http.Header{"X-Other": {"mobile"}}, want: "200"},
		{request: "PUT /", want: "205"},
		{request: "DELETE /", want: "205"},
		{request: "put /", want: "200"},
		{request: "/?version=v1", want: "206"},
		{request: "/?a=b&VERSION=V2", want: "206"},
		{request: "/?%76ersion=v%31", want: "206"},
		{request: "/?version=v10", want: "200"},
		{request: "/?anything=100*", want: "206"},
		{request: "/?anything=1000", want: "200"},
		{request: "/?100*", want: "200"}, // a key, and the value is empty
		{request: "/?version=%zz", want: "200"},
		{request: "/", source: "10.200.0.1", want: "207"},
		{request: "/", source: "::ffff:10.200.0.1", want: "207"},
		{request: "/", source: "2001:db8::1", want: "207"},
		{request: "/", source: "2001:db9::1", want: "200"},
		{request: "POST /both?b=2&a=1", want: "208"},
		{request: "POST /both?a=1", want: "200"},
		{request: "GET /both?b=2&a=1", want: "200"},
		{request: "POST /other?b=2&a=1", want: "200"},
	}
	for _, test := range tests {
		r, err := ParseRequest(test.request)
		if err != nil {
			t.Fatal(err)
		}
		r.Header, r.SourceIP = test.header, elsewhere
		if test.source != "" {
			r.SourceIP = netip.MustParseAddr(test.source)
		}
		decision, err := table.Route(r)
		if err != nil {
			t.Fatalf("%s: %v", test.request, err)
		}
		if got := decision.String(); got != test.want {
			t.Errorf("%s %v %s -> %s, want %s; %s", test.request, test.header, test.source, got, test.want, decision.Explain())
		}
	}

	// Where the answer depends on the client's address, there is none without it.
	if got := ask(t, table, "/a/x").String(); got != "201" {
		t.Errorf("/a/x -> %s, want 201 whatever the client's address", got)
	}
	r, _ := ParseRequest("/nothing")
	if decision, err := table.Route(r); err == nil || !strings.Contains(err.Error(), "S/Rule6: whether the rule matches depends on the address of the client") {
		t.Errorf("without an address: %v, %v", decision, err)
	}
}

func TestRedirect(t *testing.T) {
	redirect := func(config string) string {
		return `{"Type": "redirect", "RedirectConfig": {"StatusCode": "HTTP_301", ` + config + `}}`
	}
	table := build(t, listen(redirect(`"Protocol": "HTTPS", "Port": "443"`),
		on(1, paths("/old/*"), redirect(`"Host": "new.#{host}", "Path": "/moved/#{path}", "Query": "#{query}&from=#{port}"`)),
		on(2, paths("/bare"), redirect(`"Path": "/", "Query": ""`)),
	))
	tests := []struct{ request, want string }{
		{"http://example.com/", "https://example.com:443/"},
		{"http://example.com:80/a/b?c=d", "https://example.com:443/a/b?c=d"},
		{"http://example.com/old/x?y=1", "http://new.example.com:80/moved/old/x?y=1&from=80"},
		{"http://example.com/bare?x=1", "http://example.com:80/"},
	}
	for _, test := range tests {
		if got := ask(t, table, test.request).Location(); got != test.want {
			t.Errorf("%s -> %s, want %s", test.request, got, test.want)
		}
	}
	if got, want := ask(t, table, "/").String(), "301 https://#{host}:443/#{path}?#{query}"; got != want {
		t.Errorf("action is %s, want %s", got, want)
	}
	other := build(t, listen(forward("Api")))
	if got := ask(t, other, "/").Location(); got != "" {
		t.Errorf("a forward has the location %q", got)
	}
}

// What belongs together may be in several stacks, by either kind of reference.
func TestSeveralStacksAndListeners(t *testing.T) {
	a := read(t, map[string]string{
		"Groups": `{"Resources": {` + groups + `}, "Outputs": {
			"A": {"Value": {"Ref": "Api"}},
			"U": {"Value": {"Fn::GetAtt": ["Users", "TargetGroupArn"]}, "Export": {"Name": "users-arn"}}}}`,
		"Edge": `{"Conditions": {"No": {"Fn::Equals": ["a", "b"]}}, "Resources": {
			"Lb": {"Type": "AWS::ElasticLoadBalancingV2::LoadBalancer"},
			"Http": {"Type": "AWS::ElasticLoadBalancingV2::Listener", "Properties": {"Port": "80", "Protocol": "HTTP", "LoadBalancerArn": {"Ref": "Lb"},
				"DefaultActions": [{"Type": "redirect", "RedirectConfig": {"Protocol": "HTTPS", "Port": "443", "StatusCode": "HTTP_302"}}]}},
			"Https": {"Type": "AWS::ElasticLoadBalancingV2::Listener", "Properties": {"Port": 443, "Protocol": "HTTPS", "LoadBalancerArn": {"Ref": "Lb"},
				"Certificates": [{"CertificateArn": {"Ref": "AWS::StackId"}}],
				"DefaultActions": [{"Type": "forward", "TargetGroupArn": {"Fn::GetStackOutput": {"StackName": "Groups", "Region": {"Ref": "AWS::Region"}, "OutputName": "A"}}}]}}},
			"Outputs": {"L": {"Value": {"Ref": "Https"}}}}`,
		"Rules": `{"Conditions": {"No": {"Fn::Equals": ["a", "b"]}}, "Resources": {
			"R": {"Type": "AWS::ElasticLoadBalancingV2::ListenerRule", "Properties": {"Priority": "7",
				"ListenerArn": {"Fn::GetStackOutput": {"StackName": "Edge", "OutputName": "L"}},
				"Conditions": [{"Field": "path-pattern", "PathPatternConfig": {"Values": ["/users*"]}}],
				"Actions": [{"Type": "forward", "TargetGroupArn": {"Fn::ImportValue": "users-arn"},
					"ForwardConfig": {"TargetGroups": [{"TargetGroupArn": {"Fn::ImportValue": "users-arn"}}]}}]}},
			"Left": {"Type": "AWS::ElasticLoadBalancingV2::ListenerRule", "Condition": "No", "Properties": {}}}}`,
	})
	table, err := Build(model.Read(a))
	if err != nil {
		t.Fatal(err)
	}
	for request, want := range map[string]string{
		"http://example.com/users":   "302 https://#{host}:443/#{path}?#{query}",
		"https://example.com/users":  "users",
		"https://example.com/orders": "api",
	} {
		if got := ask(t, table, request).String(); got != want {
			t.Errorf("%s -> %s, want %s", request, got, want)
		}
	}
	if len(table.Listeners) != 2 || table.Listeners[0].String() != "HTTP:80" || table.Listeners[1].LoadBalancer.Resource != a.Stack("Edge").Resource("Lb") {
		t.Errorf("listeners are %v", table.Listeners)
	}
	if _, err := table.Route(Request{Port: 8080}); err == nil || !strings.Contains(err.Error(), "no load balancer of the assembly listens on port 8080") {
		t.Errorf("port 8080: %v", err)
	}

	two, err := Build(model.Read(read(t, map[string]string{"One": listen(forward("Api")), "Two": listen(forward("Users"))})))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := two.Route(Request{Port: 80, Path: "/"}); err == nil || !strings.Contains(err.Error(), "several load balancers listen on port 80") {
		t.Errorf("two load balancers: %v", err)
	}
	for _, listener := range two.Listeners {
		want := map[string]string{"One": "api", "Two": "users"}[listener.Resource.Stack.Name]
		if decision, err := listener.Route(Request{Path: "/"}); err != nil || decision.String() != want {
			t.Errorf("%v -> %v, %v, want %s", listener.Resource, decision, err, want)
		}
	}
}

func TestMatching(t *testing.T) {
	table := build(t, listen(forward("Drop"),
		on(20010, paths("/api/users*"), forward("Users")), on(10000, paths("/api*"), forward("Api")),
		on(5, `{"Field": "source-ip", "SourceIpConfig": {"Values": ["10.0.0.0/8"]}}`, forward("Posts"))))
	for path, want := range map[string]string{"/api/users/1": "[10000 20010]", "/api": "[10000]", "/": "[]"} {
		var got []int
		for _, rule := range table.Listeners[0].Matching(Request{Path: path}) { // of nobody knows whom
			got = append(got, rule.Priority)
		}
		if fmt.Sprint(got) != want {
			t.Errorf("%s: %v, want %s", path, got, want)
		}
	}
}

func TestParseRequest(t *testing.T) {
	for text, want := range map[string]Request{
		"/":                             {Port: 80, Method: "GET", Path: "/"},
		"HEAD /a?b=c?d":                 {Port: 80, Method: "HEAD", Path: "/a", Query: "b=c?d"},
		"https://h":                     {Port: 443, Method: "GET", Host: "h", Path: "/"},
		"HTTP://h?q":                    {Port: 80, Method: "GET", Host: "h", Path: "/", Query: "q"},
		"PATCH http://[::1]:8080/%2F#x": {Port: 8080, Method: "PATCH", Host: "[::1]:8080", Path: "/%2F"},
	} {
		got, err := ParseRequest(text)
		if err != nil || fmt.Sprint(got) != fmt.Sprint(want) || got.Port != want.Port || got.Method != want.Method {
			t.Errorf("%s is %+v, %v, want %+v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "GET", "GET ", " /", "GET  /", "GET /a b", "api/users", "ftp://h/", "http:///a", "http://u@h/", "http://h:99999/", "http://h:x/"} {
		if got, err := ParseRequest(text); err == nil || !strings.Contains(err.Error(), fmt.Sprintf("%q", text)) {
			t.Errorf("%q is %+v, %v, want an error that names it", text, got, err)
		}
	}
}

// Whatever cannot be evaluated is refused when the table is built.
func TestBuildErrors(t *testing.T) {
	field := func(field, config string) string { return `{"Field": "` + field + `", ` + config + `}` }
	rule := func(condition, action string) string { return listen(forward("Api"), on(1, condition, action)) }
	tests := []struct{ name, template, want string }{
		{"macro", `{"Transform": "AWS::LanguageExtensions"}`, "S: the macro AWS::LanguageExtensions changes the template"},
		{"nested stack", `{"Resources": {"N": {"Type": "AWS::CloudFormation::Stack"}}}`, "S/N: nested stacks are not read"},
		{"network load balancer", strings.ReplaceAll(listen(forward("Api")), `"HTTP"`, `"TCP"`), `S/Http/Properties.Protocol: "TCP": only HTTP and HTTPS`},
		{"no port", strings.ReplaceAll(listen(forward("Api")), `"Port": 80`, `"Port": "x"`), `S/Http/Properties.Port: expected a whole number from 1 to 65535, found "x"`},
		{"no default action", strings.ReplaceAll(listen(""), `[]`, `null`), "S/Http/Properties.DefaultActions: expected a list that is not empty, found nothing"},
		{"two actions", listen(forward("Api") + "," + forward("Users")), "S/Http/Properties.DefaultActions: expected exactly one action, found 2"},
		{"authentication", listen(`{"Type": "authenticate-oidc", "Order": 1}, ` + forward("Api")), `S/Http/Properties.DefaultActions[0].Type: "authenticate-oidc" is not an action that is evaluated`},
		{"no type", listen(`{}`), `DefaultActions[0].Type: "" is not an action`},
		{"action is no object", listen(`1`), "DefaultActions[0]: expected an object, found the number 1"},
		{"unknown setting of an action", listen(`{"Type": "forward", "TargetGroupArn": {"Ref": "Api"}, "Mirror": 1}`), "DefaultActions[0].Mirror: not honoured: what it does is not known here"},
		{"no target group", listen(`{"Type": "forward"}`), "DefaultActions[0]: no target group has a weight above 0"},
		{"another resource as the target group", listen(forward("Lb")), "DefaultActions[0].TargetGroupArn: expected a resource of the assembly of type AWS::ElasticLoadBalancingV2::TargetGroup, found S/Lb,"},
		{"another attribute", listen(`{"Type": "forward", "TargetGroupArn": {"Fn::GetAtt": ["Api", "TargetGroupName"]}}`), "found S/Api.TargetGroupName"},
		{"a target group from elsewhere", listen(`{"Type": "forward", "TargetGroupArn": "arn:x"}`), `expected a resource of the assembly of type AWS::ElasticLoadBalancingV2::TargetGroup, found "arn:x"`},
		{"unknown resource", listen(forward("Nothing")), `S/Http/Properties.DefaultActions[0].TargetGroupArn.Ref: "Nothing" is neither`},
		{"weights all 0", listen(weighted("Api", 0, "Drop", 0)), "no target group has a weight above 0"},
		{"weight too high", listen(weighted("Api", 1000, "Drop", 0)), "TargetGroups[0].Weight: expected a whole number from 0 to 999, found the number 1000"},
		{"weight missing", listen(strings.Replace(weighted("Api", 1, "Drop", 7), `, "Weight": 7`, "", 1)), "TargetGroups[1].Weight: expected a weight, found nothing"},
		{"two ways to name a group", listen(strings.Replace(weighted("Api", 1, "Drop", 1), `{"Type": "forward",`, `{"Type": "forward", "TargetGroupArn": {"Ref": "Api"},`, 1)), "next to TargetGroupArn there can only be the same target group"},
		{"stickiness without duration", listen(`{"Type": "forward", "ForwardConfig": {"TargetGroups": [{"TargetGroupArn": {"Ref": "Api"}}], "TargetGroupStickinessConfig": {"Enabled": true}}}`), "DurationSeconds: expected a duration, found nothing"},
		{"redirect code", listen(`{"Type": "redirect", "RedirectConfig": {"StatusCode": "HTTP_307"}}`), `"HTTP_307" is neither HTTP_301 nor HTTP_302`},
		{"redirect protocol", listen(`{"Type": "redirect", "RedirectConfig": {"StatusCode": "HTTP_301", "Protocol": "FTP"}}`), `"FTP" is neither HTTP nor HTTPS`},
		{"redirect placeholder", listen(`{"Type": "redirect", "RedirectConfig": {"StatusCode": "HTTP_301", "Path": "/#{user}"}}`), "RedirectConfig.Path: unknown placeholder #{user}"},
		{"redirect from nothing", listen(`{"Type": "redirect"}`), "RedirectConfig: expected an object, found nothing"},
		{"fixed response code", listen(`{"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "99"}}`), "StatusCode: expected a whole number from 200 to 599"},
		{"fixed redirect", listen(`{"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "301"}}`), "301: a fixed response cannot be a redirect"},
		{"priority 0", listen(forward("Api"), on(0, paths("/a"), forward("Api"))), "S/Rule0/Properties.Priority: expected a whole number from 1 to 50000, found the number 0"},
		{"one priority twice", listen(forward("Api"), on(5, paths("/a"), forward("Api")), on(5, paths("/b"), forward("Api"))), "S/Rule1/Properties.Priority: 5 is also the priority of S/Rule0"},
		{"rewrite", listen(forward("Api"), on(5, paths("/a"), forward("Api"))+`, "Transforms": [{"Type": "url-rewrite"}]`), "S/Rule0/Properties.Transforms: not honoured: what it does is not known here"},
		{"listener from elsewhere", strings.Replace(rule(paths("/a"), forward("Api")), `"ListenerArn": {"Ref": "Http"}`, `"ListenerArn": "arn:x"`, 1), `ListenerArn: expected a resource of the assembly of type AWS::ElasticLoadBalancingV2::Listener, found "arn:x"`},
		{"no conditions", listen(forward("Api"), `"Priority": 1, "Actions": [`+forward("Api")+`]`), "Properties.Conditions: expected a list that is not empty"},
		{"regular expression of a header", rule(field("http-header", `"HttpHeaderConfig": {"HttpHeaderName": "X", "RegexValues": ["x"]}`), forward("Api")), `Conditions[0].HttpHeaderConfig.RegexValues: regular expressions are not evaluated here`},
		{"unknown condition", rule(field("cookie", `"Values": ["x"]`), forward("Api")), `Conditions[0].Field: "cookie" is not a condition that is evaluated; those are path-pattern`},
		{"regular expression", rule(field("path-pattern", `"RegexValues": ["^/a"]`), forward("Api")), "Conditions[0].RegexValues: regular expressions are not evaluated here"},
		{"regular expression below", rule(field("path-pattern", `"PathPatternConfig": {"RegexValues": ["^/a"], "Values": ["/a"]}`), forward("Api")), "PathPatternConfig.RegexValues: regular expressions are not evaluated here"},
		{"config of another type", rule(field("path-pattern", `"HostHeaderConfig": {"Values": ["a"]}`), forward("Api")), "Conditions[0].HostHeaderConfig: not honoured: what it does is not known here"},
		{"values twice", rule(field("path-pattern", `"Values": ["/a"], "PathPatternConfig": {"Values": ["/a"]}`), forward("Api")), "Conditions[0].PathPatternConfig: not honoured: what it does is not known here"},
		{"no values", rule(field("path-pattern", `"PathPatternConfig": {"Values": []}`), forward("Api")), "PathPatternConfig.Values: expected a list that is not empty"},
		{"empty value", rule(paths(""), forward("Api")), "PathPatternConfig.Values[0]: a condition cannot have an empty value"},
		{"value known later", rule(field("host-header", `"HostHeaderConfig": {"Values": [{"Fn::GetAtt": ["Lb", "DNSName"]}]}`), forward("Api")), "HostHeaderConfig.Values[0]: expected a string that is known before the deployment, found S/Lb.DNSName"},
		{"value is mixed", rule(field("host-header", `"HostHeaderConfig": {"Values": [{"Fn::Sub": "x.${Lb.DNSName}"}]}`), forward("Api")), "found x.${S/Lb.DNSName}"},
		{"path twice", rule(paths("/a")+","+paths("/b"), forward("Api")), "Conditions[1]: a rule can have one path-pattern condition only"},
		{"header without a name", rule(field("http-header", `"HttpHeaderConfig": {"Values": ["a"]}`), forward("Api")), `HttpHeaderName: "" cannot be`},
		{"Host as a header", rule(field("http-header", `"HttpHeaderConfig": {"HttpHeaderName": "host", "Values": ["a"]}`), forward("Api")), `"host" cannot be the header`},
		{"address", rule(field("source-ip", `"SourceIpConfig": {"Values": ["10.0.0.1"]}`), forward("Api")), `"10.0.0.1" is not an address range`},
		{"query without value", rule(field("query-string", `"QueryStringConfig": {"Values": [{"Key": "a"}]}`), forward("Api")), "Values[0].Value: expected a value, found nothing"},
		{"query is text", rule(field("query-string", `"QueryStringConfig": {"Values": ["a=b"]}`), forward("Api")), `Values[0]: expected an object, found "a=b"`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			table, err := Build(model.Read(read(t, map[string]string{"S": test.template})))
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("table %v, error %v, want one with %q", table, err, test.want)
			}
		})
	}

	// All at once.
	_, err := Build(model.Read(read(t, map[string]string{"S": listen(`1`, on(0, paths(""), forward("Nothing")))})))
	if lines := strings.Split(fmt.Sprint(err), "\n"); len(lines) != 4 {
		t.Errorf("%d errors, want 4:\n%v", len(lines), err)
	}
}

// FuzzMatch compares the matcher with regular expressions.
func FuzzMatch(f *testing.F) {
	f.Add("/api/users*", "/api/users/1")
	f.Add("*a*b?c*", "xaxbbxcx")
	f.Add("", "")
	f.Add("**?", "\xff")
	f.Add(`a\*\?\x`, `a*?\x`)
	f.Fuzz(func(t *testing.T, pattern, text string) {
		if len(pattern) > 200 || len(text) > 2000 {
			t.Skip()
		}
		plain, escaped := compile(pattern, false), compile(pattern, true)
		if got, want := plain.Match(text), expression(pattern, false).MatchString(latin1(text)); got != want {
			t.Errorf("%q matches %q is %t, want %t", pattern, text, got, want)
		}
		if got, want := escaped.Match(text), expression(pattern, true).MatchString(latin1(text)); got != want {
			t.Errorf("%q with escapes matches %q is %t, want %t", pattern, text, got, want)
		}
	})
}

// latin1 makes a character of every byte, since regular expressions work on
// characters and the matcher on bytes.
func latin1(text string) string {
	runes := make([]rune, len(text))
	for i := range len(text) {
		runes[i] = rune(text[i])
	}
	return string(runes)
}

func expression(pattern string, escapes bool) *regexp.Regexp {
	quoted := regexp.QuoteMeta(latin1(pattern))
	if escapes {
		quoted = strings.NewReplacer(`\\\*`, `\*`, `\\\?`, `\?`, `\*`, `.*`, `\?`, `.`, `\\`, `\\`).Replace(quoted)
	} else {
		quoted = strings.NewReplacer(`\*`, `.*`, `\?`, `.`, `\\`, `\\`).Replace(quoted)
	}
	return regexp.MustCompile(`(?s)\A` + quoted + `\z`)
}

// A pattern for which a matcher that tries every way would not come to an end.
func TestMatchWorstCase(t *testing.T) {
	pattern, text := strings.Repeat("*a", 60)+"b", strings.Repeat("a", 10_000)
	if p := compile(pattern, false); p.Match(text) || !p.Match(text+"b") {
		t.Error("the pattern matches the wrong text")
	}
}

// FuzzBuild builds whatever can be read, and asks it for something.
func FuzzBuild(f *testing.F) {
	f.Add(listen(weighted("Api", 1, "Drop", 0), on(1, paths("/a*"), forward("Users"))))
	f.Add(listen(`{"Type": "redirect", "RedirectConfig": {"StatusCode": "HTTP_301"}}`,
		on(1, `{"Field": "source-ip", "SourceIpConfig": {"Values": ["10.0.0.0/8"]}}`, `{"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "404"}}`)))
	f.Fuzz(func(t *testing.T, template string) {
		dir := t.TempDir()
		manifest := `{"artifacts": {"S": {"type": "aws:cloudformation:stack", "environment": "aws://a/b", "properties": {"templateFile": "t.json"}}}}`
		for name, text := range map[string]string{"manifest.json": manifest, "t.json": template} {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		a, err := assembly.Read(dir)
		if err != nil {
			return
		}
		table, err := Build(model.Read(a))
		if err != nil {
			if err.Error() == "" {
				t.Error("an error without a message")
			}
			return
		}
		_ = show(table)
		for _, listener := range table.Listeners {
			decision, err := listener.Route(Request{Method: "GET", Host: "h", Path: "/a", Query: "b=c"})
			if err == nil {
				_ = decision.Explain() + decision.Location()
			}
		}
	})
}

// As many services as a load balancer has target groups for: every path in every
// phase, from the plans that the stacks render.
func TestFullLoadBalancer(t *testing.T) {
	const services = 98 // and the groups of the monolith and of dropped traffic
	d := config.Deployment{Monolith: config.Service{Name: "api", Paths: []string{"/api*"}}}
	for i := range services {
		name := fmt.Sprintf("service-%03d", i+1)
		// Small enough for the instances of the default settings.
		d.Services = append(d.Services, config.Service{Name: name, Paths: []string{"/api/" + name + "*"}, Order: i + 1, CPU: 64, MemoryReservationMiB: 64})
	}
	for _, test := range []struct {
		context map[string]any
		rules   int
		// Where requests go to the second service's path, the others' and elsewhere.
		second, others, rest string
	}{
		{map[string]any{"phase": "monolith"}, services + 1, "api", "api", "api"},
		{map[string]any{"phase": "parallel"}, services + 1, "api", "api", "api"},
		{map[string]any{"phase": "parallel", "shift": "service-002=25"}, services + 2, "service-002 25%, api 75%", "api", "api"},
		{map[string]any{"phase": "switched"}, services, "service-002", "", "drop-traffic"},
		{map[string]any{"phase": "retired"}, services, "service-002", "", "drop-traffic"},
	} {
		full, settings, err := config.Load(d, test.context, func(string) string { return "" })
		if err != nil {
			t.Fatal(err)
		}
		plan := full.Migration().Plan(settings.Position).Balancers[0]
		if len(plan.Groups) != 100 || len(plan.Rules) != test.rules {
			t.Errorf("%v: %d target groups and %d rules, want 100 and %d", test.context, len(plan.Groups), len(plan.Rules), test.rules)
		}
		table := build(t, rendered(plan))
		check := func(path, want string) {
			t.Helper()
			if got := ask(t, table, "GET "+path).String(); got != want {
				t.Errorf("%v: %s goes to %s, want %s", test.context, path, got, want)
			}
		}
		check("/", test.rest)
		check("/api", test.rest)
		check("/api/service-", test.rest)
		check("/api/service-099", test.rest)
		for _, service := range d.Services {
			want := cmp.Or(test.others, service.Name)
			if service.Name == "service-002" {
				want = test.second
			}
			for _, below := range []string{"", "/", "/7", "-more?a=b"} {
				check("/api/"+service.Name+below, want)
			}
		}
	}
}

// rendered is a template of a plan's target groups, rules and default action.
func rendered(plan migration.Balancer) string {
	id := func(group string) string { return strings.ReplaceAll(group, "-", "") }
	action := func(targets []migration.Target) string {
		var groups []string
		for _, target := range targets {
			groups = append(groups, fmt.Sprintf(`{"TargetGroupArn": {"Ref": %q}, "Weight": %d}`, id(target.Group), target.Weight))
		}
		return `{"Type": "forward", "ForwardConfig": {"TargetGroups": [` + strings.Join(groups, ", ") + `]}}`
	}
	var rules []string
	for _, rule := range plan.Rules {
		rules = append(rules, on(rule.Priority, paths(rule.Paths...), action(rule.Targets)))
	}
	template := strings.TrimSuffix(listen(action(plan.Default), rules...), "}}")
	for _, group := range plan.Groups {
		template += fmt.Sprintf(`, %q: {"Type": "AWS::ElasticLoadBalancingV2::TargetGroup", "Properties": {"Name": %q}}`, id(group), group)
	}
	return template + "}}"
}

// As many rules as a load balancer has, and requests for the last of them.
func BenchmarkMatch(b *testing.B) {
	for _, n := range []int{10, 100} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			var rules []string
			for i := range n {
				rules = append(rules, on(20001+i, paths(fmt.Sprintf("/api/service-%03d*", i+1)), forward("Users")))
			}
			listener := build(b, listen(forward("Api"), rules...)).Listeners[0]
			request, err := ParseRequest(fmt.Sprintf("GET /api/service-%03d/7", n))
			if err != nil {
				b.Fatal(err)
			}
			for b.Loop() {
				if rule, err := listener.Match(&request); err != nil || rule.Priority != 20000+n {
					b.Fatalf("got %v, %v", rule, err)
				}
			}
		})
	}
}

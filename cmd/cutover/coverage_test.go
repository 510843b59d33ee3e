package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"cutover/internal/local/alb"
	"cutover/internal/rehearsal"
	"cutover/internal/rules"
)

// forumRules are the forum's rules in some phases.
func forumRules(t *testing.T, phases ...string) map[string]*phaseRules {
	t.Helper()
	dirs := map[string]string{}
	for _, phase := range phases {
		dirs[phase] = filepath.Join(golden, phase)
	}
	all, err := readRules(dirs)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// Until the switch the monolith's rule hides those of the microservices. After it the default rule drops requests, which
// is meant so.
func TestPartsOfTheForum(t *testing.T) {
	all := parts(forumRules(t, "monolith", "switched", "removed"), false)
	const listener = " of HTTP:80 (dev-Routing/LoadBalancerHttpF4A6AC3E)"
	for phase, want := range map[string][]string{
		"monolith": {
			"rule rule 10000" + listener + ", path-pattern /api*",
			"path pattern /api* of rule 10000" + listener,
			"rule rule 20010" + listener + ", path-pattern /api/users*: an earlier rule takes all its requests",
			"path pattern /api/users* of rule 20010" + listener + ": an earlier rule takes all its requests",
			"rule the default rule" + listener,
			"target group api",
			"target group drop-traffic: no rule sends requests to it",
			"target group users: no rule sends requests to it",
		},
		"switched": {
			"rule rule 20010" + listener + ", path-pattern /api/users*",
			"path pattern /api/users* of rule 20010" + listener,
			"rule the default rule" + listener + ": by design nobody answers its requests, dropped",
			"target group api: no rule sends requests to it",
			"target group drop-traffic: by design nobody answers its requests, dropped",
			"target group users",
		},
		"removed": {
			"rule rule 20010" + listener + ", path-pattern /api/users*",
			"path pattern /api/users* of rule 20010" + listener,
			"rule the default rule" + listener + ": by design nobody answers its requests, dropped",
			"target group drop-traffic: by design nobody answers its requests, dropped",
			"target group users",
		},
	} {
		var got []string
		for _, p := range all[phase] {
			text := p.Kind + " " + p.Name
			if p.Idle != "" {
				text += ": " + p.Idle
			}
			if p.Dropped {
				text += ", dropped"
			}
			if !strings.Contains(text, "threads") && !strings.Contains(text, "posts") {
				got = append(got, text)
			}
			leads := len(p.Rules) > 0
			if leads != (p.Kind == rehearsal.PatternPart || p.Kind == rehearsal.GroupPart && p.Idle != unreached) {
				t.Errorf("%s in %s has the rules %q", p.Name, phase, p.Rules)
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s:\n%s\nwant\n%s", phase, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	}
}

// rulesOf are the rules of a load balancer's listener with a default action. Each service has a target group of its name,
// which its actions refer to. It has one task, or as many as NAME:COUNT says. The target group "Empty" has no service.
func rulesOf(t *testing.T, action, more string, services ...string) *phaseRules {
	t.Helper()
	group := func(name string) string {
		return fmt.Sprintf(`, %[1]q: {"Type": "AWS::ElasticLoadBalancingV2::TargetGroup", "Properties": {"Name": %[1]q, "Port": 80, "Protocol": "HTTP", "VpcId": "vpc-1"}}`, name)
	}
	text := `"LB": {"Type": "AWS::ElasticLoadBalancingV2::LoadBalancer", "Properties": {}},
		"L": {"Type": "AWS::ElasticLoadBalancingV2::Listener", "Properties": {"LoadBalancerArn": {"Ref": "LB"}, "Port": 80, "Protocol": "HTTP", "DefaultActions": [` + action + `]}}` + group("Empty")
	for _, service := range services {
		name, tasks, given := strings.Cut(service, ":")
		if !given {
			tasks = "1"
		}
		text += group(name) + fmt.Sprintf(`, "%[1]sService": {"Type": "AWS::ECS::Service", "Properties": {"ServiceName": %[1]q, "DesiredCount": %[2]s,
			"LoadBalancers": [{"TargetGroupArn": {"Ref": %[1]q}, "ContainerName": "main", "ContainerPort": 80}]}}`, name, tasks)
	}
	dir := t.TempDir()
	for name, text := range map[string]string{
		"manifest.json":   `{"version": "54.0.0", "artifacts": {"S": {"type": "aws:cloudformation:stack", "environment": "aws://unknown-account/unknown-region", "properties": {"templateFile": "S.template.json"}}}}`,
		"S.template.json": `{"Resources": {` + text + more + `}}`,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	all, err := readRules(map[string]string{"one": dir})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := rules.Build(all["one"].Model); err != nil {
		t.Fatal(err)
	}
	return all["one"]
}

// to is an action that forwards to target groups, as GROUP or GROUP:WEIGHT.
func to(groups ...string) string {
	var all []string
	for _, group := range groups {
		name, weight, given := strings.Cut(group, ":")
		if !given {
			weight = "1"
		}
		all = append(all, fmt.Sprintf(`{"TargetGroupArn": {"Ref": %q}, "Weight": %s}`, name, weight))
	}
	return `{"Type": "forward", "ForwardConfig": {"TargetGroups": [` + strings.Join(all, ", ") + `]}}`
}

func fixed(status int) string {
	return fmt.Sprintf(`{"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "%d"}}`, status)
}

// ruleFor is a rule of a priority with a path pattern, or several.
func ruleFor(priority int, action string, paths ...string) string {
	return fmt.Sprintf(`, "R%d": {"Type": "AWS::ElasticLoadBalancingV2::ListenerRule", "Properties": {"ListenerArn": {"Ref": "L"}, "Priority": %[1]d,
		"Conditions": [{"Field": "path-pattern", "PathPatternConfig": {"Values": ["%s"]}}], "Actions": [%s]}}`, priority, strings.Join(paths, `", "`), action)
}

const upgrade = `{"Type": "redirect", "RedirectConfig": {"StatusCode": "HTTP_301", "Protocol": "HTTPS", "Port": "443"}}`

// Why no request has to come to a rule, and whether the rule drops requests by design.
func TestParts(t *testing.T) {
	for name, test := range map[string]struct {
		action, more string
		services     []string
		ends         bool
		want         []string // of the default rule first
	}{
		"what the end drops":            {to("api", "Empty:0"), "", []string{"api"}, true, []string{ending}},
		"what a service keeps":          {to("api"), "", []string{"api"}, true, []string{""}},
		"a rule before the default's":   {to("api"), ruleFor(1, to("api", "Empty:0"), "/a"), []string{"api"}, true, []string{"", ""}},
		"what the end drops is dropped": {to("Empty"), "", nil, true, []string{dropped + "!"}},
		"a service":                     {to("api"), "", []string{"api"}, false, []string{""}},
		"a service without tasks":       {to("api"), "", []string{"api:0"}, false, []string{""}},
		"a group without a service":     {to("Empty"), "", nil, false, []string{dropped + "!"}},
		"a group of weight 0":           {to("api:0", "Empty:1"), "", []string{"api"}, false, []string{dropped + "!"}},
		"an empty group of weight 0":    {to("api:1", "Empty:0"), "", []string{"api"}, false, []string{""}},
		"a share to nobody":             {to("api:1", "Empty:1"), "", []string{"api"}, false, []string{""}},
		"an error of a server":          {fixed(503), "", nil, false, []string{dropped + "!"}},
		"the least error of one":        {fixed(500), "", nil, false, []string{dropped + "!"}},
		"an answer":                     {fixed(404), "", nil, false, []string{""}},
		"a redirect to HTTPS":           {upgrade, "", nil, false, []string{upgrades}},
		"another redirect":              {`{"Type": "redirect", "RedirectConfig": {"StatusCode": "HTTP_301", "Path": "/new"}}`, "", nil, false, []string{""}},
		"a hidden rule": {to("api"), ruleFor(1, to("api"), "/a*") + ruleFor(2, to("api"), "/a/b"), []string{"api"}, false,
			[]string{"", "", hidden}},
		"a hidden path pattern": {to("api"), ruleFor(1, to("api"), "/a*") + ruleFor(2, to("api"), "/a/b", "/c"), []string{"api"}, false,
			[]string{"", "", "", "/a/b " + hidden}},
		"targets of the template": {to("T"), `, "T": {"Type": "AWS::ElasticLoadBalancingV2::TargetGroup", "Properties": {"Name": "t", "TargetType": "ip", "Targets": [{"Id": "10.0.0.1"}], "Port": 80, "Protocol": "HTTP", "VpcId": "vpc-1"}}`, nil, false,
			[]string{""}},
		"instances": {to("Empty"), `, "A": {"Type": "AWS::AutoScaling::AutoScalingGroup", "Properties": {"MinSize": 1, "MaxSize": 1, "TargetGroupARNs": [{"Ref": "Empty"}]}}`, nil, false, []string{""}},
	} {
		t.Run(name, func(t *testing.T) {
			r := rulesOf(t, test.action, test.more, test.services...)
			byDefault, got := "", []string{}
			for _, p := range parts(map[string]*phaseRules{"one": r}, test.ends)["one"] {
				text := p.Idle
				if p.Dropped {
					text += "!"
				}
				switch {
				case strings.HasPrefix(p.Name, "the default rule"):
					byDefault = text
				case p.Kind == rehearsal.RulePart:
					got = append(got, text)
				case p.Kind == rehearsal.PatternPart && text != "" && !slices.Contains(got, text):
					pattern, _, _ := strings.Cut(p.Name, " ")
					got = append(got, pattern+" "+text)
				}
			}
			if got = append([]string{byDefault}, got...); !slices.Equal(got, test.want) {
				t.Errorf("%q, want %q", got, test.want)
			}
		})
	}
	// A group that has a service in one phase is not meant to drop requests in another.
	for _, p := range parts(map[string]*phaseRules{"one": rulesOf(t, to("api"), "", "api"), "two": rulesOf(t, to("api"), `, "api": {"Type": "AWS::ElasticLoadBalancingV2::TargetGroup", "Properties": {"Name": "api", "Port": 80, "Protocol": "HTTP", "VpcId": "vpc-1"}}`)}, false)["two"] {
		if p.Dropped {
			t.Errorf("%+v", p)
		}
	}
}

// What somebody answers now and nobody later is found for all that a workload knows, sent or not.
func TestUnanswered(t *testing.T) {
	forum := forumRules(t, "monolith", "parallel", "switched", "retired")
	walk := []string{"monolith", "parallel", "switched", "retired", "switched", "parallel", "monolith"}
	login := &rehearsal.Request{Method: "POST", Path: "/login?next=1"}
	workload := func(unsent ...*rehearsal.Request) rehearsal.Workload {
		w := rehearsal.Paths("/api/users/1")
		w.Unsent = unsent
		return w
	}
	shifted := func(weights ...string) *phaseRules { return rulesOf(t, to(weights...), "", "api", "new:2", "gone:0") }
	lines := func(findings []rehearsal.Finding) (all []string) {
		for _, f := range findings {
			all = append(all, append([]string{f.String()}, f.Detail...)...)
		}
		return all
	}
	one := func(later *phaseRules) map[string]*phaseRules {
		return map[string]*phaseRules{"one": shifted("api"), "two": later}
	}
	for name, test := range map[string]struct {
		walk     []string
		phases   map[string]*phaseRules
		workload rehearsal.Workload
		want     []string
	}{
		"what the forum asks": {walk, forum, workload(), nil},
		"a request that is not sent": {walk, forum, workload(login),
			[]string{"Nobody answers: POST /login is answered by api now and by nobody in switched, retired."}},
		"a request that is sent": {[]string{"monolith", "switched"}, forum, rehearsal.Paths("/"),
			[]string{"Nobody answers: GET / is answered by api now and by nobody in switched."}},
		"a path below the monolith's": {[]string{"monolith", "switched"}, forum, workload(&rehearsal.Request{Path: "/api/health"}),
			[]string{"Nobody answers: GET /api/health is answered by api now and by nobody in switched."}},
		"a write to a service": {walk, forum, workload(&rehearsal.Request{Method: "POST", Path: "/api/users"}), nil},
		"two alike": {[]string{"monolith", "switched"}, forum, workload(login, &rehearsal.Request{Method: "DELETE", Path: "/login"}, login),
			[]string{"Nobody answers: POST /login is answered by api now and by nobody in switched, and 1 more.", "DELETE /login is answered by api now and by nobody in switched"}},
		"nobody now, either":   {[]string{"switched", "retired"}, forum, workload(login), nil},
		"a walk that ends":     {[]string{"monolith", "parallel"}, forum, workload(login), nil},
		"a host":               {[]string{"monolith", "switched"}, forum, workload(&rehearsal.Request{Path: "/x", Host: "a.example"}), []string{"Nobody answers: GET a.example/x is answered by api now and by nobody in switched."}},
		"another service":      {[]string{"one", "two"}, one(shifted("new")), workload(), nil},
		"no task":              {[]string{"one", "two"}, one(shifted("gone")), workload(), []string{"Nobody answers: GET /api/users/1 is answered by api now and by nobody in two."}},
		"a share":              {[]string{"one", "two"}, one(shifted("new:9", "Empty:1")), workload(), []string{"Nobody answers: GET /api/users/1 is answered by api now and by new or nobody in two."}},
		"a weight of 0":        {[]string{"one", "two"}, one(shifted("new:9", "Empty:0")), workload(), nil},
		"an error":             {[]string{"one", "two"}, one(rulesOf(t, fixed(404), "")), workload(), []string{"Nobody answers: GET /api/users/1 is answered by api now and by nobody in two."}},
		"the balancer's":       {[]string{"one", "two"}, one(rulesOf(t, fixed(200), "")), workload(), nil},
		"a redirect":           {[]string{"one", "two"}, one(rulesOf(t, upgrade, "")), workload(), nil},
		"a phase is not known": {[]string{"one", "two"}, one(nil), workload(), nil},
	} {
		if got := lines(unanswered(test.walk, test.phases, test.workload)); !slices.Equal(got, test.want) {
			t.Errorf("%s: %q, want %q", name, got, test.want)
		}
	}
}

// A record has the names of the parts that a request came to.
func TestRecordOfAStage(t *testing.T) {
	r := rulesOf(t, to("api"), ruleFor(1, to("api"), "/a*", "/b*", "*/x"), "api")
	s := &stage{groups: groupNames(map[string]*phaseRules{"one": r})}
	listener := r.table.Listeners[0]
	for uri, want := range map[string][]string{"/a/1?y=/b": {"/a*"}, "/a/x": {"/a*", "*/x"}, "/%62": {"/b*"}} {
		record := s.passed(rehearsal.Record{}, alb.Exchange{URI: uri, Rule: listener.Rules[0], Group: "S/api"})
		var patterns []string
		for _, pattern := range want {
			patterns = append(patterns, pattern+" of rule 1 of HTTP:80 (S/L)")
		}
		if record.Rule != "rule 1 of HTTP:80 (S/L), path-pattern /a* or /b* or */x" || record.Group != "api" || !slices.Equal(record.Patterns, patterns) {
			t.Errorf("%s: %+v", uri, record)
		}
	}
	record := s.passed(rehearsal.Record{}, alb.Exchange{URI: "/c", Rule: listener.Rules[1], Group: "S/api"})
	if record.Rule != "the default rule of HTTP:80 (S/L)" || record.Patterns != nil {
		t.Errorf("%+v", record)
	}
	if record := s.passed(rehearsal.Record{}, alb.Exchange{URI: "/c"}); record.Rule != "" {
		t.Errorf("%+v", record)
	}
}

// An error of a rehearsal that cannot begin has what was found before.
func TestAlsoFound(t *testing.T) {
	err := alsoFound(errors.New("it is ill"), []rehearsal.Finding{{Kind: "nobody answers", Text: "GET / is answered by api now and by nobody in switched", Count: 1}})
	if want := "it is ill\nNobody answers: GET / is answered by api now and by nobody in switched."; err.Error() != want {
		t.Errorf("%q", err)
	}
}

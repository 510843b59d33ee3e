package stacks_test

import (
	"fmt"
	"net/http"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"cutover/config"
	"cutover/deployment"
	"cutover/internal/assembly"
	"cutover/internal/golden"
	"cutover/internal/model"
	"cutover/internal/nightly"
)

// fronted is the forum with every option of API Gateway.
func fronted() config.Deployment {
	d := deployment.Forum
	d.Services = slices.Clone(d.Services)
	for i := range d.Services {
		switch s := &d.Services[i]; s.Name {
		case "users":
			s.API.WriteAuthorization = config.AWSIAM
			s.API.Validate = []config.Validated{{Method: "POST", Path: "/api/users", Schema: "stacks/testdata/user.schema.json"}}
		case "threads":
			s.API.Cache = []config.Cached{{Path: "/api/threads", TTLSeconds: 60}, {Path: "/api/threads/*", Query: []string{"limit", "after"}, Headers: []string{"Accept"}, TTLSeconds: 5}}
		case "posts":
			s.API.RateLimit, s.API.BurstLimit = 100, 200
		}
	}
	return d
}

// fronts are the ways from a client to the load balancer that have a front, and closed doors.
func fronts() map[string]settings {
	return map[string]settings{
		"both":       {"front": "apigateway", "ui": "on", "waf": "on", "directAccess": "off", "alarms": "on"},
		"apigateway": {"front": "apigateway", "certificateArn": certificate, "domain": "api.example.com"},
		"internal":   {"ui": "on", "scheme": "internal", "accessLogs": "on"},
		"closed":     {"ui": "on", "scheme": "internal", "directAccess": "off", "cloudFrontPrefixListId": "pl-3b927c52"},
		"public": {"ui": "on", "certificateArn": certificate, "domain": "api.example.com", "uiDomain": "forum.example.com", "uiHostedZoneId": "Z0123456789ABCDEFGHIJ",
			"uiCertificateArn": certificate},
		"asked": {"ui": "on", "certificateArn": certificate, "domain": "api.example.com", "directAccess": "off"},
	}
}

// TestGoldensOfFronts compares the stacks in which the fronts are.
func TestGoldensOfFronts(t *testing.T) {
	a := synthDeployment(t, fronted(), fronts()["both"])
	for _, part := range []string{"Network", "ApiGatewayAccount", "Front", "Ui", "Watch"} {
		stack := a.Stack("dev-" + part)
		golden.Compare(t, filepath.Join(goldenDir, "fronts", stack.Name+".json"), goldenTemplate(t, stack))
	}
}

// TestGoldensOfAskingRules compares the stacks of a public load balancer that CloudFront alone may ask.
func TestGoldensOfAskingRules(t *testing.T) {
	a := synth(t, fronts()["asked"])
	for _, part := range []string{"Routing", "Ui"} {
		stack := a.Stack("dev-" + part)
		golden.Compare(t, filepath.Join(goldenDir, "fronts", "asked", stack.Name+".json"), goldenTemplate(t, stack))
	}
}

// TestGoldensOfOtherFronts compares the stacks of an internal load balancer that CloudFront alone may ask, and CloudFront with
// a domain.
func TestGoldensOfOtherFronts(t *testing.T) {
	if !*golden.Update {
		nightly.Test(t, "it synthesizes two more deployments")
	}
	for name, parts := range map[string][]string{"closed": {"Network", "Routing", "Ui"}, "public": {"Ui"}} {
		a := synth(t, fronts()[name])
		for _, part := range parts {
			stack := a.Stack("dev-" + part)
			golden.Compare(t, filepath.Join(goldenDir, "fronts", name, stack.Name+".json"), goldenTemplate(t, stack))
		}
	}
}

// TestNagOfFronts reads what cdk-nag says of each front: what is suppressed is needed.
func TestNagOfFronts(t *testing.T) {
	nightly.Test(t, "cdk-nag writes reports")
	for name, context := range fronts() {
		dir := filepath.Join(scratch, "nag-of-fronts-"+name)
		d := deployment.Forum
		if context["front"] != nil {
			d = fronted()
		}
		if err := synthTo(d, cdkContext(t, context), dir, true); err != nil {
			t.Fatal(err)
		}
		a, err := assembly.Read(dir)
		if err != nil {
			t.Fatal(err)
		}
		checkNag(t, name, a)
	}
}

// TestFrontsLeaveTheRest: a front changes no stack but that of the network, the dashboard's, and those of services, which
// name themselves for the page.
func TestFrontsLeaveTheRest(t *testing.T) {
	nightly.Test(t, "it synthesizes two fronts")
	before := synth(t, nil)
	for name, context := range map[string]settings{"apigateway": {"front": "apigateway"}, "both": {"front": "apigateway", "ui": "on"}} {
		after := synth(t, context)
		for _, stack := range after.Stacks {
			old := before.Stack(stack.Name)
			if old == nil || stack.Name == "dev-Network" || stack.Name == "dev-Watch" {
				continue
			}
			got, want := string(goldenTemplate(t, stack)), string(goldenTemplate(t, old))
			if stack.Name == "dev-Routing" { // what other stacks read
				_, got, _ = strings.Cut(got, `"Resources"`)
				_, want, _ = strings.Cut(want, `"Resources"`)
			}
			named := strings.Contains(got, "ANSWERED_BY")
			if got != want && !(named && context["ui"] == "on") {
				t.Errorf("%s: %s changes", name, stack.Name)
			}
		}
	}
}

// TestPhaseLeavesFronts: a phase changes nothing of a front but the function that tells the page about it.
func TestPhaseLeavesFronts(t *testing.T) {
	nightly.Test(t, "it synthesizes a front in two more phases")
	template := func(phase, part string) string {
		a := synthDeployment(t, fronted(), with(fronts()["both"], settings{"phase": phase}))
		return string(goldenTemplate(t, a.Stack("dev-"+part)))
	}
	function := regexp.MustCompile(`"FunctionCode": .*`)
	for _, part := range []string{"Front", "Ui"} {
		before := template("monolith", part)
		for _, phase := range []string{"parallel", "switched"} {
			after := template(phase, part)
			if part == "Ui" {
				if after == before {
					t.Errorf("%s: the page is not told", phase)
				}
				if n := len(function.FindAllString(after, -1)); n != 1 {
					t.Fatalf("%s: dev-Ui has %d functions, want 1", phase, n)
				}
				after = function.ReplaceAllLiteralString(after, function.FindString(before))
			}
			if after != before {
				t.Errorf("%s: dev-%s changes: %s", phase, part, cmp.Diff(before, after))
			}
		}
	}
}

// TestDeploymentFollowsMethods: what a method does is in the id of the API's deployment, and nothing else is. So the way
// back leads to the deployment before.
func TestDeploymentFollowsMethods(t *testing.T) {
	nightly.Test(t, "it synthesizes a front four times")
	id := func(d config.Deployment, context settings) string {
		return resource(t, synthDeployment(t, d, context), "dev-Front", "AWS::ApiGateway::Deployment").LogicalID
	}
	plain := settings{"front": "apigateway"}
	if id(deployment.Forum, plain) == id(fronted(), plain) {
		t.Error("a method with a signature is in the deployment of one without")
	}
	swapped := fronted() // as many methods
	swapped.Services[0].API.WriteAuthorization, swapped.Services[2].API.WriteAuthorization = "", config.AWSIAM
	if id(swapped, plain) == id(fronted(), plain) {
		t.Error("a signature of another service's methods is in no deployment")
	}
	if first, last := id(deployment.Forum, plain), id(deployment.Forum, settings{"front": "apigateway", "phase": "switched"}); first != last {
		t.Errorf("a phase changes the deployment from %s to %s", first, last)
	}
}

// TestWritesAreSigned: each method that may get a write of the service has a signature.
func TestWritesAreSigned(t *testing.T) {
	got := map[string]string{}
	for _, r := range fronted().APIResources() {
		for _, m := range r.Methods {
			if m.IAM {
				got[r.Path] += m.Name
			}
		}
	}
	if fmt.Sprint(got) != "map[/api/users:ANYPOST /api/users/{proxy+}:ANY /api/{proxy+}:ANY]" {
		t.Errorf("a signature is asked for at %v", got)
	}
}

// TestHiddenFile: a file of the page that a path of the API covers is refused.
func TestHiddenFile(t *testing.T) {
	d := deployment.Forum
	d.Monolith.Paths = []string{"/api*", "/sty*"}
	err := synthTo(d, cdkContext(t, settings{"ui": "on", "scheme": "internal"}), t.TempDir(), false)
	if want := `ui: a browser never gets web/style.css: CloudFront sends /style.css to the API, by the path "/sty*": rename the file`; err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
}

// direct is the forum with its users on Lambda, without the load balancer if so.
func direct(yes bool) config.Deployment {
	d := deployment.Forum
	d.Services = slices.Clone(d.Services)
	d.Services[0].Compute, d.Services[0].API.Direct = config.Lambda{}, yes
	return d
}

// TestDirect: a function is connected to the API and back by the stack of the API alone. So the load balancer can have it
// again at once.
func TestDirect(t *testing.T) {
	nightly.Test(t, "it synthesizes a front with a function behind it, twice")
	context := settings{"front": "apigateway", "phase": "switched"}
	before, after := synthDeployment(t, direct(false), context), synthDeployment(t, direct(true), context)
	for _, stack := range after.Stacks {
		if changed := string(goldenTemplate(t, stack)) != string(goldenTemplate(t, before.Stack(stack.Name))); changed != (stack.Name == "dev-Front") {
			t.Errorf("%s changes: %t", stack.Name, changed)
		}
	}
	if !slices.Contains(after.Stack("dev-Front").DependsOn, after.Stack("dev-UsersFunction")) {
		t.Error("the API does not wait for the function")
	}
	functions := map[string]string{}
	located, err := assembly.Read(after.Dir)
	if err != nil {
		t.Fatal(err)
	}
	located.Locate("123456789012", "eu-central-1")
	m := model.Read(located)
	for _, method := range m.APIMethods {
		i := method.Integration
		if i.Function != "" {
			functions[method.Of.Path()] = method.Method + " " + i.Type + " " + i.Method + " " + i.Function
		} else if i.Type != "HTTP_PROXY" || i.Target == nil {
			t.Errorf("%s: %+v, want the load balancer", method.Of.Path(), i)
		}
	}
	alias := m.FunctionAliases[0].Key()
	if want := "ANY AWS_PROXY POST " + alias; len(functions) != 2 || functions["/api/users"] != want || functions["/api/users/{proxy+}"] != want {
		t.Errorf("the functions are %v, want two with %s", functions, want)
	}
	var permitted []string
	for _, p := range m.FunctionPermissions {
		if p.Function != alias || p.Action != "lambda:InvokeFunction" || p.Source == "" && p.Parts == nil {
			t.Errorf("%s: %+v", p.Key(), p)
		}
		permitted = append(permitted, p.Resource.Stack.Name+" "+p.Principal)
	}
	slices.Sort(permitted)
	equal(t, "who may call the alias", permitted, []string{"dev-Front apigateway.amazonaws.com", "dev-UsersFunction elasticloadbalancing.amazonaws.com"})
}

// TestRehearsalOfTheOldDoor closes it on the way to parallel, goes on to retired and back, and opens it again: that of a public
// load balancer, whose rules ask for a secret, and that of an internal one behind a VPC origin. No request by CloudFront is lost,
// and every answer is the monolith's.
func TestRehearsalOfTheOldDoor(t *testing.T) {
	nightly.Test(t, "it rehearses on this machine")
	for _, front := range []string{"asked", "closed"} {
		t.Run(front, func(t *testing.T) {
			phases := map[string]*assembly.Assembly{"monolith": synth(t, with(fronts()[front], settings{"directAccess": "on", "cloudFrontPrefixListId": ""}))}
			for _, phase := range []string{"parallel", "switched", "retired"} {
				phases[phase] = synth(t, with(fronts()[front], settings{"phase": phase}))
			}
			wait := rehearse(t, phases, "--walk", "monolith,parallel,switched,retired,switched,parallel,monolith", "--rate", "20")
			t.Parallel()
			report, code := wait()
			unharmed(t, report, code, 100)
		})
	}
}

// TestRehearsalOfDirect goes on until API Gateway calls the function itself, and back until the monolith answers again. No
// request is lost, and every answer is the monolith's.
func TestRehearsalOfDirect(t *testing.T) {
	nightly.Test(t, "it rehearses on this machine")
	phases := map[string]*assembly.Assembly{}
	for _, phase := range []string{"parallel", "switched", "retired"} {
		phases[phase] = synthDeployment(t, direct(phase == "retired"), settings{"front": "apigateway", "phase": phase})
	}
	wait := rehearse(t, phases, "--walk", "parallel,switched,retired,switched,parallel", "--rate", "20")
	t.Parallel()
	report, code := wait()
	unharmed(t, report, code, 100)
}

// TestRehearsalOfSignatures writes behind CloudFront and API Gateway, which asks for signatures, while the traffic moves to
// the services and back. No write is lost, and every answer is the monolith's.
func TestRehearsalOfSignatures(t *testing.T) {
	nightly.Test(t, "it rehearses on this machine")
	d := changed(first, func(s *config.Service) { s.API.WriteAuthorization = config.AWSIAM })
	phases := map[string]*assembly.Assembly{}
	for _, phase := range []string{"monolith", "parallel", "switched"} {
		phases[phase] = synthDeployment(t, d, settings{"front": "apigateway", "ui": "on", "store": "postgres", "phase": phase})
	}
	wait := rehearse(t, phases, "--walk", "monolith,parallel,switched,parallel", "--rate", "10", "--routes", "stacks/testdata/signed.yaml", "--writes")
	t.Parallel()
	report, code := wait()
	unharmed(t, report, code, 1)
	for _, path := range []string{"/api/users", "/api/threads"} {
		if !slices.ContainsFunc(report.Routes, func(r route) bool { return r.Method == http.MethodPost && r.Path == path && r.Requests > 0 }) {
			t.Errorf("nothing was written to %s: %+v", path, report.Routes)
		}
	}
}

// TestRehearsalOfACache switches behind a cache. The report says for how long a client may get an answer of the side before.
func TestRehearsalOfACache(t *testing.T) {
	nightly.Test(t, "it rehearses on this machine")
	d := changed(last, func(*config.Service) {})
	for i := range d.Services {
		if s := &d.Services[i]; s.Name == "threads" {
			s.API.Cache = []config.Cached{{Path: "/api/threads", TTLSeconds: 60}, {Path: "/api/threads/*", TTLSeconds: 5}}
		}
	}
	phases := map[string]*assembly.Assembly{}
	for _, phase := range []string{"parallel", "switched"} {
		phases[phase] = synthDeployment(t, d, settings{"front": "apigateway", "phase": phase})
	}
	wait := rehearse(t, phases, "--walk", "parallel,switched,parallel", "--rate", "20")
	t.Parallel()
	report, code := wait()
	unharmed(t, report, code, 1)
	kept := slices.DeleteFunc(report.Verdict.Gaps, func(gap string) bool { return !strings.HasPrefix(gap, "API Gateway keeps answers") })
	const after = ": after a switch a client may get an answer of the side before for so long, and a rehearsal may compare one with itself"
	equal(t, "what is kept", kept, []string{"API Gateway keeps answers to GET /api/threads for 1m0s" + after, "API Gateway keeps answers to GET /api/threads/{proxy+} for 5s" + after})
	if !slices.ContainsFunc(report.Events, func(e event) bool {
		return e.Service == "dev-Front" && strings.Contains(e.Text, "answers from before the deployment out of its cache")
	}) {
		t.Errorf("no deployment tells of answers from before: %+v", report.Events)
	}
}

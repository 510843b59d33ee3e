package e2e

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	gocmp "github.com/google/go-cmp/cmp"

	"cutover/internal/emulate"
)

// A front is what is deployed before the load balancer.
type front struct {
	// Methods are what a client meets: authorization and target by method and path, of the REST API and of its stage.
	Methods, Live map[string]string
	Settings      map[string]string // of the stage
	Filtered      bool              // by a web ACL
	Link          string            // its groups and subnets
	Behaviors     map[string]string // of the distribution: origin, policies and methods by path
	Origins       map[string]string // of the distribution: path by domain
	Errors        []int             // kept for no time
	Files         map[string]string // of the page's version: type and cache by path
	Page          map[string]any    // /deployment.json
	Ways          []string          // into the load balancer
}

// A place is what the names of a front stand for. They differ from one deployment to the next.
type place struct{ api, deployment, distribution, bucket, prefix string }

// verbs are the methods of HTTP that API Gateway knows.
var verbs = []string{"DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"}

// rest reads a document of a service whose API has paths.
func (a *account) rest(t *testing.T, service, path string, into any) {
	t.Helper()
	body, status := a.get(t, service, path)
	if status/100 != 2 {
		t.Fatalf("%s: status %d: %s", path, status, body)
	}
	if err := json.Unmarshal(body, into); err != nil {
		t.Fatalf("%s: %v: %s", path, err, body)
	}
}

// physical is the id of the one resource of a type and a beginning of its logical id.
func (a *account) physical(t *testing.T, resources map[string]string, kind, logical string) string {
	t.Helper()
	var found []string
	for name, id := range resources {
		if f := strings.Fields(name); f[1] == kind && strings.HasPrefix(f[2], logical) {
			found = append(found, id)
		}
	}
	if len(found) != 1 {
		t.Fatalf("%s %s…: %q, want one", kind, logical, found)
	}
	return found[0]
}

type integration struct {
	Type, URI, ConnectionType, ConnectionID, IntegrationTarget string
}

// front reads back what is before the load balancer.
func (a *account) front(t *testing.T) (front, place) {
	t.Helper()
	resources := a.resources(t)
	balancer := a.loadBalancers(t)[0]
	link := a.physical(t, resources, "AWS::ApiGatewayV2::VpcLink", "")
	at := place{api: a.physical(t, resources, "AWS::ApiGateway::RestApi", ""), distribution: a.physical(t, resources, "AWS::CloudFront::Distribution", ""),
		bucket: a.physical(t, resources, "AWS::S3::Bucket", "Page")}
	f := front{Methods: map[string]string{}, Live: map[string]string{}, Settings: map[string]string{}, Behaviors: map[string]string{}, Origins: map[string]string{}, Files: map[string]string{}}
	met := func(into map[string]string, path, authorization string, i integration, all bool, verb string) {
		target := i.Type + " " + strings.Replace(i.URI, aws.ToString(balancer.DNSName), "BALANCER", 1)
		if i.ConnectionType == "VPC_LINK" && i.ConnectionID == link && i.IntegrationTarget == aws.ToString(balancer.LoadBalancerArn) {
			target += " by the link"
		}
		of := []string{verb}
		if all {
			of = verbs
		}
		for _, verb := range of {
			if _, own := into[verb+" "+path]; !all || !own {
				into[verb+" "+path] = authorization + " " + target
			}
		}
	}
	var tree struct {
		Item []struct {
			Path            string
			ResourceMethods map[string]struct {
				AuthorizationType, RequestValidatorID string
				RequestModels                         map[string]string
				MethodIntegration                     integration
			}
		}
	}
	a.rest(t, "apigateway", "/restapis/"+at.api+"/resources?embed=methods", &tree)
	for _, resource := range tree.Item {
		for _, all := range []bool{false, true} {
			for verb, m := range resource.ResourceMethods {
				authorization := m.AuthorizationType
				if m.RequestValidatorID != "" {
					authorization += a.validated(t, at.api, m.RequestValidatorID, m.RequestModels)
				}
				if all == (verb == "ANY") {
					met(f.Methods, resource.Path, authorization, m.MethodIntegration, all, verb)
				}
			}
		}
	}
	var definition struct {
		Paths map[string]map[string]struct {
			Security    []map[string]any
			Integration integration `json:"x-amazon-apigateway-integration"`
		}
	}
	a.rest(t, "apigateway", "/restapis/"+at.api+"/stages/live/exports/swagger?extensions=integrations", &definition)
	for path, methods := range definition.Paths {
		for _, all := range []bool{false, true} {
			for verb, m := range methods {
				authorization := "NONE"
				if len(m.Security) > 0 {
					authorization = "AWS_IAM"
				}
				if all == strings.HasPrefix(verb, "x-") {
					met(f.Live, path, authorization, m.Integration, all, strings.ToUpper(verb))
				}
			}
		}
	}

	var stage struct {
		DeploymentID      string
		TracingEnabled    bool
		WebACLArn         string
		AccessLogSettings struct{ DestinationArn string }
		MethodSettings    map[string]struct {
			LoggingLevel                                       string
			MetricsEnabled, CachingEnabled, CacheDataEncrypted bool
			CacheTTLInSeconds                                  int
			ThrottlingRateLimit, ThrottlingBurstLimit          float64
		}
		CacheClusterEnabled bool
		CacheClusterSize    string
	}
	a.rest(t, "apigateway", "/restapis/"+at.api+"/stages/live", &stage)
	at.deployment, f.Filtered = stage.DeploymentID, stage.WebACLArn != ""
	f.Settings["traced"] = fmt.Sprint(stage.TracingEnabled)
	f.Settings["log"] = stage.AccessLogSettings.DestinationArn
	for path, s := range stage.MethodSettings {
		f.Settings[path] = fmt.Sprintf("log %s, metrics %t, cached %t, encrypted %t", s.LoggingLevel, s.MetricsEnabled, s.CachingEnabled, s.CacheDataEncrypted)
		if s.CachingEnabled {
			f.Settings[path] += fmt.Sprintf(", for %d s", s.CacheTTLInSeconds)
		}
		if s.ThrottlingRateLimit != 1000 { // moto's default
			f.Settings[path] += fmt.Sprintf(", %g a second, %g at once", s.ThrottlingRateLimit, s.ThrottlingBurstLimit)
		}
	}
	if stage.CacheClusterEnabled {
		f.Settings["cache"] = stage.CacheClusterSize + " GB"
	}
	var connected struct{ SecurityGroupIds, SubnetIds []string }
	a.rest(t, "apigateway", "/v2/vpclinks/"+link, &connected)
	f.Link = fmt.Sprintf("%d group in %d subnets", len(connected.SecurityGroupIds), len(connected.SubnetIds))

	type behavior struct {
		PathPattern, TargetOriginID, ViewerProtocolPolicy, CachePolicyID, OriginRequestPolicyID string
		AllowedMethods                                                                          struct{ Items []string }
		FunctionAssociations                                                                    struct {
			Items []struct{ EventType, FunctionARN string }
		}
	}
	var distribution struct {
		DistributionConfig struct {
			DefaultCacheBehavior behavior
			CacheBehaviors       struct{ Items []behavior }
			Origins              struct {
				Items []struct{ ID, DomainName, OriginPath, OriginAccessControlID string }
			}
			CustomErrorResponses struct {
				Items []struct {
					ErrorCode, ErrorCachingMinTTL int
					ResponsePagePath              string
				}
			}
		}
	}
	a.aws(t, &distribution, "cloudfront", "get-distribution-config", "--id", at.distribution)
	config := distribution.DistributionConfig
	origins := map[string]string{}
	for _, origin := range config.Origins.Items {
		domain := strings.Replace(strings.Replace(origin.DomainName, at.api, "API", 1), at.bucket, "BUCKET", 1)
		origins[origin.ID] = domain
		f.Origins[domain] = origin.OriginPath
		if origin.OriginAccessControlID != "" {
			at.prefix = strings.TrimPrefix(origin.OriginPath, "/")
			f.Origins[domain] = "/PREFIX by the access control"
		}
	}
	for _, b := range append(config.CacheBehaviors.Items, config.DefaultCacheBehavior) {
		text := fmt.Sprint(origins[b.TargetOriginID], " ", b.ViewerProtocolPolicy, " ", len(b.AllowedMethods.Items), " methods")
		for _, policy := range []struct{ id, name string }{
			{"4135ea2d-6df8-44a3-9df3-4b5a84be39ad", "CachingDisabled"}, {"b689b0a8-53d0-40ab-baf2-68738e2966ac", "AllViewerExceptHostHeader"},
		} {
			if b.CachePolicyID == policy.id || b.OriginRequestPolicyID == policy.id {
				text += " " + policy.name
			}
		}
		for _, function := range b.FunctionAssociations.Items {
			text += " " + function.EventType
		}
		f.Behaviors[b.PathPattern] = text
	}
	for _, e := range config.CustomErrorResponses.Items {
		if e.ErrorCachingMinTTL == 0 && e.ResponsePagePath == "" {
			f.Errors = append(f.Errors, e.ErrorCode)
		}
	}

	var objects struct{ Contents []struct{ Key string } }
	a.aws(t, &objects, "s3api", "list-objects-v2", "--bucket", at.bucket, "--prefix", at.prefix+"/")
	for _, o := range objects.Contents {
		header := a.head(t, "/"+at.bucket+"/"+o.Key)
		f.Files[strings.TrimPrefix(o.Key, at.prefix+"/")] = header.Get("Content-Type") + ", " + header.Get("Cache-Control")
	}
	function := a.physical(t, resources, "AWS::CloudFront::Function", "")
	code, status := a.get(t, "cloudfront", "/2020-05-31/function/"+function[strings.LastIndex(function, "/")+1:]+"?Stage=LIVE")
	told := regexp.MustCompile(`var deployment = (.*);\n`).FindSubmatch(code)
	if status != http.StatusOK || told == nil {
		t.Fatalf("the function has the status %d and the code %s", status, code)
	}
	if err := json.Unmarshal(told[1], &f.Page); err != nil {
		t.Fatal(err)
	}
	f.Ways = a.waysInto(t, resources, balancer.SecurityGroups)
	return f, at
}

// validated says which bodies a method takes.
func (a *account) validated(t *testing.T, api, id string, models map[string]string) (text string) {
	t.Helper()
	var validator struct{ ValidateRequestBody, ValidateRequestParameters bool }
	a.rest(t, "apigateway", "/restapis/"+api+"/requestvalidators/"+id, &validator)
	text = fmt.Sprintf(" bodies %t, parameters %t", validator.ValidateRequestBody, validator.ValidateRequestParameters)
	for _, kind := range slices.Sorted(maps.Keys(models)) {
		var model struct{ ContentType, Schema string }
		a.rest(t, "apigateway", "/restapis/"+api+"/models/"+models[kind], &model)
		var schema struct{ Required []string }
		if err := json.Unmarshal([]byte(model.Schema), &schema); err != nil {
			t.Fatalf("%v: %s", err, model.Schema)
		}
		text += fmt.Sprintf(", %s as %s with %q", kind, model.ContentType, schema.Required)
	}
	return text
}

// head returns the headers of an object of a bucket.
func (a *account) head(t *testing.T, path string) http.Header {
	t.Helper()
	_, resp := a.send(t, http.MethodHead, "s3", path, nil)
	equal(t, path, resp.StatusCode, http.StatusOK)
	return resp.Header
}

// waysInto lists who may reach security groups.
func (a *account) waysInto(t *testing.T, resources map[string]string, groups []string) (ways []string) {
	t.Helper()
	names := map[string]string{}
	for key, id := range resources {
		names[id] = regexp.MustCompile(`[0-9A-F]{8}$`).ReplaceAllString(strings.Fields(key)[2], "")
	}
	var described struct {
		SecurityGroups []struct {
			IpPermissions []struct {
				FromPort         int
				IpRanges         []struct{ CidrIp string }
				UserIdGroupPairs []struct{ GroupId string }
			}
		}
	}
	a.aws(t, &described, append([]string{"ec2", "describe-security-groups", "--group-ids"}, groups...)...)
	for _, group := range described.SecurityGroups {
		for _, p := range group.IpPermissions {
			for _, from := range p.IpRanges {
				ways = append(ways, fmt.Sprintf("%s → %d", from.CidrIp, p.FromPort))
			}
			for _, from := range p.UserIdGroupPairs {
				ways = append(ways, fmt.Sprintf("%s → %d", names[from.GroupId], p.FromPort))
			}
		}
	}
	slices.Sort(ways)
	return ways
}

// wanted is the front of the forum in a phase.
func wanted(phase string, files []string) front {
	f := front{
		Methods: map[string]string{}, Link: "1 group in 2 subnets",
		Settings: map[string]string{"traced": "true", "log": "arn:aws:logs:us-east-1:123456789012:log-group:/aws/apigateway/dev:*",
			"*/*": "log ERROR, metrics true, cached false, encrypted true"},
		Behaviors: map[string]string{
			"":      "BUCKET.s3.us-east-1.amazonaws.com redirect-to-https 0 methods viewer-request",
			"/api*": "API.execute-api.us-east-1.amazonaws.com redirect-to-https 7 methods CachingDisabled AllViewerExceptHostHeader",
		},
		Origins: map[string]string{"BUCKET.s3.us-east-1.amazonaws.com": "/PREFIX by the access control", "API.execute-api.us-east-1.amazonaws.com": "/live"},
		Errors:  []int{400, 403, 404, 405, 414, 416, 500, 501, 502, 503, 504},
		Files:   map[string]string{},
		Page: map[string]any{"environment": "dev", "phase": phase, "monolith": "api", "services": []any{
			map[string]any{"name": "users", "paths": []any{"/api/users*"}, "writes": false},
			map[string]any{"name": "threads", "paths": []any{"/api/threads*"}, "writes": false},
			map[string]any{"name": "posts", "paths": []any{"/api/posts*"}, "writes": false},
		}},
		Ways: []string{"0.0.0.0/0 → 80", "VpcLinkSecurityGroup → 80"},
	}
	for _, path := range []string{"", "/api", "/api/users", "/api/threads", "/api/posts"} {
		for _, verb := range verbs {
			f.Methods[verb+" "+cmp.Or(path, "/")] = "NONE HTTP_PROXY http://BALANCER" + cmp.Or(path, "/") + " by the link"
			f.Methods[verb+" "+path+"/{proxy+}"] = "NONE HTTP_PROXY http://BALANCER" + path + "/{proxy} by the link"
		}
	}
	f.Live = f.Methods
	types := map[string]string{".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
	for _, file := range files {
		f.Files[file] = types[filepath.Ext(file)] + ", no-cache"
	}
	return f
}

// TestFront puts API Gateway and a page behind CloudFront before the load balancer, and walks through phases. With the last
// phase, services want signatures, valid bodies, a cache and a limit, a web ACL comes, the load balancer closes, and the page
// changes. All of it is taken back.
func TestFront(t *testing.T) {
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	required(t, root, "aws", "git")
	emulated := emulated(t)
	step := stepping(t)
	out := t.TempDir()
	cli, a := newCDK(interrupted, root, emulated.Env()), newAccount(interrupted, emulated.Endpoint(), emulate.Region)
	elsewhere := *cli
	elsewhere.dir = out
	elsewhere.must(t, "bootstrap", fmt.Sprintf("aws://%s/%s", emulate.Account, emulate.Region))

	step("synthesize", func(t *testing.T) {
		app := filepath.Join(out, "app")
		build := exec.CommandContext(interrupted, "go", "build", "-o", app, "./test/e2e/forum")
		build.Dir = root
		if text, err := build.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
		edited := clone(t, root)
		page := filepath.Join(edited, "web", "index.html")
		text, err := os.ReadFile(page)
		if err = os.WriteFile(page, append(must(t, text, err), "<!-- another version -->\n"...), 0o644); err != nil {
			t.Fatal(err)
		}
		for _, one := range []struct{ phase, dir, variant, direct, waf string }{
			{"monolith", root, "", "on", "off"}, {"parallel", root, "", "on", "off"}, {"switched", edited, "signed", "off", "on"},
		} {
			t.Run(one.phase, func(t *testing.T) {
				t.Parallel()
				synthesis := *cli
				synthesis.dir, synthesis.env = one.dir, append(slices.Clone(cli.env), "CUTOVER_E2E_APP="+one.variant)
				synthesis.must(t, "synth", "-q", "--app", app, "-o", filepath.Join(out, one.phase), "-c", "front=apigateway", "-c", "ui=on", "-c", "phase="+one.phase, "-c", "directAccess="+one.direct, "-c", "waf="+one.waf)
			})
		}
	})
	deploy := func(t *testing.T, assembly string) {
		t.Helper()
		if text, err := cli.deploy(filepath.Join(out, assembly)); err != nil {
			t.Fatalf("%v\n%s", err, tail(text, 60))
		}
	}
	files, err := os.ReadDir(filepath.Join(root, "web"))
	must(t, files, err)
	var names []string
	for _, file := range files {
		if !file.IsDir() {
			names = append(names, file.Name())
		}
	}
	same := func(t *testing.T, want front) place {
		t.Helper()
		got, at := a.front(t)
		if diff := gocmp.Diff(want, got); diff != "" {
			t.Fatalf("before the load balancer (-want +got):\n%s", diff)
		}
		return at
	}
	var first place
	for _, phase := range []string{"monolith", "parallel"} {
		step(phase, func(t *testing.T) {
			deploy(t, phase)
			compare(t, a, phase)
			at := same(t, wanted(phase, names))
			if phase == "monolith" {
				first = at
			}
			equal(t, "names of the front", at, first)
		})
	}
	step("switched, with signatures, a web ACL, another page, and no direct access", func(t *testing.T) {
		deploy(t, "switched")
		compare(t, a, "switched")
		want := wanted("switched", names)
		for _, path := range []string{"/api/users", "/api/users/{proxy+}", "/api/{proxy+}"} {
			for _, verb := range []string{"DELETE", "PATCH", "POST", "PUT"} {
				want.Methods[verb+" "+path] = strings.Replace(want.Methods[verb+" "+path], "NONE", "AWS_IAM", 1)
			}
		}
		want.Live = maps.Clone(want.Methods)
		want.Methods["POST /api/users"] = strings.Replace(want.Methods["POST /api/users"], "AWS_IAM", `AWS_IAM bodies true, parameters false, application/json as application/json with ["username" "name"]`, 1)
		const set = "log ERROR, metrics true, cached false, encrypted true"
		want.Settings["cache"], want.Settings["~1api~1threads/GET"] = "0.5 GB", strings.Replace(set, "cached false", "cached true", 1)+", for 60 s"
		want.Settings["~1api~1posts/*"] = set + ", 100 a second, 200 at once"
		want.Settings["~1api~1posts~1{proxy+}/*"] = want.Settings["~1api~1posts/*"]
		want.Ways, want.Filtered = want.Ways[1:], true
		changed := same(t, want)
		if changed.deployment == first.deployment || changed.prefix == first.prefix || changed.api != first.api || changed.distribution != first.distribution {
			t.Errorf("names of the front: %+v, before %+v; want another deployment and another version of the page", changed, first)
		}
		page, status := a.get(t, "s3", "/"+changed.bucket+"/"+changed.prefix+"/index.html")
		if status != http.StatusOK || !strings.Contains(string(page), "another version") {
			t.Errorf("the page has the status %d and is %s", status, page)
		}
		if _, status := a.get(t, "s3", "/"+first.bucket+"/"+first.prefix+"/index.html"); status != http.StatusOK {
			t.Errorf("the page before has the status %d; browsers may still ask for its files", status)
		}
	})
	for _, phase := range []string{"parallel", "monolith"} {
		step(phase+" again", func(t *testing.T) {
			deploy(t, phase)
			compare(t, a, phase)
			want := wanted(phase, names)
			// The snapshot that the stage has is another one. It was made before the method that validates bodies was deleted.
			want.Live = maps.Clone(want.Methods)
			want.Live["POST /api/users"] = strings.Replace(want.Live["POST /api/users"], "NONE", "AWS_IAM", 1)
			at := same(t, want)
			at.deployment = first.deployment
			equal(t, "names of the front", at, first)
		})
	}
	step("only known types are merely recorded", func(t *testing.T) {
		want := []string{"AWS::EC2::FlowLog", "AWS::Logs::QueryDefinition", "Custom::VpcRestrictDefaultSG"}
		if got := emulated.Recorded(); !slices.Equal(got, want) {
			t.Errorf("recorded only, and so not asserted: %q, want %q", got, want)
		}
	})
	step("destroy", func(t *testing.T) {
		cli.must(t, "destroy", "--app", filepath.Join(out, "monolith"), "--all", "--force")
		destroyed(t, a)
		left := map[string]int{}
		for _, of := range [][]string{
			{"apigateway", "get-rest-apis", "length(items)"}, {"apigatewayv2", "get-vpc-links", "length(Items)"}, {"lambda", "list-layers", "length(Layers)"},
			{"cloudfront", "list-distributions", "DistributionList.Quantity"}, {"cloudfront", "list-functions", "FunctionList.Quantity"},
			{"cloudfront", "list-cache-policies", "CachePolicyList.Quantity"}, {"cloudfront", "list-response-headers-policies", "ResponseHeadersPolicyList.Quantity"},
			{"cloudfront", "list-origin-access-controls", "OriginAccessControlList.Quantity"},
		} {
			var n int
			a.aws(t, &n, of[0], of[1], "--query", of[2])
			left[of[1]] = n
		}
		if slices.Max(slices.Collect(maps.Values(left))) > 0 {
			t.Errorf("left: %v", left)
		}
		// The account's role and the page's files are kept.
		var account struct{ CloudwatchRoleArn string }
		a.aws(t, &account, "apigateway", "get-account")
		var roles []string
		a.aws(t, &roles, "iam", "list-roles", "--query", "Roles[?starts_with(RoleName, 'dev-')].Arn")
		if !slices.Equal(roles, []string{account.CloudwatchRoleArn}) {
			t.Errorf("roles %q, want %q alone", roles, account.CloudwatchRoleArn)
		}
		if _, status := a.get(t, "s3", "/"+first.bucket+"/"+first.prefix+"/index.html"); status != http.StatusOK {
			t.Errorf("the page's bucket has the status %d, want it kept", status)
		}
	})
}

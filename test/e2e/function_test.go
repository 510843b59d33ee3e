package e2e

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	ecstypes "github.com/aws/aws-sdk-go-v2/service/ecs/types"
	elb "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	elbtypes "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"

	"cutover/config"
	"cutover/internal/emulate"
	"cutover/test/e2e/moving"
)

// A lambdaStop is where users is on its way from EC2 to Lambda and back, and what is deployed then.
type lambdaStop struct {
	name, way, place string
	targets          string // of the rule of users
	task             bool   // whether the task runs
	function         bool   // whether the function is there
	told             string // state of users
}

var (
	onEC2         = lambdaStop{"EC2 alone", "ec2", "", "users", true, false, "ec2"}
	toLambda      = lambdaStop{"EC2 to Lambda, stopped", "ec2>lambda", "", "users 1, users-lambda 0", true, true, "ec2-lambda-stopped"}
	lambdaBeside  = lambdaStop{"EC2 to Lambda, parallel", "ec2>lambda", "parallel", "users 1, users-lambda 0", true, true, "ec2-lambda-first"}
	lambdaLeads   = lambdaStop{"EC2 to Lambda, switched", "ec2>lambda", "switched", "users 0, users-lambda 1", true, true, ""}
	lambdaRetired = lambdaStop{"EC2 to Lambda, retired", "ec2>lambda", "retired", "users 0, users-lambda 1", false, true, ""}
	onLambda      = lambdaStop{"Lambda alone", "lambda", "", "users-lambda", false, true, "lambda"}
	fromLambda    = lambdaStop{"Lambda to EC2, stopped", "lambda>ec2", "", "users-lambda 1, users 0", false, true, ""}
)

var lambdaStops = []struct {
	lambdaStop
	refused []lambdaStop
}{
	{onEC2, []lambdaStop{onLambda}}, // a move begins in stopped
	{toLambda, nil},
	{lambdaBeside, nil},
	{lambdaLeads, nil},
	{lambdaRetired, nil},
	{onLambda, []lambdaStop{onEC2}},
	{fromLambda, nil},
}

func (s lambdaStop) moves() string { return "users=" + s.way }

func (s lambdaStop) settings() map[string]any {
	all := map[string]any{"phase": "parallel"}
	if s.place != "" {
		all["compute"] = "users=" + s.place
	}
	return all
}

// TestFunction moves a service from EC2 to Lambda, and begins the way back.
func TestFunction(t *testing.T) {
	cli, a := bootstrapped(t)
	out := t.TempDir()
	assembly := func(s lambdaStop) string { return filepath.Join(out, s.name) }
	t.Run("synthesize", func(t *testing.T) {
		for _, s := range lambdaStops {
			t.Run(s.name, func(t *testing.T) {
				t.Parallel()
				with := *cli
				with.env = append(slices.Clone(cli.env), moving.Variable+"="+s.moves())
				args := []string{"synth", "-q", "--app", forum, "-o", assembly(s.lambdaStop)}
				for key, value := range s.settings() {
					args = append(args, "-c", fmt.Sprintf("%s=%v", key, value))
				}
				with.must(t, args...)
			})
		}
	})
	for _, s := range lambdaStops {
		began := time.Now()
		if out, err := cli.deploy(assembly(s.lambdaStop)); err != nil {
			t.Fatalf("%s: %v\n%s", s.name, err, tail(out, 60))
		}
		s.deployed(t, a)
		for _, to := range s.refused {
			refusesBy(t, cli, a, "dev-GateCompute", assembly(to), func(t *testing.T) { t.Helper(); s.deployed(t, a) })
		}
		t.Logf("%-30s %6.1f s", s.name, time.Since(began).Seconds())
		if t.Failed() {
			t.FailNow() // the next step builds on this one
		}
	}
}

// deployed compares what is deployed with the stop.
func (s lambdaStop) deployed(t *testing.T, a *account) {
	t.Helper()
	groups := map[string]string{}
	var function *elbtypes.TargetGroup
	for _, g := range a.targetGroups(t) {
		groups[*g.TargetGroupArn] = *g.TargetGroupName
		if *g.TargetGroupName == "users-lambda" {
			function = &g
		}
	}
	rules, err := a.elb.DescribeRules(a.ctx, &elb.DescribeRulesInput{ListenerArn: a.listeners(t)[0].ListenerArn})
	found := false
	for _, r := range must(t, rules, err).Rules {
		if *r.Priority == "20010" {
			found = true
			equal(t, "rule of users", describe(t, r, groups), "20010 /api/users* → "+s.targets)
		}
	}
	if !found {
		t.Error("users has no rule")
	}
	tasks := slices.ContainsFunc(a.services(t), func(service ecstypes.Service) bool { return *service.ServiceName == "users" })
	equal(t, "whether the ECS service users is there", tasks, s.task)
	s.toldAs(t, a)
	if !s.function {
		if function != nil {
			t.Error("the target group users-lambda is there")
		}
		if _, status := a.get(t, "lambda", "/2015-03-31/functions/users-lambda"); status != http.StatusNotFound {
			t.Errorf("the function answers %d", status)
		}
		return
	}
	if function == nil {
		t.Fatal("the target group users-lambda is missing")
	}
	equal(t, "type of users-lambda", function.TargetType, elbtypes.TargetTypeEnumLambda)
	alias := "arn:aws:lambda:" + emulate.Region + ":" + emulate.Account + ":function:users-lambda:live"
	health, err := a.elb.DescribeTargetHealth(a.ctx, &elb.DescribeTargetHealthInput{TargetGroupArn: function.TargetGroupArn})
	if targets := must(t, health, err).TargetHealthDescriptions; len(targets) != 1 || *targets[0].Target.Id != alias {
		t.Errorf("targets %+v, want %s", targets, alias)
	}
	attributes, err := a.elb.DescribeTargetGroupAttributes(a.ctx, &elb.DescribeTargetGroupAttributesInput{TargetGroupArn: function.TargetGroupArn})
	if !slices.ContainsFunc(must(t, attributes, err).Attributes, func(at elbtypes.TargetGroupAttribute) bool {
		return *at.Key == "lambda.multi_value_headers.enabled" && *at.Value == "true"
	}) {
		t.Error("users-lambda has no headers with several values")
	}
	s.functionDeployed(t, a, *function.TargetGroupArn, alias)
}

// functionDeployed compares the function, its alias, its policy and its code with what they are at every stop.
func (s lambdaStop) functionDeployed(t *testing.T, a *account, group, alias string) {
	t.Helper()
	var live struct{ FunctionVersion string }
	a.read(t, "/2015-03-31/functions/users-lambda/aliases/live", &live)
	equal(t, "version of the alias", live.FunctionVersion, "1")
	var is struct {
		CodeSha256, Runtime, Handler string
		MemorySize, Timeout          int
	}
	a.read(t, "/2015-03-31/functions/users-lambda/configuration?Qualifier="+live.FunctionVersion, &is)
	equal(t, "settings of the function", fmt.Sprint(is.Runtime, " ", is.Handler, " ", is.MemorySize, " ", is.Timeout), "provided.al2023 bootstrap 256 10")
	var reserved struct{ ReservedConcurrentExecutions int }
	a.read(t, "/2019-09-30/functions/users-lambda/concurrency", &reserved)
	equal(t, "reserved concurrency", reserved.ReservedConcurrentExecutions, 50)
	var policy struct{ Policy string }
	a.read(t, "/2015-03-31/functions/users-lambda/policy?Qualifier=live", &policy)
	for _, part := range []string{`"elasticloadbalancing.amazonaws.com"`, `"` + alias + `"`, ":targetgroup/users-lambda/*"} {
		if !strings.Contains(policy.Policy, part) {
			t.Errorf("policy of the alias without %s: %s", part, policy.Policy)
		}
	}

	// The code is one program, whose digest is the key in the bucket. The function has the zip that the CLI put there.
	template, err := a.cloudformation.GetTemplate(a.ctx, &cloudformation.GetTemplateInput{StackName: aws.String("dev-UsersFunction")})
	must(t, template, err)
	_, key, _ := strings.Cut(strings.ReplaceAll(*template.TemplateBody, `"`, ""), "S3Key:")
	key, _, _ = strings.Cut(strings.TrimSpace(key), ".zip")
	zipped, status := a.get(t, "s3", "/cdk-hnb659fds-assets-"+emulate.Account+"-"+emulate.Region+"/"+key+".zip")
	if status != http.StatusOK {
		t.Fatalf("the asset %s.zip is not in the bucket: status %d", key, status)
	}
	sum := sha256.Sum256(zipped)
	equal(t, "digest of the function's code", is.CodeSha256, base64.StdEncoding.EncodeToString(sum[:]))
	files, err := zip.NewReader(bytes.NewReader(zipped), int64(len(zipped)))
	if must(t, files, err); len(files.File) != 1 || files.File[0].Name != "bootstrap" || files.File[0].Mode()&0o111 == 0 {
		t.Fatalf("the asset has not only the program bootstrap: %+v", files.File)
	}
	f, err := files.File[0].Open()
	program, err := io.ReadAll(must(t, f, err))
	sum = sha256.Sum256(must(t, program, err))
	equal(t, "digest of the program", hex.EncodeToString(sum[:]), key)
}

// toldAs compares what "cutover phase" is told with the stop.
func (s lambdaStop) toldAs(t *testing.T, a *account) {
	t.Helper()
	d, settings, err := config.Load(moving.Of(s.moves()), s.settings(), os.Getenv)
	if err != nil {
		t.Fatal(err)
	}
	state := d.Migration().State(settings.Position)
	if s.told != "" {
		equal(t, "state of users", state.ComputePlace("users"), s.told)
	}
	a.toldOf(t, d.Migration(), state, state)
}

// get asks a service whose API has paths.
func (a *account) get(t *testing.T, service, path string) (body []byte, status int) {
	t.Helper()
	req, err := http.NewRequestWithContext(a.ctx, http.MethodGet, a.env["AWS_ENDPOINT_URL"]+path, nil)
	must(t, req, err)
	req.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=test/20200101/"+emulate.Region+"/"+service+"/aws4_request, SignedHeaders=host, Signature=0")
	resp, err := http.DefaultClient.Do(req)
	defer must(t, resp, err).Body.Close()
	body, err = io.ReadAll(resp.Body)
	return must(t, body, err), resp.StatusCode
}

// read reads an answer of Lambda.
func (a *account) read(t *testing.T, path string, into any) {
	t.Helper()
	body, status := a.get(t, "lambda", path)
	if status/100 != 2 {
		t.Fatalf("%s: status %d: %s", path, status, body)
	}
	if err := json.Unmarshal(body, into); err != nil {
		t.Fatalf("%s: %v: %s", path, err, body)
	}
}

package e2e

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	elb "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	elbtypes "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"

	"cutover/deployment"
	"cutover/internal/emulate"
)

// functionDeployed compares the function of users, its alias, its policy, its target group and its code with what the
// list says. It runs the program that was uploaded.
func functionDeployed(t *testing.T, a *account) {
	t.Helper()
	alias := "arn:aws:lambda:" + emulate.Region + ":" + emulate.Account + ":function:users-lambda:live"
	for _, group := range a.targetGroups(t) {
		if *group.TargetGroupName != "users-lambda" {
			continue
		}
		health, err := a.elb.DescribeTargetHealth(a.ctx, &elb.DescribeTargetHealthInput{TargetGroupArn: group.TargetGroupArn})
		if targets := must(t, health, err).TargetHealthDescriptions; len(targets) != 1 || *targets[0].Target.Id != alias {
			t.Errorf("targets %+v, want %s", targets, alias)
		}
		attributes, err := a.elb.DescribeTargetGroupAttributes(a.ctx, &elb.DescribeTargetGroupAttributesInput{TargetGroupArn: group.TargetGroupArn})
		if !slices.ContainsFunc(must(t, attributes, err).Attributes, func(at elbtypes.TargetGroupAttribute) bool {
			return *at.Key == "lambda.multi_value_headers.enabled" && *at.Value == "true"
		}) {
			t.Error("users-lambda has no headers with several values")
		}
	}
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
	runsAsTask(t, must(t, program, err))
}

// runsAsTask runs a program as a function, and as a task, and compares what they answer to each request of the forum.
func runsAsTask(t *testing.T, program []byte) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "bootstrap")
	if err := os.WriteFile(file, program, 0o755); err != nil {
		t.Fatal(err)
	}
	start := func(variables ...string) io.Reader {
		cmd := exec.CommandContext(t.Context(), file)
		cmd.Env, cmd.Stderr = variables, os.Stderr
		out, err := cmd.StdoutPipe()
		if err := errors.Join(err, cmd.Start()); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
		return out
	}
	var listening struct{ Address string }
	if err := json.NewDecoder(start("HOST=127.0.0.1", "PORT=0")).Decode(&listening); err != nil || listening.Address == "" {
		t.Fatalf("the program does not say where it listens: %v", err)
	}
	events, results := make(chan string), make(chan string)
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			result, _ := io.ReadAll(r.Body)
			w.WriteHeader(http.StatusAccepted)
			results <- string(result)
			return
		}
		w.Header().Set("Lambda-Runtime-Aws-Request-Id", "one")
		w.Header().Set("Lambda-Runtime-Deadline-Ms", fmt.Sprint(time.Now().Add(time.Hour).UnixMilli()))
		select {
		case event := <-events:
			_, _ = io.WriteString(w, event)
		case <-r.Context().Done():
		}
	}))
	t.Cleanup(api.Close)
	t.Cleanup(api.CloseClientConnections) // before Close, which waits for them
	go func() {
		_, _ = io.Copy(io.Discard, start("AWS_LAMBDA_RUNTIME_API="+strings.TrimPrefix(api.URL, "http://")))
	}()
	asked := 0
	for _, uri := range deployment.Forum.Requests {
		if !strings.HasPrefix(uri, "/api/users") {
			continue
		}
		asked++
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+listening.Address, nil)
		must(t, request, err).URL.Opaque = uri
		response, err := http.DefaultClient.Do(request)
		body, err := io.ReadAll(must(t, response, err).Body)
		_ = response.Body.Close()
		task := fmt.Sprint(response.StatusCode, " ", response.Header.Get("Content-Type"), " ", string(must(t, body, err)))
		events <- `{"requestContext": {"elb": {"targetGroupArn": "arn"}}, "httpMethod": "GET", "path": "` + uri + `", "multiValueQueryStringParameters": {}, "multiValueHeaders": {"host": ["forum"]}, "body": "", "isBase64Encoded": false}`
		var result struct {
			StatusCode        int
			MultiValueHeaders http.Header
			Body              string
		}
		if err := json.Unmarshal([]byte(<-results), &result); err != nil {
			t.Fatal(err)
		}
		equal(t, uri, fmt.Sprint(result.StatusCode, " ", result.MultiValueHeaders.Get("Content-Type"), " ", result.Body), task)
	}
	if asked < 5 {
		t.Errorf("only %d requests were compared", asked)
	}
}

// get asks a service whose API has paths.
func (a *account) get(t *testing.T, service, path string) (body []byte, status int) {
	t.Helper()
	body, resp := a.send(t, http.MethodGet, service, path, nil)
	return body, resp.StatusCode
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

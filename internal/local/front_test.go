package local

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"cutover/internal/build"
	"cutover/internal/local/backing/access"
	"cutover/internal/local/provider"
	"cutover/internal/nightly"
)

// fronted puts the REST API of the golden templates before the load balancer of our deployment.
func fronted(t *testing.T) func(templates) {
	return func(a templates) {
		for _, stack := range []string{"dev-Network", "dev-ApiGatewayAccount", "dev-Front"} {
			text, err := os.ReadFile(filepath.Join(root, "stacks/golden/fronts", stack+".json"))
			if err != nil {
				t.Fatal(err)
			}
			var template map[string]any
			if err := json.Unmarshal(text, &template); err != nil {
				t.Fatal(err)
			}
			a[stack] = template
		}
		// What the load balancer's stack publishes for the front.
		outputs := a["dev-Routing"]["Outputs"].(map[string]any)
		outputs["PublishOutputRefLoadBalancerBE9EEC3AB633DFFF"] = map[string]any{"Value": ref("LoadBalancerBE9EEC3A")}
		outputs["PublishOutputFnGetAttLoadBalancerBE9EEC3ADNSName86F38DE9"] = map[string]any{"Value": getAtt("LoadBalancerBE9EEC3A", "DNSName")}
	}
}

// A deployment with API Gateway before the load balancer answers there as at the load balancer, while the migration goes on
// under load.
func TestFront(t *testing.T) {
	nightly.Test(t, "it deploys three phases behind API Gateway, under load")
	t.Parallel()
	d := start(t, stateDir(t), nil)
	d.deploy(forum(t, "parallel", fronted(t)))
	status := d.Status()
	if len(status.APIs) != 1 {
		t.Fatalf("the APIs are %+v, want one", status.APIs)
	}
	base := strings.Replace(status.APIs[0].URL, "localhost", "127.0.0.1", 1)
	do := func(r *http.Request) (int, string) {
		t.Helper()
		response, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		body, err := io.ReadAll(response.Body)
		if err != nil {
			t.Fatal(err)
		}
		return response.StatusCode, string(body)
	}
	request := func(method, url, body string) *http.Request {
		r, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	for _, path := range []string{"/", "/api", "/api/users", "/api/users/3", "/api/users/", "/api/posts/in-thread/3", "/api/threads?limit=1", "/api/users%2F3", "//api/users", "/nothing"} {
		status, body := do(request("GET", base+path, ""))
		direct, want := do(request("GET", d.url(80)+path, ""))
		if status != direct || body != want {
			t.Errorf("%s: %d %.100s by API Gateway, and %d %.100s by the load balancer", path, status, body, direct, want)
		}
	}

	stop := loadOf(t, base, 50)
	for _, phase := range []string{"switched", "retired"} {
		d.deploy(forum(t, phase, fronted(t)))
	}
	if requests, lost := stop(); len(lost) > 0 || requests == 0 {
		t.Errorf("of %d requests by API Gateway %d are lost: %.500q", requests, len(lost), lost)
	}

	// Users are written by those who sign alone.
	file, err := os.ReadFile(d.Status().APIs[0].Credentials)
	if err != nil {
		t.Fatal(err)
	}
	value := func(name string) string {
		_, rest, _ := strings.Cut(string(file), name+" = ")
		line, _, _ := strings.Cut(rest, "\n")
		return line
	}
	const text = `{"username":"x","name":"x","bio":"x"}`
	unsigned, body := do(request("POST", base+"/api/users", text))
	if unsigned != http.StatusForbidden || body != `{"message":"Missing Authentication Token"}` {
		t.Errorf("without a signature: %d %s", unsigned, body)
	}
	r := request("POST", base+"/api/users", text)
	credentials := aws.Credentials{AccessKeyID: value("aws_access_key_id"), SecretAccessKey: value("aws_secret_access_key")}
	if err := v4.NewSigner().SignHTTP(t.Context(), credentials, r, access.Hash([]byte(text)), "execute-api", value("region"), time.Now()); err != nil {
		t.Fatal(err)
	}
	signed, body := do(r)
	direct, want := do(request("POST", d.url(80)+"/api/users", text))
	if signed != direct || body != want || signed == http.StatusForbidden {
		t.Errorf("with a signature: %d %s, and %d %s by the load balancer", signed, body, direct, want)
	}
	if n := d.Status().NotRun["AWS::ApiGateway::Method"]; n != 0 || value("region") != provider.Region {
		t.Errorf("%d methods do not run, and the region is %s", n, value("region"))
	}
	if !slices.ContainsFunc(d.Status().Warnings, func(w string) bool { return strings.Contains(w, "web ACL") }) {
		t.Errorf("the warnings are %q, want one about the web ACL", d.Status().Warnings)
	}
}

// withAPI puts a REST API before a function. A permission lets the API invoke it.
func withAPI(permitted bool) func(map[string]any) {
	return func(resources map[string]any) {
		resource := func(kind string, properties map[string]any) map[string]any {
			return map[string]any{"Type": "AWS::" + kind, "Properties": properties}
		}
		sub := func(text string) map[string]any { return map[string]any{"Fn::Sub": text} }
		method := func(of any) map[string]any {
			return resource("ApiGateway::Method", map[string]any{"RestApiId": ref("Api"), "ResourceId": of, "HttpMethod": "ANY", "Integration": map[string]any{
				"Type": "AWS_PROXY", "IntegrationHttpMethod": "POST",
				"Uri": sub("arn:${AWS::Partition}:apigateway:${AWS::Region}:lambda:path/2015-03-31/functions/${Live}/invocations"),
			}})
		}
		resources["Api"] = resource("ApiGateway::RestApi", map[string]any{"Name": "users", "BinaryMediaTypes": []any{"*/*"}, "EndpointConfiguration": map[string]any{"Types": []any{"REGIONAL"}}})
		resources["Below"] = resource("ApiGateway::Resource", map[string]any{"RestApiId": ref("Api"), "ParentId": getAtt("Api", "RootResourceId"), "PathPart": "{proxy+}"})
		resources["RootAny"], resources["BelowAny"] = method(getAtt("Api", "RootResourceId")), method(ref("Below"))
		resources["Deployment"] = resource("ApiGateway::Deployment", map[string]any{"RestApiId": ref("Api")})
		resources["Deployment"].(map[string]any)["DependsOn"] = []any{"RootAny", "BelowAny"}
		resources["Stage"] = resource("ApiGateway::Stage", map[string]any{"RestApiId": ref("Api"), "StageName": "live", "DeploymentId": ref("Deployment")})
		if permitted {
			resources["ApiPermission"] = resource("Lambda::Permission", map[string]any{
				"Action": "lambda:InvokeFunction", "Principal": "apigateway.amazonaws.com", "FunctionName": ref("Live"),
				"SourceArn": sub("arn:${AWS::Partition}:execute-api:${AWS::Region}:${AWS::AccountId}:${Api}/live/*/*"),
			})
		}
	}
}

// A function that API Gateway invokes answers byte for byte as by the load balancer, if a permission lets API Gateway do so.
func TestFunctionBehindAPI(t *testing.T) {
	t.Parallel()
	d := start(t, stateDir(t), nil)
	d.deploy(usersOnLambda(t, withAPI(true)))
	do := func(method, url string) (int, string, http.Header) {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), method, url, nil)
		if err != nil {
			t.Fatal(err)
		}
		response, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		body, err := io.ReadAll(response.Body)
		if err != nil {
			t.Fatal(err)
		}
		return response.StatusCode, string(body), response.Header
	}
	base := d.Status().APIs[0].URL
	for _, c := range [][2]string{
		{"GET", "/api/users"}, {"GET", "/api/users/1"}, {"HEAD", "/api/users/1"}, {"GET", "/api/users?limit=2&after=1"}, {"GET", "/api/users?limit=%31"}, {"GET", "/api/users?limit=x"},
		{"GET", "/api/users/"}, {"GET", "/api/users/1%2F2"}, {"GET", "//api/users"}, {"GET", "/"}, {"DELETE", "/api/users/1"}, {"OPTIONS", "/api/users"},
	} {
		status, body, header := do(c[0], base+c[1])
		direct, want, wantHeader := do(c[0], d.url(80)+c[1])
		if status != direct || body != want {
			t.Errorf("%v: %d %.100s by API Gateway, and %d %.100s by the load balancer", c, status, body, direct, want)
		}
		for _, name := range []string{"Content-Type", "Content-Length", "Etag", "Allow", "Link"} {
			want := wantHeader.Get(name)
			if name == "Content-Type" { // which API Gateway adds
				want = cmp.Or(want, "application/json")
			}
			if header.Get(name) != want {
				t.Errorf("%v: %s is %q by API Gateway, and %q by the load balancer", c, name, header.Get(name), want)
			}
		}
	}
	d.deploy(usersOnLambda(t, withAPI(false)))
	if status, body, _ := do("GET", base+"/api/users"); status != http.StatusInternalServerError || body != `{"message":"Internal server error"}` {
		t.Errorf("without a permission the answer is %d %s", status, body)
	}
}

// What a request says and what an answer has is the same for clients and for the function, whether API Gateway invokes the
// function or a load balancer does. The documents list what is different: fronts.md has the headers, lambda.md the limits.
func TestParityOfFunctions(t *testing.T) {
	nightly.Test(t, "it sends 700 requests to a function")
	t.Parallel()
	d := start(t, stateDir(t), nil)
	contexts, err := build.Build(t.Context(), build.Options{Root: root, Arch: runtime.GOARCH, Out: t.TempDir(), Services: []build.Service{{Name: "answers", Dir: "services/internal/lambda/testdata/answers"}}})
	if err != nil {
		t.Fatal(err)
	}
	d.deploy(onLambda(t, contexts["answers"], withAPI(true)))
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	do := func(method, url, body string, header http.Header) (status int, text string, given http.Header) {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header["Accept-Encoding"] = []string{"identity"} // the client changes nothing
		maps.Copy(r.Header, header)
		response, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		all, err := io.ReadAll(response.Body)
		if err != nil {
			t.Fatal(err)
		}
		return response.StatusCode, string(all), response.Header
	}
	type request struct {
		method, uri, body string
		header            http.Header
	}
	var requests []request
	for _, status := range []int{200, 201, 202, 204, 206, 301, 303, 304, 400, 401, 403, 404, 405, 409, 410, 412, 413, 415, 422, 428, 429, 500, 501, 503} {
		for _, method := range []string{"GET", "HEAD", "POST"} {
			requests = append(requests, request{method: method, uri: fmt.Sprint("/", status)})
		}
	}
	for _, kind := range []string{"binary", "encoded", "text", "empty", "headers"} {
		for _, method := range []string{"GET", "HEAD"} {
			requests = append(requests, request{method: method, uri: "/" + kind}, request{method: method, uri: "/" + kind, header: http.Header{"Accept": {"image/png"}}})
		}
	}
	for _, uri := range []string{
		"/echo", "/echo/", "/a/b/echo", "/echo;v=1", "/%C3%BC", "/a%20b", "/(a)!$&'*,=@~", "/echo?", "/echo?a=1&a=2&b=3&a=1", "/echo?a", "/echo?a=&b", "/echo?a=b%20c+d%2Be",
		"/echo?%C3%BC=%E7%8B%90&%5B%5D=%26%3D%25", "/echo?a=b=c", "/echo?a=/?:@",
	} {
		for _, method := range []string{"GET", "HEAD", "DELETE", "OPTIONS"} {
			requests = append(requests, request{method: method, uri: uri})
		}
	}
	for _, body := range []string{"", `{"a":"Zoë 狐"}`, "a=1&b=2", "\x00\x01\xff\xfe", strings.Repeat("x", 500<<10)} {
		for _, mediaType := range []string{"application/json", "application/octet-stream", "application/x-www-form-urlencoded", "image/png", "text/plain; charset=utf-8", "application/problem+json"} {
			if !utf8.ValidString(body) && (strings.HasPrefix(mediaType, "text/") || mediaType == "application/json") {
				continue // the load balancer refuses a text that is none, with 502
			}
			for _, method := range []string{"POST", "PUT", "PATCH", "DELETE"} {
				requests = append(requests, request{method, "/echo?a=1", body, http.Header{"Content-Type": {mediaType}}})
			}
		}
	}
	requests = append(requests, request{"GET", "/echo", "", http.Header{"X-Own": {"1", "2"}, "X-Own-Empty": {""}, "X-Own-Text": {"a, b"}, "If-Match": {`"1"`}, "Accept": {"text/plain", "*/*"}}},
		request{"GET", "/echo", "", http.Header{"Cookie": {"a=1; b=2"}}})
	base := d.Status().APIs[0].URL
	for _, r := range requests {
		what := fmt.Sprintf("%s %s %.20q %v", r.method, r.uri, r.body, r.header)
		status, body, header := do(r.method, base+r.uri, r.body, r.header)
		wanted, want, wantHeader := do(r.method, d.url(80)+r.uri, r.body, r.header)
		if status != wanted || body != want {
			t.Errorf("%s: %d %.300q by API Gateway, and %d %.300q by the load balancer", what, status, body, wanted, want)
		}
		for _, name := range []string{"Www-Authenticate", "Date"} {
			if values, ok := header["X-Amzn-Remapped-"+name]; ok {
				header[name] = values
				delete(header, "X-Amzn-Remapped-"+name)
			}
		}
		for _, name := range []string{"Date", "Server", "X-Amzn-Requestid", "X-Amz-Apigw-Id", "X-Amzn-Trace-Id"} {
			delete(header, name)
			delete(wantHeader, name)
		}
		if !reflect.DeepEqual(header, wantHeader) {
			t.Errorf("%s: the header is %v by API Gateway, and %v by the load balancer", what, header, wantHeader)
		}
	}
	// The limits are different: 1 MB by the load balancer, and 6 MB for the event of a function by API Gateway, which has the
	// body in Base64.
	for size, want := range map[int]int{1<<20 + 1: http.StatusCreated, 5 << 20: http.StatusRequestEntityTooLarge} {
		text := strings.Repeat("x", size)
		status, _, _ := do("POST", base+"/201", text, nil)
		direct, _, _ := do("POST", d.url(80)+"/201", text, nil)
		if status != want || direct != http.StatusRequestEntityTooLarge {
			t.Errorf("a request of %d bytes is answered with %d by API Gateway, and with %d by the load balancer", size, status, direct)
		}
	}
}

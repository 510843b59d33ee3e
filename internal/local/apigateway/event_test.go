package apigateway

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"cutover/internal/local/backing/access"
)

// The event of a request has all documented fields, and those without a value are null.
func TestEvent(t *testing.T) {
	d := define(read(t).RestAPIs[0])
	at := time.Date(2026, 11, 27, 22, 48, 57, 665_000_000, time.UTC)
	full := &request{
		method: "POST", path: "/api/users/a%2Fb", query: "name=a+b%26c&name=%C3%BC&empty=", host: "gy415nuibc.execute-api.us-east-1.amazonaws.com", body: []byte{0xff, '<'},
		header: http.Header{"Cookie": {"a=1", "b=2"}, "User-Agent": {"test"}, "Content-Type": {"text/plain"}},
	}
	least := &request{method: "GET", path: "/", host: "localhost:8081", header: http.Header{}}
	known := about{stage: "live", api: "gy415nuibc", deployment: "d1", resource: "r1", account: "123456789012", id: "id", extendedID: "extended", source: "192.0.2.1", protocol: "HTTP/1.1", at: at}
	for file, c := range map[string]struct {
		r *request
		a func(*about)
	}{
		"full": {full, func(a *about) {
			a.binary, a.variables, a.signer = []string{"*/*"}, map[string]string{"v": "1"}, &access.Signer{Key: "AKIA", Principal: "arn:aws:iam::123456789012:user/u"}
		}},
		"least": {least, func(*about) {}},
	} {
		a := known
		c.a(&a)
		got, err := encodeEvent(d.find(c.r.method, c.r.path), c.r, c.r.header, a)
		if err != nil {
			t.Fatal(err)
		}
		var text bytes.Buffer
		if err := json.Indent(&text, bytes.TrimSpace(got), "", "  "); err != nil {
			t.Fatal(err)
		}
		want, err := os.ReadFile("testdata/event-" + file + ".json")
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(strings.TrimSpace(string(want)), text.String()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", file, diff)
		}
	}
	for _, c := range []struct {
		types       []string
		contentType string
		want        bool
	}{
		{nil, "", false},
		{nil, "image/png", false},
		{[]string{"image/png"}, "image/png; a=b", true},
		{[]string{"image/png"}, "", false},
		{[]string{"application/json"}, "", true},
		{[]string{"image/*"}, "image/png", false},
		{[]string{"*/*"}, "text/plain", true},
	} {
		if got := binary(c.types, c.contentType); got != c.want {
			t.Errorf("%q is binary with %q: %v", c.contentType, c.types, got)
		}
	}
}

// What a function returns is an answer in the documented form, or none.
func TestResult(t *testing.T) {
	for _, c := range []struct{ result, want string }{
		{`{"statusCode": 200}`, `200 map[] ""`},
		{`{"statusCode": "404", "body": null}`, `404 map[] ""`},
		{`{"statusCode": 200, "body": "a", "headers": {"content-type": "x", "a": "1"}, "multiValueHeaders": {"A": ["1", "2"], "b": ["3"]}}`, `200 map[A:[1 2] B:[3] Content-Type:[x]] "a"`},
		{`{"statusCode": 200, "headers": {"a": "0"}, "multiValueHeaders": {"A": ["1"]}}`, `200 map[A:[1 0]] ""`},
		{`{"statusCode": 200, "body": "/wD+", "isBase64Encoded": true}`, `200 map[] "\xff\x00\xfe"`},
		{`{"statusCode": 200, "body": "/wD+", "isBase64Encoded": false}`, `200 map[] "/wD+"`},
		{`"text"`, "no JSON object"},
		{`null`, "no JSON object"},
		{`{}`, "none from 200 to 599"},
		{`{"statusCode": 99}`, "none from 200 to 599"},
		{`{"statusCode": "x"}`, "none from 200 to 599"},
		{`{"statusCode": 200, "body": {"a": 1}}`, "the function returned body"},
		{`{"statusCode": 200, "headers": {"a": ["1"]}}`, "the function returned headers"},
		{`{"statusCode": 200, "headers": {"a b": "1"}}`, "which is no header"},
		{`{"statusCode": 200, "statusDescription": "200 OK"}`, `the field "statusDescription", which is none of a result`},
		{`{"statusCode": 200, "body": "?", "isBase64Encoded": true}`, "no Base64"},
	} {
		a, err := decodeResult([]byte(c.result), []string{"*/*"}, "")
		got := fmt.Sprint(err)
		if err == nil {
			got = fmt.Sprintf("%d %v %q", a.status, a.header, a.body)
		}
		if !strings.Contains(got, c.want) || (err == nil) != strings.HasPrefix(got, "2") && (err == nil) != strings.HasPrefix(got, "4") {
			t.Errorf("%s: %s, want %s", c.result, got, c.want)
		}
	}
	a, err := decodeResult([]byte(`{"statusCode": 200, "body": "/wD+", "isBase64Encoded": true}`), []string{"image/png"}, "text/html, image/png")
	if err != nil || string(a.body) != "/wD+" {
		t.Errorf("a body that is not asked for as a binary one is %q, %v", a.body, err)
	}
}

// called is what invokes functions in place of Lambda, which package local has.
type called struct{ result func() ([]byte, error) }

func (c called) InvokeFor(ctx context.Context, target, principal, source string, payload []byte) ([]byte, error) {
	if target != "dev-Front/Function" || principal != "apigateway.amazonaws.com" || !strings.HasSuffix(source, "/live/GET/api/users") || !json.Valid(payload) {
		return nil, fmt.Errorf("%s is invoked for %s of %s", target, source, principal)
	}
	done := make(chan bool)
	var result []byte
	var err error
	go func() { result, err = c.result(); close(done) }()
	select {
	case <-done:
		return result, err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

type reason string

func (r reason) Error() string  { return string(r) }
func (r reason) Reason() string { return string(r) }

// What goes wrong with a function is an error of API Gateway.
func TestFunctionErrors(t *testing.T) {
	d := deploy(t, echo, func(a templates) {
		a["dev-Front"]["Function"] = object{"Type": "AWS::Lambda::Function", "Properties": object{"FunctionName": "f"}}
		method := a.properties("ApiapiusersGET")
		a.properties("ApiStagelive")["MethodSettings"] = nil
		method["Integration"] = object{"Type": "AWS_PROXY", "IntegrationHttpMethod": "POST", "TimeoutInMillis": 50,
			"Uri": object{"Fn::Join": []any{"", []any{"arn:aws:apigateway:", object{"Ref": "AWS::Region"}, ":lambda:path/2015-03-31/functions/", object{"Fn::GetAtt": []any{"Function", "Arn"}}, "/invocations"}}}}
	})
	never := make(chan bool)
	defer close(never)
	returned := func(text string) func() ([]byte, error) {
		return func() ([]byte, error) { return []byte(text), nil }
	}
	failed := func(err error) func() ([]byte, error) { return func() ([]byte, error) { return nil, err } }
	const internal = `{"message":"Internal server error"}`
	for _, c := range []struct {
		name   string
		result func() ([]byte, error)
		want   string
	}{
		{"an answer", returned(`{"statusCode": 201, "body": "a"}`), "201 a"},
		{"malformed", returned(`{"status": 201}`), "502 " + internal},
		{"an error", failed(errors.New("it crashed")), "502 " + internal},
		{"no permission", failed(reason("LambdaAccessDenied")), "500 " + internal},
		{"too many", failed(reason("LambdaThrottling")), "500 " + internal},
		{"late", func() ([]byte, error) { <-never; return nil, nil }, `504 {"message":"Endpoint request timed out"}`},
	} {
		d.options.Functions = called{c.result}
		response, body := d.get("/live/api/users")
		if got := fmt.Sprint(response.StatusCode, " ", body); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
	if e := <-d.told; !strings.Contains(e.Message, `API Gateway dev, stage live: dev-Front/Function: the function returned the field "status"`) {
		t.Errorf("told %v", e)
	}
}

package apigateway

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"cutover/internal/local/backing/access"
	"cutover/internal/local/provider"
)

// sign signs a request as AWS's SDK does.
func sign(t *testing.T, r *http.Request, by *access.Signer, region, service string, at time.Time) {
	t.Helper()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	credentials := aws.Credentials{AccessKeyID: by.Key, SecretAccessKey: by.Secret, SessionToken: by.Session}
	if err := v4.NewSigner().SignHTTP(t.Context(), credentials, r, access.Hash(body), service, region, at); err != nil {
		t.Fatal(err)
	}
}

// A method with AWS_IAM takes requests that the SDK has signed, and refuses others with the words of AWS.
func TestSignatures(t *testing.T) {
	d := deploy(t, echo)
	user, now := d.access.User(), time.Now()
	for _, c := range []struct {
		name, method, uri, body string
		change                  func(r *http.Request)
		region, service         string
		by                      *access.Signer
		late                    time.Duration
		status                  int
		kind, answer            string
	}{
		{name: "signed", method: "POST", uri: "/live/api/users", body: `{"a":1}`, status: 200},
		{name: "without a body", method: "DELETE", uri: "/live/api/users/1", status: 200},
		{name: "with a query", method: "PUT", uri: "/live/api/users/1?b=2&a=x%20y&a=%C3%BC&c", body: "x", status: 200},
		{name: "with an encoded path", method: "PUT", uri: "/live/api/users/a%2Fb%20c", body: "x", status: 200},
		{name: "with a signed header", method: "POST", uri: "/live/api/users", change: func(r *http.Request) { r.Header.Set("X-Own", "a   b") }, status: 200},
		{name: "four minutes late", method: "POST", uri: "/live/api/users", late: 4 * time.Minute, status: 200},
		{name: "no signature needed", method: "GET", uri: "/live/api/users", by: &access.Signer{Key: "nobody", Secret: "x"}, status: 200},

		{name: "expired", method: "POST", uri: "/live/api/users", late: 6 * time.Minute, status: 403, kind: "InvalidSignatureException", answer: `{"message":"Signature expired: `},
		{name: "too early", method: "POST", uri: "/live/api/users", late: -6 * time.Minute, status: 403, kind: "InvalidSignatureException", answer: `{"message":"Signature not yet current: `},
		{name: "another secret", method: "POST", uri: "/live/api/users", by: &access.Signer{Key: user.Key, Secret: "x"}, status: 403, kind: "InvalidSignatureException",
			answer: `{"message":"The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method. Consult the service documentation for details.\n\nThe Canonical String for this request should have been\n'POST\n/live/api/users\n\n`},
		{name: "another key", method: "POST", uri: "/live/api/users", by: &access.Signer{Key: "AKIAX", Secret: "x"}, status: 403, kind: "UnrecognizedClientException", answer: `{"message":"The security token included in the request is invalid."}`},
		{name: "another token", method: "POST", uri: "/live/api/users", by: &access.Signer{Key: user.Key, Secret: user.Secret, Session: "x"}, status: 403, kind: "UnrecognizedClientException", answer: `{"message":"The security token`},
		{name: "another region", method: "POST", uri: "/live/api/users", region: "eu-west-1", status: 403, kind: "InvalidSignatureException", answer: `{"message":"Credential should be scoped to a valid region, not 'eu-west-1'. "}`},
		{name: "another service", method: "POST", uri: "/live/api/users", service: "dynamodb", status: 403, kind: "InvalidSignatureException", answer: `{"message":"Credential should be scoped to execute-api`},
		{name: "another body", method: "POST", uri: "/live/api/users", body: "a", change: func(r *http.Request) {}, status: 403, kind: "InvalidSignatureException", answer: `{"message":"The request signature`},
	} {
		r := d.request(c.method, c.uri, c.body)
		if c.change != nil {
			c.change(r)
		}
		by, region, name := c.by, c.region, c.service
		if by == nil {
			by = user
		}
		if region == "" {
			region = provider.Region
		}
		if name == "" {
			name = SigningName
		}
		sign(t, r, by, region, name, now.Add(-c.late))
		if c.name == "another body" {
			r.Body = io.NopCloser(strings.NewReader("b"))
		}
		response, body := d.do(r)
		if response.StatusCode != c.status || !strings.HasPrefix(body, c.answer) || response.Header.Get("x-amzn-ErrorType") != c.kind {
			t.Errorf("%s: %d %s %s, want %d %s %s", c.name, response.StatusCode, response.Header.Get("x-amzn-ErrorType"), body, c.status, c.kind, c.answer)
		}
		if c.status == 200 && decode(t, body).Header.Get("Authorization") != "" {
			t.Errorf("%s: the target gets the signature", c.name)
		}
	}
	for name, authorization := range map[string]string{"none": "", "bearer": "Bearer x", "half": "AWS4-HMAC-SHA256 Credential=x"} {
		r := d.request("POST", "/live/api/users", "")
		if r.Header.Set("Authorization", authorization); authorization == "" {
			r.Header.Del("Authorization")
		}
		response, body := d.do(r)
		if want := map[bool]string{true: "MissingAuthenticationTokenException", false: "IncompleteSignatureException"}[authorization == ""]; response.StatusCode != 403 || response.Header.Get("x-amzn-ErrorType") != want {
			t.Errorf("%s: %d %v %s, want %s", name, response.StatusCode, response.Header, body, want)
		}
	}
}

// A task may do what the statements of its role say.
func TestTasks(t *testing.T) {
	d := deploy(t, echo, func(a templates) {
		a["dev-Front"]["Role"] = object{"Type": "AWS::IAM::Role", "Properties": object{"RoleName": "writer", "AssumeRolePolicyDocument": object{}, "Policies": []any{object{"PolicyName": "p", "PolicyDocument": object{"Statement": []any{
			object{"Effect": "Allow", "Action": "execute-api:Invoke", "Resource": object{"Fn::Join": []any{"", []any{"arn:aws:execute-api:*:*:", object{"Ref": "Api49610EDF"}, "/live/POST/api/users"}}}},
		}}}}}}
		a["dev-Front"]["Function"] = object{"Type": "AWS::Lambda::Function", "Properties": object{"Role": object{"Fn::GetAtt": []any{"Role", "Arn"}}}}
	})
	task := &access.Signer{}
	for _, v := range d.access.FunctionVariables("task", d.model.Functions[0]) {
		switch v.Name {
		case "AWS_ACCESS_KEY_ID":
			task.Key = v.Value
		case "AWS_SECRET_ACCESS_KEY":
			task.Secret = v.Value
		case "AWS_SESSION_TOKEN":
			task.Session = v.Value
		}
	}
	for uri, want := range map[string]string{
		"POST /live/api/users":   "200 {",
		"POST /live/api/users/1": `403 {"Message":"User: arn:aws:sts::000000000000:assumed-role/writer/Function is not authorized to perform: execute-api:Invoke on resource: arn:aws:execute-api:local:000000000000:`,
		"PUT /live/api/users":    "403 {",
	} {
		method, uri, _ := strings.Cut(uri, " ")
		r := d.request(method, uri, "")
		sign(t, r, task, provider.Region, SigningName, time.Now())
		response, body := d.do(r)
		if got := fmt.Sprint(response.StatusCode, " ", body); !strings.HasPrefix(got, want) {
			t.Errorf("%s %s: %s, want %s", method, uri, got, want)
		}
	}
}

// The credentials of the user are in a file for as long as an API asks for signatures.
func TestCredentials(t *testing.T) {
	d := deploy(t, echo)
	file := d.stageStatus().Credentials
	text, err := os.ReadFile(file)
	if err != nil || !strings.Contains(string(text), d.access.User().Secret) || !strings.Contains(string(text), "region = local") {
		t.Fatalf("%s: %s, %v", file, text, err)
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("others may read the credentials: %v, %v", info.Mode(), err)
	}
	if err := d.Provider.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(file); err == nil {
		t.Error("the credentials are left")
	}
}

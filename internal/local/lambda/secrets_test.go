//go:build linux

package lambda

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"cutover/internal/local/backing/access"
)

// secretive is an app whose function has secrets, and may read those that statements allow.
func secretive(actions []any, resources ...any) app {
	from := `{"KEY":"arn:aws:secretsmanager:${AWS::Region}:${AWS::AccountId}:secret:db:password::",` +
		`"OTHER":"arn:aws:secretsmanager:${AWS::Region}:${AWS::AccountId}:secret:db:user::",` +
		`"WHOLE":"arn:aws:ssm:${AWS::Region}:${AWS::AccountId}:parameter/people/token",` +
		`"URL":"arn:aws:ssm:${AWS::Region}:${AWS::AccountId}:parameter/url"}`
	return app{
		properties: object{"Environment": object{"Variables": object{"CUTOVER_SECRETS": object{"Fn::Sub": from}}}},
		more: object{
			"Url": object{"Type": "AWS::SSM::Parameter", "Properties": object{"Name": "/url", "Type": "String", "Value": "http://localhost:8080"}},
			"Policy": object{"Type": "AWS::IAM::Policy", "Properties": object{"Roles": []any{object{"Ref": "Role"}}, "PolicyDocument": object{"Statement": object{
				"Effect": "Allow", "Action": actions, "Resource": resources,
			}}}},
		},
	}
}

// ask asks an endpoint of a function for something, with the function's credentials.
func (r returned) ask(t *testing.T, endpoint, service, target string, body object, change func(*aws.Credentials)) (int, string) {
	t.Helper()
	text, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	request, err := http.NewRequest(http.MethodPost, r.variable(endpoint), bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("X-Amz-Target", target)
	request.Header.Set("Content-Type", "application/x-amz-json-1.1")
	credentials := aws.Credentials{AccessKeyID: r.variable("AWS_ACCESS_KEY_ID"), SecretAccessKey: r.variable("AWS_SECRET_ACCESS_KEY"), SessionToken: r.variable("AWS_SESSION_TOKEN")}
	if change != nil {
		change(&credentials)
	}
	if err := v4.NewSigner().SignHTTP(t.Context(), credentials, request, access.Hash(text), service, "local", time.Now()); err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := io.ReadAll(response.Body)
	return response.StatusCode, fmt.Sprint(string(answer), errors.Join(err, response.Body.Close()))
}

// A function reads its secrets as from Secrets Manager and Parameter Store, with its role.
func TestSecrets(t *testing.T) {
	t.Parallel()
	d := newDeployment(t)
	d.mustDeploy(secretive([]any{"secretsmanager:GetSecretValue", "ssm:GetParameter"},
		"arn:aws:secretsmanager:local:000000000000:secret:db-??????", "arn:aws:ssm:local:000000000000:parameter/people/token", "arn:aws:ssm:local:000000000000:parameter/url"))
	r := d.mustInvoke(event{Do: "echo"})
	if got := r.variable("CUTOVER_SECRETS"); strings.Contains(got, "of KEY") || !strings.Contains(got, "secret:db:password::") {
		t.Errorf("the variable is %s, want the places of the secrets and no values", got)
	}
	const manager, store = "AWS_ENDPOINT_URL_SECRETS_MANAGER", "AWS_ENDPOINT_URL_SSM"
	const secret, token = "arn:aws:secretsmanager:local:000000000000:secret:db", "arn:aws:ssm:local:000000000000:parameter/people/token"
	for _, c := range []struct {
		name, endpoint, service, target string
		body                            object
		change                          func(*aws.Credentials)
		status                          int
		want                            string
	}{
		{"keys of a secret", manager, "secretsmanager", "secretsmanager.GetSecretValue", object{"SecretId": secret}, nil, 200, `"SecretString":"{\"password\":\"of KEY\",\"user\":\"of OTHER\"}"`},
		{"by the name", manager, "secretsmanager", "secretsmanager.GetSecretValue", object{"SecretId": "db"}, nil, 200, `"Name":"db"`},
		{"a parameter", store, "ssm", "AmazonSSM.GetParameter", object{"Name": token, "WithDecryption": true}, nil, 200, `"Value":"of WHOLE"`},
		{"a parameter of the assembly", store, "ssm", "AmazonSSM.GetParameter", object{"Name": "/url"}, nil, 200, `"Value":"http://localhost:8080"`},
		{"what the role may not read", store, "ssm", "AmazonSSM.GetParameter", object{"Name": "/else"}, nil, 400,
			`User: arn:aws:sts::000000000000:assumed-role/people/users is not authorized to perform: ssm:GetParameter on resource: arn:aws:ssm:local:000000000000:parameter/else`},
		{"another operation", store, "ssm", "AmazonSSM.PutParameter", object{"Name": "/url"}, nil, 400, "UnknownOperationException"},
		{"another version", manager, "secretsmanager", "secretsmanager.GetSecretValue", object{"SecretId": "db", "VersionStage": "AWSPREVIOUS"}, nil, 400, "ResourceNotFoundException"},
		{"another key", store, "ssm", "AmazonSSM.GetParameter", object{"Name": "/url"}, func(c *aws.Credentials) { c.SecretAccessKey = "x" }, 400, "InvalidSignatureException"},
		{"another service's signature", store, "dynamodb", "AmazonSSM.GetParameter", object{"Name": "/url"}, nil, 400, "Credential should be scoped to ssm"},
	} {
		status, answer := r.ask(t, c.endpoint, c.service, c.target, c.body, c.change)
		if status != c.status || !strings.Contains(answer, c.want) {
			t.Errorf("%s: %d %s, want %d with %s", c.name, status, answer, c.status, c.want)
		}
	}
	d.told("not authorized to perform: ssm:GetParameter")
}

// A secret without a value is found before anything starts.
func TestMissingSecret(t *testing.T) {
	t.Parallel()
	d := newDeployment(t)
	a := app{properties: object{"Environment": object{"Variables": object{"CUTOVER_SECRETS": `{"MISSING":"arn:aws:ssm:local:0:parameter/missing"}`}}}}
	if _, err := d.deploy(a); err == nil || !strings.Contains(err.Error(), "S/F/Properties.Environment.Variables.CUTOVER_SECRETS: ") || !strings.Contains(err.Error(), "--secret MISSING=VALUE") {
		t.Errorf("the error is %v, want the place and what to do", err)
	}
}

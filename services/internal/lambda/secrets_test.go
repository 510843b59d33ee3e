package lambda

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
)

// TestSecrets reads from a server that answers as Secrets Manager and Parameter Store do.
func TestSecrets(t *testing.T) {
	const secret, parameter = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:db", "arn:aws:ssm:eu-west-1:123456789012:parameter/dev/load-balancer-url"
	asked := make(chan string, 10)
	var busy atomic.Bool
	busy.Store(true)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var body map[string]any
		_ = json.NewDecoder(r.Body).Decode(&body)
		credential, _, _ := strings.Cut(r.Header.Get("Authorization"), ", ")
		_, scope, _ := strings.Cut(credential, "Credential=")
		scope = scope[:strings.Index(scope, "/")] + scope[strings.Index(scope, "/")+9:] // without the day
		if busy.CompareAndSwap(true, false) {
			w.WriteHeader(http.StatusBadRequest)
			_, _ = w.Write([]byte(`{"__type":"ThrottlingException","message":"slow down"}`))
			return
		}
		asked <- scope + " " + r.Header.Get("X-Amz-Target") + " " + r.Header.Get("X-Amz-Security-Token")
		switch {
		case body["SecretId"] == secret && body["VersionStage"] == nil:
			_, _ = w.Write([]byte(`{"SecretString":"{\"user\":\"forum\",\"port\":5432}"}`))
		case body["SecretId"] == secret && body["VersionStage"] == "AWSPREVIOUS":
			_, _ = w.Write([]byte(`{"SecretBinary":"b2xk"}`))
		case body["Name"] == parameter && body["WithDecryption"] == true:
			_, _ = w.Write([]byte(`{"Parameter":{"Value":"http://balancer"}}`))
		case body["Name"] == parameter+"-empty":
			_, _ = w.Write([]byte(`{}`))
		default:
			w.WriteHeader(http.StatusBadRequest)
			_, _ = w.Write([]byte(`{"__type":"ParameterNotFound","message":"gone"}`))
		}
	}))
	defer server.Close()
	environment := map[string]string{
		"AWS_ENDPOINT_URL_SSM": server.URL, "AWS_ENDPOINT_URL": server.URL,
		"AWS_ACCESS_KEY_ID": "KEY", "AWS_SECRET_ACCESS_KEY": "SECRET", "AWS_SESSION_TOKEN": "SESSION", "OTHER": "own",
	}
	read := func(from map[string]string) (func(string) string, error) {
		text, _ := json.Marshal(from)
		environment[FromVariable] = string(text)
		return Secrets(context.Background(), func(name string) string { return environment[name] })
	}
	getenv, err := read(map[string]string{
		"WHOLE": secret, "USER": secret + ":user::", "PORT_TEXT": secret + ":port::", "OLD": secret + "::AWSPREVIOUS:", "USERS_URL": parameter, "POSTS_URL": parameter,
	})
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"WHOLE": `{"user":"forum","port":5432}`, "USER": "forum", "PORT_TEXT": "5432", "OLD": "old", "USERS_URL": "http://balancer", "POSTS_URL": "http://balancer", "OTHER": "own", "NONE": "",
	} {
		if got := getenv(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	// Each place is asked once.
	counts := map[string]int{}
	for range len(asked) {
		counts[<-asked]++
	}
	if len(counts) != 2 || counts["KEY/eu-west-1/secretsmanager/aws4_request secretsmanager.GetSecretValue SESSION"] != 2 || counts["KEY/eu-west-1/ssm/aws4_request AmazonSSM.GetParameter SESSION"] != 1 {
		t.Errorf("asked: %v", counts)
	}
	for _, test := range []struct{ where, want string }{
		{"db", "this is no ARN"},
		{"arn:aws:s3:::bucket", `this is neither a secret nor a parameter, but of "s3"`},
		{parameter + "-gone", "ParameterNotFound: gone"},
		{parameter + "-empty", "the answer has no parameter"},
		{secret + ":none::", `the secret has no key "none"`},
	} {
		_, err := read(map[string]string{"NAME": test.where})
		if begin := "NAME cannot be read from " + test.where + ": "; err == nil || !strings.HasPrefix(err.Error(), begin) || !strings.HasSuffix(err.Error(), test.want) {
			t.Errorf("%v, want %s…%s", err, begin, test.want)
		}
	}
}

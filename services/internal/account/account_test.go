package account

import (
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

type roundTrip func(*http.Request) (*http.Response, error)

func (r roundTrip) RoundTrip(request *http.Request) (*http.Response, error) { return r(request) }

// A task of ECS gets the credentials of its role from the container agent, and new ones before they expire.
func TestTaskCredentials(t *testing.T) {
	before := http.DefaultTransport
	defer func() { http.DefaultTransport = before }()
	synctest.Test(t, func(t *testing.T) {
		asked := 0
		http.DefaultTransport = roundTrip(func(r *http.Request) (*http.Response, error) {
			if r.URL.String() != "http://169.254.170.2/v2/credentials/1" {
				t.Error(r.URL)
			}
			asked++
			body := fmt.Sprintf(`{"AccessKeyId":"key%d","SecretAccessKey":"secret","Token":"token","Expiration":%q}`, asked, time.Now().Add(time.Hour).Format(time.RFC3339))
			return &http.Response{StatusCode: 200, Request: r, Body: io.NopCloser(strings.NewReader(body)), Header: http.Header{}}, nil
		})
		a, err := Of(func(name string) string {
			return map[string]string{"AWS_REGION": "eu-central-1", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "/v2/credentials/1"}[name]
		})
		if err != nil || asked > 0 {
			t.Fatal(err, asked)
		}
		begin := time.Now()
		for _, test := range []struct {
			at  time.Duration
			key string
		}{{0, "key1"}, {54 * time.Minute, "key1"}, {56 * time.Minute, "key2"}} {
			time.Sleep(time.Until(begin.Add(test.at)))
			c, err := a.Retrieve(t.Context())
			if err != nil || c.AccessKeyID != test.key || c.SecretAccessKey != "secret" || c.SessionToken != "token" {
				t.Error(test.at, c.AccessKeyID, err)
			}
		}
	})
}

// An image from scratch trusts the public authorities. The test calls itself without the system's.
func TestEmbeddedRoots(t *testing.T) {
	if os.Getenv("SSL_CERT_FILE") == os.DevNull {
		before, err := x509.SystemCertPool()
		if err != nil || len(before.Subjects()) > 0 { //nolint:staticcheck // the pool is empty
			t.Fatal(err)
		}
		EmbedRoots()
		EmbedRoots()
		after, err := x509.SystemCertPool()
		if err != nil || len(after.Subjects()) < 100 { //nolint:staticcheck // the pool is the embedded one
			t.Fatal(err)
		}
		return
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestEmbeddedRoots$")
	cmd.Env = append(os.Environ(), "SSL_CERT_FILE="+os.DevNull, "SSL_CERT_DIR="+t.TempDir())
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

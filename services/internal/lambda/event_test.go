package lambda

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestEvents answers the events in testdata, which have the fields of those in AWS's documentation
// (https://docs.aws.amazon.com/elasticloadbalancing/latest/application/lambda-functions.html#receive-event-from-load-balancer).
func TestEvents(t *testing.T) {
	type want struct {
		uri, host, body string
		header          http.Header
		single, api     bool
	}
	for file, want := range map[string]want{
		"multi.json": {
			uri: "/api/threads/a%2Fb%20c?z=%41+b&a=1&a=2&empty=", host: "forum.example.com",
			header: http.Header{"Accept": {"*/*"}, "Cookie": {"a=1", "b=2"}, "X-Forwarded-For": {"192.0.2.1, 192.0.2.2"}, "X-Forwarded-Port": {"443"}, "X-Forwarded-Proto": {"https"}, "X-Amzn-Trace-Id": {"Root=1-5bdb40ca-556d8b0c50dc66f0511bf520"}},
		},
		"single.json": {
			uri: "/api/threads?after=x%3Dy&limit=5", host: "forum.example.com", single: true,
			header: http.Header{"Accept": {"*/*"}, "X-Forwarded-For": {"192.0.2.1"}, "X-Forwarded-Port": {"80"}, "X-Forwarded-Proto": {"http"}},
		},
		"binary.json": {
			uri: "/api/posts/1", host: "forum.example.com", body: "\xff\x00\xfe",
			header: http.Header{"Content-Length": {"3"}, "Content-Type": {"application/octet-stream"}},
		},
		"text.json": {
			uri: "/api/posts", host: "forum.example.com", body: `{"text":"ü"}`,
			header: http.Header{"Content-Length": {"13"}, "Content-Type": {"application/json"}},
		},
		// https://docs.aws.amazon.com/apigateway/latest/developerguide/set-up-lambda-proxy-integrations.html#api-gateway-simple-proxy-for-lambda-input-format
		"api.json": {
			uri: "/api/threads/a%2Fb?name=a+b%26c&name=%C3%BC", host: "gy415nuibc.execute-api.us-east-1.amazonaws.com", body: "{\"a\": 1}", api: true,
			header: http.Header{"Accept": {"*/*"}, "Content-Length": {"8"}, "Cookie": {"a=1", "b=2"}, "X-Forwarded-For": {"192.0.2.1"}},
		},
		"head.json":   {uri: "/api/users", host: "forum.example.com", header: http.Header{}},
		"health.json": {uri: "/", single: true, header: http.Header{"User-Agent": {"ELB-HealthChecker/2.0"}}},
	} {
		event, err := os.ReadFile("testdata/" + file)
		if err != nil {
			t.Fatal(err)
		}
		handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			body, err := io.ReadAll(r.Body)
			if err != nil {
				t.Error(err)
			}
			if r.RequestURI != want.uri || r.URL.RequestURI() != want.uri || r.Host != want.host || string(body) != want.body || r.ContentLength != int64(len(want.body)) || r.RemoteAddr != "" {
				t.Errorf("%s: %s %s, %s, body %q of %d bytes, from %q", file, r.RequestURI, r.URL, r.Host, body, r.ContentLength, r.RemoteAddr)
			}
			if diff := cmp.Diff(want.header, r.Header); diff != "" {
				t.Errorf("%s (-want +got):\n%s", file, diff)
			}
			w.Header()["Many"], w.Header()["None"] = []string{"1", "2"}, []string{}
			w.Header().Set("Connection", "close")
			w.WriteHeader(http.StatusCreated)
			_, _ = w.Write([]byte("<&>"))
		})
		got, err := Service{Handler: handler}.Answer(context.Background(), event)
		if err != nil {
			t.Fatal(err)
		}
		headers, body := `"multiValueHeaders":{"Content-Length":["3"],"Many":["1","2"]}`, "<&>"
		if want.single {
			headers = `"headers":{"Content-Length":"3","Many":"1, 2"}`
		}
		if file == "head.json" {
			headers, body = `"multiValueHeaders":{"Many":["1","2"]}`, ""
		}
		description := `"statusDescription":"201 Created",`
		if want.api {
			description = ""
		}
		if want := fmt.Sprintf(`{"statusCode":201,`+description+`%s,"body":"%s","isBase64Encoded":false}`+"\n", headers, body); string(got) != want {
			t.Errorf("%s: got  %s\nwant %s", file, got, want)
		}
	}
}

// TestFits compares Fits with the size of real answers, around the limit of 1 MiB.
func TestFits(t *testing.T) {
	for unit, perUnit := range map[string]float64{"x": 1, `"`: 2, "\u0001": 6, "ü": 2, "\xff": 4. / 3} {
		most := int((maxResult - aroundBody) / perUnit)
		for _, n := range []int{most - 10, most + 10} {
			body := strings.Repeat(unit, n)
			if got := Fits([]byte(body)); got != (n < most) {
				t.Errorf("%d times %q: %v", n, unit, got)
			}
			w := &recorder{header: http.Header{}}
			_, _ = w.Write([]byte(body))
			result := w.result(&asked{Method: http.MethodGet})
			if Fits([]byte(body)) && len(result) > maxResult-aroundBody+500 {
				t.Errorf("%d times %q fits, with %d bytes", n, unit, len(result))
			}
			if !json.Valid(result) {
				t.Errorf("%d times %q: no JSON", n, unit)
			}
		}
	}
}

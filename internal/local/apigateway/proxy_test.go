package apigateway

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// echo answers with the request as it was sent.
var echo = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	w.Header()["Server"], w.Header()["Www-Authenticate"], w.Header()["Via"], w.Header()["X-Own"] = []string{"echo"}, []string{"Basic"}, []string{"1.1 x"}, []string{"1", "2"}
	text, _ := json.Marshal(map[string]any{"method": r.Method, "uri": r.RequestURI, "host": r.Host, "header": r.Header, "body": string(body)})
	_, _ = w.Write(text)
})

type echoed struct {
	Method, URI, Host, Body string
	Header                  http.Header
}

func decode(t *testing.T, text string) (e echoed) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), &e); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	return e
}

// The path and the query come to the target byte for byte.
func TestURI(t *testing.T) {
	d := deploy(t, echo)
	for sent, want := range map[string]string{
		"/live":                              "/",
		"/live/":                             "/",
		"/live/api/users":                    "/api/users",
		"/live/api/users/":                   "/api/users/",
		"/live/api/users/a%2Fb":              "/api/users/a%2Fb",
		"/live/api/users/%41?x=%41+b&a&a=":   "/api/users/%41?x=%41+b&a&a=",
		"/live//api//users//1":               "//api//users//1",
		"/live/api/users/{proxy}":            "/api/users/{proxy}",
		"/live/x%7Cy|z":                      "/x%7Cy|z",
		"/live/api/users?limit=1&limit=2;3":  "/api/users?limit=1&limit=2;3",
		"/live/api/threads/%E2%82%AC?q=a%26": "/api/threads/%E2%82%AC?q=a%26",
		"/live//x|y":                         "//x|y",
	} {
		response, body := d.get(sent)
		if response.StatusCode != http.StatusOK {
			t.Errorf("%s: %d %s", sent, response.StatusCode, body)
			continue
		}
		if got := decode(t, body).URI; got != want {
			t.Errorf("%s comes as %s, want %s", sent, got, want)
		}
	}
}

// Headers go on, are dropped or get another name as AWS documents it.
func TestHeaders(t *testing.T) {
	d := deploy(t, echo)
	r := d.request("POST", "/live/api/threads", "text")
	r.Header = http.Header{
		"Accept": {"a/b"}, "Authorization": {"Bearer x"}, "Content-Encoding": {"x"}, "Content-Md5": {"x"}, "Content-Type": {"text/plain"}, "Cookie": {"a=1", "b=2"},
		"Date": {"x"}, "Max-Forwards": {"1"}, "Proxy-Authenticate": {"x"}, "Server": {"x"}, "Te": {"trailers"}, "Via": {"x"}, "Www-Authenticate": {"x"},
		"X-Forwarded-For": {"192.0.2.1"}, "X-Forwarded-Proto": {"gopher"}, "User-Agent": {"test"}, "X-Own": {"1", "2"}, "Accept-Encoding": {"gzip"},
	}
	response, body := d.do(r)
	e := decode(t, body)
	if e.Method != "POST" || e.Body != "text" || !strings.HasPrefix(e.Host, "localhost") {
		t.Errorf("the target gets %s %q for %s", e.Method, e.Body, e.Host)
	}
	trace := e.Header.Get("X-Amzn-Trace-Id")
	if delete(e.Header, "X-Amzn-Trace-Id"); !strings.Contains(trace, "Root=1-") {
		t.Errorf("the trace is %q", trace)
	}
	// The load balancer has its own X-Forwarded-Proto and X-Forwarded-Port.
	if diff := cmp.Diff(http.Header{
		"Accept": {"a/b"}, "Accept-Encoding": {"gzip"}, "Authorization": {"Bearer x"}, "Content-Length": {"4"}, "Content-Type": {"text/plain"}, "Cookie": {"a=1", "b=2"}, "Date": {"x"},
		"User-Agent": {"test"}, "X-Own": {"1", "2"}, "X-Amzn-Apigateway-Api-Id": {id("dev-Front/Api49610EDF")},
		"X-Forwarded-For": {"192.0.2.1, 127.0.0.1, 127.0.0.1"}, "X-Forwarded-Port": {"80"}, "X-Forwarded-Proto": {"http"},
	}, e.Header); diff != "" {
		t.Errorf("the target's headers (-want +got):\n%s", diff)
	}
	for name, want := range map[string]string{
		"X-Amzn-Remapped-Server": "echo", "X-Amzn-Remapped-Www-Authenticate": "Basic", "Via": "", "Server": "", "X-Own": "1, 2", "Content-Type": "text/plain; charset=utf-8",
	} {
		if got := strings.Join(response.Header.Values(name), ", "); got != want {
			t.Errorf("the answer has %s %q, want %q", name, got, want)
		}
	}
	if len(response.Header.Get(requestIDHeader)) != 36 || len(response.Header.Get(extendedIDHeader)) != 16 || response.Header.Get("X-Amzn-Remapped-Date") == "" {
		t.Errorf("the answer has the headers %v", response.Header)
	}
}

// An answer without a Content-Type has one, and one without a body stays without it.
func TestAnswers(t *testing.T) {
	d := deploy(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header()["Content-Type"] = nil
		switch r.URL.Path {
		case "/204":
			w.WriteHeader(http.StatusNoContent)
		case "/304":
			w.WriteHeader(http.StatusNotModified)
		case "/301":
			w.Header().Set("Location", "/x")
			w.WriteHeader(http.StatusMovedPermanently)
		case "/large":
			w.Write(make([]byte, maxPayload+1))
		case "/most":
			w.Header().Set("Content-Length", fmt.Sprint(maxPayload))
			w.Write(make([]byte, maxPayload))
		case "/override":
			fmt.Fprint(w, r.Method, r.Header["X-Http-Method-Override"])
		}
	}))
	for path, want := range map[string]string{
		"/204": "204 -1", "/304": "304 -1", "/301": "301 0", "/large": "500 35", "/most": fmt.Sprint("200 ", maxPayload), "/": "200 0",
	} {
		response, body := d.get("/live" + path)
		if response.ContentLength == 0 && (response.StatusCode == 204 || response.StatusCode == 304) {
			response.ContentLength = -1 // which has none
		}
		if got := fmt.Sprint(response.StatusCode, response.ContentLength); strings.ReplaceAll(got, " ", "") != strings.ReplaceAll(want, " ", "") {
			t.Errorf("%s: %d with %d bytes (%.50s), want %s", path, response.StatusCode, response.ContentLength, body, want)
		}
		if got := response.Header.Get("Content-Type"); got != "application/json" && path != "/304" { // where net/http sends none
			t.Errorf("%s: the Content-Type is %q", path, got)
		}
	}
	r := d.request("GET", "/live/override", "")
	r.Header.Set("X-HTTP-Method-Override", "patch")
	if _, body := d.do(r); body != "PATCH[]" {
		t.Errorf("the method is overridden as %s", body)
	}
	head, _ := d.do(d.request("HEAD", "/live/most", ""))
	if head.ContentLength != maxPayload {
		t.Errorf("HEAD has the length %d", head.ContentLength)
	}
}

// What no stage or no resource takes is answered as AWS does.
func TestRefused(t *testing.T) {
	d := deploy(t, echo, func(a templates) {
		for _, id := range []string{"Apiproxy", "ApiproxyANY"} {
			delete(a["dev-Front"], id)
		}
		depends := a["dev-Front"]["ApiDeployment0123456789"]
		depends["DependsOn"] = slices.DeleteFunc(depends["DependsOn"].([]any), func(id any) bool { return id == "ApiproxyANY" })
	})
	large := d.request("POST", "/live/api/threads", strings.Repeat("x", maxPayload+1))
	header := d.request("GET", "/live/api", "")
	header.Header.Set("X-Long", strings.Repeat("x", maxHeader))
	for _, c := range []struct {
		r            *http.Request
		status       int
		kind, answer string
	}{
		{d.request("GET", "/", ""), 403, "ForbiddenException", `{"message":"Forbidden"}`},
		{d.request("GET", "/other/api", ""), 403, "ForbiddenException", `{"message":"Forbidden"}`},
		{d.request("GET", "/lives", ""), 403, "ForbiddenException", `{"message":"Forbidden"}`},
		{d.request("GET", "/live/favicon.ico", ""), 403, "MissingAuthenticationTokenException", `{"message":"Missing Authentication Token"}`},
		{large, 413, "RequestTooLargeException", `{"message":"HTTP content length exceeded 10485760 bytes."}`},
		{header, 431, "RequestTooLargeException", `{"message":"HTTP header is larger than 10240 bytes."}`},
	} {
		response, body := d.do(c.r)
		if response.StatusCode != c.status || body != c.answer || response.Header.Get("x-amzn-ErrorType") != c.kind || response.Header.Get("Content-Type") != "application/json" {
			t.Errorf("%s %s: %d %s %v, want %d %s %s", c.r.Method, c.r.URL, response.StatusCode, body, response.Header, c.status, c.kind, c.answer)
		}
	}
	if counts := d.stageStatus().Counts; counts.Errors4XX != 3 || counts.Errors5XX != 0 {
		t.Errorf("the counts are %+v: want those of the stage", counts)
	}
}

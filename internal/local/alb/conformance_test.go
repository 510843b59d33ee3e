package alb

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"cutover/internal/rules"
)

// The pages of the documentation that the table cites.
const (
	docs            = "https://docs.aws.amazon.com/elasticloadbalancing/latest/application/"
	troubleshooting = docs + "load-balancer-troubleshooting.html"
	forwarded       = docs + "x-forwarded-headers.html"
	tracing         = docs + "load-balancer-request-tracing.html"
	actions         = docs + "rule-action-types.html"
	attributesPage  = docs + "edit-load-balancer-attributes.html"
	overview        = docs + "application-load-balancers.html"
	groupAttributes = docs + "edit-target-group-attributes.html"
	targetGroups    = docs + "load-balancer-target-groups.html"
	lambdaFunctions = docs + "lambda-functions.html"
	healthChecks    = docs + "target-group-health-checks.html"
	listeners       = docs + "load-balancer-listeners.html"
	limits          = docs + "load-balancer-limits.html"
	modification    = docs + "header-modification.html"
	accessLogs      = docs + "load-balancer-access-logs.html"
	howItWorks      = "https://docs.aws.amazon.com/elasticloadbalancing/latest/userguide/how-elastic-load-balancing-works.html"
)

// echo answers with the request as the target saw it.
func echo(w http.ResponseWriter, r *http.Request) {
	fmt.Fprintf(w, "%s %s\n", r.Method, r.RequestURI)
	fmt.Fprintf(w, "Host: %s\n", r.Host)
	_ = r.Header.Write(w)
	body, _ := io.ReadAll(r.Body)
	_, _ = w.Write(body)
}

// short has idle timeouts end soon.
func short(table *rules.Table, idle time.Duration) *rules.Table {
	for _, listener := range table.Listeners {
		listener.LoadBalancer.IdleTimeout = idle
	}
	return table
}

// requireOwn checks an answer of the load balancer itself.
func requireOwn(t *testing.T, response *http.Response, body string, status int, title string) {
	t.Helper()
	want := "<html>\r\n<head><title>" + title + "</title></head>\r\n<body>\r\n<center><h1>" + title + "</h1></center>\r\n</body>\r\n</html>\r\n"
	if response.StatusCode != status || response.Header.Get("Server") != "awselb/2.0" || response.Header.Get("Content-Type") != "text/html" || body != want {
		t.Errorf("answer is %d %v %q, want %d with %q", response.StatusCode, response.Header, body, status, title)
	}
}

func require(t *testing.T, what, text string, patterns ...string) {
	t.Helper()
	for _, pattern := range patterns {
		if !regexp.MustCompile(pattern).MatchString(text) {
			t.Errorf("%s does not match %s:\n%s", what, pattern, text)
		}
	}
}

// behaviour is a behaviour of the data plane, in words of ours, and where AWS documents it.
type behaviour struct {
	name, source string
	template     template
	idle         time.Duration // 0 leaves the template's
	// run tests a behaviour that is honoured, or what the load balancer does where AWS's behaviour is not
	// known.
	run func(t *testing.T, b *bench)
	// refused is in the error about a template that asks for the behaviour.
	refused string
	// unknown is what the load balancer does where the documentation says nothing. differs is what it does
	// instead of what is documented.
	unknown, differs string
}

// Behaviour that AWS documents, each with its place, over real sockets.
var conformance = []behaviour{
	// Actions.
	{name: "a rule before the default one", source: listeners + "#listener-rules", template: template{rules: []object{onPath("/b*", forwardTo("B"))}},
		run: func(t *testing.T, b *bench) {
			b.target("A", "one", echo)
			b.target("B", "two", echo)
			for path, want := range map[string]string{"/": "one", "/b/x": "two", "/a": "one"} {
				if response, _ := b.get(client(t), path); response.Header.Get("X-Target") != want {
					t.Errorf("%s goes to %q, want %q", path, response.Header.Get("X-Target"), want)
				}
			}
		}},
	{name: "requests are divided by weight", source: actions + "#forward-actions", template: template{action: weigh(0, "A", 10, "B", 30)},
		run: func(t *testing.T, b *bench) {
			b.target("A", "one", hello)
			b.target("B", "two", hello)
			c, got := client(t), 0
			for range 1000 {
				if response, _ := b.get(c, "/"); response.Header.Get("X-Target") == "two" {
					got++
				}
			}
			// Six standard deviations.
			if got < 750-83 || got > 750+83 {
				t.Errorf("%d of 1000 requests go to the group with 30 of 40, want about 750", got)
			}
		}},
	{name: "a group with weight 0 gets nothing", source: actions + "#forward-actions", template: template{action: weigh(0, "A", 1, "B", 0)},
		run: func(t *testing.T, b *bench) {
			b.target("B", "two", hello)
			response, body := b.get(client(t), "/")
			requireOwn(t, response, body, 503, "503 Service Temporarily Unavailable")
		}},
	{name: "a client stays with its target group", source: actions + "#forward-actions", template: template{action: weigh(100, "A", 1, "B", 1)},
		run: func(t *testing.T, b *bench) {
			b.target("A", "one", hello)
			b.target("B", "two", hello)
			c := client(t)
			for range 4 {
				first, _ := b.get(c, "/")
				cookies := first.Cookies()
				if len(cookies) != 2 || cookies[0].Name != "AWSALBTG" || cookies[1].Name != "AWSALBTGCORS" || cookies[0].Expires.IsZero() || cookies[0].MaxAge != 0 ||
					cookies[0].Value != cookies[1].Value || cookies[1].SameSite != http.SameSiteNoneMode {
					t.Fatalf("cookies are %v", first.Header["Set-Cookie"])
				}
				for i := range 20 {
					next, _ := b.get(c, "/", "Cookie", cookies[i%2].Name+"="+cookies[i%2].Value)
					if got, want := next.Header.Get("X-Target"), first.Header.Get("X-Target"); got != want {
						t.Fatalf("the client changes from %s to %s", want, got)
					}
				}
			}
			// A cookie that cannot be read is none.
			if response, _ := b.get(c, "/", "Cookie", "AWSALBTG=x"); response.StatusCode != 200 || len(response.Cookies()) != 2 {
				t.Errorf("an invalid cookie is answered %v", response)
			}
		}},
	{name: "a client stays with its target", source: groupAttributes + "#sticky-sessions",
		template: template{attributes: map[string][]object{"A": {attribute("stickiness.enabled", "true"), attribute("stickiness.type", "lb_cookie"), attribute("stickiness.lb_cookie.duration_seconds", "60")}}},
		run: func(t *testing.T, b *bench) {
			b.target("A", "one", hello)
			b.target("A", "two", hello)
			c := client(t)
			first, _ := b.get(c, "/")
			cookies := first.Cookies()
			if len(cookies) != 2 || cookies[0].Name != "AWSALB" || cookies[1].Name != "AWSALBCORS" {
				t.Fatalf("cookies are %v", first.Header["Set-Cookie"])
			}
			for range 5 {
				next, _ := b.get(c, "/", "Cookie", "AWSALB="+cookies[0].Value)
				if next.Header.Get("X-Target") != first.Header.Get("X-Target") {
					t.Fatal("the client changes its target")
				}
			}
			// One whose target is gone gets another and a new cookie.
			<-b.balancer.Deregister("S/A", first.Header.Get("X-Target"))
			next, _ := b.get(c, "/", "Cookie", "AWSALB="+cookies[0].Value)
			if next.StatusCode != 200 || next.Header.Get("X-Target") == first.Header.Get("X-Target") || len(next.Cookies()) != 2 {
				t.Errorf("without its target the client gets %v", next)
			}
		}},
	{name: "redirect", source: actions + "#redirect-actions", template: template{
		action: object{"Type": "redirect", "RedirectConfig": object{"StatusCode": "HTTP_301", "Protocol": "HTTPS", "Port": "40443", "Host": "#{host}", "Path": "/new/#{path}", "Query": "#{query}"}}},
		run: func(t *testing.T, b *bench) {
			response, body := b.get(client(t), "/a/b?c=d")
			requireOwn(t, response, body, 301, "301 Moved Permanently")
			if got := response.Header.Get("Location"); got != "https://127.0.0.1:40443/new/a/b?c=d" {
				t.Errorf("Location is %s", got)
			}
			if x := b.last(1); x.Redirect != response.Header.Get("Location") || x.Status != 301 || x.Err != nil {
				t.Errorf("exchange is %+v", x)
			}
		}},
	{name: "fixed response", source: actions + "#fixed-response-actions", template: template{action: fixed("418", "text/plain", "no coffee")},
		run: func(t *testing.T, b *bench) {
			response, body := b.get(client(t), "/")
			if response.StatusCode != 418 || body != "no coffee" || response.Header.Get("Content-Type") != "text/plain" || response.Header.Get("Server") != "awselb/2.0" {
				t.Errorf("answer is %v %q", response, body)
			}
		}},
	{name: "response headers are added to all answers", source: modification + "#insert-header", template: template{
		listener: object{"ListenerAttributes": []any{
			attribute("routing.http.response.strict_transport_security.header_value", "max-age=60"),
			attribute("routing.http.response.access_control_allow_origin.header_value", "*"),
			attribute("routing.http.response.access_control_allow_methods.header_value", "GET"),
			attribute("routing.http.response.access_control_allow_headers.header_value", "X-A"),
			attribute("routing.http.response.access_control_allow_credentials.header_value", "true"),
			attribute("routing.http.response.access_control_expose_headers.header_value", "X-B"),
			attribute("routing.http.response.access_control_max_age.header_value", "1"),
			attribute("routing.http.response.content_security_policy.header_value", "default-src 'none'"),
			attribute("routing.http.response.x_content_type_options.header_value", "nosniff"),
			attribute("routing.http.response.x_frame_options.header_value", ""), // as if not set
		}},
		rules: []object{onPath("/fixed", fixed("418", "text/plain", "no coffee"))},
	}, run: func(t *testing.T, b *bench) {
		b.target("A", "one", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Strict-Transport-Security", "max-age=1")
			w.Header().Set("X-Frame-Options", "DENY")
			if r.Header.Get("Upgrade") == "" {
				return
			}
			w.Header().Set("Connection", "upgrade")
			w.Header().Set("Upgrade", "websocket")
			w.WriteHeader(http.StatusSwitchingProtocols)
		})
		for request, frame := range map[string]string{
			"GET / HTTP/1.1\r\nHost: x\r\n\r\n":                                              "DENY", // the target's
			"GET /fixed HTTP/1.1\r\nHost: x\r\n\r\n":                                         "",
			"GET / HTTP/1.1\r\n\r\n":                                                         "", // 400, without a host
			"GET / HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n": "DENY",
		} {
			response, _ := b.talk(request)
			for header, want := range map[string]string{
				"Strict-Transport-Security": "max-age=60", "Access-Control-Allow-Origin": "*", "Access-Control-Allow-Methods": "GET", "Access-Control-Allow-Headers": "X-A",
				"Access-Control-Allow-Credentials": "true", "Access-Control-Expose-Headers": "X-B", "Access-Control-Max-Age": "1",
				"Content-Security-Policy": "default-src 'none'", "X-Content-Type-Options": "nosniff", "X-Frame-Options": frame,
			} {
				if got := response.Header.Values(header); strings.Join(got, "|") != want {
					t.Errorf("%q is answered %d with %s: %q, want %q", request, response.StatusCode, header, got, want)
				}
			}
		}
	}},
	{name: "fixed response without a body", source: actions + "#fixed-response-actions", template: template{action: fixed("204", "", "")},
		run: func(t *testing.T, b *bench) {
			response, body := b.get(client(t), "/")
			if response.StatusCode != 204 || body != "" || response.Header.Get("Content-Type") != "" {
				t.Errorf("answer is %v %q", response, body)
			}
		}},

	// Headers for the target.
	{name: "X-Forwarded headers", source: forwarded, run: func(t *testing.T, b *bench) {
		b.target("A", "one", echo)
		_, body := b.get(client(t), "/p?q=%20", "X-Forwarded-Proto", "https", "X-Forwarded-Port", "443", "X-Other", "kept")
		require(t, "request", body, `(?m)^GET /p\?q=%20$`, `(?m)^X-Forwarded-For: 127\.0\.0\.1\r$`, `(?m)^X-Forwarded-Proto: http\r$`, `(?m)^X-Forwarded-Port: 80\r$`, `(?m)^X-Other: kept\r$`)
	}},
	{name: "X-Forwarded-For is appended to", source: forwarded + "#x-forwarded-for", run: func(t *testing.T, b *bench) {
		b.target("A", "one", echo)
		_, body := b.get(client(t), "/", "X-Forwarded-For", "203.0.113.7", "X-Forwarded-For", "8.3.1.1")
		require(t, "request", body, `(?m)^X-Forwarded-For: 203\.0\.113\.7, 8\.3\.1\.1, 127\.0\.0\.1\r$`)
	}},
	{name: "X-Forwarded-For is preserved", source: forwarded + "#x-forwarded-for-preserve", template: template{loadBalancer: []object{attribute("routing.http.xff_header_processing.mode", "preserve")}},
		run: func(t *testing.T, b *bench) {
			b.target("A", "one", echo)
			_, body := b.get(client(t), "/", "X-Forwarded-For", "203.0.113.7")
			require(t, "request", body, `(?m)^X-Forwarded-For: 203\.0\.113\.7\r$`)
		}},
	{name: "X-Forwarded-For is removed", source: forwarded + "#x-forwarded-for-remove", template: template{loadBalancer: []object{attribute("routing.http.xff_header_processing.mode", "remove")}},
		run: func(t *testing.T, b *bench) {
			b.target("A", "one", echo)
			if _, body := b.get(client(t), "/", "X-Forwarded-For", "203.0.113.7"); strings.Contains(body, "X-Forwarded-For") {
				t.Error(body)
			}
		}},
	{name: "X-Forwarded-For with the client's port", source: forwarded + "#x-forwarded-for", template: template{loadBalancer: []object{attribute("routing.http.xff_client_port.enabled", "true")}},
		run: func(t *testing.T, b *bench) {
			b.target("A", "one", echo)
			_, body := b.get(client(t), "/")
			require(t, "request", body, `(?m)^X-Forwarded-For: 127\.0\.0\.1:`+fmt.Sprint(b.last(1).Client.Port())+`\r$`)
		}},
	{name: "trace header", source: tracing, run: func(t *testing.T, b *bench) {
		b.target("A", "one", echo)
		id := `1-[0-9a-f]{8}-[0-9a-f]{24}`
		for sent, want := range map[string]string{
			"": `Root=` + id,
			"Root=1-67891233-abcdef012345678912345678":                   `Self=` + id + `;Root=1-67891233-abcdef012345678912345678`,
			"Root=1-67891233-abcdef012345678912345678;CalledFrom=app":    `Self=` + id + `;Root=1-67891233-abcdef012345678912345678;CalledFrom=app`,
			"Self=1-00000000-0;Root=1-67891233-abcdef012345678912345678": `Self=` + id + `;Root=1-67891233-abcdef012345678912345678`,
			"CalledFrom=app": `Root=` + id + `;CalledFrom=app`,
		} {
			header := []string{}
			if sent != "" {
				header = []string{"X-Amzn-Trace-Id", sent}
			}
			_, body := b.get(client(t), "/", header...)
			require(t, "request", body, `(?m)^X-Amzn-Trace-Id: `+want+`\r$`)
		}
	}},
	{name: "trace header of a large request", source: tracing + "#request-tracing-limits", run: func(t *testing.T, b *bench) {
		b.target("A", "one", echo)
		_, body := b.get(client(t), "/", "X-Amzn-Trace-Id", "Root=1-67891233-abcdef012345678912345678", "X-Large", strings.Repeat("x", 7<<10))
		require(t, "request", body, `(?m)^X-Amzn-Trace-Id: Root=1-[^;]*\r$`)
	}},
	{name: "Host loses its port on a standard port", source: attributesPage + "#host-header-preservation", run: func(t *testing.T, b *bench) {
		b.target("A", "one", echo)
		_, body := b.get(client(t), "/")
		require(t, "request", body, `(?m)^Host: 127\.0\.0\.1$`)
	}},
	{name: "Host gets the port of another listener", source: attributesPage + "#host-header-preservation", template: template{port: 8080}, run: func(t *testing.T, b *bench) {
		b.target("A", "one", echo)
		_, body := b.talk("GET / HTTP/1.1\r\nHost: www.example.com\r\nConnection: close\r\n\r\n")
		require(t, "request", body, `(?m)^Host: www\.example\.com:8080$`, `(?m)^X-Forwarded-Port: 8080\r$`)
	}},
	{name: "Host is preserved", source: attributesPage + "#host-header-preservation", template: template{loadBalancer: []object{attribute("routing.http.preserve_host_header.enabled", "true")}},
		run: func(t *testing.T, b *bench) {
			b.target("A", "one", echo)
			_, body := b.get(client(t), "/")
			require(t, "request", body, `(?m)^Host: `+regexp.QuoteMeta(b.address)+`$`)
		}},
	{name: "invalid header names are passed on", source: overview + "#load-balancer-attributes", run: func(t *testing.T, b *bench) {
		b.target("A", "one", echo)
		_, body := b.get(client(t), "/", "X_under", "score")
		require(t, "request", body, `X_under: score`)
	}},
	{name: "invalid header names are dropped", source: overview + "#load-balancer-attributes", template: template{loadBalancer: []object{attribute("routing.http.drop_invalid_header_fields.enabled", "true")}},
		run: func(t *testing.T, b *bench) {
			b.target("A", "one", echo)
			if _, body := b.get(client(t), "/", "X_under", "score", "X-Under", "kept"); strings.Contains(body, "score") || !strings.Contains(body, "kept") {
				t.Error(body)
			}
		}},
	{name: "headers about a connection stay with it", source: howItWorks + "#http-connections", run: func(t *testing.T, b *bench) {
		b.target("A", "one", echo)
		_, body := b.get(client(t), "/", "Connection", "keep-alive, X-Mine", "X-Mine", "gone", "Keep-Alive", "timeout=5", "Te", "trailers")
		for _, name := range []string{"X-Mine", "Keep-Alive", "Connection", "Te:"} {
			if strings.Contains(body, name) {
				t.Errorf("the target sees %s:\n%s", name, body)
			}
		}
	}},
	{name: "Expect is answered by the load balancer", source: howItWorks + "#http-connections", run: func(t *testing.T, b *bench) {
		b.target("A", "one", echo)
		conn, err := net.Dial("tcp", b.address)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		_, _ = io.WriteString(conn, "POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n")
		reader := bufio.NewReader(conn)
		if line, err := reader.ReadString('\n'); err != nil || line != "HTTP/1.1 100 Continue\r\n" {
			t.Fatalf("first line is %q, %v", line, err)
		}
		_, _ = reader.ReadString('\n')
		_, _ = io.WriteString(conn, "body")
		response, err := http.ReadResponse(reader, nil)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(response.Body)
		require(t, "request", string(body), `(?s)body$`, `Content-Length: 4`)
		if strings.Contains(string(body), "Expect") {
			t.Errorf("the target sees Expect:\n%s", body)
		}
	}},

	// Answers of the load balancer.
	{name: "503 without a registered target", source: troubleshooting + "#http-503-issues", run: func(t *testing.T, b *bench) {
		response, body := b.get(client(t), "/")
		requireOwn(t, response, body, 503, "503 Service Temporarily Unavailable")
		if x := b.last(1); x.Group != "S/A" || x.Target != "" || x.Status != 503 || x.TargetStatus != 0 || !errors.Is(x.Err, errNoTarget) {
			t.Errorf("exchange is %+v", x)
		}
	}},
	{name: "502 when the target refuses the connection", source: troubleshooting + "#http-502-issues", run: func(t *testing.T, b *bench) {
		b.target("A", "one", hello).Close()
		response, body := b.get(client(t), "/")
		requireOwn(t, response, body, 502, "502 Bad Gateway")
	}},
	{name: "502 when the target closes without an answer", source: troubleshooting + "#http-502-issues", run: func(t *testing.T, b *bench) {
		b.raw("A", "one", func(net.Conn, *http.Request, *bufio.Reader) {})
		response, body := b.get(client(t), "/")
		requireOwn(t, response, body, 502, "502 Bad Gateway")
	}},
	{name: "502 when the answer is malformed", source: troubleshooting + "#http-502-issues", run: func(t *testing.T, b *bench) {
		b.raw("A", "one", func(conn net.Conn, _ *http.Request, _ *bufio.Reader) {
			_, _ = io.WriteString(conn, "220 ESMTP\r\n\r\n")
		})
		response, body := b.get(client(t), "/")
		requireOwn(t, response, body, 502, "502 Bad Gateway")
	}},
	{name: "502 when the answer's headers are larger than 32K", source: limits + "#http-headers-quotas", run: func(t *testing.T, b *bench) {
		b.raw("A", "one", func(conn net.Conn, _ *http.Request, _ *bufio.Reader) {
			_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nX: "+strings.Repeat("x", 40<<10)+"\r\n\r\n")
		})
		response, body := b.get(client(t), "/")
		requireOwn(t, response, body, 502, "502 Bad Gateway")
	}},
	// The target reads a second request on a connection and closes it without an
	// answer, as one does whose keep-alive is shorter than the load balancer's.
	{name: "502 when the target gives up a connection with a request on it", source: troubleshooting + "#http-502-issues", run: func(t *testing.T, b *bench) {
		var seen atomic.Int32
		b.raw("A", "one", func(conn net.Conn, _ *http.Request, reader *bufio.Reader) {
			seen.Add(1)
			_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
			if _, err := http.ReadRequest(reader); err == nil {
				seen.Add(1)
			}
		})
		c := client(t)
		if response, _ := b.get(c, "/"); response.StatusCode != 200 {
			t.Fatal(response.Status)
		}
		response, body := b.get(c, "/")
		requireOwn(t, response, body, 502, "502 Bad Gateway")
		if seen.Load() != 2 {
			t.Errorf("the target saw %d requests, want 2: none is sent again", seen.Load())
		}
	}},
	{name: "504 when the target does not answer within the idle timeout", source: troubleshooting + "#http-504-issues", idle: 50 * time.Millisecond, run: func(t *testing.T, b *bench) {
		release := make(chan struct{})
		defer close(release)
		b.raw("A", "one", func(net.Conn, *http.Request, *bufio.Reader) { <-release })
		response, body := b.get(client(t), "/")
		requireOwn(t, response, body, 504, "504 Gateway Time-out")
	}},
	{name: "400 for a malformed request", source: troubleshooting + "#http-400-issues", run: func(t *testing.T, b *bench) {
		response, body := b.talk("GET\r\nHost: x\r\n\r\n")
		requireOwn(t, response, body, 400, "400 Bad Request")
		if x := b.last(1); x.Status != 400 || x.Rule != nil || x.Method != "" {
			t.Errorf("exchange is %+v", x)
		}
	}},
	{name: "400 without Host", source: troubleshooting + "#http-400-issues", run: func(t *testing.T, b *bench) {
		response, body := b.talk("GET / HTTP/1.1\r\n\r\n")
		requireOwn(t, response, body, 400, "400 Bad Request")
	}},
	{name: "400 for a header above 16K", source: troubleshooting + "#http-400-issues", run: func(t *testing.T, b *bench) {
		b.target("A", "one", hello)
		response, body := b.get(client(t), "/", "X-Large", strings.Repeat("x", 16<<10))
		requireOwn(t, response, body, 400, "400 Bad Request")
		if response, _ := b.get(client(t), "/", "X-Large", strings.Repeat("x", 16<<10-20)); response.StatusCode != 200 {
			t.Errorf("a header below 16K is answered %s", response.Status)
		}
	}},
	{name: "400 for headers above 64K", source: troubleshooting + "#http-400-issues", run: func(t *testing.T, b *bench) {
		var header []string
		for i := range 5 {
			header = append(header, fmt.Sprintf("X-%d", i), strings.Repeat("x", 15<<10))
		}
		response, body := b.get(client(t), "/", header...)
		requireOwn(t, response, body, 400, "400 Bad Request")
		for i := range 50 {
			header = append(header, fmt.Sprintf("Y-%d", i), strings.Repeat("x", 10<<10))
		}
		var text strings.Builder
		for i := 0; i < len(header); i += 2 {
			text.WriteString(header[i] + ": " + header[i+1] + "\r\n")
		}
		// Only a part of it is read, and the rest cannot be sent to the end.
		conn, err := net.Dial("tcp", b.address)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		go func() { _, _ = io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\n"+text.String()+"\r\n") }()
		response, err = http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil || response.StatusCode != 400 {
			t.Errorf("headers of 600K are answered %v, %v", response, err)
		}
	}},
	{name: "405 for TRACE", source: troubleshooting + "#http-405-issues", run: func(t *testing.T, b *bench) {
		b.target("A", "one", hello)
		response, body := b.talk("TRACE / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
		requireOwn(t, response, body, 405, "405 Not Allowed")
	}},
	{name: "408 when the client stops in the middle of its headers", source: troubleshooting + "#http-408-issues", idle: 50 * time.Millisecond, run: func(t *testing.T, b *bench) {
		response, body := b.talk("GET / HTTP/1.1\r\nHost: x\r\n")
		requireOwn(t, response, body, 408, "408 Request Timeout")
	}},
	{name: "408 when the client stops in the middle of its body", source: troubleshooting + "#http-408-issues", idle: 100 * time.Millisecond, run: func(t *testing.T, b *bench) {
		b.target("A", "one", echo)
		response, body := b.talk("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nhalf")
		requireOwn(t, response, body, 408, "408 Request Timeout")
	}},
	{name: "414 for an URL above 16K", source: troubleshooting + "#http-414-issues", run: func(t *testing.T, b *bench) {
		response, body := b.get(client(t), "/"+strings.Repeat("x", 16<<10))
		requireOwn(t, response, body, 414, "414 Request-URI Too Large")
	}},
	{name: "460 when the client does not wait", source: troubleshooting + "#http-460-issues", run: func(t *testing.T, b *bench) {
		arrived := make(chan struct{})
		b.target("A", "one", func(_ http.ResponseWriter, r *http.Request) {
			close(arrived)
			<-r.Context().Done() // the target learns of it as well
		})
		ctx, cancel := context.WithCancel(context.Background())
		go func() { <-arrived; cancel() }()
		r, _ := http.NewRequestWithContext(ctx, "GET", "http://"+b.address, nil)
		if _, err := client(t).Do(r); !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
		if x := b.last(1); x.Status != 460 || x.Err == nil {
			t.Errorf("exchange is %+v", x)
		}
	}},
	{name: "463 for more than 30 forwarded addresses", source: troubleshooting + "#http-463-issues", run: func(t *testing.T, b *bench) {
		b.target("A", "one", hello)
		list := strings.Repeat("192.0.2.1, ", 29) + "192.0.2.1"
		if response, _ := b.get(client(t), "/", "X-Forwarded-For", list); response.StatusCode != 200 {
			t.Errorf("30 addresses are answered %s", response.Status)
		}
		response, body := b.get(client(t), "/", "X-Forwarded-For", list+", 192.0.2.1")
		requireOwn(t, response, body, 463, "463")
	}},
	{name: "501 for another transfer coding", source: troubleshooting + "#http-501-issues", run: func(t *testing.T, b *bench) {
		response, body := b.talk("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n")
		requireOwn(t, response, body, 501, "501 Not Implemented")
	}},

	// Connections.
	{name: "connections to a target are used again", source: attributesPage + "#connection-idle-timeout", run: func(t *testing.T, b *bench) {
		connections := map[string]bool{}
		b.target("A", "one", func(w http.ResponseWriter, r *http.Request) {
			connections[r.RemoteAddr] = true
			body, _ := io.ReadAll(r.Body)
			_, _ = w.Write(body)
		})
		for i := range 10 {
			// Each from another client.
			r, _ := http.NewRequest("POST", "http://"+b.address, strings.NewReader(strings.Repeat("x", i*10_000)))
			if _, body := b.do(client(t), r); len(body) != i*10_000 {
				t.Errorf("answer has %d bytes, want %d", len(body), i*10_000)
			}
		}
		if len(connections) != 1 {
			t.Errorf("10 requests took %d connections, want 1", len(connections))
		}
	}},
	{name: "a connection that the target wants to close is not used again", source: howItWorks + "#http-connections", run: func(t *testing.T, b *bench) {
		// It says so and does not do it.
		b.raw("A", "one", func(conn net.Conn, _ *http.Request, reader *bufio.Reader) {
			_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
			if _, err := http.ReadRequest(reader); err == nil {
				t.Error("another request comes on it")
			}
		})
		c := client(t)
		for range 5 {
			response, _ := b.get(c, "/")
			if response.StatusCode != 200 || response.Close {
				t.Errorf("answer is %v, the client's connection closes: %t", response.Status, response.Close)
			}
		}
	}},
	{name: "a client's idle connection is closed", source: attributesPage + "#connection-idle-timeout", idle: 50 * time.Millisecond, run: func(t *testing.T, b *bench) {
		b.target("A", "one", hello)
		conn, err := net.Dial("tcp", b.address)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		_, _ = io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		reader := bufio.NewReader(conn)
		response, err := http.ReadResponse(reader, nil)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, response.Body)
		if _, err := reader.ReadByte(); err != io.EOF {
			t.Errorf("after the idle timeout there is %v, want the end", err)
		}
	}},
	{name: "a client's connection is closed if the client does not read its answers", source: attributesPage + "#connection-idle-timeout", idle: 100 * time.Millisecond,
		template: template{action: fixed("200", "text/plain", strings.Repeat("x", 1024))}, run: func(t *testing.T, b *bench) {
			conn, err := net.Dial("tcp", b.address)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			_ = conn.SetWriteDeadline(time.Now().Add(20 * time.Second))
			requests := strings.Repeat("GET / HTTP/1.1\r\nHost: x\r\n\r\n", 1000)
			for err == nil {
				_, err = io.WriteString(conn, requests)
			}
			if errors.Is(err, os.ErrDeadlineExceeded) {
				t.Error("the connection is still open")
			}
		}},
	{name: "a client's connection is used for a limited time", source: attributesPage + "#http-client-keep-alive-duration", run: func(t *testing.T, b *bench) {
		config := template{}.config(t)
		config.Listeners[0].LoadBalancer.ClientKeepAlive = 0
		if err := b.balancer.Configure(config); err != nil {
			t.Fatal(err)
		}
		b.target("A", "one", hello)
		if response, _ := b.get(client(t), "/"); !response.Close {
			t.Error("the connection is kept")
		}
	}},
	{name: "HTTP/1.0", source: howItWorks + "#http-connections", run: func(t *testing.T, b *bench) {
		b.target("A", "one", echo)
		response, body := b.talk("GET / HTTP/1.0\r\n\r\n")
		if response.StatusCode != 200 || !response.Close || !strings.HasPrefix(body, "GET /\n") {
			t.Errorf("answer is %v %q", response, body)
		}
	}},
	{name: "answers without a body", source: listeners, run: func(t *testing.T, b *bench) {
		b.target("A", "one", func(w http.ResponseWriter, r *http.Request) {
			if r.Method == "HEAD" {
				w.Header().Set("Content-Length", "1234")
				return
			}
			w.WriteHeader(204)
		})
		c := client(t)
		r, _ := http.NewRequest("HEAD", "http://"+b.address, nil)
		if response, body := b.do(c, r); response.ContentLength != 1234 || body != "" {
			t.Errorf("HEAD is answered %v", response)
		}
		if response, _ := b.get(c, "/"); response.StatusCode != 204 || response.Header.Get("Content-Type") != "" {
			t.Errorf("GET is answered %v", response)
		}
	}},
	{name: "an answer is passed on as it comes", source: listeners, run: func(t *testing.T, b *bench) {
		for name, length := range map[string]string{"of unknown length": "", "of known length": "10"} {
			next := make(chan struct{})
			server := b.target("A", name, func(w http.ResponseWriter, r *http.Request) {
				if length != "" {
					w.Header().Set("Content-Length", length)
				}
				_, _ = io.WriteString(w, "first")
				w.(http.Flusher).Flush()
				<-next
				_, _ = io.WriteString(w, "other")
			})
			response, err := client(t).Get("http://" + b.address)
			if err != nil {
				t.Fatal(err)
			}
			part := make([]byte, 5)
			if _, err := io.ReadFull(response.Body, part); err != nil || string(part) != "first" {
				t.Errorf("%s: %q, %v", name, part, err)
			}
			close(next)
			if rest, err := io.ReadAll(response.Body); err != nil || string(rest) != "other" {
				t.Errorf("%s: %q, %v", name, rest, err)
			}
			response.Body.Close()
			<-b.balancer.Deregister("S/A", name)
			server.Close()
		}
	}},
	{name: "a request is passed on as it comes, both ways at once", source: listeners, run: func(t *testing.T, b *bench) {
		b.target("A", "one", func(w http.ResponseWriter, r *http.Request) {
			_ = http.NewResponseController(w).EnableFullDuplex()
			reader := bufio.NewReader(r.Body)
			for {
				line, err := reader.ReadString('\n')
				if err != nil {
					return
				}
				_, _ = io.WriteString(w, strings.ToUpper(line))
				w.(http.Flusher).Flush()
			}
		})
		reader, writer := io.Pipe()
		r, _ := http.NewRequest("POST", "http://"+b.address, reader)
		go func() { _, _ = io.WriteString(writer, "a\n") }()
		response, err := client(t).Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		answer := bufio.NewReader(response.Body)
		for _, line := range []string{"a\n", "bc\n", "d\n"} {
			if line != "a\n" {
				_, _ = io.WriteString(writer, line)
			}
			if got, err := answer.ReadString('\n'); err != nil || got != strings.ToUpper(line) {
				t.Fatalf("%q is answered %q, %v", line, got, err)
			}
		}
		writer.Close()
		if _, err := answer.ReadByte(); err != io.EOF {
			t.Error(err)
		}
	}},
	{name: "trailers of an answer", source: listeners, run: func(t *testing.T, b *bench) {
		b.target("A", "one", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Trailer", "X-Sum")
			_, _ = io.WriteString(w, "body")
			w.Header().Set("X-Sum", "4")
		})
		if response, _ := b.get(client(t), "/"); response.Trailer.Get("X-Sum") != "4" {
			t.Errorf("trailers are %v", response.Trailer)
		}
	}},
	{name: "an early answer reaches a client that is still sending", source: listeners, run: func(t *testing.T, b *bench) {
		b.raw("A", "one", func(conn net.Conn, _ *http.Request, _ *bufio.Reader) {
			_, _ = io.WriteString(conn, "HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
		})
		conn, err := net.Dial("tcp", b.address)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		_, _ = io.WriteString(conn, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nstart")
		if response, err := http.ReadResponse(bufio.NewReader(conn), nil); err != nil || response.StatusCode != 413 {
			t.Errorf("answer is %v, %v", response, err)
		}
	}},
	{name: "a target that stops in the middle of an answer", source: troubleshooting + "#http-502-issues", run: func(t *testing.T, b *bench) {
		b.raw("A", "one", func(conn net.Conn, _ *http.Request, _ *bufio.Reader) {
			_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n")
		})
		response, err := client(t).Get("http://" + b.address)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		if body, err := io.ReadAll(response.Body); err == nil || string(body) != "half" {
			t.Errorf("the client takes %q for the whole answer", body)
		}
		if x := b.last(1); x.Err == nil || x.Status != 200 {
			t.Errorf("exchange is %+v", x)
		}
	}},
	{name: "WebSocket", source: listeners + "#listener-configuration", run: func(t *testing.T, b *bench) {
		b.target("A", "one", func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Upgrade") != "websocket" || r.Header.Get("Connection") != "Upgrade" || r.Header.Get("Sec-Websocket-Key") != "x" {
				http.Error(w, fmt.Sprint(r.Header), 400)
				return
			}
			conn, buffered, _ := http.NewResponseController(w).Hijack()
			defer conn.Close()
			_, _ = buffered.WriteString("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: y\r\n\r\nhello ")
			_ = buffered.Flush()
			// What is sent after the end of the other direction arrives as well.
			all, _ := io.ReadAll(buffered)
			_, _ = conn.Write(all)
		})
		conn, err := net.Dial("tcp", b.address)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		_, _ = io.WriteString(conn, "GET /chat HTTP/1.1\r\nHost: x\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: x\r\n\r\nGET / HTTP/1.1\r\n\r\nearly")
		reader := bufio.NewReader(conn)
		response, err := http.ReadResponse(reader, nil)
		if err != nil || response.StatusCode != 101 || response.Header.Get("Upgrade") != "websocket" || response.Header.Get("Sec-Websocket-Accept") != "y" {
			t.Fatalf("answer is %v, %v", response, err)
		}
		_, _ = io.WriteString(conn, " and late")
		_ = conn.(*net.TCPConn).CloseWrite()
		if all, err := io.ReadAll(reader); err != nil || string(all) != "hello GET / HTTP/1.1\r\n\r\nearly and late" {
			t.Errorf("echo is %q, %v", all, err)
		}
		if x := b.last(1); x.Kind != "ws" || x.Status != 101 || x.TargetStatus != 101 || x.Received < 14 || x.Sent < 20 {
			t.Errorf("exchange is %+v", x)
		}
	}},
	{name: "a WebSocket that the target refuses", source: listeners + "#listener-configuration", run: func(t *testing.T, b *bench) {
		b.target("A", "one", func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(426) })
		if response, _ := b.get(client(t), "/", "Connection", "Upgrade", "Upgrade", "websocket"); response.StatusCode != 426 {
			t.Error(response.Status)
		}
		ask := "GET / HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n"
		b.bare("twice", ask+ask, 2, "426", false)
	}},
	{name: "an idle WebSocket is closed", source: attributesPage + "#connection-idle-timeout", idle: 50 * time.Millisecond, run: func(t *testing.T, b *bench) {
		b.raw("A", "one", func(conn net.Conn, _ *http.Request, reader *bufio.Reader) {
			_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n")
			_, _ = reader.ReadByte()
		})
		conn, err := net.Dial("tcp", b.address)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		_, _ = io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
		if _, err := io.Copy(io.Discard, conn); err != nil {
			t.Error(err)
		}
		if x := b.last(1); x.Err != ErrIdle {
			t.Errorf("exchange is %+v", x)
		}
	}},
	{name: "server-sent events that stay away are cut off", source: attributesPage + "#connection-idle-timeout", idle: 50 * time.Millisecond, run: func(t *testing.T, b *bench) {
		s := b.streams(t)
		if rest, err := io.ReadAll(s.open("/events")); err != io.ErrUnexpectedEOF || len(rest) > 0 {
			t.Errorf("the stream ends with %q, %v", rest, err)
		}
		if x := b.last(1); x.Err != ErrIdle || x.Status != 200 || x.TargetStatus != 200 {
			t.Errorf("exchange is %+v", x)
		}
	}},
	{name: "streams go on while their target drains, until the deregistration delay passes", source: groupAttributes + "#deregistration-delay", run: func(t *testing.T, b *bench) {
		s := b.streams(t)
		open := map[string]io.Reader{"/events": s.open("/events"), "/socket": s.open("/socket")}
		drained := b.balancer.Deregister("S/A", "one")
		b.untilState("A", "one", Draining)
		for path, stream := range open {
			s.tick[path] <- struct{}{}
			if _, err := io.ReadFull(stream, make([]byte, 2)); err != nil {
				t.Errorf("%s ends with %v while its target drains", path, err)
			}
		}
		b.balancer.groups["S/A"].cut() // as when the delay is over
		<-drained
		for path, stream := range open {
			if _, err := io.Copy(io.Discard, stream); path == "/events" && err != io.ErrUnexpectedEOF {
				t.Errorf("%s ends with %v", path, err)
			}
		}
		for n := range 2 {
			if x := b.last(n + 1); x.Err != errDelayPassed || x.TargetStatus == 0 {
				t.Errorf("exchange is %+v", x)
			}
		}
	}},

	// TLS.
	{name: "HTTP/2 to the client, HTTP/1.1 to the target", source: listeners + "#listener-configuration", template: template{secure: true}, run: func(t *testing.T, b *bench) {
		b.target("A", "one", func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprintf(w, "%s\n", r.Proto)
			echo(w, r)
		})
		c := secureClient(b, "h2")
		r, _ := http.NewRequest("POST", "https://"+b.address+"/x?y", strings.NewReader("body"))
		response, body := b.do(c, r)
		if response.ProtoMajor != 2 {
			t.Errorf("answer by %s", response.Proto)
		}
		require(t, "request", body, `^HTTP/1\.1\nPOST /x\?y\n`, `X-Forwarded-Proto: https\r`, `X-Forwarded-Port: 443\r`, `body$`)
		if x := b.last(1); x.Kind != "h2" || x.TLS == nil {
			t.Errorf("exchange is %+v", x)
		}
		var wait sync.WaitGroup
		for range 50 {
			wait.Go(func() {
				response, err := c.Get("https://" + b.address)
				if err != nil || response.StatusCode != 200 {
					t.Errorf("%v, %v", response, err)
					return
				}
				_, _ = io.Copy(io.Discard, response.Body)
				response.Body.Close()
			})
		}
		wait.Wait()
	}},
	{name: "no HTTP/2 if it is switched off", source: overview + "#load-balancer-attributes", template: template{secure: true, loadBalancer: []object{attribute("routing.http2.enabled", "false")}}, run: func(t *testing.T, b *bench) {
		b.target("A", "one", hello)
		r, _ := http.NewRequest("GET", "https://"+b.address, nil)
		if response, _ := b.do(secureClient(b, "h2", "http/1.1"), r); response.ProtoMajor != 1 {
			t.Errorf("answer by %s", response.Proto)
		}
		if x := b.last(1); x.Kind != "https" {
			t.Errorf("kind is %s", x.Kind)
		}
	}},
	{name: "targets that speak HTTPS, whatever their certificate", source: targetGroups + "#target-group-routing-configuration",
		template: template{groups: map[string]object{"A": {"Protocol": "HTTPS", "HealthCheckProtocol": "HTTPS"}}}, run: func(t *testing.T, b *bench) {
			secure := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.TLS != nil) }))
			t.Cleanup(secure.Close)
			b.register("A", "one", secure.Listener.Addr().String())
			for range 3 {
				if _, body := b.get(client(t), "/"); body != "true" {
					t.Errorf("the target sees TLS: %s", body)
				}
			}
		}},

	// Balancing.
	{name: "round robin", source: groupAttributes + "#modify-routing-algorithm", run: func(t *testing.T, b *bench) {
		for _, id := range []string{"one", "two", "three"} {
			b.target("A", id, hello)
		}
		c, got := client(t), ""
		for range 6 {
			response, _ := b.get(c, "/")
			got += response.Header.Get("X-Target") + " "
		}
		if got != "one two three one two three " {
			t.Errorf("targets are %s", got)
		}
	}},
	{name: "least outstanding requests", source: groupAttributes + "#modify-routing-algorithm", template: template{attributes: map[string][]object{"A": {attribute("load_balancing.algorithm.type", "least_outstanding_requests")}}},
		run: func(t *testing.T, b *bench) {
			release, arrived := make(chan struct{}), make(chan struct{})
			slow := func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/slow" {
					arrived <- struct{}{}
					<-release
				}
			}
			b.target("A", "one", slow)
			b.target("A", "two", slow)
			c := client(t)
			busy := make(chan string)
			go func() {
				response, _ := b.get(c, "/slow")
				busy <- response.Header.Get("X-Target")
			}()
			<-arrived
			got := map[string]int{}
			for range 10 {
				response, _ := b.get(c, "/")
				got[response.Header.Get("X-Target")]++
			}
			close(release)
			if other := <-busy; got[other] != 0 || len(got) != 1 {
				t.Errorf("with %s busy, targets are %v", other, got)
			}
		}},
	{name: "fail open: without a healthy target the others get requests", source: healthChecks, run: func(t *testing.T, b *bench) {
		var sick atomic.Bool
		sick.Store(true)
		ln, _ := net.Listen("tcp", "127.0.0.1:0")
		server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/health" && sick.Load() {
				w.WriteHeader(500)
			}
		})}
		go func() { _ = server.Serve(ln) }()
		t.Cleanup(func() { server.Close() })
		if err := b.balancer.Register("S/A", "sick", ln.Addr().String()); err != nil {
			t.Fatal(err)
		}
		if response, _ := b.get(client(t), "/"); response.StatusCode != 200 {
			t.Errorf("with a target in its first checks the answer is %s", response.Status)
		}
		b.target("A", "well", hello)
		for range 10 {
			if response, _ := b.get(client(t), "/"); response.Header.Get("X-Target") != "well" {
				t.Error("a target that is not healthy gets a request although another is")
			}
		}
	}},
	{name: "targets of a group that no rule uses are not checked", source: healthChecks + "#target-health-states", run: func(t *testing.T, b *bench) {
		if err := b.balancer.Register("S/B", "idle", "127.0.0.1:1"); err != nil {
			t.Fatal(err)
		}
		if got := b.balancer.Targets("S/B"); len(got) != 1 || got[0].State != Unused || got[0].Reason != "Target.NotInUse" {
			t.Errorf("targets are %+v", got)
		}
	}},

	// Deregistration.
	{name: "a request in flight is finished, and no other is begun", source: groupAttributes + "#deregistration-delay", run: func(t *testing.T, b *bench) {
		release, arrived := make(chan struct{}), make(chan struct{})
		b.target("A", "old", func(w http.ResponseWriter, r *http.Request) {
			close(arrived)
			<-release
			_, _ = io.WriteString(w, "finished")
		})
		c, answer := client(t), make(chan string)
		go func() {
			_, body := b.get(c, "/")
			answer <- body
		}()
		<-arrived
		drained := b.balancer.Deregister("S/A", "old")
		if got := b.balancer.Targets("S/A"); len(got) != 1 || got[0].State != Draining || got[0].Reason != "Target.DeregistrationInProgress" || got[0].InFlight != 1 {
			t.Errorf("targets are %+v", got)
		}
		response, _ := b.get(c, "/")
		if response.StatusCode != 503 {
			t.Errorf("another request is answered %s", response.Status)
		}
		select {
		case <-drained:
			t.Error("drained with a request in flight")
		default:
		}
		close(release)
		if body := <-answer; body != "finished" {
			t.Errorf("the request in flight is answered %q", body)
		}
		<-drained
		b.untilState("A", "old", Unused)
		if got := b.balancer.Targets("S/A"); len(got) != 0 {
			t.Errorf("targets are %+v", got)
		}
	}},
	{name: "idle connections to a target are closed when it is deregistered", source: groupAttributes + "#deregistration-delay", run: func(t *testing.T, b *bench) {
		release, arrived, closed := make(chan struct{}), make(chan struct{}), make(chan struct{})
		b.raw("A", "old", func(conn net.Conn, r *http.Request, reader *bufio.Reader) {
			if r.URL.Path == "/slow" {
				close(arrived)
				<-release
			}
			_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
			if _, err := reader.ReadByte(); err == io.EOF && r.URL.Path != "/slow" {
				close(closed)
			}
		})
		c, answer := client(t), make(chan int)
		go func() {
			response, _ := b.get(c, "/slow")
			answer <- response.StatusCode
		}()
		<-arrived
		b.get(c, "/")
		drained := b.balancer.Deregister("S/A", "old")
		<-closed // while the other is in flight
		close(release)
		if status := <-answer; status != 200 {
			t.Errorf("the request in flight is answered %d", status)
		}
		<-drained
	}},
	{name: "502 when the deregistration delay passes", source: troubleshooting + "#http-502-issues",
		template: template{attributes: map[string][]object{"A": {attribute("deregistration_delay.timeout_seconds", "0")}}}, run: func(t *testing.T, b *bench) {
			release, arrived := make(chan struct{}), make(chan struct{})
			defer close(release)
			b.target("A", "old", func(http.ResponseWriter, *http.Request) {
				close(arrived)
				<-release
			})
			go func() {
				<-arrived
				<-b.balancer.Deregister("S/A", "old")
			}()
			response, body := b.get(client(t), "/")
			requireOwn(t, response, body, 502, "502 Bad Gateway")
			if x := b.last(1); x.Err == nil || !strings.Contains(x.Err.Error(), "deregistration delay") {
				t.Errorf("exchange is %+v", x)
			}
		}},

	// Access log.
	{name: "access line", source: accessLogs + "#access-log-entry-syntax", template: template{rules: []object{onPath("/api*", forwardTo("B")), onPath("/go", object{"Type": "redirect",
		"RedirectConfig": object{"StatusCode": "HTTP_302", "Path": "/there"}})}},
		run: func(t *testing.T, b *bench) {
			b.target("B", "one", hello)
			_, body := b.get(client(t), "/api/users?q=\"1\"", "User-Agent", `a "quoted" agent`)
			b.get(client(t), "/go")
			b.get(client(t), "/nothing", "X-Amzn-Trace-Id", "Root=1-67891233-abcdef012345678912345678")
			b.talk("BAD\r\n\r\n")
			b.last(4)
			lines := strings.Split(b.log.String(), "\n")
			stamp, times, end := `\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z`, `\d+\.\d{3} \d+\.\d{3} \d+\.\d{3}`, ` "-" "-" TID_[0-9a-f]{16} "-" "-" "-"$`
			from := `http ` + stamp + ` app/forum/[0-9a-f]{16} 127\.0\.0\.1:\d+ `
			require(t, "line", lines[0], `^`+from+`127\.0\.0\.1:\d+ `+times+` 200 200 \d+ \d+ "GET http://127\.0\.0\.1:80/api/users\?q=(\\x22|%22)1(\\x22|%22) HTTP/1\.1" `+
				`"a \\x22quoted\\x22 agent" - - arn:aws:elasticloadbalancing:local:000000000000:targetgroup/b/[0-9a-f]{16} "Root=1-[0-9a-f]{8}-[0-9a-f]{24}" "-" "-" `+
				`1 `+stamp+` "forward" "-" "-" "127\.0\.0\.1:\d+" "200"`+end)
			require(t, "line", lines[1], `^`+from+`- -1 -1 -1 302 - \d+ \d+ "GET http://127\.0\.0\.1:80/go HTTP/1\.1" "Go-http-client/1\.1" - - - "Root=[^"]*" "-" "-" 2 `+stamp+` "redirect" "http://127\.0\.0\.1:\d+/there" "-" "-" "-"`+end)
			require(t, "line", lines[2], `^`+from+`- -1 -1 -1 503 - \d+ \d+ "GET [^"]*" "[^"]*" - - arn:\S*targetgroup/a/\S+ "Self=1-[^;]*;Root=1-67891233-abcdef012345678912345678" "-" "-" 0 `+stamp+` "forward" "-" "-" "-" "-"`+end)
			require(t, "line", lines[3], `^`+from+`- -1 -1 -1 400 - 7 \d+ "- http://:80- -" "-" - - - "-" "-" "-" - `+stamp+` "-" "-" "-" "-" "-"`+end)
			if x := b.last(1); x.Sent < int64(len(body)) {
				t.Errorf("%d bytes sent, the body alone has %d", x.Sent, len(body))
			}
		}},
	{name: "access line under TLS", source: accessLogs + "#access-log-entry-syntax", template: template{secure: true, action: fixed("200", "text/plain", "x")}, run: func(t *testing.T, b *bench) {
		r, _ := http.NewRequest("GET", "https://"+b.address, nil)
		b.do(secureClient(b, "http/1.1"), r)
		b.last(1)
		require(t, "line", b.log.String(), `^https `, `"GET https://127\.0\.0\.1:443/ HTTP/1\.1"`, ` TLS_AES_128_GCM_SHA256 TLSv1\.3 - "Root=[^"]*" "localhost" "arn:aws:acm:[^"]*" 0 \S+ "fixed-response" `)
	}},
}

// secureClient trusts the balancer's certificate and speaks the protocols.
func secureClient(b *bench, protocols ...string) *http.Client {
	pool := x509.NewCertPool()
	pool.AddCert(b.balancer.certificate.Leaf)
	transport := &http.Transport{
		TLSClientConfig:   &tls.Config{RootCAs: pool, NextProtos: protocols, ServerName: "localhost"},
		ForceAttemptHTTP2: protocols[0] == "h2",
	}
	b.t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

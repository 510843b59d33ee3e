package local

import (
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"strings"
	"testing"

	"cutover/internal/local/alb"
)

// shopAnswer asks as "METHOD host path [header: value]" says, and returns status
// and body, or the place that it is sent to.
func shopAnswer(t *testing.T, url, ask string, jar ...http.CookieJar) string {
	t.Helper()
	words := strings.Fields(ask)
	request, err := http.NewRequest(words[0], url+words[2], strings.NewReader("wanted"))
	if err != nil {
		t.Fatal(err)
	}
	request.Host = words[1]
	if len(words) > 3 {
		request.Header.Set(strings.TrimSuffix(words[3], ":"), words[4])
	}
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	if len(jar) > 0 {
		client.Jar = jar[0]
	}
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	status, _, _ := strings.Cut(response.Status, " ")
	if location := response.Header.Get("Location"); location != "" {
		return status + " " + location
	}
	return status + " " + string(body)
}

// Somebody else's app does here what its templates say.
func TestShop(t *testing.T) {
	t.Parallel()
	d := start(t, stateDir(t), shopCommands(t))
	d.deploy("testdata/shop")
	www, staff := d.url(80), d.url(9090)
	_, port, _ := strings.Cut(strings.TrimPrefix(www, "http://"), ":")
	for _, c := range []struct{ url, ask, want string }{
		{www, "GET shop.example /", "200 books GET / wanted"},
		{www, "GET WWW.Shop.Example /a?b=c", "200 books GET /a?b=c wanted"},
		{www, "GET other.example /", "404 no such shop"},
		{www, "PUT shop.example /", "404 no such shop"},
		{www, "POST shop.example /basket/1", "200 basket POST /basket/1 wanted"},
		{www, "POST www.shop.example /basket/1", "404 no such shop"},
		{www, "GET shop.example /basket/1", "200 books GET /basket/1 wanted"},
		{www, "GET other.example /catalogue?sale=yes", "200 remnants GET /catalogue?sale=yes wanted"},
		{www, "GET other.example /catalogue/7?page=2&remnants", "404 no such shop"},
		{www, "GET other.example /catalogue/7?x=remnants", "200 remnants GET /catalogue/7?x=remnants wanted"},
		{www, "GET shop.example /catalogue?sale=no", "200 books GET /catalogue?sale=no wanted"},
		{www, "GET shop.example /shelves/a", "301 http://shop.example:" + port + "/catalogue?from=shelves/a"},
		{www, "GET a.preview.shop.example / X-Preview: off", "404 no such shop"},
		{staff, "GET shop.example /", `403 {"error":"staff only"}`},
		{staff, "GET shop.example /stock/12", "200 books GET /stock/12 wanted"},
		{staff, "GET shop.example /stock/123", `403 {"error":"staff only"}`},
	} {
		if got := shopAnswer(t, c.url, c.ask); got != c.want {
			t.Errorf("%s: %q, want %q", c.ask, got, c.want)
		}
	}

	// A client stays with the group that was picked for it; clients differ.
	sections := map[string]bool{}
	for range 40 {
		jar, _ := cookiejar.New(nil)
		first := shopAnswer(t, www, "GET a.preview.shop.example / X-Preview: yes!", jar)
		for range 3 {
			if again := shopAnswer(t, www, "GET a.preview.shop.example / X-Preview: on", jar); again != first {
				t.Fatalf("a client that got %q got %q next", first, again)
			}
		}
		sections[first] = true
	}
	if !sections["200 books GET / wanted"] || !sections["200 remnants GET / wanted"] || len(sections) != 2 {
		t.Errorf("the clients of the preview got %v, want two sections", sections)
	}

	for _, c := range []struct{ ask, action, because string }{
		{"http://shop.example:80/shelves/a", "301", "path-pattern"},
		{"GET http://shop.example:" + port + "/", "BooksBD60D88F", "http-request-method"},
		{"POST http://shop.example/basket", "Baskets", "host-header"},
	} {
		route, err := d.Route(alb.Asked{Request: c.ask})
		if err != nil || !strings.Contains(route.Action, strings.TrimRight(c.action, "0123456789ABCDEF")) || !strings.Contains(route.Explanation, c.because) {
			t.Errorf("%s goes to %q because %q, %v; want %q because of %q", c.ask, route.Action, route.Explanation, err, c.action, c.because)
		}
	}
	if route, err := d.Route(alb.Asked{Request: "http://shop.example/"}); err != nil || len(route.Targets) != 2 || route.Targets[0].State != "healthy" {
		t.Errorf("targets are %v, %v, want two that are healthy", route.Targets, err)
	}
	if _, err := d.Route(alb.Asked{Request: "http://shop.example:4444/"}); err == nil || !strings.Contains(err.Error(), "4444") {
		t.Errorf("the error for a port without a listener is %v", err)
	}
	if n := d.Status().NotRun["AWS::AutoScaling::AutoScalingGroup"]; n != 1 {
		t.Errorf("the status counts %d groups of instances that are not run here, want 1", n)
	}
}

// All that cannot run is named at once, and nothing is begun.
func TestShopNeedsCommands(t *testing.T) {
	t.Parallel()
	d := start(t, stateDir(t), nil)
	d.refuse("testdata/shop",
		`container "catalogue"`, "public.ecr.aws/docker/library/python:3.13-slim", "--run catalogue=COMMAND",
		`container "remnants"`, "--run remnants=COMMAND",
		`container "basket"`, "node:24-alpine", "--run basket=COMMAND")
	if events := d.told(); len(events) > 0 || len(d.Status().Services) > 0 {
		t.Errorf("something was begun: %v", events)
	}
}

func TestMistakenOptions(t *testing.T) {
	t.Parallel()
	d := &deployment{t: t}
	options := d.options(stateDir(t), shopCommands(t))
	options.Ports[81] = 8081
	options.Replaced = []string{"catalogue", "cataloge"}
	d.begin(options)
	d.refuse("testdata/shop",
		"no listener has the port 81 that a local port is chosen for: choose from 80, 9090",
		`there is no container "cataloge" to run a command in place of: choose from basket, catalogue, remnants`)
	if events := d.told(); len(events) > 0 {
		t.Errorf("something was begun: %v", events)
	}
}

// One command line may do for assemblies with and without HTTPS.
func TestPortOfNoListener(t *testing.T) {
	t.Parallel()
	d := &deployment{t: t}
	options := d.options(stateDir(t), shopCommands(t))
	options.Ports = map[int]int{443: 0, 80: 0}
	options.Replaced = []string{"cataloge"} // nothing needs to run
	d.begin(options)
	d.refuse("testdata/shop", `there is no container "cataloge"`)
	events := d.told()
	if len(events) != 1 || events[0].State != Warning || events[0].Message != "no listener has the port 443 that a local port is chosen for: choose from 80, 9090" {
		t.Errorf("told is %+v", events)
	}
}

// A listener whose port changes moves to the local port that belongs to it.
func TestListenerMoves(t *testing.T) {
	t.Parallel()
	d := start(t, stateDir(t), shopCommands(t))
	d.deploy(shop(t, templates.still))
	before := d.url(80)
	d.deploy(shop(t, templates.still, func(a templates) {
		a.resources("AWS::ElasticLoadBalancingV2::Listener", func(_, _ string, properties map[string]any) {
			if properties["Port"] == 80.0 {
				properties["Port"] = 8000.0
			}
		})
	}))
	after := d.url(8000)
	if got := shopAnswer(t, after, "GET other.example /"); after == before || got != "404 no such shop" {
		t.Errorf("%s, before it %s, answers %q", after, before, got)
	}
	until(t, "the socket that it had is closed", func() bool {
		conn, err := net.Dial("tcp", strings.TrimPrefix(before, "http://"))
		if err == nil {
			conn.Close()
		}
		return err != nil
	})
}

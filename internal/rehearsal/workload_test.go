package rehearsal

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
)

func TestRequestCheck(t *testing.T) {
	for want, r := range map[string]Request{
		"": {Path: "/a%20b?c=d", Method: "PROPFIND", Host: "shop.example:8080", Header: http.Header{"X-A": {"1", "ä"}}},
		`method "get": must be the name of a method in capital letters, for example POST`: {Path: "/", Method: "get"},
		`method "A B": must be the name of a method in capital letters, for example POST`: {Path: "/", Method: "A B"},
		`method CONNECT: a load balancer does not take it`:                                {Path: "/", Method: "CONNECT"},
		`route "": must be a path as in a request line, for example /api/users`:           {},
		`route "*": must be a path as in a request line, for example /api/users`:          {Path: "*"},
		`host "a b": must be a host name, for example shop.example.com`:                   {Path: "/", Host: "a b"},
		`host "a/b": must be a host name, for example shop.example.com`:                   {Path: "/", Host: "a/b"},
		`host "u@h": must be a host name, for example shop.example.com`:                   {Path: "/", Host: "u@h"},
		`header "a b": must be the name of a header`:                                      {Path: "/", Header: http.Header{"a b": {"1"}}},
		`header host: the rehearsal sets it by itself`:                                    {Path: "/", Header: http.Header{"host": {"1"}}},
		`header X-Amzn-Trace-Id: the rehearsal sets it by itself`:                         {Path: "/", Header: http.Header{"X-Amzn-Trace-Id": {"1"}}},
		`header A: its value must be one line without control characters`:                 {Path: "/", Header: http.Header{"A": {"1", "a\nb"}}},
	} {
		var got []string
		r.Check(func(_, problem string) { got = append(got, problem) })
		if text := strings.Join(got, "; "); text != want {
			t.Errorf("%+v: %s, want %s", r, text, want)
		}
	}
}

func TestRequestNames(t *testing.T) {
	for want, r := range map[string]Request{
		"/a?b": {Path: "/a?b"}, "/b": {Method: "GET", Path: "/b"}, "POST /a": {Method: "POST", Path: "/a"},
		"h/a": {Host: "h", Path: "/a"}, "PUT h/a": {Method: "PUT", Host: "h", Path: "/a"}, "log in": {Name: "log in", Method: "POST", Path: "/a"},
	} {
		if got := r.String(); got != want {
			t.Errorf("%+v is %q, want %q", r, got, want)
		}
	}
	for method, writes := range map[string]bool{"": false, "GET": false, "HEAD": false, "OPTIONS": false, "TRACE": false, "POST": true, "PUT": true, "PATCH": true, "DELETE": true, "QUERY": true} {
		if r := (Request{Method: method}); r.Writes() != writes {
			t.Errorf("%q may change something: %v", method, r.Writes())
		}
		if r := (Request{Method: method, Safe: true}); r.Writes() {
			t.Errorf("a safe %q may change something", method)
		}
	}
}

// Turns are spread evenly, and each source has as many as it weighs.
func TestCycle(t *testing.T) {
	for want, weights := range map[string][]int{
		"[]": nil, "[0]": {1}, "[0 1]": {1, 1}, "[0 0]": {2}, "[0 1 0]": {2, 1}, "[1 0 1 1]": {1, 3}, "[0 1 0 1]": {2, 2},
		"[0 1 2 0]": {2, 1, 1},
	} {
		if got := fmt.Sprint(cycle(weights)); got != want {
			t.Errorf("weights %v: %s, want %s", weights, got, want)
		}
	}
	counts := map[int]int{}
	for _, source := range cycle([]int{1, 1000, 30}) {
		counts[source]++
	}
	if fmt.Sprint(counts) != "map[0:1 1:1000 2:30]" {
		t.Errorf("turns %v", counts)
	}
}

func TestPlan(t *testing.T) {
	source := func(weight int, r Request) Source { return NewCompared(r, Expect{}, weight) }
	p, err := newPlan(Workload{Sources: []Source{
		source(1, Request{Path: "/a"}), source(2, Request{Path: "/g", Method: "POST", Body: []byte("1")}), source(1, Request{Path: "/g", Method: "POST", Body: []byte("2")}),
	}})
	if err != nil || !slices.Equal(p.names, []string{"/a", "POST /g", "POST /g (2)"}) {
		t.Errorf("%q, %v", p.names, err)
	}
	var asked []int
	for seq := range 8 {
		call := p.next(seq)
		if call.Request != p.routes[call.Route] {
			t.Errorf("route %d asks %v", call.Route, call.Request)
		}
		asked = append(asked, call.Route)
	}
	slices.Sort(asked)
	if !slices.Equal(asked, []int{0, 0, 1, 1, 1, 1, 2, 2}) {
		t.Errorf("asked %v", asked)
	}
	var heavy []Source
	for i := range maxCycle/MaxWeight + 1 {
		heavy = append(heavy, source(MaxWeight, Request{Path: fmt.Sprint("/", i)}))
	}
	var many []Source
	for i := range maxRoutes + 1 {
		many = append(many, source(1, Request{Path: fmt.Sprint("/", i)}))
	}
	for want, sources := range map[string][]Source{
		`route "/a": weight 0: must be from 1 to 1000`:        {source(0, Request{Path: "/a"})},
		`route "/a": weight 1001: must be from 1 to 1000`:     {source(1001, Request{Path: "/a"})},
		`route "/a" is listed twice`:                          {source(1, Request{Path: "/a"}), source(2, Request{Path: "/a", Method: "GET"})},
		`the weights are 101000 together: the most is 100000`: heavy,
		`10001 routes: the most is 10000`:                     many,
		"method CONNECT: a load balancer does not take it\nhost \"a b\": must be a host name, for example shop.example.com": {source(1, Request{Path: "/a", Method: "CONNECT", Host: "a b"})},
	} {
		if _, err := newPlan(Workload{Sources: sources}); err == nil || err.Error() != want {
			t.Errorf("error %v, want %s", err, want)
		}
	}
	if _, err := newPlan(Workload{Sources: heavy[1:]}); err != nil {
		t.Error(err)
	}
}

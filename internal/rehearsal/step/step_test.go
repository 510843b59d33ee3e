package step

import (
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"cutover/internal/rehearsal"
)

// evil is a value that would break out of every place that does not escape it.
const evil = `a/b?c=d&e "f" {{id}}` + "\r\nX-Evil: 1"

func TestRequest(t *testing.T) {
	for name, test := range map[string]struct {
		request   rehearsal.Request
		variables Variables
		path      string
		body      string
		header    string
	}{
		"nothing to fill in": {request: rehearsal.Request{Path: "/a%20b?c=%26", Body: []byte(`{"a": "}{"}`)}, path: "/a%20b?c=%26", body: `{"a": "}{"}`},
		"a number": {
			request:   rehearsal.Request{Path: "/orders/{{id}}", Body: []byte(`{"order": "{{id}}", "text": "order {{id}}", "n": [{{id}}]}`)},
			variables: Variables{"id": json.Number("17")},
			path:      "/orders/17", body: `{"order": "17", "text": "order 17", "n": [17]}`, // no JSON before, so the text is as it is
		},
		"a number in JSON": {
			request:   rehearsal.Request{Path: "/", Body: []byte(`{"order": "{{ id }}", "text": "order {{id}}"}`)},
			variables: Variables{"id": json.Number("17")},
			path:      "/", body: `{"order": 17, "text": "order 17"}`,
		},
		"a truth in JSON": {
			request:   rehearsal.Request{Path: "/", Body: []byte(`{"done": "{{done}}", "text": "{{done}}!"}`)},
			variables: Variables{"done": true},
			path:      "/", body: `{"done": true, "text": "true!"}`,
		},
		"evil": {
			request:   rehearsal.Request{Path: "/x/{{v}}?q={{v}}", Body: []byte(`{"v": "{{v}}", "w": "<{{v}}>"}`), Header: http.Header{"X-V": {"v {{v}}"}}},
			variables: Variables{"v": evil, "id": "never"},
			path:      `/x/a%2Fb%3Fc=d&e%20%22f%22%20%7B%7Bid%7D%7D%0D%0AX-Evil:%201?q=a%2Fb%3Fc%3Dd%26e+%22f%22+%7B%7Bid%7D%7D%0D%0AX-Evil%3A+1`,
			body:      `{"v": "a/b?c=d\u0026e \"f\" {{id}}\r\nX-Evil: 1", "w": "<a/b?c=d\u0026e \"f\" {{id}}\r\nX-Evil: 1>"}`,
			header:    `v a/b?c=d&e "f" {{id}}  X-Evil: 1`,
		},
		"a form": {
			request:   rehearsal.Request{Path: "/", Body: []byte("a={{v}}&b=1"), Header: http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}},
			variables: Variables{"v": "1&b=2"},
			path:      "/", body: "a=1%26b%3D2&b=1",
		},
		"text":     {request: rehearsal.Request{Path: "/", Body: []byte("<a>{{v}}</a>")}, variables: Variables{"v": "x"}, path: "/", body: "<a>x</a>"},
		"no value": {request: rehearsal.Request{Path: "/{{v}}/", Body: []byte(`{"v": "{{v}}"}`)}, path: "//", body: `{"v": ""}`},
	} {
		s := Step{Request: test.request}
		r := NewUser().Request(&s, test.variables)
		if r.Path != test.path || string(r.Body) != test.body || r.Header.Get("X-V") != test.header {
			t.Errorf("%s: path %s, body %s, header %s", name, r.Path, r.Body, r.Header.Get("X-V"))
		}
		if &s.Request == r {
			t.Errorf("%s: the request is the step's own", name)
		}
	}
}

func TestRoute(t *testing.T) {
	s := Step{Request: rehearsal.Request{Method: "POST", Path: "/orders/{{id}}/lines?x={{ x }}", Header: http.Header{"Authorization": {"Bearer {{token}}"}}, Body: []byte(`{"v": "{{value}}", "w": "{{id}}"}`)}}
	r := s.Route()
	if r.String() != "POST /orders/{{id}}/lines?x={{ x }}" || r.Path != "/orders/1/lines?x=1" || r.Header.Get("Authorization") != "Bearer 1" {
		t.Errorf("the route is %s, %+v", r, r)
	}
	if names := s.Names(); !slices.Equal(names, []string{"id", "token", "value", "x"}) {
		t.Errorf("the names are %v", names)
	}
	if filled := NewUser().Request(&s, Variables{"id": 7}); filled.String() != r.String() {
		t.Errorf("the request is called %s", filled)
	}
}

func TestCheck(t *testing.T) {
	for want, r := range map[string]rehearsal.Request{
		"": {Path: "/a/{{id}}?b={{c_1}}", Header: http.Header{"X": {"{{ d }}"}}},
		`path: "/a/{{}}": write a variable as in {{name}}, with letters, digits and _`:             {Path: "/a/{{}}"},
		`path: "/a/{{b-c}}": write a variable as in {{name}}, with letters, digits and _`:          {Path: "/a/{{b-c}}"},
		`path: "/a/{{b": write a variable as in {{name}}, with letters, digits and _`:              {Path: "/a/{{b"},
		`headers: "b}} {{a}}": write a variable as in {{name}}, with letters, digits and _`:        {Path: "/", Header: http.Header{"X": {"b}}", "{{a}}"}}},
		`path: "{{host}}": a variable stands in the path, in the headers or in the body only`:      {Path: "/", Host: "{{host}}"},
		`path: route "a": must be a path as in a request line, for example /api/users`:             {Path: "a"},
		`method: method "post": must be the name of a method in capital letters, for example POST`: {Path: "/", Method: "post"},
	} {
		var got []string
		s := Step{Request: r}
		s.Check(func(field, problem string) { got = append(got, field+": "+problem) })
		// What is wrong with a variable may be wrong with the request, too.
		if want == "" && len(got) > 0 || want != "" && !slices.Contains(got, want) {
			t.Errorf("%+v: %q, want %q", r, got, want)
		}
	}
}

func TestUser(t *testing.T) {
	path, err := rehearsal.ParseJSONPath("$.user.token")
	if err != nil {
		t.Fatal(err)
	}
	login := Step{
		Request: rehearsal.Request{Method: "POST", Path: "/api/login"},
		Capture: []Capture{
			{Name: "token", JSON: &path}, {Name: "place", Header: "Location"}, {Name: "sid", Cookie: "sid"},
			{Name: "name", Match: regexp.MustCompile(`"name": "(\w+)"`)}, {Name: "all", Match: regexp.MustCompile(`"na.e"`)},
		},
	}
	use := Step{Request: rehearsal.Request{Path: "/api/x", Header: http.Header{"X-All": {"{{token}} {{place}} {{sid}} {{name}} {{all}}"}, "Cookie": {"own=1"}}}}
	answer := rehearsal.Answer{
		Status: 200, Body: []byte(`{"user": {"token": 123456789012345678901, "name": "ada"}}`),
		Header: http.Header{"Location": {"/u/1"}, "Set-Cookie": {"sid=s1; Path=/; HttpOnly; Secure", "other=2; Path=/other"}},
	}
	u, stranger := NewUser(), NewUser()
	if err := u.Take(&login, u.Request(&login, nil), answer); err != nil {
		t.Fatal(err)
	}
	r := u.Request(&use, nil)
	if got := r.Header.Get("X-All"); got != `123456789012345678901 /u/1 s1 ada "name"` {
		t.Errorf("the variables are %s", got)
	}
	if got := r.Header["Cookie"]; !slices.Equal(got, []string{"own=1; sid=s1"}) {
		t.Errorf("the cookies are %q", got)
	}
	if r = u.Request(&use, Variables{"token": "mine"}); !strings.HasPrefix(r.Header.Get("X-All"), "mine /u/1") {
		t.Errorf("with a variable for one request: %s", r.Header.Get("X-All"))
	}
	if r = stranger.Request(&use, nil); r.Header.Get("Cookie") != "own=1" || use.Request.Header.Get("Cookie") != "own=1" {
		t.Errorf("another user has the cookies %s", r.Header.Get("Cookie"))
	}
	// A cookie ends when its server says so.
	_ = u.Take(&use, r, rehearsal.Answer{Status: 200, Header: http.Header{"Set-Cookie": {"sid=; Path=/; Max-Age=0"}}})
	if got := u.Request(&use, nil).Header.Get("Cookie"); got != "own=1" {
		t.Errorf("after the end, the cookies are %s", got)
	}
	for want, c := range map[string]Capture{
		"the answer with status 404 has no JSON for {{x}}":                             {JSON: &path},
		"the answer with status 404 has no header Etag for {{x}}":                      {Header: "Etag"},
		"the answer with status 404 has no cookie sid for {{x}}":                       {Cookie: "sid"},
		"the answer with status 404 has no match of a+ for {{x}}":                      {Match: regexp.MustCompile("a+")},
		"the answer with status 200 has no $.user.token for {{x}}":                     {JSON: &path, Name: "{}"},
		"the answer with status 200 has no string or number at $.user.token for {{x}}": {JSON: &path, Name: `{"user": {"token": [1]}}`},
	} {
		a := rehearsal.Answer{Status: 404, Body: []byte("not found")}
		if c.Name != "" {
			a = rehearsal.Answer{Status: 200, Body: []byte(c.Name)}
		}
		c.Name = "x"
		if err := u.Take(&Step{Capture: []Capture{c}}, r, a); err == nil || err.Error() != want {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

// A user's requests may overlap.
func TestUserOfManyGoroutines(t *testing.T) {
	u := NewUser()
	s := Step{Request: rehearsal.Request{Path: "/{{x}}"}, Capture: []Capture{{Name: "x", Header: "X"}}}
	var all sync.WaitGroup
	for i := range 20 {
		all.Go(func() {
			r := u.Request(&s, nil)
			a := rehearsal.Answer{Header: http.Header{"X": {"1"}, "Set-Cookie": {fmt.Sprintf("c%d=1", i)}}}
			if err := u.Take(&s, r, a); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if r := u.Request(&s, nil); r.Path != "/1" || strings.Count(r.Header.Get("Cookie"), "=") != 20 {
		t.Errorf("%s with %s", r.Path, r.Header.Get("Cookie"))
	}
}

// What a regular expression takes differs each time, and is masked in what is no JSON.
func TestMasked(t *testing.T) {
	capture := func(match string) Capture { return Capture{Name: "x", Match: regexp.MustCompile(match)} }
	for _, test := range []struct {
		capture    Capture
		body, want string
	}{
		{capture(`v="(\d+)"`), `<i v="12"> v="13"`, `<i v="{{x}}"> v="13"`},
		{capture(`v="\d+"`), `<i v="12">`, `<i {{x}}>`},
		{capture(`(a)|b`), `cb`, `cb`},
		{capture(`d`), `cb`, `cb`},
		{capture(`(\d+)`), `{"v": 12}`, `{"v": 12}`},
		{Capture{Name: "x", Header: "X"}, `12`, `12`},
	} {
		body := []byte(test.body)
		if got := (&Step{Capture: []Capture{test.capture}}).Masked(body); string(got) != test.want || string(body) != test.body {
			t.Errorf("%s is %s, want %s", body, got, test.want)
		}
	}
}

func TestCookies(t *testing.T) {
	for _, test := range []struct {
		sent, given  string
		isNew        bool
		name, domain string
	}{
		{"", "sid=1", true, "", ""},
		{"sid=1; a=2", "sid=1; Path=/", false, "", ""},
		{"sid=1", "sid=2", true, "", ""},
		{"sid=1", "sid=; Max-Age=0", false, "", ""},
		{"", "AWSALB=x", false, "", ""},
		{"", "sid=1; Domain=shop.example", true, "", ""},
		{"", "sid=1; Domain=.example", true, "", ""},
		{"", "sid=1; Domain=other.example", true, "sid", "other.example"},
		{"", "sid=1; Domain=hop.example", true, "sid", "hop.example"},
		{"", "", false, "", ""},
	} {
		r := &rehearsal.Request{Path: "/", Host: "shop.example:8080", Header: http.Header{"Cookie": {test.sent}}}
		answer := http.Header{"Set-Cookie": {test.given}}
		if got := GivesCookie(r, answer); got != test.isNew {
			t.Errorf("%+v: it is new: %v", test, got)
		}
		if name, domain := NoPlace(r, answer); name != test.name || domain != test.domain {
			t.Errorf("%+v: no place for %q of %q", test, name, domain)
		}
	}
}

package stacks_test

import (
	"net/http"
	"strings"
	"testing"

	"cutover/config"
	"cutover/deployment"
	"cutover/internal/model"
	"cutover/internal/rules"
)

// routed is a shop whose services have routes with conditions of every kind.
func routed() config.Deployment {
	d := deployment.Forum // for its programs
	d.Services = []config.Service{
		{Name: "users", Routes: []config.Route{
			{Order: 20, Paths: []string{"/api/users*"}},
			{Name: "writes", Order: 10, Paths: []string{"/api/users*"}, Methods: []string{"POST", "PUT"}, Testers: map[string][]string{"Cookie": {"*tester=1*"}}},
		}},
		{Name: "threads", Routes: []config.Route{
			{Name: "mobile", Order: 30, Paths: []string{"/api/threads*"}, Hosts: []string{"m.*.com"}, Headers: map[string][]string{"User-Agent": {"*Phone*"}}},
			{Name: "beta", Order: 40, Paths: []string{"/api/threads*"}, Query: map[string][]string{"beta": {"1", "yes"}}},
		}},
		{Name: "posts", Order: 50, Paths: []string{"/api/posts*"}, Testers: map[string][]string{"X-Tester": {"yes"}}},
	}
	return d
}

// answers returns who answers a request with a header: "GET /api X-Tester yes".
func answers(t *testing.T, table *rules.Table, text string) string {
	t.Helper()
	parts := strings.SplitN(text, " ", 4)
	request, err := rules.ParseRequest(parts[0] + " " + parts[1])
	if err != nil {
		t.Fatal(err)
	}
	if len(parts) > 2 {
		request.Header = http.Header{parts[2]: {parts[3]}}
	}
	decision, err := table.Route(request)
	if err != nil {
		t.Fatal(err)
	}
	return decision.String()
}

// TestRoutes says who answers which request, by the rendered rules.
func TestRoutes(t *testing.T) {
	const (
		read, write    = "GET /api/users/1", "POST /api/users"
		testersWrite   = "POST /api/users Cookie a=b; tester=1"
		testersRead    = "GET /api/users/1 Cookie tester=1"
		phone          = "GET http://m.example.com/api/threads User-Agent A Phone"
		phoneElsewhere = "GET http://www.example.com/api/threads User-Agent A Phone"
		desktop        = "GET http://m.example.com/api/threads User-Agent Desk"
		beta, noBeta   = "GET /api/threads?x=2&beta=yes", "GET /api/threads?beta=no"
		post           = "GET /api/posts"
		testersPost    = "GET /api/posts X-Tester yes"
		rest           = "GET /api/tags"
	)
	everything := []string{read, write, testersWrite, testersRead, phone, phoneElsewhere, desktop, beta, noBeta, post, testersPost, rest}
	tests := []struct {
		phase, rest string
		want        map[string]string // who answers; api answers the others
	}{
		{phase: "users=parallel,threads=parallel,posts=parallel"},
		// Some requests of a service go first, others later. Testers come before a share for everybody.
		{phase: "users/writes=switched,threads/mobile=switched,posts=0%", want: map[string]string{
			write: "users", testersWrite: "users", phone: "threads", testersPost: "posts"}},
		{phase: "users=switched,users/writes=10%,threads/beta=switched", want: map[string]string{
			read: "users", testersRead: "users", write: "users 10%, api 90%", testersWrite: "users", beta: "threads"}},
		{phase: "users=switched,users/writes=monolith,threads=switched,posts=switched", rest: "monolith", want: map[string]string{
			read: "users", testersRead: "users", phone: "threads", beta: "threads", post: "posts", testersPost: "posts"}},
		{phase: "switched", rest: "monolith", want: map[string]string{
			read: "users", write: "users", testersWrite: "users", testersRead: "users", phone: "threads", beta: "threads", post: "posts", testersPost: "posts"}},
		{phase: "users=switched,threads=switched,posts=switched,api=removed", want: map[string]string{
			read: "users", write: "users", testersWrite: "users", testersRead: "users", phone: "threads", beta: "threads", post: "posts", testersPost: "posts",
			phoneElsewhere: "drop-traffic", desktop: "drop-traffic", noBeta: "drop-traffic", rest: "drop-traffic"}},
	}
	for _, test := range tests {
		change := settings{"phase": test.phase}
		if test.rest != "" {
			change["rest"] = test.rest
		}
		m := model.Read(synthRouting(t, routed(), change))
		table, err := rules.Build(m)
		if err != nil {
			t.Fatal(err)
		}
		for _, request := range everything {
			want := test.want[request]
			if want == "" {
				want = monolith.Name
			}
			if got := answers(t, table, request); got != want {
				t.Errorf("%s %s: %s goes to %s, want %s", test.phase, test.rest, request, got, want)
			}
		}
	}
}

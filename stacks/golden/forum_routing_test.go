package golden_test

import (
	"testing"

	"cutover/internal/golden"
	"cutover/internal/model"
	"cutover/internal/rules"
)

// TestRouting says where a request goes in each phase, by the synthesized
// listener, rules and target groups. What reaches drop-traffic is answered with
// 503 by the load balancer.
func TestRouting(t *testing.T) {
	const drop = "drop-traffic"
	phases := []string{"monolith", "parallel", golden.Canary, "switched", "retired", "removed", golden.Places}
	tests := []struct {
		request string
		want    [7]string
	}{
		// In the order of the phases: monolith, parallel, a canary of users, switched, retired,
		// removed; and with users switched, a tenth of the posts, and the threads in the monolith.
		{"GET /", [7]string{"api", "api", "api", drop, drop, drop, "api"}},
		{"GET /api", [7]string{"api", "api", "api", drop, drop, drop, "api"}},
		{"GET /api/", [7]string{"api", "api", "api", drop, drop, drop, "api"}},
		{"GET /api/users", [7]string{"api", "api", "users 10%, api 90%", "users", "users", "users", "users"}},
		{"GET /api/users/", [7]string{"api", "api", "users 10%, api 90%", "users", "users", "users", "users"}},
		{"GET /api/users/1", [7]string{"api", "api", "users 10%, api 90%", "users", "users", "users", "users"}},
		{"GET /api/threads", [7]string{"api", "api", "api", "threads", "threads", "threads", "api"}},
		{"GET /api/threads/3", [7]string{"api", "api", "api", "threads", "threads", "threads", "api"}},
		{"GET /api/posts", [7]string{"api", "api", "api", "posts", "posts", "posts", "posts 10%, api 90%"}},
		{"GET /api/posts/in-thread/1", [7]string{"api", "api", "api", "posts", "posts", "posts", "posts 10%, api 90%"}},
		{"GET /api/posts/by-user/2?page=1", [7]string{"api", "api", "api", "posts", "posts", "posts", "posts 10%, api 90%"}},
		// A pattern has no regard for where a path's segment ends.
		{"GET /api/usersfoo", [7]string{"api", "api", "users 10%, api 90%", "users", "users", "users", "users"}},
		// The method decides nothing.
		{"POST /api/users", [7]string{"api", "api", "users 10%, api 90%", "users", "users", "users", "users"}},
		// What no service has is the monolith's, as long as it answers.
		{"GET /api/tags", [7]string{"api", "api", "api", drop, drop, drop, "api"}},
		{"GET /index.html", [7]string{"api", "api", "api", drop, drop, drop, "api"}},
		// The query is no part of the path.
		{"GET /?/api/users", [7]string{"api", "api", "api", drop, drop, drop, "api"}},
		// The load balancer's patterns are case-sensitive though the services' routes
		// are not. Such requests end at the switch.
		{"GET /API/users", [7]string{"api", "api", "api", drop, drop, drop, "api"}},
		// The load balancer compares normalized paths.
		{"GET /api/%75sers", [7]string{"api", "api", "users 10%, api 90%", "users", "users", "users", "users"}},
		{"GET /api/x/../users", [7]string{"api", "api", "users 10%, api 90%", "users", "users", "users", "users"}},
		{"GET /api/users/../threads", [7]string{"api", "api", "api", "threads", "threads", "threads", "api"}},
	}
	for i, phase := range phases {
		table, err := rules.Build(model.Read(golden.Read(t, root, phase)))
		if err != nil {
			t.Fatal(err)
		}
		for _, test := range tests {
			request, err := rules.ParseRequest(test.request)
			if err != nil {
				t.Fatal(err)
			}
			decision, err := table.Route(request)
			if err != nil {
				t.Fatal(err)
			}
			if got := decision.String(); got != test.want[i] {
				t.Errorf("%v: %s goes to %s, want %s\n%s", phase, test.request, got, test.want[i], decision.Explain())
			}
		}
	}
}

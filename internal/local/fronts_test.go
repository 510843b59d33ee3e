package local

import (
	"strings"
	"testing"

	"cutover/internal/assembly"
	"cutover/internal/local/alb"
	"cutover/internal/model"
	"cutover/internal/rules"
)

// The way of a request goes through API Gateway to the rules of the load balancer, with the reason of each hop.
func TestHops(t *testing.T) {
	a, err := assembly.Read("apigateway/testdata/front")
	if err != nil {
		t.Fatal(err)
	}
	m := model.Read(a)
	table, err := rules.Build(m)
	if err != nil {
		t.Fatal(err)
	}
	const to = "sends GET /api/users/1?a=b to the load balancer dev-Routing/LoadBalancerBE9EEC3A, port 80"
	for asked, want := range map[string][]string{
		"/api/users/1?a=b": {"GET /live/api/users/1?a=b", "resource /api/users/{proxy+} is the most specific one for /api/users/1, and has the method ANY", `{proxy} is "1"`,
			"the method needs no authorization", "at most 1000 requests a second, and 500 at once", to, "api", "GET /api/users/1?a=b on HTTP:80"},
		"/live/api/users/1?a=b": {"GET /live/api/users/1?a=b", to},
		"POST /api/users": {"resource /api/users is the most specific one for /api/users, and has the method POST",
			"the method needs a signature of execute-api, by somebody who may do execute-api:Invoke on arn:aws:execute-api:", "/live/POST/api/users",
			"sends POST /api/users to the load balancer", "api"},
		"/api/users": {"answers are kept for 1m0s, told apart by method.request.querystring.limit, method.request.querystring.after; no answer is kept for it now", "sends GET /api/users to"},
		"/":          {"resource / is the most specific one for /", "sends GET / to"},
		// For the load balancer itself.
		"http://forum.example:80/api/users": {"GET forum.example:80/api/users on HTTP:80"},
	} {
		routes, err := Routes(m, table, alb.Asked{Request: asked})
		if err != nil || len(routes) != 1 {
			t.Errorf("%s: %+v, %v", asked, routes, err)
			continue
		}
		one := routes[0]
		text := one.Action + "\n" + one.Explanation
		for _, hop := range one.Hops {
			text += "\n" + hop.Front + "\n" + hop.Request + "\n" + strings.Join(hop.Why, "\n") + "\n" + hop.Does
		}
		for _, part := range want {
			if !strings.Contains(text, part) {
				t.Errorf("%s: no %q in\n%s", asked, part, text)
			}
		}
		if strings.HasPrefix(asked, "http") != (len(one.Hops) == 0) {
			t.Errorf("%s has the hops %+v", asked, one.Hops)
		}
	}
	delete(a.Stack("dev-Front").Resource("ApiproxyANY").Properties, "HttpMethod") // which leaves no method for other paths
	m = model.Read(a)
	routes, err := Routes(m, table, alb.Asked{Request: "/favicon.ico"})
	if err != nil || routes[0].Action != "answers 403 Missing Authentication Token" || routes[0].Hops[0].Why[0] != "no resource of the API is for GET /favicon.ico" {
		t.Errorf("a path without a resource: %+v, %v", routes, err)
	}
}

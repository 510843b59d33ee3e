package review_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"cutover/config"
	"cutover/internal/analysis/review"
	"cutover/migration"
)

// A change of services or their settings says who answers other requests, where the migration is and
// in each phase.
func TestAnswers(t *testing.T) {
	phases := migration.PhaseNames()[:4]
	const share = "parallel with 10 % each"
	tests := []struct {
		name     string
		phase    string
		change   func(d *config.Deployment)
		want     []string
		settings []string
	}{
		{"nothing", "parallel", func(d *config.Deployment) { d.Services[0].Tasks = 7 }, nil, nil},
		{"another order of the list", "parallel", func(d *config.Deployment) { d.Services[0], d.Services[1] = d.Services[1], d.Services[0] }, nil, nil},
		{"the rest", "switched", func(d *config.Deployment) { d.KeepRest = true }, []string{
			"everything else: nobody (503) → api in HERE retired", "everything else at press: nobody (503) → api in HERE retired",
		}, []string{"The setting rest becomes monolith: api keeps what no service claims, and is never retired."}},
		{"a root service", "users=10%", func(d *config.Deployment) { d.RootService = "users" }, []string{
			"/: nobody (503) → users in switched retired", "/api: nobody (503) → users in switched retired", "/api/: nobody (503) → users in switched retired",
		}, []string{"The setting rootService becomes users, which answers the root paths from switched on."}},
		{"another method", "users=switched,posts/writes=switched", func(d *config.Deployment) { d.Services[1].Routes[1].Methods = []string{"PUT"} }, []string{
			"/api/posts* with method POST: posts → nobody (503) in switched retired",
			"/api/posts* with method PUT: nobody (503) → posts in switched retired",
			"/api/posts* with method POST: 10 % posts, 90 % api → api in " + share,
			"/api/posts* with method PUT: api → 10 % posts, 90 % api in " + share,
			"/api/posts* with method POST: posts → api in HERE",
			"/api/posts* with method PUT: api → posts in HERE",
		}, nil},
		{"a condition more", "users=switched", func(d *config.Deployment) {
			d.Services[0].Routes = []config.Route{{Order: 10, Paths: []string{"/api/users*"}, Hosts: []string{"a.example"}}}
			d.Services[0].Testers = nil
		}, []string{
			"/api/users*: users → nobody (503), in part users in switched retired",
			"/api/users* with header x-canary 1: users → nobody (503) in switched retired",
			"/api/users*: 10 % users, 90 % api, in part users → api, in part 10 % users, 90 % api in " + share,
			"/api/users* with header x-canary 1: users → api in " + share + " HERE",
			"/api/users*: users → api, in part users in HERE",
		}, []string{"users has no testers any more: all requests get its share."}},
		{"other testers", "users=5%", func(d *config.Deployment) { d.Services[0].Testers = map[string][]string{"Cookie": {"*canary=1*"}} }, []string{
			"/api/users* with header x-canary 1: users → 10 % users, 90 % api in " + share,
			"/api/users* with header Cookie *canary=1*: 10 % users, 90 % api → users in " + share,
			"/api/users* with header x-canary 1: users → 5 % users, 95 % api in HERE",
			"/api/users* with header Cookie *canary=1*: 5 % users, 95 % api → users in HERE",
		}, []string{"Testers reach users while it has a share: requests with header Cookie *canary=1*."}},
		{"another load balancer", "monolith", func(d *config.Deployment) { d.Services[2].LoadBalancer, d.Services[2].Order = "", 99 }, []string{
			"/api/news* at press: api → no such load balancer in HERE parallel",
			"everything else at press: api → no such load balancer in HERE parallel " + share,
			"/api/news*: nobody (503) → news in switched retired",
			"/api/news* at press: news → no such load balancer in switched retired",
			"everything else at press: nobody (503) → no such load balancer in switched retired",
			"/api/news*: api → 10 % news, 90 % api in " + share,
			"/api/news* at press: 10 % news, 90 % api → no such load balancer in " + share,
		}, nil},
		{"a service that goes", "users=switched,news=switched", func(d *config.Deployment) { d.Services = d.Services[:2] }, []string{
			"/api/news* at press: api → no such load balancer in monolith parallel",
			"everything else at press: api → no such load balancer in monolith parallel " + share + " HERE",
			"/api/news* at press: news → no such load balancer in switched retired HERE",
			"everything else at press: nobody (503) → no such load balancer in switched retired",
			"/api/news* at press: 10 % news, 90 % api → no such load balancer in " + share,
		}, nil},
		{"a service that comes, and is switched", "users=switched", func(d *config.Deployment) {
			d.Services = append(d.Services, config.Service{Name: "tags", Paths: []string{"/api/tags*", "/api/t"}, Order: 40, Tasks: 1})
		}, []string{
			"/api/tags*: nobody (503) → tags in switched retired", "/api/t: nobody (503) → tags in switched retired",
			"/api/tags*: api → 10 % tags, 90 % api in " + share, "/api/t: api → 10 % tags, 90 % api in " + share,
			"/api/tags*: api → tags in HERE", "/api/t: api → tags in HERE",
		}, nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			d := shop()
			test.change(&d)
			before := where(t, shop(), test.phase)
			to := test.phase
			switch test.name {
			case "a service that goes":
				to = "users=switched"
			case "a service that comes, and is switched":
				to += ",tags=switched"
			}
			after := where(t, d, to)
			var got []string
			for _, a := range review.Answers(before, after, phases) {
				line := a.Requests
				if a.LoadBalancer != "" {
					line += " at " + a.LoadBalancer
				}
				if a.Requests == "" || a.Before == a.After {
					t.Errorf("%+v", a)
				}
				got = append(got, fmt.Sprintf("%s: %s → %s in %s", line, a.Before, a.After, strings.ReplaceAll(strings.Join(a.In, " "), before.Name(), "HERE")))
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(test.settings, append([]string(nil), review.Settings(before.Migration, after.Migration)...)); diff != "" {
				t.Errorf("settings (-want +got):\n%s", diff)
			}
		})
	}
}

package config_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"cutover/config"
)

// TestPageWrites: the page offers to write to a service that keeps its records, unless a write needs a signature.
func TestPageWrites(t *testing.T) {
	users := config.Service{Name: "users", Paths: []string{"/api/users*"}, Order: 10}
	below := config.Service{Name: "posts", Paths: []string{"/api/users/*/posts"}, Order: 5}
	threads := config.Service{Name: "threads", Paths: []string{"/api/threads*"}, Order: 20}
	for name, test := range map[string]struct {
		store     string
		signature string // of users
		want      string
	}{
		"without a store":                  {"", "", "posts=false users=false threads=false"},
		"without a store, with signatures": {"", config.AWSIAM, "posts=false users=false threads=false"},
		"with a store":                     {"postgres", "", "posts=true users=true threads=true"},
		// A path below /api/users may be a request of users, too.
		"with a store and signatures": {"postgres", config.AWSIAM, "posts=false users=false threads=true"},
	} {
		t.Run(name, func(t *testing.T) {
			users.API.WriteAuthorization = test.signature
			all := context{"ui": "on"}
			if test.store != "" {
				all["store"] = test.store
			}
			d, s, err := config.Load(config.Deployment{Monolith: config.Service{Name: "api", Paths: []string{"/api*"}}, Services: []config.Service{below, users, threads}}, front(all), func(string) string { return "" })
			if err != nil {
				t.Fatal(err)
			}
			text, _, _ := strings.Cut(strings.TrimPrefix(d.PageFunction(s), "var deployment = "), ";\n")
			var page struct {
				Services []struct {
					Name   string
					Writes *bool
				}
			}
			if err := json.Unmarshal([]byte(text), &page); err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, service := range page.Services {
				got = append(got, fmt.Sprintf("%s=%t", service.Name, *service.Writes))
			}
			if got := strings.Join(got, " "); got != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
		})
	}
}

// This app puts two services beside a shop that another team runs, and moves paths of the shop to them.
//
// Run it in this directory, with the cdk command.
package main

import (
	"os"

	"cutover/config"
	"cutover/stacks"
)

func main() {
	os.Exit(stacks.Run(config.Deployment{
		Monolith: config.Service{Name: "shop"},
		Services: []config.Service{
			part(config.Service{Name: "orders", Paths: []string{"/api/orders*"}, Order: 10}),
			part(config.Service{Name: "catalog", Paths: []string{"/api/catalog*"}, Order: 20}),
		},
	}))
}

// part fills in what both services have. Dir is the directory from the root of the repository.
func part(s config.Service) config.Service {
	s.Image = config.Dockerfile{Dir: "examples/adopt/app"}
	s.Command = []string{"node", "server.js", s.Name}
	s.Port = 8080
	s.HealthCheck.Path = "/healthz"
	s.Compute = config.Fargate{}
	return s
}

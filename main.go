// Cutover deploys a forum API to AWS, as a monolith and as the microservices
// that take its place, and moves the traffic from one to the others.
//
// It is a CDK app: run it with the cdk command, or with make.
package main

import (
	"os"

	"cutover/internal/config"
	"cutover/stacks"
)

// deployment lists the services. To add one, give it an entry here and a main
// package in services/.
var deployment = config.Deployment{
	Monolith: config.Service{Name: "api", Paths: []string{"/api*"}},
	Services: []config.Service{
		{Name: "users", Paths: []string{"/api/users*"}, Order: 10},
		{Name: "threads", Paths: []string{"/api/threads*"}, Order: 20},
		{Name: "posts", Paths: []string{"/api/posts*"}, Order: 30},
	},
}

func main() {
	os.Exit(stacks.Run(deployment))
}

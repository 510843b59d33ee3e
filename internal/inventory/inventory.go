// Package inventory lists the services of the forum API that this repository
// deploys. It is plain data, for the CDK app and for the tools beside it.
package inventory

import "cutover/internal/config"

// Forum lists the services. To add one, give it an entry here and a main
// package in services/.
var Forum = config.Deployment{
	Monolith: config.Service{Name: "api", Paths: []string{"/api*"}},
	Services: []config.Service{
		{Name: "users", Paths: []string{"/api/users*"}, Order: 10},
		{Name: "threads", Paths: []string{"/api/threads*"}, Order: 20},
		{Name: "posts", Paths: []string{"/api/posts*"}, Order: 30},
	},
}

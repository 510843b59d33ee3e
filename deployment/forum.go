package deployment

import "cutover/config"

// Forum is the forum API, an example: a monolith, and the microservices that replace it. Most tests use
// it, whatever is deployed. To add a service, add an entry here and a main package in services/.
var Forum = config.Deployment{
	Monolith: config.Service{Name: "api", Paths: []string{"/api*"}},
	Services: []config.Service{
		{Name: "users", Paths: []string{"/api/users*"}, Order: 10},
		{Name: "threads", Paths: []string{"/api/threads*"}, Order: 20},
		{Name: "posts", Paths: []string{"/api/posts*"}, Order: 30},
	},
}

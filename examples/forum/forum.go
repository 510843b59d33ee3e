// Package forum lists the services of the forum, the example that is deployed, and that most tests use.
package forum

import "cutover/config"

// Forum is the forum API: a monolith, and the microservices that replace it. To add a
// service, add an entry here and a main package in services/.
var Forum = config.Deployment{
	Monolith: config.Service{Name: "api", Paths: []string{"/api*"}},
	Services: []config.Service{
		{Name: "users", Paths: []string{"/api/users*"}, Order: 10},
		{Name: "threads", Paths: []string{"/api/threads*"}, Order: 20},
		{Name: "posts", Paths: []string{"/api/posts*"}, Order: 30},
	},
}

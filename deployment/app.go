// Package deployment lists what is deployed.
package deployment

import "cutover/config"

// App is what is deployed: a monolith, and the microservices that replace it. It is the forum API, an
// example. To deploy your own app, write your own list of services.
var App = config.Deployment{
	Monolith: config.Service{Name: "api", Paths: []string{"/api*"}},
	Services: []config.Service{
		{Name: "users", Paths: []string{"/api/users*"}, Order: 10},
		{Name: "threads", Paths: []string{"/api/threads*"}, Order: 20},
		{Name: "posts", Paths: []string{"/api/posts*"}, Order: 30},
	},
}

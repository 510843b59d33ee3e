package golden

import "cutover/config"

// Forum is the deployment of the golden assemblies, and the example of the tests. What is deployed may
// be something else: deployment.App.
var Forum = config.Deployment{
	Monolith: config.Service{Name: "api", Paths: []string{"/api*"}},
	Services: []config.Service{
		{Name: "users", Paths: []string{"/api/users*"}, Order: 10},
		{Name: "threads", Paths: []string{"/api/threads*"}, Order: 20},
		{Name: "posts", Paths: []string{"/api/posts*"}, Order: 30},
	},
}

package deployment

import "cutover/config"

// Forum is the forum API, an example: a monolith, and the microservices that replace it. Most tests use
// it, whatever is deployed. To add a service, add an entry here and a main package in services/.
var Forum = config.Deployment{
	Monolith: config.Service{Name: "api", Paths: []string{"/api*"}},
	// What a service refuses may depend on the records of others: a thread needs a user.
	Services: []config.Service{
		{Name: "users", Paths: []string{"/api/users*"}, Order: 10, StoreCalls: []string{"threads", "posts"}, Publishes: true},
		{Name: "threads", Paths: []string{"/api/threads*"}, Order: 20, StoreCalls: []string{"users", "posts"}, Publishes: true},
		{Name: "posts", Paths: []string{"/api/posts*"}, Order: 30, StoreCalls: []string{"users", "threads"}, Publishes: true, History: true},
	},
	// With events, a service reads what the others publish, and another one has a queue of work.
	WithEvents: []config.Service{
		{Name: "feed", Paths: []string{"/api/feed*"}, Order: 40, Store: config.DynamoDB{}, Consumes: []config.Source{{Of: "users"}, {Of: "threads"}, {Of: "posts"}}},
		{Name: "deletions", Paths: []string{"/api/deletions*"}, Order: 50, StoreCalls: []string{"users", "threads", "posts"}, Work: &config.Work{}},
	},
	// With a database, a rehearsal also writes.
	StoreRoutes: "deployment/forum.yaml",
	EventRoutes: "deployment/events.yaml",
	// Each collection and each record. Among them are unknown ids, ids written in another way, and
	// unknown paths, which must get the same 404 before and after.
	Requests: []string{
		"/api/users", "/api/users/1", "/api/users/2", "/api/users/3", "/api/users/4",
		"/api/users/", "/api/users/5", "/api/users/03", "/api/users/2nd", "/api/users/%31", "/api/users/1/posts", "/api/usersfoo",
		"/api/threads", "/api/threads/1", "/api/threads/2", "/api/threads/3",
		"/api/threads/", "/api/threads/4", "/api/threads/none", "/api/threads/1/posts",
		"/api/posts", "/api/posts/in-thread/1", "/api/posts/in-thread/2", "/api/posts/in-thread/3", "/api/posts/in-thread/4",
		"/api/posts/by-user/1", "/api/posts/by-user/2", "/api/posts/by-user/3", "/api/posts/by-user/4", "/api/posts/by-user/5",
		"/api/posts/", "/api/posts/1", "/api/posts/in-thread",
	},
}

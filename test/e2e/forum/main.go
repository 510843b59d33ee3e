// Forum is the CDK app of the forum, whatever is deployed. The variable CUTOVER_E2E_APP names another list
// of services.
package main

import (
	"os"
	"slices"

	"cutover/config"
	"cutover/deployment"
	"cutover/stacks"
	"cutover/test/e2e/moving"
)

func main() {
	bridged := calling(false)
	bridged.Services[1].Compute = config.EC2{}
	signed := deployment.Forum
	signed.Services = slices.Clone(signed.Services)
	signed.Services[0].API = config.API{WriteAuthorization: config.AWSIAM, Validate: []config.Validated{{Method: "POST", Path: "/api/users", Schema: "stacks/testdata/user.schema.json"}}}
	signed.Services[1].API.Cache = []config.Cached{{Path: "/api/threads", Query: []string{"limit"}, TTLSeconds: 60}}
	signed.Services[2].API.RateLimit, signed.Services[2].API.BurstLimit = 100, 200
	changed := deployment.Forum
	changed.Services = slices.Clone(changed.Services)
	changed.Services[0].Environment = map[string]string{"CHANGED": "1"}
	apps := map[string]config.Deployment{"": moving.Of(os.Getenv(moving.Variable)), "signed": signed, "changed": changed, "names": calling(true), "balanced": calling(false), "bridged": bridged,
		"events": eventful(nil), "filtered": eventful(map[string][]string{"key": {"1"}})}
	os.Exit(stacks.Run(apps[os.Getenv("CUTOVER_E2E_APP")]))
}

// eventful is the forum with posts in PostgreSQL, whatever the setting is, and a filter on what feed consumes of users.
func eventful(filter map[string][]string) config.Deployment {
	d := deployment.Forum
	d.Services, d.WithEvents = slices.Clone(d.Services), slices.Clone(d.WithEvents)
	d.Services[2].Store = config.AuroraPostgreSQL{}
	feed := &d.WithEvents[0]
	feed.Consumes = slices.Clone(feed.Consumes)
	feed.Consumes[0].Filter = filter
	return d
}

// calling is the forum with services that call each other: by names of all kinds, and pages through the load
// balancer. Without names they call each other through the load balancer alone. The monolith and threads use a message broker.
func calling(named bool) config.Deployment {
	d := deployment.Forum
	d.Services = append(slices.Clone(d.Services), config.Service{Name: "pages", Paths: []string{"/api/pages*"}, Order: 40, Image: config.Registry{Name: "public.ecr.aws/nginx/nginx:1.29"}})
	users, threads, posts := &d.Services[0], &d.Services[1], &d.Services[2]
	users.Compute, threads.Compute = config.Fargate{}, config.EC2{NetworkMode: "awsvpc"}
	d.Monolith.Calls, threads.Calls = []string{"threads", "posts", "pages"}, []string{"users", "posts"}
	d.Monolith.Broker, threads.Broker = config.RabbitMQ, config.RabbitMQ
	if named {
		users.Discovery, threads.Discovery = []config.Discovery{config.ServiceConnect{}}, []config.Discovery{config.CloudMap{}}
		posts.Discovery = []config.Discovery{config.CloudMap{TTLSeconds: 5}}
	}
	return d
}

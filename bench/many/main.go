// Many is the CDK app of a deployment with any number of services. Run it in the root of the
// repository, like the CDK command line, with the number of services in CUTOVER_BENCH_SERVICES.
// The monolith is one of them. The forum has 4.
//
//	CUTOVER_BENCH_SERVICES=30 npx cdk synth --app "go run ./bench/many"
//
// With -forum it has the forum's services instead, and with -fargate they run on Fargate. With -connect
// the first one is also called by the second one, by Service Connect.
//
// With -core it synthesizes only the stacks of bench/peer/app.js. With -images it brings the
// images' build contexts up to date and prints them by service, as JSON.
//
// All services run the program services/internal/echo.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"slices"
	"strconv"

	"cutover/config"
	"cutover/deployment"
	"cutover/stacks"
)

func main() {
	onlyCore := flag.Bool("core", false, "synthesize network, cluster, load balancers and services only")
	onlyImages := flag.Bool("images", false, "synthesize nothing, and print the images' build contexts")
	ofForum := flag.Bool("forum", false, "have the forum's services, whatever the number")
	onFargate := flag.Bool("fargate", false, "run all services on Fargate")
	connected := flag.Bool("connect", false, "let the second service call the first one by Service Connect")
	flag.Parse()
	const variable = "CUTOVER_BENCH_SERVICES"
	n, err := strconv.Atoi(os.Getenv(variable))
	if err != nil || n < 2 {
		fmt.Fprintf(os.Stderr, "many: %s=%q: give the number of services, 2 or more: the monolith and what takes its paths over\n", variable, os.Getenv(variable))
		os.Exit(2)
	}
	d := many(n)
	if *ofForum {
		d = deployment.Forum
	}
	d.Services = slices.Clone(d.Services)
	if *onFargate {
		d.Monolith.Compute = config.Fargate{}
		for i := range d.Services {
			d.Services[i].Compute = config.Fargate{}
		}
	}
	if *connected {
		d.Services[0].Discovery = []config.Discovery{config.ServiceConnect{}}
		d.Services[1].Calls = []string{d.Services[0].Name}
	}
	switch {
	case *onlyCore:
		err = core(d)
	case *onlyImages:
		var contexts map[string]string
		if contexts, err = stacks.Images(context.Background(), d.All(), "amd64"); err == nil {
			err = json.NewEncoder(os.Stdout).Encode(contexts)
		}
	default:
		os.Exit(stacks.Run(d))
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "many: %v\n", err)
		os.Exit(1)
	}
}

// oneBalancer is the number of services of one load balancer. It has 100 target groups: one is
// the monolith's, and one is for dropped traffic.
const oneBalancer = 98

// many has the monolith and n-1 services. Each service takes one path over. Services
// without room at the first load balancer are behind a further one.
func many(n int) config.Deployment {
	const program = "services/internal/echo"
	// With 64 units and 64 MiB a hundred fit on the four instances of the default settings.
	service := func(name, path string, order int) config.Service {
		return config.Service{Name: name, Paths: []string{path}, Order: order, Image: config.GoPackage{Dir: program}, CPU: 64, MemoryReservationMiB: 64}
	}
	d := config.Deployment{Monolith: service("api", "/api*", 0)}
	for i := 1; i < n; i++ {
		// The names have one width, so that no path begins with another service's.
		name := fmt.Sprintf("service-%03d", i)
		further := service(name, "/api/"+name+"*", i)
		if i > oneBalancer {
			further.LoadBalancer = "further"
		}
		d.Services = append(d.Services, further)
	}
	return d
}

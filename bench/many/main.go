// Many is the CDK app of a deployment with any number of services, to measure what
// grows with it. It stands where main.go does: run it from the root of the
// repository, as the CDK command line would, with the number of services, the
// monolith among them, in CUTOVER_BENCH_SERVICES. With 4 it is as large as the
// deployment in main.go.
//
//	CUTOVER_BENCH_SERVICES=30 npx cdk synth --app "go run ./bench/many"
//
// All of them run one program, which answers every path with the same bytes
// whichever service it is (services/internal/echo).
package main

import (
	"fmt"
	"os"
	"strconv"

	"cutover/config"
	"cutover/stacks"
)

func main() {
	const variable = "CUTOVER_BENCH_SERVICES"
	n, err := strconv.Atoi(os.Getenv(variable))
	if err != nil || n < 2 {
		fmt.Fprintf(os.Stderr, "many: %s=%q: it must be the number of services, 2 or more: the monolith and what takes its paths over\n", variable, os.Getenv(variable))
		os.Exit(2)
	}
	os.Exit(stacks.Run(deployment(n)))
}

// oneBalancer is how many services one load balancer has target groups for beside
// those of the monolith and of dropped traffic: it has 100.
const oneBalancer = 98

// deployment has the monolith and n-1 services, of which each takes a path over.
// Those that one load balancer has no room for are behind a further one. More than
// that one has room for are refused by the checks of every deployment, as anything
// else that is wrong.
func deployment(n int) config.Deployment {
	const program = "services/internal/echo"
	// With 64 units and 64 MiB a hundred fit on the four instances of the default settings.
	service := func(name, path string, order int) config.Service {
		return config.Service{Name: name, Paths: []string{path}, Order: order, Dir: program, CPU: 64, MemoryReservationMiB: 64}
	}
	d := config.Deployment{Monolith: service("api", "/api*", 0)}
	for i := 1; i < n; i++ {
		// Of one width, so that no path begins with another service's.
		name := fmt.Sprintf("service-%03d", i)
		further := service(name, "/api/"+name+"*", i)
		if i > oneBalancer {
			further.LoadBalancer = "further"
		}
		d.Services = append(d.Services, further)
	}
	return d
}

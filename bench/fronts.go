package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"

	"cutover/internal/assembly"
	"cutover/internal/local/apigateway"
	"cutover/internal/local/backing/access"
	"cutover/internal/local/cloudfront"
	"cutover/internal/local/provider"
	"cutover/internal/model"
)

const (
	// frontRate is in requests per second. Four processes share the machine with the load.
	frontRate     = 200
	frontDuration = 2 * time.Second
)

// frontDir has an assembly with an API and two distributions before a load balancer. What they do is as in the forum's
// templates; a resource with a cache and a page that is kept are beside it.
var frontDir = filepath.Join("bench", "front")

// The fronts, by their logical ids in that assembly. The distribution beforeAPI asks the API, and beforeBalancer asks the
// load balancer.
const (
	theAPI         = "Api"
	beforeAPI      = "BeforeApi"
	beforeBalancer = "BeforeLoadBalancer"
)

// caches are requests that a cache answers, or does not, by the front that is asked.
var caches = []struct{ name, front, route string }{
	{"api-hit", "apigateway", "/live/kept/1?n=0"},
	{"api-miss", "apigateway", "/live/kept/1?n=1%08d"},
	{"page-hit", "cloudfront", "/kept.html?n=0"},
	{"page-revalidated", "cloudfront", "/index.html"},
	{"page-miss", "cloudfront", "/kept.html?n=1%08d"},
}

// fronts measures what API Gateway and CloudFront add to a request on this machine, and what their caches do.
func (b *bench) fronts(out io.Writer) (err error) {
	fmt.Println("Asking through API Gateway and CloudFront")
	binary, err := b.compile("./services/users")
	if err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	if err := writeRouting(b.work); err != nil {
		return err
	}
	dir := filepath.Join(b.work, "front")
	if err := errors.Join(os.CopyFS(dir, os.DirFS(frontDir)), os.CopyFS(filepath.Join(dir, "page"), os.DirFS("web"))); err != nil {
		return err
	}
	addresses, err := freeAddresses(5)
	if err != nil {
		return err
	}
	front := func(name, id, next string) *subject {
		return &subject{name: name, command: func(address string) []string {
			return []string{self, "-front", id, dir, portOf(address), portOf(next)}
		}}
	}
	api := front("apigateway", theAPI, addresses[1])
	api.route = "/live" + route
	subjects := []*subject{ // the service is stopped last: the others hold connections to it
		{name: "service", env: []string{"LOG_LEVEL=warn"}, command: func(string) []string { return []string{binary} }},
		{name: "balancer", command: func(address string) []string { return []string{self, "-balancer", b.work, address, addresses[0]} }},
		api,
		front("cloudfront", beforeAPI, addresses[2]),
		front("cloudfront-balancer", beforeBalancer, addresses[1]),
	}
	stop, err := b.startAll(subjects, addresses)
	defer func() { err = errors.Join(err, stop()) }()
	if err != nil {
		return err
	}
	r := &results{}
	err = turns(b, b.rounds+1, subjects[1:], func(round int, s *subject) error {
		figures, err := s.server.hop(b.ctx)
		if round > 0 { // the first one opens the connections
			r.add("Fronts/through="+s.name, figures...)
		}
		return err
	})
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "GET %s through the load balancer, through API Gateway before it, and through CloudFront before both, and before\n"+
		"the load balancer alone. %d rounds of %d requests over %d connections, and of %d requests per second for %v. cpu-sec/req is that\nof the outermost front alone:\n\n",
		route, b.rounds, closedRequests, connections, frontRate, frontDuration)
	if err := r.compare(b.ctx, out, b.work, "through", "balancer", "apigateway", "cloudfront", "cloudfront-balancer"); err != nil {
		return err
	}
	kept, err := b.loadCaches(subjects)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "\nA GET whose answer API Gateway keeps, and the page of CloudFront, %d rounds of %d requests per second for %v:\n\n", b.rounds, frontRate, frontDuration)
	if err := kept.compare(b.ctx, out, b.work, "answer", "api-miss", "api-hit"); err != nil {
		return err
	}
	fmt.Fprintln(out)
	return kept.compare(b.ctx, out, b.work, "answer", "page-miss", "page-revalidated", "page-hit")
}

// loadCaches asks for answers that a cache has, and for others, in turns.
func (b *bench) loadCaches(subjects []*subject) (*results, error) {
	r := &results{}
	clients := map[string]*client{}
	defer func() {
		for _, c := range clients {
			c.http.CloseIdleConnections()
		}
	}()
	return r, turns(b, b.rounds+1, caches, func(round int, c struct{ name, front, route string }) error {
		for _, s := range subjects {
			if s.name != c.front {
				continue
			}
			if clients[c.name] == nil {
				clients[c.name] = newClient(s.server.client.address, c.route)
			}
			latencies, err := clients[c.name].openLoop(b.ctx, frontRate, frontDuration)
			if round > 0 && err == nil {
				r.add("Caches/answer="+c.name, figure{latencies.P50.Seconds(), "p50-sec"}, figure{latencies.P99.Seconds(), "p99-sec"})
			}
			return err
		}
		return fmt.Errorf("nothing is called %s", c.front)
	})
}

// hop loads a front, and returns its figures.
func (s *server) hop(ctx context.Context) ([]figure, error) {
	pid := s.process.Process.Pid
	before, err := processorTime(pid, false)
	if err != nil {
		return nil, err
	}
	perSecond, err := s.client.closedLoop(ctx, closedRequests)
	if err != nil {
		return nil, err
	}
	after, err := processorTime(pid, false)
	if err != nil {
		return nil, err
	}
	latencies, err := s.client.openLoop(ctx, frontRate, frontDuration)
	return []figure{
		{latencies.P50.Seconds(), "p50-sec"}, {latencies.P99.Seconds(), "p99-sec"},
		{perSecond, "req/s"}, {(after - before).Seconds() / closedRequests, "cpu-sec/req"},
	}, err
}

// balancerPort is where the load balancer behind a front answers.
type balancerPort int

// Address implements what the fronts ask.
func (b balancerPort) Address(string, int) int { return int(b) }

// serveFront runs an API or a distribution of the assembly in a directory, by its logical id, at a port and before another,
// until the context ends.
func serveFront(ctx context.Context, dir, id, at, behind string) error {
	var port, next int
	if _, err := fmt.Sscan(at+" "+behind, &port, &next); err != nil {
		return fmt.Errorf("-front %s: ports %q and %q: %w", id, at, behind, err)
	}
	a, err := assembly.Read(dir)
	if err != nil {
		return err
	}
	a.Locate(provider.Account, provider.Region)
	m := model.Read(a)
	told := func(e provider.Event) { fmt.Fprintln(os.Stderr, e.Message) }
	var p provider.Provider
	if id == theAPI {
		p = apigateway.New(apigateway.Options{Dir: dir, Port: port, Balancers: balancerPort(next), Access: access.New(), Events: told})
	} else {
		m.Distributions = slices.DeleteFunc(m.Distributions, func(d *model.Distribution) bool { return d.Resource.LogicalID != id })
		p = cloudfront.New(cloudfront.Options{Port: port, Balancers: balancerPort(next), APIs: func(string) int { return next }, Events: told})
	}
	plan := p.Plan(m, func(any) (string, error) { return "front.example", nil }) // a name, which only the Host has
	if err := plan.Check(); err != nil {
		return err
	}
	for _, stack := range a.Stacks {
		if err := plan.Update(ctx, stack.Name); err != nil {
			return err
		}
	}
	<-ctx.Done()
	ctx, cancel := context.WithTimeout(context.Background(), stopTimeout/2)
	defer cancel()
	return p.Stop(ctx)
}

package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"cutover/internal/assembly"
	"cutover/internal/local/alb"
	"cutover/internal/model"
)

// route is what is asked for: one record, so that most of the work is the
// proxy's and not the service's.
const route = "/api/users/1"

// measureBalancer puts the load balancer and nginx in front of the same service,
// loads them and the service itself in turns, and prints how they do. Without
// nginx it says so and measures nothing, with CI set it fails.
func measureBalancer(ctx context.Context, out io.Writer, work string, rounds int) error {
	nginx, err := exec.LookPath("nginx")
	if err != nil {
		// Where Debian has it, and the path of an ordinary user has not.
		nginx, err = exec.LookPath("/usr/sbin/nginx")
	}
	if err != nil {
		missing := "there is no nginx to measure the load balancer against: install nginx-light, or the package that your system calls nginx"
		if os.Getenv("CI") != "" {
			return errors.New(missing)
		}
		return fmt.Errorf("%w: %s", errSkipped, missing)
	}
	profile := filepath.Join(work, "balancer.profile")
	servers, err := measureServers(ctx, work, nginx, profile, rounds)
	if err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	where, err := shares(ctx, self, profile, "", profiledOfBalancer)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "GET %s through the load balancer of this machine and through nginx, %d rounds of %d requests over\n"+
		"%d connections, and of %d requests per second for %v:\n\n", route, rounds, closedRequests, connections, openRate, openDuration)
	fmt.Fprint(out, balancerTable(servers[0], servers[1], servers[2]))
	fmt.Fprintf(out, "\nWhere the load balancer's time goes:\n\n%s", where)
	return nil
}

// profiledOfBalancer are the functions in the load balancer's profile.
var profiledOfBalancer = []profiledFunction{
	{"system calls: reads, writes, waiting for either", `syscall/linux\.Syscall6`},
	{"the Go scheduler, between connections", `runtime\.schedule`},
	{"allocation", `runtime\.mallocgc`},
	{"garbage collection", `runtime\.gcBgMarkWorker`},
	{"net/http: reads and parses the request", `net/http\.\(\*conn\)\.readRequest`},
	{"net/http: writes the head and sends the answer", `net/http\.\(\*response\)\.finishRequest`},
	{"the load balancer: everything", `loadbalancer\.\(\*front\)\.ServeHTTP`},
	{"the load balancer: asks the target and passes on", `loadbalancer\.\(\*proxy\)\.exchange`},
	{"of that: reads the answer's head", `loadbalancer\.\(\*targetConn\)\.readResponse`},
	{"the load balancer: its line in the access log", `loadbalancer\.\(\*accessLog\)\.write`},
}

// measureServers starts the service, the load balancer and nginx, measures them
// and stops them. It returns them in this order. A load balancer more leaves a
// profile in a file.
func measureServers(ctx context.Context, work, nginx, profile string, rounds int) (servers []*server, err error) {
	defer func() {
		// The service last, since the others hold connections to it.
		for _, s := range slices.Backward(servers) {
			err = errors.Join(err, s.stop())
		}
	}()
	start := func(name, address string, env []string, command ...string) error {
		s, err := startServer(ctx, name, address, nil, env, command...)
		if s != nil {
			servers = append(servers, s)
		}
		return err
	}

	binary := filepath.Join(work, "users")
	if err := command(ctx, "go", "build", "-o", binary, "./services/users"); err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	addresses, err := freeAddresses(3)
	if err != nil {
		return nil, err
	}
	service, balancer, other := addresses[0], addresses[1], addresses[2]
	_, port, _ := net.SplitHostPort(service)
	// Without its own access log, the service leaves more of the machine to what
	// is measured.
	if err := start("service alone", service, []string{"PORT=" + port, "LOG_LEVEL=warn"}, binary); err != nil {
		return servers, err
	}
	if err := start("load balancer", balancer, nil, self, "-balancer", work, balancer, service); err != nil {
		return servers, err
	}
	config := filepath.Join(work, "nginx.conf")
	if err := os.WriteFile(config, []byte(nginxConfig(other, service)), 0o600); err != nil {
		return servers, err
	}
	if err := start("nginx", other, nil, nginx, "-e", "stderr", "-p", work, "-c", config); err != nil {
		return servers, err
	}

	for round := range rounds + 1 {
		order := slices.Clone(servers)
		if round%2 == 1 {
			slices.Reverse(order)
		}
		for _, s := range order {
			if err := s.measure(ctx); err != nil {
				return servers, cmp.Or(context.Cause(ctx), fmt.Errorf("%s: %w", s.name, err))
			}
			if round == 0 { // to warm up
				s.perSecond, s.p99 = nil, nil
			}
		}
	}
	more, err := freeAddresses(1)
	if err != nil {
		return servers, err
	}
	s, err := startServer(ctx, "profiled load balancer", more[0], nil, nil, self, "-balancer", work, "-profile", profile, more[0], service)
	if err == nil {
		_, err = s.client.closedLoop(ctx, 10*closedRequests)
	}
	if s != nil {
		err = errors.Join(err, s.stop())
	}
	return servers, err
}

// balancerTable has a line for each, and the ratios of the rounds. The CPU time
// is that of all requests together, since it hardly changes with what else the
// machine does.
func balancerTable(service, balancer, nginx *server) string {
	var b strings.Builder
	line := func(cells ...any) { fmt.Fprintf(&b, "%-22s %-26s %-26s %s\n", cells...) }
	line("", "requests/s (min to max)", "p99, ms (min to max)", "CPU, µs a request")
	for _, s := range []*server{service, balancer, nginx} {
		cpu := fmt.Sprintf("%.1f", s.cpuPerRequest())
		if s == service {
			cpu = "-" // it also works for the others
		}
		line(s.name, spread(s.perSecond, 0), spread(s.p99, 2), cpu)
	}
	line("load balancer / nginx", spread(ratios(balancer.perSecond, nginx.perSecond), 2), spread(ratios(balancer.p99, nginx.p99), 2),
		fmt.Sprintf("%.2f", balancer.cpuPerRequest()/nginx.cpuPerRequest()))
	return b.String()
}

// nginxConfig has nginx do what the load balancer does: one rule, connections
// that are kept on both sides, the headers that a target gets, and a line with
// the same facts in the access log for every request, written at once. It has
// as many processors as Go takes.
func nginxConfig(listen, target string) string {
	return fmt.Sprintf(`daemon off;
worker_processes %d;
error_log stderr warn;
pid nginx.pid;
events {}
http {
	log_format alb '$scheme $time_iso8601 $remote_addr:$remote_port $upstream_addr $request_time $upstream_connect_time '
		'$upstream_response_time $status $upstream_status $request_length $bytes_sent "$request" "$http_user_agent" '
		'"$ssl_cipher" "$ssl_protocol" "$request_id" "$host"';
	access_log nginx.log alb;
	keepalive_requests 1000000000;
	upstream users {
		server %s;
		keepalive %d;
		keepalive_requests 1000000000;
	}
	server {
		listen %s;
		location /api/users {
			proxy_pass http://users;
			proxy_http_version 1.1;
			proxy_set_header Connection "";
			proxy_set_header Host $http_host;
			proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
			proxy_set_header X-Forwarded-Proto $scheme;
			proxy_set_header X-Forwarded-Port $server_port;
			proxy_set_header X-Amzn-Trace-Id Root=$request_id;
		}
		location / {
			return 404;
		}
	}
}
`, runtime.GOMAXPROCS(0), target, connections, listen)
}

// serveBalancer is the load balancer that is measured, with a rule as the
// deployment's own, until the context ends. Its files are in a directory.
func serveBalancer(ctx context.Context, dir, listen, target string) error {
	for name, text := range map[string]string{
		"manifest.json": `{"artifacts": {"Bench": {"type": "aws:cloudformation:stack", "environment": "aws://unknown-account/unknown-region",
			"properties": {"templateFile": "template.json"}}}}`,
		"template.json": `{"Resources": {
			"Lb": {"Type": "AWS::ElasticLoadBalancingV2::LoadBalancer", "Properties": {"Type": "application"}},
			"Http": {"Type": "AWS::ElasticLoadBalancingV2::Listener", "Properties": {
				"LoadBalancerArn": {"Ref": "Lb"}, "Port": 80, "Protocol": "HTTP",
				"DefaultActions": [{"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "404"}}]}},
			"Rule": {"Type": "AWS::ElasticLoadBalancingV2::ListenerRule", "Properties": {
				"ListenerArn": {"Ref": "Http"}, "Priority": 1,
				"Conditions": [{"Field": "path-pattern", "Values": ["/api/users*"]}],
				"Actions": [{"Type": "forward", "TargetGroupArn": {"Ref": "Users"}}]}},
			"Users": {"Type": "AWS::ElasticLoadBalancingV2::TargetGroup", "Properties": {
				"Port": 80, "Protocol": "HTTP", "HealthCheckPath": "/api/users/1"}}}}`,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			return err
		}
	}
	a, err := assembly.Read(dir)
	if err != nil {
		return err
	}
	config, err := alb.Read(model.Read(a))
	if err != nil {
		return err
	}
	log, err := os.Create(filepath.Join(dir, "access.log"))
	if err != nil {
		return err
	}
	defer log.Close()
	balancer, err := alb.New(alb.Options{AccessLog: log})
	if err != nil {
		return err
	}
	if err := balancer.Configure(config); err != nil {
		return err
	}
	if err := balancer.Register("Bench/Users", alb.Target{ID: "users", Address: target}); err != nil {
		return err
	}
	ln, err := net.Listen("tcp", listen)
	if err != nil {
		return err
	}
	context.AfterFunc(ctx, func() {
		ctx, cancel := context.WithTimeout(context.Background(), stopTimeout/2)
		defer cancel()
		_ = balancer.Shutdown(ctx) // what is cut off is an error to its client
	})
	return balancer.Serve("Bench/Http", ln)
}

// stopTimeout is how long a server may take to end.
const stopTimeout = 10 * time.Second

// server is a process that answers requests, and what was measured of it.
type server struct {
	name   string
	client *client
	// perSecond and p99 have a value for each round: requests per second when
	// there is always a next one, and milliseconds at a fixed rate.
	perSecond, p99 []float64
	// cpu is the time of the process and its descendants, user and system, once
	// it is stopped.
	cpu time.Duration

	process *exec.Cmd
	output  bytes.Buffer
	cancel  func()
	exited  chan error
}

// startServer starts a server and waits until it answers. What it writes to its
// standard output goes to a file, without one to what is said after an error. If
// there is a server, it has to be stopped even after an error.
func startServer(ctx context.Context, name, address string, stdout *os.File, env []string, command ...string) (*server, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	s := &server{name: name, client: newClient(address), cancel: func() { cancel(nil) }, exited: make(chan error, 1)}
	s.process = exec.CommandContext(ctx, command[0], command[1:]...)
	s.process.Env = append(os.Environ(), env...)
	s.process.Stdout, s.process.Stderr = &s.output, &s.output
	if stdout != nil {
		s.process.Stdout = stdout
	}
	s.process.Cancel = func() error { return s.process.Process.Signal(syscall.SIGTERM) }
	s.process.WaitDelay = stopTimeout
	if err := s.process.Start(); err != nil {
		s.cancel()
		return nil, err
	}
	go func() {
		s.exited <- s.process.Wait()
		cancel(errors.New("the process has ended"))
	}()
	if err := s.client.awaitAnswer(ctx); err != nil {
		return s, fmt.Errorf("%s: %w", name, err)
	}
	return s, nil
}

// measure adds a round.
func (s *server) measure(ctx context.Context) error {
	perSecond, err := s.client.closedLoop(ctx, closedRequests)
	if err != nil {
		return err
	}
	latencies, err := s.client.openLoop(ctx, openRate, openDuration)
	s.perSecond, s.p99 = append(s.perSecond, perSecond), append(s.p99, latencies.P99.Seconds()*1000)
	return err
}

// stop ends the process and waits for it. Its error is that of a process that
// did not end as it was told to, with what it had to say.
func (s *server) stop() error {
	s.client.http.CloseIdleConnections()
	s.cancel()
	err := <-s.exited
	s.cpu = s.process.ProcessState.UserTime() + s.process.ProcessState.SystemTime()
	told := false // to end, and has no way of its own to do so
	if status, ok := s.process.ProcessState.Sys().(syscall.WaitStatus); ok {
		told = status.Signaled() && status.Signal() == syscall.SIGTERM
	}
	if err != nil && !told && !errors.Is(err, context.Canceled) {
		return fmt.Errorf("%s: %w\n%s", s.name, err, s.output.Bytes())
	}
	return nil
}

// cpuPerRequest is in microseconds, over everything that a server was sent.
func (s *server) cpuPerRequest() float64 {
	return float64(s.cpu.Microseconds()) / float64(s.client.sent.Load())
}

// freeAddresses are addresses on this machine that nobody listens on.
func freeAddresses(n int) ([]string, error) {
	var addresses []string
	for range n {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		// Not before all are taken, so that they differ.
		defer ln.Close()
		addresses = append(addresses, ln.Addr().String())
	}
	return addresses, nil
}

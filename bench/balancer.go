package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"

	"cutover/internal/assembly"
	"cutover/internal/local/alb"
	"cutover/internal/model"
)

// balancer measures the load balancer, nginx, and the service behind both, in turns. With CI
// set, a missing nginx is an error.
func (b *bench) balancer(out io.Writer) (err error) {
	nginx, err := exec.LookPath("nginx")
	if err != nil {
		nginx, err = exec.LookPath("/usr/sbin/nginx") // Debian's place, not in every PATH
	}
	if err != nil {
		missing := "there is no nginx to compare the load balancer with: install nginx-light, or your system's package of nginx"
		if os.Getenv("CI") != "" {
			return errors.New(missing)
		}
		return fmt.Errorf("%w: %s", errSkipped, missing)
	}
	binary, err := b.compile("./services/users")
	if err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	addresses, err := freeAddresses(3)
	if err != nil {
		return err
	}
	config := filepath.Join(b.work, "nginx.conf")
	if err := os.WriteFile(config, []byte(nginxConfig(addresses[2], addresses[0])), 0o600); err != nil {
		return err
	}
	if err := writeRouting(b.work); err != nil {
		return err
	}
	subjects := []*subject{ // the service is stopped last: the others hold connections to it
		// An access log would take from the others' machine.
		{name: "service", env: []string{"LOG_LEVEL=warn"}, command: func(string) []string { return []string{binary} }},
		{name: "balancer", command: func(address string) []string { return []string{self, "-balancer", b.work, address, addresses[0]} }},
		{name: "nginx", command: func(string) []string { return []string{nginx, "-e", "stderr", "-p", b.work, "-c", config} }},
	}
	stop, err := b.startAll(subjects, addresses)
	defer func() { err = errors.Join(err, stop()) }()
	if err != nil {
		return err
	}
	r, err := b.loadAll("Balancer", subjects, func(*subject) ([]figure, error) { return nil, nil })
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "GET %s through the load balancer of this machine, through nginx, and of the service itself. %d rounds\n"+
		"of %d requests over %d connections, and of %d requests per second for %v:\n\n", route, b.rounds, closedRequests, connections, openRate, openDuration)
	return r.compare(b.ctx, out, b.work, "server", "nginx", "balancer", "service")
}

// nginxConfig makes nginx do the load balancer's work: one rule, kept connections on both sides,
// the headers for a target, and an access log with the same facts, written at once. It uses as
// many processors as Go.
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

// routingTemplate is the deployed routing of the forum after the cut-over, relative to the root
// of the repository.
var routingTemplate = filepath.Join("stacks", "golden", "switched", "dev-Routing.json")

// writeRouting writes an assembly of that template.
func writeRouting(dir string) error {
	template, err := os.ReadFile(routingTemplate)
	if err != nil {
		return err
	}
	const manifest = `{"artifacts": {"dev-Routing": {"type": "aws:cloudformation:stack",
		"environment": "aws://unknown-account/unknown-region", "properties": {"templateFile": "template.json"}}}}`
	return errors.Join(
		os.WriteFile(filepath.Join(dir, "template.json"), template, 0o600),
		os.WriteFile(filepath.Join(dir, "manifest.json"), []byte(manifest), 0o600))
}

// serveBalancer runs the load balancer until the context ends. The directory has its assembly,
// and gets its access log.
func serveBalancer(ctx context.Context, dir, listen, target string) error {
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
	for _, group := range config.TargetGroups {
		if group.Name == "users" {
			err = balancer.Register(group.Key(), "users", target)
		}
	}
	if err != nil {
		return err
	}
	ln, err := net.Listen("tcp", listen)
	if err != nil {
		return err
	}
	context.AfterFunc(ctx, func() {
		ctx, cancel := context.WithTimeout(context.Background(), stopTimeout/2)
		defer cancel()
		_ = balancer.Shutdown(ctx) // a request that is cut off is an error of its client
	})
	return balancer.Serve(config.Listeners[0].Resource.String(), ln)
}

package alb

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"cutover/internal/assembly"
	"cutover/internal/local/provider"
	"cutover/internal/model"
	"cutover/internal/rules"
)

// network is a template of a Network Load Balancer with a listener that forwards to the group A.
func network(protocol, listener, group string) string {
	return fmt.Sprintf(`{"Resources": {
		"Lb": {"Type": "AWS::ElasticLoadBalancingV2::LoadBalancer", "Properties": {"Type": "network", "Name": "flows", "Subnets": ["s"], "SecurityGroups": ["g"],
			"LoadBalancerAttributes": [{"Key": "dns_record.client_routing_policy", "Value": "any_availability_zone"}, {"Key": "load_balancing.cross_zone.enabled", "Value": "true"}]}},
		"Listener": {"Type": "AWS::ElasticLoadBalancingV2::Listener", "Properties": {"LoadBalancerArn": {"Ref": "Lb"}, "Port": 80, "Protocol": %q, %s
			"DefaultActions": [{"Type": "forward", "TargetGroupArn": {"Ref": "A"}}]}},
		"A": {"Type": "AWS::ElasticLoadBalancingV2::TargetGroup", "Properties": {"Name": "a", "Port": 80, "Protocol": "TCP", "VpcId": "v", %s "HealthCheckIntervalSeconds": 5, "HealthCheckTimeoutSeconds": 2}}}}`, protocol, listener, group)
}

// serveFlows serves such a template.
func serveFlows(t *testing.T, template string) *bench {
	t.Helper()
	m := model.Read(read(t, template))
	if _, err := Read(m); err != nil {
		t.Fatal(err)
	}
	return serve(t, rules.New(m.Listeners, nil, m.TargetGroups))
}

// echo is a target that says its id, and then what it is told, until it is told the end. It registers
// itself.
func (b *bench) echo(id string) net.Listener {
	b.t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.t.Fatal(err)
	}
	serveConns(b.t, ln, func(conn net.Conn) {
		_, _ = fmt.Fprintln(conn, id)
		_, _ = io.Copy(conn, conn)
		_, _ = io.WriteString(conn, "end")
	})
	b.register("A", id, ln.Addr().String())
	return ln
}

// flow is a connection of a client, of which the target has said its id.
type flow struct {
	net.Conn
	*bufio.Reader
	target string
}

func (f flow) Read(p []byte) (int, error) { return f.Reader.Read(p) }

func (b *bench) flow() flow {
	b.t.Helper()
	conn, err := net.Dial("tcp", b.address)
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	f := flow{conn, bufio.NewReader(conn), ""}
	f.target, err = f.ReadString('\n')
	if f.target = strings.TrimSpace(f.target); err != nil {
		b.t.Fatalf("no target has answered: %v", err)
	}
	return f
}

// answers says whether the connection lives.
func (f flow) answers() bool {
	_, err := fmt.Fprintln(f.Conn, "still there")
	line, err2 := f.ReadString('\n')
	return errors.Join(err, err2) == nil && line == "still there\n"
}

// fail makes a target unhealthy without the wait for its checks.
func (b *bench) fail(id string) {
	g := b.balancer.group("S/A")
	g.mu.Lock()
	failing := g.targets[find(g.targets, id)]
	g.mu.Unlock()
	for range 2 {
		g.checked(b.t.Context(), failing, failedHealthChecks, "")
	}
	b.untilState("A", id, Unhealthy)
}

func TestFlow(t *testing.T) {
	b := serveFlows(t, network("TCP", "", ""))
	b.echo("one")
	b.echo("two")
	seen := map[string]bool{}
	for i := 0; len(seen) < 2 && i < 200; i++ {
		f := b.flow()
		seen[f.target] = true
		f.Close()
	}
	if len(seen) != 2 {
		t.Errorf("of 200 connections all went to %v", seen)
	}
	f := b.flow()
	if !f.answers() {
		t.Error("a second line had no answer")
	}
	m := model.Read(read(t, network("TCP", "", "")))
	if err := b.balancer.Configure(rules.New(m.Listeners, nil, m.TargetGroups)); err != nil || !f.answers() {
		t.Errorf("a connection ends with another configuration: %v", err)
	}
	b.flow().Close()
	if err := f.Conn.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if rest, err := io.ReadAll(f); err != nil || string(rest) != "end" {
		t.Errorf("after the client has said all, the target says %q, %v, want end", rest, err)
	}
	for _, id := range []string{"one", "two"} { // with a connection in flight, this would take 300 s
		<-b.balancer.Deregister("S/A", id)
	}
	if len(b.exchanges) != 0 || b.log.Len() != 0 {
		t.Errorf("connections are told as requests: %v", b.exchanges)
	}
}

// Without a target, and with one that cannot be reached, a client is reset.
func TestFlowWithoutTarget(t *testing.T) {
	b := serveFlows(t, network("TCP", "", ""))
	reset := func(when string) {
		t.Helper()
		conn, err := net.Dial("tcp", b.address)
		if err == nil {
			_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
			_, err = conn.Read(make([]byte, 1))
			conn.Close()
		}
		if !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("%s the client sees %v, want a reset", when, err)
		}
	}
	reset("without a target")
	b.echo("one").Close()
	reset("with a dead target")
	// No target is healthy now, so the load balancer fails open.
	b.fail("one")
	reset("with an unhealthy target alone")
	b.echo("two")
	for range 20 {
		if f := b.flow(); f.target != "two" {
			t.Errorf("a connection goes to %s, which is unhealthy", f.target)
		}
	}
}

// A connection outlives the deregistration of its target, for the delay or, without termination, as long as
// the target.
func TestFlowsDrain(t *testing.T) {
	for _, c := range []struct {
		attributes string
		lives      bool
	}{
		{``, true},
		{`, {"Key": "deregistration_delay.connection_termination.enabled", "Value": "true"}`, false},
	} {
		m := model.Read(read(t, network("TCP", "", `"TargetGroupAttributes": [{"Key": "deregistration_delay.timeout_seconds", "Value": "3"}`+c.attributes+`],`)))
		if got := m.TargetGroups[0].DeregistrationDelay; got != 3*time.Second {
			t.Errorf("the delay is %v", got)
		}
		m.TargetGroups[0].DeregistrationDelay = 300 * time.Millisecond
		b := serve(t, rules.New(m.Listeners, nil, m.TargetGroups))
		b.echo("one")
		f, idle := b.flow(), b.flow()
		idle.Close()
		drained := b.balancer.Deregister("S/A", "one")
		if !f.answers() {
			t.Error("the connection ends with the deregistration")
		}
		select {
		case <-drained:
			t.Error("the target is drained while a connection lasts")
		default:
		}
		<-drained
		if f.answers() != c.lives {
			t.Errorf("with %q the connection lives after the delay: %v, want %v", c.attributes, !c.lives, c.lives)
		}
		b.echo("two")
		last := b.flow()
		drained = b.balancer.Deregister("S/A", "two")
		last.Close()
		<-drained
		f.Close()
	}
}

// The connections to a target that becomes unhealthy end, unless the group keeps them.
func TestUnhealthyFlows(t *testing.T) {
	for _, keep := range []bool{false, true} {
		b := serveFlows(t, network("TCP", "", fmt.Sprintf(`"TargetGroupAttributes": [{"Key": "target_health_state.unhealthy.connection_termination.enabled", "Value": "%t"}],`, !keep)))
		ln := b.echo("one")
		f := b.flow()
		ln.Close()
		b.fail("one")
		if f.answers() != keep {
			t.Errorf("the connection to an unhealthy target lives: %v, want %v", !keep, keep)
		}
	}
}

func TestFlowsOfAnAddress(t *testing.T) {
	b := serveFlows(t, network("TCP", "", `"TargetGroupAttributes": [{"Key": "stickiness.enabled", "Value": "true"}, {"Key": "stickiness.type", "Value": "source_ip"}],`))
	for _, id := range []string{"one", "two", "three"} {
		b.echo(id)
	}
	first := b.flow().target
	for range 20 {
		if next := b.flow().target; next != first {
			t.Fatalf("connections of an address go to %s and %s", first, next)
		}
	}
	<-b.balancer.Deregister("S/A", "nobody")
	b.balancer.Deregister("S/A", first)
	if next := b.flow().target; next == first {
		t.Error("a connection goes to a target that is deregistered")
	}
}

// A listener takes TLS away, and a group of protocol TLS encrypts again.
func TestFlowsWithTLS(t *testing.T) {
	b := serveFlows(t, strings.Replace(network("TLS", `"Certificates": [{"CertificateArn": "c"}],`, ""), `"Protocol": "TCP"`, `"Protocol": "TLS"`, 1))
	ln, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{b.balancer.certificate}})
	if err != nil {
		t.Fatal(err)
	}
	serveConns(t, ln, func(conn net.Conn) { _, _ = io.Copy(conn, conn) })
	b.register("A", "one", ln.Addr().String())
	conn, err := tls.Dial("tcp", b.address, &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_, _ = io.WriteString(conn, "secret")
	_ = conn.CloseWrite()
	if text, err := io.ReadAll(conn); err != nil || string(text) != "secret" {
		t.Errorf("the answer is %q, %v", text, err)
	}
}

// A connection that is idle for the listener's time ends.
func TestIdleFlow(t *testing.T) {
	m := model.Read(read(t, network("TCP", "", "")))
	if got := m.Listeners[0].FlowTimeout; got != 350*time.Second {
		t.Errorf("the default is %v", got)
	}
	m = model.Read(read(t, network("TCP", `"ListenerAttributes": [{"Key": "tcp.idle_timeout.seconds", "Value": "60"}],`, "")))
	if got := m.Listeners[0].FlowTimeout; got != time.Minute {
		t.Errorf("the time is %v", got)
	}
	m.Listeners[0].FlowTimeout = 50 * time.Millisecond
	b := serve(t, rules.New(m.Listeners, nil, m.TargetGroups))
	b.echo("one")
	f := b.flow()
	if rest, err := io.ReadAll(f); err != nil && !errors.Is(err, syscall.ECONNRESET) || len(rest) > 0 && string(rest) != "end" {
		t.Errorf("an idle connection ends with %q, %v", rest, err)
	}
}

// The plan serves listeners of both kinds, each on a port of its own, and takes no request for the one that
// forwards connections.
func TestProviderOfFlows(t *testing.T) {
	balancer, err := New(Options{})
	if err != nil {
		t.Fatal(err)
	}
	p := NewProvider(balancer, Ports{Free: true}, StandIns{}, func(e provider.Event) { t.Errorf("told %v", e) })
	defer func() {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_ = p.Stop(ctx)
	}()
	m := model.Read(read(t, network("TCP", "", "")))
	next := p.Plan(m, nil).(*plan)
	if err := errors.Join(next.Check(), next.Update(t.Context(), "S"), next.Clean(t.Context(), "S"), next.Close()); err != nil {
		t.Fatal(err)
	}
	over := fmt.Sprint(next.PassedOver())
	if want := "[{S/A/Properties.TargetGroupAttributes (preserve_client_ip.enabled) a preserve_client_ip.enabled targets see the load balancer's address, 127.0.0.1, in place of the client's}]"; over != want {
		t.Errorf("passed over is %s", over)
	}
	status := p.Status().(Status)
	if l := status.Listeners; len(l) != 1 || !strings.HasPrefix(l[0].URL, "tcp://localhost:") || l[0].Rules[0].Action != "a" {
		t.Errorf("the status is %+v", l)
	}
	if p.URL("/") != "" || len(p.Listeners()) != 0 {
		t.Errorf("requests go to %q", p.URL("/"))
	}
	if _, err := p.Route(Asked{Request: "/"}); err == nil || !strings.Contains(err.Error(), "no load balancer listens on port 80") {
		t.Errorf("the route of a request is known: %v", err)
	}
	name, err := next.Attribute(assembly.Ref{Resource: m.Assembly.Stack("S").Resource("Lb"), Attribute: "LoadBalancerFullName"})
	if err != nil || !strings.HasPrefix(fmt.Sprint(name), "net/flows/") {
		t.Errorf("the name is %v, %v", name, err)
	}
	if err := balancer.Register("S/A", "one", "127.0.0.1:9"); err != nil {
		t.Error(err)
	}
}

// The defaults of target groups behind a Network Load Balancer are others than those of Application Load
// Balancers.
func TestDefaultsOfFlows(t *testing.T) {
	all := []model.CodeRange{{From: 200, To: 399}}
	for _, c := range []struct {
		properties string
		protocol   string
		timeout    time.Duration
		codes      []model.CodeRange
		preserves  bool
	}{
		{``, "TCP", 10 * time.Second, all, true},
		{`"HealthCheckProtocol": "HTTP",`, "HTTP", 6 * time.Second, all, true},
		{`"HealthCheckProtocol": "HTTPS", "Matcher": {"HttpCode": "204"},`, "HTTPS", 10 * time.Second, []model.CodeRange{{From: 204, To: 204}}, true},
		{`"TargetType": "ip",`, "TCP", 10 * time.Second, all, false},
		{`"TargetType": "ip", "TargetGroupAttributes": [{"Key": "preserve_client_ip.enabled", "Value": "true"}],`, "TCP", 10 * time.Second, all, true},
		{`"TargetGroupAttributes": [{"Key": "preserve_client_ip.enabled", "Value": "false"}],`, "TCP", 10 * time.Second, all, false},
	} {
		text := strings.Replace(network("TCP", "", c.properties), `, "HealthCheckTimeoutSeconds": 2`, "", 1)
		g := model.Read(read(t, strings.Replace(text, `"HealthCheckIntervalSeconds": 5`, `"HealthCheckIntervalSeconds": 30`, 1))).TargetGroups[0]
		if h := g.Health; h.Protocol != c.protocol || h.Timeout != c.timeout || !slices.Equal(h.Codes, c.codes) || g.PreservesClient != c.preserves || len(g.Problems) > 0 {
			t.Errorf("%s: %+v, preserves the client's address: %v, %v", c.properties, h, g.PreservesClient, g.Problems)
		}
		if !g.CutUnhealthy || g.CutDraining || g.SourceIP || g.Stickiness != 0 {
			t.Errorf("%s: %+v", c.properties, g)
		}
	}
	if g := model.Read(read(t, template{}.json(t))).TargetGroups[0]; g.PreservesClient || g.CutUnhealthy {
		t.Errorf("a group of an Application Load Balancer has %+v", g)
	}
}

func TestFlowsHonoured(t *testing.T) {
	for _, c := range []struct{ listener, group, want string }{
		{"", "", ""},
		{"", `"TargetGroupAttributes": [{"Key": "proxy_protocol_v2.enabled", "Value": "true"}],`, "S/A/Properties.TargetGroupAttributes (proxy_protocol_v2.enabled): true is not honoured: the PROXY protocol is not spoken here"},
		{"", `"TargetGroupAttributes": [{"Key": "proxy_protocol_v2.enabled", "Value": "false"}],`, ""},
		{`"AlpnPolicy": ["HTTP2Only"],`, "", "S/Listener/Properties.AlpnPolicy: [HTTP2Only] is not honoured: no protocol is agreed on for a TLS listener here"},
		{`"AlpnPolicy": ["None"],`, "", ""},
		{`"ListenerAttributes": [{"Key": "tcp.idle_timeout.seconds", "Value": "59"}],`, "", "S/Listener/Properties.ListenerAttributes (tcp.idle_timeout.seconds): expected a whole number from 60 to 6000"},
		{"", `"HealthCheckProtocol": "HTTP", "HealthCheckPath": "/health", "Matcher": {"HttpCode": "200-399"},`, ""},
	} {
		_, err := Read(model.Read(read(t, network("TCP", c.listener, c.group))))
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s%s: %v, want %q", c.listener, c.group, err, c.want)
		}
	}
	m := model.Read(read(t, network("UDP", "", `"TargetGroupAttributes": [{"Key": "proxy_protocol_v2.enabled", "Value": "true"}],`)))
	p := NewProvider(&Balancer{}, Ports{Free: true}, StandIns{}, nil)
	if next := p.Plan(m, nil).(*plan); next.err == nil || len(next.table.Listeners) != 0 {
		t.Errorf("of UDP there is %v, %v", next.table.Listeners, next.err)
	}
}

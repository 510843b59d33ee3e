package alb

import (
	"context"
	"crypto/tls"
	"io"
	"log"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"cutover/internal/local/provider"
	"cutover/internal/model"
	"cutover/internal/rules"
)

// listener is what a listener does with requests. A listener does not change: another configuration
// has another listener.
type listener struct {
	route    *rules.Listener
	settings *model.LoadBalancer
	// scheme is http, https, tcp or tls. port is that of the template.
	scheme, port string
	logName      string
	forwards     map[*rules.Rule]*forward
	// deciding counts the requests that have no target yet.
	deciding atomic.Int64
}

// decide returns the present listener for a request. The request calls decided when it has its
// target.
func (f *front) decide() *listener {
	for {
		l := f.listener.Load()
		l.deciding.Add(1)
		if f.listener.Load() == l {
			return l
		}
		l.decided()
	}
}

func (l *listener) decided() { l.deciding.Add(-1) }

// replace gives requests another listener. It returns when all requests of the earlier listener
// have their targets: they no longer look for a target that goes out of service.
func (f *front) replace(l *listener) {
	old := f.listener.Swap(l)
	// To decide takes microseconds, and waits for nothing.
	for old.deciding.Load() > 0 {
		runtime.Gosched()
	}
}

// forward is a forward action.
type forward struct {
	choices    []choice
	total      int
	stickiness time.Duration
}

type choice struct {
	group      *group
	arn        string
	weight     int
	stickiness time.Duration // of the group
}

// pick chooses among the target groups by their weights. With stickiness the group in the client's
// cookie is preferred, whatever its weight.
// https://docs.aws.amazon.com/elasticloadbalancing/latest/application/rule-action-types.html#forward-actions
func (f *forward) pick(sticky string) *choice {
	n := rand.IntN(f.total)
	var picked *choice
	for i := range f.choices {
		c := &f.choices[i]
		if sticky == c.group.key {
			return c
		}
		if n -= c.weight; n < 0 && picked == nil {
			picked = c
		}
	}
	return picked
}

// host is the Host header for the target, if it is not preserved.
// https://docs.aws.amazon.com/elasticloadbalancing/latest/application/edit-load-balancer-attributes.html#host-header-preservation
// https://docs.aws.amazon.com/elasticloadbalancing/latest/userguide/how-elastic-load-balancing-works.html#http-headers
func (l *listener) host(sent string) string {
	sent = strings.ToLower(sent)
	name := hostOnly(sent)
	switch standard := l.port == "80" || l.port == "443"; {
	case standard:
		return name
	case name == sent:
		return sent + ":" + l.port
	}
	return sent
}

// front is a listener of the templates on a socket of this machine.
type front struct {
	balancer *Balancer
	key      string
	scheme   string
	tls      *tls.Config // nil without TLS
	listener atomic.Pointer[listener]
	server   server
	flows    *flows // the server of a Network Load Balancer; nil for HTTP
	// maxRequests is how many requests a connection serves in HTTP/2.
	maxRequests int64
	// port is the one in the template for which the socket was opened. localPort is the socket's.
	port, localPort int
}

// server takes the connections of a front.
type server interface {
	// Serve returns [http.ErrServerClosed] after Shutdown or Close.
	Serve(net.Listener) error
	provider.Server
}

// https://docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-troubleshooting.html#response-code-000
const maxRequests = 10_000

func newFront(b *Balancer, l *listener, ln net.Listener) *front {
	f := &front{balancer: b, key: l.route.Key(), scheme: l.scheme, maxRequests: maxRequests, port: l.route.Port, localPort: portOf(ln)}
	f.listener.Store(l)
	if !l.route.Application() {
		if f.scheme == "tls" {
			f.tls = &tls.Config{Certificates: []tls.Certificate{b.certificate}, MinVersion: tls.VersionTLS12}
		}
		f.flows = newFlows(f)
		f.server = f.flows
		return f
	}
	server := &http.Server{
		Handler: f,
		// Requests that are a little too large are read, so that their answer says why.
		// https://docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-limits.html#http-headers-quotas
		MaxHeaderBytes:               2 * maxRequestHeader,
		DisableGeneralOptionsHandler: true,
		ConnState:                    func(conn net.Conn, state http.ConnState) { conn.(*clientConn).state(state) },
		ConnContext: func(ctx context.Context, conn net.Conn) context.Context {
			return context.WithValue(ctx, clientKey{}, conn)
		},
		Protocols: new(http.Protocols),
		// https://docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-listeners.html#listener-configuration
		HTTP2: &http.HTTP2Config{MaxConcurrentStreams: 128},
		// net/http would write of unfinished handshakes and the like. Operators can do nothing
		// about them.
		ErrorLog: log.New(io.Discard, "", 0),
	}
	f.server = server
	server.Protocols.SetHTTP1(true)
	if f.scheme == "https" {
		// The connection has taken TLS away before net/http sees it.
		server.Protocols.SetUnencryptedHTTP2(true)
		config := &tls.Config{Certificates: []tls.Certificate{b.certificate}, MinVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"}}
		withoutHTTP2 := config.Clone()
		withoutHTTP2.NextProtos = []string{"http/1.1"}
		config.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) {
			if f.listener.Load().settings.HTTP2 {
				return nil, nil
			}
			return withoutHTTP2, nil
		}
		f.tls = config
	}
	return f
}

func portOf(ln net.Listener) int { return ln.Addr().(*net.TCPAddr).Port }

// retire closes the socket now, and each connection when its requests are answered.
func (f *front) retire() { go func() { _ = f.server.Shutdown(context.Background()) }() }

func (f *front) idleTimeout() time.Duration { return f.listener.Load().settings.IdleTimeout }

// accepting makes a clientConn of every connection.
type accepting struct {
	net.Listener
	front *front
}

func (a accepting) Accept() (net.Conn, error) {
	conn, err := a.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return newClientConn(conn, a.front), nil
}

// localLocation is the URL of a redirect. If a listener of the same load balancer is served here,
// the URL has its local port.
func (b *Balancer) localLocation(l *listener, location string) string {
	u, err := url.Parse(location)
	if err != nil {
		return location
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, f := range b.fronts {
		other := f.listener.Load()
		if other.settings.Key() == l.settings.Key() && other.scheme == u.Scheme && other.port == u.Port() {
			u.Host = u.Hostname() + ":" + strconv.Itoa(f.localPort)
			return u.String()
		}
	}
	return location
}

// compile works out a listener of the table. The mutex is held.
func (b *Balancer) compile(route *rules.Listener) *listener {
	l := &listener{route: route, settings: route.LoadBalancer, scheme: strings.ToLower(route.Protocol), port: strconv.Itoa(route.Port), forwards: map[*rules.Rule]*forward{}}
	if l.settings == nil {
		l.settings = model.DefaultLoadBalancer(route.Resource)
		l.settings.Name = "load-balancer"
	}
	l.logName = logName(l.settings.Name, l.settings.Key())
	for _, rule := range route.Rules {
		if rule.Action.Forward == nil {
			continue
		}
		f := &forward{stickiness: time.Duration(rule.Action.StickinessSeconds) * time.Second}
		for _, weighted := range rule.Action.Forward {
			key := weighted.TargetGroup.Key()
			arn := groupARN(weighted.TargetGroup)
			f.choices = append(f.choices, choice{b.groups[key], arn, weighted.Weight, b.groups[key].config.Stickiness})
			f.total += weighted.Weight
		}
		l.forwards[rule] = f
	}
	return l
}

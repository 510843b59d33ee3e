package alb

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"runtime"
	"strconv"
	"sync/atomic"
	"time"

	"cutover/internal/local/provider"
	"cutover/internal/model"
	"cutover/internal/rules"
)

// listener is what a listener does with requests, worked out when the
// configuration is set. It does not change; another configuration has another.
type listener struct {
	route    *rules.Listener
	settings *model.LoadBalancer
	// scheme is http or https, port that of the template.
	scheme, port string
	logName      string
	groupARNs    map[*model.TargetGroup]string
	forwards     map[*rules.Rule]*forward
	// deciding counts the requests that have no target yet.
	deciding atomic.Int64
}

// decide returns the listener as it is now, for a request that says with decided
// when it needs no target any more.
func (f *front) decide() *listener {
	for {
		l := f.listener.Load()
		l.deciding.Add(1)
		if f.listener.Load() == l {
			return l
		}
		l.deciding.Add(-1)
	}
}

func (l *listener) decided() { l.deciding.Add(-1) }

// replace has requests follow another listener, and returns when all those that
// follow the one before have their targets. What is taken out of service after
// that is no longer looked for.
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
	route  *model.TargetGroup
	group  *group
	weight int
}

// pick chooses among the target groups by their weights. With stickiness the
// group named by the client's cookie is preferred, whatever its weight now.
// https://docs.aws.amazon.com/elasticloadbalancing/latest/application/rule-action-types.html#forward-actions
func (f *forward) pick(sticky string) *choice {
	if sticky != "" {
		for i := range f.choices {
			if f.choices[i].group.key == sticky {
				return &f.choices[i]
			}
		}
	}
	if f.total == f.choices[0].weight {
		return &f.choices[0]
	}
	n := rand.IntN(f.total)
	for i := range f.choices {
		if n -= f.choices[i].weight; n < 0 {
			return &f.choices[i]
		}
	}
	return &f.choices[0] // not reached: the weights add up to the total
}

// host is the Host header for the target.
// https://docs.aws.amazon.com/elasticloadbalancing/latest/application/edit-load-balancer-attributes.html#host-header-preservation
func (l *listener) host(sent string) string {
	if l.settings.PreserveHost {
		return sent
	}
	i := portIndex(sent)
	switch standard := l.port == "80" || l.port == "443"; {
	case standard && i >= 0:
		return sent[:i]
	case !standard && i < 0:
		return sent + ":" + l.port
	}
	return sent
}

// front is a listener of the templates on a socket of this machine.
type front struct {
	balancer *Balancer
	key      string
	secure   bool
	listener atomic.Pointer[listener]
	server   *http.Server
	// address is the local one.
	address net.Addr
}

func newFront(b *Balancer, l *listener, ln net.Listener) *front {
	f := &front{balancer: b, key: l.route.Resource.String(), secure: l.scheme == "https", address: ln.Addr()}
	f.listener.Store(l)
	f.server = &http.Server{
		Handler: f,
		// A little more is read than is allowed, so that it is turned down by what
		// is too large in it. https://docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-limits.html#http-headers-quotas
		MaxHeaderBytes:               2 * maxRequestHeader,
		DisableGeneralOptionsHandler: true,
		ConnState: func(conn net.Conn, state http.ConnState) {
			if c := clientOf(conn); c != nil {
				c.state(state)
			}
		},
		ConnContext: func(ctx context.Context, conn net.Conn) context.Context {
			return context.WithValue(ctx, clientKey{}, clientOf(conn))
		},
		// https://docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-listeners.html#listener-configuration
		HTTP2: &http.HTTP2Config{MaxConcurrentStreams: 128},
		// net/http would write of clients that do not finish a handshake and the
		// like: nothing that an operator can do something about.
		ErrorLog: log.New(io.Discard, "", 0),
	}
	if f.secure {
		config := &tls.Config{Certificates: []tls.Certificate{b.certificate}, MinVersion: tls.VersionTLS12}
		withoutHTTP2 := config.Clone()
		withoutHTTP2.NextProtos = []string{"http/1.1"}
		config.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) {
			if f.listener.Load().settings.HTTP2 {
				return nil, nil
			}
			return withoutHTTP2, nil
		}
		f.server.TLSConfig = config
	}
	return f
}

// retire has the front take no more connections, and end when the requests on
// those it has are answered.
func (f *front) retire() { go func() { _ = f.server.Shutdown(context.Background()) }() }

// serve takes connections until the listener is closed or the front is.
func (f *front) serve(ln net.Listener) error {
	var err error
	if f.secure {
		err = f.server.ServeTLS(accepting{ln, f}, "", "")
	} else {
		err = f.server.Serve(accepting{ln, f})
	}
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

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

// localLocation is the URL of a redirect with the local port, if it leads to a
// listener of the same load balancer that is served here.
func (b *Balancer) localLocation(l *listener, location string) string {
	u, err := url.Parse(location)
	if err != nil {
		return location
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, f := range b.fronts {
		other := f.listener.Load()
		if other.settings.Key() != l.settings.Key() || other.scheme != u.Scheme || other.port != u.Port() {
			continue
		}
		if address, ok := f.address.(*net.TCPAddr); ok {
			u.Host = u.Hostname() + ":" + strconv.Itoa(address.Port)
			return u.String()
		}
	}
	return location
}

// compile works out a listener of the table.
func (b *Balancer) compile(route *rules.Listener) *listener {
	l := &listener{
		route: route, scheme: "http", port: strconv.Itoa(route.Port),
		forwards: map[*rules.Rule]*forward{}, groupARNs: map[*model.TargetGroup]string{},
	}
	if route.Protocol == "HTTPS" {
		l.scheme = "https"
	}
	if l.settings = route.LoadBalancer; l.settings == nil {
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
			f.choices = append(f.choices, choice{weighted.TargetGroup, b.groups[weighted.TargetGroup.Key()], weighted.Weight})
			f.total += weighted.Weight
			l.groupARNs[weighted.TargetGroup] = provider.ARN("elasticloadbalancing", groupName(weighted.TargetGroup.Name, weighted.TargetGroup.Key()))
		}
		l.forwards[rule] = f
	}
	return l
}

package alb

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"strconv"
	"strings"
	"sync"

	"cutover/internal/model"
)

// doors lead tasks to load balancers that they ask for by a domain. The domain itself leads to AWS, and its
// certificate is there. A door takes requests without TLS, and asks the listener on this machine for the
// domain, as a client of the domain does.
type doors struct {
	mu   sync.Mutex
	open map[string]*http.Server // by the load balancer's key and the "domain:port"; Addr has their address
}

// door is the address of the door to a load balancer's listener, by a "domain:port".
func (p *Provider) door(balancer *model.LoadBalancer, domain string) (any, error) {
	p.doors.mu.Lock()
	defer p.doors.mu.Unlock()
	key := balancer.Key() + " " + domain
	if d := p.doors.open[key]; d != nil {
		return d.Addr, nil
	}
	socket, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("the domain %s cannot answer here: %w", domain, err)
	}
	silent := log.New(io.Discard, "", 0)
	server := &http.Server{
		Addr: fmt.Sprintf("localhost:%d", portOf(socket)), ErrorLog: silent, DisableGeneralOptionsHandler: true,
		Handler: &httputil.ReverseProxy{
			// The certificate is one of this machine, and so is the connection.
			Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableCompression: true, MaxIdleConnsPerHost: 64, IdleConnTimeout: balancer.IdleTimeout / 2},
			Rewrite:   func(r *httputil.ProxyRequest) { p.toListener(r, balancer.Key(), domain) },
			ErrorLog:  silent, FlushInterval: -1,
		},
	}
	go server.Serve(socket)
	if p.doors.open == nil {
		p.doors.open = map[string]*http.Server{}
	}
	p.doors.open[key] = server
	return server.Addr, nil
}

// toListener sends a request to the load balancer's listener of the port. Without one the answer is 502.
func (p *Provider) toListener(r *httputil.ProxyRequest, balancer, domain string) {
	for name, values := range r.In.Header {
		if strings.HasPrefix(name, "X-Forwarded-") || name == "Forwarded" {
			r.Out.Header[name] = values
		}
	}
	host, port, _ := net.SplitHostPort(domain)
	r.Out.Host, r.Out.URL.RawQuery = domain, r.In.URL.RawQuery
	for _, listener := range p.running.Load().table.Listeners {
		if listener.LoadBalancer.Key() != balancer || strconv.Itoa(listener.Port) != port {
			continue
		}
		r.Out.URL.Scheme, r.Out.URL.Host = strings.ToLower(listener.Protocol), fmt.Sprintf("127.0.0.1:%d", p.localPort(listener.Key()))
		if port == standardPort[listener.Protocol] {
			r.Out.Host = host
		}
	}
}

// standardPort has the ports that a client leaves out of the header Host.
var standardPort = map[string]string{"HTTP": "80", "HTTPS": "443"}

func (d *doors) close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	var errs []error
	for _, server := range d.open {
		errs = append(errs, server.Close())
	}
	return errors.Join(errs...)
}

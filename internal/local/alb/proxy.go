package alb

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"net/http"
	"strings"
	"sync"
	"time"

	"cutover/internal/rules"
)

// proxy answers one request.
type proxy struct {
	f      *front
	l      *listener
	client *clientConn
	w      http.ResponseWriter
	r      *http.Request
	x      Exchange
	// hosts are the Host headers of the client.
	hosts []string
	// closing says that both connections are closed after the request.
	closing bool
	// read says that the request is read to its end, uploaded that it was passed on or refused.
	read, uploaded bool
	// withGroup and withTarget are how long the client stays with its target group and its target.
	withGroup, withTarget time.Duration
}

var proxies = sync.Pool{New: func() any { return new(proxy) }}

// ServeHTTP answers a request as the listener's rules say.
func (f *front) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p := proxies.Get().(*proxy)
	p.f, p.w, p.r = f, w, r
	p.client = r.Context().Value(clientKey{}).(*clientConn)
	p.read = r.Body == http.NoBody
	defer func() {
		p.leave()
		p.x.End = time.Now()
		f.balancer.report(&p.x)
		*p = proxy{}
		proxies.Put(p)
	}()
	p.serve()
	if !p.read {
		p.discard()
	}
}

// adopt takes over the head that the client sent. It returns the status of a request that can go no
// further, and the sizes of the head and of its longest header.
func (p *proxy) adopt() (status, size, longest int) {
	r := p.r
	if r.ProtoMajor == 2 {
		// https://docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-troubleshooting.html#response-code-000
		if p.client.requests.Add(1) >= p.f.maxRequests {
			p.closeClient()
		}
		p.hosts = []string{r.Host}
		size, longest = headSize(r)
		return 0, size, longest
	}
	h := <-p.client.heads
	r.Method, r.RequestURI, r.Proto, r.Header = h.method, h.uri, h.proto, h.header
	r.Host, p.hosts = cmp.Or(h.authority, h.host), h.hosts
	p.x.Classification, p.x.ClassificationReason = h.tier.String(), h.reason
	if h.status == 0 && r.ProtoAtLeast(1, 1) && strings.EqualFold(r.Header.Get("Expect"), "100-continue") {
		// https://docs.aws.amazon.com/elasticloadbalancing/latest/userguide/how-elastic-load-balancing-works.html#http-headers
		p.giveTimeToRead()
		p.w.WriteHeader(http.StatusContinue)
	}
	if p.closing = h.tier.closes(p.l.settings.DesyncMitigation); p.closing {
		p.closeClient()
	}
	return h.status, h.size, h.longest
}

// closeClient has the answer close the client's connection.
func (p *proxy) closeClient() { p.w.Header()["Connection"] = []string{"close"} }

func (p *proxy) serve() {
	r, now := p.r, time.Now()
	l := p.f.decide()
	p.l = l
	refused, size, longest := p.adopt()
	p.x.Listener, p.x.Kind, p.x.Client, p.x.TLS = p.f.key, l.scheme, p.client.address, p.client.tls
	p.x.Method, p.x.Host, p.x.URI, p.x.Proto, p.x.Header = r.Method, r.Host, r.RequestURI, r.Proto, r.Header
	p.x.Received, p.x.Start, p.x.listener, p.x.trace = int64(size), now, l, p.client.trace
	if r.ProtoMajor == 2 {
		p.x.Kind = "h2"
	}
	if now.Sub(p.client.opened) >= p.client.keepAlive {
		p.closeClient()
	}
	if status := cmp.Or(turnDown(r, size, longest), refused); status != 0 {
		l.decided()
		p.answer(status, nil)
		return
	}
	request := rules.Request{Port: l.route.Port, Method: r.Method, Host: r.Host, Header: r.Header, SourceIP: p.client.address.Addr()}
	request.Path, request.Query, _ = strings.Cut(p.x.URI, "?")
	rule, err := l.route.Match(&request)
	if err != nil {
		l.decided()
		p.answer(http.StatusInternalServerError, err)
		return
	}
	p.x.Rule = rule
	var t *target
	if f := l.forwards[rule]; f != nil {
		t = p.pick(f)
	}
	l.decided()
	p.x.TraceID = trace(r.Header.Get(traceHeader), now, size)
	switch {
	case rule.Action.FixedResponse != nil:
		fixed := rule.Action.FixedResponse
		p.own(fixed.StatusCode, fixed.ContentType, fixed.Body)
	case rule.Action.Redirect != nil:
		decision := rules.Decision{Request: request, Listener: l.route, Rule: rule}
		p.x.Redirect = p.f.balancer.localLocation(l, decision.Location())
		p.w.Header()["Location"] = []string{p.x.Redirect}
		p.own(rule.Action.Redirect.StatusCode, "text/html", page(rule.Action.Redirect.StatusCode))
	case t == nil:
		p.answer(http.StatusServiceUnavailable, errNoTarget)
	case t.invocations != nil:
		p.invoke(t)
	default:
		defer t.release()
		p.exchange(t)
	}
}

var errNoTarget = errors.New("the target group has no registered target")

// pick chooses a group and its target. The target is in use until its release. Nil if the group has
// no target.
func (p *proxy) pick(f *forward) *target {
	seal := p.f.balancer.seal
	sticky := ""
	if p.withGroup = f.stickiness; p.withGroup > 0 {
		sticky = seal.open(p.r, groupCookie)
	}
	choice := f.pick(sticky)
	p.x.groupARN, p.x.Group = choice.arn, choice.group.key
	sticky = ""
	if p.withTarget = choice.stickiness; p.withTarget > 0 {
		key, id, _ := strings.Cut(seal.open(p.r, targetCookie), "\x00")
		if key == choice.group.key {
			sticky = id
		}
	}
	t := choice.group.pick(sticky)
	if t != nil {
		p.x.Target, p.x.Address = t.ID, t.Address
	}
	return t
}

// exchange sends the request to the target and the answer to the client.
func (p *proxy) exchange(t *target) {
	r, idle := p.r, p.l.settings.IdleTimeout
	c, err := t.pool.get(r.Context(), idle)
	if err != nil {
		p.failed(t, nil, err)
		return
	}
	// Without the client the target need not go on.
	stop := context.AfterFunc(r.Context(), func() { _ = c.Conn.Close() })
	reusable := false
	defer func() {
		if stop() && reusable {
			t.pool.put(c, idle)
		} else {
			c.close()
		}
	}()

	protocol := ""
	if r.ProtoMajor == 1 {
		protocol = upgrade(r.Header)
	}
	p.x.Dispatched = time.Now()
	_ = c.SetDeadline(p.x.Dispatched.Add(idle))
	p.writeHead(c.writer, protocol)
	err = c.writer.Flush()
	var up *upload
	if err == nil && !p.read {
		up = p.upload(c)
		defer up.wait()
	}
	var response *http.Response
	if err == nil {
		response, err = c.readResponse(r)
	}
	if err != nil {
		p.failed(t, up, err)
		return
	}
	p.x.Answered = time.Now()
	p.x.TargetStatus, p.x.Status = response.StatusCode, response.StatusCode
	switch {
	case response.StatusCode != http.StatusSwitchingProtocols:
		copyResponseHeader(p.w.Header(), response.Header)
		maps.Copy(p.w.Header(), p.l.route.ResponseHeaders)
		p.setCookies(t)
		p.respond(c, response, up)
		reusable = !response.Close && !p.closing && (up == nil || up.complete) && c.reader.Buffered() == 0
	case protocol == "":
		p.x.TargetStatus = 0
		p.answer(http.StatusBadGateway, errors.New("the target changes the protocol although nobody asked it to"))
	default:
		// From here on the client may end its direction and stay.
		stop()
		p.tunnel(c, response)
	}
}

var buffers = sync.Pool{New: func() any { return new([32 << 10]byte) }}

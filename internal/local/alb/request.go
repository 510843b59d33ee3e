package alb

import (
	"bufio"
	"net/http"
	"net/textproto"
	"slices"
	"strconv"
	"strings"
)

// Limits of a request. The first page has the sizes, the second page the answers.
// https://docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-limits.html#http-headers-quotas
// https://docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-troubleshooting.html#load-balancer-http-error-codes
const (
	maxRequestLine        = 16 << 10
	maxRequestHeaderLine  = 16 << 10
	maxRequestHeader      = 64 << 10
	maxForwardedAddresses = 30
)

// turnDown returns the status of a request that no rule sees; 0 if the request may go on.
func turnDown(r *http.Request, size, longest int) int {
	switch {
	// CONNECT is not documented. It is for another kind of proxy.
	case r.Method == http.MethodTrace || r.Method == http.MethodConnect:
		return http.StatusMethodNotAllowed
	case len(r.RequestURI) > maxRequestLine:
		return http.StatusRequestURITooLong
	case size > maxRequestHeader || longest > maxRequestHeaderLine:
		return http.StatusBadRequest
	}
	forwarded := 0
	for _, value := range r.Header["X-Forwarded-For"] {
		forwarded += 1 + strings.Count(value, ",")
	}
	if forwarded > maxForwardedAddresses {
		return statusTooManyForwarded
	}
	return 0
}

// headSize is the size of the request line and the headers in HTTP/1.1, and of the longest header.
func headSize(r *http.Request) (size, longest int) {
	size, longest = headerSize(r.Header)
	return size + len(r.Method) + len(r.RequestURI) + len("  HTTP/1.1\r\nHost: \r\n\r\n") + len(r.Host), longest
}

func headerSize(header http.Header) (size, longest int) {
	for key, values := range header {
		for _, value := range values {
			n := len(key) + len(value) + len(": \r\n")
			size += n
			longest = max(longest, n)
		}
	}
	return size, longest
}

// upgrade returns the protocol that a client asks to change to; empty if the client does not ask. HTTP/2
// has no such headers.
func upgrade(header http.Header) string {
	protocol := header.Get("Upgrade")
	if protocol == "" || !slices.Contains(listed(header), "Upgrade") {
		return ""
	}
	return protocol
}

var keepAlive = []string{"Keep-Alive"}

// listed returns the headers in a Connection header. They belong to one connection.
func listed(header http.Header) []string {
	values := header["Connection"]
	if len(values) == 0 {
		return nil
	}
	if len(values) == 1 && strings.EqualFold(values[0], "keep-alive") {
		return keepAlive
	}
	var names []string
	for _, value := range values {
		for name := range strings.SplitSeq(value, ",") {
			names = append(names, textproto.CanonicalMIMEHeaderKey(strings.TrimSpace(name)))
		}
	}
	return names
}

// hopByHop says whether a header belongs to one connection.
func hopByHop(key string) bool {
	switch key {
	case "Connection", "Keep-Alive", "Proxy-Connection", "Te", "Trailer", "Transfer-Encoding", "Upgrade":
		return true
	}
	return false
}

// validName says whether a header's name is valid: other headers may be dropped.
// https://docs.aws.amazon.com/elasticloadbalancing/latest/application/application-load-balancers.html#load-balancer-attributes
func validName(key string) bool {
	return !strings.ContainsFunc(key, func(c rune) bool {
		return !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-')
	})
}

// writeHead writes the request line and the headers for the target.
// https://docs.aws.amazon.com/elasticloadbalancing/latest/application/x-forwarded-headers.html
func (p *proxy) writeHead(w *bufio.Writer, upgrade string) {
	r := p.r
	write := func(parts ...string) {
		for _, part := range parts {
			_, _ = w.WriteString(part)
		}
	}
	line := func(key, value string) { write(key, ": ", value, "\r\n") }
	// Names of the client's headers, and of those about the body.
	// https://docs.aws.amazon.com/elasticloadbalancing/latest/userguide/how-elastic-load-balancing-works.html#http-headers
	name := func(key string) string { return key }
	if r.ProtoMajor == 2 {
		name = strings.ToLower
	}
	write(r.Method, " ", p.x.URI, " HTTP/1.1\r\n")
	p.forwardHeaders(name, line)
	switch {
	case upgrade != "":
		line("Connection", "Upgrade")
		line("Upgrade", upgrade)
	case r.ContentLength < 0:
		line(name("Transfer-Encoding"), "chunked")
	case r.ContentLength > 0 || len(r.Header["Content-Length"]) > 0:
		line(name("Content-Length"), strconv.FormatInt(r.ContentLength, 10))
	}
	write("\r\n")
}

// forwardHeaders passes on the headers for the target, but for those about the body and the connection. Name
// gives the names of the client's headers.
func (p *proxy) forwardHeaders(name func(key string) string, line func(key, value string)) {
	r, settings := p.r, p.l.settings
	if settings.PreserveHost {
		for _, host := range p.hosts {
			line("Host", host)
		}
	} else {
		line("Host", p.l.host(r.Host))
	}
	local := listed(r.Header)
	for key, values := range r.Header {
		if hopByHop(key) || settings.DropInvalidHeaders && !validName(key) || slices.Contains(local, key) {
			continue
		}
		switch key {
		// The load balancer has its own. It has answered Expect already.
		case "X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Port", traceHeader, "Content-Length", "Expect":
			continue
		}
		for _, value := range values {
			line(name(key), value)
		}
	}
	p.writeForwardedFor(line)
	line("X-Forwarded-Proto", p.l.scheme)
	line("X-Forwarded-Port", p.l.port)
	line(traceHeader, p.x.TraceID)
}

// writeForwardedFor writes X-Forwarded-For by its mode.
// https://docs.aws.amazon.com/elasticloadbalancing/latest/application/x-forwarded-headers.html#x-forwarded-for
func (p *proxy) writeForwardedFor(line func(key, value string)) {
	sent := p.r.Header["X-Forwarded-For"]
	switch p.l.settings.ForwardedFor {
	case "remove":
	case "preserve":
		for _, value := range sent {
			line("X-Forwarded-For", value)
		}
	default:
		address := p.client.forwarded
		if p.l.settings.ForwardedPort {
			address = p.client.forwardedPort
		}
		if len(sent) > 0 {
			address = strings.Join(sent, ", ") + ", " + address
		}
		line("X-Forwarded-For", address)
	}
}

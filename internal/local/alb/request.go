package alb

import (
	"net/http"
	"net/textproto"
	"slices"
	"strconv"
	"strings"
)

// Limits of a request. The quotas page gives the sizes, the troubleshooting page
// the answers.
// https://docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-limits.html#http-headers-quotas
// https://docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-troubleshooting.html#load-balancer-http-error-codes
const (
	maxRequestLine        = 16 << 10
	maxRequestHeaderLine  = 16 << 10
	maxRequestHeader      = 64 << 10
	maxForwardedAddresses = 30
)

// turnDown returns the status for a request that no rule gets to see, 0 for one
// that may go on.
func turnDown(r *http.Request, size, longest int) int {
	switch {
	// CONNECT is not documented; it asks for another kind of proxy.
	case r.Method == http.MethodTrace || r.Method == http.MethodConnect:
		return http.StatusMethodNotAllowed
	case len(r.RequestURI) > maxRequestLine:
		return http.StatusRequestURITooLong
	case size > maxRequestHeader || longest > maxRequestHeaderLine:
		return http.StatusBadRequest
	}
	if forwarded := r.Header["X-Forwarded-For"]; len(forwarded) > 0 {
		addresses := len(forwarded)
		for _, value := range forwarded {
			addresses += strings.Count(value, ",")
		}
		if addresses > maxForwardedAddresses {
			return statusTooManyForwarded
		}
	}
	return 0
}

// headSize is the size of the request line and the headers as HTTP/1.1 has them,
// and that of the longest header.
func headSize(r *http.Request) (size, longest int) {
	size = len(r.Method) + len(r.RequestURI) + len("  HTTP/1.1\r\nHost: \r\n\r\n") + len(r.Host)
	for key, values := range r.Header {
		for _, value := range values {
			n := len(key) + len(value) + len(": \r\n")
			size += n
			longest = max(longest, n)
		}
	}
	return size, longest
}

// upgrade returns the protocol that a client asks to change to, empty if it does
// not.
func upgrade(r *http.Request) string {
	protocol := r.Header.Get("Upgrade")
	if protocol == "" || r.ProtoMajor != 1 || !slices.Contains(listed(r.Header), "Upgrade") {
		return ""
	}
	return protocol
}

// listed returns the headers that a Connection header keeps to one connection.
func listed(header http.Header) []string {
	values := header["Connection"]
	if len(values) == 0 || len(values) == 1 && (strings.EqualFold(values[0], "keep-alive") || strings.EqualFold(values[0], "close")) {
		return nil
	}
	var names []string
	for _, value := range values {
		for name := range strings.SplitSeq(value, ",") {
			names = append(names, textproto.CanonicalMIMEHeaderKey(strings.TrimSpace(name)))
		}
	}
	return names
}

// hopByHop says whether a header is about one connection only.
func hopByHop(key string) bool {
	switch key {
	case "Connection", "Keep-Alive", "Proxy-Connection", "Te", "Trailer", "Transfer-Encoding", "Upgrade":
		return true
	}
	return false
}

// validName says whether a header's name is kept when invalid ones are dropped.
// https://docs.aws.amazon.com/elasticloadbalancing/latest/application/application-load-balancers.html#load-balancer-attributes
func validName(key string) bool {
	for i := range len(key) {
		c := key[i]
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-') {
			return false
		}
	}
	return true
}

// writeHead writes the request line and the headers for the target.
// https://docs.aws.amazon.com/elasticloadbalancing/latest/application/x-forwarded-headers.html
func (p *proxy) writeHead(c *targetConn, uri, upgrade string) {
	w, r, settings := c.writer, p.r, p.l.settings
	line := func(key, value string) {
		_, _ = w.WriteString(key)
		_, _ = w.WriteString(": ")
		_, _ = w.WriteString(value)
		_, _ = w.WriteString("\r\n")
	}
	_, _ = w.WriteString(r.Method)
	_ = w.WriteByte(' ')
	_, _ = w.WriteString(uri)
	_, _ = w.WriteString(" HTTP/1.1\r\n")
	line("Host", p.l.host(r.Host))
	local := listed(r.Header)
	for key, values := range r.Header {
		switch {
		case hopByHop(key) || settings.DropInvalidHeaders && !validName(key) || local != nil && slices.Contains(local, key):
			continue
		}
		switch key {
		// What the load balancer says itself. To Expect it has answered already.
		case "X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Port", traceHeader, "Content-Length", "Expect":
			continue
		}
		for _, value := range values {
			line(key, value)
		}
	}
	p.writeForwardedFor(line)
	line("X-Forwarded-Proto", p.l.scheme)
	line("X-Forwarded-Port", p.l.port)
	line(traceHeader, p.x.TraceID)
	switch {
	case upgrade != "":
		line("Connection", "Upgrade")
		line("Upgrade", upgrade)
	case r.ContentLength < 0:
		line("Transfer-Encoding", "chunked")
	case r.ContentLength > 0 || len(r.Header["Content-Length"]) > 0:
		line("Content-Length", strconv.FormatInt(r.ContentLength, 10))
	}
	_, _ = w.WriteString("\r\n")
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

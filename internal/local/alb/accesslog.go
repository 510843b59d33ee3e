package alb

import (
	"crypto/tls"
	"hash/fnv"
	"io"
	"strconv"
	"strings"
	"sync"
	"time"
)

// accessLog writes a line for every exchange.
type accessLog struct {
	mu   sync.Mutex
	w    io.Writer
	line []byte
}

func (l *accessLog) write(x *Exchange) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.line = append(appendAccessLine(l.line[:0], x), '\n')
	// A log that cannot be written does not stop traffic, as on AWS.
	_, _ = l.w.Write(l.line)
}

// maxLoggedUserAgent is where a longer User-Agent is cut off.
const maxLoggedUserAgent = 8 << 10

// appendAccessLine writes an exchange as a line of an Application Load
// Balancer's access log, without the end of the line. What only AWS knows is made
// of the same form: the ids at the end of the names of load balancers and target
// groups, the account, the trace of the connection.
// https://docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-access-logs.html#access-log-entry-syntax
func appendAccessLine(b []byte, x *Exchange) []byte {
	l := x.listener
	field := func(text string) {
		if text == "" {
			text = "-"
		}
		b = append(append(b, text...), ' ')
	}
	quoted := func(text string) {
		if text == "" {
			text = "-"
		}
		b = append(appendEscaped(append(b, '"'), text), '"', ' ')
	}
	number := func(n int) {
		if n == 0 {
			field("-")
			return
		}
		b = append(strconv.AppendInt(b, int64(n), 10), ' ')
	}
	seconds := func(from, to time.Time) {
		if from.IsZero() || to.IsZero() {
			field("-1")
			return
		}
		b = append(strconv.AppendFloat(b, max(0, to.Sub(from).Seconds()), 'f', 3, 64), ' ')
	}
	const stamp = "2006-01-02T15:04:05.000000Z"

	field(x.Kind)
	b = append(x.End.UTC().AppendFormat(b, stamp), ' ')
	field(l.logName)
	b = append(x.Client.AppendTo(b), ' ')
	field(x.Address)
	// As soon as there is no answer of the target, AWS gives none of the times.
	if x.Answered.IsZero() {
		field("-1")
		field("-1")
		field("-1")
	} else {
		seconds(x.Start, x.Dispatched)
		seconds(x.Dispatched, x.Answered)
		seconds(x.Answered, x.Responded)
	}
	number(x.Status)
	number(x.TargetStatus)
	b = append(strconv.AppendInt(b, x.Received, 10), ' ')
	b = append(strconv.AppendInt(b, x.Sent, 10), ' ')
	// The request line. A request that could not be read has none.
	method, proto, uri := x.Method, x.Proto, x.URI
	if method == "" {
		method, proto, uri = "-", "-", "-"
	}
	b = append(append(b, '"'), method...)
	b = append(append(append(b, ' '), l.scheme...), "://"...)
	b = appendEscaped(b, hostOnly(x.Host))
	b = append(append(b, ':'), l.port...)
	b = append(appendEscaped(b, uri), ' ')
	b = append(append(b, proto...), '"', ' ')
	agent := ""
	if agents := x.Header["User-Agent"]; len(agents) > 0 {
		agent = agents[0][:min(len(agents[0]), maxLoggedUserAgent)]
	}
	quoted(agent)
	cipher, protocol, domain, certificate := "", "", "", ""
	if x.TLS != nil {
		cipher, protocol = opensslCipher(x.TLS.CipherSuite), tlsVersion(x.TLS.Version)
		domain, certificate = x.TLS.ServerName, "arn:aws:acm:local:000000000000:certificate/self-signed"
		if x.TLS.DidResume {
			certificate = "session-reused"
		}
	}
	field(cipher)
	field(protocol)
	arn := ""
	if x.group != nil {
		arn = l.groupARNs[x.group]
	}
	field(arn)
	quoted(x.TraceID)
	quoted(domain)
	quoted(certificate)
	switch {
	case x.Rule == nil:
		field("-")
	default:
		b = append(strconv.AppendInt(b, int64(x.Rule.Priority), 10), ' ')
	}
	b = append(x.Start.UTC().AppendFormat(b, stamp), ' ')
	action := ""
	switch {
	case x.Rule == nil:
	case x.Rule.Action.Redirect != nil:
		action = "redirect"
	case x.Rule.Action.FixedResponse != nil:
		action = "fixed-response"
	default:
		action = "forward"
	}
	quoted(action)
	quoted(x.Redirect)
	quoted("") // error_reason is for authentication, Lambda and WAF
	quoted(x.Address)
	code := ""
	if x.TargetStatus != 0 {
		code = strconv.Itoa(x.TargetStatus)
	}
	quoted(code)
	quoted("") // classification: what is not compliant is refused before
	quoted("") // classification_reason
	field(x.trace)
	quoted("") // transformed_host: rules that rewrite are refused by package rules
	quoted("") // transformed_uri
	quoted("") // request_transform_status
	return b[:len(b)-1]
}

// appendEscaped keeps a value within its quotes and its line.
func appendEscaped(b []byte, text string) []byte {
	for i := range len(text) {
		switch c := text[i]; {
		case c == '"' || c == '\\' || c < ' ' || c == 0x7f:
			const digits = "0123456789ABCDEF"
			b = append(b, '\\', 'x', digits[c>>4], digits[c&15])
		default:
			b = append(b, c)
		}
	}
	return b
}

// hostOnly is a Host header without its port.
func hostOnly(host string) string {
	if i := portIndex(host); i >= 0 {
		return host[:i]
	}
	return host
}

// portIndex is where the colon before the port of a Host header is, -1 if there
// is none.
func portIndex(host string) int {
	i := strings.LastIndexByte(host, ':')
	if i < strings.LastIndexByte(host, ']') {
		return -1
	}
	return i
}

// logName is the load balancer as access lines name it.
func logName(name, key string) string { return "app/" + name + "/" + string(appendID(nil, key)) }

// groupName is the full name of a target group. It ends the ARN in access lines.
func groupName(name, key string) string {
	return "targetgroup/" + name + "/" + string(appendID(nil, key))
}

// appendID makes an id of 16 hexadecimal digits that stays the same.
func appendID(b []byte, text string) []byte {
	h := fnv.New64a()
	_, _ = io.WriteString(h, text)
	const digits = "0123456789abcdef"
	for sum, i := h.Sum64(), 0; i < 16; i, sum = i+1, sum<<4 {
		b = append(b, digits[sum>>60])
	}
	return b
}

func tlsVersion(version uint16) string {
	switch version {
	case tls.VersionTLS12:
		return "TLSv1.2"
	case tls.VersionTLS13:
		return "TLSv1.3"
	}
	return tls.VersionName(version)
}

// opensslCipher is the name of a cipher suite as OpenSSL, and so AWS, gives it:
// those of TLS 1.3 as they are, others without TLS and WITH.
func opensslCipher(suite uint16) string {
	name := tls.CipherSuiteName(suite)
	key, cipher, ok := strings.Cut(strings.TrimPrefix(name, "TLS_"), "_WITH_")
	if !ok {
		return name
	}
	cipher = strings.NewReplacer("AES_128_", "AES128_", "AES_256_", "AES256_", "_POLY1305_SHA256", "_POLY1305").Replace(cipher)
	return strings.ReplaceAll(strings.TrimPrefix(key, "RSA_")+"-"+cipher, "_", "-")
}

package alb

import (
	"cmp"
	"crypto/tls"
	"encoding/hex"
	"fmt"
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
	line accessLine
}

func (l *accessLog) write(x *Exchange) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.line = l.line[:0]
	l.line.exchange(x)
	// A log that cannot be written does not stop traffic, as on AWS.
	_, _ = l.w.Write(l.line)
}

// accessLine is a line of an Application Load Balancer's access log. Values that only AWS knows
// have the same form here: the ids in the names of load balancers and target groups, the account,
// the trace of the connection.
// https://docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-access-logs.html#access-log-entry-syntax
type accessLine []byte

func (l *accessLine) exchange(x *Exchange) {
	l.field(x.Kind)
	l.time(x.End)
	l.field(x.listener.logName)
	*l = append(x.Client.AppendTo(*l), ' ')
	l.field(x.Address)
	// AWS gives no times at all if the target did not answer.
	if x.Answered.IsZero() {
		l.field("-1 -1 -1")
	} else {
		l.seconds(x.Start, x.Dispatched)
		l.seconds(x.Dispatched, x.Answered)
		l.seconds(x.Answered, x.Responded)
	}
	l.status(x.Status)
	l.status(x.TargetStatus)
	l.number(x.Received)
	l.number(x.Sent)
	l.request(x)
	l.tls(x)
	action := ""
	if x.Rule == nil {
		l.field("")
	} else {
		l.number(int64(x.Rule.Priority))
		switch {
		case x.Rule.Action.Redirect != nil:
			action = "redirect"
		case x.Rule.Action.FixedResponse != nil:
			action = "fixed-response"
		default:
			action = "forward"
		}
	}
	l.time(x.Start)
	l.quoted(action)
	l.quoted(x.Redirect)
	l.quoted(x.FunctionError) // error_reason
	l.quoted(x.Address)
	code := ""
	if x.TargetStatus != 0 && x.Address != "" { // a function has no part in the list
		code = strconv.Itoa(x.TargetStatus)
	}
	l.quoted(code)
	l.quoted(x.Classification)
	l.quoted(x.ClassificationReason)
	l.field(x.trace)
	// transformed_host, transformed_uri, request_transform_status: package rules refuses rewrites
	*l = append(*l, `"-" "-" "-"`+"\n"...)
}

// request writes the request line and the User-Agent. A request that could not be read has none.
func (l *accessLine) request(x *Exchange) {
	const maxUserAgent = 8 << 10
	*l = append(append(*l, '"'), cmp.Or(x.Method, "-")...)
	*l = append(append(append(*l, ' '), x.listener.scheme...), "://"...)
	l.escaped(hostOnly(x.Host))
	*l = append(append(*l, ':'), x.listener.port...)
	l.escaped(cmp.Or(x.URI, "-"))
	*l = append(append(append(*l, ' '), cmp.Or(x.Proto, "-")...), `" `...)
	agent := x.Header.Get("User-Agent")
	l.quoted(agent[:min(len(agent), maxUserAgent)])
}

// tls writes the fields from ssl_cipher to chosen_cert_arn.
func (l *accessLine) tls(x *Exchange) {
	cipher, protocol, domain, certificate := "", "", "", ""
	if x.TLS != nil {
		cipher, protocol = opensslCipher(x.TLS.CipherSuite), strings.Replace(tls.VersionName(x.TLS.Version), " ", "v", 1)
		domain, certificate = x.TLS.ServerName, "arn:aws:acm:local:000000000000:certificate/self-signed"
		if x.TLS.DidResume {
			certificate = "session-reused"
		}
	}
	l.field(cipher)
	l.field(protocol)
	l.field(x.groupARN)
	l.quoted(x.TraceID)
	l.quoted(domain)
	l.quoted(certificate)
}

func (l *accessLine) field(text string) { *l = append(append(*l, cmp.Or(text, "-")...), ' ') }

func (l *accessLine) quoted(text string) {
	*l = append(*l, '"')
	l.escaped(cmp.Or(text, "-"))
	*l = append(*l, `" `...)
}

// escaped keeps a value within its quotes and its line.
func (l *accessLine) escaped(text string) {
	for i := range len(text) {
		if c := text[i]; c == '"' || c == '\\' || c < ' ' || c == 0x7f {
			*l = fmt.Appendf(*l, `\x%02X`, c)
		} else {
			*l = append(*l, c)
		}
	}
}

func (l *accessLine) number(n int64) { *l = append(strconv.AppendInt(*l, n, 10), ' ') }

func (l *accessLine) status(code int) {
	if code == 0 {
		l.field("")
	} else {
		l.number(int64(code))
	}
}

func (l *accessLine) time(t time.Time) {
	*l = append(t.UTC().AppendFormat(*l, "2006-01-02T15:04:05.000000Z"), ' ')
}

func (l *accessLine) seconds(from, to time.Time) {
	if from.IsZero() || to.IsZero() {
		l.field("-1")
		return
	}
	*l = append(strconv.AppendFloat(*l, max(0, to.Sub(from).Seconds()), 'f', 3, 64), ' ')
}

// hostOnly is a Host header without its port.
func hostOnly(host string) string {
	if i := strings.LastIndexByte(host, ':'); i > strings.LastIndexByte(host, ']') {
		return host[:i]
	}
	return host
}

// logName is the load balancer's name in access lines.
func logName(name, key string) string { return "app/" + name + "/" + shortID(key) }

// groupName is the full name of a target group. It ends the ARN in access lines.
func groupName(name, key string) string { return "targetgroup/" + name + "/" + shortID(key) }

// shortID makes a lasting id of 16 hexadecimal digits.
func shortID(text string) string {
	h := fnv.New64a()
	_, _ = io.WriteString(h, text)
	return hex.EncodeToString(h.Sum(nil))
}

// opensslCipher is OpenSSL's name of a cipher suite, which AWS gives. The suites of TLS 1.3 keep
// their names. Other names lose TLS and WITH.
func opensslCipher(suite uint16) string {
	name := tls.CipherSuiteName(suite)
	key, cipher, ok := strings.Cut(strings.TrimPrefix(name, "TLS_"), "_WITH_")
	if !ok {
		return name
	}
	cipher = strings.NewReplacer("AES_128_", "AES128_", "AES_256_", "AES256_", "_POLY1305_SHA256", "_POLY1305").Replace(cipher)
	return strings.ReplaceAll(strings.TrimPrefix(key, "RSA_")+"-"+cipher, "_", "-")
}

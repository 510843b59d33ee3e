package alb

import (
	"cmp"
	"net/http"
	"net/textproto"
	"strings"
)

// head is the head of a request in HTTP/1, as the client sent it.
type head struct {
	method, uri, proto string
	// host is the first Host header, hosts are all of them.
	host  string
	hosts []string
	// authority is the host in a request line with a whole URL.
	authority string
	header    http.Header
	// length is that of the body; -1 for chunks.
	length int64
	// old says that the request is older than HTTP/1.1.
	old bool
	// size is that of the head, longest that of its longest line.
	size, longest int

	// status answers a request that can go no further; 0 otherwise.
	status int
	tier   tier
	reason string

	// lengths and encodings are the headers Content-Length and Transfer-Encoding, and those that can be
	// taken for them.
	lengths, encodings []framed
	// values has room for those of the headers.
	values []string
}

const (
	http09 = "HTTP/0.9"
	http10 = "HTTP/1.0"
	http11 = "HTTP/1.1"
)

// refuse notes a status. The first one counts.
func (h *head) refuse(status int) {
	if h.status == 0 {
		h.status = status
	}
}

// mitigate refuses what a mode of desync mitigation blocks.
func (h *head) mitigate(mode string) {
	if h.tier.blocked(mode) && h.status != http.StatusHTTPVersionNotSupported {
		h.status = http.StatusBadRequest
	}
}

// parseHead reads a head with its last, empty line.
func parseHead(text string) *head {
	// More lines than this are rare, and may be empty or have one name.
	lines := min(strings.Count(text, "\n"), 64)
	h := &head{header: make(http.Header, lines), size: len(text), values: make([]string, 0, lines)}
	text = strings.TrimLeft(text, "\r\n")
	line, rest := h.line(text)
	h.requestLine(line)
	name := ""
	for rest != "" {
		if line, rest = h.line(rest); line == "" {
			break
		}
		h.longest = max(h.longest, len(line)+len("\r\n"))
		name = h.headerLine(line, name)
	}
	h.frame()
	if h.host == "" && (h.old || len(h.hosts) > 0) {
		// For a request without a host the load balancer takes its own name in DNS.
		// https://docs.aws.amazon.com/elasticloadbalancing/latest/userguide/how-elastic-load-balancing-works.html#http-connections
		h.host = cmp.Or(h.authority, localName)
		h.hosts = []string{h.host}
	}
	if h.host == "" || !validHost(h.host) {
		h.refuse(http.StatusBadRequest)
	}
	return h
}

// localName is the name of a load balancer in DNS, as its attribute DNSName gives it.
const localName = "localhost"

// line cuts off the first line.
func (h *head) line(text string) (line, rest string) {
	line, rest, _ = strings.Cut(text, "\n")
	if trimmed, ok := strings.CutSuffix(line, "\r"); ok {
		return trimmed, rest
	}
	h.classify(acceptable, "NonCrLfLineTermination")
	return line, rest
}

func (h *head) requestLine(line string) {
	method, rest, _ := strings.Cut(line, " ")
	trimmed := strings.TrimRight(rest, " \t")
	space := strings.LastIndexByte(trimmed, ' ')
	h.uri, h.proto = trimmed[:max(space, 0)], trimmed[space+1:]
	if space < 0 && !strings.HasPrefix(trimmed, "HTTP/") {
		h.uri, h.proto = trimmed, http09
	}
	if method == "" || h.uri == "" {
		h.uri, h.proto = "", ""
		h.refuse(http.StatusBadRequest)
		return
	}
	h.method = method
	if kinds, _ := bytesIn(method); kinds&tokenByte == 0 {
		h.classify(severe, "BadMethod")
	}
	h.version(len(trimmed) != len(rest))
	h.target()
}

// version reads the version of HTTP. Padded says that there are blanks after the version.
func (h *head) version(padded bool) {
	p := h.proto
	h.old = p == http09 || p == http10
	switch {
	case p == http11 || p == http10:
		if padded {
			h.classify(acceptable, "NonCompliantVersion")
		}
	case p == http09 || len(p) == len(http11) && strings.HasPrefix(p, "HTTP/1.") && '1' < p[7] && p[7] <= '9':
		h.classify(acceptable, "NonCompliantVersion")
	case len(p) > 5 && strings.HasPrefix(p, "HTTP/") && '2' <= p[5] && p[5] <= '9':
		// https://docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-troubleshooting.html#http-505-issues
		h.refuse(http.StatusHTTPVersionNotSupported)
	default:
		h.classify(severe, "BadVersion")
	}
}

// target reads what the request asks for. The request line may have a whole URL, of which the path and
// query count.
func (h *head) target() {
	kinds, bad := bytesIn(h.uri)
	switch {
	case kinds&uriByte != 0:
	case bad:
		h.classify(severe, "BadUri")
	case strings.ContainsFunc(h.uri, func(c rune) bool { return c < ' ' || c == 0x7f }):
		h.classify(ambiguous, "AmbiguousUri")
	default:
		h.classify(acceptable, "SpaceInUri")
	}
	if h.method == http.MethodConnect || h.uri == "*" {
		return
	}
	if scheme, rest, ok := strings.Cut(h.uri, "://"); ok && !strings.ContainsAny(scheme, "/?") {
		end := strings.IndexAny(rest+"/", "/?")
		if h.authority = rest[:end]; !validHost(h.authority) || h.authority == "" {
			h.refuse(http.StatusBadRequest)
		}
		if h.uri = rest[end:]; !strings.HasPrefix(h.uri, "/") {
			h.uri = "/" + h.uri
		}
	}
	path, _, _ := strings.Cut(h.uri, "?")
	if !strings.HasPrefix(path, "/") || !validEncoding(path) {
		h.refuse(http.StatusBadRequest)
	}
}

// validEncoding says whether each % begins an encoded byte. What AWS does otherwise is not documented.
func validEncoding(path string) bool {
	isHex := func(c byte) bool { return '0' <= c && c <= '9' || 'a' <= c|0x20 && c|0x20 <= 'f' }
	for i := range len(path) {
		if path[i] == '%' && (i+2 >= len(path) || !isHex(path[i+1]) || !isHex(path[i+2])) {
			return false
		}
	}
	return true
}

func validHost(host string) bool {
	return !strings.ContainsFunc(host, func(c rune) bool {
		return c >= 0x80 || bytesOfHeads[c]&letterByte == 0 && !strings.ContainsRune("!$%&'()*+,-.:;=[]_~", c)
	})
}

// headerLine reads a header. Before is the name of the header before. It returns the name for the next
// line, which may go on.
func (h *head) headerLine(line, before string) string {
	name, value, colon := strings.Cut(line, ":")
	switch folded := line[0] == ' ' || line[0] == '\t'; {
	case folded && strings.Trim(line, " \t") == "":
		h.classify(ambiguous, "EmptyHeader")
		return before
	case folded:
		// A header that goes on in the next line is not supported. The load balancer makes a header of the
		// line, with a colon at its end.
		// https://docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-troubleshooting.html#multi-line-headers-issue
		h.classify(ambiguous, "MultilineHeader")
		if header, exact := lookalike(before); !colon && exact {
			h.frames(header, line, exact)
		}
		trimmed := strings.TrimLeft(name, " \t")
		if header, _ := lookalike(trimmed); !colon || header == "" {
			name = trimmed
		}
	case !colon:
		h.classify(ambiguous, "MissingHeaderColon")
	}
	h.headerField(name, strings.Trim(value, " \t"))
	if colon {
		return name
	}
	return before
}

func (h *head) frames(header, value string, exact bool) {
	if header == "Content-Length" {
		h.lengths = append(h.lengths, framed{value, exact})
	} else {
		h.encodings = append(h.encodings, framed{value, exact})
	}
}

// headerField notes a header. Targets do not get a header with a byte that belongs nowhere.
func (h *head) headerField(name, value string) {
	kinds, bad := bytesIn(name)
	valueKinds, badValue := bytesIn(value)
	if bad || badValue {
		h.classify(severe, "BadHeader")
		if _, exact := lookalike(name); !exact {
			return
		}
	} else if kinds&tokenByte == 0 || valueKinds&valueByte == 0 {
		h.classify(acceptable, "NonCompliantHeader")
	}
	if strings.Trim(name, " \t") == "" {
		h.classify(ambiguous, "EmptyHeader")
		return
	}
	header, exact := lookalike(name)
	if header != "" {
		if !exact {
			h.classify(ambiguous, "SuspiciousHeader")
		}
		h.frames(header, value, exact)
	}
	key := textproto.CanonicalMIMEHeaderKey(name)
	switch {
	case exact && header == "Transfer-Encoding":
	case key == "Host":
		if len(h.hosts) == 0 {
			h.host = value
		}
		h.hosts = append(h.hosts, value)
	default:
		if before, ok := h.header[key]; ok {
			h.header[key] = append(before, value)
			return
		}
		h.values = append(h.values, value)
		h.header[key] = h.values[len(h.values)-1 : len(h.values) : len(h.values)]
	}
}

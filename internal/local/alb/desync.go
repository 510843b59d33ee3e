package alb

import (
	"net/http"
	"strconv"
	"strings"
)

// tier is how much a request may mislead a target about where it ends. The names are those of
// access lines.
// https://docs.aws.amazon.com/elasticloadbalancing/latest/application/edit-load-balancer-attributes.html#desync-mitigation-mode
type tier uint8

const (
	compliant tier = iota
	acceptable
	ambiguous
	severe
)

func (t tier) String() string {
	return [...]string{"", "Acceptable", "Ambiguous", "Severe"}[t]
}

// blocked says whether a mode refuses requests of the tier.
func (t tier) blocked(mode string) bool {
	return mode == "strictest" && t > compliant || mode == "defensive" && t == severe
}

// closes says whether a mode closes both connections after a request of the tier.
func (t tier) closes(mode string) bool { return mode == "defensive" && t == ambiguous }

// classify notes a reason, unless there is one that weighs as much. The reasons are those of access
// lines, and of https://github.com/aws/http-desync-guardian/tree/main/docs.
// https://docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-access-logs.html#classification-reasons
func (h *head) classify(t tier, reason string) {
	if h.tier < t {
		h.tier, h.reason = t, reason
	}
}

// The kinds of bytes in a request's head.
const (
	tokenByte  = 1 << iota // may be in a name or method
	valueByte              // may be in a value
	uriByte                // may be in a URI
	forbidden              // belongs nowhere
	letterByte             // is a letter or digit
)

var bytesOfHeads = func() (kinds [256]uint8) {
	for i := range kinds {
		c := byte(i)
		if 'a' <= c|0x20 && c|0x20 <= 'z' || '0' <= c && c <= '9' {
			kinds[i] |= tokenByte | letterByte
		} else if c < 0x7f && strings.IndexByte("-_.!#$%&'*+^`|~", c) >= 0 {
			kinds[i] |= tokenByte
		}
		if c >= ' ' && c != 0x7f || c == '\t' {
			kinds[i] |= valueByte
		}
		if c > ' ' && c != 0x7f {
			kinds[i] |= uriByte
		}
		if c == 0 || c == '\r' || c == '\n' {
			kinds[i] |= forbidden
		}
	}
	return kinds
}()

// bytesIn returns the kind that all bytes of a text have in common, and whether one is forbidden.
func bytesIn(text string) (all uint8, bad bool) {
	all = tokenByte | valueByte | uriByte | letterByte
	some := uint8(0)
	for i := range len(text) {
		kind := bytesOfHeads[text[i]]
		all &= kind
		some |= kind
	}
	return all, some&forbidden != 0
}

// lookalike returns Transfer-Encoding or Content-Length if a header's name is one of them, or can be
// taken for one: if case, what is neither letter nor digit, and letters that become ASCII in upper
// case make no difference. Exact says that the name is the header's own, in any case.
func lookalike(name string) (header string, exact bool) {
	for _, header := range [...]string{"Transfer-Encoding", "Content-Length"} {
		if len(name) < len(header) {
			continue
		}
		if strings.EqualFold(name, header) && len(name) == len(header) {
			return header, true
		}
		// Most names differ at their first letter.
		if first := name[0] | 0x20; 'a' <= first && first <= 'z' && first != header[0]|0x20 {
			continue
		}
		if sanitized(name) == sanitized(header) {
			return header, false
		}
	}
	return "", false
}

var upperASCII = strings.NewReplacer("ſ", "s", "ı", "i")

func sanitized(name string) string {
	return strings.Map(func(r rune) rune {
		if r < 0x80 && bytesOfHeads[r]&letterByte != 0 {
			return r | 0x20
		}
		return -1
	}, upperASCII.Replace(name))
}

// framed is a header that says where a body ends, or that can be taken for one.
type framed struct {
	value string
	exact bool
}

// frame works out where the body ends, and classifies what says so. Only exact headers count.
func (h *head) frame() {
	if h.old && len(h.encodings) > 0 {
		h.classify(ambiguous, "UndefinedTransferEncodingSemantics")
	} else if h.proto == http09 && len(h.lengths) > 0 {
		h.classify(ambiguous, "UndefinedContentLengthSemantics")
		h.lengths = nil
	}
	chunked := h.frameEncodings()
	length, known := h.frameLengths()
	bodyless := h.method == "GET" || h.method == "HEAD"
	if bodyless && len(h.encodings) > 0 {
		h.classify(ambiguous, "UndefinedTransferEncodingSemantics")
	}
	switch {
	case bodyless && known && length > 0:
		h.classify(ambiguous, "UndefinedContentLengthSemantics")
	case bodyless && known:
		h.classify(acceptable, "GetHeadZeroContentLength")
	}
	if known && len(h.encodings) > 0 {
		h.classify(ambiguous, "BothTeClPresent")
	}
	if chunked {
		h.length = -1
	}
}

// frameEncodings says whether the body is chunked.
func (h *head) frameEncodings() (chunked bool) {
	seen := false
	for _, encoding := range h.encodings {
		for coding := range strings.SplitSeq(encoding.value, ",") {
			coding, _, _ = strings.Cut(coding, ";")
			switch coding = strings.ToLower(strings.Trim(coding, " \t")); coding {
			case "chunked":
				if seen {
					h.classify(severe, "MultipleTransferEncodingChunked")
				}
				seen = true
				// HTTP/1.0 has no chunks.
				chunked = chunked || encoding.exact && !h.old
				continue
			case "identity":
				continue
			case "gzip", "deflate", "compress":
			default:
				h.classify(severe, "BadTransferEncoding")
			}
			// https://docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-troubleshooting.html#http-501-issues
			if encoding.exact {
				h.refuse(http.StatusNotImplemented)
			}
		}
	}
	return chunked
}

// frameLengths sets the length of the body. It returns the first value that can be read, be its header
// exact or not.
func (h *head) frameLengths() (first int64, known bool) {
	exact := false
	for _, header := range h.lengths {
		length, err := strconv.ParseUint("0"+strings.Trim(header.value, " \t"), 10, 63)
		if err != nil {
			h.classify(severe, "BadContentLength")
			if header.exact {
				h.refuse(http.StatusBadRequest)
			}
			continue
		}
		switch {
		case !known:
			first, known = int64(length), true
		case first != int64(length):
			h.classify(severe, "MultipleContentLength")
		default:
			h.classify(ambiguous, "DuplicateContentLength")
		}
		if header.exact && !exact {
			h.length, exact = int64(length), true
		}
	}
	return first, known
}

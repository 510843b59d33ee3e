package alb

import (
	"encoding/hex"
	"math/rand/v2"
	"strings"
	"time"
)

// traceHeader follows a request through all that it passes.
// https://docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-request-tracing.html
const traceHeader = "X-Amzn-Trace-Id"

// maxTracedHeader is the size of the headers above which what a client sent in
// the trace header is given up.
const maxTracedHeader = 7 << 10

// trace returns the trace header for the target. A request without one gets a
// Root; to one that has a Root or anything else, Self is put in front and an
// older Self removed.
func trace(sent string, now time.Time, headerSize int) string {
	var id [35]byte // 1-67891233-abcdef012345678912345678
	copy(id[:], "1-")
	seconds := uint32(now.Unix())
	hex.Encode(id[2:10], []byte{byte(seconds >> 24), byte(seconds >> 16), byte(seconds >> 8), byte(seconds)})
	id[10] = '-'
	var random [12]byte
	for i, word := 0, rand.Uint64(); i < 8; i, word = i+1, word>>8 {
		random[i] = byte(word)
	}
	for i, word := 8, rand.Uint32(); i < 12; i, word = i+1, word>>8 {
		random[i] = byte(word)
	}
	hex.Encode(id[11:], random[:])
	if sent == "" || headerSize > maxTracedHeader {
		return "Root=" + string(id[:])
	}
	var b strings.Builder
	field := "Root="
	for part := range strings.SplitSeq(sent, ";") {
		switch part = strings.TrimSpace(part); {
		case strings.HasPrefix(part, "Root="):
			field = "Self="
		case part == "" || strings.HasPrefix(part, "Self="):
			continue
		}
		b.WriteString(";" + part)
	}
	return field + string(id[:]) + b.String()
}

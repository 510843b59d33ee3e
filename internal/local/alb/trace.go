package alb

import (
	"encoding/binary"
	"encoding/hex"
	"math/rand/v2"
	"strings"
	"time"
)

// traceHeader follows a request through all services.
// https://docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-request-tracing.html
const traceHeader = "X-Amzn-Trace-Id"

// maxTracedHeader is the largest size of the headers with which a client's trace header is kept.
const maxTracedHeader = 7 << 10

// trace returns the trace header for the target. It is a new Root if the client sent nothing.
// Otherwise it is a new Self, or a Root if none was sent, before what the client sent. An older
// Self goes.
func trace(sent string, now time.Time, headerSize int) string {
	var b [16]byte
	binary.BigEndian.PutUint32(b[:], uint32(now.Unix()))
	binary.BigEndian.PutUint64(b[4:], rand.Uint64())
	binary.BigEndian.PutUint32(b[12:], rand.Uint32())
	id := hex.EncodeToString(b[:])
	if headerSize > maxTracedHeader {
		sent = ""
	}
	field, kept := "Root=", ""
	for part := range strings.SplitSeq(sent, ";") {
		switch part = strings.TrimSpace(part); {
		case strings.HasPrefix(part, "Root="):
			field = "Self="
		case part == "" || strings.HasPrefix(part, "Self="):
			continue
		}
		kept += ";" + part
	}
	return field + "1-" + id[:8] + "-" + id[8:] + kept
}

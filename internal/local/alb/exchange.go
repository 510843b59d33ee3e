package alb

import (
	"crypto/tls"
	"net/http"
	"net/netip"
	"time"

	"cutover/internal/model"
	"cutover/internal/rules"
)

// Exchange is a request and what became of it, or a connection in the case of a
// WebSocket.
type Exchange struct {
	// Listener is the key of the listener.
	Listener string
	// Kind is http, https, h2, ws or wss.
	Kind   string
	Client netip.AddrPort

	// Method, Host, URI and Proto are those of the request, the URI as in the
	// request line. Empty when the request could not be read.
	Method, Host, URI, Proto string
	// Header is that of the request. It may be used only until the function that
	// gets the exchange returns. Nil when the request could not be read.
	Header http.Header
	TLS    *tls.ConnectionState

	// Rule is nil when the request was turned down before rules were looked at.
	Rule *rules.Rule
	// Group is the key of the target group that was chosen, Target and Address
	// are the target. Empty when there is none.
	Group, Target, Address string
	// Redirect is the URL a client was sent to.
	Redirect string
	// TraceID is what the target saw as X-Amzn-Trace-Id.
	TraceID string

	// Status is what the client got, 460 if it did not wait for an answer.
	// TargetStatus is what the target answered, 0 if it did not.
	Status, TargetStatus int
	// Received and Sent are bytes from and to the client, headers included.
	Received, Sent int64

	// Start is when the request had arrived, Dispatched when it was sent to the
	// target, Answered when the headers of the target's answer had arrived,
	// Responded when the client was sent the first of it, and End when all was
	// over. Dispatched and Answered are zero if it did not come to that.
	Start, Dispatched, Answered, Responded, End time.Time

	// Err says why the client did not get what the target answers, or not all of
	// it. Nil if it did, or if the load balancer answers as its rules say.
	Err error

	group    *model.TargetGroup
	listener *listener
	trace    string // of the connection
}

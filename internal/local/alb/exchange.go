package alb

import (
	"crypto/tls"
	"net/http"
	"net/netip"
	"time"

	"cutover/internal/rules"
)

// Exchange is a request and its answer, or the connection of a WebSocket.
type Exchange struct {
	// Listener is the key of the listener.
	Listener string
	// Kind is http, https, h2, ws or wss.
	Kind   string
	Client netip.AddrPort

	// Method, Host, URI, Proto and Header are the request's. Empty if the request could not be
	// read.
	Method, Host, URI, Proto string
	// Header is valid until the receiver of the exchange returns.
	Header http.Header
	TLS    *tls.ConnectionState

	// Rule is nil if the request was turned down before any rule.
	Rule *rules.Rule
	// Group is the key of the target group. Target is the id of the target, Address its address.
	// Empty if there is none. A Lambda function has no address.
	Group, Target, Address string
	// Redirect is the URL of a redirect.
	Redirect string
	// TraceID is the target's X-Amzn-Trace-Id.
	TraceID string

	// Status is the client's; 460 if the client did not wait. TargetStatus is the target's; 0 if
	// the target did not answer.
	Status, TargetStatus int
	// Classification says how ambiguous the request is, and ClassificationReason why, both in the words
	// of access lines. Empty if the request complies with RFC 7230.
	Classification, ClassificationReason string
	// Received and Sent are bytes from and to the client, with headers.
	Received, Sent int64

	// The times of the exchange:
	//   - Start: the request arrived.
	//   - Dispatched: the request was sent to the target; zero if it was not.
	//   - Answered: the headers of the target's answer arrived, or the result of a Lambda function or an
	//     error of Lambda; zero if they did not.
	//   - Responded: the first part of the answer was sent to the client.
	//   - End: all was over.
	Start, Dispatched, Answered, Responded, End time.Time

	// FunctionError is why a Lambda function gave no answer, as a reason code of access lines like
	// LambdaThrottling. Empty if the function answered, and for other targets.
	// https://docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-access-logs.html#error-reason-codes
	FunctionError string
	// Err is why the client did not get the whole answer of the target. Nil if the load balancer
	// answers by a rule.
	Err error

	groupARN string
	listener *listener
	trace    string // of the connection
}

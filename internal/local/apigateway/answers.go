package apigateway

import (
	"encoding/json"
	"net/http"
)

// refusal is an answer of API Gateway itself.
// https://docs.aws.amazon.com/apigateway/latest/developerguide/supported-gateway-response-types.html
type refusal struct {
	status int
	// kind is in the header x-amzn-ErrorType, as in MissingAuthenticationTokenException.
	kind, message string
	// denied says that the message is about permissions: then its name in JSON has a capital letter.
	denied bool
}

var (
	errForbidden     = refusal{status: http.StatusForbidden, kind: "ForbiddenException", message: "Forbidden"}
	errNoRoute       = refusal{status: http.StatusForbidden, kind: "MissingAuthenticationTokenException", message: "Missing Authentication Token"}
	errThrottled     = refusal{status: http.StatusTooManyRequests, kind: "TooManyRequestsException", message: "Too Many Requests"}
	errTooLarge      = refusal{status: http.StatusRequestEntityTooLarge, kind: "RequestTooLargeException", message: "HTTP content length exceeded 10485760 bytes."}
	errHeader        = refusal{status: http.StatusRequestHeaderFieldsTooLarge, kind: "RequestTooLargeException", message: "HTTP header is larger than 10240 bytes."}
	errBody          = refusal{status: http.StatusBadRequest, kind: "BadRequestException", message: "Invalid request body"}
	errTimeout       = refusal{status: http.StatusGatewayTimeout, kind: "InternalServerErrorException", message: "Endpoint request timed out"}
	errNetwork       = refusal{status: http.StatusGatewayTimeout, kind: "InternalServerErrorException", message: "Network error communicating with endpoint"}
	errFunction      = refusal{status: http.StatusBadGateway, kind: "InternalServerErrorException", message: "Internal server error"}
	errConfiguration = refusal{status: http.StatusInternalServerError, kind: "InternalServerErrorException", message: "Internal server error"}
)

// answer is what the client gets in place of an answer of the integration.
func (r refusal) answer() *answer {
	body, _ := json.Marshal(map[string]string{map[bool]string{false: "message", true: "Message"}[r.denied]: r.message}) // texts only
	return &answer{r.status, http.Header{"Content-Type": {"application/json"}, "x-amzn-ErrorType": {r.kind}}, body}
}

// The headers of an answer, with the names that API Gateway gives them.
const (
	requestIDHeader  = "x-amzn-RequestId"
	extendedIDHeader = "x-amz-apigw-id"
)

// How API Gateway treats headers: of HTTP_PROXY and of AWS_PROXY. Others pass.
// https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-known-issues.html
var (
	// dropped go on to no integration. Connection is about a connection.
	dropped = []string{"Connection", "Content-Md5", "Expect", "Keep-Alive", "Max-Forwards", "Proxy-Authenticate", "Proxy-Connection", "Server", "Te", "Trailer", "Transfer-Encoding", "Upgrade", "Www-Authenticate", methodOverride}
	// droppedByHTTP go on to no HTTP integration.
	droppedByHTTP = []string{"Content-Encoding", "Host", "Via"}

	// remapped of an answer are called X-Amzn-Remapped-NAME, and droppedOfAnswer are gone.
	remapped        = []string{"Authorization", "Connection", "Content-Md5", "Date", "Max-Forwards", "Server", "User-Agent", "Www-Authenticate"}
	droppedOfAnswer = []string{"Expect", "Host", "Keep-Alive", "Proxy-Authenticate", "Proxy-Connection", "Te", "Trailer", "Transfer-Encoding", "Upgrade", "Via"}
)

// answerHeader are the headers for the client of an integration's answer. "API Gateway includes a Content-Type header for
// all integration responses. By default, the content type is application/json."
func answerHeader(header http.Header) http.Header {
	out := header.Clone()
	if out == nil {
		out = http.Header{}
	}
	for _, name := range droppedOfAnswer {
		delete(out, name)
	}
	for _, name := range remapped {
		if values, ok := out[name]; ok {
			delete(out, name)
			out["X-Amzn-Remapped-"+name] = values
		}
	}
	if len(out["Content-Type"]) == 0 {
		out["Content-Type"] = []string{"application/json"}
	}
	return out
}

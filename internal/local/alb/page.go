package alb

import (
	"cmp"
	"net/http"
	"strconv"
	"strings"
)

// serverName is the load balancer's name in its own answers.
const serverName = "awselb/2.0"

// Status codes of the load balancer alone. StatusClientClosed is logged if the client closed the
// connection before the answer. With the other one, X-Forwarded-For has too many addresses.
// https://docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-troubleshooting.html#load-balancer-http-error-codes
const (
	StatusClientClosed     = 460
	statusTooManyForwarded = 463
)

// titles are the reasons that net/http words differently.
var titles = map[int]string{
	http.StatusMethodNotAllowed:   "Not Allowed",
	http.StatusRequestURITooLong:  "Request-URI Too Large",
	http.StatusServiceUnavailable: "Service Temporarily Unavailable",
	http.StatusGatewayTimeout:     "Gateway Time-out",
}

// page is the HTML of an answer of the load balancer itself: the code and its reason.
func page(status int) string {
	title := strings.TrimSpace(strconv.Itoa(status) + " " + cmp.Or(titles[status], http.StatusText(status)))
	return "<html>\r\n<head><title>" + title + "</title></head>\r\n<body>\r\n<center><h1>" + title + "</h1></center>\r\n</body>\r\n</html>\r\n"
}

package alb

import (
	"net/http"
	"strconv"
)

// serverName is what the load balancer calls itself in answers of its own.
const serverName = "awselb/2.0"

// Status codes that only the load balancer knows: the client closed the
// connection before there was an answer; X-Forwarded-For has too many addresses.
// https://docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-troubleshooting.html#load-balancer-http-error-codes
const (
	statusClientClosed     = 460
	statusTooManyForwarded = 463
)

// page is the HTML of an answer that the load balancer gives itself: nothing
// but the code and its reason.
func page(status int) string {
	title := strconv.Itoa(status)
	switch status {
	case http.StatusMethodNotAllowed:
		title += " Not Allowed"
	case http.StatusRequestURITooLong:
		title += " Request-URI Too Large"
	case http.StatusServiceUnavailable:
		title += " Service Temporarily Unavailable"
	case http.StatusGatewayTimeout:
		title += " Gateway Time-out"
	default:
		if text := http.StatusText(status); text != "" {
			title += " " + text
		}
	}
	return "<html>\r\n<head><title>" + title + "</title></head>\r\n<body>\r\n<center><h1>" + title + "</h1></center>\r\n</body>\r\n</html>\r\n"
}

package migration

import (
	"fmt"
	"strings"
)

// The load balancers of an environment keep their scheme: another one would replace them, and their addresses. The
// deployment itself refuses that, by names that can exist only once. Each deployment with internet-facing load balancers
// holds a name of [keys], or the one of the monolith that is reached while all services with places of their own are in it.
// Its first stack has a name of the keys, or that of the places. One with internal load balancers holds all four, and has
// the names of its own position below another. So neither follows the other, and a new environment may have any.

// below is where the names are of a deployment with internal load balancers.
const below = "internal/"

// Internal is the name of a parameter of a deployment with internal load balancers.
func Internal(name string) string {
	if rest, ok := strings.CutPrefix(name, gateName("")+"/"); ok {
		return gateName("") + "/" + below + rest
	}
	return name
}

// InternetFacing is the name of a parameter of which [Internal] gave another.
func InternetFacing(name string) string {
	if rest, ok := strings.CutPrefix(name, gateName("")+"/"+below); ok {
		return gateName("") + "/" + rest
	}
	return name
}

// NotInternetFacing are the parameters that the first stack of a deployment with internal load balancers has besides.
func NotInternetFacing() (all []Parameter) {
	for i, name := range []string{lockName("", begun, "", keys[0]), lockName("", begun, "", keys[1]), lockName("", reached, "", Monolith.String()), begunPlaces("")} {
		all = append(all, Parameter{fmt.Sprint("NoLoadBalancerIsInternetFacing", i+1), name, "internal", "The load balancers are internal, and stay so"})
	}
	return all
}

package config_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"cutover/config"
	"cutover/migration"
)

// users replaces the service users by one with routes.
func users(routes ...config.Route) func(*config.Deployment) {
	return func(d *config.Deployment) { d.Services[0] = config.Service{Name: "users", Routes: routes} }
}

// tags adds a service with routes.
func tags(routes ...config.Route) func(*config.Deployment) {
	return with(config.Service{Name: "tags", Routes: routes})
}

type named = map[string][]string

var placeMistakes = []mistake{
	{name: "place of an unknown service", context: context{"phase": "user=switched"},
		want: `phase: there is no microservice or route "user": choose from users, threads`},
	{name: "place of an unknown route", context: context{"phase": "users/reads=switched"},
		change: users(config.Route{Name: "writes", Order: 10, Paths: []string{"/api/users*"}}),
		want:   `phase: there is no microservice or route "users/reads": choose from users, users/writes, threads`},
	{name: "place of an unknown service that is retired", context: context{"phase": "us\ners=retired"},
		want: `phase: there is no microservice or route "us\ners": choose from users, threads`},
	{name: "place in another script", context: context{"phase": context{"usérs": "switched", "threads": "ｓwitched"}},
		want: `phase: threads: "ｓwitched" is not a place: choose one of monolith, parallel, a share as in 10%, or switched` + "\n" +
			`phase: there is no microservice or route "usérs": choose from users, threads`},
	{name: "place that is none", context: context{"phase": "users=swiched"},
		want: `phase: users: "swiched" is not a place: choose one of monolith, parallel, a share as in 10%, or switched`},
	{name: "place in another case", context: context{"phase": "users=Switched"},
		want: `phase: users: "Switched" is not a place: choose one of monolith, parallel, a share as in 10%, or switched`},
	{name: "place without a value", context: context{"phase": "users="},
		want: `phase: users: "" is not a place: choose one of monolith, parallel, a share as in 10%, or switched`},
	{name: "place without a service", context: context{"phase": "=switched"},
		want: `phase: "=switched" is not SERVICE=PLACE, as in "users=switched"` + "\n" +
			`phase: =switched names no service: give at least one its place, as in "users=monolith"`},
	{name: "service without a place", context: context{"phase": "users=switched,threads"},
		want: `phase: "threads" is not SERVICE=PLACE, as in "users=switched"`},
	{name: "only a service", context: context{"phase": "users"},
		want: `phase: "users" is not a phase: choose one of monolith, parallel, switched, retired, removed`},
	{name: "an empty part among places", context: context{"phase": "users=switched,,threads=parallel"},
		want: `phase: a part of "users=switched,,threads=parallel" is empty: remove the comma`},
	{name: "a comma after the places", context: context{"phase": "users=switched, "},
		want: `phase: a part of "users=switched, " is empty: remove the comma`},
	{name: "a comma after the shift", context: context{"phase": "parallel", "shift": "users=10,"},
		want: `shift: a part of "users=10," is empty: remove the comma`},
	{name: "no places", context: context{"phase": context{}},
		want: `phase: {} names no service: give at least one its place, as in "users=monolith"`},
	{name: "place named twice", context: context{"phase": "users=parallel,users = switched"},
		want: `phase: "users" is named twice in "users=parallel,users = switched"`},
	{name: "place that is a number", context: context{"phase": context{"users": 10.0}},
		want: `phase: users: 10 is not a place: choose one of monolith, parallel, a share as in "10%", or switched`},
	{name: "place that is null", context: context{"phase": context{"users": nil}},
		want: `phase: users: null is not a place: choose one of monolith, parallel, a share as in "10%", or switched`},
	{name: "places within a place", context: context{"phase": context{"users": context{"writes": "switched"}}},
		want: `phase: users: {"writes":"switched"} is not a place: choose one of monolith, parallel, a share as in "10%", or switched`},
	{name: "list of places", context: context{"phase": []any{"users=switched"}},
		want: `phase: ["users=switched"] is not a string`},
	{name: "share above 100", context: context{"phase": "users=101%"},
		want: `phase: users: "101%" is not a share: use a whole number from 0% to 100%`},
	{name: "share below 0", context: context{"phase": "users=-1%"},
		want: `phase: users: "-1%" is not a share: use a whole number from 0% to 100%`},
	{name: "share with a fraction", context: context{"phase": "users=0.5%"},
		want: `phase: users: "0.5%" is not a share: use a whole number from 0% to 100%`},
	{name: "share with a sign", context: context{"phase": "users=+5%"},
		want: `phase: users: "+5%" is not a share: use a whole number from 0% to 100%`},
	{name: "share without its sign", context: context{"phase": "users=10"},
		want: `phase: users: "10" is not a place: choose one of monolith, parallel, a share as in 10%, or switched`},
	{name: "a place of the monolith", context: context{"phase": "api=switched"},
		want: `phase: api=switched: the monolith can be retired or removed, and otherwise has no place: remove api`},
	{name: "a place of the monolith that is no text", context: context{"phase": context{"api": true}},
		want: `phase: api: true is not a place: choose one of monolith, parallel, a share as in "10%", or switched`},
	{name: "a service that is retired", context: context{"phase": "users=retired"},
		want: `phase: users=retired: only the monolith can be retired: write api=retired once each service is switched`},
	{name: "retired before a service is switched", context: context{"phase": "users=switched,threads=100%,api=retired"},
		want: `phase: api=retired: each service has to be switched first, and threads is in 100%`},
	{name: "removed before a service is switched", context: context{"phase": "users=switched,api=removed"},
		want: `phase: api=removed: each service has to be switched first, and threads is in monolith`},
	{name: "shift beside places", context: context{"phase": "users=parallel", "shift": context{"users": 10.0}},
		want: `shift: {"users":10}: the phase has a place for each service: write the share there, as in users=10%, and remove the shift`},
	{name: "shift that is null", context: context{"phase": "parallel", "shift": context{"users": nil}},
		want: `shift: users=null is not a percentage: use a whole number from 0 to 100`},
	{name: "shift that is a list", context: context{"phase": "parallel", "shift": []any{"users", 10.0}},
		want: `shift: ["users",10] is neither an object, as in {"users": 10}, nor a text, as in "users=10"`},
	{name: "shift with a control character", context: context{"phase": "parallel", "shift": "users=1\t0"},
		want: `shift: users="1\t0" is not a percentage: use a whole number from 0 to 100`},
	{name: "rest that is unknown", context: context{"rest": "keep"},
		want: `rest: "keep" is unknown: choose one of drop, monolith`},
	{name: "rest that is no text", context: context{"rest": true},
		want: `rest: true is not a string`},
	{name: "retired with the rest", context: context{"rest": "monolith", "phase": "retired"},
		want: `rest: the monolith keeps what no service claims, and cannot be retired: set rest to drop, or the phase to switched`},
	{name: "removed with the rest", context: context{"rest": "monolith", "phase": "users=switched,threads=switched,api=removed"},
		want: `rest: the monolith keeps what no service claims, and cannot be removed: set rest to drop, or the phase to switched`},
	{name: "root service with the rest", context: context{"rest": "monolith", "rootService": "users"},
		want: `rootService: "users" gets no request: with rest=monolith the monolith answers the root paths: remove rootService`},
	{name: "setting of another kind", context: context{"zones": context{"a": nil}, "env": nil, "alarms": []any{1.5}},
		want: "zones: {\"a\":null} is not a whole number\n" +
			"alarms: [1.5] is not a string\n" +
			"env: \"\" is not an environment name: use up to 32 lower-case letters, digits and single hyphens, beginning with a letter"},
}

var conditionMistakes = []mistake{
	{name: "no condition", change: tags(config.Route{Order: 50}),
		want: `service "tags": it has no condition: give it Paths, Hosts, Methods, Headers or Query`},
	{name: "no condition of a route", change: tags(config.Route{Name: "a", Order: 50, Testers: named{"X-A": {"1"}}}),
		want: `route "tags/a": it has no condition: give it Paths, Hosts, Methods, Headers or Query`},
	{name: "path of a route", change: tags(config.Route{Order: 50, Paths: []string{"tags"}}),
		want: `service "tags": path "tags" is not a path pattern: it begins with "/" and has letters, digits, wildcards (* ?) and _ - . $ / ~ " ' @ : + &`},
	{name: "host without a dot", change: tags(config.Route{Order: 50, Hosts: []string{"localhost"}}),
		want: `service "tags": host "localhost" is not a host pattern: it has letters, digits, hyphens, dots and wildcards (* ?), and only letters after the last dot`},
	{name: "host that is an address", change: tags(config.Route{Order: 50, Hosts: []string{"10.0.0.1"}}),
		want: `service "tags": host "10.0.0.1" is not a host pattern: it has letters, digits, hyphens, dots and wildcards (* ?), and only letters after the last dot`},
	{name: "host with a port", change: tags(config.Route{Order: 50, Hosts: []string{"a.example:80"}}),
		want: `service "tags": host "a.example:80" is not a host pattern: it has letters, digits, hyphens, dots and wildcards (* ?), and only letters after the last dot`},
	{name: "host in another script", change: tags(config.Route{Order: 50, Hosts: []string{"tägs.example"}}),
		want: `service "tags": host "tägs.example" is not a host pattern: it has letters, digits, hyphens, dots and wildcards (* ?), and only letters after the last dot`},
	{name: "long host", change: tags(config.Route{Order: 50, Hosts: []string{strings.Repeat("a", 121) + ".example"}}),
		want: `service "tags": host "` + strings.Repeat("a", 121) + `.example" has 129 characters: at most 128 are allowed`},
	{name: "host listed twice", change: tags(config.Route{Order: 50, Hosts: []string{"a.example", "A.example"}}),
		want: `service "tags": host "A.example" is listed twice: remove one`},
	{name: "method in small letters", change: tags(config.Route{Order: 50, Methods: []string{"get"}}),
		want: `service "tags": method "get" is not a method: it has capital letters, hyphens and underscores, and no wildcards`},
	{name: "method with a wildcard", change: tags(config.Route{Order: 50, Methods: []string{"P*"}}),
		want: `service "tags": method "P*" is not a method: it has capital letters, hyphens and underscores, and no wildcards`},
	{name: "long method", change: tags(config.Route{Order: 50, Methods: []string{strings.Repeat("A", 41)}}),
		want: `service "tags": method "` + strings.Repeat("A", 41) + `" has 41 characters: at most 40 are allowed`},
	{name: "method listed twice", change: tags(config.Route{Order: 50, Methods: []string{"GET", "GET"}}),
		want: `service "tags": method "GET" is listed twice: remove one`},
	{name: "method without a name", change: tags(config.Route{Order: 50, Methods: []string{""}}),
		want: `service "tags": method "" is not a method: it has capital letters, hyphens and underscores, and no wildcards`},
	{name: "header with an underscore", change: tags(config.Route{Order: 50, Headers: named{"x_beta": {"1"}}}),
		want: `service "tags": header "x_beta" is not a name of a header: it has letters, digits and hyphens, and no wildcards`},
	{name: "long header", change: tags(config.Route{Order: 50, Headers: named{strings.Repeat("x", 41): {"1"}}}),
		want: `service "tags": header "` + strings.Repeat("x", 41) + `" has 41 characters: at most 40 are allowed`},
	{name: "header for the host", change: tags(config.Route{Order: 50, Headers: named{"host": {"a.example"}}}),
		want: `service "tags": header "host": AWS has a condition of its own for the host: use Hosts`},
	{name: "header named twice", change: tags(config.Route{Order: 50, Headers: named{"X-A": {"1"}, "x-a": {"2"}}}),
		want: `service "tags": header "x-a" is listed twice: remove one`},
	{name: "header without a value", change: tags(config.Route{Order: 50, Headers: named{"X-A": {}}}),
		want: `service "tags": header "X-A" has no value: give it at least one`},
	{name: "header with an empty value", change: tags(config.Route{Order: 50, Headers: named{"X-A": {""}}}),
		want: `service "tags": header "X-A": value "" is not a value of a header: it has one or more characters of ASCII, wildcards (* ?) among them, and no space at an end`},
	{name: "header's value with a line end", change: tags(config.Route{Order: 50, Headers: named{"X-A": {"1\n"}}}),
		want: `service "tags": header "X-A": value "1\n" is not a value of a header: it has one or more characters of ASCII, wildcards (* ?) among them, and no space at an end`},
	{name: "header's value with a space at its end", change: tags(config.Route{Order: 50, Headers: named{"X-A": {"1 "}}}),
		want: `service "tags": header "X-A": value "1 " is not a value of a header: it has one or more characters of ASCII, wildcards (* ?) among them, and no space at an end`},
	{name: "header's long value", change: tags(config.Route{Order: 50, Headers: named{"X-A": {strings.Repeat("1", 129)}}}),
		want: `service "tags": header "X-A": value "` + strings.Repeat("1", 129) + `" has 129 characters: at most 128 are allowed`},
	{name: "header's value listed twice", change: tags(config.Route{Order: 50, Headers: named{"X-A": {"on", "ON"}}}),
		want: `service "tags": header "X-A": value "ON" is listed twice: remove one`},
	{name: "query without a key", change: tags(config.Route{Order: 50, Query: named{"": {"1"}}}),
		want: `service "tags": query key "" is not a key of a query string: it has one or more characters of ASCII, wildcards (* ?) among them, and no space`},
	{name: "query without a value", change: tags(config.Route{Order: 50, Query: named{"v": nil}}),
		want: `service "tags": query key "v" has no value: give it at least one`},
	{name: "query with a space", change: tags(config.Route{Order: 50, Query: named{"v": {"a b"}}}),
		want: `service "tags": query key "v": value "a b" is not a value of a query string: it has one or more characters of ASCII, wildcards (* ?) among them, and no space`},
	{name: "query with long texts", change: tags(config.Route{Order: 50, Query: named{strings.Repeat("k", 129): {strings.Repeat("v", 129)}}}),
		want: `service "tags": query key "` + strings.Repeat("k", 129) + `" has 129 characters: at most 128 are allowed` + "\n" +
			`service "tags": query key "` + strings.Repeat("k", 129) + `": value "` + strings.Repeat("v", 129) + `" has 129 characters: at most 128 are allowed`},
	{name: "too many values of all conditions", change: tags(config.Route{Order: 50, Paths: []string{"/t"}, Hosts: []string{"a.example"}, Methods: []string{"GET", "HEAD"}, Headers: named{"X-A": {"1"}}, Query: named{"v": {"1"}}}),
		want: `service "tags": 6 values in its conditions: a rule has at most 5`},
	{name: "too many wildcards of all conditions", change: tags(config.Route{Order: 50, Paths: []string{"/t*"}, Hosts: []string{"*.example"}, Headers: named{"X-A": {"?*"}}, Query: named{"v?": {"*"}}}),
		want: `service "tags": 6 wildcards: a rule has at most 5`},
}

var routeMistakes = []mistake{
	{name: "paths beside routes", change: with(config.Service{Name: "tags", Paths: []string{"/t"}, Routes: []config.Route{{Order: 50, Paths: []string{"/t"}}}}),
		want: `service "tags": Routes have Paths, Order and Testers of their own: move those of the service into a route`},
	{name: "order beside routes", change: with(config.Service{Name: "tags", Order: 50, Routes: []config.Route{{Order: 50, Paths: []string{"/t"}}}}),
		want: `service "tags": Routes have Paths, Order and Testers of their own: move those of the service into a route`},
	{name: "testers beside routes", change: with(config.Service{Name: "tags", Testers: named{"X-A": {"1"}}, Routes: []config.Route{{Order: 50, Paths: []string{"/t"}}}}),
		want: `service "tags": Routes have Paths, Order and Testers of their own: move those of the service into a route`},
	{name: "routes of the monolith", change: func(d *config.Deployment) {
		d.Monolith = config.Service{Name: "api", Routes: []config.Route{{Order: 1, Paths: []string{"/api*"}}}}
	},
		want: `service "api": Routes: the monolith has one listener rule, with Paths: remove Routes`},
	{name: "order and testers of the monolith", change: func(d *config.Deployment) {
		d.Monolith.Order, d.Monolith.Testers = 7, named{"X-A": {"1"}}
	},
		want: `service "api": Order 7: the monolith has a priority of its own: remove it` + "\n" +
			`service "api": Testers reach a microservice early, and the monolith is none: remove Testers`},
	{name: "name of a route", change: tags(config.Route{Name: "Reads/All", Order: 50, Paths: []string{"/t"}}),
		want: `route "tags/Reads/All": "Reads/All" is not a name of a route: use up to 32 lower-case letters, digits and single hyphens, beginning with a letter`},
	{name: "long name of a route", change: tags(config.Route{Name: strings.Repeat("r", 33), Order: 50, Paths: []string{"/t"}}),
		want: `route "tags/` + strings.Repeat("r", 33) + `": "` + strings.Repeat("r", 33) + `" is not a name of a route: use up to 32 lower-case letters, digits and single hyphens, beginning with a letter`},
	{name: "one name of two routes", change: tags(config.Route{Name: "a", Order: 50, Paths: []string{"/t"}}, config.Route{Name: "a", Order: 51, Paths: []string{"/s"}}),
		want: `route "tags/a": listed twice: give each route of a service its own name`},
	{name: "two routes without a name", change: tags(config.Route{Order: 50, Paths: []string{"/t"}}, config.Route{Order: 51, Paths: []string{"/s"}}),
		want: `service "tags": two routes have no name: only one route of a service may have none`},
	{name: "ids of a route and a service", change: func(d *config.Deployment) {
		users(config.Route{Name: "old", Order: 10, Paths: []string{"/api/users*"}})(d)
		with(config.Service{Name: "users-old", Paths: []string{"/t"}, Order: 50})(d)
	},
		want: `route "users/old": the ids of its rules begin with UsersOld, like those of service "users-old": rename one`},
	{name: "ids of two routes", change: func(d *config.Deployment) {
		users(config.Route{Name: "old-ones", Order: 10, Paths: []string{"/api/users*"}})(d)
		with(config.Service{Name: "users-old", LoadBalancer: "shop", Routes: []config.Route{{Name: "ones", Order: 50, Paths: []string{"/t"}}}})(d)
	},
		want: `route "users-old/ones": the ids of its rules begin with UsersOldOnes, like those of route "users/old-ones": rename one`},
	{name: "ids of two routes of a service", change: tags(config.Route{Name: "v1", Order: 50, Paths: []string{"/t"}}, config.Route{Name: "v-1", Order: 51, Paths: []string{"/s"}}),
		want: `route "tags/v-1": the ids of its rules begin with TagsV1, like those of route "tags/v1": rename one`},
	{name: "name of a rule", change: with(config.Service{Name: "users-shift-rule", Paths: []string{"/t"}, Order: 50}),
		want: `service "users-shift-rule": its target group has the id UsersShiftRule, like a listener rule of service "users": rename the service`},
	{name: "name of the load balancer", change: with(config.Service{Name: "load-balancer", Paths: []string{"/t"}, Order: 50}),
		want: `service "load-balancer": its target group has the id LoadBalancer, like the load balancer: rename the service`},
	{name: "name of an output", change: with(config.Service{Name: "url", Paths: []string{"/t"}, Order: 50}),
		want: `service "url": its target group has the id Url, like the output Url: rename the service`},
	{name: "names of the alarms and the access logs", context: context{"alarms": "on", "accessLogs": "on", "maxInstances": 9.0}, change: with(
		config.Service{Name: "access-logs", Paths: []string{"/a"}, Order: 50}, config.Service{Name: "alarm-topic", Paths: []string{"/b"}, Order: 51},
		config.Service{Name: "alarm-key", Paths: []string{"/c"}, Order: 52}, config.Service{Name: "alarm-topic-arn", Paths: []string{"/d"}, Order: 53},
		config.Service{Name: "load-balancer-errors", Paths: []string{"/e"}, Order: 54}),
		want: `service "access-logs": its target group has the id AccessLogs, like the bucket of the access logs: rename the service` + "\n" +
			`service "alarm-topic": its target group has the id AlarmTopic, like a part of the alarms: rename the service` + "\n" +
			`service "alarm-key": its target group has the id AlarmKey, like a part of the alarms: rename the service` + "\n" +
			`service "alarm-topic-arn": its target group has the id AlarmTopicArn, like a part of the alarms: rename the service` + "\n" +
			`service "load-balancer-errors": its target group has the id LoadBalancerErrors, like a part of the alarms: rename the service`},
	{name: "stacks of places", context: context{"phase": "users=parallel"}, change: with(
		config.Service{Name: "tags", LoadBalancer: "shop", Paths: []string{"/t"}, Order: 5},
		config.Service{Name: "gate-shop", Paths: []string{"/g"}, Order: 51}, config.Service{Name: "phase-shop", Paths: []string{"/p"}, Order: 52}),
		want: `load balancer "shop": its stack is called GateShop, like that of service "gate-shop": rename one` + "\n" +
			`load balancer "shop": its stack is called PhaseShop, like that of service "phase-shop": rename one`},
	{name: "stacks of a move", change: with(
		config.Service{Name: "tags", Paths: []string{"/t"}, Order: 51, Compute: config.EC2{}, Next: config.Fargate{}}, config.Service{Name: "gate-compute", Paths: []string{"/g"}, Order: 52}),
		want: `the move between kinds of compute: its stack is called GateCompute, like that of service "gate-compute": rename one`},
	{name: "a load balancer of the name of moves", change: with(
		config.Service{Name: "tags", Paths: []string{"/t"}, Order: 51, Compute: config.Fargate{}}, config.Service{Name: "news", LoadBalancer: "compute", Paths: []string{"/n"}, Order: 1}),
		want: `load balancer "compute": services that name their Compute have parameters of that name: rename it`},
	{name: "order of a route", change: tags(config.Route{Name: "a", Order: 1000, Paths: []string{"/t"}}),
		want: `route "tags/a": Order 1000: it must be from 1 to 999`},
	{name: "one order of two routes", change: tags(config.Route{Name: "a", Order: 50, Paths: []string{"/t"}}, config.Route{Name: "b", Order: 50, Paths: []string{"/s"}}),
		want: `route "tags/b": Order 50 belongs to "tags/a" already: give each route its own`},
	{name: "order of another service", change: tags(config.Route{Name: "a", Order: 20, Paths: []string{"/t"}}),
		want: `route "tags/a": Order 20 belongs to "threads" already: give each route its own`},
	{name: "conditions of another route", change: tags(
		config.Route{Name: "a", Order: 50, Paths: []string{"/t*"}, Methods: []string{"PUT", "POST"}},
		config.Route{Name: "b", Order: 51, Paths: []string{"/t*"}, Methods: []string{"POST", "PUT"}}),
		want: `route "tags/b": "/t* with method POST or PUT" belongs to "tags/a" already`},
	{name: "shadowed conditions", change: tags(
		config.Route{Name: "b", Order: 51, Paths: []string{"/t/*"}, Methods: []string{"POST"}, Hosts: []string{"A.example"}},
		config.Route{Name: "a", Order: 50, Paths: []string{"/s", "/t*"}, Methods: []string{"POST", "PUT"}}),
		want: `route "tags/b": "/t/* with host A.example and method POST" never gets a request: "/t* with method POST or PUT" of "tags/a" comes first and takes it: give "tags/b" a lower Order`},
	{name: "a shadowed path with a condition", change: tags(config.Route{Name: "b", Order: 51, Paths: []string{"/api/users/x", "/t"}, Methods: []string{"POST"}}),
		want: `route "tags/b": path "/api/users/x" never gets a request: "/api/users*" of "users" comes first and takes it: give "tags/b" a lower Order`},
	{name: "shadowed values", change: tags(
		config.Route{Name: "hosts", Order: 50, Hosts: []string{"*.example"}},
		config.Route{Name: "methods", Order: 51, Paths: []string{"/t"}, Methods: []string{"POST"}},
		config.Route{Name: "headers", Order: 52, Paths: []string{"/t"}, Headers: named{"X-A": {"on*"}}},
		config.Route{Name: "query", Order: 53, Paths: []string{"/t"}, Query: named{"v": {"1"}}},
		config.Route{Name: "a", Order: 54, Paths: []string{"/t"}, Hosts: []string{"B.Example", "b.test"}},
		config.Route{Name: "b", Order: 55, Paths: []string{"/t"}, Methods: []string{"GET", "POST"}},
		config.Route{Name: "c", Order: 56, Paths: []string{"/t"}, Headers: named{"x-a": {"ON", "off"}}},
		config.Route{Name: "d", Order: 57, Paths: []string{"/t"}, Query: named{"V": {"1", "2"}}}),
		want: `route "tags/a": host "B.Example" never gets a request: "any path with host *.example" of "tags/hosts" comes first and takes it: give "tags/a" a lower Order` + "\n" +
			`route "tags/b": method "POST" belongs to "tags/methods" already` + "\n" +
			`route "tags/c": header x-a "ON" never gets a request: "/t with header X-A on*" of "tags/headers" comes first and takes it: give "tags/c" a lower Order` + "\n" +
			`route "tags/d": query V "1" belongs to "tags/query" already`},
	{name: "root paths that a route takes", context: context{"rootService": "users"}, change: tags(config.Route{Name: "some", Order: 49, Paths: []string{"/api"}, Methods: []string{"GET"}}, config.Route{Order: 50, Paths: []string{"/*"}}),
		want: `rootService: "users" gets no request for /, /api, /api/: paths of services come first and take them: remove rootService`},
}

var testerMistakes = []mistake{
	{name: "testers without a value", change: tags(config.Route{Order: 50, Paths: []string{"/t"}, Testers: named{"Cookie": nil}}),
		want: `service "tags": Testers: header "Cookie" has no value: give it at least one`},
	{name: "testers without a header", change: tags(config.Route{Name: "a", Order: 50, Paths: []string{"/t"}, Testers: named{"": {"1"}}}),
		want: `route "tags/a": Testers: header "" is not a name of a header: it has letters, digits and hyphens, and no wildcards`},
	{name: "testers by the host", change: with(config.Service{Name: "tags", Order: 50, Paths: []string{"/t"}, Testers: named{"HOST": {"beta.example"}}}),
		want: `service "tags": Testers: header "HOST": AWS has a condition of its own for the host: use Hosts`},
	{name: "testers by a condition", change: tags(config.Route{Order: 50, Headers: named{"X-Beta": {"*"}}, Testers: named{"x-beta": {"1"}}}),
		want: `service "tags": Testers: header "x-beta" is a condition of the route already: tell testers by another header`},
	{name: "too many values with testers", change: with(config.Service{Name: "tags", Order: 50, Paths: []string{"/a", "/b", "/c"}, Testers: named{"X-A": {"1", "2"}, "X-B": {"1"}}}),
		want: `service "tags": 3 values in its conditions and 3 in Testers: the rule for testers has both, and a rule has at most 5`},
	{name: "too many wildcards with testers", change: with(config.Service{Name: "tags", Order: 50, Paths: []string{"/a*", "/b*", "/c*"}, Testers: named{"Cookie": {"*c=1*?"}}}),
		want: `service "tags": 3 wildcards in its conditions and 3 in Testers: the rule for testers has both, and a rule has at most 5`},
	{name: "far too many wildcards of testers", context: context{"phase": "users=0%"}, change: func(d *config.Deployment) {
		d.Services[0].Testers = named{"X-A": {strings.Repeat("*a", 60)}}
		with(config.Service{Name: "admin", Order: 5, Paths: []string{"/api/*/admin"}})(d)
	},
		want: `service "users": 1 wildcard in its conditions and 60 in Testers: the rule for testers has both, and a rule has at most 5`},
	{name: "far too many wildcards before testers", context: context{"phase": "users=0%"}, change: func(d *config.Deployment) {
		d.Services[0].Testers = named{"X-A": {"1"}}
		with(config.Service{Name: "admin", Order: 5, Paths: []string{"/api" + strings.Repeat("*a", 60)}})(d)
	},
		want: `service "admin": 60 wildcards: a rule has at most 5`},
	{name: "testers that take requests of another place", context: context{"phase": "users=0%,users/writes=parallel"}, change: users(
		config.Route{Name: "writes", Order: 5, Paths: []string{"/api/users*"}, Methods: []string{"POST"}},
		config.Route{Order: 10, Paths: []string{"/api/users*"}, Testers: named{"X-A": {"1"}}}),
		want: `phase: users=0%: the rule for testers of "users" takes requests of "users/writes" too, and that route is in parallel: give "users/writes" the same testers and a share first, or narrow the conditions of "users"`},
	{name: "testers that take requests of another service", context: context{"phase": "users=0%,admin=switched"}, change: func(d *config.Deployment) {
		d.Services[0].Testers = named{"X-A": {"1"}}
		with(config.Service{Name: "admin", Order: 5, Paths: []string{"/api/*/admin"}})(d)
	},
		want: `phase: users=0%: the rule for testers of "users" takes requests of "admin" too, and that route is in switched: give "admin" the same testers and a share first, or narrow the conditions of "users"`},
	{name: "testers of a shift that take requests of another service", context: context{"phase": "parallel", "shift": "users=5"}, change: func(d *config.Deployment) {
		d.Services[0].Testers = named{"X-A": {"1"}}
		with(config.Service{Name: "admin", Order: 5, Paths: []string{"/api/*/admin"}})(d)
	},
		want: `shift: users=5: the rule for testers of "users" takes requests of "admin" too, and that route is in parallel: give "admin" the same testers and a share first, or narrow the conditions of "users"`},
}

// long begins the names of services of 32 characters.
const long = "a-service-with-a-long-name-of-"

// wide returns so many services at a load balancer, with so many routes each. Their names have two
// digits behind the prefix.
func wide(prefix string, n, routes int, change ...func(*config.Service)) func(*config.Deployment) {
	return func(d *config.Deployment) {
		d.Services = nil
		for i := range n {
			s := config.Service{Name: fmt.Sprintf("%s%02d", prefix, i), CPU: 2, MemoryReservationMiB: 6}
			for r := range routes {
				route := config.Route{Order: i*routes + r + 1, Paths: []string{fmt.Sprintf("/%d/%d/*", i, r)}}
				if r > 0 {
					route.Name = fmt.Sprintf("r%d", r)
				}
				s.Routes = append(s.Routes, route)
			}
			for _, change := range change {
				change(&s)
			}
			d.Services = append(d.Services, s)
		}
	}
}

func testers(s *config.Service) { s.Routes[0].Testers = named{"X-A": {"1"}} }

func quotaMistakes() []mistake {
	const first, other = `put 1 of its services behind another load balancer, as in {Name: "s`, `", LoadBalancer: "further", …}`
	places := context{"phase": "s00=parallel"}
	return []mistake{
		{name: "too many routes", change: wide("s", 50, 2),
			want: `the first load balancer: 50 services with 100 routes and a shift of 0 need 101 listener rules, and a load balancer can have 100: ` + first + `49` + other},
		{name: "too many routes for the root paths", context: context{"rootService": "s00"}, change: wide("s", 33, 3),
			want: `the first load balancer: 33 services with 99 routes and a shift of 0 need 101 listener rules, and a load balancer can have 100: ` + first + `32` + other},
		{name: "too many routes for a share", context: places, change: wide("s", 33, 3),
			want: `the first load balancer: 33 services with 99 routes and a share of 1 need 101 listener rules, and a load balancer can have 100: ` + first + `32` + other},
		{name: "too many routes for a share and the root paths", context: context{"phase": "s00=parallel", "rootService": "s00"}, change: wide("s", 49, 2),
			want: `the first load balancer: 49 services with 98 routes and a share of 1 need 101 listener rules, and a load balancer can have 100: ` + first + `48` + other},
		{name: "too many routes for a share beside the rest", context: context{"rest": "monolith", "phase": "s00=parallel"}, change: wide("s", 33, 3),
			want: `the first load balancer: 33 services with 99 routes and a share of 1 need 101 listener rules, and a load balancer can have 100: ` + first + `32` + other},
		{name: "too many rules that hold requests back", context: context{"phase": "everything=parallel"}, change: func(d *config.Deployment) {
			wide("s", 97, 1)(d)
			with(config.Service{Name: "everything", Paths: []string{"/0/*"}, Order: 999, CPU: 2, MemoryReservationMiB: 6})(d)
		},
			want: `the first load balancer: 98 services and a share of 1 need 101 listener rules, and a load balancer can have 100: put 1 of its services behind another load balancer, as in {Name: "everything", LoadBalancer: "further", …}`},
		{name: "too many routes at one of two load balancers", change: func(d *config.Deployment) {
			wide("s", 50, 2)(d)
			with(config.Service{Name: "tags", LoadBalancer: "shop", Paths: []string{"/t"}, Order: 5})(d)
		},
			want: `the first load balancer: 50 services with 100 routes and a shift of 0 need 101 listener rules, and a load balancer can have 100: ` + first + `49` + other},
		{name: "too many routes to go back", context: context{"phase": "removed"}, change: wide("s", 50, 2),
			want: `the first load balancer: 50 services with 100 routes and a shift of 0 need 101 listener rules, and a load balancer can have 100: ` + first + `49` + other},
		{name: "two services too many", change: wide("s", 51, 2),
			want: `the first load balancer: 51 services with 102 routes and a shift of 0 need 103 listener rules, and a load balancer can have 100: ` + strings.Replace(first, "1", "2", 1) + `50` + other},
		{name: "too many routes for testers", change: wide("s", 49, 2, testers),
			want: `the first load balancer: 49 services with 98 routes and a shift of "s00" with its testers need 102 listener rules, and a load balancer can have 100: ` + first + `48` + other},
		{name: "too many routes for testers of a place", context: places, change: wide("s", 49, 2, testers),
			want: `the first load balancer: 49 services with 98 routes and a share of "s00" with its testers need 101 listener rules, and a load balancer can have 100: ` + first + `48` + other},
		{name: "too many at once with the rest", context: context{"rest": "monolith"}, change: wide("s", 50, 1),
			want: `the first load balancer: 50 services need 101 listener rules while they are switched all at once, and a load balancer can have 100: give each service a place in phase, as in "s49=monolith", and move a few at a time`},
	}
}

func load(t *testing.T, d config.Deployment, c context) (config.Deployment, config.Settings) {
	t.Helper()
	d, s, err := config.Load(d, c, func(string) string { return "" })
	if err != nil {
		t.Fatal(err)
	}
	return d, s
}

// A route is one, in whichever form it is written: it keeps its ids and priorities.
func TestFormsOfARoute(t *testing.T) {
	testers := named{"Cookie": {"*canary=1*"}}
	short, long := forum(), forum()
	short.Services[0].Testers = testers
	users(config.Route{Order: 10, Paths: []string{"/api/users*"}, Testers: testers})(&long)
	for _, c := range []context{
		{"phase": "monolith"}, {"phase": "parallel", "shift": "users=10"}, {"phase": "switched", "rootService": "users"}, {"phase": "switched", "rest": "monolith"},
		{"phase": "users=10%"}, {"phase": "users=switched"}, {"phase": "users=switched,threads=switched,api=removed"},
	} {
		a, settings := load(t, short, c)
		b, _ := load(t, long, c)
		if diff := cmp.Diff(a.Migration().Plan(settings.Position), b.Migration().Plan(settings.Position)); diff != "" {
			t.Errorf("%v (-short +long):\n%s", c, diff)
		}
	}
}

// The place of a list of routes is no matter: priorities are those of the orders.
func TestOrderOfTheList(t *testing.T) {
	route := func(name string, order int) config.Route {
		return config.Route{Name: name, Order: order, Paths: []string{"/" + name + "/*"}}
	}
	a, b := forum(), forum()
	users(route("b", 40), route("", 30), route("a", 35))(&a)
	users(route("a", 35), route("b", 40), route("", 30))(&b)
	for _, c := range []context{{"phase": "parallel", "shift": "users=10"}, {"phase": "switched", "rootService": "users"}, {"phase": "users=10%,users/a=switched"}} {
		first, settings := load(t, a, c)
		second, _ := load(t, b, c)
		if diff := cmp.Diff(first.Migration().Plan(settings.Position), second.Migration().Plan(settings.Position)); diff != "" {
			t.Errorf("%v (-first +second):\n%s", c, diff)
		}
	}
	for _, test := range []struct {
		routes []config.Route
		want   int
	}{
		{[]config.Route{route("b", 40), route("a", 35)}, 30035},
		{[]config.Route{route("a", 35), route("b", 40)}, 30035},
		{[]config.Route{route("a", 35), route("", 40)}, 30040},
	} {
		d := forum()
		users(test.routes...)(&d)
		d, s := load(t, d, context{"phase": "switched", "rootService": "users"})
		rules := d.Migration().Plan(s.Position).At("").Rules
		if got := rules[len(rules)-1]; got.ID != "Root" || got.Priority != test.want {
			t.Errorf("the rule of the root paths is %s with priority %d, want %d", got.ID, got.Priority, test.want)
		}
	}
}

// Names that would collide with what another setting or another load balancer has.
func TestNamesThatAreFree(t *testing.T) {
	d := forum()
	with(config.Service{Name: "alarm-topic", Paths: []string{"/b"}, Order: 51}, config.Service{Name: "access-logs", Paths: []string{"/a"}, Order: 50},
		config.Service{Name: "tags", LoadBalancer: "shop", Paths: []string{"/t"}, Order: 10}, config.Service{Name: "gate-shop", Paths: []string{"/g"}, Order: 52})(&d)
	load(t, d, context{"maxInstances": 9.0})
}

// Everything that AWS takes in a condition.
func TestConditions(t *testing.T) {
	given := forum()
	given.Services = append(given.Services, config.Service{Name: "tags", Routes: []config.Route{
		{Name: "hosts", Order: 3, Paths: []string{"/h"}, Hosts: []string{"*.example", "a-?.Example.com", strings.Repeat("a", 124) + ".com"}},
		{Name: "methods", Order: 2, Paths: []string{"/m"}, Methods: []string{"GET", "M-SEARCH", "A_B", strings.Repeat("A", 40)}},
		{Name: "headers", Order: 1, Headers: named{strings.Repeat("X", 40): {strings.Repeat("1", 128)}, "Cookie": {"a b*", "?"}}, Methods: []string{"PUT"}, Testers: named{"X-Tester": {"~!*"}}},
		{Name: "query", Order: 4, Paths: []string{"/q"}, Query: named{"v*": {"1", "2?"}, strings.Repeat("k", 128): {strings.Repeat("v", 128)}}},
		{Name: strings.Repeat("r", 32), Order: 5, Paths: []string{"/tags*"}, Methods: []string{"POST"}},
		{Order: 999, Paths: []string{"/tags*", "/Tags*"}, Methods: []string{"GET"}, Testers: named{"Cookie": {"*a*", "b*"}}},
	}})
	d, s := load(t, given, context{"phase": "tags=0%,tags/headers=1%,users=switched"})
	rules := map[string]string{}
	for _, rule := range d.Migration().Plan(s.Position).At("").Rules {
		rules[fmt.Sprint(rule.Priority)] = fmt.Sprint(migration.Key(rule.Service, rule.Route), " ", rule.ID, " ", rule.Targets)
	}
	for priority, want := range map[string]string{
		"1": "tags/headers Testers [{tags 1}]", "1001": "tags/headers Shift [{tags 1} {api 99}]",
		"999": "tags Testers [{tags 1}]", "1999": "tags Shift [{tags 0} {api 100}]", "1010": "users Shift [{users 1}]",
	} {
		if rules[priority] != want {
			t.Errorf("rule %s is %q, want %q", priority, rules[priority], want)
		}
	}
}

// A service's place is that of its routes that are not named themselves.
func TestPlaces(t *testing.T) {
	route := func(name string, order int) config.Route {
		return config.Route{Name: name, Order: order, Paths: []string{"/" + name + "/*"}}
	}
	for _, test := range []struct {
		phase any
		want  string
	}{
		{"users=switched", "threads=monolith,users=switched,users/a=switched,users/b=switched"},
		{" users/a = 10% , threads=parallel", "threads=parallel,users=monolith,users/a=10%,users/b=monolith"},
		{"users/a=0%,users=100%", "threads=monolith,users=100%,users/a=0%,users/b=100%"},
		{context{"threads": "switched", "users": "switched", "api": "retired"}, "threads=switched,users=switched,users/a=switched,users/b=switched,api=retired"},
		{"threads=switched,users=switched,api=removed", "threads=switched,users=switched,users/a=switched,users/b=switched,api=removed"},
		{context{"threads": "monolith"}, "threads=monolith,users=monolith,users/a=monolith,users/b=monolith"},
	} {
		d := forum()
		users(route("a", 8), route("b", 9), config.Route{Order: 10, Paths: []string{"/api/users*"}})(&d)
		d, s := load(t, d, context{"phase": test.phase, "shift": ""})
		if got := s.PhaseText(d.Monolith.Name); got != test.want {
			t.Errorf("%v: got %s, want %s", test.phase, got, test.want)
		}
		if d.KeepRest {
			t.Errorf("%v: the monolith keeps the rest", test.phase)
		}
	}
	d, s := load(t, forum(), context{"phase": "users=switched,threads=switched", "rest": "monolith"})
	if !d.KeepRest || s.Phase != migration.Switched || !d.Migration().KeepRest {
		t.Errorf("rest=monolith: keeps the rest %t, in %s", d.KeepRest, s.Phase)
	}
}

// Without a list of services, any service may have a place, and any may be the monolith.
func TestPositionWithoutAList(t *testing.T) {
	for phase, want := range map[string]string{
		"users=switched,x/y=3%":      "users=switched,x/y=3%",
		"users=switched,api=removed": "users=switched,the monolith=removed",
	} {
		at, err := config.Position(context{"phase": phase})
		if got := at.PhaseText(""); err != nil || got != want {
			t.Errorf("%s: got %s, %v, want %s", phase, got, err, want)
		}
	}
	if _, err := config.Position(context{"phase": "users=next"}); err == nil {
		t.Error("a place that is none: no error")
	}
}

// Testers of one route are no matter to another one that takes none of their requests, or that sends
// them where they go.
func TestTestersOfSeveralRoutes(t *testing.T) {
	beta := named{"X-Beta": {"1"}}
	writes := config.Route{Name: "writes", Order: 5, Paths: []string{"/api/users*"}, Methods: []string{"POST"}}
	all := config.Route{Order: 10, Paths: []string{"/api/users*"}, Testers: beta}
	with := func(r config.Route, change func(*config.Route)) config.Route { change(&r); return r }
	for _, test := range []struct {
		name, phase string
		routes      []config.Route
	}{
		{"the earlier route is as far", "users=0%,users/writes=switched", []config.Route{writes, all}},
		{"the earlier route has all", "users=0%,users/writes=100%", []config.Route{writes, all}},
		{"the earlier route has the same testers", "users=0%", []config.Route{with(writes, func(r *config.Route) { r.Testers = beta }), all}},
		{"the earlier route has another method", "users=0%,users/writes=parallel", []config.Route{writes, with(all, func(r *config.Route) { r.Methods = []string{"GET"} })}},
		{"the earlier route has another value", "users=0%,users/writes=parallel", []config.Route{with(writes, func(r *config.Route) { r.Headers = named{"x-beta": {"2"}} }), all}},
		{"the route with testers has no share yet", "users=parallel,users/writes=monolith", []config.Route{writes, all}},
		{"the route with testers comes first", "users/writes=0%", []config.Route{with(writes, func(r *config.Route) { r.Testers = beta }), with(all, func(r *config.Route) { r.Testers = nil })}},
	} {
		t.Run(test.name, func(t *testing.T) {
			d := forum()
			users(test.routes...)(&d)
			load(t, d, context{"phase": test.phase})
		})
	}
}

// A service with several routes has its tasks once.
func TestTasksOfSeveralRoutes(t *testing.T) {
	d := forum()
	users(config.Route{Name: "a", Order: 9, Paths: []string{"/api/a*"}}, config.Route{Order: 10, Paths: []string{"/api/users*"}})(&d)
	d.Services[0].Tasks, d.Services[0].CPU, d.Services[0].MemoryReservationMiB = 997, 2, 6
	d.Services[0].MemoryLimitMiB = 512
	load(t, d, context{"maxInstances": 4.0}) // 998 tasks and the monolith's are 999 targets
	d.Services[0].Tasks = 999
	if _, _, err := config.Load(d, nil, func(string) string { return "" }); err == nil || !strings.Contains(err.Error(), "have 1001 tasks") {
		t.Errorf("1001 targets: %v", err)
	}
}

// As many services as one phase for all can have, each with a place of its own. No stack of the gate
// has more than 500 resources.
func TestMostPlaces(t *testing.T) {
	given := forum()
	services(98, 98, 98, 98, 98)(&given)
	given.Services[0].Name = strings.Repeat("a", 32) // its place is moved
	at := func(place string) context {
		return context{"maxInstances": 62.0, "phase": given.Services[0].Name + "=" + place, "dashboard": "off"}
	}
	for _, place := range []string{"1%", "switched"} {
		load(t, given, at(place))
	}
	all := context{}
	for _, s := range given.Services {
		all[s.Name] = "switched"
	}
	for _, monolith := range []string{"", "retired", "removed"} {
		if monolith != "" {
			all["api"] = monolith
		}
		d, s := load(t, given, context{"maxInstances": 62.0, "phase": all})
		m := d.Migration()
		locks := m.Locks(m.State(s.Position))
		if len(locks) != 5 {
			t.Errorf("%d stacks of the gate, want 5", len(locks))
		}
		for _, lock := range locks {
			if len(lock.Gate) > 500 || len(lock.Last) > 500 {
				t.Errorf("monolith %s, load balancer %q: %d and %d resources, want 500 at most", monolith, lock.Balancer, len(lock.Gate), len(lock.Last))
			}
		}
	}
	// The most routes at a load balancer, with testers, a share, and the rest.
	for name, test := range map[string]struct {
		prefix       string
		routes, each int
		context      context
		change       []func(*config.Service)
	}{
		"one phase for all":     {"s", 33, 3, context{}, nil},
		"root paths":            {"s", 49, 2, context{"rootService": "s00"}, nil},
		"testers":               {"s", 48, 2, context{}, []func(*config.Service){testers}},
		"places":                {"s", 49, 2, context{"phase": "s00=switched"}, nil},
		"places and names":      {long, 98, 1, context{"phase": long + "00=switched"}, nil},
		"places and testers":    {long, 97, 1, context{"phase": long + "00=switched"}, []func(*config.Service){testers}},
		"the rest, all at once": {"s", 49, 1, context{"rest": "monolith"}, nil},
		"the rest, with places": {"s", 49, 2, context{"rest": "monolith", "phase": "s00=switched"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			d := forum()
			wide(test.prefix, test.routes, test.each, test.change...)(&d)
			load(t, d, test.context)
		})
	}
}

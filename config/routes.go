package config

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"cutover/internal/words"
	"cutover/migration"
)

// kind is a kind of value in the conditions of a rule, with what AWS takes: "Condition types for
// listener rules"
// (https://docs.aws.amazon.com/elasticloadbalancing/latest/application/rule-condition-types.html).
type kind struct {
	noun   string
	length int // characters at most
	format *regexp.Regexp
	is     string // follows "is not"
	fold   bool   // capitals and small letters are the same
}

var (
	pathKind = kind{"path", maxPatternLength, regexp.MustCompile(`^/[A-Za-z0-9_.$/~"'@:+&*?-]*$`),
		`a path pattern: it begins with "/" and has letters, digits, wildcards (* ?) and _ - . $ / ~ " ' @ : + &`, false}
	// A host has at least one dot, and only letters after the last one.
	hostKind = kind{"host", maxPatternLength, regexp.MustCompile(`^[A-Za-z0-9.*?-]*\.[A-Za-z]+$`),
		`a host pattern: it has letters, digits, hyphens, dots and wildcards (* ?), and only letters after the last dot`, true}
	// The comparison is exact, without wildcards.
	methodKind = kind{"method", 40, regexp.MustCompile(`^[A-Z_-]+$`),
		`a method: it has capital letters, hyphens and underscores, and no wildcards`, false}
	// A condition takes any name of RFC 7230. The load balancer drops headers with other names than
	// these (attribute routing.http.drop_invalid_header_fields.enabled in
	// https://docs.aws.amazon.com/elasticloadbalancing/latest/application/edit-load-balancer-attributes.html).
	headerKind = kind{"header", 40, regexp.MustCompile(`^[A-Za-z0-9-]+$`),
		`a name of a header: it has letters, digits and hyphens, and no wildcards`, true}
	// A header's value begins and ends with a visible character (RFC 9110, section 5.5).
	valueKind = kind{"value", maxPatternLength, regexp.MustCompile(`^[!-~]([ -~]*[!-~])?$`),
		`a value of a header: it has one or more characters of ASCII, wildcards (* ?) among them, and no space at an end`, true}
	// A query string has characters of RFC 3986; others are percent-encoded.
	keyKind = kind{"query key", maxPatternLength, regexp.MustCompile(`^[!-~]+$`),
		`a key of a query string: it has one or more characters of ASCII, wildcards (* ?) among them, and no space`, true}
	queryKind = kind{"value", maxPatternLength, regexp.MustCompile(`^[!-~]+$`),
		`a value of a query string: it has one or more characters of ASCII, wildcards (* ?) among them, and no space`, true}
)

// check refuses values that AWS refuses, and values that are listed twice.
func (k kind) check(where string, values []string, refuse func(string, ...any)) {
	for i, value := range values {
		same := func(other string) bool { return other == value || k.fold && strings.EqualFold(other, value) }
		switch {
		case !k.format.MatchString(value):
			refuse("%s: %s %q is not %s", where, k.noun, value, k.is)
		case len(value) > k.length:
			refuse("%s: %s %q has %d characters: at most %d are allowed", where, k.noun, value, len(value), k.length)
		case slices.ContainsFunc(values[:i], same):
			refuse("%s: %s %q is listed twice: remove one", where, k.noun, value)
		}
	}
}

// checkNamed checks conditions that have a name each: headers, or keys of a query string.
func checkNamed(where string, name, value kind, given map[string][]string, refuse func(string, ...any)) {
	names := slices.Sorted(maps.Keys(given))
	name.check(where, names, refuse)
	for _, n := range names {
		if len(given[n]) == 0 {
			refuse("%s: %s %q has no value: give it at least one", where, name.noun, n)
		}
		value.check(fmt.Sprintf("%s: %s %q", where, name.noun, n), given[n], refuse)
		if name.noun == headerKind.noun && strings.EqualFold(n, "Host") {
			refuse("%s: header %q: AWS has a condition of its own for the host: use Hosts", where, n)
		}
	}
}

// title names a route for people: the service, if the route has no name.
func title(service Service, route Route) string {
	if route.Name == "" {
		return fmt.Sprintf("service %q", service.Name)
	}
	return fmt.Sprintf("route %q", migration.Key(service.Name, route.Name))
}

// maxRouteName is how many characters the name of a route may have: as many as that of a service.
const maxRouteName = maxGroupName

// checkRoutes refuses routes of a service that AWS refuses or that have no name to tell them apart.
func checkRoutes(service Service, isMonolith bool, refuse func(string, ...any)) {
	if isMonolith && len(service.Routes) > 0 {
		refuse("service %q: Routes: the monolith has one listener rule, with Paths: remove Routes", service.Name)
		return
	}
	if isMonolith && service.Order != 0 {
		refuse("service %q: Order %d: the monolith has a priority of its own: remove it", service.Name, service.Order)
	}
	if isMonolith && len(service.Testers) > 0 {
		refuse("service %q: Testers reach a microservice early, and the monolith is none: remove Testers", service.Name)
	}
	if len(service.Routes) > 0 && (len(service.Paths) > 0 || service.Order != 0 || len(service.Testers) > 0) {
		refuse("service %q: Routes have Paths, Order and Testers of their own: move those of the service into a route", service.Name)
	}
	names := map[string]bool{}
	for _, route := range service.AllRoutes() {
		switch {
		case names[route.Name] && route.Name == "":
			refuse("service %q: two routes have no name: only one route of a service may have none", service.Name)
		case names[route.Name]:
			refuse("%s: listed twice: give each route of a service its own name", title(service, route))
		case route.Name != "" && (!nameFormat.MatchString(route.Name) || len(route.Name) > maxRouteName):
			refuse("%s: %q is not a name of a route: use up to %d lower-case letters, digits and single hyphens, beginning with a letter", title(service, route), route.Name, maxRouteName)
		}
		names[route.Name] = true
		checkConditions(service, route, refuse)
		checkSize(service, route, refuse)
	}
}

// checkConditions refuses conditions and testers of a route that AWS refuses, or that no request
// meets.
func checkConditions(service Service, route Route, refuse func(string, ...any)) {
	where := title(service, route)
	values, _ := size(route.migration().Match)
	named := len(route.Headers) + len(route.Query) // without a value, they are refused below
	switch {
	case len(service.Routes) == 0 && len(route.Paths) == 0:
		refuse("%s: it has no path: give it at least one pattern, as in \"/api/%s*\"", where, service.Name)
	case values+named == 0:
		refuse("%s: it has no condition: give it Paths, Hosts, Methods, Headers or Query", where)
	}
	pathKind.check(where, route.Paths, refuse)
	for _, path := range route.Paths {
		if slices.ContainsFunc(strings.Split(path, "/"), func(segment string) bool { return segment == "." || segment == ".." }) {
			// Rules are evaluated after URI normalization, which leaves no such segment:
			// https://docs.aws.amazon.com/elasticloadbalancing/latest/application/rule-condition-types.html#path-conditions
			refuse("%s: path %q never gets a request: the load balancer resolves \".\" and \"..\" in a URL before it looks at the rules: remove them", where, path)
		}
	}
	hostKind.check(where, route.Hosts, refuse)
	methodKind.check(where, route.Methods, refuse)
	checkNamed(where, headerKind, valueKind, route.Headers, refuse)
	checkNamed(where, keyKind, queryKind, route.Query, refuse)
	checkNamed(where+": Testers", headerKind, valueKind, route.Testers, refuse)
	for _, header := range slices.Sorted(maps.Keys(route.Testers)) {
		for other := range route.Headers {
			if strings.EqualFold(header, other) {
				refuse("%s: Testers: header %q is a condition of the route already: tell testers by another header", where, header)
			}
		}
	}
}

// checkSize refuses more values or wildcards than a rule can have: the rule of the route, and the one
// for its testers.
func checkSize(service Service, route Route, refuse func(string, ...any)) {
	where := title(service, route)
	values, wildcards := size(route.migration().Match)
	testers, more := size(migration.Match{Headers: route.Testers})
	switch {
	case values > maxValues && values == len(route.Paths):
		refuse("%s: %d path patterns: a rule has at most %d values", where, values, maxValues)
	case values > maxValues:
		refuse("%s: %d values in its conditions: a rule has at most %d", where, values, maxValues)
	case values+testers > maxValues:
		refuse("%s: %s in its conditions and %d in Testers: the rule for testers has both, and a rule has at most %d", where, words.Count(values, "value"), testers, maxValues)
	}
	switch {
	case wildcards > maxWildcards:
		refuse("%s: %d wildcards: a rule has at most %d", where, wildcards, maxWildcards)
	case wildcards+more > maxWildcards:
		refuse("%s: %s in its conditions and %d in Testers: the rule for testers has both, and a rule has at most %d", where, words.Count(wildcards, "wildcard"), more, maxWildcards)
	}
}

// size counts the values and the wildcards of all conditions.
func size(m migration.Match) (values, wildcards int) {
	add := func(list []string, key string) {
		values += len(list)
		for _, value := range list {
			wildcards += strings.Count(key+value, "*") + strings.Count(key+value, "?")
		}
	}
	add(m.Paths, "")
	add(m.Hosts, "")
	add(m.Methods, "")
	for _, list := range m.Headers {
		add(list, "")
	}
	for key, list := range m.Query {
		add(list, key)
	}
	return values, wildcards
}

// orders has the route of each order at each load balancer.
type orders map[struct {
	balancer string
	order    int
}]string

// check refuses orders of a microservice that are none or that are taken.
func (o orders) check(service Service, refuse func(string, ...any)) {
	for _, route := range service.AllRoutes() {
		at := struct {
			balancer string
			order    int
		}{service.LoadBalancer, route.Order}
		each := "service"
		if route.Name != "" {
			each = "route"
		}
		switch other := o[at]; {
		case route.Order < 1 || route.Order > migration.MaxOrder:
			refuse("%s: Order %d: it must be from 1 to %d", title(service, route), route.Order, migration.MaxOrder)
		case other != "":
			refuse("%s: Order %d belongs to %q already: give each %s its own", title(service, route), route.Order, other, each)
		default:
			o[at] = migration.Key(service.Name, route.Name)
		}
	}
}

// ruleIDs are the ends of the ids of a service's rules, as package migration gives them.
var ruleIDs = []string{"Testers", "Shift", "Monolith", "Service", "Root"}

// checkIDs refuses names that give two resources of a stack one id. An id is made of names without
// their hyphens. checkBalancers looks at the names of services among themselves.
func checkIDs(d Deployment, s Settings, refuse func(string, ...any)) {
	routes, rules := map[string]string{}, map[string]string{"LoadBalancer": "the load balancer", "Url": "the output Url"}
	if s.Alarms {
		for _, id := range []string{"AlarmTopic", "AlarmKey", "AlarmTopicArn", "LoadBalancerErrors"} {
			rules[id] = "a part of the alarms"
		}
	}
	if s.AccessLogs {
		rules["AccessLogs"] = "the bucket of the access logs"
	}
	if s.SendsOrigin() {
		rules["OriginSecret"] = "what CloudFront sends to the load balancer"
	}
	if s.AsksOrigin() {
		rules["OriginRule"] = "the last rule"
	}
	for _, service := range d.All() {
		routes[Pascal(service.Name)] = fmt.Sprintf("service %q", service.Name)
	}
	for _, service := range d.All() {
		for _, route := range service.AllRoutes() {
			id := Pascal(service.Name) + Pascal(route.Name)
			whose := title(service, route)
			if other, taken := routes[id]; taken && route.Name != "" && other != whose { // or it is listed twice
				refuse("%s: the ids of its rules begin with %s, like those of %s: rename one", whose, id, other)
			}
			routes[id] = whose
			for _, end := range ruleIDs {
				rules[RuleID(service.Name, route.Name, end)] = "a listener rule of " + whose
			}
		}
	}
	for _, service := range d.All() {
		id := Pascal(service.Name)
		if other, taken := rules[id]; taken {
			refuse("service %q: its target group has the id %s, like %s: rename the service", service.Name, id, other)
		}
	}
}

// placed is a route of a service.
type placed struct {
	service Service
	Route
	match migration.Match
}

// inOrder lists the routes of the microservices at a load balancer, in the order of their rules. It
// leaves out those without a condition and those with too many wildcards, which are refused: the time
// to compare them would double with each wildcard.
func (d Deployment) inOrder(balancer string) (all []placed) {
	for _, service := range d.Services {
		for _, route := range service.AllRoutes() {
			match := route.migration().Match
			values, wildcards := size(match)
			if values > 0 && wildcards <= maxWildcards && service.LoadBalancer == balancer {
				all = append(all, placed{service, route, match})
			}
		}
	}
	slices.SortStableFunc(all, func(a, b placed) int { return a.Order - b.Order })
	return all
}

func (p placed) key() string { return migration.Key(p.service.Name, p.Name) }

// checkShadows refuses a value of a condition that gets no request, because an earlier rule at the
// same load balancer takes all. The monolith's rule does so on purpose.
func checkShadows(d Deployment, balancer string, refuse func(string, ...any)) {
	routes := d.inOrder(balancer)
	for i, later := range routes {
		for _, earlier := range routes[:i] {
			if !earlier.match.Meets(later.match) {
				continue
			}
			for _, part := range later.parts(earlier.match) {
				wide := earlier.match
				for _, path := range earlier.Paths {
					if one := earlier.with(path); one.Covers(part.Match) {
						wide = one
						break
					}
				}
				switch {
				case !wide.Covers(part.Match):
				case part.Covers(wide):
					refuse("%s: %s belongs to %q already", title(later.service, later.Route), part.what, earlier.key())
				default:
					refuse("%s: %s never gets a request: %q of %q comes first and takes it: give %q a lower Order",
						title(later.service, later.Route), part.what, wide, earlier.key(), later.key())
				}
			}
		}
	}
}

// with returns the match with one path.
func (p placed) with(path string) migration.Match {
	m := p.match
	m.Paths = []string{path}
	return m
}

// part is a part of a match: all of it, or what one value of a condition takes.
type part struct {
	migration.Match
	what string // for people
}

// parts takes a match apart, one value after the other, or leaves it whole if an earlier rule takes
// all of it.
func (p placed) parts(earlier migration.Match) (parts []part) {
	if values, _ := size(p.match); values > len(p.Paths) && earlier.Covers(p.match) {
		return []part{{p.match, fmt.Sprintf("%q", p.match)}}
	}
	for _, path := range p.Paths {
		parts = append(parts, part{p.with(path), fmt.Sprintf("path %q", path)})
	}
	each := func(noun string, values []string, set func(m *migration.Match, one []string)) {
		for _, value := range values {
			m := p.match
			set(&m, []string{value})
			parts = append(parts, part{m, fmt.Sprintf("%s %q", noun, value)})
		}
	}
	each("host", p.Hosts, func(m *migration.Match, one []string) { m.Hosts = one })
	each("method", p.Methods, func(m *migration.Match, one []string) { m.Methods = one })
	for _, name := range slices.Sorted(maps.Keys(p.Headers)) {
		each("header "+name, p.Headers[name], func(m *migration.Match, one []string) {
			m.Headers = maps.Clone(m.Headers)
			m.Headers[name] = one
		})
	}
	for _, key := range slices.Sorted(maps.Keys(p.Query)) {
		each("query "+key, p.Query[key], func(m *migration.Match, one []string) {
			m.Query = maps.Clone(m.Query)
			m.Query[key] = one
		})
	}
	return parts
}

// checkRoot refuses a root service that is none, and one whose rule would get no request or have too
// many values.
func checkRoot(d Deployment, refuse func(string, ...any)) {
	if d.RootService == "" || len(d.Services) == 0 {
		return
	}
	i := slices.Index(d.names(), d.RootService)
	if i < 0 {
		refuse("rootService: there is no microservice %q: choose from %s", d.RootService, strings.Join(d.names(), ", "))
		return
	}
	paths := migration.RootPaths(d.Monolith.Paths)
	if n := len(paths); n > maxValues {
		refuse("rootService: the paths of %q have the %d root paths %s, and a rule has at most %d values: remove rootService",
			d.Monolith.Name, n, strings.Join(paths, ", "), maxValues)
	}
	taken := func(path string) bool {
		return slices.ContainsFunc(d.inOrder(d.Services[i].LoadBalancer), func(p placed) bool {
			return p.match.Covers(migration.Match{Paths: []string{path}})
		})
	}
	if free := slices.DeleteFunc(slices.Clone(paths), taken); len(free) == 0 {
		refuse("rootService: %q gets no request for %s: paths of services come first and take them: remove rootService", d.RootService, strings.Join(paths, ", "))
	}
}

// checkTesters refuses testers that get another answer than their route's place says. The rules for
// testers come before all others. So a rule for testers may take requests of an earlier route.
func checkTesters(d Deployment, at migration.Position, plan migration.Plan, refuse func(string, ...any)) {
	for _, b := range plan.Balancers {
		for _, rule := range b.Rules {
			if _, wildcards := size(rule.Match); rule.ID != "Testers" || wildcards > maxWildcards {
				continue // checkSize refuses so many
			}
			key := migration.Key(rule.Service, rule.Route)
			setting := fmt.Sprintf("phase: %s=%s", key, at.Place(rule.Service, rule.Route))
			if at.Places == nil {
				setting = fmt.Sprintf("shift: %s=%d", rule.Service, at.Shift[rule.Service])
			}
			for _, earlier := range d.inOrder(b.Name) {
				if earlier.key() == key {
					break
				}
				both := earlier.match
				both.Headers = maps.Clone(rule.Headers)
				maps.Copy(both.Headers, earlier.Headers)
				answers := earlier.answers(b, both)
				if !earlier.match.Meets(rule.Match) || slices.Equal(answers, rule.Targets) {
					continue
				}
				refuse("%s: the rule for testers of %q takes requests of %q too, and that route is in %s: give %q the same testers and a share first, or narrow the conditions of %q",
					setting, key, earlier.key(), at.Place(earlier.service.Name, earlier.Name), earlier.key(), key)
			}
		}
	}
}

// answers returns the targets that the place of a route gives its requests: those of its first rule.
// If a later route has testers, a route has such a rule in each place. Targets without weight are left
// out.
func (p placed) answers(b migration.Balancer, match migration.Match) []migration.Target {
	b.Rules = slices.DeleteFunc(slices.Clone(b.Rules), func(r migration.Rule) bool {
		return r.Service != p.service.Name || r.Route != p.Name
	})
	targets := b.Answers(match)
	if len(targets) == 1 {
		targets[0].Weight = 1
	}
	return targets
}

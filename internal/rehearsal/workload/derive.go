package workload

import (
	"cmp"
	"maps"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"cutover/internal/model"
	"cutover/internal/rehearsal"
	"cutover/internal/rules"
	"cutover/migration"
)

// Derive adds a request for each path pattern of each listener rule, and one for a rule without path patterns. The
// first table is that of the first phase: answerers says how many may answer by a rule of that one. If there are several,
// bodies are not compared: nobody has said that they answer alike.
// A request is left out if it does not come to its rule, because an earlier rule takes it or an address is asked for. A parked
// rule has none.
func (b *Builder) Derive(tables []*rules.Table, answerers func(*rules.Rule) int) {
	once := map[string]bool{}
	for _, table := range tables {
		for _, listener := range table.Listeners {
			for _, rule := range listener.Rules {
				if rule.Parked() {
					continue
				}
				for _, candidates := range derived(matchOf(rule)) {
					i := slices.IndexFunc(candidates, func(r rehearsal.Request) bool { return decide(table, r) == rule })
					if i < 0 || once[candidates[i].Key()] {
						continue
					}
					once[candidates[i].Key()] = true
					if first := decide(tables[0], candidates[i]); first != nil && answerers(first) > 0 {
						b.Add(candidates[i], rehearsal.Expect{IgnoreBody: answerers(first) > 1}, 1)
					}
				}
			}
		}
	}
}

// Meet adds a request for each path pattern of a match.
func (b *Builder) Meet(m migration.Match) {
	for _, candidates := range derived(m) {
		b.learn("", candidates[0], 1)
	}
}

// decide is the rule that decides about a request on this machine: of the listener with the most rules for it.
func decide(table *rules.Table, r rehearsal.Request) *rules.Rule {
	path, query, _ := strings.Cut(r.Path, "?")
	request := rules.Request{
		Method: cmp.Or(r.Method, http.MethodGet), Host: cmp.Or(r.Host, "localhost"), Path: path, Query: query, Header: r.Header,
		SourceIP: netip.AddrFrom4([4]byte{127, 0, 0, 1}),
	}
	var rule *rules.Rule
	most := -1
	for _, listener := range table.Listeners {
		request.Port = listener.Port
		if n := len(listener.Matching(request)); n > most {
			most = n
			rule, _ = listener.Match(&request)
		}
	}
	return rule
}

// matchOf is what a rule matches, but for addresses.
func matchOf(rule *rules.Rule) migration.Match {
	m := migration.Match{Headers: map[string][]string{}, Query: map[string][]string{}}
	for _, c := range rule.Conditions {
		switch c.Field {
		case model.PathPattern:
			m.Paths = append(m.Paths, c.Values...)
		case model.HostHeader:
			m.Hosts = append(m.Hosts, c.Values...)
		case model.RequestMethod:
			m.Methods = append(m.Methods, c.Values...)
		case model.HTTPHeader:
			if slices.ContainsFunc(c.Values, model.Dynamic) {
				continue // what a front adds, and no client knows
			}
			m.Headers[c.Header] = append(m.Headers[c.Header], c.Values...)
		case model.QueryString:
			for _, q := range c.Query[:min(1, len(c.Query))] {
				key := q.Key
				if q.AnyKey {
					key = "any"
				}
				m.Query[key] = append(m.Query[key], q.Value)
			}
		}
	}
	return m
}

// derived are requests that meet a match: for each path pattern some that differ in what stands for a final "*".
func derived(m migration.Match) (all [][]rehearsal.Request) {
	paths := m.Paths
	if len(paths) == 0 {
		paths = []string{"/*"}
	}
	for _, pattern := range paths {
		var candidates []rehearsal.Request
		for _, end := range []string{"", "1", "/1"} {
			r := rehearsal.Request{Method: method(m.Methods), Path: path(pattern, end), Header: http.Header{}}
			if len(m.Hosts) > 0 {
				host := m.Hosts[0]
				if rest, ok := strings.CutPrefix(host, "*."); ok {
					host = "www." + rest
				}
				r.Host = fill(host, "", false)
			}
			for name, values := range m.Headers {
				if len(values) > 0 {
					r.Header.Set(name, cmp.Or(fill(values[0], "", false), "1"))
				}
			}
			between := "?"
			for _, key := range slices.Sorted(maps.Keys(m.Query)) {
				if len(m.Query[key]) > 0 {
					r.Path += between + escapeQuery(fill(key, "", true)) + "=" + escapeQuery(fill(m.Query[key][0], "", true))
					between = "&"
				}
			}
			candidates = append(candidates, r)
		}
		all = append(all, candidates)
	}
	return all
}

// escapeQuery escapes a text of a query. A load balancer does not take "+" for a space.
func escapeQuery(text string) string { return strings.ReplaceAll(url.QueryEscape(text), "+", "%20") }

// method is the one of the methods that changes least.
func method(methods []string) string {
	if len(methods) == 0 || slices.Contains(methods, http.MethodGet) {
		return ""
	}
	for _, safe := range []string{http.MethodHead, http.MethodOptions} {
		if slices.Contains(methods, safe) {
			return safe
		}
	}
	return methods[0]
}

// path meets a path pattern. Within a path a "*" stands for an id.
func path(pattern, end string) string {
	before, hasEnd := strings.CutSuffix(pattern, "*")
	text := fill(before, "1", false)
	if hasEnd {
		text += end
	}
	if !strings.HasPrefix(text, "/") {
		text = "/" + text
	}
	return (&url.URL{Path: text}).EscapedPath()
}

// fill puts a text in place of each "*", and a 1 in place of each "?". With escapes, \* and \? stand for themselves.
func fill(pattern, many string, escapes bool) string {
	var b strings.Builder
	for i := 0; i < len(pattern); i++ {
		switch c := pattern[i]; {
		case escapes && c == '\\' && i+1 < len(pattern) && (pattern[i+1] == '*' || pattern[i+1] == '?'):
			i++
			b.WriteByte(pattern[i])
		case c == '*':
			b.WriteString(many)
		case c == '?':
			b.WriteByte('1')
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}

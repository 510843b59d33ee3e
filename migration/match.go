package migration

import (
	"maps"
	"slices"
	"strings"
)

// Match has the conditions of a listener rule. A condition that is left out takes everything. Of
// its values, one has to match
// (https://docs.aws.amazon.com/elasticloadbalancing/latest/application/rule-condition-types.html).
type Match struct {
	// Paths are path patterns: case-sensitive, "*" stands for any characters and "?" for one.
	Paths []string
	// Hosts are patterns of the host name, with the same wildcards, in any case.
	Hosts []string
	// Methods are the names of HTTP methods, case-sensitive and without wildcards.
	Methods []string
	// Headers has patterns of values by the header's name, in any case. Each header has to match.
	Headers map[string][]string
	// Query has patterns of values by the parameter's key, in any case. Each key has to match.
	Query map[string][]string
}

// String is the match for people, as in "/api/users*", or "/api/users* with method POST".
func (m Match) String() string {
	var parts []string
	add := func(what string, values []string) {
		if len(values) > 0 {
			parts = append(parts, what+strings.Join(values, " or "))
		}
	}
	add("host ", m.Hosts)
	add("method ", m.Methods)
	for _, name := range slices.Sorted(maps.Keys(m.Headers)) {
		add("header "+name+" ", m.Headers[name])
	}
	for _, key := range slices.Sorted(maps.Keys(m.Query)) {
		add("query "+key+"=", m.Query[key])
	}
	paths := strings.Join(m.Paths, " or ")
	switch {
	case len(parts) == 0:
		return paths
	case paths == "":
		paths = "any path"
	}
	return paths + " with " + strings.Join(parts, " and ")
}

// Covers reports whether every request that the narrow match takes is taken by this one, too.
func (m Match) Covers(narrow Match) bool {
	same := func(a, b string) bool { return a == b }
	return covered(m.Paths, narrow.Paths, Covers) &&
		covered(m.Hosts, narrow.Hosts, coversFold) &&
		covered(m.Methods, narrow.Methods, same) &&
		coveredEach(m.Headers, narrow.Headers) &&
		coveredEach(m.Query, narrow.Query)
}

// covered reports whether a condition takes all that another one takes.
func covered(wide, narrow []string, covers func(wide, narrow string) bool) bool {
	if len(wide) == 0 {
		return true
	}
	return len(narrow) > 0 && !slices.ContainsFunc(narrow, func(n string) bool {
		return !slices.ContainsFunc(wide, func(w string) bool { return covers(w, n) })
	})
}

func coveredEach(wide, narrow map[string][]string) bool {
	for name, values := range wide {
		var others []string
		for other, values := range narrow {
			if strings.EqualFold(name, other) {
				others = values
			}
		}
		if !covered(values, others, coversFold) {
			return false
		}
	}
	return true
}

func coversFold(wide, narrow string) bool {
	return Covers(strings.ToLower(wide), strings.ToLower(narrow))
}

// Covers reports whether every path that matches the narrow pattern matches the wide pattern too.
// The time doubles with every "*" of the narrow pattern, of which a rule has at most 5.
func Covers(wide, narrow string) bool {
	before, after, wildcard := strings.Cut(narrow, "*")
	if !wildcard {
		return takes(wide, narrow)
	}
	// A "*" takes nothing, or so much that only another "*" can take it.
	return Covers(wide, before+strings.Repeat("?", len(wide)+1)+after) && Covers(wide, before+after)
}

// takes is [Covers] for a narrow pattern without "*". A "?" of it is any character, which only a
// wildcard takes.
func takes(wide, narrow string) bool {
	w, n := 0, 0
	star, resume := -1, 0 // the last "*" of wide, and where narrow goes on after it
	for n < len(narrow) {
		switch {
		case w < len(wide) && wide[w] == '*':
			star, resume = w, n
			w++
		case w < len(wide) && (wide[w] == '?' || wide[w] == narrow[n]):
			w, n = w+1, n+1
		case star >= 0:
			resume++
			w, n = star+1, resume
		default:
			return false
		}
	}
	return strings.Trim(wide[w:], "*") == ""
}

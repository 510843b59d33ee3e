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

// EachPath returns matches with one path each, which together take what this one takes.
func (m Match) EachPath() (all []Match) {
	if len(m.Paths) == 0 {
		return []Match{m}
	}
	for _, path := range m.Paths {
		m.Paths = []string{path}
		all = append(all, m)
	}
	return all
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

// Meets reports whether there is a request that both matches take.
func (m Match) Meets(other Match) bool {
	same := func(a, b string) bool { return a == b }
	fold := func(a, b string) bool { return Meet(strings.ToLower(a), strings.ToLower(b)) }
	any := func(a, b []string, meet func(a, b string) bool) bool {
		return len(a) == 0 || len(b) == 0 || slices.ContainsFunc(a, func(a string) bool {
			return slices.ContainsFunc(b, func(b string) bool { return meet(a, b) })
		})
	}
	each := func(a, b map[string][]string) bool {
		for name, values := range a {
			if !any(values, valuesOf(b, name), fold) {
				return false
			}
		}
		return true
	}
	return any(m.Paths, other.Paths, Meet) && any(m.Hosts, other.Hosts, fold) && any(m.Methods, other.Methods, same) &&
		each(m.Headers, other.Headers) && each(m.Query, other.Query)
}

// valuesOf returns the values of a name in any case.
func valuesOf(all map[string][]string, name string) []string {
	for other, values := range all {
		if strings.EqualFold(name, other) {
			return values
		}
	}
	return nil
}

// Meet reports whether a text matches both patterns.
func Meet(a, b string) bool {
	// Most patterns differ before their first wildcard.
	for i := range min(len(a), len(b)) {
		if strings.ContainsAny(a[i:i+1]+b[i:i+1], "*?") {
			break
		}
		if a[i] != b[i] {
			return false
		}
	}
	rest := make([][]bool, len(a)+1) // whether the rests of both meet
	for i := len(a); i >= 0; i-- {
		rest[i] = make([]bool, len(b)+1)
		for j := len(b); j >= 0; j-- {
			aStar, bStar := i < len(a) && a[i] == '*', j < len(b) && b[j] == '*'
			switch {
			case i == len(a) && j == len(b):
				rest[i][j] = true
			case aStar || bStar: // the star takes nothing more, or a character of the other pattern
				rest[i][j] = i < len(a) && rest[i+1][j] || j < len(b) && rest[i][j+1]
			case i < len(a) && j < len(b):
				rest[i][j] = (a[i] == b[j] || a[i] == '?' || b[j] == '?') && rest[i+1][j+1]
			}
		}
	}
	return rest[0][0]
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
		if !covered(values, valuesOf(narrow, name), coversFold) {
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

package rules

import (
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"cutover/internal/model"
)

// condition is a condition of the model with its values compiled.
type condition struct {
	model.Condition
	patterns []Pattern      // of path-pattern, host-header and http-header
	query    []keyValue     // of query-string
	prefixes []netip.Prefix // of source-ip
}

// keyValue is a value of a query-string condition.
type keyValue struct{ key, value Pattern }

// compileCondition compiles the values of a condition that has no problem.
func compileCondition(m model.Condition) condition {
	c := condition{Condition: m}
	for _, q := range m.Query {
		key := lower(q.Key)
		if q.AnyKey {
			key = "*"
		}
		c.query = append(c.query, keyValue{compile(key, true), compile(lower(q.Value), true)})
	}
	for _, value := range m.Values {
		switch m.Field {
		case model.PathPattern:
			c.patterns = append(c.patterns, compile(value, false))
		case model.HostHeader, model.HTTPHeader:
			c.patterns = append(c.patterns, compile(lower(value), false))
		case model.SourceIP:
			c.prefixes = append(c.prefixes, netip.MustParsePrefix(value).Masked())
		}
	}
	return c
}

// matches tells whether the request meets the condition. That is not known if the request needs a
// source address and has none.
func (c *condition) matches(r *Request) (met, known bool) {
	switch c.Field {
	case model.PathPattern:
		met = matchesOne(c.patterns, r.path())
	case model.RequestMethod:
		met = slices.Contains(c.Values, r.Method)
	case model.HostHeader:
		met = matchesOne(c.patterns, lower(r.hostname()))
	case model.HTTPHeader:
		met = slices.ContainsFunc(r.Header.Values(c.Header), func(value string) bool { return matchesOne(c.patterns, lower(value)) })
	case model.QueryString:
		met = c.matchesQuery(r.Query)
	case model.SourceIP:
		met = slices.ContainsFunc(c.prefixes, func(p netip.Prefix) bool { return p.Contains(r.SourceIP.Unmap()) })
		return met, r.SourceIP.IsValid()
	}
	return met, true
}

// miss says why the request does not meet the condition.
func (c *condition) miss(r *Request) string {
	var actual string
	switch c.Field {
	case model.PathPattern:
		actual = r.path()
	case model.RequestMethod:
		actual = r.Method
	case model.HostHeader:
		actual = r.hostname()
	case model.HTTPHeader:
		values := r.Header.Values(c.Header)
		if len(values) == 0 {
			return fmt.Sprintf("%v: the request has no such header", c)
		}
		actual = strings.Join(values, ", ")
	case model.QueryString:
		actual = r.Query
	case model.SourceIP:
		actual = r.SourceIP.Unmap().String()
	}
	return fmt.Sprintf("%v: the request has %q", c, actual)
}

func matchesOne(patterns []Pattern, text string) bool {
	for i := range patterns {
		// Most texts do not have the prefix.
		if p := &patterns[i]; strings.HasPrefix(text, p.prefix) && p.Match(text) {
			return true
		}
	}
	return false
}

// matchesQuery looks for the condition's values in a query string. A key without "=" has an empty
// value. Key and value are percent-decoded before they are compared: AWS allows every character to
// be encoded.
func (c *condition) matchesQuery(query string) bool {
	for pair := range strings.SplitSeq(query, "&") {
		if pair == "" {
			continue
		}
		key, value, _ := strings.Cut(pair, "=")
		key, value = lower(decode(key)), lower(decode(value))
		for i := range c.query {
			if c.query[i].key.Match(key) && c.query[i].value.Match(value) {
				return true
			}
		}
	}
	return false
}

func decode(text string) string {
	if decoded, err := url.PathUnescape(text); err == nil {
		return decoded
	}
	return text
}

// lower folds ASCII letters and leaves all other bytes alone.
func lower(text string) string {
	isUpper := func(r rune) bool { return 'A' <= r && r <= 'Z' }
	if strings.IndexFunc(text, isUpper) < 0 {
		return text
	}
	folded := []byte(text)
	for i, c := range folded {
		if 'A' <= c && c <= 'Z' {
			folded[i] = c + 'a' - 'A'
		}
	}
	return string(folded)
}

// Pattern is a compiled text with the wildcards * and ?.
type Pattern struct {
	// prefix ends before the first wildcard. Most texts differ in the prefix already.
	prefix string
	// rest has a token for each byte or wildcard after the prefix.
	rest []int16
}

// The tokens of the wildcards.
const anyOne, anyMany = -1, -2

// compile compiles a pattern. With escapes, as in query strings, \* and \? are no wildcards.
func compile(text string, escapes bool) Pattern {
	var prefix []byte
	var rest []int16
	for i := 0; i < len(text); i++ {
		token := int16(text[i])
		switch {
		case token == '*':
			token = anyMany
		case token == '?':
			token = anyOne
		case token == '\\' && escapes && i+1 < len(text) && (text[i+1] == '*' || text[i+1] == '?'):
			i++
			token = int16(text[i])
		}
		if len(rest) == 0 && token >= 0 {
			prefix = append(prefix, byte(token))
		} else {
			rest = append(rest, token)
		}
	}
	return Pattern{string(prefix), rest}
}

// NewPattern compiles a pattern in which * stands for any text, and ? for one byte.
func NewPattern(text string) Pattern { return compile(text, false) }

// Match tells whether the pattern matches the whole text, byte by byte.
func (p *Pattern) Match(text string) bool {
	return strings.HasPrefix(text, p.prefix) && matchTokens(p.rest, text[len(p.prefix):])
}

// matchTokens takes at most len(pattern) * len(text) steps. At a mismatch only the last * takes a
// byte more: the last * can take whatever an earlier * could.
func matchTokens(pattern []int16, text string) bool {
	p, t := 0, 0
	star, resume := -1, 0
	for t < len(text) {
		switch {
		case p < len(pattern) && pattern[p] == anyMany:
			star, resume = p, t
			p++
		case p < len(pattern) && (pattern[p] == anyOne || pattern[p] == int16(text[t])):
			p++
			t++
		case star >= 0:
			resume++
			p, t = star+1, resume
		default:
			return false
		}
	}
	for p < len(pattern) && pattern[p] == anyMany {
		p++
	}
	return p == len(pattern)
}

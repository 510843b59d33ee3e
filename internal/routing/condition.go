package routing

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"strings"
)

// The condition types of
// https://docs.aws.amazon.com/elasticloadbalancing/latest/application/rule-condition-types.html
const (
	PathPattern   = "path-pattern"
	HostHeader    = "host-header"
	HTTPHeader    = "http-header"
	RequestMethod = "http-request-method"
	QueryString   = "query-string"
	SourceIP      = "source-ip"
)

// Condition is met by a request if one of its values matches.
//
// Patterns in the values may have the wildcards * for any number of characters,
// none included, and ? for exactly one. Only paths and methods are compared with
// their case.
type Condition struct {
	// Field is the condition's type.
	Field string
	// Header is the name of the header, for an http-header condition.
	Header string
	// Values are patterns for path-pattern, host-header and http-header, methods
	// for http-request-method, address ranges for source-ip. A value of
	// query-string is "key=pattern" or, for any key, "pattern".
	Values []string

	query    []keyValue     // of query-string
	prefixes []netip.Prefix // of source-ip
}

// keyValue is a value of a query-string condition: two patterns. Without a key,
// any will do.
type keyValue struct {
	key, value string
	anyKey     bool
}

func (c Condition) String() string {
	field := c.Field
	if c.Header != "" {
		field += " " + c.Header
	}
	return field + " " + strings.Join(c.Values, " or ")
}

// miss returns why the request does not meet the condition, empty if it does. An
// error says what the request would have to have for telling.
func (c Condition) miss(r Request) (string, error) {
	var actual []string
	switch c.Field {
	case PathPattern:
		for _, pattern := range c.Values {
			if match(pattern, r.Path) {
				return "", nil
			}
		}
		actual = []string{r.Path}
	case RequestMethod:
		for _, method := range c.Values {
			if method == r.Method {
				return "", nil
			}
		}
		actual = []string{r.Method}
	case HostHeader:
		if c.matchesFold(r.hostname()) {
			return "", nil
		}
		actual = []string{r.hostname()}
	case HTTPHeader:
		actual = r.Header.Values(c.Header)
		for _, value := range actual {
			if c.matchesFold(value) {
				return "", nil
			}
		}
	case QueryString:
		if c.matchesQuery(r.Query) {
			return "", nil
		}
		actual = []string{r.Query}
	case SourceIP:
		if !r.SourceIP.IsValid() {
			return "", errors.New("whether the rule matches depends on the address of the client, which the request does not have")
		}
		address := r.SourceIP.Unmap()
		for _, prefix := range c.prefixes {
			if prefix.Contains(address) {
				return "", nil
			}
		}
		actual = []string{address.String()}
	}
	if len(actual) == 0 {
		return fmt.Sprintf("%v: the request has no such header", c), nil
	}
	return fmt.Sprintf("%v: the request has %q", c, strings.Join(actual, ", ")), nil
}

func (c Condition) matchesFold(text string) bool {
	for _, pattern := range c.Values {
		if match(lower(pattern), lower(text)) {
			return true
		}
	}
	return false
}

// matchesQuery looks for one of the condition's values in a query string. A key
// without "=" has an empty value. The documentation lets every character be
// percent-encoded; both sides of "=" are decoded before they are compared.
func (c Condition) matchesQuery(query string) bool {
	for pair := range strings.SplitSeq(query, "&") {
		if pair == "" {
			continue
		}
		key, value, _ := strings.Cut(pair, "=")
		key, value = lower(decode(key)), lower(decode(value))
		for _, want := range c.query {
			if (want.anyKey || matchEscaped(lower(want.key), key)) && matchEscaped(lower(want.value), value) {
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
	folded := []byte(text)
	for i, c := range folded {
		if 'A' <= c && c <= 'Z' {
			folded[i] = c + 'a' - 'A'
		}
	}
	return string(folded)
}

// match tells whether a pattern with * and ? matches the whole text, byte by
// byte.
func match(pattern, text string) bool { return matchTokens(tokens(pattern, false), text) }

// matchEscaped is match for query strings, where \* and \? stand for themselves.
func matchEscaped(pattern, text string) bool { return matchTokens(tokens(pattern, true), text) }

// Tokens of a pattern that are no byte of the text.
const anyOne, anyMany = -1, -2

func tokens(pattern string, escapes bool) []int16 {
	list := make([]int16, 0, len(pattern))
	for i := 0; i < len(pattern); i++ {
		switch c := pattern[i]; {
		case c == '*':
			list = append(list, anyMany)
		case c == '?':
			list = append(list, anyOne)
		case c == '\\' && escapes && i+1 < len(pattern) && (pattern[i+1] == '*' || pattern[i+1] == '?'):
			i++
			list = append(list, int16(pattern[i]))
		default:
			list = append(list, int16(c))
		}
	}
	return list
}

// matchTokens takes at most len(pattern) * len(text) steps: when a text does not
// go on as the pattern does, only the last * need match one byte more, since
// whatever an earlier one could still take, the last one can take as well.
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

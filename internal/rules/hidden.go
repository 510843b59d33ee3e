package rules

import (
	"slices"
	"strings"

	"cutover/internal/model"
)

// Hidden reports whether a rule of the listener gets no request, because an earlier rule takes all
// that the rule takes. If it is true, it is certain: two rules are compared condition by condition.
func (l *Listener) Hidden(rule *Rule) bool { return l.hidden(rule, rule) }

// HiddenPattern is [Listener.Hidden] for the requests that one path pattern of the rule takes.
func (l *Listener) HiddenPattern(rule *Rule, value string) bool {
	narrow := *rule.Rule
	narrow.Conditions = slices.Clone(narrow.Conditions)
	for i, c := range narrow.Conditions {
		if c.Field == model.PathPattern {
			narrow.Conditions[i].Values = []string{value}
		}
	}
	return l.hidden(rule, compileRule(&narrow))
}

// hidden reports whether a rule before one takes all that a narrow rule takes.
func (l *Listener) hidden(rule, narrow *Rule) bool {
	earlier := l.Rules[:max(0, slices.Index(l.Rules, rule))]
	return slices.ContainsFunc(earlier, func(wide *Rule) bool { return wide.covers(narrow) })
}

// covers reports whether each request that matches the narrow rule matches this one, too.
func (rule *Rule) covers(narrow *Rule) bool {
	return !slices.ContainsFunc(rule.compiled, func(c condition) bool {
		return !slices.ContainsFunc(narrow.compiled, c.covers)
	})
}

func (c *condition) covers(narrow condition) bool {
	if c.Field != narrow.Field || !strings.EqualFold(c.Header, narrow.Header) {
		return false
	}
	return !slices.ContainsFunc(narrow.Values, func(value string) bool {
		switch c.Field {
		case model.PathPattern:
			return !coversOne(c.patterns, value)
		case model.HostHeader, model.HTTPHeader:
			return !coversOne(c.patterns, lower(value))
		}
		return !slices.Contains(c.Values, value)
	})
}

// maxWildcards is the most wildcards of a rule
// (https://docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-limits.html).
const maxWildcards = 5

func coversOne(patterns []Pattern, narrow string) bool {
	if strings.Count(narrow, "*") > maxWildcards {
		return false // AWS refuses the rule, and the comparison would take for ever
	}
	return slices.ContainsFunc(patterns, func(p Pattern) bool { return p.covers(narrow) })
}

// covers reports whether each text that matches a narrow pattern matches this one, too. The time
// doubles with every "*" of the narrow pattern, of which there are at most [maxWildcards].
func (p *Pattern) covers(narrow string) bool {
	before, after, wildcard := strings.Cut(narrow, "*")
	if !wildcard {
		// Only a wildcard takes any character, as this one.
		return p.Match(strings.ReplaceAll(narrow, "?", "\x00"))
	}
	// A "*" takes nothing, or so much that only another "*" can take it.
	much := strings.Repeat("?", len(p.prefix)+len(p.rest)+1)
	return p.covers(before+much+after) && p.covers(before+after)
}

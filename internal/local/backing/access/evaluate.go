package access

import (
	"maps"
	"slices"
	"strings"

	"cutover/internal/local/provider"
	"cutover/internal/model"
)

// applies says whether a statement is about an action on a resource by the task.
func (s *Signer) applies(statement model.Statement, action, resource string, text provider.Text) bool {
	about := func(values []any, matches func(pattern, subject string) bool, subject string) bool {
		return slices.ContainsFunc(values, func(value any) bool {
			pattern, err := text(value)
			return err == nil && matches(s.filled(pattern), subject)
		})
	}
	return about(statement.Actions, sameAction, action) && about(statement.Resources, SameResource, resource) && s.holds(statement.Condition, text)
}

func sameAction(pattern, action string) bool {
	return like(strings.ToLower(pattern), strings.ToLower(action))
}

// SameResource compares ARNs, but for partition, region and account: there is one of each on this machine.
func SameResource(pattern, arn string) bool {
	if pattern == "*" {
		return true
	}
	p, a := strings.SplitN(pattern, ":", 6), strings.SplitN(arn, ":", 6)
	return len(p) == 6 && len(a) == 6 && like(p[2], a[2]) && like(p[5], a[5])
}

// like matches a text with a pattern, in which * stands for any text and ? for any character.
func like(pattern, text string) bool {
	parts := strings.Split(pattern, "*")
	for i, part := range parts {
		at := find(text, part, i == 0, i == len(parts)-1)
		if at < 0 {
			return false
		}
		text = text[at+len(part):]
	}
	return true
}

// find returns where a part of a pattern is in a text: the first place, or for the part's position the
// beginning or the end of the text. It is -1 for no place.
func find(text, part string, first, last bool) int {
	from, to := 0, len(text)-len(part)
	if first {
		to = min(to, 0)
	}
	if last {
		from = max(from, len(text)-len(part))
	}
	for at := from; at <= to; at++ {
		if match(part, text[at:at+len(part)]) {
			return at
		}
	}
	return -1
}

// match compares texts of one length. A ? in the pattern stands for any byte.
func match(pattern, text string) bool {
	for i := range len(pattern) {
		if pattern[i] != '?' && pattern[i] != text[i] {
			return false
		}
	}
	return true
}

// filled replaces policy variables like ${aws:PrincipalTag/service}.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_variables.html
func (s *Signer) filled(pattern string) string {
	for {
		before, rest, found := strings.Cut(pattern, "${")
		name, after, closed := strings.Cut(rest, "}")
		value, known := s.values[strings.ToLower(name)]
		if !found || !closed || !known {
			return pattern
		}
		pattern = before + value + after
	}
}

// An operator of conditions compares a value of a key with those of the statement.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html
var operators = map[string]func(wanted, value string) bool{
	"stringequals":           func(wanted, value string) bool { return wanted == value },
	"stringequalsignorecase": strings.EqualFold,
	"stringlike":             like,
	"arnequals":              SameResource,
	"arnlike":                SameResource,
	"bool":                   strings.EqualFold,
}

// operator finds an operator. Not says that it is the negation, ifExists that it holds without a value.
func operator(name string) (compare func(wanted, value string) bool, not, ifExists bool) {
	name = strings.ToLower(name)
	name, ifExists = strings.CutSuffix(name, "ifexists")
	for _, kind := range []string{"string", "arn"} {
		if rest, ok := strings.CutPrefix(name, kind+"not"); ok {
			name, not = kind+rest, true
		}
	}
	return operators[name], not, ifExists
}

// knownKey says whether the values of a condition key are known on this machine.
func knownKey(key string) bool {
	key = strings.ToLower(key)
	return strings.HasPrefix(key, "aws:principaltag/") || slices.Contains([]string{
		"aws:securetransport", "aws:principalarn", "aws:principalaccount", "aws:resourceaccount", "aws:principaltype",
		"aws:sourcearn", "aws:sourceaccount", "kms:viaservice", "kms:calleraccount"}, key)
}

// unknown lists what is not evaluated in a condition.
func unknown(condition map[string]map[string][]any) (all []string) {
	for _, name := range slices.Sorted(maps.Keys(condition)) {
		compare, _, _ := operator(name)
		for _, key := range slices.Sorted(maps.Keys(condition[name])) {
			if compare == nil && !strings.EqualFold(name, "Null") || !knownKey(key) {
				all = append(all, name+" "+key)
			}
		}
	}
	return all
}

// holds says whether all parts of a condition hold. A condition that is not evaluated does not hold.
func (s *Signer) holds(condition map[string]map[string][]any, text provider.Text) bool {
	if len(unknown(condition)) > 0 {
		return false
	}
	for name, keys := range condition {
		for key, wanted := range keys {
			value, present := s.values[strings.ToLower(key)]
			among := func(compare func(wanted, value string) bool, value string) bool {
				return slices.ContainsFunc(wanted, func(w any) bool {
					one, err := text(w)
					return err == nil && compare(s.filled(one), value)
				})
			}
			if strings.EqualFold(name, "Null") {
				if !among(strings.EqualFold, map[bool]string{true: "false", false: "true"}[present]) {
					return false
				}
				continue
			}
			compare, not, ifExists := operator(name)
			switch {
			case !present && !not && !ifExists:
				return false
			case present && among(compare, value) == not:
				return false
			}
		}
	}
	return true
}

// services are those whose requests are checked on this machine, before an action's name.
var services = []string{"dynamodb:", "rds-db:", "sns:", "sqs:", "kms:"}

// aboutStores says whether a statement names actions of databases, queues or topics.
func aboutStores(s model.Statement) bool {
	return slices.ContainsFunc(s.Actions, func(action any) bool {
		text, _ := action.(string)
		text = strings.ToLower(text)
		return text == "*" || slices.ContainsFunc(services, func(service string) bool { return strings.HasPrefix(text, service) })
	})
}

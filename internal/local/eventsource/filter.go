package eventsource

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
)

// filters are patterns. A record that matches one is let through; without patterns every record is.
type filters []object

type object = map[string]any

// parse reads the patterns of a mapping. The error names what is not known.
// https://docs.aws.amazon.com/lambda/latest/dg/invocation-eventfiltering.html#filtering-syntax
func parse(patterns []string) (filters, error) {
	var all filters
	for _, text := range patterns {
		var p object
		if err := json.Unmarshal([]byte(text), &p); err != nil {
			return nil, fmt.Errorf("the pattern %s is no JSON object", text)
		}
		if err := checkPattern(p); err != nil {
			return nil, err
		}
		all = append(all, p)
	}
	return all, nil
}

// or is the name of alternatives over several fields.
const or = "$or"

func checkPattern(p object) error {
	for _, name := range slices.Sorted(maps.Keys(p)) {
		switch v := p[name].(type) {
		case object:
			if err := checkPattern(v); err != nil {
				return err
			}
		case []any:
			for _, one := range v {
				if err := checkRule(name, one); err != nil {
					return err
				}
			}
		default:
			return fmt.Errorf("the pattern of %q must be an object or a list", name)
		}
	}
	return nil
}

func checkRule(name string, rule any) error {
	of, ok := rule.(object)
	switch {
	case name == or && ok:
		return checkPattern(of)
	case !ok:
		if reflect.ValueOf(rule).Kind() == reflect.Slice {
			return fmt.Errorf("the pattern of %q has a list in a list", name)
		}
		return nil
	}
	for operator, value := range of {
		known := false
		switch operator {
		case "exists":
			_, known = value.(bool)
		case "prefix", "suffix", "equals-ignore-case":
			_, known = value.(string)
		case "anything-but":
			_, isObject := value.(object)
			known = !isObject
		case "numeric":
			known = comparisons(value) != nil
		}
		if !known || len(of) != 1 {
			var text strings.Builder
			write := json.NewEncoder(&text)
			write.SetEscapeHTML(false)
			_ = write.Encode(of) // of JSON
			return fmt.Errorf("the rule %s of %q is not known here", strings.TrimSpace(text.String()), name)
		}
	}
	return nil
}

// let says whether a record is let through.
func (f filters) let(record object) bool {
	return len(f) == 0 || slices.ContainsFunc(f, func(p object) bool { return matches(p, record) })
}

// ofBody are the filters of a queue's messages, whose body is compared as JSON if the pattern has members of it, and as a text
// otherwise. A body that is not what the pattern expects is not let through.
// https://docs.aws.amazon.com/lambda/latest/dg/with-sqs-filtering.html
func (f filters) ofBody(body string) bool {
	return len(f) == 0 || slices.ContainsFunc(f, func(p object) bool {
		members, ok := p["body"].(object)
		if !ok {
			return matches(p, object{"body": body})
		}
		var parsed object
		return json.Unmarshal([]byte(body), &parsed) == nil && matches(members, parsed)
	})
}

func matches(p, record object) bool {
	for name, pattern := range p {
		value, present := record[name]
		switch pattern := pattern.(type) {
		case object:
			below, _ := value.(object)
			if !matches(pattern, below) {
				return false
			}
		case []any:
			if !slices.ContainsFunc(pattern, func(rule any) bool {
				if name == or {
					return matches(rule.(object), record)
				}
				return holds(rule, value, present)
			}) {
				return false
			}
		}
	}
	return true
}

// holds says whether a rule holds for a field. Of a list, one value is enough.
func holds(rule, value any, present bool) bool {
	if list, ok := value.([]any); ok {
		return slices.ContainsFunc(list, func(one any) bool { return holds(rule, one, true) })
	}
	of, ok := rule.(object)
	if !ok {
		return present && value == rule
	}
	text, isText := value.(string)
	_, inner := value.(object)
	for operator, wanted := range of {
		switch operator {
		case "exists": // of leaves alone
			return (present && !inner) == wanted.(bool)
		case "prefix":
			return isText && strings.HasPrefix(text, wanted.(string))
		case "suffix":
			return isText && strings.HasSuffix(text, wanted.(string))
		case "equals-ignore-case":
			return isText && strings.EqualFold(text, wanted.(string))
		case "anything-but":
			list, ok := wanted.([]any)
			if !ok {
				list = []any{wanted}
			}
			return present && !inner && !slices.Contains(list, value)
		case "numeric":
			number, ok := value.(float64)
			return ok && !slices.ContainsFunc(comparisons(wanted), func(c comparison) bool { return !c.holds(number) })
		}
	}
	return false
}

// comparison is a part of a numeric rule, as in [">", 1].
type comparison struct {
	operator string
	to       float64
}

// comparisons reads a numeric rule; nil if it is none.
func comparisons(value any) (all []comparison) {
	list, _ := value.([]any)
	for part := range slices.Chunk(list, 2) {
		operator, _ := part[0].(string)
		if len(part) != 2 || !slices.Contains([]string{"=", "<", "<=", ">", ">="}, operator) {
			return nil
		}
		to, ok := part[1].(float64)
		if !ok {
			return nil
		}
		all = append(all, comparison{operator, to})
	}
	return all
}

func (c comparison) holds(value float64) bool {
	switch c.operator {
	case "=":
		return value == c.to
	case "<":
		return value < c.to
	case "<=":
		return value <= c.to
	case ">":
		return value > c.to
	}
	return value >= c.to
}

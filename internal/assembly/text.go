package assembly

import (
	"fmt"
	"strconv"
	"strings"
)

// Text is a string with parts that only a deployment tells: at least two strings, [Ref]s and [Piece]s.
type Text []any

// Piece is one of several values that only a deployment tells, by Fn::Select. Equal values mean the same piece.
type Piece struct {
	// Of is the [Ref] of a list, or the Ref or Piece of a text that Fn::Split cuts at the delimiter.
	Of        any
	Delimiter string // empty for a list
	Index     int
}

func (p Piece) String() string {
	if p.Delimiter == "" {
		return fmt.Sprintf("%v[%d]", p.Of, p.Index)
	}
	return fmt.Sprintf("%v[%q %d]", p.Of, p.Delimiter, p.Index)
}

// Ref is what the piece is of.
func (p Piece) Ref() Ref {
	if of, ok := p.Of.(Piece); ok {
		return of.Ref()
	}
	return p.Of.(Ref)
}

func (t Text) String() string {
	var b strings.Builder
	for _, part := range t {
		if text, ok := part.(string); ok {
			b.WriteString(text)
		} else {
			fmt.Fprintf(&b, "${%v}", part)
		}
	}
	return b.String()
}

func (r *resolver) join(path string, argument any) any {
	list := r.list(path, argument, 2, `["delimiter", [values]]`)
	delimiter := r.text(path+"[0]", list[0], "a string as the delimiter")
	var text Text
	for i, element := range r.list(path+"[1]", r.value(path+"[1]", list[1]), -1, "a list of known length") {
		if i > 0 {
			text = append(text, delimiter)
		}
		text = r.append(text, fmt.Sprintf("%s[1][%d]", path, i), element)
	}
	return simplify(text)
}

// sub evaluates Fn::Sub: "text ${name} ${resource.attribute} ${!literal}", or with more names.
// https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/intrinsic-function-reference-sub.html
func (r *resolver) sub(path string, argument any) any {
	var variables map[string]any
	format, ok := argument.(string)
	if list, isList := argument.([]any); isList && len(list) == 2 {
		format, ok = list[0].(string)
		if variables, _ = list[1].(map[string]any); variables == nil {
			ok = false
		}
	}
	if !ok {
		r.fail(path, `expected "text" or ["text", {names}]`)
	}
	var text Text
	for {
		before, rest, found := strings.Cut(format, "${")
		text = append(text, before)
		if !found {
			return simplify(text)
		}
		name, after, closed := strings.Cut(rest, "}")
		if !closed {
			r.fail(path, "${ is not closed in %q", format)
		}
		format = after
		if literal, ok := strings.CutPrefix(name, "!"); ok {
			text = append(text, "${"+literal+"}")
			continue
		}
		name = strings.TrimSpace(name)
		var value any
		if variable, ok := variables[name]; ok {
			value = r.value(join(path, name), variable)
		} else if strings.Contains(name, ".") {
			value = r.getAtt(path, name)
		} else {
			value = r.ref(path, name)
		}
		text = r.append(text, path, value)
	}
}

func (r *resolver) split(path string, argument any) any {
	delimiter, text := r.splits(path, argument)
	return r.cut(path, delimiter, text)
}

// splits evaluates the arguments of Fn::Split.
func (r *resolver) splits(path string, argument any) (delimiter string, text any) {
	list := r.list(path, argument, 2, `["delimiter", text]`)
	const form = "a string as the delimiter"
	if delimiter = r.text(path+"[0]", list[0], form); delimiter == "" {
		r.fail(path+"[0]", "expected %s, found %s", form, kind(delimiter))
	}
	return delimiter, r.value(path+"[1]", list[1])
}

// cut cuts what Fn::Split is given.
func (r *resolver) cut(path, delimiter string, text any) []any {
	pieces := []Text{{}}
	for _, part := range r.append(nil, path+"[1]", text) {
		literal, ok := part.(string)
		if !ok {
			// CDK joins lists by "||": no name, id or ARN has a bar. They may have others.
			if !strings.Contains(delimiter, "|") {
				r.fail(path, "cannot be split at %q: the value of %v is only known after the deployment", delimiter, part)
			}
			pieces[len(pieces)-1] = append(pieces[len(pieces)-1], part)
			continue
		}
		for i, piece := range strings.Split(literal, delimiter) {
			r.count(path, 1)
			if i > 0 {
				pieces = append(pieces, Text{})
			}
			pieces[len(pieces)-1] = append(pieces[len(pieces)-1], piece)
		}
	}
	result := make([]any, len(pieces))
	for i, piece := range pieces {
		result[i] = simplify(piece)
	}
	return result
}

// append adds a resolved value to a text, as text like CloudFormation's.
func (r *resolver) append(text Text, path string, value any) Text {
	added := Text{value}
	switch value := value.(type) {
	case string, Ref, Piece:
	case float64:
		added[0] = strconv.FormatFloat(value, 'f', -1, 64)
	case bool:
		added[0] = strconv.FormatBool(value)
	case Text:
		added = value
	default:
		r.fail(path, "expected a string, found %s", kind(value))
	}
	for _, part := range added {
		literal, _ := part.(string)
		r.count(path, 1+len(literal)/16)
	}
	return append(text, added...)
}

// evaluated evaluates a value that must be a string which is wholly known.
func (r *resolver) evaluated(path string, value any) string {
	return r.literal(path, r.value(path, value))
}

// literal returns a resolved value as a string that is wholly known.
func (r *resolver) literal(path string, value any) string {
	literal, ok := simplify(r.append(nil, path, value)).(string)
	if !ok {
		r.fail(path, "the value of %v is only known after the deployment", value)
	}
	return literal
}

// simplify merges neighbouring strings. A text of one part becomes that part.
func simplify(text Text) any {
	var merged Text
	var literal strings.Builder
	flush := func() {
		if literal.Len() > 0 {
			merged = append(merged, literal.String())
			literal.Reset()
		}
	}
	for _, part := range text {
		if s, ok := part.(string); ok {
			literal.WriteString(s)
		} else {
			flush()
			merged = append(merged, part)
		}
	}
	flush()
	switch len(merged) {
	case 0:
		return ""
	case 1:
		return merged[0]
	}
	return merged
}

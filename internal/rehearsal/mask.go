package rehearsal

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"
)

// mask is a JSON body with gaps for the values that are not compared. It compares bytes, and so is much faster than
// [differ]. It says only that two bodies are alike: of those that it does not match, nothing is known.
type mask struct {
	gaps []gap
	rest []byte // after the last gap
}

// gap is a value that is not compared.
type gap struct {
	before []byte // from the gap before
	value  []byte // of the first body
	rule   *rule
}

// newMask returns the mask of a body for the rules, or nil if a rule is about more than values.
func newMask(body []byte, value any, rules []*rule) *mask {
	at := map[string]*rule{}
	for _, r := range rules {
		if r.mode == anyOrder {
			return nil
		}
		for _, node := range r.path.SelectLocated(value) {
			if place := node.Path.Pointer(); at[place] == nil || r.mode == leaveOut {
				at[place] = r
			}
		}
	}
	m := &mask{}
	decoder := json.NewDecoder(bytes.NewReader(body))
	end := 0
	m.locate(decoder, body, "", at, &end)
	m.rest = body[end:]
	return m
}

var pointerEscapes = strings.NewReplacer("~", "~0", "/", "~1")

// locate adds the gaps in the next value. End is that of the last gap.
func (m *mask) locate(decoder *json.Decoder, body []byte, place string, at map[string]*rule, end *int) {
	begin := int(decoder.InputOffset())
	begin += bytes.IndexFunc(body[begin:], func(r rune) bool { return !strings.ContainsRune(" \t\r\n,:", r) })
	if r := at[place]; r != nil {
		var value json.RawMessage
		_ = decoder.Decode(&value) // the body is JSON
		after := int(decoder.InputOffset())
		m.gaps = append(m.gaps, gap{body[*end:begin], body[begin:after], r})
		*end = after
		return
	}
	token, _ := decoder.Token()
	delimiter, _ := token.(json.Delim)
	for i := 0; delimiter != 0 && decoder.More(); i++ {
		step := strconv.Itoa(i)
		if delimiter == '{' {
			name, _ := decoder.Token()
			step = pointerEscapes.Replace(name.(string))
		}
		m.locate(decoder, body, place+"/"+step, at, end)
	}
	if delimiter != 0 {
		_, _ = decoder.Token()
	}
}

// matches says whether a body is the mask's, with any values in the gaps. A rule without an example that differs
// is no match: the body will be an example.
func (m *mask) matches(body []byte) bool {
	for _, g := range m.gaps {
		if !bytes.HasPrefix(body, g.before) {
			return false
		}
		body = body[len(g.before):]
		value := body[:valueLength(body)]
		if !bytes.Equal(value, g.value) {
			if !json.Valid(value) || g.rule.mode == anyValue && kindOf(value[0]) != kindOf(g.value[0]) || !g.rule.learned && !g.rule.noted.Load() {
				return false
			}
		}
		body = body[len(value):]
	}
	return bytes.Equal(body, m.rest)
}

// kindOf tells the type of a value by its first byte.
func kindOf(first byte) byte {
	switch {
	case first == '-' || '0' <= first && first <= '9':
		return '0'
	case first == 't':
		return 'f'
	}
	return first
}

// valueLength is the length of the value that a text begins with, if it begins with one.
func valueLength(text []byte) int {
	depth := 0
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case '"':
			for i++; i < len(text) && text[i] != '"'; i++ {
				if text[i] == '\\' {
					i++
				}
			}
			if depth == 0 {
				return min(i+1, len(text))
			}
		case '{', '[':
			depth++
		case '}', ']':
			if depth--; depth == 0 {
				return i + 1
			} else if depth < 0 {
				return i
			}
		case ',', ' ', '\t', '\r', '\n':
			if depth == 0 {
				return i
			}
		}
	}
	return len(text)
}

// Package step has the requests of a virtual user. A request may have variables, which earlier answers gave:
//
//	POST /api/tickets/{{id}}/replies
//	Authorization: Bearer {{token}}
//	{"text": "{{text}}", "order": "{{order}}"}
package step

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"cutover/internal/rehearsal"
)

// Step is a request with variables, and what is taken of its answers.
type Step struct {
	// Request has variables in its path, its headers and its body. Each is written as in {{name}}.
	Request rehearsal.Request
	Expect  rehearsal.Expect
	Capture []Capture
}

// Variables are values by name. A value is a string, a [json.Number] or a bool.
type Variables map[string]any

var (
	variable = regexp.MustCompile(`\{\{ *([A-Za-z_][A-Za-z0-9_]*) *\}\}`)
	// whole is a JSON string that is nothing but a variable, or a variable in a text.
	whole = regexp.MustCompile(`"` + variable.String() + `"|` + variable.String())
	// malformed finds braces that are no variable.
	malformed = regexp.MustCompile(`\{\{|\}\}`)
)

// IsName says whether a variable may be called that.
func IsName(name string) bool {
	return variable.FindString("{{"+name+"}}") == "{{"+name+"}}" && !strings.Contains(name, " ")
}

// Names are the variables that the step needs, sorted.
func (s *Step) Names() (names []string) {
	for _, text := range s.texts() {
		for _, found := range variable.FindAllStringSubmatch(text, -1) {
			names = append(names, found[1])
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// Check returns what is wrong with the step, all of it. The field of an error is one of method, path, host, headers and
// body.
func (s *Step) Check(refuse func(field, problem string)) {
	s.Route().Check(refuse)
	field := func(name, text string) {
		if malformed.MatchString(variable.ReplaceAllString(text, "")) {
			refuse(name, fmt.Sprintf("%q: write a variable as in {{name}}, with letters, digits and _", text))
		}
	}
	field("path", s.Request.Path)
	for _, values := range s.Request.Header {
		field("headers", strings.Join(values, " "))
	}
	for _, name := range []string{s.Request.Method, s.Request.Host} {
		if malformed.MatchString(name) {
			refuse("path", fmt.Sprintf("%q: a variable stands in the path, in the headers or in the body only", name))
		}
	}
}

// CheckNames is Check, for a step that follows others. It also refuses variables that are not known yet, and captured ones with a
// reserved name. It returns the variables that are known behind the step.
func (s *Step) CheckNames(known, reserved []string, refuse func(problem string, field ...string)) []string {
	s.Check(func(field, problem string) { refuse(problem, field) })
	for _, name := range s.Names() {
		if !slices.Contains(known, name) {
			refuse(fmt.Sprintf("there is no {{%s}} yet: choose from %s", name, strings.Join(known, ", ")))
		}
	}
	known = slices.Clone(known)
	for _, capture := range s.Capture {
		if slices.Contains(reserved, capture.Name) {
			refuse(fmt.Sprintf("{{%s}} has a meaning of its own: choose another name", capture.Name), "capture", capture.Name)
		}
		known = append(known, capture.Name)
	}
	slices.Sort(known)
	return slices.Compact(known)
}

func (s *Step) texts() []string {
	texts := []string{s.Request.Path, string(s.Request.Body)}
	for _, values := range s.Request.Header {
		texts = append(texts, values...)
	}
	return texts
}

// Writes are the names of the steps that may change something, each once.
func Writes(steps []Step) (names []string) {
	for _, s := range steps {
		if name := s.Request.String(); s.Request.Writes() && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

// Route is the request for the rows of the report. Its name has the variables, and its path an example.
func (s *Step) Route() *rehearsal.Request {
	r := s.Request
	r.Name = r.String()
	r.Path = variable.ReplaceAllString(r.Path, "1")
	r.Header = s.header(func(string) string { return "1" })
	return &r
}

// fill returns the request with the values of its variables.
func (s *Step) fill(value func(name string) any) *rehearsal.Request {
	text := func(name string) string { return fmt.Sprint(value(name)) }
	r := s.Request
	r.Name = r.String()
	path, query, hasQuery := strings.Cut(r.Path, "?")
	if r.Path = replace(path, func(name string) string { return url.PathEscape(text(name)) }); hasQuery {
		r.Path += "?" + replace(query, func(name string) string { return url.QueryEscape(text(name)) })
	}
	r.Header = s.header(func(name string) string { return oneLine.Replace(text(name)) })
	switch {
	case !variable.Match(r.Body):
	case json.Valid(r.Body):
		r.Body = whole.ReplaceAllFunc(r.Body, func(found []byte) []byte {
			value := value(nameIn(string(found)))
			if found[0] != '"' { // a part of a string
				value = fmt.Sprint(value)
			}
			encoded, _ := json.Marshal(value) // a value is no function
			if found[0] != '"' {
				encoded = encoded[1 : len(encoded)-1]
			}
			return encoded
		})
	case strings.HasPrefix(r.Header.Get("Content-Type"), "application/x-www-form-urlencoded"):
		r.Body = []byte(replace(string(r.Body), func(name string) string { return url.QueryEscape(text(name)) }))
	default:
		r.Body = []byte(replace(string(r.Body), text))
	}
	return &r
}

// oneLine keeps a value from beginning another header.
var oneLine = strings.NewReplacer("\r", " ", "\n", " ", "\x00", " ")

func (s *Step) header(value func(name string) string) http.Header {
	header := make(http.Header, len(s.Request.Header)+1)
	for name, values := range s.Request.Header {
		for _, text := range values {
			header[name] = append(header[name], replace(text, value))
		}
	}
	return header
}

func replace(text string, value func(name string) string) string {
	return variable.ReplaceAllStringFunc(text, func(found string) string { return value(nameIn(found)) })
}

// nameIn is the name in a variable with its braces.
func nameIn(found string) string { return strings.Trim(found, `"{} `) }

package rules

import (
	"strings"
	"testing"

	"cutover/internal/model"
)

func TestHidden(t *testing.T) {
	path := func(values ...string) model.Condition {
		return model.Condition{Field: model.PathPattern, Values: values}
	}
	host := func(values ...string) model.Condition {
		return model.Condition{Field: model.HostHeader, Values: values}
	}
	method := func(values ...string) model.Condition {
		return model.Condition{Field: model.RequestMethod, Values: values}
	}
	header := func(name string, values ...string) model.Condition {
		return model.Condition{Field: model.HTTPHeader, Header: name, Values: values}
	}
	type conditions = []model.Condition
	for _, test := range []struct {
		name        string
		first, then conditions
		want        bool
	}{
		{"a narrower path", conditions{path("/api*")}, conditions{path("/api/users*")}, true},
		{"the same path", conditions{path("/api*")}, conditions{path("/api*")}, true},
		{"a wider path", conditions{path("/api/users*")}, conditions{path("/api*")}, false},
		{"one path of two", conditions{path("/api*")}, conditions{path("/api/users*", "/users")}, false},
		{"two paths in two", conditions{path("/users*", "/api*")}, conditions{path("/api/users*", "/users")}, true},
		{"a path that begins with the other", conditions{path("/api")}, conditions{path("/api*")}, false},
		{"one character", conditions{path("/?")}, conditions{path("/a")}, true},
		{"any character", conditions{path("/a")}, conditions{path("/?")}, false},
		{"any characters in one", conditions{path("/?")}, conditions{path("/*")}, false},
		{"an end", conditions{path("*.png")}, conditions{path("/a/*.png")}, true},
		{"another case of a path", conditions{path("/API*")}, conditions{path("/api/users")}, false},
		{"another case of a host", conditions{host("*.EXAMPLE.com")}, conditions{host("a.example.com")}, true},
		{"a further condition", conditions{path("/api*")}, conditions{path("/api/users*"), method("POST")}, true},
		{"a condition less", conditions{path("/api*"), method("POST")}, conditions{path("/api/users*")}, false},
		{"another method", conditions{path("/api*"), method("GET", "POST")}, conditions{path("/api*"), method("PUT")}, false},
		{"one of the methods", conditions{path("/api*"), method("GET", "POST")}, conditions{path("/api*"), method("GET")}, true},
		{"another header", conditions{header("A", "*")}, conditions{header("B", "1")}, false},
		{"another case of a header", conditions{header("a", "x*")}, conditions{header("A", "X1")}, true},
		{"as many wildcards as there can be", conditions{path("/*")}, conditions{path("/*a*b*c*d*")}, true},
		{"more wildcards than there can be", conditions{path("/*")}, conditions{path("/" + strings.Repeat("*a", 60))}, false},
		{"no condition", conditions{path("*")}, nil, false},
	} {
		l := &Listener{}
		for _, c := range []conditions{test.first, test.then} {
			l.Rules = append(l.Rules, compileRule(&model.Rule{Conditions: c}))
		}
		if got := l.Hidden(l.Rules[1]); got != test.want {
			t.Errorf("%s: hidden is %t, want %t", test.name, got, test.want)
		}
		if l.Hidden(l.Rules[0]) {
			t.Errorf("%s: the first rule is hidden", test.name)
		}
	}
}

// One path pattern of a rule may be hidden although the rule is not.
func TestHiddenPattern(t *testing.T) {
	path := func(values ...string) model.Condition {
		return model.Condition{Field: model.PathPattern, Values: values}
	}
	post := model.Condition{Field: model.RequestMethod, Values: []string{"POST"}}
	l := &Listener{}
	for _, c := range [][]model.Condition{{path("/a*"), post}, {path("/b*")}, {path("/a/1", "/b/1", "/c/1")}, {path("/a/1", "/b/1"), post}} {
		l.Rules = append(l.Rules, compileRule(&model.Rule{Conditions: c}))
	}
	for _, test := range []struct {
		rule  int
		value string
		want  bool
	}{{2, "/a/1", false}, {2, "/b/1", true}, {2, "/c/1", false}, {3, "/a/1", true}, {3, "/b/1", true}, {1, "/b*", false}} {
		if got := l.HiddenPattern(l.Rules[test.rule], test.value); got != test.want {
			t.Errorf("%s of rule %d: hidden is %t", test.value, test.rule, got)
		}
	}
	if values := l.Rules[2].Conditions[0].Values; len(values) != 3 {
		t.Errorf("the rule has %q now", values)
	}
}

// The patterns of a rule that take a path are told as the template has them. Rules see paths normalized.
func TestPatterns(t *testing.T) {
	rule := compileRule(&model.Rule{Conditions: []model.Condition{
		{Field: model.HostHeader, Values: []string{"/a*"}}, {Field: model.PathPattern, Values: []string{"/a*", "*.png", "/A"}}}})
	for path, want := range map[string]string{"/a": "/a*", "/a/b.png": "/a* *.png", "/A": "/A", "/x/../a": "/a*", "/b": ""} {
		if got := strings.Join(rule.Patterns(&Request{Path: path}), " "); got != want {
			t.Errorf("%s: %q, want %q", path, got, want)
		}
	}
	if got := compileRule(&model.Rule{}).Patterns(&Request{Path: "/a"}); got != nil {
		t.Errorf("a rule without conditions: %q", got)
	}
}

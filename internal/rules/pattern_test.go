package rules

import (
	"strings"
	"testing"
)

// The patterns are those of a distribution of CloudFront.
func TestPattern(t *testing.T) {
	for _, c := range []struct {
		pattern string
		yes, no []string
	}{
		{"*", []string{"/", "/a/b"}, nil},
		{"/api*", []string{"/api", "/api/", "/api/users/1", "/apis"}, []string{"/", "/Api", "/x/api"}},
		{"/api/*", []string{"/api/", "/api/a"}, []string{"/api"}},
		{"*.jpg", []string{"/a.jpg", "/a/b.jpg", "/.jpg"}, []string{"/a.jpg/b", "/a.JPG"}},
		{"/a?c/*/d*", []string{"/abc/x/d", "/abc/x/y/dd"}, []string{"/ac/x/d", "/abc/d", "/abbc/x/d"}},
		{"/a**b", []string{"/ab", "/axxb"}, []string{"/a"}},
		{"/exact", []string{"/exact"}, []string{"/exact/", "/exac"}},
	} {
		for _, path := range c.yes {
			if !matches(c.pattern, path) {
				t.Errorf("%s does not match %s", c.pattern, path)
			}
		}
		for _, path := range c.no {
			if matches(c.pattern, path) {
				t.Errorf("%s matches %s", c.pattern, path)
			}
		}
	}
}

func matches(pattern, path string) bool {
	p := NewPattern(pattern)
	return p.Match(path)
}

// A pattern takes no time that grows with its stars.
func FuzzPattern(f *testing.F) {
	f.Add("/a*b*c", "/aabbcc")
	f.Add(strings.Repeat("*a", 50), strings.Repeat("a", 500)+"b")
	f.Fuzz(func(t *testing.T, pattern, path string) {
		if got := matches(pattern, path); got && !strings.ContainsAny(pattern, "*?") && pattern != path {
			t.Errorf("%q matches %q", pattern, path)
		}
		if !matches(pattern+"*", path) && matches(pattern, path) {
			t.Errorf("%q matches %q, and with a star it does not", pattern, path)
		}
	})
}

func TestNormalizeOfCloudFront(t *testing.T) {
	for path, want := range map[string]string{
		"/": "/", "/a/b": "/a/b", "/a/../b": "/b", "/../b": "/b", "/a/.": "/a/", "/a/..": "/", "/a/./b/": "/a/b/", "/%61pi": "/api", "/%2e%2E/x": "/x", "/a%2Fb": "/a%2Fb",
		"//a": "//a", "/a%zz": "/a%zz", "/%": "/%", "/.well-known/x": "/.well-known/x", "/%7Euser": "/~user",
	} {
		if got := Normalize(path); got != want {
			t.Errorf("%s is %s, want %s", path, got, want)
		}
	}
}

package rules

import (
	"net/url"
	"strings"
	"testing"
)

// Rules see the path after the normalization of RFC 3986. What the documentation leaves open stays.
func TestNormalize(t *testing.T) {
	for path, want := range map[string]string{
		"/api/users":                   "/api/users",
		"/api/%75sers":                 "/api/users",
		"/%61%41%7a%5A%30%39":          "/aAzZ09",
		"/%2D%2e%5F%7E":                "/-._~",
		"/api/./users":                 "/api/users",
		"/./api/././users":             "/api/users",
		"/api/x/../users":              "/api/users",
		"/api/%2e%2E/users":            "/users",
		"/api/.%2e/users":              "/users",
		"/api/users/../threads":        "/api/threads",
		"/a/b/c/../../d":               "/a/d",
		"/api/users/.":                 "/api/users/",
		"/api/users/..":                "/api/",
		"/..":                          "/",
		"/../../api":                   "/api",
		"/.":                           "/",
		"/":                            "/",
		"/.git/...":                    "/.git/...",
		"/a./b../.c/..d":               "/a./b../.c/..d",
		"/api//users":                  "/api//users", // not known: kept
		"/api//../users":               "/api/users",
		"/api%2Fusers":                 "/api%2Fusers", // not known: kept
		"/api/%2e%2e%2fusers":          "/api/..%2fusers",
		"/%2575sers":                   "/%2575sers", // decoded once
		"/%3F%2A%25%00%7f%c3%A4%20%5e": "/%3F%2A%25%00%7f%c3%A4%20%5e",
		"/%zz%7/%":                     "/%zz%7/%",
		"*":                            "*",
		"":                             "",
		"api/../x":                     "api/../x",
	} {
		if got := Normalize(path); got != want {
			t.Errorf("%q is %q, want %q", path, got, want)
		}
	}
}

func TestRulesSeeNormalizedPaths(t *testing.T) {
	table := build(t, listen(forward("Drop"), on(1, paths("/api/users*"), forward("Users")), on(2, paths("/api/threads*"), forward("Threads"))))
	for request, want := range map[string]string{
		"/api/%75sers": "users", "/api/./users": "users", "/api/x/../users/1": "users", "/api/users/../threads": "threads",
		"/api/users/..": "drop-traffic", "/api/%55sers": "drop-traffic", "/api//users": "drop-traffic", "/api%2Fusers": "drop-traffic",
	} {
		decision := ask(t, table, request)
		if got := decision.String(); got != want {
			t.Errorf("%s -> %s, want %s", request, got, want)
		}
		if got := len(decision.Listener.Matching(decision.Request)); got != map[bool]int{true: 0, false: 1}[want == "drop-traffic"] {
			t.Errorf("%s matches %d rules", request, got)
		}
		if first, _, _ := strings.Cut(decision.Explain(), "\n"); first != "GET "+request+" on HTTP:80" {
			t.Errorf("the explanation begins with %q", first)
		}
	}
	if got, want := ask(t, table, "/api/users/../threads").Explain(), `no: path-pattern /api/users*: the request has "/api/threads"`; !strings.Contains(got, want) {
		t.Errorf("explanation is\n%swant %s", got, want)
	}
	// The path is used to route the request, and does not change.
	other := build(t, listen(`{"Type": "redirect", "RedirectConfig": {"StatusCode": "HTTP_302", "Port": "443", "Protocol": "HTTPS"}}`))
	if got, want := ask(t, other, "http://h/a/../%62").Location(), "https://h:443/a/../%62"; got != want {
		t.Errorf("location is %s, want %s", got, want)
	}
}

// FuzzNormalize: what is normal stays, and means the same to Go's resolver of references.
func FuzzNormalize(f *testing.F) {
	f.Add("/a/../b/./%2e%2E/c//d%2F")
	f.Fuzz(func(t *testing.T, path string) {
		once := Normalize(path)
		if strings.HasPrefix(path, "/") && !strings.Contains(decodeUnreserved(path), "%") && Normalize(once) != once {
			t.Errorf("%q is %q, and that is %q", path, once, Normalize(once))
		}
		u, err := url.Parse("http://h" + path)
		if err != nil || u.RawQuery != "" || u.Fragment != "" || strings.ContainsAny(path, "%?#") || strings.Contains(path, "//") || !strings.HasPrefix(path, "/") {
			return
		}
		base, _ := url.Parse("http://h/")
		if want := base.ResolveReference(&url.URL{Path: path}).Path; once != want {
			t.Errorf("%q is %q, want %q", path, once, want)
		}
	})
}

package step

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"

	"cutover/internal/rehearsal"
)

// User is a virtual user, with variables and cookies. Several goroutines may use it.
type User struct {
	jar *cookiejar.Jar

	mu        sync.Mutex
	variables Variables
}

// NewUser returns a user without cookies and variables.
func NewUser() *User {
	jar, err := cookiejar.New(nil)
	if err != nil {
		panic(err) // never, says its documentation
	}
	return &User{jar: jar, variables: Variables{}}
}

// Request is a step's request of this user. Further variables go before the user's own. A variable that has no value yet is
// empty.
func (u *User) Request(s *Step, more Variables) *rehearsal.Request {
	u.mu.Lock()
	variables := maps.Clone(u.variables)
	u.mu.Unlock()
	maps.Copy(variables, more)
	r := s.fill(func(name string) any {
		if value, has := variables[name]; has {
			return value
		}
		return ""
	})
	var all []string
	if given := r.Header.Get("Cookie"); given != "" {
		all = append(all, given)
	}
	for _, cookie := range u.jar.Cookies(address(r)) {
		all = append(all, cookie.Name+"="+cookie.Value)
	}
	if len(all) > 0 {
		r.Header.Set("Cookie", strings.Join(all, "; "))
	}
	return r
}

// Take takes the cookies of an answer to a request of the user, and what the step captures. The error says what the
// answer does not have.
func (u *User) Take(s *Step, r *rehearsal.Request, a rehearsal.Answer) error {
	if len(a.Header["Set-Cookie"]) > 0 {
		u.jar.SetCookies(address(r), (&http.Response{Header: a.Header}).Cookies())
	}
	for _, c := range s.Capture {
		value, err := c.find(a)
		if err != nil {
			return err
		}
		u.mu.Lock()
		u.variables[c.Name] = value
		u.mu.Unlock()
	}
	return nil
}

// address is where a browser's cookies of a request belong. On this machine all is at one address, and a browser sends cookies
// for secure connections to it, too.
func address(r *rehearsal.Request) *url.URL {
	host := r.Host
	if host == "" {
		host = "localhost"
	}
	path, _, _ := strings.Cut(r.Path, "?")
	return &url.URL{Scheme: "https", Host: host, Path: path}
}

// Capture takes a value of an answer as a variable. It says where the value is: one of the fields is set.
type Capture struct {
	// Name is the variable's.
	Name string
	// JSON is the path of the value in the body.
	JSON *rehearsal.JSONPath
	// Header and Cookie are names.
	Header, Cookie string
	// Match finds the value in the body: its first group, or all that it matches.
	Match *regexp.Regexp
}

// find returns the value in an answer.
func (c Capture) find(a rehearsal.Answer) (any, error) {
	none := func(where string) (any, error) {
		return nil, fmt.Errorf("the answer with status %d has no %s for {{%s}}", a.Status, where, c.Name)
	}
	switch {
	case c.JSON != nil:
		value, ok := rehearsal.DecodeJSON(a.Body)
		if !ok {
			return none("JSON")
		}
		found := c.JSON.Select(value)
		if len(found) == 0 {
			return none(c.JSON.String())
		}
		switch found[0].(type) {
		case nil, map[string]any, []any:
			return none("string or number at " + c.JSON.String())
		}
		return found[0], nil
	case c.Header != "":
		if value := a.Header.Get(c.Header); value != "" {
			return value, nil
		}
		return none("header " + c.Header)
	case c.Cookie != "":
		for _, cookie := range (&http.Response{Header: a.Header}).Cookies() {
			if cookie.Name == c.Cookie {
				return cookie.Value, nil
			}
		}
		return none("cookie " + c.Cookie)
	}
	found := c.Match.FindSubmatch(a.Body)
	if found == nil {
		return none("match of " + c.Match.String())
	}
	return string(found[min(1, len(found)-1)]), nil
}

// Masked returns a body with the names of variables in place of what regular expressions take of it. JSON stays as it is: what
// differs in JSON is found anyway.
func (s *Step) Masked(body []byte) []byte {
	for _, c := range s.Capture {
		if c.Match == nil || json.Valid(body) {
			continue
		}
		if at := c.Match.FindSubmatchIndex(body); at != nil {
			group := 2 * min(1, c.Match.NumSubexp())
			if begin, end := at[group], at[group+1]; begin >= 0 {
				body = slices.Concat(body[:begin], []byte("{{"+c.Name+"}}"), body[end:])
			}
		}
	}
	return body
}

// GivesCookie says whether the answer to a request gives a client a cookie that the request did not have. The load balancer's own
// cookies do not count.
func GivesCookie(r *rehearsal.Request, answer http.Header) bool {
	sent, err := http.ParseCookie(r.Header.Get("Cookie"))
	if err != nil {
		sent = nil
	}
	return slices.ContainsFunc((&http.Response{Header: answer}).Cookies(), func(given *http.Cookie) bool {
		known := func(c *http.Cookie) bool { return c.Name == given.Name && c.Value == given.Value }
		return given.MaxAge >= 0 && !strings.HasPrefix(given.Name, "AWSALB") && !slices.ContainsFunc(sent, known)
	})
}

// NoPlace returns the name and the domain of a cookie in an answer that no client takes: the domain is not that of the request.
func NoPlace(r *rehearsal.Request, answer http.Header) (name, domain string) {
	host := address(r).Hostname()
	for _, c := range (&http.Response{Header: answer}).Cookies() {
		if domain := strings.TrimPrefix(c.Domain, "."); domain != "" && domain != host && !strings.HasSuffix(host, "."+domain) {
			return c.Name, domain
		}
	}
	return "", ""
}

package apigateway

import (
	"fmt"
	"testing"
)

// The most specific resource takes a request, whose parts count as they were sent.
func TestRoute(t *testing.T) {
	m := read(t, func(a templates) {
		add := func(id, parent, part string, methods ...string) {
			a["dev-Front"][id] = object{"Type": "AWS::ApiGateway::Resource", "Properties": object{"ParentId": object{"Ref": parent}, "PathPart": part, "RestApiId": object{"Ref": "Api49610EDF"}}}
			for _, method := range methods {
				a["dev-Front"][id+method] = object{"Type": "AWS::ApiGateway::Method", "Properties": object{"HttpMethod": method, "ResourceId": object{"Ref": id}, "RestApiId": object{"Ref": "Api49610EDF"}, "Integration": object{"Type": "MOCK"}}}
			}
		}
		// Before their parents in the order of the names.
		add("A1", "Apiapithreads", "{id}", "GET")
		add("A2", "A1", "posts", "ANY")
		add("A3", "A1", "empty")
		add("A4", "Apiapithreads", "new", "POST")
	})
	d := define(m.RestAPIs[0])
	for _, c := range []struct{ method, path, want string }{
		{"GET", "/", "ANY / map[]"},
		{"GET", "/favicon.ico", "ANY /{proxy+} map[proxy:favicon.ico]"},
		{"GET", "/api", "ANY /api map[]"},
		{"GET", "/api/users", "GET /api/users map[]"},
		{"HEAD", "/api/users", "ANY /api/users map[]"},
		{"POST", "/api/users", "POST /api/users map[]"},
		{"POST", "/api/users/1", "POST /api/users/{proxy+} map[proxy:1]"},
		{"GET", "/api/users/1/x", "ANY /api/users/{proxy+} map[proxy:1/x]"},
		{"GET", "/api/usersx", "ANY /api/{proxy+} map[proxy:usersx]"},
		// As they were sent: AWS's treatment of these is not known.
		{"GET", "/api/users/", "ANY /api/users/{proxy+} map[proxy:]"},
		{"GET", "/api/users/a%2Fb", "ANY /api/users/{proxy+} map[proxy:a%2Fb]"},
		{"GET", "//api/users", "ANY /{proxy+} map[proxy:/api/users]"},
		{"GET", "/api//users", "ANY /api/{proxy+} map[proxy:/users]"},
		{"GET", "/api/us%65rs", "ANY /api/{proxy+} map[proxy:us%65rs]"},
		{"GET", "/API/users", "ANY /{proxy+} map[proxy:API/users]"},
		// A text goes before a parameter, and that one before all parts.
		{"GET", "/api/threads/1", "GET /api/threads/{id} map[id:1]"},
		{"GET", "/api/threads/1/posts", "ANY /api/threads/{id}/posts map[id:1]"},
		{"GET", "/api/threads/1/other", "ANY /api/threads/{proxy+} map[proxy:1/other]"},
		{"GET", "/api/threads/1/empty", "ANY /api/threads/{proxy+} map[proxy:1/empty]"},
		{"POST", "/api/threads/new", "POST /api/threads/new map[]"},
		{"GET", "/api/threads/new", "nothing"},
		{"POST", "/api/threads/1", "nothing"},
	} {
		got := "nothing"
		if found := d.find(c.method, c.path); found != nil {
			got = fmt.Sprintf("%s %s %v", found.method.Method, found.method.Of.Path(), found.path)
		}
		if got != c.want {
			t.Errorf("%s %s goes to %s, want %s", c.method, c.path, got, c.want)
		}
	}
}

func TestBelow(t *testing.T) {
	for path, want := range map[string]string{"/live": "/ true", "/live/": "/ true", "/live//x": "//x true", "/live/a%2F": "/a%2F true", "/lives": " false", "/other": " false", "/": " false", "": " false"} {
		rest, ok := below("live", path)
		if got := fmt.Sprint(rest, " ", ok); got != want {
			t.Errorf("%q: %s, want %s", path, got, want)
		}
	}
}

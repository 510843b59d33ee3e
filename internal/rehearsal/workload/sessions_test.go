package workload

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"cutover/internal/rehearsal/session"
	"cutover/internal/rehearsal/step"
)

// Each field of a session has its effect.
func TestSession(t *testing.T) {
	w, err := read(t, `
ignore: {headers: [X-File]}
sessions:
  - name: buyer
    weight: 7
    users: 3
    rounds: 4
    expires: 90s
    variables: [{name: ann, n: 1, ok: true}, {name: bob, n: 2.50, ok: false}]
    begin: [{method: POST, path: /login, json: {user: "{{name}}"}, status: 204, capture: {token: {json: $.token}}}]
    steps:
      - {path: "/carts/{{user}}", headers: {Authorization: "Bearer {{token}}"}}
      - {name: buy, method: PUT, path: "/carts/{{uuid}}", body: x}
    end: [{method: POST, path: /logout, safe: true}]
`, Options{Writes: true, Ignore: Ignore{Headers: []string{"X-Flag"}}})
	if err != nil {
		t.Fatal(err)
	}
	s := w.Sources[0].(*session.Session)
	c := s.Config
	if c.Name != "buyer" || s.Weight() != 7 || c.Users != 3 || c.Rounds != 4 || c.Expires != 90*time.Second {
		t.Errorf("%+v", c)
	}
	var names []string
	for _, r := range s.Routes() {
		names = append(names, r.String())
	}
	if want := []string{"POST /login", "/carts/{{user}}", "buy", "POST /logout"}; !slices.Equal(names, want) || len(c.Begin) != 1 || len(c.Steps) != 2 || !c.End[0].Request.Safe {
		t.Errorf("routes %q, want %q", names, want)
	}
	if got, want := fmt.Sprint(c.Rows), fmt.Sprint([]step.Variables{{"name": "ann", "n": json.Number("1"), "ok": true}, {"name": "bob", "n": json.Number("2.50"), "ok": false}}); got != want {
		t.Errorf("variables %s, want %s", got, want)
	}
	if e := c.Begin[0].Expect; !slices.Equal(e.Status, []int{204}) || !slices.Equal(e.IgnoreHeaders, []string{"X-File", "X-Flag"}) || c.Begin[0].Capture[0].Name != "token" {
		t.Errorf("begin expects %+v", e)
	}
}

func TestSessionDefaults(t *testing.T) {
	w, err := read(t, `sessions: [{name: reader, steps: [path: /a]}]`, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if c := w.Sources[0].(*session.Session).Config; c.Weight != 1 || c.Users != 10 || c.Rounds != 5 || c.Expires != 0 || len(c.Rows) != 0 {
		t.Errorf("%+v", c)
	}
}

// A session that writes is sent with --writes only. A login is no write if the file says so.
func TestSessionWithoutWrites(t *testing.T) {
	w, err := read(t, `{requests: [path: /a], sessions: [
  {name: buyer, steps: [{path: /a}, {method: POST, path: /orders}, {method: PUT, path: /carts}]},
  {name: reader, begin: [{method: POST, path: /login, safe: true}], steps: [{path: /a}]}]}`, Options{})
	want := []string{"session buyer: POST /orders, PUT /carts may change something, so the session is sent with --writes only"}
	if err != nil || len(w.Sources) != 2 || !slices.Equal(w.Gaps, want) || len(w.Unsent) != 3 {
		t.Errorf("%d sources, gaps %q, %q not sent, %v", len(w.Sources), w.Gaps, w.Unsent, err)
	}
}

func TestSessionErrors(t *testing.T) {
	for text, want := range map[string]string{
		`sessions:
  - {name: a}
  - name: b
    expires: 30
    users: 0
    steps: []
  - name: c
    expires: -3s
    rounds: 0.5
    variables: [{a-b: 1}]
    steps: [{path: c}, {path: "/c/{{a}}", capture: {user: {header: X}}}]
`: `shop.yaml:2:5: sessions[0]: steps is missing
shop.yaml:4:14: sessions[1].expires: must be a text, not a number
shop.yaml:5:12: sessions[1].users: 0 is too small: the least is 1
shop.yaml:6:12: sessions[1].steps: must not be empty
shop.yaml:9:13: sessions[2].rounds: must be a whole number, not a number`,
		`sessions:
  - name: c
    expires: -3s
    variables: [{a-b: 1}, {a: 1}]
    begin: [{method: POST, path: /login, weight: 2}]
    steps: [{path: c}, {path: "/c/{{a}}", capture: {user: {header: X}}}]
`: `shop.yaml:5:42: sessions[0].begin[0]: there is no key "weight": choose from body,`,
		`sessions:
  - name: c
    expires: -3s
    variables: [{a-b: 1}, {a: 1}]
    steps: [{path: c}, {path: "/c/{{x}}", capture: {user: {header: X}}}]
`: `shop.yaml:3:14: sessions[0].expires: "-3s": must be a duration above 0, as 30s or 15m
shop.yaml:4:23: sessions[0].variables[0].a-b: "a-b": a variable has letters, digits and _
shop.yaml:4:27: sessions[0].variables[1]: must have the variables of the first row
shop.yaml:5:20: sessions[0].steps[0].path: route "c": must be a path as in a request line, for example /api/users
shop.yaml:5:24: sessions[0].steps[1]: there is no {{x}} yet: choose from a-b, user, uuid
shop.yaml:5:59: sessions[0].steps[1].capture.user: {{user}} has a meaning of its own: choose another name`,
		"sessions: [{name: a, steps: [path: /a], expires: soon}]":             `shop.yaml:1:50: sessions[0].expires: "soon": must be a duration above 0, as 30s or 15m`,
		"sessions: [{name: a, steps: [path: /a], variables: [{}]}]":           `shop.yaml:1:53: sessions[0].variables[0]: `,
		"sessions: [{name: a, steps: [path: /a], variables: [{a: [1]}]}]":     `shop.yaml:1:57: sessions[0].variables[0].a: must be true or false or a number or a text, not a list`,
		"{requests: [path: /a], sessions: [{name: a, steps: [pat: /a]}]}":     `shop.yaml:1:53: sessions[0].steps[0]: path is missing`,
		"sessions: [{name: a, begin: {path: /a}, steps: [{path: /a, a: b}]}]": `shop.yaml:1:29: sessions[0].begin: must be a list, not a mapping`,
	} {
		_, err := read(t, text, Options{})
		if err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s\nerror\n%v\nwant\n%s", text, err, want)
		}
	}
}

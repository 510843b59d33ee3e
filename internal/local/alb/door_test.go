package alb

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"cutover/internal/assembly"
	"cutover/internal/model"
)

// A task that asks for a domain of a load balancer gets the answer of the listener on this machine, which
// sees the domain as the host. HTTPS needs no certificate of the domain.
func TestDoor(t *testing.T) {
	for _, test := range []struct {
		domain   string
		template template
		want     string
	}{
		{"api.example.com:80", template{}, "200 by the domain api.example.com:80"},
		{"api.example.com:443", template{secure: true}, "200 by the domain api.example.com:443"},
		{"api.example.com:8000", template{port: 8000}, "200 by the domain api.example.com:8000"},
		{"www.example.com:80", template{}, "200 by another name"},
		{"api.example.com:443", template{}, "502 "}, // there is no such listener
	} {
		t.Run(test.domain, func(t *testing.T) {
			balancer, err := New(Options{})
			if err != nil {
				t.Fatal(err)
			}
			p := NewProvider(balancer, Ports{Free: true}, StandIns{}, nil)
			test.template.action = fixed("200", "text/plain", "by another name")
			test.template.rules = []object{{
				"Conditions": []any{object{"Field": "host-header", "Values": []any{"api.example.com"}}, object{"Field": "query-string", "QueryStringConfig": object{"Values": []any{object{"Key": "a", "Value": "b"}}}}},
				"Actions":    []any{fixed("200", "text/plain", "by the domain "+test.domain)},
			}}
			m := model.Read(read(t, test.template.json(t)))
			next := p.Plan(m, nil).(*plan)
			defer next.Close()
			give := func() string {
				address, err := next.Attribute(assembly.Ref{Resource: m.Assembly.Stack("S").Resource("Lb"), Attribute: "Domain:" + test.domain})
				if err != nil {
					t.Fatal(err)
				}
				return fmt.Sprint(address)
			}
			address := give() // exists before the listener, and stays when the listener comes
			if err := errors.Join(next.Check(), next.Update(t.Context(), "S"), next.Clean(t.Context(), "S")); err != nil {
				t.Fatal(err)
			}
			if again := give(); again != address || !strings.HasPrefix(address, "localhost:") {
				t.Errorf("the addresses are %s, %s", address, again)
			}
			response, err := http.Get("http://" + address + "/users?a=b")
			if err != nil {
				t.Fatal(err)
			}
			defer response.Body.Close()
			body, _ := io.ReadAll(response.Body)
			if got := fmt.Sprint(response.StatusCode, " ", string(body)); got != test.want {
				t.Errorf("the answer is %q, want %q", got, test.want)
			}
			if err := p.Stop(t.Context()); err != nil {
				t.Error(err)
			}
			if _, err := http.Get("http://" + address); err == nil {
				t.Error("the door is still open")
			}
		})
	}
}

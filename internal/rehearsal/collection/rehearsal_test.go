package collection

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"cutover/internal/rehearsal"
)

// migration is a deployment whose requests go to the shop of the monolith, or after the switch to another one, which may be the
// same.
type migration struct {
	url      string
	rehearse *rehearsal.Rehearsal

	mu      sync.Mutex
	shops   map[string]*shop // by service
	service string
}

func (m *migration) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.shops[m.service].ServeHTTP(w, r)
	m.rehearse.Observe(rehearsal.Record{TraceID: r.Header.Get("X-Amzn-Trace-Id"), Service: m.service, Target: "t", Status: 200, TargetStatus: 200})
}

func (m *migration) URL(*rehearsal.Request) string { return m.url }

func (m *migration) Deploy(_ context.Context, phase string) (rehearsal.Changes, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.service = map[string]string{"monolith": "api", "switched": "orders"}[phase]
	return rehearsal.Changes{}, nil
}

func (m *migration) Fault(context.Context, string, string) (func(context.Context) error, error) {
	return nil, nil
}

func (m *migration) Gaps() []string { return nil }

func (m *migration) Run(context.Context, rehearsal.Command) error { return nil }

// A service that keeps its orders in memory fails a rehearsal, and the verdict says why. One that shares them with the monolith
// passes.
func TestRehearsal(t *testing.T) {
	for name, passes := range map[string]bool{"in memory": false, "shared": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel() // it waits most of the time
			monolith := newShop()
			m := &migration{shops: map[string]*shop{"api": monolith, "orders": newShop()}}
			if passes {
				m.shops["orders"] = monolith
			}
			r, err := rehearsal.New(rehearsal.Options{
				Walk: []string{"monolith", "switched"}, Rate: 100, Dwell: 500 * time.Millisecond,
				Workload: rehearsal.Workload{Sources: []rehearsal.Source{New(ofOrders())}},
			})
			if err != nil {
				t.Fatal(err)
			}
			m.rehearse = r
			server := httptest.NewServer(m)
			defer server.Close()
			m.url = server.URL
			report, err := r.Run(t.Context(), m)
			if err != nil {
				t.Fatal(err)
			}
			v := report.Verdict
			if v.Passed != passes || len(report.Checked) != 1 || !strings.Contains(report.Checked[0], "created, listed") {
				t.Errorf("verdict %+v, checked %q", v, report.Checked)
			}
			if want := "that api acknowledged in monolith is unknown to orders in "; !passes && !strings.Contains(strings.Join(v.Reasons, "\n"), want) {
				t.Errorf("reasons %q", v.Reasons)
			}
		})
	}
}

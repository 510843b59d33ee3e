package dynamodb

import (
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"time"
)

// fault is harm that the proxy does to the requests about some tables.
type fault struct {
	kind   string
	tables []string
	ended  chan struct{} // closed when the fault ends
	writes atomic.Int64  // that the database has done
}

// delay is what a slow store takes longer for each request.
const delay = 200 * time.Millisecond

// faultOf is a fault of one of the tables of a request; nil for none.
func (p *proxy) faultOf(all []use) *fault {
	p.mu.Lock()
	defer p.mu.Unlock()
	for f := range p.faults {
		if slices.ContainsFunc(all, func(u use) bool { return slices.Contains(f.tables, u.table) }) {
			return f
		}
	}
	return nil
}

// begin begins a fault, until the returned function is called.
func (p *proxy) begin(kind string, tables []string) (end func()) {
	f := &fault{kind: kind, tables: tables, ended: make(chan struct{})}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.faults[f] = true
	return func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		delete(p.faults, f)
		close(f.ended)
	}
}

// before does harm before a request is forwarded. It is false if the request has got its answer.
func (f *fault) before(w http.ResponseWriter, r *http.Request, operation string) bool {
	switch f.kind {
	case "store-slow":
		select {
		case <-time.After(delay):
		case <-f.ended:
		case <-r.Context().Done():
		}
	case "throttle":
		kind := "ProvisionedThroughputExceededException"
		if strings.HasPrefix(operation, "Describe") || strings.HasPrefix(operation, "List") {
			kind = "ThrottlingException"
		}
		answer(w, refuse(kind, "The level of configured provisioned throughput for the table was exceeded. Consider increasing your provisioning level with the UpdateTable API."))
		return false
	case "partition": // no answer comes, as when packets are dropped
		select {
		case <-f.ended:
		case <-r.Context().Done():
		}
		panic(http.ErrAbortHandler)
	}
	return true
}

// writes are the operations that change items.
var writes = []string{"BatchWriteItem", "DeleteItem", "PutItem", "TransactWriteItems", "UpdateItem", "BatchExecuteStatement", "ExecuteStatement", "ExecuteTransaction"}

// after does harm after the database has answered. It is false if the client has got another answer. Of the
// writes that were done, the first is answered with an error, and the third with the end of its connection; the
// second and the fourth get their answers. Then it begins anew.
func (f *fault) after(w http.ResponseWriter, operation string, status int) bool {
	if f.kind != "commit-error" || status != http.StatusOK || !slices.Contains(writes, operation) {
		return true
	}
	switch f.writes.Add(1) % 4 {
	case 1:
		answer(w, &refusal{Status: http.StatusInternalServerError, Kind: "InternalServerError", Message: "The request could not be completed"})
		return false
	case 3:
		panic(http.ErrAbortHandler)
	}
	return true
}

// seen says how many requests about a table tasks have sent, and which faults it has.
func (p *proxy) seen(table string) (requests int, faults []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for f := range p.faults {
		if slices.Contains(f.tables, table) {
			faults = append(faults, f.kind)
		}
	}
	return p.served[table], faults
}

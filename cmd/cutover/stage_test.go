package main

import (
	"net/http"
	"testing"

	"cutover/internal/local/alb"
	"cutover/internal/rehearsal"
)

// A service that asks another one passes on the trace of its client. The load balancer's record of that is not one of the
// client's request.
func TestRecordOfACall(t *testing.T) {
	const root = "Root=1-67891234-abcdef012345678912345678"
	for sent, want := range map[string]string{root: "Self=2;" + root, "Self=1;" + root: "", "": "Self=2;" + root} {
		e := alb.Exchange{TraceID: "Self=2;" + root, Header: http.Header{}, Status: 200, TargetStatus: 200}
		e.Header.Set(rehearsal.TraceHeader, sent)
		if got := traceOf(e); got != want {
			t.Errorf("sent %q: the record has the trace %q, want %q", sent, got, want)
		}
	}
	e := alb.Exchange{Header: http.Header{rehearsal.TraceHeader: {root}}}
	if got := traceOf(e); got != root {
		t.Errorf("without a target: %q", got)
	}
}

package main

import (
	"strings"
	"testing"
	"time"

	"cutover/internal/rehearsal"
)

func TestScaleTable(t *testing.T) {
	sized := func(services int, factor float64) scaled {
		return scaled{
			services: services, up: factor, steps: []float64{factor, factor, factor},
			memoryMiB: factor, cpuPerRequest: factor,
		}
	}
	var out strings.Builder
	scaleTable(&out, []scaled{sized(10, 1), sized(30, 2), sized(100, 16)})
	for _, want := range []string{
		"services                                   10       30      100     10.0\n",
		"until it is switched, s                  1.00     2.00    16.00     16.0\n",
		"memory at most, MiB                         1        2       16     16.0\n",
		"lost, or answered differently               0        0        0\n",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no line %q in\n%s", want, &out)
		}
	}
}

// The steps between the phases do not count for the processor time of a request.
func TestReadScale(t *testing.T) {
	began := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	report := rehearsal.Report{
		Began: began.Add(7 * time.Second), Totals: rehearsal.Totals{Requests: 5000, Different: 1},
		Phases: []rehearsal.Phase{{Begin: 0, End: 1}, {Begin: 3, End: 4}},
		Steps:  []rehearsal.Step{{Begin: 1, End: 3}, {Begin: 4, End: 4.5}, {Begin: 5, End: 5.25}},
	}
	var samples []usage
	cpu := time.Duration(0)
	for at := 6 * time.Second; at < 12*time.Second; at += sampling {
		switch second := at.Seconds() - 7; {
		case second > 0 && second < 1 || second > 3 && second < 4:
			cpu += sampling / 10
		default:
			cpu += sampling
		}
		samples = append(samples, usage{at: began.Add(at), cpu: cpu, memoryMiB: at.Seconds()})
	}
	s := scaled{services: 10}
	if err := s.read(began, report, samples); err != nil {
		t.Fatal(err)
	}
	// A tenth of a processor for 500 requests per second.
	if s.cpuPerRequest < 199 || s.cpuPerRequest > 201 {
		t.Errorf("a request takes %f µs, want 200", s.cpuPerRequest)
	}
	if s.up != 7 || len(s.steps) != 3 || s.steps[0] != 2 || s.requests != 5000 || s.lost != 1 || s.memoryMiB < 11.9 {
		t.Errorf("read %+v", s)
	}
	if err := s.read(began, report, nil); err == nil {
		t.Error("nothing was seen of the process, and that is no error")
	}
}

package main

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"cutover/config"
	"cutover/internal/analysis/cost"
	"cutover/internal/rehearsal"
)

// The release is of one line in what both shapes compile, and of nothing else.
func TestChanged(t *testing.T) {
	t.Chdir("..")
	b := &bench{ctx: t.Context(), work: t.TempDir()}
	root, err := b.changed()
	if err != nil {
		t.Fatal(err)
	}
	before, err1 := os.ReadFile(changedFile)
	after, err2 := os.ReadFile(filepath.Join(root, changedFile))
	if err1 != nil || err2 != nil {
		t.Fatal(err1, err2)
	}
	differ := 0
	old := strings.Split(string(before), "\n")
	for i, line := range strings.Split(string(after), "\n") {
		if line != old[i] {
			differ++
		}
	}
	if differ != 1 {
		t.Errorf("%d lines differ", differ)
	}
}

func TestDemand(t *testing.T) {
	cpu := map[string]float64{"users": 20e-6, "threads": 30e-6, "posts": 50e-6}
	for i, want := range []map[string]string{
		{"api": "2.80"}, // 10 × 0.2 + 0.3 + 0.5
		{"users": "2.00", "threads": "0.30", "posts": "0.50"},
	} {
		got := map[string]string{}
		for service, vcpu := range shapes[i].demand(10_000, 10, cpu) {
			got[service] = fmt.Sprintf("%.2f", vcpu)
		}
		if !maps.Equal(got, want) {
			t.Errorf("%s needs %v, want %v", shapes[i].name, got, want)
		}
	}
}

func TestTasksFor(t *testing.T) {
	quarter := config.Service{Tasks: 1, CPU: 256, TargetCPUPercent: 60} // 0.15 vCPU each
	for _, test := range []struct {
		vcpu float64
		task config.Service
		want int
	}{
		{0, quarter, 1},
		{0.149, quarter, 1},
		{0.151, quarter, 2},
		{1.49, quarter, 10},
		{0.1, config.Service{Tasks: 3, CPU: 256, TargetCPUPercent: 60}, 3},
		{1.49, config.Service{Tasks: 1, CPU: 512, TargetCPUPercent: 60}, 5},
		{1.49, config.Service{Tasks: 1, CPU: 256, TargetCPUPercent: 100}, 6},
	} {
		if got := tasksFor(test.vcpu, test.task); got != test.want {
			t.Errorf("%g vCPU with %+v: %d tasks, want %d", test.vcpu, test.task, got, test.want)
		}
	}
}

// 7 tasks fit on a t3.small, which costs 15.18 and 2.40 for its volume. Two are the least.
func TestMonthly(t *testing.T) {
	golden := filepath.Join("..", "stacks", "golden")
	for _, test := range []struct {
		phase string
		tasks map[string]int
		want  cost.Cents
	}{
		{"monolith", map[string]int{"api": 1}, 9540},
		{"monolith", map[string]int{"api": 14}, 9540},
		{"monolith", map[string]int{"api": 15}, 9540 + 1758},
		{"monolith", map[string]int{"api": 35}, 9540 + 3*1758 + 1},                                 // beyond the four of the settings; rounded once
		{"removed", map[string]int{"users": 33, "threads": 1, "posts": 1}, 9540 + 3*1758 + 1},      // as many
		{"removed", map[string]int{"users": 1, "threads": 1, "posts": 1, "no-service": 100}, 9540}, // nothing for what is not there
	} {
		if got, err := monthly(filepath.Join(golden, test.phase), test.tasks); err != nil || got != test.want {
			t.Errorf("%v: %v, %v, want %v", test.tasks, got, err, test.want)
		}
	}
	if _, err := monthly(t.TempDir(), nil); err == nil {
		t.Error("there is no assembly, and that is no error")
	}
}

// release is the report of a deployment in which tasks of a service are replaced.
func release(services map[string]int, replaced ...string) rehearsal.Report {
	step := rehearsal.Step{Begin: 1, End: 11, Totals: rehearsal.Totals{Requests: 500, ByService: map[string]int{}}}
	var events []rehearsal.Event
	for service, requests := range services {
		step.ByService[service] = requests
		events = append(events,
			rehearsal.Event{At: -9, Service: service, Target: "old", State: "initial"},
			rehearsal.Event{At: -8, Service: service, Target: "old", State: "healthy"})
	}
	for _, service := range replaced {
		events = append(events,
			rehearsal.Event{At: 1, Service: service, Target: "new", State: "initial"},
			rehearsal.Event{At: 11, Service: service, Target: "old", State: "draining"})
	}
	events = append(events, rehearsal.Event{At: 11.1, Service: "later", Target: "later", State: "initial"})
	return rehearsal.Report{Steps: []rehearsal.Step{step}, Events: events}
}

func TestReleased(t *testing.T) {
	for _, test := range []struct {
		report rehearsal.Report
		want   released
	}{
		{release(map[string]int{"api": 500}, "api", "api"), released{services: 1, tasks: 1, replaced: 2, percent: 100}},
		{release(map[string]int{"users": 200, "threads": 100, "posts": 200}, "users"), released{services: 3, tasks: 3, replaced: 1, percent: 40}},
		{release(map[string]int{"users": 200, "posts": 300}), released{services: 2, tasks: 2}},
	} {
		if got := releasedBy(test.report); got != test.want {
			t.Errorf("%+v, want %+v", got, test.want)
		}
	}
}

func TestMedian(t *testing.T) {
	var r results
	for _, ms := range []float64{9, 1, 5, 7} {
		r.add("a", figure{ms, "ms"}, figure{2 * ms, "B"})
	}
	if got := r.median("a", "ms"); got != 6 {
		t.Errorf("the median of four is %g, want 6", got)
	}
	r.add("a", figure{8, "ms"})
	if got := r.median("a", "ms"); got != 7 {
		t.Errorf("the median of five is %g, want 7", got)
	}
	if a, b := r.median("a", "B"), r.median("b", "ms"); a != 12 || b != 0 {
		t.Errorf("the other unit has %g, want 12, and what was not measured %g, want 0", a, b)
	}
}

func TestSplitTables(t *testing.T) {
	var built, loaded results
	for i, s := range shapes {
		built.add(s.name, figure{float64(i + 1), "sec"}, figure{3.5e6, "pushed-B"})
		for j, feature := range features {
			loaded.add("Split/server="+s.name+"-"+feature.name, figure{float64(20+10*i+j) * 1e-6, "cpu-sec/req"},
				figure{float64(8+j) * (1 << 20), "idle-B"}, figure{4e-3, "start-sec"}, figure{0.25e-3, "p50-sec"}, figure{1e-3, "p99-sec"}, figure{1, "loaded-B"})
		}
	}
	loaded.add("Split/server=balancer", figure{50e-6, "cpu-sec/req"}, figure{0.5e-3, "p50-sec"}, figure{4e-3, "p99-sec"}, figure{30 << 20, "loaded-B"})
	loaded.add("Split/server=proxy", figure{90e-6, "cpu-sec/req"}, figure{0.6e-3, "p50-sec"}, figure{5e-3, "p99-sec"}, figure{20 << 20, "loaded-B"})
	var reports [2][]rehearsal.Report
	for i := range shapes {
		all := release(map[string]int{"api": 500}, "api")
		if i == 1 {
			all = release(map[string]int{"users": 200, "threads": 100, "posts": 200}, "users")
		}
		reports[i] = []rehearsal.Report{all}
		for j := range harms {
			reports[i] = append(reports[i], rehearsal.Report{Steps: []rehearsal.Step{{Totals: rehearsal.Totals{Requests: 200, Lost: 10 * j * (2 - i)}}}})
		}
	}
	var out strings.Builder
	shapesTable(&out, reports, &built, &loaded)
	hopsTable(&out, &loaded)
	if err := pricesTable(&out, config.Service{Tasks: 1, CPU: 256, TargetCPUPercent: 60}, &loaded, func(s shape, assembly string, tasks map[string]int) (cost.Cents, error) {
		var sum cost.Cents
		for service, n := range tasks {
			if s.of(service) != service {
				t.Errorf("%s has a price for tasks of %s", s.name, service)
			}
			sum += cost.Cents(100*n) * map[string]cost.Cents{"before": 1, "fargate": 2, "connect": 3}[assembly]
		}
		return sum, nil
	}); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"                                                 monolith  microservices   ratio\n",
		"  services, each with a stack and an image              1              3    3.00\n",
		"  memory of all tasks before a request, MiB          10.0           27.0    2.70\n",
		"  to build an image, s                               1.00           2.00    2.00\n",
		"  to push, compressed, MB                            3.50           3.50    1.00\n",
		"  to deploy, s                                       10.0           10.0    1.00\n",
		"  requests to services with replaced tasks, %       100.0           40.0    0.40\n",
		"  requests lost, %                                    0.0            0.0\n",
		"  hang                                               10.0            5.0    0.50\n",
		"A call to users from another process            direct     load balancer   Service Connect\n",
		"  p99, ms                                         1.00              4.00              5.00\n",
		"  CPU of what is between, µs                       0.0              50.0              90.0\n",
		"  memory of what is between, MiB                   0.0              30.0              20.0\n",
		// 0.063 and 0.243 vCPU
		"1000                    monolith              20.0    1 → 2       1.00 → 2.00       2.00 → 4.00           3.00 → 6.00\n",
		"10000                   microservices         30.0   8 → 26      8.00 → 26.00     16.00 → 52.00         24.00 → 78.00\n",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no line %q in\n%s", want, &out)
		}
	}
}

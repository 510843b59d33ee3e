package main

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestReport(t *testing.T) {
	seconds := func(walls ...float64) (costs []cost) {
		for _, wall := range walls {
			d := time.Duration(wall * float64(time.Second))
			costs = append(costs, cost{wall: d, cpu: 2 * d})
		}
		return costs
	}
	// In the third round the machine was busy with something else.
	javascript := seconds(1, 1, 10)
	if err := report(io.Discard, trial{seconds(1.4, 1.5, 14), javascript, javascript}, true); err != nil {
		t.Errorf("within the limit: %v", err)
	}
	if err := report(io.Discard, trial{seconds(1.6, 1.6, 14), javascript, javascript}, true); err == nil || !strings.Contains(err.Error(), "1.60 times") {
		t.Errorf("over the limit: %v", err)
	}
	if err := report(io.Discard, trial{seconds(1.6, 1.6, 14), javascript, javascript}, false); err != nil {
		t.Errorf("over the limit without -check: %v", err)
	}
}

func TestReportGrowth(t *testing.T) {
	at := func(services int, seconds float64) point {
		list := []cost{{time.Duration(seconds * float64(time.Second)), time.Duration(2 * seconds * float64(time.Second)), int64(services) << 20}}
		return point{services, trial{list, list, list}}
	}
	var out strings.Builder
	// 0.1 s for each of the first services, 0.2 s for each of the last.
	reportGrowth(&out, []point{at(10, 1), at(20, 2), at(40, 6)})
	for _, want := range []string{
		"      40  6.00  6.00        12.00 12.00       40    40          1.00     1.00\n",
		"A further service's CPU time, 20 to 40 services against 10 to 20: Go 2.00, JavaScript 2.00\n",
		"A further service's memory, 20 to 40 services against 10 to 20: Go 1.00, JavaScript 1.00\n",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no line %q in\n%s", want, &out)
		}
	}
}

func TestCompare(t *testing.T) {
	synthesized := func(template string) string {
		dir := t.TempDir()
		for name, text := range map[string]string{
			"manifest.json": `{"artifacts": {"S": {"type": "aws:cloudformation:stack", "environment": "aws://a/b", "properties": {"templateFile": "t.json"}}}}`,
			"t.json":        template,
		} {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		return dir
	}
	one, two := synthesized(`{"Resources": {"R": {"Type": "A"}}}`), synthesized(`{"Resources": {"R": {"Type": "B"}}}`)
	if n, err := compare(one, one); n != 1 || err != nil {
		t.Errorf("an assembly and itself: %d, %v", n, err)
	}
	if _, err := compare(one, two); err == nil || !strings.Contains(err.Error(), `S/Resources/R/Type: Go "A", JavaScript "B"`) {
		t.Errorf("two assemblies: %v", err)
	}
}

package main

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// rehearsed is what of a rehearsal's report is looked at here.
type rehearsed struct {
	Verdict struct{ Passed bool }
	Totals  struct{ Requests, Lost, Different int }
}

// rehearse runs "cutover rehearse" on the synthesized templates of a path of
// phases, and returns its report and exit code.
func rehearse(t *testing.T, change settings, path string, phases ...string) (rehearsed, int) {
	t.Helper()
	dir := t.TempDir()
	tool := filepath.Join(dir, "cutover")
	if out, err := exec.Command("go", "build", "-o", tool, "./cmd/cutover").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, phase := range phases {
		context := settings{"phase": phase}
		for key, value := range change {
			context[key] = value
		}
		if err := os.Symlink(synth(t, context).Dir, filepath.Join(dir, phase)); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command(tool, "rehearse", "--state", filepath.Join(dir, "state"), "--app", dir, "--out", filepath.Join(dir, "report"),
		"--path", path, "--rate", "500", "--dwell", "1s", "--json")
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	var report rehearsed
	if err := json.Unmarshal(out, &report); err != nil {
		t.Fatalf("the report cannot be read: %v\n%s", err, out)
	}
	return report, cmd.ProcessState.ExitCode()
}

// TestRehearsal walks the whole migration and back on this machine, with the
// templates that would be deployed and under load: no request is lost, and every
// answer is the monolith's.
func TestRehearsal(t *testing.T) {
	report, code := rehearse(t, nil, "monolith,parallel,switched,retired,switched,parallel,monolith", "monolith", "parallel", "switched", "retired")
	if code != 0 || !report.Verdict.Passed || report.Totals.Lost != 0 || report.Totals.Different != 0 {
		t.Errorf("exit code %d, %+v", code, report.Totals)
	}
	if report.Totals.Requests < 5000 {
		t.Errorf("only %d requests were sent", report.Totals.Requests)
	}
}

// TestRehearsalOfWhatMustFail leaves a phase out on the way back, with the gate
// off: requests go to a monolith that has no task yet, and the rehearsal says so.
func TestRehearsalOfWhatMustFail(t *testing.T) {
	report, code := rehearse(t, settings{"phaseGate": "off"}, "retired,parallel", "retired", "parallel")
	if code != 1 || report.Verdict.Passed || report.Totals.Lost == 0 {
		t.Errorf("exit code %d, %+v", code, report.Totals)
	}
}

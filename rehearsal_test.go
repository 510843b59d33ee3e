package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"cutover/internal/assembly"
	"cutover/internal/migration"
)

// rehearsed is what of a rehearsal's report is looked at here.
type rehearsed struct {
	Verdict struct {
		Passed  bool
		Reasons []string
	}
	Totals struct{ Requests, Lost, Different int }
	Steps  []struct {
		Name  string
		Begin float64 `json:"begin_s"`
		End   float64 `json:"end_s"`
		Fault *struct {
			Kind         string
			Own          int
			OwnFailed    int `json:"own_failed"`
			OthersFailed int `json:"others_failed"`
		}
	}
	Losses []struct {
		Stage string
		Last  float64 `json:"last_s"`
	}
}

// rehearsalTool builds the command.
func rehearsalTool(t *testing.T) string {
	t.Helper()
	tool := filepath.Join(t.TempDir(), "cutover")
	if out, err := exec.Command("go", "build", "-o", tool, "./cmd/cutover").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return tool
}

// rehearse runs "cutover rehearse" on synthesized templates, by phase, and returns
// its report and exit code.
func rehearse(t *testing.T, tool string, phases map[string]*assembly.Assembly, args ...string) (rehearsed, int) {
	t.Helper()
	dir := t.TempDir()
	for phase, a := range phases {
		if err := os.Symlink(a.Dir, filepath.Join(dir, phase)); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command(tool, "rehearse", "--state", filepath.Join(dir, "state"), "--app", dir, "--out", filepath.Join(dir, "report"), "--dwell", "1s", "--json")
	cmd.Args = append(cmd.Args, args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	var report rehearsed
	if err := json.Unmarshal(out, &report); err != nil {
		t.Fatalf("the report cannot be read: %v\n%s%s", err, out, &stderr)
	}
	return report, cmd.ProcessState.ExitCode()
}

// TestRehearsal walks the whole migration and back on this machine, with the
// templates that would be deployed and under load: no request is lost, and every
// answer is the monolith's.
func TestRehearsal(t *testing.T) {
	phases := map[string]*assembly.Assembly{}
	for _, phase := range migration.Phases() {
		phases[phase.String()] = inPhase(t, phase)
	}
	report, code := rehearse(t, rehearsalTool(t), phases)
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
	phases := map[string]*assembly.Assembly{}
	for _, phase := range []string{"retired", "parallel"} {
		phases[phase] = synth(t, settings{"phase": phase, "phaseGate": "off"})
	}
	report, code := rehearse(t, rehearsalTool(t), phases, "--path", "retired,parallel")
	if code != 1 || report.Verdict.Passed || report.Totals.Lost == 0 {
		t.Errorf("exit code %d, %+v", code, report.Totals)
	}
}

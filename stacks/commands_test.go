package stacks_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"cutover/deployment"
	shop "cutover/examples/shop/deployment"
	"cutover/internal/assembly"
	"cutover/internal/golden"
	"cutover/internal/nightly"
	"cutover/migration"
)

// What other programs do with the templates. Each test here synthesizes what its
// program needs, starts the program, and gives way with t.Parallel. The program then
// works beside the tests that follow. When they are over, the tests here go on.

// rehearsed is what of a rehearsal's report is looked at here.
type rehearsed struct {
	Verdict struct {
		Passed        bool
		Reasons, Gaps []string
	}
	Totals struct{ Requests, Lost, Different int }
	Routes []route
	Steps  []struct {
		Name  string
		Begin float64 `json:"begin_s"`
		End   float64 `json:"end_s"`
		Fault *struct {
			Kind         string
			Own          int
			OwnFailed    int `json:"own_failed"`
			Depending    int
			OthersFailed int `json:"others_failed"`
		}
	}
	Events []event
	Losses []struct {
		Stage string
		Last  float64 `json:"last_s"`
	}
}

// route and event are those of a report.
type (
	route struct {
		Method, Path string
		Requests     int
	}
	event struct{ Service, Text string }
)

// rehearsalTool builds the command, once for all tests.
var rehearsalTool = sync.OnceValues(func() (string, error) {
	return compile("cutover", "./cmd/cutover")
})

// compile builds a program. It stays, so that it is linked again only after a change.
func compile(name, pkg string) (string, error) {
	program, err := filepath.Abs(filepath.Join("build", "test", name))
	if err != nil {
		return "", err
	}
	if out, err := exec.Command("go", "build", "-buildvcs=false", "-o", program, pkg).CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w\n%s", err, out)
	}
	return program, nil
}

// rehearse starts "cutover rehearse" on synthesized templates, by phase. What it
// returns waits for its report and exit code.
func rehearse(t *testing.T, phases map[string]*assembly.Assembly, args ...string) func() (rehearsed, int) {
	t.Helper()
	tool, err := rehearsalTool()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for phase, a := range phases {
		if err := os.Symlink(a.Dir, filepath.Join(dir, phase)); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.CommandContext(t.Context(), tool, "rehearse", "--state", filepath.Join(dir, "state"), "--app", dir, "--out", filepath.Join(dir, "report"), "--dwell", "1s", "--json")
	// When the test is over before, as after a failure: it stops what it runs.
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.Args = append(cmd.Args, args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return func() (rehearsed, int) {
		t.Helper()
		var exit *exec.ExitError
		if err := cmd.Wait(); err != nil && !errors.As(err, &exit) {
			t.Fatal(err)
		}
		var report rehearsed
		if err := json.Unmarshal(stdout.Bytes(), &report); err != nil {
			t.Fatalf("the report cannot be read: %v\n%s%s", err, &stdout, &stderr)
		}
		return report, cmd.ProcessState.ExitCode()
	}
}

// unharmed fails unless a rehearsal of at least so many requests has passed, and none was lost or answered differently.
func unharmed(t *testing.T, report rehearsed, code, requests int) {
	t.Helper()
	if code != 0 || !report.Verdict.Passed || report.Totals.Lost != 0 || report.Totals.Different != 0 {
		t.Errorf("exit code %d, %+v, %q", code, report.Totals, report.Verdict.Reasons)
	}
	if report.Totals.Requests < requests {
		t.Errorf("only %d requests were sent", report.Totals.Requests)
	}
}

// TestRehearsalOfServicesThatScale walks it with services that scale under the load,
// there and back side by side, while a minute of autoscaling passes in a fifth of a
// second: what autoscaling and the phases do to the counts loses nothing either. These
// rehearsals take longest, so they start first.
func TestRehearsalOfServicesThatScale(t *testing.T) {
	nightly.Test(t, "it walks there and back, with services that scale")
	phases := map[string]*assembly.Assembly{}
	for _, phase := range migration.Phases() {
		phases[phase.String()] = synthScaled(t, settings{"phase": phase.String()})
	}
	there := migration.PhaseNames()
	back := slices.Clone(there)
	slices.Reverse(back)
	var waits []func() (rehearsed, int)
	for _, walk := range [][]string{there, back} {
		waits = append(waits, rehearse(t, phases, "--walk", strings.Join(walk, ","), "--scaling-period", "200ms", "--rate", "100"))
	}
	t.Parallel()
	for _, wait := range waits {
		report, code := wait()
		unharmed(t, report, code, 500)
		var scaled []string
		for _, e := range report.Events {
			if strings.HasPrefix(e.Text, "scaling ") && !slices.Contains(scaled, e.Service) {
				scaled = append(scaled, e.Service)
			}
		}
		scaled = slices.DeleteFunc(scaled, func(name string) bool { return name == monolith.Name }) // or it had no need to
		equal(t, "services that have scaled", []string{first.Name}, scaled)
	}
}

// TestRehearsal walks the whole migration and back on this machine, with the
// templates that would be deployed and under load: no request is lost, and every
// answer is the monolith's. The root paths are among the routes, for a service keeps them.
func TestRehearsal(t *testing.T) {
	nightly.Test(t, "it walks there and back once more, with the root paths")
	phases := map[string]*assembly.Assembly{"parallel": inPhase(t, migration.Parallel)}
	for _, phase := range []migration.Phase{migration.Monolith, migration.Switched, migration.Retired} {
		phases[phase.String()] = synth(t, rooted(phase))
	}
	wait := rehearse(t, phases, "--rate", "300")
	t.Parallel()
	report, code := wait()
	unharmed(t, report, code, 1)
	for _, path := range migration.RootPaths(monolith.Paths) {
		asked := 0
		for _, route := range report.Routes {
			if route.Path == path {
				asked = route.Requests
			}
		}
		if asked == 0 {
			t.Errorf("nobody asked for %s", path)
		}
	}
	if report.Totals.Requests < 5000 {
		t.Errorf("only %d requests were sent", report.Totals.Requests)
	}
}

// TestRehearsalOfWhatMustFail leaves a phase out on the way back, with the gate
// off: requests go to a monolith that has no task yet, and the rehearsal says so. The
// monolith takes a while to start, so that requests come before, however fast it is.
func TestRehearsalOfWhatMustFail(t *testing.T) {
	nightly.Test(t, "it rehearses on this machine")
	monolith := deployment.Forum.Monolith.Name
	program, err := compile(monolith, "./services/"+monolith)
	if err != nil {
		t.Fatal(err)
	}
	phases := map[string]*assembly.Assembly{}
	for _, phase := range []string{"retired", "parallel"} {
		phases[phase] = synth(t, settings{"phase": phase, "phaseGate": "off"})
	}
	wait := rehearse(t, phases, "--walk", "retired,parallel", "--rate", "100", "--run", monolith+"=sleep 2; exec "+program)
	t.Parallel()
	report, code := wait()
	if code != 1 || report.Verdict.Passed || report.Totals.Lost == 0 {
		t.Errorf("exit code %d, %+v", code, report.Totals)
	}
}

// TestLint has cfn-lint look at every phase's templates, and at those of the
// options that add or change resources. It skips where cfn-lint is missing.
func TestLint(t *testing.T) {
	nightly.Test(t, "cfn-lint takes a fifth of a second for each of 100 templates")
	lint, err := exec.LookPath("cfn-lint")
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("cfn-lint is missing: install it with `pip install cfn-lint`")
		}
		t.Skip("cfn-lint is missing: install it with `pip install cfn-lint`")
	}
	contexts := []settings{goldenContext(deployment.App, golden.Canary), {"certificateArn": certificate}, {"env": "prod"}}
	for _, phase := range migration.Phases() {
		contexts = append(contexts, settings{"phase": phase.String()}, production(phase))
	}
	assemblies := []*assembly.Assembly{
		synthPress(t), synthScaled(t, settings{"phase": "parallel"}), synthOwn(t), synthDiscovered(t), synthComputes(t), synthDeployment(t, shop.Shop, nil),
	}
	for _, name := range []string{golden.DynamoDB, golden.PostgreSQL, golden.ProductionPostgreSQL} {
		assemblies = append(assemblies, synth(t, goldenContext(deployment.Forum, name)))
	}
	assemblies = append(assemblies, synthDeployment(t, fronted(), fronts()["both"]))
	for _, name := range []string{"closed", "asked"} {
		assemblies = append(assemblies, synth(t, fronts()[name]))
	}
	for _, context := range contexts {
		assemblies = append(assemblies, synthApp(t, context))
	}
	// Templates that are the same in several phases are looked at once.
	seen := map[string]bool{}
	args := []string{"--non-zero-exit-code", "warning", "--format", "parseable", "--"}
	for _, a := range assemblies {
		for _, stack := range a.Stacks {
			file := filepath.Join(a.Dir, stack.Name+".template.json")
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if !seen[string(text)] {
				seen[string(text)] = true
				args = append(args, file)
			}
		}
	}
	var out bytes.Buffer
	cmd := exec.CommandContext(t.Context(), lint, args...)
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Parallel()
	if err := cmd.Wait(); err != nil {
		said := bytes.ReplaceAll(out.Bytes(), []byte(scratch), nil)
		if rest := needless.ReplaceAll(said, nil); len(rest) > 0 || len(said) == 0 {
			t.Errorf("cfn-lint: %v\n%s", err, rest)
		}
	}
}

// needless are the lines of cfn-lint about a DependsOn that a Ref or Fn::GetAtt makes needless: CDK's for its function that
// deploys files, and those of two resources before which all of another is there.
var needless = regexp.MustCompile(`(?m)^.*:W3005:'(?:CustomCDKBucketDeployment.* at 'Resources/CustomCDKBucketDeployment|Role.* at 'Resources/Account/|Stage' .* at 'Resources/WebAclAssociation/).*\n+`)

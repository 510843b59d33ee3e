package e2e

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"cutover/internal/emulate"
	"cutover/migration"
)

// interrupted ends with Ctrl-C and SIGTERM. The emulators stop then.
var interrupted context.Context

// engine is the Docker engine of all tests, which run at the same time. One that runs already is not stopped.
var engine struct {
	start sync.Once
	stop  func() error
	err   error
}

func TestMain(m *testing.M) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	interrupted = ctx
	code := m.Run()
	if engine.stop != nil {
		if err := engine.stop(); err != nil {
			fmt.Fprintln(os.Stderr, "stopping the Docker engine:", err)
			code = 1
		}
	}
	stop()
	os.Exit(code)
}

// startEngine starts a Docker engine, unless one runs, and leads this process and its children to it.
func startEngine() error {
	dir, err := os.MkdirTemp("", "cutover-e2e-")
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(interrupted, time.Minute)
	defer cancel()
	host, stop, err := emulate.StartDocker(ctx, dir)
	if err != nil || stop == nil {
		return errors.Join(err, os.RemoveAll(dir))
	}
	engine.stop = func() error { return errors.Join(stop(), os.RemoveAll(dir)) }
	return os.Setenv("DOCKER_HOST", host)
}

// required skips the test if nobody asked for it, or if a program is missing. In CI, a missing program is a failure.
func required(t *testing.T, root string, programs ...string) {
	t.Helper()
	asked := os.Getenv("CUTOVER_E2E")
	if asked == "" {
		t.Skip("not asked for: run \"make e2e\", or set CUTOVER_E2E=1")
	}
	missing := emulate.Missing()
	for _, p := range []string{cliPath, nodePath} {
		if _, err := os.Stat(filepath.Join(root, p)); err != nil {
			missing = append(missing, p+" (npm ci)")
		}
	}
	for _, p := range programs {
		if _, err := exec.LookPath(p); err != nil {
			missing = append(missing, "the command "+p)
		}
	}
	if len(missing) == 0 {
		if engine.start.Do(func() { engine.err = startEngine() }); engine.err != nil {
			t.Fatal(engine.err)
		}
		t.Parallel()
		return
	}
	message := "this machine lacks " + strings.Join(missing, "; ")
	if asked == "required" || os.Getenv("CI") == "true" {
		t.Fatal(message)
	}
	t.Skip(message)
}

// What the specification says of each phase. The canary is parallel with a tenth of the users' traffic shifted.
var phases = map[string]state{
	"monolith": {
		Rules: []string{
			"10000 /api* → api",
			"20010 /api/users* → users",
			"20020 /api/threads* → threads",
			"20030 /api/posts* → posts",
			"default → api 1, drop-traffic 0",
		},
		Counts: map[string]int32{"api": 1, "users": 0, "threads": 0, "posts": 0},
		Gate:   gate("monolith", "retired", "shift", "switched"),
		Phase:  "monolith",
	},
	"parallel": {
		Rules: []string{
			"10000 /api* → api",
			"20010 /api/users* → users",
			"20020 /api/threads* → threads",
			"20030 /api/posts* → posts",
			"default → api 1, drop-traffic 0",
		},
		Counts: map[string]int32{"api": 1, "users": 1, "threads": 1, "posts": 1},
		Gate:   gate("parallel", "retired"),
		Phase:  "parallel",
	},
	"canary": {
		Rules: []string{
			"1010 /api/users* → users 10, api 90",
			"10000 /api* → api",
			"20010 /api/users* → users",
			"20020 /api/threads* → threads",
			"20030 /api/posts* → posts",
			"default → api 1, drop-traffic 0",
		},
		Counts: map[string]int32{"api": 1, "users": 1, "threads": 1, "posts": 1},
		Gate:   gate("monolith", "parallel", "retired", "shift"),
		Phase:  "parallel",
	},
	"switched": {
		Rules: []string{
			"20010 /api/users* → users",
			"20020 /api/threads* → threads",
			"20030 /api/posts* → posts",
			"default → api 0, drop-traffic 1",
		},
		Counts: map[string]int32{"api": 1, "users": 1, "threads": 1, "posts": 1},
		Gate:   gate("monolith", "switched"),
		Phase:  "switched",
	},
	"retired": {
		Rules: []string{
			"20010 /api/users* → users",
			"20020 /api/threads* → threads",
			"20030 /api/posts* → posts",
			"default → api 0, drop-traffic 1",
		},
		Counts: map[string]int32{"api": 0, "users": 1, "threads": 1, "posts": 1},
		Gate:   gate("monolith", "parallel", "retired", "shift"),
		Phase:  "retired",
	},
}

// A move is a step of the migration.
type move struct {
	from, to string
	diff     map[string][]string // as cdk.diff returns it
	changed  []string            // resources that come or go; none may be replaced
}

// What each step of the migration changes, apart from the gate and the record of the phase, which every step changes.
var moves = []move{
	{"monolith", "parallel", counts("dev-Users", "dev-Threads", "dev-Posts"), nil},
	{"parallel", "switched", routes("- " + ruleType), []string{"- dev-Routing " + ruleType}},
	{"switched", "retired", counts("dev-Api"), nil},
	{"retired", "switched", counts("dev-Api"), nil},
	{"switched", "parallel", routes("+ " + ruleType), []string{"+ dev-Routing " + ruleType}},
	{"parallel", "canary", map[string][]string{"dev-Routing": {"+ " + ruleType}}, []string{"+ dev-Routing " + ruleType}},
	{"canary", "parallel", map[string][]string{"dev-Routing": {"- " + ruleType}}, []string{"- dev-Routing " + ruleType}},
	{"parallel", "monolith", counts("dev-Users", "dev-Threads", "dev-Posts"), nil},
}

// Steps that skip a phase. The test tries them when the first phase is deployed.
var refused = map[string][]string{
	"monolith": {"switched", "canary"},
	"parallel": {"retired"},
	"retired":  {"parallel", "monolith"},
	"switched": {"monolith"},
}

const (
	ruleType    = "AWS::ElasticLoadBalancingV2::ListenerRule"
	serviceType = "AWS::ECS::Service"
)

// counts is the diff of a change of desired counts.
func counts(stacks ...string) map[string][]string {
	out := map[string][]string{}
	for _, s := range stacks {
		out[s] = []string{"~ " + serviceType}
	}
	return out
}

// gate is the names that the interlock holds, claimed or blocked: each since the deployment began and since it was
// complete.
func gate(states ...string) []string {
	var names []string
	for _, since := range []string{"begun", "reached"} {
		for _, state := range states {
			names = append(names, since+"/"+state)
		}
	}
	return names
}

// routes is the diff of a change of the /api* rule and the default action.
func routes(rule string) map[string][]string {
	return map[string][]string{"dev-Routing": {rule, "~ AWS::ElasticLoadBalancingV2::Listener"}}
}

var everyStack = []string{"dev-Api", "dev-Cluster", "dev-Gate", "dev-Network", "dev-Phase", "dev-Posts", "dev-Registry", "dev-Routing", "dev-Threads", "dev-Users", "dev-Watch"}

func TestDeployment(t *testing.T) {
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	required(t, root)
	ctx, cancel := context.WithCancel(interrupted)
	var aws *emulate.AWS
	t.Cleanup(func() {
		cancel()
		if aws != nil {
			if err := aws.Close(); err != nil {
				t.Errorf("stopping the emulator: %v", err)
			}
		}
	})
	step := stepping(t)
	out := t.TempDir()
	assembly := func(phase string) string { return filepath.Join(out, phase) }
	choose := func(phase string) []string {
		if phase == "canary" {
			return []string{"-c", "phase=parallel", "-c", "shift=users=10"}
		}
		return []string{"-c", "phase=" + phase}
	}

	top := t // outlives the steps
	var cli *cdk
	var a *account
	step("start the emulator", func(t *testing.T) {
		if aws, err = emulate.Start(ctx, emulate.Options{Log: logWriter{top}}); err != nil {
			t.Fatal(err)
		}
		cli = newCDK(ctx, root, aws.Env())
		a = newAccount(ctx, aws.Endpoint(), emulate.Region)
	})
	step("bootstrap", func(t *testing.T) {
		elsewhere := *cli
		elsewhere.dir = out // with the repository's cdk.json, the CLI would synthesize the app first
		elsewhere.must(t, "bootstrap", fmt.Sprintf("aws://%s/%s", emulate.Account, emulate.Region))
	})
	step("deploy the app in monolith", func(t *testing.T) {
		// The one deployment as a user does it, from the source. All others use an assembly.
		cli.must(t, slices.Concat([]string{"deploy", "-o", assembly("monolith")}, choose("monolith"), deployOptions)...)
		compare(t, a, "monolith")
		validated(t, assembly("monolith"), true)
		for name, status := range a.stacks(t) {
			if status != "CREATE_COMPLETE" {
				t.Errorf("stack %s: %s", name, status)
			}
		}
	})
	step("read back what no phase changes", func(t *testing.T) { unchanging(t, a) })
	step("images", func(t *testing.T) { images(t, a, aws) })
	step("synthesize the other phases", func(t *testing.T) {
		for _, phase := range []string{"parallel", "canary", "switched", "retired"} {
			t.Run(phase, func(t *testing.T) {
				t.Parallel()
				cli.must(t, append([]string{"synth", "-q", "--app", forum, "-o", assembly(phase)}, choose(phase)...)...)
				validated(t, assembly(phase), false)
			})
		}
	})
	step("deploy monolith again", func(t *testing.T) { repeated(t, cli, a, assembly("monolith")) })
	step("an image that cannot be pushed", func(t *testing.T) { unpushable(t, cli, a, assembly("monolith")) })

	for i, m := range moves {
		for _, to := range refused[m.from] {
			step(fmt.Sprintf("%s to %s is refused", m.from, to), func(t *testing.T) {
				refuses(t, cli, a, assembly(to), func(t *testing.T) { t.Helper(); compare(t, a, m.from) })
			})
		}
		delete(refused, m.from) // once is enough
		if m.to == "retired" {
			step("retired, cut short, to parallel is refused", func(t *testing.T) { cutShort(t, cli, a, assembly) })
		}
		step(fmt.Sprintf("%s to %s", m.from, m.to), func(t *testing.T) {
			take(t, cli, a, m, assembly(m.to), i == 0)
		})
	}
	step("read back what no phase has changed", func(t *testing.T) { unchanging(t, a) })
	step("only known types are merely recorded", func(t *testing.T) {
		want := []string{"AWS::EC2::FlowLog", "AWS::Logs::QueryDefinition", "Custom::VpcRestrictDefaultSG"}
		if got := aws.Recorded(); !slices.Equal(got, want) {
			t.Errorf("recorded only, and so not asserted: %q, want %q (see the package's documentation)", got, want)
		}
	})
	step("destroy", func(t *testing.T) {
		cli.must(t, "destroy", "--app", assembly("monolith"), "--all", "--force")
		destroyed(t, a)
	})
}

// take takes a step of the migration, at the second attempt if the first is to be interrupted. It compares what "cdk diff"
// names, what is deployed afterwards, and which resources have come or gone.
func take(t *testing.T, cli *cdk, a *account, m move, assembly string, interrupted bool) {
	t.Helper()
	if got := withoutPhase(cli.diff(t, assembly)); !reflect.DeepEqual(got, m.diff) {
		t.Errorf("cdk diff names %v, want %v", got, m.diff)
	}
	before := a.resources(t)
	if interrupted {
		interruptedDeploy(t, cli, a, assembly)
	}
	if out, err := cli.deploy(assembly); err != nil {
		t.Fatalf("%v\n%s", err, tail(out, 60))
	}
	compare(t, a, m.to)
	var got []string
	for _, c := range changed(before, a.resources(t)) {
		if f := strings.Fields(c); f[1] != "dev-Gate" && f[1] != "dev-Phase" {
			got = append(got, strings.Join(f[:3], " ")) // without the logical id
		}
	}
	if !slices.Equal(got, m.changed) {
		t.Errorf("resources that came (+), went (-) or were replaced (!): %q, want %q", got, m.changed)
	}
}

// validated looks for the report of CDK's validation. CDK validates templates for a deployment and not for a look.
func validated(t *testing.T, assembly string, want bool) {
	t.Helper()
	_, err := os.Stat(filepath.Join(assembly, "validation-report.json"))
	if (err == nil) != want {
		t.Errorf("validated: %t, want %t", err == nil, want)
	}
}

// compare compares what is deployed with the specification.
func compare(t *testing.T, a *account, phase string) {
	t.Helper()
	got, want := a.state(t), phases[phase]
	if !slices.Equal(got.Rules, want.Rules) {
		t.Errorf("rules:\n  %s\nwant\n  %s", strings.Join(got.Rules, "\n  "), strings.Join(want.Rules, "\n  "))
	}
	got.Rules, want.Rules = nil, nil
	if !reflect.DeepEqual(got, want) {
		t.Errorf("deployed %+v, want %+v", got, want)
	}
	state := migration.State{Shift: phase == "canary"}
	var err error
	if state.Phase, err = migration.ParsePhase(want.Phase); err != nil {
		t.Fatal(err)
	}
	a.told(t, state, state)
}

// withoutPhase removes the gate and the record of the phase from a diff.
func withoutPhase(diff map[string][]string) map[string][]string {
	delete(diff, "dev-Gate")
	delete(diff, "dev-Phase")
	return diff
}

// cutShort deploys one stack of the phase retired and nothing after it. That phase has begun, so a phase that follows only
// switched must be refused: it would send requests to a monolith without tasks. A phase that follows both is the way out.
func cutShort(t *testing.T, cli *cdk, a *account, assembly func(phase string) string) {
	cli.must(t, "deploy", "--app", assembly("retired"), "dev-Api", "--require-approval", "never")
	if out, err := cli.deploy(assembly("parallel")); err == nil || !strings.Contains(out, "dev-Gate failed to deploy") {
		t.Errorf("cdk deploy is not refused by dev-Gate: %v\n%s", err, tail(out, 60))
	}
	if got, want := a.state(t).Rules, phases["switched"].Rules; !slices.Equal(got, want) {
		t.Errorf("rules:\n  %s\nwant\n  %s", strings.Join(got, "\n  "), strings.Join(want, "\n  "))
	}
	a.told(t, migration.State{Phase: migration.Switched}, migration.State{Phase: migration.Retired})
	if out, err := cli.deploy(assembly("switched")); err != nil {
		t.Errorf("%v\n%s", err, tail(out, 60))
	}
	compare(t, a, "switched")
}

// unpushable deploys a new image of users to a repository that does not exist. The command fails before the service
// changes.
func unpushable(t *testing.T, cli *cdk, a *account, assembly string) {
	broken := t.TempDir()
	if err := os.CopyFS(broken, os.DirFS(assembly)); err != nil {
		t.Fatal(err)
	}
	edit := func(name string, change func(string) string) {
		name = filepath.Join(broken, name)
		text, err := os.ReadFile(name)
		if err == nil {
			err = os.WriteFile(name, []byte(change(string(text))), 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	var tag string
	edit("dev-Users.assets.json", func(text string) string {
		tag = regexp.MustCompile(`v1-[0-9a-f]{64}`).FindString(text)
		return strings.ReplaceAll(strings.ReplaceAll(text, tag, tag[:60]+"beef"), `"repositoryName": "users"`, `"repositoryName": "nowhere"`)
	})
	edit("dev-Users.template.json", func(text string) string { return strings.ReplaceAll(text, tag, tag[:60]+"beef") })
	resources, updates := a.resources(t), a.updates(t)
	out, err := cli.deploy(broken)
	if err == nil || !strings.Contains(out, "nowhere") {
		t.Errorf("cdk deploy does not fail for the repository: %v\n%s", err, tail(out, 60))
	}
	compare(t, a, "monolith")
	if got := changed(resources, a.resources(t)); len(got) > 0 {
		t.Errorf("resources changed: %q", got)
	}
	if got := a.updates(t); !reflect.DeepEqual(got, updates) {
		t.Errorf("stacks were updated: %v, want %v", got, updates)
	}
}

// interruptedDeploy kills the CLI during a step from monolith to parallel, at the first service. The deployment does not
// reach the phase. The same command reaches it afterwards.
func interruptedDeploy(t *testing.T, cli *cdk, a *account, assembly string) {
	t.Helper()
	out, err := cli.killed("dev-Users: deploying", append([]string{"deploy", "--app", assembly}, deployOptions...)...)
	if err == nil {
		t.Fatalf("cdk deploy was not killed:\n%s", tail(out, 60))
	}
	if got := a.state(t).Phase; got != "monolith" {
		t.Errorf("the deployed phase is %s, want monolith", got)
	}
	a.told(t, migration.State{Phase: migration.Monolith}, migration.State{Phase: migration.Parallel})
}

// repeated deploys the same assembly once more.
func repeated(t *testing.T, cli *cdk, a *account, assembly string) {
	if got := cli.diff(t, assembly); len(got) > 0 {
		t.Errorf("cdk diff names %v, want nothing", got)
	}
	resources, updates := a.resources(t), a.updates(t)
	out, err := cli.deploy(assembly)
	if err != nil {
		t.Fatalf("%v\n%s", err, tail(out, 60))
	}
	for _, s := range everyStack {
		if !strings.Contains(out, s+" (no changes)") {
			t.Errorf("cdk deploy does not say %q", s+" (no changes)")
		}
	}
	if got := changed(resources, a.resources(t)); len(got) > 0 {
		t.Errorf("resources changed: %q", got)
	}
	if got := a.updates(t); !reflect.DeepEqual(got, updates) {
		t.Errorf("stacks were updated: %v, want %v", got, updates)
	}
}

// refuses deploys an assembly that CloudFormation has to refuse because another phase is deployed. What is deployed stays
// the same.
func refuses(t *testing.T, cli *cdk, a *account, assembly string, same func(t *testing.T)) {
	t.Helper()
	refusesBy(t, cli, a, "dev-Gate", assembly, same)
}

// refusesBy is refuses for a stack of the interlock.
func refusesBy(t *testing.T, cli *cdk, a *account, gate, assembly string, same func(t *testing.T)) {
	t.Helper()
	resources, updates := a.resources(t), a.updates(t)
	out, err := cli.deploy(assembly)
	if err == nil {
		t.Fatalf("cdk deploy succeeded, want a failure\n%s", tail(out, 60))
	}
	if !strings.Contains(out, gate+" failed to deploy") || !strings.Contains(out, "already exists") {
		t.Errorf("cdk deploy does not say that %s failed because a name already exists:\n%s", gate, tail(out, 60))
	}
	same(t)
	if got := changed(resources, a.resources(t)); len(got) > 0 {
		t.Errorf("resources changed: %q", got)
	}
	if got := a.updates(t); !reflect.DeepEqual(got, updates) {
		t.Errorf("stacks were updated: %v, want %v", got, updates)
	}
	if got := a.stacks(t)[gate]; got != "UPDATE_ROLLBACK_COMPLETE" {
		t.Errorf("%s: %s, want UPDATE_ROLLBACK_COMPLETE", gate, got)
	}
}

// logWriter writes the emulator's lines into the test's log.
type logWriter struct{ t *testing.T }

func (w logWriter) Write(b []byte) (int, error) {
	w.t.Log(strings.TrimRight(string(b), "\n"))
	return len(b), nil
}

// stepping returns what runs the steps of a test. A failed step ends the test, for the next step builds on it.
func stepping(t *testing.T) func(name string, f func(t *testing.T)) {
	return func(name string, f func(t *testing.T)) {
		t.Helper()
		began := time.Now()
		if !t.Run(name, f) {
			t.FailNow()
		}
		t.Logf("%-40s %6.1f s", name, time.Since(began).Seconds())
	}
}

// emulated starts an emulated AWS that stops with the test.
func emulated(t *testing.T) *emulate.AWS {
	t.Helper()
	emulated, err := emulate.Start(interrupted, emulate.Options{Log: logWriter{t}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := emulated.Close(); err != nil {
			t.Errorf("stopping the emulator: %v", err)
		}
	})
	return emulated
}

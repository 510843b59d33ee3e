package e2e

import (
	"cmp"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"cutover/config"
	"cutover/deployment"
	"cutover/internal/assembly"
	"cutover/internal/emulate"
	"cutover/internal/onaws"
	"cutover/internal/step"
	"cutover/migration"
)

// A position is where each service is, as somebody sets it, and what is deployed then.
type position struct {
	phase  string // as "-c phase=" takes it
	rules  []string
	counts [4]int32 // api, users, threads, posts
	places string   // value of /dev/phase-places
	forAll string   // value of /dev/phase
	rest   string   // who gets what no service claims; the monolith if empty
}

const (
	apiRule      = "10000 /api* → api"
	defaultRule  = "default → api 1, drop-traffic 0"
	usersFirst   = "1010 /api/users* → users"
	usersBehind  = "20010 /api/users* → users"
	threadsFirst = "1020 /api/threads* → threads"
	threads      = "20020 /api/threads* → threads"
	postsFirst   = "1030 /api/posts* → posts"
	posts        = "20030 /api/posts* → posts"
	mixed        = "places" // holds the name of one phase for all
)

// The positions of a walk in which users moves alone, threads and posts follow, and all come back. The monolith keeps the rest.
var (
	together      = position{"monolith", []string{apiRule, usersBehind, threads, posts, defaultRule}, [4]int32{1, 0, 0, 0}, "", "monolith", ""}
	passedOver    = position{"users=monolith", together.rules, together.counts, "posts=monolith,threads=monolith,users=monolith", "", ""}
	usersParallel = position{"users=parallel", together.rules, [4]int32{1, 1, 0, 0}, "posts=monolith,threads=monolith,users=parallel", mixed, ""}
	usersShare    = position{"users=10%", []string{"1010 /api/users* → users 10, api 90", apiRule, threads, posts, defaultRule}, [4]int32{1, 1, 0, 0},
		"posts=monolith,threads=monolith,users=shift", mixed, ""}
	usersSwitched = position{"users=switched", []string{usersFirst, apiRule, threads, posts, defaultRule}, [4]int32{1, 1, 0, 0},
		"posts=monolith,threads=monolith,users=switched", mixed, ""}
	othersParallel = position{"users=switched,threads=parallel,posts=parallel", usersSwitched.rules, [4]int32{1, 1, 1, 1},
		"posts=parallel,threads=parallel,users=switched", mixed, ""}
	allSwitched = position{"users=switched,threads=switched,posts=switched", []string{usersFirst, threadsFirst, postsFirst, apiRule, defaultRule}, [4]int32{1, 1, 1, 1},
		"posts=switched,threads=switched,users=switched,api=rest", "", ""}
)

// The monolith gives the rest up, and goes.
var (
	given   = position{allSwitched.phase, []string{usersFirst, threadsFirst, postsFirst, "default → api 0, drop-traffic 1"}, [4]int32{1, 1, 1, 1}, all, "", "drop"}
	retired = position{allSwitched.phase + ",api=retired", given.rules, [4]int32{0, 1, 1, 1}, all + ",api=retired", mixed, "drop"}
	removed = position{allSwitched.phase + ",api=removed", []string{usersFirst, threadsFirst, postsFirst, "default → drop-traffic 1"}, [4]int32{0, 1, 1, 1}, all + ",api=removed", mixed, "drop"}
)

const all = "posts=switched,threads=switched,users=switched"

// walk has the positions in turn, with the resources that come and go on the way there, by type, and the positions that
// CloudFormation refuses next.
var walk = []struct {
	position
	changed map[string]int
	refused []position
	why     string
}{
	{together, nil, []position{usersParallel}, "services pass over to places in one place"},
	{passedOver, nil, []position{usersSwitched}, "a service leaves parallel out"},
	{usersParallel, nil, []position{together}, "one phase for all comes back while services are in several places"},
	{usersShare, exchanged(1), []position{passedOver}, "a service with a share stops"},
	{usersSwitched, nil, []position{passedOver, allSwitched}, "a service leaves parallel out, on its way back or beside others"},
	{othersParallel, nil, []position{retired}, "the monolith retires while a service is not switched"},
	{allSwitched, exchanged(2), []position{retired}, "the monolith retires while it has the rest"},
	{given, map[string]int{"- " + ruleType: 1}, []position{removed}, "the monolith is removed while it runs"},
	{retired, nil, []position{othersParallel}, "traffic goes back to a monolith without tasks"},
	{removed, ofMonolith("-"), []position{given}, "a monolith that is removed runs"},
	{retired, ofMonolith("+"), nil, ""},
	{given, nil, nil, ""},
	{othersParallel, map[string]int{"+ " + ruleType: 3, "- " + ruleType: 2}, nil, ""},
	{usersSwitched, nil, nil, ""},
	{usersParallel, exchanged(1), nil, ""},
	{passedOver, nil, nil, ""},
	{together, nil, nil, ""},
}

// exchanged is a number of rules that come before the monolith's, or go behind it again: the others stay.
func exchanged(rules int) map[string]int {
	return map[string]int{"+ " + ruleType: rules, "- " + ruleType: rules}
}

// ofMonolith is what comes or goes with the monolith. Its log group and its repository stay.
func ofMonolith(change string) map[string]int {
	return map[string]int{change + " " + serviceType: 1, change + " AWS::ECS::TaskDefinition": 1, change + " AWS::IAM::Role": 2,
		change + " AWS::IAM::Policy": 1, change + " AWS::ElasticLoadBalancingV2::TargetGroup": 1}
}

// settings are the position's, as the CLI takes them.
func (p position) settings() map[string]any {
	return map[string]any{"phase": p.phase, "rest": cmp.Or(p.rest, "monolith")}
}

// state is the position as the interlock knows it.
func (p position) state(t *testing.T) migration.State {
	t.Helper()
	d, settings, err := config.Load(deployment.Forum, p.settings(), os.Getenv)
	if err != nil {
		t.Fatal(err)
	}
	return d.Migration().State(settings.Position)
}

// deployed compares what is deployed with the position.
func (p position) deployed(t *testing.T, a *account) {
	t.Helper()
	got := a.state(t)
	if !slices.Equal(got.Rules, p.rules) {
		t.Errorf("rules:\n  %s\nwant\n  %s", strings.Join(got.Rules, "\n  "), strings.Join(p.rules, "\n  "))
	}
	for i, name := range []string{"api", "users", "threads", "posts"} {
		equal(t, "tasks of "+name, got.Counts[name], p.counts[i])
	}
	equal(t, "places", got.Places, p.places)
	equal(t, "phase for all", got.Phase, p.forAll)
	a.told(t, p.state(t), p.state(t))
}

// TestPlaces moves one service alone, then the others, and all back, while the monolith keeps the rest. In between the
// monolith goes. Before and after, one phase is for all.
func TestPlaces(t *testing.T) {
	cli, a := bootstrapped(t)
	out := t.TempDir()
	changedUsers := filepath.Join(out, "changed")
	assembly := func(p position) string { return filepath.Join(out, p.phase+p.rest) }
	t.Run("synthesize", func(t *testing.T) {
		t.Run("changed", func(t *testing.T) {
			t.Parallel()
			app := *cli
			app.env = append(slices.Clone(cli.env), "CUTOVER_E2E_APP=changed")
			app.must(t, "synth", "-q", "--app", forum, "-o", changedUsers, "-c", "phase="+usersParallel.phase, "-c", "rest=monolith")
		})
		for _, p := range []position{together, passedOver, usersParallel, usersShare, usersSwitched, othersParallel, allSwitched, given, retired, removed} {
			t.Run(p.phase+p.rest, func(t *testing.T) {
				t.Parallel()
				args := []string{"synth", "-q", "--app", forum, "-o", assembly(p)}
				for key, value := range p.settings() {
					args = append(args, "-c", fmt.Sprintf("%s=%v", key, value))
				}
				cli.must(t, args...)
			})
		}
	})
	for i, at := range walk {
		began := time.Now()
		if at.phase == usersParallel.phase && walk[i-1].phase == passedOver.phase {
			cutShortPlaces(t, cli, a, assembly)
		}
		before := a.resources(t)
		if out, err := cli.deploy(assembly(at.position)); err != nil {
			t.Fatalf("%v\n%s", err, tail(out, 60))
		}
		at.position.deployed(t, a)
		if i > 0 {
			comeAndGo(t, before, a.resources(t), at.changed)
		}
		for _, to := range at.refused {
			t.Logf("%s to %s is refused: %s", at.phase, to.phase, at.why)
			refuses(t, cli, a, assembly(to), func(t *testing.T) { t.Helper(); at.deployed(t, a) })
		}
		if at.phase == usersParallel.phase && walk[i-1].phase == passedOver.phase {
			usersAlone(t, cli, a, assembly, changedUsers)
			at.position.deployed(t, a)
		}
		t.Logf("%-50s %6.1f s", at.phase, time.Since(began).Seconds())
		if t.Failed() {
			t.FailNow() // the next step builds on this one
		}
	}
}

// bootstrapped starts an emulated AWS with a bootstrapped environment.
func bootstrapped(t *testing.T) (*cdk, *account) {
	t.Helper()
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	required(t, root)
	aws := emulated(t)
	cli := newCDK(interrupted, root, aws.Env())
	elsewhere := *cli
	elsewhere.dir = t.TempDir()
	elsewhere.must(t, "bootstrap", fmt.Sprintf("aws://%s/%s", emulate.Account, emulate.Region))
	return cli, newAccount(interrupted, aws.Endpoint(), emulate.Region)
}

// comeAndGo compares the resources that a step creates, deletes or replaces, apart from those of the interlock.
func comeAndGo(t *testing.T, before, after map[string]string, want map[string]int) {
	t.Helper()
	count := map[string]int{}
	for _, c := range changed(before, after) {
		if f := strings.Fields(c); f[1] != "dev-Gate" && f[1] != "dev-Phase" {
			count[f[0]+" "+f[2]]++
		}
	}
	if !maps.Equal(count, want) {
		t.Errorf("resources that came (+), went (-) or were replaced (!): %v, want %v", count, want)
	}
}

// cutShortPlaces kills the CLI while users is deployed to run beside the monolith. The step has begun and is not reached,
// so a step that follows only what was begun is refused. The same step may be deployed again.
func cutShortPlaces(t *testing.T, cli *cdk, a *account, assembly func(position) string) {
	t.Helper()
	out, err := cli.killed("dev-Users: deploying", slices.Concat([]string{"deploy", "--app", assembly(usersParallel)}, deployOptions)...)
	if err == nil {
		t.Fatalf("cdk deploy was not killed:\n%s", tail(out, 60))
	}
	half := func(t *testing.T) {
		t.Helper()
		equal(t, "places", a.state(t).Places, passedOver.places)
		a.told(t, passedOver.state(t), usersParallel.state(t))
	}
	half(t)
	refuses(t, cli, a, assembly(usersShare), half)
}

// usersAlone deploys users alone, changed and as it was before. Neither another service nor a step of the migration is let
// through then.
func usersAlone(t *testing.T, cli *cdk, a *account, assemblyOf func(position) string, changedUsers string) {
	t.Helper()
	app, err := step.ReadContext(deployment.Forum, usersParallel.settings(), "")
	if err != nil {
		t.Fatal(err)
	}
	getenv := func(name string) string {
		for _, pair := range slices.Backward(cli.env) {
			if value, ok := strings.CutPrefix(pair, name+"="); ok {
				return value
			}
		}
		return ""
	}
	alone := func(dir, service string) (step.Alone, error) {
		read, err := assembly.Read(dir)
		if err != nil {
			t.Fatal(err)
		}
		templates, err := onaws.Templates(cli.ctx, getenv, read.Stacks)
		if err != nil {
			t.Fatal(err)
		}
		return step.NewAlone(app, service, read.Stacks, templates, "dev")
	}
	for dir, service := range map[string]string{changedUsers: "posts", assemblyOf(usersShare): "users"} {
		if _, err := alone(dir, service); err == nil || !strings.Contains(err.Error(), "because other stacks differ") {
			t.Errorf("%s in %s: %v", service, dir, err)
		}
	}
	for _, dir := range []string{changedUsers, assemblyOf(usersParallel)} {
		before := a.resources(t)
		users, err := alone(dir, "users")
		if err != nil || !slices.Equal(users.Differ, []string{"dev-Users"}) || !slices.Equal(users.Stacks, users.Differ) {
			t.Fatalf("users alone: %v, %v", users, err)
		}
		cli.must(t, slices.Concat([]string{"deploy", "--app", dir, "--exclusively", "--yes"}, users.Stacks)...)
		if users, err = alone(dir, "users"); err != nil || len(users.Differ) > 0 {
			t.Errorf("users deployed: %v, %v", users, err)
		}
		for _, c := range changed(before, a.resources(t)) {
			if strings.Fields(c)[1] != "dev-Users" {
				t.Errorf("a deployment of users alone changed %s", c)
			}
		}
	}
}

package stacks_test

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/jsii-runtime-go"

	"cutover/config"
	"cutover/internal/assembly"
	"cutover/internal/canary"
	"cutover/internal/nightly"
	"cutover/internal/step"
	"cutover/migration"
	"cutover/stacks"
)

// move is a position of a service between kinds of compute, with the list of services of it.
type move struct {
	position
	app step.App
}

// moves are all positions of users on its way between all kinds of compute, at both ends, and on EC2 without a name.
// Without slow tests they are those of one way.
func moves(t *testing.T) (all []move) {
	t.Helper()
	app := awscdk.NewApp(&awscdk.AppProps{AnalyticsReporting: jsii.Bool(false), Outdir: jsii.String(t.TempDir()),
		Context: &map[string]any{"aws:cdk:disable-creation-stack-traces": true}})
	add := func(compute, next config.Compute, place string) {
		d := split("")
		d.Services[0].Compute, d.Services[0].Next = compute, next
		context := settings{"phase": "switched"}
		if place != "" {
			context["compute"] = "users=" + place
		}
		d, s, err := config.Load(d, context, os.Getenv)
		if err != nil {
			t.Fatal(err)
		}
		stage := awscdk.NewStage(app, jsii.String(fmt.Sprint("At", len(all))), nil)
		stacks.AddInterlock(stage, d, s)
		a, err := assembly.Read(*stage.Synth(nil).Directory())
		if err != nil {
			t.Fatal(err)
		}
		m := move{app: step.App{Deployment: d, Migration: d.Migration(), Env: s.Env, At: s.Position}}
		state := m.app.Migration.State(s.Position)
		m.position = position{name: config.Kind(compute) + " " + place + " (" + state.ComputePlace("users") + ")", state: state, assembly: a}
		for _, stack := range a.Stacks {
			if strings.HasPrefix(stack.Name, "dev-Gate") {
				m.gates = append(m.gates, stack.Name)
			} else {
				m.phases = append(m.phases, stack.Name)
			}
		}
		all = append(all, m)
	}
	places := []string{"", "parallel", "10%", "switched", "retired"}
	add(nil, nil, "")
	kinds := []config.Compute{config.EC2{}, config.Fargate{}, config.Lambda{}}
	if !nightly.Runs() {
		kinds, places = []config.Compute{config.EC2{}, config.Lambda{}}, places[1:4]
	}
	for _, from := range kinds {
		add(from, nil, "")
		for _, to := range kinds {
			for _, place := range places {
				if from != to && (nightly.Runs() || from == kinds[0]) {
					add(from, to, place)
				}
			}
		}
	}
	return all
}

// TestMovesOnAWS tries every step of a service between kinds of compute on the emulated AWS.
// CloudFormation refuses a step out of turn, unless a side does not name the compute: the tools refuse
// that, too, where it is not what a new service on Fargate does.
func TestMovesOnAWS(t *testing.T) {
	all := moves(t)
	t.Parallel()
	for _, from := range all {
		for _, to := range all {
			a := newAccount(t)
			if refused := a.deploy(from.position, slices.Concat(from.gates, from.phases)); refused != "" {
				t.Fatalf("a new environment cannot begin in %s: %s", from.name, refused)
			}
			known, err := step.Read(to.app.Migration, "dev", step.Here, a.parameters)
			if err != nil || !known.Exact || known.Begun != known.Reached {
				t.Errorf("%s is read as %+v, %v", from.name, known, err)
			}
			was, is := from.state.ComputePlace("users"), to.state.ComputePlace("users")
			near := migration.ComputeFollows(was, is)
			named := from.state.Names("users") && to.state.Names("users")
			refused := a.deploy(to.position, to.gates)
			if (refused != "") != (!near && named) {
				t.Errorf("%s after %s: refused %q", to.name, from.name, refused)
			}
			if refused != "" && !strings.HasPrefix(refused, "dev-GateCompute/") {
				t.Errorf("%s after %s: %s refuses it", to.name, from.name, refused)
			}
			if turn := step.OutOfTurn(to.app.Migration, "dev", to.state, known); (turn != nil) != (refused != "") {
				t.Errorf("%s after %s is out of turn: %v, and AWS refuses %q", to.name, from.name, turn, refused)
			}
			mayBeNew := !from.state.Names("users") && slices.Contains(migration.Computes, is)
			if err := step.Follows(to.app, to.app.At, known); (err == nil) != (near || mayBeNew) {
				t.Errorf("%s after %s: %v", to.name, from.name, err)
			}
			if refused != "" {
				continue
			}
			if refused := a.deploy(to.position, to.phases); refused != "" {
				t.Errorf("%s after %s is not completed: %s", to.name, from.name, refused)
			}
			// What the stacks of an older move left behind does not disturb.
			again, err := step.Read(to.app.Migration, "dev", step.Here, a.parameters)
			if err != nil || near && step.Check(to.app, again) != nil {
				t.Errorf("%s after %s is read as %+v, %v: %v", to.name, from.name, again, err, step.Check(to.app, again))
			}
		}
	}
}

// The alarms of a monolith that moves have a name at each load balancer, and those are the names that
// the command watch asks for.
func TestAlarmsOfAMonolithThatMoves(t *testing.T) {
	nightly.Test(t, "it synthesizes a move at three places")
	d := split("press")
	for _, s := range []*config.Service{&d.Monolith, &d.Services[1]} {
		s.Compute, s.Next = config.EC2{}, config.Fargate{}
	}
	of := func(compute, part string) (names []string) {
		for _, alarm := range synthDeployment(t, d, settings{"phase": "users=10%,posts=10%", "compute": compute, "alarms": "on"}).Resources("AWS::CloudWatch::Alarm") {
			if name := fmt.Sprint(alarm.Properties["AlarmName"]); strings.Contains(name, part) {
				names = append(names, name)
			}
		}
		slices.Sort(names)
		return names
	}
	names := of("api=10%,posts=50%", "-canary-errors")
	// Without an ECS service there is no alarm.
	equal(t, "alarms of pairs that did not begin", []string(nil), of("", "fargate"))
	equal(t, "alarms of a pair that is retired", []string{"dev-no-task-of-posts-fargate"}, of("posts=retired", "no-task-of-posts"))
	d, s, err := config.Load(d, settings{"phase": "users=10%,posts=10%", "compute": "api=10%,posts=50%"}, os.Getenv)
	if err != nil {
		t.Fatal(err)
	}
	canaries, err := step.Canaries(d, s.Position)
	if err != nil {
		t.Fatal(err)
	}
	var asked []string
	for _, c := range canaries {
		asked = append(asked, canary.AlarmName("dev", c.Name(), canary.Errors))
	}
	slices.Sort(asked)
	want := []string{"dev-api-fargate-canary-errors", "dev-api-fargate-press-canary-errors", "dev-posts-canary-errors", "dev-posts-fargate-canary-errors", "dev-users-canary-errors"}
	if !slices.Equal(names, want) || !slices.Equal(asked, want) {
		t.Errorf("the alarms are %q, and watch asks for %q, want %q", names, asked, want)
	}
}

package step_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"cutover/config"
	"cutover/internal/step"
	"cutover/migration"
)

// moving is given, with services on a compute or on the way to another one, as in
// "users:ec2>fargate,api:fargate".
func moving(text string) config.Deployment {
	kinds := map[string]config.Compute{migration.EC2: config.EC2{}, migration.Fargate: config.Fargate{}, migration.Lambda: config.Lambda{}}
	d := given
	d.Services = slices.Clone(given.Services)
	set := func(s *config.Service) {
		for part := range strings.SplitSeq(text, ",") {
			name, way, _ := strings.Cut(part, ":")
			from, to, _ := strings.Cut(way, ">")
			if name == s.Name {
				s.Compute, s.Next = kinds[from], kinds[to]
			}
		}
	}
	set(&d.Monolith)
	for i := range d.Services {
		set(&d.Services[i])
	}
	return d
}

// between returns an app in a phase, or in places, with places between kinds of compute. The text is
// the services, the phase and the setting compute.
func between(t *testing.T, text string) step.App {
	t.Helper()
	parts := strings.Split(text, " | ")
	return in(t, moving(parts[0]), parts[1], "compute="+strings.Join(parts[2:], ""))
}

// Every step of a service to another kind of compute: what changes, or why the step is refused.
func TestStepsOfComputes(t *testing.T) {
	const users, back, api, lambda = "users:ec2>fargate", "users:fargate>ec2", "api:ec2>fargate", "users:ec2>lambda"
	for _, test := range []struct {
		from, step, want string // the step is "next" or "back", and what --compute has
		does             []string
	}{
		{from: users + " | switched", step: "next users", want: "compute users=parallel", does: []string{"users-fargate starts, with 1 task, and gets no requests yet"}},
		{from: users + " | switched | users=parallel", step: "next users=10", want: "compute users=10%", does: []string{"/api/users* goes 90 % to users and 10 % to users-fargate"}},
		{from: users + " | switched | users=10%", step: "next users=33%", want: "compute users=33%", does: []string{"/api/users* goes 67 % to users and 33 % to users-fargate"}},
		{from: users + " | switched | users=10%", step: "next users = 0", want: "compute users=0%", does: []string{
			"/api/users* goes to users", "users-fargate gets nothing any more, and goes on running",
		}},
		{from: users + " | switched | users=10%", step: "next users", want: "compute users=switched", does: []string{
			"/api/users* goes to users-fargate", "users gets nothing any more, and goes on running",
		}},
		{from: users + " | switched | users=parallel", step: "next users", want: "compute users=switched"},
		{from: users + " | switched | users=switched", step: "next users", want: "compute users=retired", does: []string{"users stops; its ECS service is deleted, and its target group stays"}},
		{from: users + " | switched | users=retired", step: "next users", want: `--compute: users has all its tasks on fargate: the move is complete. Write the value of its Next as its Compute in the list of services, remove Next there, and remove users from "compute" in cdk.json`},

		{from: users + " | switched | users=retired", step: "back users", want: "compute users=switched", does: []string{"users starts, with 1 task, and gets no requests yet"}},
		{from: users + " | switched | users=switched", step: "back users", want: "compute users=parallel", does: []string{
			"/api/users* goes to users", "users-fargate gets nothing any more, and goes on running",
		}},
		{from: users + " | switched | users=100%", step: "back users", want: "compute users=parallel"},
		{from: users + " | switched | users=parallel", step: "back users", want: "compute users=stopped", does: []string{"users-fargate stops; its ECS service is deleted, and its target group stays"}},
		{from: users + " | switched", step: "back users", want: "--compute: users has no tasks on fargate, and no step back: to end the move, remove Next of users in the list of services"},

		// The other direction has the same places.
		{from: back + " | switched", step: "next users", want: "compute users=parallel", does: []string{"users starts, with 1 task, and gets no requests yet"}},
		{from: back + " | switched | users=parallel", step: "next users=25", want: "compute users=25%", does: []string{"/api/users* goes 75 % to users-fargate and 25 % to users"}},
		{from: back + " | switched | users=switched", step: "next users", want: "compute users=retired", does: []string{"users-fargate stops; its ECS service is deleted, and its target group stays"}},
		{from: back + " | switched | users=retired", step: "next users", want: "--compute: users has all its tasks on ec2: the move is complete. "},
		{from: back + " | switched", step: "back users", want: "--compute: users has no tasks on ec2, and no step back: "},

		// Nobody counts the tasks of a function. It stands before it is asked, and after.
		{from: lambda + " | switched", step: "next users", want: "compute users=parallel", does: []string{"users-lambda is a function: it stays as it is, and gets no requests"}},
		{from: lambda + " | switched | users=parallel", step: "next users=10", want: "compute users=10%", does: []string{"/api/users* goes 90 % to users and 10 % to users-lambda"}},
		{from: lambda + " | switched | users=10%", step: "next users", want: "compute users=switched", does: []string{
			"/api/users* goes to users-lambda", "users gets nothing any more, and goes on running",
		}},
		{from: lambda + " | switched | users=switched", step: "next users", want: "compute users=retired", does: []string{"users stops; its ECS service is deleted, and its target group stays"}},
		{from: lambda + " | switched | users=switched", step: "back users", want: "compute users=parallel", does: []string{
			"/api/users* goes to users", "users-lambda gets nothing any more, and costs nothing while it waits",
		}},
		{from: lambda + " | switched | users=parallel", step: "back users", want: "compute users=stopped", does: []string{"users-lambda is a function: it stays as it is, and gets no requests"}},
		{from: lambda + " | switched | users=retired", step: "next users", want: "--compute: users has all its requests on lambda: the move is complete. "},
		{from: lambda + " | switched", step: "back users", want: "--compute: users has no requests on lambda, and no step back: "},
		{from: lambda + " | switched", step: "next users=10", want: "--compute: users is stopped on lambda, and gets no share there: go to parallel and deploy that first"},
		{from: "users:lambda>fargate | switched", step: "next users", want: "compute users=parallel", does: []string{"users-fargate starts, with 1 task, and gets no requests yet"}},
		{from: "users:lambda>fargate | switched | users=parallel", step: "next users", want: "compute users=switched", does: []string{
			"/api/users* goes to users-fargate", "users-lambda gets nothing any more, and costs nothing while it waits",
		}},
		{from: "users:lambda>fargate | switched | users=switched", step: "next users", want: "compute users=retired", does: []string{"users-lambda is a function: it stays as it is, and gets no requests"}},
		{from: "users:lambda | switched", step: "next users", want: "--compute: users stays on lambda: to move it, write Compute: config.Lambda{}, Next: config.EC2{} or config.Fargate{} in the list of services, and deploy that first"},

		// The monolith moves as well, with what it keeps.
		{from: api + " | monolith | api=parallel", step: "next api=10", want: "compute api=10%", does: []string{
			"/api/users* goes 90 % to api and 10 % to api-fargate", "/api/threads* goes 90 % to api and 10 % to api-fargate", "everything else goes 90 % to api and 10 % to api-fargate",
		}},
		{from: api + " | users=10% | api=parallel", step: "next api=50", want: "compute api=50%", does: []string{
			"/api/users* goes 10 % to users and 45 % to api and 45 % to api-fargate", "/api/threads* goes 50 % to api and 50 % to api-fargate", "everything else goes 50 % to api and 50 % to api-fargate",
		}},
		{from: api + " | switched | api=parallel", step: "next api", want: "compute api=switched", does: nil},
		{from: api + " | retired", step: "next api", want: "compute api=parallel", does: nil},
		{from: api + " | removed", step: "next api", want: "--compute: api is removed: it has nothing to move"},
		// Several services in one step, and none of the others.
		{from: users + ",threads:ec2>fargate | switched | threads=10%", step: "next users threads", want: "compute users=parallel, compute threads=switched"},
		{from: users + ",threads:ec2>fargate | switched | threads=10%", step: "next users", want: "compute users=parallel"},
		{from: users + ",threads:ec2>fargate | switched | users=parallel,threads=parallel", step: "next users=10 threads=5", want: "compute users=10%, compute threads=5%"},
		// A service that does not run.
		{from: users + " | monolith | users=parallel", step: "next users", want: "compute users=switched"},

		{from: users + " | switched", step: "next users=10", want: "--compute: users is stopped on fargate, and gets no share there: go to parallel and deploy that first"},
		{from: users + " | switched | users=switched", step: "next users=10", want: "--compute: users is in switched and has all of its traffic on fargate: a share is for parallel"},
		{from: users + " | switched | users=retired", step: "next users=10", want: "--compute: users is in retired and has all of its traffic on fargate: a share is for parallel"},
		{from: users + " | switched | users=10%", step: "next users=10", want: "--compute: users=10 is set already"},
		{from: users + " | switched | users=10%", step: "next users=101", want: "--compute: users=101 is not a percentage: use a whole number from 0 to 100"},
		{from: users + " | switched | users=10%", step: "next users=1.5", want: "--compute: users=1.5 is not a percentage: "},
		{from: users + " | switched | users=10%", step: "next users=10%%", want: "--compute: users=10%% is not a percentage: "},
		{from: users + " | switched | users=10%", step: "next users=", want: `--compute: "users=" is not SERVICE=PERCENT, as in users=10`},
		{from: users + " | switched | users=10%", step: "next users=20 users", want: "--compute: users is named twice"},
		{from: users + " | switched | users=10%", step: "back users=5", want: "--compute: users=5: a step back takes no share: leave it out"},
		{from: users + " | switched", step: "next usres", want: `--compute: there is no service "usres": choose from api, users, threads`},
		{from: users + " | switched", step: "next threads", want: "--compute: threads stays on ec2: to move it, write Compute: config.EC2{}, Next: config.Fargate{} or config.Lambda{} in the list of services, and deploy that first"},
		{from: "users:fargate | switched", step: "back users", want: "--compute: users stays on fargate: to move it, write Compute: config.Fargate{}, Next: config.EC2{} or config.Lambda{} in the list of services, and deploy that first"},
	} {
		t.Run(test.from+" "+test.step, func(t *testing.T) {
			app := between(t, test.from)
			kind, rest, _ := strings.Cut(test.step, " ")
			elements := []string{rest}
			if !strings.Contains(rest, " = ") {
				elements = strings.Fields(rest)
			}
			to, err := step.NextCompute(app, elements)
			if kind == "back" {
				to, err = step.BackCompute(app, elements)
			}
			if err != nil {
				if to.String() != app.At.String() {
					t.Errorf("refused, and moves to %v", to)
				}
				if !strings.HasPrefix(err.Error(), test.want) {
					t.Errorf("refused: %v, want %s", err, test.want)
				}
				return
			}
			if got := step.Moved(app, to); got != test.want {
				t.Errorf("moves %s, want %s", got, test.want)
			}
			if !app.Migration.Follows(app.Migration.State(app.At), app.Migration.State(to)) {
				t.Errorf("the interlock refuses %v after %v", to, app.At)
			}
			if diff := gocmp.Diff(test.does, step.Changes(app.Migration, app.At, to)); diff != "" && (test.does != nil || kind == "next" && strings.Contains(test.from, "api:")) {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// A step of a phase or a place moves no service to another kind of compute, and a share of one beside a
// share of the other multiply.
func TestComputeStays(t *testing.T) {
	app := between(t, "users:ec2>fargate | users=parallel | users=50%")
	next, err := step.Next(app, []string{"users"})
	if err != nil || next.String() != "threads=monolith, users=switched, compute users=50%" || step.Moved(app, next) != "users=switched" {
		t.Errorf("next is %v, %v: %s", next, err, step.Moved(app, next))
	}
	back, err := step.Back(app, nil)
	if err != nil || back.String() != "threads=monolith, users=monolith, compute users=50%" {
		t.Errorf("back is %v, %v", back, err)
	}
	shared, err := step.Canary(app, "users=10")
	want := []string{"/api/users* goes 5 % to users and 5 % to users-fargate and 90 % to api"}
	if diff := gocmp.Diff(want, step.Changes(app.Migration, app.At, shared)); err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	all := between(t, "users:ec2>fargate | parallel | users=50%")
	if next, err := step.Next(all, nil); err != nil || next.String() != "switched, compute users=50%" || step.Moved(all, next) != "switched" {
		t.Errorf("next of all is %v, %v: %s", next, err, step.Moved(all, next))
	}
	if each, err := step.Next(all, []string{"users"}); err != nil || !step.Passes(all.At, each) || step.Changes(all.Migration, all.At, each) != nil {
		t.Errorf("passing over is %v, %v: %q", each, err, step.Changes(all.Migration, all.At, each))
	}
}

func TestComputeRows(t *testing.T) {
	for _, test := range []struct {
		app  string
		want []string // name, from, to, place, tasks, next, back
	}{
		{"users:ec2 | switched", nil},
		{"users:ec2>fargate | switched", []string{"users|ec2|fargate|stopped|1 users, 0 users-fargate|parallel|"}},
		{"users:ec2>fargate | switched | users=10%", []string{"users|ec2|fargate|10%|1 users, 1 users-fargate|switched|parallel"}},
		{"users:fargate>ec2 | switched | users=retired", []string{"users|fargate|ec2|retired|0 users-fargate, 1 users||switched"}},
		{"api:ec2>fargate,threads:fargate | users=monolith | api=switched", []string{"api|ec2|fargate|switched|1 api, 1 api-fargate|retired|parallel", "threads|fargate|||0 threads-fargate||"}},
		{"api:ec2>fargate,threads:fargate | removed", []string{"threads|fargate|||3 threads-fargate||"}},
		{"users:ec2>lambda,threads:lambda | switched | users=10%", []string{"users|ec2|lambda|10%|1 users, function users-lambda|switched|parallel", "threads|lambda|||function threads-lambda||"}},
	} {
		var got []string
		for _, row := range step.ComputeRows(between(t, test.app)) {
			got = append(got, strings.Join([]string{row.Name, row.From, row.To, row.Place, row.Tasks, row.Next, row.Back}, "|"))
		}
		if diff := gocmp.Diff(test.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.app, diff)
		}
	}
	// Who answers names the pairs, as the tables of tasks and targets do.
	for app, want := range map[string]string{
		"users:ec2>fargate | switched | users=10%":                   "users: 90 % users, 10 % users-fargate",
		"users:ec2>fargate | users=10% | users=parallel":             "users: 10 % users, 90 % api",
		"users:ec2>fargate | users=10% | users=33%":                  "users: 6.7 % users, 3.3 % users-fargate, 90 % api",
		"users:fargate | switched":                                   "users: users-fargate",
		"api:ec2>fargate | monolith | api=25%":                       "users: 75 % api, 25 % api-fargate",
		"api:fargate,users:ec2>fargate | switched | users=switched":  "users: users-fargate",
		"api:fargate>ec2,users:ec2>fargate | parallel | api=retired": "users: api",
	} {
		if row := step.Rows(between(t, app))[0]; row.Name+": "+row.Answers != want {
			t.Errorf("%s: %s: %s, want %s", app, row.Name, row.Answers, want)
		}
	}
	// A function answers whatever the phase, as no tasks have to start.
	if row := step.Rows(between(t, "threads:lambda | monolith"))[1]; row.Answers != "api; threads-lambda" {
		t.Errorf("threads: %s", row.Answers)
	}
	// The second path of threads is none of the monolith's: nobody answers it before threads runs.
	if row := step.Rows(between(t, "threads:fargate | monolith"))[1]; row.Answers != "api; 503" {
		t.Errorf("threads: %s", row.Answers)
	}
}

// What is refused says which service is where between kinds of compute, and what comes next. What AWS
// does not refuse is refused here all the same, where requests would be lost.
func TestTurnsOfComputes(t *testing.T) {
	const on, back = "users:ec2>fargate | switched", "users:fargate>ec2 | switched"
	const lost = ". AWS does not refuse that, and requests would be lost"
	for _, test := range []struct{ deployed, to, want string }{
		{on, on + " | users=parallel", ""},
		{on, on, ""},
		{on, on + " | users=10%", "has users in stopped on its way to fargate: parallel comes next"},
		{on, on + " | users=switched", "has users in stopped on its way to fargate: parallel comes next"},
		{on + " | users=parallel", on + " | users=10%", ""},
		{on + " | users=parallel", on + " | users=switched", ""},
		{on + " | users=parallel", on + " | users=retired", "has users in parallel on its way to fargate: a share or switched comes next, or stopped to go back"},
		{on + " | users=10%", on + " | users=50%", ""},
		{on + " | users=10%", on, "has users in shift on its way to fargate: switched comes next, or parallel to go back"},
		{on + " | users=switched", on, "has users in switched on its way to fargate: retired comes next, or parallel to go back"},
		{on + " | users=switched", "users:fargate | switched", "has users in fargate-first: it is on fargate alone only after the other pair is stopped: keep Next until then"},
		{on + " | users=retired", on + " | users=parallel", "has users in retired on its way to fargate: fargate alone comes next, or switched to go back"},
		{on + " | users=retired", "users:fargate | switched", ""},
		{"users:fargate | switched", back, ""},
		{"users:fargate | switched", back + " | users=parallel", "has users on fargate alone: stopped comes next: deploy Next without a place"},
		{"users:fargate | switched", on + " | users=switched", "has users on fargate alone: retired is the way back"},
		{back + " | users=retired", "users:ec2 | switched", ""},
		{back + " | users=retired", on, ""},
		{"users:ec2 | switched", on, ""},
		{"users:ec2 | switched", on + " | users=parallel", "has users on ec2 alone: stopped comes next: deploy Next without a place"},
		{"users:ec2 | switched", on + " | users=10%", "has users on ec2 alone: stopped comes next: deploy Next without a place"},
		{"users:ec2 | switched", "users:fargate | switched", "has users on ec2 alone: move it to fargate by Next, step by step"},
		{on, "users:ec2 | switched", ""},
		{on + " | users=10%", "users:ec2 | switched", "has users in shift: it is on ec2 alone only after the other pair is stopped: keep Next until then"},
		{back + " | users=switched", "users:ec2 | switched", "has users in ec2-first: it is on ec2 alone only after the other pair is stopped: keep Next until then"},
		{"users:fargate | switched", "users:ec2 | switched", "has users on fargate alone: move it to ec2 by Next, step by step"},
		// A compute without a name is EC2. Names that were never there refuse nothing.
		{"users | switched", "users:ec2 | switched", ""},
		{"users:ec2 | switched", "users | switched", ""},
		{"users | switched", on, ""},
		{on, "users | switched", ""},
		{"users | switched", on + " | users=parallel", "has users on ec2 alone: stopped comes next: deploy Next without a place" + lost},
		{"users | switched", on + " | users=10%", "has users on ec2 alone: stopped comes next: deploy Next without a place" + lost},
		{on + " | users=10%", "users | switched", "has users in shift: it is on ec2 alone only after the other pair is stopped: keep Next until then" + lost},
		{back + " | users=switched", "users | switched", "has users in ec2-first: it is on ec2 alone only after the other pair is stopped: keep Next until then" + lost},
		{"users:fargate | switched", "users | switched", "has users on fargate alone: move it to ec2 by Next, step by step" + lost},
		// One phase for all does not say what is new: users may begin on Fargate. Places say it.
		{"users | switched", "users:fargate | switched", ""},
		{"users | users=switched", "users:fargate | users=switched", "has users on ec2 alone: move it to fargate by Next, step by step" + lost},
		{"users | users=switched", "users:ec2>fargate | users=switched | users=10%", "has users on ec2 alone: stopped comes next: deploy Next without a place" + lost},
		// Several services, and the monolith.
		{"users:ec2>fargate,api:ec2>fargate | parallel", "users:ec2>fargate,api:ec2>fargate | parallel | users=switched,api=10%", "has api in stopped on its way to fargate: parallel comes next; users in stopped on its way to fargate: parallel comes next"},
		// A phase out of turn goes first, whatever the compute does.
		{"users:ec2>fargate | monolith", "users:ec2>fargate | switched | users=10%", "is in monolith: parallel comes next"},
		{"users:ec2>fargate | users=monolith", "users:ec2>fargate | users=switched", "has users in monolith: parallel comes next"},
	} {
		from, to := between(t, test.deployed), between(t, test.to)
		got := ""
		if err := step.Follows(to, to.At, deployedFrom(t, from, from, to)); err != nil {
			got = err.Error()
		}
		want := test.want
		if want != "" {
			want = "cdk.json says " + to.At.String() + ", and dev in us-east-1 " + want
		}
		if got != want {
			t.Errorf("%s to %s:\n%s, want\n%s", test.deployed, test.to, got, want)
		}
		if refuses := !migration.Follow(from.Migration.Locks(from.Migration.State(from.At)), to.Migration.Locks(to.Migration.State(to.At))); refuses == (got == "" || strings.HasSuffix(got, lost)) {
			t.Errorf("%s to %s: AWS refuses: %t, and here: %s", test.deployed, test.to, refuses, got)
		}
	}
}

// deployedFrom is what AWS tells a new list of services after a deployment of another list was complete,
// and one was begun.
func deployedFrom(t *testing.T, reached, begun, list step.App) step.Deployed {
	t.Helper()
	values := map[string]string{}
	for _, lock := range begun.Migration.Locks(begun.Migration.State(begun.At)) {
		for _, p := range lock.Gate {
			values["/dev/"+p.Name] = p.Value
		}
	}
	for _, lock := range reached.Migration.Locks(reached.Migration.State(reached.At)) {
		for _, p := range lock.Last {
			values["/dev/"+p.Name] = p.Value
		}
	}
	d, err := step.Read(list.Migration, "dev", "us-east-1", values)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// cdk.json and AWS have to be in the same place between kinds of compute before a step.
func TestCheckOfComputes(t *testing.T) {
	const users = "users:ec2>fargate"
	for _, test := range []struct{ from, reached, begun, want string }{
		{users + " | switched | users=10%", users + " | switched | users=20%", "", ""},
		{users + " | switched", users + " | switched", "", ""},
		{users + " | switched | users=10%", users + " | switched | users=parallel", "", "cdk.json says compute users=10% and dev in us-east-1 is in compute users=parallel: deploy what cdk.json says first, or make it say what is deployed"},
		{users + " | switched", "users:ec2 | switched", "", "cdk.json says compute users=stopped and dev in us-east-1 is in compute users=ec2: deploy"},
		{"users:fargate | switched", users + " | switched | users=retired", "", "cdk.json says compute users=fargate and dev in us-east-1 is in compute users=ec2-stopped: deploy"},
		{users + " | users=switched | users=parallel", users + " | users=switched | users=switched", "", "cdk.json says compute users=parallel and dev in us-east-1 is in compute users=switched: deploy"},
		{users + " | parallel | users=parallel", users + " | switched | users=switched", "", "cdk.json says parallel and dev in us-east-1 is in switched: deploy"},
		{users + " | switched | users=parallel", users + " | switched | users=parallel", users + " | switched | users=10%", "dev in us-east-1 is in compute users=parallel, and a deployment of compute users=shift was begun and is not complete: wait for it, or deploy again"},
		{users + " | parallel", users + " | parallel", users + " | switched", "dev in us-east-1 is in parallel, and a deployment of switched was begun and is not complete: wait for it, or deploy again"},
		{"users:ec2 | switched", "users:fargate>ec2 | switched | users=retired", "", "cdk.json says compute users=ec2 and dev in us-east-1 is in compute users=fargate-stopped: deploy"},
		{"users:ec2 | switched", "users:fargate>ec2 | switched | users=switched", "", "cdk.json says compute users=ec2 and dev in us-east-1 is in compute users=ec2-first: deploy"},
		// A name moves nothing.
		{"users:ec2 | switched", "users | switched", "", ""},
		{"users | switched", "users:ec2 | switched", "", ""},
		{"users:ec2 | switched", "users | switched", "users:ec2 | switched", "dev in us-east-1 is in switched, and a deployment of switched was begun and is not complete: wait for it, or deploy again"},
		// The stacks of the last name stay, and say where the service was before.
		{"users | switched", "users:fargate>ec2 | switched | users=retired", "", ""},
		{"users | switched", "users:fargate>ec2 | switched | users=switched", "", "cdk.json says compute users=ec2 and dev in us-east-1 is in compute users=ec2-first: deploy"},
	} {
		app, reached := between(t, test.from), between(t, test.reached)
		begun := reached
		if test.begun != "" {
			begun = between(t, test.begun)
		}
		got := ""
		if err := step.Check(app, deployedFrom(t, reached, begun, app)); err != nil {
			got = err.Error()
		}
		if !strings.HasPrefix(got, test.want) || test.want == "" && got != "" {
			t.Errorf("%s on %s:\n%s, want\n%s", test.from, test.reached, got, test.want)
		}
	}
	// A service that is not in the list any more does not matter.
	app := between(t, "threads:ec2 | switched")
	gone := app
	gone.Deployment.Services, gone.Migration.Services = app.Deployment.Services[1:], app.Migration.Services[1:]
	if d := deployedFrom(t, between(t, "users:fargate | switched"), between(t, "users:fargate | switched"), gone); d.Reached.Compute != "" {
		t.Errorf("%+v", d)
	}
}

// What is compared in a position, with the part of the traffic that it has.
func TestCanariesOfComputes(t *testing.T) {
	const users, back, api, lambda = "users:ec2>fargate", "users:fargate>ec2", "api:ec2>fargate", "users:ec2>lambda"
	for _, test := range []struct{ app, want string }{
		{users + " | monolith | users=10%", "in monolith, compute users=10% api has all of the traffic: go to parallel with `cutover phase next`"},
		{users + " | parallel | users=10%", "there is no canary in parallel, compute users=10%, api has all of the traffic: begin one with `cutover phase next --canary users=10`"},
		{users + " | switched", "users with api 100, threads with api 100"},
		{users + " | switched | users=parallel", "users with api 100, threads with api 100"},
		{users + " | switched | users=10%", "users with api 100, threads with api 100, users-fargate with users 10 compute"},
		{users + " | switched | users=0%", "users with api 100, threads with api 100"},
		{users + " | switched | users=switched", "threads with api 100, users-fargate with users 100 compute"},
		{users + " | switched | users=retired", "threads with api 100"},
		{back + " | users=10% | users=25%", "users-fargate with api 10, users with users-fargate 25 compute"},
		{back + " | users=10% | users=switched", "users with users-fargate 100 compute"},
		{users + " | retired", "there is no canary in retired, users has all of the traffic of users: go to parallel with `cutover phase next --compute users`, deploy that, and begin a canary"},
		{users + " | retired | users=0%", "there is no canary in retired, compute users=0%, users has all of the traffic of users: begin one with `cutover phase next --compute users=10` and deploy it"},
		{back + " | retired | users=10%", "users with users-fargate 10 compute"},
		{users + " | retired | users=retired", "in retired api answers nothing any more that others could be compared with: the migration is complete"},
		{users + " | users=parallel | users=parallel", "there is no canary in threads=monolith, users=parallel, compute users=parallel, api has all"},
		{api + " | monolith | api=10%", "api-fargate with api 10 compute"},
		{api + " | monolith", "there is no canary in monolith, api has all of the traffic of api: begin one with `cutover phase next --compute api=10`"},
		{api + " | users=10% | api=switched", "users with api-fargate 10, api-fargate with api 100 compute"},
		{api + " | switched | api=10%", "users with api 100, threads with api 100"},
		{"api:fargate | users=10%", "users with api-fargate 10"},
	} {
		app := between(t, test.app)
		canaries, err := step.Canaries(app.Deployment, app.At)
		var got []string
		for _, c := range canaries {
			text := fmt.Sprintf("%s with %s %g", c.Name(), c.With, c.Percent)
			if c.Compute {
				text += " compute"
			}
			got = append(got, text)
		}
		if err != nil {
			got = []string{err.Error()}
		}
		if text := strings.Join(got, ", "); !strings.HasPrefix(text, test.want) || err == nil && text != test.want {
			t.Errorf("%s: %q, want %q", test.app, text, test.want)
		}
	}
	// The monolith is compared at each load balancer.
	d := moving(api)
	d.Services = append(d.Services, config.Service{Name: "press", LoadBalancer: "press", Paths: []string{"/press*"}, Order: 10, Compute: config.EC2{}, Next: config.Fargate{}})
	app := in(t, d, "press=switched", "compute=api=10%,press=20%")
	canaries, err := step.Canaries(app.Deployment, app.At)
	var got []string
	for _, c := range canaries {
		got = append(got, c.Name()+" at "+c.Balancer)
	}
	if want := "press at ; api-fargate at ; api-fargate-press at press; press-fargate at "; err != nil || strings.Join(got, "; ") != want {
		t.Errorf("%q, %v, want %s", got, err, want)
	}
}

func TestEditOfComputes(t *testing.T) {
	const services = "users:ec2>fargate,threads:fargate>ec2,api:ec2>fargate"
	for _, test := range []struct{ name, text, step, want string }{
		{"a new line", "{\"context\": {\n  \"phase\" : \"mono\\u006cith\" ,\n  \"zones\": 2}}", "next users", "{\"context\": {\n  \"phase\" : \"mono\\u006cith\", \"compute\": \"users=parallel\" ,\n  \"zones\": 2}}"},
		{"places stay", `{"context": {"phase": " users = parallel", "compute": "users=parallel"}}`, "next users=10", `{"context": {"phase": " users = parallel", "compute": "users=10%"}}`},
		{"a shift stays", `{"context": {"phase": "parallel", "shift": {"users":10}, "compute": "users=parallel"}}`, "next users", `{"context": {"phase": "parallel", "shift": {"users":10}, "compute": "users=switched"}}`},
		{"a text that grows", `{"context": {"compute": "users=10%", "phase": "switched"}}`, "next threads", `{"context": {"compute": "users=10%,threads=parallel", "phase": "switched"}}`},
		{"a text with spaces", `{"context": {"compute": "users=10%, threads = switched", "phase": "switched"}}`, "next threads api", `{"context": {"compute": "users=10%, threads=retired, api=parallel", "phase": "switched"}}`},
		{"a text that shrinks", `{"context": {"phase": "switched", "compute": "users=parallel,threads=10%"}}`, "back users", `{"context": {"phase": "switched", "compute": "threads=10%"}}`},
		{"the last service goes", `{"context": {"phase": "switched", "compute": "users=parallel"}}`, "back users", `{"context": {"phase": "switched"}}`},
		{"the last service goes, before the phase", "{\"context\": {\n  \"compute\": \"users=parallel\",\n  \"phase\": \"switched\"\n}}", "back users", "{\"context\": {\n  \"phase\": \"switched\"\n}}"},
		{"all go", `{"context": {"phase": "switched", "compute": "users=parallel,threads=parallel,api=parallel"}}`, "back users threads api", `{"context": {"phase": "switched"}}`},
		{"an empty text", `{"context": {"phase": "switched", "compute": ""}}`, "next users", `{"context": {"phase": "switched", "compute": "users=parallel"}}`},
		{"an empty object", `{"context": {"phase": "switched", "compute": {}}}`, "next users", `{"context": {"phase": "switched", "compute": "users=parallel"}}`},
		{"an object", "{\"context\": {\"phase\": \"switched\", \"compute\": {\n    \"users\" :\t\"10%\"\n  }}}", "next users threads", "{\"context\": {\"phase\": \"switched\", \"compute\": {\n    \"users\" :\t\"switched\",\n    \"threads\" :\t\"parallel\"\n  }}}"},
		{"an object that shrinks", "{\"context\": {\"phase\": \"switched\", \"compute\": {\n    \"users\": \"parallel\",\n    \"threads\": \"parallel\",\n    \"api\": \"10%\"\n  }}}", "back users threads", "{\"context\": {\"phase\": \"switched\", \"compute\": {\n    \"api\": \"10%\"\n  }}}"},
		{"an object of which nothing stays", `{"context": {"phase": "switched", "compute": {"users": "parallel", "threads": "parallel"}, "zones": 2}}`, "back users threads", `{"context": {"phase": "switched", "zones": 2}}`},
		{"there twice", `{"context": {"phase": "switched", "compute": "", "compute": "users=parallel"}}`, "next users", `"compute" is there twice: remove one`},
		{"named twice", `{"context": {"phase": "switched", "compute": {"users": "parallel", "users": "10%"}}}`, "next users", `compute: "users" is there twice: remove one`},
	} {
		t.Run(test.name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "cdk.json")
			if err := os.WriteFile(file, []byte(test.text), 0o600); err != nil {
				t.Fatal(err)
			}
			f, err := step.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			app, err := step.ReadContext(moving(services), f.Context, "")
			if err != nil {
				t.Fatal(err)
			}
			names := strings.Fields(test.step)
			to, err := step.NextCompute(app, names[1:])
			if names[0] == "back" {
				to, err = step.BackCompute(app, names[1:])
			}
			if err != nil {
				t.Fatal(err)
			}
			got := ""
			if edited, err := f.Edit(app, to); err != nil {
				got = err.Error()
			} else if got = string(edited.Text); test.name != "named twice" {
				again, err := step.ReadContext(moving(services), edited.Context, "")
				if err != nil || again.At.String() != to.String() {
					t.Errorf("it reads as %v (%v), want %v", again.At, err, to)
				}
			}
			if diff := gocmp.Diff(test.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

package review_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"cutover/config"
	"cutover/internal/analysis/review"
	"cutover/internal/assembly"
	"cutover/migration"
)

// computed is the shop with services on a compute or on the way to another one, as in
// "users:ec2>fargate,api:fargate".
func computed(text string) config.Deployment {
	kinds := map[string]config.Compute{migration.EC2: config.EC2{}, migration.Fargate: config.Fargate{}, migration.Lambda: config.Lambda{}}
	d := shop()
	for part := range strings.SplitSeq(text, ",") {
		name, way, _ := strings.Cut(part, ":")
		from, to, _ := strings.Cut(way, ">")
		if name == d.Monolith.Name {
			d.Monolith.Compute, d.Monolith.Next = kinds[from], kinds[to]
		}
		for i := range d.Services {
			if d.Services[i].Name == name {
				d.Services[i].Compute, d.Services[i].Next = kinds[from], kinds[to]
			}
		}
	}
	return d
}

// between is a deployment as "SERVICES | PHASE | COMPUTE".
func between(t *testing.T, text string) review.Side {
	t.Helper()
	parts := strings.Split(text, " | ")
	d := computed(parts[0])
	at, err := d.Position(map[string]any{"phase": parts[1], "compute": strings.Join(parts[2:], "")})
	if err != nil {
		t.Fatal(err)
	}
	return review.Side{Migration: d.Migration(), At: at}
}

// A step to another compute says what happens to pairs, traffic, tasks and addresses.
func TestComputeMoves(t *testing.T) {
	const users, all = "users:ec2>fargate", "users=switched,posts=switched,news=switched"
	tests := []struct{ name, from, to, want string }{
		{"stays", users + " | switched | users=10%", users + " | switched | users=10%", "The phase stays switched, compute users=10%."},
		{"is on Fargate", "users:fargate | switched", "users:fargate | switched", "The phase stays switched, compute users=fargate."},
		{"is on Fargate with places", "users:fargate | users=switched", "users:fargate | users=switched", "Each service stays in its place: news=monolith, posts/reads=monolith, posts/writes=monolith, users=switched, compute users=fargate."},
		{"is declared", "users:ec2 | switched", users + " | switched", `
After this, in switched, compute users=stopped instead of switched, compute users=ec2:

- users, from ec2 to stopped: users-fargate is created: a target group and what only the pair needs; clients keep the address of the load balancer
- a change`},
		{"starts", users + " | switched", users + " | switched | users=parallel", `
After this, in switched, compute users=parallel instead of switched, compute users=stopped:

- users, from stopped to parallel: each task on fargate has an address of its own in the private subnets; clients keep the address of the load balancer; the way back is one step
- a change`},
		{"shares", users + " | switched | users=parallel", users + " | switched | users=10%", `
After this, in switched, compute users=10% instead of switched, compute users=parallel:

- users, from parallel to 10%: from none to 10 % of its traffic to users-fargate; clients keep the address of the load balancer; the way back is one step
- a change`},
		{"less", users + " | switched | users=10%", users + " | switched | users=5%", `
After this, in switched, compute users=5% instead of switched, compute users=10%:

- users, from 10% to 5%: from 10 % to 5 % of its traffic to users-fargate; clients keep the address of the load balancer
- a change`},
		{"switches, with places", users + " | users=switched | users=100%", users + " | users=switched | users=switched", `
After this, in compute users=switched instead of compute users=100%:

- users, from 100% to switched: from 100 % to all of its traffic to users-fargate; clients keep the address of the load balancer; the way back is one step
- stays in monolith: posts/reads, posts/writes, news
- stays in switched: users
- everything else goes to api, as before`},
		{"retires, with places", users + " | users=switched | users=switched", users + " | users=switched | users=retired", `
After this, in compute users=retired instead of compute users=switched:

- users, from switched to retired: clients keep the address of the load balancer; users stops; its ECS service is deleted, and its target group stays; the way back is one step
- stays in monolith: posts/reads, posts/writes, news
- stays in switched: users
- everything else goes to api, as before`},
		{"ends", users + " | switched | users=retired", "users:fargate | switched", `
After this, in switched, compute users=fargate instead of switched, compute users=retired:

- users, from retired to fargate: users is deleted: a target group and what only the pair needs; clients keep the address of the load balancer
- a change`},
		{"is taken back", users + " | switched", "users:ec2 | switched", `
After this, in switched, compute users=ec2 instead of switched, compute users=stopped:

- users, from stopped to ec2: users-fargate is deleted: a target group and what only the pair needs; clients keep the address of the load balancer
- a change`},
		{"the other way", "users:fargate>ec2 | users=switched", "users:fargate>ec2 | users=switched | users=parallel", `
After this, in compute users=parallel instead of compute users=stopped:

- users, from stopped to parallel: clients keep the address of the load balancer; users starts with 1 task; the way back is one step
- stays in monolith: posts/reads, posts/writes, news
- stays in switched: users
- everything else goes to api, as before`},
		{"a place and the compute", users + " | users=parallel | users=parallel", users + " | users=switched | users=10%", `
After this, in users=switched, compute users=10% instead of users=parallel, compute users=parallel:

- users: from none to all of its traffic; the way back is one step
- users, from parallel to 10%: from none to 10 % of its traffic to users-fargate; clients keep the address of the load balancer; the way back is one step
- stays in monolith: posts/reads, posts/writes, news
- everything else goes to api, as before`},
		{"a place on Fargate", "users:fargate | users=monolith", "users:fargate | users=parallel", `
After this, in users=parallel instead of users=monolith:

- users: users-fargate starts with 1 task, gets no requests yet; the way back is one step
- stays in monolith: posts/reads, posts/writes, news
- everything else goes to api, as before`},
		{"the monolith", "api:ec2>fargate | users=monolith | api=parallel", "api:ec2>fargate | users=monolith | api=10%", `
After this, in compute api=10% instead of compute api=parallel:

- api, from parallel to 10%: from none to 10 % of its traffic to api-fargate; clients keep the address of the load balancer; the way back is one step
- stays in monolith: users, posts/reads, posts/writes, news
- everything else goes to 90 % api, 10 % api-fargate`},
		{"to Lambda is declared", "users:ec2 | switched", "users:ec2>lambda | switched", `
After this, in switched, compute users=stopped instead of switched, compute users=ec2:

- users, from ec2 to stopped: users-lambda is created: a target group, with the function in a stack of its own before the load balancers; clients keep the address of the load balancer
- a change`},
		{"to Lambda shares", "users:ec2>lambda | switched | users=parallel", "users:ec2>lambda | switched | users=10%", `
After this, in switched, compute users=10% instead of switched, compute users=parallel:

- users, from parallel to 10%: from none to 10 % of its traffic to users-lambda; a request that finds no free execution environment waits for the start of one; clients keep the address of the load balancer; the way back is one step
- a change`},
		{"to Lambda ends", "users:ec2>lambda | switched | users=retired", "users:lambda | switched", `
After this, in switched, compute users=lambda instead of switched, compute users=retired:

- users, from retired to lambda: users is deleted: a target group and what only the pair needs; clients keep the address of the load balancer
- a change`},
		{"from Lambda ends", "users:lambda>fargate | switched | users=retired", "users:fargate | switched", `
After this, in switched, compute users=fargate instead of switched, compute users=retired:

- users, from retired to fargate: users-lambda is deleted: its target group. The stack of the function stays; clients keep the address of the load balancer
- a change`},
		{"a place on Lambda", "users:lambda | users=monolith", "users:lambda | users=parallel", `
After this, in users=parallel instead of users=monolith:

- users: gets no requests yet; the way back is one step
- stays in monolith: posts/reads, posts/writes, news
- everything else goes to api, as before`},
		{"a monolith on Fargate retires", "api:fargate | " + all, "api:fargate | " + all + ",api=retired", `
After this, in api=retired instead of api=running:

- stays in switched: users, posts/reads, posts/writes, news
- api-fargate stops; its service stays, without tasks
- everything else is answered with 503, as before`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			m := moveOf(between(t, test.from), between(t, test.to))
			if diff := cmp.Diff(strings.Split(strings.TrimPrefix(test.want, "\n"), "\n"), strings.Split(told(m), "\n")); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if m.OutOfTurn || len(m.Turns)+len(m.Jumps)+len(m.Early) > 0 {
				t.Errorf("%+v", m)
			}
		})
	}
}

// A place that is left out is refused, or nothing refuses it: the review says both.
func TestComputeTurns(t *testing.T) {
	const users, lost = "users:ec2>fargate", ". Nothing refuses the deployment, and requests may be lost"
	for _, test := range []struct {
		name, from, to string
		refused, jumps []string
	}{
		{"too far", users + " | switched", users + " | switched | users=10%", []string{"users is in stopped on its way to fargate: parallel comes next"}, nil},
		{"two", users + ",api:ec2>fargate | users=parallel", users + ",api:ec2>fargate | users=parallel | users=10%,api=10%", []string{
			"api is in stopped on its way to fargate: parallel comes next", "users is in stopped on its way to fargate: parallel comes next"}, nil},
		{"back too far", users + " | switched | users=retired", users + " | switched | users=10%", []string{"users is in retired on its way to fargate: fargate alone comes next, or switched to go back"}, nil},
		{"at once", "users:ec2 | switched", "users:fargate | switched", []string{"users is on ec2 alone: move it to fargate by Next, step by step"}, nil},
		{"at once, without a name", "users | switched", "users:fargate | switched", nil, []string{"users is on ec2 alone: move it to fargate by Next, step by step" + lost}},
		{"back at once", "users:fargate | users=switched", "users:ec2 | users=switched", []string{"users is on fargate alone: move it to ec2 by Next, step by step"}, nil},
		{"back at once, without a name", "users:fargate | users=switched", "users | users=switched", nil, []string{"users is on fargate alone: move it to ec2 by Next, step by step" + lost}},
		{"ends too early", users + " | switched | users=10%", "users:fargate | switched", []string{"users is in shift: it is on fargate alone only after the other pair is stopped: keep Next until then"}, nil},
		{"is taken back too early", users + " | switched | users=10%", "users:ec2 | switched", []string{"users is in shift: it is on ec2 alone only after the other pair is stopped: keep Next until then"}, nil},
		{"is taken back too early, without a name", users + " | switched | users=10%", "users | switched", nil, []string{"users is in shift: it is on ec2 alone only after the other pair is stopped: keep Next until then" + lost}},
		{"begins too late", "users:ec2 | switched", users + " | switched | users=10%", []string{"users is on ec2 alone: stopped comes next: deploy Next without a place"}, nil},
		{"begins too late, without a name", "users | switched", users + " | switched | users=10%", nil, []string{"users is on ec2 alone: stopped comes next: deploy Next without a place" + lost}},
		{"a phase, too", users + " | users=monolith", users + " | users=switched | users=10%", []string{
			"users is in stopped on its way to fargate: parallel comes next", "users is in monolith, and switched does not follow: parallel comes next"}, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			m := moveOf(between(t, test.from), between(t, test.to))
			if diff := cmp.Diff(test.refused, append([]string(nil), m.Turns...)); diff != "" || m.OutOfTurn != (test.refused != nil) {
				t.Errorf("refused %t (-want +got):\n%s", m.OutOfTurn, diff)
			}
			if diff := cmp.Diff(test.jumps, append([]string(nil), m.Jumps...)); diff != "" {
				t.Errorf("not refused (-want +got):\n%s", diff)
			}
			text := told(m)
			if strings.Contains(text, "the way back is one step") {
				t.Errorf("it promises a way back:\n%s", text)
			}
			for _, line := range append(m.Turns, m.Jumps...) {
				if !strings.Contains(text, "- "+line+"\n") {
					t.Errorf("it lacks %q:\n%s", line, text)
				}
			}
			r := review.Report{Move: m}
			if n := r.Found("turn"); n != len(test.jumps)+min(1, len(test.refused)) {
				t.Errorf("%d findings", n)
			}
			if lost := strings.Contains(r.Markdown(), "- **Requests may be lost: a service leaves a place out on its way to another compute.**"); lost != (test.jumps != nil) {
				t.Errorf("says that requests may be lost: %t", lost)
			}
		})
	}
	// A service that is new may be on Fargate at once.
	before := between(t, "users | users=switched")
	before.Migration.Services = before.Migration.Services[1:]
	delete(before.At.Places, "users")
	if m := moveOf(before, between(t, "users:fargate | users=parallel")); len(m.Jumps)+len(m.Turns)+len(m.Early) > 0 || m.OutOfTurn {
		t.Errorf("%+v", m)
	}
	// A function stands before the rules: no request comes too early.
	if m := moveOf(before, between(t, "users:lambda | users=switched")); len(m.Early)+len(m.Jumps) > 0 {
		t.Errorf("%+v", m)
	}
	// In switched at once, it gets requests before it runs.
	if m := moveOf(before, between(t, "users:fargate | users=switched")); len(m.Early) != 1 || len(m.Jumps) > 0 {
		t.Errorf("%+v", m)
	}
}

// A function whose service has left Lambda stays until somebody deletes its stack: the review says which, and how,
// also if the list does not have the service any more. Functions of CDK's own are none of those.
func TestFunctionsStay(t *testing.T) {
	stack := func(name, principal string) *assembly.Stack {
		return &assembly.Stack{Name: name, Resources: []*assembly.Resource{
			{LogicalID: "Function", Type: "AWS::Lambda::Function"},
			{LogicalID: "Permission", Type: "AWS::Lambda::Permission", Properties: map[string]any{"Principal": principal}},
		}}
	}
	users := stack("dev-UsersFunction", "elasticloadbalancing.amazonaws.com")
	with := &assembly.Assembly{Stacks: []*assembly.Stack{stack("dev-Hooks", "sns.amazonaws.com"), users}}
	const stays = "\nThe function in dev-UsersFunction stays, because `cdk deploy` deletes no stack. It gets no requests, costs nothing, and keeps its reserved concurrency. " +
		"After the deployment, delete it with `aws cloudformation delete-stack --stack-name dev-UsersFunction`, or keep it for the way back."
	for from, to := range map[string]string{"users:lambda>ec2 | switched | users=retired": "users:ec2 | switched", "users:ec2 | switched": "users:ec2 | switched"} {
		m := review.NewMove(between(t, from), between(t, to), review.Pair{Before: with, After: &assembly.Assembly{}}, false, []string{"a change"})
		if text := told(m); !strings.HasSuffix(text, stays) || len(m.Left) > 0 {
			t.Errorf("%s: it lacks %q:\n%s", from, stays, text)
		}
		m = review.NewMove(between(t, from), between(t, to), review.Pair{Before: with, After: with}, false, []string{"a change"})
		if text := told(m); strings.Contains(text, "stays, because") || len(m.Functions) > 0 {
			t.Errorf("%s: the function's stack is still in the app:\n%s", from, text)
		}
	}
}

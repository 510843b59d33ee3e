package migration_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"cutover/migration"
)

// moving is a migration whose services move, as in "users:ec2>fargate,api:fargate".
func moving(text string) migration.Migration {
	m := migration.Migration{Monolith: api, Services: []migration.Service{users, threads}}
	for part := range strings.SplitSeq(text, ",") {
		name, way, _ := strings.Cut(part, ":")
		from, to, _ := strings.Cut(way, ">")
		if name == m.Monolith.Name {
			m.Monolith.Compute, m.Monolith.Next = from, to
		}
		m.Services = slices.Clone(m.Services)
		for i := range m.Services {
			if m.Services[i].Name == name {
				m.Services[i].Compute, m.Services[i].Next = from, to
			}
		}
	}
	return m
}

// computed is a position in a phase with the places between two computes, as in "users=10%".
func computed(t *testing.T, phase migration.Phase, text string) migration.Position {
	t.Helper()
	at := migration.Position{Phase: phase, Compute: map[string]migration.Place{}}
	for part := range strings.SplitSeq(text, ",") {
		if name, value, ok := strings.Cut(part, "="); ok {
			place, err := migration.ParseComputePlace(value)
			if err != nil {
				t.Fatal(err)
			}
			at.Compute[name] = place
		}
	}
	return at
}

func TestPlanOfComputes(t *testing.T) {
	for _, test := range []struct {
		services string
		phase    migration.Phase
		at       string
		want     string // targets of users, of everything else, and the tasks
	}{
		{"users:ec2>fargate", migration.Switched, "", "users:1 users-fargate:0 | api:0 drop-traffic:1 | api 1, threads 3, users 2"},
		{"users:ec2>fargate", migration.Switched, "users=parallel", "users:1 users-fargate:0 | api:0 drop-traffic:1 | api 1, threads 3, users 2, users-fargate 2"},
		{"users:ec2>fargate", migration.Switched, "users=10%", "users:9 users-fargate:1 | api:0 drop-traffic:1 | api 1, threads 3, users 2, users-fargate 2"},
		{"users:ec2>fargate", migration.Switched, "users=33%", "users:67 users-fargate:33 | api:0 drop-traffic:1 | api 1, threads 3, users 2, users-fargate 2"},
		{"users:ec2>fargate", migration.Switched, "users=switched", "users:0 users-fargate:1 | api:0 drop-traffic:1 | api 1, threads 3, users 2, users-fargate 2"},
		{"users:ec2>fargate", migration.Switched, "users=retired", "users:0 users-fargate:1 | api:0 drop-traffic:1 | api 1, threads 3, users-fargate 2"},
		{"users:fargate", migration.Switched, "", "users-fargate:1 | api:0 drop-traffic:1 | api 1, threads 3, users-fargate 2"},
		{"users:fargate>ec2", migration.Switched, "users=10%", "users-fargate:9 users:1 | api:0 drop-traffic:1 | api 1, threads 3, users 2, users-fargate 2"},
		// Nobody counts a function.
		{"users:ec2>lambda", migration.Switched, "", "users:1 users-lambda:0 | api:0 drop-traffic:1 | api 1, threads 3, users 2"},
		{"users:ec2>lambda", migration.Switched, "users=10%", "users:9 users-lambda:1 | api:0 drop-traffic:1 | api 1, threads 3, users 2"},
		{"users:fargate>lambda", migration.Switched, "users=switched", "users-fargate:0 users-lambda:1 | api:0 drop-traffic:1 | api 1, threads 3, users-fargate 2"},
		{"users:fargate>lambda", migration.Switched, "users=retired", "users-fargate:0 users-lambda:1 | api:0 drop-traffic:1 | api 1, threads 3"},
		{"users:lambda", migration.Switched, "", "users-lambda:1 | api:0 drop-traffic:1 | api 1, threads 3"},
		{"users:lambda>ec2", migration.Switched, "", "users-lambda:1 users:0 | api:0 drop-traffic:1 | api 1, threads 3"},
		{"users:lambda>ec2", migration.Switched, "users=parallel", "users-lambda:1 users:0 | api:0 drop-traffic:1 | api 1, threads 3, users 2"},
		{"users:lambda>fargate", migration.Switched, "users=switched", "users-lambda:0 users-fargate:1 | api:0 drop-traffic:1 | api 1, threads 3, users-fargate 2"},
		{"api:lambda", migration.Monolith, "", "users:1 | api-lambda:1 drop-traffic:0 | threads 0, users 0"},
		{"api:lambda", migration.Removed, "", "users:1 | drop-traffic:1 | threads 3, users 2"},
		// Without tasks there is nothing to move.
		{"users:ec2>fargate", migration.Monolith, "users=switched", "users:0 users-fargate:1 | api:1 drop-traffic:0 | api 1, threads 0, users 0, users-fargate 0"},
		// The monolith moves as well.
		{"api:ec2>fargate", migration.Monolith, "api=25%", "users:1 | api:3 api-fargate:1 drop-traffic:0 | api 1, api-fargate 1, threads 0, users 0"},
		{"api:ec2>fargate", migration.Switched, "api=parallel", "users:1 | api:0 api-fargate:0 drop-traffic:1 | api 1, api-fargate 1, threads 3, users 2"},
		{"api:ec2>fargate", migration.Retired, "api=switched", "users:1 | api:0 api-fargate:0 drop-traffic:1 | api 0, api-fargate 0, threads 3, users 2"},
		{"api:fargate", migration.Removed, "", "users:1 | drop-traffic:1 | threads 3, users 2"},
	} {
		plan := moving(test.services).Plan(computed(t, test.phase, test.at))
		balancer := plan.Balancers[0]
		i := slices.IndexFunc(balancer.Rules, func(r migration.Rule) bool { return r.Service == "users" })
		var tasks []string
		for name, of := range plan.Tasks {
			tasks = append(tasks, fmt.Sprintf("%s %d", name, of.Count))
		}
		slices.Sort(tasks)
		show := func(targets []migration.Target) string {
			var texts []string
			for _, target := range targets {
				texts = append(texts, fmt.Sprintf("%s:%d", target.Group, target.Weight))
			}
			return strings.Join(texts, " ")
		}
		got := show(balancer.Rules[i].Targets) + " | " + show(balancer.Default) + " | " + strings.Join(tasks, ", ")
		if got != test.want {
			t.Errorf("%s in %s, %s:\n%s, want\n%s", test.services, test.phase, test.at, got, test.want)
		}
	}
}

// The states on the way to another kind of compute and on the way back are the same. From one way to another, a
// service passes where it is on one kind alone.
func TestComputesFollow(t *testing.T) {
	ranks := map[string][]string{ // of each way: the states at the ranks 0, 2, 4, 5, 6, 8 and 10
		"ec2>fargate":    {"ec2", "fargate-stopped", "ec2-first", "shift", "fargate-first", "ec2-stopped", "fargate"},
		"ec2>lambda":     {"ec2", "ec2-lambda-lambda-stopped", "ec2-lambda-ec2-first", "ec2-lambda-shift", "ec2-lambda-lambda-first", "ec2-lambda-ec2-stopped", "lambda"},
		"fargate>lambda": {"fargate", "fargate-lambda-lambda-stopped", "fargate-lambda-fargate-first", "fargate-lambda-shift", "fargate-lambda-lambda-first", "fargate-lambda-fargate-stopped", "lambda"},
	}
	places := []string{"", "users=parallel", "users=10%", "users=switched", "users=retired"}
	type at struct {
		way   string
		rank  int
		state migration.State
	}
	var all []at
	for way, names := range ranks {
		from, to, _ := strings.Cut(way, ">")
		for i, name := range names {
			var states []migration.State
			switch i {
			case 0:
				states = append(states, moving("users:"+from).State(computed(t, migration.Switched, "")))
			case 6:
				states = append(states, moving("users:"+to).State(computed(t, migration.Switched, "")))
			default:
				states = append(states, moving("users:"+way).State(computed(t, migration.Switched, places[i-1])),
					moving("users:"+to+">"+from).State(computed(t, migration.Switched, places[5-i])))
			}
			for _, state := range states {
				if got := state.ComputePlace("users"); got != name {
					t.Errorf("%s, rank %d: %s, want %s", way, i, got, name)
				}
				all = append(all, at{way, []int{0, 2, 4, 5, 6, 8, 10}[i], state})
			}
		}
	}
	m := moving("users:ec2>fargate")
	for _, after := range all {
		for _, next := range all {
			from, to := after.state.ComputePlace("users"), next.state.ComputePlace("users")
			want := from == to
			for _, names := range ranks {
				i, j := slices.Index(names, from), slices.Index(names, to)
				want = want || after.way == next.way && max(after.rank-next.rank, next.rank-after.rank) <= 2 ||
					min(i, j) == 0 && max(i, j) == 1 || min(i, j) == 5 && max(i, j) == 6 // an end belongs to two ways
			}
			if got := m.Follows(after.state, next.state); got != want {
				t.Errorf("%s → %s: %v, want %v", from, to, got, want)
			}
			if got := migration.ComputeFollows(from, to); got != want {
				t.Errorf("%s → %s: %v, want %v", from, to, got, want)
			}
		}
	}
}

// What the parameters of an environment tell is what was deployed.
func TestDeployedComputes(t *testing.T) {
	m := moving("users:ec2>fargate,api:fargate")
	state := m.State(computed(t, migration.Switched, "users=10%"))
	if want := "api=fargate,users=shift"; state.Compute != want {
		t.Errorf("the state is %q, want %q", state.Compute, want)
	}
	values := map[string]string{}
	for _, lock := range m.Locks(state) {
		for _, p := range append(lock.Gate, lock.Last...) {
			if values[p.Name] != "" && p.ID != migration.PlacesID {
				t.Errorf("two parameters are called %s", p.Name)
			}
			values[p.Name] = p.Value
		}
	}
	known := map[string]string{}
	for _, name := range m.DeployedNames() {
		if value, ok := values[name]; ok {
			known[name] = value
		}
	}
	deployed, err := m.Deployed(known)
	if err != nil || !deployed.Exact || deployed.Reached != state || deployed.Begun != state {
		t.Errorf("deployed is %+v, %v, want %+v", deployed, err, state)
	}
}

// A load balancer may be called as the parameters of computes are. Its places are not read as computes.
func TestComputesBesideALoadBalancerOfTheirName(t *testing.T) {
	m := migration.Migration{Monolith: api, Services: []migration.Service{users, threads}}
	m.Services = slices.Clone(m.Services)
	m.Services[1].LoadBalancer = "compute"
	at := migration.At(map[string]migration.Place{"users": {Phase: migration.Switched}, "threads": {Phase: migration.Parallel}}, migration.Monolith)
	values := map[string]string{}
	for _, lock := range m.Locks(m.State(at)) {
		for _, p := range append(lock.Gate, lock.Last...) {
			values[p.Name] = p.Value
		}
	}
	if d, err := m.Deployed(values); err != nil || !d.Exact || d.Reached != m.State(at) {
		t.Errorf("%+v, %v", d, err)
	}
}

// The states in the words of the way that a service goes, and back to places.
func TestComputeWords(t *testing.T) {
	states := migration.ComputeStates()
	line := states[:7] // between EC2 and Fargate
	lambda := slices.Concat([]string{"ec2"}, states[7:13])
	for _, test := range []struct {
		compute, next string
		states        []string
		want          []string
	}{
		{"", "", states, states},
		{migration.Fargate, "", states, states},
		{migration.Lambda, "", states, states},
		{migration.EC2, migration.Lambda, lambda, []string{"ec2", "stopped", "parallel", "shift", "switched", "retired", "lambda"}},
		{migration.Lambda, migration.EC2, lambda, []string{"ec2", "retired", "switched", "shift", "parallel", "stopped", "lambda"}},
		{migration.Fargate, migration.Lambda, slices.Concat([]string{"fargate"}, states[13:], []string{"lambda"}), []string{"fargate", "stopped", "parallel", "shift", "switched", "retired", "lambda"}},
		{migration.EC2, migration.Fargate, line, []string{"ec2", "stopped", "parallel", "shift", "switched", "retired", "fargate"}},
		{migration.Fargate, migration.EC2, line, []string{"ec2", "retired", "switched", "shift", "parallel", "stopped", "fargate"}},
	} {
		s := migration.Service{Name: "users", Compute: test.compute, Next: test.next}
		var words []string
		for _, state := range test.states {
			words = append(words, s.ComputeWord(state))
			place := s.ComputePlaceOf(state)
			if word := s.ComputeWord(state); test.next != "" && !slices.Contains(migration.Computes, word) && place.ComputeWord() != strings.Replace(word, "shift", "0%", 1) {
				t.Errorf("%s>%s: %s is the place %v", test.compute, test.next, state, place)
			}
			if test.next == "" && place != (migration.Place{}) {
				t.Errorf("%s is the place %v of a service that stays", state, place)
			}
		}
		if !slices.Equal(words, test.want) {
			t.Errorf("%s>%s: %v, want %v", test.compute, test.next, words, test.want)
		}
	}
	if s := (migration.Service{Next: migration.Fargate}); s.ComputeWord("nonsense") != "nonsense" || s.Kind() != migration.EC2 {
		t.Error(s.ComputeWord("nonsense"))
	}
}

// TestInterlockOfComputes deploys a service from each state to each other one, as [TestInterlock] does for phases:
// deployments that end after their first stack or go through, in every order. After a complete deployment, exactly
// the states are taken that follow it.
//
// After a deployment that ended half-way, four states too many are taken. EC2 and Fargate alone, and what is between
// them, hold no names against the way to Lambda, since they were deployed before there was one. So CloudFormation
// does not know what was reached:
//
//   - The deployment to EC2 or Fargate alone was begun, the last one between EC2 and Fargate. The next one may add the
//     function.
//   - The deployment with the function was begun. The next one may be the one in parallel, which adds nothing more.
//
// In all four, the old pair keeps its tasks and all traffic. [Migration.Follows] refuses them, after what was reached,
// and so does the command phase check.
func TestInterlockOfComputes(t *testing.T) {
	m := moving("users:ec2>lambda")
	names := migration.ComputeStates()
	if len(names) != 18 {
		t.Errorf("there are %d states: %v", len(names), names)
	}
	type deployed struct{ begun, reached string }
	gates, lasts, states := map[string]map[string]string{}, map[string]map[string]string{}, map[string]migration.State{}
	var todo []deployed
	for _, name := range names {
		states[name] = migration.State{Phase: migration.Switched, Compute: "users=" + name}
		locks := m.Locks(states[name])
		gates[name] = held(locks, func(l migration.Lock) []migration.Parameter { return l.Gate })
		lasts[name] = held(locks, func(l migration.Lock) []migration.Parameter { return l.Last })
		todo = append(todo, deployed{name, name}) // a new environment may begin anywhere
	}
	var much []string
	seen := map[deployed]bool{}
	for len(todo) > 0 {
		at := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		if seen[at] {
			continue
		}
		seen[at] = true
		if !taken(lasts[at.reached], lasts[at.begun], gates[at.begun]) {
			t.Errorf("the last stack of %v is refused after %v", at.begun, at.reached)
		}
		todo = append(todo, deployed{at.begun, at.begun})
		for _, to := range names {
			want := migration.ComputeFollows(at.begun, to) && migration.ComputeFollows(at.reached, to)
			checked := m.Follows(states[at.begun], states[to]) && m.Follows(states[at.reached], states[to])
			if checked != want {
				t.Errorf("%s begun, %s reached, %s: phase check takes it: %v, want %v", at.begun, at.reached, to, checked, want)
			}
			switch got := taken(gates[at.begun], gates[to], lasts[at.reached]); {
			case got && !want:
				much = append(much, fmt.Sprintf("%s begun, %s reached: %s", at.begun, at.reached, to))
			case got:
				todo = append(todo, deployed{to, at.reached})
			case want:
				t.Errorf("%s begun, %s reached: %s is refused", at.begun, at.reached, to)
			}
		}
	}
	slices.Sort(much)
	if want := []string{
		"ec2 begun, fargate-stopped reached: ec2-lambda-lambda-stopped",
		"ec2-lambda-lambda-stopped begun, ec2 reached: ec2-lambda-ec2-first",
		"fargate begun, ec2-stopped reached: fargate-lambda-lambda-stopped",
		"fargate-lambda-lambda-stopped begun, fargate reached: fargate-lambda-fargate-first",
	}; !slices.Equal(much, want) {
		t.Errorf("taken are also\n%s", strings.Join(much, "\n"))
	}
	if len(seen) < 60 {
		t.Errorf("only %d pairs of states were seen", len(seen))
	}
}

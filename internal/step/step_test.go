package step_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"cutover/config"
	"cutover/internal/step"
	"cutover/migration"
)

func at(phase migration.Phase, shift ...string) migration.Position {
	p := migration.Position{Phase: phase, Shift: map[string]int{}}
	for _, s := range shift {
		name, percent, _ := strings.Cut(s, "=")
		p.Shift[name], _ = strconv.Atoi(percent)
	}
	return p
}

func position(t *testing.T, phase, shift string) migration.Position {
	t.Helper()
	p, err := config.Position(map[string]any{"phase": phase, "shift": shift})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func from(app step.App, at migration.Position) step.App {
	app.At = at
	return app
}

var given = config.Deployment{
	Monolith: config.Service{Name: "api", Paths: []string{"/api*"}},
	Services: []config.Service{
		{Name: "users", Paths: []string{"/api/users*"}, Order: 10},
		{Name: "threads", Paths: []string{"/api/threads*", "/t/*"}, Order: 20, Tasks: 3},
	},
}

// Every step there is: where it leads, that the interlock lets it pass, and what
// it does.
func TestSteps(t *testing.T) {
	app, err := step.ReadContext(given, map[string]any{}, "")
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		from   migration.Position
		back   bool
		canary string
		want   string // the position, or what is refused
		does   []string
	}{
		{from: at(migration.Monolith), want: "parallel", does: []string{
			"users starts, with 1 task, and gets no requests yet",
			"threads starts, with 3 tasks", // its second path is none of the monolith's
		}},
		{from: at(migration.Parallel), want: "switched", does: []string{
			"/api/users* goes to users", "/api/threads* goes to threads", "everything else is answered with 503",
			"api gets nothing any more, and goes on running",
		}},
		{from: at(migration.Parallel), canary: "users=10", want: "parallel, users=10", does: []string{
			"/api/users* goes 10 % to users and 90 % to api",
		}},
		{from: at(migration.Parallel), canary: " users = 0 ,threads=100", want: "parallel, threads=100,users=0", does: []string{
			"/api/threads* goes to threads", // as the other path did
		}},
		{from: at(migration.Parallel, "users=10"), canary: "users=50", want: "parallel, users=50", does: []string{
			"/api/users* goes 50 % to users and 50 % to api",
		}},
		{from: at(migration.Parallel, "users=10"), want: "switched", does: []string{
			"/api/users* goes to users", "/api/threads* goes to threads", "everything else is answered with 503",
			"api gets nothing any more, and goes on running",
		}},
		{from: at(migration.Switched), want: "retired", does: []string{"api stops; its service stays, without tasks"}},
		{from: at(migration.Retired), want: "removed", does: []string{
			"the service of api, its target groups and its roles are deleted: this is the point of no return",
			"its images and logs stay, and a step back creates the rest anew",
		}},
		{from: at(migration.Removed), want: "there is no phase after removed: the migration is complete"},

		{from: at(migration.Monolith), back: true, want: "there is no phase before monolith: the migration has not begun"},
		{from: at(migration.Parallel), back: true, want: "monolith", does: []string{
			"users stops; its service stays, without tasks", "threads stops; its service stays, without tasks",
		}},
		{from: at(migration.Parallel, "users=10"), back: true, want: "parallel", does: []string{
			"/api/users* goes to api", "users gets nothing any more, and goes on running",
		}},
		{from: at(migration.Switched), back: true, want: "parallel", does: []string{
			"/api/users* goes to api", "/api/threads* goes to api", "everything else goes to api",
			"users gets nothing any more, and goes on running",
		}},
		{from: at(migration.Removed), back: true, want: "retired", does: []string{"the service of api, its target groups and its roles are created anew, without tasks"}},
		{from: at(migration.Retired), back: true, want: "switched", does: []string{"api starts, with 1 task, and gets no requests yet"}},

		{from: at(migration.Parallel, "users=10"), canary: "users=10", want: "--canary: users=10 is set already"},
		{from: at(migration.Monolith), canary: "users=10", want: "--canary: in monolith the microservices do not run yet: go to parallel and deploy that first"},
		{from: at(migration.Switched), canary: "users=10", want: "--canary: in switched the microservices have all of their traffic: a canary is for parallel"},
		{from: at(migration.Parallel), canary: "api=10", want: `--canary: shift: there is no microservice "api": choose from users, threads`},
		{from: at(migration.Parallel), canary: "users=-1", want: "--canary: shift: users=-1 is not a percentage: use a whole number from 0 to 100"},
		{from: at(migration.Parallel), canary: "users=1,users=2", want: `--canary: shift: "users" is named twice in "users=1,users=2"`},
	}
	for _, test := range tests {
		t.Run(fmt.Sprint(test.from, test.back, test.canary), func(t *testing.T) {
			to, err := step.Next(from(app, test.from), nil)
			if test.back {
				to, err = step.Back(from(app, test.from), nil)
			} else if test.canary != "" {
				to, err = step.Canary(from(app, test.from), test.canary)
			}
			if err != nil {
				if err.Error() != test.want {
					t.Errorf("refused: %v, want %s", err, test.want)
				}
				return
			}
			if to.String() != test.want {
				t.Errorf("to %v, want %s", to, test.want)
			}
			if !app.Migration.Follows(app.Migration.State(test.from), app.Migration.State(to)) {
				t.Errorf("the interlock refuses %v after %v", to, test.from)
			}
			if diff := cmp.Diff(test.does, step.Changes(app.Migration, test.from, to)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// What happens at a further load balancer says so. The reservations of a task are
// not read, and no reason to refuse a step.
func TestStepsOfSeveralLoadBalancers(t *testing.T) {
	d := given
	d.Services = append([]config.Service{{Name: "posts", LoadBalancer: "press", Paths: []string{"/api/posts*"}, Order: 10, Tasks: 100}}, given.Services[0])
	app, err := step.ReadContext(d, map[string]any{"phase": "parallel"}, "")
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		from, to migration.Position
		want     []string
	}{
		{at(migration.Parallel), at(migration.Parallel, "posts=10"), []string{"/api/posts* at press goes 10 % to posts and 90 % to api"}},
		{at(migration.Parallel), at(migration.Switched), []string{
			"/api/posts* at press goes to posts", "/api/users* goes to users",
			"everything else is answered with 503", "everything else at press is answered with 503",
			"api gets nothing any more, and goes on running",
		}},
	} {
		if diff := cmp.Diff(test.want, step.Changes(app.Migration, test.from, test.to)); diff != "" {
			t.Errorf("%v to %v (-want +got):\n%s", test.from, test.to, diff)
		}
	}
}

// The root paths go with the switch, there and back.
func TestStepsWithARootService(t *testing.T) {
	d := given
	d.Services = append([]config.Service{{Name: "posts", LoadBalancer: "press", Paths: []string{"/api/posts*"}, Order: 10}}, given.Services[0])
	for root, suffix := range map[string]string{"users": "", "posts": " at press"} {
		app, err := step.ReadContext(d, map[string]any{"phase": "parallel", "rootService": root}, "")
		if err != nil {
			t.Fatal(err)
		}
		for _, test := range []struct{ from, to, goes string }{{"parallel", "switched", root}, {"switched", "parallel", "api"}, {"switched", "retired", ""}, {"monolith", "parallel", ""}} {
			from, _ := migration.ParsePhase(test.from)
			to, _ := migration.ParsePhase(test.to)
			var got, want []string
			for _, line := range step.Changes(app.Migration, at(from), at(to)) {
				if strings.HasPrefix(line, "/ ") || strings.HasPrefix(line, "/api ") || strings.HasPrefix(line, "/api/ ") {
					got = append(got, line)
				}
			}
			if test.goes != "" {
				for _, path := range []string{"/", "/api", "/api/"} {
					want = append(want, path+suffix+" goes to "+test.goes)
				}
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s: %s to %s (-want +got):\n%s", root, test.from, test.to, diff)
			}
		}
	}
}

// Of services that scale a step says whose business their count is.
func TestStepsOfServicesThatScale(t *testing.T) {
	d := given
	d.Monolith.Tasks, d.Monolith.MaxTasks = 2, 5
	d.Services = []config.Service{given.Services[0]}
	d.Services[0].MaxTasks = 6
	app, err := step.ReadContext(d, map[string]any{"phase": "parallel"}, "")
	if err != nil {
		t.Fatal(err)
	}
	name, least := d.Services[0].Name, app.Deployment.Services[0].Tasks
	var got []string
	for _, taken := range [][2]migration.Position{
		{at(migration.Monolith), at(migration.Parallel)}, {at(migration.Parallel), at(migration.Parallel, "users=10")},
		{at(migration.Parallel, "users=10"), at(migration.Switched)}, {at(migration.Switched), at(migration.Retired)},
		{at(migration.Retired), at(migration.Switched)}, {at(migration.Switched), at(migration.Parallel)},
	} {
		for _, line := range step.Changes(app.Migration, taken[0], taken[1]) {
			if strings.Contains(line, "task") || strings.Contains(line, "scale") {
				got = append(got, fmt.Sprintf("%v: %s", taken[1], line))
			}
		}
	}
	want := []string{
		fmt.Sprintf("parallel: %s starts, with %d task, and gets no requests yet", name, least),
		fmt.Sprintf("parallel, users=10: %s scales, from %d to 6 tasks", name, least),
		"switched: api runs 5 tasks, however many it has been scaled to",
		"retired: api stops; its service stays, without tasks",
		"switched: api starts, with 5 tasks, and gets no requests yet",
		"parallel: api scales, from 2 to 5 tasks",
		fmt.Sprintf("parallel: %s runs %d task, however many it has been scaled to", name, least),
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestCheck(t *testing.T) {
	monolith, parallel := migration.State{}, migration.State{Phase: migration.Parallel}
	shifted := migration.State{Phase: migration.Parallel, Shift: true}
	tests := []struct {
		name     string
		from     migration.Position
		deployed migration.Deployed
		want     string // what is refused; empty if it is not
	}{
		{"nothing is deployed", at(migration.Switched), migration.Deployed{}, ""},
		{"the same", at(migration.Parallel), migration.Deployed{Exists: true, Reached: parallel, Begun: parallel, Exact: true}, ""},
		{"the same with a shift", at(migration.Parallel, "users=10"), migration.Deployed{Exists: true, Reached: shifted, Begun: shifted, Exact: true}, ""},
		{"a shift that cannot be told", at(migration.Parallel, "users=10"), migration.Deployed{Exists: true, Reached: parallel, Begun: parallel}, ""},
		{"another phase", at(migration.Parallel), migration.Deployed{Exists: true, Reached: monolith, Begun: monolith}, "is in monolith: deploy"},
		{"a shift that is not deployed", at(migration.Parallel, "users=10"), migration.Deployed{Exists: true, Reached: parallel, Begun: parallel, Exact: true}, "says parallel, users=10 and dev in us-east-1 is in parallel: deploy"},
		{"a shift that is deployed", at(migration.Parallel), migration.Deployed{Exists: true, Reached: shifted, Begun: shifted, Exact: true}, "is in parallel with a shift: deploy"},
		{"half-way", at(migration.Monolith), migration.Deployed{Exists: true, Reached: monolith, Begun: parallel, Exact: true}, "is in monolith, and a deployment of parallel was begun"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			deployed := step.Deployed{Deployed: test.deployed, Region: "us-east-1"}
			err := step.Check(step.App{Env: "dev", At: test.from}, deployed)
			if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
				t.Errorf("refused: %v, want %q", err, test.want)
			}
		})
	}
}

func TestFollows(t *testing.T) {
	monolith, parallel := migration.State{}, migration.State{Phase: migration.Parallel}
	shifted := migration.State{Phase: migration.Parallel, Shift: true}
	tests := []struct {
		name     string
		to       migration.Position
		deployed migration.Deployed
		want     string // what is refused; empty if it is not
	}{
		{"nothing is deployed", at(migration.Switched), migration.Deployed{}, ""},
		{"the same", at(migration.Parallel), migration.Deployed{Exists: true, Reached: parallel, Begun: parallel}, ""},
		{"the next", at(migration.Switched), migration.Deployed{Exists: true, Reached: parallel, Begun: parallel}, ""},
		{"the one before", at(migration.Monolith), migration.Deployed{Exists: true, Reached: parallel, Begun: parallel}, ""},
		{"one left out", at(migration.Switched), migration.Deployed{Exists: true, Reached: monolith, Begun: monolith}, "cdk.json says switched, and dev in us-east-1 is in monolith: parallel comes next"},
		{"one left out of what was begun", at(migration.Switched), migration.Deployed{Exists: true, Reached: parallel, Begun: monolith}, "dev in us-east-1 is in monolith: parallel comes next"},
		{"a shift too early", at(migration.Parallel, "users=10"), migration.Deployed{Exists: true, Reached: monolith, Begun: monolith}, "cdk.json says parallel, users=10, and dev in us-east-1 is in monolith: parallel comes next"},
		{"a shift that is forgotten", at(migration.Monolith), migration.Deployed{Exists: true, Reached: shifted, Begun: shifted}, "is in parallel with a shift: switched comes next, or parallel without it to go back"},
		{"two left out", at(migration.Retired), migration.Deployed{Exists: true, Reached: parallel, Begun: parallel}, "is in parallel: switched comes next, or monolith to go back"},
		{"back too far", at(migration.Monolith), migration.Deployed{Exists: true, Reached: migration.State{Phase: migration.Switched}, Begun: migration.State{Phase: migration.Switched}}, "is in switched: retired comes next, or parallel to go back"},
		{"back from the end", at(migration.Parallel), migration.Deployed{Exists: true, Reached: migration.State{Phase: migration.Retired}, Begun: migration.State{Phase: migration.Retired}}, "is in retired: removed comes next, or switched to go back"},
		{"back from removed", at(migration.Switched), migration.Deployed{Exists: true, Reached: migration.State{Phase: migration.Removed}, Begun: migration.State{Phase: migration.Removed}}, "is in removed: it is the last phase, and retired is the way back"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			deployed := step.Deployed{Deployed: test.deployed, Region: "us-east-1"}
			err := step.Follows(in(t, given, "monolith"), test.to, deployed)
			if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
				t.Errorf("refused: %v, want %q", err, test.want)
			}
		})
	}
}

// Another scheme replaces the load balancer. A new environment may have any, and what else is before the load balancer does
// not matter to a step.
func TestScheme(t *testing.T) {
	reached := migration.State{}
	for _, c := range []struct {
		scheme           string
		exists, internal bool
		want             string
	}{
		{"internal", false, false, ""}, {"internal", true, true, ""}, {"internet-facing", true, false, ""},
		{"internal", true, false, "cdk.json says scheme internal, and dev in us-east-1 has another"},
		{"internet-facing", true, true, "cdk.json says scheme internet-facing, and dev in us-east-1 has another"},
	} {
		app, err := step.ReadContext(given, map[string]any{"phase": "monolith", "scheme": c.scheme, "ui": "on", "directAccess": "off", "cloudFrontPrefixListId": "none"}, "")
		if err != nil {
			t.Fatal(err)
		}
		deployed, err := step.Read(app.Migration, "dev", "us-east-1", map[string]string{"/dev/load-balancer-scheme": map[bool]string{true: "internal"}[c.internal]})
		if err != nil {
			t.Fatal(err)
		}
		deployed.Deployed = migration.Deployed{Exists: c.exists, Reached: reached, Begun: reached}
		if err := step.Follows(app, app.At, deployed); c.want == "" && err != nil || c.want != "" && (err == nil || !strings.HasPrefix(err.Error(), c.want)) {
			t.Errorf("%+v: refused: %v", c, err)
		}
	}
}

func TestEdit(t *testing.T) {
	tests := []struct {
		name         string
		text         string
		phase, shift string
		want         string
	}{
		{"the phase", "{\"context\": {\n  \"a\": 1.50,\n  \"phase\" : \"monolith\" ,\n  \"b\": 1e3}}", "parallel", "",
			"{\"context\": {\n  \"a\": 1.50,\n  \"phase\" : \"parallel\" ,\n  \"b\": 1e3}}"},
		{"the phase among others of its name", `{"phase": "x", "a": {"context": {"phase": "y"}}, "context": {"a": {"phase": "z"}, "phase": "monolith"}, "b": ["phase"]}`, "parallel", "",
			`{"phase": "x", "a": {"context": {"phase": "y"}}, "context": {"a": {"phase": "z"}, "phase": "parallel"}, "b": ["phase"]}`},
		{"line ends and tabs", "{\r\n\t\"context\":{\"phase\":\"monolith\"}\r\n}\r\n", "parallel", "", "{\r\n\t\"context\":{\"phase\":\"parallel\"}\r\n}\r\n"},
		{"escapes", `{"conte\u0078t": {"\"}{": "\\", "ph\u0061se": "mono\u006cith", "é": 2}}`, "parallel", "", `{"conte\u0078t": {"\"}{": "\\", "ph\u0061se": "parallel", "é": 2}}`},
		{"a shift", "{\"context\": {\n  \"phase\": \"parallel\",\n  \"a\": 1\n}}", "parallel", "users=10",
			"{\"context\": {\n  \"phase\": \"parallel\", \"shift\": \"users=10\",\n  \"a\": 1\n}}"},
		{"a shift at the end", "{\"context\": {\n  \"phase\": \"parallel\"\n}}", "parallel", "users=10",
			"{\"context\": {\n  \"phase\": \"parallel\", \"shift\": \"users=10\"\n}}"},
		{"another shift", "{\"context\": {\n  \"phase\": \"parallel\",\n  \"shift\": {\"users\": 10},\n  \"a\": 1\n}}", "parallel", "users=20",
			"{\"context\": {\n  \"phase\": \"parallel\",\n  \"shift\": \"users=20\",\n  \"a\": 1\n}}"},
		{"no shift any more", "{\"context\": {\n  \"phase\": \"parallel\", \"shift\": \"users=10\",\n  \"a\": 1\n}}", "switched", "",
			"{\"context\": {\n  \"phase\": \"switched\",\n  \"a\": 1\n}}"},
		{"no shift any more, on a line of its own", "{\"context\": {\n  \"a\": 1,\n  \"phase\": \"parallel\",\n  \"shift\": {\n    \"users\": 10\n  }\n}}", "switched", "",
			"{\"context\": {\n  \"a\": 1,\n  \"phase\": \"switched\"\n}}"},
		{"no shift any more, before the phase", "{\"context\": {\n  \"shift\": \"users=10\",\n  \"phase\": \"parallel\"\n}}", "switched", "",
			"{\"context\": {\n  \"phase\": \"switched\"\n}}"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "cdk.json")
			if err := os.WriteFile(file, []byte(test.text), 0o600); err != nil {
				t.Fatal(err)
			}
			f, err := step.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			edited, err := f.Edit(step.App{}, position(t, test.phase, test.shift))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, string(edited.Text)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if err := edited.Write(); err != nil {
				t.Fatal(err)
			}
			again, err := step.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if shift, _ := again.Context["shift"].(string); again.Context["phase"] != test.phase || shift != test.shift {
				t.Errorf("reads as %v", again.Context)
			}
			entries, err := os.ReadDir(filepath.Dir(file))
			if err != nil || len(entries) != 1 {
				t.Errorf("beside it are %v, %v", entries, err)
			}
		})
	}
}

// The cdk.json of this repository goes through the whole migration with a canary
// and back by changes of one line each, and is then what it was.
func TestOneLine(t *testing.T) {
	ours, err := step.ReadFile("../../cdk.json")
	if err != nil {
		t.Fatal(err)
	}
	original, err := ours.Edit(step.App{}, position(t, "monolith", "")) // whatever it says today
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "cdk.json")
	if err := os.WriteFile(file, original.Text, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, taken := range [][2]string{
		{"parallel"}, {"parallel", "users=10"}, {"parallel", "users=50,posts=5"}, {"switched"}, {"retired"}, {"removed"}, {"retired"}, {"switched"},
		{"parallel"}, {"parallel", "users=10"}, {"parallel"}, {"monolith"},
	} {
		f, err := step.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		edited, err := f.Edit(step.App{}, position(t, taken[0], taken[1]))
		if err != nil {
			t.Fatal(err)
		}
		before, after := strings.Split(string(f.Text), "\n"), strings.Split(string(edited.Text), "\n")
		if len(before) != len(after) {
			t.Fatalf("%q: %d lines became %d", taken, len(before), len(after))
		}
		changed := 0
		for i := range before {
			if before[i] != after[i] {
				changed++
			}
		}
		if changed != 1 {
			t.Errorf("%q: %d lines changed", taken, changed)
		}
		if err := edited.Write(); err != nil {
			t.Fatal(err)
		}
	}
	if text, err := os.ReadFile(file); err != nil || string(text) != string(original.Text) {
		t.Errorf("it is not what it was: %v\n%s", err, cmp.Diff(string(original.Text), string(text)))
	}
}

func TestFilesThatAreRefused(t *testing.T) {
	tests := []struct{ text, want string }{
		{`{"app": "x"}`, `there is no "context"`},
		{`{"context": {}}`, `context: there is no "phase": put the line`},
		{`{"context": {"phase": "monolith", "phase": "parallel"}}`, `context: "phase" is there twice: remove one`},
		{`{"context": {"phase": "monolith"}, "context": {"phase": "parallel"}}`, `"context" is there twice`},
		{`{"context": "phase"}`, "context: phase is not a JSON object"},
		{`{"context": {"phase": "monolith"`, "EOF"},
		{`{"context": {"phase": "monolith",}}`, "invalid character"},
		{``, "EOF"},
	}
	for _, test := range tests {
		file := filepath.Join(t.TempDir(), "cdk.json")
		if err := os.WriteFile(file, []byte(test.text), 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := step.ReadFile(file); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want %s", test.text, err, test.want)
		}
	}
}

// Where there is nobody to ask, that is said before anything is tried.
func TestNotAsked(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	tests := []struct {
		name string
		env  map[string]string
		want string
	}{
		{"nothing", nil, "AWS was not asked: there are no credentials in AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, and no aws command"},
		{"half of the credentials", map[string]string{"AWS_ACCESS_KEY_ID": "id", "AWS_REGION": "us-east-1"}, "there are no credentials"},
		{"no region", map[string]string{"AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "secret"}, "AWS was not asked: there is no region: set AWS_REGION"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := step.Ask(t.Context(), migration.Migration{}, "dev", func(name string) string { return test.env[name] })
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%v, want %s", err, test.want)
			}
		})
	}
}

// The templates of each phase, as they were reviewed, leave what is read as that
// phase.
func TestTemplatesLeaveTheirPhase(t *testing.T) {
	for _, phase := range migration.Phases() {
		values := map[string]string{}
		for _, stack := range []string{"Gate", "Phase"} {
			text, err := os.ReadFile(filepath.Join("../../stacks/golden", phase.String(), "dev-"+stack+".json"))
			if err != nil {
				t.Fatal(err)
			}
			var template struct {
				Resources map[string]struct{ Properties struct{ Name, Value string } }
			}
			if err := json.Unmarshal(text, &template); err != nil {
				t.Fatal(err)
			}
			for _, resource := range template.Resources {
				values[resource.Properties.Name] = resource.Properties.Value
			}
		}
		got, err := step.Read(migration.Migration{}, "dev", step.Here, values)
		if want := (migration.State{Phase: phase}); err != nil || !got.Exact || got.Reached != want || got.Begun != want {
			t.Errorf("%s leaves %v, which is read as %+v (%v)", phase, values, got, err)
		}
	}
}

// A list is loaded again as it is: also beside a monolith that exists, with a name alone.
func TestListed(t *testing.T) {
	service := config.Service{Name: "orders", Paths: []string{"/api/orders*"}, Order: 10, Tasks: 1}
	for _, d := range []config.Deployment{
		{Monolith: config.Service{Name: "shop", Paths: []string{"/api*"}, Tasks: 1}, Services: []config.Service{service}},
		{Monolith: config.Service{Name: "shop", Paths: []string{"/api*"}, Tasks: 1}, Services: []config.Service{service}, KeepRest: true},
		{Monolith: config.Service{Name: "shop", Paths: []string{"/api*"}, Tasks: 1}, Services: []config.Service{service}, RootService: "orders"},
		{Monolith: config.Service{Name: "shop", Tasks: 1}, Services: []config.Service{service}, KeepRest: true, Priorities: migration.Window{First: 100, Last: 199},
			Existing: "arn:aws:elasticloadbalancing:eu-central-1:123456789012:targetgroup/shop/0123456789abcdef"},
	} {
		app, err := step.ReadContext(d, step.Listed(d), "")
		if err != nil {
			t.Errorf("%+v: %v", d, err)
			continue
		}
		got, want := app.Deployment, d
		if got.Existing != want.Existing || got.Priorities != want.Priorities || got.KeepRest != want.KeepRest || got.RootService != want.RootService || got.Monolith.Name != "shop" {
			t.Errorf("%+v is loaded as %+v", want, got)
		}
	}
}

package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"cutover/config"
	"cutover/deployment"
	"cutover/internal/rehearsal"
	"cutover/migration"
)

// walkerFor is the walker of the forum, or of the forum with routes, with settings.
func walkerFor(t *testing.T, d config.Deployment, settings map[string]any) *walker {
	t.Helper()
	w, err := newWalker(d, settings)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// routed is the forum with two routes of users, one of them without a name, and two named ones of
// threads.
func routed() config.Deployment {
	d := deployment.Forum
	d.Services = slices.Clone(d.Services)
	d.Services[0] = config.Service{Name: "users", Routes: []config.Route{
		{Order: 10, Paths: []string{"/api/users*"}},
		{Name: "writes", Order: 5, Paths: []string{"/api/users*"}, Methods: []string{"POST"}},
	}}
	d.Services[1] = config.Service{Name: "threads", Routes: []config.Route{
		{Name: "one", Order: 20, Paths: []string{"/api/threads/*"}},
		{Name: "all", Order: 21, Paths: []string{"/api/threads"}},
	}}
	return d
}

func walkText(stops []stop) string {
	var names []string
	for _, stop := range stops {
		names = append(names, stop.name)
	}
	return strings.Join(names, " | ")
}

func TestStopsOfAWalk(t *testing.T) {
	for walk, test := range map[string]struct {
		want  string // or the error
		gated bool
	}{
		"monolith,parallel,switched,retired,removed,retired": {"monolith | parallel | switched | retired | removed | retired", true},
		"retired,parallel":    {"retired | parallel", false},
		"parallel,parallel":   {"parallel | parallel", true},
		"monolith":            {"monolith", true},
		"monolith,switched":   {"monolith | switched", false},
		"switched,removed":    {"switched | removed", false},
		"users=parallel":      {"users=parallel", true},
		"users=monolith":      {"users=monolith", true},
		"posts=monolith":      {"users=monolith", true}, // the same position has one name
		"users=0%,users=100%": {"users=0% | users=100%", true},
		// A change is of the position before.
		"users=parallel,posts=parallel,users=10%,users=switched": {
			"users=parallel | posts=parallel,users=parallel | posts=parallel,users=10% | posts=parallel,users=switched", true},
		"users=parallel,users=monolith":                    {"users=parallel | users=monolith", true},
		"users=parallel+posts=parallel,users=10%+posts=5%": {"posts=parallel,users=parallel | posts=5%,users=10%", true},
		"posts=10% + users=switched":                       {"posts=10%,users=switched", true},
		// The gate refuses a step of one service.
		"users=switched,users=monolith": {"users=switched | users=monolith", false},
		"users=10%,users=monolith":      {"users=10% | users=monolith", false},
		"users=parallel,posts=10%":      {"users=parallel | posts=10%,users=parallel", false},
		// A phase for all and places pass over to each other without a move.
		"monolith,users=parallel": {"monolith | users=monolith | users=parallel", true},
		"parallel,users=10%":      {"parallel | posts=parallel,threads=parallel,users=parallel | posts=parallel,threads=parallel,users=10%", true},
		"monolith,users=monolith": {"monolith | users=monolith", true}, // nothing is left of the change
		"switched,users=parallel,users=switched,switched": {
			"switched | posts=switched,threads=switched,users=switched | posts=switched,threads=switched,users=parallel | posts=switched,threads=switched,users=switched | switched", true},
		"users=parallel,parallel":                {"users=parallel | parallel", false},
		"users=parallel,users=monolith,monolith": {"users=parallel | users=monolith | monolith", true},
		// Going back from retired may pass over.
		"retired,api=running": {"retired | posts=switched,threads=switched,users=switched", true},
		"users=switched+threads=switched+posts=switched,api=retired,api=removed,api=retired,api=running": {
			"posts=switched,threads=switched,users=switched | posts=switched,threads=switched,users=switched,api=retired | posts=switched,threads=switched,users=switched,api=removed | posts=switched,threads=switched,users=switched,api=retired | posts=switched,threads=switched,users=switched", true},
		"users=switched+threads=switched+posts=switched,api=removed": {
			"posts=switched,threads=switched,users=switched | posts=switched,threads=switched,users=switched,api=removed", false},

		"paralel":                    {`--walk: there is no phase "paralel": choose from monolith, parallel, switched, retired, removed`, false},
		"user=parallel":              {`--walk: user=parallel: there is no microservice or route "user": choose from users, threads, posts, api`, false},
		"users=paralel":              {`--walk: users=paralel: "paralel" is not a place: choose one of monolith, parallel, a share as in 10%, or switched`, false},
		"users=":                     {`--walk: users=: "" is not a place: choose one of monolith, parallel, a share as in 10%, or switched`, false},
		"users=10":                   {`--walk: users=10: "10" is not a place: choose one of monolith, parallel, a share as in 10%, or switched`, false},
		"users=101%":                 {`--walk: users=101%: "101%" is not a share: use a whole number from 0% to 100%`, false},
		"users=retired":              {`--walk: users=retired: "retired" is not a place: choose one of monolith, parallel, a share as in 10%, or switched`, false},
		"users=parallel+users=10%":   {`--walk: users=parallel+users=10%: users is there twice: a step takes it to one place`, false},
		"users=parallel+posts":       {`--walk: users=parallel+posts: "posts" is not SERVICE=PLACE, as in users=10%`, false},
		"users=parallel+":            {`--walk: users=parallel+: "" is not SERVICE=PLACE, as in users=10%`, false},
		"api=parallel":               {`--walk: api=parallel: "parallel" is not a place of the monolith: choose from running, retired, removed`, false},
		"users/writes=parallel":      {`--walk: users/writes=parallel: there is no microservice or route "users/writes": choose from users, threads, posts, api`, false},
		"users=switched,api=retired": {`--walk: api=retired: `, false}, // and what config says
		"retired,users=parallel":     {`--walk: users=parallel: `, false},
	} {
		w := walkerFor(t, deployment.Forum, map[string]any{"shift": "users=10"})
		stops, err := w.stops(strings.Split(walk, ","))
		if err != nil {
			if !strings.HasPrefix(err.Error(), test.want) || test.want == "" || !strings.HasPrefix(test.want, "--walk") {
				t.Errorf("%s: %v, want %s", walk, err, test.want)
			}
			continue
		}
		if walkText(stops) != test.want || w.gated(stops) != test.gated {
			t.Errorf("%s: %s, gate %v\nwant %s, gate %v", walk, walkText(stops), w.gated(stops), test.want, test.gated)
		}
	}
}

// A monolith that keeps the rest is not retired.
func TestStopsWithTheRest(t *testing.T) {
	w := walkerFor(t, deployment.Forum, map[string]any{"rest": "monolith"})
	for walk, want := range map[string]string{
		"switched,retired": "rest: the monolith keeps what no service claims, and cannot be retired",
		"users=switched+threads=switched+posts=switched,api=removed": "rest: the monolith keeps what no service claims, and cannot be removed",
	} {
		if _, err := w.stops(strings.Split(walk, ",")); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", walk, err)
		}
	}
}

// The places of routes are those of their service, unless they have their own.
func TestStopsOfRoutes(t *testing.T) {
	w := walkerFor(t, routed(), map[string]any{})
	for walk, want := range map[string]string{
		"users=parallel":                            "users=parallel",
		"users/writes=parallel":                     "users/writes=parallel",
		"users/writes=parallel,users=parallel":      "users/writes=parallel | users=parallel",
		"users/writes=10%+users=parallel":           "users/writes=10%,users=parallel",
		"users=parallel+users/writes=monolith":      "users/writes=monolith,users=parallel",
		"threads=parallel,threads/one=10%":          "threads=parallel | threads/all=parallel,threads/one=10%",
		"threads/one=parallel,threads=monolith":     "threads/one=parallel | users=monolith",
		"threads/one=parallel+threads/all=parallel": "threads=parallel",
	} {
		stops, err := w.stops(strings.Split(walk, ","))
		if err != nil || walkText(stops) != want {
			t.Errorf("%s: %s, %v, want %s", walk, walkText(stops), err, want)
		}
		for _, stop := range stops {
			if app, err := w.read(stop.name); err != nil || positionText(w.m, app.At) != stop.name {
				t.Errorf("%s is read as %s", stop.name, positionText(w.m, app.At))
			}
		}
	}
}

func TestStandardWalk(t *testing.T) {
	for phase, test := range map[string]struct {
		rest, want string
	}{
		"monolith": {"drop", "monolith | parallel | switched | retired | switched | parallel | monolith"},
		"retired":  {"drop", "monolith | parallel | switched | retired | switched | parallel | monolith"},
		"parallel": {"monolith", "monolith | parallel | switched | parallel | monolith"},
		"users=switched,posts=5%": {"drop", "posts=5%,users=switched" +
			" | posts=5%,users=parallel | posts=5% | posts=5%,users=parallel | posts=5%,users=10% | posts=5%,users=switched" +
			" | posts=5%,threads=parallel,users=switched | posts=5%,threads=10%,users=switched | posts=5%,threads=switched,users=switched | posts=5%,threads=parallel,users=switched | posts=5%,users=switched" +
			" | posts=switched,users=switched | posts=parallel,users=switched | users=switched | posts=parallel,users=switched | posts=5%,users=switched"},
		"users=parallel": {"monolith", "users=parallel | users=10% | users=switched | users=parallel | users=monolith | users=parallel" +
			" | threads=parallel,users=parallel | threads=10%,users=parallel | threads=switched,users=parallel | threads=parallel,users=parallel | users=parallel" +
			" | posts=parallel,users=parallel | posts=10%,users=parallel | posts=switched,users=parallel | posts=parallel,users=parallel | users=parallel"},
	} {
		w := walkerFor(t, deployment.Forum, map[string]any{"rest": test.rest})
		app, err := w.read(phase)
		if err != nil {
			t.Fatal(err)
		}
		stops, err := w.stops(w.standard(app.At))
		if err != nil || walkText(stops) != test.want || !w.gated(stops) {
			t.Errorf("%s: %s, %v\nwant %s", phase, walkText(stops), err, test.want)
		}
	}
}

// The default walk of a retired or removed monolith begins and ends there. It moves services while
// the monolith runs.
func TestStandardWalkOfALateMonolith(t *testing.T) {
	for phase, late := range map[string][]string{"retired": {"retired"}, "removed": {"removed", "retired"}} {
		w := walkerFor(t, deployment.Forum, map[string]any{})
		app, err := w.read("users=switched,threads=switched,posts=switched,api=" + phase)
		if err != nil {
			t.Fatal(err)
		}
		stops, err := w.stops(w.standard(app.At))
		if err != nil || !w.gated(stops) {
			t.Fatalf("%s: %v", walkText(stops), err)
		}
		var got []string
		for _, stop := range stops {
			if stop.at.Phase >= migration.Retired {
				got = append(got, stop.at.Phase.String())
			}
		}
		back := slices.Clone(late)
		slices.Reverse(back)
		if want := slices.Concat(late, back); !slices.Equal(got, want) || len(stops) != len(want)+1+15 {
			t.Errorf("%s: %d stops, %v", phase, len(stops), got)
		}
	}
}

// However many services there are, the default walk has a bounded number of steps, and moves each
// route.
func TestStandardWalkOfManyServices(t *testing.T) {
	d := routed()
	for _, name := range []string{"news", "mail", "likes", "tags", "files", "feeds"} {
		d.Services = append(d.Services, config.Service{Name: name, Paths: []string{"/api/" + name + "*"}, Order: 100 + len(d.Services)})
	}
	w := walkerFor(t, d, map[string]any{"maxInstances": "9"})
	app, err := w.read("users=parallel")
	if err != nil {
		t.Fatal(err)
	}
	stops, err := w.stops(w.standard(app.At))
	if err != nil || len(stops) != 1+5*3 || !w.gated(stops) { // 9 services in groups of 3
		t.Fatalf("%d stops, %v", len(stops), err)
	}
	for key := range stops[0].at.Places {
		if !slices.ContainsFunc(stops, func(s stop) bool { return s.at.Places[key].Phase == migration.Switched }) {
			t.Errorf("%s is never switched", key)
		}
	}
}

func TestDescribeAStep(t *testing.T) {
	w := walkerFor(t, routed(), map[string]any{})
	w.described(t, map[string][2]string{
		"monolith,parallel":                       {"", ""},
		"users=parallel,users=10%":                {"users: parallel → 10%", "users=10%"},
		"users=parallel,users/writes=10%":         {"users/writes: parallel → 10%", "users/writes=10%"},
		"users=parallel,posts=parallel":           {"posts: monolith → parallel", "posts=parallel"},
		"users=10%,users=switched+posts=parallel": {"users: 10% → switched, posts: monolith → parallel", "users=switched, posts=parallel"},
		"users=10%,users=monolith+users/writes=switched+posts=parallel+threads=5%": {
			"users: 10% → monolith, users/writes: 10% → switched and 2 more", "users=monolith, users/writes=switched and 2 more"},
		"users=10%,users=switched+posts=parallel+threads=5%":         {"users: 10% → switched, threads: monolith → 5%, posts: monolith → parallel", "users=switched, threads=5%, posts=parallel"},
		"users=switched+threads=switched+posts=switched,api=retired": {"api: running → retired", "api=retired"},
		"parallel,users=parallel":                                    {"a place for each service", "each in parallel"},
		"users=parallel,users=parallel":                              {"", ""},
		"users=parallel,users=monolith,monolith":                     {"one phase for all services", "monolith"},
		"users=parallel,parallel":                                    {"", ""},
	})
}

// described checks how the last step of each walk is described: its name and its label.
func (w *walker) described(t *testing.T, walks map[string][2]string) {
	t.Helper()
	for walk, want := range walks {
		stops, err := w.stops(strings.Split(walk, ","))
		if err != nil {
			t.Fatal(err)
		}
		n := len(stops)
		if step, label := w.describe(stops[n-2], stops[n-1]); step != want[0] || label != want[1] {
			t.Errorf("%s: %q, %q, want %q", walk, step, label, want)
		}
	}
}

// The plan says who may answer a GET without headers of ours.
func TestAnswerers(t *testing.T) {
	d := routed()
	d.Services = append(d.Services,
		config.Service{Name: "search", Routes: []config.Route{{Order: 25, Paths: []string{"/api/posts"}, Query: map[string][]string{"q": {"*"}}}}},
		config.Service{Name: "admin", Routes: []config.Route{{Order: 26, Paths: []string{"/api/posts*"}, Hosts: []string{"admin.example"}}}},
		config.Service{Name: "press", Paths: []string{"/api/press*"}, Order: 10, LoadBalancer: "press"},
	)
	d.Services[1].Routes[0].Testers = map[string][]string{"Cookie": {"*canary=1*"}}
	w := walkerFor(t, d, map[string]any{"maxInstances": "9"})
	for _, test := range []struct{ phase, route, want string }{
		{"monolith", "/api/users", "api"},
		{"parallel", "/api/users", "api"},
		{"switched", "/api/users/1", "users"},
		{"switched", "/elsewhere", ""}, // dropped
		{"users=parallel", "/api/users", "api"},
		{"users=10%", "/api/users", "users api"},
		{"users=0%", "/api/users", "api"},
		{"users=100%", "/api/users", "users"},
		{"users=switched", "/api/users?a=b", "users"},
		{"users=switched", "/api/posts", "api"},
		{"users=switched", "/elsewhere", "api"},
		{"users/writes=switched", "/api/users", "api"}, // POST only
		{"threads/one=0%", "/api/threads/1", "api"},    // testers only
		{"search=switched", "/api/posts", "api"},
		{"search=switched", "/api/posts?q=x", "search"},
		{"search=switched", "/api/posts?r=x&q=x", "search"},
		{"search=switched", "/api/posts?r=x", "api"},
		{"admin=switched", "/api/posts", "api"},
		{"press=switched", "/api/press/1", "press"},
		{"press=parallel", "/api/press/1", "api"},
	} {
		app, err := w.read(test.phase)
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(w.answerers(app.At, &rehearsal.Request{Path: test.route}), " "); got != test.want {
			t.Errorf("%s in %s: %q, want %q", test.route, test.phase, got, test.want)
		}
	}
}

// A directory's name is safe, and tells positions apart.
func TestDirOfAStop(t *testing.T) {
	long := strings.Repeat("service-with-a-name=switched,", 10)
	for name, want := range map[string]string{
		"parallel":                        "parallel",
		"shops/open":                      "shops/open", // of another app
		"users=10%,users/writes=switched": "users=10%,users.writes=switched",
	} {
		if got := (stop{name: name}).dir(); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
	first, second := stop{name: long + "a=10%"}.dir(), stop{name: long + "a=20%"}.dir()
	if first == second || len(first) > 40 || !strings.HasPrefix(first, "places-") {
		t.Errorf("%s and %s", first, second)
	}
}

// Only a context that is there counts.
func TestContextOf(t *testing.T) {
	for text, want := range map[string]string{
		"": "monolith", "{": "monolith", "{}": "monolith", `{"context": {}}`: "monolith",
		`{"context": {"phase": "parallel"}}`: "parallel", `{"context": {"phase": {"users": "10%"}}}`: "map[users:10%]",
	} {
		file := filepath.Join(t.TempDir(), "cdk.json")
		if text != "" {
			if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		got := phaseOf(contextOf(file))
		said, _ := json.Marshal(got)
		if text := strings.Trim(string(said), `"`); text != want && text != `{"users":"10%"}` {
			t.Errorf("%q: %s, want %s", text, said, want)
		}
	}
}

// movingForum is the forum, of which services move: "users" to Fargate, "posts" to EC2, "api" to Fargate.
func movingForum(names ...string) config.Deployment {
	d := deployment.Forum
	d.Services = slices.Clone(d.Services)
	for _, s := range append([]*config.Service{&d.Monolith}, &d.Services[0], &d.Services[1], &d.Services[2]) {
		if slices.Contains(names, s.Name) {
			s.Compute, s.Next = config.EC2{}, config.Fargate{}
			if s.Name == "posts" {
				s.Compute, s.Next = config.Fargate{}, config.EC2{}
			}
		}
	}
	return d
}

// A walk leads services to another compute beside the phases and places.
func TestStopsOfComputes(t *testing.T) {
	for walk, test := range map[string]struct {
		want  string // or the error
		gated bool
	}{
		"users@parallel": {"monolith+users@parallel", true},
		"switched,users@parallel,users@10%,users@switched,users@retired,users@switched,users@parallel,users@stopped": {
			"switched | switched+users@parallel | switched+users@10% | switched+users@switched | switched+users@retired | switched+users@switched | switched+users@parallel | switched", true},
		"switched,users@10%":                               {"switched | switched+users@10%", false},
		"switched,users@parallel,users@retired":            {"switched | switched+users@parallel | switched+users@retired", false},
		"switched,users@parallel+posts@parallel,posts@10%": {"switched | switched+posts@parallel+users@parallel | switched+posts@10%+users@parallel", true},
		// A step may be of both; a phase keeps the compute, and passes over with it.
		"parallel,switched+users@parallel,parallel":        {"parallel | switched+users@parallel | parallel+users@parallel", true},
		"parallel,users@parallel,users=10%":                {"parallel | parallel+users@parallel | posts=parallel,threads=parallel,users=parallel+users@parallel | posts=parallel,threads=parallel,users=10%+users@parallel", true},
		"users=parallel,users=10%+users@parallel,users@5%": {"users=parallel | users=10%+users@parallel | users=10%+users@5%", true},
		"users@parallel + users=parallel":                  {"users=parallel+users@parallel", true},

		"users@fargate":                  {`--walk: users@fargate: "fargate" is not a place between two kinds of compute: choose one of parallel, a share as in 10%, switched or retired, or stopped`, false},
		"users@monolith":                 {`--walk: users@monolith: "monolith" is not a place between two kinds of compute: `, false},
		"users@":                         {`--walk: users@: "" is not a place between two kinds of compute: `, false},
		"users@101%":                     {`--walk: users@101%: "101%" is not a place between two kinds of compute: `, false},
		"threads@parallel":               {`--walk: threads@parallel: "threads" does not move to another compute: choose from users, posts`, false},
		"users@parallel+users@10%":       {`--walk: users@parallel+users@10%: users is there twice: a step takes it to one place`, false},
		"users@parallel+paralel":         {`--walk: there is no phase "paralel"`, false},
		"parallel+switched":              {`--walk: there is no phase "parallel+switched"`, false},
		"users@parallel+users=paralel":   {`--walk: users@parallel+users=paralel: "paralel" is not a place: `, false},
		"users@parallel+posts=10%+users": {`--walk: users@parallel+posts=10%+users: "users" is not SERVICE=PLACE, as in users=10%`, false},
	} {
		w := walkerFor(t, movingForum("users", "posts"), map[string]any{"compute": "users=switched"})
		stops, err := w.stops(strings.Split(walk, ","))
		if err != nil {
			if !strings.HasPrefix(err.Error(), test.want) || !strings.HasPrefix(test.want, "--walk") {
				t.Errorf("%s: %v, want %s", walk, err, test.want)
			}
			continue
		}
		if walkText(stops) != test.want || w.gated(stops) != test.gated {
			t.Errorf("%s: %s, gate %v\nwant %s, gate %v", walk, walkText(stops), w.gated(stops), test.want, test.gated)
		}
		for _, stop := range stops {
			if app, err := w.read(stop.name); err != nil || app.At.String() != stop.at.String() || positionText(w.m, app.At) != stop.name {
				t.Errorf("%s is read as %v (%v), want %v", stop.name, app.At, err, stop.at)
			}
		}
	}
	if _, err := walkerFor(t, deployment.Forum, map[string]any{}).stops([]string{"users@parallel"}); err == nil || err.Error() != "--walk: users@parallel: no service moves to another compute: write Next beside the Compute of a service in the list of services" {
		t.Error(err)
	}
}

// The settings and the directory of a stop have its compute.
func TestSettingsOfAStop(t *testing.T) {
	for name, want := range map[string]string{
		"switched":                             "phase=switched in switched",
		"switched+users@10%":                   "phase=switched compute=users=10% in switched+users@10%",
		"switched+posts@retired+users@10%":     "phase=switched compute=posts=retired,users=10% in switched+posts@retired+users@10%",
		"users/writes=10%+users@switched":      "phase=users/writes=10% compute=users=switched in users.writes=10%+users@switched",
		"posts=10%,users=switched,api=retired": "phase=posts=10%,users=switched,api=retired in posts=10%,users=switched,api=retired",
	} {
		s := stop{name: name}
		if got := strings.Join(s.settings(), " ") + " in " + s.dir(); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

// The default walk takes services to their next compute and back while they have traffic.
func TestStandardWalkOfComputes(t *testing.T) {
	const round = "AT@parallel | AT@10% | AT@switched | AT@retired | AT@switched | AT@parallel"
	at := func(phase, name string) string {
		return strings.NewReplacer("AT", phase+"+"+name).Replace(round)
	}
	for _, test := range []struct {
		moving, phase, compute, rest, want string
	}{
		{"users", "monolith", "", "drop", "monolith | parallel | switched | " + at("switched", "users") + " | switched | retired | switched | parallel | monolith"},
		{"users", "parallel", "users=10%", "drop", "monolith | parallel | switched | " + at("switched", "users") + " | switched | retired | switched | parallel | monolith"},
		{"users", "parallel", "", "monolith", "monolith | parallel | switched | " + at("switched", "users") + " | switched | parallel | monolith"},
		{"api", "monolith", "", "drop", "monolith | " + at("monolith", "api") + " | monolith | parallel | switched | retired | switched | parallel | monolith"},
		{"users posts", "monolith", "", "drop", "monolith | parallel | switched | switched+posts@parallel+users@parallel | switched+posts@10%+users@10% | switched+posts@switched+users@switched | switched+posts@retired+users@retired | switched+posts@switched+users@switched | switched+posts@parallel+users@parallel | switched | retired | switched | parallel | monolith"},
		{"users", "users=switched", "users=switched", "drop", "users=switched+users@switched" +
			" | users=parallel+users@switched | users=monolith+users@switched | users=parallel+users@switched | users=10%+users@switched | users=switched+users@switched" +
			" | users=switched+users@retired | users=switched+users@switched | users=switched+users@parallel | users=switched | users=switched+users@parallel | users=switched+users@10% | users=switched+users@switched" +
			" | threads=parallel,users=switched+users@switched | threads=10%,users=switched+users@switched | threads=switched,users=switched+users@switched | threads=parallel,users=switched+users@switched | users=switched+users@switched" +
			" | posts=parallel,users=switched+users@switched | posts=10%,users=switched+users@switched | posts=switched,users=switched+users@switched | posts=parallel,users=switched+users@switched | users=switched+users@switched"},
	} {
		w := walkerFor(t, movingForum(strings.Fields(test.moving)...), map[string]any{"rest": test.rest})
		name := test.phase
		if test.compute != "" {
			name += "+" + strings.ReplaceAll(test.compute, "=", "@")
		}
		app, err := w.read(name)
		if err != nil {
			t.Fatal(err)
		}
		stops, err := w.stops(w.standard(app.At))
		if err != nil || walkText(stops) != test.want || !w.gated(stops) {
			t.Errorf("%s of %s: %s, gate %v, %v\nwant %s", name, test.moving, walkText(stops), err == nil && w.gated(stops), err, test.want)
		}
	}
	// Every moving service comes to each of its places, in a walk of places as well.
	w := walkerFor(t, movingForum("api", "users", "posts"), map[string]any{})
	app, err := w.read("users=switched,threads=switched,posts=switched,api=removed+posts@parallel")
	if err != nil {
		t.Fatal(err)
	}
	stops, err := w.stops(w.standard(app.At))
	if err != nil || !w.gated(stops) || stops[0].name != stops[len(stops)-1].name {
		t.Errorf("%s, %v", walkText(stops), err)
	}
	for _, name := range []string{"api", "users", "posts"} {
		for _, place := range thereAndBack {
			if !slices.ContainsFunc(stops, func(s stop) bool { return s.at.Compute[name] == place }) {
				t.Errorf("%s never comes to %v", name, place.ComputeWord())
			}
		}
	}
}

func TestDescribeAStepOfComputes(t *testing.T) {
	w := walkerFor(t, movingForum("users", "posts"), map[string]any{})
	w.described(t, map[string][2]string{
		"switched,users@parallel":                           {"compute of users: stopped → parallel", "users@parallel"},
		"switched,users@parallel,users@stopped":             {"compute of users: parallel → stopped", "users@stopped"},
		"users=parallel,users=10%+posts@parallel":           {"compute of posts: stopped → parallel, users: parallel → 10%", "posts@parallel, users=10%"},
		"parallel,switched+users@parallel":                  {"", ""},
		"parallel+users@parallel,users=parallel":            {"a place for each service", "each in parallel+users@parallel"},
		"users=monolith+users@parallel,monolith":            {"one phase for all services", "monolith+users@parallel"},
		"switched,users@parallel+posts@parallel":            {"compute of users: stopped → parallel, compute of posts: stopped → parallel", "users@parallel, posts@parallel"},
		"users=10%,posts=parallel+users@parallel,posts=10%": {"posts: parallel → 10%", "posts=10%"},
	})
}

// Who may answer are pairs.
func TestAnswerersOfComputes(t *testing.T) {
	w := walkerFor(t, movingForum("api", "users", "posts"), map[string]any{})
	for name, want := range map[string]string{
		"monolith+api@10%":            "api api-fargate",
		"switched":                    "users",
		"switched+users@0%":           "users",
		"switched+users@10%":          "users users-fargate",
		"switched+users@retired":      "users-fargate",
		"users=10%+users@10%+api@10%": "users users-fargate api api-fargate",
		"users=10%+users@switched":    "users-fargate api",
		"users=parallel+users@10%":    "api",
		"parallel+api@switched":       "api-fargate",
	} {
		app, err := w.read(name)
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(w.answerers(app.At, &rehearsal.Request{Path: "/api/users"}), " "); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
}

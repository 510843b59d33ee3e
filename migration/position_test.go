package migration_test

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"cutover/migration"
)

func TestParsePlace(t *testing.T) {
	for text, want := range map[string]migration.Place{
		"monolith": {},
		"parallel": {Phase: migration.Parallel},
		"0%":       {Phase: migration.Parallel, Shifted: true},
		"10%":      {Phase: migration.Parallel, Shifted: true, Percent: 10},
		"100%":     {Phase: migration.Parallel, Shifted: true, Percent: 100},
		"switched": {Phase: migration.Switched},
	} {
		if got, err := migration.ParsePlace(text); err != nil || got != want || got.String() != text {
			t.Errorf("%q is %+v, %v, and as a text %q", text, got, err, got)
		}
	}
	const noShare, noPlace = "is not a share: use a whole number from 0% to 100%", "is not a place: choose one of monolith, parallel, a share as in 10%, or switched"
	for text, why := range map[string]string{
		"101%": noShare, "-1%": noShare, "1.5%": noShare, "%": noShare, "ten%": noShare, "10 %": noShare, "010%": noShare, "+5%": noShare, "-0%": noShare, "10%%": noShare,
		"": noPlace, "10": noPlace, "Parallel": noPlace, "retired": noPlace, "removed": noPlace, "shift": noPlace, " switched": noPlace,
	} {
		if got, err := migration.ParsePlace(text); err == nil || err.Error() != fmt.Sprintf("%q %s", text, why) {
			t.Errorf("%q is %v, %v, want the error %q", text, got, err, why)
		}
	}
}

// The phase of places is what all of them have reached, unless the monolith is retired.
func TestAt(t *testing.T) {
	for text, want := range map[string]migration.Phase{
		"threads=monolith,users=switched":             migration.Monolith,
		"threads=parallel,users=switched":             migration.Parallel,
		"threads=0%,users=switched":                   migration.Parallel,
		"threads=switched,users=switched":             migration.Switched,
		"threads=switched,users=switched,api=retired": migration.Retired,
		"threads=switched,users=switched,api=removed": migration.Removed,
	} {
		at := placed(t, text)
		if at.Phase != want || at.PhaseText("api") != text {
			t.Errorf("%s is in %v, and as a text %s", text, at.Phase, at.PhaseText("api"))
		}
		// The monolith's phase does not matter before it is retired.
		if want < migration.Retired && migration.At(at.Places, migration.Parallel).Phase != want {
			t.Errorf("%s with a monolith in parallel is in %v", text, migration.At(at.Places, migration.Parallel).Phase)
		}
	}
}

func TestPositionForPeople(t *testing.T) {
	for _, test := range []struct {
		at           migration.Position
		text, phases string
	}{
		{migration.Position{Phase: migration.Removed}, "removed", "removed"},
		{migration.Position{Phase: migration.Parallel, Shift: map[string]int{"users": 10, "posts": 5}}, "parallel, posts=5,users=10", "parallel"},
		{placed(t, "users/writes=switched,users=10%,posts=monolith"), "posts=monolith, users=10%, users/writes=switched", "posts=monolith,users=10%,users/writes=switched"},
		{placed(t, "users=switched,api=retired"), "users=switched, the monolith retired", "users=switched,the monolith=retired"},
	} {
		if test.at.String() != test.text || test.at.PhaseText("") != test.phases {
			t.Errorf("%q and %q, want %q and %q", test.at, test.at.PhaseText(""), test.text, test.phases)
		}
	}
}

// A place for each route moves nothing: the same requests go to the same services.
func TestEach(t *testing.T) {
	routes := users
	routes.Routes = append(routes.Routes, migration.Route{Name: "writes", Order: 5, Match: path("/api/writes*")})
	services := []migration.Service{routes, threads}
	m := migration.Migration{Monolith: api, Services: services}
	for _, test := range []struct {
		at   migration.Position
		want string
	}{
		{migration.Position{Phase: migration.Monolith}, "threads=monolith, users=monolith, users/writes=monolith"},
		{migration.Position{Phase: migration.Parallel, Shift: map[string]int{"users": 10}}, "threads=parallel, users=10%, users/writes=10%"},
		{migration.Position{Phase: migration.Switched}, "threads=switched, users=switched, users/writes=switched"},
		{migration.Position{Phase: migration.Retired}, "threads=switched, users=switched, users/writes=switched, the monolith retired"},
		{placed(t, "users=10%,users/writes=switched,threads=monolith"), "threads=monolith, users=10%, users/writes=switched"},
	} {
		each := test.at.Each(services)
		if each.String() != test.want {
			t.Errorf("each of %v is %v, want %s", test.at, each, test.want)
		}
		before, after := m.Plan(test.at), m.Plan(each)
		if diff := cmp.Diff(before.Tasks, after.Tasks); diff != "" {
			t.Errorf("%v has other tasks with places (-before +after):\n%s", test.at, diff)
		}
		for _, match := range []migration.Match{path("/api/users*"), path("/api/writes*"), path("/api/threads*"), path("/other")} {
			if a, b := before.At("").Answers(match), after.At("").Answers(match); !cmp.Equal(a, b) {
				t.Errorf("%v: %v goes to %v, and with places to %v", test.at, match, a, b)
			}
		}
	}
}

func TestMatchForPeople(t *testing.T) {
	for _, test := range []struct {
		match migration.Match
		want  string
	}{
		{path("/a*"), "/a*"},
		{migration.Match{Paths: []string{"/a*", "/b"}, Methods: []string{"GET", "POST"}}, "/a* or /b with method GET or POST"},
		{migration.Match{Hosts: []string{"*.example.com"}}, "any path with host *.example.com"},
		{migration.Match{Headers: map[string][]string{"X-B": {"2"}, "X-A": {"1", "3"}}, Query: map[string][]string{"v": {"2"}}},
			"any path with header X-A 1 or 3 and header X-B 2 and query v=2"},
	} {
		if got := test.match.String(); got != test.want {
			t.Errorf("%q, want %q", got, test.want)
		}
	}
}

// One match covers another one if it has no condition that the other one does not meet.
func TestMatchCovers(t *testing.T) {
	post := migration.Match{Paths: []string{"/a*"}, Methods: []string{"POST"}}
	header := func(name string, values ...string) migration.Match {
		return migration.Match{Headers: map[string][]string{name: values}}
	}
	query := func(key string, values ...string) migration.Match {
		return migration.Match{Query: map[string][]string{key: values}}
	}
	host := func(hosts ...string) migration.Match { return migration.Match{Hosts: hosts} }
	both := migration.Match{Headers: map[string][]string{"A": {"1"}, "B": {"1"}}}
	for _, test := range []struct {
		wide, narrow migration.Match
		want         bool
	}{
		{migration.Match{}, post, true},
		{post, migration.Match{}, false},
		{path("/a*"), post, true},
		{post, path("/a*"), false},
		{migration.Match{Methods: []string{"POST", "PUT"}}, post, true},
		{migration.Match{Methods: []string{"post"}}, post, false}, // case-sensitive
		{migration.Match{Methods: []string{"P*"}}, post, false},   // without wildcards
		{migration.Match{Paths: []string{"/a*", "/b*"}}, migration.Match{Paths: []string{"/b/1", "/a"}}, true},
		{migration.Match{Paths: []string{"/a*"}}, migration.Match{Paths: []string{"/a", "/b"}}, false},
		{path("/A*"), path("/a"), false},
		{host("*.Example.com"), host("shop.example.COM"), true},
		{host("shop.example.com"), host("*.example.com"), false},
		{host("*.example.com"), path("/a"), false},
		{header("X-Team", "a*", "b"), header("x-team", "B", "ax"), true},
		{header("X-Team", "a"), header("X-Team", "a", "b"), false},
		{header("X-Team", "a"), header("X-Other", "a"), false},
		{header("X-Team", "a"), both, false},
		{header("A", "1"), both, true},
		{both, header("A", "1"), false},
		{query("v", "2"), query("V", "2"), true},
		{query("v", "2"), header("v", "2"), false},
	} {
		if got := test.wide.Covers(test.narrow); got != test.want {
			t.Errorf("%v covers %v: %t, want %t", test.wide, test.narrow, got, test.want)
		}
	}
}

// What can be given a place, and which routes a name stands for.
func TestNames(t *testing.T) {
	m := migration.Migration{Monolith: api, Services: []migration.Service{
		{Name: "users", Routes: []migration.Route{{Name: "writes"}, {}}},
		{Name: "posts", Routes: []migration.Route{{Name: "reads"}, {Name: "writes"}}},
		{Name: "users-old", Routes: []migration.Route{{}}},
	}}
	if diff := cmp.Diff([]string{"users", "users/writes", "posts", "posts/reads", "posts/writes", "users-old"}, m.Names()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for name, want := range map[string][]string{
		"users": {"users/writes", "users"}, "users/writes": {"users/writes"}, "posts": {"posts/reads", "posts/writes"},
		"users-old": {"users-old"}, "posts/": nil, "writes": nil, "api": nil, "": nil,
	} {
		if diff := cmp.Diff(want, m.Named(name)); diff != "" {
			t.Errorf("%q (-want +got):\n%s", name, diff)
		}
	}
}

func TestMonolith(t *testing.T) {
	var got []string
	for _, phase := range migration.Phases() {
		got = append(got, phase.OfMonolith())
	}
	if diff := cmp.Diff([]string{"running", "running", "running", "retired", "removed"}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// A match taken apart by its paths, and with its testers, leaves the route as it was.
func TestParts(t *testing.T) {
	route := migration.Route{
		Match:   migration.Match{Paths: []string{"/a", "/b"}, Headers: map[string][]string{"X-A": {"1"}}},
		Testers: map[string][]string{"Cookie": {"*canary=1*"}},
	}
	var got []string
	for _, match := range route.EachPath() {
		got = append(got, match.String())
	}
	for _, match := range (migration.Match{Methods: []string{"GET"}}).EachPath() {
		got = append(got, match.String())
	}
	got = append(got, route.ForTesters().String(), route.Match.String())
	want := []string{
		"/a with header X-A 1", "/b with header X-A 1", "any path with method GET",
		"/a or /b with header Cookie *canary=1* and header X-A 1", "/a or /b with header X-A 1",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

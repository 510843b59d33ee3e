package golden_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"cutover/deployment"
	"cutover/internal/analysis/controls"
	"cutover/internal/analysis/cost"
	"cutover/internal/analysis/criticalpath"
	"cutover/internal/analysis/review"
	"cutover/internal/golden"
	"cutover/internal/model"
)

// stores are the golden assemblies with databases.
var stores = []string{golden.DynamoDB, golden.PostgreSQL, golden.ProductionPostgreSQL}

// TestStoresAreApart: a service reaches its own table or database, and no other. The monolith, whose
// modules answer for the services until it is retired, reaches all of them.
func TestStoresAreApart(t *testing.T) {
	monolith := deployment.Forum.Monolith.Name
	for _, name := range stores {
		i := isolated(t, name)
		if len(i.Stores) != len(deployment.Forum.Services) {
			t.Errorf("%s has the stores %+v", name, i.Stores)
		}
		if trespasses := i.Trespasses(func(service, _ string) bool { return service == monolith }); trespasses != nil {
			t.Errorf("%s: %s", name, strings.Join(trespasses, "\n"))
		}
		// If the monolith may not, it trespasses on each of them, and nobody else does.
		trespasses := i.Trespasses(func(_, _ string) bool { return false })
		if len(trespasses) != len(i.Stores) || slices.ContainsFunc(trespasses, func(line string) bool { return !strings.HasPrefix(line, monolith+": task may do ") }) {
			t.Errorf("%s: without the monolith's right: %s", name, strings.Join(trespasses, "\n"))
		}
		for _, wrong := range append(i.TooWide(), i.Foreign(serviceNames())...) {
			t.Errorf("%s: %s", name, wrong)
		}
	}
}

// TestControlsOfStores: tables and databases meet the controls by default, but for those that a setting of
// production meets.
func TestControlsOfStores(t *testing.T) {
	for _, name := range stores {
		m := model.Read(deployed(t, name))
		for _, unlisted := range controls.Unlisted(m) {
			t.Errorf("%s: the table of controls says nothing about %s", name, unlisted)
		}
		for _, c := range controls.All {
			findings := c.Check(m)
			switch {
			case c.Setting != "" && name == golden.PostgreSQL && c.Type != model.RDSCluster && c.Type != model.RDSInstance, c.Setting != "" && name == golden.DynamoDB:
			case c.Setting != "" && name == golden.PostgreSQL:
				if len(findings) == 0 {
					t.Errorf("%s meets %s without %s", name, c.ID, c.Setting)
				}
			case len(findings) > 0:
				t.Errorf("%s does not meet %s: %v", name, c.ID, findings)
			}
		}
	}
}

// TestCostOfStores: nothing that stores cost is unknown. A cluster that pauses costs nothing beside its secret.
func TestCostOfStores(t *testing.T) {
	for name, want := range map[string]string{
		golden.DynamoDB:             "",
		golden.PostgreSQL:           "1 database instance of 0 ACU at least 0.00, 1 secret 0.40",
		golden.ProductionPostgreSQL: "2 database instances of 0.5 ACU at least 87.60, 1 secret 0.40",
	} {
		estimates, err := cost.Read(model.Read(deployed(t, name)))
		if err != nil || len(estimates) != 1 || estimates[0].Unpriced != nil || estimates[0].Unknown != nil {
			t.Errorf("%s: %+v, %v", name, estimates, err)
			continue
		}
		var lines []string
		for _, line := range estimates[0].Lines {
			if strings.Contains(line.Item, "database") || strings.Contains(line.Item, "secret") {
				lines = append(lines, line.Item+" "+line.Amount.String())
			}
		}
		if calls := strings.Join(estimates[0].Calls, "\n"); strings.Contains(calls, "its table") {
			t.Errorf("%s has no gateway endpoint: %s", name, calls)
		}
		equal(t, "cost of the stores of "+name, want, strings.Join(lines, ", "))
	}
}

// TestCriticalPathsOfStores: stores make the first deployment no longer, since their stack goes beside the
// cluster's. A deployment that adds them has the tables or the database first, then the services. How long
// AWS takes for a cluster is not in the templates.
func TestCriticalPathsOfStores(t *testing.T) {
	for _, test := range []struct {
		from, to string
		want     criticalpath.Length
	}{
		{"", golden.DynamoDB, criticalpath.Length{Stacks: 4, Steps: 14, Seconds: 10}},
		{"", golden.PostgreSQL, criticalpath.Length{Stacks: 4, Steps: 14, Seconds: 10}},
		{"parallel", golden.DynamoDB, criticalpath.Length{Stacks: 3, Steps: 5, Seconds: 45}},
		{"parallel", golden.PostgreSQL, criticalpath.Length{Stacks: 3, Steps: 8, Seconds: 45}},
	} {
		name := fmt.Sprintf("from %q to %s", test.from, test.to)
		got := path(t, test.from, test.to)
		equal(t, name, test.want, got.Longest)
		if len(got.Unknown) > 0 {
			t.Errorf("%s: not known: %v", name, got.Unknown)
		}
		for _, s := range got.Stacks {
			waits := slices.ContainsFunc(s.Needs, func(n criticalpath.Need) bool { return n.Stack == "dev-Data" })
			service := slices.Contains(serviceNames(), strings.ToLower(strings.TrimPrefix(s.Name, "dev-")))
			if waits != service {
				t.Errorf("%s: %s waits for the stores: %t", name, s.Name, waits)
			}
		}
	}
}

// TestLossesOfStores: by default nothing deletes records, and a review says where they stay.
func TestLossesOfStores(t *testing.T) {
	of := func(from, to string) (lines []string) {
		for _, l := range review.Losses([]review.Pair{{Name: to, Before: golden.Read(t, root, from), After: golden.Read(t, root, to)}}) {
			if l.Deletes {
				t.Errorf("from %s to %s: %s %s", from, to, l.Of, l.Does)
			}
			lines = append(lines, l.Of+" "+l.Does)
		}
		return lines
	}
	const gone, first = "stays with its data, and belongs to no stack: none can be created that is called ", "posts has its records in "
	const unread = ": what is in the old store is not moved, and no longer read or written"
	for _, test := range []struct {
		from, to string
		want     []string // of posts, or of all databases
	}{
		{"parallel", golden.DynamoDB, nil},
		{golden.DynamoDB, golden.DynamoDB, nil},
		{golden.DynamoDB, golden.PostgreSQL, []string{"dev-Data/PostsTable " + gone + "dev-posts, too", first + "the database posts instead of the table dev-posts" + unread}},
		{golden.PostgreSQL, golden.DynamoDB, []string{"dev-Data/Database " + gone + "dev, too", first + "the table dev-posts instead of the database posts" + unread}},
		{golden.DynamoDB, "parallel", []string{"dev-Data/PostsTable stays, and nothing deploys its stack any more; if you delete the stack, it " + gone + "dev-posts, too",
			first + "a file of its image instead of the table dev-posts" + unread}},
	} {
		got := slices.DeleteFunc(of(test.from, test.to), func(line string) bool {
			return strings.Contains(line, "Threads") || strings.Contains(line, "Users") || strings.HasPrefix(line, "threads") || strings.HasPrefix(line, "users")
		})
		equal(t, "from "+test.from+" to "+test.to, test.want, got)
	}
}

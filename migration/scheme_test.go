package migration_test

import (
	"slices"
	"testing"

	"cutover/migration"
)

// In no state of a migration do internal load balancers follow internet-facing ones, or the other way.
func TestSchemesExcludeEachOther(t *testing.T) {
	service := func(name string) migration.Service {
		return migration.Service{Name: name, Routes: []migration.Route{{Match: migration.Match{Paths: []string{"/" + name}}}}}
	}
	m := migration.Migration{Monolith: service("api"), Services: []migration.Service{service("users"), service("posts")}}
	states := migration.States()
	for _, places := range []string{"posts=monolith,users=monolith", "posts=monolith,users=shift", "posts=switched,users=parallel", "posts=switched,users=switched"} {
		states = append(states, migration.State{Places: places})
	}
	names := func(s migration.State, internal bool) (first, all []string) {
		for _, lock := range m.Locks(s) {
			for _, p := range lock.Gate {
				first = append(first, p.Name)
			}
			for _, p := range lock.Last {
				all = append(all, p.Name)
			}
		}
		if internal {
			for _, names := range [][]string{first, all} {
				for i, name := range names {
					if names[i] = migration.Internal(name); migration.InternetFacing(names[i]) != name {
						t.Errorf("%s is %s, and back %s", name, names[i], migration.InternetFacing(names[i]))
					}
				}
			}
			for _, p := range migration.NotInternetFacing() {
				first = append(first, p.Name)
			}
		}
		slices.Sort(first)
		if len(slices.Compact(slices.Clone(first))) != len(first) {
			t.Errorf("%s claims a name twice: %q", s, first)
		}
		return first, append(all, first...)
	}
	meet := func(a, b []string) bool {
		return slices.ContainsFunc(a, func(name string) bool { return name != "phase" && slices.Contains(b, name) })
	}
	for _, deployed := range states {
		for _, next := range states {
			internal, _ := names(next, true)
			_, facing := names(deployed, false)
			if !meet(internal, facing) {
				t.Errorf("internal load balancers in %s follow internet-facing ones in %s", next, deployed)
			}
			_, held := names(deployed, true)
			plain, _ := names(next, false)
			if !meet(plain, held) {
				t.Errorf("internet-facing load balancers in %s follow internal ones in %s", next, deployed)
			}
		}
		// What may follow with one scheme may follow with the other.
		for _, next := range states {
			claimed, _ := names(next, true)
			_, reached := names(deployed, true)
			own := slices.DeleteFunc(slices.Clone(claimed), func(name string) bool {
				return slices.ContainsFunc(migration.NotInternetFacing(), func(p migration.Parameter) bool { return p.Name == name })
			})
			plain, _ := names(next, false)
			_, before := names(deployed, false)
			if a, b := meet(own, reached), meet(plain, before); a != b {
				t.Errorf("%s after %s: a name is held already: %t with internal load balancers, %t with others", next, deployed, a, b)
			}
		}
	}
}

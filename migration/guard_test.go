package migration_test

import (
	"slices"
	"testing"

	"cutover/migration"
)

// TestGuard: of two places, the names let the second one follow exactly if the lock of several stacks does.
func TestGuard(t *testing.T) {
	places := []string{"monolith", "parallel", "0%", "10%", "100%", "switched"}
	refused := 0
	for _, from := range places {
		for _, to := range places {
			after, next := guard(t, from), guard(t, to)
			clash := slices.ContainsFunc(next, func(p migration.Parameter) bool {
				return slices.ContainsFunc(after, func(held migration.Parameter) bool { return held.Name == p.Name && held.ID != p.ID })
			})
			if clash {
				refused++
			}
			if follows := migration.PlaceFollows(lined(from), lined(to)); clash == follows {
				t.Errorf("%s after %s: refused %v, want %v", to, from, clash, !follows)
			}
		}
	}
	if refused != 8 { // between monolith on one side, and shares and switched on the other, both ways
		t.Errorf("%d moves are refused", refused)
	}
}

func guard(t *testing.T, place string) []migration.Parameter {
	t.Helper()
	p, err := migration.ParsePlace(place)
	if err != nil {
		t.Fatal(err)
	}
	return migration.Guard("orders", p)
}

// lined is the name of a place in the interlock.
func lined(place string) string {
	if place[len(place)-1] == '%' {
		return "shift"
	}
	return place
}

package review

import (
	"fmt"
	"maps"
	"slices"

	"cutover/migration"
)

// early are new routes that get requests before they run.
func early(before, after Side) []string {
	lines := []string{}
	for _, key := range migration.Early(before.Migration, before.At, after.Migration, after.At) {
		lines = append(lines, key+" is new and gets requests at once. They are answered with 503 until it runs, and nothing refuses that: begin with monolith or parallel")
	}
	return lines
}

// turns says which services are out of turn, and what comes next.
func turns(before, after Side) []string {
	lines, _ := jumps(before, after)
	one, other := before, after
	one.At.Compute, other.At.Compute = nil, nil
	one.Migration, other.Migration = one.Migration.OnEC2(), other.Migration.OnEC2()
	if migration.Follow(one.Migration.Locks(one.state()), other.Migration.Locks(other.state())) {
		return lines // it is the computes alone
	}
	monolith := after.Migration.Monolith.Name
	if after.Migration.KeepRest && before.At.Phase >= migration.Retired {
		lines = append(lines, monolith+" gets the rest before it runs: first deploy switched, then let the monolith keep the rest")
	}
	if before.At.Places == nil && after.At.Places == nil {
		return lines
	}
	if (before.At.Places == nil) != (after.At.Places == nil) {
		return append(lines, "between one phase for all and a place for each service, a deployment moves nothing: first bring all services to one place (monolith, parallel or switched), then pass over in a deployment of its own")
	}
	was, is := before.state(), after.state()
	for _, key := range slices.Sorted(maps.Keys(after.At.Places)) {
		from, known := before.At.Places[key]
		back := before.At.Phase >= migration.Retired && is.Place(key) != migration.Switched.String()
		if known && (back || !migration.PlaceFollows(was.Place(key), is.Place(key))) {
			lines = append(lines, fmt.Sprintf("%s is in %s, and %s does not follow: %s", key, from, after.At.Places[key], next(from, before.At.Phase)))
		}
	}
	if phase := after.At.Phase; (phase >= migration.Retired || before.At.Phase >= migration.Retired) && phase != before.At.Phase {
		switch {
		case before.At.Phase == migration.Removed && phase != migration.Retired:
			lines = append(lines, monolith+" is removed: retired comes first on the way back")
		case phase == migration.Removed && before.At.Phase == migration.Switched && !before.Migration.KeepRest:
			lines = append(lines, monolith+" runs, and removed does not follow: retired comes next")
		case phase >= migration.Retired && (before.At.Phase < migration.Switched || before.Migration.KeepRest):
			lines = append(lines, fmt.Sprintf("%s cannot be %s yet: first deploy each service as switched, and the rest as dropped", monolith, phase))
		}
	}
	return lines
}

// next says what may follow a place.
func next(p migration.Place, monolith migration.Phase) string {
	switch {
	case monolith >= migration.Retired:
		return "the monolith has to run first"
	case p.Shifted:
		return "another share or switched comes next, or parallel to go back"
	case p.Phase == migration.Monolith:
		return "parallel comes next"
	case p.Phase == migration.Parallel:
		return "a share or switched comes next, or monolith to go back"
	}
	return "a share or parallel is the way back"
}

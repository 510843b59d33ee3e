package review

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"cutover/internal/assembly"
	"cutover/internal/model"
	"cutover/internal/words"
	"cutover/migration"
)

// Side is a deployment where the migration is, before or after the change.
type Side struct {
	Migration migration.Migration
	At        migration.Position
}

func (s Side) plan() migration.Plan   { return s.Migration.Plan(s.At) }
func (s Side) state() migration.State { return s.Migration.State(s.At) }

// Move is what the change does to the position in cdk.json.
type Move struct {
	// From and To are positions. With places for each service on both sides they have only what
	// differs.
	From string `json:"from"`
	To   string `json:"to"`
	// Services has each route, if services have places of their own on a side.
	Services []ServiceMove `json:"services"`
	// Computes has each service that is on Fargate or Lambda on a side, or on its way to another compute.
	Computes []ComputeMove `json:"computes"`
	// Changes say in words what else the deployment does. Empty if the position stays.
	Changes []string `json:"changes"`
	// OutOfTurn says that the move leaves out a step: refused, unless the app is Ungated.
	OutOfTurn bool `json:"outOfTurn"`
	Ungated   bool `json:"ungated"`
	// Turns say what is out of turn, and what comes next. Empty with one phase for all.
	Turns []string `json:"turns"`
	// Early are new services and routes that get requests before they run. Nothing refuses them.
	Early []string `json:"early"`
	// Jumps are services that leave a place out on their way to another compute. Nothing refuses them.
	Jumps []string `json:"jumps"`
	// NoReturn says what the removal of the monolith deletes. Empty if it is not removed.
	NoReturn []string `json:"noReturn"`
	// Left are stacks of the interlock that stay behind.
	Left []string `json:"left"`
	// Functions are stacks of functions that stay behind.
	Functions []string `json:"functions"`
}

// ServiceMove is what happens to a route of a service with a place of its own.
type ServiceMove struct {
	// Service is the route, as in "users" or "users/writes".
	Service string `json:"service"`
	// From and To are places. From is empty for a new route.
	From string `json:"from"`
	To   string `json:"to"`
	// Does is in words what happens. Empty if the route stays.
	Does string `json:"does"`
}

// mostPlaces is how many places the name of a position has.
const mostPlaces = 6

// Name is the position for people. Of many services, it has the first.
func (s Side) Name() string { return withComputes(s.name(), s.computes()) }

// name is [Side.Name] without computes.
func (s Side) name() string {
	at := s.At
	at.Compute = nil
	if at.Places == nil {
		return at.String()
	}
	return few(mostPlaces, s.places(), "")
}

// places lists the places, as in "users=switched".
func (s Side) places() []string {
	return strings.Split(s.At.PhaseText(s.Migration.Monolith.Name), ",")
}

// Names are two positions for people. If both have places, only what differs is named.
func Names(before, after Side) (from, to string) {
	from, to = placeNames(before, after)
	if one, other := computesApart(before, after); len(one) > 0 {
		if from == to && before.At.Places != nil {
			from, to = "", ""
		}
		return withComputes(from, one), withComputes(to, other)
	}
	if from == to {
		return before.Name(), after.Name()
	}
	return from, to
}

// placeNames is [Names] without computes.
func placeNames(before, after Side) (from, to string) {
	if before.At.Places == nil || after.At.Places == nil || slices.Equal(before.places(), after.places()) {
		return before.name(), after.name()
	}
	without := func(one, other Side) string {
		places := slices.DeleteFunc(one.places(), func(place string) bool { return slices.Contains(other.places(), place) })
		if len(places) == 0 && other.At.Phase >= migration.Retired {
			places = []string{one.Migration.Monolith.Name + "=" + migration.Running}
		}
		return cmp.Or(few(mostPlaces, places, ""), "nothing")
	}
	return without(before, after), without(after, before)
}

// NoMove is the move of an app that stays at a position.
func NoMove(at string) Move {
	return Move{From: at, To: at, Services: []ServiceMove{}, Computes: []ComputeMove{}, Jumps: []string{}, Changes: []string{}, Turns: []string{}, Early: []string{}, NoReturn: []string{}, Left: []string{}, Functions: []string{}}
}

// NewMove explains a move. The pair has the assemblies of the two positions. If one phase is for
// all, changes say what the deployment does.
func NewMove(before, after Side, pair Pair, ungated bool, changes []string) Move {
	from, to := Names(before, after)
	m := NoMove(to)
	m.From, m.Ungated = from, ungated
	m.Left, m.Functions = leftBehind(pair, interlockOnly), leftBehind(pair, functionOnly)
	m.Early = early(before, after)
	m.OutOfTurn = !migration.Follow(before.Migration.Locks(before.state()), after.Migration.Locks(after.state()))
	m.NoReturn = noReturn(before, after, pair)
	apart := before.At.Places != nil || after.At.Places != nil
	if m.OutOfTurn {
		m.Turns = turns(before, after)
	}
	_, m.Jumps = jumps(before, after)
	m.Computes = computeMoves(before, after, m.OutOfTurn || len(m.Jumps) > 0, apart)
	if apart {
		m.Services = serviceMoves(before, after, m.OutOfTurn)
	}
	switch {
	case from == to:
	case len(m.NoReturn) > 0 && before.At.Phase == migration.Retired:
		m.Changes = []string{"each request is answered as before"}
	case apart:
		m.Changes = around(before, after, m.Services)
	default:
		m.Changes = changes
	}
	return m
}

// serviceMoves says what happens to each route.
func serviceMoves(before, after Side, outOfTurn bool) []ServiceMove {
	moves := []ServiceMove{}
	for _, s := range after.Migration.Services {
		told := before.compute(s.Name) != "" && before.compute(s.Name) != after.compute(s.Name) // of the tasks
		for _, r := range s.Routes {
			move := ServiceMove{Service: migration.Key(s.Name, r.Name), To: after.At.Place(s.Name, r.Name).String()}
			var from migration.Place
			if _, known := before.Migration.Route(s.Name, r.Name); known {
				from = before.At.Place(s.Name, r.Name)
				move.From = from.String()
			}
			if to := after.At.Place(s.Name, r.Name); move.From != move.To {
				tasks := ""
				if !told {
					old, known := before.Migration.Service(s.Name)
					if !known {
						old = s
					}
					tasks, told = strings.Join(pairsRun(before, after, old, s), ", "), true
				}
				move.Does = does(after.Migration, r, from, to, tasks)
				if move.From == "" {
					move.Does = "is new; " + move.Does
				} else if !outOfTurn && forth(to) > forth(from) {
					move.Does += "; the way back is one step"
				}
			}
			moves = append(moves, move)
		}
	}
	return moves
}

// forth is how far a place is on the way.
func forth(p migration.Place) int {
	switch {
	case p.Shifted:
		return 2 + p.Percent
	case p.Phase == migration.Switched:
		return 103
	}
	return int(p.Phase)
}

// does says what happens to the traffic and the tasks of a route.
func does(m migration.Migration, r migration.Route, from, to migration.Place, tasks string) string {
	share := func(p migration.Place) string {
		switch {
		case p.Shifted:
			return fmt.Sprintf("%d %%", p.Percent)
		case p.Phase == migration.Switched:
			return "all"
		}
		return "none"
	}
	parts := []string{fmt.Sprintf("from %s to %s of its traffic", share(from), share(to))}
	switch testers := len(r.Testers) > 0 && from.Shifted != to.Shifted; {
	case share(from) == share(to) && to.Phase == migration.Parallel:
		return strings.TrimPrefix(tasks+", gets no requests yet", ", ")
	case share(from) == share(to):
		return cmp.Or(tasks, "gets no requests, as before")
	case testers && to.Shifted && from.Phase < migration.Switched:
		parts[0] += ", and testers"
	case testers && to.Phase < migration.Switched:
		parts[0] += ", and no testers"
	}
	if forth(to) < forth(from) {
		parts = append(parts, m.Monolith.Name+" answers the rest")
	}
	if tasks != "" {
		parts = append(parts, tasks)
	}
	return strings.Join(parts, "; ")
}

// runs says how the tasks of a service change; it is empty if they do not.
func runs(was, is migration.Tasks) string {
	switch {
	case was == is:
		return ""
	case was.Count == 0:
		return "starts with " + words.Count(is.Count, "task")
	case is.Count == 0:
		return "stops; its service stays, without tasks"
	case is.Kept:
		return fmt.Sprintf("scales from %d to %s", is.Count, words.Count(is.Max, "task"))
	}
	return fmt.Sprintf("runs %s, however many it has been scaled to", words.Count(is.Count, "task"))
}

// around says what else a move of services with places does: to those that stay, to the monolith and
// to what no service claims.
func around(before, after Side, services []ServiceMove) (lines []string) {
	monolith := after.Migration.Monolith.Name
	stays, keys := map[string][]string{}, []string{}
	for _, s := range services {
		if s.Does == "" {
			stays[s.To] = append(stays[s.To], s.Service)
			keys = append(keys, s.Service)
		}
	}
	if pass := (before.At.Places == nil) != (after.At.Places == nil); pass && len(keys) == len(services) && before.At.Phase == after.At.Phase {
		to := "a place for each service"
		if after.At.Places == nil {
			to = "one phase for all"
		}
		return append(lines, fmt.Sprintf("passes over to %s, and moves nothing: each request is answered as before", to))
	}
	for _, place := range slices.Sorted(maps.Keys(stays)) {
		lines = append(lines, fmt.Sprintf("stays in %s: %s", place, few(12, stays[place], "")))
	}
	was, is := before.plan(), after.plan()
	switch {
	case after.At.Phase == migration.Removed:
	case before.At.Phase == migration.Removed:
		lines = append(lines, "the service of "+monolith+", its target groups and its roles are created anew, without tasks")
	case before.compute(monolith) == after.compute(monolith):
		for _, pair := range after.Migration.Monolith.Pairs() {
			if text := runs(was.Tasks[pair], is.Tasks[pair]); text != "" {
				lines = append(lines, pair+" "+text)
			}
		}
	}
	rest := request{Match: migration.Match{}}
	then, now := answered(was, "", rest), answered(is, "", rest)
	line := "everything else goes to " + now
	if now == nobody {
		line = "everything else is answered with 503"
	}
	if then == now {
		line += ", as before"
	}
	lines = append(lines, line)
	if then != nobody && now == nobody {
		then := ", and goes on running"
		if after.Migration.Monolith.IsFunction(after.Migration.Leading(monolith, after.At)) {
			then = ", and costs nothing while it waits"
		}
		lines = append(lines, monolith+" gets nothing any more"+then)
	}
	return lines
}

// noReturn says what a removal of the monolith deletes, what stays, and what a step back does.
func noReturn(before, after Side, pair Pair) []string {
	lines := []string{}
	if after.At.Phase != migration.Removed || before.At.Phase == migration.Removed {
		return lines
	}
	deleted := map[string]int{}
	var types []string
	for _, stack := range pair.Before.Stacks {
		for _, resource := range stack.Resources {
			if pair.After.Stack(stack.Name) == nil || pair.After.Stack(stack.Name).Resource(resource.LogicalID) != nil || resource.Type == model.SSMParameter {
				continue
			}
			if deleted[resource.Type]++; deleted[resource.Type] == 1 {
				types = append(types, resource.Type)
			}
		}
	}
	if len(types) == 0 {
		return lines
	}
	slices.Sort(types)
	for i, t := range types {
		types[i] = fmt.Sprintf("%d %s", deleted[t], t)
	}
	monolith := before.Migration.Monolith.Name
	if len(before.Migration.Monolith.Tasked()) == 0 {
		return append(lines,
			fmt.Sprintf("deleted: what only %s needs (%s)", monolith, strings.Join(types, ", ")),
			fmt.Sprintf("kept: the function of %s, and its logs", monolith),
			fmt.Sprintf("a step back to retired makes new target groups for the function of %s", monolith))
	}
	return append(lines,
		fmt.Sprintf("deleted: the service of %s with all that only it needs (%s)", monolith, strings.Join(types, ", ")),
		fmt.Sprintf("kept: the log group of %s, and its repository with the images", monolith),
		fmt.Sprintf("a step back to retired creates the service of %s anew, with new target groups and roles, and without tasks", monolith))
}

// interlockOnly and functionOnly say whether a stack is one of the interlock, or has a function behind a load
// balancer.
func interlockOnly(s *assembly.Stack) bool { return interlockStack.MatchString(s.Name) }

func functionOnly(s *assembly.Stack) bool {
	return slices.ContainsFunc(s.Resources, func(r *assembly.Resource) bool {
		return r.Type == model.LambdaPermission && r.Properties["Principal"] == "elasticloadbalancing.amazonaws.com"
	})
}

// leftBehind are the stacks of a kind that a deployment leaves behind.
func leftBehind(pair Pair, kind func(*assembly.Stack) bool) []string {
	names := []string{}
	for _, stack := range pair.Before.Stacks {
		if pair.After.Stack(stack.Name) == nil && kind(stack) {
			names = append(names, stack.Name)
		}
	}
	return names
}

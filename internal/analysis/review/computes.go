package review

import (
	"fmt"
	"slices"
	"strings"

	"cutover/migration"
)

// ComputeMove is what happens to a service on its way to another kind of compute.
type ComputeMove struct {
	Service string `json:"service"`
	// From and To are places: "stopped", "parallel", a share, "switched" or "retired"; or a kind of compute
	// for a service that stays there. From is empty for a new service.
	From string `json:"from"`
	To   string `json:"to"`
	// Does is in words what happens. Empty if the service stays.
	Does string `json:"does"`
}

// compute is where a service is on its way to another kind of compute, in words. It is empty if there is
// no such service.
func (s Side) compute(name string) string {
	service, ok := s.Migration.Service(name)
	if !ok {
		return ""
	}
	if place := s.At.Compute[name]; service.Next != "" && place.Shifted {
		return place.String()
	}
	return service.ComputeWord(s.state().ComputePlace(name))
}

// computes are the services that are not on EC2 alone, with their computes, as in "compute users=10%".
func (s Side) computes() []string {
	var all []string
	for _, service := range s.Migration.All() {
		if at := s.compute(service.Name); at != migration.EC2 {
			all = append(all, service.Name+"="+at)
		}
	}
	return all
}

// withComputes is the name of a position with computes.
func withComputes(name string, computes []string) string {
	switch {
	case len(computes) == 0:
		return name
	case name == "":
		return "compute " + few(mostPlaces, computes, "")
	}
	return name + ", compute " + few(mostPlaces, computes, "")
}

// computesApart are the services whose compute differs, with both computes.
func computesApart(before, after Side) (from, to []string) {
	for _, service := range after.Migration.All() {
		was, is := before.compute(service.Name), after.compute(service.Name)
		if was != "" && was != is {
			from, to = append(from, service.Name+"="+was), append(to, service.Name+"="+is)
		}
	}
	return from, to
}

// computeMoves says what happens to each service that is not on EC2 alone on both sides. It tells of the
// tasks if nothing else does.
func computeMoves(before, after Side, outOfTurn, tasks bool) []ComputeMove {
	moves := []ComputeMove{}
	for _, s := range after.Migration.All() {
		move := ComputeMove{Service: s.Name, From: before.compute(s.Name), To: after.compute(s.Name)}
		if move.To == migration.EC2 && (move.From == "" || move.From == migration.EC2) {
			continue
		}
		if move.From != "" && move.From != move.To {
			was, _ := before.Migration.Service(s.Name)
			parts := computeDoes(before, after, was, s)
			if tasks {
				parts = append(parts, pairsRun(before, after, was, s)...)
			}
			if was.Next == s.Next && s.Next != "" && !outOfTurn && onTheWay(after.At.Compute[s.Name]) > onTheWay(before.At.Compute[s.Name]) {
				parts = append(parts, "the way back is one step")
			}
			move.Does = strings.Join(parts, "; ")
		}
		moves = append(moves, move)
	}
	return moves
}

// computeDoes says what happens to the pairs of a service, to its traffic and to addresses.
func computeDoes(before, after Side, was, is migration.Service) (parts []string) {
	from, to := before.At.Compute[is.Name], after.At.Compute[is.Name]
	old, new := was.Pairs(), is.Pairs()
	has := func(side Side, s migration.Service, pair string) string {
		switch {
		case s.IsFunction(pair):
			return "a target group, with the function in a stack of its own before the load balancers"
		case side.plan().Stands(pair):
			return "an ECS service, a target group and what only the pair needs"
		}
		return "a target group and what only the pair needs"
	}
	for _, pair := range new {
		if !slices.Contains(old, pair) {
			parts = append(parts, fmt.Sprintf("%s is created: %s", pair, has(after, is, pair)))
		}
	}
	for _, pair := range old {
		switch {
		case slices.Contains(new, pair):
		case was.IsFunction(pair):
			parts = append(parts, pair+" is deleted: its target group. The stack of the function stays")
		default:
			parts = append(parts, fmt.Sprintf("%s is deleted: %s", pair, has(before, was, pair)))
		}
	}
	if len(old) == 2 && len(new) == 2 && slices.Equal(old, new) {
		share := func(p migration.Place) string {
			switch {
			case p.Shifted:
				return fmt.Sprintf("%d %%", p.Percent)
			case p.Phase >= migration.Switched:
				return "all"
			}
			return "none"
		}
		if one, other := share(from), share(to); one != other {
			parts = append(parts, fmt.Sprintf("from %s to %s of its traffic to %s", one, other, new[1]))
		}
	}
	if is.Next == migration.Fargate && onTheWay(from) == 0 && onTheWay(to) > 0 {
		parts = append(parts, "each task on fargate has an address of its own in the private subnets")
	}
	if is.Next == migration.Lambda && onTheWay(from) <= 1 && onTheWay(to) > 1 {
		parts = append(parts, "a request that finds no free execution environment waits for the start of one")
	}
	return append(parts, "clients keep the address of the load balancer")
}

// pairsRun says how the tasks of the pairs of a service change.
func pairsRun(before, after Side, was, is migration.Service) (parts []string) {
	one, other := before.plan(), after.plan()
	pairs := was.Pairs()
	for _, pair := range is.Pairs() {
		if !slices.Contains(pairs, pair) {
			pairs = append(pairs, pair)
		}
	}
	for _, pair := range pairs {
		text := runs(one.Tasks[pair], other.Tasks[pair])
		if one.Stands(pair) && !other.Stands(pair) {
			text = "stops; its ECS service is deleted, and its target group stays"
		}
		if text != "" && slices.Contains(is.Pairs(), pair) {
			if pair != is.Name || len(pairs) > 1 {
				text = pair + " " + text
			}
			parts = append(parts, text)
		}
	}
	return parts
}

// onTheWay is how far a place between two kinds of compute is.
func onTheWay(p migration.Place) int {
	switch {
	case p.Shifted:
		return 2 + p.Percent
	case p.Phase >= migration.Switched:
		return 100 + int(p.Phase)*2
	}
	return int(p.Phase)
}

// jumps says which services leave a place out on their way to another kind of compute. The deployment
// refuses it, unless a side does not name the compute of the service.
func jumps(before, after Side) (refused, others []string) {
	others = []string{}
	was, is := before.state(), after.state()
	for _, name := range after.Migration.Jumps(was, is) {
		s, _ := after.Migration.Service(name)
		if _, known := before.Migration.Service(name); !known {
			continue
		}
		line := name + " is " + s.ComputeTurn(was.ComputePlace(name))
		if !was.Names(name) || !is.Names(name) {
			others = append(others, line+". Nothing refuses the deployment, and requests may be lost")
		} else {
			refused = append(refused, line)
		}
	}
	return refused, others
}

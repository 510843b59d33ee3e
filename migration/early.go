package migration

import "slices"

// Early lists new routes by [Key] that get requests before their service runs. The old migration, in
// its position, is what is deployed; the new one follows. A service starts its tasks after its rules
// are created. No name of the interlock refuses the first place of a new route. Requests that nobody
// has answered before do not count, and neither do those that a function answers: it is created before
// the rules.
func Early(old Migration, from Position, next Migration, to Position) (keys []string) {
	was, is := old.Plan(from), next.Plan(to)
	for _, s := range next.Services {
		i := slices.IndexFunc(was.Balancers, func(b Balancer) bool { return b.Name == s.LoadBalancer })
		if i < 0 || slices.ContainsFunc(old.All(), func(o Service) bool { return o.Name == s.Name && o.Runs(was) }) {
			continue
		}
		for _, r := range s.Routes {
			asks := func(b Balancer, groups ...string) bool {
				return slices.ContainsFunc(r.EachPath(), func(match Match) bool {
					return slices.ContainsFunc(b.Answers(match), func(t Target) bool { return slices.Contains(groups, t.Group) })
				})
			}
			if _, known := old.Route(s.Name, r.Name); !known && asks(is.At(s.LoadBalancer), s.Tasked()...) && !asks(was.Balancers[i], DropGroup) {
				keys = append(keys, Key(s.Name, r.Name))
			}
		}
	}
	return keys
}

// Tasked are the names of the service's pairs that are no functions.
func (s Service) Tasked() []string {
	return slices.DeleteFunc(s.Pairs(), s.IsFunction)
}

// IsFunction says whether a pair of the service is a function, by the name of the pair.
func (s Service) IsFunction(pair string) bool {
	return slices.Contains([]string{s.Compute, s.Next}, Lambda) && pair == OnCompute(s.Name, Lambda)
}

// Runs reports whether a pair of the service has tasks.
func (s Service) Runs(p Plan) bool {
	return slices.ContainsFunc(s.Pairs(), func(pair string) bool { return p.Tasks[pair].Count > 0 })
}

// Known returns the migration without the routes that a state does not know, because they are new. A
// state of one phase for all does not tell what is new.
func (m Migration) Known(s State) Migration {
	if s.Places == "" {
		return m
	}
	places := s.places()
	var known []Service
	for _, service := range m.Services {
		service.Routes = slices.DeleteFunc(slices.Clone(service.Routes), func(r Route) bool {
			_, is := places[Key(service.Name, r.Name)]
			return !is
		})
		if len(service.Routes) > 0 {
			known = append(known, service)
		}
	}
	m.Services = known
	return m
}

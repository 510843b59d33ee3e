package migration

// Guard returns parameters that refuse a place out of turn where one stack has all of a service: its
// rule and its tasks. The rule has to be changed after them. One stack is changed as a whole or not at
// all, so [Lock]'s difference of what was begun and what was reached does not exist.
//
// A deployment creates what is new before it deletes what is gone. So the name of a state that must not
// follow is still held when the state claims it under another logical id.
func Guard(service string, place Place) (all []Parameter) {
	state := place.state()
	add := func(id, state, description string) {
		all = append(all, Parameter{Pascal(service) + Pascal(state) + id, "gate/" + service + "/" + state, state, description})
	}
	add("FollowsTheDeployedPlace", state, "The place that is deployed")
	for _, far := range trafficLine.far(state) {
		add("MustNotFollow", far, "Must not follow the place that is deployed")
	}
	return all
}

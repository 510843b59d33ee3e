package migration

// Tasks says how many tasks a service runs in a phase, and whether the template or autoscaling
// decides.
//
// The template and autoscaling must not both set a count. Whenever CloudFormation updates a
// service, it sets the template's count and overrides autoscaling's
// (https://github.com/aws/aws-cdk/issues/3919). Without a count in the template, an update keeps
// the number of tasks, and a new service has one task
// (https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-ecs-service.html#cfn-ecs-service-desiredcount).
// So a service that scales has a count in the template only while it has no traffic. The count then
// changes with the phase, and CloudFormation waits for the tasks:
//
//	               monolith  parallel        with a shift of it  switched       retired
//	monolith       scales    scales          scales              set: the most  set: 0
//	microservice   set: 0    set: the least  scales              scales         scales
//
// A microservice starts with its least. Autoscaling exists from then on, and has nothing to do
// before there is traffic. The count leaves the template with the first shift of the service's
// traffic, or else at the switch. Another stack has changed the rules by then, and no task starts
// or stops.
//
// In switched, the monolith runs its most. Going back returns all traffic to the monolith within a
// second, without a shift. From the least, autoscaling would take minutes to go up. A monolith that
// still has traffic, of other services or of the rest, scales.
//
// With a count of 0 or of the most, autoscaling does not exist: it could only raise the 0 and lower
// the most.
type Tasks struct {
	// Count is the number of tasks. If the service scales, it is the fewest.
	Count int
	// Max is the most tasks that autoscaling may run. 0 if there is no autoscaling in this phase.
	Max int
	// Kept means that the template has no count: a deployment keeps autoscaling's.
	Kept bool
}

func (s Service) asMonolith(phase Phase, keepsRest bool) Tasks {
	switch {
	case phase >= Retired:
		return Tasks{}
	case phase == Switched && !keepsRest:
		return Tasks{Count: max(s.Tasks, s.MaxTasks)}
	}
	return s.scaled()
}

// asMicroservice returns the tasks as a microservice. It runs if one of its routes is past
// [Monolith], and has traffic if one has a share or is switched.
func (s Service) asMicroservice(at Position) Tasks {
	var runs, asked bool
	for _, r := range s.Routes {
		place := at.Place(s.Name, r.Name)
		runs = runs || place.Phase > Monolith
		asked = asked || place.Shifted || place.Phase > Parallel
	}
	switch {
	case !runs:
		return Tasks{}
	case !asked:
		return Tasks{Count: s.Tasks, Max: s.MaxTasks}
	}
	return s.scaled()
}

// scaled returns the tasks while the service has traffic.
func (s Service) scaled() Tasks {
	return Tasks{Count: s.Tasks, Max: s.MaxTasks, Kept: s.MaxTasks > 0}
}

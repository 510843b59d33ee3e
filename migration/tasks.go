package migration

// Tasks says how many tasks a service runs in a phase, and who decides it.
//
// A count that a deployment sets and one that autoscaling sets do not go together:
// whenever CloudFormation updates a service, it sets the count that the template
// has, whatever autoscaling has made of it
// (https://github.com/aws/aws-cdk/issues/3919). Without one in the template an
// update keeps the number that there is, and a new service has one task
// (https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-ecs-service.html#cfn-ecs-service-desiredcount).
// So a service that scales has a count in the template only where it has no traffic,
// which is also where its count has to change with the phase, and CloudFormation has
// to wait for its tasks:
//
//	               monolith  parallel        with a shift of it  switched       retired
//	monolith       scales    scales          scales              set: the most  set: 0
//	microservice   set: 0    set: the least  scales              scales         scales
//
// A microservice is started with its least, and autoscaling, which exists from then
// on, finds nothing to do before there is traffic. Its count leaves the template with
// the first shift of its traffic or, without one, at the switch, after the rules have
// changed in another stack; no task starts or stops by that.
//
// The monolith runs its most while it is what a switch can be taken back to. All its
// traffic may then return within a second, and nobody can shift it step by step as
// that of the microservices before; autoscaling, which would have taken it down to
// the least meanwhile, takes minutes.
//
// Where the count is 0, and where it is the most, autoscaling does not exist: it
// could only raise the one and lower the other.
type Tasks struct {
	// Count is how many run: the fewest if the service scales.
	Count int
	// Max is the most that autoscaling may run, if it exists in this phase; else 0.
	Max int
	// Kept says that a deployment does not set the count, which is autoscaling's.
	Kept bool
}

// asMonolith returns how many tasks the service runs in a phase, as the monolith.
func (s Service) asMonolith(phase Phase) Tasks {
	switch {
	case phase == Retired:
		return Tasks{}
	case phase == Switched:
		return Tasks{Count: max(s.Tasks, s.MaxTasks)}
	}
	return s.scaled()
}

// asMicroservice returns how many tasks the service runs in a phase, as a
// microservice: with a share of its traffic in [Parallel], or none.
func (s Service) asMicroservice(phase Phase, shifted bool) Tasks {
	switch {
	case phase == Monolith:
		return Tasks{}
	case phase == Parallel && !shifted:
		return Tasks{Count: s.Tasks, Max: s.MaxTasks}
	}
	return s.scaled()
}

// scaled returns how many tasks the service runs while it has traffic.
func (s Service) scaled() Tasks {
	return Tasks{Count: s.Tasks, Max: s.MaxTasks, Kept: s.MaxTasks > 0}
}

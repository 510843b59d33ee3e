package config

import (
	"cmp"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"cutover/migration"
)

// Source says whose events a service consumes.
type Source struct {
	// Of names a service that publishes.
	Of string
	// Filter has the values of which an event must have one, by attribute: source or key. A value that ends with * is the beginning
	// of a longer one. Other attributes differ between the events of one key, and a filter would make gaps. Default: all events.
	Filter map[string][]string
}

// Work is a queue of work: a request puts a job into it, and workers take the jobs.
type Work struct {
	// MaxTasks is the most workers. Default: 4.
	MaxTasks int
	// BacklogPerTask is how many jobs may wait for each worker before another one starts. Default: 10.
	BacklogPerTask int
	// WindowSeconds is how long a worker waits for a batch of 10 jobs, 0 to 20. Default: 0.
	WindowSeconds int
}

// Worker is a program of a service to which nobody sends requests: an ECS service without a load balancer. It runs in every
// phase, since the modules of the monolith publish and ask for work as well.
type Worker struct {
	// Role is [Relay], [Consumer] or [Jobs].
	Role string
	// Service is the service with the worker's command, variables and permissions.
	Service Service
	Pair    Pair
	// Tasks is how many tasks it has, and MaxTasks the most if it scales.
	Tasks, MaxTasks int
}

// The roles of workers. Each has a command of the service's program.
const (
	Relay    = "relay"
	Consumer = "consumer"
	Jobs     = "worker"
)

var commands = map[string]string{Relay: "relay", Consumer: "consume", Jobs: "work"}

const (
	// MaxReceives is how often a message is received before it goes to the dead-letter queue.
	MaxReceives = 5
	// visibilitySeconds is how long a message that was received stays hidden, at least. AWS recommends six times the time-out of a
	// function (https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html).
	visibilitySeconds, visibilityTimes = 60, 6
)

// Ordered says whether the topic of the service keeps the order of the events of a key.
func (s Service) Ordered() bool { return !s.Unordered }

// Topic is the name of the service's topic.
func (s Service) Topic(settings Settings) string {
	return fifo(settings.Name(settings.Env+"-"+s.Name), s.Ordered())
}

// Queue is the name of the queue of a service that consumes, and DeadLetters that of its dead-letter queue.
func (d Deployment) Queue(s Service, settings Settings) string {
	return fifo(settings.Name(settings.Env+"-"+s.Name), d.ConsumesInOrder(s))
}

// DeadLetters is explained at Queue.
func (d Deployment) DeadLetters(s Service, settings Settings) string {
	return fifo(settings.Name(settings.Env+"-"+s.Name+"-dead"), d.ConsumesInOrder(s))
}

// WorkQueue is the name of the service's queue of work, and WorkDeadLetters that of its dead-letter queue.
func (s Service) WorkQueue(settings Settings) string {
	return settings.Name(settings.Env + "-" + s.Name + "-work")
}

// WorkDeadLetters is explained at WorkQueue.
func (s Service) WorkDeadLetters(settings Settings) string { return s.WorkQueue(settings) + "-dead" }

// RelayFunction is the name of the function that reads the stream of the service's table, and RelayDeadLetters that of the
// queue that gets what it gave up.
func (s Service) RelayFunction(settings Settings) string {
	return settings.Name(settings.Env + "-" + s.Name + "-relay")
}

// RelayDeadLetters is explained at RelayFunction.
func (s Service) RelayDeadLetters(settings Settings) string {
	return s.RelayFunction(settings) + "-dead"
}

func fifo(name string, ordered bool) string {
	if ordered {
		return name + ".fifo"
	}
	return name
}

// ConsumesInOrder says whether the topics that a service consumes keep the order: its queue does so, too.
func (d Deployment) ConsumesInOrder(s Service) bool {
	return !slices.ContainsFunc(s.Consumes, func(source Source) bool { of, _ := d.service(source.Of); return !of.Ordered() })
}

// VisibilitySeconds is how long a message that the service received stays hidden.
func (s Service) VisibilitySeconds() int {
	seconds := visibilitySeconds
	if one, is := s.Function(); is {
		seconds = max(seconds, visibilityTimes*one.Compute.(Lambda).TimeoutSeconds)
	}
	return seconds
}

// Publishers lists the services that publish, ConsumersOf those that consume, and Working those with a queue of work.
func (d Deployment) Publishers() []Service {
	return d.that(func(s Service) bool { return s.Publishes })
}

// Consumers is explained at Publishers.
func (d Deployment) Consumers() []Service {
	return d.that(func(s Service) bool { return len(s.Consumes) > 0 })
}

// Working is explained at Publishers.
func (d Deployment) Working() []Service { return d.that(func(s Service) bool { return s.Work != nil }) }

func (d Deployment) that(is func(Service) bool) []Service {
	return slices.DeleteFunc(d.All(), func(s Service) bool { return !is(s) })
}

// ByStream says whether a function publishes the changes of the service, which it reads from the stream of the table.
func (s Service) ByStream() bool {
	_, table := s.Store.(DynamoDB)
	return s.Publishes && table
}

// Workers lists the workers of a service that are ECS services. A service on Lambda alone has none: Lambda itself takes the
// messages from its queues.
func (d Deployment) Workers(s Service, settings Settings) (workers []Worker) {
	pairs := slices.DeleteFunc(s.Pairs(), Pair.IsFunction)
	if len(pairs) == 0 {
		return nil
	}
	add := func(role string, maxTasks int, environment map[string]string, may ...Statement) {
		one := s
		one.Command, one.Discovery = []string{commands[role]}, []Discovery{LoadBalancer{}}
		if role != Jobs {
			one.Calls = nil
		}
		one.Sidecars, one.DependsOn, one.Tasks, one.MaxTasks, one.RequestsPerTask = nil, nil, 1, 0, 0
		one.Environment = with(s.Environment, environment)
		one.Permissions = append(slices.Clone(s.Permissions), may...)
		name := s.Name + "-" + role
		workers = append(workers, Worker{
			Role: role, Service: one, Tasks: 1, MaxTasks: maxTasks,
			Pair: Pair{Name: migration.OnCompute(name, Kind(pairs[0].Compute)), Compute: pairs[0].Compute},
		})
	}
	if s.Publishes && !s.ByStream() {
		add(Relay, 0, s.relayVariables(settings), s.mayPublish(settings))
	}
	if _, is := s.Function(); is {
		return workers
	}
	if len(s.Consumes) > 0 {
		queue := d.Queue(s, settings)
		add(Consumer, 0, map[string]string{variable(s.Name, "QUEUE"): queue}, mayReceive(queue))
	}
	if s.Work != nil {
		add(Jobs, s.Work.MaxTasks, nil, mayReceive(s.WorkQueue(settings)))
	}
	return workers
}

// RelayVariables are those of the function that publishes the changes of the service, and MayPublish what it may do.
func (s Service) RelayVariables(settings Settings) map[string]string {
	return with(s.relayVariables(settings), map[string]string{s.StoreVariable(): s.Table(settings)})
}

func (s Service) relayVariables(settings Settings) map[string]string {
	return map[string]string{variable(s.Name, "TOPIC_ARN"): topicARN(s.Topic(settings))}
}

// MayPublish is explained at RelayVariables.
func (s Service) MayPublish(settings Settings) []Statement {
	return []Statement{s.mayPublish(settings)}
}

func (s Service) mayPublish(settings Settings) Statement {
	return Statement{Actions: []string{"sns:Publish"}, Resources: []string{topicARN(s.Topic(settings))}}
}

func mayReceive(queue string) Statement {
	return Statement{
		Actions:   []string{"sqs:ChangeMessageVisibility", "sqs:DeleteMessage", "sqs:GetQueueAttributes", "sqs:GetQueueUrl", "sqs:ReceiveMessage"},
		Resources: []string{QueueARN(queue)},
	}
}

// FunctionMayReceive is what a service on Lambda may do with its queues, from which Lambda takes the messages in its name.
func (d Deployment) FunctionMayReceive(s Service, settings Settings) (may []Statement) {
	for _, queue := range d.QueuesOf(s, settings) {
		may = append(may, mayReceive(queue))
	}
	return may
}

func topicARN(name string) string {
	return "arn:${AWS::Partition}:sns:${AWS::Region}:${AWS::AccountId}:" + name
}

// QueueARN is the ARN of a queue in the account and region of the deployment, with placeholders.
func QueueARN(name string) string {
	return "arn:${AWS::Partition}:sqs:${AWS::Region}:${AWS::AccountId}:" + name
}

func with[V any](these, more map[string]V) map[string]V {
	all := maps.Clone(these)
	if all == nil {
		all = map[string]V{}
	}
	maps.Copy(all, more)
	return all
}

// eventful adds the services that are there with events, and tells each service, and the monolith in whose modules they
// are, what it publishes and where it asks for work.
func (d Deployment) eventful(settings Settings) Deployment {
	d.Services = slices.Clone(d.Services)
	tell := func(s *Service, of Service, own bool) {
		more := map[string]string{}
		if of.Publishes {
			more[variable(of.Name, "PUBLISHES")] = "on"
		}
		if of.History {
			more[variable(of.Name, "HISTORY")] = "on"
		}
		if len(of.Consumes) > 0 && !own {
			more[variable(of.Name, "FROM")] = "modules"
		}
		if of.Work != nil {
			more[variable(of.Name, "WORK_QUEUE")] = of.WorkQueue(settings)
			more[variable(of.Name, "WORK_WINDOW")] = fmt.Sprintf("%ds", of.Work.WindowSeconds)
			s.Permissions = append(slices.Clone(s.Permissions), Statement{
				Actions: []string{"sqs:GetQueueUrl", "sqs:SendMessage"}, Resources: []string{QueueARN(of.WorkQueue(settings))},
			})
		}
		if len(more) > 0 {
			s.Environment = with(s.Environment, more)
		}
	}
	for i := range d.Services {
		tell(&d.Services[i], d.Services[i], true)
		if settings.Phase < migration.Retired {
			tell(&d.Monolith, d.Services[i], false)
		}
	}
	return d
}

// withoutEvents takes from the services what they have with events only.
func (d Deployment) withoutEvents() Deployment {
	d.Services, d.EventRoutes = slices.Clone(d.Services), ""
	for _, s := range append(pointers(d.Services), &d.Monolith) {
		s.Publishes, s.Unordered, s.Subscribers, s.Consumes, s.Work, s.History = false, false, nil, nil, nil, false
	}
	return d
}

func (w *Work) withDefaults() *Work {
	if w == nil {
		return nil
	}
	return &Work{cmp.Or(w.MaxTasks, 4), cmp.Or(w.BacklogPerTask, 10), w.WindowSeconds}
}

// Attributes by which a subscription may choose: they are the same for all events of a key.
var constantAttributes = []string{"key", "source"}

var (
	emailFormat    = regexp.MustCompile(`^[^@\s,;<>]+@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+$`)
	functionFormat = regexp.MustCompile(`^arn:(aws[a-z-]*|\$\{AWS::Partition\}):lambda:([a-z0-9-]+|\$\{AWS::Region\}):([0-9]{12}|\$\{AWS::AccountId\}):function:[A-Za-z0-9_-]+(:[A-Za-z0-9_-]+)?$`)
)

// Subscriber is an endpoint outside of the deployment that gets the events of a standard topic.
type Subscriber struct{ Protocol, Endpoint string }

// AllSubscribers are the endpoints that the list names.
func (s Service) AllSubscribers() (all []Subscriber) {
	for _, one := range s.Subscribers {
		protocol, endpoint := "https", one
		switch {
		case strings.HasPrefix(one, "mailto:"):
			protocol, endpoint = "email", strings.TrimPrefix(one, "mailto:")
		case strings.HasPrefix(one, "arn:"):
			protocol = "lambda"
		}
		all = append(all, Subscriber{protocol, endpoint})
	}
	return all
}

// maxQueueName is how long the name of a queue may be, with ".fifo"
// (https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_CreateQueue.html). That of a topic may be longer.
const maxQueueName = 80

// Policy is the filter policy of the subscription; an empty one takes all events.
// https://docs.aws.amazon.com/sns/latest/dg/string-value-matching.html
func (s Source) Policy() map[string]any {
	policy := map[string]any{}
	for attribute, values := range s.Filter {
		var one []any
		for _, value := range values {
			if beginning, is := strings.CutSuffix(value, "*"); is {
				one = append(one, map[string]any{"prefix": beginning})
			} else {
				one = append(one, value)
			}
		}
		policy[attribute] = one
	}
	return policy
}

// checkEvents refuses what cannot publish, consume or work.
func checkEvents(d Deployment, s Settings, refuse func(string, ...any)) {
	if !s.Events {
		return
	}
	if len(d.Publishers())+len(d.Working()) == 0 {
		refuse("events: no service of the list publishes or has work: remove the setting, or give a service Publishes or Work")
	}
	names := map[string]string{}
	for _, service := range d.All() {
		at := func(format string, args ...any) { refuse("service %q: %s", service.Name, fmt.Sprintf(format, args...)) }
		monolith := service.Name == d.Monolith.Name
		named := func(field string, set bool) {
			switch _, isGo := service.Image.(GoPackage); {
			case !set:
			case monolith:
				at("%s: the modules of the monolith do what the services do that take their paths over: set it there", field)
			case !isGo:
				at("%s: the image has no command for it: only a GoPackage whose main is server.Main has", field)
			case !service.Stored():
				at("%s: it needs a database of the service: set store to dynamodb or postgres, or name the service's Store", field)
			}
		}
		named("Publishes", service.Publishes)
		named("Consumes", len(service.Consumes) > 0)
		named("Work", service.Work != nil)
		named("History", service.History)
		if !service.Publishes && (service.Unordered || len(service.Subscribers) > 0) {
			at("Unordered and Subscribers are about the topic of a service that publishes: set Publishes, or remove them")
		}
		checkSubscribers(service, at)
		d.checkSources(service, at)
		checkWork(service, at)
		for _, name := range append(d.QueuesOf(service, s), d.DeadLettersOf(service, s)...) {
			if other := names[name]; other != "" {
				at("its queue is called %s, like one of %q: rename one", name, other)
			}
			if names[name] = service.Name; len(name) > maxQueueName {
				at("its queue is called %s, and a name has at most %d characters: shorten the name of the service, env or namePrefix", name, maxQueueName)
			}
		}
		for _, worker := range d.Workers(service, s) {
			if _, taken := d.service(worker.Pair.Name); taken {
				at("its %s is called %q, like another service: rename one", worker.Role, worker.Pair.Name)
			}
		}
	}
}

// QueuesOf are the names of the queues that a service takes messages from.
func (d Deployment) QueuesOf(service Service, s Settings) (names []string) {
	if len(service.Consumes) > 0 {
		names = append(names, d.Queue(service, s))
	}
	if service.Work != nil {
		names = append(names, service.WorkQueue(s))
	}
	return names
}

// DeadLettersOf are the names of the dead-letter queues of a service.
func (d Deployment) DeadLettersOf(service Service, s Settings) (names []string) {
	if len(service.Consumes) > 0 {
		names = append(names, d.DeadLetters(service, s))
	}
	if service.Work != nil {
		names = append(names, service.WorkDeadLetters(s))
	}
	if service.ByStream() {
		names = append(names, service.RelayDeadLetters(s))
	}
	return names
}

func checkSubscribers(service Service, refuse func(string, ...any)) {
	for i, one := range service.AllSubscribers() {
		written := service.Subscribers[i]
		switch {
		case service.Publishes && service.Ordered():
			// https://docs.aws.amazon.com/sns/latest/dg/fifo-message-delivery.html
			refuse("Subscribers: %q: a FIFO topic delivers to queues of SQS alone: set Unordered, or let a queue stand between", written)
		case one.Protocol == "email" && !emailFormat.MatchString(one.Endpoint), one.Protocol == "lambda" && !functionFormat.MatchString(one.Endpoint),
			one.Protocol == "https" && !strings.HasPrefix(one.Endpoint, "https://"):
			refuse("Subscribers: %q is no endpoint: it looks like \"https://example.com/events\", \"mailto:team@example.com\" or \"arn:aws:lambda:eu-central-1:123456789012:function:NAME\"", written)
		case slices.Contains(service.Subscribers[:i], written):
			refuse("Subscribers: %q is named twice: remove one", written)
		}
	}
}

func (d Deployment) checkSources(service Service, refuse func(string, ...any)) {
	for i, source := range service.Consumes {
		of, known := d.service(source.Of)
		switch {
		case !known:
			refuse("Consumes: there is no service %q", source.Of)
		case !of.Publishes:
			refuse("Consumes: %q does not publish: set Publishes there, or remove it here", source.Of)
		case source.Of == service.Name:
			refuse("Consumes: a service does not consume its own events: it has the records")
		case slices.ContainsFunc(service.Consumes[:i], func(other Source) bool { return other.Of == source.Of }):
			refuse("Consumes: %q is named twice: put both filters into one", source.Of)
		}
		if first, there := d.service(service.Consumes[0].Of); known && there && of.Ordered() != first.Ordered() {
			// https://docs.aws.amazon.com/sns/latest/dg/sns-dead-letter-queues.html
			refuse("Consumes: %q keeps the order and %q does not, or the other way round, and a subscription needs a dead-letter queue of the kind of its topic: let both be Unordered, or neither", service.Consumes[0].Of, source.Of)
		}
		for _, attribute := range slices.Sorted(maps.Keys(source.Filter)) {
			values := source.Filter[attribute]
			if !slices.Contains(constantAttributes, attribute) {
				refuse("Consumes: %q: Filter %q: it is not the same for all events of a key, and what is left out would be a gap: filter by %s", source.Of, attribute, strings.Join(constantAttributes, " or "))
			} else if len(values) == 0 || slices.Contains(values, "") || slices.Contains(values, "*") {
				refuse("Consumes: %q: Filter %q: %q takes nothing or everything: name values, or the beginning of values as in \"posts/1*\"", source.Of, attribute, values)
			}
		}
	}
}

func checkWork(service Service, refuse func(string, ...any)) {
	if service.Work == nil {
		return
	}
	for _, field := range []struct {
		name             string
		value, low, high int
	}{
		{"MaxTasks", service.Work.MaxTasks, 1, maxTasks}, {"BacklogPerTask", service.Work.BacklogPerTask, 1, 1_000_000}, {"WindowSeconds", service.Work.WindowSeconds, 0, 20},
	} {
		if field.value < field.low || field.value > field.high {
			refuse("Work.%s %d: it must be from %d to %d", field.name, field.value, field.low, field.high)
		}
	}
}

// eventVariables refuses variables that the list gives, and that events set.
func (r *reader) eventVariables(d Deployment) {
	for _, service := range d.All() {
		for _, of := range d.All() {
			if of.Name != service.Name && service.Name != d.Monolith.Name {
				continue
			}
			for _, what := range []string{"PUBLISHES", "HISTORY", "FROM", "TOPIC_ARN", "QUEUE", "WORK_QUEUE", "WORK_WINDOW"} {
				name := variable(of.Name, what)
				_, given := service.Environment[name]
				if _, secret := service.Secrets[name]; given || secret {
					r.refuse("service %q: %s is set with the setting events: remove it there", service.Name, name)
				}
			}
		}
	}
}

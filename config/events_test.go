package config_test

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"cutover/config"
)

// eventful is a deployment whose services publish users, consume them as feed, and have jobs.
func eventful(changes ...func(*config.Deployment)) func(*config.Deployment) {
	return func(d *config.Deployment) {
		d.Services[0].Publishes = true
		d.WithEvents = []config.Service{
			{Name: "feed", Paths: []string{"/api/feed*"}, Order: 40, Store: config.DynamoDB{}, Consumes: []config.Source{{Of: "users"}}},
			{Name: "jobs", Paths: []string{"/api/jobs*"}, Order: 50, Work: &config.Work{}},
		}
		for _, change := range changes {
			change(d)
		}
	}
}

func TestMistakesInEvents(t *testing.T) {
	on := context{"events": "on", "store": "dynamodb"}
	given := func(name string, change func(*config.Deployment), want string) mistake {
		return mistake{name: name, context: on, change: eventful(change), want: want}
	}
	set := func(key, value string) context {
		c := maps.Clone(on)
		c[key] = value
		return c
	}
	source := func(sources ...config.Source) func(*config.Deployment) {
		return func(d *config.Deployment) { d.WithEvents[0].Consumes = sources }
	}
	filter := func(attribute string, values ...string) func(*config.Deployment) {
		return source(config.Source{Of: "users", Filter: map[string][]string{attribute: values}})
	}
	subscribers := func(unordered bool, endpoints ...string) func(*config.Deployment) {
		return func(d *config.Deployment) { d.Services[0].Unordered, d.Services[0].Subscribers = unordered, endpoints }
	}
	noEndpoint := func(endpoint string) mistake {
		return given("endpoint "+endpoint, subscribers(true, endpoint), `service "users": Subscribers: "`+endpoint+`" is no endpoint: it looks like "https://example.com/events", "mailto:team@example.com" or "arn:aws:lambda:eu-central-1:123456789012:function:NAME"`)
	}
	needs := func(field string) string {
		return `service "users": ` + field + `: it needs a database of the service: set store to dynamodb or postgres, or name the service's Store`
	}
	image := `: the image has no command for it: only a GoPackage whose main is server.Main has`
	testMistakes(t, []mistake{
		{name: "unknown value", context: context{"events": "yes"}, want: `events: "yes" is unknown: choose one of on, off`},
		{name: "nobody publishes", context: on, want: "events: no service of the list publishes or has work: remove the setting, or give a service Publishes or Work"},
		{name: "without a database", context: context{"events": "on"}, change: eventful(),
			want: needs("Publishes") + "\n" + `service "jobs": Work: it needs a database of the service: set store to dynamodb or postgres, or name the service's Store`},
		given("the monolith publishes", func(d *config.Deployment) { d.Monolith.Publishes = true },
			`service "api": Publishes: the modules of the monolith do what the services do that take their paths over: set it there`),
		given("another image", func(d *config.Deployment) {
			d.Services[0].Image = config.Registry{Name: "registry.example.com/users:1"}
		}, `service "users": Publishes`+image),
		given("history without a database", func(d *config.Deployment) { d.Services[1].History, d.Services[1].Store = true, config.File{} },
			`service "threads": History: it needs a database of the service: set store to dynamodb or postgres, or name the service's Store`),
		given("unordered and silent", func(d *config.Deployment) { d.Services[1].Unordered = true },
			`service "threads": Unordered and Subscribers are about the topic of a service that publishes: set Publishes, or remove them`),
		given("subscriber of a FIFO topic", subscribers(false, "https://example.com/events"),
			`service "users": Subscribers: "https://example.com/events": a FIFO topic delivers to queues of SQS alone: set Unordered, or let a queue stand between`),
		noEndpoint("http://example.com"), noEndpoint("mailto:team"), noEndpoint("arn:aws:sqs:eu-central-1:123456789012:queue"), noEndpoint("team@example.com"), noEndpoint(""),
		given("subscriber twice", subscribers(true, "mailto:a@example.com", "mailto:a@example.com"), `service "users": Subscribers: "mailto:a@example.com" is named twice: remove one`),
		given("unknown source", source(config.Source{Of: "user"}), `service "feed": Consumes: there is no service "user"`),
		given("silent source", source(config.Source{Of: "threads"}), `service "feed": Consumes: "threads" does not publish: set Publishes there, or remove it here`),
		given("source twice", source(config.Source{Of: "users"}, config.Source{Of: "users"}), `service "feed": Consumes: "users" is named twice: put both filters into one`),
		given("two kinds of topics", func(d *config.Deployment) {
			d.Services[1].Publishes, d.Services[1].Unordered = true, true
			d.WithEvents[0].Consumes = []config.Source{{Of: "users"}, {Of: "threads"}}
		}, `service "feed": Consumes: "users" keeps the order and "threads" does not, or the other way round, and a subscription needs a dead-letter queue of the kind of its topic: let both be Unordered, or neither`),
		given("own source", func(d *config.Deployment) { d.Services[0].Consumes = []config.Source{{Of: "users"}} },
			`service "users": Consumes: a service does not consume its own events: it has the records`),
		given("filter by the type", filter("type", "users.created"), `service "feed": Consumes: "users": Filter "type": it is not the same for all events of a key, and what is left out would be a gap: filter by key or source`),
		given("filter of nothing", filter("key"), `service "feed": Consumes: "users": Filter "key": [] takes nothing or everything: name values, or the beginning of values as in "posts/1*"`),
		given("filter of everything", filter("key", "*"), `service "feed": Consumes: "users": Filter "key": ["*"] takes nothing or everything: name values, or the beginning of values as in "posts/1*"`),
		given("too long a window", func(d *config.Deployment) { d.WithEvents[1].Work.WindowSeconds = 21 }, `service "jobs": Work.WindowSeconds 21: it must be from 0 to 20`),
		given("no backlog", func(d *config.Deployment) { d.WithEvents[1].Work.BacklogPerTask = -1 }, `service "jobs": Work.BacklogPerTask -1: it must be from 1 to 1000000`),
		given("queue of another service", func(d *config.Deployment) {
			d.WithEvents = append(d.WithEvents, config.Service{Name: "feed-dead", Paths: []string{"/x*"}, Order: 60, Store: config.DynamoDB{}, Consumes: []config.Source{{Of: "users"}}})
		}, `service "feed-dead": its queue is called dev-feed-dead.fifo, like one of "feed": rename one`),
		given("worker with the name of a service", func(d *config.Deployment) {
			d.WithEvents = append(d.WithEvents, config.Service{Name: "feed-consumer", Paths: []string{"/x*"}, Order: 60})
		}, `service "feed": its consumer is called "feed-consumer", like another service: rename one`),
		given("service with the name of a stack", func(d *config.Deployment) {
			d.WithEvents = append(d.WithEvents, config.Service{Name: "relays", Paths: []string{"/x*"}, Order: 60})
		}, `the stack of the relays of tables: its stack is called Relays, like that of service "relays": rename one`),
		given("variable that events set", func(d *config.Deployment) { d.Services[0].Environment = map[string]string{"USERS_TOPIC_ARN": "x"} },
			`service "users": USERS_TOPIC_ARN is set with the setting events: remove it there`),
		{name: "long names", context: set("env", "a-name-of-an-environment-that-is"), change: eventful(func(d *config.Deployment) {
			d.WithEvents[0].Name = "feed-of-what-everybody-has-said-of-everything-there-is"
		}), want: `service "feed-of-what-everybody-has-said-of-everything-there-is": the target group's name "feed-of-what-everybody-has-said-of-everything-there-is" has 54 characters: at most 32 are allowed` + "\n" +
			`service "feed-of-what-everybody-has-said-of-everything-there-is": its queue is called a-name-of-an-environment-that-is-feed-of-what-everybody-has-said-of-everything-there-is.fifo, and a name has at most 80 characters: shorten the name of the service, env or namePrefix` + "\n" +
			`service "feed-of-what-everybody-has-said-of-everything-there-is": its queue is called a-name-of-an-environment-that-is-feed-of-what-everybody-has-said-of-everything-there-is-dead.fifo, and a name has at most 80 characters: shorten the name of the service, env or namePrefix`},
		{name: "no room for workers", context: context{"events": "on", "store": "postgres", "minInstances": "1", "maxInstances": "1"}, change: eventful(),
			want: `maxInstances: the tasks of all services reserve 2816 CPU units and 2816 MiB, and 1 instances of type t3.small have 2048 and 2048: set it to 2 or more, or instanceType to a larger one`},
		{name: "address without alarms", context: context{"alarmEmail": "team@example.com"}, want: "alarmEmail: there are no alarms: set alarms to on, or remove it"},
		{name: "no address", context: context{"alarms": "on", "alarmEmail": "team"}, want: `alarmEmail: "team" is no address: it looks like "team@example.com"`},
	})
}

// Without the setting, a list that speaks of events is the list that it was.
func TestWithoutEvents(t *testing.T) {
	d, silent := forum(), forum()
	eventful(func(d *config.Deployment) {
		d.Services[1].History, d.Services[1].Subscribers = true, []string{"nonsense"}
		d.EventRoutes = "events.yaml"
	})(&d)
	got, settings, err := config.Load(d, context{"store": "dynamodb"}, func(string) string { return "" })
	if err != nil || settings.Events {
		t.Fatal(err, settings.Events)
	}
	want, _, err := config.Load(silent, context{"store": "dynamodb"}, func(string) string { return "" })
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// What runs where: a relay by the stream of a table or as a task, a consumer and workers as tasks or by Lambda itself.
func TestWorkers(t *testing.T) {
	lambda := func(d *config.Deployment) {
		for i := range d.WithEvents {
			d.WithEvents[i].Compute = config.Lambda{TimeoutSeconds: 20}
		}
	}
	fargate := func(d *config.Deployment) { d.Services[0].Compute = config.Fargate{} }
	unordered := func(d *config.Deployment) { d.Services[0].Unordered = true }
	for name, test := range map[string]struct {
		store   string
		change  func(*config.Deployment)
		workers []string
		queue   string
		seconds int
	}{
		"tables":       {"dynamodb", eventful(), []string{"feed-consumer consume", "jobs-worker work"}, "dev-feed.fifo", 60},
		"databases":    {"postgres", eventful(), []string{"users-relay relay", "feed-consumer consume", "jobs-worker work"}, "dev-feed.fifo", 60},
		"functions":    {"dynamodb", eventful(lambda), nil, "dev-feed.fifo", 120},
		"on Fargate":   {"postgres", eventful(fargate), []string{"users-relay-fargate relay", "feed-consumer consume", "jobs-worker work"}, "dev-feed.fifo", 60},
		"out of order": {"dynamodb", eventful(unordered), []string{"feed-consumer consume", "jobs-worker work"}, "dev-feed", 60},
	} {
		t.Run(name, func(t *testing.T) {
			list := forum()
			test.change(&list)
			d, s, err := config.Load(list, context{"events": "on", "store": test.store}, func(string) string { return "" })
			if err != nil {
				t.Fatal(err)
			}
			var workers []string
			for _, service := range d.All() {
				for _, w := range d.Workers(service, s) {
					workers = append(workers, w.Pair.Name+" "+w.Service.Command[0])
				}
			}
			feed := d.Consumers()[0]
			if diff := cmp.Diff(test.workers, workers); diff != "" {
				t.Error(diff)
			}
			if got := d.Queue(feed, s); got != test.queue || feed.VisibilitySeconds() != test.seconds {
				t.Error(got, feed.VisibilitySeconds())
			}
			if _, made := d.Monolith.Environment["FEED_QUEUE"]; made || d.Monolith.Environment["FEED_FROM"] != "modules" || d.Monolith.Environment["USERS_PUBLISHES"] != "on" {
				t.Error(d.Monolith.Environment)
			}
		})
	}
}

// Who publishes where, and who receives from what: by names, since no stack reads the ARNs of another one.
func TestNamesOfEvents(t *testing.T) {
	list := forum()
	eventful()(&list)
	d, s, err := config.Load(list, context{"events": "on", "store": "postgres"}, func(string) string { return "" })
	if err != nil {
		t.Fatal(err)
	}
	const arn = "arn:${AWS::Partition}:%s:${AWS::Region}:${AWS::AccountId}:"
	topic, queue := strings.Replace(arn, "%s", "sns", 1)+"dev-users.fifo", strings.Replace(arn, "%s", "sqs", 1)
	receive := func(name string) config.Statement {
		return config.Statement{Actions: []string{"sqs:ChangeMessageVisibility", "sqs:DeleteMessage", "sqs:GetQueueAttributes", "sqs:GetQueueUrl", "sqs:ReceiveMessage"}, Resources: []string{queue + name}}
	}
	want := map[string]config.Statement{
		"users-relay":   {Actions: []string{"sns:Publish"}, Resources: []string{topic}},
		"feed-consumer": receive("dev-feed.fifo"), "jobs-worker": receive("dev-jobs-work"),
	}
	for _, service := range d.All() {
		for _, w := range d.Workers(service, s) {
			may := w.Service.Permissions
			if diff := cmp.Diff(want[w.Pair.Name], may[len(may)-1]); diff != "" {
				t.Errorf("%s (-want +got):\n%s", w.Pair.Name, diff)
			}
			if got := w.Service.Environment["USERS_TOPIC_ARN"]; w.Role == config.Relay && got != topic {
				t.Errorf("the relay publishes to %q", got)
			}
			if got := w.Service.Environment["FEED_QUEUE"]; w.Role == config.Consumer && got != "dev-feed.fifo" {
				t.Errorf("the consumer receives from %q", got)
			}
		}
	}
	feed, jobs := d.Consumers()[0], d.Working()[0]
	if got := []string{d.DeadLetters(feed, s), jobs.WorkQueue(s), jobs.WorkDeadLetters(s)}; !slices.Equal(got, []string{"dev-feed-dead.fifo", "dev-jobs-work", "dev-jobs-work-dead"}) {
		t.Errorf("the queues are %q", got)
	}
	if config.MaxReceives < 5 { // what AWS recommends: a task that is replaced has received, too
		t.Errorf("a message is a dead letter after %d receives", config.MaxReceives)
	}
}

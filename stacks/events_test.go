package stacks_test

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"cutover/config"
	"cutover/deployment"
	"cutover/internal/assembly"
	"cutover/internal/golden"
	"cutover/internal/model"
	"cutover/internal/nightly"
	"cutover/migration"
)

// TestGoldensOfEvents compares the stacks that have topics, queues and workers: by streams of tables, and by tasks. The table of who
// publishes and receives is a part of docs/isolation.md.
func TestGoldensOfEvents(t *testing.T) {
	for _, test := range []struct {
		store  string
		stacks []string
	}{
		{"dynamodb", []string{"Events", "Relays", "Data", "Feed", "Deletions", "Api"}},
		{"postgres", []string{"Events", "Users"}},
	} {
		a := synthDeployment(t, deployment.Forum, settings{"store": test.store, "events": "on"})
		for _, part := range test.stacks {
			stack := a.Stack("dev-" + part)
			golden.Compare(t, filepath.Join(goldenDir, "events", test.store, stack.Name+".json"), goldenTemplate(t, stack))
		}
		golden.Compare(t, filepath.Join(goldenDir, "events", test.store, "isolation.md"), []byte(isolated(t, a).ChannelTable()))
	}
}

// TestNagOfEvents reads what cdk-nag says of topics, queues and workers: what is suppressed is needed.
func TestNagOfEvents(t *testing.T) {
	nightly.Test(t, "cdk-nag writes reports")
	for _, store := range []string{"dynamodb", "postgres"} {
		dir := filepath.Join(scratch, "nag-of-events-"+store)
		if err := synthTo(deployment.Forum, cdkContext(t, settings{"store": store, "events": "on"}), dir, true); err != nil {
			t.Fatal(err)
		}
		a, err := assembly.Read(dir)
		if err != nil {
			t.Fatal(err)
		}
		checkNag(t, store, a)
	}
}

// TestEventsInEveryPhase: events flow in every phase, since the monolith publishes and asks for work as well. No phase
// changes a topic, a queue, a relay or how many workers there are.
func TestEventsInEveryPhase(t *testing.T) {
	nightly.Test(t, "it synthesizes events in every phase")
	var first *assembly.Assembly
	for _, phase := range migration.Phases() {
		a := synth(t, settings{"store": "postgres", "events": "on", "phase": phase.String()})
		if first == nil {
			first = a
		}
		if got, want := a.Stack("dev-Events"), first.Stack("dev-Events"); string(goldenTemplate(t, got)) != string(goldenTemplate(t, want)) {
			t.Errorf("%s changes the topics and queues", phase)
		}
		m := model.Read(a)
		var workers []string
		for _, s := range m.Services {
			if s.Worker() {
				workers = append(workers, fmt.Sprint(s.Name, s.Tasks()))
			}
		}
		slices.Sort(workers)
		equal(t, phase.String(), workers, []string{"deletions-worker1", "feed-consumer1", "posts-relay1", "threads-relay1", "users-relay1"})
		for _, d := range m.TaskDefinitions {
			publishes := slices.ContainsFunc(d.Containers[0].Environment, func(v model.Variable) bool { return v.Name == "USERS_PUBLISHES" })
			if monolith := d.Family == "api" && phase < migration.Retired; publishes != (monolith || strings.HasPrefix(d.Family, "users")) {
				t.Errorf("%s: %s publishes users: %t", phase, d.Family, publishes)
			}
		}
	}
}

// TestMessagesOfFunctions: Lambda itself takes the messages of a service that runs there, and hears which of them failed.
func TestMessagesOfFunctions(t *testing.T) {
	nightly.Test(t, "it synthesizes a function that publishes")
	m := model.Read(synthDeployment(t, onFunctions(), settings{"store": "dynamodb", "events": "on"}))
	got := map[string]string{}
	for _, e := range m.EventSources {
		if e.Queue != nil && e.Target.Alias != nil && e.PartialFailures {
			got[e.Queue.Name] = fmt.Sprint(e.Target.Function.Name, " ", e.Batch, " ", e.Window)
		}
	}
	want := map[string]string{"dev-feed.fifo": "feed-lambda 10 0s", "dev-deletions-work": "deletions-lambda 10 5s"}
	if !maps.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	for _, s := range m.Services {
		if s.Worker() && !strings.HasSuffix(s.Name, "-relay") {
			t.Errorf("%s takes messages, too", s.Name)
		}
	}
}

// TestSubscribers: endpoints outside of the deployment hear what a standard topic says, and a queue of such topics is
// standard, too. A filter takes exact values and beginnings.
func TestSubscribers(t *testing.T) {
	nightly.Test(t, "it synthesizes one more deployment with events")
	d := deployment.Forum
	d.Services, d.WithEvents = slices.Clone(d.Services), slices.Clone(d.WithEvents)
	d.Services[2].Unordered = true
	d.Services[0].Unordered, d.Services[0].Subscribers = true, []string{"https://example.com/events", "mailto:team@example.com", "arn:aws:lambda:eu-central-1:123456789012:function:audit"}
	d.WithEvents[0].Consumes = []config.Source{{Of: "users"}, {Of: "posts", Filter: map[string][]string{"key": {"posts/7", "posts/1*"}}}}
	m := model.Read(synthDeployment(t, d, settings{"store": "dynamodb", "events": "on"}))
	var got []string
	for _, s := range m.Subscriptions {
		to := s.Protocol
		if s.Queue != nil {
			to = fmt.Sprint(s.Queue.Name, " ", s.DeadLetters.Name, " ", s.Raw, " ", s.Filter)
		}
		got = append(got, s.Topic.Name+" "+to)
	}
	slices.Sort(got)
	equal(t, "subscriptions", got, []string{
		"dev-posts dev-feed dev-feed-dead true map[key:[posts/7 map[prefix:posts/1]]]", "dev-users dev-feed dev-feed-dead true map[]",
		"dev-users email", "dev-users https", "dev-users lambda",
	})
}

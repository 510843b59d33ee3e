package stacks_test

import (
	"slices"
	"testing"

	"cutover/config"
	"cutover/deployment"
	"cutover/internal/analysis/controls"
	"cutover/internal/analysis/criticalpath"
	"cutover/internal/analysis/isolation"
	"cutover/internal/model"
)

// TestWhoPublishesAndReceives: the relay alone publishes to the topic of its service, and the consumer alone receives from its queue.
// Nobody subscribes, purges or reads dead letters. The monolith, whose modules ask for work until it is retired, sends to the queue of
// work.
func TestWhoPublishesAndReceives(t *testing.T) {
	for _, test := range []struct{ store, phase, relay string }{
		{"dynamodb", "monolith", "dev-users-relay: function"}, {"postgres", "monolith", "users-relay: task"}, {"postgres", "retired", "users-relay: task"},
	} {
		i := isolated(t, synth(t, settings{"store": test.store, "events": "on", "phase": test.phase}))
		var without []string
		if test.phase != "retired" {
			without = []string{"api: task may do sqs:SendMessage on queue dev-deletions-work"}
		}
		equal(t, "misuses without the monolith's right in "+test.phase, without, i.Misuses(func(_, _ string) bool { return false }))
		ofMonolith := func(service, _ string) bool { return service == monolith.Name }
		services := append(names(deployment.Forum.All()), names(deployment.Forum.WithEvents)...)
		for _, wrong := range slices.Concat(i.Misuses(ofMonolith), i.Trespasses(ofMonolith), i.TooWide(), i.Foreign(services)) {
			t.Errorf("%s: %s", test.phase, wrong)
		}
		for name, want := range map[string][]isolation.Access{
			"topic dev-users.fifo": {{Identity: test.relay, Service: "users", Actions: []string{"sns:Publish"}, Connects: true}},
			"queue dev-feed.fifo": {
				{Identity: "feed-consumer: task", Service: "feed", Actions: []string{"sqs:ChangeMessageVisibility", "sqs:DeleteMessage", "sqs:ReceiveMessage"}, Connects: true},
				{Identity: "topic dev-posts.fifo", Actions: []string{"sqs:SendMessage"}, Connects: true},
				{Identity: "topic dev-threads.fifo", Actions: []string{"sqs:SendMessage"}, Connects: true},
				{Identity: "topic dev-users.fifo", Actions: []string{"sqs:SendMessage"}, Connects: true},
			},
			"queue dev-deletions-work-dead": nil,
		} {
			of := slices.IndexFunc(i.Channels, func(c isolation.Channel) bool { return c.Name == name })
			if of < 0 {
				t.Fatalf("there is no %s", name)
			}
			equal(t, name, want, i.Channels[of].Accesses)
		}
		for _, g := range i.Grants {
			if g.Identity == isolation.Anybody && g.Effect == "Allow" && g.Condition == "" {
				t.Errorf("anybody may do %s on %s", g.Actions, g.Resources)
			}
		}
	}
}

// TestFunctionsReceive: a function's role receives, and nobody else.
func TestFunctionsReceive(t *testing.T) {
	i := isolated(t, synthDeployment(t, onFunctions(), settings{"store": "dynamodb", "events": "on"}))
	for _, misuse := range i.Misuses(func(service, _ string) bool { return service == monolith.Name }) {
		t.Error(misuse)
	}
}

// TestControlsOfEvents: topics, queues and their key meet the controls in each environment.
func TestControlsOfEvents(t *testing.T) {
	for _, store := range []string{"dynamodb", "postgres"} {
		m := model.Read(synth(t, settings{"store": store, "events": "on"}))
		equal(t, "types that the table says nothing about", []string(nil), controls.Unlisted(m))
		for _, c := range controls.All {
			if findings := c.Check(m); c.Setting == "" && len(findings) > 0 {
				t.Errorf("%s: %s is not met: %v", store, c.ID, findings)
			}
		}
	}
}

// TestCriticalPathsOfEvents: topics and queues are made beside the cluster, and make the first deployment no longer. The worker's scaling
// does, by two steps, and its stack comes after those of the services that it calls. Nothing is unknown.
func TestCriticalPathsOfEvents(t *testing.T) {
	for store, want := range map[string]criticalpath.Length{"dynamodb": {Stacks: 5, Steps: 19, Seconds: 10}, "postgres": {Stacks: 5, Steps: 19, Seconds: 20}} {
		p, err := criticalpath.Read(nil, synth(t, settings{"store": store, "events": "on"}))
		if err != nil {
			t.Fatal(err)
		}
		equal(t, store, want, p.Longest)
		if len(p.Unknown) > 0 {
			t.Errorf("%s: not known: %v", store, p.Unknown)
		}
		for _, s := range p.Stacks {
			if s.Name == "dev-Events" && (s.Turn != 2 || s.Alone.Steps > 5) {
				t.Errorf("%s: the topics and queues are made in turn %d, in %d steps", store, s.Turn, s.Alone.Steps)
			}
		}
	}
}

// onFunctions is the forum whose services that consume or work are on Lambda.
func onFunctions() config.Deployment {
	d := deployment.Forum
	d.WithEvents = slices.Clone(d.WithEvents)
	for i := range d.WithEvents {
		d.WithEvents[i].Compute, d.WithEvents[i].Next = config.Lambda{}, nil
	}
	d.WithEvents[1].Work, d.WithEvents[1].StoreCalls = &config.Work{WindowSeconds: 5}, nil
	return d
}

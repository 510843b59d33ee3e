package stacks_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"cutover/config"
	"cutover/deployment"
	"cutover/internal/analysis/controls"
	"cutover/internal/analysis/criticalpath"
	"cutover/internal/analysis/isolation"
	"cutover/internal/model"
	"cutover/internal/nightly"
)

// TestWhoPublishesAndReceives: the relay alone publishes to the topic of its service, and the consumer alone receives from its queue.
// Nobody subscribes, purges or reads dead letters. The monolith, whose modules ask for work until it is retired, sends to the queue of
// work.
func TestWhoPublishesAndReceives(t *testing.T) {
	nightly.Test(t, "it synthesizes events with both stores, in two phases")
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
		// A role with a policy that is too wide is kept out as well.
		denied := map[string][]string{}
		for _, g := range i.Grants {
			if g.Identity == isolation.Anybody && g.Effect == "Allow" && g.Condition == "" {
				t.Errorf("anybody may do %s on %s", g.Actions, g.Resources)
			}
			if g.Identity == isolation.Anybody && g.Effect == "Deny" {
				of := g.Resources[0][strings.LastIndex(g.Resources[0], ":")+1:]
				denied[of] = append(denied[of], strings.Join(g.Actions, " ")+" if "+g.Condition)
			}
		}
		for name, want := range map[string][]string{
			"dev-users.fifo":     {"sns:Publish if aws:PrincipalTag/environment StringNotEquals dev", "sns:Publish if aws:PrincipalTag/service StringNotEquals users", "sns:Publish if aws:SecureTransport Bool false"},
			"dev-feed.fifo":      {"sqs:* if aws:SecureTransport Bool false", "sqs:ReceiveMessage if aws:PrincipalTag/environment StringNotEquals dev", "sqs:ReceiveMessage if aws:PrincipalTag/service StringNotEquals feed"},
			"dev-feed-dead.fifo": {"sqs:* if aws:SecureTransport Bool false"},
		} {
			equal(t, "what "+name+" denies", want, denied[name])
		}
	}
}

// TestNothingIsLost: messages stay as long as SQS keeps them, in dead-letter queues as well; what cannot be applied or delivered goes
// there; a queue takes as many messages of other keys as there are; and a relay reads its stream from the beginning, for as long as that
// keeps a change.
func TestNothingIsLost(t *testing.T) {
	m := model.Read(synth(t, settings{"store": "dynamodb", "events": "on"}))
	for _, q := range m.Queues {
		if q.EncryptedBy == nil || q.Retention != 14*24*time.Hour || q.FIFO && (q.Limit != "perMessageGroupId" || q.Scope != "messageGroup") {
			t.Errorf("%s keeps messages for %s, its throughput is %s, and its key %q", q.Name, q.Retention, q.Limit, q.KeyID)
		}
		if dead := strings.HasSuffix(strings.TrimSuffix(q.Name, ".fifo"), "-dead"); !dead && (q.DeadLetters == nil || q.DeadLetters.FIFO != q.FIFO || q.MaxReceives != 5 || q.Visibility != time.Minute) {
			t.Errorf("%s: %+v", q.Name, q)
		}
	}
	for _, topic := range m.Topics {
		if !topic.FIFO || topic.EncryptedBy == nil || topic.Scope != "MessageGroup" {
			t.Errorf("%s: %+v", topic.Name, topic)
		}
	}
	for _, s := range m.Subscriptions {
		if !s.Raw || s.DeadLetters == nil || len(s.Filter) > 0 {
			t.Errorf("%s: %+v", s.Key(), s)
		}
	}
	if len(m.Subscriptions) != 3 || len(m.EventSources) != 3 {
		t.Errorf("%d subscriptions and %d mappings", len(m.Subscriptions), len(m.EventSources))
	}
	for _, e := range m.EventSources {
		if e.From != "TRIM_HORIZON" || e.MaxAge != 24*time.Hour || e.Retries != -1 || !e.Bisect || !e.PartialFailures || e.Parallel != 1 || e.OnFailure == nil || len(e.Filters) != 1 {
			t.Errorf("%s: %+v", e.Key(), e)
		}
	}
}

// TestFunctionsReceive: a function's role receives, and nobody else.
func TestFunctionsReceive(t *testing.T) {
	nightly.Test(t, "it synthesizes functions that receive events")
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

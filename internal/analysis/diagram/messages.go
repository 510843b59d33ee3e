package diagram

import (
	"fmt"
	"slices"

	"cutover/internal/model"
)

// messages adds topics, queues and message brokers, who publishes, sends and receives, and the functions that a queue or the stream of a table
// invokes.
func (d *drawing) messages(m *model.Model) {
	for _, t := range m.Topics {
		uses := slices.ContainsFunc(m.Subscriptions, func(s *model.Subscription) bool { return s.Topic == t && s.Queue != nil })
		for _, role := range m.Roles {
			uses = uses || slices.ContainsFunc(m.MessageUses(role), func(u model.MessageUse) bool { return u.Topic == t })
		}
		if uses { // a topic of alarms is on the way of no request
			d.add(t.Resource.Stack.Name, t.Key(), "topic "+t.Name, "[/", "/]")
		}
	}
	for _, q := range m.Queues {
		d.add(q.Resource.Stack.Name, q.Key(), "queue "+q.Name, "[/", "/]")
	}
	for _, q := range m.Queues {
		if q.DeadLetters != nil {
			d.here(q.Key(), q.DeadLetters.Key(), fmt.Sprintf("received %d times", q.MaxReceives)).dotted = true
		}
	}
	for _, s := range m.Subscriptions {
		if s.Topic == nil || s.Queue == nil {
			continue
		}
		what := "messages"
		if len(s.Filter) > 0 {
			what = "some messages"
		}
		d.here(s.Topic.Key(), s.Queue.Key(), what)
	}
	for _, s := range m.Services {
		if s.TaskDefinition == nil {
			continue
		}
		d.use(m, s.Key(), s.TaskDefinition.TaskRole)
		for _, b := range m.BrokersOf(s.TaskDefinition) {
			d.add(b.Resource.Stack.Name, b.Key(), "message broker "+b.Name, "[/", "/]")
			d.here(s.Key(), b.Key(), "AMQP")
		}
	}
	for _, e := range m.EventSources {
		if !e.Here() {
			continue
		}
		f := e.Target.Function
		d.add(f.Resource.Stack.Name, f.Key(), "Lambda function "+f.Name, "[", "]")
		if e.Table != nil {
			d.add(e.Table.Resource.Stack.Name, e.Table.Key(), "table "+e.Table.Name, "[(", ")]")
			d.here(e.Table.Key(), f.Key(), "changes")
		} else {
			d.here(e.Queue.Key(), f.Key(), "messages")
		}
		if e.OnFailure != nil {
			d.here(f.Key(), e.OnFailure.Key(), "given up").dotted = true
		}
		d.use(m, f.Key(), f.Role)
	}
}

// use adds what a role does with topics and queues. A queue that invokes a function does so without an arrow of its own, and Lambda sends
// what a function gave up.
func (d *drawing) use(m *model.Model, key string, role *model.Role) {
	for _, u := range m.MessageUses(role) {
		switch {
		case u.Topic != nil:
			d.here(key, u.Key(), "events")
		case !u.Receives && slices.ContainsFunc(m.EventSources, func(e *model.EventSource) bool {
			return e.Here() && e.OnFailure == u.Queue && e.Target.Function.Key() == key
		}):
		case !u.Receives:
			d.here(key, u.Key(), "messages")
		case !slices.ContainsFunc(m.EventSources, func(e *model.EventSource) bool {
			return e.Here() && e.Queue == u.Queue && e.Target.Function.Key() == key
		}):
			d.here(u.Key(), key, "messages")
		}
	}
}

// here connects nodes in this layer.
func (d *drawing) here(from, to, what string) *edge {
	e := d.connect(from, to, what)
	if !slices.ContainsFunc(e.facts, func(f fact) bool { return f.layer == d.layer }) {
		e.facts = append(e.facts, fact{d.layer, "", 1})
	}
	return e
}

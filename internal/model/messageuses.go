package model

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// MessageUse is a topic or a queue of the assembly that a role may use. One of Topic and Queue is set.
type MessageUse struct {
	Topic *Topic
	Queue *Queue
	// Receives says that the role takes messages. Others publish to the topic, or send to the queue.
	Receives bool
}

// Key is the key of the topic, or of the queue.
func (u MessageUse) Key() string {
	if u.Topic != nil {
		return u.Topic.Key()
	}
	return u.Queue.Key()
}

// messageActions are those of IAM that put messages somewhere, or take them. True for those that take.
var messageActions = map[string]bool{"sns:publish": false, "sqs:sendmessage": false, "sqs:receivemessage": true}

// MessageUses are the topics and queues that statements of a role allow it to use by their names, sorted, each once.
func (m *Model) MessageUses(role *Role) []MessageUse {
	if role == nil {
		return nil
	}
	statements := slices.Clone(role.Statements)
	for _, p := range m.Policies {
		if slices.Contains(p.Roles, role) {
			statements = append(statements, p.Statements...)
		}
	}
	var all []MessageUse
	for _, s := range statements {
		for _, action := range s.Actions {
			receives, known := messageActions[strings.ToLower(fmt.Sprint(action))]
			if s.Effect != "Allow" || !known {
				continue
			}
			for _, resource := range s.Resources {
				u := MessageUse{Receives: receives}
				service, _, _ := strings.Cut(fmt.Sprint(action), ":")
				if strings.EqualFold(service, "sns") {
					u.Topic = named(m.Topics, resource, m.TopicNamed)
				} else {
					u.Queue = named(m.Queues, resource, m.QueueNamed)
				}
				if u.Topic != nil || u.Queue != nil {
					all = append(all, u)
				}
			}
		}
	}
	slices.SortFunc(all, func(a, b MessageUse) int {
		return cmp.Or(strings.Compare(a.Key(), b.Key()), strings.Compare(fmt.Sprint(a.Receives), fmt.Sprint(b.Receives)))
	})
	return slices.Compact(all)
}

// named is the topic or queue that a resource of a statement names by its ARN or by a reference.
func named[T interface {
	comparable
	base() *Base
}](all []T, resource any, byName func(string) T) T {
	text := fmt.Sprint(resource)
	key, _, _ := strings.Cut(strings.Trim(text, "${}"), ".") // as in "${stack/Queue.Arn}"
	for _, one := range all {
		if one.base().Resource.String() == key {
			return one
		}
	}
	return byName(text)
}

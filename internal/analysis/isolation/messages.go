package isolation

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"cutover/internal/model"
)

// Channel is a topic or a queue.
type Channel struct {
	// Name is like "topic dev-users.fifo" or "queue dev-feed.fifo".
	Name string
	// Service is the owner: the tag "service". Empty if there is none.
	Service string
	ARN     string
	// DeadLetters says that the queue gets what a queue, a subscription or an event source mapping gave up.
	DeadLetters bool
	// From are the names of the topics that deliver to the queue, by subscriptions.
	From []string
	// Plain says that the policy does not keep all from requests by plain HTTP.
	Plain bool
	// Accesses are what roles may do, and whoever else the policy names, such as "topic dev-users.fifo", which is SNS for this
	// topic. They are sorted by identity.
	Accesses []Access
}

// channels evaluates who publishes to topics, and who sends to queues and receives from them.
func (r *reader) channels() {
	r.isolation.Polled = slices.ContainsFunc(r.EventSources, (*model.EventSource).Here)
	for _, t := range r.Topics {
		c := Channel{Name: "topic " + t.Name, Service: model.Tag(t.Resource, "service"), ARN: model.ARN(t.Resource, Account, Region)}
		r.channel(&c, "sns", t.Policy, t.KeyID, t.EncryptedBy, "sns:Publish")
	}
	for _, q := range r.Queues {
		c := Channel{Name: "queue " + q.Name, Service: model.Tag(q.Resource, "service"), ARN: model.ARN(q.Resource, Account, Region), DeadLetters: r.deadLetters(q)}
		for _, s := range r.Subscriptions {
			if s.Topic != nil && (s.Queue == q || s.DeadLetters == q) {
				c.From = append(c.From, "topic "+s.Topic.Name)
			}
		}
		slices.Sort(c.From)
		r.channel(&c, "sqs", q.Policy, q.KeyID, q.EncryptedBy, "sqs:SendMessage", "sqs:ReceiveMessage")
	}
	slices.SortFunc(r.isolation.Channels, func(a, b Channel) int { return cmp.Compare(a.Name, b.Name) })
}

func (r *reader) deadLetters(q *model.Queue) bool {
	return slices.ContainsFunc(r.Queues, func(of *model.Queue) bool { return of.DeadLetters == q }) ||
		slices.ContainsFunc(r.Subscriptions, func(s *model.Subscription) bool { return s.DeadLetters == q }) ||
		slices.ContainsFunc(r.EventSources, func(e *model.EventSource) bool { return e.OnFailure == q })
}

// channel adds a topic or a queue. Whoever sends or receives needs its key, too. A service of AWS cannot use a key that is AWS's own
// (https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-key-management.html).
func (r *reader) channel(c *Channel, service string, policy []model.Statement, keyID string, key *model.EncryptionKey, essential ...string) {
	c.Plain = slices.ContainsFunc(essential, func(action string) bool { return !encrypts(policy, action) })
	for _, role := range r.Roles {
		if actions := r.left(role, []string{service}, policy, c.ARN); len(actions) > 0 {
			connects := key == nil
			if key != nil {
				may := r.left(role, []string{"kms"}, key.Policy, model.ARN(key.Resource, Account, Region))
				connects = covers(may, "kms:Decrypt") && (covers(may, "kms:GenerateDataKey") || !slices.ContainsFunc(essential, func(action string) bool {
					return !strings.HasPrefix(action, "sqs:Receive") && covers(actions, action)
				}))
			}
			c.Accesses = append(c.Accesses, Access{r.identities[role.Resource], r.serviceOf(role), actions, connects})
		}
	}
	for _, statement := range policy {
		actions := of([]string{service}, texts(statement.Actions))
		if statement.Effect != "Allow" || len(actions) == 0 {
			continue
		}
		slices.Sort(actions)
		for kind, principals := range statement.Principals {
			for _, p := range texts(principals) {
				if slices.ContainsFunc(r.Roles, func(role *model.Role) bool { return model.ARN(role.Resource, Account, Region) == p }) {
					continue // its access is there
				}
				connects := keyID == "" || key == nil && !strings.HasPrefix(keyID, "alias/aws/") || key != nil && slices.ContainsFunc(key.Policy, func(s model.Statement) bool {
					return s.Effect == "Allow" && slices.Contains(texts(s.Principals[kind]), p) && covers(texts(s.Actions), "kms:Decrypt") && covers(texts(s.Actions), "kms:GenerateDataKey")
				})
				for _, identity := range r.senders(cmp.Or(outsiders[p], strings.ToLower(kind)+" "+p), statement.Condition) {
					c.Accesses = append(c.Accesses, Access{Identity: identity, Actions: actions, Connects: connects})
				}
			}
		}
	}
	slices.SortFunc(c.Accesses, func(a, b Access) int {
		return cmp.Or(cmp.Compare(a.Identity, b.Identity), slices.Compare(a.Actions, b.Actions))
	})
	r.isolation.Channels = append(r.isolation.Channels, *c)
}

// senders are the topics for which SNS may do something, if a condition names them, or else the principal with its condition.
func (r *reader) senders(principal string, condition map[string]map[string][]any) (senders []string) {
	for operator, keys := range condition {
		for key, values := range keys {
			if principal != "service sns.amazonaws.com" || !strings.EqualFold(key, "aws:SourceArn") || !slices.Contains([]string{"ArnEquals", "ArnLike", "StringEquals", "StringLike"}, operator) {
				continue
			}
			for _, arn := range texts(values) {
				i := slices.IndexFunc(r.Topics, func(t *model.Topic) bool { return model.ARN(t.Resource, Account, Region) == arn })
				if i < 0 {
					senders = append(senders, "topics "+arn)
				} else {
					senders = append(senders, "topic "+r.Topics[i].Name)
				}
			}
		}
	}
	if senders == nil {
		if text := conditionText(condition); text != "" {
			principal += " if " + text
		}
		senders = []string{principal}
	}
	return senders
}

// encrypts says whether a policy keeps everybody from an action by plain HTTP
// (https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-security-best-practices.html).
func encrypts(policy []model.Statement, action string) bool {
	return slices.ContainsFunc(policy, func(s model.Statement) bool {
		return s.Effect == "Deny" && slices.Contains(texts(s.Principals["AWS"]), "*") && covers(texts(s.Actions), action) && conditionText(s.Condition) == "aws:SecureTransport Bool false"
	})
}

// covers says whether actions with wildcards have an action among them.
func covers(actions []string, action string) bool {
	return slices.ContainsFunc(actions, func(p string) bool { return model.Matches(strings.ToLower(p), strings.ToLower(action)) })
}

// Misuses are the accesses to topics and queues that are not of their purpose, those that the purpose needs and nobody has, and
// the policies that let plain HTTP in:
//
//   - Programs of the owner publish to a topic.
//   - Topics send to the queues that are subscribed to them, and to the dead-letter queues of the subscriptions.
//   - Programs of the owner send to a queue without subscriptions, and those of services that allowed says, as a monolith before
//     it is retired.
//   - Programs of the owner receive from a queue. People alone do from a dead-letter queue.
//
// Nothing else is of a purpose: to subscribe, to purge or to delete. A topic without an owner is for services of AWS.
func (i *Isolation) Misuses(allowed func(service, owner string) bool) []string {
	var all []string
	report := func(format string, args ...any) { all = append(all, fmt.Sprintf(format, args...)) }
	for _, c := range i.Channels {
		topic := strings.HasPrefix(c.Name, "topic ")
		if c.Plain {
			report("%s takes requests by plain HTTP: its policy has to deny them", c.Name)
		}
		used := map[string]bool{} // by purpose
		for _, a := range c.Accesses {
			own := a.Service == c.Service && c.Service != "" && runs(a.Identity)
			for _, action := range a.Actions {
				purpose := ""
				switch strings.ToLower(action) {
				case "sns:publish":
					if topic && (own || c.Service == "" && strings.HasPrefix(a.Identity, "service ")) {
						purpose = "publish"
					}
				case "sqs:sendmessage":
					switch {
					case slices.Contains(c.From, a.Identity):
						purpose = a.Identity
					case len(c.From) == 0 && (own || !c.DeadLetters && runs(a.Identity) && allowed(a.Service, c.Service)):
						purpose = "send"
					}
				case "sqs:receivemessage", "sqs:deletemessage", "sqs:changemessagevisibility":
					if own && !c.DeadLetters {
						purpose = strings.ToLower(action)
					}
				}
				if purpose == "" {
					report("%s may do %s on %s", a.Identity, action, c.Name)
				} else if used[purpose] = used[purpose] || a.Connects; !a.Connects {
					report("%s may not use the key of %s", a.Identity, c.Name)
				}
			}
		}
		for _, from := range c.From {
			if !used[from] {
				report("%s does not reach %s", from, c.Name)
			}
		}
		switch {
		case c.Service == "":
		case topic && !used["publish"]:
			report("%s does not publish to %s", c.Service, c.Name)
		case !topic && !c.DeadLetters && (!used["sqs:receivemessage"] || !used["sqs:deletemessage"]):
			report("%s does not receive from %s", c.Service, c.Name)
		case !topic && !c.DeadLetters && len(c.From) == 0 && !used["send"]:
			report("%s does not send to %s", c.Service, c.Name)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// ChannelTable is who publishes, sends and receives, in Markdown.
func (i *Isolation) ChannelTable() string {
	var b strings.Builder
	b.WriteString("| topic or queue | who | may |\n|---|---|---|\n")
	for _, c := range i.Channels {
		name := c.Name
		if len(c.Accesses) == 0 {
			fmt.Fprintf(&b, "| %s | nobody | – |\n", name)
		}
		for _, a := range c.Accesses {
			cell := code(a.Actions)
			if !a.Connects {
				cell += "<br>the key does not let it"
			}
			fmt.Fprintf(&b, "| %s | %s | %s |\n", name, a.Identity, cell)
			name = ""
		}
	}
	return b.String()
}

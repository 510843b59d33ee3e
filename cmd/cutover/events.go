package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/spf13/cobra"

	"cutover/internal/local"
	"cutover/internal/local/provider"
	"cutover/internal/onaws"
	"cutover/internal/plain"
	"cutover/internal/queues"
	"cutover/internal/rehearsal"
	"cutover/internal/rehearsal/events"
	"cutover/internal/words"
)

// place has the flags that say where a deployment is.
type place struct {
	env        string
	local, aws bool
}

func (p *place) flags(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.BoolVar(&p.local, "local", false, "look on this machine")
	flags.BoolVar(&p.aws, "aws", false, "look on AWS (default if no deployment runs here)")
	flags.StringVar(&p.env, "env", "", "environment on AWS (default: the one in cdk.json)")
	cmd.MarkFlagsMutuallyExclusive("local", "aws")
	cmd.MarkFlagsMutuallyExclusive("local", "env")
}

// messaging has the topics and queues of a deployment.
type messaging struct {
	*queues.Client
	all queues.Overview
}

func (p *place) messaging(cmd *cobra.Command, g *global) (m messaging, err error) {
	ctx := cmd.Context()
	if !p.aws && p.env == "" {
		here, err := local.NewClient(g.state).Messaging(ctx)
		if err == nil {
			m.Client, err = clientOf(ctx, here)
			if err != nil {
				return m, err
			}
			m.all, err = m.Overview(ctx, here.Names)
			return m, err
		}
		if p.local || !errors.Is(err, local.ErrNotRunning) {
			return m, err
		}
	}
	app, err := appOnAWS(cmd, p.env)
	if err != nil {
		return m, err
	}
	client, names, err := onaws.Messaging(ctx, os.Getenv, app.Env+"-Events")
	if err != nil {
		return m, err
	}
	m.Client = client
	if m.all, err = m.Overview(ctx, names); err != nil {
		return m, err
	}
	return m, onaws.Ages(ctx, os.Getenv, &m.all)
}

// clientOf asks for the topics and queues of a deployment on this machine.
func clientOf(ctx context.Context, here local.Messaging) (*queues.Client, error) {
	if len(here.Topics)+len(here.Queues) == 0 {
		return nil, errors.New("the deployment on this machine has no topics and no queues: give `cutover up` -c events=on and a store, as in -c store=postgres")
	}
	var configs [2]aws.Config
	for i, service := range []string{"SNS", "SQS"} {
		config, err := onaws.Config(ctx, func(name string) string { return here.Variables[name] }, service)
		if err != nil {
			return nil, err
		}
		configs[i] = config
	}
	return queues.New(configs[0], configs[1]), nil
}

// observer watches the events of a rehearsal.
func (s *stage) observer() *events.Observer {
	return &events.Observer{
		Topics: func() (*queues.Client, queues.Names, error) {
			here := s.Messaging()
			if len(here.Topics) == 0 {
				return nil, here.Names, nil
			}
			client, err := clientOf(context.Background(), here)
			return client, here.Names, err
		},
		URL: func(path string) string {
			return strings.TrimSuffix(s.Runner.URLOf(ruled(&rehearsal.Request{Path: path})), "/") + path
		},
		Run:       s.say,
		Histories: func() []string { return s.Having("HISTORY") },
	}
}

// poison is a kind of fault that a rehearsal does by itself.
const poison = "poison"

// faultKinds are those of a deployment on this machine, and those of a rehearsal.
func faultKinds() []provider.FaultKind {
	return append(local.FaultKinds(), provider.FaultKind{
		Name: poison, Lossless: true, Once: true, Does: "events that the service cannot apply come from a topic",
	})
}

// Fault implements [rehearsal.Deployment].
func (s *stage) Fault(ctx context.Context, kind, service string) (clear func(context.Context) error, err error) {
	if kind == poison {
		return s.watching.Poison(ctx, service)
	}
	for group, monolith := range s.monolith {
		if monolith == service {
			service = group
		}
	}
	return s.Runner.Fault(ctx, kind, service)
}

func eventsCommand(g *global) *cobra.Command {
	var o place
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "events",
		Short: "Show topics, queues, what waits in them, and dead letters",
		Long: `Events shows the topics of a deployment with their subscriptions, and its queues: how many
messages wait, how many were received and are not deleted yet, how old the oldest one is,
and how many dead letters there are. SQS counts approximately.

The age comes from CloudWatch, which has it a few minutes late. On this machine it is not
known.

Events takes the deployment on this machine, or the one on AWS if nothing runs here.`,
		Example: `  cutover events
  cutover events --aws --env prod --json
  cutover events dead dev-feed-dead.fifo
  cutover events redrive dev-feed-dead.fifo`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			m, err := o.messaging(cmd, g)
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), m.all)
			}
			v := newView(cmd.OutOrStdout(), g)
			v.print(v.events(m.all))
			return nil
		},
	}
	o.flags(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	cmd.AddCommand(deadCommand(g), redriveCommand(g))
	return cmd
}

func deadCommand(g *global) *cobra.Command {
	var o place
	var most int
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "dead QUEUE",
		Short: "Show the messages of a dead-letter queue, and leave them there",
		Long: `Dead shows the messages of a dead-letter queue. QUEUE is its name, or that of the queue that
its messages come from. They stay there. SQS hides them from others while the command
looks, for a few seconds.

A FIFO queue shows the first 10 messages of each message group.`,
		Example: `  cutover events dead dev-feed-dead.fifo
  cutover events dead --json dev-feed`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			m, err := o.messaging(cmd, g)
			if err != nil {
				return err
			}
			q, err := deadLetters(m.all, args[0])
			if err != nil {
				return err
			}
			messages, more, err := m.Look(cmd.Context(), *q, most)
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), append([]queues.Message{}, messages...))
			}
			v := newView(cmd.OutOrStdout(), g)
			v.print(v.dead(*q, messages, more))
			return nil
		},
	}
	o.flags(cmd)
	cmd.Flags().IntVar(&most, "most", 100, "show at most this many messages")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON, with whole bodies")
	return cmd
}

func redriveCommand(g *global) *cobra.Command {
	var o place
	var yes bool
	cmd := &cobra.Command{
		Use:   "redrive QUEUE",
		Short: "Move the messages of a dead-letter queue back to where they came from",
		Long: `Redrive shows the messages of a dead-letter queue, asks, and moves them to the queue that they
come from. QUEUE is the name of one of the two. Mend first what refused the messages:
otherwise they come back.

In a FIFO queue the messages of a group are moved in their order. If this ends in between,
the rest stays where it is, and one message may be in both queues. A consumer that knows
sequence numbers drops it.

The command moves as many messages as the queue has when it begins. If messages of the same
group have come to the queue meanwhile, they may be there behind a gap, and become dead
letters as well: run the command again until there are none.`,
		Example: `  cutover events redrive dev-feed-dead.fifo
  cutover events redrive --aws --env prod --yes dev-feed`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx := cmd.Context()
			m, err := o.messaging(cmd, g)
			if err != nil {
				return err
			}
			from, err := deadLetters(m.all, args[0])
			if err != nil {
				return err
			}
			if len(from.Sources) == 0 {
				return fmt.Errorf("%s has what a function gave up, which no queue takes: publish the records again, as in `cutover run users republish`", from.Name)
			}
			if len(from.Sources) > 1 {
				return fmt.Errorf("%s has dead letters of %s: nobody knows which message is of which queue", from.Name, strings.Join(from.Sources, " and "))
			}
			to := m.all.Queue(from.Sources[0])
			messages, more, err := m.Look(ctx, *from, 20)
			if err != nil {
				return err
			}
			v := newView(cmd.OutOrStdout(), g)
			v.print(v.dead(*from, messages, more))
			depth := max(from.Depth(), len(messages))
			if depth == 0 {
				return nil
			}
			if !yes {
				fmt.Fprintf(cmd.ErrOrStderr(), "Move %s to %s? [y/N] ", words.Count(depth, "message"), plain.Line(to.Name))
				answer, _ := bufio.NewReader(cmd.InOrStdin()).ReadString('\n')
				if answer = strings.ToLower(strings.TrimSpace(answer)); answer != "y" && answer != "yes" {
					return errors.New("nothing was moved: answer y, or give --yes")
				}
			}
			moved := 0
			err = m.Redrive(ctx, *from, *to, depth, func(queues.Message) { moved++ })
			v.print(fmt.Sprintf("%s moved to %s", words.Count(moved, "message"), to.Name))
			return err
		},
	}
	o.flags(cmd)
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	return cmd
}

// deadLetters is the dead-letter queue with a name, or of the queue with a name. The name may lack ".fifo".
func deadLetters(all queues.Overview, name string) (*queues.Queue, error) {
	dead := func(q queues.Queue) bool {
		return len(q.Sources) > 0 || q.DeadLetters == "" && strings.HasSuffix(strings.TrimSuffix(q.Name, ".fifo"), "-dead")
	}
	for _, name := range []string{name, name + ".fifo"} {
		q := all.Queue(name)
		if q != nil && q.DeadLetters != "" {
			q = all.Queue(q.DeadLetters)
		}
		if q != nil && dead(*q) {
			return q, nil
		}
	}
	var names []string
	for _, q := range all.Queues {
		if dead(q) {
			names = append(names, q.Name)
		}
	}
	if len(names) == 0 {
		return nil, fmt.Errorf("there is no dead-letter queue %q: the deployment has none", name)
	}
	return nil, fmt.Errorf("there is no dead-letter queue %q: %s", name, words.Choice(slices.Sorted(slices.Values(names))))
}

// events returns the tables of topics and queues.
func (v *view) events(all queues.Overview) string {
	topics := [][]string{{"TOPIC", "PROTOCOL", "ENDPOINT"}}
	for _, t := range all.Topics {
		name := t.Name
		for _, s := range t.Subscriptions {
			endpoint := s.Endpoint
			if s.Pending {
				endpoint += ", not confirmed"
			}
			topics = append(topics, []string{name, s.Protocol, endpoint})
			name = ""
		}
		if len(t.Subscriptions) == 0 {
			topics = append(topics, []string{name, "", "nobody"})
		}
	}
	rows := [][]string{{"QUEUE", "WAITING", "IN FLIGHT", "DELAYED", "OLDEST", "DEAD LETTERS"}}
	for _, q := range all.Queues {
		oldest, dead := "-", ""
		if q.Age != nil {
			oldest = ago(*q.Age)
		}
		if of := all.Queue(q.DeadLetters); of != nil {
			dead = fmt.Sprintf("%d in %s", of.Depth(), of.Name)
		} else if len(q.Sources) > 0 {
			dead = "of " + strings.Join(q.Sources, ", ")
		}
		rows = append(rows, []string{q.Name, fmt.Sprint(q.Waiting), fmt.Sprint(q.InFlight), fmt.Sprint(q.Delayed), oldest, dead})
	}
	return v.table(topics) + "\n" + v.table(rows)
}

// dead returns the table of the messages of a dead-letter queue.
func (v *view) dead(q queues.Queue, messages []queues.Message, more bool) string {
	if len(messages) == 0 {
		return plain.Line(q.Name) + " has no messages.\n"
	}
	rows := [][]string{{"SENT", "RECEIVED", "ABOUT", "EVENT", "BODY"}}
	for _, m := range messages {
		about, event := m.Group, ""
		if e, ok := m.Event(); ok {
			about, event = e.Subject+"#"+e.Sequence.String(), e.Type
		}
		rows = append(rows, []string{ago(m.Age) + " ago", fmt.Sprint(m.Receives), about, event, start(m.Body)})
	}
	text := v.table(rows)
	if more {
		text += fmt.Sprintf("There are more messages in %s.\n", plain.Line(q.Name))
	}
	return text
}

// start is the start of a body.
func start(body string) string {
	const most = 60
	text := []rune(strings.Join(strings.Fields(body), " "))
	if len(text) <= most {
		return string(text)
	}
	return string(text[:most]) + "…"
}

func ago(seconds float64) string {
	return (time.Duration(seconds) * time.Second).String()
}

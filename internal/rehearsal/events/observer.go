package events

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"cutover/internal/queues"
	"cutover/internal/rehearsal"
	"cutover/internal/words"
)

// Observer is a [rehearsal.Watcher]. It has a queue of its own that is subscribed to all topics, as AWS would allow as well, and
// asks the services for their records and for the feed.
type Observer struct {
	// Topics returns how to ask for the topics and queues, and which there are. Without topics nothing is watched.
	Topics func() (*queues.Client, queues.Names, error)
	// URL is where clients ask for a path.
	URL func(path string) string
	// Run runs a command of a service, and returns its exit code and what it says. Default: no command is run, so that the feed is judged
	// by what is answered in the last phase alone, and no history.
	Run func(ctx context.Context, service string, command ...string) (exit int, lines []string, err error)
	// Histories names the services that keep the history of their records. Default: none.
	Histories func() []string
	// Patience is how long the events may take to come to rest after the last one that came or was taken. Default: a minute, and with poison
	// the time in which it is tried.
	Patience time.Duration

	client        *queues.Client
	names         queues.Names
	queue         queues.Queue
	subscriptions []string
	watching      sync.WaitGroup
	stop          context.CancelFunc

	mu       sync.Mutex
	got      []Event
	at       []time.Time // when each came
	problems []Problem
	poison   map[string]*sent // by queue
	lags     map[string][]rehearsal.Behind
	relayed  time.Duration // how old the oldest event was when it came, since the last sample
	failed   error
}

const (
	observer = "cutover-rehearsal"
	// every is the time between two samples of a lag, and between two looks at what is at rest.
	every = 500 * time.Millisecond
	// leastEnding is how long the last judgement may take.
	leastEnding = 30 * time.Second
	// relays is the name of the lag between a change and its event.
	relays = "relays"
)

// Begin implements [rehearsal.Watcher].
func (o *Observer) Begin(ctx context.Context) (err error) {
	if o.client, o.names, err = o.Topics(); err != nil || len(o.names.Topics) == 0 {
		return err
	}
	if o.queue, o.subscriptions, err = o.client.Observe(ctx, observer, o.names.Topics); err != nil {
		return err
	}
	o.lags = map[string][]rehearsal.Behind{}
	ctx, o.stop = context.WithCancel(ctx)
	o.watching.Go(func() { o.receive(ctx) })
	o.watching.Go(func() { o.sample(ctx) })
	return nil
}

// receive takes what the topics publish.
func (o *Observer) receive(ctx context.Context) {
	for ctx.Err() == nil {
		messages, err := o.client.Take(ctx, o.queue)
		now := time.Now()
		o.mu.Lock()
		for _, m := range messages {
			e, wrong := Decode([]byte(m.Body))
			if wrong != nil {
				o.problems = append(o.problems, Problem{Unreadable, m.Group, "A topic published a message that is no event: " + wrong.Error() + "."})
				continue
			}
			if e.End() {
				continue
			}
			o.got, o.at = append(o.got, e), append(o.at, now)
			if e.Run == "" {
				o.relayed = max(o.relayed, now.Sub(e.Time))
			}
		}
		if ctx.Err() == nil {
			o.failed = err // until messages come again
		}
		o.mu.Unlock()
		if err != nil {
			pause(ctx)
		}
	}
}

func pause(ctx context.Context) {
	select {
	case <-ctx.Done():
	case <-time.After(every):
	}
}

// sample takes down how far the relays and the queues are behind.
func (o *Observer) sample(ctx context.Context) {
	var of []queues.Queue
	for ; ctx.Err() == nil; pause(ctx) {
		if of == nil { // an overview takes many calls
			if all, err := o.client.Overview(ctx, o.names); err == nil {
				of = consumers(all)
			}
			continue
		}
		came, depths, dead := o.count(), map[string]int{}, map[string]int{}
		for _, q := range of {
			if now, err := o.client.Queue(ctx, q.URL); err == nil {
				depths[q.Name] = now.Depth()
			}
			if !o.isPoisoned() {
				continue
			}
			if now, err := o.client.Queue(ctx, q.DeadLetters); err == nil {
				dead[q.Name] = now.Depth()
			}
		}
		now := time.Now()
		o.mu.Lock()
		for name, n := range dead {
			if s := o.poison[name]; s != nil {
				s.goneOn(depths[name], n, came)
			}
		}
		o.lags[relays] = append(o.lags[relays], rehearsal.Behind{Time: now, Behind: rehearsal.Seconds(o.relayed.Seconds())})
		o.relayed = 0
		for name, waiting := range depths {
			o.lags[name] = append(o.lags[name], rehearsal.Behind{Time: now, Behind: rehearsal.Seconds(behind(o.at, waiting, now).Seconds()), Waiting: waiting})
		}
		o.mu.Unlock()
	}
}

func (o *Observer) isPoisoned() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.poison) > 0
}

// consumers are the queues that topics send to, without those of observers.
func consumers(all queues.Overview) (of []queues.Queue) {
	for _, q := range all.Queues {
		subscribed := slices.ContainsFunc(all.Topics, func(t queues.Topic) bool {
			return slices.ContainsFunc(t.Subscriptions, func(s queues.Subscription) bool { return s.Endpoint == q.Name })
		})
		if subscribed && q.Name != observer && q.Name != observer+".fifo" {
			of = append(of, q)
		}
	}
	return of
}

// behind is about how old the oldest of some waiting messages is: a queue has the last ones that came.
func behind(came []time.Time, waiting int, now time.Time) time.Duration {
	if waiting <= 0 || len(came) == 0 {
		return 0
	}
	return now.Sub(came[max(0, len(came)-waiting)])
}

// End implements [rehearsal.Watcher].
func (o *Observer) End(ctx context.Context) (result rehearsal.Result, lags []rehearsal.Lag) {
	if o.stop == nil {
		return result, nil
	}
	problems, checked, err := o.settle(ctx, o.judge)
	if err == nil && len(problems) == 0 && o.isPoisoned() {
		if err = o.mend(ctx); err == nil {
			problems, checked, err = o.settle(ctx, o.judge)
			checked = append(checked, "The dead-letter queues had the poison that was sent and what came behind it, in order. What follows from its redrive is above.")
		}
	}
	if err == nil {
		var wrong []Problem
		var more []string
		wrong, more, err = o.histories(ctx)
		problems, checked = append(problems, wrong...), append(checked, more...)
	}
	o.stop()
	o.watching.Wait()
	err = errors.Join(err, o.client.Forget(context.WithoutCancel(ctx), o.queue, o.subscriptions))
	if err != nil {
		result.Undecided = append(result.Undecided, "The events could not be judged: "+err.Error())
	}
	result.Findings, result.Checked = findings(problems), checked
	for _, name := range slices.Sorted(maps.Keys(o.lags)) {
		lags = append(lags, rehearsal.Lag{Name: name, Points: o.lags[name]})
	}
	return result, lags
}

// findings groups problems by their kind.
func findings(problems []Problem) (all []rehearsal.Finding) {
	const detailed = 10
	byKind := map[string]int{}
	for _, p := range problems {
		i, known := byKind[p.Kind]
		if !known {
			i = len(all)
			byKind[p.Kind] = i
			all = append(all, rehearsal.Finding{Kind: p.Kind, Text: p.Text})
		} else if len(all[i].Detail) < detailed {
			all[i].Detail = append(all[i].Detail, p.Text)
		}
		all[i].Count++
	}
	return all
}

// judge judges what there is, of an overview.
type judge func(ctx context.Context, all queues.Overview) (problems []Problem, checked []string, err error)

// settle waits until nothing moves any more, and judges what there is then. What is wrong while events are on their way
// may be right in a moment, so it is looked at again until all is right or the patience is over. No judge takes everything.
func (o *Observer) settle(ctx context.Context, judge judge) (problems []Problem, checked []string, err error) {
	if judge == nil {
		judge = func(context.Context, queues.Overview) ([]Problem, []string, error) { return nil, nil, nil }
	}
	patience := o.Patience
	if patience == 0 {
		patience = time.Minute
		if o.isPoisoned() {
			patience += tries
		}
	}
	before, depthBefore := -1, -1
	for end := time.Now().Add(patience); time.Now().Before(end); {
		n, depth := o.count(), 0
		all, failed := o.client.Overview(ctx, o.names)
		for _, q := range taken(all) {
			depth += q.Depth()
		}
		rests := failed == nil && depth == 0 && n == before
		if rests {
			problems, checked, failed = judge(ctx, all)
		}
		if rests && failed == nil && len(problems) == 0 {
			return problems, checked, nil
		}
		if n != before || depth != depthBefore {
			end = time.Now().Add(patience)
		}
		if before, depthBefore, err = n, depth, failed; ctx.Err() != nil {
			break
		}
		pause(ctx)
	}
	// The last judgement counts. If something moved all the time, there was none.
	ending, cancelEnding := context.WithTimeout(context.WithoutCancel(ctx), max(patience, leastEnding))
	defer cancelEnding()
	all, failed := o.client.Overview(ending, o.names)
	if failed != nil {
		return problems, checked, failed
	}
	if problems, checked, err = judge(ending, all); err != nil {
		return problems, checked, err
	}
	for _, q := range taken(all) {
		if q.Depth() > 0 {
			problems = append(problems, Problem{Stuck, q.Name, fmt.Sprintf("%s still has %s %v after the load.", q.Name, words.Count(q.Depth(), "message"), patience)})
		}
	}
	return problems, checked, nil
}

// taken are the queues whose messages somebody takes: those that topics send to, and those of work.
func taken(all queues.Overview) (of []queues.Queue) {
	of = consumers(all)
	for _, q := range all.Queues {
		if q.DeadLetters != "" && !slices.ContainsFunc(of, func(other queues.Queue) bool { return other.Name == q.Name }) {
			of = append(of, q)
		}
	}
	return of
}

// Stuck is the kind of a problem: events are not taken.
const Stuck = "events that wait"

func (o *Observer) count() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.got)
}

// judge judges what is there now.
func (o *Observer) judge(ctx context.Context, all queues.Overview) (problems []Problem, checked []string, err error) {
	o.mu.Lock()
	got, failed := slices.Clone(o.got), o.failed
	problems = slices.Clone(o.problems)
	o.mu.Unlock()
	if failed != nil {
		return problems, nil, failed
	}
	said := func(wrong []Problem, format string, a ...any) {
		if problems = append(problems, wrong...); len(wrong) == 0 {
			checked = append(checked, fmt.Sprintf(format, a...))
		}
	}
	wrong, duplicates := Sequences(got, o.queue.FIFO)
	fold := Fold(got)
	said(wrong, "%s of %s: each key has the numbers from 1 on; %s.", words.Count(len(got)-duplicates, "event"), words.Count(len(fold), "record"), again(duplicates))

	stored := map[string]json.RawMessage{}
	for _, path := range sources(got) {
		if err := o.records(ctx, path, stored); err != nil {
			return problems, checked, err
		}
	}
	said(Stored(fold, stored), "%s stored as the events say.", isOrAre(len(stored), "record"))

	feed, has, err := o.feed(ctx)
	if err != nil {
		return problems, checked, err
	}
	if has {
		want, err := Feed(fold)
		if err != nil {
			return problems, checked, err
		}
		said(SameFeed("The feed", want, feed), "The feed shows %s as the events say.", words.Count(len(feed), "thread"))
		if o.Run != nil {
			if feed, err = o.made(ctx); err != nil {
				return problems, checked, err
			}
			said(SameFeed("What the service feed has made of the events", want, feed), "The service feed has made %s of the events, which are the same.", words.Count(len(feed), "thread"))
		}
	}
	dead, err := o.deadLetters(ctx, all)
	return append(problems, dead...), checked, err
}

func again(duplicates int) string {
	if duplicates == 0 {
		return "none came twice"
	}
	return fmt.Sprintf("%d came again, as at least once allows", duplicates)
}

func isOrAre(n int, noun string) string {
	if n == 1 {
		return words.Count(n, noun) + " is"
	}
	return words.Count(n, noun) + " are"
}

// sources are the paths of the records that the events are about.
func sources(got []Event) (paths []string) {
	for _, e := range got {
		if strings.HasPrefix(e.Source, "/") && !slices.Contains(paths, e.Source) {
			paths = append(paths, e.Source)
		}
	}
	slices.Sort(paths)
	return paths
}

// deadLetters judges the dead-letter queues.
func (o *Observer) deadLetters(ctx context.Context, all queues.Overview) (problems []Problem, err error) {
	o.mu.Lock()
	poison := maps.Clone(o.poison)
	o.mu.Unlock()
	for _, q := range all.Queues {
		isDead := len(q.Sources) > 0 || strings.HasSuffix(strings.TrimSuffix(q.Name, ".fifo"), "-dead")
		var want, dead []Event
		for _, source := range q.Sources {
			if s := poison[source]; s != nil {
				want = append(want, s.events...)
				if !s.passed {
					problems = append(problems, Problem{Held, source, fmt.Sprintf("While %s tried what nobody can apply, no later event was taken.", source)})
				}
			}
		}
		if !isDead || q.Depth() == 0 && len(want) == 0 {
			continue
		}
		messages, _, err := o.client.Look(ctx, q, 1000)
		if err != nil {
			return problems, err
		}
		for _, m := range messages {
			e, err := Decode([]byte(m.Body))
			if err != nil {
				e = Event{Key: m.Group}
			}
			dead = append(dead, e)
		}
		problems = append(problems, DeadLetters(q.Name, dead, want)...)
	}
	return problems, nil
}

// histories has the services fold the histories of their records, and compare them with what is stored.
func (o *Observer) histories(ctx context.Context) (problems []Problem, checked []string, err error) {
	if o.Histories == nil || o.Run == nil {
		return nil, nil, nil
	}
	for _, service := range o.Histories() {
		exit, said, err := o.Run(ctx, service, "replay")
		if err != nil {
			return problems, checked, fmt.Errorf("%s replay: %w", service, err)
		}
		last := strings.Join(said[max(0, len(said)-5):], "; ")
		if exit != 0 {
			problems = append(problems, Problem{WrongHistory, service, fmt.Sprintf("The command replay of %s ends with %d: %s", service, exit, last)})
			continue
		}
		checked = append(checked, "The history of "+last+".")
	}
	return problems, checked, nil
}

// made is what the service feed has made of the events. In some phases nobody asks the service.
func (o *Observer) made(ctx context.Context) (feed []Thread, err error) {
	exit, lines, err := o.Run(ctx, "feed", "show")
	if err == nil && exit != 0 {
		err = fmt.Errorf("exit code %d: %s", exit, strings.Join(lines, "; "))
	}
	for _, line := range lines {
		var t Thread
		if err == nil && json.Unmarshal([]byte(line), &t) == nil && t.ID > 0 { // the other lines are those of the log
			feed = append(feed, t)
		}
	}
	if err != nil {
		err = fmt.Errorf("feed show: %w", err)
	}
	return feed, err
}

// pageSize is how many records a page has, and maxPages how many pages are read.
const pageSize, maxPages = 200, 1000

// withIDs is the media type in which a list has the ids that its records hide.
const withIDs = "application/vnd.cutover.v2+json, application/json;q=0.5"

// pages reads a list page by page.
func (o *Observer) pages(ctx context.Context, path string, each func(body []byte) error) (found bool, err error) {
	at, err := url.Parse(o.URL(path))
	if err != nil {
		return false, err
	}
	at.RawQuery = fmt.Sprintf("limit=%d", pageSize)
	for range maxPages {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, at.String(), nil)
		if err != nil {
			return false, err
		}
		request.Header.Set("Accept", withIDs)
		answer, err := http.DefaultClient.Do(request)
		if err != nil {
			return false, err
		}
		body, err := io.ReadAll(answer.Body)
		if err := errors.Join(err, answer.Body.Close()); err != nil {
			return false, err
		}
		if answer.StatusCode == http.StatusNotFound {
			return false, nil
		} else if answer.StatusCode != http.StatusOK {
			return false, fmt.Errorf("GET %s: %s", path, answer.Status)
		}
		if err := each(body); err != nil {
			return false, fmt.Errorf("GET %s: %w", path, err)
		}
		next := following(answer.Header.Values("Link"))
		if next == "" {
			return true, nil
		}
		if at, err = at.Parse(next); err != nil {
			return false, err
		}
	}
	return true, fmt.Errorf("GET %s: there are more than %d pages", path, maxPages)
}

// following is the target of the link to the next page; empty on the last one.
func following(links []string) string {
	for _, header := range links {
		for link := range strings.SplitSeq(header, ",") {
			target, parameters, _ := strings.Cut(strings.TrimSpace(link), ";")
			if strings.Contains(parameters, `rel="next"`) {
				return strings.Trim(target, "<>")
			}
		}
	}
	return ""
}

// records reads the records of a list, by key.
func (o *Observer) records(ctx context.Context, path string, into map[string]json.RawMessage) error {
	list := path[strings.LastIndexByte(path, '/')+1:]
	_, err := o.pages(ctx, path, func(body []byte) error {
		var all []json.RawMessage
		if err := json.Unmarshal(body, &all); err != nil {
			return err
		}
		for _, record := range all {
			var known struct{ ID json.Number }
			if err := json.Unmarshal(record, &known); err != nil || known.ID == "" {
				return fmt.Errorf("a record has no id: %s", brief(record))
			}
			into[list+"/"+known.ID.String()] = record
		}
		return nil
	})
	return err
}

// feed reads the feed. It is false if there is none.
func (o *Observer) feed(ctx context.Context) (all []Thread, has bool, err error) {
	has, err = o.pages(ctx, "/api/feed", func(body []byte) error {
		var page []Thread
		err := json.Unmarshal(body, &page)
		all = append(all, page...)
		return err
	})
	return all, has, err
}

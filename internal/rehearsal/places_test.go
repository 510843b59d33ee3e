package rehearsal

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/html"
)

// An answer of the wrong service fails a rehearsal, whatever its bytes. During a step, and of a
// request that lasts until the step, the services of both phases are right.
func TestAnswersOfTheWrongService(t *testing.T) {
	of := func(service string) func(*sent) { return func(s *sent) { s.service = service } }
	for name, test := range map[string]struct {
		seq    int // in a fifth of the time each: one, the step, two, two harmed, two
		change func(*sent)
		want   string // of all strays
	}{
		"none":                         {0, func(*sent) {}, ""},
		"before":                       {10, of("a"), "a answered 1 request to /a in one instead of old."},
		"the other route's":            {51, of("a"), "a answered 1 request to /b in two instead of b."},
		"still the one before":         {50, of("old"), "old answered 1 request to /a in two instead of a."},
		"with a fault":                 {70, of("old"), "old answered 1 request to /a in kill b instead of a."},
		"during the step, before":      {38, of("old"), ""},
		"during the step, after":       {22, of("a"), ""},
		"during the step, of neither":  {22, of("b"), "b answered 1 request to /a in one → two instead of a or old."},
		"until the step":               {18, func(s *sent) { s.service, s.latency = "a", 200*time.Millisecond }, ""},
		"until just before the step":   {18, func(s *sent) { s.service, s.latency = "a", 199*time.Millisecond }, "a answered 1 request to /a in one instead of old."},
		"lost":                         {10, func(s *sent) { s.service, s.status, s.got, s.problem = "a", 0, -1, timedOut }, ""},
		"unreported":                   {10, func(s *sent) { s.service, s.unreported = "a", true }, ""},
		"of a service nobody asks for": {61, of("x"), "x answered 1 request to /b in kill b instead of b."},
	} {
		run := handmade()
		run.Answerers = func(phase string, r *Request) []string {
			if phase == "one" {
				return []string{"old"}
			}
			return []string{strings.TrimPrefix(r.Path, "/")}
		}
		run.play(func(seq int) sent {
			s := good(seq)
			if seq == test.seq {
				test.change(&s)
			}
			return s
		})
		r := analyse(run)
		var got []string
		for _, stray := range r.Strays {
			got = append(got, stray.String())
		}
		if text := strings.Join(got, " "); text != test.want {
			t.Errorf("%s: %q, want %q", name, text, test.want)
		}
		if (r.Verdict.Outcome == Failed) != (test.want != "" || name == "lost") {
			t.Errorf("%s: %+v", name, r.Verdict)
		}
	}
}

// Strays are grouped. All parts of the report have them.
func TestReportOfStrays(t *testing.T) {
	run := handmade()
	run.Answerers = func(phase string, r *Request) []string {
		if phase == "one" {
			return []string{"new"}
		}
		return nil // any
	}
	run.play(good)
	r := analyse(run)
	const sentence = "old answered 20 requests to /a, /b in one instead of new."
	if len(r.Strays) != 1 || r.Strays[0].String() != sentence { // during the step any service is right
		t.Errorf("strays %+v", r.Strays)
	}
	want := "Of 100 requests, 20 were answered by the wrong service. " + sentence
	if r.Verdict.Sentence != want || !slices.Contains(r.Verdict.Reasons, sentence) {
		t.Errorf("verdict %+v\nwant %s", r.Verdict, want)
	}
	var summary, page bytes.Buffer
	if err := r.WriteSummary(&summary); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(summary.String(), "  "+sentence+"\n") {
		t.Errorf("the summary is\n%s", summary.String())
	}
	if err := r.WritePage(&page); err != nil {
		t.Fatal(err)
	}
	dom, err := html.Parse(&page)
	if err != nil {
		t.Fatal(err)
	}
	if strays := find(dom, "ul", "id", "strays"); len(strays) != 1 || textOf(strays[0]) != sentence {
		t.Error("the page does not have them")
	}
	if strings.Contains(textOf(dom), "Nothing: each request was answered") {
		t.Error("the page says that nothing went wrong")
	}
}

// A step has the words that the options have for it, and a phase has a label. Empty words are the
// usual ones.
func TestRunInOtherWords(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	f.moving = func(string, string) error { return pause(20 * time.Millisecond) }
	asked, doing := []string{}, []string{}
	var once sync.Once
	shown := make(chan struct{}) // the fault, in the progress
	f.broken = func(string, string) (func(context.Context) error, error) {
		return func(ctx context.Context) error {
			select {
			case <-shown:
			case <-ctx.Done():
			}
			return ctx.Err()
		}, nil
	}
	r := rehearse(t, f, quick(func(o *Options) {
		o.Walk = []string{"users=monolith", "switched", "retired"}
		o.Progress = func(p Progress) {
			doing = append(doing, p.Doing)
			if p.Doing == "api=retired, kill users" && p.Fault == "kill:users@retired" {
				once.Do(func() { close(shown) })
			}
		}
		o.Faults = []Fault{{Kind: "kill", Service: "users", Phase: "retired"}}
		o.Words = func(from, to string) (step, label string) {
			asked = append(asked, from+" "+to)
			if to == "switched" {
				return "users: monolith → switched", "users=switched"
			}
			return "", "api=retired"
		}
		o.Answerers = func(phase string, r *Request) []string {
			if phase == "users=monolith" {
				return []string{"api"}
			}
			return []string{strings.Split(r.Path, "/")[2]}
		}
	}))
	if !r.Verdict.Passed {
		t.Fatalf("not passed: %+v", r.Verdict)
	}
	if want := []string{"users=monolith switched", "switched retired"}; !slices.Equal(asked, want) {
		t.Errorf("asked for %q, want %q", asked, want)
	}
	var names []string
	for _, p := range r.Phases {
		names = append(names, p.Name+" "+p.Label)
	}
	for _, s := range r.Steps {
		names = append(names, s.Name)
	}
	want := []string{"users=monolith users=monolith", "switched users=switched", "retired api=retired", "users: monolith → switched", "switched → retired", "kill users"}
	if !slices.Equal(names, want) {
		t.Errorf("%q, want %q", names, want)
	}
	// The label stays when the fault is over.
	if last := doing[len(doing)-1]; last != "api=retired" {
		t.Errorf("progress was %q", doing)
	}
}

// long is the walk of a deployment with places, in the words that a rehearsal has for it.
func long() *Rehearsal {
	run := simulate(DefaultWalk(), 100, true)
	var words []string
	for i := range 6 {
		words = append(words, fmt.Sprintf("orders/writes-%d=switched, a-service-with-a-name-of-32-letters=%d0%% and 12 more", i, i))
	}
	places := strings.Repeat("a-service-with-a-name-of-32-letters=switched,", 98)
	n := 0
	for i := range run.spans {
		s := &run.spans[i]
		s.phase = places + s.phase
		if s.kind == deploying {
			s.next, s.step = places+s.next, "orders/writes: 10% → switched, "+words[n]
			n++
		} else if n > 0 {
			s.label = words[n-1]
		}
	}
	for i := range run.Walk {
		run.Walk[i] = places + run.Walk[i]
	}
	return run
}

// The timeline has room for the label of each phase.
func TestLabelsOfPlaces(t *testing.T) {
	r := analyse(long())
	c := &chart{palette: light, Report: r, left: r.plotLeft()}
	labels := c.labels()
	place(labels, 4, 2, chartWidth-2)
	for _, l := range labels {
		if l.row < 0 {
			t.Errorf("%s has no place", l.text)
		}
	}
}

package session

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"cutover/internal/rehearsal"
	"cutover/internal/words"
)

// The kinds of findings.
const (
	unknownSession = "unknown session"
	endedSession   = "session ended"
)

// pair is a right answer, with the one that gave what its request needed.
type pair struct{ given, right int } // Seq

// life is a session: the Seq of its first answer and of its last one.
type life struct{ first, last int }

// failure is an answer that differs from those of the first phase, in a session.
type failure struct {
	given, wrong event
	how          string
	told         []event
	age          time.Duration
}

// note keeps some of the right answers, each with the same chance. It needs the lock.
func (s *Session) note(u *user, e event) {
	if u.given == noEvent {
		return
	}
	s.seen[e.place]++
	p, all := pair{u.given.seq, e.seq}, &s.right[e.place]
	if len(*all) < maxRight {
		*all = append(*all, p)
	} else if i := s.random.IntN(s.seen[e.place]); i < maxRight {
		(*all)[i] = p
	}
}

// fail keeps some of the failures of each second. It needs the lock.
func (s *Session) fail(u *user, e event, how string) {
	if u.given == noEvent { // no session is needed to fail
		return
	}
	if now := time.Now(); now.Sub(s.second) >= time.Second {
		s.second, s.kept = now, 0
	}
	if s.kept++; s.kept > maxKept {
		s.counts.moreWrong++
		return
	}
	s.wrong = append(s.wrong, failure{u.given, e, how, slices.Clone(u.told), time.Since(u.since)})
}

// refuses says whether a status means that a session is not known.
func refuses(status int) bool {
	return status == http.StatusUnauthorized || status == http.StatusForbidden || status >= 300 && status < 400 ||
		status == 419 || status == 440 // of Laravel and of IIS, for a session that has ended
}

// Result says which sessions the other side did not know.
func (s *Session) Result(at func(seq int) rehearsal.Handled) rehearsal.Result {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := teller{s, at, map[way]bool{}, map[way]bool{}}
	for place, pairs := range s.right {
		for _, p := range pairs {
			t.right[t.way(place, p.right, p.given)] = true
		}
	}
	for _, f := range s.wrong {
		t.wrong[t.way(f.wrong.place, f.wrong.seq, f.given.seq)] = true
	}
	result := rehearsal.Result{Findings: t.findings(), Loose: true}
	for place, comparison := range s.comparisons {
		result.Ignored = append(result.Ignored, comparison.Ignored(place)...)
	}
	went, stages := 0, map[string]bool{}
	for _, l := range s.ended {
		first, last := at(l.first).Stage, at(l.last).Stage
		stages[first], stages[last] = true, true
		if first != last {
			went++
		}
	}
	for _, u := range s.ready {
		if n := len(u.told); n > 0 && at(u.first).Stage != at(u.told[n-1].seq).Stage {
			went++
		}
	}
	text := fmt.Sprintf("%s: %s, %d of them in several phases or steps", s.Name, words.Count(s.counts.begun, "session"), went)
	if s.counts.expired > 0 {
		text += fmt.Sprintf("; %s after %v by themselves", words.Count(s.counts.expired, "session")+" ended", s.Expires)
	}
	result.Checked = []string{text + "."}
	if went == 0 && len(stages) > 1 {
		result.Gaps = []string{fmt.Sprintf("%s: no session was older than a step: raise users or the rate", s.Name)}
	}
	return result
}

// teller writes findings for people.
type teller struct {
	*Session
	at func(seq int) rehearsal.Handled
	// right and wrong have the ways of the answers that are taken down.
	right, wrong map[way]bool
}

// way is that of a step: the service that answered, and the one that gave what the request needed.
type way struct {
	place          int
	service, given string
}

func (t teller) way(place, seq, given int) way {
	return way{place, t.at(seq).Service, t.at(given).Service}
}

// findings has one for each way in which a session is not known.
func (t teller) findings() (list []rehearsal.Finding) {
	type group struct{ kind, given, wrong string }
	all := map[group][]failure{}
	for _, f := range t.Session.wrong {
		if kind := t.kind(f); kind != "" {
			g := group{kind, t.at(f.given.seq).Service, t.at(f.wrong.seq).Service}
			all[g] = append(all[g], f)
		}
	}
	for g, failures := range all {
		f := slices.MinFunc(failures, func(a, b failure) int { return a.wrong.seq - b.wrong.seq })
		list = append(list, rehearsal.Finding{Kind: g.kind, Stage: t.at(f.wrong.seq).Stage, Text: t.sentence(g.kind, f), Detail: t.rows(f), Count: len(failures)})
	}
	slices.SortFunc(list, func(a, b rehearsal.Finding) int { return cmp.Or(b.Count-a.Count, cmp.Compare(a.Text, b.Text)) })
	if t.counts.moreWrong > 0 && len(list) > 0 {
		list[0].Detail = append(list[0].Detail, fmt.Sprintf("%s more with a wrong answer are not told apart.", words.Count(t.counts.moreWrong, "session")))
	}
	return list
}

// kind is the kind of a failure; empty if it says nothing about the session. Another answer than that of the first phase, which is
// no refusal, may be wrong for everybody. It is about the session if the same service always answers right in sessions that another
// service opened.
func (t teller) kind(f failure) string {
	given, wrong := t.at(f.given.seq), t.at(f.wrong.seq)
	isRefused := refuses(f.wrong.status)
	switch {
	case isRefused && given.Target != "" && given.Target == wrong.Target:
		return endedSession
	case isRefused:
		return unknownSession
	}
	for w := range t.right {
		if w.place == f.wrong.place && w.service == wrong.Service && w.given != given.Service && !t.wrong[w] {
			return unknownSession
		}
	}
	return ""
}

// called is a step's name, with its method.
func (t teller) called(place int) string {
	if r := t.steps[place].Request; r.Name == "" && r.String() == r.Host+r.Path {
		return http.MethodGet + " " + r.String()
	}
	return t.routes[place].String()
}

func (t teller) sentence(kind string, f failure) string {
	given, wrong := t.at(f.given.seq), t.at(f.wrong.seq)
	session := fmt.Sprintf("the session that was opened in %s", given.Stage)
	if given.Service != "" {
		session = fmt.Sprintf("the session that %s opened in %s", given.Service, given.Stage)
	}
	who := wrong.Service
	if who != "" && who == given.Service && given.Target != wrong.Target {
		who = "another task of " + who
	}
	to := ""
	if who != "" {
		to = " to " + who
	}
	steps := fmt.Sprintf("%s answers %d, then %s %d", t.called(f.given.place), f.given.status, t.called(f.wrong.place), f.wrong.status)
	switch {
	case kind == endedSession:
		return fmt.Sprintf("%s is unknown to %s itself in %s, after %v: %s; if sessions end by themselves, write expires",
			session, who, wrong.Stage, f.age.Round(100*time.Millisecond), steps)
	case refuses(f.wrong.status):
		return fmt.Sprintf("%s is unknown%s in %s: %s", session, to, wrong.Stage, steps)
	}
	return fmt.Sprintf("%s seems unknown%s in %s: %s (%s), and right in sessions that another service opened", session, to, wrong.Stage, steps, f.how)
}

// rows are the last answers of a session: when, in which phase, who answered, what. An arrow points at the wrong one.
func (t teller) rows(f failure) []string {
	var b strings.Builder
	table := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	told := f.told
	if !slices.Contains(told, f.given) {
		told = slices.Concat([]event{f.given}, told)
	}
	for _, e := range told {
		by, mark, when := t.at(e.seq), "", "before"
		if e == f.wrong {
			mark = "←"
		}
		if e.seq >= 0 {
			when = fmt.Sprintf("%.3f s", by.At.Seconds())
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%d %s\n", when, by.Stage, cmp.Or(by.Service, "-"), t.called(e.place), e.status, mark)
	}
	_ = table.Flush()
	rows := strings.Split(strings.TrimSuffix(b.String(), "\n"), "\n")
	for i := range rows {
		rows[i] = strings.TrimRight(rows[i], " ")
	}
	return rows
}

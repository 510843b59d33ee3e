package collection

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"cutover/internal/plain"
	"cutover/internal/rehearsal"
	"cutover/internal/rehearsal/step"
	"cutover/internal/words"
)

// The kinds of findings.
const (
	lost        = "lost write"
	stale       = "stale read"
	unlisted    = "missing in the list"
	listedTwice = "listed twice"
	back        = "deleted and back"
	doneTwice   = "done twice"
	sameID      = "id given twice"
	foreignText = "wrong content"
	ignored     = "condition ignored"
	refused     = "refused wrongly"
	wrongTag    = "wrong ETag"
	unordered   = "contradictory answers"
)

// suspect is a history that is to be checked.
type suspect struct {
	history
	resource *resource
	id       string
	created  operation
	base     *operation
	earlier  []state
	rules    rules
}

// suspect needs the lock.
func (c *Collection) suspect(r *resource) suspect {
	h := history{r.first, slices.Clone(r.operations)}
	return suspect{h, r, r.id, r.created, r.base, r.earlier, c.rules}
}

// examine checks a history. A resource with a history that cannot be is asked no more.
func (c *Collection) examine(s suspect) {
	verdict := s.check(s.rules, c.limit)
	if verdict == linearizable {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if verdict == undecided {
		c.cut++
	} else {
		c.fail(failure{suspect: &s})
	}
	c.forget(s.resource)
}

// failure is something that cannot be.
type failure struct {
	// suspect is explained at the end. The other fields are empty until then.
	*suspect
	kind string
	id   string
	// other is the id of a second resource.
	other string
	// ack is the answer that the wrong one contradicts. It may be empty.
	ack, wrong operation
	// later says that what was written is there later.
	later      bool
	operations []operation
}

// fail needs the lock.
func (c *Collection) fail(f failure) {
	if len(c.failed) == maxFailures {
		c.more++
		return
	}
	c.failed = append(c.failed, f)
}

// explain says which answer of a history is wrong, and which one it contradicts.
func (s *suspect) explain(limit time.Duration) failure {
	f := failure{kind: unordered, id: s.id, ack: s.created, wrong: s.created, operations: s.operations}
	if s.base != nil {
		f.operations = slices.Concat([]operation{s.created}, s.operations)
	}
	then, place := s.culprit(s.rules, limit)
	if place < 0 {
		return f
	}
	f.wrong = then.operations[place]
	right := then.right(s.rules, place, limit)
	if len(right) == 0 {
		if f.wrong.outcome == missing { // and another answer saw it gone, too
			f.kind = lost
		}
		return f
	}
	saw := f.wrong.value
	if f.wrong.outcome == missing {
		saw = absent
	}
	switch written := s.wrote(then, saw); {
	case f.wrong.action == creating:
		f.kind = sameID
	case slices.Equal(right, []state{absent}):
		f.kind = back
		f.ack = s.last(then, f.wrong, func(o operation) bool { return o.action == deleting })
	case f.wrong.outcome == outdated, f.wrong.outcome == done && f.wrong.action.writes(), saw == present, f.wrong.action == reading && slices.Contains(right, saw):
		f.kind, f.ack = f.wrong.mismatch(), s.shown(then, f.wrong, right)
	case saw == absent:
		f.kind, f.later = s.later(f.wrong, right)
		if f.wrong.action == listing && f.kind == stale {
			f.kind = unlisted
		}
	case !written:
		f.kind = foreignText
	default:
		f.kind, f.later = s.later(f.wrong, right)
		f.ack = s.shown(then, f.wrong, right)
	}
	return f
}

// mismatch is what is wrong with an answer about an entity tag.
func (o operation) mismatch() string {
	switch {
	case o.outcome == outdated:
		return refused
	case o.action.writes() && o.ifMatch != "" && o.tag != o.ifMatch:
		return ignored
	}
	return wrongTag
}

// shown is the last operation before an answer that wrote or saw one of the states.
func (s *suspect) shown(h history, wrong operation, states []state) operation {
	return s.last(h, wrong, func(o operation) bool { return o.action != deleting && slices.Contains(states, o.value) })
}

// wrote says whether a value was written to the resource.
func (s *suspect) wrote(h history, value state) bool {
	return value == h.first.value || slices.Contains(s.earlier, value) ||
		slices.ContainsFunc(h.operations, func(o operation) bool { return o.action.writes() && o.value == value })
}

// last is the last acknowledged write before an answer that fits, or else the last read. Default: the read that begins the history,
// or the create.
func (s *suspect) last(h history, wrong operation, fits func(operation) bool) operation {
	ack, found := s.created, false
	if s.base != nil {
		ack = *s.base
	}
	for _, o := range h.operations {
		isBetter := !found || o.action.writes() && !ack.action.writes() || o.action.writes() == ack.action.writes() && o.end > ack.end
		if o.outcome == done && o.end < wrong.end && fits(o) && isBetter {
			ack, found = o, true
		}
	}
	return ack
}

// later tells a write that was lost from a read of an old copy, and says whether the write is there later. The next answer
// about the same state decides, if there is one before the next write.
func (s *suspect) later(wrong operation, right []state) (kind string, isThere bool) {
	after := slices.DeleteFunc(slices.Clone(s.operations), func(o operation) bool { return o.call < wrong.end || o.action == listing })
	slices.SortFunc(after, func(a, b operation) int { return cmp.Compare(a.call, b.call) })
	isUnknown := wrong.value == absent || wrong.outcome == missing
	switch {
	case len(after) == 0 && isUnknown:
		return lost, false
	case len(after) == 0:
		return stale, false
	case after[0].outcome == missing, after[0].action == reading && after[0].value != present && !slices.Contains(right, after[0].value):
		return lost, false
	}
	return stale, after[0].action == reading || isUnknown
}

// teller writes failures for people.
type teller struct {
	*Collection
	handled func(seq int) rehearsal.Handled
}

// by says who gave an answer, and when.
func (t teller) by(o operation) rehearsal.Handled {
	if o.seq == afterLoad {
		return rehearsal.Handled{Stage: theEnd}
	}
	return t.handled(o.seq)
}

// theEnd is the stage of what [Collection.Finish] asks.
const theEnd = "after the load"

// in is the stage of an answer, with its preposition.
func in(h rehearsal.Handled) string {
	if h.Stage == theEnd {
		return h.Stage
	}
	return "in " + h.Stage
}

// sentence says what is wrong.
func (t teller) sentence(f failure) string {
	it := t.Name + " " + plain.Line(f.id)
	ack, wrong := t.by(f.ack), t.by(f.wrong)
	says, to := "an answer "+in(wrong), in(wrong)
	if wrong.Service != "" {
		says, to = wrong.Service+" "+in(wrong), "to "+wrong.Service+" "+in(wrong)
	}
	did := "acknowledged"
	if !f.ack.action.writes() {
		did = "answered"
	}
	that, acked := "that was "+did+" "+in(ack), did+" "+in(ack)
	if ack.Service != "" {
		that, acked = "that "+ack.Service+" "+did+" "+in(ack), did+" by "+ack.Service+" "+in(ack)
	}
	saw, later := t.values.text(f.wrong.value), ""
	if f.later {
		later = ", and is there later"
	}
	switch isUnknown := f.wrong.value == absent || f.wrong.outcome == missing; {
	case f.kind == lost && isUnknown, f.kind == stale && isUnknown:
		return fmt.Sprintf("the %s %s is unknown %s%s", it, that, to, later)
	case f.kind == lost, f.kind == stale:
		return fmt.Sprintf("%s answers %s for %s, although %s was %s%s", says, saw, it, t.values.text(f.ack.value), acked, later)
	case f.kind == unlisted:
		return fmt.Sprintf("%s does not list the %s %s", says, it, that)
	case f.kind == listedTwice:
		return fmt.Sprintf("%s lists the %s %s more than once", says, it, that)
	case f.kind == back:
		return fmt.Sprintf("%s answers with %s, although its deletion was %s", says, it, acked)
	case f.kind == sameID:
		return fmt.Sprintf("%s gives a new %s the id %s of the one %s", says, t.Name, plain.Line(f.id), that)
	case f.kind == refused:
		return fmt.Sprintf("%s answers 412 for %s, although its If-Match has the ETag of %s, which was %s", says, it, t.values.text(f.ack.value), acked)
	case f.kind == ignored:
		return fmt.Sprintf("%s changes %s, although its If-Match has another ETag than that of %s, which was %s", says, it, t.values.text(f.ack.value), acked)
	case f.kind == wrongTag:
		return fmt.Sprintf("%s answers %d for %s with the ETag of another content than %s, which was %s", says, f.wrong.status, it, t.values.text(f.ack.value), acked)
	case f.kind == foreignText:
		return fmt.Sprintf("%s answers %s for the %s %s: that was never written to it", says, saw, it, that)
	case f.kind == doneTwice && f.wrong.action == creating:
		return fmt.Sprintf("%s made %s %s for a create that was sent again with its %s: %s was %s", says, t.Name, plain.Line(f.other), t.IdempotencyKey, it, acked)
	case f.kind == doneTwice && f.other != "":
		return fmt.Sprintf("%s lists %s %s as well as the %s %s: both are of one create", says, t.Name, plain.Line(f.other), it, that)
	case f.kind == doneTwice:
		return fmt.Sprintf("%s lists %s, which no create was answered with", says, it)
	}
	return fmt.Sprintf("the answers about the %s %s fit together in no order", it, that)
}

// maxRows bounds the rows of a history.
const maxRows = 16

// rows are the history of a failure, a line for each operation: when, in which phase, who answered, what. An arrow points at
// the answer that cannot be right.
func (t teller) rows(f failure) (rows []string) {
	operations := slices.Clone(f.operations)
	slices.SortFunc(operations, func(a, b operation) int { return cmp.Compare(a.call, b.call) })
	place := slices.IndexFunc(operations, func(o operation) bool { return o == f.wrong })
	ack := slices.IndexFunc(operations, func(o operation) bool { return o == f.ack })
	var table [][]string
	for i, o := range operations {
		// The beginning, what is contradicted, and what comes around the wrong answer tell enough.
		if i > 0 && i != ack && i != place && (i < place-maxRows/2 || i >= place+maxRows/2-2) {
			if table[len(table)-1][0] != "…" {
				table = append(table, []string{"…"})
			}
			continue
		}
		mark := ""
		if i == place {
			mark = "←"
		}
		by := t.by(o)
		when := "before"
		if o.seq >= 0 {
			when = fmt.Sprintf("%.3f s", by.At.Seconds())
		} else if o.seq == afterLoad {
			when = "after"
		}
		table = append(table, []string{when, by.Stage, cmp.Or(by.Service, "-"), t.asks(f, o), t.answers(o), mark})
	}
	return aligned(table)
}

// asks is the request of an operation.
func (t teller) asks(f failure, o operation) string {
	s := t.steps[t.at(o.action)]
	id := f.id
	if o.action == creating && f.other != "" && o == f.wrong {
		id = f.other
	}
	r := step.NewUser().Request(s, t.variables(id, o.value, "…", o.ifMatch))
	text := cmp.Or(r.Method, "GET") + " " + plain.Line(r.Path)
	if o.action == replacing || o.action == creating && t.values.created {
		text += " " + t.values.text(o.value)
	}
	if o.ifMatch != "" {
		text += " if " + plain.Line(o.ifMatch)
	}
	return text
}

// answers is the answer to an operation.
func (t teller) answers(o operation) string {
	text := "no answer"
	if o.status > 0 {
		text = fmt.Sprint(o.status)
	}
	if o.outcome == unknown {
		return text + ", so it may be done or not"
	}
	if !o.action.writes() && o.value != present && (o.value != absent || o.action == listing) {
		text += " " + t.values.text(o.value)
	}
	if o.tag != "" {
		text += " " + plain.Line(o.tag)
	}
	return text
}

// aligned are the rows of a table with columns of equal width.
func aligned(table [][]string) (rows []string) {
	widths := map[int]int{}
	for _, row := range table {
		for i, cell := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	for _, row := range table {
		var b strings.Builder
		for i, cell := range row {
			b.WriteString(cell + strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell)+2))
		}
		rows = append(rows, strings.TrimRight(b.String(), " "))
	}
	return rows
}

// Result checks the histories that are left, and tells what is wrong.
func (c *Collection) Result(at func(seq int) rehearsal.Handled) rehearsal.Result {
	c.mu.Lock()
	var left []suspect
	for r := range c.open {
		left = append(left, c.suspect(r))
	}
	c.mu.Unlock()
	for _, s := range left {
		c.examine(s)
	}
	t := teller{c, at}
	return rehearsal.Result{Findings: t.findings(), Checked: c.checked(), Gaps: c.gaps(), Undecided: c.undecided(), Ignored: c.ignored(), Loose: true}
}

// findings groups failures of a kind between the same services. The one with the earliest acknowledgement is told.
func (t teller) findings() (list []rehearsal.Finding) {
	type group struct{ kind, ack, wrong string }
	all := map[group][]failure{}
	for _, f := range t.failed {
		if f.suspect != nil {
			f = f.explain(t.limit)
		}
		g := group{f.kind, t.by(f.ack).Service, t.by(f.wrong).Service}
		all[g] = append(all[g], f)
	}
	for _, failures := range all {
		f := slices.MinFunc(failures, func(a, b failure) int {
			return cmp.Or(cmp.Compare(a.ack.call, b.ack.call), cmp.Compare(a.wrong.call, b.wrong.call))
		})
		stage := t.by(f.wrong).Stage
		if stage == theEnd {
			stage = "" // it is no phase, and the text has it
		}
		list = append(list, rehearsal.Finding{Kind: f.kind, Stage: stage, Text: t.sentence(f), Detail: t.rows(f), Count: len(failures)})
	}
	slices.SortFunc(list, func(a, b rehearsal.Finding) int { return cmp.Or(b.Count-a.Count, cmp.Compare(a.Text, b.Text)) })
	if t.more > 0 {
		list[0].Detail = append(list[0].Detail, fmt.Sprintf("%s more with contradictory answers are not told apart.", words.Count(t.more, t.Name)))
	}
	return list
}

// checked counts what the histories are made of.
func (c *Collection) checked() []string {
	texts := []string{words.Count(c.counts[creating], c.Name) + " created"}
	for a, text := range map[action]string{reading: "read", replacing: "replaced", deleting: "deleted", listing: "listed"} {
		if c.has(a) {
			texts = append(texts, fmt.Sprintf("%s %d times", text, c.counts[a]))
		}
	}
	slices.Sort(texts[1:])
	return []string{strings.Join(texts, ", ") + "."}
}

// gaps are what was not tried.
func (c *Collection) gaps() (gaps []string) {
	add := func(format string, a ...any) { gaps = append(gaps, c.Name+": "+fmt.Sprintf(format, a...)) }
	if !c.has(listing) && c.IdempotencyKey == "" {
		add("whether one create makes two is not checked: name list or idempotencyKey")
	}
	if c.has(listing) && !c.lists {
		add("the list was read until it had more than %d elements, or %d in pages", maxListed, maxPaged)
	}
	for a := reading; a < actions; a++ {
		if c.has(a) && c.counts[a] == 0 {
			add("%s had no answer that is right or wrong", c.routes[c.places[c.at(a)]])
		}
	}
	return gaps
}

// undecided is what was not decided.
func (c *Collection) undecided() (all []string) {
	if c.cut > 0 {
		all = append(all, fmt.Sprintf("%s: the history of %s was not decided within %v: lower the rate.", c.Name, words.Count(c.cut, c.Name), c.limit))
	}
	if c.counts[creating] == 0 {
		all = append(all, fmt.Sprintf("%s: no create was acknowledged, so nothing is known about writes.", c.Name))
	}
	return all
}

// index is that of an array's element. What is learned is about all elements.
var index = regexp.MustCompile(`\[\d+\]`)

// ignored are the parts of answers that were not compared. The id and the value differ, and are checked otherwise.
func (c *Collection) ignored() (all []rehearsal.Ignored) {
	if !c.measured {
		return nil
	}
	checked := []string{"header Location", "header Etag"}
	for _, path := range []*rehearsal.JSONPath{c.ID, c.Value.JSON} {
		if path != nil {
			checked = append(checked, index.ReplaceAllString(path.String(), "[*]"))
		}
	}
	for i, comparison := range c.comparisons {
		if comparison == nil {
			continue
		}
		for _, part := range comparison.Ignored(c.places[i]) {
			if part.Part == "body" && part.Absent { // of a deletion
				continue
			}
			if !slices.Contains(checked, part.Part) && (i != c.at(listing) || part.Part != "body" && part.Part != "header Link") {
				all = append(all, part)
			}
		}
	}
	return all
}

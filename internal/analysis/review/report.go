package review

import (
	"bytes"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"cutover/internal/analysis/cost"
	"cutover/internal/plain"
	"cutover/internal/rehearsal"
	"cutover/internal/words"
)

type Report struct {
	// Head is what is reviewed, Base what the head is compared with. Both are Markdown and
	// have their commits. Uncommitted are the files of the head that differ from its commit.
	Head        string   `json:"head"`
	Base        string   `json:"base"`
	Uncommitted []string `json:"uncommitted"`
	// Assemblies says that two assemblies of any app are compared: nothing is known of phases, and nothing was
	// validated.
	Assemblies bool `json:"assemblies,omitempty"`
	// Phases are pairs that stay in a phase, NotCompared the phases that the base does not know.
	// Deployment is the pair that a deployment goes through.
	Phases      []string `json:"phases"`
	NotCompared []string `json:"notCompared"`
	Deployment  string   `json:"deployment"`
	Move        Move     `json:"move"`

	Stacks   []Stack         `json:"stacks"`
	Fronts   []FrontChange   `json:"fronts"`
	Data     []Loss          `json:"data"`
	Messages []MessageChange `json:"messages"`
	// Existing is left out if nothing happens to what exists already.
	Existing     []ExistingChange `json:"existing,omitempty"`
	Replacements []Replacement    `json:"replacements"`
	Clashes      []Clash          `json:"clashes"`
	Renewals     []Renewal        `json:"renewals"`
	Settings     []string         `json:"settings"` // that decide who answers, in words
	Answers      []Answer         `json:"answers"`
	Refused      []string         `json:"refused"` // by AWS, a line for each resource
	Tasks        []TaskChange     `json:"tasks"`   // that run, in a deployment
	Images       []string         `json:"images"`
	Costs        []Cost           `json:"costs"`
	Rehearsal    *Rehearsal       `json:"rehearsal,omitempty"` // left out if there was none
}

// Rehearsal is what the rehearsal of the change showed.
type Rehearsal struct {
	Verdict rehearsal.Verdict `json:"verdict"`
	Totals  rehearsal.Totals  `json:"totals"`
	// Summary and Picture, the sparklines, are lines of text.
	Summary string `json:"summary"`
	Picture string `json:"picture"`
}

// NewRehearsal takes what a review shows from the report of a rehearsal.
func NewRehearsal(r *rehearsal.Report) (*Rehearsal, error) {
	var summary bytes.Buffer
	if err := r.WriteSummary(&summary); err != nil {
		return nil, err
	}
	// The verdict is its last paragraph.
	text, _, _ := strings.Cut(summary.String(), "\n"+verdict(r.Verdict)+" ")
	return &Rehearsal{r.Verdict, r.Totals, text, Sparklines(r, 72)}, nil
}

// NoRehearsal is the rehearsal of a change that could not be rehearsed.
func NoRehearsal(err error) *Rehearsal {
	return &Rehearsal{Verdict: rehearsal.Verdict{Sentence: "It could not be carried out.", Reasons: []string{err.Error()}}}
}

// Findings are what a review can fail on, in the order in which they are shown.
func Findings() []string {
	return []string{"authorization", "data", "messages", "existing", "replacement", "deletion", "priority", "refused", "broadening", "turn", "rehearsal"}
}

// Found returns the number of findings of a kind.
func (r *Report) Found(finding string) int {
	n := 0
	switch finding {
	case "authorization":
		for _, c := range r.Fronts {
			if c.Opens {
				n++
			}
		}
		return n
	case "data":
		return len(r.Data)
	case "messages":
		for _, c := range r.Messages {
			if c.Harms {
				n++
			}
		}
		return n
	case "existing":
		for _, c := range r.Existing {
			if c.Touches {
				n++
			}
		}
		return n
	case "priority":
		return len(r.Clashes)
	case "refused":
		return len(r.Refused)
	}
	for _, c := range r.Replacements {
		if !c.Usual() && (finding == "deletion" && c.Deletes() || finding == "replacement" && c.Replaces()) {
			n++
		}
	}
	for _, s := range r.Stacks {
		if finding == "broadening" && (s.Broadened.IAM || s.Broadened.SecurityGroups) {
			n++
		}
	}
	if finding == "turn" {
		n += len(r.Move.Early) + len(r.Move.Jumps)
	}
	if finding == "turn" && r.Move.OutOfTurn || finding == "rehearsal" && r.Rehearsal != nil && !r.Rehearsal.Verdict.Passed {
		n++
	}
	return n
}

// Marker begins a comment. The next review finds the comment by it, and replaces it.
const Marker = "<!-- cutover review -->"

// Limit is the most characters of a comment on GitHub.
const Limit = 65536

// Markdown is the whole review. Differences are folded.
func (r *Report) Markdown() string {
	var b strings.Builder
	b.WriteString(r.findings("the directory `rehearsal` beside this file"))
	for _, d := range r.diffs() {
		b.WriteString(d.folded())
	}
	return b.String()
}

// Text is the whole review for a terminal. files says where the files of the rehearsal are.
func (r *Report) Text(files string) string {
	var b strings.Builder
	b.WriteString(r.findings(files))
	for _, d := range r.diffs() {
		fmt.Fprintf(&b, "\n### %s\n\n%s", plain.Line(d.title), plain.Visible(d.body))
	}
	return b.String()
}

// Comment is the review with the differences that fit into limit bytes. files has the whole review.
func (r *Report) Comment(limit int, files string) string {
	const noteRoom = 1500 // for what is left out
	head := Marker + "\n" + r.findings(files)
	if room := limit - noteRoom; len(head) > room {
		cut := strings.LastIndexByte(head[:room], '\n') + 1
		return head[:cut] + fmt.Sprintf("\n**There is more, which GitHub takes in no comment: %d lines of findings, and all that differs.** It is whole in %s.\n",
			strings.Count(head[cut:], "\n"), files)
	}
	var b strings.Builder
	b.WriteString(head)
	var left []string
	for _, d := range r.diffs() {
		room := limit - noteRoom - b.Len()
		if text := d.folded(); len(text) <= room {
			b.WriteString(text)
			continue
		}
		lines := strings.Count(d.body, "\n")
		// A small part is no help.
		if room -= len(section{d.title, "", ""}.folded()) + 100; room > 1000 && len(left) == 0 {
			d.body = d.body[:strings.LastIndexByte(d.body[:room], '\n')+1]
			shown := strings.Count(d.body, "\n")
			d.body += fmt.Sprintf("… and %d more lines\n", lines-shown)
			b.WriteString(d.folded())
			lines -= shown
		}
		left = append(left, fmt.Sprintf("%s (%d lines)", d.stack, lines))
	}
	if len(left) > 0 {
		fmt.Fprintf(&b, "\nLeft out here, because GitHub takes %d characters: what differs in %s. All of it is in %s.\n", Limit, few(12, apply(plain.Markdown, left), " stacks"), files)
	}
	return b.String()
}

// section has the differences of one stack.
type section struct{ title, stack, body string }

func (s section) folded() string {
	return fmt.Sprintf("\n<details><summary>%s</summary>\n\n%s\n</details>\n", plain.HTML(s.title), plain.Fenced(s.body))
}

func (r *Report) diffs() []section {
	var all []section
	for _, s := range r.Stacks {
		title := fmt.Sprintf("%s, %s: %s", s.Name, r.in(s.In), words.Count(s.Changes, "change"))
		all = append(all, section{title, s.Name, strings.TrimRight(s.Text, "\n") + "\n"})
	}
	return all
}

func (r *Report) findings(files string) string {
	var b strings.Builder
	section := func(title, text string) { fmt.Fprintf(&b, "\n### %s\n\n%s", title, text) }
	fmt.Fprintf(&b, "## Review\n\nOf %s, against %s.", r.Head, r.Base)
	if len(r.Uncommitted) > 0 {
		fmt.Fprintf(&b, " Changes that are not committed are part of what is reviewed: %s.", few(8, apply(plain.Code, r.Uncommitted), ""))
	}
	b.WriteString("\n")
	if r.Opens() {
		section("Anybody may call what had to be signed", list(r, r.Fronts, true, sentence))
	}
	data := list(r, r.Data, true, plain.Markdown) + list(r, r.Data, false, plain.Markdown)
	if r.DeletesData() {
		section("This deletes data", data)
	} else if len(r.Data) > 0 {
		section("Data lose protection", data)
	}
	if r.HarmsMessages() {
		section("This loses or opens messages", list(r, r.Messages, true, plain.Markdown))
	}
	if r.TouchesExisting() {
		section("This touches what exists already", list(r, r.Existing, true, plain.Markdown))
	}
	b.WriteString("\n" + r.headline())
	section("Replacements and deletions", r.replacements())
	if len(r.Clashes)+len(r.Renewals) > 0 {
		section("Deployed listener rules", r.rules())
	}
	if len(r.Refused) > 0 {
		section("What AWS refuses to create", r.refused())
	}
	if len(r.Tasks) > 0 {
		section("Running tasks", r.running())
	}
	if text := list(r, r.Fronts, false, sentence); text != "" {
		section("Fronts", text)
	}
	if text := list(r, r.Messages, false, plain.Markdown); text != "" {
		section("Topics and queues", text)
	}
	if text := list(r, r.Existing, false, plain.Markdown); text != "" {
		section("What exists already", text)
	}
	section("IAM and security-group broadening", r.broadening())
	if !r.Assemblies {
		section("Phase", r.move())
	}
	if len(r.Settings)+len(r.Answers) > 0 {
		section("Who answers", r.answers())
	}
	section("Cost", r.cost())
	section("Rehearsal", r.rehearsal(files))
	if len(r.Stacks) > 0 {
		section("What differs", fmt.Sprintf("As `cdk diff` has it, in %s. A deployment of this goes through **%s**.\n", r.compared(), plain.Markdown(r.Deployment)))
	}
	return b.String()
}

// headline is a list of what a reader must know.
func (r *Report) headline() string {
	lines := []string{fmt.Sprintf("Nothing changes: the templates are the same in %s.", r.compared())}
	var names []string
	for _, s := range r.Stacks {
		if !slices.Contains(names, s.Name) {
			names = append(names, s.Name)
		}
	}
	switch len(names) {
	case 0:
	case 1:
		lines[0] = fmt.Sprintf("**1 stack changes**: %s.", plain.Markdown(names[0]))
	default:
		lines[0] = fmt.Sprintf("**%d stacks change**: %s.", len(names), few(12, apply(plain.Markdown, names), ""))
	}
	for _, image := range r.Images {
		lines = append(lines, fmt.Sprintf("The image of %s changes.", plain.Markdown(image)))
	}
	broadened := "No permission is added and no port opened."
	if r.Found("broadening") > 0 {
		broadened = "**Permissions or ports are broadened.**"
	}
	rehearsed := "It was not rehearsed."
	if r.Rehearsal != nil {
		rehearsed = fmt.Sprintf("The rehearsal **%s**: %s", verdict(r.Rehearsal.Verdict), plain.Markdown(r.Rehearsal.Verdict.Sentence)) + gaps(r.Rehearsal.Verdict.Gaps)
	}
	if r.Opens() {
		lines = append(lines, "**Authorization is lost: anybody may call what had to be signed.**")
	}
	if r.HarmsMessages() {
		lines = append(lines, "**Messages are lost, or open to others.**")
	}
	if r.TouchesExisting() {
		lines = append(lines, "**Something is touched that exists already, and is not the deployment's.**")
	}
	lines = append(lines, r.fates())
	lines = append(lines, r.changed()...)
	if n := len(r.Refused); n > 0 {
		lines = append(lines, fmt.Sprintf("**The deployment will fail: AWS refuses what the templates have, for %s.**", words.Count(n, "reason")))
	}
	lines = append(lines, r.exchanged()...)
	lines = append(lines, broadened)
	if !r.Assemblies {
		lines = append(lines, r.Move.headline()...)
	}
	if n := len(r.Settings) + len(r.Answers); n > 0 {
		lines = append(lines, "**Other services answer some requests, now or later.**")
	}
	lines = append(lines, r.dearer())
	if !r.Assemblies {
		lines = append(lines, fmt.Sprintf("CDK's validation of %s found nothing.", plain.Markdown(r.Move.To)))
	}
	lines = append(lines, rehearsed)
	return "- " + strings.Join(lines, "\n- ") + "\n"
}

// compared lists the positions in which the templates were compared.
func (r *Report) compared() string {
	names := slices.Clone(r.Phases)
	if !slices.Contains(names, r.Deployment) {
		names = append(names, r.Deployment)
	}
	text := plain.Markdown(names[0])
	for i, name := range names[1:] {
		separator := ", "
		if i == len(names)-2 {
			separator = " and "
		}
		text += separator + plain.Markdown(name)
	}
	if len(r.NotCompared) > 0 {
		text += " (not in " + plain.Markdown(strings.Join(r.NotCompared, ", ")) + ", which the base does not know)"
	}
	return text
}

// fates counts the resources that are replaced or deleted.
func (r *Report) fates() string {
	var fates []string
	for _, impact := range impacts {
		n := 0
		for _, c := range r.Replacements {
			if c.Impact == impact && !c.Usual() {
				n++
			}
		}
		if n > 0 {
			fates = append(fates, fmt.Sprintf("%d %s", n, fate[impact]))
		}
	}
	if len(fates) == 0 {
		return "Nothing is replaced or deleted."
	}
	return fmt.Sprintf("**Resources: %s.**", strings.Join(fates, ", "))
}

// dearer says how the price of a month changes.
func (r *Report) dearer() string {
	if len(r.Costs) == 0 {
		return "The cost does not change."
	}
	i := slices.IndexFunc(r.Costs, func(c Cost) bool { return slices.Contains(c.In, r.Deployment) })
	if i < 0 {
		return "The cost of what is deployed does not change; that of other phases does."
	}
	switch difference := total(r.Costs[i]); {
	case difference > 0:
		return fmt.Sprintf("**A month costs US$ %v more.**", difference)
	case difference < 0:
		return fmt.Sprintf("**A month costs US$ %v less.**", -difference)
	}
	return "A month costs the same; the services have other shares of it."
}

// fate is in words what becomes of a resource.
var fate = map[string]string{
	"WILL_REPLACE": "replaced", "MAY_REPLACE": "possibly replaced",
	"WILL_DESTROY": "deleted", "WILL_ORPHAN": "kept, and let go of", Stays: "left with the stack",
}

func (r *Report) replacements() string {
	rows := [][]string{{"what happens", "stack", "resource", "type", "because of", "where"}}
	var revisions, interlock []string
	for _, c := range r.Replacements {
		switch {
		case c.Revision():
			revisions = append(revisions, c.Stack)
			continue
		case c.Interlock():
			interlock = append(interlock, c.Stack)
			continue
		}
		what := fate[c.Impact]
		if strings.HasPrefix(c.Impact, "WILL_") {
			what = "**" + what + "**"
		}
		rows = append(rows, []string{what, plain.Markdown(c.Stack), plain.Code(c.name()), plain.Markdown(c.Type), plain.Markdown(strings.Join(c.Properties, ", ")), plain.Markdown(r.in(c.In))})
	}
	text := "None.\n"
	if len(rows) > 1 {
		text = Table(rows)
	}
	usual := func(format string, stacks []string) {
		if slices.Sort(stacks); len(stacks) > 0 {
			text += fmt.Sprintf(format, plain.Markdown(strings.Join(slices.Compact(stacks), ", ")))
		}
	}
	usual("\nTask definitions get a new revision, to which ECS moves the service task by task: %s.\n", revisions)
	usual("\nParameters that hold the order of the phases change with the phase, in %s.\n", interlock)
	return text
}

// name is the path in the construct tree without the stack, or the logical id.
func (r Resource) name() string {
	_, path, _ := strings.Cut(r.Path, "/")
	if path = strings.TrimSuffix(path, "/Resource"); path == "" {
		return r.ID
	}
	return path
}

func (r *Report) broadening() string {
	statements := [][]string{{"", "stack", "resource", "effect", "action", "principal", "condition", "where"}}
	policies := [][]string{{"", "stack", "role", "managed policy", "where"}}
	ports := [][]string{{"", "stack", "security group", "direction", "protocol", "peer", "where"}}
	where := map[string][]string{} // by stack and row
	add := func(table *[][]string, s Stack, rows [][]string) {
		for _, row := range rows {
			key := strings.Join(append([]string{s.Name}, row...), "\x00")
			if where[key] == nil {
				line := append([]string{plain.Markdown(row[0]), plain.Markdown(s.Name)}, apply(plain.Code, row[1:])...)
				*table = append(*table, append(line, key))
			}
			where[key] = append(where[key], s.In...)
		}
	}
	for _, s := range r.Stacks {
		if s.Broadened.IAM {
			add(&statements, s, s.Statements)
			add(&policies, s, s.ManagedPolicies)
		}
		if s.Broadened.SecurityGroups {
			add(&ports, s, s.SecurityGroups)
		}
	}
	var tables []string
	for _, table := range [][][]string{statements, policies, ports} {
		if len(table) > 1 {
			for _, row := range table[1:] {
				row[len(row)-1] = plain.Markdown(r.in(where[row[len(row)-1]]))
			}
			tables = append(tables, Table(table))
		}
	}
	if len(tables) == 0 && r.Found("broadening") == 0 {
		return "None.\n"
	}
	return strings.Join(tables, "\n") + "\nThe library of `cdk diff` finds these in what it knows; [it does not know everything](https://github.com/aws/aws-cdk/issues/1299).\n"
}

// path is a path pattern in a sentence, without the comma or stop behind it. The slash in the name of a route is no path.
var path = regexp.MustCompile(`(?:^|\s)(/\S*[^\s,;:.)])`)

// sentence is a change of a move, with its path patterns as code.
func sentence(change string) string {
	var b strings.Builder
	from := 0
	for _, at := range path.FindAllStringSubmatchIndex(change, -1) {
		b.WriteString(plain.Markdown(change[from:at[2]]) + plain.Code(change[at[2]:at[3]]))
		from = at[3]
	}
	return b.String() + plain.Markdown(change[from:])
}

func (r *Report) move() string {
	m, b := r.Move, strings.Builder{}
	from, to := plain.Markdown(m.From), plain.Markdown(m.To)
	if m.OutOfTurn {
		fmt.Fprintf(&b, "**%s does not follow %s: %s.** Go one step at a time, with `cutover phase next` and `cutover phase back`.\n\n", to, from, m.refused())
	}
	list := func(title string, lines []string) {
		if len(lines) > 0 {
			fmt.Fprintf(&b, "%s\n\n- %s\n\n", title, strings.Join(apply(sentence, lines), "\n- "))
		}
	}
	list("What does not follow:", m.Turns)
	list("What is too early:", m.Early)
	list("What leaves a place out on the way to another compute:", m.Jumps)
	list("The monolith is removed. **This is the point of no return:**", m.NoReturn)
	if from == to {
		return b.String() + m.stays() + "\n" + m.functions()
	}
	var lines []string
	for _, s := range m.Services {
		if s.Does != "" {
			lines = append(lines, s.Service+": "+s.Does)
		}
	}
	for _, s := range m.Computes {
		if s.Does != "" {
			lines = append(lines, s.Service+", from "+s.From+" to "+s.To+": "+s.Does)
		}
	}
	lines = append(lines, m.Changes...)
	fmt.Fprintf(&b, "After this, in %s instead of %s:\n\n", to, from)
	for _, line := range lines {
		fmt.Fprintf(&b, "- %s\n", sentence(line))
	}
	if len(m.Left) > 0 {
		fmt.Fprintf(&b, "\n%s stay behind, because `cdk deploy` deletes no stack. Delete them by hand, or a later deployment may be refused.\n", plain.Markdown(strings.Join(m.Left, ", ")))
	}
	return b.String() + m.functions()
}

// functions says which functions stay, and how to delete them.
func (m Move) functions() string {
	var b strings.Builder
	for _, stack := range m.Functions {
		fmt.Fprintf(&b, "\nThe function in %s stays, because `cdk deploy` deletes no stack. It gets no requests, costs nothing, and keeps its reserved concurrency. After the deployment, delete it with %s, or keep it for the way back.\n",
			plain.Markdown(stack), plain.Code("aws cloudformation delete-stack --stack-name "+stack))
	}
	return b.String()
}

// stays says that no position changes.
func (m Move) stays() string {
	if m.apart() {
		return fmt.Sprintf("Each service stays in its place: %s.", plain.Markdown(m.To))
	}
	return fmt.Sprintf("The phase stays %s.", plain.Markdown(m.To))
}

// apart tells whether services have places of their own on a side.
func (m Move) apart() bool { return len(m.Services) > 0 }

// headline says what becomes of the position.
func (m Move) headline() (lines []string) {
	what := "phase moves"
	if m.apart() || slices.ContainsFunc(m.Computes, func(c ComputeMove) bool { return c.Does != "" }) {
		what = "services move"
	}
	switch from, to := plain.Markdown(m.From), plain.Markdown(m.To); {
	case m.OutOfTurn:
		lines = append(lines, fmt.Sprintf("**The %s out of turn, from %s to %s: %s.**", what, from, to, m.refused()))
	case from != to:
		lines = append(lines, fmt.Sprintf("**The %s from %s to %s.**", what, from, to))
	default:
		lines = append(lines, m.stays())
	}
	if len(m.Early) > 0 {
		lines = append(lines, "**Requests are lost: a new service or route gets them before it runs.**")
	}
	if len(m.Jumps) > 0 {
		lines = append(lines, "**Requests may be lost: a service leaves a place out on its way to another compute.**")
	}
	if len(m.NoReturn) > 0 {
		lines = append(lines, "**This is the point of no return: the monolith is deleted.**")
	}
	return lines
}

// refused says what happens to a move that is out of turn.
func (m Move) refused() string {
	if m.Ungated {
		return "nothing will refuse it, because phaseGate is off, and requests are lost"
	}
	return "the deployment will be refused before anything changes"
}

func (r *Report) cost() string {
	if len(r.Costs) == 0 {
		return "The cost does not change.\n"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "In %s.\n", cost.About())
	var others []string
	for _, c := range r.Costs {
		if slices.Contains(c.In, r.Deployment) {
			fmt.Fprintf(&b, "\n%s:\n\n%s", capital(plain.Markdown(r.in(c.In))), Table(plain.Cells(CostRows(c.Changes))))
			continue
		}
		others = append(others, fmt.Sprintf("- %s: %s a month\n", plain.Markdown(r.in(c.In)), signed(total(c))))
	}
	if len(others) > 0 {
		fmt.Fprintf(&b, "\nIn total:\n\n%s", strings.Join(others, ""))
	}
	return b.String()
}

// CostRows are changes of the price of a month as a table, with its head.
func CostRows(changes []cost.Change) [][]string {
	rows := [][]string{{"ENVIRONMENT", "WHAT", "US$ BEFORE", "AFTER", "CHANGE"}}
	for _, c := range changes {
		what := c.Name
		if c.Of != "line" {
			what = strings.TrimSpace(c.Of + " " + c.Name)
		}
		rows = append(rows, []string{c.Environment, what, c.Before.String(), c.After.String(), signed(c.After - c.Before)})
	}
	return rows
}

func total(c Cost) cost.Cents {
	var difference cost.Cents
	for _, change := range c.Changes {
		if change.Of == "total" {
			difference += change.After - change.Before
		}
	}
	return difference
}

func signed(amount cost.Cents) string {
	if amount > 0 {
		return "+" + amount.String()
	}
	return amount.String()
}

func (r *Report) rehearsal(files string) string {
	if r.Rehearsal == nil {
		return "It was not rehearsed.\n"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "**%s** %s\n\n", verdict(r.Rehearsal.Verdict), plain.Markdown(r.Rehearsal.Verdict.Sentence))
	if len(r.Rehearsal.Verdict.Reasons) > 0 {
		b.WriteString(plain.Fenced(strings.Join(r.Rehearsal.Verdict.Reasons, "\n")) + "\n")
	}
	if r.Rehearsal.Picture != "" {
		b.WriteString(plain.Fenced(r.Rehearsal.Picture) + "\n")
	}
	if r.Rehearsal.Summary == "" {
		return b.String()
	}
	b.WriteString(plain.Fenced(r.Rehearsal.Summary))
	fmt.Fprintf(&b, "\nThe page and the picture are in %s.\n", files)
	return b.String()
}

// gaps are what a rehearsal has not tried, as a list below its verdict.
func gaps(all []string) string {
	const most = 5
	text := ""
	for _, gap := range all[:min(most, len(all))] {
		text += "\n  - Gap: " + plain.Markdown(gap)
	}
	if more := len(all) - most; more > 0 {
		text += fmt.Sprintf("\n  - and %s", words.Count(more, "more gap"))
	}
	return text
}

func verdict(v rehearsal.Verdict) string { return strings.ToUpper(v.Word()) }

// in names the pairs in which something is so.
func (r *Report) in(names []string) string {
	all := !slices.ContainsFunc(r.Phases, func(phase string) bool { return !slices.Contains(names, phase) })
	if all && len(r.Phases) > 0 {
		return "in all phases"
	}
	names = slices.Clone(names)
	for i, name := range names {
		if name == r.Deployment && r.Move.apart() { // the names of places are long
			names[i] = "this deployment"
		}
	}
	return "in " + strings.Join(names, ", ")
}

// Table is an aligned table in Markdown. The first row is its head.
func Table(rows [][]string) string {
	widths := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, cell := range row {
			widths[i] = max(widths[i], len([]rune(cell)))
		}
	}
	var b strings.Builder
	for i, row := range rows {
		b.WriteString("|")
		for column, cell := range row {
			fmt.Fprintf(&b, " %s%s |", cell, strings.Repeat(" ", widths[column]-len([]rune(cell))))
		}
		b.WriteString("\n")
		if i == 0 {
			for _, width := range widths {
				b.WriteString("|" + strings.Repeat("-", width+2))
			}
			b.WriteString("|\n")
		}
	}
	return b.String()
}

// few are the first names of a list, and how many more there are of what.
func few(most int, names []string, what string) string {
	text := strings.Join(names[:min(most, len(names))], ", ")
	if more := len(names) - most; more > 0 {
		text += fmt.Sprintf(" and %d more%s", more, what)
	}
	return text
}

func apply(f func(string) string, texts []string) []string {
	out := make([]string, len(texts))
	for i, text := range texts {
		out[i] = f(text)
	}
	return out
}

func capital(text string) string { return strings.ToUpper(text[:1]) + text[1:] }

package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"cutover/config"
	"cutover/internal/analysis/review"
	"cutover/internal/assembly"
	"cutover/internal/listing"
	"cutover/internal/plain"
	"cutover/internal/rehearsal"
	"cutover/internal/step"
	"cutover/migration"
)

// reviewing has the flags of the command.
type reviewing struct {
	base      string
	app       string // compare this assembly with that of base; empty: synthesize a branch
	rehearse  rehearse
	rehearsal bool
	failOn    []string
	out       string
	files     string
	asJSON    bool

	node, library string // compare templates: Node.js, and where it finds the library of cdk diff
	progress      func(format string, a ...any)
}

func reviewCommand(g *global) *cobra.Command {
	var o reviewing
	cmd := &cobra.Command{
		Use:   "review",
		Short: "Show what a branch does to a deployment, without AWS",
		Long: `Review synthesizes the working tree and its base, the commit at which this branch left
another one. It synthesizes both in each phase and at the position in cdk.json, and compares
the templates with the library of "cdk diff". The phase removed is compared once a side is
retired or removed. The review has, in this order:

  - methods of an API that lose their authorization
  - data and messages that are lost
  - what exists already, and is touched
  - replacements and deletions
  - deployed listener rules with another priority or name
  - what AWS refuses to create
  - what the deployment does to running tasks
  - what becomes of API Gateway, CloudFront and the way past them
  - what becomes of topics and queues
  - broadened permissions
  - what a change of phase, or of the places of services, does
  - who answers other requests than before
  - what a month costs more or less
  - a short rehearsal
  - all differences

Review needs no AWS account and does not change the working tree: it checks the base out
to a directory of its own, and removes the directory at the end.

With --app it synthesizes nothing: it compares two assemblies of any app, or two templates
of CloudFormation, and rehearses the step from --base to --app and back.

It writes review.md, review.json and comment.md, which fits into a comment on GitHub.
The exit code is 0 whatever the review finds. To exit with 1, name findings in --fail-on.`,
		Example: `  cutover review
  cutover review --base v1.4.0 --rehearsal=false
  cutover review --base origin/main --fail-on replacement,broadening
  cutover review --app ../shop/cdk.out --base ../shop/before`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return o.run(cmd, g) },
	}
	flags := cmd.Flags()
	o.rehearse.how.flags(cmd)
	flags.StringVar(&o.base, "base", "main", "commit, branch or tag that this branch left; with --app an assembly or a template")
	flags.StringVar(&o.app, "app", "", "compare this assembly or template with that of --base, and synthesize nothing")
	flags.BoolVar(&o.rehearsal, "rehearsal", true, "rehearse the migration (about a minute)")
	flags.IntVar(&o.rehearse.rate, "rate", 300, "requests per second of the rehearsal")
	flags.DurationVar(&o.rehearse.dwell, "dwell", 3*time.Second, "shortest time in a phase of the rehearsal")
	flags.StringSliceVar(&o.failOn, "fail-on", nil, "exit with 1 after one of these `FINDINGS`: "+strings.Join(review.Findings(), ", "))
	flags.StringVar(&o.out, "out", filepath.Join("build", "review"), "directory of the review")
	flags.StringVar(&o.files, "files", "", "`URL` of the review's directory, for a link in the comment")
	flags.BoolVar(&o.asJSON, "json", false, "print JSON")
	return cmd
}

func (o *reviewing) run(cmd *cobra.Command, g *global) error {
	for _, finding := range o.failOn {
		if !slices.Contains(review.Findings(), finding) {
			return fmt.Errorf("--fail-on %s: there is no such finding: choose from %s", finding, strings.Join(review.Findings(), ", "))
		}
	}
	// Refuse flags that cannot be meant, before anything takes time.
	if _, err := o.rehearse.how.options(g); err != nil {
		return err
	}
	if o.rehearsal && o.app == "" {
		if err := o.rehearse.how.checkExisting(cmd.Context(), g, nil); err != nil {
			return err
		}
	}
	o.rehearse.walk, o.rehearse.out = rehearsal.DefaultWalk(), filepath.Join(o.out, "rehearsal")
	if _, err := o.rehearse.check(nil); err != nil {
		return err
	}
	if o.app != "" && !cmd.Flags().Changed("base") {
		return fmt.Errorf("--app %s is compared with another assembly: name it with --base", o.app)
	}
	o.progress = progress(cmd.ErrOrStderr())
	report, err := o.review(cmd.Context(), g)
	if err != nil {
		return err
	}
	files := "`" + o.out + "`"
	if o.files != "" {
		files = fmt.Sprintf("[the files of this review](%s)", o.files)
	}
	encoded, err := json.MarshalIndent(report, "", " ")
	if err != nil {
		return err
	}
	for name, text := range map[string]string{
		"review.md": report.Markdown(), "comment.md": report.Comment(review.Limit, files), "review.json": string(encoded) + "\n",
	} {
		if err := os.WriteFile(filepath.Join(o.out, name), []byte(text), 0o644); err != nil {
			return err
		}
	}
	if o.asJSON {
		fmt.Fprintln(cmd.OutOrStdout(), plain.Visible(string(encoded)))
	} else {
		fmt.Fprintf(cmd.OutOrStdout(), "%s\nThe review is in %s.\n", report.Text(filepath.Join(o.out, "rehearsal")), o.out)
	}
	var failed []string
	for _, finding := range o.failOn {
		if n := report.Found(finding); n > 0 {
			failed = append(failed, fmt.Sprintf("%s (%d)", finding, n))
		}
	}
	if len(failed) > 0 {
		return fmt.Errorf("--fail-on: the change has %s", strings.Join(failed, ", "))
	}
	return nil
}

// progress returns a function that prints a step and the time since the beginning. Several
// goroutines may call it.
func progress(w io.Writer) func(string, ...any) {
	begin := time.Now()
	var mu sync.Mutex
	return func(format string, a ...any) {
		mu.Lock()
		defer mu.Unlock()
		fmt.Fprintf(w, "%6.1f s  %s\n", time.Since(begin).Seconds(), fmt.Sprintf(format, a...))
	}
}

// side is the app before or after the change.
type side struct {
	name    string // for people
	dir     string // of the app
	out     string // of its assemblies
	cdk     string // the CDK command line
	context map[string]any

	at         migration.Position
	listed     config.Deployment             // empty if the app lists no services
	services   *migration.Migration          // nil then
	unlisted   error                         // why there are none
	assemblies map[string]*assembly.Assembly // by phase, and by deployedKey
}

// deployedKey is the key of the assembly at the position in cdk.json.
const deployedKey = "cdk.json"

func (o *reviewing) review(ctx context.Context, g *global) (report *review.Report, err error) {
	if o.app != "" {
		return o.assemblies(ctx, g)
	}
	report = &review.Report{Uncommitted: []string{}}
	prefix, commit, err := o.commit(ctx)
	if err != nil {
		return nil, err
	}
	if report.Uncommitted, err = uncommitted(ctx); err != nil {
		return nil, err
	}
	short, base, err := named(ctx, commit)
	if err != nil {
		return nil, err
	}
	if _, report.Head, err = named(ctx, "HEAD"); err != nil {
		return nil, err
	}
	report.Base = plain.Code(o.base) + " at " + base
	if err := o.clear(); err != nil {
		return nil, err
	}
	head, err := o.side("head", ".")
	if err != nil {
		return nil, err
	}
	if o.node, o.library, err = differ(); err != nil {
		return nil, err
	}
	o.progress("checking out the base, %s", short)
	tree, remove, err := checkout(ctx, filepath.Join(o.out, "base"), commit)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, remove()) }()
	before, err := o.side("base", filepath.Join(tree, prefix))
	if err != nil {
		return nil, fmt.Errorf("the base, %s at %s: %w", o.base, short, err)
	}
	if before.cdk, err = o.commandOf(ctx, before, head); err != nil {
		return nil, err
	}
	phases := phasesOf(before, head)
	both, failed := errgroup.WithContext(ctx)
	for _, s := range []*side{before, head} {
		both.Go(func() error { return s.synthesize(failed, phases, o.progress) })
	}
	if err := both.Wait(); err != nil {
		return nil, err
	}
	if err := o.compare(ctx, report, phases, before, head); err != nil || !o.rehearsal {
		return report, err
	}
	return report, o.rehearsed(ctx, g, report, before, head)
}

// clear removes what an earlier review has left.
func (o *reviewing) clear() error {
	for _, stale := range []string{"review.md", "comment.md", "review.json", "rehearsal", "synth"} {
		if err := os.RemoveAll(filepath.Join(o.out, stale)); err != nil {
			return err
		}
	}
	return nil
}

// assemblies reviews an assembly of any app against another one. Both are rehearsed as the positions before and
// after.
func (o *reviewing) assemblies(ctx context.Context, g *global) (*review.Report, error) {
	pair := review.Pair{Name: "before → after"}
	var err error
	if pair.Before, err = assembly.Read(o.base); err != nil {
		return nil, fmt.Errorf("--base: %w", err)
	}
	if pair.After, err = assembly.Read(o.app); err != nil {
		return nil, fmt.Errorf("--app: %w", err)
	}
	if !slices.ContainsFunc(pair.After.Stacks, func(s *assembly.Stack) bool { return pair.Before.Stack(s.Name) != nil }) {
		return nil, fmt.Errorf("--app %s and --base %s have no stack in common: name two assemblies of one app; the stack of a template has the name of its file", o.app, o.base)
	}
	if err := o.clear(); err != nil {
		return nil, err
	}
	report := &review.Report{
		Head: plain.Code(o.app), Base: plain.Code(o.base), Assemblies: true, Deployment: pair.Name, Move: review.NoMove(pair.Name),
		Uncommitted: []string{}, Phases: []string{}, NotCompared: []string{}, Renewals: []review.Renewal{}, Settings: []string{}, Answers: []review.Answer{},
	}
	before, err := existingList(pair.Before)
	if err != nil {
		return nil, fmt.Errorf("--base: %w", err)
	}
	after, err := existingList(pair.After)
	if err != nil {
		return nil, fmt.Errorf("--app: %w", err)
	}
	report.Existing = review.Existing([]review.Pair{pair}, before.Deployment, after.Deployment)
	if o.node, o.library, err = differ(); err != nil {
		return nil, err
	}
	if err := o.differences(ctx, report, []review.Pair{pair}, pair); err != nil || !o.rehearsal {
		return report, err
	}
	o.progress("rehearsing the step and the way back")
	o.rehearse.app = filepath.Join(o.out, "synth")
	o.rehearse.walk = []string{"before", "after", "before"}
	o.rehearse.stops = stopsOf(o.rehearse.walk)
	for name, from := range map[string]string{"before": o.base, "after": o.app} {
		if err := linked(from, filepath.Join(o.rehearse.app, name)); err != nil {
			return nil, err
		}
	}
	return report, o.rehearseInto(ctx, g, report)
}

// linked makes a directory with links to the files of an assembly, or to a template.
func linked(from, to string) error {
	from, err := filepath.Abs(from)
	if err != nil {
		return err
	}
	names := []string{from}
	if info, err := os.Stat(from); err == nil && info.IsDir() {
		if names, err = filepath.Glob(filepath.Join(from, "*")); err != nil {
			return err
		}
	}
	if err := os.MkdirAll(to, 0o755); err != nil {
		return err
	}
	for _, name := range names {
		if err := os.Symlink(name, filepath.Join(to, filepath.Base(name))); err != nil {
			return err
		}
	}
	return nil
}

// compare fills in what differs between the assemblies of two sides.
func (o *reviewing) compare(ctx context.Context, report *review.Report, phases []migration.Phase, before, head *side) (err error) {
	var pairs []review.Pair
	report.NotCompared = []string{}
	for _, phase := range phases {
		name := phase.String()
		if before.assemblies[name] == nil {
			report.NotCompared = append(report.NotCompared, name)
			continue
		}
		report.Phases = append(report.Phases, name)
		pairs = append(pairs, review.Pair{Name: name, Before: before.assemblies[name], After: head.assemblies[name]})
	}
	deployment, err := moved(report, before, head)
	if err != nil {
		return err
	}
	if !slices.Contains(report.Phases, deployment.Name) {
		pairs = append(pairs, deployment)
	}
	var services []migration.Migration
	for _, s := range []*side{before, head} {
		if s.services != nil {
			services = append(services, *s.services)
		}
	}
	report.Existing = review.Existing(pairs, before.listed, head.listed)
	return o.differences(ctx, report, pairs, deployment, services...)
}

// differ finds what compares templates: Node.js, and a directory where Node.js finds the library of "cdk diff". It
// looks in the working directory and above it, and then where this program is: `make` builds it in a clone
// of Cutover, which has the library.
func differ() (node, dir string, err error) {
	places := []string{"."}
	if program, err := os.Executable(); err == nil {
		places = append(places, filepath.Dir(program))
	}
	for _, place := range places {
		dir, ok := above(place, filepath.Join("node_modules", "@aws-cdk", "cloudformation-diff"))
		if !ok {
			continue
		}
		if node, err = exec.LookPath(filepath.Join(dir, "node_modules", ".bin", "node")); err != nil {
			if node, err = exec.LookPath("node"); err != nil {
				return "", "", fmt.Errorf("the node command is missing: run `npm ci` in %s", dir)
			}
		}
		return node, dir, nil
	}
	return "", "", errors.New("the library of cdk diff is not installed: run `npm install @aws-cdk/cloudformation-diff`, or use bin/cutover of a clone of Cutover, after `npm ci` there")
}

// differences fills in what differs in pairs of assemblies.
func (o *reviewing) differences(ctx context.Context, report *review.Report, pairs []review.Pair, deployment review.Pair, services ...migration.Migration) error {
	o.progress("comparing the templates")
	var err error
	if report.Stacks, err = review.Compare(ctx, o.node, o.library, pairs); err != nil {
		return err
	}
	report.Replacements, report.Data = review.Replacements(report.Stacks), review.Losses(pairs)
	report.Fronts, report.Messages = review.Fronts(pairs), review.Messages(pairs)
	report.Clashes, report.Refused = review.Clashes(pairs, services...), review.Refused(pairs)
	report.Images = review.Images(pairs)
	if report.Costs, err = review.Costs(pairs); err != nil {
		return err
	}
	report.Tasks, err = review.Tasks(deployment)
	return err
}

// moved fills in what becomes of the position and of the requests. It returns the pair that a
// deployment goes through.
func moved(report *review.Report, before, head *side) (review.Pair, error) {
	one, other := review.Side{At: before.at}, review.Side{At: head.at}
	if head.services != nil {
		one.Migration, other.Migration = *head.services, *head.services
	}
	if before.services != nil {
		one.Migration = *before.services
	}
	from, to := review.Names(one, other)
	pair := review.Pair{Name: to, Before: before.assemblies[deployedKey], After: head.assemblies[deployedKey]}
	if from != to {
		pair.Name = from + " → " + to
	}
	report.Deployment = pair.Name
	report.Renewals, report.Settings, report.Answers = []review.Renewal{}, []string{}, []review.Answer{}
	switch {
	case head.services == nil && from != to:
		return pair, fmt.Errorf("the head: %w", head.unlisted)
	case head.services == nil:
		report.Move = review.NoMove(to)
		return pair, nil
	}
	ungated := head.context["phaseGate"] == "off"
	report.Move = review.NewMove(one, other, pair, ungated, step.Changes(other.Migration, before.at, head.at))
	if before.services != nil {
		report.Renewals = review.Renewals(one.Migration, other.Migration)
		report.Settings = review.Settings(one.Migration, other.Migration)
		report.Answers = review.Answers(one, other, report.Phases)
	}
	return pair, nil
}

// rehearsed fills in the rehearsal of the head. A rehearsal that fails becomes part of the report,
// which keeps its findings.
func (o *reviewing) rehearsed(ctx context.Context, g *global, report *review.Report, before, head *side) error {
	o.progress("rehearsing the migration")
	if err := o.walk(ctx, report, before, head); err != nil {
		return err
	}
	return o.rehearseInto(ctx, g, report)
}

// rehearseInto rehearses, and fills in the outcome.
func (o *reviewing) rehearseInto(ctx context.Context, g *global, report *review.Report) error {
	last := ""
	rehearsed, _, err := o.rehearse.report(ctx, g, func(p rehearsal.Progress) {
		if doing := p.Phase; p.Next != "" && doing+p.Next != last {
			last = doing + p.Next
			o.progress("rehearsing %s → %s: %d requests, %d lost, %d different", doing, p.Next, p.Sent, p.Lost, p.Different)
		}
	})
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case err != nil: // keep the findings
		report.Rehearsal = review.NoRehearsal(err)
		return nil
	}
	report.Rehearsal, err = review.NewRehearsal(rehearsed)
	return err
}

// walk chooses what to rehearse, and synthesizes what is missing. If services with places of their
// own move, it is their step and the step back. Otherwise it is the default walk through the phases
// that the head has.
func (o *reviewing) walk(ctx context.Context, report *review.Report, before, head *side) error {
	o.rehearse.app = head.out
	o.rehearse.stops = stopsOf(slices.Compact(slices.DeleteFunc(rehearsal.DefaultWalk(), func(phase string) bool { return head.assemblies[phase] == nil })))
	apart := head.at.Places != nil || before.at.ComputeText() != head.at.ComputeText()
	if !apart || report.Move.From == report.Move.To || report.Move.OutOfTurn {
		return nil
	}
	w, err := walkerOf(head.assemblies[deployedKey].Dir)
	if err != nil {
		return err
	}
	for key := range before.at.Places {
		if _, known := head.at.Places[key]; !known { // of a service that goes: the head has no such position
			return nil
		}
	}
	for name := range before.at.Compute {
		if !slices.Contains(w.m.Moving(), name) { // the head ends its move
			return nil
		}
	}
	from, to := element(w.m, before.at), element(w.m, head.at)
	stops, err := w.stops([]string{from, to, from})
	if err != nil {
		return err
	}
	for _, s := range stops {
		switch dir := s.dir(); {
		case head.assemblies[dir] != nil:
		case s.at.String() == head.at.String():
			head.assemblies[dir] = head.assemblies[deployedKey]
			err = os.Symlink(deployedKey, filepath.Join(head.out, dir))
		default:
			err = head.one(ctx, dir, s.name, head.alone(s.settings()...), false, o.progress)
		}
		if err != nil {
			return err
		}
	}
	o.rehearse.stops, o.rehearse.walker = stops, w
	return nil
}

// element is a position as an element of a walk, with each place.
func element(m migration.Migration, at migration.Position) string {
	text := strings.ReplaceAll(at.PhaseText(m.Monolith.Name), ",", "+")
	if at.Places != nil && at.Phase < migration.Retired {
		text += "+" + m.Monolith.Name + "=" + migration.Running
	}
	for _, name := range m.Moving() {
		text += "+" + name + "@" + at.Compute[name].ComputeWord()
	}
	return text
}

// commit finds the commit to compare with, and the directory of the app within the repository.
func (o *reviewing) commit(ctx context.Context) (prefix, commit string, err error) {
	if prefix, err = git(ctx, "rev-parse", "--show-prefix"); err != nil {
		return "", "", fmt.Errorf("there is no base to compare with: %w", err)
	}
	named, err := git(ctx, "rev-parse", "--verify", "--quiet", "--end-of-options", o.base+"^{commit}")
	if err != nil {
		return "", "", cmp.Or(ctx.Err(), fmt.Errorf("--base %s: git knows no such commit, branch or tag: name another one, or fetch it with `git fetch origin`", o.base))
	}
	// Later commits of the other branch are not part of this change.
	if commit, err = git(ctx, "merge-base", named, "HEAD"); err != nil {
		err = cmp.Or(ctx.Err(), fmt.Errorf("--base %s: it has no commit in common with HEAD, or the clone is not deep enough to have it: `git fetch --unshallow`", o.base))
	}
	return prefix, commit, err
}

// named returns a commit's abbreviated id, and the id with the subject as Markdown.
func named(ctx context.Context, commit string) (short, text string, err error) {
	line, err := git(ctx, "log", "-1", "--format=%h %s", commit)
	if err != nil {
		return "", "", err
	}
	short, subject, _ := strings.Cut(line, " ")
	return short, short + " " + plain.Code(subject), nil
}

func uncommitted(ctx context.Context) ([]string, error) {
	files := []string{}
	status, err := git(ctx, "status", "--porcelain", "-z")
	if err != nil {
		return nil, err
	}
	entries := strings.Split(strings.TrimRight(status, "\x00"), "\x00")
	for i := 0; i < len(entries); i++ {
		if len(entries[i]) < 4 {
			continue
		}
		files = append(files, entries[i][3:])
		if entries[i][0] == 'R' || entries[i][0] == 'C' { // the old name follows
			i++
		}
	}
	return files, nil
}

func git(ctx context.Context, args ...string) (string, error) {
	var stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, "git", args...)
	cmd.Stderr = &stderr
	output, err := cmd.Output()
	if err != nil {
		text := strings.TrimPrefix(strings.TrimSpace(stderr.String()), "fatal: ")
		return "", cmp.Or(ctx.Err(), fmt.Errorf("git %s: %s", args[0], cmp.Or(text, err.Error())))
	}
	return strings.TrimSuffix(string(output), "\n"), nil
}

// checkout checks a commit out. The directory is always the same, so that the compiler's cache
// helps.
func checkout(ctx context.Context, dir, commit string) (tree string, remove func() error, err error) {
	if tree, err = filepath.Abs(dir); err != nil {
		return "", nil, err
	}
	if err := os.MkdirAll(filepath.Dir(tree), 0o755); err != nil {
		return "", nil, err
	}
	remove = func() error {
		// Remove the worktree after Ctrl-C, too.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
		defer cancel()
		if err := os.RemoveAll(tree); err != nil {
			return err
		}
		_, err := git(ctx, "worktree", "prune")
		return err
	}
	if err := remove(); err != nil { // of a killed run
		return "", nil, err
	}
	if _, err := git(ctx, "worktree", "add", "--quiet", "--detach", tree, commit); err != nil {
		return "", nil, errors.Join(err, remove())
	}
	return tree, remove, nil
}

// side returns the app in a directory, with the position that its cdk.json says.
func (o *reviewing) side(name, dir string) (*side, error) {
	out, err := filepath.Abs(filepath.Join(o.out, "synth", name))
	if err != nil {
		return nil, err
	}
	cdk, err := cdkProgram()
	if err != nil {
		return nil, err
	}
	file, err := step.ReadFile(filepath.Join(dir, cdkFile))
	if err != nil {
		return nil, fmt.Errorf("it is not an app that this can review: %w", err)
	}
	s := &side{name: name, dir: dir, out: out, cdk: cdk, context: file.Context}
	if s.at, err = config.Position(file.Context); err != nil {
		return nil, fmt.Errorf("the context of %s:\n%w", cdkFile, err)
	}
	return s, nil
}

// commandOf returns the CDK command line for the base: the head's if both lock the same packages.
func (o *reviewing) commandOf(ctx context.Context, base, head *side) (string, error) {
	const lock = "package-lock.json"
	locked, err := os.ReadFile(filepath.Join(base.dir, lock))
	same, _ := os.ReadFile(filepath.Join(head.dir, lock))
	if err != nil || bytes.Equal(locked, same) { // without a lock file there is nothing to install
		return head.cdk, nil
	}
	o.progress("base: installing its npm packages, which differ from the head's")
	cmd := exec.CommandContext(ctx, "npm", "ci")
	cmd.Dir = base.dir
	cmd.WaitDelay = 5 * time.Second
	if output, err := cmd.CombinedOutput(); err != nil {
		return "", cmp.Or(ctx.Err(), fmt.Errorf("npm ci in the base: %w\n%s", err, output))
	}
	return filepath.Join(base.dir, "node_modules", ".bin", "cdk"), nil
}

// phasesOf returns the phases in which two sides are compared. Synthesis takes time, and an older
// base does not know removed. So removed is there only if it is near. A monolith that keeps the
// rest, or exists already, is never retired.
func phasesOf(sides ...*side) []migration.Phase {
	last := migration.Retired
	for _, s := range sides {
		if s.at.Phase >= migration.Retired {
			last = migration.Removed
		}
	}
	for _, s := range sides {
		if s.context["rest"] == "monolith" || s.context[monolithTargetGroup] != nil {
			last = migration.Switched
		}
	}
	return migration.Phases()[:last+1]
}

// synthesize writes and reads an assembly for each phase and for the position in cdk.json. It
// validates the head at that position, which would be deployed. If a base does not know the phase
// removed, the base has no assembly for it.
func (s *side) synthesize(ctx context.Context, phases []migration.Phase, progress func(string, ...any)) error {
	s.assemblies = map[string]*assembly.Assembly{}
	apart := s.at.Places != nil || len(s.at.Shift)+len(s.at.Compute) > 0 || !slices.Contains(phases, s.at.Phase)
	for _, phase := range phases {
		name := phase.String()
		err := s.one(ctx, name, name, s.alone("phase="+name), !apart && phase == s.at.Phase, progress)
		if err != nil && s.name == "base" && phase == migration.Removed && strings.Contains(err.Error(), notAPhase) {
			progress("base: it does not know %s", name)
			continue
		}
		if err != nil {
			return err
		}
		if phase == s.at.Phase {
			s.assemblies[deployedKey] = s.assemblies[name]
		}
	}
	if apart {
		if err := s.one(ctx, deployedKey, s.at.String(), nil, true, progress); err != nil {
			return err
		}
	}
	return s.list()
}

// alone returns settings of a position without the shift and the compute in cdk.json. An older base does
// not know the setting compute, and does not have it.
func (s *side) alone(settings ...string) []string {
	computed := func(setting string) bool { return strings.HasPrefix(setting, "compute=") }
	if s.context["compute"] != nil && !slices.ContainsFunc(settings, computed) {
		settings = append(settings, "compute=")
	}
	return append(settings, "shift=")
}

// notAPhase is what a version without the phase removed says.
const notAPhase = `"removed" is not a phase`

// one writes and reads the assembly of one position. deployed says that it would be deployed.
func (s *side) one(ctx context.Context, key, name string, context []string, deployed bool, progress func(string, ...any)) error {
	validated, validation := "", "CDK_VALIDATION=false"
	if s.name == "head" && deployed {
		validated, validation = ", and validating it", "CDK_VALIDATION=true"
	}
	progress("%s: synthesizing %s%s", s.name, name, validated)
	dir := filepath.Join(s.out, key)
	err := synth(ctx, s.cdk, s.dir, dir, context, append(os.Environ(), validation))
	if err == nil {
		s.assemblies[key], err = assembly.Read(dir)
	}
	if err != nil {
		return fmt.Errorf("the %s, in %s: %w", s.name, name, err)
	}
	return nil
}

// list reads the services, and with them the places of those that cdk.json does not name.
func (s *side) list() error {
	list, err := listing.Read(s.assemblies[deployedKey].Dir)
	switch {
	case errors.Is(err, fs.ErrNotExist) && s.at.Places == nil:
		s.unlisted = err
		return nil
	case err != nil:
		return fmt.Errorf("the %s: %w", s.name, err)
	}
	m := list.Migration()
	s.listed, s.services = list.Deployment, &m
	if s.at, err = list.Position(s.context); err != nil {
		return fmt.Errorf("the %s, the context of %s:\n%w", s.name, cdkFile, err)
	}
	return nil
}

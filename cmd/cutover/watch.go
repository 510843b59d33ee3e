package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/fatih/color"
	"github.com/spf13/cobra"

	"cutover/config"
	"cutover/internal/canary"
	"cutover/internal/existing"
	"cutover/internal/local"
	"cutover/internal/step"
	"cutover/migration"
)

// The results of watch other than "go on". Each has an exit code of its own.
var (
	errWait = errors.New("it is too early to tell: wait")
	errBack = errors.New("a microservice is worse than the monolith: go back")
	errPair = errors.New("a new pair is worse than the old one: go back")
)

// watch has the flags of the command.
type watch struct {
	env                      string
	local, aws, once, asJSON bool
	period, timeout          time.Duration
}

func watchCommand(g *global) *cobra.Command {
	var o watch
	cmd := &cobra.Command{
		Use:   "watch",
		Short: "Compare a canary with the monolith: go on, wait or go back",
		Long: fmt.Sprintf(`Watch compares with the monolith each microservice that has a share of its traffic or all
of it. It prints a verdict, the reason and the next command. Several services have a
verdict each; the worst one is the result.

If a service moves to another compute, watch compares the new pair of an ECS service and a
target group with the old one in the same way, while both run and the new one has traffic.

A microservice is worse than the monolith in a period if one of these holds:

  - its 5xx rate is more than %[2]g percentage point above the monolith's
  - its p99 is above %[3]v and above %[4]g times the monolith's
  - it has more unhealthy targets

Verdict, with the exit code:

  go on  0  no microservice is worse
  wait   2  one was worse in one period, or there are not yet %[1]d periods with %[5]d requests each
  back   3  one was worse in %[1]d consecutive periods

The exit code is 1 after an error. If the monolith has fewer than %[5]d requests, it counts
as free of errors, and its latency is not compared.

Watch looks at the deployment on this machine, or at AWS if nothing runs here. On AWS it
reads the alarms and their metrics, in periods of a minute; the setting "alarms" creates
the alarms. After you replace a canary on AWS, wait %[6]v before you judge the new one.

Watch asks until it has a verdict other than wait, or until --timeout.`,
			canary.Periods, canary.MaxErrorPoints, canary.MinLatency, canary.MaxLatencyRatio, canary.MinRequests, canary.Periods*canary.Period),
		Example: `  cutover watch
  cutover watch --local --period 30s
  cutover watch --aws --once --json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return o.run(cmd, g) },
	}
	flags := cmd.Flags()
	flags.BoolVar(&o.local, "local", false, "compare on this machine")
	flags.BoolVar(&o.aws, "aws", false, "compare on AWS (default if no deployment runs here)")
	flags.StringVar(&o.env, "env", "", "environment on AWS (default: the one in cdk.json)")
	flags.DurationVar(&o.period, "period", 10*time.Second, "length of a period on this machine")
	flags.BoolVar(&o.once, "once", false, "print the verdict of this moment")
	flags.DurationVar(&o.timeout, "timeout", 15*time.Minute, "longest time to ask")
	flags.BoolVar(&o.asJSON, "json", false, "print the last verdict as JSON")
	cmd.MarkFlagsMutuallyExclusive("local", "aws")
	cmd.MarkFlagsMutuallyExclusive("local", "env")
	return cmd
}

// watched is the comparison at one moment.
type watched struct {
	Target  string         `json:"target"` // local or aws
	Env     string         `json:"env,omitempty"`
	Region  string         `json:"region,omitempty"`
	Seconds float64        `json:"periodSeconds"`
	Verdict canary.Verdict `json:"verdict"`
	Reasons []string       `json:"reasons"`
	// Services are compared with the monolith, or with their old pairs.
	Monolith string           `json:"monolith"`
	Services []watchedService `json:"services"`
	Next     []nextStep       `json:"next"` // commands that follow the verdict

	switched bool
	length   time.Duration
}

type nextStep struct {
	Command string `json:"command"`
	Does    string `json:"does"`
}

type watchedService struct {
	Service string `json:"service"`
	// Percent is the share of its traffic that the service gets.
	Percent  float64          `json:"percent"`
	Rounds   []canary.Round   `json:"rounds"` // never null
	Findings []canary.Finding `json:"findings"`
	Verdict  canary.Verdict   `json:"verdict"`
	Alarms   []step.Alarm     `json:"alarms,omitempty"`
	// With is what the service is compared with: the monolith's pair, or the old pair of a service that
	// moves to another compute.
	With string `json:"with"`
	// Compute says that the service moves to another compute.
	Compute bool `json:"compute,omitempty"`

	of string // the service in the list
}

func (o *watch) run(cmd *cobra.Command, g *global) error {
	ctx, v := cmd.Context(), newView(cmd.OutOrStdout(), g)
	switch {
	case o.period < time.Second || o.period > canary.Period || o.period%time.Second != 0:
		return fmt.Errorf("--period %v cannot be measured: choose whole seconds, up to %v", o.period, canary.Period)
	case o.timeout < 0:
		return fmt.Errorf("--timeout %v is no time: choose 0 or more, as in 15m", o.timeout)
	}
	look, every, err := o.source(cmd, g, v)
	if err != nil {
		return err
	}
	deadline := time.Now().Add(o.timeout)
	if o.once {
		deadline = time.Now()
	}
	var w *watched
	for told := ""; ; {
		if w, err = look(ctx); err != nil {
			return cmp.Or(ctx.Err(), err)
		}
		if w.Verdict != canary.Wait || !time.Now().Add(every).Before(deadline) {
			break
		}
		switch state := w.state(); {
		case o.asJSON:
		case v.terminal:
			v.redraw(v.watched(w, v.room()))
		case state != told:
			v.print(time.Now().Format("15:04:05  ") + string(w.Verdict) + ": " + strings.Join(w.Reasons, "; "))
			told = state
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(every):
		}
	}
	if o.asJSON {
		err = printJSON(v.out, w)
	} else {
		v.redraw(v.watched(w, 0))
	}
	switch {
	case err != nil:
		return err
	case worst(w.Services, func(s watchedService) bool { return !s.Compute }) == canary.Back:
		return errBack
	case w.Verdict == canary.Back:
		return errPair
	case w.Verdict == canary.Wait:
		return errWait
	}
	return nil
}

// state changes if a new line is worth printing. It has no figures.
func (w *watched) state() string {
	var b strings.Builder
	for _, s := range w.Services {
		fmt.Fprint(&b, s.Service, len(s.Rounds))
		for _, f := range s.Findings {
			b.WriteString(string(f.State))
		}
	}
	return b.String()
}

// source returns the function that compares, and the time between two comparisons.
func (o *watch) source(cmd *cobra.Command, g *global, v *view) (look func(context.Context) (*watched, error), every time.Duration, err error) {
	ctx := cmd.Context()
	client := local.NewClient(g.state)
	if !o.aws && o.env == "" {
		_, err := client.Status(ctx)
		switch {
		case ctx.Err() != nil:
			return nil, 0, ctx.Err()
		case err == nil:
			services, err := services(cmd)
			if err == nil && len(services.Services) == 0 {
				err = fmt.Errorf("the app lists no microservices: there is nothing to compare with %s", services.Monolith.Name)
			}
			return func(ctx context.Context) (*watched, error) { return o.here(ctx, client, services, v) }, time.Second, err
		case o.local || !errors.Is(err, local.ErrNotRunning):
			return nil, 0, err
		}
	}
	if cmd.Flags().Changed("period") {
		return nil, 0, fmt.Errorf("--period: on AWS a period is %v long: leave it out, or look at this machine with --local", canary.Period)
	}
	p := &phase{env: o.env}
	if err := p.load(cmd, g); err != nil {
		return nil, 0, err
	}
	switch {
	case p.notAsked != nil && !o.aws && o.env == "":
		err = fmt.Errorf("%w; and on this machine %w in %s", p.notAsked, local.ErrNotRunning, g.state)
	case p.notAsked != nil:
		err = p.notAsked
	case !p.deployed.Exists:
		err = fmt.Errorf("%s was not deployed in %s yet, or not to the end: deploy it with `npx cdk deploy --all --concurrency 8`", p.env, p.deployed.Region)
	default:
		err = step.Check(p.app, p.deployed)
	}
	if err != nil {
		return nil, 0, err
	}
	prefix, _ := p.file.Context["namePrefix"].(string)
	watcher, err := step.NewWatcher(ctx, p.app.Deployment, p.env, prefix, p.app.At, p.deployed.Since, os.Getenv)
	return func(ctx context.Context) (*watched, error) { return o.there(ctx, p, watcher, v) }, 15 * time.Second, err
}

func (o *watch) here(ctx context.Context, client *local.Client, services config.Deployment, v *view) (*watched, error) {
	monolith := services.Monolith.Name
	status, err := client.Status(ctx)
	if err != nil {
		return nil, err
	}
	app := step.App{Deployment: services, Migration: services.Migration()}
	m := app.Migration
	app.At = positionHere(m, status.Parameters, nil)
	compared := comparedHere(m, app.At)
	if services.Existing != "" { // its name is that of the target group here
		compared.Monolith[0] = existing.GroupName(services.Existing)
	}
	found, err := client.Canaries(ctx, compared, o.period)
	if err != nil {
		return nil, err
	}
	app.At = positionHere(m, status.Parameters, found.Canaries)
	deploy := v.program + " deploy --phase "
	if len(found.Canaries) == 0 {
		if begin := beginningOnCompute(app); begin != nil {
			return nil, fmt.Errorf("there is no canary on this machine, the old pair has all of the traffic of %s: begin one with `%s`, or look at AWS with --aws", begin.name, deployHere(v.program, app, begin.to))
		}
		begin := deploy + "parallel -c shift=" + services.Services[0].Name + "=10"
		if app.At.Places != nil {
			begin = deploy + beginning(app)
		}
		return nil, fmt.Errorf("there is no canary on this machine, %s has all of the traffic: begin one with `%s`, or look at AWS with --aws", monolith, begin)
	}
	w := &watched{Target: "local", Monolith: monolith, length: o.period}
	for _, c := range found.Canaries {
		w.switched = w.switched || c.Switched && !c.Compute
		subject := canary.Subject{Service: c.Service, Monolith: c.With, Function: isFunction(m, c.Service), Length: o.period, Rounds: c.Rounds}
		w.Services = append(w.Services, watchedService{Service: c.Service, With: c.With, Compute: c.Compute, Percent: c.Percent,
			Rounds: append([]canary.Round{}, c.Rounds...), Findings: subject.Judge(), of: serviceOf(m, c.Service)})
	}
	w.decide()
	if found.Deploying {
		w.Verdict, w.Reasons = canary.Wait, []string{"an assembly is being deployed"}
		for i := range w.Services {
			w.Services[i].Verdict = canary.Wait
		}
	}
	move := movesHere(app, v.program)
	if app.At.Places != nil {
		w.nextOfEach(app, move)
	} else {
		compute := computeFlag(app.At)
		parallel := deploy + migration.Parallel.String() + compute
		w.next(move.wait, parallel, parallel+" -c shift=", deploy+migration.Switched.String()+compute, deploy+migration.Retired.String()+compute, services.KeepRest)
	}
	w.nextOfComputes(app, move)
	return w, nil
}

// comparedHere says which ECS services and functions are compared with which in a position.
func comparedHere(m migration.Migration, at migration.Position) local.Compared {
	leading := m.Leading(m.Monolith.Name, at)
	compared := local.Compared{Monolith: []string{leading}, Old: map[string]string{}}
	for _, pair := range m.Monolith.Pairs() {
		if pair != leading {
			compared.Monolith = append(compared.Monolith, pair)
		}
	}
	for _, s := range m.All() {
		if pairs := s.Pairs(); len(pairs) > 1 {
			compared.Old[pairs[1]] = pairs[0]
		}
	}
	return compared
}

// serviceOf is the name of the service that a pair is of.
func serviceOf(m migration.Migration, pair string) string {
	for _, s := range m.All() {
		if slices.Contains(s.Pairs(), pair) {
			return s.Name
		}
	}
	return pair
}

// isFunction says whether a pair is a function.
func isFunction(m migration.Migration, pair string) bool {
	return slices.ContainsFunc(m.All(), func(s migration.Service) bool { return s.IsFunction(pair) })
}

// beginOnCompute is a step that begins a canary of a service on its way to another compute.
type beginOnCompute struct {
	name string
	to   migration.Position
}

// beginningOnCompute is the beginning of a canary of the first service that runs on its next compute.
func beginningOnCompute(app step.App) *beginOnCompute {
	for _, name := range app.Migration.Moving() {
		if place := app.At.Compute[name]; place.Phase == migration.Parallel {
			if to, err := step.NextCompute(app, []string{name + "=10"}); err == nil {
				return &beginOnCompute{name, to}
			}
		}
	}
	return nil
}

// deployHere is the command that deploys a position on this machine.
func deployHere(program string, app step.App, to migration.Position) string {
	shift := ""
	if len(to.Shift) > 0 {
		shift = " -c shift=" + to.ShiftText()
	}
	return program + " deploy --phase " + to.PhaseText(app.Migration.Monolith.Name) + shift + computeFlag(to)
}

func computeFlag(at migration.Position) string {
	if len(at.Compute) == 0 {
		return ""
	}
	return " -c compute=" + at.ComputeText()
}

func (o *watch) there(ctx context.Context, p *phase, watcher *step.Watcher, v *view) (*watched, error) {
	all, err := watcher.Look(ctx)
	if err != nil {
		return nil, err
	}
	w := &watched{Target: "aws", Env: p.env, Region: p.deployed.Region, Monolith: p.app.Deployment.Monolith.Name, switched: p.app.At.Phase == migration.Switched, length: canary.Period}
	for _, one := range all {
		w.Services = append(w.Services, watchedService{Service: one.Subject.Service, With: one.Monolith, Compute: one.Compute, of: one.Comparison.Service.Name, Percent: one.Percent, Rounds: append([]canary.Round{}, one.Rounds...), Findings: one.Findings, Alarms: one.Alarms})
	}
	w.decide()
	env := ""
	if o.env != "" {
		env = " --env " + o.env
	}
	back, next, wait := v.program+" phase back"+env, v.program+" phase next"+env, v.program+" watch --aws"+env
	move := movesThere(wait, back, next)
	if p.app.At.Places != nil {
		w.nextOfEach(p.app, move)
	} else {
		w.next(wait, back, next+" --canary ", next, next, p.app.Deployment.KeepRest)
	}
	w.nextOfComputes(p.app, move)
	return w, nil
}

// positionHere returns the position on this machine, with the shares that the rules of canaries have.
func positionHere(m migration.Migration, parameters map[string]string, canaries []local.Canary) migration.Position {
	var at migration.Position
	for _, name := range slices.Sorted(maps.Keys(parameters)) {
		here, err := step.Read(m, environment(name), step.Here, parameters)
		if err != nil || !here.Exists {
			continue
		}
		at = step.Position(m, here.Reached)
		if here.Reached.Places == "" {
			at.Phase, at.Places = here.Reached.Phase, nil
		}
		break
	}
	for _, c := range canaries {
		name, percent := serviceOf(m, c.Service), int(math.Round(c.Percent))
		switch place, moves := at.Compute[name]; {
		case c.Compute && moves && place.Shifted:
			place.Percent = percent
			at.Compute[name] = place
		case !c.Compute && at.Places == nil && at.Phase == migration.Parallel:
			if at.Shift == nil {
				at.Shift = map[string]int{}
			}
			at.Shift[name] = percent
		}
	}
	if at.Places == nil {
		return at
	}
	for _, b := range m.Plan(at).Balancers {
		for _, rule := range b.Rules {
			i := slices.IndexFunc(canaries, func(c local.Canary) bool { return !c.Compute && serviceOf(m, c.Service) == rule.Service })
			key := migration.Key(rule.Service, rule.Route)
			if place := at.Places[key]; i >= 0 && place.Shifted && rule.ID == "Shift" {
				place.Percent = int(math.Round(canaries[i].Shares[rule.Priority]))
				at.Places[key] = place
			}
		}
	}
	return at
}

// beginning is the phase that begins a canary: of the first service that runs and has no share, or else
// the one after which services run.
func beginning(app step.App) string {
	monolith := app.Migration.Monolith.Name
	for _, service := range app.Migration.Services {
		for _, name := range step.Names(app, service, func(p migration.Place) bool { return p.Phase == migration.Parallel }) {
			if to, err := step.Canary(app, name+"=10"); err == nil {
				return to.PhaseText(monolith)
			}
		}
	}
	to, _ := step.Next(app, nil)
	return to.PhaseText(monolith)
}

func (w *watched) decide() {
	w.Seconds = w.length.Seconds()
	var findings []canary.Finding
	for i, s := range w.Services {
		findings = append(findings, s.Findings...)
		w.Services[i].Verdict, _ = canary.Decide(s.Findings)
	}
	w.Verdict, w.Reasons = canary.Decide(findings)
}

// next fills in the next commands of one phase for all. The command more needs a canary at its end.
func (w *watched) next(wait, back, more, switched, retired string, keepRest bool) {
	w.Next = []nextStep{}
	switch verdict := worst(w.Services, func(s watchedService) bool { return !s.Compute }); {
	case verdict == "": // nothing is compared with the monolith
	case verdict == canary.Wait:
		w.Next = []nextStep{{wait, "ask again"}}
	case verdict == canary.Back:
		w.Next = []nextStep{{back, w.Monolith + " has all of the traffic again"}}
	case w.switched && keepRest: // which is the end
	case w.switched:
		w.Next = []nextStep{{retired, w.Monolith + " stops"}}
	default:
		if shift := w.more(); shift != "" {
			w.Next = []nextStep{{more + shift, "more of the traffic"}}
		}
		w.Next = append(w.Next, nextStep{switched, "all of it, and that of all other microservices"})
	}
}

// worst is the worst verdict of some services. It is empty if there are none.
func worst(services []watchedService, some func(watchedService) bool) (verdict canary.Verdict) {
	order := []canary.Verdict{"", canary.GoOn, canary.Wait, canary.Back}
	for _, s := range services {
		if some(s) && slices.Index(order, s.Verdict) > slices.Index(order, verdict) {
			verdict = s.Verdict
		}
	}
	return verdict
}

// nextOfComputes adds the next commands of services that move to another compute: each by its verdict.
func (w *watched) nextOfComputes(app step.App, move moves) {
	var back, more, all, ends []string
	waits := false
	add := func(command, does string) { w.Next = append(w.Next, nextStep{command, does}) }
	for _, name := range app.Migration.Moving() {
		place := app.At.Compute[name]
		switch worst(w.Services, func(s watchedService) bool { return s.Compute && s.of == name }) {
		case canary.Wait:
			waits = true
		case canary.Back:
			back = append(back, name)
		case canary.GoOn:
			if place.Shifted && place.Percent < 100 {
				more = append(more, fmt.Sprintf("%s=%d", name, moreThan(place.Percent)))
			}
			if place.Shifted {
				all = append(all, name)
			} else {
				ends = append(ends, name)
			}
		}
	}
	if len(back) > 0 {
		add(move.computeBack(back), "the old pair has all of the traffic of "+strings.Join(back, ", ")+" again")
	}
	if len(more) > 0 {
		add(move.compute(more), "more of the traffic")
	}
	if len(all) > 0 {
		add(move.compute(all), "all of the traffic of "+strings.Join(all, ", "))
	}
	if len(ends) > 0 {
		add(move.compute(ends), "the old pair of "+strings.Join(ends, ", ")+" stops")
	}
	if waits && !slices.ContainsFunc(w.Next, func(s nextStep) bool { return s.Command == move.wait }) {
		add(move.wait, "ask again")
	}
}

// more returns a canary with more traffic: half, then all. It is empty if all is there.
func (w *watched) more() string {
	shift, more := map[string]int{}, false
	for _, s := range w.Services {
		if !s.Compute {
			shift[s.of] = moreThan(int(s.Percent))
			more = more || s.Percent < 100
		}
	}
	if !more {
		return ""
	}
	return migration.Position{Shift: shift}.ShiftText()
}

// moreThan returns the share that comes after one: half, then all.
func moreThan(percent int) int {
	if percent < 50 {
		return 50
	}
	return 100
}

// moves are the commands that move services with places of their own. Without names, next moves the
// monolith.
type moves struct {
	wait       string
	back, next func(names []string) string
	canary     func(shares string) string // as in "users=50,posts=100"
	// compute moves services to another compute: names, or shares as in "users=50".
	compute, computeBack func(elements []string) string
}

// movesHere are the commands that deploy a move on this machine.
func movesHere(app step.App, program string) moves {
	to := func(p migration.Position, err error) string {
		// Never refused: the services have a share or are switched.
		return deployHere(program, app, p)
	}
	return moves{
		compute:     func(elements []string) string { return to(step.NextCompute(app, elements)) },
		computeBack: func(names []string) string { return to(step.BackCompute(app, names)) },
		wait:        program + " watch --local",
		back:        func(names []string) string { return to(step.Back(app, names)) },
		next:        func(names []string) string { return to(step.Next(app, names)) },
		canary:      func(shares string) string { return to(step.Canary(app, shares)) },
	}
}

// movesThere are the commands that write a move to cdk.json.
func movesThere(wait, back, next string) moves {
	services := func(names []string) string { return strings.Join(append([]string{""}, names...), " --service ") }
	computes := func(elements []string) string { return strings.Join(append([]string{""}, elements...), " --compute ") }
	return moves{
		compute:     func(elements []string) string { return next + computes(elements) },
		computeBack: func(names []string) string { return back + computes(names) },

		wait:   wait,
		back:   func(names []string) string { return back + services(names) },
		next:   func(names []string) string { return next + services(names) },
		canary: func(shares string) string { return next + " --canary " + shares },
	}
}

// nextOfEach fills in the next commands of services with places of their own: each by its verdict.
func (w *watched) nextOfEach(app step.App, move moves) {
	var back, all, more []string
	waits := false
	for _, service := range app.Migration.Services {
		i := slices.IndexFunc(w.Services, func(s watchedService) bool { return s.of == service.Name && !s.Compute })
		if i < 0 {
			continue
		}
		names := func(one func(migration.Place) bool) []string { return step.Names(app, service, one) }
		switch w.Services[i].Verdict {
		case canary.Wait:
			waits = true
		case canary.Back:
			back = append(back, names(func(p migration.Place) bool { return p.Shifted || p.Phase == migration.Switched })...)
		default:
			for _, percent := range []int{50, 100} {
				for _, name := range names(func(p migration.Place) bool { return p.Shifted && moreThan(p.Percent) == percent && p.Percent < 100 }) {
					more = append(more, fmt.Sprintf("%s=%d", name, percent))
				}
			}
			all = append(all, names(func(p migration.Place) bool { return p.Shifted })...)
		}
	}
	w.Next = []nextStep{}
	add := func(command, does string) { w.Next = append(w.Next, nextStep{command, does}) }
	if len(back) > 0 {
		add(move.back(back), w.Monolith+" has all of the traffic of "+strings.Join(back, ", ")+" again")
	}
	if len(more) > 0 {
		add(move.canary(strings.Join(more, ",")), "more of the traffic")
	}
	if len(all) > 0 {
		add(move.next(all), "all of the traffic of "+strings.Join(all, ", "))
	}
	switch {
	case waits:
		add(move.wait, "ask again")
	case len(w.Next) == 0 && app.At.Phase == migration.Switched && !app.Deployment.KeepRest && slices.ContainsFunc(w.Services, func(s watchedService) bool { return !s.Compute }):
		add(move.next(nil), w.Monolith+" stops")
	}
}

// watched shows a comparison, or as much of its verdict as there is room for.
func (v *view) watched(w *watched, room int) string {
	table, verdict := v.compared(w), v.verdict(w)
	if room == 0 || strings.Count(table+verdict, "\n") <= room {
		return table + verdict
	}
	lines := strings.SplitAfter(verdict, "\n")
	return strings.Join(lines[:min(room, len(lines))], "")
}

func (v *view) compared(w *watched) string {
	var b strings.Builder
	where := "on this machine"
	if w.Target == "aws" {
		where = w.Env + " in " + w.Region
	}
	fmt.Fprintf(&b, "%s, %s, in periods of %s:\n\n", w.against(), where, canary.Duration(w.length))
	rows := [][]string{{"SERVICE", "TRAFFIC", "REQUESTS", "5XX", "P99", "UNHEALTHY"}}
	each := len(w.Services) > 1 // has a verdict of its own
	if each {
		rows[0] = append(rows[0], "VERDICT")
	}
	row := func(name, traffic string, s *canary.Sample, findings []canary.Finding) {
		cells := []string{name, traffic, "", "", "", ""}
		if s != nil {
			p99 := "-" // without an answer
			if s.P99 > 0 {
				p99 = canary.Duration(s.P99)
			}
			copy(cells[2:], []string{fmt.Sprint(s.Requests), fmt.Sprintf("%.1f %%", s.ErrorPercent()), p99, fmt.Sprint(s.Unhealthy)})
		}
		for i, f := range findings { // in the order of the columns
			cells[3+i] = strings.TrimSpace(cells[3+i] + " " + string(f.State))
		}
		rows = append(rows, cells)
	}
	for i, s := range w.Services {
		last, traffic := latest(s.Rounds), fmt.Sprintf("%g %%", s.Percent)
		var sample *canary.Sample
		if last != nil {
			sample = &last.Service
		}
		row(s.Service, traffic, sample, s.Findings)
		if each {
			rows[len(rows)-1] = append(rows[len(rows)-1], string(s.Verdict))
		}
		if last == nil {
			continue
		}
		if i+1 < len(w.Services) { // the monolith has one row for each load balancer
			if next := latest(w.Services[i+1].Rounds); next != nil && next.Monolith == last.Monolith && w.Services[i+1].With == s.With {
				continue
			}
		}
		row(s.With, "", &last.Monolith, nil)
		if each {
			rows[len(rows)-1] = append(rows[len(rows)-1], "")
		}
	}
	b.WriteString(v.table(rows) + "\n")
	return b.String()
}

func (v *view) verdict(w *watched) string {
	var b strings.Builder
	reasons := w.Reasons
	if w.Verdict == canary.GoOn {
		reasons = w.good()
	}
	verdict := strings.ToUpper(string(w.Verdict))
	for i, reason := range reasons {
		if i == 0 {
			b.WriteString(v.paint(verdicts[w.Verdict], verdict) + "  ")
		} else {
			b.WriteString(strings.Repeat(" ", len(verdict)+2))
		}
		b.WriteString(reason + "\n")
	}
	var rows [][]string
	for _, step := range w.Next {
		rows = append(rows, []string{"  " + step.Command, "# " + step.Does})
	}
	if len(rows) > 0 {
		b.WriteString("\nNext\n" + align(rows))
	}
	return b.String()
}

func latest(rounds []canary.Round) *canary.Round {
	if len(rounds) == 0 {
		return nil
	}
	return &rounds[len(rounds)-1]
}

// against says what is compared with what.
func (w *watched) against() string {
	var all []string
	moves := func(s watchedService) bool { return s.Compute }
	if slices.ContainsFunc(w.Services, func(s watchedService) bool { return !moves(s) }) {
		all = append(all, "Microservices against "+w.Monolith)
	}
	if slices.ContainsFunc(w.Services, moves) {
		all = append(all, "new pairs against old pairs")
	}
	text := strings.Join(all, ", ")
	return strings.ToUpper(text[:1]) + text[1:]
}

// good returns the reasons to go on: one for all services that are compared with the same one, and what
// was not compared.
func (w *watched) good() (reasons []string) {
	var withs []string
	names := map[string][]string{}
	var notCompared []string
	for _, s := range w.Services {
		if names[s.With] == nil {
			withs = append(withs, s.With)
		}
		names[s.With] = append(names[s.With], s.Service)
		for _, f := range s.Findings {
			if f.State == canary.NotCompared {
				notCompared = append(notCompared, f.Reason)
			}
		}
	}
	for _, with := range withs {
		is := "is"
		if len(names[with]) > 1 {
			is = "are"
		}
		reasons = append(reasons, fmt.Sprintf("%s %s not worse than %s in %d periods of %s", strings.Join(names[with], ", "), is, with, canary.Periods, canary.Duration(w.length)))
	}
	return append(reasons, notCompared...)
}

var verdicts = map[canary.Verdict]color.Attribute{canary.GoOn: color.FgGreen, canary.Wait: color.FgYellow, canary.Back: color.FgRed}

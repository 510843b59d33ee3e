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
	"cutover/internal/local"
	"cutover/internal/step"
	"cutover/migration"
)

// The results of watch other than "go on". Each has an exit code of its own.
var (
	errWait = errors.New("it is too early to tell: wait")
	errBack = errors.New("a microservice is worse than the monolith: go back")
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
	// Services are compared with the monolith.
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
	case w.Verdict == canary.Back:
		return errBack
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
	found, err := client.Canaries(ctx, monolith, o.period)
	if err != nil {
		return nil, err
	}
	status, err := client.Status(ctx)
	if err != nil {
		return nil, err
	}
	app := step.App{Deployment: services, Migration: services.Migration()}
	app.At = placesHere(app.Migration, status.Parameters, found.Canaries)
	deploy := v.program + " deploy --phase "
	if len(found.Canaries) == 0 {
		begin := deploy + "parallel -c shift=" + services.Services[0].Name + "=10"
		if app.At.Places != nil {
			begin = deploy + beginning(app)
		}
		return nil, fmt.Errorf("there is no canary on this machine, %s has all of the traffic: begin one with `%s`, or look at AWS with --aws", monolith, begin)
	}
	w := &watched{Target: "local", Monolith: monolith, length: o.period}
	for _, c := range found.Canaries {
		w.switched = w.switched || c.Switched
		subject := canary.Subject{Service: c.Service, Monolith: monolith, Length: o.period, Rounds: c.Rounds}
		w.Services = append(w.Services, watchedService{Service: c.Service, Percent: c.Percent, Rounds: append([]canary.Round{}, c.Rounds...), Findings: subject.Judge()})
	}
	w.decide()
	if found.Deploying {
		w.Verdict, w.Reasons = canary.Wait, []string{"an assembly is being deployed"}
		for i := range w.Services {
			w.Services[i].Verdict = canary.Wait
		}
	}
	if app.At.Places != nil {
		w.nextOfEach(app, movesHere(app, v.program))
		return w, nil
	}
	parallel := deploy + migration.Parallel.String()
	w.next(v.program+" watch --local", parallel, parallel+" -c shift=", deploy+migration.Switched.String(), deploy+migration.Retired.String(), services.KeepRest)
	return w, nil
}

func (o *watch) there(ctx context.Context, p *phase, watcher *step.Watcher, v *view) (*watched, error) {
	all, err := watcher.Look(ctx)
	if err != nil {
		return nil, err
	}
	w := &watched{Target: "aws", Env: p.env, Region: p.deployed.Region, Monolith: p.app.Deployment.Monolith.Name, switched: p.app.At.Phase == migration.Switched, length: canary.Period}
	for _, one := range all {
		w.Services = append(w.Services, watchedService{Service: one.Service, Percent: one.Percent, Rounds: append([]canary.Round{}, one.Rounds...), Findings: one.Findings, Alarms: one.Alarms})
	}
	w.decide()
	env := ""
	if o.env != "" {
		env = " --env " + o.env
	}
	back, next, wait := v.program+" phase back"+env, v.program+" phase next"+env, v.program+" watch --aws"+env
	if p.app.At.Places != nil {
		w.nextOfEach(p.app, movesThere(wait, back, next))
		return w, nil
	}
	w.next(wait, back, next+" --canary ", next, next, p.app.Deployment.KeepRest)
	return w, nil
}

// placesHere returns where services with places of their own are on this machine. Without such
// places it returns no position.
func placesHere(m migration.Migration, parameters map[string]string, canaries []local.Canary) (at migration.Position) {
	for _, name := range slices.Sorted(maps.Keys(parameters)) {
		here, err := step.Read(m, environment(name), step.Here, parameters)
		if err != nil || here.Reached.Places == "" {
			continue
		}
		at = step.Position(m, here.Reached)
		for _, b := range m.Plan(at).Balancers {
			for _, rule := range b.Rules {
				i := slices.IndexFunc(canaries, func(c local.Canary) bool { return c.Service == rule.Service })
				key := migration.Key(rule.Service, rule.Route)
				if place := at.Places[key]; i >= 0 && place.Shifted && rule.ID == "Shift" {
					place.Percent = int(math.Round(canaries[i].Shares[rule.Priority]))
					at.Places[key] = place
				}
			}
		}
		return at
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
	switch {
	case w.Verdict == canary.Wait:
		w.Next = []nextStep{{wait, "ask again"}}
	case w.Verdict == canary.Back:
		w.Next = []nextStep{{back, w.Monolith + " has all of the traffic again"}}
	case w.switched && keepRest: // which is the end
		w.Next = []nextStep{}
	case w.switched:
		w.Next = []nextStep{{retired, w.Monolith + " stops"}}
	default:
		if shift := w.more(); shift != "" {
			w.Next = []nextStep{{more + shift, "more of the traffic"}}
		}
		w.Next = append(w.Next, nextStep{switched, "all of it, and that of all other microservices"})
	}
}

// more returns a canary with more traffic: half, then all. It is empty if all is there.
func (w *watched) more() string {
	shift, more := map[string]int{}, false
	for _, s := range w.Services {
		shift[s.Service] = moreThan(int(s.Percent))
		more = more || s.Percent < 100
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
}

// movesHere are the commands that deploy a move on this machine.
func movesHere(app step.App, program string) moves {
	to := func(p migration.Position, err error) string {
		// Never refused: the services have a share or are switched.
		return program + " deploy --phase " + p.PhaseText(app.Migration.Monolith.Name)
	}
	return moves{
		wait:   program + " watch --local",
		back:   func(names []string) string { return to(step.Back(app, names)) },
		next:   func(names []string) string { return to(step.Next(app, names)) },
		canary: func(shares string) string { return to(step.Canary(app, shares)) },
	}
}

// movesThere are the commands that write a move to cdk.json.
func movesThere(wait, back, next string) moves {
	services := func(names []string) string { return strings.Join(append([]string{""}, names...), " --service ") }
	return moves{
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
		i := slices.IndexFunc(w.Services, func(s watchedService) bool { return s.Service == service.Name })
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
	case len(w.Next) == 0 && app.At.Phase == migration.Switched && !app.Deployment.KeepRest:
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
	fmt.Fprintf(&b, "Microservices against %s, %s, in periods of %s:\n\n", w.Monolith, where, canary.Duration(w.length))
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
			if next := latest(w.Services[i+1].Rounds); next != nil && next.Monolith == last.Monolith {
				continue
			}
		}
		row(w.Monolith, "", &last.Monolith, nil)
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

// good returns the reasons to go on: one for all services, and what was not compared.
func (w *watched) good() (reasons []string) {
	var names []string
	for _, s := range w.Services {
		names = append(names, s.Service)
		for _, f := range s.Findings {
			if f.State == canary.NotCompared {
				reasons = append(reasons, f.Reason)
			}
		}
	}
	is := "is"
	if len(names) > 1 {
		is = "are"
	}
	return append([]string{fmt.Sprintf("%s %s not worse than %s in %d periods of %s", strings.Join(names, ", "), is, w.Monolith, canary.Periods, canary.Duration(w.length))}, reasons...)
}

var verdicts = map[canary.Verdict]color.Attribute{canary.GoOn: color.FgGreen, canary.Wait: color.FgYellow, canary.Back: color.FgRed}

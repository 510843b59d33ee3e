package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"cutover/internal/assembly"
	"cutover/internal/listing"
	"cutover/internal/local"
	"cutover/internal/local/alb"
	"cutover/internal/local/ecs"
	"cutover/internal/model"
	"cutover/internal/rehearsal"
	"cutover/internal/rules"
	"cutover/internal/words"
	"cutover/migration"
)

// rehearse has the flags of the command.
type rehearse struct {
	how      runner
	walk     []string // phases
	routes   []string
	rate     int
	requests int
	dwell    time.Duration
	faults   []string
	app      string
	out      string
	strict   bool
	asJSON   bool
}

func rehearseCommand(g *global) *cobra.Command {
	var o rehearse
	cmd := &cobra.Command{
		Use:   "rehearse",
		Short: "Walk through the migration under load, and count lost requests",
		Long: `Rehearse runs the deployment on this machine, requests every route of the API and walks
through the phases of the migration. It checks four things of every request:

  - the status
  - the latency
  - the service that answered
  - whether the answer has the same bytes as in the first phase

It writes a report for people (HTML), for pull requests (PNG) and for programs (JSON).

Before the walk it tries the load for a second. If the machine cannot hold the load, then
or later, the verdict is inconclusive and names a rate that would hold. The report lists
gaps: what no request has tried.

Exit code:

` + exitCodeHelp() + `
A fault harms a service under load. --fault KIND:SERVICE harms the service in the first
phase in which it answers; KIND:SERVICE@PHASE names the phase. The kinds:

` + faultHelp() + `
You may leave a phase out of --walk to see what happens then: any walk but the default
is synthesized with the phase gate off.`,
		Example: `  cutover rehearse
  cutover rehearse --rate 2000 --requests 100000
  cutover rehearse --walk parallel,switched --fault kill:users
  cutover rehearse --walk retired,parallel      # must fail: the report says why
  cutover rehearse --route /api/carts,/api/carts/1
  cutover rehearse --strict                     # if there are gaps: exit code 4`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return o.run(cmd, g) },
	}
	flags := cmd.Flags()
	o.how.flags(cmd)
	flags.StringSliceVar(&o.walk, "walk", rehearsal.DefaultWalk(), "`PHASES` of the walk, in order")
	flags.SetNormalizeFunc(func(_ *pflag.FlagSet, name string) pflag.NormalizedName {
		if name == "path" { // its name before "path" meant the path of a URL alone
			name = "walk"
		}
		return pflag.NormalizedName(name)
	})
	flags.StringSliceVar(&o.routes, "route", nil, "`PATHS` to request; an app that is not the forum needs them (default: all routes of the forum)")
	flags.IntVar(&o.rate, "rate", 500, "requests per second")
	flags.IntVar(&o.requests, "requests", 0, "fewest requests; the phases last longer to reach the number")
	flags.DurationVar(&o.dwell, "dwell", 5*time.Second, "shortest time in a phase")
	flags.StringArrayVar(&o.faults, "fault", nil, "harm a service, `KIND:SERVICE[@PHASE]`; kinds: "+faultNames())
	flags.StringVar(&o.app, "app", "", `directory with one synthesized assembly per phase, named after the phase (default: synthesize the phases with "cdk synth")`)
	flags.StringVar(&o.out, "out", "build/rehearsal", "directory of the report")
	flags.BoolVar(&o.strict, "strict", false, "exit with 4 if there are gaps")
	flags.BoolVar(&o.asJSON, "json", false, "print the report as JSON")
	return cmd
}

// exitCodeHelp lists the exit codes with what they mean.
func exitCodeHelp() string {
	var b strings.Builder
	for _, exit := range rehearsal.ExitCodes() {
		fmt.Fprintf(&b, "  %-3d  %s\n", exit.Code, exit.Means)
	}
	return b.String()
}

// faultHelp lists the kinds of faults with what they do.
func faultHelp() string {
	var b strings.Builder
	for _, kind := range ecs.FaultKinds() {
		fmt.Fprintf(&b, "  %-11s %s", kind.Name, kind.Does)
		if kind.Lossless {
			b.WriteString(", and no request may be lost")
		}
		b.WriteString("\n")
	}
	return b.String()
}

func faultNames() string {
	var names []string
	for _, kind := range ecs.FaultKinds() {
		names = append(names, kind.Name)
	}
	return strings.Join(names, ", ")
}

func (o *rehearse) run(cmd *cobra.Command, g *global) error {
	v := newView(cmd.OutOrStdout(), g)
	report, page, err := o.report(cmd.Context(), g, v.progress(o.asJSON))
	if err != nil {
		return err
	}
	if o.asJSON {
		err = report.WriteJSON(v.out)
	} else {
		v.print("")
		err = report.WriteSummary(v.out)
		v.print("\nReport: " + page)
	}
	if err != nil {
		return err
	}
	return conclude(report.Verdict, o.strict)
}

// judgement ends a rehearsal with the exit code of its verdict.
type judgement struct {
	code int
	error
}

func conclude(v rehearsal.Verdict, strict bool) error {
	code := v.ExitCode(strict)
	switch {
	case code == 0:
		return nil
	case v.Outcome == rehearsal.Inconclusive:
		return judgement{code, errors.New("the rehearsal is inconclusive: its report says why")}
	case v.Outcome == rehearsal.Contained:
		return judgement{code, errors.New("requests were lost to the faults and nowhere else")}
	case v.Passed:
		return judgement{code, errors.New("the rehearsal passed with gaps, and --strict does not take them")}
	}
	return judgement{code, errors.New("the rehearsal failed: its report says why")}
}

// report rehearses and saves the report. The page is the file for people.
func (o *rehearse) report(ctx context.Context, g *global, progress func(rehearsal.Progress)) (report *rehearsal.Report, page string, err error) {
	// A rehearsal has a deployment of its own, because another one may be up.
	own := &global{state: filepath.Join(g.state, "rehearsal")}
	options, err := o.how.options(own)
	if err != nil {
		return nil, "", err
	}
	rehearsed, err := o.check(progress)
	if err != nil {
		return nil, "", err
	}
	stage := &stage{listeners: map[string]string{}}
	options.Events = func(e local.Event) { rehearsed.Event(event(e)) }
	options.Exchanges = func(e alb.Exchange) { rehearsed.Observe(stage.record(e)) }
	options.FreePorts = true // the other deployment may have the usual ports
	if err := local.MakeDir(g.state); err != nil {
		return nil, "", err
	}
	if stage.Runner, err = local.Start(ctx, options); err != nil {
		return nil, "", err
	}
	defer func() {
		stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
		defer cancel()
		err = errors.Join(err, stage.Runner.Stop(stopping))
	}()
	if stage.assemblies, err = o.synthesize(ctx, own, rehearsed.Faults); err != nil {
		return nil, "", err
	}
	rehearsed.Routes = append(rehearsed.Routes, o.rootRoutes(stage.assemblies[o.walk[0]])...)
	if err = checkReach(rehearsed, stage.assemblies); err != nil {
		return nil, "", err
	}
	if report, err = rehearsed.Run(ctx, stage); err != nil {
		return nil, "", err
	}
	page, err = report.Save(o.out)
	return report, page, err
}

// check refuses flags that cannot be honoured, before anything takes time.
func (o *rehearse) check(progress func(rehearsal.Progress)) (*rehearsal.Rehearsal, error) {
	// The zero values of the package's options are its defaults. A flag means what it says.
	if o.rate == 0 {
		return nil, errors.New("--rate 0 sends no request: give a rate of 1 or more requests per second")
	}
	if o.dwell <= 0 {
		return nil, fmt.Errorf("--dwell %v is too short: give a duration above 0, as in 5s", o.dwell)
	}
	var faults []rehearsal.Fault
	for _, text := range o.faults {
		fault, err := rehearsal.ParseFault(text)
		if err != nil {
			return nil, fmt.Errorf("--fault: %w", err)
		}
		known := slices.IndexFunc(ecs.FaultKinds(), func(k ecs.FaultKind) bool { return k.Name == fault.Kind })
		if known < 0 {
			return nil, fmt.Errorf("--fault %s: there is no fault %q: choose from %s", text, fault.Kind, faultNames())
		}
		kind := ecs.FaultKinds()[known]
		fault.Lossless, fault.Once = kind.Lossless, kind.Once
		faults = append(faults, fault)
	}
	rehearsed, err := rehearsal.New(rehearsal.Options{
		Walk: o.walk, Routes: o.routes, Rate: o.rate, Requests: o.requests, Dwell: o.dwell, Faults: faults, Progress: progress,
		About: []rehearsal.Fact{{Name: "Driver", Value: o.how.driver}, {Name: "Cutover", Value: version()}},
	})
	if err != nil {
		return nil, err
	}
	check := o.checkForum
	if o.app != "" {
		check = o.checkAssemblies
	}
	if err := check(faults); err != nil {
		return nil, err
	}
	if err := rehearsal.Prepare(o.out); err != nil {
		return nil, fmt.Errorf("--out %s: the report cannot be written there: %w", o.out, err)
	}
	return rehearsed, nil
}

// checkForum checks phases and services before the phases are synthesized. It can check
// services only if a synthesis has left a list of them that is not older than its source.
func (o *rehearse) checkForum(faults []rehearsal.Fault) error {
	for _, phase := range o.walk {
		if names := migration.PhaseNames(); !slices.Contains(names, phase) {
			return fmt.Errorf("--walk: there is no phase %q: %s", phase, words.Choice(names))
		}
	}
	list, err := listing.Read("cdk.out")
	if err != nil {
		return nil
	}
	if changed, err := list.Changed("."); changed != "" || err != nil {
		return nil
	}
	var names []string
	for _, service := range list.All() {
		names = append(names, service.Name)
	}
	return checkFaults(faults, names)
}

// checkAssemblies reads the assembly of each phase of --app.
func (o *rehearse) checkAssemblies(faults []rehearsal.Fault) error {
	if _, err := os.Stat(filepath.Join(o.app, "manifest.json")); err == nil {
		return fmt.Errorf("--app %s is an assembly: name a directory that has an assembly for each phase, as in %[1]s/%s", o.app, o.walk[0])
	}
	for _, phase := range o.walk {
		dir := filepath.Join(o.app, phase)
		if _, missing := os.Stat(filepath.Join(dir, "manifest.json")); missing != nil {
			return fmt.Errorf("there is no synthesized assembly in %s: write it with `cdk synth --output %[1]s -c phase=%s`", dir, phase)
		}
		if err := checkServices(dir, faults); err != nil {
			return err
		}
		if _, err := listing.Read(dir); errors.Is(err, fs.ErrNotExist) && len(o.routes) == 0 {
			return fmt.Errorf("%s is of another app, and the routes of the forum are not its routes: name its paths with --route", dir)
		}
	}
	return nil
}

// checkServices refuses faults of services that an assembly does not have.
func checkServices(dir string, faults []rehearsal.Fault) error {
	a, err := assembly.Read(dir)
	if err != nil {
		return err
	}
	var names []string
	for _, service := range model.Read(a).Services {
		names = append(names, service.Name)
	}
	return checkFaults(faults, names)
}

func checkFaults(faults []rehearsal.Fault, services []string) error {
	for _, fault := range faults {
		if slices.Contains(services, fault.Service) {
			continue
		}
		slices.Sort(services)
		return fmt.Errorf("--fault %s: there is no service %q: %s", fault, fault.Service, words.Choice(services))
	}
	return nil
}

// checkReach refuses a fault that cannot be done in the walk: its service has no task in the
// phase that the fault names, or answers no route in any phase.
func checkReach(r *rehearsal.Rehearsal, assemblies map[string]string) error {
	models := map[string]*model.Model{}
	for phase, dir := range assemblies {
		a, err := assembly.Read(dir)
		if err != nil {
			return err
		}
		models[phase] = model.Read(a)
	}
	for _, fault := range r.Faults {
		if m := models[fault.Phase]; m != nil {
			if !slices.ContainsFunc(m.Services, func(s *model.Service) bool { return s.Name == fault.Service && s.Tasks() > 0 }) {
				return fmt.Errorf("--fault %s: %s has no task in %s", fault, fault.Service, fault.Phase)
			}
			continue
		}
		if !slices.ContainsFunc(r.Walk, func(phase string) bool { return answers(models[phase], fault.Service, r.Routes) }) {
			return fmt.Errorf("--fault %s: %s answers no route in the walk %s: add a phase to --walk, or a route with --route",
				fault, fault.Service, strings.Join(r.Walk, ", "))
		}
	}
	return nil
}

// answers says whether a service may answer a route, by the rules of any listener.
func answers(m *model.Model, service string, routes []string) bool {
	table, err := rules.Build(m)
	if err != nil { // the deployment refuses it, and says why
		return true
	}
	var groups []*model.TargetGroup
	for _, s := range m.Services {
		for _, balancer := range s.LoadBalancers {
			if s.Name == service {
				groups = append(groups, balancer.TargetGroup)
			}
		}
	}
	for _, listener := range table.Listeners {
		for _, route := range routes {
			request, err := rules.ParseRequest(route)
			request.Host = "localhost"
			decision, unknown := listener.Route(request)
			if err != nil || unknown != nil || slices.ContainsFunc(decision.Rule.Action.Forward, func(to model.Weighted) bool {
				return to.Weight > 0 && slices.Contains(groups, to.TargetGroup)
			}) {
				return true
			}
		}
	}
	return false
}

// synthesize returns the assembly of every phase of the walk.
func (o *rehearse) synthesize(ctx context.Context, g *global, faults []rehearsal.Fault) (map[string]string, error) {
	assemblies := map[string]string{}
	var gate []string
	if !slices.Equal(o.walk, rehearsal.DefaultWalk()) { // the gate would refuse a walk with gaps
		gate = []string{"phaseGate=off"}
	}
	for _, phase := range o.walk {
		if assemblies[phase] != "" {
			continue
		}
		dir := filepath.Join(o.app, phase)
		if o.app == "" {
			var err error
			if dir, err = synthesize(ctx, filepath.Join(g.state, "synth", phase), append([]string{"phase=" + phase}, gate...)); err != nil {
				return nil, err
			}
			if err := checkServices(dir, faults); err != nil {
				return nil, err
			}
		}
		assemblies[phase] = dir
	}
	return assemblies, nil
}

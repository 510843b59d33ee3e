package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"cutover/config"
	"cutover/internal/assembly"
	"cutover/internal/listing"
	"cutover/internal/local"
	"cutover/internal/local/alb"
	"cutover/internal/local/provider"
	"cutover/internal/model"
	"cutover/internal/rehearsal"
	"cutover/internal/step"
	"cutover/internal/words"
	"cutover/migration"
)

// rehearse has the flags of the command.
type rehearse struct {
	how      runner
	walk     []string // phases and changes of places; default: the standard walk
	context  []string // KEY=VALUE
	settled  bool     // says that the walk is read
	stops    []stop   // of the walk
	shifted  bool     // says that cdk.json has a shift
	computed bool     // says that cdk.json has services on their way to another compute
	unlisted bool     // says that the default walk was chosen without a list of services
	walker   *walker  // nil in an app without a list of services
	asking   asking
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
		Long: `Rehearse runs the deployment on this machine, sends requests and walks through the phases
of the migration, or through places of single services. It checks four things of every
request:

  - the latency
  - whether the service that answered is the right one
  - whether the status and the headers are those of the first phase
  - whether the body has the same bytes as in the first phase

What differs by itself in the first phase is not compared later, and the report says so.

It writes a report for people (HTML), for pull requests (PNG) and for programs (JSON).

Before the walk it tries the load for a second. If the machine cannot hold the load, then
or later, the verdict is inconclusive and names a rate that would hold.

The report says how often each listener rule, path pattern and target group was asked, and
in which phase. If something was left out, the verdict is "passed with gaps". What nobody
answers after the switch fails the rehearsal, even if it is not sent.

Exit code:

` + exitCodeHelp() + walkHelp + `A fault harms a service under load. --fault KIND:SERVICE harms the service in the first
phase in which it answers; KIND:SERVICE@POSITION names a phase, or places as the setting
phase takes them, and then services on their way to another compute, as in
switched+users@10%. If a service moves, SERVICE is one of its pairs, such as users or
users-fargate. Of a function, such as users-lambda, kill ends the execution environments;
faults of stores work, too. The kinds:

` + faultHelp(),
		Example: `  cutover rehearse
  cutover rehearse --rate 2000 --requests 100000
  cutover rehearse --walk monolith,users=parallel,users=10%,users=switched,posts=parallel
  cutover rehearse -c rest=monolith
  cutover rehearse --walk parallel,switched --fault kill:users
  cutover rehearse --walk users=10%,users=switched --fault kill:users@users=switched
  cutover rehearse --walk switched,users@parallel,users@10%,users@switched,users@retired
  cutover rehearse --walk retired,parallel      # must fail: the report says why
  cutover rehearse --route /api/carts,/api/carts/1
  cutover rehearse --routes shop.yaml --writes  # requests with methods, headers and bodies
  cutover rehearse --routes shop.har --routes openapi.yaml --header 'Authorization: Bearer abc'
  cutover rehearse --ignore-header Etag --ignore-json '$.generatedAt' --ignore-body '/report*'
  cutover rehearse --strict                     # if there are gaps: exit code 4`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return o.run(cmd, g) },
	}
	flags := cmd.Flags()
	o.how.flags(cmd)
	flags.StringSliceVar(&o.walk, "walk", nil, "`PHASES` of the walk and changes SERVICE=PLACE, in order (default: see above)")
	flags.StringArrayVarP(&o.context, "context", "c", nil, "synthesize with this `KEY=VALUE`, as \"cdk synth -c\" does")
	flags.SetNormalizeFunc(func(_ *pflag.FlagSet, name string) pflag.NormalizedName {
		if name == "path" { // its name before "path" meant the path of a URL alone
			name = "walk"
		}
		return pflag.NormalizedName(name)
	})
	o.asking.flags(cmd)
	flags.IntVar(&o.rate, "rate", 500, "requests per second")
	flags.IntVar(&o.requests, "requests", 0, "fewest requests; the phases last longer to reach the number")
	flags.DurationVar(&o.dwell, "dwell", 5*time.Second, "shortest time in a phase")
	flags.StringArrayVar(&o.faults, "fault", nil, "harm a service, `KIND:SERVICE[@POSITION]`; kinds: "+faultNames())
	flags.StringVar(&o.app, "app", "", `directory with one synthesized assembly per position, named after the position (default: synthesize the positions with "cdk synth")`)
	flags.StringVar(&o.out, "out", "build/rehearsal", "directory of the report")
	flags.BoolVar(&o.strict, "strict", false, "exit with 4 if there are gaps")
	flags.BoolVar(&o.asJSON, "json", false, "print the report as JSON")
	return cmd
}

// walkHelp is about --walk.
const walkHelp = `
An element of --walk is one of these:

  PHASE           one phase for all services
  SERVICE=PLACE   changes the position before; others stay where they are
  SERVICE@PLACE   the same on the way of a service to another compute
  A=PLACE+B=PLACE changes several services in one step

  SERVICE is a service, a route as in users/writes, or the monolith.
  PLACE is monolith, parallel, a share as in 10%, or switched.
  The monolith's is running, retired or removed.
  On the way to another compute it is stopped, parallel, a share, switched or retired.

Services begin in monolith. A change after a phase for all first gives each service a
place of its own, which is a step that moves nothing.

The default walk depends on the settings in cdk.json:

  one phase for all      the whole migration and the way back
  one phase for all and  the same without retired
  rest=monolith
  places                 begins there; each service makes a round, by itself: to switched
                         by a share, to monolith, and back to its place. More than
                         4 services make it in 4 groups.
  Next of a service      the same, and in switched the way to the other compute and back

The gate is on if it lets each step of the walk be deployed. If you leave out a step to
see what happens then, the gate is off.

`

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
	for _, kind := range faultKinds() {
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
	for _, kind := range faultKinds() {
		names = append(names, kind.Name)
	}
	return strings.Join(names, ", ")
}

func (o *rehearse) run(cmd *cobra.Command, g *global) error {
	v := newView(cmd.OutOrStdout(), g)
	// The walk may take a synthesis, so other flags come first.
	if _, err := o.how.options(g); err != nil {
		return err
	}
	if err := o.checkFlags(); err != nil {
		return err
	}
	if o.app == "" {
		if err := o.how.checkExisting(cmd.Context(), g, o.context); err != nil {
			return err
		}
	}
	if err := o.settle(cmd); err != nil {
		return err
	}
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

// judgement ends a command with the exit code of its verdict.
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
	own := &global{state: filepath.Join(g.state, "rehearsal"), secrets: g.state}
	options, err := o.how.options(own)
	if err != nil {
		return nil, "", err
	}
	rehearsed, err := o.check(progress)
	if err != nil {
		return nil, "", err
	}
	stage := &stage{}
	options.Events = func(e local.Event) {
		e.Subject = stage.named(e.Subject)
		rehearsed.Event(event(e, rehearsed.Workers))
	}
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
	// Each rehearsal begins with the same data.
	if err := local.RemoveData(own.state); err != nil {
		return nil, "", err
	}
	if err := os.RemoveAll(filepath.Join(own.state, volumesDir)); err != nil {
		return nil, "", fmt.Errorf("the volumes of an earlier rehearsal cannot be removed: %w; if files of root are there, run `sudo rm -r %s`", err, filepath.Join(own.state, volumesDir))
	}
	if stage.assemblies, err = o.synthesize(ctx, own, rehearsed.Faults); err != nil {
		return nil, "", err
	}
	if !o.asking.given() {
		var assemblies []string
		for _, stop := range o.stops {
			assemblies = append(assemblies, stage.assemblies[stop.name])
		}
		if rehearsed.Workload, err = o.asking.defaultWorkload(assemblies); err != nil {
			return nil, "", err
		}
		rehearsed.LowerRate = len(rehearsed.Workload.Prepare) > 0 // of stores, whose rate is not known before
	}
	if o.walker == nil || o.sets("events") {
		// Another app has no list. With events there are other services than in cdk.out.
		if o.walker, err = walkerOf(stage.assemblies[o.stops[0].name]); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, "", err
		}
	}
	if o.unlisted && o.walker != nil && len(o.walker.m.Moving()) > 0 {
		stage.warnings = append(stage.warnings, fmt.Sprintf("%s: the walk has no step to another compute, because there was no list of services in cdk.out: run the rehearsal again after `npx cdk synth --quiet`", strings.Join(o.walker.m.Moving(), ", ")))
	}
	rehearsed.Answerers = o.answerers()
	phases, err := readRules(stage.assemblies)
	if err != nil {
		return nil, "", err
	}
	if err = checkReach(rehearsed, phases); err != nil {
		return nil, "", err
	}
	if err = checkKept(rehearsed.Workload, rehearsed.Walk, phases); err != nil {
		return nil, "", err
	}
	if err = o.checkStandIns(options, rehearsed.Faults, phases); err != nil {
		return nil, "", err
	}
	stage.monolith = monoliths(phases)
	stage.provisioned, stage.kept = provisioned(phases), kept(phases)
	stage.limited = limitedPairs(cmp.Or(o.walker, &walker{}).m, phases)
	rehearsed.Parts, stage.groups = parts(phases, o.walker != nil && !o.walker.m.KeepRest), groupNames(phases)
	stage.watching = stage.observer()
	rehearsed.Watchers = []rehearsal.Watcher{stage.watching}
	rehearsed.Findings = unanswered(rehearsed.Walk, phases, rehearsed.Workload)
	if report, err = rehearsed.Run(ctx, stage); err != nil {
		return nil, "", alsoFound(err, rehearsed.Findings)
	}
	report.About = append(report.About, stage.facts()...)
	for _, program := range storePrograms(stage.Status().Stores) {
		report.About = append(report.About, rehearsal.Fact{Name: "Store", Value: program})
	}
	page, err = report.Save(o.out)
	return report, page, err
}

// storePrograms are the programs behind stores, each once.
func storePrograms(stores []provider.StoreStatus) (names []string) {
	for _, s := range stores {
		if !slices.Contains(names, s.Program) {
			names = append(names, s.Program)
		}
	}
	return names
}

// alsoFound adds to an error what was found before it.
func alsoFound(err error, findings []rehearsal.Finding) error {
	for _, finding := range findings {
		err = fmt.Errorf("%w\n%s", err, finding)
	}
	return err
}

// checkFlags refuses flags that cannot be meant, whatever the walk is.
func (o *rehearse) checkFlags() error {
	// The zero values of the package's options are its defaults. A flag means what it says.
	if o.rate == 0 {
		return errors.New("--rate 0 sends no request: give a rate of 1 or more requests per second")
	}
	if o.dwell <= 0 {
		return fmt.Errorf("--dwell %v is too short: give a duration above 0, as in 5s", o.dwell)
	}
	_, err := o.rehearsal(rehearsal.Options{})
	return err
}

// rehearsal completes options with what flags say, and prepares the rehearsal.
func (o *rehearse) rehearsal(options rehearsal.Options) (*rehearsal.Rehearsal, error) {
	options.Rate, options.Requests, options.Dwell = o.rate, o.requests, o.dwell
	var err error
	if options.Workload, err = o.asking.workload(); err != nil {
		return nil, err
	}
	return rehearsal.New(options)
}

// check refuses what the walk cannot honour, before anything takes time.
func (o *rehearse) check(progress func(rehearsal.Progress)) (*rehearsal.Rehearsal, error) {
	if err := o.checkFlags(); err != nil {
		return nil, err
	}
	if !o.settled { // of a review, which names phases
		o.stops = stopsOf(o.walk)
	}
	var names []string
	for _, stop := range o.stops {
		names = append(names, stop.name)
	}
	var faults []rehearsal.Fault
	for _, text := range o.faults {
		fault, err := rehearsal.ParseFault(text)
		if err != nil {
			return nil, fmt.Errorf("--fault: %w", err)
		}
		known := slices.IndexFunc(faultKinds(), func(k provider.FaultKind) bool { return k.Name == fault.Kind })
		if known < 0 {
			return nil, fmt.Errorf("--fault %s: there is no fault %q: choose from %s", text, fault.Kind, faultNames())
		}
		kind := faultKinds()[known]
		if worker := isWorker(fault.Service); worker || kind.Name == local.Rebuild || kind.Name == poison || slices.Contains(slices.Concat(provider.EventFaults, provider.BrokerFaults), kind) {
			kind.Lossless = kind.Lossless || worker
			fault.Phase = cmp.Or(fault.Phase, busiest(names))
		}
		fault.Lossless, fault.Once, fault.OfStore = kind.Lossless, kind.Once, slices.Contains(provider.StoreFaults, kind)
		if strings.ContainsAny(fault.Phase, "=@") && o.walker != nil {
			app, err := o.walker.read(fault.Phase)
			if err != nil {
				return nil, fmt.Errorf("--fault %s: %w", text, err)
			}
			fault.Phase = positionText(o.walker.m, app.At)
		}
		faults = append(faults, fault)
	}
	rehearsed, err := o.rehearsal(rehearsal.Options{
		Walk: names, Words: o.words(), Faults: faults, Progress: progress,
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

// settle finds out where the walk leads, before anything takes time.
func (o *rehearse) settle(cmd *cobra.Command) error {
	o.settled = true
	changes := slices.ContainsFunc(o.walk, func(element string) bool { return strings.ContainsAny(element, "=@") })
	if o.app != "" {
		return o.settleAssemblies(changes)
	}
	given, err := rehearsedContext(o.context)
	if err != nil {
		return err
	}
	settings := contextOf(cdkFile)
	_, o.shifted = settings["shift"]
	_, o.computed = settings["compute"]
	maps.Copy(settings, given)
	at, err := config.Position(map[string]any{"phase": phaseOf(settings)})
	if err != nil {
		return fmt.Errorf("the context of %s: %w", cdkFile, err)
	}
	list, unlisted := listing.Read("cdk.out")
	moving := unlisted == nil && len(list.Migration().Moving()) > 0
	if !changes && !moving && !o.computed && at.Places == nil && settings["rest"] == nil && settings[monolithTargetGroup] == nil && len(given) == 0 { // no list is needed
		if len(o.walk) == 0 {
			o.walk, o.unlisted = rehearsal.DefaultWalk(), unlisted != nil
		}
		for _, phase := range o.walk {
			if err := checkPhase(phase); err != nil {
				return err
			}
		}
		o.stops = stopsOf(o.walk)
		return nil
	}
	deployment, err := services(cmd)
	if err != nil {
		return err
	}
	if o.walker, err = newWalker(deployment, settings); err != nil {
		return fmt.Errorf("the context of %s:\n%w", cdkFile, err)
	}
	if len(o.walk) == 0 {
		app, err := o.walker.read(phaseOf(settings))
		if err != nil {
			return fmt.Errorf("the context of %s:\n%w", cdkFile, err)
		}
		o.walk = o.walker.standard(app.At)
	}
	o.stops, err = o.walker.stops(o.walk)
	return err
}

// sets says whether --context has a setting.
func (o *rehearse) sets(name string) bool {
	return slices.ContainsFunc(o.context, func(pair string) bool { return strings.HasPrefix(pair, name+"=") })
}

// rehearsedContext reads KEY=VALUE pairs. It refuses what the walk decides.
func rehearsedContext(pairs []string) (map[string]any, error) {
	given := map[string]any{}
	for _, pair := range pairs {
		key, value, _ := strings.Cut(pair, "=")
		if key == "phase" || key == "shift" || key == "compute" {
			return nil, fmt.Errorf("--context %s: a walk has a phase for each step: name them with --walk", pair)
		}
		given[key] = value
	}
	return given, checkContext(pairs)
}

// settleAssemblies is settle for the assemblies of --app. Those of another app have any names.
func (o *rehearse) settleAssemblies(changes bool) (err error) {
	if len(o.context) > 0 {
		return fmt.Errorf("--app %s is synthesized already: use either --app or --context", o.app)
	}
	files, err := filepath.Glob(filepath.Join(o.app, "*", listing.Name))
	if err != nil {
		return fmt.Errorf("--app %s: %w", o.app, err)
	}
	if len(files) > 0 {
		if o.walker, err = walkerOf(filepath.Dir(files[0])); err != nil {
			return err
		}
	}
	if len(o.walk) == 0 {
		o.walk = rehearsal.DefaultWalk()
		if o.walker != nil {
			o.walk = o.walker.standard(migration.Position{})
			o.walk = slices.DeleteFunc(o.walk, func(element string) bool { return strings.Contains(element, "@") }) // nobody has said that there are assemblies of these
		}
	}
	if o.stops = stopsOf(o.walk); changes && o.walker != nil {
		o.stops, err = o.walker.stops(o.walk)
	}
	return err
}

// walkerOf returns the walker of the app that wrote an assembly.
func walkerOf(assembly string) (*walker, error) {
	list, err := listing.Read(assembly)
	if err != nil {
		return nil, err
	}
	return newWalker(list.Deployment, step.Listed(list.Deployment))
}

// stopsOf returns the stops of names. Only the names of phases have a position.
func stopsOf(names []string) (stops []stop) {
	for _, name := range names {
		phase, err := migration.ParsePhase(name)
		stops = append(stops, stop{name, migration.Position{Phase: phase}, err == nil})
	}
	return stops
}

// words returns what [rehearsal.Options] take for the steps of the walk.
func (o *rehearse) words() func(from, to string) (step, label string) {
	if o.walker == nil {
		return nil
	}
	stops := map[string]stop{}
	for _, stop := range o.stops {
		stops[stop.name] = stop
	}
	return func(from, to string) (step, label string) { return o.walker.describe(stops[from], stops[to]) }
}

// answerers returns what [rehearsal.Options] take, from the plan of the migration.
func (o *rehearse) answerers() func(phase string, r *rehearsal.Request) []string {
	if o.walker == nil {
		return nil
	}
	return func(phase string, r *rehearsal.Request) []string {
		i := slices.IndexFunc(o.stops, func(s stop) bool { return s.name == phase })
		at := o.stops[i].at
		// The assembly of --app with the name of a phase for all may have a shift.
		if !o.stops[i].known || o.app != "" && at.Places == nil && at.Phase == migration.Parallel {
			return nil
		}
		return o.walker.answerers(at, r)
	}
}

// checkForum checks services before the positions are synthesized. It can do so only if a synthesis
// has left a list of them that is not older than its source. With events there are other services than in the list.
func (o *rehearse) checkForum(faults []rehearsal.Fault) error {
	list, ok := freshList()
	if !ok || o.sets("events") {
		return nil
	}
	var names, functions []string
	for _, service := range list.All() {
		for _, pair := range service.Pairs() {
			names = append(names, pair.Name)
			if pair.IsFunction() {
				functions = append(functions, pair.Name)
			}
		}
	}
	listed := slices.DeleteFunc(slices.Clone(faults), func(f rehearsal.Fault) bool { return isWorker(f.Service) })
	return checkFaults(listed, names, functions)
}

// isWorker says whether a name may be that of a worker, which is in no list: its assembly has it.
func isWorker(name string) bool {
	return slices.ContainsFunc([]string{config.Relay, config.Consumer, config.Jobs}, func(role string) bool { return strings.HasSuffix(name, "-"+role) })
}

// workers are the services and functions that answer no requests and run: those that publish or take messages.
func (r *phaseRules) workers() (names []string) {
	for _, s := range r.Services {
		if s.Worker() && s.Tasks() > 0 {
			names = append(names, s.Name)
		}
	}
	for _, e := range r.EventSources {
		if e.Here() {
			names = append(names, e.Target.Function.Name)
		}
	}
	return names
}

// checkAssemblies reads the assembly of each position of --app.
func (o *rehearse) checkAssemblies(faults []rehearsal.Fault) error {
	if assembly.Exists(o.app) {
		return fmt.Errorf("--app %s is an assembly: name a directory that has an assembly for each phase, as in %[1]s/%s", o.app, o.stops[0].dir())
	}
	for _, stop := range o.stops {
		dir := filepath.Join(o.app, stop.dir())
		if !assembly.Exists(dir) {
			return fmt.Errorf("there is no synthesized assembly in %s: write it with `cdk synth --output %[1]s -c %s`", dir, strings.Join(stop.settings(), " -c "))
		}
		if err := checkServices(dir, faults); err != nil {
			return err
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
	m := model.Read(a)
	functions := functionsOf(m)
	names := slices.Clone(functions)
	for _, service := range m.Services {
		names = append(names, service.Name)
	}
	for _, group := range m.TargetGroups {
		if group.Existing() {
			names = append(names, group.Name)
		}
	}
	if list, err := existingList(a); err != nil {
		return err
	} else if list.Existing != "" {
		names = append(names, list.Monolith.Name)
	}
	functions = append(functions, polled(m)...)
	return checkFaults(faults, append(names, polled(m)...), functions)
}

// polled are the names of the functions that Lambda invokes with what comes from a queue or a stream.
func polled(m *model.Model) (names []string) {
	for _, e := range m.EventSources {
		if f := e.Target.Function; f != nil && !slices.Contains(names, f.Name) {
			names = append(names, f.Name)
		}
	}
	return names
}

// busiest is the phase in which the microservices answer, or else the one in the middle of a walk.
func busiest(walk []string) string {
	if switched := migration.Switched.String(); slices.Contains(walk, switched) {
		return switched
	}
	return walk[len(walk)/2]
}

// functionsOf are the names of the functions behind load balancers.
func functionsOf(m *model.Model) (names []string) {
	for _, f := range m.Functions {
		if f.Invoked {
			names = append(names, f.Name)
		}
	}
	return names
}

func checkFaults(faults []rehearsal.Fault, services, functions []string) error {
	for _, fault := range faults {
		switch {
		case slices.Contains(functions, fault.Service) && !fault.OfStore && !slices.Contains(local.FunctionFaults, fault.Kind):
			return fmt.Errorf("--fault %s: %s is a function, and has no tasks to harm so: choose %s, which ends its execution environments, or a fault of its store",
				fault, fault.Service, strings.Join(local.FunctionFaults, ", "))
		case slices.Contains(services, fault.Service):
			continue
		}
		slices.Sort(services)
		return fmt.Errorf("--fault %s: there is no service %q: %s", fault, fault.Service, words.Choice(slices.Compact(services)))
	}
	return nil
}

// checkReach refuses a fault that cannot be done in the walk: its service has no task and no function in
// the phase that the fault names, or answers no route in any phase. It tells the rehearsal which services are workers, which answer
// none.
func checkReach(r *rehearsal.Rehearsal, phases map[string]*phaseRules) error {
	for _, in := range phases {
		r.Workers = append(r.Workers, in.workers()...)
	}
	slices.Sort(r.Workers)
	r.Workers = slices.Compact(r.Workers)
	for _, fault := range r.Faults {
		if isWorker(fault.Service) && !slices.Contains(r.Workers, fault.Service) {
			return fmt.Errorf("--fault %s: there is no service %q in the walk %s: its workers are %s", fault, fault.Service, strings.Join(r.Walk, " → "), cmp.Or(strings.Join(r.Workers, ", "), "none"))
		}
		if in := phases[fault.Phase]; in != nil {
			tasked := in.standing(fault.Service) != nil || slices.ContainsFunc(in.Services, func(s *model.Service) bool { return s.Name == fault.Service && s.Tasks() > 0 })
			if !tasked && !slices.Contains(append(functionsOf(in.Model), polled(in.Model)...), fault.Service) {
				return fmt.Errorf("--fault %s: %s has no task in %s", fault, fault.Service, fault.Phase)
			}
			continue
		}
		if !slices.Contains(r.Workers, fault.Service) && !slices.ContainsFunc(r.Walk, func(phase string) bool { return phases[phase].answers(fault.Service, r.Workload.Routes()) }) {
			return fmt.Errorf("--fault %s: %s answers no route in the walk %s: add a phase to --walk, or a route with --route or --routes",
				fault, fault.Service, strings.Join(r.Walk, " → "))
		}
	}
	return nil
}

// checkStandIns says for which target groups that exist already nothing stands in the walk. It refuses a fault of a program that
// runs already.
func (o *rehearse) checkStandIns(options local.Options, faults []rehearsal.Fault, phases map[string]*phaseRules) error {
	standIns := options.StandIns()
	for _, stop := range o.stops {
		r := phases[stop.name]
		if err := standIns.Check(r.Model, r.existing); err != nil {
			return fmt.Errorf("%s cannot be run here:\n%w", stop.name, err)
		}
		for _, fault := range faults {
			if group := r.standing(fault.Service); group != nil && options.Targets[group.Name] != nil {
				return fmt.Errorf("--fault %s: %v stands for %s, and is not started here, so nothing here harms it: start it with --run %s=COMMAND in place of --target", fault, options.Targets[group.Name], fault.Service, group.Name)
			}
		}
	}
	return nil
}

// answers says whether a service may answer a route, by the rules of any listener.
func (r *phaseRules) answers(service string, routes []*rehearsal.Request) bool {
	if r.table == nil {
		return true
	}
	var groups []*model.TargetGroup
	if group := r.standing(service); group != nil {
		groups = append(groups, group)
	}
	for _, s := range r.Services {
		for _, balancer := range s.LoadBalancers {
			if s.Name == service {
				groups = append(groups, balancer.TargetGroup)
			}
		}
	}
	for _, group := range r.TargetGroups {
		for _, target := range group.Targets {
			if f := r.FunctionTarget(target.ID).Function; f != nil && f.Name == service {
				groups = append(groups, group)
			}
		}
	}
	for _, listener := range r.table.Listeners {
		for _, route := range routes {
			decision, unknown := listener.Route(ruled(route))
			if unknown != nil || slices.ContainsFunc(decision.Rule.Action.Forward, func(to model.Weighted) bool {
				return to.Weight > 0 && slices.Contains(groups, to.TargetGroup)
			}) {
				return true
			}
		}
	}
	return false
}

// settings returns the settings of every position of the walk, besides the phase.
func (o *rehearse) settings() []string {
	settings := slices.Clone(o.context)
	if o.shifted { // the walk has the shares
		settings = append(settings, "shift=")
	}
	if w := cmp.Or(o.walker, &walker{}); !w.gated(o.stops) { // the gate would refuse a walk with gaps
		settings = append(settings, "phaseGate=off")
	}
	return settings
}

// synthesize returns the assembly of every position of the walk.
func (o *rehearse) synthesize(ctx context.Context, g *global, faults []rehearsal.Fault) (map[string]string, error) {
	assemblies, settings := map[string]string{}, o.settings()
	for _, stop := range o.stops {
		if assemblies[stop.name] != "" {
			continue
		}
		dir := filepath.Join(o.app, stop.dir())
		if o.app == "" {
			var err error
			own := stop.settings()
			if o.computed && len(stop.at.Compute) == 0 {
				own = append(own, "compute=")
			}
			if dir, err = synthesize(ctx, filepath.Join(g.state, "synth", stop.dir()), append(own, settings...)); err != nil {
				return nil, err
			}
			if err := checkServices(dir, faults); err != nil {
				return nil, err
			}
		}
		assemblies[stop.name] = dir
	}
	return assemblies, nil
}

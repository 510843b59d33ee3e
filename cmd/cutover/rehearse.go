package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"cutover/internal/assembly"
	"cutover/internal/local"
	"cutover/internal/local/alb"
	"cutover/internal/local/ecs"
	"cutover/internal/rehearsal"
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

Exit code:

  0  no request was lost, and every answer matched
  3  requests were lost, but only to the faults you asked for and in their services
  1  anything else

A fault harms a service under load. --fault KIND:SERVICE harms the service in the first
phase in which it answers; KIND:SERVICE@PHASE names the phase. The kinds:

` + faultHelp() + `
You may leave a phase out of --walk to see what happens then: any walk but the default
is synthesized with the phase gate off.`,
		Example: `  cutover rehearse
  cutover rehearse --rate 2000 --requests 100000
  cutover rehearse --walk parallel,switched --fault kill:users
  cutover rehearse --walk retired,parallel      # must fail: the report says why
  cutover rehearse --route /api/carts,/api/carts/1`,
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
	flags.StringSliceVar(&o.routes, "route", nil, "`PATHS` to request (default: all routes of the forum)")
	flags.IntVar(&o.rate, "rate", 500, "requests per second")
	flags.IntVar(&o.requests, "requests", 0, "fewest requests; the phases last longer to reach the number")
	flags.DurationVar(&o.dwell, "dwell", 5*time.Second, "shortest time in a phase")
	flags.StringArrayVar(&o.faults, "fault", nil, "harm a service, `KIND:SERVICE[@PHASE]`; kinds: "+faultNames())
	flags.StringVar(&o.app, "app", "", `directory with one synthesized assembly per phase, named after the phase (default: synthesize the phases with "cdk synth")`)
	flags.StringVar(&o.out, "out", "build/rehearsal", "directory of the report")
	flags.BoolVar(&o.asJSON, "json", false, "print the report as JSON")
	return cmd
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
	switch {
	case err != nil:
		return err
	case !report.Verdict.Passed:
		return errors.New("the rehearsal failed: its report says why")
	case report.Totals.Lost+report.Totals.Different > 0:
		return errContained
	}
	return nil
}

// report rehearses and saves the report. The page is the file for people.
func (o *rehearse) report(ctx context.Context, g *global, progress func(rehearsal.Progress)) (report *rehearsal.Report, page string, err error) {
	var faults []rehearsal.Fault
	for _, text := range o.faults {
		fault, err := rehearsal.ParseFault(text)
		if err != nil {
			return nil, "", fmt.Errorf("--fault: %w", err)
		}
		known := slices.IndexFunc(ecs.FaultKinds(), func(k ecs.FaultKind) bool { return k.Name == fault.Kind })
		if known < 0 {
			return nil, "", fmt.Errorf("--fault %s: there is no fault %q: choose from %s", text, fault.Kind, faultNames())
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
		return nil, "", err
	}
	// A rehearsal has a deployment of its own, because another one may be up.
	own := &global{state: filepath.Join(g.state, "rehearsal")}
	options, err := o.how.options(own)
	if err != nil {
		return nil, "", err
	}
	stage := &stage{}
	options.Events = func(e local.Event) { rehearsed.Event(event(e)) }
	options.Exchanges = func(e alb.Exchange) { rehearsed.Observe(stage.record(e)) }
	options.FreePorts = true                       // the other deployment may have the usual ports
	if err := local.MakeDir(g.state); err != nil { // above that of the rehearsal
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
	if stage.assemblies, err = o.synthesize(ctx, own); err != nil {
		return nil, "", err
	}
	rehearsed.Routes = append(rehearsed.Routes, o.rootRoutes(stage.assemblies[o.walk[0]])...)
	if report, err = rehearsed.Run(ctx, stage); err != nil {
		return nil, "", err
	}
	page, err = report.Save(o.out)
	return report, page, err
}

// errContained ends a rehearsal that passed and lost requests: the requested faults
// explain every loss.
var errContained = errors.New("requests were lost to the faults and nowhere else")

// synthesize returns the assembly of every phase of the walk.
func (o *rehearse) synthesize(ctx context.Context, g *global) (map[string]string, error) {
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
		var err error
		if o.app == "" {
			dir, err = synthesize(ctx, filepath.Join(g.state, "synth", phase), append([]string{"phase=" + phase}, gate...))
		} else if _, missing := os.Stat(filepath.Join(dir, "manifest.json")); missing != nil {
			err = fmt.Errorf("there is no synthesized assembly in %s: write it with `cdk synth --output %[1]s -c phase=%s`", dir, phase)
		}
		if err != nil {
			return nil, err
		}
		assemblies[phase] = dir
	}
	return assemblies, nil
}

// stage is the local deployment of a rehearsal.
type stage struct {
	*local.Runner
	assemblies map[string]string // directory, by phase
}

func (s *stage) URL(route string) string {
	path, _, _ := strings.Cut(route, "?")
	return s.Runner.URL(path)
}

func (s *stage) Deploy(ctx context.Context, phase string) ([]string, error) {
	before, parameters := s.Assembly(), s.Status().Parameters
	if err := s.Runner.Deploy(ctx, s.assemblies[phase]); err != nil {
		return nil, outOfTurn(err, parameters, s.assemblies[phase])
	}
	if before == nil {
		return nil, nil
	}
	return assembly.Changes(before, s.Assembly()), nil
}

// clientClosed is the logged status of a request if the client closed the connection
// before the answer.
// https://docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-troubleshooting.html#http-460-issues
const clientClosed = 460

func (s *stage) record(e alb.Exchange) rehearsal.Record {
	record := rehearsal.Record{TraceID: e.TraceID, Service: s.ServiceName(e.Group), Target: e.Target, Status: e.Status, TargetStatus: e.TargetStatus}
	if record.TraceID == "" && e.Header != nil {
		record.TraceID = e.Header.Get("X-Amzn-Trace-Id")
	}
	var network *net.OpError
	switch {
	case e.Status == clientClosed:
		record.Reason = "the client gave up"
	case errors.As(e.Err, &network):
		record.Reason = network.Err.Error() // without the addresses, to group equal errors
	case e.Err != nil:
		record.Reason = e.Err.Error()
	case e.Group != "" && e.Target == "":
		record.Reason = "no registered target in " + record.Service
	}
	return record
}

func event(e local.Event) rehearsal.Event {
	event := rehearsal.Event{
		Time: e.Time, Service: e.Subject, Text: strings.TrimSpace(e.Kind + " " + e.State + " " + e.Message),
		// The timeline draws the other events as bars.
		Mark: e.Kind == ecs.ScalingEvent || e.Kind == ecs.DeploymentEvent && (e.State == string(ecs.Failed) || strings.HasPrefix(e.Message, "rolling back")),
	}
	if e.Kind == "target" {
		event.Target, event.State = e.Task, e.State
	}
	return event
}

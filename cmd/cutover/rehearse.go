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
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"

	"cutover/internal/assembly"
	"cutover/internal/local"
	"cutover/internal/local/alb"
	"cutover/internal/local/ecs"
	"cutover/internal/rehearsal"
)

// rehearse has the flags of the command.
type rehearse struct {
	how      runner
	path     []string
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
		Short: "Walk the migration under load, and show that nothing is lost",
		Long: `Rehearse runs the deployment on this machine, puts load on every route of the API, at
the load balancer that has it, and walks the phases of the migration. For every request
it looks at the status, the latency, the service that answered, and whether the bytes
are those that the first phase answered. It writes a report for people (HTML), for pull
requests (PNG) and for machines (JSON).

It exits with 0 only if no request was lost and every answer matched; with 3 if what
was lost was lost to the faults that were asked for, by the services that they were
done to; and with 1 otherwise.

A fault does harm to a service under load: --fault KIND:SERVICE, in the first phase in
which the service answers, or KIND:SERVICE@PHASE. The kinds:

` + faultHelp() + `
A path that leaves a phase out is synthesized with the gate off, so that what it does
can be seen.`,
		Example: `  cutover rehearse
  cutover rehearse --rate 2000 --requests 100000
  cutover rehearse --path parallel,switched --fault kill:users
  cutover rehearse --path retired,parallel      # must fail: the report says why
  cutover rehearse --route /api/carts,/api/carts/1`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return o.run(cmd, g) },
	}
	flags := cmd.Flags()
	o.how.flags(cmd)
	flags.StringSliceVar(&o.path, "path", rehearsal.DefaultPath(), "the phases to walk, in their order")
	flags.StringSliceVar(&o.routes, "route", nil, "the paths to request, for another API than the forum's (default all of the forum's)")
	flags.IntVar(&o.rate, "rate", 500, "requests per second")
	flags.IntVar(&o.requests, "requests", 0, "least number of requests; phases are stayed in longer to get there")
	flags.DurationVar(&o.dwell, "dwell", 5*time.Second, "least time to stay in a phase")
	flags.StringArrayVar(&o.faults, "fault", nil, "KIND:SERVICE[@PHASE], harm to do: "+faultNames())
	flags.StringVar(&o.app, "app", "", `directory with a synthesized assembly for each phase, named after it (default: synthesize them with "cdk synth")`)
	flags.StringVar(&o.out, "out", "build/rehearsal", "directory of the report")
	flags.BoolVar(&o.asJSON, "json", false, "print the report as JSON instead of a summary")
	return cmd
}

// faultHelp lists the kinds of faults.
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
		return errors.New("the rehearsal failed")
	case report.Totals.Lost+report.Totals.Different > 0:
		return errContained
	}
	return nil
}

// report rehearses, and saves the report: page is the path of what people read.
func (o *rehearse) report(ctx context.Context, g *global, progress func(rehearsal.Progress)) (report *rehearsal.Report, page string, err error) {
	var faults []rehearsal.Fault
	for _, text := range o.faults {
		fault, err := rehearsal.ParseFault(text)
		if err != nil {
			return nil, "", fmt.Errorf("--fault: %w", err)
		}
		known := slices.IndexFunc(ecs.FaultKinds(), func(k ecs.FaultKind) bool { return k.Name == fault.Kind })
		if known < 0 {
			return nil, "", fmt.Errorf("--fault %s: there is no %q: choose from %s", text, fault.Kind, faultNames())
		}
		kind := ecs.FaultKinds()[known]
		fault.Lossless, fault.Once = kind.Lossless, kind.Once
		faults = append(faults, fault)
	}
	// A rehearsal is a deployment of its own, beside one that may be up.
	own := &global{state: filepath.Join(g.state, "rehearsal")}
	options, err := o.how.options(own)
	if err != nil {
		return nil, "", err
	}
	stage := &stage{}
	options.Events, options.Exchanges = stage.event, stage.exchange
	options.FreePorts = true // the others may be taken by one that is up
	if stage.runner, err = local.Start(ctx, options); err != nil {
		return nil, "", err
	}
	defer func() {
		stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
		defer cancel()
		err = errors.Join(err, stage.runner.Stop(stopping))
	}()
	if stage.assemblies, err = o.synthesize(ctx, own); err != nil {
		return nil, "", err
	}

	report, err = rehearsal.Run(ctx, stage, rehearsal.Options{
		Path: o.path, Routes: o.routes, Rate: o.rate, Requests: o.requests, Dwell: o.dwell, Faults: faults, Progress: progress,
		About: []rehearsal.Fact{{Name: "Driver", Value: o.how.driver}, {Name: "Cutover", Value: version()}},
	})
	if err != nil {
		return nil, "", err
	}
	page, err = report.Save(o.out)
	return report, page, err
}

// errContained is the result of a rehearsal that is passed although not every
// request was answered: the faults that were asked for explain it.
var errContained = errors.New("requests were lost to the faults, none of them elsewhere")

// synthesize returns the assembly of every phase on the path.
func (o *rehearse) synthesize(ctx context.Context, g *global) (map[string]string, error) {
	assemblies := map[string]string{}
	if o.app != "" {
		for _, phase := range o.path {
			assemblies[phase] = filepath.Join(o.app, phase)
			if _, err := os.Stat(filepath.Join(assemblies[phase], "manifest.json")); err != nil {
				return nil, fmt.Errorf("there is no synthesized assembly in %s: write it with `cdk synth --output %[1]s -c phase=%s`", assemblies[phase], phase)
			}
		}
		return assemblies, nil
	}
	// The gate would refuse a path with gaps, and says so by names alone: whether a
	// phase follows another is not for this program to know.
	gate := []string{}
	if !slices.Equal(o.path, rehearsal.DefaultPath()) {
		gate = []string{"phaseGate=off"}
	}
	for _, phase := range o.path {
		if assemblies[phase] != "" {
			continue
		}

		dir, err := synthesize(ctx, filepath.Join(g.state, "synth", phase), append([]string{"phase=" + phase}, gate...))
		if err != nil {
			return nil, err
		}
		assemblies[phase] = dir
	}
	return assemblies, nil
}

// stage is the local deployment as a rehearsal sees it.
type stage struct {
	runner     *local.Runner
	assemblies map[string]string // directory, by phase
	observe    atomic.Pointer[func(rehearsal.Record)]
	events     atomic.Pointer[func(rehearsal.Event)]
}

func (s *stage) URL(route string) string {
	path, _, _ := strings.Cut(route, "?")
	return s.runner.URL(path)
}

func (s *stage) Deploy(ctx context.Context, phase string) ([]string, error) {
	before := s.runner.Assembly()
	if err := s.runner.Deploy(ctx, s.assemblies[phase]); err != nil || before == nil {
		return nil, err
	}
	return assembly.Changes(before, s.runner.Assembly()), nil
}

func (s *stage) Fault(ctx context.Context, kind, service string) (func(context.Context) error, error) {
	return s.runner.Fault(ctx, kind, service)
}

func (s *stage) Observe(f func(rehearsal.Record)) { store(&s.observe, f) }
func (s *stage) Events(f func(rehearsal.Event))   { store(&s.events, f) }

func store[T any](p *atomic.Pointer[func(T)], f func(T)) {
	if f == nil {
		p.Store(nil)
		return
	}
	p.Store(&f)
}

// clientClosed is the status in a load balancer's log for a request whose client
// did not wait for the answer.
// https://docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-troubleshooting.html#http-460-issues
const clientClosed = 460

func (s *stage) exchange(e alb.Exchange) {
	observe := s.observe.Load()
	if observe == nil {
		return
	}
	record := rehearsal.Record{TraceID: e.TraceID, Service: s.runner.ServiceName(e.Group), Target: e.Target, Status: e.Status, TargetStatus: e.TargetStatus}
	if record.TraceID == "" && e.Header != nil {
		record.TraceID = e.Header.Get("X-Amzn-Trace-Id")
	}
	var network *net.OpError
	switch {
	case e.Status == clientClosed:
		record.Reason = "the client gave up"
	case errors.As(e.Err, &network):
		record.Reason = network.Err.Error() // without the addresses, so that errors can be grouped
	case e.Err != nil:
		record.Reason = e.Err.Error()
	case e.Group != "" && e.Target == "":
		record.Reason = "no registered target in " + record.Service
	}
	(*observe)(record)
}

func (s *stage) event(e local.Event) {
	events := s.events.Load()
	if events == nil {
		return
	}
	event := rehearsal.Event{
		Time: e.Time, Service: e.Subject, Text: strings.TrimSpace(e.Kind + " " + e.State + " " + e.Message),
		// The others are many, and what the timeline draws without them.
		Mark: e.Kind == string(ecs.ScalingEvent) || e.Kind == string(ecs.DeploymentEvent) && (e.State == string(ecs.Failed) || strings.HasPrefix(e.Message, "rolling back")),
	}
	if e.Kind == "target" {
		event.Target, event.State = e.Task, e.State
	}
	(*events)(event)
}

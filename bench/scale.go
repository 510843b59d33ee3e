package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"cutover/internal/assembly"
	"cutover/internal/model"
	"cutover/internal/rehearsal"
	"cutover/internal/rules"
)

// sizes are how many services the deployments have that are synthesized and
// rehearsed to see what grows with them, the monolith among them. The last is more
// than one load balancer has target groups for: bench/many has a further one then.
var sizes = []int{10, 30, 100}

const (
	scaleRate  = 500 // requests per second
	scaleDwell = time.Second
	// tolerance is how far above proportion a figure of a machine that does other
	// things as well may be.
	tolerance = 1.5
	// sampling is how often the tool's memory and processor time are looked at.
	sampling = 50 * time.Millisecond
)

// scalePath are the phases that are walked. Back is the same in reverse, and
// takes as long.
var scalePath = []string{"monolith", "parallel", "switched", "retired"}

// scaled is what one size takes.
type scaled struct {
	services       int
	up             float64   // seconds until the first phase runs and the load begins
	steps          []float64 // seconds for each phase after the first
	requests, lost int
	memoryMiB      float64 // of the tool, at most
	cpuPerRequest  float64 // of the tool, µs, while no phase changes
	matchMicros    float64 // for the routing evaluator to find the rule of a request
}

// measureScale rehearses the migration of deployments of several sizes, and
// prints what they take. With check it fails if something takes more than in
// proportion to the number of services.
func measureScale(ctx context.Context, out io.Writer, work string, check bool) error {
	if platform := runtime.GOOS + "/" + runtime.GOARCH; platform != "linux/amd64" {
		return fmt.Errorf("%w: the services of the default deployment are for linux/amd64, and this machine is %s", errSkipped, platform)
	}
	fmt.Println("Synthesizing and rehearsing deployments of several sizes (a minute)")
	setting, err := prepare(ctx, work, scalePath[0], manyApp)
	if err != nil {
		return err
	}
	tool := filepath.Join(work, "cutover")
	if err := command(ctx, "go", "build", "-o", tool, "./cmd/cutover"); err != nil {
		return err
	}
	dir := func(services int) string { return filepath.Join(work, strconv.Itoa(services)) }
	// The largest first, beside which there is time for the others. Those of one
	// size share the step that compiles the images.
	synthesis, synthesizing := errgroup.WithContext(ctx)
	synthesis.SetLimit(2)
	for _, services := range slices.Backward(sizes) {
		synthesis.Go(func() error { return synthesizeScale(synthesizing, setting, strconv.Itoa(services), services) })
	}
	if err := synthesis.Wait(); err != nil {
		return err
	}
	all := make([]scaled, len(sizes))
	measure := func(ctx context.Context, i int) error {
		all[i].services = sizes[i]
		if err := all[i].evaluate(dir(sizes[i])); err != nil {
			return err
		}
		if err := all[i].rehearse(ctx, tool, dir(sizes[i])); err != nil {
			return fmt.Errorf("%d services: %w", sizes[i], err)
		}
		return nil
	}
	// Most of a rehearsal is waiting for health checks. The smallest is the one that
	// the others are compared with, and is not disturbed.
	if err := measure(ctx, 0); err != nil {
		return err
	}
	rehearsals, rehearsing := errgroup.WithContext(ctx)
	for i := range sizes[1:] {
		rehearsals.Go(func() error { return measure(rehearsing, i+1) })
	}
	if err := rehearsals.Wait(); err != nil {
		return err
	}
	fmt.Fprintf(out, "From %s, with %d requests per second to all services, by cutover rehearse:\n\n", strings.Join(scalePath, " to "), scaleRate)
	return scaleTable(out, all, check)
}

// scaleTable prints a column for each size. With check it fails if the largest
// takes more of something, in proportion, than the smallest.
func scaleTable(out io.Writer, all []scaled, check bool) error {
	first, last := all[0], all[len(all)-1]
	most := tolerance * float64(last.services) / float64(first.services)
	line := func(name string, cells ...string) {
		fmt.Fprintf(out, "%-36s", name)
		for _, cell := range cells {
			fmt.Fprintf(out, "%9s", cell)
		}
		fmt.Fprintln(out)
	}
	cells := func(format string, value func(scaled) float64) (texts []string) {
		for _, s := range all {
			texts = append(texts, fmt.Sprintf(format, value(s)))
		}
		return texts
	}
	var excess []error
	row := func(name, format string, judged bool, value func(scaled) float64) {
		ratio := value(last) / value(first)
		line(name, append(cells(format, value), fmt.Sprintf("%.1f", ratio))...)
		if judged && ratio > most {
			excess = append(excess, fmt.Errorf("%s: %d services take %.1f times what %d take, more than %.1f", name, last.services, ratio, first.services, most))
		}
	}
	line("services", append(cells("%.0f", func(s scaled) float64 { return float64(s.services) }), fmt.Sprintf("%d / %d", last.services, first.services))...)
	row("until the first phase runs, s", "%.1f", true, func(s scaled) float64 { return s.up })
	for i, phase := range scalePath[1:] {
		// Some take less time than a busy machine may withhold.
		row("until it is "+phase+", s", "%.2f", false, func(s scaled) float64 { return s.steps[i] })
	}
	row("memory at most, MiB", "%.0f", true, func(s scaled) float64 { return s.memoryMiB })
	row("CPU, µs a request", "%.0f", true, func(s scaled) float64 { return s.cpuPerRequest })
	row("to find the rule of a request, µs", "%.2f", true, func(s scaled) float64 { return s.matchMicros })
	line("requests", cells("%.0f", func(s scaled) float64 { return float64(s.requests) })...)
	line("lost, or answered differently", cells("%.0f", func(s scaled) float64 { return float64(s.lost) })...)
	if check {
		return errors.Join(excess...)
	}
	return nil
}

// synthesizeScale writes an assembly for each phase, named after it. Those of a
// size have the same images, hundreds of megabytes, so the phases are synthesized
// in one place, where CDK finds the images again, and linked from there.
func synthesizeScale(ctx context.Context, s *setting, dir string, services int) error {
	out := filepath.Join(s.work, dir, "out")
	for _, phase := range scalePath {
		s, err := s.in(phase)
		if err != nil {
			return err
		}
		many := s.many(filepath.Join(dir, "out"), services)
		many.out = "" // which has what is not to be removed
		if _, err := many.run(ctx); err != nil {
			return fmt.Errorf("%s of %d services: %w", phase, services, err)
		}
		if err := link(out, filepath.Join(s.work, dir, phase)); err != nil {
			return err
		}
	}
	return os.RemoveAll(out)
}

// link makes a copy of an assembly in which the assets' files are the same ones.
func link(from, to string) error {
	return filepath.WalkDir(from, func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		relative, err := filepath.Rel(from, name)
		if err != nil {
			return err
		}
		target := filepath.Join(to, relative)
		switch {
		case entry.IsDir():
			return os.MkdirAll(target, 0o755)
		case strings.HasPrefix(relative, "asset."):
			return os.Link(name, target)
		}
		// The next synthesis writes it again.
		text, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		return os.WriteFile(target, text, 0o644)
	})
}

// names are those of the services beside the monolith, as bench/many has them.
func (s *scaled) names() []string {
	var names []string
	for i := 1; i < s.services; i++ {
		names = append(names, fmt.Sprintf("service-%03d", i))
	}
	return names
}

// question is a request and the listener that it is made to.
type question struct {
	of      *rules.Listener
	request rules.Request
}

// find returns the listener that has a rule for a service, and the name of the
// target group there, which ends in that of a further load balancer.
func find(table *rules.Table, service string) (listener *rules.Listener, group string) {
	for _, listener := range table.Listeners {
		for _, rule := range listener.Rules {
			for _, target := range rule.Action.Forward {
				if name := target.TargetGroup.Name; name == service || strings.HasPrefix(name, service+"-") {
					return listener, name
				}
			}
		}
	}
	return nil, ""
}

// evaluate asks in every phase where each service's path goes, and takes the time
// of one answer once all go to their own.
func (s *scaled) evaluate(dir string) error {
	for _, phase := range scalePath {
		a, err := assembly.Read(filepath.Join(dir, phase))
		if err != nil {
			return err
		}
		table, err := rules.Build(model.Read(a))
		if err != nil {
			return err
		}
		var requests []question
		for _, name := range s.names() {
			request, err := rules.ParseRequest("/api/" + name + "/7")
			if err != nil {
				return err
			}
			listener, group := find(table, name)
			if listener == nil {
				return fmt.Errorf("in %s no listener has a rule for %s", phase, name)
			}
			decision, err := listener.Route(request)
			if err != nil {
				return err
			}
			want := group
			if phase == "monolith" || phase == "parallel" {
				want = strings.Replace(group, name, "api", 1)
			}
			if got := decision.String(); got != want {
				return fmt.Errorf("in %s %s goes to %s, want %s", phase, request, got, want)
			}
			requests = append(requests, question{listener, request})
		}
		if phase != scalePath[len(scalePath)-1] {
			continue
		}
		var micros []float64
		for range 201 {
			start := time.Now()
			for i := range requests {
				if _, err := requests[i].of.Match(&requests[i].request); err != nil {
					return err
				}
			}
			micros = append(micros, float64(time.Since(start).Nanoseconds())/1000/float64(len(requests)))
		}
		s.matchMicros = slices.Min(micros) // what nothing else has interrupted
	}
	return nil
}

// rehearse walks the phases under load and reads off the report, and from the
// kernel what the tool took meanwhile. It fails if a request is lost.
func (s *scaled) rehearse(ctx context.Context, tool, dir string) error {
	var routes []string
	for _, name := range s.names() {
		routes = append(routes, "/api/"+name, "/api/"+name+"/7")
	}
	cmd := exec.CommandContext(ctx, tool, "rehearse", "--json", "--state", filepath.Join(dir, "state"), "--out", filepath.Join(dir, "report"), "--app", dir,
		"--path", strings.Join(scalePath, ","), "--rate", strconv.Itoa(scaleRate), "--dwell", scaleDwell.String(), "--route", strings.Join(routes, ","))
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGINT) }
	cmd.WaitDelay = stopTimeout
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	began := time.Now()
	if err := cmd.Start(); err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	var samples []usage
	var err error
	for tick, running := time.NewTicker(sampling), true; running; {
		select {
		case err = <-ended:
			running = false
			tick.Stop()
		case <-tick.C:
			if u, ok := usageOf(cmd.Process.Pid); ok {
				samples = append(samples, u)
			}
		}
	}
	if err != nil && context.Cause(ctx) != nil {
		return context.Cause(ctx)
	}
	// One that failed has a report as well, if it came to the load.
	var report rehearsal.Report
	reportErr := json.Unmarshal(stdout.Bytes(), &report)
	switch {
	case err != nil && reportErr == nil:
		return fmt.Errorf("the rehearsal: %s", strings.Join(report.Verdict.Reasons, " "))
	case err != nil:
		return fmt.Errorf("the rehearsal: %w\n%s", err, stderr.Bytes())
	case reportErr != nil:
		return fmt.Errorf("the report of the rehearsal: %w", reportErr)
	}
	return s.read(began, report, samples)
}

// read takes the figures out of a report and what was seen of its process.
func (s *scaled) read(began time.Time, report rehearsal.Report, samples []usage) error {
	s.up = report.Began.Sub(began).Seconds()
	s.requests, s.lost = report.Totals.Requests, report.Totals.Lost+report.Totals.Different
	for _, step := range report.Steps {
		s.steps = append(s.steps, float64(step.Duration()))
	}
	if len(s.steps) != len(scalePath)-1 {
		return fmt.Errorf("the report has %d steps, want %d", len(s.steps), len(scalePath)-1)
	}
	var cpu time.Duration
	requests := 0.0
	for _, phase := range report.Phases {
		at := func(x rehearsal.Seconds) time.Time {
			return report.Began.Add(time.Duration(float64(x) * float64(time.Second)))
		}
		var within []usage
		for _, u := range samples {
			if u.at.After(at(phase.Begin)) && u.at.Before(at(phase.End)) {
				within = append(within, u)
			}
		}
		if len(within) > 1 {
			first, last := within[0], within[len(within)-1]
			cpu += last.cpu - first.cpu
			requests += last.at.Sub(first.at).Seconds() * scaleRate
		}
	}
	if requests == 0 {
		return errors.New("the memory and processor time of the rehearsal could not be read from /proc")
	}
	s.cpuPerRequest = float64(cpu.Microseconds()) / requests
	for _, u := range samples {
		s.memoryMiB = max(s.memoryMiB, u.memoryMiB)
	}
	return nil
}

// usageOf is what a process takes, without its children. It is not there when the
// process has ended.
func usageOf(pid int) (u usage, ok bool) {
	cpu, err := processorTime(pid)
	memory, memoryErr := resident(pid)
	return usage{at: time.Now(), cpu: cpu, memoryMiB: memory}, err == nil && memoryErr == nil
}

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"cutover/internal/rehearsal"
)

// sizes are the numbers of services, with the monolith, of the deployments to synthesize and to
// rehearse. One load balancer has too few target groups for the last: bench/many has a further
// load balancer then.
var sizes = []int{10, 30, 100}

const (
	scaleRate  = 500 // requests per second
	scaleDwell = time.Second
	// sampling is the time between two readings of the tool's memory and processor time.
	sampling = 50 * time.Millisecond
)

// scaleWalk are the phases of the rehearsal. The way back takes as long.
var scaleWalk = []string{"monolith", "parallel", "switched", "retired"}

// scaled has the figures of one size.
type scaled struct {
	services       int
	up             float64   // seconds until the first phase runs and the load begins
	steps          []float64 // seconds for each phase after the first
	requests, lost int
	memoryMiB      float64 // of the tool, at most
	cpuPerRequest  float64 // of the tool, µs, while no phase changes
}

// scale rehearses the migration of deployments of several sizes.
func (b *bench) scale(out io.Writer) error {
	fmt.Println("Synthesizing and rehearsing deployments of several sizes (a minute)")
	setting, err := b.prepare()
	if err != nil {
		return err
	}
	tool, err := b.compile("./cmd/cutover")
	if err != nil {
		return err
	}
	dir := func(services int) string { return filepath.Join(b.work, strconv.Itoa(services)) }
	// The largest first: there is time for the others beside it.
	var synthesis errgroup.Group
	synthesis.SetLimit(2)
	for _, services := range slices.Backward(sizes) {
		synthesis.Go(func() error { return setting.synthesizeAll(services, dir(services)) })
	}
	if err := synthesis.Wait(); err != nil {
		return err
	}
	all := make([]scaled, len(sizes))
	for i, services := range sizes {
		all[i].services = services
	}
	// A rehearsal mostly waits for health checks, so rehearsals run side by side. But the others
	// are compared with the smallest, which runs alone.
	if err := all[0].rehearse(b.ctx, tool, dir(all[0].services)); err != nil {
		return err
	}
	var rehearsals errgroup.Group
	inconclusive := make([]error, len(all))
	for i := range all[1:] {
		s := &all[i+1]
		rehearsals.Go(func() error {
			err := s.rehearse(b.ctx, tool, dir(s.services))
			if errors.Is(err, errInconclusive) {
				inconclusive[i], err = err, nil
			}
			return err
		})
	}
	if err := rehearsals.Wait(); err != nil {
		return err
	}
	if err := errors.Join(inconclusive...); err != nil {
		fmt.Fprintf(out, "Not measured: %v\n", err)
		return nil
	}
	fmt.Fprintf(out, "From %s, with %d requests per second to all services, by cutover rehearse:\n\n", strings.Join(scaleWalk, " to "), scaleRate)
	scaleTable(out, all)
	return nil
}

// errInconclusive says that a rehearsal proves nothing, as where the machine could not hold the load.
var errInconclusive = errors.New("inconclusive")

// scaleTable prints a column for each size, and last the ratio of the largest to the smallest.
func scaleTable(out io.Writer, all []scaled) {
	row := func(name, format string, ratio bool, value func(scaled) float64) {
		fmt.Fprintf(out, "%-36s", name)
		for _, s := range all {
			fmt.Fprintf(out, "%9s", fmt.Sprintf(format, value(s)))
		}
		if ratio {
			fmt.Fprintf(out, "%9.1f", value(all[len(all)-1])/value(all[0]))
		}
		fmt.Fprintln(out)
	}
	row("services", "%.0f", true, func(s scaled) float64 { return float64(s.services) })
	row("until the first phase runs, s", "%.1f", true, func(s scaled) float64 { return s.up })
	for i, phase := range scaleWalk[1:] {
		row("until it is "+phase+", s", "%.2f", true, func(s scaled) float64 { return s.steps[i] })
	}
	row("memory at most, MiB", "%.0f", true, func(s scaled) float64 { return s.memoryMiB })
	row("CPU, µs a request", "%.0f", true, func(s scaled) float64 { return s.cpuPerRequest })
	row("requests", "%.0f", false, func(s scaled) float64 { return float64(s.requests) })
	row("lost, or answered differently", "%.0f", false, func(s scaled) float64 { return float64(s.lost) })
}

// synthesizeAll writes an assembly for each phase, in a directory with the phase's name. All
// phases have the same images, hundreds of megabytes. So the phases are synthesized in one place,
// where CDK finds the images again, and the copies have links to them.
func (s *setting) synthesizeAll(services int, dir string) error {
	out := filepath.Join(dir, "out")
	for _, phase := range scaleWalk {
		if _, err := s.run(services, phase, out, s.many); err != nil {
			return err
		}
		if err := s.command("cp", "-al", out, filepath.Join(dir, phase)); err != nil {
			return err
		}
		entries, err := os.ReadDir(out)
		if err != nil {
			return err
		}
		for _, entry := range entries { // the next synthesis must not write to linked files
			if !strings.HasPrefix(entry.Name(), "asset.") {
				if err := os.RemoveAll(filepath.Join(out, entry.Name())); err != nil {
					return err
				}
			}
		}
	}
	return os.RemoveAll(out)
}

// rehearse goes through the phases under load. It fails if a request is lost.
func (s *scaled) rehearse(ctx context.Context, tool, dir string) error {
	var routes []string
	for i := 1; i < s.services; i++ {
		route := fmt.Sprintf("/api/service-%03d", i) // as bench/many has it
		routes = append(routes, route, route+"/7")
	}
	began := time.Now()
	report, samples, err := rehearse(ctx, tool, filepath.Join(dir, "rehearsal"), "--app", dir, "--walk", strings.Join(scaleWalk, ","),
		"--rate", strconv.Itoa(scaleRate), "--dwell", scaleDwell.String(), "--route", strings.Join(routes, ","))
	if err != nil {
		return fmt.Errorf("%d services: %w", s.services, err)
	}
	return s.read(began, report, samples)
}

// rehearse runs the tool's command, with its files in a directory. It returns the report, and the tool's
// memory and processor time from the kernel. It fails if the rehearsal has not passed.
func rehearse(ctx context.Context, tool, dir string, args ...string) (report rehearsal.Report, samples []usage, err error) {
	cmd := exec.CommandContext(ctx, tool, append([]string{"rehearse", "--json", "--state", filepath.Join(dir, "state"), "--out", filepath.Join(dir, "report")}, args...)...)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGINT) }
	cmd.WaitDelay = stopTimeout
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Start(); err != nil {
		return report, nil, err
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
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
		return report, nil, context.Cause(ctx)
	}
	// A rehearsal that fails under load has a report, too. One that loses requests to its faults passes.
	switch reportErr := json.Unmarshal(stdout.Bytes(), &report); {
	case reportErr == nil && report.Verdict.Passed:
		return report, samples, nil
	case reportErr == nil:
		err = errors.New(strings.Join(report.Verdict.Reasons, " "))
		if report.Verdict.Outcome == rehearsal.Inconclusive {
			err = fmt.Errorf("%w: %w", errInconclusive, err)
		}
	case err != nil:
		err = fmt.Errorf("%w\n%s", err, stderr.Bytes())
	default:
		err = reportErr
	}
	return report, nil, fmt.Errorf("the rehearsal: %w", err)
}

// read takes the figures from a report and the samples of its process.
func (s *scaled) read(began time.Time, report rehearsal.Report, samples []usage) error {
	s.up = report.Began.Sub(began).Seconds()
	s.requests, s.lost = report.Totals.Requests, report.Totals.Lost+report.Totals.Different
	for _, step := range report.Steps {
		s.steps = append(s.steps, float64(step.Duration()))
	}
	if len(s.steps) != len(scaleWalk)-1 {
		return fmt.Errorf("the report has %d steps, want %d", len(s.steps), len(scaleWalk)-1)
	}
	at := func(x rehearsal.Seconds) time.Time {
		return report.Began.Add(time.Duration(float64(x) * float64(time.Second)))
	}
	var cpu, took time.Duration
	for i, u := range samples {
		s.memoryMiB = max(s.memoryMiB, u.memoryMiB)
		before := samples[max(0, i-1)]
		if slices.ContainsFunc(report.Phases, func(p rehearsal.Phase) bool { return before.at.After(at(p.Begin)) && u.at.Before(at(p.End)) }) {
			cpu += u.cpu - before.cpu
			took += u.at.Sub(before.at)
		}
	}
	if took == 0 {
		return errors.New("the memory and processor time of the rehearsal could not be read from /proc")
	}
	s.cpuPerRequest = float64(cpu.Microseconds()) / (took.Seconds() * scaleRate)
	return nil
}

// usage is a sample of a process.
type usage struct {
	at        time.Time
	cpu       time.Duration // so far
	memoryMiB float64
}

// usageOf samples a process without its children. It is not ok if the process has ended.
func usageOf(pid int) (u usage, ok bool) {
	cpu, err := processorTime(pid, false)
	memory, memoryErr := resident(pid)
	return usage{time.Now(), cpu, memory / (1 << 20)}, err == nil && memoryErr == nil
}

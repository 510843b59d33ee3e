// Bench measures what the parts cost that this project writes itself although
// others exist, each beside the other one, in turns, on the same machine.
//
// Synthesis is measured against the same app written in plain JavaScript
// (bench/peer). Both run with the same Node.js, on the same context, with
// everything compiled and warm and CDK's validation off. Before that it checks
// that both make the same templates. Both make sure that the services' images
// are up to date, the peer by running this program with -images. What that step
// takes is measured by itself as well.
//
// The load balancer that deployments on this machine have is measured against
// nginx, in front of the same service and with the same work to do.
//
// A service is measured against one in koa with the same routes and data
// (bench/peer/koa), against net/http with nothing around it (bench/peer/bare) and
// against a socket (bench/peer/raw), each on one core.
//
// How many tasks fit an instance is computed from the templates, tried with the
// local target's scheduler in Docker, and set beside what the tasks really take.
//
// The loop of an edit is measured from saving a change to seeing what it does, in a
// copy of the repository: a stack's beside the same change of the JavaScript app.
// With -clone, also from a clean clone to an answer, which takes minutes and the
// network.
//
// The tests are measured in a clone, after no change and after several.
//
// What a deployment has to wait for is worked out from the templates of every phase,
// against everything one after the other.
//
// With everything measured it writes docs/performance.md.
//
// Run it from the root of the repository:
//
//	go run ./bench [-rounds N] [-phase NAME] [-only SECTION] [-skip SECTION] [-check] [-clone]
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/pprof"
	"slices"
	"strings"
	"syscall"
)

func main() {
	rounds := flag.Int("rounds", 11, "how often each program is measured")
	phase := flag.String("phase", "monolith", "the phase to synthesize")
	only := flag.String("only", "", "measure one section of the document only, as in -only services (default all)")
	skip := flag.String("skip", "", "leave one section out, and with it the document")
	check := flag.Bool("check", false, fmt.Sprintf("fail if the Go app takes more than %.1f times as long to synthesize, a service does less than %.1f of what net/http does, or many services take more than in proportion", limit, bareLimit))
	onlyImages := flag.Bool("images", false, "only bring the images' build contexts up to date, as the peer's first step, and print where they are")
	balancer := flag.String("balancer", "", "only be the load balancer that is measured, with its files in this directory: arguments LISTEN TARGET")
	profile := flag.String("profile", "", "as that load balancer, write a CPU profile to this file")
	clone := flag.Bool("clone", false, "in the section loop also measure from a clean clone to an answer, which takes minutes and the network")
	tool := flag.String("tool", "", "only run a tool of the go command, the arguments, and append to this file what it did")
	flag.Parse()
	if *tool != "" {
		os.Exit(runTool(*tool, flag.Args()))
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var err error
	switch {
	case *onlyImages:
		err = buildImages(ctx)
	case *balancer != "":
		err = profiling(*profile, func() error { return serveBalancer(ctx, *balancer, flag.Arg(0), flag.Arg(1)) })
	default:
		err = run(ctx, *rounds, *phase, *only, *skip, *check, *clone)
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "bench: %v\n", err)
		os.Exit(1)
	}
}

// profiling runs a function and writes a CPU profile of it; with no file, only runs it.
func profiling(file string, serve func() error) error {
	if file == "" {
		return serve()
	}
	out, err := os.Create(file)
	if err != nil {
		return err
	}
	if err := pprof.StartCPUProfile(out); err != nil {
		return err
	}
	err = serve()
	pprof.StopCPUProfile()
	return errors.Join(err, out.Close())
}

func run(ctx context.Context, rounds int, phase, only, skip string, check, clone bool) (err error) {
	if flag.NArg() > 0 || rounds < 1 {
		return fmt.Errorf("arguments %q, rounds %d: there must be no arguments, and at least one round", flag.Args(), rounds)
	}
	work, err := os.MkdirTemp("", "cutover-bench-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(work)) }()
	sections := []section{
		{name: "synthesis", measure: func(out io.Writer) error {
			return measureSynthesis(ctx, out, work, rounds, phase, check)
		}},
		{name: "balancer", measure: func(out io.Writer) error {
			return measureBalancer(ctx, out, work, rounds)
		}},
		{name: "services", measure: func(out io.Writer) error {
			return measureServices(ctx, out, work, rounds, check)
		}},
		{name: "density", measure: func(out io.Writer) error {
			return measureDensity(ctx, out, work)
		}},
		{name: "loop", measure: func(out io.Writer) error {
			return measureLoop(ctx, out, work, rounds, clone)
		}},
		{name: "tests", measure: func(out io.Writer) error {
			return measureTests(ctx, out, work)
		}},
		{name: "path", measure: func(out io.Writer) error {
			return measurePaths(ctx, out, work)
		}},
		{name: "scale", measure: func(out io.Writer) error {
			return measureScale(ctx, out, work, check)
		}},
	}
	names := make([]string, len(sections))
	for i := range sections {
		names[i] = sections[i].name
	}
	for option, name := range map[string]string{"only": only, "skip": skip} {
		if name != "" && !slices.Contains(names, name) {
			return fmt.Errorf("-%s %q: there is no such measurement: choose one of %s", option, name, strings.Join(names, ", "))
		}
	}
	whole := only == "" && skip == ""
	for i := range sections {
		s := &sections[i]
		if s.name == skip || only != "" && s.name != only {
			continue
		}
		err := s.measure(io.MultiWriter(os.Stdout, &s.output))
		if errors.Is(err, errSkipped) {
			whole = false
			fmt.Println(err)
		} else if err != nil {
			return err
		}
		fmt.Println()
	}
	if !whole { // a document of one run has all of it
		return nil
	}
	return writeDocument(ctx, sections)
}

// spread says what is typical of the rounds and how far they are apart.
func spread(values []float64, decimals int) string {
	return fmt.Sprintf("%.*f (%.*f to %.*f)", decimals, median(values), decimals, slices.Min(values), decimals, slices.Max(values))
}

// ratios are those of the rounds: the runs of a round are next to each other in
// time, so that what else the machine does slows both.
func ratios(a, b []float64) []float64 {
	list := slices.Clone(a)
	for i := range list {
		list[i] /= b[i]
	}
	return list
}

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	middle := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[middle]
	}
	return (sorted[middle-1] + sorted[middle]) / 2
}

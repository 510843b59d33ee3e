// Bench measures what this project writes itself although others exist, each part
// beside what else does the same work, in turns, on the same machine:
//
//   - synthesis: the CDK app against the same app in plain JavaScript (bench/peer).
//     Both have the core of the deployment: network, cluster, load balancers and
//     services. Before that, their templates are compared.
//   - balancer: the load balancer of this machine against nginx, in front of the
//     same service.
//   - services: a service against koa with the same routes and data
//     (bench/peer/koa), net/http alone (bench/peer/bare) and a socket that does not
//     read the request (bench/peer/raw).
//   - scale: 10, 30 and 100 services (bench/many) on this machine.
//
// When everything is measured in 6 rounds or more, it writes docs/performance.md.
//
// Run it from the root of the repository:
//
//	go run ./bench [-rounds N] [-only SECTION] [-skip SECTION]
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strings"
	"syscall"
)

// comparable is how many rounds benchstat wants before it compares.
const comparable = 6

func main() {
	rounds := flag.Int("rounds", 11, fmt.Sprintf("how often to measure each program; with less than %d, compare nothing and write no document", comparable))
	only := flag.String("only", "", "measure this section only, and write no document (default all)")
	skip := flag.String("skip", "", "leave this section out, and write no document")
	balancer := flag.String("balancer", "", "be the load balancer to measure, with its files in this directory: arguments LISTEN TARGET")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var err error
	if *balancer != "" {
		err = serveBalancer(ctx, *balancer, flag.Arg(0), flag.Arg(1))
	} else {
		err = run(ctx, *rounds, *only, *skip)
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "bench: %v\n", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, rounds int, only, skip string) (err error) {
	if flag.NArg() > 0 || rounds < 1 {
		return fmt.Errorf("arguments %q, rounds %d: give no arguments, and at least one round", flag.Args(), rounds)
	}
	work, err := os.MkdirTemp("", "cutover-bench-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(work)) }()
	b := &bench{ctx: ctx, work: work, rounds: rounds}
	sections := []section{
		{name: "synthesis", measure: b.synthesis},
		{name: "balancer", measure: b.balancer},
		{name: "services", measure: b.services},
		{name: "scale", measure: b.scale},
	}
	names := make([]string, len(sections))
	for i := range sections {
		names[i] = sections[i].name
	}
	for option, name := range map[string]string{"only": only, "skip": skip} {
		if name != "" && !slices.Contains(names, name) {
			return fmt.Errorf("-%s %q: there is no such section: choose one of %s", option, name, strings.Join(names, ", "))
		}
	}
	whole := only == "" && skip == "" && rounds >= comparable
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
	if !whole { // the document has everything from one run
		return nil
	}
	return writeDocument(ctx, sections)
}

// bench is one run of measurements.
type bench struct {
	ctx    context.Context
	work   string // a directory of its own
	rounds int
}

// command runs a program of the preparation.
func (b *bench) command(name string, args ...string) error {
	if output, err := exec.CommandContext(b.ctx, name, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s %s: %w\n%s", name, strings.Join(args, " "), err, output)
	}
	return nil
}

// turns calls measure for each of several things in every round. Every other round
// is in reverse, so that nothing always comes first.
func (b *bench) turns(rounds int, names []string, measure func(round int, name string) error) error {
	for round := range rounds {
		order := slices.Clone(names)
		if round%2 == 1 {
			slices.Reverse(order)
		}
		for _, name := range order {
			if err := measure(round, name); err != nil {
				if cause := context.Cause(b.ctx); cause != nil {
					return cause
				}
				return fmt.Errorf("%s: %w", name, err)
			}
		}
	}
	return nil
}

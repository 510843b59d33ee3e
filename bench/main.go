// Bench compares programs of this project with others that do the same work, in turns, on the
// same machine:
//
//   - synthesis: the CDK app with the same app in plain JavaScript (bench/peer). Both have the
//     core of the deployment: network, cluster, load balancers and services. Their templates
//     are compared first.
//   - balancer: the load balancer of this machine with nginx, in front of the same service.
//   - services: a service with koa (bench/peer/koa: the same routes and data), with net/http
//     alone (bench/peer/bare), and with a socket that does not read the request (bench/peer/raw).
//   - split: the forum as a monolith beside the forum as microservices, on this machine.
//   - stores: a service with each of its stores, beside the same with Express (bench/peer/express).
//   - events: the way of a change from a request to the feed.
//   - functions: a service as a function of Lambda, beside the same as a task.
//   - fronts: the load balancer, behind API Gateway and CloudFront (bench/front) and without them.
//   - checks: what the checks of a rehearsal take of its load generator.
//   - scale: 10, 30 and 100 services (bench/many) on this machine.
//
// After all sections with 6 rounds or more, it writes docs/performance.md. Run it in the root
// of the repository:
//
//	go run ./bench [-rounds N] [-only SECTION]
package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// comparable is the number of rounds from which on benchstat compares.
const comparable = 6

func main() {
	rounds := flag.Int("rounds", 11, fmt.Sprintf("number of measurements of each program; with less than %d, compare nothing and write no document", comparable))
	only := flag.String("only", "", "measure this section only, and write no document (default all)")
	balancer := flag.String("balancer", "", "run the load balancer, with its files in this directory; arguments: LISTEN TARGET")
	proxy := flag.String("proxy", "", "run the proxy of a task that calls another by Service Connect, in the assembly of this directory, and print its address; argument: TARGET")
	front := flag.String("front", "", "run this API or distribution of an assembly; arguments: DIRECTORY PORT PORT-BEHIND")
	notes := flag.Bool("notes", false, "run the server whose answers a rehearsal checks, and print its address")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var err error
	switch {
	case *balancer != "":
		err = serveBalancer(ctx, *balancer, flag.Arg(0), flag.Arg(1))
	case *front != "":
		err = serveFront(ctx, flag.Arg(0), *front, flag.Arg(1), flag.Arg(2))
	case *notes:
		err = serveNotes(ctx, os.Stdout)
	case *proxy != "":
		err = serveProxy(ctx, os.Stdout, *proxy, flag.Arg(0))
	default:
		err = run(ctx, *rounds, *only)
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "bench: %v\n", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, rounds int, only string) (err error) {
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
		{name: "balancer", needs: "linux", measure: b.balancer}, // for /proc
		{name: "services", needs: "linux", measure: b.services},
		{name: "split", needs: "linux/amd64", measure: b.split}, // like the default deployment's services
		{name: "stores", needs: "linux", measure: b.stores},
		{name: "events", needs: "linux", measure: b.events},
		{name: "functions", needs: "linux", measure: b.functions},
		{name: "fronts", needs: "linux", measure: b.fronts},
		{name: "checks", needs: "linux", measure: b.checks},
		{name: "scale", needs: "linux/amd64", measure: b.scale},
	}
	if !slices.ContainsFunc(sections, func(s section) bool { return only == "" || only == s.name }) {
		return fmt.Errorf("-only %q: there is no such section: choose one of synthesis, balancer, services, split, stores, events, functions, fronts, checks, scale", only)
	}
	whole := only == "" && rounds >= comparable
	for i := range sections {
		s := &sections[i]
		if only != "" && s.name != only {
			continue
		}
		err := s.run(os.Stdout)
		if errors.Is(err, errSkipped) {
			whole = false
			fmt.Println(err)
		} else if err != nil {
			return err
		}
		fmt.Println()
	}
	if !whole { // all of the document is from one run
		return nil
	}
	return writeDocument(ctx, sections)
}

// bench is one run of measurements.
type bench struct {
	ctx    context.Context
	work   string // a temporary directory
	rounds int
}

// command runs a program. The error has its output.
func (b *bench) command(name string, args ...string) error {
	if output, err := exec.CommandContext(b.ctx, name, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s %s: %w\n%s", name, strings.Join(args, " "), err, output)
	}
	return nil
}

// compile compiles a program of this repository, once for all sections.
func (b *bench) compile(pkg string) (file string, err error) {
	file = filepath.Join(b.work, path.Base(pkg))
	if _, missing := os.Stat(file); missing != nil {
		err = b.command("go", "build", "-o", file, pkg)
	}
	return file, err
}

// turns calls measure for each thing in every round. Every other round is in reverse, so that
// no thing always comes first.
func turns[T any](b *bench, rounds int, things []T, measure func(round int, thing T) error) error {
	for round := range rounds {
		order := slices.Clone(things)
		if round%2 == 1 {
			slices.Reverse(order)
		}
		for _, thing := range order {
			if err := measure(round, thing); err != nil {
				return cmp.Or(context.Cause(b.ctx), fmt.Errorf("%v: %w", thing, err))
			}
		}
	}
	return nil
}

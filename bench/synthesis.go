package main

import (
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

	"github.com/google/go-cmp/cmp"

	"cutover/internal/assembly"
	"cutover/internal/step"
)

// The apps. Both bring the images' build contexts up to date, which is measured by itself, too.
const (
	javascript = "javascript"
	golang     = "go"
	images     = "images"
)

// synthesis measures both apps in turns, with more and more services.
func (b *bench) synthesis(out io.Writer) error {
	peer := filepath.Join("bench", "peer")
	if _, err := os.Stat(filepath.Join(peer, "node_modules", "aws-cdk-lib")); errors.Is(err, fs.ErrNotExist) {
		fmt.Println("Installing the peer's CDK library")
		if err := b.command("npm", "ci", "--prefix", peer); err != nil {
			return err
		}
	}
	s, err := b.prepare()
	if err != nil {
		return err
	}
	var r results
	rounds := b.rounds
	for _, services := range append([]int{4}, sizes...) {
		fmt.Printf("Synthesizing %d services\n", services)
		if err := s.measure(&r, services, rounds); err != nil {
			return err
		}
		rounds = min(b.rounds, comparable) // larger ones take longer and scatter less
	}
	fmt.Fprintf(out, "Both apps make the same templates. %d rounds with 4 services, %d with more:\n\n", b.rounds, rounds)
	return r.compare(b.ctx, out, b.work, "app", javascript, golang, images)
}

// setting has what CDK apps need to run.
type setting struct {
	*bench
	node, many string // programs
	env        []string
	root       string // of the services' source; default: the working directory
}

// prepare compiles bench/many.
func (b *bench) prepare() (*setting, error) {
	node, err := pinnedNode()
	if err != nil {
		return nil, err
	}
	fmt.Println("Compiling the CDK app (minutes the first time, seconds later)")
	many, err := b.compile("./bench/many")
	if err != nil {
		return nil, err
	}
	env := slices.DeleteFunc(os.Environ(), func(variable string) bool {
		// NODE_OPTIONS would replace jsii's options for its own process.
		return strings.HasPrefix(variable, "NODE_OPTIONS=") || strings.HasPrefix(variable, "CONTEXT_OVERFLOW_LOCATION=")
	})
	return &setting{bench: b, node: node, many: many, env: append(env, "CDK_VALIDATION=false", "JSII_NODE="+node, "CUTOVER_BENCH="+many)}, nil
}

func pinnedNode() (string, error) {
	node, err := filepath.Abs(filepath.Join("node_modules", "node", "bin", "node"))
	if err == nil {
		_, err = os.Stat(node)
	}
	if err != nil {
		return "", fmt.Errorf("the pinned Node.js is missing (%w): run `make setup` first, and this from the root of the repository", err)
	}
	return node, nil
}

// run runs a program with a number of services in a phase, and its assembly in a directory. It
// returns the wall time, the processor time of the process and its descendants, and the largest
// memory of one of them.
func (s *setting) run(services int, phase, dir string, command ...string) ([]figure, error) {
	context, err := cdkContext(phase)
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(s.ctx, command[0], command[1:]...)
	cmd.Env = append(slices.Clone(s.env), "CDK_CONTEXT_JSON="+context, "CDK_OUTDIR="+dir, fmt.Sprintf("CUTOVER_BENCH_SERVICES=%d", services))
	cmd.Dir = s.root
	start := time.Now()
	output, err := cmd.CombinedOutput()
	wall := time.Since(start)
	if err != nil {
		return nil, fmt.Errorf("%s: %w\n%s", strings.Join(command, " "), err, output)
	}
	state := cmd.ProcessState
	figures := []figure{{float64(wall.Nanoseconds()), "ns/op"}, {(state.UserTime() + state.SystemTime()).Seconds(), "cpu-sec/op"}}
	if usage, ok := state.SysUsage().(*syscall.Rusage); ok {
		memory := float64(usage.Maxrss)
		if runtime.GOOS != "darwin" { // in KiB
			memory *= 1 << 10
		}
		figures = append(figures, figure{memory, "peak-B"})
	}
	return figures, nil
}

// measure adds the figures of the apps with a number of services. It fails if the apps' assemblies
// differ.
func (s *setting) measure(r *results, services, rounds int) error {
	dir := func(app string) string { return filepath.Join(s.work, app) }
	run := func(app string) ([]figure, error) {
		command := map[string][]string{
			golang:     {s.many, "-core"},
			javascript: {s.node, filepath.Join("bench", "peer", "app.js")},
			images:     {s.many, "-images"},
		}[app]
		if err := os.RemoveAll(dir(app)); err != nil {
			return nil, err
		}
		return s.run(services, "monolith", dir(app), command...)
	}
	for _, app := range []string{golang, javascript} {
		if _, err := run(app); err != nil {
			return err
		}
	}
	if err := compareAssemblies(dir(golang), dir(javascript)); err != nil {
		return err
	}
	return turns(s.bench, rounds, []string{golang, javascript, images}, func(_ int, app string) error {
		figures, err := run(app)
		r.add("Synthesis/services="+strconv.Itoa(services)+"/app="+app, figures...)
		return err
	})
}

// cdkContext returns the context of cdk.json with the command line's additions.
func cdkContext(phase string) (string, error) {
	file, err := step.ReadFile("cdk.json")
	if err != nil {
		return "", err
	}
	file.Context["phase"] = phase
	file.Context["aws:cdk:enable-path-metadata"] = true
	context, err := json.Marshal(file.Context)
	return string(context), err
}

// compareAssemblies fails if two assemblies differ in their stacks: templates, order, images.
func compareAssemblies(golang, javascript string) error {
	a, err := outline(golang)
	b, errB := outline(javascript)
	if err := errors.Join(err, errB); err != nil {
		return err
	}
	if diff := cmp.Diff(b, a); diff != "" {
		return fmt.Errorf("the apps differ, so there is nothing to compare; change bench/peer/app.js as stacks/ was changed (- JavaScript, + Go):\n%s", diff)
	}
	return nil
}

// outline returns the parts of an assembly that must be the same, by stack.
func outline(dir string) (map[string]any, error) {
	a, err := assembly.Read(dir)
	if err != nil {
		return nil, err
	}
	stacks := map[string]any{}
	for _, stack := range a.Stacks {
		var after, images []string
		for _, dependency := range stack.DependsOn {
			after = append(after, dependency.Name)
		}
		for _, image := range stack.Images {
			images = append(images, fmt.Sprint(image.ID, image.Platform, image.Destinations))
		}
		slices.Sort(after)
		slices.Sort(images)
		stacks[stack.Name] = []any{stack.Template, after, images}
	}
	return stacks, nil
}

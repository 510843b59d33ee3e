package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"cutover/internal/assembly"
	"cutover/internal/images"
)

// limit is how many times as long as the peer the Go app may take.
const limit = 1.5

// measureSynthesis runs both apps in turns and prints what they take. With check
// it fails over the limit.
func measureSynthesis(ctx context.Context, out io.Writer, work string, rounds int, phase string, check bool) error {
	golang, javascript, images, err := prepare(ctx, work, phase)
	if err != nil {
		return err
	}

	for _, a := range []*app{golang, javascript} {
		if _, err := a.run(ctx); err != nil {
			return err
		}
	}
	stacks, err := compare(golang.out, javascript.out)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "Both apps make the same %d templates. Synthesis in phase %s, %d rounds:\n\n", stacks, phase, rounds)

	for round := range rounds {
		order := []*app{golang, javascript, images}
		if round%2 == 1 {
			slices.Reverse(order)
		}
		for _, a := range order {
			c, err := a.run(ctx)
			if err != nil {
				return err
			}
			a.costs = append(a.costs, c)
		}
	}
	return report(out, golang.costs, javascript.costs, images.costs, check)
}

// report prints the table of synthesis. With check it fails over the limit.
func report(out io.Writer, golang, javascript, images []cost, check bool) error {
	fmt.Fprintf(out, "%-16s %-26s %s\n", "", "wall, s (min to max)", "CPU, s (min to max)")
	for _, row := range []struct {
		name  string
		costs []cost
	}{{"Go", golang}, {"JavaScript", javascript}, {"images alone", images}} {
		wall, cpu := values(row.costs, cost.wallSeconds), values(row.costs, cost.cpuSeconds)
		fmt.Fprintf(out, "%-16s %-26s %s\n", row.name, spread(wall, 2), spread(cpu, 2))
	}
	wall := median(ratios(values(golang, cost.wallSeconds), values(javascript, cost.wallSeconds)))
	cpu := median(ratios(values(golang, cost.cpuSeconds), values(javascript, cost.cpuSeconds)))
	fmt.Fprintf(out, "%-16s %-26s %.2f\n", "Go / JavaScript", fmt.Sprintf("%.2f", wall), cpu)
	if check && wall > limit {
		return fmt.Errorf("the Go app takes %.2f times as long as the JavaScript one: more than %.1f", wall, limit)
	}
	return nil
}

// cost is what one synthesis took. The CPU time is that of the process and all
// its descendants, user and system.
type cost struct{ wall, cpu time.Duration }

func (c cost) wallSeconds() float64 { return c.wall.Seconds() }
func (c cost) cpuSeconds() float64  { return c.cpu.Seconds() }

func values(costs []cost, value func(cost) float64) []float64 {
	list := make([]float64, len(costs))
	for i, c := range costs {
		list[i] = value(c)
	}
	return list
}

// app is a program to be measured.
type app struct {
	command []string
	env     []string
	out     string // the directory of its cloud assembly, if it makes one
	costs   []cost
}

// run runs the app once.
func (a *app) run(ctx context.Context) (cost, error) {
	if a.out != "" {
		if err := os.RemoveAll(a.out); err != nil {
			return cost{}, err
		}
	}
	command := exec.CommandContext(ctx, a.command[0], a.command[1:]...)
	command.Env = a.env
	start := time.Now()
	output, err := command.CombinedOutput()
	c := cost{wall: time.Since(start)}
	if err != nil {
		return c, fmt.Errorf("%s: %w\n%s", strings.Join(a.command, " "), cmp.Or(context.Cause(ctx), err), output)
	}
	c.cpu = command.ProcessState.UserTime() + command.ProcessState.SystemTime()
	return c, nil
}

// prepare compiles the Go app, installs the peer's library if it is missing and
// gives both the environment that the CDK command line would.
func prepare(ctx context.Context, work, phase string) (golang, javascript, images *app, err error) {
	node, env, err := environment(phase)
	if err != nil {
		return nil, nil, nil, err
	}
	if _, err := os.Stat(filepath.Join("bench", "peer", "node_modules", "aws-cdk-lib")); errors.Is(err, fs.ErrNotExist) {
		fmt.Println("Installing the peer's CDK library")
		if err := command(ctx, "npm", "ci", "--prefix", filepath.Join("bench", "peer")); err != nil {
			return nil, nil, nil, err
		}
	}
	fmt.Println("Compiling the CDK app (minutes the first time, seconds later)")
	binary := filepath.Join(work, "app")
	if err := command(ctx, "go", "build", "-o", binary, "."); err != nil {
		return nil, nil, nil, err
	}

	self, err := os.Executable()
	if err != nil {
		return nil, nil, nil, err
	}
	env = append(env, "CUTOVER_BENCH="+self)
	make := func(name string, command ...string) *app {
		out := filepath.Join(work, name)
		return &app{command: command, out: out, env: append(slices.Clone(env), "CDK_OUTDIR="+out)}
	}
	return make("go", binary), make("javascript", node, filepath.Join("bench", "peer", "app.js")),
		&app{command: []string{self, "-images"}, env: env}, nil
}

// environment is what the CDK command line would give an app, and the Node.js that
// it runs with.
func environment(phase string) (node string, env []string, err error) {
	if node, err = filepath.Abs(filepath.Join("node_modules", "node", "bin", "node")); err != nil {
		return "", nil, err
	}
	if _, err := os.Stat(node); err != nil {
		return "", nil, fmt.Errorf("the pinned Node.js is missing (%w): run `make setup` first, and this from the root of the repository", err)
	}
	context, err := cdkContext(phase)
	if err != nil {
		return "", nil, err
	}
	env = slices.DeleteFunc(os.Environ(), func(variable string) bool {
		// NODE_OPTIONS would replace what jsii sets for its own process.
		return strings.HasPrefix(variable, "NODE_OPTIONS=") || strings.HasPrefix(variable, "CONTEXT_OVERFLOW_LOCATION=")
	})
	return node, append(env, "CDK_CONTEXT_JSON="+context, "CDK_VALIDATION=false", "JSII_NODE="+node), nil
}

// command runs a program of the preparation.
func command(ctx context.Context, name string, args ...string) error {
	if output, err := exec.CommandContext(ctx, name, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s %s: %w\n%s", name, strings.Join(args, " "), err, output)
	}
	return nil
}

// buildImages is the peer's way to the images: the same step that the Go app
// takes. It prints the build contexts by the names of their services, as JSON.
func buildImages(ctx context.Context) error {
	options := images.Options{Root: ".", Arch: "amd64", Progress: os.Stderr}
	for _, name := range []string{"api", "users", "threads", "posts"} {
		options.Services = append(options.Services, images.Service{Name: name, Dir: "services/" + name})
	}
	contexts, err := images.Build(ctx, options)
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(contexts)
}

// cdkContext is the context of cdk.json and what the command line adds to it.
func cdkContext(phase string) (string, error) {
	text, err := os.ReadFile("cdk.json")
	if err != nil {
		return "", fmt.Errorf("%w: run this from the root of the repository", err)
	}
	var config struct{ Context map[string]any }
	if err := json.Unmarshal(text, &config); err != nil {
		return "", fmt.Errorf("cdk.json: %w", err)
	}
	if config.Context == nil {
		config.Context = map[string]any{}
	}
	config.Context["phase"] = phase
	config.Context["aws:cdk:enable-path-metadata"] = true
	context, err := json.Marshal(config.Context)
	return string(context), err
}

// compare fails unless two assemblies have the same stacks, with the same
// templates, order and images. It returns the number of stacks.
func compare(golang, javascript string) (int, error) {
	a, err := assembly.Read(golang)
	if err != nil {
		return 0, err
	}
	b, err := assembly.Read(javascript)
	if err != nil {
		return 0, err
	}
	differences := diff(outline(a), outline(b))
	if len(differences) > 0 {
		const most = 20
		if more := len(differences) - most; more > 0 {
			differences = append(differences[:most], fmt.Sprintf("and %d more", more))
		}
		return 0, fmt.Errorf("the apps differ, so there is nothing to compare; bring bench/peer/app.js in line with stacks/:\n  %s", strings.Join(differences, "\n  "))
	}
	return len(a.Stacks), nil
}

// outline is all of an assembly that has to be the same: each value by its path.
func outline(a *assembly.Assembly) map[string]string {
	leaves := map[string]string{}
	var add func(path string, value any)
	add = func(path string, value any) {
		switch value := value.(type) {
		case map[string]any:
			for key, member := range value {
				add(path+"/"+key, member)
			}
			leaves[path] = fmt.Sprintf("an object of %d", len(value))
		case []any:
			for i, element := range value {
				add(fmt.Sprintf("%s/%d", path, i), element)
			}
			leaves[path] = fmt.Sprintf("a list of %d", len(value))
		default:
			leaves[path] = fmt.Sprint(value)
		}
	}
	for _, stack := range a.Stacks {
		add(stack.Name, stack.Template)
		for _, dependency := range stack.DependsOn {
			leaves[stack.Name+" depends on "+dependency.Name] = "yes"
		}
		for _, image := range stack.Images {
			leaves[stack.Name+" needs image "+image.ID] = fmt.Sprint(image.Platform, image.Destinations)
		}
	}
	return leaves
}

// diff lists what is not the same.
func diff(golang, javascript map[string]string) []string {
	both := maps.Clone(golang)
	maps.Copy(both, javascript)
	var lines []string
	for _, path := range slices.Sorted(maps.Keys(both)) {
		if golang[path] != javascript[path] {
			lines = append(lines, fmt.Sprintf("%s: Go %q, JavaScript %q", path, golang[path], javascript[path]))
		}
	}
	return lines
}

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
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"cutover/internal/assembly"
	"cutover/internal/build"
)

// limit is how many times as long as the peer the Go app may take.
const limit = 1.5

// measureSynthesis runs both apps in turns, with the deployment of main.go and with
// ever more services, and prints what they take. With check it fails over the
// limit.
func measureSynthesis(ctx context.Context, out io.Writer, work string, rounds int, phase string, check bool) error {
	if err := installPeer(ctx); err != nil {
		return err
	}
	both := maps.Clone(mainApp)
	maps.Copy(both, manyApp)
	setting, err := prepare(ctx, work, phase, both)
	if err != nil {
		return err
	}
	four, stacks, err := setting.measure(ctx, 0, rounds)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "Both apps make the same %d templates. Synthesis in phase %s, %d rounds:\n\n", stacks, phase, rounds)
	over := report(out, four, check)

	// Larger ones take longer and so scatter less.
	few := max(1, rounds/4)
	fmt.Fprintf(out, "\nWith more services, %d rounds:\n\n", few)
	points := []point{{4, four}}
	for _, n := range sizes {
		fmt.Printf("Synthesizing %d services\n", n)
		t, _, err := setting.measure(ctx, n, few)
		if err != nil {
			return err
		}
		points = append(points, point{n, t})
	}
	reportGrowth(out, points)
	if err := setting.profile(ctx, out, []int{0, sizes[len(sizes)-1]}); err != nil {
		return err
	}
	return over
}

// profile prints where Node.js spends its time in either app, with the numbers of
// services that [setting.measure] takes.
func (s *setting) profile(ctx context.Context, out io.Writer, services []int) error {
	fmt.Fprintf(out, "\nWhere the time goes, in ms of one run under Node.js's profiler:\n\n%-50s", "")
	var columns [][kinds]float64
	for _, n := range services {
		golang, javascript, _ := s.apps(n)
		for _, a := range []*app{golang, javascript} {
			dir := filepath.Join(s.work, fmt.Sprintf("profile-%d-%s", n, filepath.Base(a.out)))
			// What jsii sets if nobody sets anything, and the profiler.
			a.env = append(a.env, "NODE_OPTIONS=--max-old-space-size=4069 --cpu-prof --cpu-prof-dir="+dir)
			if _, err := a.run(ctx); err != nil {
				return err
			}
			spent, err := readNodeProfile(dir)
			if err != nil {
				return err
			}
			columns = append(columns, spent)
		}
		fmt.Fprintf(out, " %14s", fmt.Sprintf("%d services", cmp.Or(n, 4)))
	}
	fmt.Fprintf(out, "\n%-50s%s\n", "", strings.Repeat(" Go  JavaScript", len(services)))
	for kind, name := range kindNames {
		fmt.Fprintf(out, "%-50s", name)
		for i := 0; i < len(columns); i += 2 {
			fmt.Fprintf(out, "%5.0f %9.0f", columns[i][kind], columns[i+1][kind])
		}
		fmt.Fprintln(out)
	}
	return nil
}

// trial is what the apps took with one number of services, a value for each round.
type trial struct{ golang, javascript, images []cost }

// wall and cpu are how many times as much the Go app took.
func (t trial) wall() float64 {
	return median(ratios(values(t.golang, cost.wallSeconds), values(t.javascript, cost.wallSeconds)))
}

func (t trial) cpu() float64 {
	return median(ratios(values(t.golang, cost.cpuSeconds), values(t.javascript, cost.cpuSeconds)))
}

// report prints the table of one number of services. With check it fails over the
// limit.
func report(out io.Writer, t trial, check bool) error {
	fmt.Fprintf(out, "%-16s %-26s %s\n", "", "wall, s (min to max)", "CPU, s (min to max)")
	for _, row := range []struct {
		name  string
		costs []cost
	}{{"Go", t.golang}, {"JavaScript", t.javascript}, {"images alone", t.images}} {
		wall, cpu := values(row.costs, cost.wallSeconds), values(row.costs, cost.cpuSeconds)
		fmt.Fprintf(out, "%-16s %-26s %s\n", row.name, spread(wall, 2), spread(cpu, 2))
	}
	fmt.Fprintf(out, "%-16s %-26s %.2f\n", "Go / JavaScript", fmt.Sprintf("%.2f", t.wall()), t.cpu())
	if wall := t.wall(); check && wall > limit {
		return fmt.Errorf("the Go app takes %.2f times as long as the JavaScript one: more than %.1f", wall, limit)
	}
	return nil
}

// point is a point of the curve of growth.
type point struct {
	services int
	trial
}

// reportGrowth prints what more services take, and how that grows: what each of
// the services takes that the last step added, against each of those that the step
// before it added. Growth is linear at 1.
func reportGrowth(out io.Writer, points []point) {
	fmt.Fprintf(out, "%8s  %-17s %-17s %-17s %s\n", "", "wall, s", "CPU, s", "memory, MiB", "Go / JavaScript")
	fmt.Fprintf(out, "%8s  %-17s %-17s %-17s %-8s %s\n", "services", "Go    JavaScript", "Go    JavaScript", "Go    JavaScript", "wall", "CPU")
	middle := func(costs []cost, value func(cost) float64) float64 { return median(values(costs, value)) }
	for _, p := range points {
		pair := func(value func(cost) float64, decimals int) string {
			return fmt.Sprintf("%-5.*f %.*f", decimals, middle(p.golang, value), decimals, middle(p.javascript, value))
		}
		fmt.Fprintf(out, "%8d  %-17s %-17s %-17s %-8.2f %.2f\n", p.services, pair(cost.wallSeconds, 2), pair(cost.cpuSeconds, 2), pair(cost.mebibytes, 0), p.wall(), p.cpu())
	}
	for _, row := range []struct {
		name  string
		value func(cost) float64
	}{{"CPU time", cost.cpuSeconds}, {"memory", cost.mebibytes}} {
		step := func(i int, costs func(point) []cost) float64 {
			from, to := points[i-1], points[i]
			return (middle(costs(to), row.value) - middle(costs(from), row.value)) / float64(to.services-from.services)
		}
		last := len(points) - 1
		golang, javascript := func(p point) []cost { return p.golang }, func(p point) []cost { return p.javascript }
		fmt.Fprintf(out, "A further service's %s, %d to %d services against %d to %d: Go %.2f, JavaScript %.2f\n", row.name,
			points[last-1].services, points[last].services, points[last-2].services, points[last-1].services,
			step(last, golang)/step(last-1, golang), step(last, javascript)/step(last-1, javascript))
	}
}

// cost is what one synthesis took. The CPU time is that of the process and all
// its descendants, user and system; the memory is the most that one of them had
// resident, in bytes.
type cost struct {
	wall, cpu time.Duration
	memory    int64
}

func (c cost) wallSeconds() float64 { return c.wall.Seconds() }
func (c cost) cpuSeconds() float64  { return c.cpu.Seconds() }
func (c cost) mebibytes() float64   { return float64(c.memory) / (1 << 20) }

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
	if usage, ok := command.ProcessState.SysUsage().(*syscall.Rusage); ok {
		c.memory = usage.Maxrss
		if runtime.GOOS != "darwin" { // elsewhere it is in KiB
			c.memory *= 1 << 10
		}
	}
	return c, nil
}

// setting is what the apps are run with.
type setting struct {
	work, node, self string
	env              []string
}

// prepare compiles CDK apps, of which each has a name and a directory here, and
// has what the CDK command line would give them in a phase.
func prepare(ctx context.Context, work, phase string, apps map[string]string) (*setting, error) {
	node, err := filepath.Abs(filepath.Join("node_modules", "node", "bin", "node"))
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(node); err != nil {
		return nil, fmt.Errorf("the pinned Node.js is missing (%w): run `make setup` first, and this from the root of the repository", err)
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	fmt.Println("Compiling the CDK app (minutes the first time, seconds later)")
	for name, dir := range apps {
		if err := command(ctx, "go", "build", "-o", filepath.Join(work, name), dir); err != nil {
			return nil, err
		}
	}
	return (&setting{work: work, node: node, self: self}).in(phase)
}

// The CDK apps: the one of main.go, and the one with any number of services.
var (
	mainApp = map[string]string{"app": "."}
	manyApp = map[string]string{"many": "./bench/many"}
)

// in is the same setting in another phase.
func (s *setting) in(phase string) (*setting, error) {
	context, err := cdkContext(phase)
	if err != nil {
		return nil, err
	}
	env := slices.DeleteFunc(os.Environ(), func(variable string) bool {
		// NODE_OPTIONS would replace what jsii sets for its own process.
		return strings.HasPrefix(variable, "NODE_OPTIONS=") || strings.HasPrefix(variable, "CONTEXT_OVERFLOW_LOCATION=")
	})
	other := *s
	other.env = append(env, "CDK_CONTEXT_JSON="+context, "CDK_VALIDATION=false", "JSII_NODE="+s.node, "CUTOVER_BENCH="+s.self)
	return &other, nil
}

// app is a program that writes its cloud assembly to a directory.
func (s *setting) app(out string, command ...string) *app {
	out = filepath.Join(s.work, out)
	return &app{command: command, out: out, env: append(slices.Clone(s.env), "CDK_OUTDIR="+out)}
}

// golang is the CDK app of main.go.
func (s *setting) golang(out string) *app { return s.app(out, filepath.Join(s.work, "app")) }

// many is the CDK app of bench/many, with that many services.
func (s *setting) many(out string, services int) *app {
	a := s.app(out, filepath.Join(s.work, "many"))
	a.env = append(a.env, fmt.Sprintf("CUTOVER_BENCH_SERVICES=%d", services))
	return a
}

// apps are the apps with that many services, those of bench/many; 0 is the
// deployment of main.go.
func (s *setting) apps(services int) (golang, javascript, images *app) {
	golang = s.golang("go")
	javascript = s.app("javascript", s.node, filepath.Join("bench", "peer", "app.js"))
	images = &app{command: []string{s.self, "-images"}, env: slices.Clone(s.env)}
	if services > 0 {
		golang = s.many("go", services)
		for _, a := range []*app{javascript, images} {
			a.env = append(a.env, golang.env[len(golang.env)-1])
		}
	}
	return golang, javascript, images
}

// measure runs the apps in turns and returns what they took and the number of
// stacks. It fails unless both make the same.
func (s *setting) measure(ctx context.Context, services, rounds int) (t trial, stacks int, err error) {
	golang, javascript, images := s.apps(services)
	for _, a := range []*app{golang, javascript} {
		if _, err := a.run(ctx); err != nil {
			return t, 0, err
		}
	}
	if stacks, err = compare(golang.out, javascript.out); err != nil {
		return t, 0, err
	}
	for round := range rounds {
		turns := []struct {
			app   *app
			costs *[]cost
		}{{golang, &t.golang}, {javascript, &t.javascript}, {images, &t.images}}
		if round%2 == 1 {
			slices.Reverse(turns)
		}
		for _, turn := range turns {
			c, err := turn.app.run(ctx)
			if err != nil {
				return t, 0, err
			}
			*turn.costs = append(*turn.costs, c)
		}
	}
	return t, stacks, nil
}

// installPeer installs the peer's CDK library if it is missing.
func installPeer(ctx context.Context) error {
	if _, err := os.Stat(filepath.Join("bench", "peer", "node_modules", "aws-cdk-lib")); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	fmt.Println("Installing the peer's CDK library")
	return command(ctx, "npm", "ci", "--prefix", filepath.Join("bench", "peer"))
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
	options := build.Options{Root: ".", Arch: "amd64", Progress: os.Stderr}
	for _, name := range []string{"api", "users", "threads", "posts"} {
		options.Services = append(options.Services, build.Service{Name: name, Dir: "services/" + name})
	}
	if many := os.Getenv("CUTOVER_BENCH_SERVICES"); many != "" { // bench/many
		n, err := strconv.Atoi(many)
		if err != nil {
			return fmt.Errorf("CUTOVER_BENCH_SERVICES: %w", err)
		}
		const program = "services/internal/echo"
		options.Services = []build.Service{{Name: "api", Dir: program}}
		for i := 1; i < n; i++ {
			options.Services = append(options.Services, build.Service{Name: fmt.Sprintf("service-%03d", i), Dir: program})
		}
	}
	contexts, err := build.Build(ctx, options)
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

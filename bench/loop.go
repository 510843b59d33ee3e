package main

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"cutover/internal/local"
)

// What is edited, in Go and in JavaScript: the description of a stack.
const (
	editedStack    = "dev-Phase"
	editedSentence = "The phase that is deployed, and what must not follow it"
)

// What is edited in the service users: how many users it lists.
const (
	editedService = "services/users/routes/routes.go"
	editedList    = "server.JSON(users)"
	fewerListed   = "server.JSON(users[:1])"
)

// A round takes as long as a person waits; these are enough to see that they are
// alike. A service's change is measured once: it mostly waits for health checks.
const mostLoopRounds = 3

// measureLoop measures from saving a change to seeing what it does, in a copy of
// the repository: a stack's in "cdk diff", beside the peer's, and a service's in
// the answer of what runs on this machine.
func measureLoop(ctx context.Context, out io.Writer, work string, rounds int, clone bool) (err error) {
	if err := installPeer(ctx); err != nil {
		return err
	}
	l, err := newLoop(work)
	if err != nil {
		return err
	}
	var stacks, peer []steps
	for round := range min(rounds, mostLoopRounds) + 1 {
		one, err := l.diff(ctx, round)
		if err != nil {
			return err
		}
		other, err := l.peerDiff(ctx, round)
		if err != nil {
			return err
		}
		if round > 0 { // the first compiles the copy
			stacks, peer = append(stacks, one), append(peer, other)
		}
	}
	fmt.Fprintf(out, "From saving a change in stacks/ to seeing it in cdk diff, %d rounds, in seconds:\n\n%s", len(stacks), loopTable(stacks, peer))

	if err := l.up(ctx); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.command(context.WithoutCancel(ctx), "bin/cutover", "down").run()) }()
	service, err := l.answer(ctx)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "\nFrom saving a change in services/users to the answer of it, by make up, once, in seconds:\n\n%s", serviceTable(service))
	if !clone {
		return nil
	}
	return measureClone(ctx, out, filepath.Join(work, "clone"))
}

// steps are the moments of one round, as far as it has them.
type steps struct {
	saved    time.Time
	compile  span      // of our own packages
	link     span      // of the CDK app
	synth    time.Time // the assembly is written
	finished time.Time
}

// span is the time from the begin of the first to the end of the last.
type span struct{ begin, end time.Time }

func (s span) seconds() float64 { return s.end.Sub(s.begin).Seconds() }

// loopTable has a line for each step of both apps. What the Go app does not have
// in common with the other is compiling and linking.
func loopTable(golang, javascript []steps) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%-34s %-26s %s\n", "", "Go", "JavaScript")
	row := func(name string, inGo, inJavaScript func(steps) float64) {
		cells := [2]string{"-", "-"}
		for i, of := range []func(steps) float64{inGo, inJavaScript} {
			if of != nil {
				list := make([]float64, 0, len(golang))
				for _, s := range [][]steps{golang, javascript}[i] {
					list = append(list, of(s))
				}
				cells[i] = spread(list, 1)
			}
		}
		fmt.Fprintf(&b, "%-34s %-26s %s\n", name, cells[0], cells[1])
	}
	row("cdk and go start", func(s steps) float64 { return s.compile.begin.Sub(s.saved).Seconds() }, nil)
	row("compile", func(s steps) float64 { return s.compile.seconds() }, nil)
	row("link", func(s steps) float64 { return s.link.seconds() }, nil)
	row("synthesize", func(s steps) float64 { return s.synth.Sub(s.link.end).Seconds() }, func(s steps) float64 { return s.synth.Sub(s.saved).Seconds() })
	row("compare", func(s steps) float64 { return s.finished.Sub(s.synth).Seconds() }, func(s steps) float64 { return s.finished.Sub(s.synth).Seconds() })
	all := func(s steps) float64 { return s.finished.Sub(s.saved).Seconds() }
	row("all", all, all)
	ratio := make([]float64, len(golang))
	for i := range ratio {
		ratio[i] = all(golang[i]) / all(javascript[i])
	}
	fmt.Fprintf(&b, "%-34s %s\n", "Go / JavaScript", spread(ratio, 2))
	return b.String()
}

// serviceTable has the steps of a service's change.
func serviceTable(s steps) string {
	return timeTable([]timed{
		{"compile the service, synthesize", s.synth.Sub(s.saved)},
		{"deploy, until it answers", s.finished.Sub(s.synth)},
		{"all", s.finished.Sub(s.saved)},
	})
}

// timed is a step that was done once.
type timed struct {
	name string
	took time.Duration
}

func timeTable(rows []timed) string {
	var b strings.Builder
	for _, row := range rows {
		fmt.Fprintf(&b, "%-34s %.1f\n", row.name, row.took.Seconds())
	}
	return b.String()
}

// loop is a copy of the repository with what both commands need.
type loop struct {
	dir  string   // of the copy
	log  string   // of what was compiled and linked
	env  []string // of the commands
	peer string   // the app command of the peer
}

// newLoop copies the repository. What is installed is not copied but linked to.
func newLoop(work string) (*loop, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	root, err := os.Getwd()
	if err != nil {
		return nil, err
	}
	l := &loop{dir: filepath.Join(work, "copy"), log: filepath.Join(work, "tools"), peer: "node " + filepath.Join("bench", "peer", "app.js")}
	if err := copyRepository(root, l.dir); err != nil {
		return nil, err
	}
	// In a phase in which the service that is edited answers.
	if err := replace(filepath.Join(l.dir, "cdk.json"), `"phase": "monolith"`, `"phase": "switched"`); err != nil {
		return nil, err
	}
	l.env = append(toolEnvironment(self, l.log),
		"PATH="+filepath.Join(l.dir, "node_modules", ".bin")+string(filepath.ListSeparator)+os.Getenv("PATH"),
		"CDK_DISABLE_CLI_TELEMETRY=true", "AWS_EC2_METADATA_DISABLED=true", "CDK_VALIDATION=false", "CUTOVER_BENCH="+self)
	return l, nil
}

// toolEnvironment is the environment in which the go command writes to a file what
// it compiles and links. It does so by starting this program in front of its
// tools, which changes nothing of what they make and so of what is in its cache.
func toolEnvironment(self, log string) []string {
	flags := fmt.Sprintf(`%s '-toolexec="%s" -tool "%s"'`, os.Getenv("GOFLAGS"), self, log)
	return append(environment(), "GOFLAGS="+strings.TrimSpace(flags))
}

// environment is this process's, without what make was told: that is not meant for
// the make of a copy.
func environment() []string {
	return slices.DeleteFunc(os.Environ(), func(variable string) bool {
		name, _, _ := strings.Cut(variable, "=")
		return slices.Contains([]string{"ARGS", "MAKEFLAGS", "MAKEOVERRIDES", "MFLAGS"}, name)
	})
}

// runTool runs one of the go command's tools. Of the compiler and the linker it
// appends to the log when they began and ended, and for which package. It returns
// the exit code.
func runTool(log string, args []string) int {
	begin := time.Now()
	tool := exec.Command(args[0], args[1:]...)
	tool.Stdin, tool.Stdout, tool.Stderr = os.Stdin, os.Stdout, os.Stderr
	err := tool.Run()
	name := strings.TrimSuffix(filepath.Base(args[0]), ".exe")
	if (name == "compile" || name == "link") && !slices.Contains(args, "-V=full") { // which only asks for the version
		what := args[len(args)-1]
		if i := slices.Index(args, "-p"); i > 0 {
			what = args[i+1]
		}
		line, _ := json.Marshal(toolRun{name, what, begin, time.Now()})
		if file, openErr := os.OpenFile(log, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o644); openErr == nil {
			file.Write(append(line, '\n'))
			file.Close()
		}
	}
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		return exit.ExitCode()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// toolRun is one line of the log: a package that was compiled, or the last of
// what was linked.
type toolRun struct {
	Tool, What string
	Begin, End time.Time
}

// readTools reads what was compiled and linked, and forgets it.
func readTools(log string) (runs []toolRun, err error) {
	file, err := os.Open(log)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	defer file.Close()
	for lines := bufio.NewScanner(file); lines.Scan(); {
		var run toolRun
		if err := json.Unmarshal(lines.Bytes(), &run); err != nil {
			return nil, fmt.Errorf("%s: %w", log, err)
		}
		runs = append(runs, run)
	}
	return runs, os.Remove(log)
}

// of is the time that the runs of a tool took together, one beside the other.
func of(runs []toolRun, tool string) (s span) {
	for _, run := range runs {
		if run.Tool != tool {
			continue
		}
		if s.begin.IsZero() || run.Begin.Before(s.begin) {
			s.begin = run.Begin
		}
		if run.End.After(s.end) {
			s.end = run.End
		}
	}
	return s
}

// copyRepository copies all but what was built and installed, with its times.
// What is installed becomes a link to where it is.
func copyRepository(from, to string) error {
	return filepath.WalkDir(from, func(file string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(from, file)
		if err != nil {
			return err
		}
		target := filepath.Join(to, name)
		switch {
		case entry.Name() == "node_modules" && entry.IsDir():
			if err := os.Symlink(file, target); err != nil {
				return err
			}
			return fs.SkipDir
		case slices.Contains([]string{".git", ".cutover", "bin", "build", "cdk.out"}, name):
			if entry.IsDir() {
				return fs.SkipDir
			}
			return nil
		case entry.IsDir():
			return os.MkdirAll(target, 0o755)
		case !entry.Type().IsRegular():
			return nil
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		content, err := os.ReadFile(file)
		if err == nil {
			err = os.WriteFile(target, content, info.Mode().Perm())
		}
		if err == nil {
			err = os.Chtimes(target, info.ModTime(), info.ModTime())
		}
		return err
	})
}

// replace replaces a text that a file has once.
func replace(file, old, new string) error {
	content, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	if n := strings.Count(string(content), old); n != 1 {
		return fmt.Errorf("%s has %q %d times: have this program edit something that is there once", file, old, n)
	}
	return os.WriteFile(file, []byte(strings.Replace(string(content), old, new, 1)), 0o644)
}

// loopCommand is a command in the copy.
type loopCommand struct{ *exec.Cmd }

func (l *loop) command(ctx context.Context, name string, args ...string) loopCommand {
	if strings.Contains(name, "/") {
		name = filepath.Join(l.dir, name)
	} else if path := filepath.Join(l.dir, "node_modules", ".bin", name); fileExists(path) {
		name = path // the pinned one, whatever else is on PATH
	}
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir, cmd.Env = l.dir, l.env
	return loopCommand{cmd}
}

func fileExists(file string) bool {
	_, err := os.Stat(file)
	return err == nil
}

func (c loopCommand) output() (string, error) {
	output, err := c.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%s: %w\n%s", strings.Join(c.Args, " "), err, output)
	}
	return string(output), nil
}

func (c loopCommand) run() error {
	_, err := c.output()
	return err
}

// sentence is what the description is in a round.
func sentence(round int) string { return fmt.Sprintf("%s, round %d", editedSentence, round) }

// edit changes the description in a file and shows it in "cdk diff" against the
// last round's template, which a round leaves in its own directory. The first
// round has nothing to compare with.
func (l *loop) edit(ctx context.Context, file, assembly string, round int, args ...string) (s steps, err error) {
	last := editedSentence
	template := filepath.Join(l.dir, assembly, editedStack+".template.json")
	previous := filepath.Join(l.dir, assembly+".json")
	if round > 0 {
		last = sentence(round - 1)
		if err := os.Rename(template, previous); err != nil {
			return s, err
		}
	} else if err := os.WriteFile(previous, []byte("{}"), 0o644); err != nil {
		return s, err
	}
	if _, err := readTools(l.log); err != nil {
		return s, err
	}
	// A JavaScript string ends with another quote, so this is all of it in neither.
	if err := replace(filepath.Join(l.dir, file), last, sentence(round)); err != nil {
		return s, err
	}
	s.saved = time.Now()
	text, err := l.command(ctx, "cdk", slices.Concat([]string{"diff", "--exclusively", "--output", assembly, "--template", previous}, args, []string{editedStack})...).output()
	s.finished = time.Now()
	if err != nil {
		return s, err
	}
	if !strings.Contains(text, sentence(round)) {
		return s, fmt.Errorf("cdk diff does not show the change of %s:\n%s", file, text)
	}
	s.synth, err = modified(filepath.Join(l.dir, assembly, "manifest.json"))
	return s, err
}

func modified(file string) (time.Time, error) {
	info, err := os.Stat(file)
	if err != nil {
		return time.Time{}, err
	}
	return info.ModTime(), nil
}

func (l *loop) diff(ctx context.Context, round int) (steps, error) {
	s, err := l.edit(ctx, filepath.Join("stacks", "gate.go"), "cdk.out", round)
	if err != nil {
		return s, err
	}
	runs, err := readTools(l.log)
	if err != nil {
		return s, err
	}
	s.compile, s.link = of(runs, "compile"), of(runs, "link")
	if s.compile.begin.IsZero() || s.link.begin.IsZero() {
		return s, fmt.Errorf("the CDK app was neither compiled nor linked after its change, as far as go tells: %v", runs)
	}
	return s, nil
}

func (l *loop) peerDiff(ctx context.Context, round int) (steps, error) {
	return l.edit(ctx, filepath.Join("bench", "peer", "app.js"), "cdk.out.peer", round, "--app", l.peer)
}

// up has the copy run on this machine, as it was synthesized last, on a port that
// is free.
func (l *loop) up(ctx context.Context) error {
	if err := l.command(ctx, "make", "-s", "bin/cutover").run(); err != nil {
		return err
	}
	return l.command(ctx, "bin/cutover", "up", "--detach", "--port", "80=0").run()
}

// url is where the copy's listener answers.
func url(ctx context.Context, dir string) (string, error) {
	status, err := local.NewClient(filepath.Join(dir, ".cutover")).Status(ctx)
	if err != nil {
		return "", err
	}
	for _, listener := range status.Listeners {
		if listener.URL != "" {
			return listener.URL, nil
		}
	}
	return "", errors.New("no listener answers")
}

// answer has the service list one user, and runs "make up" until that is what is
// answered. It fails if the CDK app, which has nothing of the service, is compiled
// or linked for that.
func (l *loop) answer(ctx context.Context) (s steps, err error) {
	base, err := url(ctx, l.dir)
	if err != nil {
		return s, err
	}
	if _, err := readTools(l.log); err != nil {
		return s, err
	}
	if err := replace(filepath.Join(l.dir, editedService), editedList, fewerListed); err != nil {
		return s, err
	}
	s.saved = time.Now()
	// Its packages are there: npm has nothing to do, whatever the files' times say.
	up := make(chan error, 1)
	go func() { up <- l.command(ctx, "make", "-o", "node_modules/.package-lock.json", "up").run() }()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for s.finished.IsZero() {
		select {
		case err := <-up:
			if err != nil {
				return s, err
			}
			up = nil // it need not have returned, but may have
		case <-tick.C:
		}
		users, err := listed(ctx, base)
		if err != nil {
			return s, err
		}
		if users == 1 {
			s.finished = time.Now()
		} else if up == nil {
			return s, fmt.Errorf("make up is done, and %d users are listed, not one", users)
		}
	}
	if up != nil {
		if err := <-up; err != nil {
			return s, err
		}
	}
	if s.synth, err = modified(filepath.Join(l.dir, "cdk.out", "manifest.json")); err != nil {
		return s, err
	}
	runs, err := readTools(l.log)
	if err == nil && len(runs) > 0 {
		err = fmt.Errorf("a change of a service has the go command make the CDK app or the tool again: %v", runs)
	}
	return s, err
}

// listed is how many users the copy answers with.
func listed(ctx context.Context, base string) (int, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, base+"/api/users", nil)
	if err != nil {
		return 0, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, err
	}
	defer response.Body.Close()
	var users []any
	if err := json.NewDecoder(response.Body).Decode(&users); err != nil {
		return 0, fmt.Errorf("%s is answered with %s: %w", request.URL, response.Status, err)
	}
	return len(users), nil
}

// measureClone clones the repository, without what was not committed, and has it
// answer on this machine, with nothing in any cache of Go's or npm's. It takes
// minutes and the network.
func measureClone(ctx context.Context, out io.Writer, work string) (err error) {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	dir, log := filepath.Join(work, "cutover"), filepath.Join(work, "tools")
	l := &loop{dir: dir, log: log, env: append(toolEnvironment(self, log), "GOCACHE="+filepath.Join(work, "go"), "GOMODCACHE="+filepath.Join(work, "modules"), "npm_config_cache="+filepath.Join(work, "npm"))}
	for i, variable := range l.env { // so that they can be removed
		if strings.HasPrefix(variable, "GOFLAGS=") {
			l.env[i] = variable + " -modcacherw"
		}
	}
	if err := os.MkdirAll(work, 0o755); err != nil {
		return err
	}
	var s steps
	s.saved = time.Now()
	if err := command(ctx, "git", "clone", "--quiet", ".", dir); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.command(context.WithoutCancel(ctx), "bin/cutover", "down").run()) }()
	if err := l.command(ctx, "make", "up", "ARGS=--port 80=0").run(); err != nil {
		return err
	}
	base, err := url(ctx, dir)
	if err != nil {
		return err
	}
	if _, err := listed(ctx, base); err != nil {
		return err
	}
	s.finished = time.Now()
	if s.synth, err = modified(filepath.Join(dir, "cdk.out", "manifest.json")); err != nil {
		return err
	}
	installed, err := modified(filepath.Join(dir, "node_modules", ".package-lock.json"))
	if err != nil {
		return err
	}
	runs, err := readTools(log)
	if err != nil {
		return err
	}
	compiled := map[string]time.Duration{}
	var sum time.Duration
	for _, run := range runs {
		if run.Tool == "compile" {
			compiled[run.What] += run.End.Sub(run.Begin)
			sum += run.End.Sub(run.Begin)
		}
	}
	names := slices.SortedFunc(maps.Keys(compiled), func(a, b string) int { return cmp.Compare(compiled[b], compiled[a]) })
	fmt.Fprintf(out, "\nFrom a clean clone to make up answering, once, in seconds:\n\n")
	fmt.Fprint(out, timeTable([]timed{
		{"npm ci", installed.Sub(s.saved)},
		{"download, compile, synthesize", s.synth.Sub(installed)},
		{"deploy, until it answers", s.finished.Sub(s.synth)},
		{"all", s.finished.Sub(s.saved)},
	}))
	fmt.Fprintf(out, "\n%d packages took the compiler %.0f s, one beside the other. The longest:\n\n", len(compiled), sum.Seconds())
	for _, name := range names[:min(len(names), 5)] {
		fmt.Fprintf(out, "%-60s %.0f\n", name, compiled[name].Seconds())
	}
	return nil
}

// Mutants changes the code in one place at a time, and runs the test that must fail. A change that
// the test does not notice survives, and is reported. The changes are listed in mutants.go.
//
// No file of the source is touched: the changed file takes its place in an overlay of the go
// command.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"os/signal"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the program at once
	err := run(ctx, ".", mutants, os.Args[1:], os.Stdout, os.Stderr)
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "mutants:", err)
		os.Exit(1)
	}
}

const usage = `Usage: mutants [-fast] [PATTERN]

Changes the code in one place at a time, and runs the test that must fail. Prints
the changes that no test notices, and exits with 1 if there are any. PATTERN is a
regular expression: only the mutants are run whose file, test or reason matches.
Run the command in the repository's root.

`

// timeout ends a test that a mutant keeps from ending. It is far longer than any named test takes.
const timeout = 5 * time.Minute

// slow has the directories whose tests run CDK, which takes a minute.
var slow = []string{"stacks", "stacks/golden"}

// mutant is a change of the code that a test must notice.
type mutant struct {
	file     string // from the root
	old, new string // old must be in the file exactly once
	// test must fail. It is the name of a test in the directory of the file. For another
	// directory, it is DIRECTORY.NAME.
	test string
	// why says what goes wrong for people if the change gets through.
	why string
}

// place returns the directory and the name of the test.
func (m mutant) place() (dir, test string) {
	if i := strings.LastIndex(m.test, "."); i >= 0 {
		return m.test[:i], m.test[i+1:]
	}
	return path.Dir(m.file), m.test
}

func (m mutant) String() string {
	return fmt.Sprintf("%s: %s (%s → %s)", m.file, m.why, oneLine(m.old), oneLine(m.new))
}

func oneLine(code string) string { return strings.Join(strings.Fields(code), " ") }

// apply returns the changed file.
func (m mutant) apply(root string) ([]byte, error) {
	code, err := os.ReadFile(filepath.Join(root, m.file))
	if err != nil {
		return nil, err
	}
	if n := bytes.Count(code, []byte(m.old)); n != 1 {
		return nil, fmt.Errorf("%s has %d times what is to be changed, want once: %s", m.file, n, oneLine(m.old))
	}
	return bytes.Replace(code, []byte(m.old), []byte(m.new), 1), nil
}

func run(ctx context.Context, root string, all []mutant, args []string, stdout, stderr io.Writer) error {
	flags := flag.NewFlagSet("mutants", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Usage = func() { fmt.Fprint(stderr, usage); flags.PrintDefaults() }
	fast := flags.Bool("fast", false, "leave out the mutants whose tests run CDK")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() > 1 {
		return fmt.Errorf("cannot understand %q: give one pattern at most", flags.Args()[1:])
	}
	pattern, err := regexp.Compile(flags.Arg(0))
	if err != nil {
		return fmt.Errorf("the pattern is no regular expression: %w", err)
	}
	chosen := slices.DeleteFunc(slices.Clone(all), func(m mutant) bool {
		dir, test := m.place()
		return *fast && slices.Contains(slow, dir) || !pattern.MatchString(m.file+" "+dir+"."+test+" "+m.why)
	})
	if len(chosen) == 0 {
		return fmt.Errorf("no mutant matches %q", flags.Arg(0))
	}
	root, err = filepath.Abs(root)
	if err != nil {
		return err
	}
	scratch, err := os.MkdirTemp("", "mutants")
	if err != nil {
		return err
	}
	defer os.RemoveAll(scratch)
	if err = passes(ctx, root, chosen, stdout); err == nil {
		err = hunt(ctx, root, scratch, chosen, stdout)
	}
	if ctx.Err() != nil {
		return errors.New("broken off")
	}
	return err
}

// passes runs the tests without a change: the failure of a test that fails anyway says nothing.
func passes(ctx context.Context, root string, chosen []mutant, stdout io.Writer) error {
	tests := map[string][]string{}
	for _, m := range chosen {
		dir, test := m.place()
		tests[dir] = append(tests[dir], test)
	}
	dirs := slices.Sorted(maps.Keys(tests))
	for i, dir := range dirs {
		names := slices.Compact(slices.Sorted(slices.Values(tests[dir])))
		began := time.Now()
		r, err := goTest(ctx, root, dir, names, "")
		switch {
		case err != nil:
			return err
		case !r.all(names):
			return fmt.Errorf("tests in %s do not pass without a change, so they prove nothing:\n%s", dir, r.output)
		}
		fmt.Fprintf(stdout, "%d of %d: tests in %s pass without a change, %.1f s\n", i+1, len(dirs), dir, time.Since(began).Seconds())
	}
	return nil
}

// hunt runs the test of each mutant. The error counts the survivors, and lists the mutants that
// are mistakes in the list.
func hunt(ctx context.Context, root, scratch string, chosen []mutant, stdout io.Writer) error {
	var survivors []mutant
	var mistakes []error
	for i, m := range chosen {
		began := time.Now()
		survived, err := m.survives(ctx, root, scratch)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		outcome := "killed"
		switch {
		case err != nil:
			outcome = "MISTAKE"
			mistakes = append(mistakes, fmt.Errorf("%s: %w", m, err))
		case survived:
			outcome = "SURVIVED"
			survivors = append(survivors, m)
		}
		fmt.Fprintf(stdout, "%d of %d: %-8s %5.1f s  %s\n", i+1, len(chosen), outcome, time.Since(began).Seconds(), m)
	}
	if len(survivors) > 0 {
		mistakes = append(mistakes, fmt.Errorf("%d of %d mutants survived", len(survivors), len(chosen)))
		for _, m := range survivors {
			dir, test := m.place()
			fmt.Fprintf(stdout, "\n%s in %s does not notice that in %s\n  %s\nbecomes\n  %s\n", test, dir, m.file, oneLine(m.old), oneLine(m.new))
		}
	}
	return errors.Join(mistakes...)
}

// survives reports whether the test passes with the change.
func (m mutant) survives(ctx context.Context, root, scratch string) (bool, error) {
	code, err := m.apply(root)
	if err != nil {
		return false, err
	}
	changed, overlay := filepath.Join(scratch, "changed"+path.Ext(m.file)), filepath.Join(scratch, "overlay.json")
	replace, err := json.Marshal(map[string]map[string]string{"Replace": {filepath.Join(root, m.file): changed}})
	if err != nil {
		return false, err
	}
	if err := errors.Join(os.WriteFile(changed, code, 0o600), os.WriteFile(overlay, replace, 0o600)); err != nil {
		return false, err
	}
	// A test may compile the code by itself, and fail only because it does not compile.
	if out, err := goCommand(ctx, root, overlay, "build", "-o", os.DevNull, "./"+path.Dir(m.file)); err != nil {
		return false, fmt.Errorf("the changed code does not compile: %w\n%s", err, out)
	}
	dir, test := m.place()
	r, err := goTest(ctx, root, dir, []string{test}, overlay)
	return r.ok, err
}

// result is what the go command says of tests.
type result struct {
	ok     bool     // nothing failed
	passed []string // tests
	output string
}

// all reports whether all tests have passed. A test that is skipped or does not exist has not.
func (r result) all(tests []string) bool {
	return r.ok && !slices.ContainsFunc(tests, func(test string) bool { return !slices.Contains(r.passed, test) })
}

// goTest runs tests of a directory. The error says that there is no result.
func goTest(ctx context.Context, root, dir string, tests []string, overlay string) (result, error) {
	// Without -count=1, a test that compiles code by itself could have a result from before.
	out, err := goCommand(ctx, root, overlay, "test", "-json", "-count=1", "-vet=off", "-timeout", timeout.String(), "-run", "^("+strings.Join(tests, "|")+")$", "./"+dir)
	r := result{ok: err == nil}
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		return r, fmt.Errorf("the go command cannot be run: %w", err)
	}
	for line := range bytes.Lines(out) {
		var event struct{ Action, Test, Output, FailedBuild string }
		if json.Unmarshal(line, &event) != nil {
			event.Output = string(line)
		}
		r.output += event.Output
		switch {
		case event.FailedBuild != "":
			return r, fmt.Errorf("the test does not compile:\n%s", r.output)
		case event.Action == "pass":
			r.passed = append(r.passed, event.Test)
		}
	}
	return r, nil
}

// goCommand runs the go command with an overlay, if there is one.
func goCommand(ctx context.Context, root, overlay string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "CUTOVER_NIGHTLY=1") // or slow tests skip
	if overlay != "" {
		// The environment also reaches the go commands that a test runs.
		cmd.Env = append(cmd.Env, "GOFLAGS="+os.Getenv("GOFLAGS")+" -overlay="+overlay)
	}
	// Ctrl-C in a terminal reaches this program alone, which then ends all of the command's processes.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGINT) }
	cmd.WaitDelay = 10 * time.Second
	return cmd.CombinedOutput()
}

package e2e

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestTutorial runs the commands of the tutorial in their order, in one shell, in a new clone. It compares the output of
// each block of commands with the block of text that follows, if there is one.
func TestTutorial(t *testing.T) { follow(t, "docs/tutorial.md", ".") }

// TestTutorialServerless does the same with the tutorial of the serverless service.
func TestTutorialServerless(t *testing.T) {
	follow(t, "docs/tutorial-serverless.md", "build/notes", "java")
}

// follow runs the commands of a tutorial. Its app, and what runs of it on this machine, is in a directory of the clone.
func follow(t *testing.T, tutorial, app string, programs ...string) {
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	required(t, root, append(programs, "aws", "bash", "curl", "git", "make", "npm")...)
	text, err := os.ReadFile(filepath.Join(root, tutorial))
	if err != nil {
		t.Fatal(err)
	}
	blocks, err := parseBlocks(string(text))
	if err != nil {
		t.Fatalf("%s: %v", tutorial, err)
	}
	sh := newShell(t, clone(t, root), app)
	for _, b := range blocks {
		began := time.Now()
		out, err := sh.run(b.commands)
		if err != nil {
			t.Fatalf("%s:%d: %v\n%s\nIt has printed\n%s", tutorial, b.line, err, b.commands, out)
		}
		if b.shown != "" && !shown(b.shown).MatchString(out) {
			t.Errorf("%s:%d:\n%s\nprints\n%s\nwhere the tutorial shows\n%s", tutorial, b.line, b.commands, out, b.shown)
		}
		first, _, _ := strings.Cut(b.commands, "\n")
		t.Logf("%-60s %6.1f s", first, time.Since(began).Seconds())
	}
}

// A block is a list of commands with the output that the document shows.
type block struct {
	line            int // of the document, where the commands begin
	commands, shown string
}

// parseBlocks finds the sh blocks of a document. A text block comes right after an sh block, and shows its output.
func parseBlocks(document string) ([]block, error) {
	var blocks []block
	var fence string
	var body strings.Builder
	near := false // only empty lines since the last sh block
	line := 0
	for text := range strings.Lines(document) {
		line++
		text = strings.TrimSuffix(text, "\n")
		switch {
		case fence == "" && strings.HasPrefix(text, "```"):
			fence = text
			body.Reset()
			switch {
			case fence == "```sh":
				blocks = append(blocks, block{line: line + 1})
			case fence != "```text":
				return nil, fmt.Errorf("line %d: a block of %s: only sh and text are checked", line, fence)
			case !near:
				return nil, fmt.Errorf("line %d: no commands come right before this output", line)
			}
		case text == "```":
			last := &blocks[len(blocks)-1]
			if fence == "```sh" {
				last.commands = body.String()
			} else {
				last.shown = body.String()
			}
			near = fence == "```sh"
			fence = ""
		case fence != "":
			body.WriteString(text + "\n")
		case text != "":
			near = false
		}
	}
	if fence != "" || len(blocks) == 0 {
		return nil, errors.New("a block has no end, or there is none")
	}
	return blocks, nil
}

// shown is the pattern of a shown output. The sign … stands for any number of lines if it is a line by itself, and for any
// text within a line elsewhere. Warnings of the commands are among the lines that are left out.
func shown(text string) *regexp.Regexp {
	var pattern strings.Builder
	pattern.WriteString(`^`)
	for line := range strings.Lines(text) {
		if line == "…\n" {
			pattern.WriteString(`(?:.*\n)*?`)
			continue
		}
		pattern.WriteString(strings.ReplaceAll(regexp.QuoteMeta(strings.TrimSuffix(line, "\n")), "…", ".*?") + `\n`)
	}
	pattern.WriteString(`$`)
	return regexp.MustCompile(pattern.String())
}

// clone makes a repository with one commit of the working tree, without ignored files. The clone has the installed npm
// packages.
func clone(t *testing.T, root string) string {
	t.Helper()
	dir := t.TempDir()
	git := func(in string, args ...string) []byte {
		t.Helper()
		cmd := exec.Command("git", args...)
		cmd.Dir, cmd.Env = in, append(os.Environ(), author...)
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("git %s: %v", strings.Join(args, " "), err)
		}
		return out
	}
	for name := range strings.SplitSeq(strings.TrimSuffix(string(git(root, "ls-files", "-z", "--cached", "--others", "--exclude-standard")), "\x00"), "\x00") {
		info, err := os.Stat(filepath.Join(root, name))
		if errors.Is(err, fs.ErrNotExist) { // deleted, and that is not committed
			continue
		}
		text, err := os.ReadFile(filepath.Join(root, name))
		to := filepath.Join(dir, name)
		if err = errors.Join(err, os.MkdirAll(filepath.Dir(to), 0o755)); err == nil {
			err = os.WriteFile(to, text, info.Mode().Perm())
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	git(dir, "init", "--quiet")
	git(dir, "add", "--all")
	git(dir, "commit", "--quiet", "--message", "Begin")

	// Links, so that a change of the clone's packages is no change of ours. The list of installed packages is new, so that
	// make does not install them again.
	packages := filepath.Join(root, "node_modules")
	entries, err := os.ReadDir(packages)
	if err == nil {
		err = os.Mkdir(filepath.Join(dir, "node_modules"), 0o755)
	}
	for _, entry := range entries {
		if entry.Name() != installed {
			err = errors.Join(err, os.Symlink(filepath.Join(packages, entry.Name()), filepath.Join(dir, "node_modules", entry.Name())))
		}
	}
	list, readErr := os.ReadFile(filepath.Join(packages, installed))
	if err = errors.Join(err, readErr, os.WriteFile(filepath.Join(dir, "node_modules", installed), list, 0o644), os.Mkdir(filepath.Join(dir, "build"), 0o755)); err != nil {
		t.Fatal(err)
	}
	return dir
}

const installed = ".package-lock.json"

var author = []string{"GIT_AUTHOR_NAME=n", "GIT_AUTHOR_EMAIL=n@example.com", "GIT_COMMITTER_NAME=n", "GIT_COMMITTER_EMAIL=n@example.com"}

// A shell is one bash for all blocks. A block may start another bash inside, or end it.
type shell struct {
	stdin io.Writer
	lines *bufio.Scanner
	ended chan error
}

// newShell starts a shell in a clone. The directory of the app is below.
func newShell(t *testing.T, dir, app string) *shell {
	t.Helper()
	cmd := exec.CommandContext(interrupted, "bash")
	cmd.Dir = dir
	// The user's settings of git are no part of the tutorial.
	cmd.Env = slices.Concat(slices.DeleteFunc(os.Environ(), func(kv string) bool { return strings.HasPrefix(kv, "GIT_") }),
		author, []string{"NO_COLOR=1", "GIT_CONFIG_GLOBAL=/dev/null"})
	// End its children, too.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) }
	cmd.WaitDelay = 30 * time.Second
	out, in, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdout, cmd.Stderr = in, in
	stdin, err := cmd.StdinPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	in.Close()
	s := &shell{stdin: stdin, lines: bufio.NewScanner(out), ended: make(chan error, 1)}
	go func() { s.ended <- cmd.Wait() }()
	t.Cleanup(func() {
		// After a failed block, first end the deployment on this machine, which has a session of its own.
		stdin.Close()
		if t.Failed() {
			down := exec.Command(filepath.Join(dir, "bin/cutover"), "down")
			down.Dir = filepath.Join(dir, app)
			down.Run()
			syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM)
		}
		if err := <-s.ended; err != nil && !t.Failed() {
			t.Errorf("the shell ends with %v", err)
		}
		out.Close()
	})
	return s
}

// over is what the shell prints after a block.
const over = "-- over --"

// run returns the output of a block. The emulator removes CDK's variables from the environment, so each block sets
// CDK_VALIDATION. Validation takes longer than all else, and TestDeployment has it.
func (s *shell) run(commands string) (string, error) {
	_, err := fmt.Fprintf(s.stdin, "set -euo pipefail; export CDK_VALIDATION=false\n%s\necho '%s'\n", commands, over)
	if err != nil {
		return "", err
	}
	var out strings.Builder
	for s.lines.Scan() {
		line := s.lines.Text()
		// The last line of a command may have no end.
		if before, ok := strings.CutSuffix(line, over); ok {
			if before != "" {
				out.WriteString(before + "\n")
			}
			return out.String(), nil
		}
		// npm's own configuration is no part of the tutorial.
		if !strings.HasPrefix(line, "npm warn ") {
			out.WriteString(line + "\n")
		}
	}
	return out.String(), errors.Join(errors.New("a command has failed"), s.lines.Err())
}

// TestShown: the comparison goes line by line.
func TestShown(t *testing.T) {
	for _, test := range []struct {
		shown, output string
		want          bool
	}{
		{"a\nb\n", "a\nb\n", true},
		{"a\nb\n", "a\nb\nc\n", false},
		{"a\n", "a\nb\n", false},
		{"a\n…\n", "a\nb\nc\n", true},
		{"…\nb\n", "a\nb\n", true},
		{"…\nb\n", "b\n", true},
		{"a\n…\nc\n", "a\nc\n", true},
		{"a … c\n", "a b c\n", true},
		{"a … c\n", "a\nc\n", false},
		{"… 200\n", "  12 200\n", true},
		{"… 200\n", "  12 200\n  1 503\n", false},
		{"…\nb\n…\na\n…\n", "a\nb\n", false},
		{"a.c\n", "abc\n", false},
	} {
		if got := shown(test.shown).MatchString(test.output); got != test.want {
			t.Errorf("%q is shown for %q: %t, want %t", test.shown, test.output, got, test.want)
		}
	}
	for document, want := range map[string]string{
		"```sh\na\n```\n\n```text\nb\n```\n\n```sh\nc\n```\n": "2:a/b 10:c/",
		"```sh\na\n```\nwords\n```text\nb\n```\n":             "no commands",
		"```sh\na\n```\n```text\nb\n```\n```text\nb\n```\n":   "no commands",
		"```bash\na\n```\n": "only sh and text",
		"```sh\na\n":        "no end",
		"words\n":           "no end",
	} {
		blocks, err := parseBlocks(document)
		var all []string
		for _, b := range blocks {
			all = append(all, fmt.Sprintf("%d:%s/%s", b.line, strings.TrimSpace(b.commands), strings.TrimSpace(b.shown)))
		}
		if got := strings.Join(all, " "); err == nil && got != want || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%q has the blocks %q, %v, want %q", document, got, err, want)
		}
	}
}

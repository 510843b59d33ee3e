package e2e

import (
	"bytes"
	"context"
	"fmt"
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

// A cdk runs the CDK CLI of this repository.
type cdk struct {
	ctx     context.Context
	program string
	dir     string // to run it in
	env     []string
}

const (
	cliPath  = "node_modules/.bin/cdk"
	nodePath = "node_modules/node/bin/node"
)

func newCDK(ctx context.Context, root string, env []string) *cdk {
	node := filepath.Join(root, nodePath)
	path := filepath.Dir(node) + string(os.PathListSeparator) + os.Getenv("PATH")
	return &cdk{ctx: ctx, program: filepath.Join(root, cliPath), dir: root, env: append(slices.Clone(env),
		"PATH="+path, "JSII_NODE="+node, "NO_COLOR=1")}
}

// run returns the CLI's output, and an error if the exit code is not 0.
func (c *cdk) run(args ...string) (string, error) { return c.killed("", args...) }

// killed runs the CLI and kills it after it has printed a text. If the text is empty, the CLI runs to its end.
func (c *cdk) killed(when string, args ...string) (string, error) {
	ctx, kill := context.WithCancel(c.ctx)
	defer kill()
	out := &watched{text: when, seen: kill}
	cmd := exec.CommandContext(ctx, c.program, append(args, "--no-notices", "--no-color")...)
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = c.dir, c.env, out, out
	// Kill its children, too.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = 10 * time.Second
	if err := cmd.Run(); err != nil {
		return out.all.String(), fmt.Errorf("cdk %s: %w", strings.Join(args, " "), err)
	}
	return out.all.String(), nil
}

// watched keeps the output and calls seen after a text.
type watched struct {
	all  bytes.Buffer
	text string
	seen func()
}

func (w *watched) Write(b []byte) (int, error) {
	n, err := w.all.Write(b)
	if w.text != "" && strings.Contains(w.all.String(), w.text) {
		w.seen()
	}
	return n, err
}

func (c *cdk) must(t *testing.T, args ...string) string {
	t.Helper()
	out, err := c.run(args...)
	if err != nil {
		t.Fatalf("%v\n%s", err, tail(out, 60))
	}
	return out
}

func tail(s string, lines int) string {
	l := strings.Split(strings.TrimRight(s, "\n"), "\n")
	return strings.Join(l[max(0, len(l)-lines):], "\n")
}

// forum is the app that is deployed, as --app takes it.
const forum = "go run ./test/e2e/forum"

// deployOptions are the options of a plain deployment of everything. With the first one, the CLI asks no questions.
var deployOptions = []string{"--require-approval", "never", "--all", "--concurrency", "4"}

// deploy deploys a synthesized assembly.
func (c *cdk) deploy(assembly string) (string, error) {
	return c.run(append([]string{"deploy", "--app", assembly}, deployOptions...)...)
}

// diff returns the changes that "cdk diff" names: for each stack, its resources as "+ TYPE", "- TYPE" or "~ TYPE", sorted.
// A replacement ends with "replace".
func (c *cdk) diff(t *testing.T, assembly string) map[string][]string {
	t.Helper()
	out := c.must(t, "diff", "--app", assembly)
	changes, err := parseDiff(out)
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return changes
}

var (
	diffStack    = regexp.MustCompile(`^Stack (\S+)`)
	diffResource = regexp.MustCompile(`^\[([-+~])\] ((?:AWS|Custom)::\S+) (.*)$`)
	diffCount    = regexp.MustCompile(`Number of stacks with differences: (\d+)`)
)

func parseDiff(out string) (map[string][]string, error) {
	changes := map[string][]string{}
	stack := ""
	for line := range strings.Lines(out) {
		line = strings.TrimRight(line, "\n")
		if m := diffStack.FindStringSubmatch(line); m != nil {
			stack = m[1]
		} else if m := diffResource.FindStringSubmatch(line); m != nil {
			change := m[1] + " " + m[2]
			if m[1] == "~" && strings.Contains(m[3], "replace") {
				change += " replace"
			}
			changes[stack] = append(changes[stack], change)
		}
	}
	m := diffCount.FindStringSubmatch(out)
	if m == nil {
		return nil, fmt.Errorf("cdk diff does not say how many stacks differ")
	}
	if m[1] != fmt.Sprint(len(changes)) {
		return nil, fmt.Errorf("cdk diff says that %s stacks differ, but names resources of %d", m[1], len(changes))
	}
	for _, c := range changes {
		slices.Sort(c)
	}
	return changes, nil
}

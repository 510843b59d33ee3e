package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// testsRuns are the runs of the tests in a clone, one after the other. What is
// edited gets a line more at its head, which moves every other one: what is
// compiled from it changes, and nothing that it does.
var testsRuns = []struct{ name, edited string }{
	{name: "in a new clone: everything"},
	{name: "nothing has changed"},
	{name: "a change in stacks/", edited: "stacks/gate.go"},
	{name: "a change in internal/rules", edited: "internal/rules/routing.go"},
	{name: "a change in a service", edited: editedService},
}

// measureTests measures "make test" in a clone of the repository, without what was
// not committed. What CDK's library and other modules are compiled to is in go's
// cache, and npm's packages are in npm's.
func measureTests(ctx context.Context, out io.Writer, work string) error {
	fmt.Println("Running the tests of a clone (minutes)")
	l := &loop{dir: filepath.Join(work, "tests"), env: environment()}
	if err := command(ctx, "git", "clone", "--quiet", ".", l.dir); err != nil {
		return err
	}
	if err := l.command(ctx, "make", "setup").run(); err != nil {
		return err
	}
	var rows []timed
	for _, run := range testsRuns {
		if run.edited != "" {
			if err := prepend(filepath.Join(l.dir, run.edited), "// Edited.\n\n"); err != nil {
				return err
			}
		}
		fmt.Println("Running the tests:", run.name)
		start := time.Now()
		text, err := l.command(ctx, "make", "test").output()
		if err != nil {
			return err
		}
		ran, cached := 0, 0
		for line := range strings.Lines(text) {
			switch {
			case !strings.HasPrefix(line, "ok "):
			case strings.Contains(line, "(cached)"):
				cached++
			default:
				ran++
			}
		}
		rows = append(rows, timed{fmt.Sprintf("%-30s %3d %6d ", run.name, ran, cached), time.Since(start)})
	}
	fmt.Fprintf(out, "make test, once after each change: how many packages' tests go ran, how many it took from its cache, and seconds:\n\n%-30s %s\n%s", "", "run cached       s", timeTable(rows))
	return nil
}

func prepend(file, text string) error {
	content, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	return os.WriteFile(file, append([]byte(text), content...), 0o644)
}

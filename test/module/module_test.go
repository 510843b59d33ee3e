// Package module has the test of "make module", which renames the Go module.
package module

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"cutover/internal/nightly"
)

// root is the root of the repository.
const root = "../.."

// clone copies what a clone of the repository has, and links the npm packages.
func clone(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	skipped := []string{".git", ".cutover", "bin", "build", "cdk.out", "node_modules"}
	err := filepath.WalkDir(root, func(file string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(root, file)
		if err != nil || name == "." {
			return err
		}
		if slices.Contains(skipped, name) || entry.Name() == "node_modules" {
			if entry.IsDir() {
				return fs.SkipDir
			}
			return nil // a link, or a worktree's .git
		}
		if entry.IsDir() {
			return os.MkdirAll(filepath.Join(dir, name), 0o755)
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		text, err := os.ReadFile(file)
		return errors.Join(err, os.WriteFile(filepath.Join(dir, name), text, info.Mode().Perm()))
	})
	packages, failed := filepath.Abs(filepath.Join(root, "node_modules"))
	if err := errors.Join(err, failed, os.Symlink(packages, filepath.Join(dir, "node_modules"))); err != nil {
		t.Fatal(err)
	}
	return dir
}

// run runs a program in a directory and returns what it prints. NAME=VALUE before
// the program are variables.
func run(t *testing.T, dir string, command ...string) (string, error) {
	t.Helper()
	var env []string
	for strings.Contains(command[0], "=") {
		env, command = append(env, command[0]), command[1:]
	}
	cmd := exec.CommandContext(t.Context(), command[0], command[1:]...)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), env...)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func must(t *testing.T, dir string, command ...string) string {
	t.Helper()
	out, err := run(t, dir, command...)
	if err != nil {
		t.Fatalf("%q: %v\n%s", command, err, out)
	}
	return out
}

func TestPathsThatAreRefused(t *testing.T) {
	for given, want := range map[string]string{
		"":                     "module: there is no PATH: run `make module PATH=example.com/you/cutover`",
		"PATH=":                "module: there is no PATH: run",
		"PATH=cutover":         "module: PATH=cutover is no module path: it needs a domain in lower case and a name, as in example.com/you/cutover",
		"PATH=you/cutover":     "PATH=you/cutover is no module path",
		"PATH=example.com":     "PATH=example.com is no module path",
		"PATH=Example.com/x":   "is no module path",
		"PATH=example.com/x/":  "is no module path",
		"PATH=example.com/.x":  "is no module path",
		"PATH=example.com/x y": "is no module path",
		"PATH=a..com/x":        "is no module path",
	} {
		command := []string{"make", "module"}
		if given != "" {
			command = append(command, given)
		}
		if out, err := run(t, root, command...); err == nil || !strings.Contains(out, want) {
			t.Errorf("make module %s: %v, want %q, got\n%s", given, err, want, out)
		}
	}
}

// The renamed module finds its packages, and its tests pass. Its path sorts after that of CDK,
// so nothing may depend on the order in which Go initializes packages. With
// CUTOVER_NIGHTLY set, all of it is compiled and synthesized.
func TestRename(t *testing.T) {
	nightly.Test(t, "it renames a copy of the repository")
	const path = "github.com/zeta/cutover"
	dir := clone(t)
	must(t, dir, "make", "module", "PATH=example.com/x.y/z")
	if out := must(t, dir, "make", "module", "PATH="+path); !strings.Contains(out, "The module is "+path+" now.") {
		t.Errorf("make module says\n%s", out)
	}
	if out := must(t, dir, "make", "module", "PATH="+path); !strings.Contains(out, "The module is "+path+" already.") {
		t.Errorf("the second time make module says\n%s", out)
	}
	// Nothing names another module, and nothing but the module was renamed.
	back := strings.NewReplacer(path+"/", "cutover/", path+"$$", "cutover$$", "module "+path, "module cutover", path+" v0", "cutover v0", path+" =>", "cutover =>")
	old := regexp.MustCompile(`example\.com/x\.y|[ "^]cutover/(cmd|config|deployment|internal|migration|services|stacks|strangler|test)\b|[ \t]cutover (v0|=>)`)
	for name := range strings.Lines(must(t, dir, "find", ".", "-type", "f", "-not", "-path", "./node_modules/*", "-not", "-path", "./test/module/*")) {
		name = strings.TrimSuffix(name, "\n")
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if old.Match(text) {
			t.Errorf("%s still has %q", name, old.Find(text))
		}
		if before, err := os.ReadFile(filepath.Join(root, name)); err != nil || back.Replace(string(text)) != string(before) {
			t.Errorf("%s has changed in more than the module's name (%v)", name, err)
		}
	}
	list, _, found := strings.Cut(must(t, dir, "make", "--just-print", "race"), " && go test ")
	if out := must(t, dir, "bash", "-c", list+` && echo "$packages"`); !found || !strings.Contains(out, path+"/cmd/cutover\n") || strings.Contains(out, path+"/stacks\n") {
		t.Errorf("make race tests\n%s", out)
	}
	must(t, dir, "go", "list", "-deps", "-test", "./...") // finds every import
	must(t, dir, "go", "test", "./migration")
	must(t, filepath.Join(dir, "examples/library"), "go", "list", "-deps", "./...")

	if os.Getenv("CUTOVER_NIGHTLY") == "" {
		return
	}
	must(t, dir, "go", "vet", "./...")
	must(t, filepath.Join(dir, "examples/library"), "go", "vet", "./...")
	must(t, dir, "go", "test", "./config", "./internal/cdk", "./internal/listing", "./internal/step", "./services")
	must(t, dir, "go", "build", "-o", "build/", "./cmd/cutover")
	// In place of Node.js a script that says what it is to start.
	node := filepath.Join(t.TempDir(), "node")
	if err := os.WriteFile(node, []byte("#!/bin/sh\necho \"$@\" >>\"$STARTED\"\nexec node \"$@\"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	started := filepath.Join(dir, "started")
	must(t, dir, "STARTED="+started, "JSII_NODE="+node, "node_modules/.bin/cdk", "synth", "--quiet")
	text, err := os.ReadFile(started)
	if err != nil || !strings.Contains(string(text), "program.js") || strings.Contains(string(text), "jsii-runtime.js") {
		t.Errorf("jsii has started %q (%v), want its second program", text, err)
	}
	if out := must(t, dir, "build/cutover", "phase"); !strings.HasPrefix(out, "PHASE ") {
		t.Errorf("cutover phase says\n%s", out)
	}
	app(t, dir, path)
}

// app compiles the CDK app of another module, which takes what the renamed one offers.
func app(t *testing.T, dir, path string) {
	t.Helper()
	other := t.TempDir()
	mod := strings.Replace(must(t, dir, "cat", "go.mod"), "module "+path, "module example.org/shop", 1)
	mod += "\nrequire " + path + " v0.0.0\n\nreplace " + path + " => " + dir + "\n"
	for name, text := range map[string]string{
		"go.mod": mod,
		"go.sum": must(t, dir, "cat", "go.sum"),
		"main.go": `package main

import (
	"context"
	"os"

	"` + path + `/config"
	"` + path + `/migration"
	"` + path + `/stacks"
)

func main() {
	d := config.Deployment{Monolith: config.Service{Name: "shop", Paths: []string{"/*"}}}
	for i, name := range []string{"cart", "search"} {
		d.Services = append(d.Services, config.Service{Name: name, Paths: []string{"/" + name + "*"}, Order: 10 * (i + 1)})
	}
	if len(os.Args) > 1 {
		if err := stacks.Synth(context.Background(), d, map[string]any{"phase": migration.Parallel.String()}, os.Args[1]); err != nil {
			panic(err)
		}
	}
	os.Exit(stacks.Run(d))
}
`,
	} {
		if err := os.WriteFile(filepath.Join(other, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	must(t, other, "go", "vet", "-mod=mod", ".")
}

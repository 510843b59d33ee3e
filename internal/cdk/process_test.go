package cdk

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

func TestDirect(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("no script can be executed on Windows")
	}
	script, err := filepath.Abs("node.sh")
	if err != nil {
		t.Fatal(err)
	}
	program := os.Args[0]
	t.Setenv("PATH", filepath.Dir(program))
	for _, test := range []struct{ script, before, after, node string }{
		{"node.sh", program, script, program},
		{"node.sh", script, script, program},           // by a process that has done this
		{"node.sh", "/other/node.sh", script, program}, // of another clone
		{"node.sh", filepath.Base(program), script, filepath.Base(program)},
		{"node.sh", "", "", ""}, // no node on the PATH
		{"node.sh", "/nowhere/node", "/nowhere/node", ""},
		{"missing.sh", program, program, ""},
		{"process.cjs", program, program, ""}, // not executable
	} {
		t.Setenv(nodeVariable, test.before)
		if t.Setenv(node, ""); filepath.Base(test.before) == "node.sh" {
			t.Setenv(node, program)
		}
		direct(test.script)
		if after, node := os.Getenv(nodeVariable), os.Getenv(node); after != test.after || node != test.node {
			t.Errorf("%+v: %s=%s, node %q", test, nodeVariable, after, node)
		}
	}
}

// TestScript has the script start a program that answers a line as jsii's does.
func TestScript(t *testing.T) {
	if _, err := exec.LookPath("node"); err != nil {
		t.Skip("node is not installed, so that no program can be started with it")
	}
	root := t.TempDir()
	write := func(name, text string) string {
		file := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return file
	}
	first := write("bin/jsii-runtime.js", `console.log('the first')`)
	run := func(input string) (stdout, stderr string) {
		t.Helper()
		var out, errors strings.Builder
		cmd := exec.Command("./node.sh", first)
		cmd.Env = append(os.Environ(), node+"=node", "NODE_OPTIONS=")
		cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(input), &out, &errors
		if err := cmd.Run(); err != nil {
			t.Fatalf("%v\n%s%s", err, &out, &errors)
		}
		return out.String(), errors.String()
	}

	// A runtime without the second program is started as it wants to be.
	if stdout, stderr := run(""); stdout != "the first\n" || stderr != "" {
		t.Errorf("another runtime printed %q and %q", stdout, stderr)
	}
	write("lib/program.js", `
		const fs = require('fs');
		const buffer = Buffer.alloc(100);
		console.log('printed');
		for (let n; (n = fs.readSync(3, buffer, 0, 100, null)) > 0;) {
			fs.writeSync(3, Buffer.concat([Buffer.from('answer to '), buffer.subarray(0, n)]));
		}
		console.log('the end');
	`)
	if stdout, stderr := run("request\n"); stdout != "answer to request\n" || stderr != "printed\nthe end\n" {
		t.Errorf("answered %q and printed %q", stdout, stderr)
	}
}

// V8's compile cache goes by names, so the runtime's directory has the same name
// at the next start, and another one only beside a process that has it.
func TestDirectoryOfTheRuntime(t *testing.T) {
	if _, err := exec.LookPath("node"); err != nil {
		t.Skip("node is not installed")
	}
	script := `
		const fs = require('fs'), path = require('path');
		const make = name => path.basename(fs.mkdtempSync(path.join(process.env.TMPDIR, name)));
		console.log(make('jsii-kernel-'), make('jsii-kernel-'), make('other-') === 'other-0');`
	run := func() string {
		t.Helper()
		cmd := exec.Command("node", "--require", "./process.cjs", "--eval", script)
		cmd.Env = append(os.Environ(), "TMPDIR="+t.TempDir(), "NODE_OPTIONS=")
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		return strings.TrimSpace(string(out))
	}
	for range 2 {
		if got := run(); got != "jsii-kernel-0 jsii-kernel-1 false" {
			t.Errorf("the directories are %q", got)
		}
	}
}

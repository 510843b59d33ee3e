package main

import (
	"bytes"
	"strings"
	"testing"
)

// What the command itself does is run by the continuous integration; here is
// what it says to those who call it wrongly.
func TestUsage(t *testing.T) {
	tests := []struct {
		args           []string
		code           int
		stdout, stderr string
	}{
		{args: nil, code: 2, stderr: "emulate: name a command to run\n\nUsage:"},
		{args: []string{"-hold"}, code: 2, stderr: "emulate: name a command to run\n\nUsage:"},
		{args: []string{"-hild", "true"}, code: 2, stderr: "emulate: flag provided but not defined: -hild\n\nUsage:"},
		{args: []string{"-h"}, code: 0, stdout: "Usage: emulate"},
	}
	for _, test := range tests {
		var stdout, stderr bytes.Buffer
		code := run(t.Context(), test.args, &stdout, &stderr)
		if code != test.code || !strings.HasPrefix(stdout.String(), test.stdout) || !strings.HasPrefix(stderr.String(), test.stderr) {
			t.Errorf("%q: exit code %d, output %q, errors %q", test.args, code, stdout.String(), stderr.String())
		}
	}
}

package main

import (
	"bytes"
	"strings"
	"testing"
)

// The continuous integration runs the command itself. This is what it says to a
// wrong call.
func TestUsage(t *testing.T) {
	tests := []struct {
		args           []string
		code           int
		stdout, stderr string
	}{
		{args: nil, code: 2, stderr: "emulate: there is no command to run\n\nUsage:"},
		{args: []string{"-hold"}, code: 2, stderr: "emulate: there is no command to run\n\nUsage:"},
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

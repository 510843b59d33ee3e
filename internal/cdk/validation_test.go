package cdk

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func TestOnlyLooks(t *testing.T) {
	for _, test := range []struct {
		commands []string
		want     bool
	}{
		{[]string{"/tmp/go-build1/b001/exe/cutover", "go run .", "/bin/sh -c go run .", "node /repo/node_modules/.bin/cdk synth --quiet"}, true},
		{[]string{"sh -c go run .", "/usr/bin/node /repo/node_modules/.bin/cdk diff -c phase=parallel", "npm exec cdk diff"}, true},
		{[]string{"node /repo/node_modules/aws-cdk/bin/cdk ls"}, true},
		{[]string{"go run .", "node /repo/node_modules/.bin/cdk deploy --all"}, false},
		{[]string{"node /repo/node_modules/.bin/cdk watch", "make synth"}, false},
		{[]string{"node /repo/node_modules/.bin/cdk destroy synth"}, false},
		// The command that runs the app decides, not one that runs that.
		{[]string{"node /repo/node_modules/.bin/cdk deploy", "sh /repo/bin/cdk diff"}, false},
		// What cannot be told.
		{[]string{"node /repo/node_modules/.bin/cdk --profile diff deploy"}, false},
		{[]string{"node /repo/node_modules/.bin/cdk"}, false},
		{[]string{"go run .", "bash"}, false},
		{nil, false},
	} {
		if got := onlyLooks(test.commands); got != test.want {
			t.Errorf("%q: %t, want %t", test.commands, got, test.want)
		}
	}
}

// TestSkip has the decision made in a process below one that is called cdk.
func TestSkip(t *testing.T) {
	if os.Getenv("VALIDATION_TEST") != "" {
		Prepare()
		os.Stdout.WriteString("validation=" + os.Getenv(validationVariable) + ".\n")
		return
	}
	if _, err := exec.LookPath("ps"); err != nil {
		t.Skip("the ps command is missing, so that templates are always validated here")
	}
	cdk := filepath.Join(t.TempDir(), "cdk")
	// Not in its place: a process of its own, as the command line starts the app.
	if err := os.WriteFile(cdk, []byte("#!/bin/sh\n\"$APP\" -test.run '^TestSkip$'\nexit $?\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ command, env, variable, want string }{
		{"diff", "dev", "", "false"},
		{"synth", "dev", "", "false"},
		{"deploy", "dev", "", ""},
		{"diff", "prod", "", ""},
		{"synth", "prod", "", ""},
		{"diff", "dev", "true", "true"},
		{"deploy", "dev", "false", "false"},
	} {
		cmd := exec.Command(cdk, test.command)
		for _, v := range os.Environ() {
			if !strings.HasPrefix(v, validationVariable+"=") {
				cmd.Env = append(cmd.Env, v)
			}
		}
		cmd.Env = append(cmd.Env, "APP="+os.Args[0], "VALIDATION_TEST=1", "CDK_OUTDIR=cdk.out", `CDK_CONTEXT_JSON={"env": "`+test.env+`"}`)
		if test.variable != "" {
			cmd.Env = append(cmd.Env, validationVariable+"="+test.variable)
		}
		out, err := cmd.CombinedOutput()
		if want := "validation=" + test.want + ".\n"; err != nil || !strings.Contains(string(out), want) {
			t.Errorf("%+v: %v, want %q, got\n%s", test, err, want, out)
		}
	}
}

// Package cdk decides how the process that runs CDK is started: directly, and with or without CDK's
// validation of the templates.
//
// CDK runs in Node.js, and jsii's runtime for Go starts Node.js twice. The first process hands
// requests and answers on, and keeps what programs print apart from them. The second process does
// the work. Without the first one, a synthesis saves a start of Node.js and two hops of each call.
// The variable JSII_NODE names the program that jsii starts as Node.js. [Prepare] makes that
// program a script, node.sh. The script starts Node.js with the second program at once, and gives
// its streams their places.
//
// Validation takes longer than all the rest of a synthesis. Templates that are only looked at do
// without validation. Templates that are deployed are always validated.
package cdk

import (
	"cmp"
	"os"
	"os/exec"
	"path/filepath"
)

const (
	// nodeVariable names the program that jsii starts.
	nodeVariable = "JSII_NODE"
	// node tells the script what nodeVariable said before.
	node = "CUTOVER_NODE"
)

// Prepare sets the variables of this process that decide how CDK is started. The working directory
// is the root of the repository.
//
// jsii reads its environment when the packages of CDK are initialized, before any function can run.
// After Prepare, call jsii.Close before the first use of CDK, so that jsii reads it again.
func Prepare() {
	direct(filepath.Join("internal", "cdk", "node.sh"))
	if os.Getenv("CDK_OUTDIR") != "" { // set by the CDK command line
		skip()
	}
}

// direct makes jsii start the script, if the file exists and can be executed. Otherwise jsii starts
// Node.js as usual.
func direct(script string) {
	path, err := filepath.Abs(script)
	if err != nil {
		return
	}
	// On Windows no bits say that a file can be executed.
	if info, err := os.Stat(path); err != nil || info.Mode()&0o111 == 0 {
		return
	}
	program := cmp.Or(os.Getenv(nodeVariable), "node")
	if filepath.Base(program) == filepath.Base(path) && os.Getenv(node) != "" { // set by a parent process
		program = os.Getenv(node)
	}
	if _, err := exec.LookPath(program); err != nil { // jsii reports this best
		return
	}
	os.Setenv(node, program)
	os.Setenv(nodeVariable, path)
}

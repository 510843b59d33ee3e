// Package cdk decides how the process that runs CDK is started: directly, and with
// or without CDK's validation of the templates.
//
// CDK runs in Node.js, and jsii's runtime for Go starts that twice: a process that
// hands every request and every answer on, to keep apart from them what programs
// print, and behind it the one that does the work. Without the first, a synthesis
// saves a start of Node.js and two hops of each of its calls. The variable JSII_NODE
// names the program that jsii starts as Node.js. Here that becomes a script, node.sh,
// which starts Node.js with the second program at once and gives its streams their
// places.
//
// Validation takes longer than all the rest of a synthesis. It is of no use where
// templates are only looked at; what is deployed is always validated.
//
// Both are variables of the process, which gets its environment while the packages
// of CDK are initialized. So initializing this package sets them, and has to come
// first: it needs none of those packages, and of the packages that are ready Go
// initializes the one whose import path sorts first
// (https://go.dev/ref/spec#Program_initialization).
package cdk

import (
	"cmp"
	"os"
	"os/exec"
	"path/filepath"
)

const (
	// nodeVariable is what jsii looks at.
	nodeVariable = "JSII_NODE"
	// node tells the script what nodeVariable said before.
	node = "CUTOVER_NODE"
)

func init() {
	script := filepath.Join("internal", "cdk", "node.sh")
	if _, err := os.Stat(script); err != nil {
		script = filepath.Join("..", script) // the tests of stacks/ begin there
	}
	direct(script)
}

// direct has jsii start the script, which the working directory has if it is the
// root of the repository. Without it, and where no script can be executed, jsii
// starts Node.js as it always does.
func direct(script string) {
	path, err := filepath.Abs(script)
	if err != nil {
		return
	}
	// No bits say on Windows that a file may be executed.
	if info, err := os.Stat(path); err != nil || info.Mode()&0o111 == 0 {
		return
	}
	program := cmp.Or(os.Getenv(nodeVariable), "node")
	if filepath.Base(program) == filepath.Base(path) && os.Getenv(node) != "" { // by a process that has done this
		program = os.Getenv(node)
	}
	if _, err := exec.LookPath(program); err != nil { // jsii says so best itself
		return
	}
	os.Setenv(node, program)
	os.Setenv(nodeVariable, path)
}

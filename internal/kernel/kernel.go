// Package kernel has CDK's process started directly.
//
// CDK runs in Node.js, and jsii's runtime for Go starts that twice: a process that
// hands every request and every answer on, in order to keep what programs print
// apart from them, and behind it the one that does the work. Without the first, a
// synthesis saves a start of Node.js and two hops of each of its calls.
//
// The variable JSII_NODE names the program that jsii starts as Node.js. Here that
// becomes a script, node.sh, which starts Node.js with the second program at once
// and gives its streams their places. As with the variable of package validation,
// initializing this package comes before jsii looks at it.
package kernel

import (
	"cmp"
	"os"
	"os/exec"
	"path/filepath"
)

const (
	// variable is what jsii looks at.
	variable = "JSII_NODE"
	// node tells the script what variable said before.
	node = "CUTOVER_NODE"
)

func init() { direct(filepath.Join("internal", "kernel", "node.sh")) }

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
	program := cmp.Or(os.Getenv(variable), "node")
	if filepath.Base(program) == filepath.Base(path) && os.Getenv(node) != "" { // by a process that has done this
		program = os.Getenv(node)
	}
	if _, err := exec.LookPath(program); err != nil { // jsii says so best itself
		return
	}
	os.Setenv(node, program)
	os.Setenv(variable, path)
}

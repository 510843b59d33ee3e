package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Where Node.js spends its time in a synthesis, in the order in which it is shown.
const (
	loadsModules = iota
	runsCDK
	collectsGarbage
	loadsLibraries
	takesCalls
	runsElse
	waits
	kinds
)

var kindNames = [kinds]string{
	loadsModules:    "Node.js: finds and compiles modules",
	runsCDK:         "Node.js: CDK",
	collectsGarbage: "Node.js: collects garbage",
	loadsLibraries:  "Node.js: jsii unpacks the libraries",
	takesCalls:      "Node.js: jsii takes calls and answers",
	runsElse:        "Node.js: everything else",
	waits:           "Node.js waits for the program, or for the images",
}

// nodeProfile is a CPU profile as Node.js writes it with --cpu-prof
// (https://chromedevtools.github.io/devtools-protocol/tot/Profiler/#type-Profile).
type nodeProfile struct {
	Nodes []struct {
		ID        int
		CallFrame struct{ FunctionName, URL string }
		Children  []int
	}
	Samples    []int
	TimeDeltas []float64 // microseconds
}

// readNodeProfile returns the milliseconds of each kind in the one profile that a
// directory has.
func readNodeProfile(dir string) (spent [kinds]float64, err error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.cpuprofile"))
	if err != nil || len(files) != 1 {
		return spent, errors.Join(err, fmt.Errorf("Node.js left %d profiles in %s instead of one", len(files), dir))
	}
	text, err := os.ReadFile(files[0])
	if err != nil {
		return spent, err
	}
	var p nodeProfile
	if err := json.Unmarshal(text, &p); err != nil {
		return spent, fmt.Errorf("%s: %w", files[0], err)
	}
	if len(p.Samples) != len(p.TimeDeltas) {
		return spent, fmt.Errorf("%s: %d samples and %d times", files[0], len(p.Samples), len(p.TimeDeltas))
	}
	index, parent := map[int]int{}, map[int]int{}
	for i, n := range p.Nodes {
		index[n.ID] = i
		for _, child := range n.Children {
			parent[child] = n.ID
		}
	}
	for i, id := range p.Samples {
		var stack []frame // the innermost first
		for node, ok := index[id]; ok; {
			stack = append(stack, frame(p.Nodes[node].CallFrame))
			above, called := parent[p.Nodes[node].ID]
			if node, ok = index[above]; !called {
				break
			}
		}
		spent[kindOf(stack)] += p.TimeDeltas[i] / 1000
	}
	return spent, nil
}

type frame struct{ FunctionName, URL string }

// kindOf tells what Node.js is at by the innermost function that is somebody's.
func kindOf(stack []frame) int {
	for i, f := range stack {
		switch {
		case f.FunctionName == "(garbage collector)":
			return collectsGarbage
		case f.FunctionName == "spawnSync":
			return waits
		case strings.HasSuffix(f.URL, "/core/lib/private/perf.js"):
			// CDK's own profiler: it stands between every function of node:fs and the caller.
		case strings.HasPrefix(f.URL, "node:internal/modules/"):
			return loadsModules
		case strings.Contains(f.URL, "/node_modules/"):
			return runsCDK
		case strings.HasSuffix(f.URL, "/lib/program.js"): // jsii's runtime
			for _, outer := range stack[i:] {
				switch outer.FunctionName {
				case "readLine":
					return waits
				case "_Kernel_load":
					return loadsLibraries
				}
			}
			return takesCalls
		}
	}
	return runsElse
}

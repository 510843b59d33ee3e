package main

import (
	"os"
	"path/filepath"
	"testing"
)

func TestReadNodeProfile(t *testing.T) {
	dir := t.TempDir()
	write := func(name string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(`{
			"nodes": [
				{"id": 1, "callFrame": {"functionName": "(root)", "url": ""}, "children": [2, 7, 8]},
				{"id": 2, "callFrame": {"functionName": "run", "url": "file:///tmp/jsii/lib/program.js"}, "children": [3, 4, 5]},
				{"id": 3, "callFrame": {"functionName": "Vpc", "url": "file:///tmp/k/node_modules/aws-cdk-lib/aws-ec2/lib/vpc.js"}, "children": [6]},
				{"id": 4, "callFrame": {"functionName": "readLine", "url": "file:///tmp/jsii/lib/program.js"}, "children": [9]},
				{"id": 5, "callFrame": {"functionName": "_Kernel_load", "url": "file:///tmp/jsii/lib/program.js"}},
				{"id": 6, "callFrame": {"functionName": "wrapSafe", "url": "node:internal/modules/cjs/loader"}},
				{"id": 7, "callFrame": {"functionName": "(garbage collector)", "url": ""}},
				{"id": 8, "callFrame": {"functionName": "start", "url": "node:internal/main"}},
				{"id": 9, "callFrame": {"functionName": "ret", "url": "file:///tmp/k/node_modules/aws-cdk-lib/core/lib/private/perf.js"}}
			],
			"samples": [2, 3, 4, 5, 6, 7, 8, 3, 9],
			"timeDeltas": [1000, 2000, 4000, 8000, 16000, 32000, 64000, 500, 100]
		}`), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := readNodeProfile(dir); err == nil {
		t.Error("no profile is read without an error")
	}
	write("one.cpuprofile")
	want := [kinds]float64{takesCalls: 1, runsCDK: 2.5, waits: 4.1, loadsLibraries: 8, loadsModules: 16, collectsGarbage: 32, runsElse: 64}
	if got, err := readNodeProfile(dir); err != nil || got != want {
		t.Errorf("got %v, %v\nwant %v", got, err, want)
	}
	write("two.cpuprofile")
	if _, err := readNodeProfile(dir); err == nil {
		t.Error("two profiles are read as one")
	}
}

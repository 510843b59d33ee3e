package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"testing"

	prices "cutover/internal/analysis/cost"
	"cutover/internal/local/ecs"
)

func machines(t *testing.T, names ...string) (types []instanceType) {
	t.Helper()
	for _, name := range names {
		machine, known := prices.MachineOf(name)
		if !known {
			t.Fatalf("nothing is known of %s", name)
		}
		types = append(types, instanceType{name, machine})
	}
	return types
}

func TestDensityTables(t *testing.T) {
	task := ecs.Resources{CPU: 256, MemoryMiB: 256, Ports: 1}
	types := machines(t, "t3.small", "t3.medium")
	got := roomTable(types, task)
	for _, want := range []string{
		"t3.small       2048: 8              1894 of 2048: 7            28229: 28229           7, limited by memory\n",
		"t3.medium      2048: 8              3788 of 4096: 14           28229: 28229           8, limited by CPU units\n",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("printed\n%swant a line\n%s", got, want)
		}
	}
	got = placedTable("t3.small", registered(types[0]), task, []observed{{memoryMiB: 3, besideMiB: 5}, {memoryMiB: 4, besideMiB: 5.6}})
	for _, want := range []string{
		"t3.small                   2048           1894\n",
		"reserved by 2 tasks        512            512\n",
		"taken by them                             7\n",
		"taken beside them                         11\n",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("printed\n%swant a line\n%s", got, want)
		}
	}
	// Twice 8.3 MiB and twice 4 % of 1024 units, in steps of 64; 15.18 for 16 tasks.
	got = needsTable(types[0], []need{{rate: 100, observed: observed{memoryMiB: 3.3, besideMiB: 5, vcpu: 0.03, besideVCPU: 0.01}}})
	if want := "100         3.3 and 5.0    3.00 and 1.00     128 units, 64 MiB   16, limited by CPU units     0.64                 0.95\n"; !strings.Contains(got, want) {
		t.Errorf("printed\n%swant a line\n%s", got, want)
	}
}

// The document's table says how many tasks fit by what they reserve, and what each
// costs then.
func TestDocumentDensity(t *testing.T) {
	text, err := os.ReadFile("../docs/density.md")
	if err != nil {
		t.Fatal(err)
	}
	small := machines(t, "t3.small")[0]
	rows := regexp.MustCompile(`\| \**(\d+) units, (\d+) MiB\** (\|.*\|)\n`).FindAllStringSubmatch(string(text), -1)
	if len(rows) < 2 {
		t.Fatalf("the table has %d rows", len(rows))
	}
	for _, row := range rows {
		cpu, _ := strconv.Atoi(row[1])
		memory, _ := strconv.Atoi(row[2])
		tasks, _ := registered(small).Room(ecs.Resources{CPU: cpu, MemoryMiB: memory, Ports: 1})
		if want := fmt.Sprintf("| %d | %.2f |", tasks, float64(small.Month())/100/float64(tasks)); row[3] != want {
			t.Errorf("%d units, %d MiB: the document says %s, want %s", cpu, memory, row[3], want)
		}
	}
}

func TestReserve(t *testing.T) {
	for _, test := range []struct {
		peak observed
		want ecs.Resources
	}{
		{observed{memoryMiB: 1, vcpu: 0.001}, ecs.Resources{CPU: 64, MemoryMiB: 64, Ports: 1}},
		{observed{memoryMiB: 30, besideMiB: 2, vcpu: 0.03, besideVCPU: 0.00125}, ecs.Resources{CPU: 64, MemoryMiB: 64, Ports: 1}}, // exactly
		{observed{memoryMiB: 30, besideMiB: 2.1, vcpu: 0.03, besideVCPU: 0.002}, ecs.Resources{CPU: 128, MemoryMiB: 128, Ports: 1}},
	} {
		if got := (need{observed: test.peak}).reserve(); got != test.want {
			t.Errorf("%+v: reserve %+v, want %+v", test.peak, got, test.want)
		}
	}
}

func TestProcesses(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("what a process takes is read from /proc, which is Linux's")
	}
	self, err := processStat(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	if pid, err := parent(os.Getpid(), self.command); err != nil || pid != os.Getppid() {
		t.Errorf("the parent is %d, %v, want %d", pid, err, os.Getppid())
	}
	if _, err := parent(os.Getpid(), "users"); !errors.Is(err, errSkipped) || !strings.Contains(err.Error(), "it runs on another machine") {
		t.Errorf("another command: %v", err)
	}
	if mebibytes, err := proportional(os.Getpid()); err != nil || mebibytes < 1 || mebibytes > 10_000 {
		t.Errorf("%f MiB, %v", mebibytes, err)
	}
	before, err := withChildren(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	// A child takes processor time, which counts when it has ended.
	if out, err := exec.Command(os.Args[0], "-test.run", "^TestProcess$").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if after, err := withChildren(os.Getpid()); err != nil || after <= before {
		t.Errorf("processor time %v and then %v, %v: want some that the child took", before, after, err)
	}
}

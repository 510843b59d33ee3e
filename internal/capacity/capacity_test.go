package capacity

import (
	"strings"
	"testing"
)

func TestRoom(t *testing.T) {
	small, medium := instances["t3.small"].Registers(), instances["t3.medium"].Registers()
	for _, test := range []struct {
		name     string
		instance Resources
		task     Resources
		tasks    int
		limit    string
	}{
		{"the default task on a t3.small of 2048 units and 1894 MiB", small, Resources{256, 256, 1, 0}, 7, "memory"},
		{"the default task on a t3.medium of 2048 units and 3788 MiB", medium, Resources{256, 256, 1, 0}, 8, "CPU units"},
		{"no CPU units", small, Resources{0, 256, 1, 0}, 7, "memory"},
		{"two ports of 28,229", small, Resources{0, 0, 2, 0}, 14114, "ports"},
		{"the default with a sidecar, as docs/density.md says", small, Resources{320, 320, 2, 0}, 5, "memory"},
		{"a task with a network interface, of which the instance has the first of three itself", small, Resources{256, 256, 0, 1}, 2, "network interfaces"},
		{"the same on a t3.xlarge of four", instances["t3.xlarge"].Registers(), Resources{256, 256, 0, 1}, 3, "network interfaces"},
		{"nothing", small, Resources{}, -1, ""},
		{"too large", small, Resources{256, 1895, 1, 0}, 0, "memory"},
		{"no less than nothing", Resources{CPU: -256, MemoryMiB: 256}, Resources{256, 256, 0, 0}, 0, "CPU units"},
	} {
		if tasks, limit := test.instance.Room(test.task); tasks != test.tasks || limit != test.limit {
			t.Errorf("%s: %d by %q, want %d by %q", test.name, tasks, limit, test.tasks, test.limit)
		}
	}
	if want := (Resources{CPU: 2048, MemoryMiB: 1894, Ports: 28229, Interfaces: 2}); small != want {
		t.Errorf("a t3.small registers %+v, want %+v", small, want)
	}
}

func TestInstances(t *testing.T) {
	one := Resources{CPU: 2048, MemoryMiB: 2000, Ports: 10, Interfaces: 2}
	for _, test := range []struct {
		need               Resources
		size, byInterfaces int
	}{
		{Resources{}, 0, 0},
		{Resources{1, 1, 1, 0}, 1, 0},
		{Resources{2048, 2000, 99, 2}, 1, 1},
		{Resources{2049, 2000, 0, 3}, 2, 2},
		{Resources{2048, 4001, 0, 5}, 3, 3},
	} {
		if size, byInterfaces := test.need.Instances(one); size != test.size || byInterfaces != test.byInterfaces {
			t.Errorf("%+v: %d and %d instances, want %d and %d", test.need, size, byInterfaces, test.size, test.byInterfaces)
		}
	}
}

func TestInstanceOf(t *testing.T) {
	if i, known := InstanceOf("t3.small"); !known || i != (Instance{VCPU: 2, MemoryMiB: 2048, Interfaces: 3}) {
		t.Errorf("a t3.small is %+v, %v", i, known)
	}
	for _, name := range InstanceTypes() {
		if i, _ := InstanceOf(name); i.VCPU < 1 || i.MemoryMiB < 1024 {
			t.Errorf("a %s has %+v", name, i)
		}
	}
	if _, known := InstanceOf("t3.huge"); known {
		t.Error("a t3.huge is known")
	}
}

// The sizes of a family double from one to the next: in memory, and from the large one on in
// processors. AWS lists the network interfaces by size: two for the least, three up to large, then four.
func TestSizesOfAFamily(t *testing.T) {
	memory := map[string]int{"micro": 1024, "small": 2048, "medium": 4096, "large": 8192, "xlarge": 16384}
	least := map[string]int{"t3": 2, "t4g": 2, "m6i": 1, "m7g": 1} // of processors
	interfaces := map[string]int{"micro": 2, "small": 3, "medium": 3, "large": 3, "xlarge": 4}
	for name, instance := range instances {
		family, size, _ := strings.Cut(name, ".")
		if least[family] == 0 || memory[size] == 0 {
			t.Errorf("%s: add its family or size to this test, from AWS's page", name)
			continue
		}
		want := Instance{max(least[family], memory[size]/4096), memory[size], interfaces[size]}
		if name == "m7g.medium" { // the least of its family
			want.Interfaces = 2
		}
		if instance != want {
			t.Errorf("a %s has %+v, want %+v", name, instance, want)
		}
	}
}

package ecs

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

func TestRoom(t *testing.T) {
	definition := func(cpu, reservationMiB, memoryMiB, ports int) TaskDefinition {
		return TaskDefinition{Containers: []ContainerDefinition{{CPUShares: cpu, MemoryReservationMiB: reservationMiB, MemoryMiB: memoryMiB, Ports: make([]int, ports)}}}
	}
	sidecar := definition(256, 256, 0, 1)
	sidecar.Containers = append(sidecar.Containers, ContainerDefinition{CPUShares: 128, MemoryMiB: 64})
	bounded := definition(256, 256, 0, 1)
	bounded.Containers[0].CPULimit = 1024
	small, medium := Registered(2, 2048), Registered(2, 4096)
	for _, test := range []struct {
		name     string
		instance Resources
		task     TaskDefinition
		tasks    int
		limit    string
	}{
		{"the default task on a t3.small of 2048 units and 1894 MiB", small, definition(256, 256, 0, 1), 7, "memory"},
		{"the default task on a t3.medium of 2048 units and 3788 MiB", medium, definition(256, 256, 0, 1), 8, "CPU units"},
		{"the soft limit counts", small, definition(256, 256, 512, 1), 7, "memory"},
		{"the hard limit counts without it", small, definition(256, 0, 512, 1), 3, "memory"},
		{"containers add up to 384 units and 320 MiB", small, sidecar, 5, "CPU units"},
		{"the limit of the task counts before the weight of its container", small, bounded, 2, "CPU units"},
		{"no CPU units", small, definition(0, 256, 0, 1), 7, "memory"},
		{"two ports of 28,229", small, definition(0, 0, 0, 2), 14114, "ports"},
		{"nothing", small, definition(0, 0, 0, 0), -1, ""},
		{"too large", small, definition(256, 1895, 0, 1), 0, "memory"},
		{"no less than nothing", Resources{CPU: -256, MemoryMiB: 256}, definition(256, 256, 0, 0), 0, "CPU units"},
	} {
		if tasks, limit := test.instance.Room(test.task.Reserves()); tasks != test.tasks || limit != test.limit {
			t.Errorf("%s: %d by %q, want %d by %q", test.name, tasks, limit, test.tasks, test.limit)
		}
	}
	if small != (Resources{CPU: 2048, MemoryMiB: 1894, Ports: 28229}) {
		t.Errorf("a t3.small registers %+v", small)
	}
}

// Tasks that do not fit on the instance wait until others have stopped, of
// whichever service.
func TestPlacement(t *testing.T) {
	reserving := func(key string, memoryMiB int) func(*ServiceSpec) {
		return func(s *ServiceSpec) {
			s.Key = key
			s.TaskDefinition.Containers[0].MemoryReservationMiB = memoryMiB
		}
	}
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.options.Instance = &Resources{CPU: 2048, MemoryMiB: 1000, Ports: 10}
		w.apply(spec("v1", 3, noBalancer, reserving("stack/First", 300)))
		if w.happened("unable to place") {
			t.Error("a task was not placed although there is room")
		}
		second := make(chan error, 1)
		go func() { second <- w.Apply(t.Context(), spec("v2", 2, noBalancer, reserving("stack/Service", 100))) }()
		time.Sleep(time.Hour)
		if n := len(w.starts("v2")); n != 1 {
			t.Errorf("%d tasks of 100 MiB were placed beside 900 of 1000 MiB, want 1", n)
		}
		told := 0
		for _, e := range w.events {
			if e.Message == "(service users) was unable to place a task because no container instance met all of its requirements. "+
				"The closest matching (container-instance local) has insufficient memory available" {
				told++
			}
		}
		if told != 1 {
			t.Errorf("it was told %d times that a task is not placed, want once: %+v", told, w.events)
		}
		select {
		case err := <-second:
			t.Errorf("steady with a task that is not placed: %v", err)
		default:
		}
		if err := w.Remove(context.Background(), "stack/First"); err != nil {
			t.Error(err)
		}
		if err := <-second; err != nil {
			t.Errorf("with room: %v", err)
		}
		if n := len(w.starts("v2")); n != 2 {
			t.Errorf("%d tasks were placed with room, want 2", n)
		}
		w.finish()
	})
}

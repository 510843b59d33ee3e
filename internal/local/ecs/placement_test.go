package ecs

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"cutover/internal/capacity"
	"cutover/internal/model"
)

func TestReserves(t *testing.T) {
	definition := func(cpu, reservationMiB, memoryMiB, ports int) *model.TaskDefinition {
		return &model.TaskDefinition{Containers: []model.Container{{CPUShares: cpu, MemoryReservationMiB: reservationMiB, MemoryMiB: memoryMiB, Ports: make([]model.Port, ports)}}}
	}
	sidecar := definition(256, 256, 0, 1)
	sidecar.Containers = append(sidecar.Containers, model.Container{CPUShares: 128, MemoryMiB: 64})
	interfaced := definition(256, 256, 0, 1)
	interfaced.NetworkMode = "awsvpc"
	bounded := definition(256, 256, 0, 1)
	bounded.Containers[0].CPULimit = 1024
	for _, test := range []struct {
		name string
		task *model.TaskDefinition
		want capacity.Resources
	}{
		{"the default task", definition(256, 256, 0, 1), capacity.Resources{CPU: 256, MemoryMiB: 256, Ports: 1}},
		{"the soft limit counts", definition(256, 256, 512, 1), capacity.Resources{CPU: 256, MemoryMiB: 256, Ports: 1}},
		{"the hard limit counts without a soft one", definition(256, 0, 512, 1), capacity.Resources{CPU: 256, MemoryMiB: 512, Ports: 1}},
		{"containers add up", sidecar, capacity.Resources{CPU: 384, MemoryMiB: 320, Ports: 1}},
		{"the limit of the task counts before the weight of its container", bounded, capacity.Resources{CPU: 1024, MemoryMiB: 256, Ports: 1}},
		{"no CPU units", definition(0, 256, 0, 1), capacity.Resources{MemoryMiB: 256, Ports: 1}},
		{"two ports", definition(0, 0, 0, 2), capacity.Resources{Ports: 2}},
		{"nothing", definition(0, 0, 0, 0), capacity.Resources{}},
		{"a network interface of its own in place of ports of the instance", interfaced, capacity.Resources{CPU: 256, MemoryMiB: 256, Interfaces: 1}},
	} {
		if got := test.task.Reserves(); got != test.want {
			t.Errorf("%s: %+v, want %+v", test.name, got, test.want)
		}
	}
}

// Tasks without room on the instance wait until tasks of any service have stopped.
func TestPlacement(t *testing.T) {
	reserving := func(key string, memoryMiB int) func(*model.Service) {
		return func(s *model.Service) {
			s.Base = at(key)
			s.TaskDefinition.Containers[0].MemoryReservationMiB = memoryMiB
		}
	}
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.options.Instance = &capacity.Resources{CPU: 2048, MemoryMiB: 1000, Ports: 10}
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

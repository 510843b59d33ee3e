package config_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"cutover/config"
)

// runsOn is the forum with one more service, tags, on a compute and on its way to the next one.
func runsOn(compute, next config.Compute, change func(*config.Service)) func(*config.Deployment) {
	s := config.Service{Name: "tags", Paths: []string{"/t"}, Order: 5, Compute: compute, Next: next}
	if change != nil {
		change(&s)
	}
	return with(s)
}

// Mistakes in the compute of a service, and in its place on the way to another one.
func TestComputeMistakes(t *testing.T) {
	size := func(cpu, memory int) config.Fargate { return config.Fargate{CPU: cpu, MemoryMiB: memory} }
	small := func(s *config.Service) { s.CPU, s.MemoryReservationMiB, s.MemoryLimitMiB = 64, 64, 128 }
	const tags = `service "tags": `
	testMistakes(t, []mistake{
		{name: "next without a compute", change: runsOn(nil, config.Fargate{}, nil), want: tags + "Next: name the compute that the service moves from, too: Compute: config.EC2{}"},
		{name: "next to EC2 from nowhere", change: runsOn(nil, config.EC2{}, nil), want: tags + "Next: name the compute that the service moves from, too: Compute: config.EC2{}"},
		{name: "next is the same", change: runsOn(config.EC2{}, config.EC2{NetworkMode: "awsvpc"}, nil), want: tags + "Next: the service is on ec2 already: to change NetworkMode, move it to Fargate and then back"},
		{name: "next is the same on Fargate", change: runsOn(config.Fargate{}, size(512, 1024), nil), want: tags + "Next: the service is on fargate already: choose another compute, or remove Next"},
		{name: "a pointer", change: runsOn(&config.Fargate{}, nil, nil), want: tags + "Compute: write EC2{}, Fargate{} or Lambda{}, which are values and no pointers"},
		{name: "no pointer", change: runsOn(config.EC2{}, (*config.Fargate)(nil), nil), want: tags + "Next: the service is on ec2 already: choose another compute, or remove Next\n" + tags + "Next: write EC2{}, Fargate{} or Lambda{}, which are values and no pointers"},
		{name: "network mode", change: runsOn(config.Fargate{}, config.EC2{NetworkMode: "host"}, nil), want: tags + `Next: EC2.NetworkMode "host": choose bridge or awsvpc`},

		{name: "CPU units", change: runsOn(size(300, 512), nil, small), want: tags + "Compute: Fargate.CPU 300: choose one of 256, 512, 1024, 2048, 4096, 8192, 16384"},
		{name: "memory", change: runsOn(size(256, 600), nil, small), want: tags + "Compute: Fargate.MemoryMiB 600: with 256 CPU units choose from 512 to 2048, as AWS lists them"},
		{name: "memory between two steps", change: runsOn(size(8192, 18432), nil, small), want: tags + "Compute: Fargate.MemoryMiB 18432: with 8192 CPU units choose from 16384 to 61440, as AWS lists them"},
		{name: "more memory than there is", change: runsOn(config.EC2{}, size(512, 5120), small), want: tags + "Next: Fargate.MemoryMiB 5120: with 512 CPU units choose from 1024 to 4096, as AWS lists them"},
		{name: "a size too small", change: runsOn(size(256, 512), nil, func(s *config.Service) { s.CPU, s.MemoryLimitMiB = 257, 512 }),
			want: tags + "Compute: no size of Fargate with CPU 256 and MemoryMiB 512 holds the containers, which reserve 257 CPU units and may use 512 MiB: raise the size, or lower what the containers have (0 is the smallest size that fits)"},
		{name: "too little memory", change: runsOn(size(256, 512), nil, func(s *config.Service) { s.MemoryLimitMiB = 513 }),
			want: tags + "Compute: no size of Fargate with CPU 256 and MemoryMiB 512 holds the containers, which reserve 256 CPU units and may use 513 MiB: raise the size, or lower what the containers have (0 is the smallest size that fits)"},
		{name: "Spot", change: func(d *config.Deployment) {
			runsOn(config.Fargate{SpotPercent: 101}, nil, nil)(d)
			d.Monolith.Compute = config.Fargate{SpotPercent: -1}
		}, want: `service "api": Compute: Fargate.SpotPercent -1: it must be from 0 to 100` + "\n" + tags + "Compute: Fargate.SpotPercent 101: it must be from 0 to 100"},
		{name: "storage", change: func(d *config.Deployment) {
			runsOn(config.Fargate{EphemeralStorageGiB: 201}, nil, nil)(d)
			d.Monolith.Compute = config.Fargate{EphemeralStorageGiB: 19}
		}, want: `service "api": Compute: Fargate.EphemeralStorageGiB 19: it must be from 21 to 200, or left out` + "\n" + tags + "Compute: Fargate.EphemeralStorageGiB 201: it must be from 21 to 200, or left out"},
		{name: "limits", change: runsOn(config.EC2{}, config.Fargate{}, func(s *config.Service) {
			s.Ulimits = []config.Ulimit{{Name: "nofile", Soft: 4096, Hard: 4096}, {Name: "nproc", Soft: 10, Hard: 10}}
		}), want: tags + `Next: container "tags": Ulimits nproc: Fargate takes nofile only`},

		{name: "a place of a service that stays", change: runsOn(config.EC2{}, config.Fargate{}, nil), context: context{"compute": "users=10%"}, want: `compute: "users" does not move to another compute: choose from tags`},
		{name: "a place, and no service moves", context: context{"compute": "users=10%"}, want: "compute: users=10%: no service moves to another compute: set Next of the service, or remove the setting"},
		{name: "no place", change: runsOn(config.EC2{}, config.Fargate{}, nil), context: context{"compute": "tags=removed"},
			want: `compute: tags: "removed" is not a place between two kinds of compute: choose one of parallel, a share as in 10%, switched or retired`},
		{name: "the first place is not named", change: runsOn(config.EC2{}, config.Fargate{}, nil), context: context{"compute": "tags=monolith"},
			want: `compute: tags: "monolith" is not a place between two kinds of compute: choose one of parallel, a share as in 10%, switched or retired`},
		{name: "a number", change: runsOn(config.EC2{}, config.Fargate{}, nil), context: context{"compute": map[string]any{"tags": 10.0}},
			want: `compute: tags: 10 is not a place: choose one of parallel, a share as in "10%", switched or retired`},
		{name: "two shares that make no weight", change: runsOn(config.EC2{}, config.Fargate{}, nil), context: context{"phase": "tags=33%", "compute": "tags=33%"},
			want: `compute: a share of "tags" cannot be a weight beside the share of traffic that its rule has: finish one of the two first, or choose shares of tens`},
		{name: "a long name", change: with(config.Service{Name: "recommendations-for-you-all", Paths: []string{"/r"}, Order: 51, Compute: config.EC2{}, Next: config.Fargate{}}),
			want: `the first load balancer: the target group's name "recommendations-for-you-all-fargate" has 35 characters: at most 32 are allowed`},
		{name: "the name of a pair", change: func(d *config.Deployment) {
			with(config.Service{Name: "users-fargate", Paths: []string{"/l"}, Order: 51})(d)
			d.Services[0].Compute = config.Fargate{}
		}, want: `service "users": on fargate it is called "users-fargate", like another service: rename one`},
		{name: "too many names", change: func(d *config.Deployment) {
			services(72)(d)
			for i := range d.Services {
				d.Services[i].Compute = config.EC2{}
			}
		}, context: context{"maxInstances": 12.0}, want: "the first load balancer: 72 of its services name their Compute: the stack that refuses a compute out of turn has room for 71, or for 29 on Lambda: put some services behind another load balancer, or remove Compute where it is EC2{}"},
	})
}

// AWS's table of sizes: the smallest that fits is taken, and every combination of the table may be given.
func TestFargateSizes(t *testing.T) {
	for _, test := range []struct {
		given, want config.Fargate
		cpu, limit  int
	}{
		{cpu: 2, limit: 7, want: config.Fargate{CPU: 256, MemoryMiB: 512}},
		{cpu: 256, limit: 513, want: config.Fargate{CPU: 256, MemoryMiB: 1024}},
		{cpu: 256, limit: 2049, want: config.Fargate{CPU: 512, MemoryMiB: 3072}},
		{cpu: 257, limit: 512, want: config.Fargate{CPU: 512, MemoryMiB: 1024}},
		{cpu: 4096, limit: 30721, want: config.Fargate{CPU: 8192, MemoryMiB: 32768}},
		{cpu: 16384, limit: 122880, want: config.Fargate{CPU: 16384, MemoryMiB: 122880}},
		{given: config.Fargate{CPU: 1024}, cpu: 2, limit: 7, want: config.Fargate{CPU: 1024, MemoryMiB: 2048}},
		{given: config.Fargate{MemoryMiB: 4096}, cpu: 2, limit: 7, want: config.Fargate{CPU: 512, MemoryMiB: 4096}},
		{given: config.Fargate{CPU: 2048, MemoryMiB: 16384, EphemeralStorageGiB: 21, SpotPercent: 100}, cpu: 2, limit: 7, want: config.Fargate{CPU: 2048, MemoryMiB: 16384, EphemeralStorageGiB: 21, SpotPercent: 100}},
		{given: config.Fargate{EphemeralStorageGiB: 200}, cpu: 2, limit: 7, want: config.Fargate{CPU: 256, MemoryMiB: 512, EphemeralStorageGiB: 200}},
	} {
		if test.want.EphemeralStorageGiB == 0 {
			test.want.EphemeralStorageGiB = 20
		}
		d := forum()
		runsOn(test.given, nil, func(s *config.Service) { s.CPU, s.MemoryReservationMiB, s.MemoryLimitMiB = test.cpu, 6, test.limit })(&d)
		d, _ = load(t, d, nil)
		if got := d.Services[2].Compute; got != test.want {
			t.Errorf("%+v for %d units and %d MiB is %+v, want %+v", test.given, test.cpu, test.limit, got, test.want)
		}
	}
}

// A list that names a compute gives the interlock names, EC2 as well. Reading the list again keeps that.
func TestNamedComputes(t *testing.T) {
	for _, test := range []struct {
		compute, next config.Compute
		want          string
	}{
		{nil, nil, ""},
		{config.EC2{}, nil, "tags=ec2"},
		{config.EC2{NetworkMode: "awsvpc"}, nil, "tags=ec2"},
		{config.Fargate{}, nil, "tags=fargate"},
		{config.EC2{}, config.Fargate{}, "tags=fargate-stopped"},
		{config.Fargate{}, config.EC2{}, "tags=ec2-stopped"},
	} {
		d := forum()
		runsOn(test.compute, test.next, nil)(&d)
		for range 2 {
			full, s, err := config.Load(d, nil, os.Getenv)
			if err != nil {
				t.Fatal(err)
			}
			if got := full.Migration().State(s.Position).Compute; got != test.want {
				t.Errorf("%v and %v: %q, want %q", test.compute, test.next, got, test.want)
			}
			d = full
		}
	}
	d := forum()
	services(71)(&d)
	for i := range d.Services {
		d.Services[i].Compute = config.EC2{}
	}
	if _, _, err := config.Load(d, context{"maxInstances": 12.0}, os.Getenv); err != nil {
		t.Errorf("71 names: %s", strings.Split(fmt.Sprint(err), "\n")[0])
	}
}

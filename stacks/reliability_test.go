package stacks_test

import (
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"

	"cutover/config"
	"cutover/deployment"
	"cutover/internal/assembly"
	"cutover/internal/golden"
	"cutover/internal/local/ecs"
	"cutover/internal/local/provider"
)

// reliabilityDocument is written by TestReliability with -update.
const reliabilityDocument = "docs/reliability.md"

// TestReliability does every fault to every service in turn, under load: whatever
// is done to one service, the others answer everything.
func TestReliability(t *testing.T) {
	if os.Getenv("CUTOVER_RELIABILITY") == "" {
		t.Skip("takes three minutes: `make reliability` runs it")
	}
	// Where all tasks are hurt alike, more of them change nothing.
	faults := map[int][]string{2: {"kill-half", "hang-half", "drain", "bad-image"}} // by tasks
	for _, kind := range ecs.FaultKinds() {
		if !strings.HasSuffix(kind.Name, "-half") {
			faults[1] = append(faults[1], kind.Name)
		}
	}
	services := names(deployment.Forum.All())
	var (
		mu       sync.Mutex
		outcomes = map[string]string{} // by tasks, fault and service
	)
	t.Run("faults", func(t *testing.T) {
		for _, tasks := range []int{1, 2} {
			d := withTasks(tasks)
			for _, service := range services {
				phase := "switched"
				if service == d.Monolith.Name {
					phase = "monolith"
				}
				phases := map[string]*assembly.Assembly{phase: synthDeployment(t, d, settings{"phase": phase})}
				t.Run(fmt.Sprintf("%s/%d", service, tasks), func(t *testing.T) {
					t.Parallel() // what is left to do is done by other processes
					args := []string{"--path", phase, "--rate", "100"}
					for _, fault := range faults[tasks] {
						args = append(args, "--fault", fault+":"+service)
					}
					report, code := rehearse(t, phases, args...)()
					if code != 3 && code != 0 || !report.Verdict.Passed {
						t.Errorf("exit code %d: %s", code, strings.Join(report.Verdict.Reasons, "\n"))
					}
					done := 0
					for _, step := range report.Steps {
						if step.Fault == nil {
							continue
						}
						done++
						if step.Fault.Own == 0 || step.Fault.OthersFailed > 0 {
							t.Errorf("%s: %+v", step.Name, *step.Fault)
						}
						recovered := 0.0
						for _, loss := range report.Losses {
							if loss.Stage == step.Name {
								recovered = max(recovered, loss.Last-step.Begin)
							}
						}
						outcome := "nothing"
						if step.Fault.OwnFailed > 0 {
							outcome = fmt.Sprintf("%d of %d, for %.1f s", step.Fault.OwnFailed, step.Fault.Own, recovered)
						}
						mu.Lock()
						outcomes[fmt.Sprint(tasks, step.Fault.Kind, service)] = outcome
						mu.Unlock()
					}
					if done != len(faults[tasks]) {
						t.Errorf("%d of %d faults were done", done, len(faults[tasks]))
					}
				})
			}
		}
	})
	if t.Failed() || !*golden.Update {
		return
	}
	var b strings.Builder
	b.WriteString(reliabilityHead)
	for _, kind := range ecs.FaultKinds() {
		lossless := ""
		if kind.Lossless {
			lossless = "; no request may be lost"
		}
		fmt.Fprintf(&b, "- `%s`: %s%s\n", kind.Name, kind.Does, lossless)
	}
	b.WriteString("\nThe tables have the lost requests of the service with the fault, and the time from the fault to the last lost request.\n")
	for _, tasks := range []int{1, 2} {
		title := "One task of each service, the default"
		if tasks > 1 {
			title = "Two tasks of each service"
		}
		fmt.Fprintf(&b, "\n## %s\n\n", title)
		fmt.Fprintf(&b, "| fault | %s |\n|---|%s\n", strings.Join(services, " | "), strings.Repeat("---|", len(services)))
		for _, fault := range faults[tasks] {
			fmt.Fprintf(&b, "| `%s` |", fault)
			for _, service := range services {
				fmt.Fprintf(&b, " %s |", outcomes[fmt.Sprint(tasks, fault, service)])
			}
			b.WriteString("\n")
		}
	}
	b.WriteString(reliabilityTail)
	if err := os.WriteFile(reliabilityDocument, []byte(b.String()), 0o644); err != nil {
		t.Fatal(err)
	}
}

// TestReliabilityOfStores does every fault to the stores of users, under a load of which a third writes, and logs what it cost.
// Whatever is done, nothing that was acknowledged is lost, and one Idempotency-Key makes one record.
func TestReliabilityOfStores(t *testing.T) {
	if os.Getenv("CUTOVER_RELIABILITY") != "stores" {
		t.Skip("slow: set CUTOVER_RELIABILITY=stores")
	}
	stores := []string{"dynamodb", "postgres"}
	outcomes := map[string]string{} // by store and fault
	for _, store := range stores {
		phases := map[string]*assembly.Assembly{"switched": synthDeployment(t, deployment.Forum, settings{"phase": "switched", "store": store})}
		args := []string{"--path", "switched", "--rate", "40", "--routes", "deployment/forum.yaml", "--writes"}
		for _, kind := range provider.StoreFaults {
			args = append(args, "--fault", kind.Name+":users")
		}
		report, code := rehearse(t, phases, args...)()
		if code != 3 && code != 0 || !report.Verdict.Passed {
			t.Errorf("%s: exit code %d: %s", store, code, strings.Join(report.Verdict.Reasons, "\n"))
		}
		for _, step := range report.Steps {
			if f := step.Fault; f != nil {
				outcomes[store+f.Kind] = fmt.Sprintf("%d of %d, and %d of others", f.OwnFailed, f.Own, f.Depending)
			}
		}
	}
	var b strings.Builder
	for _, kind := range provider.StoreFaults {
		fmt.Fprintf(&b, "\n%s: dynamodb %s; postgres %s", kind.Name, outcomes[stores[0]+kind.Name], outcomes[stores[1]+kind.Name])
	}
	t.Log(b.String())
}

// withTasks is the deployment with so many tasks of each service.
func withTasks(n int) config.Deployment {
	d := deployment.Forum
	d.Monolith.Tasks = n
	d.Services = nil
	for _, service := range deployment.Forum.Services {
		service.Tasks = n
		d.Services = append(d.Services, service)
	}
	return d
}

const reliabilityHead = `# What a fault costs

<!-- Written by "make reliability". -->

Every service gets every fault in turn, on one machine, with the deployed templates and 100 requests a second over all
routes. A fault that lasts ends after 15 seconds. The client waits 10 seconds for an answer. The api gets its faults in the
phase monolith, the other services in switched.

**In none of these runs was a request to another service lost or answered differently.** Otherwise the command that writes
this page fails.

`

const reliabilityTail = `
## What follows

- **One task.** A service that loses its only task answers 503 until ECS has started another task and the load balancer has
  found it healthy. To avoid this, give the service two tasks in ` + "`deployment/forum.go`" + `: ECS puts them in different zones.
- **A task that hangs** holds its requests until enough health checks have failed: the interval times the threshold of the
  target group. Then the load balancer sends it nothing more, and ECS replaces it.
- **A drained instance, or an image that does not run**, costs nothing. New tasks come before the old tasks go, and the
  circuit breaker returns to the last image that ran.
- **All targets unhealthy.** The load balancer fails open: it sends requests to all of them.

On AWS the same happens with other times: a new task needs an instance, and pulls its image. To cause these faults on AWS,
use AWS Fault Injection Service: ` + "`aws:ecs:stop-task`" + `, ` + "`aws:ecs:drain-container-instances`" + ` and, with the SSM agent,
` + "`aws:ecs:task-kill-process`" + `.
`

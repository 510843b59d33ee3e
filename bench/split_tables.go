package main

import (
	"fmt"
	"io"
	"math"
	"strings"

	"cutover/config"
	"cutover/internal/analysis/cost"
	"cutover/internal/assembly"
	"cutover/internal/model"
	"cutover/internal/rehearsal"
)

// figureOf is the median of a subject's figure.
func figureOf(r *results, subject, unit string) float64 {
	return r.median("Split/server="+subject, unit)
}

// shapesTable prints a column for each shape, and the ratio of the second to the first.
func shapesTable(out io.Writer, reports [2][]rehearsal.Report, built, loaded *results) {
	line := func(cells ...any) {
		fmt.Fprintln(out, strings.TrimRight(fmt.Sprintf("%-46s%11s%15s%8s", cells...), " "))
	}
	row := func(name, format string, of func(i int, s shape) float64) {
		var v [2]float64
		for i, s := range shapes {
			v[i] = of(i, s)
		}
		ratio := ""
		if v[0] != 0 {
			ratio = fmt.Sprintf("%.2f", v[1]/v[0])
		}
		line("  "+name, fmt.Sprintf(format, v[0]), fmt.Sprintf(format, v[1]), ratio)
	}
	var all [2]released
	for i := range shapes {
		all[i] = releasedBy(reports[i][0])
	}
	line("", shapes[0].name, shapes[1].name, "ratio")
	fmt.Fprintln(out, "What runs")
	row("services, each with a stack and an image", "%.0f", func(i int, _ shape) float64 { return float64(all[i].services) })
	row("tasks", "%.0f", func(i int, _ shape) float64 { return float64(all[i].tasks) })
	row("memory of all tasks before a request, MiB", "%.1f", func(_ int, s shape) (sum float64) {
		memory := map[string]float64{} // by service: a monolith has all features in one process
		for _, feature := range features {
			memory[s.of(feature.name)] = figureOf(loaded, s.name+"-"+feature.name, "idle-B") / (1 << 20)
		}
		for _, mib := range memory {
			sum += mib
		}
		return sum
	})
	row("a task from its start to its first answer, ms", "%.1f", func(_ int, s shape) float64 {
		return 1000 * figureOf(loaded, s.name+"-users", "start-sec")
	})
	fmt.Fprintln(out, "Release of a change of one line in users")
	row("to build an image, s", "%.2f", func(_ int, s shape) float64 { return built.median(s.name, "sec") })
	row("to push, compressed, MB", "%.2f", func(_ int, s shape) float64 { return built.median(s.name, "pushed-B") / 1e6 })
	row("to deploy, s", "%.1f", func(i int, _ shape) float64 { return float64(reports[i][0].Steps[0].Duration()) })
	row("tasks replaced", "%.0f", func(i int, _ shape) float64 { return float64(all[i].replaced) })
	row("requests to services with replaced tasks, %", "%.1f", func(i int, _ shape) float64 { return all[i].percent })
	row("requests lost, %", "%.1f", func(i int, _ shape) float64 { return lost(reports[i][0]) })
	fmt.Fprintln(out, "Requests to the whole forum that a fault in users loses, %")
	for j, harm := range harms {
		row(harm, "%.1f", func(i int, _ shape) float64 { return lost(reports[i][j+1]) })
	}
}

// lost is the part of the requests during the step of a report that was lost, in percent.
func lost(r rehearsal.Report) float64 {
	return 100 * float64(r.Steps[0].Lost) / float64(r.Steps[0].Requests)
}

// released is what a deployment under load replaced.
type released struct {
	services, tasks int     // before
	replaced        int     // tasks
	percent         float64 // of the requests, that services with replaced tasks answered
}

// releasedBy reads the report of a deployment: a new task is a new target.
func releasedBy(r rehearsal.Report) (all released) {
	step := r.Steps[0]
	before, replaced := map[string]bool{}, map[string]bool{}
	for _, event := range r.Events {
		switch {
		case event.State != "initial":
		case event.At < 0:
			all.tasks++
			before[event.Service] = true
		case event.At >= step.Begin && event.At <= step.End:
			all.replaced++
			replaced[event.Service] = true
		}
	}
	for service := range replaced {
		all.percent += 100 * float64(step.ByService[service]) / float64(step.Requests)
	}
	all.services = len(before)
	return all
}

// pricesTable prints the tasks and the price of a month, before and after the users get more load.
// All services of the forum have the task's size.
func pricesTable(out io.Writer, task config.Service, loaded *results, price func(s shape, assembly string, tasks map[string]int) (cost.Cents, error)) error {
	line := func(cells ...any) { fmt.Fprintf(out, "%-24s%-13s%13s%9s%18s%18s%22s\n", cells...) }
	fmt.Fprintf(out, "\nUsers get %d times the load: tasks, and US$ a month of the whole deployment\n", tenfold)
	line("requests/s of a feature", "", "CPU, µs/req", "tasks", "EC2", "Fargate", "with Service Connect")
	for _, each := range splitLoads {
		for _, s := range shapes {
			cpu := map[string]float64{}
			for _, feature := range features {
				cpu[feature.name] = figureOf(loaded, s.name+"-"+feature.name, "cpu-sec/req")
			}
			var count, onEC2, onFargate, connected [2]any // before and after
			for i, times := range []float64{1, tenfold} {
				tasks, sum := map[string]int{}, 0
				for service, vcpu := range s.demand(each, times, cpu) {
					tasks[service] = tasksFor(vcpu, task)
					sum += tasks[service]
				}
				count[i] = sum
				for assembly, cell := range map[string]*any{"before": &onEC2[i], "fargate": &onFargate[i], "connect": &connected[i]} {
					var err error
					if *cell, err = price(s, assembly, tasks); err != nil {
						return err
					}
				}
			}
			change := func(of [2]any) string { return fmt.Sprintf("%v → %v", of[0], of[1]) }
			line(fmt.Sprint(each), s.name, fmt.Sprintf("%.1f", 1e6*cpu["users"]), change(count), change(onEC2), change(onFargate), change(connected))
		}
	}
	return nil
}

// demand is the processors that each service needs for the requests per second to each feature, of
// which the users get so many times as many. A request takes the processor time of its feature, in
// seconds.
func (s shape) demand(each, times float64, cpu map[string]float64) map[string]float64 {
	vcpu := map[string]float64{}
	for _, feature := range features {
		perSecond := each
		if feature.name == "users" {
			perSecond *= times
		}
		vcpu[s.of(feature.name)] += perSecond * cpu[feature.name]
	}
	return vcpu
}

// tasksFor is how many tasks a service needs, by the part of their reserved CPU at which autoscaling
// keeps them.
func tasksFor(vcpu float64, s config.Service) int {
	each := float64(s.CPU) / 1024 * float64(s.TargetCPUPercent) / 100
	return max(s.Tasks, int(math.Ceil(vcpu/each)))
}

// monthly is what the deployment of an assembly costs in a month with so many tasks of its services.
// There are as many instances as the tasks need.
func monthly(dir string, tasks map[string]int) (cost.Cents, error) {
	a, err := assembly.Read(dir)
	if err != nil {
		return 0, err
	}
	m := model.Read(a)
	for _, service := range m.Services {
		if n, ok := tasks[model.Tag(service.Resource, "service")]; ok { // its own name on Fargate is another
			service.DesiredCount = &n
		}
	}
	for _, group := range m.AutoScalingGroups {
		group.Max = math.MaxInt
	}
	estimates, err := cost.Read(m)
	if err == nil && len(estimates) != 1 {
		err = fmt.Errorf("%s has %d environments, want 1", dir, len(estimates))
	}
	if err != nil {
		return 0, err
	}
	return estimates[0].Total, nil
}

// hops are the ways from one service to the users: the subject that is asked, and what is between.
var hops = []struct{ name, asked, between string }{{"direct", "microservices-users", ""}, {"load balancer", "balancer", "balancer"}, {"Service Connect", "proxy", "proxy"}}

// hopsTable prints a column for each way.
func hopsTable(out io.Writer, loaded *results) {
	line := func(name, format string, of func(asked, between string) any) {
		fmt.Fprintf(out, "%-36s", name)
		for _, hop := range hops {
			fmt.Fprintf(out, "%18s", fmt.Sprintf(format, of(hop.asked, hop.between)))
		}
		fmt.Fprintln(out)
	}
	fmt.Fprintln(out)
	i := -1
	line("A call to users from another process", "%s", func(string, string) any { i++; return hops[i].name })
	line("  p50, ms", "%.2f", func(asked, _ string) any { return 1e3 * figureOf(loaded, asked, "p50-sec") })
	line("  p99, ms", "%.2f", func(asked, _ string) any { return 1e3 * figureOf(loaded, asked, "p99-sec") })
	line("  CPU of what is between, µs", "%.1f", func(_, between string) any { return 1e6 * figureOf(loaded, between, "cpu-sec/req") })
	line("  memory of what is between, MiB", "%.1f", func(_, between string) any { return figureOf(loaded, between, "loaded-B") / (1 << 20) })
}

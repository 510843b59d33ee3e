package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/moby/moby/api/types/container"
	engine "github.com/moby/moby/client"
	"golang.org/x/sync/errgroup"

	prices "cutover/internal/analysis/cost"
	"cutover/internal/assembly"
	"cutover/internal/capacity"
	"cutover/internal/emulate"
	"cutover/internal/local/ecs"
	"cutover/internal/local/ecs/docker"
	"cutover/internal/model"
)

const (
	// window is how long tasks are watched: the interval of the containers' health
	// checks, so that each has one in it.
	window = 10 * time.Second
	// fillTimeout is how long it may take until an instance is full of tasks.
	fillTimeout = 3 * time.Minute
	// headroom is how many times the peak a task should reserve, and grain what
	// that is rounded up to: CPU units, and MiB.
	headroom = 2
	grain    = 64
)

// attempts is how often the load is tried on a machine that is busy.
const attempts = 3

// errBusy is the error of a load that was not what it should have been.
var errBusy = errors.New("this machine is busy with something else")

// rates are what a task is asked, in requests per second. What to reserve is
// tried for the one in the middle.
var rates = []int{1, 100, 1000}

// asked are the paths, by service.
var asked = map[string]string{"api": route, "users": route, "threads": "/api/threads/2", "posts": "/api/posts/in-thread/2"}

// measureDensity prints how many tasks fit an instance by what the templates
// reserve, how many the local target's scheduler places on one, what they take
// there, and what they should reserve by that.
func measureDensity(ctx context.Context, out io.Writer, work string) (err error) {
	specs, types, err := fromTemplates(ctx, work)
	if err != nil {
		return err
	}
	var names []string
	var reserved capacity.Resources // the most of any service
	for _, s := range specs {
		r := s.TaskDefinition.Reserves()
		reserved = capacity.Resources{CPU: max(reserved.CPU, r.CPU), MemoryMiB: max(reserved.MemoryMiB, r.MemoryMiB), Ports: max(reserved.Ports, r.Ports)}
		names = append(names, s.Name)
	}
	fmt.Fprintf(out, "A task of %s reserves %d CPU units, %d MiB and %d port. By that, this many fit an instance:\n\n",
		strings.Join(names, ", "), reserved.CPU, reserved.MemoryMiB, reserved.Ports)
	fmt.Fprint(out, roomTable(types, reserved))

	if runtime.GOOS != "linux" || runtime.GOARCH != "amd64" {
		return fmt.Errorf("%w: what tasks take is measured where their images run, on linux/amd64, and this is %s/%s", errSkipped, runtime.GOOS, runtime.GOARCH)
	}
	if missing := emulate.DockerMissing(); len(missing) > 0 {
		why := "what tasks take is measured in Docker, and this machine lacks " + strings.Join(missing, "; ")
		if os.Getenv("CI") != "" {
			return errors.New(why)
		}
		return fmt.Errorf("%w: %s", errSkipped, why)
	}
	host, stop, err := emulate.StartDocker(ctx, work)
	if err != nil {
		return err
	}
	if stop != nil {
		defer func() { err = errors.Join(err, stop()) }()
	}
	d, err := newDensity(ctx, host)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.close()) }()

	instance := registered(types[0])
	if err := d.fill(ctx, specs, instance); err != nil {
		return err
	}
	idle, err := d.watch(ctx, window, d.tasks, nothing)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "\nPlaced by the local target's scheduler, in Docker, until it refused one for want of %s:\n\n", d.refused.Load())
	fmt.Fprint(out, placedTable(types[0].name, instance, reserved, idle))
	all, tasks := total(idle), float64(len(idle))
	fmt.Fprintf(out, "\nIdle, with a health check in %v, a task took %.2f %% of a vCPU, and what the engine ran beside it for it %.2f %%.\n",
		window, 100*all.vcpu/tasks, 100*all.besideVCPU/tasks)

	needs, err := d.load(ctx)
	for range attempts - 1 {
		if errors.Is(err, errBusy) {
			needs, err = d.load(ctx)
		}
	}
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "\nUnder load for %v, all at once: the most that a task took, and beside it, and what to reserve by that, %d times\n"+
		"as much in steps of %d:\n\n", window, headroom, grain)
	fmt.Fprint(out, needsTable(types[0], needs))

	// Reserved by what they need, they are placed again.
	middle := needs[len(needs)/2]
	for i := range specs {
		definition := &specs[i].TaskDefinition
		definition.Containers = slices.Clone(definition.Containers)
		definition.Containers[0].CPUShares, definition.Containers[0].MemoryReservationMiB = middle.reserve().CPU, middle.reserve().MemoryMiB
	}
	if err := d.empty(ctx); err != nil {
		return err
	}
	if err := d.fill(ctx, specs, instance); err != nil {
		return err
	}
	if idle, err = d.watch(ctx, 0, d.tasks, nothing); err != nil {
		return err
	}
	fmt.Fprintf(out, "\nPlaced with what to reserve for %d requests per second:\n\n", middle.rate)
	fmt.Fprint(out, placedTable(types[0].name, instance, middle.reserve(), idle))
	return nil
}

// instanceType is one that the templates name.
type instanceType struct {
	name string
	capacity.Instance
	month prices.Cents
}

func registered(t instanceType) capacity.Resources { return t.Registers() }

// fromTemplates synthesizes the app and returns its services, without target
// groups, and the instance types that it prefers, in their order.
func fromTemplates(ctx context.Context, work string) (specs []ecs.ServiceSpec, types []instanceType, err error) {
	setting, err := prepare(ctx, work, "parallel", mainApp)
	if err != nil {
		return nil, nil, err
	}
	app := setting.golang("density")
	if _, err := app.run(ctx); err != nil {
		return nil, nil, err
	}
	a, err := assembly.Read(app.out)
	if err != nil {
		return nil, nil, err
	}
	if specs, err = ecs.Services(model.Read(a)); err != nil {
		return nil, nil, err
	}
	for i := range specs {
		specs[i].LoadBalancers = nil
	}
	r := assembly.NewReader(a)
	for _, group := range r.Existing("AWS::AutoScaling::AutoScalingGroup") {
		for _, override := range r.Properties(group).Field("MixedInstancesPolicy").Field("LaunchTemplate").Field("Overrides").List() {
			kind := override.Field("InstanceType")
			instance, known := capacity.InstanceOf(kind.Text(""))
			month, priced := prices.InstanceMonth(kind.Text(""))
			if !known || !priced {
				kind.Refuse("nothing is known of this instance type")
			}
			types = append(types, instanceType{kind.Text(""), instance, month})
		}
	}
	if len(specs) == 0 || len(types) == 0 {
		return nil, nil, fmt.Errorf("the templates have %d services and %d instance types: there must be some of each", len(specs), len(types))
	}
	return specs, types, r.Err()
}

// roomTable says how many tasks fit an instance by each resource alone, and by
// all of them.
func roomTable(types []instanceType, task capacity.Resources) string {
	var b strings.Builder
	line := func(cells ...any) { fmt.Fprintf(&b, "%-14s %-20s %-26s %-22s %s\n", cells...) }
	line("", "CPU units", "memory, MiB", "host ports", "tasks")
	for _, t := range types {
		has := registered(t)
		cpu, _ := has.Room(capacity.Resources{CPU: task.CPU})
		memory, _ := has.Room(capacity.Resources{MemoryMiB: task.MemoryMiB})
		ports, _ := has.Room(capacity.Resources{Ports: task.Ports})
		all, limit := has.Room(task)
		line(t.name, fmt.Sprintf("%d: %d", has.CPU, cpu), fmt.Sprintf("%d of %d: %d", has.MemoryMiB, t.MemoryMiB, memory),
			fmt.Sprintf("%d: %d", has.Ports, ports), fmt.Sprintf("%d, limited by %s", all, limit))
	}
	return b.String()
}

// density is what tasks are placed and measured with.
type density struct {
	driver    *docker.Driver
	engine    *engine.Client
	scheduler *ecs.Scheduler
	applying  sync.WaitGroup
	cancel    func() // of what is being applied
	refused   atomic.Value
	tasks     []placedTask
}

// placedTask is one that was placed.
type placedTask struct {
	service, address string
	container        string // its id
	shim             int    // the process that the engine runs for it
}

func newDensity(ctx context.Context, host string) (*density, error) {
	options := []engine.Opt{engine.FromEnv}
	if host != "" {
		options = append(options, engine.WithHost(host))
	}
	client, err := engine.New(options...)
	if err != nil {
		return nil, err
	}
	driver, err := docker.New(ctx, docker.Options{Deployment: fmt.Sprintf("bench-%d", os.Getpid()), Host: host})
	if err != nil {
		return nil, errors.Join(err, client.Close())
	}
	return &density{driver: driver, engine: client}, nil
}

func (d *density) close() error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	err := d.empty(ctx)
	_, sweepErr := d.driver.Sweep(ctx)
	return errors.Join(err, sweepErr, d.driver.Close(), d.engine.Close())
}

// fill asks for as many tasks of each service, together more than fit, and waits
// until one was refused and those run that were placed.
func (d *density) fill(ctx context.Context, specs []ecs.ServiceSpec, instance capacity.Resources) error {
	d.refused.Store("")
	d.scheduler = ecs.New(ecs.Options{Driver: d.driver, Instance: &instance, Events: func(e ecs.Event) {
		if _, lacking, found := strings.Cut(e.Message, "has insufficient "); found {
			d.refused.Store(strings.TrimSuffix(lacking, " available"))
		}
	}})
	room, _ := instance.Room(specs[0].TaskDefinition.Reserves())
	each := room/len(specs) + 1
	applying, cancel := context.WithCancel(ctx)
	d.cancel = cancel
	failed := make(chan error, len(specs))
	for _, s := range specs {
		s.DesiredCount = &each
		d.applying.Go(func() {
			if err := d.scheduler.Apply(applying, s); err != nil && applying.Err() == nil {
				failed <- err
			}
		})
	}
	deadline := time.After(fillTimeout)
	for tick := time.NewTicker(50 * time.Millisecond); ; {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case err := <-failed:
			return err
		case <-deadline:
			return fmt.Errorf("the instance is not full after %v: %+v", fillTimeout, d.scheduler.Status())
		case <-tick.C:
		}
		pending := 0
		for _, s := range d.scheduler.Status() {
			pending += s.PendingCount
		}
		if pending == 0 && d.refused.Load() != "" {
			tick.Stop()
			return d.find(ctx)
		}
	}
}

// find looks up the containers of the tasks that run.
func (d *density) find(ctx context.Context) error {
	d.tasks = nil
	for _, s := range d.scheduler.Status() {
		for _, t := range s.Tasks {
			c := t.Containers[0]
			found := placedTask{service: s.Name, container: c.RuntimeID}
			for _, address := range c.Addresses {
				found.address = address
			}
			inspected, err := d.engine.ContainerInspect(ctx, c.RuntimeID, engine.ContainerInspectOptions{})
			if err != nil {
				return err
			}
			if found.shim, err = parent(inspected.Container.State.Pid, s.Name); err != nil {
				return err
			}
			d.tasks = append(d.tasks, found)
		}
	}
	return nil
}

// empty stops all tasks.
func (d *density) empty(ctx context.Context) error {
	if d.scheduler == nil {
		return nil
	}
	d.cancel()
	d.applying.Wait()
	scheduler := d.scheduler
	d.scheduler, d.tasks = nil, nil
	var group errgroup.Group
	for _, s := range scheduler.Status() {
		group.Go(func() error { return scheduler.Remove(ctx, s.Key) })
	}
	return group.Wait()
}

// usage is what a process takes, or a task: its container, and what the engine runs
// beside it for it, a shim and with each health check a runc.
type usage struct {
	memoryMiB, besideMiB float64
	cpu, besideCPU       time.Duration // so far
	at                   time.Time
}

// use measures a task now.
func (d *density) use(ctx context.Context, t placedTask) (usage, error) {
	result, err := d.engine.ContainerStats(ctx, t.container, engine.ContainerStatsOptions{})
	if err != nil {
		return usage{}, err
	}
	defer result.Body.Close()
	var stats container.StatsResponse
	if err := json.NewDecoder(result.Body).Decode(&stats); err != nil {
		return usage{}, err
	}
	// Without the file cache that the kernel would drop first, as docker stats has it.
	memory := stats.MemoryStats.Usage
	cache, found := stats.MemoryStats.Stats["total_inactive_file"] // cgroup v1
	if !found {
		cache = stats.MemoryStats.Stats["inactive_file"]
	}
	memory -= min(memory, cache)
	u := usage{memoryMiB: float64(memory) / (1 << 20), cpu: time.Duration(stats.CPUStats.CPUUsage.TotalUsage), at: stats.Read}
	if u.besideMiB, err = proportional(t.shim); err != nil {
		return u, err
	}
	u.besideCPU, err = withChildren(t.shim)
	return u, err
}

// observed is what a task took in a window: the most memory, and of processor
// time the vCPUs that it had on average.
type observed struct {
	memoryMiB, besideMiB float64
	vcpu, besideVCPU     float64
}

// total is that of several tasks.
func total(tasks []observed) (sum observed) {
	for _, o := range tasks {
		sum.memoryMiB += o.memoryMiB
		sum.besideMiB += o.besideMiB
		sum.vcpu += o.vcpu
		sum.besideVCPU += o.besideVCPU
	}
	return sum
}

// most is the most of each that there is in either.
func most(a, b observed) observed {
	return observed{max(a.memoryMiB, b.memoryMiB), max(a.besideMiB, b.besideMiB), max(a.vcpu, b.vcpu), max(a.besideVCPU, b.besideVCPU)}
}

// nothing is done to an idle task.
func nothing(context.Context, int) error { return nil }

// watch measures tasks for a while, in which something is done to each of them
// that should take no longer. In no time at all, there is only their memory.
func (d *density) watch(ctx context.Context, window time.Duration, tasks []placedTask, do func(ctx context.Context, i int) error) ([]observed, error) {
	all, first, last := make([]observed, len(tasks)), make([]usage, len(tasks)), make([]usage, len(tasks))
	// All at once: the engine takes a second to answer for one.
	sample := func() error {
		var group errgroup.Group
		for i, t := range tasks {
			group.Go(func() error {
				u, err := d.use(ctx, t)
				if err != nil {
					return fmt.Errorf("a task of %s: %w", t.service, err)
				}
				all[i] = most(all[i], observed{memoryMiB: u.memoryMiB, besideMiB: u.besideMiB})
				if first[i].at.IsZero() {
					first[i] = u
				}
				last[i] = u
				return nil
			})
		}
		return group.Wait()
	}
	if err := sample(); err != nil {
		return nil, err
	}
	group, doing := errgroup.WithContext(ctx)
	for i := range tasks {
		group.Go(func() error { return do(doing, i) })
	}
	for end := time.Now().Add(window); time.Now().Before(end); {
		if err := sample(); err != nil {
			return nil, errors.Join(err, group.Wait())
		}
	}
	for i := range all {
		took := last[i].at.Sub(first[i].at).Seconds()
		if took == 0 { // watched for no more than a moment
			continue
		}
		all[i].vcpu = (last[i].cpu - first[i].cpu).Seconds() / took
		all[i].besideVCPU = (last[i].besideCPU - first[i].besideCPU).Seconds() / took
	}
	return all, group.Wait()
}

// load asks all tasks at once, at the rates in turn, and returns the most that
// one of them took at each.
func (d *density) load(ctx context.Context) ([]need, error) {
	if len(d.tasks) < len(rates) {
		return nil, fmt.Errorf("%d tasks were placed: there must be one for each of %d rates", len(d.tasks), len(rates))
	}
	all, err := d.watch(ctx, window, d.tasks, func(ctx context.Context, i int) error {
		rate, t := rates[i%len(rates)], d.tasks[i]
		c := newClient(t.address)
		defer c.http.CloseIdleConnections()
		c.path = asked[t.service]
		// As from a load balancer, which does not open a connection for each
		// request that has to wait while the machine is busy with something else.
		c.http.Transport.(*http.Transport).MaxConnsPerHost = connections
		_, err := c.openLoop(ctx, rate, window)
		want := float64(rate) * window.Seconds()
		if sent := float64(c.sent.Load()); err == nil && sent < 0.9*want {
			err = fmt.Errorf("%w: only %.0f of %.0f requests could be sent", errBusy, sent, want)
		}
		if err != nil {
			return fmt.Errorf("a task of %s at %d requests per second: %w", t.service, rate, err)
		}
		return nil
	})
	needs := make([]need, len(rates))
	for i, o := range all {
		n := &needs[i%len(rates)]
		n.rate, n.observed = rates[i%len(rates)], most(n.observed, o)
	}
	return needs, err
}

// need is what a task needs at a rate.
type need struct {
	rate int
	observed
}

// reserve is what a task should reserve by that.
func (n need) reserve() capacity.Resources {
	up := func(peak float64) int { return grain * int(math.Ceil(headroom*peak/grain)) }
	return capacity.Resources{CPU: up((n.vcpu + n.besideVCPU) * 1024), MemoryMiB: up(n.memoryMiB + n.besideMiB), Ports: 1}
}

// needsTable says what tasks need, what they should reserve and how many fit an
// instance then.
func needsTable(t instanceType, needs []need) string {
	var b strings.Builder
	line := func(cells ...any) {
		fmt.Fprintf(&b, "%-11s %-14s %-17s %-19s %-28s %-20s %s\n", cells...)
	}
	line("requests/s", "memory, MiB", "CPU, % of a vCPU", "reserve", "tasks on a "+t.name, "CPU of them, vCPU", "US$ a month for each")
	for _, n := range needs {
		tasks, limit := registered(t).Room(n.reserve())
		line(fmt.Sprint(n.rate), fmt.Sprintf("%.1f and %.1f", n.memoryMiB, n.besideMiB), fmt.Sprintf("%.2f and %.2f", 100*n.vcpu, 100*n.besideVCPU),
			fmt.Sprintf("%d units, %d MiB", n.reserve().CPU, n.reserve().MemoryMiB), fmt.Sprintf("%d, limited by %s", tasks, limit),
			fmt.Sprintf("%.2f", float64(tasks)*(n.vcpu+n.besideVCPU)), fmt.Sprintf("%.2f", float64(t.month)/100/float64(max(1, tasks))))
	}
	return b.String()
}

// placedTable says what the tasks on an instance reserve, and what memory they
// take.
func placedTable(name string, instance, task capacity.Resources, tasks []observed) string {
	var b strings.Builder
	line := func(cells ...any) { fmt.Fprintf(&b, "%-26s %-14s %s\n", cells...) }
	n, sum := len(tasks), total(tasks)
	line("", "CPU units", "memory, MiB")
	line(name, fmt.Sprint(instance.CPU), fmt.Sprint(instance.MemoryMiB))
	line(fmt.Sprintf("reserved by %d tasks", n), fmt.Sprint(n*task.CPU), fmt.Sprint(n*task.MemoryMiB))
	line("taken by them", "", fmt.Sprintf("%.0f", sum.memoryMiB))
	line("taken beside them", "", fmt.Sprintf("%.0f", sum.besideMiB))
	return b.String()
}

// parent returns the process that started a container's first one, of which the
// command is known.
func parent(pid int, command string) (int, error) {
	stat, err := processStat(pid)
	if err != nil {
		return 0, fmt.Errorf("%w: the container's processes are not this machine's: %w", errSkipped, err)
	}
	if stat.command != command {
		return 0, fmt.Errorf("%w: the engine says that process %d is a container's %s, and here it is %s: it runs on another machine", errSkipped, pid, command, stat.command)
	}
	return strconv.Atoi(stat.fields[1])
}

// tick is the unit of processor time in /proc/PID/stat, USER_HZ, which is the
// same for all of Linux's architectures that Go has.
const tick = 10 * time.Millisecond

// withChildren is the processor time of a process and of all its children that
// have ended.
func withChildren(pid int) (time.Duration, error) {
	stat, err := processStat(pid)
	if err != nil {
		return 0, err
	}
	var sum time.Duration
	for _, field := range stat.fields[11:15] {
		ticks, err := strconv.Atoi(field)
		if err != nil {
			return 0, fmt.Errorf("process %d: %w", pid, err)
		}
		sum += time.Duration(ticks) * tick
	}
	return sum, nil
}

// processStatus has the fields from the state on.
type processStatus struct {
	command string
	fields  []string
}

// processStat reads /proc/PID/stat (https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html).
func processStat(pid int) (processStatus, error) {
	file := filepath.Join("/proc", strconv.Itoa(pid), "stat")
	text, err := os.ReadFile(file)
	if err != nil {
		return processStatus{}, err
	}
	// The command may have any character in it.
	open, end := bytes.IndexByte(text, '('), bytes.LastIndexByte(text, ')')
	fields := strings.Fields(string(text[end+1:]))
	if open < 0 || end < open || len(fields) < 15 {
		return processStatus{}, fmt.Errorf("%s: %q is not understood", file, text)
	}
	return processStatus{string(text[open+1 : end]), fields}, nil
}

// proportional is the memory of a process in MiB, where what it shares with
// others is divided by their number.
func proportional(pid int) (float64, error) {
	file := filepath.Join("/proc", strconv.Itoa(pid), "smaps_rollup")
	text, err := os.ReadFile(file)
	if err != nil {
		return 0, err
	}
	var kiB float64
	_, after, found := bytes.Cut(text, []byte("\nPss:"))
	if _, err := fmt.Sscan(string(after), &kiB); err != nil || !found {
		return 0, cmp.Or(err, fmt.Errorf("%s has no Pss: %q", file, text))
	}
	return kiB / 1024, nil
}

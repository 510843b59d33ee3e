// Package local runs a synthesized cloud assembly on this machine: its load
// balancers, target groups and ECS services, as the templates describe them and
// with nothing else to go by.
//
// A [Runner] is one local deployment. It owns a directory, in which only one
// runner at a time can be, and deploys assemblies one after the other, each an
// update of what runs. A [Client] talks to a runner in another process.
package local

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gofrs/flock"

	"cutover/internal/assembly"
	"cutover/internal/local/alb"
	"cutover/internal/local/ecs"
)

// Driver runs containers and can end those that an earlier run left behind.
type Driver interface {
	ecs.Driver
	Sweep(ctx context.Context) (ended []string, err error)
}

// Options says how an assembly is run.
type Options struct {
	// Dir is the deployment's directory. Required.
	Dir string
	// Driver makes what runs the containers, with a directory of its own. Required.
	Driver func(ctx context.Context, dir string) (Driver, error)
	// Ports gives listeners a local port, by the port in the template; 0 is any
	// that is free. The first assembly must have these listeners. Where several load
	// balancers listen on one port, the first one has it, by the name of its stack,
	// and each further one the next port. Default: [LocalPort].
	Ports map[int]int
	// FreePorts gives all other listeners any port that is free.
	FreePorts bool
	// Replaced names containers that the driver runs a command in place of. The
	// first assembly must have them. Default: none.
	Replaced []string
	// ScalingPeriod is the time that autoscaling measures over, which shortens or
	// lengthens all of its times with it. Default: a minute, as on AWS.
	ScalingPeriod time.Duration
	// Events is called with everything that happens, one at a time and in its
	// order; it must return at once and call no method of the runner. Default:
	// nobody is told.
	Events func(Event)
	// Exchanges is called for every request when it is over. Default: nobody is told.
	Exchanges func(alb.Exchange)
}

// LocalPort is where a listener answers on this machine: one that needs no
// privileges, 8080 for 80 and 8443 for 443.
func LocalPort(port int) int {
	if port < 1024 {
		return 8000 + port
	}
	return port
}

// Event is something that happened.
type Event struct {
	Time time.Time `json:"time"`
	// Kind is stack, service, deployment, scaling, task, health, container or target.
	Kind string `json:"kind"`
	// Subject is the name of what it is about: a stack, or a service.
	Subject string `json:"subject"`
	// Task is the id of the task, if it is about one.
	Task string `json:"task,omitempty"`
	// State is what it is now, in AWS's words. Empty if nothing changed.
	State   string `json:"state,omitempty"`
	Message string `json:"message,omitempty"`
}

// socket is where a listener takes connections, and what it was opened for.
type socket struct {
	net.Listener
	port     int // in the template
	protocol string
}

// Runner is one local deployment.
type Runner struct {
	options   Options
	lock      *flock.Flock
	driver    Driver
	balancer  *alb.Balancer
	scheduler *ecs.Scheduler
	accessLog *os.File
	logs      *os.File

	deploying   atomic.Bool
	configuring sync.Mutex // held while the load balancers are configured
	telling     sync.Mutex // held while an event is told
	groupNames  sync.Map   // of target groups, by key: they are asked for at every request
	traffic     *traffic

	mu        sync.Mutex
	deployed  *desired          // what the last deployment reached or is on its way to
	parts     map[string]part   // what runs, by stack
	order     []string          // the stacks that run, in the order in which they came
	serving   map[string]string // the name of the service behind a target group, by the group's key
	held      map[string]string // the resource that holds an SSM parameter, by the parameter's name
	listening map[string]socket
	snapshots int
	watchers  map[chan Event]bool
}

// ErrRunning says that a runner has the directory already.
var ErrRunning = errors.New("a deployment is running already")

// Start takes the directory, ends what an earlier runner left behind, and returns
// a runner that runs nothing yet. It fails with [ErrRunning] if there is one.
func Start(ctx context.Context, options Options) (*Runner, error) {
	var err error
	if options.Dir, err = filepath.Abs(options.Dir); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(options.Dir, 0o755); err != nil {
		return nil, fmt.Errorf("cannot make the deployment's directory: %w", err)
	}
	lock := flock.New(filepath.Join(options.Dir, "lock"))
	if ok, err := lock.TryLock(); err != nil {
		return nil, fmt.Errorf("cannot lock %s: %w", options.Dir, err)
	} else if !ok {
		return nil, fmt.Errorf("%w in %s", ErrRunning, options.Dir)
	}
	r := &Runner{
		options: options, lock: lock, traffic: newTraffic(),
		parts: map[string]part{}, serving: map[string]string{}, held: map[string]string{}, listening: map[string]socket{}, watchers: map[chan Event]bool{},
	}
	if err := r.start(ctx); err != nil {
		return nil, errors.Join(err, r.release())
	}
	return r, nil
}

func (r *Runner) start(ctx context.Context) (err error) {
	if r.driver, err = r.options.Driver(ctx, filepath.Join(r.options.Dir, "tasks")); err != nil {
		return err
	}
	ended, err := r.driver.Sweep(ctx)
	if err != nil {
		return fmt.Errorf("cannot end what an earlier run left behind: %w", err)
	}
	if len(ended) > 0 {
		r.tell(Event{Kind: "stack", Subject: "local", Message: "ended what an earlier run left behind: " + strings.Join(ended, ", ")})
	}
	// The last run's assemblies are nobody's now.
	if err := os.RemoveAll(filepath.Join(r.options.Dir, "assemblies")); err != nil {
		return err
	}
	if r.accessLog, err = os.Create(filepath.Join(r.options.Dir, "access.log")); err != nil {
		return err
	}
	if r.logs, err = os.Create(LogFile(r.options.Dir)); err != nil {
		return err
	}
	r.balancer, err = alb.New(alb.Options{AccessLog: r.accessLog, Events: r.target, Exchanges: r.exchange})
	if err != nil {
		return err
	}
	r.scheduler = ecs.New(ecs.Options{
		Driver: r.driver, Balancer: targets{r.balancer}, ScalingPeriod: r.options.ScalingPeriod, Requests: r.traffic.taken, Events: r.ecsEvent, Logs: r.log,
	})
	return nil
}

// Stop stops everything as ECS does, tasks that answer requests first finishing
// those, and gives the directory up. When the context ends, what is left is cut
// off; its error is the context's then.
func (r *Runner) Stop(ctx context.Context) error {
	var stopping sync.WaitGroup
	for _, service := range r.scheduler.Status() {
		stopping.Go(func() { r.scheduler.Remove(ctx, service.Key) })
	}
	stopping.Wait()
	return errors.Join(r.balancer.Shutdown(ctx), r.release())
}

func (r *Runner) release() error {
	var errs []error
	for _, file := range []io.Closer{r.accessLog, r.logs} {
		if file != (*os.File)(nil) {
			errs = append(errs, file.Close())
		}
	}
	return errors.Join(append(errs, r.lock.Unlock())...)
}

// tell hands an event to everybody who wants to know.
func (r *Runner) tell(e Event) {
	if e.Time.IsZero() {
		e.Time = time.Now()
	}
	// Together, so that everybody is told in one order.
	r.telling.Lock()
	defer r.telling.Unlock()
	if r.options.Events != nil {
		r.options.Events(e)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for watcher := range r.watchers {
		select {
		case watcher <- e:
		default: // a watcher that does not keep up misses events, and nobody waits for it
		}
	}
}

// watch returns a channel of the events from now on, and a function that ends it.
func (r *Runner) watch() (<-chan Event, func()) {
	events := make(chan Event, 1024)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.watchers[events] = true
	return events, func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		delete(r.watchers, events)
	}
}

func (r *Runner) ecsEvent(e ecs.Event) {
	r.tell(Event{Time: e.Time, Kind: string(e.Kind), Subject: e.ServiceName, Task: e.Task, State: e.State, Message: e.Message})
}

// target passes the health of a target on to ECS.
func (r *Runner) target(e alb.Event) {
	r.traffic.target(e)
	r.scheduler.TargetHealth(e.Group, e.Target, ecs.TargetHealth(e.To.String()))
	r.tell(Event{Time: e.Time, Kind: "target", Subject: r.GroupName(e.Group), Task: e.Target, State: e.To.String(), Message: e.Description})
}

// GroupName is the name of a target group, by its key; the key if there is none.
func (r *Runner) GroupName(key string) string {
	if name, ok := r.groupNames.Load(key); ok {
		return name.(string)
	}
	return key
}

// ServiceName is the name of the service whose tasks are in a target group, by the
// group's key. A service behind several load balancers has a group at each. The
// group's own name if no service is behind it.
func (r *Runner) ServiceName(key string) string {
	r.mu.Lock()
	name := r.serving[key]
	r.mu.Unlock()
	return cmp.Or(name, r.GroupName(key))
}

// targets is the load balancer as ECS knows it.
type targets struct{ *alb.Balancer }

func (t targets) Register(group, id, address string) error {
	return t.Balancer.Register(group, alb.Target{ID: id, Address: address})
}

// snapshot copies an assembly into the deployment's directory, so that what runs
// does not change under it, and reads it.
func (r *Runner) snapshot(dir string) (*assembly.Assembly, error) {
	// Without one it is no assembly, and may be anything else to copy.
	if _, err := os.Stat(filepath.Join(dir, "manifest.json")); err != nil {
		if _, err := assembly.Read(dir); err != nil {
			return nil, err
		}
	}
	r.snapshots++
	copied := filepath.Join(r.options.Dir, "assemblies", fmt.Sprint(r.snapshots))
	last := ""
	if deployed := r.Assembly(); deployed != nil {
		last = deployed.Dir
	}
	if err := copyAssembly(dir, copied, last); err != nil {
		return nil, errors.Join(fmt.Errorf("cannot copy the assembly: %w", err), os.RemoveAll(copied))
	}
	a, err := assembly.Read(copied)
	if err != nil {
		if _, own := assembly.Read(dir); own != nil {
			err = own // which names the files that somebody knows
		}
		return nil, errors.Join(err, os.RemoveAll(copied))
	}
	return a, nil
}

// Assembly is the one that the last deployment reached or is on its way to, nil
// before the first.
func (r *Runner) Assembly() *assembly.Assembly {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.deployed == nil {
		return nil
	}
	return r.deployed.assembly
}

// copyAssembly copies an assembly. Assets that the last copy has are linked to
// it: their names are hashes of what is in them, and all phases of a deployment
// have the same images, which are most of an assembly's bytes.
func copyAssembly(from, to, last string) error {
	if err := os.MkdirAll(to, 0o755); err != nil {
		return err
	}
	entries, err := os.ReadDir(from)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		source, target := filepath.Join(from, entry.Name()), filepath.Join(to, entry.Name())
		known := filepath.Join(last, entry.Name())
		info, err := os.Stat(known)
		switch {
		case last != "" && err == nil && info.IsDir() && strings.HasPrefix(entry.Name(), "asset."):
			err = linkTree(known, target)
		case entry.IsDir():
			err = os.CopyFS(target, os.DirFS(source))
		default:
			var text []byte
			if text, err = os.ReadFile(source); err == nil {
				err = os.WriteFile(target, text, 0o644)
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// linkTree makes a directory of the same files as another.
func linkTree(from, to string) error {
	return filepath.WalkDir(from, func(name string, entry os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		relative, err := filepath.Rel(from, name)
		if err != nil {
			return err
		}
		if entry.IsDir() {
			return os.Mkdir(filepath.Join(to, relative), 0o755)
		}
		return os.Link(name, filepath.Join(to, relative))
	})
}

// served returns the sockets of listeners that are configured now, by listener.
func (r *Runner) served() map[string]string {
	r.mu.Lock()
	defer r.mu.Unlock()
	addresses := map[string]string{}
	for key, listener := range r.listening {
		addresses[key] = listener.Addr().String()
	}
	return addresses
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

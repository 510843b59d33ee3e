// Package local runs a synthesized cloud assembly on this machine, from its templates alone.
//
// A [Runner] is one local deployment. The runner owns a directory, which has one runner at a time.
// It deploys assemblies one after the other, each as an update of what runs. A [provider.Provider]
// stands for each kind of resource; the list is in providers.go. A [Client] talks to a runner in
// another process.
package local

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
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
	"cutover/internal/local/backing/access"
	"cutover/internal/local/backing/broker"
	"cutover/internal/local/backing/client"
	"cutover/internal/local/backing/programs"
	"cutover/internal/local/discovery"
	"cutover/internal/local/ecs"
	"cutover/internal/local/eventbridge"
	"cutover/internal/local/lambda"
	"cutover/internal/local/provider"
	"cutover/internal/local/secrets"
	"cutover/internal/model"
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
	// Ports and FreePorts say where listeners answer. See [alb.Ports].
	Ports     map[int]int
	FreePorts bool
	// APIPort is where the first API of API Gateway answers. See [apigateway.Options].
	APIPort int
	// DistributionPort is where the first distribution of CloudFront answers. See [cloudfront.Options].
	DistributionPort int
	// Replaced names containers that the driver replaces by a command, and target groups that exist already, for which it
	// starts one. The first assembly must have them. Default: none.
	Replaced []string
	// Targets are programs that run already and stand for target groups that exist already, by the group's name. See
	// [alb.StandIns].
	Targets map[string]*url.URL
	// Values are what containers get for resources that no provider stands for: by
	// "stack/logical id", or "stack/logical id.attribute". Default: none.
	Values map[string]string
	// Secrets gives the values of secrets by the name of the variable, or by "container.variable". It is
	// called for each deployment. SecretsFile is where the user writes them. Default: none.
	Secrets     func() (map[string]string, error)
	SecretsFile string
	// Without names containers that are left out. The first assembly must have them. Default: none.
	Without []string
	// ScalingPeriod is the length of autoscaling's minute. All times of autoscaling shrink or grow
	// with it. Default: a minute, as on AWS.
	ScalingPeriod time.Duration
	// Events is called with every event, one after the other. The function must return at once and
	// call no method of the runner. Default: none.
	Events func(Event)
	// Exchanges is called for every request at its end. Default: none.
	Exchanges func(alb.Exchange)

	kinds []func(*Runner) provider.Provider // default: kinds
}

// StandIns are what stands for target groups that exist already.
func (o Options) StandIns() alb.StandIns {
	return alb.StandIns{Targets: o.Targets, Commands: o.Replaced}
}

// Event is something that happened.
type Event = provider.Event

// Warning is the state of an event about something that runs, but not as it should.
const Warning = provider.Warning

// Runner is one local deployment.
type Runner struct {
	options   Options
	lock      *flock.Flock
	accessLog *os.File
	logs      *os.File
	traffic   *traffic

	// providers stand for the resources. The runner itself knows four: load balancers have routes
	// and canaries, services have faults, schedules have tasks to run now, and services find each other by names.
	providers []provider.Provider
	balancers *alb.Provider
	functions *lambda.Provider
	names     *discovery.Provider
	services  *ecs.Provider
	schedules *eventbridge.Provider
	access    *access.Access
	secrets   *secrets.Secrets
	brokers   *broker.Provider

	deploying atomic.Bool
	telling   sync.Mutex // held while an event is told

	mu        sync.Mutex
	deployed  *assembly.Assembly // by the last deployment, complete or not
	warnings  []string           // about it
	over      []provider.PassedOver
	elsewhere map[string]int // resources for which nothing stands, by type
	stacks    []*stack       // that run, the oldest first
	snapshots int
	watchers  map[chan Event]bool
}

// ErrRunning says that a runner has the directory already.
var ErrRunning = errors.New("a deployment is running already")

// MakeDir makes a deployment's directory, which only this user may read: it has the environment and
// the output of the containers, and the socket that controls the deployment. If the directory is
// there, MakeDir takes the rights of others away. The error says that the directory belongs to
// somebody else, or that everybody may write there, as in /tmp. Git ignores a directory that MakeDir
// makes: secrets may be written there.
func MakeDir(dir string) error {
	_, err := os.Stat(dir)
	isNew := errors.Is(err, fs.ErrNotExist)
	if err = os.MkdirAll(dir, 0o700); err == nil && isNew {
		err = os.WriteFile(filepath.Join(dir, ".gitignore"), []byte("*\n"), 0o600)
	}
	if err != nil {
		return fmt.Errorf("cannot make the deployment's directory: %w", err)
	}
	info, err := os.Stat(dir)
	switch {
	case err != nil:
	case !info.IsDir():
		err = errors.New("it is not a directory")
	case info.Mode()&os.ModeSticky != 0:
		err = errors.New("others use it, too: choose a directory below it")
	case info.Mode().Perm() != 0o700:
		err = os.Chmod(dir, 0o700)
	}
	if err != nil {
		return fmt.Errorf("the deployment's directory %s cannot be kept from others: %w", dir, err)
	}
	return nil
}

// Start takes the directory, ends what an earlier runner left behind, and returns a runner without
// stacks. The error is [ErrRunning] if the directory has a runner.
func Start(ctx context.Context, options Options) (*Runner, error) {
	var err error
	if options.Dir, err = filepath.Abs(options.Dir); err != nil {
		return nil, err
	}
	if err := MakeDir(options.Dir); err != nil {
		return nil, err
	}
	lock := flock.New(filepath.Join(options.Dir, "lock"))
	if ok, err := lock.TryLock(); err != nil {
		return nil, fmt.Errorf("cannot lock %s: %w", options.Dir, err)
	} else if !ok {
		return nil, fmt.Errorf("%w in %s", ErrRunning, options.Dir)
	}
	r := &Runner{options: options, lock: lock, traffic: newTraffic(), watchers: map[chan Event]bool{}}
	if r.options.kinds == nil {
		r.options.kinds = kinds
	}
	if err := r.start(ctx); err != nil {
		return nil, errors.Join(err, r.release())
	}
	return r, nil
}

func (r *Runner) start(ctx context.Context) error {
	driver, err := r.options.Driver(ctx, filepath.Join(r.options.Dir, "tasks"))
	if err != nil {
		return err
	}
	ended, err := driver.Sweep(ctx)
	if err != nil {
		return fmt.Errorf("cannot end what an earlier run left behind: %w", err)
	}
	if len(ended) > 0 {
		r.tell(Event{Kind: "stack", Subject: "local", Message: "ended what an earlier run left behind: " + strings.Join(ended, ", ")})
	}
	// Nothing uses the assemblies and the functions of the last run.
	functions := filepath.Join(r.options.Dir, "functions")
	if err := errors.Join(os.RemoveAll(filepath.Join(r.options.Dir, "assemblies")), os.RemoveAll(functions)); err != nil {
		return err
	}
	if r.accessLog, err = os.Create(filepath.Join(r.options.Dir, "access.log")); err != nil {
		return err
	}
	if r.logs, err = os.Create(logFile(r.options.Dir)); err != nil {
		return err
	}
	r.access = access.New()
	r.secrets = secrets.New(dataDir(r.options.Dir))
	r.brokers = broker.New(dataDir(r.options.Dir), broker.Options{Resolve: r.secrets.Resolve, Secrets: r.options.Secrets, Events: r.tell})
	r.functions = lambda.New(lambda.Options{
		Dir: functions, Access: r.access, Tasks: func(m *model.Model, text provider.Text) *ecs.Tasks { return r.services.Tasks(m, text) },
		Driver: driver, Replaced: r.options.Replaced, Events: r.tell, Logs: r.log,
	})
	balancer, err := alb.New(alb.Options{AccessLog: r.accessLog, Events: r.targetChanged, Exchanges: r.exchange, Functions: r.functions})
	if err != nil {
		return err
	}
	r.balancers = alb.NewProvider(balancer, alb.Ports{Local: r.options.Ports, Free: r.options.FreePorts}, r.options.StandIns(), r.tell)
	r.names = discovery.New(r.tell)
	r.services = ecs.NewProvider(ecs.New(ecs.Options{
		Driver: driver, Balancer: balancer, Discovery: r.names, Access: r.access, ScalingPeriod: r.options.ScalingPeriod, Requests: r.traffic.requestsTaken, Messages: client.New(r.access.UserVariables).Visible, Events: r.tell, Logs: r.log,
	}), ecs.Given{Replaced: r.options.Replaced, Without: r.options.Without, Secrets: r.options.Secrets, SecretsFile: r.options.SecretsFile, Managed: r.secret})
	r.schedules = eventbridge.New(r.services, r.tell)
	for _, kind := range r.options.kinds {
		r.providers = append(r.providers, kind(r))
	}
	return nil
}

// secret is the value of a secret of an assembly.
func (r *Runner) secret(m *model.Model, text provider.Text, s *model.ManagedSecret) (string, error) {
	value, err := r.secrets.Value(m, text, s)
	return r.brokers.Plain(value), err
}

// Stop stops everything and gives the directory up. Tasks first finish their requests, as on ECS.
// If the context ends, Stop cuts off the rest and returns the context's error.
func (r *Runner) Stop(ctx context.Context) error {
	var errs []error
	for _, p := range slices.Backward(r.providers) {
		errs = append(errs, p.Stop(ctx))
	}
	return errors.Join(append(errs, r.release())...)
}

func (r *Runner) release() error {
	var errs []error
	for _, file := range []*os.File{r.accessLog, r.logs} {
		if file != nil {
			errs = append(errs, file.Close())
		}
	}
	return errors.Join(append(errs, r.lock.Unlock())...)
}

// tell hands an event to all watchers.
func (r *Runner) tell(e Event) {
	if e.Time.IsZero() {
		e.Time = time.Now()
	}
	// One event after the other, so that all watchers see the same order.
	r.telling.Lock()
	defer r.telling.Unlock()
	if e.Task != "" && (e.Kind == "discovery" || e.State == Warning) {
		r.log(ecs.LogLine{Time: e.Time, ServiceName: e.Subject, Task: e.Task, Stream: ecs.OwnStream, Text: e.Message})
	}
	if r.options.Events != nil {
		r.options.Events(e)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for watcher := range r.watchers {
		select {
		case watcher <- e:
		default: // a watcher that does not keep up misses events: nothing waits for it
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

// targetChanged passes the health of a target on to ECS.
func (r *Runner) targetChanged(e alb.Event) {
	r.traffic.noteHealth(e)
	r.services.TargetHealth(e.Group, e.Target, ecs.TargetHealth(e.To))
	r.tell(Event{Time: e.Time, Kind: "target", Subject: r.ServiceName(e.Group), Task: e.Target, State: string(e.To), Message: e.Description})
}

// ServiceName is the name of the service of a target group, by the group's key, or else the group's
// own name. A service behind several load balancers has a group at each.
func (r *Runner) ServiceName(key string) string {
	return cmp.Or(r.services.ServiceName(key), r.balancers.GroupName(key))
}

// RunTask runs the tasks of a schedule now, by its name. See [eventbridge.Provider.RunTask].
func (r *Runner) RunTask(ctx context.Context, name string) error {
	return r.schedules.RunTask(ctx, name)
}

// Run runs a command in a task of its own from a service's task definition. See [ecs.Provider.Run].
func (r *Runner) Run(ctx context.Context, service string, command []string, output func(container string, line ecs.LogLine)) (exit int, err error) {
	return r.services.Run(ctx, service, command, output)
}

// Assembly is the assembly of the last deployment, complete or not; nil before the first one.
func (r *Runner) Assembly() *assembly.Assembly {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.deployed
}

// dataDir is the directory of what stores keep, in the directory of a deployment. It outlives the deployment.
func dataDir(dir string) string { return filepath.Join(dir, "data") }

// RemoveData removes what the stores of a deployment keep. The deployment must not run.
func RemoveData(dir string) error {
	stores, err := filepath.Glob(filepath.Join(dataDir(dir), "*"))
	if err != nil {
		return err
	}
	var errs []error
	for _, store := range stores {
		errs = append(errs, programs.Remove(store))
	}
	return errors.Join(append(errs, os.RemoveAll(dataDir(dir)))...)
}

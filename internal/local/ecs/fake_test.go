package ecs

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"cutover/internal/assembly"
	"cutover/internal/local/provider"
	"cutover/internal/model"
)

// world is a scheduler with a driver and a balancer whose containers behave as
// their image's name says. It runs in a bubble of fake time.
type world struct {
	*Scheduler
	t     *testing.T
	begin time.Time

	mu         sync.Mutex
	journal    []string // what was asked of driver and balancer, in order
	containers []*fakeContainer
	events     []provider.Event
	draining   time.Duration // deregistration delay
	broken     string        // an image that can no longer be started
	targets    map[string]*fakeContainer
	busy       float64 // the part of a processor that each container uses
	rate       float64 // of requests a minute, to the target group
	started    []StartRequest
	cleaned    []string // tasks
	got        float64  // requests, before the rate was what it is
	since      time.Time
	waiting    int // messages of the queue
}

// load has each container use a part of a processor, and the target group get so
// many requests a minute.
func (w *world) load(busy, rate float64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.got += w.rate * time.Since(w.since).Minutes()
	w.busy, w.rate, w.since = busy, rate, time.Now()
}

func (w *world) requests(string) uint64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return uint64(w.got + w.rate*time.Since(w.since).Minutes())
}

func (w *world) messages(context.Context, string) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.waiting < 0 {
		return 0, errors.New("the queue does not answer")
	}
	return w.waiting, nil
}

// wait has so many messages wait in the queue; -1: nobody can count them.
func (w *world) wait(messages int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.waiting = messages
}

func newWorld(t *testing.T) *world {
	w := &world{t: t, begin: time.Now(), targets: map[string]*fakeContainer{}}
	w.Scheduler = New(Options{Driver: w, Balancer: w, Requests: w.requests, Messages: w.messages, Events: func(e provider.Event) {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.events = append(w.events, e)
	}})
	return w
}

func (w *world) note(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.journal = append(w.journal, fmt.Sprintf("%v ", time.Since(w.begin))+fmt.Sprintf(format, args...))
}

// after returns the journal from the first line that contains a text.
func (w *world) after(text string) []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	i := slices.IndexFunc(w.journal, func(line string) bool { return strings.Contains(line, text) })
	if i < 0 {
		return nil
	}
	return slices.Clone(w.journal[i:])
}

// starts counts the containers of an image that were started.
func (w *world) starts(image string) (times []time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range w.containers {
		if c.image == image {
			times = append(times, c.at)
		}
	}
	return times
}

func (w *world) happened(text string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.ContainsFunc(w.events, func(e provider.Event) bool { return strings.Contains(e.Message, text) })
}

type fakeContainer struct {
	w     *world
	image string
	name  string // v1-1: the image and a number
	at    time.Duration
	end   sync.Once
	done  chan struct{}
	code  int
	sick  bool // fails its health checks from now on

	used  time.Duration // of a processor, until asked
	asked time.Time
}

// ProcessorTime is that of a container which has been as busy as the world is now.
func (c *fakeContainer) ProcessorTime(context.Context) (time.Duration, error) {
	c.w.mu.Lock()
	defer c.w.mu.Unlock()
	now := time.Now()
	if !c.asked.IsZero() {
		c.used += time.Duration(c.w.busy * float64(now.Sub(c.asked)))
	}
	c.asked = now
	return c.used, nil
}

func (w *world) Check(_ *model.TaskDefinition, c model.Container) ([]PassedOver, error) {
	if c.Image.Reference == "foreign" {
		return nil, errors.New("it is for another machine")
	}
	if c.Image.Reference == "noted" {
		return []PassedOver{{Setting: "User", Why: "a fake has no users"}}, nil
	}
	return nil, nil
}

func (w *world) Clean(task string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.cleaned = append(w.cleaned, task)
	return nil
}

func (w *world) Start(ctx context.Context, r StartRequest) (Container, error) {
	image := r.Definition.Image.Reference
	w.mu.Lock()
	n := 1
	for _, c := range w.containers {
		if c.image == image {
			n++
		}
	}
	c := &fakeContainer{w: w, image: image, name: fmt.Sprintf("%s-%d", image, n), at: time.Since(w.begin), done: make(chan struct{})}
	w.containers, w.started = append(w.containers, c), append(w.started, r)
	w.targets[r.Task] = c
	broken := image == w.broken
	w.mu.Unlock()
	switch {
	case broken, strings.HasPrefix(image, "missing"):
		return nil, errors.New("no such image")
	case strings.HasPrefix(image, "slow"):
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(time.Minute):
		}
	case strings.HasPrefix(image, "done"):
		time.AfterFunc(3*time.Second, func() { c.exit(0) })
	case strings.HasPrefix(image, "crash"):
		time.AfterFunc(100*time.Millisecond, func() { c.exit(1) })
	case strings.HasPrefix(image, "sick"):
		c.sick = true
	}
	w.note("start %s", c.name)
	return c, nil
}

func (c *fakeContainer) exit(code int) {
	c.end.Do(func() { c.code = code; close(c.done) })
}

func (c *fakeContainer) ID() string         { return c.name }
func (c *fakeContainer) Address(int) string { return c.name + ":80" }
func (c *fakeContainer) Done() <-chan struct{} {
	return c.done
}
func (c *fakeContainer) Exit() Exit { return Exit{Code: c.code} }

func (c *fakeContainer) isSick() bool {
	c.w.mu.Lock()
	defer c.w.mu.Unlock()
	return c.sick
}

func (c *fakeContainer) Exec(ctx context.Context, command []string) (int, string, error) {
	switch {
	case strings.HasPrefix(c.image, "noexec"):
		return 0, "", ErrNoExec
	case strings.HasPrefix(c.image, "hang"):
		<-ctx.Done()
		return 0, "", ctx.Err()
	case c.isSick():
		return 1, "not well", nil
	}
	return 0, "", nil
}

func (c *fakeContainer) Terminate() error {
	c.w.note("SIGTERM %s", c.name)
	if !strings.HasPrefix(c.image, "stubborn") {
		c.exit(0)
	}
	return nil
}

func (c *fakeContainer) Signal(signal syscall.Signal) error {
	c.w.note("%v %s", signal, c.name)
	c.exit(137)
	return nil
}

// The balancer checks a target's health every 6 seconds, and two checks decide.

func (w *world) Register(group, id, address string) error {
	w.mu.Lock()
	c := w.targets[id]
	w.mu.Unlock()
	w.note("register %s in %s", address, group)
	go func() {
		state, same := TargetInitial, 0
		last := false
		for {
			select {
			case <-c.done:
				return
			case <-time.After(6 * time.Second):
			}
			w.mu.Lock()
			gone := w.targets[id] == nil
			w.mu.Unlock()
			if gone {
				return
			}
			if well := !c.isSick(); well == last {
				same++
			} else {
				last, same = well, 1
			}
			next := TargetUnhealthy
			if last {
				next = TargetHealthy
			}
			if same >= 2 && next != state {
				state = next
				w.TargetHealth(group, id, state)
			}
		}
	}()
	return nil
}

func (w *world) Deregister(group, id string) <-chan struct{} {
	w.mu.Lock()
	c := w.targets[id]
	delete(w.targets, id)
	w.mu.Unlock()
	w.note("deregister %s", c.name)
	drained := make(chan struct{})
	time.AfterFunc(w.draining, func() {
		w.note("drained %s", c.name)
		close(drained)
	})
	return drained
}

// container returns the container of that name.
func (w *world) container(name string) *fakeContainer {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range w.containers {
		if c.name == name {
			return c
		}
	}
	w.t.Fatalf("there is no container %s", name)
	return nil
}

func (c *fakeContainer) setSick(sick bool) {
	c.w.mu.Lock()
	defer c.w.mu.Unlock()
	c.sick = sick
}

// at is the place of a resource with this key.
func at(key string) model.Base {
	stack, id, _ := strings.Cut(key, "/")
	return model.Base{Resource: &assembly.Resource{Stack: &assembly.Stack{Name: stack}, LogicalID: id}}
}

// spec is a service with a target group, as the tests need it.
func spec(image string, desired int, change ...func(*model.Service)) *model.Service {
	s := &model.Service{
		Base: at("stack/Service"), Name: "users", ClusterID: "dev", DesiredCount: &desired,
		MinimumHealthyPercent: 100, MaximumPercent: 200,
		CircuitBreaker: model.CircuitBreaker{Enable: true, Rollback: true},
		LoadBalancers:  []model.ServiceLoadBalancer{{Container: "main", Port: 3000, TargetGroup: &model.TargetGroup{Base: at("stack/Group")}}},
		TaskDefinition: &model.TaskDefinition{Family: "users", Containers: []model.Container{{
			Name: "main", Image: model.Image{Reference: image}, Essential: true, Ports: model.TCP(3000), StopTimeout: 30 * time.Second,
		}}},
	}
	for _, f := range change {
		f(s)
	}
	return s
}

func noBalancer(s *model.Service) { s.LoadBalancers = nil }

func checked(s *model.Service) {
	s.TaskDefinition.Containers[0].HealthCheck = &model.ContainerHealthCheck{
		Command: []string{"CMD", "/check"}, Interval: 10 * time.Second, Timeout: 5 * time.Second, Retries: 3,
	}
}

func percent(minimum, maximum int) func(*model.Service) {
	return func(s *model.Service) { s.MinimumHealthyPercent, s.MaximumPercent = minimum, maximum }
}

// apply applies a spec that must become steady.
func (w *world) apply(s *model.Service) {
	w.t.Helper()
	if err := w.Apply(w.t.Context(), s); err != nil {
		w.t.Fatal(err)
	}
}

// finish removes the service, so that no goroutine is left in the bubble.
func (w *world) finish() {
	w.t.Helper()
	if err := w.Remove(context.Background(), "stack/Service"); err != nil {
		w.t.Error(err)
	}
	if left := w.Status(); len(left) > 0 {
		w.t.Errorf("after Remove there is %+v", left)
	}
}

// service returns the status of the only service.
func (w *world) service() ServiceStatus {
	w.t.Helper()
	all := w.Status()
	if len(all) != 1 {
		w.t.Fatalf("there are %d services", len(all))
	}
	return all[0]
}

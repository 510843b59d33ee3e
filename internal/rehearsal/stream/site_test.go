package stream

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"

	"cutover/internal/assembly/assemblytest"
	"cutover/internal/local/alb"
	"cutover/internal/model"
	"cutover/internal/rehearsal"
)

// site is a deployment of two services, api and orders, behind the load balancer of the local target. In monolith api answers, and in
// switched and retired orders. In retired the target of api is gone.
type site struct {
	t         *testing.T
	balancer  *alb.Balancer
	address   string
	rehearsal *rehearsal.Rehearsal
	services  map[string]*httptest.Server
	targets   map[string]string // id of the target, by service
	// before is called before the rules or targets of a phase are there, and after behind that.
	before, after func(phase string)
	idle          string // seconds of the idle timeout
}

// walk has all phases. The last one changes nothing.
var walk = []string{"monolith", "switched", "retired", "end"}

// until waits for a condition.
func (s *site) until(what string, condition func() bool) {
	for end := time.Now().Add(time.Minute); !condition(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			s.t.Errorf("%s: did not come", what)
			return
		}
	}
}

type object = map[string]any

// table has the rules of a phase.
func (s *site) table(service string) string {
	group := func(name string) object {
		return object{"Type": model.ELBTargetGroup, "Properties": object{"Name": name, "HealthCheckPath": "/health",
			"TargetGroupAttributes": []object{{"Key": "deregistration_delay.timeout_seconds", "Value": "1"}}}}
	}
	text, err := json.Marshal(object{"Resources": object{
		"Lb": object{"Type": model.ELBLoadBalancer, "Properties": object{"Name": "site", "Type": "application",
			"LoadBalancerAttributes": []object{{"Key": "idle_timeout.timeout_seconds", "Value": s.idle}}}},
		"Listener": object{"Type": model.ELBListener, "Properties": object{"LoadBalancerArn": object{"Ref": "Lb"}, "Port": 80, "Protocol": "HTTP",
			"DefaultActions": []object{{"Type": "forward", "TargetGroupArn": object{"Ref": service}}}}},
		"api": group("api"), "orders": group("orders"),
	}})
	if err != nil {
		s.t.Fatal(err)
	}
	return string(text)
}

func (s *site) configure(service string) {
	a := assemblytest.Read(s.t, assemblytest.Unknown, s.table(service))
	table, err := alb.Read(model.Read(a))
	if err == nil {
		err = s.balancer.Configure(table)
	}
	if err != nil {
		s.t.Fatal(err)
	}
}

func newSite(t *testing.T, api, orders http.Handler) *site {
	t.Helper()
	nothing := func(string) {}
	s := &site{t: t, idle: "60", before: nothing, after: nothing, services: map[string]*httptest.Server{}, targets: map[string]string{}}
	balancer, err := alb.New(alb.Options{
		Events: func(e alb.Event) {
			_, name, _ := strings.Cut(e.Group, "/")
			s.rehearsal.Event(rehearsal.Event{Time: e.Time, Service: name, Target: e.Target, State: string(e.To), Text: "target is " + string(e.To)})
		},
		Exchanges: func(e alb.Exchange) {
			_, name, _ := strings.Cut(e.Group, "/")
			record := rehearsal.Record{TraceID: e.TraceID, Service: name, Target: e.Target, Status: e.Status, TargetStatus: e.TargetStatus, Idle: e.Err == alb.ErrIdle}
			if e.Err != nil {
				record.Reason = e.Err.Error()
			}
			s.rehearsal.Observe(record)
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	s.balancer = balancer
	for name, handler := range map[string]http.Handler{"api": api, "orders": orders} {
		s.services[name] = httptest.NewServer(handler)
		t.Cleanup(func() {
			s.services[name].CloseClientConnections()
			s.services[name].Close()
		})
	}
	return s
}

func (s *site) begin() {
	s.configure("api")
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		s.t.Fatal(err)
	}
	s.address = ln.Addr().String()
	go func() { _ = s.balancer.Serve("S/Listener", ln) }()
	s.t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
		defer cancel()
		_ = s.balancer.Shutdown(ctx)
	})
}

func (s *site) register(service string) {
	if s.targets[service] != "" {
		return
	}
	s.targets[service] = fmt.Sprintf("%s-%d", service, time.Now().UnixNano())
	if err := s.balancer.Register("S/"+service, s.targets[service], s.services[service].Listener.Addr().String()); err != nil {
		s.t.Error(err)
	}
}

func (s *site) URL(*rehearsal.Request) string                { return "http://" + s.address }
func (s *site) Gaps() []string                               { return nil }
func (s *site) Run(context.Context, rehearsal.Command) error { return nil }

func (s *site) Fault(_ context.Context, kind, service string) (func(context.Context) error, error) {
	s.services[service].CloseClientConnections()
	return func(context.Context) error { return nil }, nil
}

func (s *site) Deploy(_ context.Context, phase string) (rehearsal.Changes, error) {
	s.before(phase)
	defer s.after(phase)
	s.register("orders")
	if phase == "monolith" {
		s.register("api")
	}
	switch phase {
	case "monolith":
		s.configure("api")
	case "switched":
		s.configure("orders")
	case "retired":
		if drained := s.balancer.Deregister("S/api", s.targets["api"]); drained != nil {
			<-drained
		}
	}
	return rehearsal.Changes{}, nil
}

// rehearse walks through phases with streams. Each request of the load is an event.
func (s *site) rehearse(change func(*rehearsal.Options), streams ...*Stream) *rehearsal.Report {
	s.t.Helper()
	w := rehearsal.Paths("/tick")
	for _, stream := range streams {
		w.Streams = append(w.Streams, stream)
	}
	o := rehearsal.Options{Rate: 20, Dwell: 300 * time.Millisecond, Hold: 300 * time.Millisecond, Timeout: 10 * time.Second, Walk: walk, Workload: w}
	if change != nil {
		change(&o)
	}
	var err error
	if s.rehearsal, err = rehearsal.New(o); err != nil {
		s.t.Fatal(err)
	}
	s.begin()
	report, err := s.rehearsal.Run(s.t.Context(), s)
	if err != nil {
		s.t.Fatal(err)
	}
	return report
}

// bus has events with ids, for all that listen.
type bus struct {
	mu     sync.Mutex
	events []string // from id 1
	more   chan struct{}
}

func newBus() *bus { return &bus{more: make(chan struct{})} }

func (b *bus) publish(data string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.events = append(b.events, data)
	close(b.more)
	b.more = make(chan struct{})
}

func (b *bus) last() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.events)
}

// after returns the events after an id, or waits for one.
func (b *bus) after(ctx context.Context, id int) (data []string) {
	for {
		b.mu.Lock()
		data, more := b.events[min(id, len(b.events)):], b.more
		b.mu.Unlock()
		if len(data) > 0 {
			return data
		}
		select {
		case <-more:
		case <-ctx.Done():
			return nil
		}
	}
}

// service publishes an event for each /tick, and has streams of all events. What tests change is wrong with it.
type service struct {
	name string
	*bus
	// extra are further paths.
	extra map[string]http.HandlerFunc

	counting sync.Mutex
	calls    map[string]int // by path
}

func newService(name string, b *bus) *service {
	return &service{name: name, bus: b, extra: map[string]http.HandlerFunc{}, calls: map[string]int{}}
}

// called says how often a path was asked for.
func (s *service) called(path string) int {
	s.counting.Lock()
	defer s.counting.Unlock()
	return s.calls[path]
}

func (s *service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.counting.Lock()
	s.calls[r.URL.Path]++
	s.counting.Unlock()
	if handle := s.extra[r.URL.Path]; handle != nil {
		handle(w, r)
		return
	}
	switch r.URL.Path {
	case "/health":
	case "/tick":
		s.publish("an order")
		_, _ = io.WriteString(w, "ticked")
	case "/events":
		s.serveEvents(w, r, stream{})
	case "/socket":
		s.serveSocket(w, r)
	default:
		http.NotFound(w, r)
	}
}

// stream says what is wrong with a stream.
type stream struct {
	skip      int  // leaves out each event of that number
	ignores   bool // Last-Event-ID
	replays   int  // events of before, that come again
	ends      time.Duration
	aborts    bool
	withoutID bool
	silent    bool
}

func (s *service) serveEvents(w http.ResponseWriter, r *http.Request, how stream) {
	ctx := r.Context()
	if how.ends > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, how.ends)
		defer cancel()
	}
	id, err := strconv.Atoi(r.Header.Get("Last-Event-ID"))
	if err != nil || how.ignores {
		id = s.last()
	}
	id = max(0, id-how.replays)
	w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
	_, _ = io.WriteString(w, "retry: 1000\n: hello\n\n")
	_ = http.NewResponseController(w).Flush()
	for ctx.Err() == nil {
		for _, data := range s.after(ctx, id) {
			id++
			if how.silent || how.skip > 0 && id%how.skip == 0 {
				continue
			}
			if !how.withoutID {
				_, _ = fmt.Fprintf(w, "id: %d\n", id)
			}
			_, _ = fmt.Fprintf(w, "event: order\ndata: {\"order\": %d, \"text\": %q}\n\n", id, data)
		}
		_ = http.NewResponseController(w).Flush()
	}
	if how.aborts && r.Context().Err() == nil {
		panic(http.ErrAbortHandler)
	}
}

// serveSocket sends all events after the one that the client names in its first message.
func (s *service) serveSocket(w http.ResponseWriter, r *http.Request) {
	conn, err := websocket.Accept(w, r, &websocket.AcceptOptions{Subprotocols: []string{"orders.v1"}})
	if err != nil {
		return
	}
	defer conn.CloseNow()
	_, message, err := conn.Read(r.Context())
	if err != nil {
		return
	}
	id, err := strconv.Atoi(strings.TrimPrefix(string(message), "after "))
	if err != nil {
		id = s.last()
	}
	ctx := conn.CloseRead(context.Background())
	for ctx.Err() == nil {
		for _, data := range s.after(ctx, id) {
			id++
			if conn.Write(ctx, websocket.MessageText, fmt.Appendf(nil, `{"id": %d, "text": %q}`, id, data)) != nil {
				return
			}
		}
	}
}

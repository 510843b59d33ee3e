package discovery

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"cutover/internal/assembly"
	"cutover/internal/local/ecs"
	"cutover/internal/local/provider"
	"cutover/internal/model"
)

// read reads the model of one stack, S, with these resources.
func read(t *testing.T, resources ...string) *model.Model {
	t.Helper()
	return readStacks(t, map[string][]string{"S": resources})
}

func readStacks(t *testing.T, stacks map[string][]string) *model.Model {
	t.Helper()
	dir := t.TempDir()
	var artifacts []string
	for name, resources := range stacks {
		artifacts = append(artifacts, fmt.Sprintf(`%q: {"type": "aws:cloudformation:stack", "environment": "aws://unknown-account/unknown-region", "properties": {"templateFile": %q}}`, name, name+".json"))
		if err := os.WriteFile(filepath.Join(dir, name+".json"), []byte(`{"Resources": {`+strings.Join(resources, ", ")+`}}`), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "manifest.json"), []byte(`{"artifacts": {`+strings.Join(artifacts, ", ")+`}}`), 0o644); err != nil {
		t.Fatal(err)
	}
	a, err := assembly.Read(dir)
	if err != nil {
		t.Fatal(err)
	}
	return model.Read(a)
}

func resource(name, resourceType, properties string) string {
	return fmt.Sprintf(`%q: {"Type": %q, "Properties": {%s}}`, name, resourceType, properties)
}

// service is a service in mode awsvpc with port 3000, which has the name http and a protocol.
func service(name, protocol, properties string) string {
	if protocol != "" {
		protocol = `, "AppProtocol": "` + protocol + `"`
	}
	return resource(name+"Task", model.ECSTaskDefinition, `"NetworkMode": "awsvpc", "Memory": "512", "ContainerDefinitions": [{"Name": "web", "Image": "i", "PortMappings": [{"ContainerPort": 3000, "Name": "http"`+protocol+`}]}]`) + ", " +
		resource(name, model.ECSService, `"ServiceName": "`+strings.ToLower(name)+`", "TaskDefinition": {"Ref": "`+name+`Task"}`+properties)
}

// connected publishes the port as users:80 in the namespace dev.
const connected = `, "ServiceConnectConfiguration": {"Enabled": true, "Namespace": "dev", "Services": [{"PortName": "http", "ClientAliases": [{"DnsName": "users", "Port": 80}]}]}`

// calling calls others of the namespace.
const calling = `, "ServiceConnectConfiguration": {"Enabled": true, "Namespace": "dev"}`

// zone is a private namespace with the service users, whose records live for a minute.
func zone(more string) string {
	return resource("Zone", model.CloudMapPrivateNamespace, `"Name": "dev.internal", "Vpc": "vpc-1"`) + ", " +
		resource("Names", model.CloudMapService, `"Name": "users", "NamespaceId": {"Ref": "Zone"}, "DnsConfig": {"DnsRecords": [{"Type": "A", "TTL": 60}]}`+more)
}

const registered = `, "ServiceRegistries": [{"RegistryArn": {"Fn::GetAtt": ["Names", "Arn"]}}]`

// mesh is a provider in a bubble of fake time, with connections in memory.
type mesh struct {
	*Provider
	t     *testing.T
	begin time.Time
	model *model.Model

	mu        sync.Mutex
	listeners map[string]*pipes // by address
	events    []provider.Event
	dialled   []string
}

// pipes is a listener for connections in memory.
type pipes struct {
	address string
	conns   chan net.Conn
	closed  chan struct{}
	once    sync.Once
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case conn := <-p.conns:
		return conn, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error   { p.once.Do(func() { close(p.closed) }); return nil }
func (p *pipes) Addr() net.Addr { return address(p.address) }

type address string

func (a address) Network() string { return "memory" }
func (a address) String() string  { return string(a) }

// newMesh deploys an assembly.
func newMesh(t *testing.T, m *model.Model) *mesh {
	t.Helper()
	w := &mesh{t: t, begin: time.Now(), listeners: map[string]*pipes{}}
	w.Provider = New(func(e provider.Event) {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.events = append(w.events, e)
	})
	w.listen = func() (net.Listener, error) { return w.open(fmt.Sprintf("proxy-%d:1", len(w.listeners))), nil }
	w.dial, w.Provider.start = w.connect, func(s *server) error { s.address = "dns:" + s.vpc; return nil }
	w.deploy(m)
	return w
}

func (w *mesh) deploy(m *model.Model) {
	w.t.Helper()
	w.model = m
	for _, s := range m.Services {
		if err := s.Problem(); err != nil {
			w.t.Fatal(err)
		}
	}
	next := w.Plan(m, nil)
	if err := next.Check(); err != nil {
		w.t.Fatal(err)
	}
	for _, stack := range m.Assembly.Stacks {
		if err := errors.Join(next.Update(context.Background(), stack.Name), next.Clean(context.Background(), stack.Name)); err != nil {
			w.t.Fatal(err)
		}
	}
}

func (w *mesh) open(at string) *pipes {
	w.mu.Lock()
	defer w.mu.Unlock()
	p := &pipes{address: at, conns: make(chan net.Conn), closed: make(chan struct{})}
	w.listeners[at] = p
	return p
}

// connect connects with a listener.
func (w *mesh) connect(ctx context.Context, at string) (net.Conn, error) {
	w.mu.Lock()
	p := w.listeners[at]
	w.dialled = append(w.dialled, at)
	w.mu.Unlock()
	if p == nil {
		return nil, errors.New("connection refused")
	}
	near, far := net.Pipe()
	select {
	case p.conns <- far:
		return near, nil
	case <-p.closed:
		return nil, errors.New("connection refused")
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (w *mesh) service(name string) *model.Service {
	w.t.Helper()
	i := slices.IndexFunc(w.model.Services, func(s *model.Service) bool { return s.Name == name })
	if i < 0 {
		w.t.Fatalf("there is no service %s", name)
	}
	return w.model.Services[i]
}

// register registers a task of a service. It answers at its name.
func (w *mesh) register(task, of string) {
	w.Register(task, w.service(of), true, func(_ string, port int) string { return fmt.Sprintf("%s:%d", task, port) })
}

// answer registers a task of users that answers requests.
func (w *mesh) answer(task string, handler http.HandlerFunc, protocols ...func(*http.Protocols, bool)) {
	w.register(task, "users")
	server := &http.Server{Handler: handler, Protocols: &http.Protocols{}}
	server.Protocols.SetHTTP1(len(protocols) == 0)
	server.Protocols.SetUnencryptedHTTP2(len(protocols) > 0)
	listener := w.open(task + ":3000")
	go server.Serve(listener)
	w.t.Cleanup(func() { server.Close() })
}

// always answers with a status and the name of the task.
func always(task string, status int) http.HandlerFunc {
	return func(rw http.ResponseWriter, r *http.Request) {
		rw.WriteHeader(status)
		fmt.Fprint(rw, task)
	}
}

// task is a task that calls others.
type task struct {
	w     *mesh
	id    string
	names []ecs.Name
	*http.Client
}

// start starts a task of a service that calls others. The test ends the task.
func (w *mesh) start(id, of string) *task {
	w.t.Helper()
	s := w.service(of)
	names, _, err := w.Open(ecs.Caller{Task: id, Name: s.Name, Service: s, Known: w.Known(s)})
	if err != nil {
		w.t.Fatal(err)
	}
	t := &task{w: w, id: id, names: names}
	transport := &http.Transport{DialContext: func(ctx context.Context, _, at string) (net.Conn, error) { return w.connect(ctx, t.find(at)) }}
	t.Client = &http.Client{Transport: transport}
	w.t.Cleanup(func() {
		transport.CloseIdleConnections()
		w.Close(id)
		synctest.Wait()
	})
	return t
}

// find is where a name answers for the task; empty if the task does not know the name.
func (t *task) find(name string) string {
	for _, n := range t.names {
		if fmt.Sprintf("%s:%d", n.Host, n.Port) == name {
			return n.Address
		}
	}
	return ""
}

// call sends a request to users, and returns the status and the body.
func (t *task) call(method, body string) string {
	t.w.t.Helper()
	r, err := http.NewRequest(method, "http://users/a?b=c;d", strings.NewReader(body))
	if err != nil {
		t.w.t.Fatal(err)
	}
	return t.send(r)
}

func (t *task) send(r *http.Request) string {
	response, err := t.Do(r)
	if err != nil {
		return err.Error()
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return err.Error()
	}
	return fmt.Sprintf("%d %s", response.StatusCode, text)
}

// dial connects with a name.
func (t *task) dial(name string) (net.Conn, error) {
	return t.w.connect(context.Background(), t.find(name))
}

// told are the messages of events, with their times, that contain a text.
func (w *mesh) told(text string) (all []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, e := range w.events {
		line := fmt.Sprintf("%v %s %s", e.Time.Sub(w.begin), e.State, e.Message)
		if strings.Contains(line, text) {
			all = append(all, line)
		}
	}
	return all
}

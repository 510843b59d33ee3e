package docker

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/moby/moby/client"

	"cutover/internal/assembly"
	"cutover/internal/local/ecs"
	"cutover/internal/model"
)

// proxy is an HTTP server that tells its name.
func proxy(t *testing.T, name string) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%s for %s", name, r.Host)
	}))
	t.Cleanup(server.Close)
	return server.Listener.Addr().String()
}

// nowhere is an address at which nothing listens.
func nowhere(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().String()
}

// standInsOf are the ids of a driver's stand-ins.
func standInsOf(d *Driver) (ids []string) {
	d.names.mu.Lock()
	defer d.names.mu.Unlock()
	for _, s := range d.names.standIns {
		ids = append(ids, s.id)
	}
	slices.Sort(ids)
	return ids
}

// A container finds services by the names and ports of AWS, though its own program listens at one of the
// ports. A name leads each task where its own says.
func TestNames(t *testing.T) {
	d := newDriver(t)
	begin := func(task, mode string, names []ecs.Name, command ...string) (*running, *written) {
		t.Helper()
		c, w := probe(t, command...), &written{some: make(chan struct{}, 1)}
		balancer := assembly.Ref{Resource: &assembly.Resource{Type: model.ELBLoadBalancer, Stack: &assembly.Stack{}}, Attribute: "DNSName"}
		c.DNSServers = []netip.Addr{netip.MustParseAddr("127.0.0.9")} // none is there
		c.Environment = []model.Variable{{Name: "OWN", Value: "localhost:3000"}, {Name: "URL", Value: "http://" + strings.Replace(proxy(t, "balancer"), "127.0.0.1", "localhost", 1), Parts: assembly.Text{"http://", balancer}}}
		whole := &model.TaskDefinition{NetworkMode: mode, Containers: []model.Container{c}}
		started, err := d.Start(t.Context(), ecs.StartRequest{Service: "dev/Posts", Task: task, Definition: c, TaskDefinition: whole, Names: names,
			Output: w.output, Tell: func(string) {}, Warn: func(text string) { t.Errorf("a warning: %s", text) }})
		if err != nil {
			t.Fatal(err)
		}
		return started.(*running), w
	}
	names := func(of string) []ecs.Name {
		return []ecs.Name{
			{Host: "users", Port: 3000, Address: proxy(t, of+"'s users"), ServiceConnect: true},
			{Host: "users", Port: 80, Address: proxy(t, of+"'s users at 80"), ServiceConnect: true},
			{Host: "posts", Port: 3000, Address: proxy(t, of+"'s posts"), ServiceConnect: true},
			{Host: "gone", Port: 3000, Address: nowhere(t), ServiceConnect: true},
			{Host: "users.dev.internal", Port: 3000, Address: proxy(t, of+"'s address")},
			{Host: "threads.dev.internal", Address: proxy(t, of+"'s records")},
		}
	}
	for _, mode := range []string{"bridge", "awsvpc"} {
		for _, task := range []string{mode + "1", mode + "2"} {
			c, w := begin(task, mode, names(task), "call", "http://users:3000", "http://users", "http://posts:3000", "http://users.dev.internal:3000", "http://gone:3000", "$URL", "http://users:4000", "http://threads.dev.internal:3000")
			wait(t, c)
			w.await(t, "http://users:3000 "+task+"'s users for users:3000 <nil>")
			w.await(t, "http://users "+task+"'s users at 80 for users <nil>")
			w.await(t, "http://posts:3000 "+task+"'s posts for posts:3000 <nil>")
			w.await(t, "http://users.dev.internal:3000 "+task+"'s address for users.dev.internal:3000 <nil>")
			w.await(t, "connection reset by peer")
			w.await(t, "$URL balancer for "+balancerHost)
			w.await(t, "http://users:4000 Get \"http://users:4000\": dial tcp")
			w.await(t, "lookup threads.dev.internal") // it has no address
		}
		c, w := begin(mode+"3", mode, names("three"), "records", "threads.dev.internal", "users.dev.internal", "users")
		wait(t, c)
		w.await(t, "threads.dev.internal has 1 records <nil>")
		w.await(t, "1 1 32768 service.threads.dev.internal. 1 <nil>")
		w.await(t, "by records three's records for service.threads.dev.internal")
		w.await(t, "users.dev.internal has 0 records")
		w.await(t, "users has 0 records")
	}
	// The stand-ins are those of all tasks, but for the load balancers', which have other ports.
	shared := len(standInsOf(d)) - 6
	if shared != 6 {
		t.Errorf("there are %d stand-ins for 5 names and DNS", shared)
	}
	for _, task := range []string{"bridge1", "bridge2", "bridge3", "awsvpc1", "awsvpc2"} {
		if err := d.Clean(task); err != nil {
			t.Error(err)
		}
	}
	if left := standInsOf(d); len(left) != 7 {
		t.Errorf("left are %d stand-ins of the last task", len(left))
	}
	c, w := begin("awsvpc4", "awsvpc", names("four"), "call", "http://users:3000")
	w.await(t, "four's users")
	wait(t, c)
	for _, task := range []string{"awsvpc3", "awsvpc4"} {
		if err := d.Clean(task); err != nil {
			t.Error(err)
		}
	}
	list, err := d.engine.ContainerList(t.Context(), client.ContainerListOptions{All: true, Filters: client.Filters{}.Add("label", deploymentLabel+"="+d.deployment)})
	if err != nil || len(list.Items) != 0 || len(standInsOf(d)) != 0 || len(d.names.callers) != 0 {
		t.Errorf("left are %d containers, %v and %v: %v", len(list.Items), standInsOf(d), d.names.callers, err)
	}
	if left, err := os.ReadDir(d.directory); err != nil || len(left) > 0 {
		t.Errorf("left are files: %v, %v", left, err)
	}
}

// An engine that cannot run the stand-ins runs the container all the same.
func TestNoStandIns(t *testing.T) {
	d := newDriver(t)
	d.directory = "/nowhere"
	c, w, warned := probe(t, "exit", "0"), &written{some: make(chan struct{}, 1)}, ""
	container, err := d.Start(t.Context(), ecs.StartRequest{Task: "task1", Definition: c, TaskDefinition: &model.TaskDefinition{Containers: []model.Container{c}}, Output: w.output, Tell: func(string) {},
		Names: []ecs.Name{{Host: "users", Port: 3000, ServiceConnect: true}, {Host: "posts.dev.internal"}}, Warn: func(text string) { warned += text }})
	if err != nil {
		t.Fatal(err)
	}
	wait(t, container.(*running))
	if want := "cannot call posts.dev.internal, users by name. The Docker engine must be on the machine of cutover: "; !strings.HasPrefix(warned, want) || !strings.Contains(warned, "/nowhere") {
		t.Errorf("the warning is %q, want %q and why", warned, want)
	}
	if err := d.Clean("task1"); err != nil || len(standInsOf(d)) > 0 {
		t.Errorf("left are %v, %v", standInsOf(d), err)
	}
}

func TestEquip(t *testing.T) {
	at := netip.MustParseAddr
	given := model.Container{Name: "a", ExtraHosts: []string{"x:10.0.0.1"}, DNSServers: []netip.Addr{at("10.0.0.2")}}
	c := &caller{hosts: map[string]netip.Addr{"users": at("172.17.0.9"), "a.b": at("172.17.0.8"), "posts": at("172.17.0.7")}, names: []ecs.Name{{Host: "users", Port: 1, ServiceConnect: true}, {Host: "a.b", Port: 1}, {Host: "posts", Port: 1, ServiceConnect: true}}}
	if got := c.equip(given); fmt.Sprint(got.ExtraHosts, got.DNSServers) != "[x:10.0.0.1 posts:172.17.0.7 users:172.17.0.9] [10.0.0.2]" {
		t.Errorf("the container has %v %v", got.ExtraHosts, got.DNSServers)
	}
	c.dns = at("172.17.0.6")
	if got := c.equip(given); fmt.Sprint(got.DNSServers) != "[172.17.0.6]" || fmt.Sprint(given.ExtraHosts, given.DNSServers) != "[x:10.0.0.1] [10.0.0.2]" {
		t.Errorf("the container has %v, and was changed to %v %v", got.DNSServers, given.ExtraHosts, given.DNSServers)
	}
	given.Environment = []model.Variable{{Name: "STORE", Value: "http://localhost:8000", Here: true}, {Name: "OWN", Value: "http://localhost:8000"}}
	if got := fmt.Sprint(c.equip(given).Environment); got != "[{STORE http://load-balancer.internal:8000  true} {OWN http://localhost:8000  false}]" {
		t.Errorf("the variables are %s", got)
	}
	// A secret may have the address of something on this machine, too.
	given.Secrets = []model.Secret{{Name: "AMQP_URL", Value: "amqp://u:p@localhost:5672", Here: true}, {Name: "KEY", Value: "localhost:1"}}
	secret := given
	secret.Environment = ecs.Variables(given)
	if got := fmt.Sprint(c.equip(secret).Environment[2:]); got != "[{AMQP_URL amqp://u:p@load-balancer.internal:5672  true} {KEY localhost:1  false}]" {
		t.Errorf("the secrets are %s", got)
	}
	if got := fmt.Sprint(balancers(&model.TaskDefinition{Containers: []model.Container{given}})); got != "[{load-balancer.internal 8000 127.0.0.1:8000 true} {load-balancer.internal 5672 127.0.0.1:5672 true}]" {
		t.Errorf("the container reaches %s", got)
	}
}

// A file of this machine that a variable names is there in the container, to be read.
func TestFileOfThisMachine(t *testing.T) {
	got, err := (&Driver{}).mounts(t.Context(), ecs.StartRequest{Definition: model.Container{Environment: []model.Variable{
		{Name: "PGSSLROOTCERT", Value: "/state/roots.pem", Here: true}, {Name: "STORE", Value: "http://localhost:8000", Here: true}, {Name: "OWN", Value: "/data"},
	}}})
	if text := fmt.Sprint(got); err != nil || len(got) != 1 || !strings.Contains(text, "bind /state/roots.pem /state/roots.pem true") {
		t.Errorf("the mounts are %s, %v", text, err)
	}
}

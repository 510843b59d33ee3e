//go:build unix

package process

import (
	"crypto/rand"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"cutover/internal/assembly"
	"cutover/internal/local/ecs"
	"cutover/internal/model"
)

func TestLinkVariables(t *testing.T) {
	local := map[int]int{6379: 20001, 80: 20002}
	l := link{container: "redis", alias: "my-redis", ports: []port{{6379, []string{"tcp"}}, {80, []string{"udp", "tcp"}}}, local: local}
	for given, want := range map[string]string{
		"A=my-redis:6379":                      "A=127.0.0.1:20001",
		"A=redis://user:pw@my-redis:6379/0":    "A=redis://user:pw@127.0.0.1:20001/0",
		"A=my-redis:6379,my-redis:80":          "A=127.0.0.1:20001,127.0.0.1:20002",
		"A=http://my-redis":                    "A=http://127.0.0.1:20002",
		"A=http://my-redis/x":                  "A=http://127.0.0.1:20002/x",
		"A=https://my-redis/x":                 "A=https://my-redis/x",
		"A=http://x/?to=my-redis":              "A=http://x/?to=my-redis",
		"A=redis://my-redis/0":                 "A=redis://127.0.0.1:20001/0",
		"A=http+srv://my-redis":                "A=http+srv://my-redis",
		"A=http://not-my-redis:6379":           "A=http://not-my-redis:6379",
		"A=x.my-redis:6379":                    "A=x.my-redis:6379",
		"A=my-redis:63790":                     "A=my-redis:63790",
		"A=my-redis:1":                         "A=my-redis:1",
		"A=my-redis.example:6379":              "A=my-redis.example:6379",
		"A=redis:6379":                         "A=redis:6379",
		"A=my-redis":                           "A=my-redis",
		"R_HOST=my-redis R_PORT=6379":          "R_HOST=127.0.0.1 R_PORT=20001",
		"PGHOST=my-redis PGPORT=80":            "PGHOST=127.0.0.1 PGPORT=20002",
		"R_HOST=my-redis R_PORT=7 S_PORT=80":   "R_HOST=127.0.0.1 R_PORT=7 S_PORT=80",
		"R_HOST=redis R_PORT=6379":             "R_HOST=redis R_PORT=6379",
		"R_SERVER=my-redis R_ADDRESS=my-redis": "R_SERVER=127.0.0.1 R_ADDRESS=127.0.0.1",
		"R_NAME=my-redis R_PORT=6379":          "R_NAME=my-redis R_PORT=6379",
	} {
		all := variables(strings.Fields(given)...)
		count := len(all)
		l.set(&all)
		var got []string
		for _, v := range all[:count] {
			got = append(got, v.Name+"="+v.Value)
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s became %s, want %s", given, got, want)
		}
	}

	all := variables("MY_REDIS_PORT_80_TCP_ADDR=mine")
	l.set(&all)
	want := variables(
		"MY_REDIS_PORT_80_TCP_ADDR=mine",
		"MY_REDIS_PORT=tcp://127.0.0.1:20001",
		"MY_REDIS_PORT_6379_TCP=tcp://127.0.0.1:20001", "MY_REDIS_PORT_6379_TCP_ADDR=127.0.0.1", "MY_REDIS_PORT_6379_TCP_PORT=20001", "MY_REDIS_PORT_6379_TCP_PROTO=tcp",
		"MY_REDIS_PORT_80_UDP=udp://127.0.0.1:20002", "MY_REDIS_PORT_80_UDP_ADDR=127.0.0.1", "MY_REDIS_PORT_80_UDP_PORT=20002", "MY_REDIS_PORT_80_UDP_PROTO=udp",
		"MY_REDIS_PORT_80_TCP=tcp://127.0.0.1:20002", "MY_REDIS_PORT_80_TCP_PORT=20002", "MY_REDIS_PORT_80_TCP_PROTO=tcp",
	)
	if diff := cmp.Diff(want, all); diff != "" {
		t.Errorf("variables (-want +got):\n%s", diff)
	}
}

// The names of services lead to their addresses. Those with SRV records alone have no port.
func TestServiceNames(t *testing.T) {
	names := []ecs.Name{
		{Host: "users", Port: 3000, Address: "127.0.0.1:20001", ServiceConnect: true},
		{Host: "users", Port: 80, Address: "127.0.0.1:20002", ServiceConnect: true},
		{Host: "posts", Port: 3000, Address: "127.0.0.1:20003", ServiceConnect: true},
		{Host: "users.dev.internal", Address: "127.0.0.1:20004"},
		{Host: "cache.dev.internal", Port: 6379, Address: "127.0.0.1:20005"},
		{Host: "both.dev.internal", Address: "127.0.0.1:20006"},
		{Host: "both.dev.internal", Port: 9000, Address: "127.0.0.1:20007"},
	}
	for given, want := range map[string]string{
		"A=http://users:3000/x?y#z":        "A=http://127.0.0.1:20001/x?y#z",
		"A=http://users:3000":              "A=http://127.0.0.1:20001",
		"A=HTTP://Users:3000":              "A=HTTP://127.0.0.1:20001",
		"A=http://users":                   "A=http://127.0.0.1:20002",
		"A=http://users/":                  "A=http://127.0.0.1:20002/",
		"A=http://users?x":                 "A=http://127.0.0.1:20002?x",
		"A=http://users#x":                 "A=http://127.0.0.1:20002#x",
		"A=http://users./x":                "A=http://127.0.0.1:20002/x",
		"A=ws://u:p@users/x":               "A=ws://u:p@127.0.0.1:20002/x",
		"A=users:3000":                     "A=127.0.0.1:20001",
		"A=users:3000,posts:3000;users:80": "A=127.0.0.1:20001,127.0.0.1:20003;127.0.0.1:20002",
		`A="http://users","http+srv://users.dev.internal",'ws://users'`: `A="http://127.0.0.1:20002","http://127.0.0.1:20004",'ws://127.0.0.1:20002'`,
		"A=http://users,http://users":                                   "A=http://127.0.0.1:20002,http://127.0.0.1:20002",
		"A=http://users@x":                                              "A=http://users@x",
		"A=http://users.x":                                              "A=http://users.x",
		"A=http://users:x":                                              "A=http://users:x !users in A, as in http://users:80",
		"A=dns:///posts:3000":                                           "A=dns:///127.0.0.1:20003",
		`A={"a":"http://posts:3000"}`:                                   `A={"a":"http://127.0.0.1:20003"}`,
		"A=http+srv://users.dev.internal/x":                             "A=http://127.0.0.1:20004/x",
		"A=https+srv://users.dev.internal":                              "A=https://127.0.0.1:20004",
		"A=HTTP+SRV://Users.Dev.Internal.":                              "A=HTTP://127.0.0.1:20004",
		"A=http+srv://both.dev.internal":                                "A=http://127.0.0.1:20006",
		"A=http://both.dev.internal:9000":                               "A=http://127.0.0.1:20007",
		"A=cache.dev.internal.:6379":                                    "A=127.0.0.1:20005",
		"A=redis://cache.dev.internal/0":                                "A=redis://127.0.0.1:20005/0",
		"A=redis+tls://:pw@cache.dev.internal":                          "A=redis+tls://:pw@127.0.0.1:20005",
		"P_HOST=posts P_PORT=3000":                                      "P_HOST=127.0.0.1 P_PORT=20003",
		"P_HOST=posts":                                                  "P_HOST=127.0.0.1 P_PORT=20003",
		"P_HOST=Cache.Dev.Internal. P_PORT=6379":                        "P_HOST=127.0.0.1 P_PORT=20005",
		"P_SERVER=posts P_ADDRESS=posts P_PORT=3000":                    "P_SERVER=127.0.0.1 P_ADDRESS=127.0.0.1 P_PORT=20003",
		"U_HOST=users U_PORT=80":                                        "U_HOST=127.0.0.1 U_PORT=20002",
		"P_NAME=posts P_PORT=3000 A=/api/posts posts":                   "P_NAME=posts P_PORT=3000 A=/api/posts posts=",
		"HOST=posts PORT=3000":                                          "HOST=posts PORT=3000 !posts in HOST, as in http://posts:3000",
		"U_HOST=users":                                                  "U_HOST=users !users in U_HOST, as in http://users:80",
		"P_HOST=posts P_PORT=7":                                         "P_HOST=posts P_PORT=7 !posts in P_HOST, as in http://posts:3000",
		"P_HOST=posts P_PORT=x":                                         "P_HOST=posts P_PORT=x !posts in P_HOST, as in http://posts:3000",
		"A=http://posts/x B=http://u@posts,x":                           "A=http://posts/x B=http://u@posts,x !posts in A, as in http://posts:3000 !posts in B, as in http://posts:3000",
		"A=https://posts:3001":                                          "A=https://posts:3001 !posts in A, as in http://posts:3000",
		"A=users.dev.internal":                                          "A=users.dev.internal !users.dev.internal in A, as in http+srv://users.dev.internal",
		"A=x,users.dev.internal.,y":                                     "A=x,users.dev.internal.,y !users.dev.internal in A, as in http+srv://users.dev.internal",
		"A=http://users.dev.internal:3000":                              "A=http://users.dev.internal:3000 !users.dev.internal in A, as in http+srv://users.dev.internal",
		"A_HOST=users.dev.internal A_PORT=0":                            "A_HOST=users.dev.internal A_PORT=0 !users.dev.internal in A_HOST, as in http+srv://users.dev.internal",
		"A_HOST=both.dev.internal":                                      "A_HOST=both.dev.internal !both.dev.internal in A_HOST, as in http+srv://both.dev.internal",
		"A=http+srv://posts":                                            "A=http+srv://posts !posts in A, as in http://posts:3000",
		"A=http+srv://both.dev.internal:9000":                           "A=http+srv://both.dev.internal:9000 !both.dev.internal in A, as in http+srv://both.dev.internal",
		"A=foo://posts":                                                 "A=foo://posts !posts in A, as in http://posts:3000",
		"A=my-posts:3000 B=posts.x:3000 C=posts:30000 D=my.users.dev.internal E=posts:1 OTEL_SERVICE_NAME=posts": "A=my-posts:3000 B=posts.x:3000 C=posts:30000 D=my.users.dev.internal E=posts:1 OTEL_SERVICE_NAME=posts",
	} {
		p, warned := &process{}, ""
		all := variables(strings.Fields(given)...)
		p.lead(&all, ecs.StartRequest{Names: names, Warn: func(text string) { warned += " !" + text }})
		got := ""
		for _, v := range all {
			got += " " + v.Name + "=" + v.Value
		}
		warned = strings.NewReplacer("has the name ", "", "the variable ", "", "which a process cannot resolve: write an address, ", "", ", or use --driver docker", "").Replace(warned)
		if got = got[1:] + warned; got != want {
			t.Errorf("%s became\n%s, want\n%s", given, got, want)
		}
	}
}

// The arguments of an image's program lead where its variables do. A command in place of a container is
// the user's own.
func TestNamesInArguments(t *testing.T) {
	r := ecs.StartRequest{Names: []ecs.Name{{Host: "users", Port: 3000, Address: "127.0.0.1:20001"}}}
	for _, c := range []struct {
		image *image
		want  string
	}{{&image{}, "users:3000 --upstream=http://127.0.0.1:20001/x"}, {nil, "users:3000 --upstream=http://users:3000/x"}} {
		p := &process{image: c.image, argv: []string{"users:3000", "--upstream=http://users:3000/x"}}
		p.lead(&environment{}, r)
		if got := strings.Join(p.argv, " "); got != c.want {
			t.Errorf("the arguments are %s, want %s", got, c.want)
		}
	}
}

// The port beside the name of a host is another host's, even if the container has one of the number.
func TestPortOfAnotherHost(t *testing.T) {
	d := newDriver(t, map[string]string{"posts": "env; sleep 1000"})
	c := model.Container{Name: "posts", Ports: model.TCP(3000), Environment: variables("USERS_HOST=users", "USERS_PORT=3000", "POSTS_HOST=0.0.0.0", "POSTS_PORT=3000", "OTHER_HOST=localhost", "OTHER_PORT=3000")}
	p, err := d.plan(ecs.StartRequest{Task: rand.Text(), Definition: c, TaskDefinition: &model.TaskDefinition{Containers: []model.Container{c}},
		Names: []ecs.Name{{Host: "users", Port: 3000, Address: "127.0.0.1:20001"}}})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"USERS_HOST=127.0.0.1", "USERS_PORT=20001", fmt.Sprintf("POSTS_PORT=%d", p.ports[3000]), fmt.Sprintf("OTHER_PORT=%d", p.ports[3000]), fmt.Sprintf("PORT=%d", p.ports[3000])} {
		if !slices.Contains(p.env, want) {
			t.Errorf("no variable is %s: %q", want, p.env)
		}
	}
	p.freePorts()
	for host, want := range map[string]bool{"users": true, "10.0.0.1": false, "::": false, "": false, "localhost": false} {
		if got := variables("A_HOST="+host, "A_PORT=1").elsewhere("A_PORT"); got != want {
			t.Errorf("beside the host %q the port is elsewhere: %v", host, got)
		}
	}
	if variables("HOST=users", "PORT=1", "B_HOST=users", "C=users").elsewhere("PORT") || variables("B_HOST=users").elsewhere("A_PORT") || variables("A_HOST=users").elsewhere("A_TIMEOUT") {
		t.Error("a variable has the port of another host that is not beside it")
	}
}

// The DNS name of a load balancer is localhost here. In a task with a network of its own the name does not
// lead into the task.
func TestLoadBalancerIsNotInTheTask(t *testing.T) {
	balancer := assembly.Ref{Resource: &assembly.Resource{Type: model.ELBLoadBalancer, Stack: &assembly.Stack{}}, Attribute: "DNSName"}
	other := assembly.Ref{Resource: &assembly.Resource{Type: model.ELBTargetGroup, Stack: &assembly.Stack{}}, Attribute: "DNSName"}
	d := newDriver(t, map[string]string{"posts": "true"})
	c := model.Container{Name: "posts", Ports: model.TCP(8080), Environment: append(variables("OWN=http://localhost:8080"),
		model.Variable{Name: "USERS_URL", Value: "http://localhost:8080", Parts: assembly.Text{"http://", balancer}},
		model.Variable{Name: "OTHER", Value: "http://localhost:8080", Parts: assembly.Text{"http://", other}})}
	p, err := d.plan(ecs.StartRequest{Task: rand.Text(), Definition: c, TaskDefinition: &model.TaskDefinition{NetworkMode: "awsvpc", Containers: []model.Container{c}}})
	if err != nil {
		t.Fatal(err)
	}
	own := fmt.Sprintf("http://127.0.0.1:%d", p.ports[8080])
	for _, want := range []string{"OWN=" + own, "OTHER=" + own, "USERS_URL=http://localhost:8080"} {
		if !slices.Contains(p.env, want) {
			t.Errorf("no variable is %s: %q", want, p.env)
		}
	}
}

// callVariable is an environment variable. With the variable, this program asks the URL in it.
const callVariable = "PROCESS_TEST_CALL"

func call() {
	response, err := http.Get(os.Getenv(callVariable))
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println(response.Status, response.Header.Get("Service"))
	os.Exit(0)
}

// A process calls a service by its name.
func TestCall(t *testing.T) {
	users := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Service", "users at "+r.URL.Path)
	}))
	defer users.Close()
	d := newDriver(t, map[string]string{"posts": "exec " + os.Args[0]})
	for _, url := range []string{"http://users:3000/x", "http+srv://users.dev.internal/x"} {
		c := model.Container{Name: "posts", Environment: variables(callVariable + "=" + url)}
		l := &logs{lines: make(chan string, 1000)}
		container, err := d.Start(t.Context(), ecs.StartRequest{Task: rand.Text(), Definition: c, TaskDefinition: &model.TaskDefinition{Containers: []model.Container{c}}, Output: l.output,
			Names: []ecs.Name{{Host: "users", Port: 3000, Address: users.Listener.Addr().String()}, {Host: "users.dev.internal", Address: users.Listener.Addr().String()}}})
		if err != nil {
			t.Fatal(err)
		}
		l.await(t, "200 OK users at /x")
		wait(t, container)
	}
}

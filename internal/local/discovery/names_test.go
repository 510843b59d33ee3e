package discovery

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"cutover/internal/assembly"
	"cutover/internal/local/ecs"
	"cutover/internal/local/provider"
	"cutover/internal/model"
)

// listening registers a task of users, which says its name to each connection.
func (w *mesh) listening(task string) *pipes {
	w.register(task, "users")
	p := w.open(task + ":3000")
	go func() {
		for {
			conn, err := p.Accept()
			if err != nil {
				return
			}
			io.WriteString(conn, task)
			conn.Close()
		}
	}()
	w.t.Cleanup(func() { p.Close() })
	return p
}

// ask connects with a name, and returns what the task says.
func (t *task) ask(name string) string {
	conn, err := t.dial(name)
	if err != nil {
		return err.Error()
	}
	defer conn.Close()
	text, _ := io.ReadAll(conn)
	return string(text)
}

// asked are the tasks that a name leads to.
func (t *task) asked(name string) string {
	var all []string
	for range 20 {
		all = append(all, t.ask(name))
	}
	slices.Sort(all)
	return strings.Join(slices.Compact(all), " ")
}

// The resolver of a caller keeps an answer for the life of its records, so that it leads to a task that has
// stopped.
func TestTTL(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newMesh(t, read(t, zone(""), service("Users", "", registered), service("Posts", "", "")))
		w.listening("a")
		posts, other := w.start("p", "posts"), w.start("q", "posts")
		const name = "users.dev.internal:3000"
		if got := posts.asked(name); got != "a" {
			t.Fatalf("at first: %q", got)
		}
		w.listening("b")
		w.Deregister("a")
		w.listeners["a:3000"].Close()
		time.Sleep(time.Minute - time.Nanosecond)
		if got := posts.asked(name); got != "" {
			t.Errorf("shortly before the record ends: %q", got)
		}
		if got := other.asked(name); got != "b" {
			t.Errorf("a task that has not asked before: %q", got)
		}
		time.Sleep(time.Nanosecond)
		if got := posts.asked(name); got != "b" {
			t.Errorf("after it: %q", got)
		}
		want := []string{
			"59.999999999s WARNING users.dev.internal:3000 still leads to task a of users, which has been deregistered for 1m0s: the resolver keeps an answer for 1m0s",
			"1m0s  users.dev.internal:3000 leads to task a of users no more, 1m0s after it was deregistered",
		}
		if diff := cmp.Diff(want, w.told("leads to")); diff != "" {
			t.Errorf("events (-want +got):\n%s", diff)
		}
	})
}

// An unhealthy task is returned until Cloud Map has waited for 30 seconds, and the resolver's answer has ended.
func TestUnhealthy(t *testing.T) {
	const name = "users.dev.internal:3000"
	synctest.Test(t, func(t *testing.T) {
		w := newMesh(t, read(t, zone(`, "HealthCheckCustomConfig": {"FailureThreshold": 1}`), service("Users", "", registered), service("Posts", "", "")))
		w.listening("a")
		w.listening("b")
		posts := w.start("p", "posts")
		if got := posts.asked(name); got != "a b" {
			t.Fatalf("at first: %q", got)
		}
		time.Sleep(35 * time.Second)
		w.Health("a", false)
		w.Health("a", false)
		if got := posts.asked(name); got != "a b" {
			t.Errorf("at once: %q", got)
		}
		time.Sleep(25 * time.Second) // a new answer, and 25 s of 30
		if got := posts.asked(name); got != "a b" {
			t.Errorf("before 30 s: %q", got)
		}
		time.Sleep(5 * time.Second)
		if got := w.start("q", "posts").asked(name); got != "b" {
			t.Errorf("a task that has not asked before, after 30 s: %q", got)
		}
		time.Sleep(55 * time.Second)
		if got := posts.asked(name); got != "b" {
			t.Errorf("after the record: %q", got)
		}
		w.Health("b", false)
		time.Sleep(2 * time.Minute)
		if got := posts.asked(name); got != "a b" {
			t.Errorf("with no healthy task: %q", got)
		}
		w.Health("a", true)
		time.Sleep(time.Minute)
		if got := posts.asked(name); got != "a" {
			t.Errorf("with a healthy one: %q", got)
		}
		if !w.Status().(Status).Names[0].Endpoints[1].Unhealthy || w.Status().(Status).Names[0].Endpoints[0].Unhealthy {
			t.Errorf("the status is %+v", w.Status())
		}
		for _, want := range []string{
			"35s WARNING users.dev.internal:3000 still leads to task a of users, which has been UNHEALTHY for 0s: Cloud Map waits for 30s, and the resolver keeps an answer for 1m0s",
			"2m0s  users.dev.internal:3000 leads to task a of users no more, 1m25s after it was UNHEALTHY",
		} {
			if len(w.told(want)) != 1 {
				t.Errorf("no event says %q: %q", want, w.told(""))
			}
		}
	})
	// A task that recovers in time is returned all the while; one that never was healthy is not.
	synctest.Test(t, func(t *testing.T) {
		w := newMesh(t, read(t, zone(`, "HealthCheckCustomConfig": {}`), service("Users", "", registered), service("Posts", "", "")))
		w.listening("a")
		w.listening("b")
		w.Register("b", w.service("users"), false, func(string, int) string { return "b:3000" })
		w.Health("a", false)
		time.Sleep(29 * time.Second)
		w.Health("a", true)
		time.Sleep(time.Hour)
		posts := w.start("p", "posts")
		if got := posts.asked(name); got != "a" {
			t.Errorf("the tasks are %q", got)
		}
	})
	// Without a health check of Cloud Map, all tasks are healthy.
	synctest.Test(t, func(t *testing.T) {
		w := newMesh(t, read(t, zone(""), service("Users", "", registered), service("Posts", "", "")))
		w.listening("a")
		w.listening("b")
		w.Health("a", false)
		time.Sleep(time.Hour)
		if got := w.start("p", "posts").asked(name); got != "a b" {
			t.Errorf("without a health check: %q", got)
		}
		if len(w.told("which has been UNHEALTHY for 1h0m0s: the service of Cloud Map has no health check")) != 1 || w.Status().(Status).Names[0].Endpoints[0].Unhealthy {
			t.Errorf("the events are %q", w.told(""))
		}
	})
}

// An answer has eight tasks at most, or one with WEIGHTED.
func TestAnswers(t *testing.T) {
	for policy, want := range map[string]int{"MULTIVALUE": 8, "WEIGHTED": 1} {
		synctest.Test(t, func(t *testing.T) {
			names := strings.Replace(zone(""), `"DnsConfig": {`, `"DnsConfig": {"RoutingPolicy": "`+policy+`", `, 1)
			w := newMesh(t, read(t, names, service("Users", "", registered), service("Posts", "", "")))
			for i := range 10 {
				w.listening(fmt.Sprint("t", i))
			}
			posts := w.start("p", "posts")
			first := posts.asked("users.dev.internal:3000")
			if got := len(strings.Fields(first)); got != want {
				t.Errorf("%s: %d tasks: %s", policy, got, first)
			}
			for range 50 { // another answer, in which chance has others
				time.Sleep(time.Minute)
				if posts.asked("users.dev.internal:3000") != first {
					return
				}
			}
			t.Errorf("%s: the answer is always %s", policy, first)
		})
	}
}

// A task whose address nobody takes, and a name without a task, break the connection.
func TestConnectionsThatFail(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newMesh(t, read(t, zone(""), service("Users", "", registered), service("Posts", "", "")))
		posts := w.start("p", "posts")
		if got := posts.ask("users.dev.internal:3000"); got != "" || len(w.told("it calls users.dev.internal:3000, and no task is there")) != 1 {
			t.Errorf("without a task: %q, %q", got, w.told(""))
		}
		w.listening("a")
		if got := posts.ask("users.dev.internal:3000"); got != "a" {
			t.Errorf("nothing is kept of an answer without tasks: %q", got)
		}
		w.listeners["a:3000"].Close()
		if got := posts.ask("users.dev.internal:3000"); got != "" {
			t.Errorf("with a task that does not listen: %q", got)
		}
	})
}

// A port without a protocol gets connections, in turn. A task that takes none five times is left out.
func TestConnectionsOfServiceConnect(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newMesh(t, read(t, pair(t, "", "")...))
		w.listening("a")
		w.listening("b")
		posts := w.start("p", "posts")
		if got := posts.asked("users:80"); got != "a b" {
			t.Errorf("it leads to %q", got)
		}
		w.listeners["a:3000"].Close()
		if got := posts.asked("users:80"); got != " b" || len(w.told("EJECTED users:80 leaves task a of users out for 30s")) != 1 {
			t.Errorf("it leads to %q, the events are %q", got, w.told(""))
		}
		if got := posts.asked("users:80"); got != "b" {
			t.Errorf("then it leads to %q", got)
		}
	})
}

// Both ends of a connection may close first, and a silent one ends.
func TestPassing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newMesh(t, read(t, pair(t, "", `, "Timeout": {"IdleTimeoutSeconds": 100}`)...))
		w.register("a", "users")
		listener := w.open("a:3000")
		posts := w.start("p", "posts")
		connect := func() (client, server net.Conn) {
			accepted := make(chan net.Conn)
			go func() {
				conn, err := listener.Accept()
				if err != nil {
					t.Error(err)
				}
				accepted <- conn
			}()
			client, err := posts.dial("users:80")
			if err != nil {
				t.Fatal(err)
			}
			return client, <-accepted
		}
		ended := func(conn net.Conn) bool {
			_, err := conn.Read(make([]byte, 1))
			return err != nil
		}
		client, server := connect()
		client.Close()
		if !ended(server) {
			t.Error("the task does not notice the end")
		}
		client, server = connect()
		server.Close()
		if !ended(client) {
			t.Error("the client does not notice the end")
		}
		client, server = connect()
		for range 3 { // in one direction only
			time.Sleep(99 * time.Second)
			go server.Write([]byte("x"))
			if ended(client) {
				t.Fatal("a connection that is not silent ended")
			}
		}
		begin := time.Now()
		if !ended(client) || time.Since(begin) != 100*time.Second {
			t.Errorf("a silent connection ended after %v", time.Since(begin))
		}
		server.Close()
		client, server = connect()
		w.Close("p")
		if !ended(client) || !ended(server) {
			t.Error("a connection outlives the task that called")
		}
	})
}

// Only what existed when its deployment began has a name of Service Connect for a task. Names of Cloud Map resolve at
// any time.
func TestKnown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		both := func(more ...string) *model.Model {
			return readStacks(t, map[string][]string{"A": more, "B": {service("Posts", "http", calling)}})
		}
		w := newMesh(t, both())
		known := w.Known(w.service("posts"))
		w.deploy(both(service("Users", "http", connected)))
		posts := w.service("posts")
		old, _, err := w.Open(ecs.Caller{Task: "old", Name: "posts", Service: posts, Known: known})
		if err != nil || len(old) != 0 {
			t.Errorf("the task of an old deployment knows %v, %v", old, err)
		}
		w.Close("old")
		want := []ecs.Name{{Host: "users", Port: 80, ServiceConnect: true}}
		later := w.start("new", "posts").names
		if len(later) == 1 {
			want[0].Address = later[0].Address
		}
		if !slices.Equal(later, want) {
			t.Errorf("the task of a new one knows %v", later)
		}
		// A name that is gone keeps its address, and leads nowhere.
		w.deploy(both())
		if got := w.Known(w.service("posts")); len(got) != 0 {
			t.Errorf("known is %v after the end of the service", got)
		}
		w.deploy(readStacks(t, map[string][]string{"A": {zone(""), service("Users", "http", registered)}, "B": {service("Posts", "http", "")}}))
		if names := w.start("third", "posts").names; len(names) != 1 || names[0].Host != "users.dev.internal" || names[0].ServiceConnect {
			t.Errorf("names of Cloud Map: %v", names)
		}
	})
}

// A task knows what is in its namespace, even if another namespace has the same name.
func TestNamespacesOfOneName(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in := func(namespace, name string) string {
			return strings.NewReplacer(`"Namespace": "dev"`, `"Namespace": {"Fn::GetAtt": ["`+namespace+`", "Arn"]}`, `"users"`, `"`+name+`"`, `"PortName"`, `"DiscoveryName": "`+name+`", "PortName"`).Replace(connected)
		}
		namespace := func(name string) string { return resource(name, model.CloudMapHTTPNamespace, `"Name": "dev"`) }
		w := newMesh(t, read(t, namespace("One"), namespace("Two"), service("Users", "", in("One", "users")), service("Others", "", in("Two", "users")),
			service("Posts", "", in("Two", "posts")), service("Alone", "", "")))
		w.listening("a")
		w.Register("b", w.service("others"), true, func(string, int) string { return "b:3000" })
		go func(p *pipes) {
			conn, _ := p.Accept()
			io.WriteString(conn, "b")
			conn.Close()
		}(w.open("b:3000"))
		if got := w.start("p", "posts").ask("users:80"); got != "b" {
			t.Errorf("users of the namespace Two is %q", got)
		}
		if names := w.start("q", "alone").names; len(names) != 0 {
			t.Errorf("a task without a namespace knows %v", names)
		}
		if names := w.start("r", "others").names; len(names) != 2 || names[1].Host != "users" {
			t.Errorf("a task of the namespace knows %v, its own name among them", names)
		}
	})
	// Private namespaces are of a VPC.
	synctest.Test(t, func(t *testing.T) {
		vpc := func(n string) string {
			return resource("Vpc"+n, model.EC2VPC, "") + ", " + resource("Subnet"+n, model.EC2Subnet, `"VpcId": {"Ref": "Vpc`+n+`"}`) + ", " +
				strings.NewReplacer(`"vpc-1"`, `{"Ref": "Vpc`+n+`"}`, `"Zone"`, `"Zone`+n+`"`, `"Names"`, `"Names`+n+`"`).Replace(zone(""))
		}
		in := func(n string) string {
			return strings.Replace(registered, "Names", "Names"+n, 1) + `, "NetworkConfiguration": {"AwsvpcConfiguration": {"Subnets": [{"Ref": "Subnet` + n + `"}]}}`
		}
		w := newMesh(t, read(t, vpc("A"), vpc("B"), service("Users", "", in("A")), service("Others", "", in("B"))))
		w.listening("a")
		if names := w.start("p", "others").names; len(names) != 1 {
			t.Errorf("in VPC B a task knows %v", names)
		}
		if got := w.start("q", "others").ask("users.dev.internal:3000"); got != "" {
			t.Errorf("in VPC B the name leads to %q", got)
		}
		if got := w.start("r", "users").ask("users.dev.internal:3000"); got != "a" {
			t.Errorf("in VPC A the name leads to %q", got)
		}
	})
}

// Connections that security groups refuse get nowhere, and one event says so. A deployment of other rules
// concerns tasks that run.
func TestRefused(t *testing.T) {
	for _, protocol := range []string{"", "http"} {
		synctest.Test(t, func(t *testing.T) {
			in := func(group string) string {
				return `, "NetworkConfiguration": {"AwsvpcConfiguration": {"SecurityGroups": [{"Fn::GetAtt": ["` + group + `", "GroupId"]}]}}`
			}
			with := func(ingress, egress string) *model.Model {
				return read(t, service("Users", protocol, connected+in("Callee")), service("Posts", "http", calling+in("Caller")),
					resource("Caller", model.EC2SecurityGroup, egress), resource("Callee", model.EC2SecurityGroup, `"SecurityGroupIngress": [`+ingress+`]`))
			}
			admits := `{"IpProtocol": "tcp", "FromPort": 3000, "ToPort": 3000, "SourceSecurityGroupId": {"Ref": "Caller"}}`
			w := newMesh(t, with("", ""))
			w.register("a", "users")
			posts := w.start("p", "posts")
			for range 3 {
				if got := posts.ask("users:80"); got != "" {
					t.Errorf("it answers %q", got)
				}
			}
			if got := w.told("WARNING it calls users:80, and the security group of users does not admit it: the connection is refused"); len(got) != 1 || len(w.dialled) != 3 {
				t.Errorf("the events are %q, dialled is %q", w.told(""), w.dialled)
			}
			if got := w.Status().(Status).Names[0].Callers[0].Refused; got != "the security group of users does not admit it" {
				t.Errorf("the status is %q", got)
			}
			w.deploy(with(admits, `"SecurityGroupEgress": [{"IpProtocol": "tcp", "FromPort": 443, "ToPort": 443, "CidrIp": "0.0.0.0/0"}]`))
			posts.ask("users:80")
			if got := w.told("the security group of posts does not let it out"); len(got) != 1 {
				t.Errorf("the events are %q", w.told(""))
			}
			w.deploy(with(admits, ""))
			if got := w.Status().(Status).Names[0].Callers[0].Refused; got != "" {
				t.Errorf("the status is %q", got)
			}
			if protocol == "http" {
				w.Deregister("a")
				w.answer("b", always("b", 200))
				if got := posts.call("GET", ""); got != "200 b" {
					t.Errorf("admitted, it answers %q", got)
				}
				return
			}
			w.listening("a")
			if got := posts.ask("users:80"); got != "a" {
				t.Errorf("admitted, it answers %q", got)
			}
		})
	}
}

// A name has the port of the container, or in bridge mode one that the host picks.
func TestPorts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		task := func(mode string) string {
			return resource("Task"+mode, model.ECSTaskDefinition, `"NetworkMode": "`+mode+`", "ContainerDefinitions": [{"Name": "web", "Image": "i", "Memory": 64, "PortMappings": [{"ContainerPort": 3000}, {"ContainerPort": 53, "Protocol": "udp"}]},
				{"Name": "admin", "Image": "i", "Memory": 64, "PortMappings": [{"ContainerPort": 9000, "HostPort": 9000}]}]`)
		}
		names := func(name, records string) string {
			return resource(name+"Names", model.CloudMapService, `"Name": "`+name+`", "NamespaceId": {"Ref": "Zone"}, "DnsConfig": {"DnsRecords": [`+records+`]}`)
		}
		of := func(name, mode, more string) string {
			return resource(name, model.ECSService, `"ServiceName": "`+strings.ToLower(name)+`", "TaskDefinition": {"Ref": "Task`+mode+`"}, "ServiceRegistries": [{"RegistryArn": {"Fn::GetAtt": ["`+name+`Names", "Arn"]}`+more+`}]`)
		}
		a, srv := `{"Type": "A", "TTL": 1}`, `{"Type": "SRV", "TTL": 1}`
		w := newMesh(t, read(t, resource("Zone", model.CloudMapPrivateNamespace, `"Name": "dev.internal", "Vpc": "v"`), task("bridge"), task("awsvpc"),
			names("Own", a), of("Own", "awsvpc", ""), names("Bridged", srv), of("Bridged", "bridge", `, "ContainerName": "admin", "ContainerPort": 9000`),
			names("Both", a+","+srv), of("Both", "awsvpc", `, "Port": 3000`), names("Dynamic", srv), of("Dynamic", "bridge", `, "ContainerName": "web", "ContainerPort": 3000`)))
		got := map[string]int{}
		for _, s := range w.model.Services {
			w.Register(s.Name, s, true, func(container string, port int) string { return fmt.Sprintf("%s.%s:%d", s.Name, container, port) })
		}
		for _, n := range w.start("p", "own").names {
			at := target{addressName, "", n.Host, n.Port}
			if n.Port == 0 {
				at.kind = serviceName
			}
			for t2 := range w.callers["p"].names {
				if t2.host == n.Host && t2.port == n.Port {
					at.key = t2.key
				}
			}
			i := w.targets(at)[0]
			got[fmt.Sprintf("%s:%d at %s", n.Host, n.Port, i.at(at))] = i.ingress(at)
		}
		if diff := cmp.Diff(map[string]int{
			"own.dev.internal:3000 at own.web:3000": 3000, "own.dev.internal:9000 at own.admin:9000": 9000,
			"both.dev.internal:0 at both.web:3000": 3000, "both.dev.internal:3000 at both.web:3000": 3000, "both.dev.internal:9000 at both.admin:9000": 9000,
			"bridged.dev.internal:0 at bridged.admin:9000": 9000, "dynamic.dev.internal:0 at dynamic.web:3000": 0,
		}, got); diff != "" {
			t.Errorf("names (-want +got):\n%s", diff)
		}
	})
}

func TestAttributes(t *testing.T) {
	m := read(t, zone(""))
	plan := New(nil).Plan(m, nil)
	zone, names := m.Namespaces[0].Resource, m.DiscoveryServices[0].Resource
	give := func(r *assembly.Resource, attribute string) string {
		value, err := plan.Attribute(assembly.Ref{Resource: r, Attribute: attribute})
		if err != nil {
			return err.Error()
		}
		return value.(string)
	}
	id := give(zone, "")
	if len(id) != 19 || give(zone, "Id") != id || give(zone, "Arn") != "arn:aws:servicediscovery:local:000000000000:namespace/"+id || !strings.HasPrefix(id, "ns-") {
		t.Errorf("the namespace is %s, %s, %s", id, give(zone, "Id"), give(zone, "Arn"))
	}
	id = give(names, "")
	if !strings.HasPrefix(id, "srv-") || give(names, "Arn") != "arn:aws:servicediscovery:local:000000000000:service/"+id || give(names, "Name") != "users" {
		t.Errorf("the service is %s, %s", id, give(names, "Arn"))
	}
	for _, got := range []string{give(zone, "HostedZoneId"), give(zone, "Name"), give(names, "Novelty")} {
		if !strings.Contains(got, "has no attribute") {
			t.Errorf("an attribute is %s", got)
		}
	}
}

func TestNotHonoured(t *testing.T) {
	for _, test := range []struct{ old, new, want string }{
		{`"Name": "users"`, `"Name": "users", "Description": "d", "Tags": [{"Key": "k", "Value": "v"}], "ServiceAttributes": {"a": "b"}, "Type": "DNS_HTTP"`, "<nil>"},
		{`"Name": "dev.internal"`, `"Name": "dev.internal", "Properties": {"DnsProperties": {"SOA": {"TTL": 15}}}`, "<nil>"},
		{`"Type": "A"`, `"Type": "AAAA"`, "<nil>"},
		{`"Type": "A"`, `"Type": "CNAME"`, "S/Names/Properties.DnsConfig.DnsRecords[0].Type: CNAME is not honoured: ECS registers tasks by their addresses"},
		{`"Type": "A"`, `"Type": "MX"`, `S/Names/Properties.DnsConfig.DnsRecords[0].Type: "MX" is none of A, AAAA, SRV, CNAME`},
		{`"Name": "users"`, `"Name": "users", "HealthCheckConfig": {"Type": "HTTP"}`, "S/Names/Properties.HealthCheckConfig: not honoured: AWS takes it for public and HTTP namespaces only"},
		{`"Name": "users"`, `"Name": "users", "Novelty": 1`, "S/Names/Properties.Novelty: not honoured: what it does is not known here"},
		{`"Vpc"`, `"Novelty": 1, "Vpc"`, "S/Zone/Properties.Novelty: not honoured"},
		{`PrivateDnsNamespace`, `PublicDnsNamespace`, "<nil>"},
	} {
		text := strings.Replace(zone(""), test.old, test.new, 1)
		if got := fmt.Sprint(New(nil).Plan(read(t, text, service("Users", "", registered)), nil).Check()); !strings.Contains(got, test.want) {
			t.Errorf("%s: %s, want %s", test.new, got, test.want)
		}
	}
	// In a public namespace nothing is refused: nothing is answered.
	public := strings.NewReplacer("PrivateDnsNamespace", "PublicDnsNamespace", `"Vpc"`, `"Novelty"`, `"Name": "users"`, `"Name": "users", "HealthCheckConfig": {}`).Replace(zone(""))
	m := read(t, public, service("Users", "", registered), service("Posts", "", ""))
	if err := New(nil).Plan(m, nil).Check(); err != nil {
		t.Error(err)
	}
	synctest.Test(t, func(t *testing.T) {
		w := newMesh(t, m)
		if names := w.start("p", "posts").names; len(names) != 0 || w.Status() != nil {
			t.Errorf("the names are %v, the status is %v", names, w.Status())
		}
	})
	over := New(nil).Plan(read(t, strings.Replace(zone(""), `"Type": "A"`, `"Type": "AAAA"`, 1), service("Users", "", registered)), nil).(provider.Reporter).PassedOver()
	if len(over) != 0 { // no record is answered at all
		t.Errorf("passed over is %v", over)
	}
	over = New(nil).Plan(read(t, strings.Replace(zone(""), `{"Type": "A", "TTL": 60}`, `{"Type": "A", "TTL": 60}, {"Type": "AAAA", "TTL": 60}`, 1), service("Users", "", registered)), nil).(provider.Reporter).PassedOver()
	if len(over) != 1 || over[0].Place != "S/Names/Properties.DnsConfig.DnsRecords[1].Type" || over[0].Setting != "AAAA" {
		t.Errorf("passed over is %v", over)
	}
}

// A namespace has no endpoint and no discovery name twice.
func TestTwice(t *testing.T) {
	for other, want := range map[string]string{
		connected: "S/Users/Properties.ServiceConnectConfiguration.Services[0]: AWS refuses the endpoint users:80: S/Others has it in the namespace already\n" +
			"S/Users/Properties.ServiceConnectConfiguration.Services[0]: AWS refuses the discovery name http: S/Others has it in the namespace already",
		strings.Replace(connected, `"Port": 80`, `"Port": 81`, 1):                            "S/Users/Properties.ServiceConnectConfiguration.Services[0]: AWS refuses the discovery name http: S/Others has it in the namespace already",
		strings.Replace(connected, `"PortName"`, `"DiscoveryName": "others", "PortName"`, 1): "S/Users/Properties.ServiceConnectConfiguration.Services[0]: AWS refuses the endpoint users:80: S/Others has it in the namespace already",
		strings.Replace(connected, `"dev"`, `"prod"`, 1):                                     "<nil>",
		calling: "<nil>",
	} {
		got := fmt.Sprint(New(nil).Plan(read(t, service("Users", "", connected), service("Others", "", other)), nil).Check())
		if got != want {
			t.Errorf("%s:\n%s\nwant\n%s", other, got, want)
		}
	}
}

// A listener that cannot be had leaves nothing behind, and an unknown task is none.
func TestOpenFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newMesh(t, read(t, strings.Replace(zone(""), `{"Type": "A", "TTL": 60}`, `{"Type": "A", "TTL": 60}, {"Type": "SRV", "TTL": 60}`, 1), service("Users", "", strings.Replace(registered, `"Arn"]}`, `"Arn"]}, "Port": 3000`, 1)), service("Posts", "", "")))
		var opened []*pipes
		w.Provider.listen = func() (net.Listener, error) {
			if len(opened) == 1 {
				return nil, fmt.Errorf("too many open files")
			}
			opened = append(opened, w.open("x:1"))
			return opened[0], nil
		}
		_, _, err := w.Open(ecs.Caller{Task: "p", Name: "posts", Service: w.service("posts")})
		if err == nil || err.Error() != "the name users.dev.internal:3000 cannot answer here: too many open files" {
			t.Errorf("the error is %v", err)
		}
		if _, err := opened[0].Accept(); err == nil || len(w.callers) != 0 {
			t.Error("a listener is left")
		}
		w.Close("p")
		w.Deregister("p")
		w.Health("p", false)
		w.Register("q", &model.Service{}, true, nil)
		if len(w.instances) != 0 {
			t.Error("a task without names is registered")
		}
	})
}

// A task that belongs to no service finds the names of Cloud Map.
func TestTaskOfItsOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newMesh(t, read(t, zone(""), service("Users", "http", registered+connected)))
		w.listening("a")
		names, _, err := w.Open(ecs.Caller{Task: "p", Name: "nightly", Service: &model.Service{}})
		if err != nil || len(names) != 1 || names[0].Host != "users.dev.internal" {
			t.Fatalf("%v, %v", names, err)
		}
		conn, err := w.connect(context.Background(), names[0].Address)
		if err != nil {
			t.Fatal(err)
		}
		if text, _ := io.ReadAll(conn); string(text) != "a" {
			t.Errorf("it answers %q", text)
		}
		w.Close("p")
	})
}

// What runs in the bubble of the tests runs with sockets, too: a client is told at once that it is refused.
func TestSockets(t *testing.T) {
	w := &mesh{t: t, begin: time.Now(), listeners: map[string]*pipes{}}
	w.Provider = New(func(provider.Event) {})
	in := func(group string) string {
		return `, "NetworkConfiguration": {"AwsvpcConfiguration": {"SecurityGroups": [{"Ref": "` + group + `"}]}}`
	}
	w.deploy(read(t, resource("A", model.EC2SecurityGroup, ""), resource("B", model.EC2SecurityGroup, `"SecurityGroupIngress": [{"IpProtocol": "tcp", "FromPort": 3000, "ToPort": 3000, "SourceSecurityGroupId": {"Ref": "A"}}]`),
		service("Users", "http", connected+in("B")), service("Posts", "", calling+in("A")), service("Others", "", calling+in("B"))))
	server := &http.Server{Handler: always("a", 200)}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go server.Serve(listener)
	defer server.Close()
	w.Register("a", w.service("users"), true, func(string, int) string { return listener.Addr().String() })
	for of, want := range map[string]bool{"posts": true, "others": false} {
		s := w.service(of)
		names, _, err := w.Open(ecs.Caller{Task: of, Name: of, Service: s, Known: w.Known(s)})
		if err != nil {
			t.Fatal(err)
		}
		response, err := http.Get("http://" + names[0].Address)
		if (err == nil) != want {
			t.Errorf("%s: %v", of, err)
		}
		if err == nil {
			response.Body.Close()
		}
		w.Close(of)
		if _, err := net.Dial("tcp", names[0].Address); err == nil {
			t.Errorf("%s: the name answers after the task", of)
		}
	}
}

// A task is named by the beginning of its id.
func TestNameOfATask(t *testing.T) {
	for id, want := range map[string]string{"a": "task a of users", "01234567": "task 01234567 of users", "0123456789": "task 01234567 of users"} {
		if got := (&instance{task: id, service: &model.Service{Name: "users"}}).String(); got != want {
			t.Errorf("%s is %q", id, got)
		}
	}
}

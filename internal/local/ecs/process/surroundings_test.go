//go:build unix

package process

import (
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"cutover/internal/assembly"
	"cutover/internal/local/ecs"
	"cutover/internal/model"
)

func TestRebase(t *testing.T) {
	directories := map[string]string{"/data": "/here/data/d", "/data/cache": "/here/c", "/tmp": "/here/t"}
	for value, want := range map[string]string{
		"/data":                          "/here/data/d",
		"/data/":                         "/here/data/d/",
		"/data/shop.db":                  "/here/data/d/shop.db",
		"/data/cache/x":                  "/here/c/x",
		"/data/cached":                   "/here/data/d/cached",
		"/database":                      "/database",
		"/x/data":                        "/x/data",
		"data/x":                         "data/x",
		"file:/data/x":                   "file:/here/data/d/x",
		"file:///data/x?mode=ro":         "file:///here/data/d/x?mode=ro",
		"sqlite:////data/x":              "sqlite:////here/data/d/x",
		"sqlite:///data?mode=ro":         "sqlite:///here/data/d?mode=ro",
		"https://data/x":                 "https://data/x",
		"https://host/data/x":            "https://host/data/x",
		"s3://bucket/tmp/x":              "s3://bucket/tmp/x",
		"/bin:/data/bin:/tmp":            "/bin:/here/data/d/bin:/here/t",
		"--db=/data/x,/tmp --log /tmp/l": "--db=/here/data/d/x,/here/t --log /here/t/l",
		"/data;/data":                    "/here/data/d;/here/data/d",
		"":                               "",
		"/data-old /tmp.":                "/data-old /tmp.",
	} {
		if got := rebase(value, directories); got != want {
			t.Errorf("%q is %q, want %q", value, got, want)
		}
	}
}

// variables makes an environment of lines NAME=VALUE.
func variables(lines ...string) (all environment) {
	for _, line := range lines {
		name, value, _ := strings.Cut(line, "=")
		all = append(all, model.Variable{Name: name, Value: value})
	}
	return all
}

// A container has the ports that it publishes, and those that a container with a link to it names.
func TestPortsOf(t *testing.T) {
	c := model.Container{Name: "db", Ports: []model.Port{{Container: 53, Protocol: "udp"}, {Container: 53, Protocol: "tcp"}, {Container: 54, Protocol: "udp"}}}
	whole := &model.TaskDefinition{Containers: []model.Container{
		c,
		{Name: "web", Links: []string{"db", "db:alias"}, Environment: variables("A=db:54", "B=db:55", "C=alias:56", "D=db:55", "E_HOST=db", "E_PORT=57", "F_HOST=db", "G=web:58")},
		{Name: "other", Environment: variables("A=db:59")},
	}}
	want := []port{{53, []string{"udp", "tcp"}}, {54, []string{"udp"}}, {55, []string{"tcp"}}, {57, []string{"tcp"}}, {56, []string{"tcp"}}}
	if got := portsOf(whole, c); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("the ports are %v, want %v", got, want)
	}
	if links := linksOf(whole, whole.Containers[1]); len(links) != 2 || links[1].alias != "alias" || links[1].container != "db" || fmt.Sprint(links[0].ports) != fmt.Sprint(want) {
		t.Errorf("the links are %v", links)
	}
}

func TestTaken(t *testing.T) {
	socket, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	number := socket.LocalAddr().(*net.UDPAddr).Port
	if !taken("udp", number) {
		t.Errorf("UDP port %d is free", number)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	if number = listener.Addr().(*net.TCPAddr).Port; !taken("tcp", number) {
		t.Errorf("TCP port %d is free", number)
	}
	listener.Close()
	if taken("tcp", number) {
		t.Errorf("TCP port %d is taken after its listener was closed", number)
	}
}

// echoVariable is an environment variable. With the variable, this program sends back what comes by
// UDP at the address in HOST and PORT.
const echoVariable = "PROCESS_TEST_ECHO"

func echo() {
	socket, err := net.ListenPacket("udp", net.JoinHostPort(os.Getenv("HOST"), os.Getenv("PORT")))
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println("ready")
	packet := make([]byte, 100)
	for {
		n, from, err := socket.ReadFrom(packet)
		if err != nil {
			os.Exit(1)
		}
		socket.WriteTo(packet[:n], from)
	}
}

// A process reaches a linked one over UDP, by the variables.
func TestLinkOverUDP(t *testing.T) {
	d := newDriver(t, map[string]string{
		"x-ray": echoVariable + "=1 exec " + os.Args[0], "open": "HOST=0.0.0.0 " + echoVariable + "=1 exec " + os.Args[0],
		"web": "env | sort; sleep 1000",
	})
	whole := &model.TaskDefinition{Containers: []model.Container{
		{Name: "x-ray", Ports: []model.Port{{Container: 2000, Protocol: "udp"}}},
		{Name: "web", Ports: model.TCP(80), Links: []string{"x-ray"}, Environment: variables("DAEMON=x-ray:2000")},
	}}
	begin := func(c model.Container, peers map[string]ecs.Container) (ecs.Container, *logs, chan string) {
		l, warnings := &logs{lines: make(chan string, 1000)}, make(chan string, 10)
		started, err := d.Start(t.Context(), ecs.StartRequest{Task: rand.Text(), Definition: c, TaskDefinition: whole, Peers: peers, Output: l.output, Warn: func(text string) { warnings <- text }})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { started.Signal(syscall.SIGKILL); <-started.Done() })
		return started, l, warnings
	}
	sidecar, l, _ := begin(whole.Containers[0], nil)
	l.await(t, "ready")
	_, l, _ = begin(whole.Containers[1], map[string]ecs.Container{"x-ray": sidecar})
	address, _ := strings.CutPrefix(l.await(t, "stdout DAEMON="), "stdout DAEMON=")
	host, _ := strings.CutPrefix(l.await(t, "X_RAY_PORT_2000_UDP_ADDR="), "stdout X_RAY_PORT_2000_UDP_ADDR=")
	number, _ := strings.CutPrefix(l.await(t, "X_RAY_PORT_2000_UDP_PORT="), "stdout X_RAY_PORT_2000_UDP_PORT=")
	if address != net.JoinHostPort(host, number) {
		t.Errorf("one variable has the address %s, others have %s and %s", address, host, number)
	}
	ask(t, address)

	if runtime.GOOS != "linux" {
		return
	}
	open := whole.Containers[0]
	open.Name = "open"
	_, l, warnings := begin(open, nil)
	l.await(t, "ready")
	select {
	case text := <-warnings:
		if !strings.HasPrefix(text, "listens on ") {
			t.Errorf("the warning is %q", text)
		}
	case <-time.After(time.Minute):
		t.Error("nothing warns of a process that others reach by UDP")
	}
}

// ask asks an echo. A packet may be lost.
func ask(t *testing.T, address string) {
	t.Helper()
	socket, err := net.Dial("udp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	answer := make([]byte, 100)
	for range 60 {
		socket.Write([]byte("hello"))
		socket.SetReadDeadline(time.Now().Add(time.Second))
		if n, err := socket.Read(answer); err == nil {
			if string(answer[:n]) != "hello" {
				t.Errorf("the answer is %q", answer[:n])
			}
			return
		}
	}
	t.Fatal("no answer in a minute")
}

// A task's own volume is one directory for its containers, and goes with the task. Other volumes stay,
// and every task has the same.
func TestVolumes(t *testing.T) {
	run := map[string]string{
		"write": `echo "$SHARED $FILE" > $FILE && echo more > $VOLUME_THE_VOLUME/more && echo wrote`,
		"read":  `cat $FILE && cat $(dirname $FILE)/more || echo none`,
	}
	d := newDriver(t, run)
	for _, c := range []struct {
		volume model.TaskVolume
		kept   string // below the directory of volumes
	}{
		{model.TaskVolume{}, ""},
		{model.TaskVolume{Shared: true}, "shared/the-volume"},
		{model.TaskVolume{HostPath: "/var/lib/../shop"}, "host/var/shop"},
		{model.TaskVolume{HostPath: "../../shop"}, "host/shop"},
		{model.TaskVolume{EFS: &model.EFSVolume{FileSystem: "fs-1", RootDirectory: "/a/b"}}, "efs/fs-1/a/b"},
		{model.TaskVolume{EFS: &model.EFSVolume{FileSystem: "dev-Data/Files", AccessPoint: "dev-Data/Orders", RootDirectory: "/"}}, "efs/dev-Data.Files/dev-Data.Orders"},
		{model.TaskVolume{EFS: &model.EFSVolume{FileSystem: "..", RootDirectory: "/../.."}}, "efs/_.."},
	} {
		c.volume.Name = "the-volume"
		one, two := rand.Text(), rand.Text()
		do := func(task, name, want string) {
			t.Helper()
			definition := model.Container{Name: name, Mounts: []model.Mount{{Volume: "the-volume", Path: "/data/"}}, Environment: variables("FILE=/data/file")}
			container, l := startWhole(t, d, task, definition, &model.TaskDefinition{Containers: []model.Container{definition}, Volumes: []model.TaskVolume{c.volume}})
			wait(t, container)
			l.await(t, want)
		}
		otherTask := "stdout more"
		if c.kept == "" {
			otherTask = "stdout none"
		}
		do(one, "read", "stdout none")
		do(one, "write", "stdout wrote")
		do(one, "read", "stdout more")
		do(two, "read", otherTask)
		if err := d.Clean(one); err != nil {
			t.Error(err)
		}
		do(one, "read", otherTask)
		if c.kept == "" {
			continue
		}
		if text, err := os.ReadFile(filepath.Join(d.options.Volumes, c.kept, "file")); err != nil || !strings.Contains(string(text), filepath.Join(d.options.Volumes, c.kept, "file")) {
			t.Errorf("%+v: the file has %q (%v)", c.volume, text, err)
		}
		if info, err := os.Stat(filepath.Join(d.options.Volumes, c.kept)); err != nil || info.Mode().Perm() != 0o777 {
			t.Errorf("%s has the mode %v (%v)", c.kept, info.Mode(), err)
		}
	}
	if left, _ := filepath.Glob(filepath.Join(d.taskVolumes(""), "*")); len(left) == 0 {
		t.Error("there are no directories of tasks")
	}
	if _, err := d.Sweep(t.Context()); err != nil {
		t.Error(err)
	}
	if left, _ := filepath.Glob(filepath.Join(d.taskVolumes(""), "*")); len(left) > 0 {
		t.Errorf("after a sweep %v are left", left)
	}
}

// A directory in memory is a directory of one container, which goes with the task.
func TestTmpfs(t *testing.T) {
	d := newDriver(t, map[string]string{"a": `echo "$TMPDIR"; ls $TMPDIR; touch $TMPDIR/file`, "b": `echo "$TMPDIR"; ls $TMPDIR; touch $TMPDIR/file`})
	task := rand.Text()
	seen := map[string]bool{}
	for _, name := range []string{"a", "b"} {
		c := model.Container{Name: name, Tmpfs: []model.Tmpfs{{Path: "/run", SizeMiB: 1}, {Path: "/tmp", SizeMiB: 1}}, Environment: variables("TMPDIR=/tmp")}
		container, l := startTask(t, d, task, c)
		line := l.await(t, filepath.Join(d.options.Dir, "volumes"))
		if seen[line] {
			t.Errorf("two containers have %s", line)
		}
		seen[line] = true
		wait(t, container)
		if slices.Contains(l.seen, "stdout file") {
			t.Error("another container's file is there")
		}
	}
	if err := d.Clean(task); err != nil {
		t.Error(err)
	}
	if left, _ := filepath.Glob(filepath.Join(d.taskVolumes(""), "*")); len(left) > 0 {
		t.Errorf("left are %v", left)
	}
}

func TestLinkOutOfTheVolumes(t *testing.T) {
	d := newDriver(t, map[string]string{"a": "true"})
	outside := t.TempDir()
	if err := os.Symlink(outside, filepath.Join(d.options.Volumes, "host")); err != nil {
		t.Fatal(err)
	}
	c := model.Container{Name: "a", Mounts: []model.Mount{{Volume: "v", Path: "/data"}}}
	whole := &model.TaskDefinition{Containers: []model.Container{c}, Volumes: []model.TaskVolume{{Name: "v", HostPath: "/x"}}}
	_, err := d.Start(t.Context(), ecs.StartRequest{Task: rand.Text(), Definition: c, TaskDefinition: whole})
	if err == nil || !strings.Contains(err.Error(), "its volume v: ") || !strings.Contains(err.Error(), "path escapes from parent") {
		t.Errorf("a link out of the directory: %v", err)
	}
	if made, _ := os.ReadDir(outside); len(made) > 0 {
		t.Errorf("outside there is %v", made)
	}
}

func TestPassedOver(t *testing.T) {
	d := &Driver{options: Options{Run: map[string]string{"a": "true"}}, ports: map[int]bool{}}
	one := func(change func(*model.Container)) []string {
		c := model.Container{Name: "a"}
		change(&c)
		whole := &model.TaskDefinition{Containers: []model.Container{c, {Name: "b"}}, Volumes: []model.TaskVolume{
			{Name: "own"}, {Name: "host", HostPath: "/x"}, {Name: "files", EFS: &model.EFSVolume{}},
		}}
		passed, err := d.Check(whole, c)
		if err != nil {
			t.Fatal(err)
		}
		var settings []string
		for _, p := range passed {
			settings = append(settings, p.Setting)
			if p.Why == "" || strings.ToLower(p.Why[:1]) != p.Why[:1] {
				t.Errorf("why %s? %q", p.Setting, p.Why)
			}
		}
		return settings
	}
	mount := func(volume string) func(*model.Container) {
		return func(c *model.Container) { c.Mounts = []model.Mount{{Volume: volume, Path: "/data"}} }
	}
	for _, c := range []struct {
		change func(*model.Container)
		want   []string
	}{
		{func(*model.Container) {}, nil},
		{func(c *model.Container) { c.User = "1" }, []string{"User"}},
		{func(c *model.Container) { c.MemoryMiB = 1 }, []string{"Memory"}},
		{func(c *model.Container) { c.CPUShares = 1 }, []string{"Cpu"}},
		{func(c *model.Container) { c.CPULimit = 1 }, []string{"Cpu"}},
		{func(c *model.Container) { c.ReadonlyRootFilesystem = true }, []string{"ReadonlyRootFilesystem"}},
		{func(c *model.Container) { c.Privileged = true }, []string{"Privileged"}},
		{func(c *model.Container) { c.SecurityOptions = []string{"x"} }, []string{"DockerSecurityOptions"}},
		{func(c *model.Container) { c.AddedCapabilities = []string{"x"} }, []string{"LinuxParameters.Capabilities"}},
		{func(c *model.Container) { c.DroppedCapabilities = []string{"x"} }, []string{"LinuxParameters.Capabilities"}},
		{func(c *model.Container) { c.Init = true }, []string{"LinuxParameters.InitProcessEnabled"}},
		{func(c *model.Container) { c.Ulimits = []model.Ulimit{{}} }, []string{"Ulimits"}},
		{func(c *model.Container) { c.Labels = map[string]string{"a": "b"} }, []string{"DockerLabels"}},
		{func(c *model.Container) { c.Tmpfs = []model.Tmpfs{{Path: "/tmp"}} }, []string{"LinuxParameters.Tmpfs"}},
		{func(c *model.Container) { c.SystemControls = map[string]string{"a": "b"} }, []string{"SystemControls"}},
		{func(c *model.Container) { c.SharedMemoryMiB = 1 }, []string{"LinuxParameters.SharedMemorySize"}},
		{func(c *model.Container) { c.Hostname = "a" }, []string{"Hostname"}},
		{func(c *model.Container) { c.ExtraHosts = []string{"a:10.0.0.1"} }, []string{"ExtraHosts"}},
		{func(c *model.Container) { c.DNSServers = []netip.Addr{{}} }, []string{"DnsServers"}},
		{func(c *model.Container) { c.DNSSearch = []string{"a"} }, []string{"DnsSearchDomains"}},
		{func(c *model.Container) { c.Links = []string{"b"} }, []string{"Links"}},
		{func(c *model.Container) {
			c.Ports = []model.Port{{Container: 1, Protocol: "tcp"}, {Container: 2, Host: 2, Protocol: "tcp"}}
		}, []string{"PortMappings[1].HostPort"}},
		{mount("own"), []string{"MountPoints"}},
		{mount("host"), []string{"MountPoints", "MountPoints[0]"}},
		{mount("files"), []string{"MountPoints", "MountPoints[0]"}},
	} {
		if got := one(c.change); !slices.Equal(got, c.want) {
			t.Errorf("passed over are %v, want %v", got, c.want)
		}
	}
	if len(d.ports) > 0 {
		t.Errorf("after the checks the ports %v are taken", d.ports)
	}
}

// An error about an image has a line that can be copied.
func TestInstead(t *testing.T) {
	for dockerfile, want := range map[string]string{
		"FROM node:24-slim\nCMD [\"node\", \"server.js\"]\n":                        `, as in --run web="node server.js"`,
		"FROM node:24-slim\nCMD npm start\n":                                        `, as in --run web="npm start"`,
		"FROM node:24-slim\nENTRYPOINT [\"node\"]\nCMD [\"server.js\"]\n":           `, as in --run web="node server.js"`,
		"FROM node:24-slim\nCMD [\"x\"]\nENTRYPOINT [\"node\"]\n":                   `, as in --run web="node"`,
		"FROM go AS build\nCMD [\"x\"]\nFROM node:24-slim\n":                        "--run web=COMMAND",
		"FROM go AS build\nFROM debian\nCOPY --from=build /app /\nCMD [\"/app\"]\n": "--run web=COMMAND",
		"FROM node:24-slim\nCMD [\"sh\", \"-c\", \"a b\"]\n":                        "--run web=COMMAND",
		"FROM node:24-slim\nCMD exec node \"$MAIN\"\n":                              "--run web=COMMAND",
	} {
		directory := t.TempDir()
		if err := os.WriteFile(filepath.Join(directory, "Web.dockerfile"), []byte(dockerfile), 0o644); err != nil {
			t.Fatal(err)
		}
		c := model.Container{Name: "web", Essential: true, Image: model.Image{Asset: &assembly.ImageAsset{ID: directory, Directory: directory, Dockerfile: "Web.dockerfile"}}}
		_, err := newDriver(t, nil).Check(nil, c)
		if err == nil || !strings.HasSuffix(err.Error(), want) {
			t.Errorf("%q: %v, want %q at the end", dockerfile, err, want)
		}
		c.Command, c.Essential = []string{"node", "worker.js"}, false
		_, err = newDriver(t, nil).Check(nil, c)
		if err == nil || !strings.HasSuffix(err.Error(), ", or leave it out with --without web") {
			t.Errorf("%q: %v", dockerfile, err)
		}
	}
	c := model.Container{Name: "x", Essential: true, Image: model.Image{Reference: "nginx"}, Command: []string{"nginx", "-g", "x;"}}
	if got := instead(c); !strings.HasSuffix(got, `--run x="nginx -g x;"`) {
		t.Errorf("with a command of the container: %s", got)
	}
}

// Containers of a task with a network of its own reach each other at localhost, whichever starts first. The
// ports are the task's until it is cleaned.
func TestSharedNetwork(t *testing.T) {
	for _, mode := range []string{"awsvpc", "host", "bridge"} {
		d, err := New(Options{Dir: t.TempDir(), Volumes: t.TempDir(), Run: map[string]string{"proxy": "true", "app": "true", "statsd": "true"}})
		if err != nil {
			t.Fatal(err)
		}
		whole := &model.TaskDefinition{NetworkMode: mode, Containers: []model.Container{
			{Name: "proxy", Ports: []model.Port{{Container: 8080, Host: 8080, Protocol: "tcp"}}, Environment: variables(
				"UPSTREAM=http://localhost:3000/x", "METRICS=127.0.0.1:9125", "CACHE_HOST=localhost", "CACHE_PORT=6379", "SELF=localhost:8080", "HOST=localhost")},
			{Name: "app", Environment: variables("PORT=3000", "PROXY_HOST=localhost", "PROXY_PORT=8080")},
			{Name: "statsd", Environment: variables("STATSD_PORT=9125")},
		}}
		plan := func(task string, i int) *process {
			t.Helper()
			p, err := d.plan(ecs.StartRequest{Task: task, Definition: whole.Containers[i], TaskDefinition: whole})
			if err != nil {
				t.Fatal(err)
			}
			return p
		}
		app, proxy, statsd := plan("a", 1), plan("a", 0), plan("a", 2)
		want := fmt.Sprintf("UPSTREAM=http://127.0.0.1:%d/x METRICS=127.0.0.1:%d CACHE_HOST=127.0.0.1 CACHE_PORT=6379 SELF=127.0.0.1:%d HOST=127.0.0.1 PORT=%[3]d PORT_3000=%[1]d PROXY_PORT=%[3]d STATSD_PORT=%[2]d",
			app.ports[3000], statsd.ports[9125], proxy.ports[8080])
		if mode == "bridge" {
			want = fmt.Sprintf("UPSTREAM=http://localhost:3000/x METRICS=127.0.0.1:9125 CACHE_HOST=localhost CACHE_PORT=6379 SELF=localhost:8080 HOST=localhost PORT=%d PORT=3000 PROXY_PORT=8080 STATSD_PORT=9125", proxy.ports[8080])
		}
		for line := range strings.FieldsSeq(want) {
			if !slices.Contains(slices.Concat(app.env, proxy.env, statsd.env), line) {
				t.Errorf("%s: no variable is %s: %q %q %q", mode, line, proxy.env, app.env, statsd.env)
			}
		}
		other := plan("b", 0)
		if other.ports[8080] == proxy.ports[8080] {
			t.Errorf("%s: two tasks have one port", mode)
		}
		app.freePorts()
		if port := app.ports[3000]; mode != "bridge" && (!d.ports[port] || plan("a", 1).ports[3000] != port) {
			t.Errorf("%s: the port of a container that has ended is no longer its task's", mode)
		}
		for _, p := range []*process{proxy, statsd, other} {
			p.freePorts()
		}
		if err := errors.Join(d.Clean("a"), d.Clean("b"), d.Clean("c")); err != nil || len(d.ports) != 0 || len(d.shared) != 0 {
			t.Errorf("%s: after the tasks %v and %v are left, %v", mode, d.ports, d.shared, err)
		}
		for i, c := range whole.Containers {
			over, err := d.Check(whole, c)
			if fixed := slices.ContainsFunc(over, func(o ecs.PassedOver) bool { return o.Setting == "PortMappings[0].HostPort" }); err != nil || fixed != (i == 0 && mode != "awsvpc") {
				t.Errorf("%s: passed over is %v, %v", mode, over, err)
			}
		}
		if len(d.ports) != 0 {
			t.Errorf("%s: the check has kept %v", mode, d.ports)
		}
	}
}

// The port of a name at localhost is that of the only other container, of the one that has its number in a
// variable, or of the one that publishes it.
func TestAtLocalhost(t *testing.T) {
	caller := model.Container{Name: "caller", Environment: variables("A=localhost:1", "B=redis://127.0.0.1:2/0", "C=localhost:3", "D=elsewhere:4")}
	one := model.Container{Name: "one", Environment: variables("LISTEN=2"), Ports: model.TCP(3)}
	two := model.Container{Name: "two", Environment: variables("X=3")}
	for _, c := range []struct {
		mode       string
		containers []model.Container
		want       string
	}{
		{"awsvpc", []model.Container{caller, one}, "[1 2]"},
		{"awsvpc", []model.Container{caller, one, two}, "[2]"},
		{"awsvpc", []model.Container{one, two}, "[]"},
		{"bridge", []model.Container{caller, one}, "[]"},
	} {
		if got := fmt.Sprint(atLocalhost(&model.TaskDefinition{NetworkMode: c.mode, Containers: c.containers}, one)); got != c.want {
			t.Errorf("%s with %d containers: %s, want %s", c.mode, len(c.containers), got, c.want)
		}
	}
}

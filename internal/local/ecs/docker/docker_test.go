package docker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/moby/moby/client"

	"cutover/internal/assembly"
	images "cutover/internal/build"
	"cutover/internal/local/ecs"
	"cutover/internal/model"
	"cutover/internal/nightly"
)

// A Docker engine is found or started once for all tests that need one.
var (
	engineHost string
	noEngine   error // why there is none
	stopEngine = func() {}
	findEngine = sync.OnceFunc(func() { engineHost, stopEngine, noEngine = startEngine() })
	directory  string
)

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == SocketsCommand {
		fmt.Fprintln(os.Stderr, OpenSockets(os.Args[2:]))
		os.Exit(1)
	}
	var err error
	if directory, err = os.MkdirTemp("", "docker-test-"); err != nil {
		panic(err)
	}
	code := m.Run()
	stopEngine()
	os.RemoveAll(directory)
	os.Exit(code)
}

// startEngine finds the engine that runs here, or starts one on a socket, with a
// bridge, of its own: engines that share a bridge give out the same addresses.
func startEngine() (host string, stop func(), err error) {
	nothing := func() {}
	if d, err := New(context.Background(), Options{Deployment: "test"}); err == nil {
		d.Close()
		return "", nothing, nil
	}
	for _, name := range []string{"dockerd", "ip"} {
		if _, err := exec.LookPath(name); err != nil {
			return "", nothing, fmt.Errorf("no Docker engine runs, and to start one %s is missing", name)
		}
	}
	if os.Geteuid() != 0 {
		return "", nothing, errors.New("no Docker engine runs, and to start one takes root")
	}
	const bridge = "cutover-test0"
	ip := func(args ...string) error {
		out, err := exec.Command("ip", args...).CombinedOutput()
		if err != nil {
			return fmt.Errorf("ip %s: %w: %s", strings.Join(args, " "), err, out)
		}
		return nil
	}
	ip("link", "delete", bridge) // of a test that was killed
	removeBridge := func() { ip("link", "delete", bridge) }
	for _, args := range [][]string{{"link", "add", bridge, "type", "bridge"}, {"addr", "add", "172.29.77.1/24", "dev", bridge}, {"link", "set", bridge, "up"}} {
		if err := ip(args...); err != nil {
			removeBridge()
			return "", nothing, err
		}
	}
	log, err := os.Create(filepath.Join(directory, "dockerd.log"))
	if err != nil {
		return "", nothing, err
	}
	host = "unix://" + filepath.Join(directory, "docker.sock")
	// No packet filter: the engine would leave its rules behind, and its userland
	// proxy publishes ports without.
	cmd := exec.Command("dockerd", "--host", host, "--data-root", filepath.Join(directory, "data"), "--exec-root", filepath.Join(directory, "exec"),
		"--pidfile", filepath.Join(directory, "docker.pid"), "--iptables=false", "--ip-forward=false", "--bridge", bridge)
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		removeBridge()
		return "", nothing, err
	}
	ended := make(chan struct{})
	go func() { cmd.Wait(); close(ended) }()
	stop = func() {
		cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-ended:
		case <-time.After(20 * time.Second):
			cmd.Process.Kill()
			<-ended
		}
		removeBridge()
	}
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for limit := time.After(time.Minute); ; {
		if d, err := New(context.Background(), Options{Deployment: "test", Host: host}); err == nil {
			d.Close()
			return host, stop, nil
		}
		select {
		case <-tick.C:
			continue
		case <-ended:
			err = errors.New("dockerd ended at its start")
		case <-limit:
			err = errors.New("dockerd did not come up in a minute")
		}
		written, _ := os.ReadFile(log.Name())
		stop()
		return "", nothing, fmt.Errorf("%w:\n%s", err, written)
	}
}

// newDriver returns a driver of a deployment with the test's name.
func newDriver(t *testing.T) *Driver {
	t.Helper()
	nightly.Test(t, "it runs containers")
	findEngine()
	if noEngine != nil {
		if os.Getenv("CI") != "" {
			t.Fatal(noEngine)
		}
		t.Skip(noEngine)
	}
	d, err := New(t.Context(), Options{Deployment: t.Name(), Host: engineHost, Volumes: t.TempDir(), Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if _, err := d.Sweep(context.Background()); err != nil {
			t.Error(err)
		}
		for _, b := range d.builds.Range {
			d.engine.ImageRemove(context.Background(), b.(*build).name, client.ImageRemoveOptions{Force: true})
		}
		d.Close()
	})
	return d
}

var usersContext = sync.OnceValues(func() (string, error) {
	contexts, err := images.Build(context.Background(), images.Options{
		Root: "../../../..", Arch: runtime.GOARCH, Services: []images.Service{{Name: "users", Dir: "services/users"}},
	})
	return contexts["users"], err
})

var probeContext = sync.OnceValues(func() (string, error) {
	dir := filepath.Join(directory, "probe")
	build := exec.Command("go", "build", "-o", filepath.Join(dir, "bin", "probe"), "./testdata/probe")
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOFLAGS=")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w: %s", err, out)
	}
	recipe := "FROM scratch\nARG NAME\nENV NAME=$NAME\nCOPY bin /bin\nENTRYPOINT [\"/bin/probe\"]\nCMD [\"look\"]\n"
	return dir, os.WriteFile(filepath.Join(dir, "Imagefile"), []byte(recipe), 0o644)
})

// probe is a container of the probe program.
func probe(t *testing.T, command ...string) model.Container {
	t.Helper()
	dir, err := probeContext()
	if err != nil {
		t.Fatal(err)
	}
	return model.Container{
		Name: "probe", Command: command, MemoryMiB: 64,
		Image: model.Image{Asset: &assembly.ImageAsset{ID: "Probe-1", Directory: dir, Dockerfile: "Imagefile",
			Platform: "linux/" + runtime.GOARCH, BuildArgs: map[string]string{"NAME": "built"}}},
	}
}

// written gathers the lines of a container.
type written struct {
	mu    sync.Mutex
	lines []string
	some  chan struct{}
}

func (w *written) output(stream, line string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.lines = append(w.lines, stream+" "+line)
	select {
	case w.some <- struct{}{}:
	default:
	}
}

func (w *written) has(text string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.ContainsFunc(w.lines, func(line string) bool { return strings.Contains(line, text) })
}

// await waits for a line that contains a text.
func (w *written) await(t *testing.T, text string) {
	t.Helper()
	for limit := time.After(20 * time.Second); !w.has(text); {
		select {
		case <-w.some:
		case <-limit:
			t.Fatalf("no line with %q was written, but %q", text, w.lines)
		}
	}
}

func start(t *testing.T, d *Driver, c model.Container) (*running, *written) {
	t.Helper()
	return startIn(t, d, "task1", &model.TaskDefinition{Containers: []model.Container{c}})
}

// startIn starts the first container of a task.
func startIn(t *testing.T, d *Driver, task string, whole *model.TaskDefinition) (*running, *written) {
	t.Helper()
	w := &written{some: make(chan struct{}, 1)}
	container, err := d.Start(t.Context(), ecs.StartRequest{
		Service: "dev/Users", Task: task, Definition: whole.Containers[0], TaskDefinition: whole, Output: w.output, Tell: func(string) {},
	})
	if err != nil {
		t.Fatal(err)
	}
	return container.(*running), w
}

func wait(t *testing.T, c *running) ecs.Exit {
	t.Helper()
	select {
	case <-c.Done():
	case <-time.After(20 * time.Second):
		t.Fatal("the container does not end")
	}
	return c.Exit()
}

func TestService(t *testing.T) {
	d := newDriver(t)
	dir, err := usersContext()
	if err != nil {
		t.Fatal(err)
	}
	c, w := start(t, d, model.Container{
		Name: "users", Essential: true, Ports: model.TCP(3000), CPUShares: 256, CPULimit: 512, MemoryReservationMiB: 32, MemoryMiB: 64,
		Image:       model.Image{Asset: &assembly.ImageAsset{ID: "users-1", Directory: dir}},
		Environment: []model.Variable{{Name: "PORT", Value: "3000"}, {Name: "STOP_TIMEOUT", Value: "1s"}},
		User:        "65532:65532", ReadonlyRootFilesystem: true, DroppedCapabilities: []string{"ALL"}, SecurityOptions: []string{"no-new-privileges"},
		Labels: map[string]string{"own": "label"},
	})
	w.await(t, "listening")
	if !strings.HasPrefix(c.Address(3000), "127.0.0.1:") {
		t.Errorf("address is %s", c.Address(3000))
	}
	response, err := http.Get("http://" + c.Address(3000) + "/api/users/1")
	if err != nil {
		t.Fatal(err)
	}
	body, _ := io.ReadAll(response.Body)
	response.Body.Close()
	if response.StatusCode != 200 || !strings.Contains(string(body), `"id":1`) {
		t.Errorf("answer is %d %s", response.StatusCode, body)
	}
	w.await(t, "/api/users/1")
	if code, output, err := c.Exec(t.Context(), []string{"/users", "healthcheck"}); code != 0 || err != nil {
		t.Errorf("health check: exit code %d, %q, %v", code, output, err)
	}
	if code, output, _ := c.Exec(t.Context(), []string{"/bin/sh", "-c", "true"}); code == 0 {
		t.Errorf("a command that the image does not have: exit code %d, %q", code, output)
	}
	inspected, err := d.engine.ContainerInspect(t.Context(), c.ID(), client.ContainerInspectOptions{})
	if err != nil {
		t.Fatal(err)
	}
	host, config := inspected.Container.HostConfig, inspected.Container.Config
	for what, is := range map[string]bool{
		"CPU shares":         host.CPUShares == 256,
		"CPU limit":          host.NanoCPUs == 500_000_000,
		"memory":             host.Memory == 64<<20,
		"memory reservation": host.MemoryReservation == 32<<20,
		"read-only root":     host.ReadonlyRootfs,
		"capabilities":       slices.Equal(host.CapDrop, []string{"ALL"}),
		"security options":   slices.Equal(host.SecurityOpt, []string{"no-new-privileges"}),
		"network":            host.NetworkMode == "bridge",
		"user":               config.User == "65532:65532",
		"labels":             config.Labels["own"] == "label" && config.Labels[deploymentLabel] == t.Name() && config.Labels[taskLabel] == "task1" && config.Labels[serviceLabel] == "dev/Users",
		"published port":     host.PortBindings[published(model.TCP(3000)[0])][0].HostIP.String() == "127.0.0.1",
	} {
		if !is {
			t.Errorf("%s of the container are not those of the task definition", what)
		}
	}
	if err := c.Terminate(); err != nil {
		t.Fatal(err)
	}
	if exit := wait(t, c); exit != (ecs.Exit{}) {
		t.Errorf("after SIGTERM: %v", exit)
	}
	if _, err := d.engine.ContainerInspect(t.Context(), c.ID(), client.ContainerInspectOptions{}); err == nil {
		t.Error("the container is left")
	}
}

func TestRestrictions(t *testing.T) {
	d := newDriver(t)
	definition := probe(t)
	definition.User, definition.WorkingDirectory = "1234:5678", "/proc"
	definition.ReadonlyRootFilesystem = true
	definition.DroppedCapabilities, definition.SecurityOptions = []string{"ALL"}, []string{"no-new-privileges"}
	definition.Ulimits = []model.Ulimit{{Name: "nofile", Soft: 100, Hard: 100}}
	definition.Hostname, definition.ExtraHosts = "shop-1", []string{"files.example:10.1.2.3"}
	definition.DNSServers, definition.DNSSearch = []netip.Addr{netip.MustParseAddr("10.9.8.7")}, []string{"shop.example"}
	definition.SystemControls, definition.SharedMemoryMiB = map[string]string{"net.core.somaxconn": "321"}, 3
	c, w := start(t, d, definition)
	if exit := wait(t, c); exit.Code != 0 {
		t.Error(exit)
	}
	for _, want := range []string{"CapEff: 0000000000000000", "NoNewPrivs: 1", "user 1234 5678 in /proc NAME=built", "files 100", "shop-1", "10.1.2.3\tfiles.example", "nameserver 10.9.8.7", "search shop.example", "somaxconn 321", "/dev/shm tmpfs", "size=3072k", "stderr open /written: read-only file system"} {
		if !w.has(want) {
			t.Errorf("no line has %q: %q", want, w.lines)
		}
	}
}

// A volume of a task is one for its containers, and goes with the task. Other volumes stay, and all
// tasks see them.
func TestVolumes(t *testing.T) {
	d := newDriver(t)
	run := func(task, want string, mount model.Mount, change func(*model.Container), command ...string) {
		t.Helper()
		c := probe(t, command...)
		c.Mounts = []model.Mount{mount}
		if change != nil {
			change(&c)
		}
		whole := &model.TaskDefinition{Containers: []model.Container{c}, Volumes: []model.TaskVolume{
			{Name: "own"}, {Name: "of_docker", Shared: true}, {Name: "host", HostPath: "/var/lib/shop"},
			{Name: "files", EFS: &model.EFSVolume{FileSystem: "dev-Data/Files", AccessPoint: "dev-Data/Orders", RootDirectory: "/"}},
		}}
		container, w := startIn(t, d, task, whole)
		wait(t, container)
		if !w.has(want) {
			t.Errorf("%s %q in %s: %q, want %q", task, command, mount.Volume, w.lines, want)
		}
	}
	const absent = "read  open /data/file: no such file or directory"
	for _, v := range []struct {
		name string
		kept bool
	}{{"own", false}, {"of_docker", true}, {"host", true}, {"files", true}} {
		mount := model.Mount{Volume: v.name, Path: "/data"}
		somebody := func(c *model.Container) { c.User = "1234:5678" }
		if !v.kept {
			somebody = nil // root owns a volume of Docker
		}
		run("one", absent, mount, nil, "read", "/data/file")
		run("one", "wrote", mount, somebody, "write", "/data/file", v.name)
		run("one", "read "+v.name, mount, nil, "read", "/data/file")
		run("one", "read-only file system", model.Mount{Volume: v.name, Path: "/data", ReadOnly: true}, nil, "write", "/data/file", "no")
		want := absent
		if v.kept {
			want = "read " + v.name
		}
		run("two", want, mount, nil, "read", "/data/file")
		if err := d.Clean("one"); err != nil {
			t.Error(err)
		}
		run("one", want, mount, nil, "read", "/data/file")
	}
	for _, file := range []string{"efs/dev-Data.Files/dev-Data.Orders/file", "host/var/lib/shop/file", "shared/of_docker/file"} {
		if _, err := os.Stat(filepath.Join(d.volumes, file)); err != nil {
			t.Error(err)
		}
	}
	if err := errors.Join(d.Clean("one"), d.Clean("two")); err != nil {
		t.Error(err)
	}
	left, err := d.engine.VolumeList(t.Context(), client.VolumeListOptions{Filters: client.Filters{}.Add("label", deploymentLabel+"="+t.Name())})
	if err != nil || len(left.Items) > 0 {
		t.Errorf("volumes are left: %v (%v)", left.Items, err)
	}
	run("three", absent, model.Mount{Volume: "own", Path: "/data"}, nil, "read", "/data/file")
	if _, err := d.Sweep(t.Context()); err != nil {
		t.Error(err)
	}
	if left, err = d.engine.VolumeList(t.Context(), client.VolumeListOptions{Filters: client.Filters{}.Add("label", deploymentLabel+"="+t.Name())}); err != nil || len(left.Items) > 0 {
		t.Errorf("after a sweep volumes are left: %v (%v)", left.Items, err)
	}
}

func TestTmpfs(t *testing.T) {
	d := newDriver(t)
	c := probe(t, "mounts")
	c.ReadonlyRootFilesystem = true
	c.Tmpfs = []model.Tmpfs{{Path: "/scratch", SizeMiB: 3, Options: []string{"noexec"}}, {Path: "/other", SizeMiB: 1}}
	container, w := start(t, d, c)
	wait(t, container)
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, want := range []string{"tmpfs /scratch tmpfs rw,.*noexec,.*size=3072k", "tmpfs /other tmpfs rw,.*size=1024k"} {
		if !regexp.MustCompile(want).MatchString(strings.Join(w.lines, "\n")) {
			t.Errorf("no mount is %s: %q", want, w.lines)
		}
	}
}

// A container reaches a linked one by its name or alias. This machine reaches a published port by the
// protocol of the port.
func TestLinks(t *testing.T) {
	d := newDriver(t)
	sidecar := probe(t, "echo", "2000")
	sidecar.Name, sidecar.Ports = "x-ray", []model.Port{{Container: 2000, Host: 2000, Protocol: "udp"}, {Container: 2000, Protocol: "tcp"}, {Container: 2001, Protocol: "udp"}}
	echo, w := start(t, d, sidecar)
	w.await(t, "ready")
	for link, address := range map[string]string{"x-ray": "x-ray:2000", "x-ray:daemon": "daemon:2000"} {
		c := probe(t, "ask", address)
		c.Links = []string{link}
		asking, w := start(t, d, c)
		w.await(t, "stdout echo hello")
		wait(t, asking)
	}
	udp, tcp := echo.addresses[model.Port{Container: 2000, Protocol: "udp"}], echo.addresses[model.Port{Container: 2000, Protocol: "tcp"}]
	if udp == "" || tcp == "" || strings.HasSuffix(udp, ":2000") {
		t.Errorf("the addresses are %q by UDP and %q by TCP", udp, tcp)
	}
	if one, other := echo.Address(2000), echo.Address(2001); one != tcp || other == "" || other == udp {
		t.Errorf("the ports are at %q and %q", one, other)
	}
	socket, err := net.Dial("udp", udp)
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	answer := make([]byte, 100)
	for n := 0; n == 0; { // packets may be lost
		socket.Write([]byte("from here"))
		socket.SetReadDeadline(time.Now().Add(time.Second))
		if n, _ = socket.Read(answer); n > 0 && string(answer[:n]) != "echo from here" {
			t.Errorf("by UDP the answer is %q", answer[:n])
		}
	}
	echo.Signal(syscall.SIGKILL)
	wait(t, echo)
}

func TestPassedOver(t *testing.T) {
	c := model.Container{Name: "a", User: "1", Privileged: true, ReadonlyRootFilesystem: true, Links: []string{"b"},
		Ports:  []model.Port{{Container: 1, Protocol: "tcp"}, {Container: 2, Host: 2, Protocol: "udp"}},
		Mounts: []model.Mount{{Volume: "own", Path: "/a"}, {Volume: "host", Path: "/b"}, {Volume: "files", Path: "/c"}, {Volume: "nfs", Path: "/d"}, {Volume: "local", Path: "/e"}},
	}
	whole := &model.TaskDefinition{Containers: []model.Container{c}, Volumes: []model.TaskVolume{{Name: "own"}, {Name: "host", HostPath: "/x"}, {Name: "files", EFS: &model.EFSVolume{}}, {Name: "nfs", Driver: "nfs"}, {Name: "local", Driver: "local", Shared: true}}}
	passed, err := new(Driver).Check(whole, c)
	var settings []string
	for _, p := range passed {
		settings = append(settings, p.Setting)
	}
	if want := []string{"MountPoints[1]", "MountPoints[2]", "MountPoints[3]", "PortMappings[1].HostPort", "Privileged"}; err != nil || !slices.Equal(settings, want) {
		t.Errorf("passed over are %v (%v), want %v", settings, err, want)
	}
}

func TestEnds(t *testing.T) {
	d := newDriver(t)
	c, _ := start(t, d, probe(t, "exit", "7"))
	if exit := wait(t, c); exit.Code != 7 || exit.OOMKilled {
		t.Errorf("exit 7: %v", exit)
	}
	c, w := start(t, d, probe(t, "ignore"))
	w.await(t, "ready")
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if _, _, err := c.Exec(ctx, []string{"/bin/probe", "ignore"}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a command that hangs: %v", err)
	}
	c.Terminate()
	if code, _, err := c.Exec(t.Context(), []string{"/bin/probe", "exit", "3"}); code != 3 || err != nil {
		t.Errorf("after a SIGTERM that it ignores, a command in the container: exit code %d, %v", code, err)
	}
	c.Signal(syscall.SIGKILL)
	if exit := wait(t, c); exit.Code != 137 || exit.OOMKilled {
		t.Errorf("SIGKILL: %v", exit)
	}
	c, _ = start(t, d, probe(t, "eat"))
	if exit := wait(t, c); exit.Code != 137 || !exit.OOMKilled || !strings.Contains(exit.String(), "more memory than it may") {
		t.Errorf("too much memory: %v", exit)
	}
}

// Processor time is that of the whole container: it grows with every command that
// runs in it.
func TestProcessorTime(t *testing.T) {
	d := newDriver(t)
	c, w := start(t, d, probe(t, "ignore"))
	w.await(t, "ready")
	before, err := c.ProcessorTime(t.Context())
	if err != nil || before <= 0 || before > time.Minute {
		t.Fatalf("it has used %v (%v)", before, err)
	}
	if _, _, err := c.Exec(t.Context(), []string{"/bin/probe", "exit", "0"}); err != nil {
		t.Fatal(err)
	}
	if after, err := c.ProcessorTime(t.Context()); err != nil || after <= before || after > before+time.Minute {
		t.Errorf("it has used %v, and %v before (%v)", after, before, err)
	}
	c.Signal(syscall.SIGKILL)
	wait(t, c)
	if _, err := c.ProcessorTime(t.Context()); err == nil {
		t.Error("a container that is gone has used processor time")
	}
}

func TestSweep(t *testing.T) {
	d := newDriver(t)
	c, w := start(t, d, probe(t, "ignore"))
	w.await(t, "ready")
	other, err := New(t.Context(), Options{Deployment: "other", Host: engineHost})
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if removed, err := other.Sweep(t.Context()); len(removed) > 0 || err != nil {
		t.Errorf("another deployment swept %v (%v)", removed, err)
	}
	// As by a run after one that was killed.
	next, err := New(t.Context(), Options{Deployment: t.Name(), Host: engineHost})
	if err != nil {
		t.Fatal(err)
	}
	defer next.Close()
	if removed, err := next.Sweep(t.Context()); !slices.Equal(removed, []string{"cutover-TestSweep-probe-task1"}) || err != nil {
		t.Errorf("swept %v (%v)", removed, err)
	}
	wait(t, c)
	if removed, err := next.Sweep(t.Context()); len(removed) > 0 || err != nil {
		t.Errorf("swept %v (%v) once more", removed, err)
	}
}

func TestRefusals(t *testing.T) {
	d := newDriver(t)
	broken := t.TempDir()
	if err := os.WriteFile(filepath.Join(broken, "Dockerfile"), []byte("FROM scratch\nCOPY nothing /\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	missing := probe(t)
	missing.EntryPoint = []string{"/nothing"}
	for name, test := range map[string]struct {
		definition model.Container
		want       string
	}{
		"build fails":   {model.Container{Name: "a", Image: model.Image{Asset: &assembly.ImageAsset{ID: "broken", Directory: broken}}}, "nothing"},
		"no context":    {model.Container{Name: "a", Image: model.Image{Asset: &assembly.ImageAsset{ID: "gone", Directory: broken + "/gone"}}}, "gone"},
		"executable":    {model.Container{Name: "a", Image: model.Image{Asset: &assembly.ImageAsset{ID: "x", Executable: []string{"bazel"}}}}, "bazel"},
		"unknown image": {model.Container{Name: "a", Image: model.Image{Unknown: "who knows"}}, "who knows"},
		"no registry":   {model.Container{Name: "a", Image: model.Image{Reference: "localhost:1/nginx:1"}}, "its image localhost:1/nginx:1 cannot be pulled"},
		"no program":    {missing, "it cannot be started"},
	} {
		_, err := d.Start(t.Context(), ecs.StartRequest{Task: "task1", TaskDefinition: &model.TaskDefinition{}, Definition: test.definition, Output: func(string, string) {}, Tell: func(string) {}})
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: error is %v, want one with %q", name, err, test.want)
		}
	}
	if removed, _ := d.Sweep(t.Context()); len(removed) > 0 {
		t.Errorf("containers left: %v", removed)
	}
}

func TestNoEngine(t *testing.T) {
	_, err := New(t.Context(), Options{Deployment: "x", Host: "unix:///nowhere/docker.sock"})
	if err == nil || !strings.Contains(err.Error(), "no Docker engine answers") {
		t.Errorf("error is %v", err)
	}
}

//go:build unix

package process

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"cutover/internal/assembly"
	images "cutover/internal/build"
	"cutover/internal/local/ecs"
	"cutover/internal/model"
)

func TestMain(m *testing.M) {
	if os.Getenv(runnerDir) != "" {
		runner()
	}
	if os.Getenv(echoVariable) != "" {
		echo()
	}
	if os.Getenv(callVariable) != "" {
		call()
	}
	var err error
	if built, err = os.MkdirTemp("", "process-test-"); err != nil {
		panic(err)
	}
	code := m.Run()
	os.RemoveAll(built)
	os.Exit(code)
}

// built has the build context of the tests' image. Other contexts link to its files, so it
// is in the file system of t.TempDir.
var built string

// contextOfUsers compiles the users service, which is linked again only after a change, and
// copies its build context.
var contextOfUsers = sync.OnceValues(func() (string, error) {
	contexts, err := images.Build(context.Background(), images.Options{
		Root: "../../../..", Arch: runtime.GOARCH, Services: []images.Service{{Name: "users", Dir: "services/users"}},
	})
	if err != nil {
		return "", err
	}
	copied := filepath.Join(built, "users")
	return copied, os.CopyFS(copied, os.DirFS(contexts["users"]))
})

// users is the users service as its template has it.
func users(t *testing.T) model.Container {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("images are for Linux: they run as processes there only")
	}
	directory, err := contextOfUsers()
	if err != nil {
		t.Fatal(err)
	}
	return model.Container{
		Name: "users", Essential: true, Ports: model.TCP(3000),
		Image:       model.Image{Asset: &assembly.ImageAsset{ID: "users", Directory: directory}},
		Environment: []model.Variable{{Name: "PORT", Value: "3000"}, {Name: "STOP_TIMEOUT", Value: "2s"}},
	}
}

// logs gathers what a container writes.
type logs struct {
	lines chan string
	seen  []string
}

func (l *logs) output(stream, line string) { l.lines <- stream + " " + line }

// await waits for a line that contains a text.
func (l *logs) await(t *testing.T, text string) string {
	t.Helper()
	limit := time.After(time.Minute)
	for {
		for _, line := range l.seen {
			if strings.Contains(line, text) {
				return line
			}
		}
		select {
		case line := <-l.lines:
			l.seen = append(l.seen, line)
		case <-limit:
			t.Fatalf("no line with %q was written, but %q", text, l.seen)
		}
	}
}

func newDriver(t *testing.T, run map[string]string) *Driver {
	if testing.Short() {
		t.Skip("slow: it starts processes")
	}
	t.Helper()
	d, err := New(Options{Dir: t.TempDir(), Volumes: t.TempDir(), Run: run})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func start(t *testing.T, d *Driver, c model.Container) (ecs.Container, *logs) {
	t.Helper()
	return startTask(t, d, rand.Text(), c)
}

// startTask starts the only container of a task. Tasks of different tests, and of other runs on the
// machine, have different names: their processes may end late.
func startTask(t *testing.T, d *Driver, task string, c model.Container) (ecs.Container, *logs) {
	t.Helper()
	return startWhole(t, d, task, c, &model.TaskDefinition{Containers: []model.Container{c}})
}

func startWhole(t *testing.T, d *Driver, task string, c model.Container, whole *model.TaskDefinition) (ecs.Container, *logs) {
	t.Helper()
	l := &logs{lines: make(chan string, 1000)}
	container, err := d.Start(t.Context(), ecs.StartRequest{Service: "dev/Users", Task: task, Definition: c, TaskDefinition: whole, Output: l.output, Warn: func(string) {}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		container.Signal(syscall.SIGKILL)
		<-container.Done()
	})
	return container, l
}

func wait(t *testing.T, c ecs.Container) ecs.Exit {
	t.Helper()
	select {
	case <-c.Done():
	case <-time.After(time.Minute):
		t.Fatal("the container does not end")
	}
	return c.Exit()
}

func TestService(t *testing.T) {
	d := newDriver(t, nil)
	definition := users(t)
	c, l := start(t, d, definition)
	second, l2 := start(t, d, definition)
	l.await(t, "listening")
	l2.await(t, "listening")
	if c.Address(3000) == second.Address(3000) {
		t.Error("two tasks have one address")
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
	if line := l.await(t, "/api/users/1"); !strings.HasPrefix(line, "stdout ") {
		t.Errorf("the request's line is %q", line)
	}
	if code, output, err := c.Exec(t.Context(), []string{"/users", "healthcheck"}); code != 0 || err != nil {
		t.Errorf("health check: exit code %d, %q, %v", code, output, err)
	}
	_, port, _ := strings.Cut(c.Address(3000), ":")
	number, _ := strconv.Atoi(port)
	if addresses, err := listening([]string{"tcp"}, number); err != nil || len(addresses) != 1 || !addresses[0].IsLoopback() {
		t.Errorf("it listens on %v (%v)", addresses, err)
	}
	for _, command := range [][]string{{"/bin/sh", "-c", "true"}, {"nothing"}} {
		if _, _, err := c.Exec(t.Context(), command); err == nil || !strings.Contains(err.Error(), "has no program") {
			t.Errorf("%q: %v", command, err)
		}
	}
	if _, _, err := c.Exec(t.Context(), []string{"/users", "--port=3000"}); !errors.Is(err, ecs.ErrNoExec) {
		t.Errorf("a command that names the container port: %v", err)
	}
	if err := c.Terminate(); err != nil {
		t.Fatal(err)
	}
	if exit := wait(t, c); exit != (ecs.Exit{}) {
		t.Errorf("after SIGTERM: %v", exit)
	}
	if code, _, err := second.Exec(t.Context(), []string{"/users", "healthcheck"}); code != 0 || err != nil {
		t.Errorf("the other task's health check: exit code %d, %v", code, err)
	}
	second.Signal(syscall.SIGKILL)
	if exit := wait(t, second); exit.Code != 137 {
		t.Errorf("after SIGKILL: %v", exit)
	}
	if _, err := d.Check(nil, definition); err != nil {
		t.Error(err)
	}
	if files, _ := filepath.Glob(filepath.Join(d.records(), "*")); len(files) > 0 || len(d.ports) > 0 {
		t.Errorf("left are the records %v and the ports %v", files, d.ports)
	}
}

// Others than this host reach a program that listens on all addresses. The driver says so, once.
func TestListensOutside(t *testing.T) {
	definition := users(t)
	program := filepath.Join(definition.Image.Asset.Directory, "users")
	// The address that a task definition gives is for a container.
	definition.Environment = append(definition.Environment, model.Variable{Name: "HOST", Value: "0.0.0.0"})
	for command, want := range map[string]string{
		program:                           "",
		"HOST=0.0.0.0 exec " + program:    "listens on ",
		"unset HOST; exec " + program:     "listens on ",
		"HOST=127.0.0.1 exec " + program:  "",
		"HOST=::1 exec " + program:        "",
		"HOST=127.9.9.9; exec " + program: "",
	} {
		d := newDriver(t, map[string]string{"users": command})
		p, err := d.plan(ecs.StartRequest{Definition: definition})
		if err != nil {
			t.Fatal(err)
		}
		warnings := make(chan string, 10)
		l := &logs{lines: make(chan string, 1000)}
		r := ecs.StartRequest{Task: rand.Text(), Definition: definition, Output: l.output, Warn: func(text string) { warnings <- text }}
		if err := p.start(r); err != nil {
			t.Fatal(err)
		}
		l.await(t, "listening")
		p.checkListeners(r) // and that of the start
		p.Signal(syscall.SIGKILL)
		wait(t, p)
		count := len(warnings)
		for range count {
			if text := <-warnings; want == "" || !strings.HasPrefix(text, want) {
				t.Errorf("%s: %s", command, text)
			}
		}
		if want != "" && count == 0 {
			t.Errorf("%s: no warning, want %q", command, want)
		}
	}
}

func TestHungHealthCheckIsEnded(t *testing.T) {
	c, l := start(t, newDriver(t, nil), users(t))
	l.await(t, "listening")
	// Without an argument, the service itself runs, on the same port or not: it
	// does not end before it is told to.
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	c.(*process).env = append(c.(*process).env, "PORT=0")
	if code, _, _ := c.Exec(ctx, []string{"/users"}); code != 137 {
		t.Errorf("exit code is %d, want 137", code)
	}
}

func TestCommandInPlaceOfAContainer(t *testing.T) {
	d := newDriver(t, map[string]string{"web": `echo "port $PORT $NAME $HTTP"; echo oops >&2; (sleep 1000 & wait) & exit 3`})
	task := rand.Text()
	c, l := startTask(t, d, task, model.Container{
		Name: "web", Ports: model.TCP(8080), Image: model.Image{Reference: "nginx"},
		Environment: []model.Variable{{Name: "NAME", Value: "x y"}, {Name: "HTTP", Value: "8080"}},
	})
	_, port, _ := strings.Cut(c.Address(8080), ":")
	l.await(t, "stdout port "+port+" x y "+port)
	if exit := wait(t, c); exit.Code != 3 {
		t.Errorf("%v, want exit code 3", exit)
	}
	l.await(t, "stderr oops")
	eventually(t, "the other processes to end with the first", func() bool { return len(marked(task)) == 0 })
	if _, _, err := c.Exec(t.Context(), []string{"true"}); !errors.Is(err, ecs.ErrNoExec) {
		t.Errorf("a health check of the image runs: %v", err)
	}
}

// A command finds each port of its container, also one that no variable has, or that several have.
func TestPortsOfACommand(t *testing.T) {
	d := &Driver{options: Options{Run: map[string]string{"web": "true"}}, ports: map[int]bool{}}
	p, err := d.plan(ecs.StartRequest{Definition: model.Container{
		Name: "web", Ports: append([]model.Port{{Container: 79, Protocol: "udp"}}, model.TCP(80, 81, 82, 83)...),
		Environment: variables("ADMIN=82", "HTTP_PORT=83", "LIMIT=83", "TLS_PORT=83"),
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer p.freePorts()
	for name, port := range map[string]int{"PORT": 80, "PORT_79": 79, "PORT_80": 80, "PORT_81": 81, "PORT_82": 82, "ADMIN": 82, "PORT_83": 83, "HTTP_PORT": 83, "TLS_PORT": 83} {
		if want := fmt.Sprintf("%s=%d", name, p.ports[port]); p.ports[port] == 0 || !slices.Contains(p.env, want) {
			t.Errorf("the environment has no %s: %q", want, p.env)
		}
	}
	if !slices.Contains(p.env, "LIMIT=83") {
		t.Errorf("a variable that is no port was changed: %q", p.env)
	}
}

// Children of the first process count too, as in a container.
func TestProcessorTime(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("processor time is read on Linux only")
	}
	const second = `i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done` // or less
	for name, command := range map[string]string{
		"itself": second + "; echo done; sleep 60", "a child": "sh -c '" + second + "; echo done; sleep 60'", "a child that has ended": "sh -c '" + second + "'; echo done; sleep 60",
	} {
		d := newDriver(t, map[string]string{"busy": command})
		c, l := start(t, d, model.Container{Name: "busy"})
		l.await(t, "done")
		used, err := c.ProcessorTime(t.Context())
		if err != nil || used < 20*time.Millisecond || used > time.Minute {
			t.Errorf("%s: %v (%v)", name, used, err)
		}
		again, err := c.ProcessorTime(t.Context())
		if err != nil || again < used || again > used+time.Second {
			t.Errorf("%s: then %v (%v)", name, again, err)
		}
	}
	d := newDriver(t, map[string]string{"gone": "true"})
	c, _ := start(t, d, model.Container{Name: "gone"})
	wait(t, c)
	if used, err := c.ProcessorTime(t.Context()); err == nil {
		t.Errorf("a process that has ended has used %v", used)
	}
}

func TestRefusals(t *testing.T) {
	foreign, err := os.ReadFile(filepath.Join(users(t).Image.Asset.Directory, "users"))
	if err != nil {
		t.Fatal(err)
	}
	foreign[18] ^= 0xff // the processor, in an ELF header
	if err := os.WriteFile(filepath.Join(built, "foreign"), foreign, 0o755); err != nil {
		t.Fatal(err)
	}
	d := newDriver(t, nil)
	for _, test := range []struct {
		dockerfile string
		change     func(*model.Container)
		want       string
	}{
		{"FROM alpine\n", nil, "it is built on the image alpine"},
		{"FROM golang AS build\nFROM scratch\n", nil, "line 1: it is built on the image golang"},
		{"FROM scratch\nFROM scratch\n", nil, "line 2: only images of one stage"},
		{"FROM scratch\nRUN true\n", nil, "line 2: RUN is not followed"},
		{"FROM scratch\nCOPY users /users\nENTRYPOINT /users\n", nil, "line 3: ENTRYPOINT needs a shell"},
		{"FROM scratch\nCOPY nothing /users\n", nil, "no such file"},
		{"FROM scratch\nCOPY ../users /users\nENTRYPOINT [\"/user\"]\n", nil, "its image has no program /user"},
		{"FROM scratch\nCOPY user* /users\n", nil, "COPY with a pattern"},
		{"FROM scratch\nCOPY --from=build a /b\n", nil, "COPY with --from=build"},
		{"FROM scratch\nCOPY Dockerfile /run\nENTRYPOINT [\"/run\"]\n", nil, "/run is not a program for Linux"},
		{"FROM scratch\nCOPY foreign /run\nCMD [\"/run\"]\n", nil, ", and this host is linux/" + runtime.GOARCH},
		{"FROM scratch\nCOPY users /users\n", nil, "neither ENTRYPOINT nor CMD"},
		{"FROM scratch\nCOPY users Dockerfile /\nENTRYPOINT [\"/users\", \"/Dockerfile\"]\n", nil, "its argument /Dockerfile is a file of the image"},
		{"FROM scratch\nSTOPSIGNAL SIGQUIT\n", nil, "the stop signal SIGQUIT"},
		{"FROM scratch\nCOPY users /users\nENTRYPOINT [\"/users\"]\n", func(c *model.Container) { c.Environment = nil }, "no variable of its environment has the value of its container port, 3000; add PORT=3000 to the task definition and listen there, run it in Docker, or start it another way with --run users=COMMAND, which finds the port in PORT_3000"},
		{"FROM scratch\nCOPY users /users\nENTRYPOINT [\"/users\"]\n", func(c *model.Container) {
			c.Environment = []model.Variable{{Name: "A", Value: "3000"}, {Name: "B", Value: "3000"}}
		}, "several variables, A, B"},
		{"", func(c *model.Container) { c.Image.Asset = nil; c.Image.Reference = "nginx:1" }, "its image, nginx:1, is not built from the app"},
		{"", func(c *model.Container) { c.Image = model.Image{Unknown: "who knows"} }, "its image is not known: who knows"},
		{"", func(c *model.Container) {
			c.Image.Asset = &assembly.ImageAsset{ID: "x", Executable: []string{"bazel"}}
		}, `made by the command ["bazel"]`},
	} {
		c := users(t)
		directory := t.TempDir()
		for _, file := range []string{filepath.Join(c.Image.Asset.Directory, "users"), filepath.Join(built, "foreign")} {
			if err := os.Link(file, filepath.Join(directory, filepath.Base(file))); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.WriteFile(filepath.Join(directory, "Dockerfile"), []byte(test.dockerfile), 0o644); err != nil {
			t.Fatal(err)
		}
		c.Image.Asset = &assembly.ImageAsset{ID: directory, Directory: directory}
		if test.change != nil {
			test.change(&c)
		}
		_, err = d.Start(t.Context(), ecs.StartRequest{Definition: c})
		if _, check := d.Check(nil, c); check == nil || err == nil || check.Error() != err.Error() {
			t.Errorf("%q: Check says %v, Start %v", test.dockerfile, check, err)
		}
		if err == nil || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), "--run users=COMMAND") && !strings.Contains(err.Error(), "call the one to listen on PORT") {
			t.Errorf("%q: error is %v, want one with %q", test.dockerfile, err, test.want)
		}
	}
	if left, _ := filepath.Glob(filepath.Join(d.imageRoot(), "*")); len(left) != len(d.images) {
		t.Errorf("images left: %v", left)
	}
}

// The links of an image lead nowhere but into the image, and those of a context nowhere but into the
// context. Otherwise an assembly could write where its reader does not expect it.
func TestLinksLeadNowhere(t *testing.T) {
	outside := t.TempDir()
	secret := filepath.Join(outside, "secret")
	program, err := os.ReadFile(filepath.Join(users(t).Image.Asset.Directory, "users"))
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.WriteFile(secret, []byte("as it was"), 0o644), os.WriteFile(filepath.Join(outside, "users"), program, 0o755)); err != nil {
		t.Fatal(err)
	}
	const escapes, last = "path escapes from parent", "ENTRYPOINT [\"/users\"]\n"
	for _, up := range []string{outside, strings.Repeat("../", 40) + outside[1:]} {
		d := newDriver(t, nil)
		for _, test := range []struct{ name, dockerfile, workdir, want string }{
			{"a file below a link", "COPY tree /data\nCOPY users /data/out/new\n" + last, "", escapes},
			{"a file below a link of a link", "COPY tree /data\nCOPY users /data/second/new\n" + last, "", escapes},
			{"a directory below a link", "COPY tree /data\nCOPY tree /data/out/new/\n" + last, "", escapes},
			{"through a link", "COPY tree /data\nCOPY users /data/secret\n" + last, "", escapes},
			{"a working directory", "COPY tree /data\nWORKDIR /data/out/new\n" + last, "", escapes},
			{"that of the container", "COPY tree /data\nCOPY users /users\n" + last, "/data/out/new", escapes},
			{"a working directory that is there", "COPY tree /data\nCOPY users /users\n" + last, "/data/out", escapes},
			{"a program outside", "COPY tree /data\nENTRYPOINT [\"/data/out/users\"]\n", "", "no program"},
			{"a source outside", "COPY tree/secret /data\n" + last, "", escapes},
			{"a source below a link", "COPY tree/out/secret /data\n" + last, "", escapes},
		} {
			c := users(t)
			directory := t.TempDir()
			tree := filepath.Join(directory, "tree")
			if err := errors.Join(
				os.Mkdir(tree, 0o755),
				os.WriteFile(filepath.Join(directory, "users"), program, 0o755),
				os.Symlink(up, filepath.Join(tree, "out")),
				os.Symlink("out", filepath.Join(tree, "second")),
				os.Symlink(up+"/secret", filepath.Join(tree, "secret")),
				os.WriteFile(filepath.Join(directory, "Dockerfile"), []byte("FROM scratch\n"+test.dockerfile), 0o644),
			); err != nil {
				t.Fatal(err)
			}
			c.Image.Asset, c.WorkingDirectory = &assembly.ImageAsset{ID: directory, Directory: directory}, test.workdir
			if _, err := d.Check(nil, c); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%s: %v, want %q", test.name, err, test.want)
			}
		}
		c := users(t)
		c.Image.Asset = &assembly.ImageAsset{ID: "elsewhere", Directory: t.TempDir(), Dockerfile: up + "/secret"}
		if _, err := d.Check(nil, c); err == nil || !strings.Contains(err.Error(), escapes) {
			t.Errorf("a Dockerfile outside: %v", err)
		}
	}
	if entries, _ := os.ReadDir(outside); len(entries) != 2 {
		t.Errorf("outside is %v", entries)
	}
	if text, _ := os.ReadFile(secret); string(text) != "as it was" {
		t.Errorf("a file outside became %q", text)
	}
}

func TestImageLayout(t *testing.T) {
	c := users(t)
	directory := t.TempDir()
	binary, err := os.ReadFile(filepath.Join(c.Image.Asset.Directory, "users"))
	if err != nil {
		t.Fatal(err)
	}
	os.MkdirAll(filepath.Join(directory, "conf", "deep"), 0o755)
	os.WriteFile(filepath.Join(directory, "conf", "deep", "a.txt"), []byte("a"), 0o600)
	os.WriteFile(filepath.Join(directory, "server"), binary, 0o755)
	os.Symlink("deep/a.txt", filepath.Join(directory, "conf", "link"))
	os.WriteFile(filepath.Join(directory, "Imagefile"), []byte(`# syntax=docker/dockerfile:1
ARG DIR=app
FROM scratch
ARG DIR
ARG VERSION=1 \
    MODE
ENV HOME=/home/$VERSION PORT=3000
ENV MODE "is ${MODE}"
WORKDIR /srv
WORKDIR $DIR
COPY --chown=1:1 server bin/
COPY conf ./conf
USER 65532
EXPOSE 3000
LABEL a=b
CMD ["serve"]
ENTRYPOINT ["bin/server", "$HOME"]
CMD ["now"]
`), 0o644)
	d := newDriver(t, nil)
	img, err := d.prepare(model.Image{Asset: &assembly.ImageAsset{ID: "x", Directory: directory, Dockerfile: "Imagefile", BuildArgs: map[string]string{"MODE": "fast"}}})
	if err != nil {
		t.Fatal(err)
	}
	if want := (environment{{Name: "HOME", Value: "/home/1"}, {Name: "PORT", Value: "3000"}, {Name: "MODE", Value: "is fast"}}); !reflect.DeepEqual(img.env, want) {
		t.Errorf("environment is %v, want %v", img.env, want)
	}
	argv, dir, err := img.entry(model.Container{})
	if want := []string{img.root + "/srv/app/bin/server", "$HOME", "now"}; err != nil || !slices.Equal(argv, want) || dir != img.root+"/srv/app" {
		t.Errorf("runs %q in %s (%v), want %q", argv, dir, err, want)
	}
	if data, err := os.ReadFile(filepath.Join(dir, "conf", "link")); string(data) != "a" {
		t.Errorf("the file copied is %q (%v)", data, err)
	}
	argv, _, err = img.entry(model.Container{EntryPoint: []string{"/srv/app/bin/server"}, Command: []string{"x"}, WorkingDirectory: "/tmp"})
	if want := []string{img.root + "/srv/app/bin/server", "x"}; err != nil || !slices.Equal(argv, want) {
		t.Errorf("with an own entry point it runs %q (%v), want %q", argv, err, want)
	}
	img.env.set("PATH", "/bin:/srv/app/bin")
	if found, err := img.find("server", ""); err != nil || found != img.root+"/srv/app/bin/server" {
		t.Errorf("on PATH is %q (%v)", found, err)
	}
}

// runnerDir is an environment variable with the directory of a driver. With the variable, this
// program is a runner that is going to be killed.
const runnerDir = "PROCESS_TEST_RUNNER"

// runnerTask is an environment variable with the runner's task.
const runnerTask = "PROCESS_TEST_TASK"

// runner starts a service and a command with children, says so, and waits.
func runner() {
	d, err := New(Options{Dir: os.Getenv(runnerDir), Run: map[string]string{"shell": "sleep 1000 & sleep 1000 & wait"}})
	if err != nil {
		panic(err)
	}
	directory := os.Getenv("PROCESS_TEST_CONTEXT")
	for _, c := range []model.Container{
		{Name: "users", Ports: model.TCP(3000), Environment: []model.Variable{{Name: "PORT", Value: "3000"}},
			Image: model.Image{Asset: &assembly.ImageAsset{ID: "users", Directory: directory}}},
		{Name: "shell"},
	} {
		container, err := d.Start(context.Background(), ecs.StartRequest{Task: os.Getenv(runnerTask), Definition: c, Output: func(string, string) {}, Warn: func(string) {}})
		if err != nil {
			panic(err)
		}
		fmt.Println(container.ID())
	}
	select {}
}

func TestKilledRunnerLeavesNoOrphan(t *testing.T) {
	for name, cut := range map[string]bool{"recorded": false, "killed before the process ids were written": true} {
		t.Run(name, func(t *testing.T) { testKilledRunner(t, cut) })
	}
}

func testKilledRunner(t *testing.T, cut bool) {
	if testing.Short() {
		t.Skip("slow: it starts processes")
	}
	c := users(t)
	dir, task := t.TempDir(), rand.Text()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), runnerDir+"="+dir, runnerTask+"="+task, "PROCESS_TEST_CONTEXT="+c.Image.Asset.Directory)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Process.Kill()
	var pids []int
	for lines := bufio.NewScanner(out); len(pids) < 2 && lines.Scan(); {
		pid, err := strconv.Atoi(lines.Text())
		if err != nil {
			t.Fatal(err)
		}
		pids = append(pids, pid)
	}
	if len(pids) != 2 {
		t.Fatalf("the runner started %v", pids)
	}
	for _, pid := range pids {
		if _, alive := startTime(pid); !alive {
			t.Fatalf("process %d does not run", pid)
		}
	}
	var children []int
	eventually(t, "the command to start its children", func() bool {
		children = marked(task)
		children = slices.DeleteFunc(children, func(pid int) bool { return slices.Contains(pids, pid) })
		return len(children) == 2
	})
	cmd.Process.Kill()
	cmd.Wait()

	// The kernel ends the runner's processes. Their children are left.
	for _, pid := range pids {
		eventually(t, fmt.Sprintf("process %d to end with the runner", pid), func() bool {
			_, alive := startTime(pid)
			return !alive
		})
	}
	records, err := filepath.Glob(filepath.Join(dir, "processes", "*.json"))
	if err != nil || len(records) != 2 {
		t.Fatalf("records are %v (%v), want those of two processes", records, err)
	}
	if cut {
		for i, file := range records {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			task, rest, _ := bytes.Cut(data, []byte{'\n'})
			if err := os.WriteFile(file, slices.Concat(task, rest[:i]), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	// A record must not end a later process with the same id.
	self, _ := startTime(os.Getpid())
	other := fmt.Sprintf(`{"task":"other"}{"pid":%d,"start":%q}`, os.Getpid(), self+"0")
	if err := os.WriteFile(filepath.Join(dir, "processes", "other.json"), []byte(other), 0o644); err != nil {
		t.Fatal(err)
	}
	next, err := New(Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	for _, pid := range children {
		want = append(want, strconv.Itoa(pid))
	}
	ended, err := next.Sweep(t.Context())
	slices.Sort(ended)
	slices.Sort(want)
	if err != nil || !slices.Equal(ended, want) {
		t.Errorf("swept %v (%v), want %v", ended, err, want)
	}
	if left := marked(task); len(left) > 0 {
		t.Errorf("processes %v are left", left)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "*", "*")); len(left) > 0 {
		t.Errorf("left are %v", left)
	}
	if ended, err := next.Sweep(t.Context()); len(ended) > 0 || err != nil {
		t.Errorf("swept %v (%v) once more", ended, err)
	}
}

// eventually waits for the kernel.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for limit := time.After(time.Minute); !holds(); {
		select {
		case <-tick.C:
		case <-limit:
			t.Fatal("waited a minute for " + what)
		}
	}
}

//go:build unix

// Package process runs the containers of ECS tasks as processes of this host, without Docker.
//
// An image must consist of its build context: its Dockerfile copies files onto an empty image
// (FROM scratch), and this host can execute its entry point. Any other container needs a
// command that runs in its place.
//
// There is no port mapping. The process must listen on a port that the driver chooses, on the
// loopback interface. The driver sets these variables:
//   - the variable that has the container port as its value, such as PORT=3000, to the chosen
//     port; a command in place of a container always has the port in PORT
//   - HOST to 127.0.0.1, unless the task definition gives it another address or a name
//
// In the network modes awsvpc and host, containers of a task reach each other at localhost. The
// driver rewrites localhost and a port in their variables, as in REDIS_URL=redis://localhost:6379.
//
// A process resolves names as this machine does. The driver rewrites the names of other services in
// variables and arguments, as in USERS_URL=http://users:3000, so that they lead to an address of this
// machine. Names in the program's code lead nowhere.
//
// A process that listens on other addresses all the same can be reached from the network. On
// Linux the driver warns of it.
//
// A process is not a container:
//   - The user, the read-only root, capabilities, security options, resource limits and
//     labels of the task definition do not hold.
//   - A path that the program opens is a path of this host. Files of the image are relative
//     to the working directory.
//   - The environment is that of the image and the task definition. A command in place of a
//     container also has the environment of this program.
package process

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"cutover/internal/child"
	"cutover/internal/local/ecs"
	"cutover/internal/local/ecs/volumes"
	"cutover/internal/model"
)

// Options says how processes are run.
type Options struct {
	// Dir has the files of images, and a record of every process. [Driver.Sweep] finds the
	// processes of a killed run by their records. One driver at a time may use Dir. Required.
	Dir string
	// Volumes has the directories that stand for volumes which outlive their tasks. Required.
	Volumes string
	// Run has shell commands to run in place of containers, by the container's name.
	Run map[string]string
}

// Driver runs containers as processes.
type Driver struct {
	options Options

	mu     sync.Mutex
	ports  map[int]bool // given to a process that runs
	images map[string]*image

	sharing sync.Mutex
	shared  map[string]map[int]int // ports of this host by those of a task that shares its network
}

// New returns a driver. It creates its directory.
func New(options Options) (*Driver, error) {
	d := &Driver{options: options, ports: map[int]bool{}, images: map[string]*image{}, shared: map[string]map[int]int{}}
	for _, dir := range []string{d.records(), d.imageRoot()} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return nil, err
		}
	}
	return d, volumes.Share(options.Volumes)
}

func (d *Driver) records() string   { return filepath.Join(d.options.Dir, "processes") }
func (d *Driver) imageRoot() string { return filepath.Join(d.options.Dir, "images") }

// taskVolumes has the directories of a task's own volumes. Without a task, they are those of all tasks.
func (d *Driver) taskVolumes(task string) string {
	return filepath.Join(d.options.Dir, "volumes", task)
}

// taskVariable marks the processes of a task. Some may outlive the task's first process.
const taskVariable = "CUTOVER_TASK"

// Check says why a container cannot run as a process. See [ecs.Driver].
func (d *Driver) Check(whole *model.TaskDefinition, c model.Container) ([]ecs.PassedOver, error) {
	p, err := d.plan(ecs.StartRequest{Definition: c, TaskDefinition: whole})
	if err != nil {
		return nil, err
	}
	p.freePorts()
	return d.passedOver(whole, c), nil
}

// Clean removes the directories of a task's volumes, and frees its ports. See [ecs.Driver].
func (d *Driver) Clean(task string) error {
	d.sharing.Lock()
	ports := d.shared[task]
	delete(d.shared, task)
	d.sharing.Unlock()
	d.free(ports)
	return os.RemoveAll(d.taskVolumes(task))
}

// Start starts a process. See [ecs.Driver].
func (d *Driver) Start(ctx context.Context, r ecs.StartRequest) (ecs.Container, error) {
	p, err := d.plan(r)
	if err != nil {
		return nil, err
	}
	p.env = append(p.env, taskVariable+"="+r.Task)
	if err = context.Cause(ctx); err == nil {
		err = p.makeDirectories(r)
	}
	if err == nil {
		err = p.start(r)
	}
	if err != nil {
		p.freePorts()
		return nil, err
	}
	return p, nil
}

// plan finds out what to execute, and chooses ports.
func (d *Driver) plan(r ecs.StartRequest) (*process, error) {
	c := r.Definition
	p := &process{driver: d, done: make(chan struct{}), ports: map[int]int{}, definition: c}
	variables := environment{}
	if command, ok := d.options.Run[c.Name]; ok {
		p.argv = []string{"/bin/sh", "-c", command}
		p.env = os.Environ()
	} else {
		var err error
		if p.image, err = d.prepare(c.Image); err == nil {
			p.argv, p.dir, err = p.image.entry(c)
		}
		if err != nil {
			return nil, fmt.Errorf("it cannot run as a process of this host: %w; %s", err, instead(c))
		}
		variables = slices.Clone(p.image.env)
		p.env = []string{"PATH=" + imagePath}
	}
	for _, v := range c.Environment {
		variables.set(v.Name, v.Value)
	}
	p.wanted = portsOf(r.TaskDefinition, c)
	if r.Task != "" && r.TaskDefinition != nil && r.TaskDefinition.SharesNetwork() {
		var err error
		if p.network, err = d.network(r.Task, r.TaskDefinition); err != nil {
			return nil, err
		}
	}
	if err := p.choosePorts(&variables); err != nil {
		p.freePorts()
		return nil, err
	}
	if len(p.wanted) > 0 && slices.Contains([]string{"", "0.0.0.0", "::"}, variables.get("HOST", "")) {
		variables.set("HOST", loopback)
	}
	p.setPaths(&variables, r)
	p.lead(&variables, r)
	for _, v := range variables {
		p.env = append(p.env, v.Name+"="+v.Value)
	}
	return p, nil
}

// network returns the ports of this host for those of all containers of a task, which reach each other at
// localhost. The task keeps its ports until [Driver.Clean].
func (d *Driver) network(task string, whole *model.TaskDefinition) (map[int]int, error) {
	d.sharing.Lock()
	defer d.sharing.Unlock()
	if known, ok := d.shared[task]; ok {
		return known, nil
	}
	local := map[int]int{}
	for _, c := range whole.Containers {
		for _, wanted := range portsOf(whole, c) {
			chosen, err := d.choosePort(wanted.protocols)
			if err != nil {
				d.free(local)
				return nil, err
			}
			local[wanted.number] = chosen
		}
	}
	d.shared[task] = local
	return local, nil
}

// loopback is the address to listen on, so that only this host reaches a task.
const loopback = "127.0.0.1"

// The ports are below those of outgoing connections on Linux (32768 to 60999) and macOS (49152 to
// 65535). A connection of the load balancer could take one of those before the process listens.
const firstPort, portCount = 20000, 12768

// choosePort returns a port that is free for all protocols of a container's port.
func (d *Driver) choosePort(protocols []string) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for range 200 {
		port := firstPort + rand.IntN(portCount)
		if !d.ports[port] && !slices.ContainsFunc(protocols, func(protocol string) bool { return taken(protocol, port) }) {
			d.ports[port] = true
			return port, nil
		}
	}
	return 0, fmt.Errorf("no free port found from %d to %d", firstPort, firstPort+portCount-1)
}

// taken says whether a port of any address of this host is in use. Most programs listen on all.
func taken(protocol string, port int) bool {
	var socket io.Closer
	var err error
	if address := ":" + strconv.Itoa(port); protocol == "udp" {
		socket, err = net.ListenPacket("udp", address)
	} else {
		socket, err = net.Listen("tcp", address)
	}
	if err == nil {
		socket.Close()
	}
	return err != nil
}

// port is a port of a container with its protocols, tcp, udp or both.
type port struct {
	number    int
	protocols []string
}

// choosePorts chooses a port of this host for every port of the container. The variable that
// has the container port gets the chosen port. A command in place of a container finds each port in
// PORT_ with the container port, and the first TCP port in PORT.
func (p *process) choosePorts(variables *environment) error {
	first := max(0, slices.IndexFunc(p.wanted, func(w port) bool { return slices.Contains(w.protocols, "tcp") }))
	for i, wanted := range p.wanted {
		names, err := p.portVariables(wanted.number, *variables)
		if err != nil {
			return err
		}
		chosen := p.network[wanted.number]
		if p.network == nil {
			if chosen, err = p.driver.choosePort(wanted.protocols); err != nil {
				return err
			}
		}
		p.ports[wanted.number] = chosen
		if p.image == nil && i == first {
			names = append(names, "PORT")
		}
		for _, name := range names {
			variables.set(name, strconv.Itoa(chosen))
		}
	}
	return nil
}

// portVariables are the variables that get the port of this host for a container port.
func (p *process) portVariables(containerPort int, variables environment) ([]string, error) {
	var names []string
	for _, v := range variables {
		if v.Value == strconv.Itoa(containerPort) && !variables.elsewhere(v.Name) {
			names = append(names, v.Name)
		}
	}
	own := fmt.Sprintf("PORT_%d", containerPort)
	switch {
	case slices.Contains(names, "PORT"):
		names = []string{"PORT"}
	case p.image == nil && len(names) > 1: // some may have the number by chance
		names = slices.DeleteFunc(names, func(name string) bool { return !strings.HasSuffix(name, "PORT") })
	case p.image == nil:
	case len(names) == 0:
		return nil, fmt.Errorf("a process of this host must know which port to listen on, because there is no port mapping: no variable of its environment has the value of its container port, %d; add PORT=%[1]d to the task definition and listen there, run it in Docker, or start it another way with --run %s=COMMAND, which finds the port in %s",
			containerPort, p.definition.Name, own)
	case len(names) > 1:
		return nil, fmt.Errorf("its container port %d is the value of several variables, %s: call the one to listen on PORT, or run it in Docker",
			containerPort, strings.Join(names, ", "))
	}
	if p.image == nil {
		names = append(names, own)
	}
	return names, nil
}

// freePorts frees the ports of the container, unless they are its task's.
func (p *process) freePorts() {
	if p.network == nil {
		p.driver.free(p.ports)
	}
}

func (d *Driver) free(ports map[int]int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, port := range ports {
		delete(d.ports, port)
	}
}

// environment is a list of variables.
type environment []model.Variable

func (e environment) index(name string) int {
	return slices.IndexFunc(e, func(v model.Variable) bool { return v.Name == name })
}

func (e environment) get(name, absent string) string {
	if i := e.index(name); i >= 0 {
		return e[i].Value
	}
	return absent
}

func (e *environment) set(name, value string) {
	if i := e.index(name); i >= 0 {
		(*e)[i].Value = value
		return
	}
	*e = append(*e, model.Variable{Name: name, Value: value})
}

// process is a container that runs as a process group.
type process struct {
	driver     *Driver
	definition model.Container
	image      *image // nil if a command was given
	argv, env  []string
	dir        string
	wanted     []port      // of the container
	ports      map[int]int // of this host, by the container's
	network    map[int]int // as ports, of the whole task; nil if each container has ports of its own

	pid  int
	done chan struct{}
	exit ecs.Exit
}

func (p *process) start(r ecs.StartRequest) error {
	cmd := exec.Command(p.argv[0])
	cmd.Args, cmd.Env, cmd.Dir, cmd.SysProcAttr = p.argv, p.env, p.dir, child.Attributes(syscall.SIGKILL)
	var file string
	var output func()
	return child.Start(func() (err error) {
		file, output, err = p.launch(cmd, r)
		return err
	}, func() {
		// Not cmd.Wait, which closes the pipes before they are read.
		state, err := cmd.Process.Wait()
		killGroup(p.pid) // as the end of a container's first process ends the others
		p.exit = exitOf(state, err)
		p.freePorts()
		os.Remove(file)
		output()
		close(p.done)
	})
}

// launch starts the process and records it, or leaves nothing. The record comes first:
// this program may be killed at any moment. Output waits for what the process has written.
func (p *process) launch(cmd *exec.Cmd, r ecs.StartRequest) (file string, output func(), err error) {
	kept, err := os.CreateTemp(p.driver.records(), "*.json")
	if err != nil {
		return "", nil, err
	}
	defer kept.Close()
	stdout, err1 := cmd.StdoutPipe()
	stderr, err2 := cmd.StderrPipe()
	write := json.NewEncoder(kept).Encode
	if err = cmp.Or(err1, err2, write(record{Task: r.Task})); err == nil {
		err = cmd.Start()
	}
	if err != nil {
		os.Remove(kept.Name())
		return "", nil, err
	}
	p.pid = cmd.Process.Pid
	start, _ := startTime(p.pid) // empty if the process has ended already
	if err := write(record{PID: p.pid, Start: start}); err != nil {
		killGroup(p.pid)
		cmd.Wait()
		os.Remove(kept.Name())
		return "", nil, err
	}
	out, errs := handOn(stdout, r, "stdout"), handOn(stderr, r, "stderr")
	go p.checkListeners(r)
	return kept.Name(), func() { out(); errs() }, nil
}

// checkListeners waits until the process listens, and warns if others than this host reach it.
func (p *process) checkListeners(r ecs.StartRequest) {
	for _, wanted := range p.wanted {
		port := p.ports[wanted.number]
		// The table of sockets takes milliseconds to read, and some programs never listen.
		for pause := 100 * time.Millisecond; ; pause = min(2*pause, 5*time.Second) {
			select {
			case <-p.done:
				return
			case <-time.After(pause):
			}
			addresses, err := listening(wanted.protocols, port)
			if err != nil {
				return // nothing can be told here
			}
			outside := slices.DeleteFunc(slices.Clone(addresses), net.IP.IsLoopback)
			if len(outside) > 0 {
				r.Warn(fmt.Sprintf("listens on %s, port %d, where other machines reach it: let it listen on the address in HOST, which is %s", outside[0], port, loopback))
			}
			if len(addresses) > 0 {
				break
			}
		}
	}
}

// pipeBuffer is how much of what is in a pipe is read at once, in bytes.
const pipeBuffer = 4 << 10

// handOn hands on what is written into a pipe. The function that it returns waits for
// the end, but not long: a process that left the group may keep the pipe open.
func handOn(pipe io.ReadCloser, r ecs.StartRequest, stream string) func() {
	finished := make(chan struct{})
	go func() {
		lines := ecs.Lines(func(line string) { r.Output(stream, line) })
		// Lines are short, and there may be a hundred processes. Hidden behind the
		// interface, the pipe does not copy itself with a larger buffer.
		io.CopyBuffer(lines, struct{ io.Reader }{pipe}, make([]byte, pipeBuffer))
		lines.Close()
		close(finished)
	}()
	return func() {
		pipe.(*os.File).SetReadDeadline(time.Now().Add(time.Second))
		<-finished
		pipe.Close()
	}
}

func exitOf(state *os.ProcessState, err error) ecs.Exit {
	if state == nil {
		return ecs.Exit{Code: -1, Err: err}
	}
	if status, ok := state.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return ecs.Exit{Code: 128 + int(status.Signal())}
	}
	return ecs.Exit{Code: state.ExitCode()}
}

func killGroup(pid int) { syscall.Kill(-pid, syscall.SIGKILL) }

func (p *process) ID() string            { return strconv.Itoa(p.pid) }
func (p *process) Address(c int) string  { return fmt.Sprintf("%s:%d", loopback, p.ports[c]) }
func (p *process) Done() <-chan struct{} { return p.done }
func (p *process) Exit() ecs.Exit        { return p.exit }

// Terminate sends SIGTERM to the first process, as Docker does. A command in place of a
// container gets SIGTERM in all processes, because a shell does not pass signals on.
func (p *process) Terminate() error {
	if p.image == nil {
		return syscall.Kill(-p.pid, syscall.SIGTERM)
	}
	return syscall.Kill(p.pid, syscall.SIGTERM)
}

func (p *process) Signal(signal syscall.Signal) error { return syscall.Kill(-p.pid, signal) }

// ProcessorTime is that of the process group.
func (p *process) ProcessorTime(context.Context) (time.Duration, error) { return processorTime(p.pid) }

// Exec runs a command of the image. The error is [ecs.ErrNoExec] if a given command replaces
// the container, or if the command names the container port: nothing listens there.
func (p *process) Exec(ctx context.Context, command []string) (int, string, error) {
	if p.image == nil {
		return 0, "", fmt.Errorf("%w: --run replaces the container", ecs.ErrNoExec)
	}
	for _, port := range p.wanted {
		if strings.Contains(strings.Join(command, " "), strconv.Itoa(port.number)) {
			return 0, "", fmt.Errorf("%w: it names port %d, which is another one here", ecs.ErrNoExec, port.number)
		}
	}
	name, err := p.image.find(command[0], p.definition.WorkingDirectory)
	if err != nil {
		return 0, "", err
	}
	cmd := exec.CommandContext(ctx, name)
	cmd.Args, cmd.Env, cmd.Dir = command, p.env, p.dir
	cmd.SysProcAttr = child.Attributes(syscall.SIGKILL)
	cmd.Cancel = func() error { killGroup(cmd.Process.Pid); return nil }
	cmd.WaitDelay = time.Second
	output, err := cmd.CombinedOutput()
	if cmd.ProcessState == nil {
		return 0, "", err
	}
	return exitOf(cmd.ProcessState, err).Code, string(output), nil
}

// record finds a process after this program was killed. The task is written before the
// process starts, the rest afterwards.
type record struct {
	Task string `json:"task,omitempty"`
	PID  int    `json:"pid,omitempty"`
	// Start tells the process from a later one with the same id.
	Start string `json:"start,omitempty"`
}

// Sweep ends the processes of an earlier driver on the same directory, and returns their ids.
// It removes the earlier driver's images, and the volumes of its tasks. Call Sweep before the first Start.
func (d *Driver) Sweep(ctx context.Context) (ended []string, err error) {
	files, err := filepath.Glob(filepath.Join(d.records(), "*.json"))
	if err != nil {
		return nil, err
	}
	var errs []error
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		var r record // as much of it as was written
		for lines := json.NewDecoder(bytes.NewReader(data)); lines.Decode(&r) == nil; {
		}
		pids, err := r.end(ctx)
		for _, pid := range pids {
			ended = append(ended, strconv.Itoa(pid))
		}
		if err != nil {
			errs = append(errs, err) // and the record stays for the next Sweep
			continue
		}
		errs = append(errs, os.Remove(file))
	}
	errs = append(errs, os.RemoveAll(d.taskVolumes("")))
	images, _ := filepath.Glob(filepath.Join(d.imageRoot(), "*"))
	for _, image := range images {
		errs = append(errs, os.RemoveAll(image))
	}
	return ended, errors.Join(errs...)
}

// left are the record's processes that still run. A shell in place of a container ends with
// this program, but its children do not.
func (r record) left() []int {
	var pids []int
	if r.Task != "" {
		pids = marked(r.Task)
	}
	if r.PID > 1 && !slices.Contains(pids, r.PID) {
		if start, alive := startTime(r.PID); alive && start == r.Start {
			pids = append(pids, r.PID)
		}
	}
	return pids
}

// end kills the processes of a record, and what they start meanwhile.
func (r record) end(ctx context.Context) (ended []int, err error) {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	limit := time.After(5 * time.Second)
	for {
		pids := r.left()
		if len(pids) == 0 {
			return ended, nil
		}
		for _, pid := range pids {
			if pid == r.PID {
				killGroup(pid)
			}
			syscall.Kill(pid, syscall.SIGKILL)
			if !slices.Contains(ended, pid) {
				ended = append(ended, pid)
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ended, context.Cause(ctx)
		case <-limit:
			return ended, fmt.Errorf("processes %v, left by an earlier run, do not end; end them by hand", pids)
		}
	}
}

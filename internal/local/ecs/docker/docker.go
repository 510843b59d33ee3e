// Package docker runs the containers of ECS tasks in a Docker engine, as the ECS agent of an
// EC2 instance does: built from the asset's Dockerfile, on the bridge or, in network modes awsvpc
// and host, in a network of the task, with the limits, user,
// capabilities, security options and read-only root of the task definition. The engine
// publishes each port at a port of its choice, on the loopback interface only.
//
// A HEALTHCHECK in an image is left out, as on ECS.
package docker

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/moby/moby/api/pkg/stdcopy"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/mount"
	"github.com/moby/moby/api/types/network"
	"github.com/moby/moby/client"

	"cutover/internal/local/ecs"
	"cutover/internal/local/ecs/volumes"
	"cutover/internal/model"
)

// Options says which engine to use, and for whom.
type Options struct {
	// Deployment identifies the local deployment of the containers for [Driver.Sweep]. Required.
	Deployment string
	// Host is the engine's address. Default: DOCKER_HOST, or the docker command's engine.
	Host string
	// Volumes has the directories that stand for volumes which outlive their tasks. The engine must
	// see this directory. Required.
	Volumes string
	// Dir is for files that exist for a moment. The engine must see this directory. Default: the system's
	// directory for temporary files.
	Dir string
}

// Driver runs containers in a Docker engine.
type Driver struct {
	deployment string
	volumes    string // directory
	directory  string // for files that exist for a moment
	host       string // as given
	// patience is how long an image may take before an event tells what takes so long.
	patience time.Duration
	engine   *client.Client
	builds   sync.Map // of *build, by asset or reference
	networks sync.Map // of *taskNetwork, by task
	names    *names
	pausing  sync.Mutex
}

// The labels of every container.
const (
	deploymentLabel = "cutover.deployment"
	serviceLabel    = "cutover.service"
	taskLabel       = "cutover.task"
	containerLabel  = "cutover.container"
)

// New connects to an engine.
func New(ctx context.Context, o Options) (*Driver, error) {
	options := []client.Opt{client.FromEnv}
	if host := cmp.Or(o.Host, contextHost(ctx)); host != "" {
		options = append(options, client.WithHost(host))
	}
	engine, err := client.New(options...)
	if err != nil {
		return nil, fmt.Errorf("the Docker engine's address cannot be used: %w", err)
	}
	if _, err := engine.Ping(ctx, client.PingOptions{}); err != nil {
		engine.Close()
		return nil, fmt.Errorf("no Docker engine answers; start one, set DOCKER_HOST, or use the process driver: %w", err)
	}
	directory, err := temporary(o.Dir)
	if err = errors.Join(err, volumes.Share(o.Volumes)); err != nil {
		engine.Close()
		return nil, err
	}
	return &Driver{deployment: o.Deployment, volumes: o.Volumes, directory: directory, host: o.Host, patience: 2 * time.Second, engine: engine, names: newNames()}, nil
}

// contextHost is the engine of the docker command's current context. The client library does
// not know contexts.
func contextHost(ctx context.Context) string {
	if os.Getenv("DOCKER_HOST") != "" {
		return ""
	}
	out, _ := exec.CommandContext(ctx, "docker", "context", "inspect", "--format", "{{.Endpoints.docker.Host}}").Output()
	return strings.TrimSpace(string(out))
}

// Close closes the connection to the engine. Containers stay as they are.
func (d *Driver) Close() error { return d.engine.Close() }

// Start builds or pulls the image if necessary, and starts a container. See [ecs.Driver].
func (d *Driver) Start(ctx context.Context, r ecs.StartRequest) (ecs.Container, error) {
	if err := ecs.ImageError(r.Definition.Image); err != nil {
		return nil, err
	}
	image, err := d.prepare(ctx, r.Definition.Image, r.Tell)
	if err != nil {
		return nil, err
	}
	c := &running{engine: d.engine, names: d.names, done: make(chan struct{})}
	switch {
	case r.TaskDefinition.SharesNetwork():
		if c.network, err = d.network(ctx, r); err == nil {
			c.from = c.network.from
		}
	case r.TaskDefinition.NetworkMode != "none":
		c.from, err = d.caller(ctx, r)
	}
	if err != nil {
		return nil, err
	}
	r.Definition = c.from.equip(r.Definition)
	config, host := d.settings(r, image)
	if host.Mounts, err = d.mounts(ctx, r); err != nil {
		return nil, err
	}
	switch {
	case c.network != nil:
		c.network.join(config, host)
	case r.TaskDefinition.NetworkMode == "none":
		host.NetworkMode, host.PortBindings, config.ExposedPorts = network.NetworkNone, nil, nil
	}
	created, err := d.engine.ContainerCreate(ctx, client.ContainerCreateOptions{
		Config: config, HostConfig: host, Name: d.name(r.Task, r.Definition.Name),
	})
	if err != nil {
		return nil, fmt.Errorf("it cannot be created: %w", err)
	}
	c.id = created.ID
	if err := c.start(ctx, r); err != nil {
		c.remove()
		return nil, err
	}
	return c, nil
}

// Clean removes the task's network and volumes, and gives up its names. See [ecs.Driver].
func (d *Driver) Clean(task string) error {
	ctx, cancel := brief()
	defer cancel()
	return errors.Join(d.removeNetwork(task), d.releaseNames(task), d.removeVolumes(ctx, taskLabel+"="+task))
}

// mounts are those of a container. The engine makes the volumes of a task. It fills an empty one with
// what the image has there, and with its owner and rights, as on an instance. A variable that names a file of
// this machine has the file there too.
func (d *Driver) mounts(ctx context.Context, r ecs.StartRequest) (all []mount.Mount, err error) {
	for _, m := range r.Definition.Mounts {
		v := r.TaskDefinition.Volume(m)
		one := mount.Mount{Type: mount.TypeVolume, Source: d.name(r.Task, v.Name), Target: m.Path, ReadOnly: m.ReadOnly}
		if volumes.Kept(v) {
			one.Type = mount.TypeBind
			one.Source, err = volumes.Directory(d.volumes, v)
		} else {
			_, err = d.engine.VolumeCreate(ctx, client.VolumeCreateOptions{
				Name: one.Source, Labels: map[string]string{deploymentLabel: d.deployment, taskLabel: r.Task},
			})
		}
		if err != nil {
			return nil, fmt.Errorf("its volume %s cannot be made: %w", v.Name, err)
		}
		all = append(all, one)
	}
	for _, v := range r.Definition.Environment {
		if v.Here && filepath.IsAbs(v.Value) {
			all = append(all, mount.Mount{Type: mount.TypeBind, Source: v.Value, Target: v.Value, ReadOnly: true})
		}
	}
	return all, nil
}

var notPlain = regexp.MustCompile("[^a-zA-Z0-9_-]")

// name is the name of a task's container in `docker ps`, or of its volume in `docker volume ls`.
func (d *Driver) name(task, part string) string {
	return notPlain.ReplaceAllString("cutover-"+d.deployment+"-"+part+"-"+task, "-")
}

// settings translate a container definition as the ECS agent does.
// https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task_definition_parameters.html#container_definitions
func (d *Driver) settings(r ecs.StartRequest, image string) (*container.Config, *container.HostConfig) {
	c := r.Definition
	const mebibyte = 1 << 20
	config := &container.Config{
		Image: image, Entrypoint: c.EntryPoint, Cmd: c.Command, User: c.User, WorkingDir: c.WorkingDirectory, Hostname: c.Hostname,
		Labels: map[string]string{}, ExposedPorts: network.PortSet{},
		Healthcheck: &container.HealthConfig{Test: []string{"NONE"}},
	}
	for _, v := range c.Environment {
		config.Env = append(config.Env, v.Name+"="+v.Value)
	}
	maps.Copy(config.Labels, c.Labels)
	config.Labels[deploymentLabel], config.Labels[serviceLabel] = d.deployment, r.Service
	config.Labels[taskLabel], config.Labels[containerLabel] = r.Task, c.Name

	host := &container.HostConfig{
		NetworkMode:    network.NetworkBridge,
		PortBindings:   network.PortMap{},
		ReadonlyRootfs: c.ReadonlyRootFilesystem,
		CapAdd:         c.AddedCapabilities,
		CapDrop:        c.DroppedCapabilities,
		SecurityOpt:    c.SecurityOptions,
		ExtraHosts:     c.ExtraHosts,
		DNS:            c.DNSServers,
		DNSSearch:      c.DNSSearch,
		Sysctls:        c.SystemControls,
		ShmSize:        int64(c.SharedMemoryMiB) * mebibyte,
		// The engine need not keep lines that are handed on at once.
		LogConfig: container.LogConfig{Type: "none"},
		Resources: container.Resources{
			// ECS takes the least that Linux has for none.
			CPUShares:         int64(max(2, c.CPUShares)),
			NanoCPUs:          int64(c.CPULimit) * 1_000_000_000 / 1024,
			Memory:            int64(c.MemoryMiB) * mebibyte,
			MemoryReservation: int64(c.MemoryReservationMiB) * mebibyte,
		},
	}
	if c.Init {
		host.Init = &c.Init
	}
	for _, limit := range c.Ulimits {
		host.Ulimits = append(host.Ulimits, &container.Ulimit{Name: limit.Name, Soft: limit.Soft, Hard: limit.Hard})
	}
	for _, tmpfs := range c.Tmpfs {
		if host.Tmpfs == nil {
			host.Tmpfs = map[string]string{}
		}
		host.Tmpfs[tmpfs.Path] = strings.Join(append(slices.Clone(tmpfs.Options), fmt.Sprintf("size=%dm", tmpfs.SizeMiB)), ",")
	}
	for _, link := range c.Links {
		name, alias, _ := strings.Cut(link, ":")
		host.Links = append(host.Links, d.name(r.Task, name)+":"+cmp.Or(alias, name))
	}
	for _, port := range c.Ports {
		exposed := published(port)
		config.ExposedPorts[exposed] = struct{}{}
		host.PortBindings[exposed] = []network.PortBinding{{HostIP: netip.MustParseAddr("127.0.0.1"), HostPort: "0"}}
	}
	return config, host
}

func published(port model.Port) network.Port {
	p, _ := network.PortFrom(uint16(port.Container), network.IPProtocol(port.Protocol)) // cannot fail for a number
	return p
}

// running is a container that was created.
type running struct {
	engine     *client.Client
	id         string
	stopSignal string
	addresses  map[model.Port]string
	network    *taskNetwork // of its task; nil if it has one of its own
	names      *names
	from       *caller // nil if it calls nothing by name
	forget     func()  // ends that the names know its address
	done       chan struct{}
	exit       ecs.Exit
}

// start starts the container. From then on, it waits for the container's output and end.
func (c *running) start(ctx context.Context, r ecs.StartRequest) error {
	// For calls that last as long as the container.
	lasting := context.WithoutCancel(ctx)
	attached, err := c.engine.ContainerAttach(lasting, c.id, client.ContainerAttachOptions{Stream: true, Stdout: true, Stderr: true})
	if err != nil {
		return fmt.Errorf("its output cannot be read: %w", err)
	}
	ended := c.engine.ContainerWait(lasting, c.id, client.ContainerWaitOptions{Condition: container.WaitConditionNextExit})
	if _, err := c.engine.ContainerStart(ctx, c.id, client.ContainerStartOptions{}); err != nil {
		attached.Close()
		return fmt.Errorf("it cannot be started: %w", err)
	}
	inspected, err := c.engine.ContainerInspect(lasting, c.id, client.ContainerInspectOptions{})
	if err != nil {
		attached.Close()
		return fmt.Errorf("nothing is known of it: %w", err)
	}
	c.stopSignal = cmp.Or(inspected.Container.Config.StopSignal, "SIGTERM")
	c.addresses = addresses(r.Definition.Ports, inspected.Container)
	if c.network != nil {
		c.addresses = c.network.addresses
	} else if c.from != nil {
		c.forget = c.names.register(bridgeAddress(inspected.Container), c.from)
	}
	written := make(chan struct{})
	go func() {
		defer close(written)
		stdout := ecs.Lines(func(line string) { r.Output("stdout", line) })
		stderr := ecs.Lines(func(line string) { r.Output("stderr", line) })
		stdcopy.StdCopy(stdout, stderr, attached.Reader)
		stdout.Close()
		stderr.Close()
	}()
	go func() {
		var lost error
		select {
		case <-ended.Result:
		case lost = <-ended.Error:
		}
		select {
		case <-written:
		case <-time.After(time.Second): // the engine is gone, or slow to close
		}
		attached.Close()
		<-written
		if c.forget != nil {
			c.forget()
		}
		c.exit = c.outcome(lost)
		c.remove()
		close(c.done)
	}()
	return nil
}

// brief is for calls that outlive the caller's context.
func brief() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), 30*time.Second)
}

func (c *running) outcome(lost error) ecs.Exit {
	ctx, cancel := brief()
	defer cancel()
	inspected, err := c.engine.ContainerInspect(ctx, c.id, client.ContainerInspectOptions{})
	if err == nil && inspected.Container.State.Running {
		err = cmp.Or(lost, errors.New("the engine stopped waiting for it"))
	}
	if err != nil {
		return ecs.Exit{Code: -1, Err: fmt.Errorf("how it ended is not known: %w", err)}
	}
	state := inspected.Container.State
	return ecs.Exit{Code: state.ExitCode, OOMKilled: state.OOMKilled}
}

func (c *running) remove() {
	ctx, cancel := brief()
	defer cancel()
	// If it fails, the next Sweep does it.
	c.engine.ContainerRemove(ctx, c.id, client.ContainerRemoveOptions{Force: true, RemoveVolumes: true})
}

func (c *running) ID() string { return c.id }
func (c *running) Address(containerPort int) string {
	return cmp.Or(c.addresses[model.TCP(containerPort)[0]], c.addresses[model.Port{Container: containerPort, Protocol: "udp"}])
}
func (c *running) Done() <-chan struct{} { return c.done }
func (c *running) Exit() ecs.Exit        { return c.exit }

func (c *running) Terminate() error { return c.kill(c.stopSignal) }

func (c *running) Signal(signal syscall.Signal) error { return c.kill(fmt.Sprint(int(signal))) }

func (c *running) kill(signal string) error {
	ctx, cancel := brief()
	defer cancel()
	_, err := c.engine.ContainerKill(ctx, c.id, client.ContainerKillOptions{Signal: signal})
	return err
}

// ProcessorTime is that of the container's control group.
func (c *running) ProcessorTime(ctx context.Context) (time.Duration, error) {
	result, err := c.engine.ContainerStats(ctx, c.id, client.ContainerStatsOptions{})
	if err != nil {
		return 0, err
	}
	defer result.Body.Close()
	var stats container.StatsResponse
	if err := json.NewDecoder(result.Body).Decode(&stats); err != nil {
		return 0, fmt.Errorf("the engine's statistics cannot be read: %w", err)
	}
	return time.Duration(stats.CPUStats.CPUUsage.TotalUsage), nil
}

// Exec runs a command in the container. The engine has no call that ends a command. When the
// context ends, Exec returns, and the command may run as long as the container. A health check
// that hangs makes the container unhealthy, so it is replaced.
func (c *running) Exec(ctx context.Context, command []string) (int, string, error) {
	created, err := c.engine.ExecCreate(ctx, c.id, client.ExecCreateOptions{Cmd: command, AttachStdout: true, AttachStderr: true})
	if err != nil {
		return 0, "", err
	}
	attached, err := c.engine.ExecAttach(ctx, created.ID, client.ExecAttachOptions{})
	if err != nil {
		return 0, "", err
	}
	defer attached.Close()
	defer context.AfterFunc(ctx, attached.Close)()
	var output bytes.Buffer
	_, err = stdcopy.StdCopy(&output, &output, attached.Reader)
	if ctx.Err() != nil {
		return 0, "", context.Cause(ctx)
	}
	if err != nil && !errors.Is(err, io.EOF) {
		return 0, "", err
	}
	inspected, err := c.engine.ExecInspect(ctx, created.ID, client.ExecInspectOptions{})
	if err != nil {
		return 0, "", err
	}
	return inspected.ExitCode, output.String(), nil
}

// removeVolumes removes the volumes of this deployment with a label.
func (d *Driver) removeVolumes(ctx context.Context, label string) error {
	list, err := d.engine.VolumeList(ctx, client.VolumeListOptions{Filters: client.Filters{}.Add("label", deploymentLabel+"="+d.deployment, label)})
	errs := []error{err}
	for _, v := range list.Items {
		_, err := d.engine.VolumeRemove(ctx, v.Name, client.VolumeRemoveOptions{Force: true})
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// Sweep removes the containers and the tasks' volumes of this deployment's earlier drivers, and
// returns the containers' names. Call Sweep before the first Start.
func (d *Driver) Sweep(ctx context.Context) (removed []string, err error) {
	list, err := d.engine.ContainerList(ctx, client.ContainerListOptions{
		All: true, Filters: client.Filters{}.Add("label", deploymentLabel+"="+d.deployment),
	})
	if err != nil {
		return nil, err
	}
	var errs []error
	for _, c := range list.Items {
		if _, err := d.engine.ContainerRemove(ctx, c.ID, client.ContainerRemoveOptions{Force: true, RemoveVolumes: true}); err != nil {
			errs = append(errs, err)
			continue
		}
		removed = append(removed, strings.TrimPrefix(strings.Join(c.Names, " "), "/"))
	}
	errs = append(errs, d.removeVolumes(ctx, taskLabel))
	slices.Sort(removed)
	return removed, errors.Join(errs...)
}

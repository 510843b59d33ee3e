package docker

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/moby/moby/api/pkg/stdcopy"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/mount"
	"github.com/moby/moby/api/types/network"
	"github.com/moby/moby/client"
	"golang.org/x/sync/errgroup"

	"cutover/internal/local/ecs"
	"cutover/internal/model"
)

// A container finds other services by the names that it has on AWS, at the ports that they have there. For
// each name the driver runs a stand-in: a container on the bridge whose sockets are this program's
// ([OpenSockets]). A connection goes on to the name's address on this machine. The address of the other
// side tells whose it is, because a name may lead each task elsewhere.
//
// Names of Service Connect are in /etc/hosts, as on AWS. Those of AWS Cloud Map are in DNS: a stand-in of
// its own answers queries.

// standIn is a container whose sockets are this program's. The lock is held while it is made.
type standIn struct {
	host    string   // empty for DNS
	ports   []string // as in "3000/tcp"
	mu      sync.Mutex
	id      string // of the container; empty before it is there
	address netip.Addr
	sockets []io.Closer
	tasks   map[string]bool // that use it; the lock of the driver's names guards them
}

// names are the stand-ins of a driver, and the containers that may use them.
type names struct {
	mu       sync.Mutex
	standIns map[string]*standIn
	callers  map[netip.Addr]*caller
	changed  chan struct{} // closed when a caller comes
}

func newNames() *names {
	return &names{standIns: map[string]*standIn{}, callers: map[netip.Addr]*caller{}, changed: make(chan struct{})}
}

// caller is a container, or the network of a task, with the names that it may use.
type caller struct {
	names   []ecs.Name
	hosts   map[string]netip.Addr // of the stand-ins
	dns     netip.Addr            // not valid if no name is in DNS
	servers []netip.AddrPort      // of DNS, for other names; none for those of this machine
}

// recordsPort is the port of names whose port clients find by SRV records: the first one of those that an
// instance gives to containers.
const recordsPort = 32768

func listens(n ecs.Name) int {
	if n.Port == 0 {
		return recordsPort
	}
	return n.Port
}

// balancerHost is the name by which containers reach the load balancers of this machine, and its stores.
const balancerHost = "load-balancer.internal"

// balancerAddress matches the DNS name of a load balancer, which is localhost here, and its port.
var balancerAddress = regexp.MustCompile(`\b(?:localhost|127\.0\.0\.1):(\d+)`)

// balancers are the load balancers that the containers of a task have in their variables.
func balancers(whole *model.TaskDefinition) (all []ecs.Name) {
	for _, c := range whole.Containers {
		with := ecs.ToThisMachine(c)
		for _, v := range ecs.Variables(c) {
			if !slices.Contains(with, v.Name) {
				continue
			}
			for _, match := range balancerAddress.FindAllStringSubmatch(v.Value, -1) {
				port, _ := strconv.Atoi(match[1])
				n := ecs.Name{Host: balancerHost, Port: port, Address: "127.0.0.1:" + match[1], ServiceConnect: true}
				if !slices.Contains(all, n) {
					all = append(all, n)
				}
			}
		}
	}
	return all
}

// caller finds out what a container may call, and makes the stand-ins that are not there yet. It is nil if
// there is nothing to call, or if the engine runs no stand-ins: then a warning says why.
func (d *Driver) caller(ctx context.Context, r ecs.StartRequest) (*caller, error) {
	from := &caller{names: slices.Concat(r.Names, balancers(r.TaskDefinition)), hosts: map[string]netip.Addr{}}
	for _, server := range r.Definition.DNSServers {
		from.servers = append(from.servers, netip.AddrPortFrom(server, 53))
	}
	if len(from.names) == 0 {
		return nil, nil
	}
	ports := map[string][]string{}
	for _, n := range from.names {
		ports[n.Host] = append(ports[n.Host], fmt.Sprintf("%d/tcp", listens(n)))
		if !n.ServiceConnect {
			ports[""] = []string{"53/tcp", "53/udp"}
		}
	}
	var mu sync.Mutex
	var all errgroup.Group
	for host, ports := range ports {
		all.Go(func() error {
			address, err := d.standIn(ctx, r.Task, host, ports)
			mu.Lock()
			defer mu.Unlock()
			if host == "" {
				from.dns = address
			} else {
				from.hosts[host] = address
			}
			return err
		})
	}
	err := all.Wait()
	if err == nil || ctx.Err() != nil {
		return from, err
	}
	delete(ports, "")
	r.Warn(fmt.Sprintf("cannot call %s by name. The Docker engine must be on the machine of cutover: %v", strings.Join(slices.Sorted(maps.Keys(ports)), ", "), err))
	return nil, nil
}

// equip gives a container what it needs to resolve the names.
func (c *caller) equip(of model.Container) model.Container {
	if c == nil {
		return of
	}
	for _, host := range slices.Sorted(maps.Keys(c.hosts)) {
		if slices.ContainsFunc(c.names, func(n ecs.Name) bool { return n.Host == host && n.ServiceConnect }) {
			of.ExtraHosts = append(slices.Clip(of.ExtraHosts), host+":"+c.hosts[host].String())
		}
	}
	if c.dns.IsValid() {
		of.DNSServers = []netip.Addr{c.dns}
	}
	of.Environment = slices.Clone(of.Environment)
	with := ecs.ToThisMachine(of)
	for i, v := range of.Environment {
		if slices.Contains(with, v.Name) {
			of.Environment[i].Value = balancerAddress.ReplaceAllString(v.Value, balancerHost+":$1")
		}
	}
	return of
}

// standIn returns the address of a stand-in on the bridge. The task has it until [Driver.Clean].
func (d *Driver) standIn(ctx context.Context, task, host string, ports []string) (netip.Addr, error) {
	slices.Sort(ports)
	ports = slices.Compact(ports)
	key := host + " " + strings.Join(ports, " ")
	d.names.mu.Lock()
	s := d.names.standIns[key]
	if s == nil {
		s = &standIn{host: host, ports: ports, tasks: map[string]bool{}}
		d.names.standIns[key] = s
	}
	s.tasks[task] = true
	d.names.mu.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.id != "" {
		return s.address, nil
	}
	return s.address, d.makeStandIn(ctx, s)
}

func (d *Driver) makeStandIn(ctx context.Context, s *standIn) (err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	image, err := d.pauseImage(ctx)
	if err != nil {
		return err
	}
	mounts, err := ownProgram()
	if err != nil {
		return err
	}
	directory, err := os.MkdirTemp(d.directory, "names-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(directory)
	place, err := meet(directory)
	if err != nil {
		return err
	}
	defer place.close()
	created, err := d.engine.ContainerCreate(ctx, client.ContainerCreateOptions{
		Config: &container.Config{Image: image, Entrypoint: append([]string{programPath, SocketsCommand}, s.ports...), Labels: map[string]string{deploymentLabel: d.deployment}},
		HostConfig: &container.HostConfig{
			NetworkMode: network.NetworkBridge, ReadonlyRootfs: true, LogConfig: container.LogConfig{Type: "json-file"},
			SecurityOpt: []string{"label=disable"}, // SELinux would keep the container from the socket
			Mounts:      append(slices.Clone(mounts), mount.Mount{Type: mount.TypeBind, Source: directory, Target: meetingPath}),
		},
		Name: d.name(rand.Text()[:8], cmp.Or(s.host, "dns")),
	})
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			d.removeContainer(created.ID)
		}
	}()
	ended := d.engine.ContainerWait(ctx, created.ID, client.ContainerWaitOptions{Condition: container.WaitConditionNextExit})
	go func() {
		select {
		case <-ended.Result:
			cancel(errors.New("its container has ended"))
		case <-ended.Error:
		case <-time.After(30 * time.Second):
			cancel(errors.New("its container did not open its ports in 30 s"))
		}
	}()
	if _, err := d.engine.ContainerStart(ctx, created.ID, client.ContainerStartOptions{}); err != nil {
		return err
	}
	files, err := place.take(ctx)
	if err != nil {
		return fmt.Errorf("%w: %s", err, d.logs(created.ID))
	}
	inspected, err := d.engine.ContainerInspect(ctx, created.ID, client.ContainerInspectOptions{})
	if err != nil {
		return err
	}
	s.address = bridgeAddress(inspected.Container)
	for i, file := range files {
		if err := d.serve(s, s.ports[i], file); err != nil {
			return err
		}
	}
	s.id = created.ID
	return nil
}

// bridgeAddress is the address of a container on the bridge.
func bridgeAddress(of container.InspectResponse) netip.Addr {
	if bridge := of.NetworkSettings.Networks[network.NetworkBridge]; bridge != nil {
		return bridge.IPAddress
	}
	return netip.Addr{}
}

// logs are what a container has written.
func (d *Driver) logs(id string) string {
	ctx, cancel := brief()
	defer cancel()
	read, err := d.engine.ContainerLogs(ctx, id, client.ContainerLogsOptions{ShowStdout: true, ShowStderr: true})
	if err != nil {
		return err.Error()
	}
	defer read.Close()
	var text bytes.Buffer
	_, _ = stdcopy.StdCopy(&text, &text, read)
	return strings.TrimSpace(text.String())
}

func (d *Driver) removeContainer(id string) error {
	ctx, cancel := brief()
	defer cancel()
	_, err := d.engine.ContainerRemove(ctx, id, client.ContainerRemoveOptions{Force: true, RemoveVolumes: true})
	if cerrdefs.IsNotFound(err) {
		return nil
	}
	return err
}

// releaseNames gives up the stand-ins of a task, and removes those that no other task has.
func (d *Driver) releaseNames(task string) error {
	var unused []*standIn
	d.names.mu.Lock()
	for key, s := range d.names.standIns {
		delete(s.tasks, task)
		if len(s.tasks) == 0 {
			delete(d.names.standIns, key)
			unused = append(unused, s)
		}
	}
	d.names.mu.Unlock()
	var errs []error
	for _, s := range unused {
		s.mu.Lock() // it may just be made
		for _, socket := range s.sockets {
			socket.Close()
		}
		if s.id != "" {
			errs = append(errs, d.removeContainer(s.id))
		}
		s.mu.Unlock()
	}
	return errors.Join(errs...)
}

// register tells whose the connections of an address are, until the returned function is called.
func (n *names) register(address netip.Addr, from *caller) (forget func()) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.callers[address] = from
	close(n.changed)
	n.changed = make(chan struct{})
	return func() {
		n.mu.Lock()
		defer n.mu.Unlock()
		if n.callers[address] == from {
			delete(n.callers, address)
		}
	}
}

// unknown is how long a container may be unknown that has just started.
const unknown = 5 * time.Second

// callerAt is the caller at an address. Nil for the address of another container.
func (n *names) callerAt(address net.Addr) *caller {
	at, err := netip.ParseAddrPort(address.String())
	if err != nil {
		return nil
	}
	limit := time.After(unknown)
	for {
		n.mu.Lock()
		from, changed := n.callers[at.Addr().Unmap()], n.changed
		n.mu.Unlock()
		if from != nil {
			return from
		}
		select {
		case <-changed:
		case <-limit:
			return nil
		}
	}
}

// serve takes what comes at a socket of a stand-in.
func (d *Driver) serve(s *standIn, port string, file *os.File) error {
	defer file.Close() // the socket is another one
	if strings.HasSuffix(port, "/udp") {
		socket, err := net.FilePacketConn(file)
		if err != nil {
			return err
		}
		s.sockets = append(s.sockets, socket)
		go d.names.answerPackets(socket)
		return nil
	}
	listener, err := net.FileListener(file)
	if err != nil {
		return err
	}
	s.sockets = append(s.sockets, listener)
	go func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			if s.host == "" {
				go d.names.answerStream(connection)
			} else {
				go d.names.connect(s.host, connection.(*net.TCPConn))
			}
		}
	}()
	return nil
}

// connect lets a connection to a host go on to the address that the host has for the caller.
func (n *names) connect(host string, connection *net.TCPConn) {
	port := connection.LocalAddr().(*net.TCPAddr).Port
	from := n.callerAt(connection.RemoteAddr())
	address := ""
	if from != nil {
		for _, name := range from.names {
			if name.Host == host && listens(name) == port {
				address = name.Address
			}
		}
	}
	other, err := net.Dial("tcp", address)
	if err != nil {
		reset(connection)
		return
	}
	join(connection, other.(*net.TCPConn))
}

// join hands on what comes at each of two connections to the other, and their ends.
func join(a, b *net.TCPConn) {
	var both sync.WaitGroup
	hand := func(from, to *net.TCPConn) {
		if _, err := io.Copy(to, from); err != nil {
			reset(from)
			reset(to)
			return
		}
		_ = to.CloseWrite()
	}
	both.Go(func() { hand(a, b) })
	both.Go(func() { hand(b, a) })
	both.Wait()
	a.Close()
	b.Close()
}

// reset ends a connection so that the other side sees an error.
func reset(connection *net.TCPConn) {
	_ = connection.SetLinger(0)
	connection.Close()
}

// temporary is a directory for files that exist for a moment. The engine must see the directory.
func temporary(directory string) (string, error) {
	if directory == "" {
		directory = os.TempDir()
	}
	directory, err := filepath.Abs(directory)
	if err != nil {
		return "", err
	}
	return directory, os.MkdirAll(directory, 0o755)
}

package docker

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"cutover/internal/local/ecs"
	"cutover/internal/model"
)

// taskNetwork is the network of a task whose containers reach each other at localhost: that of a container
// which does nothing, as on an instance. The lock is held while it is made.
// https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-networking-awsvpc.html
type taskNetwork struct {
	mu        sync.Mutex
	id        string // of the container; empty before it is there
	addresses map[model.Port]string
	from      *caller // nil if the task calls nothing by name
	forget    func()
}

// network returns the network of a task, and makes it for the first container of the task.
func (d *Driver) network(ctx context.Context, r ecs.StartRequest) (*taskNetwork, error) {
	known, _ := d.networks.LoadOrStore(r.Task, &taskNetwork{})
	n := known.(*taskNetwork)
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.id != "" {
		return n, nil
	}
	image, err := d.pauseImage(ctx)
	if err != nil {
		return nil, fmt.Errorf("the image that holds the network of a task cannot be made: %w", err)
	}
	// What belongs to the network is that of all containers together.
	whole := r
	whole.Definition = model.Container{Name: "network", Image: model.Image{Reference: image}}
	for _, c := range r.TaskDefinition.Containers {
		of := &whole.Definition
		of.Ports = append(of.Ports, c.Ports...)
		of.ExtraHosts, of.DNSServers, of.DNSSearch = append(of.ExtraHosts, c.ExtraHosts...), append(of.DNSServers, c.DNSServers...), append(of.DNSSearch, c.DNSSearch...)
		if of.Hostname == "" {
			of.Hostname = c.Hostname
		}
	}
	if n.from, err = d.caller(ctx, whole); err != nil {
		return nil, err
	}
	whole.Definition = n.from.equip(whole.Definition)
	config, host := d.settings(whole, image)
	created, err := d.engine.ContainerCreate(ctx, client.ContainerCreateOptions{Config: config, HostConfig: host, Name: d.name(r.Task, "network")})
	if err != nil {
		return nil, fmt.Errorf("the network of the task cannot be created: %w", err)
	}
	n.id = created.ID
	if _, err = d.engine.ContainerStart(ctx, n.id, client.ContainerStartOptions{}); err != nil {
		return nil, fmt.Errorf("the network of the task cannot be started: %w", err)
	}
	inspected, err := d.engine.ContainerInspect(context.WithoutCancel(ctx), n.id, client.ContainerInspectOptions{})
	if err != nil {
		return nil, err
	}
	n.addresses = addresses(whole.Definition.Ports, inspected.Container)
	if n.from != nil {
		n.forget = d.names.register(bridgeAddress(inspected.Container), n.from)
	}
	return n, nil
}

// join puts a container into the network of its task. The engine refuses settings of another network.
func (n *taskNetwork) join(config *container.Config, host *container.HostConfig) {
	host.NetworkMode = container.NetworkMode("container:" + n.id)
	config.Hostname, config.ExposedPorts = "", nil
	host.PortBindings, host.ExtraHosts, host.DNS, host.DNSSearch, host.Links = nil, nil, nil, nil, nil
}

// removeNetwork removes the network of a task, if it has one.
func (d *Driver) removeNetwork(task string) error {
	known, ok := d.networks.LoadAndDelete(task)
	if !ok || known.(*taskNetwork).id == "" {
		return nil
	}
	if forget := known.(*taskNetwork).forget; forget != nil {
		forget()
	}
	return d.removeContainer(known.(*taskNetwork).id)
}

// addresses are those of the published ports of a container.
func addresses(ports []model.Port, of container.InspectResponse) map[model.Port]string {
	all := map[model.Port]string{}
	for _, port := range ports {
		for _, binding := range of.NetworkSettings.Ports[published(port)] {
			port.Host = 0
			all[port] = "127.0.0.1:" + binding.HostPort
		}
	}
	return all
}

// pausePath is the program that waits, in its image.
const pausePath = "/pause"

// pauseImage makes the image of the container that holds a network, unless the engine has the image: one
// program that waits. No registry is asked.
func (d *Driver) pauseImage(ctx context.Context) (string, error) {
	d.pausing.Lock()
	defer d.pausing.Unlock()
	const name = "cutover/network:1"
	if _, err := d.engine.ImageInspect(ctx, name); err == nil || !cerrdefs.IsNotFound(err) {
		return name, err
	}
	version, err := d.engine.ServerVersion(ctx, client.ServerVersionOptions{})
	if err != nil {
		return "", err
	}
	program, err := pauseProgram(version.Arch)
	if err != nil {
		return "", err
	}
	var files bytes.Buffer
	archive := tar.NewWriter(&files)
	_ = archive.WriteHeader(&tar.Header{Name: strings.TrimPrefix(pausePath, "/"), Mode: 0o755, Size: int64(len(program))})
	_, _ = archive.Write(program)
	if err := archive.Close(); err != nil {
		return "", err
	}
	result, err := d.engine.ImageImport(ctx, client.ImageImportSource{Source: &files, SourceName: "-"}, name, client.ImageImportOptions{
		Changes: []string{`ENTRYPOINT ["` + pausePath + `"]`}, Platform: ocispec.Platform{OS: "linux", Architecture: version.Arch},
	})
	if err != nil {
		return "", err
	}
	defer result.Close()
	_, err = io.Copy(io.Discard, result)
	return name, err
}

// waits are the instructions of a program that waits for ever, by Go's name of the processor: pause(2) on
// amd64, and ppoll(2) without files on arm64, each in a loop.
var waits = map[string]struct {
	machine uint16
	code    []byte
}{
	"amd64": {62, []byte{0xb8, 34, 0, 0, 0, 0x0f, 0x05, 0xeb, 0xf7}},
	"arm64": {183, words(0xd2800000, 0xd2800001, 0xd2800002, 0xd2800003, 0xd2800004, 0xd2800928, 0xd4000001, 0x17fffff9)},
}

func words(all ...uint32) (code []byte) {
	for _, word := range all {
		code = binary.LittleEndian.AppendUint32(code, word)
	}
	return code
}

// pauseProgram is a program for Linux that waits until it is killed: an ELF file of a header, one segment
// and the instructions.
// https://man7.org/linux/man-pages/man5/elf.5.html
func pauseProgram(architecture string) ([]byte, error) {
	wait, ok := waits[architecture]
	if !ok {
		return nil, fmt.Errorf("network mode awsvpc needs an engine on amd64 or arm64, and this one is on %s", architecture)
	}
	const base, headers = 0x400000, 64 + 56
	size := uint64(headers + len(wait.code))
	var file bytes.Buffer
	for _, field := range []any{
		[]byte("\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00"), uint16(2), wait.machine, uint32(1),
		uint64(base + headers), uint64(64), uint64(0), uint32(0), uint16(64), uint16(56), uint16(1), uint16(0), uint16(0), uint16(0),
		uint32(1), uint32(5), uint64(0), uint64(base), uint64(base), size, size, uint64(0x1000),
	} {
		_ = binary.Write(&file, binary.LittleEndian, field)
	}
	return slices.Concat(file.Bytes(), wait.code), nil
}

package ecs

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"syscall"
	"time"

	"cutover/internal/assembly"
	"cutover/internal/model"
)

// Driver runs containers. Several goroutines call its methods.
type Driver interface {
	// Check says what the driver knows to be in the way of a task's container before the start, and
	// which settings of the container have no effect with the driver.
	Check(d *model.TaskDefinition, c model.Container) ([]PassedOver, error)
	// Start gets or builds the image, and starts a container. If the context ends before,
	// Start leaves nothing behind. The context does not end a started container.
	Start(ctx context.Context, request StartRequest) (Container, error)
	// Clean removes what a task has left besides its containers: volumes of its own. All its
	// containers have ended, or did not start.
	Clean(task string) error
}

// PassedOver is a setting without an effect here, although AWS heeds the setting.
type PassedOver struct {
	// Setting is a property of the container definition, as in "LinuxParameters.Capabilities".
	Setting string
	// Why begins in lower case. It is the same for settings with one reason.
	Why string
}

// StartRequest says which container to start.
type StartRequest struct {
	// Service is the key of the service, Task the id of the task.
	Service, Task string
	Definition    model.Container
	// TaskDefinition has the container, the containers that are linked, and the volumes.
	TaskDefinition *model.TaskDefinition
	// Peers are the containers of the task that were started before, by name.
	Peers map[string]Container
	// Names are the names of services that the task may call. They are the same for all containers of
	// a task, and last as long as the task.
	Names []Name
	// DNS is the address of a DNS server that answers for the private namespaces of the task's network,
	// with the addresses of tasks on this machine. Empty if there are none.
	DNS string
	// Output is called with every line of the container, without the line break. Stream is
	// "stdout" or "stderr".
	Output func(stream, line string)
	// Warn is called with what is wrong with a container that runs nevertheless, as in "listens on
	// all addresses". The container is the subject.
	Warn func(message string)
	// Tell is called with what takes long, as in "builds its image". The container is the subject.
	Tell func(message string)
}

// Name is a name under which a task finds a service, by Service Connect or AWS Cloud Map. No two names of a
// task have the same host and port.
type Name struct {
	// Host is as in "users" or "users.dev.internal", in lower case.
	Host string
	// Port is the port that a client connects to at the host. It is 0 if clients find the port by SRV
	// records, as for "http+srv://users.dev.internal".
	Port int
	// Address is where connections to the name go on this machine, "127.0.0.1:PORT", for this task only.
	Address string
	// ServiceConnect says that Service Connect has the name: on AWS, the file /etc/hosts of the containers.
	// Otherwise DNS has it.
	ServiceConnect bool
}

// Container is a container that was started.
type Container interface {
	// ID is the process id, or the id in the engine.
	ID() string
	// Address is the "host:port" of a container port. If the port has two protocols, it is that of TCP.
	Address(containerPort int) string
	// Exec runs a command in the container and returns its exit code and its output. The
	// command ends with the context; if the context has ended before, none runs. The error is [ErrNoExec] if the driver cannot run commands
	// in this container.
	Exec(ctx context.Context, command []string) (exitCode int, output string, err error)
	// ProcessorTime is the processor time of all processes so far.
	ProcessorTime(ctx context.Context) (time.Duration, error)
	// Terminate asks the container to stop, by SIGTERM or the image's stop signal.
	Terminate() error
	// Signal sends a signal. SIGKILL ends all processes.
	Signal(signal syscall.Signal) error
	// Done is closed when the container has ended and nothing of it is left.
	Done() <-chan struct{}
	// Exit says how the container ended, once Done is closed.
	Exit() Exit
}

// ImageError says why no driver can run an image; nil if nothing is in the way.
func ImageError(image model.Image) error {
	switch {
	case image.Asset == nil && image.Unknown != "":
		return fmt.Errorf("its image is not known: %s", image.Unknown)
	case image.Asset != nil && image.Asset.Directory == "":
		return fmt.Errorf("its image is made by the command %q, which is not run here", image.Asset.Executable)
	}
	return nil
}

// ErrNoExec says that commands of the image cannot run in a container. The scheduler leaves
// out the container's health check, and an event says so.
var ErrNoExec = errors.New("commands of the image cannot run in this container")

// Exit is how a container ended.
type Exit struct {
	// Code is the exit code. If a signal ended the container, the code is 128 plus the signal's
	// number, as in Docker.
	Code int
	// OOMKilled says that the container was killed for its use of memory.
	OOMKilled bool
	// Err says why the rest is not known.
	Err error
}

func (e Exit) String() string {
	switch {
	case e.Err != nil:
		return e.Err.Error()
	case e.OOMKilled:
		return fmt.Sprintf("exit code %d, killed for using more memory than it may", e.Code)
	}
	return fmt.Sprintf("exit code %d", e.Code)
}

// HostPorts are the fixed host ports of a container. No driver gives one. A task with a network of its own
// has the container's port there.
func HostPorts(whole *model.TaskDefinition, c model.Container) (all []PassedOver) {
	for i, port := range c.Ports {
		if port.Host != 0 && (whole == nil || whole.NetworkMode != "awsvpc") {
			all = append(all, PassedOver{fmt.Sprintf("PortMappings[%d].HostPort", i), "a free port of this machine is chosen, because the machine stands for all instances"})
		}
	}
	return all
}

// ToThisMachine are the names of a container's variables that have the address of a load balancer, of a
// database, or of something else that runs here. It is localhost here, as seen from this machine.
func ToThisMachine(c model.Container) (variables []string) {
	for _, v := range c.Environment {
		if v.Here || slices.ContainsFunc(v.Parts, func(part any) bool {
			piece, ok := part.(assembly.Piece)
			if ok {
				return piece.Ref().Resource.Type == model.MQBroker
			}
			ref, ok := part.(assembly.Ref)
			return ok && (model.ToBalancer(ref) || ref.Resource.Type == model.RDSCluster)
		}) {
			variables = append(variables, v.Name)
		}
	}
	for _, s := range c.Secrets {
		if s.Here {
			variables = append(variables, s.Name)
		}
	}
	return variables
}

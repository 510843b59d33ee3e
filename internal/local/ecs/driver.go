package ecs

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"time"
)

// Driver runs containers. Its methods may be called by several goroutines.
type Driver interface {
	// Check says why the driver cannot run a container, as far as that can be
	// told without starting it. Nil if nothing is in the way.
	Check(c ContainerDefinition) error
	// Start makes the image available, building it if need be, and starts a
	// container of it. Cancelling the context abandons the start and leaves
	// nothing behind; it does not end a container that was started.
	Start(ctx context.Context, request StartRequest) (Container, error)
}

// StartRequest says which container to start.
type StartRequest struct {
	// Service is the key of the service, Task the id of the task.
	Service, Task string
	Definition    ContainerDefinition
	// Output is called with every line that the container writes. Stream is
	// "stdout" or "stderr"; the line has no line break.
	Output func(stream, line string)
}

// Container is a container that was started.
type Container interface {
	// ID is how the host knows it: a process id, or an id of the engine's.
	ID() string
	// Address is the host and port at which a container port is reached.
	Address(containerPort int) string
	// Exec runs a command in the container and returns its exit code and the
	// beginning of what it wrote. When the context ends, so does the command.
	// [ErrNoExec] if the driver cannot run commands in this container.
	Exec(ctx context.Context, command []string) (exitCode int, output string, err error)
	// ProcessorTime is how long all its processes together have used a processor
	// so far. An error if that cannot be told.
	ProcessorTime(ctx context.Context) (time.Duration, error)
	// Terminate asks the container to stop: SIGTERM, or the stop signal of its
	// image.
	Terminate() error
	// Signal sends a signal to the container. SIGKILL ends all its processes.
	Signal(signal syscall.Signal) error
	// Done is closed when the container has ended and nothing of it is left.
	Done() <-chan struct{}
	// Exit says how it ended, once Done is closed.
	Exit() Exit
}

// ErrNoExec is returned by Exec for a container in which commands of its image
// cannot run. Its health check is then left out, and an event says so.
var ErrNoExec = errors.New("commands of the image cannot run in this container")

// Exit is how a container ended.
type Exit struct {
	// Code is the exit code; 128 and the number of the signal that ended it, as
	// Docker has it.
	Code int
	// OOMKilled says that it was killed for using more memory than it may.
	OOMKilled bool
	// Err says why the rest is not known. Nil if it is.
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

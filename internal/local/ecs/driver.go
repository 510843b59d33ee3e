package ecs

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"time"

	"cutover/internal/model"
)

// Driver runs containers. Its methods may be called by several goroutines.
type Driver interface {
	// Check says why the driver cannot run a container, as far as the driver knows
	// without starting the container. Nil if nothing is in the way.
	Check(c model.Container) error
	// Start gets or builds the image, and starts a container. If the context is
	// cancelled before, Start leaves nothing behind. A container that was started is not
	// ended by the context.
	Start(ctx context.Context, request StartRequest) (Container, error)
}

// StartRequest says which container to start.
type StartRequest struct {
	// Service is the key of the service, Task the id of the task.
	Service, Task string
	Definition    model.Container
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
	// Exec runs a command in the container and returns its exit code and its output. The command ends with the context. The error is [ErrNoExec] if the
	// driver cannot run commands in this container.
	Exec(ctx context.Context, command []string) (exitCode int, output string, err error)
	// ProcessorTime is the processor time of all its processes so far. An error if the
	// driver cannot know.
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

// ErrNoExec says that commands of the image cannot run in a container. The health check
// of the container is left out then, and an event says so.
var ErrNoExec = errors.New("commands of the image cannot run in this container")

// Exit is how a container ended.
type Exit struct {
	// Code is the exit code. If a signal ended the container, the code is 128 and the
	// signal's number, as in Docker.
	Code int
	// OOMKilled says that the container used more memory than allowed and was killed.
	OOMKilled bool
	// Err says why the rest is not known. Nil if the rest is known.
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

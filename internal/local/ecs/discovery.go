package ecs

import "cutover/internal/model"

// Discovery lets tasks find each other by name. Several goroutines call its methods. All but Open and Close may be
// called while the scheduler is locked: they return at once, and call no method of the scheduler.
type Discovery interface {
	// Known says which names of Service Connect exist for a service now. The tasks of a deployment that begins now
	// find these, and no later ones.
	Known(service *model.Service) []string
	// Open returns the names that a task may call, and the address of its DNS server, which may be empty. They
	// answer until Close.
	Open(caller Caller) (names []Name, dns string, err error)
	// Close ends the names of a task, and its connections. Of an unknown task, it does nothing.
	Close(task string)
	// Register adds a task that runs to the names of its service. Address is where a container's port is, as
	// "host:port".
	Register(task string, service *model.Service, healthy bool, address func(container string, port int) string)
	// Health says whether the health checks of a task's containers pass.
	Health(task string, healthy bool)
	// Deregister takes a task out of all names. Of an unknown task, it does nothing.
	Deregister(task string)
}

// Caller is a task that may call others.
type Caller struct {
	Task string
	// Name is that of the service, for events. Service has no resource if the task belongs to none.
	Name    string
	Service *model.Service
	// Known is what Discovery.Known said when the deployment of the task began.
	Known []string
}

// nowhere is the discovery of a scheduler without one.
type nowhere struct{}

func (nowhere) Known(*model.Service) []string                                   { return nil }
func (nowhere) Open(Caller) ([]Name, string, error)                             { return nil, "", nil }
func (nowhere) Close(string)                                                    {}
func (nowhere) Register(string, *model.Service, bool, func(string, int) string) {}
func (nowhere) Health(string, bool)                                             {}
func (nowhere) Deregister(string)                                               {}

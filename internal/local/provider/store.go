package provider

import (
	"context"
	"time"
)

// StoreStatus is a table or a database that tasks keep data in.
type StoreStatus struct {
	Name string `json:"name"`
	// Program stands for it, as in "PostgreSQL 17.10", and Source says where the program is from.
	Program string `json:"program"`
	Source  string `json:"source"`
	// Endpoint is where tasks reach it.
	Endpoint string `json:"endpoint"`
	// Data is the directory of its data. Empty for a database that the user names.
	Data string `json:"data,omitempty"`
	// Requests counts those of tasks so far, and Connections those that are open; 0 where there are none.
	Requests    int `json:"requests,omitempty"`
	Connections int `json:"connections,omitempty"`
	// Faults are the harm that is done to it now.
	Faults []string `json:"faults,omitempty"`
}

// FaultKind is a kind of harm that is done to a service or to its stores.
type FaultKind struct {
	Name string
	// Does says what is done.
	Does string
	// Lossless says that the fault may cost no request, not even to the service itself.
	Lossless bool
	// Once says that the fault is done in a moment. Others last until they are cleared.
	Once bool
}

// StoreFaults are the kinds of harm that providers of stores do.
var StoreFaults = []FaultKind{
	{Name: "store-kill", Once: true, Does: "the program behind the stores is killed, and starts again"},
	{Name: "store-slow", Does: "every request to the store takes 200 ms more"},
	{Name: "throttle", Does: "the store takes no requests, as when its capacity is used up"},
	{Name: "partition", Does: "the store answers nothing, as when packets are dropped"},
	{Name: "commit-error", Does: "half of the writes are done, and answered with an error or not at all"},
}

// MessageStatus is a topic, a queue or a message broker that runs here.
type MessageStatus struct {
	// Name of a broker's queue is "broker/queue".
	Name string `json:"name"`
	// Kind is topic, queue or broker.
	Kind string `json:"kind"`
	// Program stands for it, as in "fauxqs", and Source says where the program is from.
	Program string `json:"program"`
	Source  string `json:"source"`
	// Endpoint is where tasks reach it.
	Endpoint string `json:"endpoint"`
	// Data is the directory of its data. Empty for an endpoint that the user names.
	Data string `json:"data,omitempty"`
	// Requests counts those of tasks so far. A broker has open Connections instead.
	Requests    int `json:"requests,omitempty"`
	Connections int `json:"connections,omitempty"`
	// Faults are the harm that is done to it now.
	Faults []string `json:"faults,omitempty"`
	// Depth is nil for a topic and a broker, and if the program does not tell.
	Depth *Depth `json:"depth,omitempty"`
}

// Depth is what is in a queue: messages that can be received, that were received and are not deleted, and that cannot be received yet.
type Depth struct {
	Waiting  int `json:"waiting"`
	InFlight int `json:"inFlight"`
	Delayed  int `json:"delayed"`
	// Oldest is the age of the oldest message; 0 without messages.
	Oldest time.Duration `json:"oldestNanoseconds"`
}

// EventFaults are the kinds of harm that the provider of topics and queues does. They meet the topics and queues that a
// service may use.
var EventFaults = []FaultKind{
	{Name: "messages-twice", Lossless: true, Does: "each message of the queues comes twice: the first time that it is deleted, it comes again"},
	{Name: "messages-late", Lossless: true, Does: "messages of the queues come 2 s late, in order from a FIFO queue, and out of order from a standard one"},
	{Name: "queue-full", Does: "the queues take and give no messages, as when too many are in flight"},
	{Name: "topic-away", Does: "the topics answer nothing, as when packets are dropped"},
	{Name: "queue-kill", Once: true, Does: "the program behind topics and queues is killed, and starts again"},
}

// BrokerFaults are the kinds of harm that the provider of message brokers does. They meet the brokers that a service uses.
var BrokerFaults = []FaultKind{
	{Name: "broker-kill", Once: true, Does: "the program behind the message broker is killed, and starts again"},
}

// Faulter is a provider whose stores, topics, queues or brokers can be harmed.
type Faulter interface {
	// Faults are the kinds of harm that the provider does.
	Faults() []FaultKind
	// Fault does harm of one of these kinds to what a service uses, until the returned function is called. It is nil if the
	// provider has nothing that the service uses.
	Fault(ctx context.Context, kind, service string) (clear func(context.Context) error, err error)
}

package ecs

import "time"

// EventKind says what an event is about.
type EventKind string

const (
	// ServiceEvent is a message about a service as a whole, worded as those that
	// ECS shows for a service.
	ServiceEvent EventKind = "service"
	// DeploymentEvent is a change of a deployment's rollout state.
	DeploymentEvent EventKind = "deployment"
	// TaskEvent is a change of a task's last status.
	TaskEvent EventKind = "task"
	// HealthEvent is a change of a task's health, or of that of one of its
	// targets.
	HealthEvent EventKind = "health"
	// ScalingEvent is a change of a service's desired count by autoscaling.
	ScalingEvent EventKind = "scaling"
	// ContainerEvent is the end of a container, or what is wrong with it.
	ContainerEvent EventKind = "container"
)

// Event is something that happened to a service.
type Event struct {
	Time time.Time `json:"time"`
	Kind EventKind `json:"kind"`
	// Service is the key of the service and ServiceName its name.
	Service     string `json:"service"`
	ServiceName string `json:"serviceName"`
	// Deployment and Task are ids, empty where the event is about none.
	Deployment string `json:"deployment,omitempty"`
	Task       string `json:"task,omitempty"`
	// State is the new state of what the event is about: a rollout state, a
	// task's status, a health, a desired count. Empty if there is none.
	State   string `json:"state,omitempty"`
	Message string `json:"message"`
}

// LogLine is a line that a container wrote.
type LogLine struct {
	Time time.Time `json:"time"`
	// Service is the key of the service and ServiceName its name.
	Service     string `json:"service"`
	ServiceName string `json:"serviceName"`
	Task        string `json:"task"`
	Container   string `json:"container"`
	// Stream is "stdout" or "stderr".
	Stream string `json:"stream"`
	Text   string `json:"text"`
}

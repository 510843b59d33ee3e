// Package services is the parent of the programs in the containers.
//
// A service is a directory with a main package of a few lines: the service's name and its modules.
// The package routes beside it is the module: its data and its part of the API, in one file. To add
// a service, add such a directory and an entry in the deployment's list of services. The common
// part of all services is in internal/server.
//
// The services know nothing of the deployment. They use the standard library, and OpenTelemetry's
// SDK for telemetry (internal/otlp). Telemetry is off unless the environment names a collector.
package services

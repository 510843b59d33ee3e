// Package services is the parent of the programs that run in the containers.
//
// A service is a directory with a main package of a few lines, which names the
// service and its modules, and a package routes with the module itself: its
// data access and its part of the API, in one file. To add a service, add such
// a directory and an entry in the list of services that the deployment has.
// What services have in common is in internal/server.
//
// The services know nothing of the deployment. They use the standard library, and
// for telemetry OpenTelemetry's SDK, which is off unless the environment names a
// collector: see internal/otlp.
package services

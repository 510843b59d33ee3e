// Package discovery lets tasks on this machine find each other by name: by Service Connect, and by the names of
// AWS Cloud Map in private DNS namespaces.
//
// The ECS provider registers tasks with the [Provider], and gets the names that a task may call. Each name has an
// address of its own for each task, since a task has a proxy and a resolver of its own on AWS, too:
//   - A name of Service Connect leads to a proxy. It spreads requests over the tasks that run, repeats some of
//     them, and ejects a task that fails again and again. Names without a protocol lead to a proxy of connections.
//   - A name of Cloud Map leads to one of the tasks that a resolver would know: those that were healthy
//     when its record was last asked for.
//
// Connections that a security group refuses get nowhere, and an event says so. A DNS server answers for the private
// namespaces, for those that look.
package discovery

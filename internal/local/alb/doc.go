// Package alb is an Application Load Balancer on the sockets of one machine. It treats requests as
// the templates say, and as AWS would. Beside that, the same target groups and health checks serve the
// listeners of a Network Load Balancer, which forward connections: see flows.go.
//
//	table, err := alb.Read(model.Read(assembly))
//	balancer, err := alb.New(alb.Options{AccessLog: os.Stdout})
//	err = balancer.Configure(table)
//	go balancer.Serve("dev-Routing/Http", listener)
//	err = balancer.Register("dev-Routing/Users", "task-1", "127.0.0.1:32768")
//	...
//	<-balancer.Deregister("dev-Routing/Users", "task-1")
//
// Lambda functions are targets that the table names. An [Invoker] runs them.
//
// A [Balancer] is the data plane. Package rules decides which rule a request meets; the balancer
// carries the rule out. A [Provider] configures a balancer for the local target, stack by stack.
//
// The balancer follows the documentation at
// https://docs.aws.amazon.com/elasticloadbalancing/latest/application/. If the documentation leaves
// something open, a comment says what was chosen. Two choices are worth knowing:
//
// The balancer never sends a request twice, whatever its method. AWS documents no retries. If a
// target closes a connection while a request is under way, the client gets a 502, as on AWS
// (https://docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-troubleshooting.html#http-502-issues).
// A retry would hide the loss from a rehearsal. The balancer looks before it sends: it does not use
// a connection that the target has closed by then.
//
// Targets see the ports of the templates. A listener on port 80 says 80 in X-Forwarded-Port and in
// access lines, even if its local port is 8080. Only the Location of a redirect to a listener that
// is served here has the local port: the client has to follow the redirect.
package alb

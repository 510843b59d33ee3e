// Package alb is the data plane of an Application Load Balancer on the
// sockets of one machine: what AWS would do with a request that meets these
// templates, done here.
//
//	config, err := loadbalancer.Read(assembly)
//	balancer := loadbalancer.New(loadbalancer.Options{AccessLog: os.Stdout})
//	err = balancer.Configure(config)
//	go balancer.Serve("dev-Routing/Http", listener)
//	err = balancer.Register("dev-Routing/Users", loadbalancer.Target{ID: "task-1", Address: "127.0.0.1:32768"})
//	...
//	<-balancer.Deregister("dev-Routing/Users", "task-1")
//
// Which rule a request meets is decided by package routing; this one carries it
// out. It follows the documentation at
// https://docs.aws.amazon.com/elasticloadbalancing/latest/application/, and
// where that leaves something open, the comment at the place says what was
// chosen. Two choices are worth knowing:
//
// A request that was sent to a target is never sent again, whatever its method,
// since AWS documents no retries: a target that closes a connection while a
// request is under way costs a 502 here as it does there
// (https://docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-troubleshooting.html#http-502-issues).
// To hide that would make a rehearsal say that nothing is lost when something
// would be. What a load balancer can see before it sends is looked at: a
// connection that the target has closed by then is not used.
//
// What faces the targets has the ports of the templates: a listener on port 80
// says 80 in X-Forwarded-Port and in access lines although it was given the
// local port 8080. Only the Location of a redirect to a listener that is served
// here has the local port, since the client has to be able to follow it.
package alb

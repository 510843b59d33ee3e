// Package server has the common part of all services: the process and its commands, the
// configuration, the HTTP server with its limits, the access log, and a stop that loses no request.
//
// A service is a name and its modules:
//
//	func main() {
//		server.Main("users", routes.Of(data.Users))
//	}
package server

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"cutover/services/internal/lambda"
)

// The limits of the HTTP server. A request is small and answered from memory, so the limits only
// have to let a slow network through.
const (
	readHeaderTimeout = 5 * time.Second
	readTimeout       = 10 * time.Second
	writeTimeout      = 10 * time.Second
	// Longer than the 60 s after which an Application Load Balancer closes an idle connection.
	// Otherwise the load balancer could send a request into a closing connection, and answer its
	// client 502.
	idleTimeout = 75 * time.Second
	// The original's limit, in bytes.
	maxHeaderBytes = 16 << 10
	// A body of at most this many bytes is read where no route needs one, so that the connection can be
	// used again.
	maxBodyBytes = 64 << 10
	// Bytes of the bodies that all requests together may have while they are answered. A handler takes
	// about three times as much.
	maxBodies = 16 << 20
	// Bytes of the large answers from stores that clients may be reading at the same time, and from which
	// size on an answer is large.
	maxAnswers  = 64 << 20
	largeAnswer = 64 << 10
	// From this size of the heap in bytes on, the garbage collector works harder. GOMEMLIMIT in the
	// environment takes precedence. See maxConnections for the content of the heap.
	memoryLimit = 128 << 20

	// The time that a client gets to see the answer, if it sends too much or too slowly.
	lingerTimeout = 500 * time.Millisecond

	healthcheckTimeout = 2 * time.Second
	// The time that a stopping service waits for one more request in each idle connection. It
	// answers with "Connection: close".
	maxDrain = 5 * time.Second
)

// Exit codes of a service. 2 is the code of the flag package and of shells for a misused command.
const (
	exitOK      = 0
	exitFailure = 1
	exitUsage   = 2
)

// Main runs the service with the arguments and the environment of the process, and exits. SIGTERM
// and SIGINT stop it gracefully; a second signal kills it.
func Main(name string, modules ...Module) {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	context.AfterFunc(ctx, stop)
	limitMemory(os.Getenv)
	os.Exit(run(ctx, name, os.Args[1:], os.Getenv, os.Stdout, os.Stderr, modules...))
}

// limitMemory sets the memory limit, unless the environment has one.
func limitMemory(getenv func(string) string) {
	if getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(memoryLimitOf(getenv))
	}
}

// memoryLimitOf is the memory limit in bytes. A function has all of its memory for one request at a time, and is killed
// if it takes more. A quarter is for what the limit does not count, such as the program itself.
func memoryLimitOf(getenv func(string) string) int64 {
	if mib, err := strconv.ParseInt(getenv("AWS_LAMBDA_FUNCTION_MEMORY_SIZE"), 10, 64); err == nil {
		return mib << 20 * 3 / 4
	}
	return memoryLimit
}

// run is Main without the process. It stops when ctx is done, and returns the exit code.
func run(ctx context.Context, name string, args []string, getenv func(string) string, stdout, stderr io.Writer, modules ...Module) int {
	fail := func(code int, err error) int {
		// One line per error, each with the name of the service.
		for line := range strings.Lines(err.Error()) {
			fmt.Fprintf(stderr, "%s: %s\n", name, strings.TrimSuffix(line, "\n"))
		}
		return code
	}

	command := ""
	if len(args) > 0 {
		command = args[0]
	}
	switch whole := strings.Join(args, " "); {
	case whole == "--version":
		fmt.Fprint(stdout, version(name))
		return exitOK
	case whole == "--help" || whole == "-h":
		fmt.Fprintf(stdout, usage, name)
		return exitOK
	case command != "" && command != "healthcheck" && !slices.Contains(commandNames, command), command == "healthcheck" && len(args) > 1:
		return fail(exitUsage, fmt.Errorf("cannot understand %q: must be nothing (to serve), %s, healthcheck, --version or --help", whole, strings.Join(commandNames, ", ")))
	}

	api := ""
	if command == "" {
		api = getenv("AWS_LAMBDA_RUNTIME_API")
	}
	if api != "" {
		own := fail
		fail = func(code int, err error) int { // Lambda keeps what it is told in its log, and starts another
			return own(code, errors.Join(err, lambda.Failed(ctx, api, err)))
		}
		var err error
		if getenv, err = lambda.Secrets(ctx, getenv); err != nil {
			return fail(exitFailure, err)
		}
	}
	c, err := readConfig(getenv)
	if command == "healthcheck" {
		// For Docker, 1 means "unhealthy" and 2 is reserved.
		if err != nil {
			return fail(exitFailure, err)
		}
		if err := healthcheck(ctx, cmp.Or(c.host, "127.0.0.1"), c.port); err != nil {
			return fail(exitFailure, err)
		}
		fmt.Fprintf(stdout, "%s: healthy\n", name)
		return exitOK
	}
	if err != nil {
		return fail(exitUsage, err)
	}

	router, err := newRouter(append([]Module{Environment(getenv)}, modules...)...)
	if err != nil {
		return fail(exitFailure, err)
	}
	commands := router.named(command)
	if command != "" && len(commands) == 0 {
		return fail(exitUsage, fmt.Errorf("there is nothing to %s: %s", command, nothingTo[command]))
	}
	if command != "" && !commands[0].beside {
		if err := errors.Join(runCommands(ctx, commands, args[1:], stdout), router.stop()); err != nil {
			return fail(exitFailure, err)
		}
		return exitOK
	}
	if api != "" {
		return runFunction(ctx, name, api, c, router, stdout, fail)
	}
	listener, err := net.Listen("tcp", net.JoinHostPort(c.host, strconv.Itoa(c.port)))
	if err != nil {
		return fail(exitFailure, fmt.Errorf("cannot listen on port %d, choose another with PORT: %w", c.port, err))
	}
	lines := newStream(stdout)
	defer lines.close()
	log := newLogger(lines, c.logLevel, name)
	telemetry, err := newTelemetry(name, c.traces, c.metrics, log.Logger)
	if err != nil {
		return fail(exitFailure, err)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stopped := router.work(ctx, cancel, commands, log)
	if len(commands) > 0 {
		router = workerRouter(router) // a worker answers nobody but the health check
	}
	if err := errors.Join(serve(ctx, listener, router, log, telemetry, c.stopTimeout), stopped()); err != nil {
		log.Error("failed", "error", err.Error())
		return exitFailure
	}
	return exitOK
}

// commandNames are the commands that modules may have.
var commandNames = []string{"seed", "relay", "consume", "work", "republish", "rebuild", "show", "replay", "history", "forget"}

// nothingTo says why a command has nothing to do.
var nothingTo = map[string]string{
	"seed":      "the records are those of the program's file, and not in a store",
	"relay":     "no module publishes from a database of PostgreSQL: set its variable PUBLISHES, and TOPIC_ARN",
	"consume":   "no module consumes events: set the variable QUEUE of one that does",
	"work":      "no module has a queue of work: set its variable WORK_QUEUE",
	"republish": "no module publishes: set its variable PUBLISHES",
	"rebuild":   "no module is made of events",
	"show":      "no module is made of events",
	"replay":    "no module has a history: set its variable HISTORY",
	"history":   "no module has a history: set its variable HISTORY",
	"forget":    "no module has a history: set its variable HISTORY",
}

// runCommands does a command of all modules that have it.
func runCommands(ctx context.Context, commands []command, args []string, stdout io.Writer) error {
	for _, c := range commands {
		if err := c.run(ctx, args, stdout); err != nil {
			return err
		}
	}
	return nil
}

// work starts commands that run beside the server. What it returns waits for their end, and closes what the modules have open.
func (rt *Router) work(ctx context.Context, cancel func(), commands []command, log *logger) (wait func() error) {
	if len(commands) == 0 {
		return func() error { return nil }
	}
	errs := make(chan error, len(commands))
	ctx = context.WithValue(ctx, logKey{}, log.Logger)
	for _, c := range commands {
		go func() {
			err := c.run(ctx, nil, io.Discard)
			if err != nil {
				cancel() // a program that does nothing is started anew
			}
			errs <- err
		}()
	}
	return func() error {
		var all error
		for range commands {
			all = errors.Join(all, <-errs)
		}
		return errors.Join(all, rt.stop())
	}
}

type logKey struct{}

func loggerOf(ctx context.Context) *slog.Logger {
	log, _ := ctx.Value(logKey{}).(*slog.Logger)
	return cmp.Or(log, slog.Default())
}

// workerRouter is the router of a program that does a command: it has the routes of every service alone, and closes nothing.
func workerRouter(of *Router) *Router {
	rt, _ := newRouter() // which has no modules, and so no errors
	rt.answeredBy = of.answeredBy
	return rt
}

// runFunction answers the requests that Lambda has, one at a time, until ctx is done.
func runFunction(ctx context.Context, name, api string, c config, router *Router, stdout io.Writer, fail func(int, error) int) int {
	log := newLogger(stdout, c.logLevel, name)
	telemetry, err := newTelemetry(name, c.traces, c.metrics, log.Logger)
	if err != nil {
		return fail(exitFailure, err)
	}
	function := lambda.Service{
		API: api, Log: log.Logger,
		Handler: &application{router: router, log: log, telemetry: telemetry, fits: lambda.Fits},
		Records: router.records,
	}
	if telemetry != nil {
		function.Flush = telemetry.flush
	}
	err = function.Serve(ctx)
	if telemetry != nil {
		telemetry.stop(time.Now().Add(flushTimeout))
	}
	if err = errors.Join(err, router.stop()); err != nil {
		log.Error("failed", "error", err.Error())
		return exitFailure
	}
	return exitOK
}

// answerTooLarge is the answer of a function in place of one that the load balancer would turn into 502.
var answerTooLarge = func() *Response {
	p := Problem(http.StatusInternalServerError, "The answer is larger than the 1 MB that a load balancer takes from a function. Ask for less, as with ?limit=50.")
	p.cause = errors.New("the answer is larger than the load balancer takes from a function")
	return p
}()

// Seed writes the first records of modules, as the command seed does. It is for a test with modules of its own.
func Seed(ctx context.Context, stdout io.Writer, modules ...Module) error {
	return Run(ctx, stdout, "seed", modules...)
}

// Records gives modules records of a queue or a stream, as Lambda does, and returns which of them failed. It is for a test with modules of
// its own.
func Records(ctx context.Context, event []byte, modules ...Module) (failed []string, err error) {
	router, err := newRouter(modules...)
	if err != nil {
		return nil, err
	}
	answer, err := lambda.Service{Records: router.records, Handler: http.NotFoundHandler(), Log: slog.New(slog.DiscardHandler)}.Answer(ctx, event)
	if err != nil {
		return nil, err
	}
	var result struct {
		BatchItemFailures []struct{ ItemIdentifier string }
	}
	err = json.Unmarshal(answer, &result)
	for _, item := range result.BatchItemFailures {
		failed = append(failed, item.ItemIdentifier)
	}
	return failed, err
}

// Run does a command of modules with its arguments, separated by spaces. It is for a test with modules of its own.
func Run(ctx context.Context, stdout io.Writer, line string, modules ...Module) error {
	router, err := newRouter(modules...)
	if err != nil {
		return err
	}
	words := strings.Fields(line)
	return errors.Join(runCommands(ctx, router.named(words[0]), words[1:], stdout), router.stop())
}

// Serve answers the modules' routes on the listener until ctx is done, and logs to stdout. It is
// [Main] for a test with modules of its own.
func Serve(ctx context.Context, listener net.Listener, stdout io.Writer, modules ...Module) error {
	router, err := newRouter(modules...)
	if err != nil {
		return err
	}
	return serve(ctx, listener, router, newLogger(stdout, slog.LevelInfo, "test"), nil, defaultStopTimeout)
}

// serve answers requests until ctx is done, then stops within stopTimeout. The error says that it
// could not serve, or that it cut off requests.
func serve(ctx context.Context, listener net.Listener, router *Router, log *logger, telemetry *telemetry, stopTimeout time.Duration) error {
	app := &application{router: router, log: log, telemetry: telemetry}
	open := &connections{Listener: listener, max: maxConnections, writeTimeout: writeTimeout, log: log.Logger}
	server := &http.Server{
		Handler:                      app,
		DisableGeneralOptionsHandler: true, // "OPTIONS *" is an unknown route like any other
		ReadTimeout:                  readTimeout,
		ReadHeaderTimeout:            readHeaderTimeout,
		IdleTimeout:                  idleTimeout,
		MaxHeaderBytes:               maxHeaderBytes,
		ErrorLog:                     slog.NewLogLogger(log.Handler(), slog.LevelWarn),
		Protocols:                    new(http.Protocols),
		ConnState:                    open.changed,
	}
	server.Protocols.SetHTTP1(true)

	done := make(chan struct{})
	defer close(done)
	go open.watch(done)
	served := make(chan error, 1)
	go func() { served <- server.Serve(open) }()
	log.Info("listening", "address", listener.Addr().String())

	select {
	case err := <-served:
		return fmt.Errorf("cannot accept connections: %w", err)
	case <-ctx.Done():
	}

	// Shutdown alone closes idle connections at once, and loses the requests on their way in them.
	// So the drain comes first: new connections and requests are still served, and every answer asks
	// its client to close the connection. The drain ends when no connection is left, or after its
	// time.
	deadline := time.Now().Add(stopTimeout)
	drained := time.Now().Add(min(maxDrain, stopTimeout/2))
	app.draining.Store(true)
	log.Info("stopping", "connections", open.count())
	for tick := time.Tick(5 * time.Millisecond); open.count() > 0 && time.Now().Before(drained); {
		<-tick
	}

	// Serve returns after its last connection is known to the server, so Shutdown waits for that
	// connection, too.
	listener.Close()
	<-served
	stop, cancel := context.WithDeadline(context.Background(), deadline)
	defer cancel()
	err := server.Shutdown(stop)
	if telemetry != nil {
		telemetry.stop(deadline)
	}
	if err != nil {
		server.Close()
		if n := app.active.Load(); n > 0 {
			return fmt.Errorf("%d requests were cut off: they were not answered within STOP_TIMEOUT=%s", n, stopTimeout)
		}
	}
	if err := router.stop(); err != nil {
		log.Warn("a store could not be closed", "error", err.Error())
	}
	log.Info("stopped")
	return nil
}

// application is the HTTP handler of a service: it surrounds the router with telemetry, limits and
// the log.
type application struct {
	router    *Router
	log       *logger
	telemetry *telemetry // nil when it is off
	// fits says whether a body can be sent; nil if any can.
	fits     func(body []byte) bool
	draining atomic.Bool
	active   atomic.Int64 // requests
	bodies   atomic.Int64 // bytes of the bodies that handlers have or get
	answers  atomic.Int64 // bytes of the large answers from stores that are being sent
}

func (a *application) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	start := time.Now()
	a.active.Add(1)
	defer a.active.Add(-1)
	var seen observation
	if a.telemetry != nil {
		r, seen = a.telemetry.begin(r, start)
	}

	response, err := a.receive(w, r)
	defer a.release(r)
	var failure []slog.Attr
	if response == nil {
		response, failure = a.respond(r)
	}
	if n := int64(len(response.body)); n > largeAnswer && response.header != nil {
		defer a.answers.Add(-n)
		if a.answers.Add(n) > maxAnswers {
			response = Unavailable("Too many clients read large answers.", errAnswers)
		}
	}
	if a.fits != nil && !a.fits(response.body) {
		response = answerTooLarge
	}
	if err != nil {
		// The time to write may be over, too. net/http reads on for a while, so that a client that is
		// still sending finds the answer.
		conn, deadline := http.NewResponseController(w), time.Now().Add(lingerTimeout)
		conn.SetWriteDeadline(deadline)
		conn.SetReadDeadline(deadline)
	}
	if err != nil || a.draining.Load() {
		w.Header()["Connection"] = []string{"close"}
	}
	if a.router.answeredBy != nil {
		w.Header()["X-Answered-By"] = a.router.answeredBy
	}
	sent, writeErr := response.write(w, r.Method, start)

	// Without the query, which may be confidential.
	duration := time.Since(start)
	line := served{start.Add(duration), r.Method, r.URL.EscapedPath(), "", response.status, sent, duration}
	if ids := r.Header["X-Amzn-Trace-Id"]; len(ids) > 0 {
		line.traceId = ids[0]
	}
	if err = errors.Join(err, response.cause, writeErr); err != nil || failure != nil {
		a.log.failed(r.Context(), line, err, failure)
	} else {
		a.log.request(line)
	}
	if a.telemetry != nil {
		a.telemetry.end(seen, r, line, failure)
	}
}

// receive reads the body of a request, up to a limit, and keeps it for a handler that needs it. If it
// fails, it returns the answer and the reason, and the connection cannot be used again.
func (a *application) receive(w http.ResponseWriter, r *http.Request) (*Response, error) {
	if r.ProtoMajor != 1 { // the preface of HTTP/2 is let through by net/http
		return badVersion, fmt.Errorf("the client speaks %s", r.Proto)
	}
	if r.ContentLength == 0 {
		return nil, nil
	}
	limit, refused, to := int64(maxBodyBytes), tooLarge, io.Discard
	var kept *body
	if t := a.router.find(r); t != nil {
		if _, most := t.handler(r.Method); most > 0 {
			kept = &body{held: &a.bodies}
			limit, refused, to = most, Problem(http.StatusRequestEntityTooLarge, fmt.Sprintf("The body has more than %d bytes.", most)), kept
		}
	}
	if r.ContentLength > limit { // not even asked for with "100 Continue"
		return refused, fmt.Errorf("the body has %d bytes", r.ContentLength)
	}
	_, err := io.Copy(to, http.MaxBytesReader(w, r.Body, limit))
	if kept != nil {
		r.Body = kept
	}
	var large *http.MaxBytesError
	switch {
	case err == nil:
		return nil, nil
	case errors.As(err, &large):
		return refused, err
	case errors.Is(err, errBodies):
		return Unavailable("The service has too many large bodies to read.", nil), err
	case errors.Is(err, os.ErrDeadlineExceeded):
		return tooSlow, err
	default:
		return badRequest, err
	}
}

// release gives back what the body of a request has taken.
func (a *application) release(r *http.Request) {
	if kept, ok := r.Body.(*body); ok {
		a.bodies.Add(-int64(len(kept.bytes)))
	}
}

// body is a request's body in memory.
type body struct {
	bytes []byte
	held  *atomic.Int64 // by all bodies
}

var (
	errBodies  = errors.New("the bodies of all requests are too large together")
	errAnswers = errors.New("the answers to all requests are too large together")
)

func (b *body) Write(p []byte) (int, error) {
	if b.held.Add(int64(len(p))) > maxBodies {
		b.held.Add(-int64(len(p)))
		return 0, errBodies
	}
	b.bytes = append(b.bytes, p...)
	return len(p), nil
}

// A handler takes the body with [Body].

func (b *body) Read([]byte) (int, error) { return 0, io.EOF }
func (b *body) Close() error             { return nil }

// Body returns the body of a request to a handler of [Router.Write].
func Body(r *http.Request) []byte {
	if kept, ok := r.Body.(*body); ok {
		return kept.bytes
	}
	return nil
}

// respond returns the router's answer. If a handler fails, it returns status 500 and the attributes
// to log.
func (a *application) respond(r *http.Request) (response *Response, failure []slog.Attr) {
	defer func() {
		if v := recover(); v != nil {
			response = internalError
			failure = []slog.Attr{slog.String("panic", fmt.Sprint(v)), slog.String("stack", string(debug.Stack()))}
		}
	}()
	response = a.router.respond(r)
	if response == nil {
		panic("the handler returned no response")
	}
	return response, nil
}

// healthcheck asks the service on this machine's port whether it is ready. A container needs no
// shell and no curl for its health check.
func healthcheck(ctx context.Context, host string, port int) error {
	if port == 0 {
		return errors.New("cannot check the health: PORT is 0, so the port of the service is not known")
	}
	// A transport without the environment's proxy.
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: healthcheckTimeout}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+net.JoinHostPort(host, strconv.Itoa(port))+"/", nil)
	if err != nil {
		return err
	}
	response, err := client.Do(request)
	if err != nil {
		return fmt.Errorf("unhealthy: %w", err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("unhealthy: %s answered with status %d, want 200", request.URL, response.StatusCode)
	}
	return nil
}

// version describes the binary from the Go toolchain's record in it.
func version(name string) string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return name + "\n"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s %s\n%s\n", name, info.Path, info.Main.Version, info.GoVersion)
	for _, setting := range info.Settings {
		if setting.Value != "" {
			fmt.Fprintf(&b, "%s=%s\n", setting.Key, setting.Value)
		}
	}
	return b.String()
}

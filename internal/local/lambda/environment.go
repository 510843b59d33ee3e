//go:build unix

package lambda

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/google/uuid"

	"cutover/internal/child"
	"cutover/internal/local/ecs"
	"cutover/internal/local/provider"
	"cutover/internal/model"
)

// maxPayload is what an invocation and its result may have, in bytes.
// https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
const maxPayload = 6 << 20

// Error is why Lambda gives no result of a function.
type Error struct {
	// Type and Message are those of the payload that Lambda gives the caller, as in Runtime.ExitError.
	// https://docs.aws.amazon.com/lambda/latest/dg/troubleshooting-invocation.html
	Type    string `json:"errorType"`
	Message string `json:"errorMessage"`
	reason  string
}

func (e *Error) Error() string { return e.Type + ": " + e.Message }

// Reason is what access logs of a load balancer call the error.
// https://docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-access-logs.html#error-reason-codes
func (e *Error) Reason() string { return cmp.Or(e.reason, "LambdaUnhandled") }

// invocation is a request to a function.
type invocation struct {
	id, arn  string
	payload  []byte
	deadline time.Time
	cold     bool // it waited for the start of an environment
	began    time.Time
	finished time.Time // once it is answered
	// answered is closed with the first result.
	once     sync.Once
	answered chan struct{}
	freed    chan struct{} // closed when its environment is free, or gone
	result   []byte        // once it is answered
	err      *Error
}

func newInvocation(arn string, payload []byte) *invocation {
	return &invocation{id: uuid.NewString(), arn: arn, payload: payload, began: time.Now(), answered: make(chan struct{}), freed: make(chan struct{})}
}

func (i *invocation) finish(payload []byte, err *Error) {
	i.once.Do(func() {
		i.result, i.err, i.finished = payload, err, time.Now()
		close(i.answered)
	})
}

// errorf is an error as Lambda words it. https://docs.aws.amazon.com/lambda/latest/dg/troubleshooting-invocation.html
func (i *invocation) errorf(kind, format string, args ...any) *Error {
	return &Error{Type: kind, Message: "RequestId: " + i.id + " Error: " + fmt.Sprintf(format, args...)}
}

// environment is an execution environment: a process group and its Runtime API.
type environment struct {
	version *version
	id      string
	pid     int // of a program of an asset
	// container is what a driver runs.
	container ecs.Container
	// asked has a token when the function asks for its next invocation.
	asked    chan struct{}
	deliver  chan *invocation
	ended    chan struct{} // closed when nothing of it is left
	outcome  string        // how its process ended, as in "exit status 1"; empty for a success
	idle     *time.Timer   // nil before it was idle; guarded by the provider's lock
	peak     int           // bytes, guarded by the provider's lock
	commands sync.Mutex    // no signal goes to a process that has ended

	mu      sync.Mutex
	current *invocation // that has no result yet
	failed  *Error      // what the function told of its initialization
}

// runtimePath is that of the Runtime API.
const runtimePath = "/2018-06-01/runtime/"

// launch starts a process. The process has not asked for an invocation yet.
func (p *Provider) launch(v *version) (*environment, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	e := &environment{version: v, id: uuid.NewString(), asked: make(chan struct{}, 1), deliver: make(chan *invocation), ended: make(chan struct{})}
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+runtimePath+"invocation/next", e.next)
	mux.HandleFunc("POST "+runtimePath+"invocation/{id}/response", func(w http.ResponseWriter, r *http.Request) { e.respond(w, r, false) })
	mux.HandleFunc("POST "+runtimePath+"invocation/{id}/error", func(w http.ResponseWriter, r *http.Request) { e.respond(w, r, true) })
	mux.HandleFunc("POST "+runtimePath+"init/error", e.initError)
	server := &http.Server{Handler: mux, ReadHeaderTimeout: time.Minute}
	go func() { _ = server.Serve(l) }()
	tmp := ""
	if v.runs == nil {
		if tmp, err = os.MkdirTemp(p.options.Dir, "tmp-"); err != nil {
			return nil, errors.Join(err, server.Close())
		}
	}
	p.mu.Lock()
	v.environments[e] = true
	p.mu.Unlock()
	variables := p.variables(v, e, l.Addr().String())
	// last is for when nothing of it runs any more.
	last := func() {
		_, _ = server.Close(), os.RemoveAll(tmp)
		p.options.Access.Forget(e.id)
		p.forget(e)
		close(e.ended)
	}
	if v.runs != nil {
		return e, p.startContainer(e, variables, last)
	}
	cmd := exec.Command(filepath.Join(v.dir, bootstrap))
	cmd.Dir, cmd.SysProcAttr = v.dir, child.Attributes(syscall.SIGKILL)
	for _, one := range append(variables, model.Variable{Name: "TMPDIR", Value: tmp}) {
		cmd.Env = append(cmd.Env, one.Name+"="+one.Value)
	}
	stdout, err1 := p.output(e, "stdout")
	stderr, err2 := p.output(e, "stderr")
	err = cmp.Or(v.ctx.Err(), errors.Join(err1, err2))
	cmd.Stdout, cmd.Stderr = stdout.in, stderr.in
	end := func() {
		stdout.end()
		stderr.end()
		last()
	}
	if err == nil {
		err = child.Start(func() error {
			e.commands.Lock()
			defer e.commands.Unlock()
			err := cmd.Start()
			if err == nil {
				e.pid = cmd.Process.Pid
			}
			return err
		}, func() {
			err := cmd.Wait()
			e.commands.Lock()
			_ = syscall.Kill(-e.pid, syscall.SIGKILL) // what it has started
			e.pid = 0
			e.commands.Unlock()
			if err != nil {
				e.outcome = err.Error()
			}
			end()
		})
	}
	if err != nil {
		end()
		return nil, err
	}
	if v.ctx.Err() != nil {
		e.signal(syscall.SIGKILL)
	}
	return e, nil
}

// output is what a process writes into.
type output struct {
	in, out *os.File
	handed  chan struct{} // closed when all is in the log
}

// output writes what comes in to the log, line by line.
func (p *Provider) output(e *environment, stream string) (o output, err error) {
	if o.out, o.in, err = os.Pipe(); err != nil {
		return o, err
	}
	o.handed = make(chan struct{})
	go func() {
		lines := ecs.Lines(func(text string) { p.log(e.version.spec, e, stream, text) })
		_, _ = io.Copy(lines, o.out)
		_ = lines.Close()
		close(o.handed)
	}()
	return o, nil
}

// end waits for what was written, but not long: a process that left the group may keep the pipe open.
func (o output) end() {
	if o.handed == nil {
		return
	}
	_, _ = o.in.Close(), o.out.SetReadDeadline(time.Now().Add(time.Second))
	<-o.handed
	_ = o.out.Close()
}

// signal sends a signal to all processes.
func (e *environment) signal(s syscall.Signal) {
	e.commands.Lock()
	defer e.commands.Unlock()
	switch {
	case e.container != nil:
		_ = e.container.Signal(s)
	case e.pid != 0:
		_ = syscall.Kill(-e.pid, s)
	}
}

// next gives the function its next invocation.
func (e *environment) next(w http.ResponseWriter, r *http.Request) {
	select {
	case e.asked <- struct{}{}:
	default: // it has asked before, and its connection broke
	}
	select {
	case in := <-e.deliver:
		h := w.Header()
		h.Set("Lambda-Runtime-Aws-Request-Id", in.id)
		h.Set("Lambda-Runtime-Deadline-Ms", strconv.FormatInt(in.deadline.UnixMilli(), 10))
		h.Set("Lambda-Runtime-Invoked-Function-Arn", in.arn)
		h.Set("Content-Type", "application/json")
		_, _ = w.Write(in.payload)
	case <-r.Context().Done():
	case <-e.ended:
	}
}

// respond takes the result of an invocation.
func (e *environment) respond(w http.ResponseWriter, r *http.Request, failed bool) {
	e.mu.Lock()
	in := e.current
	if in != nil && in.id == r.PathValue("id") {
		e.current = nil
	} else {
		in = nil
	}
	e.mu.Unlock()
	if in == nil {
		answer(w, http.StatusBadRequest, Error{Type: "InvalidRequestID", Message: "Invalid request ID"})
		return
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, maxPayload+1))
	switch {
	case err != nil:
		in.finish(nil, in.errorf("Runtime.TruncatedResponse", "%v", err))
	case len(body) > maxPayload:
		in.finish(nil, &Error{Type: "Function.ResponseSizeTooLarge", reason: "LambdaResponseTooLarge",
			Message: fmt.Sprintf("Response payload size exceeded maximum allowed payload size (%d bytes).", maxPayload)})
		answer(w, http.StatusRequestEntityTooLarge, Error{Type: "RequestEntityTooLarge", Message: fmt.Sprintf("Exceeded maximum allowed payload size (%d bytes).", maxPayload)})
		return
	case failed:
		in.finish(nil, told(r, body))
	default:
		in.finish(body, nil)
	}
	answer(w, http.StatusAccepted, map[string]string{"status": "OK"})
}

// initError takes what the function tells of its initialization.
func (e *environment) initError(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(io.LimitReader(r.Body, maxPayload))
	e.mu.Lock()
	e.failed = told(r, body)
	e.mu.Unlock()
	answer(w, http.StatusAccepted, map[string]string{"status": "OK"})
}

// told is an error that a function tells.
func told(r *http.Request, body []byte) *Error {
	e := &Error{}
	_ = json.Unmarshal(body, e) // else the header says it
	e.Type = cmp.Or(e.Type, r.Header.Get("Lambda-Runtime-Function-Error-Type"), "Runtime.Unknown")
	return e
}

func answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}

// variables are the environment of the process: those that Lambda sets, and those of the function.
// The last one of a name counts. What a driver runs finds programs and its code by variables of its own.
// https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html#configuration-envvars-runtime
func (p *Provider) variables(v *version, e *environment, api string) []model.Variable {
	f := v.spec
	all := []model.Variable{
		{Name: "_HANDLER", Value: f.Handler},
		{Name: "AWS_LAMBDA_FUNCTION_MEMORY_SIZE", Value: strconv.Itoa(f.MemoryMiB)},
		{Name: "AWS_LAMBDA_FUNCTION_NAME", Value: f.Name},
		{Name: "AWS_LAMBDA_FUNCTION_VERSION", Value: v.number},
		{Name: "AWS_LAMBDA_INITIALIZATION_TYPE", Value: "on-demand"},
		{Name: "AWS_LAMBDA_LOG_GROUP_NAME", Value: "/aws/lambda/" + f.Name},
		{Name: "AWS_LAMBDA_LOG_STREAM_NAME", Value: time.Now().UTC().Format("2006/01/02") + "/[" + v.number + "]" + strings.ReplaceAll(e.id, "-", "")},
		{Name: "AWS_LAMBDA_RUNTIME_API", Value: api, Here: true},
		{Name: "LANG", Value: "en_US.UTF-8"},
		{Name: "TZ", Value: ":UTC"},
	}
	if v.runs == nil {
		all = append(all,
			model.Variable{Name: "LAMBDA_RUNTIME_DIR", Value: "/var/runtime"},
			model.Variable{Name: "LAMBDA_TASK_ROOT", Value: v.dir},
			model.Variable{Name: "PATH", Value: "/usr/local/bin:/usr/bin/:/bin:/opt/bin"})
	}
	all = append(all, p.options.Access.FunctionVariables(e.id, f)...)
	if v.secrets != nil {
		all = append(all, p.secrets.variables()...)
	}
	return append(all, f.Environment...)
}

// log writes a line to the log.
func (p *Provider) log(f *model.Function, e *environment, stream, text string) {
	line := ecs.LogLine{Time: time.Now(), Service: f.Key(), ServiceName: f.Name, Container: bootstrap, Stream: stream, Text: text}
	if e != nil {
		line.Task = e.id
	}
	p.options.Logs(line)
}

// warn tells what is wrong with a function. The log has it, too.
func (p *Provider) warn(f *model.Function, e *environment, message string) {
	event := provider.Event{Kind: "function", Subject: f.Name, State: provider.Warning, Message: message}
	if e != nil {
		event.Task = e.id
	}
	p.options.Events(event)
	p.log(f, e, "stderr", message)
}

//go:build unix

package lambda

import (
	"archive/zip"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"cutover/internal/assembly"
	"cutover/internal/local/ecs/process"
	"cutover/internal/local/latency"
	"cutover/internal/model"
)

const (
	// initLimit is how long an initialization may take.
	// https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html#runtimes-lifecycle-ib
	initLimit = 10 * time.Second
	// idleLimit is how long an environment waits for its next invocation. AWS does not tell how long it waits.
	idleLimit = 5 * time.Minute
	// driverInitLimit is initLimit for what a driver runs: a command may have to compile a program first.
	driverInitLimit = time.Minute
	// accountConcurrency is how many invocations an account may have at once, by default.
	// https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
	accountConcurrency = 1000
	// way is how long a result takes at least, unless the environment is free before. On AWS a result is on its way as
	// long. Without it, a client that asks again at once would find the environment busy for some microseconds more,
	// and get a cold start.
	way = 20 * time.Millisecond
	// look is the time from one look at the memory of environments to the next.
	look = 100 * time.Millisecond
	// bootstrap is the program of a function with a runtime of its own.
	// https://docs.aws.amazon.com/lambda/latest/dg/runtimes-custom.html
	bootstrap = "bootstrap"
)

// function is a function that runs here. The provider's lock guards it.
type function struct {
	spec      *model.Function
	latest    *version
	published int // versions so far
	running   int // invocations
	told      map[string]bool
	counts
}

// counts are what became of the invocations of a function.
type counts struct {
	Invocations, ColdStarts, Errors, Timeouts, Throttles int
	peak                                                 int            // bytes
	most                                                 int            // invocations at once
	cold, warm                                           latency.Counts // from the invocation to its result
}

// version is code with its settings, and its execution environments. The provider's lock guards what changes.
type version struct {
	function *function
	spec     *model.Function  // with the values of its variables
	settings string           // all that makes another version, as text
	number   string           // as in "3", or $LATEST
	dir      string           // of the code; empty if a driver runs it
	runs     *model.Container // by a driver; nil for the code in dir
	secrets  []model.Secret

	running      int  // invocations
	retired      bool // its environments end when they are free
	idle         []*environment
	environments map[*environment]bool // true while busy
	gone         chan struct{}         // closed when it is retired and nothing of it is left
	ctx          context.Context       // ends when no environment may start any more
	kill         context.CancelFunc
}

// newVersion makes a version, of which no environment runs.
func (p *Provider) newVersion(f *function, spec *model.Function, secrets []model.Secret, settings, number string) (*version, error) {
	v := &version{function: f, spec: spec, secrets: secrets, settings: settings, number: number, runs: p.container(spec), environments: map[*environment]bool{}, gone: make(chan struct{})}
	v.ctx, v.kill = context.WithCancel(context.Background())
	if v.runs == nil {
		var err error
		if v.dir, err = p.copyCode(spec); err != nil {
			return nil, err
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.live[v] = true
	return v, nil
}

// copyCode copies the code of a function, so that a running environment does not see an asset that is built anew.
func (p *Provider) copyCode(f *model.Function) (dir string, err error) {
	if err := os.MkdirAll(p.options.Dir, 0o755); err != nil {
		return "", err
	}
	if dir, err = os.MkdirTemp(p.options.Dir, "code-"); err != nil {
		return "", err
	}
	code, err := open(f.Code)
	if err == nil {
		err = errors.Join(os.CopyFS(dir, code), code.Close())
	}
	if err != nil {
		return "", errors.Join(f.Errorf("Code", "the code cannot be copied: %v", err), os.RemoveAll(dir))
	}
	return dir, nil
}

// files are the files of an asset.
type files interface {
	fs.FS
	Close() error
}

// open opens an asset, which is a directory or a zip file.
func open(asset *assembly.FileAsset) (files, error) {
	if asset.Packaging == "file" {
		return zip.OpenReader(asset.Path)
	}
	root, err := os.OpenRoot(asset.Path)
	if err != nil {
		return nil, err
	}
	return directory{root.FS(), root}, nil
}

type directory struct {
	fs.FS
	root *os.Root
}

func (d directory) Close() error { return d.root.Close() }

// run runs an invocation to its end, whether or not somebody waits for the result. The invocation keeps its place
// in the function's concurrency until its environment is free.
func (p *Provider) run(v *version, in *invocation) {
	e, err := p.begin(v, in)
	if err != nil {
		in.finish(nil, err)
		p.free(v, nil, in)
		return
	}
	ctx, cancel := context.WithDeadline(context.Background(), in.deadline)
	defer cancel()
	end := func() {
		e.signal(syscall.SIGKILL)
		<-e.ended
	}
	select {
	case <-in.answered:
		// The result goes back. What the function does until it asks for its next invocation still counts.
		select {
		case <-e.asked:
			e.signal(syscall.SIGSTOP)
			p.free(v, e, in)
			return
		case <-e.ended:
		case <-ctx.Done():
			end()
			p.tellOnce(v, e, fmt.Sprintf("after its response, the function did not ask for its next invocation within its time-out of %v", v.spec.Timeout))
		}
	case <-e.ended:
		in.finish(nil, in.crash(e))
	case <-ctx.Done():
		end()
		in.finish(nil, in.errorf(timedOutType, "Task timed out after %.2f seconds", v.spec.Timeout.Seconds()))
	}
	p.free(v, nil, in)
}

// timedOutType is the type of the error of a function that takes too long.
const timedOutType = "Sandbox.Timedout"

// begin gives the invocation to an environment: to the one that was used last, or to a new one.
func (p *Provider) begin(v *version, in *invocation) (*environment, *Error) {
	if e := p.reuse(v, in); e != nil {
		return e, nil
	}
	// On AWS each environment has processors of its own. Here those that start would slow down each other, and all.
	p.starting <- struct{}{}
	defer func() { <-p.starting }()
	if e := p.reuse(v, in); e != nil { // one that was free meanwhile
		return e, nil
	}
	p.mu.Lock()
	v.function.ColdStarts++
	in.cold = true
	p.mu.Unlock()
	// Lambda tries once more, within the time-out of the function.
	limit, again := initLimit, v.spec.Timeout
	if v.runs != nil {
		limit, again = driverInitLimit, driverInitLimit
	}
	e, err := p.initialize(v, in, limit)
	in.deadline = time.Now().Add(v.spec.Timeout)
	if err != nil {
		p.tellOnce(v, nil, fmt.Sprintf("the initialization failed, and is tried once more: %v", err))
		e, err = p.initialize(v, in, again)
	}
	if err == nil && !e.give(in) {
		err = in.crash(e)
	}
	return e, err
}

// reuse gives the invocation to an idle environment; nil if there is none.
func (p *Provider) reuse(v *version, in *invocation) *environment {
	for e := p.take(v); e != nil; e = p.take(v) {
		in.deadline = time.Now().Add(v.spec.Timeout)
		if e.give(in) {
			return e
		}
	}
	return nil
}

// give lets the function go on, with an invocation. It says whether the function lives.
func (e *environment) give(in *invocation) bool {
	e.mu.Lock()
	e.current = in
	e.mu.Unlock()
	e.signal(syscall.SIGCONT)
	select {
	case e.deliver <- in:
		return true
	case <-e.ended:
		return false
	}
}

// crash is the error of an invocation whose environment has ended.
func (i *invocation) crash(e *environment) *Error {
	if e.outcome == "" {
		return i.errorf("Runtime.ExitError", "Runtime exited without providing a reason")
	}
	return i.errorf("Runtime.ExitError", "Runtime exited with error: %s", e.outcome)
}

// initialize starts an environment, and waits until it asks for its first invocation.
func (p *Provider) initialize(v *version, in *invocation, limit time.Duration) (*environment, *Error) {
	e, err := p.launch(v)
	if err != nil {
		return nil, in.errorf("Runtime.InvalidEntrypoint", "%v", err)
	}
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-e.asked:
		return e, nil
	case <-timer.C:
		e.signal(syscall.SIGKILL)
		<-e.ended
		if v.runs != nil {
			p.tellOnce(v, e, fmt.Sprintf("it did not ask for an invocation at AWS_LAMBDA_RUNTIME_API in %v: it must speak the Runtime API of Lambda", limit))
		}
		return nil, in.errorf(timedOutType, "Task timed out after %.2f seconds", limit.Seconds())
	case <-e.ended:
		e.mu.Lock()
		defer e.mu.Unlock()
		if e.failed != nil {
			return nil, e.failed
		}
		return nil, in.crash(e)
	}
}

// take takes the idle environment that was used last; nil if there is none.
func (p *Provider) take(v *version) *environment {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(v.idle) == 0 {
		return nil
	}
	e := v.idle[len(v.idle)-1]
	v.idle = v.idle[:len(v.idle)-1]
	e.idle.Stop()
	v.environments[e] = true
	return e
}

// free ends an invocation. Its environment, nil if it has ended, waits for the next one.
func (p *Provider) free(v *version, e *environment, in *invocation) {
	p.mu.Lock()
	f := v.function
	f.running--
	v.running--
	if took := in.finished.Sub(in.began); in.cold {
		f.cold.Note(took)
	} else {
		f.warm.Note(took)
	}
	if in.err != nil {
		f.Errors++
		if in.err.Type == timedOutType {
			f.Timeouts++
		}
	}
	if _, lives := v.environments[e]; lives && !v.retired {
		v.environments[e] = false
		v.idle = append(v.idle, e)
		e.idle = time.AfterFunc(p.options.Idle, func() { p.expire(e) })
	}
	end := v.retired
	v.sweep(p)
	p.mu.Unlock()
	if e != nil && end {
		e.signal(syscall.SIGKILL)
	}
	close(in.freed)
	if in.err != nil {
		p.tellOnce(v, e, in.err.Error())
	}
}

// expire ends an environment that was idle for long.
func (p *Provider) expire(e *environment) {
	p.mu.Lock()
	i := slices.Index(e.version.idle, e)
	if i >= 0 {
		e.version.idle = slices.Delete(e.version.idle, i, i+1)
	}
	p.mu.Unlock()
	if i >= 0 {
		e.signal(syscall.SIGKILL)
	}
}

// forget forgets an environment whose process has ended.
func (p *Provider) forget(e *environment) {
	p.mu.Lock()
	defer p.mu.Unlock()
	v := e.version
	delete(v.environments, e)
	if i := slices.Index(v.idle, e); i >= 0 {
		v.idle = slices.Delete(v.idle, i, i+1)
		e.idle.Stop()
	}
	v.function.peak = max(v.function.peak, e.peak)
	v.sweep(p)
}

// sweep removes the code of a version when nothing of it is left. The provider is locked.
func (v *version) sweep(p *Provider) {
	if v.retired && v.running == 0 && len(v.environments) == 0 && p.live[v] {
		delete(p.live, v)
		v.kill()
		_ = os.RemoveAll(v.dir) // the next start removes what is left
		close(v.gone)
	}
}

// retire ends the idle environments of a version. Those that are busy end when they are free.
func (p *Provider) retire(v *version) {
	p.mu.Lock()
	v.retired = true
	idle := v.idle
	v.idle = nil
	for _, e := range idle {
		e.idle.Stop()
	}
	v.sweep(p)
	p.mu.Unlock()
	for _, e := range idle {
		e.signal(syscall.SIGKILL)
	}
}

// end retires versions, and waits until nothing of them is left. If the context ends before, invocations are cut
// off.
func (p *Provider) end(ctx context.Context, versions []*version) (err error) {
	for _, v := range versions {
		p.retire(v)
	}
	for _, v := range versions {
		select {
		case <-v.gone:
			continue
		case <-ctx.Done():
			err = context.Cause(ctx)
		}
		p.mu.Lock()
		v.kill()
		for e := range v.environments {
			e.signal(syscall.SIGKILL)
		}
		p.mu.Unlock()
		<-v.gone
	}
	return err
}

// tellOnce warns of a function. It does not repeat itself but for the ids in a text.
func (p *Provider) tellOnce(v *version, e *environment, message string) {
	p.mu.Lock()
	key := ids.ReplaceAllString(message, "")
	first := !v.function.told[key]
	v.function.told[key] = true
	p.mu.Unlock()
	if first {
		p.warn(v.spec, e, message)
	}
}

// ids are those of requests.
var ids = regexp.MustCompile(`[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}`)

// watchMemory ends environments that use more memory than their functions have.
func (p *Provider) watchMemory() {
	every := time.NewTicker(look)
	defer every.Stop()
	for {
		select {
		case <-p.stopped:
			return
		case <-every.C:
		}
		p.checkMemory(false)
	}
}

// checkMemory looks at the memory of environments: of all, or only if one is busy.
func (p *Provider) checkMemory(all bool) {
	p.mu.Lock()
	var environments []*environment
	for v := range p.live {
		for e, busy := range v.environments {
			all = all || busy
			environments = append(environments, e)
		}
	}
	p.mu.Unlock()
	if !all || len(environments) == 0 {
		return
	}
	memory := process.Memory()
	for _, e := range environments {
		used := memory[e.group()]
		p.mu.Lock()
		e.peak = max(e.peak, used)
		busy := e.version.environments[e]
		p.mu.Unlock()
		if limit := e.version.spec.MemoryMiB; busy && limit > 0 && used > limit<<20 {
			p.tellOnce(e.version, e, fmt.Sprintf("an execution environment uses more memory than the %d MiB of the function, and is killed", limit))
			e.signal(syscall.SIGKILL)
		}
	}
}

// group is the number of the process group; 0 if it has ended, or has none on this machine.
func (e *environment) group() int {
	e.commands.Lock()
	defer e.commands.Unlock()
	if e.container != nil {
		pid, _ := strconv.Atoi(e.container.ID()) // that of an engine is no number
		return pid
	}
	return e.pid
}

// settings is all of a function that makes another version of it, as text.
func settings(f *model.Function, secrets []model.Secret) string {
	var b strings.Builder
	role := ""
	if f.Role != nil {
		role = f.Role.Key()
	}
	code := f.Image.Reference
	if f.Code != nil {
		code = f.Code.ID
	}
	fmt.Fprintln(&b, f.Name, code, f.EntryPoint, f.Command, f.WorkingDirectory, f.Runtime, f.Handler, f.MemoryMiB, f.Timeout, role, f.Environment, secrets)
	return b.String()
}

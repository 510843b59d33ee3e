package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"cutover/internal/build"
)

const (
	// bareLimit is what a service has to reach of the requests per second that
	// net/http reaches with nothing around it, by the processor time of a request.
	bareLimit = 0.9
	// warmup is how often a service is asked before anything is measured, so that
	// Node.js has compiled what it runs often.
	warmup = 30_000
)

// same are the requests that the service and its koa peer have to answer alike
// before they are compared.
var same = []string{
	"/", "/api/", "/api/users", "/api/users/1", "/api/users/4", "/api/users/5", "/api/threads", "/api/threads/2", "/api/posts",
	"/api/posts/in-thread/2", "/api/posts/by-user/1", "/api/posts/by-user/9", "/api/posts/1", "/nope",
}

// subject is a service to be measured, or what one is measured against.
type subject struct {
	name    string
	command func(address string) []string
	env     []string
	image   int64 // what an image of it has at the least, in bytes

	server *server // the one under load
	// One value for each round: microseconds of processor time for a request,
	// milliseconds at a fixed rate and from exec to the first answer, and MiB.
	cpu, p50, firstAnswer, idle, loaded []float64
}

// measureServices measures the monolith against what it can be compared with.
// With check it fails below the limit.
func measureServices(ctx context.Context, out io.Writer, work string, rounds int, check bool) (err error) {
	if runtime.GOOS != "linux" {
		return fmt.Errorf("%w: the images' programs run on Linux, and this is %s", errSkipped, runtime.GOOS)
	}
	subjects, err := prepareServices(ctx, work)
	if err != nil {
		return err
	}
	pin, placed, release, err := oneCore(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, release()) }()

	defer func() {
		for _, s := range subjects {
			if s.server != nil {
				err = errors.Join(err, s.server.stop())
			}
		}
	}()
	for _, s := range subjects {
		addresses, err := freeAddresses(1)
		if err != nil {
			return err
		}
		log, err := os.OpenFile(filepath.Join(work, "services.log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
		if err != nil {
			return err
		}
		defer log.Close()
		if s.server, err = startServer(ctx, s.name, addresses[0], log, s.environment(addresses[0]), append(slices.Clone(pin), s.command(addresses[0])...)...); err != nil {
			return err
		}
	}
	if err := answerAlike(ctx, subjects[0].server.client, subjects[1].server.client); err != nil {
		return err
	}
	for round := range rounds + 1 {
		// The service right beside net/http, which it is closest to.
		order := []*subject{subjects[1], subjects[0], subjects[2], subjects[3]}
		if round%2 == 1 {
			slices.Reverse(order)
		}
		for _, s := range order {
			if round == 0 {
				_, err = s.server.client.closedLoop(ctx, warmup)
			} else {
				err = s.measure(ctx, pin)
			}
			if err != nil {
				return fmt.Errorf("%s: %w", s.name, errors.Join(context.Cause(ctx), err))
			}
		}
	}
	fmt.Fprintf(out, "GET %s, %s. %d rounds of %d requests over %d connections,\n"+
		"of %d requests per second for %v, and of a start:\n\n", route, placed, rounds, closedRequests, connections, openRate, openDuration)
	reported := reportServices(out, subjects, check)
	text, err := profile(ctx, work)
	if err != nil {
		return errors.Join(reported, err)
	}
	fmt.Fprintf(out, "\nWhere the service's time goes, of all that is done for its connections and its log:\n\n%s", text)
	return reported
}

// profiled are the functions in the profile: what net/http does for a request,
// and what is the service's own.
var profiled = []profiledFunction{
	{"net/http: reads and parses the request", `net/http\.\(\*conn\)\.readRequest`},
	{"net/http: writes the head and sends the answer", `net/http\.\(\*response\)\.finishRequest`},
	{"system calls, on either side", `syscall/linux\.Syscall6`},
	{"allocation", `runtime\.mallocgc`},
	{"the service: handles the request", `server\.\(\*application\)\.ServeHTTP`},
	{"the service: finds the route", `server\.\(\*Router\)\.respond`},
	{"the service: hands net/http the answer", `server\.\(\*Response\)\.write`},
	{"the service: renders its line in the log", `server\.\(\*logger\)\.request`},
	{"the service: writes the lines that gathered", `server\.\(\*stream\)\.run`},
	{"the service: deadlines", `server\.\(\*connection\)\.Set(Read|Write)Deadline`},
	{"the service: counts connections", `server\.\(\*connections\)\.changed`},
}

// profile says where the time goes in a benchmark of the services' server, since
// the services have nothing in them that a profile could be asked of.
func profile(ctx context.Context, work string) (string, error) {
	binary, samples := filepath.Join(work, "server.test"), filepath.Join(work, "cpu.profile")
	if err := command(ctx, "go", "test", "./services/internal/server", "-run", "^$", "-bench", "^BenchmarkRequest$/^service$",
		"-benchtime", "100000x", "-cpu", "1", "-cpuprofile", samples, "-o", binary); err != nil {
		return "", err
	}
	return shares(ctx, binary, samples, `net/http\.\(\*conn\)\.serve|server\.\(\*stream\)\.run`, profiled)
}

// profiledFunction is a line of a profile: what it is, and an expression for the
// end of the names of the functions that do it.
type profiledFunction struct{ what, function string }

// shares says what part of the samples is in functions and what they call. Only
// samples with a function that matches focus are looked at; empty: all of them.
func shares(ctx context.Context, binary, samples, focus string, functions []profiledFunction) (string, error) {
	list, err := exec.CommandContext(ctx, "go", "tool", "pprof", "-top", "-cum", "-relative_percentages", "-nodecount", "100000", "-nodefraction", "0",
		"-focus", focus, binary, samples).Output()
	if err != nil {
		return "", fmt.Errorf("pprof: %w", err)
	}
	var shown strings.Builder
	for _, p := range functions {
		percent, err := pprofShare(string(list), regexp.MustCompile(p.function+"$"))
		if err != nil {
			return "", err
		}
		fmt.Fprintf(&shown, "%-50s %4.0f %%\n", p.what, percent)
	}
	return shown.String(), nil
}

// pprofShare finds what percentage is spent in functions and what they call, in
// pprof's list. Below its head that has a line for each function: flat, flat%,
// sum%, cum, cum% and the name.
func pprofShare(list string, function *regexp.Regexp) (percent float64, err error) {
	_, rows, ok := strings.Cut(list, "cum%\n")
	if !ok {
		return 0, fmt.Errorf("not a list of pprof: %q", list)
	}
	for row := range strings.Lines(rows) {
		fields := strings.Fields(row)
		if len(fields) < 6 {
			return 0, fmt.Errorf("not a line of pprof: %q", row)
		}
		if !function.MatchString(fields[5]) {
			continue
		}
		n, err := strconv.ParseFloat(strings.TrimSuffix(fields[4], "%"), 64)
		if err != nil {
			return 0, fmt.Errorf("not a line of pprof: %q", row)
		}
		percent += n
	}
	return percent, nil
}

// prepareServices compiles everything as the images are compiled and installs
// koa if it is missing. The first one is ours, the second koa.
func prepareServices(ctx context.Context, work string) ([]*subject, error) {
	node, err := filepath.Abs(filepath.Join("node_modules", "node", "bin", "node"))
	if err != nil {
		return nil, err
	}
	program, err := os.Stat(node)
	if err != nil {
		return nil, fmt.Errorf("the pinned Node.js is missing (%w): run `make setup` first, and this from the root of the repository", err)
	}
	koa := filepath.Join("bench", "peer", "koa")
	modules := filepath.Join(koa, "node_modules")
	if _, err := os.Stat(filepath.Join(modules, "koa")); errors.Is(err, fs.ErrNotExist) {
		if err := command(ctx, "npm", "ci", "--prefix", koa); err != nil {
			return nil, err
		}
	}
	koaSize, err := size(koa)
	if err != nil {
		return nil, err
	}
	const body = `{"id":1,"username":"mbrandt","name":"Marta Brandt","bio":"Runs the build farm. Says \"it compiled on my machine\" only in jest."}`
	subjects := []*subject{
		{name: "service"},
		{name: "koa", image: program.Size() + koaSize, env: []string{"NODE_ENV=production"}, command: func(string) []string {
			return []string{node, filepath.Join(koa, "app.js")}
		}},
		{name: "net/http alone"}, {name: "raw socket"},
	}
	options := build.Options{Root: ".", Arch: runtime.GOARCH, Progress: io.Discard}
	programs := map[string]*subject{"api": subjects[0], "bare": subjects[2], "raw": subjects[3]}
	for name, dir := range map[string]string{"api": "services/api", "bare": "bench/peer/bare", "raw": "bench/peer/raw"} {
		options.Services = append(options.Services, build.Service{Name: name, Dir: dir})
	}
	contexts, err := build.Build(ctx, options)
	if err != nil {
		return nil, err
	}
	for name, s := range programs {
		// A copy, because the next build removes what it replaces.
		binary, err := os.ReadFile(filepath.Join(contexts[name], name))
		if err != nil {
			return nil, err
		}
		file := filepath.Join(work, "image-"+name)
		if err := os.WriteFile(file, binary, 0o700); err != nil {
			return nil, err
		}
		s.image = int64(len(binary))
		s.command = func(address string) []string {
			if name == "api" {
				return []string{file}
			}
			// On all addresses, as the service and koa do it: that takes the kernel longer.
			_, port, _ := net.SplitHostPort(address)
			return []string{file, ":" + port, "application/json; charset=utf-8", body}
		}
	}
	return subjects, nil
}

// size is that of all files in a directory, in bytes.
func size(dir string) (bytes int64, err error) {
	err = filepath.WalkDir(dir, func(_ string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		info, err := entry.Info()
		if err == nil {
			bytes += info.Size()
		}
		return err
	})
	return bytes, err
}

// oneCore returns what to put before a command so that it runs on one core, the
// first that there is, and keeps this process and its load off it until release.
// Where that cannot be, it says so.
func oneCore(ctx context.Context) (pin []string, placed string, release func() error, err error) {
	nothing := func() error { return nil }
	taskset, err := exec.LookPath("taskset")
	if err != nil {
		return nil, "on all cores together with the load, since there is no taskset here", nothing, nil
	}
	all := allowedCores()
	first, rest, ok := strings.Cut(all, ",")
	if from, to, isRange := strings.Cut(first, "-"); isRange {
		if n, err := strconv.Atoi(from); err == nil {
			next := fmt.Sprintf("%d-%s", n+1, to)
			if ok {
				next += "," + rest
			}
			first, rest, ok = from, next, true
		}
	}
	if !ok {
		return nil, "on the one core of this machine, together with the load", nothing, nil
	}
	self := strconv.Itoa(os.Getpid())
	move := func(cores string) error {
		return command(context.WithoutCancel(ctx), taskset, "-a", "-c", "-p", cores, self)
	}
	if err := move(rest); err != nil {
		return nil, "", nil, err
	}
	return []string{taskset, "-c", first}, "on one core, and the load on another", func() error { return move(all) }, nil
}

// allowedCores are those that this process may use, such as "0-3,8".
func allowedCores() string {
	status, _ := os.ReadFile("/proc/self/status")
	_, after, _ := strings.Cut(string(status), "Cpus_allowed_list:")
	cores, _, _ := strings.Cut(after, "\n")
	return strings.TrimSpace(cores)
}

func (s *subject) environment(address string) []string {
	_, port, _ := net.SplitHostPort(address)
	return append([]string{"PORT=" + port, "GOMAXPROCS=1"}, s.env...)
}

// answerAlike fails unless two services answer the same.
func answerAlike(ctx context.Context, a, b *client) error {
	ask := func(c *client, path string) (string, error) {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+c.address+path, nil)
		if err != nil {
			return "", err
		}
		response, err := c.http.Do(request)
		if err != nil {
			return "", err
		}
		defer response.Body.Close()
		body, err := io.ReadAll(response.Body)
		return fmt.Sprintf("%d %s %s", response.StatusCode, response.Header.Get("Content-Type"), body), err
	}
	for _, path := range same {
		got, err := ask(a, path)
		if err != nil {
			return err
		}
		want, err := ask(b, path)
		if err != nil {
			return err
		}
		if got != want {
			return fmt.Errorf("GET %s: the service answers %q and koa %q, so there is nothing to compare; bring bench/peer/koa/app.js in line with services/", path, got, want)
		}
	}
	return nil
}

// measure adds a round.
func (s *subject) measure(ctx context.Context, pin []string) error {
	before, err := processorTime(s.server.process.Process.Pid)
	if err != nil {
		return err
	}
	perSecond, err := s.server.client.closedLoop(ctx, closedRequests)
	if err != nil {
		return err
	}
	after, err := processorTime(s.server.process.Process.Pid)
	if err != nil {
		return err
	}
	loaded, err := resident(s.server.process.Process.Pid)
	if err != nil {
		return err
	}
	latencies, err := s.server.client.openLoop(ctx, openRate, openDuration)
	if err != nil {
		return err
	}
	s.server.perSecond = append(s.server.perSecond, perSecond)
	s.cpu = append(s.cpu, float64((after-before).Nanoseconds())/1e3/closedRequests)
	s.loaded = append(s.loaded, loaded)
	s.p50 = append(s.p50, latencies.P50.Seconds()*1000)
	s.server.p99 = append(s.server.p99, latencies.P99.Seconds()*1000)
	return s.start(ctx, pin)
}

// start adds what it takes from exec to the first answer, and what a process
// holds then that was asked once.
func (s *subject) start(ctx context.Context, pin []string) error {
	addresses, err := freeAddresses(1)
	if err != nil {
		return err
	}
	arguments := append(slices.Clone(pin), s.command(addresses[0])...)
	process := exec.CommandContext(ctx, arguments[0], arguments[1:]...)
	process.Env = append(os.Environ(), s.environment(addresses[0])...)
	began := time.Now()
	if err := process.Start(); err != nil {
		return err
	}
	defer func() {
		_ = process.Process.Signal(syscall.SIGKILL)
		_ = process.Wait()
	}()
	for {
		if err := s.server.client.askOnce(addresses[0]); err == nil {
			break
		} else if time.Since(began) > startTimeout {
			return fmt.Errorf("no answer within %v: %w", startTimeout, err)
		}
		time.Sleep(100 * time.Microsecond)
	}
	s.firstAnswer = append(s.firstAnswer, time.Since(began).Seconds()*1000)
	idle, err := resident(process.Process.Pid)
	s.idle = append(s.idle, idle)
	return err
}

// processorTime is what all threads of a process have had, exact to the
// nanosecond (https://docs.kernel.org/scheduler/sched-stats.html).
func processorTime(pid int) (time.Duration, error) {
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
	var sum time.Duration
	for _, task := range tasks {
		text, err := os.ReadFile(task)
		if errors.Is(err, fs.ErrNotExist) { // a thread that has just ended
			continue
		}
		var running time.Duration
		if _, scanErr := fmt.Sscan(string(text), &running); err != nil || scanErr != nil {
			return 0, fmt.Errorf("%s: %q: %w", task, text, errors.Join(err, scanErr))
		}
		sum += running
	}
	return sum, err
}

// resident is the memory that a process holds, in MiB.
func resident(pid int) (float64, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	var kiB float64
	_, after, _ := bytes.Cut(status, []byte("VmRSS:"))
	_, err = fmt.Sscan(string(after), &kiB)
	return kiB / 1024, err
}

// reportServices prints the tables. With check it fails below the limit.
func reportServices(out io.Writer, subjects []*subject, check bool) error {
	line := func(cells ...any) {
		row := fmt.Sprintf("%-26s %-24s %-22s %-22s %s", cells...)
		fmt.Fprintln(out, strings.TrimRight(row, " "))
	}
	mebibytes := func(s *subject) float64 { return float64(s.image) / (1 << 20) }
	ours := subjects[0]

	line("", "requests/s", "CPU, µs a request", "p50, ms", "p99, ms")
	for _, s := range subjects {
		line(s.name, spread(s.server.perSecond, 0), spread(s.cpu, 1), spread(s.p50, 2), spread(s.server.p99, 2))
	}
	for _, s := range subjects[1:] {
		line("service / "+s.name, spread(ratios(ours.server.perSecond, s.server.perSecond), 2), spread(ratios(ours.cpu, s.cpu), 2),
			spread(ratios(ours.p50, s.p50), 2), spread(ratios(ours.server.p99, s.server.p99), 2))
	}
	fmt.Fprintln(out)
	line("", "exec to answer, ms", "memory idle, MiB", "under load, MiB", "image, MiB")
	for _, s := range subjects {
		line(s.name, spread(s.firstAnswer, 1), spread(s.idle, 1), spread(s.loaded, 1), fmt.Sprintf("%.1f", mebibytes(s)))
	}
	for _, s := range subjects[1:] {
		line("service / "+s.name, spread(ratios(ours.firstAnswer, s.firstAnswer), 2), spread(ratios(ours.idle, s.idle), 2),
			spread(ratios(ours.loaded, s.loaded), 2), fmt.Sprintf("%.2f", mebibytes(ours)/mebibytes(s)))
	}

	koa, bare := subjects[1], subjects[2]
	if !check {
		return nil
	}
	var errs []error
	if faster := median(ratios(koa.cpu, ours.cpu)); faster < 1 {
		errs = append(errs, fmt.Errorf("koa takes %.2f times the processor time of the service: the service must take less", faster))
	}
	if share := median(ratios(bare.cpu, ours.cpu)); share < bareLimit {
		errs = append(errs, fmt.Errorf("the service does %.2f of what net/http does alone, by processor time: less than %.1f", share, bareLimit))
	}
	return errors.Join(errs...)
}

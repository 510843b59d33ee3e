package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"cutover/internal/build"
)

// warmup is how often a service is asked before anything is measured, so that
// Node.js has compiled what it runs often.
const warmup = 30_000

// same are the requests that the service and its koa peer have to answer alike
// before they are compared.
var same = []string{
	"/", "/api/", "/api/users", "/api/users/1", "/api/users/4", "/api/users/5", "/api/threads", "/api/threads/2", "/api/posts",
	"/api/posts/in-thread/2", "/api/posts/by-user/1", "/api/posts/by-user/9", "/api/posts/1", "/nope",
}

// subject is a service to be measured, or what one is measured against.
type subject struct {
	command func(address string) []string
	image   float64 // what an image of it has at the least, in bytes
	server  *server // the one under load
}

// services measures the monolith against what it can be compared with.
func (b *bench) services(out io.Writer) (err error) {
	if runtime.GOOS != "linux" {
		return fmt.Errorf("%w: the images' programs run on Linux, and this is %s", errSkipped, runtime.GOOS)
	}
	subjects, err := b.subjects()
	if err != nil {
		return err
	}
	pin, placed, release, err := b.oneCore()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, release()) }()
	log, err := os.Create(filepath.Join(b.work, "services.log"))
	if err != nil {
		return err
	}
	defer log.Close()
	var started []*server
	defer func() { err = errors.Join(err, stopAll(started)) }()
	// The service stands right beside net/http, which it is closest to.
	names := []string{"koa", "service", "net/http", "socket"}
	for _, name := range names {
		addresses, err := freeAddresses(1)
		if err != nil {
			return err
		}
		s := subjects[name]
		s.server, err = startServer(b.ctx, name, addresses[0], log, environment(addresses[0]), slices.Concat(pin, s.command(addresses[0]))...)
		if s.server != nil {
			started = append(started, s.server)
		}
		if err != nil {
			return err
		}
	}
	if err := answerAlike(b.ctx, subjects["service"].server.client, subjects["koa"].server.client); err != nil {
		return err
	}
	var r results
	if err := b.turns(b.rounds+1, names, func(round int, name string) error {
		s := subjects[name]
		if round == 0 {
			_, err := s.server.client.closedLoop(b.ctx, warmup)
			return err
		}
		figures, err := s.server.round(b.ctx)
		if err != nil {
			return err
		}
		start, err := s.start(b.ctx, pin)
		r.add("Service/server="+strings.ReplaceAll(name, "/", "-"), append(figures, start...)...)
		return err
	}); err != nil {
		return err
	}
	fmt.Fprintf(out, "GET %s, %s. %d rounds of %d requests over %d connections,\n"+
		"of %d requests per second for %v, and of a start:\n\n", route, placed, b.rounds, closedRequests, connections, openRate, openDuration)
	return r.compare(b.ctx, out, b.work, "server", "service", "koa", "net-http", "socket")
}

// subjects compiles everything as the images are compiled, and installs koa if it is
// missing.
func (b *bench) subjects() (map[string]*subject, error) {
	node, err := pinnedNode()
	if err != nil {
		return nil, err
	}
	koa := filepath.Join("bench", "peer", "koa")
	if _, err := os.Stat(filepath.Join(koa, "node_modules", "koa")); errors.Is(err, fs.ErrNotExist) {
		if err := b.command("npm", "ci", "--prefix", koa); err != nil {
			return nil, err
		}
	}
	subjects := map[string]*subject{"koa": {command: func(string) []string { return []string{node, filepath.Join(koa, "app.js")} }}}
	for _, dir := range []string{node, koa} {
		bytes, err := size(dir)
		if err != nil {
			return nil, err
		}
		subjects["koa"].image += bytes
	}
	const body = `{"id":1,"username":"mbrandt","name":"Marta Brandt","bio":"Runs the build farm. Says \"it compiled on my machine\" only in jest."}`
	programs := map[string]build.Service{
		"service":  {Name: "api", Dir: "services/api"},
		"net/http": {Name: "bare", Dir: "bench/peer/bare"},
		"socket":   {Name: "raw", Dir: "bench/peer/raw"},
	}
	options := build.Options{Root: ".", Arch: runtime.GOARCH, Progress: io.Discard}
	for _, program := range programs {
		options.Services = append(options.Services, program)
	}
	contexts, err := build.Build(b.ctx, options)
	if err != nil {
		return nil, err
	}
	for name, program := range programs {
		// A copy, because the next build removes what it replaces.
		binary, err := os.ReadFile(filepath.Join(contexts[program.Name], program.Name))
		if err != nil {
			return nil, err
		}
		file := filepath.Join(b.work, "image-"+program.Name)
		if err := os.WriteFile(file, binary, 0o700); err != nil {
			return nil, err
		}
		subjects[name] = &subject{image: float64(len(binary)), command: func(address string) []string {
			if name == "service" {
				return []string{file}
			}
			// On all addresses, as the service and koa do it: that takes the kernel longer.
			return []string{file, ":" + portOf(address), "application/json; charset=utf-8", body}
		}}
	}
	return subjects, nil
}

// size is that of all files in a directory, or of one file, in bytes.
func size(dir string) (bytes float64, err error) {
	err = filepath.WalkDir(dir, func(_ string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		info, err := entry.Info()
		if err == nil {
			bytes += float64(info.Size())
		}
		return err
	})
	return bytes, err
}

// oneCore returns what to put before a command so that it runs on the first core,
// and keeps this process and its load off that core until release. Where that cannot
// be, placed says so.
func (b *bench) oneCore() (pin []string, placed string, release func() error, err error) {
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
	move := func(cores string) error {
		return exec.Command(taskset, "-a", "-c", "-p", cores, strconv.Itoa(os.Getpid())).Run()
	}
	if err := move(rest); err != nil {
		return nil, "", nil, fmt.Errorf("taskset: %w", err)
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

func environment(address string) []string {
	return []string{"PORT=" + portOf(address), "GOMAXPROCS=1", "NODE_ENV=production"}
}

// answerAlike fails unless two services answer the same.
func answerAlike(ctx context.Context, service, koa *client) error {
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
		got, err := ask(service, path)
		want, koaErr := ask(koa, path)
		if err := errors.Join(err, koaErr); err != nil {
			return err
		}
		if got != want {
			return fmt.Errorf("GET %s: the service answers %q and koa %q, so there is nothing to compare; change bench/peer/koa/app.js as services/ was changed", path, got, want)
		}
	}
	return nil
}

// start measures the time from exec to the first answer, and what a process holds
// that was asked once.
func (s *subject) start(ctx context.Context, pin []string) ([]figure, error) {
	addresses, err := freeAddresses(1)
	if err != nil {
		return nil, err
	}
	arguments := slices.Concat(pin, s.command(addresses[0]))
	process := exec.CommandContext(ctx, arguments[0], arguments[1:]...)
	process.Env = append(os.Environ(), environment(addresses[0])...)
	began := time.Now()
	if err := process.Start(); err != nil {
		return nil, err
	}
	defer func() {
		_ = process.Process.Signal(syscall.SIGKILL)
		_ = process.Wait()
	}()
	for {
		if err := askOnce(addresses[0]); err == nil {
			break
		} else if time.Since(began) > startTimeout {
			return nil, fmt.Errorf("no answer within %v: %w", startTimeout, err)
		}
		time.Sleep(100 * time.Microsecond)
	}
	took := time.Since(began).Seconds()
	idle, err := resident(process.Process.Pid)
	return []figure{{took, "start-sec"}, {idle, "idle-B"}, {s.image, "image-B"}}, err
}

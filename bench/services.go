package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"cutover/internal/build"
)

// same are the requests that the service and its koa peer must answer alike.
var same = []string{
	"/", "/api/", "/api/users", "/api/users/1", "/api/users/4", "/api/users/5", "/api/threads", "/api/threads/2", "/api/posts",
	"/api/posts/in-thread/2", "/api/posts/by-user/1", "/api/posts/by-user/9", "/api/posts/1", "/nope",
}

// services compares the monolith with its peers.
func (b *bench) services(out io.Writer) (err error) {
	subjects, err := b.subjects()
	if err != nil {
		return err
	}
	placed, release, err := b.oneCore(subjects)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, release()) }()
	for _, s := range subjects {
		s.env = []string{"GOMAXPROCS=1", "NODE_ENV=production"}
	}
	addresses, err := freeAddresses(len(subjects))
	if err != nil {
		return err
	}
	stop, err := b.startAll(subjects, addresses)
	defer func() { err = errors.Join(err, stop()) }()
	if err != nil {
		return err
	}
	if err := answerAlike(subjects[1].server.client, subjects[0].server.client); err != nil {
		return err
	}
	r, err := b.loadAll("Service", subjects, b.startAgain)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "GET %s, %s. %d rounds of %d requests over %d connections,\n"+
		"of %d requests per second for %v, and of a start:\n\n", route, placed, b.rounds, closedRequests, connections, openRate, openDuration)
	return r.compare(b.ctx, out, b.work, "server", "service", "koa", "net-http", "socket")
}

// subjects returns koa, the service, net/http and the socket: the service stands beside net/http,
// the closest one. They are compiled like the images, and koa is installed if it is missing.
func (b *bench) subjects() ([]*subject, error) {
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
	subjects := []*subject{{name: "koa", warmup: compiled, command: func(string) []string { return []string{node, filepath.Join(koa, "app.js")} }}}
	for _, dir := range []string{node, koa} {
		bytes, err := size(dir)
		if err != nil {
			return nil, err
		}
		subjects[0].image += bytes
	}
	programs, err := b.programs(build.Service{Name: "api", Dir: "services/api"}, build.Service{Name: "bare", Dir: "bench/peer/bare"}, build.Service{Name: "raw", Dir: "bench/peer/raw"})
	if err != nil {
		return nil, err
	}
	for i, name := range []string{"service", "net-http", "socket"} {
		s := programs[i]
		s.name = name
		if alone := s.command; name != "service" {
			s.command = func(address string) []string {
				const body = `{"id":1,"username":"mbrandt","name":"Marta Brandt","bio":"Runs the build farm. Says \"it compiled on my machine\" only in jest."}`
				// On all addresses, like the service and koa: that takes the kernel longer.
				return append(alone(address), ":"+portOf(address), "application/json; charset=utf-8", body)
			}
		}
		subjects = append(subjects, s)
	}
	return subjects, nil
}

// programs compiles programs like the images.
func (b *bench) programs(programs ...build.Service) (subjects []*subject, err error) {
	contexts, err := build.Build(b.ctx, build.Options{Root: ".", Arch: runtime.GOARCH, Progress: io.Discard, Services: programs})
	for _, program := range programs {
		if err != nil {
			break
		}
		// A copy, because the next build removes what it replaces.
		var binary []byte
		file := filepath.Join(b.work, "image-"+program.Name)
		if binary, err = os.ReadFile(filepath.Join(contexts[program.Name], program.Name)); err == nil {
			err = os.WriteFile(file, binary, 0o700)
		}
		subjects = append(subjects, &subject{name: program.Name, image: float64(len(binary)), command: func(string) []string { return []string{file} }})
	}
	return subjects, err
}

// size returns the size of a file, or of all files in a directory, in bytes.
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

// oneCore pins the commands of the subjects to the first core. It keeps this
// process, and so the load, off that core until release. The text placed says whether it could.
func (b *bench) oneCore(subjects []*subject) (placed string, release func() error, err error) {
	nothing := func() error { return nil }
	taskset, err := exec.LookPath("taskset")
	if err != nil {
		return "on all cores together with the load, since there is no taskset here", nothing, nil
	}
	all, _ := new(big.Int).SetString(strings.ReplaceAll(status(os.Getpid(), "Cpus_allowed"), ",", ""), 16)
	if all == nil || all.Sign() == 0 {
		return "", nil, errors.New("the cores of this process could not be read from /proc")
	}
	first := new(big.Int).Lsh(big.NewInt(1), all.TrailingZeroBits())
	others := new(big.Int).Sub(all, first)
	if others.Sign() == 0 {
		return "on the one core of this machine, together with the load", nothing, nil
	}
	move := func(cores *big.Int) error {
		return exec.Command(taskset, "-a", "-p", cores.Text(16), strconv.Itoa(os.Getpid())).Run()
	}
	if err := move(others); err != nil {
		return "", nil, fmt.Errorf("taskset: %w", err)
	}
	for _, s := range subjects {
		command := s.command
		s.command = func(address string) []string {
			return slices.Concat([]string{taskset, first.Text(16)}, command(address))
		}
	}
	return "on one core, and the load on another", func() error { return move(all) }, nil
}

// answerAlike fails if two services answer differently.
func answerAlike(service, koa *client) error {
	ask := func(c *client, path string) (string, error) {
		response, err := c.http.Get("http://" + c.address + path)
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

// startAgain measures a start: the time from exec to the first answer, and the memory after it.
func (b *bench) startAgain(s *subject) (figures []figure, err error) {
	addresses, err := freeAddresses(1)
	if err != nil {
		return nil, err
	}
	began := time.Now()
	started, err := b.start(s, addresses[0])
	took := time.Since(began).Seconds()
	if started == nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, started.stop()) }()
	if err != nil {
		return nil, err
	}
	idle, err := resident(started.process.Process.Pid)
	return []figure{{took, "start-sec"}, {idle, "idle-B"}, {s.image, "image-B"}}, err
}

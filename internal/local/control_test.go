package local

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"cutover/internal/local/alb"
	"cutover/internal/local/ecs"
	"cutover/internal/nightly"
)

func TestSecondStart(t *testing.T) {
	t.Parallel()
	dir := stateDir(t)
	d := start(t, dir, shopCommands(t))
	d.deploy(shop(t))
	before := d.picture()
	if _, err := Start(t.Context(), (&deployment{}).options(dir, nil)); !errors.Is(err, ErrRunning) || !strings.Contains(err.Error(), dir) {
		t.Errorf("a second Start fails with %v, want ErrRunning and the directory", err)
	}
	if after := d.picture(); after != before {
		t.Errorf("a second Start changed what runs:\n%s\nwas\n%s", after, before)
	}
}

// A runner does what a client in another process asks for.
func TestClient(t *testing.T) {
	if testing.Short() {
		t.Skip("slow: it waits for health checks")
	}
	t.Parallel()
	dir := stateDir(t)
	client := NewClient(dir)
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	for name, err := range map[string]error{
		"Status": second(client.Status(ctx)), "Route": second(client.Route(ctx, alb.Asked{Request: "/"})), "Canaries": second(client.Canaries(ctx, Compared{Monolith: []string{"api"}}, time.Second)),
		"Deploy": client.Deploy(ctx, "testdata/shop", nil), "Down": client.Down(ctx),
	} {
		if !errors.Is(err, ErrNotRunning) || !strings.Contains(err.Error(), dir) {
			t.Errorf("%s without a runner fails with %v, want ErrNotRunning and the directory", name, err)
		}
	}
	if err := Logs(ctx, dir, "", false, nil); err == nil || !strings.Contains(err.Error(), "cutover up") {
		t.Errorf("Logs without any fails with %v, want it to say what to do", err)
	}

	d := &deployment{t: t}
	r, err := Start(ctx, d.options(dir, shopCommands(t)))
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- errors.Join(r.Control(ctx), r.Stop(ctx)) }()
	if err := client.Ready(ctx); err != nil {
		t.Fatal(err)
	}

	var events []Event
	if err := client.Deploy(ctx, "testdata/shop", func(e Event) { events = append(events, e) }); err != nil {
		t.Fatal(err)
	}
	deployed := slices.ContainsFunc(events, func(e Event) bool {
		return e.Kind == "stack" && e.Subject == "ShopBasket" && e.State == "DEPLOYED" && !e.Time.IsZero()
	})
	if !deployed {
		t.Errorf("no event says that a stack was deployed: %v", events)
	}
	if err := client.Deploy(ctx, dir, nil); err == nil || errors.Is(err, ErrNotRunning) || !strings.Contains(err.Error(), "manifest.json") {
		t.Errorf("the error for a directory that is no assembly is %v", err)
	}
	status, err := client.Status(ctx)
	if err != nil || len(status.Services) != 3 || len(status.Listeners) != 2 || len(status.Groups) != 3 {
		t.Errorf("the status is %v, %v", status, err)
	}
	if here, there := fmt.Sprint(r.Status().Listeners), fmt.Sprint(status.Listeners); here != there {
		t.Errorf("the client sees the listeners %s, which are %s", there, here)
	}
	route, err := client.Route(ctx, alb.Asked{Request: "POST http://shop.example/basket"})
	if err != nil || len(route.Targets) != 1 || !strings.HasPrefix(route.Action, "Baskets") {
		t.Errorf("the route is %v, %v", route, err)
	}
	if _, err := client.Route(ctx, alb.Asked{Request: "no such request"}); err == nil {
		t.Error("what is no request has a route")
	}

	// Lines that are there, and those that come: of a task that is started later.
	following, enough := context.WithCancel(ctx)
	lines := make(chan ecs.LogLine)
	followed := make(chan error, 1)
	go func() {
		followed <- Logs(following, dir, status.Services[1].Name, true, func(line ecs.LogLine) { lines <- line })
	}()
	next := func() ecs.LogLine {
		select {
		case line := <-lines:
			return line
		case <-ctx.Done():
			t.Fatal("no line comes")
			panic("unreachable")
		}
	}
	first := next()
	if first.ServiceName != status.Services[1].Name || first.Stream != "stdout" || !strings.HasPrefix(first.Text, "listening in place of") {
		t.Errorf("the first line is %v", first)
	}
	for range len(status.Services[1].Tasks) - 1 {
		next()
	}
	clear, err := r.Fault(ctx, "kill", status.Services[1].Name)
	if err != nil {
		t.Fatal(err)
	}
	if line := next(); line.Task == first.Task || line.Text != first.Text {
		t.Errorf("the line that follows is %v", line)
	}
	enough()
	for open := true; open; {
		select {
		case <-lines:
		case err := <-followed:
			open = false
			if err != nil {
				t.Errorf("Logs ends with %v", err)
			}
		}
	}
	if err := clear(ctx); err != nil {
		t.Error(err)
	}

	if err := client.Down(ctx); err != nil {
		t.Fatal(err)
	}
	if err := Wait(ctx, dir); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err != nil {
		t.Errorf("the runner ends with %v", err)
	}
	if _, err := client.Status(ctx); !errors.Is(err, ErrNotRunning) {
		t.Errorf("the status after the end is %v", err)
	}
	if left := processes(t, d.told()); len(left) > 0 {
		t.Errorf("processes are left: %v", left)
	}
}

// A client that goes away while it deploys, and one that stops what is deploying,
// leave nothing stuck.
func TestDownWhileDeploying(t *testing.T) {
	t.Parallel()
	dir := stateDir(t)
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	run := shopCommands(t)
	run["basket"] = "sleep 600" // never healthy
	d := &deployment{t: t}
	r, err := Start(ctx, d.options(dir, run))
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() {
		err := r.Control(ctx)
		if r.Status().Deploying {
			t.Error("the control is given up while something is being deployed")
		}
		ended <- errors.Join(err, r.Stop(ctx))
	}()
	client := NewClient(dir)
	if err := client.Ready(ctx); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		when      Event
		interrupt func(away func())
	}{
		{Event{Kind: "task", State: string(ecs.Running)}, func(away func()) { away() }},
		{Event{Kind: "stack", State: "DEPLOYED"}, func(func()) { client.Down(ctx) }},
	} {
		deploying, away := context.WithCancel(ctx)
		deployed := make(chan error, 1)
		begun := sync.OnceFunc(func() { go c.interrupt(away) })
		go func() {
			deployed <- client.Deploy(deploying, "testdata/shop", func(e Event) {
				if e.Kind == c.when.Kind && e.State == c.when.State {
					begun()
				}
			})
		}()
		if err := <-deployed; err == nil {
			t.Error("a deployment that was interrupted is said to be complete")
		}
		away()
		until(t, "the deployment is given up", func() bool { return !r.Status().Deploying })
	}
	if err := <-ended; err != nil {
		t.Errorf("the runner ends with %v", err)
	}
	if left := processes(t, d.told()); len(left) > 0 {
		t.Errorf("processes are left: %v", left)
	}
}

func second[T any](_ T, err error) error { return err }

// serveRunner is a runner of its own, in a process that a test may kill.
func serveRunner(dir string) int {
	d := &deployment{}
	program, _ := os.Executable()
	// A container may have more than one process.
	server := fmt.Sprintf("sleep 600 & %s=server exec '%s'", roleVariable, program)
	ctx := context.Background()
	r, err := Start(ctx, d.options(dir, map[string]string{"catalogue": server, "remnants": server, "basket": server}))
	if err == nil {
		err = errors.Join(r.Control(ctx), r.Stop(ctx))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// processes are those of the tasks that the events are about.
func processes(t *testing.T, events []Event) (found []int) {
	t.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/environ")
	if err != nil || len(files) == 0 {
		t.Skip("the processes of this host cannot be listed")
	}
	for _, file := range files {
		environment, _ := os.ReadFile(file) // what has ended has none any more
		for variable := range bytes.SplitSeq(environment, []byte{0}) {
			task, ok := bytes.CutPrefix(variable, []byte("CUTOVER_TASK="))
			if ok && slices.ContainsFunc(events, func(e Event) bool { return e.Task == string(task) }) {
				pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(file)))
				found = append(found, pid)
			}
		}
	}
	return found
}

// A runner that is killed leaves what it cannot help; the next one ends that,
// and runs as if nothing had been.
func TestRunnerKilled(t *testing.T) {
	if testing.Short() {
		t.Skip("slow: it waits for health checks")
	}
	t.Parallel()
	dir := stateDir(t)
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	runner := exec.Command(program)
	runner.Env = append(os.Environ(), roleVariable+"=runner:"+dir)
	runner.Stderr = os.Stderr
	if err := runner.Start(); err != nil {
		t.Fatal(err)
	}
	defer runner.Process.Kill()
	client := NewClient(dir)
	if err := client.Ready(ctx); err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var events []Event
	tell := func(e Event) {
		mu.Lock()
		defer mu.Unlock()
		events = append(events, e)
	}
	if err := client.Deploy(ctx, "testdata/shop", tell); err != nil {
		t.Fatal(err)
	}
	before := processes(t, events)
	if len(before) < 8 { // four tasks of two processes
		t.Fatalf("the processes of the tasks are %v", before)
	}
	// In the middle of an update, too.
	update := shop(t, func(a templates) {
		a.containers(func(_ string, definition map[string]any) {
			definition["Environment"] = []any{map[string]any{"Name": "SECTION", "Value": "new"}, map[string]any{"Name": "LISTEN_PORT", "Value": "8000"}}
		})
	})
	begun := make(chan struct{})
	deployed := make(chan error, 1)
	go func() {
		var first sync.Once
		deployed <- client.Deploy(ctx, update, func(e Event) {
			tell(e)
			if e.Kind == "task" {
				first.Do(func() { close(begun) })
			}
		})
	}()
	select {
	case <-begun:
	case err := <-deployed:
		t.Fatalf("the update ended with %v before a task began", err)
	}
	if err := runner.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	runner.Wait()
	if err := <-deployed; err == nil {
		t.Error("a deployment whose runner was killed is said to be complete")
	}
	if _, err := client.Status(ctx); !errors.Is(err, ErrNotRunning) {
		t.Errorf("the status of a runner that was killed is %v, want ErrNotRunning", err)
	}

	d := start(t, dir, shopCommands(t))
	if left := processes(t, events); len(left) > 0 {
		t.Errorf("processes of the runner that was killed are left: %v", left)
	}
	if !d.happened("stack", "local", "") {
		t.Error("no event says that something was left behind")
	}
	control, stop := context.WithCancel(ctx)
	controlled := make(chan error, 1)
	go func() { controlled <- d.Control(control) }()
	if err := client.Ready(ctx); err != nil {
		t.Fatal(err)
	}
	if err := client.Deploy(ctx, "testdata/shop", nil); err != nil {
		t.Fatal(err)
	}
	if got := shopAnswer(t, d.url(80), "GET shop.example /"); got != "200 books GET / wanted" {
		t.Errorf("the answer is %q", got)
	}
	stop()
	if err := <-controlled; err != nil {
		t.Errorf("Control ends with %v", err)
	}
}

// To stop takes what requests in flight need, and no more.
func TestStopAnswers(t *testing.T) {
	nightly.Test(t, "it stops a deployment under load")
	t.Parallel()
	d := &deployment{t: t}
	r, err := Start(t.Context(), d.options(stateDir(t), nil))
	if err != nil {
		t.Fatal(err)
	}
	d.Runner = r
	d.deploy(forum(t, "switched"))
	stop := loadOf(t, d.url(80), 100)
	until(t, "requests are answered", func() bool {
		d.mu.Lock()
		defer d.mu.Unlock()
		return len(d.exchanges) > 50
	})
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	if err := d.Stop(ctx); err != nil {
		t.Errorf("Stop: %v", err)
	}
	stop()
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, e := range d.exchanges {
		if e.Status != 200 && e.Status != 503 {
			t.Errorf("%s was answered with %d, %v; want an answer, or to be told that there is no service any more", e.URI, e.Status, e.Err)
		}
	}
}

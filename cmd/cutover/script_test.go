package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"cutover/internal/local"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"cutover": main, "section": section})
}

// section is what the scripts run in place of containers: a server that answers
// with its name and the request.
func section() {
	name := os.Args[1]
	server := &http.Server{Addr: "127.0.0.1:" + os.Getenv("PORT")}
	server.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/ping" {
			fmt.Printf("%s asked for %s\n", name, r.RequestURI)
		}
		fmt.Fprintf(w, "%s %s %s", name, r.Method, r.RequestURI)
	})
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	go func() {
		<-ctx.Done()
		server.Shutdown(context.Background())
	}()
	if err := server.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// The scripts in testdata call the command as a user does. Each has the assembly
// of the shop (internal/local/testdata) in the directory shop.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata",
		Setup: func(env *testscript.Env) error {
			env.Defer(func() { down(t, filepath.Join(env.WorkDir, ".cutover")) })
			return os.CopyFS(filepath.Join(env.WorkDir, "shop"), os.DirFS("../../internal/local/testdata/shop"))
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"ask": ask, "await": await, "replace": replace},
	})
}

// down stops what a script that failed has left running.
func down(t *testing.T, state string) {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if err := local.NewClient(state).Down(ctx); errors.Is(err, local.ErrNotRunning) {
		return
	}
	if err := local.Wait(ctx, state); err != nil {
		t.Errorf("%s does not stop: %v", state, err)
	}
}

// ask is "ask PORT METHOD HOST PATH": it sends a request to the listener of that
// port in the template and writes the answer's status and body.
func ask(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 4 {
		ts.Fatalf("usage: ask PORT METHOD HOST PATH")
	}
	status, err := local.NewClient(ts.MkAbs(".cutover")).Status(context.Background())
	ts.Check(err)
	for _, listener := range status.Listeners {
		if strconv.Itoa(listener.Port) != args[0] {
			continue
		}
		request, err := http.NewRequest(args[1], strings.Replace(listener.URL, "localhost", "127.0.0.1", 1)+args[3], nil)
		ts.Check(err)
		request.Host = args[2]
		client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
		response, err := client.Do(request)
		ts.Check(err)
		defer response.Body.Close()
		body, err := io.ReadAll(response.Body)
		ts.Check(err)
		fmt.Fprintln(ts.Stdout(), response.StatusCode, response.Header.Get("Location"), string(body))
		return
	}
	ts.Fatalf("no listener has port %s", args[0])
}

// await is "await FILE TEXT": it waits until the text is in the file.
func await(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: await FILE TEXT")
	}
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		text, _ := os.ReadFile(ts.MkAbs(args[0]))
		if strings.Contains(string(text), args[1]) {
			return
		}
		if time.Now().After(deadline) {
			ts.Fatalf("%s does not come to have %q; it has\n%s", args[0], args[1], text)
		}
	}
}

// replace is "replace FILE OLD NEW": it replaces a text that occurs once.
func replace(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: replace FILE OLD NEW")
	}
	text := ts.ReadFile(args[0])
	if n := strings.Count(text, args[1]); n != 1 {
		ts.Fatalf("%s has %q %d times", args[0], args[1], n)
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(strings.Replace(text, args[1], args[2], 1)), 0o644))
}

package local

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"github.com/gofrs/flock"

	"cutover/internal/local/alb"
	"cutover/internal/local/ecs"
)

// A runner takes commands over HTTP on a Unix socket in its directory. The permissions of the
// directory decide which users may control the runner.

// socketFile is the socket of a runner, from the working directory if that is shorter: the path of a socket has 107
// characters at most (unix(7)).
func socketFile(dir string) string {
	file := filepath.Join(dir, "control.sock")
	if here, err := os.Getwd(); err == nil {
		if relative, err := filepath.Rel(here, file); err == nil && len(relative) < len(file) {
			return relative
		}
	}
	return file
}

// answerTimeout is the time that clients have to read answers when the runner ends.
const answerTimeout = 5 * time.Second

// message is a line of a streamed answer: an event, a line that a command wrote, or the end.
type message struct {
	Event   *Event   `json:"event,omitempty"`
	Written *Written `json:"written,omitempty"`
	End     bool     `json:"end,omitempty"`
	Exit    int      `json:"exit,omitempty"` // code of a command, with the end
	Error   string   `json:"error,omitempty"`
}

// Control takes commands until a client asks to stop the deployment, or the context ends. It does
// not stop the deployment itself.
func (r *Runner) Control(ctx context.Context) error {
	file := socketFile(r.options.Dir)
	if err := os.Remove(file); err != nil && !errors.Is(err, os.ErrNotExist) { // of a killed runner
		return err
	}
	ln, err := net.Listen("unix", file)
	if err != nil {
		return fmt.Errorf("cannot open the control socket: %w; a shorter --state directory may help", err)
	}
	if err := os.Chmod(file, 0o600); err != nil {
		return errors.Join(err, ln.Close())
	}
	ctx, down := context.WithCancel(ctx)
	defer down()
	mux := http.NewServeMux()
	mux.HandleFunc("GET /status", func(w http.ResponseWriter, _ *http.Request) { answer(w, r.Status(), nil) })
	mux.HandleFunc("GET /messaging", func(w http.ResponseWriter, _ *http.Request) { answer(w, r.Messaging(), nil) })
	mux.HandleFunc("GET /route", func(w http.ResponseWriter, req *http.Request) {
		var asked alb.Asked
		err := json.Unmarshal([]byte(req.URL.Query().Get("asked")), &asked)
		var route alb.Route
		if err == nil {
			route, err = r.Route(asked)
		}
		answer(w, route, err)
	})
	mux.HandleFunc("GET /canaries", func(w http.ResponseWriter, req *http.Request) {
		query := req.URL.Query()
		period, err := time.ParseDuration(query.Get("period"))
		var canaries Canaries
		var compared Compared
		if err == nil {
			err = json.Unmarshal([]byte(query.Get("compared")), &compared)
		}
		if err == nil {
			canaries, err = r.Canaries(compared, period)
		}
		answer(w, canaries, err)
	})
	mux.HandleFunc("POST /deploy", func(w http.ResponseWriter, req *http.Request) {
		r.stream(w, func(func(Written)) (int, error) {
			return 0, r.Deploy(req.Context(), req.URL.Query().Get("assembly"), req.URL.Query()["parameter"]...)
		})
	})
	mux.HandleFunc("POST /run-task", func(w http.ResponseWriter, req *http.Request) {
		r.stream(w, func(func(Written)) (int, error) { return 0, r.RunTask(req.Context(), req.URL.Query().Get("name")) })
	})
	mux.HandleFunc("POST /run", func(w http.ResponseWriter, req *http.Request) {
		query := req.URL.Query()
		r.stream(w, func(write func(Written)) (int, error) {
			return r.Run(req.Context(), query.Get("service"), query["command"], func(container string, line ecs.LogLine) {
				if line.Container == container && line.Stream != ecs.OwnStream {
					write(Written{line.Stream == "stderr", line.Text})
				}
			})
		})
	})
	mux.HandleFunc("POST /down", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, struct{}{}, nil)
		down()
	})
	server := &http.Server{Handler: mux, BaseContext: func(net.Listener) context.Context { return ctx }}
	answered := make(chan struct{})
	go func() {
		defer close(answered)
		<-ctx.Done()
		// Answers may be completed; a deployment ends with the context.
		grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), answerTimeout)
		defer cancel()
		if server.Shutdown(grace) != nil {
			server.Close()
		}
	}()
	err = server.Serve(ln)
	down()
	<-answered
	if !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

func answer(w http.ResponseWriter, value any, err error) {
	if err != nil {
		w.WriteHeader(http.StatusBadRequest)
		value = message{Error: err.Error()}
	}
	json.NewEncoder(w).Encode(value)
}

// Written is a line that a command wrote.
type Written struct {
	// Stderr says that the line is not of the standard output.
	Stderr bool   `json:"stderr,omitempty"`
	Text   string `json:"text"`
}

// stream answers with the events and with what f writes while f runs, and then with the result: an exit
// code, or an error.
func (r *Runner) stream(w http.ResponseWriter, f func(write func(Written)) (exit int, err error)) {
	events, stop := r.watch()
	defer stop()
	lines, flush := json.NewEncoder(w), http.NewResponseController(w).Flush
	flush()
	written := make(chan Written)
	ended := make(chan message, 1)
	go func() {
		exit, err := f(func(line Written) { written <- line })
		end := message{End: true, Exit: exit}
		if err != nil {
			end.Error = err.Error()
		}
		ended <- end
	}()
	for ; ; flush() {
		select {
		case event := <-events:
			lines.Encode(message{Event: &event})
		case line := <-written:
			lines.Encode(message{Written: &line})
		case end := <-ended:
			for len(events) > 0 {
				event := <-events
				lines.Encode(message{Event: &event})
			}
			lines.Encode(end)
			return
		}
	}
}

// Client talks to the runner of a directory.
type Client struct {
	dir  string
	http http.Client
}

// ErrNotRunning says that a directory has no runner.
var ErrNotRunning = errors.New("no deployment is running")

// NewClient returns a client for the runner of a directory. The runner need not exist yet.
func NewClient(dir string) *Client {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", socketFile(dir))
	}
	return &Client{dir: dir, http: http.Client{Transport: &http.Transport{DialContext: dial}}}
}

// call returns the body of an answer. An answer may be an error.
func (c *Client) call(ctx context.Context, method, path string, query url.Values) (io.ReadCloser, error) {
	request, err := http.NewRequestWithContext(ctx, method, "http://cutover"+path+"?"+query.Encode(), nil)
	if err != nil {
		return nil, err
	}
	response, err := c.http.Do(request)
	if err != nil {
		return nil, cmp.Or(ctx.Err(), fmt.Errorf("%w in %s: start one with `cutover up`", ErrNotRunning, c.dir))
	}
	if response.StatusCode != http.StatusOK {
		defer response.Body.Close()
		text, _ := io.ReadAll(response.Body)
		var m message
		if json.Unmarshal(text, &m) != nil || m.Error == "" {
			m.Error = string(bytes.TrimSpace(text))
		}
		return nil, errors.New(m.Error)
	}
	return response.Body, nil
}

func ask[T any](ctx context.Context, c *Client, path string, query url.Values) (value T, err error) {
	body, err := c.call(ctx, http.MethodGet, path, query)
	if err != nil {
		return value, err
	}
	defer body.Close()
	err = json.NewDecoder(body).Decode(&value)
	return value, err
}

// Status returns what runs.
func (c *Client) Status(ctx context.Context) (Status, error) {
	return ask[Status](ctx, c, "/status", nil)
}

// Route says where a request would go. See [Runner.Route].
func (c *Client) Route(ctx context.Context, asked alb.Asked) (alb.Route, error) {
	text, err := json.Marshal(asked)
	if err != nil {
		return alb.Route{}, err
	}
	return ask[alb.Route](ctx, c, "/route", url.Values{"asked": {string(text)}})
}

// Canaries returns the services that take traffic from others, and how they did. See
// [Runner.Canaries].
func (c *Client) Canaries(ctx context.Context, compared Compared, period time.Duration) (Canaries, error) {
	text, err := json.Marshal(compared)
	if err != nil {
		return Canaries{}, err
	}
	return ask[Canaries](ctx, c, "/canaries", url.Values{"compared": {string(text)}, "period": {period.String()}})
}

// Deploy deploys an assembly with values for its parameters, and calls f with the events. See
// [Runner.Deploy].
func (c *Client) Deploy(ctx context.Context, assembly string, f func(Event), parameters ...string) error {
	assembly, err := filepath.Abs(assembly)
	if err != nil {
		return err
	}
	_, err = c.follow(ctx, "/deploy", url.Values{"assembly": {assembly}, "parameter": parameters}, f, nil)
	return err
}

// RunTask runs the tasks of a schedule now, and calls f with the events meanwhile. If the context ends,
// the tasks are stopped. See [Runner.RunTask].
func (c *Client) RunTask(ctx context.Context, name string, f func(Event)) error {
	_, err := c.follow(ctx, "/run-task", url.Values{"name": {name}}, f, nil)
	return err
}

// Run runs a command in a task of its own from a service's task definition, and calls f with each line that
// the command writes. It returns the exit code. If the context ends, the task is stopped. See [Runner.Run].
func (c *Client) Run(ctx context.Context, service string, command []string, f func(Written)) (exit int, err error) {
	return c.follow(ctx, "/run", url.Values{"service": {service}, "command": command}, nil, f)
}

// follow reads a streamed answer, and calls event with the events and line with what a command writes. Both
// may be nil.
func (c *Client) follow(ctx context.Context, path string, query url.Values, event func(Event), line func(Written)) (exit int, err error) {
	body, err := c.call(ctx, http.MethodPost, path, query)
	if err != nil {
		return 0, err
	}
	defer body.Close()
	lines := json.NewDecoder(body)
	for {
		var m message
		if err := lines.Decode(&m); err != nil {
			return 0, cmp.Or(ctx.Err(), errors.New("the deployment was stopped before this was complete"))
		}
		switch {
		case m.End && m.Error != "":
			return 0, errors.New(m.Error)
		case m.End:
			return m.Exit, nil
		case m.Written != nil && line != nil:
			line(*m.Written)
		case m.Event != nil && event != nil:
			event(*m.Event)
		}
	}
}

// Down makes the runner stop everything. It returns when that has begun.
func (c *Client) Down(ctx context.Context) error {
	body, err := c.call(ctx, http.MethodPost, "/down", nil)
	if err != nil {
		return err
	}
	return body.Close()
}

// Wait returns when a directory has no runner any more.
func Wait(ctx context.Context, dir string) error {
	lock := flock.New(filepath.Join(dir, "lock"))
	if _, err := lock.TryLockContext(ctx, 50*time.Millisecond); err != nil {
		return err
	}
	return lock.Unlock()
}

// Ready returns when the runner of a directory takes commands.
func (c *Client) Ready(ctx context.Context) error {
	for {
		if _, err := c.Status(ctx); !errors.Is(err, ErrNotRunning) {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(20 * time.Millisecond):
		}
	}
}

package main

import (
	"context"
	"encoding/json"
	"encoding/xml"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"cutover/config"
	"cutover/deployment"
	"cutover/internal/assembly/assemblytest"
	"cutover/internal/listing"
	"cutover/internal/local"
	"cutover/internal/nightly"
)

func TestMain(m *testing.M) {
	// The scripts spend most of their time waiting for health checks. The command
	// line wins.
	flag.Set("test.parallel", "8")
	testscript.Main(m, map[string]func(){"cutover": main, "section": section})
}

// section is what the scripts run in place of containers: a server that answers
// with its name and the request. While there is a file FAULT its API fails.
func section() {
	name := os.Args[1]
	server := &http.Server{Addr: "127.0.0.1:" + os.Getenv("PORT")}
	server.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/ping" {
			fmt.Printf("%s asked for %s\n", name, r.RequestURI)
		}
		if _, err := os.Stat(os.Getenv("FAULT")); err == nil && strings.HasPrefix(r.URL.Path, "/api") {
			w.WriteHeader(http.StatusInternalServerError)
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

// golden has the golden templates.
var golden = func() string {
	dir, err := filepath.Abs("../../stacks/golden")
	if err != nil {
		panic(err)
	}
	return dir
}()

// packages are the npm packages of this repository.
var packages = func() string {
	dir, err := filepath.Abs("../../node_modules")
	if err != nil {
		panic(err)
	}
	return dir
}()

// running are programs that run already, as section does: by URL, one that stays, and one that ends after a number of requests.
func running(t *testing.T, ends int64) (url string) {
	t.Helper()
	var asked atomic.Int64
	server := httptest.NewUnstartedServer(nil)
	server.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if ends > 0 && asked.Add(1) >= ends {
			server.Listener.Close()
			panic(http.ErrAbortHandler)
		}
		fmt.Fprintf(w, "shop %s %s", r.Method, r.RequestURI)
	})
	server.Start()
	t.Cleanup(server.Close)
	return server.URL
}

// The scripts in testdata call the command as a user does. Each has the assembly
// of the shop (internal/local/testdata) in the directory shop, and in the directory beside
// those of a service beside a monolith that exists already. The directory front has a load
// balancer behind API Gateway (internal/local/apigateway/testdata). The list of services
// in cdk.out is that of the forum, and newer than its sources. A script that takes seconds of a
// processor begins with the condition nightly, as [nightly.Test] does.
func TestScripts(t *testing.T) {
	if testing.Short() {
		t.Skip("slow: it waits for health checks")
	}
	beside := t.TempDir()
	assemblytest.Beside(t, beside)
	stays, ends := running(t, 0), running(t, 200)
	testscript.Run(t, testscript.Params{
		Dir: "testdata",
		Setup: func(env *testscript.Env) error {
			env.Defer(func() { down(t, filepath.Join(env.WorkDir, ".cutover")) })
			aws := &parameterStore{}
			server := httptest.NewServer(aws)
			env.Defer(server.Close)
			env.Values["aws"] = aws
			env.Setenv("AWS_ENDPOINT_URL", server.URL)
			env.Setenv("RUNNING", stays)
			env.Setenv("ENDING", ends)
			out := filepath.Join(env.WorkDir, "cdk.out")
			if err := errors.Join(
				os.Mkdir(out, 0o755),
				os.WriteFile(filepath.Join(env.WorkDir, "go.mod"), []byte("module forum\n"), 0o644),
				os.WriteFile(filepath.Join(env.WorkDir, "main.go"), []byte("package main\n"), 0o644),
			); err != nil {
				return err
			}
			return errors.Join(
				listing.Write(env.WorkDir, out, deployment.Forum),
				os.CopyFS(filepath.Join(env.WorkDir, "shop"), os.DirFS("../../internal/local/testdata/shop")),
				os.CopyFS(filepath.Join(env.WorkDir, "account"), os.DirFS("../../internal/existing/testdata/shop")),
				os.CopyFS(filepath.Join(env.WorkDir, "beside"), os.DirFS(beside)),
				os.CopyFS(filepath.Join(env.WorkDir, "front"), os.DirFS("../../internal/local/apigateway/testdata/front")),
				os.Symlink(packages, filepath.Join(env.WorkDir, "node_modules")))
		},
		Condition: func(name string) (bool, error) {
			if name == "nightly" {
				return nightly.Runs(), nil
			}
			if name != "differ" {
				return false, fmt.Errorf("unknown condition %q", name)
			}
			_, err := os.Stat(filepath.Join(packages, "@aws-cdk", "cloudformation-diff"))
			if err != nil && os.Getenv("CI") != "" {
				return false, errors.New("the library of cdk diff is not installed: run `npm ci`")
			}
			return err == nil, nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"ask": ask, "await": await, "until": until, "replace": replace, "deployed": deployed, "asked": asked, "forum": forum, "templates": templates, "load": load, "alarms": alarms, "minutes": minutes},
	})
}

// down stops what a script that failed has left running.
func down(t *testing.T, state string) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
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
	for deadline := time.Now().Add(5 * time.Minute); ; time.Sleep(5 * time.Millisecond) {
		text, _ := os.ReadFile(ts.MkAbs(args[0]))
		if strings.Contains(string(text), args[1]) {
			return
		}
		if time.Now().After(deadline) {
			ts.Fatalf("%s does not come to have %q; it has\n%s", args[0], args[1], text)
		}
	}
}

// until is "until REGEXP COMMAND ARG...": it runs the command, whatever its exit
// code, until the standard output matches.
func until(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: until REGEXP COMMAND ARG...")
	}
	matches := regexp.MustCompile("(?m)" + args[0])
	for deadline := time.Now().Add(5 * time.Minute); ; {
		err := ts.Exec(args[1], args[2:]...)
		if matches.MatchString(ts.ReadFile("stdout")) {
			return
		}
		if time.Now().After(deadline) {
			ts.Fatalf("%s does not come to say %q: %v\n%s%s", args[1], args[0], err, ts.ReadFile("stdout"), ts.ReadFile("stderr"))
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

// parameterStore is the part of AWS that tells a phase, SSM's GetParameters, and
// with it CloudWatch.
type parameterStore struct {
	cloudWatch
	mu     sync.Mutex
	values map[string]string // by name
	// templates is the directory of the assembly that CloudFormation has deployed.
	templates string
	since     time.Time // when they were written last, zero to keep it
	by        []string  // who asked, as the requests' Authorization says
}

func (p *parameterStore) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.by = append(p.by, r.Header.Get("Authorization"))
	if p.templates != "" && p.template(w, r) || commandsOnAWS(w, r) {
		return
	}
	if operation, ok := strings.CutPrefix(r.Header.Get("X-Amz-Target"), "GraniteServiceVersion20100801."); ok {
		p.cloudWatch.answer(w, r, operation)
		return
	}
	var request struct{ Names []string }
	if err := json.NewDecoder(r.Body).Decode(&request); err != nil || r.Header.Get("X-Amz-Target") != "AmazonSSM.GetParameters" || len(request.Names) > 10 {
		http.Error(w, `{"__type":"ValidationException"}`, http.StatusBadRequest)
		return
	}
	type parameter struct {
		Name, Type, Value string
		LastModifiedDate  float64 `json:",omitempty"`
	}
	answer := struct {
		Parameters        []parameter
		InvalidParameters []string
	}{}
	for _, name := range request.Names {
		if value, ok := p.values[name]; ok {
			found := parameter{Name: name, Type: "String", Value: value}
			if !p.since.IsZero() {
				found.LastModifiedDate = float64(p.since.Unix())
			}
			answer.Parameters = append(answer.Parameters, found)
		} else {
			answer.InvalidParameters = append(answer.InvalidParameters, name)
		}
	}
	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	json.NewEncoder(w).Encode(answer)
}

// template answers for CloudFormation's GetTemplate, and says whether it was asked.
func (p *parameterStore) template(w http.ResponseWriter, r *http.Request) bool {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return false
	}
	r.Body = io.NopCloser(strings.NewReader(string(body)))
	form, err := url.ParseQuery(string(body))
	if err != nil || form.Get("Action") != "GetTemplate" {
		return false
	}
	text, err := os.ReadFile(filepath.Join(p.templates, form.Get("StackName")+".template.json"))
	if err != nil {
		w.WriteHeader(http.StatusBadRequest)
		fmt.Fprintf(w, "<ErrorResponse><Error><Code>ValidationError</Code><Message>Stack with id %s does not exist</Message></Error></ErrorResponse>", form.Get("StackName"))
		return true
	}
	fmt.Fprint(w, "<GetTemplateResponse><GetTemplateResult><TemplateBody>")
	xml.EscapeText(w, text)
	fmt.Fprint(w, "</TemplateBody></GetTemplateResult></GetTemplateResponse>")
	return true
}

// templates is "templates DIR": AWS has deployed the templates of this assembly.
func templates(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: templates DIR")
	}
	store := ts.Value("aws").(*parameterStore)
	store.mu.Lock()
	defer store.mu.Unlock()
	store.templates = ts.MkAbs(args[0])
}

// deployed is "deployed BEGUN REACHED [NAME=VALUE...]": AWS has the parameters
// of the Gate stack in one phase and of the Phase stack in another, as the golden
// templates have them, and those that are given. A place for each service, as in
// "users=switched,posts=10%", has the parameters of the interlock; with
// "rest=monolith" the monolith keeps the rest. With "since=now" they were written
// just now, which AWS does not tell otherwise.
func deployed(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: deployed BEGUN REACHED [NAME=VALUE...]")
	}
	values := map[string]string{}
	var since time.Time
	for i, stack := range []string{"Gate", "Phase"} {
		if strings.ContainsAny(args[i], "=+") {
			maps.Copy(values, locked(ts, args[i], stack, slices.Contains(args, "rest=monolith")))
			continue
		}
		text, err := os.ReadFile(filepath.Join(golden, args[i], "dev-"+stack+".json"))
		ts.Check(err)
		var template struct {
			Resources map[string]struct{ Properties struct{ Name, Value string } }
		}
		ts.Check(json.Unmarshal(text, &template))
		for _, resource := range template.Resources {
			values[resource.Properties.Name] = resource.Properties.Value
		}
	}
	for _, pair := range args[2:] {
		name, value, _ := strings.Cut(pair, "=")
		switch name {
		case "rest":
			continue
		case "since":
			since = time.Now()
			continue
		}
		values[name] = value
	}
	store := ts.Value("aws").(*parameterStore)
	store.mu.Lock()
	defer store.mu.Unlock()
	store.values, store.since = values, since
}

// locked returns the parameters of the Gate or the Phase stack of the services in
// cdk.out, in these places, or in a phase with a compute as in "switched+compute:users=10%".
func locked(ts *testscript.TestScript, places, stack string, keepRest bool) map[string]string {
	list, err := listing.Read(ts.MkAbs("cdk.out"))
	ts.Check(err)
	rest := "drop"
	if keepRest {
		rest = "monolith"
	}
	phase, compute, _ := strings.Cut(places, "+compute:")
	d, settings, err := config.Load(list.Deployment, map[string]any{"phase": phase, "rest": rest, "compute": compute}, func(string) string { return "" })
	ts.Check(err)
	values := map[string]string{}
	m := d.Migration()
	for _, lock := range m.Locks(m.State(settings.Position)) {
		parameters := lock.Gate
		if stack == "Phase" {
			parameters = lock.Last
		}
		for _, p := range parameters {
			values["/dev/"+p.Name] = p.Value
		}
	}
	return values
}

// asked is "asked TEXT": it tells whether AWS was asked by whom the text says since
// the last time.
func asked(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 1 {
		ts.Fatalf("usage: asked TEXT")
	}
	store := ts.Value("aws").(*parameterStore)
	store.mu.Lock()
	defer store.mu.Unlock()
	if found := strings.Contains(strings.Join(store.by, "\n"), args[0]); found == neg {
		ts.Fatalf("AWS was asked by %q", store.by)
	}
	store.by = nil
}

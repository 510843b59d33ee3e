package local

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"cutover/assets/data"
	"cutover/config"
	ours "cutover/deployment"
	"cutover/internal/build"
	"cutover/internal/canary"
	"cutover/internal/local/alb"
	"cutover/internal/local/ecs"
	"cutover/internal/local/ecs/process"
	"cutover/internal/nightly"
)

// The test binary is also what the tests start: a server in place of a container,
// and a runner that can be killed.
const roleVariable = "CUTOVER_LOCAL_TEST"

func TestMain(m *testing.M) {
	switch role, argument, _ := strings.Cut(os.Getenv(roleVariable), ":"); role {
	case "server":
		os.Exit(serveShop())
	case "calls":
		os.Exit(serveCalls())
	case "exchange":
		os.Exit(serveExchange())
	case "runner":
		os.Exit(serveRunner(argument))
	}
	// Most of the time is spent waiting for health checks. With the slow tests, a busy machine would miss them. The command line wins.
	parallel := "20"
	if nightly.Runs() {
		parallel = "10"
	}
	flag.Set("test.parallel", parallel)
	os.Exit(m.Run())
}

// serveShop answers with what it is and what it was asked for.
func serveShop() int {
	server := &http.Server{Addr: "127.0.0.1:" + os.Getenv("PORT")}
	fault := os.Getenv("FAULT") // a file: while it is there, requests for the API fail or are late, as it says
	server.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/ping" {
			w.WriteHeader(http.StatusNoContent)
			return
		}
		if text, err := os.ReadFile(fault); err == nil && strings.HasPrefix(r.URL.Path, "/api") {
			if string(text) == "late" {
				time.Sleep(2 * canary.MinLatency)
			} else {
				w.WriteHeader(http.StatusInternalServerError)
			}
		}
		body, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %s %s %s", os.Getenv("SECTION"), r.Method, r.RequestURI, body)
	})
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	go func() {
		<-ctx.Done()
		server.Shutdown(context.Background())
	}()
	fmt.Println("listening in place of", os.Getenv("SECTION"))
	if err := server.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	<-ctx.Done()
	return 0
}

// shopCommands run the shop's containers as the server of this binary.
func shopCommands(t *testing.T) map[string]string {
	t.Helper()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	// One that is told to be broken ends at once.
	server := fmt.Sprintf(`[ "$SECTION" != broken ] || exit 3; %s=server exec '%s'`, roleVariable, program)
	return map[string]string{"catalogue": server, "remnants": server, "basket": "SECTION=basket; export SECTION; " + server}
}

// templates are those of an assembly, by stack.
type templates map[string]map[string]any

// resources calls f with the properties of every resource of a type.
func (a templates) resources(resourceType string, f func(stack, id string, properties map[string]any)) {
	for _, stack := range sortedKeys(a) {
		resources := a[stack]["Resources"].(map[string]any)
		for _, id := range sortedKeys(resources) {
			if resource := resources[id].(map[string]any); resource["Type"] == resourceType {
				f(stack, id, resource["Properties"].(map[string]any))
			}
		}
	}
}

func (a templates) find(t *testing.T, resourceType, id string) (found map[string]any) {
	t.Helper()
	a.resources(resourceType, func(_, other string, properties map[string]any) {
		if other == id {
			found = properties
		}
	})
	if found == nil {
		t.Fatalf("no %s is called %s", resourceType, id)
	}
	return found
}

// containers calls f with every container definition, which may be changed.
func (a templates) containers(f func(name string, definition map[string]any)) {
	a.resources("AWS::ECS::TaskDefinition", func(_, _ string, properties map[string]any) {
		for _, definition := range properties["ContainerDefinitions"].([]any) {
			definition := definition.(map[string]any)
			f(definition["Name"].(string), definition)
		}
	})
}

// quick has health checks as often as ALB and ECS allow.
func (a templates) quick() {
	a.resources("AWS::ElasticLoadBalancingV2::TargetGroup", func(_, _ string, properties map[string]any) {
		properties["HealthCheckIntervalSeconds"], properties["HealthCheckTimeoutSeconds"] = 5.0, 4.0
		properties["UnhealthyThresholdCount"] = 10.0 // a busy machine answers late
	})
	a.containers(func(_ string, definition map[string]any) {
		check := definition["HealthCheck"].(map[string]any)
		check["Interval"], check["Timeout"], check["Retries"] = 5.0, 4.0, 10.0
	})
}

// still leaves all services without tasks, where other things are looked at.
func (a templates) still() {
	a.resources("AWS::ECS::Service", func(_, _ string, properties map[string]any) { properties["DesiredCount"] = 0.0 })
}

// scaling has a service scale from one task to three by its requests and, at a
// target that is never reached, by its processor time, and takes its count away. It
// takes both for tasks to be removed.
func scaling(services ...string) func(templates) {
	return func(a templates) {
		for _, name := range services {
			resources := a["dev-"+name]["Resources"].(map[string]any)
			delete(resources["ServiceD69D759B"].(map[string]any)["Properties"].(map[string]any), "DesiredCount")
			resources["Scaling"] = map[string]any{"Type": "AWS::ApplicationAutoScaling::ScalableTarget", "Properties": map[string]any{
				"ServiceNamespace": "ecs", "ScalableDimension": "ecs:service:DesiredCount", "MinCapacity": 1.0, "MaxCapacity": 3.0,
				"ResourceId": map[string]any{"Fn::Join": []any{"", []any{"service/dev/", map[string]any{"Fn::GetAtt": []any{"ServiceD69D759B", "Name"}}}}},
			}}
			for metric, target := range map[string]float64{"ALBRequestCountPerTarget": 120, "ECSServiceAverageCPUUtilization": 10_000} {
				resources["Scale"+metric] = map[string]any{"Type": "AWS::ApplicationAutoScaling::ScalingPolicy", "Properties": map[string]any{
					"PolicyType": "TargetTrackingScaling", "ScalingTargetId": map[string]any{"Ref": "Scaling"},
					"TargetTrackingScalingPolicyConfiguration": map[string]any{
						"TargetValue": target, "PredefinedMetricSpecification": map[string]any{"PredefinedMetricType": metric},
					},
				}}
			}
		}
	}
}

func (a templates) gateOff() {
	for _, stack := range []string{"dev-Gate", "dev-Phase"} {
		resources := a[stack]["Resources"].(map[string]any)
		maps.DeleteFunc(resources, func(id string, _ any) bool { return id != "Parameter" })
	}
}

// press puts the posts behind a load balancer of their own, and the monolith
// behind both.
func press(t *testing.T) func(templates) {
	return func(a templates) {
		copied := func(value any) (same map[string]any) {
			text, err := json.Marshal(value)
			if err == nil {
				err = json.Unmarshal(bytes.ReplaceAll(text, []byte(`"StackName":"dev-Routing"`), []byte(`"StackName":"dev-RoutingPress"`)), &same)
			}
			if err != nil {
				t.Fatal(err)
			}
			return same
		}
		a["dev-RoutingPress"], a["dev-Posts"] = copied(a["dev-Routing"]), copied(a["dev-Posts"])
		for stack, others := range map[string][]string{"dev-Routing": {"Posts"}, "dev-RoutingPress": {"Users", "Threads"}} {
			for _, section := range []string{"Resources", "Outputs"} {
				maps.DeleteFunc(a[stack][section].(map[string]any), func(id string, _ any) bool {
					return slices.ContainsFunc(others, func(other string) bool { return strings.HasPrefix(strings.TrimPrefix(id, "PublishOutputRef"), other) })
				})
			}
		}
		a.resources("AWS::ElasticLoadBalancingV2::TargetGroup", func(stack, _ string, properties map[string]any) {
			if stack == "dev-RoutingPress" {
				properties["Name"] = properties["Name"].(string) + "-press"
			}
		})
		a.resources("AWS::ECS::Service", func(stack, _ string, properties map[string]any) {
			if stack == "dev-Api" {
				first := properties["LoadBalancers"].([]any)[0]
				properties["LoadBalancers"] = []any{first, copied(first)}
			}
		})
	}
}

// forumStacks are the stacks of our own deployment and those that each waits for.
var forumStacks = func() map[string][]string {
	all := map[string][]string{
		"dev-Gate": nil, "dev-Network": nil, "dev-Registry": nil,
		"dev-Cluster": {"dev-Network"}, "dev-Routing": {"dev-Gate", "dev-Network"},
		"dev-RoutingPress":      {"dev-Gate", "dev-Network"},                                // if there is one
		"dev-ApiGatewayAccount": nil, "dev-Front": {"dev-ApiGatewayAccount", "dev-Routing"}, // likewise
	}
	for _, service := range ours.Forum.All() {
		stack := "dev-" + config.Pascal(service.Name)
		all[stack] = []string{"dev-Registry", "dev-Routing", "dev-RoutingPress", "dev-Cluster"}
		all["dev-Phase"] = append(all["dev-Phase"], stack)
	}
	return all
}()

const root = "../.."

// contexts compiles the images of our services, once for all tests.
var contexts = sync.OnceValues(func() (map[string]string, error) {
	options := build.Options{Root: root, Arch: runtime.GOARCH}
	for _, service := range ours.Forum.All() {
		options.Services = append(options.Services, build.Service{Name: service.Name, Dir: "services/" + service.Name})
	}
	return build.Build(context.Background(), options)
})

// forum writes the assembly of a phase of our own deployment: the golden
// templates, changed as asked, and the images that they need.
func forum(t *testing.T, phase string, changes ...func(templates)) (dir string) {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("the images of the services are for Linux")
	}
	contexts, err := contexts()
	if err != nil {
		t.Fatal(err)
	}
	a := templates{}
	files, err := filepath.Glob(filepath.Join(root, "stacks/golden", phase, "dev-*.json"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		stack := strings.TrimSuffix(filepath.Base(file), ".json")
		var template map[string]any
		if err := json.Unmarshal(text, &template); err != nil {
			t.Fatal(err)
		}
		a[stack] = template
	}
	a.quick()
	for _, change := range changes {
		change(a)
	}

	dir = t.TempDir()
	artifacts := map[string]any{}
	for stack, template := range a {
		var dependencies []string
		for _, other := range forumStacks[stack] {
			if a[other] != nil {
				dependencies = append(dependencies, other)
			}
		}
		service := strings.ToLower(strings.TrimPrefix(stack, "dev-"))
		if context := contexts[service]; context != "" {
			writeJSON(t, dir, stack+".assets.json", map[string]any{"dockerImages": map[string]any{service: map[string]any{
				"source":       map[string]any{"directory": context},
				"destinations": map[string]any{"current": map[string]any{"repositoryName": service, "imageTag": "v1-HASH"}},
			}}})
			artifacts[stack+".assets"] = map[string]any{
				"type": "cdk:asset-manifest", "properties": map[string]any{"file": stack + ".assets.json"},
			}
			dependencies = append(dependencies, stack+".assets")
		}
		writeJSON(t, dir, stack+".template.json", template)
		artifacts[stack] = map[string]any{
			"type": "aws:cloudformation:stack", "environment": "aws://unknown-account/unknown-region",
			"dependencies": dependencies, "properties": map[string]any{"templateFile": stack + ".template.json"},
		}
	}
	writeJSON(t, dir, "manifest.json", map[string]any{"artifacts": artifacts})
	return dir
}

// shop is a copy of the shop's assembly, its templates changed as asked.
func shop(t *testing.T, changes ...func(templates)) (dir string) {
	t.Helper()
	dir = t.TempDir()
	if err := os.CopyFS(dir, os.DirFS("testdata/shop")); err != nil {
		t.Fatal(err)
	}
	a := templates{}
	for _, stack := range []string{"ShopPlatform", "ShopEntrance", "ShopCatalogue", "ShopBasket"} {
		text, err := os.ReadFile(filepath.Join(dir, stack+".template.json"))
		if err != nil {
			t.Fatal(err)
		}
		var template map[string]any
		if err := json.Unmarshal(text, &template); err != nil {
			t.Fatal(err)
		}
		a[stack] = template
	}
	for _, change := range changes {
		change(a)
	}
	for stack, template := range a {
		writeJSON(t, dir, stack+".template.json", template)
	}
	return dir
}

func writeJSON(t *testing.T, dir, name string, value any) {
	t.Helper()
	text, err := json.Marshal(value)
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, name), text, 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// deployment is a runner in a test, and what it told.
type deployment struct {
	*Runner
	t *testing.T

	mu        sync.Mutex
	events    []Event
	exchanges []alb.Exchange
}

// limit is how long anything may take before a test gives up.
const limit = 5 * time.Minute

func (d *deployment) options(dir string, run map[string]string) Options {
	return Options{
		Dir: dir,
		Driver: func(_ context.Context, dir string) (Driver, error) {
			return process.New(process.Options{Dir: dir, Volumes: dir + "-volumes", Run: run})
		},
		Ports: map[int]int{}, FreePorts: true,
		Events: func(e Event) {
			d.mu.Lock()
			defer d.mu.Unlock()
			d.events = append(d.events, e)
		},
		Exchanges: func(e alb.Exchange) {
			d.mu.Lock()
			defer d.mu.Unlock()
			d.exchanges = append(d.exchanges, e)
		},
	}
}

// stateDir is a directory whose name leaves room for that of a socket.
func stateDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "local")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// start starts a runner, which is stopped when the test ends.
func start(t *testing.T, dir string, run map[string]string) *deployment {
	if testing.Short() {
		t.Skip("slow: it waits for health checks")
	}
	t.Helper()
	d := &deployment{t: t}
	d.begin(d.options(dir, run))
	return d
}

// begin starts the runner, with options of its own, until the test ends.
func (d *deployment) begin(options Options) {
	d.t.Helper()
	var err error
	if d.Runner, err = Start(d.t.Context(), options); err != nil {
		d.t.Fatal(err)
	}
	d.t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), limit)
		defer cancel()
		if err := d.Stop(ctx); err != nil {
			d.t.Errorf("Stop: %v", err)
		}
	})
}

func (d *deployment) deploy(assembly string) {
	d.t.Helper()
	ctx, cancel := context.WithTimeout(d.t.Context(), limit)
	defer cancel()
	if err := d.Deploy(ctx, assembly); err != nil {
		d.t.Fatalf("Deploy: %v", err)
	}
}

// refuse deploys what must fail with an error that contains the texts.
func (d *deployment) refuse(assembly string, texts ...string) error {
	d.t.Helper()
	ctx, cancel := context.WithTimeout(d.t.Context(), limit)
	defer cancel()
	err := d.Deploy(ctx, assembly)
	if err == nil {
		d.t.Fatalf("Deploy was not refused; want an error with %q", texts)
	}
	for _, text := range texts {
		if !strings.Contains(err.Error(), text) {
			d.t.Errorf("the error is %q, want it to contain %q", err, text)
		}
	}
	return err
}

// url is where a listener answers, by the port of the template.
func (d *deployment) url(port int) string {
	d.t.Helper()
	for _, listener := range d.Status().Listeners {
		if listener.Port == port && listener.URL != "" {
			return strings.Replace(listener.URL, "localhost", "127.0.0.1", 1)
		}
	}
	d.t.Fatalf("no listener answers for port %d", port)
	return ""
}

// tasks are the ids of the tasks of each service.
func (d *deployment) tasks() map[string][]string {
	tasks := map[string][]string{}
	for _, service := range d.Status().Services {
		tasks[service.Name] = []string{}
		for _, task := range service.Tasks {
			tasks[service.Name] = append(tasks[service.Name], task.ID)
		}
	}
	return tasks
}

// picture is everything that a refused deployment must leave as it is: rules,
// groups and their targets, services and their tasks.
func (d *deployment) picture() string {
	d.t.Helper()
	status := d.Status()
	status.Deploying, status.NotRun = false, nil
	for _, group := range status.Groups {
		for i := range group.Targets {
			group.Targets[i].InFlight = 0
		}
	}
	text, err := json.MarshalIndent(status, "", " ")
	if err != nil {
		d.t.Fatal(err)
	}
	return string(text)
}

// told are the events so far.
func (d *deployment) told() []Event {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.events)
}

// happened says whether an event was told.
func (d *deployment) happened(kind, subject, state string) bool {
	return slices.ContainsFunc(d.told(), func(e Event) bool { return e.Kind == kind && e.Subject == subject && e.State == state })
}

// until waits for a condition.
func until(t *testing.T, what string, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(limit); !condition(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within %v", what, limit)
		}
	}
}

// forumAnswers is what the forum answers, by path, whichever service does.
var forumAnswers = sync.OnceValue(func() map[string]string {
	var tables map[string][]json.RawMessage
	if err := json.Unmarshal([]byte(data.API), &tables); err != nil {
		panic(err)
	}
	compact := func(record json.RawMessage) string {
		var b bytes.Buffer
		if err := json.Compact(&b, record); err != nil {
			panic(err)
		}
		return b.String()
	}
	list := func(records []json.RawMessage) string {
		parts := make([]string, len(records))
		for i, record := range records {
			parts[i] = compact(record)
		}
		return "[" + strings.Join(parts, ",") + "]"
	}
	return map[string]string{
		"/api/users":             list(tables["users"]),
		"/api/users/3":           compact(tables["users"][2]),
		"/api/threads":           list(tables["threads"]),
		"/api/threads/1":         compact(tables["threads"][0]),
		"/api/posts":             list(tables["posts"]),
		"/api/posts/in-thread/3": list(tables["posts"][5:]),
	}
})

// load asks for all of the forum's paths until stop is called, which says how
// many requests there were and which were not answered as they must be.
func load(t *testing.T, url string) (stop func() (requests int, lost []string)) {
	t.Helper()
	return loadOf(t, url, 100)
}

// loadOf is load with a number of requests per second. A small load costs less where the number
// proves nothing.
func loadOf(t *testing.T, url string, perSecond int) (stop func() (requests int, lost []string)) {
	t.Helper()
	client := &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 64}}
	var (
		mu       sync.Mutex
		requests int
		lost     []string
		flying   sync.WaitGroup
	)
	ended := make(chan struct{})
	ctx, cancel := context.WithCancel(context.Background())
	ask := func(path string) {
		answer, err := get(client, url+path)
		mu.Lock()
		defer mu.Unlock()
		requests++
		if want := "200 " + forumAnswers()[path]; err != nil || answer != want {
			lost = append(lost, fmt.Sprintf("%s: %q, %v, want %q", path, answer, err, want))
		}
	}
	paths := sortedKeys(forumAnswers())
	go func() {
		defer close(ended)
		ticker := time.NewTicker(time.Second / time.Duration(perSecond))
		defer ticker.Stop()
		for i := 0; ; i++ {
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
				path := paths[i%len(paths)]
				flying.Go(func() { ask(path) })
			}
		}
	}()
	stop = sync.OnceValues(func() (int, []string) {
		cancel()
		<-ended
		flying.Wait()
		client.CloseIdleConnections()
		return requests, lost
	})
	t.Cleanup(func() { stop() })
	return stop
}

// get returns the status and the body of an answer.
func get(client *http.Client, url string) (string, error) {
	response, err := client.Get(url)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return fmt.Sprintf("%d %s", response.StatusCode, body), err
}

// answers checks what the forum answers.
func (d *deployment) answers() {
	d.t.Helper()
	url := d.url(80)
	for path, want := range forumAnswers() {
		if answer, err := get(http.DefaultClient, url+path); err != nil || answer != "200 "+want {
			d.t.Errorf("%s: %q, %v, want 200 %q", path, answer, err, want)
		}
	}
}

func service(d *deployment, name string) ecs.ServiceStatus {
	for _, s := range d.Status().Services {
		if s.Name == name {
			return s
		}
	}
	return ecs.ServiceStatus{}
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

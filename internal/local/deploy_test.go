package local

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"cutover/internal/assembly"
	"cutover/internal/local/alb"
	"cutover/internal/local/ecs"
	"cutover/internal/model"
	"cutover/internal/nightly"
)

// There and back, under load: nothing is lost, every service answers for its own
// paths, and only what a phase changes is started or stopped.
func TestMigration(t *testing.T) {
	t.Parallel()
	d := start(t, stateDir(t), nil)
	d.deploy(forum(t, "monolith"))
	d.answers()
	if got := d.tasks(); len(got["api"]) != 1 || len(got["users"])+len(got["threads"])+len(got["posts"]) != 0 {
		t.Fatalf("tasks are %v, want only the monolith's", got)
	}

	stop := load(t, d.url(80))
	before := d.tasks()
	move := func(phase string) {
		t.Helper()
		d.deploy(forum(t, phase))
		deployed := time.Now()
		d.answers()
		after := d.tasks()
		for name, tasks := range after {
			if len(tasks) > 0 && len(before[name]) > 0 && !slices.Equal(tasks, before[name]) {
				t.Errorf("%s: the tasks of %s are %v and were %v: they were replaced for nothing", phase, name, tasks, before[name])
			}
		}
		before = after

		answering := map[string][]string{} // service by path
		d.mu.Lock()
		exchanges := slices.Clone(d.exchanges)
		d.mu.Unlock()
		for _, e := range exchanges {
			if e.Start.Before(deployed) {
				continue
			}
			module, _, _ := strings.Cut(strings.TrimPrefix(e.URI, "/api/"), "/")
			if group := d.balancers.GroupName(e.Group); !slices.Contains(answering[module], group) {
				answering[module] = append(answering[module], group)
			}
		}
		for _, module := range []string{"users", "threads", "posts"} {
			want := []string{module}
			if phase == "monolith" || phase == "parallel" {
				want = []string{"api"}
			}
			if !slices.Equal(answering[module], want) {
				t.Errorf("%s: %s are answered by %v, want %v", phase, module, answering[module], want)
			}
		}
	}
	for _, phase := range []string{"parallel", "switched", "retired", "removed"} {
		move(phase)
	}
	least := 250
	t.Run("back", func(t *testing.T) {
		nightly.Test(t, "it goes back through four phases")
		least = 500
		for _, phase := range []string{"retired", "switched", "parallel", "monolith"} {
			move(phase)
		}
	})
	requests, lost := stop()
	if len(lost) > 0 {
		t.Errorf("%d of %d requests were lost: %s", len(lost), requests, strings.Join(lost[:min(len(lost), 5)], "\n"))
	}
	if requests < least {
		t.Errorf("there were only %d requests", requests)
	}
}

// Each load balancer answers at a port of its own, moves the paths of its own
// services, and has the monolith behind it.
func TestSeveralLoadBalancers(t *testing.T) {
	nightly.Test(t, "it moves a service to a further load balancer, under load")
	t.Parallel()
	d := &deployment{t: t}
	options := d.options(stateDir(t), nil)
	port := twoFreePorts(t)
	options.Ports[80] = port
	d.begin(options)
	first, second := fmt.Sprintf("http://localhost:%d", port), fmt.Sprintf("http://localhost:%d", port+1)
	answer := func(url string) string {
		t.Helper()
		text, err := get(http.DefaultClient, strings.Replace(url, "localhost", "127.0.0.1", 1))
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	goes := func(url string) string {
		t.Helper()
		route, err := d.Route(alb.Asked{Request: url})
		if err != nil {
			t.Fatal(err)
		}
		return route.Action
	}

	// The further one comes to what runs, and the posts move there: nothing is lost.
	d.deploy(forum(t, "parallel"))
	stop := load(t, strings.Replace(first, "localhost", "127.0.0.1", 1))
	d.deploy(forum(t, "parallel", press(t)))
	if requests, lost := stop(); len(lost) > 0 || requests < 100 {
		t.Errorf("%d of %d requests were lost: %s", len(lost), requests, strings.Join(lost[:min(len(lost), 5)], "\n"))
	}
	var urls []string
	for _, listener := range d.Status().Listeners {
		urls = append(urls, listener.Key+" "+listener.URL)
	}
	if want := []string{"dev-Routing/LoadBalancerHttpF4A6AC3E " + first, "dev-RoutingPress/LoadBalancerHttpF4A6AC3E " + second}; !slices.Equal(urls, want) {
		t.Errorf("the listeners are %v, want %v", urls, want)
	}
	for _, url := range []string{first, second} {
		for path, want := range forumAnswers() {
			if got := answer(url + path); got != "200 "+want {
				t.Errorf("parallel: %s: %s", url+path, got)
			}
		}
	}
	for path, want := range map[string]string{"/api/users/1": first, "/api/posts": second, "/api": first, "/none": first} {
		if got := d.URL(path); got != want {
			t.Errorf("%s is asked for at %s, want %s", path, got, want)
		}
	}
	if got := goes(first+"/api/posts") + " " + goes(second+"/api/posts"); got != "api api-press" {
		t.Errorf("parallel: posts go to %s", got)
	}
	if _, err := d.Route(alb.Asked{Request: "/api/posts"}); err == nil || !strings.Contains(err.Error(), "name the one that is asked, as in "+first+"/api/posts (dev-Routing) or "+second+"/api/posts (dev-RoutingPress)") {
		t.Errorf("a path alone: %v", err)
	}
	for group, want := range map[string]string{
		"dev-Routing/ApiF70053CD": "api", "dev-RoutingPress/ApiF70053CD": "api", "dev-RoutingPress/Posts868B3EAD": "posts", "dev-RoutingPress/DropTraffic515AB75F": "drop-traffic-press",
	} {
		if got := d.ServiceName(group); got != want {
			t.Errorf("behind %s is %s, want %s", group, got, want)
		}
	}
	// A target of either group is one of the service.
	d.mu.Lock()
	healthy := map[string]int{}
	for _, e := range d.events {
		if e.Kind == "target" && e.State == "healthy" {
			healthy[e.Subject]++
		}
	}
	d.mu.Unlock()
	if healthy["api"] < 2 || healthy["api-press"] != 0 {
		t.Errorf("targets became healthy: %v; want those of api under its name", healthy)
	}
	if targets := service(d, "api").Tasks[0].Targets; targets["dev-Routing/ApiF70053CD"] != ecs.TargetHealthy || targets["dev-RoutingPress/ApiF70053CD"] != ecs.TargetHealthy {
		t.Errorf("the monolith's task is %v", targets)
	}

	tasks := d.tasks()
	d.deploy(forum(t, "switched", press(t)))
	if after := d.tasks(); !maps.EqualFunc(tasks, after, slices.Equal) {
		t.Errorf("tasks are %v and were %v", after, tasks)
	}
	for path, want := range forumAnswers() {
		owner, other := first, second
		if strings.HasPrefix(path, "/api/posts") {
			owner, other = second, first
		}
		if got := d.URL(path); got != owner {
			t.Errorf("%s is asked for at %s, want %s as before", path, got, owner)
		}
		if got := answer(owner + path); got != "200 "+want {
			t.Errorf("switched: %s: %s", owner+path, got)
		}
		if got := answer(other + path); !strings.HasPrefix(got, "503 ") {
			t.Errorf("switched: %s: %s, want 503", other+path, got)
		}
	}
	if got := goes(second + "/api/posts"); got != "posts-press" {
		t.Errorf("switched: posts go to %s", got)
	}
}

// twoFreePorts returns the first of two ports in a row that nobody has.
func twoFreePorts(t *testing.T) int {
	t.Helper()
	for port := 20000; port < 30000; port += 2 {
		first, err1 := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		second, err2 := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port+1))
		for _, ln := range []net.Listener{first, second} {
			if ln != nil {
				ln.Close()
			}
		}
		if errors.Join(err1, err2) == nil {
			return port
		}
	}
	t.Fatal("no two ports in a row are free")
	return 0
}

func TestPhaseOutOfTurn(t *testing.T) {
	t.Parallel()
	d := start(t, stateDir(t), nil)
	d.deploy(forum(t, "monolith"))
	before := d.picture()
	d.refuse(forum(t, "switched"), "dev-Gate", "already exists", "/dev/phase-gate/")
	if after := d.picture(); after != before {
		t.Errorf("a refused phase changed what runs:\n%s\nwas\n%s", after, before)
	}
	if !d.happened("stack", "dev-Gate", "FAILED") || d.happened("stack", "dev-Routing", "FAILED") {
		t.Error("the events do not say that the gate refused it")
	}
	d.deploy(forum(t, "monolith")) // a refusal takes nothing away

	d.deploy(forum(t, "switched", templates.gateOff))
	if got := d.tasks(); len(got["users"]) != 1 {
		t.Errorf("tasks are %v: with the gate off, the phase is not deployed", got)
	}
	d.answers()
}

// What is deleted, is deleted last. Until then both are there.
func TestDeletionsLast(t *testing.T) {
	t.Parallel()
	d := start(t, stateDir(t), nil)
	d.deploy(forum(t, "parallel", templates.still))
	a, err := assembly.Read(forum(t, "switched", templates.still, func(a templates) { delete(a, "dev-Posts") }))
	if err != nil {
		t.Fatal(err)
	}
	next := d.plan(model.Read(a))
	for _, plan := range next {
		if err := plan.Check(); err != nil {
			t.Fatal(err)
		}
	}
	update := func(stack string) error { _, err := next.update(t.Context(), stack); return err }
	clean := func(stack string) error { return next.clean(t.Context(), stack) }
	for _, c := range []struct {
		what     string
		do       func(stack string) error
		rules    []string
		services int
	}{
		{"before", func(string) error { return nil }, []string{"10000 api", "20010 users", "20020 threads", "20030 posts", "0 api"}, 4},
		{"meanwhile", update, []string{"10000 api", "20010 users", "20020 threads", "20030 posts", "0 drop-traffic"}, 4},
		{"after", clean, []string{"20010 users", "20020 threads", "20030 posts", "0 drop-traffic"}, 3},
	} {
		for _, stack := range []string{"dev-Routing", "dev-Posts"} {
			if err := c.do(stack); err != nil {
				t.Fatal(err)
			}
		}
		status := d.Status()
		var got []string
		for _, rule := range status.Listeners[0].Rules {
			got = append(got, fmt.Sprint(rule.Priority, " ", rule.Action))
		}
		if !slices.Equal(got, c.rules) || len(status.Services) != c.services {
			t.Errorf("%s, rules are %q, want %q; there are %d services, want %d", c.what, got, c.rules, len(status.Services), c.services)
		}
	}
}

// The rule that goes still holds while a service of its stack is being updated.
func TestRuleDeletedLast(t *testing.T) {
	t.Parallel()
	hold := filepath.Join(t.TempDir(), "hold")
	run := shopCommands(t)
	run["remnants"] = fmt.Sprintf("while [ -e '%s' ]; do sleep 0.05; done; %s", hold, run["remnants"])
	d := start(t, stateDir(t), run)
	d.deploy(shop(t))
	if err := os.WriteFile(hold, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	update := shop(t, func(a templates) {
		a.find(t, "AWS::ElasticLoadBalancingV2::ListenerRule", "Browse36F415F6")
		resources := a["ShopCatalogue"]["Resources"].(map[string]any)
		delete(resources, "Browse36F415F6")
		for _, resource := range resources {
			delete(resource.(map[string]any), "DependsOn")
		}
		a.containers(func(name string, definition map[string]any) {
			if name == "remnants" {
				definition["Cpu"] = 7.0
			}
		})
	})
	www := d.url(80)
	ended := make(chan error, 1)
	go func() { ended <- d.Deploy(t.Context(), update) }()
	until(t, "the new task runs", func() bool { return len(service(d, "RemnantsService").Tasks) == 2 })
	if got := shopAnswer(t, www, "GET shop.example /"); got != "200 books GET / wanted" {
		t.Errorf("meanwhile the answer is %q", got)
	}
	if err := os.Remove(hold); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	if got := shopAnswer(t, www, "GET shop.example /"); got != "404 no such shop" {
		t.Errorf("afterwards the answer is %q", got)
	}
}

func TestPriorityInUse(t *testing.T) {
	t.Parallel()
	d := start(t, stateDir(t), nil)
	routing := func(a templates) map[string]any { return a["dev-Routing"]["Resources"].(map[string]any) }
	d.deploy(forum(t, "parallel", templates.still))
	before := d.picture()
	for name, change := range map[string]func(templates){
		"renamed": func(a templates) {
			routing(a)["Another"] = routing(a)["UsersServiceRuleF8E4FD22"]
			delete(routing(a), "UsersServiceRuleF8E4FD22")
		},
		"swapped": func(a templates) {
			a.find(t, "AWS::ElasticLoadBalancingV2::ListenerRule", "UsersServiceRuleF8E4FD22")["Priority"] = 20020.0
			a.find(t, "AWS::ElasticLoadBalancingV2::ListenerRule", "ThreadsServiceRuleF440FCC6")["Priority"] = 20010.0
		},
		"in another stack": func(a templates) {
			rule := a.find(t, "AWS::ElasticLoadBalancingV2::ListenerRule", "UsersServiceRuleF8E4FD22")
			rule["Priority"] = 20012.0
			a["dev-Network"]["Resources"].(map[string]any)["Another"] = map[string]any{
				"Type": "AWS::ElasticLoadBalancingV2::ListenerRule", "Properties": map[string]any{
					"Priority": 20010.0, "Conditions": rule["Conditions"],
					"Actions":     []any{map[string]any{"Type": "fixed-response", "FixedResponseConfig": map[string]any{"StatusCode": "418"}}},
					"ListenerArn": map[string]any{"Fn::GetStackOutput": map[string]any{"StackName": "dev-Routing", "OutputName": "Listener"}},
				},
			}
			a["dev-Routing"]["Outputs"].(map[string]any)["Listener"] = map[string]any{"Value": map[string]any{"Ref": "LoadBalancerHttpF4A6AC3E"}}
		},
	} {
		err := d.refuse(forum(t, "parallel", templates.still, change), "priority 200", "is in use by dev-Routing/")
		if after := d.picture(); after != before {
			t.Errorf("%s: the refusal (%v) changed what runs:\n%s\nwas\n%s", name, err, after, before)
		}
	}
	d.deploy(forum(t, "parallel", templates.still, func(a templates) {
		a.find(t, "AWS::ElasticLoadBalancingV2::ListenerRule", "UsersServiceRuleF8E4FD22")["Priority"] = 20011.0
	}))
	if rules := d.Status().Listeners[0].Rules; rules[1].Priority != 20011 {
		t.Errorf("rules are %v, want the one for users at 20011", rules)
	}
}

// A stack that the app has no more goes, also if a deployment in between failed.
func TestStackRemoved(t *testing.T) {
	nightly.Test(t, "it deploys the forum three times")
	t.Parallel()
	d := start(t, stateDir(t), nil)
	d.deploy(forum(t, "parallel"))
	before := d.tasks()
	gone := func(a templates) { delete(a, "dev-Posts") }
	d.refuse(forum(t, "retired", gone), "already exists")
	if !maps.EqualFunc(d.tasks(), before, slices.Equal) {
		t.Fatalf("tasks are %v and were %v before a deployment that was refused", d.tasks(), before)
	}
	d.deploy(forum(t, "parallel", gone))
	after := d.tasks()
	if _, ok := after["posts"]; ok || !slices.Equal(after["users"], before["users"]) || !slices.Equal(after["api"], before["api"]) {
		t.Errorf("tasks are %v and were %v, want only those of posts to be gone", after, before)
	}
	if !d.happened("stack", "dev-Posts", "REMOVED") {
		t.Error("no event says that the stack was removed")
	}
	d.answers()
}

// A service that cannot start does not come to answer, and the one that runs goes
// on to.
func TestCrashRollsBack(t *testing.T) {
	nightly.Test(t, "it deploys a service that crashes, under load")
	t.Parallel()
	d := start(t, stateDir(t), nil)
	d.deploy(forum(t, "switched"))
	before := d.tasks()
	stop := loadOf(t, d.url(80), 100)
	err := d.refuse(forum(t, "switched", func(a templates) {
		a.containers(func(name string, definition map[string]any) {
			if name == "users" {
				definition["Command"] = []any{"--no-such-flag"}
			}
		})
	}), "dev-Users", "deployment failed", "rolled back")
	if !errors.Is(err, ecs.ErrDeploymentFailed) {
		t.Errorf("the error is %v, want it to be ErrDeploymentFailed", err)
	}
	if requests, lost := stop(); len(lost) > 0 {
		t.Errorf("%d of %d requests were lost: %s", len(lost), requests, lost[0])
	}
	if after := d.tasks(); !maps.EqualFunc(after, before, slices.Equal) {
		t.Errorf("tasks are %v and were %v", after, before)
	}
	d.deploy(forum(t, "switched"))
	if after := d.tasks(); !maps.EqualFunc(after, before, slices.Equal) {
		t.Errorf("after the repair tasks are %v and were %v", after, before)
	}
}

// When one service of a stack cannot be updated, the others go back as well.
func TestStackRollsBack(t *testing.T) {
	t.Parallel()
	d := start(t, stateDir(t), shopCommands(t))
	breaker := func(a templates) {
		a.resources("AWS::ECS::Service", func(_, _ string, properties map[string]any) {
			properties["DeploymentConfiguration"].(map[string]any)["DeploymentCircuitBreaker"] = map[string]any{"Enable": true, "Rollback": true}
		})
	}
	d.deploy(shop(t, breaker))
	section := func(a templates, container, value string) {
		a.containers(func(name string, definition map[string]any) {
			if name == container {
				definition["Environment"] = []any{map[string]any{"Name": "SECTION", "Value": value}}
			}
		})
	}
	d.refuse(shop(t, breaker, func(a templates) {
		section(a, "catalogue", "magazines")
		section(a, "remnants", "broken")
	}), "ShopCatalogue", "rolled back")
	for _, s := range d.Status().Services {
		if !s.Steady {
			t.Errorf("service %s is not steady", s.Name)
		}
	}
	if got := shopAnswer(t, d.url(80), "GET shop.example /"); got != "200 books GET / wanted" {
		t.Errorf("the answer is %q, want it to be of the service as it was", got)
	}
}

// A socket that cannot be had is found before anything changes.
func TestPortInUse(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	port := taken.Addr().(*net.TCPAddr).Port
	d := start(t, stateDir(t), shopCommands(t))
	d.Runner.options.Ports[9090] = port
	d.refuse(shop(t), "ShopEntrance/DoorStaff", strconv.Itoa(port), "in use", "--port 9090=")
	if status := d.Status(); len(status.Listeners)+len(status.Services) > 0 {
		t.Errorf("something runs: %v", status)
	}
	taken.Close()
	d.deploy(shop(t))
	if got := shopAnswer(t, d.url(9090), "GET shop.example /"); got != `403 {"error":"staff only"}` {
		t.Errorf("the answer is %q", got)
	}
}

// An assembly that cannot be read or run leaves what runs alone.
func TestBadAssembly(t *testing.T) {
	t.Parallel()
	dir := stateDir(t)
	d := start(t, dir, shopCommands(t))
	d.deploy(shop(t))
	before := d.picture()
	broken := func(file string, change func(string) string) string {
		dir := shop(t)
		file = filepath.Join(dir, file)
		text, err := os.ReadFile(file)
		if err == nil {
			err = os.WriteFile(file, []byte(change(string(text))), 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
		return dir
	}
	cut := func(text string) string { return text[:len(text)/2] }
	for _, c := range []struct {
		dir  string
		want []string
	}{
		{t.TempDir(), []string{"manifest.json", "cdk synth"}},
		{broken("manifest.json", cut), []string{"manifest.json", "unexpected end of JSON input"}},
		{broken("ShopCatalogue.template.json", cut), []string{"ShopCatalogue.template.json", "unexpected end of JSON input"}},
		{broken("ShopBasket.template.json", func(text string) string {
			return strings.ReplaceAll(text, `"HTTP"`, `"TCP"`)
		}), []string{"cannot be run here", "ShopBasket", "Protocol", "TCP"}},
		{broken("ShopBasket.template.json", func(text string) string {
			return strings.ReplaceAll(text, "ShopEntrance:", "NoSuchStack:")
		}), []string{"cannot be run here", "ShopBasket", "NoSuchStack"}},
	} {
		d.refuse(c.dir, c.want...)
		if after := d.picture(); after != before {
			t.Errorf("%q changed what runs:\n%s\nwas\n%s", c.want, after, before)
		}
	}
	if copies, _ := os.ReadDir(filepath.Join(dir, "assemblies")); len(copies) != 1 {
		t.Errorf("there are %d copies of assemblies, want only that of the one that runs", len(copies))
	}
	if got := shopAnswer(t, d.url(80), "GET shop.example /"); got != "200 books GET / wanted" {
		t.Errorf("the answer is %q", got)
	}
}

// All phases have the same images, which are most of an assembly.
func TestAssetsAreCopiedOnce(t *testing.T) {
	t.Parallel()
	dir := stateDir(t)
	d := start(t, dir, shopCommands(t))
	withAsset := func() string {
		from := shop(t, templates.still)
		for name, text := range map[string]string{"asset.1234/bin/program": "its name is the hash of this", "note.txt": from} {
			file := filepath.Join(from, name)
			err := os.MkdirAll(filepath.Dir(file), 0o755)
			if err == nil {
				err = os.WriteFile(file, []byte(text), 0o755)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		return from
	}
	d.deploy(withAsset())
	d.deploy(withAsset())
	d.deploy(withAsset())
	var copies []os.FileInfo
	for _, n := range []string{"1", "2", "3"} {
		info, err := os.Stat(filepath.Join(dir, "assemblies", n, "asset.1234/bin/program"))
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != 0o755 {
			t.Errorf("copy %s has mode %v", n, info.Mode())
		}
		copies = append(copies, info)
	}
	if !os.SameFile(copies[0], copies[1]) || !os.SameFile(copies[0], copies[2]) {
		t.Error("the asset was copied for every deployment")
	}
	first, _ := os.ReadFile(filepath.Join(dir, "assemblies/1/note.txt"))
	second, _ := os.ReadFile(filepath.Join(dir, "assemblies/2/note.txt"))
	if len(first) == 0 || string(first) == string(second) {
		t.Errorf("what is no asset is %q in the first copy and %q in the second, want each assembly's own", first, second)
	}
}

// One deployment at a time; to look at it is not one.
func TestDeployingOnce(t *testing.T) {
	t.Parallel()
	d := start(t, stateDir(t), shopCommands(t))
	looking, stop := context.WithCancel(t.Context())
	looked := make(chan struct{})
	go func() {
		defer close(looked)
		for looking.Err() == nil {
			d.Status()
		}
	}()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- d.Deploy(ctx, shop(t)) }()
	until(t, "it is deploying", func() bool { return d.Status().Deploying })
	d.refuse("testdata/shop", "another assembly is being deployed")
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("a deployment that is cut off ends with %v", err)
	}
	stop()
	<-looked
	d.deploy(shop(t)) // what is left
}

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"cutover/config"
	"cutover/deployment"
	"cutover/internal/canary"
	"cutover/internal/local"
	"cutover/internal/local/alb"
	"cutover/internal/step"
)

// What is redrawn fits the terminal: of very many services the verdict does. The
// monolith is shown once for those that are compared with the same figures.
func TestManyWatchedServices(t *testing.T) {
	w := &watched{Target: "local", Monolith: "api", Verdict: canary.Wait, Next: []nextStep{{"cutover watch", "ask again"}}, length: 10 * time.Second}
	for i := range 40 {
		round := canary.Round{Service: canary.Sample{Requests: i}, Monolith: canary.Sample{Requests: 1000 + i/20}}
		subject := canary.Subject{Service: fmt.Sprintf("service-%02d", i), Monolith: "api", Length: w.length, Rounds: []canary.Round{round, round}}
		w.Services = append(w.Services, watchedService{Service: subject.Service, With: "api", Percent: 100, Rounds: subject.Rounds, Findings: subject.Judge()})
	}
	w.decide()
	var out bytes.Buffer
	v := &view{out: &out, terminal: true, height: func() int { return 24 }}
	if text := v.watched(w, v.room()); strings.Count(text, "\n") != 23 || !strings.HasPrefix(text, "WAIT  service-00 had 0 requests") {
		t.Errorf("this does not fit the terminal's 24 lines:\n%s", text)
	}
	all := v.watched(w, 0)
	if n := strings.Count(all, "\napi  "); n != 2 || !strings.Contains(all, "\nservice-19  100 %    19        0.0 % not enough  - not enough  0 ok       wait\napi                  1000      0.0 %             -             0\nservice-20 ") {
		t.Errorf("the monolith is there %d times, want it for each load balancer:\n%s", n, all)
	}
	if !strings.HasSuffix(all, "\n      service-39 had 39 requests in a period of 10 s, and it takes 50\n\nNext\n  cutover watch  # ask again\n") {
		t.Errorf("not everything is told:\n%s", all)
	}
}

// What comes next for services with places of their own follows from each verdict.
func TestNextOfEach(t *testing.T) {
	d := config.Deployment{Monolith: config.Service{Name: "api", Paths: []string{"/api*"}}, Services: []config.Service{
		{Name: "users", Order: 10, Paths: []string{"/api/users*"}},
		{Name: "posts", Routes: []config.Route{{Name: "reads", Order: 30, Paths: []string{"/api/posts*"}}, {Name: "writes", Order: 20, Paths: []string{"/api/posts/new"}}}},
		{Name: "threads", Order: 40, Paths: []string{"/api/threads*"}},
	}}
	const (
		goOn = canary.GoOn
		wait = canary.Wait
		back = canary.Back
	)
	for _, test := range []struct {
		places   string
		rest     bool
		verdicts map[string]canary.Verdict
		want     []string
	}{
		{"users=10%", false, map[string]canary.Verdict{"users": goOn}, []string{"canary users=50: more of the traffic", "next users: all of the traffic of users"}},
		{"users=49%,threads=50%", false, map[string]canary.Verdict{"users": goOn, "threads": goOn}, []string{"canary users=50,threads=100: more of the traffic", "next users threads: all of the traffic of users, threads"}},
		{"users=100%", false, map[string]canary.Verdict{"users": goOn}, []string{"next users: all of the traffic of users"}},
		{"users=10%,threads=switched", false, map[string]canary.Verdict{"users": wait, "threads": back}, []string{"back threads: api has all of the traffic of threads again", "wait: ask again"}},
		{"users=10%,threads=10%", false, map[string]canary.Verdict{"users": back, "threads": goOn}, []string{"back users: api has all of the traffic of users again", "canary threads=50: more of the traffic", "next threads: all of the traffic of threads"}},
		{"users=switched", false, map[string]canary.Verdict{"users": goOn}, nil},
		{"posts/reads=10%,posts/writes=switched", false, map[string]canary.Verdict{"posts": goOn}, []string{"canary posts/reads=50: more of the traffic", "next posts/reads: all of the traffic of posts/reads"}},
		{"posts/reads=10%,posts/writes=switched", false, map[string]canary.Verdict{"posts": back}, []string{"back posts: api has all of the traffic of posts again"}},
		{"posts/reads=10%,posts/writes=60%", false, map[string]canary.Verdict{"posts": goOn}, []string{"canary posts/reads=50,posts/writes=100: more of the traffic", "next posts: all of the traffic of posts"}},
		{"posts/reads=parallel,posts/writes=10%", false, map[string]canary.Verdict{"posts": back}, []string{"back posts/writes: api has all of the traffic of posts/writes again"}},
		{"users=switched,posts=switched,threads=switched", false, map[string]canary.Verdict{"users": goOn, "posts": goOn, "threads": goOn}, []string{"next: api stops"}},
		{"users=switched,posts=switched,threads=switched", true, map[string]canary.Verdict{"users": goOn, "posts": goOn, "threads": goOn}, nil},
		{"users=switched,posts=switched,threads=switched", false, map[string]canary.Verdict{"users": goOn, "posts": wait, "threads": goOn}, []string{"wait: ask again"}},
	} {
		context := map[string]any{"phase": test.places}
		if test.rest {
			context["rest"] = "monolith"
		}
		app, err := step.ReadContext(d, context, "")
		if err != nil {
			t.Fatal(err)
		}
		w := &watched{Monolith: "api"}
		for name, verdict := range test.verdicts {
			w.Services = append(w.Services, watchedService{Service: name, of: name, Verdict: verdict})
		}
		say := func(what string) func([]string) string {
			return func(names []string) string { return strings.Join(append([]string{what}, names...), " ") }
		}
		w.nextOfEach(app, moves{wait: "wait", back: say("back"), next: say("next"), canary: func(shares string) string { return "canary " + shares }})
		var got []string
		for _, next := range w.Next {
			got = append(got, next.Command+": "+next.Does)
		}
		if !slices.Equal(got, test.want) {
			t.Errorf("%s, %v: %q, want %q", test.places, test.verdicts, got, test.want)
		}
	}
}

// What comes next for services that move to another compute follows from each verdict, beside what comes
// next for the phase.
func TestNextOfComputes(t *testing.T) {
	fargate, ec2 := config.Fargate{}, config.EC2{}
	d := config.Deployment{Monolith: config.Service{Name: "api", Paths: []string{"/api*"}, Compute: ec2, Next: fargate}, Services: []config.Service{
		{Name: "users", Order: 10, Paths: []string{"/api/users*"}, Compute: ec2, Next: fargate}, {Name: "posts", Order: 20, Paths: []string{"/api/posts*"}, Compute: fargate, Next: ec2},
	}}
	const goOn, wait, back = canary.GoOn, canary.Wait, canary.Back
	for _, test := range []struct {
		compute  string
		services []watchedService
		want     string // here and on AWS
	}{
		{"users=10%", []watchedService{{of: "users", Verdict: goOn}}, "-c compute=users=50% # more of the traffic; -c compute=users=switched # all of the traffic of users | next --compute users=50; next --compute users"},
		{"users=49%,posts=50%", []watchedService{{of: "users", Verdict: goOn}, {of: "posts", Verdict: goOn}}, "-c compute=posts=100%,users=50% # more of the traffic; -c compute=posts=switched,users=switched # all of the traffic of users, posts | next --compute users=50 --compute posts=100; next --compute users --compute posts"},
		{"users=100%", []watchedService{{of: "users", Verdict: goOn}}, "-c compute=users=switched # all of the traffic of users | next --compute users"},
		{"users=switched", []watchedService{{of: "users", Verdict: goOn}}, "-c compute=users=retired # the old pair of users stops | next --compute users"},
		{"users=switched", []watchedService{{of: "users", Verdict: back}}, "-c compute=users=parallel # the old pair has all of the traffic of users again | back --compute users"},
		{"users=10%", []watchedService{{of: "users", Verdict: wait}}, "wait # ask again | wait"},
		{"users=10%,posts=10%", []watchedService{{of: "users", Verdict: wait}, {of: "posts", Verdict: back}}, "-c compute=posts=parallel,users=10% # the old pair has all of the traffic of posts again; wait # ask again | back --compute posts; wait"},
		// The monolith is compared at each load balancer, and the worst counts.
		{"api=10%", []watchedService{{of: "api", Verdict: goOn}, {of: "api", Verdict: back}, {of: "api", Verdict: wait}}, "-c compute=api=parallel # the old pair has all of the traffic of api again | back --compute api"},
	} {
		app, err := step.ReadContext(d, map[string]any{"phase": "monolith", "compute": test.compute}, "")
		if err != nil {
			t.Fatal(err)
		}
		for i := range test.services {
			test.services[i].Compute = true
		}
		here, there := movesHere(app, "cutover"), movesThere("wait", "back", "next")
		here.wait = "wait"
		var sides []string
		for i, move := range []moves{here, there} {
			w := &watched{Monolith: "api", Services: test.services}
			w.next("wait", "back", "more", "switch", "retire", false)
			if len(w.Next) != 0 {
				t.Errorf("the phase has %v", w.Next)
			}
			w.nextOfComputes(app, move)
			var next []string
			for _, one := range w.Next {
				text := strings.TrimPrefix(one.Command, "cutover deploy --phase monolith ")
				if i == 0 {
					text += " # " + one.Does
				}
				next = append(next, text)
			}
			sides = append(sides, strings.Join(next, "; "))
		}
		if got := strings.Join(sides, " | "); got != test.want {
			t.Errorf("%s: %s, want\n%s", test.compute, got, test.want)
		}
	}
	// A phase and its shares stay what they are; to wait is said once.
	app, err := step.ReadContext(d, map[string]any{"phase": "parallel", "shift": "posts=5,users=20", "compute": "users=10%"}, "")
	if err != nil {
		t.Fatal(err)
	}
	w := &watched{Monolith: "api", Services: []watchedService{{Service: "users", of: "users", Percent: 20, Verdict: wait}, {Service: "users-fargate", of: "users", Compute: true, Percent: 10, Verdict: goOn}}}
	w.next("wait", "back", "more", "switch", "retire", false)
	w.nextOfComputes(app, movesHere(app, "cutover"))
	if got, want := fmt.Sprint(w.Next), "[{wait ask again} {cutover deploy --phase parallel -c shift=posts=5,users=20 -c compute=users=50% more of the traffic} {cutover deploy --phase parallel -c shift=posts=5,users=20 -c compute=users=switched all of the traffic of users}]"; got != want {
		t.Errorf("%s, want\n%s", got, want)
	}
	w = &watched{Monolith: "api", Services: []watchedService{{of: "users", Verdict: wait}, {of: "users", Compute: true, Verdict: wait}}}
	w.next("wait", "back", "more", "switch", "retire", false)
	move := movesHere(app, "cutover")
	move.wait = "wait"
	if w.nextOfComputes(app, move); len(w.Next) != 1 {
		t.Errorf("%v", w.Next)
	}
	// A share of the phase does not follow from the compute.
	w = &watched{Monolith: "api", Services: []watchedService{{of: "users", Percent: 10, Verdict: goOn}, {of: "posts", Compute: true, Percent: 70, Verdict: back}}}
	if w.next("wait", "back", "more ", "switch", "retire", false); fmt.Sprint(w.Next) != "[{more users=50 more of the traffic} {switch all of it, and that of all other microservices}]" {
		t.Errorf("%v", w.Next)
	}
}

// Pairs are compared by the list of services, wherever each is.
func TestComparedHere(t *testing.T) {
	d := config.Deployment{Monolith: config.Service{Name: "api", Paths: []string{"/api*"}, Compute: config.EC2{}, Next: config.Fargate{}}, Services: []config.Service{
		{Name: "users", Order: 10, Paths: []string{"/api/users*"}, Compute: config.Fargate{}, Next: config.EC2{}}, {Name: "posts", Order: 20, Paths: []string{"/api/posts*"}, Compute: config.Fargate{}},
	}}
	for compute, want := range map[string]string{
		"api=10%":              "{[api api-fargate] map[api-fargate:api users:users-fargate]}",
		"api=switched":         "{[api-fargate api] map[api-fargate:api users:users-fargate]}",
		"users=33%":            "{[api api-fargate] map[api-fargate:api users:users-fargate]}",
		"users=33%,api=66%":    "{[api api-fargate] map[api-fargate:api users:users-fargate]}",
		"api=retired,users=0%": "{[api-fargate api] map[api-fargate:api users:users-fargate]}",
	} {
		for _, phase := range []string{"parallel", "users=10%,posts=parallel"} {
			app, err := step.ReadContext(d, map[string]any{"phase": phase, "compute": compute}, "")
			if err != nil {
				t.Fatal(err)
			}
			parameters := map[string]string{}
			for _, lock := range app.Migration.Locks(app.Migration.State(app.At)) {
				for _, p := range append(lock.Gate, lock.Last...) {
					parameters["/dev/"+p.Name] = p.Value
				}
			}
			if got := fmt.Sprint(comparedHere(app.Migration, positionHere(app.Migration, parameters, nil))); got != want {
				t.Errorf("%s, %s: %s, want %s", phase, compute, got, want)
			}
			canaries := []local.Canary{{Service: "users-fargate", Percent: 10, Shares: map[int]float64{1010: 10}}}
			for name, place := range app.At.Compute {
				pair := map[string]string{"users": "users", "api": "api-fargate"}[name]
				canaries = append(canaries, local.Canary{Service: pair, Compute: true, Percent: float64(place.Percent) + 0.4, Shares: map[int]float64{1010: 77}})
			}
			at := positionHere(app.Migration, parameters, canaries)
			if phase == "parallel" {
				app.At.Shift = map[string]int{"users": 10}
			}
			if at.String() != app.At.String() {
				t.Errorf("%s, %s: %v, want %v", phase, compute, at, app.At)
			}
		}
	}
}

// After the switch of all services the monolith stops, unless it keeps the rest.
func TestNextOfASwitch(t *testing.T) {
	for keepRest, want := range map[bool][]nextStep{false: {{"retire", "api stops"}}, true: {}} {
		w := &watched{Monolith: "api", Services: []watchedService{{Service: "users", Verdict: canary.GoOn}}, switched: true}
		w.next("wait", "back", "more", "switch", "retire", keepRest)
		if w.Next == nil || !slices.Equal(w.Next, want) {
			t.Errorf("keeps the rest %t: %q, want %q", keepRest, w.Next, want)
		}
	}
}

// On this machine the parameters have the places and the rules have the shares.
func TestPositionHere(t *testing.T) {
	d := deployment.Forum
	app, err := step.ReadContext(d, map[string]any{"phase": "users=10%,posts=switched,threads=0%"}, "")
	if err != nil {
		t.Fatal(err)
	}
	parameters := map[string]string{"/other/phase": "parallel", "/zzz": "x"}
	for _, lock := range app.Migration.Locks(app.Migration.State(app.At)) {
		for _, p := range append(lock.Gate, lock.Last...) {
			parameters["/dev/"+p.Name] = p.Value
		}
	}
	canaries := []local.Canary{{Service: "users", Shares: map[int]float64{1010: 10.000001, 30010: 100}}, {Service: "posts", Shares: map[int]float64{1030: 100}}}
	if at := positionHere(app.Migration, parameters, canaries); at.String() != app.At.String() {
		t.Errorf("%v, want %v", at, app.At)
	}
	if at := positionHere(app.Migration, map[string]string{"/dev/phase": "parallel"}, nil); at.Places != nil {
		t.Errorf("one phase for all has %v", at)
	}
	move := movesHere(app, "cutover")
	for got, want := range map[string]string{
		move.back([]string{"users", "posts"}): "posts=parallel,threads=0%,users=parallel",
		move.next([]string{"users"}):          "posts=switched,threads=0%,users=switched",
		move.canary("threads=50,users=100"):   "posts=switched,threads=50%,users=100%",
	} {
		if got != "cutover deploy --phase "+want {
			t.Errorf("%s, want the phase %s", got, want)
		}
	}
	for places, want := range map[string]string{
		"users=monolith":                  "posts=parallel,threads=parallel,users=parallel",
		"threads=parallel":                "posts=monolith,threads=10%,users=monolith",
		"threads=parallel,users=parallel": "posts=monolith,threads=parallel,users=10%",
	} {
		app, err := step.ReadContext(d, map[string]any{"phase": places}, "")
		if err != nil {
			t.Fatal(err)
		}
		if got := beginning(app); got != want {
			t.Errorf("a canary begins with %s after %s, want %s", got, places, want)
		}
	}
}

// forum is "forum PHASE DIR [SERVICE=PERCENT]": it writes the assembly of a phase
// of our own deployment, as the golden templates have it, with a shift.
func forum(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 || len(args) > 3 {
		ts.Fatalf("usage: forum PHASE DIR [SERVICE=PERCENT]")
	}
	dir := ts.MkAbs(args[1])
	ts.Check(os.MkdirAll(dir, 0o755))
	files, err := filepath.Glob(filepath.Join(golden, args[0], "dev-*.json"))
	ts.Check(err)
	artifacts := map[string]any{}
	for _, file := range files {
		stack := strings.TrimSuffix(filepath.Base(file), ".json")
		text, err := os.ReadFile(file)
		ts.Check(err)
		if service, percent, ok := strings.Cut(strings.Join(args[2:], ""), "="); ok && stack == "dev-Routing" {
			share, err := strconv.Atoi(percent)
			ts.Check(err)
			text = shifted(ts, text, service, share)
		}
		// A busy machine may start a task late.
		text = bytes.ReplaceAll(text, []byte(`"HealthCheckGracePeriodSeconds": 15`), []byte(`"HealthCheckGracePeriodSeconds": 300`))
		ts.Check(os.WriteFile(filepath.Join(dir, stack+".template.json"), text, 0o644))
		dependencies := []string{}
		switch stack {
		case "dev-Gate", "dev-Network", "dev-Registry":
		case "dev-Cluster", "dev-Routing":
			dependencies = []string{"dev-Gate", "dev-Network"}
		case "dev-Phase":
			dependencies = []string{"dev-Api", "dev-Users", "dev-Threads", "dev-Posts"}
		default:
			dependencies = []string{"dev-Registry", "dev-Cluster", "dev-Routing"}
		}
		artifacts[stack] = map[string]any{
			"type": "aws:cloudformation:stack", "environment": "aws://unknown-account/unknown-region",
			"dependencies": dependencies, "properties": map[string]any{"templateFile": stack + ".template.json"},
		}
	}
	text, err := json.Marshal(map[string]any{"artifacts": artifacts})
	ts.Check(err)
	ts.Check(os.WriteFile(filepath.Join(dir, "manifest.json"), text, 0o644))
}

// shifted adds a rule that gives a service a percentage of its paths.
func shifted(ts *testscript.TestScript, text []byte, service string, percent int) []byte {
	var template struct {
		Resources map[string]struct {
			Type       string
			Properties map[string]any
		}
		Outputs map[string]any
	}
	ts.Check(json.Unmarshal(text, &template))
	groups := map[string]string{} // logical id, by name
	for id, resource := range template.Resources {
		if resource.Type == "AWS::ElasticLoadBalancingV2::TargetGroup" {
			groups[resource.Properties["Name"].(string)] = id
		}
	}
	weighted := func(name string, weight int) any {
		return map[string]any{"TargetGroupArn": map[string]any{"Ref": groups[name]}, "Weight": weight}
	}
	for id, resource := range template.Resources {
		if resource.Type == "AWS::ElasticLoadBalancingV2::ListenerRule" && strings.Contains(fmt.Sprint(resource.Properties["Actions"]), groups[service]) {
			rule := resource
			rule.Properties = map[string]any{
				"ListenerArn": resource.Properties["ListenerArn"], "Conditions": resource.Properties["Conditions"], "Priority": 1000,
				"Actions": []any{map[string]any{"Type": "forward", "ForwardConfig": map[string]any{
					"TargetGroups": []any{weighted(service, percent), weighted("api", 100-percent)},
				}}},
			}
			template.Resources[id+"Shift"] = rule
			break
		}
	}
	text, err := json.Marshal(template)
	ts.Check(err)
	return text
}

// load is "load PORT PATH": from now on until the script ends, clients ask the
// listener of that port in the template some 300 times in a second. There are four,
// so that a slow answer does not hold up the others.
func load(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: load PORT PATH")
	}
	status, err := local.NewClient(ts.MkAbs(".cutover")).Status(context.Background())
	ts.Check(err)
	at := slices.IndexFunc(status.Listeners, func(l alb.ListenerStatus) bool { return strconv.Itoa(l.Port) == args[0] })
	if at < 0 {
		ts.Fatalf("no listener has port %s", args[0])
	}
	url := strings.Replace(status.Listeners[at].URL, "localhost", "127.0.0.1", 1) + args[1]
	ctx, stop := context.WithCancel(context.Background())
	var clients sync.WaitGroup
	ts.Defer(func() {
		stop()
		clients.Wait()
	})
	tick := time.NewTicker(time.Second / 150)
	for range 4 {
		clients.Go(func() {
			for {
				select {
				case <-ctx.Done():
					return
				case <-tick.C:
					if response, err := http.Get(url); err == nil {
						response.Body.Close()
					}
				}
			}
		})
	}
}

// cloudWatch is the part of CloudWatch that tells of alarms and metrics.
type cloudWatch struct {
	alarms []map[string]any
	// figures has the value of each minute before this one, the last one at the end,
	// by target group and metric.
	figures map[string]map[string][]float64
}

func (c *cloudWatch) answer(w http.ResponseWriter, r *http.Request, operation string) {
	var request struct {
		AlarmNames        []string
		EndTime           float64
		MetricDataQueries []struct {
			Id         string
			MetricStat struct {
				Metric struct {
					MetricName string
					Dimensions []struct{ Name, Value string }
				}
				Stat string
			}
		}
	}
	if err := json.NewDecoder(r.Body).Decode(&request); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "application/x-amz-json-1.0")
	switch operation {
	case "DescribeAlarms":
		found := []any{}
		for _, alarm := range c.alarms {
			if slices.Contains(request.AlarmNames, alarm["AlarmName"].(string)) {
				found = append(found, alarm)
			}
		}
		json.NewEncoder(w).Encode(map[string]any{"MetricAlarms": found})
	case "GetMetricData":
		results := []any{}
		for _, query := range request.MetricDataQueries {
			metric, group := query.MetricStat.Metric, ""
			for _, dimension := range metric.Dimensions {
				if dimension.Name == "TargetGroup" {
					group = dimension.Value
				}
			}
			values, times := []float64{}, []float64{}
			all := c.figures[group][metric.MetricName+" "+query.MetricStat.Stat]
			for i, value := range all {
				if value != 0 { // of nothing there is no data point
					values, times = append(values, value), append(times, request.EndTime-60*float64(len(all)-i))
				}
			}
			results = append(results, map[string]any{"Id": query.Id, "Values": values, "Timestamps": times, "StatusCode": "Complete"})
		}
		json.NewEncoder(w).Encode(map[string]any{"MetricDataResults": results})
	default:
		http.Error(w, `{"__type":"AccessDenied","message":"no"}`, http.StatusForbidden)
	}
}

// targetGroup is what metrics call a target group of that name.
func targetGroup(name string) string { return "targetgroup/" + name + "/0123456789abcdef" }

// alarms is "alarms SERVICE STATE... [and SERVICE STATE...]": the services have
// alarms in these states, one for errors, one for latency and one for unhealthy
// targets.
func alarms(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 1 {
		ts.Fatalf("usage: alarms SERVICE[:WITH] STATE... [and SERVICE[:WITH] STATE...]")
	}
	store := ts.Value("aws").(*parameterStore)
	store.mu.Lock()
	defer store.mu.Unlock()
	store.alarms = nil
	for _, one := range strings.Split(strings.Join(args, " "), " and ") {
		words := strings.Fields(one)
		name, with, found := strings.Cut(words[0], ":")
		if !found {
			with = "api"
		}
		var metrics []any
		for _, group := range []string{name, with} {
			metrics = append(metrics, map[string]any{"Id": "m" + group, "MetricStat": map[string]any{"Period": 60, "Stat": "Sum", "Metric": map[string]any{
				"Namespace": "AWS/ApplicationELB", "MetricName": "RequestCount", "Dimensions": []any{
					map[string]any{"Name": "LoadBalancer", "Value": "app/dev/1"}, map[string]any{"Name": "TargetGroup", "Value": targetGroup(group)},
				},
			}}})
		}
		for i, state := range words[1:] {
			store.alarms = append(store.alarms, map[string]any{
				"AlarmName": "dev-" + name + "-canary-" + []string{"errors", "latency", "unhealthy"}[i], "Metrics": metrics,
				"StateValue": state, "StateReason": "CloudWatch says so.", "StateUpdatedTimestamp": float64(time.Now().Unix()),
			})
		}
	}
}

// minutes is "minutes SERVICE 'REQUESTS ERRORS P99 UNHEALTHY'...": these were
// measured in the minutes before this one, the p99 in seconds.
func minutes(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 1 {
		ts.Fatalf("usage: minutes SERVICE 'REQUESTS ERRORS P99 UNHEALTHY'...")
	}
	figures := map[string][]float64{}
	for _, minute := range args[1:] {
		for i, field := range strings.Fields(minute) {
			value, err := strconv.ParseFloat(field, 64)
			ts.Check(err)
			metric := []string{"RequestCount Sum", "HTTPCode_Target_5XX_Count Sum", "TargetResponseTime p99", "UnHealthyHostCount Minimum"}[i]
			figures[metric] = append(figures[metric], value)
		}
	}
	store := ts.Value("aws").(*parameterStore)
	store.mu.Lock()
	defer store.mu.Unlock()
	if store.figures == nil {
		store.figures = map[string]map[string][]float64{}
	}
	store.figures[targetGroup(args[0])] = figures
}

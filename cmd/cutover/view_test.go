package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/fatih/color"
	"github.com/google/go-cmp/cmp"

	"cutover/internal/analysis/cost"
	"cutover/internal/local"
	"cutover/internal/local/alb"
	"cutover/internal/local/apigateway"
	"cutover/internal/local/cloudfront"
	"cutover/internal/local/discovery"
	"cutover/internal/local/ecs"
	"cutover/internal/local/eventbridge"
	"cutover/internal/local/eventsource"
	"cutover/internal/local/lambda"
	"cutover/internal/local/provider"
	"cutover/internal/model"
)

// What is redrawn must fit the terminal, however much there is: what has left it
// at the top stays there for ever.
func TestManyServicesFitTheTerminal(t *testing.T) {
	status := local.Status{Listeners: []alb.ListenerStatus{{Port: 80, Protocol: "HTTP", URL: "http://localhost:8080"}}, NotRun: map[string]int{"AWS::EC2::VPC": 7}}
	for i := range 99 {
		name := fmt.Sprintf("service-%03d", i)
		status.Listeners[0].Rules = append(status.Listeners[0].Rules, alb.RuleStatus{Priority: 20001 + i, Conditions: []string{"path-pattern /" + name + "*"}, Action: name})
		status.Groups = append(status.Groups, alb.GroupStatus{Key: name, Name: name, Targets: []alb.TargetStatus{{ID: name, State: "healthy"}}})
		status.Services = append(status.Services, ecs.ServiceStatus{
			Name: name, RunningCount: 1, DesiredCount: 1, Steady: i != 98 && i != 50,
			Tasks: []ecs.TaskStatus{{ID: name, LastStatus: ecs.Running, Health: ecs.Healthy, Targets: map[string]ecs.TargetHealth{name: "healthy"}}},
		})
	}
	status.Listeners[0].Rules = append(status.Listeners[0].Rules, alb.RuleStatus{Action: "drop-traffic"})

	var out bytes.Buffer
	v := &view{out: &out, terminal: true, height: func() int { return 24 }}
	for name, text := range map[string]string{"status": v.status(status, v.room()), "services": v.services(status, v.room())} {
		if n := strings.Count(text, "\n"); n > 23 || n < 20 {
			t.Errorf("%s has %d lines, want nearly all of the terminal's 24:\n%s", name, n, text)
		}
		_, table, _ := strings.Cut(text, "SERVICE")
		lines := strings.Split(table, "\n")
		if !strings.HasPrefix(lines[1], "service-050") || !strings.HasPrefix(lines[2], "service-098") || !strings.HasPrefix(lines[3], "service-000") {
			t.Errorf("%s does not begin with what is not steady:\n%s", name, text)
		}
		if !strings.Contains(text, " more services, ") {
			t.Errorf("%s does not say what is missing:\n%s", name, text)
		}
	}
	if text := v.status(status, v.room()); !strings.Contains(text, "99 rules; default drop-traffic\n") || !strings.Contains(text, "7 resources") {
		t.Errorf("the status leaves too much out:\n%s", text)
	}
	v.terminal = false
	if text := v.status(status, v.room()); strings.Count(text, "\n") < 200 || strings.Contains(text, "more services") {
		t.Errorf("a script does not get everything:\n%s", text)
	}
}

// With several load balancers a listener is named with its stack, what is tried
// next is a whole URL, and a task has a line for each of its target groups.
func TestViewOfSeveralLoadBalancers(t *testing.T) {
	rules := []alb.RuleStatus{{Priority: 10, Conditions: []string{"path-pattern /api/posts*"}, Action: "posts-press"}, {Action: "api-press"}}
	status := local.Status{
		Listeners: []alb.ListenerStatus{
			{Key: "dev-Routing/Http", Port: 80, Protocol: "HTTP", URL: "http://localhost:8080", Rules: rules[1:]},
			{Key: "dev-RoutingPress/Http", Port: 80, Protocol: "HTTP", URL: "http://localhost:8081", Rules: rules},
			{Key: "dev-Routing/Staff", Port: 9090, Protocol: "HTTP", URL: "http://localhost:9090", Rules: rules[1:]},
		},
		Services: []ecs.ServiceStatus{{
			Name: "api", RunningCount: 1, DesiredCount: 1,
			Tasks: []ecs.TaskStatus{{ID: "0123456789", LastStatus: ecs.Running, Health: ecs.Healthy, Targets: map[string]ecs.TargetHealth{"a": ecs.TargetHealthy, "b": ecs.TargetInitial}}},
		}},
		Groups: []alb.GroupStatus{{Key: "a", Name: "api"}, {Key: "b", Name: "api-press"}},
	}
	var out bytes.Buffer
	v := &view{out: &out, program: "cutover"}
	want := `HTTP:80 of dev-Routing at http://localhost:8080
  default    api-press

HTTP:80 of dev-RoutingPress at http://localhost:8081
  10       path-pattern /api/posts*  posts-press
  default                            api-press

HTTP:9090 at http://localhost:9090
  default    api-press

SERVICE  TASKS  TASK      STATUS   HEALTH   TARGET GROUP  TARGET
api      1/1    01234567  RUNNING  HEALTHY  api           healthy
                                            api-press     initial
`
	if diff := cmp.Diff(want, v.status(status, v.room())); diff != "" {
		t.Errorf("status (-want +got):\n%s", diff)
	}
	v.summary(status, true)
	for _, line := range []string{
		"HTTP:80 of dev-Routing answers at http://localhost:8080/",
		"HTTP:80 of dev-RoutingPress answers at http://localhost:8081/api/posts",
		"HTTP:9090 answers at http://localhost:9090/",
		"  curl http://localhost:8080/",
		"  cutover routes http://localhost:8080/",
	} {
		if !strings.Contains(out.String(), line+"\n") {
			t.Errorf("the summary has no line %q:\n%s", line, &out)
		}
	}
}

// Load balancers of one stack are told apart by their listeners.
// A listener that forwards connections has an address, and nothing to ask for by HTTP.
func TestViewOfConnections(t *testing.T) {
	for _, protocol := range []string{"TCP", "TLS"} {
		var out bytes.Buffer
		(&view{out: &out, program: "cutover"}).summary(local.Status{Listeners: []alb.ListenerStatus{
			{Key: "S/A", Port: 53, Protocol: protocol, URL: strings.ToLower(protocol) + "://localhost:8053"}, {Key: "S/B", Port: 80, Protocol: "HTTP", URL: "http://localhost:8080"}}}, true)
		want := "\n" + protocol + ":53 takes connections at localhost:8053\nHTTP:80 answers at http://localhost:8080/\n\nTry\n  curl http://localhost:8080/\n  cutover routes /\n"
		if text := out.String(); !strings.HasPrefix(text, want) {
			t.Errorf("the summary is\n%s\nwant it to begin with\n%s", text, want)
		}
	}
}

// A task is shown by its address, and a function by its name.
func TestViewOfTargets(t *testing.T) {
	v := &view{out: &bytes.Buffer{}, program: "cutover"}
	got := v.route(alb.Route{Request: "/", Action: "users", Explanation: "default anything -> users", Targets: []alb.TargetStatus{
		{ID: "123456789", Address: "127.0.0.1:3000", State: alb.Healthy},
		{ID: "dev-UsersFunction/Alias", State: alb.Unavailable, Description: "Health checks are disabled for the target group"},
		{ID: "dev-UsersFunction/Alias", State: alb.Healthy},
	}})
	want := `/ → users
  default anything -> users
  target 12345678 at 127.0.0.1:3000 is healthy
  Lambda function dev-UsersFunction/Alias is unavailable: Health checks are disabled for the target group
  Lambda function dev-UsersFunction/Alias is healthy
`
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("route (-want +got):\n%s", diff)
	}
	event := local.Event{Kind: "target", Subject: "users", Task: "dev-UsersFunction/Alias", State: "unavailable"}
	if line := eventLine(event); !strings.Contains(line, "users dev-UsersFunction/Alias  unavailable") {
		t.Errorf("the event is %q", line)
	}
}

func TestListenerName(t *testing.T) {
	one, two, other := alb.ListenerStatus{Key: "app/One", Port: 80, Protocol: "HTTP"}, alb.ListenerStatus{Key: "app/Two", Port: 80, Protocol: "HTTP"}, alb.ListenerStatus{Key: "apples/One", Port: 80, Protocol: "HTTP"}
	for _, test := range []struct {
		others []alb.ListenerStatus
		want   string
	}{
		{nil, "HTTP:80"},
		{[]alb.ListenerStatus{other}, "HTTP:80 of app"},
		{[]alb.ListenerStatus{two}, "HTTP:80 of app/One"},
		{[]alb.ListenerStatus{two, other}, "HTTP:80 of app/One"},
		{[]alb.ListenerStatus{other, two}, "HTTP:80 of app/One"},
	} {
		if got := listenerName(local.Status{Listeners: append(test.others, one)}, one); got != test.want {
			t.Errorf("with %d others: %q, not %q", len(test.others), got, test.want)
		}
	}
}

// The next phase is suggested of the app in the directory, and not of another app, which has no gate.
func TestViewSuggestsThePhase(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := os.WriteFile(cdkFile, []byte(`{"context": {"phase": "monolith"}}`), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, parameters := range []map[string]string{nil, {"/dev/phase": "monolith"}} {
		var out bytes.Buffer
		(&view{out: &out, program: "cutover"}).summary(local.Status{Parameters: parameters}, true)
		if got := strings.Contains(out.String(), "\n  cutover deploy --phase parallel\n"); got != (parameters != nil) {
			t.Errorf("with the parameters %v: %s", parameters, &out)
		}
	}
}

// The settings of a deployment are those of the next one: without a store, the records would be gone.
func TestSettingsAreKept(t *testing.T) {
	given := source{context: []string{"phase=parallel", "store=postgres", "shift=users=10", "compute=users=10%", "note=it's a; b"}}
	if got, want := given.settings(), ` -c store=postgres -c 'note=it'\''s a; b'`; got != want {
		t.Errorf("the settings are %s, want %s", got, want)
	}
	t.Chdir(t.TempDir())
	if err := os.WriteFile(cdkFile, []byte(`{"context": {"phase": "monolith"}}`), 0o644); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	(&view{out: &out, program: "cutover", settings: " -c store=postgres"}).summary(local.Status{Parameters: map[string]string{"/dev/phase": "monolith"}}, true)
	if !strings.Contains(out.String(), "\n  cutover deploy --phase parallel -c store=postgres\n") {
		t.Errorf("the next deployment has no store:\n%s", &out)
	}
}

// Services that scale have a table of their own: what is measured, and what was done.
func TestViewOfScaling(t *testing.T) {
	now := 1240.4
	status := local.Status{Services: []ecs.ServiceStatus{
		{Name: "posts", DesiredCount: 1},
		{Name: "threads", DesiredCount: 2, Scaling: &ecs.ScalingStatus{Min: 2, Max: 4, Policies: []ecs.ScalingPolicyStatus{{Metric: model.MetricCPU, Target: 60}}}},
		{Name: "users", DesiredCount: 3, Scaling: &ecs.ScalingStatus{Min: 1, Max: 6,
			Policies: []ecs.ScalingPolicyStatus{{Metric: model.MetricRequests, Target: 500, Value: &now}, {Metric: model.MetricCPU, Target: 62.5}},
			Last:     &ecs.ScalingActivity{Time: time.Date(2026, 11, 21, 14, 3, 1, 0, time.UTC), From: 1, To: 3, Why: "there is much to do"},
		}},
	}}
	v := &view{out: &bytes.Buffer{}, height: func() int { return 24 }}
	_, got, _ := strings.Cut(v.status(status, 0), "SCALES")
	want := `   TASKS     METRIC                           NOW   TARGET  LAST
threads  2 of 2–4  ECSServiceAverageCPUUtilization  ?     60      nothing yet
users    3 of 1–6  ALBRequestCountPerTarget         1240  500     14:03:01  1 to 3: there is much to do
                   ECSServiceAverageCPUUtilization  ?     62.5
`
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if text := v.status(local.Status{Services: status.Services[:1]}, 0); strings.Contains(text, "SCALES") {
		t.Errorf("nothing scales, and yet:\n%s", text)
	}
}

// Settings that are passed over have a line for each reason, and schedules a line each.
func TestViewOfPassedOverAndSchedules(t *testing.T) {
	over := func(subject, setting, why string) provider.PassedOver {
		return provider.PassedOver{Place: subject + "/" + setting, Subject: subject, Setting: setting, Why: why}
	}
	at := func(hour int) time.Time { return time.Date(2027, 1, 2, hour, 0, 0, 0, time.Local) }
	status := local.Status{
		PassedOver: []provider.PassedOver{
			over("web", "User", "own rights"), over("web", "Ulimits", "own rights"), over("log", "Links", "no names"), over("log", "User", "own rights"),
		},
		Schedules: []eventbridge.Status{
			{Name: "daily", Expression: "rate(1 day)", Enabled: true, Next: at(3), Running: 1, Last: &eventbridge.Run{Ended: at(1), Tasks: []ecs.TaskResult{{Reason: "done"}, {Reason: "bad", Failed: true}}}},
			{Name: "off", Expression: "cron(x)", Next: at(3)},
			{Name: "once", Expression: "at(x)", Enabled: true, Last: &eventbridge.Run{Ended: at(2), Error: "no value"}},
		},
	}
	want := `SERVICE  TASKS  TASK  STATUS  HEALTH  TARGET GROUP  TARGET

SCHEDULE  WHEN         NEXT                 RUNNING  LAST
daily     rate(1 day)  2027-01-02 03:00:00  1        2027-01-02 01:00:00  bad
off       cron(x)      disabled             0        not yet
once      at(x)        never                0        2027-01-02 02:00:00  no value

Passed over: User, Ulimits of web, log: own rights
Passed over: Links of log: no names
`
	v := &view{out: &bytes.Buffer{}, program: "cutover"}
	if diff := cmp.Diff(want, v.status(status, 0)); diff != "" {
		t.Errorf("status (-want +got):\n%s", diff)
	}
	if text := v.status(status, 3); !strings.Contains(text, "daily ") || !strings.Contains(text, "Passed over: Links") {
		t.Errorf("a small terminal shows\n%s", text)
	}
	var out bytes.Buffer
	v.out = &out
	v.summary(status, true)
	if !strings.Contains(out.String(), "\nPassed over: Links of log: no names\n") {
		t.Errorf("the summary is\n%s", &out)
	}
	if text := v.status(local.Status{}, 0); strings.Contains(text, "SCHEDULE") || strings.Contains(text, "Passed over") {
		t.Errorf("of nothing, it shows\n%s", text)
	}
}

// What others have named or written does not control the terminal. Colours are this view's own.
func TestControlCharactersAreVisible(t *testing.T) {
	const evil = "\x1b]0;title\x07\x1b[2J\x1b[31mred\x9b5m\u202e\r"
	const seen = `\x1b]0;title\a\x1b[2J\x1b[31mred\x9b5m\u202e\r`
	defer func(before bool) { color.NoColor = before }(color.NoColor)
	color.NoColor = false
	status := local.Status{
		Listeners:  []alb.ListenerStatus{{Key: evil, Port: 80, Protocol: evil, URL: evil, Rules: []alb.RuleStatus{{Priority: 1, Conditions: []string{evil}, Action: evil + "\n"}, {Action: evil}}}},
		Groups:     []alb.GroupStatus{{Key: "a", Name: evil, Targets: []alb.TargetStatus{{ID: evil, State: "healthy"}}}},
		Warnings:   []string{evil + "\n"},
		PassedOver: []provider.PassedOver{{Subject: evil, Setting: evil, Why: evil}},
		Schedules:  []eventbridge.Status{{Name: evil, Expression: evil, Last: &eventbridge.Run{Error: evil}}},
		Services:   []ecs.ServiceStatus{{Name: evil, Tasks: []ecs.TaskStatus{{ID: evil, LastStatus: ecs.Running, Targets: map[string]ecs.TargetHealth{"a": "healthy"}}}}},
	}
	var out bytes.Buffer
	v := &view{out: visible{&out}, terminal: true, program: evil, height: func() int { return 100 }}
	for name, write := range map[string]func(){
		"log":     func() { v.logLine(ecs.LogLine{ServiceName: evil, Task: "1", Text: evil}) },
		"status":  func() { v.print(v.status(status, 0)) },
		"brief":   func() { v.print(v.listeners(status, true)) },
		"summary": func() { v.summary(status, true) },
		"route":   func() { v.print(v.route(alb.Route{Request: evil, Action: evil, Explanation: evil})) },
		"moved":   func() { v.print(v.route(alb.Route{Request: evil, Action: "301 " + evil, Location: evil})) },
		"lambda":  func() { v.print(v.route(alb.Route{Targets: []alb.TargetStatus{{ID: evil, Description: evil}}})) },
		"warned":  func() { v.print(v.warnings(status)) },
		"cost":    func() { v.print(v.estimate(cost.Estimate{Unpriced: []string{evil}, Unknown: []string{evil}}, false)) },
		"event":   func() { v.print(eventLine(local.Event{Kind: "stack", Subject: evil, Message: evil})) },
	} {
		out.Reset()
		write()
		text := out.String()
		for _, control := range []string{"\x1b]", "\x1b[2J", "\x07", "\u202e", "\x9b", "\r"} {
			if strings.Contains(text, control) {
				t.Errorf("%s: %q is there: %q", name, control, text)
			}
		}
		if strings.Contains(text, "\x1b[31mred") {
			t.Errorf("%s: a colour of somebody else's: %q", name, text)
		}
		if name == "status" && !strings.Contains(text, seen+`\n`) {
			t.Errorf("%s: a cell has several lines: %q", name, text)
		}
		if !strings.Contains(text, `\x1b]0;title\a`) {
			t.Errorf("%s: the text is gone: %q", name, text)
		}
	}
	out.Reset()
	v.logLine(ecs.LogLine{ServiceName: "users", Task: "123456789", Text: "a\tb " + evil})
	v.logLine(ecs.LogLine{ServiceName: "users", Task: "123456789", Stream: ecs.OwnStream, Text: "it calls posts"})
	own := "\x1b[36musers 12345678\x1b[0m \x1b[33mcutover: it calls posts\x1b[0m\n"
	if want := "\x1b[36musers 12345678\x1b[0m a\tb " + seen + "\n" + own; out.String() != want {
		t.Errorf("a line of a log is %q, want %q", &out, want)
	}
	out.Reset()
	var back map[string]string
	if err := printJSON(&out, map[string]string{"a": "\u009b1m\x7f\x1b\u202e"}); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(out.Bytes(), &back); err != nil || back["a"] != "\u009b1m\x7f\x1b\u202e" || strings.ContainsAny(out.String(), "\u009b\x7f\x1b\u202e") {
		t.Errorf("as JSON: %q, which is %q (%v)", &out, back["a"], err)
	}
	out.Reset()
	v.redraw("one\ntwo")
	v.redraw("three")
	if want := "one\ntwo\n\x1b[2F\x1b[Jthree\n"; out.String() != want {
		t.Errorf("drawn was %q, want %q", &out, want)
	}
}

// The status has a line for each place that a service is in, whichever load balancer the service is
// behind. It has none if one phase is for all.
func TestViewOfPlaces(t *testing.T) {
	for _, test := range []struct {
		parameters map[string]string
		want       string
	}{
		{map[string]string{"/dev/phase": "parallel", "/dev/phase-gate/places": "users=monolith"}, ""},
		{map[string]string{"/other/phase-places": "of another app"}, ""},
		{map[string]string{"/dev/phase-places": "posts=monolith,users=shift,users/writes=monolith,api=rest", "/dev/phase-places-press": "news=switched"},
			"PLACE           SERVICES\nmonolith        posts, users/writes\na share         users\nswitched        news\nkeeps the rest  api\n\n"},
		{map[string]string{"/dev/phase-places": "a=parallel,b=parallel,c=parallel,d=parallel,api=retired"},
			"PLACE     SERVICES\nparallel  a, b and 2 more\nretired   api\n\n"},
	} {
		v := &view{}
		s := local.Status{Parameters: test.parameters}
		if got := v.places(s); got != test.want {
			t.Errorf("%v:\n%s\nwant\n%s", test.parameters, got, test.want)
		}
		for _, room := range []int{0, 3} { // above the services, in a terminal of any height
			if text := v.status(s, room); !strings.HasPrefix(text, test.want) {
				t.Errorf("%v with room for %d lines:\n%s", test.parameters, room, text)
			}
		}
	}
}

// The status has a line for each state between kinds of compute, below the places.
func TestViewOfComputes(t *testing.T) {
	for _, test := range []struct {
		parameters   map[string]string
		places, want string
	}{
		{map[string]string{"/dev/phase": "switched"}, "", ""},
		{map[string]string{"/dev/phase": "switched", "/dev/phase-places-compute": "api=fargate,users=shift", "/dev/phase-places-compute-press": "news=ec2-first"}, "",
			"COMPUTE    SERVICES\nec2-first  news\na share    users\nfargate    api\n\n"},
		{map[string]string{"/dev/phase-places": "users=shift", "/dev/phase-places-compute": "users=ec2-stopped"}, "PLACE    SERVICES\na share  users\n\n", "COMPUTE      SERVICES\nec2-stopped  users\n\n"},
	} {
		v := &view{}
		s := local.Status{Parameters: test.parameters}
		if v.places(s) != test.places || v.computes(s) != test.want {
			t.Errorf("%v:\n%s%s\nwant\n%s%s", test.parameters, v.places(s), v.computes(s), test.places, test.want)
		}
		for _, room := range []int{0, 3} {
			if text := v.status(s, room); !strings.HasPrefix(text, test.places+test.want) {
				t.Errorf("%v with room for %d lines:\n%s", test.parameters, room, text)
			}
		}
	}
}

// What comes next for each service has a command of its own.
func TestViewSuggestsTheNextPlace(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := os.WriteFile(cdkFile, []byte(`{"context": {"phase": "users=parallel"}}`), 0o644); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	(&view{out: &out, program: "cutover"}).summary(local.Status{Parameters: map[string]string{"/dev/phase-places": "users=parallel"}}, true)
	if text := out.String(); !strings.Contains(text, "\n  cutover phase\n") || strings.Contains(text, "--phase") {
		t.Errorf("%s", text)
	}
}

// Names by which tasks find each other have a table: who is called there, how many tasks answer, and who
// calls. DNS servers are named.
func TestViewOfNames(t *testing.T) {
	v := &view{out: &bytes.Buffer{}}
	if text := v.status(local.Status{Discovery: &discovery.Status{}}, 0); strings.Contains(text, "OPEN TO") {
		t.Errorf("it tells of names, and there are none:\n%s", text)
	}
	status := local.Status{Discovery: &discovery.Status{
		Names: []discovery.NameStatus{
			{Kind: "Service Connect", Namespace: "dev", Host: "users", Port: 3000, Services: []string{"users"}, Endpoints: []discovery.EndpointStatus{{Task: "a"}, {Task: "b"}},
				Callers: []discovery.CallerStatus{{Service: "threads", Task: "c"}, {Service: "threads", Task: "d"}, {Service: "api", Task: "e"}, {Service: "stranger", Task: "h", Refused: "the security group of users does not admit it"}}},
			{Kind: "SRV", Namespace: "dev.internal", Host: "posts.dev.internal", Services: []string{"posts", "older\x1b"}, Endpoints: []discovery.EndpointStatus{{Task: "f", Unhealthy: true}, {Task: "g"}}},
		},
		Resolvers: []discovery.ResolverStatus{{Address: "127.0.0.1:5300", Namespaces: []string{"dev.internal", "shop.internal"}}},
	}}
	text := v.status(status, 0)
	for _, want := range []string{
		"NAME                BY                      SERVICE           TASKS           OPEN TO\n",
		"users:3000          Service Connect in dev  users             2               threads, api\n", // and not stranger, which is refused

		"posts.dev.internal  SRV                     posts, older\\x1b  2, 1 unhealthy\n",
		"DNS of dev.internal, shop.internal answers at 127.0.0.1:5300\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("it lacks %q:\n%s", want, text)
		}
	}
}

// Topics and queues have a table of their own.
func TestViewOfMessages(t *testing.T) {
	status := local.Status{Messaging: []provider.MessageStatus{
		{Name: "dev-feed.fifo", Kind: "queue", Program: "fauxqs", Requests: 12, Faults: []string{"queue-full"}, Depth: &provider.Depth{Waiting: 3, InFlight: 2, Oldest: 61500 * time.Millisecond}},
		{Name: "dev-users.fifo", Kind: "topic", Program: "fauxqs", Requests: 1},
		{Name: "dev", Kind: "broker", Program: "RabbitMQ 3.10.8", Connections: 2},
		{Name: "dev/jobs", Kind: "queue", Program: "RabbitMQ 3.10.8", Depth: &provider.Depth{Waiting: 4, InFlight: 1}},
	}}
	v := &view{out: &bytes.Buffer{}, height: func() int { return 24 }}
	_, got, _ := strings.Cut(v.status(status, 0), "MESSAGES")
	want := `        KIND    PROGRAM          WAITING  IN FLIGHT  DELAYED  OLDEST  USED           FAULTS
dev-feed.fifo   queue   fauxqs           3        2          0        1m1s    12 requests    queue-full
dev-users.fifo  topic   fauxqs                                                1 request
dev             broker  RabbitMQ 3.10.8                                       2 connections
dev/jobs        queue   RabbitMQ 3.10.8  4        1          0        -
`
	if !strings.HasPrefix(got, want) {
		t.Errorf("the table is\n%s\nwant\n%s", got, want)
	}
}

// Event source mappings have a table of their own: how far they are behind, and why.
func TestViewOfEventSources(t *testing.T) {
	status := local.Status{EventSources: []eventsource.Status{
		{Function: "dev-users-relay", Source: "dev-users", Kind: "stream", State: "Enabled", Lag: 2500 * time.Millisecond, Counts: eventsource.Counts{Invocations: 12, Failures: 1, Records: 40, Filtered: 9, GaveUp: 2, Running: 1, LastError: "Own.Error: as asked"}},
		{Function: "feed-lambda", Source: "dev-feed.fifo", Kind: "queue", State: "Disabled"},
	}}
	v := &view{out: &bytes.Buffer{}, height: func() int { return 24 }}
	_, got, _ := strings.Cut(v.status(status, 0), "EVENT SOURCE")
	want := `         FUNCTION         STATE     INVOCATIONS    FAILURES  RECORDS                     BEHIND  LAST ERROR
stream dev-users     dev-users-relay  Enabled   12, 1 running  1         40, 9 filtered, 2 given up  2s      Own.Error: as asked
queue dev-feed.fifo  feed-lambda      Disabled  0              0         0                           -
`
	if !strings.HasPrefix(got, want) {
		t.Errorf("the table is\n%s\nwant\n%s", got, want)
	}
}

// Functions have a table of their own: which version answers, and how many execution environments there are.
func TestViewOfFunctions(t *testing.T) {
	status := local.Status{Functions: []lambda.FunctionStatus{
		{Name: "posts-lambda", Version: "1", Concurrency: 50, MemoryMiB: 256},
		{Name: "users-lambda", Version: "3", Concurrency: 20, Idle: 4, Busy: 2, Invocations: 1240, ColdStarts: 7, Errors: 3, Timeouts: 1, Throttles: 9, MemoryMiB: 512, PeakMemoryMiB: 21},
	}}
	v := &view{out: &bytes.Buffer{}, height: func() int { return 24 }}
	for _, room := range []int{0, 9} {
		_, got, _ := strings.Cut(v.status(status, room), "FUNCTION")
		want := `      VERSION  EXECUTION ENVIRONMENTS  INVOCATIONS  COLD STARTS  ERRORS          THROTTLES  MEMORY
posts-lambda  1        0 idle, 0 busy of 50    0            0            0               0          256 MiB
users-lambda  3        4 idle, 2 busy of 20    1240         7            3, 1 timed out  9          at most 21 of 512 MiB
`
		if !strings.HasPrefix(got, want) {
			t.Errorf("in %d lines:\n%s\nwant:\n%s", room, got, want)
		}
	}
	if got := v.status(local.Status{}, 0); strings.Contains(got, "FUNCTION") {
		t.Errorf("without functions:\n%s", got)
	}
}

func TestViewOfDistributions(t *testing.T) {
	s := local.Status{Distributions: cloudfront.Status{{Key: "dev-Ui/Page", Name: "Page", URL: "http://localhost:8090", Behaviors: []cloudfront.BehaviorStatus{
		{Pattern: "/api*", Origin: "dev-Front/Stage", Cache: "CachingDisabled", Requests: 3, Misses: 2, Errors: 1, P50: 2 * time.Millisecond, P99: 11 * time.Millisecond},
		{Pattern: "*", Origin: "dev-Ui/Files", Cache: "CachingOptimized", Requests: 2, Hits: 1, Misses: 1},
	}}}}
	want := `CloudFront Page at http://localhost:8090
  BEHAVIOR  ORIGIN           CACHE             REQUESTS  HITS  MISSES  ERRORS  P50  P99
  /api*     dev-Front/Stage  CachingDisabled   3         0     2       1       2ms  11ms
  *         dev-Ui/Files     CachingOptimized  2         1     1       0       0s   0s

`
	v := &view{}
	if got := v.distributions(s); got != want {
		t.Errorf("the view is\n%s\nwant\n%s", got, want)
	}
	if got := v.distributions(local.Status{}); got != "" {
		t.Errorf("without distributions the view is %q", got)
	}
	var b strings.Builder
	(&view{out: &b}).summary(s, true)
	if got := b.String(); !strings.Contains(got, "CloudFront Page answers at http://localhost:8090\n") {
		t.Errorf("the summary is %s", got)
	}
}

// A front has a port by its name.
func TestPortsOfFronts(t *testing.T) {
	for given, want := range map[string]string{
		"cloudfront=9000": "9000 0", "apigateway=9001": "0 9001", "cloudfront=0": `--port "cloudfront=0" has no port: give one as in --port cloudfront=9000`, "cloudfront=": `--port "cloudfront=" has no port: give one as in --port cloudfront=9000`,
	} {
		options, err := (&runner{driver: "process", period: time.Minute, ports: []string{given}}).options(&global{state: t.TempDir()})
		got := fmt.Sprint(options.DistributionPort, " ", options.APIPort)
		if err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%s: %s, want %s", given, got, want)
		}
	}
}

// Stages of API Gateway have their address and counts, and a request has its hops.
func TestViewOfAPIs(t *testing.T) {
	v := &view{program: "cutover"}
	got := v.apis(local.Status{APIs: []apigateway.StageStatus{{
		API: "dev", Stage: "live", URL: "http://localhost:8081/live", Credentials: ".cutover/credentials", P50: 1_234_567, P99: 20_000_000,
		Counts: apigateway.Counts{Requests: 9, Errors4XX: 3, Errors5XX: 1, Throttled: 2, CacheHits: 1, CacheMisses: 4},
		Routes: []apigateway.RouteStatus{{Authorization: "NONE", TTL: time.Minute}, {Authorization: "AWS_IAM"}},
	}}})
	want := `API Gateway dev, stage live, at http://localhost:8081/live
  2 methods; 1 with AWS_IAM; 1 cached
  9 requests: 3 with 4xx, 1 with 5xx, 2 throttled; 1 hit in the cache, 4 not; p50 1.2ms, p99 20ms
  to sign requests, set AWS_SHARED_CREDENTIALS_FILE=.cutover/credentials

`
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("status (-want +got):\n%s", diff)
	}
	hop := provider.Hop{Front: "API Gateway dev, stage live", Request: "GET /live/x", Does: "sends GET /x to the load balancer S/Lb, port 80", Why: []string{"resource /{proxy+}", "no\x1bescape"}}
	got = v.route(alb.Route{Request: "/x", Action: "api", Explanation: "GET /x on HTTP:80\n  default anything -> api\n", Hops: []provider.Hop{hop}})
	want = `/x → api
  GET /live/x on API Gateway dev, stage live
    resource /{proxy+}
    no\x1bescape
    sends GET /x to the load balancer S/Lb, port 80
  GET /x on HTTP:80
    default anything -> api
`
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("route (-want +got):\n%s", diff)
	}
}

package eventbridge

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"cutover/internal/assembly"
	"cutover/internal/assembly/assemblytest"
	"cutover/internal/local/ecs"
	"cutover/internal/local/provider"
	"cutover/internal/model"
)

// driver runs containers that do what their image says: done ends after 90 seconds, fail at once with exit
// code 3, and long runs until it is stopped.
type driver struct {
	begin time.Time
	mu    sync.Mutex
	told  []string
}

type container struct {
	once sync.Once
	done chan struct{}
	code int
}

func (d *driver) note(format string, args ...any) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.told = append(d.told, fmt.Sprintf("%v ", time.Since(d.begin))+fmt.Sprintf(format, args...))
}

func (d *driver) Check(_ *model.TaskDefinition, c model.Container) ([]ecs.PassedOver, error) {
	if c.Image.Reference == "foreign" {
		return nil, errors.New("it is for another machine")
	}
	return []ecs.PassedOver{{Setting: "User", Why: "a test has no users"}}, nil
}

func (d *driver) Clean(string) error { return nil }

func (d *driver) Start(_ context.Context, r ecs.StartRequest) (ecs.Container, error) {
	c := &container{done: make(chan struct{})}
	switch r.Definition.Image.Reference {
	case "done":
		time.AfterFunc(90*time.Second, func() { c.end(0) })
	case "fail":
		c.end(3)
	}
	d.note("%s %v %v", r.Definition.Name, r.Definition.Command, variables(r.Definition.Environment))
	return c, nil
}

// variables are the variables of a container as "NAME value".
func variables(all []model.Variable) (texts []string) {
	for _, v := range all {
		texts = append(texts, v.Name+" "+v.Value)
	}
	return texts
}

func (c *container) end(code int)                                         { c.once.Do(func() { c.code = code; close(c.done) }) }
func (c *container) ID() string                                           { return "1" }
func (c *container) Address(int) string                                   { return "" }
func (c *container) Done() <-chan struct{}                                { return c.done }
func (c *container) Exit() ecs.Exit                                       { return ecs.Exit{Code: c.code} }
func (c *container) Terminate() error                                     { c.end(143); return nil }
func (c *container) Signal(syscall.Signal) error                          { c.end(137); return nil }
func (c *container) Exec(context.Context, []string) (int, string, error)  { return 0, "", ecs.ErrNoExec }
func (c *container) ProcessorTime(context.Context) (time.Duration, error) { return 0, nil }

// world is a provider in a bubble of fake time, which begins at midnight of 1 January 2000.
type world struct {
	*Provider
	driver *driver
	t      *testing.T
	events []provider.Event
}

func newWorld(t *testing.T) *world {
	w := &world{driver: &driver{begin: time.Now()}, t: t}
	tell := func(e provider.Event) {
		w.driver.mu.Lock()
		defer w.driver.mu.Unlock()
		w.events = append(w.events, e)
	}
	services := ecs.NewProvider(ecs.New(ecs.Options{Driver: w.driver, Events: tell}), ecs.Given{
		Secrets: func() (map[string]string, error) { return map[string]string{"PW": "hunter2"}, nil },
	})
	w.Provider = New(services, tell)
	return w
}

func rule(id, properties, target string) string {
	return fmt.Sprintf(`%q: {"Type": %q, "Properties": {%s, "Targets": [{"Id": "t", "Arn": "arn:cluster", "RoleArn": "arn:role", "EcsParameters": {"TaskDefinitionArn": {"Ref": "T"}}%s}]}}`,
		id, model.EventsRule, properties, target)
}

func scheduled(id, properties, target string) string {
	return fmt.Sprintf(`%q: {"Type": %q, "Properties": {"FlexibleTimeWindow": {"Mode": "OFF"}, %s, "Target": {"Arn": "arn:cluster", "RoleArn": "arn:role", "EcsParameters": {"TaskDefinitionArn": {"Ref": "T"}}%s}}}`,
		id, model.SchedulerSchedule, properties, target)
}

func task(image string) string {
	return fmt.Sprintf(`"T": {"Type": %q, "Properties": {"ContainerDefinitions": [{"Name": "job", "Image": %q, "Memory": 64, "Command": ["work"],
		"Environment": [{"Name": "A", "Value": "1"}, {"Name": "B", "Value": "2"}], "Secrets": [{"Name": "PW", "ValueFrom": "x"}]}]}}`, model.ECSTaskDefinition, image)
}

// plan plans an assembly of one stack, S.
func (w *world) plan(resources ...string) provider.Plan {
	w.t.Helper()
	a := assemblytest.Read(w.t, "1/eu-west-1", `{"Resources": {`+strings.Join(resources, ",\n")+`}}`)
	return w.Plan(model.Read(a), func(value any) (string, error) { return strings.ReplaceAll(fmt.Sprint(value), "${S/T}", "filled"), nil })
}

// deploy deploys an assembly of one stack.
func (w *world) deploy(resources ...string) provider.Plan {
	w.t.Helper()
	next := w.plan(resources...)
	if err := errors.Join(next.Check(), next.Update(w.t.Context(), "S"), next.Clean(w.t.Context(), "S")); err != nil {
		w.t.Fatal(err)
	}
	return next
}

// is compares what was started with what should be, and forgets it.
func (w *world) is(what string, want ...string) {
	w.t.Helper()
	w.driver.mu.Lock()
	defer w.driver.mu.Unlock()
	if !slices.Equal(w.driver.told, want) {
		w.t.Errorf("%s: started were %q, want %q", what, w.driver.told, want)
	}
	w.driver.told = nil
}

func (w *world) status() Status {
	w.t.Helper()
	all, _ := w.Status().([]Status)
	if len(all) != 1 {
		w.t.Fatalf("the status is %v", all)
	}
	return all[0]
}

const work = " job [work] [A 1 B 2 PW hunter2]"

func TestRule(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.deploy(task("done"), rule("Nightly", `"ScheduleExpression": "rate(1 minute)", "Description": "d"`, ""))
		if s := w.status(); s.Key != "S/Nightly" || s.Name != "Nightly" || !s.Enabled || s.Last != nil || !s.Next.Equal(w.driver.begin.Add(time.Minute)) {
			t.Errorf("the status is %+v", s)
		}
		time.Sleep(2*time.Minute + time.Second)
		w.is("a rule begins after its first period, and waits for no task", "1m0s"+work, "2m0s"+work)
		if s := w.status(); s.Running != 2 || s.Last != nil || !s.Next.Equal(w.driver.begin.Add(3*time.Minute)) {
			t.Errorf("the status is %+v", s)
		}
		time.Sleep(30 * time.Second)
		if s := w.status(); s.Running != 1 || s.Last == nil || s.Last.Outcome() != `"job", exit code 0` || s.Last.Tasks[0].Failed {
			t.Errorf("the status is %+v", s)
		}
		// The same expression goes on counting; the next tasks are what the rule says now.
		w.deploy(task("done"), rule("Nightly", `"ScheduleExpression": "rate(1 minute)"`, `, "Input": "{\"containerOverrides\": [{\"name\": \"job\", \"command\": [\"more\"]}]}"`))
		time.Sleep(time.Minute)
		w.is("with an override", "3m0s job [more] [A 1 B 2 PW hunter2]")
		// Another expression begins anew.
		w.deploy(task("done"), rule("Nightly", `"ScheduleExpression": "rate(2 minutes)"`, ""))
		time.Sleep(3 * time.Minute)
		w.is("another expression", "5m31s"+work)
		w.deploy(task("done"), rule("Nightly", `"ScheduleExpression": "rate(2 minutes)", "State": "DISABLED"`, ""))
		time.Sleep(time.Hour)
		w.is("a rule that is disabled")
		if s := w.status(); s.Enabled || !s.Next.IsZero() {
			t.Errorf("the status is %+v", s)
		}
		w.deploy(task("done"), rule("Nightly", `"ScheduleExpression": "rate(2 minutes)", "State": "ENABLED"`, ""))
		time.Sleep(2 * time.Minute)
		w.is("a rule that is enabled again", "1h7m31s"+work)
		w.deploy(task("done"))
		time.Sleep(time.Hour)
		w.is("a rule that is gone")
		if w.Status() != nil {
			t.Errorf("a rule that is gone has the status %v", w.Status())
		}
		synctest.Wait()
		for _, e := range w.events {
			if strings.Contains(e.Message, "hunter2") {
				t.Errorf("an event shows a secret: %v", e)
			}
		}
	})
}

func TestSchedulerSchedule(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.deploy(task("done"), scheduled("Often", `"ScheduleExpression": "rate(1 hours)"`, ""))
		time.Sleep(time.Hour + time.Second)
		w.is("a rate begins at once", "0s"+work, "1h0m0s"+work)
		w.deploy(task("done"), scheduled("Often", `"ScheduleExpression": "rate(1 hours)", "StartDate": "2000-01-01T03:30:00Z", "EndDate": "2000-01-01T04:30:00Z"`, ""))
		time.Sleep(12 * time.Hour)
		w.is("between its dates", "3h30m0s"+work, "4h30m0s"+work)
		if s := w.status(); !s.Next.IsZero() {
			t.Errorf("after its end, it is due at %v", s.Next)
		}
		w.deploy(task("done"), scheduled("Often", `"ScheduleExpression": "rate(1 hours)", "StartDate": "2000-01-01T03:40:00Z"`, ""))
		time.Sleep(time.Hour)
		w.is("from a date of the past", "13h40m0s"+work)
		w.deploy(task("done"), scheduled("Often", `"ScheduleExpression": "cron(0 9 * * ?)", "ScheduleExpressionTimezone": "America/New_York"`, ""))
		time.Sleep(24 * time.Hour)
		w.is("in a time zone", "38h0m0s"+work)
		w.deploy(task("done"), scheduled("Often", `"ScheduleExpression": "at(2000-01-03T00:00:00)", "StartDate": "2001-01-01T00:00:00Z"`, ""))
		time.Sleep(24 * time.Hour)
		w.is("once", "48h0m0s"+work)
		if err := w.Stop(t.Context()); err != nil || w.Status() != nil {
			t.Errorf("after %v, there is %v", err, w.Status())
		}
	})
}

// Tasks run as often as asked, with all overrides that are known.
func TestOverrides(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		target := `, "Input": {"Fn::Join": ["", ["{\"containerOverrides\": [{\"name\": \"job\", \"environment\": [{\"name\": \"B\", \"value\": \"", {"Ref": "T"}, "\"}, {\"name\": \"C\", \"value\": \"3\"}], \"cpu\": 7, \"memory\": 99, \"memoryReservation\": 33}], \"taskRoleArn\": \"arn:x\"}"]]}`
		text := strings.Replace(rule("Nightly", `"ScheduleExpression": "rate(1 minute)"`, target), `"EcsParameters": {`, `"EcsParameters": {"TaskCount": 2, "LaunchType": "EC2", `, 1)
		next := w.deploy(task("long"), text).(*plan)
		time.Sleep(time.Minute + time.Second)
		const want = "1m0s job [work] [A 1 B filled C 3 PW hunter2]"
		w.is("two tasks", want, want)
		definitions, err := fill(next.wanted["S/Nightly"], next.tasks)
		if err != nil || len(definitions) != 2 {
			t.Fatal(definitions, err)
		}
		if c := definitions[0].Containers[0]; c.CPUShares != 7 || c.MemoryMiB != 99 || c.MemoryReservationMiB != 33 {
			t.Errorf("the container is %+v", c)
		}
		// The tasks run on until they are stopped.
		if err := w.Stop(t.Context()); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		stopped := func(e provider.Event) bool {
			return strings.Contains(e.Message, "STOPPED: Task was stopped") && e.Subject == "Nightly"
		}
		if n := len(slices.DeleteFunc(w.events, func(e provider.Event) bool { return !stopped(e) })); n != 2 {
			t.Errorf("%d tasks were stopped, want 2", n)
		}
	})
}

// A person can run the tasks now, and hears how they end.
func TestRunTask(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		if err := w.RunTask(t.Context(), "Nightly"); fmt.Sprint(err) != `there is no scheduled task "Nightly": the assembly has none` {
			t.Errorf("without any: %v", err)
		}
		off := `"ScheduleExpression": "cron(0 3 * * ? *)", "State": "DISABLED"`
		w.deploy(task("done"), rule("Nightly", off, ""), rule("Other", off, ""))
		if err := w.RunTask(t.Context(), "Nightly"); err != nil {
			t.Error(err)
		}
		w.is("now", "0s"+work)
		if err := w.RunTask(t.Context(), "Nihgtly"); fmt.Sprint(err) != `there is no scheduled task "Nihgtly": choose from Nightly, Other` {
			t.Errorf("another name: %v", err)
		}
		w.deploy(task("fail"), rule("Nightly", off, ""))
		err := w.RunTask(t.Context(), "Nightly")
		if s := w.status(); err == nil || !strings.Contains(err.Error(), `of Nightly failed: Essential container in task exited: "job", exit code 3`) || s.Last.Outcome() != `"job", exit code 3` {
			t.Errorf("a task that fails: %v, %+v", err, s)
		}
		w.deploy(task("long"), rule("Nightly", off, ""))
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := w.RunTask(ctx, "Nightly"); err == nil || !strings.Contains(err.Error(), "Task was stopped") || time.Since(w.driver.begin) != 150*time.Second {
			t.Errorf("a task that is stopped: %v after %v", err, time.Since(w.driver.begin))
		}
		// The end of the deployment stops it, too.
		ended := make(chan error, 1)
		go func() { ended <- w.RunTask(context.Background(), "Nightly") }()
		synctest.Wait()
		if s := w.status(); s.Running != 1 {
			t.Errorf("%d tasks run", s.Running)
		}
		if err := w.Stop(t.Context()); err != nil {
			t.Error(err)
		}
		if err := <-ended; err == nil || !strings.Contains(err.Error(), "Task was stopped") {
			t.Errorf("a task of a deployment that ends: %v", err)
		}
	})
}

// What is not honoured is refused by its place, and what has no effect is listed.
func TestHonoured(t *testing.T) {
	every := `"ScheduleExpression": "rate(1 minute)"`
	network := `"EcsParameters": {"NetworkConfiguration": {"AwsVpcConfiguration": {}}, `
	for _, test := range []struct{ resource, want string }{
		{rule("R", `"ScheduleExpression": "rate(1 minutes)"`, ""), `S/R/Properties.ScheduleExpression: "rate(1 minutes)": the unit is in the singular for 1, and in the plural for more`},
		{scheduled("R", every+`, "ScheduleExpressionTimezone": "Mars/Olympus"`, ""), `S/R/Properties.ScheduleExpressionTimezone: "Mars/Olympus" is no time zone, as in Europe/Berlin`},
		{scheduled("R", every+`, "ScheduleExpressionTimezone": "Local"`, ""), `"Local" is no time zone`},
		{scheduled("R", every+`, "StartDate": "tomorrow"`, ""), `S/R/Properties.StartDate: "tomorrow" is no time in UTC, as in 2027-01-31T08:00:00Z`},
		{scheduled("R", `"Name": "r"`, ""), ``},
		{rule("R", every, `, "InputTransformer": {"InputTemplate": "x"}`), `S/R/Properties.Targets[0].InputTransformer: not honoured: there is no event to take values from here`},
		{rule("R", every, `, "InputPath": "$.x"`), `Targets[0].InputPath: not honoured: there is no event`},
		{rule("R", every, `, "Novelty": 1`), `Targets[0].Novelty: not honoured: what it does is not known here`},
		{strings.Replace(rule("R", every, ""), `"EcsParameters": {`, network, 1), ``},
		{strings.Replace(rule("R", every, ""), `"EcsParameters": {`, `"EcsParameters": {"LaunchType": "FARGATE", "PlatformVersion": "LATEST", `, 1), ``},
		{strings.Replace(rule("R", every, ""), `"EcsParameters": {`, `"EcsParameters": {"LaunchType": "EXTERNAL", `, 1), `S/R/Properties.Targets[0].EcsParameters.LaunchType: "EXTERNAL" is not honoured: there is no machine of your own to stand for here`},
		{strings.Replace(scheduled("R", every, ""), `"EcsParameters": {`, `"EcsParameters": {"CapacityProviderStrategy": [{"CapacityProvider": "FARGATE_SPOT"}], `, 1), ``},
		{strings.Replace(rule("R", every, ""), `"EcsParameters": {`, `"EcsParameters": {"TaskCount": 11, `, 1), `TaskCount: expected a whole number from 1 to 10, found the number 11`},
		{strings.Replace(rule("R", every, ""), `{"Ref": "T"}`, `"arn:aws:ecs:x"`, 1), `Targets[0].EcsParameters.TaskDefinitionArn: expected a resource of the assembly`},
		{rule("R", every, `, "Input": "work"`), `S/R/Properties.Targets[0].Input: it is not the overrides of RunTask as JSON`},
		{rule("R", every, `, "Input": "{\"containerOverrides\": 1}"`), `S/R/Properties.Targets[0].Input: it is not the overrides of RunTask as JSON`},
		{rule("R", every, `, "Input": "{\"containerOverrides\": [{\"name\": \"web\"}]}"`), `S/R/Properties.Targets[0].Input: S/T has no container "web"`},
		{rule("R", every, `, "Input": "{\"containerOverrides\": [{\"name\": \"job\", \"resourceRequirements\": []}]}"`), `S/R/Properties.Targets[0].Input: the override "resourceRequirements" is not honoured here`},
	} {
		w := newWorld(t)
		err := w.plan(task("done"), test.resource).Check()
		if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "\n")) {
			t.Errorf("%s: the error is %v, want %q", test.resource, err, test.want)
		}
	}
	w := newWorld(t)
	if err := w.plan(strings.Replace(task("done"), `"Memory": 64`, `"RestartPolicy": {"Enabled": true}, "Memory": 64`, 1), rule("R", every, "")).Check(); err == nil || !strings.Contains(err.Error(), "RestartPolicy: not honoured") {
		t.Errorf("a task definition is not checked: %v", err)
	}
	if err := w.plan(task("foreign"), rule("R", every, "")).Check(); err == nil || !strings.Contains(err.Error(), `S/T, container "job": it is for another machine`) {
		t.Errorf("the driver is not asked: %v", err)
	}
	next := w.plan(task("done"), scheduled("Flexible", strings.Replace(every, `"Sch`, `"KmsKeyArn": "arn:k", "Sch`, 1), ""),
		fmt.Sprintf(`"Waits": {"Type": %q, "Properties": {"EventPattern": {"source": ["x"]}, "Targets": [{"Id": "t", "Arn": "arn:lambda"}]}}`, model.EventsRule),
		fmt.Sprintf(`"Calls": {"Type": %q, "Properties": {"ScheduleExpression": "rate(x)", "Targets": [{"Id": "t", "Arn": "arn:lambda"}]}}`, model.EventsRule))
	if err := next.Check(); err != nil {
		t.Error(err)
	}
	var got []string
	for _, over := range next.(provider.Reporter).PassedOver() {
		got = append(got, strings.TrimPrefix(over.Place, "S/")+" of "+over.Subject+": "+over.Why)
	}
	want := []string{
		"Calls/Properties.Targets of Calls: only targets that are ECS tasks run here", "Waits/Properties.EventPattern of Waits: nothing sends events here",
		"T/Properties.ContainerDefinitions[0].User of job: a test has no users",
	}
	fargate := w.plan(task("done"), strings.Replace(rule("R", every, ""), `"EcsParameters": {`, `"EcsParameters": {"NetworkConfiguration": {"AwsVpcConfiguration": {"Subnets": ["s"]}}, "PlatformVersion": "LATEST", `, 1))
	for _, over := range fargate.(provider.Reporter).PassedOver()[:2] {
		got = append(got, strings.TrimPrefix(over.Place, "S/")+" of "+over.Subject)
	}
	want = append(want, "R/Properties.Targets[0].EcsParameters.NetworkConfiguration of R", "R/Properties.Targets[0].EcsParameters.PlatformVersion of R")
	if !slices.Equal(got, want) {
		t.Errorf("passed over are %q, want %q", got, want)
	}
}

func TestAttributes(t *testing.T) {
	next := newWorld(t).plan(task("done"), rule("R", `"Name": "nightly"`, ""), scheduled("S", `"ScheduleExpression": "rate(1 hours)"`, "")).(*plan)
	for _, test := range []struct {
		schedule        int
		attribute, want string
	}{
		{0, "", "nightly"}, {0, "Arn", "arn:aws:events:local:000000000000:rule/nightly"}, {0, "Novelty", ""},
		{1, "", "S"}, {1, "Arn", "arn:aws:scheduler:local:000000000000:schedule/default/S"},
	} {
		got, err := next.Attribute(assembly.Ref{Resource: next.model.Schedules[test.schedule].Resource, Attribute: test.attribute})
		if (err == nil) != (test.want != "") || err == nil && got != test.want {
			t.Errorf("%q of schedule %d is %v, %v, want %q", test.attribute, test.schedule, got, err, test.want)
		}
	}
}

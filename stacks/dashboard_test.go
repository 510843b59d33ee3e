package stacks_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/jsii-runtime-go"

	"cutover/config"
	"cutover/deployment"
	"cutover/internal/analysis/isolation"
	"cutover/internal/assembly"
	"cutover/internal/nightly"
	"cutover/migration"
	"cutover/stacks"
)

// What people look at: the dashboard and the saved queries.

// dashboard is the body of an environment's, as CloudWatch gets it.
type dashboard struct {
	Widgets []struct {
		Type       string
		X, Y       int
		Width      int
		Height     int
		Properties struct {
			Title    string
			Markdown string
			Alarms   []string
			Metrics  [][]any
		}
	}
	Variables []struct {
		Type, Pattern, InputType, DefaultValue string
		Values                                 []struct{ Label, Value string }
	}
}

func readDashboard(t *testing.T, a *assembly.Assembly, stack string) dashboard {
	t.Helper()
	a, err := assembly.Read(a.Dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range a.Stacks { // as it is in an account
		s.Account, s.Region = isolation.Account, isolation.Region
	}
	r := resource(t, a, stack, "AWS::CloudWatch::Dashboard")
	body, ok := property(t, a, r, "DashboardBody").(string)
	if !ok {
		t.Fatalf("the body of %s is no text", r)
	}
	var d dashboard
	if err := json.Unmarshal([]byte(body), &d); err != nil {
		t.Fatalf("the body of %s is no JSON: %v\n%s", r, err, body)
	}
	return d
}

// show lists the metrics and expressions of every widget that has some, each with its
// label.
func (d dashboard) show() (lines []string) {
	for _, w := range d.Widgets {
		for _, metric := range w.Properties.Metrics {
			last := metric[len(metric)-1].(object)
			var parts []string
			for _, part := range metric[:len(metric)-1] {
				parts = append(parts, part.(string))
			}
			if expression, ok := last["expression"].(string); ok {
				parts = append(parts, expression)
			}
			if stat, ok := last["stat"].(string); ok {
				parts = append(parts, stat)
			}
			lines = append(lines, fmt.Sprintf("%s: %s: %s", w.Properties.Title, last["label"], strings.Join(parts, " ")))
		}
	}
	return lines
}

// panels are the dashboard's lines for one load balancer, or a chosen one, and its
// own lines.
func panels(env, balancer string, own ...string) []string {
	search := func(title, metric, statistic string) string {
		return fmt.Sprintf(`%s: ${PROP('Dim.TargetGroup')}: SEARCH('{AWS/ApplicationELB,LoadBalancer,TargetGroup} MetricName="%s" LoadBalancer="%s"', '%s', 60)`, title, metric, balancer, statistic)
	}
	tasks := func(title, metric string) string {
		return fmt.Sprintf(`%s: ${PROP('Dim.ServiceName')}: SEARCH('{AWS/ECS,ClusterName,ServiceName} MetricName="%s" ClusterName="%s"', 'Average', 60)`, title, metric, env)
	}
	cluster := "Cluster: % of it that is reserved, and its instances (right)"
	return slices.Concat([]string{
		search("Requests a minute", "RequestCount", "Sum"),
		search("5xx of the services, a minute", "HTTPCode_Target_5XX_Count", "Sum"),
	}, own, []string{
		search("Latency in seconds, p50", "TargetResponseTime", "p50"),
		search("Latency in seconds, p99", "TargetResponseTime", "p99"),
		search("Healthy tasks", "HealthyHostCount", "Minimum"),
		search("Unhealthy tasks", "UnHealthyHostCount", "Maximum"),
		tasks("CPU, % of what the tasks reserve", "CPUUtilization"),
		tasks("Memory, % of what the tasks reserve", "MemoryUtilization"),
		cluster + ": CPU: AWS/ECS CPUReservation ClusterName " + env,
		cluster + ": memory: AWS/ECS MemoryReservation ClusterName " + env,
		cluster + ": instances: ECS/ContainerInsights ContainerInstanceCount ClusterName " + env,
	})
}

func TestDashboard(t *testing.T) {
	own := func(balancer, label string) (lines []string) {
		for _, code := range []string{"5XX", "502", "503", "504"} {
			lines = append(lines, fmt.Sprintf("5xx of the load balancer itself, a minute: %s%s: AWS/ApplicationELB HTTPCode_ELB_%s_Count LoadBalancer %s Sum", label, code, code, balancer))
		}
		return lines
	}
	first, press := "${prod-Routing/LoadBalancerBE9EEC3A.LoadBalancerFullName}", "${prod-RoutingPress/LoadBalancerBE9EEC3A.LoadBalancerFullName}"

	dev := readDashboard(t, inPhase(t, migration.Monolith), "dev-Watch")
	one := strings.ReplaceAll(first, "prod-", "dev-")
	equal(t, "dev", panels("dev", one, own(one, "")...), dev.show())
	if text := dev.Widgets[0].Properties.Markdown; dev.Widgets[0].Type != "text" || !strings.Contains(text, "`environment`") || !strings.Contains(text, "`service`") || !strings.Contains(text, "cost-explorer") {
		t.Errorf("it does not begin with what is said of costs: %q", text)
	}
	for i, w := range dev.Widgets {
		if w.Type == "alarm" {
			t.Error("it has alarms, which are off")
		}
		for _, other := range dev.Widgets[:i] {
			if w.X < other.X+other.Width && other.X < w.X+w.Width && w.Y < other.Y+other.Height && other.Y < w.Y+w.Height || w.X+w.Width > 24 {
				t.Errorf("%q covers %q, or is too wide", w.Properties.Title, other.Properties.Title)
			}
		}
	}
	equal(t, "variables", 0, len(dev.Variables))

	// With alarms it shows all that there are.
	a := synthPress(t)
	prod := readDashboard(t, a, "prod-Watch")
	var got, want []string
	for _, w := range prod.Widgets {
		if w.Type == "alarm" {
			got = append(got, w.Properties.Alarms...)
			if n := len(w.Properties.Alarms); n > 100 {
				t.Errorf("a widget has %d alarms", n)
			}
		}
	}
	for _, alarm := range a.Resources("AWS::CloudWatch::Alarm") {
		want = append(want, "arn:aws:cloudwatch:"+isolation.Region+":"+isolation.Account+":alarm:"+alarm.Properties["AlarmName"].(string))
	}
	slices.Sort(got)
	slices.Sort(want)
	equal(t, "alarms", want, got)

	// Of several load balancers it shows the services of one.
	equal(t, "prod", panels("prod", "chosen-load-balancer", append(own(first, "first "), own(press, "press ")...)...), prod.show())
	if len(prod.Variables) != 1 {
		t.Fatalf("variables: %+v, want one", prod.Variables)
	}
	v := prod.Variables[0]
	equal(t, "what is chosen", []string{"pattern", "chosen-load-balancer", "select", first}, []string{v.Type, v.Pattern, v.InputType, v.DefaultValue})
	equal(t, "what there is to choose", []struct{ Label, Value string }{{"first", first}, {"press", press}}, v.Values)
}

// A widget shows up to 100 alarms, so more alarms are in further widgets.
func TestDashboardOfManyAlarms(t *testing.T) {
	d, s, err := config.Load(deployment.Forum, settings{"alarms": "on"}, func(string) string { return "" })
	if err != nil {
		t.Fatal(err)
	}
	stage := awscdk.NewStage(awscdk.NewApp(&awscdk.AppProps{Outdir: jsii.String(t.TempDir())}), jsii.String("Many"), nil)
	routing := stacks.NewRouting(stage, s, d, d.Migration().Plan(s.Position).Balancers[0], stacks.NewNetwork(stage, d, s), nil, nil)
	for i := 2; i <= 250; i++ { // the first is the load balancer's
		routing.Alarms.Add(fmt.Sprintf("alarm-%03d", i))
	}
	stacks.NewWatch(stage, d, s, []*stacks.Routing{routing}, nil)
	a, err := assembly.Read(*stage.Synth(nil).Directory())
	if err != nil {
		t.Fatal(err)
	}
	var counts []int
	shown := map[string]bool{}
	for _, w := range readDashboard(t, a, "dev-Watch").Widgets {
		if w.Type == "alarm" {
			counts = append(counts, len(w.Properties.Alarms))
			for _, alarm := range w.Properties.Alarms {
				shown[alarm] = true
			}
		}
	}
	equal(t, "alarms of each widget", []int{100, 100, 50}, counts)
	equal(t, "different alarms", 250, len(shown))
}

// The dashboard takes one value of a load balancer's stack, whatever is behind it, and
// none without a dashboard.
func TestWatchTakesOneValue(t *testing.T) {
	nightly.Test(t, "it synthesizes both profiles in four phases")
	on, off := inPhase(t, migration.Monolith), synth(t, several)
	equal(t, "outputs with it: target groups, the load balancer's name, Url", len(deployment.Forum.All())+1+1, len(on.Stack("dev-Routing").Outputs))
	equal(t, "outputs without it", len(deployment.Forum.All())+1, len(off.Stack("dev-Routing").Outputs))
	if off.Stack("dev-Watch") != nil {
		t.Error("there is a stack dev-Watch, and the dashboard is off")
	}
	for _, phase := range migration.Phases()[1:migration.Removed] {
		for _, step := range []struct{ from, to *assembly.Assembly }{
			{on, inPhase(t, phase)},
			{synth(t, production(migration.Monolith)), synth(t, production(phase))},
		} {
			for _, line := range assembly.Changes(step.from, step.to) {
				if strings.Contains(line, "-Watch ") || strings.Contains(line, "Alarm") && !strings.Contains(line, " NoTaskAlarm") {
					t.Errorf("to %v: %s", phase, line)
				}
			}
		}
	}
}

// queries lists the saved queries of an environment, with the log groups of each.
func queries(t *testing.T, a *assembly.Assembly) map[string][]string {
	t.Helper()
	found := map[string][]string{}
	for _, r := range a.Resources("AWS::Logs::QueryDefinition") {
		var groups []string
		for _, group := range property(t, a, r, "LogGroupNames").([]any) {
			groups = append(groups, group.(string))
		}
		found[property(t, a, r, "Name").(string)] = groups
	}
	return found
}

func TestQueries(t *testing.T) {
	var all []string
	for _, service := range names(deployment.Forum.All()) {
		all = append(all, "/ecs/"+service)
	}
	a := inPhase(t, migration.Monolith)
	equal(t, "queries", map[string][]string{"dev/what fails": all, "dev/what is slow": all, "dev/what happened to a request": all}, queries(t, a))
	for _, group := range all {
		if !slices.ContainsFunc(a.Resources("AWS::Logs::LogGroup"), func(r *assembly.Resource) bool { return r.Properties["LogGroupName"] == group }) {
			t.Errorf("there is no log group %s", group)
		}
	}

	// They ask for fields that a service logs.
	source, err := os.ReadFile(filepath.Join("services", "internal", "server", "log.go"))
	if err != nil {
		t.Fatal(err)
	}
	language := strings.Fields("filter stats sort fields limit and as by like asc desc count bin m pct max request") // and the message
	for _, r := range a.Resources("AWS::Logs::QueryDefinition") {
		text := r.Properties["QueryString"].(string)
		known := slices.Clone(language)
		for _, alias := range regexp.MustCompile(`\bas (\w+)`).FindAllStringSubmatch(text, -1) {
			known = append(known, alias[1])
		}
		looked := 0
		for _, word := range regexp.MustCompile(`@?[a-zA-Z]\w*`).FindAllString(text, -1) {
			if word[0] == '@' || slices.Contains(known, word) {
				continue
			}
			looked++
			if !strings.Contains(string(source), `"`+word+`"`) {
				t.Errorf("%s asks for %s, which no service logs: %s", r, word, text)
			}
		}
		if looked < 4 {
			t.Errorf("%s asks for %d fields: %s", r, looked, text)
		}
	}
	parameters := property(t, a, a.Stack("dev-Watch").Resource("WhatHappened"), "Parameters")
	if names := listOf(parameters); len(names) != 1 || names[0]["Name"] != "traceId" {
		t.Errorf("the parameters are %v", parameters)
	}
}

package stacks_test

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"

	"cutover/config"
	"cutover/deployment"
	"cutover/internal/analysis/controls"
	"cutover/internal/analysis/cost"
	"cutover/internal/analysis/isolation"
	"cutover/internal/assembly"
	"cutover/internal/model"
	"cutover/internal/nightly"
	"cutover/internal/rules"
	"cutover/migration"
	"cutover/stacks"
)

// More services than one load balancer has target groups for: further load
// balancers, by what CloudFormation is given.

// decide returns where a load balancer, by its stack, sends a request to.
func decide(t *testing.T, table *rules.Table, stack, request string) string {
	t.Helper()
	r, err := rules.ParseRequest(request)
	if err != nil {
		t.Fatal(err)
	}
	for _, listener := range table.Listeners {
		if listener.Resource.Stack.Name != stack || listener.Port != r.Port {
			continue
		}
		decision, err := listener.Route(r)
		if err != nil {
			t.Fatal(err)
		}
		return decision.String()
	}
	t.Fatalf("%s has no listener on port %d", stack, r.Port)
	return ""
}

// isolated says who may do what in an assembly.
func isolated(t *testing.T, a *assembly.Assembly) *isolation.Isolation {
	t.Helper()
	i, err := isolation.Read(a.Dir)
	if err != nil {
		t.Fatal(err)
	}
	return i
}

// synthPress returns production with the last service behind a load balancer of its own.
func synthPress(t *testing.T) *assembly.Assembly {
	t.Helper()
	press := changed(last, func(s *config.Service) { s.LoadBalancer = "press" })
	return synthDeployment(t, press, production(migration.Parallel))
}

// TestFurtherLoadBalancer looks at all that a further load balancer adds.
func TestFurtherLoadBalancer(t *testing.T) {
	a := synthPress(t)
	stack := a.Stack("prod-RoutingPress")
	if stack == nil {
		t.Fatal("there is no stack prod-RoutingPress")
	}
	if url := fmt.Sprint(stack.Outputs["Url"].Value); !strings.Contains(url, "https://") || !strings.Contains(url, "LoadBalancerBE9EEC3A") {
		t.Errorf("Url is %s", url)
	}
	// The monolith is behind both, and each service behind its own.
	groups := map[string][]string{monolith.Name: {targetGroup(t, a, monolith.Name).String(), targetGroup(t, a, monolith.Name+"-press").String()}}
	for _, service := range deployment.Forum.Services {
		name := service.Name
		if name == last.Name {
			name += "-press"
		}
		groups[service.Name] = []string{targetGroup(t, a, name).String()}
	}
	equal(t, "target groups: drop-traffic is at both", len(deployment.Forum.All())+1+2, len(a.Resources("AWS::ElasticLoadBalancingV2::TargetGroup")))
	for service, want := range groups {
		r := resource(t, a, "prod-"+config.Pascal(service), "AWS::ECS::Service")
		var got []string
		for _, at := range listOf(property(t, a, r, "LoadBalancers")) {
			got = append(got, at["TargetGroupArn"].(string))
		}
		equal(t, service+" is attached to", want, got)
		for _, group := range want {
			name, _, _ := strings.Cut(group, "/")
			if !slices.Contains(r.Stack.DependsOn, a.Stack(name)) {
				t.Errorf("%s does not wait for %s", service, name)
			}
		}
	}

	// Alarms of both load balancers, and of the monolith at each, tell one topic.
	topic := resource(t, a, "prod-Routing", "AWS::SNS::Topic")
	ofMonolith, ofLast := "prod-"+config.Pascal(monolith.Name), "prod-"+config.Pascal(last.Name)
	var alarms []string
	for _, alarm := range a.Resources("AWS::CloudWatch::Alarm") {
		equal(t, alarm.String()+" tells", any([]any{topic.String()}), property(t, a, alarm, "AlarmActions"))
		id := alarm.LogicalID[:len(alarm.LogicalID)-8] // without the hash
		for _, dimension := range listOf(property(t, a, alarm, "Dimensions")) {
			if dimension["Name"] == "TargetGroup" {
				id += " " + strings.TrimSuffix(dimension["Value"].(string), ".TargetGroupFullName")
			}
		}
		if name := alarm.Stack.Name; name == ofMonolith || name == ofLast || strings.HasPrefix(name, "prod-Routing") {
			alarms = append(alarms, name+" "+id)
		}
	}
	want := []string{"prod-Routing LoadBalancerErrorsAlarm", "prod-RoutingPress LoadBalancerErrorsAlarm"}
	for _, kind := range []string{"Errors", "Latency", "NoTask"} {
		want = append(want, ofMonolith+" "+kind+"Alarm "+groups[monolith.Name][0], ofMonolith+" "+kind+"PressAlarm "+groups[monolith.Name][1],
			ofLast+" "+kind+"Alarm "+groups[last.Name][0])
	}
	for _, kind := range []string{"Errors", "Latency", "Unhealthy"} {
		want = append(want, ofLast+" Canary"+kind+"Alarm")
	}
	slices.Sort(alarms)
	slices.Sort(want)
	equal(t, "alarms", want, alarms)

	// What the config package counts before there are any: with alarms, two for each
	// of the monolith and the services, one for the load balancer, Url, and the topic's.
	equal(t, "outputs of the first", 2*(len(deployment.Forum.All())-1)+2+2, len(a.Stack("prod-Routing").Outputs))
	equal(t, "outputs of the further one", 2*2+2, len(stack.Outputs))

	for _, control := range controls.All {
		if findings := control.Check(model.Read(a)); len(findings) > 0 {
			t.Errorf("%s: %v", control.ID, findings)
		}
	}
	estimates, err := cost.Read(model.Read(a))
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(estimates[0].Lines, func(l cost.Line) bool { return l.Name == "load balancer" })
	equal(t, "cost", cost.Line{Name: "load balancer", Item: "2 load balancers", Price: "2 × 0.0225 an hour", Amount: 3285}, estimates[0].Lines[i])
	equal(t, "grants of services", []string(nil), isolated(t, a).Foreign(names(deployment.Forum.All())))
}

// lots has 250 services: as many as fit behind the first load balancer and behind
// one called press, and the others behind one called shop.
func lots() config.Deployment {
	d := config.Deployment{Monolith: config.Service{Name: "api", Paths: []string{"/api*"}}}
	for i := range 250 {
		name := fmt.Sprintf("service-%03d", i)
		d.Services = append(d.Services, config.Service{
			Name: name, LoadBalancer: []string{"", "press", "shop"}[i/98], Paths: []string{"/api/" + name + "*"}, Order: i%98 + 1,
		})
	}
	return d
}

// synthLots synthesizes lots in a phase: everything, or only what decides where a request goes.
func synthLots(t *testing.T, phase migration.Phase, everything bool) *assembly.Assembly {
	t.Helper()
	change := settings{"phase": phase.String(), "maxInstances": 32.0}
	if phase == migration.Parallel {
		change["shift"] = "service-000=10,service-195=100"
	}
	if everything {
		return synthQuickly(t, lots(), change)
	}
	return synthRouting(t, lots(), change)
}

// synthQuickly synthesizes all of a deployment, with empty images and without a validation.
func synthQuickly(t *testing.T, d config.Deployment, change settings) *assembly.Assembly {
	t.Helper()
	return synthStage(t, d, change, func(stage constructs.Construct, d config.Deployment, s config.Settings) error {
		image := filepath.Join(t.TempDir(), "image")
		return stacks.Add(stage, d, s, func() (map[string]string, error) {
			contexts := map[string]string{}
			for _, service := range d.All() {
				contexts[service.Name] = image
			}
			return contexts, errors.Join(
				os.MkdirAll(image, 0o755),
				os.WriteFile(filepath.Join(image, "Dockerfile"), []byte("FROM scratch\n"), 0o644),
				os.WriteFile(filepath.Join(image, "image"), nil, 0o755), // the program, for a function
			)
		})
	})
}

// synthRouting synthesizes only what decides where a request goes.
func synthRouting(t *testing.T, d config.Deployment, change settings) *assembly.Assembly {
	t.Helper()
	return synthStage(t, d, change, func(stage constructs.Construct, d config.Deployment, s config.Settings) error {
		network := stacks.NewNetwork(stage, d, s)
		for _, balancer := range d.Migration().Plan(s.Position).Balancers {
			stacks.NewRouting(stage, s, d, balancer, network, nil, nil)
		}
		return nil
	})
}

// synthStage synthesizes what is added to a stage, because CDK validates apps only. The same
// constructs are validated in the other tests.
func synthStage(t *testing.T, d config.Deployment, change settings, add func(constructs.Construct, config.Deployment, config.Settings) error) *assembly.Assembly {
	t.Helper()
	context := cdkContext(t, change)
	context["aws:cdk:disable-creation-stack-traces"] = true // as Synth has it
	d, s, err := config.Load(d, context, os.Getenv)
	if err != nil {
		t.Fatal(err)
	}
	app := awscdk.NewApp(&awscdk.AppProps{AnalyticsReporting: jsii.Bool(false), Context: &context, Outdir: jsii.String(t.TempDir())})
	stage := awscdk.NewStage(app, jsii.String("Stage"), nil)
	if err := add(stage, d, s); err != nil {
		t.Fatal(err)
	}
	a, err := assembly.Read(*stage.Synth(nil).Directory())
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// TestLotsOfServices has 250 services behind three load balancers: each template
// keeps to the quotas, and every path goes where it has to in every phase.
func TestLotsOfServices(t *testing.T) {
	nightly.Test(t, "it synthesizes 250 services four times")
	balancers := []struct{ stack, suffix string }{{"dev-Routing", ""}, {"dev-RoutingPress", "-press"}, {"dev-RoutingShop", "-shop"}}
	synthesized := map[migration.Phase]*assembly.Assembly{}
	for _, phase := range migration.Phases() {
		a := synthLots(t, phase, phase == migration.Parallel)
		synthesized[phase] = a
		table, err := rules.Build(model.Read(a))
		if err != nil {
			t.Fatal(err)
		}
		moved := phase >= migration.Switched
		for i, service := range lots().Services {
			for n, balancer := range balancers {
				want := "api" + balancer.suffix
				switch own := i/98 == n; {
				case own && phase == migration.Parallel && i == 0:
					want = "service-000 10%, api 90%"
				case own && phase == migration.Parallel && i == 195:
					want = "service-195-press"
				case own && moved:
					want = service.Name + balancer.suffix
				case moved:
					want = "drop-traffic" + balancer.suffix
				}
				if got := decide(t, table, balancer.stack, "/api/"+service.Name+"/1"); got != want {
					t.Errorf("%v: %s sends %s to %s, want %s", phase, balancer.stack, service.Name, got, want)
				}
			}
		}
		keepsToQuotas(t, a)
		if phase == migration.Parallel {
			equal(t, "services", 251, len(a.Resources("AWS::ECS::Service")))
			asked := map[string]int{} // log groups by question
			for name, groups := range queries(t, a) {
				question, _, _ := strings.Cut(name, ",")
				asked[question] += len(groups)
				if len(groups) > 50 { // https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_StartQuery.html
					t.Errorf("%s asks %d log groups", name, len(groups))
				}
			}
			equal(t, "log groups", map[string]int{"dev/what fails": 251, "dev/what is slow": 251, "dev/what happened to a request": 251}, asked)
			i, executing := isolated(t, a), map[string]bool{}
			for _, g := range i.Grants {
				executing[g.Identity] = strings.HasSuffix(g.Identity, ": execution")
			}
			maps.DeleteFunc(executing, func(_ string, is bool) bool { return !is })
			equal(t, "execution roles", 251, len(executing))
			equal(t, "grants of services", []string(nil), i.Foreign(names(lots().All())))
		}
	}

	// A cut-over is the same two resources at each load balancer.
	var want []string
	for _, balancer := range balancers {
		want = append(want,
			"- "+balancer.stack+" ApiMonolithRule3E1F67E5 AWS::ElasticLoadBalancingV2::ListenerRule",
			"~ "+balancer.stack+" LoadBalancerHttpF4A6AC3E Properties.DefaultActions[0].ForwardConfig.TargetGroups[0].Weight 1 -> 0",
			"~ "+balancer.stack+" LoadBalancerHttpF4A6AC3E Properties.DefaultActions[0].ForwardConfig.TargetGroups[1].Weight 0 -> 1")
	}
	equal(t, "cut-over", want, assembly.Changes(synthesized[migration.Monolith], synthesized[migration.Switched]))
	equal(t, "to retired", []string(nil), assembly.Changes(synthesized[migration.Switched], synthesized[migration.Retired]))
}

// most has as many services as there can be: 98 behind each of five load balancers.
func most() config.Deployment {
	d := config.Deployment{Monolith: config.Service{Name: "api", Paths: []string{"/api*"}}}
	for i := range 490 {
		name := fmt.Sprintf("service-%03d", i)
		d.Services = append(d.Services, config.Service{
			Name: name, LoadBalancer: []string{"", "east", "north", "south", "west"}[i/98], Paths: []string{"/api/" + name + "*"}, Order: i%98 + 1,
		})
	}
	return d
}

// The stacks that refuse a step out of turn are split before one of them has more than 500
// resources, in every position of 490 services
// (https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/cloudformation-limits.html).
func TestInterlockOfLotsOfServices(t *testing.T) {
	nightly.Test(t, "it synthesizes 5,000 parameters")
	d := most()
	all := func(place string) string {
		var places []string
		for _, service := range d.Services {
			places = append(places, service.Name+"="+place)
		}
		return strings.Join(places, ",")
	}
	largest := 0
	for _, phase := range []string{all("monolith"), all("switched") + ",api=removed"} {
		a := synthStage(t, d, settings{"phase": phase, "maxInstances": 62.0}, func(stage constructs.Construct, d config.Deployment, s config.Settings) error {
			stacks.AddInterlock(stage, d, s)
			return nil
		})
		equal(t, "stacks", []string{"dev-Gate", "dev-GateEast", "dev-GateNorth", "dev-GateSouth", "dev-GateWest",
			"dev-Phase", "dev-PhaseEast", "dev-PhaseNorth", "dev-PhaseSouth", "dev-PhaseWest"}, stackNames(a))
		for _, stack := range a.Stacks {
			largest = max(largest, len(stack.Resources))
			if len(stack.Resources) > 500 {
				t.Errorf("%s has %d resources", stack.Name, len(stack.Resources))
			}
		}
	}
	if largest < 490 {
		t.Errorf("the largest stack has %d resources only: are these the largest positions?", largest)
	}
}

func stackNames(a *assembly.Assembly) []string {
	var names []string
	for _, stack := range a.Stacks {
		names = append(names, stack.Name)
	}
	slices.Sort(names)
	return names
}

// TestInterlockStacks: with places there are a first and a last stack for each load balancer. All
// first stacks come before all load balancers, one after the other, and all last stacks after all
// services.
func TestInterlockStacks(t *testing.T) {
	press := changed(last, func(s *config.Service) { s.LoadBalancer = "press" })
	a := synthQuickly(t, press, settings{"phase": first.Name + "=parallel"})
	var want []string
	for _, stack := range []string{"Cluster", "Gate", "GatePress", "Network", "Phase", "PhasePress", "Registry", "Routing", "RoutingPress", "Watch"} {
		want = append(want, "dev-"+stack)
	}
	var services []string
	for _, service := range names(press.All()) {
		services = append(services, "dev-"+config.Pascal(service))
	}
	equal(t, "stacks", slices.Sorted(slices.Values(append(want, services...))), stackNames(a))
	waits := func(stack string, on ...string) {
		for _, other := range on {
			if !slices.Contains(a.Stack(stack).DependsOn, a.Stack(other)) {
				t.Errorf("%s does not wait for %s", stack, other)
			}
		}
	}
	waits("dev-GatePress", "dev-Gate")
	waits("dev-Routing", "dev-Gate", "dev-GatePress")
	waits("dev-RoutingPress", "dev-Gate", "dev-GatePress")
	waits("dev-Phase", services...)
	waits("dev-PhasePress", services...)
	for stack, name := range map[string]string{"dev-Gate": "phase-gate/places", "dev-GatePress": "phase-gate-press/places", "dev-Phase": "phase-places", "dev-PhasePress": "phase-places-press"} {
		if r := a.Stack(stack).Resource("Places"); r == nil || property(t, a, r, "Name") != "/dev/"+name {
			t.Errorf("%s has no parameter /dev/%s with the id Places", stack, name)
		}
	}
	equal(t, "outputs", []string{"Phase"}, slices.Collect(maps.Keys(a.Stack("dev-Phase").Outputs)))
	equal(t, "outputs of the further one", 0, len(a.Stack("dev-PhasePress").Outputs))
}

// keepsToQuotas checks every template against what AWS takes
// (https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/cloudformation-limits.html,
// https://docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-limits.html).
func keepsToQuotas(t *testing.T, a *assembly.Assembly) {
	t.Helper()
	names := map[string]bool{}
	for _, stack := range a.Stacks {
		// In a stage the files have the hash of a path in their names.
		files, err := filepath.Glob(filepath.Join(a.Dir, "Stage"+strings.ReplaceAll(stack.Name, "-", "")+"????????.template.json"))
		if err != nil || len(files) != 1 {
			t.Fatalf("the template of %s is one of %v, %v", stack.Name, files, err)
		}
		file, err := os.Stat(files[0])
		if err != nil {
			t.Fatal(err)
		}
		if len(stack.Resources) > 500 || len(stack.Outputs) > 200 || file.Size() > 1_000_000 {
			t.Errorf("%s has %d resources, %d outputs and %d bytes", stack.Name, len(stack.Resources), len(stack.Outputs), file.Size())
		}
		if stack.Name == "dev-Registry" { // the largest, even if all load balancers had all services that they can have
			if full := file.Size() / int64(len(stack.Resources)) * (5*98 + 1); full > 1_000_000 {
				t.Errorf("with as many services as there can be %s has %d bytes", stack.Name, full)
			}
		}
		count := map[string]int{}
		for _, r := range stack.Resources {
			count[strings.TrimPrefix(r.Type, "AWS::ElasticLoadBalancingV2::")]++
			for _, key := range []string{"Name", "RepositoryName", "LogGroupName", "Family", "ServiceName"} {
				if name, ok := r.Properties[key].(string); ok {
					if names[r.Type+name] {
						t.Errorf("two of type %s are called %s", r.Type, name)
					}
					names[r.Type+name] = true
				}
			}
			groups, _ := r.Properties["LoadBalancers"].([]any)
			if len(groups) > 5 {
				t.Errorf("%s is attached to %d target groups", r, len(groups))
			}
		}
		if count["ListenerRule"] > 100 || count["TargetGroup"] > 100 {
			t.Errorf("%s has %d rules and %d target groups", stack.Name, count["ListenerRule"], count["TargetGroup"])
		}
	}
}

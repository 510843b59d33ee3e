package stacks_test

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/jsii-runtime-go"
	"github.com/cdklabs/cdk-nag-go/cdknag/v2"

	"cutover/config"
	"cutover/deployment"
	"cutover/internal/assembly"
	"cutover/internal/build"
	"cutover/internal/cdk"
	"cutover/internal/nightly"
	"cutover/migration"
	"cutover/stacks"
)

// scratch holds the assemblies that were synthesized, for as long as the tests run.
var scratch string

// TestMain closes the one jsii process that all tests of this package share. It
// takes calls from one goroutine only, so none of them runs in parallel while it
// synthesizes.
func TestMain(m *testing.M) {
	flag.Parse()
	code, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func run(m *testing.M) (code int, err error) {
	if os.Getenv("CDK_VALIDATION") == "false" {
		return 0, errors.New("these tests have CDK validate every template: unset CDK_VALIDATION")
	}
	// Synthesis, and most of what is looked at here, begins at the repository's root.
	if err := os.Chdir(".."); err != nil {
		return 0, err
	}
	cdk.Prepare()
	jsii.Close() // so that jsii starts as Prepare says
	if scratch, err = os.MkdirTemp("", "cutover-test-"); err != nil {
		return 0, err
	}
	defer os.RemoveAll(scratch)
	defer jsii.Close()
	return m.Run(), nil
}

// settings are context keys, as "-c" or cdk.json give them.
type settings = map[string]any

// assemblies has one entry for every deployment and context that was asked for,
// so that each is synthesized once.
var assemblies = map[string]*assembly.Assembly{}

// synth returns the assembly of the forum with the context of cdk.json, changed by what is
// given. A finding of cdk-nag or of CDK's own validation, if they look, fails the test, whatever it is
// about. Tests that state figures use the forum, whatever is deployed.
func synth(t *testing.T, change settings) *assembly.Assembly {
	t.Helper()
	return synthDeployment(t, deployment.Forum, change)
}

// synthApp is [synth] with what is deployed. So tests of what has to hold for every list of services
// hold for yours.
func synthApp(t *testing.T, change settings) *assembly.Assembly {
	t.Helper()
	return synthDeployment(t, deployment.App, change)
}

// synthFrontedApp is [synthApp] with a front, unless what is deployed cannot have it: services that call each other
// through the load balancer leave its door open, and one with a host name of its own has no front. Then the forum
// shows what the settings do.
func synthFrontedApp(t *testing.T, change settings) *assembly.Assembly {
	t.Helper()
	if _, _, err := config.Load(deployment.App, cdkContext(t, change), os.Getenv); err != nil {
		t.Logf("the forum stands for what is deployed, with %v: %v", change, err)
		return synth(t, change)
	}
	return synthApp(t, change)
}

func synthDeployment(t *testing.T, d config.Deployment, change settings) *assembly.Assembly {
	t.Helper()
	context := cdkContext(t, change)
	key := fmt.Sprint(d, context)
	if a := assemblies[key]; a != nil {
		return a
	}
	dir := filepath.Join(scratch, fmt.Sprint(len(assemblies)))
	reports := slices.ContainsFunc(profiles(), func(p settings) bool { return fmt.Sprint(cdkContext(t, p)) == fmt.Sprint(context) })
	if context["certificateArn"] != nil && context["domain"] == nil {
		// The certificate is for a domain. The setting is refused if no service calls another one by it.
		with := maps.Clone(context)
		with["domain"] = "api.example.com"
		if _, _, err := config.Load(d, with, os.Getenv); err == nil {
			context = with
		}
	}
	if err := synthTo(d, context, dir, reports); err != nil {
		t.Fatal(err)
	}
	a, err := assembly.Read(dir)
	if err != nil {
		t.Fatal(err)
	}
	assemblies[key] = a
	return a
}

// synthTo synthesizes as [stacks.Synth] does, with more checks and less work. cdk-nag
// writes reports only if TestNag reads them: cdk-nag writes a report anew for each rule,
// and that takes as long as the rules. Without reports a finding fails the synthesis, too. Without
// slow tests the checks look at the assemblies with reports alone.
func synthTo(d config.Deployment, context settings, dir string, reports bool) error {
	return stacks.SynthWith(d, context, dir, compiled, func(app awscdk.App) {
		validated(app)
		if reports || nightly.Runs() {
			validation().off = false
			awscdk.Aspects_Of(app).Add(cdknag.NewAwsSolutionsChecks(&cdknag.NagPackProps{
				Reports: &reports, ReportFormats: &[]cdknag.NagReportFormat{cdknag.NagReportFormat_JSON},
			}), nil)
		}
	})
}

// builds has the build contexts of the services, by what was compiled.
var (
	builds   = map[string]map[string]string{}
	building sync.Mutex
)

// programs reports whether images have the services' programs, which slow tests start. Otherwise each has
// a small file instead: to copy a program costs more than the rest of a synthesis.
func programs() bool { return nightly.Runs() || os.Getenv("CUTOVER_RELIABILITY") != "" }

// compiled compiles the services as [stacks.Synth] does, once for all syntheses.
func compiled(services []config.Service, arch string) (map[string]string, error) {
	options := build.Options{Root: ".", Arch: arch, Progress: os.Stderr}
	options.Services = stacks.GoPackages(services)
	if len(options.Services) == 0 {
		return nil, nil
	}
	key := fmt.Sprint(options.Arch, options.Services)
	building.Lock()
	defer building.Unlock()
	if builds[key] == nil {
		build := build.Build
		if !programs() {
			build = standIns
		}
		contexts, err := build(context.Background(), options)
		if err != nil {
			return nil, err
		}
		builds[key] = contexts
	}
	return builds[key], nil
}

// standIns makes build contexts as [build.Build] does, with a text for each program.
func standIns(_ context.Context, o build.Options) (map[string]string, error) {
	contexts := map[string]string{}
	for _, s := range o.Services {
		dir := filepath.Join(scratch, "images", o.Arch, s.Name)
		contexts[s.Name] = dir
		if err := errors.Join(
			os.MkdirAll(dir, 0o755),
			os.WriteFile(filepath.Join(dir, "Dockerfile"), []byte("FROM scratch\n"), 0o644),
			os.WriteFile(filepath.Join(dir, s.Name), []byte(o.Arch+" "+s.Dir), 0o755),
		); err != nil {
			return nil, err
		}
	}
	return contexts, nil
}

// cdkContext is what the CDK command line would hand over.
func cdkContext(t *testing.T, change settings) settings {
	t.Helper()
	text, err := os.ReadFile("cdk.json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct{ Context settings }
	if err := json.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	file.Context["aws:cdk:enable-path-metadata"] = true // the command line's own default
	maps.Copy(file.Context, change)
	return file.Context
}

var (
	monolith    = deployment.Forum.Monolith
	first, last = deployment.Forum.Services[0], deployment.Forum.Services[len(deployment.Forum.Services)-1]
)

// names are those of services.
func names(services []config.Service) []string {
	var names []string
	for _, service := range services {
		names = append(names, service.Name)
	}
	return names
}

// changed returns the deployment with a service changed.
func changed(service config.Service, change func(*config.Service)) config.Deployment {
	d := deployment.Forum
	d.Services = slices.Clone(d.Services)
	for i := range d.Services {
		if d.Services[i].Name == service.Name {
			change(&d.Services[i])
		}
	}
	return d
}

// inPhase returns the assembly of a phase with everything else at its default.
func inPhase(t *testing.T, p migration.Phase) *assembly.Assembly {
	t.Helper()
	return synth(t, settings{"phase": p.String()})
}

// resource returns the one resource of a type in a stack.
func resource(t *testing.T, a *assembly.Assembly, stack, resourceType string) *assembly.Resource {
	t.Helper()
	var found []*assembly.Resource
	for _, r := range a.Resources(resourceType) {
		if r.Stack.Name == stack {
			found = append(found, r)
		}
	}
	if len(found) != 1 {
		t.Fatalf("stack %s has %d resources of type %s, want 1", stack, len(found), resourceType)
	}
	return found[0]
}

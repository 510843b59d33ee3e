package stacks_test

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"testing"

	"github.com/aws/jsii-runtime-go"
	"github.com/cdklabs/cdk-nag-go/cdknag/v2"

	"cutover/config"
	"cutover/deployment"
	"cutover/internal/assembly"
	"cutover/internal/cdk"
	"cutover/migration"
	"cutover/stacks"
)

var update = flag.Bool("update", false, "rewrite the golden templates")

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

// synth returns the assembly of the deployment in main.go with the context of
// cdk.json, changed by what is given. A finding of cdk-nag or of CDK's own
// validation fails the test, whatever it is about.
func synth(t *testing.T, change settings) *assembly.Assembly {
	t.Helper()
	return synthDeployment(t, deployment.Forum, change)
}

func synthDeployment(t *testing.T, d config.Deployment, change settings) *assembly.Assembly {
	t.Helper()
	context := cdkContext(t, change)
	key := fmt.Sprint(d, context)
	if a := assemblies[key]; a != nil {
		return a
	}
	dir := filepath.Join(scratch, fmt.Sprint(len(assemblies)))
	nag := cdknag.NewAwsSolutionsChecks(&cdknag.NagPackProps{ReportFormats: &[]cdknag.NagReportFormat{cdknag.NagReportFormat_JSON}})
	if err := stacks.Synth(t.Context(), d, context, dir, nag); err != nil {
		t.Fatal(err)
	}
	a, err := assembly.Read(dir)
	if err != nil {
		t.Fatal(err)
	}
	assemblies[key] = a
	return a
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

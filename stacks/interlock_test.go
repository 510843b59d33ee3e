package stacks_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/jsii-runtime-go"

	"cutover/config"
	"cutover/internal/assembly"
	emulated "cutover/internal/emulate/cloudformation"
	"cutover/internal/local/ssm"
	"cutover/internal/model"
	"cutover/internal/nightly"
	"cutover/internal/step"
	"cutover/migration"
	"cutover/stacks"
)

// position is a state of the migration, and the stacks of the interlock in it.
type position struct {
	name          string
	state         migration.State
	assembly      *assembly.Assembly
	gates, phases []string // names of stacks, in the order of a deployment
}

// positions are all positions of two services, as somebody would set them: one phase for all,
// places, and the rest with the monolith.
func positions(t *testing.T, d config.Deployment) (migration.Migration, []position) {
	t.Helper()
	var contexts []settings
	for _, phase := range migration.PhaseNames() {
		contexts = append(contexts, settings{"phase": phase})
	}
	contexts = append(contexts, settings{"phase": "parallel", "shift": "users=10"}, settings{"phase": "switched", "rest": "monolith"})
	for _, users := range []string{"monolith", "parallel", "10%", "switched"} {
		for _, posts := range []string{"monolith", "parallel", "0%", "switched"} {
			contexts = append(contexts, settings{"phase": "users=" + users + ",posts=" + posts})
		}
	}
	const done = "users=switched,posts=switched"
	contexts = append(contexts, settings{"phase": done, "rest": "monolith"}, settings{"phase": done + ",api=retired"}, settings{"phase": done + ",api=removed"})
	return positionsIn(t, d, contexts...)
}

// positionsIn are the positions in contexts.
func positionsIn(t *testing.T, d config.Deployment, contexts ...settings) (m migration.Migration, all []position) {
	t.Helper()
	app := awscdk.NewApp(&awscdk.AppProps{AnalyticsReporting: jsii.Bool(false), Outdir: jsii.String(t.TempDir()),
		Context: &map[string]any{"aws:cdk:disable-creation-stack-traces": true}})
	for i, context := range contexts {
		d, s, err := config.Load(d, context, os.Getenv)
		if err != nil {
			t.Fatal(err)
		}
		stage := awscdk.NewStage(app, jsii.String(fmt.Sprint("At", i)), nil)
		stacks.AddInterlock(stage, d, s)
		a, err := assembly.Read(*stage.Synth(nil).Directory())
		if err != nil {
			t.Fatal(err)
		}
		m = d.Migration()
		p := position{name: fmt.Sprint(context), state: m.State(s.Position), assembly: a}
		for _, stack := range a.Stacks {
			if strings.HasPrefix(stack.Name, "dev-Gate") {
				p.gates = append(p.gates, stack.Name)
			} else {
				p.phases = append(p.phases, stack.Name)
			}
		}
		all = append(all, p)
	}
	return m, all
}

// account is the emulated CloudFormation with a Parameter Store.
type account struct {
	t          *testing.T
	engine     *emulated.Engine
	log        bytes.Buffer      // has what became of each stack
	templates  map[string]string // deployed last, by stack
	parameters map[string]string
}

func newAccount(t *testing.T) *account {
	a := &account{t: t, templates: map[string]string{}, parameters: map[string]string{"/cdk-bootstrap/hnb659fds/version": "30"}}
	server := httptest.NewServer(http.HandlerFunc(a.store))
	t.Cleanup(server.Close)
	a.engine = emulated.New(emulated.Options{Endpoint: server.URL, Account: "123456789012", Region: "eu-west-1", Log: log.New(&a.log, "", 0)})
	return a
}

// store answers as the Parameter Store does: a name exists once
// (https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_PutParameter.html).
func (a *account) store(w http.ResponseWriter, r *http.Request) {
	var in struct {
		Name, Value string
		Overwrite   bool
	}
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
		a.t.Error(err)
	}
	action := strings.TrimPrefix(r.Header.Get("X-Amz-Target"), "AmazonSSM.")
	_, exists := a.parameters[in.Name]
	var answer any = struct{}{}
	switch {
	case action == "PutParameter" && exists && !in.Overwrite:
		w.WriteHeader(http.StatusBadRequest)
		answer = map[string]string{"__type": "ParameterAlreadyExists", "message": "The parameter already exists."}
	case action == "PutParameter":
		a.parameters[in.Name] = in.Value
	case action == "DeleteParameter" && exists:
		delete(a.parameters, in.Name)
	case action == "GetParameter" && exists:
		answer = map[string]any{"Parameter": map[string]string{"Value": a.parameters[in.Name]}}
	default:
		a.t.Errorf("the Parameter Store cannot %s %s", action, in.Name)
	}
	if err := json.NewEncoder(w).Encode(answer); err != nil {
		a.t.Error(err)
	}
}

// call sends a request to CloudFormation.
func (a *account) call(action string, values url.Values) {
	a.t.Helper()
	values.Set("Action", action)
	r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(values.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	w := httptest.NewRecorder()
	if a.engine.ServeHTTP(w, r); w.Code != http.StatusOK {
		a.t.Fatalf("%s: %s", action, w.Body)
	}
}

// existing is the line of the log about a resource whose name exists.
var existing = regexp.MustCompile(`(\S+) (\S+) \S+ (?:CREATE|UPDATE)_FAILED: .*HandlerErrorCode: AlreadyExists`)

// deploy deploys stacks as the CDK command line does, and ends with the first that fails. It
// returns the resource that CloudFormation refuses because its name exists, as in
// "dev-Gate/NotNextToRetired".
func (a *account) deploy(p position, stacks []string) (refused string) {
	a.t.Helper()
	for _, name := range stacks {
		template, err := json.Marshal(p.assembly.Stack(name).Template)
		if err != nil {
			a.t.Fatal(err)
		}
		kind := "UPDATE"
		switch a.templates[name] {
		case string(template):
			continue // no changes
		case "":
			kind = "CREATE"
		}
		a.log.Reset()
		a.call("CreateChangeSet", url.Values{"StackName": {name}, "ChangeSetName": {"c"}, "ChangeSetType": {kind}, "TemplateBody": {string(template)}})
		a.call("ExecuteChangeSet", url.Values{"StackName": {name}, "ChangeSetName": {"c"}})
		if strings.Contains(a.log.String(), name+" "+kind+"_COMPLETE") {
			a.templates[name] = string(template)
			continue
		}
		failed := existing.FindStringSubmatch(a.log.String())
		if failed == nil || !strings.Contains(a.log.String(), name+" UPDATE_ROLLBACK_COMPLETE") {
			a.t.Fatalf("%s after %v: %s", name, a.templates, a.log.String())
		}
		return failed[1] + "/" + failed[2]
	}
	return ""
}

// here deploys the parameters of stacks on this machine.
func here(store *ssm.Parameters, p position, stacks []string) error {
	plan := store.Plan(model.Read(p.assembly), nil)
	for _, stack := range stacks {
		if err := plan.Update(context.Background(), stack); err != nil {
			return err
		}
		if err := plan.Clean(context.Background(), stack); err != nil {
			return err
		}
	}
	return nil
}

// split is a deployment of two services, the second one behind the named load balancer.
func split(balancer string) config.Deployment {
	return config.Deployment{
		Monolith: config.Service{Name: "api", Paths: []string{"/api*"}},
		Services: []config.Service{
			{Name: "users", Order: 10, Paths: []string{"/api/users*"}},
			{Name: "posts", Order: 20, Paths: []string{"/api/posts*"}, LoadBalancer: balancer},
		},
	}
}

// TestInterlockOnAWS tries every step from every position to every other one on the emulated AWS
// and on this machine. CloudFormation refuses a step out of turn before anything changes.
func TestInterlockOnAWS(t *testing.T) {
	nightly.Test(t, "it deploys the first and the last stacks 676 times")
	m, all := positions(t, split(""))
	t.Parallel()
	everyStep(t, m, all)
}

// TestInterlockOfSomePositions tries the steps between some of them: one phase for all, and places.
func TestInterlockOfSomePositions(t *testing.T) {
	m, all := positionsIn(t, split(""), settings{"phase": "monolith"}, settings{"phase": "parallel"}, settings{"phase": "switched"},
		settings{"phase": "users=10%,posts=monolith"}, settings{"phase": "users=switched,posts=parallel"})
	t.Parallel()
	legal := 0
	for _, from := range all {
		legal += steps(t, m, from, all)
	}
	equal(t, "legal steps", 11, legal)
}

// TestInterlockKeepsTheScheme: CloudFormation refuses another scheme of the load balancers before anything changes, in
// either direction, and takes the same one.
func TestInterlockKeepsTheScheme(t *testing.T) {
	var contexts []settings
	phases := []string{"parallel", "users=10%,posts=monolith"}
	if nightly.Runs() {
		phases = append(phases, "switched")
	}
	for _, phase := range phases {
		for _, scheme := range []string{config.InternetFacing, config.Internal} {
			contexts = append(contexts, settings{"phase": phase, "scheme": scheme})
		}
	}
	m, all := positionsIn(t, split(""), contexts...)
	t.Parallel()
	for i, from := range all {
		for j, to := range all {
			a := newAccount(t)
			for _, stacks := range [][]string{from.gates, from.phases} {
				if refused := a.deploy(from, stacks); refused != "" {
					t.Fatalf("a new environment cannot begin in %s: %s", from.name, refused)
				}
				if _, err := step.Read(m, "dev", step.Here, a.parameters); err != nil {
					t.Fatalf("%s after %v: %v", from.name, stacks, err)
				}
			}
			before := maps.Clone(a.parameters)
			refused := a.deploy(to, to.gates)
			if legal := i%2 == j%2 && m.Follows(from.state, to.state); legal != (refused == "") {
				t.Errorf("%s after %s: refused %q, and legal is %t", to.name, from.name, refused, legal)
			}
			if refused == "" {
				if refused := a.deploy(to, to.phases); refused != "" {
					t.Errorf("%s after %s is not completed: %s", to.name, from.name, refused)
				}
			} else if !strings.HasPrefix(refused, "dev-Gate/") || !maps.Equal(a.parameters, before) {
				t.Errorf("%s after %s: %s is refused, and the parameters are %v, before %v", to.name, from.name, refused, a.parameters, before)
			}
		}
	}
}

// With several load balancers the gate is several stacks. A later one may refuse a step after an
// earlier one has taken it. Nothing else has changed then, and the deployed position can be deployed
// again.
func TestInterlockOfSeveralLoadBalancers(t *testing.T) {
	nightly.Test(t, "it deploys the first and the last stacks 676 times")
	m, all := positions(t, split("press"))
	t.Parallel()
	everyStep(t, m, all)

	// One phase for all leaves the stacks of the second load balancer behind, which know nothing of what comes then.
	// They have to be deleted before services have places again.
	at := func(context settings) position {
		return all[slices.IndexFunc(all, func(p position) bool { return p.name == fmt.Sprint(context) })]
	}
	a := newAccount(t)
	for _, context := range []settings{{"phase": "users=monolith,posts=monolith"}, {"phase": "monolith"}, {"phase": "parallel"}, {"phase": "switched"}} {
		if refused := a.deploy(at(context), slices.Concat(at(context).gates, at(context).phases)); refused != "" {
			t.Fatalf("%v: %s is refused", context, refused)
		}
	}
	again := at(settings{"phase": "users=switched,posts=switched"})
	if refused := a.deploy(again, again.gates); !strings.HasPrefix(refused, "dev-GatePress/") {
		t.Errorf("beside stacks that were left behind: %q is refused, want a resource of dev-GatePress", refused)
	}
	for _, name := range []string{"dev-GatePress", "dev-PhasePress"} {
		a.call("DeleteStack", url.Values{"StackName": {name}})
		delete(a.templates, name)
	}
	if refused := a.deploy(again, slices.Concat(again.gates, again.phases)); refused != "" {
		t.Errorf("without the stacks that were left behind, %s is refused", refused)
	}
}

func everyStep(t *testing.T, m migration.Migration, all []position) {
	legal := 0
	for _, from := range all {
		legal += steps(t, m, from, all)
	}
	if len(all) != 26 || legal != 218 {
		t.Errorf("%d steps between %d positions are legal, want 218 between 26", legal, len(all))
	}
}

// steps tries all steps from one position, and counts those that are taken.
func steps(t *testing.T, m migration.Migration, from position, all []position) (count int) {
	deployed := func() *account {
		a := newAccount(t)
		if refused := a.deploy(from, slices.Concat(from.gates, from.phases)); refused != "" {
			t.Fatalf("a new environment cannot begin in %s: %s", from.name, refused)
		}
		return a
	}
	a := deployed()
	// The commands know it, too, and say what comes next.
	known, err := step.Read(m, "dev", step.Here, a.parameters)
	if err != nil || !known.Exact || known.Reached != from.state || known.Begun != from.state {
		t.Errorf("%s is read as %+v, %v", from.name, known, err)
	}
	for _, to := range all {
		legal := m.Follows(from.state, to.state)
		before := maps.Clone(a.parameters)
		refused := a.deploy(to, to.gates)
		if legal != (refused == "") {
			t.Errorf("%s after %s: refused %q, and legal is %t", to.name, from.name, refused, legal)
		}
		if legal {
			count++
			if refused := a.deploy(to, to.phases); refused != "" {
				t.Errorf("%s after %s is not completed: %s", to.name, from.name, refused)
			}
			a = deployed()
		} else if !maps.Equal(a.parameters, before) {
			if strings.HasPrefix(refused, "dev-Gate/") {
				t.Errorf("%s after %s is refused and changes something: %v, before %v", to.name, from.name, a.parameters, before)
			} else if refused := a.deploy(from, from.gates); refused != "" {
				t.Errorf("%s after %s is refused, and so is %s then: %s", to.name, from.name, from.name, refused)
			}
			a = deployed()
		}
		store := ssm.New()
		if err := here(store, from, slices.Concat(from.gates, from.phases)); err != nil {
			t.Fatal(err)
		}
		if err := here(store, to, to.gates); (err == nil) != legal {
			t.Errorf("%s after %s on this machine: %v, and legal is %t", to.name, from.name, err, legal)
		}
		if turn := step.OutOfTurn(m, "dev", to.state, known); (turn == nil) != legal {
			t.Errorf("%s after %s is out of turn: %v, and legal is %t", to.name, from.name, turn, legal)
		}
	}
	return count
}

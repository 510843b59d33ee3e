package stacks_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"cutover/config"
	"cutover/deployment"
	shop "cutover/examples/shop/deployment"
	"cutover/internal/analysis/controls"
	"cutover/internal/assembly"
	"cutover/internal/golden"
	"cutover/internal/local/alb"
	"cutover/internal/local/ecs"
	"cutover/internal/model"
	"cutover/internal/nightly"
	"cutover/migration"
)

const certificate = "arn:aws:acm:us-east-1:123456789012:certificate/00000000-0000-0000-0000-000000000000"

// production is an environment called prod, as it is meant to be: with a certificate.
func production(phase migration.Phase) settings {
	return settings{"env": "prod", "certificateArn": certificate, "phase": phase.String()}
}

// profiles are the settings by default and of production, in every phase. Without slow tests they are those
// of one phase.
func profiles() []settings {
	if !nightly.Runs() {
		return []settings{{"phase": migration.Parallel.String()}, production(migration.Parallel)}
	}
	var all []settings
	for _, phase := range migration.Phases() {
		all = append(all, settings{"phase": phase.String()}, production(phase))
	}
	return all
}

// suppressed are the rules of cdk-nag that a resource suppresses, as the metadata
// in its template has them.
type suppressed struct {
	ID        string
	Reason    string
	AppliesTo []string `json:"applies_to"`
}

// nagSuppressions returns the suppressions of a stack, by construct path.
func nagSuppressions(t *testing.T, stack *assembly.Stack) map[string][]suppressed {
	t.Helper()
	text, err := json.Marshal(stack.Template)
	if err != nil {
		t.Fatal(err)
	}
	var template struct {
		Metadata  map[string]any
		Resources map[string]struct {
			Metadata struct {
				Path string `json:"aws:cdk:path"`
				Nag  struct {
					Rules []suppressed `json:"rules_to_suppress"`
				} `json:"cdk_nag"`
			}
		}
	}
	if err := json.Unmarshal(text, &template); err != nil {
		t.Fatal(err)
	}
	if template.Metadata["cdk_nag"] != nil {
		t.Errorf("%s suppresses rules for all of its resources", stack.Name)
	}
	found := map[string][]suppressed{}
	for _, resource := range template.Resources {
		if rules := resource.Metadata.Nag.Rules; rules != nil {
			found[resource.Metadata.Path] = rules
		}
	}
	return found
}

// nagLine is one line of a report: what a rule says of a resource.
type nagLine struct {
	RuleID          string
	ResourceID      string
	Compliance      string
	ExceptionReason string
}

func nagReport(t *testing.T, a *assembly.Assembly, stack *assembly.Stack) []nagLine {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(a.Dir, "AwsSolutions-"+stack.Name+"-NagReport.json"))
	if err != nil {
		t.Fatal(err)
	}
	var report struct{ Lines []nagLine }
	if err := json.Unmarshal(text, &report); err != nil {
		t.Fatal(err)
	}
	return report.Lines
}

// TestNag reads what cdk-nag said of every stack in every phase.
func TestNag(t *testing.T) {
	for _, context := range profiles() {
		checkNag(t, fmt.Sprint(context), synthApp(t, context))
	}
}

// TestNagOfOthers reads the same of the shop, and of a deployment with every option.
func TestNagOfOthers(t *testing.T) {
	nightly.Test(t, "cdk-nag writes reports")
	for _, d := range []config.Deployment{shop.Shop, own()} {
		dir := filepath.Join(scratch, "nag-of-"+d.Services[0].Name)
		if err := synthTo(d, cdkContext(t, settings{"phase": "parallel", "alarms": "on"}), dir, true); err != nil {
			t.Fatal(err)
		}
		a, err := assembly.Read(dir)
		if err != nil {
			t.Fatal(err)
		}
		checkNag(t, d.Monolith.Name, a)
	}
}

// checkNag checks that each rule is met or suppressed beside the resource with a reason, and that each
// suppression is needed, so that none outlives its reason.
func checkNag(t *testing.T, what string, a *assembly.Assembly) {
	t.Helper()
	looked := 0
	for _, stack := range a.Stacks {
		needed := map[string]bool{} // path, rule and finding
		for _, line := range nagReport(t, a, stack) {
			looked++
			switch line.Compliance {
			case "Compliant":
			case "Suppressed":
				finding := ""
				if strings.HasPrefix(line.ExceptionReason, "[") {
					finding, _, _ = strings.Cut(line.ExceptionReason[1:], "] ")
				}
				needed[line.ResourceID+" "+line.RuleID+" "+finding] = true
			default:
				t.Errorf("%s: %s is %s with %s", what, line.ResourceID, line.Compliance, line.RuleID)
			}
		}
		for path, rules := range nagSuppressions(t, stack) {
			for _, rule := range rules {
				// A reason is a sentence, not a word.
				if len(strings.Fields(rule.Reason)) < 4 {
					t.Errorf("%s suppresses %s for %q, which is no reason", path, rule.ID, rule.Reason)
				}
				var findings []string
				if rule.ID == "CdkNagValidationFailure" {
					// What applies is the rule that could not be evaluated.
					for _, failed := range rule.AppliesTo {
						findings = append(findings, path+" "+failed+" ")
					}
				} else if rule.AppliesTo == nil {
					findings = append(findings, path+" "+rule.ID+" ")
				} else {
					for _, finding := range rule.AppliesTo {
						findings = append(findings, path+" "+rule.ID+" "+finding)
					}
				}
				for _, finding := range findings {
					if !needed[finding] {
						t.Errorf("%s: the suppression of %s is not needed: remove it", what, finding)
					}
				}
			}
		}
	}
	// An aspect that visits nothing finds nothing.
	if looked < 40 {
		t.Errorf("%s: cdk-nag looked at %d rules and resources only", what, looked)
	}
}

// Production can be tried on this machine, too: nothing that it adds is refused.
func TestProductionRunsLocally(t *testing.T) {
	phases := migration.Phases()
	if !nightly.Runs() {
		phases = []migration.Phase{migration.Parallel}
	}
	for _, phase := range phases {
		m := model.Read(synth(t, production(phase)))
		want := len(deployment.Forum.All())
		if phase == migration.Removed {
			want-- // the monolith
		}
		if _, err := alb.Read(m); err != nil {
			t.Errorf("%s: %v", phase, err)
		}
		if err := ecs.Check(m); err != nil || len(m.Services) != want {
			t.Errorf("%s: %d services, %v", phase, len(m.Services), err)
		}
	}
}

// TestSecurityControls: the default profile meets all controls but those that a setting makes it
// meet, in every phase. Production meets all.
func TestSecurityControls(t *testing.T) {
	nightly.Test(t, "it synthesizes both profiles in every phase, and a deployment for each setting that closes a control")
	closing := map[string]settings{
		"certificateArn": {"certificateArn": certificate}, "accessLogs": {"accessLogs": "on"}, "deletionProtection": {"deletionProtection": "on"},
		"alarms": {"alarms": "on"}, "logRetentionDays": sizes,
	}
	inDefault, inProd := findings(t, settings{}), findings(t, production(migration.Monolith))
	// A database is there with a store only.
	maps.Copy(closing, map[string]settings{"databaseCapacity": {"store": "postgres", "databaseCapacity": "0.5-2"}})
	withDatabase := findings(t, settings{"store": "postgres"})
	// API Gateway and CloudFront are there with a front only.
	fronts := settings{"front": "apigateway", "ui": "on"}
	maps.Copy(closing, map[string]settings{
		"waf": with(fronts, settings{"waf": "on"}), "directAccess": with(fronts, settings{"directAccess": "off"}),
		"uiCertificateArn": with(fronts, settings{"uiDomain": "forum.example.com", "uiHostedZoneId": "Z0123456789ABCDEFGHIJ", "uiCertificateArn": certificate}),
	})
	withFronts := model.Read(synthFrontedApp(t, fronts))
	// A message broker is there if a service names one.
	closing["env"] = settings{"env": "prod", "maxInstances": "20"}
	withBroker := func(t *testing.T, context settings) *assembly.Assembly { return synthQuickly(t, brokered(), context) }
	brokeredModel := model.Read(withBroker(t, nil))
	equal(t, "types that the table says nothing about", []string(nil), controls.Unlisted(brokeredModel))
	for _, control := range controls.All {
		if control.Setting == "databaseCapacity" {
			inDefault[control.ID] = withDatabase[control.ID]
		}
		if control.Type == model.MQBroker {
			inDefault[control.ID] = len(control.Check(brokeredModel))
		}
		if closing[control.Setting]["front"] != nil || strings.HasPrefix(control.ID, "CloudFront.") {
			inDefault[control.ID] = len(control.Check(withFronts))
		}
		if n := inDefault[control.ID]; (n > 0) != (control.Setting != "") {
			t.Errorf("%s: the default profile has %d findings; what makes it meet the control: %q", control.ID, n, control.Setting)
		}
		if control.Setting != "" {
			closed := synthApp
			if closing[control.Setting]["front"] != nil {
				closed = synthFrontedApp
			}
			if control.Type == model.MQBroker {
				closed = withBroker
			}
			if left := control.Check(model.Read(closed(t, closing[control.Setting]))); len(left) > 0 {
				t.Errorf("%s is not met with %s: %v", control.ID, control.Setting, left)
			}
		}
		if n := inProd[control.ID]; n > 0 {
			t.Errorf("%s: prod has %d findings", control.ID, n)
		}
	}
}

// TestGoldenControls: what is deployed by default meets all controls but those that a setting makes it meet.
// Production meets all.
func TestGoldenControls(t *testing.T) {
	meetsControls(t, golden.Read(t, ".", migration.Parallel.String()))
	m := model.Read(golden.Read(t, ".", golden.Production))
	for _, control := range controls.All {
		if findings := control.Check(m); len(findings) > 0 {
			t.Errorf("%s: prod has %v", control.ID, findings)
		}
	}
}

// findings are how many every control has in all phases, by the control's id.
func findings(t *testing.T, context settings) map[string]int {
	t.Helper()
	found := map[string]int{}
	for _, phase := range migration.Phases() {
		m := model.Read(synthApp(t, with(context, settings{"phase": phase.String()})))
		equal(t, "types that the table says nothing about", []string(nil), controls.Unlisted(m))
		for _, control := range controls.All {
			found[control.ID] += len(control.Check(m))
		}
	}
	return found
}

func with(context, change settings) settings {
	all := maps.Clone(context)
	maps.Copy(all, change)
	return all
}

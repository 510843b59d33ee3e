package stacks_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"cutover/internal/analysis/controls"
	"cutover/internal/assembly"
	"cutover/internal/local/alb"
	"cutover/internal/local/ecs"
	"cutover/migration"
)

const certificate = "arn:aws:acm:us-east-1:123456789012:certificate/00000000-0000-0000-0000-000000000000"

// production is an environment called prod, as it is meant to be: with a certificate.
func production(phase migration.Phase) settings {
	return settings{"env": "prod", "certificateArn": certificate, "phase": phase.String()}
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

// TestNag reads what cdk-nag said of every stack in every phase. Each rule is met
// or suppressed beside the resource with a reason; and each suppression is
// needed, so that none outlives its reason.
func TestNag(t *testing.T) {
	var contexts []settings
	for _, phase := range migration.Phases() {
		contexts = append(contexts, settings{"phase": phase.String()}, production(phase))
	}
	for _, context := range contexts {
		a := synth(t, context)
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
					t.Errorf("%v: %s is %s with %s", context, line.ResourceID, line.Compliance, line.RuleID)
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
							t.Errorf("%v: the suppression of %s is not needed: remove it", context, finding)
						}
					}
				}
			}
		}
		// An aspect that visits nothing finds nothing.
		if looked < 40 {
			t.Errorf("%v: cdk-nag looked at %d rules and resources only", context, looked)
		}
	}
}

// Production can be tried on this machine, too: nothing that it adds is refused.
func TestProductionRunsLocally(t *testing.T) {
	for _, phase := range migration.Phases() {
		a := synth(t, production(phase))
		if _, err := alb.Read(a); err != nil {
			t.Errorf("%s: %v", phase, err)
		}
		if services, err := ecs.Services(a); err != nil || len(services) != 4 {
			t.Errorf("%s: %d services, %v", phase, len(services), err)
		}
	}
}

// exception says why the default profile does not meet a control, and the setting
// that makes it do so.
type exception struct {
	reason     string
	key, value string
}

var exceptions = map[string]exception{
	"ELB.1":  {"HTTPS needs a certificate, and so a domain name, which a new deployment does not have", "certificateArn", certificate},
	"ELB.5":  {"the services log every request themselves; the load balancer's own lines need a bucket and its storage", "accessLogs", "on"},
	"ELB.6":  {"an environment for trying things has to go away without a detour", "deletionProtection", "on"},
	"ELB.17": {"as ELB.1: there is no HTTPS whose policy could be looked at", "certificateArn", certificate},
}

const securityFile = "docs/security.md"

// TestSecurityControls writes docs/security.md from the templates, and compares
// it with the one that was reviewed. What a profile does not meet has to be an
// exception, and what it meets must not be one.
func TestSecurityControls(t *testing.T) {
	inDefault, inProd := findings(t, settings{}), findings(t, production(migration.Monolith))
	var table bytes.Buffer
	for _, control := range controls.All {
		state := "met"
		exception, excused := exceptions[control.ID]
		switch found := inDefault[control.ID]; {
		case len(found) > 0 && !excused:
			t.Errorf("%s is not met, and no exception either: %v", control.ID, found)
		case len(found) == 0 && excused:
			t.Errorf("%s is an exception, but it is met", control.ID)
		case excused:
			if left := control.Check(synth(t, settings{exception.key: exception.value})); len(left) > 0 {
				t.Errorf("%s is not closed by %s=%s: %v", control.ID, exception.key, exception.value, left)
			}
			state = fmt.Sprintf("**exception**: %s; closed by `%s`", exception.reason, exception.key)
		}
		inProduction := "met"
		if found := inProd[control.ID]; len(found) > 0 {
			inProduction = "**not met**"
			t.Errorf("%s is not met in prod: %v", control.ID, found)
		}
		fmt.Fprintf(&table, "| [%s](%s) | %s | %s | %s |\n", control.ID, control.URL(), control.Title, state, inProduction)
	}
	for id := range exceptions {
		if !slices.ContainsFunc(controls.All, func(c controls.Control) bool { return c.ID == id }) {
			t.Errorf("there is an exception for %s, which is no control", id)
		}
	}
	text := []byte(fmt.Sprintf(securityText, len(controls.All), len(exceptions), table.String()))
	if *update {
		if err := os.WriteFile(securityFile, text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	compareGolden(t, securityFile, text)
}

// findings are those of every control in every phase, by the control's id.
func findings(t *testing.T, context settings) map[string][]controls.Finding {
	t.Helper()
	found := map[string][]controls.Finding{}
	for _, phase := range migration.Phases() {
		a := synth(t, with(context, settings{"phase": phase.String()}))
		for _, control := range controls.All {
			found[control.ID] = append(found[control.ID], control.Check(a)...)
		}
	}
	return found
}

func with(context, change settings) settings {
	all := settings{}
	for _, from := range []settings{context, change} {
		for key, value := range from {
			all[key] = value
		}
	}
	return all
}

// securityText is the document around the table.
const securityText = `# Security controls

<!-- Written by a test from the templates. To change this page, change the test or the stacks, and run make golden. -->

The %d controls of AWS Security Hub that apply to this deployment, in every phase of the migration. The default profile is a
deployment with the default settings. It has %d exceptions. Prod is an environment called ` + "`prod`" + ` with a certificate. It has
none. [SECURITY.md](../SECURITY.md) says what is defended against what.

| control | title | default | prod |
|---|---|---|---|
%s
With ` + "`vpcId`" + ` you bring your own network, and EC2.2 and EC2.6 are up to you.

[internal/analysis/controls](../internal/analysis/controls) checks each control in the templates. If a control finds nothing
to check, it is not met. Three other tools check the templates:

- [cdk-nag](https://github.com/cdklabs/cdk-nag) with the AwsSolutions rules, and CDK's own validation: in the tests' syntheses
- [cfn-lint](https://github.com/aws-cloudformation/cfn-lint): every phase of both profiles

Each finding is repaired, or suppressed beside the resource in ` + "`stacks/`" + `. The template has the reason. A suppression that is
not needed fails the tests.

## What the default profile gives up and saves

An environment called ` + "`prod`" + ` has other defaults for these settings. You can set each of them in every environment.

| setting | default | prod | without it | saves, a month |
|---|---|---|---|---|
| ` + "`certificateArn`" + ` | HTTP only | you give it; until then a warning | others can read and change requests and answers on their way | nothing |
| ` + "`accessLogs`" + ` | off | on | no log line for a request that reached no service | storage: US$ 0.023 per GB |
| ` + "`deletionProtection`" + ` | off | on | one command deletes the load balancer and its address | nothing |
| ` + "`natGateways`" + ` | 1 | one per zone | if the zone of the NAT gateway fails, instances in the other zones cannot pull images or write logs | US$ 36.50 for each NAT gateway and its address |
| ` + "`alarms`" + ` | off | on | nobody hears of a service that fails or is worse than the monolith; a bad deployment is rolled back only if its tasks do not start | US$ 5.70 with four services: 47 metrics and a key |
| ` + "`logRetentionDays`" + ` | 30 | 365 | you can look back one month | storage: US$ 0.03 per GB |
| ` + "`removalPolicy`" + ` | destroy | retain | images and logs go with their stacks | storage of images and logs |

Prices are list prices in us-east-1 of November 2026. In two zones production costs US$ 42.20 a month more than the
default profile, plus its storage.
`

package documents_test

import (
	"bytes"
	"fmt"
	"slices"
	"testing"

	"cutover/internal/analysis/controls"
	"cutover/internal/golden"
	"cutover/internal/model"
	"cutover/migration"
)

// exceptions say why the default profile does not meet a control, and which setting
// makes it do so. TestSecurityControls in stacks/ tries the settings.
var exceptions = map[string]struct{ reason, key string }{
	"ELB.1":  {"HTTPS needs a certificate, and so a domain name, which a new deployment does not have", "certificateArn"},
	"ELB.5":  {"the services log every request themselves; the load balancer's own lines need a bucket and its storage", "accessLogs"},
	"ELB.6":  {"an environment for trying things has to go away without a detour", "deletionProtection"},
	"ELB.17": {"as ELB.1: there is no HTTPS whose policy could be looked at", "certificateArn"},
}

// TestSecurityDocument compares docs/security.md with what the templates say. What the
// default profile does not meet has to be an exception; what it meets must be none.
func TestSecurityDocument(t *testing.T) {
	var phases []*model.Model
	for _, phase := range migration.Phases() {
		phases = append(phases, model.Read(golden.Read(t, root, phase.String())))
	}
	prod := model.Read(golden.Read(t, root, golden.Production))
	var table bytes.Buffer
	for _, control := range controls.All {
		state := "met"
		exception, excused := exceptions[control.ID]
		var found []controls.Finding
		for _, phase := range phases {
			found = append(found, control.Check(phase)...)
		}
		if (len(found) > 0) != excused {
			t.Errorf("%s: that it is an exception is %t, and found is %v", control.ID, excused, found)
		}
		if excused {
			state = fmt.Sprintf("**exception**: %s; closed by `%s`", exception.reason, exception.key)
		}
		inProduction := "met"
		if found := control.Check(prod); len(found) > 0 {
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
	golden.Compare(t, root+"/docs/security.md", fmt.Appendf(nil, securityText, len(controls.All), len(exceptions), table.String()))
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

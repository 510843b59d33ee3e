package documents_test

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"cutover/config"
	"cutover/internal/analysis/controls"
	"cutover/internal/golden"
	"cutover/internal/model"
	"cutover/migration"
)

// TestSecurityDocument compares docs/security.md with what the templates say. The default profile
// meets what is called met, and nothing that needs a setting. Production meets both.
func TestSecurityDocument(t *testing.T) {
	var phases []*model.Model
	for _, phase := range migration.Phases() {
		phases = append(phases, model.Read(deployed(t, phase.String())))
	}
	prod := model.Read(deployed(t, golden.Production))
	for _, m := range append(phases, prod) {
		for _, unlisted := range controls.Unlisted(m) {
			t.Errorf("a template has resources of type %s, and the table of controls says nothing about it: list its controls in internal/analysis/controls, or the type in internal/model/hub.go", unlisted)
		}
	}
	var table bytes.Buffer
	count := map[string]int{}
	for _, c := range controls.All {
		state, found := "met", 0
		for _, phase := range phases {
			found += len(c.Check(phase))
		}
		switch {
		case c.Argued():
			state = "argued: " + c.Reason
		case c.Yours:
			state = fmt.Sprintf("**yours to set** with `%s`, if %s: %s", c.Setting, c.Optional, c.Reason)
		case c.Setting != "":
			state = fmt.Sprintf("**set in prod** by `%s`: %s", c.Setting, c.Reason)
			if c.Optional != "" {
				state = fmt.Sprintf("**set in prod** by `%s`, if %s: %s", c.Setting, c.Optional, c.Reason)
			} else if found == 0 {
				t.Errorf("%s is met without %s", c.ID, c.Setting)
			}
		case found > 0:
			t.Errorf("%s is not met: the templates have %d findings", c.ID, found)
		case c.Optional != "" && len(phases[0].Assembly.Resources(c.Type)) == 0:
			state = "met, if " + c.Optional
		}
		if findings := c.Check(prod); len(findings) > 0 {
			t.Errorf("%s is not met in prod: %v", c.ID, findings)
		}
		word, _, _ := strings.Cut(state, " ")
		count[strings.Trim(word, "*:,")]++
		if strings.HasPrefix(c.Reason, "not met") {
			count["not met"]++
		}
		fmt.Fprintf(&table, "| [%s](%s) | `%s` | %s | %s |\n", c.ID, c.URL(), strings.TrimPrefix(c.Type, "AWS::"), c.Title, state)
	}
	golden.Compare(t, root+"/docs/security.md", fmt.Appendf(nil, securityText, len(controls.All), count["met"], count["set"], count["yours"], count["argued"], count["not met"], table.String()))
}

// What closes an exception is a setting that production has, or that it is given.
func TestSettingsOfControls(t *testing.T) {
	for _, c := range controls.All {
		if c.Setting == "" || c.Setting == "certificateArn" || c.Setting == "env" { // prod is an env
			continue
		}
		if c.Yours {
			if !slices.ContainsFunc(config.Table(), func(s config.Setting) bool { return s.Key == c.Setting }) {
				t.Errorf("%s: there is no setting %s", c.ID, c.Setting)
			}
			continue
		}
		if !slices.ContainsFunc(config.Table(), func(s config.Setting) bool {
			return s.Key == c.Setting && s.Production != "" && s.Production != s.Default
		}) {
			t.Errorf("%s: production does not have the setting %s", c.ID, c.Setting)
		}
	}
}

// securityText is the document around the table.
const securityText = `# Security controls

<!-- Written by a test from the templates. To change this page, change the test or the stacks, and run make golden. -->

The table has %d controls: those of AWS Security Hub, in 2026, for every resource type in the templates, and for what these
resources make: instances, their volumes and interfaces, and a network ACL. Two lines are rules of AWS Config that no control
has, and one is [a control of our own](#controls-of-our-own).

| state | controls | what it means |
|---|---|---|
| met | %d | the templates of every phase meet the control, in the default profile and in prod |
| set in prod | %d | the default profile does not meet the control; the setting makes a deployment meet it, and prod has the setting |
| yours to set | %d | neither profile has what the control is about. If you have it, you give the setting |
| argued | %d, of which %d are not met | no template is checked: the text says whether the control is met, is not met or does not apply, and why |

The default profile is a deployment with the default settings. Prod is an environment called ` + "`prod`" + ` with a certificate.
[SECURITY.md](../SECURITY.md) says what is defended against what. Controls that ask an account are left out, such as those of
CloudTrail, GuardDuty and Inspector, and EC2.7 (encryption of all new volumes).

| control | resource type | the resource … | state |
|---|---|---|---|
%s
With ` + "`vpcId`" + ` you bring your own network, and the controls of its resources are up to you.

[internal/analysis/controls](../internal/analysis/controls) has the table, and checks each control that is not argued. If a
control finds nothing to check, it is not met; only the controls of volumes, repositories, tables, databases, topics, queues, keys, brokers
and fronts are met without any. If a template gains a resource type that the table says nothing about, a test fails. Three other tools check
the templates:

- [cdk-nag](https://github.com/cdklabs/cdk-nag) with the AwsSolutions rules, and CDK's own validation: in the tests' syntheses
- [cfn-lint](https://github.com/aws-cloudformation/cfn-lint): every phase of both profiles

Each finding is repaired, or suppressed beside the resource in ` + "`stacks/`" + `. The template has the reason. A suppression that is
not needed fails the tests.

## Controls of our own

**Cutover.1.** With API Gateway or CloudFront before it, a load balancer admits only these fronts. While its security group admits others, and
its rules ask for no secret of CloudFront's, clients pass by the front: no IAM, throttling, cache, web ACL or log of the front concerns
them. So the control fails after a front is deployed, until you close the old door, which is a step of its own:

1. Let all clients use the address of the front: ` + "`" + `ApiUrl` + "`" + ` or ` + "`" + `UiUrl` + "`" + ` in the outputs.
2. Look at the requests that come past the front. The load balancer's access logs have them.
3. Set ` + "`" + `directAccess` + "`" + ` to ` + "`" + `off` + "`" + `, and deploy. To open the door again, set it to ` + "`" + `on` + "`" + `.

## What the default profile gives up and saves

An environment called ` + "`prod`" + ` has other defaults for these settings. You can set each of them in every environment.

| setting | default | prod | without it | saves, a month |
|---|---|---|---|---|
| ` + "`certificateArn`" + ` | HTTP only | you give it; until then a warning | others can read and change requests and answers on their way | nothing |
| ` + "`accessLogs`" + ` | off | on | no log line for a request that reached no service | storage: US$ 0.023 per GB |
| ` + "`deletionProtection`" + ` | off | on | one command deletes the load balancer and its address, or a stack | nothing |
| ` + "`natGateways`" + ` | 1 | one per zone | if the zone of the NAT gateway fails, instances in the other zones cannot pull images or write logs | US$ 36.50 for each NAT gateway and its address |
| ` + "`alarms`" + ` | off | on | nobody hears of a service that fails or is worse than the monolith; a bad deployment is rolled back only if its tasks do not start | US$ 5.70 with four services: 47 metrics and a key |
| ` + "`logRetentionDays`" + ` | 30 | 365 | you can look back one month | storage: US$ 0.03 per GB |
| ` + "`removalPolicy`" + ` | destroy | retain | images and logs go with their stacks | storage of images and logs |

Prices are list prices in us-east-1 of November 2026. In two zones production costs US$ 42.20 a month more than the
default profile, plus its storage.
`

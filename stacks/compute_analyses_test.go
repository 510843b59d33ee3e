package stacks_test

import (
	"slices"
	"strings"
	"testing"

	"cutover/config"
	"cutover/internal/analysis/controls"
	"cutover/internal/analysis/cost"
	"cutover/internal/analysis/diagram"
	"cutover/internal/analysis/isolation"
	"cutover/internal/assembly"
	"cutover/internal/model"
	"cutover/internal/nightly"
)

// meetsControls fails the test for each control that neither a setting nor an argument excuses.
func meetsControls(t *testing.T, a *assembly.Assembly) {
	t.Helper()
	m := model.Read(a)
	equal(t, "types that the table says nothing about", []string(nil), controls.Unlisted(m))
	for _, control := range controls.All {
		if findings := control.Check(m); len(findings) > 0 && control.Setting == "" {
			t.Errorf("%s: %v", control.ID, findings)
		}
	}
}

// TestAnalysesOfComputes: a service on Fargate, one that moves there and others on EC2 have a price, meet
// the controls, are drawn where they are, and only the load balancer reaches them.
func TestAnalysesOfComputes(t *testing.T) {
	nightly.Test(t, "it synthesizes one more deployment")
	a := synthComputes(t)
	meetsControls(t, a)
	estimates, err := cost.Read(model.Read(a))
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "without a price", []string(nil), estimates[0].Unpriced)
	var lines []string
	for _, line := range estimates[0].Lines {
		lines = append(lines, line.Item)
	}
	for _, want := range []string{"1 Fargate task of 0.25 vCPU, 0.5 GB, 30 GB of storage", "1 Fargate task of 0.5 vCPU, 1 GB"} {
		if !slices.Contains(lines, want) {
			t.Errorf("no line for %s: %v", want, lines)
		}
	}
	users := slices.IndexFunc(estimates[0].Services, func(s cost.Service) bool { return s.Name == "users" })
	equal(t, "tasks of both pairs", 2, estimates[0].Services[users].Tasks)

	i := isolated(t, a)
	equal(t, "too wide", []string(nil), i.TooWide())
	equal(t, "foreign", []string(nil), i.Foreign([]string{"users", "threads"}))
	var to []string
	for _, reach := range i.Reaches {
		if strings.HasPrefix(reach.To, "tasks of ") {
			to = append(to, reach.String())
		}
	}
	equal(t, "who reaches tasks on Fargate", []string{
		"LoadBalancerSecurityGroup → tasks of threads-fargate: tcp 3000–3000",
		"LoadBalancerSecurityGroup → tasks of users-fargate: tcp 3000–3000",
	}, to)
	text := isolation.Document(i, i, []string{"users", "threads"})
	for _, want := range []string{
		"A task on Fargate (threads-fargate, users-fargate) needs no packet filter.",
		"| `arn:aws:logs:us-east-1:123456789012:log-group:/ecs/users:*` | `logs:CreateLogStream`<br>`logs:PutLogEvents` | – |",
		"| `users-writable-1` of users-fargate | users-fargate | `/tmp` | read and write |",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the document lacks %q:\n%s", want, text)
		}
	}

	text, err = diagram.Requests(diagram.Layer{Assembly: a})
	if err != nil {
		t.Fatal(err)
	}
	_, fargate, _ := strings.Cut(text, `"dev-Cluster, Fargate"]`)
	fargate, _, _ = strings.Cut(fargate, "end\n")
	for _, want := range []string{`[["users-fargate<br>on Fargate Spot, too<br>1 task"]]`, `[["threads-fargate<br>1 task"]]`} {
		if !strings.Contains(fargate, want) {
			t.Errorf("the box of Fargate lacks %s:\n%s", want, text)
		}
	}
}

// TestAnalysesOfFargateAlone: without instances nobody pays for one, and no control asks for one. Tasks with
// a volume reach the file system, others do not.
func TestAnalysesOfFargateAlone(t *testing.T) {
	nightly.Test(t, "it synthesizes one more deployment")
	d := changed(first, func(s *config.Service) {})
	d.Monolith.Compute = config.Fargate{}
	for i := range d.Services {
		d.Services[i].Compute = config.Fargate{}
	}
	d.Services[0].Volumes = []config.Volume{{Name: "data", Path: "/data"}}
	d.Services[1].Volumes = []config.Volume{{Name: "theirs", Path: "/theirs", FileSystem: "fs-0123456789abcdef0", AccessPoint: "fsap-0123456789abcdef0"}}
	a := synthDeployment(t, d, settings{"phase": "parallel", "arch": "arm64"})
	meetsControls(t, a)
	estimates, err := cost.Read(model.Read(a))
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "without a price", []string(nil), estimates[0].Unpriced)
	equal(t, "first line", "4 Fargate tasks of 0.25 vCPU, 0.5 GB, ARM", estimates[0].Lines[0].Item)
	i := isolated(t, a)
	equal(t, "services on instances", 0, len(i.Shared)+len(i.Interfaces))
	var from []string
	for _, reach := range i.Reaches {
		if reach.To == "FileSystemSecurityGroup" {
			from = append(from, reach.String())
		}
	}
	equal(t, "who reaches the file system", []string{
		"InstanceSecurityGroup → FileSystemSecurityGroup: tcp 2049–2049", // which no instance has
		"tasks of users-fargate → FileSystemSecurityGroup: tcp 2049–2049",
	}, from)
}

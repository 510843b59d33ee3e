package golden_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"cutover/deployment"
	"cutover/internal/analysis/isolation"
	"cutover/internal/assembly"
	"cutover/internal/golden"
	"cutover/internal/model"
	"cutover/migration"
)

func serviceNames() []string {
	var names []string
	for _, service := range deployment.Forum.All() {
		names = append(names, service.Name)
	}
	return names
}

func isolated(t *testing.T, name string) *isolation.Isolation {
	t.Helper()
	i, err := isolation.Read(filepath.Join(root, "stacks", "golden", name))
	if err != nil {
		t.Fatal(err)
	}
	return i
}

// deployed is a golden assembly as it is in an account.
func deployed(t *testing.T, name string) *assembly.Assembly {
	a := golden.Read(t, root, name)
	for _, stack := range a.Stacks {
		stack.Account, stack.Region = isolation.Account, isolation.Region
	}
	return a
}

// TestNothingMoreIsGranted: the grants are the same in every phase, so docs/isolation.md
// has them all. A monolith that is removed has no grants any more. Nothing is granted on more than
// AWS makes necessary.
func TestNothingMoreIsGranted(t *testing.T) {
	first := isolated(t, golden.Names()[0]).Table()
	var others []string
	for line := range strings.Lines(first) {
		if !strings.HasPrefix(line, "| "+deployment.Forum.Monolith.Name+": ") {
			others = append(others, line)
		}
	}
	for _, name := range golden.Names() {
		i := isolated(t, name)
		switch name {
		case golden.Production:
		case migration.Removed.String():
			equal(t, "grants of "+name, strings.Join(others, ""), i.Table())
		default:
			equal(t, "grants of "+name, first, i.Table())
		}
		for _, wrong := range append(i.TooWide(), i.Misuses(func(_, _ string) bool { return false })...) {
			t.Errorf("%s: %s", name, wrong)
		}
	}
}

// TestTakenOver states what can be done from within a service's container with the
// service's roles. That is the task's role, or the execution role, which only the ECS
// agent has. They reach the service's own repository and log group, and nothing else.
func TestTakenOver(t *testing.T) {
	for _, name := range golden.Names() {
		i := isolated(t, name)
		for _, foreign := range i.Foreign(serviceNames()) {
			t.Errorf("%s: %s", name, foreign)
		}
		for _, service := range serviceNames() {
			own := isolation.Own(service)
			for _, r := range i.Resources { // whosever they are
				if r.ARN == own[0] || r.ARN == own[1] {
					continue
				}
				for _, identity := range []string{service + ": task", service + ": execution"} {
					if actions := i.May(identity, r.ARN); len(actions) > 0 {
						t.Errorf("%s: %s may do %s on %s", name, identity, actions, r.ARN)
					}
				}
			}
			if actions := i.May(service+": task", own[0]); len(actions) > 0 {
				t.Errorf("%s: the task of %s may do %s on its repository", name, service, actions)
			}
		}
		for _, g := range i.Grants {
			if g.Identity == isolation.Anybody && g.Effect == "Allow" {
				t.Errorf("%s: anybody may do %s on %s", name, g.Actions, g.Resources)
			}
		}

		// Nobody becomes another: services of AWS assume the roles, each its own kind.
		for _, trust := range i.Trusts {
			want := ""
			switch {
			case strings.Contains(trust.Role, ": "):
				want = "ecs-tasks.amazonaws.com"
			case trust.Role == isolation.Instances:
				want = "ec2.amazonaws.com"
			}
			if trust.Kind != "Service" || len(trust.Principals) != 1 || want != "" && trust.Principals[0] != want {
				t.Errorf("%s: %s can be assumed by %s %v", name, trust.Role, trust.Kind, trust.Principals)
			}
		}

		// A container is handed what it is configured with, and nothing else.
		a := deployed(t, name)
		for _, r := range a.Resources(model.ECSTaskDefinition) {
			for _, container := range resolve(t, a, r, "ContainerDefinitions").([]any) {
				for _, key := range []string{"Secrets", "MountPoints", "VolumesFrom", "EnvironmentFiles", "Privileged", "Links", "ExtraHosts"} {
					if value := container.(map[string]any)[key]; value != nil {
						t.Errorf("%s: the container has %s %v", r, key, value)
					}
				}
			}
			for _, key := range []string{"Volumes", "PidMode", "IpcMode"} {
				if value := resolve(t, a, r, key); value != nil {
					t.Errorf("%s has %s %v", r, key, value)
				}
			}
		}
	}
}

// TestWhoReachesWhom: an instance, and so a container, reaches no other instance. No
// security group keeps containers of one instance apart: the user data does, and
// test/instance runs it.
func TestWhoReachesWhom(t *testing.T) {
	http := []string{
		"InstanceSecurityGroup → LoadBalancerSecurityGroup: tcp 80–80",
		"InstanceSecurityGroup → the internet: any",
		"LoadBalancerSecurityGroup → InstanceSecurityGroup: tcp 32768–65535",
		"the internet → LoadBalancerSecurityGroup: tcp 80–80",
	}
	https := []string{
		"InstanceSecurityGroup → LoadBalancerSecurityGroup: tcp 443–443",
		http[0], http[1], http[2],
		"the internet → LoadBalancerSecurityGroup: tcp 443–443",
		http[3],
	}
	for _, name := range golden.Names() {
		want := http
		if name == golden.Production { // it has a certificate
			want = https
		}
		var got []string
		for _, reach := range isolated(t, name).Reaches {
			got = append(got, reach.String())
		}
		equal(t, name+": who may connect to whom", want, got)

		// The first lock of the metadata; the second is in the user data.
		a := deployed(t, name)
		for _, r := range a.Resources(model.EC2LaunchTemplate) {
			data := r.Properties["LaunchTemplateData"].(map[string]any)
			equal(t, "metadata options", any(map[string]any{"HttpTokens": "required", "HttpPutResponseHopLimit": 1.0}), data["MetadataOptions"])
			script, err := a.Resolve(r.Stack, r.LogicalID, "UserData", data["UserData"].(map[string]any)["Fn::Base64"])
			if err != nil {
				t.Fatal(err)
			}
			for _, rule := range []string{
				"-A CONTAINER-FORWARD -d 169.254.169.254/32 -j DROP\n",
				"-A CONTAINER-FORWARD -i docker0 -o docker0 -j DROP\n",
				"-A CONTAINER-TO-HOST -j DROP\n",
			} {
				if !strings.Contains(fmt.Sprint(script), rule) {
					t.Errorf("the user data of %s has no rule %q", r, rule)
				}
			}
		}
	}
}

func resolve(t *testing.T, a *assembly.Assembly, r *assembly.Resource, property string) any {
	t.Helper()
	value, err := r.Resolve(a, property)
	if err != nil {
		t.Fatal(err)
	}
	return value
}

func equal(t *testing.T, what string, want, got any) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

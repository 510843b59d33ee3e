package supply

import (
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"
)

type workflow struct {
	On          yaml.Node
	Permissions map[string]string
	Jobs        map[string]job
}

type job struct {
	Needs, If, Environment string
	Permissions, Outputs   map[string]string
	Steps                  []step
}

type step struct {
	ID, Uses, Run, If string
	With, Env         map[string]string
}

// uses returns the steps that use an action in any version.
func (j job) uses(action string) []step {
	return slices.DeleteFunc(slices.Clone(j.Steps), func(s step) bool {
		name, _, _ := strings.Cut(s.Uses, "@")
		return name != action
	})
}

// read returns the workflows by name.
func read(t *testing.T) (workflows map[string]workflow, texts map[string]string) {
	t.Helper()
	files, err := filepath.Glob(root + "/.github/workflows/*.y*ml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no workflows: %v", err)
	}
	workflows, texts = map[string]workflow{}, map[string]string{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var w workflow
		if err := yaml.Unmarshal(text, &w); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		name := strings.TrimSuffix(filepath.Base(file), filepath.Ext(file))
		workflows[name], texts[name] = w, string(text)
	}
	return workflows, texts
}

// granted is all that the workflows may do: each workflow, and each of its jobs in
// addition.
var granted = map[string]map[string]string{
	"ci":              {"contents": "read"},
	"deploy":          {},
	"deploy/show":     {"contents": "read", "id-token": "write"},
	"deploy/deploy":   {"contents": "read", "id-token": "write"},
	"review":          {},
	"review/review":   {"contents": "read"},
	"comment":         {},
	"comment/comment": {"actions": "read", "contents": "read", "pull-requests": "write"},
}

// A commit of an action, with its version for readers and robots.
var pinned = regexp.MustCompile(`uses: [\w.-]+/[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$`)

// TestWorkflows: a commit pins every action of others, nothing has more permissions
// than it needs, and workflows reach AWS by GitHub's identity and not by a key.
func TestWorkflows(t *testing.T) {
	workflows, texts := read(t)
	got := map[string]map[string]string{}
	for name, w := range workflows {
		text := texts[name]
		if w.Permissions == nil {
			t.Errorf("%s does not say its permissions, and so has the repository's default", name)
		}
		got[name] = w.Permissions
		if on, err := yaml.Marshal(&w.On); err != nil || strings.Contains(string(on), "pull_request_target") || strings.Contains(string(on), "issue_comment") {
			t.Errorf("%s runs with the repository's rights on what others send (%v)", name, err)
		}
		for line := range strings.Lines(text) {
			if line = strings.TrimSpace(line); strings.Contains(line, "uses:") && !pinned.MatchString(line) && !strings.Contains(line, "uses: ./") {
				t.Errorf("%s: %q is not pinned by its commit with its version beside it", name, line)
			}
		}
		if strings.Contains(text, "secrets.") || strings.Contains(text, "secrets: inherit") {
			t.Errorf("%s uses a secret; nothing here needs one", name)
		}
		for job, j := range w.Jobs {
			if j.Permissions != nil {
				got[name+"/"+job] = j.Permissions
			}
			for _, step := range j.Steps {
				action, _, _ := strings.Cut(step.Uses, "@")
				switch action {
				case "actions/checkout":
					if step.With["persist-credentials"] != "false" {
						t.Errorf("%s/%s: the checkout leaves the token behind for the steps after it", name, job)
					}
				case "aws-actions/configure-aws-credentials":
					if keys := slices.Sorted(maps.Keys(step.With)); !slices.Equal(keys, []string{"aws-region", "role-to-assume"}) {
						t.Errorf("%s/%s: AWS is reached with %q, want a region and a role to assume alone", name, job, keys)
					}
				}
				// A text of an event would become part of a script.
				if strings.Contains(step.Run, "${{") {
					t.Errorf("%s/%s: an expression in a script: %s", name, job, step.Run)
				}
				for variable := range step.Env {
					if strings.HasPrefix(variable, "AWS_") {
						t.Errorf("%s/%s: %s is given to a step", name, job, variable)
					}
				}
			}
		}
	}
	if diff := cmp.Diff(granted, got); diff != "" {
		t.Errorf("permissions of the workflows (-want +got):\n%s", diff)
	}
}

// TestPullRequests: a workflow that runs on a pull request runs the pull request's code and its
// version of the workflow. So it has no credentials, and a token that can only read. What writes
// below a pull request is a workflow of the default branch, which runs no code of the pull request.
//
// https://docs.github.com/en/actions/reference/workflows-and-actions/events-that-trigger-workflows#workflow_run
func TestPullRequests(t *testing.T) {
	workflows, _ := read(t)
	credentials := func(j job) bool {
		return j.Environment != "" || j.Permissions["id-token"] != "" || len(j.uses("aws-actions/configure-aws-credentials")) > 0
	}
	var writing []string
	for name, w := range workflows {
		on, err := yaml.Marshal(&w.On)
		if err != nil {
			t.Fatal(err)
		}
		others := strings.Contains(string(on), "workflow_run")
		if !others && !strings.Contains(string(on), "pull_request") {
			continue
		}
		for id, j := range w.Jobs {
			if credentials(j) {
				t.Errorf("%s/%s could get credentials", name, id)
			}
			permissions := j.Permissions
			if permissions == nil {
				permissions = w.Permissions
			}
			if slices.Contains(slices.Collect(maps.Values(permissions)), "write") {
				writing = append(writing, name+"/"+id)
			}
			if others {
				runsNoneOfIt(t, name+"/"+id, j)
			}
		}
	}
	if diff := cmp.Diff([]string{"comment/comment"}, writing); diff != "" {
		t.Errorf("what may write on behalf of pull requests (-want +got):\n%s", diff)
	}
	comment := workflows["comment"]
	var on struct {
		WorkflowRun struct{ Workflows, Types []string } `yaml:"workflow_run"`
	}
	if err := comment.On.Decode(&on); err != nil || !slices.Equal(on.WorkflowRun.Workflows, []string{"review"}) || !slices.Equal(on.WorkflowRun.Types, []string{"completed"}) {
		t.Errorf("comment runs after %+v (%v)", on, err)
	}
	if _, both := workflows["review"]; !both || len(workflows["review"].Jobs) != 1 || len(workflows["review"].Jobs["review"].uses("actions/upload-artifact")) != 1 {
		t.Error("review hands no artifact over")
	}
}

// runsNoneOfIt tells of a job with a right to write that trusts a pull request.
func runsNoneOfIt(t *testing.T, name string, j job) {
	t.Helper()
	for _, condition := range []string{
		"github.event.workflow_run.event == 'pull_request'", "github.event.workflow_run.conclusion == 'success'",
		"github.event.workflow_run.head_repository.full_name == github.repository", "github.event.workflow_run.pull_requests[0]",
	} {
		if !slices.Contains(strings.Split(j.If, " && "), condition) {
			t.Errorf("%s does not ask for %s, but %q", name, condition, j.If)
		}
	}
	for _, checkout := range j.uses("actions/checkout") {
		if ref := checkout.With["ref"]; ref != "${{ github.event.repository.default_branch }}" {
			t.Errorf("%s checks out %q", name, ref)
		}
	}
	for _, setup := range j.uses("actions/setup-go") {
		if setup.With["cache"] != "false" {
			t.Errorf("%s builds from a cache that pull requests fill", name)
		}
	}
	for _, artifact := range j.uses("actions/download-artifact") {
		if !strings.HasPrefix(artifact.With["path"], "${{ runner.temp }}/") {
			t.Errorf("%s has what a pull request wrote among its own files, in %q", name, artifact.With["path"])
		}
		if artifact.With["run-id"] != "${{ github.event.workflow_run.id }}" {
			t.Errorf("%s takes the artifact of the run %q", name, artifact.With["run-id"])
		}
	}
	for _, s := range j.Steps {
		if s.Run != "" && !strings.HasPrefix(s.Run, "go run ./cmd/comment ") {
			t.Errorf("%s runs %s", name, s.Run)
		}
		if number := s.Env["NUMBER"]; number != "" && number != "${{ github.event.workflow_run.pull_requests[0].number }}" {
			t.Errorf("%s takes the number of the pull request from %q", name, number)
		}
	}
}

// TestWhatIsShownIsDeployed: the approved job deploys the assembly of the job that
// showed it, which has another role. The approved job synthesizes nothing.
func TestWhatIsShownIsDeployed(t *testing.T) {
	workflows, _ := read(t)
	show, deploy := workflows["deploy"].Jobs["show"], workflows["deploy"].Jobs["deploy"]
	if show.Environment != "production-diff" || deploy.Environment != "production" || deploy.Needs != "show" {
		t.Errorf("%q shows, and %q deploys after %q", show.Environment, deploy.Environment, deploy.Needs)
	}
	var runs []string
	for _, s := range slices.Concat(show.Steps, deploy.Steps) {
		if s.Run != "" {
			runs = append(runs, s.Run)
		}
	}
	checked, deployed := slices.Index(runs, "bin/cutover phase check"), slices.Index(runs, `make deploy ARGS="--app cdk.out"`)
	if checked < 0 || deployed < checked || len(show.uses("actions/upload-artifact")) != 1 || len(deploy.uses("actions/download-artifact")) != 1 {
		t.Errorf("an assembly is not checked, handed over and deployed: %q", runs)
	}
	for name, j := range workflows["deploy"].Jobs {
		credentials := slices.IndexFunc(j.Steps, func(s step) bool { return strings.HasPrefix(s.Uses, "aws-actions/") })
		installed := slices.IndexFunc(j.Steps, func(s step) bool { return strings.HasPrefix(s.Run, "make setup") })
		if installed < 0 || credentials < installed {
			t.Errorf("deploy/%s installs npm packages, whose scripts run, when it has credentials", name)
		}
	}
	for _, s := range deploy.Steps {
		if strings.Contains(s.Run, "synth") || strings.Contains(s.Uses, "setup-go") {
			t.Errorf("the approved job builds something: %s%s", s.Run, s.Uses)
		}
	}
}

// TestAServiceIsDeployedAlone: with a service, the first job checks that no other stack differs, before
// the approval, and the second one deploys the stacks that the check names. Without one, everything is.
func TestAServiceIsDeployedAlone(t *testing.T) {
	workflows, _ := read(t)
	show, deploy := workflows["deploy"].Jobs["show"], workflows["deploy"].Jobs["deploy"]
	const everything, alone = "${{ !inputs.service }}", "inputs.service"
	type run struct{ If, Run string }
	var checks, deploys []run
	for _, s := range show.Steps {
		if strings.Contains(s.Run, "phase check") {
			checks = append(checks, run{s.If, s.Run})
			if s.If == alone && (s.ID != "alone" || s.Env["SERVICE"] != "${{ inputs.service }}") {
				t.Errorf("the check %q is of %q", s.ID, s.Env["SERVICE"])
			}
		}
	}
	for _, s := range deploy.Steps {
		if strings.Contains(s.Run, "deploy") {
			deploys = append(deploys, run{s.If, s.Run})
			if s.If == alone && s.Env["STACKS"] != "${{ needs.show.outputs.stacks }}" {
				t.Errorf("the stacks are %q", s.Env["STACKS"])
			}
		}
	}
	if show.Outputs["stacks"] != "${{ steps.alone.outputs.stacks }}" {
		t.Errorf("the job that shows hands over %q", show.Outputs)
	}
	if diff := cmp.Diff([]run{{everything, "bin/cutover phase check"}, {alone, `bin/cutover phase check --service "$SERVICE" --json > build/alone.json
echo "stacks=$(jq --raw-output '.stacks | join(" ")' build/alone.json)" >> "$GITHUB_OUTPUT"
`}}, checks); diff != "" {
		t.Errorf("checks (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]run{{everything, `make deploy ARGS="--app cdk.out"`}, {alone, "npx cdk deploy --app cdk.out --exclusively --yes $STACKS"}}, deploys); diff != "" {
		t.Errorf("deployments (-want +got):\n%s", diff)
	}
	var on struct {
		Dispatch struct {
			Inputs map[string]struct{ Type string }
		} `yaml:"workflow_dispatch"`
	}
	dispatched := workflows["deploy"].On
	if err := dispatched.Decode(&on); err != nil || len(on.Dispatch.Inputs) != 1 || on.Dispatch.Inputs["service"].Type != "string" {
		t.Errorf("deploy takes %v (%v)", on.Dispatch.Inputs, err)
	}
}

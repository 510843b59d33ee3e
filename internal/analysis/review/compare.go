package review

import (
	"bytes"
	"cmp"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os/exec"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"cutover/internal/analysis/cost"
	"cutover/internal/assembly"
	"cutover/internal/model"
	"cutover/migration"
)

// Pair is what the app synthesizes before and after a change, in one phase or from one to another.
type Pair struct {
	// Name is the phase, or the move, as in "monolith → parallel".
	Name          string
	Before, After *assembly.Assembly
}

// Stack is what changes in the template of one stack. The change is the same in all of its pairs.
type Stack struct {
	Name string `json:"name"`
	// In are the names of the pairs.
	In []string `json:"in"`
	Difference
}

// Difference is what differs between two templates, as `cdk diff` has it.
type Difference struct {
	// Text is what `cdk diff` prints.
	Text      string     `json:"text"`
	Changes   int        `json:"changes"`
	Resources []Resource `json:"resources"`
	Broadened struct {
		IAM            bool `json:"iam"`
		SecurityGroups bool `json:"securityGroups"`
	} `json:"broadened"`
	// The rows of the tables that `cdk diff` shows. Each row begins with "+" or "-".
	Statements      [][]string `json:"statements"`
	ManagedPolicies [][]string `json:"managedPolicies"`
	SecurityGroups  [][]string `json:"securityGroups"`
}

// Resource is a resource that differs.
type Resource struct {
	ID   string `json:"id"`
	Path string `json:"path"` // in the construct tree
	Type string `json:"type"`
	// Impact is "WILL_CREATE", "WILL_UPDATE", "WILL_REPLACE", "MAY_REPLACE",
	// "WILL_DESTROY", "WILL_ORPHAN" or [Stays].
	Impact string `json:"impact"`
	// Properties are those that cause a replacement.
	Properties []string `json:"properties"`
}

//go:embed diff.cjs
var script string

// Compare compares the templates of every stack in every pair. It returns the stacks that differ. A
// difference of several pairs comes once. dir has @aws-cdk/cloudformation-diff for Node.js.
func Compare(ctx context.Context, node, dir string, pairs []Pair) ([]Stack, error) {
	type templates struct {
		Before map[string]any `json:"before"` // nil if the stack is not there
		After  map[string]any `json:"after"`
	}
	var compared []templates
	var stacks []Stack
	for _, pair := range pairs {
		for _, name := range stackNames(pair) {
			var none assembly.Stack
			before, after := cmp.Or(pair.Before.Stack(name), &none), cmp.Or(pair.After.Stack(name), &none)
			switch {
			case before == &none && after == &none:
				return nil, fmt.Errorf("%s: several stacks are called %s: give them names of their own", pair.Name, name)
			case reflect.DeepEqual(before.Template, after.Template):
				continue
			}
			compared = append(compared, templates{before.Template, after.Template})
			stacks = append(stacks, Stack{Name: name, In: []string{pair.Name}})
		}
	}
	if len(compared) == 0 {
		return []Stack{}, nil
	}
	input, err := json.Marshal(compared)
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, node, "--eval", script)
	cmd.Dir, cmd.Stdin = dir, bytes.NewReader(input)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if strings.Contains(stderr.String(), "Cannot find module '@aws-cdk/cloudformation-diff'") {
			return nil, errors.New("the library of cdk diff is not installed: run `npm ci`")
		}
		return nil, fmt.Errorf("comparing the templates: %w\n%s", err, stderr.Bytes())
	}
	var differences []Difference
	if err := json.Unmarshal(stdout.Bytes(), &differences); err != nil {
		return nil, fmt.Errorf("comparing the templates: %w", err)
	}
	if len(differences) != len(stacks) {
		return nil, fmt.Errorf("comparing %d templates gave %d differences", len(stacks), len(differences))
	}
	for i, difference := range differences {
		if compared[i].After == nil { // the app no longer has the stack
			for j := range difference.Resources {
				difference.Resources[j].Impact = Stays
			}
		}
		stacks[i].Difference = difference
	}
	return group(stacks), nil
}

// stackNames are the names of the stacks of after in their order, then those of before alone.
func stackNames(pair Pair) []string {
	var names []string
	for _, a := range []*assembly.Assembly{pair.After, pair.Before} {
		for _, stack := range a.Stacks {
			if !slices.Contains(names, stack.Name) {
				names = append(names, stack.Name)
			}
		}
	}
	return names
}

// group drops stacks that do not differ, puts those of one name together and merges equal ones.
func group(stacks []Stack) []Stack {
	grouped := []Stack{}
	for _, s := range stacks {
		if s.Changes == 0 { // what `cdk diff` leaves out
			continue
		}
		at := len(grouped)
		for i, other := range grouped {
			if other.Name == s.Name {
				at = i + 1
			}
		}
		same := slices.IndexFunc(grouped, func(other Stack) bool {
			return other.Name == s.Name && reflect.DeepEqual(other.Difference, s.Difference)
		})
		if same < 0 {
			grouped = slices.Insert(grouped, at, s)
		} else {
			grouped[same].In = append(grouped[same].In, s.In...)
		}
	}
	return grouped
}

// Stays is the impact on a resource whose stack is no longer in the app. `cdk deploy` deletes no stack, so the resource
// is there until somebody deletes the stack.
const Stays = "STAYS"

// Replacement is a resource that CloudFormation replaces, may replace, deletes or lets go of, or that stays without the
// app.
type Replacement struct {
	Stack string   `json:"stack"`
	In    []string `json:"in"`
	Resource
}

// Deletes tells whether the resource is gone afterwards.
func (r Replacement) Deletes() bool { return r.Impact == "WILL_DESTROY" || r.Impact == "WILL_ORPHAN" }

// Replaces tells whether another resource takes the place of this one, or may.
func (r Replacement) Replaces() bool { return r.Impact == "WILL_REPLACE" || r.Impact == "MAY_REPLACE" }

// Revision tells whether it is a new revision of a task definition, ECS's way to change one.
// https://docs.aws.amazon.com/AmazonECS/latest/developerguide/update-task-definition-console-v2.html
func (r Replacement) Revision() bool { return r.Replaces() && r.Type == model.ECSTaskDefinition }

// The stacks of the interlock, of the first load balancer and of each further one, and the ids of
// their parameters: package migration has them. A parameter of a service or route ends with its name.
var (
	interlockStack = regexp.MustCompile(`-(Gate|Phase)([A-Z]\w*)?$`)
	interlock      = regexp.MustCompile(`^(NotNextTo` + anyState + `|` + anyState + `FollowsThe(Deployed|Begun)Phase)(Of[A-Z]\w*)?$|` +
		`^(NoPhaseForAllIsDeployed|NoPhaseForAllNextTo(Monolith|Retired)|Places|Parameter)$`)
)

var anyState = func() string {
	states := []string{"Monolith", "Parallel", "Shift", "Switched", "Running", "Retired", "Removed"}
	for _, state := range migration.ComputeStates() {
		states = append(states, migration.Pascal(state))
	}
	return "(" + strings.Join(states, "|") + ")"
}()

// Interlock tells whether the resource holds the order of the phases, and goes with its phase.
func (r Replacement) Interlock() bool {
	return r.Deletes() && r.Type == model.SSMParameter && interlock.MatchString(r.ID) && interlockStack.MatchString(r.Stack)
}

// Usual tells whether the replacement is nothing to look at.
func (r Replacement) Usual() bool { return r.Revision() || r.Interlock() }

// Replacements lists what is replaced and deleted: the certain, then the possible, then the usual.
func Replacements(stacks []Stack) []Replacement {
	found := []Replacement{}
	for _, s := range stacks {
		for _, resource := range s.Resources {
			if rank(Replacement{Resource: resource}) < 0 {
				continue
			}
			same := slices.IndexFunc(found, func(r Replacement) bool { return r.Stack == s.Name && reflect.DeepEqual(r.Resource, resource) })
			if same < 0 {
				found = append(found, Replacement{s.Name, slices.Clone(s.In), resource})
				continue
			}
			found[same].In = append(found[same].In, s.In...)
		}
	}
	slices.SortStableFunc(found, func(a, b Replacement) int { return rank(a) - rank(b) })
	return found
}

// impacts are those of replacements and deletions, the gravest first.
var impacts = []string{"WILL_REPLACE", "WILL_DESTROY", "MAY_REPLACE", "WILL_ORPHAN", Stays}

// rank is the place of a replacement among the others, below 0 for any other resource.
func rank(r Replacement) int {
	i := slices.Index(impacts, r.Impact)
	if i >= 0 && r.Usual() {
		i += len(impacts)
	}
	return i
}

// Images are the repositories whose images change.
func Images(pairs []Pair) []string {
	changed := map[string]bool{}
	tags := func(a *assembly.Assembly, name string) map[string]string {
		m := map[string]string{}
		if stack := a.Stack(name); stack != nil {
			for _, image := range stack.Images {
				for _, destination := range image.Destinations {
					m[destination.Repository] = destination.Tag
				}
			}
		}
		return m
	}
	for _, pair := range pairs {
		for _, name := range stackNames(pair) {
			before := tags(pair.Before, name)
			for repository, tag := range tags(pair.After, name) {
				if before[repository] != tag {
					changed[repository] = true
				}
			}
		}
	}
	return append([]string{}, slices.Sorted(maps.Keys(changed))...)
}

// Cost is how the price of a month changes. The change is the same in all of its pairs.
type Cost struct {
	In      []string      `json:"in"`
	Changes []cost.Change `json:"changes"`
}

// Costs compares the price of a month in every pair, and returns what differs.
func Costs(pairs []Pair) ([]Cost, error) {
	costs := []Cost{}
	for _, pair := range pairs {
		before, err := cost.Read(model.Read(pair.Before))
		if err != nil {
			return nil, fmt.Errorf("%s, before: %w", pair.Name, err)
		}
		after, err := cost.Read(model.Read(pair.After))
		if err != nil {
			return nil, fmt.Errorf("%s, after: %w", pair.Name, err)
		}
		changes := cost.Compare(before, after)
		if len(changes) == 0 {
			continue
		}
		same := slices.IndexFunc(costs, func(c Cost) bool { return slices.Equal(c.Changes, changes) })
		if same < 0 {
			costs = append(costs, Cost{[]string{pair.Name}, changes})
			continue
		}
		costs[same].In = append(costs[same].In, pair.Name)
	}
	return costs, nil
}

package criticalpath

import (
	"cmp"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"cutover/internal/assembly"
	"cutover/internal/model"
)

// deployment is what gets from one assembly to another.
type deployment struct {
	from, to *model.Model
	unknown  map[string]bool
	errs     []error
}

// stack returns what is done to a stack, and the longest chain of it.
func (d *deployment) stack(stack *assembly.Stack) (Stack, chain, error) {
	s := Stack{Name: stack.Name, Needs: []Need{}}
	now, err := d.existing(d.to.Assembly, stack)
	if err != nil {
		return s, chain{}, err
	}
	old, err := d.existing(d.from.Assembly, d.from.Assembly.Stack(stack.Name))
	if err != nil {
		return s, chain{}, err
	}
	made := graph{stack.Name, map[string]Step{}, needs(now)}
	gone := graph{stack.Name, map[string]Step{}, reversed(needs(old))}

	// The fate of a resource depends on the fate of the resources that it needs.
	order, err := made.order()
	if err != nil {
		return s, chain{}, err
	}
	for _, id := range order {
		was, is := old[id], now[id]
		changed := changes(was, is, made.steps)
		switch {
		case was == nil:
			made.steps[id] = d.step(Create, nil, is, nil)
			s.Created++
		case d.replaces(was, is, changed):
			made.steps[id] = d.step(Replace, was, is, changed)
			s.Replaced++
		case len(changed) > 0:
			made.steps[id] = d.step(Update, was, is, changed)
			s.Updated++
		}
	}
	for id, was := range old {
		if now[id] == nil {
			if strings.HasPrefix(was.DeletionPolicy, "Retain") {
				continue
			}
			s.Deleted++
		} else if made.steps[id].Action != Replace || was.UpdateReplacePolicy == "Retain" {
			continue
		}
		gone.steps[id] = d.step(Delete, was, nil, nil)
	}

	for _, g := range []graph{made, gone} {
		for _, step := range g.steps {
			s.All.Stacks = 1
			s.All.Steps++
			s.All.Seconds += step.Seconds
		}
	}
	last, err := gone.order()
	if err != nil {
		return s, chain{}, err
	}
	alone := made.longest(order).then(gone.longest(last))
	s.Alone = alone.length()
	return s, alone, nil
}

// replaces says whether the changes replace a resource. Unknown types are updated in place.
func (d *deployment) replaces(was, is *assembly.Resource, changed []string) bool {
	replaces, known := model.Replaces(is.Type, changed...)
	if !known && len(changed) > 0 && was.Type == is.Type {
		d.unknown["whether an update replaces "+is.Type] = true
	}
	return replaces || was.Type != is.Type
}

// step is what is done to a resource. Without was it is created, without is it is deleted.
func (d *deployment) step(action Action, was, is *assembly.Resource, changed []string) Step {
	r := cmp.Or(is, was)
	step := Step{Stack: r.Stack.Name, LogicalID: r.LogicalID, Name: r.Name(), Type: r.Type, Action: action}
	if r.Type == model.ECSService {
		d.wait(&step, was, is, changed)
	} else if is != nil {
		step.Why = slow(was, is, changed)
	}
	return step
}

// existing are the resources of a stack whose condition holds, or may hold: a condition of the region is known only to the deployment. A stack
// that is nil has none.
func (d *deployment) existing(a *assembly.Assembly, stack *assembly.Stack) (map[string]*assembly.Resource, error) {
	resources := map[string]*assembly.Resource{}
	if stack == nil {
		return resources, nil
	}
	for _, r := range stack.Resources {
		exists, err := r.Exists(a)
		if _, known := stack.Conditions[r.Condition]; err != nil && !known {
			return nil, err
		} else if err != nil {
			d.unknown[fmt.Sprintf("whether there is %v", r)] = true
			exists = true
		}
		if exists {
			resources[r.LogicalID] = r
		}
	}
	return resources, nil
}

// needs are the resources that each resource names, in DependsOn or in its properties.
func needs(resources map[string]*assembly.Resource) map[string][]string {
	all := map[string][]string{}
	for id, r := range resources {
		named := slices.Clone(r.DependsOn)
		assembly.References(r.Properties, func(other, _ string) { named = append(named, other) })
		slices.Sort(named)
		all[id] = slices.DeleteFunc(slices.Compact(named), func(other string) bool { return resources[other] == nil })
	}
	return all
}

func reversed(needs map[string][]string) map[string][]string {
	all := map[string][]string{}
	for id := range needs {
		all[id] = nil
	}
	for _, id := range slices.Sorted(maps.Keys(needs)) {
		for _, other := range needs[id] {
			all[other] = append(all[other], id)
		}
	}
	return all
}

// changes are the properties with another value, in the template or of a resource that changes.
func changes(was, is *assembly.Resource, steps map[string]Step) []string {
	if was == nil {
		return nil
	}
	both := maps.Clone(was.Properties)
	maps.Copy(both, is.Properties)
	var changed []string
	for _, name := range slices.Sorted(maps.Keys(both)) {
		differs := !reflect.DeepEqual(was.Properties[name], is.Properties[name])
		assembly.References(is.Properties[name], func(id, attribute string) {
			step := steps[id]
			differs = differs || step.Action == Replace || step.Action == Update && model.Moves(step.Type, attribute)
		})
		if differs {
			changed = append(changed, name)
		}
	}
	return changed
}

package review

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"cutover/internal/assembly"
	"cutover/internal/model"
)

// Loss is what a change does to data: it deletes them, or takes away what keeps them. It is the same in all
// of its pairs.
type Loss struct {
	In []string `json:"in"`
	// Of is a table, a database cluster or a file system by its construct path, a stack, or a service.
	Of string `json:"of"`
	// Does is in words what happens. Deletes says that data are gone afterwards, unless AWS refuses it.
	Does    string `json:"does"`
	Deletes bool   `json:"deletes"`
}

// Losses lists what the pairs do to data, those that delete data first.
func Losses(pairs []Pair) []Loss {
	return merged(pairs, lossesOf)
}

func (l *Loss) told() told { return told{&l.In, l.Of, l.Does, l.Deletes} }

func lossesOf(pair Pair) (all []Loss) {
	before, after := model.Read(pair.Before), model.Read(pair.After)
	for _, stack := range pair.Before.Stacks {
		then, keeps := pair.After.Stack(stack.Name), false
		for _, was := range stack.Resources {
			if !model.Keeps(was) || !exists(pair.Before, was) {
				continue
			}
			keeps = true
			if then == nil {
				all = append(all, Loss{Of: place(was), Does: "stays, and nothing deploys its stack any more; if you delete the stack, it " + left(was, leavingPolicy(before, was))})
				continue
			}
			is := then.Resource(was.LogicalID)
			if is != nil && !exists(pair.After, is) {
				is = nil
			}
			all = append(all, fateOf(before, after, was, is)...)
		}
		if keeps && then != nil && stack.TerminationProtection && !then.TerminationProtection {
			all = append(all, Loss{Of: stack.Name, Does: "loses its termination protection: one command can delete the stack, and what it keeps"})
		}
	}
	return append(all, changedStores(before, after)...)
}

func exists(a *assembly.Assembly, r *assembly.Resource) bool {
	exists, err := r.Exists(a)
	return exists || err != nil
}

// fateOf says what happens to a resource with data. is is nil if the template has it no more.
func fateOf(before, after *model.Model, was, is *assembly.Resource) []Loss {
	if is == nil {
		policy := leavingPolicy(before, was)
		return []Loss{{Of: place(was), Does: left(was, policy), Deletes: policy.deletes()}}
	}
	if is.Type != was.Type {
		policy := leavingPolicy(before, was)
		return []Loss{{Of: place(was), Does: fmt.Sprintf("becomes an %s, without the data: the old one %s", is.Type, left(was, policy)), Deletes: policy.deletes()}}
	}
	if changed := replacing(was.Type, changedKeys(was.Properties, is.Properties)); len(changed) > 0 {
		policy := exchangedPolicy(before, was, is)
		does := fmt.Sprintf("is replaced by an empty one, because %s changes: the old one %s", strings.Join(changed, ", "), left(was, policy))
		if name := physical(is); name != "" && name == physical(was) {
			does += fmt.Sprintf("; the deployment fails if the new one is called %s, too", name)
		}
		return []Loss{{Of: place(was), Does: does, Deletes: policy.deletes()}}
	}
	return unprotected(before, after, was, is)
}

// place is the construct's path, or the logical id, with the stack.
func place(r *assembly.Resource) string { return r.Stack.Name + "/" + r.Name() }

// policy is what happens to a resource that leaves its template.
type policy struct {
	word      string // Delete, Retain, RetainExceptOnCreate or Snapshot
	protected bool   // AWS refuses to delete it
}

func (p policy) deletes() bool { return !strings.HasPrefix(p.word, "Retain") }

// leavingPolicy is the policy of a resource that leaves the template that is deployed.
func leavingPolicy(m *model.Model, r *assembly.Resource) policy {
	return policy{model.Kept(r), protected(m, r)}
}

// exchangedPolicy is the policy of a resource that is replaced. Both templates have to keep the old one: AWS does
// not say which of them counts. The default is Delete, also for databases
// (https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-attribute-updatereplacepolicy.html).
func exchangedPolicy(m *model.Model, was, is *assembly.Resource) policy {
	word := cmp.Or(is.UpdateReplacePolicy, "Delete")
	if strings.HasPrefix(word, "Retain") && !strings.HasPrefix(was.UpdateReplacePolicy, "Retain") {
		word = cmp.Or(was.UpdateReplacePolicy, "Delete")
	}
	return policy{word, protected(m, was)}
}

// left says what is left of a resource by its policy.
func left(r *assembly.Resource, p policy) string {
	switch {
	case !p.deletes() && physical(r) != "":
		return fmt.Sprintf("stays with its data, and belongs to no stack: none can be created that is called %s, too", physical(r))
	case !p.deletes():
		return "stays with its data, and belongs to no stack"
	case p.protected:
		return "is deleted with its data, unless its deletion protection stops that"
	case p.word == "Snapshot":
		return "is deleted with its data, and a snapshot stays"
	}
	return "is deleted with its data"
}

// physical is the name that the template gives a resource. AWS has one resource of a name at a time, and
// CloudFormation replaces none that keeps its name
// (https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-properties-name.html).
func physical(r *assembly.Resource) string {
	for _, property := range []string{"TableName", "DBClusterIdentifier", "DBInstanceIdentifier", "BrokerName"} {
		if name, ok := r.Properties[property].(string); ok {
			return name
		}
	}
	return ""
}

func protected(m *model.Model, r *assembly.Resource) bool {
	switch v := m.Value(r).(type) {
	case *model.Table:
		return v.DeletionProtection
	case *model.DatabaseCluster:
		return v.DeletionProtection
	case *model.DatabaseInstance:
		return v.DeletionProtection
	}
	return false
}

// unprotected says what no longer keeps the data of a resource that stays.
func unprotected(before, after *model.Model, was, is *assembly.Resource) (all []Loss) {
	add := func(format string, args ...any) {
		all = append(all, Loss{Of: place(was), Does: fmt.Sprintf(format, args...)})
	}
	if protected(before, was) && !protected(after, is) {
		add("loses its deletion protection: AWS would delete it from now on")
	}
	one, other := policy{word: model.Kept(was)}, policy{word: model.Kept(is)}
	if rank := []string{"Delete", "Snapshot", "Retain"}; slices.Index(rank, strings.TrimSuffix(one.word, "ExceptOnCreate")) > slices.Index(rank, strings.TrimSuffix(other.word, "ExceptOnCreate")) {
		add("has the DeletionPolicy %s instead of %s: if it leaves the template, its data are deleted", other.word, one.word)
	}
	if strings.HasPrefix(was.UpdateReplacePolicy, "Retain") && !strings.HasPrefix(is.UpdateReplacePolicy, "Retain") {
		add("has the UpdateReplacePolicy %s instead of %s: if it is replaced, its data are deleted", cmp.Or(is.UpdateReplacePolicy, "Delete"), was.UpdateReplacePolicy)
	}
	switch v := before.Value(was).(type) {
	case *model.Table:
		if w, ok := after.Value(is).(*model.Table); ok && v.PointInTimeRecovery && !w.PointInTimeRecovery {
			add("loses its point-in-time recovery: what was deleted cannot be restored, and the backups that it has are gone")
		}
	case *model.DatabaseCluster:
		if w, ok := after.Value(is).(*model.DatabaseCluster); ok && v.BackupDays > w.BackupDays {
			add("keeps backups for %d days instead of %d: the older ones are gone", w.BackupDays, v.BackupDays)
		}
	case *model.FileSystem:
		if w, ok := after.Value(is).(*model.FileSystem); ok && v.Backups && !w.Backups {
			add("gets no more backups")
		}
	}
	return all
}

// changedStores lists the services that have another store than before, or none. Moves between stores are not made here:
// the records stay where they are.
func changedStores(before, after *model.Model) (all []Loss) {
	was, is := ownStores(before), ownStores(after)
	running := map[string]bool{}
	for _, d := range after.TaskDefinitions {
		running[serviceOf(d)] = true
	}
	for _, service := range slices.Sorted(maps.Keys(was)) {
		if was[service] == is[service] || !running[service] {
			continue
		}
		all = append(all, Loss{Of: service, Does: fmt.Sprintf("has its records in %s instead of %s: what is in the old store is not moved, and no longer read or written",
			cmp.Or(is[service], "a file of its image"), was[service])})
	}
	return all
}

func serviceOf(d *model.TaskDefinition) string {
	return cmp.Or(model.Tag(d.Resource, "service"), d.Family)
}

// ownStores are the stores of services, in words, by the services' names. A table that belongs to a service has
// the service's tag, and a database its name, with underscores for hyphens.
func ownStores(m *model.Model) map[string]string {
	stores := map[string]string{}
	for _, d := range m.TaskDefinitions {
		service := serviceOf(d)
		for _, use := range m.Uses(d) {
			if use.Table != nil && model.Tag(use.Table.Resource, "service") == service || use.Database == strings.ReplaceAll(service, "-", "_") {
				stores[service] = "the " + use.String()
			}
		}
	}
	return stores
}

// DeletesData says whether a loss of the report deletes data.
func (r *Report) DeletesData() bool {
	return slices.ContainsFunc(r.Data, func(l Loss) bool { return l.Deletes })
}

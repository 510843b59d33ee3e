package deployable

import (
	"fmt"
	"slices"

	"cutover/internal/assembly"
	"cutover/internal/model"
)

// nameWarnings says which names of a service nobody answers here, and which names of others its tasks may not
// find on AWS.
func nameWarnings(m *model.Model, s *model.Service) (lines []string) {
	for _, r := range s.Registries {
		switch of := r.Service; {
		case of == nil:
			lines = append(lines, fmt.Sprintf("others find its tasks by %s of AWS Cloud Map, which is not in the assembly; no such name is answered here", r.ServiceID))
		case of.Namespace == nil:
			lines = append(lines, "others find its tasks by the name "+of.Name+" in a namespace that is not in the assembly; no such name is answered here")
		case of.Namespace.Type == model.PublicNamespace:
			lines = append(lines, "the public DNS has its tasks as "+of.Host()+"; no such name is answered here")
		case of.Namespace.Type == model.HTTPNamespace, len(of.Records) == 0:
			lines = append(lines, "others find its tasks by the API DiscoverInstances of AWS Cloud Map, as "+of.Name+"; the API is not answered here")
		}
	}
	if s.Connect == nil || s.TaskDefinition == nil {
		return lines
	}
	// "Task definitions must set the task memory limit to use Service Connect."
	// https://docs.aws.amazon.com/AmazonECS/latest/developerguide/service-connect.html
	if s.TaskDefinition.MemoryMiB == 0 && s.TaskDefinition.Problem("Memory") == nil {
		lines = append(lines, fmt.Sprintf("AWS wants Memory of the task for Service Connect, and %v has none", s.TaskDefinition.Resource))
	}
	for _, call := range m.Calls() {
		if call.From == s && call.Name.Connect && !waitsFor(s.Resource, call.To.Resource) {
			lines = append(lines, fmt.Sprintf("its variable %s names %v of %s, which may come later: on AWS a task finds only what its namespace had before the task began, so let %s depend on %s",
				call.Variable, call.Name, call.To.Key(), s.Key(), call.To.Resource.LogicalID))
		}
	}
	return lines
}

// waitsFor says whether CloudFormation creates a resource after another one: by DependsOn, or because its stack comes
// later.
func waitsFor(r, other *assembly.Resource) bool {
	if r.Stack != other.Stack {
		return follows(r.Stack, other.Stack)
	}
	seen := []string{r.LogicalID}
	for i := 0; i < len(seen); i++ {
		if before := r.Stack.Resource(seen[i]); before != nil {
			for _, id := range before.DependsOn {
				if !slices.Contains(seen, id) {
					seen = append(seen, id)
				}
			}
		}
	}
	return slices.Contains(seen, other.LogicalID)
}

// follows says whether a stack depends on another one, also by way of others.
func follows(s, other *assembly.Stack) bool {
	return slices.ContainsFunc(s.DependsOn, func(before *assembly.Stack) bool { return before == other || follows(before, other) })
}

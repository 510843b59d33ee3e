package review

import (
	"fmt"
	"slices"
	"strings"

	"cutover/internal/assembly"
	"cutover/internal/model"
)

// compute says what changes of where the tasks of a service run.
func (d *deployed) compute(c *TaskChange, was, is *model.Service) {
	by := replacing(model.ECSService, changedKeys(was.Resource.Properties, is.Resource.Properties))
	if len(by) > 0 {
		c.Exchanged = c.Running
		c.warn("the service is replaced (%s): a new one is made, and then this one is deleted with its tasks. Move with a second service and target group beside these, and shift the requests", strings.Join(by, ", "))
		c.taken(is.Resource, "ServiceName")
	}
	before, _ := d.was.Fargate(was)
	after, _ := d.is.Fargate(is)
	from, to := strategy(was), strategy(is)
	switch {
	case (before == nil) != (after == nil):
		c.warn("tasks run on %s instead of %s. On Fargate each has an address of its own, so the target group needs other targets, and is another one", to, from)
	case len(by) == 0 && from != to:
		// UpdateService: a capacity provider strategy starts no deployment.
		c.does("tasks that start from now on run on %s. Tasks that run stay where they are", to)
		if after != nil && after.Spot() && !before.Spot() {
			c.does("AWS may stop a task on Spot with two minutes' notice. If there is no room for Spot, such a task waits")
		}
	}
}

// strategy says where the tasks of a service start.
func strategy(s *model.Service) string {
	items, _ := s.Resource.Properties["CapacityProviderStrategy"].([]any)
	var all []string
	for _, one := range items {
		item, _ := one.(map[string]any)
		name, literal := item["CapacityProvider"].(string)
		if !literal {
			name = "the instances of a capacity provider"
		}
		for _, key := range []string{"Base", "Weight"} {
			if value := item[key]; value != nil {
				name += fmt.Sprintf(", %s %v", strings.ToLower(key), value)
			}
		}
		all = append(all, name)
	}
	if len(all) > 0 {
		return strings.Join(all, "; ")
	}
	return s.LaunchType
}

// replacing are the changed properties that replace a resource.
func replacing(resourceType string, changed []string) []string {
	return slices.DeleteFunc(slices.Clone(changed), func(key string) bool {
		replaces, _ := model.Replaces(resourceType, key)
		return !replaces
	})
}

// taken warns if a resource that is replaced keeps its name: CloudFormation refuses that
// (https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-properties-name.html).
func (c *TaskChange) taken(is *assembly.Resource, property string) {
	if name, ok := is.Properties[property].(string); ok {
		c.warn("the deployment fails if the new one is called %s too: CloudFormation replaces nothing that has a name in the template. Choose another %s", name, property)
	}
}

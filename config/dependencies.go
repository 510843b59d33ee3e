package config

import (
	"slices"
	"strings"
)

// checkDependencies refuses an order of start that never comes about
// (https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_ContainerDependency.html).
func checkDependencies(s Service, refuse func(string, ...any)) {
	all := map[string]Container{}
	for _, one := range s.Containers() {
		all[one.Name] = one
	}
	for _, one := range s.Containers() {
		waits := map[string]bool{}
		for _, on := range one.DependsOn {
			other, known := all[on.Container]
			switch {
			case !known || on.Container == one.Name:
				refuse("container %q depends on %q: the task has no other container of this name: name a sidecar", one.Name, on.Container)
			case waits[on.Container]:
				refuse("container %q depends on %q twice: remove one", one.Name, on.Container)
			case !slices.Contains(conditions, on.Condition):
				refuse("container %q depends on %q: Condition %q: choose one of %s", one.Name, on.Container, on.Condition, strings.Join(conditions, ", "))
			case on.Condition == "HEALTHY" && other.HealthCheck[0] == NoHealthCheck:
				refuse("container %q waits until %q is HEALTHY, which has no health check: give it one", one.Name, on.Container)
			case (on.Condition == "COMPLETE" || on.Condition == "SUCCESS") && other.Essential:
				refuse("container %q waits for the end of %q, which is essential, so its end stops the task: set no Essential, or wait for HEALTHY", one.Name, on.Container)
			}
			waits[on.Container] = true
		}
	}
	if circle := circle(s.Containers()); circle != nil {
		refuse("containers wait for each other in a circle: %s: remove a dependency", strings.Join(circle, " → "))
	}
}

// circle returns the names of containers that depend on each other in a circle, the first one twice;
// nil if there is none.
func circle(all []Container) []string {
	done := map[string]bool{}
	var walk func(name string, way []string) []string
	walk = func(name string, way []string) []string {
		if i := slices.Index(way, name); i >= 0 {
			return append(slices.Clone(way[i:]), name)
		}
		if done[name] {
			return nil
		}
		for _, one := range all {
			if one.Name != name {
				continue
			}
			for _, on := range one.DependsOn {
				if found := walk(on.Container, append(slices.Clone(way), name)); found != nil && on.Container != name {
					return found
				}
			}
		}
		done[name] = true
		return nil
	}
	for _, one := range all {
		if found := walk(one.Name, nil); found != nil {
			return found
		}
	}
	return nil
}

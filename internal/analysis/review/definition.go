package review

import (
	"cmp"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"cutover/internal/assembly"
	"cutover/internal/model"
)

// Words that say more than what changes.
const secretsWord, stopWord = "secrets", "stop timeout"

// members are the members of a container that have a word of their own, in the order in which they are
// told. Any other has its name in the template.
var members = []struct{ name, word, unit string }{
	{"Image", "image", ""},
	{"EntryPoint", "entry point", ""},
	{"Command", "command", ""},
	{"Environment", "variables", ""},
	{"Secrets", secretsWord, ""},
	{"RepositoryCredentials", "login of the registry", ""},
	{"User", "user", ""},
	{"Cpu", "CPU", " units"},
	{"MemoryReservation", "reserved memory", " MiB"},
	{"Memory", "memory limit", " MiB"},
	{"PortMappings", "ports", ""},
	{"HealthCheck", "health check in the container", ""},
	{"MountPoints", "mounted volumes", ""},
	{"Ulimits", "ulimits", ""},
	{"Links", "links", ""},
	{"DependsOn", "start order", ""},
	{"StopTimeout", stopWord, " s"},
	{"StartTimeout", "start timeout", " s"},
	{"Essential", "essential", ""},
	{"LogConfiguration", "log", ""},
	{"ReadonlyRootFilesystem", "read-only root file system", ""},
}

// definitionChanges says what differs between two task definitions, a text for each container.
func definitionChanges(was, is *assembly.Resource) []string {
	var all []string
	old, now := containers(was), containers(is)
	names := slices.Concat(old.names, now.names)
	for i, name := range names {
		one, other := old.byName[name], now.byName[name]
		switch {
		case slices.Contains(names[:i], name):
		case one == nil:
			all = append(all, "the container "+name+" is new")
		case other == nil:
			all = append(all, "the container "+name+" goes")
		default:
			if changed := strings.Join(containerChanges(one, other), ", "); changed != "" && name == fmt.Sprint(is.Properties["Family"]) {
				all = append(all, changed) // of the service's own container
			} else if changed != "" {
				all = append(all, name+": "+changed)
			}
		}
	}
	for _, key := range changedKeys(was.Properties, is.Properties) {
		switch {
		case key == "Tags", key == "ContainerDefinitions" && len(all) > 0:
		case key == "ContainerDefinitions":
			all = append(all, "the containers")
		case key == "Volumes":
			all = append(all, "volumes of the task")
		case key == "Cpu":
			all = append(all, scalar("CPU of the task", " units", was.Properties[key], is.Properties[key]))
		case key == "Memory":
			all = append(all, scalar("memory of the task", " MiB", was.Properties[key], is.Properties[key]))
		case key == "EphemeralStorage":
			all = append(all, scalar("storage of the task", " GiB", storage(was), storage(is)))
		default:
			all = append(all, scalar("the setting "+key, "", was.Properties[key], is.Properties[key]))
		}
	}
	return all
}

// storage is the storage of a task on Fargate. Nil is Fargate's default.
func storage(definition *assembly.Resource) any {
	of, _ := definition.Properties["EphemeralStorage"].(map[string]any)
	return cmp.Or[any](of["SizeInGiB"], 20.0)
}

// named are the containers of a task definition as the template has them.
type named struct {
	names  []string
	byName map[string]map[string]any
}

func containers(definition *assembly.Resource) named {
	n := named{byName: map[string]map[string]any{}}
	list, _ := definition.Properties["ContainerDefinitions"].([]any)
	for _, one := range list {
		if c, ok := one.(map[string]any); ok {
			name := fmt.Sprint(c["Name"])
			n.names, n.byName[name] = append(n.names, name), c
		}
	}
	return n
}

// containerChanges says what differs between two containers.
func containerChanges(was, is map[string]any) []string {
	changed := changedKeys(was, is)
	var all []string
	for _, m := range members {
		if i := slices.Index(changed, m.name); i >= 0 {
			changed = slices.Delete(changed, i, i+1)
			all = append(all, member(m.name, m.word, m.unit, was[m.name], is[m.name]))
		}
	}
	for _, name := range changed {
		if name != "LinuxParameters" {
			all = append(all, scalar(name, "", was[name], is[name]))
			continue
		}
		one, _ := was[name].(map[string]any)
		other, _ := is[name].(map[string]any)
		for _, part := range changedKeys(one, other) {
			all = append(all, map[bool]string{true: "writable paths", false: part}[part == "Tmpfs"])
		}
	}
	return all
}

func member(name, word, unit string, was, is any) string {
	if name == "Environment" || name == "Secrets" {
		return word + " " + strings.Join(variables(was, is), ", ")
	}
	return scalar(word, unit, was, is)
}

// variables are the names of those that differ.
func variables(was, is any) []string {
	of := func(value any) map[string]any {
		all := map[string]any{}
		list, _ := value.([]any)
		for _, one := range list {
			if v, ok := one.(map[string]any); ok {
				all[fmt.Sprint(v["Name"])] = v
			}
		}
		return all
	}
	return changedKeys(of(was), of(is))
}

// scalar says what changes, and from what to what if a number or a text says so.
func scalar(what, unit string, was, is any) string {
	text := func(value any) (string, bool) {
		switch value := value.(type) {
		case nil:
			return "none", true
		case string:
			return value + unit, true
		case bool:
			return strconv.FormatBool(value), true
		case float64:
			return strconv.FormatFloat(value, 'f', -1, 64) + unit, true
		}
		return "", false
	}
	one, known := text(was)
	other, alsoKnown := text(is)
	if !known || !alsoKnown {
		return what
	}
	return what + " " + one + " → " + other
}

// changedKeys are the names of members that differ, sorted.
func changedKeys(was, is map[string]any) []string {
	both := maps.Clone(was)
	if both == nil {
		both = map[string]any{}
	}
	maps.Copy(both, is)
	return slices.DeleteFunc(slices.Sorted(maps.Keys(both)), func(key string) bool { return reflect.DeepEqual(was[key], is[key]) })
}

// codesText writes ranges of status codes as a matcher has them.
func codesText(codes []model.CodeRange) string {
	var all []string
	for _, c := range codes {
		text := strconv.Itoa(c.From)
		if c.To != c.From {
			text += "-" + strconv.Itoa(c.To)
		}
		all = append(all, text)
	}
	return strings.Join(all, ",")
}

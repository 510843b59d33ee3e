//go:build unix

package process

import (
	"fmt"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"cutover/internal/local/ecs"
	"cutover/internal/local/ecs/volumes"
	"cutover/internal/model"
)

// Why settings have no effect on a process.
const (
	noContainer = "a process has the rights and the limits of the user that starts it"
	noMounts    = "a process sees the directories of this machine: a path in a variable of its environment leads to the directory that stands for the volume"
	ownNames    = "a process resolves names as this machine does"
	noNames     = "a process does not know containers by name: a name with a port in a variable of its environment is an address of this machine, and NAME_PORT_… variables have the addresses"
)

// passedOver are the settings of a container without an effect on a process.
func (d *Driver) passedOver(whole *model.TaskDefinition, c model.Container) []ecs.PassedOver {
	var all []ecs.PassedOver
	add := func(set bool, setting, why string) {
		if set {
			all = append(all, ecs.PassedOver{Setting: setting, Why: why})
		}
	}
	add(c.User != "", "User", noContainer)
	add(c.MemoryMiB > 0, "Memory", noContainer)
	add(c.CPUShares+c.CPULimit > 0, "Cpu", noContainer)
	add(c.ReadonlyRootFilesystem, "ReadonlyRootFilesystem", noContainer)
	add(c.Privileged, "Privileged", noContainer)
	add(len(c.SecurityOptions) > 0, "DockerSecurityOptions", noContainer)
	add(len(c.AddedCapabilities)+len(c.DroppedCapabilities) > 0, "LinuxParameters.Capabilities", noContainer)
	add(c.Init, "LinuxParameters.InitProcessEnabled", noContainer)
	add(len(c.Ulimits) > 0, "Ulimits", noContainer)
	add(len(c.Labels) > 0, "DockerLabels", noContainer)
	add(len(c.SystemControls) > 0, "SystemControls", noContainer)
	add(c.SharedMemoryMiB > 0, "LinuxParameters.SharedMemorySize", noContainer)
	add(c.Hostname != "", "Hostname", ownNames)
	add(len(c.ExtraHosts) > 0, "ExtraHosts", ownNames)
	add(len(c.DNSServers) > 0, "DnsServers", ownNames)
	add(len(c.DNSSearch) > 0, "DnsSearchDomains", ownNames)
	add(len(c.Mounts) > 0, "MountPoints", noMounts)
	add(len(c.Tmpfs) > 0, "LinuxParameters.Tmpfs", noMounts)
	add(len(c.Links) > 0, "Links", noNames)
	add(whole != nil && whole.NetworkMode == "none", "NetworkMode", "a process has the network of this machine")
	return slices.Concat(all, volumes.PassedOver(whole, c), ecs.HostPorts(whole, c))
}

// instead says what to do about a container that cannot run as a process.
func instead(c model.Container) string {
	text := fmt.Sprintf("use --driver docker, or say what to start in its place with --run %s=COMMAND", c.Name)
	if command := imageCommand(c); command != "" {
		text += fmt.Sprintf(", as in --run %s=%q", c.Name, command)
	}
	if !c.Essential {
		text += ", or leave it out with --without " + c.Name
	}
	return text
}

// portsOf are the ports of a container: those that are published, and those that a container with a
// link to it names in a variable. A link needs no published port.
func portsOf(whole *model.TaskDefinition, c model.Container) (ports []port) {
	add := func(number int, protocol string) {
		i := slices.IndexFunc(ports, func(p port) bool { return p.number == number })
		switch {
		case i < 0:
			ports = append(ports, port{number, []string{protocol}})
		case !slices.Contains(ports[i].protocols, protocol):
			ports[i].protocols = append(ports[i].protocols, protocol)
		}
	}
	for _, p := range c.Ports {
		add(p.Container, p.Protocol)
	}
	if whole == nil {
		return ports
	}
	for _, number := range atLocalhost(whole, c) {
		add(number, "tcp")
	}
	for _, other := range whole.Containers {
		for _, text := range other.Links {
			name, alias := splitLink(text)
			if name != c.Name {
				continue
			}
			for _, number := range named(alias, other.Environment) {
				if !slices.ContainsFunc(ports, func(p port) bool { return p.number == number }) {
					add(number, "tcp")
				}
			}
		}
	}
	return ports
}

// localNames are the names under which containers that share a network reach each other.
var localNames = []string{"localhost", "127.0.0.1"}

// atLocalhost are ports of a container that others of its task name at localhost, and that no container
// publishes. The port is that of the only other container, or of the one with the number in a variable.
func atLocalhost(whole *model.TaskDefinition, c model.Container) (ports []int) {
	if !whole.SharesNetwork() {
		return nil
	}
	for _, other := range whole.Containers {
		if other.Name == c.Name {
			continue
		}
		for _, alias := range localNames {
			for _, number := range named(alias, other.Environment) {
				published := slices.ContainsFunc(whole.Containers, func(c model.Container) bool {
					return slices.ContainsFunc(c.Ports, func(p model.Port) bool { return p.Container == number })
				})
				own := slices.ContainsFunc(c.Environment, func(v model.Variable) bool { return v.Value == strconv.Itoa(number) })
				if !published && (own || len(whole.Containers) == 2) {
					ports = append(ports, number)
				}
			}
		}
	}
	return ports
}

func variableName(name string) string { return strings.ToUpper(strings.ReplaceAll(name, "-", "_")) }

// directories are those that stand for the mounts of a container, by the path in the container.
func (d *Driver) directories(r ecs.StartRequest) map[string]string {
	all := map[string]string{}
	for _, mount := range r.Definition.Mounts {
		v := r.TaskDefinition.Volume(mount)
		directory := filepath.Join(d.taskVolumes(r.Task), "named", v.Name)
		if volumes.Kept(v) {
			directory = filepath.Join(d.options.Volumes, volumes.Name(v))
		}
		all[path.Clean(mount.Path)] = directory
	}
	for i, tmpfs := range r.Definition.Tmpfs {
		all[path.Clean(tmpfs.Path)] = filepath.Join(d.taskVolumes(r.Task), "tmpfs", r.Definition.Name, strconv.Itoa(i))
	}
	return all
}

// makeDirectories makes the directories of [Driver.directories].
func (p *process) makeDirectories(r ecs.StartRequest) error {
	for _, mount := range r.Definition.Mounts {
		if v := r.TaskDefinition.Volume(mount); volumes.Kept(v) {
			if _, err := volumes.Directory(p.driver.options.Volumes, v); err != nil {
				return fmt.Errorf("its volume %s: %w", v.Name, err)
			}
		}
	}
	for _, directory := range p.driver.directories(r) {
		if err := os.MkdirAll(directory, 0o755); err != nil {
			return err
		}
	}
	return nil
}

// setPaths lets the paths of mounts in variables lead to the directories that stand for the volumes.
// A command in place of a container also has the directory of each volume in VOLUME_ and its name.
func (p *process) setPaths(variables *environment, r ecs.StartRequest) {
	directories := p.driver.directories(r)
	for i, v := range *variables {
		(*variables)[i].Value = rebase(v.Value, directories)
	}
	for _, mount := range r.Definition.Mounts {
		if name := "VOLUME_" + variableName(mount.Volume); p.image == nil && variables.index(name) < 0 {
			variables.set(name, directories[path.Clean(mount.Path)])
		}
	}
}

// rebase rewrites paths at or below those of directories. A path is the whole value, or stands after
// one of ":=,; ", "://" or ":///", as in sqlite:///data/shop.db.
func rebase(value string, directories map[string]string) string {
	paths := slices.SortedFunc(maps.Keys(directories), func(a, b string) int { return len(b) - len(a) })
	var b strings.Builder
	for i := 0; i < len(value); {
		before, rest := value[:i], value[i:]
		found := ""
		if starts(before) {
			for _, p := range paths {
				if below, ok := strings.CutPrefix(rest, p); ok && found == "" && (below == "" || strings.ContainsAny(below[:1], "/:,;? ")) {
					found = p
				}
			}
		}
		if found == "" {
			b.WriteByte(value[i])
			i++
			continue
		}
		b.WriteString(directories[found])
		i += len(found)
	}
	return b.String()
}

// starts says whether a path may begin after a text.
func starts(before string) bool {
	return before == "" || strings.ContainsAny(before[len(before)-1:], ":=,; ") || strings.HasSuffix(before, "://") || strings.HasSuffix(before, ":///")
}

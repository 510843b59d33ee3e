package config

import (
	"fmt"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"
)

// Limits of a task definition
// (https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task_definition_parameters.html) and
// of a target group
// (https://docs.aws.amazon.com/elasticloadbalancing/latest/application/target-group-health-checks.html).
const (
	maxContainers     = 10 // in a task definition
	maxContainerName  = 63 // characters of a host name: other containers use the name as one
	maxVolumeName     = 99 // https://docs.aws.amazon.com/efs/latest/ug/API_RootDirectory.html has 100, with the slash
	maxStopTimeout    = 120
	maxDeregistration = 3600
	maxGracePeriod    = 2147483647
	maxHealthPath     = 1024   // characters
	leastMemoryMiB    = 6      // Docker takes no less for a container
	maxLatencyMilli   = 60_000 // the load balancer's idle timeout: later answers are 504
)

var (
	userFormat        = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.-]*(:[A-Za-z0-9_][A-Za-z0-9_.-]*)?$`)
	numericUser       = regexp.MustCompile(`^[0-9]+(:[0-9]+)?$`)
	urlFormat         = regexp.MustCompile(`^([A-Za-z0-9._~!$&'()*+,;=:@/?-]|%[0-9A-Fa-f]{2})+$`) // RFC 3986
	codesFormat       = regexp.MustCompile(`^[0-9]{3}(-[0-9]{3})?(,[0-9]{3}(-[0-9]{3})?)*$`)
	fileSystemFormat  = regexp.MustCompile(`^fs-([0-9a-f]{8}|[0-9a-f]{17})$`)
	accessPointFormat = regexp.MustCompile(`^fsap-([0-9a-f]{8}|[0-9a-f]{17})$`)
	placeholderFormat = regexp.MustCompile(`\$\{AWS::[^}]*\}?`)
)

// Placeholders are the pseudo parameters that texts of a service may have.
var placeholders = []string{"${AWS::AccountId}", "${AWS::Partition}", "${AWS::Region}"}

var (
	conditions = []string{"START", "HEALTHY", "COMPLETE", "SUCCESS"}
	// https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_Ulimit.html
	ulimits = []string{"core", "cpu", "data", "fsize", "locks", "memlock", "msgqueue", "nice", "nofile", "nproc", "rss", "rtprio", "rttime", "sigpending", "stack"}
	// systemPaths are mounted by Docker.
	systemPaths = []string{"/dev", "/proc", "/sys"}
)

// containerChecks refuses what is wrong with the containers of the services.
type containerChecks struct {
	Deployment
	Settings
	refuse func(format string, args ...any)
	// service is the name of the service that is checked.
	service string
	// account and partition have to be the same in all ARNs.
	account, partition common
}

func checkContainers(d Deployment, s Settings, refuse func(string, ...any)) {
	c := &containerChecks{Deployment: d, Settings: s, refuse: refuse}
	c.home()
	for _, service := range d.All() {
		c.check(service)
	}
	checkVolumes(d, refuse)
}

// checkVolumes refuses volumes of one name in several places, and names that give one id.
func checkVolumes(d Deployment, refuse func(string, ...any)) {
	type holder struct {
		Volume
		service string
	}
	byName, byID := map[string]holder{}, map[string]string{}
	for _, service := range d.All() {
		for _, c := range service.Containers() {
			for _, v := range c.Volumes {
				other, ok := byName[v.Name]
				if ok && (other.FileSystem != v.FileSystem || other.AccessPoint != v.AccessPoint) {
					refuse("service %q: volume %q: it is on %s here, and on %s in %q: give each its own name", service.Name, v.Name, shown(v), shown(other.Volume), other.service)
				}
				if !ok {
					byName[v.Name] = holder{v, service.Name}
				}
				if name := byID[Pascal(v.Name)]; name != "" && name != v.Name {
					refuse("service %q: volume %q: its name differs from %q by a hyphen only: rename one", service.Name, v.Name, name)
				}
				byID[Pascal(v.Name)] = v.Name
			}
		}
	}
}

// shown names the place of a volume.
func shown(v Volume) string {
	if v.FileSystem == "" {
		return "the deployment's file system"
	}
	return strings.TrimSpace(v.FileSystem + " " + v.AccessPoint)
}

func (c *containerChecks) check(s Service) {
	c.service = s.Name
	refuse := func(format string, args ...any) {
		c.refuse("service %q: %s", s.Name, fmt.Sprintf(format, args...))
	}
	inRange := func(field string, value, low, high int) {
		if value < low || value > high {
			refuse("%s %d: it must be from %d to %d", field, value, low, high)
		}
	}
	inRange("Port", s.Port, 1, 65535)
	inRange("DeregistrationDelaySeconds", s.DeregistrationDelaySeconds, 1, maxDeregistration)
	inRange("StopTimeoutSeconds", s.StopTimeoutSeconds, 2, maxStopTimeout)
	inRange("HealthCheck.GracePeriodSeconds", s.HealthCheck.GracePeriodSeconds, 1, maxGracePeriod)
	inRange("Alarms.LatencyMilliseconds", s.Alarms.LatencyMilliseconds, 1, maxLatencyMilli)
	inRange("Alarms.Errors", s.Alarms.Errors, 1, 1_000_000)
	checkHealthPath(s.HealthCheck.Path, refuse)
	checkCodes(s.HealthCheck.Codes, refuse)
	if n := len(s.Sidecars) + 1; n > maxContainers {
		refuse("Sidecars: %d containers: a task can have %d: remove some", n, maxContainers)
	}
	for _, name := range slices.Sorted(maps.Keys(s.ownVariables())) {
		if _, given := s.Environment[name]; given {
			refuse("Environment %s is set by the deployment: remove it", name)
		}
	}
	c.container(s.own(), refuse)
	if _, isGo := s.Image.(GoPackage); isGo {
		checkGoImage(s, refuse)
	}
	for i, one := range s.Sidecars {
		at := func(format string, args ...any) { refuse("sidecar %q: %s", one.Name, fmt.Sprintf(format, args...)) }
		c.sidecar(s, i, at)
		c.container(one, at)
	}
	checkDependencies(s, refuse)
	checkPermissions(s.Permissions, refuse)
	checkCompute(c.Deployment, s, refuse)
}

// checkGoImage refuses what needs more in an image than the program.
func checkGoImage(s Service, refuse func(string, ...any)) {
	if userFormat.MatchString(s.User) && !numericUser.MatchString(s.User) {
		refuse("User %q: the image of a Go package knows no names: write numbers, as in %q", s.User, defaultUser)
	}
	if s.HealthCheck.Command[0] == "CMD-SHELL" {
		refuse("HealthCheck: %q: the image of a Go package has no shell: begin with CMD", s.HealthCheck.Command)
	}
}

// checkHealthPath refuses what the load balancer does not take as a path
// (https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_CreateTargetGroup.html).
func checkHealthPath(path string, refuse func(string, ...any)) {
	switch {
	case !strings.HasPrefix(path, "/"):
		refuse("HealthCheck.Path %q: a path begins with \"/\"", path)
	case !urlFormat.MatchString(path):
		refuse("HealthCheck.Path %q: a URL encodes spaces, \"#\", braces and letters beyond ASCII: write them as in %%20", path)
	case len(path) > maxHealthPath:
		refuse("HealthCheck.Path %q: it has %d characters: at most %d are allowed", path, len(path), maxHealthPath)
	}
}

func checkCodes(codes string, refuse func(string, ...any)) {
	if !codesFormat.MatchString(codes) {
		refuse("HealthCheck.Codes %q: write status codes as in \"200\", \"200,204\" or \"200-299\"", codes)
		return
	}
	for part := range strings.SplitSeq(codes, ",") {
		from, to, ranged := strings.Cut(part, "-")
		if !ranged {
			to = from
		}
		if from < "200" || to > "499" || from > to {
			refuse("HealthCheck.Codes %q: %s is not within 200 to 499, which the load balancer takes", codes, part)
		}
	}
}

// sidecar refuses a second service in the task of a service. It would be started, stopped and scaled
// with the first one, and so still be a part of a monolith.
func (c *containerChecks) sidecar(s Service, i int, refuse func(string, ...any)) {
	one := s.Sidecars[i]
	switch {
	case !nameFormat.MatchString(one.Name):
		refuse("a container's name has lower-case letters, digits and single hyphens, beginning with a letter")
	case len(one.Name) > maxContainerName:
		refuse("the name has %d characters: at most %d are allowed", len(one.Name), maxContainerName)
	}
	for _, other := range s.Containers()[:i+1] {
		if other.Name == one.Name {
			refuse("another container of the task has this name: choose another")
		} else if Pascal(other.Name) == Pascal(one.Name) {
			refuse("the name differs from %q by a hyphen only: choose another", other.Name)
		}
	}
	for _, other := range c.All() {
		if other.Name != s.Name && (other.Name == one.Name || runs(one, s.own(), other.own())) {
			refuse("it is the service %q: a task of two services is scaled and deployed as one, and is still a monolith: remove the sidecar", other.Name)
			break
		}
	}
	if _, isGo := one.Image.(GoPackage); isGo {
		refuse("Image: sidecars are not built from a Go package: use a Dockerfile or a Registry")
	}
	for _, ports := range [][]int{one.Ports, one.UDPPorts} {
		for i, port := range ports {
			if port < 1 || port > 65535 {
				refuse("port %d: it must be from 1 to 65535", port)
			}
			if slices.Contains(ports[:i], port) {
				refuse("port %d: it is listed twice: remove one", port)
			}
		}
	}
}

func (c *containerChecks) container(one Container, refuse func(string, ...any)) {
	c.image(one.Image, refuse)
	// ECS passes the kernel at least 2 CPU units
	// (https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_ContainerDefinition.html).
	if one.CPU < 2 {
		refuse("CPU %d: it must be 2 units or more; 1024 units are one vCPU", one.CPU)
	}
	if one.MemoryReservationMiB < leastMemoryMiB {
		refuse("MemoryReservationMiB %d: it must be %d or more", one.MemoryReservationMiB, leastMemoryMiB)
	} else if one.MemoryLimitMiB <= one.MemoryReservationMiB {
		// https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task_definition_parameters.html#container_definition_memory
		refuse("MemoryLimitMiB %d: it must be more than MemoryReservationMiB, which is %d", one.MemoryLimitMiB, one.MemoryReservationMiB)
	}
	if !userFormat.MatchString(one.User) {
		refuse("User %q: write USER or USER:GROUP, each a name or a number", one.User)
	}
	for i, word := range one.Command {
		if word == "" {
			refuse("Command: word %d is empty: remove it", i+1)
		}
		checkNoPlaceholder("Command", word, refuse)
	}
	checkHealthCommand(one.HealthCheck, refuse)
	c.environment(one, refuse)
	checkPaths(one, refuse)
	checkUlimits(one.Ulimits, refuse)
}

func checkHealthCommand(command []string, refuse func(string, ...any)) {
	switch {
	case len(command) == 1 && command[0] == NoHealthCheck:
	case len(command) < 2 || command[0] != "CMD" && command[0] != "CMD-SHELL":
		refuse("HealthCheck: the command %q must begin with CMD or CMD-SHELL and go on with what to run; or write %s for none", command, NoHealthCheck)
	case command[0] == "CMD-SHELL" && len(command) != 2:
		refuse("HealthCheck: %q: CMD-SHELL takes one text, the line for the shell", command)
	case slices.Contains(command, ""):
		refuse("HealthCheck: %q: a word is empty: remove it", command)
	}
	for _, word := range command {
		checkNoPlaceholder("HealthCheck", word, refuse)
	}
}

func checkUlimits(limits []Ulimit, refuse func(string, ...any)) {
	names := map[string]bool{}
	for _, limit := range limits {
		switch {
		case !slices.Contains(ulimits, limit.Name):
			refuse("Ulimits %q: no such limit: choose one of %s", limit.Name, strings.Join(ulimits, ", "))
		case names[limit.Name]:
			refuse("Ulimits %s: it is listed twice: remove one", limit.Name)
		case limit.Soft < -1 || limit.Hard < -1:
			refuse("Ulimits %s: %d and %d: a limit is 0 or more, or -1 for none", limit.Name, limit.Soft, limit.Hard)
		case limit.Hard != -1 && (limit.Soft > limit.Hard || limit.Soft == -1):
			refuse("Ulimits %s: the soft limit %d must not be above the hard limit %d", limit.Name, limit.Soft, limit.Hard)
		}
		names[limit.Name] = true
	}
}

// checkPlaceholders refuses pseudo parameters that the deployment does not fill in.
func checkPlaceholders(field, text string, refuse func(string, ...any)) {
	for _, match := range placeholderFormat.FindAllString(text, -1) {
		if !slices.Contains(placeholders, match) {
			refuse("%s: %s is not known here: use one of %s", field, match, strings.Join(placeholders, ", "))
		}
	}
}

// checkNoPlaceholder refuses pseudo parameters where nobody fills them in.
func checkNoPlaceholder(field, text string, refuse func(string, ...any)) {
	if match := placeholderFormat.FindString(text); match != "" {
		refuse("%s: %s is not filled in here: give the container a variable in Environment", field, match)
	}
}

// checkPaths refuses volumes and writable paths that cannot be mounted.
func checkPaths(one Container, refuse func(string, ...any)) {
	type mount struct{ what, at string }
	var mounts []mount
	if _, isGo := one.Image.(GoPackage); isGo {
		mounts = append(mounts, mount{"the program", "/" + one.Name})
	}
	add := func(what, at string) {
		inside := func(at, of string) bool { return at == of || strings.HasPrefix(at, of+"/") }
		switch {
		case !path.IsAbs(at) || path.Clean(at) != at || at == "/" || strings.Contains(at, ":"):
			refuse("%s: the path %q must be absolute and below \"/\", as in \"/data\"", what, at)
			return
		case at != "/dev/shm" && slices.ContainsFunc(systemPaths, func(of string) bool { return inside(at, of) }):
			refuse("%s: the path %q belongs to the system: choose another", what, at)
		}
		for _, other := range mounts {
			if at == other.at {
				refuse("%s: the path %q is that of %s, too: choose another", what, at, other.what)
			} else if inside(at, other.at) || inside(other.at, at) {
				refuse("%s: the path %q and %q of %s are one inside the other: choose another", what, at, other.at, other.what)
			}
		}
		mounts = append(mounts, mount{what, at})
	}
	memory := 0
	for i, writable := range one.WritablePaths {
		add(fmt.Sprintf("WritablePaths[%d]", i), writable.Path)
		if writable.SizeMiB < 1 {
			refuse("WritablePaths[%d]: SizeMiB %d: it must be 1 or more", i, writable.SizeMiB)
		}
		memory += max(writable.SizeMiB, 0)
	}
	if memory > 0 && memory >= one.MemoryLimitMiB {
		refuse("WritablePaths: they hold up to %d MiB, and the container may use %d MiB in all: raise MemoryLimitMiB, or set SizeMiB", memory, one.MemoryLimitMiB)
	}
	names := map[string]bool{}
	for _, volume := range one.Volumes {
		what := fmt.Sprintf("volume %q", volume.Name)
		add(what, volume.Path)
		checkVolume(volume, what, refuse)
		if names[volume.Name] {
			refuse("%s: the container has it twice: remove one", what)
		}
		names[volume.Name] = true
	}
}

func checkVolume(volume Volume, what string, refuse func(string, ...any)) {
	switch {
	case !nameFormat.MatchString(volume.Name):
		refuse("%s: a volume's name has lower-case letters, digits and single hyphens, beginning with a letter", what)
	case len(volume.Name) > maxVolumeName:
		refuse("%s: the name has %d characters: at most %d are allowed", what, len(volume.Name), maxVolumeName)
	}
	switch {
	case volume.FileSystem == "" && volume.AccessPoint != "":
		refuse("%s: AccessPoint %q needs the FileSystem that it belongs to", what, volume.AccessPoint)
	case volume.FileSystem != "" && !fileSystemFormat.MatchString(volume.FileSystem):
		refuse("%s: FileSystem %q is not the id of a file system: it looks like \"fs-0123456789abcdef0\"", what, volume.FileSystem)
	case volume.FileSystem != "" && !accessPointFormat.MatchString(volume.AccessPoint):
		refuse("%s: AccessPoint %q is not the id of an access point: it looks like \"fsap-0123456789abcdef0\"", what, volume.AccessPoint)
	}
}

package config

import (
	"fmt"
	"maps"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Limits of a task definition
// (https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task_definition_parameters.html) and
// of a target group
// (https://docs.aws.amazon.com/elasticloadbalancing/latest/application/target-group-health-checks.html).
const (
	maxContainers       = 10 // in a task definition
	maxStopTimeout      = 120
	maxDeregistration   = 3600
	maxGracePeriod      = 2147483647
	maxHealthPath       = 1024 // characters
	leastMemoryMiB      = 6    // Docker takes no less for a container
	maxSecretName       = 512
	maxParameterName    = 1011
	maxLatencyMilli     = 60_000 // the load balancer's idle timeout: later answers are 504
	maxPolicyCharacters = 10_240 // of the inline policies of a role
)

var (
	imageFormat       = regexp.MustCompile(`^([a-z0-9.-]+(:[0-9]+)?/)?[a-z0-9]+([._/-]+[a-z0-9]+)*(:[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?(@sha256:[0-9a-f]{64})?$`)
	userFormat        = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.-]*(:[A-Za-z0-9_][A-Za-z0-9_.-]*)?$`)
	codesFormat       = regexp.MustCompile(`^[0-9]{3}(-[0-9]{3})?(,[0-9]{3}(-[0-9]{3})?)*$`)
	secretFormat      = regexp.MustCompile(`^[A-Za-z0-9/_+=.@-]+$`)
	parameterFormat   = regexp.MustCompile(`^/?[A-Za-z0-9_.-]+(/[A-Za-z0-9_.-]+)*$`)
	ambiguousSecret   = regexp.MustCompile(`-[A-Za-z0-9]{6}$`)
	fileSystemFormat  = regexp.MustCompile(`^fs-([0-9a-f]{8}|[0-9a-f]{17})$`)
	accessPointFormat = regexp.MustCompile(`^fsap-([0-9a-f]{8}|[0-9a-f]{17})$`)
	actionFormat      = regexp.MustCompile(`^[a-z0-9-]+:[A-Za-z0-9*?]+$`)
	arnFormat         = regexp.MustCompile(`^arn:(aws[a-z-]*|\$\{AWS::Partition\}):([a-z0-9-]+):([a-z0-9-]*|\*|\$\{AWS::Region\}):([0-9]{12}|aws|\*|\$\{AWS::AccountId\}|):(.+)$`)
	placeholderFormat = regexp.MustCompile(`\$\{AWS::([A-Za-z]+)\}`)
)

// Placeholders are the pseudo parameters that texts of a service may have.
var placeholders = []string{"AccountId", "Partition", "Region"}

var (
	conditions = []string{"START", "HEALTHY", "COMPLETE", "SUCCESS"}
	// https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_Ulimit.html
	ulimits = []string{"core", "cpu", "data", "fsize", "locks", "memlock", "msgqueue", "nice", "nofile", "nproc", "rss", "rtprio", "rttime", "sigpending", "stack"}
)

// containers refuses what is wrong with the containers of the services.
type containers struct {
	Deployment
	Settings
	refuse func(format string, args ...any)
	// account is that of the deployment or else of the first ARN, whose place is named.
	account, of string
}

func checkContainers(d Deployment, s Settings, refuse func(string, ...any)) {
	c := &containers{Deployment: d, Settings: s, refuse: refuse, account: s.Account, of: "the deployment goes to"}
	fileSystems := map[string]Volume{}
	for _, service := range d.All() {
		c.service(service)
		for _, v := range service.AllVolumes() {
			if other, ok := fileSystems[v.Name]; ok && (other.FileSystem != v.FileSystem || other.AccessPoint != v.AccessPoint) {
				refuse("service %q: volume %q: it is on %s here and on %s elsewhere: give each its own name", service.Name, v.Name, shown(v), shown(other))
			}
			fileSystems[v.Name] = v
		}
	}
}

// shown names the place of a volume.
func shown(v Volume) string {
	if v.FileSystem == "" {
		return "the deployment's file system"
	}
	return v.FileSystem + " " + v.AccessPoint
}

func (c *containers) service(s Service) {
	refuse := func(format string, args ...any) {
		c.refuse("service %q: %s", s.Name, fmt.Sprintf(format, args...))
	}
	inRange := func(field string, value, low, high int) {
		if value < low || value > high {
			refuse("%s %d: it must be from %d to %d", field, value, low, high)
		}
	}
	inRange("Port", s.Port, 1, 65535)
	inRange("DeregistrationDelaySeconds", s.DeregistrationDelaySeconds, 0, maxDeregistration)
	inRange("HealthCheck.GracePeriodSeconds", s.HealthCheck.GracePeriodSeconds, 0, maxGracePeriod)
	inRange("Alarms.LatencyMilliseconds", s.Alarms.LatencyMilliseconds, 1, maxLatencyMilli)
	inRange("Alarms.Errors", s.Alarms.Errors, 1, 1_000_000)
	if s.StopTimeoutSeconds < 2 || s.StopTimeoutSeconds > maxStopTimeout {
		refuse("StopTimeoutSeconds %d: it must be from 2 to %d", s.StopTimeoutSeconds, maxStopTimeout)
	}
	checkHealthPath(s.HealthCheck.Path, refuse)
	checkCodes(s.HealthCheck.Codes, refuse)
	if n := len(s.Sidecars) + 1; n > maxContainers {
		refuse("Sidecars: %d containers: a task can have %d", n, maxContainers)
	}
	for _, name := range s.ownVariables() {
		if _, given := s.Environment[name]; given {
			refuse("Environment %s is set by the deployment: remove it", name)
		}
	}
	for i, one := range s.Containers() {
		at := refuse
		if i > 0 {
			at = func(format string, args ...any) { refuse("sidecar %q: %s", one.Name, fmt.Sprintf(format, args...)) }
			c.sidecar(s, i-1, at)
		}
		c.container(one, at)
	}
	checkDependencies(s, refuse)
	checkPermissions(s.Permissions, refuse)
}

// checkHealthPath refuses what the load balancer does not take as a path
// (https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_CreateTargetGroup.html).
func checkHealthPath(path string, refuse func(string, ...any)) {
	switch {
	case !strings.HasPrefix(path, "/"):
		refuse("HealthCheck.Path %q: a path begins with \"/\"", path)
	case strings.ContainsFunc(path, func(r rune) bool { return r <= ' ' || r > '~' || r == '#' }):
		refuse("HealthCheck.Path %q: it may have no spaces, \"#\" or letters beyond ASCII: encode them as in %%20", path)
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
func (c *containers) sidecar(s Service, i int, refuse func(string, ...any)) {
	one := s.Sidecars[i]
	if !nameFormat.MatchString(one.Name) {
		refuse("a container's name has lower-case letters, digits and single hyphens, beginning with a letter")
	}
	if slices.ContainsFunc(s.Containers()[:i+1], func(other Sidecar) bool { return other.Name == one.Name }) {
		refuse("another container of the task has this name: choose another")
	}
	for _, other := range c.All() {
		switch {
		case other.Name == s.Name:
		case other.Name == one.Name, one.Image != nil && other.Image.same(one.Image) && slices.Equal(other.Command, one.Command):
			refuse("it is the service %q: a task of two services is scaled and deployed as one, and is still a monolith: remove the sidecar", other.Name)
			return
		}
	}
	if _, isGo := one.Image.(GoPackage); isGo {
		refuse("Image: sidecars are not built from a Go package: use a Dockerfile or a Registry")
	}
	for _, port := range slices.Concat(one.Ports, one.UDPPorts) {
		if port < 1 || port > 65535 {
			refuse("port %d: it must be from 1 to 65535", port)
		}
	}
}

func (c *containers) container(one Sidecar, refuse func(string, ...any)) {
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
	checkCommand(one.HealthCheck, refuse)
	for _, name := range slices.Sorted(maps.Keys(one.Environment)) {
		if !variableFormat.MatchString(name) {
			refuse("Environment %q is not a variable name", name)
		}
		checkPlaceholders("Environment "+name, one.Environment[name], refuse)
	}
	for _, name := range slices.Sorted(maps.Keys(one.Secrets)) {
		if !variableFormat.MatchString(name) {
			refuse("Secrets %q is not a variable name", name)
		}
		if _, twice := one.Environment[name]; twice {
			refuse("Secrets %s: the variable is in Environment, too, or is set by the deployment: remove one", name)
		}
		c.secret("Secrets "+name, one.Secrets[name], refuse)
	}
	checkPaths(one, refuse)
	names := map[string]bool{}
	for _, limit := range one.Ulimits {
		switch {
		case !slices.Contains(ulimits, limit.Name):
			refuse("Ulimits %q: no such limit: choose one of %s", limit.Name, strings.Join(ulimits, ", "))
		case names[limit.Name]:
			refuse("Ulimits %s: it is there twice", limit.Name)
		case limit.Soft < -1 || limit.Hard < -1 || limit.Hard != -1 && (limit.Soft > limit.Hard || limit.Soft == -1):
			refuse("Ulimits %s: the soft limit %d must not be above the hard limit %d", limit.Name, limit.Soft, limit.Hard)
		}
		names[limit.Name] = true
	}
}

func checkCommand(command []string, refuse func(string, ...any)) {
	switch {
	case len(command) == 1 && command[0] == NoHealthCheck:
	case len(command) < 2 || command[0] != "CMD" && command[0] != "CMD-SHELL":
		refuse("HealthCheck: the command %q must begin with CMD or CMD-SHELL and go on with what to run; or write %s for none", command, NoHealthCheck)
	case command[0] == "CMD-SHELL" && len(command) != 2:
		refuse("HealthCheck: %q: CMD-SHELL takes one text, the line for the shell", command)
	}
}

func checkPlaceholders(field, text string, refuse func(string, ...any)) {
	for _, match := range placeholderFormat.FindAllStringSubmatch(text, -1) {
		if !slices.Contains(placeholders, match[1]) {
			refuse("%s: %s is not known here: use AWS::%s", field, match[0], strings.Join(placeholders, ", AWS::"))
		}
	}
}

func (c *containers) image(image Image, refuse func(string, ...any)) {
	local := func(field, dir string) {
		switch {
		case dir == "":
			refuse("Image: %s is empty: name the directory, from the root of the repository", field)
		case path.IsAbs(dir) || strings.HasPrefix(path.Clean(dir), ".."):
			refuse("Image: %s %q: it must be a path inside the repository", field, dir)
		}
	}
	switch image := image.(type) {
	case nil:
		refuse("Image: it is missing: use a Dockerfile or a Registry")
	case GoPackage:
		local("GoPackage.Dir", image.Dir)
	case Dockerfile:
		local("Dockerfile.Dir", image.Dir)
		if image.File != "" {
			local("Dockerfile.File", image.File)
		}
		for _, name := range slices.Sorted(maps.Keys(image.BuildArgs)) {
			if !variableFormat.MatchString(name) {
				refuse("Image: BuildArgs %q is not the name of an argument", name)
			}
		}
		if image.Platform != "" && image.Platform != "linux/"+c.Arch {
			refuse("Image: Dockerfile.Platform %q: the instances run linux/%s, as the setting arch says", image.Platform, c.Arch)
		}
	case Registry:
		c.registry(image, refuse)
	}
}

func (c *containers) registry(image Registry, refuse func(string, ...any)) {
	rest := image.Name[strings.LastIndex(image.Name, "/")+1:]
	_, tag, tagged := strings.Cut(rest, ":")
	switch {
	case !imageFormat.MatchString(image.Name):
		refuse("Image: Registry.Name %q is not the name of an image: it looks like \"public.ecr.aws/nginx/nginx:1.29\"", image.Name)
	case !tagged && !strings.Contains(rest, "@"), tag == "latest":
		refuse("Image: Registry.Name %q: name a tag other than latest, or a digest: what runs must be what was reviewed", image.Name)
	}
	if image.Credentials != "" {
		c.arn("Image: Registry.Credentials", image.Credentials, "secretsmanager", "secret:", refuse)
	}
}

func (c *containers) secret(field string, secret Secret, refuse func(string, ...any)) {
	isARN := func(text string) bool { return strings.HasPrefix(text, "arn:") }
	switch name := secret.SecretsManager; {
	case (name == "") == (secret.Parameter == ""):
		refuse("%s: set either SecretsManager or Parameter", field)
	case isARN(name):
		c.arn(field+": SecretsManager", name, "secretsmanager", "secret:", refuse)
	case name != "" && (!secretFormat.MatchString(name) || len(name) > maxSecretName):
		refuse("%s: SecretsManager %q is not the name of a secret: use letters, digits and /_+=.@-", field, name)
	case ambiguousSecret.MatchString(name):
		// https://docs.aws.amazon.com/secretsmanager/latest/userguide/troubleshoot.html#ARN_secretnamehyphen
		refuse("%s: SecretsManager %q: the end looks like the six characters that Secrets Manager adds: give the whole ARN", field, name)
	case isARN(secret.Parameter):
		c.arn(field+": Parameter", secret.Parameter, "ssm", "parameter/", refuse)
	case name == "" && (!parameterFormat.MatchString(secret.Parameter) || len(secret.Parameter) > maxParameterName):
		refuse("%s: Parameter %q is not the name of a parameter: use letters, digits, \"_\", \".\", \"-\", and \"/\" between the parts", field, secret.Parameter)
	}
	if secret.Key != "" && secret.SecretsManager == "" {
		refuse("%s: Key %q: only a secret of Secrets Manager has keys: remove Key", field, secret.Key)
	} else if strings.Contains(secret.Key, ":") {
		refuse("%s: Key %q: a key with a colon cannot be named in a task definition", field, secret.Key)
	}
	if secret.KMSKey != "" {
		c.arn(field+": KMSKey", secret.KMSKey, "kms", "key/", refuse)
	}
}

// arn refuses what is no ARN of a service, or one of another account.
func (c *containers) arn(field, text, service, kind string, refuse func(string, ...any)) {
	match := arnFormat.FindStringSubmatch(text)
	if match == nil || match[2] != service || !strings.HasPrefix(match[5], kind) || strings.Contains(text, "*") {
		refuse("%s: %q is not an ARN of its kind: it looks like \"arn:aws:%s:REGION:ACCOUNT:%sNAME\"", field, text, service, kind)
		return
	}
	account := match[4]
	if _, err := strconv.Atoi(account); err != nil {
		return // a placeholder
	}
	if c.account == "" {
		c.account, c.of = account, field+" is in"
	}
	if account != c.account {
		refuse("%s: %q is in account %s, and %s %s: name one of the deployment's own account", field, text, account, c.of, c.account)
	}
}

// checkPaths refuses volumes and writable paths that cannot be mounted.
func checkPaths(one Sidecar, refuse func(string, ...any)) {
	taken := map[string]string{}
	mount := func(what, at string) {
		switch {
		case !path.IsAbs(at) || path.Clean(at) != at || at == "/" || strings.Contains(at, ":"):
			refuse("%s: the path %q must be absolute, as in \"/data\"", what, at)
		case taken[at] != "":
			refuse("%s: the path %q is that of %s, too", what, at, taken[at])
		}
		taken[at] = what
	}
	memory := 0
	for i, writable := range one.WritablePaths {
		mount(fmt.Sprintf("WritablePaths[%d]", i), writable.Path)
		if writable.SizeMiB < 1 {
			refuse("WritablePaths[%d]: SizeMiB %d: it must be 1 or more", i, writable.SizeMiB)
		}
		memory += writable.SizeMiB
	}
	if memory > 0 && memory >= one.MemoryLimitMiB {
		refuse("WritablePaths: they hold up to %d MiB, and the container may use %d MiB in all: raise MemoryLimitMiB, or set SizeMiB", memory, one.MemoryLimitMiB)
	}
	names := map[string]bool{}
	for _, volume := range one.Volumes {
		what := fmt.Sprintf("volume %q", volume.Name)
		mount(what, volume.Path)
		switch {
		case !nameFormat.MatchString(volume.Name):
			refuse("%s: a volume's name has lower-case letters, digits and single hyphens, beginning with a letter", what)
		case names[volume.Name]:
			refuse("%s: the container has it twice", what)
		case volume.FileSystem == "" && volume.AccessPoint != "":
			refuse("%s: AccessPoint %q needs the FileSystem that it belongs to", what, volume.AccessPoint)
		case volume.FileSystem != "" && !fileSystemFormat.MatchString(volume.FileSystem):
			refuse("%s: FileSystem %q is not the id of a file system: it looks like \"fs-0123456789abcdef0\"", what, volume.FileSystem)
		case volume.FileSystem != "" && !accessPointFormat.MatchString(volume.AccessPoint):
			refuse("%s: AccessPoint %q is not the id of an access point: it looks like \"fsap-0123456789abcdef0\"", what, volume.AccessPoint)
		}
		names[volume.Name] = true
	}
}

// checkDependencies refuses an order of start that never comes about
// (https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_ContainerDependency.html).
func checkDependencies(s Service, refuse func(string, ...any)) {
	all := map[string]Sidecar{}
	for _, one := range s.Containers() {
		all[one.Name] = one
	}
	for _, one := range s.Containers() {
		for _, on := range one.DependsOn {
			other, known := all[on.Container]
			switch {
			case !known || on.Container == one.Name:
				refuse("container %q depends on %q: the task has no other container of this name", one.Name, on.Container)
			case !slices.Contains(conditions, on.Condition):
				refuse("container %q depends on %q: Condition %q: choose one of %s", one.Name, on.Container, on.Condition, strings.Join(conditions, ", "))
			case on.Condition == "HEALTHY" && other.HealthCheck[0] == NoHealthCheck:
				refuse("container %q waits until %q is HEALTHY, which has no health check: give it one", one.Name, on.Container)
			case (on.Condition == "COMPLETE" || on.Condition == "SUCCESS") && other.Essential:
				refuse("container %q waits for the end of %q, which is essential, so its end stops the task", one.Name, on.Container)
			}
		}
	}
	if circle := circle(s.Containers()); circle != nil {
		refuse("containers wait for each other in a circle: %s", strings.Join(circle, " → "))
	}
}

// circle returns the names of containers that depend on each other in a circle, the first one twice;
// nil if there is none.
func circle(all []Sidecar) []string {
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

func checkPermissions(statements []Statement, refuse func(string, ...any)) {
	characters := 0
	for i, statement := range statements {
		at := fmt.Sprintf("Permissions[%d]", i)
		if len(statement.Actions) == 0 || len(statement.Resources) == 0 {
			refuse("%s: it needs Actions and Resources", at)
		}
		for _, action := range statement.Actions {
			characters += len(action)
			if !actionFormat.MatchString(action) {
				refuse("%s: %q is not an action: it looks like \"dynamodb:GetItem\"", at, action)
			} else if strings.ContainsAny(action, "*?") && statement.Reason == "" {
				refuse("%s: the action %q has a wildcard: name the actions, or say why in Reason", at, action)
			}
		}
		for _, resource := range statement.Resources {
			characters += len(resource)
			checkPlaceholders(at, resource, refuse)
			if resource != "*" && !arnFormat.MatchString(resource) {
				refuse("%s: %q is not an ARN: it looks like \"arn:aws:dynamodb:${AWS::Region}:${AWS::AccountId}:table/orders\"", at, resource)
			} else if strings.ContainsAny(resource, "*?") && statement.Reason == "" {
				refuse("%s: the resource %q has a wildcard: name the resources, or say why in Reason", at, resource)
			}
		}
	}
	if characters > maxPolicyCharacters {
		refuse("Permissions: they have %d characters: the policies of a role can have %d", characters, maxPolicyCharacters)
	}
}

package config_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"cutover/config"
)

const (
	here      = "111111111111"
	elsewhere = "222222222222"
	web       = "public.ecr.aws/nginx/nginx:1.29"
)

// tagged returns the forum with a service of a registry's image, changed.
func tagged(change func(*config.Service)) func(*config.Deployment) {
	s := config.Service{Name: "tags", Paths: []string{"/tags*"}, Order: 50, Image: config.Registry{Name: "example.org/tags:1"}}
	change(&s)
	return with(s)
}

// sidecar returns the forum with a service that has a sidecar, changed.
func sidecar(change func(*config.Container)) func(*config.Deployment) {
	return tagged(func(s *config.Service) {
		c := config.Container{Name: "proxy", Image: config.Registry{Name: web}}
		change(&c)
		s.Sidecars = []config.Container{c}
	})
}

// image returns the forum with a service of an image.
func image(i config.Image) func(*config.Deployment) {
	return tagged(func(s *config.Service) { s.Image = i })
}

// secret returns the forum with a service whose variable DB has its value from a secret.
func secret(of config.Secret) func(*config.Deployment) {
	return tagged(func(s *config.Service) { s.Secrets = map[string]config.Secret{"DB": of} })
}

// secretIn is the ARN of a secret in an account.
func secretIn(account string) string {
	return "arn:aws:secretsmanager:eu-west-1:" + account + ":secret:db-AbCdEf"
}

// volumes returns the forum with a service of volumes.
func volumes(v ...config.Volume) func(*config.Deployment) {
	return tagged(func(s *config.Service) { s.Volumes = v })
}

// writable returns the forum with a service of writable paths.
func writable(paths ...config.WritablePath) func(*config.Deployment) {
	return tagged(func(s *config.Service) { s.WritablePaths = paths })
}

// permissions returns the forum with a service of permissions.
func permissions(p ...config.Statement) func(*config.Deployment) {
	return tagged(func(s *config.Service) { s.Permissions = p })
}

// table is a resource, and read an action that needs no reason.
const table = "arn:aws:dynamodb:${AWS::Region}:${AWS::AccountId}:table/orders"

var read = []string{"dynamodb:GetItem"}

func conditions(all map[string]map[string][]string) func(*config.Deployment) {
	return permissions(config.Statement{Actions: read, Resources: []string{table}, Conditions: all})
}

// chain returns the forum with a service whose sidecars a, b and c depend on others.
func chain(own []config.Dependency, a, b config.Container) func(*config.Deployment) {
	return tagged(func(s *config.Service) {
		a.Name, b.Name = "a", "b"
		s.DependsOn, s.Sidecars = own, []config.Container{a, b}
		for i := range s.Sidecars {
			s.Sidecars[i].Image = config.Registry{Name: web}
		}
	})
}

func on(container, condition string) []config.Dependency {
	return []config.Dependency{{Container: container, Condition: condition}}
}

var inAccount = map[string]string{"CDK_DEFAULT_ACCOUNT": here, "CDK_DEFAULT_REGION": "eu-west-1"}

var portMistakes = []mistake{
	{name: "port below all", change: tagged(func(s *config.Service) { s.Port = -1 }),
		want: `service "tags": Port -1: it must be from 1 to 65535`},
	{name: "port above all", change: tagged(func(s *config.Service) { s.Port = 65536 }),
		want: `service "tags": Port 65536: it must be from 1 to 65535`},
	{name: "port of a sidecar", change: sidecar(func(c *config.Container) { c.Ports, c.UDPPorts = []int{0}, []int{65536} }),
		want: "service \"tags\": sidecar \"proxy\": port 0: it must be from 1 to 65535\n" +
			`service "tags": sidecar "proxy": port 65536: it must be from 1 to 65535`},
	{name: "port of a sidecar twice", change: sidecar(func(c *config.Container) { c.Ports, c.UDPPorts = []int{53, 54, 53}, []int{53} }),
		want: `service "tags": sidecar "proxy": port 53: it is listed twice: remove one`},
	{name: "numbers below all", change: tagged(func(s *config.Service) {
		s.DeregistrationDelaySeconds, s.StopTimeoutSeconds, s.HealthCheck.GracePeriodSeconds = -1, -1, -1
		s.Alarms = config.Alarms{LatencyMilliseconds: -1, Errors: -1}
	}),
		want: "service \"tags\": DeregistrationDelaySeconds -1: it must be from 1 to 3600\n" +
			"service \"tags\": StopTimeoutSeconds -1: it must be from 2 to 120\n" +
			"service \"tags\": HealthCheck.GracePeriodSeconds -1: it must be from 1 to 2147483647\n" +
			"service \"tags\": Alarms.LatencyMilliseconds -1: it must be from 1 to 60000\n" +
			`service "tags": Alarms.Errors -1: it must be from 1 to 1000000`},
	{name: "numbers above all", change: tagged(func(s *config.Service) {
		s.DeregistrationDelaySeconds, s.StopTimeoutSeconds, s.HealthCheck.GracePeriodSeconds = 3601, 121, 2147483648
		s.Alarms = config.Alarms{LatencyMilliseconds: 60_001, Errors: 1_000_001}
	}),
		want: "service \"tags\": DeregistrationDelaySeconds 3601: it must be from 1 to 3600\n" +
			"service \"tags\": StopTimeoutSeconds 121: it must be from 2 to 120\n" +
			"service \"tags\": HealthCheck.GracePeriodSeconds 2147483648: it must be from 1 to 2147483647\n" +
			"service \"tags\": Alarms.LatencyMilliseconds 60001: it must be from 1 to 60000\n" +
			`service "tags": Alarms.Errors 1000001: it must be from 1 to 1000000`},
	{name: "stop timeout that ECS refuses", change: tagged(func(s *config.Service) { s.StopTimeoutSeconds = 1 }),
		want: `service "tags": StopTimeoutSeconds 1: it must be from 2 to 120`},
}

var healthMistakes = []mistake{
	{name: "health path without a slash", change: tagged(func(s *config.Service) { s.HealthCheck.Path = "healthz" }),
		want: `service "tags": HealthCheck.Path "healthz": a path begins with "/"`},
	{name: "health path that is a URL", change: tagged(func(s *config.Service) { s.HealthCheck.Path = "http://localhost/healthz" }),
		want: `service "tags": HealthCheck.Path "http://localhost/healthz": a path begins with "/"`},
	{name: "health path with a blank", change: tagged(func(s *config.Service) { s.HealthCheck.Path = "/is it" }),
		want: `service "tags": HealthCheck.Path "/is it": a URL encodes spaces, "#", braces and letters beyond ASCII: write them as in %20`},
	{name: "health path with a fragment", change: tagged(func(s *config.Service) { s.HealthCheck.Path = "/a#b" }),
		want: `service "tags": HealthCheck.Path "/a#b": a URL encodes spaces, "#", braces and letters beyond ASCII: write them as in %20`},
	{name: "health path beyond ASCII", change: tagged(func(s *config.Service) { s.HealthCheck.Path = "/gesundheit/ä" }),
		want: `service "tags": HealthCheck.Path "/gesundheit/ä": a URL encodes spaces, "#", braces and letters beyond ASCII: write them as in %20`},
	{name: "health path with a placeholder", change: tagged(func(s *config.Service) { s.HealthCheck.Path = "/in/${AWS::Region}" }),
		want: `service "tags": HealthCheck.Path "/in/${AWS::Region}": a URL encodes spaces, "#", braces and letters beyond ASCII: write them as in %20`},
	{name: "health path with half a code", change: tagged(func(s *config.Service) { s.HealthCheck.Path = "/100%" }),
		want: `service "tags": HealthCheck.Path "/100%": a URL encodes spaces, "#", braces and letters beyond ASCII: write them as in %20`},
	{name: "long health path", change: tagged(func(s *config.Service) { s.HealthCheck.Path = "/" + strings.Repeat("a", 1024) }),
		want: `service "tags": HealthCheck.Path "/` + strings.Repeat("a", 1024) + `": it has 1025 characters: at most 1024 are allowed`},
	{name: "health code below all", change: tagged(func(s *config.Service) { s.HealthCheck.Codes = "199-200" }),
		want: `service "tags": HealthCheck.Codes "199-200": 199-200 is not within 200 to 499, which the load balancer takes`},
	{name: "health code above all", change: tagged(func(s *config.Service) { s.HealthCheck.Codes = "200,500" }),
		want: `service "tags": HealthCheck.Codes "200,500": 500 is not within 200 to 499, which the load balancer takes`},
	{name: "health codes the wrong way round", change: tagged(func(s *config.Service) { s.HealthCheck.Codes = "299-200" }),
		want: `service "tags": HealthCheck.Codes "299-200": 299-200 is not within 200 to 499, which the load balancer takes`},
	{name: "health codes with a blank", change: tagged(func(s *config.Service) { s.HealthCheck.Codes = "200, 204" }),
		want: `service "tags": HealthCheck.Codes "200, 204": write status codes as in "200", "200,204" or "200-299"`},
	{name: "health codes in words", change: tagged(func(s *config.Service) { s.HealthCheck.Codes = "2xx" }),
		want: `service "tags": HealthCheck.Codes "2xx": write status codes as in "200", "200,204" or "200-299"`},
	{name: "health command without CMD", change: tagged(func(s *config.Service) { s.HealthCheck.Command = []string{"curl", "localhost"} }),
		want: `service "tags": HealthCheck: the command ["curl" "localhost"] must begin with CMD or CMD-SHELL and go on with what to run; or write NONE for none`},
	{name: "health command of nothing", change: tagged(func(s *config.Service) { s.HealthCheck.Command = []string{"CMD"} }),
		want: `service "tags": HealthCheck: the command ["CMD"] must begin with CMD or CMD-SHELL and go on with what to run; or write NONE for none`},
	{name: "health command of none and more", change: tagged(func(s *config.Service) { s.HealthCheck.Command = []string{"NONE", "x"} }),
		want: `service "tags": HealthCheck: the command ["NONE" "x"] must begin with CMD or CMD-SHELL and go on with what to run; or write NONE for none`},
	{name: "health command for a shell in two words", change: sidecar(func(c *config.Container) { c.HealthCheck = []string{"CMD-SHELL", "curl", "localhost"} }),
		want: `service "tags": sidecar "proxy": HealthCheck: ["CMD-SHELL" "curl" "localhost"]: CMD-SHELL takes one text, the line for the shell`},
	{name: "health command with an empty word", change: tagged(func(s *config.Service) { s.HealthCheck.Command = []string{"CMD", ""} }),
		want: `service "tags": HealthCheck: ["CMD" ""]: a word is empty: remove it`},
	{name: "health command with a placeholder", change: tagged(func(s *config.Service) { s.HealthCheck.Command = []string{"CMD-SHELL", "ping ${AWS::Region}"} }),
		want: `service "tags": HealthCheck: ${AWS::Region} is not filled in here: give the container a variable in Environment`},
	{name: "health command that needs a shell", change: with(config.Service{Name: "tags", Paths: []string{"/t"}, Order: 5, HealthCheck: config.HealthCheck{Command: []string{"CMD-SHELL", "true"}}}),
		want: `service "tags": HealthCheck: ["CMD-SHELL" "true"]: the image of a Go package has no shell: begin with CMD`},
}

var imageMistakes = []mistake{
	{name: "no directory", change: image(config.Dockerfile{}),
		want: `service "tags": Image: Dockerfile.Dir is empty: name the directory, from the root of the repository`},
	{name: "no directory of a Go package", change: image(config.GoPackage{}),
		want: `service "tags": Image: GoPackage.Dir is empty: name the directory, from the root of the repository`},
	{name: "absolute directory", change: image(config.Dockerfile{Dir: "/srv/tags"}),
		want: `service "tags": Image: Dockerfile.Dir "/srv/tags": it must be a path inside the repository`},
	{name: "directory outside", change: image(config.GoPackage{Dir: "tags/../../other"}),
		want: `service "tags": Image: GoPackage.Dir "tags/../../other": it must be a path inside the repository`},
	{name: "Dockerfile outside its directory", change: image(config.Dockerfile{Dir: "tags", File: "../Dockerfile"}),
		want: `service "tags": Image: Dockerfile.File "../Dockerfile": it must be a path inside Dockerfile.Dir`},
	{name: "build argument that is none", change: image(config.Dockerfile{Dir: "tags", BuildArgs: map[string]string{"A B": "", "": "x"}}),
		want: "service \"tags\": Image: BuildArgs \"\" is not the name of an argument: use letters, digits and \"_\", and begin with no digit\n" +
			`service "tags": Image: BuildArgs "A B" is not the name of an argument: use letters, digits and "_", and begin with no digit`},
	{name: "build argument with a placeholder", change: image(config.Dockerfile{Dir: "tags", BuildArgs: map[string]string{"AT": "${AWS::Region}"}}),
		want: `service "tags": Image: BuildArgs AT: ${AWS::Region} is not filled in here: give the container a variable in Environment`},
	{name: "platform of another architecture", change: image(config.Dockerfile{Dir: "tags", Platform: "linux/arm64"}),
		want: `service "tags": Image: Dockerfile.Platform "linux/arm64": the instances run linux/amd64, as the setting arch says: change one of them`},
	{name: "platform of another system", context: context{"arch": "arm64"}, change: image(config.Dockerfile{Dir: "tags", Platform: "windows/arm64"}),
		want: `service "tags": Image: Dockerfile.Platform "windows/arm64": the instances run linux/arm64, as the setting arch says: change one of them`},
	{name: "pointer to an image", change: image(&config.Dockerfile{Dir: "tags"}),
		want: `service "tags": Image: it is a pointer: write GoPackage{…}, Dockerfile{…} or Registry{…} without &`},
	{name: "pointer to no image", change: sidecar(func(c *config.Container) { c.Image = (*config.Registry)(nil) }),
		want: `service "tags": sidecar "proxy": Image: it is a pointer: write GoPackage{…}, Dockerfile{…} or Registry{…} without &`},
	{name: "no image", change: sidecar(func(c *config.Container) { c.Image = nil }),
		want: `service "tags": sidecar "proxy": Image: it is missing: use a Dockerfile or a Registry`},
	{name: "sidecar of a Go package", change: sidecar(func(c *config.Container) { c.Image = config.GoPackage{Dir: "services/proxy"} }),
		want: `service "tags": sidecar "proxy": Image: sidecars are not built from a Go package: use a Dockerfile or a Registry`},
	{name: "image without a tag", change: image(config.Registry{Name: "localhost:5000/tags"}),
		want: `service "tags": Image: Registry.Name "localhost:5000/tags": name a tag other than latest, or a digest: what runs must be what was reviewed`},
	{name: "newest image", change: image(config.Registry{Name: "tags:latest"}),
		want: `service "tags": Image: Registry.Name "tags:latest": name a tag other than latest, or a digest: what runs must be what was reviewed`},
	{name: "image in capitals", change: image(config.Registry{Name: "example.org/Tags:1"}),
		want: `service "tags": Image: Registry.Name "example.org/Tags:1": write the name in lower case; only a tag may have capitals`},
	{name: "image that is none", change: image(config.Registry{Name: "https://example.org/tags:1"}),
		want: `service "tags": Image: Registry.Name "https://example.org/tags:1" is not the name of an image: it looks like "public.ecr.aws/nginx/nginx:1.29"`},
	{name: "image without a name", change: image(config.Registry{}),
		want: `service "tags": Image: Registry.Name "" is not the name of an image: it looks like "public.ecr.aws/nginx/nginx:1.29"`},
	{name: "image with a short digest", change: image(config.Registry{Name: "tags@sha256:0123"}),
		want: `service "tags": Image: Registry.Name "tags@sha256:0123" is not the name of an image: it looks like "public.ecr.aws/nginx/nginx:1.29"`},
	{name: "image with a long name", change: image(config.Registry{Name: "example.org/tags:" + strings.Repeat("1", 128) + "@sha256:" + strings.Repeat("0", 64) + "0"}),
		want: `service "tags": Image: Registry.Name "example.org/tags:` + strings.Repeat("1", 128) + "@sha256:" + strings.Repeat("0", 65) + `" is not the name of an image: it looks like "public.ecr.aws/nginx/nginx:1.29"`},
	{name: "image with too many characters", change: image(config.Registry{Name: "e.org/" + strings.Repeat("a", 248) + ":1"}),
		want: `service "tags": Image: Registry.Name "e.org/` + strings.Repeat("a", 248) + `:1": it has 256 characters: at most 255 are allowed`},
	{name: "credentials that are none", change: image(config.Registry{Name: web, Credentials: "registry"}),
		want: `service "tags": Image: Registry.Credentials: "registry" is not an ARN of its kind: it looks like "arn:aws:secretsmanager:REGION:ACCOUNT:secret:NAME-SUFFIX"`},
	{name: "credentials of another account", env: inAccount, change: image(config.Registry{Name: web, Credentials: secretIn(elsewhere)}),
		want: `service "tags": Image: Registry.Credentials: "` + secretIn(elsewhere) + `" is in account 222222222222, and the deployment is in 111111111111: name one of the same account`},
}

var containerMistakes = []mistake{
	{name: "user that is none", change: tagged(func(s *config.Service) { s.User = "node:node:node" }),
		want: `service "tags": User "node:node:node": write USER or USER:GROUP, each a name or a number`},
	{name: "user of nobody", change: sidecar(func(c *config.Container) { c.User = ":100" }),
		want: `service "tags": sidecar "proxy": User ":100": write USER or USER:GROUP, each a name or a number`},
	{name: "user by name in a Go package", change: with(config.Service{Name: "tags", Paths: []string{"/t"}, Order: 5, User: "nobody"}),
		want: `service "tags": User "nobody": the image of a Go package knows no names: write numbers, as in "65532:65532"`},
	{name: "group by name in a Go package", change: with(config.Service{Name: "tags", Paths: []string{"/t"}, Order: 5, User: "1:nogroup"}),
		want: `service "tags": User "1:nogroup": the image of a Go package knows no names: write numbers, as in "65532:65532"`},
	{name: "command with an empty word", change: tagged(func(s *config.Service) { s.Command = []string{"node", ""} }),
		want: `service "tags": Command: word 2 is empty: remove it`},
	{name: "command with a placeholder", change: tagged(func(s *config.Service) { s.Command = []string{"node", "--region=${AWS::Region}"} }),
		want: `service "tags": Command: ${AWS::Region} is not filled in here: give the container a variable in Environment`},
	{name: "CPU and memory of a sidecar", change: sidecar(func(c *config.Container) { c.CPU, c.MemoryReservationMiB = 1, -1 }),
		want: "service \"tags\": sidecar \"proxy\": CPU 1: it must be 2 units or more; 1024 units are one vCPU\n" +
			`service "tags": sidecar "proxy": MemoryReservationMiB -1: it must be 6 or more`},
	{name: "memory limit of a sidecar", change: sidecar(func(c *config.Container) { c.MemoryLimitMiB = 64 }),
		want: `service "tags": sidecar "proxy": MemoryLimitMiB 64: it must be more than MemoryReservationMiB, which is 64`},
	{name: "placeholder that is unknown", change: tagged(func(s *config.Service) {
		s.Environment = map[string]string{"A": "${AWS::Stack} ${HOME} ${AWS::Region}", "B": "${AWS::Region"}
	}),
		want: "service \"tags\": Environment A: ${AWS::Stack} is not known here: use one of ${AWS::AccountId}, ${AWS::Partition}, ${AWS::Region}\n" +
			`service "tags": Environment B: ${AWS::Region is not known here: use one of ${AWS::AccountId}, ${AWS::Partition}, ${AWS::Region}`},
	{name: "credentials in variables", change: tagged(func(s *config.Service) {
		s.Environment = map[string]string{"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x", "ECS_ENGINE_AUTH_DATA": "x", "AWS_REGION": "x"}
	}),
		want: "service \"tags\": Environment AWS_ACCESS_KEY_ID: many people may read a task definition: let Permissions allow what the service does on AWS, or put the value into Secrets\n" +
			"service \"tags\": Environment AWS_SECRET_ACCESS_KEY: many people may read a task definition: let Permissions allow what the service does on AWS, or put the value into Secrets\n" +
			`service "tags": Environment ECS_ENGINE_AUTH_DATA: many people may read a task definition: let Permissions allow what the service does on AWS, or put the value into Secrets`},
	{name: "variable of a Go package that is ours", change: with(config.Service{Name: "tags", Paths: []string{"/t"}, Order: 5, Environment: map[string]string{"STOP_TIMEOUT": "1s"}}),
		want: `service "tags": Environment STOP_TIMEOUT is set by the deployment: remove it`},
	{name: "variable of a sidecar that is none", change: sidecar(func(c *config.Container) { c.Environment = map[string]string{"1ST": ""} }),
		want: `service "tags": sidecar "proxy": Environment "1ST" is not a variable name: use letters, digits and "_", and begin with no digit`},
	{name: "limits", change: tagged(func(s *config.Service) {
		s.Ulimits = []config.Ulimit{{Name: "NOFILE", Soft: 1, Hard: 1}, {Name: "nofile", Soft: 2, Hard: 1}, {Name: "nproc", Soft: -1, Hard: 1}, {Name: "core", Soft: -2, Hard: -1}, {Name: "cpu", Soft: 1, Hard: -2},
			{Name: "nofile", Soft: 1, Hard: 1}}
	}),
		want: "service \"tags\": Ulimits \"NOFILE\": no such limit: choose one of core, cpu, data, fsize, locks, memlock, msgqueue, nice, nofile, nproc, rss, rtprio, rttime, sigpending, stack\n" +
			"service \"tags\": Ulimits nofile: the soft limit 2 must not be above the hard limit 1\n" +
			"service \"tags\": Ulimits nproc: the soft limit -1 must not be above the hard limit 1\n" +
			"service \"tags\": Ulimits core: -2 and -1: a limit is 0 or more, or -1 for none\n" +
			"service \"tags\": Ulimits cpu: 1 and -2: a limit is 0 or more, or -1 for none\n" +
			`service "tags": Ulimits nofile: it is listed twice: remove one`},
	{name: "everything about a container at once", change: tagged(func(s *config.Service) {
		s.Port, s.HealthCheck.Path, s.User, s.Image = -1, "x", ":", config.Registry{}
		s.Secrets = map[string]config.Secret{"A": {}}
		s.Sidecars = []config.Container{{Name: "Proxy"}}
	}),
		want: "service \"tags\": Port -1: it must be from 1 to 65535\n" +
			"service \"tags\": HealthCheck.Path \"x\": a path begins with \"/\"\n" +
			"service \"tags\": Image: Registry.Name \"\" is not the name of an image: it looks like \"public.ecr.aws/nginx/nginx:1.29\"\n" +
			"service \"tags\": User \":\": write USER or USER:GROUP, each a name or a number\n" +
			"service \"tags\": Secrets A: set either SecretsManager or Parameter\n" +
			"service \"tags\": sidecar \"Proxy\": a container's name has lower-case letters, digits and single hyphens, beginning with a letter\n" +
			`service "tags": sidecar "Proxy": Image: it is missing: use a Dockerfile or a Registry`},
}

var secretMistakes = []mistake{
	{name: "secret of nowhere", change: secret(config.Secret{}),
		want: `service "tags": Secrets DB: set either SecretsManager or Parameter`},
	{name: "secret of two places", change: secret(config.Secret{SecretsManager: "db", Parameter: "db"}),
		want: `service "tags": Secrets DB: set either SecretsManager or Parameter`},
	{name: "secret that is no variable", change: tagged(func(s *config.Service) { s.Secrets = map[string]config.Secret{"db-password": {Parameter: "db"}} }),
		want: `service "tags": Secrets "db-password" is not a variable name: use letters, digits and "_", and begin with no digit`},
	{name: "secret that is a variable", change: tagged(func(s *config.Service) {
		s.Environment = map[string]string{"DB": ""}
		s.Secrets = map[string]config.Secret{"DB": {Parameter: "db"}, "PORT": {Parameter: "port"}}
	}),
		want: "service \"tags\": Secrets DB: the variable is in Environment, too, or is set by the deployment: remove one\n" +
			`service "tags": Secrets PORT: the variable is in Environment, too, or is set by the deployment: remove one`},
	{name: "secret of another account", env: inAccount, change: secret(config.Secret{SecretsManager: secretIn(elsewhere)}),
		want: `service "tags": Secrets DB: SecretsManager: "` + secretIn(elsewhere) + `" is in account 222222222222, and the deployment is in 111111111111: name one of the same account`},
	{name: "parameter and key of another account", env: inAccount, change: sidecar(func(c *config.Container) {
		c.Secrets = map[string]config.Secret{"DB": {Parameter: "arn:aws:ssm:eu-west-1:222222222222:parameter/db", KMSKey: "arn:aws:kms:eu-west-1:222222222222:key/1234"}}
	}),
		want: "service \"tags\": sidecar \"proxy\": Secrets DB: Parameter: \"arn:aws:ssm:eu-west-1:222222222222:parameter/db\" is in account 222222222222, and the deployment is in 111111111111: name one of the same account\n" +
			`service "tags": sidecar "proxy": Secrets DB: KMSKey: "arn:aws:kms:eu-west-1:222222222222:key/1234" is in account 222222222222, and the deployment is in 111111111111: name one of the same account`},
	{name: "secret of another account than the certificate", context: context{"certificateArn": "arn:aws:acm:eu-west-1:111111111111:certificate/00000000-0000-0000-0000-000000000000"},
		change: secret(config.Secret{SecretsManager: secretIn(elsewhere)}),
		want:   `service "tags": Secrets DB: SecretsManager: "` + secretIn(elsewhere) + `" is in account 222222222222, and certificateArn is in 111111111111: name one of the same account`},
	{name: "certificate of another account", env: inAccount, context: context{"certificateArn": "arn:aws:acm:eu-west-1:222222222222:certificate/00000000-0000-0000-0000-000000000000"},
		want: `certificateArn: the certificate is in account 222222222222 but the deployment goes to 111111111111: a load balancer takes certificates of its own account only`},
	{name: "secrets of two accounts", change: func(d *config.Deployment) {
		d.Monolith.Secrets = map[string]config.Secret{"DB": {SecretsManager: secretIn(here)}}
		secret(config.Secret{SecretsManager: secretIn(elsewhere)})(d)
	},
		want: `service "tags": Secrets DB: SecretsManager: "` + secretIn(elsewhere) + `" is in account 222222222222, and Secrets DB: SecretsManager of service "api" is in 111111111111: name one of the same account`},
	{name: "secret of no account", change: secret(config.Secret{SecretsManager: "arn:aws:secretsmanager:eu-west-1::secret:db-AbCdEf"}),
		want: `service "tags": Secrets DB: SecretsManager: "arn:aws:secretsmanager:eu-west-1::secret:db-AbCdEf" is not an ARN of its kind: it looks like "arn:aws:secretsmanager:REGION:ACCOUNT:secret:NAME-SUFFIX"`},
	{name: "secret of any account", change: secret(config.Secret{SecretsManager: "arn:aws:secretsmanager:*:*:secret:db-*"}),
		want: `service "tags": Secrets DB: SecretsManager: "arn:aws:secretsmanager:*:*:secret:db-*" is not an ARN of its kind: it looks like "arn:aws:secretsmanager:REGION:ACCOUNT:secret:NAME-SUFFIX"`},
	{name: "secret of another service", change: secret(config.Secret{SecretsManager: "arn:aws:ssm:eu-west-1:111111111111:parameter/db"}),
		want: `service "tags": Secrets DB: SecretsManager: "arn:aws:ssm:eu-west-1:111111111111:parameter/db" is not an ARN of its kind: it looks like "arn:aws:secretsmanager:REGION:ACCOUNT:secret:NAME-SUFFIX"`},
	{name: "secret with the key in the ARN", change: secret(config.Secret{SecretsManager: secretIn(here) + ":password::"}),
		want: `service "tags": Secrets DB: SecretsManager: "` + secretIn(here) + `:password::" is not an ARN of its kind: it looks like "arn:aws:secretsmanager:REGION:ACCOUNT:secret:NAME-SUFFIX"`},
	{name: "secret of another partition", env: inAccount, change: secret(config.Secret{SecretsManager: "arn:aws-cn:secretsmanager:cn-north-1:111111111111:secret:db-AbCdEf"}),
		want: `service "tags": Secrets DB: SecretsManager: "arn:aws-cn:secretsmanager:cn-north-1:111111111111:secret:db-AbCdEf" is in the partition aws-cn, and the deployment is in aws: name one of the same partition`},
	{name: "secret whose region is in another partition", change: secret(config.Secret{SecretsManager: "arn:aws:secretsmanager:us-gov-west-1:111111111111:secret:db-AbCdEf"}),
		want: `service "tags": Secrets DB: SecretsManager: "arn:aws:secretsmanager:us-gov-west-1:111111111111:secret:db-AbCdEf": the region us-gov-west-1 is in the partition aws-us-gov, not in aws: correct the ARN`},
	{name: "secret of another partition than the certificate", context: context{"certificateArn": "arn:aws-cn:acm:cn-north-1:111111111111:certificate/00000000-0000-0000-0000-000000000000"},
		change: secret(config.Secret{SecretsManager: secretIn(here)}),
		want:   `service "tags": Secrets DB: SecretsManager: "` + secretIn(here) + `" is in the partition aws, and certificateArn is in aws-cn: name one of the same partition`},
	{name: "secret's name", change: secret(config.Secret{SecretsManager: "shop db"}),
		want: `service "tags": Secrets DB: SecretsManager "shop db" is not the name of a secret: use up to 512 letters, digits and /_+=.@-`},
	{name: "long name of a secret", change: secret(config.Secret{SecretsManager: strings.Repeat("a", 513)}),
		want: `service "tags": Secrets DB: SecretsManager "` + strings.Repeat("a", 513) + `" is not the name of a secret: use up to 512 letters, digits and /_+=.@-`},
	{name: "secret's name that is misread", change: secret(config.Secret{SecretsManager: "db-master"}),
		want: `service "tags": Secrets DB: SecretsManager "db-master": the end looks like the six characters that Secrets Manager adds: give the whole ARN`},
	{name: "parameter's name", change: secret(config.Secret{Parameter: "shop db"}),
		want: `service "tags": Secrets DB: Parameter "shop db" is not the name of a parameter: use letters, digits, "_", "." and "-", and a "/" before each part if there are several`},
	{name: "parameter's parts", change: secret(config.Secret{Parameter: "shop/db"}),
		want: `service "tags": Secrets DB: Parameter "shop/db" is not the name of a parameter: use letters, digits, "_", "." and "-", and a "/" before each part if there are several`},
	{name: "parameter's version", change: secret(config.Secret{Parameter: "db:3"}),
		want: `service "tags": Secrets DB: Parameter "db:3" is not the name of a parameter: use letters, digits, "_", "." and "-", and a "/" before each part if there are several`},
	{name: "deep parameter", change: secret(config.Secret{Parameter: strings.Repeat("/a", 16)}),
		want: `service "tags": Secrets DB: Parameter "` + strings.Repeat("/a", 16) + `" has 16 parts: at most 15 are allowed`},
	{name: "long parameter", change: secret(config.Secret{Parameter: strings.Repeat("a", 1012)}),
		want: `service "tags": Secrets DB: Parameter "` + strings.Repeat("a", 1012) + `" is not the name of a parameter: use letters, digits, "_", "." and "-", and a "/" before each part if there are several`},
	{name: "parameter of AWS", change: secret(config.Secret{Parameter: "/Aws/db"}),
		want: `service "tags": Secrets DB: Parameter "/Aws/db" is refused by AWS: no SSM parameter may begin with "aws" or "ssm": choose another name`},
	{name: "parameter's ARN", change: secret(config.Secret{Parameter: "arn:aws:ssm:eu-west-1:111111111111:db"}),
		want: `service "tags": Secrets DB: Parameter: "arn:aws:ssm:eu-west-1:111111111111:db" is not an ARN of its kind: it looks like "arn:aws:ssm:REGION:ACCOUNT:parameter/NAME"`},
	{name: "key of a parameter", change: secret(config.Secret{Parameter: "db", Key: "password"}),
		want: `service "tags": Secrets DB: Key "password": only a secret of Secrets Manager has keys: remove Key`},
	{name: "key with a colon", change: secret(config.Secret{SecretsManager: "db", Key: "password:AWSPREVIOUS"}),
		want: `service "tags": Secrets DB: Key "password:AWSPREVIOUS": a key with a colon cannot be named in a task definition: rename it in the secret`},
	{name: "KMS key by its alias", change: secret(config.Secret{SecretsManager: "db", KMSKey: "arn:aws:kms:eu-west-1:111111111111:alias/db"}),
		want: `service "tags": Secrets DB: KMSKey: "arn:aws:kms:eu-west-1:111111111111:alias/db" is not an ARN of its kind: it looks like "arn:aws:kms:REGION:ACCOUNT:key/ID"`},
}

var mountMistakes = []mistake{
	{name: "relative writable path", change: writable(config.WritablePath{Path: "tmp"}),
		want: `service "tags": WritablePaths[0]: the path "tmp" must be absolute and below "/", as in "/data"`},
	{name: "everything writable", change: writable(config.WritablePath{Path: "/"}),
		want: `service "tags": WritablePaths[0]: the path "/" must be absolute and below "/", as in "/data"`},
	{name: "writable path that goes up", change: writable(config.WritablePath{Path: "/tmp/../etc"}),
		want: `service "tags": WritablePaths[0]: the path "/tmp/../etc" must be absolute and below "/", as in "/data"`},
	{name: "volume with a colon", change: volumes(config.Volume{Name: "data", Path: "/data:ro"}),
		want: `service "tags": volume "data": the path "/data:ro" must be absolute and below "/", as in "/data"`},
	{name: "volume over the system", change: volumes(config.Volume{Name: "data", Path: "/proc"}, config.Volume{Name: "more", Path: "/sys/fs"}, config.Volume{Name: "rest", Path: "/dev"}),
		want: "service \"tags\": volume \"data\": the path \"/proc\" belongs to the system: choose another\n" +
			"service \"tags\": volume \"more\": the path \"/sys/fs\" belongs to the system: choose another\n" +
			`service "tags": volume "rest": the path "/dev" belongs to the system: choose another`},
	{name: "writable path twice", change: writable(config.WritablePath{Path: "/tmp"}, config.WritablePath{Path: "/tmp"}),
		want: `service "tags": WritablePaths[1]: the path "/tmp" is that of WritablePaths[0], too: choose another`},
	{name: "volume in a writable path", change: tagged(func(s *config.Service) {
		s.WritablePaths, s.Volumes = []config.WritablePath{{Path: "/data"}}, []config.Volume{{Name: "data", Path: "/data/more"}}
	}),
		want: `service "tags": volume "data": the path "/data/more" and "/data" of WritablePaths[0] are one inside the other: choose another`},
	{name: "writable path around a volume", change: tagged(func(s *config.Service) {
		s.WritablePaths, s.Volumes = []config.WritablePath{{Path: "/data/more"}}, []config.Volume{{Name: "data", Path: "/data"}}
	}),
		want: `service "tags": volume "data": the path "/data" and "/data/more" of WritablePaths[0] are one inside the other: choose another`},
	{name: "volume over the program", change: with(config.Service{Name: "tags", Paths: []string{"/t"}, Order: 5, Volumes: []config.Volume{{Name: "data", Path: "/tags"}}}),
		want: `service "tags": volume "data": the path "/tags" is that of the program, too: choose another`},
	{name: "size of a writable path", change: writable(config.WritablePath{Path: "/tmp", SizeMiB: -1}),
		want: `service "tags": WritablePaths[0]: SizeMiB -1: it must be 1 or more`},
	{name: "writable paths above the memory", change: writable(config.WritablePath{Path: "/tmp", SizeMiB: 448}, config.WritablePath{Path: "/run"}),
		want: `service "tags": WritablePaths: they hold up to 512 MiB, and the container may use 512 MiB in all: raise MemoryLimitMiB, or set SizeMiB`},
	{name: "volume without a name", change: volumes(config.Volume{Path: "/data"}),
		want: `service "tags": volume "": a volume's name has lower-case letters, digits and single hyphens, beginning with a letter`},
	{name: "long name of a volume", change: volumes(config.Volume{Name: strings.Repeat("a", 100), Path: "/data"}),
		want: `service "tags": volume "` + strings.Repeat("a", 100) + `": the name has 100 characters: at most 99 are allowed`},
	{name: "volume twice", change: volumes(config.Volume{Name: "data", Path: "/data"}, config.Volume{Name: "data", Path: "/more"}),
		want: `service "tags": volume "data": the container has it twice: remove one`},
	{name: "access point of nothing", change: volumes(config.Volume{Name: "data", Path: "/data", AccessPoint: "fsap-0123456789abcdef0"}),
		want: `service "tags": volume "data": AccessPoint "fsap-0123456789abcdef0" needs the FileSystem that it belongs to`},
	{name: "file system that is none", change: volumes(config.Volume{Name: "data", Path: "/data", FileSystem: "fs-xyz", AccessPoint: "fsap-0123456789abcdef0"}),
		want: `service "tags": volume "data": FileSystem "fs-xyz" is not the id of a file system: it looks like "fs-0123456789abcdef0"`},
	{name: "file system without an access point", change: volumes(config.Volume{Name: "data", Path: "/data", FileSystem: "fs-0123456789abcdef0"}),
		want: `service "tags": volume "data": AccessPoint "" is not the id of an access point: it looks like "fsap-0123456789abcdef0"`},
	{name: "volume on two file systems", change: func(d *config.Deployment) {
		d.Monolith.Volumes = []config.Volume{{Name: "data", Path: "/data"}}
		volumes(config.Volume{Name: "data", Path: "/data", FileSystem: "fs-01234567", AccessPoint: "fsap-01234567"})(d)
	},
		want: `service "tags": volume "data": it is on fs-01234567 fsap-01234567 here, and on the deployment's file system in "api": give each its own name`},
	{name: "volume on two file systems in one task", change: tagged(func(s *config.Service) {
		s.Volumes = []config.Volume{{Name: "data", Path: "/data", FileSystem: "fs-01234567", AccessPoint: "fsap-01234567"}}
		s.Sidecars = []config.Container{{Name: "backup", Image: config.Registry{Name: web}, Volumes: []config.Volume{{Name: "data", Path: "/data", FileSystem: "fs-01234567", AccessPoint: "fsap-12345678"}}}}
	}),
		want: `service "tags": volume "data": it is on fs-01234567 fsap-12345678 here, and on fs-01234567 fsap-01234567 in "tags": give each its own name`},
	{name: "service of the name of the volumes' stack", change: func(d *config.Deployment) {
		d.Monolith.Volumes = []config.Volume{{Name: "data", Path: "/data"}}
		with(config.Service{Name: "files", Paths: []string{"/files*"}, Order: 50})(d)
	},
		want: `the file system of the volumes: its stack is called Files, like that of service "files": rename one`},
	{name: "volumes of one id", change: volumes(config.Volume{Name: "data1", Path: "/a"}, config.Volume{Name: "data-1", Path: "/b"}),
		want: `service "tags": volume "data-1": its name differs from "data1" by a hyphen only: rename one`},
}

// posts returns the forum with a service of an image, its command, and a sidecar in another service.
func posts(image config.Image, command []string, c config.Container) func(*config.Deployment) {
	return func(d *config.Deployment) {
		c.Name = "beside"
		d.Services = append(d.Services,
			config.Service{Name: "posts", Paths: []string{"/posts*"}, Order: 30, Image: image, Command: command},
			config.Service{Name: "tags", Paths: []string{"/tags*"}, Order: 50, Image: config.Dockerfile{Dir: "tags"}, Sidecars: []config.Container{c}})
	}
}

const twoServices = `service "tags": sidecar "beside": it is the service "posts": a task of two services is scaled and deployed as one, and is still a monolith: remove the sidecar`

var sidecarMistakes = []mistake{
	{name: "sidecar without a name", change: sidecar(func(c *config.Container) { c.Name = "" }),
		want: `service "tags": sidecar "": a container's name has lower-case letters, digits and single hyphens, beginning with a letter`},
	{name: "long name of a sidecar", change: sidecar(func(c *config.Container) { c.Name = strings.Repeat("a", 64) }),
		want: `service "tags": sidecar "` + strings.Repeat("a", 64) + `": the name has 64 characters: at most 63 are allowed`},
	{name: "sidecars of one name", change: tagged(func(s *config.Service) {
		s.Sidecars = []config.Container{{Name: "proxy", Image: config.Registry{Name: web}}, {Name: "proxy", Image: config.Registry{Name: web}}}
	}),
		want: `service "tags": sidecar "proxy": another container of the task has this name: choose another`},
	{name: "sidecar of the service's name", change: sidecar(func(c *config.Container) { c.Name = "tags" }),
		want: `service "tags": sidecar "tags": another container of the task has this name: choose another`},
	{name: "sidecars of one id", change: tagged(func(s *config.Service) {
		s.Sidecars = []config.Container{{Name: "proxy1", Image: config.Registry{Name: web}}, {Name: "proxy-1", Image: config.Registry{Name: web}}}
	}),
		want: `service "tags": sidecar "proxy-1": the name differs from "proxy1" by a hyphen only: choose another`},
	{name: "too many sidecars", change: tagged(func(s *config.Service) {
		for i := range 10 {
			s.Sidecars = append(s.Sidecars, config.Container{Name: fmt.Sprintf("proxy%d", i), Image: config.Registry{Name: web}})
		}
	}),
		want: `service "tags": Sidecars: 11 containers: a task can have 10: remove some`},
	{name: "sidecar of a service's name", change: sidecar(func(c *config.Container) { c.Name = "users" }),
		want: `service "tags": sidecar "users": it is the service "users": a task of two services is scaled and deployed as one, and is still a monolith: remove the sidecar`},
	{name: "sidecar of the monolith's Go package", change: sidecar(func(c *config.Container) { c.Image = config.GoPackage{Dir: "./services/api/"} }),
		want: "service \"tags\": sidecar \"proxy\": it is the service \"api\": a task of two services is scaled and deployed as one, and is still a monolith: remove the sidecar\n" +
			`service "tags": sidecar "proxy": Image: sidecars are not built from a Go package: use a Dockerfile or a Registry`},
	{name: "sidecar of a service's Dockerfile", change: posts(config.Dockerfile{Dir: "posts"}, nil, config.Container{
		Image: config.Dockerfile{Dir: "./posts/", File: "Dockerfile", BuildArgs: map[string]string{"A": "b"}}, Command: []string{"other"}}),
		want: twoServices},
	{name: "sidecar of a service's stage", change: posts(config.Dockerfile{Dir: "all", Target: "posts"}, nil, config.Container{Image: config.Dockerfile{Dir: "all", Target: "posts"}}),
		want: twoServices},
	{name: "sidecar of a service's registry", change: posts(config.Registry{Name: "nginx:1.29"}, nil, config.Container{Image: config.Registry{Name: "docker.io/library/nginx:1.29"}, Command: []string{"other"}}),
		want: twoServices},
	{name: "sidecar of a service's digest", change: posts(config.Registry{Name: "nginx:1@sha256:" + strings.Repeat("0", 64)}, nil, config.Container{Image: config.Registry{Name: "nginx@sha256:" + strings.Repeat("0", 64)}}),
		want: twoServices},
	{name: "sidecar of a service's tag and digest", change: posts(config.Registry{Name: "nginx:1.29"}, nil, config.Container{Image: config.Registry{Name: "nginx:1.29@sha256:" + strings.Repeat("0", 64)}}),
		want: twoServices},
	{name: "sidecar of a service in the image of all", change: posts(config.Dockerfile{Dir: "tags"}, []string{"posts.js"}, config.Container{Image: config.Dockerfile{Dir: "tags"}, Command: []string{"posts.js"}}),
		want: twoServices},
	{name: "sidecar of a service in the Dockerfile of all", change: posts(config.Dockerfile{Dir: "tags", BuildArgs: map[string]string{"SERVICE": "posts"}}, nil,
		config.Container{Image: config.Dockerfile{Dir: "tags", BuildArgs: map[string]string{"SERVICE": "posts"}}}),
		want: twoServices},

	{name: "unknown container", change: tagged(func(s *config.Service) { s.DependsOn = on("proxy", "") }),
		want: `service "tags": container "tags" depends on "proxy": the task has no other container of this name: name a sidecar`},
	{name: "container of another service", change: tagged(func(s *config.Service) { s.DependsOn = on("users", "") }),
		want: `service "tags": container "tags" depends on "users": the task has no other container of this name: name a sidecar`},
	{name: "container that depends on itself", change: chain(nil, config.Container{DependsOn: on("a", "START")}, config.Container{}),
		want: `service "tags": container "a" depends on "a": the task has no other container of this name: name a sidecar`},
	{name: "container that depends on another twice", change: chain([]config.Dependency{{Container: "a"}, {Container: "a", Condition: "COMPLETE"}}, config.Container{}, config.Container{}),
		want: `service "tags": container "tags" depends on "a" twice: remove one`},
	{name: "unknown condition", change: chain(on("a", "RUNNING"), config.Container{}, config.Container{}),
		want: `service "tags": container "tags" depends on "a": Condition "RUNNING": choose one of START, HEALTHY, COMPLETE, SUCCESS`},
	{name: "healthy without a check", change: chain(on("a", "HEALTHY"), config.Container{}, config.Container{}),
		want: `service "tags": container "tags" waits until "a" is HEALTHY, which has no health check: give it one`},
	{name: "healthy without a check of the service", change: chain(nil, config.Container{DependsOn: on("tags", "HEALTHY")}, config.Container{}),
		want: `service "tags": container "a" waits until "tags" is HEALTHY, which has no health check: give it one`},
	{name: "end of an essential container", change: chain(on("a", "SUCCESS"), config.Container{Essential: true}, config.Container{DependsOn: on("tags", "COMPLETE")}),
		want: "service \"tags\": container \"tags\" waits for the end of \"a\", which is essential, so its end stops the task: set no Essential, or wait for HEALTHY\n" +
			`service "tags": container "b" waits for the end of "tags", which is essential, so its end stops the task: set no Essential, or wait for HEALTHY`},
	{name: "circle", change: chain(on("a", "START"), config.Container{DependsOn: on("b", "START")}, config.Container{DependsOn: on("a", "COMPLETE")}),
		want: `service "tags": containers wait for each other in a circle: a → b → a: remove a dependency`},
	{name: "circle with the service", change: chain(on("b", "START"), config.Container{}, config.Container{DependsOn: on("tags", "START")}),
		want: `service "tags": containers wait for each other in a circle: tags → b → tags: remove a dependency`},
}

var permissionMistakes = []mistake{
	{name: "permission for nothing", change: permissions(config.Statement{}),
		want: `service "tags": Permissions[0]: it needs Actions and Resources`},
	{name: "permission on nothing", change: permissions(config.Statement{Actions: read}),
		want: `service "tags": Permissions[0]: it needs Actions and Resources`},
	{name: "permission of no action", change: permissions(config.Statement{Actions: []string{"GetItem"}, Resources: []string{table}}),
		want: `service "tags": Permissions[0]: "GetItem" is not an action: it looks like "dynamodb:GetItem"`},
	{name: "permission for everything", change: permissions(config.Statement{Actions: []string{"*"}, Resources: []string{"*"}, Reason: "why not"}),
		want: `service "tags": Permissions[0]: "*" is not an action: it looks like "dynamodb:GetItem"`},
	{name: "actions without a reason", change: permissions(config.Statement{Actions: []string{"dynamodb:Get*"}, Resources: []string{table}, Reason: " "}),
		want: `service "tags": Permissions[0]: the action "dynamodb:Get*" has a wildcard: name the actions, or say why in Reason`},
	{name: "resources without a reason", change: permissions(config.Statement{Actions: read, Resources: []string{table}}, config.Statement{Actions: read, Resources: []string{"*", "arn:aws:s3:::photos/?"}}),
		want: "service \"tags\": Permissions[1]: the resource \"*\" has a wildcard: name the resources, or say why in Reason\n" +
			`service "tags": Permissions[1]: the resource "arn:aws:s3:::photos/?" has a wildcard: name the resources, or say why in Reason`},
	{name: "resource that is none", change: permissions(config.Statement{Actions: read, Resources: []string{"orders"}}),
		want: `service "tags": Permissions[0]: "orders" is not an ARN: it looks like "arn:aws:dynamodb:${AWS::Region}:${AWS::AccountId}:table/orders"`},
	{name: "resource with a placeholder that is unknown", change: permissions(config.Statement{Actions: read, Resources: []string{table + "${AWS::StackId}"}}),
		want: `service "tags": Permissions[0]: ${AWS::StackId} is not known here: use one of ${AWS::AccountId}, ${AWS::Partition}, ${AWS::Region}`},
	{name: "operator that is none", change: conditions(map[string]map[string][]string{"StringIs": {"aws:ResourceTag/team": {"shop"}}, "StringLikeIgnoreCase": {"aws:ResourceTag/team": {"shop"}}, "NullIfExists": {"aws:ResourceTag/team": {"true"}}}),
		want: "service \"tags\": Permissions[0]: \"NullIfExists\" is not an operator of conditions: it looks like \"StringEquals\"\n" +
			"service \"tags\": Permissions[0]: \"StringIs\" is not an operator of conditions: it looks like \"StringEquals\"\n" +
			`service "tags": Permissions[0]: "StringLikeIgnoreCase" is not an operator of conditions: it looks like "StringEquals"`},
	{name: "conditions of nothing", change: conditions(map[string]map[string][]string{"Bool": {}, "StringEquals": {"team": {"shop"}, "aws:ResourceTag/team": {}}}),
		want: "service \"tags\": Permissions[0]: Bool has no keys: give it one, or remove it\n" +
			"service \"tags\": Permissions[0]: StringEquals: aws:ResourceTag/team has no values: give it one, or remove it\n" +
			`service "tags": Permissions[0]: StringEquals: "team" is not a condition key: it looks like "aws:ResourceTag/team"`},
	{name: "condition with a placeholder that is unknown", change: conditions(map[string]map[string][]string{"StringEquals": {"aws:SourceAccount": {"${AWS::Account}"}}}),
		want: `service "tags": Permissions[0]: ${AWS::Account} is not known here: use one of ${AWS::AccountId}, ${AWS::Partition}, ${AWS::Region}`},
	{name: "too many permissions", change: conditions(map[string]map[string][]string{"StringEquals": {"aws:ResourceTag/team": {strings.Repeat("a", 10_240-len("dynamodb:GetItem"+table+"StringEquals"+"aws:ResourceTag/team")+1)}}}),
		want: `service "tags": Permissions: they have 10241 characters: the policies of a role can have 10240: list fewer, or use a wildcard with a Reason`},
}

func TestContainerMistakesAreReported(t *testing.T) {
	testMistakes(t, slices.Concat(portMistakes, healthMistakes, imageMistakes, containerMistakes, secretMistakes, mountMistakes, sidecarMistakes, permissionMistakes))
}

// What lies beside each mistake is taken: the least and the most, and the ordinary.
func TestContainersAreTaken(t *testing.T) {
	digest := "@sha256:" + strings.Repeat("0", 64)
	images := func(names ...string) (all []func(*config.Deployment)) {
		for _, name := range names {
			all = append(all, image(config.Registry{Name: name}))
		}
		return all
	}
	users := func(names ...string) (all []func(*config.Deployment)) {
		for _, name := range names {
			all = append(all, tagged(func(s *config.Service) { s.User = name }))
		}
		return all
	}
	secrets := func(of ...config.Secret) (all []func(*config.Deployment)) {
		for _, one := range of {
			all = append(all, secret(one))
		}
		return all
	}
	operators := func(names ...string) (all []func(*config.Deployment)) {
		for _, name := range names {
			all = append(all, conditions(map[string]map[string][]string{name: {"aws:ResourceTag/team": {"shop", "${AWS::Region}", "${aws:username}"}}}))
		}
		return all
	}
	for name, changes := range map[string][]func(*config.Deployment){
		"the least": {tagged(func(s *config.Service) {
			s.Port, s.DeregistrationDelaySeconds, s.StopTimeoutSeconds, s.HealthCheck.GracePeriodSeconds = 1, 1, 2, 1
			s.Alarms = config.Alarms{LatencyMilliseconds: 1, Errors: 1}
			s.HealthCheck.Codes, s.CPU, s.MemoryReservationMiB, s.MemoryLimitMiB = "200-200", 2, 6, 7
			s.WritablePaths = []config.WritablePath{{Path: "/tmp", SizeMiB: 1}, {Path: "/dev/shm", SizeMiB: 5}}
			s.Ulimits = []config.Ulimit{{Name: "core"}, {Name: "nofile", Soft: 1, Hard: 1}, {Name: "nproc", Soft: -1, Hard: -1}, {Name: "cpu", Soft: 1, Hard: -1}}
			s.Secrets = map[string]config.Secret{"_": {Parameter: "a"}}
		})},
		"the most": {tagged(func(s *config.Service) {
			s.Port, s.DeregistrationDelaySeconds, s.StopTimeoutSeconds, s.HealthCheck.GracePeriodSeconds = 65535, 3600, 120, 2147483647
			s.Alarms = config.Alarms{LatencyMilliseconds: 60_000, Errors: 1_000_000}
			s.HealthCheck.Path, s.HealthCheck.Codes = "/"+strings.Repeat("~", 1023), "200-499,204,301"
			s.WritablePaths = []config.WritablePath{{Path: "/tmp", SizeMiB: 511}}
			s.Volumes = []config.Volume{{Name: strings.Repeat("a", 99), Path: "/tmp2"}}
			for i := range 9 {
				s.Sidecars = append(s.Sidecars, config.Container{Name: strings.Repeat("a", 62) + fmt.Sprint(i), Image: config.Registry{Name: web}, Ports: []int{1, 65535}, UDPPorts: []int{1, 65535}})
			}
		})},
		"images": append(images("nginx:1", "nginx"+digest, "nginx:latest"+digest, "example.org:5000/a/b__c/d-e.f:V1_2", "localhost/x:1", "123456789012.dkr.ecr.eu-west-1.amazonaws.com/a:1", "e.org/"+strings.Repeat("a", 247)+":1"),
			image(config.Registry{Name: web, Credentials: secretIn(here)}),
			image(config.Dockerfile{Dir: ".", File: "..docker/Dockerfile", Platform: "linux/amd64", Target: "x", BuildArgs: map[string]string{"A_1": "${B} $C"}}),
			image(config.GoPackage{Dir: "..services"})),
		"users": users("0", "root", "node", "1000:node", "node:1000", "www-data:www-data", "_apt"),
		"health checks": {
			tagged(func(s *config.Service) { s.HealthCheck.Path = "/~me/a.b-c_d!$&'()*+,;=:@/?deep=1&x=%2f%E2" }),
			tagged(func(s *config.Service) { s.HealthCheck.Command = []string{"NONE"} }),
			tagged(func(s *config.Service) {
				s.HealthCheck.Command = []string{"CMD-SHELL", "curl -f localhost:$PORT || exit 1"}
			}),
			with(config.Service{Name: "tags", Paths: []string{"/t"}, Order: 5, User: "1", HealthCheck: config.HealthCheck{Command: []string{"NONE"}}}),
			with(config.Service{Name: "tags", Paths: []string{"/t"}, Order: 5, Command: []string{"--verbose"}, HealthCheck: config.HealthCheck{Command: []string{"CMD", "/tags", "check"}}}),
		},
		"variables": {tagged(func(s *config.Service) {
			s.Environment = map[string]string{"EMPTY": "", "A": "${AWS::AccountId}-${AWS::Partition}-${AWS::Region}", "B": "$AWS::X ${!x} ${}", "STOP_TIMEOUT": "1", "AWS_REGION": "x"}
			s.Secrets = map[string]config.Secret{"AWS_SECRET_ACCESS_KEY": {Parameter: "key"}}
			s.Sidecars = []config.Container{{Name: "proxy", Image: config.Registry{Name: web}, Environment: map[string]string{"PORT": "80"}}}
		})},
		"secrets": append(secrets(
			config.Secret{SecretsManager: "prod/db_1+=.@-x"}, config.Secret{SecretsManager: "db-maste", Key: "pass word"}, config.Secret{SecretsManager: strings.Repeat("a", 512)}, config.Secret{SecretsManager: secretIn(here), Key: "a"},
			config.Secret{SecretsManager: "arn:${AWS::Partition}:secretsmanager:${AWS::Region}:${AWS::AccountId}:secret:db"},
			config.Secret{SecretsManager: "arn:aws-cn:secretsmanager:cn-north-1:111111111111:secret:db"}, config.Secret{SecretsManager: "arn:aws-us-gov:secretsmanager:us-gov-west-1:111111111111:secret:db"},
			config.Secret{SecretsManager: "arn:aws-iso-b:secretsmanager:us-isob-east-1:111111111111:secret:db"}, config.Secret{SecretsManager: "arn:aws-eusc:secretsmanager:eusc-de-east-1:111111111111:secret:db"},
			config.Secret{Parameter: "db"}, config.Secret{Parameter: strings.Repeat("/a", 15)}, config.Secret{Parameter: strings.Repeat("a", 1011)}, config.Secret{Parameter: "/shop/aws"},
			config.Secret{Parameter: "arn:aws:ssm:eu-west-1:111111111111:parameter/a/b", KMSKey: "arn:aws:kms:eu-west-1:111111111111:key/mrk-1234"}),
			func(d *config.Deployment) {
				d.Monolith.Secrets = map[string]config.Secret{"A": {SecretsManager: secretIn(here)}, "B": {SecretsManager: "arn:aws:secretsmanager:us-east-1:111111111111:secret:db"}}
				secret(config.Secret{SecretsManager: "arn:aws:secretsmanager:${AWS::Region}:${AWS::AccountId}:secret:db", KMSKey: "arn:aws:kms:eu-west-1:111111111111:key/1234"})(d)
			}),
		"volumes": {
			func(d *config.Deployment) {
				d.Monolith.Volumes = []config.Volume{{Name: "data", Path: "/a"}, {Name: "more", Path: "/ab", FileSystem: "fs-01234567", AccessPoint: "fsap-0123456789abcdef0"}}
				volumes(config.Volume{Name: "data", Path: "/b", ReadOnly: true}, config.Volume{Name: "more", Path: "/b2", FileSystem: "fs-01234567", AccessPoint: "fsap-0123456789abcdef0"})(d)
			},
			func(d *config.Deployment) {
				with(config.Service{Name: "files", Paths: []string{"/files*"}, Order: 40})(d)
				volumes(config.Volume{Name: "data", Path: "/data", FileSystem: "fs-01234567", AccessPoint: "fsap-01234567"})(d)
			},
			volumes(config.Volume{Name: "data", Path: "/tags"}, config.Volume{Name: "data2", Path: "/device"}),
			with(config.Service{Name: "tags", Paths: []string{"/t"}, Order: 5, Volumes: []config.Volume{{Name: "data", Path: "/tags2"}}}),
		},
		"sidecars": {
			sidecar(func(c *config.Container) { c.Ports, c.UDPPorts = []int{3000, 53}, []int{53} }),
			// An image that no other service has, and the images of all with arguments of its own.
			posts(config.Dockerfile{Dir: "all", Target: "posts"}, nil, config.Container{Image: config.Dockerfile{Dir: "all", Target: "proxy"}}),
			posts(config.Dockerfile{Dir: "all"}, nil, config.Container{Image: config.Dockerfile{Dir: "all", File: "proxy/Dockerfile"}}),
			posts(config.Registry{Name: "nginx:1.29"}, nil, config.Container{Image: config.Registry{Name: "nginx:1.28"}}),
			posts(config.Registry{Name: "nginx" + digest}, nil, config.Container{Image: config.Registry{Name: "nginx:1.28"}}),
			posts(config.Dockerfile{Dir: "tags"}, []string{"posts.js"}, config.Container{Image: config.Dockerfile{Dir: "tags"}, Command: []string{"migrate.js"}}),
			posts(config.Dockerfile{Dir: "tags", BuildArgs: map[string]string{"SERVICE": "posts"}}, nil, config.Container{Image: config.Dockerfile{Dir: "tags", BuildArgs: map[string]string{"SERVICE": "proxy"}}}),
			chain(append(on("a", "COMPLETE"), on("b", "SUCCESS")...), config.Container{}, config.Container{DependsOn: on("a", "")}),
			chain(append(on("a", "HEALTHY"), on("b", "START")...), config.Container{Essential: true, HealthCheck: []string{"CMD", "true"}}, config.Container{Essential: true, DependsOn: on("a", "HEALTHY")}),
			chain(nil, config.Container{DependsOn: on("tags", "START")}, config.Container{DependsOn: on("a", "START")}),
			with(config.Service{Name: "tags", Paths: []string{"/t"}, Order: 5, Sidecars: []config.Container{{Name: "proxy", Image: config.Registry{Name: web}, DependsOn: on("tags", "HEALTHY")}}}),
		},
		"permissions": append(operators("StringEquals", "StringNotEqualsIgnoreCase", "StringLike", "StringNotLikeIfExists", "NumericLessThanEquals", "NumericNotEquals", "DateGreaterThan", "Bool", "BinaryEquals", "NotIpAddress", "ArnLike", "ArnNotEquals",
			"ForAllValues:StringLike", "ForAnyValue:ArnEqualsIfExists", "Null"),
			permissions(
				config.Statement{Actions: []string{"s3:Get*"}, Resources: []string{"arn:aws:s3:::photos/*", "*"}, Reason: "photos have names of their owners"},
				config.Statement{Actions: read, Resources: []string{table, "arn:${AWS::Partition}:dynamodb:*:222222222222:table/${aws:username}"}, Reason: "all regions"},
				config.Statement{Actions: read, Resources: []string{"arn:aws:iam::aws:policy/ReadOnlyAccess"}}),
			permissions(config.Statement{Actions: read, Resources: []string{table + strings.Repeat("a", 10_240-len("dynamodb:GetItem"+table))}})),
	} {
		for i, change := range changes {
			d := forum()
			change(&d)
			if _, _, err := config.Load(d, context{"maxInstances": 20.0}, func(string) string { return "" }); err != nil {
				t.Errorf("%s, number %d: %v", name, i, err)
			}
		}
	}
}

// The variables that the deployment sets follow from the service's own values.
func TestOwnVariables(t *testing.T) {
	for _, test := range []struct {
		service config.Service
		want    map[string]string
		stop    int
	}{
		{config.Service{}, map[string]string{"PORT": "3000", "STOP_TIMEOUT": "15s"}, 20},
		{config.Service{Port: 80, DeregistrationDelaySeconds: 30}, map[string]string{"PORT": "80", "STOP_TIMEOUT": "30s"}, 35},
		// The server ends before it is killed, and is asked for no more time than there is.
		{config.Service{DeregistrationDelaySeconds: 116}, map[string]string{"PORT": "3000", "STOP_TIMEOUT": "115s"}, 120},
		{config.Service{StopTimeoutSeconds: 10}, map[string]string{"PORT": "3000", "STOP_TIMEOUT": "5s"}, 10},
		{config.Service{StopTimeoutSeconds: 2}, map[string]string{"PORT": "3000", "STOP_TIMEOUT": "1s"}, 2},
		{config.Service{Image: config.Registry{Name: web}, Port: 80}, map[string]string{"PORT": "80"}, 20},
	} {
		test.service.Name, test.service.Paths, test.service.Order = "tags", []string{"/t"}, 5
		given := forum()
		with(test.service)(&given)
		d, _, err := config.Load(given, nil, func(string) string { return "" })
		if err != nil {
			t.Fatal(err)
		}
		own := service(d, "tags").Containers()[0]
		if diff := cmp.Diff(test.want, own.Environment); diff != "" || service(d, "tags").StopTimeoutSeconds != test.stop {
			t.Errorf("%+v: stop timeout %d, want %d; variables (-want +got):\n%s", test.service, service(d, "tags").StopTimeoutSeconds, test.stop, diff)
		}
	}
}

// What is not said of a sidecar, and of the lists of a service.
func TestContainerDefaults(t *testing.T) {
	given := forum()
	tagged(func(s *config.Service) {
		s.WritablePaths = []config.WritablePath{{Path: "/tmp"}}
		s.DependsOn = on("proxy", "")
		s.Sidecars = []config.Container{
			{Name: "proxy", Image: config.Registry{Name: web}, WritablePaths: []config.WritablePath{{Path: "/run"}}, DependsOn: on("large", "")},
			{Name: "large", Image: config.Registry{Name: web}, MemoryReservationMiB: 65},
		}
	})(&given)
	d, _, err := config.Load(given, nil, func(string) string { return "" })
	if err != nil {
		t.Fatal(err)
	}
	want := []config.Container{
		{Name: "tags", Image: config.Registry{Name: "example.org/tags:1"}, Ports: []int{3000}, Essential: true, HealthCheck: []string{"NONE"}, CPU: 256, MemoryReservationMiB: 256, MemoryLimitMiB: 512,
			Environment: map[string]string{"PORT": "3000"}, User: "65532:65532", WritablePaths: []config.WritablePath{{Path: "/tmp", SizeMiB: 64}}, DependsOn: on("proxy", "START")},
		{Name: "proxy", Image: config.Registry{Name: web}, HealthCheck: []string{"NONE"}, CPU: 64, MemoryReservationMiB: 64, MemoryLimitMiB: 128, User: "65532:65532",
			WritablePaths: []config.WritablePath{{Path: "/run", SizeMiB: 64}}, DependsOn: on("large", "START")},
		{Name: "large", Image: config.Registry{Name: web}, HealthCheck: []string{"NONE"}, CPU: 64, MemoryReservationMiB: 65, MemoryLimitMiB: 130, User: "65532:65532"},
	}
	if diff := cmp.Diff(want, service(d, "tags").Containers()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	// What was given is not changed.
	last := given.Services[len(given.Services)-1]
	if last.WritablePaths[0].SizeMiB != 0 || last.DependsOn[0].Condition != "" || last.Sidecars[0].CPU != 0 || last.Sidecars[0].WritablePaths[0].SizeMiB != 0 {
		t.Errorf("Load changed its argument: %+v", last)
	}
}

// Which containers reach which by their names, and what the deployment needs besides.
func TestContainersTogether(t *testing.T) {
	given := forum()
	tagged(func(s *config.Service) {
		s.DependsOn = slices.Concat(on("tcp", "START"), on("udp", "HEALTHY"), on("ended", "COMPLETE"), on("silent", "START"))
		s.Volumes = []config.Volume{{Name: "b", Path: "/b", ReadOnly: true}, {Name: "a", Path: "/a", ReadOnly: true}, {Name: "theirs", Path: "/c", FileSystem: "fs-01234567", AccessPoint: "fsap-01234567"}}
		for _, name := range []string{"tcp", "udp", "ended", "silent"} {
			s.Sidecars = append(s.Sidecars, config.Container{Name: name, Image: config.Registry{Name: web}, HealthCheck: []string{"CMD", "true"}})
		}
		s.Sidecars[0].Ports, s.Sidecars[1].UDPPorts, s.Sidecars[2].Ports = []int{80}, []int{53}, []int{80}
		s.Sidecars[0].Volumes = []config.Volume{{Name: "b", Path: "/b"}, {Name: "a", Path: "/a", ReadOnly: true}}
		s.Sidecars[1].DependsOn = on("ended", "SUCCESS")
	})(&given)
	d, _, err := config.Load(given, nil, func(string) string { return "" })
	if err != nil {
		t.Fatal(err)
	}
	s := service(d, "tags")
	links := map[string][]string{}
	for _, c := range s.Containers() {
		if names := s.Links(c); names != nil {
			links[c.Name] = names
		}
	}
	if diff := cmp.Diff(map[string][]string{"tags": {"tcp", "udp"}}, links); diff != "" || !d.Linked() {
		t.Errorf("linked %v, links (-want +got):\n%s", d.Linked(), diff)
	}
	if diff := cmp.Diff([]string{"b", "a"}, d.VolumeNames()); diff != "" {
		t.Errorf("names of volumes (-want +got):\n%s", diff)
	}
	var readOnly []string
	for _, v := range s.AllVolumes() {
		if v.ReadOnly {
			readOnly = append(readOnly, v.Name)
		}
	}
	if diff := cmp.Diff([]string{"a"}, readOnly); diff != "" {
		t.Errorf("volumes that nobody writes to (-want +got):\n%s", diff)
	}
	if s.Repository() || !service(d, "users").Repository() {
		t.Errorf("a repository for a registry's image: %v, for a Go package: %v", s.Repository(), service(d, "users").Repository())
	}
	s.Sidecars[3].Image = config.Dockerfile{Dir: "silent"}
	if !s.Repository() {
		t.Error("no repository for the image of a sidecar")
	}
	plain, _, err := config.Load(forum(), nil, func(string) string { return "" })
	if err != nil || plain.Linked() || plain.VolumeNames() != nil {
		t.Errorf("the forum: linked %v, volumes %v, %v", plain.Linked(), plain.VolumeNames(), err)
	}
}

// service returns a service of a deployment.
func service(d config.Deployment, name string) config.Service {
	s, _ := d.Pair(name)
	return s
}

//go:build linux

// Package instance runs the instances' user data from the template on an instance
// made of namespaces. The instance has its own network and file system, a Docker
// engine, and containers that try what an intruder would.
package instance

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sync/errgroup"

	"cutover/assets"
	"cutover/internal/nightly"
)

const (
	goldens  = "../../stacks/golden/"
	unitFile = "/etc/systemd/system/isolate-containers.service"
	// dockerFile is the Docker engine's configuration. The ECS-optimized images have this one
	// (https://github.com/aws/amazon-ecs-ami, scripts/install-docker.sh).
	dockerFile   = "/etc/docker/daemon.json"
	dockerConfig = "{\n    \"userland-proxy\": false\n}\n"

	// The instance, and the hosts outside.
	instance     = "10.0.1.10"
	loadBalancer = "10.0.1.20:80"
	metadata     = "169.254.169.254:80"
	elsewhere    = "203.0.113.9:443"
	// The ECS agent's credentials endpoint, and its introspection API on every
	// address of the instance
	// (https://docs.aws.amazon.com/AmazonECS/latest/developerguide/ecs-agent-introspection.html).
	credentials   = "169.254.170.2:80"
	introspection = "51678"
)

// scratch is a directory with the probe and the user data. It is set in the process
// that is the instance.
const scratch = "CUTOVER_TEST_INSTANCE"

// TestContainersAreKeptApart runs the user data of a deployment without sidecars.
func TestContainersAreKeptApart(t *testing.T) {
	onInstance(t, goldens+"switched/dev-Cluster.json", runInstance)
}

// TestLinkedContainers runs the user data of a deployment with sidecars that other containers reach.
func TestLinkedContainers(t *testing.T) {
	onInstance(t, goldens+"own/dev-Cluster.json", runLinked)
}

// TestCallsBetweenInstances runs the user data of a deployment whose services find each other by SRV
// records: at published ports.
func TestCallsBetweenInstances(t *testing.T) {
	onInstance(t, goldens+"discovery/dev-Cluster.json", runPublished)
}

// TestCallsBetweenLinkedContainers runs the same with sidecars, where Docker itself keeps containers apart.
func TestCallsBetweenLinkedContainers(t *testing.T) {
	onInstance(t, goldens+"own/dev-Cluster.json", func(t *testing.T, dir string) {
		script := assets.UserData(assets.Instances{Linked: true, Published: true})
		if err := os.WriteFile(filepath.Join(dir, "user-data"), []byte(script), 0o600); err != nil {
			t.Fatal(err)
		}
		runPublished(t, dir)
	})
}

// onInstance starts the test again, as an instance with the user data of a template.
func onInstance(t *testing.T, template string, test func(t *testing.T, dir string)) {
	t.Helper()
	if dir := os.Getenv(scratch); dir != "" {
		test(t, dir)
		return
	}
	nightly.Test(t, "it starts an instance with a Docker engine")
	unable := func() error {
		if os.Geteuid() != 0 {
			return errors.New("it takes root to make namespaces: run it with sudo")
		}
		for _, name := range []string{"dockerd", "docker", "ip", "iptables", "iptables-restore", "tar"} {
			if _, err := exec.LookPath(name); err != nil {
				return fmt.Errorf("%s is missing", name)
			}
		}
		if _, err := os.Stat("/proc/sys/net/bridge"); err != nil {
			if out, err := exec.Command("modprobe", "br_netfilter").CombinedOutput(); err != nil {
				return fmt.Errorf("the kernel has no br_netfilter: %w: %s", err, out)
			}
		}
		return nil
	}
	if err := unable(); err != nil {
		// CI cannot install root.
		if os.Getenv("CI") != "" && os.Geteuid() == 0 {
			t.Fatal(err)
		}
		t.Skip("no instance can be made here: ", err)
	}

	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "user-data"), []byte(userData(t, template)), 0o600); err != nil {
		t.Fatal(err)
	}
	build := exec.Command("go", "build", "-buildvcs=false", "-o", filepath.Join(dir, "probe"), "./testdata/probe")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	// The end of the process namespace ends the engine and the containers, however
	// the test ends.
	cmd := exec.CommandContext(t.Context(), self, "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Env = append(os.Environ(), scratch+"="+dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWNS | syscall.CLONE_NEWPID,
		Pdeathsig:  syscall.SIGKILL,
	}
	out, err := cmd.CombinedOutput()
	t.Logf("%s", out)
	if err != nil {
		t.Error(err)
	}
}

// userData is the instances' script. The cluster's name stands for its reference in
// the template.
func userData(t *testing.T, template string) string {
	t.Helper()
	text, err := os.ReadFile(template)
	if err != nil {
		t.Fatal(err)
	}
	var stack struct {
		Resources map[string]struct {
			Type       string
			Properties struct {
				LaunchTemplateData struct {
					UserData struct {
						Script struct {
							Join []any `json:"Fn::Join"`
						} `json:"Fn::Base64"`
					}
				}
			}
		}
	}
	if err := json.Unmarshal(text, &stack); err != nil {
		t.Fatal(err)
	}
	for _, r := range stack.Resources {
		if r.Type != "AWS::EC2::LaunchTemplate" {
			continue
		}
		var script strings.Builder
		for _, part := range r.Properties.LaunchTemplateData.UserData.Script.Join[1].([]any) {
			if text, ok := part.(string); ok {
				script.WriteString(text)
			} else {
				script.WriteString("dev")
			}
		}
		return script.String()
	}
	t.Fatalf("%s has no launch template", template)
	return ""
}

func runInstance(t *testing.T, dir string) {
	engine := boot(t, dir)
	defer engine.stop(t)
	for _, service := range []string{"users", "posts"} {
		engine.serve(t, service, []string{"--publish", "3000"}, "0.0.0.0:3000")
	}

	open := map[string]string{
		"the load balancer → users": "users",
		"the load balancer → posts": "posts",

		"posts → users, directly":                      "users",
		"posts → users, by its port on the instance":   "users",
		"posts → users, by its port on the bridge":     "users",
		"posts → the agent, on the instance":           "introspection",
		"posts → the agent, on the bridge":             "introspection",
		"posts → the instance's metadata":              "outside",
		"posts → the credentials of its own task role": "credentials",
		"posts → the load balancer":                    "outside",
		"posts → elsewhere":                            "outside",
	}
	closed := map[string]string{
		"the load balancer → users": "users",
		"the load balancer → posts": "posts",

		"posts → users, directly":                      "nothing",
		"posts → users, by its port on the instance":   "nothing",
		"posts → users, by its port on the bridge":     "nothing",
		"posts → the agent, on the instance":           "nothing",
		"posts → the agent, on the bridge":             "nothing",
		"posts → the instance's metadata":              "nothing",
		"posts → the credentials of its own task role": "credentials",
		"posts → the load balancer":                    "outside",
		"posts → elsewhere":                            "outside",
	}
	compare := func(when string, want map[string]string) {
		t.Helper()
		if diff := cmp.Diff(want, engine.reach(t, engine.dials(t))); diff != "" {
			t.Errorf("%s (-want +got):\n%s", when, diff)
		}
	}

	// Everything answers without the script, so the script causes what follows.
	compare("before the user data", open)

	t.Setenv("PATH", standIns(t, dir)+":"+os.Getenv("PATH"))
	run(t, "bash", filepath.Join(dir, "user-data"))
	compare("after the user data", closed)
	checkUnit(t)

	same(t, filepath.Join(dir, "systemctl.log"), "daemon-reload\nenable --now --no-block isolate-containers.service\n")
	same(t, "/etc/ecs/ecs.config", "ECS_ENABLE_AWSLOGS_EXECUTIONROLE_OVERRIDE=true\nECS_TASK_PIDS_LIMIT=256\nECS_CLUSTER=dev\n")
	same(t, dockerFile, dockerConfig)

	// A restart of the engine leaves the rules alone. The unit restarts with it, and
	// changes nothing if the rules are there.
	rules := run(t, "iptables", "-S")
	engine.stop(t)
	engine.start(t)
	engine.run(t, "start", "users", "posts")
	compare("after a restart of Docker, before the unit ran again", closed)
	startUnit(t)
	compare("after a restart of Docker", closed)
	count := func(s string) int { return strings.Count(s, "CONTAINER-") }
	if again := run(t, "iptables", "-S"); count(rules) != count(again) {
		t.Errorf("the unit ran again, and the rules\n%sbecame\n%s", rules, again)
	}

	// If something wipes the packet filter, a restart of Docker restores all of it.
	engine.stop(t)
	run(t, "iptables", "--flush")
	run(t, "iptables", "--delete-chain")
	engine.start(t)
	startUnit(t)
	engine.run(t, "start", "users", "posts")
	compare("after the packet filter was wiped and Docker restarted", closed)
}

// runLinked has a service with a sidecar, and another service.
func runLinked(t *testing.T, dir string) {
	engine := boot(t, dir)
	defer engine.stop(t)
	// One port is exposed for each protocol, as by the ports of a task definition. The other one is not.
	engine.serve(t, "statsd", []string{"--publish", "8126", "--publish", "8125/udp"}, "0.0.0.0:8126", "udp/0.0.0.0:8125", "0.0.0.0:9999")
	engine.serve(t, "users", []string{"--publish", "3000", "--link", "statsd"}, "0.0.0.0:3000")
	engine.serve(t, "posts", []string{"--publish", "3000"}, "0.0.0.0:3000")
	want := map[string]string{
		"the load balancer → users": "users",
		"the load balancer → posts": "posts",

		"users → statsd":                              "statsd",
		"users → statsd, over UDP":                    "statsd",
		"users → statsd, at a port that it keeps":     "nothing",
		"statsd → users":                              "nothing",
		"statsd → users, by its port on the instance": "nothing",

		"posts → statsd":                                  "nothing",
		"posts → statsd, over UDP":                        "nothing",
		"posts → statsd, by its port on the instance":     "nothing",
		"posts → statsd, by its UDP port on the instance": "nothing",
		"users → posts, directly":                         "nothing",
		"users → posts, by its port on the instance":      "nothing",
		"users → the agent, on the instance":              "nothing",
		"users → the instance's metadata":                 "nothing",
		"users → the credentials of its own task role":    "credentials",
		"statsd → the agent, on the instance":             "nothing",
		"statsd → the instance's metadata":                "nothing",
		"posts → users, directly":                         "nothing",
		"posts → users, by its port on the instance":      "nothing",
		"posts → users, by its port on the bridge":        "nothing",
		"posts → the agent, on the instance":              "nothing",
		"posts → the agent, on the bridge":                "nothing",
		"posts → the instance's metadata":                 "nothing",
		"posts → the credentials of its own task role":    "credentials",
		"posts → the load balancer":                       "outside",
		"posts → elsewhere":                               "outside",
	}
	compare := func(when string) {
		t.Helper()
		statsd, users := engine.address(t, "statsd"), engine.address(t, "users")
		dials := engine.dials(t)
		maps.Copy(dials, map[string]string{
			"users → statsd":                                  "statsd:8126", // the name of the link
			"users → statsd, over UDP":                        "udp/statsd:8125",
			"users → statsd, at a port that it keeps":         "statsd:9999",
			"statsd → users":                                  users + ":3000",
			"statsd → users, by its port on the instance":     instance + ":" + engine.port(t, "users", "3000/tcp"),
			"posts → statsd":                                  statsd + ":8126",
			"posts → statsd, over UDP":                        "udp/" + statsd + ":8125",
			"posts → statsd, by its port on the instance":     instance + ":" + engine.port(t, "statsd", "8126/tcp"),
			"posts → statsd, by its UDP port on the instance": "udp/" + instance + ":" + engine.port(t, "statsd", "8125/udp"),
			"users → posts, directly":                         engine.address(t, "posts") + ":3000",
			"users → posts, by its port on the instance":      instance + ":" + engine.port(t, "posts", "3000/tcp"),
			"users → the agent, on the instance":              instance + ":" + introspection,
			"users → the instance's metadata":                 metadata,
			"users → the credentials of its own task role":    credentials,
			"statsd → the agent, on the instance":             instance + ":" + introspection,
			"statsd → the instance's metadata":                metadata,
		})
		if diff := cmp.Diff(want, engine.reach(t, dials)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", when, diff)
		}
	}
	restart := func() {
		t.Helper()
		engine.stop(t)
		engine.start(t)
		engine.run(t, "start", "statsd", "users", "posts")
	}

	t.Setenv("PATH", standIns(t, dir)+":"+os.Getenv("PATH"))
	run(t, "bash", filepath.Join(dir, "user-data"))
	same(t, filepath.Join(dir, "systemctl.log"), "restart --no-block docker.service\ndaemon-reload\nenable --now --no-block isolate-containers.service\n")
	same(t, "/etc/ecs/ecs.config", "ECS_INSTANCE_ATTRIBUTES={\"linked-containers\":\"true\"}\nECS_ENABLE_AWSLOGS_EXECUTIONROLE_OVERRIDE=true\nECS_TASK_PIDS_LIMIT=256\nECS_CLUSTER=dev\n")
	same(t, dockerFile, `{"userland-proxy": false, "icc": false}`)
	checkUnit(t)
	// Docker was not restarted yet. If it does not keep containers apart, the agent does not start.
	if err := unit(t).Run(); err == nil {
		t.Error("the unit succeeds, although Docker lets containers reach each other")
	}
	restart()
	startUnit(t)
	compare("after the user data")
	restart()
	startUnit(t)
	compare("after a restart of Docker")

	// If something wipes the packet filter, a restart of Docker restores all of it.
	engine.stop(t)
	run(t, "iptables", "--flush")
	run(t, "iptables", "--delete-chain")
	engine.start(t)
	startUnit(t)
	engine.run(t, "start", "statsd", "users", "posts")
	compare("after the packet filter was wiped and Docker restarted")

	// A machine image without a configuration of Docker.
	if err := os.RemoveAll(filepath.Dir(dockerFile)); err != nil {
		t.Fatal(err)
	}
	run(t, "bash", filepath.Join(dir, "user-data"))
	same(t, dockerFile, `{"icc": false}`)
}

// runPublished has two services, of which one calls the other.
func runPublished(t *testing.T, dir string) {
	engine := boot(t, dir)
	defer engine.stop(t)
	// Ports in the range of containers that no container has published.
	probe := filepath.Join(dir, "probe")
	serve(t, probe, "serve", "instance", "0.0.0.0:33000", "0.0.0.0:51680")
	serve(t, probe, "serve", "loopback", "127.0.0.1:33001")
	engine.serve(t, "users", []string{"--publish", "3000", "--publish", "8125/udp"}, "0.0.0.0:3000", "udp/0.0.0.0:8125", "0.0.0.0:9999")
	engine.serve(t, "posts", []string{"--publish", "3000"}, "0.0.0.0:3000")
	want := map[string]string{
		"the load balancer → users": "users",
		"the load balancer → posts": "posts",

		"posts → users, by its port on the instance":     "users",
		"posts → users, by its UDP port on the instance": "users",
		"posts → users, by its port on the bridge":       "users",
		"users → posts, by its port on the instance":     "posts",
		"posts → posts, by its port on the instance":     "posts",

		"posts → users, directly":                      "nothing",
		"posts → users, at a port that it keeps":       "nothing",
		"posts → the instance, at another high port":   "nothing",
		"posts → the instance, on the bridge":          "nothing",
		"posts → the instance's loopback":              "nothing",
		"posts → the agent, on the instance":           "nothing",
		"posts → the agent, on the bridge":             "nothing",
		"posts → the agent's credentials, directly":    "nothing",
		"posts → the agent's other port":               "nothing",
		"posts → the instance's metadata":              "nothing",
		"posts → the credentials of its own task role": "credentials",
		"posts → the load balancer":                    "outside",
		"posts → elsewhere":                            "outside",
	}
	compare := func(when string) {
		t.Helper()
		dials := engine.dials(t)
		gateway, users := engine.run(t, "inspect", "--format", "{{.NetworkSettings.Gateway}}", "posts"), engine.address(t, "users")
		maps.Copy(dials, map[string]string{
			"users → posts, by its port on the instance":     instance + ":" + engine.port(t, "posts", "3000/tcp"),
			"posts → posts, by its port on the instance":     instance + ":" + engine.port(t, "posts", "3000/tcp"),
			"posts → users, by its UDP port on the instance": "udp/" + instance + ":" + engine.port(t, "users", "8125/udp"),
			"posts → users, at a port that it keeps":         users + ":9999",
			"posts → the instance, at another high port":     instance + ":33000",
			"posts → the instance, on the bridge":            gateway + ":33000",
			"posts → the instance's loopback":                "127.0.0.1:33001",
			"posts → the agent's credentials, directly":      instance + ":51679",
			"posts → the agent's other port":                 instance + ":51680",
		})
		if diff := cmp.Diff(want, engine.reach(t, dials)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", when, diff)
		}
	}
	t.Setenv("PATH", standIns(t, dir)+":"+os.Getenv("PATH"))
	run(t, "bash", filepath.Join(dir, "user-data"))
	engine.stop(t) // for Docker's setting, if there are linked containers
	engine.start(t)
	engine.run(t, "start", "users", "posts")
	startUnit(t)
	compare("after the user data")
}

// boot gives the instance a file system of its own, an address, hosts outside, the ECS agent's
// parts of every instance, and a Docker engine with an image of the probe.
func boot(t *testing.T, dir string) *engine {
	t.Helper()
	mount := func(source, target, kind string, flags uintptr, data string) {
		t.Helper()
		if err := syscall.Mount(source, target, kind, flags, data); err != nil {
			t.Fatalf("mount %s on %s: %v", source, target, err)
		}
	}
	mount("none", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, "")
	mount("proc", "/proc", "proc", 0, "")
	mount("tmpfs", "/run", "tmpfs", 0, "")
	for _, target := range []string{"/etc", "/usr/local"} {
		layer := filepath.Join("/run/layers", target)
		for _, name := range []string{"upper", "work"} {
			if err := os.MkdirAll(filepath.Join(layer, name), 0o755); err != nil {
				t.Fatal(err)
			}
		}
		mount("overlay", target, "overlay", 0, fmt.Sprintf("lowerdir=%s,upperdir=%s/upper,workdir=%s/work", target, layer, layer))
	}
	for _, made := range []string{"/etc/docker", "/etc/ecs", "/etc/systemd/system", "/usr/local/sbin"} {
		if err := os.MkdirAll(made, 0o755); err != nil {
			t.Fatal(err)
		}
	}

	for _, args := range []string{
		"link set lo up",
		"netns add outside",
		"link add eth0 type veth peer name eth0 netns outside",
		"addr add " + instance + "/24 dev eth0",
		"link set eth0 up",
		"-n outside link set lo up",
		"-n outside addr add 10.0.1.20/24 dev eth0",
		"-n outside addr add 169.254.169.254/32 dev lo",
		"-n outside addr add 203.0.113.9/32 dev lo",
		"-n outside link set eth0 up",
		"route add default via 10.0.1.20",
	} {
		run(t, "ip", strings.Fields(args)...)
	}
	probe := filepath.Join(dir, "probe")
	serve(t, "ip", "netns", "exec", "outside", probe, "serve", "outside", loadBalancer, metadata, elsewhere)
	serve(t, probe, "serve", "introspection", "0.0.0.0:"+introspection)
	serve(t, probe, "serve", "credentials", "127.0.0.1:51679")
	// As by ecs-init on the ECS-optimized images
	// (https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-iam-roles.html).
	if err := os.WriteFile("/proc/sys/net/ipv4/conf/all/route_localnet", []byte("1"), 0); err != nil {
		t.Fatal(err)
	}
	run(t, "iptables", "-t", "nat", "-A", "PREROUTING", "-p", "tcp", "-d", "169.254.170.2", "--dport", "80",
		"-j", "DNAT", "--to-destination", "127.0.0.1:51679")

	if err := os.WriteFile(dockerFile, []byte(dockerConfig), 0o644); err != nil {
		t.Fatal(err)
	}
	t.Setenv("DOCKER_HOST", engineHost)
	engine := &engine{dir: dir}
	engine.start(t)
	load := engine.command("import", "-", "probe")
	load.Stdin = strings.NewReader(run(t, "tar", "-C", dir, "-cf", "-", "probe"))
	if out, err := load.CombinedOutput(); err != nil {
		t.Fatalf("docker import: %v: %s", err, out)
	}
	return engine
}

// standIns is a directory of programs that namespaces lack: systemctl, which starts
// the unit, and modprobe.
func standIns(t *testing.T, dir string) string {
	t.Helper()
	bin := filepath.Join(dir, "bin")
	if err := os.Mkdir(bin, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, script := range map[string]string{
		"systemctl": fmt.Sprintf("echo \"$@\" >> %s/systemctl.log\nif [ \"$1\" = enable ]; then eval \"$(sed -n s/^ExecStart=//p %s)\"; fi\n", dir, unitFile),
		// TestContainersAreKeptApart has loaded the module.
		"modprobe": "[ \"$*\" = br_netfilter ]\n",
	} {
		if err := os.WriteFile(filepath.Join(bin, name), []byte("#!/bin/sh\nset -e\n"+script), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return bin
}

// checkUnit checks the lines by which systemd starts the unit at every start of
// Docker, and the agent after the unit.
func checkUnit(t *testing.T) {
	t.Helper()
	lines := strings.Split(read(t, unitFile), "\n")
	for _, line := range []string{
		"After=docker.service", "Requires=docker.service", "PartOf=docker.service", "Before=ecs.service",
		"WantedBy=docker.service", "RequiredBy=ecs.service", "Type=oneshot", "RemainAfterExit=yes",
	} {
		if !slices.Contains(lines, line) {
			t.Errorf("%s has no line %s", unitFile, line)
		}
	}
	if _, err := exec.LookPath("systemd-analyze"); err != nil {
		t.Log("systemd-analyze is missing: systemd's own check of the unit is left out")
		return
	}
	for _, name := range []string{"docker", "ecs"} {
		if err := os.WriteFile("/etc/systemd/system/"+name+".service", []byte("[Service]\nExecStart=/bin/true\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if out, err := exec.Command("systemd-analyze", "verify", "--man=no", unitFile).CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("systemd finds fault with the unit: %v\n%s", err, out)
	}
}

// startUnit does what systemd does with the unit.
func startUnit(t *testing.T) {
	t.Helper()
	if out, err := unit(t).CombinedOutput(); err != nil {
		t.Fatalf("the unit fails: %v: %s", err, out)
	}
}

// unit is the program that the unit starts.
func unit(t *testing.T) *exec.Cmd {
	t.Helper()
	for line := range strings.Lines(read(t, unitFile)) {
		if command, ok := strings.CutPrefix(line, "ExecStart="); ok {
			fields := strings.Fields(command)
			return exec.Command(fields[0], fields[1:]...)
		}
	}
	t.Fatalf("%s starts nothing", unitFile)
	return nil
}

// engine is the instance's Docker engine.
type engine struct {
	dir   string
	cmd   *exec.Cmd
	ended chan error
}

func (e *engine) start(t *testing.T) {
	t.Helper()
	log, err := os.Create(filepath.Join(e.dir, "dockerd.log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	e.cmd = exec.Command("dockerd", "--host", engineHost, "--data-root", filepath.Join(e.dir, "data"), "--exec-root", "/run/docker",
		"--pidfile", "/run/docker.pid")
	e.cmd.Stdout, e.cmd.Stderr = log, log
	if err := e.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	e.ended = make(chan error, 1)
	go func() { e.ended <- e.cmd.Wait() }()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for limit := time.After(time.Minute); e.command("version").Run() != nil; {
		select {
		case <-tick.C:
		case err := <-e.ended:
			t.Fatalf("dockerd ended at its start: %v\n%s", err, read(t, log.Name()))
		case <-limit:
			t.Fatalf("dockerd did not come up in a minute:\n%s", read(t, log.Name()))
		}
	}
}

// stop also stops the containers, as a stop of docker.service does.
func (e *engine) stop(t *testing.T) {
	t.Helper()
	e.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-e.ended:
	case <-time.After(30 * time.Second):
		t.Error("dockerd did not stop in 30 s")
		e.cmd.Process.Kill()
		<-e.ended
	}
}

const engineHost = "unix:///run/docker.sock"

func (e *engine) command(args ...string) *exec.Cmd {
	return exec.Command("docker", args...)
}

func (e *engine) run(t *testing.T, args ...string) string {
	t.Helper()
	out, err := e.command(args...).CombinedOutput()
	if err != nil {
		t.Fatalf("docker %s: %v: %s", strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}

// serve starts a container as ECS does. It answers at the addresses with its name.
func (e *engine) serve(t *testing.T, name string, options []string, addresses ...string) {
	t.Helper()
	args := []string{"run", "--detach", "--name", name, "--user", "65532:65532", "--cap-drop", "ALL", "--security-opt", "no-new-privileges", "--read-only"}
	e.run(t, slices.Concat(args, options, []string{"probe", "/probe", "serve", name}, addresses)...)
}

// address is that of a container on the bridge.
func (e *engine) address(t *testing.T, container string) string {
	return e.run(t, "inspect", "--format", "{{.NetworkSettings.IPAddress}}", container)
}

// port is where the instance publishes a container's port.
func (e *engine) port(t *testing.T, container, port string) string {
	first, _, _ := strings.Cut(e.run(t, "port", container, port), "\n")
	return first[strings.LastIndex(first, ":")+1:]
}

// dials are the connections between two services, by what they are.
func (e *engine) dials(t *testing.T) map[string]string {
	t.Helper()
	gateway, port := e.run(t, "inspect", "--format", "{{.NetworkSettings.Gateway}}", "posts"), e.port(t, "users", "3000/tcp")
	return map[string]string{
		"the load balancer → users":                    instance + ":" + port,
		"the load balancer → posts":                    instance + ":" + e.port(t, "posts", "3000/tcp"),
		"posts → users, directly":                      e.address(t, "users") + ":3000",
		"posts → users, by its port on the instance":   instance + ":" + port,
		"posts → users, by its port on the bridge":     gateway + ":" + port,
		"posts → the agent, on the instance":           instance + ":" + introspection,
		"posts → the agent, on the bridge":             gateway + ":" + introspection,
		"posts → the instance's metadata":              metadata,
		"posts → the credentials of its own task role": credentials,
		"posts → the load balancer":                    loadBalancer,
		"posts → elsewhere":                            elsewhere,
	}
}

// reach returns who answers, for connections "WHO → …" with their addresses.
func (e *engine) reach(t *testing.T, dials map[string]string) map[string]string {
	t.Helper()
	// All at once, for a host that does not answer takes a second.
	var (
		mu      sync.Mutex
		answers = map[string]string{}
		group   errgroup.Group
	)
	for name, address := range dials {
		command := []string{"ip", "netns", "exec", "outside", filepath.Join(e.dir, "probe")}
		if from, _, _ := strings.Cut(name, " → "); from != "the load balancer" {
			command = []string{"docker", "exec", from, "/probe"}
		}
		args := slices.Concat(command[1:], []string{"dial", address})
		group.Go(func() error {
			out, err := exec.Command(command[0], args...).CombinedOutput()
			if err != nil {
				return fmt.Errorf("%s %s: %w: %s", command[0], strings.Join(args, " "), err, out)
			}
			answer := strings.TrimSpace(string(out))
			if strings.HasPrefix(answer, "nothing") {
				answer = "nothing"
			}
			mu.Lock()
			defer mu.Unlock()
			answers[name] = answer
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	return answers
}

// serve starts a program until the end of the instance, and waits until it is ready.
func serve(t *testing.T, name string, args ...string) {
	t.Helper()
	cmd := exec.Command(name, args...)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ready := make([]byte, len("ready"))
	if _, err := out.Read(ready); err != nil || string(ready) != "ready" {
		t.Fatalf("%s %s: %q, %v", name, strings.Join(args, " "), ready, err)
	}
}

func run(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v: %s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

func same(t *testing.T, file, want string) {
	t.Helper()
	if got := read(t, file); got != want {
		t.Errorf("%s is %q, want %q", file, got, want)
	}
}

func read(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

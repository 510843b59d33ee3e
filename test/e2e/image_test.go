package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	ecstypes "github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"cutover/internal/emulate"
)

// images pulls the image of each service from the registry as an instance does, and runs it by its task definition.
func images(t *testing.T, a *account, running *emulate.AWS) {
	env := running.Env()
	for _, s := range a.services(t) {
		d, _ := a.definition(t, s)
		t.Run(*s.ServiceName, func(t *testing.T) {
			t.Parallel()
			image(t, env, running.Registry(), d.ContainerDefinitions[0])
		})
	}
}

func docker(t *testing.T, env []string, args ...string) string {
	t.Helper()
	cmd := exec.Command("docker", args...)
	cmd.Env = env
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("docker %s: %v\n%s", strings.Join(args, " "), err, stderr.String())
	}
	return strings.TrimSpace(string(out))
}

// records is the number of the forum's records by service. The path of the monolith is that of its users.
var records = map[string]struct {
	path  string
	count int
}{
	"api":     {"/api/users", 4},
	"users":   {"/api/users", 4},
	"threads": {"/api/threads", 3},
	"posts":   {"/api/posts", 6},
}

func image(t *testing.T, env []string, registry string, c ecstypes.ContainerDefinition) {
	name := *c.Name
	_, path, _ := strings.Cut(*c.Image, "/")
	ref := registry + "/" + path
	docker(t, env, "rmi", "--no-prune", ref) // the CLI built it here
	docker(t, env, "pull", "--quiet", ref)

	// As the ECS agent runs the definition, but with the port on the loopback interface only.
	p := c.PortMappings[0]
	publish := fmt.Sprintf("127.0.0.1:%s:%d", strings.Replace(strconv.Itoa(int(*p.HostPort)), "0", "", 1), *p.ContainerPort)
	args := []string{"run", "--detach", "--network", "bridge", "--publish", publish,
		"--cpu-shares", strconv.Itoa(int(c.Cpu)), "--memory-reservation", fmt.Sprintf("%dm", *c.MemoryReservation), "--memory", fmt.Sprintf("%dm", *c.Memory),
		"--user", *c.User}
	if aws.ToBool(c.ReadonlyRootFilesystem) {
		args = append(args, "--read-only")
	}
	for _, o := range c.DockerSecurityOptions {
		args = append(args, "--security-opt", o)
	}
	for _, d := range c.LinuxParameters.Capabilities.Drop {
		args = append(args, "--cap-drop", d)
	}
	for _, e := range c.Environment {
		args = append(args, "--env", *e.Name+"="+*e.Value)
	}
	id := docker(t, env, append(args, ref)...)
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(docker(t, env, "logs", id))
		}
		docker(t, env, "rm", "--force", id)
	})

	address := docker(t, env, "port", id, fmt.Sprintf("%d/tcp", *p.ContainerPort))
	want := records[name]
	body := get(t, "http://"+address+want.path)
	var got []map[string]any
	if err := json.Unmarshal(body, &got); err != nil || len(got) != want.count {
		t.Errorf("GET %s: %s, want %d records (%v)", want.path, body, want.count, err)
	}
	docker(t, env, append([]string{"exec", id}, c.HealthCheck.Command[1:]...)...)

	began := time.Now()
	docker(t, env, "stop", "--time", strconv.Itoa(int(*c.StopTimeout)), id)
	if code := docker(t, env, "inspect", "--format", "{{.State.ExitCode}}", id); code != "0" {
		t.Errorf("docker stop: exit code %s after %s, want 0", code, time.Since(began).Round(time.Millisecond))
	}
}

// get asks until the service answers.
func get(t *testing.T, url string) []byte {
	t.Helper()
	client := http.Client{Timeout: 5 * time.Second}
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(20 * time.Second); ; <-tick.C {
		resp, err := client.Get(url)
		if err != nil {
			if time.Now().After(deadline) {
				t.Fatal(err)
			}
			continue
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if err != nil || resp.StatusCode != http.StatusOK {
			t.Fatalf("GET %s: %s %v", url, resp.Status, err)
		}
		return body
	}
}

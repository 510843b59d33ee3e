package emulate

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// A dockerEngine builds and pushes the images: the engine that runs already, or one of our own.
type dockerEngine struct {
	host   string // as in DOCKER_HOST; empty for the docker command's own choice
	config string // directory of the docker command's configuration
	legacy bool   // build without BuildKit, because the buildx plugin is missing
}

func (d dockerEngine) env() []string {
	out := []string{"DOCKER_CONFIG=" + d.config} // docker login writes there
	if d.host != "" {
		out = append(out, "DOCKER_HOST="+d.host)
	}
	if d.legacy {
		out = append(out, "DOCKER_BUILDKIT=0")
	}
	return out
}

// dockerRuns tells whether the docker command reaches an engine.
func dockerRuns(env []string) bool {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, "docker", "version")
	cmd.Env = append(os.Environ(), env...)
	return cmd.Run() == nil
}

// dockerMissing returns what this machine lacks for [StartDocker].
func dockerMissing() []string {
	if _, err := exec.LookPath("docker"); err != nil {
		return []string{"the docker command"}
	}
	if dockerRuns(nil) {
		return nil
	}
	if _, err := exec.LookPath("dockerd"); err != nil {
		return []string{"a running Docker engine, or dockerd to start one"}
	}
	if !isRoot() {
		return []string{"a running Docker engine (only root can start one with dockerd)"}
	}
	return nil
}

func (a *AWS) startDocker(ctx context.Context) error {
	a.docker.config = filepath.Join(a.dir, "docker-config")
	if err := os.Mkdir(a.docker.config, 0o700); err != nil {
		return err
	}
	a.docker.legacy = exec.Command("docker", "buildx", "version").Run() != nil
	// The engine's address may be in the user's Docker configuration, which env hides.
	host, stop, err := StartDocker(ctx, a.dir)
	if err != nil {
		return err
	}
	a.docker.host = host
	if stop == nil {
		stop = a.removeImages
	}
	a.onClose(stop)
	return nil
}

// StartDocker returns the address of the Docker engine that runs, or starts an engine with its files in a directory. Only
// root can start one. The address is as in DOCKER_HOST; it may be empty for an engine that ran already. Stop ends an
// engine that StartDocker has started, with its containers. For an engine that ran already it is nil.
func StartDocker(ctx context.Context, dir string) (host string, stop func() error, err error) {
	if dockerRuns(nil) {
		if host = os.Getenv("DOCKER_HOST"); host == "" {
			out, _ := exec.Command("docker", "context", "inspect", "--format", "{{.Endpoints.docker.Host}}").Output()
			host = strings.TrimSpace(string(out))
		}
		return host, nil, nil
	}
	log := filepath.Join(dir, "dockerd.log")
	dir = filepath.Join(dir, "docker")
	socket := filepath.Join(dir, "docker.sock")
	if err := os.Mkdir(dir, 0o700); err != nil {
		return "", nil, err
	}
	// The engine builds, pushes and runs images on this host. It needs no packet filter, and would not remove one. Its
	// userland proxy publishes ports.
	_, err = net.InterfaceByName("docker0")
	bridged := err == nil
	p, err := startProcess(log, os.Environ(), "dockerd",
		"--host", "unix://"+socket, "--data-root", filepath.Join(dir, "data"), "--exec-root", filepath.Join(dir, "exec"),
		"--pidfile", filepath.Join(dir, "docker.pid"), "--iptables=false", "--ip-forward=false")
	if err != nil {
		return "", nil, err
	}
	stop = func() error {
		p.stop(20 * time.Second)
		unmountBelow(dir)
		if !bridged {
			removeBridge("docker0")
		}
		return nil
	}
	host = "unix://" + socket
	if err := p.await(ctx, func() bool {
		_, err := os.Stat(socket)
		return err == nil && dockerRuns([]string{"DOCKER_HOST=" + host})
	}); err != nil {
		return "", nil, errors.Join(fmt.Errorf("starting a Docker engine: %w", err), stop())
	}
	return host, stop, nil
}

// removeImages removes our images from the user's engine: their names in our registry, and CDK's names for them.
func (a *AWS) removeImages() error {
	docker := func(args ...string) string {
		cmd := exec.Command("docker", args...)
		cmd.Env = append(os.Environ(), a.docker.env()...)
		out, _ := cmd.Output() // without an engine there are no images, and an image in use stays
		return string(out)
	}
	ours := map[string]bool{}
	images := slices.Collect(slices.Chunk(strings.Fields(docker("images", "--format", "{{.ID}} {{.Repository}}:{{.Tag}}")), 2))
	for _, i := range images {
		ours[i[0]] = ours[i[0]] || strings.HasPrefix(i[1], a.registry+"/")
	}
	for _, i := range images {
		if ours[i[0]] && (strings.HasPrefix(i[1], a.registry+"/") || strings.HasPrefix(i[1], "cdkasset-")) {
			docker("rmi", i[1])
		}
	}
	return nil
}

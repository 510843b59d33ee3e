package emulator

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// A dockerEngine is the engine that images are built and pushed with: the one that is running, or one of our own.
type dockerEngine struct {
	host   string // as in DOCKER_HOST; empty: the docker command's own choice
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

// dockerRuns reports whether the docker command reaches an engine.
func dockerRuns(env []string) bool {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, "docker", "version")
	cmd.Env = append(os.Environ(), env...)
	return cmd.Run() == nil
}

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
		return []string{"a running Docker engine (to start one with dockerd takes root)"}
	}
	return nil
}

func (a *AWS) startDocker(ctx context.Context) error {
	a.docker.config = filepath.Join(a.dir, "docker-config")
	if err := os.Mkdir(a.docker.config, 0o700); err != nil {
		return err
	}
	a.docker.legacy = exec.Command("docker", "buildx", "version").Run() != nil
	if dockerRuns(nil) {
		// The engine may have been found through a context of the configuration that env leaves aside.
		if a.docker.host = os.Getenv("DOCKER_HOST"); a.docker.host == "" {
			out, _ := exec.Command("docker", "context", "inspect", "--format", "{{.Endpoints.docker.Host}}").Output()
			a.docker.host = strings.TrimSpace(string(out))
		}
		a.onClose(a.removeImages)
		return nil
	}
	dir := filepath.Join(a.dir, "docker")
	socket := filepath.Join(dir, "docker.sock")
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	// The engine is for building, pushing and running images on this host: it needs no packet filter, which it would
	// leave behind. Ports are published by its userland proxy.
	_, err := net.InterfaceByName("docker0")
	bridged := err == nil
	p, err := startProcess(filepath.Join(a.dir, "dockerd.log"), os.Environ(), "dockerd",
		"--host", "unix://"+socket, "--data-root", filepath.Join(dir, "data"), "--exec-root", filepath.Join(dir, "exec"),
		"--pidfile", filepath.Join(dir, "docker.pid"), "--iptables=false", "--ip-forward=false")
	if err != nil {
		return err
	}
	a.onClose(func() error {
		p.stop(20 * time.Second)
		unmountBelow(dir)
		if !bridged {
			removeBridge("docker0")
		}
		return nil
	})
	a.docker.host = "unix://" + socket
	if err := p.await(ctx, func() bool {
		_, err := os.Stat(socket)
		return err == nil && dockerRuns([]string{"DOCKER_HOST=" + a.docker.host})
	}); err != nil {
		return fmt.Errorf("starting a Docker engine: %w", err)
	}
	return nil
}

// removeImages takes our images out of the user's engine.
func (a *AWS) removeImages() error {
	if a.registry == "" {
		return nil
	}
	list := exec.Command("docker", "images", "--format", "{{.ID}} {{.Repository}}:{{.Tag}}")
	list.Env = append(os.Environ(), a.docker.env()...)
	out, err := list.Output()
	if err != nil {
		return nil // the engine is gone, and the images with it
	}
	ours := map[string]bool{}
	for _, line := range strings.Split(string(out), "\n") {
		if id, name, _ := strings.Cut(line, " "); strings.HasPrefix(name, a.registry+"/") {
			ours[id] = true
		}
	}
	for _, line := range strings.Split(string(out), "\n") {
		id, name, _ := strings.Cut(line, " ")
		if ours[id] && (strings.HasPrefix(name, a.registry+"/") || strings.HasPrefix(name, "cdkasset-")) {
			rm := exec.Command("docker", "rmi", name)
			rm.Env = list.Env
			rm.Run() // an image in use stays
		}
	}
	return nil
}

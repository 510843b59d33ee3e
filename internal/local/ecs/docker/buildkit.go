package docker

import (
	"context"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"cutover/internal/assembly"
	"cutover/internal/dockerfile"
)

// buildKitFlags are flags of instructions that only BuildKit knows.
// https://docs.docker.com/reference/dockerfile/
var buildKitFlags = []string{"--mount", "--network", "--security", "--device", "--chmod", "--link", "--parents", "--exclude", "--checksum", "--keep-git-dir", "--unpack"}

// needsBuildKit says what of an image only BuildKit can build. Empty for nothing: then the engine's
// own builder does it. A Dockerfile that cannot be read is the builder's to refuse.
func needsBuildKit(asset *assembly.ImageAsset) string {
	switch {
	case len(asset.BuildSecrets) > 0:
		return "build secrets"
	case len(asset.BuildContexts) > 0:
		return "build contexts"
	case asset.BuildSSH != "":
		return "SSH at build time"
	}
	parsed, err := dockerfile.Read(filepath.Join(asset.Directory, asset.File()))
	if err != nil {
		return ""
	}
	for _, i := range parsed.Instructions {
		place := func(what string) string { return fmt.Sprintf("%s in line %d of its %s", what, i.Line, asset.File()) }
		for _, flag := range i.Flags {
			option, value, _ := strings.Cut(flag, "=")
			if slices.Contains(buildKitFlags, option) || i.Name == "FROM" && strings.Contains(value, "$") {
				return place(flag)
			}
		}
		if i.HereDocument {
			return place("a here-document")
		}
	}
	return ""
}

// buildx builds an image by the docker command, as the CDK command line does. The error has the last lines.
func (d *Driver) buildx(ctx context.Context, asset *assembly.ImageAsset, name string) error {
	args := []string{"buildx", "build", "--load", "--progress", "plain", "--tag", name, "--label", deploymentLabel + "=" + d.deployment,
		"--file", filepath.Join(asset.Directory, asset.File())}
	add := func(flag, value string) {
		if value != "" {
			args = append(args, flag, value)
		}
	}
	each := func(flag, format string, values map[string]string) {
		for _, key := range slices.Sorted(maps.Keys(values)) {
			add(flag, fmt.Sprintf(format, key, values[key]))
		}
	}
	add("--target", asset.Target)
	add("--platform", asset.Platform)
	add("--network", asset.NetworkMode)
	add("--ssh", asset.BuildSSH)
	each("--build-arg", "%s=%s", asset.BuildArgs)
	each("--secret", "id=%s,%s", asset.BuildSecrets)
	each("--build-context", "%s=%s", asset.BuildContexts)
	cmd := exec.CommandContext(ctx, "docker", append(args, asset.Directory)...)
	if d.host != "" {
		cmd.Env = append(os.Environ(), "DOCKER_HOST="+d.host)
	}
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("%w\n%s", err, lastLines(strings.Split(strings.TrimSpace(string(out)), "\n")))
	}
	return nil
}

// hasBuildx says whether the docker command can build with BuildKit.
func hasBuildx() bool { return exec.Command("docker", "buildx", "version").Run() == nil }

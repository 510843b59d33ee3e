package docker

import (
	"archive/tar"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/moby/moby/client"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"cutover/internal/assembly"
	"cutover/internal/local/ecs"
	"cutover/internal/local/ecs/volumes"
	"cutover/internal/model"
)

// build is an image of this driver. The lock is held while the image is made.
type build struct {
	mu   sync.Mutex
	name string // empty before the image is there
}

// Check says why an image is not available. See [ecs.Driver].
func (d *Driver) Check(whole *model.TaskDefinition, c model.Container) ([]ecs.PassedOver, error) {
	passed := slices.Concat(volumes.PassedOver(whole, c), ecs.HostPorts(whole, c))
	if c.Privileged {
		passed = append(passed, ecs.PassedOver{Setting: "Privileged", Why: "no container gets the rights of root on this machine"})
	}
	err := ecs.ImageError(c.Image)
	if asset := c.Image.Asset; err == nil && asset != nil {
		if what := needsBuildKit(asset); what != "" && !hasBuildx() {
			err = fmt.Errorf("its image needs BuildKit for %s: install the buildx plugin of the docker command, or leave that out", what)
		}
	}
	return passed, err
}

// Prepare makes an image available, so that a start does not have to wait for it. It calls tell if that takes long.
func (d *Driver) Prepare(ctx context.Context, image model.Image, tell func(string)) error {
	_, err := d.prepare(ctx, image, tell)
	return err
}

// prepare makes an image available and returns its name.
func (d *Driver) prepare(ctx context.Context, image model.Image, tell func(string)) (string, error) {
	key := image.Reference
	if image.Asset != nil {
		key = image.Asset.ID
	}
	known, _ := d.builds.LoadOrStore(key, &build{})
	b := known.(*build)
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.name != "" {
		return b.name, nil
	}
	var err error
	what := "pulls its image " + image.Reference
	if image.Asset != nil {
		what = "builds its image from " + image.Asset.Directory
	}
	defer time.AfterFunc(d.patience, func() { tell(what) }).Stop()
	if image.Asset != nil {
		b.name, err = d.build(ctx, image.Asset)
	} else if err = d.pull(ctx, image.Reference); err == nil {
		b.name = image.Reference
	}
	return b.name, err
}

// pull gets an image without credentials, unless the engine has it.
func (d *Driver) pull(ctx context.Context, reference string) error {
	_, err := d.engine.ImageInspect(ctx, reference)
	if err == nil || !cerrdefs.IsNotFound(err) {
		return err
	}
	pulling, err := d.engine.ImagePull(ctx, reference, client.ImagePullOptions{})
	if err == nil {
		err = pulling.Wait(ctx)
	}
	if err != nil {
		return fmt.Errorf("its image %s cannot be pulled: %w", reference, err)
	}
	return nil
}

// build builds the image of an asset with the engine's own builder. CDK has applied
// .dockerignore to the asset's directory.
func (d *Driver) build(ctx context.Context, asset *assembly.ImageAsset) (string, error) {
	name := "cutover/" + strings.ToLower(asset.ID)
	dockerfile := filepath.Join(asset.Directory, asset.File())
	if needsBuildKit(asset) != "" {
		if err := d.buildx(ctx, asset, name); err != nil {
			return "", fmt.Errorf("its image cannot be built from %s: %w", dockerfile, err)
		}
		return name, nil
	}
	options := client.ImageBuildOptions{
		Tags: []string{name}, Dockerfile: asset.File(), Target: asset.Target,
		NetworkMode: asset.NetworkMode, Remove: true, ForceRemove: true, BuildArgs: map[string]*string{},
		Labels: map[string]string{deploymentLabel: d.deployment},
	}
	version, err := d.engine.ServerVersion(ctx, client.ServerVersionOptions{})
	if err != nil {
		return "", err
	}
	builder := version.Os + "/" + version.Arch
	target := platform(cmp.Or(asset.Platform, builder))
	if asset.Platform != "" {
		options.Platforms = []ocispec.Platform{target}
	}
	arguments := platformArguments(target, platform(builder))
	maps.Copy(arguments, asset.BuildArgs)
	for key, value := range arguments {
		options.BuildArgs[key] = &value
	}
	buildContext, writer := io.Pipe()
	defer buildContext.Close() // ends the writing if the engine does not read all of it
	go func() {
		archive := tar.NewWriter(writer)
		err := archive.AddFS(os.DirFS(asset.Directory))
		writer.CloseWithError(errors.Join(err, archive.Close()))
	}()
	result, err := d.engine.ImageBuild(ctx, buildContext, options)
	if err != nil {
		return "", fmt.Errorf("its image cannot be built from %s: %w", asset.Directory, err)
	}
	defer result.Body.Close()
	if err := buildResult(result.Body); err != nil {
		return "", fmt.Errorf("its image cannot be built from %s: %w", dockerfile, err)
	}
	return name, nil
}

// platform reads a platform like linux/arm64/v8.
func platform(text string) (p ocispec.Platform) {
	p.OS, text, _ = strings.Cut(text, "/")
	p.Architecture, p.Variant, _ = strings.Cut(text, "/")
	return p
}

// platformArguments are the build arguments that BuildKit gives to each Dockerfile.
// https://docs.docker.com/reference/dockerfile/#automatic-platform-args-in-the-global-scope
func platformArguments(target, builder ocispec.Platform) map[string]string {
	arguments := map[string]string{}
	for prefix, p := range map[string]ocispec.Platform{"TARGET": target, "BUILD": builder} {
		arguments[prefix+"PLATFORM"] = strings.TrimSuffix(p.OS+"/"+p.Architecture+"/"+p.Variant, "/")
		arguments[prefix+"OS"], arguments[prefix+"ARCH"], arguments[prefix+"VARIANT"] = p.OS, p.Architecture, p.Variant
	}
	return arguments
}

// lastLines are the last lines of a build's output.
func lastLines(lines []string) string {
	const count = 20
	return strings.Join(lines[max(0, len(lines)-count):], "\n")
}

// buildResult reads the output of a build. The error has the last lines.
func buildResult(body io.Reader) error {
	var lines []string
	for decoder := json.NewDecoder(body); ; {
		var message struct {
			Stream string `json:"stream"`
			Error  string `json:"error"`
		}
		switch err := decoder.Decode(&message); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		case message.Error != "":
			return fmt.Errorf("%s\n%s", message.Error, lastLines(lines))
		}
		if line := strings.TrimSpace(message.Stream); line != "" {
			lines = append(lines, line)
		}
	}
}

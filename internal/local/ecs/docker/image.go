package docker

import (
	"archive/tar"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/moby/moby/client"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"cutover/internal/assembly"
	"cutover/internal/local/ecs"
	"cutover/internal/model"
)

// build is an image of this driver. The lock is held while the image is made.
type build struct {
	mu   sync.Mutex
	name string // empty before the image is there
}

// Check says why an image is not available. See [ecs.Driver].
func (d *Driver) Check(_ *model.TaskDefinition, c model.Container) ([]ecs.PassedOver, error) {
	return nil, ecs.ImageError(c.Image)
}

// prepare makes an image available and returns its name.
func (d *Driver) prepare(ctx context.Context, image model.Image) (string, error) {
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
	options := client.ImageBuildOptions{
		Tags: []string{name}, Dockerfile: cmp.Or(asset.Dockerfile, "Dockerfile"), Target: asset.Target,
		Remove: true, ForceRemove: true, BuildArgs: map[string]*string{},
		Labels: map[string]string{deploymentLabel: d.deployment},
	}
	for key, value := range asset.BuildArgs {
		options.BuildArgs[key] = &value
	}
	if asset.Platform != "" {
		system, architecture, _ := strings.Cut(asset.Platform, "/")
		architecture, variant, _ := strings.Cut(architecture, "/")
		options.Platforms = []ocispec.Platform{{OS: system, Architecture: architecture, Variant: variant}}
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
		return "", fmt.Errorf("its image cannot be built from %s: %w", filepath.Join(asset.Directory, options.Dockerfile), err)
	}
	return name, nil
}

// buildResult reads the output of a build. The error has the last lines.
func buildResult(body io.Reader) error {
	const lastLines = 20
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
			return fmt.Errorf("%s\n%s", message.Error, strings.Join(lines[max(0, len(lines)-lastLines):], "\n"))
		}
		if line := strings.TrimSpace(message.Stream); line != "" {
			lines = append(lines, line)
		}
	}
}

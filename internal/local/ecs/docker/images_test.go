package docker

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	images "cutover/internal/build"
	"cutover/internal/nightly"
)

var forum = []string{"api", "users", "threads", "posts"}

// TestServiceImages builds the images of the services as the CDK command line
// does, and looks into them. The first one is built again, from another directory.
func TestServiceImages(t *testing.T) {
	nightly.Test(t, "it builds the images of all services")
	newDriver(t) // says what is missing
	if _, err := exec.LookPath("docker"); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	here, err := filepath.Abs("../../../..")
	if err != nil {
		t.Fatal(err)
	}
	elsewhere := t.TempDir()
	for _, dir := range []string{"assets", "services"} {
		if err := os.CopyFS(filepath.Join(elsewhere, dir), os.DirFS(filepath.Join(here, dir))); err != nil {
			t.Fatal(err)
		}
	}
	for _, file := range []string{"go.mod", "go.sum"} {
		text, err := os.ReadFile(filepath.Join(here, file))
		if err == nil {
			err = os.WriteFile(filepath.Join(elsewhere, file), text, 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	built := serviceImages(t, here, forum...)
	for _, service := range forum {
		t.Run(service, func(t *testing.T) { inspect(t, service, built[service]) })
	}
	same(t, built[forum[0]], serviceImages(t, elsewhere, forum[0])[forum[0]])
}

// serviceImages builds images of a checkout.
func serviceImages(t *testing.T, root string, services ...string) map[string]v1.Image {
	if testing.Short() {
		t.Skip("slow: it builds images")
	}
	t.Helper()
	options := images.Options{Root: root, Arch: "amd64"}
	for _, service := range services {
		options.Services = append(options.Services, images.Service{Name: service, Dir: "services/" + service})
	}
	contexts, err := images.Build(t.Context(), options)
	if err != nil {
		t.Fatal(err)
	}
	// As CDK stages them.
	staged := t.TempDir()
	built := map[string]v1.Image{}
	for service, context := range contexts {
		if err := os.CopyFS(filepath.Join(staged, "asset."+service), os.DirFS(context)); err != nil {
			t.Fatal(err)
		}
	}
	if err := images.SetTimes(staged); err != nil {
		t.Fatal(err)
	}
	for service := range contexts {
		name := "cutover-image-test/" + service
		command(t, "build", "--quiet", "--no-cache", "--platform", "linux/amd64", "--tag", name,
			"--build-arg", images.TimeArgument+"="+strconv.FormatInt(images.Time.Unix(), 10), filepath.Join(staged, "asset."+service))
		file := filepath.Join(staged, service+".tar")
		command(t, "save", "--output", file, name)
		command(t, "rmi", name)
		if built[service], err = tarball.ImageFromPath(file, nil); err != nil {
			t.Fatal(err)
		}
	}
	return built
}

func command(t *testing.T, args ...string) {
	t.Helper()
	cmd := exec.Command("docker", args...)
	// The CDK command line leaves out attestations as well, which would be a second
	// manifest in the image.
	cmd.Env = append(os.Environ(), "BUILDX_NO_DEFAULT_ATTESTATIONS=1")
	if engineHost != "" {
		cmd.Env = append(cmd.Env, "DOCKER_HOST="+engineHost)
	}
	// Debian's docker has no BuildKit; see internal/emulate.
	if exec.Command("docker", "buildx", "version").Run() != nil {
		cmd.Env = append(cmd.Env, "DOCKER_BUILDKIT=0")
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("docker %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// inspect states what is in an image: one file, and nothing that would help
// anybody who is in it.
func inspect(t *testing.T, service string, image v1.Image) {
	t.Helper()
	config, err := image.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	want := v1.Config{User: "65532:65532", Entrypoint: []string{"/" + service}, ExposedPorts: map[string]struct{}{"3000/tcp": {}}}
	got := config.Config
	if slices.Equal(got.Env, []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}) {
		got.Env = nil // Docker's own default
	}
	if got.WorkingDir == "/" {
		got.WorkingDir = "" // the same
	}
	// What Docker's older builder remembers of how it built.
	got.Image, got.Hostname, got.Domainname = "", "", ""
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("configuration (-want +got):\n%s", diff)
	}

	layers, err := image.Layers()
	if err != nil {
		t.Fatal(err)
	}
	type file struct {
		Name     string
		Type     byte
		Mode     int64
		UID, GID int
		Time     time.Time
	}
	var files []file
	for _, layer := range layers {
		content, err := layer.Uncompressed()
		if err != nil {
			t.Fatal(err)
		}
		defer content.Close()
		archive := tar.NewReader(content)
		for {
			h, err := archive.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			files = append(files, file{h.Name, h.Typeflag, h.Mode & 0o7777, h.Uid, h.Gid, h.ModTime.UTC()})
			binary, err := io.ReadAll(archive)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.HasPrefix(binary, []byte("\x7fELF")) {
				t.Errorf("/%s is no binary", h.Name)
			}
		}
	}
	// 0755 of root: no setuid, no setgid, and not for the user to write.
	if diff := cmp.Diff([]file{{Name: service, Type: tar.TypeReg, Mode: 0o755, Time: images.Time.UTC()}}, files); diff != "" {
		t.Errorf("all files of the image (-want +got):\n%s", diff)
	}
}

// same states that two images have one digest, or, of Docker's older builder,
// which writes the time of building into an image, that nothing else differs.
func same(t *testing.T, a, b v1.Image) {
	t.Helper()
	one, err := a.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	other, err := b.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(one.RootFS, other.RootFS); diff != "" {
		t.Errorf("the layers of two builds (-first +second):\n%s", diff)
	}
	if one.Created.Equal(images.Time) {
		first, err := a.ConfigName()
		if err != nil {
			t.Fatal(err)
		}
		if second, err := b.ConfigName(); err != nil || first != second {
			t.Errorf("two builds have the ids %s and %s (%v)", first, second, err)
		}
		return
	}
	t.Logf("this builder does not heed %s: compared are the layers and the configuration, without the time of building", images.TimeArgument)
	timeless := func(c *v1.ConfigFile) *v1.ConfigFile {
		c = c.DeepCopy()
		c.Created, c.Container, c.Config.Image, c.Config.Hostname = v1.Time{}, "", "", ""
		for i := range c.History {
			c.History[i].Created = v1.Time{}
		}
		return c
	}
	if diff := cmp.Diff(timeless(one), timeless(other)); diff != "" {
		t.Errorf("the configurations of two builds (-first +second):\n%s", diff)
	}
}

package stacks_test

import (
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-cdk-go/awscdk/v2"

	"cutover/config"
	"cutover/deployment"
	"cutover/internal/assembly"
	"cutover/internal/nightly"
	"cutover/stacks"
)

// TestAssetTimes: what goes into an image runs, and says the same about when it was
// made, whoever synthesizes.
func TestAssetTimes(t *testing.T) {
	a := synth(t, nil)
	files := 0
	for _, stack := range a.Stacks {
		for _, image := range stack.Images {
			equal(t, stack.Name+"'s build arguments", map[string]string{"SOURCE_DATE_EPOCH": "0"}, image.BuildArgs)
			entries, err := os.ReadDir(image.Directory)
			if err != nil {
				t.Fatal(err)
			}
			for _, entry := range entries {
				if programs() && entry.Name() != "Dockerfile" && image.Platform == runtime.GOOS+"/"+runtime.GOARCH {
					out, err := exec.Command(filepath.Join(image.Directory, entry.Name()), "--version").CombinedOutput()
					if err != nil || !strings.HasPrefix(string(out), entry.Name()+" ") {
						t.Errorf("%s --version: %v, %s", entry.Name(), err, out)
					}
				}
				info, err := entry.Info()
				if err != nil {
					t.Fatal(err)
				}
				files++
				if info.ModTime().Unix() != 0 {
					t.Errorf("%s of %s was made at %s", entry.Name(), stack.Name, info.ModTime())
				}
			}
		}
	}
	equal(t, "files of all images: a binary and a Dockerfile for each", 2*len(deployment.Forum.All()), files)
}

// TestAssetHashes: an image's tag is the content of its build context, wherever the context
// lies. What goes into a context is the build's to say: see its TestWhatAnEditChanges.
func TestAssetHashes(t *testing.T) {
	nightly.Test(t, "it synthesizes with edited programs")
	context, here := cdkContext(t, nil), synth(t, nil)
	changed := func(what string, synthesize func(dir string) error) []string {
		t.Helper()
		dir := t.TempDir()
		if err := synthesize(dir); err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		there, err := assembly.Read(dir)
		if err != nil {
			t.Fatal(err)
		}
		return assembly.Changes(here, there)
	}
	equal(t, "changes of another synthesis", []string(nil), changed("again", func(dir string) error {
		return stacks.Synth(t.Context(), deployment.Forum, context, dir)
	}))

	edited := []string{monolith.Name, first.Name}
	var touched []string
	for _, line := range changed("elsewhere", func(dir string) error {
		return stacks.SynthWith(deployment.Forum, context, dir, func(services []config.Service, arch string) (map[string]string, error) {
			contexts, err := compiled(services, arch)
			copies := map[string]string{}
			for name, from := range contexts {
				copies[name] = t.TempDir()
				if err := os.CopyFS(copies[name], os.DirFS(from)); err != nil {
					return nil, err
				}
			}
			for _, name := range edited {
				file, err := os.OpenFile(filepath.Join(copies[name], name), os.O_APPEND|os.O_WRONLY, 0)
				if err != nil {
					return nil, err
				}
				if _, err := file.WriteString("."); err != nil {
					return nil, err
				}
				file.Close()
			}
			return copies, err
		}, func(awscdk.App) {})
	}) {
		touched = append(touched, strings.Fields(line)[1])
	}
	equal(t, "stacks that a change of two programs elsewhere changes", []string{"dev-" + config.Pascal(monolith.Name), "dev-" + config.Pascal(first.Name)}, touched)
}

// An image of a Dockerfile is built with what the configuration says, and with nothing else. It goes to
// the service's own repository.
func TestDockerfileImages(t *testing.T) {
	a := synthOwn(t)
	images := map[string]assembly.ImageAsset{}
	for _, image := range a.Stack("dev-Orders").Images {
		images[image.Dockerfile] = image
	}
	equal(t, "images", 2, len(images))
	orders, cache := images["images/Dockerfile"], images[""]
	equal(t, "build arguments", map[string]string{"GREETING": "hello"}, orders.BuildArgs)
	equal(t, "target", "release", orders.Target)
	equal(t, "build arguments by default", 0, len(cache.BuildArgs))
	equal(t, "target by default", "", cache.Target)
	for _, image := range images {
		equal(t, "platform", "linux/amd64", image.Platform)
		equal(t, "destinations", 1, len(image.Destinations))
		equal(t, "repository", "orders", image.Destinations[0].Repository)
		equal(t, "tag", "v1-"+strings.TrimPrefix(filepath.Base(image.Directory), "asset."), image.Destinations[0].Tag)
	}
	equal(t, "context: .dockerignore leaves notes.txt out", []string{".dockerignore", "images/Dockerfile", "index.html"}, contextFiles(t, orders.Directory))
	for _, stack := range []string{"dev-Pages", "dev-Shop"} {
		equal(t, "images of "+stack, 0, len(a.Stack(stack).Images))
	}

	// The template is the same on every machine.
	for _, stack := range a.Stacks {
		text, err := os.ReadFile(filepath.Join(a.Dir, stack.Name+".template.json"))
		if err != nil {
			t.Fatal(err)
		}
		for _, place := range []string{scratch, "testdata"} {
			if strings.Contains(string(text), place) {
				t.Errorf("the template of %s has the path %s", stack.Name, place)
			}
		}
	}
}

// contextFiles lists the files of a build context. Their times are those of all images.
func contextFiles(t *testing.T, dir string) []string {
	t.Helper()
	var files []string
	err := filepath.WalkDir(dir, func(file string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		name, err := filepath.Rel(dir, file)
		files = append(files, filepath.ToSlash(name))
		if info, err := os.Stat(file); err == nil && info.ModTime().Unix() != 0 {
			t.Errorf("%s was made at %s", file, info.ModTime())
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// A tag depends on what is in an image, and on nothing else: not on where the context is, or when it
// was made.
func TestTagsOfDockerfileImages(t *testing.T) {
	place := inBuild(t)
	if err := os.CopyFS(place, os.DirFS("stacks/testdata/orders")); err != nil {
		t.Fatal(err)
	}
	base := config.Dockerfile{Dir: "stacks/testdata/orders", File: "images/Dockerfile"}
	with := func(change func(*config.Dockerfile)) config.Image {
		image := base
		change(&image)
		return image
	}
	d := alike(5)
	for i, image := range []config.Image{
		base, with(func(i *config.Dockerfile) { i.Dir = place }), with(func(i *config.Dockerfile) { i.Platform = "linux/amd64" }),
		with(func(i *config.Dockerfile) { i.BuildArgs = map[string]string{"GREETING": "hello"} }), with(func(i *config.Dockerfile) { i.Target = "debug" }),
	} {
		d.Services[i].Image, d.Services[i].Command = image, []string{fmt.Sprint(i)}
	}
	a := synthQuickly(t, d, nil)
	var tags []string
	for i := range d.Services {
		tags = append(tags, a.Stack(fmt.Sprintf("dev-S%02d", i)).Images[0].Destinations[0].Tag)
	}
	equal(t, "tags of the same image", []string{tags[0], tags[0]}, tags[1:3])
	slices.Sort(tags)
	equal(t, "different tags", 3, len(slices.Compact(tags)))
}

// inBuild makes a directory for a test, as a path from the repository's root.
func inBuild(t *testing.T) string {
	t.Helper()
	if err := os.MkdirAll("build", 0o755); err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("build", "test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// A Dockerfile at the root of the repository builds the repository, but neither the assembly that is
// being written nor the state of what runs here, which has secrets. Links are links, wherever they lead.
func TestContextAtTheRoot(t *testing.T) {
	dir := inBuild(t)
	for name, text := range map[string]string{"Dockerfile": "FROM scratch\n", "index.js": "", ".cutover/secrets.env": "KEY=value\n", "cdk.out/old": "", "app/.cutover/notes": ""} {
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("nowhere", filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	d := alike(1)
	d.Services[0].Image = config.Dockerfile{Dir: dir}
	out, err := filepath.Abs(filepath.Join(dir, "cdk.out"))
	if err != nil {
		t.Fatal(err)
	}
	if err := stacks.SynthWith(d, cdkContext(t, nil), out, compiled, validated); err != nil {
		t.Fatal(err)
	}
	a, err := assembly.Read(out)
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "context", []string{"Dockerfile", "app/.cutover/notes", "index.js", "link"}, contextFiles(t, a.Stack("dev-S00").Images[0].Directory))
}

// With images in registries alone there are no repositories, and nothing is built or pushed.
func TestRegistryImagesOnly(t *testing.T) {
	dir := filepath.Join(scratch, "registries")
	if err := stacks.SynthWith(alike(1), cdkContext(t, settings{"phase": "removed"}), dir, compiled, validated); err != nil {
		t.Fatal(err)
	}
	a, err := assembly.Read(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, stack := range a.Stacks {
		if len(stack.Images) > 0 || strings.HasSuffix(stack.Name, "-Registry") {
			t.Errorf("there is %s, with %d images", stack.Name, len(stack.Images))
		}
	}
	equal(t, "left of the monolith", []string{"LogGroupF5B46931"}, slices.Collect(maps.Keys(a.Stack("dev-Shop").Template["Resources"].(object))))
}

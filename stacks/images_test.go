package stacks_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
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
				if entry.Name() != "Dockerfile" && image.Platform == runtime.GOOS+"/"+runtime.GOARCH {
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

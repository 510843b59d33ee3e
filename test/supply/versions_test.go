package supply

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"
)

var exact = regexp.MustCompile(`^\d+\.\d+\.\d+$`)

// TestVersionsArePinned: whoever builds this next year gets what was tested, the
// compiler among it. Go modules are pinned by go.sum, npm packages by their lock
// files, actions by [TestWorkflows].
func TestVersionsArePinned(t *testing.T) {
	read := func(file string, into any) {
		t.Helper()
		text, err := os.ReadFile(root + "/" + file)
		if err == nil {
			err = json.Unmarshal(text, into)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, dir := range []string{"", "bench/peer/", "bench/peer/koa/"} {
		var manifest struct {
			Dependencies, DevDependencies map[string]string
		}
		read(dir+"package.json", &manifest)
		for _, dependencies := range []map[string]string{manifest.Dependencies, manifest.DevDependencies} {
			for name, version := range dependencies {
				if !exact.MatchString(version) {
					t.Errorf("%spackage.json takes %s in any version of %s", dir, name, version)
				}
			}
		}
		var lock struct {
			Packages map[string]struct {
				Integrity string
				InBundle  bool
			}
		}
		read(dir+"package-lock.json", &lock)
		for name, p := range lock.Packages {
			if name != "" && p.Integrity == "" && !p.InBundle {
				t.Errorf("%spackage-lock.json has no checksum of %s", dir, name)
			}
		}
	}

	edit := exec.Command("go", "mod", "edit", "-json")
	edit.Dir = root
	out, err := edit.Output()
	if err != nil {
		t.Fatal(err)
	}
	var module struct{ Toolchain string }
	if err := json.Unmarshal(out, &module); err != nil {
		t.Fatal(err)
	}
	if !regexp.MustCompile(`^go\d+\.\d+\.\d+$`).MatchString(module.Toolchain) {
		t.Errorf("go.mod names the toolchain %q, want one version", module.Toolchain)
	}

	workflows, err := filepath.Glob(root + "/.github/workflows/*.yml")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range workflows {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, line := range regexp.MustCompile(`pip install (.+)`).FindAllSubmatch(text, -1) {
			for _, requirement := range regexp.MustCompile(`[^\s']+`).FindAllString(string(line[1]), -1) {
				if !regexp.MustCompile(`^[\w.\[\]-]+==\d+(\.\d+)+$`).MatchString(requirement) {
					t.Errorf("%s installs %s in any version", file, requirement)
				}
			}
		}
		if regexp.MustCompile(`runs-on: .*latest`).Match(text) {
			t.Errorf("%s runs on whatever image is the latest", file)
		}
	}
}

package supply

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var exact = regexp.MustCompile(`^\d+\.\d+\.\d+$`)

// TestVersionsArePinned: a build next year uses the versions that were tested, with
// the same compiler. go.sum pins Go modules, lock files pin npm packages, and
// [TestWorkflows] checks actions.
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
	for _, dir := range []string{"", "bench/peer/", "bench/peer/express/", "bench/peer/koa/", "examples/adopt/existing/", "examples/typescript/"} {
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
	var module struct {
		Toolchain string
		Require   []struct{ Path, Version string }
	}
	if err := json.Unmarshal(out, &module); err != nil {
		t.Fatal(err)
	}
	// A test compares the JavaScript twin's templates with the app's.
	for _, dir := range []string{"bench/peer", "examples/adopt/existing", "examples/typescript"} {
		var app struct{ Dependencies map[string]string }
		read(dir+"/package.json", &app)
		for name, path := range map[string]string{"aws-cdk-lib": "github.com/aws/aws-cdk-go/awscdk/v2", "constructs": "github.com/aws/constructs-go/constructs/v10"} {
			version := ""
			for _, r := range module.Require {
				if r.Path == path {
					version = r.Version
				}
			}
			if "v"+app.Dependencies[name] != version {
				t.Errorf("%s has %s %s, and go.mod %s %s: make upgrade-cdk changes both", dir, name, app.Dependencies[name], path, version)
			}
		}
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

// TestUpgradeRefuses: an upgrade does not start among other changes, nor with
// something that is no version.
func TestUpgradeRefuses(t *testing.T) {
	dir := t.TempDir()
	script, err := os.ReadFile(root + "/.ci/upgrade-cdk")
	if err == nil {
		err = os.Mkdir(filepath.Join(dir, ".ci"), 0o755)
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, ".ci", "upgrade-cdk"), script, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("git", "-C", dir, "init", "--quiet").CombinedOutput(); err != nil {
		t.Fatalf("git init: %v\n%s", err, out)
	}
	for version, want := range map[string]string{
		"":       "the working tree has changes",
		"2.0.0":  "?? .ci/",
		"2":      "VERSION=2 is no version of CDK 2: it looks like 2.270.0",
		"3.0.0":  "VERSION=3.0.0 is no version of CDK 2",
		"latest": "VERSION=latest is no version of CDK 2",
	} {
		out, err := exec.Command(filepath.Join(dir, ".ci", "upgrade-cdk"), version).CombinedOutput()
		if err == nil || !strings.Contains(string(out), want) {
			t.Errorf("VERSION=%s ends with %v and says %q, want %q", version, err, out, want)
		}
	}
}

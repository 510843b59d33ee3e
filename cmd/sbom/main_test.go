package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	cdx "github.com/CycloneDX/cyclonedx-go"
	"github.com/google/go-cmp/cmp"

	"cutover/internal/nightly"
)

// TestSbom compares what the bills of materials list with what the go command
// says that the services are built from.
func TestSbom(t *testing.T) {
	nightly.Test(t, "it compiles services twice")
	t.Chdir("../..")
	out := t.TempDir()
	services := []string{"api", "users", "threads", "posts"}
	write := func(dir string) {
		t.Helper()
		var stderr bytes.Buffer
		if err := run(t.Context(), append([]string{"-out", dir}, services...), &bytes.Buffer{}, &stderr); err != nil {
			t.Fatalf("%v\n%s", err, stderr.String())
		}
	}
	write(out)
	for _, service := range services {
		text, err := os.ReadFile(filepath.Join(out, service+".json"))
		if err != nil {
			t.Fatal(err)
		}
		var bom cdx.BOM
		if err := cdx.NewBOMDecoder(bytes.NewReader(text), cdx.BOMFileFormatJSON).Decode(&bom); err != nil {
			t.Fatalf("%s: %v", service, err)
		}
		binary, err := os.ReadFile(filepath.Join("build/images/amd64", service, service))
		if err != nil {
			t.Fatal(err)
		}
		sum := sha256.Sum256(binary)
		subject := bom.Metadata.Component
		if subject.Name != service || (*subject.Hashes)[0].Value != hex.EncodeToString(sum[:]) {
			t.Errorf("%s describes %s with the hash %v", service, subject.Name, *subject.Hashes)
		}

		want := map[string]string{"std": strings.TrimPrefix(runtime.Version(), "go")}
		list := exec.CommandContext(t.Context(), "go", "list", "-deps", "-json=Module", "./services/"+service)
		list.Env = append(os.Environ(), "GOOS=linux", "GOARCH=amd64", "CGO_ENABLED=0")
		packages, err := list.Output()
		if err != nil {
			t.Fatal(err)
		}
		for decoder := json.NewDecoder(bytes.NewReader(packages)); decoder.More(); {
			var p struct {
				Module *struct {
					Path, Version string
					Main          bool
				}
			}
			if err := decoder.Decode(&p); err != nil {
				t.Fatal(err)
			}
			if p.Module != nil && !p.Module.Main {
				want[p.Module.Path] = p.Module.Version
			}
		}
		got := map[string]string{}
		for _, c := range *bom.Components {
			got[c.Name] = c.Version
			if want := "pkg:golang/" + c.Name + "@" + c.Version; c.PackageURL != want {
				t.Errorf("%s: %s is identified as %s, want %s", service, c.Name, c.PackageURL, want)
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("components of %s (-want +got):\n%s", service, diff)
		}
	}

	again := t.TempDir()
	write(again)
	for _, service := range services {
		a, _ := os.ReadFile(filepath.Join(out, service+".json"))
		b, err := os.ReadFile(filepath.Join(again, service+".json"))
		if err != nil || !bytes.Equal(a, b) {
			t.Errorf("%s: two bills of materials of one source differ (%v)", service, err)
		}
	}
}

// TestDependenciesAreListed describes a binary that has dependencies, this test.
func TestDependenciesAreListed(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	bom, err := describe("sbom", self)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range *bom.Components {
		if c.Name == "github.com/CycloneDX/cyclonedx-go" {
			if c.PackageURL != "pkg:golang/github.com/CycloneDX/cyclonedx-go@"+c.Version || c.Version == "" || !strings.HasPrefix((*c.Properties)[0].Value, "h1:") {
				t.Errorf("it is described as %+v", c)
			}
			return
		}
	}
	t.Errorf("the bill of materials does not have the library that writes it: %+v", *bom.Components)
}

func TestWhatIsNoServiceIsRefused(t *testing.T) {
	t.Chdir("../..")
	err := run(t.Context(), []string{"-out", t.TempDir(), "nothing"}, &bytes.Buffer{}, &bytes.Buffer{})
	if err == nil || !strings.Contains(err.Error(), "there is no directory services/nothing") {
		t.Errorf("error %v", err)
	}
}

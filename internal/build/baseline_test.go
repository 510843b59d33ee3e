package build

import (
	"debug/buildinfo"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"syscall"
	"testing"
)

// A binary runs on all instance types of its architecture.
func TestBaselines(t *testing.T) {
	root := module(t)
	for arch, want := range map[string]debug.BuildSetting{"amd64": {Key: "GOAMD64", Value: "v1"}, "arm64": {Key: "GOARM64", Value: "v8.0"}} {
		contexts, _ := build(t, root, arch, cart)
		info, err := buildinfo.ReadFile(filepath.Join(contexts["cart"], "cart"))
		if err != nil || !slices.Contains(info.Settings, want) {
			t.Errorf("%s: built as\n%v, %v, want %v", arch, info, err, want)
		}
	}
}

// The umask of the user decides no mode of a file in the image.
func TestUmask(t *testing.T) {
	defer syscall.Umask(syscall.Umask(0o077))
	contexts, _ := build(t, module(t), "amd64", cart)
	for name, want := range map[string]os.FileMode{"cart": 0o755, "Dockerfile": 0o644} {
		if info, err := os.Stat(filepath.Join(contexts["cart"], name)); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s has mode %v, %v, want %v", name, info.Mode().Perm(), err, want)
		}
	}
}

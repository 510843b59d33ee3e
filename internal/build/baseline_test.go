package build

import (
	"debug/buildinfo"
	"path/filepath"
	"runtime/debug"
	"slices"
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

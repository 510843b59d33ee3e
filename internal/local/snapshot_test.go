package local

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// The directory is this user's alone: also if somebody made it for all, and everything above it
// that was missing.
func TestMakeDir(t *testing.T) {
	base := t.TempDir()
	open, below, file, shared := filepath.Join(base, "open"), filepath.Join(base, "new", "state"), filepath.Join(base, "file"), filepath.Join(base, "shared")
	if err := errors.Join(os.Mkdir(open, 0o755), os.Chmod(open, 0o775), os.WriteFile(file, nil, 0o644), os.Mkdir(shared, 0o777), os.Chmod(shared, 0o777|os.ModeSticky)); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{open, below, open} {
		if err := MakeDir(dir); err != nil {
			t.Error(err)
		}
	}
	for _, dir := range []string{open, below, filepath.Dir(below)} {
		if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
			t.Errorf("%s has the mode %v (%v)", dir, info.Mode(), err)
		}
	}
	for dir, want := range map[string]string{open: "", below: "*\n"} {
		if text, _ := os.ReadFile(filepath.Join(dir, ".gitignore")); string(text) != want {
			t.Errorf("in %s git ignores %q, want %q", dir, text, want)
		}
	}
	for dir, want := range map[string]string{file: "not a directory", shared: "others use it, too"} {
		if err := MakeDir(dir); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), dir) {
			t.Errorf("%s: %v, want %q", dir, err, want)
		}
	}
	if info, _ := os.Stat(shared); info.Mode().Perm() != 0o777 {
		t.Errorf("a shared directory has the mode %v now", info.Mode())
	}
}

// A copy of an assembly has regular files and directories, with the links within an asset. Nothing
// is written through a link, and nothing waits for a pipe.
func TestCopyAssembly(t *testing.T) {
	outside := filepath.Join(t.TempDir(), "outside")
	if err := os.WriteFile(outside, []byte("as it was"), 0o644); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		add  func(dir string) error
		want string
	}{
		"a link to a file":      {func(dir string) error { return os.Symlink(outside, filepath.Join(dir, "manifest.json")) }, ""},
		"a link in an asset":    {func(dir string) error { return os.Symlink(outside, filepath.Join(dir, "asset.1", "link")) }, ""},
		"a link to a directory": {func(dir string) error { return os.Symlink(filepath.Dir(outside), filepath.Join(dir, "asset.2")) }, "asset.2 is not a regular file"},
		"a pipe":                {func(dir string) error { return syscall.Mkfifo(filepath.Join(dir, "pipe"), 0o644) }, "pipe is not a regular file"},
		"a pipe in an asset":    {func(dir string) error { return syscall.Mkfifo(filepath.Join(dir, "asset.1", "pipe"), 0o644) }, "pipe"},
		"a device":              {func(dir string) error { return os.Symlink("/dev/zero", filepath.Join(dir, "zero")) }, "zero is not a regular file"},
	} {
		from, base := t.TempDir(), t.TempDir()
		if err := errors.Join(os.Mkdir(filepath.Join(from, "asset.1"), 0o755), test.add(from)); err != nil {
			t.Fatal(err)
		}
		first, second := filepath.Join(base, "1"), filepath.Join(base, "2")
		err := copyAssembly(from, first, "")
		if err == nil {
			err = copyAssembly(from, second, first)
		}
		if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want %q", name, err, test.want)
		}
	}
	if text, _ := os.ReadFile(outside); string(text) != "as it was" {
		t.Errorf("the file outside is %q", text)
	}
}

// A deployment's directory may be in the assembly that it runs.
func TestCopyAssemblyAroundTheCopy(t *testing.T) {
	from := t.TempDir()
	to := filepath.Join(from, ".cutover", "assemblies", "1")
	if err := errors.Join(os.WriteFile(filepath.Join(from, "manifest.json"), nil, 0o644), os.Mkdir(filepath.Join(from, ".cut"), 0o755), os.Mkdir(filepath.Join(from, ".cutover"), 0o755)); err != nil {
		t.Fatal(err)
	}
	if err := copyAssembly(from, to, ""); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(to)
	if err != nil || len(entries) != 2 || entries[0].Name() != ".cut" || entries[1].Name() != "manifest.json" {
		t.Errorf("copied were %v (%v)", entries, err)
	}
}

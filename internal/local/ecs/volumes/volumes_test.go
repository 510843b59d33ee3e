package volumes

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"cutover/internal/model"
)

// What a process of this user wrote is for a container's user to change, and nothing outside is.
func TestShare(t *testing.T) {
	root, outside := t.TempDir(), filepath.Join(t.TempDir(), "file")
	if err := Share(filepath.Join(root, "nothing")); err != nil {
		t.Error(err)
	}
	directory, err := Directory(root, model.TaskVolume{Name: "v", Shared: true})
	if err != nil {
		t.Fatal(err)
	}
	below, file, program := filepath.Join(directory, "below"), filepath.Join(directory, "below", "file"), filepath.Join(directory, "program")
	if err := errors.Join(os.WriteFile(outside, nil, 0o600), os.Mkdir(below, 0o700), os.WriteFile(file, nil, 0o600), os.WriteFile(program, nil, 0o700), os.Symlink(outside, filepath.Join(directory, "link"))); err != nil {
		t.Fatal(err)
	}
	before, err := os.Stat(root)
	if err != nil {
		t.Fatal(err)
	}
	if err := Share(root); err != nil {
		t.Error(err)
	}
	for name, want := range map[string]fs.FileMode{directory: 0o777, below: 0o777, file: 0o666, program: 0o766, outside: 0o600, root: before.Mode().Perm()} {
		if info, err := os.Stat(name); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s has the mode %v, want %v (%v)", name, info.Mode().Perm(), want, err)
		}
	}
	if again, err := Directory(root, model.TaskVolume{Name: "v", Shared: true}); err != nil || again != directory {
		t.Errorf("the directory is %s and then %s (%v)", directory, again, err)
	}
}

func TestName(t *testing.T) {
	for want, v := range map[string]model.TaskVolume{
		"efs/fs-1":            {EFS: &model.EFSVolume{FileSystem: "fs-1", RootDirectory: "/"}},
		"efs/fs-1/a/b":        {EFS: &model.EFSVolume{FileSystem: "fs-1", RootDirectory: "/a/../a/b/"}},
		"efs/S.F/S.A":         {EFS: &model.EFSVolume{FileSystem: "S/F", AccessPoint: "S/A", RootDirectory: "/"}},
		"efs/_../x":           {EFS: &model.EFSVolume{FileSystem: "..", RootDirectory: "../../x"}},
		"efs/_/_..":           {EFS: &model.EFSVolume{AccessPoint: ".."}},
		"efs/a%20b%5C/x":      {EFS: &model.EFSVolume{FileSystem: `a b\`, AccessPoint: "x"}},
		"host":                {HostPath: "/"},
		"host/var/run/x.sock": {HostPath: "/var/run/x.sock"},
		"shared/a":            {Name: "a", Shared: true},
	} {
		if got := Name(v); got != want {
			t.Errorf("%+v is in %s, want %s", v, got, want)
		}
		if !Kept(v) {
			t.Errorf("%+v goes with its task", v)
		}
	}
	if Kept(model.TaskVolume{Name: "v", Driver: "local"}) {
		t.Error("a task's own volume is kept")
	}
}

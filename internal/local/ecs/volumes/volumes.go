// Package volumes keeps the directories of this machine that stand for the volumes of tasks.
//
// A directory of an instance, a shared volume of Docker and a file system of EFS outlive tasks and
// deployments. All tasks that name them see one directory. Everybody may write there, because
// containers have users of their own: a directory above keeps other users of this machine out.
package volumes

import (
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"strings"

	"cutover/internal/local/ecs"
	"cutover/internal/model"
)

// PassedOver says what does not hold of a container's volumes that are kept.
func PassedOver(whole *model.TaskDefinition, c model.Container) (all []ecs.PassedOver) {
	for i, mount := range c.Mounts {
		setting := fmt.Sprintf("MountPoints[%d]", i)
		switch v := whole.Volume(mount); {
		case v.Driver != "" && v.Driver != "local":
			all = append(all, ecs.PassedOver{Setting: setting, Why: "a volume is a directory of this machine, whatever its driver"})
		case v.EFS != nil:
			all = append(all, ecs.PassedOver{Setting: setting, Why: "a file system of EFS is a directory of this machine, below volumes/efs, without IAM and the users of access points"})
		case v.HostPath != "":
			all = append(all, ecs.PassedOver{Setting: setting, Why: "a directory of the instance is a directory of this machine, below volumes/host, and empty at first"})
		}
	}
	return all
}

// Kept says whether a volume outlives its tasks.
func Kept(v model.TaskVolume) bool { return v.HostPath != "" || v.Shared || v.EFS != nil }

// Share lets everybody write what is below root, as far as it is this user's: containers have other
// users than processes. A root that is not there has nothing.
func Share(root string) error {
	below, err := os.OpenRoot(root)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	} else if err != nil {
		return err
	}
	defer below.Close()
	return fs.WalkDir(below.FS(), ".", func(name string, entry fs.DirEntry, err error) error {
		if err == nil && name != "." && (entry.IsDir() || entry.Type().IsRegular()) {
			var info fs.FileInfo
			if info, err = entry.Info(); err == nil {
				mode := info.Mode().Perm() | 0o666
				if entry.IsDir() {
					mode |= 0o777
				}
				err = below.Chmod(name, mode)
			}
		}
		if errors.Is(err, fs.ErrPermission) || errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	})
}

// Directory makes and returns the directory below root for a volume that is kept:
//
//	efs/FILESYSTEM/ACCESS_POINT    an access point of EFS
//	efs/FILESYSTEM/PATH            a directory of EFS without an access point
//	host/PATH                      a directory of the instance
//	shared/NAME                    a shared volume of Docker
//
// The error says that a link leads out of root.
func Directory(root string, v model.TaskVolume) (string, error) {
	name := Name(v)
	if err := os.MkdirAll(root, 0o755); err != nil {
		return "", err
	}
	below, err := os.OpenRoot(root)
	if err != nil {
		return "", err
	}
	defer below.Close()
	// Whoever runs the containers may have made the directory before.
	if err := below.MkdirAll(name, 0o777); err != nil {
		return "", err
	}
	if err := below.Chmod(name, 0o777); err != nil && !errors.Is(err, fs.ErrPermission) {
		return "", err
	}
	return filepath.Join(root, name), nil
}

// Name is the directory of a volume that is kept, relative to the directory of all.
func Name(v model.TaskVolume) string {
	switch {
	case v.EFS != nil && v.EFS.AccessPoint != "":
		return path.Join("efs", part(v.EFS.FileSystem), part(v.EFS.AccessPoint))
	case v.EFS != nil:
		return path.Join("efs", part(v.EFS.FileSystem), path.Clean("/"+v.EFS.RootDirectory))
	case v.HostPath != "":
		return path.Join("host", path.Clean("/"+v.HostPath))
	}
	return path.Join("shared", part(v.Name))
}

// part makes one part of a path of a name or of a key, "stack/logical id".
func part(name string) string {
	name = url.PathEscape(strings.ReplaceAll(name, "/", "."))
	if strings.Trim(name, ".") == "" {
		name = "_" + name
	}
	return name
}

package local

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"cutover/internal/assembly"
)

// snapshot copies an assembly into the deployment's directory, so that what runs
// does not change under it, and reads it.
func (r *Runner) snapshot(dir string) (*assembly.Assembly, error) {
	// Without one it is no assembly, and may be anything else to copy.
	if _, err := os.Stat(filepath.Join(dir, "manifest.json")); err != nil {
		if _, err := assembly.Read(dir); err != nil {
			return nil, err
		}
	}
	r.snapshots++
	copied := filepath.Join(r.options.Dir, "assemblies", fmt.Sprint(r.snapshots))
	last := ""
	if deployed := r.Assembly(); deployed != nil {
		last = deployed.Dir
	}
	if err := copyAssembly(dir, copied, last); err != nil {
		return nil, errors.Join(fmt.Errorf("cannot copy the assembly: %w", err), os.RemoveAll(copied))
	}
	a, err := assembly.Read(copied)
	if err != nil {
		if _, own := assembly.Read(dir); own != nil {
			err = own // which names the files that somebody knows
		}
		return nil, errors.Join(err, os.RemoveAll(copied))
	}
	return a, nil
}

// copyAssembly copies an assembly. Assets that the last copy has are linked to
// it: their names are hashes of what is in them, and all phases of a deployment
// have the same images, which are most of an assembly's bytes.
func copyAssembly(from, to, last string) error {
	if err := os.MkdirAll(to, 0o755); err != nil {
		return err
	}
	entries, err := os.ReadDir(from)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		source, target := filepath.Join(from, entry.Name()), filepath.Join(to, entry.Name())
		known := filepath.Join(last, entry.Name())
		info, err := os.Stat(known)
		switch {
		case last != "" && err == nil && info.IsDir() && strings.HasPrefix(entry.Name(), "asset."):
			err = linkTree(known, target)
		case entry.IsDir():
			err = os.CopyFS(target, os.DirFS(source))
		default:
			var text []byte
			if text, err = os.ReadFile(source); err == nil {
				err = os.WriteFile(target, text, 0o644)
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// linkTree makes a directory of the same files as another.
func linkTree(from, to string) error {
	return filepath.WalkDir(from, func(name string, entry os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		relative, err := filepath.Rel(from, name)
		if err != nil {
			return err
		}
		if entry.IsDir() {
			return os.Mkdir(filepath.Join(to, relative), 0o755)
		}
		return os.Link(name, filepath.Join(to, relative))
	})
}

package local

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"cutover/internal/assembly"
	"cutover/internal/local/provider"
)

// snapshot copies an assembly into the deployment's directory, where it does not change, and reads
// it. Stacks that leave their account and region to the deployment are in those of this machine.
func (r *Runner) snapshot(dir string, parameters []string) (*assembly.Assembly, error) {
	if _, err := assembly.Read(dir, parameters...); err != nil { // which names the files of the original
		return nil, err
	}
	r.snapshots++
	copied := filepath.Join(r.options.Dir, "assemblies", fmt.Sprint(r.snapshots))
	last := ""
	if deployed := r.Assembly(); deployed != nil {
		last = deployed.Dir
	}
	templates, err := assembly.Templates(dir)
	if err != nil {
		return nil, err
	}
	if templates == nil {
		err = copyAssembly(dir, copied, last)
	} else {
		err = copyTemplates(templates, copied)
		if existing := filepath.Join(dir, assembly.ExistingFile); err == nil && exists(existing) {
			err = copyFile(existing, filepath.Join(copied, assembly.ExistingFile))
		}
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("cannot copy the assembly: %w", err), os.RemoveAll(copied))
	}
	a, err := assembly.Read(copied, parameters...)
	if err == nil {
		a.Locate(provider.Account, provider.Region)
	}
	return a, err
}

// copyAssembly copies an assembly. It links the assets that the last copy has, because an asset's
// name is the hash of its content. All phases share their images, which are most of the bytes. If the
// copy is below the assembly, it does not copy itself.
func copyAssembly(from, to, last string) error {
	from, err := filepath.Abs(from)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(to, 0o755); err != nil {
		return err
	}
	entries, err := os.ReadDir(from)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		source, target := filepath.Join(from, entry.Name()), filepath.Join(to, entry.Name())
		if within, err := filepath.Rel(source, to); err == nil && filepath.IsLocal(within) {
			continue
		}
		known := filepath.Join(last, entry.Name())
		info, err := os.Stat(known)
		switch {
		case last != "" && err == nil && info.IsDir() && strings.HasPrefix(entry.Name(), "asset."):
			err = linkTree(known, target)
		case entry.IsDir():
			err = os.CopyFS(target, os.DirFS(source))
		default:
			err = copyFile(source, target)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// copyTemplates copies templates into a directory of their own.
func copyTemplates(templates []string, to string) error {
	if err := os.MkdirAll(to, 0o755); err != nil {
		return err
	}
	for _, template := range templates {
		if err := copyFile(template, filepath.Join(to, filepath.Base(template))); err != nil {
			return err
		}
	}
	return nil
}

func exists(file string) bool {
	_, err := os.Stat(file)
	return err == nil
}

// copyFile copies a regular file. It follows a link: a build system may link the files of an
// assembly.
func copyFile(from, to string) error {
	info, err := os.Stat(from)
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("%s is not a regular file", from)
	}
	text, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return os.WriteFile(to, text, 0o644)
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

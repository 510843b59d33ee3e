package provider

import (
	"os"
	"path/filepath"
)

// WriteFile writes a file that only this user reads, and makes its directory. A reader sees the old or the new text.
func WriteFile(file string, text []byte) error {
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return err
	}
	next := file + ".new"
	if err := os.WriteFile(next, text, 0o600); err != nil {
		return err
	}
	return os.Rename(next, file)
}

package build

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// context is the directory of a service's build context. Its state lies beside it.
func (b *builder) context(s Service) string   { return filepath.Join(b.out, s.Name) }
func (b *builder) statePath(s Service) string { return filepath.Join(b.out, s.Name+".json") }

// state describes a finished context.
type state struct {
	Inputs string            `json:"inputs"` // hash of what decides the files
	Files  map[string]string `json:"files"`  // hash of each file, by name
}

// upToDate reports whether the context holds exactly the files of these inputs. It reads the files,
// because people and other builds can change them.
func (b *builder) upToDate(s Service, inputs string) bool {
	raw, err := os.ReadFile(b.statePath(s))
	if err != nil {
		return false
	}
	var last state
	if json.Unmarshal(raw, &last) != nil || last.Inputs != inputs || len(last.Files) == 0 {
		return false
	}
	entries, err := os.ReadDir(b.context(s))
	if err != nil || len(entries) != len(last.Files) {
		return false
	}
	for name, want := range last.Files {
		if got, err := hashFile(filepath.Join(b.context(s), name)); err != nil || got != want {
			return false
		}
	}
	return true
}

// buildOne writes a service's files to its context, and removes others. Files that are the same
// keep their times, which Docker and make look at. The state comes last, so an interrupted build is
// repeated. The directory work is on the same file system.
func (b *builder) buildOne(s Service, work string, binary, recipe []byte, inputs string) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("images: the build context of %q cannot be written: %w", s.Name, err)
		}
	}()
	result := state{inputs, map[string]string{s.Name: digest(binary), "Dockerfile": digest(recipe)}}
	raw, err := json.MarshalIndent(result, "", "  ")
	if err != nil {
		return err
	}
	dir := b.context(s)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if result.Files[entry.Name()] == "" || !entry.Type().IsRegular() {
			if err := os.RemoveAll(filepath.Join(dir, entry.Name())); err != nil {
				return err
			}
		}
	}
	for _, f := range []struct {
		name    string
		content []byte
		mode    fs.FileMode
	}{
		{filepath.Join(dir, s.Name), binary, 0o755}, {filepath.Join(dir, "Dockerfile"), recipe, 0o644}, {b.statePath(s), append(raw, '\n'), 0o644},
	} {
		if current, err := os.ReadFile(f.name); err == nil && bytes.Equal(current, f.content) {
			continue
		}
		made := filepath.Join(work, s.Name)
		// The mode is part of the image, and must not depend on the umask.
		err := errors.Join(os.WriteFile(made, f.content, f.mode), os.Chmod(made, f.mode))
		if err == nil {
			err = os.Rename(made, f.name)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

const tempPrefix = ".tmp-"

// sweep removes the directories of killed builds. A build takes less than an hour.
func (b *builder) sweep() {
	entries, _ := os.ReadDir(b.out)
	for _, entry := range entries {
		if info, err := entry.Info(); err == nil && strings.HasPrefix(entry.Name(), tempPrefix) && time.Since(info.ModTime()) > time.Hour {
			os.RemoveAll(filepath.Join(b.out, entry.Name()))
		}
	}
}

// digest returns the SHA-256 of all parts together.
func digest(parts ...[]byte) string {
	h := sha256.New()
	for _, part := range parts {
		h.Write(part)
	}
	return hex.EncodeToString(h.Sum(nil))
}

func hashFile(name string) (string, error) {
	content, err := os.ReadFile(name)
	return digest(content), err
}

package build

import (
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

// upToDate reports whether the context holds exactly the files of these inputs. It reads
// the files: somebody may have changed them, or another build may have replaced them.
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

// buildOne writes a service's files to the directory work and moves them to the context.
// The state comes last, so an interrupted build is repeated.
func (b *builder) buildOne(s Service, work string, binary, recipe []byte, inputs string) error {
	if err := os.Mkdir(work, 0o755); err != nil {
		return fmt.Errorf("images: no temporary directory: %w", err)
	}
	result := state{Inputs: inputs, Files: map[string]string{}}
	write := func(name string, content []byte, mode fs.FileMode) error {
		result.Files[name] = string(digest(content))
		made := filepath.Join(work, name)
		// The mode is part of the image, and must not depend on the umask.
		return errors.Join(os.WriteFile(made, content, mode), os.Chmod(made, mode))
	}
	if err := errors.Join(write(s.Name, binary, 0o755), write("Dockerfile", recipe, 0o644)); err != nil {
		return fmt.Errorf("images: %w", err)
	}
	if err := b.publish(s, work, result); err != nil {
		return fmt.Errorf("images: the build context of %q cannot be written: %w", s.Name, err)
	}
	return nil
}

func (b *builder) publish(s Service, work string, result state) error {
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
	for name, hash := range result.Files {
		if current, err := hashFile(filepath.Join(dir, name)); err == nil && current == hash {
			continue // and keep its time, which Docker and make look at
		}
		if err := os.Rename(filepath.Join(work, name), filepath.Join(dir, name)); err != nil {
			return err
		}
	}
	raw, err := json.MarshalIndent(result, "", "  ")
	if err != nil {
		return err
	}
	made := filepath.Join(work, "state")
	if err := os.WriteFile(made, append(raw, '\n'), 0o644); err != nil {
		return err
	}
	return os.Rename(made, b.statePath(s))
}

const tempPrefix = ".tmp-"

// sweep removes the directories of builds that were killed. No build takes an hour, so a
// running build keeps its directory.
func (b *builder) sweep() {
	entries, _ := os.ReadDir(b.out)
	for _, entry := range entries {
		if info, err := entry.Info(); err == nil && strings.HasPrefix(entry.Name(), tempPrefix) && time.Since(info.ModTime()) > time.Hour {
			os.RemoveAll(filepath.Join(b.out, entry.Name()))
		}
	}
}

// digest returns the SHA-256 of all parts together, in hexadecimal.
func digest(parts ...[]byte) []byte {
	h := sha256.New()
	for _, part := range parts {
		h.Write(part)
	}
	return hex.AppendEncode(nil, h.Sum(nil))
}

func hashFile(name string) (string, error) {
	content, err := os.ReadFile(name)
	return string(digest(content)), err
}

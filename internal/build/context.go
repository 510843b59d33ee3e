package build

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// context is the build context of a service. Beside it lies its state.
func (b *builder) context(s Service) string   { return filepath.Join(b.out, s.Name) }
func (b *builder) statePath(s Service) string { return filepath.Join(b.out, s.Name+".json") }

// state is what is known of a finished context.
type state struct {
	Inputs string            `json:"inputs"` // hash of what decides the files
	Files  map[string]string `json:"files"`  // hash of each file, by name
}

// upToDate reports whether the context holds exactly the files that were made
// from these inputs. It reads the files: somebody may have changed them, or
// another build may have replaced them.
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

// buildOne makes a service's files in the directory work and puts them in place,
// and then its state, so that a build that is interrupted is repeated.
func (b *builder) buildOne(s Service, work string, binary, recipe []byte, inputs string) error {
	if err := os.Mkdir(work, 0o755); err != nil {
		return fmt.Errorf("images: no temporary directory: %w", err)
	}
	if err := os.WriteFile(filepath.Join(work, s.Name), binary, 0o755); err != nil {
		return fmt.Errorf("images: %w", err)
	}
	if err := os.WriteFile(filepath.Join(work, "Dockerfile"), recipe, 0o644); err != nil {
		return fmt.Errorf("images: %w", err)
	}

	result := state{Inputs: inputs, Files: map[string]string{}}
	// Modes become part of the image, and must not depend on the umask.
	for name, mode := range map[string]fs.FileMode{s.Name: 0o755, "Dockerfile": 0o644} {
		made := filepath.Join(work, name)
		hash, err := hashFile(made)
		if err == nil {
			err = os.Chmod(made, mode)
		}
		if err != nil {
			return fmt.Errorf("images: %w", err)
		}
		result.Files[name] = hash
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
			continue // keep its time: Docker and make go by it
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

// sweep removes what builds that were killed left behind. No build takes an
// hour, so none that is running loses its directory.
func (b *builder) sweep() {
	entries, _ := os.ReadDir(b.out)
	for _, entry := range entries {
		if info, err := entry.Info(); err == nil && strings.HasPrefix(entry.Name(), tempPrefix) && time.Since(info.ModTime()) > time.Hour {
			os.RemoveAll(filepath.Join(b.out, entry.Name()))
		}
	}
}

// digest is the hash of the parts, taken together, in hexadecimal digits.
func digest(parts ...[]byte) []byte {
	h := sha256.New()
	for _, part := range parts {
		h.Write(part)
	}
	return hex.AppendEncode(nil, h.Sum(nil))
}

func hashFile(name string) (string, error) {
	f, err := os.Open(name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

package dockerfile

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/moby/buildkit/frontend/dockerfile/command"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
)

// Check says why a directory cannot be built: the directory or its Dockerfile is missing, the
// Dockerfile cannot be read, or has no such stage. The directory is relative to the root, the file to
// the directory. Both have slashes and stay inside. An empty file is Dockerfile, an empty target the
// last stage.
//
// A Dockerfile of another syntax than Docker's own only has to be there.
func Check(root, dir, file, target string) error {
	if info, err := os.Stat(filepath.Join(root, filepath.FromSlash(dir))); err != nil || !info.IsDir() {
		return fmt.Errorf("there is no directory %s: create it with a Dockerfile, or correct Dockerfile.Dir", dir)
	}
	name := path.Join(dir, cmp.Or(file, "Dockerfile"))
	text, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(name)))
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("there is no %s: create it, or correct Dockerfile.File", name)
	} else if err != nil {
		var reason *fs.PathError
		errors.As(err, &reason)
		return fmt.Errorf("%s cannot be read: %w", name, reason.Err)
	}
	// https://docs.docker.com/build/buildkit/frontend/
	if syntax, _, _, ok := parser.DetectSyntax(text); ok && !strings.HasPrefix(strings.TrimPrefix(syntax, "docker.io/"), "docker/dockerfile") {
		return nil
	}
	stages, err := stages(text)
	if err != nil {
		return fmt.Errorf("%s is not a Dockerfile: %w", name, err)
	}
	// A number is the place of a stage.
	if place, err := strconv.Atoi(target); target == "" || err == nil && place >= 0 && place < len(stages) {
		return nil
	}
	if !slices.ContainsFunc(stages, func(stage string) bool { return strings.EqualFold(stage, target) }) {
		named := slices.DeleteFunc(stages, func(stage string) bool { return stage == "" })
		return fmt.Errorf("%s has no stage %q: its stages are %s", name, target, cmp.Or(strings.Join(named, ", "), "without names"))
	}
	return nil
}

// stages returns the names of a Dockerfile's stages, in their order. A stage without a name is empty.
func stages(text []byte) ([]string, error) {
	file, err := Parse(bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	var stages []string
	for _, i := range file.Instructions {
		if _, known := command.Commands[strings.ToLower(i.Name)]; !known {
			return nil, fmt.Errorf("line %d: there is no instruction %s", i.Line, i.Name)
		}
		if i.Name != "FROM" {
			if len(stages) == 0 && i.Name != "ARG" {
				return nil, fmt.Errorf("line %d: %s comes before the first FROM", i.Line, i.Name)
			}
			continue
		}
		switch {
		case len(i.Words) == 1:
			stages = append(stages, "")
		case len(i.Words) == 3 && strings.EqualFold(i.Words[1], "AS"): // FROM image AS name
			stages = append(stages, i.Words[2])
		default:
			return nil, fmt.Errorf("line %d: FROM needs an image, and may have AS and a name", i.Line)
		}
	}
	if len(stages) == 0 {
		return nil, errors.New("it has no FROM")
	}
	return stages, nil
}

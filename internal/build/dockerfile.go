package build

import (
	"cmp"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/moby/buildkit/frontend/dockerfile/parser"
)

// CheckDockerfile says why a directory cannot be built: it or its Dockerfile is missing, the
// Dockerfile cannot be read, or has no such stage. The directory is relative to the root, the file to
// the directory; both have slashes. An empty file is Dockerfile, an empty target the last stage.
func CheckDockerfile(root, dir, file, target string) error {
	if info, err := os.Stat(filepath.Join(root, filepath.FromSlash(dir))); err != nil || !info.IsDir() {
		return fmt.Errorf("there is no directory %s: create it with a Dockerfile, or correct Dockerfile.Dir", dir)
	}
	name := path.Join(dir, cmp.Or(file, "Dockerfile"))
	text, err := os.Open(filepath.Join(root, filepath.FromSlash(name)))
	if err != nil {
		return fmt.Errorf("there is no %s: create it, or correct Dockerfile.File", name)
	}
	defer text.Close()
	parsed, err := parser.Parse(text)
	if err != nil {
		return fmt.Errorf("%s is not a Dockerfile: %w", name, err)
	}
	var stages []string
	from := 0
	for _, node := range parsed.AST.Children {
		if !strings.EqualFold(node.Value, "FROM") {
			continue
		}
		from++
		words := strings.Fields(node.Original)
		if i := slices.IndexFunc(words, func(word string) bool { return strings.EqualFold(word, "AS") }); i >= 0 && i+1 < len(words) {
			stages = append(stages, words[i+1])
		}
	}
	switch {
	case from == 0:
		return fmt.Errorf("%s is not a Dockerfile: it has no FROM", name)
	case target != "" && !slices.ContainsFunc(stages, func(stage string) bool { return strings.EqualFold(stage, target) }):
		return fmt.Errorf("%s has no stage %q: its stages are %s", name, target, cmp.Or(strings.Join(stages, ", "), "without names"))
	}
	return nil
}

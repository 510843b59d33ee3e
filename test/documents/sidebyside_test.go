package documents_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"

	"cutover/internal/analysis/criticalpath"
	"cutover/migration"
)

// TestStacksDeploySideBySide: the commands that deploy everything let as many
// stacks deploy at a time as do not wait for each other.
func TestStacksDeploySideBySide(t *testing.T) {
	path, err := criticalpath.Read(nil, deployed(t, migration.Monolith.String()))
	if err != nil {
		t.Fatal(err)
	}
	most := path.SideBySide()
	found := 0
	for _, file := range []string{"Makefile", "README.md", "cmd/cutover/phase.go"} {
		text, err := os.ReadFile(filepath.Join(root, file))
		if err != nil {
			t.Fatal(err)
		}
		for _, line := range regexp.MustCompile(`(?m)^.*\bcdk deploy .*--all.*$`).FindAllString(string(text), -1) {
			found++
			match := regexp.MustCompile(`--concurrency (\d+)`).FindStringSubmatch(line)
			if match == nil {
				t.Errorf("%s: %q deploys one stack after the other", file, line)
			} else if n, err := strconv.Atoi(match[1]); err != nil || n < most {
				t.Errorf("%s: %q deploys %s stacks at a time: %d need not wait for each other", file, line, match[1], most)
			}
		}
	}
	if found < 8 {
		t.Errorf("only %d commands were found", found)
	}
}

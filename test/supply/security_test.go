package supply

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestSecurityPolicy: the evidence that SECURITY.md names exists.
func TestSecurityPolicy(t *testing.T) {
	policy, err := os.ReadFile(root + "/SECURITY.md")
	if err != nil {
		t.Fatal(err)
	}
	tests := map[string]bool{}
	err = filepath.WalkDir(root, func(file string, entry fs.DirEntry, err error) error {
		if entry != nil && entry.IsDir() && (entry.Name() == "node_modules" || entry.Name() == ".git" || file == filepath.Join(root, "build")) {
			return filepath.SkipDir
		}
		if err != nil || !strings.HasSuffix(file, "_test.go") {
			return err
		}
		text, err := os.ReadFile(file)
		for _, match := range regexp.MustCompile(`(?m)^func (Test\w+)\(`).FindAllSubmatch(text, -1) {
			tests[string(match[1])] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	named := regexp.MustCompile("`(Test\\w+)`").FindAllSubmatch(policy, -1)
	if len(named) == 0 {
		t.Error("SECURITY.md names no test")
	}
	for _, match := range named {
		if !tests[string(match[1])] {
			t.Errorf("SECURITY.md names %s, which does not exist", match[1])
		}
	}
	makefile, err := os.ReadFile(root + "/Makefile")
	if err != nil {
		t.Fatal(err)
	}
	for _, match := range regexp.MustCompile("`make (\\w+)`").FindAllSubmatch(policy, -1) {
		if !regexp.MustCompile(`(?m)^` + string(match[1]) + `:`).Match(makefile) {
			t.Errorf("SECURITY.md names make %s, which does not exist", match[1])
		}
	}
	// docs/security.md is also written from the templates.
	for _, match := range regexp.MustCompile(`\]\(([\w./-]+)\)`).FindAllSubmatch(policy, -1) {
		if _, err := os.Stat(filepath.Join(root, string(match[1]))); err != nil {
			t.Errorf("SECURITY.md links to %s: %v", match[1], err)
		}
	}
}

package supply

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// TestSecurityPolicy: the evidence that SECURITY.md names exists.
func TestSecurityPolicy(t *testing.T) {
	policy, err := os.ReadFile(root + "/SECURITY.md")
	if err != nil {
		t.Fatal(err)
	}
	if named := mustExist(t, "SECURITY.md", string(policy)); named == 0 {
		t.Error("SECURITY.md names no test")
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

// TestTwelveFactors: each of the twelve factors names a test, and the tests exist.
func TestTwelveFactors(t *testing.T) {
	text, err := os.ReadFile(root + "/docs/twelve-factors.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := regexp.MustCompile(`(?m)^\| (\d+)\. .*\|([^|]*)\|$`).FindAllStringSubmatch(string(text), -1)
	if len(rows) != 12 {
		t.Fatalf("the document has %d factors", len(rows))
	}
	for i, row := range rows {
		if row[1] != strconv.Itoa(i+1) || mustExist(t, "factor "+row[1], row[2]) == 0 {
			t.Errorf("row %d is factor %s, with the tests %q", i+1, row[1], row[2])
		}
	}
}

// mustExist fails if a text names a test that is not there. It returns how many tests the text names.
func mustExist(t *testing.T, name, text string) int {
	t.Helper()
	tests := allTests()
	named := regexp.MustCompile("`(Test\\w+)`").FindAllStringSubmatch(text, -1)
	for _, match := range named {
		if !tests[match[1]] {
			t.Errorf("%s names %s, which does not exist", name, match[1])
		}
	}
	return len(named)
}

// allTests has the name of every test of this repository.
var allTests = sync.OnceValue(func() map[string]bool {
	tests := map[string]bool{}
	err := filepath.WalkDir(root, func(file string, entry fs.DirEntry, err error) error {
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
		panic(err)
	}
	return tests
})

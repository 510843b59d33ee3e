package supply

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestCommandsOfDocuments: CI runs the commands of every document that marks some,
// in the order of the documents. A mark that is misspelt and a block without
// commands fail, whatever kind is asked for.
func TestCommandsOfDocuments(t *testing.T) {
	run := func(kind string, documents ...string) (string, error) {
		var files []string
		for _, text := range documents {
			file := filepath.Join(t.TempDir(), "document.md")
			if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
			files = append(files, file)
		}
		out, err := exec.Command(root+"/.ci/commands", append([]string{kind}, files...)...).CombinedOutput()
		return string(out), err
	}
	const good = "# One\n\n<!-- run: local -->\n```sh\nmake up # here\n\nmake test\n```\n\n<!-- run: emulate -->\n```sh\nmake deploy\n```\n" +
		"\n```sh\nnot this\n```\n\n<!-- written: a table -->\n```text\n<!-- not a mark -->\n```\n<!-- end -->\n"
	const second = "<!-- run: local -->\n```sh\nmake down\n```\n"
	for kind, want := range map[string]string{"local": "make up # here\n\nmake test\nmake down\n", "emulate": "make deploy\n"} {
		if got, err := run(kind, good, second); err != nil || got != want {
			t.Errorf("%s: %v, the commands are %q, want %q", kind, err, got, want)
		}
	}
	for name, test := range map[string]struct{ document, want string }{
		"a misspelt kind":      {"<!-- run: locla -->\n```sh\nmake\n```\n", "document.md:1: <!-- run: locla --> is no mark"},
		"a misspelt word":      {"# One\n\n<!-- rnu: local -->\n```sh\nmake\n```\n", "document.md:3: <!-- rnu: local --> is no mark"},
		"a missing space":      {"<!--run: emulate-->\n```sh\nmake\n```\n", "is no mark"},
		"an empty block":       {"<!-- run: emulate -->\n```sh\n```\n", "document.md:2: this block has no commands"},
		"only a comment":       {"<!-- run: emulate -->\n```sh\n# nothing\n\n```\n", "document.md:2: this block has no commands"},
		"another block":        {"<!-- run: local -->\n```bash\nmake\n```\n", "document.md:1: no sh block follows this mark"},
		"text below the mark":  {"<!-- run: local -->\n\n```sh\nmake\n```\n", "document.md:1: no sh block follows this mark"},
		"a mark at the end":    {"<!-- run: local -->\n", "document.md:1: no sh block follows this mark"},
		"a block without end":  {"<!-- run: local -->\n```sh\nmake\n", "document.md:2: this block does not end"},
		"no command of a kind": {"# One\n", "no document has commands of kind local"},
	} {
		documents := []string{test.document}
		if test.document != "# One\n" {
			documents = append(documents, good) // in which there is nothing wrong
		}
		if out, err := run("local", documents...); err == nil || !strings.Contains(out, test.want) {
			t.Errorf("%s: %v, it says %q, want %q", name, err, out, test.want)
		}
	}
	if out, err := run("lokal", good); err == nil || !strings.Contains(out, "KIND is lokal") {
		t.Errorf("an unknown kind: %v, it says %q", err, out)
	}
	documents, err := filepath.Glob(root + "/docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	documents = append(documents, root+"/examples/shop/README.md", root+"/examples/library/README.md")
	for _, kind := range []string{"local", "emulate"} {
		if out, err := exec.Command(root+"/.ci/commands", append([]string{kind, root + "/README.md"}, documents...)...).CombinedOutput(); err != nil {
			t.Errorf("our documents: %v\n%s", err, out)
		}
	}
}

// TestTargetsNeedTheirPackages: a target whose packages cannot be listed fails. It
// would test nothing otherwise, and pass.
func TestTargetsNeedTheirPackages(t *testing.T) {
	if _, err := exec.LookPath("make"); err != nil {
		t.Skip("there is no make here")
	}
	makefile, err := filepath.Abs(root + "/Makefile")
	if err != nil {
		t.Fatal(err)
	}
	for _, target := range []string{"quick", "race", "test-cdk"} {
		cmd := exec.Command("make", "-f", makefile, target)
		cmd.Dir = t.TempDir()
		if err := os.WriteFile(filepath.Join(cmd.Dir, "go.mod"), []byte("no module"), 0o644); err != nil {
			t.Fatal(err)
		}
		if out, err := cmd.CombinedOutput(); err == nil || !strings.Contains(string(out), "errors parsing go.mod") {
			t.Errorf("make %s: %v\n%s", target, err, out)
		}
	}
}

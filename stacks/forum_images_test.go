package stacks_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"cutover/deployment"
	"cutover/internal/assembly"
	"cutover/stacks"
)

// TestAssetHashes: the same source gives the same hashes in another directory,
// an edit that does not change the binary changes no template, and one that does
// changes those of the services that have the code.
func TestAssetHashes(t *testing.T) {
	context := cdkContext(t, nil)
	here := synth(t, nil)
	copied := t.TempDir()
	for _, path := range []string{"go.mod", "go.sum", "assets", "services"} {
		copyTree(t, path, filepath.Join(copied, path))
	}
	t.Chdir(copied)
	edited := func(file, old, new string) *assembly.Assembly {
		t.Helper()
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(text), old) {
			t.Fatalf("%s has no %q to edit", file, old)
		}
		if err := os.WriteFile(file, []byte(strings.Replace(string(text), old, new, 1)), 0o644); err != nil {
			t.Fatal(err)
		}
		dir := t.TempDir()
		if err := stacks.Synth(t.Context(), deployment.Forum, context, dir); err != nil {
			t.Fatal(err)
		}
		a, err := assembly.Read(dir)
		if err != nil {
			t.Fatal(err)
		}
		return a
	}

	// A comment; everything is also compiled anew, elsewhere.
	if lines := assembly.Changes(here, edited("services/users/main.go", "\npackage main", " This sentence is new.\npackage main")); len(lines) > 0 {
		t.Errorf("a comment in another directory changes\n%s", strings.Join(lines, "\n"))
	}
	// What an operator sees of bad data; the monolith has the code of users as well.
	var stacks []string
	for _, line := range assembly.Changes(here, edited("services/users/routes/routes.go", "a username and a name", "a name and a username")) {
		stacks = append(stacks, strings.Fields(line)[1])
	}
	equal(t, "stacks that a change of users' code changes", []string{"dev-Api", "dev-Users"}, stacks)
}

func copyTree(t *testing.T, from, to string) {
	t.Helper()
	info, err := os.Stat(from)
	if err != nil {
		t.Fatal(err)
	}
	if info.IsDir() {
		err = os.CopyFS(to, os.DirFS(from))
	} else {
		var text []byte
		if text, err = os.ReadFile(from); err == nil {
			err = os.WriteFile(to, text, 0o644)
		}
	}
	if err != nil {
		t.Fatal(err)
	}
}

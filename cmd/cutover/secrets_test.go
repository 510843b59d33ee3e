package main

import (
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func TestReadSecrets(t *testing.T) {
	file := filepath.Join(t.TempDir(), "secrets.env")
	if values, err := readSecrets(file); err != nil || len(values) > 0 {
		t.Errorf("without a file: %v (%v)", values, err)
	}
	for text, want := range map[string]map[string]string{
		"":                                  nil,
		"# A=b#c\n\n A=b\nexport C = d\r\n": {"A": "b", "C": "d"},
		"web.A=b\nx-ray.A_1=":               {"web.A": "b", "x-ray.A_1": ""},
		"A=b=c # it\n":                      {"A": "b=c"},
		"A=b # it#s 'so'\n":                 {"A": "b"},
		"A=b\t#c":                           {"A": "b"},
		"A=b#c #":                           {"A": "b#c"},
		"A=#b":                              {"A": "#b"},
		"A= # b":                            {"A": ""},
		"A=b c":                             {"A": "b c"},
		"A=b'c\"":                           {"A": `b'c"`},
		"A='b #c $HOME \"\\'  # it's":       {"A": `b #c $HOME "\`},
		"A=''":                              {"A": ""},
		"A=\"b #c\\n'd\\\"\" # \"so\"":      {"A": "b #c\n'd\""},
		"A=$HOME\\x":                        {"A": `$HOME\x`},
	} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if values, err := readSecrets(file); err != nil || !maps.Equal(values, want) {
			t.Errorf("%q: %q (%v), want %q", text, values, err, want)
		}
	}
	const help = ` is not NAME=VALUE, NAME='VALUE' or NAME="VALUE"`
	for text, want := range map[string]string{
		"A=b\n\nsesame":      "line 3" + help,
		"=sesame":            "line 1" + help,
		"A: sesame":          "line 1" + help,
		"1A=sesame":          "line 1" + help,
		"A B=sesame":         "line 1" + help,
		"A='sesame":          "line 1" + help,
		"A='sesame'#":        "line 1" + help,
		"A='sesame' 1 # b":   "line 1" + help,
		"A=\"sesame":         "line 1" + help,
		"A=\"sesame\"1":      "line 1" + help,
		"A=\"sesame\\y\"":    "line 1" + help,
		"A=sesame\nA=sesame": "line 2: A is there twice: a secret has one value",
	} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		values, err := readSecrets(file)
		if err == nil || !strings.HasPrefix(err.Error(), file+", "+want) || strings.Contains(err.Error(), "esame") {
			t.Errorf("%q: %q (%v), want %q", text, values, err, want)
		}
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(file, 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := readSecrets(file); err == nil || !strings.Contains(err.Error(), file) {
		t.Errorf("a directory: %v", err)
	}
}

// Secrets that git would commit are refused, and those that it has, too.
func TestSecretsAndGit(t *testing.T) {
	if _, err := exec.LookPath("git"); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	dir := t.TempDir()
	git := func(args ...string) {
		t.Helper()
		if out, err := exec.Command("git", append([]string{"-C", dir}, args...)...).CombinedOutput(); err != nil {
			t.Fatalf("git %q: %v\n%s", args, err, out)
		}
	}
	file := filepath.Join(dir, "state", "secrets.env")
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		t.Fatal(err)
	}
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	check := func(when string, refused bool) {
		t.Helper()
		values, err := readSecrets(file)
		if !refused && (err != nil || values["A"] != "sesame") {
			t.Errorf("%s: %v (%v)", when, values, err)
		}
		if refused && (err == nil || len(values) > 0 || !strings.HasPrefix(err.Error(), "git does not ignore "+file) || !strings.Contains(err.Error(), "git rm --cached "+file)) {
			t.Errorf("%s: %v (%v), want that git does not ignore it", when, values, err)
		}
	}
	write(file, "A=sesame\n")
	check("without a repository", false)
	git("init", "--quiet")
	check("in a repository", true)
	git("add", ".")
	write(filepath.Join(filepath.Dir(file), ".gitignore"), "*\n")
	check("in the index, ignored later", true)
	git("rm", "--quiet", "--cached", "state/secrets.env")
	check("ignored", false)
}

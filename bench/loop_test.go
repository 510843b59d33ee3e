package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestToolLog runs the go command as the loop does: it says what was compiled and
// linked, and nothing of what had not changed.
func TestToolLog(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir, log := t.TempDir(), filepath.Join(t.TempDir(), "a log")
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("go.mod", "module example.org/tool\n\ngo 1.26\n")
	// The program has a number that no build before has had.
	write("main.go", "package main\n\nfunc main() { println("+time.Now().Format("150405.000000")+") }\n")
	l := &loop{dir: dir, log: log, env: append(toolEnvironment(self, log), toolVariable+"=yes")}
	tools := func() (names []string) {
		t.Helper()
		if err := l.command(t.Context(), "go", "run", ".").run(); err != nil {
			t.Fatal(err)
		}
		runs, err := readTools(log)
		if err != nil {
			t.Fatal(err)
		}
		for _, run := range runs {
			if !run.End.After(run.Begin) {
				t.Errorf("%s took no time: %v to %v", run.Tool, run.Begin, run.End)
			}
			names = append(names, run.Tool)
		}
		return names
	}
	if got := tools(); !cmp.Equal(got, []string{"compile", "link"}) {
		t.Errorf("a new program took %q", got)
	}
	if got := tools(); len(got) > 0 {
		t.Errorf("go run of a program that has not changed took %q", got)
	}
	write("other.go", "package main\n\nfunc init() { println(2) }\n")
	if got := tools(); !cmp.Equal(got, []string{"compile", "link"}) {
		t.Errorf("a program that has changed took %q", got)
	}
}

// toolVariable has the test binary be the program that is before the go command's tools.
const toolVariable = "CUTOVER_BENCH_TOOL"

func TestMain(m *testing.M) {
	if os.Getenv(toolVariable) != "" && len(os.Args) > 3 && os.Args[1] == "-tool" {
		os.Exit(runTool(os.Args[2], os.Args[3:]))
	}
	os.Exit(m.Run())
}

func TestCopyRepository(t *testing.T) {
	from, to := t.TempDir(), filepath.Join(t.TempDir(), "copy")
	old := time.Unix(1_000_000_000, 0)
	for _, name := range []string{"main.go", "stacks/gate.go", "bench/peer/node_modules/a/a.js", "node_modules/b.js", "cdk.out/manifest.json", "stacks/build/kept.go", ".git/config"} {
		file := filepath.Join(from, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(name), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(file, old, old); err != nil {
			t.Fatal(err)
		}
	}
	if err := copyRepository(from, to); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"main.go": "file", "stacks/gate.go": "file", "stacks/build/kept.go": "file",
		"node_modules": "link", "bench/peer/node_modules": "link", "cdk.out": "nothing", ".git": "nothing",
	} {
		got := "nothing"
		if info, err := os.Lstat(filepath.Join(to, name)); err == nil {
			got = "file"
			if info.Mode()&os.ModeSymlink != 0 {
				got = "link"
			} else if !info.ModTime().Equal(old) {
				t.Errorf("%s is of %v", name, info.ModTime())
			}
		}
		if got != want {
			t.Errorf("%s became %s, want %s", name, got, want)
		}
	}
}

func TestReplace(t *testing.T) {
	file := filepath.Join(t.TempDir(), "a.go")
	if err := os.WriteFile(file, []byte("one two two"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := replace(file, "two", "three"); err == nil || !strings.Contains(err.Error(), "2 times") {
		t.Errorf("what is there twice: %v", err)
	}
	if err := replace(file, "one", "three"); err != nil {
		t.Fatal(err)
	}
	if text, _ := os.ReadFile(file); string(text) != "three two two" {
		t.Errorf("became %q", text)
	}
}

func TestLoopTables(t *testing.T) {
	at := func(seconds float64) time.Time { return time.Unix(0, int64(seconds*1e9)) }
	golang := steps{saved: at(0), compile: span{at(1), at(2.5)}, link: span{at(2.5), at(4)}, synth: at(7), finished: at(8)}
	javascript := steps{saved: at(0), synth: at(4), finished: at(5.5)}
	want := `                                   Go                         JavaScript
cdk and go start                   1.0 (1.0 to 1.0)           -
compile                            1.5 (1.5 to 1.5)           -
link                               1.5 (1.5 to 1.5)           -
synthesize                         3.0 (3.0 to 3.0)           4.0 (4.0 to 4.0)
compare                            1.0 (1.0 to 1.0)           1.5 (1.5 to 1.5)
all                                8.0 (8.0 to 8.0)           5.5 (5.5 to 5.5)
Go / JavaScript                    1.45 (1.45 to 1.45)
`
	if diff := cmp.Diff(want, loopTable([]steps{golang}, []steps{javascript})); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	want = `compile the service, synthesize    7.0
deploy, until it answers           1.0
all                                8.0
`
	if diff := cmp.Diff(want, serviceTable(golang)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

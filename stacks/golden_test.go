package stacks_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"cutover/config"
	"cutover/deployment"
	shop "cutover/examples/shop/deployment"
	"cutover/internal/assembly"
	"cutover/internal/golden"
	"cutover/internal/nightly"
	"cutover/migration"
)

const goldenDir = "stacks/golden"

// goldenContext is the context of a deployment's golden assembly.
func goldenContext(d config.Deployment, name string) settings {
	first, last := d.Services[0], d.Services[len(d.Services)-1]
	switch name {
	case golden.Canary:
		return settings{"phase": "parallel", "shift": first.Name + "=10"}
	case golden.Places:
		return settings{"phase": first.Name + "=switched," + last.Name + "=10%"}
	case golden.Production:
		return production(migration.Parallel)
	case golden.DynamoDB, golden.PostgreSQL:
		return settings{"phase": "parallel", "store": name}
	case golden.ProductionPostgreSQL:
		context := production(migration.Parallel)
		context["store"] = golden.PostgreSQL
		return context
	}
	return settings{"phase": name}
}

// TestGoldens compares every stack's template, and which stacks there are, with
// what was reviewed. What reads the goldens can do without a synthesis.
func TestGoldens(t *testing.T) {
	for _, name := range golden.Names() {
		compareGolden(t, deployment.Forum, name, name)
		if own := golden.Deployed(name); own != name {
			compareGolden(t, deployment.App, name, own)
		}
	}
}

// TestGoldensOfStores compares the templates with databases.
func TestGoldensOfStores(t *testing.T) {
	for _, name := range []string{golden.DynamoDB, golden.PostgreSQL} {
		compareGolden(t, deployment.Forum, name, name)
	}
}

// TestGoldensOfProductionStore compares the templates with databases of an environment called prod.
func TestGoldensOfProductionStore(t *testing.T) {
	if !*golden.Update {
		nightly.Test(t, "it synthesizes another environment")
	}
	compareGolden(t, deployment.Forum, golden.ProductionPostgreSQL, golden.ProductionPostgreSQL)
}

// TestGoldensOfShop compares the templates of the example beside the forum, in one phase.
func TestGoldensOfShop(t *testing.T) {
	if !*golden.Update {
		nightly.Test(t, "it synthesizes another deployment")
	}
	compareGolden(t, shop.Shop, migration.Parallel.String(), "shop")
}

// TestGoldensOfOwn compares the stacks in which the options are.
func TestGoldensOfOwn(t *testing.T) {
	a := synthOwn(t)
	for _, part := range []string{"Cluster", "Files", "Orders", "Shop"} {
		stack := a.Stack("dev-" + part)
		golden.Compare(t, filepath.Join(goldenDir, "own", stack.Name+".json"), goldenTemplate(t, stack))
	}
}

// compareGolden compares an assembly of a deployment with its golden, which is in a directory.
func compareGolden(t *testing.T, d config.Deployment, name, dir string) {
	t.Run(dir, func(t *testing.T) {
		dir := filepath.Join(goldenDir, dir)
		a := synthDeployment(t, d, goldenContext(d, name))
		want := []string{"manifest.json"}
		golden.Compare(t, filepath.Join(dir, "manifest.json"), manifest(a))
		for _, stack := range a.Stacks {
			want = append(want, stack.Name+".json")
			golden.Compare(t, filepath.Join(dir, stack.Name+".json"), goldenTemplate(t, stack))
		}
		entries, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, entry := range entries {
			file := filepath.Join(dir, entry.Name())
			switch {
			case slices.Contains(want, entry.Name()):
			case !*golden.Update:
				t.Errorf("%s is the golden of no stack; `make golden` removes it", file)
			default:
				if err := os.Remove(file); err != nil {
					t.Fatal(err)
				}
			}
		}
	})
}

// manifest is the manifest of a golden assembly: what is not the same wherever it
// is synthesized, and the assets, are left out.
func manifest(a *assembly.Assembly) []byte {
	var artifacts []string
	for _, stack := range a.Stacks {
		needs := make([]string, len(stack.DependsOn)) // null is no list
		for i, other := range stack.DependsOn {
			needs[i] = other.Name
		}
		dependencies, _ := json.Marshal(needs) // names can be encoded
		protected := ""
		if stack.TerminationProtection {
			protected = `, "terminationProtection": true`
		}
		artifacts = append(artifacts, fmt.Sprintf(`    %q: {
      "type": "aws:cloudformation:stack",
      "environment": "aws://unknown-account/unknown-region",
      "properties": {"templateFile": %q%s},
      "dependencies": %s
    }`, stack.Name, stack.Name+".json", protected, dependencies))
	}
	return []byte("{\n  \"artifacts\": {\n" + strings.Join(artifacts, ",\n") + "\n  }\n}\n")
}

// hash is an asset's: the name of a file in the bootstrap bucket, or what
// follows "v1-" in an image's tag. Nothing else has 64 hexadecimal digits. The id of
// a function's version ends with another one, of 32 digits.
var hash = regexp.MustCompile(`\b[0-9a-f]{64}\b|CurrentVersion[0-9A-F]{8}[0-9a-f]{32}`)

// goldenTemplate is the stack's template as it is kept: keys sorted, an indent of
// two, and the hashes of assets masked, for they change with every edit of a service.
func goldenTemplate(t *testing.T, stack *assembly.Stack) []byte {
	t.Helper()
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(stack.Template); err != nil {
		t.Fatal(err)
	}
	return hash.ReplaceAllFunc(text.Bytes(), func(found []byte) []byte {
		if i := bytes.Index(found, []byte("Version")); i >= 0 {
			return append(found[:i+len("Version"):i+len("Version")], "HASH"...)
		}
		return []byte("HASH")
	})
}

package documents_test

import (
	"path/filepath"
	"testing"

	"cutover/deployment"
	"cutover/internal/analysis/isolation"
	"cutover/internal/golden"
	"cutover/migration"
)

// TestIsolationDocument compares docs/isolation.md with what the templates say.
func TestIsolationDocument(t *testing.T) {
	read := func(name string) *isolation.Isolation {
		i, err := isolation.Read(filepath.Join(root, "stacks", "golden", golden.Deployed(name)))
		if err != nil {
			t.Fatal(err)
		}
		return i
	}
	var services []string
	for _, service := range deployment.App.All() {
		services = append(services, service.Name)
	}
	text := isolation.Document(read(migration.Retired.String()), read(golden.Production), services) + storesText
	services = nil
	for _, service := range deployment.Forum.All() {
		services = append(services, service.Name)
	}
	for _, name := range []string{golden.DynamoDB, golden.PostgreSQL} {
		i, err := isolation.Read(filepath.Join(root, "stacks", "golden", name))
		if err != nil {
			t.Fatal(err)
		}
		text += "\n" + i.StoreTable(services)
	}
	golden.Compare(t, root+"/docs/isolation.md", []byte(text))
}

// storesText is the document before the tables of the forum's stores.
const storesText = `
## With a store

The forum with ` + "`store=dynamodb`" + ` and with ` + "`store=postgres`" + `, in ` + "`parallel`" + `. A cell has what is left to the roles of a service by all policies: its
own, and that of the table, which denies everybody but the owners. A database needs a security group, too.

- A service reaches its own store, and no other.
- The monolith (api) reaches all of them until it is retired, since its modules answer for the services. Then its grants go.
`

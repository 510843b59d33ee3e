package documents_test

import (
	"os"
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
	text += eventsText
	for _, store := range []string{golden.DynamoDB, golden.PostgreSQL} {
		table, err := os.ReadFile(filepath.Join(root, "stacks", "golden", "events", store, "isolation.md"))
		if err != nil {
			t.Fatal(err)
		}
		text += "\n" + string(table)
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

// eventsText is the document before the tables of the forum's topics and queues.
const eventsText = `
## With events

The forum with ` + "`events=on`" + `, and with ` + "`store=dynamodb`" + ` and ` + "`store=postgres`" + `, in ` + "`monolith`" + `. The tables have what is left by all policies: those of
the roles, of the topics and queues, and of their key. A topic stands for SNS, which sends in its name.

- The relay of a service publishes to its topic, and nobody else does.
- The consumer of a service receives from its queue. Topics send to the queue, and no service does.
- The service and the monolith (api) send to the queue of work, until the monolith is retired.
- No service subscribes, purges a queue, deletes one, or receives from a dead-letter queue. SQS itself moves messages there.
- All topics and queues refuse plain HTTP.

A person or a pipeline whose own policies allow more may do more. Receiving from a queue and publishing to a topic need a role with the tags of the
service, too.
`

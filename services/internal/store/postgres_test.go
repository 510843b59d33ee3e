package store_test

import (
	"testing"

	"github.com/jackc/pgx/v5"

	"cutover/internal/nightly"
	"cutover/services/internal/store"
	"cutover/services/internal/store/storetest"
)

func TestPostgreSQL(t *testing.T) {
	nightly.Test(t, "it holds the contract against PostgreSQL")
	getenv := storetest.PostgreSQL(t, "users", "own")
	t.Run("contract", func(t *testing.T) {
		storetest.Test(t, func(t *testing.T) store.Store { return storetest.Open(t, "users", getenv) })
	})
	own := getenv("OWN_DATABASE_URL")
	t.Run("outbox", func(t *testing.T) {
		publishes := func(name string) string {
			if name == "USERS_PUBLISHES" {
				return "on"
			}
			return getenv(name)
		}
		storetest.TestOutbox(t, storetest.Open(t, "users", publishes))
	})
	t.Run("schema", func(t *testing.T) { store.TestSchema(t, own) })
	t.Run("lost answers", func(t *testing.T) { store.TestLostAnswers(t, own) })
	t.Run("purge", func(t *testing.T) { store.TestPurge(t, own) })

	// PostgreSQL would end a deadlock by itself, a second later.
	conn, err := pgx.Connect(t.Context(), own)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(t.Context()) }()
	var deadlocks int
	if err := conn.QueryRow(t.Context(), "select sum(deadlocks) from pg_stat_database").Scan(&deadlocks); err != nil || deadlocks > 0 {
		t.Error(deadlocks, "deadlocks", err)
	}
}

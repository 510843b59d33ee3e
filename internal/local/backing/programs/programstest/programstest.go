// Package programstest starts databases for tests.
package programstest

import (
	"context"
	"testing"

	"cutover/internal/local/backing/programs"
)

// PostgreSQL starts PostgreSQL with empty data until the test ends.
func PostgreSQL(t testing.TB) *programs.Program { return start(t, programs.StartPostgreSQL) }

// DynamoDB starts DynamoDB Local with empty data until the test ends.
func DynamoDB(t testing.TB) *programs.Program { return start(t, programs.StartDynamoDB) }

func start(t testing.TB, program func(context.Context, string) (*programs.Program, error)) *programs.Program {
	t.Helper()
	dir := t.TempDir()
	t.Cleanup(func() { _ = programs.Remove(dir) })
	p, err := program(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Stop(context.Background()) })
	return p
}

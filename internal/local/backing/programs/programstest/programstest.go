// Package programstest starts databases for tests. Where a program is missing, the test is skipped: in CI it
// fails.
package programstest

import (
	"context"
	"os"
	"testing"

	"cutover/internal/local/backing/programs"
)

// PostgreSQL starts PostgreSQL with empty data until the test ends.
func PostgreSQL(t testing.TB) *programs.Program {
	return start(t, func(ctx context.Context) (programs.Found, error) { return programs.FindPostgreSQL(ctx, t.TempDir()) })
}

// DynamoDB starts DynamoDB Local with empty data until the test ends.
func DynamoDB(t testing.TB) *programs.Program { return start(t, programs.FindDynamoDB) }

func start(t testing.TB, find func(context.Context) (programs.Found, error)) *programs.Program {
	t.Helper()
	found, err := find(t.Context())
	if err != nil && os.Getenv("CI") == "" {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	t.Cleanup(func() { _ = programs.Remove(dir) })
	p, err := found.Start(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Stop(context.Background()) })
	return p
}

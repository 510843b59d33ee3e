// Package programstest starts databases for tests.
package programstest

import (
	"context"
	"os"
	"testing"

	"cutover/internal/local/backing/programs"
)

// PostgreSQL starts PostgreSQL with empty data until the test ends.
func PostgreSQL(t testing.TB) *programs.Program { return start(t, programs.StartPostgreSQL) }

// DynamoDB starts DynamoDB Local with empty data until the test ends.
func DynamoDB(t testing.TB) *programs.Program { return start(t, programs.StartDynamoDB) }

func start(t testing.TB, program func(context.Context, string) (*programs.Program, error)) *programs.Program {
	t.Helper()
	p, err := program(t.Context(), Dir(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Stop(context.Background()) })
	return p
}

// Dir is a directory that other users reach, too, until the test ends: PostgreSQL does not run as root.
func Dir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "cutover-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

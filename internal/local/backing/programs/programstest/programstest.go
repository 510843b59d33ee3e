// Package programstest starts databases and queues for tests.
package programstest

import (
	"context"
	"os"
	"testing"

	"cutover/internal/local/backing/programs"
)

// PostgreSQL starts PostgreSQL with empty data until the test ends.
func PostgreSQL(t testing.TB) *programs.Program {
	t.Helper()
	dir := t.TempDir()
	return start(t, dir, func() (programs.Found, error) { return programs.FindPostgreSQL(t.Context(), dir) })
}

// DynamoDB starts DynamoDB Local with empty data until the test ends.
func DynamoDB(t testing.TB) *programs.Program {
	t.Helper()
	return start(t, t.TempDir(), func() (programs.Found, error) { return programs.FindDynamoDB(t.Context()) })
}

// Queues starts fauxqs, which stands for SQS and SNS, without queues and topics until the test ends.
func Queues(t testing.TB) *programs.Program {
	t.Helper()
	return start(t, t.TempDir(), func() (programs.Found, error) { return programs.FindQueues(t.Context()) })
}

func start(t testing.TB, dir string, find func() (programs.Found, error)) *programs.Program {
	t.Helper()
	found, err := find()
	Need(t, err)
	t.Cleanup(func() { _ = programs.Remove(dir) })
	p, err := found.Start(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Stop(context.Background()) })
	return p
}

// Need skips a test if a program is missing, as err says. With CI set, the test fails.
func Need(t testing.TB, err error) {
	t.Helper()
	switch {
	case err == nil:
	case os.Getenv("CI") != "":
		t.Fatal(err)
	default:
		t.Skip(err)
	}
}

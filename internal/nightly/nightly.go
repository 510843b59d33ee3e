// Package nightly marks the tests that `make test` leaves out, because they take seconds of a
// processor and rarely find what the other tests do not.
package nightly

import (
	"os"
	"testing"
)

// Runs says whether slow tests run, since the variable CUTOVER_NIGHTLY or CI is set: `make nightly` sets the first, `.ci/run` the
// second.
func Runs() bool { return os.Getenv("CUTOVER_NIGHTLY") != "" || os.Getenv("CI") != "" }

// Test skips the test, unless slow tests run, and with -short. Does says what the test does: "It starts two Docker engines".
func Test(t testing.TB, does string) {
	t.Helper()
	if testing.Short() || !Runs() {
		t.Skip("slow: ", does, ". `make nightly` and `.ci/run` run the test.")
	}
}

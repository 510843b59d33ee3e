package local

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"cutover/internal/local/provider"
)

// storeOf is a provider with a store of one service, and with one fault.
type storeOf struct {
	provider.Provider
	service string
	done    *[]string
}

func (s storeOf) Faults() []provider.FaultKind { return provider.StoreFaults }

func (s storeOf) Fault(_ context.Context, kind, service string) (func(context.Context) error, error) {
	if kind == "store-kill" {
		return nil, errors.New("it is yours")
	}
	if service != s.service {
		return nil, nil
	}
	*s.done = append(*s.done, s.service+" "+kind)
	return func(context.Context) error { return nil }, nil
}

// TestStoreFaults: a fault of stores is done by the provider that has a store of the service.
func TestStoreFaults(t *testing.T) {
	t.Parallel()
	var names, done []string
	for _, kind := range FaultKinds() {
		if kind.Does == "" || slices.Contains(names, kind.Name) {
			t.Errorf("the fault %q is there twice, or does nothing", kind.Name)
		}
		names = append(names, kind.Name)
	}
	for _, name := range []string{"kill", "slow", "store-kill", "store-slow", "throttle", "partition", "commit-error"} {
		if !slices.Contains(names, name) {
			t.Errorf("there is no fault %s", name)
		}
	}
	r := &Runner{providers: []provider.Provider{storeOf{service: "users", done: &done}, storeOf{service: "posts", done: &done}}}
	if clear, err := r.Fault(t.Context(), "throttle", "posts"); err != nil || clear == nil || !slices.Equal(done, []string{"posts throttle"}) {
		t.Errorf("done is %v, %v", done, err)
	}
	if _, err := r.Fault(t.Context(), "throttle", "api"); err == nil || err.Error() != `service "api" has no store, topic, queue or broker on this machine for the fault throttle` {
		t.Errorf("without a store: %v", err)
	}
	if _, err := r.Fault(t.Context(), "store-kill", "posts"); err == nil || !strings.Contains(err.Error(), "it is yours") {
		t.Errorf("the error of a provider: %v", err)
	}
}

// TestRemoveData: all stores of a deployment go with what they keep elsewhere, and nothing else goes.
func TestRemoveData(t *testing.T) {
	t.Parallel()
	dir, elsewhere := t.TempDir(), filepath.Join(t.TempDir(), "postgresql")
	for _, name := range []string{elsewhere, filepath.Join(dir, "tasks"), filepath.Join(dataDir(dir), "a"), filepath.Join(dataDir(dir), "b")} {
		if err := os.MkdirAll(name, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(elsewhere, filepath.Join(dataDir(dir), "a", "data")); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := RemoveData(dir); err != nil {
			t.Error(err)
		}
	}
	for name, there := range map[string]bool{elsewhere: false, dataDir(dir): false, filepath.Join(dir, "tasks"): true} {
		if _, err := os.Stat(name); (err == nil) != there {
			t.Errorf("%s is there: %v", name, !there)
		}
	}
}

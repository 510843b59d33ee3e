package store_test

import (
	"testing"

	"cutover/services/internal/store"
	"cutover/services/internal/store/storetest"
)

func TestMemory(t *testing.T) {
	s := store.NewMemory()
	storetest.Test(t, func(*testing.T) store.Store { return s })
	storetest.TestOutbox(t, store.NewMemory())
}

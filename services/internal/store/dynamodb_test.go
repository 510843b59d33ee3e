package store_test

import (
	"testing"

	"cutover/services/internal/store"
	"cutover/services/internal/store/storetest"
)

func TestDynamoDB(t *testing.T) {
	getenv := storetest.DynamoDB(t, "users")
	storetest.Test(t, func(t *testing.T) store.Store { return storetest.Open(t, "users", getenv) })
}

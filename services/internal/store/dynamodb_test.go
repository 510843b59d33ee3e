package store_test

import (
	"testing"

	"cutover/internal/nightly"
	"cutover/services/internal/store"
	"cutover/services/internal/store/storetest"
)

func TestDynamoDB(t *testing.T) {
	nightly.Test(t, "it holds the contract against DynamoDB Local")
	getenv := storetest.DynamoDB(t, "users")
	storetest.Test(t, func(t *testing.T) store.Store { return storetest.Open(t, "users", getenv) })
}

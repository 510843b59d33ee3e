package deployment_test

import (
	"os"
	"testing"

	"cutover/config"
	"cutover/examples/shop/deployment"
)

// The services of the shop may keep their records in a database.
func TestStores(t *testing.T) {
	for _, store := range []string{"dynamodb", "postgres"} {
		if _, _, err := config.Load(deployment.Shop, map[string]any{"store": store}, os.Getenv); err != nil {
			t.Errorf("%s: %v", store, err)
		}
	}
}

package cost

import (
	"math"
	"strings"
	"testing"

	"cutover/internal/capacity"
)

// An instance's price is in proportion to its memory within a family. So the price of one GiB and
// hour states the prices of all sizes, in use or not.
func TestPricesOfAFamily(t *testing.T) {
	families := map[string]float64{"t3": 0.0104, "t4g": 0.0084, "m6i": 0.012, "m7g": 0.0102}
	for name, price := range prices.Instances.Prices {
		family, _, _ := strings.Cut(name, ".")
		instance, known := capacity.InstanceOf(name)
		if families[family] == 0 || !known {
			t.Errorf("%s: add the price of its family to this test, from AWS's page", name)
		} else if want := families[family] * float64(instance.MemoryMiB) / 1024; math.Abs(price-want) > 1e-9 {
			t.Errorf("an hour of a %s costs %v, want %v", name, price, want)
		}
	}
}

// What the price list has beside instances, in use or not.
func TestOtherPrices(t *testing.T) {
	got := map[string]float64{"hours": float64(prices.Hours)}
	for name, price := range prices.Volumes.Prices {
		got[name] = price
	}
	for name, price := range prices.Fixed {
		got[name] = price.Hour + price.Month + 1000*float64(price.Free)
	}
	for name, price := range prices.Traffic {
		got[name] = price.Price
	}
	for name, want := range map[string]float64{
		"hours": 730, "gp3": 0.08,
		"natGateway": 0.045, "loadBalancer": 0.0225, "publicIPv4": 0.005, "endpoint": 0.01,
		"alarm": 0.10, "dashboard": 3003, "key": 1, // three dashboards are free
		"loadBalancerCapacity": 0.008, "gatewayTraffic": 0.045, "insightsMetric": 0.30, "logs": 0.50, "images": 0.10, "storage": 0.023,
		"tableWrites": 0.625, "tableReads": 0.125, "tableStorage": 0.25, "tableBackups": 0.20,
		"databaseCapacity": 0.12, "databaseStorage": 0.10, "databaseRequests": 0.20, "databaseBackups": 0.021,
		"apiRequests": 3.50, "apiTransfer": 0.09, "apiCache": 0.02, "apiMetrics": 0.30, "metric": 0.30, "traces": 5.00, "webACL": 5.00, "webACLRule": 1.00, "webACLRequests": 0.60,
		"distributionRequests": 1.00, "distributionTransfer": 0.085, "originTransfer": 0.02, "edgeFunctions": 0.10,
		"secret": 0.40, "secretReads": 0.05, "fileStorage": 0.30, "fileReads": 0.03, "fileWrites": 0.06, "fileBackups": 0.05,
	} {
		if got[name] != want {
			t.Errorf("%s: %v, want %v", name, got[name], want)
		}
	}
}

package relay

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"testing"
	"time"
)

// The line has the metric where CloudWatch looks for it.
func TestMetrics(t *testing.T) {
	var out bytes.Buffer
	slog.New(slog.NewJSONHandler(&out, nil)).Info("measured", metrics("dev", "users", time.UnixMilli(1), 1500*time.Millisecond)...)
	var line struct {
		AWS struct {
			Timestamp         int64
			CloudWatchMetrics []struct {
				Namespace  string
				Dimensions [][]string
				Metrics    []struct{ Name, Unit string }
			}
		} `json:"_aws"`
		Environment, Service string
		OutboxAge            float64
	}
	if err := json.Unmarshal(out.Bytes(), &line); err != nil || line.AWS.Timestamp != 1 || line.Environment != "dev" || line.Service != "users" || line.OutboxAge != 1.5 ||
		line.AWS.CloudWatchMetrics[0].Metrics[0].Name != "OutboxAge" || line.AWS.CloudWatchMetrics[0].Dimensions[0][1] != "Service" {
		t.Error(err, out.String())
	}
}

package main

import (
	"encoding/json"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Templates are the same in all apps of this repository if the feature flags are.
func TestFeatureFlags(t *testing.T) {
	read := func(file string) map[string]any {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var app map[string]any
		if err := json.Unmarshal(text, &app); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		delete(app, "watch")
		return app
	}
	want := read("../../cdk.json")
	want["context"].(map[string]any)["env"] = "shop" // beside what else is deployed
	if diff := cmp.Diff(want, read("cdk.json")); diff != "" {
		t.Errorf("cdk.json (-of the repository +of the example):\n%s", diff)
	}
}

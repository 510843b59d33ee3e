package supply

import (
	"encoding/json"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Templates are the same in all apps of this repository if the feature flags are.
func TestFeatureFlags(t *testing.T) {
	read := func(file string) map[string]any {
		text, err := os.ReadFile(root + "/" + file)
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
	for dir, env := range map[string]any{"examples/shop": nil, "examples/adopt": "shop"} { // adopt is beside what else is deployed
		want := read("cdk.json")
		if env != nil {
			want["context"].(map[string]any)["env"] = env
		}
		if diff := cmp.Diff(want, read(dir+"/cdk.json")); diff != "" {
			t.Errorf("cdk.json (-of the repository +of %s):\n%s", dir, diff)
		}
	}
}

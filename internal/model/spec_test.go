package model

import (
	"compress/gzip"
	"encoding/json"
	"errors"
	"io/fs"
	"maps"
	"os"
	"slices"
	"testing"
)

// specification is what AWS publishes of resource types, as CDK's command line brings it along. A
// value is "yes", "no", "maybe" or empty.
type specification struct {
	Schema struct {
		Resource struct {
			Entities []struct {
				CloudFormationType string
				Properties         map[string]struct{ CausesReplacement string }
			}
		}
	}
}

// TestReplacesAsSpecified: AWS's specification knows which properties replace a resource.
func TestReplacesAsSpecified(t *testing.T) {
	file, err := os.Open("../../node_modules/@aws-cdk/aws-service-spec/db.json.gz")
	if errors.Is(err, fs.ErrNotExist) {
		if os.Getenv("CI") != "" {
			t.Fatal(err)
		}
		t.Skip("needs `make setup`:", err)
	} else if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	text, err := gzip.NewReader(file)
	if err != nil {
		t.Fatal(err)
	}
	var s specification
	if err := json.NewDecoder(text).Decode(&s); err != nil {
		t.Fatal(err)
	}
	compared := 0
	for _, resource := range s.Schema.Resource.Entities {
		for _, property := range slices.Sorted(maps.Keys(resource.Properties)) {
			replaces, known := Replaces(resource.CloudFormationType, property)
			if !known {
				break
			}
			compared++
			want := resource.Properties[property].CausesReplacement
			if want != "maybe" && replaces != (want == "yes") {
				t.Errorf("a change of %s replaces an %s: %t here, and AWS says %q", property, resource.CloudFormationType, replaces, want)
			}
		}
	}
	if compared < 300 {
		t.Errorf("only %d properties were compared", compared)
	}
}

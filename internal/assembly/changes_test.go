package assembly

import (
	"encoding/json"
	"slices"
	"testing"
)

func TestChanges(t *testing.T) {
	read := func(text string) *Assembly {
		var template map[string]any
		if err := json.Unmarshal([]byte(text), &template); err != nil {
			t.Fatal(err)
		}
		return &Assembly{Stacks: []*Stack{{Name: "S", Template: template}}}
	}
	from := read(`{"Resources": {
		"Gone": {"Type": "A::B::C"},
		"Kept": {"Type": "A::B::C", "Properties": {"Same": 1, "List": [1, {"x": "old"}], "Shorter": [1, 2], "Away": true}}
	}, "Outputs": {"O": {"Value": "a"}}}`)
	to := read(`{"Resources": {
		"Kept": {"Type": "A::B::C", "Properties": {"Same": 1, "List": [1, {"x": "new"}], "Shorter": [1]}, "DeletionPolicy": "Retain"},
		"New": {"Type": "D::E::F"}
	}, "Outputs": {"O": {"Value": "b"}}}`)
	want := []string{
		"~ S Outputs.O.Value a -> b",
		"- S Gone A::B::C",
		"~ S Kept DeletionPolicy <nil> -> Retain",
		"~ S Kept Properties.Away true -> <nil>",
		"~ S Kept Properties.List[1].x old -> new",
		"~ S Kept Properties.Shorter [1 2] -> [1]",
		"+ S New D::E::F",
	}
	if got := Changes(from, to); !slices.Equal(got, want) {
		t.Errorf("got\n%q\nwant\n%q", got, want)
	}
	if got := Changes(to, to); len(got) > 0 {
		t.Errorf("an assembly differs from itself: %q", got)
	}
	if got := Changes(&Assembly{}, to); !slices.Contains(got, "+ S New D::E::F") {
		t.Errorf("a new stack's resources are not created: %q", got)
	}
}

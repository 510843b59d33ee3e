package cost

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"cutover/internal/golden"
	"cutover/internal/model"
)

// Every phase costs the same; only who causes it changes.
func TestPhases(t *testing.T) {
	var before []Estimate
	for _, test := range []struct {
		phase string
		want  []string // what differs from the phase before
	}{
		{"monolith", nil},
		{"parallel", []string{"service posts 0.00 2.20", "service threads 0.00 2.20", "service users 0.00 2.20", "service shared 93.20 86.60"}},
		{"switched", nil},
		{"retired", []string{"service api 2.20 0.00", "service shared 86.60 88.80"}},
		{"removed", nil},
	} {
		estimates, err := Read(model.Read(golden.Read(t, "../../..", test.phase)))
		if err != nil {
			t.Fatal(err)
		}
		if before != nil {
			var got []string
			for _, c := range Compare(before, estimates) {
				got = append(got, fmt.Sprintf("%s %s %v %v", c.Of, c.Name, c.Before, c.After))
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", test.phase, diff)
			}
		}
		before = estimates
	}
}

// The document's table and sentences say what the templates cost, and the README has
// the sum.
func TestDocuments(t *testing.T) {
	read := func(file string) string {
		t.Helper()
		text, err := os.ReadFile("../../../" + file)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	section := read("docs/cost.md")
	estimates, err := Read(model.Read(golden.Read(t, "../../..", "monolith")))
	if err != nil {
		t.Fatal(err)
	}
	var table strings.Builder
	own, _, _ := strings.Cut(section, "\n## ") // the other sections have other tables
	for line := range strings.Lines(own) {
		if strings.HasPrefix(line, "|") {
			table.WriteString(line)
		}
	}
	if diff := cmp.Diff(estimates[0].Markdown(), table.String()); diff != "" {
		t.Errorf("the table (-templates +document):\n%s", diff)
	}
	if sum := estimates[0].Total.String() + " US$ a month"; !strings.Contains(read("README.md"), sum) {
		t.Errorf("the README does not say %q", sum)
	}
	if !strings.Contains(section, About()) {
		t.Errorf("it does not say %q", About())
	}
	for _, kind := range estimates[0].Traffic {
		if price, _, _ := strings.Cut(kind, " "); !strings.Contains(section, price+" per ") {
			t.Errorf("it does not say %q", kind)
		}
	}
}

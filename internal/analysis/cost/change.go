package cost

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"cutover/internal/plain"
)

// Change is an amount that differs in a second assembly.
type Change struct {
	Environment string `json:"environment"`
	// Of is "line", "service", "total", or "unpriced" for what has no price in one of the two.
	Of string `json:"of"`
	// Name is that of the [Line] or [Service].
	Name   string `json:"name"`
	Before Cents  `json:"before"`
	After  Cents  `json:"after"`
}

// Compare lists what differs between two assemblies' estimates: lines, then services, then totals.
// A missing environment costs nothing. A single environment on each side is compared whatever its
// name.
func Compare(before, after []Estimate) []Change {
	byName := func(estimates []Estimate) map[string]Estimate {
		m := map[string]Estimate{}
		for _, e := range estimates {
			m[e.Environment] = e
		}
		return m
	}
	if len(before) == 1 && len(after) == 1 && before[0].Environment != after[0].Environment {
		before = slices.Clone(before)
		before[0].Environment = after[0].Environment
	}
	was, is := byName(before), byName(after)
	all := maps.Clone(was)
	maps.Copy(all, is)
	var changes []Change
	for _, environment := range slices.Sorted(maps.Keys(all)) {
		for _, of := range []string{"line", "service", "total"} {
			var some []Change
			change := func(name string) *Change {
				i := slices.IndexFunc(some, func(c Change) bool { return c.Name == name })
				if i < 0 {
					i, some = len(some), append(some, Change{Environment: environment, Of: of, Name: name})
				}
				return &some[i]
			}
			was[environment].each(of, func(name string, amount Cents) { change(name).Before = amount })
			is[environment].each(of, func(name string, amount Cents) { change(name).After = amount })
			changes = append(changes, slices.DeleteFunc(some, func(c Change) bool { return c.Before == c.After })...)
		}
		for when, two := range [][2]Estimate{{was[environment], is[environment]}, {is[environment], was[environment]}} {
			for _, text := range two[0].Unpriced {
				if !slices.Contains(two[1].Unpriced, text) {
					changes = append(changes, Change{Environment: environment, Of: "unpriced", Name: text + [2]string{", before", ", after"}[when]})
				}
			}
		}
	}
	return changes
}

// each calls f with the amounts of the lines, of the services, or in total.
func (e Estimate) each(of string, f func(name string, amount Cents)) {
	switch of {
	case "line":
		for _, line := range e.Lines {
			f(line.Name, line.Amount)
		}
	case "service":
		for _, s := range e.Services {
			f(s.Name, s.Amount)
		}
	case "total":
		f("", e.Total)
	}
}

// Markdown is the estimate's lines as a table for a document or a review.
func (e Estimate) Markdown() string {
	var b strings.Builder
	b.WriteString("| | | US$ |\n|---|---|---|\n")
	for _, line := range e.Lines {
		fmt.Fprintf(&b, "| %s | %s | %v |\n", plain.Markdown(line.Item), plain.Markdown(line.Price), line.Amount)
	}
	fmt.Fprintf(&b, "| | | **%v** |\n", e.Total)
	return b.String()
}

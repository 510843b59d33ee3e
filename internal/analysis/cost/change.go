package cost

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Change is an amount that differs in a second assembly.
type Change struct {
	Environment string `json:"environment"`
	// Of is "line", "service" or "total".
	Of string `json:"of"`
	// Name is that of the [Line] or [Service].
	Name   string `json:"name"`
	Before Cents  `json:"before"`
	After  Cents  `json:"after"`
}

// Compare lists what differs between the estimates of two assemblies: lines, then services, then
// the totals. An environment that only one assembly has costs nothing in the other. If each
// assembly has one environment, these are compared, whatever their names.
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
		add := func(of, name string, before, after Cents) {
			if before != after {
				changes = append(changes, Change{environment, of, name, before, after})
			}
		}
		b, a := was[environment], is[environment]
		for _, of := range []string{"line", "service"} {
			names, before := b.amounts(of)
			more, after := a.amounts(of)
			for _, name := range more {
				if !slices.Contains(names, name) {
					names = append(names, name)
				}
			}
			for _, name := range names {
				add(of, name, before[name], after[name])
			}
		}
		add("total", "", b.Total, a.Total)
	}
	return changes
}

// amounts are those of the lines or of the services, with their names in order.
func (e Estimate) amounts(of string) (names []string, amounts map[string]Cents) {
	amounts = map[string]Cents{}
	add := func(name string, amount Cents) { names, amounts[name] = append(names, name), amount }
	if of == "line" {
		for _, line := range e.Lines {
			add(line.Name, line.Amount)
		}
		return names, amounts
	}
	for _, s := range e.Services {
		add(s.Name, s.Amount)
	}
	return names, amounts
}

// Markdown is the estimate's lines as a table for a document or a review.
func (e Estimate) Markdown() string {
	var b strings.Builder
	b.WriteString("| | | US$ |\n|---|---|---|\n")
	for _, line := range e.Lines {
		fmt.Fprintf(&b, "| %s | %s | %v |\n", line.Item, line.Price, line.Amount)
	}
	fmt.Fprintf(&b, "| | | **%v** |\n", e.Total)
	return b.String()
}

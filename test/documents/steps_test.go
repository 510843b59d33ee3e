package documents_test

import (
	"fmt"
	"strings"

	"cutover/migration"
)

// at is a state of the interlock with a name for people.
type at struct {
	name  string
	state migration.State
}

// computeTable says which place of a service may follow which on its way to another compute. The ways to Lambda have
// the same places, and the same steps.
func computeTable(b *strings.Builder) {
	b.WriteString("\nThe compute of one service on its way from EC2 to Fargate, whatever its place and the others are:\n\n")
	table := computeSteps("EC2", "Fargate", true)
	b.WriteString(table)
	if computeSteps("EC2", "Lambda", true) != strings.ReplaceAll(table, "Fargate", "Lambda") || computeSteps("EC2", "Lambda", false) != strings.ReplaceAll(computeSteps("Fargate", "Lambda", false), "Fargate", "EC2") {
		panic("the steps to Lambda are others: give them a table of their own")
	}
	b.WriteString("\nThe list of services names the compute, but in the first line and column. There a service is on EC2, and CloudFormation does not\nrefuse the steps that have a **no**: `phase next`, `phase check` and `review` do. The way back has the same places in the same\norder, from Fargate alone to EC2 alone. The ways from EC2 and from Fargate to Lambda have the same steps. A service passes from\none way to another only at an end, where it is on one compute alone.\n")
}

// computeSteps is the table of one way. Unnamed says that it has a service without a Compute, too.
func computeSteps(from, to string, unnamed bool) string {
	type at struct {
		name  string
		m     migration.Migration
		state migration.State
	}
	var b strings.Builder
	var all []at
	add := func(name, compute, next, place string) {
		m := migration.Migration{Monolith: migration.Service{Name: "api"}, Services: []migration.Service{{Name: "users", Routes: []migration.Route{{}}, Compute: strings.ToLower(compute), Next: strings.ToLower(next)}}}
		position := migration.Position{Phase: migration.Switched}
		if of, err := migration.ParseComputePlace(place); err == nil {
			position.Compute = map[string]migration.Place{"users": of}
		}
		all = append(all, at{name, m, m.State(position)})
	}
	if unnamed {
		add("no `Compute`", "", "", "")
	}
	add(from+" alone", from, "", "")
	for _, place := range []string{migration.Stopped, "parallel", "10%", "switched", "retired"} {
		add("`"+place+"`", from, to, place)
	}
	add(to+" alone", to, "", "")
	b.WriteString("| from ↓ to → |")
	for _, column := range all {
		fmt.Fprintf(&b, " %s |", column.name)
	}
	b.WriteString("\n|---|" + strings.Repeat("---|", len(all)) + "\n")
	for _, row := range all {
		fmt.Fprintf(&b, "| %s |", row.name)
		for _, column := range all {
			refused := !migration.Follow(row.m.Locks(row.state), column.m.Locks(column.state))
			switch follows := migration.ComputeFollows(row.state.ComputePlace("users"), column.state.ComputePlace("users")); {
			case follows && refused:
				panic(row.name + " to " + column.name + " is refused")
			case follows:
				b.WriteString(" yes |")
			case refused:
				b.WriteString(" – |")
			default:
				b.WriteString(" **no** |")
			}
		}
		b.WriteString("\n")
	}
	return b.String()
}

// stepTables say which state may follow which: one phase for all, the places of a service, the
// monolith, and passing over.
func stepTables() string {
	m := migration.Migration{Monolith: migration.Service{Name: "api"}}
	for _, name := range []string{"users", "posts"} {
		m.Services = append(m.Services, migration.Service{Name: name, Routes: []migration.Route{{}}})
	}
	keeps := m
	keeps.KeepRest = true
	places := func(m migration.Migration, users, posts string, monolith migration.Phase) migration.State {
		given := map[string]migration.Place{}
		for name, text := range map[string]string{"users": users, "posts": posts} {
			place, err := migration.ParsePlace(text)
			if err != nil {
				panic(err) // a mistake in this file
			}
			given[name] = place
		}
		return m.State(migration.At(given, monolith))
	}
	var forAll, ofUsers, ofAll []at
	for _, s := range migration.States() {
		name := "`" + s.Phase.String() + "`"
		if s.Shift {
			name += " with a shift"
		}
		forAll = append(forAll, at{name, s})
		if s.Phase == migration.Switched {
			forAll = append(forAll, at{name + ", `rest: monolith`", keeps.State(migration.Position{Phase: s.Phase})})
		}
	}
	for _, place := range []string{"monolith", "parallel", "10%", "switched"} {
		ofUsers = append(ofUsers, at{"`" + place + "`", places(m, place, "parallel", migration.Monolith)})
		ofAll = append(ofAll, at{"all `" + place + "`", places(m, place, place, migration.Monolith)})
	}
	kept := at{"all `switched`, `rest: monolith`", places(keeps, "switched", "switched", migration.Monolith)}
	ofAll = append(ofAll, kept, at{"mixed", places(m, "monolith", "parallel", migration.Monolith)})
	monolith := []at{
		{"it runs, a service is before `switched`", places(m, "switched", "10%", migration.Monolith)},
		{"it runs for the rest", kept.state},
		{"it runs, all are `switched`", places(m, "switched", "switched", migration.Monolith)},
		{"`retired`", places(m, "switched", "switched", migration.Retired)},
		{"`removed`", places(m, "switched", "switched", migration.Removed)},
	}
	ofAll = append(ofAll, monolith[3])
	ofAll[len(ofAll)-1].name = "all `switched`, the monolith `retired`"

	var b strings.Builder
	table := func(title string, rows, columns []at) {
		fmt.Fprintf(&b, "\n%s\n\n| from ↓ to → |", title)
		for _, column := range columns {
			fmt.Fprintf(&b, " %s |", column.name)
		}
		b.WriteString("\n|---|" + strings.Repeat("---|", len(columns)) + "\n")
		for _, row := range rows {
			fmt.Fprintf(&b, "| %s |", row.name)
			for _, column := range columns {
				fmt.Fprintf(&b, " %s |", map[bool]string{true: "yes", false: "–"}[m.Follows(row.state, column.state)])
			}
			b.WriteString("\n")
		}
	}
	table("One phase for all services:", forAll, forAll)
	table("The place of one service, whatever the others do. Several services may each make a step in one deployment:", ofUsers, ofUsers)
	table("The monolith, if services have places of their own:", monolith, monolith)
	table("From one phase for all to places:", forAll, ofAll)
	table("From places to one phase for all:", ofAll, forAll)
	computeTable(&b)
	return strings.TrimPrefix(b.String(), "\n")
}

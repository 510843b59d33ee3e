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
	return strings.TrimPrefix(b.String(), "\n")
}

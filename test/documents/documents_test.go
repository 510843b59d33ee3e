// Package documents tests the documents: what in them is written from the golden
// templates, the commands, and the links. The tests need no CDK.
package documents_test

import (
	"bytes"
	"cmp"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"cutover/config"
	"cutover/internal/analysis/cost"
	"cutover/internal/analysis/diagram"
	"cutover/internal/assembly"
	"cutover/internal/golden"
	"cutover/internal/rehearsal"
	"cutover/migration"
)

// root is the root of the repository.
const root = "../.."

// deployed reads a golden assembly of what is deployed.
func deployed(t *testing.T, name string) *assembly.Assembly {
	t.Helper()
	return golden.Read(t, root, golden.Deployed(name))
}

// written finds the parts of a document that are written from the templates:
// what stands between <!-- written: NAME --> and <!-- end -->.
var written = regexp.MustCompile(`(?s)(<!-- written: ([^>]+) -->\n).*?(<!-- end -->)`)

// TestGoldensInDocuments compares those parts of the documents with what they
// would be now. Nothing that can be written is left out of all documents.
func TestGoldensInDocuments(t *testing.T) {
	parts := parts(t)
	used := map[string]bool{}
	files, err := filepath.Glob(root + "/docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range append(files, root+"/README.md") {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Count(text, []byte("<!-- written: ")) != len(written.FindAll(text, -1)) {
			t.Errorf("%s: a part that is written has no end", file)
		}
		now := written.ReplaceAllFunc(text, func(old []byte) []byte {
			match := written.FindSubmatch(old)
			name := string(match[2])
			part, known := parts[name]
			if !known {
				t.Errorf("%s: nothing writes %q", file, name)
				return old
			}
			used[name] = true
			return slices.Concat(match[1], []byte(part), match[3])
		})
		golden.Compare(t, file, now)
	}
	for name := range parts {
		if !used[name] {
			t.Errorf("no document has %q", name)
		}
	}
}

// parts are what can be written, by name.
func parts(t *testing.T) map[string]string {
	t.Helper()
	chart := func(text string) string { return "```mermaid\n" + text + "```\n" }
	requests := func(layers ...diagram.Layer) string {
		t.Helper()
		text, err := diagram.Requests(layers...)
		if err != nil {
			t.Fatal(err)
		}
		return chart(text)
	}
	one := func(a *assembly.Assembly) string { t.Helper(); return requests(diagram.Layer{Assembly: a}) }

	all := map[string]string{
		"settings":           settingsTable(),
		"environments":       environmentsTable(),
		"steps":              stepTables(),
		"growth":             growthTable(),
		"statuses":           statusTable(t),
		"headers of fronts":  frontHeadersTable(),
		"costs of requests":  cost.StoreTable(1900), // with its keys, a record has 2 KB
		"costs of fronts":    cost.FrontTable(2000),
		"costs of events":    cost.EventTable(),
		"months of events":   cost.EventMonthTable(),
		"stacks":             chart(diagram.Stacks(deployed(t, migration.Monolith.String()))),
		"requests, dynamodb": one(golden.Read(t, root, golden.DynamoDB)),
		"requests, canary":   one(deployed(t, golden.Canary)),
		"requests, places":   one(deployed(t, golden.Places)),
		"requests, prod":     one(deployed(t, golden.Production)),
	}
	var layers []diagram.Layer
	for _, phase := range migration.Phases() {
		a := deployed(t, phase.String())
		layers = append(layers, diagram.Layer{Name: phase.String(), Assembly: a})
		all["requests, "+phase.String()] = one(a)
		// One diagram of the stacks is that of all phases with a monolith.
		if phase == migration.Removed {
			all["stacks, removed"] = chart(diagram.Stacks(a))
			continue
		}
		if got := chart(diagram.Stacks(a)); got != all["stacks"] {
			t.Errorf("the stacks in %s are\n%s\nwant\n%s", phase, got, all["stacks"])
		}
	}
	all["requests, all phases"] = requests(layers...)
	maps.Copy(all, fieldTables(t))
	maps.Copy(all, compatibilityTables())
	return all
}

// frontHeadersTable has the headers that fronts add and that a rehearsal does not compare.
func frontHeadersTable() string {
	var b strings.Builder
	b.WriteString("| by | headers |\n|---|---|\n")
	for _, front := range rehearsal.AddedByFronts {
		fmt.Fprintf(&b, "| %s | `%s` |\n", front.By, strings.Join(front.Names, "`, `"))
	}
	return b.String()
}

// statusTable is what the API's test writes: how each method answers.
func statusTable(t *testing.T) string {
	t.Helper()
	table, err := os.ReadFile(filepath.Join(root, "services", "apitest", "statuses.md"))
	if err != nil {
		t.Fatal(err)
	}
	return string(table)
}

// settingsTable has every setting, and what it is where nobody sets it.
func settingsTable() string {
	var b strings.Builder
	b.WriteString("| key | default | in `prod` | meaning |\n|---|---|---|---|\n")
	for _, s := range config.Table() {
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", s.Key, cmp.Or(quoted(s.Default), s.Without), productionDefault(s), s.Meaning)
	}
	return b.String()
}

// environmentsTable has what is not the same in every environment.
func environmentsTable() string {
	var b strings.Builder
	b.WriteString("| setting | dev | staging | prod | |\n|---|---|---|---|---|\n")
	for _, s := range config.Table() {
		if s.Production != "" {
			other := cmp.Or(quoted(s.Default), s.Without)
			fmt.Fprintf(&b, "| `%s` | %s | %[2]s | %s | %s |\n", s.Key, other, productionDefault(s), s.Meaning)
		}
	}
	return b.String()
}

func productionDefault(s config.Setting) string {
	if slices.ContainsFunc(config.Table(), func(other config.Setting) bool { return other.Key == s.Production }) {
		return "as " + quoted(s.Production)
	}
	return quoted(s.Production)
}

// quoted is a value as it is set, nothing if there is none.
func quoted(value string) string {
	if value == "" {
		return ""
	}
	return "`" + value + "`"
}

var (
	link    = regexp.MustCompile(`\]\(([^():]*)\)`) // to a file here, or within it
	heading = regexp.MustCompile(`(?m)^#+ (.*)$`)
	fenced  = regexp.MustCompile("(?ms)^```.*?^```$")
	unslug  = regexp.MustCompile(`[^\p{L}\p{N} _-]`)
)

// TestLinks: what the documents link to is there, down to the heading.
func TestLinks(t *testing.T) {
	files, err := filepath.Glob(root + "/docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	read := func(file string) string {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		return fenced.ReplaceAllString(string(text), "")
	}
	found := 0
	for _, file := range append(files, root+"/README.md", root+"/CONTRIBUTING.md", root+"/SECURITY.md", root+"/examples/shop/README.md", root+"/examples/library/README.md") {
		for _, match := range link.FindAllStringSubmatch(read(file), -1) {
			found++
			path, anchor, _ := strings.Cut(match[1], "#")
			to := file
			if path != "" {
				to = filepath.Join(filepath.Dir(file), path)
			}
			if _, err := os.Stat(to); err != nil {
				t.Errorf("%s links to %s: %v", file, match[1], err)
				continue
			}
			if anchor == "" {
				continue
			}
			// As GitHub makes the anchor of a heading.
			is := func(h []string) bool {
				return strings.ReplaceAll(unslug.ReplaceAllString(strings.ToLower(h[1]), ""), " ", "-") == anchor
			}
			if !slices.ContainsFunc(heading.FindAllStringSubmatch(read(to), -1), is) {
				t.Errorf("%s links to %s, and %s has no such heading", file, match[1], to)
			}
		}
	}
	if found < 30 {
		t.Errorf("only %d links are found in the documents", found)
	}
}

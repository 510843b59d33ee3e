package model

import (
	"slices"
	"strings"

	"cutover/internal/assembly"
)

// StoreUse is a table or database whose address a container has in a variable.
type StoreUse struct {
	Variable string
	// Table is nil for a database.
	Table *Table
	// Cluster is nil for a table. Database is the one that the URL names.
	Cluster  *DatabaseCluster
	Database string
}

// Key identifies the store: two services with the same key share it.
func (u StoreUse) Key() string {
	if u.Table != nil {
		return u.Table.Key()
	}
	return u.Cluster.Key() + " " + u.Database
}

// String is the store in words, as in "table dev-users" or "database users".
func (u StoreUse) String() string {
	if u.Table != nil {
		return "table " + u.Table.Name
	}
	return "database " + u.Database
}

// Uses are the stores of the assembly whose addresses the containers of a task have: the name of a table,
// or something that refers to it; or a URL with the address of a cluster. They are sorted, each once.
func (m *Model) Uses(d *TaskDefinition) []StoreUse {
	var all []StoreUse
	for _, c := range d.Containers {
		for _, v := range c.Environment {
			of := func(r *assembly.Resource) bool {
				return slices.ContainsFunc(v.Parts, func(part any) bool { ref, ok := part.(assembly.Ref); return ok && ref.Resource == r })
			}
			for _, table := range m.Tables {
				if v.Value == table.Name || of(table.Resource) {
					all = append(all, StoreUse{Variable: v.Name, Table: table})
				}
			}
			for _, cluster := range m.DatabaseClusters {
				// A host alone is no database.
				if url, _, _ := strings.Cut(v.Parts.String(), "?"); of(cluster.Resource) && strings.Contains(url, "://") {
					all = append(all, StoreUse{Variable: v.Name, Cluster: cluster, Database: url[strings.LastIndexByte(url, '/')+1:]})
				}
			}
		}
	}
	slices.SortStableFunc(all, func(a, b StoreUse) int { return strings.Compare(a.Key(), b.Key()) })
	return slices.CompactFunc(all, func(a, b StoreUse) bool { return a.Key() == b.Key() })
}

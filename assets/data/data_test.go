package data

import (
	"encoding/json"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
)

func decode(t *testing.T, name, document string) map[string][]map[string]any {
	t.Helper()
	var tables map[string][]map[string]any
	if err := json.Unmarshal([]byte(document), &tables); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return tables
}

// The split must lose nothing and duplicate nothing.
func TestMicroservicesTogetherAreTheMonolith(t *testing.T) {
	together := map[string][]map[string]any{}
	for name, document := range map[string]string{"users": Users, "threads": Threads, "posts": Posts} {
		tables := decode(t, name+".json", document)
		if got := slices.Sorted(maps.Keys(tables)); !slices.Equal(got, []string{name}) {
			t.Errorf("%s.json holds the tables %q, want only its own", name, got)
		}
		maps.Copy(together, tables)
	}
	if monolith := decode(t, "api.json", API); !reflect.DeepEqual(together, monolith) {
		t.Errorf("api.json differs from users.json, threads.json and posts.json taken together:\n got %v\nwant %v", monolith, together)
	}
}

func TestShapeAndCounts(t *testing.T) {
	all := decode(t, "api.json", API)

	column := func(table string, keys ...string) [][]any {
		var rows [][]any
		for i, record := range all[table] {
			var row []any
			for _, key := range keys {
				value, ok := record[key]
				if !ok {
					t.Errorf("%s[%d] has no %q", table, i, key)
				}
				if number, ok := value.(float64); ok {
					value = int(number)
				}
				row = append(row, value)
			}
			rows = append(rows, row)
		}
		return rows
	}
	fields := map[string]int{"users": 4, "threads": 3, "posts": 3}
	for table, want := range fields {
		for i, record := range all[table] {
			if len(record) != want {
				t.Errorf("%s[%d] has %d fields, want %d", table, i, len(record), want)
			}
		}
	}

	column("users", "username", "name", "bio")
	column("threads", "title")
	column("posts", "text")
	for _, c := range []struct {
		table string
		keys  []string
		want  [][]any
	}{
		{"users", []string{"id"}, [][]any{{1}, {2}, {3}, {4}}},
		{"threads", []string{"id", "createdBy"}, [][]any{{1, 4}, {2, 3}, {3, 1}}},
		{"posts", []string{"thread", "user"}, [][]any{{1, 4}, {1, 2}, {2, 3}, {2, 2}, {2, 1}, {3, 1}}},
	} {
		if got := column(c.table, c.keys...); !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s %v = %v, want %v", c.table, c.keys, got, c.want)
		}
	}
}

// Escaping is only proved by texts that could be escaped.
func TestTextsThatNeedCare(t *testing.T) {
	for _, s := range []string{"<", ">", "&", `\"`, `\\`, "ó", "中", "🍽"} {
		if !strings.Contains(API, s) {
			t.Errorf("no record contains %s", s)
		}
	}
}

// Package records serves the records that a service is built with.
package records

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	"cutover/services/internal/server"
)

// Read decodes a table of the document, a JSON object of lists. A record may have only the fields
// of T, so that a misspelt key is found when the service starts. A missing or empty table is an
// error.
func Read[T any](document, table string) ([]T, error) {
	var tables map[string]json.RawMessage
	if err := json.Unmarshal([]byte(document), &tables); err != nil {
		return nil, fmt.Errorf("the data cannot be read: %w", err)
	}
	raw, ok := tables[table]
	if !ok {
		return nil, fmt.Errorf("the data has no table %q", table)
	}
	decoder := json.NewDecoder(strings.NewReader(string(raw)))
	decoder.DisallowUnknownFields()
	var list []T
	if err := decoder.Decode(&list); err != nil {
		return nil, fmt.Errorf("the table %q cannot be read: %w", table, err)
	}
	if len(list) == 0 {
		return nil, fmt.Errorf("the table %q is empty", table)
	}
	return list, nil
}

// ByID returns the module that serves a table of the document: all records, and a record by its
// id, which is called idName in the route. The function read returns a record's id, and whether
// the record has the other fields that it must have.
func ByID[T any](document, table, idName, fields string, read func(T) (id int64, complete bool)) server.Module {
	return func(r *server.Router) error {
		records, err := Read[T](document, table)
		if err != nil {
			return err
		}
		list, err := server.JSON(records)
		if err != nil {
			return err
		}
		byID := make(map[int64]*server.Response, len(records))
		for i, record := range records {
			id, complete := read(record)
			if id < 1 || !complete || byID[id] != nil {
				return fmt.Errorf("%s[%d] must have an id above 0 that no other has (it has %d), %s", table, i, id, fields)
			}
			if byID[id], err = server.JSON(record); err != nil {
				return err
			}
		}
		r.Get("/api/"+table, func(*http.Request) *server.Response { return list })
		r.Get("/api/"+table+"/{"+idName+"}", func(r *http.Request) *server.Response {
			if id, ok := server.PathID(r, idName); ok && byID[id] != nil {
				return byID[id]
			}
			return server.NoContent
		})
		return nil
	}
}

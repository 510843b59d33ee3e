// Package records reads the records that a service is built with.
package records

import (
	"encoding/json"
	"fmt"
	"strings"
)

// Read decodes the list called table in document, a JSON object of lists. The
// document may hold other tables (the monolith's holds all of them), but a
// record must have no field that T has not, so that a misspelt key is found
// when the service starts. A missing or empty table is an error.
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

package store

import (
	"fmt"
	"strings"
)

// Open opens the store of a module, such as users, as variables say. A table of DynamoDB is named by
// USERS_TABLE, a database of PostgreSQL by USERS_DATABASE_URL. If neither is there, the store is nil. Open
// reaches nobody, so that a paused database stops no service from starting. The error names the variable that
// is wrong.
func Open(module string, getenv func(string) string) (Store, error) {
	tableVariable, urlVariable := variable(module, "TABLE"), variable(module, "DATABASE_URL")
	table, url := getenv(tableVariable), getenv(urlVariable)
	switch {
	case table != "" && url != "":
		return nil, fmt.Errorf("%s and %s are both set: the records of %s are in one store", tableVariable, urlVariable, module)
	case table != "":
		s, err := newDynamoDB(table, getenv, network())
		if err != nil {
			return nil, fmt.Errorf("%s: %w", tableVariable, err)
		}
		return s, nil
	case url != "":
		s, err := newPostgreSQL(module, url, getenv)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", urlVariable, err)
		}
		return s, nil
	}
	return nil, nil
}

// variable is a variable about a module.
func variable(module, what string) string {
	return strings.ToUpper(strings.ReplaceAll(module, "-", "_")) + "_" + what
}

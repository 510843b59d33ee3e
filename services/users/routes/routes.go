// Package routes is the users module: its records and its part of the API.
package routes

import (
	"cutover/services/internal/records"
	"cutover/services/internal/server"
)

// The answers have the fields in this order.
type user struct {
	ID       int64  `json:"id"`
	Username string `json:"username"`
	Name     string `json:"name"`
	Bio      string `json:"bio"`
}

// Of returns the module that serves the table "users" of a document of package data.
func Of(document string) server.Module {
	return records.ByID(document, "users", "userId", "a username and a name", func(u user) (int64, bool) {
		return u.ID, u.Username != "" && u.Name != ""
	})
}

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

// Users is what a user is in a store.
var Users = records.Kind{
	Name: "users",
	Fields: []records.Field{
		{Name: "username", MaxText: 100},
		{Name: "name", MaxText: 400},
		{Name: "bio", MaxText: 10_000, Optional: true},
	},
	Referring: []records.Referring{{Kind: "threads", List: "by-user"}, {Kind: "posts", List: "by-user"}},
}

// Of returns the module that serves the users in the store of the environment, or else the table "users" of a
// document of package data.
func Of(document string) server.Module {
	return Users.Of(document, records.ByID(document, "users", "userId", "a username and a name", func(u user) (int64, bool) {
		return u.ID, u.Username != "" && u.Name != ""
	}))
}

// Package routes is the users module: its records and its part of the API.
package routes

import (
	"fmt"
	"net/http"

	"cutover/services/internal/records"
	"cutover/services/internal/server"
)

// The order of the fields is that of the answers.
type user struct {
	ID       int64  `json:"id"`
	Username string `json:"username"`
	Name     string `json:"name"`
	Bio      string `json:"bio"`
}

// Of returns the module that serves the table "users" of a document of
// package data.
func Of(document string) server.Module {
	return func(r *server.Router) error {
		users, err := records.Read[user](document, "users")
		if err != nil {
			return err
		}
		list, err := server.JSON(users)
		if err != nil {
			return err
		}
		byID := make(map[int64]*server.Response, len(users))
		for i, u := range users {
			if u.ID < 1 || u.Username == "" || u.Name == "" || byID[u.ID] != nil {
				return fmt.Errorf("users[%d] must have an id above 0 that no other has (it has %d), a username and a name", i, u.ID)
			}
			if byID[u.ID], err = server.JSON(u); err != nil {
				return err
			}
		}

		r.Get("/api/users", func(*http.Request) *server.Response { return list })
		r.Get("/api/users/{userId}", func(r *http.Request) *server.Response {
			if id, ok := server.PathID(r, "userId"); ok && byID[id] != nil {
				return byID[id]
			}
			return server.NoContent
		})
		return nil
	}
}

// Package routes is the threads module: its records and its part of the API.
package routes

import (
	"cutover/services/internal/records"
	"cutover/services/internal/server"
)

// The answers have the fields in this order.
type thread struct {
	ID        int64  `json:"id"`
	Title     string `json:"title"`
	CreatedBy int64  `json:"createdBy"` // a user's id
}

// Of returns the module that serves the table "threads" of a document of package data.
func Of(document string) server.Module {
	return records.ByID(document, "threads", "threadId", "a title and the id of a user as createdBy", func(t thread) (int64, bool) {
		return t.ID, t.Title != "" && t.CreatedBy >= 1
	})
}

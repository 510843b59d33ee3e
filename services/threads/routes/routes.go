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

// Threads is what a thread is in a store.
var Threads = records.Kind{
	Name: "threads",
	Fields: []records.Field{
		{Name: "title", MaxText: 1000},
		{Name: "createdBy", Of: "users", List: "by-user"},
	},
	Referring: []records.Referring{{Kind: "posts", List: "in-thread"}},
}

// Of returns the module that serves the threads in the store of the environment, or else the table "threads"
// of a document of package data.
func Of(document string) server.Module {
	return Threads.Of(document, records.ByID(document, "threads", "threadId", "a title and the id of a user as createdBy", func(t thread) (int64, bool) {
		return t.ID, t.Title != "" && t.CreatedBy >= 1
	}))
}

// Package routes is the threads module: its records and its part of the API.
package routes

import (
	"fmt"
	"net/http"

	"cutover/services/internal/records"
	"cutover/services/internal/server"
)

// The order of the fields is that of the answers.
type thread struct {
	ID        int64  `json:"id"`
	Title     string `json:"title"`
	CreatedBy int64  `json:"createdBy"` // a user's id
}

// Of returns the module that serves the table "threads" of a document of
// package data.
func Of(document string) server.Module {
	return func(r *server.Router) error {
		threads, err := records.Read[thread](document, "threads")
		if err != nil {
			return err
		}
		list, err := server.JSON(threads)
		if err != nil {
			return err
		}
		byID := make(map[int64]*server.Response, len(threads))
		for i, t := range threads {
			if t.ID < 1 || t.Title == "" || t.CreatedBy < 1 || byID[t.ID] != nil {
				return fmt.Errorf("threads[%d] must have an id above 0 that no other has (it has %d), a title and the id of a user as createdBy", i, t.ID)
			}
			if byID[t.ID], err = server.JSON(t); err != nil {
				return err
			}
		}

		r.Get("/api/threads", func(*http.Request) *server.Response { return list })
		r.Get("/api/threads/{threadId}", func(r *http.Request) *server.Response {
			if id, ok := server.PathID(r, "threadId"); ok && byID[id] != nil {
				return byID[id]
			}
			return server.NoContent
		})
		return nil
	}
}

package main

import (
	"errors"

	"cutover/services/internal/records"
	"cutover/services/internal/server"
)

var notes = records.Kind{Name: "notes", Fields: []records.Field{{Name: "text", MaxText: 1000}}}

func main() {
	server.Main("notes", notes.Of(`{"notes": []}`, func(*server.Router) error {
		return errors.New("the variable NOTES_TABLE is missing")
	}))
}

package store

import "errors"

// ErrBusy is the error of a store that cannot do anything now. Nothing was changed.
var ErrBusy = errors.New("the store is busy")

// Open opens the store of a module that the environment names. It returns nil if the environment names none.
func Open(module string, getenv func(string) string) (Store, error) { return nil, nil }

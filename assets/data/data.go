// Package data holds the forum's records: one file for the monolith and one
// for each microservice, so that a microservice carries its own data and
// nothing of its neighbours'.
//
// Each file is a variable of its own because the linker drops the variables a
// program does not mention: which data ends up in a binary is decided by the
// one line in its main.go.
package data

import _ "embed"

// API is the monolith's data: the users, threads and posts together.
//
//go:embed api.json
var API string

// Users is the data of the users service.
//
//go:embed users.json
var Users string

// Threads is the data of the threads service.
//
//go:embed threads.json
var Threads string

// Posts is the data of the posts service.
//
//go:embed posts.json
var Posts string

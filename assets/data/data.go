// Package data holds the forum's records: a file for the monolith, and a file for
// each microservice. A microservice contains its own data and no other.
//
// Each file is a variable, for the linker drops variables that a program does not
// mention. One line in a program's main.go decides which data the binary contains.
package data

import _ "embed"

// API is the monolith's data: users, threads and posts.
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

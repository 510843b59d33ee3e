// Deletions is the microservice that deletes users with all that they have written, and its workers.
package main

import (
	"cutover/services/deletions/routes"
	"cutover/services/internal/server"
)

func main() {
	server.Main("deletions", routes.Deletions)
}

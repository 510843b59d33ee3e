// Threads is the microservice of the forum's threads.
package main

import (
	"cutover/assets/data"
	"cutover/services/internal/server"
	"cutover/services/threads/routes"
)

func main() {
	server.Main("threads", routes.Of(data.Threads))
}

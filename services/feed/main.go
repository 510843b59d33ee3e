// Feed is the microservice of the forum's feed, which it makes of what the other services publish.
package main

import (
	"cutover/services/feed/routes"
	"cutover/services/internal/server"
)

func main() {
	server.Main("feed", routes.Feed)
}

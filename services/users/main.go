// Users is the microservice of the forum's users.
package main

import (
	"cutover/assets/data"
	"cutover/services/internal/server"
	"cutover/services/users/routes"
)

func main() {
	server.Main("users", routes.Of(data.Users))
}

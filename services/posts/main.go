// Posts is the microservice of the forum's posts.
package main

import (
	"cutover/assets/data"
	"cutover/services/internal/server"
	"cutover/services/posts/routes"
)

func main() {
	server.Main("posts", routes.Of(data.Posts))
}

// Api is the monolith: the three modules in one process.
package main

import (
	"cutover/assets/data"
	deletions "cutover/services/deletions/routes"
	feed "cutover/services/feed/routes"
	"cutover/services/internal/server"
	posts "cutover/services/posts/routes"
	threads "cutover/services/threads/routes"
	users "cutover/services/users/routes"
)

func main() {
	server.Main("api", users.Of(data.API), threads.Of(data.API), posts.Of(data.API), deletions.Deletions, feed.Feed)
}

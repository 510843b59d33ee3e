// Echo is a stand-in for any service, for measurements with many of them: it has
// the server of every service, and answers /api/NAME and /api/NAME/ID with the
// name and the id of the path. So a path is answered with the same bytes whichever
// service it is sent to, as a monolith's by the service that takes it over.
package main

import (
	"net/http"

	"cutover/services/internal/server"
)

func main() {
	server.Main("echo", routes)
}

func routes(r *server.Router) error {
	r.Get("/api/{name}", answer)
	r.Get("/api/{name}/{id}", answer)
	return nil
}

func answer(r *http.Request) *server.Response {
	response, err := server.JSON(map[string]string{"name": r.PathValue("name"), "id": r.PathValue("id")})
	if err != nil {
		panic(err) // strings can always be expressed
	}
	return response
}

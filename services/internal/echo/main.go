// Echo stands for any service, in measurements with many of them. It answers /api/NAME and
// /api/NAME/ID with the name and the id. So all services answer a path with the same bytes.
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

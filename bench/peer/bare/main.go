// Bare shows the most that net/http can do: one handler answers every request with the same bytes.
//
//	bare ADDRESS TYPE BODY
package main

import (
	"log"
	"net/http"
	"os"
	"strconv"
)

func main() {
	address, contentType, body := os.Args[1], os.Args[2], []byte(os.Args[3])
	length := strconv.Itoa(len(body))
	log.Fatal(http.ListenAndServe(address, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", contentType)
		w.Header().Set("Content-Length", length)
		_, _ = w.Write(body)
	})))
}

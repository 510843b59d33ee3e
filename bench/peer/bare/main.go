// Bare is what net/http can do at the most: one handler that answers every
// request with the same bytes, and nothing around it.
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

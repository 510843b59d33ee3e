// Answers is a function for tests. It answers as the last part of the path says, or with the request as it got it.
package main

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path"
	"strconv"
	"strings"

	"cutover/services/internal/lambda"
)

func main() {
	log := slog.New(slog.NewJSONHandler(os.Stdout, nil))
	function := lambda.Service{API: os.Getenv("AWS_LAMBDA_RUNTIME_API"), Handler: http.HandlerFunc(answer), Log: log}
	if err := function.Serve(context.Background()); err != nil {
		log.Error(err.Error())
		os.Exit(1)
	}
}

func answer(w http.ResponseWriter, r *http.Request) {
	header, kind := w.Header(), path.Base(r.URL.Path)
	header.Set("Content-Type", "text/plain; charset=utf-8")
	header.Set("Etag", `"1"`)
	if status, err := strconv.Atoi(kind); err == nil {
		w.WriteHeader(status)
		if status != http.StatusNoContent && status != http.StatusNotModified {
			io.WriteString(w, http.StatusText(status))
		}
		return
	}
	switch kind {
	case "binary":
		header.Set("Content-Type", "image/png")
		for b := range 256 {
			w.Write([]byte{byte(b)})
		}
	case "encoded":
		header.Set("Content-Encoding", "gzip")
		w.Write([]byte{0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0})
	case "text":
		io.WriteString(w, "Zoë, 狐 🦊 <a&b> \u2028 \x00 \x7f \"\\\r\n")
	case "empty":
	case "headers":
		header["Set-Cookie"] = []string{"a=1; Path=/", "b=2; HttpOnly"}
		header["Link"] = []string{`</a>; rel="next"`, `</b>; rel="last"`}
		header.Set("Location", "/api/users/5?a=b%20c")
		header.Set("X-Text", "a, b; c=\"d\"")
		header.Set("X-Empty", "")
	default:
		body, _ := io.ReadAll(r.Body)
		header.Set("Content-Type", "application/json")
		own := map[string][]string{}
		for name, values := range r.Header {
			if strings.HasPrefix(name, "X-Own") || name == "Content-Type" || name == "If-Match" || name == "Cookie" || name == "Accept" {
				own[name] = values
			}
		}
		json.NewEncoder(w).Encode(map[string]any{"method": r.Method, "path": r.URL.EscapedPath(), "query": r.URL.Query(), "header": own, "body": body, "length": r.ContentLength})
	}
}

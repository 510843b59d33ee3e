package routes

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"

	"cutover/services/internal/server"
	"cutover/services/internal/store"
)

// away is a queue of work that takes no jobs.
type away struct{}

func (away) Send(context.Context, []byte) error { return errors.New("throttled") }

// serveDeletions serves deletions until the test ends.
func serveDeletions(t *testing.T, s *saga) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error)
	go func() {
		ended <- server.Serve(ctx, listener, io.Discard, func(rt *server.Router) error { s.serve(rt); return nil })
	}()
	t.Cleanup(func() {
		http.DefaultClient.CloseIdleConnections() // the server waits five seconds for one that was never used
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return "http://" + listener.Addr().String()
}

// Deletions answer as the OpenAPI document says, and with each status that it has.
func TestOpenAPI(t *testing.T) {
	doc, err := openapi3.NewLoader().LoadFromFile("../../../api/openapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	there, full := serveDeletions(t, &saga{store: store.NewMemory(), jobs: &jobsSent{}}), serveDeletions(t, &saga{store: store.NewMemory(), jobs: away{}})
	seen := map[string]map[string]bool{}
	for _, c := range []struct{ address, method, path, body, want string }{
		{there, "POST", "/api/deletions", `{"user":3}`, "202"},
		{there, "POST", "/api/deletions", `{"user":3}`, "202"},
		{there, "POST", "/api/deletions", `{"user":3`, "400"},
		{there, "POST", "/api/deletions", `{"user":3,"thread":1}`, "400"},
		{there, "POST", "/api/deletions", `{"user":0}`, "422"},
		{there, "POST", "/api/deletions", `{"user":3` + strings.Repeat(" ", maxBody) + `}`, "413"},
		{full, "POST", "/api/deletions", `{"user":3}`, "503"},
		{there, "GET", "/api/deletions/3", "", "200"},
		{there, "GET", "/api/deletions/4", "", "204"},
		{there, "GET", "/api/deletions/none", "", "204"},
	} {
		request, err := http.NewRequestWithContext(t.Context(), c.method, c.address+c.path, strings.NewReader(c.body))
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Content-Type", "application/json")
		answer, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(answer.Body)
		_ = answer.Body.Close()
		if status := answer.Status[:3]; err != nil || status != c.want {
			t.Errorf("%s %s %.40s: %s %s %v, want %s", c.method, c.path, c.body, status, body, err, c.want)
		}
		if location := answer.Header.Get("Location"); (location == "/api/deletions/3") != (c.want == "202") {
			t.Errorf("%s %s %.40s: the location is %q", c.method, c.path, c.body, location)
		}
		path := c.path
		if c.method == "GET" {
			path = "/api/deletions/{deletionId}"
		}
		operation := doc.Paths.Value(path).GetOperation(c.method)
		response := operation.Responses.Value(c.want)
		if response == nil {
			t.Errorf("%s %s is answered with %s: the document does not have that", c.method, path, c.want)
			continue
		}
		if seen[operation.OperationID] == nil {
			seen[operation.OperationID] = map[string]bool{}
		}
		seen[operation.OperationID][c.want] = true
		for mediaType, media := range response.Value.Content {
			var shown any
			if err := json.Unmarshal(body, &shown); err != nil || !strings.HasPrefix(answer.Header.Get("Content-Type"), mediaType) {
				t.Errorf("%s %s: %s %s %v", c.method, c.path, answer.Header.Get("Content-Type"), body, err)
			} else if err := media.Schema.Value.VisitJSON(shown); err != nil {
				t.Errorf("%s %s: %s: %v", c.method, c.path, body, err)
			}
		}
	}
	seen["getDeletion"]["503"] = true // it is the answer without a store, as of the POST
	for path, method := range map[string]string{"/api/deletions": "POST", "/api/deletions/{deletionId}": "GET"} {
		operation := doc.Paths.Value(path).GetOperation(method)
		if has, got := slices.Sorted(maps.Keys(operation.Responses.Map())), slices.Sorted(maps.Keys(seen[operation.OperationID])); !slices.Equal(has, got) {
			t.Errorf("%s %s: the document has %v, and the answers were %v", method, path, has, got)
		}
	}
}

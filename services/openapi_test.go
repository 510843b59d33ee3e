package services_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"

	"cutover/services/apitest"
)

// checkOpenAPI holds the statuses of the contract, and what the examples are answered, against the OpenAPI
// document.
func checkOpenAPI(t *testing.T, rows []apitest.Row, addresses map[string]string) {
	doc, err := openapi3.NewLoader().LoadFromFile("../api/openapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if err := doc.Validate(t.Context()); err != nil {
		t.Error(err)
	}
	seen := map[string]bool{}
	for _, row := range rows {
		for kind, status := range row.Status {
			if status == 405 || slices.Contains([]string{http.MethodHead, http.MethodPatch, http.MethodOptions, http.MethodTrace}, row.Method) {
				continue
			}
			path := row.Path[kind]
			operation := doc.Paths.Value(path).GetOperation(row.Method)
			if operation == nil || operation.Responses.Status(status) == nil {
				t.Errorf("%s %s is answered with %d (%s): the document does not have that", row.Method, path, status, row.Case)
			}
			seen[fmt.Sprint(row.Method, path, status)] = true
		}
	}
	for path, item := range doc.Paths.Map() {
		for method, operation := range item.Operations() {
			if slices.ContainsFunc(operation.Tags, func(tag string) bool { return tag == "feed" || tag == "deletions" }) {
				continue // their services hold their answers against the document
			}
			for status := range operation.Responses.Map() {
				// A list with a reference has the statuses of other lists. The others need a failure.
				known := seen[method+path+status] || strings.Count(path, "/") == 4 || status == "503" || method == "POST" && status == "409" || method == "GET" && (status == "412" || status == "413")
				if !known {
					t.Errorf("%s %s is never answered with %s", method, path, status)
				}
			}
		}
	}
	for kind, name := range map[string]string{"users": "User", "threads": "Thread", "posts": "Post"} {
		media := doc.Components.RequestBodies[name].Value.Content["application/json"]
		if err := media.Schema.Value.VisitJSON(media.Example); err != nil {
			t.Errorf("the example of %s: %v", kind, err)
		}
		example := media.Example.(map[string]any)
		for field, of := range map[string]string{"createdBy": "users", "user": "users", "thread": "threads"} {
			if example[field] != nil { // any that is there
				var list []struct{ ID int64 }
				if err := json.Unmarshal([]byte(ask(t, "GET", addresses[of]+"/api/"+of+"?limit=1", "").body), &list); err != nil || len(list) != 1 {
					t.Fatal(err, list)
				}
				example[field] = list[0].ID
			}
		}
		body, err := json.Marshal(example)
		if err != nil {
			t.Fatal(err)
		}
		a := ask(t, "POST", addresses[kind]+"/api/"+kind, string(body))
		wantStatus(t, "the example", a, 201)
		var shown any
		if err := json.Unmarshal([]byte(a.body), &shown); err != nil {
			t.Fatal(err)
		}
		if err := media.Schema.Value.VisitJSON(shown); err != nil {
			t.Errorf("the answer %s: %v", a.body, err)
		}
	}
}

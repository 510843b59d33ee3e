package onaws

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
)

// fake stands for AWS. Answers are by the operation: each is used once, and the last one again and again. An
// answer that begins with "!" is an error: its type, and a message behind a space.
type fake struct {
	t       *testing.T
	answers map[string][]string

	mu    sync.Mutex
	asked []string // operations with their requests
}

// serve returns the variables that lead to the fake.
func (f *fake) serve(t *testing.T) func(string) string {
	f.t = t
	server := httptest.NewServer(f)
	t.Cleanup(server.Close)
	return func(name string) string {
		return map[string]string{"AWS_ENDPOINT_URL": server.URL, "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_REGION": "eu-west-1"}[name]
	}
}

func (f *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	_, operation, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	switch {
	case operation != "":
	case r.URL.Path == "/Execute":
		var request struct{ Database, SQL, ResourceArn, SecretArn string }
		if err := json.Unmarshal(body, &request); err != nil {
			f.t.Error(err)
		}
		operation, body = "Execute", []byte(request.ResourceArn+" "+request.SecretArn+" "+request.Database+": "+request.SQL)
	default:
		form, _ := url.ParseQuery(string(body))
		operation = form.Get("Action")
	}
	f.mu.Lock()
	f.asked = append(f.asked, operation+" "+string(body))
	answers := f.answers[operation]
	if len(answers) == 0 {
		f.t.Errorf("nobody expects %s %s", operation, body)
		answers = []string{"{}"}
	}
	answer := answers[0]
	if len(answers) > 1 {
		f.answers[operation] = answers[1:]
	}
	f.mu.Unlock()
	if kind, ok := strings.CutPrefix(answer, "!"); ok {
		kind, message, _ := strings.Cut(kind, " ")
		w.Header().Set("X-Amzn-ErrorType", kind)
		w.WriteHeader(http.StatusBadRequest)
		if strings.HasPrefix(operation, "DescribeStack") || operation == "GetTemplate" || strings.HasPrefix(operation, "List") {
			fmt.Fprintf(w, "<ErrorResponse><Error><Code>%s</Code><Message>%s</Message></Error></ErrorResponse>", kind, message)
			return
		}
		fmt.Fprintf(w, `{"__type": %q, "message": %q}`, kind, message)
		return
	}
	fmt.Fprint(w, answer)
}

// requests are those of an operation.
func (f *fake) requests(operation string) (all []string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, one := range f.asked {
		if request, ok := strings.CutPrefix(one, operation+" "); ok {
			all = append(all, request)
		}
	}
	return all
}

package page

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"path"
	"slices"
	"strings"
	"sync"
	"testing"

	"cutover/config"
	"cutover/services/forumtest"
)

// front serves the page and the real services at one address, as CloudFront does.
type front struct {
	*httptest.Server
	services map[string]http.Handler

	mu sync.Mutex
	// phase and places are those of the deployment; places are those of single services.
	phase  string
	places map[string]string
	writes bool
	// switched are the kinds that their microservices answer.
	switched map[string]bool
	// instead answers a request of the API, if it returns true.
	instead func(w http.ResponseWriter, r *http.Request) bool
}

func newFront(t *testing.T, writes bool) *front {
	t.Helper()
	start(t)
	f := &front{phase: "monolith", writes: writes, switched: map[string]bool{}}
	f.Server = httptest.NewServer(f)
	t.Cleanup(f.Close)
	f.services = forumtest.Start(t, f.URL, writes)
	return f
}

// change changes what the front does with the requests from now on.
func (f *front) change(change func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change()
}

func (f *front) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Security-Policy", config.ContentSecurityPolicy)
	w.Header().Set("X-Content-Type-Options", "nosniff")
	switch {
	case r.URL.Path == "/deployment.json":
		f.deployment(w)
	case strings.HasPrefix(r.URL.Path, "/api"):
		f.mu.Lock()
		instead, service := f.instead, forumtest.Monolith
		for _, kind := range forumtest.Kinds {
			if f.switched[kind] && strings.HasPrefix(r.URL.Path, "/api/"+kind) {
				service = kind
			}
		}
		f.mu.Unlock()
		if instead == nil || !instead(w, r) {
			f.services[service].ServeHTTP(w, r)
		}
	default:
		name := r.URL.Path
		if !strings.Contains(path.Base(name), ".") {
			name = "/index.html"
		}
		http.ServeFile(w, r, web+name)
	}
}

// deployment is what the function at CloudFront answers for /deployment.json.
func (f *front) deployment(w http.ResponseWriter) {
	f.mu.Lock()
	defer f.mu.Unlock()
	type service struct {
		Name   string   `json:"name"`
		Paths  []string `json:"paths"`
		Writes bool     `json:"writes"`
	}
	d := struct {
		Environment string            `json:"environment"`
		Phase       string            `json:"phase"`
		Places      map[string]string `json:"places,omitempty"`
		Monolith    string            `json:"monolith"`
		Services    []service         `json:"services"`
	}{"dev", f.phase, maps.Clone(f.places), forumtest.Monolith, nil}
	for _, kind := range forumtest.Kinds {
		d.Services = append(d.Services, service{kind, []string{"/api/" + kind + "*"}, f.writes})
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	json.NewEncoder(w).Encode(d)
}

// send sends a request as another client would. It returns the status, the header and the body.
func (f *front) send(t *testing.T, method, path string, body any, header ...string) (int, http.Header, string) {
	t.Helper()
	text, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	if body == nil {
		text = nil
	}
	r, err := http.NewRequestWithContext(t.Context(), method, f.URL+path, bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	for pair := range slices.Chunk(header, 2) {
		r.Header.Set(pair[0], pair[1])
	}
	a, err := f.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Body.Close()
	answer, err := io.ReadAll(a.Body)
	if err != nil {
		t.Fatal(err)
	}
	return a.StatusCode, a.Header, string(answer)
}

// create makes a record, and returns its path in the API.
func (f *front) create(t *testing.T, kind string, fields map[string]any) string {
	t.Helper()
	status, header, body := f.send(t, "POST", "/api/"+kind, fields)
	if status != http.StatusCreated {
		t.Fatalf("POST /api/%s is answered with %d %s", kind, status, body)
	}
	return header.Get("Location")
}

// unavailable answers like a load balancer without a target, and like a service without its store.
func unavailable(w http.ResponseWriter, document bool) {
	if !document {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.WriteHeader(http.StatusServiceUnavailable)
		fmt.Fprint(w, "no service takes this path")
		return
	}
	w.Header().Set("Content-Type", "application/problem+json")
	w.Header().Set("Retry-After", "2")
	w.Header().Set("X-Answered-By", "posts")
	w.WriteHeader(http.StatusServiceUnavailable)
	fmt.Fprint(w, `{"type":"about:blank","title":"Service Unavailable","status":503,"detail":"The store does not answer."}`)
}

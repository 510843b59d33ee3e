package cloudfront

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"cutover/internal/assembly"
	"cutover/internal/local/provider"
	"cutover/internal/model"
)

// site is the distribution of testdata on a socket, before a load balancer and an API that are one server of the test.
type site struct {
	t      testing.TB
	p      *Provider
	origin *httptest.Server
	url    string
	client *http.Client
	// told are the messages of events.
	told []string
}

// change replaces a text of a template.
type change struct{ from, to string }

// read reads the assembly of testdata, changed.
func read(t testing.TB, changes ...change) *model.Model {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS("testdata")); err != nil {
		t.Fatal(err)
	}
	for _, c := range changes {
		found := false
		for _, name := range []string{"Ui.template.json", "Routing.template.json"} {
			text, err := os.ReadFile(filepath.Join(dir, name))
			if err != nil {
				t.Fatal(err)
			}
			if strings.Contains(string(text), c.from) {
				found = true
				if err := os.WriteFile(filepath.Join(dir, name), []byte(strings.ReplaceAll(string(text), c.from, c.to)), 0o600); err != nil {
					t.Fatal(err)
				}
			}
		}
		if !found {
			t.Fatalf("no template has %s", c.from)
		}
	}
	a, err := assembly.Read(dir)
	if err != nil {
		t.Fatal(err)
	}
	return model.Read(a)
}

// place is where the origins of a test answer.
type place int

func (p place) Address(string, int) int { return int(p) }

func fill(value any) (string, error) {
	parts, ok := value.(assembly.Text)
	if !ok {
		parts = assembly.Text{value}
	}
	var b strings.Builder
	for _, part := range parts {
		ref, ok := part.(assembly.Ref)
		switch {
		case !ok:
			fmt.Fprint(&b, part)
		case ref.Attribute == "DNSName":
			b.WriteString("lb.example")
		default:
			b.WriteString(strings.ToLower(ref.Resource.LogicalID))
		}
	}
	return b.String(), nil
}

// serve runs the distribution of testdata before a handler.
func serve(t testing.TB, origin http.HandlerFunc, changes ...change) *site {
	t.Helper()
	s := &site{t: t, origin: httptest.NewServer(origin), client: &http.Client{Transport: &http.Transport{DisableCompression: true}, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
	port := s.origin.Listener.Addr().(*net.TCPAddr).Port
	s.p = New(Options{Free: true, Balancers: place(port), APIs: func(string) int { return port }, Events: func(e provider.Event) { s.told = append(s.told, e.State+" "+e.Message) }})
	t.Cleanup(func() {
		s.client.CloseIdleConnections()
		if err := s.p.Stop(t.Context()); err != nil && !errors.Is(err, t.Context().Err()) {
			t.Error(err)
		}
		s.origin.Close()
	})
	s.deploy(changes...)
	s.url = s.p.Status().(Status)[0].URL
	return s
}

func (s *site) deploy(changes ...change) provider.Plan {
	s.t.Helper()
	next := s.p.Plan(read(s.t, changes...), fill)
	if err := next.Check(); err != nil {
		s.t.Fatal(err)
	}
	for _, stack := range []string{"Routing", "Ui"} {
		if err := errors.Join(next.Update(s.t.Context(), stack), next.Clean(s.t.Context(), stack)); err != nil {
			s.t.Fatal(err)
		}
	}
	return next
}

// answer is an answer with its body.
type answer struct {
	*http.Response
	body string
}

// ask sends "METHOD PATH" with headers "Name: value".
func (s *site) ask(what string, headers ...string) answer {
	s.t.Helper()
	method, path, _ := strings.Cut(what, " ")
	path, sent, _ := strings.Cut(path, " ")
	var body io.Reader
	if sent != "" {
		body = strings.NewReader(sent)
	}
	r, err := http.NewRequestWithContext(s.t.Context(), method, s.url+path, body)
	if err != nil {
		s.t.Fatal(err)
	}
	for _, header := range headers {
		name, value, _ := strings.Cut(header, ": ")
		r.Header.Add(name, value)
	}
	response, err := s.client.Do(r)
	if err != nil {
		s.t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return answer{response, string(text)}
}

// is checks "status X-Cache body", the cache's word without CloudFront's name.
func (s *site) is(want string, a answer) {
	s.t.Helper()
	got := fmt.Sprint(a.StatusCode, " ", strings.TrimSuffix(a.Header.Get("X-Cache"), " from cloudfront"), " ", strings.TrimSpace(a.body))
	if got != want {
		s.t.Errorf("%s %s: %q, want %q", a.Request.Method, a.Request.URL.Path, got, want)
	}
}

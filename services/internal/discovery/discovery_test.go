package discovery

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func record(address string, priority, weight uint16) *net.SRV {
	host, port, _ := net.SplitHostPort(address)
	number, _ := strconv.Atoi(port)
	return &net.SRV{Target: host + ".", Port: uint16(number), Priority: priority, Weight: weight}
}

// static has the same records for every name, in the order of their priority.
func static(addresses ...string) Resolver {
	return Resolver{Lookup: func(context.Context, string) (records []*net.SRV, err error) {
		for i, address := range addresses {
			records = append(records, record(address, uint16(i), 1))
		}
		return records, nil
	}}
}

// closed is an address that refuses connections.
func closed(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().String()
}

// deaf takes requests, counts them, and answers none.
func deaf(t *testing.T, asked *atomic.Int32) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		asked.Add(1)
		panic(http.ErrAbortHandler)
	}))
	t.Cleanup(server.Close)
	return server.Listener.Addr().String()
}

func echo(t *testing.T) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %s %s %s", r.Method, r.Host, r.URL, body)
	}))
	t.Cleanup(server.Close)
	return server.Listener.Addr().String()
}

// A request goes to a target with its own host, path and body.
func TestRoundTrip(t *testing.T) {
	client := &http.Client{Transport: &Transport{Resolver: static(echo(t))}}
	response, err := client.Post("http+srv://users.dev.internal/api/users?a=b", "text/plain", strings.NewReader("body"))
	if err != nil {
		t.Fatal(err)
	}
	if body, _ := io.ReadAll(response.Body); string(body) != "POST users.dev.internal /api/users?a=b body" {
		t.Errorf("the service gets %s", body)
	}
	r, _ := http.NewRequest("GET", "http+srv://users.dev.internal/x", nil)
	r.Host = "own.example"
	before := *r.URL
	if response, err = client.Do(r); err != nil {
		t.Fatal(err)
	}
	if body, _ := io.ReadAll(response.Body); string(body) != "GET own.example /x " || *r.URL != before {
		t.Errorf("the service gets %s, and the request has %v", body, r.URL)
	}
	if response, err = client.Get("http://" + echo(t) + "/plain"); err != nil {
		t.Fatal(err)
	}
	if body, _ := io.ReadAll(response.Body); !strings.HasSuffix(string(body), " /plain ") {
		t.Errorf("without records the service gets %s", body)
	}
}

// A request that has not been sent goes to another target; one that may have been sent does so only if
// its method is idempotent and its body can be read again.
func TestRetries(t *testing.T) {
	var asked atomic.Int32
	refuses, hears, answers := closed(t), deaf(t, &asked), echo(t)
	once := struct{ io.Reader }{strings.NewReader("body")} // hides how to read it again
	for _, c := range []struct {
		name    string
		targets []string
		method  string
		body    io.Reader
		asked   int32
		ok      bool
	}{
		{"a refused GET", []string{refuses, answers}, "GET", nil, 0, true},
		{"a refused POST", []string{refuses, answers}, "POST", strings.NewReader("body"), 0, true},
		{"a refused POST, once more", []string{refuses, closed(t), answers}, "POST", strings.NewReader("body"), 0, true},
		{"three refused POSTs", []string{refuses, closed(t), closed(t), answers}, "POST", strings.NewReader("body"), 0, false},
		{"a refused POST without a body again", []string{refuses, answers}, "POST", once, 0, false},
		{"a GET", []string{hears, answers}, "GET", nil, 1, true},
		{"a HEAD", []string{hears, answers}, "HEAD", nil, 1, true},
		{"an OPTIONS", []string{hears, answers}, "OPTIONS", nil, 1, true},
		{"a TRACE", []string{hears, answers}, "TRACE", nil, 1, true},
		{"a DELETE", []string{hears, answers}, "DELETE", nil, 1, true},
		{"a PUT", []string{hears, answers}, "PUT", strings.NewReader("body"), 1, true},
		{"a PUT without a body again", []string{hears, answers}, "PUT", once, 1, false},
		{"a POST", []string{hears, answers}, "POST", strings.NewReader("body"), 1, false},
		{"a POST without a body", []string{hears, answers}, "POST", nil, 1, false},
		{"a PATCH", []string{hears, answers}, "PATCH", strings.NewReader("body"), 1, false},
		{"a GET at the only target", []string{hears}, "GET", nil, 1, false},
	} {
		asked.Store(0)
		base := http.DefaultTransport.(*http.Transport).Clone()
		base.DisableKeepAlives = true // or net/http repeats requests itself
		client := &http.Client{Transport: &Transport{Base: base, Resolver: static(c.targets...)}}
		r, err := http.NewRequest(c.method, "http+srv://users.dev.internal/x", c.body)
		if err != nil {
			t.Fatal(err)
		}
		response, err := client.Do(r)
		if (err == nil) != c.ok || asked.Load() != c.asked {
			t.Errorf("%s: %v, and the first target was asked %d times", c.name, err, asked.Load())
		}
		if err != nil {
			continue
		}
		body, _ := io.ReadAll(response.Body)
		if c.method != "HEAD" && !strings.HasPrefix(string(body), c.method+" users.dev.internal /x") || c.body != nil && !strings.HasSuffix(string(body), " body") {
			t.Errorf("%s: the answer is %q", c.name, body)
		}
	}
}

// closing is a body that tells its end.
type closing struct {
	io.Reader
	closed *bool
}

func (c closing) Close() error { *c.closed = true; return nil }

func TestRefused(t *testing.T) {
	nobody := Resolver{Lookup: func(context.Context, string) ([]*net.SRV, error) {
		return []*net.SRV{{Target: ".", Port: 0}}, nil
	}}
	unknown := Resolver{Lookup: func(context.Context, string) ([]*net.SRV, error) { return nil, errors.New("no such host") }}
	for _, c := range []struct {
		resolver  *Resolver
		url, want string
	}{
		{new(static("127.0.0.1:1")), "http+srv://users.dev.internal:3000/x", "users.dev.internal:3000: SRV records have the port: leave it out"},
		{&nobody, "http+srv://users.dev.internal", "users.dev.internal has no targets"},
		{&unknown, "http+srv://users.dev.internal", "no such host"},
		{&unknown, "https+srv://users.dev.internal", "unsupported protocol scheme"},
	} {
		over := false
		r, err := http.NewRequest("POST", c.url, closing{strings.NewReader("x"), &over})
		if err != nil {
			t.Fatal(err)
		}
		transport := &Transport{Resolver: Resolver{Lookup: c.resolver.Lookup}}
		if _, err := transport.RoundTrip(r); err == nil || !strings.Contains(err.Error(), c.want) || !over {
			t.Errorf("%s: %v, want %s; the body is closed: %v", c.url, err, c.want, over)
		}
	}
}

// A request that nobody waits for any more is not repeated.
func TestCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	tried := 0
	base := roundTripper(func(*http.Request) (*http.Response, error) { tried++; cancel(); return nil, io.EOF })
	r, _ := http.NewRequestWithContext(ctx, "GET", "http+srv://users", nil)
	transport := &Transport{Base: base, Resolver: static("a:1", "b:1")}
	if _, err := transport.RoundTrip(r); err != io.EOF || tried != 1 {
		t.Errorf("after %d attempts: %v", tried, err)
	}
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// Targets are tried by their priority, and within one as often first as their weight says.
func TestOrder(t *testing.T) {
	first := map[string]int{}
	const draws = 10000
	for range draws {
		targets := order([]*net.SRV{record("last:4", 2, 1000), record("often:1", 1, 75), record("seldom:2", 1, 25), record("never:3", 1, 0)})
		if len(targets) != 4 || targets[3] != "last:4" {
			t.Fatalf("the order is %v", targets)
		}
		first[targets[0]]++
	}
	if n := first["often:1"]; n < draws*70/100 || n > draws*80/100 || first["never:3"] > draws/100 {
		t.Errorf("first are %v", first)
	}
	seen := map[string]bool{}
	for range 1000 {
		seen[order([]*net.SRV{record("a:1", 1, 0), record("b:1", 1, 0)})[0]] = true
	}
	if len(seen) != 2 {
		t.Errorf("with weights of 0 only %v is first", seen)
	}
	if got := order([]*net.SRV{{Target: "a.b.", Port: 32768}, {Target: "::1", Port: 1, Priority: 1}}); !slices.Equal(got, []string{"a.b:32768", "[::1]:1"}) {
		t.Errorf("targets are %v", got)
	}
}

// dns is a DNS server that answers when told.
type dns struct {
	mu      sync.Mutex
	asked   int
	records []*net.SRV
	err     error
	took    time.Duration
}

func (d *dns) lookup(ctx context.Context, _ string) ([]*net.SRV, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.asked++
	select {
	case <-time.After(d.took):
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	return d.records, d.err
}

// An answer is used for its life. Meanwhile DNS is asked again only if a target could not be reached.
func TestLife(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &dns{records: []*net.SRV{record("a:1", 1, 1)}, took: time.Millisecond}
		r := &Resolver{Lookup: d.lookup}
		expect := func(asked int, want string) {
			t.Helper()
			targets, err := r.Resolve(t.Context(), "users")
			if got := fmt.Sprint(targets, err); got != want || d.asked != asked {
				t.Errorf("after %d questions: %s, want %s after %d", d.asked, got, want, asked)
			}
		}
		expect(1, "[a:1] <nil>")
		d.records = []*net.SRV{record("b:1", 1, 1)}
		time.Sleep(defaultLife - 1)
		expect(1, "[a:1] <nil>")
		time.Sleep(1)
		expect(2, "[b:1] <nil>")
		r.Life = time.Minute
		time.Sleep(defaultLife)
		expect(3, "[b:1] <nil>")
		time.Sleep(time.Minute - 1)
		expect(3, "[b:1] <nil>")
		d.records = []*net.SRV{record("c:1", 1, 1)}
		r.forget("users")
		expect(4, "[c:1] <nil>")
		if _, err := r.Resolve(t.Context(), "posts"); err != nil || d.asked != 5 {
			t.Errorf("another name is not asked for: %v", err)
		}

		// Without an answer the last one stays. That there are no records is an answer.
		d.err = &net.DNSError{Err: "server misbehaving", IsTemporary: true}
		d.records = nil
		time.Sleep(time.Minute)
		expect(6, "[c:1] <nil>")
		expect(6, "[c:1] <nil>")
		time.Sleep(time.Minute)
		expect(7, "[c:1] <nil>")
		d.err = &net.DNSError{Err: "no such host", IsNotFound: true}
		time.Sleep(time.Minute)
		expect(8, "[] lookup : no such host")
		expect(8, "[] lookup : no such host")
		d.err = errors.New("server misbehaving")
		time.Sleep(time.Minute)
		expect(9, "[] server misbehaving")
		d.err = nil
		time.Sleep(time.Minute)
		expect(10, "[] users has no targets")
	})
}

// Callers share one question. Each waits as long as its own context says.
func TestOneQuestion(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &dns{records: []*net.SRV{record("a:1", 1, 1)}, took: time.Second}
		r := &Resolver{Lookup: d.lookup}
		hasty, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		var all sync.WaitGroup
		begin := time.Now()
		for i := range 10 {
			all.Go(func() {
				ctx := t.Context()
				if i == 0 {
					ctx = hasty
				}
				_, err := r.Resolve(ctx, "users")
				if (err == nil) != (i > 0) || i == 0 && time.Since(begin) != time.Millisecond {
					t.Errorf("caller %d, after %v: %v", i, time.Since(begin), err)
				}
			})
		}
		all.Wait()
		if d.asked != 1 || time.Since(begin) != time.Second {
			t.Errorf("%d questions in %v", d.asked, time.Since(begin))
		}
		d.took = time.Hour
		r.forget("users")
		r.Resolve(t.Context(), "users")
		if took := time.Since(begin) - time.Second; took != lookupTime {
			t.Errorf("a question without an answer takes %v", took)
		}
	})
}

// A target that could not be reached lets DNS be asked again.
func TestForgets(t *testing.T) {
	asked := 0
	refuses, answers := closed(t), echo(t)
	transport := &Transport{Resolver: Resolver{Life: time.Hour, Lookup: func(context.Context, string) ([]*net.SRV, error) {
		asked++
		if asked == 1 {
			return []*net.SRV{record(refuses, 1, 1)}, nil
		}
		return []*net.SRV{record(answers, 1, 1)}, nil
	}}}
	client := &http.Client{Transport: transport}
	if _, err := client.Get("http+srv://users"); err == nil {
		t.Error("nothing answers, and there is an answer")
	}
	for range 2 {
		if _, err := client.Get("http+srv://users"); err != nil || asked != 2 {
			t.Errorf("after %d questions: %v", asked, err)
		}
	}
}

// The default is Go's resolver.
func TestDefaultLookup(t *testing.T) {
	before := net.DefaultResolver
	defer func() { net.DefaultResolver = before }()
	asked := make(chan string, 10)
	net.DefaultResolver = &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
		asked <- network
		return nil, errors.New("no DNS server")
	}}
	r := &Resolver{}
	var said *net.DNSError
	if _, err := r.Resolve(t.Context(), "users.dev.internal."); !errors.As(err, &said) || said.Name != "users.dev.internal." || len(asked) == 0 {
		t.Errorf("the error is %v after %d questions", err, len(asked))
	}
	if base := defaultBase().(*http.Transport); base == http.DefaultTransport || base.DialContext == nil {
		t.Error("the default transport is net/http's own")
	}
}

package alb

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"testing"
)

func hello(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	_, _ = io.WriteString(w, `{"id":1,"username":"marceline","name":"Marceline","bio":"1,000 year old vampire queen, musician"}`)
}

// BenchmarkRequest compares a request through the load balancer with one that
// goes straight to the target and one through the standard library's proxy.
func BenchmarkRequest(b *testing.B) {
	run := func(b *testing.B, address string) {
		c := client(b)
		b.ReportAllocs()
		b.SetParallelism(16)
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				response, err := c.Get("http://" + address + "/api/users/1")
				if err != nil {
					b.Error(err)
					return
				}
				_, _ = io.Copy(io.Discard, response.Body)
				response.Body.Close()
				if response.StatusCode != 200 {
					b.Error(response.Status)
				}
			}
		})
	}
	bench := &bench{t: b, changed: make(chan struct{})}
	var err error
	if bench.balancer, err = New(Options{AccessLog: io.Discard, Events: func(e Event) { bench.tell(func() { bench.events = append(bench.events, e) }) }}); err != nil {
		b.Fatal(err)
	}
	if err := bench.balancer.Configure(template{rules: []object{onPath("/api/users*", forwardTo("A"))}}.config(b)); err != nil {
		b.Fatal(err)
	}
	address := listen(b, bench.balancer, theListener)
	direct := bench.target("A", "one", hello).Listener.Addr().String()
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConnsPerHost = 1000
	proxy := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: direct})
	proxy.Transport = transport
	standard := httptest.NewServer(proxy)
	defer standard.Close()
	b.Run("direct", func(b *testing.B) { run(b, direct) })
	b.Run("balancer", func(b *testing.B) { run(b, address) })
	b.Run("httputil", func(b *testing.B) { run(b, standard.Listener.Addr().String()) })
}

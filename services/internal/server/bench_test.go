package server

import (
	"bytes"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"testing"
	"time"
)

// What a load balancer sends for a client.
const benchmarked = "GET /api/users/1 HTTP/1.1\r\nHost: forum\r\nUser-Agent: bench\r\nX-Forwarded-For: 192.0.2.1\r\nX-Forwarded-Proto: http\r\n" +
	"X-Forwarded-Port: 80\r\nX-Amzn-Trace-Id: Root=1-67891233-abcdef012345678912345678\r\n\r\n"

// user is a module with one record, as the users' has them.
func user(rt *Router) error {
	record, err := JSON(map[string]string{"name": "Marta Brandt"})
	rt.Get("/api/users/{userId}", func(r *http.Request) *Response {
		if id, ok := PathID(r, "userId"); ok && id == 1 {
			return record
		}
		return NoContent
	})
	return err
}

// asker is a client that takes next to nothing itself: it knows how long the
// answers are.
type asker struct {
	conn   net.Conn
	answer []byte
}

func newAsker(address string) (*asker, error) {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		return nil, err
	}
	a := &asker{conn, make([]byte, 4<<10)}
	if _, err := io.WriteString(conn, benchmarked); err != nil {
		return nil, err
	}
	length := 0
	for !bytes.HasSuffix(a.answer[:length], []byte("}")) {
		n, err := conn.Read(a.answer[length:])
		if err != nil {
			return nil, err
		}
		length += n
	}
	a.answer = a.answer[:length]
	return a, nil
}

func (a *asker) ask() error {
	if _, err := io.WriteString(a.conn, benchmarked); err != nil {
		return err
	}
	_, err := io.ReadFull(a.conn, a.answer)
	return err
}

// BenchmarkRequest compares a request to a service with one to a bare handler
// of net/http.
func BenchmarkRequest(b *testing.B) {
	run := func(name string, serve func(net.Listener)) {
		b.Run(name, func(b *testing.B) {
			listener, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				b.Fatal(err)
			}
			defer listener.Close()
			go serve(listener)
			b.ReportAllocs()
			b.SetParallelism(16)
			b.RunParallel(func(pb *testing.PB) {
				client, err := newAsker(listener.Addr().String())
				if err != nil {
					b.Error(err)
					return
				}
				defer client.conn.Close()
				for pb.Next() {
					if err := client.ask(); err != nil {
						b.Error(err)
						return
					}
				}
			})
		})
	}
	out, err := os.OpenFile(b.TempDir()+"/log", os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		b.Fatal(err)
	}
	defer out.Close()
	lines := newStream(out)
	defer lines.close()
	for name, level := range map[string]slog.Level{"service": slog.LevelInfo, "unlogged": slog.LevelWarn} {
		log := newLogger(lines, level, "users")
		run(name, func(l net.Listener) { _ = serve(b.Context(), l, mustRouter(b, user), log, nil, time.Second) })
	}
	run("bare", func(l net.Listener) {
		_ = http.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/json; charset=utf-8")
			w.Header().Set("Content-Length", "23")
			_, _ = io.WriteString(w, `{"name":"Marta Brandt"}`)
		}))
	})
}

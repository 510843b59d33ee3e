package server

import (
	"context"
	"io"
	"log/slog"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"time"
)

// What a line of the log holds of a text that a client chose, in bytes.
const maxLogged = 1 << 10

// stream writes what it is given in the order in which it comes, and holds
// nothing back: what comes while a write is under way, or while other requests
// are ready to be answered, goes into the next write together. There is no
// timer, and a line that comes alone is written at once. Under load a write for
// each line would take a tenth of a request's time.
//
// Who writes a line does not wait until it is written. So a process that is
// killed, or that the runtime ends, loses what gathered during one write,
// although those requests were answered; if nobody reads what it writes, that
// write as well. Each is at most maxPending and a line. A service that is stopped
// loses nothing.
type stream struct {
	out io.Writer

	mu      sync.Mutex
	changed sync.Cond // there is something to write, or room again, or the end
	pending []byte
	closed  bool
	done    chan struct{}
}

// maxPending is what a stream holds, in bytes, while nobody reads what it writes.
// Then whoever has more to write waits.
const maxPending = 64 << 10

func newStream(out io.Writer) *stream {
	s := &stream{out: out, done: make(chan struct{})}
	s.changed.L = &s.mu
	go s.run()
	return s
}

// Write takes whole lines. It never fails: where the log cannot be written,
// nothing can be said about it.
func (s *stream) Write(lines []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.pending) >= maxPending {
		s.changed.Wait()
	}
	if len(s.pending) == 0 {
		s.changed.Broadcast()
	}
	s.pending = append(s.pending, lines...)
	return len(lines), nil
}

func (s *stream) run() {
	defer close(s.done)
	var writing []byte
	for {
		s.mu.Lock()
		for len(s.pending) == 0 && !s.closed {
			s.changed.Wait()
		}
		s.mu.Unlock()
		runtime.Gosched() // to the requests that are ready

		s.mu.Lock()
		writing, s.pending = s.pending, writing[:0]
		closed := s.closed
		s.changed.Broadcast()
		s.mu.Unlock()
		if len(writing) > 0 {
			_, _ = s.out.Write(writing)
		} else if closed {
			return
		}
	}
}

// close returns when everything is written. Nothing may be written later.
func (s *stream) close() {
	s.mu.Lock()
	s.closed = true
	s.changed.Broadcast()
	s.mu.Unlock()
	<-s.done
}

// logger writes the lines of a service, each with one write, when it happens.
// Those of requests, which are all but a few, it renders itself, byte for byte
// as slog's JSON handler would: that takes a tenth of the time and no memory.
type logger struct {
	*slog.Logger
	requests bool // whether requests are logged at all

	mu   sync.Mutex
	out  io.Writer
	head []byte // what lines of requests have in common, after the time
	line []byte
}

func newLogger(out io.Writer, level slog.Level, service string) *logger {
	return &logger{
		Logger:   slog.New(slog.NewJSONHandler(out, &slog.HandlerOptions{Level: level})).With("service", service),
		requests: level <= slog.LevelInfo,
		out:      out,
		head:     append(appendText([]byte(`","level":"INFO","msg":"request","service":`), service), `,"method":`...),
	}
}

// served is what is logged of a request.
type served struct {
	at                    time.Time
	method, path, traceId string // as the client sent them
	status, bytes         int
	duration              time.Duration
}

// request logs a request that was answered without a failure.
func (l *logger) request(s served) {
	if !l.requests {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	line := append(l.line[:0], `{"time":"`...)
	line = s.at.AppendFormat(line, time.RFC3339Nano)
	line = append(line, l.head...)
	line = appendText(line, s.method)
	line = append(line, `,"path":`...)
	line = appendText(line, s.path)
	line = append(line, `,"status":`...)
	line = strconv.AppendInt(line, int64(s.status), 10)
	line = append(line, `,"bytes":`...)
	line = strconv.AppendInt(line, int64(s.bytes), 10)
	line = append(line, `,"durationMs":`...)
	line = appendMilliseconds(line, s.duration)
	if s.traceId != "" {
		line = append(line, `,"traceId":`...)
		line = appendText(line, s.traceId)
	}
	line = append(line, "}\n"...)
	l.line = line
	_, _ = l.out.Write(line)
}

// failed logs a request that was not understood or not answered as it should.
// The error is the client's or the network's; a failure is the service's own.
func (l *logger) failed(ctx context.Context, s served, err error, failure []slog.Attr) {
	attrs := []slog.Attr{
		slog.String("method", loggable(s.method)),
		slog.String("path", loggable(s.path)),
		slog.Int("status", s.status),
		slog.Int("bytes", s.bytes),
		slog.Float64("durationMs", float64(s.duration.Microseconds())/1000),
	}
	if s.traceId != "" {
		attrs = append(attrs, slog.String("traceId", loggable(s.traceId)))
	}
	if err != nil {
		attrs = append(attrs, slog.String("error", err.Error()))
	}
	level := slog.LevelInfo
	if failure != nil {
		level = slog.LevelError
	}
	l.LogAttrs(ctx, level, "request", append(attrs, failure...)...)
}

// appendMilliseconds appends a duration in milliseconds, exact to a microsecond.
func appendMilliseconds(line []byte, d time.Duration) []byte {
	micros := d.Microseconds()
	line = strconv.AppendInt(line, micros/1000, 10)
	if micros %= 1000; micros > 0 {
		line = append(line, '.', byte('0'+micros/100), byte('0'+micros/10%10), byte('0'+micros%10))
		for line[len(line)-1] == '0' {
			line = line[:len(line)-1]
		}
	}
	return line
}

// appendText appends a text that a client chose as a JSON string.
func appendText(line []byte, s string) []byte {
	line = append(line, '"')
	if plain(s) {
		line = append(line, s...)
	} else {
		for _, c := range []byte(loggable(s)) {
			if c == '"' || c == '\\' {
				line = append(line, '\\')
			}
			line = append(line, c)
		}
	}
	return append(line, '"')
}

// plain reports whether a text is in a line of the log as it is.
func plain(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == '"' || c == '\\' {
			return false
		}
	}
	return len(s) <= maxLogged
}

// loggable returns a text that a client chose as it may be logged: of limited
// length, and without what a terminal or another reader of the log could take
// for a command or the end of a line.
func loggable(s string) string {
	if len(s) > maxLogged {
		s = s[:maxLogged] + "..."
	}
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, s)
}

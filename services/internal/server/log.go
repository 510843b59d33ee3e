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

// Bytes of a client's text in a line of the log.
const maxLogged = 1 << 10

// stream writes lines in their order, without a timer. A single line is written at once. Lines that
// come during a write, or while other requests are ready, go into the next write together. Under
// load a write for each line would take a tenth of a request's time.
//
// The writer of a line does not wait. So a process that is killed or ends in the runtime loses the
// lines of one write, and that write as well if nobody reads the log. Each is at most maxPending
// and a line. A service that is stopped loses nothing.
type stream struct {
	out io.Writer

	mu      sync.Mutex
	changed sync.Cond // there is something to write, or room again, or the end
	pending []byte
	closed  bool
	done    chan struct{}
}

// maxPending is the size in bytes from which on writers wait, if nobody reads the log.
const maxPending = 64 << 10

func newStream(out io.Writer) *stream {
	s := &stream{out: out, done: make(chan struct{})}
	s.changed.L = &s.mu
	go s.run()
	return s
}

// Write takes whole lines. It never fails: there is no place to report that the log cannot be
// written.
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

// close returns when everything is written. Write nothing later.
func (s *stream) close() {
	s.mu.Lock()
	s.closed = true
	s.changed.Broadcast()
	s.mu.Unlock()
	<-s.done
}

// logger writes the lines of a service, each with one write. It renders the lines of requests
// itself, byte for byte like slog's JSON handler. That takes a tenth of the time and no memory.
type logger struct {
	*slog.Logger
	requests bool // are logged

	mu   sync.Mutex
	out  io.Writer
	head []byte // the same part of all lines of requests, after the time
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

// served has the logged facts of a request.
type served struct {
	at                    time.Time
	method, path, traceId string // as the client sent them
	status, bytes         int
	duration              time.Duration
}

// request logs an answered request without a failure.
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

// failed logs a request with an error of the client or the network, or with a failure of the
// service.
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

// appendText appends a client's text as a JSON string.
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

// plain tells whether the log can have a text as it is.
func plain(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == '"' || c == '\\' {
			return false
		}
	}
	return len(s) <= maxLogged
}

// loggable returns a client's text with limited length, and without characters that a reader of the
// log could take for a command or the end of a line.
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

package ecs

import (
	"bytes"
	"io"
	"sync"
)

// maxLine is where a line that does not end is cut, as Docker's log drivers do.
const maxLine = 16 << 10

// Lines returns a writer that calls a function with every line written to it,
// without its line break. Close hands on what is left of an unfinished one.
func Lines(f func(line string)) io.WriteCloser { return &lines{f: f} }

type lines struct {
	mu  sync.Mutex
	f   func(string)
	buf []byte
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.buf = append(l.buf, p...)
	for {
		end, next := bytes.IndexByte(l.buf, '\n'), 0
		switch {
		case end >= 0 && end <= maxLine:
			next = end + 1
		case len(l.buf) >= maxLine:
			end, next = maxLine, maxLine
		default:
			return len(p), nil
		}
		l.f(string(bytes.TrimSuffix(l.buf[:end], []byte("\r"))))
		l.buf = l.buf[next:]
	}
}

func (l *lines) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.buf) > 0 {
		l.f(string(l.buf))
		l.buf = nil
	}
	return nil
}

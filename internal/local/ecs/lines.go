package ecs

import (
	"bytes"
	"io"
	"time"
)

// OwnStream is the stream of lines that this program tells of a task.
const OwnStream = "cutover"

// LogLine is a line that a container wrote, or in [OwnStream] one about its task.
type LogLine struct {
	Time time.Time `json:"time"`
	// Service is the key of the service and ServiceName its name.
	Service     string `json:"service"`
	ServiceName string `json:"serviceName"`
	Task        string `json:"task"`
	Container   string `json:"container"`
	// Stream is "stdout", "stderr" or OwnStream.
	Stream string `json:"stream"`
	Text   string `json:"text"`
}

// maxLine is where a line that does not end is cut, as Docker's log drivers do.
const maxLine = 16 << 10

// Lines returns a writer that calls a function with every line, without its line break.
// Close hands on an unfinished line. The writer is for one goroutine.
func Lines(f func(line string)) io.WriteCloser { return &lines{f: f} }

type lines struct {
	f   func(string)
	buf []byte
}

func (l *lines) Write(p []byte) (int, error) {
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
	if len(l.buf) > 0 {
		l.f(string(l.buf))
		l.buf = nil
	}
	return nil
}

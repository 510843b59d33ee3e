package stream

import (
	"bufio"
	"bytes"
	"io"
	"strings"
)

// event is one of server-sent events, or a message of a WebSocket.
type event struct {
	// id is the field id, if hasID.
	id    string
	hasID bool
	// data is empty if the event only says what the last id is.
	data []byte
}

const (
	maxLine = 64 << 10 // of which more is not looked at
	maxData = 1 << 20
)

// sseReader reads server-sent events as the HTML standard has them (https://html.spec.whatwg.org/multipage/server-sent-events.html). It is
// no library, because those hide which events have an id of their own.
type sseReader struct {
	r       *bufio.Reader
	next    event
	isEvent bool // says that there is something in next
	started bool
	afterCR bool
}

func newSSEReader(r io.Reader) *sseReader { return &sseReader{r: bufio.NewReader(r)} }

// read returns the next event. The error is that of the connection.
func (s *sseReader) read() (event, error) {
	for {
		line, err := s.line()
		if err != nil {
			return event{}, err
		}
		if line == "" {
			if e := s.next; s.isEvent {
				s.next, s.isEvent = event{}, false
				e.data = bytes.TrimSuffix(e.data, []byte("\n"))
				return e, nil
			}
			continue
		}
		name, value, _ := strings.Cut(line, ":")
		value = strings.TrimPrefix(value, " ")
		switch name {
		case "id":
			if !strings.Contains(value, "\x00") {
				s.next.id, s.next.hasID, s.isEvent = value, true, true
			}
		case "data":
			if len(s.next.data) < maxData {
				s.next.data = append(append(s.next.data, value...), '\n')
			}
			s.isEvent = true
		}
	}
}

// line returns the next line without its end: LF, CR, or both.
func (s *sseReader) line() (string, error) {
	var line []byte
	for {
		b, err := s.r.ReadByte()
		if err != nil {
			return "", err // the rest is no event
		}
		isEnd := b == '\n' || b == '\r'
		if b == '\n' && s.afterCR {
			s.afterCR = false
			continue
		}
		s.afterCR = b == '\r'
		switch {
		case isEnd:
			text := string(line)
			if !s.started {
				s.started, text = true, strings.TrimPrefix(text, "\ufeff")
			}
			return text, nil
		case len(line) < maxLine:
			line = append(line, b)
		}
	}
}

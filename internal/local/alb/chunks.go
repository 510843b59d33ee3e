package alb

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/textproto"
)

// chunks reads the framing of a chunked body, as much of it as there is. The readers of net/http
// wait for a whole chunk once they have begun with it, and so would hold back the chunk before.
// https://www.rfc-editor.org/rfc/rfc9112.html#section-7.1
type chunks struct {
	state chunkState
	left  int64 // of the data of a chunk
	// digits counts those of a chunk's size. line is the length of a chunk's size with its extensions,
	// or of all trailers.
	digits, line int
	// trailers are the lines after the last chunk.
	trailers []byte
}

type chunkState uint8

const (
	chunkSize chunkState = iota
	chunkExtension
	chunkSizeEnd // the LF after a size
	chunkData
	chunkDataEnd // the CR after data
	chunkDataEndLF
	chunkTrailer    // at the begin of a line
	chunkTrailerEnd // the LF of the last, empty line
	chunkTrailerLine
	chunksDone
)

// Limits of a line with the size of a chunk and of all trailers.
const (
	maxChunkLine     = 4 << 10
	maxChunkDigits   = 15
	maxChunkTrailers = 32 << 10
)

var errChunk = errors.New("the framing of a chunked body is malformed")

// scan takes framing from the front of p. Data is the data that follows, and used what was taken of p,
// with the data. Most of data is returned.
func (c *chunks) scan(p []byte, most int) (data []byte, used int, err error) {
	for used < len(p) && c.state != chunksDone {
		if c.state == chunkData {
			n := min(int64(len(p)-used), c.left, int64(most))
			data = p[used : used+int(n)]
			if c.left -= n; c.left == 0 {
				c.state = chunkDataEnd
			}
			return data, used + int(n), nil
		}
		if !c.step(p[used]) {
			return nil, used, errChunk
		}
		used++
	}
	return nil, used, nil
}

// step takes a byte of framing. It says whether the byte may be there.
func (c *chunks) step(b byte) bool {
	c.line++
	switch c.state {
	case chunkSize, chunkExtension:
		digit := bytes.IndexByte([]byte("0123456789abcdef"), b|0x20)
		switch {
		case b == '\r' && c.digits > 0:
			c.state = chunkSizeEnd
		case c.state == chunkExtension:
			return b != '\n' && b != '\r' && c.line <= maxChunkLine
		case digit >= 0 && b > ' ' && c.digits < maxChunkDigits:
			c.left = c.left<<4 | int64(digit)
			c.digits++
		case (b == ';' || b == ' ' || b == '\t') && c.digits > 0:
			c.state = chunkExtension
		default:
			return false
		}
	case chunkSizeEnd:
		c.state = chunkData
		if c.left == 0 {
			c.state, c.line = chunkTrailer, 0
		}
		return b == '\n'
	case chunkDataEnd:
		c.state = chunkDataEndLF
		return b == '\r'
	case chunkDataEndLF:
		c.state, c.digits, c.line = chunkSize, 0, 0
		return b == '\n'
	case chunkTrailer:
		if c.state = chunkTrailerLine; b == '\r' {
			c.state = chunkTrailerEnd
			return true
		}
		fallthrough
	case chunkTrailerLine:
		c.trailers = append(c.trailers, b)
		if b == '\n' {
			c.state = chunkTrailer
		}
		return c.line <= maxChunkTrailers
	case chunkTrailerEnd:
		c.state = chunksDone
		return b == '\n'
	}
	return true
}

// chunkedBody reads the data of a chunked answer. It does not wait while there is data.
type chunkedBody struct {
	chunks
	r *bufio.Reader
}

func (b *chunkedBody) Read(p []byte) (int, error) {
	for b.state != chunksDone {
		if b.r.Buffered() == 0 {
			if b.state == chunkData && min(int64(len(p)), b.left) >= connectionBuffer {
				// Without a detour by the buffer, which stays empty.
				n, err := b.r.Read(p[:min(int64(len(p)), b.left)])
				if b.left -= int64(n); b.left == 0 {
					b.state = chunkDataEnd
				}
				return n, unexpected(err)
			}
			if _, err := b.r.Peek(1); err != nil {
				return 0, unexpected(err)
			}
		}
		there, _ := b.r.Peek(b.r.Buffered())
		data, used, err := b.scan(there, len(p))
		n := copy(p, data)
		if n > 0 {
			// The framing behind the data is no reason to come again.
			_, framing, malformed := b.scan(there[used:], 0)
			used, err = used+framing, malformed
		}
		_, _ = b.r.Discard(used)
		if n > 0 && err == nil && b.state == chunksDone {
			err = io.EOF
		}
		if n > 0 || err != nil {
			return n, err
		}
	}
	return 0, io.EOF
}

// unexpected is the error of a body that ends too early.
func unexpected(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// trailer are the headers after the body.
func (b *chunkedBody) trailer() (http.Header, error) {
	if len(b.trailers) == 0 {
		return nil, nil
	}
	lines := bufio.NewReader(io.MultiReader(bytes.NewReader(b.trailers), bytes.NewReader([]byte("\r\n"))))
	header, err := textproto.NewReader(lines).ReadMIMEHeader()
	return http.Header(header), err
}

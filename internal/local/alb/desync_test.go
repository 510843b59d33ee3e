package alb

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
)

// The tiers and reasons of AWS's access log and of the documents of http-desync-guardian, with heads
// for each. A head has no Host here unless it says so.
var heads = []struct {
	name, head string
	tier       tier
	reason     string
	length     int64 // of the body; -1 for chunks
	status     int   // of a request that no mode lets through
}{
	{"plain", "GET /a?b=c HTTP/1.1\r\nAccept: */*\r\nX-Some_thing.odd!: \xc3\xa4\r\n\r\n", compliant, "", 0, 0},
	{"with a length", "POST /a HTTP/1.1\r\ncontent-LENGTH: \t42 \r\n\r\n", compliant, "", 42, 0},
	{"with chunks", "PUT /a HTTP/1.1\r\nTransfer-encoding: Chunked\r\n\r\n", compliant, "", -1, 0},
	{"chunks with a parameter", "PUT /a HTTP/1.1\r\nTransfer-Encoding: \tchunked;a=b;\t\r\n\r\n", compliant, "", -1, 0},
	{"identity and chunks", "PUT /a HTTP/1.1\r\nTransfer-Encoding: identity, chunked\r\n\r\n", compliant, "", -1, 0},
	{"identity", "POST /a HTTP/1.1\r\nTransfer-Encoding: identity\r\n\r\n", compliant, "", 0, 0},
	{"escaped bytes", "GET /%0d%0A%09%20%00 HTTP/1.1\r\n\r\n", compliant, "", 0, 0},
	{"other names", "GET / HTTP/1.1\r\nTransfer-Encoder: chunked\r\nX-Content-Length: 5\r\nContent-Lengths: 5\r\nContentLength: 5\r\n\r\n", compliant, "", 0, 0},
	{"name in a value", "GET / HTTP/1.1\r\nX-Test: Transfer-Encoding: chunked\r\n\r\n", compliant, "", 0, 0},

	{"length 0 of a GET", "GET / HTTP/1.1\r\nContent-Length: 0\r\n\r\n", acceptable, "GetHeadZeroContentLength", 0, 0},
	{"length 0 of a HEAD", "HEAD / HTTP/1.1\r\nContent-Length: 0\r\n\r\n", acceptable, "GetHeadZeroContentLength", 0, 0},
	{"length 0 of a POST", "POST / HTTP/1.1\r\nContent-Length: 0\r\n\r\n", compliant, "", 0, 0},
	{"blank in a name", "GET / HTTP/1.1\r\nX-Own : a\r\n\r\n", acceptable, "NonCompliantHeader", 0, 0},
	{"control character in a name", "GET / HTTP/1.1\r\nX-\x01Own: a\r\n\r\n", acceptable, "NonCompliantHeader", 0, 0},
	{"control character in a value", "GET / HTTP/1.1\r\nX-Own: a\x7f\r\n\r\n", acceptable, "NonCompliantHeader", 0, 0},
	{"blank in the URI", "GET /a b HTTP/1.1\r\n\r\n", acceptable, "SpaceInUri", 0, 0},
	{"HTTP/1.2", "GET / HTTP/1.2\r\n\r\n", acceptable, "NonCompliantVersion", 0, 0},
	{"HTTP/1.9", "GET / HTTP/1.9\r\n\r\n", acceptable, "NonCompliantVersion", 0, 0},
	{"blanks after the version", "GET / HTTP/1.1  \r\n\r\n", acceptable, "NonCompliantVersion", 0, 0},
	{"HTTP/0.9", "GET / HTTP/0.9\r\nX: y\r\n\r\n", acceptable, "NonCompliantVersion", 0, 0},
	{"no version", "GET /\r\n", acceptable, "NonCompliantVersion", 0, 0},
	{"HTTP/1.0", "GET / HTTP/1.0\r\n\r\n", compliant, "", 0, 0},
	{"lines without CR", "GET / HTTP/1.1\nX: y\n\n", acceptable, "NonCrLfLineTermination", 0, 0},

	{"length of a GET", "GET / HTTP/1.1\r\nContent-Length: 3\r\n\r\n", ambiguous, "UndefinedContentLengthSemantics", 3, 0},
	{"length of a HEAD", "HEAD / HTTP/1.1\r\nContent-Length: 3\r\n\r\n", ambiguous, "UndefinedContentLengthSemantics", 3, 0},
	{"length in HTTP/0.9", "POST / HTTP/0.9\r\nContent-Length: 3\r\n\r\n", ambiguous, "UndefinedContentLengthSemantics", 0, 0},
	{"chunks of a GET", "GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", ambiguous, "UndefinedTransferEncodingSemantics", -1, 0},
	{"chunks of a HEAD", "HEAD / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", ambiguous, "UndefinedTransferEncodingSemantics", -1, 0},
	{"chunks in HTTP/1.0", "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n", ambiguous, "UndefinedTransferEncodingSemantics", 2, 0},
	{"one length twice", "POST / HTTP/1.1\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\n", ambiguous, "DuplicateContentLength", 3, 0},
	{"length and chunks", "POST / HTTP/1.1\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n", ambiguous, "BothTeClPresent", -1, 0},
	{"length and identity", "POST / HTTP/1.1\r\nContent-Length: 3\r\nTransfer-Encoding: identity\r\n\r\n", ambiguous, "BothTeClPresent", 3, 0},
	{"underscore", "POST / HTTP/1.1\r\nTransfer_Encoding: chunked\r\n\r\n", ambiguous, "SuspiciousHeader", 0, 0},
	{"underscore in length", "POST / HTTP/1.1\r\nContent_Length: 7\r\n\r\n", ambiguous, "SuspiciousHeader", 0, 0},
	{"blank before the colon", "POST / HTTP/1.1\r\nTransfer-Encoding : chunked\r\n\r\n", ambiguous, "SuspiciousHeader", 0, 0},
	{"tab before the colon", "POST / HTTP/1.1\r\nContent-Length\t: 4\r\n\r\n", ambiguous, "SuspiciousHeader", 0, 0},
	{"control character first", "POST / HTTP/1.1\r\n\x01Content-Length: 4\r\n\r\n", ambiguous, "SuspiciousHeader", 0, 0},
	{"several hyphens", "POST / HTTP/1.1\r\nTransfer---Encoding: chunked\r\n\r\n", ambiguous, "SuspiciousHeader", 0, 0},
	{"blank in the middle", "POST / HTTP/1.1\r\nTransfer- Encoding: chunked\r\n\r\n", ambiguous, "SuspiciousHeader", 0, 0},
	{"long s", "POST / HTTP/1.1\r\nTran\u017ffer-Encoding: chunked\r\n\r\n", ambiguous, "SuspiciousHeader", 0, 0},
	{"dotless i", "POST / HTTP/1.1\r\nTransfer-Encod\u0131ng: chunked\r\n\r\n", ambiguous, "SuspiciousHeader", 0, 0},
	{"no ASCII at the end", "POST / HTTP/1.1\r\nContent-Length\xa0: 1\r\n\r\n", ambiguous, "SuspiciousHeader", 0, 0},
	{"no name", "POST / HTTP/1.1\r\n: chunked\r\n\r\n", ambiguous, "EmptyHeader", 0, 0},
	{"a blank name", "POST / HTTP/1.1\r\n \t : chunked\r\n\r\n", ambiguous, "MultilineHeader", 0, 0},
	{"a blank line", "POST / HTTP/1.1\r\nX: y\r\n \t \r\n\r\n", ambiguous, "EmptyHeader", 0, 0},
	{"no colon", "GET / HTTP/1.1\r\nstrange\r\n\r\n", ambiguous, "MissingHeaderColon", 0, 0},
	{"a line that goes on", "GET / HTTP/1.1\r\nX: y\r\n z\r\n\r\n", ambiguous, "MultilineHeader", 0, 0},
	{"a media type that goes on", "GET / HTTP/1.1\r\nContent-Type: a/b;\r\n\tc=d\r\n\r\n", ambiguous, "MultilineHeader", 0, 0},
	{"an indented length", "POST / HTTP/1.1\r\nX: y\r\n Content-Length: 5\r\n\r\n", ambiguous, "MultilineHeader", 0, 0},
	{"tab in the URI", "GET /a\tb HTTP/1.1\r\n\r\n", ambiguous, "AmbiguousUri", 0, 0},
	{"control character in the URI", "GET /\x7f HTTP/1.1\r\n\r\n", ambiguous, "AmbiguousUri", 0, 0},

	{"two lengths", "POST / HTTP/1.1\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\n", severe, "MultipleContentLength", 3, 0},
	{"a length and one that looks alike", "POST / HTTP/1.1\r\nContent-Length : 3\r\nContent-Length: 4\r\n\r\n", severe, "MultipleContentLength", 4, 0},
	{"a list of lengths", "POST / HTTP/1.1\r\nContent-Length: 3,3\r\n\r\n", severe, "BadContentLength", 0, 400},
	{"a length with a sign", "POST / HTTP/1.1\r\nContent-Length: +3\r\n\r\n", severe, "BadContentLength", 0, 400},
	{"a hexadecimal length", "POST / HTTP/1.1\r\nContent-Length: 0x3\r\n\r\n", severe, "BadContentLength", 0, 400},
	{"a length above 63 bits", "POST / HTTP/1.1\r\nContent-Length: 9223372036854775808\r\n\r\n", severe, "BadContentLength", 0, 400},
	{"the largest length", "POST / HTTP/1.1\r\nContent-Length: 9223372036854775807\r\n\r\n", compliant, "", 9223372036854775807, 0},
	{"a length with a control character", "POST / HTTP/1.1\r\nContent-Length: 3\x01\r\n\r\n", severe, "BadContentLength", 0, 400},
	{"chunks twice", "POST / HTTP/1.1\r\nTransfer-Encoding: chunked, chunked\r\n\r\n", severe, "MultipleTransferEncodingChunked", -1, 0},
	{"chunks in two headers", "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding : chunked\r\n\r\n", severe, "MultipleTransferEncodingChunked", -1, 0},
	{"an unknown coding", "POST / HTTP/1.1\r\nTransfer-Encoding: xchunked\r\n\r\n", severe, "BadTransferEncoding", 0, 501},
	{"no coding", "POST / HTTP/1.1\r\nTransfer-Encoding:\r\n chunked\r\n\r\n", severe, "BadTransferEncoding", -1, 501},
	{"a coding with a control character", "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\x01\r\n\r\n", severe, "BadTransferEncoding", 0, 501},
	{"a coding that is not supported", "POST / HTTP/1.1\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", compliant, "", -1, 501},
	{"NUL in a value", "GET / HTTP/1.1\r\nX: a\x00b\r\n\r\n", severe, "BadHeader", 0, 0},
	{"NUL in a name", "GET / HTTP/1.1\r\nX\x00: ab\r\n\r\n", severe, "BadHeader", 0, 0},
	{"CR in a value", "GET / HTTP/1.1\r\nX: a\rY: b\r\n\r\n", severe, "BadHeader", 0, 0},
	{"CR in a name", "GET / HTTP/1.1\r\nX\rY: b\r\n\r\n", severe, "BadHeader", 0, 0},
	{"NUL in the URI", "GET /a\x00b HTTP/1.1\r\n\r\n", severe, "BadUri", 0, 0},
	{"CR in the URI", "GET /a\rb HTTP/1.1\r\n\r\n", severe, "BadUri", 0, 0},
	{"a strange version", "GET / HTTQ/1.1\r\n\r\n", severe, "BadVersion", 0, 0},
	{"a version without a dot", "GET / HTTP/1\r\n\r\n", severe, "BadVersion", 0, 0},
	{"HTTP/1.10", "GET / HTTP/1.10\r\n\r\n", severe, "BadVersion", 0, 0},
	{"HTTP/0.8", "GET / HTTP/0.8\r\n\r\n", severe, "BadVersion", 0, 0},
	{"a method that is no token", "G\x01T / HTTP/1.1\r\n\r\n", severe, "BadMethod", 0, 0},
	{"the worst counts", "GET /a\tb HTTP/1.1\r\nX: \x01\r\nContent-Length: 5,\r\n\r\n", severe, "BadContentLength", 0, 400},

	{"HTTP/2", "PRI * HTTP/2.0\r\n\r\n", compliant, "", 0, 505},
	{"HTTP/3", "GET / HTTP/3\r\n\r\n", compliant, "", 0, 505},
	{"no URI", "GET HTTP/1.1\r\n\r\n", compliant, "", 0, 400},
	{"one word", "GET\r\n\r\n", compliant, "", 0, 400},
	{"a leading blank", " GET / HTTP/1.1\r\n\r\n", compliant, "", 0, 400},
	{"a URI without a slash", "GET a HTTP/1.1\r\n\r\n", compliant, "", 0, 400},
	{"half an encoded byte", "GET /a%4 HTTP/1.1\r\n\r\n", compliant, "", 0, 400},
	{"no encoded byte", "GET /%g0 HTTP/1.1\r\n\r\n", compliant, "", 0, 400},
	{"the same in the query", "GET /?%g0 HTTP/1.1\r\n\r\n", compliant, "", 0, 0},
	{"a blank in Host", "GET / HTTP/1.1\r\nHost: a b\r\n\r\n", compliant, "", 0, 400},
}

func TestClassification(t *testing.T) {
	for _, test := range heads {
		text := test.head
		if !strings.Contains(text, "\nHost:") && strings.HasSuffix(text, "\n\r\n") {
			text = strings.TrimSuffix(text, "\r\n") + "Host: h\r\n\r\n"
		} else if !strings.Contains(text, "\nHost:") && strings.HasSuffix(text, "\n\n") {
			text = strings.TrimSuffix(text, "\n") + "Host: h\n\n"
		}
		if end := headEnd([]byte(text)); end != len(text) {
			t.Errorf("%s: the head ends at %d of %d", test.name, end, len(text))
		}
		h := parseHead(text)
		if h.tier != test.tier || h.reason != test.reason || h.length != test.length || h.status != test.status {
			t.Errorf("%s: %q %q, length %d, status %d, want %q %q, length %d, status %d", test.name, h.tier, h.reason, h.length, h.status, test.tier, test.reason, test.length, test.status)
		}
		for mode, tiers := range map[string]map[tier]int{
			"monitor": {}, "defensive": {severe: 400}, "strictest": {acceptable: 400, ambiguous: 400, severe: 400},
		} {
			want := test.status
			if blocked := tiers[h.tier]; blocked != 0 {
				want = blocked
			}
			h := parseHead(text)
			if h.mitigate(mode); h.status != want {
				t.Errorf("%s: in mode %s the status is %d, want %d", test.name, mode, h.status, want)
			}
		}
	}
}

// What the head of a request says besides.
func TestParseHead(t *testing.T) {
	h := parseHead("\r\n\nGET http://a.example:81?q HTTP/1.1\r\nHost: B:80\r\nhost: c\r\nx-a: 1\r\nX-A:2\r\nx b : 3\r\nX: y\r\n more\r\nodd\r\n\r\n")
	got := fmt.Sprint(h.method, " ", h.uri, " ", h.proto, " ", h.authority, " ", h.host, " ", h.hosts, " ", h.header)
	if want := "GET /?q HTTP/1.1 a.example:81 B:80 [B:80 c] map[More:[] Odd:[] X:[y] X-A:[1 2] x b :[3]]"; got != want {
		t.Errorf("head is %s\nwant %s", got, want)
	}
	for text, want := range map[string]string{
		"GET / HTTP/1.0\r\n\r\n":                "localhost",
		"GET /\r\n":                             "localhost",
		"GET / HTTP/1.0\r\nHost: \r\n\r\n":      "localhost",
		"GET / HTTP/1.1\r\nHost:\r\n\r\n":       "localhost",
		"GET / HTTP/1.0\r\nHost: a\r\n\r\n":     "a",
		"GET http://a/ HTTP/1.0\r\n\r\n":        "a",
		"GET / HTTP/1.1\r\nHost: [::1]\r\n\r\n": "[::1]",
	} {
		if h := parseHead(text); h.host != want || h.status != 0 || len(h.hosts) != 1 || h.hosts[0] != want {
			t.Errorf("%q has the host %q of %q and status %d, want %q", text, h.host, h.hosts, h.status, want)
		}
	}
	for _, text := range []string{"GET / HTTP/1.1\r\n\r\n", "GET http://a b/ HTTP/1.1\r\nHost: a\r\n\r\n", "GET http:///x HTTP/1.1\r\nHost: a\r\n\r\n"} {
		if h := parseHead(text); h.status != 400 {
			t.Errorf("%q has status %d", text, h.status)
		}
	}
}

// FuzzHead: what a target gets can be read, and means what the client sent.
func FuzzHead(f *testing.F) {
	for _, test := range heads {
		f.Add(test.head)
	}
	f.Fuzz(func(t *testing.T, text string) {
		end := headEnd([]byte(text))
		if end < 0 {
			return
		}
		h := parseHead(text[:end])
		if h.mitigate("strictest"); h.status != 0 {
			return
		}
		// net/http agrees about heads that comply.
		r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(strings.TrimLeft(text[:end], "\r\n") + strings.Repeat("x", 100))))
		if err != nil {
			if h.uri != "*" && h.method != "CONNECT" && len(h.hosts) < 2 && len(h.header["Trailer"]) == 0 && len(h.encodings) == 0 && !strings.ContainsAny(h.uri, "%") {
				t.Errorf("%q complies, but %v", text[:end], err)
			}
			return
		}
		if r.Method != h.method || len(h.encodings) == 0 && len(h.hosts) < 2 && r.ContentLength != h.length {
			t.Errorf("%q is %s with %d bytes, want %s with %d", text[:end], h.method, h.length, r.Method, r.ContentLength)
		}
	})
}

// FuzzChunks: both readers of chunks find the same data, however the chunks are cut.
func FuzzChunks(f *testing.F) {
	f.Add("3\r\nabc\r\n10;x=y\r\n0123456789abcdef\r\n0\r\nT: u\r\n\r\n", 3)
	f.Add("0\r\n\r\n", 1)
	f.Add("1\nx\r\n", 1)
	f.Fuzz(func(t *testing.T, text string, cut int) {
		if cut < 1 {
			return
		}
		want, wantErr := io.ReadAll(&chunkedBody{r: bufio.NewReader(strings.NewReader(text))})
		var c chunks
		var got []byte
		for rest := text; rest != "" && c.state != chunksDone; {
			part := []byte(rest[:min(cut, len(rest))])
			rest = rest[len(part):]
			for len(part) > 0 && c.state != chunksDone {
				data, used, err := c.scan(part, len(part))
				if err != nil {
					if wantErr == nil {
						t.Fatalf("%q: %v", text, err)
					}
					return
				}
				got = append(got, data...)
				part = part[used:]
			}
		}
		if (c.state == chunksDone) != (wantErr == nil) || wantErr == nil && string(got) != string(want) {
			t.Errorf("%q is %q, want %q, %v", text, got, want, wantErr)
		}
	})
}

func TestChunks(t *testing.T) {
	for text, want := range map[string]string{
		"3\r\nabc\r\n0\r\n\r\n":                           "abc map[]",
		"A;a=\"b\"\r\n0123456789\r\n1 \r\nx\r\n0\r\n\r\n": "0123456789x map[]",
		"000\r\nSum: 4\r\nX: y\r\n\r\nrest":               " map[Sum:[4] X:[y]]",
		"3\r\nab":                                         "ab unexpected EOF",
		"":                                                " unexpected EOF",
		"3\nabc":                                          " " + errChunk.Error(),
		"x\r\n":                                           " " + errChunk.Error(),
		"\r\n":                                            " " + errChunk.Error(),
		"\x10\r\n":                                        " " + errChunk.Error(),
		"3\r\nabcd":                                       "abc " + errChunk.Error(),
		"1\r\nx\r\r":                                      "x " + errChunk.Error(),
		"3\rx":                                            " " + errChunk.Error(),
		"3;\n":                                            " " + errChunk.Error(),
		"0000000000000001\r\n":                            " " + errChunk.Error(),
		"1;" + strings.Repeat("x", 5000):                  " " + errChunk.Error(),
		"0\r\n" + strings.Repeat("a: b\r\n", 6000): " " + errChunk.Error(),
		"0\r\n\rx": " " + errChunk.Error(),
	} {
		body := &chunkedBody{r: bufio.NewReader(strings.NewReader(text))}
		data, err := io.ReadAll(body)
		got := string(data) + " "
		if err != nil {
			got += err.Error()
		} else {
			trailer, _ := body.trailer()
			got += fmt.Sprint(map[string][]string(trailer))
		}
		if got != want {
			t.Errorf("%.40q is %q, want %q", text, got, want)
		}
	}
}

// exchangeRaw sends bytes on a connection, and reads answers until the end, or until there are n.
func (b *bench) exchangeRaw(text string, n int) (answers []string, closed bool) {
	b.t.Helper()
	conn, err := net.Dial("tcp", b.address)
	if err != nil {
		b.t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, text); err != nil {
		b.t.Fatal(err)
	}
	reader := bufio.NewReader(conn)
	for len(answers) < n {
		response, err := http.ReadResponse(reader, nil)
		if err != nil {
			return answers, true
		}
		body, _ := io.ReadAll(response.Body)
		answers = append(answers, fmt.Sprintf("%d %s", response.StatusCode, body))
		closed = response.Close
	}
	if closed {
		if _, err := reader.ReadByte(); err == nil {
			b.t.Error("there is more after the last answer")
		}
	}
	return answers, closed
}

package workload

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"cutover/internal/rehearsal/stream"
)

// Each field of a stream has its effect.
func TestStream(t *testing.T) {
	w, err := read(t, `
requests: [path: /a]
ignore: {headers: [X-File], json: [$.f]}
streams:
  - name: orders
    type: websocket
    path: "/socket/{{token}}?after={{last}}"
    host: shop.example
    headers: {Sec-WebSocket-Protocol: v1}
    ignore: {headers: [X-R], json: [$.r], body: true}
    begin: [{method: POST, path: /login, safe: true, capture: {token: {json: $.token}}}]
    send: [hello, {after: "{{last}}"}, 3]
    id: $.id
    ignoreIds: true
    connections: 5
    uncut: true
  - {path: /b, mayEnd: true, method: POST, safe: true, json: {a: 1}, send: []}
  - {path: /c, type: events}
`, Options{Header: http.Header{"X-O": {"o"}}, Ignore: Ignore{Headers: []string{"X-Flag"}}})
	if err != nil {
		t.Fatal(err)
	}
	if len(w.Streams) != 3 || len(w.Sources) != 1 {
		t.Fatalf("%d streams, %d sources", len(w.Streams), len(w.Sources))
	}
	c := w.Streams[0].(*stream.Stream).Config
	if !c.WebSocket || !c.IgnoreIDs || c.Connections != 5 || !c.Uncut || c.MayEnd || c.ID.String() != "$.id" || len(c.Begin) != 1 {
		t.Errorf("%+v", c)
	}
	if want := []string{"hello", `{"after":"{{last}}"}`, "3"}; !slices.Equal(c.Send, want) {
		t.Errorf("sends %q, want %q", c.Send, want)
	}
	r, e := c.Open.Request, c.Open.Expect
	if got := fmt.Sprint(r.Name, " ", r.Host, r.Path, " ", r.Header); got != "orders shop.example/socket/{{token}}?after={{last}} map[Sec-Websocket-Protocol:[v1] X-O:[o]]" {
		t.Errorf("opened by %s", got)
	}
	if !e.IgnoreBody || !slices.Equal(e.IgnoreHeaders, []string{"X-R", "X-File", "X-Flag"}) || len(e.IgnoreJSON) != 2 {
		t.Errorf("expects %+v", e)
	}
	if c := w.Streams[1].(*stream.Stream).Config; c.WebSocket || !c.MayEnd || c.Connections != 2 || c.ID != nil || string(c.Open.Request.Body) != `{"a":1}` {
		t.Errorf("%+v", c)
	}
	if c := w.Streams[2].(*stream.Stream).Config; c.WebSocket || c.IgnoreIDs || c.Uncut || c.MayEnd {
		t.Errorf("%+v", c)
	}
}

// A stream that writes is watched with --writes only. Streams are no load.
func TestStreamWithoutWrites(t *testing.T) {
	w, err := read(t, `{requests: [path: /a], streams: [{path: /b, method: POST}, {path: /c, begin: [{method: POST, path: /login}]}]}`, Options{})
	want := []string{
		"stream POST /b: POST /b may change something, so the stream is watched with --writes only",
		"stream /c: POST /login may change something, so the stream is watched with --writes only",
	}
	if err != nil || len(w.Streams) != 0 || !slices.Equal(w.Gaps, want) || len(w.Unsent) != 3 {
		t.Errorf("%d streams, gaps %q, %d not sent, %v", len(w.Streams), w.Gaps, len(w.Unsent), err)
	}
	const alone = "there is nothing to request beside the streams: add requests, sessions or collections, or paths with --route"
	if _, err = read(t, `streams: [path: /a]`, Options{}); err == nil || err.Error() != alone {
		t.Errorf("error %v", err)
	}
}

func TestStreamErrors(t *testing.T) {
	for text, want := range map[string]string{
		`streams:
  - {type: sse, path: /a, connections: 0, weight: 1}
  - {name: b}
`: `shop.yaml:2:12: streams[0].type: must be events or websocket, not sse
shop.yaml:2:40: streams[0].connections: 0 is too small: the least is 1
shop.yaml:2:43: streams[0]: there is no key "weight": choose from begin, body,`,
		`streams:
  - {path: a, send: x, id: "$[", uncut: true, mayEnd: true}
  - {path: "/{{x}}", type: websocket, send: ["{{y}}"], begin: [{path: /b, capture: {last: {header: X}}}]}
`: `shop.yaml:2:12: streams[0].path: route "a": must be a path as in a request line, for example /api/users
shop.yaml:2:21: streams[0].send: a client sends nothing after the request of server-sent events
shop.yaml:2:28: streams[0].id: JSON path "$[": unexpected eof at position 3; it looks like $.generatedAt or $.items[*].id
shop.yaml:2:41: streams[0].uncut: uncut and mayEnd contradict each other: leave one
shop.yaml:3:5: streams[1]: there is no {{x}} yet: choose from last
shop.yaml:3:46: streams[1].send[0]: there is no {{y}} yet: choose from last
shop.yaml:3:91: streams[1].begin[0].capture.last: {{last}} has a meaning of its own: choose another name`,
		"streams: [{path: /a, send: 3}]": `shop.yaml:1:28: streams[0].send: must be a text or a list or a mapping, not a number`,
		"streams: []":                    `shop.yaml:1:10: streams: must not be empty`,
	} {
		_, err := read(t, text, Options{})
		if err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s\nerror\n%v\nwant\n%s", text, err, want)
		}
	}
}

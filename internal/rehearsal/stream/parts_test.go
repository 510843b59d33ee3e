package stream

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/iotest"
	"time"

	"github.com/coder/websocket"

	"cutover/internal/rehearsal"
	"cutover/internal/rehearsal/step"
)

// Events are read as the HTML standard has them.
func TestReadEvents(t *testing.T) {
	long := strings.Repeat("x", maxLine+10)
	for text, want := range map[string]string{
		"id: 1\ndata: a\n\n":                              "[1 a]",
		"\ufeffid: 1\ndata: a\n\n":                        "[1 a]",
		"id:1\ndata:a\r\n\r\nid:2\rdata:b\r\rdata: c\n\n": "[1 a] [2 b] [- c]",
		"id:1\r\ndata:a\r\n\r\n":                          "[1 a]",
		"data: a\ndata\ndata:  b\nevent: x\n\n":           "[- a\n\n b]",
		": a comment\n\nretry: 10\n\ndata: a\n\n":         "[- a]",
		"id: 7\n\ndata: a\n\n":                            "[7 ] [- a]",
		"id\ndata: a\n\n":                                 "[ a]",
		"id: a\x00b\ndata: a\n\n":                         "[- a]",
		"id: 1\ndata: a\n\nid: 2\ndata: not complete":     "[1 a]",
		"id: 1\ndata: a\n\nid: 2\ndata: not complete\n":   "[1 a]",
		"dat: a\nids: 3\ndata: b\n\n":                     "[- b]",
		"data: " + long + "\n\nid: 2\ndata: a\n\n":        "[- " + long[:maxLine-len("data: ")] + "] [2 a]",
		"": "",
	} {
		for name, r := range map[string]io.Reader{"at once": strings.NewReader(text), "byte by byte": iotest.OneByteReader(strings.NewReader(text))} {
			reader := newSSEReader(r)
			var got []string
			for {
				e, err := reader.read()
				if err != nil {
					if err != io.EOF {
						t.Errorf("%q: %v", text, err)
					}
					break
				}
				id := "-"
				if e.hasID {
					id = e.id
				}
				got = append(got, fmt.Sprintf("[%s %s]", id, e.data))
			}
			if strings.Join(got, " ") != want {
				t.Errorf("%.40q %s: %.80q, want %.80q", text, name, strings.Join(got, " "), want)
			}
		}
	}
}

func TestExplain(t *testing.T) {
	for want, err := range map[string]error{
		"true end of the answer":                                  io.EOF,
		"false end of the connection in the middle of the answer": fmt.Errorf("reading: %w", io.ErrUnexpectedEOF),
		"false connection reset":                                  fmt.Errorf("reading: %w", syscall.ECONNRESET),
		"false end of the connection without a close frame":       fmt.Errorf("failed to read: %w", io.EOF),
		"true close frame 1001 (restarting)":                      fmt.Errorf("failed to read: %w", websocket.CloseError{Code: 1001, Reason: "restarting"}),
		"true close frame without a code":                         websocket.CloseError{Code: websocket.StatusNoStatusRcvd},
		"false something else":                                    errors.New("something else"),
	} {
		if how, isClean := explain(err); fmt.Sprint(isClean, " ", how) != want {
			t.Errorf("%v: %v %s, want %s", err, isClean, how, want)
		}
	}
}

func TestCheck(t *testing.T) {
	c := at("events/{{token}}/{{last}}/{{nobody}}")
	c.Begin = []step.Step{{Request: rehearsal.Request{Path: "/{{token}}"}, Capture: []step.Capture{{Name: "token", Header: "X"}, {Name: "last", Header: "X"}}}}
	c.Send, c.Uncut, c.MayEnd = []string{"{{token}} {{last}}", "{{x}}"}, true, true
	var got []string
	c.Check(func(problem string, field ...string) { got = append(got, strings.Join(field, ".")+": "+problem) })
	want := []string{
		"begin.0: there is no {{token}} yet: choose from last",
		"begin.0.capture.last: {{last}} has a meaning of its own: choose another name",
		`path: route "events/1/1/1": must be a path as in a request line, for example /api/users`,
		": there is no {{nobody}} yet: choose from last, token",
		"send.1: there is no {{x}} yet: choose from last, token",
		"send: a client sends nothing after the request of server-sent events",
		"uncut: uncut and mayEnd contradict each other: leave one",
	}
	if !slices.Equal(got, want) {
		t.Errorf("problems\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	c = socket(t)
	c.Check(func(problem string, field ...string) { t.Error(problem, field) })
	c.Begin = []step.Step{{Request: rehearsal.Request{Method: "POST", Path: "/login"}}, {Request: rehearsal.Request{Method: "POST", Path: "/search", Safe: true}}}
	if names := c.Writes(); !slices.Equal(names, []string{"POST /login"}) {
		t.Errorf("writes %q", names)
	}
}

// clients are made of what each got, and when its connection was open: "1 2 3", or "1@400ms" for an event that came so long after
// the beginning.
func clientsOf(s *Stream, began time.Time, all ...string) {
	for _, text := range all {
		c := s.newClient()
		s.clients = append(s.clients, c)
		c.held = []*held{{Connection: rehearsal.Connection{Opened: began, Asked: began}, until: began.Add(time.Hour)}}
		for _, event := range strings.Fields(text) {
			if event == "|" { // cut, and opened again
				c.held = append(c.held, &held{Connection: rehearsal.Connection{Opened: began, Asked: began}, until: began.Add(time.Hour)})
				continue
			}
			event, at, _ := strings.Cut(event, "@")
			event, data, _ := strings.Cut(event, "=")
			s.receive(c, event, []byte(data), s.hashOf([]byte(data)))
			if i := &s.ids.all[len(s.ids.all)-1]; at != "" && i.by == c {
				after, _ := time.ParseDuration(at)
				i.first = began.Add(after)
			}
		}
	}
}

func TestMissed(t *testing.T) {
	never := func(*client, time.Time) bool { return false }
	for name, test := range map[string]struct {
		clients []string
		want    string // client:event
		excused func(c *client, at time.Time) bool
	}{
		"nothing":                           {[]string{"1 2 3", "1 2 3"}, "", never},
		"in the middle":                     {[]string{"1 2 3 4", "1 4"}, "1:2 1:3", never},
		"of both":                           {[]string{"1 2 4", "1 3 4"}, "1:2 0:3", never},
		"before the first one":              {[]string{"1 2 3", "2 3"}, "", never},
		"after the last one":                {[]string{"1 2 3", "1 2"}, "", never},
		"in another order":                  {[]string{"1 2 3", "1 3 2"}, "", never},
		"one client":                        {[]string{"1 3"}, "", never},
		"nothing shared":                    {[]string{"1 3", "2 4"}, "", never},
		"nothing shared, while it was open": {[]string{"1@0s 3@10s", "2@0s 4@10s"}, "", never},
		"one shared":                        {[]string{"1 2 3", "3 4 5"}, "", never},
		"excused":                           {[]string{"1 2 3 4", "1 4"}, "", func(*client, time.Time) bool { return true }},
		"excused for one":                   {[]string{"1 2 3 4", "1 4"}, "1:2 1:3", func(c *client, _ time.Time) bool { return len(c.received) == 4 }},
		"while it was open":                 {[]string{"1@0s 2@10s 3@10m", "1"}, "1:2 1:3", never},
		"while it was not open so long":     {[]string{"1@0s 2@4s 3@3599s", "1"}, "", never},
		"among old ones":                    {[]string{"1@-10m 2@10s", "1"}, "", never},
	} {
		s := New(at("/"))
		clientsOf(s, time.Now(), test.clients...)
		var got []string
		for _, m := range s.missed(test.excused) {
			if m.by == m.missing {
				t.Errorf("%s: a client misses its own event", name)
			}
			got = append(got, fmt.Sprintf("%d:%s", slices.Index(s.clients, m.missing), s.ids.all[m.id].text))
		}
		if strings.Join(got, " ") != test.want {
			t.Errorf("%s: missed %q, want %s", name, got, test.want)
		}
		if s.repeats = true; len(s.missed(test.excused)) > 0 {
			t.Errorf("%s: missed although ids come twice by themselves", name)
		}
	}
}

func TestReceive(t *testing.T) {
	for name, test := range map[string]struct {
		got             string
		doubled, others int
	}{
		"once":               {"1=a 2=a", 0, 0},
		"twice":              {"1=a 1=a", 1, 0},
		"twice, after a cut": {"1=a | 1=a", 1, 0},
		"three times":        {"1 1 | 1", 2, 0},
		"with another text":  {"1=a 1=b", 1, 1},
		"as JSON":            {`1={"a":1,"b":[2]} | 1={"b":[2],"a":1}`, 1, 0},
		"as other JSON":      {`1={"a":1} | 1={"a":2}`, 1, 1},
	} {
		s := New(at("/"))
		clientsOf(s, time.Now(), test.got)
		if c := s.clients[0]; len(c.doubled) != test.doubled || len(c.others) != test.others {
			t.Errorf("%s: %d doubled, %d others", name, len(c.doubled), len(c.others))
		}
		c := at("/")
		c.Open.Expect.IgnoreBody = true
		s = New(c)
		if clientsOf(s, time.Now(), test.got); len(s.clients[0].others) > 0 {
			t.Errorf("%s: the ignored bodies differ", name)
		}
	}
	s := New(at("/"))
	s.ids.received = maxReceived
	if s.receive(s.newClient(), "1", nil, 0); !s.ids.full || len(s.ids.all) > 0 {
		t.Error("there is no end to what is taken down")
	}
}

// A stream that does not work in the first phase is refused.
func TestBaselineRefuses(t *testing.T) {
	t.Parallel() // it waits for the trial
	api := newService("api", newBus())
	api.extra["/page"] = func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = io.WriteString(w, "<p>")
	}
	api.extra["/short"] = func(w http.ResponseWriter, r *http.Request) { api.serveEvents(w, r, stream{ends: time.Millisecond}) }
	login := at("/events")
	login.Begin = []step.Step{{Request: rehearsal.Request{Path: "/none"}}}
	captured := at("/events")
	captured.Begin = []step.Step{{Request: rehearsal.Request{Path: "/tick"}, Capture: []step.Capture{{Name: "x", Header: "X"}}}}
	status := at("/events")
	status.Open.Expect.Status = []int{201}
	noSocket := at("/page")
	noSocket.WebSocket = true
	protocol := socket(t)
	protocol.Open.Request.Header = http.Header{"Sec-Websocket-Protocol": {"v2"}}
	for _, test := range []struct {
		config Config
		want   string
	}{
		{at("/none"), `stream /none answers with status 404 and the content type "text/plain; charset=utf-8", and not with server-sent events: "404 page not found\n"`},
		{at("/page"), `stream /page answers with status 200 and the content type "text/html", and not with server-sent events: "<p>"`},
		{noSocket, `stream /page answers with status 200 and the content type "text/html", and not with a WebSocket: "<p>"`},
		{at("/short"), `stream /short ends by itself after `},
		{login, `stream /events needs /none, which answers with status 404: "404 page not found\n"`},
		{captured, `stream /events needs /tick: the answer with status 200 has no header X for {{x}}`},
		{status, `stream /events answers with status 200, not 201: ""`},
	} {
		s := newSite(t, api, api)
		w := rehearsal.Paths("/tick")
		w.Streams = []rehearsal.Stream{New(test.config)}
		var err error
		if s.rehearsal, err = rehearsal.New(rehearsal.Options{Rate: 20, Walk: []string{"monolith"}, Workload: w}); err != nil {
			t.Fatal(err)
		}
		s.begin()
		if _, err = s.rehearsal.Run(t.Context(), s); err == nil || !strings.HasPrefix(err.Error(), "the answers of monolith cannot be the baseline: "+test.want) {
			t.Errorf("%v\nwant %s", err, test.want)
		}
	}
}

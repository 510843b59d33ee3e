package workload

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"cutover/internal/rehearsal"
)

// recording is a file in the HTTP Archive format, version 1.2 (http://www.softwareishard.com/blog/har-12-spec/), as
// browsers, proxies and Postman write it.
type recording struct {
	*document
	notes
	header  http.Header // of the rehearsal
	text    []byte
	entries []harEntry
}

// harEntry is a request of a recording with its answer.
type harEntry struct {
	Request *struct {
		Method  string     `json:"method"`
		URL     string     `json:"url"`
		Headers []harField `json:"headers"`
		// BodySize is the length of the body, or -1 if the recording does not know it.
		BodySize float64 `json:"bodySize"`
		PostData *struct {
			MimeType string     `json:"mimeType"`
			Text     string     `json:"text"`
			Encoding string     `json:"encoding"` // of proxies: the format knows it for answers only
			Params   []harField `json:"params"`
		} `json:"postData"`
	} `json:"request"`
	Response *struct {
		Status  float64 `json:"status"`
		Content struct {
			MimeType string `json:"mimeType"`
		} `json:"content"`
	} `json:"response"`
	Type string `json:"_resourceType"` // of Chrome

	offset int64  // in the file
	place  string // in the recording, as in entries[3]
	url    *url.URL
}

type harField struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// recording adds the requests of a recording. The same request several times is one, of that weight.
func (b *Builder) recording(name string, text []byte) error {
	r := &recording{document: &document{file: name}, notes: notes{file: name}, header: b.Options.Header, text: text}
	r.read()
	var requests []known
	places := map[string]int{} // in requests, by the request
	hosts := b.recorded(r.entries)
	for _, e := range r.entries {
		request, ok := r.request(e, hosts)
		if !ok {
			continue
		}
		request.Check(func(field, problem string) { r.refuseByte(e.offset, e.place+": "+problem) })
		at, has := places[request.Key()]
		if !has {
			at = len(requests)
			places[request.Key()] = at
			requests = append(requests, known{Request: request})
		}
		requests[at].weight++
	}
	if len(r.entries) == 0 && len(r.errs) == 0 {
		r.refuse(&yaml.Node{Line: 1, Column: 1}, "the recording has no requests")
	}
	for _, k := range requests {
		b.learn(name, k.Request, k.weight)
	}
	r.report(b)
	return r.document.err()
}

// recorded are the hosts that are asked.
func (b *Builder) recorded(entries []harEntry) (hosts []string) {
	for _, e := range entries {
		for _, host := range b.Hosts {
			if strings.EqualFold(host, e.url.Host) || strings.EqualFold(host, e.url.Hostname()) {
				b.matched[host] = true
				hosts = append(hosts, e.url.Host)
			}
		}
	}
	first := slices.IndexFunc(entries, func(e harEntry) bool { return e.isHTTP() })
	if len(b.Hosts) == 0 && first >= 0 {
		return []string{entries[first].url.Host}
	}
	return hosts
}

func (e *harEntry) isHTTP() bool {
	return (e.url.Scheme == "http" || e.url.Scheme == "https") && e.url.Host != ""
}

// read reads the entries, one after the other: a recording of a long session has hundreds of megabytes of answers.
func (r *recording) read() {
	j := json.NewDecoder(bytes.NewReader(r.text))
	err := inMember(j, "log", func() error {
		return inMember(j, "entries", func() error {
			if err := open(j, '['); err != nil {
				return err
			}
			for i := 0; j.More(); i++ {
				if err := r.entry(j, i); err != nil {
					return err
				}
			}
			_, err := j.Token()
			return err
		})
	})
	var wrong *json.SyntaxError
	switch {
	case errors.As(err, &wrong):
		_ = errors.As(json.Unmarshal(r.text, &struct{}{}), &wrong) // its offset is that in the whole text
		r.refuseByte(wrong.Offset-1, "this is no JSON: "+err.Error())
	case err == io.EOF || err == io.ErrUnexpectedEOF:
		r.refuseByte(int64(len(r.text)), "the file ends too early: record again, or save the recording again")
	case err != nil:
		r.refuseByte(j.InputOffset(), err.Error())
	}
}

// entry reads an entry. Its error says that nothing can be read after it.
func (r *recording) entry(j *json.Decoder, i int) error {
	offset := j.InputOffset()
	offset += int64(len(r.text[offset:]) - len(bytes.TrimLeft(r.text[offset:], ", \t\r\n")))
	e := harEntry{offset: offset, place: fmt.Sprintf("entries[%d]", i)}
	var wrong *json.UnmarshalTypeError
	switch err := j.Decode(&e); {
	case errors.As(err, &wrong):
		where := strings.TrimSuffix(e.place+"."+wrong.Field, ".")
		r.refuseByte(e.offset, fmt.Sprintf("%s: must not be %s", where, withArticles([]string{strings.Fields(wrong.Value)[0]})))
		return nil
	case err != nil:
		return err
	case e.Request == nil:
		r.refuseByte(e.offset, e.place+": request is missing")
		return nil
	}
	var err error
	if e.url, err = url.Parse(strings.ReplaceAll(e.Request.URL, " ", "%20")); err != nil || e.url.Scheme == "" {
		r.refuseByte(e.offset, fmt.Sprintf("%s.request.url: %q is no URL", e.place, e.Request.URL))
		return nil
	}
	e.url.Host = strings.ToLower(e.url.Host)
	r.entries = append(r.entries, e)
	return nil
}

// inMember reads a mapping, with the value of a member as the function does.
func inMember(j *json.Decoder, name string, read func() error) error {
	if err := open(j, '{'); err != nil {
		return err
	}
	for j.More() {
		key, err := j.Token()
		if err != nil {
			return err
		}
		var skipped json.RawMessage
		if key == name {
			err = read()
		} else {
			err = j.Decode(&skipped)
		}
		if err != nil {
			return err
		}
	}
	_, err := j.Token()
	return err
}

// open reads the beginning of a mapping or a list.
func open(j *json.Decoder, begins json.Delim) error {
	token, err := j.Token()
	if err != nil {
		return err
	}
	if token != begins {
		return fmt.Errorf("a recording has %s here", map[json.Delim]string{'{': "a mapping", '[': "a list"}[begins])
	}
	return nil
}

// maxErrors bounds the errors of a recording. A program that wrote one entry wrongly wrote all of them so.
const maxErrors = 50

// refuseByte adds an error at a byte.
func (r *recording) refuseByte(offset int64, text string) {
	switch {
	case len(r.errs) > maxErrors:
		return
	case len(r.errs) == maxErrors:
		text = "more is wrong from here on"
	}
	before := r.text[:max(0, min(offset, int64(len(r.text))))]
	r.refuse(&yaml.Node{Line: bytes.Count(before, []byte("\n")) + 1, Column: len(before) - bytes.LastIndexByte(before, '\n')}, text)
}

// request is the request of an entry. It returns false if the rehearsal leaves the entry out.
func (r *recording) request(e harEntry, hosts []string) (rehearsal.Request, bool) {
	u := *e.url
	u.Fragment, u.RawQuery = "", ""
	what := strings.TrimPrefix(e.Request.Method+" "+u.Redacted(), "GET ")
	if reason := r.leftOut(e, hosts); reason != "" {
		r.add(what, reason)
		return rehearsal.Request{}, false
	}
	request := rehearsal.Request{Method: e.Request.Method, Path: strings.ReplaceAll(e.url.RequestURI(), " ", "%20"), Host: hostOf(e.url), Header: http.Header{}}
	if request.Method == http.MethodGet {
		request.Method = ""
	}
	for _, h := range e.Request.Headers {
		switch {
		case isSecret(h.Name):
			if name := http.CanonicalHeaderKey(h.Name); r.header[name] == nil {
				r.add(what, fmt.Sprintf("sent without the recorded %s (send one of your own with --header)", name))
			}
		case !recordedHeaders.MatchString(h.Name):
			request.Header.Add(h.Name, h.Value)
		}
	}
	body, err := e.body()
	if err != nil {
		r.add(what, err.Error())
		return request, false
	}
	if request.Body = body; body != nil && request.Header.Get("Content-Type") == "" && e.Request.PostData.MimeType != "" {
		request.Header.Set("Content-Type", e.Request.PostData.MimeType)
	}
	return request, true
}

// leftOut says why an entry is not sent. It returns nothing if it is.
func (r *recording) leftOut(e harEntry, hosts []string) string {
	status := -1
	if e.Response != nil {
		status = int(e.Response.Status)
		if strings.HasPrefix(e.Response.Content.MimeType, "text/event-stream") {
			return "left out (streams are in a routes file)"
		}
	}
	switch {
	case e.url.Scheme == "ws", e.url.Scheme == "wss", e.Type == "websocket", e.Type == "eventsource", status == http.StatusSwitchingProtocols:
		return "left out (streams are in a routes file)"
	case !e.isHTTP():
		return "left out (no HTTP)"
	case !slices.Contains(hosts, e.url.Host):
		return fmt.Sprintf("left out (another host: --recorded-host %s sends to it)", e.url.Host)
	case e.Request.Method == http.MethodConnect:
		return "left out (for a proxy)"
	case status == 0:
		return "left out (no answer is recorded)"
	case status >= 500:
		return "left out (the recorded answer is an error of the server)"
	}
	for pair := range strings.SplitSeq(e.url.RawQuery, "&") {
		if name, _, _ := strings.Cut(pair, "="); isSecret(name) {
			return fmt.Sprintf("left out (%s in the query may be a secret)", name)
		}
	}
	return ""
}

// body is the body of a request, or nil.
func (e *harEntry) body() ([]byte, error) {
	data := e.Request.PostData
	if data == nil || data.Text == "" && len(data.Params) == 0 {
		if e.Request.BodySize > 0 || slices.ContainsFunc(e.Request.Headers, func(h harField) bool {
			n, err := strconv.Atoi(h.Value)
			return strings.EqualFold(h.Name, "Content-Length") && err == nil && n > 0
		}) {
			return nil, errors.New("left out (the body is not in the recording)")
		}
		return nil, nil
	}
	switch {
	case data.Text != "" && data.Encoding == "base64":
		body, err := base64.StdEncoding.DecodeString(data.Text)
		if err != nil {
			return nil, errors.New("left out (the body is no base64)")
		}
		return body, nil
	case data.Text != "":
		return []byte(data.Text), nil
	case !strings.HasPrefix(data.MimeType, "application/x-www-form-urlencoded"):
		return nil, errors.New("left out (the body is not in the recording)")
	}
	var pairs []string
	for _, p := range data.Params {
		pairs = append(pairs, url.QueryEscape(p.Name)+"="+url.QueryEscape(p.Value))
	}
	return []byte(strings.Join(pairs, "&")), nil
}

// recordedHeaders are not sent. They are those of the connection and of HTTP/2, those that the rehearsal or the load
// balancer sets, those of a browser's cache, and those that say how a browser came to ask.
var recordedHeaders = regexp.MustCompile(`(?i)^(:.*|host|content-length|connection|keep-alive|proxy-.*|te|trailer|transfer-encoding|upgrade|expect|` +
	`accept-encoding|x-amzn-trace-id|x-forwarded-.*|if-(match|none-match|modified-since|unmodified-since|range)|` +
	`sec-.*|priority|purpose|referer|upgrade-insecure-requests|dnt|traceparent|tracestate|postman-token)$`)

// secrets are names of headers and of parameters.
var secrets = regexp.MustCompile(`(?i)token|secret|passw|api[-_]?key|authori[sz]ation|authenticat|session|csrf|xsrf|cookie|credential|signature|^(x-auth.*|auth|sig|sid|key|jwt)$`)

// isSecret says whether a header or a parameter may be a secret, by its name. A secret does not belong into a report, and
// what a recording has is of another login.
func isSecret(name string) bool {
	return secrets.MatchString(name) && !strings.EqualFold(name, "Postman-Token")
}

package workload

import (
	"errors"
	"fmt"
	"net/http"
	"strings"

	"golang.org/x/net/http/httpguts"

	"cutover/internal/rehearsal"
	"cutover/migration"
)

// Options are for all requests of a workload.
type Options struct {
	// Writes sends requests that may change something. Without it they are gaps.
	Writes bool
	// JSON compares JSON bodies as JSON.
	JSON bool
	// Header is sent with each request that has no header of the name: not with those of virtual users.
	Header http.Header
	// Hosts are those of a recording that are asked. Default: the host of its first request.
	Hosts []string
	Ignore
}

// Ignore is what answers are not compared by.
type Ignore struct {
	// Headers are names of headers, and JSON are JSON paths.
	Headers []string
	JSON    []rehearsal.JSONPath
	// Bodies are path patterns, as those of listener rules. The bodies of what they match are not compared.
	Bodies []string
}

// Builder makes a workload of requests. The zero value with its options is one without requests.
type Builder struct {
	Options
	workload rehearsal.Workload
	matched  map[string]bool // of the patterns in Bodies, and of Hosts
	known    []known         // from recordings and OpenAPI documents
}

// Add adds a request with what is expected of its answers. What the options say is added to that.
func (b *Builder) Add(r rehearsal.Request, e rehearsal.Expect, weight int) {
	r.Header = b.header(r.Header)
	if r.Writes() && !b.Writes {
		b.Unsent(r, "a request that may change something is sent with --writes only")
		return
	}
	b.AddSource(rehearsal.NewCompared(r, b.Expect(r, e), weight))
}

// Unsent adds a request that is known and not sent, and why. The report says so, and whether anybody answers it after the
// switch.
func (b *Builder) Unsent(r rehearsal.Request, why string) {
	b.Gap("%s: %s", &r, why)
	b.workload.Unsent = append(b.workload.Unsent, &r)
}

// AddSource adds a source that is complete.
func (b *Builder) AddSource(s rehearsal.Source) { b.workload.Sources = append(b.workload.Sources, s) }

// Gap adds a line about what is known and not sent.
func (b *Builder) Gap(format string, a ...any) {
	b.workload.Gaps = append(b.workload.Gaps, fmt.Sprintf(format, a...))
}

// header adds the options' header to that of a request.
func (b *Builder) header(own http.Header) http.Header {
	all := own.Clone()
	for name, values := range b.Options.Header {
		if own[name] == nil {
			if all == nil {
				all = http.Header{}
			}
			all[name] = values
		}
	}
	return all
}

// Expect adds what the options say to what is expected of the answers to a request.
func (b *Builder) Expect(r rehearsal.Request, e rehearsal.Expect) rehearsal.Expect {
	e.JSON = e.JSON || b.JSON
	e.IgnoreHeaders = append(e.IgnoreHeaders, b.Ignore.Headers...)
	e.IgnoreJSON = append(e.IgnoreJSON, b.Ignore.JSON...)
	path, _, _ := strings.Cut(r.Path, "?")
	for _, pattern := range b.Bodies {
		if migration.Covers(pattern, path) {
			e.IgnoreBody = true
			b.matched[pattern] = true
		}
	}
	return e
}

// New begins a workload.
func New(o Options) *Builder { return &Builder{Options: o, matched: map[string]bool{}} }

// Build returns the workload, with where its requests come from.
func (b *Builder) Build(about string) (rehearsal.Workload, error) {
	b.workload.About = about
	b.addKnown()
	for _, host := range b.Hosts {
		if !b.matched[host] {
			return b.workload, fmt.Errorf("--recorded-host %s: no recording has a request to this host", host)
		}
	}
	for _, name := range b.Ignore.Headers {
		if !httpguts.ValidHeaderFieldName(name) {
			return b.workload, fmt.Errorf("--ignore-header %q: must be the name of a header", name)
		}
	}
	for _, pattern := range b.Bodies {
		if !b.matched[pattern] {
			return b.workload, fmt.Errorf("--ignore-body %s: no request has such a path", pattern)
		}
	}
	if len(b.workload.Sources) == 0 && len(b.workload.Streams) > 0 {
		return b.workload, errors.New("there is nothing to request beside the streams: add requests, sessions or collections, or paths with --route")
	}
	if len(b.workload.Sources) == 0 {
		return b.workload, errors.New(strings.Join(append([]string{"there is nothing to request"}, b.workload.Gaps...), "\n"))
	}
	return b.workload, nil
}

// Paths adds GET requests.
func (b *Builder) Paths(paths []string) {
	for _, path := range paths {
		b.Add(rehearsal.Request{Path: path}, rehearsal.Expect{}, 1)
	}
}

// ParseJSONPaths reads JSON paths, and returns all that is wrong.
func ParseJSONPaths(texts []string) (paths []rehearsal.JSONPath, err error) {
	var errs []error
	for _, text := range texts {
		path, err := rehearsal.ParseJSONPath(text)
		paths, errs = append(paths, path), append(errs, err)
	}
	return paths, errors.Join(errs...)
}

package rehearsal

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
)

// Expect says how the answers to a request are compared with the first one. The zero value compares the
// status, the headers, and each byte of the body.
type Expect struct {
	// Status are the statuses that the request may have. If there are several, only answers of the first
	// one's status are compared. Default: that of the first answer, if it is below 500.
	Status []int
	// JSON compares bodies as JSON: the order of members, white space and the form of numbers do not matter.
	JSON bool
	// IgnoreHeaders are names of headers that are not compared.
	IgnoreHeaders []string
	// IgnoreJSON are the parts of JSON bodies that are not compared. The rest is compared as JSON.
	IgnoreJSON []JSONPath
	// IgnoreBody leaves out the body.
	IgnoreBody bool
}

// Ignored is a part of answers that was not compared.
type Ignored struct {
	// Route is the request's place in [Source.Routes].
	Route int
	// Part is "header NAME", a JSON path, "order of" a JSON path, or "body".
	Part string
	// Learned says that the part differed by itself in the first phase. Otherwise you asked to ignore it.
	Learned bool
	// Absent says that the first answer does not have the part.
	Absent bool
	// Example has two values of the part that differ, that of the first answer before the other. It is empty if the part
	// never differed.
	Example []string
}

// Canonical writes JSON in one form, without what is ignored. It returns false if a body is no JSON.
func (e Expect) Canonical(body []byte) (string, bool) {
	value, isJSON := DecodeJSON(body)
	if !isJSON {
		return "", false
	}
	value, _ = NewComparison(e).leaveOut(value)
	return canonical(value), true
}

// Compared is a [Source] of one request, whose answers have to be like those of the first phase.
type Compared struct {
	request    Request
	weight     int
	comparison *Comparison
	asked      bool
}

// NewCompared returns the source. The weight is 1 to [MaxWeight].
func NewCompared(r Request, e Expect, weight int) *Compared {
	return &Compared{request: r, weight: weight, comparison: NewComparison(e)}
}

// Routes is the request.
func (c *Compared) Routes() []*Request { return []*Request{&c.request} }

// Weight is the weight.
func (c *Compared) Weight() int { return c.weight }

// Baseline takes the first answer. The second time it ends what the comparison learns.
func (c *Compared) Baseline(ctx context.Context, ask Ask) error {
	if err := c.comparison.Learn(ask(ctx, 0, &c.request)); err != nil {
		return fmt.Errorf("%s %w", &c.request, err)
	}
	if c.asked {
		c.comparison.Seal()
	}
	c.asked = true
	return nil
}

// Next is the request, again.
func (c *Compared) Next() Call {
	return Call{Request: &c.request, Read: c.comparison.read, Judge: c.comparison}
}

// Result has what was ignored.
func (c *Compared) Result(func(int) Handled) Result {
	ignored := c.comparison.Ignored(0)
	differed := slices.ContainsFunc(ignored, func(i Ignored) bool { return i.Example != nil })
	return Result{Ignored: ignored, Loose: differed || c.comparison.loose.Load()}
}

// Comparison is a [Judge] that compares answers with the first one. Until it is sealed, it learns which parts differ by
// themselves.
type Comparison struct {
	expect Expect
	first  *Answer
	value  any  // of the first body, if that is JSON
	isJSON bool // says that it is
	sealed bool
	// What follows is known when the comparison is sealed.
	read   func(io.Reader) ([]byte, error)
	masked any         // the value, without what is ignored
	parts  int         // that are ignored in it
	loose  atomic.Bool // says that an answer was taken that has other bytes
	mask   *mask       // the body, without what is ignored

	mu      sync.Mutex
	rules   []*rule             // about JSON, for what is ignored
	headers map[string]bool     // that are ignored, by canonical name, and whether that was learned
	atTimes map[string]bool     // headers that were not in each answer that was learned
	seen    map[string][]string // examples of ignored parts that differed
}

// NewComparison returns a comparison that has learned nothing yet.
func NewComparison(e Expect) *Comparison {
	c := &Comparison{expect: e, headers: map[string]bool{}, atTimes: map[string]bool{}, seen: map[string][]string{}}
	for _, name := range e.IgnoreHeaders {
		c.headers[http.CanonicalHeaderKey(name)] = false
	}
	for _, path := range e.IgnoreJSON {
		c.rules = append(c.rules, &rule{JSONPath: path})
	}
	return c
}

// Varies says that a header has another value in each answer. An answer has to have the header if the first one does.
func (c *Comparison) Varies(header string) { c.headers[http.CanonicalHeaderKey(header)] = true }

// Learn takes an answer of the first phase. The first one is what all others are compared with, but for what differs
// between the answers that were learned. It returns an error if the answer cannot be a measure: it was not given, it is
// that of a failure, or it differs in a way that would hide any other difference.
func (c *Comparison) Learn(a Answer) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case a.Err != nil:
		return fmt.Errorf("gives no answer: %w", a.Err)
	case len(c.expect.Status) > 0 && !slices.Contains(c.expect.Status, a.Status):
		return fmt.Errorf("answers with status %d, not %s: %s", a.Status, c.statuses(), clip(a.Body, 0))
	case len(c.expect.Status) == 0 && a.Status >= 500:
		return fmt.Errorf("answers with status %d: %s", a.Status, clip(a.Body, 0))
	case c.first == nil:
		c.first = &a
		c.value, c.isJSON = DecodeJSON(a.Body)
		return nil
	case a.Status != c.first.Status && len(c.expect.Status) == 0:
		return differs(fmt.Sprintf("status %d, not %d", a.Status, c.first.Status))
	case a.Status != c.first.Status:
		return nil
	}
	c.noteHeaders(a)
	for _, name := range c.otherHeaders(a.Header) {
		c.headers[name] = true
		c.atTimes[name] = c.atTimes[name] || len(a.Header[name]) == 0 || len(c.first.Header[name]) == 0
		c.noteHeader(name, a)
	}
	if c.expect.IgnoreBody || bytes.Equal(a.Body, c.first.Body) {
		return nil
	}
	value, isJSON := DecodeJSON(a.Body)
	if !isJSON || !c.isJSON {
		return differs(compareBytes(c.first.Body, a.Body))
	}
	c.noteJSON(value)
	return c.learnJSON(a.Body)
}

func differs(how string) error {
	return fmt.Errorf("answers differently each time, so a change would not show: leave this route out, or ignore the answer's body with --ignore-body (%s)", how)
}

func (c *Comparison) statuses() string {
	var texts []string
	for _, status := range c.expect.Status {
		texts = append(texts, strconv.Itoa(status))
	}
	return strings.Join(texts, " or ")
}

// maxLearned is the most rules that a comparison learns. If more parts differ, the names of members do.
const maxLearned = 50

// learnJSON adds rules until the differences to another body are left out.
func (c *Comparison) learnJSON(body []byte) (err error) {
	for range maxLearned {
		same := true
		first, _ := DecodeJSON(c.first.Body)
		first, _ = c.leaveOut(first)
		other, _ := DecodeJSON(body)
		other, _ = c.leaveOut(other)
		differ(first, other, nil, func(d difference) bool {
			same = false
			if len(d.at) == 0 && !d.order || len(c.rules) >= maxLearned {
				err = differs(d.text())
				return false
			}
			var r *rule
			if r, err = d.learn(); err != nil {
				return false
			}
			i := slices.IndexFunc(c.rules, func(known *rule) bool { return known.learned && known.part() == r.part() })
			if i < 0 {
				c.rules = append(c.rules, r)
				c.note(r.part(), excerpt(d.a), excerpt(d.b))
			} else if r.mode == leaveOut {
				c.rules[i].mode = leaveOut
			}
			return true
		})
		if same || err != nil {
			return err
		}
	}
	return differs("its JSON")
}

// leaveOut changes a value into one without what is ignored, and counts the parts that it left out.
func (c *Comparison) leaveOut(value any) (masked any, parts int) {
	for _, ordering := range []bool{false, true} { // an order is that of what is compared
		for _, r := range c.rules {
			if n := 0; (r.mode == anyOrder) == ordering {
				value, n = r.apply(value)
				parts += n
			}
		}
	}
	return value, parts
}

// Seal ends the learning. From then on answers are judged.
func (c *Comparison) Seal() {
	c.sealed = true
	if c.isJSON {
		first, _ := DecodeJSON(c.first.Body)
		c.masked, c.parts = c.leaveOut(first)
		c.mask = newMask(c.first.Body, c.value, c.rules)
	}
	if !c.asJSON() {
		c.read = readLike(c.first.Body)
	}
}

// asJSON says whether bodies may be compared as JSON.
func (c *Comparison) asJSON() bool {
	return c.isJSON && !c.expect.IgnoreBody && (c.expect.JSON || len(c.rules) > 0)
}

// Judge compares an answer with the first one.
func (c *Comparison) Judge(a Answer) (Problem, string) {
	if !c.sealed {
		_ = c.Learn(a) // the second baseline says what is wrong
		return fine, ""
	}
	switch first := c.first; {
	case a.Status != first.Status && slices.Contains(c.expect.Status, a.Status):
		c.loose.Store(true)
		return fine, ""
	case a.Status != first.Status:
		p := otherStatus
		if a.Status >= 500 {
			p = serverError
		}
		return p, fmt.Sprintf("status %d, not %d: %s", a.Status, first.Status, clip(a.Body, 0))
	}
	other := c.otherHeaders(a.Header)
	if slices.Contains(other, "Content-Type") {
		return otherType, fmt.Sprintf("content type %q, not %q", a.Header.Get("Content-Type"), c.first.Header.Get("Content-Type"))
	}
	if p, difference := c.judgeBody(a.Body); p != fine {
		return p, difference
	}
	if len(other) > 0 {
		slices.Sort(other)
		return otherHeader, fmt.Sprintf("header %s is %s, not %s", other[0], headerText(a.Header, other[0]), headerText(c.first.Header, other[0]))
	}
	if len(c.headers) > 0 {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.noteHeaders(a)
	}
	return fine, ""
}

func (c *Comparison) judgeBody(body []byte) (Problem, string) {
	switch {
	case bytes.Equal(c.first.Body, body):
		return fine, ""
	case c.expect.IgnoreBody:
		c.mu.Lock()
		defer c.mu.Unlock()
		c.note("body", clip(c.first.Body, 0), clip(body, 0))
		return fine, ""
	case c.mask != nil && c.parts > 0 && c.mask.matches(body):
		return fine, ""
	}
	value, isJSON := any(nil), false
	if c.asJSON() {
		value, isJSON = DecodeJSON(body)
	}
	if !isJSON {
		return otherBody, compareBytes(c.first.Body, body)
	}
	c.mu.Lock()
	c.noteJSON(value)
	c.mu.Unlock()
	masked, parts := c.leaveOut(value)
	if !c.expect.JSON && c.parts+parts == 0 {
		return otherBody, compareBytes(c.first.Body, body)
	}
	p, how := fine, ""
	differ(c.masked, masked, nil, func(d difference) bool {
		p, how = otherBody, d.text()
		return false
	})
	c.loose.Store(c.loose.Load() || p == fine)
	return p, how
}

// compareBytes says where two bodies differ.
func compareBytes(first, other []byte) string {
	i := 0
	for i < len(first) && i < len(other) && first[i] == other[i] {
		i++
	}
	return fmt.Sprintf("differs at byte %d: %s, not %s", i, clip(other, i), clip(first, i))
}

// note keeps an example of an ignored part that differs. It needs the lock.
func (c *Comparison) note(part, first, other string) {
	if c.seen[part] == nil && first != other {
		c.seen[part] = []string{first, other}
	}
}

// noteHeaders keeps examples of the headers that you ignore.
func (c *Comparison) noteHeaders(a Answer) {
	for name, learned := range c.headers {
		if !learned {
			c.noteHeader(name, a)
		}
	}
}

func (c *Comparison) noteHeader(name string, a Answer) {
	c.note("header "+name, headerText(c.first.Header, name), headerText(a.Header, name))
}

// noteJSON keeps examples of the JSON paths that you ignore.
func (c *Comparison) noteJSON(other any) {
	for _, r := range c.rules {
		if r.learned || r.noted.Load() {
			continue
		}
		was, is := r.Select(c.value), r.Select(other)
		for i := range max(len(was), len(is)) {
			a, b := any(absent{}), any(absent{})
			if i < len(was) {
				a = was[i]
			}
			if i < len(is) {
				b = is[i]
			}
			if canonical(a) != canonical(b) {
				c.note(r.text, excerpt(a), excerpt(b))
				r.noted.Store(true)
				break
			}
		}
	}
}

// Ignored are the parts that were not compared. Route is put into each.
func (c *Comparison) Ignored(route int) (all []Ignored) {
	add := func(part string, learned, missing bool) {
		all = append(all, Ignored{Route: route, Part: part, Learned: learned, Absent: missing, Example: c.seen[part]})
	}
	for _, name := range slices.Sorted(maps.Keys(c.headers)) {
		add("header "+name, c.headers[name], len(c.first.Header[name]) == 0)
	}
	for _, r := range c.rules {
		add(r.part(), r.learned, len(r.Select(c.value)) == 0)
	}
	if c.expect.IgnoreBody {
		add("body", false, len(c.first.Body) == 0)
	}
	return all
}

// FrontHeaders are those that a front adds.
type FrontHeaders struct {
	By    string // in Markdown
	Names []string
}

// AddedByFronts are the headers of fronts that are not compared. A header that API Gateway renames is among them if it is not
// compared under its own name: X-Amzn-Remapped-Www-Authenticate has a service's words, and is compared.
var AddedByFronts = []FrontHeaders{
	{"API Gateway", []string{"X-Amzn-Requestid", "X-Amz-Apigw-Id", "X-Amzn-Trace-Id",
		"X-Amzn-Remapped-Connection", "X-Amzn-Remapped-Content-Length", "X-Amzn-Remapped-Date", "X-Amzn-Remapped-Server"}},
	{"CloudFront", []string{"Via", "X-Cache", "X-Amz-Cf-Id", "X-Amz-Cf-Pop", "Age"}},
	{"the services, with `ui=on`", []string{"X-Answered-By"}},
}

// insignificant headers say nothing about the answer: they belong to the connection, name the program, or tell
// the time, the trace, how long the answer took, or what a front did with it.
var insignificant = func() map[string]bool {
	all := set("Connection", "Keep-Alive", "Proxy-Connection", "Transfer-Encoding", "Trailer", "Upgrade", "Content-Length",
		"Date", "Server", "X-Powered-By", "X-Runtime", "X-Response-Time", "Server-Timing",
		"X-Request-Id", "X-Correlation-Id", "X-Trace-Id", "Traceparent", "Tracestate")
	for _, front := range AddedByFronts {
		maps.Copy(all, set(front.Names...))
	}
	return all
}()

// stickyCookies are those of the load balancer, which depend on its settings and not on the service
// (https://docs.aws.amazon.com/elasticloadbalancing/latest/application/sticky-sessions.html).
var stickyCookies = set("AWSALB", "AWSALBCORS", "AWSALBTG", "AWSALBTGCORS")

func set(names ...string) map[string]bool {
	all := map[string]bool{}
	for _, name := range names {
		all[name] = true
	}
	return all
}

// otherHeaders are the names of the headers that differ from the first answer's.
func (c *Comparison) otherHeaders(h http.Header) (names []string) {
	for name := range c.first.Header {
		if !insignificant[name] && c.otherHeader(name, h) {
			names = append(names, name)
		}
	}
	for name := range h {
		if _, has := c.first.Header[name]; !has && !insignificant[name] && c.otherHeader(name, h) {
			names = append(names, name)
		}
	}
	return names
}

// otherHeader says whether a header differs. A header that differs by itself has to be there, unless it was missing by itself.
func (c *Comparison) otherHeader(name string, h http.Header) bool {
	learned, isIgnored := c.headers[name]
	first, other := c.first.Header[name], h[name]
	switch {
	case isIgnored:
		return learned && len(other) == 0 && !c.atTimes[name]
	case name == "Set-Cookie":
		return !slices.Equal(cookies(first), cookies(other))
	}
	return !slices.Equal(first, other)
}

// cookies are the names and attributes of cookies, sorted. Their values and when they expire differ from client
// to client.
func cookies(values []string) (all []string) {
	for _, value := range values {
		parts := strings.Split(value, ";")
		name, _, _ := strings.Cut(strings.TrimSpace(parts[0]), "=")
		if stickyCookies[name] {
			continue
		}
		attributes := parts[1:]
		for i, attribute := range attributes {
			key, value, _ := strings.Cut(strings.TrimSpace(attribute), "=")
			if key = strings.ToLower(key); key == "expires" {
				value = ""
			}
			attributes[i] = key + "=" + value
		}
		slices.Sort(attributes)
		all = append(all, strings.Join(append([]string{name}, attributes...), "; "))
	}
	slices.Sort(all)
	return all
}

// headerText is a header's values for people.
func headerText(h http.Header, name string) string {
	if len(h[name]) == 0 {
		return "missing"
	}
	return clip([]byte(strings.Join(h[name], ", ")), 0)
}

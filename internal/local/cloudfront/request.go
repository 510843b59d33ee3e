package cloudfront

import (
	"net/http"
	"slices"
	"strings"

	"cutover/internal/model"
)

// request is the request of a viewer. A function may change it.
type request struct {
	method string
	// path and query are those of the request line, percent-encoded.
	path, query string
	// header has Host, too.
	header http.Header
	// ip is the viewer's address, and id identifies the request.
	ip, id string
	http10 bool
}

// uri is the path with its query.
func (r *request) uri() string {
	if r.query == "" {
		return r.path
	}
	return r.path + "?" + r.query
}

// chosen says whether a selection has a name.
func chosen(s model.Selection, name string, equal func(a, b string) bool) bool {
	named := slices.ContainsFunc(s.Names, func(other string) bool { return equal(name, other) })
	switch s.Behavior {
	case "all", "allViewer":
		return true
	case "whitelist":
		return named
	case "allExcept":
		return !named
	}
	return false
}

func same(a, b string) bool { return a == b }

// selected has the parameters of a query, or the cookies of a header, that one of some selections has, in their order.
func selected(text, separator, joined string, of ...model.Selection) string {
	if text == "" {
		return ""
	}
	var kept []string
	for pair := range strings.SplitSeq(text, separator) {
		pair = strings.TrimSpace(pair)
		name, _, _ := strings.Cut(pair, "=")
		if slices.ContainsFunc(of, func(s model.Selection) bool { return chosen(s, name, same) }) && pair != "" {
			kept = append(kept, pair)
		}
	}
	return strings.Join(kept, joined)
}

func cookies(header http.Header) string { return strings.Join(header["Cookie"], "; ") }

// accepts says whether an Accept-Encoding has a coding.
func accepts(header http.Header, coding string) bool {
	for _, line := range header["Accept-Encoding"] {
		for one := range strings.SplitSeq(line, ",") {
			name, parameter, _ := strings.Cut(strings.TrimSpace(one), ";")
			if strings.EqualFold(strings.TrimSpace(name), coding) && !strings.HasSuffix(strings.ReplaceAll(parameter, " ", ""), "q=0") {
				return true
			}
		}
	}
	return false
}

// encodings is the Accept-Encoding of a request as the cache policy has it: br,gzip, br, gzip or "".
// https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/cache-key-understand-cache-policy.html#cache-policy-compressed-objects
func encodings(c *model.CachePolicy, r *request) string {
	var known []string
	if c.AcceptBrotli && accepts(r.header, "br") {
		known = append(known, "br")
	}
	if c.AcceptGzip && accepts(r.header, "gzip") {
		known = append(known, "gzip")
	}
	if r.http10 {
		return ""
	}
	return strings.Join(known, ",")
}

// cacheKey tells answers in the cache apart: the path, and what the policy has of the query, the headers and the cookies.
// https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/understanding-the-cache-key.html
func cacheKey(c *model.CachePolicy, r *request) string {
	method := "GET" // HEAD is answered from what GET has brought
	if r.method == http.MethodOptions {
		method = r.method
	}
	parts := []string{method, r.path, selected(r.query, "&", "&", c.Query), selected(cookies(r.header), ";", "; ", c.Cookies), encodings(c, r)}
	for _, name := range c.Headers.Names {
		parts = append(parts, name+": "+strings.Join(r.header.Values(name), ","))
	}
	return strings.Join(parts, "\n")
}

// neverSent are headers of viewers that no origin gets. Those of a connection are for one hop.
// https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/RequestAndResponseBehaviorCustomOrigin.html#request-custom-headers-behavior
var neverSent = []string{
	"Connection", "Expect", "Keep-Alive", "Proxy-Authenticate", "Proxy-Authorization", "Proxy-Connection", "Te", "Trailer", "Transfer-Encoding", "Upgrade",
	"X-Forwarded-Proto", "X-Real-Ip", "Content-Length",
}

// always are headers that an origin gets whatever the policies say, and those of them that are for the cache if it keeps answers.
var (
	always    = []string{"Content-Type", "Content-Md5"}
	ofObjects = []string{"If-Match", "If-Modified-Since", "If-None-Match", "If-Range", "If-Unmodified-Since", "Range"}
)

// agent is the User-Agent where no policy passes on the viewer's.
const agent = "Amazon CloudFront"

// originRequest is the request that an origin gets: its path and query, and its headers with Host.
// https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/controlling-origin-requests.html
func originRequest(b *behavior, r *request) *request {
	cached, policy := b.CachePolicy, b.OriginRequestPolicy
	if policy == nil {
		policy = &model.OriginRequestPolicy{}
	}
	sent := &request{method: r.method, path: b.origin.path + r.path, header: http.Header{}, ip: r.ip, id: r.id}
	sent.query = selected(r.query, "&", "&", cached.Query, policy.Query)
	kept := b.keeps(r.method)
	for name, values := range r.header {
		object := slices.Contains(ofObjects, name)
		switch {
		case slices.Contains(neverSent, name), strings.HasPrefix(name, "X-Edge-"), name == "Cookie", object && kept:
		case name == "Accept-Encoding" && (cached.AcceptGzip || cached.AcceptBrotli):
		case slices.Contains(always, name), object && !kept, chosen(cached.Headers, name, strings.EqualFold), chosen(policy.Headers, name, strings.EqualFold):
			sent.header[name] = slices.Clone(values)
		}
	}
	if text := selected(cookies(r.header), ";", "; ", cached.Cookies, policy.Cookies); text != "" {
		sent.header.Set("Cookie", text)
	}
	if len(r.header["Accept-Encoding"]) > 0 && (cached.AcceptGzip || cached.AcceptBrotli) && !r.http10 {
		coding := encodings(cached, r)
		if coding == "" {
			coding = "identity"
		}
		sent.header.Set("Accept-Encoding", coding)
	}
	if sent.header.Get("User-Agent") == "" {
		sent.header.Set("User-Agent", agent)
	}
	if sent.header.Get("Host") == "" {
		sent.header.Set("Host", b.origin.host)
	}
	sent.header["X-Forwarded-For"] = []string{strings.Join(append(slices.Clone(r.header["X-Forwarded-For"]), r.ip), ", ")}
	sent.header["Via"] = append(slices.Clone(r.header["Via"]), via(b.distribution))
	sent.header.Set("X-Amz-Cf-Id", r.id)
	for name, value := range b.origin.headers {
		sent.header.Set(name, value)
	}
	return sent
}

package access

import (
	"cmp"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/aws/smithy-go/encoding/httpbinding"
)

// Refusal is an error as services of AWS answer it.
// https://docs.aws.amazon.com/IAM/latest/APIReference/CommonErrors.html
type Refusal struct {
	Status int
	// Kind is as in AccessDeniedException.
	Kind, Message string
	// Canonical and ToSign are the canonical request and the text that a signature that does not match should have been of.
	Canonical, ToSign string
}

func (r *Refusal) Error() string { return r.Kind + ": " + r.Message }

// Refuse is a refusal with the status 400.
func Refuse(kind, format string, args ...any) *Refusal {
	return &Refusal{Status: http.StatusBadRequest, Kind: kind, Message: fmt.Sprintf(format, args...)}
}

// validity is how far the time of a signature may be from now.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-signing-elements.html
const validity = 5 * time.Minute

const (
	algorithm  = "AWS4-HMAC-SHA256"
	timeFormat = "20060102T150405Z"
)

// Authenticate returns who has signed a request to a service, as in "dynamodb", with Signature Version 4 in its
// headers.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
func Authenticate(r *http.Request, body []byte, service string, signers func(key string) (*Signer, bool), now time.Time) (*Signer, *Refusal) {
	header := r.Header.Get("Authorization")
	if header == "" {
		return nil, Refuse("MissingAuthenticationTokenException", "Request is missing Authentication Token")
	}
	rest, ok := strings.CutPrefix(header, algorithm+" ")
	parts := map[string]string{}
	for part := range strings.SplitSeq(rest, ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		parts[name] = value
	}
	scope := strings.Split(parts["Credential"], "/")
	if !ok || len(scope) != 5 || parts["SignedHeaders"] == "" || parts["Signature"] == "" {
		return nil, Refuse("IncompleteSignatureException", "Authorization header requires 'Credential', 'Signature' and 'SignedHeaders' parameters")
	}
	signer, known := signers(scope[0])
	if !known || subtle.ConstantTimeCompare([]byte(r.Header.Get("X-Amz-Security-Token")), []byte(signer.Session)) == 0 {
		return nil, Refuse("UnrecognizedClientException", "The security token included in the request is invalid.")
	}
	at, err := time.Parse(timeFormat, r.Header.Get("X-Amz-Date"))
	if err != nil || at.Format("20060102") != scope[1] {
		return nil, Refuse("IncompleteSignatureException", "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header, with the date of the credential scope")
	}
	switch stamp := func(t time.Time) string { return t.UTC().Format(timeFormat) }; {
	case now.Sub(at) > validity:
		return nil, Refuse("InvalidSignatureException", "Signature expired: %s is now earlier than %s (%s - 5 min.)", stamp(at), stamp(now.Add(-validity)), stamp(now))
	case at.Sub(now) > validity:
		return nil, Refuse("InvalidSignatureException", "Signature not yet current: %s is still later than %s (%s + 5 min.)", stamp(at), stamp(now.Add(validity)), stamp(now))
	}
	if !signed(parts["SignedHeaders"], "host") || !signed(parts["SignedHeaders"], "x-amz-date") || scope[3] != service || scope[4] != "aws4_request" {
		return nil, Refuse("InvalidSignatureException", "Credential should be scoped to %s, and the signature should cover the headers 'host' and 'x-amz-date'.", service)
	}
	canonical := canonical(r, body, parts["SignedHeaders"])
	text := strings.Join([]string{algorithm, r.Header.Get("X-Amz-Date"), strings.Join(scope[1:], "/"), Hash([]byte(canonical))}, "\n")
	if want := sign(text, signer.Secret, scope[1:]); subtle.ConstantTimeCompare([]byte(want), []byte(parts["Signature"])) == 0 {
		refusal := Refuse("InvalidSignatureException", "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method. Consult the service documentation for details.")
		refusal.Canonical, refusal.ToSign = canonical, text
		return nil, refusal
	}
	return signer, nil
}

func signed(headers, name string) bool {
	for header := range strings.SplitSeq(headers, ";") {
		if header == name {
			return true
		}
	}
	return false
}

// SignedRegion is the region in the scope of a request's credential; empty without one.
func SignedRegion(r *http.Request) string {
	_, scope, _ := strings.Cut(r.Header.Get("Authorization"), "Credential=")
	scope, _, _ = strings.Cut(scope, ",")
	if parts := strings.Split(scope, "/"); len(parts) == 5 {
		return parts[2]
	}
	return ""
}

// canonical is the canonical request. The path as it was sent is encoded once more: only Amazon S3 has it encoded once.
func canonical(r *http.Request, body []byte, headers string) string {
	var b strings.Builder
	path, query, _ := strings.Cut(cmp.Or(r.RequestURI, r.URL.RequestURI()), "?")
	fmt.Fprintf(&b, "%s\n%s\n%s\n", r.Method, httpbinding.EscapePath(path, false), canonicalQuery(query))
	for name := range strings.SplitSeq(headers, ";") {
		value := strings.Join(r.Header.Values(name), ",")
		switch name {
		case "host":
			value = r.Host
		case "content-length":
			value = fmt.Sprint(r.ContentLength)
		}
		fmt.Fprintf(&b, "%s:%s\n", name, strings.Join(strings.Fields(value), " "))
	}
	fmt.Fprintf(&b, "\n%s\n%s", headers, Hash(body))
	return b.String()
}

// canonicalQuery has the parameters of a query sorted by name and value, each encoded as a signature has it.
func canonicalQuery(query string) string {
	var all []string
	encode := func(text string) string {
		if decoded, err := url.QueryUnescape(text); err == nil {
			text = decoded
		}
		return strings.ReplaceAll(url.QueryEscape(text), "+", "%20")
	}
	for part := range strings.SplitSeq(query, "&") {
		if name, value, _ := strings.Cut(part, "="); part != "" {
			all = append(all, encode(name)+"="+encode(value))
		}
	}
	slices.Sort(all)
	return strings.Join(all, "&")
}

// sign signs a text in a scope.
func sign(text, secret string, scope []string) string {
	key := []byte("AWS4" + secret)
	for _, part := range append(scope[:len(scope):len(scope)], text) {
		mac := hmac.New(sha256.New, key)
		mac.Write([]byte(part))
		key = mac.Sum(nil)
	}
	return hex.EncodeToString(key)
}

// Hash is the SHA-256 of a body, as a signature has it.
func Hash(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}
